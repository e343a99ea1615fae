//! The laws that a register keeps, whatever database is behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use intake::adapters::store::connection::Store;
use intake::model::account::{
    Account, AccountKey, AccountState, AccountType, Profile, Provenance, Source, Verdict,
};
use intake::model::contact_match::{
    ContactChanges, ContactMatch, DocumentationStatus, MatchStatus, UnfollowedChoice,
};
use intake::model::digest::Digest;
use intake::model::event::{ChainHead, Event, EventKind, EventQuery, NewEvent, ReadingDigests};
use intake::model::guid::Guid;
use intake::model::read_from::{GroupsRead, ReadFrom};
use intake::model::register::{
    AccountEntry, AccountList, Attempted, Commit, CustomerStatus, Delivery, Hold, Measures, Outcome,
    PackedReadings, PinnedAccount, PinnedScope, Pins, Reports, ScopeKind, ScopeName, Sighting, Suspension,
    SuspensionChange,
};
use intake::model::tenant::SyncState;
use intake::model::text::Text;
use intake::ports::outbox::Outbox;
use intake::ports::register::{ChainCheck, Register, RegisterFault, RegisterReader as _};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use crate::support::postgres::Postgres;

use super::sample::{
    Folder, OneByOne as _, account, at, commit, contact, days, delivery, event, hold, readings, small, whole,
};

/// Runs every law over every store.
macro_rules! laws {
    ($($law:ident)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $law() {
                let store = super::Store::open("sqlite::memory:").await.unwrap();
                super::$law(&store, &store).await;
            })*
        }
        mod in_a_file {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                let folder = super::Folder::new();
                let store = folder.open().await;
                super::$law(&store, &store).await;
            })*
        }
        mod on_a_server {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                let store = super::Store::open(&super::Postgres::shared().database().await.url()).await.unwrap();
                super::$law(&store, &store).await;
                store.close().await;
            })*
        }
    };
}

laws! {
    an_unknown_customer_is_empty_and_at_revision_0
    a_commit_is_read_back_as_it_was_written
    a_commit_that_expects_another_revision_writes_nothing
    a_commit_that_fails_at_its_end_leaves_nothing_of_its_beginning
    an_account_is_written_whole_by_its_key
    a_commit_of_nothing_raises_the_revision
    pins_and_holds_are_replaced_whole
    a_suspension_stays_through_turns_until_it_is_lifted
    contacts_are_written_with_a_commit_and_forgotten_with_their_account
    choices_that_could_not_be_followed_are_loaded_with_the_register
    how_looking_for_contacts_went_is_bookkeeping
    a_delivery_that_fails_is_late_until_it_was_made
    many_rows_of_one_commit_keep_their_order
    of_many_writers_on_one_revision_exactly_one_wins
    a_commit_whose_caller_goes_away_is_written_all_the_same
    customers_do_not_touch_each_other
    accounts_are_listed_by_customer_then_name_then_id
    events_are_numbered_without_a_gap_and_chained
    events_carry_what_they_were_decided_from_and_the_commit_says_where_the_record_ends
    the_record_is_asked_for_in_pages_and_by_time
    a_delivery_with_a_known_key_is_the_same_delivery
    deliveries_of_one_destination_and_customer_arrive_in_order
    what_waits_for_one_destination_hides_nothing_of_another
    a_delivery_that_was_given_up_no_longer_blocks_those_behind_it
    a_delivery_is_forgotten_30_days_after_it_was_made
    a_delivery_that_is_not_there_cannot_be_marked
    bookkeeping_raises_no_revision
    measures_of_a_source_stay_until_it_is_measured_again
    measures_come_with_what_they_led_to_or_not_at_all
    readings_are_kept_whole_and_those_that_are_the_same_change_their_time
    of_two_that_go_on_from_one_sync_state_the_first_counts
    only_accounts_that_were_removed_before_the_moment_are_forgotten
    twenty_thousand_accounts_come_back_equal
}

async fn an_unknown_customer_is_empty_and_at_revision_0(register: &dyn Register, outbox: &dyn Outbox) {
    let state = register.load("contoso").await.unwrap();
    assert_eq!((state.revision, state.accounts.len(), state.holds.len()), (0, 0, 0));
    assert_eq!((state.pins, state.measures), (Pins::default(), Measures::default()));
    assert!(register.customers().await.unwrap().is_empty());
    assert!(register.accounts(None).await.unwrap().is_empty());
    assert!(register.events(None).await.unwrap().is_empty());
    assert!(register.statuses().await.unwrap().is_empty());
    assert_eq!(whole(&register.verify("contoso").await.unwrap()), Some(0));
    assert!(outbox.due(at(100), 10).await.unwrap().is_empty());
}

/// One account of every state, source and type, and one of everything else.
pub(super) fn full() -> Commit {
    let with = |number, state| Account { state, ..account(number) };
    let bare = Account {
        key: AccountKey {
            account_type: AccountType::Administrator,
            source: Source::Tenant,
            id: Guid::from_u128(5),
        },
        provenance: Arc::new(Provenance { directory: None, ..(*account(5).provenance).clone() }),
        profile: Profile {
            sam_account_name: "".into(),
            user_principal_name: None,
            display_name: "".into(),
            email: None,
            mobile_phone: Some("+49 30 1".into()),
            tenant_user_id: None,
            password_sync: false,
        },
        ..account(5)
    };
    Commit {
        accounts: vec![
            with(1, AccountState::Active),
            with(2, AccountState::PendingRemoval { since: at(1), until: at(2), reason: Verdict::NotInScope }),
            with(3, AccountState::Orphaned { since: at(3) }),
            with(4, AccountState::Removed { since: at(4), reason: Verdict::Unlicensed, approved: true }),
            bare,
        ],
        events: vec![
            event("Jane"),
            NewEvent {
                kind: EventKind::SourcePinned,
                account: None,
                subject: "".into(),
                details: json!({"tenant": "t", "nested": [1, 2.5, null, "\u{0}\u{202e}"]}),
            },
        ],
        deliveries: vec![delivery("hr", "one"), delivery("glue", "one")],
        pins: Pins {
            domains: BTreeMap::from([("main".into(), "S-1-5-21-1-2-3".into())]),
            tenant: Some("11111111-2222-3333-4444-555555555555".into()),
            scopes: BTreeMap::from([
                (
                    ScopeName {
                        directory: "main".into(),
                        kind: ScopeKind::OrganizationalUnit,
                        written: "ou=staff".into(),
                    },
                    PinnedScope { guid: Guid::from_u128(8), dn: "OU=Staff,DC=contoso,DC=test".into() },
                ),
                (
                    ScopeName {
                        directory: "main".into(),
                        kind: ScopeKind::SecurityGroup,
                        written: "ou=staff".into(),
                    },
                    PinnedScope { guid: Guid::from_u128(9), dn: "CN=\"\\,\u{0}".into() },
                ),
            ]),
            accounts: BTreeMap::from([
                (
                    AccountEntry { list: AccountList::Protect, written: "ceo@contoso.test".into() },
                    vec![PinnedAccount { guid: Guid::from_u128(5), name: "Boss@contoso.test".into() }],
                ),
                (
                    AccountEntry { list: AccountList::Exclude, written: "ceo@contoso.test".into() },
                    vec![
                        PinnedAccount { guid: Guid::from_u128(5), name: "\u{202e}".into() },
                        PinnedAccount { guid: Guid::from_u128(6), name: "".into() },
                    ],
                ),
            ]),
        },
        holds: vec![Hold { used_at: Some(at(9)), ..hold("z") }, hold("a")],
        ..commit("contoso", 0)
    }
}

