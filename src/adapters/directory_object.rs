//! What an Active Directory object looks like: attributes to people, groups and containers. Shared by `ldap` and `ldif`.

use std::borrow::Cow;

use crate::adapters::directory_object_value::{Flaws, Slot, read_text};
use crate::model::directory::{ContainerIndex, Contradiction, DirectoryBuilder, Group, Person, Unidentified};
use crate::model::dn::Dn;
use crate::model::guid::Guid;
use crate::model::standing::{Expiry, Standing};
use crate::model::text::{Text, inert};

/// The attributes that people, groups and containers are read from. A search asks for these alone:
/// photographs and certificates are most of a directory's bytes.
pub const ATTRIBUTES: [&str; 22] = [
    "objectClass",
    "objectGUID",
    "objectSid",
    "cn",
    "sAMAccountName",
    "userPrincipalName",
    "displayName",
    "mail",
    "mobile",
    "proxyAddresses",
    "mS-DS-ConsistencyGuid",
    "primaryGroupID",
    "userAccountControl",
    "accountExpires",
    "lockoutTime",
    "adminCount",
    "groupType",
    "isCriticalSystemObject",
    "member",
    "isDeleted",
    "wellKnownObjects",
    "otherWellKnownObjects",
];

/// The classes of which something is kept. Members of groups are looked for among them: persons are
/// users, contacts, computers and managed service accounts, where a server knows of superior classes.
pub const CLASSES: [&str; 17] = [
    "user",
    "group",
    "person",
    "inetOrgPerson",
    "contact",
    "organizationalUnit",
    "container",
    "domain",
    "builtinDomain",
    "foreignSecurityPrincipal",
    "lostAndFound",
    "msDS-QuotaContainer",
    "publicFolder",
    "msExchDynamicDistributionList",
    "dcObject",
    "organization",
    "msDS-GroupManagedServiceAccount",
];

/// userAccountControl: the account is disabled (\[MS-ADTS\] 2.2.16).
const ACCOUNT_DISABLE: i64 = 0x2;
/// userAccountControl: an account of another domain or of a computer, and no person
/// (`INTERDOMAIN_TRUST_ACCOUNT`, `WORKSTATION_TRUST_ACCOUNT`, `SERVER_TRUST_ACCOUNT`).
const TRUST_ACCOUNT: i64 = 0x800 | 0x1000 | 0x2000;
/// groupType: created by the system (\[MS-ADTS\] 2.2.12).
const BUILTIN_LOCAL_GROUP: i64 = 0x1;
/// groupType: a security group. The attribute is a signed 32-bit integer.
const SECURITY_ENABLED: i64 = 0x8000_0000;

/// Containers by their identifier in `wellKnownObjects` and `otherWellKnownObjects`
/// (\[MS-ADTS\] 6.1.1.4), with the key of the RDN that they usually have.
const WELL_KNOWN: [(&str, &str); 10] = [
    ("a9d1ca15768811d1aded00c04fd8d5cd", "cn=users"),
    ("aa312825768811d1aded00c04fd8d5cd", "cn=computers"),
    ("a361b2ffffd211d1aa4b00c04fd7d83a", "ou=domain controllers"),
    ("ab1d30f3768811d1aded00c04fd8d5cd", "cn=system"),
    ("ab8153b7768811d1aded00c04fd8d5cd", "cn=lostandfound"),
    ("22b70c67d56e4efb91e9300fca3dc1aa", "cn=foreignsecurityprincipals"),
    ("09460c08ae1e4a4ea0f64aee7daa1e5a", "cn=program data"),
    ("6227f0af1fc2410d8e3bb10615bb5b0f", "cn=ntds quotas"),
    ("1eb93889e40c45df9f0c64d23bbb6237", "cn=managed service accounts"),
    ("683a24e2e8164bd3af86ac3c2cf3f981", "cn=keys"),
];

/// Why a reading cannot go on with an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// The entry contradicts one that was read before.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// The entry does not fit what was read of it before: it changed meanwhile, or the server
    /// contradicts itself.
    #[error("{0}")]
    Changed(String),
    /// The entry is not a record that may be left out, and cannot be understood.
    #[error("{0}")]
    Unreadable(String),
}

