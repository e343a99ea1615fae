//! What goes wrong in a turn, and how often each of it happened.

use std::collections::BTreeMap;

use super::truth::Change;

/// How a source answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Truth,
    Unavailable,
    Unauthorised,
    Throttled,
    Incomplete,
    Panic,
    Hang,
    /// Says that it is complete, and lacks every third of its people.
    Short(u32),
    /// Says how everything was a while ago: another domain controller, or a tenant that lags.
    Stale,
}

impl Answer {
    /// Whether the source itself tells that this is not everything.
    pub(super) fn fails(self) -> bool {
        !matches!(self, Self::Truth | Self::Short(_) | Self::Stale)
    }

    pub(super) fn lies(self) -> bool {
        matches!(self, Self::Short(_) | Self::Stale)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Truth => "truth",
            Self::Unavailable => "unavailable",
            Self::Unauthorised => "unauthorised",
            Self::Throttled => "throttled",
            Self::Incomplete => "incomplete",
            Self::Panic => "panic",
            Self::Hang => "hang",
            Self::Short(_) => "short",
            Self::Stale => "stale",
        }
    }
}

/// What happens to the register at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blow {
    /// It fails, and nothing was done.
    Before,
    /// It was done, and says that it failed.
    After,
    /// The process ends before it …
    DiesBefore,
    /// … or after it: nothing else is done.
    DiesAfter,
}

/// When something happens within a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    AfterDirectory,
    AfterTenant,
    AtConfirming,
}

/// What goes wrong in one turn of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weather {
    pub(super) directory: Answer,
    pub(super) tenant: Answer,
    pub(super) groups: Answer,
    /// What the sources say when they are asked once more.
    pub(super) confirming: Answer,
    /// Whether the other domain controller answers.
    pub(super) second_server: bool,
    pub(super) meanwhile: Option<(Moment, Change)>,
    /// The call of the register that something happens to, counted from 0.
    pub(super) blow: Option<(u32, Blow)>,
    /// Whether another process has a whole turn between plan and write.
    pub(super) rival: bool,
    /// Whether the turn is for the tree as it was before the last edit.
    pub(super) old_tree: bool,
    /// Whether the program is told to stop while sources are read.
    pub(super) stopped: bool,
}

impl Weather {
    pub(super) const FINE: Self = Self {
        directory: Answer::Truth,
        tenant: Answer::Truth,
        groups: Answer::Truth,
        confirming: Answer::Truth,
        second_server: false,
        meanwhile: None,
        blow: None,
        rival: false,
        old_tree: false,
        stopped: false,
    };
}

/// What happened so far, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally(pub(super) BTreeMap<String, u64>);

impl Tally {
    pub(super) fn count(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what.clone()).or_default() += count;
        }
    }

    pub(super) fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}
