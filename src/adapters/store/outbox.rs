//! The outbox: deliveries that wait, were made, or were given up.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::adapters::store::accounts::strange;
use crate::adapters::store::connection::Store;
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection, Insert, LazyInsert};
use crate::model::register::{Attempted, Delivery, LANE, LateDelivery, NewDelivery, Outcome, address_of};
use crate::model::text::Text;
use crate::ports::outbox::Outbox;
use crate::ports::register::RegisterFault;

/// How long a delivery that was made is remembered: within this time its key is not accepted again.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How much of an error's text is kept, in characters.
const ERROR_LENGTH: usize = 2000;

static WRITE: LazyInsert = LazyInsert::new(|| {
    Insert::new(
        "outbox (customer, destination, key, body, attempts, next_attempt)",
        "ON CONFLICT (destination, key) DO NOTHING",
    )
});

/// Of so many that wait for a destination the oldest are found by sorting them.
const FEW: i64 = 1_000;

/// What follows on the sign of a lane: whatever stands behind it stands behind all lanes of an address.
const BEHIND_LANES: char = '$';
const _: () = assert!(BEHIND_LANES as u32 == LANE as u32 + 1);

/// The first destination, in the order of their names, that something waits for: from one on, or after it.
macro_rules! next {
    ($which:literal) => {
        concat!(
            "SELECT destination FROM outbox
             WHERE destination ",
            $which,
            " $1 AND delivered_at IS NULL AND given_up_at IS NULL
             ORDER BY destination LIMIT 1"
        )
    };
}
const FROM: &str = next!(">=");
const AFTER: &str = next!(">");

/// In an order, so that PostgreSQL does not look for the first so many in the whole table.
const COUNT: &str = "
    SELECT COUNT(*) FROM (
        SELECT 1 FROM outbox
        WHERE destination >= $1 AND destination < $2 AND delivered_at IS NULL AND given_up_at IS NULL
        ORDER BY destination, customer, id LIMIT $3) AS counted";

/// Those of one address, and of its lanes. Looks for each that is due by `outbox_waiting` whether another one is before
/// it. One that was given up stands in nobody's way.
macro_rules! due {
    ($which:literal, $order:literal) => {
        concat!(
            "SELECT id, customer, destination, key, body, attempts FROM outbox
             WHERE delivered_at IS NULL AND given_up_at IS NULL AND next_attempt <= $1
                AND (destination || '' = $2 OR (destination || '' > $3 AND destination || '' < $4))",
            $which,
            " AND NOT EXISTS (
                SELECT 1 FROM outbox AS before
                WHERE before.destination = outbox.destination AND before.customer = outbox.customer
                    AND before.id < outbox.id AND before.delivered_at IS NULL AND before.given_up_at IS NULL)
             ORDER BY ",
            $order,
            " LIMIT $5"
        )
    };
}

/// Goes over those that wait by the index `outbox_due`, from the oldest on. That ends where `limit` are found, which is
/// soon where many wait, unless most of them are put off or stand behind others.
const DUE_OF_MANY: &str = due!("", "id");

/// Goes over those that wait for this address alone, by `outbox_waiting`: however many wait for another one. What is
/// computed of a column is looked up in no index.
const DUE_OF_FEW: &str = due!(" AND destination >= $2 AND destination < $4", "id + 0");

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
    let mut rows = WRITE.rows();
    for delivery in deliveries {
        let values = [
            customer.into(),
            delivery.destination.as_str().into(),
            delivery.key.as_str().into(),
            delivery.body.to_string().into(),
            0.into(),
            at.as_microsecond().into(),
        ];
        rows.push(values, connection).await?;
    }
    Ok(rows.end(connection).await?)
}

#[async_trait]
impl Outbox for Store {
    async fn addresses(&self) -> Result<Vec<Text>, RegisterFault> {
        self.reader().ask(Vec::new(), |connection| Box::pin(addresses(connection))).await
    }

