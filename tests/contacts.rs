//! Whose contact is whose: the rules by which accounts are matched with the people of documentation systems.

use std::collections::{BTreeMap, BTreeSet};

use intake::model::account::{AccountKey, AccountType, Source};
use intake::model::contact::{Contact, ContactKind, CrossLink, Product, address_key};
use intake::model::contact_match::{CANDIDATES_KEPT, ContactMatch, MatchKey, MatchStatus};
use intake::model::guid::Guid;
use intake::model::text::Text;
use intake::plan::likeness::Likeness;
use intake::plan::match_contacts::{Matching, match_contacts};
use jiff::Timestamp;
use proptest::prelude::*;

mod stories;

fn key(number: u128) -> AccountKey {
    AccountKey { account_type: AccountType::EndUser, source: Source::Directory, id: Guid::from_u128(number) }
}

/// Account `number`, called `name`, with an address at contoso.test.
fn account(number: u128, name: &str) -> Likeness {
    let address = address_key(&format!("{name}@contoso.test"));
    Likeness {
        account: key(number),
        name: Text::from(format!("{name}@contoso.test")),
        display_name: Text::from(format!("{name} Doe")),
        addresses: address.iter().cloned().collect(),
        primary_address: address,
        usernames: vec![Text::from(name), Text::from(format!("{name}@contoso.test"))],
        primary_username: Some(Text::from(format!("{name}@contoso.test"))),
    }
}

fn person(id: &str, name: &str, addresses: &[&str]) -> Contact {
    Contact {
        id: id.into(),
        kind: ContactKind::Person,
        organization: "1".into(),
        name: name.into(),
        first_name: None,
        last_name: None,
        addresses: addresses.iter().filter_map(|address| address_key(address)).collect(),
        username: None,
        category: None,
        links: Vec::new(),
        is_archived: false,
        remark: None,
        url: None,
    }
}

fn entry(id: &str, username: &str, category: &str) -> Contact {
    Contact {
        kind: ContactKind::PasswordEntry,
        username: Some(username.into()),
        category: Some(category.into()),
        ..person(id, "an entry", &[])
    }
}

/// A documentation system and everything that bears upon it.
#[derive(Debug)]
struct World {
    accounts: Vec<Likeness>,
    contacts: Vec<Contact>,
    known: BTreeMap<AccountKey, ContactMatch>,
    chosen: BTreeMap<AccountKey, BTreeSet<Text>>,
    elsewhere: BTreeMap<AccountKey, Vec<(Product, Text)>>,
    categories: Vec<Text>,
    create: BTreeSet<AccountType>,
    create_as: ContactKind,
    at: Timestamp,
}

impl World {
    fn new(accounts: Vec<Likeness>, contacts: Vec<Contact>) -> Self {
        Self {
            accounts,
            contacts,
            known: BTreeMap::new(),
            chosen: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            categories: vec!["Active Directory".into()],
            create: BTreeSet::new(),
            create_as: ContactKind::Person,
            at: "2026-11-26T08:00:00Z".parse().expect("a time"),
        }
    }

    fn choose(&mut self, account: u128, contact: &str) {
        self.chosen.entry(key(account)).or_default().insert(contact.into());
    }

    /// Matches everybody, and remembers how they stand.
    fn turn(&mut self) -> Vec<ContactMatch> {
        let connection = Text::from("glue");
        let accounts: Vec<&Likeness> = self.accounts.iter().collect();
        let wanted = accounts.iter().filter(|account| self.create.contains(&account.account.account_type));
        let create: BTreeSet<AccountKey> = wanted.map(|account| account.account).collect();
        let organization = Text::from("1");
        let found = match_contacts(&Matching {
            connection: &connection,
            organization: &organization,
            accounts: &accounts,
            contacts: &self.contacts,
            known: &self.known,
            chosen: &self.chosen,
            elsewhere: &self.elsewhere,
            categories: &self.categories,
            create: &create,
            create_as: self.create_as,
            at: self.at,
        });
        self.known = found.iter().map(|found| (found.account, found.clone())).collect();
        self.at = self.at.checked_add(jiff::SignedDuration::from_hours(3)).expect("a time");
        found
    }

    /// Says in a line how each account stands.
    fn lines(&mut self) -> Vec<String> {
        self.turn().iter().map(line).collect()
    }
}

