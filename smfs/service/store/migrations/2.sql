-- From schema 1 to schema 2: the change feed. What it adds is described in schema.sql.

ALTER TABLE spaces ADD COLUMN feed BLOB NOT NULL DEFAULT x'';
ALTER TABLE spaces ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE spaces ADD COLUMN remembered INTEGER NOT NULL DEFAULT 0;

UPDATE spaces SET feed = randomblob(16), floor = revision;

CREATE TABLE recipients (
    node_id       BLOB NOT NULL,
    recipient_id  BLOB NOT NULL,
    closure_date  REAL,
    revision      INTEGER NOT NULL,
    PRIMARY KEY (node_id, recipient_id)
) STRICT, WITHOUT ROWID;

-- Nobody has seen a page of these feeds yet, so any small revisions will do.
INSERT INTO recipients
    SELECT from_id, node_id,
        CASE WHEN sub_spaces.closure_date IS NULL THEN spaces.closure_date
             WHEN spaces.closure_date IS NULL THEN sub_spaces.closure_date
             ELSE min(sub_spaces.closure_date, spaces.closure_date) END,
        row_number() OVER (PARTITION BY from_id ORDER BY node_id)
    FROM sub_spaces JOIN spaces USING (node_id);

CREATE TABLE gone (
    node_id    BLOB NOT NULL,
    revision   INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    other_id   BLOB NOT NULL,
    secret_id  BLOB,
    time       INTEGER NOT NULL,
    PRIMARY KEY (node_id, revision),
    FOREIGN KEY (node_id) REFERENCES spaces ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE handed_out (
    node_id    BLOB NOT NULL,
    signature  BLOB NOT NULL,
    from_id    BLOB NOT NULL,
    secret_id  BLOB NOT NULL,
    point      BLOB NOT NULL,
    content    BLOB NOT NULL,
    time       INTEGER NOT NULL,
    PRIMARY KEY (node_id, signature),
    FOREIGN KEY (node_id) REFERENCES spaces ON DELETE CASCADE
) STRICT;

CREATE INDEX sub_spaces_of_space_by_end ON sub_spaces (node_id, closure_date)
    WHERE closure_date IS NOT NULL;
CREATE INDEX secrets_by_revision ON secrets (node_id, revision, from_id, secret_id, one_time);
CREATE INDEX sub_spaces_by_place ON sub_spaces (node_id, place);
CREATE INDEX recipients_by_revision ON recipients (node_id, revision);
CREATE INDEX gone_by_time ON gone (time);
CREATE INDEX handed_out_by_time ON handed_out (time);

UPDATE service SET schema = 2;
