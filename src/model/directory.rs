//! A directory as it was read: people, groups and the containers they lie in.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::addresses::Addresses;
use crate::model::dn::{Dn, key_is_under};
use crate::model::guid::{Guid, Octets};
use crate::model::sid::Sid;
use crate::model::standing::Standing;
use crate::model::text::Text;

/// Stands among a group's unseen members where none of them may be read.
const HIDDEN_MEMBERS: &str = "(all of them)";

/// Everything that one directory holds and the rules need, independent of policies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Directory {
    /// The name of the directory within its customer.
    pub name: Text,
    /// Below which name was read; relative names of a policy are completed with it.
    pub base: Dn,
    /// The domain's naming context: unsupported containers lie directly below it.
    pub naming_context: Dn,
    /// The domain's SID, where the directory tells.
    pub domain_sid: Option<Sid>,
    /// Where it was read, if another reading may have come from somewhere else.
    pub origin: Option<Origin>,
    /// The containers that the directory keeps under another name than the usual one, by the
    /// usual RDN's key: `cn=users` may be redirected to `OU=People`.
    pub well_known: BTreeMap<Text, Dn>,
    /// OUs and containers, also those only seen as somebody's parent.
    pub containers: Vec<Container>,
    /// User objects, and no computers, contacts or managed service accounts.
    pub people: Vec<Person>,
    /// Groups with their direct members; also those of the domain outside of the base, which decide
    /// about people below it.
    pub groups: Vec<Group>,
    /// User objects without a usable objectGUID: nobody, but perhaps a known account.
    pub unidentified: Vec<Unidentified>,
}

/// Where a directory was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A server, by a name that no other server of the directory has.
    Server(Text),
    /// A file that cannot prove itself whole, by its name, size and time.
    File(Text),
}

/// An index into [`Directory::containers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContainerIndex(pub u32);

/// An OU or another container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub dn: Dn,
    /// Its objectGUID; absent for a container that was only seen as a parent.
    pub guid: Option<Guid>,
    /// Whether it is an organizationalUnit.
    pub is_organizational_unit: bool,
}

/// A user object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Person {
    /// objectGUID: who this is, for ever.
    pub guid: Guid,
    /// objectSid.
    pub sid: Option<Sid>,
    /// The first RDN as written, for example `CN=Jane Doe`.
    pub rdn: Text,
    /// Where the object lies.
    pub container: ContainerIndex,
    /// sAMAccountName.
    pub sam_account_name: Text,
    /// userPrincipalName.
    pub user_principal_name: Option<Text>,
    /// displayName, else the common name.
    pub display_name: Text,
    /// mail.
    pub mail: Option<Text>,
    /// mobile.
    pub mobile: Option<Text>,
    /// The addresses of proxyAddresses.
    pub addresses: Addresses,
    /// mS-DS-ConsistencyGuid, where it holds exactly 16 octets.
    pub consistency_guid: Option<Octets>,
    /// The RID of the primary group, whose member the person is although no list says so.
    pub primary_group: Option<u32>,
    /// Whether the account may be used (userAccountControl without ACCOUNTDISABLE).
    pub enabled: bool,
    /// Whether it has expired or is locked, which decides nothing.
    pub standing: Standing,
    /// What is wrong with the record, if anything: such a person is neither added nor removed.
    pub invalid: Option<Box<str>>,
}

/// A user object without a usable objectGUID.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unidentified {
    /// Its name.
    pub dn: Text,
    /// sAMAccountName, where there is one.
    pub sam_account_name: Option<Text>,
    /// userPrincipalName, where there is one.
    pub user_principal_name: Option<Text>,
    /// What is wrong with the record.
    pub reason: Box<str>,
}

/// A group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// objectGUID.
    pub guid: Guid,
    /// objectSid.
    pub sid: Option<Sid>,
    /// Its name.
    pub dn: Dn,
    /// Common name.
    pub cn: Text,
    /// sAMAccountName.
    pub sam_account_name: Option<Text>,
    /// Whether it is a security group, as opposed to a distribution list.
    pub is_security: bool,
    /// Whether the directory itself needs it: isCriticalSystemObject, or created by the system.
    pub is_critical: bool,
    /// Direct members that the reading holds.
    pub members: Vec<Member>,
    /// Direct members that the reading does not hold: hidden by permissions, or of another domain of
    /// the forest.
    pub unseen: Vec<Text>,
    /// Direct members that are accounts of another forest or of the machine, by their SIDs: the
    /// directory holds a stand-in for each, and never the account.
    pub foreign: Vec<Text>,
}

