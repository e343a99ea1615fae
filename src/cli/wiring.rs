//! Ties the commands to the adapters: the one place that knows which adapter stands behind which
//! port.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use url::Url;

use crate::adapters::controller_api::ControllerApi;
use crate::adapters::folder::read_tree;
use crate::adapters::http::HttpClient;
use crate::adapters::http_secret::ReadSecret;
use crate::adapters::oidc::{Oidc, Provider};
use crate::adapters::otlp::Traces;
use crate::adapters::prometheus::PrometheusMeter;
use crate::adapters::prometheus_page::PrometheusPage;
use crate::adapters::store::address::Address;
use crate::adapters::store::{connection, moving};
use crate::cli::documentation::{OpenConnections, OperatorDocumentation};
use crate::cli::exit::Failure;
use crate::cli::logging;
use crate::cli::sources::AdapterSources;
use crate::cli::targets::{OperatorTargets, ScimMemories};
use crate::cli::tokens::OperatorTokens;
use crate::cli::webhooks::Webhook;
use crate::config::operator::{self, GitSource, Notification, Occasion, OperatorFault};
use crate::config::secrets::{self, Owner, Secrets};
use crate::model::contact::Product;
use crate::model::digest::Digest;
use crate::model::duration::Seconds;
use crate::model::network::Network;
use crate::model::reading::{Fault, FaultKind};
use crate::model::text::Text;
use crate::policy::check::{TreeFile, check};
use crate::policy::fleet::{Fleet, SecretRef};
use crate::policy::limits::{ConnectionKind, FleetLimit, Limits};
use crate::policy::problem::Problem;
use crate::policy::schema;
use crate::ports::access::TokenBook;
use crate::ports::browse::Browse;
use crate::ports::census::Census;
use crate::ports::clock::Clock;
use crate::ports::controller::RunningController;
use crate::ports::documentation::DocumentationSystems;
use crate::ports::in_force::{InForce, SuspendedInTree};
use crate::ports::leases::Leases;
use crate::ports::meter::{Meter, Readout};
use crate::ports::moving::{Checked, Copied};
use crate::ports::outbox::{Destination, Outbox};
use crate::ports::publishing::{PublicationReader, Publications, Targets};
use crate::ports::register::{Register, RegisterFault, RegisterReader};
use crate::ports::sign_in::{SIGNED_IN, SignIn};
use crate::ports::source::Sources;
use crate::reconcile::make_contact::{ContactMaker, destination_of};
use crate::reconcile::notice::{Notice, Subscription};
use crate::reconcile::provision::Provisioner;
use crate::reconcile::publish::{self, Publisher};
use crate::web::server::Entrance;

/// What the operator's file says, and the secrets that it lets a tree use.
#[derive(Clone)]
pub struct Operator {
    /// Where the register is.
    pub state: Option<String>,
    /// How many customers at once.
    pub concurrency: usize,
    /// Who is told what.
    pub subscriptions: Vec<Subscription>,
    /// Where the HTTP interface listens.
    pub listen: Option<SocketAddr>,
    /// Proxies before it that are trusted.
    pub trusted_proxies: Vec<Network>,
    settings: Arc<operator::Operator>,
    secrets: Arc<Secrets>,
    connections: Arc<OpenConnections>,
    memories: Arc<ScimMemories>,
}

/// A tree that was read and checked.
pub struct CheckedTree {
    /// What it says.
    pub fleet: Fleet,
    /// What is wrong in it.
    pub problems: Vec<ShownProblem>,
}

/// Something that is wrong in a tree, in every form that it is shown in.
pub struct ShownProblem {
    /// On one line, for a log: file, line, column and what is wrong.
    pub line: String,
    /// With the line of the file, for people; ends with a line break.
    pub drawn: String,
    /// For programs.
    pub problem: Problem,
}

/// An opened store.
pub struct Store {
    /// The register.
    pub register: Arc<dyn Register>,
    /// The outbox.
    pub outbox: Arc<dyn Outbox>,
    /// What is known of accounts at targets.
    pub publications: Arc<dyn Publications>,
    /// What both hold, counted.
    pub census: Arc<dyn Census>,
    /// What both hold, for whoever looks around.
    pub browse: Arc<dyn Browse>,
    /// How replicas share it, if it is a store that they can.
    pub shared: Option<SharedStore>,
    opened: Arc<connection::Store>,
}

