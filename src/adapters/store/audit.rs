//! The audit record: events chained by their hashes, one chain a customer.
//!
//! The chain finds out who changes, drops, inserts or swaps events. It does not find out who
//! computes the whole chain anew from the change on, the customer's head included: that takes a
//! hash kept elsewhere, which is why the log tells it.

use futures_util::TryStreamExt as _;
use jiff::Timestamp;

use crate::adapters::store::accounts::{account_type, guid, moment, strange};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection, Insert, LazyInsert, Row, Statement, either};
use crate::model::digest::{Digest, Digester};
use crate::model::event::{ChainHead, Event, EventPage, EventQuery, ReadingDigests};
use crate::model::listing::{EventFilter, EventOrder, FoundEvents};
use crate::model::register::Commit;
use crate::model::text::Text;
use crate::ports::register::ChainCheck;

static APPEND: LazyInsert = LazyInsert::new(|| {
    Insert::new(
        "events (customer, sequence, at, run, tree_revision, kind, account_type, account_id, subject, details, hash,
            readings)",
        "",
    )
});

/// The columns in the order in which [`Link::read`] reads them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT customer, sequence, at, run, tree_revision, kind, account_type, account_id, subject,
                    details, hash, readings
             FROM events ",
            $rest
        )
    };
}

const OF_CUSTOMER: &str = select!("WHERE customer = $1 ORDER BY sequence");
const AFTER: &str = select!("WHERE customer = $1 AND sequence > $2 ORDER BY sequence");

/// A page: the columns of [`Link::read`], the place in the order, and the hash of the event before.
macro_rules! page {
    ($place:literal, $which:literal) => {
        concat!(
            "SELECT customer, sequence, at, run, tree_revision, kind, account_type, account_id, subject,
                    details, hash, readings, ",
            $place,
            ", (SELECT before.hash FROM events AS before
                WHERE before.customer = events.customer AND before.sequence = events.sequence - 1)
             FROM events WHERE ",
            $which,
            $place,
            " > $1 AND at BETWEEN $2 AND $3 ORDER BY ",
            $place,
            " LIMIT $4"
        )
    };
}

const PAGE_OF_CUSTOMER: &str = page!("sequence", "customer = $5 AND ");
const PAGE_OF_ALL: &str = page!("id", "");

/// As [`page`], of what somebody looks for.
macro_rules! found {
    ($place:literal, $which:literal, $order:literal) => {
        concat!(
            "SELECT customer, sequence, at, run, tree_revision, kind, account_type, account_id, subject,
                    details, hash, readings, ",
            $place,
            ", (SELECT before.hash FROM events AS before
                WHERE before.customer = events.customer AND before.sequence = events.sequence - 1)
             FROM events WHERE ",
            $which,
            $place,
            " BETWEEN $1 AND $2 AND at BETWEEN $3 AND $4
                AND ($5 = '' OR instr($5, ',' || kind || ',') > 0) ORDER BY ",
            $place,
            $order,
            " LIMIT $6"
        )
    };
}

const NEWEST_OF_ACCOUNT: &str = found!("sequence", "customer = $7 AND account_id = $8 AND ", " DESC");
const OLDEST_OF_ACCOUNT: &str = found!("sequence", "customer = $7 AND account_id = $8 AND ", "");
const NEWEST_OF_CUSTOMER: &str = found!("sequence", "customer = $7 AND ", " DESC");
const OLDEST_OF_CUSTOMER: &str = found!("sequence", "customer = $7 AND ", "");
const NEWEST: &str = found!("id", "", " DESC");
const OLDEST: &str = found!("id", "", "");

/// Where a record begins and ends. Each end for itself: SQLite goes over the whole index for two in one question.
const ENDS_OF_CUSTOMER: &str = "
    SELECT (SELECT MIN(sequence) FROM events WHERE customer = $1),
        (SELECT MAX(sequence) FROM events WHERE customer = $1)";
const ENDS: &str = "SELECT (SELECT MIN(id) FROM events), (SELECT MAX(id) FROM events)";

/// Where a period of a record begins and ends, by indexes alone.
const PERIOD_OF_CUSTOMER: &str =
    "SELECT MIN(sequence), MAX(sequence) FROM events WHERE customer = $1 AND at BETWEEN $2 AND $3";
const PERIOD: &str = "SELECT MIN(id), MAX(id) FROM events WHERE at BETWEEN $1 AND $2";

/// How many events are gone over for one page: a kind that is rare takes several pages, and no page takes long.
const WINDOW: i64 = 50_000;

/// How many events a page holds: some megabytes at the most, whatever the record holds.
const PAGE: usize = 1_000;

const SEQUENCE_OF: &str = "SELECT sequence FROM events WHERE customer = $1 AND hash = $2";