/// A direct member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Member {
    /// An index into [`Directory::people`].
    Person(u32),
    /// An index into [`Directory::groups`].
    Group(u32),
    /// A computer, a contact, a managed service account; or somebody of the domain who lies outside
    /// of the base: known, and never imported.
    Other,
}

impl Origin {
    /// Returns its name.
    pub fn name(&self) -> &Text {
        match self {
            Self::Server(name) | Self::File(name) => name,
        }
    }
}

impl Member {
    /// Returns the index of a person.
    pub fn person(&self) -> Option<u32> {
        match self {
            Self::Person(index) => Some(*index),
            Self::Group(_) | Self::Other => None,
        }
    }

    /// Returns the index of a group.
    pub fn group(&self) -> Option<u32> {
        match self {
            Self::Group(index) => Some(*index),
            Self::Person(_) | Self::Other => None,
        }
    }
}

impl Group {
    /// Whether the reader is shown none of the members that the group has.
    pub fn hides_members(&self) -> bool {
        self.unseen.iter().any(|member| member == HIDDEN_MEMBERS)
    }
}

impl Directory {
    /// Whether a group is one that every domain or every machine has, whatever it is called.
    pub fn is_default(&self, group: &Group) -> bool {
        // RIDs below 1000 are those of the domain's default accounts and groups ([MS-DTYP] 2.4.2.4).
        let by_sid = group.sid.is_some_and(|sid| {
            sid.is_builtin() || (self.is_of_domain(&sid) && sid.rid().is_some_and(|rid| rid < 1000))
        });
        by_sid || group.is_critical
    }

    /// Whether a SID is one of this domain's. A directory that does not tell its own SID (an export of
    /// one OU, a reader that may not see the domain) is taken to hold its own groups.
    pub fn is_of_domain(&self, sid: &Sid) -> bool {
        match self.domain_sid {
            Some(domain) => sid.domain() == Some(domain),
            None => sid.is_of_a_domain(),
        }
    }

    /// Returns the full name of a person.
    pub fn dn_of(&self, person: &Person) -> String {
        format!("{},{}", person.rdn, self.container_of(person).dn)
    }

    /// Returns the container that a person lies in.
    pub fn container_of(&self, person: &Person) -> &Container {
        &self.containers[person.container.0 as usize]
    }

    /// Marks the containers that are one of `roots` or lie below one.
    pub fn containers_under(&self, roots: &[&Dn]) -> Vec<bool> {
        let is_under =
            |container: &Container| roots.iter().any(|root| key_is_under(container.dn.key(), root.key()));
        self.containers.iter().map(is_under).collect()
    }
}

/// Collects the objects of a reading as they arrive, page by page and in any order, and resolves
/// members to people and groups at the end.
///
/// Members are kept as hashes of their names meanwhile: 100,000 people in 20 groups each are
/// 32 MB so, and would be 200 MB as text.
pub struct DirectoryBuilder {
    directory: Directory,
    parents: HashMap<Text, ContainerIndex>,
    objects: HashMap<NameHash, Object>,
    guids: HashSet<Guid>,
    members: Vec<Vec<(NameHash, Reach)>>,
    /// The stand-ins of accounts of other forests, by their SIDs.
    foreign: Vec<Text>,
}

/// Where a member lies, and so what it means if the reading does not hold it.
enum Reach {
    /// Below the base: it was not shown.
    Base,
    /// In the domain, outside of the base: whoever chose the base left it out.
    Domain,
    /// In another domain, under this name: it is never read.
    Elsewhere(Text),
}

/// What the collected objects contradict each other in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// Two objects carry one objectGUID.
    #[error("two objects have the objectGUID {0}")]
    DuplicateGuid(Guid),
    /// Two objects carry one name.
    #[error("two objects have the name {0}")]
    DuplicateName(String),
}

