//! What a checked tree says: for every customer where its sources are and which imports apply.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use jiff::civil::Date;

use crate::model::account::AccountType;
use crate::model::contact::Shelf;
use crate::model::digest::Digest;
use crate::model::dn::Dn;
use crate::model::duration::Seconds;
use crate::model::guid::Guid;
use crate::model::text::Text;

/// A checked tree. What was broken in it is told apart, in the problems of the check.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The digest of the tree's files, or the commit that it was read from.
    pub revision: Text,
    /// The customers whose document could be read, by name.
    pub customers: BTreeMap<Text, Customer>,
    /// Whether every document told its kind and name. If not, a customer's absence proves
    /// nothing: its document may be the broken one.
    pub names_are_known: bool,
}

/// A customer and what applies to it.
#[derive(Debug, Clone)]
pub struct Customer {
    /// metadata.name.
    pub name: Text,
    /// The name for people.
    pub display_name: String,
    /// Whether writing is paused.
    pub suspend: bool,
    /// Its directories.
    pub directories: Vec<DirectorySource>,
    /// Its tenant.
    pub tenant: Option<TenantSource>,
    /// Its documentation systems.
    pub documentation: Vec<Documentation>,
    /// Directory UPN suffix to tenant UPN suffix, both folded.
    pub upn_suffixes: BTreeMap<Text, Text>,
    /// A person's choice among several candidates.
    pub matches: Vec<ChosenMatch>,
    /// Digests of held removals that may go ahead, by the customer's document.
    pub approve: BTreeSet<Digest>,
    /// Digests that somebody approves for this one run.
    pub approve_once: BTreeMap<Digest, Text>,
    /// Accounts that are never removed.
    pub protect: Vec<AccountPattern>,
    /// Which policies apply, per account type. No entry: none applies.
    pub imports: BTreeMap<AccountType, Imports>,
    /// What an import does beyond importing, per account type.
    pub options: BTreeMap<AccountType, Options>,
    /// Problems of its own document: nothing of the customer can be relied upon.
    pub invalid: Vec<String>,
    /// Where the files are that the document names, if not in the folder that everybody's are in: in a tree
    /// of commits each has a folder of its own.
    pub files: Option<PathBuf>,
}

impl Customer {
    /// Makes a customer of which only the name is known: no sources, and nothing that applies.
    pub fn named(name: Text) -> Self {
        Self {
            display_name: name.to_string(),
            name,
            suspend: false,
            directories: Vec::new(),
            tenant: None,
            documentation: Vec::new(),
            upn_suffixes: BTreeMap::new(),
            matches: Vec::new(),
            approve: BTreeSet::new(),
            approve_once: BTreeMap::new(),
            protect: Vec::new(),
            imports: BTreeMap::new(),
            options: BTreeMap::new(),
            invalid: Vec::new(),
            files: None,
        }
    }

    /// Whether contacts of accounts of a type are looked for where the customer is documented; by default they are.
    pub fn has_contacts_looked_for(&self, account_type: AccountType) -> bool {
        self.options.get(&account_type).is_none_or(|options| options.match_documentation)
    }
}

/// What applies to one customer and account type.
#[derive(Debug, Clone)]
pub enum Imports {
    /// These policies; several only for administrators, and then united.
    Valid(Vec<Import>),
    /// A document that applies, or may apply, is broken: nobody is added or removed. For people.
    Invalid(Vec<String>),
}

/// One policy as it applies to one customer, with the customer's own exclusions added.
#[derive(Debug, Clone)]
pub struct Import {
    /// What accounts record as their policy: the policy's name, or `customer/NAME` for the
    /// customer's own block.
    pub policy: Text,
    /// For which accounts.
    pub account_type: AccountType,
    /// Who is selected.
    pub selection: Selection,
    /// Who is left out all the same.
    pub exclude: Vec<Exclusion>,
    /// Whether accounts disabled in the directory are imported.
    pub include_disabled: bool,
    /// Whether members of privileged groups are left out. False for administrators.
    pub exclude_privileged: bool,
    /// Privileged groups besides the built-in ones.
    pub privileged_groups: Vec<GroupName>,
    /// Containers directly below the naming context that nobody is imported from, each an RDN.
    pub unsupported_containers: Vec<Dn>,
    /// Whether the account must match a licensed tenant user.
    pub password_sync: bool,
    /// Which licences count.
    pub licences: LicenceRule,
    /// By what accounts and tenant users are compared, strongest first.
    pub match_keys: Vec<MatchKey>,
    /// Limits on removals.
    pub removal: RemovalLimits,
}

/// Who is selected, in one way and never in none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Everybody below these OUs.
    OrganizationalUnits(Vec<Scope<OuName>>),
    /// The direct members of these groups.
    SecurityGroups(Vec<Scope<GroupName>>),
    /// The direct members of these groups of the tenant.
    EntraGroups(Vec<Scope<EntraGroupName>>),
    /// Everybody of the tenant who holds a licence that counts.
    Licensed,
}

impl Selection {
    /// Whether people are selected in the tenant, for a customer without directories.
    pub fn is_of_tenant(&self) -> bool {
        matches!(self, Self::EntraGroups(_) | Self::Licensed)
    }
}

