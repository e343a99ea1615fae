//! Who is one and the same person: ties directory accounts to tenant users by the match keys.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::account::{AccountKey, Source};
use crate::model::directory::{Directory, Person};
use crate::model::guid::{Guid, Octets};
use crate::model::register::AccountList;
use crate::model::tenant::{Anchor, Tenant, TenantUser};
use crate::model::text::{Text, fold, inert, same};
use crate::plan::identify::Identified;
use crate::plan::index::{Found, Index};
use crate::plan::licence::LicenceTest;
use crate::plan::patterns::Patterns;
use crate::plan::screen::Screened;
use crate::plan::select::Selected;
use crate::policy::fleet::{Customer, MatchKey};

/// Every candidate with the tenant user it is tied to.
pub struct Roster {
    /// Per candidate of the screen; [`Link::NotAsked`] where the directory alone decided.
    pub links: Vec<Link>,
    /// The users of candidates whom the directory alone ruled out: in somebody's scope all the same.
    pub ruled_out: Vec<u32>,
}

/// What came of looking for a candidate's tenant user. Users are positions in the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// The directory alone decided, or the policy does not link.
    NotAsked,
    /// No user fits by any key.
    Nobody,
    /// One user fits.
    One {
        /// The user.
        user: u32,
        /// The key; `None` for a link known from before, and for one that a person chose.
        key: Option<MatchKey>,
    },
    /// Several users fit by one key, or several accounts claim one user: each with its key.
    Ambiguous(Box<Rivals>),
    /// A stronger key points elsewhere than a weaker one: each user with its key.
    Conflict(Box<Rivals>),
}

/// Users that one account could be tied to, and other accounts that claim one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rivals {
    /// Users, with the key that found each; `None` for a link known from before or chosen.
    pub users: Vec<(u32, Option<MatchKey>)>,
    /// How many more users there are than are listed.
    pub more_users: usize,
    /// The accounts that claim one of the users, perhaps this one among them: directory and person.
    /// Shared: a thousand accounts with one address are each other's rivals.
    pub people: Arc<[(u32, u32)]>,
}

/// How many rivals are told of by name. A person reads a handful; thousands of each other's names
/// would be more text than memory.
const TOLD: usize = 5;

/// Ties the candidates that the directory alone did not decide about.
pub fn correlate(
    customer: &Customer,
    directories: &[&Directory],
    tenant: Option<&Tenant>,
    known: impl Fn(&AccountKey) -> Option<Guid>,
    selected: &Selected<'_>,
    screened: &Screened<'_>,
    licences: &[Option<LicenceTest>],
) -> Roster {
    let mut roster = Roster { links: vec![Link::NotAsked; screened.candidates.len()], ruled_out: Vec::new() };
    let Some(tenant) = tenant else { return roster };
    let matcher = Matcher::new(customer, screened.identified, directories, tenant, selected);
    for (candidate, link) in screened.candidates.iter().zip(&mut roster.links) {
        let import = selected.imports[candidate.import as usize].import;
        let Some(licence) = licences[candidate.import as usize].as_ref().filter(|_| import.password_sync)
        else {
            continue;
        };
        let person = &directories[candidate.directory as usize].people[candidate.person as usize];
        let key =
            AccountKey { account_type: import.account_type, source: Source::Directory, id: person.guid };
        let place = (candidate.directory, candidate.person);
        let found = matcher.link(person, place, known(&key), &import.match_keys, licence);
        match candidate.verdict {
            None => *link = found,
            Some(_) => roster.ruled_out.extend(found.users()),
        }
    }
    separate_claims(&mut roster.links, screened, tenant.users.len());
    roster
}

impl Link {
    /// Returns the users that are, or could be, the candidate's.
    pub fn users(&self) -> impl Iterator<Item = u32> {
        let (one, several) = match self {
            Self::NotAsked | Self::Nobody => (None, &[][..]),
            Self::One { user, .. } => (Some(*user), &[][..]),
            Self::Ambiguous(rivals) | Self::Conflict(rivals) => (None, rivals.users.as_slice()),
        };
        one.into_iter().chain(several.iter().map(|(user, _)| *user))
    }
}

