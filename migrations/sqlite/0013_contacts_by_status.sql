-- Contacts are counted whenever somebody reads the metrics. With the key behind it, this index holds all that a
-- count needs, without the candidates, which are large.
CREATE INDEX contact_matches_by_status ON contact_matches (customer, connection, status);

PRAGMA user_version = 13;
