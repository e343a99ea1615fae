//! What sources say of single people when they are asked once more, before somebody goes.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};

use crate::model::account::AccountKey;
use crate::model::directory::{Container, ContainerIndex, Directory, Member, Person};
use crate::model::dn::Dn;
use crate::model::guid::Guid;
use crate::model::reading::Reading;
use crate::model::tenant::{Licence, Tenant, TenantBuilder, TenantUser};
use crate::model::text::Text;

/// That people were asked for once more. What the answers told is in the readings already.
#[derive(Debug, Clone, Default)]
pub struct Confirmation {
    /// Who was asked for. Nobody else may be removed on the word of these readings.
    pub asked: BTreeSet<AccountKey>,
    /// Sources that gave no whole answer, by what to call them: nobody may be removed then.
    pub unanswered: Vec<(String, Reading<()>)>,
}

impl Confirmation {
    /// Takes the answer of a source, or notes that it gave none.
    pub fn take<T>(&mut self, source: String, answer: Reading<T>) -> Option<T> {
        let unanswered = match answer {
            Reading::Complete(answer) => return Some(answer),
            Reading::Incomplete(shortfall) => Reading::Incomplete(shortfall),
            Reading::Unavailable(fault) => Reading::Unavailable(fault),
        };
        self.unanswered.push((source, unanswered));
        None
    }

    /// Whether an account may be removed on the word of these readings.
    pub fn proves(&self, account: &AccountKey) -> bool {
        self.unanswered.is_empty() && self.asked.contains(account)
    }
}

/// Some people of a directory, as they are now.
#[derive(Debug, Default)]
pub struct PeopleNow {
    /// Those who exist, in any order. Whoever was asked for and is not among them is gone.
    pub people: Vec<PersonNow>,
}

/// A person of a directory, as it is now.
#[derive(Debug)]
pub struct PersonNow {
    /// The name.
    pub dn: Dn,
    /// The record; what it says of its place is not looked at.
    pub person: Person,
    /// Groups that it is a direct member of by its own word (memberOf), as far as the directory tells;
    /// never the primary group.
    pub groups: Vec<Dn>,
}

impl PeopleNow {
    /// Puts people into a directory as they are now. Whoever is gone stays as the directory was read:
    /// it is out either way.
    pub fn amend(mut self, directory: &mut Directory) {
        if self.people.is_empty() {
            return;
        }
        self.people.sort_unstable_by_key(|now| now.person.guid);
        let mut containers: HashMap<String, ContainerIndex> = (0..)
            .zip(&directory.containers)
            .map(|(position, container)| (container.dn.key().to_owned(), ContainerIndex(position)))
            .collect();
        let positions: HashMap<Guid, u32> =
            (0..).zip(&directory.people).map(|(position, person)| (person.guid, position)).collect();
        let mut memberships: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for PersonNow { dn, mut person, groups } in self.people {
            let (rdn, parent) = match dn.split_parent() {
                Some((rdn, parent)) => (Text::from(rdn), parent),
                None => (Text::from(dn.as_str()), directory.naming_context.clone()),
            };
            person.rdn = rdn;
            person.container = *containers.entry(parent.key().to_owned()).or_insert_with(|| {
                let index = ContainerIndex(position(directory.containers.len()));
                directory.containers.push(Container {
                    dn: parent,
                    guid: None,
                    is_organizational_unit: false,
                });
                index
            });
            let place = match positions.get(&person.guid) {
                Some(place) => {
                    directory.people[*place as usize] = person;
                    *place
                }
                None => {
                    directory.people.push(person);
                    position(directory.people.len() - 1)
                }
            };
            for group in groups {
                memberships.entry(group.key().to_owned()).or_default().insert(place);
            }
        }
        amend_members(directory, &memberships);
    }
}

/// Adds memberships that a group's own list did not tell of. None is taken back: the list was whole.
fn amend_members(directory: &mut Directory, memberships: &BTreeMap<String, BTreeSet<u32>>) {
    if memberships.is_empty() {
        return;
    }
    for group in &mut directory.groups {
        if let Some(people) = memberships.get(group.dn.key()) {
            let known: HashSet<Member> = group.members.iter().copied().collect();
            let told = people.iter().map(|person| Member::Person(*person));
            group.members.extend(told.filter(|member| !known.contains(member)));
        }
    }
}

impl Tenant {
    /// Puts users into the tenant as they are now. Whoever was asked for and does not exist any more
    /// stays as the tenant was read: it is out either way.
    pub fn amend(self, now: Self) -> Self {
        let mut builder = TenantBuilder::of(self);
        let mut users: Vec<(TenantUser, Vec<Licence>)> =
            now.users.iter().map(|user| (user.clone(), now.licences_of(user).to_vec())).collect();
        users.sort_unstable_by_key(|(user, _)| user.id);
        for (mut user, licences) in users {
            user.licences = builder.licence_set(licences);
            builder.user(user);
        }
        builder.finish()
    }
}

/// Narrows a position; see [`crate::model::directory`].
fn position(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
