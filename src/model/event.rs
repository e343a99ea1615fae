//! Events of the audit record: what was decided, from what, and what it wrote.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::account::AccountType;
use crate::model::digest::Digest;
use crate::model::guid::Guid;
use crate::model::text::Text;

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// An account was imported.
    AccountAdded,
    /// The same account came back from pending or removed.
    AccountReturned,
    /// Fields of an account changed, or a policy took an orphaned one back.
    AccountUpdated,
    /// The grace of an account began.
    AccountPended,
    /// No policy answers for an account any more.
    AccountOrphaned,
    /// An account was removed.
    AccountRemoved,
    /// A guard kept removals back.
    HoldRecorded,
    /// A person let held removals go.
    HoldApproved,
    /// A source, an OU, a group or a person was pinned.
    SourcePinned,
    /// Somebody had the customer's next turn begin at once.
    SyncRequested,
    /// Somebody had nothing more written for the customer.
    CustomerSuspended,
    /// Somebody lifted that.
    CustomerResumed,
    /// A contact of a documentation system stands for an account from now on.
    ContactMatched,
    /// None does.
    ContactUnmatched,
    /// Several could: a person decides.
    ContactAmbiguous,
    /// It could not be found out, or a person's choice cannot be followed.
    ContactFailed,
    /// What was known of an account in a documentation system is forgotten.
    ContactForgotten,
    /// A target has a user for an account from now on.
    PublicationCreated,
    /// A target's user was changed, or is active again.
    PublicationUpdated,
    /// A target's user was deactivated.
    PublicationDeactivated,
    /// A target's user was deleted.
    PublicationDeleted,
    /// A target's guard keeps a removal back.
    PublicationHeld,
    /// Somebody else's user is in the way: a person decides.
    PublicationConflict,
    /// A target refuses an account, or it lacks what a user is made with.
    PublicationFailed,
    /// A target shows an account otherwise than it was told.
    PublicationDrifted,
    /// Nobody publishes an account to a target any more.
    PublicationOrphaned,
}

/// An entry of the audit record, before it is chained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// Whom it happened to: account type and id.
    pub account: Option<(AccountType, Guid)>,
    /// A name for people, as it was then.
    pub subject: Text,
    /// The details, as a JSON object: before, after, reason, policy.
    pub details: serde_json::Value,
}

/// An entry of the audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The customer's name.
    pub customer: Text,
    /// Its number within the customer, from 1 without a gap.
    pub sequence: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The turn that wrote it.
    pub run: Text,
    /// The tree's revision.
    pub tree_revision: Text,
    /// What happened, by the code of an [`EventKind`].
    pub kind: Text,
    /// Whom it happened to.
    pub account: Option<(AccountType, Guid)>,
    /// A name for people, as it was then.
    pub subject: Text,
    /// The details, as a JSON object.
    pub details: serde_json::Value,
    /// What the decision was computed from; `None` for an event of a version that did not record it.
    pub readings: Option<ReadingDigests>,
    /// The hash of the customer's event before this one, as the record has it; `None` for the first.
    pub previous: Option<Digest>,
    /// Over this event and the hash before it: a changed or missing event breaks the chain.
    pub hash: Digest,
}

/// Digests of the complete readings that a turn's decisions were computed from. A source that is not
/// among them was not read, or not whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadingDigests {
    /// Those of the directories, by their names.
    #[schemars(with = "BTreeMap<String, Digest>")]
    pub directories: BTreeMap<Text, Digest>,
    /// That of the tenant.
    pub tenant: Option<Digest>,
}

/// Where a customer's record ends. Kept elsewhere, it proves later that nothing was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChainHead {
    /// How many events there are.
    pub events: u64,
    /// The hash of the last one; `None` before the first.
    pub hash: Option<Digest>,
}

/// Which part of the audit record is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Of which customer; `None` for all.
    pub customer: Option<Text>,
    /// Written at this moment or later.
    pub since: Timestamp,
    /// Written at this moment or earlier.
    pub until: Timestamp,
}

/// Some events, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// What the next page is asked for with; `None` if this is the last one.
    pub next: Option<i64>,
}

impl EventKind {
    /// All kinds, in the order in which an account lives through them.
    pub const ALL: [Self; 26] = [
        Self::AccountAdded,
        Self::AccountUpdated,
        Self::AccountPended,
        Self::AccountReturned,
        Self::AccountOrphaned,
        Self::AccountRemoved,
        Self::HoldRecorded,
        Self::HoldApproved,
        Self::SourcePinned,
        Self::SyncRequested,
        Self::CustomerSuspended,
        Self::CustomerResumed,
        Self::ContactMatched,
        Self::ContactUnmatched,
        Self::ContactAmbiguous,
        Self::ContactFailed,
        Self::ContactForgotten,
        Self::PublicationCreated,
        Self::PublicationUpdated,
        Self::PublicationDeactivated,
        Self::PublicationDeleted,
        Self::PublicationHeld,
        Self::PublicationConflict,
        Self::PublicationFailed,
        Self::PublicationDrifted,
        Self::PublicationOrphaned,
    ];

    /// Returns the code that the record and every output use.
    pub fn code(self) -> &'static str {
        match self {
            Self::AccountAdded => "account.added",
            Self::AccountReturned => "account.returned",
            Self::AccountUpdated => "account.updated",
            Self::AccountPended => "account.pended",
            Self::AccountOrphaned => "account.orphaned",
            Self::AccountRemoved => "account.removed",
            Self::HoldRecorded => "hold.recorded",
            Self::HoldApproved => "hold.approved",
            Self::SourcePinned => "source.pinned",
            Self::SyncRequested => "customer.syncRequested",
            Self::CustomerSuspended => "customer.suspended",
            Self::CustomerResumed => "customer.resumed",
            Self::ContactMatched => "contact.matched",
            Self::ContactUnmatched => "contact.unmatched",
            Self::ContactAmbiguous => "contact.ambiguous",
            Self::ContactFailed => "contact.failed",
            Self::ContactForgotten => "contact.forgotten",
            Self::PublicationCreated => "publication.created",
            Self::PublicationUpdated => "publication.updated",
            Self::PublicationDeactivated => "publication.deactivated",
            Self::PublicationDeleted => "publication.deleted",
            Self::PublicationHeld => "publication.held",
            Self::PublicationConflict => "publication.conflict",
            Self::PublicationFailed => "publication.failed",
            Self::PublicationDrifted => "publication.drifted",
            Self::PublicationOrphaned => "publication.orphaned",
        }
    }

    /// Whether it tells of an account itself, where it is about one, and not of its contact or its user elsewhere.
    pub fn is_about_account(self) -> bool {
        !(self.code().starts_with("contact.") || self.code().starts_with("publication."))
    }

    /// Returns the kind of a code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl EventQuery {
    /// Asks for everything of one customer, or of all.
    pub fn all(customer: Option<&str>) -> Self {
        Self { customer: customer.map(Text::from), since: Timestamp::MIN, until: Timestamp::MAX }
    }
}
