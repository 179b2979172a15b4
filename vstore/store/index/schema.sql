-- Schema 3. The schema itself refuses what must not happen: forgetting an object that another
-- object or a generation refers to fails, whatever the program thinks.

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

CREATE TABLE refs (
    referrer  INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    reference INTEGER NOT NULL REFERENCES objects (id) ON DELETE RESTRICT,
    PRIMARY KEY (referrer, reference),
    CHECK (referrer <> reference)
) WITHOUT ROWID;
CREATE INDEX refs_reference ON refs (reference);

-- what an object was built from and does not refer to: it is kept as long as the object is
CREATE TABLE inputs (
    object INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    input  INTEGER NOT NULL REFERENCES objects (id) ON DELETE RESTRICT,
    PRIMARY KEY (object, input),
    CHECK (object <> input)
) WITHOUT ROWID;
CREATE INDEX inputs_input ON inputs (input);

CREATE TABLE realisations (
    recipe     BLOB PRIMARY KEY CHECK (length(recipe) = 32),
    object     INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    seconds    REAL,
    created_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX realisations_object ON realisations (object);

-- "this object holds the part named key": a wheel compiled by an interpreter, for instance
CREATE TABLE parts (
    key    BLOB NOT NULL,
    object INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    PRIMARY KEY (key, object)
) WITHOUT ROWID;
CREATE INDEX parts_object ON parts (object);

-- remembered answers: the digest of all inputs of a question -> the object that answers it
CREATE TABLE memos (
    key    BLOB PRIMARY KEY,
    object INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX memos_object ON memos (object);

-- when an object was last used, by realising or running: one row per object, written at most once a day
CREATE TABLE uses (
    object  INTEGER PRIMARY KEY REFERENCES objects (id) ON DELETE CASCADE,
    used_on TEXT NOT NULL,
    used_by TEXT NOT NULL
);

CREATE TABLE profiles (
    name        TEXT PRIMARY KEY,
    last_number INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE generations (
    profile     TEXT NOT NULL REFERENCES profiles (name),
    number      INTEGER NOT NULL,
    object      INTEGER NOT NULL REFERENCES objects (id) ON DELETE RESTRICT,
    created_at  TEXT NOT NULL,
    spec_path   TEXT,
    spec_digest BLOB,
    replaced    INTEGER,
    PRIMARY KEY (profile, number)
) WITHOUT ROWID;
CREATE INDEX generations_object ON generations (object);
