//! Digests of complete readings: what a source held, whatever the order in which it told it.

use crate::model::addresses::Addresses;
use crate::model::digest::{Digest, Digester};
use crate::model::directory::{Container, Directory, Group, Member, Person, Unidentified};
use crate::model::event::ReadingDigests;
use crate::model::observation::Observation;
use crate::model::reading::Reading;
use crate::model::standing::Standing;
use crate::model::tenant::{Anchor, Licence, LicenceSet, Subscription, Tenant, TenantUser};
use crate::model::tenant_group::{NestedGroup, TenantGroup};
use crate::model::text::Text;

impl ReadingDigests {
    /// Digests the complete readings of an observation. Takes about two microseconds a record, a third of a
    /// second for a hundred thousand people and their users: not for a thread that others wait for.
    pub fn of(observation: &Observation) -> Self {
        let directories = observation.directories.iter();
        let directories = directories.filter_map(|(name, read)| Some((name.clone(), read.complete()?)));
        let tenant = observation.tenant.as_ref().and_then(Reading::complete);
        Self {
            directories: directories.map(|(name, read)| (name, of_directory(read))).collect(),
            tenant: tenant.map(of_tenant),
        }
    }
}

// Every record is taken apart with all of its fields named, so that none that comes later is
// forgotten: the compiler asks for it.

/// Returns the digest of what a directory holds. Not of where it was read: two domain controllers that
/// say the same give the same digest.
fn of_directory(directory: &Directory) -> Digest {
    let Directory {
        name: _,
        base,
        naming_context,
        domain_sid,
        origin: _,
        well_known,
        containers,
        people,
        groups,
        unidentified,
    } = directory;
    let mut digester = Digester::new("intake reading of a directory 1");
    digester.field(base.key()).field(naming_context.key()).optional(domain_sid.map(|sid| sid.to_string()));
    let well_known = well_known.iter().map(|(usual, dn)| {
        let mut digester = Digester::new("well-known");
        digester.field(usual).field(dn.key());
        digester.finish()
    });
    unordered(&mut digester, well_known);
    unordered(&mut digester, containers.iter().map(of_container));
    unordered(&mut digester, people.iter().map(|person| of_person(directory, person)));
    unordered(&mut digester, groups.iter().map(|group| of_group(directory, group)));
    unordered(&mut digester, unidentified.iter().map(of_unidentified));
    digester.finish()
}

/// By its key: a container that was only seen as somebody's parent is spelt as that child spelt it.
fn of_container(container: &Container) -> Digest {
    let Container { dn, guid, is_organizational_unit } = container;
    let mut digester = Digester::new("container");
    digester.field(dn.key()).optional(guid.map(|guid| guid.octets()));
    flag(&mut digester, *is_organizational_unit);
    digester.finish()
}

fn of_person(directory: &Directory, person: &Person) -> Digest {
    let Person {
        guid,
        sid,
        rdn,
        container: _,
        sam_account_name,
        user_principal_name,
        display_name,
        mail,
        mobile,
        addresses: proxies,
        consistency_guid,
        primary_group,
        enabled,
        standing: Standing { expires, is_locked, has_admin_count },
        invalid,
    } = person;
    let mut digester = Digester::new("person");
    digester
        .field(guid.octets())
        .optional(sid.map(|sid| sid.to_string()))
        .field(rdn)
        .field(directory.container_of(person).dn.key())
        .field(sam_account_name)
        .optional(user_principal_name.as_deref())
        .field(display_name)
        .optional(mail.as_deref())
        .optional(mobile.as_deref());
    addresses(&mut digester, proxies);
    digester.optional(*consistency_guid).optional(primary_group.map(u32::to_be_bytes));
    flag(&mut digester, *enabled);
    digester.optional(expires.and_then(|expires| expires.instant()).map(|at| at.as_second().to_be_bytes()));
    flag(&mut digester, *is_locked);
    flag(&mut digester, *has_admin_count);
    digester.optional(invalid.as_deref());
    digester.finish()
}

