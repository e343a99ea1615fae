//! The operator's file, and the only reader of the environment and of secrets.

pub mod managed_identity;
pub mod operator;
pub mod operator_document;
pub mod person;
pub mod secrets;
