//! What a plan does otherwise than another one from the same sources: what a change of the tree makes
//! different, apart from all that would happen anyway.

use std::collections::BTreeMap;

use crate::model::text::Text;
use crate::plan::outcome::{
    AccountView, CustomerPlan, CustomerState, Finding, Kept, NotImported, Operation, Plan, Summary,
    TenantUserView,
};

/// Leaves of a plan what the plan before does not have, and adds what that one has and this one has no
/// longer. Digests stay those of the whole plan: what is approved and applied is all of it.
pub fn difference(mut plan: Plan, before: Plan) -> Plan {
    plan.against = Some(before.revision);
    let mut earlier: BTreeMap<Text, CustomerPlan> =
        before.customers.into_iter().map(|customer| (customer.name.clone(), customer)).collect();
    let mut customers: Vec<CustomerPlan> = plan
        .customers
        .into_iter()
        .filter_map(|customer| match earlier.remove(&customer.name) {
            Some(before) => of_customer(customer, before),
            None => Some(customer),
        })
        .collect();
    // Whom the tree does not have any more, and nobody was imported of.
    customers.extend(earlier.into_values().filter(|before| !before.operations.is_empty()).map(only_before));
    customers.sort_by(|left, right| left.name.cmp(&right.name));
    plan.summary = Summary::default();
    customers.iter().for_each(|customer| plan.summary.add(&customer.summary));
    plan.customers = customers;
    plan
}

fn of_customer(mut plan: CustomerPlan, before: CustomerPlan) -> Option<CustomerPlan> {
    if plan.state == CustomerState::Unreadable || before.state == CustomerState::Unreadable {
        // Nobody knows what differs, and that must not look as if nothing did.
        return Some(plan);
    }
    // When a grace ends depends on the moment of planning alone.
    let timeless = |operation: &Operation| Operation { until: None, ..operation.clone() };
    let of_operation = |one: &Operation| one.key;
    let earlier: Vec<Operation> = before.operations.iter().map(timeless).collect();
    let now: Vec<Operation> = plan.operations.iter().map(timeless).collect();
    plan.operations = others(plan.operations, &earlier, |one| timeless(one), of_operation);
    plan.no_longer = others(before.operations, &now, |one| timeless(one), of_operation);
    let of_account = |account: &AccountView| (account.directory_id, account.tenant_user_id);
    plan.findings = others(plan.findings, &before.findings, Finding::clone, |one| one.code);
    plan.kept = others(plan.kept, &before.kept, Kept::clone, |one| of_account(&one.account));
    plan.not_imported =
        others(plan.not_imported, &before.not_imported, NotImported::clone, |one| of_account(&one.account));
    let outside = &before.licensed_outside_scope;
    plan.licensed_outside_scope =
        others(plan.licensed_outside_scope, outside, TenantUserView::clone, |one| one.tenant_user_id);
    plan.summary = count(&plan.operations, plan.summary.unchanged);
    let differs = plan.state != before.state
        || plan.approval != before.approval
        || !plan.operations.is_empty()
        || !plan.no_longer.is_empty()
        || !plan.findings.is_empty()
        || !plan.kept.is_empty()
        || !plan.not_imported.is_empty()
        || !plan.licensed_outside_scope.is_empty();
    differs.then_some(plan)
}

fn only_before(before: CustomerPlan) -> CustomerPlan {
    CustomerPlan {
        no_longer: before.operations,
        operations: Vec::new(),
        summary: Summary::default(),
        approval: None,
        findings: Vec::new(),
        kept: Vec::new(),
        not_imported: Vec::new(),
        licensed_outside_scope: Vec::new(),
        ..before
    }
}

/// Returns those of a list that another one does not have, compared as `form` makes them. Sought by a key, as
/// both lists may be of a hundred thousand.
fn others<T: PartialEq, K: Ord>(
    list: Vec<T>,
    known: &[T],
    form: impl Fn(&T) -> T,
    key: impl Fn(&T) -> K,
) -> Vec<T> {
    let mut by_key: BTreeMap<K, Vec<&T>> = BTreeMap::new();
    known.iter().for_each(|one| by_key.entry(key(one)).or_default().push(one));
    let is_known = |one: &T| by_key.get(&key(one)).is_some_and(|same| same.contains(&&form(one)));
    list.into_iter().filter(|one| !is_known(one)).collect()
}

