//! What the store holds, counted in one question. Accounts and their contacts are counted anew only of customers that
//! had a turn or were looked for since: to go over all of them takes longer than whoever asks every few seconds should
//! make the store work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;

use crate::adapters::store::accounts::{account_type, moment, strange, time};
use crate::adapters::store::connection::{Store, StoreReader};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection, Row};
use crate::model::account::AccountType;
use crate::model::contact_match::MatchStatus;
use crate::model::publication::PublicationStatus;
use crate::model::text::Text;
use crate::ports::census::{AccountCount, Census, ContactCount, Counts, LastTurn, OutboxCount};
use crate::ports::register::RegisterFault;

const TURNS: &str = "SELECT customer, state, last_success, last_attempt FROM statuses";
const REVISIONS: &str = "SELECT name, revision FROM customers";

/// Grouped as the table is sorted: nothing has to be sorted anew.
macro_rules! accounts {
    ($which:literal) => {
        concat!(
            "SELECT customer, account_type,
                COUNT(*) FILTER (WHERE state = 'active'), COUNT(*) FILTER (WHERE state = 'pendingRemoval'),
                COUNT(*) FILTER (WHERE state = 'orphaned'), COUNT(*) FILTER (WHERE state = 'removed')
            FROM accounts ",
            $which,
            " GROUP BY customer, account_type"
        )
    };
}
const ACCOUNTS: &str = accounts!("");
const ACCOUNTS_OF: &str = accounts!("WHERE customer = $1");

const LOOKS: &str = "SELECT customer, connection, last_attempt FROM documentation_statuses";

/// Those of removed accounts are kept for who returns, and are nobody's meanwhile; of orphaned ones nobody looks for
/// contacts. Grouped as the index is sorted.
macro_rules! contacts {
    ($which:literal) => {
        concat!(
            "SELECT customer, connection, status, COUNT(*) FROM contact_matches WHERE ",
            $which,
            " EXISTS (
                SELECT 1 FROM accounts
                WHERE accounts.customer = contact_matches.customer
                    AND accounts.account_type = contact_matches.account_type
                    AND accounts.source = contact_matches.source AND accounts.id = contact_matches.id
                    AND accounts.state IN ('active', 'pendingRemoval'))
            GROUP BY customer, connection, status"
        )
    };
}
const CONTACTS: &str = contacts!("");
const CONTACTS_OF: &str = contacts!("customer = $1 AND");

/// Counted by the index, which has all that it needs.
const PUBLICATIONS: &str = "SELECT target, status, COUNT(*) FROM publications GROUP BY target, status";

/// Of more customers than these all accounts are gone over at once.
const FEW: usize = 50;

/// Counted by the indexes that the outbox works with. Those that were given up have none, and are what is
/// left of all.
const WAITING: &str = "SELECT COUNT(*) FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL";
const DELIVERED: &str = "SELECT COUNT(*) FROM outbox WHERE delivered_at IS NOT NULL";
const ALL: &str = "SELECT COUNT(*) FROM outbox";
const OLDEST: &str = "
    SELECT body, next_attempt FROM outbox
    WHERE id = (SELECT MIN(id) FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL)";

/// Counts what a store holds.
#[derive(Debug)]
pub struct StoreCensus {
    reader: StoreReader,
    counted: Mutex<Arc<Counted>>,
}

/// What customers have, as it was counted, each with what tells that it may be otherwise since.
type Counted = BTreeMap<Text, (Marker, Had)>;

/// What one customer has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Had {
    accounts: BTreeMap<AccountType, AccountCount>,
    contacts: BTreeMap<Text, ContactCount>,
}

/// A commit raises a customer's revision, and the accounts that a turn forgets without one go before it
/// records when it was. Contacts are written before it is recorded when they were looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Marker {
    revision: i64,
    last_attempt: Option<i64>,
    looks: BTreeMap<Text, i64>,
}

impl Store {
    /// Returns what counts what the store holds.
    pub fn census(&self) -> StoreCensus {
        StoreCensus { reader: self.reader().clone(), counted: Mutex::default() }
    }
}

#[async_trait]
impl Census for StoreCensus {
    async fn count(&self) -> Result<Counts, RegisterFault> {
        let before = self.counted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (counts, counted) = self
            .reader
            .ask(<(Counts, Counted)>::default(), |connection| {
                Box::pin(async move { count(connection, &before).await })
            })
            .await?;
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(counted);
        Ok(counts)
    }
}

async fn count(connection: &mut Connection<'_>, before: &Counted) -> Result<(Counts, Counted), Mishap> {
    let mut customers = BTreeMap::new();
    let mut attempts = BTreeMap::new();
    for row in &sql::query(TURNS).fetch_all(connection).await? {
        let name = Text::from(row.get::<&str>(0)?);
        let state = Text::from(row.get::<&str>(1)?);
        attempts.insert(name.clone(), row.get(3)?);
        customers.insert(name, LastTurn { state, last_success: time(row, 2)? });
    }
    let mut looks: BTreeMap<Text, BTreeMap<Text, i64>> = BTreeMap::new();
    for row in &sql::query(LOOKS).fetch_all(connection).await? {
        let system = Text::from(row.get::<&str>(1)?);
        looks.entry(Text::from(row.get::<&str>(0)?)).or_default().insert(system, row.get(2)?);
    }
    let mut markers = BTreeMap::new();
    for row in &sql::query(REVISIONS).fetch_all(connection).await? {
        let name = Text::from(row.get::<&str>(0)?);
        let marker = Marker {
            revision: row.get(1)?,
            last_attempt: attempts.get(&name).copied(),
            looks: looks.remove(&name).unwrap_or_default(),
        };
        markers.insert(name, marker);
    }
    let counted = counted(connection, markers, before).await?;
    let (mut accounts, mut contacts) = (BTreeMap::new(), BTreeMap::new());
    for (name, (_, had)) in &counted {
        accounts.extend(had.accounts.iter().map(|(kind, count)| ((name.clone(), *kind), *count)));
        contacts.extend(had.contacts.iter().map(|(system, count)| ((name.clone(), system.clone()), *count)));
    }
    let outbox = outbox(connection).await?;
    let publications = publications(connection).await?;
    Ok((Counts { customers, accounts, contacts, publications, outbox }, counted))
}

