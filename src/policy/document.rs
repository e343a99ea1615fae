//! Documents as written: what every kind has, and the whole of each.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::model::account::AccountType;
use crate::policy::document_customer::CustomerSpec;
use crate::policy::document_import::ImportSpec;
use crate::policy::document_options::OptionsSpec;
use crate::policy::fleet::{MatchKey, SecretRef};
use crate::policy::read::{Map, Placed, Read, record, words, wrong_word};
use crate::policy::source::Ledger;
use crate::policy::value::{AbsolutePath, EnvName, Name, Word};
use crate::policy::yaml::Node;

/// The version that every document names.
pub const API_VERSION: &str = "intake.dev/v1";

words! {
    /// What a document describes.
    pub enum Kind = "kind";
    /// An organisation: its directories and its tenant.
    "Customer" => Customer,
    /// Who is imported.
    "ImportPolicy" => ImportPolicy,
    /// What an import does beyond importing.
    "ImportOptions" => ImportOptions,
}

impl Kind {
    /// Returns the word of the contract.
    pub fn code(self) -> &'static str {
        match self {
            Self::Customer => "Customer",
            Self::ImportPolicy => "ImportPolicy",
            Self::ImportOptions => "ImportOptions",
        }
    }
}

record! {
    /// What the object is called.
    pub struct Metadata = "`metadata`";
    /// The object's name: small letters, digits and single hyphens. Unique among the objects of its kind.
    "name" => name: Placed<Name>,
    /// Free words about the object; policies select customers by them. For example `tier: standard`.
    "labels" => labels: Option<Map<Word>>,
}

macro_rules! document {
    ($(#[$meta:meta])* $name:ident, $kind:ident, $code:literal, $spec:ty) => {
        /// Only ever one word.
        #[derive(Debug, Clone)]
        pub struct $kind;

        impl JsonSchema for $kind {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "const": $code})
            }
        }

        $(#[$meta])*
        #[derive(Debug, Clone, JsonSchema)]
        #[schemars(deny_unknown_fields, rename_all = "camelCase")]
        pub struct $name {
            /// The version of the format: `intake.dev/v1`.
            pub api_version: ApiVersion,
            /// What the document describes.
            pub kind: $kind,
            /// What the object is called.
            pub metadata: Metadata,
            /// What it says.
            pub spec: $spec,
        }
    };
}

/// The version of the format.
#[derive(Debug, Clone)]
pub struct ApiVersion;

impl JsonSchema for ApiVersion {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ApiVersion".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "const": API_VERSION})
    }
}

document!(
    /// An organisation served by a provider: its directories, its Microsoft 365 tenant, its
    /// documentation systems.
    CustomerDocument, CustomerKind, "Customer", CustomerSpec
);
document!(
    /// Who is imported, for every customer that it names or matches.
    ImportPolicyDocument, ImportPolicyKind, "ImportPolicy", ImportSpec
);
document!(
    /// What an import does beyond importing, for every customer that it names or matches.
    ImportOptionsDocument, ImportOptionsKind, "ImportOptions", OptionsSpec
);

record! {
    /// The customers that a policy is for. Either way suffices; without any it is for nobody.
    pub struct Customers = "`customers`";
    /// By name.
    "names" => names: Option<Vec<Placed<Name>>>,
    /// By labels: all of those given must be there.
    "matchLabels" => match_labels: Option<Map<Word>>,
}

record! {
    /// Where a secret is kept. A tree never holds the secret itself.
    pub struct Secret = "a secret" exactly_one &["env", "file"];
    /// The environment variable that holds it, for example `INTAKE_SECRET_CONTOSO__LDAP`.
    "env" => env: Option<EnvName>,
    /// The file that holds it, for example `/run/secrets/contoso/graph`. The only path that is absolute.
    "file" => file: Option<AbsolutePath>,
}

impl Secret {
    /// Returns the reference. `None` if it was broken, which has been reported.
    pub fn reference(&self) -> Option<SecretRef> {
        match (&self.env, &self.file) {
            (Some(name), None) => Some(SecretRef::Env(name.0.clone())),
            (None, Some(path)) => Some(SecretRef::File(path.0.clone())),
            _ => None,
        }
    }
}

impl Read for AccountType {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        match node.text() {
            Some("EndUser") => Some(Self::EndUser),
            Some("Administrator") => Some(Self::Administrator),
            _ => {
                wrong_word(node, "account type", &["EndUser", "Administrator"], ledger);
                None
            }
        }
    }
}

impl Read for MatchKey {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        const WORDS: &[&str] = &["immutableId", "securityIdentifier", "userPrincipalName", "mail"];
        match node.text() {
            Some("immutableId") => Some(Self::ImmutableId),
            Some("securityIdentifier") => Some(Self::SecurityIdentifier),
            Some("userPrincipalName") => Some(Self::UserPrincipalName),
            Some("mail") => Some(Self::Mail),
            _ => {
                wrong_word(node, "match key", WORDS, ledger);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_words_of_the_schema() {
        for (kind, word) in [Kind::Customer, Kind::ImportPolicy, Kind::ImportOptions].iter().zip(Kind::WORDS)
        {
            assert_eq!(kind.code(), *word);
        }
    }
}
