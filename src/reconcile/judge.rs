//! Observes and plans one customer. Holds nothing that writes.

use std::sync::Arc;
use std::time::Duration;

use crate::model::event::ReadingDigests;
use crate::model::observation::Observation;
use crate::model::reading::{Fault, FaultKind, Reading};
use crate::model::register::{PackedReadings, RegisterState};
use crate::model::tenant::SyncState;
use crate::model::text::Text;
use crate::plan::likeness::{Likeness, likenesses};
use crate::plan::outcome::{CustomerPlan, CustomerState, FindingCode, Operation};
use crate::plan::planner::{plan_absent, plan_customer};
use crate::policy::fleet::Customer;
use crate::ports::meter::{Meter, Stage, Unmeasured, timed};
use crate::ports::register::RegisterFault;
use crate::ports::source::Progress;
use crate::reconcile::apply::is_to_write;
use crate::reconcile::observe::{Observer, panic_text};
use crate::reconcile::publish::{Published, published};
use crate::reconcile::readings::pack;

/// Whom a turn is for.
#[derive(Debug, Clone)]
pub enum Job {
    /// A customer of the tree.
    Listed(Arc<Customer>),
    /// A customer that the register knows and the tree does not have.
    Absent {
        /// Its name.
        name: Text,
        /// Whether the tree proves that it is gone: every document told its kind and name.
        names_are_known: bool,
    },
}

impl Job {
    /// Returns the customer's name.
    pub fn name(&self) -> &Text {
        match self {
            Self::Listed(customer) => &customer.name,
            Self::Absent { name, .. } => name,
        }
    }
}

/// A customer's plan and what it was computed from.
#[derive(Debug)]
pub struct Judged {
    /// The plan.
    pub plan: CustomerPlan,
    /// What was seen.
    pub observation: Observation,
    /// What could not be read.
    pub unread: Unread,
    /// The readings to keep, if they are complete and to be kept.
    pub packed: Option<PackedReadings>,
    /// What the tenant's next reading goes on from, if there is anything to keep.
    pub sync_state: Option<SyncState>,
    /// The digests of the readings that the plan was computed from, if it is to be written.
    pub readings: ReadingDigests,
    /// By what contacts of the customer's accounts may be recognised, if it is documented anywhere and
    /// everything was read.
    pub documented: Option<Documented>,
    /// What the customer publishes where; `None` where its documents do not tell.
    pub published: Option<Published>,
}

/// A customer that is documented somewhere.
#[derive(Debug, Clone)]
pub struct Documented {
    /// The customer, as its document describes it.
    pub customer: Arc<Customer>,
    /// Its accounts after the plan, sorted.
    pub likenesses: Arc<[Likeness]>,
}

impl Judged {
    /// Forgets the readings, which are large; what applying needs is kept.
    #[must_use]
    pub fn without_readings(mut self) -> Self {
        self.observation.directories = Vec::new();
        self.observation.tenant = None;
        self
    }
}

/// What of a customer could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unread {
    /// A sentence for each source, for people.
    pub reasons: Vec<String>,
    /// The longest time that a source asked to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether coming back alone may help: no source waits for a person.
    pub transient: bool,
}

/// Why there is no plan, or nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum TurnFault {
    /// The register failed.
    #[error("the register failed")]
    Register(#[source] RegisterFault),
    /// The planner failed inside: a defect of Intake.
    #[error("planning `{customer}` failed inside Intake: {what}")]
    Planner {
        /// The customer.
        customer: Text,
        /// What the panic said.
        what: String,
    },
    /// The program is stopping; nothing was written.
    #[error("stopped before anything was written")]
    Stopped,
}

impl From<RegisterFault> for TurnFault {
    fn from(fault: RegisterFault) -> Self {
        Self::Register(fault)
    }
}

/// The planner's entry points: values, so that tests of turns need no scenario for the planner.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) listed: fn(&Customer, &Observation) -> CustomerPlan,
    pub(crate) absent: fn(&Text, &RegisterState, bool) -> CustomerPlan,
}

