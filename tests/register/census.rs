//! Counting what a store holds: what is counted anew only where something changed is what is there.

use std::sync::Arc;

use intake::adapters::store::connection::Store;
use intake::model::account::{Account, AccountKey, AccountState, AccountType, Verdict};
use intake::model::contact_match::{ContactChanges, ContactMatch, DocumentationStatus, MatchStatus};
use intake::model::register::{Commit, CustomerStatus, NewDelivery};
use intake::model::text::Text;
use intake::ports::census::{AccountCount, Census, ContactCount, Counts, OutboxCount};
use intake::ports::register::Register as _;
use jiff::Timestamp;
use serde_json::json;

use super::sample::{Folder, OneByOne as _, account, at, commit, contact, delivery, small, tamper};

/// Counts by what was counted before, and from the start: both must say the same.
async fn counts(census: &Arc<dyn Census>, store: &Store) -> Counts {
    let counts = census.count().await.unwrap();
    assert_eq!(counts, store.census().count().await.unwrap());
    counts
}

fn status(customer: &str, state: &str, at: Timestamp, last_success: Option<Timestamp>) -> CustomerStatus {
    CustomerStatus {
        customer: customer.into(),
        state: state.into(),
        last_attempt: at,
        last_success,
        failures: 0,
        next_attempt: None,
        tree_revision: "tree-1".into(),
        message: String::new(),
        reports: None,
    }
}

#[tokio::test]
async fn accounts_are_counted_by_customer_type_and_state() {
    let folder = Folder::new();
    let store = folder.open().await;
    let census: Arc<dyn Census> = Arc::new(store.census());
    assert_eq!(counts(&census, &store).await, Counts::default());
    let with = |number, state| Account { state, ..account(number) };
    let key = AccountKey { account_type: AccountType::Administrator, ..account(6).key };
    let accounts = vec![
        account(1),
        account(2),
        with(3, AccountState::Orphaned { since: at(1) }),
        with(4, AccountState::Removed { since: at(1), reason: Verdict::Excluded, approved: false }),
        with(5, AccountState::PendingRemoval { since: at(1), until: at(9), reason: Verdict::Excluded }),
        Account { key, ..account(6) },
    ];
    store.commit(Commit { accounts, ..commit("contoso", 0) }).await.unwrap();
    store.commit(small("fabrikam", 0)).await.unwrap();
    let of = |customer: &str, account_type| (Text::from(customer), account_type);
    let now = counts(&census, &store).await.accounts;
    let people = AccountCount { active: 2, pending_removal: 1, orphaned: 1, removed: 1 };
    assert_eq!(now[&of("contoso", AccountType::EndUser)], people);
    assert_eq!(now[&of("contoso", AccountType::Administrator)].active, 1);
    assert_eq!(now[&of("fabrikam", AccountType::EndUser)].active, 1);
    assert_eq!(now.len(), 3);

    // A turn that changes nothing may forget accounts, and then records that it was.
    store.forget_removed("contoso", at(2)).await.unwrap();
    store.record_status(&status("contoso", "ready", at(20), Some(at(20))), &[]).await.unwrap();
    let people = AccountCount { removed: 0, ..people };
    assert_eq!(counts(&census, &store).await.accounts[&of("contoso", AccountType::EndUser)], people);
    store.commit(Commit { accounts: vec![account(7)], ..commit("contoso", 1) }).await.unwrap();
    let people = AccountCount { active: 3, ..people };
    assert_eq!(counts(&census, &store).await.accounts[&of("contoso", AccountType::EndUser)], people);
}

#[tokio::test]
async fn of_more_customers_than_a_few_all_are_counted_at_once() {
    let folder = Folder::new();
    let store = folder.open().await;
    let census: Arc<dyn Census> = Arc::new(store.census());
    for revision in 0..2 {
        for number in 0..60 {
            store.commit(small(&format!("customer{number}"), revision)).await.unwrap();
        }
        let accounts = counts(&census, &store).await.accounts;
        assert_eq!(accounts.len(), 60);
        assert!(accounts.values().all(|count| count.active == revision + 1), "{accounts:?}");
    }
}

