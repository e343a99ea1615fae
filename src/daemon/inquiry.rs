//! Answers what becomes of a customer of the tree in force, from the readings that were kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::daemon::desk::Desk;
use crate::model::account::Account;
use crate::model::contact_match::ContactMatch;
use crate::model::text::Text;
use crate::plan::explanation::Explanation;
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
}

/// How many questions are answered at once.
const AT_ONCE: usize = 2;
/// How long somebody waits for their turn.
const PATIENCE: Duration = Duration::from_secs(10);

#[async_trait]
impl Inquiry for ControllerInquiry {
    async fn plan(&self, customer: &str) -> Result<KeptPlan, Unanswered> {
        let (job, revision) = self.job(customer)?;
        let kept = self.kept.clone();
        let planned = self.answered(async move { kept.plan_one(job).await }).await?;
        let (plan, read_at) = planned.map_err(failed)?;
        Ok(KeptPlan { plan, revision, read_at })
    }

    async fn explain(&self, customer: &str, account: &str) -> Result<Explanation, Unanswered> {
        let (job, _) = self.job(customer)?;
        let name = job.name().clone();
        let Job::Listed(customer) = job else {
            return Err(Unanswered::NothingToExplainFrom {
                what: format!("`{name}` is not in the tree"),
                hint: "its accounts are orphaned until a document of its own is back".to_owned(),
            });
        };
        let (kept, wanted) = (self.kept.clone(), account.to_owned());
        let explained = self.answered(async move { kept.explain(customer, &wanted).await }).await?;
        explained.map_err(|unexplained| match unexplained {
            Unexplained::Unfound(Unfound::Nobody { nearest }) => {
                Unanswered::UnknownAccount { customer: name, name: account.to_owned(), nearest }
            }
            Unexplained::Unfound(Unfound::Several(people)) => {
                Unanswered::SeveralPeople { customer: name, name: account.to_owned(), people }
            }
            Unexplained::NothingKept { what, hint } => Unanswered::NothingToExplainFrom { what, hint },
            Unexplained::Failed(fault) => failed(fault),
        })
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
        Self { desk, kept, browse, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Answers when there is a place, and gives it back when the answer is there: also when nobody waits for it.
    async fn answered<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let place = tokio::time::timeout(PATIENCE, self.places.clone().acquire_owned()).await;
        let place = place.ok().and_then(Result::ok).ok_or(Unanswered::Busy)?;
        let working = tokio::spawn(async move {
            let answer = work.await;
            drop(place);
            answer
        });
        working.await.map_err(failed)
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

fn failed(fault: impl std::error::Error + Send + Sync + 'static) -> Unanswered {
    Unanswered::Failed(Box::new(fault))
}
