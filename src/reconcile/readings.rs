//! Packs complete readings to be kept, and unpacks them: `explain` can be asked while a source is away.

use std::io::{self, Read as _, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

use crate::model::digest::Digester;
use crate::model::directory::Directory;
use crate::model::observation::Observation;
use crate::model::read_from::GroupsRead;
use crate::model::reading::{Fault, FaultKind, Reading};
use crate::model::register::{PackedReadings, RegisterState};
use crate::model::tenant::Tenant;
use crate::model::tenant_group::TenantGroup;
use crate::model::text::Text;
use crate::policy::fleet::Customer;
use crate::reconcile::read_from::read_from;

/// What is larger is not kept: a hundred thousand people come to a tenth of it.
const LARGEST: usize = 128 << 20;
/// What unpacks to more was not packed by Intake.
const LARGEST_UNPACKED: u64 = 4 << 30;

/// Packs the readings of an observation; `None` if one is not complete, or all are too large.
pub fn pack(customer: &Customer, observation: &Observation) -> Option<PackedReadings> {
    let form = Form::of(observation)?;
    let mut read_from = read_from(customer);
    if let (GroupsRead::Named(names), None) = (&mut read_from.groups, form.groups) {
        // They could not be read whole, and are not kept.
        names.clear();
    }
    let read_from = Some(read_from);
    let mut counted = Counted::new();
    write(&mut counted, &form).ok()?;
    let digest = counted.0.finish();
    // Nearly always nothing has changed, and then nothing is compressed.
    if observation.register.readings == Some(digest) {
        return Some(PackedReadings { at: observation.at, digest, read_from, content: None });
    }
    let mut encoder = DeflateEncoder::new(Bounded(Vec::new()), Compression::fast());
    write(&mut encoder, &form).ok()?;
    let content = encoder.finish().ok()?.0;
    Some(PackedReadings { at: observation.at, digest, read_from, content: Some(content) })
}

/// Returns what was seen when readings were packed, as if it were now, with the register as it is. A
/// directory that the customer did not have then is one that was not read.
///
/// # Errors
/// If they are damaged, or of a version of Intake that kept them in another way.
pub fn unpack(
    packed: &PackedReadings,
    customer: &Customer,
    register: RegisterState,
    now: jiff::Timestamp,
) -> Result<Observation, Fault> {
    let kept = Kept::of(packed).map_err(|error| {
        Fault::new(FaultKind::Refused, format!("the readings that were kept cannot be used: {error}")).hint(
            "the next turn of `apply` or `run` keeps new ones; without `--cached` the sources are asked",
        )
    })?;
    let missing = || Fault::new(FaultKind::Refused, "it is not among the readings that were kept");
    let mut read = kept.directories;
    let directories = customer.directories.iter().map(|source| {
        let reading = match read.iter().position(|directory| directory.name == source.name) {
            Some(position) => Reading::Complete(read.swap_remove(position)),
            None => Reading::Unavailable(missing()),
        };
        (source.name.clone(), reading)
    });
    let directories: Vec<(Text, Reading<Directory>)> = directories.collect();
    let with_groups = |tenant| Tenant { groups: kept.groups.map(Reading::Complete), ..tenant };
    let tenant =
        kept.tenant.map(with_groups).map_or_else(|| Reading::Unavailable(missing()), Reading::Complete);
    let tenant = customer.tenant.is_some().then_some(tenant);
    Ok(Observation { at: now, directories, tenant, register, confirmation: None })
}

fn write(to: &mut dyn Write, form: &Form<'_>) -> io::Result<()> {
    let mut buffered = io::BufWriter::with_capacity(1 << 16, to);
    serde_json::to_writer(&mut buffered, form)?;
    buffered.flush()
}

/// Takes text in parts into a digest.
struct Counted(Digester);

impl Counted {
    fn new() -> Self {
        Self(Digester::new("intake readings 1"))
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.part(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes no more than what is worth keeping.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Complete readings as they are kept.
#[derive(Serialize)]
struct Form<'a> {
    directories: Vec<&'a Directory>,
    tenant: Option<&'a Tenant>,
    /// Those of the tenant, if they were read, and whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<&'a Vec<TenantGroup>>,
}

impl<'a> Form<'a> {
    fn of(observation: &'a Observation) -> Option<Self> {
        let directories = observation.directories.iter().map(|(_, reading)| reading.complete());
        let tenant = observation.tenant.as_ref().map(Reading::complete);
        let groups = tenant.flatten().and_then(|tenant| tenant.groups.as_ref()?.complete());
        let form = Self {
            directories: directories.collect::<Option<_>>()?,
            tenant: match tenant {
                None => None,
                Some(complete) => Some(complete?),
            },
            groups,
        };
        (!form.directories.is_empty() || form.tenant.is_some()).then_some(form)
    }
}

/// The same, read back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    directories: Vec<Directory>,
    tenant: Option<Tenant>,
    #[serde(default)]
    groups: Option<Vec<TenantGroup>>,
}

impl Kept {
    fn of(packed: &PackedReadings) -> io::Result<Self> {
        let content = packed.content.as_deref().unwrap_or_default();
        let mut bytes = Vec::new();
        DeflateDecoder::new(content).take(LARGEST_UNPACKED).read_to_end(&mut bytes)?;
        let mut counted = Counted::new();
        counted.write_all(&bytes)?;
        if counted.0.finish() != packed.digest {
            return Err(io::Error::other("they are not what was written"));
        }
        Ok(serde_json::from_slice(&bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::addresses::Addresses;
    use crate::model::directory::{ContainerIndex, DirectoryBuilder, Group, Origin, Person, Unidentified};
    use crate::model::dn::Dn;
    use crate::model::guid::Guid;
    use crate::model::reading::Shortfall;
    use crate::model::standing::{Expiry, Standing};
    use crate::model::tenant::{Anchor, Licence, Subscription, TenantBuilder, TenantUser};
    use crate::model::tenant_group::NestedGroup;
    use crate::policy::fleet::{DirectoryLocation, DirectorySource, TenantSource};
    use crate::reconcile::fakes::{NOW, moment};

    fn dn(text: &str) -> Dn {
        Dn::parse(text).expect("a DN")
    }

    /// A directory with something in every field.
    fn directory() -> Directory {
        let base = dn("DC=contoso,DC=test");
        let mut builder = DirectoryBuilder::new(Text::from("main"), base.clone(), base);
        builder.domain_sid("S-1-5-21-1-2-3".parse().expect("a SID"));
        builder.origin(Origin::Server(Text::from("dc1")));
        builder.well_known("cn=users", dn("OU=People,DC=contoso,DC=test"));
        let staff = dn("OU=Staff\\, all,DC=contoso,DC=test");
        builder.container(&staff, Some(Guid::from_u128(1)), true).expect("added");
        let person = Person {
            guid: Guid::from_u128(2),
            sid: "S-1-5-21-1-2-3-1000".parse().ok(),
            rdn: Text::default(),
            container: ContainerIndex(0),
            sam_account_name: Text::from("jane"),
            user_principal_name: Some(Text::from("Jane\u{202e}@contoso.test")),
            display_name: Text::from("Jane \"J\" Doe"),
            mail: None,
            mobile: Some(Text::from("+1")),
            addresses: Addresses::new(Some(Text::from("j@x")), [Text::from("k@x")]),
            consistency_guid: Some([7; 16]),
            primary_group: Some(513),
            enabled: false,
            standing: Standing {
                expires: Expiry::from_file_time(132_223_104_000_000_000),
                is_locked: true,
                has_admin_count: false,
            },
            invalid: Some("broken".into()),
        };
        let name = dn("CN=Jane,OU=Staff\\, all,DC=contoso,DC=test");
        builder.person(&name, person).expect("added");
        let record = Unidentified {
            dn: Text::from("CN=X,DC=contoso,DC=test"),
            sam_account_name: None,
            user_principal_name: Some(Text::from("x@x")),
            reason: "no objectGUID".into(),
        };
        builder.unidentified(&dn("CN=X,DC=contoso,DC=test"), record).expect("added");
        let group = Group {
            guid: Guid::from_u128(3),
            sid: "S-1-5-21-1-2-3-1001".parse().ok(),
            dn: dn("CN=Team,DC=contoso,DC=test"),
            cn: Text::from("Team"),
            sam_account_name: Some(Text::from("team")),
            is_security: true,
            is_critical: true,
            members: Vec::new(),
            unseen: Vec::new(),
            foreign: vec![Text::from("S-1-5-21-9-9-9-1104")],
        };
        let members = [name.as_str(), "CN=Hidden,DC=elsewhere", "CN=X,DC=contoso,DC=test"];
        builder.group(group, members.into_iter()).expect("added");
        builder.finish()
    }

    fn tenant() -> Tenant {
        let mut builder = TenantBuilder::new();
        builder.id(Text::from("tenant"));
        let subscription = Subscription {
            sku: Guid::from_u128(5),
            part_number: Text::from("SPE_E3"),
            usable: true,
            plans: vec![(Guid::from_u128(6), Text::from("EXCHANGE"))],
        };
        builder.subscriptions(vec![subscription]);
        let disabled_plans = vec![Guid::from_u128(6)];
        let licence = Licence { sku: Guid::from_u128(5), disabled_plans, effective: true };
        let licences = builder.licence_set(vec![licence]);
        for (number, anchor) in [(1, Anchor::None), (2, Anchor::Other), (3, Anchor::Octets([9; 16]))] {
            builder.user(TenantUser {
                id: Guid::from_u128(number),
                user_principal_name: Text::from("jane@contoso.test"),
                display_name: Some(Text::from("Jane")),
                mail: None,
                mobile: None,
                addresses: Addresses::default(),
                anchor,
                on_premises_sid: "S-1-5-21-1-2-3-1000".parse().ok(),
                enabled: true,
                is_guest: true,
                licences,
            });
        }
        builder.groups(Reading::Complete(vec![TenantGroup {
            id: Guid::from_u128(7),
            display_name: Text::from("Team \u{202e}"),
            is_security: true,
            holds_roles: false,
            hides_members: true,
            users: vec![Guid::from_u128(1)],
            groups: vec![NestedGroup { id: Guid::from_u128(8), display_name: None, members: Some(2) }],
        }]));
        builder.finish()
    }

    fn observation() -> Observation {
        Observation {
            at: moment(NOW),
            directories: vec![(Text::from("main"), Reading::Complete(directory()))],
            tenant: Some(Reading::Complete(tenant())),
            register: RegisterState::default(),
            confirmation: None,
        }
    }

    fn customer() -> Customer {
        let location = DirectoryLocation::Ldif("x.ldif".into());
        Customer {
            directories: vec![DirectorySource { name: Text::from("main"), location }],
            tenant: Some(TenantSource::Snapshot("x.json".into())),
            ..Customer::named(Text::from("contoso"))
        }
    }

    #[test]
    fn what_was_packed_is_unpacked_whole() {
        let packed = pack(&customer(), &observation()).expect("packed");
        assert_eq!(packed.at, moment(NOW));
        let unpacked = unpack(&packed, &customer(), RegisterState::default(), moment(NOW)).expect("unpacked");
        assert_eq!(format!("{unpacked:?}"), format!("{:?}", observation()));
    }

    #[test]
    fn what_is_kept_already_is_not_packed_again() {
        let first = pack(&customer(), &observation()).expect("packed");
        let mut again = observation();
        again.register.readings = Some(first.digest);
        assert_eq!(
            pack(&customer(), &again).map(|packed| (packed.digest, packed.content)),
            Some((first.digest, None))
        );
    }

    #[test]
    fn readings_that_are_not_whole_are_not_packed() {
        let mut partial = observation();
        let shortfall = Shortfall { what: "cut".to_owned(), read: 1 };
        partial.tenant = Some(Reading::Incomplete(shortfall));
        assert_eq!(pack(&customer(), &partial), None);
    }

    #[test]
    fn damaged_readings_are_refused_wherever_they_are_damaged() {
        let packed = pack(&customer(), &observation()).expect("packed");
        let content = packed.content.clone().expect("content");
        let whole = format!("{:?}", observation());
        // Another spelling of the same stream is no damage; anything else is refused.
        let is_safe = |content: Vec<u8>| {
            let packed = PackedReadings { content: Some(content), ..packed.clone() };
            unpack(&packed, &customer(), RegisterState::default(), moment(NOW))
                .map_or(true, |unpacked| format!("{unpacked:?}") == whole)
        };
        for position in 0..content.len() {
            let mut damaged = content.clone();
            damaged[position] ^= 0x10;
            assert!(is_safe(damaged), "{position}");
            assert!(is_safe(content[..position].to_vec()), "{position}");
        }
        let half = PackedReadings { content: Some(content[..content.len() / 2].to_vec()), ..packed.clone() };
        assert!(unpack(&half, &customer(), RegisterState::default(), moment(NOW)).is_err());
    }
}
