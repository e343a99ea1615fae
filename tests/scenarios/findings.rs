//! Rules that the planner once broke, each as a test: whom it may touch, whom it keeps, and at
//! what cost. What counts and what an approval lets go is in `findings/approvals.rs`.

use std::collections::BTreeSet;

use intake::model::account::AccountType;
use intake::model::directory::{Group, Member, Unidentified};
use intake::model::dn::Dn;
use intake::model::guid::Guid;
use intake::model::text::Text;
use intake::plan::outcome::{Action, CustomerPlan, CustomerState, FindingCode};
use intake::policy::fleet::{AccountPattern, Excluded, Exclusion};

use super::stage::{Stage, codes, count, kept, not_imported, operations};

mod approvals;
mod choices;
mod entries;

const OTHER_DOMAIN: &str = "S-1-5-21-4-5-6";

/// One joins and one leaves, of twenty who stay.
const ONE_JOINS_ONE_LEAVES: &str = "
crowd: 20
directory: {people: [{sam: joins, guid: 8}]}
tenant: {users: [{upn: joins@contoso.test, anchor: 8}]}
register: {domain: S-1-5-21-1-2-3, tenant: tenant-1, accounts: [{sam: left, guid: 9, linked: 9}]}
";

#[test]
fn a_suspended_customer_is_never_written() {
    let mut stage = Stage::of(ONE_JOINS_ONE_LEAVES);
    assert!(stage.commit(&stage.plan()).is_some(), "there is something to write");
    stage.customer.suspend = true;
    let plan = stage.plan();
    assert_eq!(plan.state, CustomerState::Suspended);
    assert_eq!(operations(&plan), ["add joins", "remove left"]);
    assert!(stage.commit(&plan).is_none());
}

#[test]
fn a_suspended_customer_is_not_written_either_when_another_account_type_is_invalid() {
    let mut stage = Stage::of(ONE_JOINS_ONE_LEAVES);
    stage.invalidate(AccountType::Administrator);
    assert!(stage.commit(&stage.plan()).is_some(), "there is something to write");
    stage.customer.suspend = true;
    let plan = stage.plan();
    assert_eq!(operations(&plan), ["add joins", "remove left"]);
    assert!(stage.commit(&plan).is_none());
}

#[test]
fn a_record_that_could_be_anybody_keeps_every_unseen_account_of_its_directory() {
    let mut stage = Stage::of(
        "
crowd: 20
register:
  accounts:
    - {sam: unseen1, guid: 9, linked: 9}
    - {sam: unseen2, guid: 10, linked: 10}
    - {sam: elsewhere, guid: 11, linked: 11}
",
    );
    stage.second_directory(|directory| {
        directory.domain_sid = Some(OTHER_DOMAIN.parse().expect("a SID"));
        directory.people.clear();
    });
    stage.comes_from_other("elsewhere");
    stage.directory().unidentified.push(Unidentified {
        dn: Text::from("CN=Somebody,OU=Staff,DC=contoso,DC=test"),
        sam_account_name: None,
        user_principal_name: None,
        reason: "it has no readable objectGUID".into(),
    });
    let plan = stage.plan();
    assert_eq!(kept(&plan), ["unseen1 invalid-record", "unseen2 invalid-record"]);
    assert_eq!(operations(&plan), ["remove elsewhere"]);
}

#[test]
fn a_pinned_domain_that_no_longer_tells_its_sid_is_not_planned() {
    let mut stage = Stage::of(ONE_JOINS_ONE_LEAVES);
    stage.directory().domain_sid = None;
    let plan = stage.plan();
    assert_eq!(plan.state, CustomerState::Unreadable);
    assert_eq!(codes(&plan), [FindingCode::DirectoryIncomplete]);
    assert_eq!(operations(&plan), [""; 0]);
    assert_eq!(plan.consequences.pins, stage.observation.register.pins);
}

#[test]
fn a_pinned_tenant_that_no_longer_tells_its_id_is_not_planned() {
    let mut stage = Stage::of(ONE_JOINS_ONE_LEAVES);
    stage.tenant().id = None;
    let plan = stage.plan();
    assert_eq!(plan.state, CustomerState::Unreadable);
    assert_eq!(codes(&plan), [FindingCode::TenantIncomplete]);
    assert_eq!(operations(&plan), [""; 0]);
    assert_eq!(plan.consequences.pins, stage.observation.register.pins);
}

