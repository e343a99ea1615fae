//! A file a product: what talks to systems outside, behind the traits of `ports`.

pub mod directory_object;
pub mod folder;
pub mod folder_watch;
pub mod graph;
pub mod http;
pub mod ldap;
pub mod ldif;
pub mod snapshot;
pub mod store;
pub mod webhook;