/// Counts what customers have whose marker is another one than before.
async fn counted(
    connection: &mut Connection<'_>,
    markers: BTreeMap<Text, Marker>,
    before: &Counted,
) -> Result<Counted, Mishap> {
    let is_other =
        |(name, marker): &(&Text, &Marker)| before.get(*name).is_none_or(|(known, _)| known != *marker);
    // A system that was looked into has nobody, until somebody is counted.
    let nobody = |marker: &Marker| Had {
        contacts: marker.looks.keys().map(|system| (system.clone(), ContactCount::default())).collect(),
        ..Had::default()
    };
    let others = markers.iter().filter(is_other);
    let mut fresh: BTreeMap<Text, Had> =
        others.map(|(name, marker)| (name.clone(), nobody(marker))).collect();
    let others: Vec<Text> = fresh.keys().cloned().collect();
    for row in &rows(connection, &others, ACCOUNTS, ACCOUNTS_OF).await? {
        if let Some(had) = fresh.get_mut(row.get::<&str>(0)?) {
            had.accounts.insert(account_type(row.get(1)?)?, account_count(row)?);
        }
    }
    for row in &rows(connection, &others, CONTACTS, CONTACTS_OF).await? {
        if let Some(had) = fresh.get_mut(row.get::<&str>(0)?) {
            let system = had.contacts.entry(Text::from(row.get::<&str>(1)?)).or_default();
            let status: &str = row.get(2)?;
            let status = MatchStatus::from_code(status).ok_or_else(|| strange("a match's status", status))?;
            let count = match status {
                MatchStatus::Matched => &mut system.matched,
                MatchStatus::Unmatched => &mut system.unmatched,
                MatchStatus::Ambiguous => &mut system.ambiguous,
                MatchStatus::Failed => &mut system.failed,
            };
            *count = natural(row.get(3)?)?;
        }
    }
    let known = |name: &Text| before.get(name).map(|(_, had)| had.clone()).unwrap_or_default();
    Ok(markers
        .into_iter()
        .map(|(name, marker)| {
            let had = fresh.remove(&name).unwrap_or_else(|| known(&name));
            (name, (marker, had))
        })
        .collect())
}

/// Asks about some customers: about each, or about all at once where they are many.
async fn rows(
    connection: &mut Connection<'_>,
    customers: &[Text],
    of_all: &'static str,
    of_one: &'static str,
) -> Result<Vec<Row>, Mishap> {
    if customers.len() > FEW {
        return Ok(sql::query(of_all).fetch_all(connection).await?);
    }
    let mut rows = Vec::new();
    for name in customers {
        rows.extend(sql::query(of_one).bind(name.as_str()).fetch_all(connection).await?);
    }
    Ok(rows)
}

fn account_count(row: &Row) -> Result<AccountCount, Mishap> {
    Ok(AccountCount {
        active: natural(row.get(2)?)?,
        pending_removal: natural(row.get(3)?)?,
        orphaned: natural(row.get(4)?)?,
        removed: natural(row.get(5)?)?,
    })
}

async fn publications(
    connection: &mut Connection<'_>,
) -> Result<BTreeMap<(Text, PublicationStatus), u64>, Mishap> {
    let mut counts = BTreeMap::new();
    for row in &sql::query(PUBLICATIONS).fetch_all(connection).await? {
        let status: &str = row.get(1)?;
        let status =
            PublicationStatus::from_code(status).ok_or_else(|| strange("a publication's status", status))?;
        counts.insert((Text::from(row.get::<&str>(0)?), status), natural(row.get(2)?)?);
    }
    Ok(counts)
}

async fn outbox(connection: &mut Connection<'_>) -> Result<OutboxCount, Mishap> {
    let waiting = number(connection, WAITING).await?;
    let delivered = number(connection, DELIVERED).await?;
    let all = number(connection, ALL).await?;
    let oldest = match sql::query(OLDEST).fetch_optional(connection).await? {
        Some(row) => Some(waits_since(row.get(0)?, row.get(1)?)?),
        None => None,
    };
    Ok(OutboxCount { waiting, given_up: all.saturating_sub(waiting).saturating_sub(delivered), oldest })
}

/// Returns since when a delivery waits: since what it tells of happened. The time of its next attempt is
/// that time only until the first one failed.
fn waits_since(body: &str, next_attempt: i64) -> Result<Timestamp, Mishap> {
    #[derive(Deserialize)]
    struct Event {
        time: Timestamp,
    }
    match serde_json::from_str::<Event>(body) {
        Ok(event) => Ok(event.time),
        Err(_) => moment(next_attempt),
    }
}

async fn number(connection: &mut Connection<'_>, question: &'static str) -> Result<u64, Mishap> {
    natural(sql::query(question).fetch_one(connection).await?.get(0)?)
}

fn natural(number: i64) -> Result<u64, Mishap> {
    u64::try_from(number).map_err(|_| strange("a count", &number.to_string()))
}