/// A store that replicas share.
pub struct SharedStore {
    /// The register for turns: of a customer it is written only while its lease is held.
    pub register: Arc<dyn Register>,
    /// What is known of accounts at targets, for turns: the same holds.
    pub publications: Arc<dyn Publications>,
    /// Who holds what.
    pub leases: Arc<dyn Leases>,
}

/// How long closing a store may take: as long as a slow disk needs, and well within what a service
/// manager waits before it kills. Without it nothing is lost: the next opener catches up.
const CLOSING: Duration = Duration::from_secs(5);

impl Store {
    /// Closes the store at the end of a command, so that all of it lies in its one file: whoever
    /// copies that file has everything, and a `plan` that follows finds nothing to tidy up.
    pub async fn close(&self) {
        if tokio::time::timeout(CLOSING, self.opened.close()).await.is_err() {
            tracing::warn!("the store is still being written and was not closed");
        }
    }
}

/// Reads the operator's file; without one, its defaults hold.
///
/// # Errors
/// If it cannot be read or has errors, all of which are told.
pub fn operator(path: Option<&Path>) -> Result<Operator, Failure> {
    let settings = operator::load(path).map_err(|fault| {
        let details = match &fault {
            OperatorFault::Broken { problems, .. } => problems.iter().map(Problem::to_string).collect(),
            OperatorFault::Unreadable { .. } => Vec::new(),
        };
        Failure::of("", &fault).details(details)
    })?;
    Ok(Operator {
        state: settings.state.clone(),
        concurrency: settings.concurrency,
        subscriptions: settings.notify.iter().map(subscription).collect(),
        listen: settings.listen,
        trusted_proxies: settings.trusted_proxies.clone(),
        secrets: Arc::new(Secrets::new(&settings.limits)),
        connections: Arc::default(),
        memories: Arc::default(),
        settings: Arc::new(settings),
    })
}

fn subscription(notification: &Notification) -> Subscription {
    let notice = |occasion: &Occasion| match occasion {
        Occasion::Changed => Notice::Changed,
        Occasion::Held => Notice::Held,
        Occasion::Failed => Notice::Failed,
        Occasion::Recovered => Notice::Recovered,
    };
    let on: BTreeSet<Notice> = notification.on.iter().map(notice).collect();
    Subscription { destination: destination_name(&notification.url), on }
}

/// Names a webhook in the outbox: by its address, so that the order in the file does not matter,
/// and not in clear, as some addresses are secrets.
fn destination_name(url: &str) -> Text {
    let digest = Digest::of(url.as_bytes()).to_string();
    Text::from(format!("webhook-{}", &digest["sha256:".len()..][..16]))
}

impl Operator {
    /// Returns how many removals may begin over all customers.
    pub fn fleet(&self) -> FleetLimit {
        self.settings.fleet
    }

    /// Returns where the tree is in git, if it is.
    pub fn git(&self) -> Option<&GitSource> {
        self.settings.git.as_ref()
    }

    /// Reads a secret of the operator's own.
    ///
    /// # Errors
    /// One that is not there, or cannot be read.
    pub fn secret(&self, reference: &SecretRef) -> Result<SecretString, Fault> {
        let secret = self.secrets.resolve(Owner::Operator, reference);
        secret.map_err(|fault| Fault::new(FaultKind::Refused, Failure::of("", &fault).what))
    }

    /// Returns what reads a secret of the operator's own whenever it is needed.
    ///
    /// # Errors
    /// One that cannot be read now; `what` says whose it is.
    fn read_secret(&self, what: &str, reference: SecretRef) -> Result<ReadSecret, Failure> {
        let secrets = self.secrets.clone();
        let read = move || {
            let secret = secrets.resolve(Owner::Operator, &reference);
            secret.map_err(|fault| Failure::of("", &fault).what)
        };
        read().map_err(|fault| Failure::new(format!("{what}: {fault}")))?;
        Ok(Arc::new(read))
    }

    /// Returns what a tree may do.
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// Returns what opens customers' sources. Files are named in messages as they lie below
    /// `root`; `max_wait` is how long throttling and faults may delay a reading; `meter` counts what they
    /// are asked.
    pub fn sources(&self, root: &Path, max_wait: Seconds, meter: Arc<dyn Meter>) -> Arc<dyn Sources> {
        let (settings, secrets) = (Arc::clone(&self.settings), Arc::clone(&self.secrets));
        Arc::new(AdapterSources::new(settings, secrets, root.to_owned(), max_wait.to_std(), meter))
    }

