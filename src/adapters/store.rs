//! The register in SQLite.
