//! All integration tests, in one binary.
#![allow(missing_docs, reason = "tests document themselves by their names")]
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod commands;
mod contacts;
mod controller;
mod directories;
mod documentation;
mod formats;
mod fuzzed;
mod git;
mod house;
mod laws;
mod metrics;
mod pages;
mod policies;
mod publishing;
mod quickstart;
mod register;
mod replicas;
mod scenarios;
mod sign_in;
mod simulation;
mod support;
mod tenants;
mod traces;
mod web;
