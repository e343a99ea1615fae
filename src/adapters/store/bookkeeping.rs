//! Bookkeeping: how turns went, and what readings were measured by. Apart from the revision.

use crate::adapters::store::accounts::{moment, strange, time};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection, Row};
use crate::model::account::Source;
use crate::model::guid::Guid;
use crate::model::register::{CustomerStatus, Measures, Reports, Sighting};
use crate::model::text::Text;

/// The columns in the order in which [`read_status`] reads them.
macro_rules! statuses {
    ($which:literal) => {
        concat!(
            "SELECT customer, state, last_attempt, last_success, failures, next_attempt, tree_revision, message,
                in_scope_without_license, licensed_outside_scope
             FROM statuses",
            $which
        )
    };
}

const STATUSES: &str = statuses!("");
const STATUS: &str = statuses!(" WHERE customer = $1");
const WRITE_STATUS: &str = "
    INSERT INTO statuses (
        customer, state, last_attempt, last_success, failures, next_attempt, tree_revision, message,
        in_scope_without_license, licensed_outside_scope)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (customer) DO UPDATE SET
        state = excluded.state, last_attempt = excluded.last_attempt, last_success = excluded.last_success,
        failures = excluded.failures, next_attempt = excluded.next_attempt,
        tree_revision = excluded.tree_revision, message = excluded.message,
        in_scope_without_license = excluded.in_scope_without_license,
        licensed_outside_scope = excluded.licensed_outside_scope";

const MEASURES: &str = "SELECT source, name, ids FROM measures WHERE customer = $1";
const WRITE_MEASURE: &str = "
    INSERT INTO measures (customer, source, name, ids) VALUES ($1, $2, $3, $4)
    ON CONFLICT (customer, source, name) DO UPDATE SET ids = excluded.ids";

const SIGHTINGS: &str = "SELECT directory, server, seen_out FROM sightings WHERE customer = $1";
const WRITE_SIGHTING: &str = "
    INSERT INTO sightings (customer, directory, server, seen_out) VALUES ($1, $2, $3, $4)
    ON CONFLICT (customer, directory) DO UPDATE SET
        server = excluded.server, seen_out = excluded.seen_out";

/// Returns how each customer's last turn went, sorted by name.
pub(super) async fn statuses(connection: &mut Connection<'_>) -> Result<Vec<CustomerStatus>, Mishap> {
    let rows = sql::query(STATUSES).fetch_all(connection).await?;
    let mut statuses = rows.iter().map(read_status).collect::<Result<Vec<_>, Mishap>>()?;
    statuses.sort_unstable_by(|left, right| left.customer.cmp(&right.customer));
    Ok(statuses)
}

/// Returns how one customer's last turn went.
pub(super) async fn status(
    connection: &mut Connection<'_>,
    customer: &str,
) -> Result<Option<CustomerStatus>, Mishap> {
    let row = sql::query(STATUS).bind(customer).fetch_optional(connection).await?;
    row.as_ref().map(read_status).transpose()
}

fn read_status(row: &Row) -> Result<CustomerStatus, Mishap> {
    let failures: i64 = row.get(4)?;
    Ok(CustomerStatus {
        customer: Text::from(row.get::<&str>(0)?),
        state: Text::from(row.get::<&str>(1)?),
        last_attempt: moment(row.get(2)?)?,
        last_success: time(row, 3)?,
        failures: u32::try_from(failures)
            .map_err(|_| strange("a number of failures", &failures.to_string()))?,
        next_attempt: time(row, 5)?,
        tree_revision: Text::from(row.get::<&str>(6)?),
        message: row.get(7)?,
        reports: count(row, 8)?.zip(count(row, 9)?).map(|(within, outside)| Reports {
            in_scope_without_license: within,
            licensed_outside_scope: outside,
        }),
    })
}

fn count(row: &Row, column: usize) -> Result<Option<u64>, Mishap> {
    let stored: Option<i64> = row.get(column)?;
    stored
        .map(|number| u64::try_from(number).map_err(|_| strange("a count", &number.to_string())))
        .transpose()
}

fn as_stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Writes how a turn went, in place of the turn before.
pub(super) async fn write_status(
    connection: &mut Connection<'_>,
    status: &CustomerStatus,
) -> Result<(), Mishap> {
    sql::query(WRITE_STATUS)
        .bind(status.customer.as_str())
        .bind(status.state.as_str())
        .bind(status.last_attempt.as_microsecond())
        .bind(status.last_success.map(|at| at.as_microsecond()))
        .bind(i64::from(status.failures))
        .bind(status.next_attempt.map(|at| at.as_microsecond()))
        .bind(status.tree_revision.as_str())
        .bind(status.message.as_str())
        .bind(status.reports.map(|reports| as_stored(reports.in_scope_without_license)))
        .bind(status.reports.map(|reports| as_stored(reports.licensed_outside_scope)))
        .execute(connection)
        .await?;
    Ok(())
}

/// Returns what is remembered of a customer's last complete readings.
pub(super) async fn measures(connection: &mut Connection<'_>, customer: &str) -> Result<Measures, Mishap> {
    let mut measures = Measures::default();
    for row in &sql::query(MEASURES).bind(customer).fetch_all(connection).await? {
        let ids = read_ids(row.get(2)?)?;
        let source: &str = row.get(0)?;
        if source == Source::Tenant.code() {
            measures.tenant = Some(ids);
        } else {
            measures.directories.insert(Text::from(row.get::<&str>(1)?), ids);
        }
    }
    for row in &sql::query(SIGHTINGS).bind(customer).fetch_all(connection).await? {
        let server = Text::from(row.get::<&str>(1)?);
        let sighting = Sighting { server, out: read_ids(row.get(2)?)? };
        measures.sightings.insert(Text::from(row.get::<&str>(0)?), sighting);
    }
    Ok(measures)
}

/// Writes measures. A source that is not among them keeps the measure it had: its reading was not
/// complete this time, and forgetting what it held would let it shrink unseen.
pub(super) async fn write_measures(
    connection: &mut Connection<'_>,
    customer: &str,
    measures: &Measures,
) -> Result<(), Mishap> {
    let directories = measures.directories.iter().map(|(name, ids)| (Source::Directory, name.as_str(), ids));
    let tenant = measures.tenant.iter().map(|ids| (Source::Tenant, "", ids));
    for (source, name, ids) in directories.chain(tenant) {
        sql::query(WRITE_MEASURE)
            .bind(customer)
            .bind(source.code())
            .bind(name)
            .bind(octets(ids))
            .execute(connection)
            .await?;
    }
    for (directory, sighting) in &measures.sightings {
        sql::query(WRITE_SIGHTING)
            .bind(customer)
            .bind(directory.as_str())
            .bind(sighting.server.as_str())
            .bind(octets(&sighting.out))
            .execute(connection)
            .await?;
    }
    Ok(())
}

fn octets(ids: &[Guid]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.octets()).collect()
}

fn read_ids(octets: &[u8]) -> Result<Vec<Guid>, Mishap> {
    let (whole, rest) = octets.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(Mishap::Strange("a measure is cut off in the middle of an id".into()));
    }
    Ok(whole.iter().copied().map(Guid::from_octets).collect())
}
