//! Finds groups that only look empty: whoever is a member says so, where the group may not.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ldap3::ldap_escape;

use crate::adapters::directory_object::{Obstacle, shown};
use crate::adapters::ldap_connection::{RootDse, entry_parts};
use crate::adapters::ldap_fault::Failure;
use crate::adapters::ldap_harvest::{Harvest, entry_of, is_object};
use crate::adapters::ldap_search::{Area, MAX_EMPTY_PAGES, Search};
use crate::model::dn::Dn;

/// How many groups one search asks for.
const GROUPS_AT_ONCE: usize = 50;

/// How a server is asked whose members people are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlinks {
    /// By group: Active Directory looks a member up in the table of links.
    ByGroup,
    /// By person, all of them: Samba has no index, and would look at everybody for every group.
    /// Measured with 10,000 people in 20 groups each: 1 s a group by group, 2 s in all by person.
    ByPerson,
}

impl Backlinks {
    /// Returns how a server can be asked; `None` where it keeps no links back.
    pub fn of(root: &RootDse) -> Option<Self> {
        root.default_naming_context.as_ref()?;
        Some(if root.vendor.starts_with("Samba") { Self::ByPerson } else { Self::ByGroup })
    }
}

impl Search<'_> {
    /// Marks the groups that showed no member and have one. A reader that may read a group and not
    /// its members is shown an empty one, and everybody would seem to have left it.
    ///
    /// # Errors
    /// Whatever keeps this from being known.
    pub async fn find_hidden_members(
        &mut self,
        backlinks: Backlinks,
        harvest: &mut Harvest,
    ) -> Result<(), Failure> {
        let doubted: BTreeMap<Dn, usize> = harvest
            .builder
            .groups_that_look_empty()
            .map(|(position, group)| (group.dn.clone(), position))
            .collect();
        if doubted.is_empty() {
            return Ok(());
        }
        let hidden = match backlinks {
            Backlinks::ByGroup => self.ask_by_group(&doubted).await?,
            Backlinks::ByPerson => self.ask_by_person(&doubted).await?,
        };
        for dn in hidden {
            self.expect_no_member(&dn, harvest).await?;
            if let Some(position) = doubted.get(&dn) {
                harvest.builder.members_are_hidden(*position);
            }
        }
        Ok(())
    }

    async fn ask_by_group(&mut self, doubted: &BTreeMap<Dn, usize>) -> Result<BTreeSet<Dn>, Failure> {
        let mut hidden = BTreeSet::new();
        let names: Vec<&Dn> = doubted.keys().collect();
        for some in names.chunks(GROUPS_AT_ONCE) {
            if !self.has_members(some).await? {
                continue;
            }
            for one in some {
                if self.has_members(&[one]).await? {
                    hidden.insert((*one).clone());
                }
            }
        }
        Ok(hidden)
    }

    /// Whether anybody below the base is a member of one of these groups. One is enough.
    async fn has_members(&mut self, groups: &[&Dn]) -> Result<bool, Failure> {
        let of = |group: &&Dn| format!("(memberOf={})", ldap_escape(group.as_str()));
        let filter = format!("(|{})", groups.iter().map(of).collect::<String>());
        let area = Area { attributes: vec!["1.1"], page_size: 1, ..Area::below(self.base(), filter) };
        let mut cookie = Vec::new();
        for _ in 0..MAX_EMPTY_PAGES {
            let page = self.page(&area, cookie).await?;
            if page.entries.iter().any(is_object) {
                return Ok(true);
            }
            cookie = page.cookie;
            if cookie.is_empty() {
                return Ok(false);
            }
        }
        Err(self.incomplete("the server sends pages without end".to_owned()))
    }

    async fn ask_by_person(&mut self, doubted: &BTreeMap<Dn, usize>) -> Result<BTreeSet<Dn>, Failure> {
        let area =
            Area { attributes: vec!["memberOf"], ..Area::below(self.base(), "(memberOf=*)".to_owned()) };
        let mut hidden = BTreeSet::new();
        // Many are members of the same groups, and every name is read once only.
        let mut known: HashSet<Vec<u8>> = HashSet::new();
        let mut cookie = Vec::new();
        loop {
            let page = self.page(&area, cookie).await?;
            let objects = page.entries.iter().filter(|entry| is_object(entry));
            for (_, attributes) in objects.filter_map(|entry| entry_parts(&entry.0)) {
                for value in attributes.filter(|(name, _)| is_member_of(name)).flat_map(|(_, values)| values)
                {
                    if known.contains(value) {
                        continue;
                    }
                    known.insert(value.to_vec());
                    let group = std::str::from_utf8(value).ok().and_then(|text| Dn::parse(text).ok());
                    hidden.extend(group.filter(|group| doubted.contains_key(group)));
                }
            }
            cookie = page.cookie;
            if cookie.is_empty() {
                return Ok(hidden);
            }
        }
    }

    /// A group that shows members now got them while the directory was read.
    async fn expect_no_member(&mut self, dn: &Dn, harvest: &Harvest) -> Result<(), Failure> {
        let entries = self.read_object(dn.as_str(), vec!["member".to_owned()]).await?;
        let shows_some = match entries.first() {
            Some(entry) => {
                let entry = entry_of(&entry.0).map_err(|obstacle| harvest.stopped(&obstacle))?;
                entry.range().is_some() || entry.members().next().is_some()
            }
            None => true,
        };
        if !shows_some {
            return Ok(());
        }
        let what = format!("the members of {} changed while the directory was read", shown(dn.as_str()));
        Err(harvest.stopped(&Obstacle::Changed(what)))
    }
}

/// Whether an attribute is `memberOf`, whole or in portions.
pub fn is_member_of(description: &[u8]) -> bool {
    let name = description.split(|octet| *octet == b';').next().unwrap_or_default();
    name.eq_ignore_ascii_case(b"memberOf")
}
