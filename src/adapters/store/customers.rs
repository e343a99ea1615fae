//! A customer's own row: its revision, which is the fence, its pins, and its holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::{Row as _, SqliteConnection};

use crate::adapters::store::accounts::{moment, strange, time};
use crate::adapters::store::audit::Head;
use crate::adapters::store::fault::Mishap;
use crate::model::account::AccountType;
use crate::model::guid::Guid;
use crate::model::register::{
    AccountEntry, AccountList, Commit, Hold, PinnedAccount, PinnedScope, Pins, ScopeKind, ScopeName,
};
use crate::model::text::Text;

const NAMES: &str = "SELECT name FROM customers";
const READ: &str = "SELECT revision, pins, events, last_hash FROM customers WHERE name = $1";

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
pub(super) async fn names(connection: &mut SqliteConnection) -> Result<Vec<Text>, Mishap> {
    let rows = sqlx::query(NAMES).fetch_all(connection).await?;
    let mut names = Vec::with_capacity(rows.len());
    for row in &rows {
        names.push(Text::from(row.try_get::<&str, _>(0)?));
    }
    names.sort_unstable();
    Ok(names)
}

/// Returns a customer's row; that of an unknown one is at revision 0.
pub(super) async fn read(connection: &mut SqliteConnection, customer: &str) -> Result<CustomerRow, Mishap> {
    let Some(row) = sqlx::query(READ).bind(customer).fetch_optional(connection).await? else {
        return Ok(CustomerRow::default());
    };
    let revision: i64 = row.try_get(0)?;
    let pins: &str = row.try_get(1)?;
    Ok(CustomerRow {
        revision: u64::try_from(revision).map_err(|_| strange("a revision", &revision.to_string()))?,
        pins: read_pins(pins)?,
        head: Head { sequence: row.try_get(2)?, hash: row.try_get(3)? },
    })
}

/// Raises a customer's revision by one, unless the commit leaves it, and writes its pins and the new head.
///
/// # Errors
/// [`Mishap::Stale`] unless the revision is the expected one.
pub(super) async fn pass(
    connection: &mut SqliteConnection,
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
    let done = sqlx::query(PASS)
        .bind(commit.customer.as_str())
        .bind(expected)
        .bind(write_pins(&commit.pins)?)
        .bind(head.sequence)
        .bind(head.hash.as_deref())
        .bind(step)
        .execute(connection)
        .await?;
    if done.rows_affected() == 1 { Ok(found.saturating_add(step.unsigned_abs())) } else { Err(stale()) }
}

/// Returns a customer's holds in the order in which they were written.
pub(super) async fn holds(connection: &mut SqliteConnection, customer: &str) -> Result<Vec<Hold>, Mishap> {
    let rows = sqlx::query(HOLDS).bind(customer).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let approval: &str = row.try_get(0)?;
            Ok(Hold {
                approval: approval.parse().map_err(|_| strange("an approval", approval))?,
                recorded_at: moment(row.try_get(1)?)?,
                used_at: time(row, 2)?,
                bases: read_bases(row.try_get(3)?)?,
            })
        })
        .collect()
}

/// Writes a customer's holds in place of those it had.
pub(super) async fn write_holds(
    connection: &mut SqliteConnection,
    customer: &str,
    holds: &[Hold],
) -> Result<(), Mishap> {
    sqlx::query(DROP_HOLDS).bind(customer).execute(&mut *connection).await?;
    for (position, hold) in (0_i64..).zip(holds) {
        sqlx::query(WRITE_HOLD)
            .bind(customer)
            .bind(hold.approval.to_string())
            .bind(position)
            .bind(hold.recorded_at.as_microsecond())
            .bind(hold.used_at.map(|at| at.as_microsecond()))
            .bind(write_bases(&hold.bases)?)
            .execute(&mut *connection)
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
