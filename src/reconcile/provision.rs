//! Publishing, the doing half: takes what was asked for to one target, as it is wanted by then, and records what came
//! of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::json;

use crate::model::event::{EventKind, NewEvent};
use crate::model::publication::{
    OnRemoval, Presence, Publication, PublicationRecord, PublicationStatus, PublishedUser, TargetRules,
    refusal,
};
use crate::model::reading::{Fault, FaultKind};
use crate::model::register::Delivery;
use crate::model::text::Text;
use crate::plan::publish::{external_id, gone, user_of};
use crate::plan::publish_drift::told;
use crate::ports::clock::Clock;
use crate::ports::in_force::SuspendedInTree;
use crate::ports::outbox::Destination;
use crate::ports::publishing::{Landing, Order, Publications, Seen, Standing, Targets, Want};
use crate::ports::register::RegisterFault;
use crate::reconcile::publish::{Asked, telling};

/// How many publications are taken there at once.
const AT_ONCE: usize = 64;

/// Takes publications to one target.
pub struct Provisioner {
    /// The target of the operator's file.
    pub target: Text,
    /// What opens it.
    pub targets: Arc<dyn Targets>,
    /// What is known of it.
    pub publications: Arc<dyn Publications>,
    /// Whom the tree suspends.
    pub tree: Arc<dyn SuspendedInTree>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Makes the id under which changes are recorded.
    pub new_run: fn() -> Text,
}

/// What is to be done about one delivery.
struct Errand {
    /// Which of the deliveries it is.
    place: usize,
    customer: Text,
    tree_revision: Text,
    known: Publication,
    /// What is wanted by now; `None` where it was confirmed before.
    order: Option<Order>,
    /// The user that is wanted, if any is.
    user: Option<PublishedUser>,
}

impl Provisioner {
    fn rules(&self) -> TargetRules {
        self.targets.rules().get(&self.target).copied().unwrap_or_default()
    }

    /// Finds out what is wanted by now of some deliveries of one customer.
    async fn errands(
        &self,
        customer: &Text,
        deliveries: &[(usize, Asked)],
        results: &mut BTreeMap<usize, Result<(), Fault>>,
    ) -> Vec<Errand> {
        let keys: Vec<_> = deliveries.iter().map(|(_, asked)| asked.key()).collect();
        let standing = match self.publications.standing(customer, &self.target, &keys).await {
            Ok(standing) => standing,
            Err(fault) => {
                let fault = unrecorded(&fault);
                results.extend(deliveries.iter().map(|(place, _)| (*place, Err(fault.clone()))));
                return Vec::new();
            }
        };
        let is_suspended = standing.is_suspended || self.tree.suspends(customer);
        let mut errands = Vec::new();
        for (place, asked) in deliveries {
            if is_suspended {
                let what = "the customer is suspended: nothing is written";
                results.insert(*place, Err(Fault::new(FaultKind::Refused, what)));
                continue;
            }
            match self.errand(*place, customer, asked, &standing) {
                Some(errand) => errands.push(errand),
                // Nobody wants it any more, or somebody asked for something newer since.
                None => {
                    results.insert(*place, Ok(()));
                }
            }
        }
        errands
    }

    fn errand(&self, place: usize, customer: &Text, asked: &Asked, standing: &Standing) -> Option<Errand> {
        let key = asked.key();
        let known = standing.publications.iter().find(|known| known.account == key)?;
        let is_newest = known.asked_at.is_some_and(|at| at.as_microsecond() == asked.asked_at);
        if known.status != PublicationStatus::Waiting || !is_newest {
            return None;
        }
        let account = standing.accounts.iter().find(|account| account.key == key);
        let account = account.filter(|account| account.state.is_imported());
        let rules = self.rules();
        let order = |want| Order {
            external_id: external_id(customer, key),
            remote_id: known.remote_id.clone(),
            want,
            adopt: rules.adopt,
            refused: known.corrected,
        };
        let (order, user) = match (known.wanted, account) {
            (Presence::Present, Some(account)) => {
                let user = user_of(customer, account).ok()?;
                let is_there = known.remote_id.is_some() && known.confirmed == Some(user.digest());
                ((!is_there).then(|| order(Want::Present(user.clone()))), Some(user))
            }
            (Presence::Absent, None) => {
                let want = match rules.on_removal {
                    OnRemoval::Deactivate => Want::Inactive,
                    OnRemoval::Delete => Want::Deleted,
                };
                (Some(order(want)), None)
            }
            // It changed sides since; whoever compares next asks for what is wanted now, under the guard.
            (Presence::Present, None) | (Presence::Absent, Some(_)) => return None,
        };
        let (customer, tree_revision) = (customer.clone(), asked.tree_revision.clone());
        Some(Errand { place, customer, tree_revision, known: known.clone(), order, user })
    }

