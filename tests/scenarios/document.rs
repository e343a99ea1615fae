//! A scenario file as it is written; `README.md` beside the files explains every field.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use intake::model::account::{AccountType, Verdict};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Scenario {
    /// What this shows, in one sentence.
    pub(super) title: String,
    /// When the sources are read.
    #[serde(default = "noon")]
    pub(super) at: jiff::Timestamp,
    /// Fields of the customer's document, less its sources.
    #[serde(default)]
    pub(super) customer: BTreeMap<String, Value>,
    /// Documents of policies by name, each the fields of `spec`.
    #[serde(default)]
    pub(super) policies: BTreeMap<String, BTreeMap<String, Value>>,
    /// How many further people are in both sources and in the register.
    #[serde(default)]
    pub(super) crowd: u64,
    #[serde(default)]
    pub(super) directory: DirectoryPart,
    #[serde(default)]
    pub(super) tenant: TenantPart,
    #[serde(default)]
    pub(super) register: RegisterPart,
    /// Approve what a first plan holds, as recorded at this moment, and plan again.
    pub(super) approve_hold_of: Option<jiff::Timestamp>,
    pub(super) expect: Expected,
}

/// GUIDs of the crowd begin here.
const CROWD: u64 = 50_000;

impl Scenario {
    /// Reads a scenario and adds its crowd to both sources and to the register.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut scenario: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        for number in 1..=scenario.crowd {
            let sam = format!("crowd{number}");
            let guid = CROWD + number;
            let upn = format!("{sam}@contoso.test");
            scenario.directory.people.push(part(json!({"sam": sam, "guid": guid})));
            scenario.tenant.users.push(part(json!({"upn": upn, "id": guid, "anchor": guid})));
            // Of a customer without a directory the tenant user is the account.
            let tie = if scenario.directory.reading == Read::Absent { "user" } else { "linked" };
            scenario.register.accounts.push(part(json!({"sam": sam, tie: guid})));
        }
        Ok(scenario)
    }
}

