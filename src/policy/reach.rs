//! Which customers a policy is for; of a broken one, which it might be for.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::model::account::AccountType;
use crate::model::text::Text;
use crate::policy::document_part::Customers;
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
    pub fn of_broken(root: Option<&Rc<Node>>, form: &Form<'_>) -> Self {
        let Some(root) = root else { return Self::unknown() };
        let mut specs = root.entries().iter().filter(|(name, _)| name.text() == Some("spec"));
        let (Some((_, spec)), None) = (specs.next(), specs.next()) else { return Self::unknown() };
        if !matches!(spec.content, Content::Mapping(_)) {
            return Self::unknown();
        }
        // A key that means nothing at the top may be one that lost its indentation.
        let astray = root.entries().iter().any(|(name, _)| is_unknown(name, &TOP_KEYS));
        let look = |key: &str| match only(spec, key, form) {
            Found::Surely(value) => Some(Some(value)),
            Found::Nothing if astray || mentions(root, key) => None,
            Found::Nothing => Some(None),
            Found::Unsure => None,
        };
        let types = match look("accountType").flatten().and_then(|node| clean(node)) {
            Some(account_type) => vec![account_type],
            None => AccountType::ALL.to_vec(),
        };
        let customers = match look("customers") {
            Some(Some(node)) => clean::<Customers>(node).map(|customers| Selector::of(Some(&customers))),
            Some(None) => Some(Selector::default()),
            None => None,
        };
        let may_be_default = match look("default") {
            Some(Some(node)) => clean(node).unwrap_or(true),
            Some(None) => false,
            // Some word that means nothing, in a whole document that says whom it is for.
            None => !(spec.whole && !mentions(root, "default") && names_somebody(customers.as_ref())),
        };
        Self { types, customers, may_be_default }
    }
}

fn names_somebody(customers: Option<&Selector>) -> bool {
    customers.is_some_and(|customers| !customers.names.is_empty() || customers.labels.is_some())
}

/// Which keys a mapping has.
pub struct Form<'a> {
    /// All of them.
    pub keys: &'a [&'static str],
    /// Those without which it may be the beginning of a longer one: a file that was cut is often
    /// still YAML.
    pub required: &'a [&'static str],
}

/// What is known of a key in a broken mapping.
enum Found<'a> {
    /// It has this one value.
    Surely(&'a Rc<Node>),
    /// It is not there, and no other key seems to mean it.
    Nothing,
    /// It is there twice, or may have been cut or mistyped.
    Unsure,
}

fn only<'a>(node: &'a Node, key: &str, form: &Form<'_>) -> Found<'a> {
    let entries = node.entries();
    let mut found = entries.iter().enumerate().filter(|(_, (name, _))| name.text() == Some(key));
    let cut = !node.whole || form.required.iter().any(|required| node.get(required).is_none());
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Found::Unsure,
        // The last value of what was cut may be cut itself: `stand` of `standard`.
        (Some((index, _)), None) if cut && index + 1 == entries.len() => Found::Unsure,
        (Some((_, (_, value))), None) => Found::Surely(value),
        (None, _) if cut || entries.iter().any(|(name, _)| is_unknown(name, form.keys)) => Found::Unsure,
        (None, _) => Found::Nothing,
    }
}

/// Whether a key is none of some keys, nor looks like one of them.
fn is_unknown(name: &Node, keys: &[&'static str]) -> bool {
    name.text().is_none_or(|name| nearest(name, keys.iter().copied()).is_none())
}

/// Whether a key, or one that looks like it, stands anywhere: it may have slipped by indentation.
fn mentions(node: &Node, key: &str) -> bool {
    match &node.content {
        Content::Mapping(entries) => entries.iter().any(|(name, value)| {
            name.text().is_some_and(|name| nearest(name, [key]).is_some()) || mentions(value, key)
        }),
        Content::List(items) => items.iter().any(|item| mentions(item, key)),
        _ => false,
    }
}

/// Reads a value that has no problem at all, and was not cut.
fn clean<T: Read>(node: &Node) -> Option<T> {
    let mut ledger = Ledger::default();
    let value = T::read(node, &mut ledger)?;
    (ledger.is_clean() && node.whole).then_some(value)
}
