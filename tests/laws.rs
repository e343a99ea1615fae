//! The invariants of the product as laws over many small worlds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use intake::model::account::{
    Account, AccountKey, AccountState, AccountType, Profile, Provenance, Source, Verdict,
};
use intake::model::addresses::Addresses;
use intake::model::directory::{ContainerIndex, Directory, DirectoryBuilder, Group, Person};
use intake::model::dn::Dn;
use intake::model::duration::Seconds;
use intake::model::event::ReadingDigests;
use intake::model::guid::Guid;
use intake::model::observation::Observation;
use intake::model::reading::{Fault, FaultKind, Reading, Shortfall};
use intake::model::register::RegisterState;
use intake::model::standing::Standing;
use intake::model::tenant::{Anchor, Licence, Tenant, TenantBuilder, TenantUser};
use intake::model::tenant_group::TenantGroup;
use intake::model::text::Text;
use intake::plan::explain::explain;
use intake::plan::explanation::{Explanation, Rule};
use intake::plan::outcome::{AccountView, Action, CustomerPlan, FindingCode, Operation};
use intake::plan::planner::plan_customer;
use intake::policy::fleet::{
    AccountPattern, Customer, DirectoryLocation, DirectorySource, EntraGroupName, GroupName, Import, Imports,
    LicenceRule, MatchKey, OuName, RemovalLimits, Scope, Selection, TenantSource,
};
use intake::reconcile::apply::commit_of;
use intake::reconcile::notice::Stamp;
use jiff::Timestamp;
use proptest::prelude::*;

mod over_time;

const NOW: i64 = 1_800_000_000;

/// A person of a small directory.
#[derive(Debug, Clone)]
struct Somebody {
    number: u8,
    in_staff: bool,
    in_group: bool,
    enabled: bool,
    broken: bool,
    renamed: bool,
    anchor_of: Option<u8>,
}

/// A user of a small tenant.
#[derive(Debug, Clone)]
struct User {
    number: u8,
    anchor: Option<u8>,
    name_of: u8,
    mail_of: u8,
    guest: bool,
    enabled: bool,
    licensed: bool,
}

/// An account of a small register.
#[derive(Debug, Clone)]
struct Known {
    number: u8,
    user: Option<u8>,
    state: u8,
    foreign_policy: bool,
}

/// How whole a reading is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wholeness {
    Complete,
    Incomplete,
    Unavailable,
}

#[derive(Debug, Clone)]
struct World {
    people: Vec<Somebody>,
    users: Vec<User>,
    accounts: Vec<Known>,
    by_group: bool,
    /// Without a directory: people are selected in the tenant, and `directory` is how whole its groups are.
    tenant_only: bool,
    password_sync: bool,
    grace: u64,
    limits: (u32, u32, u32),
    allow_empty: bool,
    protected: u8,
    directory: Wholeness,
    tenant: Wholeness,
}

/// Numbers are drawn from a small range, so that people, users and accounts meet.
fn number() -> impl Strategy<Value = u8> {
    0_u8..10
}

fn mostly(often: u32) -> impl Strategy<Value = bool> {
    proptest::bool::weighted(f64::from(often) / 100.0)
}

