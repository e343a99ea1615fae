//! What Microsoft Graph's JSON looks like: listings, users and subscriptions. Shared by `graph` and
//! `snapshot`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::adapters::tenant_group_object::GroupRow;
use crate::model::addresses::Addresses;
use crate::model::guid::{Guid, decode_immutable_id};
use crate::model::sid::Sid;
use crate::model::tenant::{Anchor, Licence, Subscription, TenantBuilder, TenantUser};
use crate::model::text::{Text, inert, same};

/// One list of a user's properties for everything that has to agree on it: what is selected, a user
/// as listed, and a change of one, in which what is absent, null and empty are three things.
macro_rules! user_properties {
    ($($property:literal => $field:ident: $type:ty,)*) => {
        /// The properties of a user that a reading needs, as `$select` names them.
        pub const USER_PROPERTIES: [&str; [$($property),*].len()] = [$($property),*];

        /// A user as Graph writes it. Unknown members are ignored: new ones arrive at any time.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct UserRow {
            $(
                #[serde(rename = $property, default, skip_serializing_if = "Option::is_none")]
                $field: Option<$type>,
            )*
        }

        /// A change of a user: a property that is absent stays as it was.
        #[derive(Debug, Deserialize)]
        pub struct UserChange {
            #[serde(rename = "@removed")]
            removed: Option<IgnoredAny>,
            $(
                #[serde(rename = $property, default, deserialize_with = "told")]
                $field: Option<Option<$type>>,
            )*
        }

        impl UserRow {
            /// Takes over what a change tells.
            pub fn apply(&mut self, change: UserChange) {
                $(if let Some(value) = change.$field { self.$field = value; })*
            }
        }
    };
}

user_properties! {
    "id" => id: WrittenGuid,
    "userPrincipalName" => user_principal_name: Text,
    "displayName" => display_name: Text,
    "mail" => mail: Text,
    "mobilePhone" => mobile_phone: Text,
    "proxyAddresses" => proxy_addresses: Vec<Text>,
    "accountEnabled" => account_enabled: bool,
    "userType" => user_type: Text,
    "assignedLicenses" => assigned_licenses: Vec<AssignedRow>,
    "licenseAssignmentStates" => license_assignment_states: Vec<StateRow>,
    "onPremisesImmutableId" => on_premises_immutable_id: Text,
    "onPremisesSecurityIdentifier" => on_premises_security_identifier: Text,
}

/// Reads a property that is there, be it null.
fn told<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl UserChange {
    /// Reads whom the change is about.
    ///
    /// # Errors
    /// A change without an id, or with one that is no GUID.
    pub fn id(&self) -> Result<Guid, RowFault> {
        written("id", self.id.clone().flatten())
    }

    /// Whether the user is gone, for good or for as long as nobody restores it.
    pub fn is_removal(&self) -> bool {
        self.removed.is_some()
    }

    /// Whether it tells what is true of every user: then it is about the whole of one.
    pub fn is_whole(&self) -> bool {
        matches!((&self.user_principal_name, &self.account_enabled), (Some(Some(_)), Some(Some(_))))
    }
}

impl UserRow {
    /// Reads who it is.
    ///
    /// # Errors
    /// A row without an id, or with one that is no GUID.
    pub fn id(&self) -> Result<Guid, RowFault> {
        written("id", self.id.clone())
    }

    /// Whether it shows licences, also none.
    pub fn shows_licences(&self) -> bool {
        self.assigned_licenses.is_some()
    }

    /// Takes licences that are not shown for none.
    pub fn take_hidden_licences_for_none(&mut self) {
        self.assigned_licenses.get_or_insert_default();
    }

    /// Returns what names the user best in a message; from outside, not inert.
    pub fn name(&self) -> Text {
        let name = self.user_principal_name.clone().or_else(|| self.id.as_ref().map(WrittenGuid::text));
        name.unwrap_or_else(|| Text::const_new("without a name"))
    }
}

/// A property that holds a GUID, or ought to. There are several to a user, and text of that length
/// would be an allocation for each.
#[derive(Debug, Clone, PartialEq, Eq)]
enum WrittenGuid {
    Sound(Guid),
    Other(Text),
}

impl WrittenGuid {
    fn read(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Other(Text::from(text)), Self::Sound)
    }

    fn text(&self) -> Text {
        match self {
            Self::Sound(guid) => Text::from(guid.to_string()),
            Self::Other(text) => text.clone(),
        }
    }
}

