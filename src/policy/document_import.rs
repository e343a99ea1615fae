//! `ImportPolicy` as written: who is imported, and under which limits.

use crate::model::account::AccountType;
use crate::model::dn::Dn;
use crate::policy::document_part::Customers;
use crate::policy::fleet::MatchKey;
use crate::policy::read::{Given, Many, Placed, Whole, record};
use crate::policy::value::{Accounts, Day, Duration, EntraGroup, Group, Name, Ou, Rdn, Sku, Word};

record! {
    /// Who is imported.
    #[schemars(extend("required" = ["accountType", "selection"]))]
    pub struct ImportSpec = "`spec` of an ImportPolicy";
    /// In which role the accounts are managed.
    "accountType" => account_type: Placed<AccountType>,
    /// Whether the policy is for every customer that has no other of this account type. At most one policy may say so.
    #[schemars(extend("default" = false))]
    "default" => default: Option<Placed<bool>>,
    /// The customers that the policy is for.
    "customers" => customers: Option<Customers>,
    ..rules: Rules,
}

record! {
    /// A customer's own import: alone with its own `selection`, or with `policy` and what differs from it.
    #[schemars(extend("anyOf" = [{"required": ["policy"]}, {"required": ["selection"]}]))]
    pub struct Block = "a customer's own import";
    /// The policy to start from. Each field given here replaces the policy's as a whole.
    "policy" => policy: Option<Placed<Name>>,
    ..rules: Rules,
}

record! {
    /// The fields that a policy and a customer's own import share.
    pub struct Rules = "an import";
    /// What the policy is for, for people.
    "description" => description: Option<String>,
    /// Who is imported: by OUs or groups of the directory; of a customer without one, by groups or licences of the tenant.
    "selection" => selection: Option<Given<Selection>>,
    /// Who is left out although selected. Wins over `selection`.
    "exclude" => exclude: Option<Vec<Exclude>>,
    /// Whether accounts disabled in the directory are imported too. Blocked sign-in to the tenant is another matter, and always counts.
    #[schemars(extend("default" = false))]
    "includeDisabled" => include_disabled: Option<bool>,
    /// Whether members of privileged groups are left out, also nested ones. For EndUser alone; true by default.
    "excludePrivileged" => exclude_privileged: Option<Placed<bool>>,
    /// Privileged groups besides the built-in ones as Domain Admins.
    "privilegedGroups" => privileged_groups: Option<Vec<Group>>,
    /// Containers directly under the domain from which nobody is imported. A list given here replaces the default list.
    #[schemars(extend("default" = UNSUPPORTED_CONTAINERS))]
    "unsupportedContainers" => unsupported_containers: Option<Vec<Rdn>>,
    /// Whether an account must match a licensed tenant user (true), or the directory alone decides (false). By default true for EndUser and false for Administrator.
    "passwordSync" => password_sync: Option<bool>,
    /// Which assigned licences count. By default any.
    "licenses" => licenses: Option<Licenses>,
    /// How accounts and tenant users are compared.
    "match" => matching: Option<Match>,
    /// Limits on removals: what goes beyond them is held until somebody approves it.
    "removal" => removal: Option<Removal>,
}

/// The containers that nobody is imported from, unless a policy lists others.
pub const UNSUPPORTED_CONTAINERS: [&str; 12] = [
    "CN=Builtin",
    "CN=Users",
    "CN=Managed Service Accounts",
    "CN=ForeignSecurityPrincipals",
    "CN=Computers",
    "OU=Domain Controllers",
    "CN=System",
    "CN=Program Data",
    "CN=LostAndFound",
    "CN=NTDS Quotas",
    "CN=TPM Devices",
    "CN=Keys",
];

/// Returns [`UNSUPPORTED_CONTAINERS`] as names.
pub fn unsupported_containers() -> Vec<Dn> {
    UNSUPPORTED_CONTAINERS.iter().filter_map(|rdn| Dn::parse(rdn).ok()).collect()
}

