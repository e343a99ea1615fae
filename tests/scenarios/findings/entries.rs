//! Entries of `protect`, `matches` and `exclude` stay with the person whom they named first.

use intake::model::directory::Person;
use intake::model::guid::Guid;
use intake::model::text::Text;
use intake::plan::outcome::{CustomerPlan, FindingCode};

use crate::scenarios::stage::{Stage, codes, not_imported, operations};

/// Somebody of the register whom an entry of the customer's document names.
fn stage(entry: &str) -> Stage {
    let mut stage = Stage::of(&format!(
        "
customer: {{{entry}}}
crowd: 20
directory: {{people: [{{sam: jane, guid: 501}}]}}
tenant: {{users: [{{upn: jane@contoso.test, id: 601}}, {{upn: other@contoso.test, id: 602}}]}}
register: {{accounts: [{{sam: jane, guid: 501, linked: 601}}]}}
"
    ));
    stage.turn();
    stage
}

fn person(stage: &mut Stage, number: u128) -> &mut Person {
    let people = &mut stage.directory().people;
    people.iter_mut().find(|person| person.guid == Guid::from_u128(number)).expect("a person")
}

/// Jane's account is renamed.
fn rename(stage: &mut Stage) {
    let jane = person(stage, 501);
    jane.sam_account_name = Text::from("jsmith");
    jane.user_principal_name = Some(Text::from("jane.smith@contoso.test"));
}

/// Somebody else gets the name that Jane had.
fn succeed(stage: &mut Stage) {
    let mut other = person(stage, 501).clone();
    other.guid = Guid::from_u128(777);
    other.sid = None;
    other.sam_account_name = Text::from("jane");
    other.user_principal_name = Some(Text::from("jane@contoso.test"));
    stage.directory().people.push(other);
}

fn subjects(plan: &CustomerPlan) -> Vec<(&'static str, String)> {
    plan.findings.iter().map(|finding| (finding.code.code(), finding.subject.clone())).collect()
}

#[test]
fn a_new_name_lifts_no_protection() {
    let mut stage = stage("protect: [jane@contoso.test]");
    rename(&mut stage);
    person(&mut stage, 501).enabled = false;
    let plan = stage.turn();
    assert_eq!(operations(&plan), Vec::<String>::new());
    assert_eq!(codes(&plan), [FindingCode::ScopeRenamed]);
    assert!(plan.findings[0].message.contains("jane.smith@contoso.test"), "{:?}", plan.findings);
}

#[test]
fn whoever_has_a_protected_name_is_protected_as_well() {
    let mut stage = stage("protect: [jane@contoso.test]");
    rename(&mut stage);
    succeed(&mut stage);
    stage.turn();
    for number in [501, 777] {
        person(&mut stage, number).enabled = false;
    }
    let plan = stage.turn();
    assert!(operations(&plan).iter().all(|line| !line.starts_with("remove")), "{:?}", operations(&plan));
}

#[test]
fn a_new_name_lifts_no_exclusion_and_does_not_hand_it_to_a_successor() {
    let mut stage = stage("exclude: [{account: jane, reason: shared}]");
    assert_eq!(not_imported(&stage.plan()), ["jane excluded"]);
    rename(&mut stage);
    succeed(&mut stage);
    let plan = stage.turn();
    assert_eq!(not_imported(&plan), ["jsmith excluded"]);
    assert_eq!(subjects(&plan), [("scope-renamed", "exclude: jane".to_owned())]);
    assert!(operations(&plan).contains(&"add jane".to_owned()), "{:?}", operations(&plan));
}

#[test]
fn somebody_deleted_and_made_again_is_excluded_by_the_same_entry() {
    let mut stage = stage("exclude: [{account: jane@contoso.test}]");
    succeed(&mut stage);
    stage.directory().people.retain(|person| person.guid != Guid::from_u128(501));
    let plan = stage.turn();
    assert_eq!(not_imported(&plan), ["jane excluded"]);
    // And from then on it is this one, whatever the name.
    let again = person(&mut stage, 777);
    again.sam_account_name = Text::from("renamed");
    again.user_principal_name = None;
    assert_eq!(not_imported(&stage.turn()), ["renamed excluded"]);
}

