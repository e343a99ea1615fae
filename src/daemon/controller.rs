//! The controller's loop: reads the tree, starts turns when they are due, stops cleanly.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::daemon::desk::{self, Desk};
use crate::daemon::schedule::{End, Moment, Schedule, Taken, Wanted, wait_after};
use crate::daemon::turns::{Next, Turned, Turns, Went};
use crate::model::digest::Digester;
use crate::model::reading::{Fault, FaultKind};
use crate::model::text::{Text, inert};
use crate::plan::outcome::CustomerState;
use crate::policy::fleet::Customer;
use crate::ports::feed::Happening;
use crate::ports::in_force::SuspendedInTree as _;
use crate::ports::leases::{Claim, Notice, OF_CUSTOMERS};
use crate::ports::meter::Meter;
use crate::ports::register::RegisterFault;
use crate::ports::tree::{Tree, TreeReading};
use crate::ports::watch::Watch;
use crate::reconcile::deliver::Courier;
use crate::reconcile::judge::{Job, TurnFault};

/// How often customers are reconciled that have no options.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(3 * 3_600);

/// How long until a turn is tried again that another process did not leave to this one, besides what that one says.
const SPREAD: Duration = Duration::from_millis(500);

/// How long until it is looked again whether the tree of this process is the one in force.
const OTHER_TREE: Duration = Duration::from_secs(5);

/// How many readings may differ from the one before until the tree counts as unreadable.
const READINGS: usize = 30;

/// How often the controller does things.
#[derive(Debug, Clone)]
pub struct Pace {
    /// How many customers at once.
    pub concurrency: usize,
    /// How long the tree must be quiet before it is read: an editor writes in several steps.
    pub settle: Duration,
    /// How long after a reading another one must say the same before anybody acts on it; `None` for a
    /// tree that nobody sees half of.
    pub confirm: Option<Duration>,
    /// When it is read although it is never quiet.
    pub settle_at_most: Duration,
    /// How often it is read unasked: watchers miss events.
    pub rescan: Duration,
    /// How often the outbox is looked into unasked.
    pub deliver: Duration,
    /// How long turns under way may take to end when the controller stops.
    pub farewell: Duration,
    /// Which customers; empty for all.
    pub only: BTreeSet<Text>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            concurrency: 16,
            settle: Duration::from_secs(2),
            confirm: Some(Duration::from_secs(1)),
            settle_at_most: Duration::from_secs(30),
            rescan: Duration::from_secs(60),
            deliver: Duration::from_secs(15),
            farewell: Duration::from_secs(8),
            only: BTreeSet::new(),
        }
    }
}

/// What the controller works with.
pub struct Controller {
    /// The policy tree.
    pub tree: Arc<dyn Tree>,
    /// Who notices its changes.
    pub watch: Box<dyn Watch>,
    /// Who carries out turns.
    pub turns: Arc<dyn Turns>,
    /// Who delivers; none where nothing is to be delivered.
    pub courier: Option<Arc<Courier>>,
    /// How often things happen.
    pub pace: Pace,
    /// Returns numbers from 0 to 1.
    pub random: fn() -> f64,
    /// Where others meet it.
    pub desk: Arc<Desk>,
    /// Who counts.
    pub meter: Arc<dyn Meter>,
    /// What other processes tell that share the work.
    pub notices: BoxStream<'static, Notice>,
}

/// What the loop remembers.
struct Loop {
    turns: Arc<dyn Turns>,
    pace: Pace,
    random: fn() -> f64,
    desk: Arc<Desk>,
    meter: Arc<dyn Meter>,
    started: Instant,
    schedule: Schedule,
    /// Turns under way, and whose they are: a turn that fails inside tells no name.
    running: JoinSet<(Turned, Duration)>,
    taken: HashMap<Id, Taken>,
    /// Failures that no turn could record, by customer.
    failures: BTreeMap<Text, u32>,
    jobs: BTreeMap<Text, Job>,
    states: BTreeMap<Text, CustomerState>,
    /// What was last said about each customer.
    messages: BTreeMap<Text, String>,
    revision: Text,
    problems: Vec<String>,
    /// Why the tree cannot be read, as long as it cannot.
    unread: Option<String>,
    wrote: Arc<Notify>,
}

