//! Whoever looks around: pages of accounts and of the audit record, whatever stands in them.

use std::sync::Arc;

use intake::adapters::store::connection::Store;
use intake::model::account::{Account, AccountKey, AccountState, AccountType, Profile, Source, Verdict};
use intake::model::event::{EventKind, NewEvent};
use intake::model::guid::Guid;
use intake::model::listing::{AccountQuery, EventFilter, EventOrder, FoundEvents, StateName, words};
use intake::model::register::{Commit, Suspension, SuspensionChange};
use intake::ports::browse::Browse;
use intake::ports::register::{Register as _, RegisterReader as _};
use serde_json::json;

use super::sample::{Folder, account, at, commit, days, event, tamper};

fn browse(store: &Store) -> Arc<dyn Browse> {
    Arc::new(store.browse())
}

fn named(number: u128, display_name: &str, sam_account_name: &str) -> Account {
    let profile = Profile {
        display_name: display_name.into(),
        sam_account_name: sam_account_name.into(),
        ..account(number).profile
    };
    Account { profile, ..account(number) }
}

/// Three customers: accounts in both roles, of both sources, in every state, with names of all sorts.
async fn filled(store: &Store) {
    let grace = AccountState::PendingRemoval { since: at(1), until: at(9), reason: Verdict::Unlicensed };
    let gone = AccountState::Removed { since: at(2), reason: Verdict::NotInScope, approved: false };
    let administrator = AccountKey { account_type: AccountType::Administrator, ..account(4).key };
    let cloud = AccountKey { source: Source::Tenant, ..account(5).key };
    let contoso = vec![
        named(1, "Jane Doe", "jdoe"),
        Account { state: grace, ..named(2, "Åsa Öberg", "ÅOBERG") },
        Account { state: gone, ..named(3, "100% <b>o'Neil</b>_", "oneil") },
        Account { key: administrator, ..named(4, "Jane Doe (admin)", "adm-jdoe") },
        // The same person in both roles.
        Account {
            state: AccountState::Orphaned { since: at(3) },
            ..named(4, "Jane Doe (admin)", "adm-jdoe")
        },
        Account { key: cloud, ..named(5, "Jane Cloud", "") },
    ];
    store.commit(Commit { accounts: contoso, ..commit("contoso", 0) }).await.unwrap();
    let adatum = vec![named(6, "Jane Aaron", "zz")];
    store.commit(Commit { accounts: adatum, ..commit("adatum", 0) }).await.unwrap();
    // A name like another one's beginning.
    let contos = vec![named(7, "Nobody", "nobody")];
    store.commit(Commit { accounts: contos, ..commit("contos", 0) }).await.unwrap();
}

async fn numbers(browse: &dyn Browse, query: AccountQuery) -> Vec<u128> {
    let page = browse.account_page(&AccountQuery { limit: 100, ..query }).await.unwrap();
    assert_eq!(page.next, None);
    page.accounts.iter().map(|(_, account)| number(account.key.id)).collect()
}

fn number(id: Guid) -> u128 {
    (1..100).find(|number| Guid::from_u128(*number) == id).unwrap()
}

