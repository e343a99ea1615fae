//! One turn: observe, plan, apply, and the bookkeeping around it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::model::account::AccountState;
use crate::model::duration::Seconds;
use crate::model::event::ChainHead;
use crate::model::register::{
    Commit, Committed, CustomerStatus, FleetRoom, PackedReadings, RegisterState, Suspension,
};
use crate::model::text::{Text, inert};
use crate::plan::diff::RESTORABLE;
use crate::plan::fleet_limit::keep;
use crate::plan::outcome::{CustomerPlan, CustomerState, Finding, FindingCode, Severity, Summary};
use crate::policy::limits::FleetLimit;
use crate::ports::clock::Clock;
use crate::ports::meter::{Stage, Turn, timed};
use crate::ports::register::{Register, RegisterFault};
use crate::ports::source::Progress;
use crate::reconcile::apply::{commit_of, may_write};
use crate::reconcile::documentation::{Documenter, Visit};
use crate::reconcile::judge::{Documented, Job, Judge, Judged, TurnFault, Unread};
use crate::reconcile::notice::{Stamp, Subscription, state_deliveries};
use crate::reconcile::publish::Publisher;

/// How often a turn is planned anew because somebody else wrote meanwhile.
const TRIES: u32 = 3;

/// Under which name of the log it is told that a turn wrote.
pub const APPLIED: &str = "intake::applied";

/// Carries out turns.
pub struct Reconciler {
    judge: Judge,
    register: Arc<dyn Register>,
    clock: Arc<dyn Clock>,
    subscriptions: Vec<Subscription>,
    new_run: fn() -> Text,
    fleet: FleetLimit,
    /// One turn at a time looks how many removals the fleet has room for, and writes them.
    room: tokio::sync::Mutex<()>,
    /// Who looks for contacts after a turn.
    documenter: Option<Arc<Documenter>>,
    /// Who decides after a turn what is published.
    publisher: Option<Arc<Publisher>>,
}

/// What came of a turn.
#[derive(Debug)]
pub struct TurnOutcome {
    /// The plan that was carried out, as far as its state allows.
    pub plan: CustomerPlan,
    /// The register's new revision and the end of the audit record, if accounts, events or deliveries
    /// were written.
    pub wrote: Option<Committed>,
    /// What could not be read.
    pub unread: Unread,
    /// How many turns in a row could not read the customer, this one included.
    pub failures: u32,
}

/// Says how long after a turn the next one is meant to be.
pub type Next<'a> = &'a (dyn Fn(&TurnOutcome) -> Option<Duration> + Send + Sync);

impl Reconciler {
    /// Makes one. `new_run` makes the id of a turn. The judge keeps and digests readings from now on:
    /// what is written says what it was decided from.
    ///
    pub fn new(
        judge: Judge,
        register: Arc<dyn Register>,
        clock: Arc<dyn Clock>,
        subscriptions: Vec<Subscription>,
        fleet: FleetLimit,
        new_run: fn() -> Text,
    ) -> Self {
        Self {
            judge: judge.for_writing(),
            register,
            clock,
            subscriptions,
            new_run,
            fleet,
            room: tokio::sync::Mutex::new(()),
            documenter: None,
            publisher: None,
        }
    }

    /// Has contacts looked for after each turn.
    #[must_use]
    pub fn with_documenter(self, documenter: Arc<Documenter>) -> Self {
        Self { documenter: Some(documenter), ..self }
    }

    /// Has what targets are to show compared after each turn.
    #[must_use]
    pub fn with_publisher(self, publisher: Arc<Publisher>) -> Self {
        Self { publisher: Some(publisher), ..self }
    }

    /// Returns the register.
    pub fn register(&self) -> &Arc<dyn Register> {
        &self.register
    }

