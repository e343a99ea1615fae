//! What other programs are told of a turn: CloudEvents 1.0 in their JSON form
//! (cloudevents.io, "JSON Event Format for CloudEvents", version 1.0.2).

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::model::register::{CustomerStatus, NewDelivery};
use crate::model::text::Text;
use crate::plan::outcome::{Action, CustomerPlan, CustomerState, Operation, Severity, Summary};

/// When a destination wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Notice {
    /// A turn wrote accounts.
    Changed,
    /// A guard holds removals that it did not hold before.
    Held,
    /// A customer cannot be read, or is invalid.
    Failed,
    /// A customer that failed works again.
    Recovered,
}

/// A destination of the operator's file and what it wants to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its name.
    pub destination: Text,
    /// On what.
    pub on: BTreeSet<Notice>,
}

/// What tells one turn from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The turn's id.
    pub run: Text,
    /// The tree's revision.
    pub tree_revision: Text,
    /// When the turn wrote.
    pub at: Timestamp,
}

impl Notice {
    /// Returns the word of the operator's file.
    pub fn code(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Recovered => "recovered",
        }
    }

    /// Returns the notice of a word of the operator's file.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Changed, Self::Held, Self::Failed, Self::Recovered]
            .into_iter()
            .find(|notice| notice.code() == code)
    }
}

/// Returns the deliveries of one notice, one for each destination that wants it.
///
/// The id is made of the customer, the register's revision and the notice: a turn that is
/// committed once has one id, whatever is repeated after it.
pub fn deliveries(
    notice: Notice,
    plan: &CustomerPlan,
    stamp: &Stamp,
    subscriptions: &[Subscription],
) -> Vec<NewDelivery> {
    let id = format!("{}/{}/{}", plan.name, plan.register_revision.saturating_add(1), notice.code());
    address(notice, &id, subscriptions, || event(notice, &id, plan, stamp))
}

/// Returns the deliveries that tell of a customer's change of state, for the worse or the better;
/// none where it did not change.
pub fn state_deliveries(
    status: &CustomerStatus,
    previous: Option<&CustomerStatus>,
    subscriptions: &[Subscription],
) -> Vec<NewDelivery> {
    let is_failing = |status: &CustomerStatus| FAILING.iter().any(|state| state.code() == status.state);
    let notice = match (previous.is_some_and(is_failing), is_failing(status)) {
        (false, true) => Notice::Failed,
        (true, false) => Notice::Recovered,
        _ => return Vec::new(),
    };
    let id = format!("{}/{}/{}", status.customer, status.last_attempt, notice.code());
    address(notice, &id, subscriptions, || {
        let data = json!({
            "state": status.state.as_str(),
            "message": status.message,
            "revision": status.tree_revision.as_str(),
            "lastSuccess": status.last_success,
            "nextAttempt": status.next_attempt,
        });
        cloud_event(notice, &id, &status.customer, status.last_attempt, data)
    })
}

/// The states in which nothing happens to a customer until something outside changes.
const FAILING: [CustomerState; 3] =
    [CustomerState::Unreadable, CustomerState::Invalid, CustomerState::NotReady];

fn address(
    notice: Notice,
    id: &str,
    subscriptions: &[Subscription],
    body: impl FnOnce() -> Value,
) -> Vec<NewDelivery> {
    let interested: Vec<&Subscription> =
        subscriptions.iter().filter(|subscription| subscription.on.contains(&notice)).collect();
    if interested.is_empty() {
        return Vec::new();
    }
    let body = body();
    interested
        .into_iter()
        .map(|subscription| NewDelivery {
            destination: subscription.destination.clone(),
            key: Text::from(id),
            body: body.clone(),
        })
        .collect()
}

fn event(notice: Notice, id: &str, plan: &CustomerPlan, stamp: &Stamp) -> Value {
    // Held removals are no change, so that who follows `changed` need not know of guards.
    let told = |operation: &&Operation| (operation.action == Action::Hold) == (notice == Notice::Held);
    let operations: Vec<&Operation> = plan.operations.iter().filter(told).collect();
    let mut data = json!({
        "message": in_words(notice, plan),
        "summary": plan.summary,
        "revision": stamp.tree_revision.as_str(),
        "registerRevision": plan.register_revision.saturating_add(1),
        "run": stamp.run.as_str(),
        "operations": operations,
    });
    if let (Notice::Held, Some(approval)) = (notice, plan.approval) {
        data["approval"] = json!(approval);
    }
    cloud_event(notice, id, &plan.name, stamp.at, data)
}

/// Says what happened, and of what is held why, and what to type or commit.
fn in_words(notice: Notice, plan: &CustomerPlan) -> String {
    if notice == Notice::Held {
        let errors = plan.findings.iter().filter(|finding| finding.severity == Severity::Error);
        return errors.map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; ");
    }
    let Summary { add, update, remove, .. } = plan.summary;
    format!("{add} added, {update} updated, {remove} removed")
}

fn cloud_event(notice: Notice, id: &str, customer: &Text, at: Timestamp, data: Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "intake",
        "type": format!("dev.intake.customer.{}", notice.code()),
        "subject": customer.as_str(),
        "time": at.to_string(),
        "datacontenttype": "application/json",
        "data": data,
    })
}
