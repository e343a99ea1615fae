-- Which contact of a documentation system stands for an account, or why none does. `candidates` is a JSON
-- array. A row lives as long as its account, removed ones included: who returns has their contact.
CREATE TABLE contact_matches (
    customer        TEXT    NOT NULL REFERENCES customers (name),
    connection      TEXT    NOT NULL,
    organization    TEXT    NOT NULL,
    account_type    TEXT    NOT NULL CHECK (account_type IN ('EndUser', 'Administrator')),
    source          TEXT    NOT NULL CHECK (source IN ('directory', 'tenant')),
    id              TEXT    NOT NULL,
    status          TEXT    NOT NULL CHECK (status IN ('matched', 'unmatched', 'ambiguous', 'failed')),
    contact         TEXT,
    matched_by      TEXT,
    cause           TEXT    NOT NULL,
    candidates      TEXT    NOT NULL,
    candidate_count INTEGER NOT NULL CHECK (candidate_count >= 0),
    since           INTEGER NOT NULL,
    -- When a missing contact was asked for: once is all.
    asked_at        INTEGER,
    PRIMARY KEY (customer, connection, account_type, source, id),
    CHECK ((status = 'matched') = (matched_by IS NOT NULL)),
    CHECK (status <> 'matched' OR contact IS NOT NULL)
) STRICT, WITHOUT ROWID;

-- Bookkeeping: how looking into a documentation system last went for a customer, and for which organisation.
-- `saw_organization`: whether that was ever among those that the key may see.
CREATE TABLE documentation_statuses (
    customer         TEXT    NOT NULL,
    connection       TEXT    NOT NULL,
    organization     TEXT    NOT NULL,
    last_attempt     INTEGER NOT NULL,
    last_success     INTEGER,
    fault            TEXT,
    saw_organization INTEGER NOT NULL CHECK (saw_organization IN (0, 1)),
    PRIMARY KEY (customer, connection)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 11;
