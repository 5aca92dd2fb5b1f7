DROP TRIGGER connectors_shown ON connectors;
DROP TRIGGER connectors_shown_update ON connectors;
DROP TRIGGER jobs_shown ON jobs;
DROP TRIGGER jobs_shown_update ON jobs;
DROP TRIGGER statuses_shown ON statuses;
DROP TRIGGER statuses_shown_update ON statuses;
DROP FUNCTION log_connector_shown(), log_job_shown();
DROP TABLE shown_changes, shown_log;