#[tokio::test]
async fn accounts_are_found_by_what_they_are_called_and_where_they_stand() {
    let folder = Folder::new();
    let store = folder.open().await;
    filled(&store).await;
    let browse = &*browse(&store);
    let of_contoso = || AccountQuery { customer: Some("contoso".into()), ..AccountQuery::default() };
    // By sAMAccountName, folded; the one of the cloud has none, and stands at its UPN.
    assert_eq!(numbers(browse, of_contoso()).await, [4, 4, 1, 3, 5, 2]);
    assert_eq!(numbers(browse, AccountQuery::default()).await, [6, 7, 4, 4, 1, 3, 5, 2]);
    let search = |typed: &str| AccountQuery { words: words(typed), ..of_contoso() };
    for (typed, found) in [
        ("jane", vec![4, 4, 1, 5]),
        ("DOE jane", vec![4, 4, 1]),
        ("åsa", vec![2]),
        ("ÖBERG", vec![2]),
        ("100%", vec![3]),
        ("o'neil</b>_", vec![3]),
        ("_", vec![3]),
        ("user000005@", vec![5]),
        ("00000000-0000-0000-0000-000000000001", vec![1]),
        ("jane nobody", vec![]),
        ("  ", vec![4, 4, 1, 3, 5, 2]),
    ] {
        assert_eq!(numbers(browse, search(typed)).await, found, "{typed}");
    }
    let states = [(StateName::Active, vec![4, 1, 5]), (StateName::PendingRemoval, vec![2])];
    for (state, found) in
        states.into_iter().chain([(StateName::Orphaned, vec![4]), (StateName::Removed, vec![3])])
    {
        assert_eq!(numbers(browse, AccountQuery { state: Some(state), ..of_contoso() }).await, found);
    }
    let unlicensed = AccountQuery { reason: Some(Verdict::Unlicensed), ..of_contoso() };
    assert_eq!(numbers(browse, unlicensed).await, [2]);
    let administrators =
        AccountQuery { account_type: Some(AccountType::Administrator), ..AccountQuery::default() };
    assert_eq!(numbers(browse, administrators).await, [4]);
    assert_eq!(browse.accounts_of("contoso", Guid::from_u128(4)).await.unwrap().len(), 2);
    assert_eq!(browse.accounts_of("adatum", Guid::from_u128(4)).await.unwrap(), []);
}

#[tokio::test]
async fn pages_of_accounts_follow_each_other_without_a_gap_or_a_repetition() {
    let folder = Folder::new();
    let store = folder.open().await;
    filled(&store).await;
    let browse = &*browse(&store);
    for customer in [None, Some("contoso".into())] {
        let whole = AccountQuery { customer: customer.clone(), limit: 100, ..AccountQuery::default() };
        let whole = browse.account_page(&whole).await.unwrap().accounts;
        for limit in 1..=3 {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let query =
                    AccountQuery { customer: customer.clone(), limit, after, ..AccountQuery::default() };
                let page = browse.account_page(&query).await.unwrap();
                assert!(page.accounts.len() <= limit && !page.accounts.is_empty());
                all.extend(page.accounts);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(all, whole, "{limit}");
        }
    }
    // What the CLI lists has the same order.
    let listed = store.accounts(None).await.unwrap();
    let whole = browse.account_page(&AccountQuery { limit: 100, ..AccountQuery::default() }).await.unwrap();
    let ids =
        |accounts: &[(_, Account)]| accounts.iter().map(|(_, account)| account.key.id).collect::<Vec<_>>();
    assert_eq!(ids(&whole.accounts), ids(&listed));
}

#[tokio::test]
async fn a_store_from_before_there_were_names_has_them_once_it_was_opened() {
    let folder = Folder::new();
    let store = folder.open().await;
    filled(&store).await;
    let query = AccountQuery { limit: 100, ..AccountQuery::default() };
    let before = browse(&store).account_page(&query).await.unwrap();
    store.close().await;
    drop(store);
    tamper(
        &folder.path(),
        "DROP INDEX outbox_due; DROP TABLE publications; DROP TABLE targets;
         DROP INDEX accounts_listed; DROP INDEX events_by_account; DROP INDEX events_by_customer_time;
         ALTER TABLE accounts DROP COLUMN listed_as; ALTER TABLE accounts DROP COLUMN searched;
         PRAGMA user_version = 13",
    )
    .await;
    let store = folder.open().await;
    let browse = &*browse(&store);
    assert_eq!(browse.account_page(&query).await.unwrap(), before);
    for (typed, found) in [("åsa öberg", 2), ("o'neil", 3), ("jane cloud", 5), ("zz", 6)] {
        let query = AccountQuery { words: words(typed), ..AccountQuery::default() };
        assert_eq!(numbers(browse, query).await, [found], "{typed}");
    }
}