impl Controller {
    /// Reconciles until `stop` is cancelled; `reload` has the tree read again.
    ///
    /// # Errors
    /// Only at the start: a tree that cannot be read at all. Later the last good one stays in
    /// force.
    pub async fn run(mut self, stop: CancellationToken, reload: Arc<Notify>) -> Result<(), Fault> {
        let mut state = Loop {
            turns: self.turns,
            schedule: Schedule::new(self.pace.concurrency),
            pace: self.pace,
            random: self.random,
            desk: self.desk,
            meter: self.meter,
            started: Instant::now(),
            running: JoinSet::new(),
            taken: HashMap::new(),
            failures: BTreeMap::new(),
            jobs: BTreeMap::new(),
            states: BTreeMap::new(),
            messages: BTreeMap::new(),
            revision: Text::default(),
            problems: Vec::new(),
            unread: None,
            wrote: Arc::new(Notify::new()),
        };
        let first = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            first = read(self.tree.clone(), state.turns.clone(), state.pace.confirm) => first?,
        };
        match state.turns.due().await {
            Ok(due) => state.schedule.learn(due),
            Err(fault) => tracing::warn!("when turns are due is not known from others: {}", chain(&fault)),
        }
        state.tree_read(Ok(Ok(first)));
        let delivering = self.courier.map(|courier| {
            tokio::spawn(deliver(courier, state.pace.deliver, state.wrote.clone(), stop.clone()))
        });

        let mut rescan = tokio::time::interval_at(Instant::now() + state.pace.rescan, state.pace.rescan);
        rescan.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut settling: Option<Settling> = None;
        let mut reading: Option<AbortOnDropHandle<Result<Known, Fault>>> = None;
        // Until when changes may have the reading under way given up and begun anew.
        let mut at_most: Option<Instant> = None;
        let mut read_again = false;
        loop {
            state.start_due(&stop);
            let next = state.schedule.next(state.now()).map(|due| state.started + due);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = state.running.join_next_with_id() => state.ended(ended),
                read = finished(&mut reading) => {
                    (reading, at_most) = (None, None);
                    state.tree_read(read);
                }
                () = reload.notified() => {
                    tracing::info!("reading the tree again, as asked");
                    read_again = true;
                }
                () = state.desk.rung() => state.wake(),
                Some(notice) = self.notices.next() => {
                    read_again |= matches!(notice, Notice::Tree | Notice::Missed);
                    state.noticed(&notice);
                }
                () = self.watch.changed() => {
                    let patient = at_most.is_none_or(|at_most| Instant::now() < at_most);
                    let since = if reading.is_some() && patient {
                        // What it saw may be half of what somebody is writing.
                        reading = None;
                        at_most.take()
                    } else {
                        None
                    };
                    Settling::note(&mut settling, since, &state.pace);
                }
                () = until(settling.map(|settling| settling.due)), if reading.is_none() => {
                    at_most = settling.take().map(|settling| settling.at_most);
                    read_again = true;
                }
                _ = rescan.tick() => {
                    self.watch.rearm();
                    read_again = true;
                }
                () = until(next) => {}
            }
            // A tree that is being written is read once it is quiet, whoever asks.
            if read_again && reading.is_none() && settling.is_none() {
                read_again = false;
                let task = read(self.tree.clone(), state.turns.clone(), state.pace.confirm);
                reading = Some(AbortOnDropHandle::new(tokio::spawn(task)));
            }
        }
        drop(reading);
        state.farewell().await;
        if let Some(delivering) = delivering {
            // It holds nothing that must be finished: a delivery may always be repeated.
            delivering.abort();
        }
        Ok(())
    }
}

impl Loop {
    fn now(&self) -> Moment {
        self.started.elapsed()
    }

    /// Wakes whom somebody asked for.
    fn wake(&mut self) {
        let now = self.now();
        for name in self.desk.take_rung() {
            self.schedule.wake(&name, now);
        }
    }