impl Import {
    /// Whether a licence that counts is needed: to share a password, and to be selected by it.
    pub fn needs_licence(&self) -> bool {
        self.password_sync || self.selection == Selection::Licensed
    }

    /// The exclusions that apply on a day, each with its position.
    pub fn exclusions(&self, today: Date) -> impl Iterator<Item = (usize, &Exclusion)> {
        let applies = move |exclusion: &Exclusion| exclusion.until.is_none_or(|until| today <= until);
        self.exclude.iter().enumerate().filter(move |(_, exclusion)| applies(exclusion))
    }

    /// Those of them that name accounts.
    pub fn excluded_accounts(&self, today: Date) -> impl Iterator<Item = (usize, &AccountPattern)> {
        self.exclusions(today).filter_map(|(position, exclusion)| match &exclusion.who {
            Excluded::Account(pattern) => Some((position, pattern)),
            Excluded::OrganizationalUnit(_) | Excluded::SecurityGroup(_) => None,
        })
    }
}

/// One entry of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope<T> {
    /// What it names.
    pub name: T,
    /// Whether it is skipped where it never resolved.
    pub optional: bool,
}

/// An OU as an entry names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OuName {
    /// As it was written.
    pub written: Text,
    /// Absolute if it has a DC component, else relative to the base DN.
    pub dn: Dn,
}

impl OuName {
    /// Returns the whole name in a directory that is read below `base`.
    pub fn below(&self, base: &Dn) -> Dn {
        if self.dn.has_domain_component() { self.dn.clone() } else { self.dn.below(base) }
    }
}

/// A group as an entry names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupName {
    /// sAMAccountName or cn.
    Name(Text),
    /// A distinguished name.
    Dn(Dn),
    /// An objectGUID.
    Guid(Guid),
}

impl GroupName {
    /// Returns it as it was written.
    pub fn written(&self) -> Text {
        match self {
            Self::Name(name) => name.clone(),
            Self::Dn(dn) => Text::from(dn.as_str()),
            Self::Guid(guid) => Text::from(guid.to_string()),
        }
    }
}

/// A group of the tenant as an entry names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntraGroupName {
    /// displayName.
    Name(Text),
    /// The id.
    Id(Guid),
}

impl EntraGroupName {
    /// Returns it as it was written.
    pub fn written(&self) -> Text {
        match self {
            Self::Name(name) => name.clone(),
            Self::Id(id) => Text::from(id.to_string()),
        }
    }
}

/// Who is left out although selected.
#[derive(Debug, Clone)]
pub struct Exclusion {
    /// Who.
    pub who: Excluded,
    /// Why, for people.
    pub reason: Option<String>,
    /// The last day on which it applies, in UTC.
    pub until: Option<Date>,
}

/// Whom an exclusion names.
#[derive(Debug, Clone)]
pub enum Excluded {
    /// An account.
    Account(AccountPattern),
    /// Everybody below an OU.
    OrganizationalUnit(OuName),
    /// Everybody in a group, also by nesting or as primary group.
    SecurityGroup(GroupName),
}

/// An account as an entry names it: a UPN, sAMAccountName (with `*` and `?`) or objectGUID.
#[derive(Debug, Clone)]
pub enum AccountPattern {
    /// An objectGUID.
    Guid(Guid),
    /// A UPN or sAMAccountName, folded.
    Name(Text),
    /// A pattern over UPN and sAMAccountName, folded.
    Glob {
        /// As it was written, folded.
        written: Text,
        /// Compiled.
        pattern: wildmatch::WildMatch,
    },
}

/// Which assigned licences count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LicenceRule {
    /// If not empty, one of these must be assigned.
    pub any_of: Vec<SkuName>,
    /// These never count.
    pub ignore: Vec<SkuName>,
    /// Service plans that must be enabled in one that counts.
    pub require_plan: Vec<SkuName>,
}

/// A SKU or service plan as an entry names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkuName {
    /// Its id.
    Id(Guid),
    /// Its part number or plan name: readable only with the tenant's subscribedSkus.
    Name(Text),
}

impl fmt::Display for SkuName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(formatter),
            Self::Name(name) => name.fmt(formatter),
        }
    }
}

/// By what an account and a tenant user are compared.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum MatchKey {
    /// onPremisesImmutableId against mS-DS-ConsistencyGuid, or objectGUID where there is none.
    ImmutableId,
    /// onPremisesSecurityIdentifier against objectSid.
    SecurityIdentifier,
    /// userPrincipalName on both sides, with the customer's suffix map.
    UserPrincipalName,
    /// mail or primary SMTP address on both sides.
    Mail,
}

impl MatchKey {
    /// Returns the key as documents write it.
    pub fn code(self) -> &'static str {
        match self {
            Self::ImmutableId => "immutableId",
            Self::SecurityIdentifier => "securityIdentifier",
            Self::UserPrincipalName => "userPrincipalName",
            Self::Mail => "mail",
        }
    }
}

