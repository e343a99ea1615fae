//! What is known of publications is written only if what it was decided from is still so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use intake::adapters::store::connection::Store;
use intake::daemon::publishing::look_for_drift;
use intake::model::account::{Account, AccountKey, AccountState, AccountType, Verdict};
use intake::model::event::ChainHead;
use intake::model::publication::{
    CountedRemovals, Leavers, Presence, Publication, PublicationRecord, PublicationStatus, RemoteUser,
    RemovalLimit, TargetRules, TargetStatus,
};
use intake::model::reading::{Fault, FaultKind, Reading};
use intake::model::register::Commit;
use intake::model::text::Text;
use intake::ports::browse::Browse as _;
use intake::ports::clock::Clock;
use intake::ports::in_force::SuspendedInTree;
use intake::ports::leases::Leases;
use intake::ports::publishing::{
    Landing, Order, PublicationReader, Publications, Standing, TargetPort, Targets,
};
use intake::ports::register::Register as _;
use intake::ports::register::RegisterFault;
use intake::reconcile::publish::Publisher;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::postgres::Postgres;

use super::sample::{account, at, commit, small};

pub(super) fn publication(number: u128, status: PublicationStatus) -> Publication {
    Publication {
        account: account(number).key,
        target: "hr".into(),
        subject: "jane".into(),
        status,
        cause: String::new(),
        since: at(1),
        wanted: Presence::Present,
        user_name: Some(Text::from(format!("user{number}@contoso.test"))),
        remote_id: None,
        asked: None,
        asked_at: Some(at(1)),
        confirmed: None,
        removal_at: None,
        corrected: None,
    }
}

pub(super) fn record(customer: &str, read: &[Publication], written: &[Publication]) -> PublicationRecord {
    PublicationRecord {
        customer: customer.into(),
        run: "run-1".into(),
        tree_revision: "1".into(),
        at: at(2),
        read: read.to_vec(),
        counted: None,
        written: written.to_vec(),
        forgotten: Vec::new(),
        events: Vec::new(),
        deliveries: Vec::new(),
    }
}

async fn stores() -> [Store; 2] {
    let database = Postgres::shared().database().await;
    let stores = [Store::open("sqlite::memory:").await.unwrap(), Store::open(&database.url()).await.unwrap()];
    for store in &stores {
        for customer in ["contoso", "fabrikam"] {
            store.commit(small(customer, 0)).await.unwrap();
        }
    }
    stores
}

fn is_overtaken<T>(outcome: Result<T, RegisterFault>) -> bool {
    matches!(outcome, Err(RegisterFault::Overtaken { .. }))
}

/// A delivery that takes minutes must not undo what was asked for meanwhile, nor the other way round.
#[tokio::test]
async fn what_was_read_before_somebody_else_wrote_is_not_written_over_it() {
    for store in stores().await {
        let waiting = publication(1, PublicationStatus::Waiting);
        store.record(record("contoso", &[], std::slice::from_ref(&waiting))).await.unwrap();
        // Who believes that nothing is known yet.
        assert!(is_overtaken(store.record(record("contoso", &[], std::slice::from_ref(&waiting))).await));
        let published = Publication {
            status: PublicationStatus::Published,
            remote_id: Some("72".into()),
            ..waiting.clone()
        };
        let leaving = Publication { wanted: Presence::Absent, asked_at: Some(at(9)), ..waiting.clone() };
        let read = std::slice::from_ref(&waiting);
        store.record(record("contoso", read, std::slice::from_ref(&leaving))).await.unwrap();
        assert!(is_overtaken(store.record(record("contoso", read, &[published])).await));
        let forgetting = PublicationRecord {
            forgotten: vec![("hr".into(), waiting.account)],
            ..record("contoso", read, &[])
        };
        assert!(is_overtaken(store.record(forgetting).await));
        let known = store.publications(Some("contoso")).await.unwrap();
        assert_eq!(known, [("contoso".into(), leaving)]);
    }
}

#[tokio::test]
async fn many_are_written_together_and_found_by_their_account() {
    // More than one statement writes, twice, and some that are left over.
    const MANY: u128 = 133;
    for store in stores().await {
        let of = |status| (0..MANY).map(|number| publication(number, status)).collect::<Vec<_>>();
        let (waiting, published) = (of(PublicationStatus::Waiting), of(PublicationStatus::Published));
        store.record(record("contoso", &[], &waiting)).await.unwrap();
        store.record(record("contoso", &waiting, &published)).await.unwrap();
        let mut known = store.publications(Some("contoso")).await.unwrap();
        known.sort_by_key(|(_, known)| known.account.id);
        assert_eq!(known, published.iter().map(|one| ("contoso".into(), one.clone())).collect::<Vec<_>>());

        // Somebody who is in both roles, at two targets; and somebody else's, of the same id.
        let here = &published[7];
        let as_administrator = AccountKey { account_type: AccountType::Administrator, ..here.account };
        let elsewhere = Publication { target: "chat".into(), ..here.clone() };
        let administrator = Publication { account: as_administrator, ..here.clone() };
        store.record(record("contoso", &[], &[elsewhere.clone(), administrator.clone()])).await.unwrap();
        store.record(record("fabrikam", &[], std::slice::from_ref(here))).await.unwrap();
        let browse = store.browse();
        let found = browse.publications_of("contoso", here.account.id).await.unwrap();
        assert_eq!(found, [elsewhere, administrator, here.clone()]);
        assert!(browse.publications_of("adatum", here.account.id).await.unwrap().is_empty());
    }
}

