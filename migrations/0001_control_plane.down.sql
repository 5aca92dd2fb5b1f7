DROP TABLE worker_log_levels, active_topics, audit, cluster_state, leader, outbox, session_plugins, plugins, statuses, jobs,
    sessions, runners, config_versions, connectors;
DROP SEQUENCE outbox_ids;
DROP FUNCTION connectors_guard(), jobs_guard(), statuses_guard(), sessions_guard(), leader_guard(), cluster_state_guard(), audit_guard();
