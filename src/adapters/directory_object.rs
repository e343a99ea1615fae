//! What an Active Directory object looks like: attributes to people, groups and containers. Shared by `ldap` and `ldif`.
