-- What PostgreSQL has beyond schema.sql, for speed alone; it may be left out.

-- Of requests that only read: nothing depends on them, so they are not worth a sync.
CREATE UNLOGGED TABLE seen_signatures (
    node_id    BYTEA NOT NULL,
    timestamp  BIGINT NOT NULL,
    signature  BYTEA NOT NULL,
    PRIMARY KEY (node_id, timestamp, signature)
);
CREATE INDEX seen_signatures_by_time ON seen_signatures (timestamp);

-- Ciphertext does not compress.
ALTER TABLE secrets ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE handed_out ALTER COLUMN content SET STORAGE EXTERNAL;

-- A revision is given at every write: its row finds room for its next version beside it.
ALTER TABLE spaces SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
