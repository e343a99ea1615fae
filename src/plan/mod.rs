//! From an observation to a plan: pure, total, deterministic. A file a stage.

pub mod correlate;
pub mod desire;
pub mod diff;
pub mod discover;
pub mod fleet_limit;
pub mod guard;
pub mod identify;
pub mod index;
pub mod licence;
pub mod listings;
pub mod membership;
pub mod outcome;
pub mod patterns;
pub mod planner;
pub mod prove;
pub mod refusal;
pub mod report;
pub mod screen;
pub mod select;
pub mod tenant_scope;
pub mod tenant_verdict;
