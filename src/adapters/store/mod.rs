//! The register, its audit record and its outbox in SQLite; the one place that names `sqlx`.

pub mod accounts;
pub mod address;
pub mod audit;
pub mod bookkeeping;
pub mod browse;
pub mod census;
pub mod connection;
pub mod contacts;
pub mod customers;
pub mod fault;
pub mod outbox;
pub mod publications;
pub mod readings;
pub mod register;
pub mod schema;
pub mod suspensions;
pub mod sync_states;
pub mod tree;