fn part<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a part of a scenario")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) enum Read {
    #[default]
    Complete,
    Incomplete,
    Unavailable,
    Unconsented,
    /// The customer has no such source.
    Absent,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct DirectoryPart {
    pub(super) reading: Read,
    pub(super) people: Vec<PersonPart>,
    pub(super) groups: Vec<GroupPart>,
    /// OUs besides those that people and groups lie in: relative name to GUID.
    pub(super) ous: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PersonPart {
    /// sAMAccountName; the other names follow from it.
    pub(super) sam: String,
    pub(super) name: Option<String>,
    pub(super) guid: Option<u64>,
    #[serde(default = "staff")]
    pub(super) ou: String,
    /// Default: `SAM@contoso.test`; empty: none.
    pub(super) upn: Option<String>,
    pub(super) mail: Option<String>,
    pub(super) address: Option<String>,
    #[serde(default)]
    pub(super) aliases: Vec<String>,
    pub(super) consistency_guid: Option<u64>,
    #[serde(default = "domain_users")]
    pub(super) primary_group: u32,
    #[serde(default)]
    pub(super) disabled: bool,
    pub(super) invalid: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GroupPart {
    pub(super) name: String,
    #[serde(default = "groups")]
    pub(super) ou: String,
    pub(super) guid: Option<u64>,
    pub(super) rid: Option<u32>,
    /// Of every machine (`S-1-5-32-RID`), and of no domain.
    #[serde(default)]
    pub(super) builtin: bool,
    #[serde(default)]
    pub(super) critical: bool,
    /// sAMAccountNames of people and names of groups.
    #[serde(default)]
    pub(super) members: Vec<String>,
    /// DNs of members that the reading does not hold.
    #[serde(default)]
    pub(super) unseen: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct TenantPart {
    pub(super) reading: Read,
    pub(super) users: Vec<UserPart>,
    /// Part number to service plans; default: `SPE_E3` with Exchange, and `FLOW_FREE`.
    pub(super) skus: Option<BTreeMap<String, Vec<String>>>,
    /// `absent`: the source holds no groups.
    pub(super) groups_reading: Read,
    pub(super) groups: Vec<TenantGroupPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TenantGroupPart {
    pub(super) name: String,
    pub(super) id: Option<u64>,
    /// What stands before the `@` of users' names, and names of groups.
    #[serde(default)]
    pub(super) members: Vec<String>,
    /// Numbers of members that are no users of the reading.
    #[serde(default)]
    pub(super) unseen: Vec<u64>,
    /// Not security-enabled.
    #[serde(default)]
    pub(super) mail_only: bool,
    #[serde(default)]
    pub(super) holds_roles: bool,
    #[serde(default)]
    pub(super) hides_members: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserPart {
    pub(super) upn: String,
    pub(super) id: Option<u64>,
    pub(super) name: Option<String>,
    pub(super) mail: Option<String>,
    pub(super) address: Option<String>,
    #[serde(default)]
    pub(super) aliases: Vec<String>,
    /// The GUID whose octets onPremisesImmutableId holds, or `text`.
    pub(super) anchor: Option<AnchorPart>,
    /// The GUID of the person whose SID onPremisesSecurityIdentifier holds.
    pub(super) sid_of: Option<u64>,
    #[serde(default)]
    pub(super) disabled: bool,
    #[serde(default)]
    pub(super) guest: bool,
    #[serde(default = "licensed")]
    pub(super) licences: Vec<String>,
    #[serde(default)]
    pub(super) disabled_plans: Vec<String>,
    /// The assignments are in state `Error`.
    #[serde(default)]
    pub(super) failed: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(super) enum AnchorPart {
    Guid(u64),
    Text(Plain),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Plain {
    Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RegisterPart {
    pub(super) accounts: Vec<AccountPart>,
    /// The SID of the domain that was read before.
    pub(super) domain: Option<String>,
    /// The id of the tenant that was read before.
    pub(super) tenant: Option<String>,
    /// Where entries of a selection were found before.
    pub(super) scopes: Vec<ScopePart>,
    /// How many users the last readings held besides those that the present ones hold.
    pub(super) vanished: Vanished,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Vanished {
    pub(super) directory: Option<u64>,
    pub(super) tenant: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ScopePart {
    /// The entry as it stands in the policy: an OU, a group, or a group of the tenant.
    pub(super) ou: Option<String>,
    pub(super) group: Option<String>,
    pub(super) entra_group: Option<String>,
    pub(super) guid: u64,
    /// Its full name when it was last seen.
    pub(super) dn: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AccountPart {
    pub(super) sam: String,
    /// Default: that of the person of this sAMAccountName.
    pub(super) guid: Option<u64>,
    /// Of an account of the tenant alone the number of its user; `sam` is then what stands before the `@`.
    pub(super) user: Option<u64>,
    #[serde(default = "end_user")]
    pub(super) account_type: AccountType,
    /// Default: that of the person of this GUID.
    pub(super) name: Option<String>,
    pub(super) upn: Option<String>,
    pub(super) email: Option<String>,
    /// The tenant user that it is linked to.
    pub(super) linked: Option<u64>,
    #[serde(default = "staff_policy")]
    pub(super) policy: String,
    #[serde(default)]
    pub(super) state: StatePart,
    pub(super) since: Option<jiff::Timestamp>,
    pub(super) until: Option<jiff::Timestamp>,
    pub(super) reason: Option<Verdict>,
    #[serde(default)]
    pub(super) approved: bool,
    /// When a removal of it last began, of somebody who came back since.
    pub(super) removal_began: Option<jiff::Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) enum StatePart {
    #[default]
    Active,
    PendingRemoval,
    Orphaned,
    Removed,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Expected {
    #[serde(default = "ready")]
    pub(super) state: String,
    #[serde(default)]
    pub(super) operations: Vec<String>,
    #[serde(default)]
    pub(super) not_imported: BTreeMap<String, Verdict>,
    #[serde(default)]
    pub(super) kept: BTreeMap<String, Verdict>,
    /// All findings.
    pub(super) findings: Option<Vec<String>>,
    /// Findings that must be there, whatever others there are.
    pub(super) findings_include: Option<Vec<String>>,
}

fn noon() -> jiff::Timestamp {
    "2026-01-15T12:00:00Z".parse().expect("a moment")
}

fn staff() -> String {
    "OU=Staff".to_owned()
}

fn groups() -> String {
    "OU=Groups".to_owned()
}

fn domain_users() -> u32 {
    513
}

fn licensed() -> Vec<String> {
    vec!["SPE_E3".to_owned()]
}

fn end_user() -> AccountType {
    AccountType::EndUser
}

fn staff_policy() -> String {
    "staff".to_owned()
}

fn ready() -> String {
    "ready".to_owned()
}
