-- From schema 3 to schema 4: a queue for hooks, quotas, codes of the operator. What it adds is
-- described in schema.sql.

ALTER TABLE spaces ADD COLUMN secrets INTEGER NOT NULL DEFAULT 0;
ALTER TABLE spaces ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;

UPDATE spaces SET
    secrets = (SELECT count(*) FROM secrets WHERE secrets.node_id = spaces.node_id),
    bytes = (SELECT coalesce(sum(length(secret_id) + coalesce(length(long_id), 0)
        + length(content)), 0) FROM secrets WHERE secrets.node_id = spaces.node_id);

CREATE TABLE deliveries (
    node_id      BLOB NOT NULL,
    delivery_id  BLOB NOT NULL,
    hook_id      BLOB NOT NULL,
    url          TEXT NOT NULL,
    body         BLOB NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    due          INTEGER NOT NULL,
    PRIMARY KEY (node_id, delivery_id)
) STRICT, WITHOUT ROWID;

ALTER TABLE auth_codes ADD COLUMN made INTEGER NOT NULL DEFAULT 0;
ALTER TABLE auth_codes ADD COLUMN note TEXT NOT NULL DEFAULT '';

-- Who signed what was used in the last nine minutes is not known, so that is forgotten.
DROP TABLE used_signatures;
CREATE TABLE used_signatures (
    node_id    BLOB NOT NULL,
    timestamp  INTEGER NOT NULL,
    signature  BLOB NOT NULL,
    PRIMARY KEY (node_id, timestamp, signature)
) STRICT, WITHOUT ROWID;

CREATE TABLE locks (
    node_id  BLOB NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_by_due ON deliveries (due);
CREATE INDEX used_signatures_by_time ON used_signatures (timestamp);

UPDATE service SET schema = 4;