/// One entry of a directory, filled attribute by attribute and borrowed from where it was read.
#[derive(Debug)]
pub struct Entry<'a> {
    dn: Dn,
    classes: Classes,
    guid: Slot<'a>,
    sid: Slot<'a>,
    cn: Slot<'a>,
    sam_account_name: Slot<'a>,
    user_principal_name: Slot<'a>,
    display_name: Slot<'a>,
    mail: Slot<'a>,
    mobile: Slot<'a>,
    consistency_guid: Slot<'a>,
    primary_group: Slot<'a>,
    user_account_control: Slot<'a>,
    account_expires: Slot<'a>,
    lockout_time: Slot<'a>,
    admin_count: Slot<'a>,
    group_type: Slot<'a>,
    critical: Slot<'a>,
    deleted: Slot<'a>,
    addresses: Vec<&'a [u8]>,
    members: Vec<&'a [u8]>,
    well_known: Vec<&'a [u8]>,
    range: Option<MemberRange>,
    cut_attribute: bool,
}

/// Which of a group's members an entry holds, where the server sends them in portions
/// (`member;range=0-1499`, \[MS-ADTS\] 3.1.1.3.1.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberRange {
    /// The first member's number.
    pub first: usize,
    /// The last member's number; `None` if the portion is the last one.
    pub last: Option<usize>,
}

/// A group of which more members are to be fetched.
#[derive(Debug)]
pub struct PartialGroup {
    group: Group,
    members: Vec<Text>,
    whole: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Classes {
    any: bool,
    user: bool,
    group: bool,
    service_or_computer: bool,
    organizational_unit: bool,
    container: bool,
    builtin_domain: bool,
    foreign: bool,
}

impl MemberRange {
    /// Reads the option of an attribute description: `range=0-1499` or `range=1500-*`.
    fn parse(option: &str) -> Option<Self> {
        let (name, range) = option.split_once('=')?;
        let (first, last) = range.split_once('-')?;
        if !name.eq_ignore_ascii_case("range") {
            return None;
        }
        let first = first.parse().ok()?;
        match last {
            "*" => Some(Self { first, last: None }),
            last => {
                let last: usize = last.parse().ok()?;
                (last >= first).then_some(Self { first, last: Some(last) })
            }
        }
    }

    /// Whether nothing is missing: the portion begins with the first member and ends with the last.
    pub fn is_whole(self) -> bool {
        self.first == 0 && self.last.is_none()
    }
}

impl<'a> Entry<'a> {
    /// Starts an entry with its name.
    ///
    /// # Errors
    /// [`Obstacle::Unreadable`] if the name is no DN: such an entry can neither be placed nor be
    /// left out.
    pub fn new(name: &[u8]) -> Result<Self, Obstacle> {
        let text = std::str::from_utf8(name).map_err(|_| {
            Obstacle::Unreadable(format!(
                "the name of `{}` is not UTF-8",
                shown(&String::from_utf8_lossy(name))
            ))
        })?;
        let dn = Dn::parse(text)
            .map_err(|error| Obstacle::Unreadable(format!("`{}` is no name: {error}", shown(text))))?;
        Ok(Self {
            dn,
            classes: Classes::default(),
            guid: Slot::default(),
            sid: Slot::default(),
            cn: Slot::default(),
            sam_account_name: Slot::default(),
            user_principal_name: Slot::default(),
            display_name: Slot::default(),
            mail: Slot::default(),
            mobile: Slot::default(),
            consistency_guid: Slot::default(),
            primary_group: Slot::default(),
            user_account_control: Slot::default(),
            account_expires: Slot::default(),
            lockout_time: Slot::default(),
            admin_count: Slot::default(),
            group_type: Slot::default(),
            critical: Slot::default(),
            deleted: Slot::default(),
            addresses: Vec::new(),
            members: Vec::new(),
            well_known: Vec::new(),
            range: None,
            cut_attribute: false,
        })
    }

    /// Returns the entry's name.
    pub fn dn(&self) -> &Dn {
        &self.dn
    }

    /// Whether the entry says of which class it is; every entry of a directory does.
    pub fn has_class(&self) -> bool {
        self.classes.any
    }

    /// Returns which of the members the entry holds, where it does not hold them all at once.
    pub fn range(&self) -> Option<MemberRange> {
        self.range
    }

    /// Returns the members that the entry holds, as they were written.
    pub fn members(&self) -> impl Iterator<Item = Cow<'a, str>> + '_ {
        self.members.iter().map(|member| String::from_utf8_lossy(member))
    }