/// 128 bits of the SHA-256 of a name's key: names come from outside, so a hash that somebody
/// could steer would let one object pass for another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct NameHash([u8; 16]);

#[derive(Clone, Copy)]
enum Object {
    Person(u32),
    Group(u32),
    /// An index into the builder's stand-ins.
    Foreign(u32),
    Other,
}

impl NameHash {
    fn of(key: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(half)
    }
}

impl DirectoryBuilder {
    /// Starts a reading of one directory.
    pub fn new(name: Text, base: Dn, naming_context: Dn) -> Self {
        Self {
            directory: Directory {
                name,
                base,
                naming_context,
                domain_sid: None,
                origin: None,
                well_known: BTreeMap::new(),
                containers: Vec::new(),
                people: Vec::new(),
                groups: Vec::new(),
                unidentified: Vec::new(),
            },
            parents: HashMap::new(),
            objects: HashMap::new(),
            guids: HashSet::new(),
            members: Vec::new(),
            foreign: Vec::new(),
        }
    }

    /// Returns how many user objects arrived so far.
    pub fn people(&self) -> usize {
        self.directory.people.len() + self.directory.unidentified.len()
    }

    /// Whether an object with this objectGUID arrived.
    pub fn holds(&self, guid: Guid) -> bool {
        self.guids.contains(&guid)
    }

    /// Sets the domain's SID.
    pub fn domain_sid(&mut self, sid: Sid) {
        self.directory.domain_sid = Some(sid);
    }

    /// Sets where the directory is read.
    pub fn origin(&mut self, origin: Origin) {
        self.directory.origin = Some(origin);
    }

    /// Records where the directory keeps a container that is usually called `rdn_key`.
    pub fn well_known(&mut self, rdn_key: &str, dn: Dn) {
        self.directory.well_known.insert(Text::from(rdn_key), dn);
    }

    /// Adds a person; its `container` and `rdn` are set from the name.
    pub fn person(&mut self, dn: &Dn, mut person: Person) -> Result<(), Contradiction> {
        let index = Object::Person(index_of(self.directory.people.len()));
        self.claim(dn, Some(person.guid), index)?;
        (person.rdn, person.container) = self.place(dn);
        self.directory.people.push(person);
        Ok(())
    }

