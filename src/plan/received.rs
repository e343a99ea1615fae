//! A plan as a controller sends it, read back: it is shown, compared and saved as one that was made here.

use serde::{Deserialize, Deserializer};

use jiff::Timestamp;

use crate::model::account::{AccountKey, AccountType, Profile, Source, Verdict, sources};
use crate::model::digest::{Digest, Digester};
use crate::model::guid::Guid;
use crate::model::text::Text;
use crate::plan::outcome::{
    AccountView, Action, Consequences, CustomerPlan, CustomerState, FORMAT_VERSION, FieldChange, Finding,
    FindingCode, Kept, NotImported, Operation, Plan, Severity, Summary, TenantUserView,
};
use crate::policy::fleet::MatchKey;

/// The fields that an update may change.
const FIELDS: [&str; 10] = [
    "state",
    "displayName",
    "samAccountName",
    "userPrincipalName",
    "email",
    "mobilePhone",
    "tenantUserId",
    "passwordSync",
    "policy",
    "directory",
];

/// A plan as its JSON form has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedPlan {
    format_version: u32,
    digest: Digest,
    revision: Text,
    customers: Vec<ReceivedCustomer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceivedCustomer {
    name: Text,
    #[serde(deserialize_with = "state")]
    state: CustomerState,
    digest: Digest,
    #[serde(default)]
    approval: Option<Digest>,
    register_revision: u64,
    summary: ReceivedSummary,
    operations: Vec<ReceivedOperation>,
    kept: Vec<ReceivedKept>,
    licensed_outside_scope: Vec<ReceivedUser>,
    findings: Vec<ReceivedFinding>,
    not_imported: Vec<ReceivedNotImported>,
}

