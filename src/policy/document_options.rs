//! `ImportOptions` as written: what an import does beyond importing.

use crate::model::account::AccountType;
use crate::policy::document_part::Customers;
use crate::policy::read::{Placed, record};
use crate::policy::value::{Duration, Name};

record! {
    /// What an import does beyond importing.
    pub struct OptionsSpec = "`spec` of an ImportOptions";
    /// For which accounts.
    "accountType" => account_type: Placed<AccountType>,
    /// Whether the options are for every customer that has no others of this account type. At most one may say so.
    #[schemars(extend("default" = false))]
    "default" => default: Option<Placed<bool>>,
    /// The customers that the options are for.
    "customers" => customers: Option<Customers>,
    ..choices: Choices,
}

record! {
    /// The fields that options and a customer's own options share.
    pub struct Choices = "options";
    /// How often a customer is reconciled. `1m` at least.
    #[schemars(extend("default" = "3h"))]
    "interval" => interval: Option<Placed<Duration>>,
    /// What is done with documentation systems.
    "documentation" => documentation: Option<DocumentationChoices>,
    /// Names of targets in the operator's file that accounts are published to.
    "publish" => publish: Option<Vec<Placed<Name>>>,
}

record! {
    /// What is done with documentation systems.
    pub struct DocumentationChoices = "`documentation`";
    /// Whether accounts are matched with the people documented there.
    #[schemars(extend("default" = true))]
    "match" => matching: Option<bool>,
    /// Whether missing people are created there.
    #[schemars(extend("default" = false))]
    "createMissing" => create_missing: Option<bool>,
}
