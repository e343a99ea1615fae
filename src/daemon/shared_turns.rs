//! Turns of replicas that share one register: each is made by one of them, by the tree that is in force, and ends when
//! another one takes it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::daemon::schedule::Taken;
use crate::daemon::turns::{Next, TurnResult, Turns};
use crate::model::duration::Seconds;
use crate::model::reading::Fault;
use crate::model::text::{Text, inert};
use crate::ports::clock::Clock;
use crate::ports::leases::{Claim, Done, Due, Leases, Wish, of_customer};
use crate::ports::register::{RegisterFault, RegisterReader};
use crate::ports::source::Progress;
use crate::ports::tree::TreeReading;
use crate::reconcile::judge::Job;

/// After how long a tree in force that nobody looked at is none of another replica: those look every minute.
pub const LEFT: Seconds = Seconds(600);

/// How long a replica leaves a turn to others at the most that is due: each waits for another part of it.
const FAIRNESS: Duration = Duration::from_millis(250);

/// Turns that are shared.
pub struct SharedTurns {
    turns: Arc<dyn Turns>,
    leases: Arc<dyn Leases>,
    register: Arc<dyn RegisterReader>,
    clock: Arc<dyn Clock>,
    /// Returns numbers from 0 to 1.
    random: fn() -> f64,
    /// Turns under way, by the name of their lease, and what ends them.
    under_way: Mutex<BTreeMap<Text, CancellationToken>>,
    /// The revision of the tree that this process read last, and whether another one was in force then.
    read: Mutex<(Option<Text>, bool)>,
}

impl SharedTurns {
    /// Makes turns that are shared by leases. `turns` must write a customer only while its lease is held.
    pub fn new(
        turns: Arc<dyn Turns>,
        leases: Arc<dyn Leases>,
        register: Arc<dyn RegisterReader>,
        clock: Arc<dyn Clock>,
        random: fn() -> f64,
    ) -> Self {
        Self { turns, leases, register, clock, random, under_way: Mutex::default(), read: Mutex::default() }
    }

    /// Keeps leases until `stop` is cancelled and nothing is under way any more. A turn whose lease was lost is ended:
    /// it could write nothing.
    pub async fn keep_leases(&self, stop: CancellationToken) {
        let every = self.leases.length() / 4;
        loop {
            tokio::time::sleep(every).await;
            if stop.is_cancelled() && self.under_way().is_empty() {
                return;
            }
            match self.leases.renew().await {
                Ok(lost) => lost.iter().for_each(|name| self.end(name)),
                Err(fault) => tracing::warn!("leases were not renewed: {fault}"),
            }
        }
    }

    fn end(&self, name: &Text) {
        if let Some(stop) = self.under_way().get(name) {
            tracing::warn!(lease = %inert(name), "another replica has taken over: the turn ends here");
            stop.cancel();
        }
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, BTreeMap<Text, CancellationToken>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Turns for SharedTurns {
    async fn known(&self) -> Result<Vec<Text>, RegisterFault> {
        self.turns.known().await
    }

    /// Puts a tree into force if it is news: this process has just read it for the first time, and it is no remainder
    /// of an earlier day. Otherwise the one that another replica put into force stays.
    async fn tree(&self, read: &Result<TreeReading, Fault>) -> Result<(), RegisterFault> {
        let Ok(reading) = read else { return self.turns.tree(read).await };
        let mine = &reading.fleet.revision;
        let in_force = self.register.tree().await?;
        let now = self.clock.now();
        let is_other = in_force.as_ref().is_some_and(|in_force| in_force.revision != *mine);
        let is_news = {
            let mut before = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            // One that nobody looked at for long is no other replica's.
            let is_left = in_force.as_ref().is_some_and(|tree| LEFT.before(now) > tree.looked_at);
            let is_news = (before.0.as_ref() != Some(mine) && reading.behind.is_none()) || is_left;
            let was_told = std::mem::replace(&mut before.1, is_other && !is_news);
            if is_other && !is_news && !was_told {
                let other = in_force.as_ref().map(|tree| tree.revision.clone()).unwrap_or_default();
                tracing::warn!(revision = %mine, in_force = %other,
                    "another replica has another tree in force: no turns here until both have the same");
            }
            is_news
        };
        if is_other && !is_news {
            return Ok(());
        }
        self.turns.tree(read).await?;
        // Only now: what could not be written is still news.
        self.read.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(mine.clone());
        if is_other || in_force.is_none() {
            self.leases.tell_of_tree().await?;
        }
        Ok(())
    }

    async fn due(&self) -> Result<BTreeMap<Text, Due>, RegisterFault> {
        self.leases.due_turns().await
    }

    async fn claim(&self, taken: &Taken, tree_revision: &Text) -> Result<Claim, RegisterFault> {
        let wish = Wish {
            name: of_customer(&taken.name),
            fingerprint: Some(taken.fingerprint),
            is_asked: taken.is_asked,
            tree_revision: Some(tree_revision.clone()),
        };
        if !taken.is_asked {
            // Where many are due at once, as after a change of the tree, who is first would take all of them.
            tokio::time::sleep(FAIRNESS.mul_f64((self.random)())).await;
        }
        self.leases.claim(&wish).await
    }

    async fn release(&self, taken: &Taken, due_after: Option<Duration>) {
        let done = due_after.map(|due_after| Done { due_after, fingerprint: Some(taken.fingerprint) });
        if let Err(fault) = self.leases.release(&of_customer(&taken.name), done).await {
            tracing::warn!(customer = %inert(&taken.name), "its lease ends by itself: {fault}");
        }
    }

    fn abandon(&self, taken: &Taken) {
        let lease = of_customer(&taken.name);
        self.under_way().remove(&lease);
        self.leases.abandon(&lease);
    }

    async fn turn(
        &self,
        job: Job,
        tree_revision: Text,
        progress: Arc<dyn Progress>,
        next: Next,
        stop: CancellationToken,
    ) -> TurnResult {
        let lease = of_customer(job.name());
        let stop = stop.child_token();
        self.under_way().insert(lease.clone(), stop.clone());
        let result = self.turns.turn(job, tree_revision, progress, next, stop).await;
        self.under_way().remove(&lease);
        result
    }
}