    /// Returns what time it is for turns.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns what plans without writing.
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// Reads, plans and applies one customer, and records how it went.
    ///
    /// When `stop` is cancelled, reading ends at once and nothing is written; a transaction that
    /// has begun is finished.
    ///
    /// # Errors
    /// [`TurnFault`]; sources that cannot be read are an outcome, not an error.
    pub async fn turn(
        &self,
        job: &Job,
        tree_revision: &Text,
        progress: &Arc<dyn Progress>,
        next: Next<'_>,
        stop: &CancellationToken,
    ) -> Result<TurnOutcome, TurnFault> {
        let span = tracing::info_span!("turn", customer = %inert(job.name()), state = tracing::field::Empty);
        let turned = self.try_turn(job, tree_revision, progress, next, stop).instrument(span.clone()).await;
        match &turned {
            Ok(outcome) => {
                span.record("state", outcome.plan.state.code());
                self.judge.meter().turned(Turn::Planned(&outcome.plan));
            }
            Err(TurnFault::Stopped) => {}
            Err(_) => self.judge.meter().turned(Turn::Failed),
        }
        turned
    }

    async fn try_turn(
        &self,
        job: &Job,
        tree_revision: &Text,
        progress: &Arc<dyn Progress>,
        next: Next<'_>,
        stop: &CancellationToken,
    ) -> Result<TurnOutcome, TurnFault> {
        let mut judged = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(TurnFault::Stopped),
            judged = self.judge.judge(job, progress) => judged?,
        };
        let run = (self.new_run)();
        let mut tries = 1;
        let wrote = loop {
            if stop.is_cancelled() {
                return Err(TurnFault::Stopped);
            }
            match self.write_within_limit(&mut judged, &run, tree_revision).await {
                Err(TurnFault::Register(RegisterFault::Stale { .. })) if tries < TRIES => {
                    tries += 1;
                    // From the start: what was read before somebody else wrote is older than the register,
                    // and would take back what the other one saw.
                    judged = tokio::select! {
                        biased;
                        () = stop.cancelled() => return Err(TurnFault::Stopped),
                        judged = self.judge.judge(job, progress) => judged?,
                    };
                }
                written => break written?,
            }
        };
        let closing = self.close(judged, wrote, tree_revision, next);
        timed(self.judge.meter(), Stage::Record, closing).await
    }

    /// Carries out a plan that somebody saw, and records how it went. Nothing is done that was not in
    /// it; its removals are held if meanwhile the fleet has no room for them any more.
    ///
    /// # Errors
    /// [`RegisterFault::Stale`] if the register changed since: nothing is written.
    pub async fn apply(
        &self,
        mut judged: Judged,
        run: &Text,
        tree_revision: &Text,
    ) -> Result<TurnOutcome, TurnFault> {
        let wrote = self.write_within_limit(&mut judged, run, tree_revision).await?;
        self.close(judged, wrote, tree_revision, &|_| None).await
    }

    /// Writes a plan; of its removals, as many as the fleet's limit has room for.
    async fn write_within_limit(
        &self,
        judged: &mut Judged,
        run: &Text,
        tree_revision: &Text,
    ) -> Result<Option<Committed>, TurnFault> {
        if judged.plan.removals().next().is_none() {
            return self.write(judged, run, tree_revision, None).await;
        }
        // From here to the write nobody else in this process may use up the room: customers come in the order of
        // arrival. What other processes write meanwhile the register itself finds out.
        let _room = self.room.lock().await;
        let at = judged.observation.at;
        let since = self.fleet.window.before(at);
        let mut tries = 1;
        loop {
            let recent = self.register.removals_since(since).await?;
            let begin = keep(&mut judged.plan, &judged.observation.register, self.fleet, recent, at);
            let room = (begin > 0).then_some(FleetRoom { since, most: self.fleet.max_removals });
            match self.write(judged, run, tree_revision, room).await {
                Err(TurnFault::Register(RegisterFault::NoRoom { .. })) if tries < TRIES => tries += 1,
                written => return written,
            }
        }
    }

    async fn write(
        &self,
        judged: &Judged,
        run: &Text,
        tree_revision: &Text,
        room: Option<FleetRoom>,
    ) -> Result<Option<Committed>, TurnFault> {
        let stamp =
            Stamp { run: run.clone(), tree_revision: tree_revision.clone(), at: judged.observation.at };
        let register = &judged.observation.register;
        let commit = commit_of(&judged.plan, register, &judged.readings, &stamp, &self.subscriptions);
        let Some(commit) = commit.map(|commit| Commit { room, ..commit }) else { return Ok(None) };
        let committed = timed(self.judge.meter(), Stage::Write, self.commit(commit)).await?;
        self.judge.meter().wrote(&judged.plan);
        log_applied(&judged.plan, committed.head, &stamp);
        Ok(Some(committed))
    }

    /// Commits in a task of its own: whoever stops waiting does not stop the transaction.
    async fn commit(&self, commit: Commit) -> Result<Committed, TurnFault> {
        let register = self.register.clone();
        let customer = commit.customer.clone();
        let committing = tokio::spawn(async move { register.commit(commit).await });
        match committing.await {
            Ok(committed) => Ok(committed?),
            Err(error) => Err(TurnFault::Register(RegisterFault::Unavailable {
                what: format!("the register failed while writing `{customer}`"),
                source: Box::new(error),
            })),
        }
    }

    /// Bookkeeping: what raises no revision and writes no event.
    async fn close(
        &self,
        judged: Judged,
        wrote: Option<Committed>,
        tree_revision: &Text,
        next: Next<'_>,
    ) -> Result<TurnOutcome, TurnFault> {
        let Judged { plan, observation, unread, packed, sync_state, readings: _, documented, published } =
            judged;
        let customer = plan.name.clone();
        // Also of whoever is suspended: reads and plans go on.
        if let Some(packed) = packed {
            self.keep(&customer, packed).await;
        }
        if may_write(&plan) {
            // A commit wrote them with what they led to.
            if let (None, Some(measures)) = (wrote, &plan.consequences.measures)
                && *measures != observation.register.measures
            {
                self.register.record_measures(&customer, measures, plan.register_revision).await?;
            }
            if let Some(state) = sync_state {
                self.register.record_sync_state(&customer, state).await?;
            }
            let before = RESTORABLE.before(observation.at);
            if outlived(&observation.register, before) {
                self.register.forget_removed(&customer, before).await?;
            }
        }
        let previous = self.register.status(&customer).await?;
        let failures = match plan.state {
            CustomerState::Unreadable => {
                previous.as_ref().map_or(0, |status| status.failures).saturating_add(1)
            }
            _ => 0,
        };
        let outcome = TurnOutcome { plan, wrote, unread, failures };
        let next = next(&outcome).map(|wait| Seconds(wait.as_secs()).after(self.clock.now()));
        let status = status_of(&outcome, previous.as_ref(), observation.at, tree_revision, next);
        let deliveries = state_deliveries(&status, previous.as_ref(), &self.subscriptions);
        self.register.record_status(&status, &deliveries).await?;
        if let (Some(documenter), Some(Documented { customer, likenesses }), true) =
            (&self.documenter, documented, may_write(&outcome.plan))
        {
            let tree_revision = tree_revision.clone();
            let visit = Visit { customer, tree_revision, likenesses, moment: Arc::default() };
            documenter.expect(visit, &observation.register.documented);
        }
        if let (Some(publisher), Some(published), true) =
            (&self.publisher, published, may_write(&outcome.plan))
        {
            // The import is done; whoever comes next compares again.
            if let Err(fault) = publisher.compare(&customer, &published, tree_revision).await {
                tracing::error!(customer = %inert(&customer), "nothing was published: {fault}");
            }
        }
        Ok(outcome)
    }

    /// Keeps readings, for explanations alone: the turn is as good without them.
    async fn keep(&self, customer: &Text, packed: PackedReadings) {
        if let Err(fault) = self.register.record_readings(customer, packed).await {
            tracing::warn!(%customer, "the readings were not kept for `explain --cached`: {fault}");
        }
    }
}

