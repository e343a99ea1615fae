//! How long a plan takes, and how much memory: 1 % of the people changed, from 10,000 to 1,000,000.
//!
//! `cargo bench --bench planner` prints a line a size. Time is of the planner alone, on one
//! thread; memory is the peak of the whole process, its inputs included. Beside it: how long a turn
//! that writes takes to digest its readings, and any turn to find out that they are those it kept.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops at what it cannot do"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use intake::model::account::{Account, AccountKey, AccountState, AccountType, Profile, Provenance, Source};
use intake::model::addresses::Addresses;
use intake::model::directory::{ContainerIndex, Directory, DirectoryBuilder, Person};
use intake::model::dn::Dn;
use intake::model::duration::Seconds;
use intake::model::event::ReadingDigests;
use intake::model::guid::Guid;
use intake::model::observation::Observation;
use intake::model::reading::Reading;
use intake::model::register::RegisterState;
use intake::model::standing::Standing;
use intake::model::tenant::{Anchor, Licence, Tenant, TenantBuilder, TenantUser};
use intake::model::text::Text;
use intake::plan::planner::plan_customer;
use intake::policy::fleet::{
    Customer, DirectoryLocation, DirectorySource, Import, Imports, LicenceRule, MatchKey, OuName,
    RemovalLimits, Scope, Selection, TenantSource,
};
use intake::reconcile::readings::pack;
use jiff::Timestamp;

const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];

fn main() {
    println!(
        "{:>10} {:>10} {:>12} {:>12} {:>12} {:>8} {:>10} {:>10}",
        "people", "seconds", "µs a person", "inputs MB", "peak MB", "changes", "digests s", "kept s"
    );
    for size in SIZES {
        let (customer, mut observation) = (customer(), observation(size));
        let inputs = peak_megabytes();
        let start = Instant::now();
        let plan = plan_customer(&customer, &observation);
        let seconds = start.elapsed().as_secs_f64();
        let changes = plan.summary.add + plan.summary.update + plan.summary.remove;
        let expected = size / 300 * 3 + (size % 300).min(3);
        assert_eq!(changes, u64::from(expected), "a third of 1 % each is added, renamed and removed");
        let micros = seconds * 1e6 / f64::from(size);
        let peak = peak_megabytes();
        let start = Instant::now();
        assert!(ReadingDigests::of(&observation).tenant.is_some());
        let digests = start.elapsed().as_secs_f64();
        observation.register.readings = pack(&customer, &observation).map(|packed| packed.digest);
        let start = Instant::now();
        assert!(
            pack(&customer, &observation).is_none_or(|packed| packed.content.is_none()),
            "it is what was kept"
        );
        let kept = start.elapsed().as_secs_f64();
        println!(
            "{size:>10} {seconds:>10.3} {micros:>12.3} {inputs:>12.0} {peak:>12.0} {changes:>8} {digests:>10.3} {kept:>10.3}"
        );
    }
}

fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn customer() -> Customer {
    let import = Import {
        policy: Text::from("staff"),
        account_type: AccountType::EndUser,
        selection: Selection::OrganizationalUnits(vec![Scope {
            name: OuName { written: Text::from("OU=Staff"), dn: Dn::parse("OU=Staff").unwrap() },
            optional: false,
        }]),
        exclude: Vec::new(),
        include_disabled: false,
        exclude_privileged: true,
        privileged_groups: Vec::new(),
        unsupported_containers: vec![Dn::parse("CN=Users").unwrap()],
        password_sync: true,
        licences: LicenceRule::default(),
        match_keys: vec![
            MatchKey::ImmutableId,
            MatchKey::SecurityIdentifier,
            MatchKey::UserPrincipalName,
            MatchKey::Mail,
        ],
        removal: RemovalLimits {
            grace: Seconds(0),
            window: Seconds(86_400),
            max_percent: 10,
            max_count: 1_000_000,
            min_count: 2,
            max_shrink_percent: 30,
            allow_empty: false,
        },
    };
    Customer {
        directories: vec![DirectorySource {
            name: Text::from("main"),
            location: DirectoryLocation::Ldif("big.ldif".into()),
        }],
        tenant: Some(TenantSource::Snapshot("big.json".into())),
        imports: BTreeMap::from([(AccountType::EndUser, Imports::Valid(vec![import]))]),
        ..Customer::named(Text::from("big"))
    }
}