fn worlds() -> impl Strategy<Value = World> {
    let somebody = (
        number(),
        mostly(70),
        mostly(60),
        mostly(90),
        mostly(8),
        mostly(20),
        proptest::option::weighted(0.1, number()),
    )
        .prop_map(|(number, in_staff, in_group, enabled, broken, renamed, anchor_of)| Somebody {
            number,
            in_staff,
            in_group,
            enabled,
            broken,
            renamed,
            anchor_of,
        });
    let user = (
        number(),
        proptest::option::of(number()),
        number(),
        number(),
        mostly(10),
        mostly(90),
        mostly(80),
        mostly(80),
    )
        .prop_map(|(number, anchor, name_of, mail_of, guest, enabled, licensed, usual)| User {
            number,
            anchor,
            name_of: if usual { number } else { name_of },
            mail_of: if usual { number } else { mail_of },
            guest,
            enabled,
            licensed,
        });
    let known = (number(), proptest::option::weighted(0.7, number()), 0_u8..6, mostly(10))
        .prop_map(|(number, user, state, foreign_policy)| Known { number, user, state, foreign_policy });
    let wholeness = || prop_oneof![8 => Just(Wholeness::Complete), 1 => Just(Wholeness::Incomplete), 1 => Just(Wholeness::Unavailable)];
    (
        (
            proptest::collection::vec(somebody, 0..12),
            proptest::collection::vec(user, 0..12),
            proptest::collection::vec(known, 0..12),
        ),
        (any::<bool>(), mostly(30), mostly(80), prop_oneof![Just(0_u64), Just(86_400)]),
        ((0_u32..=100, 0_u32..10, 0_u32..4), any::<bool>(), number()),
        (wholeness(), wholeness()),
    )
        .prop_map(
            |(
                (people, users, accounts),
                (by_group, tenant_only, password_sync, grace),
                (limits, allow_empty, protected),
                wholeness,
            )| {
                let (directory, tenant) = wholeness;
                World {
                    people,
                    users,
                    accounts,
                    by_group,
                    tenant_only,
                    password_sync,
                    grace,
                    limits,
                    allow_empty,
                    protected,
                    directory,
                    tenant,
                }
            },
        )
}

fn person_id(number: u8) -> Guid {
    Guid::from_u128(0x1000 + u128::from(number))
}

fn user_id(number: u8) -> Guid {
    Guid::from_u128(0x2000 + u128::from(number))
}

fn dn(text: &str) -> Dn {
    Dn::parse(text).expect("a DN")
}

fn moment(seconds_before_now: i64) -> Timestamp {
    Timestamp::from_second(NOW - seconds_before_now).expect("a time")
}

/// Keeps the first of each number: two people cannot be one object.
fn distinct<T: Clone>(all: &[T], number: impl Fn(&T) -> u8) -> Vec<T> {
    let mut seen = BTreeSet::new();
    all.iter().filter(|one| seen.insert(number(one))).cloned().collect()
}

impl World {
    fn customer(&self) -> Customer {
        let selection = if self.tenant_only && self.by_group {
            let name = EntraGroupName::Name(Text::from("Intake Users"));
            Selection::EntraGroups(vec![Scope { name, optional: false }])
        } else if self.tenant_only {
            Selection::Licensed
        } else if self.by_group {
            let name = GroupName::Name(Text::from("Intake Users"));
            Selection::SecurityGroups(vec![Scope { name, optional: false }])
        } else {
            let name = OuName { written: Text::from("OU=Staff"), dn: dn("OU=Staff") };
            Selection::OrganizationalUnits(vec![Scope { name, optional: false }])
        };
        let (max_percent, max_count, min_count) = self.limits;
        let import = Import {
            policy: Text::from("staff"),
            account_type: AccountType::EndUser,
            selection,
            exclude: Vec::new(),
            include_disabled: false,
            exclude_privileged: true,
            privileged_groups: Vec::new(),
            unsupported_containers: vec![dn("CN=Users")],
            password_sync: self.password_sync,
            licences: LicenceRule::default(),
            match_keys: vec![
                MatchKey::ImmutableId,
                MatchKey::SecurityIdentifier,
                MatchKey::UserPrincipalName,
                MatchKey::Mail,
            ],
            removal: RemovalLimits {
                grace: Seconds(self.grace),
                window: Seconds(86_400),
                max_percent,
                max_count,
                min_count,
                max_shrink_percent: 30,
                allow_empty: self.allow_empty,
            },
        };
        let directory =
            DirectorySource { name: Text::from("main"), location: DirectoryLocation::Ldif("x.ldif".into()) };
        Customer {
            directories: if self.tenant_only { Vec::new() } else { vec![directory] },
            tenant: Some(TenantSource::Snapshot("x.json".into())),
            protect: vec![AccountPattern::Guid(self.account_id(self.protected))],
            imports: BTreeMap::from([(AccountType::EndUser, Imports::Valid(vec![import]))]),
            ..Customer::named(Text::from("contoso"))
        }
    }

    /// Who an account of a number is.
    fn account_id(&self, number: u8) -> Guid {
        if self.tenant_only { user_id(number) } else { person_id(number) }
    }

