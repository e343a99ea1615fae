//! The real store, behind a wrapper that lets every call of it fail, lie about what it did, or be the
//! last one of the process.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use intake::adapters::store::connection::Store;
use intake::model::account::Account;
use intake::model::contact_match::{ContactMatch, DocumentationStatus};
use intake::model::digest::Digest;
use intake::model::event::{Event, EventPage, EventQuery};
use intake::model::register::{
    Attempted, Commit, Committed, CustomerStatus, Delivery, LateDelivery, Measures, NewDelivery,
    PackedReadings, RegisterState,
};
use intake::model::tenant::SyncState;
use intake::model::text::Text;
use intake::model::tree_status::TreeStatus;
use intake::ports::outbox::Outbox;
use intake::ports::register::{ChainCheck, Register, RegisterFault, RegisterReader};

use super::sources::Outside;
use super::weather::Blow;

/// A whole turn of another process.
pub(super) type Rival = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

pub(super) struct Storage {
    pub(super) store: Store,
    outside: Outside,
    calls: AtomicU32,
    blow: Mutex<Option<(u32, Blow)>>,
    rival: Mutex<Option<Rival>>,
    dead: AtomicBool,
    struck: AtomicBool,
}

impl Storage {
    pub(super) fn new(store: Store, outside: Outside) -> Self {
        Self {
            store,
            outside,
            calls: AtomicU32::new(0),
            blow: Mutex::new(None),
            rival: Mutex::new(None),
            dead: AtomicBool::new(false),
            struck: AtomicBool::new(false),
        }
    }

    /// Says what happens from now on.
    pub(super) fn expect(&self, blow: Option<(u32, Blow)>, rival: Option<Rival>) {
        self.calls.store(0, Ordering::Relaxed);
        *self.blow.lock().unwrap_or_else(PoisonError::into_inner) = blow;
        *self.rival.lock().unwrap_or_else(PoisonError::into_inner) = rival;
    }

    /// Whether the process is over.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Whether something happened to a call since this was asked before.
    pub(super) fn was_struck(&self) -> bool {
        self.struck.swap(false, Ordering::Relaxed)
    }

    fn fault(what: &str) -> RegisterFault {
        let source = Box::new(std::io::Error::other("a simulated fault"));
        RegisterFault::Unavailable { what: what.to_owned(), source }
    }

    /// Calls the store, if nothing happens to this call.
    async fn call<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, RegisterFault>> + Send,
    ) -> Result<T, RegisterFault> {
        if self.is_dead() {
            return Err(Self::fault("the process is over"));
        }
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let blow = {
            let mut blow = self.blow.lock().unwrap_or_else(PoisonError::into_inner);
            blow.take_if(|(at, _)| *at == number).map(|(_, blow)| blow)
        };
        let Some(blow) = blow else { return work.await };
        self.struck.store(true, Ordering::Relaxed);
        self.outside.world().tally.count(format!("register: {name} {}", word(blow)));
        if matches!(blow, Blow::After | Blow::DiesAfter) {
            // What it did stays, whatever it says.
            let _ = work.await;
        }
        self.dead.store(matches!(blow, Blow::DiesBefore | Blow::DiesAfter), Ordering::Relaxed);
        Err(Self::fault(name))
    }
}

fn word(blow: Blow) -> &'static str {
    match blow {
        Blow::Before => "fails",
        Blow::After => "is done and says that it failed",
        Blow::DiesBefore => "is where the process ends",
        Blow::DiesAfter => "is the last that the process does",
    }
}

#[async_trait]
impl RegisterReader for Storage {
    async fn customers(&self) -> Result<Vec<Text>, RegisterFault> {
        self.call("customers", self.store.customers()).await
    }

    async fn load(&self, customer: &str) -> Result<RegisterState, RegisterFault> {
        self.call("load", self.store.load(customer)).await
    }

    async fn accounts(&self, customer: Option<&str>) -> Result<Vec<(Text, Account)>, RegisterFault> {
        self.call("accounts", self.store.accounts(customer)).await
    }

    async fn events(&self, customer: Option<&str>) -> Result<Vec<Event>, RegisterFault> {
        self.call("events", self.store.events(customer)).await
    }

    async fn event_page(&self, query: &EventQuery, after: Option<i64>) -> Result<EventPage, RegisterFault> {
        self.call("event_page", self.store.event_page(query, after)).await
    }

    async fn sequence_of(&self, customer: &str, hash: Digest) -> Result<Option<u64>, RegisterFault> {
        self.call("sequence_of", self.store.sequence_of(customer, hash)).await
    }

    async fn verify(&self, customer: &str) -> Result<ChainCheck, RegisterFault> {
        self.call("verify", self.store.verify(customer)).await
    }

