-- What leads from an older schema to the one in schema.sql, step by step.

-- to 2: last use. What is there already counts as used on the day of the migration, so that nothing goes early.
CREATE TABLE uses (
    object  INTEGER PRIMARY KEY REFERENCES objects (id) ON DELETE CASCADE,
    used_on TEXT NOT NULL,
    used_by TEXT NOT NULL
);
INSERT INTO uses SELECT id, date('now'), '' FROM objects;
