//! When documentation systems are looked into: soon after somebody's turn, and never one system more often than
//! it can bear.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::daemon::controller::until;
use crate::daemon::desk::Desk;
use crate::model::text::Text;
use crate::ports::leases::{Claim, Done, Leases, Wish, of_documentation};
use crate::reconcile::documentation::Documenter;

/// How often a documentation system is looked into at the most. One sweep is for everybody who waits: however
/// many customers share a key, it costs what the system holds, so often.
#[derive(Debug, Clone, Copy)]
pub struct Gaps {
    /// How long the first who waits for a system waits for others.
    pub gather: Duration,
    /// From the beginning of one sweep to the beginning of the next.
    pub least: Duration,
    /// The same, in times that the last sweep took: a system with a million contacts has rest, too.
    pub per_sweep: u32,
}

impl Default for Gaps {
    fn default() -> Self {
        Self { gather: Duration::from_secs(2), least: Duration::from_secs(60), per_sweep: 4 }
    }
}

impl Gaps {
    /// How long from the beginning of a sweep that has just ended to the next one.
    fn after(self, began: Instant) -> Duration {
        self.least.max(began.elapsed().saturating_mul(self.per_sweep))
    }
}

/// From the beginning of one replica's look to that of another one's at the least: limits of documentation systems are
/// counted over up to five minutes, and each replica counts for itself.
const BETWEEN_REPLICAS: Duration = Duration::from_secs(300);

/// Looks for contacts until `stop` is cancelled. Each system has a task of its own: one that is away delays no
/// other. Where replicas share the work, one of them at a time looks into a system, for those whose turns it made.
pub async fn look_for_contacts(
    documenter: Arc<Documenter>,
    leases: Option<Arc<dyn Leases>>,
    desk: Arc<Desk>,
    gaps: Gaps,
    stop: CancellationToken,
) {
    // What ends tells how long another replica keeps this one from the system.
    let mut looking: JoinSet<Option<Duration>> = JoinSet::new();
    let mut names: BTreeMap<Text, Id> = BTreeMap::new();
    let mut not_before: BTreeMap<Text, Instant> = BTreeMap::new();
    let mut began: BTreeMap<Text, Instant> = BTreeMap::new();
    loop {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        for (_, name) in documenter.wanted() {
            if names.contains_key(&name) {
                continue;
            }
            let due = *not_before.entry(name.clone()).or_insert(now + gaps.gather);
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            began.insert(name.clone(), now);
            let (documenter, desk, connection) = (documenter.clone(), desk.clone(), name.clone());
            let leases = leases.clone();
            let handle = looking.spawn(async move {
                let elsewhere = match leases {
                    Some(leases) => look_alone(&documenter, &connection, &*leases, gaps).await,
                    None => {
                        look(&documenter, &connection).await;
                        None
                    }
                };
                // Plans tell which choices of contacts could not be followed.
                desk.bulletin().changed(None);
                elsewhere
            });
            names.insert(name, handle.id());
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(ended) = looking.join_next_with_id() => {
                let (id, elsewhere) = match &ended {
                    Ok((id, elsewhere)) => (*id, *elsewhere),
                    Err(error) => (error.id(), None),
                };
                let name = names.iter().find(|(_, known)| **known == id).map(|(name, _)| name.clone());
                if let Err(error) = ended {
                    tracing::error!("looking for contacts failed inside Intake: {error}");
                    if let (Some(name), Some(leases)) = (&name, &leases) {
                        leases.abandon(&of_documentation(name));
                    }
                }
                if let Some(name) = name {
                    names.remove(&name);
                    let began = began.remove(&name).unwrap_or_else(Instant::now);
                    let next = elsewhere.map_or_else(|| began + gaps.after(began), |after| Instant::now() + after);
                    not_before.insert(name, next);
                }
            }
            () = documenter.rung() => {}
            () = until(next) => {}
        }
    }
}

async fn look(documenter: &Documenter, connection: &Text) {
    if let Err(fault) = documenter.look(connection).await {
        tracing::error!(%connection, "contacts could not be recorded: {fault}");
    }
}

/// Looks if no other replica does, nor did a moment ago; returns how long one of them is to be waited for.
async fn look_alone(
    documenter: &Documenter,
    connection: &Text,
    leases: &dyn Leases,
    gaps: Gaps,
) -> Option<Duration> {
    let name = of_documentation(connection);
    let wish = Wish { name: name.clone(), fingerprint: None, is_asked: false, tree_revision: None };
    match leases.claim(&wish).await {
        Ok(Claim::Held) => {}
        Ok(Claim::Elsewhere(after) | Claim::NotDue(after)) => return Some(after),
        Ok(Claim::OtherTree) => return Some(gaps.least),
        Err(fault) => {
            tracing::error!(%connection, "contacts are not looked for: {fault}");
            return Some(gaps.least);
        }
    }
    let began = Instant::now();
    look(documenter, connection).await;
    let due_after = gaps.after(began).max(BETWEEN_REPLICAS).saturating_sub(began.elapsed());
    if let Err(fault) = leases.release(&name, Some(Done { due_after, fingerprint: None })).await {
        tracing::warn!(%connection, "its lease ends by itself: {fault}");
    }
    None
}
