//! What the dashboard keeps while the program runs: who is signed in, and how much is done at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::ports::sign_in::SignIn;
use crate::web::access::Gate;
use crate::web::sessions::Sessions;

/// How many streams there are at once.
const STREAMS: usize = 100;

/// What the dashboard keeps.
pub struct Dashboard {
    /// Who may ask.
    pub gate: Gate,
    /// Who is signed in.
    pub sessions: Sessions,
    /// Whether only this machine can ask: then a cookie may travel without TLS.
    pub is_loopback: bool,
    /// Who else signs people in, if anybody does.
    pub sign_in: Option<Arc<dyn SignIn>>,
    /// Ends streams.
    pub stop: CancellationToken,
    streams: Arc<Semaphore>,
}

impl Dashboard {
    /// Makes one to which nobody is signed in.
    pub fn new(
        gate: Gate,
        sessions: Sessions,
        sign_in: Option<Arc<dyn SignIn>>,
        is_loopback: bool,
        stop: CancellationToken,
    ) -> Self {
        Self { gate, sessions, sign_in, is_loopback, stop, streams: Arc::new(Semaphore::new(STREAMS)) }
    }

    /// Returns a place for a stream, if one is free.
    pub fn stream(&self) -> Option<OwnedSemaphorePermit> {
        self.streams.clone().try_acquire_owned().ok()
    }
}