/// Observes and plans customers.
#[derive(Clone)]
pub struct Judge {
    observer: Observer,
    rules: Rules,
    for_writing: bool,
    meter: Arc<dyn Meter>,
}

impl Judge {
    /// Makes one that plans by the rules of the contract.
    pub fn new(observer: Observer) -> Self {
        let rules = Rules { listed: plan_customer, absent: plan_absent };
        Self { observer, rules, for_writing: false, meter: Arc::new(Unmeasured) }
    }

    /// Has turns counted and their parts measured.
    #[must_use]
    pub fn measured_by(self, meter: Arc<dyn Meter>) -> Self {
        Self { meter, ..self }
    }

    /// Returns who counts.
    pub fn meter(&self) -> &dyn Meter {
        &*self.meter
    }

    /// Packs complete readings besides, and digests those of a plan that is to be written.
    #[must_use]
    pub fn for_writing(self) -> Self {
        Self { for_writing: true, ..self }
    }

    /// Makes one that plans by other rules.
    #[cfg(test)]
    pub(crate) fn with_rules(observer: Observer, rules: Rules) -> Self {
        Self { observer, rules, for_writing: false, meter: Arc::new(Unmeasured) }
    }

    /// Reads a customer and plans it. Writes nothing. Dropping the future ends the reads.
    ///
    /// # Errors
    /// [`TurnFault::Register`] and [`TurnFault::Planner`]; sources that fail are in the plan.
    pub async fn judge(&self, job: &Job, progress: &Arc<dyn Progress>) -> Result<Judged, TurnFault> {
        let observation = match job {
            Job::Listed(customer) => {
                let observing = self.observer.observe(customer, progress);
                timed(self.meter(), Stage::Observe, observing).await?
            }
            Job::Absent { name, .. } => Observation {
                at: self.observer.clock.now(),
                directories: Vec::new(),
                tenant: None,
                register: self.observer.register.load(name).await?,
                confirmation: None,
            },
        };
        let judged = self.plan(job, observation).await?;
        match job {
            Job::Listed(customer) => {
                let mut judged = self.confirm(customer, job, judged).await?;
                if let Some(Reading::Complete(tenant)) = &mut judged.observation.tenant {
                    judged.sync_state = tenant.sync_state.take();
                }
                let for_writing = self.for_writing;
                if !for_writing && !is_documented(customer, &judged.observation.register) {
                    return Ok(judged);
                }
                timed(self.meter(), Stage::Pack, finish(job, customer, judged, for_writing)).await
            }
            Job::Absent { .. } => Ok(judged),
        }
    }

    /// Before anybody is removed, the sources are asked once more for exactly these people, and the
    /// customer is planned again with the answers. Never a third time: whom that plan would remove
    /// besides them waits for the next turn.
    async fn confirm(
        &self,
        customer: &Arc<Customer>,
        job: &Job,
        judged: Judged,
    ) -> Result<Judged, TurnFault> {
        let removals: Vec<&Operation> = judged.plan.removals().collect();
        if removals.is_empty() {
            return Ok(judged);
        }
        let confirming = self.observer.confirm(customer, judged.observation, &removals);
        let (observation, amended) = timed(self.meter(), Stage::Confirm, confirming).await;
        if amended { self.plan(job, observation).await } else { Ok(Judged { observation, ..judged }) }
    }

