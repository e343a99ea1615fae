//! When turns happen: intervals, wake-ups, back-off, shutdown. Never what they do.

pub mod bulletin;
pub mod control;
pub mod controller;
pub mod desk;
pub mod documentation;
pub mod inquiry;
pub mod lately;
pub mod publishing;
pub mod readiness;
pub mod schedule;
pub mod shared_turns;
pub mod signals;
pub mod turns;
