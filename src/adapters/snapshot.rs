//! Tenants in JSON snapshots: what Graph lists, in a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::adapters::tenant_group_object::{GroupRow, add_member, group, settle};
use crate::adapters::tenant_object::{Absent, Listing, RowFault, UserRow, read_listing, subscription, user};
use crate::model::guid::Guid;
use crate::model::reading::{Fault, FaultKind, Reading, Shortfall};
use crate::model::tenant::{Tenant, TenantBuilder};
use crate::model::tenant_group::TenantGroup;
use crate::model::text::{Text, inert};
use crate::ports::source::{Progress, TenantPort};

/// The largest snapshot, in bytes.
const MAX_FILE: u64 = 1 << 30;

/// The hint for a snapshot that lacks something.
const HOW_TO_LIST: &str = "list the users again with $select of assignedLicenses and the other properties, and \
                           follow every @odata.nextLink";

/// A tenant that is read from a file: `{"value": [Graph user objects]}`, with optional
/// `subscribedSkus`, `tenantId` and `groups`.
#[derive(Debug, Clone)]
pub struct SnapshotTenant {
    path: PathBuf,
    shown: String,
}

impl SnapshotTenant {
    /// Makes the tenant's source. `path` is absolute; `shown` is how messages name the file.
    pub fn new(path: PathBuf, shown: String) -> Self {
        Self { path, shown }
    }
}

#[async_trait]
impl TenantPort for SnapshotTenant {
    async fn read(&self, progress: &dyn Progress) -> Reading<Tenant> {
        let source = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let shown = inert(&source.shown).into_owned();
            read_file(&source.path, &shown).unwrap_or_else(Reading::Unavailable)
        })
        .await
        .unwrap_or_else(|error| {
            Reading::Unavailable(Fault::new(
                FaultKind::Transient,
                format!("the reading was stopped: {error}"),
            ))
        });
        if let Reading::Complete(tenant) = &reading {
            progress.read(tenant.users.len());
        }
        reading
    }
}

fn read_file(path: &Path, shown: &str) -> Result<Reading<Tenant>, Fault> {
    let refused = |what: String| Fault::new(FaultKind::Refused, format!("{shown}: {what}"));
    let file = File::open(path).map_err(|error| refused(format!("cannot be opened: {error}")))?;
    let about = file.metadata().map_err(|error| refused(format!("cannot be read: {error}")))?;
    if !about.is_file() {
        return Err(refused("is not a file".to_owned()));
    }
    if about.len() > MAX_FILE {
        return Err(refused(format!("is larger than {MAX_FILE} bytes")));
    }
    let mut reader = BufReader::with_capacity(256 * 1024, file.take(MAX_FILE));
    let start = reader.fill_buf().map_err(|error| refused(format!("cannot be read: {error}")))?;
    // What PowerShell writes by default: a byte order mark, or UTF-16 altogether.
    if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
        return Err(refused("is written in UTF-16".to_owned()).hint("save it as UTF-8"));
    }
    if start.starts_with(&[0xef, 0xbb, 0xbf]) {
        reader.consume(3);
    }

    let mut builder = TenantBuilder::new();
    let mut listing = Listing::default();
    let mut rows = 0_usize;
    let mut without_licences: Option<(usize, String)> = None;
    let mut twice: Option<(Guid, usize)> = None;
    let mut each = |row: UserRow| {
        rows += 1;
        let name = inert(&row.name()).into_owned();
        match user(row, Absent::Unknown, &mut builder) {
            Ok(user) => {
                let id = user.id;
                if builder.user(user) {
                    return Ok(());
                }
                twice = Some((id, rows));
                Err(format!("user {rows} ({name}) has the id {id}, as an earlier one"))
            }
            Err(RowFault::Hidden { .. }) => {
                without_licences.get_or_insert((0, name)).0 += 1;
                Ok(())
            }
            Err(fault) => Err(format!("user {rows} ({name}) {fault}")),
        }
    };
    let mut deserializer = serde_json::Deserializer::from_reader(&mut reader);
    let result = read_listing(&mut deserializer, &mut listing, &mut each).and_then(|()| deserializer.end());
    if let Err(error) = result {
        // Until the second came all ids differed, so that a place in the list is one in the file.
        if let (Some((id, second)), None) = (twice, &without_licences) {
            return Err(refused_at(shown, &error, &both(builder, id, second)));
        }
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        return Err(refused_at(shown, &error, text.strip_suffix(&place).unwrap_or(&text)));
    }
    if !listing.has_value {
        return Err(refused("there is no `value` with users in it".to_owned()));
    }
    if listing.next_link.is_some() {
        return Ok(incomplete(
            format!("{shown}: ends with an @odata.nextLink: there are more users; {HOW_TO_LIST}"),
            rows,
        ));
    }
    if let Some((count, first)) = without_licences {
        let what = format!(
            "{shown}: {count} of {rows} users show no assignedLicenses, the first is {first}; {HOW_TO_LIST}"
        );
        return Ok(incomplete(what, rows));
    }
    if let Some(id) = listing.tenant_id.filter(|id| !id.trim().is_empty()) {
        builder.id(id.parse::<Guid>().map_or(id, |id| Text::from(id.to_string())));
    }
    if let Some(rows) = listing.subscriptions {
        let subscriptions = rows.into_iter().enumerate().map(|(index, row)| {
            subscription(row).map_err(|fault| refused(format!("subscribedSkus: entry {} {fault}", index + 1)))
        });
        builder.subscriptions(subscriptions.collect::<Result<_, _>>()?);
    }
    if let Some(rows) = listing.groups {
        builder.groups(groups(rows, shown)?);
    }
    Ok(Reading::Complete(builder.finish()))
}

