//! What the register knows of one customer, and what a turn writes into it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::account::{Account, AccountType};
use crate::model::contact_match::{ContactChanges, UnfollowedChoice};
use crate::model::digest::Digest;
use crate::model::event::{ChainHead, NewEvent, ReadingDigests};
use crate::model::guid::Guid;
use crate::model::read_from::ReadFrom;
use crate::model::text::Text;

/// What the register holds of one customer: the planner's idea of what is.
#[derive(Debug, Clone, Default)]
pub struct RegisterState {
    /// Counts the turns that wrote something: the fence against a second writer.
    pub revision: u64,
    /// All accounts, removed ones included for 30 days.
    pub accounts: Vec<Account>,
    /// What was resolved once and is held on to.
    pub pins: Pins,
    /// The users of the last complete readings that led to no held removal.
    pub measures: Measures,
    /// Holds that were recorded.
    pub holds: Vec<Hold>,
    /// What the last complete readings held, where they were kept.
    pub readings: Option<Digest>,
    /// Who suspended the customer by command, as long as it is; what its document says is apart.
    pub suspension: Option<Suspension>,
    /// The connections in which contacts of the customer were ever looked for.
    pub documented: BTreeSet<Text>,
    /// Choices of contacts that the last look could not follow: by connection, then account. No operation is
    /// planned from them.
    pub unfollowed: Vec<UnfollowedChoice>,
}

/// A customer for which nothing is written until somebody resumes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Since when.
    pub at: Timestamp,
    /// Who said so: the name of a token.
    pub by: Text,
    /// Why, in their words.
    pub reason: String,
}

/// What a commit does to the suspension of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SuspensionChange {
    /// Nothing: what every turn does.
    #[default]
    None,
    /// Suspends it, or suspends it anew.
    Suspend(Suspension),
    /// Lifts it.
    Lift,
}

/// Complete readings of one customer, packed to be kept: what `explain --cached` is told from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedReadings {
    /// When they were made.
    pub at: Timestamp,
    /// Over what they hold.
    pub digest: Digest,
    /// What they were made of; `None` for those that a version kept which did not record it.
    pub read_from: Option<ReadFrom>,
    /// All of it, compressed; `None` where it is what was kept before.
    pub content: Option<Vec<u8>>,
}

/// What is identified by something that no rename changes, once it was resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pins {
    /// The SID of each directory's domain, by the directory's name.
    pub domains: BTreeMap<Text, Text>,
    /// The tenant's id.
    pub tenant: Option<Text>,
    /// OUs and groups of policies.
    pub scopes: BTreeMap<ScopeName, PinnedScope>,
    /// People whom entries of `protect`, `matches` and `exclude` name.
    pub accounts: BTreeMap<AccountEntry, Vec<PinnedAccount>>,
}

/// An entry that names people by a UPN or sAMAccountName.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountEntry {
    /// Where it stands.
    pub list: AccountList,
    /// The entry, folded.
    pub written: Text,
}

/// A list whose entries name people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccountList {
    /// Whom no policy removes.
    Protect,
    /// For whom a person chose among several candidates.
    Matches,
    /// Whom a policy or the customer leaves out.
    Exclude,
}

/// A person whom an entry was resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedAccount {
    /// The objectGUID, or the tenant user's id where the tenant is the only source.
    pub guid: Guid,
    /// The name when it was last seen.
    pub name: Text,
}

impl AccountList {
    /// Returns the field's name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Protect => "protect",
            Self::Matches => "matches",
            Self::Exclude => "exclude",
        }
    }
}

/// An entry of a policy as somebody wrote it, folded, in one directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScopeName {
    /// The directory's name; empty for a group of the tenant.
    pub directory: Text,
    /// What it names.
    pub kind: ScopeKind,
    /// The entry, folded.
    pub written: Text,
}

/// What an entry of a selection names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScopeKind {
    /// An organizational unit.
    OrganizationalUnit,
    /// A security group.
    SecurityGroup,
    /// A group of the tenant.
    EntraGroup,
}

/// An OU or group that an entry of a policy was resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedScope {
    /// Its objectGUID, or its id in the tenant.
    pub guid: Guid,
    /// Its name when it was last seen.
    pub dn: Text,
}

/// What is remembered of the last complete readings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Measures {
    /// The objectGUIDs of the users of the last reading that led to no held removal, sorted, by the
    /// directory's name: what `source-shrunk` measures by.
    pub directories: BTreeMap<Text, Vec<Guid>>,
    /// The ids of the tenant's users, likewise.
    pub tenant: Option<Vec<Guid>>,
    /// Where each directory was last read, by its name.
    pub sightings: BTreeMap<Text, Sighting>,
}

/// Where a directory was last read, and who was out of the desired set there.
///
/// Domain controllers are of different ages. One that is behind does not know somebody yet, or has
/// not heard that somebody moved back: whoever another one alone does not have has to be missed twice.
/// A file that cannot prove itself whole may still be being written: it has to say the same twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sighting {
    /// The server, or the file in the state in which it was read.
    pub server: Text,
    /// The accounts that the plan would remove, held ones included, sorted. None for a file.
    pub out: Vec<Guid>,
}