#[derive(Debug, Deserialize)]
struct ReceivedSummary {
    add: u64,
    update: u64,
    remove: u64,
    hold: u64,
    unchanged: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceivedOperation {
    #[serde(deserialize_with = "action")]
    action: Action,
    account_type: AccountType,
    account: ReceivedAccount,
    policy: Text,
    #[serde(default)]
    matched_by: Option<MatchKey>,
    #[serde(default)]
    changes: Vec<ReceivedChange>,
    #[serde(default)]
    reason: Option<Verdict>,
    #[serde(default, deserialize_with = "some_code")]
    held_by: Option<FindingCode>,
    #[serde(default)]
    until: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceivedAccount {
    directory_id: Option<Guid>,
    tenant_user_id: Option<Guid>,
    sam_account_name: Text,
    user_principal_name: Option<Text>,
    display_name: Text,
    email: Option<Text>,
    mobile_phone: Option<Text>,
    sources: Vec<String>,
    password_sync: bool,
}

#[derive(Debug, Deserialize)]
struct ReceivedChange {
    field: String,
    before: Option<Text>,
    after: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceivedKept {
    verdict: Verdict,
    account_type: AccountType,
    account: ReceivedAccount,
    candidates: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceivedUser {
    tenant_user_id: Guid,
    user_principal_name: Text,
    display_name: Option<Text>,
    licenses: Vec<Text>,
}

#[derive(Debug, Deserialize)]
struct ReceivedFinding {
    #[serde(deserialize_with = "code")]
    code: FindingCode,
    #[serde(deserialize_with = "severity")]
    severity: Severity,
    subject: String,
    message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceivedNotImported {
    verdict: Verdict,
    account_type: AccountType,
    account: ReceivedAccount,
    evidence: String,
    #[serde(default)]
    candidates: Vec<String>,
}

impl ReceivedPlan {
    /// Returns the plan. What only whoever applies it needs is not in it.
    ///
    /// # Errors
    /// If it is of another version, or does not fit together: a sentence for people.
    pub fn plan(self) -> Result<Plan, String> {
        if self.format_version != FORMAT_VERSION {
            return Err(format!("its plan has the form {}, and not {FORMAT_VERSION}", self.format_version));
        }
        let customers: Vec<CustomerPlan> =
            self.customers.into_iter().map(ReceivedCustomer::plan).collect::<Result<_, _>>()?;
        let mut summary = Summary::default();
        let mut digester = Digester::new("intake plan 1");
        for customer in &customers {
            summary.add(&customer.summary);
            digester.field(&customer.name).field(customer.digest.as_bytes());
        }
        if digester.finish() != self.digest {
            return Err("the digest of its plan is not that of its customers".to_owned());
        }
        Ok(Plan {
            format_version: FORMAT_VERSION,
            digest: self.digest,
            revision: self.revision,
            redacted: false,
            against: None,
            summary,
            customers,
        })
    }
}

impl ReceivedCustomer {
    fn plan(self) -> Result<CustomerPlan, String> {
        let ReceivedSummary { add, update, remove, hold, unchanged } = self.summary;
        Ok(CustomerPlan {
            name: self.name,
            state: self.state,
            digest: self.digest,
            approval: self.approval,
            register_revision: self.register_revision,
            summary: Summary { add, update, remove, hold, unchanged },
            operations: self
                .operations
                .into_iter()
                .map(ReceivedOperation::operation)
                .collect::<Result<_, _>>()?,
            no_longer: Vec::new(),
            missing_contacts: Vec::new(),
            kept: self.kept.into_iter().map(ReceivedKept::kept).collect(),
            licensed_outside_scope: self
                .licensed_outside_scope
                .into_iter()
                .map(|user| TenantUserView {
                    tenant_user_id: user.tenant_user_id,
                    user_principal_name: user.user_principal_name,
                    display_name: user.display_name,
                    licenses: user.licenses,
                })
                .collect(),
            findings: self
                .findings
                .into_iter()
                .map(|finding| Finding {
                    code: finding.code,
                    severity: finding.severity,
                    subject: finding.subject,
                    message: finding.message,
                })
                .collect(),
            not_imported: self.not_imported.into_iter().map(ReceivedNotImported::not_imported).collect(),
            consequences: Consequences::default(),
        })
    }
}

impl ReceivedOperation {
    fn operation(self) -> Result<Operation, String> {
        let (source, id) = match (self.account.directory_id, self.account.tenant_user_id) {
            (Some(id), _) => (Source::Directory, id),
            (None, Some(id)) => (Source::Tenant, id),
            (None, None) => return Err("one of its operations is about nobody".to_owned()),
        };
        let account = self.account;
        Ok(Operation {
            action: self.action,
            key: AccountKey { account_type: self.account_type, source, id },
            directory: None,
            profile: Profile {
                sam_account_name: account.sam_account_name,
                user_principal_name: account.user_principal_name,
                display_name: account.display_name,
                email: account.email,
                mobile_phone: account.mobile_phone,
                tenant_user_id: account.tenant_user_id,
                password_sync: account.password_sync,
            },
            policy: self.policy,
            matched_by: self.matched_by,
            changes: self.changes.into_iter().map(ReceivedChange::change).collect::<Result<_, _>>()?,
            reason: self.reason,
            held_by: self.held_by,
            until: self.until,
            approved: false,
        })
    }
}

impl ReceivedAccount {
    fn view(self) -> AccountView {
        // Of a record without an id only what it says of itself tells where it came from.
        let source = match self.sources.iter().any(|source| source == "activeDirectory") {
            true => Source::Directory,
            false => Source::Tenant,
        };
        let linked = self.sources.iter().any(|source| source == "microsoft365");
        AccountView {
            directory_id: self.directory_id,
            tenant_user_id: self.tenant_user_id,
            sam_account_name: self.sam_account_name,
            user_principal_name: self.user_principal_name,
            display_name: self.display_name,
            email: self.email,
            mobile_phone: self.mobile_phone,
            sources: sources(source, linked),
            password_sync: self.password_sync,
        }
    }
}

impl ReceivedChange {
    fn change(self) -> Result<FieldChange, String> {
        let field = FIELDS.into_iter().find(|known| *known == self.field);
        let field = field.ok_or("one of its updates changes a field that no account has")?;
        Ok(FieldChange { field, before: self.before, after: self.after })
    }
}

impl ReceivedKept {
    fn kept(self) -> Kept {
        let Self { verdict, account_type, account, candidates } = self;
        Kept { verdict, account_type, account: account.view(), candidates }
    }
}

impl ReceivedNotImported {
    fn not_imported(self) -> NotImported {
        let Self { verdict, account_type, account, evidence, candidates } = self;
        NotImported { verdict, account_type, account: account.view(), evidence, candidates }
    }
}

/// Reads a word that has a code.
fn word<'de, D: Deserializer<'de>, T: Copy>(
    deserializer: D,
    all: &[T],
    code: fn(T) -> &'static str,
) -> Result<T, D::Error> {
    let written = String::deserialize(deserializer)?;
    let found = all.iter().copied().find(|one| code(*one) == written);
    found.ok_or_else(|| serde::de::Error::custom("a word that this version does not know"))
}

fn state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CustomerState, D::Error> {
    use CustomerState::{Held, Invalid, NotReady, Ready, Suspended, Unreadable};
    word(deserializer, &[Ready, Suspended, Held, Unreadable, Invalid, NotReady], CustomerState::code)
}

fn action<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Action, D::Error> {
    use Action::{Add, Hold, Pend, Remove, Return, Update};
    word(deserializer, &[Add, Return, Update, Pend, Remove, Hold], Action::code)
}

fn severity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Severity, D::Error> {
    use Severity::{Error, Info, Warning};
    let code = |severity| match severity {
        Error => "error",
        Warning => "warning",
        Info => "info",
    };
    word(deserializer, &[Error, Warning, Info], code)
}

fn code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FindingCode, D::Error> {
    word(deserializer, &FindingCode::ALL, FindingCode::code)
}

fn some_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FindingCode>, D::Error> {
    code(deserializer).map(Some)
}
