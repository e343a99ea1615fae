//! The pace of one connection: how many requests a system takes in a time, and what it asked to wait, for
//! everybody who uses the connection.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::adapters::http::{Again, Failed};
use crate::model::reading::{Fault, FaultKind};

/// How many requests a system takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// So many at the most...
    pub requests: usize,
    /// ...in any time of this length, wherever the system lets its own begin.
    pub window: Duration,
    /// How long a refusal for being too fast holds, where the system does not tell.
    pub rest: Duration,
}

/// The pace of one connection; a clone shares it.
///
/// Keeping to the budget is waited for here, first come, first served, and costs nobody's patience. What the
/// system itself asked to wait is not waited for here: a request that may not be sent yet fails as if the
/// system had refused it once more, and the patience of whoever asks does the waiting.
#[derive(Debug, Clone)]
pub struct Pace {
    budget: Budget,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// When the last requests were sent. Whoever holds it has its turn; dropping the wait gives it on.
    sent: tokio::sync::Mutex<Sent>,
    not_before: Mutex<Option<Instant>>,
}

/// When the last requests were sent, the oldest first.
#[derive(Debug, Default)]
struct Sent(VecDeque<Instant>);

impl Sent {
    /// Returns until when no request may be sent, if not now.
    fn full_until(&mut self, budget: Budget, now: Instant) -> Option<Instant> {
        while self.0.front().is_some_and(|first| now.duration_since(*first) >= budget.window) {
            self.0.pop_front();
        }
        let first = self.0.front().filter(|_| self.0.len() >= budget.requests)?;
        Some(*first + budget.window)
    }
}

impl Pace {
    /// Starts with nothing sent.
    pub fn new(budget: Budget) -> Self {
        Self { budget, shared: Arc::default() }
    }

    /// Lets a request pass when the budget has room for it.
    ///
    /// # Errors
    /// If the system wants to be left alone: with how long still.
    pub(crate) async fn pass(&self) -> Result<(), Failed> {
        self.is_free()?;
        let mut sent = self.shared.sent.lock().await;
        while let Some(until) = sent.full_until(self.budget, Instant::now()) {
            sleep_until(until).await;
        }
        // Another request may have been told to wait in the meantime.
        self.is_free()?;
        sent.0.push_back(Instant::now());
        Ok(())
    }

    /// Holds all further requests for as long as the system asked, or as long as its refusals hold. A shorter
    /// wait does not end a longer one. Returns how long it is.
    pub(crate) fn hold(&self, asked: Option<Duration>) -> Duration {
        let wait = asked.unwrap_or(self.budget.rest);
        let until = Instant::now() + wait;
        let mut not_before = self.shared.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = Some(not_before.map_or(until, |known| known.max(until)));
        wait
    }

    fn is_free(&self) -> Result<(), Failed> {
        let not_before = *self.shared.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        let left = not_before.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(());
        }
        let seconds = left.as_secs_f64().ceil();
        let what = format!("the system wants this connection to be left alone for {seconds} s more");
        Err(Failed::new(Fault::new(FaultKind::Transient, what).after(Some(left)), Again::WithinPatience))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn budget(requests: usize) -> Budget {
        Budget { requests, window: MINUTE, rest: MINUTE }
    }

    fn sent(pace: &Pace) -> usize {
        pace.shared.sent.try_lock().expect("nobody waits").0.len()
    }

    #[test]
    fn no_window_wherever_it_begins_has_more_requests_than_the_budget() {
        for step in [0, 1, 700, 5_999, 6_000, 6_001, 70_000] {
            let (mut sent, budget) = (Sent::default(), budget(10));
            let began = Instant::now();
            let mut now = began;
            let mut passed = Vec::new();
            for _ in 0..35 {
                if let Some(until) = sent.full_until(budget, now) {
                    assert!(until > now, "it waits for something");
                    now = until;
                }
                assert_eq!(sent.full_until(budget, now), None, "and not longer than it says");
                sent.0.push_back(now);
                passed.push(now);
                now += Duration::from_millis(step);
            }
            for (first, later) in passed.iter().zip(passed.iter().skip(10)) {
                assert!(*later - *first >= MINUTE, "{step} ms apart");
            }
            assert!(sent.0.len() <= 10, "nothing older than the window is kept");
        }
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_takes_nothing_and_stops_nobody() {
        let pace = Pace::new(budget(1));
        pace.pass().await.expect("the first");
        let (mut one, mut other) = (Box::pin(pace.pass()), Box::pin(pace.pass()));
        assert!(one.as_mut().now_or_never().is_none(), "it waits for the budget");
        assert!(other.as_mut().now_or_never().is_none(), "and this one for its turn");
        drop(one);
        assert!(other.as_mut().now_or_never().is_none());
        drop(other);
        assert_eq!(sent(&pace), 1, "nobody holds the turn, and nothing was taken");
    }

    #[tokio::test]
    async fn what_one_was_told_holds_for_all_and_the_longest_counts() {
        let pace = Pace::new(budget(100));
        assert_eq!(pace.hold(None), MINUTE, "what the system's refusals hold for");
        pace.hold(Some(Duration::from_secs(1)));
        let failed = pace.clone().pass().await.expect_err("a wait");
        assert_eq!((failed.fault.kind, failed.again), (FaultKind::Transient, Again::WithinPatience));
        assert!(failed.fault.retry_after.expect("how long") > Duration::from_secs(50));
        assert_eq!(sent(&pace), 0, "nothing was sent");
        let free = Pace::new(budget(100));
        free.hold(Some(Duration::ZERO));
        free.pass().await.expect("it is over");
    }
}
