//! Which policy tree a running controller has in force, and whom it lists.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::text::Text;
use crate::policy::fleet::Fleet;

/// Knows which tree is in force.
pub trait InForce: Send + Sync {
    /// Returns it; `None` until the first one was read.
    fn in_force(&self) -> Option<TreeInForce>;
}

/// Knows whom the tree suspends. A customer's status tells as well, and later: after its next turn, and only if that
/// could read it.
pub trait SuspendedInTree: Send + Sync {
    /// Whether the document of a customer says so, or cannot be read and may say so.
    fn suspends(&self, customer: &str) -> bool;
}

impl SuspendedInTree for Fleet {
    fn suspends(&self, customer: &str) -> bool {
        match self.customers.get(customer) {
            Some(customer) => customer.suspend || !customer.invalid.is_empty(),
            None => !self.names_are_known,
        }
    }
}

/// The tree in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeInForce {
    /// Its revision.
    pub revision: Text,
    /// Whether there may be a newer one: the last one could not be had, or may not come into force.
    pub is_stale: bool,
    /// How many problems its documents have.
    pub problems: u64,
    /// Its customers, each with how long after a turn the next one is due. Whoever may be in a document that
    /// cannot be read is among them.
    pub customers: BTreeMap<Text, Duration>,
    /// Whom of them their document suspends.
    pub suspended: BTreeSet<Text>,
}
