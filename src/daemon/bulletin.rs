//! Tells whoever watches what happens, without waiting for anybody.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;

use crate::daemon::turns::TurnResult;
use crate::model::text::Text;
use crate::ports::feed::{Happening, UnderWay};
use crate::ports::source::Progress;

/// How much is kept for whoever is slow; what is older they miss.
const KEPT: usize = 1_024;
/// How often it is told at the most how far one customer's reading is.
const TOLD_EVERY: Duration = Duration::from_millis(500);

/// What is told, and which turns are under way.
#[derive(Debug)]
pub struct Bulletin {
    board: broadcast::Sender<Happening>,
    under_way: Mutex<BTreeMap<Text, Arc<Reading>>>,
    over: Mutex<Over>,
}

/// What is over, counted.
#[derive(Debug, Default)]
struct Over {
    /// How much there was.
    count: u64,
    /// How much there was when the last of it was over that concerns everybody.
    for_all: u64,
    /// The same of single customers, where that was later.
    of: BTreeMap<Text, u64>,
    /// How many turns wrote.
    wrote: u64,
}

impl Over {
    fn note(&mut self, customer: Option<&Text>) {
        self.count += 1;
        match customer {
            Some(customer) => drop(self.of.insert(customer.clone(), self.count)),
            None => {
                self.for_all = self.count;
                // Nothing is later than this: customers that left the tree are forgotten here.
                self.of.clear();
            }
        }
    }
}

/// How far a turn is.
#[derive(Debug)]
struct Reading {
    began: Instant,
    objects: AtomicU64,
    /// When it was last told, in milliseconds since it began.
    told: AtomicU64,
}

impl Default for Bulletin {
    fn default() -> Self {
        Self { board: broadcast::Sender::new(KEPT), under_way: Mutex::default(), over: Mutex::default() }
    }
}

impl Bulletin {
    /// Returns what happens from now on.
    pub fn watch(&self) -> BoxStream<'static, Happening> {
        let board = self.board.subscribe();
        stream::unfold(board, async |mut board| match board.recv().await {
            Ok(happening) => Some((happening, board)),
            Err(RecvError::Lagged(count)) => Some((Happening::Missed { count }, board)),
            Err(RecvError::Closed) => None,
        })
        .boxed()
    }

    /// Returns the turns that are under way.
    pub fn under_way(&self) -> BTreeMap<Text, UnderWay> {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = |reading: &Arc<Reading>| UnderWay {
            lasting: reading.began.elapsed(),
            objects: reading.objects.load(Ordering::Relaxed),
        };
        under_way.iter().map(|(customer, reading)| (customer.clone(), shown(reading))).collect()
    }

    /// Tells that a turn begins; returns who is to be told how far it reads.
    pub(crate) fn began(self: &Arc<Self>, customer: &Text) -> Arc<dyn Progress> {
        let reading =
            Arc::new(Reading { began: Instant::now(), objects: AtomicU64::new(0), told: AtomicU64::new(0) });
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.insert(customer.clone(), reading.clone());
        drop(under_way);
        self.tell(Happening::TurnBegan { customer: customer.clone() });
        Arc::new(Told { bulletin: self.clone(), customer: customer.clone(), reading })
    }

    /// Tells that a turn is over, however it ended; `None` for one that failed inside Intake.
    pub(crate) fn ended(&self, customer: &Text, result: Option<&TurnResult>) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(customer);
        let went = result.and_then(|result| result.as_ref().ok());
        self.tell(Happening::TurnEnded {
            customer: customer.clone(),
            state: went.map(|went| went.state.code()),
            wrote: went.is_some_and(|went| went.wrote),
        });
    }

    /// Notes that something changed about a customer, or about some, of which nobody is told.
    pub(crate) fn changed(&self, customer: Option<&Text>) {
        self.noted().note(customer);
    }

    /// Returns how many turns ended, and trees were read.
    pub fn over(&self) -> u64 {
        self.noted().count
    }

    /// Returns what [`Self::over`] was when the last of it was over that concerns a customer, or everybody.
    pub fn over_of(&self, customer: Option<&str>) -> u64 {
        let over = self.noted();
        customer.and_then(|customer| over.of.get(customer)).copied().unwrap_or(over.for_all)
    }

    /// Returns how many turns wrote.
    pub(crate) fn wrote(&self) -> u64 {
        self.noted().wrote
    }

    fn noted(&self) -> MutexGuard<'_, Over> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells something. That nobody listens is no fault.
    pub(crate) fn tell(&self, happening: Happening) {
        // Before it is told: whoever hears of it and looks finds it.
        if matches!(
            happening,
            Happening::TurnEnded { .. } | Happening::CustomerChanged { .. } | Happening::TreeRead { .. }
        ) {
            let mut over = self.noted();
            over.note(happening.customer());
            over.wrote += u64::from(matches!(happening, Happening::TurnEnded { wrote: true, .. }));
        }
        let _ = self.board.send(happening);
    }
}