    /// Returns what opens documentation systems; `max_wait` is how long throttling and faults may delay a
    /// reading, and `meter` counts what they are asked. All of them share what is kept of a connection.
    pub fn documentation(&self, max_wait: Seconds, meter: Arc<dyn Meter>) -> Arc<dyn DocumentationSystems> {
        Arc::new(OperatorDocumentation::new(
            Arc::clone(&self.settings),
            Arc::clone(&self.secrets),
            Arc::clone(&self.connections),
            max_wait.to_std(),
            meter,
        ))
    }

    /// Returns what opens targets; `max_wait` is how long throttling and faults may delay a conversation.
    pub fn targets(&self, max_wait: Seconds, meter: Arc<dyn Meter>) -> Arc<dyn Targets> {
        Arc::new(OperatorTargets::new(
            Arc::clone(&self.settings),
            Arc::clone(&self.secrets),
            Arc::clone(&self.memories),
            max_wait.to_std(),
            meter,
        ))
    }

    /// Returns who decides what is published, and writes it there; `tree` says whom it suspends.
    pub fn publisher(
        &self,
        targets: &Arc<dyn Targets>,
        store: &Store,
        publications: Arc<dyn Publications>,
        tree: &Arc<dyn SuspendedInTree>,
    ) -> Arc<Publisher> {
        Arc::new(Publisher {
            targets: targets.clone(),
            publications,
            register: store.register.clone(),
            tree: tree.clone(),
            clock: Arc::new(SystemClock),
            new_run,
            room: tokio::sync::Mutex::new(()),
        })
    }

    /// Returns the connections to a documentation product, sorted.
    pub fn documentation_connections(&self, product: Product) -> Vec<Text> {
        let kind = ConnectionKind::Documentation(product);
        let connections =
            self.settings.connections.iter().filter(|(_, connection)| connection.kind() == kind);
        connections.map(|(name, _)| name.clone()).collect()
    }

    /// Returns where deliveries go, by name. One whose secrets cannot be read is told of: what is meant for it
    /// waits until they can. `tree` says whom it suspends.
    pub fn destinations(
        &self,
        systems: &Arc<dyn DocumentationSystems>,
        targets: &Arc<dyn Targets>,
        store: &Store,
        tree: &Arc<dyn SuspendedInTree>,
    ) -> BTreeMap<Text, Arc<dyn Destination>> {
        let mut destinations: BTreeMap<Text, Arc<dyn Destination>> = BTreeMap::new();
        for connection in self.settings.connections.keys().filter(|name| systems.product(name).is_some()) {
            let maker = ContactMaker {
                connection: connection.clone(),
                systems: systems.clone(),
                register: store.register.clone(),
                tree: tree.clone(),
            };
            destinations.insert(destination_of(connection), Arc::new(maker));
        }
        for target in self.settings.targets.keys() {
            let provisioner = Provisioner {
                target: target.clone(),
                targets: targets.clone(),
                publications: store.publications.clone(),
                tree: tree.clone(),
                clock: Arc::new(SystemClock),
                new_run,
            };
            destinations.insert(publish::destination_of(target), Arc::new(provisioner));
        }
        for notification in &self.settings.notify {
            let name = destination_name(&notification.url);
            let webhook = Webhook::new(notification.clone(), self.secrets.clone());
            if let Err(fault) = webhook.open() {
                tracing::error!(destination = %name, "no notifications: {}", fault.with_hint());
            }
            destinations.insert(name, Arc::new(webhook));
        }
        destinations
    }
}

/// Reads and checks a tree. `coloured` is about how problems are drawn.
///
/// # Errors
/// As [`tree_files`].
pub fn check_tree(root: &Path, operator: &Operator, coloured: bool) -> Result<CheckedTree, Failure> {
    Ok(check_files(&tree_files(root)?, operator, coloured))
}

/// Reads the policy files of a tree that may still be empty.
///
/// # Errors
/// If the tree itself cannot be read.
pub fn policy_files(root: &Path) -> Result<Vec<TreeFile>, Failure> {
    read_tree(root).map_err(|fault| Failure::of("", &fault))
}

/// Reads the policy files of a tree.
///
/// # Errors
/// If the tree itself cannot be read: no such folder, no permission, or not a single document in it,
/// as in a folder that is none of policies. Nobody may be orphaned by a mistyped path.
pub fn tree_files(root: &Path) -> Result<Vec<TreeFile>, Failure> {
    let files = policy_files(root)?;
    if !files.iter().any(has_document) {
        return Err(Failure::new(format!("no policy files in `{}`", root.display()))
            .hint("name the folder that holds the YAML files of customers and policies"));
    }
    Ok(files)
}

