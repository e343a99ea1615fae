//! The last complete readings of customers, as they were packed. Apart from the revision.

use sqlx::{Row as _, SqliteConnection};

use crate::adapters::store::accounts::{moment, strange};
use crate::adapters::store::fault::Mishap;
use crate::model::digest::Digest;
use crate::model::register::PackedReadings;

const DIGEST: &str = "SELECT digest FROM readings WHERE customer = $1";
const READ: &str = "SELECT at, digest, content FROM readings WHERE customer = $1";
const WRITE: &str = "
    INSERT INTO readings (customer, at, digest, content) VALUES ($1, $2, $3, $4)
    ON CONFLICT (customer) DO UPDATE SET
        at = excluded.at, digest = excluded.digest, content = excluded.content";
const CONFIRM: &str = "UPDATE readings SET at = $2 WHERE customer = $1 AND digest = $3";

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
    Ok(Some(PackedReadings {
        at: moment(row.try_get(0)?)?,
        digest: read_digest(row.try_get(1)?)?,
        content: Some(content),
    }))
}

/// Writes readings in place of those before. Those that hold the same change only their time.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    customer: &str,
    readings: PackedReadings,
) -> Result<(), Mishap> {
    let PackedReadings { at, digest, content } = readings;
    match content {
        Some(content) => {
            let query = sqlx::query(WRITE).bind(customer).bind(at.as_microsecond());
            query.bind(digest.to_string()).bind(content).execute(connection).await?
        }
        None => {
            let query = sqlx::query(CONFIRM).bind(customer).bind(at.as_microsecond());
            query.bind(digest.to_string()).execute(connection).await?
        }
    };
    Ok(())
}

fn read_digest(text: &str) -> Result<Digest, Mishap> {
    text.parse().map_err(|_| strange("the digest of readings", text))
}