/// Two accounts for one user: neither is the right one. One person under both account types, or
/// under two administrator policies, is one person.
fn separate_claims(links: &mut [Link], screened: &Screened<'_>, users: usize) {
    // Per user the first candidate that claims it, plus one.
    let mut first = vec![0_u32; users];
    let mut claimants: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (position, link) in (1_u32..).zip(links.iter()) {
        if let Link::One { user, .. } = link {
            match &mut first[*user as usize] {
                unclaimed @ 0 => *unclaimed = position,
                first => claimants.entry(*user).or_insert_with(|| vec![*first - 1]).push(position - 1),
            }
        }
    }
    for (user, claimants) in claimants {
        let place = |candidate: &u32| {
            let candidate = &screened.candidates[*candidate as usize];
            (candidate.directory, candidate.person)
        };
        let mut people: Vec<(u32, u32)> = claimants.iter().map(place).collect();
        people.sort_unstable();
        people.dedup();
        if people.len() == 1 {
            continue;
        }
        let people: Arc<[(u32, u32)]> = people.into();
        for claimant in claimants {
            let key = match links[claimant as usize] {
                Link::One { key, .. } => key,
                _ => None,
            };
            let rivals = Rivals { users: vec![(user, key)], more_users: 0, people: Arc::clone(&people) };
            links[claimant as usize] = Link::Ambiguous(Box::new(rivals));
        }
    }
}

/// Finds tenant users by the match keys.
struct Matcher<'a> {
    customer: &'a Customer,
    directories: &'a [&'a Directory],
    tenant: &'a Tenant,
    /// Choices of tenant users.
    choices: Patterns<'a>,
    /// Whether any account carries a mS-DS-ConsistencyGuid, which may be a copy of another's.
    has_copied_anchors: bool,
    by_id: Index,
    by_anchor: Index,
    by_sid: Index,
    by_name: Index,
    by_mail: Index,
    /// All accounts of all directories by the octets that could tie them: built when a user with
    /// an anchor is found by a weaker key.
    anchors: OnceCell<(Vec<(u32, u32)>, Index)>,
    /// All accounts of all directories by their SID: built when a user with another one is found.
    sids: OnceCell<(Vec<(u32, u32)>, Index)>,
}

