-- Which connectors may show another state than before, so that a reader that remembers states knows which it has to read again.
-- A row is written in the transaction of the change. A reader keeps the snapshot at which it last looked; what it has not seen
-- are the rows whose transactions were not visible in that snapshot, however late they committed.
CREATE TABLE shown_changes (
    xid  xid8        NOT NULL DEFAULT pg_current_xact_id(),
    name text        NOT NULL,
    at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX shown_changes_xid ON shown_changes (xid);

-- One row for ever. Who last looked before this transaction may have missed rows that were deleted, and starts anew.
CREATE TABLE shown_log (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    pruned xid8    NOT NULL DEFAULT '0'
);
INSERT INTO shown_log DEFAULT VALUES;

CREATE FUNCTION log_connector_shown() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shown_changes (name) VALUES (coalesce(NEW.name, OLD.name));
    RETURN NULL;
END $$;
CREATE FUNCTION log_job_shown() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shown_changes (name) SELECT name FROM connectors WHERE uid = coalesce(NEW.uid, OLD.uid);
    RETURN NULL;
END $$;

CREATE TRIGGER connectors_shown AFTER INSERT OR DELETE ON connectors FOR EACH ROW EXECUTE FUNCTION log_connector_shown();
CREATE TRIGGER connectors_shown_update AFTER UPDATE ON connectors FOR EACH ROW
    WHEN ((OLD.type, OLD.deleted_at) IS DISTINCT FROM (NEW.type, NEW.deleted_at)) EXECUTE FUNCTION log_connector_shown();
CREATE TRIGGER jobs_shown AFTER INSERT OR DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION log_job_shown();
CREATE TRIGGER jobs_shown_update AFTER UPDATE ON jobs FOR EACH ROW
    WHEN ((OLD.wanted, OLD.gone, OLD.restart_seq) IS DISTINCT FROM (NEW.wanted, NEW.gone, NEW.restart_seq)) EXECUTE FUNCTION log_job_shown();
CREATE TRIGGER statuses_shown AFTER INSERT OR DELETE ON statuses FOR EACH ROW EXECUTE FUNCTION log_job_shown();
CREATE TRIGGER statuses_shown_update AFTER UPDATE ON statuses FOR EACH ROW
    WHEN ((OLD.state, OLD.worker_id, OLD.trace, OLD.version, OLD.restart_seq) IS DISTINCT FROM (NEW.state, NEW.worker_id, NEW.trace, NEW.version, NEW.restart_seq))
    EXECUTE FUNCTION log_job_shown();
