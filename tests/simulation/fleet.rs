//! A provider with its customers, its store and its destinations: carries the steps out, and lets the
//! ledger judge what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use intake::adapters::store::connection::Store;
use intake::model::duration::Seconds;
use intake::model::event::Event;
use intake::model::reading::{Fault, FaultKind};
use intake::model::register::{Delivery, RegisterState};
use intake::model::text::Text;
use intake::plan::outcome::{Action, CustomerState};
use intake::policy::limits::FleetLimit;
use intake::ports::clock::Clock;
use intake::ports::meter::Unmeasured;
use intake::ports::outbox::{Destination, Outbox as _};
use intake::ports::register::{ChainCheck, RegisterReader as _};
use intake::ports::source::{Progress, Unwatched};
use intake::reconcile::deliver::Courier;
use intake::reconcile::judge::{Job, Judge, TurnFault};
use intake::reconcile::notice::{Notice, Subscription};
use intake::reconcile::observe::Observer;
use intake::reconcile::turn::{Reconciler, TurnOutcome};

use super::ledger::{FLEET_WINDOW, Ledger, Turn};
use super::sources::{Outside, World};
use super::steps::{Mood, Step};
use super::storage::{Rival, Storage, shared};
use super::tree::{Edit, Tree};
use super::truth::{Kind, NAMES};
use super::weather::{Tally, Weather};

/// 2027-03-01T08:00:00Z.
const BEGIN: i64 = 1_803_888_000;
/// How long a source may be silent: those that answer do so at once.
const STALL: Duration = Duration::from_millis(100);
/// Rounds within which everything settles after the last fault: graces, windows and approvals included.
const SETTLED_AFTER: usize = 6;

/// A clock that is set.
#[derive(Clone)]
struct Watch(Arc<AtomicI64>);

impl Clock for Watch {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).expect("a time")
    }
}

/// A destination and what arrived there.
struct Place {
    mood: Mutex<(Mood, u32)>,
    arrived: Mutex<Vec<Delivery>>,
    outside: Outside,
}

#[async_trait]
impl Destination for Place {
    async fn deliver(&self, delivery: &Delivery) -> Result<(), Fault> {
        let mood = {
            let mut mood = self.mood.lock().unwrap_or_else(PoisonError::into_inner);
            mood.1 += 1;
            match mood.0 {
                Mood::Wavers if mood.1.is_multiple_of(2) => Mood::Refuses,
                Mood::Wavers => Mood::Takes,
                mood => mood,
            }
        };
        self.outside.world().tally.count(format!("destination: {mood:?}"));
        if matches!(mood, Mood::Takes | Mood::SaysNothing) {
            self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(delivery.clone());
        }
        match mood {
            Mood::Takes => Ok(()),
            Mood::Panics => std::panic::resume_unwind(Box::new("a defect of the destination")),
            _ => Err(Fault::new(FaultKind::Transient, "no answer")),
        }
    }
}

/// What a turn came to.
type Outcome = Result<TurnOutcome, TurnFault>;

pub(super) struct Fleet {
    outside: Outside,
    tree: Tree,
    old_tree: Tree,
    watch: Watch,
    latest: i64,
    folder: TempDir,
    openings: u32,
    path: PathBuf,
    storage: Arc<Storage>,
    reconciler: Arc<Reconciler>,
    ledger: Ledger,
    places: BTreeMap<Text, Arc<Place>>,
    /// The approval that each customer's last plan asks for.
    asked: BTreeMap<usize, String>,
}

/// The number of a run: another one for every turn of the process.
fn new_run() -> Text {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    Text::from(format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed)))
}

/// A folder in memory, where there is one: what a power failure leaves is tested elsewhere.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
}

fn subscriptions() -> Vec<Subscription> {
    let all = [Notice::Changed, Notice::Held, Notice::Failed, Notice::Recovered];
    ["hook", "other"]
        .into_iter()
        .map(|name| Subscription { destination: Text::from(name), on: BTreeSet::from(all) })
        .collect()
}

