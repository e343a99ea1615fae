//! How the fleet stands: one view for everybody who asks within a second, so that many watchers cost the store no
//! more than one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::account::AccountType;
use crate::model::register::{CustomerStatus, Suspension};
use crate::model::text::Text;
use crate::model::tree_status::TreeStatus;
use crate::ports::browse::Browse;
use crate::ports::census::{AccountCount, Census, OutboxCount};
use crate::ports::clock::Clock;
use crate::ports::feed::Feed;
use crate::ports::in_force::InForce;
use crate::ports::register::{RegisterFault, RegisterReader};
use crate::ports::shared_question::{NoAnswer, SharedQuestion};
use crate::web::answer::fault_text;

/// For how long a view is good.
const FRESH: Duration = Duration::from_secs(1);
/// For how long it is good enough while a newer one is made: nobody waits for the store once a second.
const GOOD_ENOUGH: Duration = Duration::from_secs(5);
/// How old a view becomes where nobody asks: a newer one is there before this one is not good enough any more.
const KEPT: Duration = Duration::from_secs(3);
/// How often it is looked whether there is a reason for a newer one.
const LOOK: Duration = Duration::from_millis(200);
/// For how long a failure is: whoever fails is not asked by everybody in turn.
const FAILED: Duration = Duration::from_millis(200);
/// How long whoever asks waits for the store.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of how many days it is told how many accounts there were, today included.
pub const DAYS: i64 = 30;
const SECONDS_A_DAY: i64 = 86_400;

/// What was found out, or that it was not: then the log says why.
type Found<T> = Option<Arc<T>>;

/// Makes views of the fleet. A clone shares them.
#[derive(Clone)]
pub struct FleetBoard(Arc<Board>);

struct Board {
    sources: Sources,
    /// Never twice at a time, and anew each time.
    view: SharedQuestion<Found<FleetView>>,
    /// The last view, and when it was made.
    last: Mutex<Option<(Instant, Arc<FleetView>)>>,
    past: SharedQuestion<Found<Past>>,
}

/// What a view is made from.
#[derive(Clone)]
pub struct Sources {
    /// What is known.
    pub register: Arc<dyn RegisterReader>,
    /// What is counted.
    pub census: Arc<dyn Census>,
    /// Who is suspended, and what changed.
    pub browse: Arc<dyn Browse>,
    /// Which tree is in force.
    pub in_force: Arc<dyn InForce>,
    /// What happens.
    pub feed: Arc<dyn Feed>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// How many accounts there were on days that are over.
#[derive(Debug, Default)]
pub struct Past {
    /// The day after the last of them, since 1970 (UTC).
    today: i64,
    /// How many accounts of each customer were imported at the end of each of the [`DAYS`] - 1 days before
    /// today, the oldest first.
    counts: BTreeMap<Text, Vec<u64>>,
}

/// The store did not answer. The log says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store does not answer")]
pub struct StoreAway;

/// How the fleet stands.
#[derive(Debug, Clone, Default)]
pub struct FleetView {
    /// When it was looked at.
    pub at: Timestamp,
    /// How much had happened before.
    pub seen: u64,
    /// Which tree is in force.
    pub tree: Option<TreeStatus>,
    /// Every customer of the tree in force or of the register, by name.
    pub customers: BTreeMap<Text, CustomerView>,
    /// What is to be delivered.
    pub outbox: OutboxCount,
}

/// How a customer stands.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerView {
    /// The customer's name.
    #[schemars(with = "String")]
    pub name: Text,
    /// In which state its last turn left it; null before the first one.
    #[schemars(with = "Option<String>")]
    pub state: Option<Text>,
    /// Why it is not `ready`, or what somebody should know although it is; empty if nothing is.
    pub message: String,
    /// When a turn was last tried.
    pub last_attempt: Option<Timestamp>,
    /// When a turn last read everything and held nothing back.
    pub last_success: Option<Timestamp>,
    /// When the controller means to come back.
    pub next_attempt: Option<Timestamp>,
    /// How many turns in a row could not read it.
    pub failures: u32,
    /// The tree's revision of the last turn.
    #[schemars(with = "Option<String>")]
    pub revision: Option<Text>,
    /// How many seconds after a turn the next one is due; null for a customer that left the tree.
    pub interval_seconds: Option<u64>,
    /// Whether its document suspends it.
    pub suspended_in_tree: bool,
    /// Who suspended it by command, if anybody did.
    pub suspension: Option<SuspensionView>,
    /// Its accounts by type and state.
    pub accounts: AccountCounts,
    /// How many people are in a scope without a licence that counts; null where not everything was read yet.
    pub in_scope_without_license: Option<u64>,
    /// How many licensed people are outside of every scope; likewise.
    pub licensed_outside_scope: Option<u64>,
}

