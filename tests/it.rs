//! All integration tests, in one binary.
#![allow(missing_docs, reason = "tests document themselves by their names")]

mod commands;
mod controller;
mod directories;
mod house;
mod laws;
mod policies;
mod quickstart;
mod register;
mod scenarios;
mod support;
mod tenants;
