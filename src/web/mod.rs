//! The HTTP interface: asks and answers, and decides nothing.

pub mod access;
pub mod answer;
pub mod attempts;
pub mod body;
pub mod fleet;
pub mod health;
pub mod metrics;
pub mod orders;
pub mod pages;
pub mod plans;
pub mod routes;
pub mod server;
pub mod sessions;