fn of_group(directory: &Directory, group: &Group) -> Digest {
    let Group { guid, sid, dn, cn, sam_account_name, is_security, is_critical, members, unseen, foreign } =
        group;
    let mut digester = Digester::new("group");
    digester
        .field(guid.octets())
        .optional(sid.map(|sid| sid.to_string()))
        .field(dn.as_str())
        .field(cn)
        .optional(sam_account_name.as_deref());
    flag(&mut digester, *is_security);
    flag(&mut digester, *is_critical);
    let member = |member: &Member| -> (u8, [u8; 16]) {
        match member {
            Member::Person(index) => (0, directory.people[*index as usize].guid.octets()),
            Member::Group(index) => (1, directory.groups[*index as usize].guid.octets()),
            Member::Other => (2, [0; 16]),
        }
    };
    let mut members: Vec<(u8, [u8; 16])> = members.iter().map(member).collect();
    members.sort_unstable();
    digester.field((members.len() as u64).to_be_bytes());
    for (kind, id) in members {
        digester.part(&[kind]).part(&id);
    }
    texts(&mut digester, unseen);
    texts(&mut digester, foreign);
    digester.finish()
}

fn of_unidentified(person: &Unidentified) -> Digest {
    let Unidentified { dn, sam_account_name, user_principal_name, reason } = person;
    let mut digester = Digester::new("unidentified");
    digester
        .field(dn)
        .optional(sam_account_name.as_deref())
        .optional(user_principal_name.as_deref())
        .field(reason.as_bytes());
    digester.finish()
}

fn of_tenant(tenant: &Tenant) -> Digest {
    // How it was read is not what was read.
    let Tenant { id, users, licence_sets, subscriptions, groups, sync_state: _ } = tenant;
    let mut digester = Digester::new("intake reading of a tenant 1");
    digester.optional(id.as_deref());
    // A set may be left over from a user whom a later page replaced: it counts with who holds it.
    let sets: Vec<Digest> = licence_sets.iter().map(of_licences).collect();
    let none = of_licences(&LicenceSet::default());
    let licences = |user: &TenantUser| sets.get(user.licences.0 as usize).copied().unwrap_or(none);
    unordered(&mut digester, users.iter().map(|user| of_user(user, licences(user))));
    flag(&mut digester, subscriptions.is_some());
    unordered(&mut digester, subscriptions.iter().flatten().map(of_subscription));
    match groups {
        None => flag(&mut digester, false),
        Some(groups) => {
            flag(&mut digester, true);
            flag(&mut digester, groups.complete().is_some());
            unordered(&mut digester, groups.complete().into_iter().flatten().map(of_tenant_group));
        }
    }
    digester.finish()
}

fn of_user(user: &TenantUser, licences: Digest) -> Digest {
    let TenantUser {
        id,
        user_principal_name,
        display_name,
        mail,
        mobile,
        addresses: proxies,
        anchor,
        on_premises_sid,
        enabled,
        is_guest,
        licences: _,
    } = user;
    let mut digester = Digester::new("user");
    digester
        .field(id.octets())
        .field(user_principal_name)
        .optional(display_name.as_deref())
        .optional(mail.as_deref())
        .optional(mobile.as_deref());
    addresses(&mut digester, proxies);
    match anchor {
        Anchor::None => digester.field([0]),
        Anchor::Octets(octets) => digester.field([1]).field(octets),
        Anchor::Other => digester.field([2]),
    };
    digester.optional(on_premises_sid.map(|sid| sid.to_string()));
    flag(&mut digester, *enabled);
    flag(&mut digester, *is_guest);
    digester.field(licences.as_bytes());
    digester.finish()
}

fn of_licences(LicenceSet(licences): &LicenceSet) -> Digest {
    let mut digester = Digester::new("licences");
    for Licence { sku, disabled_plans, effective } in licences {
        digester.field(sku.octets()).field((disabled_plans.len() as u64).to_be_bytes());
        for plan in disabled_plans {
            digester.part(&plan.octets());
        }
        flag(&mut digester, *effective);
    }
    digester.finish()
}

