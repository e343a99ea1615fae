//! What the store holds, counted in one question. Accounts are counted anew only of customers that had a turn
//! since: to go over all of them takes longer than whoever asks every few seconds should make the store work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::adapters::store::accounts::{account_type, moment, strange, time};
use crate::adapters::store::connection::{Store, StoreReader};
use crate::adapters::store::fault::Mishap;
use crate::model::account::AccountType;
use crate::model::text::Text;
use crate::ports::census::{AccountCount, Census, Counts, LastTurn, OutboxCount};
use crate::ports::register::RegisterFault;

const TURNS: &str = "SELECT customer, state, last_success, last_attempt FROM statuses";
const REVISIONS: &str = "SELECT name, revision FROM customers";

/// Grouped as the table is sorted: nothing has to be sorted anew.
macro_rules! accounts {
    ($which:literal) => {
        concat!(
            "SELECT customer, account_type,
                COUNT(*) FILTER (WHERE state = 'active'), COUNT(*) FILTER (WHERE state = 'pendingRemoval'),
                COUNT(*) FILTER (WHERE state = 'orphaned'), COUNT(*) FILTER (WHERE state = 'removed')
            FROM accounts ",
            $which,
            " GROUP BY customer, account_type"
        )
    };
}
const ACCOUNTS: &str = accounts!("");
const ACCOUNTS_OF: &str = accounts!("WHERE customer = $1");

/// Of more customers than these all accounts are gone over at once.
const FEW: usize = 50;

/// Counted by the indexes that the outbox works with. Those that were given up have none, and are what is
/// left of all.
const WAITING: &str = "SELECT COUNT(*) FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL";
const DELIVERED: &str = "SELECT COUNT(*) FROM outbox WHERE delivered_at IS NOT NULL";
const ALL: &str = "SELECT COUNT(*) FROM outbox";
const OLDEST: &str = "
    SELECT body, next_attempt FROM outbox
    WHERE id = (SELECT MIN(id) FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL)";

/// Counts what a store holds.
#[derive(Debug)]
pub struct StoreCensus {
    reader: StoreReader,
    counted: Mutex<Arc<Counted>>,
}

/// The accounts of customers as they were counted, each with what tells that they may be others since.
type Counted = BTreeMap<Text, (Marker, Accounts)>;

type Accounts = BTreeMap<AccountType, AccountCount>;

/// A commit raises a customer's revision, and the accounts that a turn forgets without one go before it
/// records when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marker {
    revision: i64,
    last_attempt: Option<i64>,
}

impl Store {
    /// Returns what counts what the store holds.
    pub fn census(&self) -> StoreCensus {
        StoreCensus { reader: self.reader().clone(), counted: Mutex::default() }
    }
}

#[async_trait]
impl Census for StoreCensus {
    async fn count(&self) -> Result<Counts, RegisterFault> {
        let before = self.counted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (counts, counted) = self
            .reader
            .ask(<(Counts, Counted)>::default(), |connection| {
                Box::pin(async move { count(connection, &before).await })
            })
            .await?;
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(counted);
        Ok(counts)
    }
}

async fn count(connection: &mut SqliteConnection, before: &Counted) -> Result<(Counts, Counted), Mishap> {
    let mut customers = BTreeMap::new();
    let mut attempts = BTreeMap::new();
    for row in &sqlx::query(TURNS).fetch_all(&mut *connection).await? {
        let name = Text::from(row.try_get::<&str, _>(0)?);
        let state = Text::from(row.try_get::<&str, _>(1)?);
        attempts.insert(name.clone(), row.try_get(3)?);
        customers.insert(name, LastTurn { state, last_success: time(row, 2)? });
    }
    let mut markers = BTreeMap::new();
    for row in &sqlx::query(REVISIONS).fetch_all(&mut *connection).await? {
        let name = Text::from(row.try_get::<&str, _>(0)?);
        let marker = Marker { revision: row.try_get(1)?, last_attempt: attempts.get(&name).copied() };
        markers.insert(name, marker);
    }
    let counted = counted(connection, markers, before).await?;
    let accounts = counted
        .iter()
        .flat_map(|(name, (_, accounts))| {
            accounts.iter().map(|(account_type, count)| ((name.clone(), *account_type), *count))
        })
        .collect();
    let outbox = outbox(connection).await?;
    Ok((Counts { customers, accounts, outbox }, counted))
}

/// Counts the accounts of customers whose marker is another one than before.
async fn counted(
    connection: &mut SqliteConnection,
    markers: BTreeMap<Text, Marker>,
    before: &Counted,
) -> Result<Counted, Mishap> {
    let is_other =
        |(name, marker): &(&Text, &Marker)| before.get(*name).is_none_or(|(known, _)| known != *marker);
    let others: Vec<Text> = markers.iter().filter(is_other).map(|(name, _)| name.clone()).collect();
    let mut fresh: BTreeMap<Text, Accounts> =
        others.iter().map(|name| (name.clone(), Accounts::new())).collect();
    let rows = if others.len() > FEW {
        sqlx::query(ACCOUNTS).fetch_all(connection).await?
    } else {
        let mut rows = Vec::new();
        for name in &others {
            rows.extend(sqlx::query(ACCOUNTS_OF).bind(name.as_str()).fetch_all(&mut *connection).await?);
        }
        rows
    };
    for row in &rows {
        if let Some(accounts) = fresh.get_mut(row.try_get::<&str, _>(0)?) {
            accounts.insert(account_type(row.try_get(1)?)?, account_count(row)?);
        }
    }
    let known = |name: &Text| before.get(name).map(|(_, accounts)| accounts.clone()).unwrap_or_default();
    Ok(markers
        .into_iter()
        .map(|(name, marker)| {
            let accounts = fresh.remove(&name).unwrap_or_else(|| known(&name));
            (name, (marker, accounts))
        })
        .collect())
}

fn account_count(row: &SqliteRow) -> Result<AccountCount, Mishap> {
    Ok(AccountCount {
        active: natural(row.try_get(2)?)?,
        pending_removal: natural(row.try_get(3)?)?,
        orphaned: natural(row.try_get(4)?)?,
        removed: natural(row.try_get(5)?)?,
    })
}

async fn outbox(connection: &mut SqliteConnection) -> Result<OutboxCount, Mishap> {
    let waiting = number(connection, WAITING).await?;
    let delivered = number(connection, DELIVERED).await?;
    let all = number(connection, ALL).await?;
    let oldest = match sqlx::query(OLDEST).fetch_optional(connection).await? {
        Some(row) => Some(waits_since(row.try_get(0)?, row.try_get(1)?)?),
        None => None,
    };
    Ok(OutboxCount { waiting, given_up: all.saturating_sub(waiting).saturating_sub(delivered), oldest })
}

/// Returns since when a delivery waits: since what it tells of happened. The time of its next attempt is
/// that time only until the first one failed.
fn waits_since(body: &str, next_attempt: i64) -> Result<Timestamp, Mishap> {
    #[derive(Deserialize)]
    struct Event {
        time: Timestamp,
    }
    match serde_json::from_str::<Event>(body) {
        Ok(event) => Ok(event.time),
        Err(_) => moment(next_attempt),
    }
}

async fn number(connection: &mut SqliteConnection, question: &'static str) -> Result<u64, Mishap> {
    natural(sqlx::query(question).fetch_one(connection).await?.try_get(0)?)
}

fn natural(number: i64) -> Result<u64, Mishap> {
    u64::try_from(number).map_err(|_| strange("a count", &number.to_string()))
}