fn line(found: &ContactMatch) -> String {
    match (found.status, found.matched_by, &found.contact) {
        (MatchStatus::Matched, Some(by), Some(contact)) => format!("{contact} by {}", by.code()),
        (status, _, _) => {
            let candidates: Vec<String> = found
                .candidates
                .iter()
                .map(|candidate| format!("{}:{}", candidate.id, candidate.matched_by.code()))
                .collect();
            format!("{status} [{}]", candidates.join(" "))
        }
    }
}

#[test]
fn one_candidate_links_none_is_unmatched_and_two_are_for_a_person() {
    let mut world = World::new(
        vec![account(1, "jane"), account(2, "john"), account(3, "mary")],
        vec![
            person("5", "Jane", &["other@x.test", "JANE@contoso.TEST"]),
            person("12", "John", &["john@contoso.test"]),
            person("9", "John again", &["john@contoso.test"]),
        ],
    );
    let found = world.turn();
    let lines: Vec<String> = found.iter().map(line).collect();
    assert_eq!(lines, ["5 by address", "ambiguous [9:address 12:address]", "unmatched []"]);
    assert_eq!(found[1].cause, "2 contacts have the address john@contoso.test");
    assert_eq!(found[2].cause, "no contact has an address of this account");
    assert_eq!(found[0].candidates[0].value.as_deref(), Some("jane@contoso.test"));
    // A second look finds everything as it was, down to the times.
    assert_eq!(world.turn(), found);
}

#[test]
fn an_id_holds_where_an_address_changes_and_goes_with_its_contact() {
    let mut world = World::new(vec![account(1, "jane")], vec![person("5", "Jane", &["jane@contoso.test"])]);
    assert_eq!(world.lines(), ["5 by address"]);
    world.contacts[0].addresses = vec!["doe@contoso.test".into()];
    world.contacts.push(person("6", "Another", &["jane@contoso.test"]));
    let found = world.turn();
    assert_eq!(line(&found[0]), "5 by address", "what made the link stays told");
    // The contact is deleted: the other one has the address.
    world.contacts.remove(0);
    assert_eq!(world.lines(), ["6 by address"]);
    world.contacts.clear();
    let found = world.turn();
    assert_eq!(line(&found[0]), "unmatched []");
    // Whoever restores it finds it linked again.
    world.contacts.push(person("6", "Another", &[]));
    assert_eq!(world.lines(), ["6 by storedId"]);
}

#[test]
fn a_deleted_duplicate_heals_without_anybody() {
    let jane = |id: &str| person(id, "Jane", &["jane@contoso.test"]);
    let mut world = World::new(vec![account(1, "jane")], vec![jane("5"), jane("6")]);
    assert_eq!(world.lines(), ["ambiguous [5:address 6:address]"]);
    world.contacts.remove(0);
    assert_eq!(world.lines(), ["6 by address"]);
    // A link that was there before a duplicate came is kept by its id.
    world.contacts.push(jane("7"));
    assert_eq!(world.lines(), ["6 by address"]);
}

#[test]
fn a_persons_choice_wins_over_every_rule_and_is_never_replaced() {
    let jane = |id: &str| person(id, "Jane", &["jane@contoso.test"]);
    let mut world =
        World::new(vec![account(1, "jane")], vec![jane("5"), jane("6"), person("7", "Else", &[])]);
    world.choose(1, "7");
    assert_eq!(world.lines(), ["7 by choice"]);
    // One that cannot be followed fails: whoever chose wants no other.
    world.contacts[2].is_archived = true;
    let found = world.turn();
    assert_eq!(line(&found[0]), "failed [7:choice]");
    assert_eq!(found[0].cause, "`matches` chooses contact 7 (Else), which is archived");
    assert_eq!(found[0].unfollowed, BTreeSet::from(["7".into()]));
    world.contacts.remove(2);
    let found = world.turn();
    assert_eq!(line(&found[0]), "failed []");
    assert!(found[0].cause.contains("was deleted, or belongs to another organisation"), "{}", found[0].cause);
    assert_eq!(found[0].unfollowed, BTreeSet::from(["7".into()]));
    // Two choices are none.
    world.choose(1, "5");
    let found = world.turn();
    assert_eq!(line(&found[0]), "failed [5:choice]");
    assert_eq!(found[0].unfollowed, BTreeSet::from(["5".into(), "7".into()]));
    world.chosen.clear();
    let found = world.turn();
    assert_eq!(line(&found[0]), "ambiguous [5:address 6:address]");
    assert!(found[0].unfollowed.is_empty(), "who is ambiguous by the rules has no choice");
    // Whoever takes a choice back takes back the link that it made.
    world.choose(1, "6");
    assert_eq!(world.lines(), ["6 by choice"]);
    world.chosen.clear();
    let found = world.turn();
    assert_eq!(line(&found[0]), "ambiguous [5:address 6:address]");
    assert_eq!(world.turn(), found);
    // One that chose what the rules had found anyway changes nothing by going.
    world.contacts.remove(0);
    assert_eq!(world.lines(), ["6 by address"]);
    world.choose(1, "6");
    assert_eq!(world.lines(), ["6 by choice"]);
    world.chosen.clear();
    assert_eq!(world.lines(), ["6 by address"]);
}

