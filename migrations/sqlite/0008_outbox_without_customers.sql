-- Deliveries also tell of customers that no turn has written yet: one that cannot be read at its first
-- turn has a status and a notice of it, and no row in `customers`. So the outbox refers to none.
CREATE TABLE outbox_of_anybody (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    customer     TEXT    NOT NULL,
    destination  TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    body         TEXT    NOT NULL,
    attempts     INTEGER NOT NULL CHECK (attempts >= 0),
    next_attempt INTEGER NOT NULL,
    delivered_at INTEGER,
    given_up_at  INTEGER,
    last_error   TEXT,
    UNIQUE (destination, key)
) STRICT;

-- The number of a delivery that was pruned is still never given to another one.
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'outbox_of_anybody', seq FROM sqlite_sequence WHERE name = 'outbox';
INSERT INTO outbox_of_anybody
    SELECT id, customer, destination, key, body, attempts, next_attempt, delivered_at, given_up_at, last_error
    FROM outbox;

DROP TABLE outbox;
ALTER TABLE outbox_of_anybody RENAME TO outbox;
CREATE INDEX outbox_waiting ON outbox (destination, customer, id)
    WHERE delivered_at IS NULL AND given_up_at IS NULL;
CREATE INDEX outbox_delivered ON outbox (delivered_at) WHERE delivered_at IS NOT NULL;

PRAGMA user_version = 8;
