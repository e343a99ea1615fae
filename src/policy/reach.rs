//! Which customers a policy is for; of a broken one, which it might be for.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::model::account::AccountType;
use crate::model::text::Text;
use crate::policy::document::Customers;
use crate::policy::read::{Read, nearest};
use crate::policy::source::Ledger;
use crate::policy::yaml::{Content, Node};

/// The keys of every document.
pub const TOP_KEYS: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];

/// The customers that a document names or matches.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    /// By name.
    pub names: BTreeSet<Text>,
    /// By labels, all of which must be there; `None` where no labels are given.
    pub labels: Option<BTreeMap<Text, Text>>,
}

/// What a document is for, as far as it can be told.
#[derive(Debug, Clone)]
pub struct Reach {
    /// The account types; both where it cannot be told.
    pub types: Vec<AccountType>,
    /// The customers; `None` where it cannot be told, which means any of them.
    pub customers: Option<Selector>,
    /// Whether it is, or might be, the default.
    pub may_be_default: bool,
}

impl Selector {
    /// Returns what a `customers` block selects.
    pub fn of(written: Option<&Customers>) -> Self {
        let Some(written) = written else { return Self::default() };
        let names = written.names.iter().flatten().map(|name| name.value.0.clone()).collect();
        let labels: Option<BTreeMap<Text, Text>> = written.match_labels.as_ref().map(|labels| {
            labels.0.iter().map(|(key, value)| (Text::from(key.value.as_str()), value.0.clone())).collect()
        });
        // Empty labels select nobody; otherwise `matchLabels: {}` would select everybody.
        Self { names, labels: labels.filter(|labels| !labels.is_empty()) }
    }

    /// Whether a customer is selected.
    pub fn selects(&self, name: &Text, labels: &BTreeMap<Text, Text>) -> bool {
        self.names.contains(name)
            || self
                .labels
                .as_ref()
                .is_some_and(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
    }
}

impl Reach {
    /// Anything: a document of which nothing can be told.
    pub fn unknown() -> Self {
        Self { types: AccountType::ALL.to_vec(), customers: None, may_be_default: true }
    }

    /// Returns what a broken document is for. Whatever cannot be read for sure counts as "any":
    /// a broken policy must never let another one take over.
    pub fn of_broken(root: Option<&Rc<Node>>, spec_keys: &[&'static str]) -> Self {
        let Some(spec) = root.and_then(|root| only(root, "spec", &TOP_KEYS)).flatten() else {
            return Self::unknown();
        };
        if !matches!(spec.content, Content::Mapping(_)) {
            return Self::unknown();
        }
        let types = match only(spec, "accountType", spec_keys).flatten().and_then(|node| clean(node)) {
            Some(account_type) => vec![account_type],
            None => AccountType::ALL.to_vec(),
        };
        let customers = match only(spec, "customers", spec_keys) {
            Some(Some(node)) => clean::<Customers>(node).map(|customers| Selector::of(Some(&customers))),
            Some(None) => Some(Selector::default()),
            None => None,
        };
        let may_be_default = match only(spec, "default", spec_keys) {
            Some(Some(node)) => clean(node).unwrap_or(true),
            Some(None) => false,
            None => true,
        };
        Self { types, customers, may_be_default }
    }
}

/// Returns the one value of a key, or that there surely is none (`Some(None)`). `None`: the key
/// is there twice, an unknown key may have meant it, or the mapping was cut.
fn only<'a>(node: &'a Node, key: &str, keys: &[&'static str]) -> Option<Option<&'a Rc<Node>>> {
    let Content::Mapping(entries) = &node.content else { return None };
    let mut values = entries.iter().filter(|(name, _)| name.text() == Some(key));
    let unsure = entries.iter().any(|(name, _)| match name.text() {
        Some(name) if keys.contains(&name) => false,
        Some(name) => nearest(name, keys.iter().copied()).is_none_or(|meant| meant == key),
        None => true,
    });
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => None,
        // An unknown key beside the real one changes nothing about it.
        (Some((_, value)), None) => Some(Some(value)),
        (None, _) if unsure || !node.whole => None,
        (None, _) => Some(None),
    }
}

/// Reads a value that has no problem at all, and was not cut.
fn clean<T: Read>(node: &Node) -> Option<T> {
    let mut ledger = Ledger::default();
    let value = T::read(node, &mut ledger)?;
    (ledger.is_clean() && node.whole).then_some(value)
}
