DROP TABLE event_log, events;
DROP FUNCTION event_log_guard(), events_guard();
DROP INDEX connectors_live_order;
ALTER TABLE connectors DROP COLUMN own_keys;
DROP FUNCTION own_keys_of(json);
