//! Opens documentation systems by the names of their connections.
use std::sync::Arc;

use crate::config::operator::{Connection, Operator};
use crate::model::contact::Product;
use crate::model::reading::{Fault, FaultKind};
use crate::model::text::Text;
use crate::policy::limits::ConnectionKind;
use crate::ports::documentation::{DocumentationPort, DocumentationSystems};

/// Stand-in until the adapters are merged.
pub struct OperatorSystems {
    /// The operator's file.
    pub operator: Arc<Operator>,
}

impl DocumentationSystems for OperatorSystems {
    fn product(&self, connection: &str) -> Option<Product> {
        match self.operator.connections.get(connection)?.kind() {
            ConnectionKind::Documentation(product) => Some(product),
            ConnectionKind::Graph => None,
        }
    }

    fn categories(&self, connection: &str) -> Vec<Text> {
        match self.operator.connections.get(connection) {
            Some(Connection::ItGlue(glue)) => glue.password_categories.clone(),
            _ => Vec::new(),
        }
    }

    fn open(&self, _: &str) -> Result<Box<dyn DocumentationPort>, Fault> {
        Err(Fault::new(FaultKind::Refused, "no adapter yet"))
    }
}
