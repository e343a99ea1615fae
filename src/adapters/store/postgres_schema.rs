//! The schema in PostgreSQL: whose tables these are, of which version, and the steps that bring them up to date.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection, Row as _};

use crate::adapters::store::connection::Standing;
use crate::adapters::store::fault::{Mishap, UNDEFINED_TABLE, state_of};

/// The steps in their order; the version of a schema is how many of them were taken. A step that was released is
/// never changed. Each sets the version itself.
const STEPS: [&str; 4] = [
    include_str!("../../../migrations/postgres/0001_register.sql"),
    include_str!("../../../migrations/postgres/0002_leases.sql"),
    include_str!("../../../migrations/postgres/0003_publications.sql"),
    include_str!("../../../migrations/postgres/0004_found_by_index.sql"),
];

/// Taken alone by who migrates, after everybody who writes is done. The number is that of [`WRITE`]. A step may take
/// longer than any statement later: an index over a large record. Waiting for others stays bounded, and what they did
/// meanwhile is seen.
///
/// [`WRITE`]: crate::adapters::store::postgres
const MIGRATE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 0; \
                       SELECT pg_advisory_xact_lock(1229870155)";

/// How often the mark is looked at anew that was seen and is not found, and how long after each time.
const LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

const VERSION: &str = "SELECT version FROM intake_schema";

/// How much there is in the schema in which tables would be made, and whether the mark of Intake is among it: from one
/// state, so that tables that are made meanwhile are not taken for somebody else's.
const TABLES: &str = "
    SELECT COUNT(*), COUNT(*) FILTER (WHERE relname = 'intake_schema') FROM pg_catalog.pg_class
    WHERE relnamespace = to_regnamespace(current_schema()::text) AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')";

const IS_THERE: &str = "SELECT CASE WHEN to_regclass('intake_schema') IS NULL THEN 0 ELSE 1 END::bigint";
const SCHEMA: &str = "SELECT current_schema()::text";

/// Returns of which version the tables are, within a transaction; `None` if it sees no mark of Intake, after which the
/// transaction can do nothing more. A transaction that began while the mark was made may see its table without its row.
///
/// # Errors
/// [`Mishap::Newer`] for a later schema.
pub(super) async fn version(connection: &mut PgConnection) -> Result<Option<Standing>, Mishap> {
    let row = match sqlx::query(VERSION).fetch_optional(connection).await {
        Ok(Some(row)) => row,
        Ok(None) => return Ok(None),
        Err(error) if state_of(&error).as_deref() == Some(UNDEFINED_TABLE) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let version: i64 = row.try_get(0)?;
    match usize::try_from(version) {
        Ok(version) if version == STEPS.len() => Ok(Some(Standing::Current)),
        Ok(version) if version < STEPS.len() => Ok(Some(Standing::Older(version))),
        Ok(_) => Err(Mishap::Newer),
        Err(_) => Err(Mishap::Strange(format!("its schema has the version {version}"))),
    }
}

/// Finds out what a database is, without changing it.
///
/// # Errors
/// [`Mishap::Foreign`] if there are tables of somebody else, [`Mishap::Newer`] for a later schema.
pub(super) async fn look(connection: &mut PgConnection) -> Result<Standing, Mishap> {
    let is_there: i64 = sqlx::query(IS_THERE).fetch_one(&mut *connection).await?.try_get(0)?;
    if is_there != 0 {
        return marked(connection).await;
    }
    let schema: Option<String> = sqlx::query(SCHEMA).fetch_one(&mut *connection).await?.try_get(0)?;
    if schema.is_none() {
        return Err(Mishap::Foreign("the schema that its search path names does not exist; make it first"));
    }
    let row = sqlx::query(TABLES).fetch_one(&mut *connection).await?;
    let (tables, marks): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    match (tables, marks) {
        (0, _) => Ok(Standing::Blank),
        (_, 0) => Err(Mishap::Foreign(
            "it holds tables of another program; name an empty database, or an empty schema",
        )),
        _ => marked(connection).await,
    }
}

/// Returns of which version the tables are where the mark of Intake was seen. What was just committed is seen a moment
/// before each connection of the server learns that there is a table of that name.
async fn marked(connection: &mut PgConnection) -> Result<Standing, Mishap> {
    for _ in 0..LOOKS {
        if let Some(standing) = version(connection).await? {
            return Ok(standing);
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Err(Mishap::Strange("its mark of Intake is empty".into()))
}

/// Brings a database up to date, in one transaction, alone: of several replicas that start at once, one migrates and
/// the others find it done. Also finds out that a database cannot be written, before anybody plans on it.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), Mishap> {
    let mut transaction = connection.begin_with(MIGRATE).await?;
    let taken = match look(&mut transaction).await? {
        Standing::Current => {
            // Begins to write, and writes nothing.
            sqlx::query("DELETE FROM statuses WHERE 1 = 0").execute(&mut *transaction).await?;
            transaction.rollback().await?;
            return Ok(());
        }
        Standing::Blank => 0,
        Standing::Older(taken) => taken,
    };
    for step in STEPS.into_iter().skip(taken) {
        sqlx::raw_sql(step).execute(&mut *transaction).await?;
    }
    if version(&mut transaction).await? != Some(Standing::Current) {
        return Err(Mishap::Strange("a migration did not set the schema's version".into()));
    }
    transaction.commit().await?;
    Ok(())
}
