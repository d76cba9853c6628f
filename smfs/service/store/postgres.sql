-- What PostgreSQL has beyond schema.sql.

-- Of requests that only read: nothing depends on them, so they are not worth a sync.
CREATE UNLOGGED TABLE seen_signatures (
    node_id    BYTEA NOT NULL,
    timestamp  BIGINT NOT NULL,
    signature  BYTEA NOT NULL,
    PRIMARY KEY (node_id, timestamp, signature)
);
CREATE INDEX seen_signatures_by_time ON seen_signatures (timestamp);