    /// Records how the target was spoken to, where that is news.
    async fn note(&self, outcomes: &[Result<Landing, Fault>]) -> Result<(), RegisterFault> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let statuses = self.publications.target_statuses().await?;
        let before = statuses.into_iter().find(|status| status.target == self.target);
        // Where anybody landed it is about the others, and their publications say so.
        let fault = match outcomes.iter().any(Result::is_ok) {
            true => None,
            false => outcomes.iter().find_map(|outcome| outcome.as_ref().err().map(Fault::with_hint)),
        };
        let is_known = before.is_some_and(|before| {
            before.compared_at.is_some() && before.fault.map(|(fault, _)| fault) == fault
        });
        match is_known {
            true => Ok(()),
            false => {
                let at = self.clock.now();
                self.publications.record_answer(&self.target, fault.as_deref(), at).await
            }
        }
    }
}

#[async_trait]
impl Destination for Provisioner {
    async fn deliver(&self, delivery: &Delivery) -> Result<(), Fault> {
        let mut results = self.deliver_all(std::slice::from_ref(delivery)).await;
        results.pop().unwrap_or(Ok(()))
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    async fn deliver_all(&self, deliveries: &[Delivery]) -> Vec<Result<(), Fault>> {
        let mut results: BTreeMap<usize, Result<(), Fault>> = BTreeMap::new();
        let mut by_customer: BTreeMap<Text, Vec<(usize, Asked)>> = BTreeMap::new();
        for (place, delivery) in deliveries.iter().enumerate() {
            match Asked::deserialize(&delivery.body) {
                Ok(asked) => by_customer.entry(delivery.customer.clone()).or_default().push((place, asked)),
                Err(error) => {
                    let what = format!("the outbox holds what Intake never writes: {error}");
                    results.insert(place, Err(Fault::new(FaultKind::Refused, what)));
                }
            }
        }
        let mut errands = Vec::new();
        for (customer, asked) in &by_customer {
            errands.extend(self.errands(customer, asked, &mut results).await);
        }
        // Who gives a name up goes before who gets it.
        errands.sort_by_key(|errand| errand.known.remote_id.is_none());
        let orders: Vec<Order> = errands.iter().filter_map(|errand| errand.order.clone()).collect();
        let outcomes = match orders.is_empty() {
            true => Vec::new(),
            false => match self.targets.open(&self.target) {
                Ok(port) => port.bring(&orders).await,
                Err(fault) => orders.iter().map(|_| Err(fault.clone())).collect(),
            },
        };
        if let Err(fault) = self.note(&outcomes).await {
            tracing::error!(target = %self.target, "how the target answered could not be recorded: {fault}");
        }
        let mut outcomes = outcomes.into_iter();
        let mut landed: BTreeMap<Text, Vec<(Errand, Landing)>> = BTreeMap::new();
        for errand in errands {
            let outcome = match (&errand.order, &errand.known.remote_id) {
                (None, Some(id)) => Ok(Landing::Unchanged(Seen { id: id.clone(), differences: [].into() })),
                _ => outcomes.next().unwrap_or_else(|| {
                    Err(Fault::new(FaultKind::Transient, "nothing came of it inside Intake"))
                }),
            };
            match outcome {
                Ok(landing) => landed.entry(errand.customer.clone()).or_default().push((errand, landing)),
                Err(fault) => {
                    results.insert(errand.place, Err(fault));
                }
            }
        }
        let on_removal = self.rules().on_removal;
        for (customer, landed) in landed {
            let at = self.clock.now();
            // Of what was asked for by several trees, the last one's.
            let tree_revision = landed.last().map(|(errand, _)| errand.tree_revision.clone());
            let (mut written, mut events) = (Vec::new(), Vec::new());
            for (errand, landing) in &landed {
                let (known, told) = after(errand, landing, on_removal, at);
                written.push(known);
                events.extend(told);
            }
            let read = landed.iter().map(|(errand, _)| errand.known.clone()).collect();
            let record = PublicationRecord {
                customer,
                run: (self.new_run)(),
                tree_revision: tree_revision.unwrap_or_default(),
                at,
                read,
                counted: None,
                written,
                forgotten: Vec::new(),
                events,
                deliveries: Vec::new(),
            };
            let recorded =
                self.publications.record(record).await.map(|_| ()).map_err(|fault| unrecorded(&fault));
            results.extend(landed.iter().map(|(errand, _)| (errand.place, recorded.clone())));
        }
        results.into_values().collect()
    }
}

/// What came of it is done again: that is safe, and no fault of the target.
fn unrecorded(fault: &RegisterFault) -> Fault {
    Fault::new(FaultKind::Refused, fault.to_string())
}

/// Returns what is known after an errand, and what is told of it.
fn after(
    errand: &Errand,
    landing: &Landing,
    on_removal: OnRemoval,
    at: Timestamp,
) -> (Publication, Vec<NewEvent>) {
    let before = &errand.known;
    let digest = errand.user.as_ref().map(PublishedUser::digest);
    let mut known = Publication { since: at, ..before.clone() };
    let mut kinds = Vec::new();
    let mut besides = json!({});
    let is_shown = |known: &mut Publication, seen: &Seen| {
        known.remote_id = Some(seen.id.clone());
        known.asked = digest;
        known.confirmed = digest;
        known.cause = told(&seen.differences);
        known.status = match seen.differences.is_empty() {
            true => PublicationStatus::Published,
            false => PublicationStatus::Drifted,
        };
        (known.status == PublicationStatus::Drifted && known.cause != before.cause)
            .then_some(EventKind::PublicationDrifted)
    };
    match landing {
        Landing::Created(seen) => {
            let drifted = is_shown(&mut known, seen);
            kinds.push(EventKind::PublicationCreated);
            kinds.extend(drifted);
        }
        Landing::Updated(seen, fields) => {
            let drifted = is_shown(&mut known, seen);
            // Found, and not made: by an attempt that nobody recorded, or taken over.
            let is_new = before.remote_id.is_none();
            besides = json!({"fields": fields, "found": is_new});
            kinds.push(if is_new { EventKind::PublicationCreated } else { EventKind::PublicationUpdated });
            kinds.extend(drifted);
        }
        Landing::Unchanged(seen) => {
            kinds.extend(is_shown(&mut known, seen));
            if before.remote_id.is_none() {
                besides = json!({"found": true});
                kinds.push(EventKind::PublicationCreated);
            }
        }
        Landing::Inactive(id) => {
            known.remote_id = Some(id.clone());
            (known.asked, known.confirmed) = (None, None);
            known.status = PublicationStatus::Deactivated;
            known.cause = match on_removal {
                OnRemoval::Deactivate => String::new(),
                OnRemoval::Delete => "the target deletes nobody: the user is inactive".to_owned(),
            };
            kinds.push(EventKind::PublicationDeactivated);
        }
        Landing::Deleted | Landing::Gone => {
            let was_there = before.remote_id.is_some();
            (known.remote_id, known.asked, known.confirmed) = (None, None, None);
            (known.status, known.cause) = (gone(on_removal), String::new());
            if *landing == Landing::Deleted {
                known.status = PublicationStatus::Deleted;
                kinds.push(EventKind::PublicationDeleted);
            } else if was_there {
                besides = json!({"gone": true});
                kinds.push(match on_removal {
                    OnRemoval::Deactivate => EventKind::PublicationDeactivated,
                    OnRemoval::Delete => EventKind::PublicationDeleted,
                });
            }
        }
        Landing::Conflict(cause) | Landing::Refused(cause) | Landing::Stranger(_, cause) => {
            let is_conflict = !matches!(landing, Landing::Refused(_));
            // Remembered, so that it is not taken for the account's by what the target wrote on it.
            if let Landing::Stranger(id, _) = landing {
                known.remote_id = None;
                known.corrected = Some(refusal(&external_id(&errand.customer, before.account), id));
            }
            known.status = if is_conflict { PublicationStatus::Conflict } else { PublicationStatus::Failed };
            known.asked = digest;
            known.confirmed = None;
            // A person was told of it.
            if *cause != before.cause {
                kinds.push(match is_conflict {
                    true => EventKind::PublicationConflict,
                    false => EventKind::PublicationFailed,
                });
            }
            known.cause = cause.clone();
        }
    }
    let events = kinds
        .into_iter()
        .map(|kind| telling(&errand.customer, kind, Some(before), &known, besides.clone()))
        .collect();
    (known, events)
}
