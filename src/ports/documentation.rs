//! Documentation systems: where a provider keeps what it knows of its customers' people.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::model::contact::{Catalogue, Contact, ContactKind, NewContact, Organization, Product, Shelf};
use crate::model::reading::{Fault, Reading};
use crate::model::text::Text;

/// One documentation system, behind one connection of the operator's file.
#[async_trait]
pub trait DocumentationPort: Send + Sync {
    /// Lists everything that the key may see, in one sweep for all customers, and keeps of it what lies on
    /// the shelves that are asked for. Never fails: what went wrong is in the reading, and a listing that
    /// does not prove itself whole is [`Reading::Incomplete`].
    async fn sweep(&self, shelves: &BTreeSet<Shelf>) -> Reading<Catalogue>;

    /// Lists every organisation that the key may see, archived ones included, in the order of their ids.
    async fn organizations(&self) -> Reading<Vec<Organization>>;

    /// Finds a contact of one shelf that has the mark or the address of a new one, or a password entry that has
    /// the mark or the username, archived ones included: what is asked before it is made, and before every
    /// repetition.
    ///
    /// # Errors
    /// If that could not be found out.
    async fn find(&self, shelf: &Shelf, contact: &NewContact) -> Result<Option<Contact>, Fault>;

    /// Makes a contact or a password entry, and returns its id. One request that makes something and no
    /// repetition: whether an attempt that failed had an effect is found out by [`find`](Self::find).
    ///
    /// # Errors
    /// If it was refused, the system has nothing of this kind, or nobody knows what became of it.
    async fn create(&self, shelf: &Shelf, contact: &NewContact) -> Result<Text, Fault>;
}

/// Opens documentation systems by the names of their connections. The one place that knows which adapter
/// speaks to which.
pub trait DocumentationSystems: Send + Sync {
    /// Returns which product a connection leads to; `None` for one that the operator's file does not have, or
    /// that leads to something else.
    fn product(&self, connection: &str) -> Option<Product>;

    /// Returns the categories of password entries that accounts are matched with by username there.
    fn categories(&self, connection: &str) -> Vec<Text>;

    /// Returns what is made there for accounts that have nobody, where missing contacts are made.
    fn missing_as(&self, connection: &str) -> ContactKind;

    /// Opens a connection, with its secrets as they are now.
    ///
    /// # Errors
    /// If there is no such connection, or its secrets cannot be read.
    fn open(&self, connection: &str) -> Result<Box<dyn DocumentationPort>, Fault>;
}
