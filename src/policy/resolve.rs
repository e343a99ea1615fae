//! Which policy applies to which customer: its own block, the policies that name it, the default.

use std::collections::{BTreeMap, HashMap};

use crate::model::account::AccountType;
use crate::model::text::Text;
use crate::policy::problem::Rule;
use crate::policy::reach::Reach;
use crate::policy::read::first_eight;
use crate::policy::source::{Ledger, Place};

/// A policy, or options, on offer to customers.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Which document.
    pub document: usize,
    /// What it is called, if that can be read.
    pub name: Option<Text>,
    /// Where its name stands.
    pub at: Place,
    /// What it is for.
    pub reach: Reach,
    /// Where it says that it is the default.
    pub default_at: Option<Place>,
    /// Why nothing may be done by it; empty for a sound one.
    pub broken: Vec<String>,
}

/// Everything on offer for one kind of document, arranged by how it is chosen.
pub struct Offers {
    /// `policy` or `options`, for messages.
    what: &'static str,
    offers: Vec<Offer>,
    by_type: BTreeMap<AccountType, Arranged>,
    collisions: BTreeMap<(Place, Place), (AccountType, Vec<Text>)>,
}

#[derive(Default)]
struct Arranged {
    by_name: HashMap<Text, Vec<usize>>,
    by_labels: Vec<usize>,
    /// Broken ones that may be for anybody.
    anybody: Vec<usize>,
    defaults: Vec<usize>,
}

/// What applies to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Its own block.
    Own,
    /// These offers, by document.
    Documents(Vec<usize>),
    /// Nothing.
    Nothing,
    /// It cannot be told: something that applies, or may apply, is broken.
    Unclear(Vec<String>),
}

/// A customer as far as the choice depends on it.
pub struct Chooser<'a> {
    /// Its name.
    pub name: &'a Text,
    /// Its labels.
    pub labels: &'a BTreeMap<Text, Text>,
    /// Its own block: where it stands and which policy it starts from.
    pub own: Option<(Place, Option<Text>)>,
}

impl Offers {
    /// Arranges offers; two defaults for one account type are reported.
    pub fn arrange(what: &'static str, offers: Vec<Offer>, ledger: &mut Ledger) -> Self {
        let mut by_type: BTreeMap<AccountType, Arranged> = BTreeMap::new();
        for account_type in AccountType::ALL {
            let arranged = by_type.entry(account_type).or_default();
            for (index, offer) in offers.iter().enumerate() {
                if !offer.reach.types.contains(&account_type) {
                    continue;
                }
                match &offer.reach.customers {
                    None => arranged.anybody.push(index),
                    Some(selector) => {
                        for name in &selector.names {
                            arranged.by_name.entry(name.clone()).or_default().push(index);
                        }
                        if selector.labels.is_some() {
                            arranged.by_labels.push(index);
                        }
                    }
                }
                if offer.reach.may_be_default {
                    arranged.defaults.push(index);
                }
            }
            let written: Vec<(&Offer, Place)> = arranged
                .defaults
                .iter()
                .filter_map(|index| offers.get(*index))
                .filter(|offer| offer.reach.types.len() == 1)
                .filter_map(|offer| Some((offer, offer.default_at?)))
                .collect();
            if let [(first, first_at), others @ ..] = written.as_slice() {
                for (_, at) in others {
                    ledger.own(None);
                    let name = first.name.as_deref().unwrap_or("another one");
                    ledger
                        .report(*at, format!("a second default {what} for {account_type}"))
                        .rule(Rule::Conflict)
                        .help(format!(
                            "at most one {what} per account type says `default: true`; `{name}` does"
                        ))
                        .label(*first_at, "the first default");
                }
            }
        }
        Self { what, offers, by_type, collisions: BTreeMap::new() }
    }

    fn why_broken(&self, indexes: &[usize], ledger: &Ledger) -> Vec<String> {
        let mut why = Vec::new();
        for offer in indexes.iter().filter_map(|index| self.offers.get(*index)) {
            let name = offer.name.as_deref().unwrap_or("of unknown name");
            let first = offer.broken.first().map_or("", String::as_str);
            why.push(format!("the {} `{name}` ({}) is broken: {first}", self.what, ledger.at(offer.at)));
        }
        why
    }

