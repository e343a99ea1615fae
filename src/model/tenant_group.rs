//! Groups of a tenant: read by name for the policies that select them, and never all of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::guid::Guid;
use crate::model::text::Text;

/// A group of a tenant, with its direct members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantGroup {
    /// The id, which never changes.
    pub id: Guid,
    /// displayName: several groups may have one.
    pub display_name: Text,
    /// Whether it is a security group (securityEnabled).
    pub is_security: bool,
    /// Whether it may hold roles of the directory (isAssignableToRole).
    pub holds_roles: bool,
    /// Whether it hides its members from whoever has no permission of its own for that (visibility
    /// `HiddenMembership`): then nobody can tell whether the list is whole.
    pub hides_members: bool,
    /// The users among its direct members, in any order; guests included. Devices, applications and
    /// contacts are left out.
    pub users: Vec<Guid>,
    /// The groups among its direct members.
    pub groups: Vec<NestedGroup>,
}

/// A group that is a member of another one: its own members are not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NestedGroup {
    /// The id.
    pub id: Guid,
    /// displayName, where the source tells.
    pub display_name: Option<Text>,
    /// How many direct members it has, where the source tells.
    pub members: Option<usize>,
}

/// The groups that are read: what policies name, and what that was pinned to before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WantedGroups {
    /// By displayName.
    pub names: BTreeSet<Text>,
    /// By id.
    pub ids: BTreeSet<Guid>,
}

impl WantedGroups {
    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.ids.is_empty()
    }
}

/// Adds the members that a second reading of some groups tells of, as far as they exist. None is taken
/// back: each list was whole, and one of the two may be behind.
pub fn amend_groups(read: &mut [TenantGroup], now: Vec<TenantGroup>, exists: impl Fn(&Guid) -> bool) {
    for group in now {
        if let Some(known) = read.iter_mut().find(|known| known.id == group.id) {
            known.users.extend(group.users.into_iter().filter(&exists));
            known.users.sort_unstable();
            known.users.dedup();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: u128, users: &[u128]) -> TenantGroup {
        TenantGroup {
            id: Guid::from_u128(id),
            display_name: Text::from("Intake Users"),
            is_security: true,
            holds_roles: false,
            hides_members: false,
            users: users.iter().copied().map(Guid::from_u128).collect(),
            groups: Vec::new(),
        }
    }

    #[test]
    fn a_second_reading_adds_members_and_takes_none_back() {
        let mut read = vec![group(1, &[7, 8]), group(2, &[9])];
        let exists = |user: &Guid| *user != Guid::from_u128(12);
        amend_groups(&mut read, vec![group(1, &[8, 10, 12]), group(3, &[11])], exists);
        assert_eq!(read, [group(1, &[7, 8, 10]), group(2, &[9])]);
    }
}