record! {
    /// Who is imported, in one of these ways.
    pub struct Selection = "`selection`" exactly_one &["organizationalUnits", "securityGroups", "entraGroups", "licensed"];
    /// Everybody in these OUs and below them. With a DC component absolute, else relative to the base DN.
    "organizationalUnits" => organizational_units: Option<Many<Placed<Ou>>>,
    /// The direct members of these groups; members of groups inside them are not imported.
    "securityGroups" => security_groups: Option<Many<Placed<Group>>>,
    /// The direct members of these security groups of the tenant, for customers without a directory; members of groups inside them are not imported.
    "entraGroups" => entra_groups: Option<Many<Placed<EntraGroup>>>,
    /// Everybody of the tenant who holds a licence that counts, guests aside, for customers without a directory.
    #[schemars(extend("const" = true))]
    "licensed" => licensed: Option<Placed<bool>>,
    /// More of the same kind, skipped where a customer never had them: `OU=Office` in a policy for many customers.
    "optional" => optional: Option<Vec<Placed<Word>>>,
}

record! {
    /// Somebody who is left out.
    pub struct Exclude = "an exclusion" exactly_one &["account", "organizationalUnit", "securityGroup"];
    /// An account, for example `svc-*`.
    "account" => account: Option<Accounts>,
    /// Everybody in an OU and below it.
    "organizationalUnit" => organizational_unit: Option<Placed<Ou>>,
    /// Everybody in a group, also by nesting or as primary group.
    "securityGroup" => security_group: Option<Placed<Group>>,
    /// Why, for people.
    "reason" => reason: Option<String>,
    /// The last day on which it applies, in UTC, for example `2027-01-31`.
    "until" => until: Option<Day>,
}

record! {
    /// Which assigned licences count.
    pub struct Licenses = "`licenses`";
    /// If given, one of these must be assigned.
    "anyOf" => any_of: Option<Vec<Sku>>,
    /// These never count, for example `FLOW_FREE`.
    "ignore" => ignore: Option<Vec<Sku>>,
    /// Service plans that must be enabled in a licence that counts, for example `EXCHANGE_S_ENTERPRISE`.
    "requirePlan" => require_plan: Option<Vec<Sku>>,
}

record! {
    /// How accounts and tenant users are compared.
    pub struct Match = "`match`";
    /// By what, strongest first.
    #[schemars(extend("default" = ["immutableId", "securityIdentifier", "userPrincipalName", "mail"]))]
    "keys" => keys: Option<Many<Placed<MatchKey>>>,
}

record! {
    /// Limits on removals.
    pub struct Removal = "`removal`";
    /// How long an account stays imported after it left the scope.
    #[schemars(extend("default" = "0s"))]
    "grace" => grace: Option<Duration>,
    /// Over which time removals are counted.
    #[schemars(extend("default" = "24h"))]
    "window" => window: Option<Placed<Duration>>,
    /// At most this share of a customer's accounts of this type, in percent. The smaller of this and `maxCount` wins.
    #[schemars(extend("default" = 10))]
    "maxPercent" => max_percent: Option<Placed<Whole<0, 100>>>,
    /// At most this many accounts.
    #[schemars(extend("default" = 25))]
    "maxCount" => max_count: Option<Placed<Whole<0, { u32::MAX }>>>,
    /// This many may always go.
    #[schemars(extend("default" = 2))]
    "minCount" => min_count: Option<Placed<Whole<0, { u32::MAX }>>>,
    /// At most this share of users may vanish from a reading before removals are held, in percent.
    #[schemars(extend("default" = 30))]
    "maxShrinkPercent" => max_shrink_percent: Option<Whole<0, 100>>,
    /// Whether everybody may go at once when nobody is left in the scope.
    #[schemars(extend("default" = false))]
    "allowEmpty" => allow_empty: Option<Placed<bool>>,
}

impl Rules {
    /// Returns these fields, and another's where these are absent: each is replaced as a whole.
    pub fn over(&self, base: &Self) -> Self {
        macro_rules! first {
            ($($field:ident),*) => {
                Self { $($field: self.$field.clone().or_else(|| base.$field.clone())),* }
            };
        }
        first!(
            description,
            selection,
            exclude,
            include_disabled,
            exclude_privileged,
            privileged_groups,
            unsupported_containers,
            password_sync,
            licenses,
            matching,
            removal
        )
    }
}