const HEAD: &str = "SELECT events, last_hash FROM customers WHERE name = $1";

/// Where a customer's chain ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Head {
    /// The number of its last event; 0 before the first.
    pub(super) sequence: i64,
    /// The hash of its last event, as text.
    pub(super) hash: Option<String>,
}

/// An event as its row holds it: the very bytes that the hash covers.
#[derive(Debug, Clone)]
pub(super) struct Link {
    customer: String,
    sequence: i64,
    at: i64,
    run: String,
    tree_revision: String,
    kind: String,
    account: Option<(String, String)>,
    subject: String,
    details: String,
    /// What it was decided from; none in an event of a version that did not record it.
    readings: Option<String>,
    hash: String,
}

impl Head {
    /// Returns the head as callers are told of it.
    pub(super) fn told(&self) -> Result<ChainHead, Mishap> {
        Ok(ChainHead {
            events: number(self.sequence),
            hash: self.hash.as_deref().map(digest_of).transpose()?,
        })
    }
}

impl Link {
    /// Computes the hash of this event as the event of a number, after another hash. docs/reference.md
    /// says the same, for whoever verifies an export without Intake.
    fn hash_after(&self, sequence: i64, before: Option<&str>) -> String {
        let version = if self.readings.is_some() { "intake.event.2" } else { "intake.event.1" };
        let mut digester = Digester::new(version);
        digester
            .optional(before)
            .field(&self.customer)
            .field(sequence.to_be_bytes())
            .field(self.at.to_be_bytes())
            .field(&self.run)
            .field(&self.tree_revision)
            .field(&self.kind)
            .optional(self.account.as_ref().map(|(account_type, _)| account_type))
            .optional(self.account.as_ref().map(|(_, id)| id))
            .field(&self.subject)
            .field(&self.details);
        if let Some(readings) = &self.readings {
            digester.field(readings);
        }
        digester.finish().to_string()
    }

    fn read(row: &Row) -> Result<Self, Mishap> {
        let account_type: Option<String> = row.get(6)?;
        let account_id: Option<String> = row.get(7)?;
        Ok(Self {
            customer: row.get(0)?,
            sequence: row.get(1)?,
            at: row.get(2)?,
            run: row.get(3)?,
            tree_revision: row.get(4)?,
            kind: row.get(5)?,
            account: account_type.zip(account_id),
            subject: row.get(8)?,
            details: row.get(9)?,
            hash: row.get(10)?,
            readings: row.get(11)?,
        })
    }

    fn event(self, previous: Option<&str>) -> Result<Event, Mishap> {
        let account = match &self.account {
            Some((code, id)) => Some((account_type(code)?, guid(id)?)),
            None => None,
        };
        Ok(Event {
            sequence: u64::try_from(self.sequence)
                .map_err(|_| strange("an event's number", &self.sequence.to_string()))?,
            at: moment(self.at)?,
            account,
            details: serde_json::from_str(&self.details)
                .map_err(|_| strange("an event's details", &self.details))?,
            readings: self.readings.as_deref().map(read_readings).transpose()?,
            previous: previous.map(digest_of).transpose()?,
            hash: digest_of(&self.hash)?,
            customer: Text::from(self.customer),
            run: Text::from(self.run),
            tree_revision: Text::from(self.tree_revision),
            kind: Text::from(self.kind),
            subject: Text::from(self.subject),
        })
    }
}

fn digest_of(text: &str) -> Result<Digest, Mishap> {
    text.parse().map_err(|_| strange("an event's hash", text))
}

fn read_readings(text: &str) -> Result<ReadingDigests, Mishap> {
    serde_json::from_str(text).map_err(|_| strange("an event's readings", text))
}

/// Chains a commit's events to the head; returns them and the new head. Pure: the customer's row
/// can be written, with the new head, before the events that refer to it.
pub(super) fn chain(mut head: Head, commit: &Commit) -> Result<(Vec<Link>, Head), Mishap> {
    let readings = serde_json::to_string(&commit.readings)
        .map_err(|error| Mishap::Strange(format!("the digests of readings have no JSON form: {error}")))?;
    let mut links = Vec::with_capacity(commit.events.len());
    for event in &commit.events {
        let mut link = Link {
            customer: commit.customer.to_string(),
            sequence: head.sequence.saturating_add(1),
            at: commit.at.as_microsecond(),
            run: commit.run.to_string(),
            tree_revision: commit.tree_revision.to_string(),
            kind: event.kind.code().to_owned(),
            account: event.account.map(|(account_type, id)| (account_type.code().to_owned(), id.to_string())),
            subject: event.subject.to_string(),
            details: event.details.to_string(),
            readings: Some(readings.clone()),
            hash: String::new(),
        };
        link.hash = link.hash_after(link.sequence, head.hash.as_deref());
        head = Head { sequence: link.sequence, hash: Some(link.hash.clone()) };
        links.push(link);
    }
    Ok((links, head))
}