async fn a_commit_is_read_back_as_it_was_written(register: &dyn Register, outbox: &dyn Outbox) {
    let full = full();
    assert_eq!(register.commit(full.clone()).await.unwrap().revision, 1);

    let state = register.load("contoso").await.unwrap();
    assert_eq!(state.revision, 1);
    assert_eq!(state.accounts, full.accounts);
    assert_eq!(state.pins, full.pins);
    assert_eq!(state.holds, full.holds);
    assert_eq!(register.customers().await.unwrap(), ["contoso"]);

    let events = register.events(Some("contoso")).await.unwrap();
    assert_eq!(events.len(), 2);
    for ((event, written), sequence) in events.iter().zip(&full.events).zip(1..) {
        assert_eq!((event.customer.as_str(), event.sequence, event.at), ("contoso", sequence, at(10)));
        assert_eq!((event.run.as_str(), event.tree_revision.as_str()), ("run-1", "tree-1"));
        assert_eq!((event.kind.as_str(), &event.subject), (written.kind.code(), &written.subject));
        assert_eq!((event.account, &event.details), (written.account, &written.details));
    }
    assert_ne!(events[0].hash, events[1].hash);

    let due = outbox.due(at(10), 10).await.unwrap();
    let shown: Vec<(&str, &str, &str, u32)> =
        due.iter().map(|it| (&*it.customer, &*it.destination, &*it.key, it.attempts)).collect();
    assert_eq!(shown, [("contoso", "hr", "one", 0), ("contoso", "glue", "one", 0)]);
    assert_eq!(due[0].body, json!({"key": "one"}));
    assert!(outbox.due(at(9), 10).await.unwrap().is_empty(), "before the commit nothing is due");
}

async fn a_commit_that_expects_another_revision_writes_nothing(register: &dyn Register, outbox: &dyn Outbox) {
    assert_eq!(register.commit(small("contoso", 0)).await.unwrap().revision, 1);
    for expected in [0, 2, u64::MAX] {
        let late = Commit { expected_revision: expected, ..full() };
        match register.commit(late).await {
            Err(RegisterFault::Stale { customer, expected: told, found }) => {
                assert_eq!((customer.as_str(), told, found), ("contoso", expected, 1));
            }
            other => panic!("{other:?}"),
        }
    }
    let ahead = register.commit(small("fabrikam", 1)).await.unwrap_err();
    assert!(matches!(ahead, RegisterFault::Stale { found: 0, .. }), "{ahead:?}");
    assert_eq!(register.customers().await.unwrap(), ["contoso"]);
    assert_eq!(register.load("contoso").await.unwrap().accounts, [account(1)]);
    assert_eq!(register.events(None).await.unwrap().len(), 1);
    assert_eq!(outbox.due(at(100), 10).await.unwrap().len(), 1);
    assert_eq!(register.commit(small("contoso", 1)).await.unwrap().revision, 2);
}

async fn a_commit_that_fails_at_its_end_leaves_nothing_of_its_beginning(
    register: &dyn Register,
    outbox: &dyn Outbox,
) {
    register.commit(small("contoso", 0)).await.unwrap();
    // No store takes one approval twice; holds are written last.
    for customer in ["contoso", "fabrikam"] {
        let broken = Commit {
            customer: customer.into(),
            expected_revision: u64::from(customer == "contoso"),
            holds: vec![hold("a"), hold("a")],
            ..full()
        };
        let fault = register.commit(broken).await.unwrap_err();
        assert!(fault.to_string().contains("nothing was written"), "{fault}");
    }
    assert_eq!(register.customers().await.unwrap(), ["contoso"]);
    let state = register.load("contoso").await.unwrap();
    assert_eq!((state.revision, state.accounts), (1, vec![account(1)]));
    assert_eq!((state.pins, state.holds), (Pins::default(), Vec::new()));
    assert_eq!(register.events(None).await.unwrap().len(), 1);
    assert_eq!(outbox.due(at(100), 10).await.unwrap().len(), 1);
    assert_eq!(whole(&register.verify("contoso").await.unwrap()), Some(1));
    assert_eq!(register.commit(small("contoso", 1)).await.unwrap().revision, 2);
}

async fn an_account_is_written_whole_by_its_key(register: &dyn Register, _: &dyn Outbox) {
    register.commit(full()).await.unwrap();
    let changed = Account {
        profile: Profile { email: None, display_name: "Jane Roe".into(), ..account(1).profile },
        state: AccountState::Orphaned { since: at(20) },
        provenance: Arc::new(Provenance {
            directory: None,
            policy: "other".into(),
            ..(*account(1).provenance).clone()
        }),
        ..account(1)
    };
    // The same id in another role and from another source is another account.
    let role = AccountKey { account_type: AccountType::Administrator, ..account(1).key };
    let other = Account { key: role, ..account(1) };
    let accounts = vec![changed.clone(), other.clone()];
    register.commit(Commit { accounts, ..commit("contoso", 1) }).await.unwrap();
    let accounts = register.load("contoso").await.unwrap().accounts;
    assert_eq!(accounts.len(), 6);
    assert!(accounts.contains(&changed) && accounts.contains(&other) && !accounts.contains(&account(1)));
}

async fn many_rows_of_one_commit_keep_their_order(register: &dyn Register, outbox: &dyn Outbox) {
    // More than are written together, twice, and some that are left over.
    const MANY: u128 = 133;
    for (revision, state) in [(0, AccountState::Active), (1, AccountState::Orphaned { since: at(9) })] {
        let of = |number: u128| Account { state: state.clone(), ..account(number) };
        let told = |number: u128| format!("{revision} {number}");
        let many = Commit {
            accounts: (0..MANY).map(of).collect(),
            events: (0..MANY).map(|number| event(&told(number))).collect(),
            deliveries: (0..MANY).map(|number| delivery(&told(number), "k")).collect(),
            ..commit("contoso", revision)
        };
        register.commit(many).await.unwrap();
        let mut accounts = register.load("contoso").await.unwrap().accounts;
        accounts.sort_by_key(|account| account.key.id);
        assert_eq!(accounts, (0..MANY).map(of).collect::<Vec<_>>());
        for customer in [None, Some("contoso")] {
            let events = register.events(customer).await.unwrap();
            let subjects: Vec<_> =
                events.iter().rev().take(133).rev().map(|event| event.subject.clone()).collect();
            assert_eq!(subjects, (0..MANY).map(told).collect::<Vec<_>>());
        }
        let due = outbox.due(at(10), 1_000).await.unwrap();
        assert_eq!(
            due.iter().map(|one| one.destination.to_string()).collect::<Vec<_>>(),
            (0..MANY).map(told).collect::<Vec<_>>()
        );
        let arrived: Vec<_> =
            due.iter().map(|one| Attempted { id: one.id, outcome: Outcome::Arrived }).collect();
        outbox.settle(&arrived, at(10)).await.unwrap();
    }
    assert_eq!(whole(&register.verify("contoso").await.unwrap()), Some(266));
}