/// Tells how far the reading of one customer is.
struct Told {
    bulletin: Arc<Bulletin>,
    customer: Text,
    reading: Arc<Reading>,
}

impl Progress for Told {
    fn read(&self, objects: usize) {
        let objects = u64::try_from(objects).unwrap_or(u64::MAX);
        self.reading.objects.store(objects, Ordering::Relaxed);
        let now = u64::try_from(self.reading.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let told = self.reading.told.load(Ordering::Relaxed);
        let due = u64::try_from(TOLD_EVERY.as_millis()).unwrap_or(u64::MAX);
        if now.saturating_sub(told) >= due {
            self.reading.told.store(now, Ordering::Relaxed);
            self.bulletin.tell(Happening::TurnReads { customer: self.customer.clone(), objects });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::judge::TurnFault;

    #[tokio::test]
    async fn whoever_watches_is_told_and_whoever_is_slow_is_told_that_they_missed_something() {
        let bulletin = Arc::new(Bulletin::default());
        let contoso = Text::from("contoso");
        let (mut attentive, mut slow) = (bulletin.watch(), bulletin.watch());
        let progress = bulletin.began(&contoso);
        assert_eq!(attentive.next().await, Some(Happening::TurnBegan { customer: contoso.clone() }));
        tokio::time::sleep(TOLD_EVERY).await;
        progress.read(20);
        let told = attentive.next().await;
        assert_eq!(told, Some(Happening::TurnReads { customer: contoso.clone(), objects: 20 }));
        let shown = bulletin.under_way();
        assert_eq!(shown.keys().collect::<Vec<_>>(), [&contoso]);
        assert_eq!(shown[&contoso].objects, 20);
        assert!(shown[&contoso].lasting >= TOLD_EVERY);
        assert_eq!(bulletin.over(), 0);
        bulletin.ended(&contoso, Some(&Err(TurnFault::Stopped)));
        assert!(bulletin.under_way().is_empty());
        let ended = Happening::TurnEnded { customer: contoso.clone(), state: None, wrote: false };
        assert_eq!(attentive.next().await, Some(ended));
        assert_eq!(bulletin.over(), 1);
        assert_eq!((bulletin.over_of(Some("contoso")), bulletin.over_of(Some("fabrikam"))), (1, 0));
        bulletin.changed(Some(&Text::from("fabrikam")));
        assert_eq!((bulletin.over_of(Some("contoso")), bulletin.over_of(Some("fabrikam"))), (1, 2));
        for _ in 0..KEPT {
            bulletin.tell(Happening::TreeRead { revision: Text::from("r") });
        }
        assert_eq!(slow.next().await, Some(Happening::Missed { count: 3 }));
        let all = 2 + KEPT as u64;
        assert_eq!(
            (bulletin.over_of(Some("contoso")), bulletin.over_of(Some("fabrikam"))),
            (all, all),
            "trees are everybody's"
        );
    }
}
