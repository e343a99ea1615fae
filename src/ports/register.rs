//! The register: reading and writing are two traits, so that code which plans cannot name a
//! method that writes.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::account::Account;
use crate::model::contact_match::{ContactMatch, DocumentationStatus};
use crate::model::digest::Digest;
use crate::model::event::{ChainHead, Event, EventPage, EventQuery};
use crate::model::register::{
    Commit, Committed, CustomerStatus, LateDelivery, Measures, NewDelivery, PackedReadings, RegisterState,
};
use crate::model::tenant::SyncState;
use crate::model::text::Text;
use crate::model::tree_status::TreeStatus;

/// What may be asked of the register by anybody, plans included.
#[async_trait]
pub trait RegisterReader: Send + Sync {
    /// Returns the names of all customers that the register knows, sorted.
    async fn customers(&self) -> Result<Vec<Text>, RegisterFault>;
    /// Returns everything about one customer; an unknown one has revision 0 and no accounts.
    async fn load(&self, customer: &str) -> Result<RegisterState, RegisterFault>;
    /// Returns the accounts of one customer, or of all: by customer, then name, then id.
    async fn accounts(&self, customer: Option<&str>) -> Result<Vec<(Text, Account)>, RegisterFault>;
    /// Returns a page of the audit record: of one customer in the order of its chain, of all in the
    /// order in which it was written. `after` is what the page before said; `None` for the first one.
    /// What is written meanwhile comes at the end.
    async fn event_page(&self, query: &EventQuery, after: Option<i64>) -> Result<EventPage, RegisterFault>;
    /// Returns the audit record, of one customer or of all, whole and at once: a record of many years
    /// is better asked for in pages.
    async fn events(&self, customer: Option<&str>) -> Result<Vec<Event>, RegisterFault> {
        let query = EventQuery::all(customer);
        let (mut events, mut after) = (Vec::new(), None);
        loop {
            let page = self.event_page(&query, after).await?;
            events.extend(page.events);
            after = page.next;
            if after.is_none() {
                return Ok(events);
            }
        }
    }
    /// Checks the hash chain of one customer's audit record.
    async fn verify(&self, customer: &str) -> Result<ChainCheck, RegisterFault>;
    /// Returns the number of the event of one customer that has this hash, if there is one. Says
    /// nothing about the chain before it: [`verify`](Self::verify) does.
    async fn sequence_of(&self, customer: &str, hash: Digest) -> Result<Option<u64>, RegisterFault>;
    /// Counts the removals that began after a moment, over all customers; the end of a grace began
    /// with the grace.
    async fn removals_since(&self, since: Timestamp) -> Result<u64, RegisterFault>;
    /// Returns how each customer's last turn went, sorted by name.
    async fn statuses(&self) -> Result<Vec<CustomerStatus>, RegisterFault>;
    /// Returns how one customer's last turn went, if it had one.
    async fn status(&self, customer: &str) -> Result<Option<CustomerStatus>, RegisterFault>;
    /// Returns which tree the controller has in force, if one ever said so.
    async fn tree(&self) -> Result<Option<TreeStatus>, RegisterFault>;
    /// Returns the last complete readings of one customer, if any were kept.
    async fn readings(&self, customer: &str) -> Result<Option<PackedReadings>, RegisterFault>;
    /// Returns what the next reading of one customer's tenant goes on from, with its content.
    async fn sync_state(&self, customer: &str) -> Result<Option<SyncState>, RegisterFault>;
    /// Returns how accounts stand in documentation systems, of one customer or of all: by customer, then
    /// connection, then account.
    async fn contacts(&self, customer: Option<&str>) -> Result<Vec<(Text, ContactMatch)>, RegisterFault>;
    /// Returns how looking into documentation systems last went, by customer and connection.
    async fn documentation(&self) -> Result<Vec<DocumentationStatus>, RegisterFault>;
    /// Returns deliveries that failed at least once and were not made since, whose destination begins with
    /// some text; by number.
    async fn late_deliveries(&self, prefix: &str) -> Result<Vec<LateDelivery>, RegisterFault>;
}

