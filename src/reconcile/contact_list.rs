//! How accounts stand in documentation systems, as people ask: what was recorded of each, and what keeps it from
//! being newer.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::account::{Account, AccountKey, AccountState};
use crate::model::contact_match::{ContactMatch, DocumentationStatus, MatchStatus};
use crate::model::register::LateDelivery;
use crate::model::text::Text;
use crate::ports::browse::Browse;
use crate::ports::register::{RegisterFault, RegisterReader};
use crate::reconcile::make_contact::{PREFIX, key_of};

/// Of more customers than these all accounts are gone over at once.
const FEW: usize = 50;

/// An account in a documentation system.
#[derive(Debug, Clone)]
pub struct ListedContact {
    /// The customer's name.
    pub customer: Text,
    /// The account.
    pub account: Account,
    /// How it stands there.
    pub found: ContactMatch,
}

/// How accounts and systems stand.
#[derive(Debug, Clone, Default)]
pub struct ContactList {
    /// Every imported account that is looked for in a system: by customer, connection, then account.
    pub contacts: Vec<ListedContact>,
    /// How looking into each system last went, by customer and connection.
    pub systems: Vec<DocumentationStatus>,
}

/// Lists how the accounts of some customers stand, or of all.
///
/// # Errors
/// The register's.
pub async fn contact_list(
    register: &dyn RegisterReader,
    customers: Option<&BTreeSet<Text>>,
) -> Result<ContactList, RegisterFault> {
    let mut systems = register.documentation().await?;
    systems.retain(|system| customers.is_none_or(|customers| customers.contains(&system.customer)));
    // Where nobody is documented, nothing of all the accounts is needed.
    if systems.is_empty() {
        return Ok(ContactList::default());
    }
    let late = register.late_deliveries(PREFIX).await?;
    let late: BTreeMap<&str, &LateDelivery> =
        late.iter().map(|delivery| (delivery.key.as_str(), delivery)).collect();
    let documented: BTreeSet<Text> = systems.iter().map(|system| system.customer.clone()).collect();
    // One question about each who is documented anywhere, or one about everybody where these are many.
    let questions: Vec<Option<&Text>> = match customers {
        None if documented.len() > FEW => vec![None],
        _ => documented.iter().map(Some).collect(),
    };
    let mut known: BTreeMap<(Text, Text, AccountKey), ContactMatch> = BTreeMap::new();
    let mut contacts = Vec::new();
    let mut accounts: BTreeMap<Text, Vec<Account>> = BTreeMap::new();
    for customer in questions {
        let found = register.contacts(customer.map(Text::as_str)).await?.into_iter();
        known.extend(found.map(|(name, found)| ((name, found.connection.clone(), found.account), found)));
        for (name, account) in register.accounts(customer.map(Text::as_str)).await? {
            if account.state.is_imported() {
                accounts.entry(name).or_default().push(account);
            }
        }
    }
    for system in &systems {
        for account in accounts.get(&system.customer).into_iter().flatten() {
            let key = (system.customer.clone(), system.connection.clone(), account.key);
            let Some(found) = standing(account, system, known.get(&key), &late) else { continue };
            contacts.push(ListedContact {
                customer: system.customer.clone(),
                account: account.clone(),
                found,
            });
        }
    }
    Ok(ContactList { contacts, systems })
}

/// Lists how some accounts stand, each with its customer's name: by customer, account, then connection.
///
/// # Errors
/// The register's.
pub async fn contacts_of(
    register: &dyn RegisterReader,
    browse: &dyn Browse,
    accounts: &[(Text, Account)],
) -> Result<Vec<(Text, ContactMatch)>, RegisterFault> {
    let mut imported: BTreeMap<&Text, Vec<&Account>> = BTreeMap::new();
    for (customer, account) in accounts.iter().filter(|(_, account)| account.state.is_imported()) {
        imported.entry(customer).or_default().push(account);
    }
    let mut systems: BTreeMap<Text, Vec<DocumentationStatus>> = BTreeMap::new();
    if !imported.is_empty() {
        for system in register.documentation().await? {
            if imported.contains_key(&system.customer) {
                systems.entry(system.customer.clone()).or_default().push(system);
            }
        }
    }
    if systems.is_empty() {
        return Ok(Vec::new());
    }
    let late = register.late_deliveries(PREFIX).await?;
    let late: BTreeMap<&str, &LateDelivery> =
        late.iter().map(|delivery| (delivery.key.as_str(), delivery)).collect();
    let mut contacts = Vec::new();
    for (customer, systems) in &systems {
        let accounts = imported.get(customer).into_iter().flatten();
        let keys: Vec<AccountKey> = accounts.clone().map(|account| account.key).collect();
        let known: BTreeMap<_, ContactMatch> = browse
            .contacts_of(customer, &keys)
            .await?
            .into_iter()
            .map(|found| ((found.account, found.connection.clone()), found))
            .collect();
        for account in accounts {
            for system in systems {
                let found = known.get(&(account.key, system.connection.clone()));
                contacts
                    .extend(standing(account, system, found, &late).map(|found| (customer.clone(), found)));
            }
        }
    }
    Ok(contacts)
}

/// Returns how an account stands in a system by what was recorded of it; nothing where it is not looked for.
fn standing(
    account: &Account,
    system: &DocumentationStatus,
    known: Option<&ContactMatch>,
    late: &BTreeMap<&str, &LateDelivery>,
) -> Option<ContactMatch> {
    match known {
        Some(found) => Some(with_delivery(found, &system.customer, late)),
        None if matches!(account.state, AccountState::Orphaned { .. }) => None,
        // Without a fault it was not looked for yet, or accounts of this type are not matched.
        None => system.fault.as_ref().map(|fault| never_found(account, system, fault)),
    }
}

/// An account whose contact or password entry could not be made says so.
fn with_delivery(
    found: &ContactMatch,
    customer: &Text,
    late: &BTreeMap<&str, &LateDelivery>,
) -> ContactMatch {
    let key = found.asked_at.map(|at| key_of(customer, &found.connection, found.account, at));
    match key.and_then(|key| late.get(key.as_str())) {
        // What was found meanwhile, and lost again, is not made any more.
        Some(delivery) if found.status == MatchStatus::Unmatched && found.contact.is_none() => {
            let end = if delivery.is_given_up { "given up" } else { "tried again" };
            let cause = format!(
                "its contact or password entry could not be made ({} {}, {end}): {}",
                delivery.attempts,
                if delivery.attempts == 1 { "attempt" } else { "attempts" },
                delivery.error
            );
            ContactMatch { status: MatchStatus::Failed, cause, ..found.clone() }
        }
        _ => found.clone(),
    }
}

fn never_found(account: &Account, system: &DocumentationStatus, fault: &str) -> ContactMatch {
    ContactMatch {
        account: account.key,
        connection: system.connection.clone(),
        organization: system.organization.clone(),
        status: MatchStatus::Failed,
        contact: None,
        matched_by: None,
        cause: fault.to_owned(),
        candidates: Vec::new(),
        candidate_count: 0,
        since: system.last_attempt,
        asked_at: None,
        unfollowed: BTreeSet::new(),
    }
}