    async fn removals_since(&self, since: Timestamp) -> Result<u64, RegisterFault> {
        self.call("removals_since", self.store.removals_since(since)).await
    }

    async fn statuses(&self) -> Result<Vec<CustomerStatus>, RegisterFault> {
        self.call("statuses", self.store.statuses()).await
    }

    async fn status(&self, customer: &str) -> Result<Option<CustomerStatus>, RegisterFault> {
        self.call("status", self.store.status(customer)).await
    }

    async fn tree(&self) -> Result<Option<TreeStatus>, RegisterFault> {
        self.call("tree", self.store.tree()).await
    }

    async fn readings(&self, customer: &str) -> Result<Option<PackedReadings>, RegisterFault> {
        self.call("readings", self.store.readings(customer)).await
    }

    async fn sync_state(&self, customer: &str) -> Result<Option<SyncState>, RegisterFault> {
        self.call("sync_state", self.store.sync_state(customer)).await
    }

    async fn contacts(&self, customer: Option<&str>) -> Result<Vec<(Text, ContactMatch)>, RegisterFault> {
        self.call("contacts", self.store.contacts(customer)).await
    }

    async fn documentation(&self) -> Result<Vec<DocumentationStatus>, RegisterFault> {
        self.call("documentation", self.store.documentation()).await
    }

    async fn late_deliveries(&self, prefix: &str) -> Result<Vec<LateDelivery>, RegisterFault> {
        self.call("late_deliveries", self.store.late_deliveries(prefix)).await
    }
}

#[async_trait]
impl Register for Storage {
    async fn commit(&self, commit: Commit) -> Result<Committed, RegisterFault> {
        let rival = self.rival.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(rival) = rival {
            self.outside.world().tally.count("another process writes between plan and write");
            rival().await;
        }
        self.call("commit", self.store.commit(commit)).await
    }

    async fn record_status(
        &self,
        status: &CustomerStatus,
        deliveries: &[NewDelivery],
    ) -> Result<(), RegisterFault> {
        self.call("record_status", self.store.record_status(status, deliveries)).await
    }

    async fn record_measures(
        &self,
        customer: &str,
        measures: &Measures,
        revision: u64,
    ) -> Result<(), RegisterFault> {
        self.call("record_measures", self.store.record_measures(customer, measures, revision)).await
    }

    async fn record_readings(&self, customer: &str, packed: PackedReadings) -> Result<(), RegisterFault> {
        self.call("record_readings", self.store.record_readings(customer, packed)).await
    }

    async fn record_sync_state(&self, customer: &str, state: SyncState) -> Result<(), RegisterFault> {
        self.call("record_sync_state", self.store.record_sync_state(customer, state)).await
    }

    async fn record_tree(&self, status: &TreeStatus) -> Result<(), RegisterFault> {
        self.call("record_tree", self.store.record_tree(status)).await
    }

    async fn record_tree_fault(&self, fault: &str, at: Timestamp) -> Result<(), RegisterFault> {
        self.call("record_tree_fault", self.store.record_tree_fault(fault, at)).await
    }

    async fn record_documentation(&self, statuses: &[DocumentationStatus]) -> Result<(), RegisterFault> {
        self.call("record_documentation", self.store.record_documentation(statuses)).await
    }

    async fn forget_documentation(&self, customer: &str, connection: &str) -> Result<(), RegisterFault> {
        self.call("forget_documentation", self.store.forget_documentation(customer, connection)).await
    }

    async fn forget_removed(&self, customer: &str, before: Timestamp) -> Result<u64, RegisterFault> {
        self.call("forget_removed", self.store.forget_removed(customer, before)).await
    }
}

#[async_trait]
impl Outbox for Storage {
    async fn addresses(&self) -> Result<Vec<Text>, RegisterFault> {
        self.call("addresses", self.store.addresses()).await
    }

    async fn due_at(
        &self,
        address: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Delivery>, RegisterFault> {
        self.call("due_at", self.store.due_at(address, now, limit)).await
    }

    async fn claim(
        &self,
        ids: &[i64],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<BTreeSet<i64>, RegisterFault> {
        self.call("claim", self.store.claim(ids, now, until)).await
    }

    async fn settle(&self, attempts: &[Attempted], at: Timestamp) -> Result<(), RegisterFault> {
        self.call("settle", self.store.settle(attempts, at)).await
    }
}

/// Shares a storage as the ports want it.
pub(super) fn shared(
    storage: &Arc<Storage>,
) -> (Arc<dyn Register>, Arc<dyn RegisterReader>, Arc<dyn Outbox>) {
    (storage.clone(), storage.clone(), storage.clone())
}
