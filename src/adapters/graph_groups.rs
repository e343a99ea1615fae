//! Reads the groups that policies select, each with its direct members to the last page.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use url::{Url, form_urlencoded};

use crate::adapters::graph_listing::{Graph, Pages, astray, is_expired_page};
use crate::adapters::http::Failed;
use crate::adapters::tenant_group_object::{
    GROUP_PROPERTIES, GroupRow, MemberRow, add_member, group, settle,
};
use crate::model::guid::Guid;
use crate::model::tenant_group::{TenantGroup, WantedGroups};
use crate::model::text::{Text, inert};
use crate::ports::source::Progress;

/// The most members that Graph gives a page.
const PAGE_SIZE: u32 = 999;

/// How many groups within groups are counted, for a warning. Of more it only says that they are there.
const COUNTED: usize = 50;

/// Reads groups by their names and ids. One that does not exist is not among them.
///
/// # Errors
/// A listing that was not read to its end; the tenant's other objects are no matter of it.
pub(crate) async fn read_groups(
    graph: &Graph<'_>,
    wanted: &WantedGroups,
    progress: &dyn Progress,
) -> Result<Vec<TenantGroup>, Failed> {
    let by_name = wanted.names.iter().map(|name| ("displayName", name.clone()));
    let by_id = wanted.ids.iter().map(|id| ("id", Text::from(id.to_string())));
    let mut groups: BTreeMap<Guid, TenantGroup> = BTreeMap::new();
    for (property, value) in by_name.chain(by_id) {
        let url = graph.address(&groups_named(property, &value))?;
        for row in whole::<GroupRow>(graph, &url).await.map_err(needs_permission)? {
            let name = row.name();
            let group = group(row).map_err(|fault| astray(format!("the group {} {fault}", inert(&name))))?;
            groups.insert(group.id, group);
        }
    }
    let mut arrived = 0;
    for group in groups.values_mut() {
        let url = members_of(graph, group.id, "id,displayName")?;
        for row in whole::<MemberRow>(graph, &url).await.map_err(needs_permission)? {
            add_member(group, row).map_err(|fault| {
                astray(format!("a member of the group {} {fault}", inert(&group.display_name)))
            })?;
        }
        settle(group);
        arrived += group.users.len();
        progress.read(arrived);
    }
    count_nested(graph, &mut groups, progress, arrived).await?;
    Ok(groups.into_values().collect())
}

/// Counts the members of groups within the groups: whoever selects the outer one sees how many are left
/// out.
async fn count_nested(
    graph: &Graph<'_>,
    groups: &mut BTreeMap<Guid, TenantGroup>,
    progress: &dyn Progress,
    arrived: usize,
) -> Result<(), Failed> {
    let nested: BTreeSet<Guid> =
        groups.values().flat_map(|group| &group.groups).map(|inner| inner.id).collect();
    let mut counts: BTreeMap<Guid, usize> = BTreeMap::new();
    for id in nested.into_iter().take(COUNTED) {
        match whole::<MemberRow>(graph, &members_of(graph, id, "id")?).await {
            Ok(rows) => drop(counts.insert(id, rows.len())),
            // It is for a warning alone: that one is gone by now, or not shown, stops nobody.
            Err(failed) if matches!(failed.status, Some(403 | 404)) => {}
            Err(failed) => return Err(failed),
        }
        progress.read(arrived);
    }
    for inner in groups.values_mut().flat_map(|group| &mut group.groups) {
        inner.members = counts.get(&inner.id).copied();
    }
    Ok(())
}

/// Reads a listing whole; once more from the start if its links expired meanwhile.
async fn whole<R: DeserializeOwned + Send>(graph: &Graph<'_>, url: &Url) -> Result<Vec<R>, Failed> {
    let mut anew = false;
    loop {
        let mut pages = Pages::new(url.clone());
        match graph.rows(&mut pages).await {
            Err(failed) if !anew && pages.read > 0 && is_expired_page(&failed) => anew = true,
            rows => return rows,
        }
    }
}

/// Groups need a permission of their own, which not every customer grants.
fn needs_permission(mut failed: Failed) -> Failed {
    if failed.status == Some(403) {
        failed.fault.hint = Some(
            "to select groups of the tenant, grant the application the permission GroupMember.Read.All (application, \
             not delegated) as well, and let an administrator of the tenant consent to it"
                .to_owned(),
        );
    }
    failed
}

fn groups_named(property: &str, value: &str) -> String {
    // A quote within a text is written twice; what has a meaning in a query is escaped, blanks as %20.
    let filter = format!("{property} eq '{}'", value.replace('\'', "''"));
    let filter: String = form_urlencoded::byte_serialize(filter.as_bytes()).collect();
    let filter = filter.replace('+', "%20");
    format!("/v1.0/groups?$filter={filter}&$select={}&$top={PAGE_SIZE}", GROUP_PROPERTIES.join(","))
}

fn members_of(graph: &Graph<'_>, id: Guid, select: &str) -> Result<Url, Failed> {
    graph.address(&format!("/v1.0/groups/{id}/members?$select={select}&$top={PAGE_SIZE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_escaped_for_the_filter_and_for_the_address() {
        let path = groups_named("displayName", "O'Brien & Söhne + 100 %");
        let (_, filter) = path.split_once("$filter=").expect("a filter");
        let (filter, rest) = filter.split_once('&').expect("more");
        assert_eq!(filter, "displayName%20eq%20%27O%27%27Brien%20%26%20S%C3%B6hne%20%2B%20100%20%25%27");
        assert!(rest.starts_with("$select=id,displayName,securityEnabled"), "{rest}");
    }
}
