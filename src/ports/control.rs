//! What somebody may tell a controller about one customer: to look now, to stop writing, to go on.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::register::Suspension;
use crate::model::text::Text;

/// Takes orders about single customers. A wake-up says when, never what.
#[async_trait]
pub trait Control: Send + Sync {
    /// Has the customer's next turn begin now.
    ///
    /// # Errors
    /// [`Refused`].
    async fn sync(&self, customer: &str, by: &Text) -> Result<(), Refused>;
    /// Has nothing more written for the customer, and keeps that, with who said so and why.
    ///
    /// # Errors
    /// [`Refused`].
    async fn suspend(&self, customer: &str, by: &Text, reason: String) -> Result<Standing, Refused>;
    /// Lifts what was suspended by command.
    ///
    /// # Errors
    /// [`Refused`].
    async fn resume(&self, customer: &str, by: &Text) -> Result<Standing, Refused>;
}

/// How a customer stands after an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether the order made a difference: somebody else may have given it before.
    pub changed: bool,
    /// Who suspended the customer by command, if it is.
    pub suspension: Option<Suspension>,
    /// Whether its document suspends it.
    pub suspended_in_tree: bool,
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Neither the tree in force nor the register has such a customer.
    #[error("there is no customer `{}`", crate::model::text::inert(name))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest name that there is, if one is near.
        nearest: Option<Text>,
    },
    /// Its document suspends it, and nobody did by command.
    #[error("`{customer}` is suspended in the tree")]
    SuspendedInTree {
        /// Whom.
        customer: Text,
    },
    /// No tree was read yet, so nobody is known.
    #[error("the policy tree has not been read yet")]
    NotYet,
    /// The store failed. For the log alone.
    #[error("the order could not be kept")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a controller that runs elsewhere says of an order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// Whether the order made a difference.
    pub changed: bool,
    /// Whether the customer is suspended now, by command or in the tree.
    pub suspended: bool,
    /// Whether its document suspends it.
    pub suspended_in_tree: bool,
    /// Who suspended it by command, since when and why.
    pub by: Option<(String, Timestamp, String)>,
}

/// An order to a controller that runs elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// To look now.
    Sync,
    /// To stop writing.
    Suspend {
        /// Why.
        reason: String,
    },
    /// To go on.
    Resume,
}
