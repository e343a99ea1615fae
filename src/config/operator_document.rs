//! The operator's file as written.

use std::net::SocketAddr;

use url::Url;

use crate::policy::document_part::Secret;
use crate::policy::document_tenant::ApplicationSpec;
use crate::policy::read::{
    Map, Placed, Read, Value, Whole, Wrong, check_keys_with_later, field, read_value, record, words,
};
use crate::policy::source::Ledger;
use crate::policy::value::{Duration, Name, Word};
use crate::policy::yaml::{Meaning, Node, Scalar};

/// Keys that later versions have.
pub const LATER_KEYS: [&str; 2] = ["git", "targets"];
/// Products that later versions connect.
const LATER_CONNECTIONS: [&str; 3] = ["itGlue", "hudu", "connectWise"];

record! {
    /// The operator's file.
    pub struct OperatorSpec = "the operator's file";
    /// Where the register is: `sqlite:PATH` or `postgres://…`.
    "state" => state: Option<StateUrl>,
    /// Where the HTTP interface listens: an address of this machine and a port.
    "listen" => listen: Option<Placed<ListenAddress>>,
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
    /// Who is told of what.
    "notify" => notify: Option<Vec<NotifySpec>>,
    /// Who may use the HTTP interface.
    "auth" => auth: Option<AuthSpec>,
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
    "url" => url: Placed<WebhookUrl>,
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

/// A connection: one product.
#[derive(Debug, Clone, schemars::JsonSchema)]
pub struct ConnectionSpec {
    /// Microsoft Graph.
    pub graph: Option<Placed<ApplicationSpec>>,
}

impl Read for ConnectionSpec {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        if !check_keys_with_later(node, &["graph"], &LATER_CONNECTIONS, "a connection", ledger) {
            return None;
        }
        if node.entries().is_empty() {
            ledger.report(node.at, "`graph` is missing here");
        }
        Some(Self { graph: field(node, "graph", ledger)? })
    }
}

/// Where the register is.
#[derive(Debug, Clone)]
pub struct StateUrl(pub String);
/// Where the HTTP interface listens.
#[derive(Debug, Clone)]
pub struct ListenAddress(pub SocketAddr);
/// Where a webhook is.
#[derive(Debug, Clone)]
pub struct WebhookUrl(pub String);
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

impl Value for WebhookUrl {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        let url = Url::parse(written).map_err(|error| Wrong::new(format!("malformed address: {error}")))?;
        let loopback = match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
            None => return Err(Wrong::new("malformed address: the host is missing")),
        };
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
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

texts!(StateUrl, ListenAddress, WebhookUrl, FilePattern);
