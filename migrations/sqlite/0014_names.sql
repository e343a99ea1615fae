-- For whoever looks around: `listed_as` is the name by which an account stands in lists, `searched` all that
-- somebody may call it, both in lower case. Filled by the program, in the same transaction: SQLite knows the lower
-- case of ASCII alone.
ALTER TABLE accounts ADD COLUMN listed_as TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN searched TEXT NOT NULL DEFAULT '';

PRAGMA user_version = 14;
