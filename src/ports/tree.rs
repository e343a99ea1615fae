//! The policy tree as the controller wishes it were: read whole, checked, comparable.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::model::digest::Digest;
use crate::model::reading::Fault;
use crate::model::text::Text;
use crate::model::tree_status::TreeCommit;
use crate::policy::fleet::Fleet;

/// The policy tree.
#[async_trait]
pub trait Tree: Send + Sync {
    /// Reads and checks the whole tree. Errors inside it are problems, not faults.
    ///
    /// # Errors
    /// A [`Fault`] if the tree itself cannot be read: then nothing is known of any customer.
    async fn read(&self) -> Result<TreeReading, Fault>;
}

/// What a tree said.
#[derive(Debug, Clone)]
pub struct TreeReading {
    /// The customers and what applies to them.
    pub fleet: Fleet,
    /// What is wrong in the tree, a line each, for people.
    pub problems: Vec<String>,
    /// For every customer of the fleet a digest of all that the tree says about it, its files of
    /// people included: another digest means that its next turn should be now.
    pub fingerprints: BTreeMap<Text, Digest>,
    /// Where it comes from, for people.
    pub source: Text,
    /// The commit that it is; `None` for a folder.
    pub commit: Option<TreeCommit>,
    /// Why there may be a newer one that is not in force; `None` if this is the newest.
    pub behind: Option<Fault>,
}
