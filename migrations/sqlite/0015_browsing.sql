-- What lists are filtered by is in the index, so that a search goes over it alone.
CREATE INDEX accounts_listed
    ON accounts (customer, listed_as, id, account_type, source, state, reason, searched);

-- The history of one account, and where in a customer's record a period begins and ends, without going over all
-- of it.
CREATE INDEX events_by_account ON events (customer, account_id, sequence) WHERE account_id IS NOT NULL;
CREATE INDEX events_by_customer_time ON events (customer, at, sequence);

PRAGMA user_version = 15;