    fn start_due(&mut self, stop: &CancellationToken) {
        while let Some(taken) = self.schedule.take(self.now()) {
            let name = taken.name.clone();
            let Some(job) = self.jobs.get(&name).cloned() else {
                self.schedule.finished(&name, DEFAULT_INTERVAL, self.now());
                continue;
            };
            tracing::debug!(customer = %inert(&name), "turn begins");
            let interval = self.schedule.interval(&name).unwrap_or(DEFAULT_INTERVAL);
            let random = (self.random)();
            let before = self.failures.get(&name).copied().unwrap_or(0);
            let wait = move |end: End| wait_after(end, interval, random);
            let next: Next = Arc::new(move |went: &Went| {
                wait(End { failures: went.failures, retry_after: went.retry_after })
            });
            let (turns, revision, stop) = (self.turns.clone(), self.revision.clone(), stop.clone());
            let (bulletin, mine) = (self.desk.bulletin().clone(), taken.clone());
            let handle = self.running.spawn(async move {
                let failed = || wait(End { failures: before.saturating_add(1), retry_after: None });
                match turns.claim(&mine, &revision).await {
                    Ok(Claim::Held) => {}
                    Ok(claim) => return (Turned::NotHere(claim), Duration::ZERO),
                    Err(fault) => return (Turned::Made(Err(fault.into())), failed()),
                }
                // Whoever fails inside cannot give it back, and must not keep it for ever.
                let held = Held { turns: turns.clone(), taken: mine.clone() };
                let progress = bulletin.began(&mine.name);
                let result = turns.turn(job, revision, progress, next.clone(), stop).await;
                let (waits, due_after) = match &result {
                    Ok(went) => (next(went), Some(next(went))),
                    Err(_) => (failed(), None),
                };
                turns.release(&mine, due_after).await;
                drop(held);
                (Turned::Made(result), waits)
            });
            self.taken.insert(handle.id(), taken);
        }
    }

