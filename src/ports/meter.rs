//! What is counted while the program works, told by whoever works, and read as one page by whoever watches.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tracing::Instrument as _;

use crate::plan::outcome::CustomerPlan;

/// Is told what happens, and keeps nothing of it but numbers.
pub trait Meter: Debug + Send + Sync {
    /// A part of a turn is over, however it ended.
    fn took(&self, stage: Stage, time: Duration);
    /// What a plan says was written.
    fn wrote(&self, plan: &CustomerPlan);
    /// A turn is over.
    fn turned(&self, turn: Turn<'_>);
    /// Another process made a customer's last turn: what this one counted of the turn before is old.
    fn made_elsewhere(&self, customer: &str) {
        let _ = customer;
    }
    /// A source was asked once.
    fn asked(&self, whom: Asked, answered: Answered);
    /// A source made a reading wait.
    fn waited(&self, whom: Asked, time: Duration);
    /// A delivery was tried once.
    fn delivered(&self, attempt: Attempt);
}

/// The meters as whoever watches the program reads them.
#[async_trait]
pub trait Readout: Send + Sync {
    /// Reads all of them. Never fails: what cannot be told is missing, and the page says so.
    async fn read(&self) -> Page;
}

/// A page of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its media type.
    pub content_type: &'static str,
    /// What stands on it.
    pub text: String,
}

/// A part of a turn whose duration is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// All sources and the register are read.
    Observe,
    /// The planner computes; twice in a turn that asked once more.
    Plan,
    /// The sources are asked once more for those who would go.
    Confirm,
    /// The readings are packed and digested.
    Pack,
    /// The one transaction.
    Write,
    /// The bookkeeping at the end.
    Record,
    /// One attempt at one delivery.
    Deliver,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 7] =
        [Self::Observe, Self::Plan, Self::Confirm, Self::Pack, Self::Write, Self::Record, Self::Deliver];

    /// Returns its name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Plan => "plan",
            Self::Confirm => "confirm",
            Self::Pack => "pack",
            Self::Write => "write",
            Self::Record => "record",
            Self::Deliver => "deliver",
        }
    }
}

/// How a turn ended.
#[derive(Debug, Clone, Copy)]
pub enum Turn<'a> {
    /// With this plan, carried out as far as its state allows.
    Planned(&'a CustomerPlan),
    /// Without one, or without writing it: the register failed, or Intake has a defect.
    Failed,
}

/// Who is asked over a network. Files are not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// A directory server: one connection with all of its searches.
    Ldap,
    /// Microsoft Graph: one HTTP request.
    Graph,
    /// The token service of a tenant: one HTTP request.
    TokenService,
    /// The machine that Intake runs on, for a token of its managed identity: one HTTP request.
    ManagedIdentity,
    /// IT Glue: one HTTP request.
    ItGlue,
    /// Hudu: one HTTP request.
    Hudu,
    /// ConnectWise PSA: one HTTP request.
    ConnectWise,
    /// A service that accounts are published to by SCIM: one HTTP request.
    Scim,
}

impl Asked {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Ldap,
        Self::Graph,
        Self::TokenService,
        Self::ManagedIdentity,
        Self::ItGlue,
        Self::Hudu,
        Self::ConnectWise,
        Self::Scim,
    ];

    /// Returns its name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Ldap => "ldap",
            Self::Graph => "graph",
            Self::TokenService => "tokenService",
            Self::ManagedIdentity => "managedIdentity",
            Self::ItGlue => "itGlue",
            Self::Hudu => "hudu",
            Self::ConnectWise => "connectWise",
            Self::Scim => "scim",
        }
    }
}

/// What came of asking once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answered {
    /// An answer.
    Ok,
    /// It wants to be left alone for a while.
    Throttled,
    /// It does not know Intake, or does not let it.
    Unauthorised,
    /// It refuses what was asked.
    Refused,
    /// An error of its own, or an answer that is not whole.
    Failed,
    /// No answer, none in time, or one that broke off.
    Unanswered,
}

impl Answered {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Throttled, Self::Unauthorised, Self::Refused, Self::Failed, Self::Unanswered];

    /// Returns its name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Throttled => "throttled",
            Self::Unauthorised => "unauthorised",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unanswered => "unanswered",
        }
    }
}

/// What came of trying a delivery once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attempt {
    /// It arrived.
    Delivered,
    /// It did not, and is tried again.
    PutOff,
    /// It did not, and is not tried again.
    GivenUp,
}

impl Attempt {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::PutOff, Self::GivenUp];

    /// Returns its name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::PutOff => "putOff",
            Self::GivenUp => "givenUp",
        }
    }
}

/// Measures and traces how long a part of a turn takes. What is broken off is not measured.
pub async fn timed<T>(meter: &dyn Meter, stage: Stage, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let result = work.instrument(tracing::info_span!("stage", otel.name = stage.code())).await;
    meter.took(stage, started.elapsed());
    result
}

/// Nobody watches.
#[derive(Debug, Clone, Copy)]
pub struct Unmeasured;

impl Meter for Unmeasured {
    fn took(&self, _stage: Stage, _time: Duration) {}
    fn wrote(&self, _plan: &CustomerPlan) {}
    fn turned(&self, _turn: Turn<'_>) {}
    fn asked(&self, _whom: Asked, _answered: Answered) {}
    fn waited(&self, _whom: Asked, _time: Duration) {}
    fn delivered(&self, _attempt: Attempt) {}
}
