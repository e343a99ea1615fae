//! Drains the outbox: what must happen outside is tried until it did, or is given up in the open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::model::duration::Seconds;
use crate::model::reading::{Fault, FaultKind};
use crate::model::register::{Attempted, Delivery, Outcome};
use crate::model::text::{Text, inert};
use crate::ports::clock::Clock;
use crate::ports::meter::{Attempt, Meter, Stage, timed};
use crate::ports::outbox::{Destination, Outbox};
use crate::ports::register::RegisterFault;
use crate::reconcile::observe::panic_text;

/// How many deliveries to one destination are asked for and under way at once.
const BATCH: u32 = 64;
const AT_ONCE: usize = 8;

/// How many deliveries to one destination with lanes are made before others are looked for.
const IN_A_TURN: usize = 8;

/// How often others may have taken all that are due, or none can be taken, before it is left to another time: whoever
/// takes some takes them all at once, and there may be more.
const ROUNDS_OF_OTHERS: u32 = 3;

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a delivery is one process's alone: longer than an attempt may take.
const CLAIMED: Seconds = Seconds(120);

/// The same for deliveries that are made together.
const PATIENCE_TOGETHER: Duration = Duration::from_secs(300);
const CLAIMED_TOGETHER: Seconds = Seconds(400);

/// The waits between attempts: the first, the longest, and how much of them in all.
const FIRST_WAIT: u64 = 60;
const LONGEST_WAIT: u64 = 6 * 3_600;
const GIVEN_UP_AFTER: u64 = 7 * 86_400;

/// Takes what is in the outbox to where it goes.
pub struct Courier {
    /// What is to be delivered.
    pub outbox: Arc<dyn Outbox>,
    /// Where things go, by the names of the operator's file.
    pub destinations: BTreeMap<Text, Arc<dyn Destination>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who counts.
    pub meter: Arc<dyn Meter>,
    /// Whether other processes drain the same outbox all the time: then a delivery is tried by one of them. Whoever dies
    /// over it leaves it to the others some minutes later.
    pub is_shared: bool,
}

/// What came of draining the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// How many deliveries arrived.
    pub delivered: u64,
    /// How many failed and are tried again.
    pub put_off: u64,
    /// How many were given up.
    pub given_up: u64,
}

impl Drained {
    fn add(&mut self, more: Self) {
        self.delivered += more.delivered;
        self.put_off += more.put_off;
        self.given_up += more.given_up;
    }
}

impl Courier {
    /// Delivers everything whose time has come; no destination waits for another one. Ends early when `stop` is
    /// cancelled: what is under way then is repeated another time, as every delivery may be.
    ///
    /// # Errors
    /// The outbox's; other destinations are gone on with.
    pub async fn drain(&self, stop: &CancellationToken) -> Result<Drained, RegisterFault> {
        let mut drained = Drained::default();
        loop {
            let addresses = self.outbox.addresses().await?;
            let mut draining: FuturesUnordered<_> =
                addresses.iter().map(|address| self.drain_one(address, stop)).collect();
            let (mut is_moving, mut fault) = (false, None);
            while let Some(ended) = draining.next().await {
                match ended {
                    Ok(more) => {
                        is_moving |= more != Drained::default();
                        drained.add(more);
                    }
                    Err(unrecorded) => {
                        fault.get_or_insert(unrecorded);
                    }
                }
            }
            if let Some(fault) = fault {
                return Err(fault);
            }
            // What was delivered may have led to something for another destination.
            if !is_moving || stop.is_cancelled() {
                return Ok(drained);
            }
        }
    }