    /// Takes values of an attribute; others than [`ATTRIBUTES`] are ignored. May be called several
    /// times for one attribute.
    ///
    /// # Errors
    /// [`Obstacle::Unreadable`] for a range of members that is none.
    pub fn attribute(
        &mut self,
        description: &str,
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), Obstacle> {
        let Some((name, options)) = wanted(description) else {
            return Ok(());
        };
        if !options.is_empty() {
            let range = options.split(';').find(|option| starts_with_ignoring_case(option, "range="));
            match range {
                Some(range) if name == "member" => {
                    let range = MemberRange::parse(range).ok_or_else(|| {
                        let what = format!(
                            "{}: `{}` is no range of members",
                            shown(self.dn.as_str()),
                            shown(description)
                        );
                        Obstacle::Unreadable(what)
                    })?;
                    self.range = Some(range);
                }
                // No directory has a person with 1,500 addresses. If one does, part of a list is none.
                Some(_) => self.cut_attribute = true,
                None => {}
            }
        }
        let slot = match name {
            "objectClass" => {
                values.into_iter().for_each(|class| self.classes.add(class));
                return Ok(());
            }
            "proxyAddresses" => {
                self.addresses.extend(values);
                return Ok(());
            }
            "member" => {
                self.members.extend(values);
                return Ok(());
            }
            "wellKnownObjects" | "otherWellKnownObjects" => {
                self.well_known.extend(values);
                return Ok(());
            }
            "objectGUID" => &mut self.guid,
            "objectSid" => &mut self.sid,
            "cn" => &mut self.cn,
            "sAMAccountName" => &mut self.sam_account_name,
            "userPrincipalName" => &mut self.user_principal_name,
            "displayName" => &mut self.display_name,
            "mail" => &mut self.mail,
            "mobile" => &mut self.mobile,
            "mS-DS-ConsistencyGuid" => &mut self.consistency_guid,
            "primaryGroupID" => &mut self.primary_group,
            "userAccountControl" => &mut self.user_account_control,
            "accountExpires" => &mut self.account_expires,
            "lockoutTime" => &mut self.lockout_time,
            "adminCount" => &mut self.admin_count,
            "groupType" => &mut self.group_type,
            "isCriticalSystemObject" => &mut self.critical,
            _ => &mut self.deleted,
        };
        values.into_iter().for_each(|value| slot.add(value));
        Ok(())
    }

    /// Adds what the entry is to a reading.
    ///
    /// A person whose record is flawed is added as such. What is neither a person, a group nor a
    /// container is added as something that may be a member.
    ///
    /// # Errors
    /// [`Obstacle::Contradiction`] if the reading holds the name or the objectGUID already;
    /// [`Obstacle::Unreadable`] for a group without an objectGUID, or with a part of its members.
    pub fn add_to(self, builder: &mut DirectoryBuilder, naming_context: &Dn) -> Result<(), Obstacle> {
        if self.deleted.text() == Some("TRUE") {
            return Ok(());
        }
        if self.classes.group {
            if self.range.is_some_and(|range| !range.is_whole()) {
                let what = format!("only a part of the members of {} was given", shown(self.dn.as_str()));
                return Err(Obstacle::Unreadable(what));
            }
            let group = self.group()?;
            let members: Vec<Cow<'_, str>> = self.members().collect();
            builder.group(group, members.iter().map(AsRef::as_ref))?;
        } else if self.is_person() {
            self.add_person(builder)?;
        } else if self.classes.organizational_unit || self.classes.container {
            self.add_container(builder, naming_context)?;
        } else if self.classes.foreign {
            builder.foreign(&self.dn)?;
        } else {
            builder.other(&self.dn)?;
        }
        Ok(())
    }

    /// Keeps a group of which more members are to be fetched.
    ///
    /// # Errors
    /// [`Obstacle::Unreadable`] if it has no readable objectGUID, [`Obstacle::Changed`] if the portion is
    /// not the first.
    pub fn into_partial_group(self) -> Result<PartialGroup, Obstacle> {
        let mut partial = PartialGroup { group: self.group()?, members: Vec::new(), whole: false };
        partial.extend(&self)?;
        Ok(partial)
    }

    fn is_person(&self) -> bool {
        let trust = self.user_account_control.integer().is_some_and(|bits| bits & TRUST_ACCOUNT != 0);
        self.classes.user && !self.classes.service_or_computer && !trust
    }

