-- What each decision was computed from: a JSON object of digests, {"directories": {NAME: DIGEST},
-- "tenant": DIGEST or null}. NULL in events of earlier versions, whose hashes do not cover it.
ALTER TABLE events ADD COLUMN readings TEXT;

PRAGMA user_version = 6;