fn of_subscription(subscription: &Subscription) -> Digest {
    let Subscription { sku, part_number, usable, plans } = subscription;
    let mut digester = Digester::new("subscription");
    digester.field(sku.octets()).field(part_number);
    flag(&mut digester, *usable);
    let plans = plans.iter().map(|(id, name)| {
        let mut digester = Digester::new("plan");
        digester.field(id.octets()).field(name);
        digester.finish()
    });
    unordered(&mut digester, plans);
    digester.finish()
}

fn of_tenant_group(group: &TenantGroup) -> Digest {
    let TenantGroup { id, display_name, is_security, holds_roles, hides_members, users, groups } = group;
    let mut digester = Digester::new("group of a tenant");
    digester.field(id.octets()).field(display_name);
    flag(&mut digester, *is_security);
    flag(&mut digester, *holds_roles);
    flag(&mut digester, *hides_members);
    let mut users: Vec<[u8; 16]> = users.iter().map(|user| user.octets()).collect();
    users.sort_unstable();
    digester.field((users.len() as u64).to_be_bytes());
    for user in users {
        digester.part(&user);
    }
    let nested = groups.iter().map(|NestedGroup { id, display_name, members }| {
        let mut digester = Digester::new("nested group");
        digester.field(id.octets()).optional(display_name.as_deref());
        digester.optional(members.map(|members| (members as u64).to_be_bytes()));
        digester.finish()
    });
    unordered(&mut digester, nested);
    digester.finish()
}

fn addresses(digester: &mut Digester, addresses: &Addresses) {
    digester.optional(addresses.primary().map(Text::as_bytes));
    texts(digester, addresses.aliases());
}

/// Adds texts whose order says nothing.
fn texts(digester: &mut Digester, texts: &[Text]) {
    let mut sorted: Vec<&Text> = texts.iter().collect();
    sorted.sort_unstable();
    digester.field((sorted.len() as u64).to_be_bytes());
    for text in sorted {
        digester.field(text);
    }
}

/// Adds records whose order says nothing.
fn unordered(digester: &mut Digester, records: impl Iterator<Item = Digest>) {
    let mut sorted: Vec<Digest> = records.collect();
    sorted.sort_unstable();
    digester.field((sorted.len() as u64).to_be_bytes());
    for record in sorted {
        digester.part(record.as_bytes());
    }
}