#[tokio::test]
async fn contacts_are_counted_by_customer_system_and_status() {
    let folder = Folder::new();
    let store = folder.open().await;
    let census: Arc<dyn Census> = Arc::new(store.census());
    let looked = |customer: &str, connection: &str, seconds: i64| DocumentationStatus {
        customer: customer.into(),
        connection: connection.into(),
        organization: "12".into(),
        last_attempt: at(seconds),
        last_success: Some(at(seconds)),
        fault: None,
        saw_organization: true,
    };
    let beside = |customer: &str, written: Vec<ContactMatch>, forgotten| Commit {
        contacts: ContactChanges { written, forgotten },
        is_beside: true,
        room: None,
        ..commit(customer, 1)
    };
    let of = |customer: &str, system: &str| (Text::from(customer), Text::from(system));
    let removed = AccountState::Removed { since: at(1), reason: Verdict::Excluded, approved: false };
    let orphaned = AccountState::Orphaned { since: at(1) };
    let accounts = (1..=5)
        .map(account)
        .chain([Account { state: orphaned, ..account(6) }, Account { state: removed.clone(), ..account(7) }]);
    store.commit(Commit { accounts: accounts.collect(), ..commit("contoso", 0) }).await.unwrap();
    store.commit(Commit { accounts: vec![account(1)], ..commit("fabrikam", 0) }).await.unwrap();
    assert!(counts(&census, &store).await.contacts.is_empty(), "nobody was looked for");

    // A look writes beside the turns, and then records that it was.
    let written = vec![
        contact("glue", 1, MatchStatus::Matched),
        contact("glue", 2, MatchStatus::Matched),
        contact("glue", 3, MatchStatus::Unmatched),
        contact("glue", 4, MatchStatus::Ambiguous),
        contact("glue", 5, MatchStatus::Failed),
        // Nobody looks for those of orphaned accounts.
        contact("glue", 6, MatchStatus::Failed),
        // Who was removed is nobody's to look at, and has the contact again when they return.
        contact("glue", 7, MatchStatus::Ambiguous),
        contact("hudu", 1, MatchStatus::Ambiguous),
    ];
    store.commit(beside("contoso", written, Vec::new())).await.unwrap();
    store
        .commit(beside("fabrikam", vec![contact("glue", 1, MatchStatus::Matched)], Vec::new()))
        .await
        .unwrap();
    let looks = [looked("contoso", "glue", 20), looked("contoso", "hudu", 20), looked("contoso", "cw", 20)];
    store.record_documentation(&looks).await.unwrap();
    store.record_documentation(&[looked("fabrikam", "glue", 20)]).await.unwrap();
    let now = counts(&census, &store).await.contacts;
    let glue = ContactCount { matched: 2, unmatched: 1, ambiguous: 1, failed: 1 };
    assert_eq!(now[&of("contoso", "glue")], glue);
    assert_eq!(now[&of("contoso", "hudu")], ContactCount { ambiguous: 1, ..ContactCount::default() });
    assert_eq!(now[&of("contoso", "cw")], ContactCount::default(), "looked into, and nobody is there");
    assert_eq!(now[&of("fabrikam", "glue")], ContactCount { matched: 1, ..ContactCount::default() });
    assert_eq!(now.len(), 4);

    // Another look: one is settled, and one system is not in the document any more.
    let forgotten = vec![("hudu".into(), account(1).key)];
    let settled = vec![contact("glue", 4, MatchStatus::Matched)];
    store.commit(beside("contoso", settled, forgotten)).await.unwrap();
    store.record_documentation(&[looked("contoso", "glue", 30)]).await.unwrap();
    store.forget_documentation("contoso", "hudu").await.unwrap();
    let now = counts(&census, &store).await.contacts;
    assert_eq!(now[&of("contoso", "glue")], ContactCount { matched: 3, ambiguous: 0, ..glue });
    assert!(!now.contains_key(&of("contoso", "hudu")));

    // A turn that removes somebody is no look, and counts.
    let removed = Account { state: removed, ..account(5) };
    store.commit(Commit { accounts: vec![removed], ..commit("contoso", 1) }).await.unwrap();
    assert_eq!(counts(&census, &store).await.contacts[&of("contoso", "glue")].failed, 0);

    // Of many customers all are counted at once.
    for number in 0..60 {
        let name = format!("customer{number}");
        store.commit(Commit { accounts: vec![account(1)], ..commit(&name, 0) }).await.unwrap();
        store
            .commit(beside(&name, vec![contact("glue", 1, MatchStatus::Ambiguous)], Vec::new()))
            .await
            .unwrap();
        store.record_documentation(&[looked(&name, "glue", 20)]).await.unwrap();
    }
    let now = counts(&census, &store).await.contacts;
    assert_eq!(now.len(), 63);
    assert_eq!(now[&of("customer59", "glue")], ContactCount { ambiguous: 1, ..ContactCount::default() });
}