    fn directory(&self, reversed: bool) -> Directory {
        let base = dn("DC=contoso,DC=test");
        let mut builder = DirectoryBuilder::new(Text::from("main"), base.clone(), base);
        builder.container(&dn("OU=Staff,DC=contoso,DC=test"), Some(Guid::from_u128(1)), true).expect("added");
        let mut people = distinct(&self.people, |one| one.number);
        let name = |one: &Somebody| {
            let place = if one.in_staff { "OU=Staff" } else { "OU=Elsewhere" };
            format!("CN=person {},{place},DC=contoso,DC=test", one.number)
        };
        let members: Vec<String> = people.iter().filter(|one| one.in_group).map(name).collect();
        if reversed {
            people.reverse();
        }
        for one in &people {
            let address = Text::from(format!("u{}@contoso.test", one.number));
            let person = Person {
                guid: person_id(one.number),
                sid: None,
                rdn: Text::default(),
                container: ContainerIndex(0),
                sam_account_name: Text::from(format!("u{}", one.number)),
                user_principal_name: Some(address.clone()),
                display_name: Text::from(format!(
                    "{} {}",
                    if one.renamed { "New" } else { "Old" },
                    one.number
                )),
                mail: Some(address),
                mobile: Some(Text::from("from the directory")),
                addresses: Addresses::default(),
                consistency_guid: one.anchor_of.map(|other| person_id(other).octets()),
                primary_group: Some(513),
                enabled: one.enabled,
                standing: Standing::default(),
                invalid: one.broken.then(|| "broken".into()),
            };
            builder.person(&dn(&name(one)), person).expect("added");
        }
        let group = Group {
            guid: Guid::from_u128(2),
            sid: None,
            dn: dn("CN=Intake Users,OU=Staff,DC=contoso,DC=test"),
            cn: Text::from("Intake Users"),
            sam_account_name: None,
            is_security: true,
            is_critical: false,
            members: Vec::new(),
            unseen: Vec::new(),
            foreign: Vec::new(),
        };
        builder.group(group, members.iter().map(String::as_str)).expect("added");
        builder.finish()
    }

    fn tenant(&self, reversed: bool) -> Tenant {
        let mut builder = TenantBuilder::new();
        let licence = Licence { sku: Guid::from_u128(3), disabled_plans: Vec::new(), effective: true };
        let (licensed, unlicensed) = (builder.licence_set(vec![licence]), builder.licence_set(Vec::new()));
        let mut users = distinct(&self.users, |user| user.number);
        if reversed {
            users.reverse();
        }
        for user in &users {
            builder.user(TenantUser {
                id: user_id(user.number),
                user_principal_name: Text::from(format!("U{}@contoso.test", user.name_of)),
                display_name: None,
                mail: Some(Text::from(format!("u{}@contoso.test", user.mail_of))),
                mobile: None,
                addresses: Addresses::default(),
                anchor: user.anchor.map_or(Anchor::None, |number| Anchor::Octets(person_id(number).octets())),
                on_premises_sid: None,
                enabled: user.enabled,
                is_guest: user.guest,
                licences: if user.licensed { licensed } else { unlicensed },
            });
        }
        let mut members: Vec<Guid> =
            users.iter().filter(|user| user.is_member()).map(|user| user_id(user.number)).collect();
        if reversed {
            members.reverse();
        }
        let group = TenantGroup {
            id: Guid::from_u128(4),
            display_name: Text::from("Intake Users"),
            is_security: true,
            holds_roles: false,
            hides_members: false,
            users: members,
            groups: Vec::new(),
        };
        builder.groups(reading(self.directory, vec![group]));
        builder.finish()
    }

