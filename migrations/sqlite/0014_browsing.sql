-- For whoever looks around: `listed_as` is the name by which an account stands in lists, `searched` all that
-- somebody may call it, both in lower case. The index holds what lists are filtered by, so that a search goes
-- over it alone. What is not ASCII is written anew by the program, in the same transaction.
ALTER TABLE accounts ADD COLUMN listed_as TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN searched TEXT NOT NULL DEFAULT '';

CREATE INDEX accounts_listed
    ON accounts (customer, listed_as, id, account_type, source, state, reason, searched);

-- The history of one account, without going over its customer's whole record.
CREATE INDEX events_by_account ON events (customer, account_id, sequence) WHERE account_id IS NOT NULL;

PRAGMA user_version = 14;