#[tokio::test]
async fn a_customer_that_never_succeeded_has_a_state_and_no_success() {
    let folder = Folder::new();
    let store = folder.open().await;
    let census: Arc<dyn Census> = Arc::new(store.census());
    store.record_status(&status("contoso", "unreadable", at(5), None), &[]).await.unwrap();
    store.record_status(&status("fabrikam", "held", at(5), Some(at(3))), &[]).await.unwrap();
    let customers = counts(&census, &store).await.customers;
    assert_eq!((&*customers["contoso"].state, customers["contoso"].last_success), ("unreadable", None));
    assert_eq!((&*customers["fabrikam"].state, customers["fabrikam"].last_success), ("held", Some(at(3))));
}

#[tokio::test]
async fn a_delivery_waits_since_what_it_tells_of_happened() {
    let folder = Folder::new();
    let store = folder.open().await;
    let census: Arc<dyn Census> = Arc::new(store.census());
    let told = |key: &str| NewDelivery { body: json!({"time": at(3)}), ..delivery("hr", key) };
    let deliveries = vec![told("one"), told("two"), delivery("hr", "three")];
    store.commit(Commit { deliveries, ..commit("contoso", 0) }).await.unwrap();
    let outbox = async || counts(&census, &store).await.outbox;
    assert_eq!(outbox().await, OutboxCount { waiting: 3, given_up: 0, oldest: Some(at(3)) });
    let first = async || store.due(at(100_000), 10).await.unwrap()[0].id;
    // An attempt that failed does not make it younger.
    store.failed(first().await, Some(at(90_000)), "busy").await.unwrap();
    assert_eq!(outbox().await, OutboxCount { waiting: 3, given_up: 0, oldest: Some(at(3)) });
    store.failed(first().await, None, "gone").await.unwrap();
    store.delivered(first().await, at(50)).await.unwrap();
    // One that tells of no time waits since it was to be delivered.
    assert_eq!(outbox().await, OutboxCount { waiting: 1, given_up: 1, oldest: Some(at(10)) });
    store.delivered(first().await, at(50)).await.unwrap();
    assert_eq!(outbox().await, OutboxCount { waiting: 0, given_up: 1, oldest: None });
}

#[tokio::test]
async fn what_intake_never_writes_is_damage() {
    let folder = Folder::new();
    let store = folder.open().await;
    let census = store.census();
    store.commit(small("contoso", 0)).await.unwrap();
    store.record_status(&status("contoso", "ready", at(1), Some(at(1))), &[]).await.unwrap();
    census.count().await.unwrap();
    tamper(&folder.path(), "UPDATE statuses SET last_success = 9223372036854775807").await;
    let fault = census.count().await.unwrap_err();
    assert!(fault.to_string().contains("damaged"), "{fault}");
}
