//! Which policy tree a running controller has in force, and whom it lists.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::text::Text;

/// Knows which tree is in force.
pub trait InForce: Send + Sync {
    /// Returns it; `None` until the first one was read.
    fn in_force(&self) -> Option<TreeInForce>;
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
