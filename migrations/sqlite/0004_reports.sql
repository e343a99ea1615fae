-- What a provider bills from, as of the last turn that read everything: people in a scope without a
-- licence that counts, and licensed people outside of every scope.
ALTER TABLE statuses ADD COLUMN in_scope_without_license INTEGER;
ALTER TABLE statuses ADD COLUMN licensed_outside_scope INTEGER;

PRAGMA user_version = 4;
