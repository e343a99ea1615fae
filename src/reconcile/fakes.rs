//! Fakes of the ports for tests of turns and of the controller: a register in memory, no sources.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::account::{Account, AccountKey, AccountState, AccountType, Profile, Provenance, Source};
use crate::model::contact_match::{ContactMatch, DocumentationStatus};
use crate::model::digest::Digest;
use crate::model::event::{ChainHead, EventPage, EventQuery, NewEvent};
use crate::model::guid::Guid;
use crate::model::observation::Observation;
use crate::model::register::{
    Commit, Committed, CustomerStatus, LateDelivery, Measures, NewDelivery, PackedReadings, RegisterState,
    SuspensionChange,
};
use crate::model::tenant::SyncState;
use crate::model::text::Text;
use crate::model::tree_status::TreeStatus;
use crate::plan::outcome::{Action, Consequences, CustomerPlan, CustomerState, Operation, Summary};
use crate::policy::fleet::{Customer, DirectorySource, TenantSource};
use crate::policy::limits::FleetLimit;
use crate::ports::clock::Clock;
use crate::ports::register::{ChainCheck, Register, RegisterFault, RegisterReader};
use crate::ports::source::{DirectoryPort, Sources, TenantPort};
use crate::reconcile::judge::{Judge, Rules};
use crate::reconcile::notice::{Notice, Subscription};
use crate::reconcile::observe::Observer;
use crate::reconcile::turn::Reconciler;

/// When every test happens.
pub const NOW: &str = "2026-11-22T12:00:00Z";

/// Reads a moment.
pub fn moment(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

/// A clock that stands still.
pub struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        moment(NOW)
    }
}

/// No sources: customers of tests have none.
pub struct NoSources;

impl Sources for NoSources {
    fn directory(&self, _customer: &Customer, _source: &DirectorySource) -> Box<dyn DirectoryPort> {
        panic!("no directories here")
    }

    fn tenant(&self, _customer: &Customer, _source: &TenantSource) -> Box<dyn TenantPort> {
        panic!("no tenants here")
    }
}

/// A register in memory.
#[derive(Default)]
pub struct FakeRegister {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    customers: BTreeMap<Text, RegisterState>,
    statuses: BTreeMap<Text, CustomerStatus>,
    readings: BTreeMap<Text, PackedReadings>,
    sync_states: BTreeMap<Text, SyncState>,
    interferences: u32,
    deliveries: Vec<NewDelivery>,
    contacts: BTreeMap<(Text, Text, AccountKey), ContactMatch>,
    documentation: BTreeMap<(Text, Text), DocumentationStatus>,
    events: Vec<NewEvent>,
}

impl FakeRegister {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets somebody else write before each of the next commits.
    pub fn interfere(&self, times: u32) {
        self.inner().interferences = times;
    }

    /// Returns what it holds of a customer.
    pub fn state(&self, customer: &str) -> RegisterState {
        let inner = self.inner();
        let state = inner.customers.get(customer).cloned().unwrap_or_default();
        let contacts = inner.contacts.iter().filter(|((name, ..), _)| name == customer);
        let unfollowed = contacts.filter_map(|(_, found)| found.unfollowed_choice()).collect();
        RegisterState { unfollowed, ..state }
    }

    /// Returns how a customer's last turn went.
    pub fn status(&self, customer: &str) -> Option<CustomerStatus> {
        self.inner().statuses.get(customer).cloned()
    }

    /// Returns the codes of all events that commits wrote.
    pub fn event_codes(&self) -> Vec<&'static str> {
        self.inner().events.iter().map(|event| event.kind.code()).collect()
    }

    /// Returns the notices that were recorded with statuses, each by its id.
    pub fn notices(&self) -> Vec<Text> {
        self.inner().deliveries.iter().map(|delivery| delivery.key.clone()).collect()
    }

    /// Puts an account there.
    pub fn put(&self, customer: &str, account: Account) {
        self.inner().customers.entry(Text::from(customer)).or_default().accounts.push(account);
    }
}

/// A source that is not among the measures keeps the one it had.
fn remember(known: &mut Measures, measures: &Measures) {
    known.directories.extend(measures.directories.clone());
    known.tenant = measures.tenant.clone().or(known.tenant.take());
    known.sightings.extend(measures.sightings.clone());
}

#[async_trait]
impl RegisterReader for FakeRegister {
    async fn customers(&self) -> Result<Vec<Text>, RegisterFault> {
        Ok(self.inner().customers.keys().cloned().collect())
    }

    async fn load(&self, customer: &str) -> Result<RegisterState, RegisterFault> {
        Ok(self.state(customer))
    }

    async fn accounts(&self, customer: Option<&str>) -> Result<Vec<(Text, Account)>, RegisterFault> {
        let inner = self.inner();
        let chosen =
            inner.customers.iter().filter(|(name, _)| customer.is_none_or(|wanted| wanted == **name));
        Ok(chosen
            .flat_map(|(name, state)| state.accounts.iter().map(|account| (name.clone(), account.clone())))
            .collect())
    }

