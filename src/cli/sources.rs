//! Opens the sources of customers: the one place that knows which adapter reads what.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::adapters::folder::resolve;
use crate::adapters::graph::{GraphTenant, SharedGraph};
use crate::adapters::graph_certificate::Certificate;
use crate::adapters::graph_credential::{Credential, FederatedToken};
use crate::adapters::graph_managed_identity::ManagedIdentity;
use crate::adapters::http::HttpClient;
use crate::adapters::ldap::LdapDirectory;
use crate::adapters::ldif::LdifDirectory;
use crate::adapters::snapshot::SnapshotTenant;
use crate::cli::exit::Failure;
use crate::config::managed_identity::IdentityEndpoint;
use crate::config::operator::{Connection, Operator};
use crate::config::secrets::{Owner, Secrets};
use crate::model::directory::Directory;
use crate::model::guid::Guid;
use crate::model::reading::{Fault, FaultKind, Reading};
use crate::model::tenant::Tenant;
use crate::model::text::inert;
use crate::policy::fleet::{
    Bind, Customer, DirectoryLocation, DirectorySource, GraphApplication, GraphCredential, GraphEndpoints,
    GraphLocation, LdapLocation, SecretRef, TenantSource,
};
use crate::policy::source::shown;
use crate::ports::meter::Meter;
use crate::ports::source::{DirectoryPort, Progress, Sources, TenantPort};

/// Opens sources with the operator's connections and secrets.
pub struct AdapterSources {
    operator: Arc<Operator>,
    secrets: Arc<Secrets>,
    /// The tree that the paths of documents are relative to.
    root: PathBuf,
    patience: Duration,
    /// What all tenants share.
    graph: SharedGraph,
    meter: Arc<dyn Meter>,
}

impl AdapterSources {
    /// Makes one. `patience` is how long throttling and faults may delay a reading; `meter` counts what
    /// sources are asked.
    pub fn new(
        operator: Arc<Operator>,
        secrets: Arc<Secrets>,
        root: PathBuf,
        patience: Duration,
        meter: Arc<dyn Meter>,
    ) -> Self {
        let graph = SharedGraph::new(HttpClient::new().measured_by(meter.clone()));
        Self { operator, secrets, root, patience, graph, meter }
    }

    fn file(&self, customer: &Customer, path: &Path) -> Result<PathBuf, Fault> {
        resolve(customer.files.as_deref().unwrap_or(&self.root), path).map_err(|fault| {
            Fault::new(FaultKind::Refused, Failure::of("its file cannot be used", &fault).what)
        })
    }

    fn secret(&self, owner: Owner<'_>, from: &SecretRef) -> Result<SecretString, Fault> {
        secret(&self.secrets, owner, from)
    }

    fn ldif(
        &self,
        customer: &Customer,
        source: &DirectorySource,
        path: &Path,
    ) -> Result<LdifDirectory, Fault> {
        let file = self.file(customer, path)?;
        Ok(LdifDirectory::new(source.name.clone(), file, path.display().to_string()))
    }

    fn ldap(
        &self,
        customer: &Customer,
        source: &DirectorySource,
        location: &LdapLocation,
    ) -> Result<LdapDirectory, Fault> {
        let owner = Owner::Customer(&customer.name);
        let password = match &location.bind {
            Some(Bind::Password { password_from, .. }) => Some(self.secret(owner, password_from)?),
            Some(Bind::Kerberos(_)) | None => None,
        };
        let ca_file = location.ca_file.as_deref().map(|path| self.file(customer, path)).transpose()?;
        let location = LdapLocation { ca_file, ..location.clone() };
        let directory = LdapDirectory::new(source.name.clone(), location, password, self.patience);
        Ok(directory.measured_by(self.meter.clone()))
    }