impl Serialize for WrittenGuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sound(guid) => serializer.collect_str(guid),
            Self::Other(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for WrittenGuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = WrittenGuid;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<WrittenGuid, E> {
                Ok(WrittenGuid::read(text))
            }
        }

        deserializer.deserialize_str(Written)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AssignedRow {
    sku_id: Option<WrittenGuid>,
    disabled_plans: Option<Vec<WrittenGuid>>,
}

/// One assignment of a SKU: the same SKU may come twice, directly and by a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateRow {
    sku_id: Option<WrittenGuid>,
    disabled_plans: Option<Vec<WrittenGuid>>,
    state: Option<Text>,
}

/// A SKU of `subscribedSkus` as Graph writes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkuRow {
    sku_id: Option<Text>,
    sku_part_number: Option<Text>,
    capability_status: Option<Text>,
    service_plans: Option<Vec<PlanRow>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlanRow {
    service_plan_id: Option<Text>,
    service_plan_name: Option<Text>,
}

/// The organisation as Graph writes it.
#[derive(Debug, Deserialize)]
pub struct OrganizationRow {
    /// The tenant's id.
    pub id: Option<Text>,
}

/// Whether a property that is absent was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// It was asked for: the service hides it.
    Hidden,
    /// Nobody knows: somebody made the file.
    Unknown,
}

/// Why a row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// A property that every object has is missing.
    #[error("has no {property}")]
    Missing {
        /// Its name in Graph.
        property: &'static str,
    },
    /// A property is not what it should be.
    #[error("has the {property} `{found}`, which is no {expected}")]
    Malformed {
        /// Its name in Graph.
        property: &'static str,
        /// What stands there, inert.
        found: String,
        /// What should stand there.
        expected: &'static str,
    },
    /// A property that decides about people is not shown.
    #[error("does not show {property}")]
    Hidden {
        /// Its name in Graph.
        property: &'static str,
    },
}

/// Reads a user. Its licences go into the builder, the user does not yet.
///
/// # Errors
/// A row that lacks what every user has, holds what cannot be, or does not show its licences.
pub fn user(row: UserRow, absent: Absent, builder: &mut TenantBuilder) -> Result<TenantUser, RowFault> {
    let id = written("id", row.id)?;
    let user_principal_name =
        filled(row.user_principal_name).ok_or(RowFault::Missing { property: "userPrincipalName" })?;
    let Some(assigned) = row.assigned_licenses else {
        return Err(RowFault::Hidden { property: "assignedLicenses" });
    };
    let enabled = match (row.account_enabled, absent) {
        (Some(enabled), _) => enabled,
        (None, Absent::Unknown) => true,
        (None, Absent::Hidden) => return Err(RowFault::Hidden { property: "accountEnabled" }),
    };
    let anchor = match filled(row.on_premises_immutable_id) {
        None => Anchor::None,
        Some(text) => decode_immutable_id(&text).map_or(Anchor::Other, Anchor::Octets),
    };
    // A SID that cannot be read may not count as none: it would let a weaker key decide.
    let on_premises_sid = filled(row.on_premises_security_identifier)
        .map(|text| text.parse::<Sid>().map_err(|_| malformed("onPremisesSecurityIdentifier", &text, "SID")))
        .transpose()?;
    let addresses = addresses(row.proxy_addresses.unwrap_or_default());
    let is_guest =
        row.user_type.is_some_and(|kind| same(&kind, "Guest")) || is_guest_name(&user_principal_name);
    let licences = licences(assigned, row.license_assignment_states.unwrap_or_default())?;
    Ok(TenantUser {
        id,
        user_principal_name,
        display_name: filled(row.display_name),
        mail: filled(row.mail),
        mobile: filled(row.mobile_phone),
        addresses,
        anchor,
        on_premises_sid,
        enabled,
        is_guest,
        licences: builder.licence_set(licences),
    })
}