/// Logs what was written, and where the customer's audit record ends now: who keeps the log elsewhere can
/// prove by it that nothing was cut off. At once, so that no way to stop comes between.
fn log_applied(plan: &CustomerPlan, head: ChainHead, stamp: &Stamp) {
    let Summary { add, update, remove, hold, .. } = plan.summary;
    tracing::info!(target: APPLIED, customer = %inert(&plan.name), state = plan.state.code(), added = add,
        updated = update, removed = remove, held = hold, revision = %stamp.tree_revision, run = %stamp.run,
        events = head.events,
        head = head.hash.map(tracing::field::display), "applied");
}

fn outlived(register: &RegisterState, before: Timestamp) -> bool {
    register
        .accounts
        .iter()
        .any(|account| matches!(account.state, AccountState::Removed { since, .. } if since < before))
}

/// Returns how a turn went, as it is recorded.
fn status_of(
    outcome: &TurnOutcome,
    previous: Option<&CustomerStatus>,
    at: Timestamp,
    tree_revision: &Text,
    next_attempt: Option<Timestamp>,
) -> CustomerStatus {
    let last_success = match outcome.plan.state {
        CustomerState::Ready => Some(at),
        _ => previous.and_then(|status| status.last_success),
    };
    CustomerStatus {
        customer: outcome.plan.name.clone(),
        state: Text::from(outcome.plan.state.code()),
        last_attempt: at,
        last_success,
        failures: outcome.failures,
        next_attempt,
        tree_revision: tree_revision.clone(),
        message: why(&outcome.plan, &outcome.unread),
        reports: outcome.plan.consequences.reports.or(previous.and_then(|status| status.reports)),
    }
}

