//! From files to a fleet: documents as written, checked, and resolved to what applies to whom.

pub mod fleet;
