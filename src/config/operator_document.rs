//! The operator's file as written.

use std::net::SocketAddr;

use url::Url;

use crate::model::network::Network;
use crate::policy::document_part::Secret;
use crate::policy::document_tenant::ApplicationSpec;
use crate::policy::read::{Map, Placed, Read, Value, Whole, Wrong, read_value, record, words};
use crate::policy::source::Ledger;
use crate::policy::value::{Duration, GuidValue, HttpUrl, Name, Word};
use crate::policy::yaml::{Meaning, Node, Scalar};

record! {
    /// The operator's file.
    pub struct OperatorSpec = "the operator's file";
    /// Where the register is: `sqlite:PATH` or `postgres://…`.
    "state" => state: Option<StateUrl>,
    /// Where the HTTP interface listens: an address of this machine and a port.
    "listen" => listen: Option<Placed<ListenAddress>>,
    /// Proxies before it, by address or network: whoever asks through one is who its `X-Forwarded-For` says.
    "trustedProxies" => trusted_proxies: Option<Vec<Placed<NetworkValue>>>,
    /// Customers at once.
    #[schemars(extend("default" = 16))]
    "concurrency" => concurrency: Option<Whole<1, 1_024>>,
    /// Which secrets a customer's document may name.
    "secrets" => secrets: Option<SecretsSpec>,
    /// What a tree may use besides.
    "permit" => permit: Option<Vec<PermitWord>>,
    /// Which hosts a tree may name.
    "network" => network: Option<NetworkSpec>,
    /// Connections by name, for every customer.
    "connections" => connections: Option<Map<Placed<ConnectionSpec>>>,
    /// Ceilings; a tree beyond them is invalid.
    "limits" => limits: Option<LimitsSpec>,
    /// How many removals may begin over all customers.
    "fleet" => fleet: Option<FleetSpec>,
    /// Where `run` gets the policy tree from, in place of a folder.
    "git" => git: Option<GitSpec>,
    /// Services that accounts are published to, by name.
    "targets" => targets: Option<Map<Placed<TargetSpec>>>,
    /// Who is told of what.
    "notify" => notify: Option<Vec<NotifySpec>>,
    /// Who may use the HTTP interface.
    "auth" => auth: Option<AuthSpec>,
    /// Who collects traces.
    "traces" => traces: Option<TracesSpec>,
}

record! {
    /// A policy tree in git.
    pub struct GitSpec = "`git`";
    /// Where the repository is: `https://`, `ssh://` or `user@host:path`, or `file://` for one on this
    /// machine; `http://` and `git://` to this machine alone.
    "url" => url: Placed<GitUrl>,
    /// Which branch is in force.
    #[schemars(extend("default" = "main"))]
    "branch" => branch: Option<GitBranch>,
    /// The folder of the repository that holds the tree; by default all of it.
    "path" => path: Option<GitPath>,
    /// How often it is looked for new commits.
    #[schemars(extend("default" = "1m"))]
    "interval" => interval: Option<Placed<Duration>>,
    /// Where the copy is kept; nobody else may write there.
    #[schemars(extend("default" = "intake-git"))]
    "folder" => folder: Option<FilePath>,
    /// Where the credentials are kept: for https a token, or `user:token`; for ssh a private key.
    "credentialsFrom" => credentials_from: Option<Secret>,
    /// For ssh: the file of the servers' keys (`known_hosts` of OpenSSH).
    "knownHosts" => known_hosts: Option<FilePath>,
    /// Whose commits are taken; without it anybody's who may push.
    "verify" => verify: Option<Placed<GitVerifySpec>>,
}

record! {
    /// Whose commits are taken.
    pub struct GitVerifySpec = "`git.verify`";
    /// Who signs with ssh keys: a file of allowed signers, as `ssh-keygen` reads it.
    "allowedSigners" => allowed_signers: Option<FilePath>,
    /// Who signs with OpenPGP: a file of public keys.
    "openPgpKeys" => open_pgp_keys: Option<FilePath>,
}