/// Checks policy files.
pub fn check_files(files: &[TreeFile], operator: &Operator, coloured: bool) -> CheckedTree {
    let checked = check(files, &operator.settings.limits);
    let problems = checked.problems.iter().map(|problem| show(problem, coloured)).collect();
    CheckedTree { fleet: checked.fleet, problems }
}

/// Returns the controller at an address, to be asked with the token of the environment, if there is one.
///
/// # Errors
/// If that is no address to which a token may be sent.
pub fn controller(typed: &str, max_wait: Seconds) -> Result<Box<dyn RunningController>, Failure> {
    let token = secrets::token_of_environment();
    Ok(Box::new(ControllerApi::new(typed, token, max_wait.to_std())?))
}

/// Checks a tree that nobody wrote yet, as without an operator's file.
///
/// # Errors
/// None that can be met: the operator's defaults hold.
pub fn check_texts(files: impl Iterator<Item = (PathBuf, String)>) -> Result<Vec<ShownProblem>, Failure> {
    let files: Vec<TreeFile> =
        files.map(|(path, text)| TreeFile { path, content: Ok(text.into_bytes()) }).collect();
    let checked = check(&files, &operator(None)?.settings.limits);
    Ok(checked.problems.iter().map(|problem| show(problem, false)).collect())
}

fn show(problem: &Problem, coloured: bool) -> ShownProblem {
    ShownProblem { line: problem.to_string(), drawn: problem.render(coloured), problem: problem.clone() }
}

/// Whether a file holds more than comments and separators. What cannot be read may.
fn has_document(file: &TreeFile) -> bool {
    let says_something = |line: &[u8]| {
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line).trim_ascii();
        !(line.is_empty() || line.starts_with(b"#") || line == b"---" || line == b"...")
    };
    file.content.as_ref().map_or(true, |content| content.split(|byte| *byte == b'\n').any(says_something))
}

/// Opens the store for writing; makes it where there is none.
///
/// # Errors
/// The store's.
pub async fn open_store(url: &str) -> Result<Store, Failure> {
    let store = Arc::new(connection::Store::open(url).await?);
    Ok(Store {
        register: store.clone(),
        outbox: store.clone(),
        publications: store.clone(),
        census: Arc::new(store.census()),
        browse: Arc::new(store.browse()),
        shared: store.leases(new_run().to_string()).map(|leases| {
            let fenced = Arc::new(leases.fenced());
            SharedStore { register: fenced.clone(), publications: fenced, leases: Arc::new(leases) }
        }),
        opened: store,
    })
}

/// Opens the store for asking only; makes nothing.
///
/// # Errors
/// The store's.
pub async fn open_reading(url: &str) -> Result<Arc<dyn RegisterReader>, Failure> {
    Ok(Arc::new(connection::Store::open_reading(url).await?))
}

/// Copies a store into an empty one.
///
/// # Errors
/// The stores'; nothing was written then.
pub async fn copy_store(from: &str, to: &str) -> Result<Copied, Failure> {
    moving::copy(from, to).await.map_err(|fault| not_moved(&fault))
}

/// Copies a store into a new file.
///
/// # Errors
/// The store's, and those of the file.
pub async fn back_up_store(from: &str, to: &Path) -> Result<Copied, Failure> {
    moving::back_up(from, to).await.map_err(|fault| not_moved(&fault))
}

/// `--state` is one of two addresses here, or none of them: what is wrong says which.
fn not_moved(fault: &RegisterFault) -> Failure {
    let failure = Failure::of("", fault);
    match fault {
        RegisterFault::Newer => failure.hint("use the version of Intake that wrote it, or a later one"),
        RegisterFault::Damaged { .. } => failure.hint("`intake state check` tells all that is damaged"),
        _ => failure,
    }
}

/// Reads everything in a store; `None` if there is none.
///
/// # Errors
/// The store's.
pub async fn check_store(url: &str) -> Result<Option<Checked>, Failure> {
    Ok(connection::Store::open_reading(url).await?.check().await?)
}

/// Returns the address of a store as others may see it: with the word PASSWORD in place of one.
pub fn without_password(url: &str) -> String {
    match url.parse::<Url>() {
        Ok(mut shown) if shown.password().is_some() => {
            let _ = shown.set_password(Some("PASSWORD"));
            shown.to_string()
        }
        _ => url.to_owned(),
    }
}

/// Opens what is known of publications, for asking only; makes nothing.
///
/// # Errors
/// The store's.
pub async fn open_publications(url: &str) -> Result<Arc<dyn PublicationReader>, Failure> {
    Ok(Arc::new(connection::Store::open_reading(url).await?))
}

