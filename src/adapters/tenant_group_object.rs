//! What groups of a tenant and their members look like in Microsoft Graph's JSON. Shared by `graph` and
//! `snapshot`.

use serde::Deserialize;

use crate::adapters::tenant_object::{RowFault, filled, guid};
use crate::model::tenant_group::{NestedGroup, TenantGroup};
use crate::model::text::{Text, same};

/// The properties of a group that a reading needs, as `$select` names them.
pub const GROUP_PROPERTIES: [&str; 5] =
    ["id", "displayName", "securityEnabled", "isAssignableToRole", "visibility"];

/// A group as Graph writes it; in a snapshot with its members.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupRow {
    id: Option<Text>,
    display_name: Option<Text>,
    security_enabled: Option<bool>,
    is_assignable_to_role: Option<bool>,
    visibility: Option<Text>,
    /// In a snapshot: all direct members.
    pub members: Option<Vec<MemberRow>>,
    /// In a snapshot: that there are more members than these.
    #[serde(rename = "members@odata.nextLink")]
    pub more_members: Option<Text>,
}

impl GroupRow {
    /// Returns what names the group best in a message; from outside, not inert.
    pub fn name(&self) -> Text {
        let name = self.display_name.as_ref().or(self.id.as_ref());
        name.cloned().unwrap_or_else(|| Text::const_new("without a name"))
    }
}

/// A member of a group as Graph writes it: a user, a group, a device, an application or a contact.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRow {
    #[serde(rename = "@odata.type")]
    kind: Option<Text>,
    id: Option<Text>,
    display_name: Option<Text>,
}

/// Reads a group; its members are read by [`add_member`].
///
/// # Errors
/// A row without what every group has: a group whose kind is not told might be any.
pub fn group(row: GroupRow) -> Result<TenantGroup, RowFault> {
    Ok(TenantGroup {
        id: guid("id", row.id)?,
        display_name: filled(row.display_name).ok_or(RowFault::Missing { property: "displayName" })?,
        is_security: row.security_enabled.ok_or(RowFault::Missing { property: "securityEnabled" })?,
        holds_roles: row.is_assignable_to_role.unwrap_or(false),
        hides_members: row.visibility.is_some_and(|visibility| same(&visibility, "HiddenMembership")),
        users: Vec::new(),
        groups: Vec::new(),
    })
}

/// Adds a direct member to a group. Whose kind is not told counts as a user: taken for somebody else,
/// they would be missing.
///
/// # Errors
/// A row without an id.
pub fn add_member(group: &mut TenantGroup, row: MemberRow) -> Result<(), RowFault> {
    let id = guid("id", row.id)?;
    let kind = row.kind.as_deref().map(|kind| kind.rsplit('.').next().unwrap_or(kind));
    match kind {
        None => group.users.push(id),
        Some(kind) if same(kind, "user") => group.users.push(id),
        Some(kind) if same(kind, "group") => {
            group.groups.push(NestedGroup { id, display_name: filled(row.display_name), members: None });
        }
        Some(_) => {}
    }
    Ok(())
}

/// Puts the members of a group in order, each once: a listing may tell of one twice.
pub fn settle(group: &mut TenantGroup) {
    group.users.sort_unstable();
    group.users.dedup();
    group.groups.sort_unstable_by_key(|nested| nested.id);
    group.groups.dedup_by_key(|nested| nested.id);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::guid::Guid;

    fn read(changes: Value) -> Result<TenantGroup, RowFault> {
        let mut row =
            json!({"id": Guid::from_u128(1).to_string(), "displayName": "Staff", "securityEnabled": true});
        for (name, value) in changes.as_object().expect("an object") {
            row[name] = value.clone();
        }
        group(serde_json::from_value(row).expect("a group"))
    }

    #[test]
    fn a_group_says_what_it_is() {
        let plain = read(json!({"isAssignableToRole": null, "visibility": null})).expect("a group");
        assert!(plain.is_security && !plain.holds_roles && !plain.hides_members);
        assert!(!read(json!({"securityEnabled": false})).expect("a group").is_security);
        assert!(read(json!({"isAssignableToRole": true})).expect("a group").holds_roles);
        assert!(read(json!({"visibility": "hiddenmembership"})).expect("a group").hides_members);
        for (lacking, words) in [
            ("id", "has no id"),
            ("displayName", "has no displayName"),
            ("securityEnabled", "has no securityEnabled"),
        ] {
            assert_eq!(read(json!({lacking: null})).expect_err("broken").to_string(), words);
        }
    }

    #[test]
    fn members_are_told_apart_by_their_kind_and_counted_once() {
        let mut group = read(json!({})).expect("a group");
        let id = |number| Guid::from_u128(number).to_string();
        for (number, kind) in [
            (3, "#microsoft.graph.user"),
            (2, "#microsoft.graph.group"),
            (4, "#microsoft.graph.device"),
            (5, "#microsoft.graph.servicePrincipal"),
            (3, "#microsoft.graph.user"),
            (1, "#microsoft.graph.user"),
        ] {
            let row = json!({"@odata.type": kind, "id": id(number), "displayName": "x"});
            add_member(&mut group, serde_json::from_value(row).expect("a member")).expect("added");
        }
        add_member(&mut group, serde_json::from_value(json!({"id": id(9)})).expect("a member"))
            .expect("added");
        settle(&mut group);
        assert_eq!(group.users, [1, 3, 9].map(Guid::from_u128));
        assert_eq!(group.groups.iter().map(|nested| nested.id).collect::<Vec<_>>(), [Guid::from_u128(2)]);
        let nameless =
            serde_json::from_value(json!({"@odata.type": "#microsoft.graph.user"})).expect("a member");
        assert_eq!(add_member(&mut group, nameless), Err(RowFault::Missing { property: "id" }));
    }
}
