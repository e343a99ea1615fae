//! Every outside system as the program wishes it were, in the program's own words.

pub mod access;
pub mod browse;
pub mod candidate;
pub mod census;
pub mod clock;
pub mod control;
pub mod controller;
pub mod documentation;
pub mod feed;
pub mod in_force;
pub mod inquiry;
pub mod leases;
pub mod meter;
pub mod moving;
pub mod outbox;
pub mod publishing;
pub mod readiness;
pub mod register;
pub mod shared_question;
pub mod sign_in;
pub mod source;
pub mod tree;
pub mod watch;
