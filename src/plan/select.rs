//! Resolves what policies select: OUs and groups in the customer's directories, pinned by GUID.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::account::AccountType;
use crate::model::directory::{Container, Directory, Group, Member};
use crate::model::dn::Dn;
use crate::model::guid::Guid;
use crate::model::register::{PinnedScope, Pins, ScopeKind, ScopeName};
use crate::model::text::{Text, fold, inert, same};
use crate::plan::membership::Membership;
use crate::plan::outcome::{Finding, FindingCode, Severity};
use crate::plan::refusal::{Refusal, refuse_group};
use crate::policy::fleet::{Customer, GroupName, Import, Imports, OuName, Scope, Selection};

/// What the policies of one customer select.
pub struct Selected<'a> {
    /// Each import that applies, with whom it selects.
    pub imports: Vec<SelectedImport<'a>>,
    /// What somebody should know.
    pub findings: Vec<Finding>,
    /// Account types for which nobody may be added or removed, as a scope is unclear.
    pub blocked: BTreeSet<AccountType>,
    /// Account types whose removals wait, as members of a selected group are not readable.
    pub hidden_members: BTreeSet<AccountType>,
}

/// One import with whom it selects, per directory.
pub struct SelectedImport<'a> {
    /// The policy as it applies.
    pub import: &'a Import,
    /// Per directory of the observation.
    pub scopes: Vec<DirectoryScope>,
}

/// Whom one import selects in one directory.
#[derive(Default)]
pub struct DirectoryScope {
    /// Per container: whether it lies in a selected OU. Empty for a selection of groups.
    containers: Vec<bool>,
    /// The selected groups' direct members.
    members: Option<Membership>,
    /// Selected OUs, for the overlap of account types.
    roots: Vec<u32>,
    /// Selected groups, for the overlap of account types.
    groups: Vec<u32>,
}

/// What an entry of a selection resolved to: a position in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// An OU.
    Unit(u32),
    /// A group.
    Group(u32),
}

impl Selector {
    /// Returns its name.
    pub fn dn(self, directory: &Directory) -> &Dn {
        match self {
            Self::Unit(unit) => &directory.containers[unit as usize].dn,
            Self::Group(group) => &directory.groups[group as usize].dn,
        }
    }
}

impl DirectoryScope {
    /// Whether a person of this directory is selected.
    pub fn has(&self, directory: &Directory, person: u32) -> bool {
        let container = directory.people[person as usize].container.0 as usize;
        self.containers.get(container).copied().unwrap_or(false)
            || self.members.as_ref().is_some_and(|members| members.has(person))
    }

    /// Returns what selects a person of this directory: the innermost OU, or the group.
    pub fn selector(&self, directory: &Directory, person: u32) -> Option<Selector> {
        if !self.has(directory, person) {
            return None;
        }
        let lies_in = &directory.container_of(&directory.people[person as usize]).dn;
        let dn = |root: &u32| &directory.containers[*root as usize].dn;
        let roots = self.roots.iter().filter(|root| lies_in.is_under(dn(root)));
        let innermost = roots.max_by_key(|root| dn(root).key().len()).copied();
        let group = || self.members.as_ref()?.path(person).first().copied();
        innermost.map(Selector::Unit).or_else(|| group().map(Selector::Group))
    }

    /// Returns all that is selected.
    pub fn selectors(&self) -> impl Iterator<Item = Selector> {
        let units = self.roots.iter().copied().map(Selector::Unit);
        units.chain(self.groups.iter().copied().map(Selector::Group))
    }

    /// Returns the groups through which a person belongs to a selected one, from the innermost outwards,
    /// if only by nesting, which selects nobody.
    pub fn nested_path(&self, directory: &Directory, person: u32) -> Vec<u32> {
        Membership::nested(directory, &self.groups).path(person)
    }

    /// Whether a name without a person behind it lies in a selected OU.
    pub fn has_name(&self, directory: &Directory, dn: &Dn) -> bool {
        self.roots.iter().any(|root| dn.is_under(&directory.containers[*root as usize].dn))
    }
}

