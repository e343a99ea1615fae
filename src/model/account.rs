//! An imported account, as the register holds it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::guid::Guid;
use crate::model::text::{Text, fold};

/// In which role an account is managed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum AccountType {
    /// Somebody's everyday account.
    EndUser,
    /// An account with rights over systems.
    Administrator,
}

/// Where an account's identity comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The customer's directory; the id is an objectGUID.
    Directory,
    /// The customer's tenant alone; the id is the tenant user's.
    Tenant,
}

/// Who an account is, within its customer. No rename, marriage or move changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey {
    /// In which role.
    pub account_type: AccountType,
    /// Where `id` comes from.
    pub source: Source,
    /// The objectGUID, or the tenant user's id.
    pub id: Guid,
}

/// What is known of an account besides who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// sAMAccountName; empty for an account of a tenant alone.
    pub sam_account_name: Text,
    /// userPrincipalName.
    pub user_principal_name: Option<Text>,
    /// displayName.
    pub display_name: Text,
    /// Written on creation only; people correct it in their tools.
    pub email: Option<Text>,
    /// Written on creation only; people correct it in their tools.
    pub mobile_phone: Option<Text>,
    /// The tenant user that the account is linked to.
    pub tenant_user_id: Option<Guid>,
    /// Whether directory and tenant share a password: the account counts in both.
    pub password_sync: bool,
}

/// An account of the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Who it is.
    pub key: AccountKey,
    /// What is known of it.
    pub profile: Profile,
    /// Where it is in its life.
    pub state: AccountState,
    /// Where it comes from; shared, as one turn writes thousands with the same.
    pub provenance: Arc<Provenance>,
    /// When it was first imported; a return keeps it.
    pub imported_at: Timestamp,
    /// When a removal of it last began that nobody had approved: what the removal limit counts. A
    /// return keeps it, so that people who come and go do not make room for others.
    pub removal_began_at: Option<Timestamp>,
}

/// Where an account comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Provenance {
    /// Which of the customer's directories; none for an account of a tenant alone.
    pub directory: Option<Text>,
    /// The policy, or customer block, that imported it. It must still apply for a removal.
    pub policy: Text,
    /// The tree's revision that last changed it.
    pub tree_revision: Text,
    /// The run that last changed it.
    pub run: Text,
}

/// Where an account is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountState {
    /// Imported.
    Active,
    /// Out of the desired set, and still imported until the grace has passed.
    PendingRemoval {
        /// When it left the desired set.
        since: Timestamp,
        /// When the grace ends.
        until: Timestamp,
        /// Why it left.
        reason: Verdict,
    },
    /// No policy answers for it any more: nothing touches it until one does.
    Orphaned {
        /// Since when.
        since: Timestamp,
    },
    /// No longer imported; a return within 30 days brings the same account back.
    Removed {
        /// Since when.
        since: Timestamp,
        /// Why.
        reason: Verdict,
        /// Whether a person approved the removal: such do not count towards the limit.
        approved: bool,
    },
}

/// How the rules decided about a candidate: the first of these that applies.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The source's record is broken.
    InvalidRecord,
    /// No selected OU or group holds the user.
    NotInScope,
    /// The user lies in a container that is never imported from.
    UnsupportedContainer,
    /// The policy or the customer excludes the user.
    Excluded,
    /// The user is, directly or by nesting, in a privileged group.
    PrivilegedAccount,
    /// The directory account is disabled.
    DirectoryDisabled,
    /// Several candidates claim one tenant user, or one candidate fits several.
    AmbiguousMatch,
    /// A stronger key points elsewhere than a weaker one.
    MatchConflict,
    /// No tenant user fits by any key.
    NoTenantMatch,
    /// The tenant user is a guest.
    Guest,
    /// The tenant user's sign-in is blocked.
    TenantDisabled,
    /// The tenant user holds no licence that counts.
    Unlicensed,
    /// The candidate is in the desired set.
    Included,
}

