//! Which contact of a documentation system stands for an account, or why none does.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::account::AccountKey;
use crate::model::contact::ContactKind;
use crate::model::text::Text;

/// What is known of one account in one documentation system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactMatch {
    /// Whose it is.
    pub account: AccountKey,
    /// The connection of the operator's file.
    pub connection: Text,
    /// The customer's organisation there, of which all this is.
    pub organization: Text,
    /// How it stands.
    pub status: MatchStatus,
    /// The contact that it is linked to; of one that is no longer `matched` the last one: an id holds where an
    /// address changes, and nobody's contact is made anew who had one.
    pub contact: Option<Text>,
    /// By what it was found; only where it is `matched`.
    pub matched_by: Option<MatchKey>,
    /// Why it is not `matched`, in words for people; empty where it is.
    pub cause: String,
    /// Who could be meant, by id: of many the first [`CANDIDATES_KEPT`]. Where it is `matched`, the one.
    pub candidates: Vec<MatchCandidate>,
    /// How many could be meant.
    pub candidate_count: u64,
    /// Since when it stands so.
    pub since: Timestamp,
    /// When a contact was asked for because there was none. Once is all.
    pub asked_at: Option<Timestamp>,
    /// Which contacts the customer's document chose, where that could not be followed; empty where it could, and
    /// where it chose nobody.
    pub unfollowed: BTreeSet<Text>,
}

/// What a customer's document chose for an account, and the last look into a documentation system could not follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfollowedChoice {
    /// For whom.
    pub account: AccountKey,
    /// The connection of the operator's file.
    pub connection: Text,
    /// The customer's organisation there.
    pub organization: Text,
    /// The contacts that were chosen, by id; one, unless that is what was wrong.
    pub contacts: BTreeSet<Text>,
    /// Why it could not be followed, in words for people.
    pub cause: String,
}

impl ContactMatch {
    /// Returns the choice that could not be followed, if that is how the account stands.
    pub fn unfollowed_choice(&self) -> Option<UnfollowedChoice> {
        (!self.unfollowed.is_empty()).then(|| UnfollowedChoice {
            account: self.account,
            connection: self.connection.clone(),
            organization: self.organization.clone(),
            contacts: self.unfollowed.clone(),
            cause: self.cause.clone(),
        })
    }
}

/// What a commit does to what is known of contacts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContactChanges {
    /// Written whole, by account and connection.
    pub written: Vec<ContactMatch>,
    /// Forgotten: the customer is not documented there any more, or accounts of this type are not matched.
    pub forgotten: Vec<(Text, AccountKey)>,
}

/// How looking into a documentation system last went for a customer: bookkeeping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentationStatus {
    /// The customer's name.
    pub customer: Text,
    /// The connection of the operator's file.
    pub connection: Text,
    /// The customer's organisation there.
    pub organization: Text,
    /// When it was last tried.
    pub last_attempt: Timestamp,
    /// When everything there was last read.
    pub last_success: Option<Timestamp>,
    /// Why the last attempt led to nothing, in words for people.
    pub fault: Option<String>,
    /// Whether the key ever saw the customer's organisation: one that it does not see any more is hidden, and
    /// one that it never saw is mistyped.
    pub saw_organization: bool,
}

/// How many candidates of one account are kept. A system in which everybody has the same address must not
/// fill the store.
pub const CANDIDATES_KEPT: usize = 100;

/// How an account stands in a documentation system.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum MatchStatus {
    /// Exactly one contact stands for it.
    Matched,
    /// None does.
    Unmatched,
    /// Several could, or one could stand for several accounts: a person decides.
    Ambiguous,
    /// It could not be found out, or a person's choice cannot be followed.
    Failed,
}

/// By what a contact was found, strongest first: the first that finds any decides.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ContactKey")]
pub enum MatchKey {
    /// `matches` of the customer's document.
    Choice,
    /// The contact that it was linked to before.
    StoredId,
    /// Another system's contact, which this one is synchronised with.
    CrossLink,
    /// An e-mail address.
    Address,
    /// The username of a password entry.
    Username,
    /// First and last name: a suggestion for people, and never a link.
    Name,
}

/// A contact that could stand for an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchCandidate {
    /// Its id.
    #[schemars(with = "String")]
    pub id: Text,
    /// What it is.
    pub kind: ContactKind,
    /// The name under which it is shown there.
    #[schemars(with = "String")]
    pub name: Text,
    /// By what it was found.
    pub matched_by: MatchKey,
    /// The very address or username, where one matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub value: Option<Text>,
    /// Where it can be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub url: Option<Text>,
    /// What else a person should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub remark: Option<Text>,
    /// Whether it was put away there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_archived: bool,
}

impl MatchStatus {
    /// All of them, in the order of outputs.
    pub const ALL: [Self; 4] = [Self::Matched, Self::Unmatched, Self::Ambiguous, Self::Failed];

    /// Returns the word that commands, the record and the API use.
    pub fn code(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Unmatched => "unmatched",
            Self::Ambiguous => "ambiguous",
            Self::Failed => "failed",
        }
    }

    /// Returns the status of a word.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

impl fmt::Display for MatchStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl MatchKey {
    /// All of them, strongest first.
    pub const ALL: [Self; 6] =
        [Self::Choice, Self::StoredId, Self::CrossLink, Self::Address, Self::Username, Self::Name];

    /// Returns the word that commands, the record and the API use.
    pub fn code(self) -> &'static str {
        match self {
            Self::Choice => "choice",
            Self::StoredId => "storedId",
            Self::CrossLink => "crossLink",
            Self::Address => "address",
            Self::Username => "username",
            Self::Name => "name",
        }
    }

    /// Returns the key of a word.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_the_one_that_serde_writes() {
        for status in MatchStatus::ALL {
            assert_eq!(serde_json::to_value(status).expect("a word"), status.code());
            assert_eq!(MatchStatus::from_code(status.code()), Some(status));
        }
        for key in MatchKey::ALL {
            assert_eq!(serde_json::to_value(key).expect("a word"), key.code());
            assert_eq!(MatchKey::from_code(key.code()), Some(key));
        }
    }
}
