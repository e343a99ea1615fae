//! What an approval lets go, how often and for how long, and what counts towards the limits.

use std::collections::BTreeMap;

use intake::model::account::{AccountState, AccountType};
use intake::model::register::Hold;
use intake::model::text::Text;
use intake::plan::outcome::{Action, CustomerState, FindingCode};

use crate::scenarios::stage::{Stage, codes, count, gone, operations};

/// Thirty of a hundred and thirty leave: more than any default limit.
fn thirty_leave(policies: &str) -> Stage {
    Stage::of(&format!("crowd: 100\n{policies}register:\n  accounts:\n{}", gone(30, "")))
}

/// The tenant is another one than before, and this many left meanwhile.
fn another_tenant(left: u64) -> Stage {
    let accounts = if left == 0 { "    []\n".to_owned() } else { gone(left, "") };
    Stage::of(&format!("crowd: 100\nregister:\n  tenant: before\n  accounts:\n{accounts}"))
}

#[test]
fn an_approval_marks_the_held_removals_and_no_other() {
    let mut stage = Stage::of(&format!(
        "
crowd: 100
policies:
  staff: {{selection: {{organizationalUnits: [OU=Staff]}}}}
  admins: {{accountType: Administrator, selection: {{organizationalUnits: [OU=Admins]}}}}
directory: {{people: [{{sam: adm, guid: 5, ou: OU=Admins}}]}}
register:
  accounts:
    - {{sam: adm, accountType: Administrator, policy: admins}}
    - {{sam: oldadm, guid: 6, accountType: Administrator, policy: admins}}
{}",
        gone(30, "")
    ));
    let held = stage.plan();
    assert_eq!((count(&held, Action::Hold), count(&held, Action::Remove)), (30, 1));
    stage.approve();
    let plan = stage.turn();
    assert_eq!((count(&plan, Action::Hold), count(&plan, Action::Remove)), (0, 31));
    for operation in &plan.operations {
        let is_held = operation.key.account_type == AccountType::EndUser;
        assert_eq!(operation.approved, is_held, "{}", operation.profile.sam_account_name);
    }
    // The register remembers it so: what was not approved counts towards the limit.
    assert!(matches!(stage.account("gone1").state, AccountState::Removed { approved: true, .. }));
    assert_eq!(stage.account("gone1").removal_began_at, None);
    assert!(matches!(stage.account("oldadm").state, AccountState::Removed { approved: false, .. }));
    let now = stage.observation.at;
    assert_eq!(stage.account("oldadm").removal_began_at, Some(now));
}

#[test]
fn an_approval_expires_also_while_its_set_is_not_held() {
    let mut stage = thirty_leave("");
    stage.turn();
    let approval = stage.approve();
    // Before it counts one of the thirty comes back for a while: another set, and another hold.
    let known = stage.account("gone1").clone();
    stage.observation.register.accounts.retain(|account| account.key != known.key);
    assert_ne!(stage.turn().approval, Some(approval));
    stage.observation.register.accounts.push(known);
    stage.at("2026-01-29T12:00:01Z");
    let plan = stage.turn();
    assert_eq!(plan.approval, Some(approval));
    assert_eq!((count(&plan, Action::Hold), count(&plan, Action::Remove)), (30, 0));
}

#[test]
fn an_approval_of_another_source_approves_no_removal() {
    let mut stage = another_tenant(1);
    stage.approve();
    // Whoever approved the source was shown nobody who would go: that comes with the next turn.
    let plan = stage.turn();
    assert_eq!((plan.state, operations(&plan)), (CustomerState::Ready, vec![]));
    assert_eq!(codes(&plan), [FindingCode::SourceChanged]);
    let plan = stage.plan();
    assert_eq!((plan.state, operations(&plan)), (CustomerState::Ready, vec!["remove gone1".to_owned()]));
    assert!(!plan.operations[0].approved);

    let mut stage = another_tenant(30);
    stage.approve();
    stage.turn();
    let plan = stage.plan();
    assert_eq!(plan.state, CustomerState::Held);
    assert_eq!((count(&plan, Action::Hold), plan.operations.len()), (30, 30));
}

