//! HTTP for all adapters: one client, tokens, patience, redaction.
