//! Patience: how long the faults of a source may delay one reading, and how it is spent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::time::Instant;

use crate::adapters::http::{Again, Failed};
use crate::ports::meter::{Asked, Meter, Unmeasured};

/// The shortest wait before a second attempt, also where the server says zero: a request that
/// failed is never sent again at once.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// How often a request is sent again that may have failed by accident.
const FEW: u32 = 3;

/// How often any request is sent again, whatever the server says.
const MANY: usize = 20;

/// By which part a wait that a server asked for may be longer, and how much that is at the most: many
/// who are told the same come back one after the other.
const SPREAD: f64 = 0.1;
const LARGEST_SPREAD: Duration = Duration::from_secs(2);

/// The status of a server that cannot answer now, where another one behind the same address may.
const OVERLOADED: u16 = 503;

/// The shortest silence that counts as no answer.
const SHORTEST_SILENCE: Duration = Duration::from_secs(5);

/// How long faults may still delay a reading. Waiting costs of it, and so does an attempt that
/// failed: a server that hangs is no better than one that asks to wait.
#[derive(Debug)]
pub struct Patience {
    left: Mutex<Duration>,
    /// Whether a server said that it is overloaded.
    avoids_used_connections: AtomicBool,
    meter: Arc<dyn Meter>,
}

impl Patience {
    /// Starts with this much.
    pub fn new(max_wait: Duration) -> Self {
        Self {
            left: Mutex::new(max_wait),
            avoids_used_connections: AtomicBool::new(false),
            meter: Arc::new(Unmeasured),
        }
    }

    /// Has waits counted that a source asked for.
    #[must_use]
    pub fn measured_by(self, meter: Arc<dyn Meter>) -> Self {
        Self { meter, ..self }
    }

    /// Returns how long a server may say nothing before an attempt is given up.
    pub fn silence(&self) -> Duration {
        self.left().max(SHORTEST_SILENCE)
    }

    /// Whether requests belong on connections of their own: after a server said 503, the one that the
    /// client holds open leads back to it. It stays so for the whole reading.
    pub fn avoids_used_connections(&self) -> bool {
        self.avoids_used_connections.load(Ordering::Relaxed)
    }

    /// Gives back time that no fault took: waiting for one's own turn is not the source's doing, and an attempt
    /// that failed afterwards is charged for as a whole.
    pub fn excuse(&self, time: Duration) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_add(time);
    }

    /// Repeats an attempt to ask somebody while that is worth it and patience lasts.
    ///
    /// The server's `Retry-After` is obeyed; without one the waits grow, with jitter. A
    /// `Retry-After` beyond the patience ends it at once.
    ///
    /// # Errors
    /// The last attempt's failure.
    pub async fn persevere<T, Attempt, Running>(&self, whom: Asked, mut attempt: Attempt) -> Result<T, Failed>
    where
        Attempt: FnMut() -> Running,
        Running: Future<Output = Result<T, Failed>>,
    {
        let mut tries = 0;
        let timed = || {
            let running = attempt();
            async move {
                let started = Instant::now();
                let result = running.await;
                if let Err(failed) = &result {
                    self.spend(started.elapsed());
                    if failed.status == Some(OVERLOADED) {
                        self.avoids_used_connections.store(true, Ordering::Relaxed);
                    }
                }
                result
            }
        };
        let growing = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(30))
            .with_max_times(MANY);
        timed
            .retry(growing)
            .when(|failed| failed.again != Again::Never)
            .adjust(|failed, grown| {
                tries += 1;
                let wait = self.wait(failed, grown, tries)?;
                let spread = spread(wait, fastrand::f64());
                self.spend(spread);
                Some(wait + spread)
            })
            .notify(|failed, wait| {
                if failed.is_throttled() {
                    self.meter.waited(whom, wait);
                }
                tracing::debug!(target: "intake::http", ?wait, "trying again: {}", failed.fault);
            })
            .await
    }

    /// Returns how long to wait before the next attempt, and takes it off; `None` for giving up.
    fn wait(&self, failed: &Failed, grown: Option<Duration>, tries: u32) -> Option<Duration> {
        if failed.again == Again::FewTimes && tries > FEW {
            return None;
        }
        let grown = grown?;
        let left = self.left();
        let wait = match failed.fault.retry_after {
            Some(asked) => asked.max(SHORTEST_WAIT),
            None => grown.min(left),
        };
        if left.is_zero() || wait > left {
            return None;
        }
        self.spend(wait);
        Some(wait)
    }

    fn left(&self) -> Duration {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spend(&self, time: Duration) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_sub(time);
    }
}

