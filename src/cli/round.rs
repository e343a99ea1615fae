//! Plans many customers at once; the failure of one stops no other.

use std::sync::Arc;

use futures_util::StreamExt as _;

use crate::cli::exit::{Exit, Failure};
use crate::cli::progress::Bar;
use crate::model::text::Text;
use crate::plan::outcome::{CustomerPlan, Plan};
use crate::plan::planner::unite;
use crate::policy::limits::FleetLimit;
use crate::ports::register::{RegisterFault, RegisterReader};
use crate::ports::source::Progress;
use crate::reconcile::fleet_room::keep_in_order;
use crate::reconcile::judge::{Job, Judge, Judged, TurnFault};

/// The plans of many customers.
pub struct Round {
    /// Each customer's, sorted by name.
    pub judged: Vec<(Job, Judged)>,
    /// Why there is no plan for others.
    pub failed: Vec<Failure>,
}

impl Round {
    /// Reads and plans customers, `at_once` at a time.
    pub async fn judge(judge: &Judge, jobs: Vec<Job>, at_once: usize, bar: &Bar) -> Self {
        bar.begin(jobs.len());
        let results: Vec<_> = futures_util::stream::iter(jobs)
            .map(|job| async move {
                let judged = Self::one(judge, job, &bar.customer()).await;
                bar.customer_done();
                judged
            })
            .buffer_unordered(at_once.max(1))
            .collect()
            .await;
        bar.end();
        Self::of(results)
    }

    /// Reads and plans one customer.
    pub async fn one(
        judge: &Judge,
        job: Job,
        progress: &Arc<dyn Progress>,
    ) -> (Job, Result<Judged, TurnFault>) {
        let judged = judge.judge(&job, progress).await;
        // A fleet's readings together would not fit into memory, and nobody needs them.
        (job, judged.map(Judged::without_readings))
    }

    /// Collects what came of all.
    pub fn of(results: impl IntoIterator<Item = (Job, Result<Judged, TurnFault>)>) -> Self {
        let mut results: Vec<_> = results.into_iter().collect();
        results.sort_by(|(left, _), (right, _)| left.name().cmp(right.name()));
        let mut round = Self { judged: Vec::new(), failed: Vec::new() };
        for (job, judged) in results {
            match judged {
                Ok(judged) if is_of_interest(&job, &judged) => round.judged.push((job, judged)),
                Ok(_) => {}
                Err(fault) => round.failed.push(fault.into()),
            }
        }
        round
    }

    /// Holds whole customers, in the order of their names, whose removals the fleet has no room for.
    ///
    /// # Errors
    /// The register's.
    pub async fn keep_fleet_limit(
        &mut self,
        register: &dyn RegisterReader,
        limit: FleetLimit,
    ) -> Result<(), RegisterFault> {
        let planned = self.judged.iter_mut().map(|(_, judged)| {
            let Judged { plan, observation, .. } = judged;
            (plan, &observation.register, observation.at)
        });
        keep_in_order(planned.collect(), register, limit).await
    }

    /// Unites the plans.
    pub fn plan(&self, revision: &Text) -> Plan {
        unite(revision.clone(), self.judged.iter().map(|(_, judged)| judged.plan.clone()).collect())
    }

    /// Unites the plans, and forgets what they were computed from.
    pub fn into_plan(self, revision: &Text) -> Plan {
        let plans: Vec<CustomerPlan> = self.judged.into_iter().map(|(_, judged)| judged.plan).collect();
        unite(revision.clone(), plans)
    }
}

/// A customer that left the tree, and whose accounts are forgotten, is none any more.
fn is_of_interest(job: &Job, judged: &Judged) -> bool {
    matches!(job, Job::Listed(_)) || !judged.observation.register.accounts.is_empty()
}

/// Returns how a round of planning ends: by its worst customer, and an invalid tree is an error.
pub fn exit_of(plan: &Plan, has_problems: bool) -> Exit {
    let customers = plan.customers.iter().map(Exit::of).max().unwrap_or(Exit::Done);
    if has_problems { Exit::Error } else { customers }
}

/// Whether carrying out a plan writes accounts.
pub fn writes(plan: &CustomerPlan) -> bool {
    crate::reconcile::apply::may_write(plan)
        && plan.summary.add + plan.summary.update + plan.summary.remove > 0
}