record! {
    /// Which secrets a customer's document may name. `{customer}` stands for its name, `*` for any
    /// characters but `/`.
    pub struct SecretsSpec = "`secrets`";
    /// Environment variables; the customer's name in upper case, with `_` for `-`.
    "env" => env: Option<Vec<Word>>,
    /// Files.
    "files" => files: Option<Vec<FilePattern>>,
}

words! {
    /// What a tree may use besides.
    pub enum PermitWord = "permit";
    /// Endpoints of its own in place of a cloud's.
    "endpoints" => Endpoints,
    /// A directory without TLS.
    "plaintext" => Plaintext,
    /// The identity of the machine.
    "managedIdentity" => ManagedIdentity,
    /// The Kerberos credentials of the machine.
    "kerberos" => Kerberos,
}

record! {
    /// Which hosts a tree may name.
    pub struct NetworkSpec = "`network`";
    /// Hosts, with `*` for any characters.
    "allow" => allow: Option<Vec<Word>>,
}

record! {
    /// Ceilings.
    pub struct LimitsSpec = "`limits`";
    /// Of removals.
    "removal" => removal: Option<RemovalCeilings>,
    /// Whether a policy may say `allowEmpty: true`.
    #[schemars(extend("default" = true))]
    "allowEmpty" => allow_empty: Option<bool>,
    /// Whether an end-user policy may say `excludePrivileged: false`.
    #[schemars(extend("default" = true))]
    "includePrivileged" => include_privileged: Option<bool>,
    /// The shortest interval.
    #[schemars(extend("default" = "1m"))]
    "minInterval" => min_interval: Option<Duration>,
}

record! {
    /// Ceilings of removals.
    pub struct RemovalCeilings = "`limits.removal`";
    /// The highest `maxPercent`.
    #[schemars(extend("default" = 100))]
    "maxPercent" => max_percent: Option<Whole<0, 100>>,
    /// The highest `maxCount`.
    #[schemars(extend("default" = 1_000_000))]
    "maxCount" => max_count: Option<Whole<0, { u32::MAX }>>,
}

record! {
    /// How many removals may begin over all customers.
    pub struct FleetSpec = "`fleet`";
    /// At most so many …
    #[schemars(extend("default" = 200))]
    "maxRemovals" => max_removals: Option<Whole<0, { u32::MAX }>>,
    /// … within this time.
    #[schemars(extend("default" = "1h"))]
    "window" => window: Option<Duration>,
}

record! {
    /// A service that accounts are published to.
    pub struct TargetSpec = "a target" exactly_one &["scim"];
    /// A service that speaks SCIM 2.0.
    "scim" => scim: Option<ScimSpec>,
}

record! {
    /// A service that speaks SCIM 2.0.
    pub struct ScimSpec = "`scim`";
    /// Its base address, to which `/Users` is added; `http://` to this machine alone.
    "url" => url: Placed<OutsideUrl>,
    /// Where its bearer token is kept.
    "tokenFrom" => token_from: Secret,
    /// By what a user is taken over that is there already and has no id of anybody.
    #[schemars(extend("default" = "never"))]
    "adopt" => adopt: Option<AdoptWord>,
    /// What becomes of the user of an account that was removed.
    #[schemars(extend("default" = "deactivate"))]
    "onRemoval" => on_removal: Option<OnRemovalWord>,
    /// How many users may lose their access within a time; more are held.
    "removal" => removal: Option<TargetRemovalSpec>,
    /// What is done about what others change there.
    "drift" => drift: Option<DriftSpec>,
}

words! {
    /// By what a user that is there already is taken over.
    pub enum AdoptWord = "adopt";
    /// By nothing.
    "never" => Never,
    /// By the same userName.
    "userName" => UserName,
}

