//! Who is next: intervals with jitter, wake-ups, back-off. Knows no clock; time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::digest::Digest;
use crate::model::text::Text;
use crate::ports::leases::Due;

/// Time since the controller started.
pub type Moment = Duration;

/// The wait after a first failure; doubled with each further one, up to the interval.
const FIRST_BACK_OFF: Duration = Duration::from_secs(15);

/// No source is believed that asks to be left alone for longer.
const LONGEST_ASKED: Duration = Duration::from_secs(86_400);

/// For so many failures in a row a source's own word counts alone; after them it has to show
/// that it is worth believing.
const BELIEVED: u32 = 3;

/// After so long a turn gives up its place among those that count towards the limit: customers
/// whose sources hang never keep others waiting.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many times the limit may be under way in all, patient and impatient.
const CROWD: usize = 4;

/// What the tree says about when a customer's turns are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How often.
    pub interval: Duration,
    /// Over all that the tree says about it; another one wakes the customer.
    pub fingerprint: Digest,
}

/// How a turn ended, as far as the next one's time depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct End {
    /// How many turns in a row failed, this one included; 0 for a turn that did not.
    pub failures: u32,
    /// How long a source asked to be left alone.
    pub retry_after: Option<Duration>,
}

/// A customer whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its name.
    pub name: Text,
    /// Over all that the tree says about it.
    pub fingerprint: Digest,
    /// Whether somebody asked for the turn.
    pub is_asked: bool,
}

/// Who is next.
#[derive(Debug)]
pub struct Schedule {
    limit: usize,
    entries: BTreeMap<Text, Entry>,
    /// When newcomers are next due, as far as others know.
    learnt: BTreeMap<Text, Due>,
}

#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    due: Moment,
    running_since: Option<Moment>,
    /// Woken while its turn was under way: it needs another one right after.
    again: bool,
    /// Somebody asked for a turn that was not made yet.
    is_asked: bool,
    /// Another process had it when its turn was to be made here.
    is_elsewhere: bool,
    /// No longer wanted: forgotten as soon as its turn has ended.
    gone: bool,
}