impl<'a> Matcher<'a> {
    fn new(
        customer: &'a Customer,
        identified: &Identified,
        directories: &'a [&'a Directory],
        tenant: &'a Tenant,
        selected: &Selected<'_>,
    ) -> Self {
        let uses = |key| selected.imports.iter().any(|one| one.import.match_keys.contains(&key));
        let users = || (0_u32..).zip(&tenant.users);
        let only = move |wanted: bool| move |_: &(u32, &TenantUser)| wanted;
        Self {
            customer,
            directories,
            tenant,
            choices: identified.patterns(
                AccountList::Matches,
                (0..)
                    .zip(&customer.matches)
                    .filter(|(_, choice)| choice.system == "tenant")
                    .map(|(position, choice)| (position, &choice.account)),
            ),
            has_copied_anchors: directories
                .iter()
                .any(|directory| directory.people.iter().any(|person| person.consistency_guid.is_some())),
            by_id: Index::by_key(users().map(|(position, user)| (position, user.id))),
            by_anchor: Index::by_key(users().filter_map(|(position, user)| match user.anchor {
                Anchor::Octets(octets) => Some((position, octets)),
                Anchor::None | Anchor::Other => None,
            })),
            by_sid: Index::by_key(
                users()
                    .filter(only(uses(MatchKey::SecurityIdentifier)))
                    .filter_map(|(position, user)| Some((position, user.on_premises_sid?))),
            ),
            by_name: Index::by_name(
                users()
                    .filter(only(uses(MatchKey::UserPrincipalName)))
                    .map(|(position, user)| (position, user.user_principal_name.as_str())),
            ),
            by_mail: Index::by_name(
                users().filter(only(uses(MatchKey::Mail))).flat_map(|(position, user)| {
                    mail_addresses(user).map(move |address| (position, address))
                }),
            ),
            anchors: OnceCell::new(),
            sids: OnceCell::new(),
        }
    }

    fn link(
        &self,
        person: &Person,
        place: (u32, u32),
        known: Option<Guid>,
        keys: &[MatchKey],
        licence: &LicenceTest,
    ) -> Link {
        if let Some(user) = self.chosen(person) {
            return Link::One { user, key: None };
        }
        if let Some(user) = known.and_then(|known| self.still_linked(person, place, known)) {
            return Link::One { user, key: None };
        }
        let mut decided: Option<(u32, MatchKey)> = None;
        for key in keys {
            let found = self.find(person, *key, licence);
            match (decided, found) {
                (_, Found::None) => {}
                (None, Found::One(user)) => {
                    let users = || vec![(user, Some(*key))];
                    if *key == MatchKey::ImmutableId {
                        let people = self.sharing_anchor(person, place);
                        if !people.is_empty() {
                            let people = people.into();
                            return Link::Ambiguous(Box::new(Rivals {
                                users: users(),
                                more_users: 0,
                                people,
                            }));
                        }
                    }
                    let people = self.named_elsewhere(user, person, place);
                    if !people.is_empty() {
                        let people = people.into();
                        return Link::Conflict(Box::new(Rivals { users: users(), more_users: 0, people }));
                    }
                    decided = Some((user, *key));
                }
                (None, found @ Found::Many(_)) => {
                    return Link::Ambiguous(Box::new(self.rivals(None, &found, *key)));
                }
                (Some((user, stronger)), found) => {
                    if !found.positions().contains(&user) {
                        return Link::Conflict(Box::new(self.rivals(Some((user, stronger)), &found, *key)));
                    }
                }
            }
        }
        decided.map_or(Link::Nobody, |(user, key)| Link::One { user, key: Some(key) })
    }

    /// Lists the first of many users by their ids, after the one that a stronger key found.
    fn rivals(&self, stronger: Option<(u32, MatchKey)>, found: &Found, key: MatchKey) -> Rivals {
        let mut others: Vec<u32> = found.positions().to_vec();
        let id = |position: &u32| self.tenant.users[*position as usize].id;
        if others.len() > TOLD {
            others.select_nth_unstable_by_key(TOLD, id);
        }
        let more_users = others.len().saturating_sub(TOLD);
        others.truncate(TOLD);
        let others = others.into_iter().map(|user| (user, Some(key)));
        let users = stronger.map(|(user, key)| (user, Some(key))).into_iter().chain(others).collect();
        Rivals { users, more_users, people: Arc::default() }
    }

    /// The user that a person chose for this account, if it is in the reading.
    fn chosen(&self, person: &Person) -> Option<u32> {
        let name = person.user_principal_name.as_deref();
        let chosen = self.choices.first(person.guid, name, &person.sam_account_name)?;
        self.user_of_id(self.customer.matches[chosen].id.parse().ok()?)
    }

    /// Keys make a link and never lose one: it holds while the user exists and no anchor of either
    /// side points elsewhere.
    fn still_linked(&self, person: &Person, place: (u32, u32), known: Guid) -> Option<u32> {
        let user = self.user_of_id(known)?;
        let mine = anchor_of(person);
        let claims = self.by_anchor.key(mine, |position| self.has_anchor(position, mine));
        let claimed_by_another = claims.positions().iter().any(|claimant| *claimant != user);
        (!claimed_by_another && self.named_elsewhere(user, person, place).is_empty()).then_some(user)
    }

    fn user_of_id(&self, id: Guid) -> Option<u32> {
        let found = self.by_id.key(id, |position| self.tenant.users[position as usize].id == id);
        found.positions().first().copied()
    }

    fn has_anchor(&self, position: u32, octets: Octets) -> bool {
        self.tenant.users[position as usize].anchor == Anchor::Octets(octets)
    }

    fn find(&self, person: &Person, key: MatchKey, licence: &LicenceTest) -> Found {
        let user = |position: u32| &self.tenant.users[position as usize];
        match key {
            MatchKey::ImmutableId => {
                let mine = anchor_of(person);
                self.by_anchor.key(mine, |position| self.has_anchor(position, mine))
            }
            MatchKey::SecurityIdentifier => match person.sid {
                Some(sid) => self.by_sid.key(sid, |position| user(position).on_premises_sid == Some(sid)),
                None => Found::None,
            },
            MatchKey::UserPrincipalName => match self.tenant_name(person) {
                Some(name) if !name.is_empty() => {
                    self.by_name.name(&name, |position, is| is(&user(position).user_principal_name))
                }
                _ => Found::None,
            },
            MatchKey::Mail => {
                let addresses = [person.mail.as_ref(), person.addresses.primary()].into_iter().flatten();
                let addresses = addresses.filter(|address| !address.is_empty());
                let find = |address: &Text| {
                    self.by_mail.name(address, |position, is| mail_addresses(user(position)).any(is))
                };
                let found = addresses.map(find).fold(Found::None, Found::or);
                // By mail a licensed user goes before an unlicensed one, such as a shared mailbox.
                let licensed = found.clone().filter(|position| licence.is_licensed(user(position)));
                if licensed == Found::None { found } else { licensed }
            }
        }
    }

    /// The user principal name that the person has in the tenant, by the suffix map.
    fn tenant_name<'p>(&self, person: &'p Person) -> Option<std::borrow::Cow<'p, str>> {
        let name = person.user_principal_name.as_deref()?;
        let mapped = name.rsplit_once('@').and_then(|(local, suffix)| {
            let suffix = self.customer.upn_suffixes.get(fold(suffix).as_ref())?;
            Some(format!("{local}@{suffix}"))
        });
        Some(mapped.map_or(std::borrow::Cow::Borrowed(name), std::borrow::Cow::Owned))
    }

    /// The other accounts of the directories that carry this person's anchor.
    fn sharing_anchor(&self, person: &Person, place: (u32, u32)) -> Vec<(u32, u32)> {
        // Only a mS-DS-ConsistencyGuid can be a copy; objectGUIDs are never the same.
        if !self.has_copied_anchors {
            return Vec::new();
        }
        self.accounts_anchored_by(anchor_of(person)).filter(|other| *other != place).collect()
    }

    /// The other accounts that a user names by its anchor or its SID.
    fn named_elsewhere(&self, user: u32, person: &Person, place: (u32, u32)) -> Vec<(u32, u32)> {
        let mut people = self.anchored_elsewhere(user, person, place);
        people.extend(self.identified_elsewhere(user, person, place));
        people.sort_unstable();
        people.dedup();
        people
    }

    /// The other accounts that a user's anchor names: such a user is never taken by a weaker key.
    fn anchored_elsewhere(&self, user: u32, person: &Person, place: (u32, u32)) -> Vec<(u32, u32)> {
        let Anchor::Octets(octets) = self.tenant.users[user as usize].anchor else { return Vec::new() };
        if octets == anchor_of(person) || octets == person.guid.octets() {
            return Vec::new();
        }
        self.accounts_anchored_by(octets).filter(|other| *other != place).collect()
    }

    /// The other accounts that a user's onPremisesSecurityIdentifier names. One that names nobody
    /// here is what a migration from another domain leaves, and contradicts nothing.
    fn identified_elsewhere(&self, user: u32, person: &Person, place: (u32, u32)) -> Vec<(u32, u32)> {
        match self.tenant.users[user as usize].on_premises_sid {
            Some(sid) if person.sid != Some(sid) => {
                let (places, index) = self.sids.get_or_init(|| {
                    let places: Vec<(u32, u32)> = self.places().collect();
                    let sids = (0_u32..).zip(places.iter().map(|place| self.person(*place).sid));
                    let index = Index::by_key(sids.filter(|(_, sid)| sid.is_some()));
                    (places, index)
                });
                let found =
                    index.key(Some(sid), |position| self.person(places[position as usize]).sid == Some(sid));
                let others = found.positions().iter().map(|position| places[*position as usize]);
                others.filter(|other| *other != place).collect()
            }
            _ => Vec::new(),
        }
    }

    fn places(&self) -> impl Iterator<Item = (u32, u32)> {
        (0_u32..).zip(self.directories).flat_map(|(position, directory)| {
            (0_u32..).zip(&directory.people).map(move |(person, _)| (position, person))
        })
    }

    fn accounts_anchored_by(&self, octets: Octets) -> impl Iterator<Item = (u32, u32)> {
        let (places, index) = self.anchors.get_or_init(|| {
            let places: Vec<(u32, u32)> = self.places().collect();
            let index =
                Index::by_key((0_u32..).zip(places.iter().map(|place| anchor_of(self.person(*place)))));
            (places, index)
        });
        let found = index.key(octets, |position| anchor_of(self.person(places[position as usize])) == octets);
        let positions: Vec<(u32, u32)> =
            found.positions().iter().map(|position| places[*position as usize]).collect();
        positions.into_iter()
    }

    fn person(&self, (directory, person): (u32, u32)) -> &'a Person {
        &self.directories[directory as usize].people[person as usize]
    }
}

