//! The operator's file, checked: what Intake may do, and with whose connections.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use url::Url;

use crate::config::operator_document::{
    AdoptWord, AuthSpec, ConnectWiseSpec, ConnectionSpec, FilePath, FormWord, GitSpec, HuduSpec, ItGlueSpec,
    LimitsSpec, MissingAsWord, NotifySpec, OccasionWord, OidcSpec, OnRemovalWord, OperatorSpec, PermitWord,
    RoleWord, ScimSpec, SecretsSpec, TargetSpec, is_scp_like,
};
use crate::model::contact::{ContactKind, Product};
use crate::model::duration::Seconds;
use crate::model::guid::Guid;
use crate::model::network::Network;
use crate::model::publication::{Adopt, OnRemoval, TargetRules};
use crate::model::text::Text;
use crate::policy::check::MAX_FILE;
use crate::policy::document_tenant::ApplicationSpec;
use crate::policy::fleet::{GraphApplication, GraphCredential, GraphEndpoints, SecretRef};
use crate::policy::limits::{ConnectionKind, FleetLimit, Limits, Permit};
use crate::policy::problem::{Problem, Rule};
use crate::policy::read::{Placed, Record, Value, check_keys};
use crate::policy::source::{Ledger, Place, Source, shown};
use crate::policy::value::{HttpUrl, Name, Word};
use crate::policy::yaml::{Scalar, parse};

/// What the operator decided. The default is what holds without a file.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Where the register is, if the file says so.
    pub state: Option<String>,
    /// How many customers are worked on at once.
    pub concurrency: usize,
    /// What a tree may do.
    pub limits: Limits,
    /// Connections by name.
    pub connections: BTreeMap<Text, Connection>,
    /// Services that accounts are published to, by name.
    pub targets: BTreeMap<Text, Target>,
    /// How many removals may begin over all customers.
    pub fleet: FleetLimit,
    /// Where `run` gets the tree from, if not from a folder.
    pub git: Option<GitSource>,
    /// Who is told of what.
    pub notify: Vec<Notification>,
    /// Where the HTTP interface listens, if it does.
    pub listen: Option<SocketAddr>,
    /// Proxies before it.
    pub trusted_proxies: Vec<Network>,
    /// Who may use it; empty: whoever is on this machine, to look.
    pub tokens: Vec<AccessToken>,
    /// Who signs people in, if anybody does.
    pub oidc: Option<OidcProvider>,
    /// Who collects traces, if anybody does.
    pub traces: Option<Collector>,
}

/// A service that speaks SCIM 2.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its base address, without a slash at the end.
    pub url: String,
    /// Its bearer token.
    pub token_from: SecretRef,
    /// What Intake may do there.
    pub rules: TargetRules,
}

/// Somebody who may use the HTTP interface.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The name that the audit record and the log know.
    pub name: Text,
    /// Whether it may also start, suspend and resume customers.
    pub is_operator: bool,
    /// Where the token is kept.
    pub token_from: SecretRef,
}

/// A collector of traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    /// Where it is.
    pub url: String,
    /// Its bearer token.
    pub token_from: Option<SecretRef>,
}

/// An identity provider that speaks OpenID Connect, and whom it may let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcProvider {
    /// What it is called on the button.
    pub label: String,
    /// Its issuer, exactly as its tokens say it.
    pub issuer: String,
    /// Under which id it knows Intake.
    pub client_id: String,
    /// The client's secret; `None` for a public client.
    pub client_secret_from: Option<SecretRef>,
    /// Where people reach the dashboard, without a slash at the end.
    pub public_url: String,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// The claim whose values are roles.
    pub claim: String,
    /// Its values that may look.
    pub viewers: Vec<String>,
    /// Its values that may also give orders.
    pub operators: Vec<String>,
}

