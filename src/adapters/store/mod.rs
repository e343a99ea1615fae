//! The register, its audit record and its outbox in a database, SQLite or PostgreSQL; the one place that names `sqlx`.

pub mod accounts;
pub mod address;
pub mod audit;
pub mod bookkeeping;
pub mod browse;
pub mod census;
pub mod checking;
pub mod connection;
pub mod contacts;
pub mod customers;
pub mod fault;
pub mod leases;
pub mod moving;
pub mod outbox;
pub mod postgres;
pub mod postgres_schema;
pub mod readings;
pub mod register;
pub mod sql;
pub mod sqlite;
pub mod sqlite_file;
pub mod sqlite_schema;
pub mod suspensions;
pub mod sync_states;
pub mod tables;
pub mod tree;
