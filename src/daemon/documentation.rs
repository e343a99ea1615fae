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

/// Looks for contacts until `stop` is cancelled. Each system has a task of its own: one that is away delays no
/// other.
pub async fn look_for_contacts(
    documenter: Arc<Documenter>,
    desk: Arc<Desk>,
    gaps: Gaps,
    stop: CancellationToken,
) {
    let mut looking: JoinSet<()> = JoinSet::new();
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
            let handle = looking.spawn(async move {
                if let Err(fault) = documenter.look(&connection).await {
                    tracing::error!(%connection, "contacts could not be recorded: {fault}");
                }
                // Plans tell which choices of contacts could not be followed.
                desk.bulletin().changed(None);
            });
            names.insert(name, handle.id());
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(ended) = looking.join_next_with_id() => {
                let id = match &ended {
                    Ok((id, ())) => *id,
                    Err(error) => error.id(),
                };
                if let Err(error) = ended {
                    tracing::error!("looking for contacts failed inside Intake: {error}");
                }
                let name = names.iter().find(|(_, known)| **known == id).map(|(name, _)| name.clone());
                if let Some(name) = name {
                    names.remove(&name);
                    let began = began.remove(&name).unwrap_or_else(Instant::now);
                    let gap = gaps.least.max(began.elapsed().saturating_mul(gaps.per_sweep));
                    not_before.insert(name, began + gap);
                }
            }
            () = documenter.rung() => {}
            () = until(next) => {}
        }
    }
}