/// A policy tree in git. Paths are absolute or relative to the working folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSource {
    /// Where the repository is. Holds no secret.
    pub url: String,
    /// How it is spoken to.
    pub transport: GitTransport,
    /// The branch that is in force.
    pub branch: String,
    /// The folder of the repository that holds the tree; empty for all of it.
    pub path: String,
    /// How often it is looked for new commits.
    pub interval: Seconds,
    /// Where the copy is kept.
    pub folder: PathBuf,
    /// A token or a private key, by transport.
    pub credentials_from: Option<SecretRef>,
    /// The keys of ssh servers.
    pub known_hosts: Option<PathBuf>,
    /// Whose commits are taken; `None` takes all.
    pub verify: Option<GitVerify>,
}

/// How a git server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitTransport {
    /// HTTPS, or HTTP to this machine.
    Http,
    /// ssh.
    Ssh,
    /// git's own protocol, to this machine.
    Git,
    /// A repository on this machine.
    File,
}

/// Whose commits are taken: who is in one of these files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitVerify {
    /// Allowed signers by ssh keys.
    pub allowed_signers: Option<PathBuf>,
    /// OpenPGP keys.
    pub open_pgp_keys: Option<PathBuf>,
}

/// A connection: where to, and with which secrets.
#[derive(Debug, Clone)]
pub enum Connection {
    /// Microsoft Graph.
    Graph(GraphConnection),
    /// IT Glue.
    ItGlue(ItGlueConnection),
    /// Hudu.
    Hudu(HuduConnection),
    /// ConnectWise PSA.
    ConnectWise(ConnectWiseConnection),
}

/// A key of IT Glue.
#[derive(Debug, Clone)]
pub struct ItGlueConnection {
    /// Where the API is: a scheme, a host and perhaps a port.
    pub url: String,
    /// The API key.
    pub api_key_from: SecretRef,
    /// Categories of password entries that accounts are matched with by username. Empty: none are read.
    pub password_categories: Vec<Text>,
    /// What is made for an account that has nobody, where that is wanted; entries need a category.
    pub missing_as: ContactKind,
}

/// A key of a Hudu instance.
#[derive(Debug, Clone)]
pub struct HuduConnection {
    /// Where the instance is: a scheme, a host and perhaps a port.
    pub url: String,
    /// The API key.
    pub api_key_from: SecretRef,
}

/// An API member of ConnectWise PSA.
#[derive(Debug, Clone)]
pub struct ConnectWiseConnection {
    /// Where the API is: a scheme, a host and perhaps a port.
    pub url: String,
    /// The company that one logs in to.
    pub login_company: Text,
    /// The id of the integration.
    pub client_id: Guid,
    /// The API member's public key.
    pub public_key_from: SecretRef,
    /// The API member's private key.
    pub private_key_from: SecretRef,
}

impl Connection {
    /// Returns what the connection leads to.
    pub fn kind(&self) -> ConnectionKind {
        match self {
            Self::Graph(_) => ConnectionKind::Graph,
            Self::ItGlue(_) => ConnectionKind::Documentation(Product::ItGlue),
            Self::Hudu(_) => ConnectionKind::Documentation(Product::Hudu),
            Self::ConnectWise(_) => ConnectionKind::Documentation(Product::ConnectWise),
        }
    }
}

/// An application of the operator's at Microsoft Graph.
#[derive(Debug, Clone)]
pub struct GraphConnection {
    /// The application's id.
    pub client_id: Guid,
    /// Where its services are.
    pub endpoints: GraphEndpoints,
    /// How it proves itself; a certificate's path is relative to the working folder, or absolute.
    pub credential: GraphCredential,
}

/// A webhook, and what it is told of.
#[derive(Debug, Clone)]
pub struct Notification {
    /// Where to.
    pub url: String,
    /// Its bearer token.
    pub token_from: Option<SecretRef>,
    /// The key that signs what is sent.
    pub signing_key_from: Option<SecretRef>,
    /// Whether it takes messages for people in place of events.
    pub is_for_people: bool,
    /// Of what.
    pub on: BTreeSet<Occasion>,
}