#[test]
fn primary_groups_count_also_in_a_directory_that_never_told_its_sid() {
    let mut stage = Stage::of(
        "
policies:
  staff:
    selection: {securityGroups: [G1]}
directory:
  people:
    - {sam: p1, primaryGroup: 1500}
    - {sam: p2}
    - {sam: p3, primaryGroup: 512}
  groups:
    - {name: G1, rid: 1500, members: [p2, p3]}
    - {name: Domain Admins, ou: CN=Users, rid: 512, critical: true}
tenant:
  users: [{upn: p1@contoso.test}, {upn: p2@contoso.test}, {upn: p3@contoso.test}]
",
    );
    stage.directory().domain_sid = None;
    let plan = stage.plan();
    assert_eq!(operations(&plan), ["add p1", "add p2"]);
    assert_eq!(not_imported(&plan), ["p3 privileged-account"]);
    assert_eq!(plan.state, CustomerState::Ready);
}

#[test]
fn two_people_who_claim_one_tenant_user_are_ambiguous_although_one_has_two_policies() {
    for both in ["p1", "p2"] {
        let plan = Stage::of(&format!(
            "
policies:
  a: {{accountType: Administrator, passwordSync: true, selection: {{securityGroups: [G1]}}}}
  b: {{accountType: Administrator, passwordSync: true, selection: {{securityGroups: [G2]}}}}
directory:
  people:
    - {{sam: p1, mail: shared@contoso.test, upn: ''}}
    - {{sam: p2, mail: shared@contoso.test, upn: ''}}
    - {{sam: p3}}
  groups:
    - {{name: G1, members: [p1, p2, p3]}}
    - {{name: G2, members: [{both}, p3]}}
tenant:
  users: [{{upn: u@contoso.test, mail: shared@contoso.test}}, {{upn: p3@contoso.test}}]
"
        ))
        .plan();
        // Who is in two policies alone is one person, and no rival.
        assert_eq!(operations(&plan), ["add p3"], "{both}");
        assert_eq!(not_imported(&plan), ["p1 ambiguous-match", "p2 ambiguous-match"], "{both}");
    }
}

#[test]
fn two_people_who_claim_one_tenant_user_are_ambiguous_across_account_types() {
    let plan = Stage::of(
        "
policies:
  staff: {selection: {organizationalUnits: [OU=Staff]}}
  admins: {accountType: Administrator, passwordSync: true, selection: {securityGroups: [G]}}
directory:
  people:
    - {sam: p1, mail: shared@contoso.test, upn: '', ou: OU=Admins}
    - {sam: p2, mail: shared@contoso.test, upn: ''}
    - {sam: p3}
  groups:
    - {name: G, members: [p1, p3]}
tenant:
  users: [{upn: u@contoso.test, mail: shared@contoso.test}, {upn: p3@contoso.test}]
",
    )
    .plan();
    // One person in both roles is one person.
    assert_eq!(operations(&plan), ["add p3", "add p3"]);
    assert_eq!(not_imported(&plan), ["p1 ambiguous-match", "p2 ambiguous-match"]);
}

#[test]
fn who_is_unclear_in_one_policy_and_excluded_in_another_is_kept_whatever_their_names() {
    for (recorded, other) in [("a", "b"), ("z", "b")] {
        let plan = Stage::of(&format!(
            "
policies:
  {recorded}:
    accountType: Administrator
    passwordSync: true
    selection: {{securityGroups: [G1]}}
  {other}:
    accountType: Administrator
    passwordSync: true
    selection: {{securityGroups: [G2]}}
    exclude: [{{account: p1, reason: left the team}}]
directory:
  people:
    - {{sam: p1, mail: shared@contoso.test, upn: ''}}
    - {{sam: p2, mail: shared@contoso.test, upn: ''}}
    - {{sam: p3}}
  groups:
    - {{name: G1, members: [p1, p2, p3]}}
    - {{name: G2, members: [p1, p3]}}
tenant:
  users: [{{upn: u@contoso.test, mail: shared@contoso.test}}, {{upn: p3@contoso.test}}]
register:
  accounts: [{{sam: p1, accountType: Administrator, policy: {recorded}}}]
"
        ))
        .plan();
        assert_eq!(kept(&plan), ["p1 ambiguous-match"], "{recorded}");
        assert_eq!(operations(&plan), ["add p3"], "{recorded}");
    }
}

