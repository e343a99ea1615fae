//! What the controller may ask for: turns, and who is known. It decides when, never what.

use std::time::Duration;

use async_trait::async_trait;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use crate::model::event::ChainHead;
use crate::model::text::{Text, inert};
use crate::plan::outcome::{CustomerState, Summary};
use crate::ports::register::RegisterFault;
use crate::ports::source::{Progress, Unwatched};
use crate::reconcile::judge::{Job, TurnFault};
use crate::reconcile::turn::{Reconciler, TurnOutcome, why};

/// Under which name of the log it is told that a turn wrote, by whatever command.
pub const APPLIED: &str = "intake::applied";

/// Carries out turns for the controller.
#[async_trait]
pub trait Turns: Send + Sync {
    /// Returns the customers that the register knows.
    async fn known(&self) -> Result<Vec<Text>, RegisterFault>;
    /// Carries out one turn. `next` says how long the wait until the next one is.
    async fn turn(&self, job: Job, tree_revision: Text, next: Next, stop: CancellationToken) -> TurnResult;
}

/// Says how long the wait after a turn is.
pub type Next = Arc<dyn Fn(&Went) -> Duration + Send + Sync>;

/// What came of a turn: how it went, or why it could not even be tried.
pub type TurnResult = Result<Went, TurnFault>;

/// How a turn went, as far as the controller and its log care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Went {
    /// The customer's state.
    pub state: CustomerState,
    /// What was planned.
    pub summary: Summary,
    /// Where the audit record ends, if accounts, events or deliveries were written.
    pub wrote: Option<ChainHead>,
    /// How many turns in a row could not read the customer.
    pub failures: u32,
    /// How long a source asked to be left alone.
    pub retry_after: Option<Duration>,
    /// Why the customer is not ready, or what somebody should know although it is.
    pub message: String,
}

impl Went {
    /// Sums up an outcome.
    pub fn of(outcome: &TurnOutcome) -> Self {
        Self {
            state: outcome.plan.state,
            summary: outcome.plan.summary,
            wrote: outcome.wrote.map(|wrote| wrote.head),
            failures: outcome.failures,
            retry_after: outcome.unread.retry_after,
            message: why(&outcome.plan, &outcome.unread),
        }
    }

    /// Logs what was written, if anything was, with the end of the customer's audit record: who keeps
    /// the log elsewhere can prove by it that nothing was cut off.
    pub fn log_applied(&self, customer: &Text, again_in_seconds: Option<u64>) {
        let Some(head) = self.wrote else { return };
        let summary = self.summary;
        tracing::info!(target: APPLIED, customer = %inert(customer), state = self.state.code(),
            added = summary.add, updated = summary.update, removed = summary.remove, held = summary.hold,
            events = head.events, head = head.hash.map(tracing::field::display), again_in_seconds, "applied");
    }
}

#[async_trait]
impl Turns for Reconciler {
    async fn known(&self) -> Result<Vec<Text>, RegisterFault> {
        self.register().customers().await
    }

    async fn turn(&self, job: Job, tree_revision: Text, next: Next, stop: CancellationToken) -> TurnResult {
        let progress: Arc<dyn Progress> = Arc::new(Unwatched);
        let wait = move |outcome: &TurnOutcome| Some(next(&Went::of(outcome)));
        let outcome = Self::turn(self, &job, &tree_revision, &progress, &wait, &stop).await?;
        Ok(Went::of(&outcome))
    }
}
