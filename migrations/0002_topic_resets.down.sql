ALTER TABLE connectors DROP COLUMN topic_resets;
