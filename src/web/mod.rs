//! The HTTP interface: asks and answers, and decides nothing.

pub mod access;
pub mod accounts;
pub mod answer;
pub mod asked;
pub mod attempts;
pub mod body;
pub mod customers;
pub mod decisions;
pub mod endpoints;
pub mod entity_tag;
pub mod events;
pub mod fleet;
pub mod health;
pub mod matches;
pub mod metrics;
pub mod openapi;
pub mod orders;
pub mod pages;
pub mod patience;
pub mod plans;
pub mod proxies;
pub mod routes;
pub mod server;
pub mod sessions;
pub mod stream;
