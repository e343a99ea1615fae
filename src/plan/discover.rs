//! What a policy may select in a customer's directories: OUs with their users, groups with their members.

use hashbrown::{HashMap, HashSet};

use crate::model::directory::{Container, Directory, Group, Member};
use crate::model::dn::Dn;
use crate::model::guid::Guid;
use crate::model::text::{Text, fold, is_plain};
use crate::plan::membership::DirectMembers;
use crate::plan::refusal::{refuse_group, unsupported_containers};
use crate::policy::document_import;
use crate::policy::fleet::{GroupName, OuName};
use crate::policy::value;

/// An OU, or another container that holds users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredUnit {
    /// The directory's name.
    pub directory: Text,
    /// Its name.
    pub dn: Dn,
    /// What a policy's `organizationalUnits` takes to mean it; `None` if nothing does.
    pub entry: Option<String>,
    /// Its objectGUID, where that can be read.
    pub guid: Option<Guid>,
    /// How many user accounts lie directly in it.
    pub direct_users: usize,
    /// How many lie in it and below it.
    pub subtree_users: usize,
    /// Why it is not worth selecting, or cannot be; `None` if it is.
    pub reason: Option<String>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredGroup {
    /// The directory's name.
    pub directory: Text,
    /// Its name.
    pub dn: Dn,
    /// Its common name.
    pub name: Text,
    /// Its sAMAccountName.
    pub sam_account_name: Option<Text>,
    /// Its objectGUID.
    pub guid: Guid,
    /// What a policy's `securityGroups` takes to mean it.
    pub entry: String,
    /// How many direct members it has, those whose primary group it is among them.
    pub members: usize,
    /// How many of them are people, whom a policy that selects it would see.
    pub people: usize,
    /// Why it may not be selected; `None` if it may.
    pub reason: Option<String>,
}

/// A row of what was discovered.
pub trait Discovered {
    /// Why it may not be selected; `None` if it may.
    fn reason(&self) -> Option<&str>;
    /// What it is called: each text is searched.
    fn names(&self) -> Vec<String>;

    /// Whether a text is a part of one of its names, whatever the case.
    fn fits(&self, search: &str) -> bool {
        let search = fold(search);
        self.names().iter().any(|name| fold(name).contains(search.as_ref()))
    }
}

impl Discovered for DiscoveredUnit {
    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    fn names(&self) -> Vec<String> {
        let mut names = vec![self.dn.rdn_value(), self.dn.as_str().to_owned()];
        names.extend(self.entry.clone());
        names
    }
}

impl Discovered for DiscoveredGroup {
    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    fn names(&self) -> Vec<String> {
        let mut names = vec![self.name.to_string(), self.dn.as_str().to_owned(), self.entry.clone()];
        names.extend(self.sam_account_name.as_ref().map(Text::to_string));
        names
    }
}

/// Lists OUs, and other containers that hold users: by directory, each one before what lies in it.
/// `all_read` tells whether these are all directories of the customer: if not, names that another
/// directory may have, too, are no entries.
pub fn discover_units(directories: &[&Directory], all_read: bool) -> Vec<DiscoveredUnit> {
    let names = UnitNames::of(directories);
    let unsupported = document_import::unsupported_containers();
    let mut found = Vec::new();
    let mut by_name: Vec<(usize, &&Directory)> = directories.iter().enumerate().collect();
    by_name.sort_by_key(|(_, directory)| &directory.name);
    for (position, directory) in by_name {
        let order = outermost_first(directory);
        let (direct, subtree) = count_users(directory, &order);
        let unsupported = unsupported_containers(directory, &unsupported);
        for index in order {
            let unit = &directory.containers[index];
            if !unit.is_organizational_unit && direct[index] == 0 {
                continue;
            }
            let entry = names.entry_of(position, unit, all_read);
            let reason = reason_against(unit, unsupported[index], entry.is_some(), subtree[index]);
            found.push(DiscoveredUnit {
                directory: directory.name.clone(),
                dn: unit.dn.clone(),
                entry,
                guid: unit.guid,
                direct_users: direct[index],
                subtree_users: subtree[index],
                reason: reason.map(str::to_owned),
            });
        }
    }
    found
}

