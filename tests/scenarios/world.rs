//! What a scenario's sources and register hold, as the planner sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use intake::model::account::{Account, AccountKey, AccountState, Profile, Provenance, Source, Verdict};
use intake::model::addresses::Addresses;
use intake::model::directory::{ContainerIndex, Directory, DirectoryBuilder, Group, Person};
use intake::model::dn::Dn;
use intake::model::guid::Guid;
use intake::model::observation::Observation;
use intake::model::reading::{Fault, FaultKind, Reading, Shortfall};
use intake::model::register::{Hold, Measures, PinnedScope, Pins, RegisterState, ScopeKind, ScopeName};
use intake::model::sid::Sid;
use intake::model::standing::Standing;
use intake::model::tenant::{Anchor, Licence, LicenceSetIndex, Subscription, Tenant};
use intake::model::tenant::{TenantBuilder, TenantUser};
use intake::model::tenant_group::{NestedGroup, TenantGroup};
use intake::model::text::{Text, fold};

use super::document::{
    AccountPart, AnchorPart, GroupPart, PersonPart, Read, RegisterPart, Scenario, StatePart, TenantGroupPart,
    TenantPart, UserPart,
};

const BASE: &str = "DC=contoso,DC=test";
const DOMAIN: &str = "S-1-5-21-1-2-3";
const TENANT: &str = "tenant-1";
const DIRECTORY: &str = "main";
/// GUIDs of groups, OUs and people who vanished begin here.
const GROUPS: u32 = 1_000;
const OUS: u64 = 2_000;
const TENANT_GROUPS: u64 = 3_000;
const VANISHED: u64 = 90_000;
/// What sets tenant users' ids, and ids of SKUs and plans, apart from GUIDs of the directory.
const TENANT_IDS: u128 = 0x7e00_0000_0000;
const SKU_IDS: u128 = 0x5c00_0000_0000;
const PLAN_IDS: u128 = 0x9100_0000_0000;

/// Returns everything that the planner sees.
pub(super) fn observation(scenario: &Scenario) -> Observation {
    let directory = directory(scenario);
    let tenant = tenant(&scenario.tenant);
    let register = RegisterState {
        revision: 1,
        accounts: scenario.register.accounts.iter().map(|part| account(scenario, part)).collect(),
        pins: pins(&scenario.register),
        measures: measures(&scenario.register, &directory, &tenant),
        holds: Vec::<Hold>::new(),
        readings: None,
        suspension: None,
        documented: std::collections::BTreeSet::new(),
        unfollowed: Vec::new(),
    };
    let directory = reading(scenario.directory.reading, directory);
    Observation {
        at: scenario.at,
        directories: directory.map(|reading| (Text::from(DIRECTORY), reading)).into_iter().collect(),
        tenant: reading(scenario.tenant.reading, tenant),
        register,
        confirmation: None,
    }
}

fn reading<T>(read: Read, value: T) -> Option<Reading<T>> {
    let fault = |kind, what: &str| Reading::Unavailable(Fault::new(kind, what));
    match read {
        Read::Complete => Some(Reading::Complete(value)),
        Read::Incomplete => {
            Some(Reading::Incomplete(Shortfall { what: "the listing ended early".to_owned(), read: 1 }))
        }
        Read::Unavailable => Some(fault(FaultKind::Transient, "connection refused")),
        Read::Unconsented => Some(fault(FaultKind::Unconsented, "the tenant did not consent")),
        Read::Absent => None,
    }
}

fn guid(number: u64) -> Guid {
    Guid::from_u128(u128::from(number))
}

fn tenant_id(number: u64) -> Guid {
    Guid::from_u128(TENANT_IDS + u128::from(number))
}

/// Ids of SKUs and plans follow from their names.
fn id_of(name: &str, base: u128) -> Guid {
    let number = name.bytes().fold(7_u128, |sum, byte| (sum * 31 + u128::from(byte)) % 0x1_0000_0000);
    Guid::from_u128(base + number)
}

/// The SID of a person follows from the GUID.
fn sid_of(number: u64) -> Sid {
    format!("{DOMAIN}-{}", 100_000 + number).parse().expect("a SID")
}

fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn below_base(name: &str) -> String {
    format!("{name},{BASE}")
}

fn text(value: Option<&String>) -> Option<Text> {
    value.map(|value| Text::from(value.as_str()))
}

fn texts(values: &[String]) -> Box<[Text]> {
    values.iter().map(|value| Text::from(value.as_str())).collect()
}

/// Returns the people of a scenario with their GUIDs: in order from 1, unless they name another.
fn people(scenario: &Scenario) -> impl Iterator<Item = (u64, &PersonPart)> {
    scenario.directory.people.iter().zip(1..).map(|(part, number)| (part.guid.unwrap_or(number), part))
}

