//! A file a product: what talks to systems outside, behind the traits of `ports`.

pub mod directory_object;
pub mod directory_object_value;
pub mod folder;
pub mod folder_watch;
pub mod graph;
pub mod graph_listing;
pub mod graph_token;
pub mod http;
pub mod http_patience;
pub mod ldap;
pub mod ldap_backlinks;
pub mod ldap_confirm;
pub mod ldap_connection;
pub mod ldap_fault;
pub mod ldap_harvest;
pub mod ldap_kerberos;
pub mod ldap_kerberos_fault;
pub mod ldap_search;
pub mod ldif;
pub mod ldif_record;
pub mod snapshot;
pub mod store;
pub mod tenant_object;
pub mod webhook;
