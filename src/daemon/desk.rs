//! Where others meet the controller while it runs: which tree is in force.

use std::sync::{PoisonError, RwLock};

use crate::model::text::Text;

/// Where others meet the controller while it runs.
#[derive(Debug, Default)]
pub struct Desk {
    in_force: RwLock<Option<Text>>,
}

impl Desk {
    /// Makes one at which nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the revision of the tree in force; `None` until the first one was read.
    pub fn revision(&self) -> Option<Text> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes which tree is in force.
    pub(crate) fn take_over(&self, revision: Text) {
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Some(revision);
    }
}