    /// Adds a group and the names of its direct members. `members` are the DNs as the directory
    /// wrote them; one that is no DN counts as unseen.
    pub fn group<'a>(
        &mut self,
        group: Group,
        members: impl Iterator<Item = &'a str>,
    ) -> Result<(), Contradiction> {
        let index = Object::Group(index_of(self.directory.groups.len()));
        self.claim(&group.dn, Some(group.guid), index)?;
        let Directory { base, naming_context: domain, .. } = &self.directory;
        let mut hashes = Vec::new();
        let mut group = group;
        for written in members {
            match Dn::parse(written) {
                Ok(dn) => {
                    let reach = match () {
                        () if dn.is_under(base) => Reach::Base,
                        () if dn.is_under(domain) => Reach::Domain,
                        () => Reach::Elsewhere(Text::from(written)),
                    };
                    hashes.push((NameHash::of(dn.key()), reach));
                }
                Err(_) => group.unseen.push(Text::from(written)),
            }
        }
        self.directory.groups.push(group);
        self.members.push(hashes);
        Ok(())
    }

    /// Adds an OU or another container.
    pub fn container(
        &mut self,
        dn: &Dn,
        guid: Option<Guid>,
        is_organizational_unit: bool,
    ) -> Result<(), Contradiction> {
        let index = self.container_index(dn);
        self.claim(dn, guid, Object::Other)?;
        let container = &mut self.directory.containers[index.0 as usize];
        container.guid = guid;
        container.is_organizational_unit = is_organizational_unit;
        Ok(())
    }

    /// Adds an object that may be a member and is never imported: a computer, a contact.
    pub fn other(&mut self, dn: &Dn) -> Result<(), Contradiction> {
        self.claim(dn, None, Object::Other)
    }

    /// Adds the stand-in of an account of another forest: its name is that account's SID.
    pub fn foreign(&mut self, dn: &Dn) -> Result<(), Contradiction> {
        let position = index_of(self.foreign.len());
        self.foreign.push(Text::from(dn.rdn_value()));
        self.claim(dn, None, Object::Foreign(position))
    }

    /// Adds a user object that has no usable objectGUID.
    pub fn unidentified(&mut self, dn: &Dn, person: Unidentified) -> Result<(), Contradiction> {
        self.claim(dn, None, Object::Other)?;
        self.directory.unidentified.push(person);
        Ok(())
    }

    /// Returns the security groups that showed no member at all, by their position, and that somebody
    /// may have made for a purpose.
    pub fn groups_that_look_empty(&self) -> impl Iterator<Item = (usize, &Group)> {
        let groups = self.directory.groups.iter().zip(&self.members).enumerate();
        groups
            .filter(|(_, (group, members))| members.is_empty() && group.unseen.is_empty())
            .map(|(position, (group, _))| (position, group))
            .filter(|(_, group)| group.is_security && !self.directory.is_default(group))
    }

    /// Records that a group has members, and that none of them is shown.
    pub fn members_are_hidden(&mut self, position: usize) {
        self.directory.groups[position].unseen.push(Text::from(HIDDEN_MEMBERS));
    }

    /// Resolves members and returns the directory.
    pub fn finish(mut self) -> Directory {
        for (group, hashes) in self.directory.groups.iter_mut().zip(self.members) {
            for (hash, reach) in hashes {
                match (self.objects.get(&hash), reach) {
                    (Some(Object::Person(index)), _) => group.members.push(Member::Person(*index)),
                    (Some(Object::Group(index)), _) => group.members.push(Member::Group(*index)),
                    (Some(Object::Foreign(index)), _) => {
                        group.members.push(Member::Other);
                        group.foreign.push(self.foreign[*index as usize].clone());
                    }
                    (Some(Object::Other), _) | (None, Reach::Domain) => group.members.push(Member::Other),
                    (None, Reach::Base) => {
                        group.unseen.push(Text::from("(a member in this domain that was not shown)"));
                    }
                    (None, Reach::Elsewhere(written)) => group.unseen.push(written),
                }
            }
            group.members.shrink_to_fit();
        }
        self.directory
    }

    fn claim(&mut self, dn: &Dn, guid: Option<Guid>, object: Object) -> Result<(), Contradiction> {
        if let Some(guid) = guid
            && !self.guids.insert(guid)
        {
            return Err(Contradiction::DuplicateGuid(guid));
        }
        match self.objects.insert(NameHash::of(dn.key()), object) {
            None => Ok(()),
            Some(_) => Err(Contradiction::DuplicateName(dn.to_string())),
        }
    }

    fn place(&mut self, dn: &Dn) -> (Text, ContainerIndex) {
        match dn.split_parent() {
            Some((rdn, parent)) => (Text::from(rdn), self.container_index(&parent)),
            None => {
                let root = self.directory.naming_context.clone();
                (Text::from(dn.as_str()), self.container_index(&root))
            }
        }
    }

    fn container_index(&mut self, dn: &Dn) -> ContainerIndex {
        if let Some(index) = self.parents.get(dn.key()) {
            return *index;
        }
        let index = ContainerIndex(index_of(self.directory.containers.len()));
        let container = Container { dn: dn.clone(), guid: None, is_organizational_unit: false };
        self.directory.containers.push(container);
        self.parents.insert(Text::from(dn.key()), index);
        index
    }
}

/// Narrows an index. A directory of four thousand million people does not fit into memory long
/// before it does not fit into 32 bits.
fn index_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
impl Person {
    /// Makes somebody of whom nothing is known but a number.
    pub(crate) fn numbered(number: u128) -> Self {
        Self {
            guid: Guid::from_u128(number),
            sid: None,
            rdn: Text::default(),
            container: ContainerIndex(0),
            sam_account_name: Text::from("jane"),
            user_principal_name: None,
            display_name: Text::from("Jane"),
            mail: None,
            mobile: None,
            addresses: Addresses::default(),
            consistency_guid: None,
            primary_group: None,
            enabled: true,
            standing: Standing::default(),
            invalid: None,
        }
    }
}

