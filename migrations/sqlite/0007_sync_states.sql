-- What the next reading of a tenant goes on from, for customers with `refresh: delta`. Bookkeeping: a
-- state that is lost costs one full reading. `generation`: how often it was kept. `position` holds a
-- token of the service, `content` everybody as of there, compressed.
CREATE TABLE sync_states (
    customer   TEXT    NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL,
    position   BLOB    NOT NULL,
    content    BLOB    NOT NULL
) STRICT;

PRAGMA user_version = 7;