    fn register(&self, reversed: bool) -> RegisterState {
        let mut accounts: Vec<Account> = distinct(&self.accounts, |known| known.number)
            .iter()
            .map(|known| Account {
                key: AccountKey {
                    account_type: AccountType::EndUser,
                    source: if self.tenant_only { Source::Tenant } else { Source::Directory },
                    id: self.account_id(known.number),
                },
                profile: Profile {
                    sam_account_name: match self.tenant_only {
                        true => Text::default(),
                        false => Text::from(format!("u{}", known.number)),
                    },
                    user_principal_name: Some(Text::from(format!("u{}@contoso.test", known.number))),
                    display_name: Text::from(format!("Old {}", known.number)),
                    email: Some(Text::from("corrected by a technician")),
                    mobile_phone: None,
                    tenant_user_id: match self.tenant_only {
                        true => Some(user_id(known.number)),
                        false => known.user.map(user_id),
                    },
                    password_sync: self.password_sync && !self.tenant_only,
                },
                state: match known.state {
                    0 => AccountState::Removed {
                        since: moment(3_600),
                        reason: Verdict::Unlicensed,
                        approved: false,
                    },
                    1 => AccountState::PendingRemoval {
                        since: moment(90_000),
                        until: moment(3_600),
                        reason: Verdict::Unlicensed,
                    },
                    2 => AccountState::PendingRemoval {
                        since: moment(3_600),
                        until: moment(-3_600),
                        reason: Verdict::Unlicensed,
                    },
                    3 => AccountState::Orphaned { since: moment(3_600) },
                    _ => AccountState::Active,
                },
                provenance: Arc::new(Provenance {
                    directory: (!self.tenant_only).then(|| Text::from("main")),
                    policy: Text::from(if known.foreign_policy { "gone" } else { "staff" }),
                    tree_revision: Text::from("1"),
                    run: Text::from("1"),
                }),
                imported_at: moment(1_000_000),
                removal_began_at: match known.state {
                    0 | 2 => Some(moment(3_600)),
                    1 => Some(moment(90_000)),
                    // Somebody who was out for an hour and came back.
                    5 => Some(moment(3_600)),
                    _ => None,
                },
            })
            .collect();
        if reversed {
            accounts.reverse();
        }
        RegisterState { revision: 1, accounts, ..RegisterState::default() }
    }

    fn observation(&self, reversed: bool) -> Observation {
        let directory = || (Text::from("main"), reading(self.directory, self.directory(reversed)));
        Observation {
            at: moment(0),
            directories: (!self.tenant_only).then(directory).into_iter().collect(),
            tenant: Some(reading(self.tenant, self.tenant(reversed))),
            register: self.register(reversed),
            confirmation: None,
        }
    }

    fn plan(&self) -> CustomerPlan {
        plan_customer(&self.customer(), &self.observation(false))
    }
}

fn reading<T>(wholeness: Wholeness, value: T) -> Reading<T> {
    match wholeness {
        Wholeness::Complete => Reading::Complete(value),
        Wholeness::Incomplete => Reading::Incomplete(Shortfall { what: "cut".to_owned(), read: 3 }),
        Wholeness::Unavailable => Reading::Unavailable(Fault::new(FaultKind::Transient, "away")),
    }
}

impl User {
    /// Whether the user is in the group of the tenant.
    fn is_member(&self) -> bool {
        !self.mail_of.is_multiple_of(4)
    }
}

/// The register after a plan was applied.
fn applied(plan: &CustomerPlan, register: &RegisterState) -> RegisterState {
    let stamp = Stamp { run: Text::from("run"), tree_revision: Text::from("tree"), at: moment(0) };
    let Some(commit) = commit_of(plan, register, &ReadingDigests::default(), &stamp, &[]) else {
        return register.clone();
    };
    let mut accounts: BTreeMap<AccountKey, Account> =
        register.accounts.iter().map(|account| (account.key, account.clone())).collect();
    accounts.extend(commit.accounts.into_iter().map(|account| (account.key, account)));
    RegisterState {
        revision: register.revision + 1,
        accounts: accounts.into_values().collect(),
        pins: commit.pins,
        holds: commit.holds,
        measures: plan.consequences.measures.clone().unwrap_or_else(|| register.measures.clone()),
        readings: None,
        suspension: None,
        documented: register.documented.clone(),
        unfollowed: register.unfollowed.clone(),
    }
}

fn rules(explanation: &Explanation) -> Vec<Rule> {
    explanation.steps.iter().map(|step| step.step).collect()
}

