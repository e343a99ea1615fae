//! Tenants in JSON snapshots.