/// The octets that tie an account: mS-DS-ConsistencyGuid where it has one, else objectGUID.
pub fn anchor_of(person: &Person) -> Octets {
    person.consistency_guid.unwrap_or_else(|| person.guid.octets())
}

/// Returns the addresses that the key `mail` compares of a tenant user.
pub fn mail_addresses(user: &TenantUser) -> impl Iterator<Item = &str> {
    user.mail.as_deref().into_iter().chain(user.addresses.primary().map(Text::as_str))
}

/// Describes what ties an account to a tenant user by a key: both attributes with their values.
pub fn describe_tie(person: &Person, user: &TenantUser, key: MatchKey) -> String {
    let pair = |mine: &str, value: &str, theirs: &str, other: &str| {
        format!("{theirs} {} is the account's {mine} {}", inert(other), inert(value))
    };
    let name_or_none = |name: Option<&Text>| name.map_or_else(String::new, ToString::to_string);
    match key {
        MatchKey::ImmutableId => {
            let octets = Guid::from_octets(anchor_of(person));
            let mine = match person.consistency_guid {
                Some(_) => "mS-DS-ConsistencyGuid",
                None => "objectGUID",
            };
            pair(mine, &octets.to_string(), "onPremisesImmutableId", &octets.immutable_id())
        }
        MatchKey::SecurityIdentifier => {
            let sid = person.sid.map(|sid| sid.to_string()).unwrap_or_default();
            pair("objectSid", &sid, "onPremisesSecurityIdentifier", &sid)
        }
        MatchKey::UserPrincipalName => {
            let mine = name_or_none(person.user_principal_name.as_ref());
            pair("userPrincipalName", &mine, "userPrincipalName", &user.user_principal_name)
        }
        MatchKey::Mail => {
            let mine = [person.mail.as_ref(), person.addresses.primary()].into_iter().flatten();
            let shared = |address: &&Text| mail_addresses(user).any(|other| same(other, address));
            let address = name_or_none(mine.into_iter().find(shared));
            let (mine, theirs) = (
                if person.mail.as_deref().is_some_and(|mail| same(mail, &address)) {
                    "mail"
                } else {
                    "primary address"
                },
                if user.mail.as_deref().is_some_and(|mail| same(mail, &address)) {
                    "mail"
                } else {
                    "primary address"
                },
            );
            pair(mine, &address, theirs, &address)
        }
    }
}

