//! Turns a plan into the one write that carries it out. Makes no choices of its own.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::model::account::{Account, AccountKey, AccountState, Profile, Provenance};
use crate::model::contact_match::ContactChanges;
use crate::model::event::{EventKind, NewEvent, ReadingDigests};
use crate::model::register::{
    Commit, Hold, NewDelivery, PinnedAccount, Pins, RegisterState, ScopeKind, SuspensionChange,
};
use crate::model::text::Text;
use crate::plan::outcome::{AccountView, Action, CustomerPlan, Operation};
use crate::reconcile::notice::{Notice, Stamp, Subscription, deliveries};

/// Returns what carrying out a plan writes, in one transaction; `None` when there is nothing to
/// write, or the plan's state forbids it. `register` is what the plan was computed from, `readings` are
/// the digests of the rest.
pub fn commit_of(
    plan: &CustomerPlan,
    register: &RegisterState,
    readings: &ReadingDigests,
    stamp: &Stamp,
    subscriptions: &[Subscription],
) -> Option<Commit> {
    if !is_to_write(plan, register) {
        return None;
    }
    let known: HashMap<&AccountKey, &Account> =
        register.accounts.iter().map(|account| (&account.key, account)).collect();
    let mut accounts = Vec::new();
    let mut events = Vec::new();
    for operation in plan.in_order() {
        let before = known.get(&operation.key).copied();
        if let Some(after) = account_after(operation, before, stamp) {
            events.push(account_event(operation, before, &after));
            accounts.push(after);
        }
    }
    let held_anew = new_holds(plan, register);
    hold_events(plan, &held_anew, &used_holds(plan, register), stamp, &mut events);
    pin_events(&register.pins, &plan.consequences.pins, &mut events);

    let holds_changed = plan.consequences.holds != register.holds;
    if accounts.is_empty() && events.is_empty() && !holds_changed {
        return None;
    }
    let mut sent: Vec<NewDelivery> = Vec::new();
    if !accounts.is_empty() {
        sent.extend(deliveries(Notice::Changed, plan, stamp, subscriptions));
    }
    if !held_anew.is_empty() {
        sent.extend(deliveries(Notice::Held, plan, stamp, subscriptions));
    }
    Some(Commit {
        customer: plan.name.clone(),
        expected_revision: plan.register_revision,
        run: stamp.run.clone(),
        tree_revision: stamp.tree_revision.clone(),
        at: stamp.at,
        accounts,
        events,
        readings: readings.clone(),
        deliveries: sent,
        pins: plan.consequences.pins.clone(),
        holds: plan.consequences.holds.clone(),
        measures: plan.consequences.measures.clone(),
        suspension: SuspensionChange::None,
        contacts: ContactChanges::default(),
        is_beside: false,
        room: None,
    })
}

/// Whether carrying out a plan may write something. Where not, no digest of a reading is needed, and in
/// nearly every turn there is nothing to write.
pub fn is_to_write(plan: &CustomerPlan, register: &RegisterState) -> bool {
    may_write(plan)
        && (plan.operations.iter().any(|operation| operation.action != Action::Hold)
            || plan.consequences.pins != register.pins
            || plan.consequences.holds != register.holds)
}

/// Whether a plan in this state may be carried out. Of a customer that is invalid, held or unreadable
/// for one account type the plan has no operations but those of the other.
pub fn may_write(plan: &CustomerPlan) -> bool {
    !plan.consequences.suspended
}

