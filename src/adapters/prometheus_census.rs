//! Asks the store for all who want to know at the same time at once, and never twice at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::Instant;

use crate::ports::census::{Census, Counts};

/// How long the store may take for one reader of the page. It goes on without whoever gave up, and the next
/// one waits for the same answer: a slow store is asked no more often than it can answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long an answer is good.
const FRESH: Duration = Duration::from_secs(1);

/// `None`: the store failed, and the log says why.
type Answer = Option<Arc<Counts>>;

/// Asks the store.
pub(crate) struct SharedCensus {
    census: Arc<dyn Census>,
    patience: Duration,
    last: Mutex<Option<Question>>,
}

#[derive(Clone)]
struct Question {
    asked: Instant,
    answer: Shared<BoxFuture<'static, Answer>>,
}

impl SharedCensus {
    /// Makes one that asks this store.
    pub(crate) fn new(census: Arc<dyn Census>) -> Self {
        Self { census, patience: PATIENCE, last: Mutex::default() }
    }

    /// Returns what the store holds; `None` if it does not answer in time, or fails.
    pub(crate) async fn count(&self) -> Answer {
        let answer = self.question().answer;
        if let Ok(answer) = tokio::time::timeout(self.patience, answer).await {
            return answer;
        }
        tracing::error!("no numbers of the store: it does not answer in time");
        None
    }

    /// Returns the question under way, or one that was answered just now, or asks anew.
    fn question(&self) -> Question {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |known: &Question| known.answer.peek().is_none() || known.asked.elapsed() < FRESH;
        if let Some(known) = last.as_ref().filter(|known| is_good(known)) {
            return known.clone();
        }
        let census = self.census.clone();
        // In a task of its own: it goes on whoever gives up waiting.
        let counting = tokio::spawn(async move { census.count().await });
        let answer = async move {
            match counting.await {
                Ok(Ok(counts)) => Some(Arc::new(counts)),
                Ok(Err(fault)) => {
                    tracing::error!("no numbers of the store: {fault}");
                    None
                }
                Err(error) => {
                    tracing::error!("no numbers of the store: counting failed inside Intake: {error}");
                    None
                }
            }
        };
        let question = Question { asked: Instant::now(), answer: answer.boxed().shared() };
        *last = Some(question.clone());
        question
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::ports::register::RegisterFault;

    /// A store that answers when it is let, and counts how often it was asked.
    struct Slow {
        asked: AtomicUsize,
        lets: Semaphore,
    }

    #[async_trait]
    impl Census for Slow {
        async fn count(&self) -> Result<Counts, RegisterFault> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.lets.acquire().await.expect("open").forget();
            Ok(Counts::default())
        }
    }

    fn slow(patience: Duration) -> (Arc<Slow>, SharedCensus) {
        let store = Arc::new(Slow { asked: AtomicUsize::new(0), lets: Semaphore::new(0) });
        (store.clone(), SharedCensus { patience, ..SharedCensus::new(store) })
    }

    #[tokio::test]
    async fn whoever_asks_at_the_same_time_shares_the_answer() {
        let (store, census) = slow(Duration::from_secs(20));
        let (one, other, ()) = tokio::join!(census.count(), census.count(), async {
            tokio::task::yield_now().await;
            store.lets.add_permits(1);
        });
        assert!(one.is_some() && other.is_some());
        assert_eq!(store.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_store_that_hangs_is_not_asked_again_before_it_answered() {
        let (store, mut census) = slow(Duration::from_millis(10));
        for _ in 0..5 {
            assert_eq!(census.count().await, None);
        }
        assert_eq!(store.asked.load(Ordering::SeqCst), 1);
        store.lets.add_permits(1);
        census.patience = Duration::from_secs(20);
        assert!(census.count().await.is_some(), "the answer to the first question");
        assert_eq!(store.asked.load(Ordering::SeqCst), 1);
    }
}