/// What somebody is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    /// Accounts changed.
    Changed,
    /// Removals are held.
    Held,
    /// A customer could not be read, or is broken.
    Failed,
    /// A customer that failed or was held works again.
    Recovered,
}

/// Why there is no operator's file.
#[derive(Debug, thiserror::Error)]
pub enum OperatorFault {
    /// It cannot be read.
    #[error("the operator's file {path} cannot be read")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is broken.
    #[error("the operator's file {path} has {} {}", problems.len(), if problems.len() == 1 { "problem" } else { "problems" })]
    Broken {
        /// Which.
        path: String,
        /// What is wrong.
        problems: Vec<Problem>,
    },
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            state: None,
            concurrency: 16,
            limits: Limits::default(),
            connections: BTreeMap::new(),
            targets: BTreeMap::new(),
            fleet: FleetLimit::default(),
            git: None,
            notify: Vec::new(),
            listen: None,
            trusted_proxies: Vec::new(),
            tokens: Vec::new(),
            oidc: None,
            traces: None,
        }
    }
}

/// Reads the operator's file; without one the defaults hold.
///
/// # Errors
/// If the file cannot be read, or something in it is wrong: then nothing may run, as a limit that
/// was mistyped would not hold.
pub fn load(path: Option<&Path>) -> Result<Operator, OperatorFault> {
    let Some(path) = path else { return Ok(Operator::default()) };
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
    let mut content = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut content))
        .map_err(|source| OperatorFault::Unreadable { path: shown(path), source })?;
    check(path, content).map_err(|problems| OperatorFault::Broken { path: shown(path), problems })
}

/// Checks an operator's file. Paths of certificates are joined with the folder of `path`.
///
/// # Errors
/// Everything that is wrong in it, by line and column.
pub fn check(path: &Path, content: Vec<u8>) -> Result<Operator, Vec<Problem>> {
    let mut ledger = Ledger::default();
    let (text, broken) = match String::from_utf8(content) {
        Ok(text) => (text, None),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some((offset, "this is not UTF-8")))
        }
    };
    let broken = broken.or_else(|| (text.len() > MAX_FILE).then_some((0, "this file is larger than 4 MiB")));
    let source = ledger.add(Source::new(path, text));
    if let Some((offset, what)) = broken {
        let start = u32::try_from(offset).unwrap_or(u32::MAX);
        ledger.report(Place { source, start, end: start }, what);
        return Err(ledger.finish());
    }
    let documents = parse(source, 0, &mut ledger);
    if let [_, second, ..] = documents.as_slice() {
        ledger.report(second.at, "the operator's file holds one document").help("remove the others");
    }
    let root =
        documents.first().filter(|document| document.whole).and_then(|document| document.root.as_ref());
    let spec = root.and_then(|root| {
        let keys = OperatorSpec::keys();
        check_keys(root, &keys, "the operator's file", &mut ledger)
            .then(|| OperatorSpec::read_fields(root, &mut ledger))
            .flatten()
    });
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let operator = spec.map_or_else(Operator::default, |spec| build(&spec, &folder, &mut ledger));
    if ledger.is_clean() { Ok(operator) } else { Err(ledger.finish()) }
}