/// Three commits of two customers, each of three events.
async fn told(store: &Store) {
    for (customer, revision, moment) in [("contoso", 0, 10), ("adatum", 0, 20), ("contoso", 1, 30)] {
        let other = NewEvent {
            kind: EventKind::HoldRecorded,
            account: None,
            subject: "a hold".into(),
            details: json!({}),
        };
        let removed = NewEvent {
            kind: EventKind::AccountRemoved,
            account: Some((AccountType::EndUser, Guid::from_u128(8))),
            ..event("gone")
        };
        let events = vec![event("added"), other, removed];
        let commit = Commit { events, at: at(moment), ..commit(customer, revision) };
        store.commit(commit).await.unwrap();
    }
}

#[tokio::test]
async fn events_are_found_newest_first_or_oldest_first_by_kind_account_and_time() {
    let folder = Folder::new();
    let store = folder.open().await;
    told(&store).await;
    let browse = &*browse(&store);
    let found = async |filter: EventFilter| {
        let found = browse.found_events(&filter).await.unwrap();
        assert_eq!(found.next, None);
        found.events.iter().map(|event| (event.customer.to_string(), event.sequence)).collect::<Vec<_>>()
    };
    let pairs = |pairs: &[(&str, u64)]| {
        pairs.iter().map(|(customer, number)| ((*customer).to_owned(), *number)).collect::<Vec<_>>()
    };
    let of_contoso = || EventFilter::last(Some("contoso".into()), 100);
    let numbers = |numbers: &[u64]| numbers.iter().map(|n| ("contoso".to_owned(), *n)).collect::<Vec<_>>();
    assert_eq!(found(of_contoso()).await, numbers(&[6, 5, 4, 3, 2, 1]));
    assert_eq!(
        found(EventFilter { order: EventOrder::Oldest, ..of_contoso() }).await,
        numbers(&[1, 2, 3, 4, 5, 6])
    );
    let holds = |filter| EventFilter { kinds: vec!["hold.recorded".into()], ..filter };
    assert_eq!(found(holds(of_contoso())).await, numbers(&[5, 2]));
    assert_eq!(
        found(holds(EventFilter::last(None, 100))).await,
        pairs(&[("contoso", 5), ("adatum", 2), ("contoso", 2)])
    );
    let both = vec!["account.added".into(), "account.removed".into()];
    assert_eq!(found(EventFilter { kinds: both, ..of_contoso() }).await, numbers(&[6, 4, 3, 1]));
    // No part of a kind is a kind.
    assert_eq!(found(EventFilter { kinds: vec!["added".into()], ..of_contoso() }).await, []);
    let of_account = EventFilter { account: Some(Guid::from_u128(8)), ..of_contoso() };
    assert_eq!(found(of_account.clone()).await, numbers(&[6, 3]));
    assert_eq!(found(EventFilter { order: EventOrder::Oldest, ..of_account }).await, numbers(&[3, 6]));
    assert_eq!(found(EventFilter { since: at(11), ..of_contoso() }).await, numbers(&[6, 5, 4]));
    assert_eq!(found(EventFilter { until: at(29), ..of_contoso() }).await, numbers(&[3, 2, 1]));
    let whole = browse.found_events(&of_contoso()).await.unwrap().events;
    let mut chain = store.events(Some("contoso")).await.unwrap();
    chain.reverse();
    assert_eq!(whole, chain, "with the hash before each");
}

