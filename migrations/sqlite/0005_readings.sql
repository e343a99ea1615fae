-- The last complete readings of each customer, for `explain --cached`. Bookkeeping: nothing is planned
-- from it. `content`: compressed; `digest`: over what it holds before compression.
CREATE TABLE readings (
    customer TEXT    NOT NULL PRIMARY KEY,
    at       INTEGER NOT NULL,
    digest   TEXT    NOT NULL,
    content  BLOB    NOT NULL
) STRICT;

PRAGMA user_version = 5;