impl Schedule {
    /// Makes an empty one. At most `limit` turns are under way at once, those aside that take
    /// unusually long.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), entries: BTreeMap::new(), learnt: BTreeMap::new() }
    }

    /// Learns from others when customers are next due: those of them that the next tree makes newcomers here wait for that
    /// moment, so that nobody is late because all processes are new.
    pub fn learn(&mut self, due: BTreeMap<Text, Due>) {
        self.learnt = due;
    }

    /// Takes over what a newly read tree wants: new and changed customers are due now, gone ones
    /// are forgotten, the others keep their time. `random` returns numbers from 0 to 1.
    ///
    /// Newcomers are spread a little, so that a start with a thousand customers is no burst.
    /// Returns who was woken.
    pub fn want(
        &mut self,
        wanted: BTreeMap<Text, Wanted>,
        now: Moment,
        random: &mut dyn FnMut() -> f64,
    ) -> Vec<Text> {
        for (name, entry) in &mut self.entries {
            entry.gone = !wanted.contains_key(name);
        }
        self.entries.retain(|_, entry| !entry.gone || entry.running_since.is_some());
        let learnt = std::mem::take(&mut self.learnt);
        let waits = |name: &Text, wanted: &Wanted| {
            let due = learnt.get(name).filter(|due| due.fingerprint == Some(wanted.fingerprint))?;
            Some(due.wait.min(wanted.interval)).filter(|wait| !wait.is_zero())
        };
        let is_new = |(name, wanted): &(&Text, &Wanted)| {
            !self.entries.contains_key(*name) && waits(name, wanted).is_none()
        };
        let spread = spread(wanted.iter().filter(is_new).count());
        let mut woken = Vec::new();
        for (name, wanted) in wanted {
            match self.entries.get_mut(&name) {
                None => {
                    let due = now + waits(&name, &wanted).unwrap_or_else(|| spread.mul_f64(unit(random())));
                    woken.push(name.clone());
                    self.entries.insert(
                        name,
                        Entry {
                            wanted,
                            due,
                            running_since: None,
                            again: false,
                            is_asked: false,
                            is_elsewhere: false,
                            gone: false,
                        },
                    );
                }
                Some(entry) => {
                    if entry.wanted.fingerprint != wanted.fingerprint {
                        entry.wake(now);
                        woken.push(name);
                    } else if entry.wanted.interval > wanted.interval {
                        entry.due = entry.due.min(now + wanted.interval);
                    }
                    entry.wanted = wanted;
                }
            }
        }
        woken
    }

    /// Takes the customer that is most overdue, if there is room for it.
    pub fn take(&mut self, now: Moment) -> Option<Taken> {
        if !self.has_room(now) {
            return None;
        }
        let (name, entry) = self
            .entries
            .iter_mut()
            .filter(|(_, entry)| entry.running_since.is_none() && entry.due <= now)
            .min_by_key(|(_, entry)| entry.due)?;
        entry.running_since = Some(now);
        entry.is_elsewhere = false;
        Some(Taken {
            name: name.clone(),
            fingerprint: entry.wanted.fingerprint,
            is_asked: std::mem::take(&mut entry.is_asked),
        })
    }

    /// Returns when there may next be something to take.
    pub fn next(&self, now: Moment) -> Option<Moment> {
        let due = self
            .entries
            .values()
            .filter(|entry| entry.running_since.is_none())
            .map(|entry| entry.due)
            .min()?;
        if self.has_room(now) {
            return Some(due);
        }
        if self.running().count() >= self.limit * CROWD {
            return None;
        }
        // Full: room comes when a turn ends, or when one has taken too long to count.
        let room = self.running().map(|since| since + PATIENCE).filter(|until| *until > now).min()?;
        Some(due.max(room))
    }

    /// Records that a customer's turn ended, and when the next one is. Returns how long that is
    /// from now; `None` for a customer that is no longer wanted.
    pub fn finished(&mut self, name: &str, wait: Duration, now: Moment) -> Option<Duration> {
        let entry = self.entries.get_mut(name)?;
        entry.running_since = None;
        if entry.gone {
            self.entries.remove(name);
            return None;
        }
        let wait = if std::mem::take(&mut entry.again) { Duration::ZERO } else { wait };
        entry.due = now + wait;
        Some(wait)
    }

    /// Records that a customer was taken and had no turn here, as it is somebody else's now or not due yet, and when to
    /// try again. That somebody asked for it is not forgotten.
    pub fn put_off(&mut self, taken: &Taken, wait: Duration, is_elsewhere: bool, now: Moment) {
        if self.finished(&taken.name, wait, now).is_some()
            && let Some(entry) = self.entries.get_mut(&taken.name)
        {
            entry.is_asked |= taken.is_asked;
            entry.is_elsewhere = is_elsewhere;
        }
    }

    /// Makes a customer's next turn due now, as somebody asked for it; one that is under way is followed by another.
    pub fn wake(&mut self, name: &str, now: Moment) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.wake(now);
            entry.is_asked = true;
        }
    }

    /// Makes a turn due now that was put off because another process had the customer, which has it no more.
    pub fn try_again(&mut self, name: &str, now: Moment) {
        if let Some(entry) = self.entries.get_mut(name)
            && entry.is_elsewhere
        {
            entry.due = entry.due.min(now);
        }
    }

    /// Returns the interval of a customer.
    pub fn interval(&self, name: &str) -> Option<Duration> {
        self.entries.get(name).map(|entry| entry.wanted.interval)
    }

    fn running(&self) -> impl Iterator<Item = Moment> {
        self.entries.values().filter_map(|entry| entry.running_since)
    }

    fn has_room(&self, now: Moment) -> bool {
        let counted = self.running().filter(|since| since.saturating_add(PATIENCE) > now).count();
        counted < self.limit && self.running().count() < self.limit * CROWD
    }
}

impl Entry {
    fn wake(&mut self, now: Moment) {
        self.again = self.running_since.is_some();
        self.due = self.due.min(now);
    }
}

/// Returns how long to wait after a turn: the interval, give or take a tenth, or the back-off
/// after a failure. `random` is a number from 0 to 1.
pub fn wait_after(end: End, interval: Duration, random: f64) -> Duration {
    let jitter = 0.9 + 0.2 * unit(random);
    if end.failures == 0 {
        return interval.mul_f64(jitter);
    }
    let doublings = end.failures.saturating_sub(1).min(20);
    let back_off = FIRST_BACK_OFF.saturating_mul(1 << doublings).min(interval).mul_f64(jitter);
    match end.retry_after {
        // Not earlier than the source said, and not much later.
        Some(asked) => {
            let asked = asked.clamp(Duration::from_secs(1), LONGEST_ASKED);
            let soon = asked.mul_f64(1.0 + 0.1 * unit(random));
            if end.failures <= BELIEVED { soon } else { soon.max(back_off) }
        }
        None => back_off,
    }
}

/// Over how long the first turns of newcomers are spread: a tenth of a second each.
fn spread(newcomers: usize) -> Duration {
    let newcomers = u32::try_from(newcomers).unwrap_or(u32::MAX);
    (Duration::from_millis(100) * newcomers.saturating_sub(1).min(600)).min(Duration::from_secs(60))
}