    async fn event_page(&self, _query: &EventQuery, _after: Option<i64>) -> Result<EventPage, RegisterFault> {
        Ok(EventPage::default())
    }

    async fn verify(&self, _customer: &str) -> Result<ChainCheck, RegisterFault> {
        Ok(ChainCheck::Whole(ChainHead::default()))
    }

    async fn sequence_of(&self, _customer: &str, _hash: Digest) -> Result<Option<u64>, RegisterFault> {
        Ok(None)
    }

    async fn removals_since(&self, since: Timestamp) -> Result<u64, RegisterFault> {
        let began = |account: &&Account| match account.state {
            AccountState::PendingRemoval { since: began, .. }
            | AccountState::Removed { since: began, .. } => began > since,
            AccountState::Active | AccountState::Orphaned { .. } => false,
        };
        let inner = self.inner();
        let accounts = inner.customers.values().flat_map(|state| &state.accounts);
        Ok(accounts.filter(began).count() as u64)
    }

    async fn statuses(&self) -> Result<Vec<CustomerStatus>, RegisterFault> {
        Ok(self.inner().statuses.values().cloned().collect())
    }

    async fn status(&self, customer: &str) -> Result<Option<CustomerStatus>, RegisterFault> {
        Ok(self.inner().statuses.get(customer).cloned())
    }

    async fn tree(&self) -> Result<Option<TreeStatus>, RegisterFault> {
        Ok(None)
    }

    async fn readings(&self, customer: &str) -> Result<Option<PackedReadings>, RegisterFault> {
        Ok(self.inner().readings.get(customer).cloned())
    }

    async fn sync_state(&self, customer: &str) -> Result<Option<SyncState>, RegisterFault> {
        Ok(self.inner().sync_states.get(customer).cloned())
    }

    async fn contacts(&self, customer: Option<&str>) -> Result<Vec<(Text, ContactMatch)>, RegisterFault> {
        let inner = self.inner();
        let all =
            inner.contacts.iter().filter(|((name, _, _), _)| customer.is_none_or(|wanted| name == wanted));
        Ok(all.map(|((name, _, _), found)| (name.clone(), found.clone())).collect())
    }

    async fn documentation(&self) -> Result<Vec<DocumentationStatus>, RegisterFault> {
        Ok(self.inner().documentation.values().cloned().collect())
    }

