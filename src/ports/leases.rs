//! How replicas share the work: who holds a lease is the only one who does what it names, and writes nothing more once
//! somebody else has it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::model::digest::Digest;
use crate::model::text::Text;
use crate::ports::register::RegisterFault;

/// How the names of leases on customers' turns begin; the customer's name follows.
pub const OF_CUSTOMERS: &str = "customer/";

/// Returns the name of the lease on a customer's turns.
pub fn of_customer(customer: &str) -> Text {
    Text::from(format!("{OF_CUSTOMERS}{customer}"))
}

/// Returns the name of the lease on looks into a documentation system, by its connection.
pub fn of_documentation(connection: &str) -> Text {
    Text::from(format!("documentation/{connection}"))
}

/// Returns the name of the lease on comparing a target with what was published to it.
pub fn of_target(target: &str) -> Text {
    Text::from(format!("target/{target}"))
}

/// What somebody wants to do alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What it is called, the same in every replica.
    pub name: Text,
    /// By what it would be done: if it was last done by another one, it is due whatever the time. `None` for what is
    /// only ever due by time.
    pub fingerprint: Option<Digest>,
    /// Whether somebody asked for it: then it is due now.
    pub is_asked: bool,
    /// The tree by which it would be done: it must be the one in force. `None` for what no tree decides.
    pub tree_revision: Option<Text>,
}

/// What came of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is this replica's until it is released or lost.
    Held,
    /// Somebody else has it; it may be free after this long at the latest.
    Elsewhere(Duration),
    /// It is not due for this long.
    NotDue(Duration),
    /// Another tree is in force than the one that was wished by.
    OtherTree,
}

/// What other replicas tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A lease was given back.
    Released(Text),
    /// Another tree came into force.
    Tree,
    /// The line to the others was broken: something may have been missed.
    Missed,
}

/// When something is next due, whoever does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// For how long it is not; zero if it is.
    pub wait: Duration,
    /// By what it was last done: by another one it is due now.
    pub fingerprint: Option<Digest>,
}

/// Leases that replicas share.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes a lease if it is free and due.
    ///
    /// # Errors
    /// The store's: then it is not held.
    async fn claim(&self, wish: &Wish) -> Result<Claim, RegisterFault>;
    /// Returns when customers' turns are next due that were made before, by customer.
    ///
    /// # Errors
    /// The store's.
    async fn due_turns(&self) -> Result<BTreeMap<Text, Due>, RegisterFault>;
    /// Gives a lease back; what it names is due again after a while, or, with `None`, as it was before.
    ///
    /// # Errors
    /// The store's: then it ends by itself.
    async fn release(&self, name: &str, done: Option<Done>) -> Result<(), RegisterFault>;
    /// Prolongs all leases that this replica holds. Returns those that somebody else has taken.
    ///
    /// # Errors
    /// The store's: then they end by themselves.
    async fn renew(&self) -> Result<Vec<Text>, RegisterFault>;
    /// Renews a lease no more: it ends by itself. For what failed inside, and cannot give it back.
    fn abandon(&self, name: &str);
    /// Tells the others that another tree came into force.
    ///
    /// # Errors
    /// The store's.
    async fn tell_of_tree(&self) -> Result<(), RegisterFault>;
    /// Returns what others tell from now on.
    fn notices(&self) -> BoxStream<'static, Notice>;
    /// Returns how long a lease lasts that is not renewed.
    fn length(&self) -> Duration;
}

/// How what a lease names was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// After how long it is due again.
    pub due_after: Duration,
    /// By what it was done.
    pub fingerprint: Option<Digest>,
}