words! {
    /// What becomes of the user of an account that was removed.
    pub enum OnRemovalWord = "onRemoval";
    /// It stays, inactive.
    "deactivate" => Deactivate,
    /// It is deleted.
    "delete" => Delete,
}

record! {
    /// How many users may lose their access within a time, over all customers.
    pub struct TargetRemovalSpec = "`removal`";
    /// The time.
    #[schemars(extend("default" = "24h"))]
    "window" => window: Option<Duration>,
    /// In percent of those who are there …
    #[schemars(extend("default" = 10))]
    "maxPercent" => max_percent: Option<Whole<0, 100>>,
    /// … and in number; the smaller wins, but …
    #[schemars(extend("default" = 25))]
    "maxCount" => max_count: Option<Whole<0, { u32::MAX }>>,
    /// … so many may always go.
    #[schemars(extend("default" = 2))]
    "minCount" => min_count: Option<Whole<0, { u32::MAX }>>,
}

record! {
    /// What is done about what others change there.
    pub struct DriftSpec = "`drift`";
    /// How often all users there are compared with what was published, an hour at least; a user that was refused or
    /// in conflict is also left alone for so long.
    #[schemars(extend("default" = "24h"))]
    "check" => check: Option<Placed<Duration>>,
    /// Whether a difference is set right, once.
    #[schemars(extend("default" = false))]
    "correct" => correct: Option<bool>,
}

record! {
    /// Who is told of what.
    pub struct NotifySpec = "a notification";
    /// Who.
    "webhook" => webhook: WebhookSpec,
    /// Of what; by default of everything.
    "on" => on: Option<Vec<OccasionWord>>,
}

record! {
    /// A webhook.
    pub struct WebhookSpec = "`webhook`";
    /// Where to.
    "url" => url: Placed<OutsideUrl>,
    /// Where its bearer token is kept.
    "tokenFrom" => token_from: Option<Secret>,
    /// Where the key is kept that signs what is sent: `whsec_` and base64, as Standard Webhooks has it.
    "signingKeyFrom" => signing_key_from: Option<Secret>,
    /// In which form it is told.
    #[schemars(extend("default" = "cloudEvents"))]
    "form" => form: Option<FormWord>,
}

words! {
    /// In which form somebody is told.
    pub enum FormWord = "form";
    /// CloudEvents in JSON, for programs.
    "cloudEvents" => CloudEvents,
    /// Messages for people, as Slack's incoming webhooks and those like them take them.
    "slack" => Slack,
}

words! {
    /// What somebody is told of.
    pub enum OccasionWord = "occasion";
    /// Accounts changed.
    "changed" => Changed,
    /// Removals are held.
    "held" => Held,
    /// A customer could not be read, or is broken.
    "failed" => Failed,
    /// A customer that failed or was held works again.
    "recovered" => Recovered,
}

record! {
    /// Who may use the HTTP interface.
    pub struct AuthSpec = "`auth`";
    /// By a token each.
    "tokens" => tokens: Option<Vec<TokenSpec>>,
    /// People, by an identity provider: for the dashboard.
    "oidc" => oidc: Option<OidcSpec>,
}

record! {
    /// Who collects traces.
    pub struct TracesSpec = "`traces`";
    /// A collector that speaks OTLP over HTTP.
    "otlp" => otlp: OtlpSpec,
}

record! {
    /// A collector that speaks OTLP over HTTP.
    pub struct OtlpSpec = "`otlp`";
    /// Where it is: `https://collector.example:4318`, or with another path than `/v1/traces`.
    "url" => url: Placed<OutsideUrl>,
    /// Where its bearer token is kept.
    "tokenFrom" => token_from: Option<Secret>,
}