    fn group(&self) -> Result<Group, Obstacle> {
        let Some(guid) = self.identity() else {
            let what = format!(
                "the group {} has no readable objectGUID: may the reader see it?",
                shown(self.dn.as_str())
            );
            return Err(Obstacle::Unreadable(what));
        };
        let kind = self.group_type.integer();
        Ok(Group {
            guid,
            sid: self.sid.sid(),
            cn: self.common_name(),
            sam_account_name: self.sam_account_name.text().map(Text::from),
            is_security: self.group_type.count == 0 || kind.is_some_and(|bits| bits & SECURITY_ENABLED != 0),
            is_critical: kind.is_some_and(|bits| bits & BUILTIN_LOCAL_GROUP != 0)
                || self.critical.text().is_some_and(|text| text.eq_ignore_ascii_case("TRUE")),
            members: Vec::new(),
            unseen: Vec::new(),
            foreign: Vec::new(),
            dn: self.dn.clone(),
        })
    }

    fn add_container(&self, builder: &mut DirectoryBuilder, naming_context: &Dn) -> Result<(), Obstacle> {
        builder.container(&self.dn, self.identity(), self.classes.organizational_unit)?;
        let sid = self.sid.sid();
        if self.dn == *naming_context {
            self.describe_domain(builder);
        } else if self.classes.builtin_domain && sid.is_some_and(|sid| sid.to_string() == "S-1-5-32") {
            builder.well_known("cn=builtin", self.dn.clone());
        }
        Ok(())
    }

    /// Tells a reading what the domain object says of the domain: its SID, and where it keeps its
    /// well-known containers.
    pub fn describe_domain(&self, builder: &mut DirectoryBuilder) {
        if let Some(sid) = self.sid.sid() {
            builder.domain_sid(sid);
        }
        for value in &self.well_known {
            if let Some((rdn_key, dn)) = well_known_container(value) {
                builder.well_known(rdn_key, dn);
            }
        }
    }

    fn add_person(&self, builder: &mut DirectoryBuilder) -> Result<(), Obstacle> {
        let mut flaws = Flaws::default();
        let Some(guid) = self.identity() else {
            let reason = match self.guid.count {
                0 => "it has no readable objectGUID",
                _ => "its objectGUID is not one value of 16 octets",
            };
            let person = Unidentified {
                dn: Text::from(self.dn.as_str()),
                sam_account_name: self.sam_account_name.text().map(Text::from),
                user_principal_name: self.user_principal_name.text().map(Text::from),
                reason: Box::from(reason),
            };
            builder.unidentified(&self.dn, person)?;
            return Ok(());
        };
        if self.cut_attribute {
            flaws.add("an attribute has more values than the server sends at once");
        }
        let sam_account_name = flaws.required("sAMAccountName", self.sam_account_name);
        let user_principal_name = flaws.optional("userPrincipalName", self.user_principal_name, true);
        let display_name = match flaws.optional("displayName", self.display_name.first(), false) {
            Some(name) => Text::from(name),
            None => self.common_name(),
        };
        let mail = flaws.optional("mail", self.mail, false).map(Text::from);
        let mobile = flaws.optional("mobile", self.mobile.first(), false).map(Text::from);
        let addresses = flaws.addresses(&self.addresses);
        let sid = flaws.sid(self.sid);
        let primary_group = flaws.integer("primaryGroupID", self.primary_group).and_then(|rid| {
            let narrowed = u32::try_from(rid).ok();
            if narrowed.is_none() {
                flaws.add("primaryGroupID is no RID");
            }
            narrowed
        });
        let control = flaws.integer("userAccountControl", self.user_account_control);
        if self.consistency_guid.count > 1 {
            flaws.add("mS-DS-ConsistencyGuid has several values");
        }
        let person = Person {
            guid,
            sid,
            rdn: Text::default(),
            container: ContainerIndex(0),
            sam_account_name: sam_account_name.map(Text::from).unwrap_or_default(),
            user_principal_name: user_principal_name.map(Text::from),
            display_name,
            mail,
            mobile,
            addresses,
            consistency_guid: self.consistency_guid.value.and_then(|octets| octets.try_into().ok()),
            primary_group,
            enabled: control.is_none_or(|bits| bits & ACCOUNT_DISABLE == 0),
            standing: self.standing(),
            invalid: flaws.into_reason(),
        };
        builder.person(&self.dn, person)?;
        Ok(())
    }

