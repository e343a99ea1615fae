//! Publishing: what is known of accounts at targets, and the targets themselves.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::account::{Account, AccountKey};
use crate::model::digest::Digest;
use crate::model::event::ChainHead;
use crate::model::publication::{
    Adopt, Differences, Leavers, Publication, PublicationRecord, PublishedUser, RemoteUser, TargetRules,
    TargetStatus,
};
use crate::model::reading::{Fault, Reading};
use crate::model::text::Text;
use crate::ports::register::RegisterFault;

/// What is known of accounts at targets, for whoever only looks.
#[async_trait]
pub trait PublicationReader: Send + Sync {
    /// Returns what is known, of one customer or of all: by customer, then target, then account.
    async fn publications(&self, customer: Option<&str>) -> Result<Vec<(Text, Publication)>, RegisterFault>;
    /// Returns how targets were last spoken to, by name.
    async fn target_statuses(&self) -> Result<Vec<TargetStatus>, RegisterFault>;
}

/// What is known of accounts at targets.
#[async_trait]
pub trait Publications: PublicationReader {
    /// Returns how some accounts of a customer stand, in the register and at a target.
    async fn standing(
        &self,
        customer: &str,
        target: &str,
        accounts: &[AccountKey],
    ) -> Result<Standing, RegisterFault>;
    /// Returns which names to sign in with are, or are to be, those of accounts of other customers at a target, each
    /// with one such customer: of these names, and of all that the customer's own accounts have there.
    async fn taken(
        &self,
        customer: &str,
        target: &str,
        names: &[Text],
    ) -> Result<BTreeMap<Text, Text>, RegisterFault>;
    /// Counts the users of a target, and how many removals its guard let through since a moment.
    async fn leavers(&self, target: &str, since: Timestamp) -> Result<Leavers, RegisterFault>;
    /// Returns the customers of whom something is known at a target.
    async fn customers_of(&self, target: &str) -> Result<Vec<Text>, RegisterFault>;
    /// Writes in one transaction what is known of one customer from now on, what the audit record tells of it, and
    /// what must happen outside. Raises no revision: no plan is computed from any of it.
    async fn record(&self, record: PublicationRecord) -> Result<ChainHead, RegisterFault>;
    /// Records why a target refused or was silent, or that it answered; and that it is published to, if it was not
    /// before. Bookkeeping.
    async fn record_answer(
        &self,
        target: &str,
        fault: Option<&str>,
        at: Timestamp,
    ) -> Result<(), RegisterFault>;
    /// Records that a target was compared, and why that concluded nothing. Bookkeeping.
    async fn record_comparison(
        &self,
        target: &str,
        fault: Option<&str>,
        at: Timestamp,
    ) -> Result<(), RegisterFault>;
}

/// How accounts of a customer stand.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Whether the customer is suspended: by command, or by its document when its last turn was made.
    pub is_suspended: bool,
    /// Those that the register has.
    pub accounts: Vec<Account>,
    /// Those of which something is known at the target.
    pub publications: Vec<Publication>,
}

/// One service that accounts are published to.
#[async_trait]
pub trait TargetPort: Send + Sync {
    /// Brings users to where they are wanted, each for itself, and says of each what came of it. Safe to repeat:
    /// whoever is as wanted is not written, and whoever may have been made is looked for before anybody is made.
    async fn bring(&self, orders: &[Order]) -> Vec<Result<Landing, Fault>>;
    /// Lists all users, by id. A listing that does not prove itself whole is [`Reading::Incomplete`].
    async fn list(&self) -> Reading<BTreeMap<Text, RemoteUser>>;
}

/// What is wanted of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Whose user it is, by the id that is written on it.
    pub external_id: Text,
    /// The id that the target gave it, where that is known.
    pub remote_id: Option<Text>,
    /// What is wanted.
    pub want: Want,
    /// By what a stranger's is taken over.
    pub adopt: Adopt,
    /// What tells the stranger that the target once answered with when it was asked to make this one, by
    /// [`refusal`](crate::model::publication::refusal).
    pub refused: Option<Digest>,
}

/// What is wanted of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// That it is there, active, and so.
    Present(PublishedUser),
    /// That it is not active, if it is there.
    Inactive,
    /// That it is not there.
    Deleted,
}

impl Want {
    /// Returns the user that is wanted, if any is.
    pub fn user(&self) -> Option<&PublishedUser> {
        match self {
            Self::Present(user) => Some(user),
            Self::Inactive | Self::Deleted => None,
        }
    }
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landing {
    /// It was made.
    Created(Seen),
    /// It was changed, in these fields.
    Updated(Seen, Differences),
    /// It was as wanted.
    Unchanged(Seen),
    /// It is inactive from now on, or was; where a deletion was wanted, the target deletes nobody.
    Inactive(Text),
    /// It is not there, because it was deleted now.
    Deleted,
    /// It was not there.
    Gone,
    /// Somebody else's user is in the way: a person decides.
    Conflict(String),
    /// So is the user of this id, although the target answered with it, or wrote on it whose it is to be, when it was
    /// asked to make one.
    Stranger(Text, String),
    /// The target refuses this very user, whenever it is asked.
    Refused(String),
}

/// A user as the target showed it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The id that the target gave it.
    pub id: Text,
    /// What it shows otherwise than it was told.
    pub differences: Differences,
}

/// Opens targets by the names of the operator's file.
pub trait Targets: Send + Sync {
    /// Returns what the operator decided about each.
    fn rules(&self) -> BTreeMap<Text, TargetRules>;
    /// Opens one, with its token as it is now.
    ///
    /// # Errors
    /// If there is no such target, or its token cannot be read.
    fn open(&self, target: &str) -> Result<Box<dyn TargetPort>, Fault>;
}