fn count(operations: &[Operation], unchanged: u64) -> Summary {
    let mut summary = Summary { unchanged, ..Summary::default() };
    operations.iter().for_each(|operation| summary.count(operation.action));
    summary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::Verdict;
    use crate::model::digest::Digest;
    use crate::plan::outcome::{Action, FORMAT_VERSION};
    use crate::plan::planner::unite;
    use crate::reconcile::fakes::{moment, operation, plan as customer};

    fn plan(revision: &str, customers: Vec<CustomerPlan>) -> Plan {
        unite(Text::from(revision), customers)
    }

    #[test]
    fn what_would_happen_anyway_is_left_out_and_what_happens_no_longer_is_named() {
        let (jane, joe, ann) =
            (operation(Action::Add, 1), operation(Action::Add, 2), operation(Action::Remove, 3));
        let before = plan("main", vec![customer("contoso", 1, vec![jane.clone(), ann.clone()])]);
        let after = plan("change", vec![customer("contoso", 1, vec![jane, joe.clone()])]);
        let digest = after.digest;
        let shown = difference(after, before);
        assert_eq!(shown.against.as_deref(), Some("main"));
        assert_eq!((shown.digest, shown.format_version), (digest, FORMAT_VERSION), "of the whole plan");
        assert_eq!(shown.customers[0].operations, [joe]);
        assert_eq!(shown.customers[0].no_longer, [ann]);
        assert_eq!((shown.summary.add, shown.summary.remove), (1, 0));
    }

    #[test]
    fn customers_without_a_difference_are_left_out() {
        let pend = |until| Operation { until: Some(moment(until)), ..operation(Action::Pend, 1) };
        let before = plan(
            "main",
            vec![
                customer("contoso", 1, vec![pend("2026-11-26T00:00:00Z")]),
                customer("gone", 1, vec![operation(Action::Add, 5)]),
                customer("silent", 1, Vec::new()),
            ],
        );
        let after = plan(
            "change",
            vec![customer("contoso", 1, vec![pend("2026-11-26T00:00:01Z")]), customer("new", 1, Vec::new())],
        );
        let shown = difference(after, before);
        let names: Vec<&str> = shown.customers.iter().map(|customer| customer.name.as_str()).collect();
        assert_eq!(names, ["gone", "new"]);
        assert_eq!(shown.customers[0].no_longer.len(), 1);
    }

    #[test]
    fn who_cannot_be_read_is_shown_although_nothing_seems_to_differ() {
        let unread = || {
            let state = CustomerState::Unreadable;
            plan("x", vec![CustomerPlan { state, ..customer("contoso", 1, Vec::new()) }])
        };
        assert_eq!(difference(unread(), unread()).customers.len(), 1);
    }

    #[test]
    fn another_reason_state_or_approval_is_a_difference() {
        let remove = |reason| Operation { reason: Some(reason), ..operation(Action::Remove, 1) };
        let of = |operation: Operation| plan("x", vec![customer("contoso", 1, vec![operation])]);
        let shown = difference(of(remove(Verdict::Excluded)), of(remove(Verdict::Unlicensed)));
        assert_eq!((shown.customers[0].operations.len(), shown.customers[0].no_longer.len()), (1, 1));
        let mut held = of(remove(Verdict::Excluded));
        held.customers[0].state = CustomerState::Invalid;
        assert_eq!(difference(held.clone(), of(remove(Verdict::Excluded))).customers.len(), 1);
        held.customers[0].state = CustomerState::Ready;
        held.customers[0].approval = Some(Digest::of(b"x"));
        assert_eq!(difference(held, of(remove(Verdict::Excluded))).customers.len(), 1);
    }
}
