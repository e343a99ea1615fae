//! Accounts at targets, the services that they are published to: what is wanted there, and what is known of each.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::account::AccountKey;
use crate::model::digest::{Digest, Digester};
use crate::model::duration::Seconds;
use crate::model::event::NewEvent;
use crate::model::register::NewDelivery;
use crate::model::text::{Text, same};

/// What the operator decided about one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetRules {
    /// By what a user that is there already, and that nobody else's id is written on, is taken over.
    pub adopt: Adopt,
    /// What becomes of the users of accounts that were removed.
    pub on_removal: OnRemoval,
    /// How many users may lose their access within a time.
    pub removal: RemovalLimit,
    /// How often the target is compared with what was published; also how long a user that was in conflict or
    /// refused is left alone.
    pub check: Seconds,
    /// Whether what others changed there is set right, once for each change.
    pub is_corrected: bool,
}

/// By what a user that is there already is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Adopt {
    /// By nothing: whoever has no id of Intake's is a stranger.
    Never,
    /// By the same userName.
    UserName,
}

/// What becomes of the users of accounts that were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnRemoval {
    /// They stay, inactive.
    Deactivate,
    /// They are deleted.
    Delete,
}

/// How many users of a target may lose their access within a time, over all customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovalLimit {
    /// The time.
    pub window: Seconds,
    /// In percent of those who are there.
    pub max_percent: u32,
    /// In number; the smaller of both wins.
    pub max_count: u64,
    /// So many may always go.
    pub min_count: u64,
}

/// How many users a target has, and how many of them lost their access lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leavers {
    /// Users that are wanted there and were confirmed, and those who left within the window.
    pub base: u64,
    /// Removals that were let through within the window, also of those who came back since.
    pub recent: u64,
}

/// An account as a target is to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedUser {
    /// Who it is, for Intake alone: the same for ever.
    pub external_id: Text,
    /// The name to sign in with.
    pub user_name: Text,
    /// The name for people.
    pub display_name: Text,
    /// The given name; empty if there is none.
    pub given_name: Text,
    /// The family name; empty if there is none.
    pub family_name: Text,
    /// Said when a user is made, and never again: people correct it in their tools.
    pub email: Option<Text>,
    /// Said when a user is made, and never again.
    pub mobile_phone: Option<Text>,
}

/// What is known of one account at one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Whose it is.
    pub account: AccountKey,
    /// The target of the operator's file.
    pub target: Text,
    /// A name for people.
    pub subject: Text,
    /// How it stands.
    pub status: PublicationStatus,
    /// Why, in words for people; empty where nothing is to be said.
    pub cause: String,
    /// Since when it stands so.
    pub since: Timestamp,
    /// What is wanted there.
    pub wanted: Presence,
    /// The name to sign in with, folded, as it is wanted there.
    pub user_name: Option<Text>,
    /// The id that the target gave it.
    pub remote_id: Option<Text>,
    /// What was last asked for.
    pub asked: Option<Digest>,
    /// When it was asked for.
    pub asked_at: Option<Timestamp>,
    /// What was last confirmed to be there.
    pub confirmed: Option<Digest>,
    /// When the target's guard last let its removal through. A return keeps it, so that people who come and go do
    /// not make room for others.
    pub removal_at: Option<Timestamp>,
    /// The difference that was last set right: it is set right once. Of whom the target has no user, because it
    /// answered with somebody else's, what tells that one: it is never touched.
    pub corrected: Option<Digest>,
}

/// What is wanted at a target of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Presence {
    /// An active user.
    Present,
    /// No active user.
    Absent,
}

/// How an account stands at a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PublicationStatus {
    /// It is asked for, and not confirmed yet.
    Waiting,
    /// As it is wanted.
    Published,
    /// The target shows it otherwise than it was told.
    Drifted,
    /// Somebody else's user is in the way: a person decides.
    Conflict,
    /// The target refuses it, or it lacks what a user is made with.
    Failed,
    /// Its removal is kept back by the target's guard.
    Held,
    /// Nobody publishes it any more, and nobody removed it: it stays as it is there.
    Orphaned,
    /// It was removed, and its user is inactive.
    Deactivated,
    /// It was removed, and so was its user.
    Deleted,
}

/// What is done to what is known of one customer's publications, in one transaction.
#[derive(Debug, Clone)]
pub struct PublicationRecord {
    /// The customer's name.
    pub customer: Text,
    /// The id of whoever writes it.
    pub run: Text,
    /// The tree's revision that it was decided by; empty for what no tree decided.
    pub tree_revision: Text,
    /// When.
    pub at: Timestamp,
    /// What was known of those that are written or forgotten when that was decided: if it is another by now, nothing is
    /// written.
    pub read: Vec<Publication>,
    /// How many removals the guard of a target counted, if any of these is a removal: if it is another number by now,
    /// nothing is written.
    pub counted: Option<CountedRemovals>,
    /// Written whole, by target and account.
    pub written: Vec<Publication>,
    /// Forgotten.
    pub forgotten: Vec<(Text, AccountKey)>,
    /// What is told of it in the audit record.
    pub events: Vec<NewEvent>,
    /// What must happen outside.
    pub deliveries: Vec<NewDelivery>,
}

/// How many removals the guard of a target counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedRemovals {
    /// The target.
    pub target: Text,
    /// Since when.
    pub since: Timestamp,
    /// How many.
    pub recent: u64,
}

/// How a target was last spoken to: bookkeeping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// The target of the operator's file.
    pub target: Text,
    /// Why it last refused or was silent, and since when; `None` once it answered.
    pub fault: Option<(String, Timestamp)>,
    /// When it was last compared with what was published, or first published to.
    pub compared_at: Option<Timestamp>,
    /// Why the last comparison concluded nothing.
    pub comparison_fault: Option<String>,
}

