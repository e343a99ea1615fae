//! Contacts of accounts in documentation systems, and how looking for them went.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::adapters::store::accounts::{moment, strange, time};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection, Row, Statement, either};
use crate::adapters::store::{accounts, customers};
use crate::model::account::AccountKey;
use crate::model::contact_match::{
    ContactChanges, ContactMatch, DocumentationStatus, MatchKey, MatchStatus, UnfollowedChoice,
};
use crate::model::text::Text;

const WRITE: &str = "
    INSERT INTO contact_matches (
        customer, connection, account_type, source, id, status, contact, matched_by, cause, candidates,
        candidate_count, since, asked_at, organization, unfollowed)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    ON CONFLICT (customer, connection, account_type, source, id) DO UPDATE SET
        status = excluded.status, contact = excluded.contact, matched_by = excluded.matched_by,
        cause = excluded.cause, candidates = excluded.candidates, candidate_count = excluded.candidate_count,
        since = excluded.since, asked_at = excluded.asked_at, organization = excluded.organization,
        unfollowed = excluded.unfollowed";
const FORGET: &str = "
    DELETE FROM contact_matches
    WHERE customer = $1 AND connection = $2 AND account_type = $3 AND source = $4 AND id = $5";
const FORGET_REMOVED: &str = "
    DELETE FROM contact_matches WHERE customer = $1 AND EXISTS (
        SELECT 1 FROM accounts
        WHERE accounts.customer = contact_matches.customer
            AND accounts.account_type = contact_matches.account_type
            AND accounts.source = contact_matches.source AND accounts.id = contact_matches.id
            AND accounts.state = 'removed' AND accounts.since < $2)";

/// The columns in the order in which [`contact_match`] reads them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT customer, connection, account_type, source, id, status, contact, matched_by, cause,
                    candidates, candidate_count, since, asked_at, organization, unfollowed
             FROM contact_matches ",
            $rest
        )
    };
}

const OF_CUSTOMER: &str = select!("WHERE customer = $1");
const OF_ALL: &str = select!("");
/// SQLite is told which index, as it would go over all rows of the customer, candidates included.
const UNFOLLOWED: Statement = either(
    select!("INDEXED BY contact_matches_unfollowed WHERE customer = $1 AND unfollowed <> '[]'"),
    select!("WHERE customer = $1 AND unfollowed <> '[]'"),
);
const OF_ACCOUNT: &str =
    select!("WHERE customer = $1 AND connection = $2 AND account_type = $3 AND source = $4 AND id = $5");

const CONNECTIONS: &str = "SELECT connection FROM documentation_statuses WHERE customer = $1";
const STATUSES: &str = "
    SELECT customer, connection, last_attempt, last_success, fault, saw_organization, organization
    FROM documentation_statuses";
const WRITE_STATUS: &str = "
    INSERT INTO documentation_statuses (
        customer, connection, last_attempt, last_success, fault, saw_organization, organization)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (customer, connection) DO UPDATE SET
        last_attempt = excluded.last_attempt, last_success = excluded.last_success, fault = excluded.fault,
        saw_organization = excluded.saw_organization, organization = excluded.organization";
const FORGET_STATUS: &str = "
    DELETE FROM documentation_statuses WHERE customer = $1 AND connection = $2 AND NOT EXISTS (
        SELECT 1 FROM contact_matches WHERE customer = $1 AND connection = $2)";