fn unit(random: f64) -> f64 {
    if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn seconds(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    fn wanted(names: &[(&str, &str)]) -> BTreeMap<Text, Wanted> {
        names
            .iter()
            .map(|(name, content)| {
                let fingerprint = Digest::of(content.as_bytes());
                (Text::from(*name), Wanted { interval: HOUR, fingerprint })
            })
            .collect()
    }

    fn zero() -> impl FnMut() -> f64 {
        || 0.0
    }

    fn take_all(schedule: &mut Schedule, now: Moment) -> Vec<String> {
        std::iter::from_fn(|| schedule.take(now)).map(|taken| taken.name.to_string()).collect()
    }

    #[test]
    fn who_asked_for_a_turn_that_was_put_off_is_not_forgotten() {
        let mut schedule = Schedule::new(2);
        schedule.want(wanted(&[("a", "1")]), seconds(0), &mut || 0.0);
        let taken = schedule.take(seconds(0)).expect("due");
        assert!(!taken.is_asked);
        schedule.finished("a", HOUR, seconds(1));
        schedule.wake("a", seconds(2));
        let asked = schedule.take(seconds(2)).expect("woken");
        assert!(asked.is_asked);
        schedule.put_off(&asked, seconds(30), true, seconds(3));
        assert_eq!(schedule.take(seconds(4)), None);
        // The other process gave it back.
        schedule.try_again("a", seconds(5));
        assert!(schedule.take(seconds(5)).expect("again").is_asked);
        schedule.put_off(&asked, seconds(30), false, seconds(6));
        schedule.try_again("a", seconds(7));
        assert_eq!(schedule.take(seconds(8)), None, "nobody had it");
        assert!(schedule.take(seconds(36)).expect("in its time").is_asked);
    }

    #[test]
    fn first_turns_are_at_once_but_spread() {
        let mut schedule = Schedule::new(100);
        let names: Vec<String> = (0..11).map(|number| format!("c{number:02}")).collect();
        let list: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        let mut step = 0.0;
        schedule.want(wanted(&list), seconds(0), &mut || {
            step += 0.1;
            step - 0.1
        });
        assert_eq!(take_all(&mut schedule, seconds(0)), ["c00"]);
        assert!(schedule.next(seconds(0)).is_some_and(|next| next > seconds(0) && next < seconds(1)));
        assert_eq!(take_all(&mut schedule, seconds(1)).len(), 10);
    }

    #[test]
    fn newcomers_wait_until_they_are_due_if_others_know_that_and_the_tree_says_the_same() {
        let mut schedule = Schedule::new(100);
        let list = wanted(&[("due", "1"), ("changed", "2"), ("later", "1"), ("late", "1"), ("new", "1")]);
        let fingerprint = Some(list["later"].fingerprint);
        let learnt = [("due", 0), ("changed", 40), ("later", 50), ("late", 999_999)];
        let learnt = learnt.map(|(name, wait)| (Text::from(name), Due { wait: seconds(wait), fingerprint }));
        schedule.learn(learnt.into());
        // The three that are new or due share the spread.
        schedule.want(list.clone(), seconds(0), &mut || 1.0);
        assert!(take_all(&mut schedule, seconds(0)).is_empty());
        let mut first = take_all(&mut schedule, seconds(1));
        first.sort();
        assert_eq!(first, ["changed", "due", "new"]);
        assert_eq!(take_all(&mut schedule, seconds(49)), [""; 0]);
        assert_eq!(take_all(&mut schedule, seconds(50)), ["later"]);
        assert_eq!(take_all(&mut schedule, HOUR), ["late"], "after an interval whatever others say");
        // What was learnt is of the start: who comes back is new.
        schedule.want(wanted(&[]), HOUR, &mut zero());
        for name in ["due", "changed", "later", "late", "new"] {
            schedule.finished(name, HOUR, HOUR);
        }
        schedule.want(list, HOUR, &mut zero());
        assert_eq!(take_all(&mut schedule, HOUR).len(), 5);
    }

    #[test]
    fn one_customer_has_one_turn_at_a_time_and_a_wake_up_meanwhile_is_another_turn() {
        let mut schedule = Schedule::new(4);
        schedule.want(wanted(&[("a", "1")]), seconds(0), &mut zero());
        assert_eq!(take_all(&mut schedule, seconds(0)), ["a"]);
        assert_eq!(schedule.want(wanted(&[("a", "2")]), seconds(1), &mut zero()), ["a"]);
        assert_eq!(schedule.take(seconds(1)), None);
        assert_eq!(schedule.finished("a", HOUR, seconds(2)), Some(Duration::ZERO));
        assert_eq!(schedule.take(seconds(2)).map(|taken| taken.name).as_deref(), Some("a"));
        assert_eq!(schedule.finished("a", HOUR, seconds(3)), Some(HOUR));
        assert_eq!(schedule.take(seconds(4)), None);
        assert_eq!(schedule.next(seconds(4)), Some(HOUR + seconds(3)));
    }

    #[test]
    fn only_changed_customers_wake_up() {
        let mut schedule = Schedule::new(4);
        schedule.want(wanted(&[("a", "1"), ("b", "1")]), seconds(0), &mut zero());
        for name in take_all(&mut schedule, seconds(0)) {
            schedule.finished(&name, HOUR, seconds(1));
        }
        let woken = schedule.want(wanted(&[("a", "1"), ("b", "2")]), seconds(5), &mut zero());
        assert_eq!(woken, ["b"]);
        assert_eq!(take_all(&mut schedule, seconds(5)), ["b"]);
    }

    #[test]
    fn a_customer_that_left_is_forgotten_after_its_turn() {
        let mut schedule = Schedule::new(4);
        schedule.want(wanted(&[("a", "1"), ("b", "1")]), seconds(0), &mut zero());
        assert_eq!(schedule.take(seconds(0)).map(|taken| taken.name).as_deref(), Some("a"));
        schedule.want(wanted(&[]), seconds(1), &mut zero());
        assert_eq!(schedule.take(seconds(1)), None);
        assert_eq!(schedule.finished("a", HOUR, seconds(2)), None);
        assert_eq!(schedule.next(seconds(3)), None);
    }

    #[test]
    fn the_limit_holds_and_stuck_customers_give_up_their_place() {
        let mut schedule = Schedule::new(1);
        schedule.want(wanted(&[("a", ""), ("b", ""), ("c", "")]), seconds(0), &mut zero());
        assert_eq!(take_all(&mut schedule, seconds(0)), ["a"]);
        assert_eq!(schedule.next(seconds(0)), Some(PATIENCE));
        assert_eq!(take_all(&mut schedule, PATIENCE), ["b"]);
        assert_eq!(schedule.finished("b", HOUR, PATIENCE), Some(HOUR));
        assert_eq!(take_all(&mut schedule, PATIENCE), ["c"]);
    }

    #[test]
    fn even_stuck_customers_are_not_without_number() {
        let mut schedule = Schedule::new(1);
        let names: Vec<String> = (0..10).map(|number| format!("c{number}")).collect();
        let list: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        schedule.want(wanted(&list), seconds(0), &mut zero());
        let mut taken = 0;
        for round in 0..20 {
            taken += take_all(&mut schedule, PATIENCE * round).len();
        }
        assert_eq!(taken, CROWD);
        assert_eq!(schedule.next(PATIENCE * 30), None);
    }

    #[test]
    fn waits_follow_the_interval_with_a_tenth_of_jitter() {
        let fine = End::default();
        assert_eq!(wait_after(fine, HOUR, 0.5), HOUR);
        assert_eq!(wait_after(fine, HOUR, 0.0), HOUR.mul_f64(0.9));
        assert_eq!(wait_after(fine, HOUR, 1.0), HOUR.mul_f64(1.1));
    }

    #[test]
    fn failures_back_off_up_to_the_interval_and_heed_the_source() {
        let failed = |failures, retry_after: Option<u64>| {
            wait_after(End { failures, retry_after: retry_after.map(seconds) }, HOUR, 0.5).as_secs()
        };
        assert_eq!([failed(1, None), failed(2, None), failed(3, None)], [15, 30, 60]);
        assert_eq!([failed(9, None), failed(u32::MAX, None)], [3_600, 3_600]);
        // Retry-After: 120 s and at most a tenth more, also beyond the back-off.
        assert_eq!(failed(1, Some(120)), 126);
        assert_eq!(failed(1, Some(10_800)), 11_340);
        // A source that says "one second" for ever is not asked every second for ever.
        assert_eq!([failed(3, Some(1)), failed(4, Some(1))], [1, 120]);
    }

    #[test]
    fn a_shorter_interval_counts_at_once() {
        let mut schedule = Schedule::new(4);
        schedule.want(wanted(&[("a", "1")]), seconds(0), &mut zero());
        schedule.take(seconds(0));
        schedule.finished("a", HOUR, seconds(0));
        let mut shorter = wanted(&[("a", "1")]);
        shorter.values_mut().for_each(|wanted| wanted.interval = seconds(60));
        schedule.want(shorter, seconds(10), &mut zero());
        assert_eq!(schedule.next(seconds(10)), Some(seconds(70)));
    }
}
