//! Plans a tree that is in force nowhere, from the latest complete readings that were kept: by the same
//! planner, against the same register, and with nothing at hand that writes or that asks a source.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;

use crate::model::observation::Observation;
use crate::model::reading::{Fault, FaultKind, Reading};
use crate::model::register::{PackedReadings, RegisterState};
use crate::model::text::{Text, inert};
use crate::plan::explain::explain;
use crate::plan::explanation::Explanation;
use crate::plan::outcome::CustomerPlan;
use crate::plan::planner::{plan_absent, plan_customer, unite};
use crate::plan::seek::Unfound;
use crate::policy::check::{TreeFile, check};
use crate::policy::fleet::Customer;
use crate::policy::limits::{FleetLimit, Limits};
use crate::ports::candidate::{Candidate, CandidatePlanner, Forecast, ForecastFault};
use crate::ports::clock::Clock;
use crate::ports::register::{RegisterFault, RegisterReader};
use crate::reconcile::choose::choose;
use crate::reconcile::fleet_room::keep_in_order;
use crate::reconcile::judge::{Job, TurnFault};
use crate::reconcile::observe::panic_text;
use crate::reconcile::read_from::difference;
use crate::reconcile::readings::unpack;

/// How many customers of one candidate are planned at once. The readings of each are in memory then.
const AT_ONCE: usize = 2;
/// As many files as a folder may hold that is a tree.
const MAX_FILES: usize = 100_000;
/// As deep as a folder may be that is a tree.
const MAX_DEPTH: usize = 64;

/// Plans candidates from what was kept. Of the register it has the half that is for asking, and no sources:
/// no document can make it write, read a secret, or call anybody.
pub struct FromKept {
    /// What is known.
    pub register: Arc<dyn RegisterReader>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the operator lets a tree do.
    pub limits: Limits,
    /// How many removals may begin over all customers.
    pub fleet: FleetLimit,
}

/// One customer, planned.
struct Planned {
    plan: CustomerPlan,
    register: RegisterState,
    read_at: Option<Timestamp>,
}

#[async_trait]
impl CandidatePlanner for FromKept {
    async fn forecast(&self, candidate: Candidate) -> Result<Forecast, ForecastFault> {
        let Candidate { files, customers } = candidate;
        expect_tree(&files)?;
        let limits = self.limits.clone();
        let checked = aside(move || check(&files, &limits)).await?;
        let registered = self.register.customers().await.map_err(failed)?;
        let jobs = choose(&checked.fleet, &registered, &customers).map_err(|unknown| {
            let hint = unknown.nearest.as_ref().map(|nearest| format!("did you mean `{nearest}`?"));
            ForecastFault::Unusable { what: unknown.to_string(), hint }
        })?;
        let now = self.clock.now();
        let mut planned: Vec<Planned> = futures_util::stream::iter(jobs)
            .map(|job| self.plan(job, now))
            .buffered(AT_ONCE)
            .try_filter_map(|planned| std::future::ready(Ok(planned)))
            .try_collect()
            .await?;
        let plans = planned.iter_mut().map(|one| (&mut one.plan, &one.register, now)).collect();
        keep_in_order(plans, &*self.register, self.fleet).await.map_err(failed)?;
        let times = planned.iter().filter_map(|one| Some((one.plan.name.clone(), one.read_at?)));
        let read_at: BTreeMap<Text, Timestamp> = times.collect();
        let plans = planned.into_iter().map(|one| one.plan).collect();
        Ok(Forecast { plan: unite(checked.fleet.revision, plans), problems: checked.problems, read_at })
    }
}

/// Why nobody was explained.
#[derive(Debug)]
pub enum Unexplained {
    /// Nobody, or several people, are called so.
    Unfound(Unfound),
    /// There is nothing that could be explained from.
    NothingKept {
        /// Why, for people.
        what: String,
        /// What helps.
        hint: String,
    },
    /// Something failed inside.
    Failed(ForecastFault),
}