/// Reads the groups of a snapshot. They are incomplete if one does not show all its members; the users
/// are whole all the same.
fn groups(rows: Vec<GroupRow>, shown: &str) -> Result<Reading<Vec<TenantGroup>>, Fault> {
    let mut groups: Vec<TenantGroup> = Vec::with_capacity(rows.len());
    for (index, mut row) in rows.into_iter().enumerate() {
        let place = format!("{shown}: groups: entry {} ({})", index + 1, inert(&row.name()));
        let broken = |what: String| Fault::new(FaultKind::Refused, format!("{place} {what}"));
        let (Some(members), None) = (row.members.take(), row.more_members.take()) else {
            let what = format!(
                "{place} does not show all its members; list /groups/ID/members and follow every @odata.nextLink, as \
                 $expand shows twenty at most"
            );
            return Ok(Reading::Incomplete(Shortfall { what, read: groups.len() }));
        };
        let mut group = group(row).map_err(|fault| broken(fault.to_string()))?;
        for (number, member) in members.into_iter().enumerate() {
            add_member(&mut group, member)
                .map_err(|fault| broken(format!("member {} {fault}", number + 1)))?;
        }
        settle(&mut group);
        if groups.iter().any(|earlier| earlier.id == group.id) {
            return Err(broken("is there twice".to_owned()));
        }
        groups.push(group);
    }
    let counts: BTreeMap<Guid, usize> =
        groups.iter().map(|group| (group.id, group.users.len() + group.groups.len())).collect();
    for nested in groups.iter_mut().flat_map(|group| &mut group.groups) {
        nested.members = counts.get(&nested.id).copied();
    }
    Ok(Reading::Complete(groups))
}

/// Names both users that carry one id.
fn both(builder: TenantBuilder, id: Guid, second: usize) -> String {
    let users = builder.finish().users;
    let first = users.iter().position(|user| user.id == id).map_or(0, |index| index + 1);
    format!("users {first} and {second} have the same id {id}")
}

/// Makes the fault of a file that breaks at a place.
fn refused_at(shown: &str, error: &serde_json::Error, what: &str) -> Fault {
    if error.is_io() {
        return Fault::new(FaultKind::Transient, format!("{shown}: cannot be read: {error}"));
    }
    let what: String = what.chars().take(300).collect();
    let place = format!("{shown}:{}:{}", error.line(), error.column());
    let fault = Fault::new(FaultKind::Refused, format!("{place}: {}", inert(&what)));
    if error.is_eof() { fault.hint("the file is cut off: write it again, whole") } else { fault }
}

fn incomplete(what: String, read: usize) -> Reading<Tenant> {
    Reading::Incomplete(Shortfall { what, read })
}
