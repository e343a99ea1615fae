//! A plan: what would be done, to whom and why. Its JSON form is the public one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use crate::model::account::{AccountKey, AccountType, Profile, Source, Verdict, sources};
use crate::model::contact::ContactKind;
use crate::model::digest::Digest;
use crate::model::guid::Guid;
use crate::model::register::{Hold, Measures, Pins, Reports, Suspension};
use crate::model::text::Text;
use crate::policy::fleet::MatchKey;

/// The version of the JSON form.
pub const FORMAT_VERSION: u32 = 1;

/// What would be done for all customers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The version of this form.
    pub format_version: u32,
    /// Over the customers' digests.
    pub digest: Digest,
    /// The tree's revision; not part of the digest.
    #[schemars(with = "String")]
    pub revision: Text,
    /// Whether ids stand in place of names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
    /// The revision that this is compared with: then only what differs is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub against: Option<Text>,
    /// Over all customers.
    pub summary: Summary,
    /// Sorted by name.
    pub customers: Vec<CustomerPlan>,
}

/// What would be done for one customer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerPlan {
    /// The customer's name.
    #[schemars(with = "String")]
    pub name: Text,
    /// What the plan can be relied upon for.
    pub state: CustomerState,
    /// Over the operations, without times.
    pub digest: Digest,
    /// Over the held removals alone, while there are any: what somebody approves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Digest>,
    /// The register's revision that the plan was computed from.
    pub register_revision: u64,
    /// Counts.
    pub summary: Summary,
    /// Sorted by name, then id.
    pub operations: Vec<Operation>,
    /// In a comparison: what the other revision would do, and this one does not. Sorted likewise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_longer: Vec<Operation>,
    /// Known accounts that an unclear record or match leaves as they are.
    pub kept: Vec<Kept>,
    /// Licensed people of the tenant whom no scope holds.
    pub licensed_outside_scope: Vec<TenantUserView>,
    /// What somebody should know about the customer.
    pub findings: Vec<Finding>,
    /// Candidates that are not in the desired set, and why.
    pub not_imported: Vec<NotImported>,
    /// Contacts and password entries that would be made in documentation systems, where `createMissing` is on. Not part of what
    /// the digest covers: documentation decides nothing about accounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_contacts: Vec<MissingContact>,
    /// What applying the plan writes besides the operations.
    #[serde(skip)]
    pub consequences: Consequences,
}

/// A contact or password entry that would be made in a documentation system, as no other fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MissingContact {
    /// The connection of the operator's file.
    #[schemars(with = "String")]
    pub system: Text,
    /// What would be made.
    pub kind: ContactKind,
    /// The account's type.
    pub account_type: AccountType,
    /// The account's id.
    pub id: Guid,
    /// The account's name; `None` where names are left out.
    #[schemars(with = "Option<String>")]
    pub account: Option<Text>,
    /// The address that a contact would have; likewise.
    #[schemars(with = "Option<String>")]
    pub address: Option<Text>,
    /// The username that a password entry would have; likewise.
    #[schemars(with = "Option<String>")]
    pub username: Option<Text>,
}

/// What applying a plan writes besides its operations; not part of the public form.
#[derive(Debug, Clone, Default)]
pub struct Consequences {
    /// The pins as they are from then on.
    pub pins: Pins,
    /// The holds as they are from then on.
    pub holds: Vec<Hold>,
    /// Who approved what by command; what is approved and not here the customer's file approves.
    pub approved_by: BTreeMap<Digest, Text>,
    /// Whether the customer is suspended: then nothing of the plan is written.
    pub suspended: bool,
    /// What is wrong in the documents that apply, each with its place.
    pub invalid: Vec<String>,
    /// Who suspended it by command, if anybody did.
    pub suspension: Option<Suspension>,
    /// What `source-shrunk` measures by next time; `None` where removals were held or a reading
    /// was not complete.
    pub measures: Option<Measures>,
    /// What a provider bills from; `None` where not everything was read.
    pub reports: Option<Reports>,
}