fn name_of(part: &PersonPart) -> &str {
    part.name.as_deref().unwrap_or(&part.sam)
}

fn user_principal_name(part: &PersonPart) -> Option<Text> {
    match part.upn.as_deref() {
        None => Some(Text::from(format!("{}@contoso.test", part.sam))),
        Some("") => None,
        Some(name) => Some(Text::from(name)),
    }
}

fn person(number: u64, part: &PersonPart) -> Person {
    Person {
        guid: guid(number),
        sid: Some(sid_of(number)),
        rdn: Text::default(),
        container: ContainerIndex(0),
        sam_account_name: Text::from(part.sam.as_str()),
        user_principal_name: user_principal_name(part),
        display_name: Text::from(name_of(part)),
        mail: text(part.mail.as_ref()),
        mobile: None,
        addresses: Addresses::new(text(part.address.as_ref()), texts(&part.aliases)),
        consistency_guid: part.consistency_guid.map(|number| guid(number).octets()),
        primary_group: Some(part.primary_group),
        enabled: !part.disabled,
        standing: Standing::default(),
        invalid: part.invalid.as_deref().map(Box::from),
    }
}

fn person_dn(part: &PersonPart) -> String {
    below_base(&format!("CN={},{}", name_of(part), part.ou))
}

fn directory(scenario: &Scenario) -> Directory {
    let mut builder = DirectoryBuilder::new(Text::from(DIRECTORY), dn(BASE), dn(BASE));
    builder.domain_sid(DOMAIN.parse().expect("a SID"));
    builder.well_known("cn=users", dn(&below_base("CN=Users")));
    for (name, number) in containers(scenario) {
        let is_ou = fold(&name).starts_with("ou=");
        builder.container(&dn(&below_base(&name)), Some(guid(number)), is_ou).expect("a container");
    }
    for (number, part) in people(scenario) {
        builder.person(&dn(&person_dn(part)), person(number, part)).expect("a person");
    }
    for (part, number) in scenario.directory.groups.iter().zip(GROUPS..) {
        let members: Vec<String> = part
            .members
            .iter()
            .map(|member| member_dn(scenario, member))
            .chain(part.unseen.iter().cloned())
            .collect();
        builder.group(group(part, number), members.iter().map(String::as_str)).expect("a group");
    }
    builder.finish()
}

/// Returns the containers of a directory with their GUIDs: those that are named and those that
/// somebody lies in; without any named also `OU=Staff` and `OU=Groups`.
fn containers(scenario: &Scenario) -> BTreeMap<String, u64> {
    let part = &scenario.directory;
    let usual = if part.ous.is_empty() { &["OU=Staff", "OU=Groups"][..] } else { &[] };
    let lain_in: BTreeSet<String> = usual
        .iter()
        .map(|name| (*name).to_owned())
        .chain(part.people.iter().map(|person| person.ou.clone()))
        .chain(part.groups.iter().map(|group| group.ou.clone()))
        .collect();
    let mut containers = part.ous.clone();
    for (name, number) in lain_in.into_iter().zip(OUS..) {
        containers.entry(name).or_insert(number);
    }
    containers
}

fn group(part: &GroupPart, number: u32) -> Group {
    let rid = part.rid.unwrap_or(number);
    let sid = if part.builtin { format!("S-1-5-32-{rid}") } else { format!("{DOMAIN}-{rid}") };
    Group {
        guid: guid(part.guid.unwrap_or(u64::from(number))),
        sid: Some(sid.parse().expect("a SID")),
        dn: dn(&group_dn(part)),
        cn: Text::from(part.name.as_str()),
        sam_account_name: Some(Text::from(part.name.as_str())),
        is_security: true,
        is_critical: part.critical,
        members: Vec::new(),
        unseen: Vec::new(),
        foreign: Vec::new(),
    }
}

fn group_dn(part: &GroupPart) -> String {
    below_base(&format!("CN={},{}", part.name, part.ou))
}

fn member_dn(scenario: &Scenario, member: &str) -> String {
    let directory = &scenario.directory;
    let person = directory.people.iter().find(|person| person.sam == member);
    let group = directory.groups.iter().find(|group| group.name == member);
    match (person, group) {
        (Some(person), None) => person_dn(person),
        (None, Some(group)) => group_dn(group),
        _ => panic!("`{member}` must be exactly one person or group"),
    }
}

