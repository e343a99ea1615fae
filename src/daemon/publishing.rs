//! When targets are compared with what was published to them: the publisher knows whose time has come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::model::text::Text;
use crate::ports::leases::{Claim, Leases, Wish, of_target};
use crate::reconcile::publish::Publisher;

/// How often it is asked whose time has come.
const EVERY: Duration = Duration::from_secs(60);

/// Looks for drift until `stop` is cancelled. Each target has a task of its own: one that is listed slowly delays no
/// other. Where replicas share the work, one of them at a time compares a target.
pub async fn look_for_drift(
    publisher: Arc<Publisher>,
    leases: Option<Arc<dyn Leases>>,
    stop: CancellationToken,
) {
    let mut looking: JoinSet<()> = JoinSet::new();
    let mut targets: BTreeMap<Id, Text> = BTreeMap::new();
    loop {
        let due = publisher.due_targets().await.unwrap_or_else(|fault| {
            tracing::error!("targets could not be compared: {fault}");
            Vec::new()
        });
        for target in due {
            if targets.values().any(|under_way| *under_way == target) {
                continue;
            }
            let (publisher, leases, there) = (publisher.clone(), leases.clone(), target.clone());
            let handle = looking.spawn(async move {
                match leases {
                    Some(leases) => look_alone(&publisher, &there, &*leases).await,
                    None => look(&publisher, &there).await,
                }
            });
            targets.insert(handle.id(), target);
        }
        let mut pause = std::pin::pin!(tokio::time::sleep(EVERY));
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(ended) = looking.join_next_with_id() => {
                    let id = ended.as_ref().map_or_else(|error| error.id(), |(id, ())| *id);
                    let target = targets.remove(&id);
                    if let Err(error) = ended {
                        tracing::error!("comparing a target failed inside Intake: {error}");
                        if let (Some(target), Some(leases)) = (&target, &leases) {
                            leases.abandon(&of_target(target));
                        }
                    }
                }
                () = &mut pause => break,
            }
        }
    }
}

async fn look(publisher: &Publisher, target: &Text) {
    if let Err(fault) = publisher.look_at(target).await {
        tracing::error!(%target, "the target could not be compared: {fault}");
    }
}

/// Looks if no other replica does. Whoever waited finds that it is not due any more.
async fn look_alone(publisher: &Publisher, target: &Text, leases: &dyn Leases) {
    let name = of_target(target);
    let wish = Wish { name: name.clone(), fingerprint: None, is_asked: false, tree_revision: None };
    match leases.claim(&wish).await {
        Ok(Claim::Held) => {}
        Ok(Claim::Elsewhere(_) | Claim::NotDue(_) | Claim::OtherTree) => return,
        Err(fault) => {
            tracing::error!(%target, "the target is not compared: {fault}");
            return;
        }
    }
    look(publisher, target).await;
    if let Err(fault) = leases.release(&name, None).await {
        tracing::warn!(%target, "its lease ends by itself: {fault}");
    }
}