#[test]
fn a_second_bearer_of_the_name_is_excluded_too_and_an_absent_one_is_not_forgotten() {
    let mut stage = stage("exclude: [{account: jane}]");
    succeed(&mut stage);
    assert_eq!(not_imported(&stage.turn()), ["jane excluded", "jane excluded"]);
    let other = person(&mut stage, 777).clone();
    stage.directory().people.retain(|person| person.guid != Guid::from_u128(777));
    stage.turn();
    stage.directory().people.push(other);
    person(&mut stage, 777).sam_account_name = Text::from("renamed");
    person(&mut stage, 777).user_principal_name = None;
    assert_eq!(not_imported(&stage.turn()), ["jane excluded", "renamed excluded"]);
}

#[test]
fn somebody_restored_is_the_one_who_was_meant() {
    let mut stage = stage("exclude: [{account: jane@contoso.test}]");
    rename(&mut stage);
    let jane = person(&mut stage, 501).clone();
    stage.directory().people.retain(|person| person.guid != Guid::from_u128(501));
    let plan = stage.turn();
    assert_eq!(codes(&plan), [FindingCode::ExcludeNotFound]);
    stage.directory().people.push(jane);
    assert_eq!(not_imported(&stage.turn()), ["jsmith excluded"]);
}

#[test]
fn a_choice_stays_with_the_person_it_was_made_for() {
    let id = Guid::from_u128(0x7e00_0000_0000 + 602);
    let mut stage = stage(&format!("matches: [{{account: jane, system: tenant, id: \"{id}\"}}]"));
    let linked = |stage: &Stage| {
        let accounts = &stage.observation.register.accounts;
        accounts
            .iter()
            .find(|account| account.key.id == Guid::from_u128(501))
            .expect("Jane")
            .profile
            .tenant_user_id
    };
    assert_eq!(linked(&stage), Some(id));
    rename(&mut stage);
    let plan = stage.turn();
    assert_eq!(codes(&plan), [FindingCode::ScopeRenamed]);
    assert_eq!(linked(&stage), Some(id));
}

#[test]
fn entries_that_fit_nobody_are_told() {
    let mut stage = stage(
        "protect: [nobody@contoso.test], exclude: [{account: nobody}, {account: \"svc-*\"}], \
         matches: [{account: nobody, system: tenant, id: 00000000-0000-0000-0000-00000000dead}]",
    );
    let plan = stage.plan();
    let told = subjects(&plan);
    for (code, subject) in [
        ("account-not-found", "protect: nobody@contoso.test"),
        ("account-not-found", "matches: nobody"),
        ("exclude-not-found", "exclude: nobody"),
        ("exclude-not-found", "exclude: svc-*"),
    ] {
        assert!(told.contains(&(code, subject.to_owned())), "{subject}: {told:?}");
    }
    let choices = plan.findings.iter().filter(|finding| finding.subject == "matches: nobody");
    assert_eq!(choices.count(), 2, "neither the account nor the user exists: {told:?}");
    // Once it fits, nothing is told.
    stage.customer.matches.clear();
    person(&mut stage, 501).sam_account_name = Text::from("nobody");
    person(&mut stage, 501).user_principal_name = Some(Text::from("nobody@contoso.test"));
    let told = subjects(&stage.plan());
    assert_eq!(told, [("exclude-not-found", "exclude: svc-*".to_owned())]);
}

#[test]
fn a_second_turn_pins_nothing_anew() {
    let stage = stage("protect: [jane@contoso.test], exclude: [{account: other}]");
    let plan = stage.plan();
    assert!(stage.commit(&plan).is_none(), "{:?}", plan.consequences.pins);
}
