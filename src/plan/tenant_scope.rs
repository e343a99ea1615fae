//! Selects people of a tenant that is a customer's only source: everybody licensed, or the members of
//! groups, which are pinned by id.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashSet;

use crate::model::account::AccountType;
use crate::model::guid::Guid;
use crate::model::reading::Reading;
use crate::model::register::{PinnedScope, Pins, ScopeKind, ScopeName};
use crate::model::tenant::Tenant;
use crate::model::tenant_group::{NestedGroup, TenantGroup, WantedGroups};
use crate::model::text::{Text, fold, inert, same};
use crate::plan::outcome::{Finding, FindingCode, Severity};
use crate::plan::refusal::Refusal;
use crate::plan::select::{Resolver, Selected, first_three};
use crate::policy::fleet::{Customer, EntraGroupName, Import, Imports, Scope, Selection};

/// Whom the imports of a customer select in its tenant.
pub struct TenantScope {
    /// Per import of [`Selected::imports`]; `None` for one that selects from directories.
    pub users: Vec<Option<Selects>>,
    /// Account types whose groups could not be read.
    pub unreadable: BTreeSet<AccountType>,
}

/// Whom one import selects in the tenant.
pub enum Selects {
    /// Everybody but guests; that they need a licence is a rule of its own.
    Everybody,
    /// The direct members of its groups, by id.
    Members(HashSet<Guid>),
}

/// Resolves the selections of the tenant. What somebody should know, and whom it blocks, goes where the
/// selections of directories told theirs.
pub fn select_tenant(
    selected: &mut Selected<'_>,
    tenant: Option<&Tenant>,
    resolver: &mut Resolver<'_>,
) -> TenantScope {
    let imports: Vec<&Import> = selected.imports.iter().map(|one| one.import).collect();
    let mut scope = TenantScope { users: Vec::new(), unreadable: BTreeSet::new() };
    let mut resolved: BTreeMap<(AccountType, Guid), Text> = BTreeMap::new();
    let listed: OnceCell<HashSet<Guid>> = OnceCell::new();
    for import in imports {
        let users = match (&import.selection, tenant) {
            (Selection::Licensed, Some(_)) => Some(Selects::Everybody),
            (Selection::EntraGroups(entries), Some(tenant)) => {
                remember(entries, resolver);
                Some(Selects::Members(match groups_of(tenant, import) {
                    Ok(groups) => {
                        let groups = select_groups(entries, groups, import, selected, resolver);
                        for group in &groups {
                            resolved.insert((import.account_type, group.id), group.display_name.clone());
                        }
                        members(&groups, listed.get_or_init(|| tenant.user_ids()), import, selected)
                    }
                    Err(finding) => {
                        scope.unreadable.insert(import.account_type);
                        selected.findings.push(finding);
                        HashSet::new()
                    }
                }))
            }
            _ => None,
        };
        scope.users.push(users);
    }
    find_overlaps(&resolved, selected);
    scope
}

/// Returns the groups of the tenant, or why nobody can tell who is in them.
fn groups_of<'t>(tenant: &'t Tenant, import: &Import) -> Result<&'t [TenantGroup], Finding> {
    let why = match &tenant.groups {
        Some(Reading::Complete(groups)) => return Ok(groups),
        Some(Reading::Incomplete(shortfall)) => shortfall.what.clone(),
        Some(Reading::Unavailable(fault)) => fault.with_hint(),
        None => "its source holds no `groups`; write the groups with all their members into the snapshot"
            .to_owned(),
    };
    Err(Finding {
        code: FindingCode::TenantIncomplete,
        severity: Severity::Error,
        subject: format!("policy {}", import.policy),
        message: format!(
            "it selects groups of the tenant, which could not be read: nobody is added or removed; {}",
            inert(&why)
        ),
    })
}

/// The pins of entries stay while a policy has them, whether or not the groups can be read.
fn remember(entries: &[Scope<EntraGroupName>], resolver: &mut Resolver<'_>) {
    entries.iter().for_each(|entry| drop(resolver.recall(&scope_name(&entry.name))));
}

/// Returns the groups of its tenant that a customer's policies select, and what they were pinned to.
pub fn wanted_groups(customer: &Customer, pins: &Pins) -> WantedGroups {
    let mut wanted = WantedGroups::default();
    let valid = customer.imports.values().filter_map(|imports| match imports {
        Imports::Valid(imports) => Some(imports),
        Imports::Invalid(_) => None,
    });
    for import in valid.flatten() {
        let Selection::EntraGroups(entries) = &import.selection else { continue };
        for Scope { name, .. } in entries {
            match name {
                EntraGroupName::Name(name) => drop(wanted.names.insert(name.clone())),
                EntraGroupName::Id(id) => drop(wanted.ids.insert(*id)),
            }
            wanted.ids.extend(pins.scopes.get(&scope_name(name)).map(|pinned| pinned.guid));
        }
    }
    wanted
}