/// Lists groups by name. `all_read` is as for [`discover_units`].
pub fn discover_groups(directories: &[&Directory], all_read: bool) -> Vec<DiscoveredGroup> {
    let names = GroupNames::of(directories);
    let mut found = Vec::new();
    for directory in directories {
        let direct = DirectMembers::of(directory);
        for group in &directory.groups {
            let people: HashSet<u32> = direct.people(group).collect();
            let inner: HashSet<u32> = group.members.iter().filter_map(Member::group).collect();
            let others = group.members.iter().filter(|member| **member == Member::Other).count();
            found.push(DiscoveredGroup {
                directory: directory.name.clone(),
                dn: group.dn.clone(),
                name: group.cn.clone(),
                sam_account_name: group.sam_account_name.clone(),
                guid: group.guid,
                entry: names.entry_of(group, all_read),
                members: people.len() + inner.len() + others + group.unseen.len(),
                people: people.len(),
                reason: refuse_group(directory, group).map(|refusal| refusal.why),
            });
        }
    }
    found.sort_by_cached_key(|group| {
        (fold(&group.name).into_owned(), group.directory.clone(), group.dn.key().to_owned())
    });
    found
}

/// Returns how many user accounts lie in OUs, each counted once. The OUs are in the order in which
/// they were discovered.
pub fn users_in<'a>(units: impl IntoIterator<Item = &'a DiscoveredUnit>) -> usize {
    let mut users = 0;
    let mut outermost: Option<&DiscoveredUnit> = None;
    for unit in units {
        let is_within =
            outermost.is_some_and(|outer| outer.directory == unit.directory && unit.dn.is_under(&outer.dn));
        if !is_within {
            users += unit.subtree_users;
            outermost = Some(unit);
        }
    }
    users
}

fn reason_against(
    unit: &Container,
    is_unsupported: bool,
    has_entry: bool,
    users: usize,
) -> Option<&'static str> {
    if is_unsupported {
        Some("nobody is imported from this container (`unsupportedContainers`)")
    } else if !unit.is_organizational_unit {
        Some("this is a container, and no organizational unit")
    } else if unit.guid.is_none() {
        Some("its objectGUID cannot be read")
    } else if !has_entry {
        Some("its name is longer than a policy takes")
    } else if users == 0 {
        Some("no user accounts lie in it or below")
    } else {
        None
    }
}

/// Returns the containers of a directory in an order in which each comes before what lies in it.
fn outermost_first(directory: &Directory) -> Vec<usize> {
    let mut order: Vec<usize> = (0..directory.containers.len()).collect();
    order.sort_by_cached_key(|index| directory.containers[*index].dn.key().rsplit(',').collect::<Vec<_>>());
    order
}

/// Counts the user accounts of each container: directly in it, and in it and below. An account with
/// a broken record is one, too. `order` is [`outermost_first`].
fn count_users(directory: &Directory, order: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut direct = vec![0; directory.containers.len()];
    for person in &directory.people {
        direct[person.container.0 as usize] += 1;
    }
    if !directory.unidentified.is_empty() {
        let keys = directory.containers.iter().map(|container| container.dn.key());
        let by_key: HashMap<&str, usize> = keys.zip(0..).collect();
        for person in &directory.unidentified {
            let dn = Dn::parse(&person.dn).ok();
            let container = dn.as_ref().and_then(Dn::parent_key).and_then(|key| by_key.get(key));
            container.into_iter().for_each(|container| direct[*container] += 1);
        }
    }
    let dn = |index: usize| &directory.containers[index].dn;
    // Which container each lies in; the next one outwards is not always among what was read.
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let mut around: Vec<usize> = Vec::new();
    for &index in order {
        while around.pop_if(|outer| !dn(index).is_under(dn(*outer))).is_some() {}
        pairs.extend(around.last().map(|outer| (index, *outer)));
        around.push(index);
    }
    let mut subtree = direct.clone();
    for (inner, outer) in pairs.into_iter().rev() {
        subtree[outer] += subtree[inner];
    }
    (direct, subtree)
}