impl FromKept {
    /// Plans one customer of the tree in force; returns when the readings were made besides, `None` where none
    /// were kept that answer for it. Of its removals it keeps back those that the fleet has no room for.
    ///
    /// # Errors
    /// [`ForecastFault::Failed`].
    pub async fn plan_one(&self, job: Job) -> Result<(CustomerPlan, Option<Timestamp>), ForecastFault> {
        let now = self.clock.now();
        let name = job.name().clone();
        let Some(mut planned) = self.plan(job, now).await? else {
            // It left the tree, and its accounts are forgotten.
            return Ok((plan_absent(&name, &RegisterState::default(), true), None));
        };
        let plans = vec![(&mut planned.plan, &planned.register, now)];
        keep_in_order(plans, &*self.register, self.fleet).await.map_err(failed)?;
        Ok((planned.plan, planned.read_at))
    }

    /// Explains what becomes of somebody of a customer.
    ///
    /// # Errors
    /// [`Unexplained`].
    pub async fn explain(&self, customer: Arc<Customer>, account: &str) -> Result<Explanation, Unexplained> {
        let fault = |fault: RegisterFault| Unexplained::Failed(failed(fault));
        let register = self.register.load(&customer.name).await.map_err(fault)?;
        let kept = self.register.readings(&customer.name).await.map_err(fault)?;
        let (now, wanted) = (self.clock.now(), account.to_owned());
        let explained = aside(move || {
            let (observation, read_at) =
                recall(kept.as_ref(), &customer, register, now).map_err(|fault| {
                    Unexplained::NothingKept { what: fault.what, hint: fault.hint.unwrap_or_default() }
                })?;
            let answer = explain(&customer, &observation, &wanted).map_err(Unexplained::Unfound)?;
            Ok(Explanation { read_at: Some(read_at), ..answer })
        });
        explained.await.map_err(Unexplained::Failed)?
    }

    /// Plans one customer; nothing for one that left the tree and whose accounts are forgotten.
    async fn plan(&self, job: Job, now: Timestamp) -> Result<Option<Planned>, ForecastFault> {
        match job {
            Job::Listed(customer) => {
                // The register first: readings that are older than it would miss whom a turn just added.
                let register = self.register.load(&customer.name).await.map_err(failed)?;
                let kept = self.register.readings(&customer.name).await.map_err(failed)?;
                let planned = aside(move || {
                    let (observation, read_at) = match recall(kept.as_ref(), &customer, register.clone(), now)
                    {
                        Ok((observation, read_at)) => (observation, Some(read_at)),
                        Err(fault) => (unseen(fault, &customer, register, now), None),
                    };
                    let plan = plan_customer(&customer, &observation);
                    Planned { plan, register: observation.register, read_at }
                });
                Ok(Some(planned.await?))
            }
            Job::Absent { name, names_are_known } => {
                let register = self.register.load(&name).await.map_err(failed)?;
                if register.accounts.is_empty() {
                    return Ok(None);
                }
                let plan = plan_absent(&name, &register, names_are_known);
                Ok(Some(Planned { plan, register, read_at: None }))
            }
        }
    }
}

/// Returns what was kept of a customer as if it were seen now, and when it was seen.
///
/// # Errors
/// Why that does not answer for this customer.
fn recall(
    kept: Option<&PackedReadings>,
    customer: &Customer,
    register: RegisterState,
    now: Timestamp,
) -> Result<(Observation, Timestamp), Fault> {
    let Some(packed) = kept else {
        return Err(Fault::new(FaultKind::Refused, "the controller has no complete reading of it yet")
            .hint("its next turn that reads everything keeps one"));
    };
    if let Some(why) = difference(packed.read_from.as_ref(), customer) {
        return Err(Fault::new(FaultKind::Refused, why)
            .hint("a plan of it is there once the controller has read the new source"));
    }
    Ok((unpack(packed, customer, register, now)?, packed.at))
}