async fn a_commit_of_nothing_raises_the_revision(register: &dyn Register, _: &dyn Outbox) {
    assert_eq!(register.commit(commit("contoso", 0)).await.unwrap().revision, 1);
    assert_eq!(register.commit(small("contoso", 1)).await.unwrap().revision, 2);
    assert_eq!(register.commit(commit("contoso", 2)).await.unwrap().revision, 3);
    assert_eq!(whole(&register.verify("contoso").await.unwrap()), Some(1));
    assert_eq!(register.load("contoso").await.unwrap().accounts.len(), 1);
}

async fn pins_and_holds_are_replaced_whole(register: &dyn Register, _: &dyn Outbox) {
    register.commit(full()).await.unwrap();
    let pins = Pins { tenant: Some("t".into()), ..Pins::default() };
    let holds = vec![hold("b"), hold("a")];
    let next = Commit { pins: pins.clone(), holds: holds.clone(), ..commit("contoso", 1) };
    register.commit(next).await.unwrap();
    let state = register.load("contoso").await.unwrap();
    assert_eq!((state.pins, state.holds), (pins, holds));
}

async fn of_many_writers_on_one_revision_exactly_one_wins(register: &dyn Register, outbox: &dyn Outbox) {
    for revision in 0..5 {
        let writers = (0..8_u128).map(|writer| Commit {
            accounts: vec![account(u128::from(revision) * 100 + writer)],
            deliveries: vec![delivery("hr", &format!("{revision}-{writer}"))],
            ..small("contoso", revision)
        });
        let outcomes = join_all(writers.map(|commit| register.commit(commit))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for lost in outcomes.into_iter().filter_map(Result::err) {
            assert!(matches!(lost, RegisterFault::Stale { .. }), "{lost:?}");
        }
    }
    let state = register.load("contoso").await.unwrap();
    assert_eq!((state.revision, state.accounts.len()), (5, 5));
    assert_eq!(whole(&register.verify("contoso").await.unwrap()), Some(5));
    assert_eq!(drain(outbox, at(100)).await.len(), 5);
}

async fn a_commit_whose_caller_goes_away_is_written_all_the_same(
    register: &dyn Register,
    outbox: &dyn Outbox,
) {
    for revision in 0..20_u64 {
        let accounts = (0..20).map(account).collect();
        let commit = Commit { accounts, ..small("contoso", revision) };
        // The first poll hands the work over; how far it is when its caller goes away, differs.
        let patience = Duration::from_micros(revision * 150);
        let _ = tokio::time::timeout(patience, register.commit(commit)).await;
        let deadline = tokio::time::Instant::now() + crate::support::intake::PATIENCE;
        loop {
            let state = register.load("contoso").await.unwrap();
            if state.revision == revision + 1 {
                assert_eq!(state.accounts.len(), 20);
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "the commit never arrived");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    assert_eq!(whole(&register.verify("contoso").await.unwrap()), Some(20));
    assert_eq!(drain(outbox, at(100)).await.len(), 20);
}

async fn customers_do_not_touch_each_other(register: &dyn Register, _: &dyn Outbox) {
    register.commit(full()).await.unwrap();
    let mut other = full();
    other.customer = "fabrikam".into();
    other.deliveries.clear();
    other.accounts.truncate(2);
    register.commit(other).await.unwrap();
    register.commit(commit("fabrikam", 1)).await.unwrap();
    let (contoso, fabrikam) =
        (register.load("contoso").await.unwrap(), register.load("fabrikam").await.unwrap());
    assert_eq!((contoso.revision, contoso.accounts.len(), contoso.holds.len()), (1, 5, 2));
    assert_eq!((fabrikam.revision, fabrikam.accounts.len(), fabrikam.holds.len()), (2, 2, 0));
    assert_eq!(register.customers().await.unwrap(), ["contoso", "fabrikam"]);
    for customer in ["contoso", "fabrikam"] {
        assert_eq!(whole(&register.verify(customer).await.unwrap()), Some(2));
        assert_eq!(register.events(Some(customer)).await.unwrap().len(), 2);
        let listed = register.accounts(Some(customer)).await.unwrap();
        assert!(!listed.is_empty() && listed.iter().all(|(name, _)| name == customer));
    }
}

async fn accounts_are_listed_by_customer_then_name_then_id(register: &dyn Register, _: &dyn Outbox) {
    let named = |number, sam: &str, principal: Option<&str>, display: &str| Account {
        profile: Profile {
            sam_account_name: sam.into(),
            user_principal_name: principal.map(Text::from),
            display_name: display.into(),
            ..account(number).profile
        },
        ..account(number)
    };
    let accounts = vec![
        named(1, "Zoe", None, "A"),
        named(9, "bob", None, "Z"),
        named(3, "BOB", None, "A"),
        named(4, "", Some("adam@contoso.test"), "Z"),
        named(5, "", None, "Carla"),
    ];
    register.commit(Commit { accounts: accounts.clone(), ..commit("b", 0) }).await.unwrap();
    register.commit(Commit { accounts, ..commit("B", 0) }).await.unwrap();
    register.commit(small("a", 0)).await.unwrap();
    let order: Vec<(String, Guid)> = register
        .accounts(None)
        .await
        .unwrap()
        .into_iter()
        .map(|(customer, account)| (customer.to_string(), account.key.id))
        .collect();
    let mut expected = Vec::new();
    for (customer, numbers) in [("B", &[4_u128, 3, 9, 5, 1][..]), ("a", &[1]), ("b", &[4, 3, 9, 5, 1])] {
        expected.extend(numbers.iter().map(|number| (customer.to_owned(), Guid::from_u128(*number))));
    }
    assert_eq!(order, expected);
}

async fn events_carry_what_they_were_decided_from_and_the_commit_says_where_the_record_ends(
    register: &dyn Register,
    _: &dyn Outbox,
) {
    let first = register.commit(commit("contoso", 0)).await.unwrap();
    assert_eq!((first.revision, first.head), (1, ChainHead::default()), "nothing was decided yet");
    let none = Commit { readings: ReadingDigests::default(), ..small("contoso", 1) };
    let second = register.commit(none).await.unwrap();
    let three = Commit { events: vec![event("a"), event("b"), event("c")], ..commit("contoso", 2) };
    let third = register.commit(three).await.unwrap();
    let events = register.events(Some("contoso")).await.unwrap();
    let from: Vec<_> = events.iter().map(|event| event.readings.clone()).collect();
    let (nothing, all) = (Some(ReadingDigests::default()), Some(readings()));
    assert_eq!(from, [nothing, all.clone(), all.clone(), all]);
    let hashes: Vec<Option<Digest>> = events.iter().map(|event| Some(event.hash)).collect();
    let previous: Vec<Option<Digest>> = events.iter().map(|event| event.previous).collect();
    assert_eq!((previous[0], &previous[1..]), (None, &hashes[..3]));
    assert_eq!(second.head, ChainHead { events: 1, hash: hashes[0] });
    assert_eq!(third.head, ChainHead { events: 4, hash: hashes[3] });
    // What writes no event leaves the end where it is.
    assert_eq!(register.commit(commit("contoso", 3)).await.unwrap().head, third.head);
    assert_eq!(register.verify("contoso").await.unwrap(), ChainCheck::Whole(third.head));
    for (sequence, event) in (1..).zip(&events) {
        assert_eq!(register.sequence_of("contoso", event.hash).await.unwrap(), Some(sequence));
        assert_eq!(register.sequence_of("fabrikam", event.hash).await.unwrap(), None);
    }
    assert_eq!(register.sequence_of("contoso", Digest::of(b"another")).await.unwrap(), None);
}

/// More events than a page holds, of two customers by turns, a second apart.
async fn the_record_is_asked_for_in_pages_and_by_time(register: &dyn Register, _: &dyn Outbox) {
    for revision in 0..3 {
        for (customer, second) in [("contoso", 0), ("fabrikam", 1)] {
            let events = (0..450).map(|number| event(&format!("{number}"))).collect();
            let at = at(2 * i64::try_from(revision).unwrap() + second);
            register.commit(Commit { at, events, ..commit(customer, revision) }).await.unwrap();
        }
    }
    let ask = async |query: EventQuery| {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = register.event_page(&query, after).await.unwrap();
            pages.push(page.events);
            after = page.next;
            if after.is_none() {
                return pages;
            }
        }
    };
    let sizes = |pages: &[Vec<Event>]| -> Vec<usize> { pages.iter().map(Vec::len).collect() };
    let all = ask(EventQuery::all(None)).await;
    assert_eq!(sizes(&all), [1_000, 1_000, 700]);
    let all = all.concat();
    assert_eq!(all, register.events(None).await.unwrap());
    let one = ask(EventQuery::all(Some("fabrikam"))).await;
    assert_eq!(sizes(&one), [1_000, 350]);
    let numbers: Vec<u64> = one.concat().iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, (1..=1_350).collect::<Vec<u64>>());
    // Both ends count.
    let between = EventQuery { since: at(1), until: at(3), ..EventQuery::all(None) };
    let found = ask(between.clone()).await.concat();
    assert_eq!(found, all[450..1_800]);
    let of_one = EventQuery { customer: Some("fabrikam".into()), ..between };
    assert_eq!(ask(of_one).await.concat().len(), 900);
    let later = EventQuery { since: at(6), ..EventQuery::all(None) };
    assert_eq!(ask(later).await, [Vec::new()]);
}

async fn events_are_numbered_without_a_gap_and_chained(register: &dyn Register, _: &dyn Outbox) {
    for revision in 0..3 {
        for customer in ["contoso", "fabrikam"] {
            let events = (0..revision + 1).map(|number| event(&format!("{number}"))).collect();
            register.commit(Commit { events, ..commit(customer, revision) }).await.unwrap();
        }
    }
    let numbers = |events: Vec<Event>| -> Vec<(String, u64)> {
        events.into_iter().map(|event| (event.customer.to_string(), event.sequence)).collect()
    };
    let pairs = |list: &[(&str, u64)]| -> Vec<(String, u64)> {
        list.iter().map(|(customer, sequence)| ((*customer).to_owned(), *sequence)).collect()
    };
    assert_eq!(
        numbers(register.events(None).await.unwrap()),
        pairs(&[
            ("contoso", 1),
            ("fabrikam", 1),
            ("contoso", 2),
            ("contoso", 3),
            ("fabrikam", 2),
            ("fabrikam", 3),
            ("contoso", 4),
            ("contoso", 5),
            ("contoso", 6),
            ("fabrikam", 4),
            ("fabrikam", 5),
            ("fabrikam", 6),
        ])
    );
    assert_eq!(
        numbers(register.events(Some("fabrikam")).await.unwrap()),
        pairs(&[
            ("fabrikam", 1),
            ("fabrikam", 2),
            ("fabrikam", 3),
            ("fabrikam", 4),
            ("fabrikam", 5),
            ("fabrikam", 6),
        ])
    );
    assert_eq!(whole(&register.verify("contoso").await.unwrap()), Some(6));
    let all = register.events(None).await.unwrap();
    let mut hashes: Vec<_> = all.iter().map(|event| event.hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 12, "equal events of two customers, or of two numbers, hash differently");
}

async fn a_delivery_with_a_known_key_is_the_same_delivery(register: &dyn Register, outbox: &dyn Outbox) {
    // The last time among as many as are written together.
    let twice = |revision: u64| Commit {
        deliveries: [delivery("hr", "k"), delivery("hr", "k"), delivery("glue", "k")]
            .into_iter()
            .cycle()
            .take(if revision == 2 { 99 } else { 3 })
            .collect(),
        ..commit("contoso", revision)
    };
    register.commit(twice(0)).await.unwrap();
    register.commit(twice(1)).await.unwrap();
    assert_eq!(keys(&drain(outbox, at(100)).await), ["hr k", "glue k"]);
    register.commit(twice(2)).await.unwrap();
    assert!(outbox.due(at(100), 10).await.unwrap().is_empty(), "also after it was delivered");
}

async fn deliveries_of_one_destination_and_customer_arrive_in_order(
    register: &dyn Register,
    outbox: &dyn Outbox,
) {
    for (customer, revision, key) in [("contoso", 0, "1"), ("contoso", 1, "2"), ("fabrikam", 0, "3")] {
        let deliveries = vec![delivery("hr", key), delivery("glue", key)];
        register.commit(Commit { deliveries, ..commit(customer, revision) }).await.unwrap();
    }
    let due = outbox.due(at(10), 10).await.unwrap();
    assert_eq!(keys(&due), ["hr 1", "glue 1", "hr 3", "glue 3"]);
    assert_eq!(keys(&outbox.due(at(10), 2).await.unwrap()), ["hr 1", "glue 1"]);

    outbox.failed(due[0].id, Some(at(60)), "503").await.unwrap();
    outbox.delivered(due[1].id, at(20)).await.unwrap();
    // `hr 1` waits, and `hr 2` behind it; nobody else does.
    assert_eq!(keys(&outbox.due(at(59), 10).await.unwrap()), ["glue 2", "hr 3", "glue 3"]);
    let due = outbox.due(at(60), 10).await.unwrap();
    assert_eq!(keys(&due), ["hr 1", "glue 2", "hr 3", "glue 3"]);
    assert_eq!(due[0].attempts, 1);

    outbox.delivered(due[0].id, at(61)).await.unwrap();
    // An attempt that is told to have failed after another one arrived changes nothing.
    outbox.failed(due[0].id, Some(at(61)), "timeout").await.unwrap();
    outbox.delivered(due[0].id, at(62)).await.unwrap();
    assert_eq!(keys(&outbox.due(at(61), 10).await.unwrap()), ["hr 2", "glue 2", "hr 3", "glue 3"]);
}

async fn what_waits_for_one_destination_hides_nothing_of_another(
    register: &dyn Register,
    outbox: &dyn Outbox,
) {
    // More than are sorted, each in a lane of its own.
    let mut deliveries: Vec<_> = (0..1_200).map(|lane| delivery(&format!("scim/hr#{lane}"), "k")).collect();
    // Names that begin alike, on both sides of the lanes; and one with lanes and without.
    for destination in ["hr", "scim/hr!", "scim/hr-2#1", "scim/hr-2#1", "scim/hr", "scim", "hr#1"] {
        deliveries.push(delivery(destination, &deliveries.len().to_string()));
    }
    register.commit(Commit { deliveries, ..commit("contoso", 0) }).await.unwrap();
    let behind = vec![delivery("hr", "behind"), delivery("scim/hr#0", "behind")];
    register.commit(Commit { deliveries: behind, ..commit("contoso", 1) }).await.unwrap();
    let addresses = outbox.addresses().await.unwrap();
    assert_eq!(addresses, ["hr", "scim", "scim/hr", "scim/hr!", "scim/hr-2"]);

    let due = async |address: &str, seconds| outbox.due_at(address, at(seconds), 64).await.unwrap();
    assert_eq!(keys(&due("hr", 10).await), ["hr 1200", "hr#1 1206"]);
    assert_eq!(keys(&due("scim", 10).await), ["scim 1205"]);
    assert_eq!(keys(&due("scim/hr!", 10).await), ["scim/hr! 1201"]);
    assert_eq!(keys(&due("scim/hr-2", 10).await), ["scim/hr-2#1 1202"]);
    assert!(due("scim/h", 10).await.is_empty());
    assert!(due("hr", 9).await.is_empty());
    let many = due("scim/hr", 10).await;
    let lanes = |from: usize| (from..from + 64).map(|lane| format!("scim/hr#{lane} k")).collect::<Vec<_>>();
    assert_eq!(keys(&many), lanes(0));

    // What is put off is passed over, and nobody goes before it in its lane.
    for delivery in &many[..10] {
        outbox.failed(delivery.id, Some(at(60)), "503").await.unwrap();
    }
    assert_eq!(keys(&due("scim/hr", 59).await), lanes(10));
    // Once few are left, they come in the same order.
    while let [_, .., _] = &due("scim/hr", 59).await[..] {
        for delivery in due("scim/hr", 59).await.iter().filter(|delivery| delivery.destination != "scim/hr") {
            outbox.delivered(delivery.id, at(59)).await.unwrap();
        }
    }
    let left = (0..10).map(|lane| format!("scim/hr#{lane} k")).chain(["scim/hr 1204".to_owned()]);
    assert_eq!(keys(&due("scim/hr", 60).await), left.collect::<Vec<_>>());
}

async fn a_delivery_that_was_given_up_no_longer_blocks_those_behind_it(
    register: &dyn Register,
    outbox: &dyn Outbox,
) {
    let deliveries = vec![delivery("hr", "1"), delivery("hr", "2")];
    register.commit(Commit { deliveries, ..commit("contoso", 0) }).await.unwrap();
    let first = outbox.due(at(10), 10).await.unwrap();
    assert_eq!(keys(&first), ["hr 1"]);
    outbox.failed(first[0].id, None, &"x".repeat(1_000_000)).await.unwrap();
    assert_eq!(keys(&outbox.due(at(10), 10).await.unwrap()), ["hr 2"]);
}

async fn a_delivery_is_forgotten_30_days_after_it_was_made(register: &dyn Register, outbox: &dyn Outbox) {
    let with = |revision, keys: &[&str]| Commit {
        deliveries: keys.iter().map(|key| delivery("hr", key)).collect(),
        ..commit("contoso", revision)
    };
    register.commit(with(0, &["old", "lost"])).await.unwrap();
    let old = outbox.due(at(10), 1).await.unwrap().remove(0);
    outbox.delivered(old.id, at(20)).await.unwrap();
    let lost = outbox.due(at(20), 1).await.unwrap().remove(0);
    outbox.failed(lost.id, None, "410").await.unwrap();

    register.commit(with(1, &["a"])).await.unwrap();
    let a = outbox.due(at(20), 1).await.unwrap().remove(0);
    outbox.delivered(a.id, at(20 + days(30))).await.unwrap();
    register.commit(with(2, &["old", "b"])).await.unwrap();
    // After exactly 30 days `old` is still known.
    let b = outbox.due(at(20), 1).await.unwrap().remove(0);
    assert_eq!(b.key, "b");
    outbox.delivered(b.id, at(21 + days(30))).await.unwrap();
    register.commit(with(3, &["old", "lost"])).await.unwrap();
    let again = outbox.due(at(20), 10).await.unwrap();
    assert_eq!(keys(&again), ["hr old"], "what was given up stays");
    assert!(again[0].id > b.id, "a number is never used twice");
}

async fn a_delivery_that_is_not_there_cannot_be_marked(register: &dyn Register, outbox: &dyn Outbox) {
    register.commit(small("contoso", 0)).await.unwrap();
    let delivered = outbox.delivered(99, at(1)).await.unwrap_err();
    let failed = outbox.failed(99, None, "").await.unwrap_err();
    let due = outbox.due(at(10), 10).await.unwrap();
    let both = [due[0].id, 99].map(|id| Attempted { id, outcome: Outcome::Arrived });
    let with_another = outbox.settle(&both, at(1)).await.unwrap_err();
    for fault in [delivered, failed, with_another] {
        assert!(fault.to_string().contains("no delivery 99"), "{fault}");
    }
    assert_eq!(outbox.due(at(10), 10).await.unwrap(), due, "of several all are recorded, or none");
}

async fn bookkeeping_raises_no_revision(register: &dyn Register, outbox: &dyn Outbox) {
    let ready = CustomerStatus {
        customer: "contoso".into(),
        state: "ready".into(),
        last_attempt: at(1),
        last_success: Some(at(1)),
        failures: 0,
        next_attempt: None,
        tree_revision: "tree-1".into(),
        message: String::new(),
        reports: Some(Reports { in_scope_without_license: 3, licensed_outside_scope: 0 }),
    };
    let unreadable = CustomerStatus {
        customer: "adatum".into(),
        state: "unreadable".into(),
        last_success: None,
        failures: u32::MAX,
        next_attempt: Some(at(2)),
        message: "ldaps://dc1: refused\0".into(),
        reports: None,
        ..ready.clone()
    };
    register.record_status(&ready, &[]).await.unwrap();
    // Somebody is told of a customer that fails at its very first turn, too.
    register.record_status(&unreadable, &[delivery("hook", "adatum/1/failed")]).await.unwrap();
    assert_eq!(register.statuses().await.unwrap(), [unreadable.clone(), ready.clone()]);
    let due = outbox.due(at(9), 10).await.unwrap();
    assert_eq!(due.iter().map(|one| one.customer.as_str()).collect::<Vec<_>>(), ["adatum"]);
    let later = CustomerStatus { last_attempt: at(9), last_success: None, ..ready };
    register.record_status(&later, &[]).await.unwrap();
    assert_eq!(register.statuses().await.unwrap(), [unreadable, later]);

    let measures = Measures { tenant: Some(vec![Guid::from_u128(1)]), ..Measures::default() };
    register.record_measures("contoso", &measures, 0).await.unwrap();
    let state = register.load("contoso").await.unwrap();
    assert_eq!((state.revision, state.measures), (0, measures));
    assert!(register.customers().await.unwrap().is_empty(), "only a commit makes a customer known");
    assert_eq!(register.commit(small("contoso", 0)).await.unwrap().revision, 1);
}

async fn measures_of_a_source_stay_until_it_is_measured_again(register: &dyn Register, _: &dyn Outbox) {
    let ids = |numbers: &[u128]| -> Vec<Guid> { numbers.iter().map(|it| Guid::from_u128(*it)).collect() };
    let all = Measures {
        directories: BTreeMap::from([
            ("main".into(), ids(&[1, 2, u128::MAX])),
            ("branch".into(), Vec::new()),
        ]),
        tenant: Some(ids(&[0x0011_2233_4455_6677_8899_aabb_ccdd_eeff])),
        sightings: BTreeMap::from([
            ("main".into(), Sighting { server: "CN=DC1".into(), out: ids(&[7, 9]) }),
            ("branch".into(), Sighting { server: "ldap://branch".into(), out: Vec::new() }),
        ]),
    };
    register.record_measures("contoso", &all, 0).await.unwrap();
    assert_eq!(register.load("contoso").await.unwrap().measures, all);
    let moved = Sighting { server: "CN=DC2".into(), out: Vec::new() };
    let some = Measures {
        directories: BTreeMap::from([("main".into(), ids(&[1]))]),
        sightings: BTreeMap::from([("main".into(), moved.clone())]),
        ..Measures::default()
    };
    register.record_measures("contoso", &some, 0).await.unwrap();
    let mut expected = all;
    expected.sightings.insert("main".into(), moved);
    expected.directories.insert("main".into(), ids(&[1]));
    assert_eq!(register.load("contoso").await.unwrap().measures, expected);
    assert_eq!(register.load("fabrikam").await.unwrap().measures, Measures::default());
    let none = Measures { tenant: Some(Vec::new()), ..Measures::default() };
    register.record_measures("contoso", &none, 0).await.unwrap();
    assert_eq!(register.load("contoso").await.unwrap().measures.tenant, Some(Vec::new()));
}

async fn measures_come_with_what_they_led_to_or_not_at_all(register: &dyn Register, _: &dyn Outbox) {
    let seen_at = |server: &str| Measures {
        sightings: BTreeMap::from([("main".into(), Sighting { server: server.into(), out: Vec::new() })]),
        ..Measures::default()
    };
    let with = |revision, server| Commit { measures: Some(seen_at(server)), ..small("contoso", revision) };
    register.commit(with(0, "dc1")).await.unwrap();
    assert_eq!(register.load("contoso").await.unwrap().measures, seen_at("dc1"));
    register.commit(with(0, "dc2")).await.unwrap_err();
    // Readings from before somebody else wrote are older than what that one saw.
    register.record_measures("contoso", &seen_at("dc3"), 0).await.unwrap();
    assert_eq!(register.load("contoso").await.unwrap().measures, seen_at("dc1"));
    register.record_measures("contoso", &seen_at("dc3"), 1).await.unwrap();
    assert_eq!(register.load("contoso").await.unwrap().measures, seen_at("dc3"));
}

async fn a_suspension_stays_through_turns_until_it_is_lifted(register: &dyn Register, _: &dyn Outbox) {
    let suspension = Suspension { at: at(5), by: "ops".into(), reason: "moving \u{202e}".to_owned() };
    let with = |revision, suspension| Commit { suspension, ..small("contoso", revision) };
    // Also of a customer that no turn has written yet.
    let commit = with(0, SuspensionChange::Suspend(suspension.clone()));
    register.commit(commit).await.unwrap();
    assert_eq!(register.load("contoso").await.unwrap().suspension, Some(suspension.clone()));
    assert_eq!(register.load("fabrikam").await.unwrap().suspension, None);
    register.commit(small("contoso", 1)).await.unwrap();
    assert_eq!(register.load("contoso").await.unwrap().suspension, Some(suspension.clone()));
    register.commit(with(0, SuspensionChange::Lift)).await.unwrap_err();
    assert_eq!(register.load("contoso").await.unwrap().suspension, Some(suspension));
    register.commit(with(2, SuspensionChange::Lift)).await.unwrap();
    assert_eq!(register.load("contoso").await.unwrap().suspension, None);
}

async fn contacts_are_written_with_a_commit_and_forgotten_with_their_account(
    register: &dyn Register,
    _: &dyn Outbox,
) {
    let removed = AccountState::Removed { since: at(4), reason: Verdict::Unlicensed, approved: false };
    let accounts = vec![account(1), Account { state: removed, ..account(2) }, account(3)];
    let written = vec![
        contact("hudu", 1, MatchStatus::Ambiguous),
        contact("glue", 3, MatchStatus::Unmatched),
        contact("glue", 1, MatchStatus::Matched),
        contact("glue", 2, MatchStatus::Matched),
    ];
    let contacts = ContactChanges { written, ..ContactChanges::default() };
    register.commit(Commit { accounts, contacts, ..commit("contoso", 0) }).await.unwrap();
    register.commit(Commit { accounts: vec![account(1)], ..commit("fabrikam", 0) }).await.unwrap();
    let listed = || async {
        let all = register.contacts(None).await.unwrap();
        assert!(all.iter().all(|(customer, _)| customer == "contoso"), "{all:?}");
        assert_eq!(register.contacts(Some("contoso")).await.unwrap(), all);
        assert!(register.contacts(Some("fabrikam")).await.unwrap().is_empty());
        all.into_iter().map(|(_, found)| found).collect::<Vec<_>>()
    };
    let whole = [
        contact("glue", 1, MatchStatus::Matched),
        contact("glue", 2, MatchStatus::Matched),
        contact("glue", 3, MatchStatus::Unmatched),
        contact("hudu", 1, MatchStatus::Ambiguous),
    ];
    assert_eq!(listed().await, whole);
    // A stale commit writes no contact either.
    let late = vec![contact("glue", 3, MatchStatus::Matched)];
    let stale = Commit {
        contacts: ContactChanges { written: late.clone(), ..ContactChanges::default() },
        ..commit("contoso", 0)
    };
    register.commit(stale.clone()).await.expect_err("stale");
    assert_eq!(listed().await, whole);
    // A row is replaced whole; one that is forgotten is gone.
    let forgotten = vec![("hudu".into(), account(1).key)];
    let contacts = ContactChanges { written: late, forgotten };
    register.commit(Commit { contacts, ..commit("contoso", 1) }).await.unwrap();
    assert_eq!(
        listed().await,
        [1, 2, 3].map(|number| contact("glue", number, MatchStatus::Matched)),
        "one that is matched now, one that is forgotten"
    );
    assert_eq!(register.forget_removed("contoso", at(4)).await.unwrap(), 0);
    assert_eq!(listed().await.len(), 3, "who may still return has their contact");
    assert_eq!(register.forget_removed("contoso", at(5)).await.unwrap(), 1);
    assert_eq!(listed().await, [1, 3].map(|number| contact("glue", number, MatchStatus::Matched)));
}

async fn choices_that_could_not_be_followed_are_loaded_with_the_register(
    register: &dyn Register,
    _: &dyn Outbox,
) {
    let failed = |connection: &str, number: u128, chosen: &[&str]| ContactMatch {
        unfollowed: chosen.iter().copied().map(Text::from).collect(),
        ..contact(connection, number, MatchStatus::Failed)
    };
    let written = vec![
        failed("hudu", 1, &["9"]),
        failed("glue", 2, &["8", "7\u{202e}"]),
        contact("glue", 1, MatchStatus::Matched),
        contact("hudu", 2, MatchStatus::Ambiguous),
    ];
    let accounts = vec![account(1), account(2)];
    let contacts = ContactChanges { written: written.clone(), ..ContactChanges::default() };
    register.commit(Commit { accounts, contacts, ..commit("contoso", 0) }).await.unwrap();
    register.commit(Commit { accounts: vec![account(1)], ..commit("fabrikam", 0) }).await.unwrap();
    let known: Vec<UnfollowedChoice> = register.load("contoso").await.unwrap().unfollowed;
    assert_eq!(known, [&written[1], &written[0]].map(|found| found.unfollowed_choice().unwrap()));
    assert!(register.load("fabrikam").await.unwrap().unfollowed.is_empty());
    let listed = register.contacts(Some("contoso")).await.unwrap();
    assert!(listed.iter().any(|(_, found)| *found == written[1]), "{listed:?}");
    // Followed by now, and forgotten.
    let contacts = ContactChanges {
        written: vec![contact("glue", 2, MatchStatus::Matched)],
        forgotten: vec![("hudu".into(), account(1).key)],
    };
    register.commit(Commit { contacts, ..commit("contoso", 1) }).await.unwrap();
    assert!(register.load("contoso").await.unwrap().unfollowed.is_empty());
}

async fn how_looking_for_contacts_went_is_bookkeeping(register: &dyn Register, _: &dyn Outbox) {
    let status = |customer: &str, connection: &str, fault: Option<&str>| DocumentationStatus {
        customer: customer.into(),
        connection: connection.into(),
        organization: "12".into(),
        last_attempt: at(7),
        last_success: fault.is_none().then(|| at(7)),
        fault: fault.map(str::to_owned),
        saw_organization: fault.is_none(),
    };
    let written = [
        status("fabrikam", "glue", None),
        status("contoso", "hudu", Some("answered 500")),
        status("contoso", "glue", None),
    ];
    register.record_documentation(&written).await.unwrap();
    assert_eq!(
        register.documentation().await.unwrap(),
        [written[2].clone(), written[1].clone(), written[0].clone()]
    );
    let again = status("contoso", "hudu", None);
    register.record_documentation(std::slice::from_ref(&again)).await.unwrap();
    assert_eq!(register.documentation().await.unwrap()[1], again);
    let state = register.load("contoso").await.unwrap();
    assert_eq!(state.revision, 0);
    assert_eq!(state.documented, BTreeSet::from(["glue".into(), "hudu".into()]));
    // With the last account that stood there, the system itself is forgotten.
    let written = vec![contact("hudu", 1, MatchStatus::Matched)];
    let contacts = ContactChanges { written, ..ContactChanges::default() };
    register.commit(Commit { contacts, ..small("contoso", 0) }).await.unwrap();
    let contacts =
        ContactChanges { forgotten: vec![("hudu".into(), account(1).key)], ..ContactChanges::default() };
    register.forget_documentation("contoso", "hudu").await.unwrap();
    assert_eq!(register.load("contoso").await.unwrap().documented.len(), 2, "somebody stands there still");
    // No operation is planned from contacts: the revision stays.
    let beside = Commit { contacts, events: vec![event("x")], is_beside: true, ..commit("contoso", 1) };
    assert_eq!(register.commit(beside).await.unwrap().revision, 1);
    register.forget_documentation("contoso", "hudu").await.unwrap();
    let state = register.load("contoso").await.unwrap();
    assert_eq!((state.revision, state.documented), (1, BTreeSet::from(["glue".into()])));
    assert_eq!(whole(&register.verify("contoso").await.unwrap()), Some(2));
}

async fn a_delivery_that_fails_is_late_until_it_was_made(register: &dyn Register, outbox: &dyn Outbox) {
    let deliveries = vec![
        delivery("documentation/glue#a", "a"),
        delivery("documentation/glue#b", "b"),
        delivery("documentation/hudu#a", "c"),
        delivery("hr", "d"),
    ];
    register.commit(Commit { deliveries, ..commit("contoso", 0) }).await.unwrap();
    let late = async |prefix: &str| {
        let late = register.late_deliveries(prefix).await.unwrap();
        late.into_iter()
            .map(|one| format!("{} {} {} {}", one.key, one.attempts, one.is_given_up, one.error))
            .collect::<Vec<_>>()
    };
    assert!(late("documentation/").await.is_empty(), "nobody tried yet");
    // Of one destination all lanes are due at once.
    let due = outbox.due(at(100), 10).await.unwrap();
    assert_eq!(due.len(), 4);
    // Whoever takes one has it alone until the moment that they said.
    assert!(outbox.claim_one(due[1].id, at(100), at(150)).await.unwrap());
    assert!(!outbox.claim_one(due[1].id, at(100), at(150)).await.unwrap());
    assert!(outbox.due(at(149), 10).await.unwrap().iter().all(|one| one.id != due[1].id));
    assert!(outbox.claim_one(due[1].id, at(150), at(151)).await.unwrap());
    outbox.delivered(due[1].id, at(150)).await.unwrap();
    assert!(!outbox.claim_one(due[1].id, at(200), at(201)).await.unwrap());
    assert_eq!(due[0].address(), "documentation/glue");
    outbox.failed(due[0].id, Some(at(200)), "refused").await.unwrap();
    outbox.failed(due[0].id, Some(at(300)), "refused again").await.unwrap();
    outbox.failed(due[2].id, None, "no").await.unwrap();
    outbox.failed(due[3].id, None, "no").await.unwrap();
    assert_eq!(late("documentation/").await, ["a 2 false refused again", "c 1 true no"]);
    assert_eq!(late("documentation/hudu").await, ["c 1 true no"]);
    outbox.delivered(due[0].id, at(301)).await.unwrap();
    assert_eq!(late("documentation/").await, ["c 1 true no"]);
}

async fn readings_are_kept_whole_and_those_that_are_the_same_change_their_time(
    register: &dyn Register,
    _: &dyn Outbox,
) {
    let packed = |text: &[u8], time| PackedReadings {
        at: at(time),
        digest: Digest::of(text),
        read_from: (time > 1).then(|| ReadFrom {
            directories: BTreeMap::from([("main".into(), Digest::of(text))]),
            tenant: Some(Digest::of(b"tenant")),
            groups: GroupsRead::Named(["team".into()].into()),
        }),
        content: Some([text, &[0, 0xff]].concat()),
    };
    assert_eq!(register.readings("contoso").await.unwrap(), None);
    let first = packed(b"first", 1);
    register.record_readings("contoso", first.clone()).await.unwrap();
    assert_eq!(register.readings("contoso").await.unwrap(), Some(first.clone()));
    let state = register.load("contoso").await.unwrap();
    assert_eq!((state.revision, state.readings), (0, Some(first.digest)));
    assert_eq!(register.load("fabrikam").await.unwrap().readings, None);
    // The same people may have been read from somewhere else.
    let read_from = Some(ReadFrom::default());
    let same = |digest, time| PackedReadings {
        at: at(time),
        digest,
        read_from: Some(ReadFrom::default()),
        content: None,
    };
    register.record_readings("contoso", same(first.digest, 2)).await.unwrap();
    let kept = register.readings("contoso").await.unwrap();
    assert_eq!(kept, Some(PackedReadings { at: at(2), read_from, ..first }));
    let second = packed(b"second", 3);
    register.record_readings("contoso", second.clone()).await.unwrap();
    // Another process wrote others meanwhile: theirs are not of this time.
    register.record_readings("contoso", same(first.digest, 4)).await.unwrap();
    assert_eq!(register.readings("contoso").await.unwrap(), Some(second));
}

async fn of_two_that_go_on_from_one_sync_state_the_first_counts(register: &dyn Register, _: &dyn Outbox) {
    let state = |generation, position: &[u8], content: Option<&[u8]>| SyncState {
        generation,
        position: position.to_vec(),
        content: content.map(<[u8]>::to_vec),
    };
    let keeps = async |state| register.record_sync_state("contoso", state).await.unwrap();
    let kept = async || register.sync_state("contoso").await.unwrap();
    assert_eq!(kept().await, None);
    // Nothing to go on from: a place without content is none.
    keeps(state(0, b"nowhere", None)).await;
    assert_eq!(kept().await, None);
    keeps(state(0, b"first", Some(b"\0all"))).await;
    assert_eq!(kept().await, Some(state(1, b"first", Some(b"\0all"))));
    keeps(state(1, b"moved", None)).await;
    assert_eq!(kept().await, Some(state(2, b"moved", Some(b"\0all"))));
    // Whoever was slower changes neither the place nor the content.
    keeps(state(1, b"slower", None)).await;
    keeps(state(1, b"slower", Some(b"others"))).await;
    keeps(state(0, b"slowest", Some(b"others"))).await;
    assert_eq!(kept().await, Some(state(2, b"moved", Some(b"\0all"))));
    keeps(state(2, b"third", Some(b"others"))).await;
    assert_eq!(kept().await, Some(state(3, b"third", Some(b"others"))));
    assert_eq!(register.sync_state("fabrikam").await.unwrap(), None);
    assert_eq!(register.load("contoso").await.unwrap().revision, 0, "bookkeeping");
}

async fn only_accounts_that_were_removed_before_the_moment_are_forgotten(
    register: &dyn Register,
    _: &dyn Outbox,
) {
    let removed = |number, since| Account {
        state: AccountState::Removed { since, reason: Verdict::NotInScope, approved: false },
        ..account(number)
    };
    let orphaned = Account { state: AccountState::Orphaned { since: at(1) }, ..account(3) };
    let accounts = vec![removed(1, at(1)), removed(2, at(2)), orphaned, account(4)];
    for customer in ["contoso", "fabrikam"] {
        let commit = Commit { accounts: accounts.clone(), events: vec![event("x")], ..commit(customer, 0) };
        register.commit(commit).await.unwrap();
    }
    assert_eq!(register.forget_removed("contoso", at(2)).await.unwrap(), 1);
    let state = register.load("contoso").await.unwrap();
    assert_eq!((state.revision, &state.accounts[..]), (1, &accounts[1..]));
    assert_eq!(whole(&register.verify("contoso").await.unwrap()), Some(1));
    assert_eq!(register.load("fabrikam").await.unwrap().accounts, accounts);
    assert_eq!(register.forget_removed("contoso", at(2)).await.unwrap(), 0);
}

async fn twenty_thousand_accounts_come_back_equal(register: &dyn Register, _: &dyn Outbox) {
    let accounts: Vec<Account> = (0..20_000).map(account).collect();
    register.commit(Commit { accounts: accounts.clone(), ..commit("contoso", 0) }).await.unwrap();
    assert!(register.load("contoso").await.unwrap().accounts == accounts);
    assert_eq!(register.accounts(None).await.unwrap().len(), 20_000);
}

/// Delivers everything that is due, in the order in which it becomes so.
async fn drain(outbox: &dyn Outbox, now: Timestamp) -> Vec<Delivery> {
    let mut drained = Vec::new();
    loop {
        let due = outbox.due(now, 100).await.unwrap();
        if due.is_empty() {
            return drained;
        }
        for delivery in due {
            outbox.delivered(delivery.id, now).await.unwrap();
            drained.push(delivery);
        }
    }
}

fn keys(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| format!("{} {}", delivery.destination, delivery.key)).collect()
}

