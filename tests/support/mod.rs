//! What tests start and stop: servers, fakes, folders.
#![allow(dead_code, reason = "benchmarks use parts of it")]

pub mod graph;
pub mod samba;
pub mod slapd;