    /// Delivers now and then, and whenever somebody `wrote`, until `stop` is cancelled. A destination that takes hours
    /// keeps no other from what comes meanwhile. `tell` is told of faults of the outbox.
    pub async fn keep_draining(
        &self,
        every: Duration,
        wrote: &Notify,
        stop: &CancellationToken,
        tell: impl Fn(&RegisterFault),
    ) {
        let begin = |address: Text| async move { (self.drain_one(&address, stop).await, address) };
        let mut draining = FuturesUnordered::new();
        // Those under way, and whether each is to begin once more when it ends.
        let mut under_way: BTreeMap<Text, bool> = BTreeMap::new();
        let mut was_written = false;
        loop {
            let addresses = self.outbox.addresses().await.unwrap_or_else(|fault| {
                tell(&fault);
                Vec::new()
            });
            for address in addresses {
                if let Some(once_more) = under_way.get_mut(&address) {
                    // What was written since it began may be for it.
                    *once_more |= was_written;
                    continue;
                }
                under_way.insert(address.clone(), false);
                draining.push(begin(address));
            }
            let mut pause = std::pin::pin!(tokio::time::sleep(every));
            was_written = loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = wrote.notified() => break true,
                    Some((ended, address)) = draining.next() => {
                        if let Err(fault) = ended {
                            tell(&fault);
                        }
                        // That one alone: others that wait for another time would have each other begin for ever.
                        if under_way.remove(&address) == Some(true) {
                            under_way.insert(address.clone(), false);
                            draining.push(begin(address));
                        }
                    }
                    () = &mut pause => break false,
                }
            };
        }
    }

    /// Delivers everything to one destination whose time has come.
    async fn drain_one(&self, address: &Text, stop: &CancellationToken) -> Result<Drained, RegisterFault> {
        let mut drained = Drained::default();
        let mut rounds_of_others = 0;
        while !stop.is_cancelled() && rounds_of_others < ROUNDS_OF_OTHERS {
            let due = self.outbox.due_at(address, self.clock.now(), BATCH).await?;
            if due.is_empty() {
                break;
            }
            // What cannot be recorded is done again: nothing more is begun then.
            let is_recorded = AtomicBool::new(true);
            let attempts = futures_util::stream::iter(in_turns(due, &self.destinations))
                .map(|deliveries| async {
                    match is_recorded.load(Ordering::Relaxed) {
                        true => self.attempt_all(deliveries).await,
                        false => Vec::new(),
                    }
                })
                .buffer_unordered(AT_ONCE);
            let mut attempts = std::pin::pin!(attempts);
            let (mut is_moving, mut fault) = (false, None);
            loop {
                let next = tokio::select! {
                    biased;
                    () = stop.cancelled() => return fault.map_or(Ok(drained), Err),
                    next = attempts.next() => next,
                };
                let Some(results) = next else { break };
                is_moving |= !results.is_empty();
                // What came of those that are under way is recorded nevertheless, as far as it can be.
                if let Err(unrecorded) = self.record(results, &mut drained).await {
                    is_recorded.store(false, Ordering::Relaxed);
                    fault.get_or_insert(unrecorded);
                }
            }
            if let Some(fault) = fault {
                return Err(fault);
            }
            rounds_of_others = if is_moving { 0 } else { rounds_of_others + 1 };
        }
        Ok(drained)
    }

    /// Tries one after the other. Of a destination that does not answer one of them the others are put off: it
    /// is not asked for each.
    async fn attempt_all(&self, deliveries: Vec<Delivery>) -> Vec<(Result<(), Fault>, Delivery)> {
        if let Some(destination) = deliveries.first().and_then(|first| self.destinations.get(first.address()))
            && destination.at_once() > 1
        {
            return self.attempt_together(destination.clone(), deliveries).await;
        }
        let mut results = Vec::with_capacity(deliveries.len());
        let mut is_silent = false;
        for delivery in deliveries {
            // What is done twice there where two do it at once is done by one of them; and where replicas share the
            // outbox, each delivery is.
            if (self.is_shared || delivery.has_lane())
                && self.claim(std::slice::from_ref(&delivery), CLAIMED).await.is_empty()
            {
                continue;
            }
            let result = if is_silent {
                let what = "the system did not answer another request a moment ago";
                Err(Fault::new(FaultKind::Transient, what))
            } else {
                timed(&*self.meter, Stage::Deliver, self.attempt(&delivery)).await
            };
            is_silent |= result.as_ref().is_err_and(|fault| fault.kind == FaultKind::Transient);
            results.push((result, delivery));
        }
        results
    }

    /// Takes deliveries for this process alone; returns the numbers of those that it has. What the outbox cannot tell
    /// now is left for another time.
    async fn claim(&self, deliveries: &[Delivery], time: Seconds) -> BTreeSet<i64> {
        let now = self.clock.now();
        let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.id).collect();
        let claimed = self.outbox.claim(&ids, now, time.after(now)).await;
        claimed.unwrap_or_else(|fault| {
            let first = deliveries.first();
            let customer = first.map_or("", |delivery| &*delivery.customer);
            tracing::error!(customer = %inert(customer), deliveries = ids.len(), "deliveries could not be taken: {fault}");
            BTreeSet::new()
        })
    }

    /// Tries several at once, of a destination that takes them so.
    async fn attempt_together(
        &self,
        destination: Arc<dyn Destination>,
        mut deliveries: Vec<Delivery>,
    ) -> Vec<(Result<(), Fault>, Delivery)> {
        let claimed = self.claim(&deliveries, CLAIMED_TOGETHER).await;
        deliveries.retain(|delivery| claimed.contains(&delivery.id));
        if deliveries.is_empty() {
            return Vec::new();
        }
        let there = deliveries.clone();
        let attempt = tokio::spawn(async move {
            tokio::time::timeout(PATIENCE_TOGETHER, destination.deliver_all(&there)).await
        });
        let attempt = timed(&*self.meter, Stage::Deliver, attempt).await;
        let failed = |what: String| Fault::new(FaultKind::Transient, what);
        let (results, fault) = match attempt {
            Ok(Ok(results)) => (results, failed("nothing came of it inside Intake".to_owned())),
            Ok(Err(_)) => (Vec::new(), failed(format!("no answer within {} s", PATIENCE_TOGETHER.as_secs()))),
            Err(error) => (Vec::new(), failed(format!("delivering failed inside Intake: {}", why(error)))),
        };
        let results = results.into_iter().chain(std::iter::repeat_with(move || Err(fault.clone())));
        results.zip(deliveries).collect()
    }

    async fn attempt(&self, delivery: &Delivery) -> Result<(), Fault> {
        let Some(destination) = self.destinations.get(delivery.address()).cloned() else {
            return Err(Fault::new(
                FaultKind::Refused,
                "the operator's file has no destination of this name any more",
            ));
        };
        // A task of its own, so that a destination that fails inside costs one attempt.
        let there = delivery.clone();
        let attempt = tokio::spawn(async move {
            let delivered = tokio::time::timeout(PATIENCE, destination.deliver(&there)).await;
            delivered.unwrap_or_else(|_| {
                Err(Fault::new(FaultKind::Transient, format!("no answer within {} s", PATIENCE.as_secs())))
            })
        });
        attempt.await.unwrap_or_else(|error| {
            Err(Fault::new(FaultKind::Transient, format!("delivering failed inside Intake: {}", why(error))))
        })
    }

    /// Records what came of attempts, and counts it.
    async fn record(
        &self,
        results: Vec<(Result<(), Fault>, Delivery)>,
        drained: &mut Drained,
    ) -> Result<(), RegisterFault> {
        if results.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let attempted = |(result, delivery)| self.attempted(result, &delivery, now, drained);
        let attempts: Vec<_> = results.into_iter().map(attempted).collect();
        self.outbox.settle(&attempts, now).await
    }

    /// Tells what came of an attempt, and decides whether there is another one.
    fn attempted(
        &self,
        result: Result<(), Fault>,
        delivery: &Delivery,
        now: Timestamp,
        drained: &mut Drained,
    ) -> Attempted {
        let (customer, destination) = (inert(&delivery.customer), inert(&delivery.destination));
        let Err(fault) = result else {
            tracing::debug!(%customer, %destination, key = %delivery.key, "delivered");
            drained.delivered += 1;
            self.meter.delivered(Attempt::Delivered);
            return Attempted { id: delivery.id, outcome: Outcome::Arrived };
        };
        let attempts = delivery.attempts.saturating_add(1);
        let wait = wait_after(attempts, fault.retry_after);
        if let Some(wait) = wait {
            tracing::warn!(%customer, %destination, key = %delivery.key, attempts, again_in = %wait,
                "a delivery failed: {fault}");
            drained.put_off += 1;
            self.meter.delivered(Attempt::PutOff);
        } else {
            tracing::error!(%customer, %destination, key = %delivery.key, attempts,
                "a delivery was given up: {fault}");
            drained.given_up += 1;
            self.meter.delivered(Attempt::GivenUp);
        }
        let outcome =
            Outcome::Failed { error: fault.with_hint(), again_at: wait.map(|wait| wait.after(now)) };
        Attempted { id: delivery.id, outcome }
    }
}