#[tokio::test]
async fn pages_of_events_follow_each_other_without_a_gap_or_a_repetition() {
    let folder = Folder::new();
    let store = folder.open().await;
    told(&store).await;
    let browse = &*browse(&store);
    for customer in [None, Some("contoso".into())] {
        for order in [EventOrder::Newest, EventOrder::Oldest] {
            let whole = EventFilter { order, ..EventFilter::last(customer.clone(), 100) };
            let whole = browse.found_events(&whole).await.unwrap().events;
            for limit in 1..=4 {
                let (mut all, mut after) = (Vec::new(), None);
                for _ in 0..20 {
                    let filter = EventFilter { order, after, ..EventFilter::last(customer.clone(), limit) };
                    let found = browse.found_events(&filter).await.unwrap();
                    assert!(found.events.len() <= limit);
                    all.extend(found.events);
                    after = found.next;
                    if after.is_none() {
                        break;
                    }
                }
                assert_eq!(after, None);
                assert_eq!(all, whole, "{order:?} {limit}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_rare_in_a_long_record_takes_several_pages() {
    let folder = Folder::new();
    let store = folder.open().await;
    let hold = NewEvent {
        kind: EventKind::HoldRecorded,
        account: None,
        subject: "a hold".into(),
        details: json!({}),
    };
    let mut events = vec![hold];
    events.extend((0..60_000).map(|_| event("added")));
    store.commit(Commit { events, ..commit("contoso", 0) }).await.unwrap();
    let browse = &*browse(&store);
    for customer in [None, Some("contoso".into())] {
        let filter = EventFilter { kinds: vec!["hold.recorded".into()], ..EventFilter::last(customer, 100) };
        let first = browse.found_events(&filter).await.unwrap();
        assert_eq!(first.events.len(), 0);
        let second = browse.found_events(&EventFilter { after: first.next, ..filter }).await.unwrap();
        assert!(first.next.is_some() && second.next.is_none());
        assert_eq!(second.events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1]);
    }
}

#[tokio::test]
async fn it_is_told_how_many_accounts_there_were_on_days_that_are_over() {
    let folder = Folder::new();
    let store = folder.open().await;
    let change = |kind, before: serde_json::Value| NewEvent {
        kind,
        details: json!({"before": before}),
        ..event("somebody")
    };
    // Of the five who are left, two were there before all of this.
    let accounts = (1..=5).map(account).collect();
    let first = vec![
        change(EventKind::AccountAdded, json!(null)),
        change(EventKind::AccountAdded, json!(null)),
        change(EventKind::AccountPended, json!({"state": "active"})),
        change(EventKind::SourcePinned, json!(null)),
    ];
    let second = vec![
        change(EventKind::AccountReturned, json!({"state": "pendingRemoval"})),
        change(EventKind::AccountReturned, json!({"state": "removed"})),
        change(EventKind::AccountRemoved, json!({"state": "active"})),
        change(EventKind::AccountRemoved, json!({"state": "pendingRemoval"})),
    ];
    let today =
        vec![change(EventKind::AccountAdded, json!(null)), change(EventKind::AccountAdded, json!(null))];
    store.commit(Commit { accounts, events: first, ..commit("contoso", 0) }).await.unwrap();
    let later = |day: i64| at(days(day) + 5);
    store.commit(Commit { events: second, at: later(2), ..commit("contoso", 1) }).await.unwrap();
    store.commit(Commit { events: today, at: later(3), ..commit("contoso", 2) }).await.unwrap();
    let gone = Account {
        state: AccountState::Removed { since: at(9), reason: Verdict::NotInScope, approved: false },
        ..account(9)
    };
    let left = vec![change(EventKind::AccountRemoved, json!({"state": "active"}))];
    store.commit(Commit { accounts: vec![gone], events: left, ..commit("adatum", 0) }).await.unwrap();
    let day = at(0).as_second() / 86_400;
    let past = browse(&store).past_days(day + 3, 4).await.unwrap();
    // Today's two are not of yesterday; the day before that nothing changed in number but by one.
    assert_eq!(past["contoso"], [2, 4, 4, 3]);
    assert_eq!(past["adatum"], [1, 0, 0, 0]);
    assert_eq!(browse(&store).past_days(day + 40, 2).await.unwrap()["contoso"], [5, 5]);
}

#[tokio::test]
async fn it_is_told_who_is_suspended() {
    let folder = Folder::new();
    let store = folder.open().await;
    let suspension = Suspension { at: at(1), by: "ops".into(), reason: "moving".to_owned() };
    let suspend = SuspensionChange::Suspend(suspension.clone());
    store.commit(Commit { suspension: suspend, ..commit("contoso", 0) }).await.unwrap();
    store.commit(commit("adatum", 0)).await.unwrap();
    let told = browse(&store).suspensions().await.unwrap();
    assert_eq!(told.into_iter().collect::<Vec<_>>(), [("contoso".into(), suspension)]);
}

#[tokio::test]
async fn a_period_is_looked_for_where_it_is() {
    let folder = Folder::new();
    let store = folder.open().await;
    let many = |count: usize| (0..count).map(|_| event("added")).collect::<Vec<_>>();
    store.commit(Commit { events: many(60_000), at: at(10), ..commit("contoso", 0) }).await.unwrap();
    store.commit(Commit { events: many(3), at: at(20), ..commit("contoso", 1) }).await.unwrap();
    store.commit(Commit { events: many(60_000), at: at(30), ..commit("contoso", 2) }).await.unwrap();
    let browse = &*browse(&store);
    for customer in [None, Some("contoso".into())] {
        for order in [EventOrder::Newest, EventOrder::Oldest] {
            let filter = EventFilter {
                since: at(15),
                until: at(25),
                order,
                ..EventFilter::last(customer.clone(), 100)
            };
            let found = browse.found_events(&filter).await.unwrap();
            assert_eq!((found.events.len(), found.next), (3, None), "{order:?}");
        }
        let nothing = EventFilter { since: at(99), ..EventFilter::last(customer, 100) };
        assert_eq!(browse.found_events(&nothing).await.unwrap(), FoundEvents::default());
    }
}

#[tokio::test]
async fn a_place_that_no_page_gave_is_no_trouble() {
    let folder = Folder::new();
    let store = folder.open().await;
    told(&store).await;
    let browse = &*browse(&store);
    for after in [i64::MIN, -1, 0, 7, i64::MAX] {
        for order in [EventOrder::Newest, EventOrder::Oldest] {
            for customer in [None, Some("contoso".into())] {
                let filter =
                    EventFilter { order, after: Some(after), ..EventFilter::last(customer.clone(), 100) };
                let found = browse.found_events(&filter).await.unwrap();
                let is_before_all = (after < 1) == (order == EventOrder::Newest);
                let expected = match (is_before_all, customer) {
                    _ if after == 7 => continue,
                    (true, _) => 0,
                    (false, Some(_)) => 6,
                    (false, None) => 9,
                };
                assert_eq!((found.events.len(), found.next), (expected, None), "{after} {order:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_stays_right_while_others_are_added() {
    let folder = Folder::new();
    let store = folder.open().await;
    let accounts = |numbers: &[u128]| numbers.iter().map(|number| account(*number)).collect::<Vec<_>>();
    store.commit(Commit { accounts: accounts(&[10, 20, 30, 40]), ..commit("contoso", 0) }).await.unwrap();
    let browse = &*browse(&store);
    let query = AccountQuery { limit: 2, ..AccountQuery::default() };
    let first = browse.account_page(&query).await.unwrap();
    // One before the place where it goes on, and one behind.
    store.commit(Commit { accounts: accounts(&[15, 35]), ..commit("contoso", 1) }).await.unwrap();
    let rest = browse.account_page(&AccountQuery { limit: 9, after: first.next, ..query }).await.unwrap();
    let numbers: Vec<u128> = rest.accounts.iter().map(|(_, account)| number(account.key.id)).collect();
    assert_eq!(numbers, [30, 35, 40]);
}
