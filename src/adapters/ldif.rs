//! Directories in LDIF files.
