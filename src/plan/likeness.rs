//! By what the contact of an account may be recognised: its addresses, usernames and name, from everything
//! that a turn saw of it.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use crate::model::account::{AccountKey, Profile, Source};
use crate::model::addresses::Addresses;
use crate::model::contact::{address_key, username_key};
use crate::model::directory::Person;
use crate::model::guid::Guid;
use crate::model::observation::Observation;
use crate::model::reading::Reading;
use crate::model::tenant::TenantUser;
use crate::model::text::{Text, fold};
use crate::plan::outcome::{Action, CustomerPlan};

/// By what the contact of one account may be recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likeness {
    /// Whose it is.
    pub account: AccountKey,
    /// The name for people by which messages call the account.
    pub name: Text,
    /// The display name.
    pub display_name: Text,
    /// Every address, by [`address_key`]: UPN, mail and all of proxyAddresses, in the directory and the
    /// tenant. Sorted, each once.
    pub addresses: Vec<Text>,
    /// The address that a contact is made with, where there is one.
    pub primary_address: Option<Text>,
    /// sAMAccountName and UPN, folded.
    pub usernames: Vec<Text>,
    /// The username that a password entry is made with, as written: the UPN, or else sAMAccountName. `None` where
    /// an entry would not be found by it again.
    pub primary_username: Option<Text>,
}

/// Returns the likeness of every account that the register has after the plan, sorted by account; `None`
/// unless everything was read: whoever knows less of somebody would take a contact away that is theirs.
pub fn likenesses(plan: &CustomerPlan, observation: &Observation) -> Option<Vec<Likeness>> {
    if observation.directories.is_empty() && observation.tenant.is_none() {
        return None;
    }
    let mut people: HashMap<Guid, &Person> = HashMap::new();
    for (_, reading) in &observation.directories {
        let Reading::Complete(directory) = reading else { return None };
        people.extend(directory.people.iter().map(|person| (person.guid, person)));
    }
    let mut users: HashMap<Guid, &TenantUser> = HashMap::new();
    if let Some(reading) = &observation.tenant {
        let Reading::Complete(tenant) = reading else { return None };
        users.extend(tenant.users.iter().map(|user| (user.id, user)));
    }
    let mut profiles: HashMap<AccountKey, &Profile> =
        observation.register.accounts.iter().map(|account| (account.key, &account.profile)).collect();
    let changed = plan.operations.iter().filter(|operation| operation.action != Action::Hold);
    profiles.extend(changed.map(|operation| (operation.key, &operation.profile)));
    let mut likenesses: Vec<Likeness> = profiles
        .into_iter()
        .map(|(key, profile)| {
            let person = people.get(&key.id).copied().filter(|_| key.source == Source::Directory);
            let user = profile.tenant_user_id.and_then(|id| users.get(&id).copied());
            likeness(key, profile, person, user)
        })
        .collect();
    likenesses.sort_by_key(|likeness| likeness.account);
    Some(likenesses)
}

fn likeness(
    account: AccountKey,
    profile: &Profile,
    person: Option<&Person>,
    user: Option<&TenantUser>,
) -> Likeness {
    let upn = profile.user_principal_name.as_deref();
    let mut addresses: BTreeSet<Text> = BTreeSet::new();
    let mut note = |written: Option<&str>| addresses.extend(written.and_then(address_key));
    note(upn);
    note(profile.email.as_deref());
    if let Some(person) = person {
        note(person.user_principal_name.as_deref());
        note(person.mail.as_deref());
        all_of(&person.addresses).for_each(|address| note(Some(address)));
    }
    if let Some(user) = user {
        note(Some(user.user_principal_name.as_str()));
        note(user.mail.as_deref());
        all_of(&user.addresses).for_each(|address| note(Some(address)));
    }
    // As it is now: the account's own is that of the day on which it was imported.
    let primary = [
        user.and_then(|user| user.mail.as_deref()),
        person.and_then(|person| person.mail.as_deref()),
        profile.email.as_deref(),
        upn,
    ];
    let usernames: BTreeSet<Text> = [Some(profile.sam_account_name.as_str()), upn]
        .into_iter()
        .flatten()
        .filter(|name| !name.is_empty())
        .map(|name| Text::from(fold(name).as_ref()))
        .collect();
    // What a backslash would be cut off of is no username that an entry is found by.
    let is_found = |name: &&str| usernames.contains(&username_key(name));
    let primary_username =
        upn.into_iter().chain([profile.sam_account_name.as_str()]).find(is_found).map(Text::from);
    Likeness {
        account,
        name: upn
            .filter(|name| !name.is_empty())
            .map_or_else(|| profile.sam_account_name.clone(), Text::from),
        display_name: profile.display_name.clone(),
        addresses: addresses.into_iter().collect(),
        primary_address: primary.into_iter().flatten().find_map(address_key),
        primary_username,
        usernames: usernames.into_iter().collect(),
    }
}

fn all_of(addresses: &Addresses) -> impl Iterator<Item = &str> {
    addresses.primary().into_iter().chain(addresses.aliases()).map(Text::as_str)
}

/// Splits a display name: `Doe, Jane` at its comma, else before its last word. Whoever has no display name is
/// called by the address.
pub fn given_and_family(display_name: &str, address: &str) -> (Text, Text) {
    let words: Vec<&str> = display_name.split_whitespace().collect();
    let name = words.join(" ");
    if let Some((last, first)) = name.split_once(", ").filter(|(_, first)| !first.contains(',')) {
        return (Text::from(first), Text::from(last));
    }
    match name.rsplit_once(' ') {
        Some((first, last)) => (Text::from(first), Text::from(last)),
        None if name.is_empty() => {
            (Text::from(address.split('@').next().unwrap_or(address)), Text::default())
        }
        None => (Text::from(name), Text::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_are_split_where_people_split_them() {
        let split = |name: &str| {
            let (first, last) = given_and_family(name, "jane@contoso.test");
            (first.to_string(), last.to_string())
        };
        let pair = |first: &str, last: &str| (first.to_owned(), last.to_owned());
        assert_eq!(split("Jane Doe"), pair("Jane", "Doe"));
        assert_eq!(split("  Jane   van  Doe "), pair("Jane van", "Doe"));
        assert_eq!(split("van Doe, Jane"), pair("Jane", "van Doe"));
        assert_eq!(split("Doe, Jane, PhD"), pair("Doe, Jane,", "PhD"));
        assert_eq!(split("Jane"), pair("Jane", ""));
        assert_eq!(split(" "), pair("jane", ""));
    }
}
