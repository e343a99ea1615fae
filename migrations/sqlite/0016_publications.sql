-- What is known of an account at a target that it is published to. A row lives until the account left and the target
-- was told. `user_name` is the name to sign in with that the account is to have there, folded; `asked` and `confirmed`
-- are digests of what was last asked for and last seen there; `removal_at` is when the target's guard let the removal
-- through; `corrected` is a digest of the difference that was last set right.
CREATE TABLE publications (
    customer     TEXT    NOT NULL REFERENCES customers (name),
    target       TEXT    NOT NULL,
    account_type TEXT    NOT NULL CHECK (account_type IN ('EndUser', 'Administrator')),
    source       TEXT    NOT NULL CHECK (source IN ('directory', 'tenant')),
    id           TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    status       TEXT    NOT NULL CHECK (status IN ('waiting', 'published', 'drifted', 'conflict', 'failed', 'held',
                                                    'orphaned', 'deactivated', 'deleted')),
    cause        TEXT    NOT NULL,
    since        INTEGER NOT NULL,
    wanted       TEXT    NOT NULL CHECK (wanted IN ('present', 'absent')),
    user_name    TEXT,
    remote_id    TEXT,
    asked        TEXT,
    asked_at     INTEGER,
    confirmed    TEXT,
    removal_at   INTEGER,
    corrected    TEXT,
    PRIMARY KEY (customer, target, account_type, source, id)
) STRICT, WITHOUT ROWID;

-- Two accounts that are to have one name, the removals of the last day, and how many stand how.
CREATE INDEX publications_by_name ON publications (target, user_name, customer);
CREATE INDEX publications_by_status ON publications (target, status, wanted, removal_at);

-- Bookkeeping: how a target was last spoken to.
CREATE TABLE targets (
    target           TEXT    NOT NULL PRIMARY KEY,
    fault            TEXT,
    fault_since      INTEGER,
    compared_at      INTEGER,
    comparison_fault TEXT
) STRICT;

PRAGMA user_version = 16;
