//! Whether the controller can do its work: it has a tree, and its store answers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::daemon::desk::Desk;
use crate::ports::clock::Clock;
use crate::ports::readiness::Readiness;
use crate::ports::register::RegisterReader;

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long an answer of the store is good: whoever asks more often asks it no more often.
const FRESH: Duration = Duration::from_secs(1);

/// Whether the controller can do its work.
pub struct ControllerReadiness {
    desk: Arc<Desk>,
    register: Arc<dyn RegisterReader>,
    clock: Arc<dyn Clock>,
    last: Mutex<Option<(Instant, Option<String>)>>,
}

impl ControllerReadiness {
    /// Makes one.
    pub fn new(desk: Arc<Desk>, register: Arc<dyn RegisterReader>, clock: Arc<dyn Clock>) -> Self {
        Self { desk, register, clock, last: Mutex::new(None) }
    }

    /// Asks the store something small. Who it is and why it fails is for the log: whoever asks for
    /// readiness needs no token.
    async fn store(&self) -> Option<String> {
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < FRESH
        {
            return answer.clone();
        }
        let asked = tokio::time::timeout(PATIENCE, self.register.removals_since(self.clock.now()));
        let answer = match asked.await {
            Ok(Ok(_)) => None,
            Ok(Err(fault)) => {
                tracing::error!("not ready: the store does not answer: {fault}");
                Some("the store does not answer: the log says why".to_owned())
            }
            Err(_) => Some("the store does not answer in time".to_owned()),
        };
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

#[async_trait]
impl Readiness for ControllerReadiness {
    async fn obstacle(&self) -> Option<String> {
        if self.desk.revision().is_none() {
            return Some("the policy tree has not been read yet".to_owned());
        }
        self.store().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::desk::Known;
    use crate::model::text::Text;
    use crate::reconcile::fakes::{FakeRegister, FixedClock};

    #[tokio::test]
    async fn without_a_tree_nothing_can_be_done() {
        let desk = Arc::new(Desk::new());
        let register = Arc::new(FakeRegister::default());
        let readiness = ControllerReadiness::new(desk.clone(), register, Arc::new(FixedClock));
        assert!(readiness.obstacle().await.is_some_and(|why| why.contains("tree")));
        desk.take_over(Known { revision: Text::from("tree-1"), ..Known::default() });
        assert_eq!(readiness.obstacle().await, None);
    }
}