/// What a customer's plan can be relied upon for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CustomerState {
    /// Everything was read and nothing is held.
    Ready,
    /// Writing is paused; the plan shows what would be done.
    Suspended,
    /// A guard keeps something back.
    Held,
    /// A source could not be read whole: nothing is planned, or nothing for one account type.
    Unreadable,
    /// A document that applies is broken: nothing is planned for at least one account type.
    Invalid,
    /// A linked import without both sides connected: nothing is planned.
    NotReady,
}

/// Counts of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Summary {
    /// Accounts to add, returns included.
    pub add: u64,
    /// Accounts to update.
    pub update: u64,
    /// Accounts to remove, now or after their grace.
    pub remove: u64,
    /// Removals that a guard keeps back.
    pub hold: u64,
    /// Accounts that stay as they are.
    pub unchanged: u64,
}

/// One thing to do to one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What to do.
    pub action: Action,
    /// Who it is.
    pub key: AccountKey,
    /// Which directory it came from.
    pub directory: Option<Text>,
    /// The account as it is afterwards; for a removal as it was.
    pub profile: Profile,
    /// The policy that decided.
    pub policy: Text,
    /// The key that tied account and tenant user together, where a key did just now.
    pub matched_by: Option<MatchKey>,
    /// What an update changes.
    pub changes: Vec<FieldChange>,
    /// Why an account goes.
    pub reason: Option<Verdict>,
    /// The guard that keeps a removal back.
    pub held_by: Option<FindingCode>,
    /// When a pending account is removed; never part of a digest.
    pub until: Option<Timestamp>,
    /// Whether this removal was held and a person approved it.
    pub approved: bool,
}

/// What to do to an account. The order is the order of application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Import it.
    Add,
    /// Bring the same account back from pending or removed.
    Return,
    /// Change fields, or orphan it.
    Update,
    /// Let its grace begin.
    Pend,
    /// Remove it.
    Remove,
    /// Do nothing, because a guard keeps the removal back.
    Hold,
}

/// One field of an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldChange {
    /// The field, as the account's JSON calls it; `state` for an account that is orphaned.
    pub field: &'static str,
    /// Its value in the register.
    #[schemars(with = "Option<String>")]
    pub before: Option<Text>,
    /// Its value in the source.
    #[schemars(with = "Option<String>")]
    pub after: Option<Text>,
}

/// A known account that stays as it is, because its record or match is unclear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Why.
    pub verdict: Verdict,
    /// In which role.
    pub account_type: AccountType,
    /// The account.
    pub account: AccountView,
    /// Everybody it could have been, with the attribute each matched by.
    pub candidates: Vec<String>,
}

/// A candidate that is not in the desired set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotImported {
    /// Why.
    pub verdict: Verdict,
    /// In which role.
    pub account_type: AccountType,
    /// The candidate.
    pub account: AccountView,
    /// What the verdict was decided from, for people.
    pub evidence: String,
    /// Everybody it could have been, with the attribute each matched by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

/// An account as every output shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountView {
    /// objectGUID; null for an account of a tenant alone, and for a record without one.
    pub directory_id: Option<Guid>,
    /// The tenant user it is linked to.
    pub tenant_user_id: Option<Guid>,
    /// sAMAccountName.
    #[schemars(with = "String")]
    pub sam_account_name: Text,
    /// userPrincipalName.
    #[schemars(with = "Option<String>")]
    pub user_principal_name: Option<Text>,
    /// displayName.
    #[schemars(with = "String")]
    pub display_name: Text,
    /// mail.
    #[schemars(with = "Option<String>")]
    pub email: Option<Text>,
    /// mobile.
    #[schemars(with = "Option<String>")]
    pub mobile_phone: Option<Text>,
    /// `activeDirectory`, `microsoft365` or both.
    pub sources: Vec<&'static str>,
    /// Whether both share a password.
    pub password_sync: bool,
}

/// A tenant user as reports show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantUserView {
    /// The id.
    pub tenant_user_id: Guid,
    /// userPrincipalName.
    #[schemars(with = "String")]
    pub user_principal_name: Text,
    /// displayName.
    #[schemars(with = "Option<String>")]
    pub display_name: Option<Text>,
    /// The part numbers of licences that count, or the SKU ids where the names are not known.
    #[schemars(with = "Vec<String>")]
    pub licenses: Vec<Text>,
}

