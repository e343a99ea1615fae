//! Where others meet the controller while it runs: which tree is in force, and whom to wake.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError, RwLock};

use tokio::sync::Notify;

use crate::model::text::Text;

/// Where others meet the controller while it runs.
#[derive(Debug, Default)]
pub struct Desk {
    in_force: RwLock<Option<InForce>>,
    rung: Mutex<BTreeSet<Text>>,
    bell: Notify,
}

#[derive(Debug)]
struct InForce {
    revision: Text,
    /// Whom the controller knows, and whom their document suspends.
    customers: BTreeMap<Text, bool>,
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

    /// Wakes a customer: its next turn is due now.
    pub fn ring(&self, customer: Text) {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner).insert(customer);
        self.bell.notify_one();
    }

    fn read<T>(&self, look: impl FnOnce(&InForce) -> T) -> Option<T> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    /// Notes which tree is in force, and who is known by it.
    pub(crate) fn take_over(&self, revision: Text, customers: BTreeMap<Text, bool>) {
        let in_force = InForce { revision, customers };
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Some(in_force);
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