impl Default for TargetRules {
    fn default() -> Self {
        Self {
            adopt: Adopt::Never,
            on_removal: OnRemoval::Deactivate,
            removal: RemovalLimit::default(),
            check: Seconds(86_400),
            is_corrected: false,
        }
    }
}

impl Default for RemovalLimit {
    fn default() -> Self {
        Self { window: Seconds(86_400), max_percent: 10, max_count: 25, min_count: 2 }
    }
}

impl RemovalLimit {
    /// Whether so many removals may go as well.
    pub fn allows(&self, planned: u64, leavers: Leavers) -> bool {
        let share = leavers.base.saturating_mul(self.max_percent.into()) / 100;
        let limit = self.min_count.max(self.max_count.min(share));
        leavers.recent.saturating_add(planned) <= limit
    }
}

impl PublishedUser {
    /// Returns what tells a user that is wanted otherwise: over everything that follows the account.
    pub fn digest(&self) -> Digest {
        let mut digester = Digester::new("intake.publication.1");
        digester
            .field(&self.external_id)
            .field(&self.user_name)
            .field(&self.display_name)
            .field(&self.given_name)
            .field(&self.family_name);
        digester.finish()
    }
}

impl Publication {
    /// Whether a user of it is, or may be, at the target.
    pub fn may_be_there(&self) -> bool {
        self.remote_id.is_some() || self.asked_at.is_some()
    }
}

impl PublicationStatus {
    /// All of them, in the order of outputs.
    pub const ALL: [Self; 9] = [
        Self::Published,
        Self::Waiting,
        Self::Drifted,
        Self::Conflict,
        Self::Failed,
        Self::Held,
        Self::Orphaned,
        Self::Deactivated,
        Self::Deleted,
    ];

    /// Returns the word that commands, the record and the metrics use.
    pub fn code(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Published => "published",
            Self::Drifted => "drifted",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Orphaned => "orphaned",
            Self::Deactivated => "deactivated",
            Self::Deleted => "deleted",
        }
    }

    /// Returns the status of a word.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    /// Whether a person should know why it is so.
    pub fn concerns_somebody(self) -> bool {
        matches!(self, Self::Drifted | Self::Conflict | Self::Failed | Self::Held | Self::Orphaned)
    }
}

impl fmt::Display for PublicationStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl Presence {
    /// Returns its word in the store.
    pub fn code(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
        }
    }

    /// Returns the presence of a word.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Present, Self::Absent].into_iter().find(|presence| presence.code() == code)
    }
}

/// Returns what tells a user that is not the account's, although the target may say so.
pub fn refusal(external_id: &str, remote_id: &str) -> Digest {
    let mut digester = Digester::new("intake.refusal.1");
    digester.field(external_id).field(remote_id);
    digester.finish()
}

/// What a target shows otherwise than it is wanted, by the names of SCIM.
pub type Differences = BTreeSet<&'static str>;

/// A user as a target shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemoteUser {
    /// The id that the target gave it.
    pub id: Text,
    /// Whose it is, if anybody said so.
    pub external_id: Option<Text>,
    /// The name to sign in with.
    pub user_name: Option<Text>,
    /// The name for people.
    pub display_name: Option<Text>,
    /// The given name.
    pub given_name: Option<Text>,
    /// The family name.
    pub family_name: Option<Text>,
    /// Whether it is active, where the target tells.
    pub active: Option<bool>,
}

impl RemoteUser {
    /// Whether somebody else wrote their id on it.
    pub fn is_of_another(&self, external_id: &str) -> bool {
        self.external_id.as_deref().is_some_and(|theirs| !theirs.is_empty() && theirs != external_id)
    }

    /// Returns what is otherwise than wanted. Who is active is not told is taken for active, as the standard has it;
    /// userName has no case there (RFC 7643, 4.1.1).
    pub fn differences(&self, wanted: &PublishedUser) -> Differences {
        let text = |seen: &Option<Text>| seen.clone().unwrap_or_default();
        let mut differences = Differences::new();
        let mut expect = |name, is_same: bool| {
            if !is_same {
                differences.insert(name);
            }
        };
        expect("externalId", text(&self.external_id) == wanted.external_id);
        expect("userName", same(&text(&self.user_name), &wanted.user_name));
        expect("displayName", text(&self.display_name) == wanted.display_name);
        expect("name.givenName", text(&self.given_name) == wanted.given_name);
        expect("name.familyName", text(&self.family_name) == wanted.family_name);
        expect("active", self.active != Some(false));
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_the_one_that_serde_writes() {
        for status in PublicationStatus::ALL {
            assert_eq!(serde_json::to_value(status).expect("a word"), status.code());
            assert_eq!(PublicationStatus::from_code(status.code()), Some(status));
        }
        for presence in [Presence::Present, Presence::Absent] {
            assert_eq!(serde_json::to_value(presence).expect("a word"), presence.code());
            assert_eq!(Presence::from_code(presence.code()), Some(presence));
        }
    }

    #[test]
    fn the_smaller_of_share_and_number_limits_and_some_may_always_go() {
        let limit = RemovalLimit::default();
        let allows = |planned, base, recent| limit.allows(planned, Leavers { base, recent });
        assert!(allows(2, 3, 0) && !allows(3, 3, 0));
        assert!(allows(10, 100, 0) && !allows(11, 100, 0));
        assert!(allows(25, 10_000, 0) && !allows(26, 10_000, 0));
        assert!(allows(5, 100, 5) && !allows(6, 100, 5), "those who went count");
    }
}