/// Who suspended a customer by command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SuspensionView {
    /// Since when.
    pub at: Timestamp,
    /// Who said so: the name of a token or of a person.
    #[schemars(with = "String")]
    pub by: Text,
    /// Why, in their words.
    pub reason: String,
}

/// Accounts by type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct AccountCounts {
    /// Everyday accounts.
    #[serde(rename = "EndUser")]
    pub end_users: StateCounts,
    /// Accounts with rights over systems.
    #[serde(rename = "Administrator")]
    pub administrators: StateCounts,
}

/// Accounts by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateCounts {
    /// Imported.
    pub active: u64,
    /// Within their grace.
    pub pending_removal: u64,
    /// Without a policy that answers for them.
    pub orphaned: u64,
    /// Removed within the last 30 days.
    pub removed: u64,
}

impl StateCounts {
    /// How many are imported: all but those that were removed.
    pub fn imported(self) -> u64 {
        self.active + self.pending_removal + self.orphaned
    }
}

impl AccountCounts {
    /// Returns those of one type.
    pub fn of(self, account_type: AccountType) -> StateCounts {
        match account_type {
            AccountType::EndUser => self.end_users,
            AccountType::Administrator => self.administrators,
        }
    }

    /// How many are imported, of both types.
    pub fn imported(self) -> u64 {
        self.end_users.imported() + self.administrators.imported()
    }
}

impl FleetBoard {
    /// Makes a board that has shown nothing yet.
    pub fn new(sources: Sources) -> Self {
        let view = SharedQuestion::new(
            |found: &Found<_>| found.as_ref().map_or(FAILED, |_| Duration::ZERO),
            PATIENCE,
        );
        // What is over does not change; that the day is another one is looked at apart.
        let past = SharedQuestion::new(
            |found: &Found<_>| found.as_ref().map_or(FAILED, |_| Duration::from_secs(86_400)),
            PATIENCE,
        );
        Self(Arc::new(Board { sources, view, last: Mutex::default(), past }))
    }

    /// Returns how the fleet stood a second ago, or some seconds ago where the store is slow; and never before the
    /// tree came into force that is.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn view(&self) -> Result<Arc<FleetView>, StoreAway> {
        self.view_since(self.0.sources.feed.ended_of(None)).await
    }

    /// Returns the same, after everything that has happened to one customer until now: whatever happens to others,
    /// nobody who asks about this one waits for the store.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn view_of(&self, customer: &str) -> Result<Arc<FleetView>, StoreAway> {
        self.view_since(self.0.sources.feed.ended_of(Some(customer))).await
    }

    async fn view_since(&self, happened: u64) -> Result<Arc<FleetView>, StoreAway> {
        let is_good =
            |(at, view): &(Instant, Arc<FleetView>)| at.elapsed() < GOOD_ENOUGH && view.seen >= happened;
        let Some((at, view)) = self.last().filter(is_good) else { return self.ask_since(happened).await };
        if at.elapsed() >= FRESH {
            let board = self.clone();
            tokio::spawn(async move { board.ask().await });
        }
        Ok(view)
    }

    /// Keeps the view and the past at hand until `stop` is cancelled: nobody who asks waits for the first one, nor
    /// for one after a time in which nobody asked, and what they see is as new as if somebody asked all the time.
    pub async fn keep(self, stop: CancellationToken) {
        loop {
            let ended = self.0.sources.feed.ended();
            let is_old = |at: Instant, view: &FleetView| {
                let age = at.elapsed();
                age >= KEPT || (age >= FRESH && view.seen < ended)
            };
            let is_old = self.last().is_none_or(|(at, view)| is_old(at, &view));
            let is_there = (!is_old || self.ask().await.is_ok()) && self.past().await.is_ok();
            // Why it is not is in the log, and need not be there several times a second.
            let pause = if is_there { LOOK } else { PATIENCE };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Returns how the fleet stands after everything that has happened until now.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn view_now(&self) -> Result<Arc<FleetView>, StoreAway> {
        let happened = self.0.sources.feed.ended();
        let is_new = |view: &FleetView| view.seen >= happened;
        if let Some((at, view)) = self.last()
            && at.elapsed() < FRESH
            && is_new(&view)
        {
            return Ok(view);
        }
        self.ask_since(happened).await
    }

    async fn ask_since(&self, happened: u64) -> Result<Arc<FleetView>, StoreAway> {
        // What is under way may have begun too early.
        let view = self.ask().await?;
        if view.seen >= happened { Ok(view) } else { self.ask().await }
    }

    fn last(&self) -> Option<(Instant, Arc<FleetView>)> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn ask(&self) -> Result<Arc<FleetView>, StoreAway> {
        let board = self.clone();
        let ask = || async move {
            let view = told(board.0.sources.clone().look().await.map(Arc::new))?;
            *board.0.last.lock().unwrap_or_else(PoisonError::into_inner) =
                Some((Instant::now(), view.clone()));
            Some(view)
        };
        self.0.view.ask(ask).await.unwrap_or_else(not_told).ok_or(StoreAway)
    }

    /// Returns how many accounts there were on days that are over: told backwards from what there is, by what the
    /// audit record says was added and removed.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn past(&self) -> Result<Arc<Past>, StoreAway> {
        let today = day_of(self.0.sources.clock.now());
        for _ in 0..2 {
            let browse = self.0.sources.browse.clone();
            let ask = || async move {
                let counts = browse.past_days(today, DAYS - 1).await;
                told(counts.map(|counts| Arc::new(Past { today, counts })))
            };
            let past = self.0.past.ask(ask).await.unwrap_or_else(not_told).ok_or(StoreAway)?;
            if past.today == today {
                return Ok(past);
            }
            self.0.past.forget();
        }
        Err(StoreAway)
    }
}

