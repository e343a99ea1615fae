//! Answers that were given lately: as good as new, as long as nothing happened that they depend on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::text::Text;
use crate::ports::inquiry::Unanswered;
use crate::reconcile::judge::Job;

/// For how long an answer is good. Plans depend on the clock as well: on the end of a grace, of a window, of an
/// approval. So late one may be told, and no later; what another process writes into the store is seen as late.
const GOOD: Duration = Duration::from_secs(5);
/// From when on a newer one is made meanwhile, so that nobody waits for it.
const FRESH: Duration = Duration::from_secs(1);
/// How long somebody waits for an answer that is being made.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an answer about a customer was made from, as it was before it was begun.
#[derive(Debug, Clone)]
pub(crate) struct Basis {
    /// The customer, as the tree in force describes it.
    pub(crate) job: Job,
    /// The revision of that tree.
    pub(crate) revision: Text,
    /// How much had happened to the customer.
    pub(crate) happened: u64,
    /// How many turns had written, of anybody.
    pub(crate) wrote: u64,
}

/// An answer, and what more is to be known of it.
#[derive(Debug, Clone)]
pub(crate) struct Given<T> {
    /// The answer.
    pub(crate) answer: T,
    /// How many bytes it takes in memory, about.
    pub(crate) size: usize,
    /// Whether it depends on what was written of other customers, too: on how many removals the fleet has room for.
    pub(crate) is_of_fleet: bool,
}

/// Whom an answer is about.
pub(crate) type Key = (Text, String);

/// Keeps answers for some seconds, and makes none twice at a time.
pub(crate) struct Lately<T> {
    places: Mutex<HashMap<Key, Arc<Place<T>>>>,
    /// How many are kept at the most.
    most: usize,
    /// How many bytes they take at the most, about.
    largest: usize,
    fresh: Duration,
    good: Duration,
}

struct Place<T> {
    last: Mutex<Option<Kept<T>>>,
    /// Held by whoever makes one.
    making: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
struct Kept<T> {
    at: Instant,
    basis: Basis,
    given: Given<T>,
}

impl Basis {
    /// Whether an answer that was made from this is one that would be made now.
    fn still_holds(&self, now: &Self, is_of_fleet: bool) -> bool {
        let is_same_job = match (&self.job, &now.job) {
            (Job::Listed(before), Job::Listed(now)) => Arc::ptr_eq(before, now),
            (Job::Absent { names_are_known: before, .. }, Job::Absent { names_are_known: now, .. }) => {
                before == now
            }
            _ => false,
        };
        is_same_job
            && self.revision == now.revision
            && self.happened == now.happened
            && (!is_of_fleet || self.wrote == now.wrote)
    }
}

impl<T: Clone + Send + 'static> Lately<T> {
    /// Keeps none yet.
    pub(crate) fn new(most: usize, largest: usize) -> Arc<Self> {
        Arc::new(Self { places: Mutex::default(), most, largest, fresh: FRESH, good: GOOD })
    }

    /// Returns an answer that was given lately, or has one made: in a task of its own, which goes on whoever gives up
    /// waiting. `now` is asked anew whenever it counts.
    ///
    /// # Errors
    /// Those of making one; [`Unanswered::Busy`] if that takes too long.
    pub(crate) async fn answer<F>(
        self: &Arc<Self>,
        key: Key,
        now: impl Fn() -> Result<Basis, Unanswered>,
        make: impl Fn(&Basis) -> F,
    ) -> Result<T, Unanswered>
    where
        F: Future<Output = Result<Given<T>, Unanswered>> + Send + 'static,
    {
        let place = self.place(&key);
        if let Some((age, answer)) = place.good(&now()?, self.good) {
            if age >= self.fresh
                && let Ok(making) = place.making.clone().try_lock_owned()
            {
                let basis = now()?;
                let made = make(&basis);
                // Whoever asks next has one that is good still, or makes another.
                tokio::spawn(self.clone().keep(key, place, basis, made, making));
            }
            return Ok(answer);
        }
        let making = tokio::time::timeout(PATIENCE, place.making.clone().lock_owned()).await;
        let making = making.map_err(|_| Unanswered::Busy)?;
        // Somebody else may have made one meanwhile; and so may something have happened.
        let basis = now()?;
        if let Some((_, answer)) = place.good(&basis, self.good) {
            return Ok(answer);
        }
        let made = make(&basis);
        let working = tokio::spawn(self.clone().keep(key, place, basis, made, making));
        working.await.map_err(|error| Unanswered::Failed(Box::new(error)))?
    }