/// A grace that ends was counted when it began.
const REMOVALS: &str = "
    SELECT COUNT(*) FROM events
    WHERE at > $1 AND (
        kind = 'account.pended'
        OR (kind = 'account.removed' AND json_extract(details, '$.before.state') <> 'pendingRemoval'))";

/// Counts the removals that began after a moment, over all customers.
pub(super) async fn removals_since(connection: &mut Connection<'_>, since: Timestamp) -> Result<u64, Mishap> {
    let count: i64 = sql::query(REMOVALS).bind(since.as_microsecond()).fetch_one(connection).await?.get(0)?;
    u64::try_from(count).map_err(|_| strange("a number of removals", &count.to_string()))
}

/// Of many who write at once one appends, until its transaction ends: so events become visible in the order of their
/// numbers, and nobody who reads on from one misses another. In SQLite there is only one who writes.
const IN_ORDER: Statement = either("SELECT 1", "SELECT pg_advisory_xact_lock(1229870156)");

/// Waits until nobody else is appending, and keeps others from it until the transaction ends.
pub(super) async fn wait_for_others(connection: &mut Connection<'_>) -> Result<(), Mishap> {
    sql::query(IN_ORDER).execute(connection).await?;
    Ok(())
}

/// Appends chained events.
pub(super) async fn append(connection: &mut Connection<'_>, links: Vec<Link>) -> Result<(), Mishap> {
    if !links.is_empty() {
        wait_for_others(connection).await?;
    }
    let mut rows = APPEND.rows();
    for link in links {
        let (account_type, account_id) = link.account.unzip();
        let values = [
            link.customer.into(),
            link.sequence.into(),
            link.at.into(),
            link.run.into(),
            link.tree_revision.into(),
            link.kind.into(),
            account_type.into(),
            account_id.into(),
            link.subject.into(),
            link.details.into(),
            link.hash.into(),
            link.readings.into(),
        ];
        rows.push(values, connection).await?;
    }
    Ok(rows.end(connection).await?)
}

/// Returns a page of the record: of one customer by number, of all as they were written.
pub(super) async fn page(
    connection: &mut Connection<'_>,
    query: &EventQuery,
    after: Option<i64>,
) -> Result<EventPage, Mishap> {
    let text = if query.customer.is_some() { PAGE_OF_CUSTOMER } else { PAGE_OF_ALL };
    let mut asked = sql::query(text)
        .bind(after.unwrap_or(i64::MIN))
        .bind(query.since.as_microsecond())
        .bind(query.until.as_microsecond())
        .bind(i64::try_from(PAGE).unwrap_or(i64::MAX));
    if let Some(customer) = &query.customer {
        asked = asked.bind(customer.as_str());
    }
    let mut rows = asked.fetch(connection);
    let mut page = EventPage::default();
    while let Some(row) = rows.try_next().await? {
        page.events.push(Link::read(&row)?.event(row.get(13)?)?);
        page.next = Some(row.get(12)?);
    }
    if page.events.len() < PAGE {
        page.next = None;
    }
    Ok(page)
}

/// Returns the places of the first and the last event of the period that somebody looks for; `None` if there is
/// none.
async fn ends(
    connection: &mut Connection<'_>,
    customer: Option<&str>,
    filter: &EventFilter,
) -> Result<Option<(i64, i64)>, Mishap> {
    let (since, until) = (filter.since.as_microsecond(), filter.until.as_microsecond());
    let is_whole = filter.since == Timestamp::MIN && filter.until == Timestamp::MAX;
    let asked = match (customer, is_whole) {
        (Some(customer), true) => sql::query(ENDS_OF_CUSTOMER).bind(customer),
        (Some(customer), false) => sql::query(PERIOD_OF_CUSTOMER).bind(customer).bind(since).bind(until),
        (None, true) => sql::query(ENDS),
        (None, false) => sql::query(PERIOD).bind(since).bind(until),
    };
    let row = asked.fetch_one(connection).await?;
    Ok(row.get::<Option<i64>>(0)?.zip(row.get::<Option<i64>>(1)?))
}