/// Returns the account as it is once the operation was carried out; `None` for one that writes
/// nothing. Only an add may be about an account that the register does not have.
fn account_after(operation: &Operation, before: Option<&Account>, stamp: &Stamp) -> Option<Account> {
    let (profile, state) = match (operation.action, before) {
        (Action::Hold, _) => return None,
        (Action::Add, _) => (operation.profile.clone(), AccountState::Active),
        (Action::Return, Some(account)) => (owned_profile(operation, account), AccountState::Active),
        (Action::Update, Some(account)) => {
            (owned_profile(operation, account), updated_state(operation, account, stamp.at))
        }
        (Action::Pend, Some(account)) => (account.profile.clone(), pending(operation, stamp.at)?),
        (Action::Remove, Some(account)) => {
            let reason = operation.reason?;
            (
                account.profile.clone(),
                AccountState::Removed { since: stamp.at, reason, approved: operation.approved },
            )
        }
        (_, None) => return None,
    };
    Some(Account {
        key: operation.key,
        profile,
        state,
        provenance: Arc::new(Provenance {
            directory: operation.directory.clone(),
            policy: operation.policy.clone(),
            tree_revision: stamp.tree_revision.clone(),
            run: stamp.run.clone(),
        }),
        // A return and an update are the same account; only an add is a new one.
        imported_at: match (operation.action, before) {
            (Action::Add, _) | (_, None) => stamp.at,
            (_, Some(account)) => account.imported_at,
        },
        removal_began_at: match (operation.action, before) {
            (Action::Pend | Action::Remove, Some(Account { state: AccountState::Active, .. }))
                if !operation.approved =>
            {
                Some(stamp.at)
            }
            (_, before) => before.and_then(|account| account.removal_began_at),
        },
    })
}

/// Email and mobile phone are written on creation only: people correct them in their tools.
fn owned_profile(operation: &Operation, account: &Account) -> Profile {
    Profile {
        email: account.profile.email.clone(),
        mobile_phone: account.profile.mobile_phone.clone(),
        ..operation.profile.clone()
    }
}

/// An update leaves the state alone unless it says otherwise: accounts are orphaned, and taken
/// back by a policy, by an update of the field `state`.
fn updated_state(operation: &Operation, account: &Account, at: Timestamp) -> AccountState {
    let change = operation.changes.iter().find(|change| change.field == "state");
    match change.and_then(|change| change.after.as_deref()) {
        Some("orphaned") => AccountState::Orphaned { since: at },
        Some("active") => AccountState::Active,
        _ => account.state.clone(),
    }
}

fn pending(operation: &Operation, at: Timestamp) -> Option<AccountState> {
    Some(AccountState::PendingRemoval { since: at, until: operation.until?, reason: operation.reason? })
}

fn account_event(operation: &Operation, before: Option<&Account>, after: &Account) -> NewEvent {
    let kind = match operation.action {
        Action::Add => EventKind::AccountAdded,
        Action::Return => EventKind::AccountReturned,
        Action::Pend => EventKind::AccountPended,
        Action::Remove => EventKind::AccountRemoved,
        Action::Update | Action::Hold => match (before.map(|account| &account.state), &after.state) {
            (Some(AccountState::Orphaned { .. }), AccountState::Orphaned { .. }) => EventKind::AccountUpdated,
            (_, AccountState::Orphaned { .. }) => EventKind::AccountOrphaned,
            _ => EventKind::AccountUpdated,
        },
    };
    let mut details = Map::new();
    details.insert("policy".to_owned(), json!(operation.policy.as_str()));
    details.insert("directory".to_owned(), json!(operation.directory));
    if let Some(reason) = operation.reason {
        details.insert("reason".to_owned(), json!(reason));
    }
    if let Some(key) = operation.matched_by {
        details.insert("matchedBy".to_owned(), json!(key));
    }
    if operation.approved {
        details.insert("approved".to_owned(), json!(true));
    }
    if !operation.changes.is_empty() {
        details.insert("changes".to_owned(), json!(operation.changes));
    }
    details.insert("before".to_owned(), before.map_or(Value::Null, shown));
    details.insert("after".to_owned(), shown(after));
    NewEvent {
        kind,
        account: Some((operation.key.account_type, operation.key.id)),
        subject: name_of(&after.profile),
        details: Value::Object(details),
    }
}

/// Shows an account in an event as plans show it, with its state.
fn shown(account: &Account) -> Value {
    let mut value = json!(AccountView::of(&account.key, &account.profile));
    if let Value::Object(fields) = &mut value {
        fields.insert("state".to_owned(), json!(account.state.code()));
        if let AccountState::PendingRemoval { until, .. } = &account.state {
            fields.insert("until".to_owned(), json!(until));
        }
    }
    value
}

fn name_of(profile: &Profile) -> Text {
    profile
        .user_principal_name
        .clone()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| profile.sam_account_name.clone())
}

/// Returns the holds that no turn recorded before.
fn new_holds<'a>(plan: &'a CustomerPlan, register: &RegisterState) -> Vec<&'a Hold> {
    let recorded: HashSet<_> = register.holds.iter().map(|hold| hold.approval).collect();
    plan.consequences
        .holds
        .iter()
        .filter(|hold| hold.used_at.is_none() && !recorded.contains(&hold.approval))
        .collect()
}