/// Returns the groups that a selection of groups was resolved to, in the order of its entries.
pub fn selected_groups<'t>(
    entries: &[Scope<EntraGroupName>],
    tenant: &'t Tenant,
    pins: &Pins,
) -> Vec<&'t TenantGroup> {
    let Some(Reading::Complete(groups)) = &tenant.groups else { return Vec::new() };
    let pinned = entries.iter().filter_map(|entry| pins.scopes.get(&scope_name(&entry.name)));
    pinned.filter_map(|pin| groups.iter().find(|group| group.id == pin.guid)).collect()
}

fn scope_name(name: &EntraGroupName) -> ScopeName {
    ScopeName {
        directory: Text::default(),
        kind: ScopeKind::EntraGroup,
        written: Text::from(fold(&name.written())),
    }
}

/// Resolves the entries of a selection. One that is missing, unclear or refused blocks the import, but
/// for an optional one that never resolved.
fn select_groups<'t>(
    entries: &[Scope<EntraGroupName>],
    groups: &'t [TenantGroup],
    import: &Import,
    selected: &mut Selected<'_>,
    resolver: &mut Resolver<'_>,
) -> Vec<&'t TenantGroup> {
    let mut found = Vec::new();
    let mut resolves = false;
    for entry in entries {
        match resolve(&entry.name, groups, resolver) {
            Resolved::Group(group) => {
                resolves = true;
                match refuse(group) {
                    None => found.push(group),
                    Some(refusal) => {
                        selected.blocked.insert(import.account_type);
                        selected.findings.push(refused(group, refusal));
                    }
                }
            }
            Resolved::Never(_) if entry.optional => {}
            Resolved::Never(finding) | Resolved::Unclear(finding) => {
                selected.blocked.insert(import.account_type);
                selected.findings.push(finding);
            }
        }
    }
    if !resolves && selected.blocked.insert(import.account_type) {
        selected.findings.push(Finding {
            code: FindingCode::ScopeNotFound,
            severity: Severity::Error,
            subject: import.policy.to_string(),
            message: format!(
                "no group that the policy `{}` selects exists in this customer's tenant: nobody is added or removed",
                import.policy
            ),
        });
    }
    found
}

/// What came of looking for a group.
enum Resolved<'t> {
    Group(&'t TenantGroup),
    /// It does not exist, and never did.
    Never(Finding),
    /// It existed once, or several groups have its name.
    Unclear(Finding),
}

fn resolve<'t>(
    name: &EntraGroupName,
    groups: &'t [TenantGroup],
    resolver: &mut Resolver<'_>,
) -> Resolved<'t> {
    let written = name.written();
    let finding = |code, severity, message: String| Finding {
        code,
        severity,
        subject: inert(&written).into_owned(),
        message,
    };
    let unclear = |code, message| Resolved::Unclear(finding(code, Severity::Error, message));
    let key = scope_name(name);
    let mut named: Vec<&TenantGroup> = groups
        .iter()
        .filter(|group| match name {
            EntraGroupName::Id(id) => group.id == *id,
            EntraGroupName::Name(name) => same(&group.display_name, name),
        })
        .collect();
    named.sort_unstable_by_key(|group| group.id);
    let group = match (resolver.recall(&key), named.as_slice()) {
        (Some(pinned), _) => {
            let Some(group) = groups.iter().find(|group| group.id == pinned.guid) else {
                let again = match named.first() {
                    None => "restore it, or write the entry of the one to use instead".to_owned(),
                    Some(other) => {
                        format!("another one has its name now: write its id, {}, to use that one", other.id)
                    }
                };
                let message = format!(
                    "it was {} ({}), which is gone from the tenant: nobody is added or removed; {again}",
                    inert(&pinned.dn),
                    pinned.guid,
                );
                return unclear(FindingCode::ScopeNotFound, message);
            };
            if named.iter().all(|named| named.id != group.id) {
                let message = format!(
                    "it is called {} now and is still used: write its new name into the policy",
                    inert(&group.display_name)
                );
                resolver.findings.push(finding(FindingCode::ScopeRenamed, Severity::Warning, message));
            }
            group
        }
        (None, []) => {
            let message = "no group of this name exists in this customer's tenant: nobody is added or removed; correct the \
                           name";
            return Resolved::Never(finding(FindingCode::ScopeNotFound, Severity::Error, message.to_owned()));
        }
        (None, [only]) => only,
        (None, several) => {
            let ids: Vec<String> = several.iter().map(|group| group.id.to_string()).collect();
            let message = format!(
                "{} groups of the tenant have this name: {}; nobody is added or removed; write the id of the one you mean",
                ids.len(),
                ids.join("; ")
            );
            return unclear(FindingCode::ScopeAmbiguous, message);
        }
    };
    resolver.pin(key, PinnedScope { guid: group.id, dn: group.display_name.clone() });
    Resolved::Group(group)
}