    fn is_broken(&self, index: usize) -> bool {
        self.offers.get(index).is_none_or(|offer| !offer.broken.is_empty())
    }

    /// Chooses what applies to a customer for an account type; collisions are reported, those of
    /// several customers together by [`Self::report_collisions`].
    pub fn choose(
        &mut self,
        customer: &Chooser<'_>,
        account_type: AccountType,
        ledger: &mut Ledger,
    ) -> Choice {
        let Some(arranged) = self.by_type.get(&account_type) else { return Choice::Nothing };
        let mut naming: Vec<usize> = arranged.by_name.get(customer.name).cloned().unwrap_or_default();
        naming.extend(arranged.by_labels.iter().filter(|index| {
            let reach = self.offers.get(**index).and_then(|offer| offer.reach.customers.as_ref());
            reach.is_some_and(|selector| selector.selects(customer.name, customer.labels))
        }));
        naming.sort_unstable();
        naming.dedup();

        if let Some((at, base)) = &customer.own {
            naming.retain(|index| {
                let name = self.offers.get(*index).and_then(|offer| offer.name.as_ref());
                base.is_none() || name != base.as_ref()
            });
            let broken: Vec<usize> = naming.iter().copied().filter(|index| self.is_broken(*index)).collect();
            if !broken.is_empty() {
                return Choice::Unclear(self.why_broken(&broken, ledger));
            }
            let Some(other) = naming.first().and_then(|index| self.offers.get(*index)) else {
                return Choice::Own;
            };
            let name = other.name.as_deref().unwrap_or("");
            let what = format!(
                "`{}` has its own {} for {account_type}, and the {} `{name}` names it too",
                customer.name, self.what, self.what
            );
            let report =
                ledger.report(*at, what.clone()).rule(Rule::Conflict).label(other.at, "names it too");
            report.help(if self.what == "policy" {
                format!("start the block from it with `policy: {name}`, or take the customer out of it")
            } else {
                "keep one of the two".to_owned()
            });
            return Choice::Unclear(vec![what]);
        }

        let mut broken: Vec<usize> = naming.iter().copied().filter(|index| self.is_broken(*index)).collect();
        broken.extend(&arranged.anybody);
        if !broken.is_empty() {
            return Choice::Unclear(self.why_broken(&broken, ledger));
        }
        if naming.is_empty() {
            let broken: Vec<usize> =
                arranged.defaults.iter().copied().filter(|index| self.is_broken(*index)).collect();
            if !broken.is_empty() {
                return Choice::Unclear(self.why_broken(&broken, ledger));
            }
            return match arranged.defaults.as_slice() {
                [] => Choice::Nothing,
                [only] => self.documents(&[*only]),
                _ => Choice::Unclear(vec![format!("there are two default policies for {account_type}")]),
            };
        }
        let unites = self.what == "policy" && account_type == AccountType::Administrator;
        if let [first, second, ..] = naming.as_slice()
            && !unites
            && let (Some(first), Some(second)) = (self.offers.get(*first), self.offers.get(*second))
        {
            let key = (second.at, first.at);
            let collision = self.collisions.entry(key).or_insert_with(|| (account_type, Vec::new()));
            collision.1.push(customer.name.clone());
            let names = [first, second].map(|offer| offer.name.as_deref().unwrap_or("").to_owned());
            return Choice::Unclear(vec![format!("{} and {} both name it", names[0], names[1])]);
        }
        self.documents(&naming)
    }

    fn documents(&self, indexes: &[usize]) -> Choice {
        let documents =
            indexes.iter().filter_map(|index| self.offers.get(*index)).map(|offer| offer.document);
        Choice::Documents(documents.collect())
    }

    /// Reports the customers that two offers both name, once per pair.
    pub fn report_collisions(&self, ledger: &mut Ledger) {
        ledger.own(None);
        for ((second, first), (account_type, customers)) in &self.collisions {
            let what = match self.what {
                "policy" => format!("two policies for {account_type} name one customer"),
                _ => format!("two options for {account_type} name one customer"),
            };
            ledger
                .report(*second, what)
                .rule(Rule::Conflict)
                .help(format!("both name {}: take it out of one of them", first_eight(customers)))
                .label(*first, "the other one");
        }
    }
}
