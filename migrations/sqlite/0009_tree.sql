-- The policy tree that is in force: one row. Bookkeeping of the controller, for `status`. `since` belongs
-- to `revision`, `fault_since` to the fault that lasts.
CREATE TABLE tree (
    one         INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    source      TEXT    NOT NULL,
    revision    TEXT    NOT NULL,
    authored    TEXT,
    author      TEXT,
    since       INTEGER NOT NULL,
    looked_at   INTEGER NOT NULL,
    problems    INTEGER NOT NULL,
    fault       TEXT,
    fault_since INTEGER
) STRICT;

PRAGMA user_version = 9;