impl Verdict {
    /// All verdicts, in the order in which the rules decide.
    pub const ALL: [Self; 13] = [
        Self::InvalidRecord,
        Self::NotInScope,
        Self::UnsupportedContainer,
        Self::Excluded,
        Self::PrivilegedAccount,
        Self::DirectoryDisabled,
        Self::AmbiguousMatch,
        Self::MatchConflict,
        Self::NoTenantMatch,
        Self::Guest,
        Self::TenantDisabled,
        Self::Unlicensed,
        Self::Included,
    ];

    /// Whether a known account with this verdict stays as it is: broken records and unclear
    /// matches add nobody and remove nobody.
    pub fn keeps(self) -> bool {
        matches!(self, Self::InvalidRecord | Self::AmbiguousMatch | Self::MatchConflict)
    }

    /// Returns the code that plans, the API and the register use.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidRecord => "invalid-record",
            Self::NotInScope => "not-in-scope",
            Self::UnsupportedContainer => "unsupported-container",
            Self::Excluded => "excluded",
            Self::PrivilegedAccount => "privileged-account",
            Self::DirectoryDisabled => "directory-disabled",
            Self::AmbiguousMatch => "ambiguous-match",
            Self::MatchConflict => "match-conflict",
            Self::NoTenantMatch => "no-tenant-match",
            Self::Guest => "guest",
            Self::TenantDisabled => "tenant-disabled",
            Self::Unlicensed => "unlicensed",
            Self::Included => "included",
        }
    }

    /// Returns the verdict of a code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.code() == code)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl AccountType {
    /// Both account types, in the order of every output.
    pub const ALL: [Self; 2] = [Self::EndUser, Self::Administrator];

    /// Returns the word of the contract.
    pub fn code(self) -> &'static str {
        match self {
            Self::EndUser => "EndUser",
            Self::Administrator => "Administrator",
        }
    }
}

impl fmt::Display for AccountType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl Source {
    /// Returns the word of the contract.
    pub fn code(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Tenant => "tenant",
        }
    }
}

impl AccountState {
    /// Returns the word of the contract.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::PendingRemoval { .. } => "pendingRemoval",
            Self::Orphaned { .. } => "orphaned",
            Self::Removed { .. } => "removed",
        }
    }

    /// Whether the account is imported as far as other tools are concerned.
    pub fn is_imported(&self) -> bool {
        !matches!(self, Self::Removed { .. })
    }
}

/// By how many characters of a name an account is listed.
const LISTED: usize = 256;

impl Account {
    /// Returns which directories the account counts in, in the words of the contract.
    pub fn sources(&self) -> Vec<&'static str> {
        sources(self.key.source, self.profile.tenant_user_id.is_some())
    }

    /// Compares as lists of accounts are ordered: by name, then id.
    pub fn cmp_listed(&self, other: &Self) -> Ordering {
        self.listed_name()
            .cmp(&other.listed_name())
            .then_with(|| self.key.id.cmp(&other.key.id))
            .then_with(|| self.key.cmp(&other.key))
    }

    /// Returns the name by which an account is listed, folded: the first that it has. Of one that is longer than any
    /// that a directory allows only the beginning: a database sorts by what fits into a page of its index.
    pub fn listed_name(&self) -> Cow<'_, str> {
        let profile = &self.profile;
        let name: &str = if !profile.sam_account_name.is_empty() {
            &profile.sam_account_name
        } else if let Some(name) = &profile.user_principal_name {
            name
        } else {
            &profile.display_name
        };
        let end = name.char_indices().nth(LISTED).map_or(name.len(), |(end, _)| end);
        fold(name.get(..end).unwrap_or(name))
    }
}

/// Returns which directories an account counts in, in the words of the contract.
pub fn sources(source: Source, linked: bool) -> Vec<&'static str> {
    match (source, linked) {
        (Source::Directory, true) => vec!["activeDirectory", "microsoft365"],
        (Source::Directory, false) => vec!["activeDirectory"],
        (Source::Tenant, _) => vec!["microsoft365"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_the_code_that_serde_writes() {
        for verdict in Verdict::ALL {
            let json = serde_json::to_string(&verdict).expect("a code");
            assert_eq!(json, format!("\"{}\"", verdict.code()));
            assert_eq!(Verdict::from_code(verdict.code()), Some(verdict));
        }
    }
}