fn flag(digester: &mut Digester, is_so: bool) {
    digester.field([u8::from(is_so)]);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;

    use super::*;
    use crate::model::directory::{ContainerIndex, DirectoryBuilder, Origin};
    use crate::model::dn::Dn;
    use crate::model::guid::Guid;
    use crate::model::reading::{Fault, FaultKind, Shortfall};
    use crate::model::register::RegisterState;
    use crate::model::standing::Expiry;
    use crate::model::tenant::{LicenceSetIndex, TenantBuilder};

    fn dn(text: &str) -> Dn {
        Dn::parse(text).expect("a DN")
    }

    /// Adds one object.
    type Step = Box<dyn Fn(&mut DirectoryBuilder)>;

    /// Three people and two groups, one in the other, in this order or the other way round.
    fn directory(reversed: bool) -> Directory {
        let base = dn("DC=contoso,DC=test");
        let mut builder = DirectoryBuilder::new(Text::from("main"), base.clone(), base);
        builder.origin(Origin::Server(Text::from(if reversed { "dc2" } else { "dc1" })));
        builder.well_known("cn=users", dn("OU=People,DC=contoso,DC=test"));
        // A child spells the name of its OU as it likes.
        let name = |number: u128| match number {
            2 => dn("CN=2,ou=STAFF,DC=contoso,DC=test"),
            number => dn(&format!("CN={number},OU=Staff,DC=contoso,DC=test")),
        };
        let group = |number: u128| {
            let mut group = Group::numbered(dn(&format!("CN={number},DC=contoso,DC=test")), number);
            group.foreign = vec![Text::from("S-1-5-21-9-9-9-1"), Text::from("S-1-5-21-9-9-9-2")];
            group
        };
        let mut steps: Vec<Step> = Vec::new();
        for number in 1..=3 {
            let person = Person {
                addresses: Addresses::new(Some(Text::from("a@x")), [Text::from("b@x"), Text::from("c@x")]),
                ..Person::numbered(number)
            };
            let step = move |builder: &mut DirectoryBuilder| builder.person(&name(number), person.clone());
            steps.push(Box::new(move |builder| step(builder).expect("added")));
        }
        let mut members = vec!["CN=1,OU=Staff,DC=contoso,DC=test", "CN=3,OU=Staff,DC=contoso,DC=test"];
        members.extend(["CN=11,DC=contoso,DC=test", "CN=Gone,DC=contoso,DC=test", "CN=x,DC=other"]);
        if reversed {
            members.reverse();
        }
        for (number, members) in [(10, members), (11, Vec::new())] {
            steps.push(Box::new(move |builder| {
                builder.group(group(number), members.iter().copied()).expect("added");
            }));
        }
        steps.push(Box::new(|builder| {
            let staff = dn("OU=Staff,DC=contoso,DC=test");
            builder.container(&staff, Some(Guid::from_u128(20)), true).expect("added");
            let elsewhere = dn("OU=Elsewhere,DC=contoso,DC=test");
            builder.container(&elsewhere, Some(Guid::from_u128(21)), true).expect("added");
        }));
        steps.push(Box::new(|builder| {
            let record = Unidentified {
                dn: Text::from("CN=X,DC=contoso,DC=test"),
                sam_account_name: None,
                user_principal_name: None,
                reason: "no objectGUID".into(),
            };
            builder.unidentified(&dn("CN=X,DC=contoso,DC=test"), record).expect("added");
        }));
        if reversed {
            steps.reverse();
        }
        steps.iter().for_each(|step| step(&mut builder));
        builder.finish()
    }

    /// Two users with different licences, and what the tenant owns.
    fn tenant(reversed: bool) -> Tenant {
        let mut builder = TenantBuilder::new();
        let licence = |number: u128| Licence {
            sku: Guid::from_u128(number),
            disabled_plans: vec![Guid::from_u128(number + 1), Guid::from_u128(number + 2)],
            effective: true,
        };
        let mut sets = [vec![licence(100), licence(200)], vec![licence(300)]];
        if reversed {
            sets.reverse();
            // Held by nobody any more.
            builder.licence_set(vec![licence(400)]);
        }
        let indexes = sets.map(|set| builder.licence_set(set));
        let index = |number: usize| if reversed { indexes[1 - number] } else { indexes[number] };
        let user = |number: u128, licences: LicenceSetIndex| TenantUser {
            id: Guid::from_u128(number),
            user_principal_name: Text::from(format!("{number}@contoso.test")),
            display_name: None,
            mail: None,
            mobile: None,
            addresses: Addresses::default(),
            anchor: Anchor::None,
            on_premises_sid: None,
            enabled: true,
            is_guest: false,
            licences,
        };
        let mut users = [user(1, index(0)), user(2, index(1))];
        let mut plans = [Guid::from_u128(101), Guid::from_u128(102)].map(|id| (id, Text::from("PLAN")));
        let mut groups = [1_u128, 2].map(|number| TenantGroup {
            id: Guid::from_u128(number),
            display_name: Text::from("Team"),
            is_security: true,
            holds_roles: false,
            hides_members: false,
            users: vec![Guid::from_u128(1), Guid::from_u128(2)],
            groups: vec![NestedGroup { id: Guid::from_u128(9), display_name: None, members: Some(3) }],
        });
        if reversed {
            users.reverse();
            plans.reverse();
            groups.reverse();
            groups[0].users.reverse();
        }
        let subscription = |number: u128| Subscription {
            sku: Guid::from_u128(number),
            part_number: Text::from("SPE_E3"),
            usable: true,
            plans: plans.to_vec(),
        };
        let mut owned = vec![subscription(100), subscription(300)];
        if reversed {
            owned.reverse();
        }
        builder.subscriptions(owned);
        builder.groups(Reading::Complete(groups.to_vec()));
        for user in users {
            builder.user(user);
        }
        builder.finish()
    }

    #[test]
    fn the_order_and_the_server_change_no_digest() {
        assert_eq!(of_directory(&directory(false)), of_directory(&directory(true)));
        assert_eq!(of_tenant(&tenant(false)), of_tenant(&tenant(true)));
    }

    /// The container that nobody lies in.
    fn elsewhere(directory: &Directory) -> ContainerIndex {
        let is_elsewhere = |container: &Container| container.dn.key() == "ou=elsewhere,dc=contoso,dc=test";
        let found = directory.containers.iter().zip(0..).find(|(container, _)| is_elsewhere(container));
        ContainerIndex(found.expect("a container").1)
    }

    fn position(directory: &Directory, number: u128) -> usize {
        directory.people.iter().position(|person| person.guid == Guid::from_u128(number)).expect("somebody")
    }

    #[test]
    fn whatever_else_changes_in_a_directory_changes_its_digest() {
        let person: [fn(&mut Person); 17] = [
            |it| it.guid = Guid::from_u128(99),
            |it| it.sid = "S-1-5-21-1-2-3-1000".parse().ok(),
            |it| it.rdn = Text::from("CN=else"),
            |it| it.sam_account_name = Text::from("else"),
            |it| it.user_principal_name = Some(Text::default()),
            |it| it.display_name = Text::from("else"),
            |it| it.mail = Some(Text::from("else")),
            |it| it.mobile = Some(Text::from("else")),
            |it| it.addresses = Addresses::new(Some(Text::from("a@x")), [Text::from("b@x")]),
            |it| it.addresses = Addresses::new(None, [Text::from("b@x"), Text::from("c@x")]),
            |it| it.consistency_guid = Some([0; 16]),
            |it| it.primary_group = Some(513),
            |it| it.enabled = false,
            |it| it.standing.expires = Expiry::from_file_time(132_223_104_000_000_000),
            |it| it.standing.is_locked = true,
            |it| it.standing.has_admin_count = true,
            |it| it.invalid = Some("broken".into()),
        ];
        let group: [fn(&mut Group); 9] = [
            |it| it.guid = Guid::from_u128(99),
            |it| it.sid = "S-1-5-21-1-2-3-1000".parse().ok(),
            |it| it.dn = dn("CN=else,DC=contoso,DC=test"),
            |it| it.cn = Text::from("else"),
            |it| it.sam_account_name = Some(Text::from("else")),
            |it| it.is_security = false,
            |it| it.is_critical = true,
            |it| it.members.push(Member::Other),
            |it| it.foreign.clear(),
        ];
        let whole: [fn(&mut Directory); 10] = [
            |it| it.base = dn("DC=else"),
            |it| it.naming_context = dn("DC=else"),
            |it| it.domain_sid = "S-1-5-21-1-2-3".parse().ok(),
            |it| it.well_known.clear(),
            |it| it.containers.iter_mut().for_each(|container| container.guid = None),
            |it| it.containers.iter_mut().for_each(|container| container.is_organizational_unit = false),
            |it| it.people.push(it.people[0].clone()),
            |it| drop(it.unidentified.pop()),
            |it| it.unidentified[0].reason = "else".into(),
            |it| it.groups[0].unseen.clear(),
        ];
        let mut digests = vec![of_directory(&directory(false))];
        let mut add = |change: &dyn Fn(&mut Directory)| {
            let mut changed = directory(false);
            change(&mut changed);
            digests.push(of_directory(&changed));
        };
        person.iter().for_each(|change| add(&|it| change(&mut it.people[0])));
        group.iter().for_each(|change| add(&|it| change(&mut it.groups[1])));
        whole.iter().for_each(|change| add(change));
        // Somebody lies elsewhere, and somebody else is the member.
        add(&|it| it.people[0].container = elsewhere(it));
        add(&|it| {
            let other = u32::try_from(position(it, 2)).unwrap_or_default();
            it.groups[0].members[0] = Member::Person(other);
        });
        let different: BTreeSet<&Digest> = digests.iter().collect();
        assert_eq!(different.len(), digests.len(), "{digests:#?}");
    }

    #[test]
    fn whatever_changes_in_a_tenant_changes_its_digest() {
        let user: [fn(&mut TenantUser); 13] = [
            |it| it.id = Guid::from_u128(99),
            |it| it.user_principal_name = Text::from("else"),
            |it| it.display_name = Some(Text::from("else")),
            |it| it.mail = Some(Text::from("else")),
            |it| it.mobile = Some(Text::from("else")),
            |it| it.addresses = Addresses::new(Some(Text::from("else")), []),
            |it| it.anchor = Anchor::Other,
            |it| it.anchor = Anchor::Octets([0; 16]),
            |it| it.on_premises_sid = "S-1-5-21-1-2-3-1000".parse().ok(),
            |it| it.enabled = false,
            |it| it.is_guest = true,
            |it| it.licences = LicenceSetIndex(1),
            |it| it.licences = LicenceSetIndex(77),
        ];
        let group: [fn(&mut TenantGroup); 7] = [
            |it| it.id = Guid::from_u128(99),
            |it| it.display_name = Text::from("else"),
            |it| it.is_security = false,
            |it| it.holds_roles = true,
            |it| it.hides_members = true,
            |it| it.users.clear(),
            |it| it.groups[0].members = None,
        ];
        let owned: [fn(&mut Subscription); 4] = [
            |it| it.sku = Guid::from_u128(99),
            |it| it.part_number = Text::from("else"),
            |it| it.usable = false,
            |it| drop(it.plans.pop()),
        ];
        let whole: [fn(&mut Tenant); 7] = [
            |it| it.id = Some(Text::from("else")),
            |it| it.subscriptions = None,
            |it| it.subscriptions = Some(Vec::new()),
            |it| it.groups = None,
            |it| it.groups = Some(Reading::Complete(Vec::new())),
            |it| it.groups = Some(Reading::Incomplete(Shortfall { what: "cut".to_owned(), read: 1 })),
            |it| it.licence_sets[0].0[0].effective = false,
        ];
        let mut digests = vec![of_tenant(&tenant(false))];
        let mut add = |change: &dyn Fn(&mut Tenant)| {
            let mut changed = tenant(false);
            change(&mut changed);
            digests.push(of_tenant(&changed));
        };
        user.iter().for_each(|change| add(&|it| change(&mut it.users[0])));
        owned.iter().for_each(|change| add(&|it| change(&mut it.subscriptions.as_mut().expect("some")[0])));
        whole.iter().for_each(|change| add(change));
        for change in group {
            add(&|it| {
                let Some(Reading::Complete(groups)) = &mut it.groups else { panic!("groups") };
                change(&mut groups[0]);
            });
        }
        let different: BTreeSet<&Digest> = digests.iter().collect();
        assert_eq!(different.len(), digests.len(), "{digests:#?}");
    }

    #[test]
    fn a_source_that_is_not_whole_has_no_digest() {
        let away = || Fault::new(FaultKind::Transient, "away");
        let observation = Observation {
            at: Timestamp::UNIX_EPOCH,
            directories: vec![
                (Text::from("main"), Reading::Complete(directory(false))),
                (Text::from("branch"), Reading::Unavailable(away())),
            ],
            tenant: Some(Reading::Incomplete(Shortfall { what: "cut".to_owned(), read: 1 })),
            register: RegisterState::default(),
            confirmation: None,
        };
        let digests = ReadingDigests::of(&observation);
        assert_eq!(digests.directories.keys().collect::<Vec<_>>(), ["main"]);
        assert_eq!(digests.tenant, None);
        let whole = Observation { tenant: Some(Reading::Complete(tenant(false))), ..observation };
        assert_eq!(ReadingDigests::of(&whole).tenant, Some(of_tenant(&tenant(false))));
    }
}
