//! The schema in SQLite: whose file this is, of which version, and the steps that bring it up to date.

use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::adapters::store::accounts;
use crate::adapters::store::connection::Standing;
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql;

/// "INTK", in the header of every store: another program's database is never touched.
const APPLICATION: i64 = 0x494e_544b;

/// The steps in their order; the version of a schema is how many of them were taken. A step that
/// was released is never changed. Each sets `user_version` and `application_id` itself, so that
/// they change in the same transaction as the tables.
const STEPS: [&str; 17] = [
    include_str!("../../../migrations/sqlite/0001_register.sql"),
    include_str!("../../../migrations/sqlite/0002_sightings.sql"),
    include_str!("../../../migrations/sqlite/0003_events_by_time.sql"),
    include_str!("../../../migrations/sqlite/0004_reports.sql"),
    include_str!("../../../migrations/sqlite/0005_readings.sql"),
    include_str!("../../../migrations/sqlite/0006_event_readings.sql"),
    include_str!("../../../migrations/sqlite/0007_sync_states.sql"),
    include_str!("../../../migrations/sqlite/0008_outbox_without_customers.sql"),
    include_str!("../../../migrations/sqlite/0009_tree.sql"),
    include_str!("../../../migrations/sqlite/0010_read_from_and_suspensions.sql"),
    include_str!("../../../migrations/sqlite/0011_contacts.sql"),
    include_str!("../../../migrations/sqlite/0012_unfollowed_choices.sql"),
    include_str!("../../../migrations/sqlite/0013_contacts_by_status.sql"),
    include_str!("../../../migrations/sqlite/0014_names.sql"),
    include_str!("../../../migrations/sqlite/0015_browsing.sql"),
    include_str!("../../../migrations/sqlite/0016_publications.sql"),
    include_str!("../../../migrations/sqlite/0017_found_by_index.sql"),
];

/// The version from which on accounts have names for lists and for a search.
const NAMED: usize = 14;

/// Finds out what the database of a fresh connection is, without changing it.
///
/// # Errors
/// As [`examine`].
pub(super) async fn look(connection: &mut SqliteConnection) -> Result<Standing, Mishap> {
    let mut transaction = connection.begin().await?;
    let standing = examine(&mut transaction).await?;
    transaction.rollback().await?;
    Ok(standing)
}

/// Finds out what a database is, within a transaction: while another process migrates, the mark of
/// the moment before and the tables of the moment after would look like another program's database.
///
/// # Errors
/// [`Mishap::Foreign`] for another program's database, [`Mishap::Newer`] for a later schema.
pub(super) async fn examine(connection: &mut SqliteConnection) -> Result<Standing, Mishap> {
    let application: i64 =
        sqlx::query("PRAGMA application_id").fetch_one(&mut *connection).await?.try_get(0)?;
    let version: i64 = sqlx::query("PRAGMA user_version").fetch_one(&mut *connection).await?.try_get(0)?;
    if application == APPLICATION {
        return match usize::try_from(version) {
            Ok(version) if version == STEPS.len() => Ok(Standing::Current),
            Ok(version) if version < STEPS.len() => Ok(Standing::Older(version)),
            Ok(_) => Err(Mishap::Newer),
            Err(_) => Err(Mishap::Strange(format!("its schema has the version {version}"))),
        };
    }
    let tables: i64 =
        sqlx::query("SELECT COUNT(*) FROM sqlite_master").fetch_one(&mut *connection).await?.try_get(0)?;
    if application == 0 && version == 0 && tables == 0 {
        return Ok(Standing::Blank);
    }
    Err(Mishap::Foreign("it is a database of another program"))
}

/// Brings a database up to date, in one transaction, after taking the lock that only one writer
/// holds: of two processes that start at once, one migrates and the other finds it done. Also
/// finds out that a database cannot be written, before anybody plans on it.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), Mishap> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let taken = match examine(&mut transaction).await? {
        Standing::Current => {
            // Begins to write, and writes nothing: a database that is read-only has no write lock
            // that could be refused.
            sqlx::query("DELETE FROM statuses WHERE 1 = 0").execute(&mut *transaction).await?;
            transaction.rollback().await?;
            return Ok(());
        }
        Standing::Blank => 0,
        Standing::Older(taken) => taken,
    };
    for (number, step) in (1..).zip(STEPS).skip(taken) {
        sqlx::raw_sql(step).execute(&mut *transaction).await?;
        // Before there is an index of them, which would have to follow each.
        if number == NAMED {
            accounts::write_names(&mut sql::Connection::Sqlite(&mut transaction)).await?;
        }
    }
    if examine(&mut transaction).await? != Standing::Current {
        return Err(Mishap::Strange("a migration did not set the schema's version".into()));
    }
    transaction.commit().await?;
    Ok(())
}
