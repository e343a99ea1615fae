//! A controller that runs elsewhere, as a command that asks it wishes it were.

use async_trait::async_trait;

use crate::model::reading::Fault;
use crate::ports::candidate::{Candidate, Forecast};

/// A controller that runs elsewhere.
#[async_trait]
pub trait RunningController: Send + Sync {
    /// Asks what a candidate would do, from the controller's latest complete readings. It writes nothing.
    ///
    /// # Errors
    /// A [`Fault`] if it cannot be reached, refuses, or is no controller.
    async fn plan(&self, candidate: Candidate) -> Result<Forecast, Fault>;
}