/// What only a turn that applies may do.
#[async_trait]
pub trait Register: RegisterReader {
    /// Writes accounts, events, deliveries, pins, holds and measures of one customer in one transaction,
    /// and raises its revision by one unless the commit leaves it; returns the revision from then on, and where the audit record ends now.
    ///
    /// # Errors
    /// [`RegisterFault::Stale`] if the register's revision is not the expected one: nothing is
    /// written, and the turn must be planned anew.
    async fn commit(&self, commit: Commit) -> Result<Committed, RegisterFault>;
    /// Records how a turn went, and with it what tells of a change for the worse or the better, in
    /// one transaction. Bookkeeping: raises no revision, writes no event.
    async fn record_status(
        &self,
        status: &CustomerStatus,
        deliveries: &[NewDelivery],
    ) -> Result<(), RegisterFault>;
    /// Records what complete readings that changed nothing are remembered by, unless the register's
    /// revision is another one than they were read for: whoever wrote meanwhile has seen more.
    /// Bookkeeping.
    async fn record_measures(
        &self,
        customer: &str,
        measures: &Measures,
        revision: u64,
    ) -> Result<(), RegisterFault>;
    /// Keeps complete readings in place of those before. Bookkeeping.
    async fn record_readings(&self, customer: &str, packed: PackedReadings) -> Result<(), RegisterFault>;
    /// Keeps what the next reading of a tenant goes on from. Where somebody else kept another one since
    /// the state's generation, that one stays. Bookkeeping.
    async fn record_sync_state(&self, customer: &str, state: SyncState) -> Result<(), RegisterFault>;
    /// Records which tree is in force. When a revision came into force, and since when there is nothing
    /// newer, is kept from before. Bookkeeping.
    async fn record_tree(&self, status: &TreeStatus) -> Result<(), RegisterFault>;
    /// Records that the tree could not be read, so that the one before stays in force. Bookkeeping.
    async fn record_tree_fault(&self, fault: &str, at: Timestamp) -> Result<(), RegisterFault>;
    /// Records how looking into documentation systems went. Bookkeeping.
    async fn record_documentation(&self, statuses: &[DocumentationStatus]) -> Result<(), RegisterFault>;
    /// Forgets how looking for a customer into a system went, which its document does not name any more.
    /// Bookkeeping.
    async fn forget_documentation(&self, customer: &str, connection: &str) -> Result<(), RegisterFault>;
    /// Forgets accounts that were removed before a moment, with their contacts; returns how many. Bookkeeping: their
    /// events stay.
    async fn forget_removed(&self, customer: &str, before: Timestamp) -> Result<u64, RegisterFault>;
}

/// What came of checking a customer's audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainCheck {
    /// Every event follows from the one before it, up to where the register says that the chain ends.
    Whole(ChainHead),
    /// The chain breaks.
    Broken {
        /// At which event's number.
        sequence: u64,
        /// What is wrong there: changed, missing or reordered.
        what: String,
    },
}

/// Why the register did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RegisterFault {
    /// Another turn wrote since the plan was computed.
    #[error("the register of `{customer}` changed meanwhile: revision {found} in place of {expected}")]
    Stale {
        /// The customer.
        customer: Text,
        /// The revision that the plan was computed from.
        expected: u64,
        /// The revision found.
        found: u64,
    },
    /// Another replica does the customer's turns meanwhile: this one writes nothing more in its own.
    #[error("another replica does the turns of `{customer}` now: nothing was written")]
    LeaseLost {
        /// The customer.
        customer: Text,
    },
    /// Somebody else used up the room that the fleet has for removals since the plan was computed.
    #[error("the fleet has no room for the removals of `{customer}` any more: nothing was written")]
    NoRoom {
        /// The customer.
        customer: Text,
    },
    /// What is known of publications is another thing than when it was decided from.
    #[error("what is published of `{customer}` changed meanwhile: nothing was written")]
    Overtaken {
        /// The customer.
        customer: Text,
    },
    /// Others ask already, as many as may at once.
    #[error("others look around already")]
    Busy,
    /// The store was written by a newer version of Intake.
    #[error("the store was written by a newer version of Intake")]
    Newer,
    /// The store holds something that Intake never writes.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// What was found where.
        what: String,
    },
    /// The store cannot be opened, read or written.
    #[error("{what}")]
    Unavailable {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
