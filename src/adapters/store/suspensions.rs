//! Customers that somebody suspended by command.

use std::collections::BTreeMap;

use crate::adapters::store::accounts::moment;
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection, Row};
use crate::model::register::{Suspension, SuspensionChange};
use crate::model::text::Text;

const READ: &str = "SELECT suspended_at, suspended_by, reason FROM suspensions WHERE customer = $1";
const ALL: &str = "SELECT suspended_at, suspended_by, reason, customer FROM suspensions";
const WRITE: &str = "
    INSERT INTO suspensions (customer, suspended_at, suspended_by, reason) VALUES ($1, $2, $3, $4)
    ON CONFLICT (customer) DO UPDATE SET
        suspended_at = excluded.suspended_at, suspended_by = excluded.suspended_by, reason = excluded.reason";
const LIFT: &str = "DELETE FROM suspensions WHERE customer = $1";

/// Returns who suspended a customer, if anybody did.
pub(super) async fn read(
    connection: &mut Connection<'_>,
    customer: &str,
) -> Result<Option<Suspension>, Mishap> {
    let Some(row) = sql::query(READ).bind(customer).fetch_optional(connection).await? else {
        return Ok(None);
    };
    Ok(Some(suspension(&row)?))
}

/// Returns all who are suspended.
pub(super) async fn all(connection: &mut Connection<'_>) -> Result<BTreeMap<Text, Suspension>, Mishap> {
    let rows = sql::query(ALL).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((Text::from(row.get::<&str>(3)?), suspension(row)?))).collect()
}

fn suspension(row: &Row) -> Result<Suspension, Mishap> {
    let by = Text::from(row.get::<&str>(1)?);
    Ok(Suspension { at: moment(row.get(0)?)?, by, reason: row.get(2)? })
}

/// Writes what a commit does to a suspension.
pub(super) async fn write(
    connection: &mut Connection<'_>,
    customer: &str,
    change: &SuspensionChange,
) -> Result<(), Mishap> {
    match change {
        SuspensionChange::None => return Ok(()),
        SuspensionChange::Suspend(Suspension { at, by, reason }) => {
            let query = sql::query(WRITE).bind(customer).bind(at.as_microsecond());
            query.bind(by.as_str()).bind(reason).execute(connection).await?
        }
        SuspensionChange::Lift => sql::query(LIFT).bind(customer).execute(connection).await?,
    };
    Ok(())
}
