//! A tree that somebody would like to merge, and what it would do.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::text::Text;
use crate::plan::outcome::Plan;
use crate::policy::check::TreeFile;
use crate::policy::problem::Problem;

/// A tree that somebody would like to merge.
#[derive(Debug)]
pub struct Candidate {
    /// Its policy files.
    pub files: Vec<TreeFile>,
    /// Which customers somebody wants to know about; empty for all.
    pub customers: Vec<String>,
}

/// What a candidate would do.
#[derive(Debug)]
pub struct Forecast {
    /// The plan, from the latest complete readings.
    pub plan: Plan,
    /// Everything that is wrong in the candidate.
    pub problems: Vec<Problem>,
    /// When the readings were made, for each customer that was planned from any.
    pub read_at: BTreeMap<Text, Timestamp>,
}

/// Plans candidates. Nothing that it is made of can write.
#[async_trait]
pub trait CandidatePlanner: Send + Sync {
    /// Checks a candidate and plans it. What is wrong in it, and customers that cannot be planned, are in
    /// the forecast.
    ///
    /// # Errors
    /// [`ForecastFault`].
    async fn forecast(&self, candidate: Candidate) -> Result<Forecast, ForecastFault>;
}

/// Why there is no forecast.
#[derive(Debug, thiserror::Error)]
pub enum ForecastFault {
    /// The candidate holds nothing that could be planned.
    #[error("{what}")]
    Unusable {
        /// What is wrong, for people.
        what: String,
        /// What to try.
        hint: Option<String>,
    },
    /// The store does not answer, or something failed inside. For the log alone.
    #[error("a candidate could not be planned")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
