//! Asks a directory server once more for single people, before somebody is removed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ldap3::ResultEntry;

use crate::adapters::directory_object::ATTRIBUTES;
use crate::adapters::ldap_backlinks::is_member_of;
use crate::adapters::ldap_connection::entry_parts;
use crate::adapters::ldap_fault::Failure;
use crate::adapters::ldap_harvest::entry_of;
use crate::adapters::ldap_search::Search;
use crate::model::confirmation::{PeopleNow, PersonNow};
use crate::model::dn::Dn;
use crate::model::guid::Guid;
use crate::model::text::Text;

/// How many people are asked for at once: a filter of a few kilobytes, and an answer far below every
/// server's size limit.
const AT_ONCE: usize = 50;
/// The groups that somebody is a direct member of: Active Directory keeps it, and hides it where a
/// group's own list is hidden alone.
const MEMBER_OF: &str = "memberOf";

/// Finds people by their objectGUIDs, wherever in the domain they are by now.
///
/// # Errors
/// Whatever keeps the answers from being whole.
pub async fn confirm(mut search: Search<'_>, people: &[Guid]) -> Result<PeopleNow, Failure> {
    let mut harvest = search.harvest(Text::default());
    let mut groups: BTreeMap<Guid, Vec<Dn>> = BTreeMap::new();
    let attributes: Vec<&'static str> = ATTRIBUTES.iter().copied().chain([MEMBER_OF]).collect();
    for some in people.chunks(AT_ONCE) {
        for found in search.find(&filter(some), attributes.clone()).await? {
            let entry = entry_of(&found.0).map_err(|obstacle| harvest.stopped(&obstacle))?;
            if let Some(guid) = entry.identity() {
                groups.insert(guid, groups_of(&found));
            }
            let added = entry.add_to(&mut harvest.builder, search.naming_context());
            added.map_err(|obstacle| harvest.stopped(&obstacle))?;
        }
    }
    let directory = harvest.builder.finish();
    let people = directory.people.iter().filter_map(|person| {
        let dn = Dn::parse(&directory.dn_of(person)).ok()?;
        let groups = groups.get(&person.guid).cloned().unwrap_or_default();
        Some(PersonNow { dn, person: person.clone(), groups })
    });
    Ok(PeopleNow { people: people.collect() })
}

/// Asks for some objectGUIDs: octets, each escaped (RFC 4515).
fn filter(people: &[Guid]) -> String {
    let mut filter = String::from("(|");
    for guid in people {
        filter.push_str("(objectGUID=");
        for octet in guid.octets() {
            // Writing to a text cannot fail.
            let _ = write!(filter, "\\{octet:02x}");
        }
        filter.push(')');
    }
    filter.push(')');
    filter
}

fn groups_of(entry: &ResultEntry) -> Vec<Dn> {
    let Some((_, attributes)) = entry_parts(&entry.0) else { return Vec::new() };
    // A long list comes in portions; what arrived of it is true all the same.
    let of_groups = attributes.filter(|(name, _)| is_member_of(name));
    let names = of_groups.flat_map(|(_, values)| values.filter_map(|value| std::str::from_utf8(value).ok()));
    names.filter_map(|name| Dn::parse(name).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_asked_for_by_their_octets() {
        let guid = Guid::from_octets([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(
            filter(&[guid]),
            "(|(objectGUID=\\00\\01\\02\\03\\04\\05\\06\\07\\08\\09\\0a\\0b\\0c\\0d\\0e\\ff))"
        );
    }
}