/// Returns the holds that this plan's approval lets go.
fn used_holds<'a>(plan: &'a CustomerPlan, register: &RegisterState) -> Vec<&'a Hold> {
    let was_used = |hold: &Hold| {
        register.holds.iter().any(|known| known.approval == hold.approval && known.used_at.is_some())
    };
    plan.consequences.holds.iter().filter(|hold| hold.used_at.is_some() && !was_used(hold)).collect()
}

fn hold_events(
    plan: &CustomerPlan,
    held_anew: &[&Hold],
    used_now: &[&Hold],
    stamp: &Stamp,
    events: &mut Vec<NewEvent>,
) {
    let by_action = |action: Action| -> Vec<&Operation> {
        plan.operations.iter().filter(|operation| operation.action == action).collect()
    };
    for hold in held_anew {
        // What is held now is described only under its own digest.
        let held = if plan.approval == Some(hold.approval) { by_action(Action::Hold) } else { Vec::new() };
        events.push(NewEvent {
            kind: EventKind::HoldRecorded,
            account: None,
            subject: plan.name.clone(),
            details: json!({"approval": hold.approval, "removals": held}),
        });
    }
    for hold in used_now {
        let by = match plan.consequences.approved_by.get(&hold.approval) {
            Some(who) => json!({"command": who}),
            None => json!({"tree": stamp.tree_revision}),
        };
        let let_go: Vec<&Operation> = plan.operations.iter().filter(|operation| operation.approved).collect();
        events.push(NewEvent {
            kind: EventKind::HoldApproved,
            account: None,
            subject: plan.name.clone(),
            details: json!({"approval": hold.approval, "by": by, "removals": let_go}),
        });
    }
}

fn pin_events(before: &Pins, after: &Pins, events: &mut Vec<NewEvent>) {
    differences(&before.domains, &after.domains, |name, before, after| {
        events.push(pinned(name, "domain", before.map(|sid| json!(sid)), after.map(|sid| json!(sid))));
    });
    if before.tenant != after.tenant {
        let value = |tenant: &Option<Text>| tenant.as_ref().map(|id| json!(id));
        events.push(pinned(&Text::from("tenant"), "tenant", value(&before.tenant), value(&after.tenant)));
    }
    differences(&before.scopes, &after.scopes, |name, before, after| {
        let what = match name.kind {
            ScopeKind::OrganizationalUnit => "organizationalUnit",
            ScopeKind::SecurityGroup => "securityGroup",
            ScopeKind::EntraGroup => "entraGroup",
        };
        let value = |scope: &crate::model::register::PinnedScope| json!({"id": scope.guid, "dn": scope.dn});
        let mut event = pinned(&name.written, what, before.map(value), after.map(value));
        event.details["directory"] = json!(name.directory);
        events.push(event);
    });
    differences(&before.accounts, &after.accounts, |entry, before, after| {
        let value = |people: &Vec<PinnedAccount>| -> Value {
            people.iter().map(|person| json!({"id": person.guid, "name": person.name})).collect()
        };
        events.push(pinned(&entry.written, entry.list.code(), before.map(value), after.map(value)));
    });
}

fn pinned(subject: &Text, what: &str, before: Option<Value>, after: Option<Value>) -> NewEvent {
    NewEvent {
        kind: EventKind::SourcePinned,
        account: None,
        subject: subject.clone(),
        details: json!({"pin": what, "before": before, "after": after}),
    }
}

