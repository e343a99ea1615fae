//! What tests start and stop: servers, fakes, folders.
#![allow(dead_code, unreachable_pub, reason = "benchmarks use parts of it")]

pub mod graph;
mod graph_server;
pub mod samba;
pub mod slapd;