/// Returns what is seen of a customer where no source was read, and each says why.
fn unseen(fault: Fault, customer: &Customer, register: RegisterState, now: Timestamp) -> Observation {
    let directories = customer.directories.iter();
    Observation {
        at: now,
        directories: directories
            .map(|source| (source.name.clone(), Reading::Unavailable(fault.clone())))
            .collect(),
        tenant: customer.tenant.as_ref().map(|_| Reading::Unavailable(fault)),
        register,
        confirmation: None,
    }
}

/// Expects files as a folder that is a tree holds them.
fn expect_tree(files: &[TreeFile]) -> Result<(), ForecastFault> {
    let unusable =
        |what: String| ForecastFault::Unusable { what, hint: Some("send the tree's YAML files".to_owned()) };
    if files.is_empty() {
        return Err(unusable("the candidate holds no file".to_owned()));
    }
    if files.len() > MAX_FILES {
        return Err(unusable(format!("the candidate holds more than {MAX_FILES} files")));
    }
    let mut known = std::collections::BTreeSet::new();
    for file in files {
        let shown = file.path.to_string_lossy();
        let shown = inert(&shown);
        if let Some(why) = objection(&file.path) {
            return Err(unusable(format!("`{shown}` is no path of a policy file: {why}")));
        }
        if !known.insert(&file.path) {
            return Err(unusable(format!("`{shown}` is there twice")));
        }
    }
    Ok(())
}

/// Says why a path is none that a folder's reader would find.
fn objection(path: &Path) -> Option<&'static str> {
    let text = path.to_str()?;
    if text.len() > 4_096 {
        return Some("it is longer than 4096 bytes");
    }
    if text.contains('\0') {
        return Some("it holds a NUL");
    }
    // What components pass over in silence would be the same file by another name.
    if text.split('/').any(|part| part.is_empty() || part == ".") || text.contains('\\') {
        return Some("folders are separated by one `/` each");
    }
    let parts: Vec<Component<'_>> = path.components().collect();
    if !parts.iter().all(|part| matches!(part, Component::Normal(_))) {
        return Some("it leads out of the tree");
    }
    if text.split('/').any(|part| part.starts_with('.')) {
        return Some("names that start with a dot are skipped in a tree");
    }
    if parts.len() > MAX_DEPTH {
        return Some("it is too deep");
    }
    let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    (!is_yaml).then_some("it ends neither with .yaml nor with .yml")
}

/// Works on a thread where a million accounts hold nobody up.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ForecastFault> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        let what = match error.try_into_panic() {
            Ok(panic) => panic_text(&*panic),
            Err(error) => error.to_string(),
        };
        failed(TurnFault::Planner { customer: Text::from("(candidate)"), what })
    })
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> ForecastFault {
    ForecastFault::Failed(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> TreeFile {
        TreeFile { path: path.into(), content: Ok(Vec::new()) }
    }

    #[test]
    fn only_paths_that_a_folder_could_hold_are_taken() {
        for fine in ["a.yaml", "customers/contoso.yml", "ä ö/c.yaml"] {
            assert!(expect_tree(&[file(fine)]).is_ok(), "{fine}");
        }
        let deep = format!("{}a.yaml", "d/".repeat(100));
        for wrong in [
            "../a.yaml",
            "a/../../b.yaml",
            "/etc/a.yaml",
            "./a.yaml",
            "a//b.yaml",
            "a/./b.yaml",
            "a.txt",
            "",
            ".yaml",
            ".git/a.yaml",
            "a\0.yaml",
            "a\\b.yaml",
            &deep,
        ] {
            assert!(expect_tree(&[file(wrong)]).is_err(), "{wrong:?}");
        }
        assert!(expect_tree(&[]).is_err());
        assert!(expect_tree(&[file("a.yaml"), file("b.yaml"), file("a.yaml")]).is_err(), "twice");
    }
}
