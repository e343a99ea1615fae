//! How the program ends: exit codes, and errors as people read them.

use std::error::Error;

use crate::model::reading::Fault;
use crate::model::text::inert;
use crate::plan::outcome::{CustomerPlan, CustomerState};
use crate::ports::register::RegisterFault;
use crate::reconcile::judge::TurnFault;

/// How a command ended, in the order of what counts most: an error before a hold before changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done.
    Done,
    /// `plan --detailed-exitcode` found changes.
    Changes,
    /// A guard holds something, or a customer could not be read; the rest was done.
    Held,
    /// An error: an invalid tree, a stale plan, a broken store.
    Error,
}

/// Why a command could not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened and where, with its causes after colons.
    pub what: String,
    /// What a person may try.
    pub hint: Option<String>,
    /// Lines that show it, between the two.
    pub details: Vec<String>,
}

impl Exit {
    /// Returns the exit code of the contract.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Changes => 2,
            Self::Held => 3,
        }
    }

    /// Returns what a customer's state means for the whole run.
    pub fn of(plan: &CustomerPlan) -> Self {
        match plan.state {
            // Suspending a customer does not make its held removals anybody else's.
            CustomerState::Suspended if plan.summary.hold > 0 => Self::Held,
            CustomerState::Ready | CustomerState::Suspended => Self::Done,
            CustomerState::Held | CustomerState::Unreadable | CustomerState::NotReady => Self::Held,
            CustomerState::Invalid => Self::Error,
        }
    }
}

impl Failure {
    /// Makes one without a hint.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, details: Vec::new() }
    }

    /// Makes one of an error and its causes, put after what was tried.
    pub fn of(tried: &str, error: &dyn Error) -> Self {
        let mut what = tried.to_owned();
        let mut next = Some(error);
        while let Some(error) = next {
            if !what.is_empty() {
                what.push_str(": ");
            }
            what.push_str(&error.to_string());
            next = error.source();
        }
        Self::new(what)
    }

    /// Adds what a person may try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds lines that show it.
    #[must_use]
    pub fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// Returns the lines that people read: `error: …` and `hint: …`, each on one line, and what
    /// shows the error between them.
    pub fn lines(&self) -> String {
        let mut lines = format!("error: {}\n", inert(&self.what));
        for detail in &self.details {
            lines.push_str(&format!("  {}\n", inert(detail)));
        }
        if let Some(hint) = &self.hint {
            lines.push_str(&format!("hint: {}\n", inert(hint)));
        }
        lines
    }
}

impl From<RegisterFault> for Failure {
    fn from(fault: RegisterFault) -> Self {
        let failure = Self::of("", &fault);
        match fault {
            RegisterFault::Stale { .. } => failure.hint("plan again: somebody else applied meanwhile"),
            RegisterFault::Newer => failure.hint("use the version of Intake that wrote it, or a later one"),
            RegisterFault::Busy
            | RegisterFault::LeaseLost { .. }
            | RegisterFault::NoRoom { .. }
            | RegisterFault::Overtaken { .. } => failure,
            RegisterFault::Damaged { .. } => failure.hint("restore the store from a backup"),
            RegisterFault::Unavailable { .. } => {
                failure.hint("`--state`, INTAKE_STATE and the operator's file say where the store is")
            }
        }
    }
}

impl From<TurnFault> for Failure {
    fn from(fault: TurnFault) -> Self {
        match fault {
            TurnFault::Register(fault) => fault.into(),
            TurnFault::Planner { .. } => {
                Self::of("", &fault).hint("this is a defect of Intake: please report it")
            }
            TurnFault::Stopped => Self::of("", &fault),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { what: fault.what, hint: fault.hint, details: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_counts_more_than_a_hold_and_a_hold_more_than_changes() {
        assert_eq!(Exit::Held.max(Exit::Error).code(), 1);
        assert_eq!(Exit::Changes.max(Exit::Held).code(), 3);
        assert_eq!(Exit::Done.max(Exit::Changes).code(), 2);
        assert_eq!(Exit::Done.code(), 0);
    }

    #[test]
    fn a_suspended_customer_with_held_removals_counts_as_held() {
        let mut plan = crate::reconcile::fakes::plan("contoso", 1, Vec::new());
        plan.state = CustomerState::Suspended;
        assert_eq!(Exit::of(&plan), Exit::Done);
        plan.summary.hold = 1;
        assert_eq!(Exit::of(&plan), Exit::Held);
        plan.state = CustomerState::Invalid;
        assert_eq!(Exit::of(&plan), Exit::Error);
    }

    #[test]
    fn causes_follow_after_colons_and_a_hint_has_its_own_line() {
        let fault = RegisterFault::Unavailable {
            what: "cannot open `a\u{1b}b`".to_owned(),
            source: std::io::Error::other("no such file").into(),
        };
        let lines = Failure::from(fault).lines();
        let mut lines = lines.lines();
        assert_eq!(lines.next(), Some("error: cannot open `a\\u{1b}b`: no such file"));
        assert!(lines.next().is_some_and(|line| line.starts_with("hint: ")));
        assert_eq!(lines.next(), None);
    }
}