fn tenant(part: &TenantPart) -> Tenant {
    let mut builder = TenantBuilder::new();
    builder.id(Text::from(TENANT));
    let skus = part.skus.clone().unwrap_or_else(|| {
        BTreeMap::from([
            ("SPE_E3".to_owned(), vec!["EXCHANGE_S_ENTERPRISE".to_owned(), "TEAMS1".to_owned()]),
            ("FLOW_FREE".to_owned(), vec!["FLOW_P2_VIRAL".to_owned()]),
        ])
    });
    let subscription = |(part_number, plans): (&String, &Vec<String>)| Subscription {
        sku: id_of(part_number, SKU_IDS),
        part_number: Text::from(part_number.as_str()),
        usable: true,
        plans: plans.iter().map(|plan| (id_of(plan, PLAN_IDS), Text::from(plan.as_str()))).collect(),
    };
    builder.subscriptions(skus.iter().map(subscription).collect());
    for (user, number) in part.users.iter().zip(1..) {
        let licence = |name: &String| Licence {
            sku: id_of(name, SKU_IDS),
            disabled_plans: user.disabled_plans.iter().map(|plan| id_of(plan, PLAN_IDS)).collect(),
            effective: !user.failed,
        };
        let licences = builder.licence_set(user.licences.iter().map(licence).collect());
        builder.user(tenant_user(user, tenant_id(user.id.unwrap_or(number)), licences));
    }
    let groups =
        part.groups.iter().zip(TENANT_GROUPS..).map(|(group, number)| tenant_group(part, group, number));
    if let Some(groups) = reading(part.groups_reading, groups.collect()) {
        builder.groups(groups);
    }
    builder.finish()
}

fn tenant_group(tenant: &TenantPart, group: &TenantGroupPart, number: u64) -> TenantGroup {
    let mut users: Vec<Guid> = group.unseen.iter().copied().map(tenant_id).collect();
    let mut groups = Vec::new();
    for member in &group.members {
        let user = (1..).zip(&tenant.users).find(|(_, user)| user.upn.split('@').next() == Some(member));
        let inner = (TENANT_GROUPS..).zip(&tenant.groups).find(|(_, inner)| inner.name == *member);
        match (user, inner) {
            (Some((number, user)), None) => users.push(tenant_id(user.id.unwrap_or(number))),
            (None, Some((number, inner))) => groups.push(NestedGroup {
                id: tenant_id(inner.id.unwrap_or(number)),
                display_name: Some(Text::from(inner.name.as_str())),
                members: Some(inner.members.len()),
            }),
            _ => panic!("`{member}` must be exactly one user or group of the tenant"),
        }
    }
    TenantGroup {
        id: tenant_id(group.id.unwrap_or(number)),
        display_name: Text::from(group.name.as_str()),
        is_security: !group.mail_only,
        holds_roles: group.holds_roles,
        hides_members: group.hides_members,
        users,
        groups,
    }
}

fn tenant_user(part: &UserPart, id: Guid, licences: LicenceSetIndex) -> TenantUser {
    TenantUser {
        id,
        user_principal_name: Text::from(part.upn.as_str()),
        display_name: text(part.name.as_ref()),
        mail: text(part.mail.as_ref()),
        mobile: None,
        addresses: Addresses::new(text(part.address.as_ref()), texts(&part.aliases)),
        anchor: match part.anchor {
            None => Anchor::None,
            Some(AnchorPart::Guid(number)) => Anchor::Octets(guid(number).octets()),
            Some(AnchorPart::Text(_)) => Anchor::Other,
        },
        on_premises_sid: part.sid_of.map(sid_of),
        enabled: !part.disabled,
        is_guest: part.guest,
        licences,
    }
}

fn account(scenario: &Scenario, part: &AccountPart) -> Account {
    if let Some(user) = part.user {
        return tenant_account(scenario, part, user);
    }
    let found = people(scenario).find(|(number, person)| match part.guid {
        Some(wanted) => *number == wanted,
        None => person.sam == part.sam,
    });
    let number = part.guid.or(found.map(|(number, _)| number));
    let number = number.unwrap_or_else(|| panic!("`{}` needs a guid: nobody has that name", part.sam));
    let usual = || Text::from(format!("{}@contoso.test", part.sam));
    let upn = text(part.upn.as_ref());
    let name = text(part.name.as_ref());
    Account {
        key: AccountKey { account_type: part.account_type, source: Source::Directory, id: guid(number) },
        profile: Profile {
            sam_account_name: Text::from(part.sam.as_str()),
            user_principal_name: upn
                .or_else(|| found.map_or_else(|| Some(usual()), |(_, person)| user_principal_name(person))),
            display_name: name
                .or_else(|| found.map(|(_, person)| Text::from(name_of(person))))
                .unwrap_or_else(|| Text::from(part.sam.as_str())),
            email: text(part.email.as_ref()),
            mobile_phone: None,
            tenant_user_id: part.linked.map(tenant_id),
            password_sync: part.linked.is_some(),
        },
        state: state(part),
        provenance: Arc::new(Provenance {
            directory: Some(Text::from(DIRECTORY)),
            policy: Text::from(part.policy.as_str()),
            tree_revision: Text::from("earlier"),
            run: Text::from("earlier"),
        }),
        imported_at: "2025-06-01T00:00:00Z".parse().expect("a moment"),
        removal_began_at: part
            .removal_began
            .or(part.since.filter(|_| !part.approved && part.state != StatePart::Orphaned)),
    }
}