fn build(spec: &OperatorSpec, folder: &Path, ledger: &mut Ledger) -> Operator {
    let state = spec.state.as_ref().map(|state| state.0.clone());
    let mut operator = Operator { state, ..Operator::default() };
    if let Some(concurrency) = spec.concurrency {
        operator.concurrency = usize::try_from(concurrency.0).unwrap_or(operator.concurrency);
    }
    if let Some(secrets) = &spec.secrets {
        build_secrets(secrets, &mut operator.limits);
    }
    operator.limits.permit = spec
        .permit
        .iter()
        .flatten()
        .map(|word| match word {
            PermitWord::Endpoints => Permit::Endpoints,
            PermitWord::Plaintext => Permit::Plaintext,
            PermitWord::ManagedIdentity => Permit::ManagedIdentity,
            PermitWord::Kerberos => Permit::Kerberos,
        })
        .collect();
    if let Some(allow) = spec.network.as_ref().and_then(|network| network.allow.as_ref()) {
        operator.limits.hosts = allow.iter().map(|host| host.0.to_string()).collect();
    }
    if let Some(limits) = &spec.limits {
        build_limits(limits, &mut operator.limits);
    }
    for (name, connection) in spec.connections.iter().flat_map(|connections| &connections.0) {
        let valid = Name::from_scalar(&Scalar { text: name.value.clone(), plain: false });
        let connection = build_connection(connection, folder, ledger);
        match (valid, connection) {
            (Ok(valid), Some(connection)) => {
                operator.limits.connections.insert(valid.0.clone(), connection.kind());
                operator.connections.insert(valid.0, connection);
            }
            (Ok(_), None) => {}
            (Err(wrong), _) => {
                ledger.report(name.at, wrong.what).maybe_help(wrong.help);
            }
        }
    }
    for (name, target) in spec.targets.iter().flat_map(|targets| &targets.0) {
        let valid = Name::from_scalar(&Scalar { text: name.value.clone(), plain: false });
        match (valid, build_target(target, ledger)) {
            (Ok(valid), target) => {
                // Also one that is broken is no typo of those who name it.
                operator.limits.targets.insert(valid.0.clone());
                operator.targets.extend(target.map(|target| (valid.0, target)));
            }
            (Err(wrong), _) => {
                ledger.report(name.at, wrong.what).maybe_help(wrong.help);
            }
        }
    }
    if let Some(fleet) = &spec.fleet {
        let FleetLimit { max_removals, window } = FleetLimit::default();
        operator.fleet = FleetLimit {
            max_removals: fleet.max_removals.map_or(max_removals, |count| count.0.into()),
            window: fleet.window.map_or(window, |window| window.0),
        };
    }
    operator.git = spec.git.as_ref().map(|git| build_git(git, folder, ledger));
    operator.notify = spec.notify.iter().flatten().map(build_notification).collect();
    operator.tokens = spec.auth.as_ref().map(|auth| build_tokens(auth, ledger)).unwrap_or_default();
    operator.traces = spec.traces.as_ref().map(|traces| Collector {
        url: traces.otlp.url.value.0.clone(),
        token_from: traces.otlp.token_from.as_ref().and_then(|secret| secret.reference()),
    });
    operator.oidc = spec.auth.as_ref().and_then(|auth| Some(build_oidc(auth.oidc.as_ref()?, ledger)));
    operator.trusted_proxies = spec.trusted_proxies.iter().flatten().map(|proxy| proxy.value.0).collect();
    if let Some(listen) = &spec.listen {
        let address = listen.value.0;
        let is_open = operator.tokens.is_empty() && operator.oidc.is_none();
        if !address.ip().is_loopback() && is_open {
            ledger
                .report(
                    listen.at,
                    "without tokens only this machine may ask, and this address is for others too",
                )
                .rule(Rule::Conflict)
                .help("say in `auth: {tokens: …}` who may ask, or listen on `127.0.0.1`");
        }
        operator.listen = Some(address);
    }
    operator
}

fn build_tokens(spec: &AuthSpec, ledger: &mut Ledger) -> Vec<AccessToken> {
    let mut tokens: Vec<AccessToken> = Vec::new();
    for token in spec.tokens.iter().flatten() {
        let name = token.name.value.0.clone();
        if tokens.iter().any(|known| known.name == name) {
            ledger.report(token.name.at, format!("there are two tokens `{name}`")).rule(Rule::Duplicate);
        }
        // A reference that is broken has been reported.
        let Some(token_from) = token.token_from.reference() else { continue };
        tokens.push(AccessToken { name, is_operator: token.role == RoleWord::Operator, token_from });
    }
    tokens
}

