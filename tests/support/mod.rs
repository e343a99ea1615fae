//! What tests start and stop: servers, fakes, folders.
#![allow(dead_code, unreachable_pub, reason = "benchmarks use parts of it, from other places")]

pub mod application_key;
pub mod asking;
pub mod browser;
pub mod certificates;
pub mod contoso;
pub mod git_server;
pub mod graph;
mod graph_assertion;
mod graph_delta;
pub mod graph_groups;
mod graph_server;
pub mod intake;
pub mod kerberos;
pub mod ldap_proxy;
pub mod ldif_text;
pub mod measure;
pub mod others;
pub mod postgres;
pub mod process;
pub mod receiver;
pub mod samba;
pub mod scripted_server;
pub mod slapd;
pub mod terminal;
pub mod wire;