/// Calls back for every key whose value differs, in the order of the keys.
fn differences<K: Ord + Debug, V: PartialEq>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
    mut each: impl FnMut(&K, Option<&V>, Option<&V>),
) {
    let keys: std::collections::BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let (old, new) = (before.get(key), after.get(key));
        if old != new {
            each(key, old, new);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::account::Verdict;
    use crate::model::digest::Digest;
    use crate::plan::outcome::CustomerState;
    use crate::plan::outcome::FieldChange;
    use crate::reconcile::fakes::{NOW, account, moment, operation, plan};

    fn stamp() -> Stamp {
        Stamp { run: Text::from("run-2"), tree_revision: Text::from("tree-2"), at: moment(NOW) }
    }

    fn everything() -> Vec<Subscription> {
        vec![Subscription {
            destination: Text::from("hook"),
            on: BTreeSet::from([Notice::Changed, Notice::Held]),
        }]
    }

    fn register(accounts: Vec<Account>) -> RegisterState {
        RegisterState { revision: 7, accounts, ..RegisterState::default() }
    }

    fn readings() -> ReadingDigests {
        ReadingDigests { directories: BTreeMap::new(), tenant: Some(Digest::of(b"tenant")) }
    }

    fn committed(
        plan: &CustomerPlan,
        register: &RegisterState,
        subscriptions: &[Subscription],
    ) -> Option<Commit> {
        commit_of(plan, register, &readings(), &stamp(), subscriptions)
    }

    fn kinds(commit: &Commit) -> Vec<&'static str> {
        commit.events.iter().map(|event| event.kind.code()).collect()
    }

    #[test]
    fn an_add_is_a_new_active_account_with_an_event_and_a_delivery() {
        let plan = plan("contoso", 7, vec![operation(Action::Add, 1)]);
        let commit = committed(&plan, &register(vec![]), &everything()).expect("a commit");
        assert_eq!(commit.expected_revision, 7);
        assert_eq!(commit.readings, readings());
        let written = &commit.accounts[0];
        assert_eq!(written.state, AccountState::Active);
        assert_eq!(written.imported_at, moment(NOW));
        assert_eq!(
            (written.provenance.run.as_str(), written.provenance.tree_revision.as_str()),
            ("run-2", "tree-2")
        );
        assert_eq!(kinds(&commit), ["account.added"]);
        assert_eq!(commit.events[0].details["before"], Value::Null);
        assert_eq!(commit.events[0].details["after"]["userPrincipalName"], "user1@contoso.test");
        let [delivery] = &commit.deliveries[..] else { panic!("{:?}", commit.deliveries) };
        assert_eq!(delivery.key, "contoso/8/changed");
        assert_eq!(delivery.body["specversion"], "1.0");
        assert_eq!(delivery.body["type"], "dev.intake.customer.changed");
        assert_eq!(delivery.body["subject"], "contoso");
        assert_eq!(delivery.body["time"], NOW);
        assert_eq!(delivery.body["data"]["operations"][0]["action"], "add");
    }

    #[test]
    fn nothing_to_do_writes_nothing_and_so_does_a_suspended_customer() {
        assert!(committed(&plan("contoso", 7, vec![]), &register(vec![]), &everything()).is_none());
        let mut plan = plan("contoso", 7, vec![operation(Action::Add, 1)]);
        plan.consequences.suspended = true;
        assert!(committed(&plan, &register(vec![]), &everything()).is_none());
    }

    #[test]
    fn a_return_is_the_same_account_and_keeps_what_people_corrected() {
        let mut removed = account(1);
        removed.state =
            AccountState::Removed { since: moment(NOW), reason: Verdict::Unlicensed, approved: false };
        removed.profile.email = Some(Text::from("corrected@contoso.test"));
        let mut back = operation(Action::Return, 1);
        back.profile.display_name = Text::from("New Name");
        back.profile.email = Some(Text::from("from-the-directory@contoso.test"));
        let plan = plan("contoso", 7, vec![back]);
        let commit = committed(&plan, &register(vec![removed.clone()]), &[]).expect("a commit");
        let written = &commit.accounts[0];
        assert_eq!(written.state, AccountState::Active);
        assert_eq!(written.imported_at, removed.imported_at);
        assert_eq!(written.profile.email.as_deref(), Some("corrected@contoso.test"));
        assert_eq!(written.profile.display_name, "New Name");
        assert_eq!(kinds(&commit), ["account.returned"]);
        assert!(commit.deliveries.is_empty());
    }

    #[test]
    fn an_update_changes_the_state_only_where_it_says_so() {
        let change =
            |after: &str| FieldChange { field: "state", before: None, after: Some(Text::from(after)) };
        let run = |changes: Vec<FieldChange>, state: AccountState| {
            let mut known = account(1);
            known.state = state;
            let mut update = operation(Action::Update, 1);
            update.changes = changes;
            let plan = plan("contoso", 7, vec![update]);
            let commit = committed(&plan, &register(vec![known]), &[]).expect("a commit");
            (commit.accounts[0].state.clone(), kinds(&commit)[0])
        };
        let orphaned = AccountState::Orphaned { since: moment(NOW) };
        assert_eq!(run(vec![], AccountState::Active), (AccountState::Active, "account.updated"));
        assert_eq!(
            run(vec![change("orphaned")], AccountState::Active),
            (orphaned.clone(), "account.orphaned")
        );
        assert_eq!(run(vec![change("active")], orphaned), (AccountState::Active, "account.updated"));
    }

    #[test]
    fn a_grace_begins_and_a_removal_ends_an_account_with_its_reason() {
        let mut pend = operation(Action::Pend, 1);
        pend.reason = Some(Verdict::NotInScope);
        pend.until = Some(moment("2026-12-01T00:00:00Z"));
        let mut remove = operation(Action::Remove, 2);
        remove.reason = Some(Verdict::Unlicensed);
        let mut plan = plan("contoso", 7, vec![pend, remove]);
        plan.operations[1].approved = true;
        plan.consequences.holds = vec![Hold {
            approval: Digest::of(b"held"),
            recorded_at: moment(NOW),
            used_at: Some(moment(NOW)),
            bases: BTreeMap::new(),
        }];
        let commit = committed(&plan, &register(vec![account(1), account(2)]), &[]).expect("a commit");
        assert_eq!(
            commit.accounts[0].state,
            AccountState::PendingRemoval {
                since: moment(NOW),
                until: moment("2026-12-01T00:00:00Z"),
                reason: Verdict::NotInScope
            }
        );
        assert_eq!(
            commit.accounts[1].state,
            AccountState::Removed { since: moment(NOW), reason: Verdict::Unlicensed, approved: true }
        );
        assert_eq!(kinds(&commit), ["account.pended", "account.removed", "hold.approved"]);
        assert_eq!(commit.events[2].details["by"], json!({"tree": "tree-2"}));
        plan.consequences.approved_by = BTreeMap::from([(Digest::of(b"held"), Text::from("jane"))]);
        let commit = committed(&plan, &register(vec![account(1), account(2)]), &[]).expect("a commit");
        assert_eq!(commit.events[2].details["by"], json!({"command": "jane"}));
        // Only what nobody approved counts towards the limit.
        assert_eq!(commit.accounts[0].removal_began_at, Some(moment(NOW)));
        assert_eq!(commit.accounts[1].removal_began_at, None);
    }

    #[test]
    fn a_hold_touches_no_account_and_is_recorded_and_told_once() {
        let mut held = operation(Action::Hold, 1);
        held.reason = Some(Verdict::Unlicensed);
        let mut plan = plan("contoso", 7, vec![held]);
        plan.state = CustomerState::Held;
        plan.approval = Some(Digest::of(b"held"));
        plan.consequences.holds = vec![Hold {
            approval: Digest::of(b"held"),
            recorded_at: moment(NOW),
            used_at: None,
            bases: BTreeMap::new(),
        }];
        let mut known = register(vec![account(1)]);
        let commit = committed(&plan, &known, &everything()).expect("a commit");
        assert!(commit.accounts.is_empty());
        assert_eq!(kinds(&commit), ["hold.recorded"]);
        assert_eq!(commit.deliveries[0].body["type"], "dev.intake.customer.held");
        assert_eq!(commit.deliveries[0].body["data"]["approval"], json!(Digest::of(b"held")));
        assert_eq!(commit.deliveries.len(), 1);

        known.holds = plan.consequences.holds.clone();
        assert!(committed(&plan, &known, &everything()).is_none());
    }

    #[test]
    fn a_source_is_pinned_once() {
        let mut plan = plan("contoso", 7, vec![]);
        plan.consequences.pins.tenant = Some(Text::from("tenant-id"));
        plan.consequences.pins.domains.insert(Text::from("main"), Text::from("S-1-5-21-1-2-3"));
        let mut known = register(vec![]);
        let commit = committed(&plan, &known, &everything()).expect("a commit");
        assert_eq!(kinds(&commit), ["source.pinned", "source.pinned"]);
        assert!(commit.deliveries.is_empty());
        known.pins = plan.consequences.pins.clone();
        assert!(committed(&plan, &known, &everything()).is_none());
    }
}