#[test]
fn a_contact_that_two_accounts_claim_is_a_conflict_for_both_until_somebody_chooses() {
    let shared = person("5", "Jane", &["jane@contoso.test"]);
    let mut second = account(2, "adm-jane");
    second.addresses = vec!["jane@contoso.test".into()];
    let mut world = World::new(vec![account(1, "jane"), second], vec![shared]);
    let found = world.turn();
    assert_eq!([line(&found[0]), line(&found[1])], ["ambiguous [5:address]", "ambiguous [5:address]"]);
    assert!(
        found[0].cause.contains("contact 5 (Jane) is claimed by adm-jane@contoso.test too"),
        "{}",
        found[0].cause
    );
    assert!(found[1].cause.contains("claimed by jane@contoso.test too"), "{}", found[1].cause);
    world.choose(1, "5");
    let found = world.turn();
    assert_eq!([line(&found[0]), line(&found[1])], ["5 by choice", "unmatched [5:address]"]);
    assert_eq!(found[1].cause, "contact 5 (Jane) is chosen for jane@contoso.test");
    // What is left for the other one links it.
    world.contacts.push(person("6", "Jane (admin)", &["jane@contoso.test"]));
    assert_eq!(world.lines(), ["5 by choice", "6 by address"]);
    // Two who choose the same one are a conflict, too.
    world.choose(2, "5");
    let found = world.turn();
    let statuses: Vec<_> = found.iter().map(|found| found.status).collect();
    assert_eq!(statuses, [MatchStatus::Ambiguous, MatchStatus::Ambiguous]);
    assert!(
        found.iter().all(|found| found.unfollowed == BTreeSet::from(["5".into()])),
        "neither is followed"
    );
}

#[test]
fn the_same_person_in_two_roles_is_one_claimant() {
    let mut admin = account(1, "jane");
    admin.account.account_type = AccountType::Administrator;
    let contact = person("5", "Jane", &["jane@contoso.test"]);
    let mut world = World::new(vec![account(1, "jane"), admin], vec![contact]);
    assert_eq!(world.lines(), ["5 by address", "5 by address"]);
}

#[test]
fn who_is_archived_is_shown_and_never_linked() {
    let mut old = person("5", "Jane", &["jane@contoso.test"]);
    old.is_archived = true;
    let mut world = World::new(vec![account(1, "jane")], vec![old]);
    let found = world.turn();
    assert_eq!(line(&found[0]), "unmatched [5:address]");
    assert_eq!(found[0].cause, "contact 5 (Jane) is archived, and nobody else fits");
    world.contacts.push(person("6", "Jane", &["jane@contoso.test"]));
    assert_eq!(world.lines(), ["6 by address"]);
    // A link does not outlive that its contact is put away.
    world.contacts[1].is_archived = true;
    let found = world.turn();
    assert_eq!(line(&found[0]), "unmatched [6:storedId 5:address]");
}

#[test]
fn a_name_is_a_suggestion_and_no_link() {
    let mut named = person("5", "Doe, Jane", &[]);
    let mut world = World::new(vec![account(1, "jane")], vec![named.clone()]);
    let found = world.turn();
    assert_eq!(line(&found[0]), "unmatched [5:name]");
    assert!(
        found[0].cause.ends_with("contact 5 (Doe, Jane) has the same name, which is no proof"),
        "{}",
        found[0].cause
    );
    named.id = "6".into();
    (named.first_name, named.last_name) = (Some("JANE".into()), Some("Doe".into()));
    named.name = "something else".into();
    world.contacts.push(named);
    assert_eq!(world.lines(), ["unmatched [5:name 6:name]"]);
    // One word says nothing.
    let mut single = account(1, "jane");
    single.display_name = "jane".into();
    let mut world = World::new(vec![single], vec![person("5", "Jane", &[])]);
    assert_eq!(world.lines(), ["unmatched []"]);
}