    /// Makes an answer, and keeps it.
    async fn keep(
        self: Arc<Self>,
        key: Key,
        place: Arc<Place<T>>,
        basis: Basis,
        made: impl Future<Output = Result<Given<T>, Unanswered>> + Send,
        making: tokio::sync::OwnedMutexGuard<()>,
    ) -> Result<T, Unanswered> {
        // Before it is begun: what it shows is not newer than this.
        let at = Instant::now();
        let given = made.await?;
        let answer = given.answer.clone();
        let is_kept = given.size <= self.largest;
        *place.last() = is_kept.then_some(Kept { at, basis, given });
        drop(making);
        if is_kept {
            self.make_room(&key);
            let (lately, good) = (Arc::downgrade(&self), self.good);
            tokio::spawn(async move {
                tokio::time::sleep_until(at + good).await;
                if let Some(lately) = lately.upgrade() {
                    lately.forget_old();
                }
            });
        }
        Ok(answer)
    }

    fn place(&self, key: &Key) -> Arc<Place<T>> {
        let mut places = self.places();
        if let Some(place) = places.get(key) {
            return place.clone();
        }
        let place = Arc::new(Place { last: Mutex::default(), making: Arc::default() });
        if places.len() >= self.most {
            places.retain(|_, place| place.is_of_use());
        }
        // Where there are too many the answer is made for whoever asks alone.
        if places.len() < self.most {
            places.insert(key.clone(), place.clone());
        }
        place
    }

    /// Forgets the oldest until what is kept is no larger than it may be; never the one that was just made.
    fn make_room(&self, newest: &Key) {
        let places = self.places();
        let mut kept: Vec<(Instant, usize, &Arc<Place<T>>)> = places
            .iter()
            .filter(|(key, _)| *key != newest)
            .filter_map(|(_, place)| place.last().as_ref().map(|kept| (kept.at, kept.given.size, place)))
            .collect();
        let mine = places.get(newest).and_then(|place| place.last().as_ref().map(|kept| kept.given.size));
        let mut size = kept.iter().map(|(_, size, _)| size).sum::<usize>() + mine.unwrap_or_default();
        kept.sort_by_key(|(at, ..)| *at);
        for (_, freed, place) in kept {
            if size <= self.largest {
                return;
            }
            size -= freed;
            *place.last() = None;
        }
    }

