//! What the store holds, counted: asked whenever somebody reads the meters, and therefore cheap.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::account::AccountType;
use crate::model::publication::PublicationStatus;
use crate::model::text::Text;
use crate::ports::register::RegisterFault;

/// Counts what the store holds, and writes nothing.
#[async_trait]
pub trait Census: Send + Sync {
    /// Counts everything, from one state of the store.
    async fn count(&self) -> Result<Counts, RegisterFault>;
}

/// What the store holds, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// How the last turn of each customer went that had one.
    pub customers: BTreeMap<Text, LastTurn>,
    /// The accounts of each customer and type.
    pub accounts: BTreeMap<(Text, AccountType), AccountCount>,
    /// The contacts of each customer's accounts, by the customer's name and the connection: of every documentation
    /// system that was ever looked into for it.
    pub contacts: BTreeMap<(Text, Text), ContactCount>,
    /// How many accounts stand how at each target that was ever published to.
    pub publications: BTreeMap<(Text, PublicationStatus), u64>,
    /// What is to be delivered.
    pub outbox: OutboxCount,
}

/// How the last turn of a customer went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastTurn {
    /// In which state it left the customer, by its word.
    pub state: Text,
    /// When a turn last left it `ready`.
    pub last_success: Option<Timestamp>,
}

/// How many accounts are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountCount {
    /// Imported.
    pub active: u64,
    /// Within their grace.
    pub pending_removal: u64,
    /// Without a policy that answers for them.
    pub orphaned: u64,
    /// Removed within the last 30 days.
    pub removed: u64,
}

/// How many imported accounts stand how in a documentation system, as the last look that read it found them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContactCount {
    /// With exactly one contact.
    pub matched: u64,
    /// Without any.
    pub unmatched: u64,
    /// With several, or one that another account claims.
    pub ambiguous: u64,
    /// With a choice that cannot be followed.
    pub failed: u64,
}

/// What is in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxCount {
    /// How many deliveries wait.
    pub waiting: u64,
    /// How many were given up.
    pub given_up: u64,
    /// Since when the oldest one waits.
    pub oldest: Option<Timestamp>,
}
