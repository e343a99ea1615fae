-- How many removals began within a window, over all customers, without reading the whole record.
CREATE INDEX events_by_time ON events (at);

PRAGMA user_version = 3;