/// Resolves the selections of all valid imports.
pub fn select<'a>(customer: &'a Customer, resolver: &mut Resolver<'_>) -> Selected<'a> {
    let mut selected = Selected {
        imports: Vec::new(),
        findings: Vec::new(),
        blocked: BTreeSet::new(),
        hidden_members: BTreeSet::new(),
    };
    for imports in customer.imports.values() {
        let Imports::Valid(imports) = imports else { continue };
        // The order of files shows in no plan.
        let mut imports: Vec<&Import> = imports.iter().collect();
        imports.sort_by(|left, right| left.policy.cmp(&right.policy));
        for import in imports {
            let scopes = match &import.selection {
                Selection::OrganizationalUnits(units) => select_units(resolver, import, units, &mut selected),
                Selection::SecurityGroups(groups) => select_groups(resolver, import, groups, &mut selected),
                Selection::EntraGroups(_) | Selection::Licensed => resolver.empty_scopes(),
            };
            selected.imports.push(SelectedImport { import, scopes });
        }
    }
    find_overlaps(&mut selected, resolver.directories);
    selected
}

fn select_units(
    resolver: &mut Resolver<'_>,
    import: &Import,
    units: &[Scope<OuName>],
    selected: &mut Selected<'_>,
) -> Vec<DirectoryScope> {
    let mut scopes: Vec<DirectoryScope> = resolver.empty_scopes();
    for (directory, container) in resolve_entries(units, |name| resolver.unit(name), import, selected) {
        scopes[directory].roots.push(container);
    }
    for (scope, directory) in scopes.iter_mut().zip(resolver.directories) {
        let roots: Vec<&Dn> =
            scope.roots.iter().map(|root| &directory.containers[*root as usize].dn).collect();
        scope.containers = directory.containers_under(&roots);
    }
    scopes
}

fn select_groups(
    resolver: &mut Resolver<'_>,
    import: &Import,
    groups: &[Scope<GroupName>],
    selected: &mut Selected<'_>,
) -> Vec<DirectoryScope> {
    let mut scopes: Vec<DirectoryScope> = resolver.empty_scopes();
    for (position, group) in resolve_entries(groups, |name| resolver.group(name), import, selected) {
        let directory = resolver.directories[position];
        let found = &directory.groups[group as usize];
        match refuse_group(directory, found) {
            Some(refusal) => {
                selected.blocked.insert(import.account_type);
                selected.findings.push(refused(found, &refusal));
            }
            None => {
                describe_members(directory, group, import, selected);
                scopes[position].groups.push(group);
            }
        }
    }
    for (scope, directory) in scopes.iter_mut().zip(resolver.directories) {
        scope.members = Some(Membership::direct(directory, &scope.groups));
    }
    scopes
}

/// Resolves the entries of a selection to places: a directory's position and one within it. One
/// that is missing or unclear blocks the import, but for an optional one that never resolved.
fn resolve_entries<T>(
    entries: &[Scope<T>],
    mut resolve: impl FnMut(&T) -> Resolution,
    import: &Import,
    selected: &mut Selected<'_>,
) -> Vec<(usize, u32)> {
    let mut places = Vec::new();
    for entry in entries {
        match resolve(&entry.name) {
            Resolution::Found(found) => places.extend(found),
            Resolution::NeverFound(_) if entry.optional => {}
            Resolution::NeverFound(finding) | Resolution::Unclear(finding) => {
                selected.blocked.insert(import.account_type);
                selected.findings.push(finding);
            }
        }
    }
    if places.is_empty() {
        block_unresolved(import, selected);
    }
    places
}

/// A selection of optional entries alone, none of which resolves, selects nobody knows whom.
fn block_unresolved(import: &Import, selected: &mut Selected<'_>) {
    if selected.blocked.insert(import.account_type) {
        selected.findings.push(Finding {
            code: FindingCode::ScopeNotFound,
            severity: Severity::Error,
            subject: import.policy.to_string(),
            message: format!(
                "nothing that the policy `{}` selects exists in this customer's directory: nobody is added or removed",
                import.policy
            ),
        });
    }
}

fn refused(group: &Group, refusal: &Refusal) -> Finding {
    Finding {
        code: refusal.code,
        severity: Severity::Error,
        subject: inert(group.dn.as_str()).into_owned(),
        message: format!(
            "{}: nobody is added or removed; select a security group made for this import",
            refusal.why
        ),
    }
}