/// Says in a sentence why a customer is not `ready`, and of a ready one that accounts of it are
/// orphaned; otherwise empty.
pub fn why(plan: &CustomerPlan, unread: &Unread) -> String {
    let errors = || {
        let messages: Vec<&str> = plan
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| finding.message.as_str())
            .collect();
        messages.join("; ")
    };
    match plan.state {
        CustomerState::Ready => {
            let orphaned = plan.findings.iter().filter(|finding| finding.code == FindingCode::Orphaned);
            orphaned.map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; ")
        }
        CustomerState::Suspended => match &plan.consequences.suspension {
            Some(Suspension { at, by, reason }) => {
                let at = at.strftime("%Y-%m-%d %H:%M:%SZ");
                format!("suspended by {by} at {at} ({reason}): nothing is written")
            }
            None => "suspended: nothing is written".to_owned(),
        },
        CustomerState::Unreadable if !unread.reasons.is_empty() => unread.reasons.join("; "),
        CustomerState::Held => {
            let Some(approval) = plan.approval.map(|approval| approval.to_string()) else { return errors() };
            // Every guard that objects says what to type; once is enough.
            let (guards, others): (Vec<&Finding>, Vec<&Finding>) =
                plan.findings.iter().partition(|finding| finding.message.contains(&approval));
            let codes: Vec<&str> = guards.iter().skip(1).map(|finding| finding.code.code()).collect();
            let mut parts = vec![match guards.first() {
                Some(finding) => finding.message.clone(),
                None => {
                    let held = removals(plan.summary.hold);
                    format!("{held} held; to let exactly these go, approve {approval}")
                }
            }];
            if !codes.is_empty() {
                parts.push(format!("also {}", codes.join(", ")));
            }
            let others = others.into_iter().filter(|finding| finding.severity == Severity::Error);
            parts.extend(others.map(|finding| finding.message.clone()));
            parts.join("; ")
        }
        CustomerState::Unreadable | CustomerState::Invalid | CustomerState::NotReady => {
            let errors = errors();
            match plan.state {
                _ if !errors.is_empty() => errors,
                CustomerState::Invalid => {
                    let problems = plan.consequences.invalid.iter().take(TOLD_PROBLEMS);
                    let told: Vec<&str> = problems.map(String::as_str).collect();
                    let more = plan.consequences.invalid.len().saturating_sub(TOLD_PROBLEMS);
                    match (told.as_slice(), more) {
                        ([], _) => "its documents have errors: `intake validate` shows them".to_owned(),
                        (told, 0) => told.join("; "),
                        (told, more) => format!("{}; and {more} more", told.join("; ")),
                    }
                }
                CustomerState::NotReady => {
                    "a directory or a tenant that the import needs is not connected".to_owned()
                }
                _ => "a source could not be read".to_owned(),
            }
        }
    }
}

/// How many problems of a customer's documents its status tells.
const TOLD_PROBLEMS: usize = 3;

