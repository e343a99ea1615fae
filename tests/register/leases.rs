//! Leases of replicas on one database: one has it, time and reason decide when, and whoever lost it writes nothing.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use intake::adapters::store::connection::Store;
use intake::adapters::store::leases::StoreLeases;
use intake::model::digest::Digest;
use intake::model::event::EventKind;
use intake::model::publication::PublicationStatus;
use intake::model::register::{Commit, CustomerStatus, FleetRoom, Measures};
use intake::model::text::Text;
use intake::model::tree_status::TreeStatus;
use intake::ports::leases::{Claim, Done, Leases as _, Notice, Wish};
use intake::ports::publishing::{PublicationReader as _, Publications as _};
use intake::ports::register::{Register as _, RegisterFault, RegisterReader as _};

use crate::support::postgres::{Database, ISOLATIONS, Postgres};

use super::publications;
use super::sample::{account, at, commit, event, small, whole};

/// A replica: a store and its leases, which last for two seconds.
async fn replica(database: &Database, name: &str) -> (Store, StoreLeases) {
    let store = Store::open(&format!("{}&lease=2s&maxConnections=3", database.url())).await.unwrap();
    let leases = store.leases(name.to_owned()).expect("a store that replicas share");
    (store, leases)
}

fn wish(customer: &str) -> Wish {
    Wish {
        name: format!("customer/{customer}").into(),
        fingerprint: Some(Digest::of(b"1")),
        is_asked: false,
        tree_revision: None,
    }
}

fn done(seconds: u64) -> Option<Done> {
    Some(Done { due_after: Duration::from_secs(seconds), fingerprint: Some(Digest::of(b"1")) })
}