    fn graph(&self, customer: &Customer, location: &GraphLocation) -> Result<GraphTenant, Fault> {
        let (client_id, endpoints, credential): (Guid, &GraphEndpoints, Credential) =
            match &location.application {
                GraphApplication::Connection(name) => match self.operator.connections.get(name) {
                    Some(Connection::Graph(connection)) => {
                        let credential = self.credential(None, &connection.credential)?;
                        (connection.client_id, &connection.endpoints, credential)
                    }
                    _ => {
                        let what = format!("the operator's file has no Graph connection `{}`", inert(name));
                        return Err(Fault::new(FaultKind::Refused, what));
                    }
                },
                GraphApplication::Own { client_id, endpoints, credential } => {
                    (*client_id, endpoints, self.credential(Some(customer), credential)?)
                }
            };
        Ok(GraphTenant::new(
            self.graph.clone(),
            &location.tenant_id,
            client_id,
            endpoints,
            credential,
            self.patience,
        ))
    }

    /// Reads a credential of a customer's, or of the operator's.
    fn credential(
        &self,
        customer: Option<&Customer>,
        credential: &GraphCredential,
    ) -> Result<Credential, Fault> {
        let owner = customer.map_or(Owner::Operator, |customer| Owner::Customer(&customer.name));
        Ok(match credential {
            GraphCredential::Secret(from) => Credential::Secret(self.secret(owner, from)?),
            GraphCredential::Certificate { certificate_file, private_key_from } => {
                let key = self.secret(owner, private_key_from)?;
                let name = shown(certificate_file);
                let file = match customer {
                    None => certificate_file.clone(),
                    Some(customer) => self.file(customer, certificate_file)?,
                };
                let certificate = Certificate::read(&file, &name, &key, Timestamp::now())?;
                Credential::Certificate(Arc::new(certificate))
            }
            GraphCredential::FederatedToken(from) => Credential::Federated(self.federated(owner, from)),
            GraphCredential::ManagedIdentity { client_id } => Credential::ManagedIdentity(
                ManagedIdentity::new(IdentityEndpoint::of_this_machine(), *client_id),
            ),
        })
    }

    /// Returns what reads a federated token, each time within what its owner may name.
    fn federated(&self, owner: Owner<'_>, from: &SecretRef) -> FederatedToken {
        let (secrets, from) = (Arc::clone(&self.secrets), from.clone());
        match owner {
            Owner::Operator => FederatedToken::new(format!("the operator's {from:?}"), move || {
                secret(&secrets, Owner::Operator, &from)
            }),
            Owner::Customer(customer) => {
                let customer = customer.to_owned();
                FederatedToken::new(format!("{customer}: {from:?}"), move || {
                    secret(&secrets, Owner::Customer(&customer), &from)
                })
            }
        }
    }
}

fn secret(secrets: &Secrets, owner: Owner<'_>, from: &SecretRef) -> Result<SecretString, Fault> {
    secrets.resolve(owner, from).map_err(|fault| {
        Fault::new(FaultKind::Refused, Failure::of("its secret cannot be used", &fault).what)
    })
}

impl Sources for AdapterSources {
    fn directory(&self, customer: &Customer, source: &DirectorySource) -> Box<dyn DirectoryPort> {
        match &source.location {
            DirectoryLocation::Ldif(path) => match self.ldif(customer, source, path) {
                Ok(directory) => Box::new(directory),
                Err(fault) => Box::new(Unopened(fault)),
            },
            DirectoryLocation::Ldap(location) => match self.ldap(customer, source, location) {
                Ok(directory) => Box::new(directory),
                Err(fault) => Box::new(Unopened(fault)),
            },
        }
    }

    fn tenant(&self, customer: &Customer, source: &TenantSource) -> Box<dyn TenantPort> {
        match source {
            TenantSource::Snapshot(path) => match self.file(customer, path) {
                Ok(file) => Box::new(SnapshotTenant::new(file, path.display().to_string())),
                Err(fault) => Box::new(Unopened(fault)),
            },
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