#[test]
fn pins_of_a_directory_survive_when_the_scope_of_another_is_unclear() {
    let mut stage = Stage::of(
        "
crowd: 5
register:
  scopes: [{ou: OU=Staff, guid: 777, dn: 'OU=Staff,DC=contoso,DC=test'}]
",
    );
    stage.second_directory(|directory| {
        directory.domain_sid = Some(OTHER_DOMAIN.parse().expect("a SID"));
        directory.people.clear();
    });
    let is_staff = |name: &str| name.starts_with("ou=staff,");
    let staff = stage.directory().containers.iter().find(|unit| is_staff(unit.dn.key())).expect("OU=Staff");
    let guid = staff.guid.expect("a GUID");
    let scopes = &mut stage.observation.register.pins.scopes;
    let (mut name, mut scope) =
        scopes.iter().map(|(name, scope)| (name.clone(), scope.clone())).next().expect("a pin");
    name.directory = Text::from("other");
    scope.guid = guid;
    scopes.insert(name, scope);
    let before = scopes.clone();

    let plan = stage.plan();
    assert_eq!(plan.state, CustomerState::Held);
    assert_eq!(codes(&plan), [FindingCode::ScopeNotFound]);
    assert_eq!(before.len(), 2);
    assert_eq!(plan.consequences.pins.scopes, before);
}

#[test]
fn a_grace_does_not_end_while_members_of_the_selected_group_are_hidden() {
    let grace_is_over = |unseen: &str| {
        Stage::of(&format!(
            "
policies:
  staff:
    selection: {{securityGroups: [G1]}}
    removal: {{grace: 7d}}
directory:
  people: [{{sam: p2}}]
  groups: [{{name: G1, members: [p2], unseen: [{unseen}]}}]
tenant: {{users: [{{upn: p2@contoso.test, anchor: 1}}]}}
register:
  accounts:
    - {{sam: p2, linked: 1}}
    - {{sam: p1, guid: 9, linked: 9, state: pendingRemoval, since: 2026-01-01T00:00:00Z,
       until: 2026-01-08T00:00:00Z, reason: not-in-scope}}
"
        ))
        .plan()
    };
    assert_eq!(operations(&grace_is_over("")), ["remove p1"]);
    let hidden = grace_is_over("'CN=p1,OU=Staff,DC=contoso,DC=test'");
    assert_eq!(operations(&hidden), [""; 0]);
    assert_eq!(codes(&hidden), [FindingCode::MemberUnreadable]);
}

fn in_two_policies(register: &str) -> Stage {
    Stage::of(&format!(
        "
policies:
  a: {{accountType: Administrator, selection: {{organizationalUnits: [OU=Admins]}}}}
  b: {{accountType: Administrator, selection: {{securityGroups: [G]}}}}
directory:
  people: [{{sam: adm, ou: OU=Admins}}]
  groups: [{{name: G, members: [adm]}}]
register: {{accounts: [{register}]}}
"
    ))
}

#[test]
fn the_order_of_the_imports_shows_in_no_plan() {
    let whole = |plan: &CustomerPlan| {
        format!("{}{:?}", serde_json::to_string(plan).expect("JSON"), plan.consequences)
    };
    for register in [
        "",
        "{sam: adm, accountType: Administrator, policy: a}",
        "{sam: adm, accountType: Administrator, policy: b}",
    ] {
        let mut stage = in_two_policies(register);
        let first = whole(&stage.plan());
        stage.imports(AccountType::Administrator).reverse();
        assert_eq!(whole(&stage.plan()), first, "{register}");
    }
}

#[test]
fn the_recorded_policy_is_kept_while_it_includes_the_person() {
    for policy in ["a", "b"] {
        let register = format!("{{sam: adm, accountType: Administrator, policy: {policy}}}");
        let mut stage = in_two_policies(&register);
        assert_eq!(operations(&stage.plan()), [""; 0], "{policy}");
        let exclusion = Exclusion {
            who: Excluded::Account(AccountPattern::Name("adm".into())),
            reason: None,
            until: None,
        };
        let imports = stage.imports(AccountType::Administrator);
        let recorded = imports.iter_mut().find(|import| import.policy == policy).expect("the policy");
        recorded.exclude.push(exclusion);
        let plan = stage.plan();
        assert_eq!(operations(&plan), ["update adm"], "{policy}");
        assert_ne!(plan.operations[0].policy, policy);
    }
}

#[test]
fn one_domain_read_as_two_directories_is_held() {
    for base in ["DC=contoso,DC=test", "OU=Admins,DC=contoso,DC=test"] {
        let mut stage = Stage::of(ONE_JOINS_ONE_LEAVES);
        stage.second_directory(|directory| directory.base = Dn::parse(base).expect("a DN"));
        let plan = stage.plan();
        assert_eq!(plan.state, CustomerState::Held, "{base}");
        assert_eq!(codes(&plan), [FindingCode::ScopeOverlap], "{base}");
        assert_eq!(operations(&plan), [""; 0], "{base}");
    }
}