/// Reads a SKU that the tenant owns.
///
/// # Errors
/// A row without id or part number, or with plans that have none.
pub fn subscription(row: SkuRow) -> Result<Subscription, RowFault> {
    let plan = |plan: PlanRow| {
        let id = guid("servicePlanId", plan.service_plan_id)?;
        let name = plan.service_plan_name.ok_or(RowFault::Missing { property: "servicePlanName" })?;
        Ok((id, name))
    };
    Ok(Subscription {
        sku: guid("skuId", row.sku_id)?,
        part_number: filled(row.sku_part_number).ok_or(RowFault::Missing { property: "skuPartNumber" })?,
        // A snapshot may lack it. Only what says that it does not work does not.
        usable: filled(row.capability_status)
            .is_none_or(|status| same(&status, "Enabled") || same(&status, "Warning")),
        plans: row.service_plans.unwrap_or_default().into_iter().map(plan).collect::<Result<_, _>>()?,
    })
}

/// Splits proxyAddresses into the primary (`SMTP:`) and the other (`smtp:`) addresses; `x500:`,
/// `sip:` and others are none.
fn addresses(proxy_addresses: Vec<Text>) -> Addresses {
    let mut primary = None;
    let mut aliases = Vec::new();
    for address in proxy_addresses {
        match address.split_once(':') {
            Some((_, "")) | None => {}
            Some(("SMTP", address)) if primary.is_none() => primary = Some(Text::from(address)),
            Some((prefix, address)) if prefix.eq_ignore_ascii_case("smtp") => {
                aliases.push(Text::from(address))
            }
            Some(_) => {}
        }
    }
    Addresses::new(primary, aliases)
}

/// One assignment, read.
struct Assignment {
    sku: Guid,
    disabled_plans: Vec<Guid>,
    effective: bool,
}

/// Joins what is assigned with how the assignments went.
///
/// A SKU without any state is in effect. One all of whose states are `Error` or `Disabled` is not:
/// the user got nothing. A plan is disabled when every assignment that is in effect disables it.
fn licences(assigned: Vec<AssignedRow>, states: Vec<StateRow>) -> Result<Vec<Licence>, RowFault> {
    let states = states
        .into_iter()
        .map(|row| {
            Ok(Assignment {
                sku: written("skuId", row.sku_id)?,
                disabled_plans: guids("disabledPlans", row.disabled_plans)?,
                effective: !row.state.is_some_and(|state| same(&state, "Error") || same(&state, "Disabled")),
            })
        })
        .collect::<Result<Vec<_>, RowFault>>()?;
    let assigned = assigned
        .into_iter()
        .map(|row| {
            let disabled_plans = guids("disabledPlans", row.disabled_plans)?;
            Ok(Assignment { sku: written("skuId", row.sku_id)?, disabled_plans, effective: true })
        })
        .collect::<Result<Vec<_>, RowFault>>()?;
    let mut licences: Vec<Licence> = Vec::with_capacity(assigned.len());
    for Assignment { sku, .. } in &assigned {
        if licences.iter().any(|licence| licence.sku == *sku) {
            continue;
        }
        let mut assignments = of_sku(&states, *sku);
        if assignments.is_empty() {
            assignments = of_sku(&assigned, *sku);
        }
        let effective = assignments.iter().any(|assignment| assignment.effective);
        let disabled_plans = disabled_in_all(assignments.iter().filter(|one| one.effective == effective));
        licences.push(Licence { sku: *sku, disabled_plans, effective });
    }
    Ok(licences)
}

fn of_sku(assignments: &[Assignment], sku: Guid) -> Vec<&Assignment> {
    assignments.iter().filter(|assignment| assignment.sku == sku).collect()
}

/// Returns the plans that every assignment disables.
fn disabled_in_all<'a>(mut assignments: impl Iterator<Item = &'a &'a Assignment>) -> Vec<Guid> {
    let Some(first) = assignments.next() else {
        return Vec::new();
    };
    let mut disabled = first.disabled_plans.clone();
    for assignment in assignments {
        disabled.retain(|plan| assignment.disabled_plans.contains(plan));
    }
    disabled.sort_unstable();
    disabled.dedup();
    disabled
}

/// Takes blank text for none.
pub(crate) fn filled(text: Option<Text>) -> Option<Text> {
    text.filter(|text| !text.trim_start().is_empty())
}

/// Whether a userPrincipalName is one that invited people get.
fn is_guest_name(name: &str) -> bool {
    name.match_indices('#').any(|(at, _)| name.get(at..at + 5).is_some_and(|mark| same(mark, "#EXT#")))
}

/// Reads a GUID that every object has.
pub(crate) fn guid(property: &'static str, text: Option<Text>) -> Result<Guid, RowFault> {
    let text = filled(text).ok_or(RowFault::Missing { property })?;
    text.parse().map_err(|_| malformed(property, &text, "GUID"))
}

