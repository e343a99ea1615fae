//! What came of moving a store, and of checking one.

use std::collections::BTreeMap;

use crate::model::digest::Digest;
use crate::model::event::ChainHead;
use crate::model::text::Text;
use crate::ports::register::ChainCheck;

/// What a copy holds, as it was compared with what it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copied {
    /// Every table, those without a row among them, in the order in which they were written.
    pub tables: Vec<CopiedTable>,
    /// Where each customer's audit record ends in the copy.
    pub heads: BTreeMap<Text, ChainHead>,
    /// What is damaged in both, each in a sentence with its place.
    pub damage: Vec<String>,
}

/// What a copy holds in one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTable {
    /// Its name.
    pub name: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// Over all of them, and the same wherever they lie.
    pub digest: Digest,
}

/// What was found in a store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// How many rows every table has.
    pub rows: BTreeMap<&'static str, u64>,
    /// The audit record of each customer.
    pub chains: BTreeMap<Text, ChainCheck>,
    /// What else is damaged, each in a sentence with its place.
    pub damage: Vec<String>,
}

impl Copied {
    /// Returns how many rows a table has.
    pub fn rows(&self, name: &str) -> u64 {
        self.tables.iter().find(|table| table.name == name).map_or(0, |table| table.rows)
    }
}

impl Checked {
    /// Whether nothing is wrong with it.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.chains.values().all(|check| matches!(check, ChainCheck::Whole(_)))
    }
}