fn takes_away(action: Action) -> bool {
    matches!(action, Action::Remove | Action::Pend)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reading_that_is_not_whole_changes_nothing(world in worlds()) {
        let plan = world.plan();
        // Who selects by licence needs no groups.
        let needs_directory = !world.tenant_only || world.by_group;
        let is_short = needs_directory && world.directory != Wholeness::Complete;
        if is_short || world.tenant != Wholeness::Complete {
            prop_assert!(plan.operations.is_empty());
            prop_assert!(plan.consequences.measures.is_none());
        }
    }

    #[test]
    fn the_same_inputs_in_another_order_give_the_same_plan(world in worlds()) {
        let plan = serde_json::to_string(&world.plan()).expect("JSON");
        let again = plan_customer(&world.customer(), &world.observation(true));
        prop_assert_eq!(plan, serde_json::to_string(&again).expect("JSON"));
    }

    #[test]
    fn a_second_run_plans_nothing_but_what_is_held(world in worlds()) {
        let observation = world.observation(false);
        let first = plan_customer(&world.customer(), &observation);
        let second = plan_customer(
            &world.customer(),
            &Observation { register: applied(&first, &observation.register), ..observation },
        );
        let writes: Vec<_> = second.operations.iter().filter(|operation| operation.action != Action::Hold).collect();
        prop_assert!(writes.is_empty(), "{:?}", writes);
        let held = |plan: &CustomerPlan| plan.operations.iter().filter(|one| one.action == Action::Hold).count();
        prop_assert_eq!(held(&first), held(&second));
        prop_assert_eq!(first.approval, second.approval);
    }

    #[test]
    fn an_account_is_in_at_most_one_operation_and_never_kept_at_the_same_time(world in worlds()) {
        let plan = world.plan();
        let mut seen: BTreeSet<Guid> = plan.kept.iter().filter_map(|kept| kept.account.directory_id).collect();
        prop_assert_eq!(seen.len(), plan.kept.len());
        for operation in &plan.operations {
            let is_orphaned = operation.changes.iter().any(|change| change.after.as_deref() == Some("orphaned"));
            prop_assert!(seen.insert(operation.key.id) || is_orphaned, "{:?}", operation);
        }
    }

    #[test]
    fn removals_stay_within_the_limit_or_are_held_whole(world in worlds()) {
        let plan = world.plan();
        let now = moment(0);
        let register = world.register(false);
        let ends_now = |account: &Account| matches!(account.state, AccountState::PendingRemoval { until, .. } if until <= now);
        let ending: BTreeSet<Guid> =
            register.accounts.iter().filter(|account| ends_now(account)).map(|account| account.key.id).collect();
        let judged = plan
            .operations
            .iter()
            .filter(|operation| takes_away(operation.action) && !ending.contains(&operation.key.id))
            .count() as u64;
        // Whoever came and went is held alone; the other guards hold all.
        let is_held = |operation: &&Operation| operation.action == Action::Hold;
        let alone = |operation: &&Operation| operation.held_by == Some(FindingCode::Flapping);
        let held = plan.operations.iter().filter(is_held).count();
        let held_whole = held - plan.operations.iter().filter(is_held).filter(alone).count();
        let is_recent = |account: &Account| account.removal_began_at == Some(moment(3_600));
        let counts = |account: &&Account| account.state == AccountState::Active || is_recent(account);
        let base = register.accounts.iter().filter(counts).count() as u64;
        let recent = register.accounts.iter().filter(|account| is_recent(account)).count() as u64;
        let (percent, count, minimum) = world.limits;
        let limit = u64::from(minimum).max(u64::from(count).min(u64::from(percent) * base / 100));
        prop_assert!(judged == 0 || judged + recent <= limit);
        prop_assert!(judged == 0 || held_whole == 0, "all or none");
        prop_assert_eq!(held > 0, plan.approval.is_some());
    }

    #[test]
    fn the_protected_stay_and_strangers_to_the_policy_are_never_removed(world in worlds()) {
        let register = world.register(false);
        let foreign: BTreeSet<Guid> = register
            .accounts
            .iter()
            .filter(|account| account.provenance.policy == "gone" || matches!(account.state, AccountState::Orphaned { .. }))
            .map(|account| account.key.id)
            .collect();
        for operation in world.plan().operations.iter().filter(|operation| takes_away(operation.action)) {
            prop_assert!(operation.key.id != world.account_id(world.protected));
            prop_assert!(!foreign.contains(&operation.key.id));
        }
    }

    #[test]
    fn what_people_correct_is_never_taken_back(world in worlds()) {
        let register = world.register(false);
        for operation in world.plan().operations.iter().filter(|operation| operation.action != Action::Add) {
            let account = register.accounts.iter().find(|account| account.key == operation.key).expect("known");
            prop_assert_eq!(&operation.profile.email, &account.profile.email);
            prop_assert_eq!(&operation.profile.mobile_phone, &account.profile.mobile_phone);
        }
    }

    #[test]
    fn whoever_is_added_is_licensed_enabled_and_the_only_claimant(world in worlds()) {
        let plan = world.plan();
        let added: Vec<_> = plan.operations.iter().filter(|one| one.action == Action::Add).collect();
        let mut users = BTreeSet::new();
        let needs_licence = world.password_sync || world.tenant_only && !world.by_group;
        for operation in added.iter().filter(|_| needs_licence) {
            let id = operation.profile.tenant_user_id.expect("a link");
            prop_assert!(users.insert(id), "one tenant user, two accounts");
            let user = world.users.iter().find(|user| user_id(user.number) == id).expect("read");
            prop_assert!(user.licensed && user.enabled && !user.guest);
        }
        for operation in added {
            if world.tenant_only {
                let user = world.users.iter().find(|user| user_id(user.number) == operation.key.id).expect("read");
                prop_assert!(user.enabled && !user.guest && (!world.by_group || user.is_member()));
                continue;
            }
            let person = world.people.iter().find(|one| person_id(one.number) == operation.key.id).expect("read");
            prop_assert!(person.enabled && !person.broken);
            let is_selected = if world.by_group { person.in_group } else { person.in_staff };
            prop_assert!(is_selected);
        }
    }

    #[test]
    fn an_explanation_says_what_the_plan_says(world in worlds()) {
        let plan = world.plan();
        let (customer, observation) = (world.customer(), world.observation(true));
        let source = if world.tenant_only { world.tenant } else { world.directory };
        let is_whole = source == Wholeness::Complete && world.tenant == Wholeness::Complete;
        let id_of = |account: &AccountView| {
            if world.tenant_only { account.tenant_user_id } else { account.directory_id }
        };
        let left_out: BTreeMap<Guid, Verdict> =
            plan.not_imported.iter().filter_map(|one| Some((id_of(&one.account)?, one.verdict))).collect();
        let kept: BTreeMap<Guid, Verdict> =
            plan.kept.iter().filter_map(|kept| Some((id_of(&kept.account)?, kept.verdict))).collect();
        for number in 0..10 {
            let id = world.account_id(number);
            let person = world.people.iter().find(|one| one.number == number && !world.tenant_only);
            let user = world.users.iter().find(|user| user.number == number && world.tenant_only);
            let is_read = (person.is_some() || user.is_some()) && source == Wholeness::Complete;
            let is_registered = world.accounts.iter().any(|known| known.number == number);
            let explained = explain(&customer, &observation, &id.to_string());
            prop_assert_eq!(explained.is_ok(), is_read || is_registered);
            let Ok(explanation) = explained else { continue };
            prop_assert!(explanation.also_as.is_empty());
            prop_assert_eq!(rules(&explanation), Rule::ALL.to_vec());
            prop_assert_eq!(explanation.steps.iter().filter(|step| step.decides).count(), 1);

            let operation = plan.operations.iter().find(|operation| operation.key.id == id);
            prop_assert_eq!(format!("{:?}", operation), format!("{:?}", explanation.operation.as_ref()));
            prop_assert_eq!(explanation.unread.is_empty(), is_whole);
            if let Some(reason) = operation.and_then(|operation| operation.reason) {
                prop_assert_eq!(explanation.verdict, Some(reason));
            }
            if let Some(verdict) = kept.get(&id).or(left_out.get(&id)) {
                prop_assert_eq!(explanation.verdict, Some(*verdict));
            }
            let is_selected = is_read
                && match user {
                    Some(user) => if world.by_group { user.is_member() } else { !user.guest },
                    None => {
                        person.is_some_and(|one| if world.by_group { one.in_group } else { one.in_staff })
                    }
                };
            let is_included = is_selected && !left_out.contains_key(&id);
            // The groups of a tenant are a reading of their own.
            let knows_groups =
                !(world.tenant_only && world.by_group) || world.directory == Wholeness::Complete;
            if is_whole && knows_groups {
                prop_assert_eq!(explanation.verdict == Some(Verdict::Included), is_included);
            }
        }
    }
}