/// Refuses groups by what they are and not by their names.
fn refuse(group: &TenantGroup) -> Option<Refusal> {
    let refuse = |code, why: &str| Some(Refusal { code, why: why.to_owned() });
    if group.holds_roles {
        refuse(
            FindingCode::BuiltinGroupRefused,
            "groups that may hold roles of the directory (isAssignableToRole) are never imported from",
        )
    } else if !group.is_security {
        refuse(FindingCode::ScopeNotFound, "this is no security group (securityEnabled is false)")
    } else if group.hides_members {
        refuse(
            FindingCode::MemberUnreadable,
            "its membership is hidden (visibility HiddenMembership), so nobody can tell whether its list of members is \
             whole",
        )
    } else {
        None
    }
}

fn refused(group: &TenantGroup, refusal: Refusal) -> Finding {
    Finding {
        code: refusal.code,
        severity: Severity::Error,
        subject: describe(&group.display_name, group.id),
        message: format!(
            "{}: nobody is added or removed; select a security group made for this import",
            refusal.why
        ),
    }
}

fn describe(display_name: &Text, id: Guid) -> String {
    format!("{} ({id})", inert(display_name))
}

/// Returns the direct members of groups, and tells of those that are not imported: groups within the
/// groups, and users whom the tenant's own listing, `listed`, does not have.
fn members(
    groups: &[&TenantGroup],
    listed: &HashSet<Guid>,
    import: &Import,
    selected: &mut Selected<'_>,
) -> HashSet<Guid> {
    for group in groups {
        selected.findings.extend(group.groups.iter().map(|nested| nested_group(nested, group)));
        let unseen = group.users.iter().filter(|user| !listed.contains(*user)).collect::<BTreeSet<_>>();
        if !unseen.is_empty() {
            selected.hidden_members.insert(import.account_type);
            let ids: Vec<Text> = unseen.iter().map(|id| Text::from(id.to_string())).collect();
            selected.findings.push(Finding {
                code: FindingCode::MemberUnreadable,
                severity: Severity::Error,
                subject: describe(&group.display_name, group.id),
                message: format!(
                    "{} of its members are not among the users of the tenant ({}): removals wait until they are",
                    unseen.len(),
                    first_three(&ids),
                ),
            });
        }
    }
    groups.iter().flat_map(|group| group.users.iter().copied()).collect()
}

fn nested_group(nested: &NestedGroup, group: &TenantGroup) -> Finding {
    let count = match nested.members {
        None => "members of its own".to_owned(),
        Some(1) => "1 member".to_owned(),
        Some(count) => format!("{count} members"),
    };
    Finding {
        code: FindingCode::NestedGroupIgnored,
        severity: Severity::Warning,
        subject: nested
            .display_name
            .as_ref()
            .map_or_else(|| nested.id.to_string(), |name| describe(name, nested.id)),
        message: format!(
            "this group is a member of the selected group {} and has {count}: direct members only are imported; select \
             the inner group too if they should be",
            inert(&group.display_name)
        ),
    }
}

/// One group under both account types is nobody's intention.
fn find_overlaps(resolved: &BTreeMap<(AccountType, Guid), Text>, selected: &mut Selected<'_>) {
    for ((account_type, id), name) in resolved {
        let is_both = resolved.contains_key(&(AccountType::Administrator, *id));
        if *account_type == AccountType::EndUser && is_both {
            selected.blocked.extend(AccountType::ALL);
            selected.findings.push(Finding {
                code: FindingCode::ScopeOverlap,
                severity: Severity::Error,
                subject: describe(name, *id),
                message: "it is selected for end users and for administrators: the two may not overlap; nobody is added or \
                          removed"
                    .to_owned(),
            });
        }
    }
}