fn build_oidc(spec: &OidcSpec, ledger: &mut Ledger) -> OidcProvider {
    let words = |words: &Option<Vec<Word>>| -> Vec<String> {
        words.iter().flatten().map(|word| word.0.to_string()).collect()
    };
    let roles = &spec.roles.value;
    let (viewers, operators) = (words(&roles.viewer), words(&roles.operator));
    if viewers.is_empty() && operators.is_empty() {
        ledger
            .report(spec.roles.at, "nobody could sign in: neither `viewer` nor `operator` has a value")
            .help("name the values of the claim that may look, and those that may give orders");
    }
    let public_url = spec.public_url.value.0.trim_end_matches('/');
    // A path in front would need the proxy's help, and cookies are for all of a host.
    let has_more = |url: &Url| url.query().is_some() || url.fragment().is_some();
    if Url::parse(public_url).is_ok_and(|url| url.path() != "/" || has_more(&url)) {
        ledger.report(spec.public_url.at, "this address has a path").help("write `https://HOST`");
    }
    if Url::parse(&spec.issuer.value.0).is_ok_and(|url| has_more(&url)) {
        ledger
            .report(spec.issuer.at, "an issuer has neither a query nor a fragment")
            .help("write it as `issuer` of the provider's `/.well-known/openid-configuration` has it");
    }
    let issuer = spec.issuer.value.0.clone();
    let host = Url::parse(&issuer).ok().and_then(|url| url.host_str().map(str::to_owned));
    OidcProvider {
        label: spec.label.as_ref().map(|label| label.0.to_string()).or(host).unwrap_or_default(),
        issuer,
        client_id: spec.client_id.0.to_string(),
        client_secret_from: spec.client_secret_from.as_ref().and_then(|secret| secret.reference()),
        public_url: public_url.to_owned(),
        scopes: match &spec.scopes {
            None => vec!["profile".to_owned(), "email".to_owned()],
            scopes => words(scopes),
        },
        claim: roles.claim.as_ref().map_or_else(|| "roles".to_owned(), |claim| claim.0.to_string()),
        viewers,
        operators,
    }
}

fn build_secrets(spec: &SecretsSpec, limits: &mut Limits) {
    if let Some(env) = &spec.env {
        limits.secret_env = env.iter().map(|pattern| pattern.0.to_string()).collect();
    }
    if let Some(files) = &spec.files {
        limits.secret_files = files.iter().map(|pattern| pattern.0.clone()).collect();
    }
}

fn build_limits(spec: &LimitsSpec, limits: &mut Limits) {
    let removal = spec.removal.as_ref();
    if let Some(percent) = removal.and_then(|removal| removal.max_percent) {
        limits.max_percent = percent.0;
    }
    if let Some(count) = removal.and_then(|removal| removal.max_count) {
        limits.max_count = count.0;
    }
    limits.allow_empty = spec.allow_empty.unwrap_or(limits.allow_empty);
    limits.include_privileged = spec.include_privileged.unwrap_or(limits.include_privileged);
    if let Some(interval) = spec.min_interval {
        limits.min_interval = interval.0;
    }
}