/// Returns how much longer to wait than was asked, by a number from 0 to 1.
fn spread(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(SPREAD).min(LARGEST_SPREAD).mul_f64(random)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::model::reading::{Fault, FaultKind};

    const MILLI: Duration = Duration::from_millis(1);

    fn failed(again: Again, retry_after: Option<Duration>) -> Failed {
        Failed::new(Fault::new(FaultKind::Transient, "busy").after(retry_after), again)
    }

    /// Fails a number of times; returns the outcome, the attempts and the time that went by.
    async fn tried(
        max_wait: Duration,
        failure: Failed,
        failures: u32,
    ) -> (Result<u32, Failed>, u32, Duration) {
        let attempts = AtomicU32::new(0);
        let started = Instant::now();
        let result = Patience::new(max_wait)
            .persevere(Asked::Graph, || async {
                let attempt = attempts.fetch_add(1, Ordering::Relaxed);
                if attempt < failures { Err(failure.clone()) } else { Ok(attempt) }
            })
            .await;
        (result, attempts.into_inner(), started.elapsed())
    }

    #[tokio::test]
    async fn a_retry_after_within_the_patience_is_waited_for() {
        let failure = failed(Again::WithinPatience, Some(150 * MILLI));
        let (result, attempts, time) = tried(10_000 * MILLI, failure, 2).await;
        assert_eq!((result.ok(), attempts), (Some(2), 3));
        assert!(time >= 300 * MILLI, "{time:?}");
    }

    #[tokio::test]
    async fn a_retry_after_beyond_the_patience_ends_it_at_once_and_is_kept() {
        let asked = Some(Duration::from_secs(31));
        let (result, attempts, time) =
            tried(Duration::from_secs(30), failed(Again::WithinPatience, asked), 1).await;
        assert_eq!(result.expect_err("no patience").fault.retry_after, asked);
        assert_eq!(attempts, 1);
        assert!(time < Duration::from_secs(30), "{time:?}");
    }

    #[tokio::test]
    async fn waits_without_a_retry_after_use_up_the_patience_and_then_end() {
        let (result, attempts, time) =
            tried(600 * MILLI, failed(Again::WithinPatience, None), u32::MAX).await;
        assert!(result.is_err());
        assert!(attempts >= 2, "{attempts} attempts");
        assert!((600 * MILLI..30_000 * MILLI).contains(&time), "{time:?}");
    }

    #[tokio::test]
    async fn no_patience_means_one_attempt() {
        for retry_after in [None, Some(Duration::ZERO)] {
            let (result, attempts, _) =
                tried(Duration::ZERO, failed(Again::WithinPatience, retry_after), 1).await;
            assert!(result.is_err());
            assert_eq!(attempts, 1);
        }
    }

    #[test]
    fn even_a_retry_after_of_zero_waits_a_little() {
        let patience = Patience::new(Duration::from_secs(1));
        let failure = failed(Again::WithinPatience, Some(Duration::ZERO));
        assert_eq!(patience.wait(&failure, Some(MILLI), 1), Some(SHORTEST_WAIT));
        assert_eq!(patience.left(), Duration::from_secs(1) - SHORTEST_WAIT);
        assert_eq!(patience.wait(&failure, None, 2), None, "and not for ever");
    }

    #[test]
    fn accidents_are_forgiven_a_few_times() {
        let patience = Patience::new(Duration::from_secs(3600));
        let failure = failed(Again::FewTimes, None);
        assert_eq!(patience.wait(&failure, Some(MILLI), FEW), Some(MILLI));
        assert_eq!(patience.wait(&failure, Some(MILLI), FEW + 1), None);
    }

    #[test]
    fn those_who_are_told_the_same_come_back_one_after_the_other() {
        let minute = Duration::from_secs(60);
        assert_eq!(spread(minute, 0.0), Duration::ZERO, "never before the time");
        assert_eq!(spread(minute, 0.5), Duration::from_secs(1));
        assert_eq!(spread(Duration::from_secs(10), 1.0), Duration::from_secs(1));
        assert_eq!(spread(Duration::ZERO, 1.0), Duration::ZERO);
    }

    #[tokio::test]
    async fn only_a_server_that_is_overloaded_makes_used_connections_avoided() {
        for (status, avoids) in [(429, false), (500, false), (504, false), (503, true)] {
            let patience = Patience::new(Duration::ZERO);
            let mut failure = failed(Again::WithinPatience, None);
            failure.status = Some(status);
            let result: Result<(), Failed> =
                patience.persevere(Asked::Graph, || async { Err(failure.clone()) }).await;
            assert!(result.is_err());
            assert_eq!(patience.avoids_used_connections(), avoids, "{status}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_never_tried_again() {
        let (result, attempts, _) = tried(10_000 * MILLI, failed(Again::Never, None), 1).await;
        assert!(result.is_err());
        assert_eq!(attempts, 1);
    }

    #[tokio::test]
    async fn an_attempt_that_hangs_costs_patience_as_well() {
        let patience = Patience::new(100 * MILLI);
        let attempts = AtomicU32::new(0);
        let result: Result<(), Failed> = patience
            .persevere(Asked::Graph, || async {
                attempts.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(150 * MILLI).await;
                Err(failed(Again::WithinPatience, None))
            })
            .await;
        assert!(result.is_err());
        assert_eq!(attempts.into_inner(), 1);
    }
}
