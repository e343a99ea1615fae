//! Which policy tree is in force, and why it is not a newer one.

use jiff::Timestamp;

use crate::model::text::Text;

/// A commit, as far as people ask about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeCommit {
    /// When it was written, as its author says: ISO 8601.
    pub authored: Text,
    /// By whom; inert.
    pub author: Text,
}

/// The policy tree that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeStatus {
    /// Where it comes from: a folder, or a repository and its branch.
    pub source: Text,
    /// A commit, or the digest of a folder's tree.
    pub revision: Text,
    /// Who made it when; `None` for a folder.
    pub commit: Option<TreeCommit>,
    /// Since when it is in force.
    pub since: Timestamp,
    /// When the source was last looked at.
    pub looked_at: Timestamp,
    /// How many problems its documents have.
    pub problems: u64,
    /// Why there is nothing newer, and since when; `None` if this is the newest.
    pub fault: Option<(String, Timestamp)>,
}
