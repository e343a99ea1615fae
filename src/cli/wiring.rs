//! Ties the commands to the adapters: the one place that knows which adapter stands behind which
//! port.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use crate::adapters::folder_watch::FolderWatch;
use crate::adapters::graph::GraphTenant;
use crate::adapters::graph_token::{Credential, TokenCache};
use crate::adapters::http::HttpClient;
use crate::adapters::ldap::LdapDirectory;
use crate::adapters::ldif::LdifDirectory;
use crate::adapters::snapshot::SnapshotTenant;
use crate::adapters::store::connection;
use crate::cli::exit::Failure;
use crate::model::digest::{Digest, Digester};
use crate::model::directory::Directory;
use crate::model::duration::Seconds;
use crate::model::guid::Guid;
use crate::model::reading::{Fault, FaultKind, Reading};
use crate::model::tenant::Tenant;
use crate::model::text::{Text, inert};
use crate::policy::fleet::{
    Customer, DirectoryLocation, DirectorySource, Fleet, GraphApplication, GraphCredential, GraphEndpoints,
    GraphLocation, SecretRef, TenantSource,
};
use crate::ports::clock::Clock;
use crate::ports::outbox::{Destination, Outbox};
use crate::ports::register::{Register, RegisterReader};
use crate::ports::source::{DirectoryPort, Progress, Sources, TenantPort};
use crate::ports::tree::{Tree, TreeReading};
use crate::ports::watch::Watch;
use crate::reconcile::notice::Subscription;

/// What the operator's file says, and the secrets that it lets a tree use.
#[derive(Clone)]
pub struct Operator {
    /// Where the register is.
    pub state: Option<String>,
    /// How many customers at once.
    pub concurrency: usize,
    /// Who is told what.
    pub subscriptions: Vec<Subscription>,
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
    pub json: Value,
}

/// An opened store.
pub struct Store {
    /// The register.
    pub register: Arc<dyn Register>,
    /// The outbox.
    pub outbox: Arc<dyn Outbox>,
}

// SEAM: the functions below whose body is `Err(not_yet(…))` or empty wait for their adapters.

fn not_yet(what: &str) -> Failure {
    Failure::new(format!("this build has no {what} yet"))
}

/// Reads the operator's file; without one, its defaults hold.
///
/// # Errors
/// If it cannot be read or has errors.
pub fn operator(path: Option<&Path>) -> Result<Operator, Failure> {
    // SEAM: config::…::read(path), converting `notify` to subscriptions.
    match path {
        None => Ok(Operator { state: None, concurrency: 16, subscriptions: Vec::new() }),
        Some(_) => Err(not_yet("operator's file")),
    }
}

impl Operator {
    /// Returns what opens customers' sources. Files are named in messages as they lie below
    /// `root`; `max_wait` is how long throttling and faults may delay a reading.
    pub fn sources(&self, root: &Path, max_wait: Seconds) -> Arc<dyn Sources> {
        Arc::new(WiredSources {
            operator: self.clone(),
            root: root.canonicalize().unwrap_or_else(|_| root.to_owned()),
            patience: max_wait.to_std(),
            http: HttpClient::new(),
            tokens: TokenCache::default(),
        })
    }

    /// Returns a secret that a customer's document names, if the customer may use it.
    fn secret(&self, customer: &Customer, from: &SecretRef) -> Result<SecretString, Fault> {
        // SEAM: config's `Secrets::resolve`.
        let _ = (customer, from);
        Err(Fault::new(FaultKind::Refused, "this build reads no secrets yet"))
    }

    /// Returns the application of a connection: its id, where its services are, how it proves
    /// itself.
    fn connection(&self, name: &Text) -> Result<(Guid, GraphEndpoints, Credential), Fault> {
        // SEAM: `connections` of the operator's file.
        let what = format!("the operator's file has no Graph connection `{}`", inert(name));
        Err(Fault::new(FaultKind::Refused, what))
    }

    /// Returns where deliveries go, by name.
    pub fn destinations(&self) -> BTreeMap<Text, Arc<dyn Destination>> {
        // SEAM: a webhook for each entry of `notify`.
        BTreeMap::new()
    }
}

/// Reads and checks a tree. `coloured` is about how problems are drawn.
///
/// # Errors
/// If the tree itself cannot be read: no such folder, no permission.
pub fn check_tree(root: &Path, operator: &Operator, coloured: bool) -> Result<CheckedTree, Failure> {
    // SEAM: adapters::folder::read_tree(root), policy::check::check(&files, &limits).
    let _ = (operator, coloured);
    std::fs::read_dir(root)
        .map_err(|error| Failure::of(&format!("cannot read the tree `{}`", root.display()), &error))?;
    Err(not_yet("reader of policy files"))
}

/// Opens the store for writing; makes it where there is none.
///
/// # Errors
/// The store's.
pub async fn open_store(url: &str) -> Result<Store, Failure> {
    let store = Arc::new(connection::Store::open(url).await?);
    Ok(Store { register: store.clone(), outbox: store })
}

/// Opens the store for asking only; makes nothing.
///
/// # Errors
/// The store's.
pub async fn open_reading(url: &str) -> Result<Arc<dyn RegisterReader>, Failure> {
    Ok(Arc::new(connection::Store::open_reading(url).await?))
}

/// Returns the JSON Schemas of policy files by file name.
pub fn schemas() -> BTreeMap<&'static str, String> {
    // SEAM: policy::schema::schemas()
    BTreeMap::new()
}

