//! Which sources readings that are kept were made of: nobody may take those of one source for another's.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::digest::Digest;
use crate::model::text::Text;

/// Which sources the readings of one customer were made of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadFrom {
    /// Where each directory was, and as whom it was read, by its name.
    pub directories: BTreeMap<Text, Digest>,
    /// Where the tenant was, and by which application it was read.
    pub tenant: Option<Digest>,
    /// Which groups of the tenant were asked for.
    pub groups: GroupsRead,
}

/// Which groups of a tenant a reading holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GroupsRead {
    /// All that its source has: a file.
    #[default]
    All,
    /// Those that policies selected then, folded. Of any other one nobody can say whether it exists.
    Named(BTreeSet<Text>),
}
