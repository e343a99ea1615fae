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
    /// Digests the complete readings of an observation. Half a microsecond a person and attribute, so
    /// for who writes, and never on a thread that others wait for.
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
    let Tenant { id, users, licence_sets, subscriptions, groups } = tenant;
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
