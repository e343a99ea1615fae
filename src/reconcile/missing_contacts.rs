//! Which contacts applying a plan would have made: what `plan` shows of `createMissing`. Holds nothing that writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::account::{Account, AccountKey};
use crate::model::contact::Shelf;
use crate::model::event::ReadingDigests;
use crate::model::reading::Reading;
use crate::model::text::{Text, inert};
use crate::plan::outcome::MissingContact;
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
    let mut shelves: BTreeMap<Text, BTreeSet<Shelf>> = BTreeMap::new();
    for judged in judged.iter() {
        let Some(Documented { customer, .. }) = &judged.documented else { continue };
        if may_write(&judged.plan) && !creating(customer).is_empty() {
            for place in &customer.documentation {
                shelves.entry(place.connection.clone()).or_default().insert(place.shelf());
            }
        }
    }
    for (connection, shelves) in &shelves {
        let swept = match systems.open(connection) {
            Ok(system) => system.sweep(shelves).await,
            Err(fault) => Reading::Unavailable(fault),
        };
        let catalogue = match swept {
            Reading::Complete(catalogue) => catalogue,
            Reading::Incomplete(shortfall) => {
                tracing::warn!(%connection, "missing contacts are not shown: {}", inert(&shortfall.what));
                continue;
            }
            Reading::Unavailable(fault) => {
                tracing::warn!(%connection, "missing contacts are not shown: {}", inert(&fault.with_hint()));
                continue;
            }
        };
        for judged in judged.iter_mut() {
            let Some(Documented { customer, likenesses }) = judged.documented.clone() else { continue };
            let place = customer.documentation.iter().find(|place| place.connection == *connection);
            let Some(place) = place.filter(|_| may_write(&judged.plan)) else { continue };
            let contacts = match contacts_of(&catalogue, place, true) {
                Ok(contacts) => contacts,
                Err(fault) => {
                    tracing::warn!(customer = %inert(&customer.name), %connection, "{}", inert(&fault));
                    continue;
                }
            };
            let known: Vec<_> = register.contacts(Some(&customer.name)).await?;
            let known: Vec<_> = known.into_iter().map(|(_, found)| found).collect();
            let accounts = accounts_after(judged);
            let standing = Standing {
                customer: &customer,
                likenesses: &likenesses,
                accounts: &accounts,
                pins: &judged.plan.consequences.pins,
                known: &known,
                psa_seen: Some(Timestamp::MAX),
            };
            let asked: BTreeSet<AccountKey> = known
                .iter()
                .filter(|known| known.connection == *connection && known.asked_at.is_some())
                .map(|known| known.account)
                .collect();
            for found in found(&**systems, connection, contacts, &standing, judged.observation.at) {
                if found.asked_at.is_none() || asked.contains(&found.account) {
                    continue;
                }
                let at = likenesses.binary_search_by_key(&found.account, |likeness| likeness.account);
                let Some(likeness) = at.ok().and_then(|at| likenesses.get(at)) else { continue };
                let Some(contact) = contact_of(likeness) else { continue };
                judged.plan.missing_contacts.push(MissingContact {
                    system: connection.clone(),
                    account_type: found.account.account_type,
                    id: found.account.id,
                    account: Some(likeness.name.clone()),
                    address: Some(contact.address),
                });
            }
        }
    }
    Ok(())
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
