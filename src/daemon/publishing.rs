//! When targets are compared with what was published to them: the publisher knows whose time has come.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::reconcile::publish::Publisher;

/// How often it is asked whose time has come.
const EVERY: Duration = Duration::from_secs(60);

/// Looks for drift until `stop` is cancelled.
pub async fn look_for_drift(publisher: Arc<Publisher>, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            looked = publisher.look_for_drift() => {
                if let Err(fault) = looked {
                    tracing::error!("targets could not be compared: {fault}");
                }
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
