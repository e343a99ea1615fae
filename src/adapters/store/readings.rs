//! The last complete readings of customers, as they were packed. Apart from the revision.

use sqlx::{Row as _, SqliteConnection};

use crate::adapters::store::accounts::{moment, strange};
use crate::adapters::store::fault::Mishap;
use crate::model::digest::Digest;
use crate::model::register::PackedReadings;

const DIGEST: &str = "SELECT digest FROM readings WHERE customer = $1";
const READ: &str = "SELECT at, digest, content, read_from FROM readings WHERE customer = $1";
const WRITE: &str = "
    INSERT INTO readings (customer, at, digest, read_from, content) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (customer) DO UPDATE SET
        at = excluded.at, digest = excluded.digest, read_from = excluded.read_from,
        content = excluded.content";
const CONFIRM: &str = "
    UPDATE readings SET at = $2, read_from = $4 WHERE customer = $1 AND digest = $3";

/// Returns what a customer's stored readings hold, as a digest.
pub(super) async fn digest(
    connection: &mut SqliteConnection,
    customer: &str,
) -> Result<Option<Digest>, Mishap> {
    let row = sqlx::query(DIGEST).bind(customer).fetch_optional(connection).await?;
    row.map(|row| read_digest(row.try_get(0)?)).transpose()
}

/// Returns a customer's stored readings.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    customer: &str,
) -> Result<Option<PackedReadings>, Mishap> {
    let Some(row) = sqlx::query(READ).bind(customer).fetch_optional(connection).await? else {
        return Ok(None);
    };
    let content: Vec<u8> = row.try_get(2)?;
    let read_from: Option<&str> = row.try_get(3)?;
    let read_from = read_from
        .map(|text| serde_json::from_str(text).map_err(|_| strange("what readings were made of", text)))
        .transpose()?;
    Ok(Some(PackedReadings {
        at: moment(row.try_get(0)?)?,
        digest: read_digest(row.try_get(1)?)?,
        read_from,
        content: Some(content),
    }))
}

/// Writes readings in place of those before. Those that hold the same change only their time, and of what
/// they were made.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    customer: &str,
    readings: PackedReadings,
) -> Result<(), Mishap> {
    let PackedReadings { at, digest, read_from, content } = readings;
    let read_from = read_from
        .map(|from| serde_json::to_string(&from))
        .transpose()
        .map_err(|error| Mishap::Strange(format!("what readings were made of has no JSON form: {error}")))?;
    let query = sqlx::query(if content.is_some() { WRITE } else { CONFIRM });
    let query = query.bind(customer).bind(at.as_microsecond()).bind(digest.to_string()).bind(read_from);
    match content {
        Some(content) => query.bind(content).execute(connection).await?,
        None => query.execute(connection).await?,
    };
    Ok(())
}

fn read_digest(text: &str) -> Result<Digest, Mishap> {
    text.parse().map_err(|_| strange("the digest of readings", text))
}
