//! Directories over LDAP.
