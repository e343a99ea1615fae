//! What the dashboard keeps while the program runs: who is signed in, and how much is done at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::web::access::Gate;
use crate::web::sessions::Sessions;

/// How many streams there are at once.
const STREAMS: usize = 100;
/// How many plans and explanations are made at once: each holds all people of a customer in memory.
const PLANS: usize = 4;

/// What the dashboard keeps.
pub struct Dashboard {
    /// Who may ask.
    pub gate: Gate,
    /// Who is signed in.
    pub sessions: Sessions,
    /// Whether only this machine can ask: then a cookie may travel without TLS.
    pub is_loopback: bool,
    /// Ends streams.
    pub stop: CancellationToken,
    streams: Arc<Semaphore>,
    plans: Arc<Semaphore>,
}

impl Dashboard {
    /// Makes one to which nobody is signed in.
    pub fn new(gate: Gate, sessions: Sessions, is_loopback: bool, stop: CancellationToken) -> Self {
        Self {
            gate,
            sessions,
            is_loopback,
            stop,
            streams: Arc::new(Semaphore::new(STREAMS)),
            plans: Arc::new(Semaphore::new(PLANS)),
        }
    }

    /// Returns a place for a stream, if one is free.
    pub fn stream(&self) -> Option<OwnedSemaphorePermit> {
        self.streams.clone().try_acquire_owned().ok()
    }

    /// Waits for a place to plan or explain in; `None` only when the program ends.
    pub async fn plan(&self) -> Option<OwnedSemaphorePermit> {
        self.plans.clone().acquire_owned().await.ok()
    }
}
