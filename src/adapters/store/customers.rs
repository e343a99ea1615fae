//! A customer's own row: its revision, which is the fence, its pins, and its holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::adapters::store::accounts::{moment, strange, time};
use crate::adapters::store::audit::Head;
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection, Row, Statement, either};
use crate::model::account::AccountType;
use crate::model::guid::Guid;
use crate::model::register::{
    AccountEntry, AccountList, Commit, Hold, PinnedAccount, PinnedScope, Pins, ScopeKind, ScopeName,
};
use crate::model::text::Text;

const NAMES: &str = "SELECT name FROM customers";
const READ: &str = "SELECT revision, pins, events, last_hash FROM customers WHERE name = $1";
const READ_TO_WRITE: Statement =
    either(READ, "SELECT revision, pins, events, last_hash FROM customers WHERE name = $1 FOR UPDATE");

/// The fence once more, in the statement that passes it: also a store that lets two transactions
/// read at once lets only one of them through.
const PASS: &str = "
    INSERT INTO customers (name, revision, pins, events, last_hash) VALUES ($1, $2 + $6, $3, $4, $5)
    ON CONFLICT (name) DO UPDATE SET
        revision = excluded.revision, pins = excluded.pins, events = excluded.events,
        last_hash = excluded.last_hash
    WHERE customers.revision = $2";

const HOLDS: &str =
    "SELECT approval, recorded_at, used_at, bases FROM holds WHERE customer = $1 ORDER BY position";
const DROP_HOLDS: &str = "DELETE FROM holds WHERE customer = $1";
const WRITE_HOLD: &str = "
    INSERT INTO holds (customer, approval, position, recorded_at, used_at, bases) VALUES ($1, $2, $3, $4, $5, $6)";

/// Returns what the rows of one customer hold, or those of all; the first column is whose it is.
pub(super) async fn rows_of<T>(
    connection: &mut Connection<'_>,
    customer: Option<&str>,
    of_customer: &'static str,
    of_all: &'static str,
    read: fn(&Row) -> Result<T, Mishap>,
) -> Result<Vec<(Text, T)>, Mishap> {
    let query = match customer {
        Some(customer) => sql::query(of_customer).bind(customer),
        None => sql::query(of_all),
    };
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(|row| Ok((Text::from(row.get::<&str>(0)?), read(row)?))).collect()
}

/// What a customer's row says.
#[derive(Debug, Default)]
pub(super) struct CustomerRow {
    /// Counts its commits.
    pub(super) revision: u64,
    /// What is pinned.
    pub(super) pins: Pins,
    /// Where its audit record ends.
    pub(super) head: Head,
}

/// Returns the names of all customers, sorted.
pub(super) async fn names(connection: &mut Connection<'_>) -> Result<Vec<Text>, Mishap> {
    let rows = sql::query(NAMES).fetch_all(connection).await?;
    let mut names = Vec::with_capacity(rows.len());
    for row in &rows {
        names.push(Text::from(row.get::<&str>(0)?));
    }
    names.sort_unstable();
    Ok(names)
}

/// Returns a customer's row; that of an unknown one is at revision 0.
pub(super) async fn read(connection: &mut Connection<'_>, customer: &str) -> Result<CustomerRow, Mishap> {
    row(connection, READ.into(), customer).await
}

/// As [`read`], for who writes by what it finds: nobody else does until the transaction ends.
pub(super) async fn read_to_write(
    connection: &mut Connection<'_>,
    customer: &str,
) -> Result<CustomerRow, Mishap> {
    row(connection, READ_TO_WRITE, customer).await
}

async fn row(
    connection: &mut Connection<'_>,
    statement: Statement,
    customer: &str,
) -> Result<CustomerRow, Mishap> {
    let Some(row) = sql::query(statement).bind(customer).fetch_optional(connection).await? else {
        return Ok(CustomerRow::default());
    };
    let revision: i64 = row.get(0)?;
    let pins: &str = row.get(1)?;
    Ok(CustomerRow {
        revision: u64::try_from(revision).map_err(|_| strange("a revision", &revision.to_string()))?,
        pins: read_pins(pins)?,
        head: Head { sequence: row.get(2)?, hash: row.get(3)? },
    })
}