async fn reconciler(storage: &Arc<Storage>, outside: &Outside, watch: &Watch, limit: u64) -> Arc<Reconciler> {
    let (register, reader, _) = shared(storage);
    let clock: Arc<dyn Clock> = Arc::new(watch.clone());
    let observer =
        Observer { sources: Arc::new(outside.clone()), register: reader, clock: clock.clone(), stall: STALL };
    let judge = Judge::new(observer).for_writing();
    let fleet = FleetLimit { max_removals: limit, window: Seconds(FLEET_WINDOW.unsigned_abs()) };
    Arc::new(Reconciler::new(judge, register, clock, subscriptions(), fleet, new_run))
}

impl Fleet {
    pub(super) async fn new() -> Self {
        let outside = Outside(Arc::new(Mutex::new(World::new())));
        let watch = Watch(Arc::new(AtomicI64::new(BEGIN)));
        let folder = folder();
        let path = folder.path().join("0.db");
        let store = Store::open(&format!("sqlite:{}", path.display())).await.expect("a store");
        let storage = Arc::new(Storage::new(store, outside.clone()));
        let ledger = Ledger::new(6);
        let reconciler = reconciler(&storage, &outside, &watch, ledger.fleet_limit).await;
        let place = |name| {
            let place = Place {
                mood: Mutex::new((Mood::Takes, 0)),
                arrived: Mutex::new(Vec::new()),
                outside: outside.clone(),
            };
            (Text::from(name), Arc::new(place))
        };
        let places = ["hook", "other"].into_iter().map(place).collect();
        Self {
            tree: Tree::new(),
            old_tree: Tree::new(),
            latest: BEGIN,
            openings: 0,
            asked: BTreeMap::new(),
            outside,
            watch,
            folder,
            path,
            storage,
            reconciler,
            ledger,
            places,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.outside.world().tally.clone()
    }

    fn count(&self, what: &str) {
        self.outside.world().tally.count(what);
    }

    /// Carries out a step; an error is a rule that was broken.
    pub(super) async fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Change(customer, change) => self.outside.world().sites[customer].change(change),
            Step::Edit(edit) => self.edit(edit),
            Step::Clock(minutes) => {
                self.count(if minutes < 0 { "clock: back" } else { "clock: forward" });
                self.advance(minutes * 60);
            }
            Step::Turn(customer, weather) => drop(self.turn(customer, weather).await?),
            Step::Round(customer, weather) => self.round(customer, weather).await?,
            Step::Again(customer) => self.again(customer).await?,
            Step::Approve(customer) => self.approve(customer),
            Step::Deliver(mood, blow) => self.deliver(mood, blow).await?,
            Step::Operator(limit) => {
                self.ledger.fleet_limit = limit;
                self.count("operator: another limit");
                self.restart().await?;
            }
            Step::Restart => {
                self.count("restart");
                self.restart().await?;
            }
        }
        Ok(())
    }

    fn advance(&mut self, seconds: i64) {
        let now = self.watch.0.fetch_add(seconds, Ordering::Relaxed) + seconds;
        self.latest = self.latest.max(now);
    }

    fn edit(&mut self, edit: Edit) {
        self.count("tree: an edit");
        self.old_tree = self.tree.clone();
        self.tree.edit(edit);
        if let Edit::Protect(customer, who, by_name) = edit {
            let customer = customer as usize % NAMES.len();
            let world = self.outside.world();
            let company = &world.sites[customer].company;
            let person = &company.people[company.meant(who)];
            let user = person.user.as_ref().map(|user| user.id);
            let is_of_tenant = Kind::of(customer).is_of_tenant();
            let Some(id) = (if is_of_tenant { user } else { Some(company.object(person)) }) else { return };
            let name = by_name.then(|| company.upn(person.number, person.name));
            self.tree.customers[customer].protected.push((id, name));
        }
        if let Edit::Unprotect(customer) = edit {
            self.ledger.books[customer as usize % NAMES.len()].pinned.clear();
        }
    }

    fn approve(&mut self, customer: usize) {
        if let Some(approval) = self.asked.remove(&customer) {
            self.count("done: an approval in the tree");
            self.old_tree = self.tree.clone();
            self.tree.customers[customer].approved.insert(approval);
        }
    }

    fn job(tree: &Tree, customer: usize) -> (Job, Text) {
        let fleet = tree.checked().fleet;
        let name = Text::from(NAMES[customer]);
        let job = match fleet.customers.get(NAMES[customer]) {
            Some(found) => Job::Listed(Arc::new(found.clone())),
            None => Job::Absent { name, names_are_known: fleet.names_are_known },
        };
        (job, fleet.revision)
    }

    /// Drops everything, as the end of a process does, and begins again on the files as they are.
    async fn restart(&mut self) -> Result<(), String> {
        self.openings += 1;
        let path = self.folder.path().join(format!("{}.db", self.openings));
        for suffix in ["", "-wal"] {
            let from = PathBuf::from(format!("{}{suffix}", self.path.display()));
            if from.exists() {
                std::fs::copy(&from, format!("{}{suffix}", path.display())).expect("a copy");
            }
        }
        let store = Store::open(&format!("sqlite:{}", path.display())).await;
        let store = store.map_err(|fault| format!("the store does not open again: {fault}"))?;
        self.path = path;
        self.storage = Arc::new(Storage::new(store, self.outside.clone()));
        self.reconciler =
            reconciler(&self.storage, &self.outside, &self.watch, self.ledger.fleet_limit).await;
        self.verify().await
    }

    async fn verify(&self) -> Result<(), String> {
        for name in NAMES {
            match self.storage.store.verify(name).await {
                Ok(ChainCheck::Whole { .. }) => {}
                other => return Err(format!("the audit record of {name}: {other:?}")),
            }
        }
        Ok(())
    }

    async fn run(&self, tree: &Tree, customer: usize) -> Outcome {
        let (job, revision) = Self::job(tree, customer);
        let stop = self.outside.world().stop.clone();
        let progress: Arc<dyn Progress> = Arc::new(Unwatched);
        self.reconciler.turn(&job, &revision, &progress, &|_| None, &stop).await
    }

    /// Another process on the same store, which has its turn while this one is about to write.
    async fn rival(&self, tree: &Tree, customer: usize) -> Rival {
        let store = Store::open(&format!("sqlite:{}", self.path.display())).await.expect("a second process");
        let storage = Arc::new(Storage::new(store, self.outside.clone()));
        let reconciler = reconciler(&storage, &self.outside, &self.watch, self.ledger.fleet_limit).await;
        let (job, revision) = Self::job(tree, customer);
        Box::new(move || {
            Box::pin(async move {
                let progress: Arc<dyn Progress> = Arc::new(Unwatched);
                let stop = CancellationToken::new();
                // What came of it is in the audit record.
                let _ = reconciler.turn(&job, &revision, &progress, &|_| None, &stop).await;
            })
        })
    }

    /// One turn of one customer, and what the ledger says of it.
    async fn turn(&mut self, customer: usize, weather: Weather) -> Result<Option<TurnOutcome>, String> {
        self.advance(1);
        let tree = if weather.old_tree { self.old_tree.clone() } else { self.tree.clone() };
        if weather.old_tree {
            self.count("tree: as it was before an edit");
        }
        self.begin(customer, weather);
        let rival = if weather.rival { Some(self.rival(&tree, customer).await) } else { None };
        self.storage.expect(weather.blow, rival);
        let outcome = self.run(&tree, customer).await;
        self.storage.expect(None, None);
        self.conclude(customer, &tree, outcome).await
    }

    fn begin(&self, customer: usize, weather: Weather) {
        let mut world = self.outside.world();
        world.stop = CancellationToken::new();
        world.sites[customer].begin(weather);
        world.tally.count("turns");
    }

    /// Everybody has a turn at the same time, and nobody's depends on another one's.
    async fn round(&mut self, customer: usize, weather: Weather) -> Result<(), String> {
        self.advance(1);
        let tree = self.tree.clone();
        for other in 0..NAMES.len() {
            let weather = if other == customer { weather } else { Weather::FINE };
            self.begin(other, Weather { stopped: false, blow: None, rival: false, ..weather });
        }
        self.count("rounds");
        let outcomes = join_all((0..NAMES.len()).map(|other| self.run(&tree, other))).await;
        for (other, outcome) in outcomes.into_iter().enumerate() {
            self.conclude(other, &tree, outcome).await?;
        }
        Ok(())
    }

    async fn load(&self, customer: usize) -> Result<(RegisterState, Vec<Event>), String> {
        let fault = |fault| format!("the store cannot be read: {fault}");
        let register = self.storage.store.load(NAMES[customer]).await.map_err(fault)?;
        if register.revision == self.ledger.books[customer].revision {
            return Ok((register, Vec::new()));
        }
        let events = self.storage.store.events(Some(NAMES[customer])).await.map_err(fault)?;
        let known = self.ledger.books[customer].sequence;
        Ok((register, events.into_iter().filter(|event| event.sequence > known).collect()))
    }

    async fn conclude(
        &mut self,
        customer: usize,
        tree: &Tree,
        outcome: Outcome,
    ) -> Result<Option<TurnOutcome>, String> {
        let (register, events) = self.load(customer).await?;
        let at = self.watch.now();
        let was_struck = self.storage.was_struck();
        // A tree without an entry forgets whom it meant: whoever writes it again means whoever is called so then.
        let entries = &tree.customers[customer].protected;
        let is_entry =
            |name: &String, _: &mut _| entries.iter().any(|(_, entry)| entry.as_ref() == Some(name));
        self.ledger.books[customer].pinned.retain(is_entry);
        let named = |what: String| format!("{}: {what}", NAMES[customer]);
        let outside = self.outside.clone();
        {
            let mut world = outside.world();
            let World { sites, tally, stop } = &mut *world;
            let site = &mut sites[customer];
            let turn = Turn {
                customer,
                tree,
                at,
                truths: &site.truths,
                told: &site.told,
                failed: site.failed,
                silent: site.silent,
                lied: site.lied,
                tenant_lied: site.tenant_lied,
            };
            self.ledger.judge(&turn, &events, tally).map_err(named)?;
            self.ledger.compare(customer, tree, &register).map_err(named)?;
            let is_fine = !site.failed && !site.silent && !site.lied && !site.changed_meanwhile;
            match &outcome {
                Ok(outcome) => {
                    tally.count(format!("turns: {}", outcome.plan.state.code()));
                    for finding in &outcome.plan.findings {
                        tally.count(format!("findings: {}", finding.code.code()));
                    }
                    if site.failed && matches!(outcome.plan.state, CustomerState::Ready | CustomerState::Held)
                    {
                        return Err(named("ready, although a source could not be read".to_owned()));
                    }
                    if is_fine && !was_struck {
                        site.was_behind = false;
                        self.ledger
                            .expect_progress(tree, &site.company, outcome, at, tally)
                            .map_err(named)?;
                    }
                }
                Err(_) if was_struck || stop.is_cancelled() => tally.count("turns: failed"),
                Err(fault) => return Err(named(format!("a turn failed: {fault:?}"))),
            }
        }
        if let Ok(outcome) = &outcome {
            let approval = outcome.plan.approval.map(|approval| approval.to_string());
            self.asked.remove(&customer);
            approval.map(|approval| self.asked.insert(customer, approval));
        }
        if self.storage.is_dead() {
            self.restart().await?;
        }
        Ok(outcome.ok())
    }

    /// Turns while nothing changes: what is left for the second is what waited for it, and the third
    /// writes nothing.
    async fn again(&mut self, customer: usize) -> Result<(), String> {
        self.count("turns again while nothing changes");
        self.turn(customer, Weather::FINE).await?;
        self.turn(customer, Weather::FINE).await?;
        let revision = self.ledger.books[customer].revision;
        let outcome = self.turn(customer, Weather::FINE).await?.ok_or("a turn failed")?;
        if self.ledger.books[customer].revision != revision || outcome.wrote.is_some() {
            return Err(format!("{}: a turn wrote although nothing changed", NAMES[customer]));
        }
        let other = outcome.plan.operations.iter().find(|operation| operation.action != Action::Hold);
        let is_written = outcome.plan.state != CustomerState::Suspended;
        match other.filter(|_| is_written) {
            Some(operation) => Err(format!("{}: still planned: {operation:?}", NAMES[customer])),
            None => Ok(()),
        }
    }

    async fn deliver(&mut self, mood: Mood, blow: Option<(u32, super::weather::Blow)>) -> Result<(), String> {
        self.advance(1);
        for place in self.places.values() {
            *place.mood.lock().unwrap_or_else(PoisonError::into_inner) = (mood, 0);
        }
        self.storage.expect(blow, None);
        let (_, _, outbox) = shared(&self.storage);
        let destinations = self.places.iter().map(|(name, place)| {
            let place: Arc<dyn Destination> = place.clone();
            (name.clone(), place)
        });
        let courier = Courier {
            outbox,
            destinations: destinations.collect(),
            clock: Arc::new(self.watch.clone()),
            meter: Arc::new(Unmeasured),
            is_shared: false,
        };
        let drained = courier.drain(&CancellationToken::new()).await;
        self.storage.expect(None, None);
        if let (Err(fault), false) = (&drained, self.storage.was_struck() || blow.is_some()) {
            return Err(format!("delivering failed: {fault}"));
        }
        if self.storage.is_dead() {
            self.restart().await?;
        }
        self.expect_order()
    }

    /// Of one customer, whatever arrives at a destination for the first time is younger than what
    /// arrived before.
    fn expect_order(&self) -> Result<(), String> {
        for (name, place) in &self.places {
            let arrived = place.arrived.lock().unwrap_or_else(PoisonError::into_inner);
            let mut last: BTreeMap<&Text, i64> = BTreeMap::new();
            let mut seen = BTreeSet::new();
            for delivery in arrived.iter().filter(|delivery| seen.insert(delivery.id)) {
                let before = last.insert(&delivery.customer, delivery.id);
                if before.is_some_and(|before| before > delivery.id) {
                    return Err(format!("{name}: {} arrived after a younger one", delivery.key));
                }
            }
        }
        Ok(())
    }

    /// After the last fault everything becomes as it should be, within some rounds.
    pub(super) async fn settle(&mut self) -> Result<(), String> {
        self.tree.mend();
        self.old_tree = self.tree.clone();
        {
            let mut world = self.outside.world();
            for site in &mut world.sites {
                (site.company.group_gone, site.company.group_hidden) = (false, false);
                site.company.group_renamed = false;
                site.company.people.iter_mut().for_each(|person| person.twin = false);
            }
        }
        self.ledger.fleet_limit = 1_000;
        self.restart().await?;
        let ahead = self.latest - self.watch.0.load(Ordering::Relaxed);
        self.advance(ahead);
        for _ in 0..SETTLED_AFTER {
            self.advance(25 * 3_600);
            for customer in 0..NAMES.len() {
                self.turn(customer, Weather::FINE).await?;
                self.approve(customer);
                self.turn(customer, Weather::FINE).await?;
                // Whoever finds that an approval counted, or came too late, deletes it.
                self.tree.customers[customer].approved.clear();
            }
            self.deliver(Mood::Takes, None).await?;
        }
        for customer in 0..NAMES.len() {
            self.again(customer).await?;
            let world = self.outside.world();
            self.ledger.expect_settled(&self.tree, &world.sites[customer].company)?;
        }
        self.verify().await?;
        self.expect_told().await
    }

    /// Whatever was written was told, everywhere, under one name and in one wording.
    async fn expect_told(&self) -> Result<(), String> {
        let waiting = self.storage.store.addresses().await.map_err(|fault| fault.to_string())?;
        if !waiting.is_empty() {
            return Err(format!("something still waits for {waiting:?}"));
        }
        for (name, place) in &self.places {
            let arrived = place.arrived.lock().unwrap_or_else(PoisonError::into_inner);
            for (customer, book) in self.ledger.books.iter().enumerate() {
                let of = |notice: Notice| -> BTreeSet<String> {
                    let kind = format!("dev.intake.customer.{}", notice.code());
                    let told = arrived
                        .iter()
                        .filter(|one| one.customer == NAMES[customer] && one.body["type"] == *kind);
                    told.filter_map(|one| one.body["data"]["run"].as_str().map(str::to_owned)).collect()
                };
                for (notice, written) in [(Notice::Changed, &book.changed), (Notice::Held, &book.held)] {
                    let told = of(notice);
                    if told != *written {
                        return Err(format!(
                            "{name} was told of {} in {told:?}, and it was in {written:?}",
                            notice.code()
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}
