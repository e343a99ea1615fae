//! Finds whom a technician means by a name, in directories, tenant and register at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::account::Account;
use crate::model::directory::{Directory, Person};
use crate::model::guid::Guid;
use crate::model::tenant::{Anchor, TenantUser};
use crate::model::text::{Text, fold, inert, same};
use crate::plan::correlate::{Link, anchor_of, local_part, mail_addresses};
use crate::plan::stages::Stages;

/// How many people or names are told of to somebody who named nobody in particular.
const TOLD: usize = 10;
/// A longer name is nobody's: what it resembles is not worth the search.
const LONGEST: usize = 256;

/// One person, wherever there is something of them. Positions follow the stages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Their objects in the directories: directory and person.
    pub places: Vec<(u32, u32)>,
    /// A record without an objectGUID, likewise.
    pub record: Option<(u32, u32)>,
    /// Their accounts in the register.
    pub accounts: Vec<usize>,
    /// The tenant user whom nobody of the directories is tied to; for a customer without any, simply the user.
    pub user: Option<u32>,
}

/// Why a name is not one person's. Texts are inert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfound {
    /// Neither directory, tenant nor register knows it.
    Nobody {
        /// Names that come near, the nearest first.
        nearest: Vec<String>,
    },
    /// Several people have it: each with where they are and the id to use instead.
    Several(Vec<String>),
}

/// Finds the one person of a UPN, sAMAccountName, mail or primary SMTP address, objectGUID or tenant
/// user id, compared as everywhere without case.
///
/// # Errors
/// [`Unfound`], if it is nobody's or several people's.
pub fn seek(stages: &Stages<'_>, wanted: &str) -> Result<Found, Unfound> {
    let seeker = Seeker { stages, wanted: wanted.trim(), guid: wanted.parse().ok() };
    let mut ids = seeker.ids();
    let mut records = seeker.records();
    let mut users = Vec::new();
    let tenant_users = || stages.tenant.iter().flat_map(|tenant| (0_u32..).zip(&tenant.users));
    let is_tenant_alone = stages.customer.directories.is_empty();
    // Who an account is. Where the tenant is the only source, one of a directory that the customer had before is its
    // user's, if it has one there.
    let users_there: BTreeSet<Guid> =
        tenant_users().filter(|_| is_tenant_alone).map(|(_, user)| user.id).collect();
    let owner_of = |account: &Account| {
        let linked = account.profile.tenant_user_id.filter(|user| users_there.contains(user));
        linked.unwrap_or(account.key.id)
    };
    if is_tenant_alone {
        let accounts = &stages.observation.register.accounts;
        let owners = accounts.iter().filter(|account| ids.contains(&account.key.id)).map(owner_of);
        let users = seeker.users().into_iter();
        let users = users.filter_map(|user| Some(stages.tenant?.users[user as usize].id));
        ids = owners.chain(users).collect();
    } else if ids.is_empty() && records.is_empty() {
        users = seeker.users();
        users.retain(|user| {
            let people = seeker.people_of(*user);
            let is_nobody = people.is_empty();
            ids.extend(people);
            is_nobody
        });
    }
    let mut found: BTreeMap<Guid, Found> = ids.iter().map(|id| (*id, Found::default())).collect();
    for (place, person) in seeker.people() {
        if let Some(found) = found.get_mut(&person.guid) {
            found.places.push(place);
        }
    }
    for (position, user) in tenant_users().filter(|_| is_tenant_alone) {
        if let Some(found) = found.get_mut(&user.id) {
            found.user = Some(position);
        }
    }
    for (position, account) in stages.observation.register.accounts.iter().enumerate() {
        if let Some(found) = found.get_mut(&owner_of(account)) {
            found.accounts.push(position);
        }
    }
    let mut all: Vec<Found> = found.into_values().collect();
    // A record without an objectGUID may be the account that no object is found for.
    if let ([one], [record]) = (&mut all[..], &records[..])
        && one.places.is_empty()
    {
        one.record = Some(*record);
        records.clear();
    }
    all.extend(records.into_iter().map(|record| Found { record: Some(record), ..Found::default() }));
    all.extend(users.into_iter().map(|user| Found { user: Some(user), ..Found::default() }));
    match all.len() {
        0 => Err(Unfound::Nobody { nearest: seeker.nearest() }),
        1 => Ok(all.remove(0)),
        _ => Err(Unfound::Several(seeker.describe(&all))),
    }
}

