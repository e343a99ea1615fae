//! One shelf of a documentation system: who is on it is compared here, and never asked for by name or address.

use std::collections::BTreeMap;

use crate::model::contact::{Contact, NewContact, Product, Shelf};
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
pub(crate) fn mark(contact: &NewContact) -> Option<&str> {
    Some(contact.mark.as_str()).filter(|mark| !mark.is_empty())
}

/// Chooses who is meant of those on a shelf: whoever has the mark, or else the address.
pub(crate) fn chosen(found: BTreeMap<Text, Found>, contact: &NewContact) -> Option<Contact> {
    let (marked, others): (Vec<Found>, Vec<Found>) = found.into_values().partition(|(_, has_mark)| *has_mark);
    let has_address = |(found, _): &Found| found.addresses.contains(&contact.address);
    marked.into_iter().next().or_else(|| others.into_iter().find(has_address)).map(|(found, _)| found)
}

/// Whether what was made is somebody else than was sent: it has addresses, and not that one. An answer may also
/// leave them out.
pub(crate) fn is_another(made: &Result<Contact, String>, contact: &NewContact) -> bool {
    made.as_ref().is_ok_and(|made| !made.addresses.is_empty() && !made.addresses.contains(&contact.address))
}

/// Makes the fault of an answer about somebody else than was sent.
pub(crate) fn another(product: Product, id: &str) -> Fault {
    let what = format!("{} answered with contact {id}, which is not the one that was sent", product.name());
    Fault::new(FaultKind::Refused, what)
}

/// Makes the fault of an answer that says nothing, where the contact is not found either.
pub(crate) fn unsaid(product: Product) -> Fault {
    let what = format!("{} took a contact and did not say which, and it is not there", product.name());
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
