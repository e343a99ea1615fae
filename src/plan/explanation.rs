//! An explanation of what becomes of one person. Its JSON form is a public one.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::account::{AccountType, Verdict};
use crate::model::text::Text;
use crate::plan::outcome::{AccountView, Operation};

/// Why a person is imported or not, step by step.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The customer's name.
    #[schemars(with = "String")]
    pub customer: Text,
    /// The person, as plans show an account.
    pub account: AccountView,
    /// In which role; none for somebody whom no policy selects.
    pub account_type: Option<AccountType>,
    /// The policy that answers.
    #[schemars(with = "Option<String>")]
    pub policy: Option<Text>,
    /// The first rule that applies; none where a source that would decide was not read.
    pub verdict: Option<Verdict>,
    /// The answer in a sentence.
    pub answer: String,
    /// What the plan does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Every rule, in the order in which they decide.
    pub steps: Vec<Step>,
    /// Where a person is judged several times (both account types, several policies or directories):
    /// the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_as: Vec<Explanation>,
    /// When the readings were made, where they are not of now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// What could not be read, a sentence for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

/// What one rule found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Step {
    /// Which rule.
    pub step: Rule,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether this one decided.
    pub decides: bool,
    /// What it was decided from: facts after semicolons. Inert.
    #[serde(serialize_with = "joined")]
    #[schemars(with = "String")]
    pub evidence: Vec<String>,
}

/// The rules, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// Which policies apply, and which one answers.
    Policy,
    /// Which OU or group selects the person.
    Scope,
    /// Whether the directory's record is whole.
    Record,
    /// Whether the container is one that people are imported from.
    Container,
    /// Whether the policy or the customer excludes the person.
    Exclusion,
    /// Whether the person is privileged.
    Privilege,
    /// Whether the directory account is enabled.
    State,
    /// Which tenant user it is.
    Match,
    /// Whether the tenant user is a member who may sign in.
    TenantUser,
    /// Which licences count.
    Licence,
    /// What the register holds.
    Register,
    /// What the plan does.
    Operation,
    /// What keeps it back.
    Guard,
}

/// What came of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It lets the person through.
    Passed,
    /// It rules the person out, or makes their case unclear.
    Failed,
    /// An earlier one decided, or there is nothing to judge.
    NotReached,
    /// It judges nothing and tells something.
    Info,
    /// What would decide was not read, or is not clear.
    Unknown,
    /// It keeps back what the plan would do.
    Held,
}

impl Rule {
    /// All rules, in their order.
    pub const ALL: [Self; 13] = [
        Self::Policy,
        Self::Scope,
        Self::Record,
        Self::Container,
        Self::Exclusion,
        Self::Privilege,
        Self::State,
        Self::Match,
        Self::TenantUser,
        Self::Licence,
        Self::Register,
        Self::Operation,
        Self::Guard,
    ];

    /// Returns the word that outputs use.
    pub fn code(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Scope => "scope",
            Self::Record => "record",
            Self::Container => "container",
            Self::Exclusion => "exclusion",
            Self::Privilege => "privilege",
            Self::State => "state",
            Self::Match => "match",
            Self::TenantUser => "tenantUser",
            Self::Licence => "licence",
            Self::Register => "register",
            Self::Operation => "operation",
            Self::Guard => "guard",
        }
    }

    /// Returns the rule that ends with a verdict; of somebody included the last one that lets through.
    pub fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::InvalidRecord => Self::Record,
            Verdict::NotInScope => Self::Scope,
            Verdict::UnsupportedContainer => Self::Container,
            Verdict::Excluded => Self::Exclusion,
            Verdict::PrivilegedAccount => Self::Privilege,
            Verdict::DirectoryDisabled => Self::State,
            Verdict::AmbiguousMatch | Verdict::MatchConflict | Verdict::NoTenantMatch => Self::Match,
            Verdict::Guest | Verdict::TenantDisabled => Self::TenantUser,
            Verdict::Unlicensed | Verdict::Included => Self::Licence,
        }
    }
}

fn joined<S: serde::Serializer>(facts: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&facts.join("; "))
}