record! {
    /// An identity provider that speaks OpenID Connect.
    pub struct OidcSpec = "`oidc`";
    /// Its issuer, exactly as its tokens say it: `https://login.microsoftonline.com/TENANT/v2.0`.
    "issuer" => issuer: Placed<OutsideUrl>,
    /// What it is called on the button; by default the issuer's host.
    "label" => label: Option<Word>,
    /// Under which id it knows Intake.
    "clientId" => client_id: Word,
    /// Where the client's secret is kept. A public client has none.
    "clientSecretFrom" => client_secret_from: Option<Secret>,
    /// Where people reach the dashboard: `https://intake.example`. The provider sends them back to `/login/done` there.
    "publicUrl" => public_url: Placed<OutsideUrl>,
    /// What is asked for besides `openid`; by default `profile` and `email`.
    "scopes" => scopes: Option<Vec<Word>>,
    /// Who may do what.
    "roles" => roles: Placed<OidcRolesSpec>,
}

record! {
    /// Which values of which claim may do what. Whoever has none of them does not get in.
    pub struct OidcRolesSpec = "`roles`";
    /// The claim of the ID token.
    #[schemars(extend("default" = "roles"))]
    "claim" => claim: Option<Word>,
    /// Values that may look.
    "viewer" => viewer: Option<Vec<Word>>,
    /// Values that may also give orders.
    "operator" => operator: Option<Vec<Word>>,
}

record! {
    /// Somebody who may use the HTTP interface.
    pub struct TokenSpec = "a token";
    /// The name that the audit record and the log know.
    "name" => name: Placed<Name>,
    /// What it may do.
    "role" => role: RoleWord,
    /// Where the token is kept.
    "tokenFrom" => token_from: Secret,
}

words! {
    /// What a token may do.
    pub enum RoleWord = "role";
    /// Look, and have candidates planned.
    "viewer" => Viewer,
    /// That, and start, suspend and resume customers.
    "operator" => Operator,
}

record! {
    /// A connection: one product.
    pub struct ConnectionSpec = "a connection" exactly_one &["graph", "itGlue", "hudu", "connectWise"];
    /// Microsoft Graph.
    "graph" => graph: Option<Placed<ApplicationSpec>>,
    /// IT Glue.
    "itGlue" => it_glue: Option<ItGlueSpec>,
    /// Hudu.
    "hudu" => hudu: Option<HuduSpec>,
    /// ConnectWise PSA.
    "connectWise" => connect_wise: Option<ConnectWiseSpec>,
}

record! {
    /// A key of IT Glue.
    pub struct ItGlueSpec = "`itGlue`" exactly_one &["region", "url"];
    /// In which region the account is. A key of another one looks like a wrong key.
    "region" => region: Option<RegionWord>,
    /// Where the API is, in place of a region; `http://` to this machine alone.
    "url" => url: Option<Placed<HttpUrl>>,
    /// The API key. It needs no access to passwords, unless `passwordCategories` names any.
    "apiKeyFrom" => api_key_from: Secret,
    /// Categories of password entries that accounts are matched with by username, for example `Active Directory`.
    /// Without any, password entries are not read.
    "passwordCategories" => password_categories: Option<Vec<Word>>,
    /// What `createMissing` makes for an account that has nobody; entries are of the first of `passwordCategories`,
    /// and without a password.
    #[schemars(extend("default" = "contact"))]
    "missingAs" => missing_as: Option<Placed<MissingAsWord>>,
}

words! {
    /// What is made for an account that has nobody.
    pub enum MissingAsWord = "missingAs";
    /// A contact.
    "contact" => Contact,
    /// A password entry.
    "passwordEntry" => PasswordEntry,
}

record! {
    /// A key of a Hudu instance.
    pub struct HuduSpec = "`hudu`";
    /// Where the instance is; `http://` to this machine alone.
    "url" => url: Placed<HttpUrl>,
    /// The API key. It needs no access to passwords.
    "apiKeyFrom" => api_key_from: Secret,
}

