//! Keeps the removals of one customer back where too many began over all customers: one bad release
//! must not empty a fleet.

use hashbrown::HashSet;
use jiff::Timestamp;

use crate::model::account::{AccountKey, AccountState};
use crate::model::register::{Measures, RegisterState};
use crate::plan::outcome::{Action, CustomerPlan, CustomerState, Finding, FindingCode, Operation, Severity};
use crate::plan::planner::digest_of;
use crate::policy::limits::FleetLimit;

/// Holds the removals that a plan begins if they and those that began within the window, `recent`, are
/// more than the operator's limit. Returns how many begin after all.
///
/// An approval does not lift this limit, and is not used up by a plan that it holds.
pub fn keep(
    plan: &mut CustomerPlan,
    register: &RegisterState,
    limit: FleetLimit,
    recent: u64,
    at: Timestamp,
) -> u64 {
    // The end of a grace begins nothing: it was counted before.
    let pending: HashSet<AccountKey> = register
        .accounts
        .iter()
        .filter(|account| matches!(account.state, AccountState::PendingRemoval { .. }))
        .map(|account| account.key)
        .collect();
    let begin = plan.removals().filter(|removal| !pending.contains(&removal.key)).count() as u64;
    if begin == 0 || recent.saturating_add(begin) <= limit.max_removals {
        return begin;
    }
    let begins = |operation: &&mut Operation| {
        matches!(operation.action, Action::Pend | Action::Remove) && !pending.contains(&operation.key)
    };
    for operation in plan.operations.iter_mut().filter(begins) {
        operation.action = Action::Hold;
        operation.held_by = Some(FindingCode::FleetRemovalLimit);
        operation.until = None;
        operation.approved = false;
    }
    plan.summary.remove -= begin;
    plan.summary.hold += begin;
    plan.digest = digest_of(&plan.operations);
    if matches!(plan.state, CustomerState::Ready) {
        plan.state = CustomerState::Held;
    }
    plan.findings.push(Finding {
        code: FindingCode::FleetRemovalLimit,
        severity: Severity::Error,
        subject: plan.name.to_string(),
        message: format!(
            "{begin} {} held: {recent} began within the last {} over all customers, and the operator's limit is {}. \
             Adds and updates go on. They go when the window has room, or when the operator raises \
             `fleet.maxRemovals`",
            if begin == 1 { "removal is" } else { "removals are" },
            limit.window,
            limit.max_removals,
        ),
    });
    plan.findings.sort();
    let consequences = &mut plan.consequences;
    for hold in consequences.holds.iter_mut().filter(|hold| hold.used_at == Some(at)) {
        hold.used_at = None;
    }
    if let Some(measures) = &mut consequences.measures {
        *measures =
            Measures { sightings: std::mem::take(&mut measures.sightings), ..register.measures.clone() };
    }
    0
}
