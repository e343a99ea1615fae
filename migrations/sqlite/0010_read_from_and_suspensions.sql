-- Which sources the readings that are kept were made of: a JSON object, {"directories": {NAME: DIGEST},
-- "tenant": DIGEST or null, "groups": "all" or {"named": [...]}}. NULL in those of earlier versions.
ALTER TABLE readings ADD COLUMN read_from TEXT;

-- Customers that somebody suspended by command, as long as they are. Those that their document suspends
-- are not here.
CREATE TABLE suspensions (
    customer     TEXT    NOT NULL PRIMARY KEY REFERENCES customers (name),
    suspended_at INTEGER NOT NULL,
    suspended_by TEXT    NOT NULL,
    reason       TEXT    NOT NULL
) STRICT;

PRAGMA user_version = 10;
