-- The control plane's first schema. All names are unqualified: the search_path names the schema, so that one database can
-- hold several. Constraints say what must never be; what they can't say, triggers at the end do.

CREATE TABLE connectors (
    uid           text        PRIMARY KEY CHECK (uid <> ''),
    name          text        NOT NULL,
    config        json        NOT NULL CHECK (json_typeof(config) = 'object'),
    config_version bigint     NOT NULL DEFAULT 1 CHECK (config_version >= 1),
    class         text        NOT NULL,
    type          text        NOT NULL CHECK (type IN ('source', 'sink', 'unknown')),
    target        text        NOT NULL CHECK (target IN ('STARTED', 'PAUSED', 'STOPPED')),
    generation    bigint      NOT NULL DEFAULT 1 CHECK (generation >= 1),
    task_set      bigint      NOT NULL DEFAULT 0 CHECK (task_set >= 0),
    task_count    integer     NOT NULL DEFAULT 0 CHECK (task_count >= 0),
    published     bigint      NOT NULL DEFAULT 0 CHECK (published BETWEEN 0 AND config_version),
    fenceable     boolean     NOT NULL DEFAULT false,
    audit_hash    bytea       NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at    timestamptz,
    CONSTRAINT connectors_stopped_has_no_tasks CHECK (target <> 'STOPPED' OR task_count = 0)
);
COMMENT ON COLUMN connectors.published IS 'config version that the task set was computed from; 0: no task set';
COMMENT ON COLUMN connectors.audit_hash IS 'head of this connector''s chain of audit entries';
CREATE UNIQUE INDEX connectors_live_name ON connectors (name) WHERE deleted_at IS NULL;
CREATE INDEX connectors_deleted_name ON connectors (name, deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE config_versions (
    uid        text        NOT NULL REFERENCES connectors ON DELETE CASCADE,
    version    bigint      NOT NULL CHECK (version >= 1),
    config     json        NOT NULL CHECK (json_typeof(config) = 'object'),
    actor      text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (uid, version)
);

CREATE TABLE runners (
    id            text        PRIMARY KEY CHECK (id <> ''),
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE sessions (
    id               text             PRIMARY KEY CHECK (id <> ''),
    runner           text             NOT NULL REFERENCES runners,
    state            text             NOT NULL CHECK (state IN ('active', 'draining', 'lost', 'closed')),
    pool             text             NOT NULL,
    labels           json             NOT NULL CHECK (json_typeof(labels) = 'object'),
    capacity         integer          NOT NULL CHECK (capacity >= 0),
    kafka_cluster_id text             NOT NULL,
    internal_url     text             NOT NULL,
    version          text             NOT NULL,
    registered_at    timestamptz      NOT NULL DEFAULT clock_timestamp(),
    beat_at          timestamptz      NOT NULL DEFAULT clock_timestamp(),
    ended_at         timestamptz,
    jobs             integer          NOT NULL DEFAULT 0,
    load             double precision NOT NULL DEFAULT 0,
    CONSTRAINT sessions_ended CHECK ((ended_at IS NOT NULL) = (state IN ('lost', 'closed')))
) WITH (fillfactor = 50); -- a heartbeat rewrites the row every second, on the same page
CREATE UNIQUE INDEX sessions_one_per_runner ON sessions (runner) WHERE state IN ('active', 'draining');

-- One row per slot, so that a slot can't have two owners (DA-1). Wanted and owned are apart: wanted, revision, restart_seq
-- and task_config are what users want; session, epoch and releasing are who has it.
CREATE TABLE jobs (
    uid         text    NOT NULL REFERENCES connectors ON DELETE CASCADE,
    task        integer NOT NULL CHECK (task >= -1),
    wanted      boolean NOT NULL DEFAULT true,
    gone        boolean NOT NULL DEFAULT false,
    revision    bigint  NOT NULL CHECK (revision >= 1),
    restart_seq bigint  NOT NULL DEFAULT 0 CHECK (restart_seq >= 0),
    task_config json    CHECK (json_typeof(task_config) = 'object'),
    session     text    REFERENCES sessions,
    epoch       bigint  NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    releasing   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (uid, task),
    CONSTRAINT jobs_task_config CHECK ((task_config IS NOT NULL) = (wanted AND task >= 0)),
    CONSTRAINT jobs_gone CHECK (NOT gone OR (NOT wanted AND session IS NULL)),
    CONSTRAINT jobs_releasing CHECK (NOT releasing OR session IS NOT NULL),
    CONSTRAINT jobs_owned_has_epoch CHECK (session IS NULL OR epoch > 0)
) WITH (fillfactor = 80);
COMMENT ON COLUMN jobs.task IS 'task number; -1 is the connector instance';
COMMENT ON COLUMN jobs.gone IS 'forgotten: the row only keeps epoch, revision and restart_seq from falling';
CREATE INDEX jobs_session ON jobs (session) WHERE session IS NOT NULL;

CREATE TABLE statuses (
    uid         text        NOT NULL,
    task        integer     NOT NULL,
    session     text        NOT NULL CHECK (session <> ''),
    epoch       bigint      NOT NULL CHECK (epoch > 0),
    revision    bigint      NOT NULL,
    restart_seq bigint      NOT NULL,
    state       text        NOT NULL CHECK (state IN ('UNASSIGNED', 'RUNNING', 'PAUSED', 'FAILED', 'RESTARTING', 'STOPPED')),
    worker_id   text        NOT NULL,
    trace       text        NOT NULL,
    version     text        NOT NULL,
    released    boolean     NOT NULL,
    reason      text        NOT NULL,
    stored_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (uid, task),
    FOREIGN KEY (uid, task) REFERENCES jobs ON DELETE CASCADE
) WITH (fillfactor = 80);

CREATE TABLE plugins (
    kind       text        NOT NULL CHECK (kind <> ''),
    class      text        NOT NULL CHECK (class <> ''),
    version    text        NOT NULL,
    digest     text        NOT NULL,
    task_class text        NOT NULL,
    doc        text        NOT NULL,
    definition bytea       NOT NULL,
    defined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, class, version)
);

CREATE TABLE session_plugins (
    session text NOT NULL REFERENCES sessions ON DELETE CASCADE,
    kind    text NOT NULL,
    class   text NOT NULL,
    version text NOT NULL,
    digest  text NOT NULL,
    PRIMARY KEY (session, kind, class, version)
);

CREATE SEQUENCE outbox_ids INCREMENT BY 512;
COMMENT ON SEQUENCE outbox_ids IS 'each value is the first of a block of 512 ids, which one process gives out';
CREATE TABLE outbox (
    id            bigint      PRIMARY KEY,
    address       text        NOT NULL CHECK (address <> ''),
    payload       bytea       NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_until timestamptz
);
COMMENT ON TABLE outbox IS 'unpublished messages; a published one is deleted';
CREATE INDEX outbox_created ON outbox (created_at, id);

-- The leadership: one row for ever.
CREATE TABLE leader (
    one        boolean     PRIMARY KEY DEFAULT true CHECK (one),
    holder     text        NOT NULL DEFAULT '',
    term       bigint      NOT NULL DEFAULT 0 CHECK (term >= 0),
    expires_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO leader DEFAULT VALUES;

-- Facts about the cluster as a whole: one row for ever.
CREATE TABLE cluster_state (
    one              boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch_floor      bigint  NOT NULL DEFAULT 0 CHECK (epoch_floor >= 0),
    kafka_cluster_id text    NOT NULL DEFAULT ''
);
INSERT INTO cluster_state DEFAULT VALUES;

CREATE TABLE audit (
    seq        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    actor      text        NOT NULL,
    request_id text        NOT NULL,
    action     text        NOT NULL CHECK (action <> ''),
    connector  text        NOT NULL,
    uid        text        NOT NULL,
    detail     text        NOT NULL,
    prev_hash  bytea       NOT NULL,
    hash       bytea       NOT NULL CHECK (length(hash) = 32)
);
COMMENT ON TABLE audit IS 'one hash chain for each connector uid; a connector''s entries outlive it';
CREATE UNIQUE INDEX audit_no_fork ON audit (uid, prev_hash);

CREATE TABLE active_topics (
    uid   text NOT NULL REFERENCES connectors ON DELETE CASCADE,
    topic text NOT NULL CHECK (topic <> ''),
    PRIMARY KEY (uid, topic)
);

CREATE TABLE worker_log_levels (
    logger     text        PRIMARY KEY CHECK (logger <> ''),
    level      text        NOT NULL CHECK (level IN ('OFF', 'FATAL', 'ERROR', 'WARN', 'INFO', 'DEBUG', 'TRACE', 'ALL')),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION connectors_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.uid <> OLD.uid OR NEW.name <> OLD.name THEN
        RAISE EXCEPTION 'uid and name of a connector never change' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.generation < OLD.generation OR NEW.config_version < OLD.config_version OR NEW.task_set < OLD.task_set THEN
        RAISE EXCEPTION 'generation, config_version and task_set never fall' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS DISTINCT FROM OLD.deleted_at THEN
        RAISE EXCEPTION 'a deleted connector never comes back' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER connectors_guard BEFORE UPDATE ON connectors FOR EACH ROW EXECUTE FUNCTION connectors_guard();

CREATE FUNCTION jobs_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.uid <> OLD.uid OR NEW.task <> OLD.task THEN
        RAISE EXCEPTION 'uid and task of a job never change' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.epoch < OLD.epoch OR NEW.revision < OLD.revision OR NEW.restart_seq < OLD.restart_seq THEN
        RAISE EXCEPTION 'epoch, revision and restart_seq never fall' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.session IS NOT NULL AND NEW.session IS DISTINCT FROM OLD.session AND NEW.epoch <= OLD.epoch THEN
        RAISE EXCEPTION 'a new owner needs a new epoch' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER jobs_guard BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION jobs_guard();

CREATE FUNCTION statuses_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.epoch < OLD.epoch THEN
        RAISE EXCEPTION 'a status of an older epoch never replaces a newer one' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER statuses_guard BEFORE UPDATE ON statuses FOR EACH ROW EXECUTE FUNCTION statuses_guard();

CREATE FUNCTION sessions_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.runner <> OLD.runner OR (OLD.state IN ('lost', 'closed') AND NEW.state <> OLD.state) THEN
        RAISE EXCEPTION 'a session keeps its runner, and never comes back' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER sessions_guard BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION sessions_guard();

CREATE FUNCTION leader_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.term < OLD.term OR (NEW.holder <> OLD.holder AND NEW.holder <> '' AND NEW.term = OLD.term) THEN
        RAISE EXCEPTION 'the term never falls, and a new leader needs a new one' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER leader_guard BEFORE UPDATE OR DELETE ON leader FOR EACH ROW EXECUTE FUNCTION leader_guard();

CREATE FUNCTION cluster_state_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.epoch_floor < OLD.epoch_floor THEN
        RAISE EXCEPTION 'the epoch floor never falls' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER cluster_state_guard BEFORE UPDATE OR DELETE ON cluster_state FOR EACH ROW EXECUTE FUNCTION cluster_state_guard();

CREATE FUNCTION audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit entries never change' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER audit_guard BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION audit_guard();
