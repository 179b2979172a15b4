-- Schema 5. The schema enforces the invariants: it refuses to delete an object that another object or a
-- generation refers to.

CREATE TABLE objects (
    id            INTEGER PRIMARY KEY,
    path          TEXT NOT NULL UNIQUE,
    digest        BLOB NOT NULL CHECK (length(digest) = 32),
    kind          TEXT NOT NULL,
    size_bytes    INTEGER NOT NULL,
    files         INTEGER NOT NULL,
    recipe        BLOB CHECK (length(recipe) = 32),
    registered_at TEXT NOT NULL
);

CREATE TABLE object_references (
    referrer  INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    reference INTEGER NOT NULL REFERENCES objects (id) ON DELETE RESTRICT,
    PRIMARY KEY (referrer, reference),
    CHECK (referrer <> reference)
) WITHOUT ROWID;
CREATE INDEX object_references_reference ON object_references (reference);

-- source objects that an object was built from and does not refer to: they are kept as long as the object
CREATE TABLE object_inputs (
    object INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    input  INTEGER NOT NULL REFERENCES objects (id) ON DELETE RESTRICT,
    PRIMARY KEY (object, input),
    CHECK (object <> input)
) WITHOUT ROWID;
CREATE INDEX object_inputs_input ON object_inputs (input);

CREATE TABLE realisations (
    recipe        BLOB PRIMARY KEY CHECK (length(recipe) = 32),
    object        INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    build_seconds REAL,
    created_at    TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX realisations_object ON realisations (object);

-- the wheels in an object, each compiled by one interpreter: wheel_key is the digest of both
CREATE TABLE object_wheels (
    wheel_key BLOB NOT NULL,
    object    INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    PRIMARY KEY (wheel_key, object)
) WITHOUT ROWID;
CREATE INDEX object_wheels_object ON object_wheels (object);

-- the stack that was realised from inputs with this digest
CREATE TABLE stack_cache (
    inputs_digest BLOB PRIMARY KEY,
    object        INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX stack_cache_object ON stack_cache (object);

-- archives that were packed from an object, of each level the last one; `packer` is the version of their format
CREATE TABLE archives (
    object        INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    level         INTEGER NOT NULL,
    packer        TEXT NOT NULL,
    size_bytes    INTEGER NOT NULL,
    sha256        BLOB NOT NULL CHECK (length(sha256) = 32),
    diff_id       BLOB NOT NULL CHECK (length(diff_id) = 32),
    index_digest  BLOB NOT NULL CHECK (length(index_digest) = 32),
    content_bytes INTEGER NOT NULL,
    PRIMARY KEY (object, level)
) WITHOUT ROWID;

-- the last use of an object, by realising or running: one row per object, written at most once a day
CREATE TABLE last_used (
    object  INTEGER PRIMARY KEY REFERENCES objects (id) ON DELETE CASCADE,
    used_on TEXT NOT NULL,
    used_by TEXT NOT NULL
);

CREATE TABLE profiles (
    name        TEXT PRIMARY KEY,
    last_number INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE generations (
    profile         TEXT NOT NULL REFERENCES profiles (name),
    number          INTEGER NOT NULL,
    object          INTEGER NOT NULL REFERENCES objects (id) ON DELETE RESTRICT,
    created_at      TEXT NOT NULL,
    spec_path       TEXT,
    spec_digest     BLOB,
    replaced_number INTEGER,
    PRIMARY KEY (profile, number)
) WITHOUT ROWID;
CREATE INDEX generations_object ON generations (object);