fn build_connection(spec: &Placed<ConnectionSpec>, folder: &Path, ledger: &mut Ledger) -> Option<Connection> {
    let ConnectionSpec { graph, it_glue, hudu, connect_wise } = &spec.value;
    if let Some(graph) = graph {
        return build_application(graph, folder, ledger).map(Connection::Graph);
    }
    if let Some(ItGlueSpec { region, url, api_key_from, password_categories, missing_as }) = it_glue {
        let url = match (region, url) {
            (Some(region), _) => region.url().to_owned(),
            (None, Some(url)) => service(url, ledger),
            // Reported: exactly one of the two is needed.
            (None, None) => return None,
        };
        let password_categories: Vec<Text> =
            password_categories.iter().flatten().map(|word| word.0.clone()).collect();
        let makes_entries = missing_as.as_ref().filter(|word| word.value == MissingAsWord::PasswordEntry);
        if let Some(word) = makes_entries.filter(|_| password_categories.is_empty()) {
            ledger
                .report(
                    word.at,
                    "an entry that is made needs a category, and `passwordCategories` names none",
                )
                .rule(Rule::MissingKey)
                .help("write `passwordCategories: [Active Directory]`: new entries get the first one");
        }
        return Some(Connection::ItGlue(ItGlueConnection {
            url,
            api_key_from: api_key_from.reference()?,
            password_categories,
            missing_as: makes_entries.map_or(ContactKind::Person, |_| ContactKind::PasswordEntry),
        }));
    }
    if let Some(HuduSpec { url, api_key_from }) = hudu {
        return Some(Connection::Hudu(HuduConnection {
            url: service(url, ledger),
            api_key_from: api_key_from.reference()?,
        }));
    }
    let ConnectWiseSpec { url, login_company, client_id, public_key_from, private_key_from } =
        connect_wise.as_ref()?;
    Some(Connection::ConnectWise(ConnectWiseConnection {
        url: service(url, ledger),
        login_company: login_company.0.clone(),
        client_id: client_id.0,
        public_key_from: public_key_from.reference()?,
        private_key_from: private_key_from.reference()?,
    }))
}

fn build_target(spec: &Placed<TargetSpec>, ledger: &mut Ledger) -> Option<Target> {
    let ScimSpec { url, token_from, adopt, on_removal, removal, drift } = spec.value.scim.as_ref()?;
    let address = url.value.0.trim_end_matches('/');
    if Url::parse(address).is_ok_and(|url| url.query().is_some() || url.fragment().is_some()) {
        ledger
            .report(url.at, "the base address of a SCIM service has neither a query nor a fragment")
            .help("write it as its documentation has it: `https://app.example/scim/v2`");
    }
    let mut rules = TargetRules::default();
    if *adopt == Some(AdoptWord::UserName) {
        rules.adopt = Adopt::UserName;
    }
    if *on_removal == Some(OnRemovalWord::Delete) {
        rules.on_removal = OnRemoval::Delete;
    }
    if let Some(removal) = removal {
        let limit = &mut rules.removal;
        limit.window = removal.window.map_or(limit.window, |window| window.0);
        limit.max_percent = removal.max_percent.map_or(limit.max_percent, |percent| percent.0);
        limit.max_count = removal.max_count.map_or(limit.max_count, |count| count.0.into());
        limit.min_count = removal.min_count.map_or(limit.min_count, |count| count.0.into());
    }
    if let Some(drift) = drift {
        rules.is_corrected = drift.correct.unwrap_or(rules.is_corrected);
        if let Some(check) = &drift.check {
            if check.value.0 < Seconds(3_600) {
                ledger
                    .report(check.at, "`check` lists all users of the target, and must be 1h at least")
                    .help("write `check: 24h`");
            }
            rules.check = check.value.0;
        }
    }
    Some(Target { url: address.to_owned(), token_from: token_from.reference()?, rules })
}

/// Returns the address of a service that is sent a key.
fn service(url: &Placed<HttpUrl>, ledger: &mut Ledger) -> String {
    let address = &url.value.0;
    if address.scheme == "http" && !address.is_loopback {
        ledger
            .report(url.at, "a key would travel in plain text")
            .rule(Rule::Conflict)
            .help("write `https://`; `http://` is for this machine alone");
    }
    address.written.clone()
}

