//! The register: the laws that every store keeps, and what SQLite's must bear besides.

mod contract;
mod sample;