    async fn due_at(
        &self,
        address: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Delivery>, RegisterFault> {
        let address = address.to_owned();
        self.reader()
            .ask(Vec::new(), move |connection| {
                Box::pin(async move { due_at(connection, &address, now, limit).await })
            })
            .await
    }

    async fn claim(
        &self,
        ids: &[i64],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<BTreeSet<i64>, RegisterFault> {
        let mut ids = ids.to_vec();
        // In one order for everybody: of two who take the same ones, one waits for the other, and not both.
        ids.sort_unstable();
        self.write(move |connection| Box::pin(claim(connection, ids, now, until))).await
    }

    /// Forgets besides what arrived 30 days before.
    async fn settle(&self, attempts: &[Attempted], at: Timestamp) -> Result<(), RegisterFault> {
        let mut attempts = attempts.to_vec();
        attempts.sort_unstable_by_key(|attempted| attempted.id);
        self.write(move |connection| Box::pin(settle(connection, attempts, at))).await
    }
}

/// Goes from one to the next by the index, and over none of the deliveries between them.
async fn addresses(connection: &mut Connection<'_>) -> Result<Vec<Text>, Mishap> {
    // One may come twice: by itself, and by its lanes.
    let mut addresses: BTreeSet<Text> = BTreeSet::new();
    let mut next = (FROM, String::new());
    while let Some(row) = sql::query(next.0).bind(next.1.as_str()).fetch_optional(connection).await? {
        let destination: &str = row.get(0)?;
        let address = address_of(destination);
        next = match address == destination {
            true => (AFTER, address.to_owned()),
            false => (FROM, behind(address)),
        };
        addresses.insert(Text::from(address));
    }
    Ok(addresses.into_iter().collect())
}

/// Returns what stands behind all lanes of an address.
fn behind(address: &str) -> String {
    format!("{address}{BEHIND_LANES}")
}

async fn due_at(
    connection: &mut Connection<'_>,
    address: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Delivery>, Mishap> {
    let (lanes, end) = (format!("{address}{LANE}"), behind(address));
    let count = sql::query(COUNT).bind(address).bind(end.as_str()).bind(FEW);
    let waiting: i64 = count.fetch_one(connection).await?.get(0)?;
    let rows = sql::query(if waiting < FEW { DUE_OF_FEW } else { DUE_OF_MANY })
        .bind(now.as_microsecond())
        .bind(address)
        .bind(lanes.as_str())
        .bind(end.as_str())
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
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

async fn claim(
    connection: &mut Connection<'_>,
    ids: Vec<i64>,
    now: Timestamp,
    until: Timestamp,
) -> Result<BTreeSet<i64>, Mishap> {
    let mut claimed = BTreeSet::new();
    for id in ids {
        let query = sql::query(CLAIM).bind(id).bind(now.as_microsecond()).bind(until.as_microsecond());
        if query.execute(connection).await? == 1 {
            claimed.insert(id);
        }
    }
    Ok(claimed)
}

async fn settle(
    connection: &mut Connection<'_>,
    attempts: Vec<Attempted>,
    at: Timestamp,
) -> Result<(), Mishap> {
    let mut has_arrived = false;
    for Attempted { id, outcome } in attempts {
        match outcome {
            Outcome::Arrived => {
                has_arrived = true;
                let query = sql::query(DELIVERED).bind(id).bind(at.as_microsecond());
                if query.execute(connection).await? == 0 {
                    return Err(unknown(id));
                }
            }
            Outcome::Failed { error, again_at } => failed(connection, id, again_at, &error, at).await?,
        }
    }
    if has_arrived {
        let before = at.as_microsecond().saturating_sub(microseconds(KEPT));
        sql::query(PRUNE).bind(before).execute(connection).await?;
    }
    Ok(())
}

async fn failed(
    connection: &mut Connection<'_>,
    id: i64,
    again_at: Option<Timestamp>,
    error: &str,
    at: Timestamp,
) -> Result<(), Mishap> {
    let error: String = error.chars().take(ERROR_LENGTH).collect();
    let rows = sql::query(FAILED)
        .bind(id)
        .bind(again_at.map(|at| at.as_microsecond()))
        .bind(again_at.is_none().then(|| at.as_microsecond()))
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