/// Describes the users and accounts that an account could be tied to, each with its attribute.
pub fn describe_rivals(
    rivals: &Rivals,
    place: (u32, u32),
    directories: &[&Directory],
    tenant: &Tenant,
) -> Vec<String> {
    let users = rivals.users.iter().map(|(user, key)| {
        let user = &tenant.users[*user as usize];
        let attribute = match key {
            None => "by the link it has had",
            Some(MatchKey::ImmutableId) => "by onPremisesImmutableId",
            Some(MatchKey::SecurityIdentifier) => "by onPremisesSecurityIdentifier",
            Some(MatchKey::UserPrincipalName) => "by userPrincipalName",
            Some(MatchKey::Mail) => "by mail",
        };
        format!("tenant user {} ({}) {attribute}", inert(&user.user_principal_name), user.id)
    });
    // Positions follow the order of pages and files, which no output may show.
    let record = |(directory, person): (u32, u32)| {
        let directory = directories[directory as usize];
        (directory, &directory.people[person as usize])
    };
    let mut others: Vec<(u32, u32)> = rivals.people.iter().copied().filter(|other| *other != place).collect();
    let id = |place: &(u32, u32)| record(*place).1.guid;
    let more_people = others.len().saturating_sub(TOLD);
    if more_people > 0 {
        others.select_nth_unstable_by_key(TOLD, id);
        others.truncate(TOLD);
    }
    let people = others.into_iter().map(|place| {
        let (directory, person) = record(place);
        format!("directory account {} ({})", inert(&directory.dn_of(person)), person.guid)
    });
    let (mut users, mut people): (Vec<_>, Vec<_>) = (users.collect(), people.collect());
    users.sort_unstable();
    people.sort_unstable();
    users.append(&mut people);
    let more = rivals.more_users + more_people;
    if more > 0 {
        users.push(format!("and {more} more"));
    }
    users
}

