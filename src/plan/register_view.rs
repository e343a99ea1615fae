//! What the register holds, as every output for programs shows it: accounts, and events of the audit record.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::model::account::{Account, AccountState, AccountType, Verdict};
use crate::model::contact_match::{ContactMatch, MatchCandidate, MatchKey as ContactKey, MatchStatus};
use crate::model::digest::Digest;
use crate::model::event::{Event, ReadingDigests};
use crate::model::guid::Guid;
use crate::model::listing::StateName;
use crate::model::text::Text;
use crate::plan::outcome::AccountView;
use crate::policy::choice_line::{choice, name_of};

/// An account of the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedAccount {
    /// The customer's name.
    #[schemars(with = "String")]
    pub customer: Text,
    /// In which role.
    pub account_type: AccountType,
    /// Where in its life.
    pub state: StateName,
    /// The account as plans show it.
    #[serde(flatten)]
    pub account: AccountView,
    /// The policy that imported it.
    #[schemars(with = "String")]
    pub policy: Text,
    /// When it was first imported.
    pub imported_at: Timestamp,
}

/// Where an account is in its life, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Life {
    /// Since when it is in its state; null for one that is active.
    pub since: Option<Timestamp>,
    /// When its grace ends; null without one.
    pub until: Option<Timestamp>,
    /// Why it goes, or went; null for one that stays.
    pub reason: Option<Verdict>,
}

/// An event of the audit record. With the hash before it, and `details` and `readings` as they were written, it
/// holds everything that its own hash covers.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ListedEvent {
    /// The customer's name.
    #[schemars(with = "String")]
    pub customer: Text,
    /// Its number within the customer, from 1 without a gap.
    pub sequence: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    #[schemars(with = "String")]
    pub kind: Text,
    /// Whom it happened to; null if to the customer.
    pub account: Option<EventAccount>,
    /// A name for people, as it was then.
    #[schemars(with = "String")]
    pub subject: Text,
    /// The turn, or the order, that wrote it.
    #[schemars(with = "String")]
    pub run: Text,
    /// The tree's revision.
    #[schemars(with = "String")]
    pub revision: Text,
    /// The details: before, after, reason, policy.
    pub details: Value,
    /// What it was decided from; null in events of versions that did not record it.
    pub readings: Option<ReadingDigests>,
    /// The hash of the customer's event before it; null for the first.
    pub previous: Option<Digest>,
    /// Over this event and the hash before it.
    pub hash: Digest,
}

/// Whom an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventAccount {
    /// In which role.
    pub account_type: AccountType,
    /// The objectGUID, or the tenant user's id.
    pub id: Guid,
}

/// How an account stands in a documentation system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedMatch {
    /// The customer's name.
    #[schemars(with = "String")]
    pub customer: Text,
    /// In which role.
    pub account_type: AccountType,
    /// The name by which a document names the account.
    #[schemars(with = "String")]
    pub account: Text,
    /// The account's id.
    pub id: Guid,
    /// The connection of the operator's file.
    #[schemars(with = "String")]
    pub system: Text,
    /// How it stands.
    pub status: MatchStatus,
    /// The contact that it is linked to; null if it is not `matched`.
    #[schemars(with = "Option<String>")]
    pub contact: Option<Text>,
    /// By what it was found; likewise.
    pub matched_by: Option<ContactKey>,
    /// Why it is not `matched`, for people; empty if it is.
    pub cause: String,
    /// Who could be meant; of many the first hundred. Where it is `matched`, the one.
    pub candidates: Vec<ListedCandidate>,
    /// How many could be meant.
    pub candidate_count: u64,
    /// Since when it stands so.
    pub since: Timestamp,
    /// When a contact was asked for because there was none; null if none was.
    pub asked_at: Option<Timestamp>,
}

/// A contact that could stand for an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedCandidate {
    /// The contact.
    #[serde(flatten)]
    pub candidate: MatchCandidate,
    /// The line of the customer's document that chooses it, below `matches`; null for an id that no line holds.
    pub choice: Option<String>,
}

impl ListedMatch {
    /// Shows how an account stands.
    pub fn of(customer: &Text, account: &Account, found: &ContactMatch) -> Self {
        let candidates = found.candidates.iter().map(|candidate| ListedCandidate {
            candidate: candidate.clone(),
            choice: choice(account, &found.connection, candidate),
        });
        Self {
            customer: customer.clone(),
            account_type: account.key.account_type,
            account: Text::from(name_of(account)),
            id: account.key.id,
            system: found.connection.clone(),
            status: found.status,
            // One that was lost is for the next look alone.
            contact: found.contact.clone().filter(|_| found.status == MatchStatus::Matched),
            matched_by: found.matched_by,
            cause: found.cause.clone(),
            candidates: candidates.collect(),
            candidate_count: found.candidate_count,
            since: found.since,
            asked_at: found.asked_at,
        }
    }
}

impl ListedAccount {
    /// Shows an account.
    pub fn of(customer: &Text, account: &Account) -> Self {
        Self {
            customer: customer.clone(),
            account_type: account.key.account_type,
            state: StateName::of(&account.state),
            account: AccountView::of(&account.key, &account.profile),
            policy: account.provenance.policy.clone(),
            imported_at: account.imported_at,
        }
    }
}

impl Life {
    /// Shows where an account is in its life.
    pub fn of(state: &AccountState) -> Self {
        let (since, until, reason) = match state {
            AccountState::Active => (None, None, None),
            AccountState::PendingRemoval { since, until, reason } => {
                (Some(*since), Some(*until), Some(*reason))
            }
            AccountState::Orphaned { since } => (Some(*since), None, None),
            AccountState::Removed { since, reason, .. } => (Some(*since), None, Some(*reason)),
        };
        Self { since, until, reason }
    }
}

impl ListedEvent {
    /// Shows an event.
    pub fn of(event: &Event) -> Self {
        let event = event.clone();
        Self {
            customer: event.customer,
            sequence: event.sequence,
            at: event.at,
            kind: event.kind,
            account: event.account.map(|(account_type, id)| EventAccount { account_type, id }),
            subject: event.subject,
            run: event.run,
            revision: event.tree_revision,
            details: event.details,
            readings: event.readings,
            previous: event.previous,
            hash: event.hash,
        }
    }
}
