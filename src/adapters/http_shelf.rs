//! One shelf of a documentation system: who is on it is compared here, and never asked for by name or address.

use std::collections::BTreeMap;

use crate::model::contact::{Contact, ContactKind, NewContact, NewPerson, Product, Shelf, username_key};
use crate::model::reading::{Fault, FaultKind};
use crate::model::text::Text;

/// A contact, and whether it has the mark that is looked for.
pub(crate) type Found = (Contact, bool);

/// Returns the id of a shelf's organisation, which goes into an address or a condition: a number and nothing else.
///
/// # Errors
/// If it is something else.
pub(crate) fn number(shelf: &Shelf, product: Product) -> Result<&Text, Fault> {
    let id = &shelf.organization;
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(id);
    }
    let what = format!("the id of an organisation or company in {} is a number", product.name());
    Err(Fault::new(FaultKind::Refused, what))
}

/// Returns the mark to look for; an empty one would be found everywhere.
pub(crate) fn mark(mark: &Text) -> Option<&str> {
    Some(mark.as_str()).filter(|mark| !mark.is_empty())
}

/// Returns the person of what is to be made, for a system that has nothing else.
///
/// # Errors
/// If it is something else.
pub(crate) fn person(contact: &NewContact, product: Product) -> Result<&NewPerson, Fault> {
    match contact {
        NewContact::Person(person) => Ok(person),
        NewContact::PasswordEntry(_) => {
            let what = format!("Intake makes no password entries in {}", product.name());
            Err(Fault::new(FaultKind::Refused, what))
        }
    }
}

/// Chooses who is meant of those on a shelf: whoever has the mark, or else the address.
pub(crate) fn chosen(found: BTreeMap<Text, Found>, new: &NewPerson) -> Option<Contact> {
    first(found, |found| found.addresses.contains(&new.address))
}

/// Chooses which password entry is meant of those of an organisation: the one that has the mark, or else the
/// username.
pub(crate) fn chosen_entry(found: BTreeMap<Text, Found>, username: &str) -> Option<Contact> {
    first(found, |found| has_username(found, username))
}

fn first(found: BTreeMap<Text, Found>, fits: impl Fn(&Contact) -> bool) -> Option<Contact> {
    let (marked, others): (Vec<Found>, Vec<Found>) = found.into_values().partition(|(_, has_mark)| *has_mark);
    let other = || others.into_iter().find(|(found, _)| fits(found));
    marked.into_iter().next().or_else(other).map(|(found, _)| found)
}

/// Whether a password entry has a username, in whatever spelling.
pub(crate) fn has_username(entry: &Contact, username: &str) -> bool {
    entry.username.as_deref().is_some_and(|written| username_key(written) == username_key(username))
}

/// Whether what was made is somebody else than was sent: it has addresses, and not that one. An answer may also
/// leave them out.
pub(crate) fn is_another(made: &Result<Contact, String>, new: &NewPerson) -> bool {
    made.as_ref().is_ok_and(|made| !made.addresses.is_empty() && !made.addresses.contains(&new.address))
}

/// Makes the fault of an answer about somebody else than was sent.
pub(crate) fn another(product: Product, kind: ContactKind, id: &str) -> Fault {
    let (product, kind) = (product.name(), kind.noun());
    let what = format!("{product} answered with {kind} {id}, which is not the one that was sent");
    Fault::new(FaultKind::Refused, what)
}

/// Makes the fault of an answer that says nothing, where what was sent is not found either.
pub(crate) fn unsaid(product: Product, kind: ContactKind) -> Fault {
    let (product, kind) = (product.name(), kind.noun());
    let what = format!("{product} took a {kind} and did not say which, and it is not there");
    Fault::new(FaultKind::Transient, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_no_number_gets_into_no_address_and_no_condition() {
        for odd in ["", "2,3", "2 or id>0", "../2", "2/assets", "2?x=1", "-1", "２"] {
            let shelf = Shelf { organization: Text::from(odd), asset_layout: None };
            number(&shelf, Product::Hudu).expect_err(odd);
        }
    }
}
