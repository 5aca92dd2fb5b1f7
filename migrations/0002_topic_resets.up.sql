ALTER TABLE connectors ADD COLUMN topic_resets bigint NOT NULL DEFAULT 0 CHECK (topic_resets >= 0);
COMMENT ON COLUMN connectors.topic_resets IS 'how often active_topics was cleared; a report from before the last time is refused';
