-- Which contacts the customer's document chose for an account, where the last look could not follow that: a JSON
-- array of ids. Rows of earlier versions have none until they are looked at again.
ALTER TABLE contact_matches ADD COLUMN unfollowed TEXT NOT NULL DEFAULT '[]';

-- Every plan asks for them, and hardly ever is there one.
CREATE INDEX contact_matches_unfollowed ON contact_matches (customer) WHERE unfollowed <> '[]';

PRAGMA user_version = 12;
