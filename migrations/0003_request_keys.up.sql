-- Answers to changes that came with a key, each stored in the transaction of its change.
CREATE TABLE request_keys (
    key        text        PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 300),
    digest     bytea       NOT NULL CHECK (length(digest) = 32),
    pending    boolean     NOT NULL,
    status     integer     NOT NULL CHECK (status BETWEEN 200 AND 599),
    header     json        NOT NULL CHECK (json_typeof(header) = 'object'),
    body       bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN request_keys.digest IS 'of the request: author, method, path, conditions, body';
COMMENT ON COLUMN request_keys.pending IS 'the answer is preliminary: somebody waits for the effect of the change';
CREATE INDEX request_keys_created ON request_keys (created_at);
