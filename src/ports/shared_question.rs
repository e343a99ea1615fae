//! One question for everybody who asks it at the same time: whoever is asked is never asked twice at a time, and
//! no more often than an answer is good for.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::Instant;

/// A question, and the last answer to it.
pub struct SharedQuestion<T> {
    /// For how long an answer is good.
    fresh: fn(&T) -> Duration,
    /// How long one who asks waits. The question goes on without whoever gave up, and the next one waits for
    /// the same answer.
    patience: Duration,
    last: Mutex<Option<Asked<T>>>,
}

#[derive(Clone)]
struct Asked<T> {
    at: Instant,
    answer: Shared<BoxFuture<'static, Result<T, NoAnswer>>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// None came in time.
    #[error("there is no answer in time")]
    Late,
    /// Asking failed inside Intake.
    #[error("asking failed inside Intake: {0}")]
    Inside(String),
}

impl<T> fmt::Debug for SharedQuestion<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SharedQuestion").finish_non_exhaustive()
    }
}

impl<T: Clone + Send + Sync + 'static> SharedQuestion<T> {
    /// Makes one that nobody asked yet.
    pub fn new(fresh: fn(&T) -> Duration, patience: Duration) -> Self {
        Self { fresh, patience, last: Mutex::default() }
    }

    /// Returns the answer that is under way, or one that is good still, or asks anew: in a task of its own,
    /// which goes on whoever gives up waiting.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn ask<F>(&self, ask: impl FnOnce() -> F) -> Result<T, NoAnswer>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let answer = self.asked(ask).answer;
        tokio::time::timeout(self.patience, answer).await.unwrap_or(Err(NoAnswer::Late))
    }

    /// Has the next one who asks get an answer that is newer than this moment.
    pub fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn asked<F>(&self, ask: impl FnOnce() -> F) -> Asked<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |known: &Asked<T>| match known.answer.peek() {
            None => true,
            Some(Ok(answer)) => known.at.elapsed() < (self.fresh)(answer),
            Some(Err(_)) => false,
        };
        if let Some(known) = last.as_ref().filter(|known| is_good(known)) {
            return known.clone();
        }
        let asking = tokio::spawn(ask());
        let answer = async move { asking.await.map_err(|error| NoAnswer::Inside(error.to_string())) };
        let asked = Asked { at: Instant::now(), answer: answer.boxed().shared() };
        *last = Some(asked.clone());
        asked
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Somebody who answers when they are let, and counts how often they were asked.
    #[derive(Clone)]
    struct Slow {
        asked: Arc<AtomicUsize>,
        lets: Arc<Semaphore>,
    }

    impl Slow {
        fn new() -> Self {
            Self { asked: Arc::default(), lets: Arc::new(Semaphore::new(0)) }
        }

        fn ask(&self) -> impl Future<Output = usize> + Send + 'static {
            let Self { asked, lets } = self.clone();
            async move {
                let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
                lets.acquire().await.expect("open").forget();
                number
            }
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn whoever_asks_at_the_same_time_shares_the_answer() {
        let (slow, question) = (Slow::new(), SharedQuestion::new(|_| Duration::ZERO, LONG));
        let (one, other, ()) =
            tokio::join!(question.ask(|| slow.ask()), question.ask(|| slow.ask()), async {
                tokio::task::yield_now().await;
                slow.lets.add_permits(1);
            });
        assert_eq!((one, other), (Ok(1), Ok(1)));
        // It was good for no time.
        slow.lets.add_permits(1);
        assert_eq!(question.ask(|| slow.ask()).await, Ok(2));
    }

    #[tokio::test]
    async fn whoever_hangs_is_not_asked_again_before_they_answered() {
        let (slow, mut question) = (Slow::new(), SharedQuestion::new(|_| LONG, Duration::from_millis(10)));
        for _ in 0..5 {
            assert_eq!(question.ask(|| slow.ask()).await, Err(NoAnswer::Late));
        }
        assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
        slow.lets.add_permits(1);
        question.patience = LONG;
        assert_eq!(question.ask(|| slow.ask()).await, Ok(1), "the answer to the first question");
        assert_eq!(question.ask(|| slow.ask()).await, Ok(1), "which is good still");
        question.forget();
        slow.lets.add_permits(1);
        assert_eq!(question.ask(|| slow.ask()).await, Ok(2));
    }

    #[tokio::test]
    async fn a_question_that_fails_inside_is_asked_again() {
        let question = SharedQuestion::new(|_: &usize| LONG, LONG);
        let failed = question.ask(|| async { panic!("inside") }).await;
        assert!(matches!(failed, Err(NoAnswer::Inside(_))), "{failed:?}");
        assert_eq!(question.ask(|| async { 7 }).await, Ok(7));
    }
}