/// Text as somebody hostile types it.
fn hostile() -> impl Strategy<Value = Text> {
    prop_oneof![
        Just(String::new()),
        Just("\0".into()),
        Just("Jane\0'; DROP TABLE accounts; --".into()),
        Just("\u{202e}enaJ \u{200f}\u{feff}".into()),
        Just("👩‍👩‍👧‍👦🏳️‍🌈".into()),
        Just("e\u{301}é ÅÅ".into()),
        Just("x".repeat(100_000)),
        any::<String>(),
    ]
    .prop_map(Text::from)
}

fn moments() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.as_microsecond()..=Timestamp::MAX.as_microsecond())
        .prop_map(|microseconds| Timestamp::from_microsecond(microseconds).unwrap())
}

fn accounts() -> impl Strategy<Value = Account> {
    let verdicts = proptest::sample::select(&Verdict::ALL[..]);
    let states =
        prop_oneof![
            Just(AccountState::Active),
            (moments(), moments(), verdicts.clone())
                .prop_map(|(since, until, reason)| AccountState::PendingRemoval { since, until, reason }),
            moments().prop_map(|since| AccountState::Orphaned { since }),
            (moments(), verdicts, any::<bool>())
                .prop_map(|(since, reason, approved)| AccountState::Removed { since, reason, approved }),
        ];
    let keys = (
        proptest::sample::select(&AccountType::ALL[..]),
        proptest::sample::select(&[Source::Directory, Source::Tenant][..]),
        any::<u128>(),
    )
        .prop_map(|(account_type, source, id)| AccountKey {
            account_type,
            source,
            id: Guid::from_u128(id),
        });
    let maybe = || proptest::option::of(hostile());
    let profiles = (
        (hostile(), maybe(), hostile(), maybe(), maybe()),
        (proptest::option::of(any::<u128>()), any::<bool>()),
    )
        .prop_map(|((sam, principal, display, email, phone), (tenant, password_sync))| Profile {
            sam_account_name: sam,
            user_principal_name: principal,
            display_name: display,
            email,
            mobile_phone: phone,
            tenant_user_id: tenant.map(Guid::from_u128),
            password_sync,
        });
    (
        keys,
        maybe(),
        profiles,
        states,
        (hostile(), hostile(), hostile()),
        (moments(), proptest::option::of(moments())),
    )
        .prop_map(
            |(key, directory, profile, state, (policy, tree_revision, run), (imported_at, began))| Account {
                key,
                profile,
                state,
                provenance: Arc::new(Provenance { directory, policy, tree_revision, run }),
                imported_at,
                removal_began_at: began,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_text_an_account_holds_comes_back_unchanged(
        accounts in proptest::collection::btree_map(any::<u64>(), accounts(), 0..8),
        customer in hostile(),
        subject in hostile(),
    ) {
        let accounts: BTreeMap<AccountKey, Account> =
            accounts.into_values().map(|account| (account.key, account)).collect();
        let accounts: Vec<Account> = accounts.into_values().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = Postgres::shared().database().await;
            for url in ["sqlite::memory:", &database.url()] {
                let store = Store::open(url).await.unwrap();
                let written = Commit {
                    accounts: accounts.clone(),
                    events: vec![event(&subject)],
                    deliveries: vec![delivery(&subject, &customer)],
                    ..commit(&customer, 0)
                };
                store.commit(written).await.unwrap();
                assert_eq!(store.load(&customer).await.unwrap().accounts, accounts);
                assert_eq!(store.customers().await.unwrap(), std::slice::from_ref(&customer));
                assert_eq!(store.events(Some(&customer)).await.unwrap()[0].subject, subject);
                assert_eq!(whole(&store.verify(&customer).await.unwrap()), Some(1));
                assert_eq!(store.due(at(10), 1).await.unwrap()[0].key, customer);
                store.close().await;
            }
        });
    }
}