/// An account of a customer without a directory.
fn tenant_account(scenario: &Scenario, part: &AccountPart, number: u64) -> Account {
    let users = (1..).zip(&scenario.tenant.users);
    let found = users.map(|(place, user)| (user.id.unwrap_or(place), user)).find(|(id, _)| *id == number);
    let user = found.map(|(_, user)| user);
    let upn = text(part.upn.as_ref()).or_else(|| user.map(|user| Text::from(user.upn.as_str())));
    let upn = upn.unwrap_or_else(|| Text::from(format!("{}@contoso.test", part.sam)));
    let name = text(part.name.as_ref()).or_else(|| user.and_then(|user| text(user.name.as_ref())));
    Account {
        key: AccountKey { account_type: part.account_type, source: Source::Tenant, id: tenant_id(number) },
        profile: Profile {
            sam_account_name: Text::default(),
            display_name: name.unwrap_or_else(|| upn.clone()),
            user_principal_name: Some(upn),
            email: text(part.email.as_ref()),
            mobile_phone: None,
            tenant_user_id: Some(tenant_id(number)),
            password_sync: false,
        },
        state: state(part),
        provenance: Arc::new(Provenance {
            directory: None,
            policy: Text::from(part.policy.as_str()),
            tree_revision: Text::from("earlier"),
            run: Text::from("earlier"),
        }),
        imported_at: "2025-06-01T00:00:00Z".parse().expect("a moment"),
        removal_began_at: part.since.filter(|_| !part.approved && part.state != StatePart::Orphaned),
    }
}

fn state(part: &AccountPart) -> AccountState {
    let since = || part.since.unwrap_or_else(|| panic!("`{}` needs `since`", part.sam));
    let reason = part.reason.unwrap_or(Verdict::NotInScope);
    match part.state {
        StatePart::Active => AccountState::Active,
        StatePart::PendingRemoval => AccountState::PendingRemoval {
            since: since(),
            until: part.until.unwrap_or_else(|| panic!("`{}` needs `until`", part.sam)),
            reason,
        },
        StatePart::Orphaned => AccountState::Orphaned { since: since() },
        StatePart::Removed => AccountState::Removed { since: since(), reason, approved: part.approved },
    }
}

fn pins(part: &RegisterPart) -> Pins {
    let scope = |scope: &super::document::ScopePart| {
        let (kind, written, directory, id) = match (&scope.ou, &scope.group, &scope.entra_group) {
            (Some(ou), None, None) => (ScopeKind::OrganizationalUnit, ou, DIRECTORY, guid(scope.guid)),
            (None, Some(group), None) => (ScopeKind::SecurityGroup, group, DIRECTORY, guid(scope.guid)),
            (None, None, Some(group)) => (ScopeKind::EntraGroup, group, "", tenant_id(scope.guid)),
            _ => panic!("a scope is an `ou`, a `group` or an `entraGroup`"),
        };
        let name =
            ScopeName { directory: Text::from(directory), kind, written: Text::from(fold(written).as_ref()) };
        (name, PinnedScope { guid: id, dn: Text::from(scope.dn.as_str()) })
    };
    Pins {
        domains: text(part.domain.as_ref()).map(|sid| (Text::from(DIRECTORY), sid)).into_iter().collect(),
        tenant: text(part.tenant.as_ref()),
        scopes: part.scopes.iter().map(scope).collect(),
        ..Pins::default()
    }
}

/// Returns the users of the readings before: the present ones, and those that vanished.
fn measures(part: &RegisterPart, directory: &Directory, tenant: &Tenant) -> Measures {
    let with_vanished = |present: Vec<Guid>, count: u64, id: fn(u64) -> Guid| {
        let mut all: Vec<Guid> = present.into_iter().chain((0..count).map(|n| id(VANISHED + n))).collect();
        all.sort_unstable();
        all
    };
    let people = || directory.people.iter().map(|person| person.guid).collect();
    let users = || tenant.users.iter().map(|user| user.id).collect();
    Measures {
        directories: part
            .vanished
            .directory
            .map(|count| (Text::from(DIRECTORY), with_vanished(people(), count, guid)))
            .into_iter()
            .collect(),
        tenant: part.vanished.tenant.map(|count| with_vanished(users(), count, tenant_id)),
        ..Measures::default()
    }
}