/// Tells of members that are not imported: groups within the group, and members nobody can see.
fn describe_members(directory: &Directory, position: u32, import: &Import, selected: &mut Selected<'_>) {
    let group = &directory.groups[position as usize];
    for member in &group.members {
        if let Member::Group(inner) = member {
            let nested = &directory.groups[*inner as usize];
            let count = nested.members.len() + nested.unseen.len();
            selected.findings.push(Finding {
                code: FindingCode::NestedGroupIgnored,
                severity: Severity::Warning,
                subject: inert(nested.dn.as_str()).into_owned(),
                message: format!(
                    "this group is a member of the selected group {} and has {count} {}: direct members only are \
                     imported; select the inner group too if they should be",
                    inert(group.dn.as_str()),
                    if count == 1 { "member" } else { "members" },
                ),
            });
        }
    }
    if group.hides_members() {
        selected.hidden_members.insert(import.account_type);
        selected.findings.push(Finding {
            code: FindingCode::MemberUnreadable,
            severity: Severity::Error,
            subject: inert(group.dn.as_str()).into_owned(),
            message: "it looks empty, and people say that they are its members: removals wait until they can be read; \
                      give the reading account permission to read the attribute `member`"
                .to_owned(),
        });
    } else if !group.unseen.is_empty() {
        selected.hidden_members.insert(import.account_type);
        selected.findings.push(Finding {
            code: FindingCode::MemberUnreadable,
            severity: Severity::Error,
            subject: inert(group.dn.as_str()).into_owned(),
            message: format!(
                "{} of its members cannot be read ({}): removals wait until they can; give the reading account \
                 permission to see them, or take them out of the group",
                group.unseen.len(),
                first_three(&group.unseen),
            ),
        });
    }
    if !group.foreign.is_empty() {
        selected.findings.push(Finding {
            code: FindingCode::MemberUnreadable,
            severity: Severity::Warning,
            subject: inert(group.dn.as_str()).into_owned(),
            message: format!(
                "{} of its members belong to another domain ({}), and are not imported from this one; removals go on. \
                 Name that domain among the customer's directories, and select a group of it",
                group.foreign.len(),
                first_three(&group.foreign),
            ),
        });
    }
}

/// Names the first three of many, in the order of their names.
pub(super) fn first_three(names: &[Text]) -> String {
    let mut shown: Vec<_> = names.iter().map(|name| inert(name).into_owned()).collect();
    shown.sort_unstable();
    shown.truncate(3);
    let more = names.len() - shown.len();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join("; ")
}

/// The same OU or group, or one OU inside another, under both account types is nobody's intention.
fn find_overlaps(selected: &mut Selected<'_>, directories: &[&Directory]) {
    let mut overlaps: BTreeMap<String, String> = BTreeMap::new();
    let of_type =
        |account_type| selected.imports.iter().filter(move |one| one.import.account_type == account_type);
    for end_users in of_type(AccountType::EndUser) {
        for administrators in of_type(AccountType::Administrator) {
            let pairs = end_users.scopes.iter().zip(&administrators.scopes).zip(directories);
            for ((left, right), directory) in pairs {
                for (one, other) in
                    left.roots.iter().flat_map(|one| right.roots.iter().map(move |other| (one, other)))
                {
                    let one = &directory.containers[*one as usize].dn;
                    let other = &directory.containers[*other as usize].dn;
                    if one.is_under(other) || other.is_under(one) {
                        overlaps.insert(inert(one.as_str()).into_owned(), inert(other.as_str()).into_owned());
                    }
                }
                for group in left.groups.iter().filter(|group| right.groups.contains(group)) {
                    let dn = inert(directory.groups[*group as usize].dn.as_str()).into_owned();
                    overlaps.insert(dn.clone(), dn);
                }
            }
        }
    }
    for (end_users, administrators) in overlaps {
        selected.blocked.extend(AccountType::ALL);
        selected.findings.push(Finding {
            code: FindingCode::ScopeOverlap,
            severity: Severity::Error,
            message: format!(
                "it is selected for end users, and {administrators} for administrators: the two may not overlap; \
                 nobody is added or removed"
            ),
            subject: end_users,
        });
    }
}