#[test]
fn another_domain_under_another_name_is_another_source_all_the_same() {
    let mut stage = Stage::of("crowd: 20");
    stage.turn();
    stage.customer.directories[0].name = Text::from("other");
    stage.observation.directories[0].0 = Text::from("other");
    stage.directory().name = Text::from("other");
    // The same domain under another name is the same one.
    assert_eq!(stage.plan().state, CustomerState::Ready);
    stage.directory().domain_sid = "S-1-5-21-7-7-7".parse().ok();
    let plan = stage.plan();
    assert_eq!((plan.state, operations(&plan)), (CustomerState::Held, vec![]));
    assert_eq!(codes(&plan), [FindingCode::SourceChanged]);
    stage.approve();
    assert_eq!(stage.turn().state, CustomerState::Ready);
    let pinned: Vec<&Text> = stage.observation.register.pins.domains.keys().collect();
    assert_eq!(pinned, ["other"]);
}

#[test]
fn an_approval_of_another_source_counts_once_while_its_line_stays() {
    let mut stage = another_tenant(0);
    assert_eq!(codes(&stage.turn()), [FindingCode::SourceChanged]);
    let there = stage.approve();
    let accepted = stage.turn();
    assert_eq!(accepted.state, CustomerState::Ready);
    assert_eq!(codes(&accepted), [], "the turn in which it counts");
    assert_eq!(stage.observation.register.pins.tenant.as_deref(), Some("tenant-1"));

    // Back to the one before, which is a change of its own …
    stage.tenant().id = Some(Text::from("before"));
    assert_eq!(stage.turn().state, CustomerState::Held);
    assert_ne!(stage.approve(), there);
    assert_eq!(stage.turn().state, CustomerState::Ready);
    assert_eq!(stage.observation.register.pins.tenant.as_deref(), Some("before"));

    // … and the first change once more, with both lines still in the file.
    stage.tenant().id = Some(Text::from("tenant-1"));
    let again = stage.turn();
    assert_eq!((again.state, again.approval), (CustomerState::Held, Some(there)));
    assert!(codes(&again).contains(&FindingCode::SourceChanged), "{:?}", codes(&again));
    assert!(codes(&again).contains(&FindingCode::ApprovalUsed), "{:?}", codes(&again));
    assert_eq!(operations(&again), [""; 0]);
    assert_eq!(stage.observation.register.pins.tenant.as_deref(), Some("before"));
    // Nor does it in the turn after that one.
    assert_eq!(stage.turn().state, CustomerState::Held);
}

#[test]
fn an_approval_of_another_source_expires_after_seven_days() {
    for (at, state) in
        [("2026-01-22T11:59:59Z", CustomerState::Ready), ("2026-01-22T12:00:00Z", CustomerState::Held)]
    {
        let mut stage = another_tenant(0);
        stage.turn();
        stage.approve();
        stage.at(at);
        assert_eq!(stage.plan().state, state, "{at}");
    }
}

#[test]
fn readings_are_not_measured_anew_while_a_type_is_invalid() {
    for invalid in AccountType::ALL {
        let mut stage = Stage::of("crowd: 40\nregister: {vanished: {directory: 100, tenant: 100}}\n");
        assert!(stage.plan().consequences.measures.is_some());
        stage.invalidate(invalid);
        let plan = stage.plan();
        assert_eq!(plan.state, CustomerState::Invalid);
        assert_eq!(plan.consequences.measures, None, "{invalid}");
    }
}

/// What becomes of a recorded hold, which the file does not list, when the same removals are held
/// and then approved.
fn give_again(recorded_at: &str, used_at: Option<&str>) {
    let mut stage = thirty_leave("");
    let moment = |text: &str| text.parse().expect("a moment");
    let approval = stage.plan().approval.expect("a hold");
    let hold = Hold {
        approval,
        recorded_at: moment(recorded_at),
        used_at: used_at.map(moment),
        bases: BTreeMap::new(),
    };
    stage.observation.register.holds = vec![hold];
    let held = stage.turn();
    assert_eq!((count(&held, Action::Hold), held.approval), (30, Some(approval)));
    let [anew] = &stage.observation.register.holds[..] else {
        panic!("{:?}", stage.observation.register.holds)
    };
    assert_eq!((anew.recorded_at, anew.used_at), (stage.observation.at, None));

    stage.customer.approve.insert(approval);
    stage.at("2026-01-16T12:00:00Z");
    let plan = stage.turn();
    assert_eq!(count(&plan, Action::Remove), 30);
    assert!(plan.operations.iter().all(|operation| operation.approved));
    let used: Vec<_> = stage.observation.register.holds.iter().map(|hold| hold.used_at).collect();
    assert_eq!(used, [Some(stage.observation.at)]);
}