/// Returns a page of what somebody looks for in the record.
pub(super) async fn found(
    connection: &mut Connection<'_>,
    filter: &EventFilter,
) -> Result<FoundEvents, Mishap> {
    let customer = filter.customer.as_ref().map(Text::as_str);
    let account = filter.account.filter(|_| customer.is_some()).map(|id| id.to_string());
    let is_newest = filter.order == EventOrder::Newest;
    let Some((first, last)) = ends(connection, customer, filter).await? else {
        return Ok(FoundEvents::default());
    };
    // An account's own events are few, and found by themselves.
    let window = if account.is_some() { last } else { WINDOW };
    let (low, high) = if is_newest {
        let high = filter.after.map_or(last, |after| after.saturating_sub(1)).min(last);
        (high.saturating_sub(window).saturating_add(1).max(first), high)
    } else {
        let low = filter.after.map_or(first, |after| after.saturating_add(1)).max(first);
        (low, low.saturating_add(window).saturating_sub(1).min(last))
    };
    let text = match (is_newest, customer, &account) {
        (true, Some(_), Some(_)) => NEWEST_OF_ACCOUNT,
        (false, Some(_), Some(_)) => OLDEST_OF_ACCOUNT,
        (true, Some(_), None) => NEWEST_OF_CUSTOMER,
        (false, Some(_), None) => OLDEST_OF_CUSTOMER,
        (true, None, _) => NEWEST,
        (false, None, _) => OLDEST,
    };
    let kinds = match filter.kinds.join(",") {
        none if none.is_empty() => none,
        kinds => format!(",{kinds},"),
    };
    let limit = filter.limit.clamp(1, PAGE);
    let mut asked = sql::query(text)
        .bind(low)
        .bind(high)
        .bind(filter.since.as_microsecond())
        .bind(filter.until.as_microsecond())
        .bind(kinds)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX));
    if let Some(customer) = customer {
        asked = asked.bind(customer);
    }
    if let Some(account) = account {
        asked = asked.bind(account);
    }
    let mut rows = asked.fetch(connection);
    let (mut found, mut place) = (FoundEvents::default(), None);
    while let Some(row) = rows.try_next().await? {
        found.events.push(Link::read(&row)?.event(row.get(13)?)?);
        place = Some(row.get(12)?);
    }
    found.next = match (found.events.len() == limit, is_newest) {
        (true, _) => place,
        (false, true) => (low > first).then_some(low),
        (false, false) => (high < last).then_some(high),
    };
    Ok(found)
}

/// Returns the number of the event of one customer that has this hash.
pub(super) async fn sequence_of(
    connection: &mut Connection<'_>,
    customer: &str,
    hash: Digest,
) -> Result<Option<u64>, Mishap> {
    let query = sql::query(SEQUENCE_OF).bind(customer).bind(hash.to_string());
    query.fetch_optional(connection).await?.map(|row| Ok(number(row.get(0)?))).transpose()
}

/// Checks one customer's chain against itself and against the head in the customer's row.
pub(super) async fn verify(connection: &mut Connection<'_>, customer: &str) -> Result<ChainCheck, Mishap> {
    let head = match sql::query(HEAD).bind(customer).fetch_optional(connection).await? {
        Some(row) => Head { sequence: row.get(0)?, hash: row.get(1)? },
        None => Head::default(),
    };
    let mut last = Head::default();
    {
        let mut rows = sql::query(OF_CUSTOMER).bind(customer).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let link = Link::read(&row)?;
            let expected = last.sequence.saturating_add(1);
            if link.sequence != expected {
                return Ok(broken(expected, "missing".into()));
            }
            if expected > head.sequence {
                return Ok(broken(expected, format!("added: the register counts {} events", head.sequence)));
            }
            if link.hash != link.hash_after(expected, last.hash.as_deref()) {
                drop(rows);
                return misplaced(connection, customer, expected, last.hash.as_deref()).await;
            }
            last = Head { sequence: expected, hash: Some(link.hash) };
        }
    }
    if last.sequence < head.sequence {
        let what = format!("missing: the register counts {} events", head.sequence);
        return Ok(broken(last.sequence.saturating_add(1), what));
    }
    if last.hash != head.hash {
        return Ok(broken(last.sequence, "changed, with its hash".into()));
    }
    Ok(ChainCheck::Whole(last.told()?))
}

/// Tells whether the event that belongs to a number stands elsewhere, or was changed.
async fn misplaced(
    connection: &mut Connection<'_>,
    customer: &str,
    sequence: i64,
    before: Option<&str>,
) -> Result<ChainCheck, Mishap> {
    let mut rows = sql::query(AFTER).bind(customer).bind(sequence).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let link = Link::read(&row)?;
        if link.hash == link.hash_after(sequence, before) {
            let what = format!("reordered: the event that belongs here is number {}", link.sequence);
            return Ok(broken(sequence, what));
        }
    }
    Ok(broken(sequence, "changed".into()))
}

fn broken(sequence: i64, what: String) -> ChainCheck {
    ChainCheck::Broken { sequence: number(sequence), what }
}

/// Event numbers are positive, which the table checks.
fn number(sequence: i64) -> u64 {
    u64::try_from(sequence).unwrap_or_default()
}
