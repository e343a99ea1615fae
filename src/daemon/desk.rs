//! Where others meet the controller while it runs: which tree is in force, and whom to wake.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::stream::BoxStream;
use tokio::sync::Notify;

use crate::daemon::bulletin::Bulletin;
use crate::model::text::Text;
use crate::ports::feed::{Feed, Happening, UnderWay};
use crate::ports::in_force::{InForce, SuspendedInTree, TreeInForce};
use crate::reconcile::judge::Job;

/// Where others meet the controller while it runs.
#[derive(Debug, Default)]
pub struct Desk {
    bulletin: Arc<Bulletin>,
    in_force: RwLock<Option<Known>>,
    is_stale: AtomicBool,
    rung: Mutex<BTreeSet<Text>>,
    bell: Notify,
}

/// What the controller knows of the tree in force.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Its revision.
    pub(crate) revision: Text,
    /// Whom the controller knows, as turns are made for them.
    pub(crate) jobs: Arc<BTreeMap<Text, Job>>,
    /// Whom the controller knows, and whom their document suspends.
    pub(crate) customers: BTreeMap<Text, bool>,
    /// Whom the tree suspends: of all whom it lists or the register knows, also where turns are made for some alone.
    pub(crate) suspended: BTreeSet<Text>,
    /// Who of them has not left the tree, and how long after a turn the next one is due.
    pub(crate) listed: BTreeMap<Text, Duration>,
    /// How many problems the tree has.
    pub(crate) problems: u64,
}

impl Desk {
    /// Makes one at which nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the revision of the tree in force; `None` until the first one was read.
    pub fn revision(&self) -> Option<Text> {
        self.read(|in_force| in_force.revision.clone())
    }

    /// Returns whom the controller knows, and whom of them their document suspends; `None` until the first
    /// tree was read.
    pub fn customers(&self) -> Option<BTreeMap<Text, bool>> {
        self.read(|in_force| in_force.customers.clone())
    }

    /// Returns whom the controller knows, as turns are made for them, and by which revision; `None` until the
    /// first tree was read.
    pub(crate) fn jobs(&self) -> Option<(Arc<BTreeMap<Text, Job>>, Text)> {
        self.read(|in_force| (in_force.jobs.clone(), in_force.revision.clone()))
    }

    /// Returns what tells whoever watches.
    pub(crate) fn bulletin(&self) -> &Arc<Bulletin> {
        &self.bulletin
    }

    /// Wakes a customer: its next turn is due now.
    pub fn ring(&self, customer: Text) {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner).insert(customer);
        self.bell.notify_one();
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> Option<T> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    /// Notes which tree is in force, and who is known by it.
    pub(crate) fn take_over(&self, known: Known) {
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }

    /// Notes whether there may be a newer tree than the one in force.
    pub(crate) fn note_stale(&self, is_stale: bool) {
        self.is_stale.store(is_stale, Ordering::Relaxed);
    }

    /// Waits until somebody rang. Safe to drop while it waits.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Returns whom somebody rang for since the last time.
    pub(crate) fn take_rung(&self) -> BTreeSet<Text> {
        std::mem::take(&mut self.rung.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl InForce for Desk {
    fn in_force(&self) -> Option<TreeInForce> {
        let is_stale = self.is_stale.load(Ordering::Relaxed);
        self.read(|known| TreeInForce {
            revision: known.revision.clone(),
            is_stale,
            problems: known.problems,
            customers: known.listed.clone(),
            suspended: known.customers.iter().filter(|(_, is)| **is).map(|(name, _)| name.clone()).collect(),
        })
    }
}

impl SuspendedInTree for Desk {
    fn suspends(&self, customer: &str) -> bool {
        self.read(|known| known.suspended.contains(customer)).unwrap_or(false)
    }
}

impl Feed for Desk {
    fn watch(&self) -> BoxStream<'static, Happening> {
        self.bulletin.watch()
    }

    fn ended(&self) -> u64 {
        self.bulletin.over()
    }

    fn ended_of(&self, customer: Option<&str>) -> u64 {
        self.bulletin.over_of(customer)
    }

    fn under_way(&self) -> BTreeMap<Text, UnderWay> {
        self.bulletin.under_way()
    }
}
