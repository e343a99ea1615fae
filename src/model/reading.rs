//! What came of reading a source. Only a complete reading has a value, so nothing downstream can
//! take a short list for the truth: there is no list to take.

use std::time::Duration;

/// The outcome of reading a directory or a tenant.
#[derive(Debug, Clone)]
pub enum Reading<T> {
    /// Everything that the source holds was read, and the source said so.
    Complete(T),
    /// The source answered, and what it answered does not prove itself whole.
    Incomplete(Shortfall),
    /// The source did not answer, or refused.
    Unavailable(Fault),
}

/// Why a reading is not whole: a search that ended early, a page that failed, values that
/// permissions hide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// What is missing and how it was noticed, for a person.
    pub what: String,
    /// How many objects had arrived when it ended.
    pub read: usize,
}

/// Why a source gave no answer, cut by what the caller does next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// What the caller does next.
    pub kind: FaultKind,
    /// What happened, for a person, without secrets; causes after colons.
    pub what: String,
    /// What a person may try, where that is known.
    pub hint: Option<String>,
    /// How long the source asked to be left alone.
    pub retry_after: Option<Duration>,
}

/// What the caller of a source does after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Try again later: no connection, busy, throttled, a server error, a time-out.
    Transient,
    /// A person must change something: a wrong address, a broken file, a refused request.
    Refused,
    /// The credential is wrong, expired or locked.
    Unauthorised,
    /// The tenant never consented to the application, or took its consent back.
    Unconsented,
}

impl<T> Reading<T> {
    /// Returns the value of a complete reading.
    pub fn complete(&self) -> Option<&T> {
        match self {
            Self::Complete(value) => Some(value),
            Self::Incomplete(_) | Self::Unavailable(_) => None,
        }
    }
}

impl Fault {
    /// Makes a fault that has no hint.
    pub fn new(kind: FaultKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: None, retry_after: None }
    }

    /// Adds what a person may try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds how long the source asked to be left alone.
    #[must_use]
    pub fn after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Returns what happened and what a person may try, for where a hint has no place of its own.
    pub fn with_hint(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.what),
            None => self.what.clone(),
        }
    }
}
