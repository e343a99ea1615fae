-- What is known of an account at a target that it is published to. A row lives until the account left and the target
-- was told. `user_name` is the name to sign in with that the account is to have there, folded; `asked` and `confirmed`
-- are digests of what was last asked for and last seen there; `removal_at` is when the target's guard let the removal
-- through; `corrected` is a digest of the difference that was last set right.
CREATE TABLE publications (
    customer     TEXT COLLATE "C" NOT NULL REFERENCES customers (name),
    target       TEXT COLLATE "C" NOT NULL,
    account_type TEXT COLLATE "C" NOT NULL CHECK (account_type IN ('EndUser', 'Administrator')),
    source       TEXT COLLATE "C" NOT NULL CHECK (source IN ('directory', 'tenant')),
    id           TEXT COLLATE "C" NOT NULL,
    subject      TEXT COLLATE "C" NOT NULL,
    status       TEXT COLLATE "C" NOT NULL CHECK (status IN ('waiting', 'published', 'drifted', 'conflict', 'failed', 'held',
                                                    'orphaned', 'deactivated', 'deleted')),
    cause        TEXT COLLATE "C" NOT NULL,
    since        BIGINT NOT NULL,
    wanted       TEXT COLLATE "C" NOT NULL CHECK (wanted IN ('present', 'absent')),
    user_name    TEXT COLLATE "C",
    remote_id    TEXT COLLATE "C",
    asked        TEXT COLLATE "C",
    asked_at     BIGINT,
    confirmed    TEXT COLLATE "C",
    removal_at   BIGINT,
    corrected    TEXT COLLATE "C",
    PRIMARY KEY (customer, target, account_type, source, id)
);

-- Two accounts that are to have one name, however long it is, the removals of the last day, and how many stand how.
CREATE INDEX publications_by_name ON publications USING HASH (user_name);
CREATE INDEX publications_by_status ON publications (target, status, wanted, removal_at);

-- Bookkeeping: how a target was last spoken to.
CREATE TABLE targets (
    target           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    fault            TEXT COLLATE "C",
    fault_since      BIGINT,
    compared_at      BIGINT,
    comparison_fault TEXT COLLATE "C"
);

UPDATE intake_schema SET version = 3;
