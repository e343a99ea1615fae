//! What becomes of a customer of the tree in force, and why: told from the latest complete readings that were
//! kept, so that no source is asked.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::account::Account;
use crate::model::contact_match::ContactMatch;
use crate::model::text::Text;
use crate::plan::explanation::Explanation;
use crate::plan::outcome::CustomerPlan;
use crate::policy::fleet::Customer;

/// Plans and explains customers of the tree in force. Nothing that it is made of can write.
#[async_trait]
pub trait Inquiry: Send + Sync {
    /// Plans a customer as it is now, or was some seconds ago if nothing happened to it since.
    ///
    /// # Errors
    /// [`Unanswered`]; what cannot be planned is in the plan.
    async fn plan(&self, customer: &str) -> Result<Arc<KeptPlan>, Unanswered>;

    /// Explains what becomes of somebody; likewise.
    ///
    /// # Errors
    /// [`Unanswered`].
    async fn explain(&self, customer: &str, account: &str) -> Result<Arc<Explanation>, Unanswered>;

    /// Returns the document of a customer, as it applies; `None` for one that left the tree.
    ///
    /// # Errors
    /// [`Unanswered::UnknownCustomer`], and [`Unanswered::NotYet`].
    fn document(&self, customer: &str) -> Result<Option<Arc<Customer>>, Unanswered>;

    /// Returns how some accounts stand in documentation systems, each with its customer's name: by customer, account,
    /// then connection.
    ///
    /// # Errors
    /// [`Unanswered::Failed`].
    async fn contacts(&self, accounts: &[(Text, Account)]) -> Result<Vec<(Text, ContactMatch)>, Unanswered>;
}

/// A plan, and what it was computed from.
#[derive(Debug, Clone)]
pub struct KeptPlan {
    /// The plan.
    pub plan: CustomerPlan,
    /// The revision of the tree in force.
    pub revision: Text,
    /// When the readings were made; `None` where none were kept that answer for the customer.
    pub read_at: Option<Timestamp>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Neither the tree in force nor the register has such a customer.
    #[error("there is no customer `{}`", crate::model::text::inert(name))]
    UnknownCustomer {
        /// What was asked for.
        name: String,
        /// The nearest name that there is, if one is near.
        nearest: Option<Text>,
    },
    /// Nobody of the customer is called so.
    #[error(
        "neither the directory, the tenant nor the register of `{customer}` knows `{}`",
        crate::model::text::inert(name)
    )]
    UnknownAccount {
        /// The customer.
        customer: Text,
        /// Who was asked for.
        name: String,
        /// Near names.
        nearest: Vec<String>,
    },
    /// Several people of the customer are called so.
    #[error("several people of `{customer}` are `{}`", crate::model::text::inert(name))]
    SeveralPeople {
        /// The customer.
        customer: Text,
        /// Who was asked for.
        name: String,
        /// Who they are.
        people: Vec<String>,
    },
    /// There is nothing from which the customer's people could be explained.
    #[error("{what}")]
    NothingToExplainFrom {
        /// Why, for people.
        what: String,
        /// What helps.
        hint: String,
    },
    /// Too many ask at once.
    #[error("other questions are being answered")]
    Busy,
    /// No tree was read yet, so nobody is known.
    #[error("the policy tree has not been read yet")]
    NotYet,
    /// Something failed inside. For the log alone.
    #[error("the question could not be answered")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
