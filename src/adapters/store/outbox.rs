//! The outbox: deliveries that wait, were made, or were given up.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::adapters::store::accounts::strange;
use crate::adapters::store::connection::Store;
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection};
use crate::model::register::{Delivery, LateDelivery, NewDelivery};
use crate::model::text::Text;
use crate::ports::outbox::Outbox;
use crate::ports::register::RegisterFault;

/// How long a delivery that was made is remembered: within this time its key is not accepted again.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How much of an error's text is kept, in characters.
const ERROR_LENGTH: usize = 2000;

const WRITE: &str = "
    INSERT INTO outbox (customer, destination, key, body, attempts, next_attempt) VALUES ($1, $2, $3, $4, 0, $5)
    ON CONFLICT (destination, key) DO NOTHING";

/// One that was given up no longer stands in the way of those behind it.
const DUE: &str = "
    SELECT id, customer, destination, key, body, attempts FROM outbox
    WHERE next_attempt <= $1 AND id IN (
        SELECT MIN(id) FROM outbox
        WHERE delivered_at IS NULL AND given_up_at IS NULL
        GROUP BY destination, customer)
    ORDER BY id LIMIT $2";

const CLAIM: &str = "
    UPDATE outbox SET next_attempt = $3
    WHERE id = $1 AND next_attempt <= $2 AND delivered_at IS NULL AND given_up_at IS NULL";

const DELIVERED: &str = "
    UPDATE outbox SET delivered_at = COALESCE(delivered_at, $2), attempts = attempts + 1, last_error = NULL
    WHERE id = $1";

/// Some at a time, so that no single delivery has to wait for a month of them.
const PRUNE: &str = "
    DELETE FROM outbox WHERE id IN (
        SELECT id FROM outbox WHERE delivered_at IS NOT NULL AND delivered_at < $1
        ORDER BY delivered_at LIMIT 1000)";

const FAILED: &str = "
    UPDATE outbox SET
        attempts = attempts + 1, next_attempt = COALESCE($2, next_attempt), given_up_at = $3, last_error = $4
    WHERE id = $1 AND delivered_at IS NULL";

const LATE: &str = "
    SELECT customer, destination, key, attempts, CAST(CASE WHEN given_up_at IS NULL THEN 0 ELSE 1 END AS BIGINT), last_error
    FROM outbox
    WHERE delivered_at IS NULL AND last_error IS NOT NULL AND SUBSTR(destination, 1, LENGTH($1)) = $1
    ORDER BY id";

const KNOWN: &str = "SELECT 1 FROM outbox WHERE id = $1";

/// Writes a commit's deliveries; one whose key its destination has already is the same delivery.
pub(super) async fn write(
    connection: &mut Connection<'_>,
    customer: &str,
    deliveries: &[NewDelivery],
    at: Timestamp,
) -> Result<(), Mishap> {
    for delivery in deliveries {
        sql::query(WRITE)
            .bind(customer)
            .bind(delivery.destination.as_str())
            .bind(delivery.key.as_str())
            .bind(delivery.body.to_string())
            .bind(at.as_microsecond())
            .execute(connection)
            .await?;
    }
    Ok(())
}

#[async_trait]
impl Outbox for Store {
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<Delivery>, RegisterFault> {
        self.reader().ask(Vec::new(), move |connection| Box::pin(due(connection, now, limit))).await
    }

    async fn claim(&self, id: i64, now: Timestamp, until: Timestamp) -> Result<bool, RegisterFault> {
        self.write(move |connection| {
            Box::pin(async move {
                let query = sql::query(CLAIM).bind(id).bind(now.as_microsecond());
                Ok(query.bind(until.as_microsecond()).execute(connection).await? == 1)
            })
        })
        .await
    }

    /// Besides records the delivery: forgets deliveries that were made 30 days before it.
    async fn delivered(&self, id: i64, at: Timestamp) -> Result<(), RegisterFault> {
        self.write(move |connection| Box::pin(delivered(connection, id, at))).await
    }

    async fn failed(
        &self,
        id: i64,
        next_attempt: Option<Timestamp>,
        error: &str,
    ) -> Result<(), RegisterFault> {
        let error: String = error.chars().take(ERROR_LENGTH).collect();
        self.write(move |connection| Box::pin(failed(connection, id, next_attempt, error))).await
    }
}

async fn due(connection: &mut Connection<'_>, now: Timestamp, limit: u32) -> Result<Vec<Delivery>, Mishap> {
    let rows =
        sql::query(DUE).bind(now.as_microsecond()).bind(i64::from(limit)).fetch_all(connection).await?;
    let mut deliveries = Vec::with_capacity(rows.len());
    for row in &rows {
        let body: &str = row.get(4)?;
        deliveries.push(Delivery {
            id: row.get(0)?,
            customer: Text::from(row.get::<&str>(1)?),
            destination: Text::from(row.get::<&str>(2)?),
            key: Text::from(row.get::<&str>(3)?),
            body: serde_json::from_str(body).map_err(|_| strange("a delivery's body", body))?,
            attempts: attempts(row.get(5)?)?,
        });
    }
    Ok(deliveries)
}

/// Returns deliveries that failed and were not made since, whose destination begins with `prefix`.
pub(super) async fn late(connection: &mut Connection<'_>, prefix: &str) -> Result<Vec<LateDelivery>, Mishap> {
    let rows = sql::query(LATE).bind(prefix).fetch_all(connection).await?;
    let mut late = Vec::with_capacity(rows.len());
    for row in &rows {
        late.push(LateDelivery {
            customer: Text::from(row.get::<&str>(0)?),
            destination: Text::from(row.get::<&str>(1)?),
            key: Text::from(row.get::<&str>(2)?),
            attempts: attempts(row.get(3)?)?,
            is_given_up: row.get::<i64>(4)? != 0,
            error: row.get(5)?,
        });
    }
    Ok(late)
}

fn attempts(written: i64) -> Result<u32, Mishap> {
    u32::try_from(written).map_err(|_| strange("a number of attempts", &written.to_string()))
}

async fn delivered(connection: &mut Connection<'_>, id: i64, at: Timestamp) -> Result<(), Mishap> {
    let rows = sql::query(DELIVERED).bind(id).bind(at.as_microsecond()).execute(connection).await?;
    if rows == 0 {
        return Err(unknown(id));
    }
    let before = at.as_microsecond().saturating_sub(microseconds(KEPT));
    sql::query(PRUNE).bind(before).execute(connection).await?;
    Ok(())
}

async fn failed(
    connection: &mut Connection<'_>,
    id: i64,
    next_attempt: Option<Timestamp>,
    error: String,
) -> Result<(), Mishap> {
    let given_up_at = next_attempt.is_none().then(|| Timestamp::now().as_microsecond());
    let rows = sql::query(FAILED)
        .bind(id)
        .bind(next_attempt.map(|at| at.as_microsecond()))
        .bind(given_up_at)
        .bind(error)
        .execute(connection)
        .await?;
    // A failure that is told after the success of another attempt changes nothing.
    if rows == 0 && sql::query(KNOWN).bind(id).fetch_optional(connection).await?.is_none() {
        return Err(unknown(id));
    }
    Ok(())
}

fn unknown(id: i64) -> Mishap {
    Mishap::Strange(format!("the outbox holds no delivery {id}"))
}

fn microseconds(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
