//! What the next readings of tenants go on from. Apart from the revision.

use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection};
use crate::model::tenant::SyncState;

const READ: &str = "SELECT generation, position, content FROM sync_states WHERE customer = $1";
const WRITE: &str = "
    INSERT INTO sync_states (customer, generation, position, content) VALUES ($1, $2 + 1, $3, $4)
    ON CONFLICT (customer) DO UPDATE SET
        generation = excluded.generation, position = excluded.position, content = excluded.content
    WHERE sync_states.generation = $2";
const MOVE: &str = "
    UPDATE sync_states SET generation = generation + 1, position = $3
    WHERE customer = $1 AND generation = $2";

/// Returns a customer's state.
pub(super) async fn read(
    connection: &mut Connection<'_>,
    customer: &str,
) -> Result<Option<SyncState>, Mishap> {
    let Some(row) = sql::query(READ).bind(customer).fetch_optional(connection).await? else {
        return Ok(None);
    };
    let generation: i64 = row.get(0)?;
    let generation = u64::try_from(generation)
        .map_err(|_| Mishap::Strange(format!("a state was kept {generation} times")))?;
    Ok(Some(SyncState { generation, position: row.get(1)?, content: Some(row.get(2)?) }))
}

/// Writes a state in place of the one that it goes on from.
pub(super) async fn write(
    connection: &mut Connection<'_>,
    customer: &str,
    state: SyncState,
) -> Result<(), Mishap> {
    let SyncState { generation, position, content } = state;
    let generation = i64::try_from(generation).unwrap_or(i64::MAX);
    let query = sql::query(if content.is_some() { WRITE } else { MOVE });
    let query = query.bind(customer).bind(generation).bind(position);
    match content {
        Some(content) => query.bind(content).execute(connection).await?,
        None => query.execute(connection).await?,
    };
    Ok(())
}
