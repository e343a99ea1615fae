//! When turns happen: intervals, wake-ups, back-off, shutdown. Never what they do.
