-- The keys of a configuration that are Millrace's own: the pool and the labels. What reads them need not read the whole
-- configuration, and a NUL anywhere in it, which json stores and no operator on json takes, does no harm.
CREATE FUNCTION own_keys_of(config json) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF position('"millrace.' IN config::text) = 0 THEN
        RETURN '{}'; -- most have none
    END IF;
    IF position('\u0000' IN config::text) > 0 THEN
        config := regexp_replace(config::text, '(\\\\)|\\u0000', '\1', 'g')::json;
    END IF;
    RETURN (SELECT coalesce(jsonb_object_agg(key, value) FILTER (WHERE value IS NOT NULL), '{}')
        FROM json_each_text(config) WHERE key LIKE 'millrace.%');
END $$;
ALTER TABLE connectors ADD COLUMN own_keys jsonb NOT NULL GENERATED ALWAYS AS (own_keys_of(config)) STORED;
CREATE INDEX connectors_own_keys ON connectors USING gin (own_keys jsonb_path_ops) WHERE deleted_at IS NULL;
-- In the order of lists, to begin in the middle of them.
CREATE INDEX connectors_live_order ON connectors (name COLLATE "C") WHERE deleted_at IS NULL;

-- What can be watched. A row is written in the transaction of the change that it tells of; id rises with the changes of one
-- connector, since they wait for each other, but not with the commits of different ones. So readers go by seq, which is given
-- to what has committed.
CREATE TABLE events (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seq       bigint      CHECK (seq > 0),
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    connector text        NOT NULL,
    data      json        NOT NULL CHECK (json_typeof(data) = 'object')
) WITH (fillfactor = 80);
COMMENT ON COLUMN events.seq IS 'place in the order of readers; null until somebody looks';
CREATE UNIQUE INDEX events_seq ON events (seq) WHERE seq IS NOT NULL;
CREATE INDEX events_new ON events (id) WHERE seq IS NULL;

-- One row for ever: who gives out seq holds it.
CREATE TABLE event_log (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    head bigint  NOT NULL DEFAULT 0 CHECK (head >= 0)
);
INSERT INTO event_log DEFAULT VALUES;
COMMENT ON COLUMN event_log.head IS 'the last seq given out';

CREATE FUNCTION event_log_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.head < OLD.head THEN
        RAISE EXCEPTION 'the head of the event log never falls' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER event_log_guard BEFORE UPDATE OR DELETE ON event_log FOR EACH ROW EXECUTE FUNCTION event_log_guard();

CREATE FUNCTION events_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.seq IS NOT NULL OR NEW.id <> OLD.id OR NEW.connector <> OLD.connector THEN
        RAISE EXCEPTION 'an event never changes, and gets its place once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER events_guard BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION events_guard();