    fn ended(&mut self, ended: Result<(Id, (Turned, Duration)), JoinError>) {
        let (id, result) = match ended {
            Ok((id, (Turned::Made(result), wait))) => (id, Ok((result, wait))),
            Ok((id, (Turned::NotHere(claim), _))) => return self.not_here(id, &claim),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(taken) = self.taken.remove(&id) else { return };
        let name = taken.name.clone();
        let was_made = matches!(&result, Ok((Ok(_), _)));
        self.desk.bulletin().ended(&name, result.as_ref().ok().map(|(result, _)| result));
        let wait = match result {
            Ok((Ok(went), wait)) => {
                self.failures.remove(&name);
                self.tell(&name, &went, wait);
                if went.wrote {
                    self.wrote.notify_one();
                }
                wait
            }
            Ok((Err(TurnFault::Stopped), wait)) => wait,
            Ok((Err(fault), wait)) => {
                *self.failures.entry(name.clone()).or_default() += 1;
                tracing::error!(customer = %inert(&name), again_in_seconds = wait.as_secs(),
                    "turn failed: {}", chain(&fault));
                wait
            }
            Err(error) => {
                let failures = self.failures.entry(name.clone()).or_default();
                *failures += 1;
                tracing::error!(customer = %inert(&name), "turn failed inside Intake: {error}");
                wait_after(End { failures: *failures, retry_after: None }, DEFAULT_INTERVAL, 0.5)
            }
        };
        let now = self.now();
        if was_made {
            self.schedule.finished(&name, wait, now);
        } else {
            // Whoever asked for a turn is still waiting for it.
            self.schedule.put_off(&taken, wait, false, now);
        }
    }

    /// Puts a customer off whom another process has, or had a moment ago. A little later than that one says, each
    /// process by another time: so the work spreads.
    fn not_here(&mut self, id: Id, claim: &Claim) {
        let Some(taken) = self.taken.remove(&id) else { return };
        let after = match claim {
            Claim::Elsewhere(after) | Claim::NotDue(after) => *after,
            Claim::Held | Claim::OtherTree => OTHER_TREE,
        };
        let wait = after + SPREAD.mul_f64((self.random)());
        tracing::debug!(customer = %inert(&taken.name), ?claim, again_in_seconds = wait.as_secs(), "no turn here");
        let now = self.now();
        self.schedule.put_off(&taken, wait, matches!(claim, Claim::Elsewhere(_)), now);
    }

    /// Hears what other processes tell.
    fn noticed(&mut self, notice: &Notice) {
        let now = self.now();
        match notice {
            Notice::Released(lease) => {
                if let Some(name) = lease.strip_prefix(OF_CUSTOMERS) {
                    let customer = Text::from(name);
                    self.meter.made_elsewhere(&customer);
                    self.schedule.try_again(name, now);
                    // What the store holds of that customer is another thing now: whoever shows it looks again.
                    self.desk.bulletin().tell(Happening::CustomerChanged { customer });
                }
            }
            Notice::Tree | Notice::Missed => self.desk.bulletin().changed(None),
        }
    }

    /// Logs what somebody should know: each change of a customer's state once. That a turn wrote is
    /// logged by the turn, as soon as it did.
    fn tell(&mut self, name: &Text, went: &Went, wait: Duration) {
        let customer = inert(name);
        let state = went.state.code();
        let before = self.states.insert(name.clone(), went.state);
        let again_in_seconds = wait.as_secs();
        let told = self.messages.insert(name.clone(), went.message.clone()).unwrap_or_default();
        if went.state == CustomerState::Ready && !went.message.is_empty() && told != went.message {
            tracing::warn!(%customer, "{}", inert(&went.message));
        }
        match (before, went.state) {
            (Some(before), now) if before == now => {
                tracing::debug!(%customer, state, again_in_seconds, "turn ended");
            }
            (None, CustomerState::Ready) => {
                tracing::info!(%customer, state, unchanged = went.summary.unchanged, again_in_seconds, "turn ended");
            }
            (Some(_), CustomerState::Ready) => {
                tracing::info!(%customer, state, again_in_seconds, "recovered")
            }
            (_, CustomerState::Suspended) => tracing::info!(%customer, state, again_in_seconds, "suspended"),
            _ => tracing::warn!(%customer, state, again_in_seconds, "{}", inert(&went.message)),
        }
    }

    fn tree_read(&mut self, read: Result<Result<Known, Fault>, JoinError>) {
        let fault = match read {
            Ok(Ok(known)) => {
                let behind = known.reading.behind.as_ref().map(Fault::with_hint);
                self.take_over(known);
                self.desk.note_stale(behind.is_some());
                let Some(fault) = behind else {
                    if self.unread.take().is_some() {
                        tracing::info!("the tree can be read again");
                    }
                    return;
                };
                fault
            }
            Ok(Err(fault)) => fault.with_hint(),
            Err(error) => format!("reading the tree failed inside Intake: {error}"),
        };
        self.desk.note_stale(true);
        if self.unread.as_ref() != Some(&fault) {
            tracing::error!(revision = %self.revision, "the last good tree stays in force: {fault}");
            self.unread = Some(fault);
        }
    }

    fn take_over(&mut self, known: Known) {
        let Known { reading, registered } = known;
        if reading.problems != self.problems {
            for problem in &reading.problems {
                tracing::error!("the tree has an error: {problem}");
            }
            if reading.problems.is_empty() {
                tracing::info!("the tree has no errors any more");
            }
            self.problems = reading.problems.clone();
        }
        let registered = registered.unwrap_or_else(|fault| {
            // Who left the tree is found out at the next rescan.
            tracing::error!("the register failed: {}", chain(&fault));
            let absent = self.jobs.values().filter(|job| matches!(job, Job::Absent { .. }));
            absent.map(|job| job.name().clone()).collect()
        });
        let known = reading.fleet.customers.keys().chain(&registered);
        let suspended = known.filter(|name| reading.fleet.suspends(name)).cloned().collect();
        let (jobs, wanted) = jobs_of(&reading, registered, &self.pace.only);
        self.tell_of_absent(&jobs);
        self.jobs = jobs;
        let now = self.now();
        let random = self.random;
        let is_suspended = |job: &Job| matches!(job, Job::Listed(customer) if customer.suspend);
        self.desk.take_over(desk::Known {
            revision: reading.fleet.revision.clone(),
            customers: self.jobs.iter().map(|(name, job)| (name.clone(), is_suspended(job))).collect(),
            jobs: Arc::new(self.jobs.clone()),
            suspended,
            listed: self.listed(&wanted),
            problems: reading.problems.len() as u64,
        });
        let woken = self.schedule.want(wanted, now, &mut move || random());
        if self.revision != reading.fleet.revision {
            self.revision = reading.fleet.revision.clone();
            self.desk.bulletin().tell(Happening::TreeRead { revision: self.revision.clone() });
            tracing::info!(revision = %self.revision, customers = self.jobs.len(), woken = woken.len(), "tree read");
        }
    }

    /// Returns who has not left the tree, and how long after a turn the next one is due. Whoever may be in a
    /// document that cannot be read has not.
    fn listed(&self, wanted: &BTreeMap<Text, Wanted>) -> BTreeMap<Text, Duration> {
        let has_left =
            |name: &Text| matches!(self.jobs.get(name), Some(Job::Absent { names_are_known: true, .. }));
        let listed = wanted.iter().filter(|(name, _)| !has_left(name));
        listed.map(|(name, wanted)| (name.clone(), wanted.interval)).collect()
    }

    /// Logs who left the tree, once each.
    fn tell_of_absent(&self, jobs: &BTreeMap<Text, Job>) {
        for (name, job) in jobs {
            let Job::Absent { names_are_known, .. } = job else { continue };
            if matches!(self.jobs.get(name), Some(Job::Absent { names_are_known: before, .. }) if before == names_are_known)
            {
                continue;
            }
            let customer = inert(name);
            if *names_are_known {
                tracing::warn!(%customer, "not in the tree any more: its accounts are orphaned, and none is removed");
            } else {
                tracing::warn!(%customer, "not in the tree as far as that can be read: everything stays as it is");
            }
        }
    }

    /// Waits for the turns under way: reads were cancelled, transactions are finished.
    async fn farewell(&mut self) {
        tracing::info!(turns = self.running.len(), "stopping");
        let all = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.pace.farewell, all).await.is_err() {
            // The store drops what was not committed; the next start does it again.
            tracing::warn!(turns = self.running.len(), "turns did not end in time and are cut off");
            self.running.abort_all();
        }
        tracing::info!("stopped");
    }
}