#[test]
fn a_used_approval_that_the_file_no_longer_lists_can_be_given_again() {
    give_again("2025-12-01T00:00:00Z", Some("2025-12-02T00:00:00Z"));
    // Also within the seven days of the first hold.
    give_again("2026-01-14T00:00:00Z", Some("2026-01-14T01:00:00Z"));
}

#[test]
fn an_expired_hold_that_the_file_does_not_list_is_recorded_anew_and_can_be_approved() {
    give_again("2026-01-01T00:00:00Z", None);
}

#[test]
fn an_expired_approval_does_not_revive_when_the_same_people_leave_once_more() {
    let mut stage = Stage::of("crowd: 130\n");
    let everybody = stage.directory().people.clone();
    stage.crowd_leaves(1..=30);
    assert_eq!(count(&stage.turn(), Action::Hold), 30);
    stage.approve();
    stage.at("2026-12-01T12:00:00Z");
    assert_eq!(count(&stage.turn(), Action::Hold), 30, "it came too late");
    stage.directory().people = everybody;
    assert_eq!(operations(&stage.turn()), [""; 0], "they are back");
    stage.crowd_leaves(1..=30);
    assert_eq!(count(&stage.turn(), Action::Hold), 30);
}

const WITH_GRACE: &str =
    "policies:\n  staff: {selection: {organizationalUnits: [OU=Staff]}, removal: {grace: 7d}}\n";

#[test]
fn graces_that_somebody_approved_do_not_count_towards_the_limit() {
    let mut stage = thirty_leave(WITH_GRACE);
    assert_eq!(count(&stage.turn(), Action::Hold), 30);
    stage.approve();
    assert_eq!(count(&stage.turn(), Action::Pend), 30);
    stage.customer.approve.clear();
    stage.at("2026-01-15T13:00:00Z");
    // Ten of the hundred who are left are exactly what the limit allows.
    stage.crowd_leaves(1..=10);
    let plan = stage.plan();
    assert_eq!((count(&plan, Action::Pend), plan.operations.len()), (10, 10));
    assert_eq!(codes(&plan), []);
}

#[test]
fn the_end_of_a_grace_counts_no_removal_a_second_time() {
    let pending = ", state: pendingRemoval, since: 2026-01-08T11:00:00Z, until: 2026-01-15T11:00:00Z";
    let mut stage =
        Stage::of(&format!("crowd: 100\n{WITH_GRACE}register:\n  accounts:\n{}", gone(10, pending)));
    let ended = stage.turn();
    assert_eq!((count(&ended, Action::Remove), ended.operations.len()), (10, 10));
    stage.at("2026-01-15T13:00:00Z");
    stage.crowd_leaves(1..=10);
    let plan = stage.plan();
    assert_eq!((count(&plan, Action::Pend), plan.operations.len()), (10, 10));
    assert_eq!(codes(&plan), []);
}

#[test]
fn people_who_left_and_came_back_count_within_the_window() {
    let mut stage = Stage::of("crowd: 10\n");
    let everybody = stage.directory().people.clone();
    stage.crowd_leaves(1..=2);
    assert_eq!(operations(&stage.turn()), ["remove crowd1", "remove crowd2"]);
    stage.at("2026-01-15T13:00:00Z");
    stage.directory().people = everybody;
    assert_eq!(operations(&stage.turn()), ["return crowd1", "return crowd2"]);
    stage.at("2026-01-16T11:59:59Z");
    stage.crowd_leaves(3..=4);
    let plan = stage.turn();
    assert_eq!(operations(&plan), ["hold crowd3", "hold crowd4"]);
    assert_eq!(codes(&plan), [FindingCode::RemovalLimit]);
    // A day after the first removals they count no more.
    stage.at("2026-01-16T12:00:00Z");
    assert_eq!(operations(&stage.plan()), ["remove crowd3", "remove crowd4"]);
}