/// Two processes that count at the same moment must not both use the room that is left.
#[tokio::test]
async fn removals_that_were_counted_before_others_began_are_counted_anew() {
    for store in stores().await {
        let here = [publication(1, PublicationStatus::Published)];
        for customer in ["contoso", "fabrikam"] {
            store.record(record(customer, &[], &here)).await.unwrap();
        }
        let leaving = [Publication { wanted: Presence::Absent, removal_at: Some(at(5)), ..here[0].clone() }];
        let counted = Some(CountedRemovals { target: "hr".into(), since: at(0), recent: 0 });
        let removal = |customer: &str| PublicationRecord {
            counted: counted.clone(),
            ..record(customer, &here, &leaving)
        };
        store.record(removal("contoso")).await.unwrap();
        assert!(is_overtaken(store.record(removal("fabrikam")).await));
        assert_eq!(store.leavers("hr", at(0)).await.unwrap().recent, 1);
    }
}

/// A target that lets this many go.
struct Letting(u64);

impl Targets for Letting {
    fn rules(&self) -> BTreeMap<Text, TargetRules> {
        let removal = RemovalLimit { max_percent: 100, max_count: self.0, ..TargetRules::default().removal };
        BTreeMap::from([("hr".into(), TargetRules { removal, ..TargetRules::default() })])
    }

    fn open(&self, _target: &str) -> Result<Box<dyn TargetPort>, Fault> {
        Err(Fault::new(FaultKind::Refused, "nobody is asked"))
    }
}

/// A tree that suspends nobody.
struct Suspending;

impl SuspendedInTree for Suspending {
    fn suspends(&self, _customer: &str) -> bool {
        false
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        at(100)
    }
}

/// A target of which everybody who lists it is counted, and that is listed slowly; and a store in which it is noted
/// meanwhile that it refused somebody.
struct Listed {
    store: Store,
    count: Arc<AtomicUsize>,
}

impl Targets for Listed {
    fn rules(&self) -> BTreeMap<Text, TargetRules> {
        BTreeMap::from([("hr".into(), TargetRules::default())])
    }

    fn open(&self, _target: &str) -> Result<Box<dyn TargetPort>, Fault> {
        Ok(Box::new(Self { store: self.store.clone(), count: self.count.clone() }))
    }
}

#[async_trait]
impl TargetPort for Listed {
    async fn bring(&self, _orders: &[Order]) -> Vec<Result<Landing, Fault>> {
        Vec::new()
    }

    async fn list(&self) -> Reading<BTreeMap<Text, RemoteUser>> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.store.record_answer("hr", Some("it refused somebody"), at(7)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        Reading::Unavailable(Fault::new(FaultKind::Transient, "it is not listed"))
    }
}

/// A day after the target was compared.
struct Tomorrow;

impl Clock for Tomorrow {
    fn now(&self) -> Timestamp {
        at(90_000)
    }
}

fn comparing(store: &Store, count: &Arc<AtomicUsize>) -> Publisher {
    Publisher {
        targets: Arc::new(Listed { store: store.clone(), count: count.clone() }),
        clock: Arc::new(Tomorrow),
        ..publisher(store, None)
    }
}

/// Who delivers and who compares write the same row.
#[tokio::test]
async fn a_comparison_takes_back_nothing_that_was_noted_of_the_target_meanwhile() {
    for store in stores().await {
        store.record(record("contoso", &[], &[publication(1, PublicationStatus::Published)])).await.unwrap();
        store.record_answer("hr", None, at(5)).await.unwrap();
        assert_eq!(comparing(&store, &Arc::default()).look_for_drift().await.unwrap(), 0);
        let compared = TargetStatus {
            target: "hr".into(),
            fault: Some(("it refused somebody".to_owned(), at(7))),
            compared_at: Some(at(90_000)),
            comparison_fault: Some("it is not listed".to_owned()),
        };
        assert_eq!(store.target_statuses().await.unwrap(), std::slice::from_ref(&compared));
        // The same fault is since then; and what was compared stays.
        store.record_answer("hr", Some("it refuses another one"), at(90_001)).await.unwrap();
        let again = TargetStatus { fault: Some(("it refuses another one".to_owned(), at(7))), ..compared };
        assert_eq!(store.target_statuses().await.unwrap(), std::slice::from_ref(&again));
        store.record_answer("hr", None, at(90_002)).await.unwrap();
        assert_eq!(store.target_statuses().await.unwrap(), [TargetStatus { fault: None, ..again }]);
    }
}

