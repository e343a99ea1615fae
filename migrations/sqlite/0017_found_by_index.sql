-- The oldest deliveries whose time has come, without going over those that were made; and how one account stands at all
-- targets.
CREATE INDEX outbox_due ON outbox (id, next_attempt, destination, customer)
    WHERE delivered_at IS NULL AND given_up_at IS NULL;
CREATE INDEX publications_of_account ON publications (customer, id);

PRAGMA user_version = 17;