struct Seeker<'s> {
    stages: &'s Stages<'s>,
    wanted: &'s str,
    guid: Option<Guid>,
}

impl<'s> Seeker<'s> {
    fn is(&self, name: &str) -> bool {
        !name.is_empty() && same(name, self.wanted)
    }

    fn people(&self) -> impl Iterator<Item = ((u32, u32), &'s Person)> {
        (0_u32..).zip(self.stages.directories).flat_map(|(directory, read)| {
            (0_u32..).zip(&read.people).map(move |(position, person)| ((directory, position), person))
        })
    }

    /// The objectGUIDs, or ids in the register, of everybody who has the name.
    fn ids(&self) -> BTreeSet<Guid> {
        let people = self.people().map(|(_, person)| person);
        let people = people
            .filter(|person| self.guid == Some(person.guid) || names_of(person).any(|name| self.is(name)));
        let accounts = &self.stages.observation.register.accounts;
        let accounts = accounts.iter().filter(|account| {
            let ids = [Some(account.key.id), account.profile.tenant_user_id];
            self.guid.is_some() && ids.contains(&self.guid)
                || names_in_register(account).any(|name| self.is(name))
        });
        people.map(|person| person.guid).chain(accounts.map(|account| account.key.id)).collect()
    }

    fn records(&self) -> Vec<(u32, u32)> {
        let records = (0_u32..).zip(self.stages.directories).flat_map(|(directory, read)| {
            (0_u32..).zip(&read.unidentified).map(move |(position, record)| ((directory, position), record))
        });
        let fitting = records.filter(|(_, record)| {
            let names = [&record.sam_account_name, &record.user_principal_name];
            names.into_iter().flatten().any(|name| self.is(name))
        });
        fitting.map(|(place, _)| place).collect()
    }

    fn users(&self) -> Vec<u32> {
        let users = self.stages.tenant.iter().flat_map(|tenant| (0_u32..).zip(&tenant.users));
        let fitting = users.filter(|(_, user)| {
            self.guid == Some(user.id) || names_in_tenant(user).any(|name| self.is(name))
        });
        fitting.map(|(position, _)| position).collect()
    }

    /// Whoever the tenant user is: those tied to it, else those who could be, else those with its anchor.
    fn people_of(&self, user: u32) -> BTreeSet<Guid> {
        let stages = self.stages;
        let person = |position: usize| {
            let candidate = &stages.screened.candidates[position];
            stages.directories[candidate.directory as usize].people[candidate.person as usize].guid
        };
        let links = || stages.roster.links.iter().enumerate();
        let is_tied = |link: &Link| matches!(link, Link::One { user: tied, .. } if *tied == user);
        let tied: BTreeSet<Guid> =
            links().filter(|(_, link)| is_tied(link)).map(|(position, _)| person(position)).collect();
        if !tied.is_empty() {
            return tied;
        }
        let could_be = links().filter(|(_, link)| link.users().any(|other| other == user));
        let could_be: BTreeSet<Guid> = could_be.map(|(position, _)| person(position)).collect();
        if !could_be.is_empty() {
            return could_be;
        }
        let Some(user) = stages.tenant.map(|tenant| &tenant.users[user as usize]) else {
            return BTreeSet::new();
        };
        let is_anchor = |person: &Person| match user.anchor {
            Anchor::Octets(octets) => octets == anchor_of(person) || octets == person.guid.octets(),
            Anchor::None | Anchor::Other => false,
        };
        let is_named = |person: &Person| {
            let name = person.user_principal_name.as_deref();
            name.is_some_and(|name| same(name, &user.user_principal_name))
                || (user.on_premises_sid.is_some() && user.on_premises_sid == person.sid)
        };
        let people = self.people().map(|(_, person)| person);
        people.filter(|person| is_anchor(person) || is_named(person)).map(|person| person.guid).collect()
    }

