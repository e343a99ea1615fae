//! Whoever notices that the policy tree changed.

use async_trait::async_trait;

/// Notices changes of the policy tree. It may miss some and report too many: whoever listens
/// reads the whole tree again, and reads it once in a while unasked.
#[async_trait]
pub trait Watch: Send {
    /// Waits until something changed. Never returns where nothing can be watched.
    ///
    /// Safe to drop while it waits: no change is lost by that.
    async fn changed(&mut self);
    /// Makes sure that what is watched is still the tree: a folder that was replaced is another
    /// folder. Does not wait for it.
    fn rearm(&mut self);
}