/// Writes what a commit does to contacts.
pub(super) async fn write(
    connection: &mut Connection<'_>,
    customer: &str,
    changes: &ContactChanges,
) -> Result<(), Mishap> {
    for found in &changes.written {
        let candidates = serde_json::to_string(&found.candidates)
            .map_err(|error| Mishap::Strange(format!("candidates have no JSON form: {error}")))?;
        let unfollowed = serde_json::to_string(&found.unfollowed)
            .map_err(|error| Mishap::Strange(format!("choices have no JSON form: {error}")))?;
        sql::query(WRITE)
            .bind(customer)
            .bind(found.connection.as_str())
            .bind_all(accounts::key_values(&found.account))
            .bind(found.status.code())
            .bind(found.contact.as_deref())
            .bind(found.matched_by.map(MatchKey::code))
            .bind(&found.cause)
            .bind(candidates)
            .bind(i64::try_from(found.candidate_count).unwrap_or(i64::MAX))
            .bind(found.since.as_microsecond())
            .bind(found.asked_at.map(|at| at.as_microsecond()))
            .bind(found.organization.as_str())
            .bind(unfollowed)
            .execute(connection)
            .await?;
    }
    for (system, account) in &changes.forgotten {
        sql::query(FORGET)
            .bind(customer)
            .bind(system.as_str())
            .bind_all(accounts::key_values(account))
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Forgets how looking for a customer into a system went, unless something of it is still known there.
pub(super) async fn forget_status(
    connection: &mut Connection<'_>,
    customer: &str,
    system: &str,
) -> Result<(), Mishap> {
    sql::query(FORGET_STATUS).bind(customer).bind(system).execute(connection).await?;
    Ok(())
}

/// Forgets the contacts of accounts that were removed before a moment.
pub(super) async fn forget_removed(
    connection: &mut Connection<'_>,
    customer: &str,
    before: Timestamp,
) -> Result<(), Mishap> {
    sql::query(FORGET_REMOVED).bind(customer).bind(before.as_microsecond()).execute(connection).await?;
    Ok(())
}

/// Returns how the accounts of one customer or of all stand: by customer, connection and account.
pub(super) async fn listed(
    connection: &mut Connection<'_>,
    customer: Option<&str>,
) -> Result<Vec<(Text, ContactMatch)>, Mishap> {
    let mut all = customers::rows_of(connection, customer, OF_CUSTOMER, OF_ALL, contact_match).await?;
    all.sort_by(|(left_customer, left), (right_customer, right)| {
        (left_customer, &left.connection, left.account).cmp(&(
            right_customer,
            &right.connection,
            right.account,
        ))
    });
    Ok(all)
}

/// Returns how some accounts of one customer stand: by account, then connection.
pub(super) async fn of_accounts(
    connection: &mut Connection<'_>,
    customer: &str,
    accounts: &[AccountKey],
) -> Result<Vec<ContactMatch>, Mishap> {
    let systems = connections(connection, customer).await?;
    let mut all = Vec::new();
    for account in accounts {
        for system in &systems {
            let row = sql::query(OF_ACCOUNT)
                .bind(customer)
                .bind(system.as_str())
                .bind_all(accounts::key_values(account))
                .fetch_optional(connection)
                .await?;
            if let Some(row) = row {
                all.push(contact_match(&row)?);
            }
        }
    }
    Ok(all)
}

fn contact_match(row: &Row) -> Result<ContactMatch, Mishap> {
    let word = |column: usize| row.get::<&str>(column);
    let status = MatchStatus::from_code(word(5)?)
        .ok_or_else(|| strange("a match's status", word(5).unwrap_or_default()))?;
    let matched_by = match row.get::<Option<&str>>(7)? {
        None => None,
        Some(key) => Some(MatchKey::from_code(key).ok_or_else(|| strange("a match's key", key))?),
    };
    let candidates = word(9)?;
    let count: i64 = row.get(10)?;
    Ok(ContactMatch {
        account: accounts::key(row, 2)?,
        connection: Text::from(word(1)?),
        organization: Text::from(word(13)?),
        status,
        contact: row.get::<Option<&str>>(6)?.map(Text::from),
        matched_by,
        cause: row.get(8)?,
        candidates: serde_json::from_str(candidates).map_err(|_| strange("candidates", candidates))?,
        candidate_count: u64::try_from(count)
            .map_err(|_| strange("a number of candidates", &count.to_string()))?,
        since: moment(row.get(11)?)?,
        asked_at: time(row, 12)?,
        unfollowed: serde_json::from_str(word(14)?)
            .map_err(|_| strange("choices", word(14).unwrap_or_default()))?,
    })
}

/// Returns the choices of one customer that the last look could not follow: by connection, then account.
pub(super) async fn unfollowed(
    connection: &mut Connection<'_>,
    customer: &str,
) -> Result<Vec<UnfollowedChoice>, Mishap> {
    let rows = sql::query(UNFOLLOWED).bind(customer).fetch_all(connection).await?;
    let mut choices = Vec::with_capacity(rows.len());
    for row in &rows {
        choices.extend(contact_match(row)?.unfollowed_choice());
    }
    choices.sort_by(|left, right| (&left.connection, left.account).cmp(&(&right.connection, right.account)));
    Ok(choices)
}

/// Returns the connections in which contacts of a customer were ever looked for.
pub(super) async fn connections(
    connection: &mut Connection<'_>,
    customer: &str,
) -> Result<BTreeSet<Text>, Mishap> {
    let rows = sql::query(CONNECTIONS).bind(customer).fetch_all(connection).await?;
    let mut names = BTreeSet::new();
    for row in &rows {
        names.insert(Text::from(row.get::<&str>(0)?));
    }
    Ok(names)
}

/// Returns how looking into documentation systems last went, by customer and connection.
pub(super) async fn statuses(connection: &mut Connection<'_>) -> Result<Vec<DocumentationStatus>, Mishap> {
    let rows = sql::query(STATUSES).fetch_all(connection).await?;
    let mut statuses = Vec::with_capacity(rows.len());
    for row in &rows {
        statuses.push(DocumentationStatus {
            customer: Text::from(row.get::<&str>(0)?),
            connection: Text::from(row.get::<&str>(1)?),
            organization: Text::from(row.get::<&str>(6)?),
            last_attempt: moment(row.get(2)?)?,
            last_success: time(row, 3)?,
            fault: row.get(4)?,
            saw_organization: row.get::<i64>(5)? != 0,
        });
    }
    statuses
        .sort_by(|left, right| (&left.customer, &left.connection).cmp(&(&right.customer, &right.connection)));
    Ok(statuses)
}

/// Writes how looking into documentation systems went.
pub(super) async fn write_statuses(
    connection: &mut Connection<'_>,
    statuses: &[DocumentationStatus],
) -> Result<(), Mishap> {
    for status in statuses {
        sql::query(WRITE_STATUS)
            .bind(status.customer.as_str())
            .bind(status.connection.as_str())
            .bind(status.last_attempt.as_microsecond())
            .bind(status.last_success.map(|at| at.as_microsecond()))
            .bind(status.fault.as_deref())
            .bind(i64::from(status.saw_organization))
            .bind(status.organization.as_str())
            .execute(connection)
            .await?;
    }
    Ok(())
}