/// Raises a customer's revision by one, unless the commit leaves it, and writes its pins and the new head.
///
/// # Errors
/// [`Mishap::Stale`] unless the revision is the expected one.
pub(super) async fn pass(
    connection: &mut Connection<'_>,
    commit: &Commit,
    found: u64,
    head: &Head,
) -> Result<u64, Mishap> {
    let stale =
        || Mishap::Stale { customer: commit.customer.clone(), expected: commit.expected_revision, found };
    if found != commit.expected_revision {
        return Err(stale());
    }
    let expected = i64::try_from(found).map_err(|_| stale())?;
    let step = i64::from(!commit.is_beside);
    let rows = sql::query(PASS)
        .bind(commit.customer.as_str())
        .bind(expected)
        .bind(write_pins(&commit.pins)?)
        .bind(head.sequence)
        .bind(head.hash.as_deref())
        .bind(step)
        .execute(connection)
        .await?;
    if rows == 1 { Ok(found.saturating_add(step.unsigned_abs())) } else { Err(stale()) }
}

/// Returns a customer's holds in the order in which they were written.
pub(super) async fn holds(connection: &mut Connection<'_>, customer: &str) -> Result<Vec<Hold>, Mishap> {
    let rows = sql::query(HOLDS).bind(customer).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let approval: &str = row.get(0)?;
            Ok(Hold {
                approval: approval.parse().map_err(|_| strange("an approval", approval))?,
                recorded_at: moment(row.get(1)?)?,
                used_at: time(row, 2)?,
                bases: read_bases(row.get(3)?)?,
            })
        })
        .collect()
}

/// Writes a customer's holds in place of those it had.
pub(super) async fn write_holds(
    connection: &mut Connection<'_>,
    customer: &str,
    holds: &[Hold],
) -> Result<(), Mishap> {
    sql::query(DROP_HOLDS).bind(customer).execute(connection).await?;
    for (position, hold) in (0_i64..).zip(holds) {
        sql::query(WRITE_HOLD)
            .bind(customer)
            .bind(hold.approval.to_string())
            .bind(position)
            .bind(hold.recorded_at.as_microsecond())
            .bind(hold.used_at.map(|at| at.as_microsecond()))
            .bind(write_bases(&hold.bases)?)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Pins as the column `pins` holds them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StoredPins {
    domains: Vec<(Text, Text)>,
    tenant: Option<Text>,
    scopes: Vec<StoredScope>,
    /// A store that was written before there were any has none.
    #[serde(default)]
    accounts: Vec<StoredAccount>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StoredAccount {
    list: AccountList,
    written: Text,
    guid: Guid,
    name: Text,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StoredScope {
    directory: Text,
    kind: ScopeKind,
    written: Text,
    guid: Guid,
    dn: Text,
}

fn write_pins(pins: &Pins) -> Result<String, Mishap> {
    let stored = StoredPins {
        domains: pins.domains.iter().map(|(name, sid)| (name.clone(), sid.clone())).collect(),
        tenant: pins.tenant.clone(),
        scopes: pins
            .scopes
            .iter()
            .map(|(name, scope)| StoredScope {
                directory: name.directory.clone(),
                kind: name.kind,
                written: name.written.clone(),
                guid: scope.guid,
                dn: scope.dn.clone(),
            })
            .collect(),
        accounts: pins
            .accounts
            .iter()
            .flat_map(|(entry, people)| people.iter().map(move |person| (entry, person)))
            .map(|(entry, person)| StoredAccount {
                list: entry.list,
                written: entry.written.clone(),
                guid: person.guid,
                name: person.name.clone(),
            })
            .collect(),
    };
    serde_json::to_string(&stored)
        .map_err(|error| Mishap::Strange(format!("pins cannot be written: {error}")))
}

fn read_pins(text: &str) -> Result<Pins, Mishap> {
    let stored: StoredPins = serde_json::from_str(text).map_err(|_| strange("pins", text))?;
    let mut accounts: BTreeMap<AccountEntry, Vec<PinnedAccount>> = BTreeMap::new();
    for account in stored.accounts {
        let entry = AccountEntry { list: account.list, written: account.written };
        accounts.entry(entry).or_default().push(PinnedAccount { guid: account.guid, name: account.name });
    }
    Ok(Pins {
        accounts,
        domains: stored.domains.into_iter().collect(),
        tenant: stored.tenant,
        scopes: stored
            .scopes
            .into_iter()
            .map(|scope| {
                let name = ScopeName { directory: scope.directory, kind: scope.kind, written: scope.written };
                (name, PinnedScope { guid: scope.guid, dn: scope.dn })
            })
            .collect(),
    })
}

fn write_bases(bases: &BTreeMap<AccountType, u64>) -> Result<String, Mishap> {
    serde_json::to_string(bases)
        .map_err(|error| Mishap::Strange(format!("a hold cannot be written: {error}")))
}

fn read_bases(text: &str) -> Result<BTreeMap<AccountType, u64>, Mishap> {
    serde_json::from_str(text).map_err(|_| strange("a hold's base", text))
}