#[cfg(test)]
impl Group {
    /// Makes a security group without members, of which nothing is known but its name and a number.
    pub(crate) fn numbered(dn: Dn, number: u128) -> Self {
        Self {
            guid: Guid::from_u128(number),
            sid: None,
            cn: Text::from(dn.rdn_value()),
            dn,
            sam_account_name: None,
            is_security: true,
            is_critical: false,
            members: Vec::new(),
            unseen: Vec::new(),
            foreign: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn builder() -> DirectoryBuilder {
        DirectoryBuilder::new(Text::from("main"), dn("DC=contoso,DC=test"), dn("DC=contoso,DC=test"))
    }

    #[test]
    fn members_are_resolved_whatever_the_order_and_the_spelling() {
        let mut builder = builder();
        let members =
            ["cn=JANE,ou=staff,dc=contoso,dc=test", "CN=Gone,DC=contoso,DC=test", "CN=x,DC=other,DC=test"];
        builder.group(Group::numbered(dn("CN=g,DC=contoso,DC=test"), 1), members.into_iter()).expect("added");
        builder.person(&dn("CN=Jane,OU=Staff,DC=contoso,DC=test"), Person::numbered(2)).expect("added");
        let directory = builder.finish();
        assert_eq!(directory.groups[0].members, [Member::Person(0)]);
        assert_eq!(directory.groups[0].unseen.len(), 2);
        assert_eq!(directory.dn_of(&directory.people[0]), "CN=Jane,OU=Staff,DC=contoso,DC=test");
    }

    #[test]
    fn a_member_outside_of_the_base_is_nobody_and_not_unseen() {
        let base = dn("OU=Staff,DC=contoso,DC=test");
        let mut builder = DirectoryBuilder::new(Text::from("main"), base, dn("DC=contoso,DC=test"));
        let members = [
            "CN=Jane,OU=Staff,DC=contoso,DC=test",
            "CN=Hidden,OU=Staff,DC=contoso,DC=test",
            "CN=Administrator,CN=Users,DC=contoso,DC=test",
            "CN=Inner,OU=Groups,DC=contoso,DC=test",
            "CN=x,DC=other,DC=test",
        ];
        let outer = Group::numbered(dn("CN=Outer,OU=Groups,DC=contoso,DC=test"), 1);
        builder.group(outer, members.into_iter()).expect("added");
        let inner = Group::numbered(dn("CN=Inner,OU=Groups,DC=contoso,DC=test"), 3);
        builder.group(inner, [].into_iter()).expect("added");
        builder.person(&dn("CN=Jane,OU=Staff,DC=contoso,DC=test"), Person::numbered(2)).expect("added");
        let directory = builder.finish();
        let outer = &directory.groups[0];
        assert_eq!(outer.members, [Member::Person(0), Member::Other, Member::Group(1)]);
        assert_eq!(outer.unseen, ["(a member in this domain that was not shown)", "CN=x,DC=other,DC=test"]);
    }

    #[test]
    fn one_guid_or_one_name_twice_is_a_contradiction() {
        let mut builder = builder();
        builder.person(&dn("CN=a,DC=contoso,DC=test"), Person::numbered(1)).expect("added");
        let guid = builder.person(&dn("CN=b,DC=contoso,DC=test"), Person::numbered(1));
        assert_eq!(guid, Err(Contradiction::DuplicateGuid(Guid::from_u128(1))));
        let name = builder.person(&dn("cn=A,dc=contoso,dc=test"), Person::numbered(2));
        assert!(matches!(name, Err(Contradiction::DuplicateName(_))));
    }

    #[test]
    fn a_container_read_after_its_children_is_the_same_container() {
        let mut builder = builder();
        builder.person(&dn("CN=a,OU=Staff,DC=contoso,DC=test"), Person::numbered(1)).expect("added");
        builder.container(&dn("OU=Staff,DC=contoso,DC=test"), Some(Guid::from_u128(9)), true).expect("added");
        let directory = builder.finish();
        assert_eq!(directory.containers.len(), 1);
        assert_eq!(directory.container_of(&directory.people[0]).guid, Some(Guid::from_u128(9)));
    }
}
