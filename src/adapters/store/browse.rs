//! Answers whoever looks around in the store: pages of accounts and of the audit record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::adapters::store::accounts::strange;
use crate::adapters::store::connection::{Store, StoreReader, Work};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection};
use crate::adapters::store::{accounts, audit, contacts, publications, suspensions};
use crate::model::account::{Account, AccountKey};
use crate::model::contact_match::ContactMatch;
use crate::model::guid::Guid;
use crate::model::listing::{AccountPage, AccountQuery, EventFilter, FoundEvents};
use crate::model::publication::Publication;
use crate::model::register::Suspension;
use crate::model::text::Text;
use crate::ports::browse::Browse;
use crate::ports::register::RegisterFault;

/// How many questions are answered at once. Each has a connection and a thread of its own, and goes on when
/// whoever asked is gone.
const AT_ONCE: usize = 8;
/// How many of them are searches. One for somebody whom nobody is called like goes over all accounts: 100,000 take
/// 50 ms of a core, and whoever asks for something else does not wait for those.
const SEARCHES: usize = 2;
/// How long a question waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

const IMPORTED: &str = "SELECT customer, COUNT(*) FROM accounts WHERE state <> 'removed' GROUP BY customer";

/// A return from a grace changes no number, one from the removed does. 86,400,000,000 microseconds are a day.
const CHANGES: &str = "
    SELECT customer, at / 86400000000 AS day, SUM(CASE kind WHEN 'account.removed' THEN -1 ELSE 1 END)
    FROM events
    WHERE at >= $1 AND (kind IN ('account.added', 'account.removed')
        OR (kind = 'account.returned' AND json_extract(details, '$.before.state') = 'removed'))
    GROUP BY customer, day";
const DAY: i64 = 86_400_000_000;

/// Answers whoever looks around in a store.
#[derive(Debug, Clone)]
pub struct StoreBrowse {
    reader: StoreReader,
    places: Arc<Semaphore>,
    searches: Arc<Semaphore>,
}

impl Store {
    /// Returns what answers whoever looks around.
    pub fn browse(&self) -> StoreBrowse {
        let of = |places| Arc::new(Semaphore::new(places));
        StoreBrowse { reader: self.reader().clone(), places: of(AT_ONCE), searches: of(SEARCHES) }
    }
}

impl StoreBrowse {
    /// Asks when there is a place, and gives it back when the answer is there: also when nobody waits for it.
    async fn ask<T, W>(&self, nothing: T, work: W) -> Result<T, RegisterFault>
    where
        T: Send + 'static,
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T> + Send + 'static,
    {
        let place = turn(&self.places).await?;
        self.ask_in(place, nothing, work).await
    }

    /// Asks in a place that is given back when the answer is there.
    async fn ask_in<P, T, W>(&self, place: P, nothing: T, work: W) -> Result<T, RegisterFault>
    where
        P: Send + 'static,
        T: Send + 'static,
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T> + Send + 'static,
    {
        let reader = self.reader.clone();
        let asking = tokio::spawn(async move {
            let answer = reader.ask(nothing, work).await;
            drop(place);
            answer
        });
        asking.await.unwrap_or_else(|error| {
            let what = "the question was cut off".to_owned();
            Err(RegisterFault::Unavailable { what, source: error.into() })
        })
    }
}

/// Waits for a place.
async fn turn(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, RegisterFault> {
    let place = tokio::time::timeout(PATIENCE, places.clone().acquire_owned()).await;
    place.ok().and_then(Result::ok).ok_or(RegisterFault::Busy)
}

#[async_trait]
impl Browse for StoreBrowse {
    async fn account_page(&self, query: &AccountQuery) -> Result<AccountPage, RegisterFault> {
        let query = query.clone();
        // First the narrow door: whoever waits before it takes no place of others.
        let search = match query.words.is_empty() {
            true => None,
            false => Some(turn(&self.searches).await?),
        };
        let places = (search, turn(&self.places).await?);
        self.ask_in(places, AccountPage::default(), |connection| {
            Box::pin(async move { accounts::page(connection, &query).await })
        })
        .await
    }

    async fn accounts_of(&self, customer: &str, id: Guid) -> Result<Vec<Account>, RegisterFault> {
        let customer = customer.to_owned();
        self.ask(Vec::new(), move |connection| {
            Box::pin(async move { accounts::with_id(connection, &customer, id).await })
        })
        .await
    }

    async fn contacts_of(
        &self,
        customer: &str,
        keys: &[AccountKey],
    ) -> Result<Vec<ContactMatch>, RegisterFault> {
        let (customer, keys) = (customer.to_owned(), keys.to_vec());
        self.ask(Vec::new(), move |connection| {
            Box::pin(async move { contacts::of_accounts(connection, &customer, &keys).await })
        })
        .await
    }

    async fn publications_of(&self, customer: &str, id: Guid) -> Result<Vec<Publication>, RegisterFault> {
        let customer = customer.to_owned();
        self.ask(Vec::new(), move |connection| {
            Box::pin(async move { publications::with_id(connection, &customer, id).await })
        })
        .await
    }

    async fn found_events(&self, filter: &EventFilter) -> Result<FoundEvents, RegisterFault> {
        let filter = filter.clone();
        self.ask(FoundEvents::default(), |connection| {
            Box::pin(async move { audit::found(connection, &filter).await })
        })
        .await
    }

    async fn past_days(&self, today: i64, days: i64) -> Result<BTreeMap<Text, Vec<u64>>, RegisterFault> {
        // Whoever asks asks once for all.
        self.reader.ask(BTreeMap::new(), move |connection| Box::pin(past(connection, today, days))).await
    }

    async fn suspensions(&self) -> Result<BTreeMap<Text, Suspension>, RegisterFault> {
        self.reader.ask(BTreeMap::new(), |connection| Box::pin(suspensions::all(connection))).await
    }
}

async fn past(
    connection: &mut Connection<'_>,
    today: i64,
    days: i64,
) -> Result<BTreeMap<Text, Vec<u64>>, Mishap> {
    let mut changes: BTreeMap<Text, BTreeMap<i64, i64>> = BTreeMap::new();
    {
        // What changed on a day separates its end from that of the day before.
        let first = today.saturating_sub(days).saturating_add(1).saturating_mul(DAY);
        let mut rows = sql::query(CHANGES).bind(first).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let of_customer = changes.entry(Text::from(row.get::<&str>(0)?)).or_default();
            of_customer.insert(row.get(1)?, row.get(2)?);
        }
    }
    let mut imported: BTreeMap<Text, i64> = BTreeMap::new();
    let mut rows = sql::query(IMPORTED).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        imported.insert(Text::from(row.get::<&str>(0)?), row.get(1)?);
    }
    let names: Vec<&Text> = imported.keys().chain(changes.keys()).collect();
    let mut past = BTreeMap::new();
    for name in names {
        let changed = |day: i64| changes.get(name).and_then(|days| days.get(&day)).copied().unwrap_or(0);
        let mut count = imported.get(name).copied().unwrap_or(0);
        // A clock that was set back may have written events of tomorrow.
        count -= changes.get(name).map_or(0, |days| days.range(today..).map(|(_, change)| change).sum());
        let mut counts = Vec::new();
        for day in (today - days..today).rev() {
            counts.push(u64::try_from(count).unwrap_or(0));
            count -= changed(day);
        }
        counts.reverse();
        past.insert(name.clone(), counts);
    }
    match past.values().all(|counts: &Vec<u64>| i64::try_from(counts.len()) == Ok(days)) {
        true => Ok(past),
        false => Err(strange("a number of days", &days.to_string())),
    }
}