#[test]
fn password_entries_of_the_right_category_match_by_username() {
    let mut world = World::new(
        vec![account(1, "jane"), account(2, "john"), account(3, "mary")],
        vec![
            entry("5", "CONTOSO\\Jane", "active directory"),
            entry("6", "john@contoso.test", "Firewall"),
            entry("7", "MARY@contoso.test", "Active Directory"),
            entry("8", "mary", "Active Directory"),
        ],
    );
    assert_eq!(world.lines(), ["5 by username", "unmatched []", "ambiguous [7:username 8:username]"]);
    // An address is stronger.
    world.contacts.push(person("9", "Mary", &["mary@contoso.test"]));
    assert_eq!(world.lines()[2], "9 by address");
    world.categories.clear();
    let mut world = World { known: BTreeMap::new(), ..world };
    assert_eq!(world.lines(), ["unmatched []", "unmatched []", "9 by address"]);
}

#[test]
fn a_link_between_systems_is_stronger_than_an_address() {
    let linked = |id: &str, product, remote: &str, addresses: &[&str]| Contact {
        links: vec![CrossLink { product, id: remote.into() }],
        ..person(id, "Jane", addresses)
    };
    let mut world = World::new(
        vec![account(1, "jane")],
        vec![
            person("5", "Jane", &["jane@contoso.test"]),
            linked("6", Some(Product::ConnectWise), "250", &[]),
            linked("7", Some(Product::ConnectWise), "251", &[]),
        ],
    );
    world.elsewhere.insert(key(1), vec![(Product::ConnectWise, "250".into())]);
    assert_eq!(world.lines(), ["6 by crossLink"]);
    // Of a system that does not tell which one it links to, a number alone proves nothing.
    let mut world = World::new(vec![account(1, "jane")], vec![linked("6", None, "250", &[])]);
    world.elsewhere.insert(key(1), vec![(Product::ConnectWise, "250".into())]);
    assert_eq!(world.lines(), ["unmatched []"]);
    world.contacts[0].addresses = vec!["jane@contoso.test".into()];
    assert_eq!(world.lines(), ["6 by crossLink"]);
}

#[test]
fn a_missing_contact_is_asked_for_once_and_not_where_somebody_could_be_meant() {
    let mut nameless = account(4, "nobody");
    (nameless.addresses, nameless.primary_address) = (Vec::new(), None);
    let mut old = person("5", "x", &["old@contoso.test"]);
    old.is_archived = true;
    let mut world = World::new(
        vec![account(1, "jane"), account(2, "named"), account(3, "old"), nameless],
        vec![person("6", "named Doe", &[]), old],
    );
    world.create = BTreeSet::from([AccountType::EndUser]);
    let found = world.turn();
    let asked: Vec<bool> = found.iter().map(|found| found.asked_at.is_some()).collect();
    assert_eq!(asked, [true, false, false, false], "a namesake or somebody archived could be meant");
    assert!(found[0].cause.ends_with("one was asked for at 2026-11-26 08:00:00Z, and is made once only"));
    assert!(found[3].cause.contains("no contact is made for an account without an address"));
    assert_eq!(world.turn(), found, "once is all");
    world.contacts.push(person("7", "jane Doe", &["jane@contoso.test"]));
    assert_eq!(world.lines()[0], "7 by address");
    // Somebody deleted it: it is not made again.
    world.contacts.pop();
    let again = world.turn();
    assert_eq!(again[0].asked_at, found[0].asked_at);
    world.create = BTreeSet::from([AccountType::Administrator]);
    let mut other = World { known: BTreeMap::new(), ..world };
    assert!(other.turn().iter().all(|found| found.asked_at.is_none()), "other accounts' option");
}

#[test]
fn a_missing_entry_is_asked_for_by_username_and_an_address_is_not_needed() {
    let mut without_address = account(1, "jane");
    (without_address.addresses, without_address.primary_address) = (Vec::new(), None);
    let mut without_username = account(2, "john");
    (without_username.usernames, without_username.primary_username) = (Vec::new(), None);
    let mut world = World::new(vec![without_address, without_username], Vec::new());
    world.create = BTreeSet::from([AccountType::EndUser]);
    world.create_as = ContactKind::PasswordEntry;
    let found = world.turn();
    let asked: Vec<bool> = found.iter().map(|found| found.asked_at.is_some()).collect();
    assert_eq!(asked, [true, false]);
    assert!(
        found[1].cause.ends_with("; no password entry is made for an account without a username"),
        "{}",
        found[1].cause
    );
    world.contacts.push(entry("password/9", "JANE@contoso.test", "active directory"));
    assert_eq!(world.lines()[0], "password/9 by username");
}