    async fn late_deliveries(&self, _prefix: &str) -> Result<Vec<LateDelivery>, RegisterFault> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Register for FakeRegister {
    async fn commit(&self, commit: Commit) -> Result<Committed, RegisterFault> {
        let mut inner = self.inner();
        let interfered = inner.interferences > 0;
        inner.interferences = inner.interferences.saturating_sub(1);
        let state = inner.customers.entry(commit.customer.clone()).or_default();
        if interfered {
            state.revision += 1;
        }
        if state.revision != commit.expected_revision {
            return Err(RegisterFault::Stale {
                customer: commit.customer,
                expected: commit.expected_revision,
                found: state.revision,
            });
        }
        state.revision += u64::from(!commit.is_beside);
        for account in commit.accounts {
            state.accounts.retain(|known| known.key != account.key);
            state.accounts.push(account);
        }
        let customer = commit.customer.clone();
        for found in commit.contacts.written {
            inner.contacts.insert((customer.clone(), found.connection.clone(), found.account), found);
        }
        for (connection, account) in commit.contacts.forgotten {
            inner.contacts.remove(&(customer.clone(), connection, account));
        }
        inner.events.extend(commit.events);
        let state = inner.customers.entry(customer).or_default();
        state.pins = commit.pins;
        state.holds = commit.holds;
        match commit.suspension {
            SuspensionChange::None => {}
            SuspensionChange::Suspend(suspension) => state.suspension = Some(suspension),
            SuspensionChange::Lift => state.suspension = None,
        }
        commit.measures.iter().for_each(|measures| remember(&mut state.measures, measures));
        Ok(Committed { revision: state.revision, head: ChainHead::default() })
    }

    async fn record_status(
        &self,
        status: &CustomerStatus,
        deliveries: &[NewDelivery],
    ) -> Result<(), RegisterFault> {
        self.inner().deliveries.extend_from_slice(deliveries);
        self.inner().statuses.insert(status.customer.clone(), status.clone());
        Ok(())
    }

    async fn record_measures(
        &self,
        customer: &str,
        measures: &Measures,
        revision: u64,
    ) -> Result<(), RegisterFault> {
        let mut inner = self.inner();
        let state = inner.customers.entry(Text::from(customer)).or_default();
        if state.revision == revision {
            remember(&mut state.measures, measures);
        }
        Ok(())
    }

    async fn record_readings(&self, customer: &str, packed: PackedReadings) -> Result<(), RegisterFault> {
        self.inner().readings.insert(Text::from(customer), packed);
        Ok(())
    }

    async fn record_sync_state(&self, customer: &str, state: SyncState) -> Result<(), RegisterFault> {
        self.inner().sync_states.insert(Text::from(customer), state);
        Ok(())
    }

    async fn record_tree(&self, _status: &TreeStatus) -> Result<(), RegisterFault> {
        Ok(())
    }

    async fn record_tree_fault(&self, _fault: &str, _at: Timestamp) -> Result<(), RegisterFault> {
        Ok(())
    }

    async fn record_documentation(&self, statuses: &[DocumentationStatus]) -> Result<(), RegisterFault> {
        for status in statuses {
            let key = (status.customer.clone(), status.connection.clone());
            self.inner().documentation.insert(key, status.clone());
        }
        Ok(())
    }

    async fn forget_documentation(&self, customer: &str, connection: &str) -> Result<(), RegisterFault> {
        self.inner().documentation.remove(&(Text::from(customer), Text::from(connection)));
        Ok(())
    }

    async fn forget_removed(&self, customer: &str, before: Timestamp) -> Result<u64, RegisterFault> {
        if let Some(state) = self.inner().customers.get_mut(customer) {
            state.accounts.retain(
                |account| !matches!(account.state, AccountState::Removed { since, .. } if since < before),
            );
        }
        Ok(0)
    }
}

/// A customer without sources and imports.
pub fn customer(name: &str) -> Customer {
    Customer::named(Text::from(name))
}

/// Who account `number` is.
pub fn key(number: u128) -> AccountKey {
    AccountKey { account_type: AccountType::EndUser, source: Source::Directory, id: Guid::from_u128(number) }
}

/// What is known of account `number`.
pub fn profile(number: u128) -> Profile {
    Profile {
        sam_account_name: Text::from(format!("user{number}")),
        user_principal_name: Some(Text::from(format!("user{number}@contoso.test"))),
        display_name: Text::from(format!("User {number}")),
        email: Some(Text::from(format!("user{number}@contoso.test"))),
        mobile_phone: None,
        tenant_user_id: Some(Guid::from_u128(1000 + number)),
        password_sync: true,
    }
}

/// Account `number`, active, imported long ago.
pub fn account(number: u128) -> Account {
    Account {
        key: key(number),
        profile: profile(number),
        state: AccountState::Active,
        provenance: Arc::new(Provenance {
            directory: Some(Text::from("main")),
            policy: Text::from("staff"),
            tree_revision: Text::from("tree-0"),
            run: Text::from("run-0"),
        }),
        imported_at: moment("2026-01-01T00:00:00Z"),
        removal_began_at: None,
    }
}

/// Something to do to account `number`.
pub fn operation(action: Action, number: u128) -> Operation {
    Operation {
        action,
        key: key(number),
        directory: Some(Text::from("main")),
        profile: profile(number),
        policy: Text::from("staff"),
        matched_by: None,
        changes: Vec::new(),
        reason: None,
        held_by: None,
        until: None,
        approved: false,
    }
}

/// A plan of these operations.
pub fn plan(name: &str, register_revision: u64, operations: Vec<Operation>) -> CustomerPlan {
    let mut summary = Summary::default();
    operations.iter().for_each(|operation| summary.count(operation.action));
    CustomerPlan {
        name: Text::from(name),
        state: CustomerState::Ready,
        digest: Digest::of(format!("{operations:?}").as_bytes()),
        approval: None,
        register_revision,
        summary,
        operations,
        no_longer: Vec::new(),
        missing_contacts: Vec::new(),
        kept: Vec::new(),
        licensed_outside_scope: Vec::new(),
        findings: Vec::new(),
        not_imported: Vec::new(),
        consequences: Consequences::default(),
    }
}

/// A judge that plans by a function of the test; absent customers have nothing to do.
pub fn judge(register: &Arc<FakeRegister>, listed: fn(&Customer, &Observation) -> CustomerPlan) -> Judge {
    judge_of(Arc::new(NoSources), register, listed)
}

/// As [`judge`], for customers that have sources.
pub fn judge_of(
    sources: Arc<dyn Sources>,
    register: &Arc<FakeRegister>,
    listed: fn(&Customer, &Observation) -> CustomerPlan,
) -> Judge {
    let observer = Observer {
        sources,
        register: register.clone(),
        clock: Arc::new(FixedClock),
        stall: Duration::from_secs(5),
    };
    let absent = |name: &Text, register: &RegisterState, _: bool| plan(name, register.revision, Vec::new());
    Judge::with_rules(observer, Rules { listed, absent })
}

/// A destination that wants to be told of everything.
pub fn everything() -> Vec<Subscription> {
    let on = [Notice::Changed, Notice::Held, Notice::Failed, Notice::Recovered].into();
    vec![Subscription { destination: Text::from("everything"), on }]
}

/// A reconciler that plans by a function of the test.
pub async fn reconciler(
    register: &Arc<FakeRegister>,
    listed: fn(&Customer, &Observation) -> CustomerPlan,
) -> Reconciler {
    reconciler_with(register, judge(register, listed)).await
}

/// A reconciler that carries out what a judge plans.
pub async fn reconciler_with(register: &Arc<FakeRegister>, judge: Judge) -> Reconciler {
    let new_run = || Text::from("run-1");
    Reconciler::new(
        judge,
        register.clone(),
        Arc::new(FixedClock),
        everything(),
        FleetLimit::default(),
        new_run,
    )
}
