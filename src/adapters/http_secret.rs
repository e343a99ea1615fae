//! Secrets that are read anew whenever they are needed: one that was replaced is worth nothing from then on.

use std::sync::Arc;

use secrecy::SecretString;

/// Reads a secret as it is now, or says why it cannot be read.
pub type ReadSecret = Arc<dyn Fn() -> Result<SecretString, String> + Send + Sync>;
