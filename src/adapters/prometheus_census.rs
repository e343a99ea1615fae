//! Asks the store for all who want to know at the same time at once, and never twice at a time.

use std::sync::Arc;
use std::time::Duration;

use crate::ports::census::{Census, Counts};
use crate::ports::shared_question::SharedQuestion;

/// How long the store may take for one reader of the page: a slow store is asked no more often than it can
/// answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long an answer is good.
const FRESH: Duration = Duration::from_secs(1);

/// `None`: the store failed, and the log says why.
type Answer = Option<Arc<Counts>>;

/// Asks the store.
pub(crate) struct SharedCensus {
    census: Arc<dyn Census>,
    question: SharedQuestion<Answer>,
}

impl SharedCensus {
    /// Makes one that asks this store.
    pub(crate) fn new(census: Arc<dyn Census>) -> Self {
        Self { census, question: SharedQuestion::new(|_| FRESH, PATIENCE) }
    }

    /// Returns what the store holds; `None` if it does not answer in time, or fails.
    pub(crate) async fn count(&self) -> Answer {
        let census = self.census.clone();
        let ask = || async move {
            match census.count().await {
                Ok(counts) => Some(Arc::new(counts)),
                Err(fault) => {
                    tracing::error!("no numbers of the store: {fault}");
                    None
                }
            }
        };
        self.question.ask(ask).await.unwrap_or_else(|none| {
            tracing::error!("no numbers of the store: {none}");
            None
        })
    }
}