    /// Forgets what is good for nobody any more: it would lie in memory until somebody asks again.
    fn forget_old(&self) {
        self.places().retain(|_, place| {
            let mut last = place.last();
            if last.as_ref().is_some_and(|kept| kept.at.elapsed() >= self.good) {
                *last = None;
            }
            drop(last);
            place.is_of_use()
        });
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Key, Arc<Place<T>>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Place<T> {
    fn last(&self) -> MutexGuard<'_, Option<Kept<T>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an answer that is good still, and how old it is.
    fn good(&self, now: &Basis, good: Duration) -> Option<(Duration, T)> {
        let last = self.last();
        let kept = last.as_ref()?;
        let age = kept.at.elapsed();
        let is_good = age < good && kept.basis.still_holds(now, kept.given.is_of_fleet);
        is_good.then(|| (age, kept.given.answer.clone()))
    }

    fn is_of_use(self: &Arc<Self>) -> bool {
        self.last().is_some() || Arc::strong_count(self) > 1
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::reconcile::fakes::customer;

    /// A customer to whom things happen, and how often an answer about it was made.
    struct World {
        lately: Arc<Lately<u64>>,
        job: Job,
        happened: AtomicU64,
        wrote: AtomicU64,
        made: Arc<AtomicU64>,
        size: usize,
        is_of_fleet: bool,
    }

    const LONG: Duration = Duration::from_secs(3_600);

    impl World {
        /// Where answers are fresh, and good, for so long.
        fn new(fresh: Duration, good: Duration) -> Self {
            Self {
                lately: Arc::new(Lately { places: Mutex::default(), most: 3, largest: 100, fresh, good }),
                job: Job::Listed(Arc::new(customer("contoso"))),
                happened: AtomicU64::new(0),
                wrote: AtomicU64::new(0),
                made: Arc::default(),
                size: 40,
                is_of_fleet: false,
            }
        }

        async fn ask(&self, name: &str) -> u64 {
            let now = || {
                Ok(Basis {
                    job: self.job.clone(),
                    revision: Text::from("r"),
                    happened: self.happened.load(Ordering::SeqCst),
                    wrote: self.wrote.load(Ordering::SeqCst),
                })
            };
            let make = |_: &Basis| {
                let (made, size, is_of_fleet) = (self.made.clone(), self.size, self.is_of_fleet);
                async move {
                    tokio::task::yield_now().await;
                    Ok(Given { answer: made.fetch_add(1, Ordering::SeqCst) + 1, size, is_of_fleet })
                }
            };
            self.lately.answer((Text::from(name), String::new()), now, make).await.expect("an answer")
        }
    }

    #[tokio::test]
    async fn an_answer_is_given_again_until_something_happens_to_the_customer() {
        let mut world = World::new(LONG, LONG);
        let asked = tokio::join!(world.ask("a"), world.ask("a"), world.ask("a"));
        assert_eq!(asked, (1, 1, 1), "made once for all who ask at the same time");
        world.wrote.fetch_add(1, Ordering::SeqCst);
        assert_eq!(world.ask("a").await, 1, "what is written of others does not count");
        world.happened.fetch_add(1, Ordering::SeqCst);
        assert_eq!(world.ask("a").await, 2);
        world.job = Job::Listed(Arc::new(customer("contoso")));
        assert_eq!(world.ask("a").await, 3, "another document");
        world.job = Job::Absent { name: Text::from("contoso"), names_are_known: false };
        assert_eq!(world.ask("a").await, 4);
        world.is_of_fleet = true;
        world.happened.fetch_add(1, Ordering::SeqCst);
        assert_eq!(world.ask("a").await, 5);
        world.wrote.fetch_add(1, Ordering::SeqCst);
        assert_eq!(world.ask("a").await, 6, "whose removals the fleet has room for");
    }

    #[tokio::test]
    async fn an_answer_is_made_anew_before_it_is_too_old_and_is_never_older() {
        let world = World::new(Duration::ZERO, LONG);
        assert_eq!(world.ask("a").await, 1);
        assert_eq!(world.ask("a").await, 1, "nobody waits for the next one");
        while world.made.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        let world = World::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(world.ask("a").await, 1);
        assert_eq!(world.ask("a").await, 2, "too old at once");
        world.lately.forget_old();
        assert!(world.lately.places().is_empty(), "nothing is kept that is of no use");
    }

    #[tokio::test]
    async fn no_more_is_kept_than_may_be() {
        let mut world = World::new(LONG, LONG);
        world.size = 30;
        for name in ["a", "b", "c", "d"] {
            world.ask(name).await;
        }
        let kept = |world: &World| {
            let places = world.lately.places();
            let there = places.iter().filter(|(_, place)| place.last().is_some());
            let mut names: Vec<String> = there.map(|((name, _), _)| name.to_string()).collect();
            names.sort();
            names
        };
        assert_eq!(kept(&world), ["a", "b", "c"], "three places, and the fourth was for whoever asked alone");
        assert_eq!(world.ask("d").await, 5);
        world.size = 50;
        world.happened.fetch_add(1, Ordering::SeqCst);
        world.ask("b").await;
        assert_eq!(kept(&world), ["b", "c"], "of 50 and 30 bytes; the oldest is forgotten");
        world.size = 101;
        world.happened.fetch_add(1, Ordering::SeqCst);
        world.ask("b").await;
        assert_eq!(kept(&world), ["c"], "too large to be kept at all");
    }
}