/// A set of removals that a guard kept back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The digest that approves it.
    pub approval: Digest,
    /// When a turn first recorded it; an approval expires 7 days later.
    pub recorded_at: Timestamp,
    /// When an approval let it go.
    pub used_at: Option<Timestamp>,
    /// How many accounts the limit was a share of, per account type. While the same removals are
    /// held, people added meanwhile do not raise it: replacing everybody by somebody else would
    /// otherwise lift the hold in the next turn.
    pub bases: BTreeMap<AccountType, u64>,
}

/// How many removals may have begun over all customers since a moment, those of the commit included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetRoom {
    /// Since when they count.
    pub since: Timestamp,
    /// How many at the most.
    pub most: u64,
}

/// What one turn writes for one customer, in one transaction or not at all.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The customer's name.
    pub customer: Text,
    /// The register's revision that the plan was computed from: another one refuses the write.
    pub expected_revision: u64,
    /// The turn's id.
    pub run: Text,
    /// The tree's revision.
    pub tree_revision: Text,
    /// When the turn wrote.
    pub at: Timestamp,
    /// Accounts to write whole, by their key.
    pub accounts: Vec<Account>,
    /// What was decided and done, for the audit record.
    pub events: Vec<NewEvent>,
    /// What it was decided from; every event carries it.
    pub readings: ReadingDigests,
    /// What must happen outside.
    pub deliveries: Vec<NewDelivery>,
    /// The pins as they are from now on.
    pub pins: Pins,
    /// The holds as they are from now on.
    pub holds: Vec<Hold>,
    /// What the readings behind it are remembered by, if it is another than before. In the same
    /// transaction: whoever is added was seen at a server, and a register that knows the one and not the
    /// other takes the next server that is behind for the truth.
    pub measures: Option<Measures>,
    /// Whether the customer is suspended from now on.
    pub suspension: SuspensionChange,
    /// What is known of contacts from now on.
    pub contacts: ContactChanges,
    /// Whether nothing is written that a plan is computed from: the revision stays, and no turn that is under
    /// way has to begin anew.
    pub is_beside: bool,
    /// The room that the fleet must have for it, where it begins removals.
    pub room: Option<FleetRoom>,
}

/// What a commit left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The register's new revision of the customer.
    pub revision: u64,
    /// Where the customer's audit record ends now.
    pub head: ChainHead,
}

/// Something that must happen outside, written with what it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Where it goes: the name of a destination of the operator's file.
    pub destination: Text,
    /// The same for every attempt, so that the other side can tell a repetition.
    pub key: Text,
    /// What is delivered.
    pub body: serde_json::Value,
}

/// A delivery of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its number in the outbox.
    pub id: i64,
    /// The customer it tells of.
    pub customer: Text,
    /// Where it goes.
    pub destination: Text,
    /// The same for every attempt.
    pub key: Text,
    /// What is delivered.
    pub body: serde_json::Value,
    /// How often it was tried.
    pub attempts: u32,
}

/// What came of one attempt at a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempted {
    /// The delivery's number in the outbox.
    pub id: i64,
    /// Whether it arrived.
    pub outcome: Outcome,
}

/// Whether a delivery arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did.
    Arrived,
    /// It did not.
    Failed {
        /// Why, for a person.
        error: String,
        /// When to try again; `None` gives it up in the open.
        again_at: Option<Timestamp>,
    },
}

/// A delivery that failed at least once, and was not made since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateDelivery {
    /// The customer it tells of.
    pub customer: Text,
    /// Where it goes.
    pub destination: Text,
    /// The same for every attempt.
    pub key: Text,
    /// How often it was tried.
    pub attempts: u32,
    /// Whether it was given up.
    pub is_given_up: bool,
    /// Why the last attempt failed.
    pub error: String,
}

/// What separates a destination of the operator's from what a delivery to it is about: deliveries about
/// different things do not wait for each other.
pub const LANE: char = '#';

/// Returns which destination of the operator's file is meant, of one with or without a lane.
pub fn address_of(destination: &str) -> &str {
    destination.split(LANE).next().unwrap_or_default()
}

impl Delivery {
    /// Whether it waits for those about the same thing alone.
    pub fn has_lane(&self) -> bool {
        self.destination.contains(LANE)
    }

    /// Returns the destination of the operator's file.
    pub fn address(&self) -> &str {
        address_of(&self.destination)
    }
}

/// How a customer's last turn went: bookkeeping, apart from the register's revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerStatus {
    /// The customer's name.
    pub customer: Text,
    /// The state of the contract: `ready`, `suspended`, `held`, `unreadable`, `invalid`, `notReady`.
    pub state: Text,
    /// When a turn was last tried.
    pub last_attempt: Timestamp,
    /// When a turn last read everything and held nothing back.
    pub last_success: Option<Timestamp>,
    /// How many turns in a row could not read the customer.
    pub failures: u32,
    /// When the controller means to come back.
    pub next_attempt: Option<Timestamp>,
    /// The tree's revision of the last turn.
    pub tree_revision: Text,
    /// Why it is not `ready`, or what of a ready one somebody should know; empty if nothing is.
    pub message: String,
    /// What a provider bills from, as of the last turn that read everything.
    pub reports: Option<Reports>,
}

/// How many people are not where a provider bills them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reports {
    /// People in a scope who hold no licence that counts.
    pub in_scope_without_license: u64,
    /// Licensed people of the tenant outside of every scope.
    pub licensed_outside_scope: u64,
}
