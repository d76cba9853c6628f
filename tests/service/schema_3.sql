-- The service's database, for both engines: SQLite takes it as it is, for PostgreSQL the names of
-- the types are translated. Every key begins with the node id of a space, and no request but those
-- that share touches the rows of two spaces. Node ids are the 32 bytes of the public key, secret
-- ids are WTF-8 (one of more than 1,000 bytes: FF and its SHA-256, with the id in long_id: an
-- index of PostgreSQL takes no more), moments are milliseconds since 1970.

CREATE TABLE service (
    "only"  INTEGER PRIMARY KEY CHECK ("only" = 1),
    schema  INTEGER NOT NULL,        -- a program refuses a schema that is newer than itself
    id      BLOB NOT NULL,           -- of this database: 16 random bytes, never changed
    seed    BLOB NOT NULL            -- the service's Ed25519 secret key
) STRICT;

CREATE TABLE spaces (
    node_id       BLOB NOT NULL PRIMARY KEY,
    closure_date  REAL,              -- from then on the space counts as missing; NULL: no end
    owner         BLOB,              -- who made the one-use code that opened it
    revision      INTEGER NOT NULL,  -- of the newest change; only ever grows, and begins at the
                                     -- microsecond of opening: above those before a deletion
    hooked        INTEGER NOT NULL DEFAULT 0,  -- whether anything of the space ever had a hook
    feed          BLOB NOT NULL DEFAULT x'',  -- of this opening: 16 random bytes
    floor         INTEGER NOT NULL DEFAULT 0, -- of what went up to this revision some is forgotten
    remembered    INTEGER NOT NULL DEFAULT 0  -- how many rows of `gone` there are
) STRICT, WITHOUT ROWID;

CREATE TABLE sub_spaces (
    node_id       BLOB NOT NULL,
    from_id       BLOB NOT NULL,     -- the accepted sender
    closure_date  REAL,
    place         INTEGER NOT NULL,  -- the revision of its opening: the order of listings
    hooked        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (node_id, from_id),
    FOREIGN KEY (node_id) REFERENCES spaces ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
    node_id    BLOB NOT NULL,
    from_id    BLOB NOT NULL,        -- the sender; empty for the own secrets
    secret_id  BLOB NOT NULL,
    point      BLOB NOT NULL,        -- the service-layer box: its reference point
    content    BLOB NOT NULL,        -- and its ciphertext
    one_time   INTEGER NOT NULL DEFAULT 0,
    place      INTEGER NOT NULL,     -- the revision of its first setting: the order of listings
    revision   INTEGER NOT NULL,     -- of its last change
    hooked     INTEGER NOT NULL DEFAULT 0,
    long_id    BLOB,
    PRIMARY KEY (node_id, from_id, secret_id),
    FOREIGN KEY (node_id) REFERENCES spaces ON DELETE CASCADE
) STRICT;

CREATE TABLE recipients (            -- the sub spaces once more, by who may share into them
    node_id       BLOB NOT NULL,     -- the accepted sender, whether he has a space or not
    recipient_id  BLOB NOT NULL,
    closure_date  REAL,              -- the earlier one of the sub space's and its space's
    revision      INTEGER NOT NULL,  -- in the sender's space
    PRIMARY KEY (node_id, recipient_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE gone (                  -- what was there, so that the feed can tell that it is not
    node_id    BLOB NOT NULL,
    revision   INTEGER NOT NULL,     -- of its going
    kind       INTEGER NOT NULL,     -- 0: a secret, 1: a sender, 2: a recipient
    other_id   BLOB NOT NULL,        -- the other side; empty for an own secret
    secret_id  BLOB,
    time       INTEGER NOT NULL,
    long_id    BLOB,
    PRIMARY KEY (node_id, revision),
    FOREIGN KEY (node_id) REFERENCES spaces ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE handed_out (            -- one-time secrets that are gone, in case the answer was lost
    node_id    BLOB NOT NULL,        -- who got it
    signature  BLOB NOT NULL,        -- of his request
    from_id    BLOB NOT NULL,
    secret_id  BLOB NOT NULL,
    point      BLOB NOT NULL,
    content    BLOB NOT NULL,
    time       INTEGER NOT NULL,     -- once that request could not be repeated, the row goes
    PRIMARY KEY (node_id, signature),
    FOREIGN KEY (node_id) REFERENCES spaces ON DELETE CASCADE
) STRICT;

CREATE TABLE hooks (
    node_id    BLOB NOT NULL,
    hook_id    BLOB NOT NULL,        -- 16 random bytes
    from_id    BLOB NOT NULL,        -- empty: on the space, or on an own secret
    secret_id  BLOB,                 -- NULL: on the space or the sub space
    type       TEXT NOT NULL,        -- these three are JSON, for which any text has a form
    url        TEXT NOT NULL,
    place      INTEGER NOT NULL,
    last_time  INTEGER,              -- when it was last called
    last_error TEXT,
    PRIMARY KEY (node_id, hook_id),
    FOREIGN KEY (node_id) REFERENCES spaces ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX hooks_by_target ON hooks (node_id, from_id, secret_id);

CREATE TABLE auth_codes (            -- those that work once; they are gone when they were used
    digest   BLOB NOT NULL PRIMARY KEY,  -- SHA-256 of its text: nobody can use what is read here
    action   TEXT NOT NULL,          -- JSON, so that any text fits
    creator  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE used_signatures (       -- of requests that were let in
    timestamp  INTEGER NOT NULL,     -- the request's; once it is refused, the row can go
    signature  BLOB NOT NULL,        -- bytes: the case of its hex makes no other one of it
    PRIMARY KEY (timestamp, signature)
) STRICT, WITHOUT ROWID;

CREATE INDEX spaces_by_end ON spaces (closure_date) WHERE closure_date IS NOT NULL;
CREATE INDEX sub_spaces_by_end ON sub_spaces (closure_date) WHERE closure_date IS NOT NULL;
CREATE INDEX sub_spaces_of_space_by_end ON sub_spaces (node_id, closure_date)
    WHERE closure_date IS NOT NULL;

-- The feed reads all by revision; what it needs of a secret is in the index, before its content.
CREATE INDEX secrets_by_revision ON secrets (node_id, revision, from_id, secret_id, one_time);
CREATE INDEX sub_spaces_by_place ON sub_spaces (node_id, place);
CREATE INDEX recipients_by_revision ON recipients (node_id, revision);
CREATE INDEX gone_by_time ON gone (time);
CREATE INDEX handed_out_by_time ON handed_out (time);
