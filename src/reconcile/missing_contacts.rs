//! Which contacts and password entries applying a plan would have made: what `plan` shows of `createMissing`. Holds nothing that writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::account::{Account, AccountKey};
use crate::model::contact::{Contact, NewContact, Product, Shelf};
use crate::model::contact_match::ContactMatch;
use crate::model::event::ReadingDigests;
use crate::model::reading::Reading;
use crate::model::text::{Text, inert};
use crate::plan::outcome::MissingContact;
use crate::policy::fleet::{Customer, Documentation};
use crate::ports::documentation::DocumentationSystems;
use crate::ports::register::{RegisterFault, RegisterReader};
use crate::reconcile::apply::{commit_of, may_write};
use crate::reconcile::documentation::{Standing, contacts_of, creating, found};
use crate::reconcile::judge::{Documented, Judged};
use crate::reconcile::make_contact::contact_of;
use crate::reconcile::notice::Stamp;

/// Looks for the contacts of all customers for whom missing ones are made, and puts those that would be made
/// into their plans. A system that does not answer is logged: the plan is as good without.
///
/// # Errors
/// The register's.
pub async fn show_missing_contacts(
    systems: &Arc<dyn DocumentationSystems>,
    register: &dyn RegisterReader,
    judged: &mut [&mut Judged],
) -> Result<(), RegisterFault> {
    let mut shelves: BTreeMap<(Option<Product>, Text), BTreeSet<Shelf>> = BTreeMap::new();
    let mut known: BTreeMap<Text, Vec<ContactMatch>> = BTreeMap::new();
    for judged in judged.iter() {
        let Some(customer) = creator(judged) else { continue };
        for place in &customer.documentation {
            let key = (systems.product(&place.connection), place.connection.clone());
            shelves.entry(key).or_default().insert(place.shelf());
        }
        let contacts = register.contacts(Some(&customer.name)).await?;
        known.insert(customer.name.clone(), contacts.into_iter().map(|(_, found)| found).collect());
    }
    // ConnectWise first, as in a turn: others link to its contacts.
    for ((product, connection), shelves) in &shelves {
        let swept = match systems.open(connection) {
            Ok(system) => system.sweep(shelves).await,
            Err(fault) => Reading::Unavailable(fault),
        };
        let catalogue = match swept {
            Reading::Complete(catalogue) => Ok(catalogue),
            Reading::Incomplete(shortfall) => Err(shortfall.what),
            Reading::Unavailable(fault) => Err(fault.with_hint()),
        };
        if let Err(fault) = &catalogue {
            tracing::warn!(%connection, "missing contacts are not shown: {}", inert(fault));
        }
        for judged in judged.iter_mut() {
            let Some(customer) = creator(judged) else { continue };
            let place = customer.documentation.iter().find(|place| place.connection == *connection);
            let (Some(place), Some(known)) = (place, known.get_mut(&customer.name)) else { continue };
            let contacts = match &catalogue {
                Ok(catalogue) => contacts_of(catalogue, place, true),
                Err(fault) => Err(fault.clone()),
            };
            match contacts {
                Ok(contacts) => show(&**systems, judged, place, contacts, known),
                // What its links would tell is not known: nothing is shown of who links to it.
                Err(_) if *product == Some(Product::ConnectWise) => judged.documented = None,
                Err(fault) => {
                    if catalogue.is_ok() {
                        tracing::warn!(customer = %inert(&customer.name), %connection, "{}", inert(&fault));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Returns the customer of a plan that would have contacts made.
fn creator(judged: &Judged) -> Option<Arc<Customer>> {
    let customer = &judged.documented.as_ref()?.customer;
    (may_write(&judged.plan) && !creating(customer).is_empty()).then(|| customer.clone())
}

/// Puts the contacts that one system would have made into a customer's plan, and what stands there into `known`.
fn show(
    systems: &dyn DocumentationSystems,
    judged: &mut Judged,
    place: &Documentation,
    contacts: &[Contact],
    known: &mut Vec<ContactMatch>,
) {
    let connection = &place.connection;
    let Some(Documented { customer, likenesses }) = judged.documented.clone() else { return };
    let accounts = accounts_after(judged);
    let standing = Standing {
        customer: &customer,
        likenesses: &likenesses,
        accounts: &accounts,
        pins: &judged.plan.consequences.pins,
        known,
        psa_seen: Some(Timestamp::MAX),
    };
    let found = match found(systems, place, contacts, &standing, judged.observation.at) {
        Ok(found) => found,
        Err(shrunk) => {
            tracing::warn!(customer = %inert(&customer.name), %connection, "{}", inert(&shrunk));
            return;
        }
    };
    let asked: BTreeSet<AccountKey> = known
        .iter()
        .filter(|known| {
            known.connection == *connection
                && known.organization == place.organization
                && known.asked_at.is_some()
        })
        .map(|known| known.account)
        .collect();
    for found in found.iter().filter(|found| found.asked_at.is_some() && !asked.contains(&found.account)) {
        let at = likenesses.binary_search_by_key(&found.account, |likeness| likeness.account);
        let Some(likeness) = at.ok().and_then(|at| likenesses.get(at)) else { continue };
        let Some(contact) = contact_of(likeness, systems.missing_as(connection)) else { continue };
        let kind = contact.kind();
        let (address, username) = match contact {
            NewContact::Person(person) => (Some(person.address), None),
            NewContact::PasswordEntry(entry) => (None, Some(entry.username)),
        };
        judged.plan.missing_contacts.push(MissingContact {
            system: connection.clone(),
            kind,
            account_type: found.account.account_type,
            id: found.account.id,
            account: Some(likeness.name.clone()),
            address,
            username,
        });
    }
    known.retain(|known| known.connection != *connection);
    known.extend(found);
}

/// Returns the accounts as they are once the plan was applied.
fn accounts_after(judged: &Judged) -> Vec<Account> {
    let register = &judged.observation.register;
    let stamp = Stamp { run: Text::default(), tree_revision: Text::default(), at: judged.observation.at };
    let commit = commit_of(&judged.plan, register, &ReadingDigests::default(), &stamp, &[]);
    let mut accounts: BTreeMap<AccountKey, Account> =
        register.accounts.iter().map(|account| (account.key, account.clone())).collect();
    let written = commit.into_iter().flat_map(|commit| commit.accounts);
    accounts.extend(written.map(|account| (account.key, account)));
    accounts.into_values().collect()
}