/// The OUs that an entry may mean, by the keys of their names.
struct UnitNames<'a> {
    directories: &'a [&'a Directory],
    by_key: Vec<HashMap<&'a str, Guid>>,
}

impl<'a> UnitNames<'a> {
    fn of(directories: &'a [&'a Directory]) -> Self {
        let of_one = |directory: &&'a Directory| {
            let units = directory.containers.iter().filter(|unit| unit.is_organizational_unit);
            units.filter_map(|unit| Some((unit.dn.key(), unit.guid?))).collect()
        };
        Self { directories, by_key: directories.iter().map(of_one).collect() }
    }

    /// Returns in how many directories an entry means an OU, and whether one is at `position` and has
    /// this objectGUID.
    fn meaning(&self, name: &OuName, position: usize, guid: Guid) -> (usize, bool) {
        let mut meant = (0, false);
        for (index, (directory, by_key)) in self.directories.iter().zip(&self.by_key).enumerate() {
            let dn = name.below(&directory.base);
            let found = by_key.get(dn.key()).filter(|_| dn.is_under(&directory.base));
            meant.0 += usize::from(found.is_some());
            meant.1 |= index == position && found == Some(&guid);
        }
        meant
    }

    /// Returns the shortest entry that means this OU and no other; without one, the whole name.
    fn entry_of(&self, position: usize, unit: &Container, all_read: bool) -> Option<String> {
        let guid = unit.guid.filter(|_| unit.is_organizational_unit)?;
        let relative = unit.dn.relative_to(&self.directories[position].base);
        let whole = unit.dn.in_plain_sight();
        let meaning = |written: &String| {
            let name = value::Ou::quoted(written);
            name.map_or((0, false), |name| self.meaning(&name, position, guid))
        };
        let relative = relative.map(|name| name.in_plain_sight());
        let short = relative.as_ref().filter(|written| all_read && meaning(written) == (1, true));
        short
            .or(Some(&whole).filter(|written| meaning(written).1))
            .or(relative.as_ref().filter(|written| meaning(written).1))
            .cloned()
    }
}

/// How many groups an entry that is a name means, by the name's folded form.
struct GroupNames(HashMap<String, usize>);

impl GroupNames {
    fn of(directories: &[&Directory]) -> Self {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for group in directories.iter().flat_map(|directory| &directory.groups) {
            let cn = fold(&group.cn).into_owned();
            let sam = group.sam_account_name.as_deref().map(|name| fold(name).into_owned());
            for name in sam.filter(|name| *name != cn).into_iter().chain([cn]) {
                *counts.entry(name).or_default() += 1;
            }
        }
        Self(counts)
    }

