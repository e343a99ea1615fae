//! `Customer` as written: where its sources are, and what is special about it.

use crate::policy::document_import::{Block, Exclude};
use crate::policy::document_options::Choices;
use crate::policy::document_part::{FileSpec, Secret};
use crate::policy::document_tenant::TenantSpec;
use crate::policy::read::{Given, Many, Map, Placed, Whole, record};
use crate::policy::value::{
    Accounts, DigestValue, DnValue, Domain, Duration, HostName, LdapUrl, Name, OneAccount, Realm,
    RelativePath, Word,
};

record! {
    /// Where a customer's sources are, and what is special about it.
    pub struct CustomerSpec = "`spec` of a Customer";
    /// The name for people. By default `metadata.name`.
    "displayName" => display_name: Option<String>,
    /// Pauses the customer: it is read and planned, and nothing is written.
    #[schemars(extend("default" = false))]
    "suspend" => suspend: Option<bool>,
    /// Its directories: usually one, none for a customer that has a tenant alone.
    "directories" => directories: Option<Vec<Placed<DirectorySpec>>>,
    /// Its Microsoft 365 tenant.
    "tenant" => tenant: Option<Placed<TenantSpec>>,
    /// Its places in documentation systems.
    "documentation" => documentation: Option<Vec<Placed<DocumentationSpec>>>,
    /// Which UPN suffix of the directory is which one of the tenant, for example `contoso.local: contoso.com`.
    "upnSuffixes" => upn_suffixes: Option<Map<Domain>>,
    /// A person's choice where several people could be meant.
    "matches" => matches: Option<Vec<MatchSpec>>,
    /// Digests of held removals that may go ahead, copied from the plan's `approval`.
    "approve" => approve: Option<Vec<DigestValue>>,
    /// Accounts that are never removed, whatever the policy says.
    "protect" => protect: Option<Vec<Accounts>>,
    /// Who is left out, besides the policy's own exclusions.
    "exclude" => exclude: Option<Vec<Exclude>>,
    /// The customer's own import of end users, in place of a policy.
    "endUsers" => end_users: Option<Given<Block>>,
    /// The customer's own import of administrators, in place of policies.
    "administrators" => administrators: Option<Given<Block>>,
    /// The customer's own options.
    "options" => options: Option<OwnOptions>,
}

record! {
    /// The customer's own options, in place of an ImportOptions.
    pub struct OwnOptions = "`options`";
    /// For end users.
    "endUsers" => end_users: Option<Given<Choices>>,
    /// For administrators.
    "administrators" => administrators: Option<Given<Choices>>,
}

record! {
    /// One Active Directory.
    pub struct DirectorySpec = "a directory" exactly_one &["ldap", "ldif"];
    /// Its name within the customer.
    #[schemars(extend("default" = "main"))]
    "name" => name: Option<Placed<Name>>,
    /// A server.
    "ldap" => ldap: Option<Placed<LdapSpec>>,
    /// A file, for tests and for customers that send exports.
    "ldif" => ldif: Option<FileSpec>,
    /// Other customers that read the same directory; each must name the others.
    "sharedWith" => shared_with: Option<Vec<Placed<Name>>>,
}

record! {
    /// A directory server.
    pub struct LdapSpec = "`ldap`";
    /// The servers, tried in order, for example `ldaps://dc1.contoso.test`.
    "urls" => urls: Many<Placed<LdapUrl>>,
    /// Whether to upgrade `ldap://` to TLS.
    #[schemars(extend("default" = false))]
    "startTls" => start_tls: Option<Placed<bool>>,
    /// The authority that signed the server's certificate, PEM. By default the system's roots.
    "caFile" => ca_file: Option<Placed<RelativePath>>,
    /// Below which name to read. By default the server's defaultNamingContext.
    "baseDn" => base_dn: Option<DnValue>,
    /// As whom to read.
    "bind" => bind: Option<Placed<BindSpec>>,
    /// Entries a page.
    #[schemars(extend("default" = 1000))]
    "pageSize" => page_size: Option<Whole<1, 10_000>>,
    /// How long a page may take.
    #[schemars(extend("default" = "30s"))]
    "timeout" => timeout: Option<Placed<Duration>>,
}

record! {
    /// As whom a directory is read: with a name and a password, or by Kerberos.
    #[schemars(extend("dependentRequired" = {"dn": ["passwordFrom"], "passwordFrom": ["dn"]}))]
    pub struct BindSpec = "`bind`" exactly_one &["dn", "kerberos"];
    /// A DN, or a userPrincipalName.
    "dn" => dn: Option<Given<Word>>,
    /// Where its password is kept.
    "passwordFrom" => password_from: Option<Given<Secret>>,
    /// By Kerberos, with the credentials of the machine. The operator must permit `kerberos`.
    "kerberos" => kerberos: Option<Given<KerberosSpec>>,
}

record! {
    /// By which name Kerberos knows the directory server.
    pub struct KerberosSpec = "`kerberos`";
    /// The server's host name, where the URL has another one or an address.
    "host" => host: Option<Placed<HostName>>,
    /// The server's realm. By default the default realm of the machine.
    "realm" => realm: Option<Placed<Realm>>,
}

record! {
    /// The customer's place in a documentation system.
    pub struct DocumentationSpec = "`documentation`" exactly_one &["organizationId", "companyId"];
    /// The operator's connection, which says which product it is and holds the key.
    "connection" => connection: Placed<Name>,
    /// IT Glue: the organisation's id, in quotes.
    "organizationId" => organization_id: Option<Word>,
    /// Hudu and ConnectWise: the company's id.
    "companyId" => company_id: Option<Whole<1, { u32::MAX }>>,
    /// Hudu: the asset layout that holds people.
    "assetLayoutId" => asset_layout_id: Option<Placed<Whole<1, { u32::MAX }>>>,
}

record! {
    /// A person's choice where several people could be meant.
    pub struct MatchSpec = "a match";
    /// The account.
    "account" => account: OneAccount,
    /// A documentation connection's name, or `tenant`.
    "system" => system: Placed<Name>,
    /// The id there, in quotes.
    "id" => id: Placed<Word>,
}
