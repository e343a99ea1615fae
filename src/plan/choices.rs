//! Which contacts of documentation systems a customer's document chooses for whom, and which of these choices the
//! last look could not follow.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use crate::model::account::{Account, AccountKey, AccountState};
use crate::model::contact_match::UnfollowedChoice;
use crate::model::guid::Guid;
use crate::model::register::{AccountEntry, AccountList, Pins, RegisterState};
use crate::model::text::{Text, inert};
use crate::plan::identify::written;
use crate::plan::outcome::{Finding, FindingCode, Severity};
use crate::policy::fleet::{AccountPattern, ChosenMatch, Customer};

/// Returns which contacts a customer's document chooses in one system, by account: entries name people, and are
/// pinned.
pub fn chosen(
    customer: &Customer,
    connection: &str,
    accounts: &[Account],
    pins: &Pins,
) -> BTreeMap<AccountKey, BTreeSet<Text>> {
    let choices: Vec<&ChosenMatch> =
        customer.matches.iter().filter(|choice| choice.system == connection).collect();
    let mut chosen: BTreeMap<AccountKey, BTreeSet<Text>> = BTreeMap::new();
    if choices.is_empty() {
        return chosen;
    }
    // The same person may have an account of each type.
    let mut keys: HashMap<Guid, Vec<AccountKey>> = HashMap::with_capacity(accounts.len());
    for account in accounts {
        keys.entry(account.key.id).or_default().push(account.key);
    }
    for choice in choices {
        for account in people(choice, pins).into_iter().filter_map(|person| keys.get(&person)).flatten() {
            chosen.entry(*account).or_default().insert(choice.id.clone());
        }
    }
    chosen
}

/// Tells of every choice that the document makes and that the last look could not follow. Whoever changed what is
/// chosen for an account since is told nothing until it was looked at: what was found is about another choice.
pub fn unfollowed(customer: &Customer, register: &RegisterState, pins: &Pins) -> Vec<Finding> {
    if register.unfollowed.is_empty() {
        return Vec::new();
    }
    let mut known: BTreeMap<(&Text, Guid), Vec<&UnfollowedChoice>> = BTreeMap::new();
    for choice in &register.unfollowed {
        known.entry((&choice.connection, choice.account.id)).or_default().push(choice);
    }
    let accounts: HashMap<AccountKey, &Account> = register
        .accounts
        .iter()
        // Others are looked at by nobody, and keep what was found when they were.
        .filter(|account| matches!(account.state, AccountState::Active | AccountState::PendingRemoval { .. }))
        .map(|account| (account.key, account))
        .collect();
    let mut findings = Vec::new();
    for place in &customer.documentation {
        let connection = &place.connection;
        let now = chosen(customer, connection, &register.accounts, pins);
        for choice in customer.matches.iter().filter(|choice| choice.system == *connection) {
            let people = people(choice, pins).into_iter();
            for before in people.filter_map(|person| known.get(&(connection, person))).flatten() {
                let Some(account) = accounts.get(&before.account) else { continue };
                let is_the_same = before.organization == place.organization
                    && now.get(&before.account) == Some(&before.contacts)
                    && customer.has_contacts_looked_for(before.account.account_type);
                if is_the_same {
                    findings.push(finding(choice, account, before));
                }
            }
        }
    }
    findings
}

fn finding(choice: &ChosenMatch, account: &Account, before: &UnfollowedChoice) -> Finding {
    let name = account.profile.user_principal_name.as_ref().unwrap_or(&account.profile.sam_account_name);
    Finding {
        code: FindingCode::ChoiceNotFollowed,
        severity: Severity::Warning,
        subject: format!("{}: {}", AccountList::Matches.code(), inert(&written(&choice.account))),
        message: format!(
            "in {}: {}; no other contact is taken for {}: correct the entry, or take it out",
            inert(&before.connection),
            inert(&before.cause),
            inert(name)
        ),
    }
}

/// Returns whom an entry names, by what it is pinned to.
fn people(choice: &ChosenMatch, pins: &Pins) -> Vec<Guid> {
    match &choice.account {
        AccountPattern::Guid(guid) => vec![*guid],
        named => {
            let entry = AccountEntry { list: AccountList::Matches, written: written(named) };
            pins.accounts.get(&entry).into_iter().flatten().map(|person| person.guid).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::AccountType;
    use crate::model::register::PinnedAccount;
    use crate::reconcile::fakes;

    #[test]
    fn entries_choose_for_whom_they_are_pinned_to_in_every_role_and_in_their_own_system() {
        let mut accounts: Vec<Account> = (1..=3).map(fakes::account).collect();
        let mut admin = fakes::account(1);
        admin.key.account_type = AccountType::Administrator;
        accounts.push(admin);
        let choice = |account: AccountPattern, system: &str, id: &str| ChosenMatch {
            account,
            system: Text::from(system),
            id: Text::from(id),
        };
        let mut customer = Customer::named(Text::from("contoso"));
        let jane = || AccountPattern::Name(Text::from("jane"));
        customer.matches = vec![
            choice(jane(), "glue", "7"),
            choice(jane(), "hudu", "8"),
            choice(AccountPattern::Guid(accounts[1].key.id), "glue", "9"),
            choice(AccountPattern::Guid(accounts[1].key.id), "glue", "10"),
            // Nobody is pinned to it.
            choice(AccountPattern::Name(Text::from("john")), "glue", "11"),
        ];
        let entry = AccountEntry { list: AccountList::Matches, written: Text::from("jane") };
        let person = PinnedAccount { guid: accounts[0].key.id, name: Text::from("renamed@contoso.test") };
        let pins = Pins { accounts: BTreeMap::from([(entry, vec![person])]), ..Pins::default() };
        let seven = BTreeSet::from([Text::from("7")]);
        let two = BTreeSet::from(["9", "10"].map(Text::from));
        assert_eq!(
            chosen(&customer, "glue", &accounts, &pins),
            BTreeMap::from([
                (accounts[0].key, seven.clone()),
                (accounts[3].key, seven),
                (accounts[1].key, two)
            ])
        );
        assert!(chosen(&customer, "cw", &accounts, &pins).is_empty());
    }
}
