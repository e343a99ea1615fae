//! The register: the laws that every store keeps, and what SQLite's must bear besides.
#![allow(clippy::unwrap_used, reason = "the permission for tests covers no function that a test calls")]

mod browse;
mod census;
mod contract;
mod damage;
mod faults;
mod leases;
mod moving;
mod publications;
pub(crate) mod sample;
mod server;
mod sharing;