#[tokio::test]
async fn a_store_in_a_file_has_no_leases() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    assert!(store.leases("a".to_owned()).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_replicas_one_has_a_lease() {
    let database = Postgres::shared().database().await;
    let replicas = join_all((0..6).map(|number| {
        let database = database.clone();
        async move { replica(&database, &format!("replica-{number}")).await }
    }))
    .await;
    for customer in ["contoso", "fabrikam", "tailspin"] {
        let claims = join_all(replicas.iter().map(|(_, leases)| {
            let (leases, wish) = (leases.clone(), wish(customer));
            tokio::spawn(async move { leases.claim(&wish).await.unwrap() })
        }))
        .await;
        let claims: Vec<Claim> = claims.into_iter().map(Result::unwrap).collect();
        assert_eq!(claims.iter().filter(|claim| **claim == Claim::Held).count(), 1, "{claims:?}");
        assert!(claims.iter().all(|claim| matches!(claim, Claim::Held | Claim::Elsewhere(_))), "{claims:?}");
    }
}

#[tokio::test]
async fn a_lease_is_taken_when_it_is_due_or_asked_for_or_for_another_reason_than_last_time() {
    let database = Postgres::shared().database().await;
    let ((_, left), (_, right)) = (replica(&database, "left").await, replica(&database, "right").await);
    assert_eq!(left.claim(&wish("contoso")).await.unwrap(), Claim::Held);
    left.release("customer/contoso", done(3600)).await.unwrap();
    let Claim::NotDue(wait) = right.claim(&wish("contoso")).await.unwrap() else { panic!("not due") };
    assert!(wait > Duration::from_secs(3500) && wait <= Duration::from_secs(3600), "{wait:?}");
    // Who does it next may be anybody, whoever did it last.
    assert!(matches!(left.claim(&wish("contoso")).await.unwrap(), Claim::NotDue(_)));

    let asked = Wish { is_asked: true, ..wish("contoso") };
    assert_eq!(right.claim(&asked).await.unwrap(), Claim::Held);
    assert!(matches!(left.claim(&asked).await.unwrap(), Claim::Elsewhere(_)));
    // It was not done: it is due as it was before.
    right.release("customer/contoso", None).await.unwrap();
    assert!(matches!(left.claim(&wish("contoso")).await.unwrap(), Claim::NotDue(_)));

    let changed = Wish { fingerprint: Some(Digest::of(b"2")), ..wish("contoso") };
    assert_eq!(left.claim(&changed).await.unwrap(), Claim::Held);
    // Who starts now learns of it, and of nobody who never had a turn.
    assert_eq!(right.claim(&wish("fabrikam")).await.unwrap(), Claim::Held);
    let due = right.due_turns().await.unwrap();
    let [(customer, due)] = due.iter().collect::<Vec<_>>()[..] else { panic!("{due:?}") };
    assert_eq!((customer.as_str(), due.fingerprint), ("contoso", Some(Digest::of(b"1"))));
    assert!(due.wait > Duration::from_secs(3500) && due.wait <= Duration::from_secs(3600), "{due:?}");
    left.release("customer/contoso", done(0)).await.unwrap();
    assert_eq!(right.due_turns().await.unwrap()["contoso"].wait, Duration::ZERO);
    assert_eq!(right.claim(&wish("contoso")).await.unwrap(), Claim::Held);
}

#[tokio::test]
async fn turns_are_made_by_the_tree_that_is_in_force() {
    let database = Postgres::shared().database().await;
    let ((store, left), (_, right)) = (replica(&database, "left").await, replica(&database, "right").await);
    let by = |revision: &str| Wish { tree_revision: Some(revision.into()), ..wish("contoso") };
    assert_eq!(left.claim(&by("1")).await.unwrap(), Claim::Held, "nobody ever said which one is in force");
    left.release("customer/contoso", None).await.unwrap();
    let tree = TreeStatus {
        source: "git".into(),
        revision: "2".into(),
        commit: None,
        since: at(0),
        looked_at: at(0),
        problems: 0,
        fault: None,
    };
    store.record_tree(&tree).await.unwrap();
    assert_eq!(left.claim(&by("1")).await.unwrap(), Claim::OtherTree);
    let asked = Wish { is_asked: true, ..by("1") };
    assert_eq!(left.claim(&asked).await.unwrap(), Claim::OtherTree, "also when somebody asks");
    assert_eq!(right.claim(&by("2")).await.unwrap(), Claim::Held);
}

/// The fencing: what a replica that stood still does after another one took over changes nothing.
#[tokio::test]
async fn who_lost_a_lease_writes_nothing_more_whatever_it_knows() {
    let database = Postgres::shared().database().await;
    let ((_, left), (_, right)) = (replica(&database, "left").await, replica(&database, "right").await);
    let (stalled, other) = (left.fenced(), right.fenced());
    let refused = |fault: &RegisterFault| matches!(fault, RegisterFault::LeaseLost { customer } if customer == "contoso");

    assert!(refused(&stalled.commit(small("contoso", 0)).await.unwrap_err()), "it never had it");
    assert_eq!(left.claim(&wish("contoso")).await.unwrap(), Claim::Held);
    assert_eq!(stalled.commit(small("contoso", 0)).await.unwrap().revision, 1);
    assert!(stalled.commit(small("fabrikam", 0)).await.is_err(), "a lease is of one customer");

    // It stands still for longer than the lease lasts. Nobody took it: it goes on.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_eq!(stalled.commit(small("contoso", 1)).await.unwrap().revision, 2);
    assert_eq!(left.renew().await.unwrap(), Vec::<Text>::new());
    assert!(matches!(right.claim(&wish("contoso")).await.unwrap(), Claim::Elsewhere(_)));

    // Once more, and now somebody does.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_eq!(right.claim(&wish("contoso")).await.unwrap(), Claim::Held);
    let status = CustomerStatus {
        customer: "contoso".into(),
        state: "ready".into(),
        last_attempt: at(1),
        last_success: Some(at(1)),
        failures: 0,
        next_attempt: None,
        tree_revision: "1".into(),
        message: String::new(),
        reports: None,
    };
    // The revision is the right one: nothing but the lease stands in the way.
    assert!(refused(&stalled.commit(small("contoso", 2)).await.unwrap_err()));
    assert!(refused(&stalled.record_status(&status, &[]).await.unwrap_err()));
    assert!(refused(&stalled.record_measures("contoso", &Measures::default(), 2).await.unwrap_err()));
    assert!(refused(&stalled.forget_removed("contoso", at(9)).await.unwrap_err()));
    let published =
        publications::record("contoso", &[], &[publications::publication(1, PublicationStatus::Waiting)]);
    assert!(refused(&stalled.record(published.clone()).await.unwrap_err()));
    assert_eq!(left.renew().await.unwrap(), ["customer/contoso"]);
    // Giving back what it lost takes it from nobody.
    left.release("customer/contoso", done(3600)).await.unwrap();
    assert_eq!(other.commit(small("contoso", 2)).await.unwrap().revision, 3);
    assert_eq!(other.load("contoso").await.unwrap().accounts.len(), 3);
    assert_eq!(whole(&other.verify("contoso").await.unwrap()), Some(3));
    assert_eq!(other.status("contoso").await.unwrap(), None);

    // And when it has it again, with another number, it writes again.
    right.release("customer/contoso", done(0)).await.unwrap();
    assert_eq!(left.claim(&wish("contoso")).await.unwrap(), Claim::Held);
    stalled.record_status(&status, &[]).await.unwrap();
    assert_eq!(other.status("contoso").await.unwrap(), Some(status));
    stalled.record(published).await.unwrap();
    assert_eq!(other.publications(Some("contoso")).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_fleet_has_room_for_no_more_removals_however_many_replicas_write_at_once() {
    for isolation in ISOLATIONS {
        expect_room(Postgres::shared().isolated_database(isolation).await).await;
    }
}

async fn expect_room(database: Database) {
    let stores = join_all((0..8).map(|_| async { Store::open(&database.url()).await.unwrap() })).await;
    let removing = stores.iter().cloned().enumerate().map(|(number, store)| {
        tokio::spawn(async move {
            let mut pended = event("x");
            pended.kind = EventKind::AccountPended;
            let room = Some(FleetRoom { since: at(0), most: 10 });
            let events = vec![pended.clone(), pended.clone(), pended];
            store.commit(Commit { events, room, ..commit(&format!("customer-{number}"), 0) }).await
        })
    });
    let outcomes: Vec<_> = join_all(removing).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3, "3 times 3 fit, 4 times do not");
    assert!(outcomes.iter().all(|outcome| match outcome {
        Ok(_) => true,
        Err(fault) => matches!(fault, RegisterFault::NoRoom { .. }),
    }));
    assert_eq!(stores[0].removals_since(at(0)).await.unwrap(), 9);
    // What begins no removal asks for no room.
    let added = Commit { accounts: vec![account(1)], events: vec![event("x")], ..commit("late", 0) };
    assert_eq!(stores[1].commit(added).await.unwrap().revision, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_hear_of_each_other_and_not_of_themselves() {
    let database = Postgres::shared().database().await;
    let ((_, left), (_, right)) = (replica(&database, "left").await, replica(&database, "right").await);
    let (mut heard_left, mut heard_right) = (left.notices(), right.notices());
    // They listen from their first question on.
    let both = tokio::spawn(async move { tokio::join!(heard_left.next(), heard_right.next()) });
    let mut connection = database.raw().await;
    loop {
        let listening: i64 = sqlx::Row::get(
            &sqlx::query("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'")
                .fetch_one(&mut connection)
                .await
                .unwrap(),
            0,
        );
        if listening == 2 {
            break;
        }
    }
    assert_eq!(left.claim(&wish("contoso")).await.unwrap(), Claim::Held);
    left.release("customer/contoso", done(0)).await.unwrap();
    right.tell_of_tree().await.unwrap();
    let (left_heard, right_heard) = both.await.unwrap();
    assert_eq!(right_heard, Some(Notice::Released("customer/contoso".into())));
    assert_eq!(left_heard, Some(Notice::Tree));
}

/// A turn that fails inside gives nothing back, and a release may not reach the database: neither may be kept alive by
/// the renewal of others.
#[tokio::test]
async fn a_lease_that_was_not_given_back_ends_by_itself_while_others_are_renewed() {
    let database = Postgres::shared().database().await;
    let ((_, left), (_, right)) = (replica(&database, "left").await, replica(&database, "right").await);
    for customer in ["contoso", "fabrikam"] {
        assert_eq!(left.claim(&wish(customer)).await.unwrap(), Claim::Held);
    }
    left.abandon("customer/contoso");
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(left.renew().await.unwrap(), Vec::<Text>::new());
    }
    assert_eq!(right.claim(&wish("contoso")).await.unwrap(), Claim::Held);
    assert!(matches!(right.claim(&wish("fabrikam")).await.unwrap(), Claim::Elsewhere(_)));
}

#[tokio::test]
async fn a_long_transaction_of_one_customer_keeps_no_other_lease_from_being_renewed() {
    let database = Postgres::shared().database().await;
    let ((_, left), (_, right)) = (replica(&database, "left").await, replica(&database, "right").await);
    for customer in ["contoso", "fabrikam"] {
        assert_eq!(left.claim(&wish(customer)).await.unwrap(), Claim::Held);
    }
    let mut connection = database.raw().await;
    let mut writing = sqlx::Connection::begin(&mut connection).await.unwrap();
    sqlx::query("SELECT 1 FROM leases WHERE name = 'customer/contoso' FOR SHARE")
        .execute(&mut *writing)
        .await
        .unwrap();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(left.renew().await.unwrap(), Vec::<Text>::new(), "it is still its own");
    }
    // Neither can be taken: one is renewed, the other one's row is proof of a write.
    assert!(matches!(right.claim(&wish("fabrikam")).await.unwrap(), Claim::Elsewhere(_)));
    assert!(matches!(right.claim(&wish("contoso")).await.unwrap(), Claim::Elsewhere(_)));
    writing.rollback().await.unwrap();
}