    /// What cannot be read here is not told: no rule asks for it, so nobody is kept out by it.
    fn standing(&self) -> Standing {
        Standing {
            expires: self.account_expires.integer().and_then(Expiry::from_file_time),
            is_locked: self.lockout_time.integer().is_some_and(|time| time != 0),
            has_admin_count: self.admin_count.integer() == Some(1),
        }
    }

    /// Returns the objectGUID, if there is exactly one value of 16 octets.
    pub fn identity(&self) -> Option<Guid> {
        match self.guid {
            Slot { value: Some(octets), count: 1 } => Guid::from_octet_slice(octets),
            _ => None,
        }
    }

    /// Returns cn; the name in the DN where there is none, several, or none that is text.
    fn common_name(&self) -> Text {
        match (self.cn.count, read_text(self.cn)) {
            (1, Ok(Some(name))) => Text::from(name),
            _ => Text::from(self.dn.rdn_value()),
        }
    }
}

impl PartialGroup {
    /// Returns the group's name.
    pub fn dn(&self) -> &Dn {
        &self.group.dn
    }

    /// Returns the number of the first member that is still to be fetched; `None` if all are there.
    pub fn next(&self) -> Option<usize> {
        (!self.whole).then_some(self.members.len())
    }

    /// Takes the next portion of members.
    ///
    /// # Errors
    /// [`Obstacle::Changed`] if the portion does not continue the one before it, is empty, or
    /// does not hold what it says: the server then contradicts itself, or the group changed.
    pub fn extend(&mut self, entry: &Entry<'_>) -> Result<(), Obstacle> {
        let broken = |what: &str| {
            let name = shown(self.group.dn.as_str());
            Obstacle::Changed(format!("the members of {name} did not arrive whole: {what}"))
        };
        let range = entry.range.ok_or_else(|| broken("a portion is missing"))?;
        if range.first != self.members.len() {
            return Err(broken("a portion does not continue the one before it"));
        }
        // The server chose the numbers: nothing is added to them, lest it be too much.
        let after_the_first = entry.members.len().checked_sub(1);
        if range.last.is_some_and(|last| after_the_first != Some(last.saturating_sub(range.first))) {
            return Err(broken("a portion does not hold what it says"));
        }
        self.members.extend(entry.members().map(|member| Text::from(member.as_ref())));
        self.whole = range.last.is_none();
        Ok(())
    }