record! {
    /// An API member of ConnectWise PSA.
    pub struct ConnectWiseSpec = "`connectWise`";
    /// Where the API is, for example `https://api-na.myconnectwise.net`; `http://` to this machine alone.
    "url" => url: Placed<HttpUrl>,
    /// The company that one logs in to.
    "loginCompany" => login_company: Word,
    /// The id of the integration, from ConnectWise's developer network.
    "clientId" => client_id: GuidValue,
    /// The API member's public key.
    "publicKeyFrom" => public_key_from: Secret,
    /// The API member's private key.
    "privateKeyFrom" => private_key_from: Secret,
}

words! {
    /// A region of IT Glue.
    pub enum RegionWord = "region";
    /// North America.
    "us" => Us,
    /// Europe.
    "eu" => Eu,
    /// Australia.
    "au" => Au,
}

impl RegionWord {
    /// Returns where the region's API is (<https://api.itglue.com/developer>).
    pub fn url(self) -> &'static str {
        match self {
            Self::Us => "https://api.itglue.com",
            Self::Eu => "https://api.eu.itglue.com",
            Self::Au => "https://api.au.itglue.com",
        }
    }
}

/// Where the register is.
#[derive(Debug, Clone)]
pub struct StateUrl(pub String);
/// Where the HTTP interface listens.
#[derive(Debug, Clone)]
pub struct ListenAddress(pub SocketAddr);
/// A network of addresses.
#[derive(Debug, Clone)]
pub struct NetworkValue(pub Network);
/// An address that names and secrets are sent to: over https, or to this machine.
#[derive(Debug, Clone)]
pub struct OutsideUrl(pub String);
/// Where a git repository is.
#[derive(Debug, Clone)]
pub struct GitUrl(pub String);
/// A branch.
#[derive(Debug, Clone)]
pub struct GitBranch(pub String);
/// A folder in a repository.
#[derive(Debug, Clone)]
pub struct GitPath(pub String);
/// A file or folder of the operator's, absolute or relative to the operator's file.
#[derive(Debug, Clone)]
pub struct FilePath(pub String);
/// A pattern of absolute paths.
#[derive(Debug, Clone)]
pub struct FilePattern(pub String);

/// Returns the text of a scalar that is text and not blank.
fn text(scalar: &Scalar) -> Result<&str, Wrong> {
    match scalar.text.trim() {
        _ if scalar.meaning() != Meaning::Text => Err(Wrong::new("")),
        "" => Err(Wrong::new("this text is empty")),
        text => Ok(text),
    }
}

impl Value for StateUrl {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        let known = ["sqlite:", "postgres://", "postgresql://"];
        if known.iter().any(|prefix| written.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty())) {
            return Ok(Self(written.to_owned()));
        }
        Err(Wrong::new("malformed state").help("write `sqlite:PATH` or `postgres://…`"))
    }
}

impl Value for ListenAddress {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let malformed = |_| {
            Wrong::new("malformed address to listen on")
                .help("write an address of this machine and a port: `127.0.0.1:8080`, `[::1]:8080`")
        };
        text(scalar)?.parse().map(Self).map_err(malformed)
    }
}

impl Value for NetworkValue {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let help = "write an address, or a network: `127.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`";
        let network: Network =
            text(scalar)?.parse().map_err(|_| Wrong::new("malformed network").help(help))?;
        if network.is_everybody() {
            return Err(Wrong::new("everybody is in this network, and anybody would be who they say")
                .help("name the proxies alone"));
        }
        Ok(Self(network))
    }
}