/// Of every 300 people one is not registered yet, one was renamed, and one left.
fn observation(size: u32) -> Observation {
    let directory = directory(size);
    let tenant = tenant(size);
    let register = RegisterState { revision: 1, accounts: accounts(size), ..RegisterState::default() };
    Observation {
        at: Timestamp::UNIX_EPOCH,
        directories: vec![(Text::from("main"), Reading::Complete(directory))],
        tenant: Some(Reading::Complete(tenant)),
        register,
        confirmation: None,
    }
}

fn is_new(number: u32) -> bool {
    number.is_multiple_of(300)
}

fn is_renamed(number: u32) -> bool {
    number % 300 == 1
}

fn has_left(number: u32) -> bool {
    number % 300 == 2
}

/// Spread over the whole range, as real GUIDs are.
fn person_id(number: u32) -> Guid {
    Guid::from_u128(u128::from(number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

fn user_id(number: u32) -> Guid {
    Guid::from_u128(u128::from(number + 1).wrapping_mul(0xD1B5_4A32_D192_ED03_9E37_79B9_7F4A_7C15))
}

fn name(number: u32) -> Text {
    Text::from(format!("user{number:07}"))
}

fn address(number: u32) -> Text {
    Text::from(format!("user{number:07}@big.test"))
}

fn display_name(number: u32) -> Text {
    Text::from(format!("Person Number {number}"))
}

fn directory(size: u32) -> Directory {
    let base = Dn::parse("DC=big,DC=test").unwrap();
    let mut directory = DirectoryBuilder::new(Text::from("main"), base.clone(), base);
    let staff = Dn::parse("OU=Staff,DC=big,DC=test").unwrap();
    directory.container(&staff, Some(Guid::from_u128(1)), true).unwrap();
    for number in (0..size).filter(|number| !has_left(*number)) {
        let place = format!("OU=Dept{:03},OU=Staff,DC=big,DC=test", number % 400);
        let dn = Dn::parse(&format!("CN={},{place}", name(number))).unwrap();
        let person = Person {
            guid: person_id(number),
            sid: None,
            rdn: Text::default(),
            container: ContainerIndex(0),
            sam_account_name: name(number),
            user_principal_name: Some(address(number)),
            display_name: display_name(number),
            mail: Some(address(number)),
            mobile: None,
            addresses: Addresses::default(),
            consistency_guid: None,
            primary_group: Some(513),
            enabled: true,
            standing: Standing::default(),
            invalid: None,
        };
        directory.person(&dn, person).unwrap();
    }
    directory.finish()
}

/// Half of the users are tied by their anchor, half by their name.
fn tenant(size: u32) -> Tenant {
    let mut tenant = TenantBuilder::new();
    let licence = Licence { sku: Guid::from_u128(2), disabled_plans: Vec::new(), effective: true };
    let licences = tenant.licence_set(vec![licence]);
    for number in 0..size {
        tenant.user(TenantUser {
            id: user_id(number),
            user_principal_name: address(number),
            display_name: Some(display_name(number)),
            mail: Some(address(number)),
            mobile: None,
            addresses: Addresses::default(),
            anchor: if number % 2 == 0 { Anchor::Octets(person_id(number).octets()) } else { Anchor::None },
            on_premises_sid: None,
            enabled: true,
            is_guest: false,
            licences,
        });
    }
    tenant.finish()
}

fn accounts(size: u32) -> Vec<Account> {
    let provenance = Arc::new(Provenance {
        directory: Some(Text::from("main")),
        policy: Text::from("staff"),
        tree_revision: Text::from("1"),
        run: Text::from("1"),
    });
    let account = |number| Account {
        key: AccountKey {
            account_type: AccountType::EndUser,
            source: Source::Directory,
            id: person_id(number),
        },
        profile: Profile {
            sam_account_name: name(number),
            user_principal_name: Some(address(number)),
            display_name: if is_renamed(number) { Text::from("Maiden Name") } else { display_name(number) },
            email: Some(address(number)),
            mobile_phone: None,
            tenant_user_id: Some(user_id(number)),
            password_sync: true,
        },
        state: AccountState::Active,
        provenance: Arc::clone(&provenance),
        imported_at: Timestamp::UNIX_EPOCH,
        removal_began_at: None,
    };
    (0..size).filter(|number| !is_new(*number)).map(account).collect()
}
