//! The operator's file, and the only reader of the environment and of secrets.