#[tokio::test]
async fn of_several_replicas_one_compares_a_target() {
    let database = Postgres::shared().database().await;
    let (count, stop) = (Arc::default(), CancellationToken::new());
    let mut looking = JoinSet::new();
    for name in 0..3 {
        let store = Store::open(&database.url()).await.unwrap();
        if name == 0 {
            let known = publication(1, PublicationStatus::Published);
            store.commit(small("contoso", 0)).await.unwrap();
            store.record(record("contoso", &[], &[known])).await.unwrap();
            store.record_answer("hr", None, at(5)).await.unwrap();
        }
        let leases: Arc<dyn Leases> = Arc::new(store.leases(format!("replica-{name}")).unwrap());
        let publisher = Arc::new(comparing(&store, &count));
        looking.spawn(look_for_drift(publisher, Some(leases), stop.clone()));
    }
    let store = Store::open(&database.url()).await.unwrap();
    while store.target_statuses().await.unwrap()[0].comparison_fault.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    looking.join_all().await;
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

/// What is known, where another process compares its own customer as soon as something was written.
struct Shared {
    store: Store,
    other: Option<Publisher>,
    has_compared: AtomicBool,
}

#[async_trait]
impl PublicationReader for Shared {
    async fn publications(&self, customer: Option<&str>) -> Result<Vec<(Text, Publication)>, RegisterFault> {
        self.store.publications(customer).await
    }

    async fn target_statuses(&self) -> Result<Vec<TargetStatus>, RegisterFault> {
        self.store.target_statuses().await
    }
}

#[async_trait]
impl Publications for Shared {
    async fn standing(
        &self,
        customer: &str,
        target: &str,
        accounts: &[AccountKey],
    ) -> Result<Standing, RegisterFault> {
        self.store.standing(customer, target, accounts).await
    }

    async fn taken(
        &self,
        customer: &str,
        target: &str,
        names: &[Text],
    ) -> Result<BTreeMap<Text, Text>, RegisterFault> {
        self.store.taken(customer, target, names).await
    }

    async fn leavers(&self, target: &str, since: Timestamp) -> Result<Leavers, RegisterFault> {
        self.store.leavers(target, since).await
    }

    async fn customers_of(&self, target: &str) -> Result<Vec<Text>, RegisterFault> {
        self.store.customers_of(target).await
    }

    async fn record(&self, record: PublicationRecord) -> Result<ChainHead, RegisterFault> {
        let head = self.store.record(record).await?;
        if let (Some(other), false) = (&self.other, self.has_compared.swap(true, Ordering::Relaxed)) {
            other.compare(&"fabrikam".into(), &everybody(), &"1".into()).await?;
        }
        Ok(head)
    }

    async fn record_answer(
        &self,
        target: &str,
        fault: Option<&str>,
        at: Timestamp,
    ) -> Result<(), RegisterFault> {
        self.store.record_answer(target, fault, at).await
    }

    async fn record_comparison(
        &self,
        target: &str,
        fault: Option<&str>,
        at: Timestamp,
    ) -> Result<(), RegisterFault> {
        self.store.record_comparison(target, fault, at).await
    }
}

fn everybody() -> BTreeMap<Text, BTreeSet<AccountType>> {
    BTreeMap::from([("hr".into(), BTreeSet::from([AccountType::EndUser]))])
}

fn publisher(store: &Store, other: Option<Publisher>) -> Publisher {
    Publisher {
        targets: Arc::new(Letting(5_000)),
        publications: Arc::new(Shared { store: store.clone(), other, has_compared: AtomicBool::new(false) }),
        register: Arc::new(store.clone()),
        tree: Arc::new(Suspending),
        clock: Arc::new(Stopped),
        new_run: || "run-2".into(),
        room: tokio::sync::Mutex::new(()),
    }
}

/// So many removals are written in parts, and between two of them others may take the room.
#[tokio::test]
async fn removals_that_are_written_in_parts_go_beyond_no_limit_whoever_comes_between() {
    const EACH: u128 = 3_000;
    let store = Store::open("sqlite::memory:").await.unwrap();
    for customer in ["contoso", "fabrikam"] {
        let removed = |number| Account {
            state: AccountState::Removed { since: at(50), reason: Verdict::NotInScope, approved: false },
            ..account(number)
        };
        let accounts = (0..EACH).map(removed).collect();
        store.commit(Commit { accounts, ..commit(customer, 0) }).await.unwrap();
        let there = |number: u128| Publication {
            remote_id: Some(Text::from(format!("{customer}-{number}"))),
            ..publication(number, PublicationStatus::Published)
        };
        store.record(record(customer, &[], &(0..EACH).map(there).collect::<Vec<_>>())).await.unwrap();
    }
    let here = publisher(&store, Some(publisher(&store, None)));
    here.compare(&"contoso".into(), &everybody(), &"1".into()).await.unwrap();
    let known = store.publications(None).await.unwrap();
    let count = |wanted: fn(&Publication) -> bool| known.iter().filter(|(_, known)| wanted(known)).count();
    assert_eq!(count(|known| known.wanted == Presence::Absent), 5_000);
    assert_eq!(count(|known| known.status == PublicationStatus::Held), 1_000);
}