fn removals(count: u64) -> String {
    if count == 1 { "1 removal is".to_owned() } else { format!("{count} removals are") }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use tokio::sync::Notify;

    use super::*;
    use crate::model::account::Verdict;
    use crate::model::reading::Reading;
    use crate::model::tenant::Tenant;
    use crate::plan::outcome::{Action, Operation};
    use crate::policy::fleet::{Customer, DirectorySource, TenantSource};
    use crate::ports::source::{DirectoryPort, Sources, TenantPort, Unwatched};
    use crate::reconcile::fakes::{
        FakeRegister, NOW, account, customer, judge_of, moment, operation, plan, reconciler, reconciler_with,
    };

    async fn run(
        reconciler: &Reconciler,
        job: &Job,
        stop: &CancellationToken,
    ) -> Result<TurnOutcome, TurnFault> {
        let progress: Arc<dyn Progress> = Arc::new(Unwatched);
        let next = |_: &TurnOutcome| Some(Duration::from_secs(60));
        reconciler.turn(job, &Text::from("tree-1"), &progress, &next, stop).await
    }

    fn revision(outcome: &TurnOutcome) -> Option<u64> {
        outcome.wrote.map(|wrote| wrote.revision)
    }

    fn listed(name: &str) -> Job {
        Job::Listed(Arc::new(customer(name)))
    }

    #[tokio::test]
    async fn a_turn_writes_and_records_how_it_went() {
        let register = Arc::new(FakeRegister::default());
        let reconciler = reconciler(&register, |customer, seen| {
            plan(&customer.name, seen.register.revision, vec![operation(Action::Add, 1)])
        })
        .await;
        let outcome = run(&reconciler, &listed("contoso"), &CancellationToken::new()).await.expect("a turn");
        assert_eq!(revision(&outcome), Some(1));
        assert_eq!(register.state("contoso").accounts.len(), 1);
        let status = register.status("contoso").expect("a status");
        assert_eq!(status.state, "ready");
        assert_eq!(status.last_success, Some(moment(NOW)));
        assert_eq!(status.next_attempt, Some(Seconds(60).after(moment(NOW))));
    }

    #[tokio::test]
    async fn a_stale_turn_is_planned_anew_and_given_up_after_three_tries() {
        let register = Arc::new(FakeRegister::default());
        let reconciler = reconciler(&register, |customer, seen| {
            plan(&customer.name, seen.register.revision, vec![operation(Action::Add, 1)])
        })
        .await;
        register.interfere(2);
        let outcome = run(&reconciler, &listed("contoso"), &CancellationToken::new()).await.expect("a turn");
        assert_eq!(revision(&outcome), Some(3), "two foreign writes, then ours");

        register.interfere(3);
        let fault = run(&reconciler, &listed("contoso"), &CancellationToken::new()).await;
        assert!(matches!(fault, Err(TurnFault::Register(RegisterFault::Stale { .. }))), "{fault:?}");
    }

    /// A tenant that answers once, and then never again.
    #[derive(Default)]
    struct AnswersOnce {
        was_asked: AtomicBool,
        is_silent: Arc<Notify>,
    }

    /// Tells whoever waits, and says nothing.
    struct Silent(Arc<Notify>);

    struct Nobody;

    impl Sources for AnswersOnce {
        fn directory(&self, _customer: &Customer, _source: &DirectorySource) -> Box<dyn DirectoryPort> {
            panic!("no directories here")
        }

        fn tenant(&self, _customer: &Customer, _source: &TenantSource) -> Box<dyn TenantPort> {
            match self.was_asked.swap(true, Ordering::SeqCst) {
                false => Box::new(Nobody),
                true => Box::new(Silent(self.is_silent.clone())),
            }
        }
    }

    #[async_trait]
    impl TenantPort for Nobody {
        async fn read(&self, _progress: &dyn Progress) -> Reading<Tenant> {
            Reading::Complete(Tenant::default())
        }
    }

    #[async_trait]
    impl TenantPort for Silent {
        async fn read(&self, _progress: &dyn Progress) -> Reading<Tenant> {
            self.0.notify_one();
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_stale_turn_reads_its_sources_anew_and_nobody_waits_for_them() {
        let register = Arc::new(FakeRegister::default());
        let sources = Arc::new(AnswersOnce::default());
        let judge = judge_of(sources.clone(), &register, |customer, seen| {
            let removal = Operation { reason: Some(Verdict::Unlicensed), ..operation(Action::Remove, 1) };
            plan(&customer.name, seen.register.revision, vec![removal])
        });
        let reconciler = reconciler_with(&register, judge).await;
        for name in ["contoso", "fabrikam"] {
            register.put(name, account(1));
        }
        register.interfere(1);
        let mut contoso = customer("contoso");
        contoso.tenant = Some(TenantSource::Snapshot("contoso.json".into()));
        let contoso = Job::Listed(Arc::new(contoso));
        let stop = CancellationToken::new();
        let other = async {
            let (fabrikam, goes_on) = (listed("fabrikam"), CancellationToken::new());
            let turn = async {
                sources.is_silent.notified().await;
                run(&reconciler, &fabrikam, &goes_on).await
            };
            let outcome = tokio::time::timeout(Duration::from_secs(60), turn).await;
            stop.cancel();
            outcome
        };
        let (stale, outcome) = tokio::join!(run(&reconciler, &contoso, &stop), other);
        assert!(matches!(stale, Err(TurnFault::Stopped)), "{stale:?}");
        assert_eq!(revision(&outcome.expect("its turn came").expect("a turn")), Some(1));
    }

    #[tokio::test]
    async fn a_failure_and_its_end_are_told_once_each() {
        let register = Arc::new(FakeRegister::default());
        let failing = reconciler(&register, |customer, seen| {
            let mut plan = plan(&customer.name, seen.register.revision, vec![]);
            plan.state = CustomerState::Unreadable;
            plan
        });
        let failing = failing.await;
        for _ in 0..3 {
            run(&failing, &listed("contoso"), &CancellationToken::new()).await.expect("a turn");
        }
        let well =
            reconciler(&register, |customer, seen| plan(&customer.name, seen.register.revision, vec![]));
        let well = well.await;
        for _ in 0..2 {
            run(&well, &listed("contoso"), &CancellationToken::new()).await.expect("a turn");
        }
        let told: Vec<Text> = register.notices();
        let kinds: Vec<&str> = told.iter().filter_map(|id| id.rsplit('/').next()).collect();
        assert_eq!(kinds, ["failed", "recovered"]);
    }

    #[tokio::test]
    async fn failures_are_counted_and_the_last_success_is_kept() {
        let register = Arc::new(FakeRegister::default());
        let reconciler = reconciler(&register, |customer, seen| {
            let mut plan = plan(&customer.name, seen.register.revision, vec![]);
            plan.state = CustomerState::Unreadable;
            plan
        })
        .await;
        for expected in 1..=2 {
            let outcome =
                run(&reconciler, &listed("contoso"), &CancellationToken::new()).await.expect("a turn");
            assert_eq!((outcome.failures, revision(&outcome)), (expected, None));
        }
        let status = register.status("contoso").expect("a status");
        assert_eq!((status.state.as_str(), status.failures), ("unreadable", 2));
        assert_eq!(status.last_success, None);
        assert!(!status.message.is_empty());
        assert!(register.state("contoso").accounts.is_empty());
    }

    #[tokio::test]
    async fn a_stopped_turn_writes_nothing() {
        let register = Arc::new(FakeRegister::default());
        let reconciler = reconciler(&register, |customer, seen| {
            plan(&customer.name, seen.register.revision, vec![operation(Action::Add, 1)])
        })
        .await;
        let stop = CancellationToken::new();
        stop.cancel();
        let fault = run(&reconciler, &listed("contoso"), &stop).await;
        assert!(matches!(fault, Err(TurnFault::Stopped)));
        assert_eq!(register.state("contoso").revision, 0);
        assert!(register.status("contoso").is_none());
    }

    #[tokio::test]
    async fn a_planner_that_fails_inside_is_an_error_and_no_crash() {
        let register = Arc::new(FakeRegister::default());
        let reconciler = reconciler(&register, |_, _| panic!("out of range")).await;
        let fault = run(&reconciler, &listed("contoso"), &CancellationToken::new()).await;
        let Err(TurnFault::Planner { what, .. }) = fault else { panic!("{fault:?}") };
        assert_eq!(what, "out of range");
    }

    #[tokio::test]
    async fn accounts_are_forgotten_thirty_days_after_their_removal() {
        let register = Arc::new(FakeRegister::default());
        let mut gone = account(1);
        gone.state = AccountState::Removed {
            since: moment("2026-10-01T00:00:00Z"),
            reason: Verdict::Unlicensed,
            approved: false,
        };
        register.put("contoso", gone);
        let reconciler =
            reconciler(&register, |customer, seen| plan(&customer.name, seen.register.revision, vec![]))
                .await;
        run(&reconciler, &listed("contoso"), &CancellationToken::new()).await.expect("a turn");
        assert!(register.state("contoso").accounts.is_empty());
    }
}