    /// Returns the shortest entry that means this group: a name that no other group has, its DN, or
    /// the objectGUID of one whose name is longer than a document takes.
    fn entry_of(&self, group: &Group, all_read: bool) -> String {
        let means_it = |name: &&str| {
            name.chars().all(is_plain)
                && matches!(value::Group::quoted(name), Some(GroupName::Name(_)))
                && self.0.get(fold(name).as_ref()) == Some(&1)
        };
        let names = group.sam_account_name.as_deref().into_iter().chain([group.cn.as_str()]);
        if let Some(name) = names.filter(|_| all_read).find(means_it) {
            return name.to_owned();
        }
        let dn = group.dn.in_plain_sight();
        match value::Group::quoted(&dn) {
            Some(GroupName::Dn(_)) => dn,
            _ => group.guid.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::model::directory::{DirectoryBuilder, Person, Unidentified};
    use crate::model::register::Pins;
    use crate::model::sid::Sid;
    use crate::model::text::inert;
    use crate::plan::select::{Resolution, Resolver};
    use crate::policy::check::{TreeFile, check};
    use crate::policy::fleet::{Imports, Selection};
    use crate::policy::limits::Limits;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn domain(rid: Option<u32>) -> Option<Sid> {
        let domain: Sid = "S-1-5-21-1-2-3".parse().expect("a SID");
        rid.map_or(Some(domain), |rid| domain.with_rid(rid))
    }

    /// Builds a directory; numbers are objectGUIDs.
    struct Builder {
        builder: DirectoryBuilder,
        next: u128,
    }

    impl Builder {
        fn new(name: &str, base: &str) -> Self {
            let context = dn(base.find("DC=").map_or(base, |at| &base[at..]));
            let mut builder = DirectoryBuilder::new(Text::from(name), dn(base), context);
            builder.domain_sid(domain(None).expect("a SID"));
            Self { builder, next: 1_000 }
        }

        fn unit(mut self, name: &str, guid: u128) -> Self {
            self.builder.container(&dn(name), Some(Guid::from_u128(guid)), true).expect("added");
            self
        }

        fn container(mut self, name: &str) -> Self {
            self.builder.container(&dn(name), None, false).expect("added");
            self
        }

        fn user(mut self, name: &str) -> Self {
            self.next += 1;
            let person = Person { primary_group: Some(513), ..Person::numbered(self.next) };
            self.builder.person(&dn(name), person).expect("added");
            self
        }

        fn unidentified(mut self, name: &str) -> Self {
            let (sam_account_name, user_principal_name) = (None, None);
            let reason = "no objectGUID".into();
            let user = Unidentified { dn: Text::from(name), sam_account_name, user_principal_name, reason };
            self.builder.unidentified(&dn(name), user).expect("added");
            self
        }

        fn group(mut self, group: Group, members: &[&str]) -> Self {
            self.builder.group(group, members.iter().copied()).expect("added");
            self
        }

        fn finish(self) -> Directory {
            self.builder.finish()
        }
    }

    fn group(name: &str, sam_account_name: Option<&str>, guid: u128) -> Group {
        let sam_account_name = sam_account_name.map(Text::from);
        Group { sam_account_name, ..Group::numbered(dn(name), guid) }
    }

    fn lines(units: &[DiscoveredUnit]) -> Vec<String> {
        let line = |unit: &DiscoveredUnit| {
            let entry = unit.entry.as_deref().unwrap_or("-");
            format!("{entry}: {} {} {}", unit.direct_users, unit.subtree_users, unit.reason.is_none())
        };
        units.iter().map(line).collect()
    }

    /// Writes entries into a policy as they stand, checks it, and returns the objectGUIDs of what the
    /// planner takes each entry for.
    fn resolved(directories: &[&Directory], field: &str, entries: &[String]) -> Vec<Vec<Guid>> {
        let list: String =
            entries.iter().map(|entry| format!("      - '{}'\n", entry.replace('\'', "''"))).collect();
        let text = format!(
            "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {{name: c}}\nspec:\n  directories: [{{ldif: {{file: c.ldif}}}}]\n  \
             endUsers:\n    selection:\n     {field}:\n{list}"
        );
        let file = TreeFile { path: PathBuf::from("c.yaml"), content: Ok(text.clone().into_bytes()) };
        let checked = check(&[file], &Limits::default());
        assert!(checked.problems.is_empty(), "{text}\n{:?}", checked.problems);
        let customer = &checked.fleet.customers["c"];
        let imports = customer.imports.values().next().expect("an import");
        let Imports::Valid(imports) = imports else { panic!("invalid: {text}") };
        let mut resolver = Resolver::new(directories, Pins::default());
        let meant = |resolution| match resolution {
            Resolution::Found(places) => places,
            Resolution::NeverFound(finding) | Resolution::Unclear(finding) => panic!("{finding:?}"),
        };
        match &imports[0].selection {
            Selection::OrganizationalUnits(units) => {
                let guid = |(directory, at): (usize, u32)| {
                    directories[directory].containers[at as usize].guid.expect("a GUID")
                };
                units
                    .iter()
                    .map(|unit| meant(resolver.unit(&unit.name)).into_iter().map(guid).collect())
                    .collect()
            }
            Selection::SecurityGroups(groups) => {
                let guid = |(directory, at): (usize, u32)| directories[directory].groups[at as usize].guid;
                groups
                    .iter()
                    .map(|group| meant(resolver.group(&group.name)).into_iter().map(guid).collect())
                    .collect()
            }
            of_tenant => panic!("not of a directory: {of_tenant:?}"),
        }
    }

    fn expect_units_found_again(directories: &[&Directory], all_read: bool) {
        let units = discover_units(directories, all_read);
        let (entries, guids): (Vec<String>, Vec<Vec<Guid>>) = units
            .iter()
            .filter_map(|unit| Some((unit.entry.clone()?, vec![unit.guid.expect("a GUID")])))
            .unzip();
        assert_eq!(resolved(directories, "organizationalUnits", &entries), guids, "{entries:?}");
    }

    fn expect_groups_found_again(directories: &[&Directory], all_read: bool) {
        let groups = discover_groups(directories, all_read);
        let (entries, guids): (Vec<String>, Vec<Vec<Guid>>) =
            groups.iter().map(|group| (group.entry.clone(), vec![group.guid])).unzip();
        assert_eq!(resolved(directories, "securityGroups", &entries), guids, "{entries:?}");
    }

    #[test]
    fn units_stand_before_what_lies_in_them_with_the_users_in_and_below() {
        let directory = Builder::new("main", "DC=contoso,DC=test")
            .user("CN=z,OU=Deep,CN=Box,OU=Staff,DC=contoso,DC=test")
            .unit("OU=Deep,CN=Box,OU=Staff,DC=contoso,DC=test", 4)
            .unit("OU=staff-old,DC=contoso,DC=test", 5)
            .unit("OU=Empty,OU=Staff,DC=contoso,DC=test", 3)
            .unit("OU=Berlin,OU=Staff,DC=contoso,DC=test", 2)
            .unit("OU=Staff,DC=contoso,DC=test", 1)
            .unit("OU=Outer,DC=contoso,DC=test", 6)
            .unit("OU=Inner,OU=Outer,DC=contoso,DC=test", 7)
            .user("CN=a,OU=Staff,DC=contoso,DC=test")
            .user("CN=b,OU=Berlin,OU=Staff,DC=contoso,DC=test")
            .user("CN=c,OU=Berlin,OU=Staff,DC=contoso,DC=test")
            .unidentified("CN=d,ou=INNER,OU=Outer,DC=contoso,DC=test")
            .finish();
        let units = discover_units(&[&directory], true);
        assert_eq!(
            lines(&units),
            [
                "OU=Outer: 0 1 true",
                "OU=Inner,OU=Outer: 1 1 true",
                "OU=Staff: 1 4 true",
                // The container between the two was never read.
                "OU=Deep,CN=Box,OU=Staff: 1 1 true",
                "OU=Berlin,OU=Staff: 2 2 true",
                "OU=Empty,OU=Staff: 0 0 false",
                "OU=staff-old: 0 0 false",
            ]
        );
        assert_eq!(users_in(&units), 5);
        assert_eq!(users_in(units.iter().filter(|unit| unit.fits("berlin") || unit.fits("inner"))), 3);
        expect_units_found_again(&[&directory], true);
    }

    #[test]
    fn containers_and_units_that_nobody_is_imported_from_say_so() {
        let mut builder = Builder::new("main", "DC=contoso,DC=test")
            .container("DC=contoso,DC=test")
            .container("CN=System,DC=contoso,DC=test")
            .unit("OU=People,DC=contoso,DC=test", 1)
            .unit("OU=In,OU=People,DC=contoso,DC=test", 2)
            .unit("OU=Domain Controllers,DC=contoso,DC=test", 3)
            .user("CN=r,DC=contoso,DC=test")
            .user("CN=a,CN=Box,DC=contoso,DC=test")
            .user("CN=b,OU=In,OU=People,DC=contoso,DC=test")
            .user("CN=c,OU=Unseen,DC=contoso,DC=test");
        builder.builder.container(&dn("OU=Unseen,DC=contoso,DC=test"), None, true).expect("added");
        // As `redirusr` does it.
        builder.builder.well_known("cn=users", dn("OU=People,DC=contoso,DC=test"));
        let units = discover_units(&[&builder.finish()], true);
        let reasons: Vec<(&str, Option<&str>, &str)> = units
            .iter()
            .map(|unit| (unit.dn.rdn_key(), unit.entry.as_deref(), unit.reason.as_deref().unwrap_or("-")))
            .collect();
        let unsupported = "nobody is imported from this container (`unsupportedContainers`)";
        let no_unit = "this is a container, and no organizational unit";
        assert_eq!(
            reasons,
            [
                ("dc=contoso", None, no_unit),
                ("cn=box", None, no_unit),
                ("ou=domain controllers", Some("OU=Domain Controllers"), unsupported),
                ("ou=people", Some("OU=People"), unsupported),
                ("ou=in", Some("OU=In,OU=People"), unsupported),
                ("ou=unseen", None, "its objectGUID cannot be read"),
            ]
        );
    }

    #[test]
    fn a_base_below_the_domain_is_named_whole_and_what_lies_in_it_from_there() {
        let directory = Builder::new("main", "OU=Customers,DC=contoso,DC=test")
            .unit("OU=Customers,DC=contoso,DC=test", 1)
            .unit("OU=Staff,OU=Customers,DC=contoso,DC=test", 2)
            // A relative name with a DC component would be taken for a whole one.
            .unit("OU=Odd,DC=site,OU=Customers,DC=contoso,DC=test", 3)
            .user("CN=a,OU=Staff,OU=Customers,DC=contoso,DC=test")
            .user("CN=b,OU=Odd,DC=site,OU=Customers,DC=contoso,DC=test")
            .finish();
        assert_eq!(
            lines(&discover_units(&[&directory], true)),
            [
                "OU=Customers,DC=contoso,DC=test: 0 2 true",
                "OU=Odd,DC=site,OU=Customers,DC=contoso,DC=test: 1 1 true",
                "OU=Staff: 1 1 true",
            ]
        );
        expect_units_found_again(&[&directory], true);
    }

    #[test]
    fn what_two_directories_call_the_same_is_named_whole() {
        let one = Builder::new("two", "DC=fabrikam,DC=test")
            .unit("OU=Staff,DC=fabrikam,DC=test", 1)
            .unit("OU=Own,DC=fabrikam,DC=test", 2)
            .group(group("CN=Team,OU=Staff,DC=fabrikam,DC=test", Some("Own"), 11), &[])
            .group(group("CN=Team 2,OU=Staff,DC=fabrikam,DC=test", Some("TEAM"), 12), &[])
            .finish();
        let other = Builder::new("one", "DC=contoso,DC=test")
            .unit("OU=Staff,DC=contoso,DC=test", 3)
            .group(group("CN=Own,OU=Staff,DC=contoso,DC=test", None, 13), &[])
            .finish();
        let both = [&one, &other];
        let entries = |all_read| {
            let units = discover_units(&both, all_read).into_iter().filter_map(|unit| unit.entry);
            let groups = discover_groups(&both, all_read).into_iter().map(|group| group.entry);
            (units.collect::<Vec<_>>(), groups.collect::<Vec<_>>())
        };
        let (units, groups) = entries(true);
        assert_eq!(units, ["OU=Staff,DC=contoso,DC=test", "OU=Own", "OU=Staff,DC=fabrikam,DC=test"]);
        let dns = ["CN=Own,OU=Staff,DC=contoso,DC=test", "CN=Team,OU=Staff,DC=fabrikam,DC=test", "Team 2"];
        assert_eq!(groups, dns);
        // A directory that could not be read may have the name, too.
        let (units, groups) = entries(false);
        assert_eq!(units[1], "OU=Own,DC=fabrikam,DC=test");
        assert_eq!(groups[2], "CN=Team 2,OU=Staff,DC=fabrikam,DC=test");
        for all_read in [true, false] {
            expect_units_found_again(&both, all_read);
            expect_groups_found_again(&both, all_read);
        }
    }

    #[test]
    fn members_are_counted_once_and_primary_members_with_them() {
        let with_sid = |name, guid, rid| Group { sid: domain(Some(rid)), ..group(name, None, guid) };
        let directory = Builder::new("main", "DC=contoso,DC=test")
            .user("CN=a,OU=Staff,DC=contoso,DC=test")
            .user("CN=b,OU=Staff,DC=contoso,DC=test")
            .group(
                group("CN=Mixed,OU=Staff,DC=contoso,DC=test", None, 1),
                &[
                    "CN=a,OU=Staff,DC=contoso,DC=test",
                    "cn=A, ou=staff,dc=contoso,dc=test",
                    "CN=Plain,OU=Staff,DC=contoso,DC=test",
                    "CN=gone,OU=Staff,DC=contoso,DC=test",
                    "CN=foreign,DC=fabrikam,DC=test",
                ],
            )
            .group(with_sid("CN=Plain,OU=Staff,DC=contoso,DC=test", 2, 1_513), &[])
            .group(
                with_sid("CN=Domain Users,CN=Users,DC=contoso,DC=test", 3, 513),
                &["CN=b,OU=Staff,DC=contoso,DC=test"],
            )
            .finish();
        let counts: Vec<(String, usize, usize, bool)> = discover_groups(&[&directory], true)
            .into_iter()
            .map(|group| (group.entry, group.members, group.people, group.reason.is_none()))
            .collect();
        let expected = [("Domain Users", 2, 2, false), ("Mixed", 4, 1, true), ("Plain", 0, 0, true)];
        assert_eq!(
            counts,
            expected.map(|(name, members, people, may)| (name.to_owned(), members, people, may))
        );
    }

    #[test]
    fn the_reasons_against_a_group_are_those_of_the_planner() {
        let critical = Group { is_critical: true, ..group("CN=Critical,DC=contoso,DC=test", None, 1) };
        let list = Group { is_security: false, ..group("CN=News,DC=contoso,DC=test", None, 2) };
        let directory = Builder::new("main", "DC=contoso,DC=test")
            .group(critical, &[])
            .group(list, &[])
            .group(group("CN=In Users,CN=Users,DC=contoso,DC=test", None, 3), &[])
            .group(group("CN=Fine,DC=contoso,DC=test", None, 4), &[])
            .finish();
        let groups = discover_groups(&[&directory], true);
        let reasons: Vec<(&str, &str)> =
            groups.iter().map(|group| (group.name.as_str(), group.reason().unwrap_or("-"))).collect();
        assert_eq!(
            reasons,
            [
                ("Critical", "built-in and default groups are never imported from"),
                ("Fine", "-"),
                ("In Users", "groups in the Users container are never imported from"),
                ("News", "this is a distribution group, and no security group"),
            ]
        );
    }

    /// Names that something on the way to the planner would take for something else.
    const AWKWARD: [&str; 23] = [
        "Doe, Jane",
        "a+b;c<d>e=f",
        "\"quoted\" 'twice'",
        "back\\slash\\",
        "#1 # two",
        " leading",
        "trailing ",
        " ",
        "\u{a0}wide\u{3000}",
        "München Łódź 東京 😀",
        "turned\u{202e}round\u{200b}",
        "line\nbreak\ttab\u{1b}[31m\u{7f}\u{85}\u{2028}",
        "not\u{ffff}text\u{feff}\u{fdd0}",
        "12345678-1234-1234-1234-123456789012",
        "{12345678-1234-1234-1234-123456789012}",
        "12345678-1234-1234-1234-12345678901z",
        "all*?",
        "OU=Staff,DC=contoso,DC=test",
        "yes",
        "- {x: [1]} & !t | > % @ `",
        "İstanbul ẞ ǅ",
        "a\u{ffff}b",
        "a\u{e000}\u{10ffff}\u{300}",
    ];

    fn spelled(value: &str) -> String {
        value.bytes().map(|byte| format!("\\{byte:02x}")).collect()
    }

    #[test]
    fn awkward_names_are_found_again_by_their_entries() {
        let mut builder = Builder::new("main", "DC=contoso,DC=test");
        for (number, name) in (0..).zip(AWKWARD) {
            let unit = format!("OU={},DC=contoso,DC=test", spelled(name));
            let inner = format!("OU=In\\ ,{unit}");
            builder = builder
                .user(&format!("CN=a,{inner}"))
                .unit(&unit, 3 * number + 1)
                .unit(&inner, 3 * number + 2)
                .group(group(&format!("CN={},{unit}", spelled(name)), Some(name), 3 * number + 3), &[]);
        }
        let directory = builder.finish();
        expect_units_found_again(&[&directory], true);
        expect_groups_found_again(&[&directory], true);
        let units = discover_units(&[&directory], true);
        let groups = discover_groups(&[&directory], true);
        assert_eq!((units.len(), groups.len()), (2 * AWKWARD.len(), AWKWARD.len()));
        for entry in
            units.iter().filter_map(|unit| unit.entry.as_ref()).chain(groups.iter().map(|group| &group.entry))
        {
            assert_eq!(inert(entry), *entry, "an entry can be copied from where it is shown");
        }
        let entry_of =
            |name: &str| groups.iter().find(|group| group.name == name).map(|group| group.entry.as_str());
        assert_eq!(entry_of("Doe, Jane"), Some("Doe, Jane"));
        assert_eq!(entry_of("all*?"), Some("CN=all*?,OU=all*?,DC=contoso,DC=test"));
    }

    #[test]
    fn a_name_that_no_document_takes_has_an_entry_all_the_same_or_none() {
        let long = "x".repeat(4_100);
        let directory = Builder::new("main", "DC=contoso,DC=test")
            .unit(&format!("OU={long},DC=contoso,DC=test"), 1)
            .user(&format!("CN=a,OU={long},DC=contoso,DC=test"))
            .group(group(&format!("CN={long},DC=contoso,DC=test"), None, 2), &[])
            .finish();
        let units = discover_units(&[&directory], true);
        assert_eq!((units[0].entry.as_deref(), units[0].subtree_users), (None, 1));
        assert_eq!(units[0].reason.as_deref(), Some("its name is longer than a policy takes"));
        assert_eq!(discover_groups(&[&directory], true)[0].entry, Guid::from_u128(2).to_string());
        expect_groups_found_again(&[&directory], true);
    }

    #[test]
    fn a_search_looks_at_names_and_dns_whatever_the_case() {
        let directory = Builder::new("main", "DC=contoso,DC=test")
            .unit("OU=M\\C3\\BCnchen,OU=Staff,DC=contoso,DC=test", 1)
            .group(group("CN=Team,OU=Staff,DC=contoso,DC=test", Some("SamTeam"), 2), &[])
            .finish();
        let unit = &discover_units(&[&directory], true)[0];
        let group = &discover_groups(&[&directory], true)[0];
        for search in ["MÜNCHEN", "ou=münchen,OU=STAFF", "staff,dc=CONTOSO", ""] {
            assert!(unit.fits(search), "{search}");
        }
        for search in ["samt", "cn=team,", "Staff"] {
            assert!(group.fits(search), "{search}");
        }
        assert!(!unit.fits("Berlin") && !group.fits("berlin"));
    }

    proptest! {
        #[test]
        fn every_name_is_found_again_by_its_entry(
            names in proptest::collection::btree_set("\\PC{1,12}|[ #,\"'\\\\\\x00-\\x1f\u{202e}\u{a0}a]{1,6}", 1..6),
        ) {
            let mut builder = Builder::new("main", "DC=contoso,DC=test");
            let mut known = std::collections::BTreeSet::new();
            for (number, name) in (0..).zip(&names) {
                let unit = format!("OU={},DC=contoso,DC=test", spelled(name));
                if known.insert(dn(&unit)) {
                    builder = builder
                        .unit(&unit, 2 * number + 1)
                        .group(group(&format!("CN=g,{unit}"), Some(name), 2 * number + 2), &[]);
                }
            }
            let directory = builder.finish();
            expect_units_found_again(&[&directory], true);
            expect_groups_found_again(&[&directory], true);
        }
    }
}