    /// Adds the group to a reading.
    ///
    /// # Errors
    /// [`Obstacle::Contradiction`] if the reading holds the name or the objectGUID already.
    pub fn add_to(self, builder: &mut DirectoryBuilder) -> Result<(), Obstacle> {
        builder.group(self.group, self.members.iter().map(Text::as_str))?;
        Ok(())
    }
}

/// Returns the attribute of [`ATTRIBUTES`] that a description means, and its options. `None` for
/// others, and for values in a language: `displayName;lang-fr` is another attribute.
pub fn wanted(description: &str) -> Option<(&'static str, &str)> {
    let (name, options) = description.split_once(';').unwrap_or((description, ""));
    let known =
        |option: &str| option.eq_ignore_ascii_case("binary") || starts_with_ignoring_case(option, "range=");
    if !options.is_empty() && !options.split(';').all(known) {
        return None;
    }
    let name = ATTRIBUTES.iter().find(|attribute| attribute.eq_ignore_ascii_case(name))?;
    Some((name, options))
}

impl Classes {
    fn add(&mut self, class: &[u8]) {
        self.any = true;
        let is = |name: &str| class.eq_ignore_ascii_case(name.as_bytes());
        if is("user") {
            self.user = true;
        } else if is("group") {
            self.group = true;
        } else if is("computer")
            || is("msDS-ManagedServiceAccount")
            || is("msDS-GroupManagedServiceAccount")
            || is("msDS-DelegatedManagedServiceAccount")
        {
            self.service_or_computer = true;
        } else if is("foreignSecurityPrincipal") {
            self.foreign = true;
        } else if is("organizationalUnit") {
            self.organizational_unit = true;
        } else if is("builtinDomain") {
            self.builtin_domain = true;
            self.container = true;
        } else if is("container")
            || is("domain")
            || is("domainDNS")
            || is("dcObject")
            || is("organization")
            || is("lostAndFound")
            || is("msDS-QuotaContainer")
        {
            self.container = true;
        }
    }
}

/// Reads a DN with binary (`B:32:A9D1CA15…:CN=Users,DC=…`, \[MS-ADTS\] 3.1.1.2.2.2.1).
fn well_known_container(value: &[u8]) -> Option<(&'static str, Dn)> {
    let text = std::str::from_utf8(value).ok()?;
    let (guid, dn) = text.strip_prefix("B:32:")?.split_once(':')?;
    let (_, rdn_key) = WELL_KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(guid))?;
    Some((rdn_key, Dn::parse(dn).ok()?))
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Shortens and defuses a name from outside for a message.
pub fn shown(text: &str) -> String {
    let text = inert(text);
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::directory::Directory;

    const GUID: &[u8] = b"0123456789abcdef";

    /// Reads one entry of the domain `DC=x`.
    fn read(dn: &str, attributes: &[(&str, &[u8])]) -> Result<Directory, Obstacle> {
        let domain = Dn::parse("DC=x").expect("a DN");
        let mut builder = DirectoryBuilder::new(Text::from("main"), domain.clone(), domain.clone());
        let mut entry = Entry::new(dn.as_bytes())?;
        for (name, value) in attributes {
            entry.attribute(name, [*value])?;
        }
        entry.add_to(&mut builder, &domain)?;
        Ok(builder.finish())
    }

    fn person(attributes: &[(&str, &[u8])]) -> Person {
        let mut all: Vec<(&str, &[u8])> = vec![("objectClass", b"user"), ("objectGUID", GUID)];
        if !attributes.iter().any(|(name, _)| *name == "sAMAccountName") {
            all.push(("sAMAccountName", b"jane"));
        }
        all.extend_from_slice(attributes);
        let mut directory = read("CN=Jane,OU=Staff,DC=x", &all).expect("readable");
        assert_eq!(directory.people.len(), 1);
        directory.people.remove(0)
    }

    fn flaw(attributes: &[(&str, &[u8])]) -> String {
        person(attributes).invalid.expect("a flaw").into_string()
    }

    #[test]
    fn a_value_that_cannot_be_used_makes_the_record_invalid() {
        let long = vec![b'x'; 64 * 1024 + 1];
        assert_eq!(flaw(&[("userPrincipalName", b"\xFF@x")]), "userPrincipalName is not UTF-8");
        assert_eq!(flaw(&[("sAMAccountName", b"  ")]), "sAMAccountName is blank");
        assert_eq!(flaw(&[("userPrincipalName", b"")]), "userPrincipalName is blank");
        assert_eq!(flaw(&[("displayName", &long)]), "displayName is 65537 bytes long");
        assert_eq!(flaw(&[("mail", b"a@x"), ("mail", b"b@x")]), "mail has 2 values");
        assert_eq!(flaw(&[("proxyAddresses", b"smtp:\xFF")]), "proxyAddresses is not UTF-8");
        assert_eq!(flaw(&[("objectSid", b"short")]), "objectSid is not one SID");
        assert_eq!(flaw(&[("userAccountControl", b"512x")]), "userAccountControl is no number");
        assert_eq!(flaw(&[("primaryGroupID", b"-1")]), "primaryGroupID is no RID");
        assert_eq!(
            flaw(&[("proxyAddresses", b"SMTP:a@x"), ("proxyAddresses", b"SMTP:b@x")]),
            "proxyAddresses has several primary (SMTP:) addresses"
        );
        assert_eq!(
            flaw(&[("sAMAccountName", b"\xFF"), ("userPrincipalName", b" ")]),
            "sAMAccountName is not UTF-8; userPrincipalName is blank"
        );
    }

    #[test]
    fn a_blank_or_missing_display_name_falls_back_to_the_common_name() {
        assert_eq!(person(&[("displayName", b" "), ("cn", b"Jane Doe")]).display_name, "Jane Doe");
        assert_eq!(person(&[("cn", b"J. Doe")]).display_name, "J. Doe");
        assert_eq!(person(&[("cn", b"\xFF")]).display_name, "Jane", "the name in the DN");
        assert_eq!(person(&[("mail", b" ")]).mail, None);
        assert_eq!(person(&[("mail", b" ")]).invalid, None);
    }

    #[test]
    fn the_standing_of_an_account_is_read_and_never_a_flaw() {
        let told = [
            ("accountExpires", &b"132223104000000000"[..]),
            ("lockoutTime", b"132223104000000000"),
            ("adminCount", b"1"),
        ];
        let standing = person(&told).standing;
        // 13,222,310,400 seconds after 1601 are 1,577,836,800 after 1970.
        let expires = standing.expires.and_then(Expiry::instant).map(|at| at.to_string());
        assert_eq!(expires.as_deref(), Some("2020-01-01T00:00:00Z"));
        assert!(standing.is_locked && standing.has_admin_count);
        for nothing in ["0", "x", "", "9223372036854775807"] {
            let told = [
                ("accountExpires", nothing.as_bytes()),
                ("lockoutTime", if nothing.len() > 1 { b"0" } else { nothing.as_bytes() }),
                ("adminCount", nothing.as_bytes()),
            ];
            let person = person(&told);
            assert_eq!((person.standing, person.invalid), (Standing::default(), None), "{nothing}");
        }
    }

    #[test]
    fn sixteen_octets_are_an_identity_and_an_anchor_and_others_are_none() {
        let without = |octets: &[u8]| {
            read("CN=a,DC=x", &[("objectClass", b"user"), ("objectGUID", octets)]).expect("readable")
        };
        for octets in [&GUID[..15], b"", b"00112233-4455-6677-8899-aabbccddeeff"] {
            assert_eq!((without(octets).people.len(), without(octets).unidentified.len()), (0, 1));
        }
        let two = [("objectClass", &b"user"[..]), ("objectGUID", GUID), ("objectGUID", b"fedcba9876543210")];
        assert_eq!(read("CN=a,DC=x", &two).expect("readable").unidentified.len(), 1);
        assert_eq!(person(&[("mS-DS-ConsistencyGuid", b"short")]).consistency_guid, None);
        assert!(person(&[("mS-DS-ConsistencyGuid", GUID)]).consistency_guid.is_some());
    }

    #[test]
    fn managed_service_accounts_and_users_of_other_kinds_are_no_people() {
        for class in ["computer", "msDS-GroupManagedServiceAccount", "msDS-ManagedServiceAccount"] {
            let directory = read(
                "CN=a,DC=x",
                &[("objectClass", b"user"), ("objectClass", class.as_bytes()), ("objectGUID", GUID)],
            )
            .expect("readable");
            assert!(directory.people.is_empty(), "{class}");
        }
        for control in ["2048", "4096", "8192", "8704"] {
            let directory = read(
                "CN=a,DC=x",
                &[("objectClass", b"user"), ("objectGUID", GUID), ("userAccountControl", control.as_bytes())],
            );
            assert!(directory.expect("readable").people.is_empty(), "userAccountControl {control}");
        }
        let both = [("objectClass", &b"inetOrgPerson"[..]), ("objectClass", b"user"), ("objectGUID", GUID)];
        assert_eq!(read("CN=a,DC=x", &both).expect("readable").people.len(), 1);
    }

    #[test]
    fn a_group_without_identity_or_with_part_of_its_members_stops_the_reading() {
        let group = |more: &[(&str, &[u8])]| {
            let mut all: Vec<(&str, &[u8])> = vec![("objectClass", b"group")];
            all.extend_from_slice(more);
            read("CN=g,DC=x", &all)
        };
        assert!(matches!(group(&[]), Err(Obstacle::Unreadable(_))));
        assert!(group(&[("objectGUID", GUID), ("member;range=0-*", b"CN=a,DC=x")]).is_ok());
        assert!(matches!(
            group(&[("objectGUID", GUID), ("member;range=0-0", b"CN=a,DC=x")]),
            Err(Obstacle::Unreadable(_))
        ));
    }

    #[test]
    fn an_attribute_in_a_language_is_another_attribute() {
        assert_eq!(wanted("displayName;lang-fr"), None);
        assert_eq!(wanted("OBJECTGUID;binary"), Some(("objectGUID", "binary")));
        assert_eq!(wanted("jpegPhoto"), None);
    }

    #[test]
    fn names_that_are_none_are_neither_placed_nor_left_out() {
        assert!(matches!(read("nonsense", &[]), Err(Obstacle::Unreadable(_))));
        assert!(matches!(Entry::new(b"CN=\xFF,DC=x"), Err(Obstacle::Unreadable(_))));
    }
}