/// Something that somebody should know about a customer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Finding {
    /// What kind.
    pub code: FindingCode,
    /// How bad.
    pub severity: Severity,
    /// What it is about: a DN, a file, a source.
    pub subject: String,
    /// What happened and what to do, for people.
    pub message: String,
}

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingCode {
    /// A selected group has a group as member, whose members are not imported.
    NestedGroupIgnored,
    /// A built-in or default group is selected.
    BuiltinGroupRefused,
    /// A selected group lies in the Builtin or Users container.
    GroupInUnsupportedContainer,
    /// A selected OU or group does not exist.
    ScopeNotFound,
    /// Several groups have the selected name.
    ScopeAmbiguous,
    /// A selected OU or group has another name now.
    ScopeRenamed,
    /// Both account types of a customer select the same OU or group, or one inside another.
    ScopeOverlap,
    /// Members of a selected group could not be read.
    MemberUnreadable,
    /// The directory did not answer.
    DirectoryUnavailable,
    /// The directory's answer does not prove itself whole.
    DirectoryIncomplete,
    /// The tenant did not answer.
    TenantUnavailable,
    /// The tenant did not consent to the application.
    TenantUnconsented,
    /// The tenant's answer does not prove itself whole.
    TenantIncomplete,
    /// Nobody is desired although somebody is registered.
    EmptyDesiredSet,
    /// More removals than the policy allows.
    RemovalLimit,
    /// More removals over all customers than the operator allows.
    FleetRemovalLimit,
    /// Too many users vanished from a reading.
    SourceShrunk,
    /// A domain or tenant is another one than before.
    SourceChanged,
    /// An account goes and comes back within few turns.
    Flapping,
    /// An approval was used up.
    ApprovalUsed,
    /// An approval fits nothing that is held.
    ApprovalUnknown,
    /// An exclusion names an OU, a group or an account that does not exist.
    ExcludeNotFound,
    /// An entry of `protect` or `matches` fits nobody.
    AccountNotFound,
    /// A contact that `matches` chooses in a documentation system cannot be taken.
    ChoiceNotFollowed,
    /// A policy names a SKU that the tenant does not own.
    SkuNotOwned,
    /// Accounts that no policy answers for.
    Orphaned,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Something is kept back or could not be done.
    Error,
    /// Somebody should look.
    Warning,
    /// Good to know.
    Info,
}

impl FindingCode {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::NestedGroupIgnored,
        Self::BuiltinGroupRefused,
        Self::GroupInUnsupportedContainer,
        Self::ScopeNotFound,
        Self::ScopeAmbiguous,
        Self::ScopeRenamed,
        Self::ScopeOverlap,
        Self::MemberUnreadable,
        Self::DirectoryUnavailable,
        Self::DirectoryIncomplete,
        Self::TenantUnavailable,
        Self::TenantUnconsented,
        Self::TenantIncomplete,
        Self::EmptyDesiredSet,
        Self::RemovalLimit,
        Self::FleetRemovalLimit,
        Self::SourceShrunk,
        Self::SourceChanged,
        Self::Flapping,
        Self::ApprovalUsed,
        Self::ApprovalUnknown,
        Self::ExcludeNotFound,
        Self::AccountNotFound,
        Self::ChoiceNotFollowed,
        Self::SkuNotOwned,
        Self::Orphaned,
    ];

    /// Returns the code that plans, the API and the register use.
    pub fn code(self) -> &'static str {
        match self {
            Self::NestedGroupIgnored => "nested-group-ignored",
            Self::BuiltinGroupRefused => "builtin-group-refused",
            Self::GroupInUnsupportedContainer => "group-in-unsupported-container",
            Self::ScopeNotFound => "scope-not-found",
            Self::ScopeAmbiguous => "scope-ambiguous",
            Self::ScopeRenamed => "scope-renamed",
            Self::ScopeOverlap => "scope-overlap",
            Self::MemberUnreadable => "member-unreadable",
            Self::DirectoryUnavailable => "directory-unavailable",
            Self::DirectoryIncomplete => "directory-incomplete",
            Self::TenantUnavailable => "tenant-unavailable",
            Self::TenantUnconsented => "tenant-unconsented",
            Self::TenantIncomplete => "tenant-incomplete",
            Self::EmptyDesiredSet => "empty-desired-set",
            Self::RemovalLimit => "removal-limit",
            Self::FleetRemovalLimit => "fleet-removal-limit",
            Self::SourceShrunk => "source-shrunk",
            Self::SourceChanged => "source-changed",
            Self::Flapping => "flapping",
            Self::ApprovalUsed => "approval-used",
            Self::ApprovalUnknown => "approval-unknown",
            Self::ExcludeNotFound => "exclude-not-found",
            Self::AccountNotFound => "account-not-found",
            Self::ChoiceNotFollowed => "choice-not-followed",
            Self::SkuNotOwned => "sku-not-owned",
            Self::Orphaned => "orphaned",
        }
    }
}