fn build_application(
    graph: &Placed<ApplicationSpec>,
    folder: &Path,
    ledger: &mut Ledger,
) -> Option<GraphConnection> {
    match graph.value.check(graph.at, ledger)? {
        GraphApplication::Own { client_id, endpoints, credential } => {
            let credential = match credential {
                GraphCredential::Certificate { certificate_file, private_key_from } => {
                    let certificate_file = folder.join(certificate_file);
                    GraphCredential::Certificate { certificate_file, private_key_from }
                }
                other => other,
            };
            Some(GraphConnection { client_id, endpoints, credential })
        }
        GraphApplication::Connection(_) => None,
    }
}

fn build_git(spec: &GitSpec, folder: &Path, ledger: &mut Ledger) -> GitSource {
    let url = spec.url.value.0.clone();
    let transport = match url.split_once("://") {
        _ if is_scp_like(&url) => GitTransport::Ssh,
        Some(("ssh", _)) => GitTransport::Ssh,
        Some(("git", _)) => GitTransport::Git,
        Some(("file", _)) => GitTransport::File,
        _ => GitTransport::Http,
    };
    match (transport, &spec.known_hosts) {
        (GitTransport::Ssh, None) => {
            ledger
                .report(spec.url.at, "`knownHosts` is missing here: whose key the server must have")
                .help("`ssh-keyscan HOST` prints keys; compare them with what the server's people publish");
        }
        (GitTransport::Http | GitTransport::Git | GitTransport::File, Some(_)) => {
            ledger.report(spec.url.at, "`knownHosts` is for ssh alone");
        }
        _ => {}
    }
    if spec.credentials_from.is_some() && matches!(transport, GitTransport::Git | GitTransport::File) {
        ledger.report(spec.url.at, "`credentialsFrom` is for https and ssh alone");
    }
    let verify = spec.verify.as_ref().map(|verify| {
        let file = |path: &Option<FilePath>| path.as_ref().map(|path| folder.join(&path.0));
        let (ssh, open_pgp) = (file(&verify.value.allowed_signers), file(&verify.value.open_pgp_keys));
        if ssh.is_none() && open_pgp.is_none() {
            ledger.report(verify.at, "`allowedSigners` or `openPgpKeys` is missing here");
        }
        GitVerify { allowed_signers: ssh, open_pgp_keys: open_pgp }
    });
    let interval = match &spec.interval {
        None => Seconds(60),
        Some(interval) if (1..=86_400).contains(&interval.value.0.0) => interval.value.0,
        Some(interval) => {
            ledger.report(interval.at, "out of range").help("write a duration from 1s to 1d");
            Seconds(60)
        }
    };
    GitSource {
        url,
        transport,
        branch: spec.branch.as_ref().map_or_else(|| "main".to_owned(), |branch| branch.0.clone()),
        path: spec.path.as_ref().map_or_else(String::new, |path| path.0.clone()),
        interval,
        folder: match &spec.folder {
            Some(path) => folder.join(&path.0),
            None => PathBuf::from("intake-git"),
        },
        credentials_from: spec.credentials_from.as_ref().and_then(|secret| secret.reference()),
        known_hosts: spec.known_hosts.as_ref().map(|path| folder.join(&path.0)),
        verify,
    }
}

fn build_notification(spec: &NotifySpec) -> Notification {
    let occasion = |word: &OccasionWord| match word {
        OccasionWord::Changed => Occasion::Changed,
        OccasionWord::Held => Occasion::Held,
        OccasionWord::Failed => Occasion::Failed,
        OccasionWord::Recovered => Occasion::Recovered,
    };
    let on = match &spec.on {
        Some(words) => words.iter().map(occasion).collect(),
        None => [Occasion::Changed, Occasion::Held, Occasion::Failed, Occasion::Recovered].into(),
    };
    Notification {
        url: spec.webhook.url.value.0.clone(),
        token_from: spec.webhook.token_from.as_ref().and_then(|secret| secret.reference()),
        signing_key_from: spec.webhook.signing_key_from.as_ref().and_then(|secret| secret.reference()),
        is_for_people: spec.webhook.form == Some(FormWord::Slack),
        on,
    }
}
