//! What happened since the start of the process, counted for Prometheus.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use crate::model::account::{AccountType, Verdict};
use crate::model::text::Text;
use crate::plan::outcome::{Action, CustomerPlan};
use crate::ports::meter::{Answered, Asked, Attempt, Meter, Stage, Turn};

/// The upper ends of the buckets that durations are sorted into, in seconds: from one transaction to the
/// first reading of a very large customer.
const BUCKETS: [f64; 10] = [0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0];

/// How a turn is counted that ended without a plan.
pub(crate) const FAILED: &str = "failed";

/// Counts what happens.
#[derive(Debug)]
pub struct PrometheusMeter {
    tallies: Mutex<Tallies>,
    stages: BTreeMap<Stage, Histogram>,
}

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    /// What was written, by customer and action.
    pub(crate) operations: BTreeMap<(Text, Action), u64>,
    /// Turns by how they ended: a customer's state, or [`FAILED`].
    pub(crate) turns: BTreeMap<&'static str, u64>,
    /// What the last plan of each customer said.
    pub(crate) plans: BTreeMap<Text, LastPlan>,
    /// How often who was asked with what outcome.
    pub(crate) asked: BTreeMap<(Asked, Answered), u64>,
    /// How long who made readings wait.
    pub(crate) waited: BTreeMap<Asked, Duration>,
    /// Attempts at deliveries.
    pub(crate) deliveries: BTreeMap<Attempt, u64>,
}

/// What a plan said of its customer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LastPlan {
    /// How many removals guards keep back.
    pub(crate) held: u64,
    /// How many candidates are not imported, or kept as they are, and why.
    pub(crate) candidates: BTreeMap<(AccountType, Verdict), u64>,
}

impl LastPlan {
    fn of(plan: &CustomerPlan) -> Self {
        let left_out = plan.not_imported.iter().map(|candidate| (candidate.account_type, candidate.verdict));
        let kept = plan.kept.iter().map(|account| (account.account_type, account.verdict));
        let mut candidates = BTreeMap::new();
        for key in left_out.chain(kept) {
            *candidates.entry(key).or_default() += 1;
        }
        Self { held: plan.summary.hold, candidates }
    }
}

impl Default for PrometheusMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl PrometheusMeter {
    /// Makes one that counted nothing yet.
    pub fn new() -> Self {
        let stages = Stage::ALL.into_iter().map(|stage| (stage, Histogram::new(BUCKETS))).collect();
        Self { tallies: Mutex::default(), stages }
    }

    /// Returns what was counted.
    pub(crate) fn tallies(&self) -> MutexGuard<'_, Tallies> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how long the parts of turns took.
    pub(crate) fn stages(&self) -> &BTreeMap<Stage, Histogram> {
        &self.stages
    }
}

impl Meter for PrometheusMeter {
    fn took(&self, stage: Stage, time: Duration) {
        if let Some(histogram) = self.stages.get(&stage) {
            histogram.observe(time.as_secs_f64());
        }
    }

    fn wrote(&self, plan: &CustomerPlan) {
        let mut tallies = self.tallies();
        for operation in plan.operations.iter().filter(|operation| operation.action != Action::Hold) {
            *tallies.operations.entry((plan.name.clone(), operation.action)).or_default() += 1;
        }
    }

    fn turned(&self, turn: Turn<'_>) {
        let mut tallies = self.tallies();
        let outcome = match turn {
            Turn::Planned(plan) => {
                tallies.plans.insert(plan.name.clone(), LastPlan::of(plan));
                plan.state.code()
            }
            Turn::Failed => FAILED,
        };
        *tallies.turns.entry(outcome).or_default() += 1;
    }

    fn made_elsewhere(&self, customer: &str) {
        self.tallies().plans.remove(customer);
    }

    fn asked(&self, whom: Asked, answered: Answered) {
        *self.tallies().asked.entry((whom, answered)).or_default() += 1;
    }

    fn waited(&self, whom: Asked, time: Duration) {
        *self.tallies().waited.entry(whom).or_default() += time;
    }

    fn delivered(&self, attempt: Attempt) {
        *self.tallies().deliveries.entry(attempt).or_default() += 1;
    }
}
