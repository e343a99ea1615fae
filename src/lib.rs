//! Intake: GitOps for account imports. `ARCHITECTURE.md` tells how the rooms fit together.

pub mod model;
pub mod plan;
pub mod policy;
pub mod ports;