/// What came of looking for an entry. Places are a directory's position and one within it.
pub enum Resolution {
    /// It exists.
    Found(Vec<(usize, u32)>),
    /// It does not exist, and never did.
    NeverFound(Finding),
    /// It existed once, or several things have its name.
    Unclear(Finding),
}

/// Resolves entries of policies, and pins what it resolved.
pub struct Resolver<'a> {
    directories: &'a [&'a Directory],
    /// What is pinned, with what was resolved now.
    pub pins: Pins,
    /// Renames that were noticed.
    pub findings: Vec<Finding>,
    /// The entries that were asked for: the pins of others are of no use any more.
    used: BTreeSet<ScopeName>,
}

/// One thing an entry may name, in one directory.
struct Target {
    position: u32,
    pin: PinnedScope,
    /// Whether it lies where people are read. Groups of the whole domain may be named.
    is_below_base: bool,
}

impl Target {
    fn new(directory: &Directory, position: u32, guid: Guid, dn: &Dn) -> Self {
        let pin = PinnedScope { guid, dn: Text::from(dn.as_str()) };
        Self { position, pin, is_below_base: dn.is_under(&directory.base) }
    }
}

impl<'a> Resolver<'a> {
    /// Starts with what is pinned so far.
    pub fn new(directories: &'a [&'a Directory], pins: Pins) -> Self {
        Self { directories, pins, findings: Vec::new(), used: BTreeSet::new() }
    }

    /// Returns the directories of the observation.
    pub fn directories(&self) -> &'a [&'a Directory] {
        self.directories
    }

    /// Takes the pins. With `forget_unused`, entries that no policy has any more are left out,
    /// so that one written again later is looked up by name.
    pub fn take_pins(&mut self, forget_unused: bool) -> Pins {
        let mut pins = std::mem::take(&mut self.pins);
        if forget_unused {
            pins.scopes.retain(|name, _| self.used.contains(name));
        }
        pins
    }

    /// Notes that a policy still has an entry, and returns what it was pinned to.
    pub fn recall(&mut self, name: &ScopeName) -> Option<PinnedScope> {
        self.used.insert(name.clone());
        self.pins.scopes.get(name).cloned()
    }

    /// Pins an entry to what it was resolved to.
    pub fn pin(&mut self, name: ScopeName, scope: PinnedScope) {
        self.pins.scopes.insert(name, scope);
    }

    fn empty_scopes(&self) -> Vec<DirectoryScope> {
        self.directories.iter().map(|_| DirectoryScope::default()).collect()
    }

    /// Resolves an OU.
    pub fn unit(&mut self, name: &OuName) -> Resolution {
        let units = |directory: &Directory, fits: &dyn Fn(&Container) -> bool| {
            let units = (0..)
                .zip(&directory.containers)
                .filter(|(_, unit)| unit.is_organizational_unit && fits(unit));
            let target = |(position, unit): (u32, &Container)| {
                Some(Target::new(directory, position, unit.guid?, &unit.dn))
            };
            units.filter_map(target).collect()
        };
        self.resolve(&Entry {
            kind: ScopeKind::OrganizationalUnit,
            written: &name.written,
            concerns: &|directory| name.below(&directory.base).is_under(&directory.base),
            named: &|directory| {
                let dn = name.below(&directory.base);
                units(directory, &|unit| unit.dn == dn)
            },
            pinned: &|directory, guid| units(directory, &|unit| unit.guid == Some(guid)).pop(),
        })
    }

    /// Resolves a group.
    pub fn group(&mut self, name: &GroupName) -> Resolution {
        let written = name.written();
        let is_named = |group: &Group| match name {
            GroupName::Guid(guid) => group.guid == *guid,
            GroupName::Dn(dn) => group.dn == *dn,
            GroupName::Name(name) => {
                same(&group.cn, name) || group.sam_account_name.as_deref().is_some_and(|sam| same(sam, name))
            }
        };
        let groups = |directory: &Directory, fits: &dyn Fn(&Group) -> bool| {
            let groups = (0..).zip(&directory.groups).filter(|(_, group)| fits(group));
            groups
                .map(|(position, group)| Target::new(directory, position, group.guid, &group.dn))
                .collect::<Vec<_>>()
        };
        self.resolve(&Entry {
            kind: ScopeKind::SecurityGroup,
            written: &written,
            concerns: &|directory| !matches!(name, GroupName::Dn(dn) if !dn.is_under(&directory.naming_context)),
            named: &|directory| groups(directory, &is_named),
            pinned: &|directory, guid| groups(directory, &|group| group.guid == guid).pop(),
        })
    }

    /// Looks in every directory: by GUID where the entry is pinned, else by name.
    fn resolve(&mut self, entry: &Entry<'_>) -> Resolution {
        let Entry { kind, written, .. } = *entry;
        let shown = inert(written).into_owned();
        let finding = |code, message: String| Finding {
            code,
            severity: Severity::Error,
            subject: shown.clone(),
            message,
        };
        let key = |directory: &Directory| ScopeName {
            directory: directory.name.clone(),
            kind,
            written: Text::from(fold(written)),
        };
        // Of all directories, also of those behind one where the entry is unclear.
        self.used.extend(self.directories.iter().map(|directory| key(directory)));
        let mut found = Vec::new();
        for (position, directory) in self.directories.iter().enumerate() {
            let concerned = (entry.concerns)(directory);
            let mut named = (entry.named)(directory);
            let key = key(directory);
            let pinned = self.pins.scopes.get(&key);
            // What is called so nearby is meant, before what happens to be called so elsewhere.
            if pinned.is_none() && named.iter().any(|target| target.is_below_base) {
                named.retain(|target| target.is_below_base);
            }
            match pinned {
                Some(pinned) => {
                    let Some(target) = (entry.pinned)(directory, pinned.guid) else {
                        let again = if named.is_empty() {
                            "restore it, or write the entry of the one to use instead".to_owned()
                        } else {
                            format!(
                                "another one has its name now ({}): write the entry in another way, for example as the \
                                 whole DN, to use that one",
                                named[0].pin.guid
                            )
                        };
                        return Resolution::Unclear(finding(
                            FindingCode::ScopeNotFound,
                            format!(
                                "it was {} ({}), which is gone from the directory `{}`: nobody is added or removed; {again}",
                                inert(&pinned.dn),
                                pinned.guid,
                                directory.name,
                            ),
                        ));
                    };
                    if named.iter().all(|named| named.pin.guid != target.pin.guid) {
                        self.findings.push(Finding {
                            code: FindingCode::ScopeRenamed,
                            severity: Severity::Warning,
                            subject: shown.clone(),
                            message: format!(
                                "it is called {} now and is still used: write its new name into the policy",
                                inert(&target.pin.dn)
                            ),
                        });
                    }
                    self.pins.scopes.insert(key, target.pin);
                    found.push((position, target.position));
                }
                None if concerned && named.len() > 1 => {
                    let mut names: Vec<_> =
                        named.iter().map(|target| inert(&target.pin.dn).into_owned()).collect();
                    names.sort_unstable();
                    return Resolution::Unclear(finding(
                        FindingCode::ScopeAmbiguous,
                        format!(
                            "{} groups have this name: {}; nobody is added or removed; write the DN or objectGUID of \
                             the one you mean",
                            named.len(),
                            names.join("; "),
                        ),
                    ));
                }
                None if concerned => {
                    if let Some(target) = named.pop() {
                        self.pins.scopes.insert(key, target.pin);
                        found.push((position, target.position));
                    }
                }
                None => {}
            }
        }
        if found.is_empty() {
            let what = match kind {
                ScopeKind::OrganizationalUnit => "no organizational unit of this name exists",
                ScopeKind::SecurityGroup | ScopeKind::EntraGroup => "no group of this name exists",
            };
            return Resolution::NeverFound(finding(
                FindingCode::ScopeNotFound,
                format!("{what} in this customer's directory: nobody is added or removed; correct the name"),
            ));
        }
        Resolution::Found(found)
    }
}

/// An entry of a policy, and how to look for it in one directory.
struct Entry<'e> {
    kind: ScopeKind,
    written: &'e Text,
    /// Whether the entry can be about a directory at all.
    concerns: &'e dyn Fn(&Directory) -> bool,
    /// What has its name.
    named: &'e dyn Fn(&Directory) -> Vec<Target>,
    /// What it was pinned to.
    pinned: &'e dyn Fn(&Directory, Guid) -> Option<Target>,
}
