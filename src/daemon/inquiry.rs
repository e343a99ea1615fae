//! Answers what becomes of a customer of the tree in force, from the readings that were kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::daemon::desk::Desk;
use crate::daemon::lately::{Basis, Given, Lately};
use crate::model::account::Account;
use crate::model::contact_match::ContactMatch;
use crate::model::text::Text;
use crate::plan::explanation::Explanation;
use crate::plan::outcome::{Action, CustomerPlan, FindingCode, Operation};
use crate::plan::seek::Unfound;
use crate::policy::fleet::Customer;
use crate::ports::browse::Browse;
use crate::ports::inquiry::{Inquiry, KeptPlan, Unanswered};
use crate::reconcile::candidate::{FromKept, Unexplained};
use crate::reconcile::choose::nearest;
use crate::reconcile::contact_list::contacts_of;
use crate::reconcile::judge::Job;

/// Answers for a controller.
pub struct ControllerInquiry {
    /// Where the controller is met.
    pub desk: Arc<Desk>,
    /// What plans and explains.
    pub kept: Arc<FromKept>,
    /// Who looks around in the register.
    pub browse: Arc<dyn Browse>,
    /// How many questions are answered at once: each has the readings of a customer in memory.
    places: Arc<Semaphore>,
    plans: Arc<Lately<Arc<KeptPlan>>>,
    explanations: Arc<Lately<Arc<Explanation>>>,
}

/// How many questions are answered at once.
const AT_ONCE: usize = 2;
/// How long somebody waits for their turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many plans are kept for some seconds, and how many bytes of them.
const PLANS: (usize, usize) = (200, 64 << 20);
/// The same of explanations.
const EXPLANATIONS: (usize, usize) = (1_000, 16 << 20);

#[async_trait]
impl Inquiry for ControllerInquiry {
    async fn plan(&self, customer: &str) -> Result<Arc<KeptPlan>, Unanswered> {
        let make = |basis: &Basis| {
            let (job, revision, kept) = (basis.job.clone(), basis.revision.clone(), self.kept.clone());
            let work = async move { kept.plan_one(job).await };
            let planned = answered(self.places.clone(), work);
            async move {
                let (plan, read_at) = planned.await?.map_err(failed)?;
                let is_of_fleet = plan.operations.iter().any(is_of_fleet);
                let size = plan_size(&plan);
                Ok(Given { answer: Arc::new(KeptPlan { plan, revision, read_at }), size, is_of_fleet })
            }
        };
        let key = (Text::from(customer), String::new());
        self.plans.answer(key, || self.basis(customer), make).await
    }

    async fn explain(&self, customer: &str, account: &str) -> Result<Arc<Explanation>, Unanswered> {
        let make = |basis: &Basis| {
            let (job, kept, places) = (basis.job.clone(), self.kept.clone(), self.places.clone());
            let wanted = account.to_owned();
            async move {
                let explanation = explained(job, kept, places, wanted).await?;
                let size = EXPLANATION_SIZE * (1 + explanation.also_as.len());
                Ok(Given { answer: Arc::new(explanation), size, is_of_fleet: false })
            }
        };
        let key = (Text::from(customer), account.to_owned());
        self.explanations.answer(key, || self.basis(customer), make).await
    }

    fn document(&self, customer: &str) -> Result<Option<Arc<Customer>>, Unanswered> {
        match self.job(customer)?.0 {
            Job::Listed(customer) => Ok(Some(customer)),
            Job::Absent { .. } => Ok(None),
        }
    }

    async fn contacts(&self, accounts: &[(Text, Account)]) -> Result<Vec<(Text, ContactMatch)>, Unanswered> {
        contacts_of(&*self.kept.register, &*self.browse, accounts).await.map_err(failed)
    }
}

impl ControllerInquiry {
    /// Makes one.
    pub fn new(desk: Arc<Desk>, kept: Arc<FromKept>, browse: Arc<dyn Browse>) -> Self {
        Self {
            desk,
            kept,
            browse,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            plans: Lately::new(PLANS.0, PLANS.1),
            explanations: Lately::new(EXPLANATIONS.0, EXPLANATIONS.1),
        }
    }

    /// Returns what an answer about a customer is made from now.
    fn basis(&self, customer: &str) -> Result<Basis, Unanswered> {
        // First of all: what happens from here on is newer than this.
        let bulletin = self.desk.bulletin();
        let (happened, wrote) = (bulletin.over_of(Some(customer)), bulletin.wrote());
        let (job, revision) = self.job(customer)?;
        Ok(Basis { job, revision, happened, wrote })
    }

    /// Returns a customer that the controller knows, and the revision of the tree in force.
    fn job(&self, name: &str) -> Result<(Job, Text), Unanswered> {
        let (jobs, revision) = self.desk.jobs().ok_or(Unanswered::NotYet)?;
        match jobs.get(name) {
            Some(job) => Ok((job.clone(), revision)),
            None => Err(Unanswered::UnknownCustomer {
                name: name.to_owned(),
                nearest: nearest(jobs.keys(), name).cloned(),
            }),
        }
    }
}

/// Answers when there is a place, and gives it back when the answer is there.
async fn answered<T>(places: Arc<Semaphore>, work: impl Future<Output = T>) -> Result<T, Unanswered> {
    let place = tokio::time::timeout(PATIENCE, places.acquire()).await;
    let _place = place.ok().and_then(Result::ok).ok_or(Unanswered::Busy)?;
    Ok(work.await)
}

async fn explained(
    job: Job,
    kept: Arc<FromKept>,
    places: Arc<Semaphore>,
    wanted: String,
) -> Result<Explanation, Unanswered> {
    let name = job.name().clone();
    let Job::Listed(customer) = job else {
        return Err(Unanswered::NothingToExplainFrom {
            what: format!("`{name}` is not in the tree"),
            hint: "its accounts are orphaned until a document of its own is back".to_owned(),
        });
    };
    let explained = answered(places, kept.explain(customer, &wanted)).await?;
    explained.map_err(|unexplained| match unexplained {
        Unexplained::Unfound(Unfound::Nobody { nearest }) => {
            Unanswered::UnknownAccount { customer: name, name: wanted, nearest }
        }
        Unexplained::Unfound(Unfound::Several(people)) => {
            Unanswered::SeveralPeople { customer: name, name: wanted, people }
        }
        Unexplained::NothingKept { what, hint } => Unanswered::NothingToExplainFrom { what, hint },
        Unexplained::Failed(fault) => failed(fault),
    })
}

/// Whether an operation depends on how many removals began at other customers.
fn is_of_fleet(operation: &Operation) -> bool {
    matches!(operation.action, Action::Pend | Action::Remove)
        || operation.held_by == Some(FindingCode::FleetRemovalLimit)
}

/// How many bytes an operation takes in memory, and everybody else whom a plan names: about, and rather too many.
const PERSON_SIZE: usize = 600;
/// The same of an explanation in one role.
const EXPLANATION_SIZE: usize = 8 << 10;

fn plan_size(plan: &CustomerPlan) -> usize {
    let people = plan.operations.len()
        + plan.kept.len()
        + plan.licensed_outside_scope.len()
        + plan.not_imported.len()
        + plan.missing_contacts.len()
        + plan.consequences.pins.scopes.len();
    let words: usize =
        plan.findings.iter().map(|finding| finding.subject.len() + finding.message.len()).sum();
    PERSON_SIZE * (1 + people + plan.findings.len()) + words
}

fn failed(fault: impl std::error::Error + Send + Sync + 'static) -> Unanswered {
    Unanswered::Failed(Box::new(fault))
}
