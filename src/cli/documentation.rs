//! Opens documentation systems by the names of their connections: the one place that knows which adapter speaks
//! to which.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretString;

use crate::adapters::connect_wise::{self, ConnectWise, Member, SharedConnectWise};
use crate::adapters::http::HttpClient;
use crate::adapters::http_pace::{Budget, Pace};
use crate::adapters::hudu::{self, Hudu};
use crate::adapters::it_glue::{self, ItGlue};
use crate::cli::exit::Failure;
use crate::config::operator::{Connection, Operator};
use crate::config::secrets::{Owner, Secrets};
use crate::model::contact::{ContactKind, Product};
use crate::model::reading::{Fault, FaultKind};
use crate::model::text::{Text, inert};
use crate::policy::fleet::SecretRef;
use crate::policy::limits::ConnectionKind;
use crate::ports::documentation::{DocumentationPort, DocumentationSystems};
use crate::ports::meter::Meter;

/// What is kept of connections for the life of the process: a system that limits how fast it is asked does not
/// care who asks.
#[derive(Debug, Default)]
pub struct OpenConnections(Mutex<BTreeMap<Text, Kept>>);

/// What is kept of one connection.
#[derive(Debug, Clone)]
struct Kept {
    client: HttpClient,
    pace: Pace,
    connect_wise: SharedConnectWise,
}

/// Opens documentation systems with the operator's connections and secrets.
pub struct OperatorDocumentation {
    operator: Arc<Operator>,
    secrets: Arc<Secrets>,
    open: Arc<OpenConnections>,
    patience: Duration,
    meter: Arc<dyn Meter>,
}

impl OperatorDocumentation {
    /// Makes one. `patience` is how long throttling and faults may delay a reading; `meter` counts what
    /// systems are asked.
    pub fn new(
        operator: Arc<Operator>,
        secrets: Arc<Secrets>,
        open: Arc<OpenConnections>,
        patience: Duration,
        meter: Arc<dyn Meter>,
    ) -> Self {
        Self { operator, secrets, open, patience, meter }
    }

    fn secret(&self, from: &SecretRef) -> Result<SecretString, Fault> {
        self.secrets.resolve(Owner::Operator, from).map_err(|fault| {
            Fault::new(FaultKind::Refused, Failure::of("its secret cannot be used", &fault).what)
        })
    }
}

impl OpenConnections {
    /// Returns what is kept of a connection, which begins when it is first opened.
    fn of(&self, name: &str, budget: Budget, meter: &Arc<dyn Meter>) -> Kept {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || {
            let (client, pace) = (HttpClient::new().measured_by(meter.clone()), Pace::new(budget));
            let connect_wise = SharedConnectWise::new(client.clone(), pace.clone());
            Kept { client, pace, connect_wise }
        };
        kept.entry(Text::from(name)).or_insert_with(begin).clone()
    }
}

impl DocumentationSystems for OperatorDocumentation {
    fn product(&self, connection: &str) -> Option<Product> {
        match self.operator.connections.get(connection)?.kind() {
            ConnectionKind::Documentation(product) => Some(product),
            ConnectionKind::Graph => None,
        }
    }

    fn categories(&self, connection: &str) -> Vec<Text> {
        match self.operator.connections.get(connection) {
            Some(Connection::ItGlue(connection)) => connection.password_categories.clone(),
            _ => Vec::new(),
        }
    }

    fn missing_as(&self, connection: &str) -> ContactKind {
        match self.operator.connections.get(connection) {
            Some(Connection::ItGlue(connection)) => connection.missing_as,
            _ => ContactKind::Person,
        }
    }

    fn open(&self, name: &str) -> Result<Box<dyn DocumentationPort>, Fault> {
        match self.operator.connections.get(name) {
            Some(Connection::ItGlue(connection)) => {
                let kept = self.open.of(name, it_glue::BUDGET, &self.meter);
                let key = self.secret(&connection.api_key_from)?;
                let categories = connection.password_categories.clone();
                let it_glue =
                    ItGlue::new(kept.client, kept.pace, &connection.url, key, categories, self.patience)?;
                Ok(Box::new(it_glue))
            }
            Some(Connection::Hudu(connection)) => {
                let kept = self.open.of(name, hudu::BUDGET, &self.meter);
                let key = self.secret(&connection.api_key_from)?;
                let hudu = Hudu::new(kept.client, kept.pace, &connection.url, key, self.patience)?;
                Ok(Box::new(hudu))
            }
            Some(Connection::ConnectWise(connection)) => {
                let kept = self.open.of(name, connect_wise::BUDGET, &self.meter);
                let member = Member {
                    login_company: connection.login_company.clone(),
                    client_id: connection.client_id,
                    public_key: self.secret(&connection.public_key_from)?,
                    private_key: self.secret(&connection.private_key_from)?,
                };
                let url = &connection.url;
                Ok(Box::new(ConnectWise::new(kept.connect_wise, url, &member, self.patience)?))
            }
            Some(Connection::Graph(_)) | None => {
                let what = format!(
                    "the operator's file has no connection `{}` to a documentation system",
                    inert(name)
                );
                Err(Fault::new(FaultKind::Refused, what))
            }
        }
    }
}
