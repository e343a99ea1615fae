-- Whose time has come, found without going over all that wait.
CREATE INDEX outbox_due ON outbox (next_attempt, id) WHERE delivered_at IS NULL AND given_up_at IS NULL;

PRAGMA user_version = 17;
