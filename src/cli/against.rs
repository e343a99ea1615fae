//! `plan --against`: the same tree at another revision of git, planned from the same readings.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt as _;

use crate::adapters::git_revision::Revision;
use crate::cli::exit::Failure;
use crate::cli::round::Round;
use crate::cli::selection::choose;
use crate::cli::session::Session;
use crate::cli::trees::failure;
use crate::cli::wiring::{self, Operator};
use crate::model::text::Text;
use crate::ports::register::RegisterReader;
use crate::reconcile::judge::{Job, Judge};
use crate::reconcile::read_once::{Kept, ReadOnce};

/// The tree at another revision, and what plans are made with.
pub struct Against {
    /// Kept as long as its files may be read.
    revision: Revision,
    jobs: Vec<Job>,
    now: Judge,
    then: Judge,
    kept: Arc<Kept>,
}

impl Against {
    /// Takes the tree at `root` as it was at a revision.
    ///
    /// # Errors
    /// If there is no such revision, or no tree in it.
    pub async fn open(
        session: &Session,
        operator: &Operator,
        register: &Arc<dyn RegisterReader>,
        root: &Path,
        reference: &str,
    ) -> Result<Self, Failure> {
        let revision = Revision::of(root, reference).await.map_err(failure)?;
        let tree = wiring::check_tree(&revision.root, operator, false).map_err(|fault| Failure {
            what: format!("the tree at `{reference}` cannot be compared with: {}", fault.what),
            ..fault
        })?;
        let wanted = &session.common.customers;
        // Whom this tree does not know, the other one need not know either.
        let mut jobs = choose(&tree.fleet, &register.customers().await?, &[])?;
        jobs.retain(|job| wanted.is_empty() || wanted.iter().any(|name| job.name() == name));
        let kept = Arc::new(Kept::default());
        let judge = |root: &Path| {
            let mut observer = session.observer(root, operator, register.clone());
            observer.sources = Arc::new(ReadOnce::new(observer.sources, kept.clone()));
            Judge::new(observer)
        };
        Ok(Self { now: judge(root), then: judge(&revision.root), revision, jobs, kept })
    }

    /// Plans customers by both trees, `at_once` at a time; returns the rounds by this tree and by the other
    /// one, and the other one's revision.
    pub async fn judge(self, session: &Session, jobs: Vec<Job>, at_once: usize) -> (Round, Round, Text) {
        let bar = &session.bar;
        let by_name = |jobs: Vec<Job>| jobs.into_iter().map(|job| (job.name().clone(), job));
        let mut pairs: BTreeMap<Text, (Option<Job>, Option<Job>)> =
            by_name(jobs).map(|(name, job)| (name, (Some(job), None))).collect();
        for (name, job) in by_name(self.jobs) {
            pairs.entry(name).or_default().1 = Some(job);
        }
        bar.begin(pairs.len());
        let (now, then, kept) = (&self.now, &self.then, &self.kept);
        let results: Vec<_> = futures_util::stream::iter(pairs)
            .map(|(name, (job, other))| async move {
                let progress = bar.customer();
                let judged = match job {
                    Some(job) => Some(Round::one(now, job, &progress).await),
                    None => None,
                };
                let compared = match other {
                    Some(job) => Some(Round::one(then, job, &progress).await),
                    None => None,
                };
                kept.forget(&name);
                bar.customer_done();
                (judged, compared)
            })
            .buffer_unordered(at_once.max(1))
            .collect()
            .await;
        bar.end();
        let (judged, compared): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        let revision = Text::from(self.revision.commit.as_str());
        (Round::of(judged.into_iter().flatten()), Round::of(compared.into_iter().flatten()), revision)
    }
}
