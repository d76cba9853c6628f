-- From schema 2 to schema 3: ids of any length. SQLite only; PostgreSQL begins with schema 3.

ALTER TABLE secrets ADD COLUMN long_id BLOB;
ALTER TABLE gone ADD COLUMN long_id BLOB;

UPDATE secrets SET long_id = secret_id, secret_id = short_key(secret_id)
    WHERE length(secret_id) > 1000;
UPDATE gone SET long_id = secret_id, secret_id = short_key(secret_id)
    WHERE length(secret_id) > 1000;
-- A hook on such an id is not taken any more.
DELETE FROM hooks WHERE length(secret_id) > 1000;
UPDATE handed_out SET secret_id = short_key(secret_id) WHERE length(secret_id) > 1000;

UPDATE service SET schema = 3;