    /// Plans on a thread where a million accounts hold nobody up.
    async fn plan(&self, job: &Job, observation: Observation) -> Result<Judged, TurnFault> {
        let (rules, job_there) = (self.rules, job.clone());
        let planning = tokio::task::spawn_blocking(move || {
            let plan = match &job_there {
                Job::Listed(customer) => (rules.listed)(customer, &observation),
                Job::Absent { name, names_are_known } => {
                    (rules.absent)(name, &observation.register, *names_are_known)
                }
            };
            let published = match &job_there {
                Job::Listed(customer) => is_believed(&plan).then(|| published(customer)),
                // Who left the tree publishes nothing any more, once that is certain.
                Job::Absent { names_are_known, .. } => names_are_known.then(Published::new),
            };
            let unread = Unread::of(&observation);
            let readings = ReadingDigests::default();
            Judged {
                plan,
                observation,
                unread,
                packed: None,
                sync_state: None,
                readings,
                documented: None,
                published,
            }
        });
        let planned = timed(self.meter(), Stage::Plan, planning).await;
        planned.map_err(|error| fault_of(job, error))
    }
}

/// Packs and digests readings, and takes from them what contacts are recognised by, on a thread where a million
/// people hold nobody up. At the end of judging: what the sources were asked once more is part of what was
/// decided from.
async fn finish(
    job: &Job,
    customer: &Arc<Customer>,
    judged: Judged,
    for_writing: bool,
) -> Result<Judged, TurnFault> {
    let customer = customer.clone();
    let finishing = tokio::task::spawn_blocking(move || {
        let Judged { plan, observation, .. } = &judged;
        let documented = (is_documented(&customer, &observation.register) && is_believed(plan))
            .then(|| likenesses(plan, observation))
            .flatten()
            .map(|all| Documented { customer: customer.clone(), likenesses: all.into() });
        let packed = if for_writing { pack(&customer, observation) } else { None };
        let readings = match for_writing && is_to_write(plan, &observation.register) {
            true => ReadingDigests::of(observation),
            false => ReadingDigests::default(),
        };
        Judged { packed, readings, documented, ..judged }
    });
    finishing.await.map_err(|error| fault_of(job, error))
}

/// Whether a plan says who a customer's people are: not one of a document with errors, which may have lost half
/// of what it says, and not one of other sources than the pinned ones.
fn is_believed(plan: &CustomerPlan) -> bool {
    matches!(plan.state, CustomerState::Ready | CustomerState::Held)
        && !plan.findings.iter().any(|finding| finding.code == FindingCode::SourceChanged)
}

/// Whether contacts of a customer are looked for, or what was known of them is to be forgotten.
fn is_documented(customer: &Customer, register: &RegisterState) -> bool {
    !customer.documentation.is_empty() || !register.documented.is_empty()
}

fn fault_of(job: &Job, error: tokio::task::JoinError) -> TurnFault {
    match error.try_into_panic() {
        Ok(panic) => TurnFault::Planner { customer: job.name().clone(), what: panic_text(&*panic) },
        Err(_) => TurnFault::Stopped,
    }
}

impl Unread {
    /// Collects what an observation lacks.
    pub fn of(observation: &Observation) -> Self {
        let mut unread = Self { transient: true, ..Self::default() };
        for (_, reading) in &observation.directories {
            unread.note(reading);
        }
        if let Some(reading) = &observation.tenant {
            unread.note(reading);
        }
        if let Some(groups) =
            observation.tenant.as_ref().and_then(|tenant| tenant.complete()?.groups.as_ref())
        {
            unread.note(groups);
        }
        for (_, answer) in observation.confirmation.iter().flat_map(|confirmation| &confirmation.unanswered) {
            unread.note(answer);
        }
        unread
    }

    fn note<T>(&mut self, reading: &Reading<T>) {
        match reading {
            Reading::Complete(_) => {}
            Reading::Incomplete(shortfall) => self.reasons.push(shortfall.what.clone()),
            Reading::Unavailable(fault) => self.fault(fault),
        }
    }

    fn fault(&mut self, fault: &Fault) {
        self.reasons.push(match &fault.hint {
            Some(hint) => format!("{} ({hint})", fault.what),
            None => fault.what.clone(),
        });
        self.retry_after = self.retry_after.max(fault.retry_after);
        self.transient &= fault.kind == FaultKind::Transient;
    }
}