/// Leaves a customer to other processes when its turn is over, however it ended.
struct Held {
    turns: Arc<dyn Turns>,
    taken: Taken,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.turns.abandon(&self.taken);
    }
}

/// The tree, and whom the register knows.
struct Known {
    reading: TreeReading,
    registered: Result<Vec<Text>, RegisterFault>,
}

/// Reads the tree until two readings in a row say the same: files may be half written, and half of
/// a document may be a valid one.
async fn read(tree: Arc<dyn Tree>, turns: Arc<dyn Turns>, confirm: Option<Duration>) -> Result<Known, Fault> {
    let read = read_twice(&*tree, confirm).await;
    if let Err(fault) = turns.tree(&read).await {
        // It is for `status` alone.
        tracing::error!("which tree is in force is not recorded: {}", chain(&fault));
    }
    Ok(Known { reading: read?, registered: turns.known().await })
}

async fn read_twice(tree: &dyn Tree, confirm: Option<Duration>) -> Result<TreeReading, Fault> {
    let mut before = tree.read().await?;
    let Some(confirm) = confirm else { return Ok(before) };
    for _ in 0..READINGS {
        tokio::time::sleep(confirm).await;
        let reading = tree.read().await?;
        if reading.fleet.revision == before.fleet.revision {
            return Ok(reading);
        }
        before = reading;
    }
    Err(Fault::new(
        FaultKind::Transient,
        "the tree changes all the time, so no state of it can be relied upon",
    ))
}

/// Returns what to do for whom and how often. A customer that the register knows and the tree
/// does not have is reconciled too: somebody must say what became of its accounts.
fn jobs_of(
    reading: &TreeReading,
    registered: Vec<Text>,
    only: &BTreeSet<Text>,
) -> (BTreeMap<Text, Job>, BTreeMap<Text, Wanted>) {
    let mut jobs = BTreeMap::new();
    let mut wanted = BTreeMap::new();
    let chosen = |name: &Text| only.is_empty() || only.contains(name);
    for (name, customer) in reading.fleet.customers.iter().filter(|(name, _)| chosen(name)) {
        // Without a fingerprint nobody knows whether it changed: its text decides.
        let fingerprint = reading.fingerprints.get(name).copied().unwrap_or_else(|| {
            let mut digester = Digester::new("customer");
            digester.field(format!("{customer:?}"));
            digester.finish()
        });
        jobs.insert(name.clone(), Job::Listed(Arc::new(customer.clone())));
        wanted.insert(name.clone(), Wanted { interval: interval_of(customer), fingerprint });
    }
    let names_are_known = reading.fleet.names_are_known;
    for name in registered.into_iter().filter(chosen) {
        if jobs.contains_key(&name) {
            continue;
        }
        let mut digester = Digester::new("absent");
        digester.field([u8::from(names_are_known)]);
        wanted.insert(name.clone(), Wanted { interval: DEFAULT_INTERVAL, fingerprint: digester.finish() });
        jobs.insert(name.clone(), Job::Absent { name, names_are_known });
    }
    (jobs, wanted)
}

/// Both account types are reconciled in one turn, so the shorter interval counts.
fn interval_of(customer: &Customer) -> Duration {
    customer.options.values().map(|options| options.interval.to_std()).min().unwrap_or(DEFAULT_INTERVAL)
}

/// When the tree has been quiet for long enough.
#[derive(Clone, Copy)]
struct Settling {
    due: Instant,
    at_most: Instant,
}

impl Settling {
    /// Notes a change. `at_most` is what an earlier change, not acted on yet, allows.
    fn note(settling: &mut Option<Self>, at_most: Option<Instant>, pace: &Pace) {
        let now = Instant::now();
        let at_most = settling.map(|settling| settling.at_most).or(at_most);
        let at_most = at_most.unwrap_or(now + pace.settle_at_most);
        *settling = Some(Self { due: (now + pace.settle).min(at_most), at_most });
    }
}

