//! From an observation to a plan: pure, total, deterministic. A file a stage.

pub mod outcome;
pub mod planner;
pub mod report;