/// The same, of one that was read already.
fn written(property: &'static str, found: Option<WrittenGuid>) -> Result<Guid, RowFault> {
    match found {
        Some(WrittenGuid::Sound(guid)) => Ok(guid),
        Some(WrittenGuid::Other(text)) => guid(property, Some(text)),
        None => Err(RowFault::Missing { property }),
    }
}

fn guids(property: &'static str, found: Option<Vec<WrittenGuid>>) -> Result<Vec<Guid>, RowFault> {
    found.unwrap_or_default().into_iter().map(|one| written(property, Some(one))).collect()
}

fn malformed(property: &'static str, found: &str, expected: &'static str) -> RowFault {
    let short: String = found.chars().take(80).collect();
    RowFault::Malformed { property, found: inert(&short).into_owned(), expected }
}

/// What a listing said besides its rows.
#[derive(Debug, Default)]
pub struct Listing {
    /// Whether there was a `value` at all.
    pub has_value: bool,
    /// How many rows were begun.
    pub rows: usize,
    /// Whether the reading ended within a row: which then is the one that could not be read.
    pub in_row: bool,
    /// Where the listing goes on.
    pub next_link: Option<String>,
    /// Where a later listing of what changed since begins.
    pub delta_link: Option<String>,
    /// In a snapshot: the tenant's id.
    pub tenant_id: Option<Text>,
    /// In a snapshot: what the tenant owns.
    pub subscriptions: Option<Vec<SkuRow>>,
    /// In a snapshot: the groups that policies select.
    pub groups: Option<Vec<GroupRow>>,
}

/// Reads a listing, `{"value": [...], "@odata.nextLink": ...}`, and hands over every row as it
/// arrives, so that only one is held at a time.
///
/// # Errors
/// What the deserializer says, and what `each` says about a row.
pub fn read_listing<'de, D, R>(
    deserializer: D,
    listing: &mut Listing,
    each: &mut dyn FnMut(R) -> Result<(), String>,
) -> Result<(), D::Error>
where
    D: Deserializer<'de>,
    R: Deserialize<'de>,
{
    deserializer.deserialize_map(Members { listing, each, row: PhantomData })
}

struct Members<'a, R> {
    listing: &'a mut Listing,
    each: &'a mut dyn FnMut(R) -> Result<(), String>,
    row: PhantomData<R>,
}

impl<'de, R: Deserialize<'de>> Visitor<'de> for Members<'_, R> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with a `value`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { listing, each, .. } = self;
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "value" if listing.has_value => return Err(A::Error::duplicate_field("value")),
                "value" => {
                    listing.has_value = true;
                    members.next_value_seed(Rows {
                        listing: &mut *listing,
                        each: &mut *each,
                        row: PhantomData,
                    })?;
                }
                "@odata.nextLink" => listing.next_link = members.next_value()?,
                "@odata.deltaLink" => listing.delta_link = members.next_value()?,
                "tenantId" => listing.tenant_id = members.next_value()?,
                "subscribedSkus" => listing.subscriptions = members.next_value()?,
                "groups" => listing.groups = members.next_value()?,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct Rows<'a, R> {
    listing: &'a mut Listing,
    each: &'a mut dyn FnMut(R) -> Result<(), String>,
    row: PhantomData<R>,
}

impl<'de, R: Deserialize<'de>> DeserializeSeed<'de> for Rows<'_, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, R: Deserialize<'de>> Visitor<'de> for Rows<'_, R> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        loop {
            self.listing.rows += 1;
            self.listing.in_row = true;
            if rows.next_element_seed(Row { each: &mut *self.each, row: self.row })?.is_none() {
                self.listing.rows -= 1;
                self.listing.in_row = false;
                return Ok(());
            }
            self.listing.in_row = false;
        }
    }
}

/// One row. What `each` says about it is said inside, so that it gets the row's place in the file.
struct Row<'a, R> {
    each: &'a mut dyn FnMut(R) -> Result<(), String>,
    row: PhantomData<R>,
}