/// Says why a task ended.
fn why(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic_text(&*panic),
        Err(_) => "cancelled".to_owned(),
    }
}

/// Sorts deliveries into those that are made one after the other, or together: all to one destination with lanes.
/// Others are made at the same time.
fn in_turns(due: Vec<Delivery>, destinations: &BTreeMap<Text, Arc<dyn Destination>>) -> Vec<Vec<Delivery>> {
    let mut turns: Vec<Vec<Delivery>> = Vec::new();
    let mut places: BTreeMap<Text, usize> = BTreeMap::new();
    for delivery in due {
        if !delivery.has_lane() {
            turns.push(vec![delivery]);
            continue;
        }
        let address = Text::from(delivery.address());
        let most = destinations.get(&address).map_or(1, |destination| destination.at_once()).max(IN_A_TURN);
        match places.get(&address).and_then(|place| turns.get_mut(*place)) {
            // The others are due as well, and come when these were recorded.
            Some(turn) if turn.len() < most => turn.push(delivery),
            Some(_) => {}
            None => {
                places.insert(address, turns.len());
                turns.push(vec![delivery]);
            }
        }
    }
    turns
}

/// Returns how long to wait after the `attempts`th attempt failed: a minute, doubled each time up
/// to six hours; `None` once the waits come to seven days.
fn wait_after(attempts: u32, retry_after: Option<Duration>) -> Option<Seconds> {
    let mut waited = 0;
    let mut wait = FIRST_WAIT;
    for _ in 1..attempts {
        waited += wait;
        wait = (wait * 2).min(LONGEST_WAIT);
        if waited >= GIVEN_UP_AFTER {
            return None;
        }
    }
    let asked = retry_after.map_or(0, |asked| asked.as_secs().min(86_400));
    Some(Seconds(wait.max(asked)))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;

    use super::*;
    use crate::plan::outcome::CustomerPlan;
    use crate::ports::meter::{Answered, Asked, Turn};
    use crate::reconcile::fakes::{FixedClock, NOW, moment};

    #[test]
    fn waits_double_up_to_six_hours_and_end_after_seven_days() {
        let minutes = |attempts| wait_after(attempts, None).map(|wait| wait.0 / 60);
        assert_eq!([minutes(1), minutes(2), minutes(3)], [Some(1), Some(2), Some(4)]);
        assert_eq!([minutes(9), minutes(10), minutes(30)], [Some(256), Some(360), Some(360)]);
        // 511 minutes for the first nine waits, then 27 of six hours are beyond 10,080 minutes.
        assert_eq!([minutes(36), minutes(37)], [Some(360), None]);
        assert_eq!(wait_after(1, Some(Duration::from_secs(600))), Some(Seconds(600)));
        assert_eq!(wait_after(u32::MAX, None), None);
    }

    /// What came of this delivery cannot be recorded.
    const UNRECORDED: i64 = 13;

    #[derive(Default)]
    struct FakeOutbox {
        waiting: Mutex<Vec<Delivery>>,
        log: Mutex<Vec<String>>,
        /// How often somebody else takes what is due, and there is more of it.
        others: AtomicUsize,
    }

    #[async_trait]
    impl Outbox for FakeOutbox {
        async fn addresses(&self) -> Result<Vec<Text>, RegisterFault> {
            let waiting = self.waiting.lock().expect("a lock");
            let addresses: BTreeSet<&str> = waiting.iter().map(Delivery::address).collect();
            Ok(addresses.into_iter().map(Text::from).collect())
        }

        async fn due_at(
            &self,
            address: &str,
            _now: Timestamp,
            limit: u32,
        ) -> Result<Vec<Delivery>, RegisterFault> {
            let mut waiting = self.waiting.lock().expect("a lock");
            let here = waiting.iter().filter(|delivery| delivery.address() == address);
            let due: Vec<Delivery> = here.take(limit as usize).cloned().collect();
            if self.others.load(Ordering::Relaxed) == 0 {
                waiting.retain(|delivery| due.iter().all(|taken| taken.id != delivery.id));
            }
            Ok(due)
        }

        async fn claim(
            &self,
            ids: &[i64],
            _now: Timestamp,
            _until: Timestamp,
        ) -> Result<BTreeSet<i64>, RegisterFault> {
            let fewer = |others: usize| others.checked_sub(1);
            Ok(match self.others.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer) {
                Ok(_) => BTreeSet::new(),
                Err(_) => ids.iter().copied().collect(),
            })
        }

        async fn settle(&self, attempts: &[Attempted], _at: Timestamp) -> Result<(), RegisterFault> {
            self.log.lock().expect("a lock").extend(attempts.iter().map(|Attempted { id, outcome }| {
                match outcome {
                    Outcome::Arrived => format!("{id} delivered"),
                    Outcome::Failed { error, again_at: None } => format!("{id} never {error}"),
                    Outcome::Failed { error, again_at: Some(at) } => format!("{id} {at} {error}"),
                }
            }));
            match attempts.iter().any(|attempted| attempted.id == UNRECORDED) {
                true => {
                    Err(RegisterFault::Unavailable { what: "a full disk".to_owned(), source: "no".into() })
                }
                false => Ok(()),
            }
        }
    }

    /// Notes attempts alone.
    #[derive(Debug, Default)]
    struct CountedAttempts(Mutex<Vec<Attempt>>);

    impl Meter for CountedAttempts {
        fn took(&self, stage: Stage, _time: Duration) {
            assert_eq!(stage, Stage::Deliver);
        }
        fn wrote(&self, _plan: &CustomerPlan) {}
        fn turned(&self, _turn: Turn<'_>) {}
        fn asked(&self, _whom: Asked, _answered: Answered) {}
        fn waited(&self, _whom: Asked, _time: Duration) {}
        fn delivered(&self, attempt: Attempt) {
            self.0.lock().expect("a lock").push(attempt);
        }
    }

    /// Deliveries wait for two destinations, and the time of none has come.
    #[derive(Default)]
    struct PutOff {
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Outbox for PutOff {
        async fn addresses(&self) -> Result<Vec<Text>, RegisterFault> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Ok(["chat", "hook"].map(Text::from).into())
        }

        async fn due_at(&self, _: &str, _: Timestamp, _: u32) -> Result<Vec<Delivery>, RegisterFault> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(Vec::new())
        }

        async fn claim(&self, _: &[i64], _: Timestamp, _: Timestamp) -> Result<BTreeSet<i64>, RegisterFault> {
            Ok(BTreeSet::new())
        }

        async fn settle(&self, _: &[Attempted], _: Timestamp) -> Result<(), RegisterFault> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_put_off_is_not_asked_for_again_and_again() {
        let outbox = Arc::new(PutOff::default());
        let courier = Courier {
            outbox: outbox.clone(),
            destinations: BTreeMap::new(),
            clock: Arc::new(FixedClock),
            meter: Arc::new(CountedAttempts::default()),
            is_shared: false,
        };
        let (wrote, stop) = (Notify::new(), CancellationToken::new());
        let draining = courier.keep_draining(Duration::from_secs(3_600), &wrote, &stop, |_| {});
        let writing = async {
            // Twice while both are under way.
            for _ in 0..2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                wrote.notify_one();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            stop.cancel();
        };
        tokio::join!(draining, writing);
        // Three looks, and each of the two once at first and once more for each write at the most.
        let asked = outbox.asked.load(Ordering::Relaxed);
        assert!((5..=9).contains(&asked), "{asked}");
    }

    struct Fickle {
        /// From when on it answers what is slow.
        answers: CancellationToken,
    }

    #[async_trait]
    impl Destination for Fickle {
        async fn deliver(&self, delivery: &Delivery) -> Result<(), Fault> {
            match delivery.key.as_str() {
                "good" => Ok(()),
                "panics" => panic!("inside"),
                "silent" => std::future::pending().await,
                "slow" => {
                    self.answers.cancelled().await;
                    Ok(())
                }
                _ => Err(Fault::new(FaultKind::Transient, "busy").after(Some(Duration::from_secs(7_200)))),
            }
        }
    }

    fn delivery(id: i64, destination: &str, key: &str, attempts: u32) -> Delivery {
        let (destination, key) = (Text::from(destination), Text::from(key));
        let body = serde_json::Value::Null;
        Delivery { id, customer: Text::from("contoso"), destination, key, body, attempts }
    }

    fn courier(outbox: &Arc<FakeOutbox>, meter: &Arc<CountedAttempts>) -> Courier {
        courier_to(outbox, meter, &CancellationToken::new())
    }

    fn courier_to(
        outbox: &Arc<FakeOutbox>,
        meter: &Arc<CountedAttempts>,
        answers: &CancellationToken,
    ) -> Courier {
        let destinations = ["hook", "chat"].map(|name| -> (Text, Arc<dyn Destination>) {
            (Text::from(name), Arc::new(Fickle { answers: answers.clone() }))
        });
        let clock = Arc::new(FixedClock);
        Courier {
            outbox: outbox.clone(),
            destinations: destinations.into(),
            clock,
            meter: meter.clone(),
            is_shared: false,
        }
    }

    #[tokio::test]
    async fn what_cannot_be_recorded_of_one_delivery_keeps_no_other_from_being_recorded() {
        let outbox = Arc::new(FakeOutbox::default());
        *outbox.waiting.lock().expect("a lock") =
            [1, UNRECORDED, 2, 3].map(|id| delivery(id, "hook", "good", 0)).to_vec();
        let drained = courier(&outbox, &Arc::default()).drain(&CancellationToken::new()).await;
        assert_eq!(drained.expect_err("one is not recorded").to_string(), "a full disk");
        let mut log = outbox.log.lock().expect("a lock").clone();
        log.sort();
        assert_eq!(log, ["1 delivered", "13 delivered", "2 delivered", "3 delivered"]);
    }

    #[tokio::test]
    async fn where_nothing_can_be_recorded_nothing_more_is_begun_and_that_is_told_also_at_the_end() {
        let (outbox, stop) = (Arc::new(FakeOutbox::default()), CancellationToken::new());
        *outbox.waiting.lock().expect("a lock") =
            (0..64).map(|_| delivery(UNRECORDED, "hook", "good", 0)).collect();
        courier(&outbox, &Arc::default()).drain(&stop).await.expect_err("nothing is recorded");
        let tried = outbox.log.lock().expect("a lock").len();
        assert!((1..=AT_ONCE).contains(&tried), "{tried}");

        *outbox.waiting.lock().expect("a lock") =
            vec![delivery(UNRECORDED, "hook", "good", 0), delivery(1, "hook", "silent", 0)];
        let courier = courier(&outbox, &Arc::default());
        let until_stopped = async {
            while outbox.log.lock().expect("a lock").len() == tried {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        let (drained, ()) = tokio::join!(courier.drain(&stop), until_stopped);
        assert_eq!(drained.expect_err("one is not recorded").to_string(), "a full disk");
    }

    #[tokio::test]
    async fn what_others_took_at_the_same_moment_is_looked_for_again_but_not_for_ever() {
        for (others, delivered) in [(1, 1), (2, 1), (1_000, 0)] {
            let outbox = Arc::new(FakeOutbox { others: AtomicUsize::new(others), ..FakeOutbox::default() });
            *outbox.waiting.lock().expect("a lock") = vec![delivery(1, "hook", "good", 0)];
            let courier = Courier { is_shared: true, ..courier(&outbox, &Arc::default()) };
            let drained = courier.drain(&CancellationToken::new()).await.expect("drained");
            assert_eq!(drained, Drained { delivered, ..Drained::default() }, "{others}");
        }
    }

    /// More to a slow destination than is asked for at once, and something behind it for another one.
    fn a_backlog() -> Vec<Delivery> {
        let mut waiting: Vec<_> = (100..300).map(|id| delivery(id, "hook", "slow", 0)).collect();
        waiting.push(delivery(1_000, "chat", "good", 0));
        waiting
    }

    /// Waits until so many deliveries are recorded; returns them.
    async fn recorded(outbox: &FakeOutbox, count: usize) -> Vec<String> {
        let waiting = async {
            while outbox.log.lock().expect("a lock").len() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("delivered by now");
        outbox.log.lock().expect("a lock").clone()
    }

    #[tokio::test]
    async fn a_slow_destination_with_a_backlog_keeps_no_other_waiting() {
        let outbox = Arc::new(FakeOutbox::default());
        *outbox.waiting.lock().expect("a lock") = a_backlog();
        let answers = CancellationToken::new();
        let courier = courier_to(&outbox, &Arc::default(), &answers);
        let stop = CancellationToken::new();
        let looking = async {
            assert_eq!(recorded(&outbox, 1).await, ["1000 delivered"]);
            answers.cancel();
        };
        let (drained, ()) = tokio::join!(courier.drain(&stop), looking);
        assert_eq!(drained.expect("drained"), Drained { delivered: 201, ..Drained::default() });
    }

    /// As the controller delivers: nobody waits for the end of a backlog, nor until the next look.
    #[tokio::test]
    async fn what_comes_while_a_slow_destination_is_delivered_to_does_not_wait_for_it() {
        let outbox = Arc::new(FakeOutbox::default());
        *outbox.waiting.lock().expect("a lock") = a_backlog();
        let (answers, stop) = (CancellationToken::new(), CancellationToken::new());
        let courier = courier_to(&outbox, &Arc::default(), &answers);
        let (wrote, every) = (Notify::new(), Duration::from_secs(86_400));
        let delivering = courier.keep_draining(every, &wrote, &stop, |fault| panic!("{fault}"));
        let writing = async {
            recorded(&outbox, 1).await;
            let new = [delivery(1_001, "chat", "good", 0), delivery(1_002, "hook", "good", 0)];
            outbox.waiting.lock().expect("a lock").extend(new);
            wrote.notify_one();
            assert_eq!(recorded(&outbox, 2).await, ["1000 delivered", "1001 delivered"]);
            answers.cancel();
            // And what came for the slow one meanwhile is not forgotten.
            recorded(&outbox, 203).await;
            stop.cancel();
        };
        tokio::join!(delivering, writing);
    }

    #[tokio::test]
    async fn each_delivery_arrives_is_put_off_or_is_given_up_for_itself() {
        let (outbox, meter) = (Arc::new(FakeOutbox::default()), Arc::new(CountedAttempts::default()));
        *outbox.waiting.lock().expect("a lock") = vec![
            delivery(1, "hook", "good", 0),
            delivery(2, "hook", "panics", 0),
            delivery(3, "hook", "busy", 0),
            delivery(4, "gone", "good", 36),
        ];
        let drained = courier(&outbox, &meter).drain(&CancellationToken::new()).await.expect("drained");
        assert_eq!(drained, Drained { delivered: 1, put_off: 2, given_up: 1 });
        let mut attempts = meter.0.lock().expect("a lock").clone();
        attempts.sort();
        assert_eq!(attempts, [Attempt::Delivered, Attempt::PutOff, Attempt::PutOff, Attempt::GivenUp]);
        let mut log = outbox.log.lock().expect("a lock").clone();
        log.sort();
        assert_eq!(log[0], "1 delivered");
        assert!(log[1].starts_with(&format!("2 {} ", Seconds(60).after(moment(NOW)))), "{}", log[1]);
        assert!(log[1].ends_with("inside"), "{}", log[1]);
        assert_eq!(log[2], format!("3 {} busy", Seconds(7_200).after(moment(NOW))));
        assert!(log[3].starts_with("4 never"), "{}", log[3]);
    }
}