// END OF SEAM. What follows holds as it is.

/// Opens the sources of customers: the one place that knows which adapter reads what.
struct WiredSources {
    operator: Operator,
    root: PathBuf,
    patience: Duration,
    http: Result<HttpClient, Fault>,
    tokens: TokenCache,
}

impl WiredSources {
    /// Returns how messages name a file of the tree.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    fn graph(&self, customer: &Customer, location: &GraphLocation) -> Result<GraphTenant, Fault> {
        let (client_id, endpoints, credential) = match &location.application {
            GraphApplication::Connection(name) => self.operator.connection(name)?,
            GraphApplication::Own { client_id, endpoints, credential } => {
                (*client_id, endpoints.clone(), self.credential(customer, credential)?)
            }
        };
        Ok(GraphTenant::new(
            self.http.clone()?,
            self.tokens.clone(),
            &location.tenant_id,
            client_id,
            &endpoints,
            credential,
            self.patience,
        ))
    }

    fn credential(&self, customer: &Customer, credential: &GraphCredential) -> Result<Credential, Fault> {
        match credential {
            GraphCredential::Secret(from) => Ok(Credential::Secret(self.operator.secret(customer, from)?)),
            GraphCredential::Certificate { .. }
            | GraphCredential::FederatedToken(_)
            | GraphCredential::ManagedIdentity { .. } => {
                Err(Fault::new(FaultKind::Refused, "this version of Intake can use only a client secret")
                    .hint("give the application a client secret, and name it by clientSecretFrom"))
            }
        }
    }
}

impl Sources for WiredSources {
    fn directory(&self, customer: &Customer, source: &DirectorySource) -> Box<dyn DirectoryPort> {
        let name = source.name.clone();
        match &source.location {
            DirectoryLocation::Ldif(path) => {
                Box::new(LdifDirectory::new(name, path.clone(), self.shown(path)))
            }
            DirectoryLocation::Ldap(location) => {
                let bind = location.bind.as_ref();
                let password =
                    bind.map(|bind| self.operator.secret(customer, &bind.password_from)).transpose();
                match password {
                    Ok(password) => {
                        Box::new(LdapDirectory::new(name, location.clone(), password, self.patience))
                    }
                    Err(fault) => Box::new(Unopened(fault)),
                }
            }
        }
    }

    fn tenant(&self, customer: &Customer, source: &TenantSource) -> Box<dyn TenantPort> {
        match source {
            TenantSource::Snapshot(path) => Box::new(SnapshotTenant::new(path.clone(), self.shown(path))),
            TenantSource::Graph(location) => match self.graph(customer, location) {
                Ok(tenant) => Box::new(tenant),
                Err(fault) => Box::new(Unopened(fault)),
            },
        }
    }
}

/// A source that cannot even be opened: its reading says why.
struct Unopened(Fault);

#[async_trait]
impl DirectoryPort for Unopened {
    async fn read(&self, _progress: &dyn Progress) -> Reading<Directory> {
        Reading::Unavailable(self.0.clone())
    }
}

#[async_trait]
impl TenantPort for Unopened {
    async fn read(&self, _progress: &dyn Progress) -> Reading<Tenant> {
        Reading::Unavailable(self.0.clone())
    }
}

/// A tree in a folder, as the controller reads it.
pub struct FolderTree {
    root: PathBuf,
    operator: Operator,
}

impl FolderTree {
    /// Makes one.
    pub fn new(root: PathBuf, operator: Operator) -> Self {
        Self { root, operator }
    }
}

#[async_trait]
impl Tree for FolderTree {
    async fn read(&self) -> Result<TreeReading, Fault> {
        let (root, operator) = (self.root.clone(), self.operator.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let tree = check_tree(&root, &operator, false).map_err(|failure| Fault {
                hint: failure.hint,
                ..Fault::new(FaultKind::Refused, failure.what)
            })?;
            let fingerprints = tree
                .fleet
                .customers
                .iter()
                .map(|(name, customer)| (name.clone(), fingerprint(customer)))
                .collect();
            let problems = tree.problems.into_iter().map(|problem| problem.line).collect();
            Ok(TreeReading { fleet: tree.fleet, problems, fingerprints })
        });
        reading.await.unwrap_or_else(|error| {
            Err(Fault::new(FaultKind::Transient, format!("reading the tree failed inside Intake: {error}")))
        })
    }
}

/// Returns a digest over all that a tree says about a customer. Files of people count by their
/// length and time, so that a tree with a gigabyte of them is looked through in an instant.
fn fingerprint(customer: &Customer) -> Digest {
    let mut digester = Digester::new("customer");
    // References to secrets are in it, secrets are not.
    digester.field(format!("{customer:?}"));
    let directories = customer.directories.iter().filter_map(|directory| match &directory.location {
        DirectoryLocation::Ldif(path) => Some(path),
        DirectoryLocation::Ldap(_) => None,
    });
    let tenant = match &customer.tenant {
        Some(TenantSource::Snapshot(path)) => Some(path),
        _ => None,
    };
    for path in directories.chain(tenant) {
        let looked = std::fs::metadata(path).and_then(|found| Ok((found.len(), found.modified()?)));
        digester.optional(looked.ok().map(|(length, time)| format!("{length} {time:?}")));
    }
    digester.finish()
}

/// Returns who notices changes below a folder.
pub fn watch(root: &Path) -> Box<dyn Watch> {
    Box::new(FolderWatch::open(root))
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
