//! Which policy tree is in force. Bookkeeping: apart from every customer.

use jiff::Timestamp;

use crate::adapters::store::accounts::{moment, strange, time};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection};
use crate::model::text::Text;
use crate::model::tree_status::{TreeCommit, TreeStatus};

const READ: &str = "
    SELECT source, revision, authored, author, since, looked_at, problems, fault, fault_since FROM tree";
const WRITE: &str = "
    INSERT INTO tree (one, source, revision, authored, author, since, looked_at, problems, fault, fault_since)
    VALUES (1, $1, $2, $3, $4, $5, $5, $6, $7, CASE WHEN $7 IS NULL THEN NULL ELSE $5 END)
    ON CONFLICT (one) DO UPDATE SET
        since = CASE WHEN tree.source = excluded.source AND tree.revision = excluded.revision
            THEN tree.since ELSE excluded.since END,
        fault_since = CASE WHEN excluded.fault IS NOT NULL AND tree.fault IS NOT NULL
            THEN tree.fault_since ELSE excluded.fault_since END,
        source = excluded.source, revision = excluded.revision, authored = excluded.authored,
        author = excluded.author, looked_at = excluded.looked_at, problems = excluded.problems,
        fault = excluded.fault";
const FAIL: &str = "
    UPDATE tree SET looked_at = $1, fault_since = CASE WHEN fault IS NULL THEN $1 ELSE fault_since END,
        fault = $2";

/// Returns which tree is in force, if a controller ever said.
pub(super) async fn read(connection: &mut Connection<'_>) -> Result<Option<TreeStatus>, Mishap> {
    let Some(row) = sql::query(READ).fetch_optional(connection).await? else { return Ok(None) };
    let text = |column| row.get::<Option<&str>>(column).map(|text| text.map(Text::from));
    let problems: i64 = row.get(6)?;
    Ok(Some(TreeStatus {
        source: Text::from(row.get::<&str>(0)?),
        revision: Text::from(row.get::<&str>(1)?),
        commit: text(2)?.zip(text(3)?).map(|(authored, author)| TreeCommit { authored, author }),
        since: moment(row.get(4)?)?,
        looked_at: moment(row.get(5)?)?,
        problems: u64::try_from(problems).map_err(|_| strange("a count", &problems.to_string()))?,
        fault: row.get::<Option<String>>(7)?.zip(time(&row, 8)?),
    }))
}

/// Writes which tree is in force. When it came, and since when a fault lasts, is kept from before.
pub(super) async fn write(connection: &mut Connection<'_>, status: &TreeStatus) -> Result<(), Mishap> {
    sql::query(WRITE)
        .bind(status.source.as_str())
        .bind(status.revision.as_str())
        .bind(status.commit.as_ref().map(|commit| commit.authored.as_str()))
        .bind(status.commit.as_ref().map(|commit| commit.author.as_str()))
        .bind(status.looked_at.as_microsecond())
        .bind(i64::try_from(status.problems).unwrap_or(i64::MAX))
        .bind(status.fault.as_ref().map(|(fault, _)| fault.as_str()))
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes that the source of the tree that is in force could not be read.
pub(super) async fn fail(connection: &mut Connection<'_>, fault: &str, at: Timestamp) -> Result<(), Mishap> {
    sql::query(FAIL).bind(at.as_microsecond()).bind(fault).execute(connection).await?;
    Ok(())
}
