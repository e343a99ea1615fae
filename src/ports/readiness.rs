//! Whether the program can do its work.

use async_trait::async_trait;

/// Knows whether the program can do its work.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Returns nothing if it can, else a sentence for people that says why not.
    async fn obstacle(&self) -> Option<String>;
}
