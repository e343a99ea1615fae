//! A controller that runs elsewhere, as a command that asks it wishes it were.

use async_trait::async_trait;

use crate::model::reading::Fault;
use crate::ports::candidate::{Candidate, Forecast};
use crate::ports::control::{Order, Reply};

/// A controller that runs elsewhere.
#[async_trait]
pub trait RunningController: Send + Sync {
    /// Asks what a candidate would do, from the controller's latest complete readings. It writes nothing.
    ///
    /// # Errors
    /// A [`Fault`] if it cannot be reached, refuses, or is no controller.
    async fn plan(&self, candidate: Candidate) -> Result<Forecast, Fault>;
    /// Gives an order about one customer.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    async fn order(&self, customer: &str, order: &Order) -> Result<Reply, Fault>;
}
