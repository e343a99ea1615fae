-- The register, version 1. Times are microseconds since 1970 in UTC; ids are GUIDs as text, so that
-- a person with a SQL prompt can find an account; booleans are 0 and 1.

-- A customer is known from its first commit on. `events` and `last_hash` are the head of its audit
-- record: an end that was cut off cannot be seen in the chain itself.
CREATE TABLE customers (
    name      TEXT    NOT NULL PRIMARY KEY,
    revision  INTEGER NOT NULL CHECK (revision > 0),
    pins      TEXT    NOT NULL,
    events    INTEGER NOT NULL CHECK (events >= 0),
    last_hash TEXT,
    CHECK ((events = 0) = (last_hash IS NULL))
) STRICT;

CREATE TABLE accounts (
    customer            TEXT    NOT NULL REFERENCES customers (name),
    account_type        TEXT    NOT NULL CHECK (account_type IN ('EndUser', 'Administrator')),
    source              TEXT    NOT NULL CHECK (source IN ('directory', 'tenant')),
    id                  TEXT    NOT NULL,
    directory           TEXT,
    sam_account_name    TEXT    NOT NULL,
    user_principal_name TEXT,
    display_name        TEXT    NOT NULL,
    email               TEXT,
    mobile_phone        TEXT,
    tenant_user_id      TEXT,
    password_sync       INTEGER NOT NULL CHECK (password_sync IN (0, 1)),
    state               TEXT    NOT NULL,
    since               INTEGER,
    until               INTEGER,
    reason              TEXT,
    approved            INTEGER CHECK (approved IN (0, 1)),
    policy              TEXT    NOT NULL,
    tree_revision       TEXT    NOT NULL,
    run                 TEXT    NOT NULL,
    imported_at         INTEGER NOT NULL,
    -- When a removal last began that nobody had approved: what the removal limit counts.
    removal_began_at    INTEGER,
    PRIMARY KEY (customer, account_type, source, id),
    CHECK (CASE state
        WHEN 'active' THEN
            since IS NULL AND until IS NULL AND reason IS NULL AND approved IS NULL
        WHEN 'pendingRemoval' THEN
            since IS NOT NULL AND until IS NOT NULL AND reason IS NOT NULL AND approved IS NULL
        WHEN 'orphaned' THEN
            since IS NOT NULL AND until IS NULL AND reason IS NULL AND approved IS NULL
        WHEN 'removed' THEN
            since IS NOT NULL AND until IS NULL AND reason IS NOT NULL AND approved IS NOT NULL
        ELSE FALSE
    END)
) STRICT, WITHOUT ROWID;

CREATE INDEX accounts_removed ON accounts (customer, since) WHERE state = 'removed';

-- The audit record. `id` is the order over all customers; `sequence` and `hash` chain one
-- customer's events.
CREATE TABLE events (
    id            INTEGER NOT NULL PRIMARY KEY,
    customer      TEXT    NOT NULL REFERENCES customers (name),
    sequence      INTEGER NOT NULL CHECK (sequence > 0),
    at            INTEGER NOT NULL,
    run           TEXT    NOT NULL,
    tree_revision TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    account_type  TEXT CHECK (account_type IN ('EndUser', 'Administrator')),
    account_id    TEXT,
    subject       TEXT    NOT NULL,
    details       TEXT    NOT NULL,
    hash          TEXT    NOT NULL,
    UNIQUE (customer, sequence),
    CHECK ((account_type IS NULL) = (account_id IS NULL))
) STRICT;

CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'the audit record is append-only');
END;

CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'the audit record is append-only');
END;

-- What must happen outside. AUTOINCREMENT: the number of a delivery that was pruned is never given
-- to another one.
CREATE TABLE outbox (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    customer     TEXT    NOT NULL REFERENCES customers (name),
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

CREATE INDEX outbox_waiting ON outbox (destination, customer, id)
    WHERE delivered_at IS NULL AND given_up_at IS NULL;
CREATE INDEX outbox_delivered ON outbox (delivered_at) WHERE delivered_at IS NOT NULL;

CREATE TABLE holds (
    customer    TEXT    NOT NULL REFERENCES customers (name),
    approval    TEXT    NOT NULL,
    position    INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    used_at     INTEGER,
    -- How many accounts the limit was a share of: a JSON object by account type.
    bases       TEXT    NOT NULL,
    PRIMARY KEY (customer, approval)
) STRICT, WITHOUT ROWID;

-- Bookkeeping: may be there before a customer's first commit.
CREATE TABLE statuses (
    customer      TEXT    NOT NULL PRIMARY KEY,
    state         TEXT    NOT NULL,
    last_attempt  INTEGER NOT NULL,
    last_success  INTEGER,
    failures      INTEGER NOT NULL CHECK (failures >= 0),
    next_attempt  INTEGER,
    tree_revision TEXT    NOT NULL,
    message       TEXT    NOT NULL
) STRICT;

-- `ids`: GUIDs of 16 bytes each, one after the other. The tenant's `name` is empty.
CREATE TABLE measures (
    customer TEXT NOT NULL,
    source   TEXT NOT NULL CHECK (source IN ('directory', 'tenant')),
    name     TEXT NOT NULL,
    ids      BLOB NOT NULL CHECK (LENGTH(ids) % 16 = 0),
    PRIMARY KEY (customer, source, name)
) STRICT;

-- "INTK": whose file this is.
PRAGMA application_id = 1229870155;
PRAGMA user_version = 1;