impl<'de, R: Deserialize<'de>> DeserializeSeed<'de> for Row<'_, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, R: Deserialize<'de>> Visitor<'de> for Row<'_, R> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        let row = R::deserialize(MapAccessDeserializer::new(members))?;
        (self.each)(row).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const E3: &str = "05e9a617-0261-4cee-bb44-138d3ef5d965";
    const FREE: &str = "f30db892-07e9-47e9-837c-80727f46fd3d";
    const PLAN_A: &str = "efb87545-963c-4e0d-99df-69c6916d9eb0";
    const PLAN_B: &str = "57ff2da0-773e-42df-b2af-ffb7a2317929";

    fn row(changes: Value) -> UserRow {
        let mut row = json!({
            "id": "6f9619ff-8b86-d011-b42d-00c04fc964ff",
            "userPrincipalName": "jane@contoso.test",
            "accountEnabled": true,
            "assignedLicenses": []
        });
        for (name, value) in changes.as_object().expect("an object") {
            row[name] = value.clone();
        }
        serde_json::from_value(row).expect("a user")
    }

    fn read(changes: Value) -> Result<TenantUser, RowFault> {
        user(row(changes), Absent::Hidden, &mut TenantBuilder::new())
    }

    fn licences_of(changes: Value) -> Vec<Licence> {
        let mut builder = TenantBuilder::new();
        let user = user(row(changes), Absent::Hidden, &mut builder).expect("a user");
        builder.user(user.clone());
        builder.finish().licences_of(&user).to_vec()
    }

    fn guid(text: &str) -> Guid {
        text.parse().expect("a GUID")
    }

    #[test]
    fn an_anchor_is_sixteen_octets_or_something_else_or_none() {
        let anchor = |value: Value| read(json!({"onPremisesImmutableId": value})).expect("a user").anchor;
        let octets = guid("6f9619ff-8b86-d011-b42d-00c04fc964ff").octets();
        assert_eq!(anchor(json!("/xmWb4aLEdC0LQDAT8lk/w==")), Anchor::Octets(octets));
        assert_eq!(anchor(json!(" /xmWb4aLEdC0LQDAT8lk/w==\n")), Anchor::Octets(octets));
        assert_eq!(anchor(json!("E012345")), Anchor::Other);
        assert_eq!(anchor(json!("MTIzNDU2Nzg=")), Anchor::Other, "eight octets");
        assert_eq!(anchor(json!("  ")), Anchor::None);
        assert_eq!(anchor(Value::Null), Anchor::None);
    }

    #[test]
    fn a_guest_is_known_by_its_type_or_its_name() {
        let guest = |changes| read(changes).expect("a user").is_guest;
        assert!(guest(json!({"userType": "Guest"})));
        assert!(guest(json!({"userType": "Member", "userPrincipalName": "a_b.test#ext#@contoso.test"})));
        assert!(!guest(json!({"userType": "Member"})));
        assert!(!guest(json!({"userType": null})));
    }

    #[test]
    fn the_primary_address_is_the_one_in_capitals() {
        let user = read(json!({"proxyAddresses":
            ["smtp:j@contoso.test", "x500:/o=x", "SMTP:jane@contoso.test", "SMTP:second@contoso.test", "sip:jane", "smtp:"]}))
        .expect("a user");
        assert_eq!(user.addresses.primary().map(Text::as_str), Some("jane@contoso.test"));
        assert_eq!(user.addresses.aliases().to_vec(), ["j@contoso.test", "second@contoso.test"]);
    }

    #[test]
    fn a_licence_without_a_state_is_in_effect() {
        let licences = licences_of(json!({"assignedLicenses": [{"skuId": E3, "disabledPlans": [PLAN_A]}]}));
        assert_eq!(
            licences,
            [Licence { sku: guid(E3), disabled_plans: vec![guid(PLAN_A)], effective: true }]
        );
    }

    #[test]
    fn a_licence_is_in_effect_unless_every_assignment_failed() {
        let effective = |states: &[&str]| {
            let states: Vec<Value> = states
                .iter()
                .map(|state| json!({"skuId": E3.to_uppercase(), "state": state, "error": "None"}))
                .collect();
            let licences = licences_of(json!({
                "assignedLicenses": [{"skuId": E3, "disabledPlans": []}],
                "licenseAssignmentStates": states
            }));
            licences[0].effective
        };
        assert!(effective(&["Active"]));
        assert!(effective(&["ActiveWithError"]));
        assert!(effective(&["Error", "Active"]));
        assert!(effective(&["SomethingNew"]));
        assert!(!effective(&["Error"]));
        assert!(!effective(&["Error", "Disabled"]));
    }

    #[test]
    fn a_plan_is_disabled_when_every_assignment_in_effect_disables_it() {
        let licences = licences_of(json!({
            "assignedLicenses": [{"skuId": E3, "disabledPlans": []}, {"skuId": FREE, "disabledPlans": []}],
            "licenseAssignmentStates": [
                {"skuId": E3, "state": "Active", "disabledPlans": [PLAN_A, PLAN_B], "assignedByGroup": null},
                {"skuId": E3, "state": "Active", "disabledPlans": [PLAN_A], "assignedByGroup": FREE},
                {"skuId": E3, "state": "Error", "disabledPlans": [], "assignedByGroup": PLAN_A}
            ]
        }));
        let of = |sku: &str| licences.iter().find(|licence| licence.sku == guid(sku)).expect("a licence");
        assert_eq!(of(E3).disabled_plans, [guid(PLAN_A)]);
        assert!(of(FREE).disabled_plans.is_empty());
    }

    #[test]
    fn one_sku_is_one_licence_however_often_it_is_listed() {
        let licences = licences_of(json!({"assignedLicenses": [
            {"skuId": E3, "disabledPlans": [PLAN_A, PLAN_B]}, {"skuId": E3, "disabledPlans": [PLAN_B]}]}));
        assert_eq!(
            licences,
            [Licence { sku: guid(E3), disabled_plans: vec![guid(PLAN_B)], effective: true }]
        );
    }

    #[test]
    fn a_user_that_lacks_what_every_user_has_is_broken() {
        let fault = |changes| read(changes).expect_err("a broken user").to_string();
        assert_eq!(fault(json!({"id": null})), "has no id");
        assert_eq!(fault(json!({"id": "jane\u{1b}"})), "has the id `jane\\u{1b}`, which is no GUID");
        assert_eq!(fault(json!({"userPrincipalName": ""})), "has no userPrincipalName");
        assert_eq!(fault(json!({"assignedLicenses": null})), "does not show assignedLicenses");
        assert_eq!(fault(json!({"assignedLicenses": [{}]})), "has no skuId");
        assert_eq!(
            fault(json!({"onPremisesSecurityIdentifier": "S-1"})),
            "has the onPremisesSecurityIdentifier `S-1`, which is no SID"
        );
    }

    #[test]
    fn a_state_of_sign_in_that_was_asked_for_must_come() {
        let hidden = json!({"accountEnabled": null});
        assert_eq!(
            user(row(hidden.clone()), Absent::Hidden, &mut TenantBuilder::new()).expect_err("hidden"),
            RowFault::Hidden { property: "accountEnabled" }
        );
        assert!(user(row(hidden), Absent::Unknown, &mut TenantBuilder::new()).expect("a user").enabled);
    }

    #[test]
    fn a_subscription_works_while_enabled_or_in_its_grace() {
        let usable = |status: Option<&str>| {
            let row = json!({"skuId": E3, "skuPartNumber": "SPE_E3", "capabilityStatus": status,
                "servicePlans": [{"servicePlanId": PLAN_A, "servicePlanName": "EXCHANGE_S_ENTERPRISE"}]});
            let read = subscription(serde_json::from_value(row).expect("a SKU")).expect("a subscription");
            assert_eq!(read.plans, [(guid(PLAN_A), Text::from("EXCHANGE_S_ENTERPRISE"))]);
            read.usable
        };
        assert!(usable(Some("Enabled")) && usable(Some("Warning")));
        assert!(!usable(Some("Suspended")) && !usable(Some("LockedOut")) && !usable(Some("Deleted")));
        assert!(usable(None) && usable(Some("")), "what says nothing is not suspended");
    }

    #[test]
    fn a_listing_says_in_which_row_it_ended() {
        let mut listing = Listing::default();
        let mut arrived = Vec::new();
        let text = r#"{"@odata.context": "x", "value": [{"id": "a"}, {"id": 7}], "@odata.nextLink": "n"}"#;
        let result = read_listing(
            &mut serde_json::Deserializer::from_str(text),
            &mut listing,
            &mut |row: OrganizationRow| {
                arrived.push(row.id);
                Ok(())
            },
        );
        assert!(result.expect_err("a number is no text").is_data());
        assert_eq!((listing.rows, listing.in_row), (2, true));
        assert_eq!(arrived, [Some(Text::from("a"))]);
    }
}