/// Whether there is a store at all: one that nobody made yet reads as an empty one.
pub fn store_is_there(url: &str) -> bool {
    match Address::parse(url) {
        Ok(Address::File(path)) => path.exists(),
        Ok(Address::Memory | Address::Server(_)) | Err(_) => true,
    }
}

/// Returns the JSON Schemas of policy files by file name.
pub fn schemas() -> BTreeMap<&'static str, String> {
    schema::schemas()
}

/// Begins to listen for whoever asks over HTTP.
///
/// # Errors
/// If somebody else listens there, or the address is not this machine's.
pub async fn open_entrance(address: SocketAddr) -> Result<Entrance, Failure> {
    Entrance::open(address).await.map_err(|error| {
        let failure = Failure::of(&format!("cannot listen on {address}"), &error);
        match error.kind() {
            ErrorKind::AddrInUse => failure.hint("another program has this port, perhaps another controller"),
            ErrorKind::AddrNotAvailable => {
                failure.hint("`listen` names an address that this machine does not have")
            }
            ErrorKind::PermissionDenied => {
                failure.hint("ports below 1024 need a permission; choose a higher one")
            }
            _ => failure,
        }
    })
}

/// Returns who may ask over HTTP.
///
/// # Errors
/// If a token cannot be read, or two are the same: with a typo in the operator's file nobody would get in,
/// or with the wrong role.
pub fn tokens(operator: &Operator) -> Result<Arc<dyn TokenBook>, Failure> {
    let settings = &operator.settings;
    let book =
        OperatorTokens::new(settings.tokens.clone(), settings.oidc.is_some(), operator.secrets.clone());
    book.expect_sound()?;
    Ok(Arc::new(book))
}

/// Begins to trace what is done, if anybody collects it; returns what sends it.
///
/// # Errors
/// If the collector's token cannot be read, or its address is none.
pub fn traces(operator: &Operator) -> Result<Option<Traces>, Failure> {
    let Some(collector) = operator.settings.traces.clone() else { return Ok(None) };
    let token = match collector.token_from {
        Some(reference) => Some(operator.read_secret("the token of `traces.otlp`", reference)?),
        None => None,
    };
    let traces = Traces::open(&collector.url, token, HttpClient::new()).map_err(Failure::new)?;
    logging::trace(traces.tracer());
    Ok(Some(traces))
}

/// Returns who signs people in, if anybody does. Its secret is read anew each time.
///
/// # Errors
/// If the client's secret cannot be read: nobody would get in.
pub fn sign_in(operator: &Operator) -> Result<Option<Arc<dyn SignIn>>, Failure> {
    let Some(oidc) = operator.settings.oidc.clone() else { return Ok(None) };
    let secret = match oidc.client_secret_from {
        Some(reference) => Some(operator.read_secret("the secret of `auth.oidc`", reference)?),
        None => None,
    };
    let provider = Provider {
        label: oidc.label,
        issuer: oidc.issuer,
        client_id: oidc.client_id,
        secret,
        redirect: format!("{}{}", oidc.public_url, SIGNED_IN),
        scopes: oidc.scopes,
        claim: oidc.claim,
        operators: oidc.operators,
        viewers: oidc.viewers,
    };
    Ok(Some(Arc::new(Oidc::new(provider, HttpClient::new()))))
}

/// What counts while the controller runs.
pub struct Meters {
    counted: Arc<PrometheusMeter>,
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

impl Meters {
    /// Makes meters that counted nothing yet.
    pub fn new() -> Self {
        Self { counted: Arc::new(PrometheusMeter::new()) }
    }

    /// Returns whom those tell who do the work.
    pub fn meter(&self) -> Arc<dyn Meter> {
        self.counted.clone()
    }

    /// Returns what others read: what was counted, what the store holds, and which tree is in force.
    pub fn readout(
        &self,
        store: &Store,
        in_force: Arc<dyn InForce>,
        clock: Arc<dyn Clock>,
    ) -> Arc<dyn Readout> {
        Arc::new(PrometheusPage::new(self.counted.clone(), store.census.clone(), in_force, clock))
    }
}

/// The clock of the machine.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Returns a new id of a turn: later ones sort after earlier ones.
pub fn new_run() -> Text {
    Text::from(uuid::Uuid::now_v7().to_string())
}

/// Returns a number from 0 to 1.
pub fn random() -> f64 {
    fastrand::f64()
}

/// Returns bytes that nobody can guess, from the machine's source of randomness.
pub fn unguessable() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes)
}