impl Value for OutsideUrl {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        let url = Url::parse(written).map_err(|error| Wrong::new(format!("malformed address: {error}")))?;
        match url.scheme() {
            _ if url.host().is_none() => return Err(Wrong::new("malformed address: the host is missing")),
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => {
                return Err(Wrong::new("names and a token go over https; http is for this machine alone")
                    .help("write https://"));
            }
            _ => return Err(Wrong::new("an address here begins with https://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Wrong::new("an address holds no user and no password").help("use `tokenFrom`"));
        }
        Ok(Self(written.to_owned()))
    }
}

/// Whether an address is one of this machine: what is sent there is seen by nobody else.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// Whether it is the short form of an address that git takes for ssh: `user@host:path`.
pub fn is_scp_like(address: &str) -> bool {
    !address.contains("://")
        && address.split_once(':').is_some_and(|(host, path)| {
            let host = host.split_once('@').map_or(host, |(_, host)| host);
            !host.is_empty() && !host.contains('/') && !path.is_empty()
        })
}

impl Value for GitUrl {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        // git takes what begins with a dash for an option.
        if written.starts_with('-') || written.chars().any(|one| one.is_whitespace() || one.is_control()) {
            return Err(Wrong::new("malformed address"));
        }
        if is_scp_like(written) {
            return Ok(Self(written.to_owned()));
        }
        let url = Url::parse(written).map_err(|error| Wrong::new(format!("malformed address: {error}")))?;
        let has_host = url.host_str().is_some_and(|host| !host.is_empty() && !host.starts_with('-'));
        match url.scheme() {
            "file" if !has_host => {}
            "https" | "ssh" if has_host => {}
            // A host of a scheme that the standard does not know is text to it.
            "http" | "git" if is_loopback(&url) || url.host_str() == Some("127.0.0.1") => {}
            "http" | "git" => {
                return Err(Wrong::new("a tree that anybody on the way can change decides about nobody")
                    .help("use https:// or ssh://; http:// and git:// are for this machine alone"));
            }
            "https" | "ssh" | "file" => return Err(Wrong::new("malformed address: the host is not right")),
            _ => {
                return Err(
                    Wrong::new("git is not asked that way").help("use https://, ssh:// or user@host:path")
                );
            }
        }
        if url.password().is_some() || (url.scheme() != "ssh" && !url.username().is_empty()) {
            return Err(Wrong::new("an address holds no user and no password").help("use `credentialsFrom`"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Wrong::new("the address of a repository has no `?` and no `#`"));
        }
        Ok(Self(written.to_owned()))
    }
}

impl Value for GitBranch {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        // The rules of git-check-ref-format(1), and none of its rare characters.
        let is_plain = |one: char| one.is_ascii_alphanumeric() || "._/-".contains(one);
        let is_part = |part: &str| !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with('.');
        let is_branch = written.chars().all(is_plain)
            && written.split('/').all(|part| is_part(part) && !part.ends_with(".lock"))
            && !written.contains("..");
        if is_branch { Ok(Self(written.to_owned())) } else { Err(Wrong::new("malformed name of a branch")) }
    }
}

impl Value for GitPath {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        let path = written.trim_end_matches('/');
        let path = path.strip_prefix("./").unwrap_or(path);
        if path == "." {
            return Ok(Self(String::new()));
        }
        let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains([':', '\\']);
        if path.split('/').all(is_part) && !path.chars().any(char::is_control) {
            return Ok(Self(path.to_owned()));
        }
        Err(Wrong::new("malformed folder").help("write it from the top of the repository: `customers`"))
    }
}

impl Value for FilePath {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        Ok(Self(text(scalar)?.to_owned()))
    }
}

impl Value for FilePattern {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        if !written.starts_with('/') {
            return Err(Wrong::new("the path of a secret must be absolute").help("begin it with `/`"));
        }
        if written.split('/').any(|part| part == ".." || part == ".") || written.contains("//") {
            return Err(Wrong::new("the path of a secret holds no `.`, `..` and `//`"));
        }
        Ok(Self(written.to_owned()))
    }
}

macro_rules! texts {
    ($($name:ident),*) => {$(
        impl Read for $name {
            fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
                read_value(node, "text", ledger)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                String::json_schema(generator)
            }
        }
    )*};
}

texts!(StateUrl, ListenAddress, NetworkValue, OutsideUrl, GitUrl, GitBranch, GitPath, FilePath, FilePattern);
