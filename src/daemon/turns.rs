//! What the controller may ask for: turns, and who is known. It decides when, never what.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::daemon::schedule::Taken;
use crate::model::reading::Fault;
use crate::model::text::Text;
use crate::model::tree_status::TreeStatus;
use crate::plan::outcome::{CustomerState, Summary};
use crate::ports::leases::{Claim, Due};
use crate::ports::register::RegisterFault;
use crate::ports::source::Progress;
use crate::ports::tree::TreeReading;
use crate::reconcile::judge::{Job, TurnFault};
use crate::reconcile::turn::{Reconciler, TurnOutcome, why};

/// Carries out turns for the controller.
#[async_trait]
pub trait Turns: Send + Sync {
    /// Returns the customers that the register knows.
    async fn known(&self) -> Result<Vec<Text>, RegisterFault>;
    /// Records which tree is in force, or why no other one is.
    async fn tree(&self, read: &Result<TreeReading, Fault>) -> Result<(), RegisterFault>;
    /// Returns when customers' turns are next due that other processes have made, if they share the work.
    async fn due(&self) -> Result<BTreeMap<Text, Due>, RegisterFault> {
        Ok(BTreeMap::new())
    }
    /// Takes a customer for this process alone, if other processes share the work; otherwise it is this one's anyway.
    async fn claim(&self, taken: &Taken, tree_revision: &Text) -> Result<Claim, RegisterFault> {
        let _ = (taken, tree_revision);
        Ok(Claim::Held)
    }
    /// Gives a customer back that was claimed, after its turn: the next one is due after a while, or with `None` as if
    /// this one had not been.
    async fn release(&self, taken: &Taken, due_after: Option<Duration>) {
        let _ = (taken, due_after);
    }
    /// Leaves a customer to others that was claimed, without a word: its turn failed inside.
    fn abandon(&self, taken: &Taken) {
        let _ = taken;
    }
    /// Carries out one turn. `next` says how long the wait until the next one is; `progress` is told how far
    /// it reads.
    async fn turn(
        &self,
        job: Job,
        tree_revision: Text,
        progress: Arc<dyn Progress>,
        next: Next,
        stop: CancellationToken,
    ) -> TurnResult;
}

/// Says how long the wait after a turn is.
pub type Next = Arc<dyn Fn(&Went) -> Duration + Send + Sync>;

/// What came of a turn that was due: it was made, or it is not this process's to make.
pub(crate) enum Turned {
    /// It was tried.
    Made(TurnResult),
    /// It was not.
    NotHere(Claim),
}

/// What came of a turn: how it went, or why it could not even be tried.
pub type TurnResult = Result<Went, TurnFault>;

/// How a turn went, as far as the controller and its log care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Went {
    /// The customer's state.
    pub state: CustomerState,
    /// What was planned.
    pub summary: Summary,
    /// Whether accounts, events or deliveries were written.
    pub wrote: bool,
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
            wrote: outcome.wrote.is_some(),
            failures: outcome.failures,
            retry_after: outcome.unread.retry_after,
            message: why(&outcome.plan, &outcome.unread),
        }
    }
}

#[async_trait]
impl Turns for Reconciler {
    async fn known(&self) -> Result<Vec<Text>, RegisterFault> {
        self.register().customers().await
    }

    async fn tree(&self, read: &Result<TreeReading, Fault>) -> Result<(), RegisterFault> {
        let now = self.now();
        let reading = match read {
            Ok(reading) => reading,
            Err(fault) => return self.register().record_tree_fault(&fault.with_hint(), now).await,
        };
        let status = TreeStatus {
            source: reading.source.clone(),
            revision: reading.fleet.revision.clone(),
            commit: reading.commit.clone(),
            since: now,
            looked_at: now,
            problems: reading.problems.len() as u64,
            fault: reading.behind.as_ref().map(|fault| (fault.with_hint(), now)),
        };
        self.register().record_tree(&status).await
    }

    async fn turn(
        &self,
        job: Job,
        tree_revision: Text,
        progress: Arc<dyn Progress>,
        next: Next,
        stop: CancellationToken,
    ) -> TurnResult {
        let wait = move |outcome: &TurnOutcome| Some(next(&Went::of(outcome)));
        let outcome = Self::turn(self, &job, &tree_revision, &progress, &wait, &stop).await?;
        Ok(Went::of(&outcome))
    }
}