impl CustomerState {
    /// Returns the word of the contract.
    pub fn code(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Suspended => "suspended",
            Self::Held => "held",
            Self::Unreadable => "unreadable",
            Self::Invalid => "invalid",
            Self::NotReady => "notReady",
        }
    }
}

impl Action {
    /// Returns the word of the contract.
    pub fn code(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Return => "return",
            Self::Update => "update",
            Self::Pend => "pend",
            Self::Remove => "remove",
            Self::Hold => "hold",
        }
    }
}

impl CustomerPlan {
    /// Returns the operations in the order of application: adds come before removals.
    pub fn in_order(&self) -> Vec<&Operation> {
        let mut operations: Vec<&Operation> = self.operations.iter().collect();
        operations.sort_by_key(|operation| operation.action);
        operations
    }

    /// Returns whom applying the plan would remove, now or after a grace; nobody who is held.
    pub fn removals(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().filter(|operation| matches!(operation.action, Action::Pend | Action::Remove))
    }
}

impl Operation {
    /// Returns the account as every output shows it.
    pub fn account(&self) -> AccountView {
        AccountView::of(&self.key, &self.profile)
    }
}

impl AccountView {
    /// Shows an account.
    pub fn of(key: &AccountKey, profile: &Profile) -> Self {
        Self {
            directory_id: (key.source == Source::Directory).then_some(key.id),
            tenant_user_id: profile.tenant_user_id,
            sam_account_name: profile.sam_account_name.clone(),
            user_principal_name: profile.user_principal_name.clone(),
            display_name: profile.display_name.clone(),
            email: profile.email.clone(),
            mobile_phone: profile.mobile_phone.clone(),
            sources: sources(key.source, profile.tenant_user_id.is_some()),
            password_sync: profile.password_sync,
        }
    }
}

/// An operation as it is written.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OperationForm<'a> {
    action: Action,
    account_type: AccountType,
    account: AccountView,
    #[schemars(with = "String")]
    policy: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    matched_by: Option<MatchKey>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schemars(with = "Vec<FieldChange>")]
    changes: &'a [FieldChange],
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<FindingCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        OperationForm {
            action: self.action,
            account_type: self.key.account_type,
            account: self.account(),
            policy: &self.policy,
            matched_by: self.matched_by,
            changes: &self.changes,
            reason: self.reason,
            held_by: self.held_by,
            until: self.until,
        }
        .serialize(serializer)
    }
}

impl JsonSchema for Operation {
    fn schema_name() -> Cow<'static, str> {
        "Operation".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        OperationForm::json_schema(generator)
    }
}

impl Summary {
    /// Adds another summary's counts.
    pub fn add(&mut self, other: &Self) {
        self.add += other.add;
        self.update += other.update;
        self.remove += other.remove;
        self.hold += other.hold;
        self.unchanged += other.unchanged;
    }

    /// Counts one operation.
    pub fn count(&mut self, action: Action) {
        let counter = match action {
            Action::Add | Action::Return => &mut self.add,
            Action::Update => &mut self.update,
            Action::Pend | Action::Remove => &mut self.remove,
            Action::Hold => &mut self.hold,
        };
        *counter += 1;
    }

    /// Whether anything would be done or is held.
    pub fn has_changes(&self) -> bool {
        self.add + self.update + self.remove + self.hold > 0
    }
}
