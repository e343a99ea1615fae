//! What the store holds, counted in one question: nothing is read of an account but whose it is, and how it
//! stands.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::{Row as _, SqliteConnection};

use crate::adapters::store::accounts::{account_type, moment, strange, time};
use crate::adapters::store::connection::{Store, StoreReader};
use crate::adapters::store::fault::Mishap;
use crate::model::account::AccountType;
use crate::model::text::Text;
use crate::ports::census::{Census, Counts, LastTurn, OutboxCount};
use crate::ports::register::RegisterFault;

const CUSTOMERS: &str = "SELECT customer, state, last_success FROM statuses";
const ACCOUNTS: &str = "
    SELECT customer, account_type, state, COUNT(*) FROM accounts GROUP BY customer, account_type, state";

/// Counted by the indexes that the outbox works with. Those that were given up have none, and are what is
/// left of all.
const WAITING: &str = "SELECT COUNT(*) FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL";
const DELIVERED: &str = "SELECT COUNT(*) FROM outbox WHERE delivered_at IS NOT NULL";
const ALL: &str = "SELECT COUNT(*) FROM outbox";
const OLDEST: &str = "
    SELECT body, next_attempt FROM outbox
    WHERE id = (SELECT MIN(id) FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL)";

#[async_trait]
impl Census for StoreReader {
    async fn count(&self) -> Result<Counts, RegisterFault> {
        self.ask(Counts::default(), |connection| Box::pin(counts(connection))).await
    }
}

#[async_trait]
impl Census for Store {
    async fn count(&self) -> Result<Counts, RegisterFault> {
        self.reader().count().await
    }
}

async fn counts(connection: &mut SqliteConnection) -> Result<Counts, Mishap> {
    Ok(Counts {
        customers: customers(connection).await?,
        accounts: accounts(connection).await?,
        outbox: outbox(connection).await?,
    })
}

async fn customers(connection: &mut SqliteConnection) -> Result<BTreeMap<Text, LastTurn>, Mishap> {
    let mut customers = BTreeMap::new();
    for row in &sqlx::query(CUSTOMERS).fetch_all(connection).await? {
        let state = Text::from(row.try_get::<&str, _>(1)?);
        let turn = LastTurn { state, last_success: time(row, 2)? };
        customers.insert(Text::from(row.try_get::<&str, _>(0)?), turn);
    }
    Ok(customers)
}

async fn accounts(
    connection: &mut SqliteConnection,
) -> Result<BTreeMap<(Text, AccountType, Text), u64>, Mishap> {
    let mut accounts = BTreeMap::new();
    for row in &sqlx::query(ACCOUNTS).fetch_all(connection).await? {
        let customer = Text::from(row.try_get::<&str, _>(0)?);
        let key = (customer, account_type(row.try_get(1)?)?, Text::from(row.try_get::<&str, _>(2)?));
        accounts.insert(key, natural(row.try_get(3)?)?);
    }
    Ok(accounts)
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
