//! The outbox and the destinations behind it: what must happen outside, until it did.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::reading::Fault;
use crate::model::register::{Attempted, Delivery};
use crate::model::text::Text;
use crate::ports::register::RegisterFault;

/// Deliveries that are due, written by the same transaction as what they tell of.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Returns the destinations of the operator's file that deliveries wait for, also those whose time has not come.
    async fn addresses(&self) -> Result<Vec<Text>, RegisterFault>;
    /// Returns deliveries to one destination of the operator's file whose time has come, oldest first, at most `limit`.
    /// Of one customer and lane only the oldest is returned, so that they arrive in order.
    async fn due_at(&self, address: &str, now: Timestamp, limit: u32)
    -> Result<Vec<Delivery>, RegisterFault>;
    /// Takes deliveries that are due for oneself until a moment; returns those that nobody else took, made or gave up
    /// meanwhile. Whoever ends without a word leaves them to others from that moment on.
    async fn claim(
        &self,
        ids: &[i64],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<BTreeSet<i64>, RegisterFault>;
    /// Records what came of attempts: of all of them, or of none.
    async fn settle(&self, attempts: &[Attempted], at: Timestamp) -> Result<(), RegisterFault>;
}

/// Where deliveries go.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Delivers once. Must be safe to repeat: the outbox delivers at least once.
    async fn deliver(&self, delivery: &Delivery) -> Result<(), Fault>;

    /// Returns how many deliveries with lanes it takes together; 1 for one that takes each for itself.
    fn at_once(&self) -> usize {
        1
    }

    /// Delivers several that were taken together, each for itself: one result for each, in their order.
    async fn deliver_all(&self, deliveries: &[Delivery]) -> Vec<Result<(), Fault>> {
        let mut results = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            results.push(self.deliver(delivery).await);
        }
        results
    }
}