    fn describe(&self, all: &[Found]) -> Vec<String> {
        let mut lines: Vec<String> = all.iter().map(|found| self.describe_one(found)).collect();
        lines.sort_unstable();
        let more = lines.len().saturating_sub(TOLD);
        if more > 0 {
            lines.truncate(TOLD);
            lines.push(format!("and {more} more"));
        }
        lines
    }

    fn describe_one(&self, found: &Found) -> String {
        let stages = self.stages;
        let directory = |position: u32| -> &Directory { stages.directories[position as usize] };
        if let Some((place, person)) = found.places.first() {
            let person = &directory(*place).people[*person as usize];
            let dn = directory(*place).dn_of(person);
            return format!("{}: {} ({})", person.guid, inert(&person.display_name), inert(&dn));
        }
        if let Some((user, tenant)) = found.user.zip(stages.tenant) {
            let user = &tenant.users[user as usize];
            let name = user.display_name.as_ref().unwrap_or(&user.user_principal_name);
            return format!("{}: {} (in the tenant alone)", user.id, inert(name));
        }
        if let Some(position) = found.accounts.first() {
            let account = &stages.observation.register.accounts[*position];
            let (name, state) = (inert(&account.profile.display_name), account.state.code());
            return format!("{}: {name} (in the register alone, {state})", account.key.id);
        }
        if let Some((place, record)) = found.record {
            let record = &directory(place).unidentified[record as usize];
            return format!("{}: a record without an objectGUID", inert(&record.dn));
        }
        String::new()
    }

    /// Names that come near, also by a display name or without a domain.
    fn nearest(&self) -> Vec<String> {
        if self.wanted.is_empty() || self.wanted.len() > LONGEST {
            return Vec::new();
        }
        let wanted = fold(self.wanted);
        let limit = (wanted.chars().count() / 3).max(1);
        let mut near: BTreeSet<(usize, &str)> = BTreeSet::new();
        let mut consider = |shown: &'s str, names: &[Option<&str>]| {
            let distance = |name: &str| match fold(name) {
                // Half of a name is as near as a name may be far.
                name if wanted.len() > 2 && name.contains(&*wanted) => limit,
                name => strsim::damerau_levenshtein(&name, &wanted),
            };
            let names = names.iter().flatten().filter(|name| name.len() <= LONGEST);
            let distance = names.map(|name| distance(name)).min();
            if let Some(distance) = distance.filter(|distance| *distance <= limit) {
                near.insert((distance, shown));
                while near.len() > 3 {
                    near.pop_last();
                }
            }
        };
        for (_, person) in self.people() {
            let name = person.user_principal_name.as_ref();
            let shown = name.unwrap_or(&person.sam_account_name);
            let names =
                [name.map(Text::as_str), Some(&*person.sam_account_name), Some(&*person.display_name)];
            consider(shown, &[&names[..], &[name.map(|name| local_part(name))]].concat());
        }
        for account in &self.stages.observation.register.accounts {
            let profile = &account.profile;
            let name = profile.user_principal_name.as_ref();
            let names =
                [name.map(Text::as_str), Some(&*profile.sam_account_name), Some(&*profile.display_name)];
            consider(name.unwrap_or(&profile.sam_account_name), &names);
        }
        for user in self.stages.tenant.iter().flat_map(|tenant| &tenant.users) {
            let name = &user.user_principal_name;
            consider(name, &[Some(name), Some(local_part(name)), user.display_name.as_deref()]);
        }
        near.into_iter().map(|(_, name)| inert(name).into_owned()).collect()
    }
}

fn names_of(person: &Person) -> impl Iterator<Item = &str> {
    let optional = [person.user_principal_name.as_ref(), person.mail.as_ref(), person.addresses.primary()];
    optional.into_iter().flatten().chain([&person.sam_account_name]).map(Text::as_str)
}

fn names_in_register(account: &Account) -> impl Iterator<Item = &str> {
    let profile = &account.profile;
    let optional = [profile.user_principal_name.as_ref(), profile.email.as_ref()];
    optional.into_iter().flatten().chain([&profile.sam_account_name]).map(Text::as_str)
}

fn names_in_tenant(user: &TenantUser) -> impl Iterator<Item = &str> {
    mail_addresses(user).chain([user.user_principal_name.as_str()])
}