/// As many users have no name in common by chance.
const MANY: usize = 100;

/// Finds users that nearly fit: an alias, or the local part of a name, is the same. For people
/// only; aliases are never a key.
pub struct Nearest<'a> {
    tenant: &'a Tenant,
    by_address: Index,
    by_local_part: Index,
}

impl<'a> Nearest<'a> {
    /// Makes a tenant's addresses ready.
    pub fn new(tenant: &'a Tenant) -> Self {
        let users = || (0_u32..).zip(&tenant.users);
        Self {
            tenant,
            by_address: Index::by_name(
                users().flat_map(|(position, user)| addresses(user).map(move |address| (position, address))),
            ),
            by_local_part: Index::by_name(
                users().map(|(position, user)| (position, local_part(&user.user_principal_name))),
            ),
        }
    }

    /// Describes up to three users for one person.
    pub fn users(&self, person: &Person) -> Vec<String> {
        let user = |position: u32| &self.tenant.users[position as usize];
        let names = [person.user_principal_name.as_ref(), person.mail.as_ref(), person.addresses.primary()];
        let names = || names.into_iter().flatten().chain(person.addresses.aliases()).map(Text::as_str);
        let by_address = |name| self.by_address.name(name, |position, is| addresses(user(position)).any(is));
        let by_local_part = |name| {
            let local = local_part(name);
            self.by_local_part.name(local, |position, is| is(local_part(&user(position).user_principal_name)))
        };
        let describe = |position: u32, why: &str| {
            format!(
                "tenant user {} ({}) {why}",
                inert(&user(position).user_principal_name),
                user(position).id
            )
        };
        let mut nearest: Vec<String> = Vec::new();
        let mut known = BTreeSet::new();
        for (found, why) in [
            (names().map(by_address).fold(Found::None, Found::or), "has the same address"),
            (names().map(by_local_part).fold(Found::None, Found::or), "has the same name in another domain"),
        ] {
            // A name that hundreds share says nothing, and describing them all takes its time.
            if found.positions().len() > MANY {
                continue;
            }
            let new = found.positions().iter().filter(|position| known.insert(**position));
            let mut described: Vec<String> = new.map(|position| describe(*position, why)).collect();
            described.sort_unstable();
            nearest.append(&mut described);
        }
        // A person reads three; a name that hundreds share says nothing.
        nearest.truncate(3);
        nearest
    }
}

fn addresses(user: &TenantUser) -> impl Iterator<Item = &str> {
    let aliases = user.addresses.aliases().iter().map(Text::as_str);
    std::iter::once(user.user_principal_name.as_str()).chain(mail_addresses(user)).chain(aliases)
}

/// Returns a name without its domain.
pub fn local_part(name: &str) -> &str {
    name.split_once('@').map_or(name, |(local, _)| local)
}