impl Past {
    /// Returns how many accounts of a customer were imported at the end of each of the last [`DAYS`] days, the
    /// oldest first; the last one is as of now.
    pub fn series(&self, customer: &str, imported: u64) -> Vec<u64> {
        let mut series = match self.counts.get(customer) {
            Some(counts) => counts.clone(),
            None => vec![0; usize::try_from(DAYS - 1).unwrap_or_default()],
        };
        series.push(imported);
        series
    }
}

fn told<T>(found: Result<T, RegisterFault>) -> Option<T> {
    found.map_err(|fault| tracing::error!("how the fleet stands is not known: {}", fault_text(&fault))).ok()
}

fn not_told<T>(none: NoAnswer) -> Option<T> {
    tracing::error!("how the fleet stands is not known: {none}");
    None
}

impl Sources {
    async fn look(self) -> Result<FleetView, RegisterFault> {
        let (at, seen) = (self.clock.now(), self.feed.ended());
        let statuses = self.register.statuses().await?;
        let tree = self.register.tree().await?;
        let suspensions = self.browse.suspensions().await?;
        let counts = self.census.count().await?;
        let in_force = self.in_force.in_force();
        let listed = in_force.as_ref().map(|tree| &tree.customers);
        let known = self.register.customers().await?;
        let mut names: BTreeSet<&Text> = known.iter().collect();
        names.extend(listed.into_iter().flat_map(BTreeMap::keys));
        // A customer that left the tree before anything was written of it is nobody's any more.
        if in_force.is_none() {
            names.extend(statuses.iter().map(|status| &status.customer));
        }
        let statuses: BTreeMap<&Text, &CustomerStatus> =
            statuses.iter().map(|status| (&status.customer, status)).collect();
        let customer = |name: &Text| {
            let status = statuses.get(name);
            let count = |account_type| {
                StateCounts::from(
                    counts.accounts.get(&(name.clone(), account_type)).copied().unwrap_or_default(),
                )
            };
            CustomerView {
                name: name.clone(),
                state: status.map(|status| status.state.clone()),
                message: status.map(|status| status.message.clone()).unwrap_or_default(),
                last_attempt: status.map(|status| status.last_attempt),
                last_success: status.and_then(|status| status.last_success),
                next_attempt: status.and_then(|status| status.next_attempt),
                failures: status.map_or(0, |status| status.failures),
                revision: status.map(|status| status.tree_revision.clone()),
                interval_seconds: listed.and_then(|listed| listed.get(name)).map(Duration::as_secs),
                suspended_in_tree: in_force.as_ref().is_some_and(|tree| tree.suspended.contains(name)),
                suspension: suspensions.get(name).map(SuspensionView::of),
                accounts: AccountCounts {
                    end_users: count(AccountType::EndUser),
                    administrators: count(AccountType::Administrator),
                },
                in_scope_without_license: status
                    .and_then(|status| status.reports)
                    .map(|reports| reports.in_scope_without_license),
                licensed_outside_scope: status
                    .and_then(|status| status.reports)
                    .map(|reports| reports.licensed_outside_scope),
            }
        };
        let customers = names.iter().map(|name| ((*name).clone(), customer(name))).collect();
        Ok(FleetView { at, seen, tree, customers, outbox: counts.outbox })
    }
}

/// Returns the number of a day since 1970, in UTC.
pub fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(SECONDS_A_DAY)
}

impl SuspensionView {
    /// Shows a suspension.
    pub fn of(suspension: &Suspension) -> Self {
        let Suspension { at, by, reason } = suspension;
        Self { at: *at, by: by.clone(), reason: reason.clone() }
    }
}

impl From<AccountCount> for StateCounts {
    fn from(count: AccountCount) -> Self {
        let AccountCount { active, pending_removal, orphaned, removed } = count;
        Self { active, pending_removal, orphaned, removed }
    }
}
