//! Contacts that `matches` chooses in documentation systems, and the last look could not take: told of, and nothing
//! else.

use std::collections::BTreeSet;

use intake::model::account::{AccountKey, AccountState, AccountType, Source};
use intake::model::contact_match::UnfollowedChoice;
use intake::model::duration::Seconds;
use intake::model::guid::Guid;
use intake::model::text::Text;
use intake::plan::outcome::{CustomerPlan, CustomerState, FindingCode, Severity};
use intake::policy::fleet::{AccountPattern, ChosenMatch, Documentation, Options};

use crate::scenarios::stage::{Stage, codes};

const CAUSE: &str = "`matches` chooses contact 7 (Else), which is archived";

fn choice(account: &str, system: &str, id: &str) -> ChosenMatch {
    let account = AccountPattern::Name(Text::from(account));
    ChosenMatch { account, system: Text::from(system), id: Text::from(id) }
}

fn jane() -> AccountKey {
    AccountKey { account_type: AccountType::EndUser, source: Source::Directory, id: Guid::from_u128(501) }
}

/// What a look found that could not follow these choices for Jane.
fn found(contacts: &[&str]) -> UnfollowedChoice {
    UnfollowedChoice {
        account: jane(),
        connection: Text::from("glue"),
        organization: Text::from("2"),
        contacts: contacts.iter().copied().map(Text::from).collect::<BTreeSet<_>>(),
        cause: CAUSE.to_owned(),
    }
}

/// A customer whose document chooses contact 7 of `glue` for Jane, which cannot be taken.
fn stage() -> Stage {
    let mut stage = Stage::of(
        "
crowd: 20
directory: {people: [{sam: jane, guid: 501}]}
tenant: {users: [{upn: jane@contoso.test, id: 601}]}
register: {accounts: [{sam: jane, guid: 501, linked: 601}]}
",
    );
    stage.customer.documentation =
        vec![Documentation { connection: "glue".into(), organization: "2".into(), asset_layout: None }];
    stage.customer.matches = vec![choice("jane@contoso.test", "glue", "7")];
    // The entry is pinned to Jane.
    stage.turn();
    stage.observation.register.unfollowed = vec![found(&["7"])];
    stage
}

fn told(plan: &CustomerPlan) -> Vec<(&str, &str)> {
    plan.findings.iter().map(|finding| (finding.subject.as_str(), finding.message.as_str())).collect()
}

#[test]
fn a_choice_that_cannot_be_followed_is_a_warning_and_changes_nothing() {
    let mut stage = stage();
    let plan = stage.plan();
    assert_eq!(codes(&plan), [FindingCode::ChoiceNotFollowed]);
    assert_eq!(plan.findings[0].severity, Severity::Warning);
    let message = format!(
        "in glue: {CAUSE}; no other contact is taken for jane@contoso.test: correct the entry, or take it out"
    );
    assert_eq!(told(&plan), [("matches: jane@contoso.test", message.as_str())]);
    assert_eq!(plan.state, CustomerState::Ready);
    assert!(plan.operations.is_empty() && plan.approval.is_none());
    assert!(stage.commit(&plan).is_none(), "nothing is written for it");
    stage.observation.register.unfollowed.clear();
    let without = stage.plan();
    assert!(without.findings.is_empty());
    assert_eq!(without.digest, plan.digest);
}

#[test]
fn it_is_gone_with_the_choice_before_anybody_looks_again() {
    let is_told = |change: fn(&mut Stage)| {
        let mut stage = stage();
        change(&mut stage);
        codes(&stage.plan()).contains(&FindingCode::ChoiceNotFollowed)
    };
    assert!(is_told(|_| {}));
    assert!(!is_told(|stage| stage.customer.matches.clear()));
    assert!(!is_told(|stage| stage.customer.matches[0].id = "8".into()), "another contact was chosen since");
    assert!(!is_told(|stage| stage.customer.matches[0].system = "hudu".into()));
    assert!(!is_told(|stage| {
        stage.customer.matches.push(choice("jane@contoso.test", "glue", "8"));
    }));
    assert!(!is_told(|stage| stage.customer.documentation.clear()));
    assert!(!is_told(|stage| stage.customer.documentation[0].organization = "3".into()));
    assert!(!is_told(|stage| {
        let options = Options {
            interval: Seconds(3_600),
            match_documentation: false,
            create_missing_documentation: false,
            publish: Vec::new(),
        };
        stage.customer.options.insert(AccountType::EndUser, options);
    }));
    assert!(!is_told(|stage| {
        let since = stage.observation.at;
        stage.account("jane").state = AccountState::Orphaned { since };
    }));
    // Whoever chose for somebody else as well still has this choice.
    assert!(is_told(|stage| stage.customer.matches.push(choice("crowd1", "glue", "9"))));
}

#[test]
fn it_is_about_the_person_whom_the_entry_was_pinned_to() {
    let mut stage = stage();
    let jane = stage.directory().people.iter_mut().find(|person| person.guid == Guid::from_u128(501));
    let jane = jane.expect("Jane");
    jane.sam_account_name = Text::from("jsmith");
    jane.user_principal_name = Some(Text::from("jane.smith@contoso.test"));
    assert_eq!(codes(&stage.plan()), [FindingCode::ScopeRenamed, FindingCode::ChoiceNotFollowed]);
    // An entry by id needs no pin.
    stage.customer.matches[0].account = AccountPattern::Guid(Guid::from_u128(501));
    let plan = stage.plan();
    assert_eq!(plan.findings[0].subject, format!("matches: {}", Guid::from_u128(501)));
}

#[test]
fn of_several_choices_for_one_account_each_entry_tells() {
    let mut stage = stage();
    stage.customer.matches.push(choice("jane", "glue", "8"));
    stage.turn();
    stage.observation.register.unfollowed = vec![found(&["7", "8"])];
    let plan = stage.plan();
    let subjects: Vec<&str> = told(&plan).into_iter().map(|(subject, _)| subject).collect();
    assert_eq!(subjects, ["matches: jane", "matches: jane@contoso.test"]);
    // One is taken out: what was found is about both.
    stage.customer.matches.pop();
    assert!(stage.plan().findings.is_empty());
}