#[test]
fn two_domains_that_hold_one_guid_give_one_operation_for_it() {
    let yaml = "
policies:
  staff: {selection: {organizationalUnits: [OU=Staff]}}
  admins: {accountType: Administrator, selection: {organizationalUnits: [OU=Admins]}}
directory: {people: [{sam: adm, ou: OU=Admins}, {sam: jane}]}
tenant: {users: [{upn: jane@contoso.test, anchor: 2}]}
";
    for register in ["", "register: {accounts: [{sam: jane, linked: 1, name: Before}]}"] {
        let mut stage = Stage::of(&format!("{yaml}{register}"));
        stage.second_directory(|directory| {
            directory.domain_sid = Some(OTHER_DOMAIN.parse().expect("a SID"));
        });
        let plan = stage.plan();
        let keys: BTreeSet<_> = plan.operations.iter().map(|operation| operation.key).collect();
        assert_eq!(keys.len(), plan.operations.len(), "{:?}", operations(&plan));
        assert!(operations(&plan).contains(&"add adm".to_owned()), "{:?}", operations(&plan));
    }
}

#[test]
fn eighteen_hundred_rivals_are_told_of_in_little_text() {
    let people: String =
        (1..=1_800).map(|number| format!("    - {{sam: p{number}, mail: help@contoso.test}}\n")).collect();
    let plan = Stage::of(&format!(
        "directory:\n  people:\n{people}tenant: {{users: [{{upn: help@contoso.test, mail: help@contoso.test}}]}}\n"
    ))
    .plan();
    assert_eq!(operations(&plan), [""; 0]);
    assert_eq!(plan.not_imported.len(), 1_800);
    for one in &plan.not_imported {
        assert_eq!(one.verdict.code(), "ambiguous-match");
        assert!(
            one.candidates.iter().any(|rival| rival.contains("help@contoso.test")),
            "{:?}",
            one.candidates
        );
    }
    let text: usize = plan.not_imported.iter().flat_map(|one| &one.candidates).map(String::len).sum();
    assert!(text < 2_000_000, "{text} octets");
}

#[test]
fn two_thousand_exclusions_of_two_thousand_people_find_the_one() {
    let mut stage = Stage::of("crowd: 2000\n");
    let names = (1..2_000).map(|number| format!("nobody{number}")).chain(["crowd7".to_owned()]);
    let exclude = |name: String| Exclusion {
        who: Excluded::Account(AccountPattern::Name(name.into())),
        reason: None,
        until: None,
    };
    stage.imports(AccountType::EndUser)[0].exclude = names.map(exclude).collect();
    let plan = stage.plan();
    assert_eq!(operations(&plan), ["remove crowd7"]);
    assert_eq!(not_imported(&plan), ["crowd7 excluded"]);
}

#[test]
fn two_thousand_groups_in_a_privileged_one_find_the_one_member() {
    let mut stage = Stage::of("crowd: 2000\n");
    let directory = stage.directory();
    let domain = directory.domain_sid.expect("a SID");
    let member = directory.people.iter().position(|person| person.sam_account_name == "crowd7");
    let member = u32::try_from(member.expect("crowd7")).expect("a position");
    let first = u32::try_from(directory.groups.len()).expect("a position");
    let group = |name: &str, number: u32, rid: u32, members: Vec<Member>| Group {
        guid: Guid::from_u128(0xabc_0000_0000 + u128::from(number)),
        sid: domain.with_rid(rid),
        dn: Dn::parse(&format!("CN={name},DC=contoso,DC=test")).expect("a DN"),
        cn: name.into(),
        sam_account_name: Some(name.into()),
        is_security: true,
        is_critical: false,
        members,
        unseen: Vec::new(),
        foreign: Vec::new(),
    };
    let inner = (1..=2_000).map(|number| Member::Group(first + number)).collect();
    directory.groups.push(group("Domain Admins", 0, 512, inner));
    for number in 1..=2_000 {
        let members = if number == 2_000 { vec![Member::Person(member)] } else { Vec::new() };
        directory.groups.push(group(&format!("g{number}"), number, 1_000_000 + number, members));
    }
    let plan = stage.plan();
    assert_eq!(operations(&plan), ["remove crowd7"]);
    assert_eq!(not_imported(&plan), ["crowd7 privileged-account"]);
    assert_eq!(count(&plan, Action::Remove), 1);
}
