-- Who does what, where several replicas share the work. A name is what only one of them may do at a time:
-- `customer/NAME`, `documentation/CONNECTION`. `fence` counts how often it was taken: whoever writes proves in the same
-- transaction that nobody took it since. A row without a holder is free; one whose time is over, too.
CREATE TABLE leases (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder     TEXT COLLATE "C" NOT NULL,
    fence      BIGINT NOT NULL CHECK (fence >= 0),
    expires_at BIGINT NOT NULL,
    -- When it is to be done next, and by what it was last done: another fingerprint is due now.
    due_at     BIGINT NOT NULL,
    done_for   TEXT COLLATE "C" NOT NULL
);

CREATE INDEX leases_held ON leases (holder) WHERE holder <> '';

-- The server's clock: those of replicas may differ.
CREATE FUNCTION intake_now() RETURNS BIGINT
    LANGUAGE SQL VOLATILE PARALLEL SAFE
    RETURN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

UPDATE intake_schema SET version = 2;
