//! Documents as written: what every kind has, and the whole of each.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::policy::document_customer::CustomerSpec;
use crate::policy::document_import::ImportSpec;
use crate::policy::document_options::OptionsSpec;
use crate::policy::read::{Map, Placed, record, words};
use crate::policy::value::{Name, Word};

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
