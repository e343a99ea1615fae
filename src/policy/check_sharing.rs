//! What must not be the same twice: sources of two customers, scopes of two account types.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::account::AccountType;
use crate::model::dn::{Dn, key_is_under};
use crate::model::text::{Text, same};
use crate::policy::check_customer::Claim;
use crate::policy::check_import::Built;
use crate::policy::fleet::{DirectoryLocation, DirectorySource, EntraGroupName, GroupName, Scope, Selection};
use crate::policy::problem::Rule;
use crate::policy::read::first_eight;
use crate::policy::source::{Ledger, Place};

/// A customer's claims, and its document.
pub struct Claims<'a> {
    /// The customer.
    pub name: &'a Text,
    /// Its document.
    pub document: usize,
    /// What it reads.
    pub claims: &'a [Claim],
}

/// Reports sources that two customers read without both saying so; both are broken then.
pub fn sources(customers: &[Claims<'_>], known: &BTreeSet<Text>, ledger: &mut Ledger) {
    let mut by_key: BTreeMap<&str, Vec<(&Claims<'_>, &Claim)>> = BTreeMap::new();
    for customer in customers {
        ledger.own(Some(customer.document));
        for claim in customer.claims {
            for other in &claim.shared_with {
                if !known.contains(&other.value) || other.value == *customer.name {
                    let what = if other.value == *customer.name {
                        "`sharedWith` names the other customers, not this one".to_owned()
                    } else {
                        format!("there is no customer `{}`", other.value)
                    };
                    let known = known.iter().map(Text::as_str);
                    ledger.report(other.at, what).rule(Rule::Conflict).suggest(&other.value, known);
                }
            }
            for key in &claim.keys {
                by_key.entry(key).or_default().push((customer, claim));
            }
        }
    }
    for (key, readers) in by_key {
        for (index, (customer, claim)) in readers.iter().enumerate() {
            let clash = readers[..index].iter().find(|(other, earlier)| {
                overlap(claim, earlier) && !shared(customer.name, claim, other.name, earlier)
            });
            let Some((other, earlier)) = clash else { continue };
            if customer.document == other.document && claim.at == earlier.at {
                continue;
            }
            ledger.own(Some(customer.document));
            let twice = customer.document == other.document;
            let what = if twice {
                format!("this customer reads {key} twice")
            } else {
                format!("`{}` and `{}` both read {key}", other.name, customer.name)
            };
            let report =
                ledger.report(claim.at, what.clone()).rule(Rule::Conflict).label(earlier.at, "the other one");
            if !twice {
                report.help(format!(
                    "if that is meant, say `sharedWith: [{}]` here and `sharedWith: [{}]` there",
                    other.name, customer.name
                ));
                let line = format!("{}: {what}", ledger.at(earlier.at));
                ledger.taint(other.document, line);
            }
        }
    }
}

/// Whether two claims of one source read something in common.
fn overlap(left: &Claim, right: &Claim) -> bool {
    match (&left.base, &right.base) {
        (Some(Some(left)), Some(Some(right))) => key_is_under(left, right) || key_is_under(right, left),
        // The server's own default may be anything.
        _ => true,
    }
}

/// Whether both customers say that they share a source.
fn shared(left_name: &Text, left: &Claim, right_name: &Text, right: &Claim) -> bool {
    left_name != right_name
        && left.shared_with.iter().any(|name| name.value == *right_name)
        && right.shared_with.iter().any(|name| name.value == *left_name)
}

/// Two entries of scopes that overlap, and the customers for which they do.
#[derive(Default)]
pub struct Overlaps {
    found: BTreeMap<(Place, Place), (String, Vec<Text>)>,
}

impl Overlaps {
    /// Compares the end-user and the administrator scopes of a customer. Returns whether two
    /// overlap.
    pub fn compare(
        &mut self,
        customer: &Text,
        directories: &[DirectorySource],
        imports: &BTreeMap<AccountType, Vec<Built>>,
    ) -> Option<String> {
        let of = |account_type| imports.get(&account_type).map_or(&[][..], Vec::as_slice);
        let mut first = None;
        for user in of(AccountType::EndUser) {
            for administrator in of(AccountType::Administrator) {
                for (what, user_at, administrator_at) in overlaps(user, administrator, directories) {
                    let what = format!("{what} is in scope of both account types");
                    first.get_or_insert_with(|| what.clone());
                    let found =
                        self.found.entry((administrator_at, user_at)).or_insert_with(|| (what, Vec::new()));
                    found.1.push(customer.clone());
                }
            }
        }
        first
    }

    /// Reports what was found, once per pair of entries.
    pub fn report(&self, ledger: &mut Ledger) {
        ledger.own(None);
        for ((administrator, user), (what, customers)) in &self.found {
            ledger
                .report(*administrator, what.clone())
                .rule(Rule::Conflict)
                .help(format!(
                    "an account is either an end user's or an administrator's; this is so for {}",
                    first_eight(customers)
                ))
                .label(*user, "for EndUser");
        }
    }
}

/// Returns the entries of two imports that overlap.
fn overlaps(left: &Built, right: &Built, directories: &[DirectorySource]) -> Vec<(String, Place, Place)> {
    let places = (left.places.as_slice(), right.places.as_slice());
    match (&left.import.selection, &right.import.selection) {
        (Selection::OrganizationalUnits(lefts), Selection::OrganizationalUnits(rights)) => pairs(
            (lefts, rights),
            places,
            |one, other| units_overlap(&one.dn, &other.dn, directories),
            |name| format!("`{}`", name.written),
        ),
        (Selection::SecurityGroups(lefts), Selection::SecurityGroups(rights)) => {
            pairs((lefts, rights), places, groups_are_same, |name| format!("the group `{}`", name.written()))
        }
        (Selection::EntraGroups(lefts), Selection::EntraGroups(rights)) => {
            pairs((lefts, rights), places, entra_groups_are_same, |name| {
                format!("the group `{}` of the tenant", name.written())
            })
        }
        (Selection::Licensed, Selection::Licensed) => {
            let places = left.places.iter().zip(&right.places);
            places.map(|(one, other)| ("everybody licensed".to_owned(), *one, *other)).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the pairs of entries that meet, described by the second, each with its place.
fn pairs<T>(
    (lefts, rights): (&[Scope<T>], &[Scope<T>]),
    (left_places, right_places): (&[Place], &[Place]),
    meet: impl Fn(&T, &T) -> bool,
    describe: impl Fn(&T) -> String,
) -> Vec<(String, Place, Place)> {
    let mut found = Vec::new();
    for (one, one_at) in lefts.iter().zip(left_places) {
        for (other, other_at) in rights.iter().zip(right_places) {
            if meet(&one.name, &other.name) {
                found.push((describe(&other.name), *one_at, *other_at));
            }
        }
    }
    found
}

fn entra_groups_are_same(left: &EntraGroupName, right: &EntraGroupName) -> bool {
    match (left, right) {
        (EntraGroupName::Name(left), EntraGroupName::Name(right)) => same(left, right),
        (left, right) => left == right,
    }
}

fn groups_are_same(left: &GroupName, right: &GroupName) -> bool {
    match (left, right) {
        (GroupName::Name(left), GroupName::Name(right)) => same(left, right),
        (left, right) => left == right,
    }
}

/// Whether one OU is the other or lies inside it, in one of the customer's directories.
fn units_overlap(left: &Dn, right: &Dn, directories: &[DirectorySource]) -> bool {
    let touch = |left: &str, right: &str| key_is_under(left, right) || key_is_under(right, left);
    if left.has_domain_component() == right.has_domain_component() {
        return touch(left.key(), right.key());
    }
    let (absolute, relative) = if left.has_domain_component() { (left, right) } else { (right, left) };
    let bases = directories.iter().map(|directory| match &directory.location {
        DirectoryLocation::Ldap(ldap) => ldap.base_dn.as_ref(),
        DirectoryLocation::Ldif(_) => None,
    });
    for base in bases {
        let overlap = match base {
            Some(base) => touch(absolute.key(), relative.below(base).key()),
            // Without a base DN the domain itself is read, so what stands before its components
            // is what a relative name says.
            None => touch(without_domain(absolute.key()), relative.key()),
        };
        if overlap {
            return true;
        }
    }
    false
}

/// Cuts the trailing DC components off a DN's key.
fn without_domain(key: &str) -> &str {
    let mut rest = key;
    while let Some(at) = rest.rfind(',') {
        if !rest[at + 1..].starts_with("dc=") {
            break;
        }
        rest = &rest[..at];
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_ou_is_compared_with_an_absolute_one() {
        let dn = |text: &str| Dn::parse(text).expect("a DN");
        let directory = |base: Option<&str>| DirectorySource {
            name: Text::from("main"),
            location: match base {
                None => DirectoryLocation::Ldif("a.ldif".into()),
                Some(base) => DirectoryLocation::Ldap(crate::policy::fleet::LdapLocation {
                    urls: Vec::new(),
                    start_tls: false,
                    ca_file: None,
                    base_dn: Some(dn(base)),
                    bind: None,
                    page_size: 1,
                    timeout: crate::model::duration::Seconds(1),
                }),
            },
        };
        let root = [directory(None)];
        let based = [directory(Some("OU=Site,DC=contoso,DC=test"))];
        assert!(units_overlap(&dn("OU=Staff,DC=contoso,DC=test"), &dn("ou=staff"), &root));
        assert!(units_overlap(&dn("OU=It,OU=Staff,DC=contoso,DC=test"), &dn("ou=staff"), &root));
        assert!(!units_overlap(&dn("OU=Staff,DC=contoso,DC=test"), &dn("OU=Staff"), &based));
        assert!(units_overlap(&dn("OU=Staff,OU=Site,DC=contoso,DC=test"), &dn("OU=Staff"), &based));
        assert!(!units_overlap(&dn("OU=Old Staff"), &dn("OU=Staff"), &root));
    }
}