/// Limits on the removals of one customer and account type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovalLimits {
    /// How long an account stays imported after it left the desired set.
    pub grace: Seconds,
    /// Over which time removals are counted.
    pub window: Seconds,
    /// At most this share of the accounts, in percent …
    pub max_percent: u32,
    /// … and at most this many, but …
    pub max_count: u32,
    /// … this many may always go.
    pub min_count: u32,
    /// At most this share of users may vanish from a reading, in percent.
    pub max_shrink_percent: u32,
    /// Whether an empty desired set may remove everybody.
    pub allow_empty: bool,
}

/// What an import does beyond importing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How often the controller reconciles.
    pub interval: Seconds,
    /// Whether accounts are matched with documentation systems.
    pub match_documentation: bool,
    /// Whether missing documentation entries are created.
    pub create_missing_documentation: bool,
    /// Targets of the operator's file that accounts are published to.
    pub publish: Vec<Text>,
}

/// One directory of a customer.
#[derive(Debug, Clone)]
pub struct DirectorySource {
    /// Its name within the customer.
    pub name: Text,
    /// Where it is.
    pub location: DirectoryLocation,
}

/// Where a directory is.
#[derive(Debug, Clone)]
pub enum DirectoryLocation {
    /// A server.
    Ldap(LdapLocation),
    /// A file inside the tree.
    Ldif(PathBuf),
}

/// A directory server.
#[derive(Debug, Clone)]
pub struct LdapLocation {
    /// Tried in order: `ldaps://` or `ldap://`.
    pub urls: Vec<String>,
    /// Whether to upgrade `ldap://` by StartTLS.
    pub start_tls: bool,
    /// The authority that signed the server's certificate; default: the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Below which name to read; default: the server's defaultNamingContext.
    pub base_dn: Option<Dn>,
    /// As whom to read.
    pub bind: Option<Bind>,
    /// Entries a page.
    pub page_size: u32,
    /// How long a page may take.
    pub timeout: Seconds,
}

/// As whom a directory is read.
#[derive(Debug, Clone)]
pub enum Bind {
    /// With a name and a password.
    Password {
        /// A DN or user principal name.
        dn: String,
        /// Where its password is kept.
        password_from: SecretRef,
    },
    /// By Kerberos, as whoever the machine's own credentials are for.
    Kerberos(KerberosService),
}

/// By which name Kerberos knows a directory server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KerberosService {
    /// The server's host name; default: the one of the URL.
    pub host: Option<Text>,
    /// Its realm; default: the default realm of the machine.
    pub realm: Option<Text>,
}

/// Where a secret is kept. A tree never holds the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file.
    File(PathBuf),
}

/// Where a tenant is read from.
#[derive(Debug, Clone)]
pub enum TenantSource {
    /// Microsoft Graph.
    Graph(GraphLocation),
    /// A file inside the tree.
    Snapshot(PathBuf),
}

/// A tenant at Microsoft Graph.
#[derive(Debug, Clone)]
pub struct GraphLocation {
    /// A verified domain or the id.
    pub tenant_id: String,
    /// With whose application.
    pub application: GraphApplication,
    /// How its users are read.
    pub refresh: Refresh,
}

/// How the users of a tenant are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refresh {
    /// All of them, every time.
    #[default]
    Full,
    /// What changed since the state that was kept. The reading is whole all the same.
    Delta,
}

/// The application that reads a tenant.
#[derive(Debug, Clone)]
pub enum GraphApplication {
    /// A connection of the operator's file, by name.
    Connection(Text),
    /// The customer's own.
    Own {
        /// The application's id.
        client_id: Guid,
        /// Where its services are.
        endpoints: GraphEndpoints,
        /// How it proves itself.
        credential: GraphCredential,
    },
}

/// Where the token service and Graph are: a pair, as tokens do not cross clouds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphEndpoints {
    /// The authority, for example `https://login.microsoftonline.com`.
    pub login: String,
    /// The Graph root, for example `https://graph.microsoft.com`.
    pub graph: String,
}

/// How an application proves itself.
#[derive(Debug, Clone)]
pub enum GraphCredential {
    /// A client secret.
    Secret(SecretRef),
    /// A certificate.
    Certificate {
        /// The certificate, PEM.
        certificate_file: PathBuf,
        /// Its private key.
        private_key_from: SecretRef,
    },
    /// Another issuer's token.
    FederatedToken(SecretRef),
    /// A managed identity.
    ManagedIdentity {
        /// Its client id.
        client_id: Guid,
    },
}

/// A customer's place in a documentation system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documentation {
    /// The connection of the operator's file, which says which product it is.
    pub connection: Text,
    /// The organisation's or company's id there.
    pub organization: Text,
    /// Hudu: the asset layout that holds people.
    pub asset_layout: Option<u64>,
}

impl Documentation {
    /// Returns where the customer's contacts are.
    pub fn shelf(&self) -> Shelf {
        Shelf { organization: self.organization.clone(), asset_layout: self.asset_layout }
    }
}

/// A person's choice among several candidates.
#[derive(Debug, Clone)]
pub struct ChosenMatch {
    /// The account.
    pub account: AccountPattern,
    /// `tenant`, or a connection's name.
    pub system: Text,
    /// The id there.
    pub id: Text,
}
