-- Where each directory was last read, and who was out of the desired set there. Bookkeeping.
-- `seen_out`: GUIDs of 16 bytes each, one after the other.
CREATE TABLE sightings (
    customer  TEXT NOT NULL,
    directory TEXT NOT NULL,
    server    TEXT NOT NULL,
    seen_out  BLOB NOT NULL CHECK (LENGTH(seen_out) % 16 = 0),
    PRIMARY KEY (customer, directory)
) STRICT;

PRAGMA user_version = 2;
