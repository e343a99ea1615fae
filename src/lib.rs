//! Intake: GitOps for account imports. `ARCHITECTURE.md` tells how the rooms fit together.

pub mod adapters;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod model;
pub mod plan;
pub mod policy;
pub mod ports;
pub mod reconcile;
pub mod web;