#[test]
fn ten_thousand_contacts_with_one_address_are_counted_and_not_all_kept() {
    let contacts = (0..10_000).map(|id| person(&id.to_string(), "Jane", &["jane@contoso.test"])).collect();
    let mut world = World::new(vec![account(1, "jane")], contacts);
    let found = world.turn();
    assert_eq!(found[0].status, MatchStatus::Ambiguous);
    assert_eq!((found[0].candidate_count, found[0].candidates.len()), (10_000, CANDIDATES_KEPT));
    assert_eq!(found[0].candidates[2].id, "2", "by number, not by text");
    assert_eq!(found[0].cause, "10000 contacts have the address jane@contoso.test");
}

#[test]
fn text_from_outside_is_inert_in_what_is_said() {
    let mut hostile = person("5\u{202e}", "Jane\n\u{1b}[31m", &["jane@contoso.test"]);
    hostile.is_archived = true;
    let mut world = World::new(vec![account(1, "jane")], vec![hostile]);
    let found = world.turn();
    assert!(found[0].cause.chars().all(|character| !character.is_control() && character != '\u{202e}'));
}

/// Accounts and contacts that share addresses, names and archives at random.
fn worlds() -> impl Strategy<Value = World> {
    let addresses = proptest::collection::vec(0..6_u8, 0..3);
    let contacts = proptest::collection::vec((addresses.clone(), any::<bool>(), 0..4_u8), 0..8);
    let accounts = proptest::collection::vec(addresses, 1..6);
    (accounts, contacts, proptest::collection::vec((0..5_u128, 0..8_u8), 0..3)).prop_map(
        |(accounts, contacts, choices)| {
            let text = |numbers: &[u8]| -> Vec<Text> {
                let all: BTreeSet<Text> =
                    numbers.iter().map(|number| Text::from(format!("a{number}@contoso.test"))).collect();
                all.into_iter().collect()
            };
            let accounts = accounts.iter().zip(0..).map(|(addresses, number)| Likeness {
                addresses: text(addresses),
                primary_address: text(addresses).first().cloned(),
                ..account(number, &format!("u{number}"))
            });
            let contacts =
                contacts.iter().zip(0..).map(|((addresses, is_archived, name), id): (_, u8)| Contact {
                    addresses: text(addresses),
                    is_archived: *is_archived,
                    ..person(&id.to_string(), &format!("u{name} Doe"), &[])
                });
            let mut world = World::new(accounts.collect(), contacts.collect());
            for (account, contact) in choices {
                world.choose(account, &contact.to_string());
            }
            world
        },
    )
}

proptest! {
    #[test]
    fn no_contact_stands_for_two_and_a_second_look_changes_nothing(mut world in worlds()) {
        let found = world.turn();
        let mut holders: BTreeMap<&str, usize> = BTreeMap::new();
        for found in found.iter().filter(|found| found.status == MatchStatus::Matched) {
            *holders.entry(found.contact.as_deref().expect("a contact")).or_default() += 1;
            let contact = world.contacts.iter().find(|contact| Some(&contact.id) == found.contact.as_ref());
            let contact = contact.expect("a contact that is there");
            prop_assert!(!contact.is_archived);
            prop_assert!(found.unfollowed.is_empty());
            let account = world.accounts.iter().find(|account| account.account == found.account).expect("it");
            let shares = contact.addresses.iter().any(|address| account.addresses.contains(address));
            prop_assert!(shares || found.matched_by == Some(MatchKey::Choice), "{found:?}");
        }
        prop_assert!(holders.values().all(|count| *count == 1), "{holders:?}");
        for found in found.iter().filter(|found| found.status != MatchStatus::Matched) {
            prop_assert!(!found.cause.is_empty());
            let chosen = world.chosen.get(&found.account).cloned().unwrap_or_default();
            prop_assert_eq!(&found.unfollowed, &chosen, "whoever has a choice and is not matched: {:?}", found);
        }
        prop_assert_eq!(&world.turn(), &found);
        // The order of contacts and accounts decides nothing.
        let mut turned = World::new(
            world.accounts.iter().rev().cloned().collect(),
            world.contacts.iter().rev().cloned().collect(),
        );
        (turned.chosen, turned.at) = (world.chosen.clone(), "2026-11-26T08:00:00Z".parse().expect("a time"));
        let mut backwards = turned.turn();
        backwards.reverse();
        prop_assert_eq!(&backwards, &found);
    }
}
