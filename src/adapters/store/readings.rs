//! The last complete readings of customers, as they were packed. Apart from the revision.

use crate::adapters::store::accounts::{moment, strange};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection};
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
    connection: &mut Connection<'_>,
    customer: &str,
) -> Result<Option<Digest>, Mishap> {
    let row = sql::query(DIGEST).bind(customer).fetch_optional(connection).await?;
    row.map(|row| read_digest(row.get(0)?)).transpose()
}

/// Returns a customer's stored readings.
pub(super) async fn read(
    connection: &mut Connection<'_>,
    customer: &str,
) -> Result<Option<PackedReadings>, Mishap> {
    let Some(row) = sql::query(READ).bind(customer).fetch_optional(connection).await? else {
        return Ok(None);
    };
    let content: Vec<u8> = row.get(2)?;
    let read_from: Option<&str> = row.get(3)?;
    let read_from = read_from
        .map(|text| serde_json::from_str(text).map_err(|_| strange("what readings were made of", text)))
        .transpose()?;
    Ok(Some(PackedReadings {
        at: moment(row.get(0)?)?,
        digest: read_digest(row.get(1)?)?,
        read_from,
        content: Some(content),
    }))
}

/// Writes readings in place of those before. Those that hold the same change only their time, and of what
/// they were made.
pub(super) async fn write(
    connection: &mut Connection<'_>,
    customer: &str,
    readings: PackedReadings,
) -> Result<(), Mishap> {
    let PackedReadings { at, digest, read_from, content } = readings;
    let read_from = read_from
        .map(|from| serde_json::to_string(&from))
        .transpose()
        .map_err(|error| Mishap::Strange(format!("what readings were made of has no JSON form: {error}")))?;
    let query = sql::query(if content.is_some() { WRITE } else { CONFIRM });
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