/// Waits for a moment; for ever if there is none.
pub(super) async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits for a reading that is under way; for ever if there is none.
async fn finished<T>(task: &mut Option<AbortOnDropHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Delivers now and then, and whenever a turn wrote.
async fn deliver(courier: Arc<Courier>, every: Duration, wrote: Arc<Notify>, stop: CancellationToken) {
    let tell = |fault: &RegisterFault| tracing::error!("the outbox failed: {}", chain(fault));
    courier.keep_draining(every, &wrote, &stop, tell).await;
}

/// Returns an error with its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    inert(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::daemon::turns::TurnResult;
    use crate::model::digest::Digest;
    use crate::plan::outcome::Summary;
    use crate::policy::fleet::Fleet;
    use crate::ports::leases::of_customer;
    use crate::ports::meter::Unmeasured;
    use crate::ports::source::Progress;
    use crate::reconcile::fakes::customer;

    /// A tree that tests change: what each customer says, or nothing where it cannot be read. What
    /// comes next takes its place reading by reading.
    #[derive(Default)]
    struct FakeTree(Mutex<Option<BTreeMap<Text, String>>>, Mutex<VecDeque<BTreeMap<Text, String>>>);

    fn customers_of(customers: &[(&str, &str)]) -> BTreeMap<Text, String> {
        customers.iter().map(|(name, content)| (Text::from(*name), (*content).to_owned())).collect()
    }

    impl FakeTree {
        fn set(&self, customers: &[(&str, &str)]) {
            *self.0.lock().expect("a lock") = Some(customers_of(customers));
        }

        /// What the next readings say, one each; the last one stays.
        fn say(&self, readings: &[&[(&str, &str)]]) {
            self.1.lock().expect("a lock").extend(readings.iter().map(|reading| customers_of(reading)));
        }

        fn is_said(&self) -> bool {
            self.1.lock().expect("a lock").is_empty()
        }

        fn vanish(&self) {
            *self.0.lock().expect("a lock") = None;
        }
    }

    #[async_trait]
    impl Tree for FakeTree {
        async fn read(&self) -> Result<TreeReading, Fault> {
            if let Some(next) = self.1.lock().expect("a lock").pop_front() {
                *self.0.lock().expect("a lock") = Some(next);
            }
            let customers = self.0.lock().expect("a lock").clone();
            let customers = customers.ok_or_else(|| Fault::new(FaultKind::Refused, "no such folder"))?;
            let fingerprints = customers
                .iter()
                .map(|(name, content)| (name.clone(), Digest::of(content.as_bytes())))
                .collect();
            let revision = Text::from(format!("{customers:?}"));
            let customers = customers.keys().map(|name| (name.clone(), customer(name))).collect();
            let fleet = Fleet { revision, customers, names_are_known: true };
            let source = Text::const_new("a folder");
            let (commit, behind) = (None, None);
            Ok(TreeReading { fleet, problems: Vec::new(), fingerprints, source, commit, behind })
        }
    }

    struct FakeWatch(Arc<Notify>);

    #[async_trait]
    impl Watch for FakeWatch {
        async fn changed(&mut self) {
            self.0.notified().await;
        }

        fn rearm(&mut self) {}
    }

    /// Turns that only say that they were, and behave by the customer's name.
    #[derive(Default)]
    struct FakeTurns {
        log: Mutex<Vec<String>>,
        known: Vec<Text>,
    }

    impl FakeTurns {
        fn log(&self) -> Vec<String> {
            self.log.lock().expect("a lock").clone()
        }

        fn say(&self, what: String) {
            self.log.lock().expect("a lock").push(what);
        }
    }

    #[async_trait]
    impl Turns for FakeTurns {
        async fn known(&self) -> Result<Vec<Text>, RegisterFault> {
            Ok(self.known.clone())
        }

        async fn tree(&self, _read: &Result<TreeReading, Fault>) -> Result<(), RegisterFault> {
            Ok(())
        }

        async fn turn(
            &self,
            job: Job,
            _revision: Text,
            _progress: Arc<dyn Progress>,
            next: Next,
            stop: CancellationToken,
        ) -> TurnResult {
            let kind = if matches!(job, Job::Absent { .. }) { "absent " } else { "" };
            self.say(format!("{kind}{}", job.name()));
            match job.name().as_str() {
                "stuck" => std::future::pending().await,
                "panics" => panic!("inside"),
                "writes" => {
                    stop.cancelled().await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    self.say("written".to_owned());
                }
                _ => {}
            }
            let went = Went {
                state: CustomerState::Ready,
                summary: Summary::default(),
                wrote: false,
                failures: 0,
                retry_after: None,
                message: String::new(),
            };
            assert!(next(&went) > Duration::from_secs(60));
            Ok(went)
        }
    }

    struct Running {
        tree: Arc<FakeTree>,
        turns: Arc<FakeTurns>,
        changed: Arc<Notify>,
        reload: Arc<Notify>,
        desk: Arc<Desk>,
        stop: CancellationToken,
        task: JoinHandle<Result<(), Fault>>,
    }

    fn start(customers: &[(&str, &str)], known: &[&str]) -> Running {
        start_with(customers, known, Duration::from_secs(30))
    }

    fn start_with(customers: &[(&str, &str)], known: &[&str], farewell: Duration) -> Running {
        let tree = Arc::new(FakeTree::default());
        tree.set(customers);
        let known = known.iter().map(|name| Text::from(*name)).collect();
        let turns = Arc::new(FakeTurns { known, ..FakeTurns::default() });
        let (changed, reload, stop) =
            (Arc::new(Notify::new()), Arc::new(Notify::new()), CancellationToken::new());
        let pace = Pace {
            concurrency: 2,
            settle: Duration::from_millis(20),
            confirm: Some(Duration::from_millis(5)),
            farewell,
            ..Pace::default()
        };
        let desk = Arc::new(Desk::new());
        let controller = Controller {
            notices: futures_util::stream::pending().boxed(),
            tree: tree.clone(),
            watch: Box::new(FakeWatch(changed.clone())),
            turns: turns.clone(),
            courier: None,
            pace,
            random: || 0.5,
            meter: Arc::new(Unmeasured),
            desk: desk.clone(),
        };
        let task = tokio::spawn(controller.run(stop.clone(), reload.clone()));
        Running { tree, turns, changed, reload, desk, stop, task }
    }

    impl Running {
        async fn log_reaches(&self, expected: &[&str]) {
            let mut sorted: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
            sorted.sort();
            let deadline = Instant::now() + Duration::from_secs(60);
            loop {
                let mut log = self.turns.log();
                log.sort();
                if log == sorted {
                    return;
                }
                assert!(Instant::now() < deadline, "{log:?} in place of {sorted:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }

        async fn end(self) {
            self.stop.cancel();
            let ended = tokio::time::timeout(Duration::from_secs(60), self.task).await;
            ended.expect("it ends").expect("without a panic").expect("without a fault");
        }
    }

    #[tokio::test]
    async fn everybody_has_a_first_turn_also_who_left_the_tree_meanwhile() {
        let running = start(&[("a", ""), ("b", "")], &["b", "gone"]);
        running.log_reaches(&["a", "b", "absent gone"]).await;
        running.end().await;
    }

    #[tokio::test]
    async fn a_changed_tree_wakes_only_the_changed_customers() {
        let running = start(&[("a", "1"), ("b", "1")], &[]);
        running.log_reaches(&["a", "b"]).await;
        running.tree.set(&[("a", "1"), ("b", "2"), ("c", "1")]);
        running.changed.notify_one();
        running.log_reaches(&["a", "b", "b", "c"]).await;
        running.tree.set(&[("a", "2"), ("b", "2"), ("c", "1")]);
        running.reload.notify_one();
        running.log_reaches(&["a", "a", "b", "b", "c"]).await;
        running.end().await;
    }

    #[tokio::test]
    async fn whoever_rings_wakes_one_customer_and_nobody_else() {
        let running = start(&[("a", "1"), ("b", "1")], &["gone"]);
        running.log_reaches(&["a", "b", "absent gone"]).await;
        let known = running.desk.customers().expect("a tree in force");
        assert_eq!(known.keys().map(Text::as_str).collect::<Vec<_>>(), ["a", "b", "gone"]);
        for name in ["b", "gone", "nobody"] {
            running.desk.ring(Text::from(name));
        }
        running.log_reaches(&["a", "b", "b", "absent gone", "absent gone"]).await;
        running.end().await;
    }

    #[tokio::test]
    async fn what_only_one_reading_says_is_acted_on_by_nobody() {
        let running = start(&[("a", "1"), ("b", "1")], &["a", "b"]);
        running.log_reaches(&["a", "b"]).await;
        // `b` is missing, then half there, then changed: only the last one says the same twice.
        running.tree.say(&[&[("a", "1")], &[("a", "1"), ("b", "")], &[("a", "1"), ("b", "2")]]);
        running.changed.notify_one();
        running.log_reaches(&["a", "b", "b"]).await;
        assert!(running.tree.is_said());
        running.end().await;
    }

    #[tokio::test]
    async fn changes_that_go_on_put_a_reading_off_but_not_for_ever() {
        let pace = Pace::default();
        let mut settling = None;
        Settling::note(&mut settling, None, &pace);
        let first = settling.expect("a change");
        Settling::note(&mut settling, None, &pace);
        let second = settling.expect("a change");
        assert_eq!(first.at_most, second.at_most);
        assert!(second.due >= first.due && second.due <= second.at_most);
        let mut again = None;
        Settling::note(&mut again, Some(first.at_most), &pace);
        assert_eq!(again.expect("a change").at_most, first.at_most);
    }

    #[tokio::test]
    async fn a_tree_that_never_says_the_same_twice_is_a_fault() {
        let tree = Arc::new(FakeTree::default());
        let contents: Vec<String> = (0..50).map(|number| number.to_string()).collect();
        for content in &contents {
            tree.say(&[&[("a", content)]]);
        }
        let fault = read(tree, Arc::new(FakeTurns::default()), Some(Duration::from_millis(1))).await;
        assert!(fault.err().expect("a fault").what.contains("changes all the time"));
    }

    #[tokio::test]
    async fn a_tree_that_vanishes_stays_in_force_and_wakes_up_when_it_is_back() {
        let running = start(&[("a", "1")], &[]);
        running.log_reaches(&["a"]).await;
        running.tree.vanish();
        running.changed.notify_one();
        tokio::time::sleep(Duration::from_millis(100)).await;
        running.tree.set(&[("a", "2")]);
        running.changed.notify_one();
        running.log_reaches(&["a", "a"]).await;
        running.end().await;
    }

    #[tokio::test]
    async fn a_tree_that_cannot_be_read_at_the_start_is_a_fault() {
        let running = start(&[], &[]);
        running.end().await;
        let tree = Arc::new(FakeTree::default());
        let controller = Controller {
            notices: futures_util::stream::pending().boxed(),
            tree,
            watch: Box::new(FakeWatch(Arc::new(Notify::new()))),
            turns: Arc::new(FakeTurns::default()),
            courier: None,
            pace: Pace::default(),
            random: || 0.5,
            meter: Arc::new(Unmeasured),
            desk: Arc::new(Desk::new()),
        };
        let fault = controller.run(CancellationToken::new(), Arc::new(Notify::new())).await;
        assert_eq!(fault.expect_err("a fault").what, "no such folder");
    }

    /// Its state is not known here: nobody is told that it failed.
    #[tokio::test]
    async fn a_turn_that_another_replica_made_is_told_as_that() {
        let (tree, stop) = (Arc::new(FakeTree::default()), CancellationToken::new());
        tree.set(&[]);
        let desk = Arc::new(Desk::new());
        let mut told = desk.bulletin().watch();
        let released = Notice::Released(of_customer("contoso"));
        let controller = Controller {
            notices: futures_util::stream::iter([released]).chain(futures_util::stream::pending()).boxed(),
            tree,
            watch: Box::new(FakeWatch(Arc::new(Notify::new()))),
            turns: Arc::new(FakeTurns::default()),
            courier: None,
            pace: Pace { confirm: None, ..Pace::default() },
            random: || 0.5,
            meter: Arc::new(Unmeasured),
            desk: desk.clone(),
        };
        let running = tokio::spawn(controller.run(stop.clone(), Arc::new(Notify::new())));
        let read = told.next().await.expect("the tree was read");
        assert_eq!(read.code(), "treeRead");
        let changed = told.next().await;
        assert_eq!(changed, Some(Happening::CustomerChanged { customer: Text::from("contoso") }));
        assert!(desk.bulletin().over_of(Some("contoso")) > desk.bulletin().over_of(None));
        stop.cancel();
        running.await.expect("it ends").expect("no fault");
    }

    #[tokio::test]
    async fn a_stuck_or_failing_customer_holds_up_nobody() {
        // Nobody waits for long for the one that never ends.
        let customers = [("stuck", ""), ("panics", ""), ("a", ""), ("b", "")];
        let running = start_with(&customers, &[], Duration::from_millis(500));
        running.log_reaches(&["stuck", "panics", "a", "b"]).await;
        running.end().await;
    }

    #[tokio::test]
    async fn stopping_lets_what_is_being_written_finish() {
        let running = start(&[("writes", "")], &[]);
        running.log_reaches(&["writes"]).await;
        let turns = running.turns.clone();
        running.end().await;
        assert_eq!(turns.log(), ["writes", "written"]);
    }
}
