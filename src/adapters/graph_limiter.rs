//! One limiter per application and tenant: a wait that the service asked one reading for holds for
//! all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::adapters::http::{Again, Failed};
use crate::model::digest::Digest;
use crate::model::reading::{Fault, FaultKind};

/// The limiters of all applications and tenants; a clone shares them.
///
/// Nothing waits here: a request that may not be sent yet fails as if the service had refused it
/// once more, and the reading's own patience does the waiting. So no tenant holds anything that
/// another one needs.
#[derive(Debug, Clone, Default)]
pub struct Limiters {
    not_before: Arc<Mutex<HashMap<Digest, Instant>>>,
}

impl Limiters {
    /// Makes limiters that let everything pass.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a request pass, or says how long the service still wants to be left alone.
    ///
    /// # Errors
    /// A wait that is not over.
    pub(crate) fn pass(&self, key: Digest) -> Result<(), Failed> {
        let mut waits = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = waits.get(&key) else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            waits.remove(&key);
            return Ok(());
        }
        let seconds = left.as_secs_f64().ceil();
        let what = format!("Microsoft Graph wants this tenant to be left alone for {seconds} s more");
        let fault = Fault::new(FaultKind::Transient, what).after(Some(left));
        Err(Failed::new(fault, Again::WithinPatience))
    }

    /// Holds all further requests for as long as the service asked. A shorter wait does not end a
    /// longer one.
    pub(crate) fn hold(&self, key: Digest, wait: Duration) {
        let until = Instant::now() + wait;
        let mut waits = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        waits.retain(|_, until| *until > now);
        waits.entry(key).and_modify(|known| *known = until.max(*known)).or_insert(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_holds_for_one_tenant_alone_and_is_handed_on() {
        let limiters = Limiters::new();
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        limiters.hold(one, Duration::from_secs(3600));
        limiters.hold(one, Duration::from_secs(1));
        let failed = limiters.clone().pass(one).expect_err("a wait");
        let left = failed.fault.retry_after.expect("how long");
        assert!(left > Duration::from_secs(3500), "the shorter wait ended the longer one: {left:?}");
        assert_eq!((failed.fault.kind, failed.again), (FaultKind::Transient, Again::WithinPatience));
        assert!(limiters.pass(other).is_ok());
    }

    #[test]
    fn a_wait_that_is_over_is_forgotten() {
        let limiters = Limiters::new();
        limiters.hold(Digest::of(b"one"), Duration::ZERO);
        assert!(limiters.pass(Digest::of(b"one")).is_ok());
        assert!(limiters.not_before.lock().expect("a lock").is_empty());
    }
}
