//! What happens in a running controller, told as it happens to whoever watches.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::BoxStream;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::text::Text;

/// Tells what happens. Nobody who watches holds up what happens: whoever is too slow misses some of it, and is
/// told so.
pub trait Feed: Send + Sync {
    /// Returns what happens from now on; ends with the program.
    fn watch(&self) -> BoxStream<'static, Happening>;
    /// Returns how many turns ended, and trees were read, so far: what was looked at before the last one is old.
    fn ended(&self) -> u64;
    /// Returns what [`Self::ended`] was when the last of it ended that concerns a customer, or everybody: what was
    /// looked at since then is as good as new.
    fn ended_of(&self, customer: Option<&str>) -> u64;
    /// Returns the turns that are under way.
    fn under_way(&self) -> BTreeMap<Text, UnderWay>;
}

/// A turn that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnderWay {
    /// How long it has lasted.
    pub lasting: Duration,
    /// How many objects were read so far.
    pub objects: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Happening {
    /// A customer's turn began.
    TurnBegan {
        /// Whose.
        #[schemars(with = "String")]
        customer: Text,
    },
    /// A turn reads; told a few times a second at the most.
    TurnReads {
        /// Whose.
        #[schemars(with = "String")]
        customer: Text,
        /// How many objects arrived so far, of all sources.
        objects: u64,
    },
    /// A turn is over.
    TurnEnded {
        /// Whose.
        #[schemars(with = "String")]
        customer: Text,
        /// The state in which it left the customer; `None` if it failed before there was one.
        state: Option<&'static str>,
        /// Whether it wrote anything.
        wrote: bool,
    },
    /// Another replica's turn of a customer is over: what the store holds of the customer may be another thing.
    CustomerChanged {
        /// Whose.
        #[schemars(with = "String")]
        customer: Text,
    },
    /// Another tree is in force, or the one in force could be read again.
    TreeRead {
        /// Its revision.
        #[schemars(with = "String")]
        revision: Text,
    },
    /// Whoever is told this missed something, and should look anew.
    Missed {
        /// How many.
        count: u64,
    },
}

impl Happening {
    /// Returns its name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TurnBegan { .. } => "turnBegan",
            Self::TurnReads { .. } => "turnReads",
            Self::TurnEnded { .. } => "turnEnded",
            Self::CustomerChanged { .. } => "customerChanged",
            Self::TreeRead { .. } => "treeRead",
            Self::Missed { .. } => "missed",
        }
    }

    /// Whether somebody wants to know who watches one customer, or all.
    pub fn concerns(&self, watched: Option<&Text>) -> bool {
        match (watched, self.customer()) {
            (Some(watched), Some(customer)) => watched == customer,
            _ => true,
        }
    }

    /// Returns whom it is about; `None` for everybody.
    pub fn customer(&self) -> Option<&Text> {
        match self {
            Self::TurnBegan { customer }
            | Self::TurnReads { customer, .. }
            | Self::TurnEnded { customer, .. }
            | Self::CustomerChanged { customer } => Some(customer),
            Self::TreeRead { .. } | Self::Missed { .. } => None,
        }
    }
}
