//! What is known of accounts at targets, and how targets were last spoken to.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::adapters::store::accounts::{moment, strange, time};
use crate::adapters::store::connection::{Store, StoreReader};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection, Insert, LazyInsert, Row, Value};
use crate::adapters::store::{accounts, audit, bookkeeping, customers, register, suspensions};
use crate::model::account::AccountKey;
use crate::model::contact_match::ContactChanges;
use crate::model::digest::Digest;
use crate::model::event::{ChainHead, ReadingDigests};
use crate::model::guid::Guid;
use crate::model::publication::{
    CountedRemovals, Leavers, Presence, Publication, PublicationRecord, PublicationStatus, TargetStatus,
};
use crate::model::register::{Commit, SuspensionChange};
use crate::model::text::Text;
use crate::plan::outcome::CustomerState;
use crate::ports::publishing::{PublicationReader, Publications, Standing};
use crate::ports::register::RegisterFault;

static WRITE: LazyInsert = LazyInsert::new(|| {
    Insert::new(
        "publications (
            customer, target, account_type, source, id, subject, status, cause, since, wanted, user_name, remote_id,
            asked, asked_at, confirmed, removal_at, corrected)",
        "ON CONFLICT (customer, target, account_type, source, id) DO UPDATE SET
            subject = excluded.subject, status = excluded.status, cause = excluded.cause, since = excluded.since,
            wanted = excluded.wanted, user_name = excluded.user_name, remote_id = excluded.remote_id,
            asked = excluded.asked, asked_at = excluded.asked_at, confirmed = excluded.confirmed,
            removal_at = excluded.removal_at, corrected = excluded.corrected",
    )
});
const FORGET: &str = "
    DELETE FROM publications
    WHERE customer = $1 AND target = $2 AND account_type = $3 AND source = $4 AND id = $5";

/// The columns in the order in which [`publication`] reads them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT customer, target, account_type, source, id, subject, status, cause, since, wanted, user_name,
                    remote_id, asked, asked_at, confirmed, removal_at, corrected
             FROM publications ",
            $rest
        )
    };
}

const OF_CUSTOMER: &str = select!("WHERE customer = $1");
const OF_ALL: &str = select!("");
const OF_ACCOUNT: &str =
    select!("WHERE customer = $1 AND target = $2 AND account_type = $3 AND source = $4 AND id = $5");

const WITH_ID: &str = select!("WHERE customer = $1 AND id = $2 ORDER BY target, account_type, source");

/// A user that left gave its name up, as far as Intake is concerned: whether the target does is for it to say.
const TAKEN: &str = "
    SELECT customer FROM publications
    WHERE target = $1 AND user_name = $2 AND customer <> $3 AND wanted = 'present'
    ORDER BY customer LIMIT 1";
const SHARED: &str = "
    SELECT mine.user_name, MIN(others.customer)
    FROM publications AS mine JOIN publications AS others
        ON others.target = mine.target AND others.user_name = mine.user_name
    WHERE mine.customer = $1 AND mine.target = $2 AND others.customer <> $1 AND others.wanted = 'present'
    GROUP BY mine.user_name";
const BASE: &str = "
    SELECT COUNT(*) FROM publications
    WHERE target = $1
        AND ((wanted = 'present' AND remote_id IS NOT NULL) OR (wanted = 'absent' AND removal_at > $2))";
/// Of those who came back as well: people who come and go do not make room for others.
const RECENT: &str = "SELECT COUNT(*) FROM publications WHERE target = $1 AND removal_at > $2";
const CUSTOMERS: &str = "SELECT DISTINCT customer FROM publications WHERE target = $1";

const STATUSES: &str = "SELECT target, fault, fault_since, compared_at, comparison_fault FROM targets";
/// What was just published needs no comparing.
const WRITE_ANSWER: &str = "
    INSERT INTO targets (target, fault, fault_since, compared_at, comparison_fault)
    VALUES ($1, $2, CASE WHEN $2 IS NULL THEN NULL ELSE $3 END, $3, NULL)
    ON CONFLICT (target) DO UPDATE SET
        fault = excluded.fault,
        fault_since = CASE WHEN excluded.fault IS NULL THEN NULL
            ELSE COALESCE(targets.fault_since, excluded.fault_since) END,
        compared_at = COALESCE(targets.compared_at, excluded.compared_at)";
const WRITE_COMPARISON: &str = "
    UPDATE targets SET comparison_fault = $2, compared_at = $3 WHERE target = $1";

#[async_trait]
impl PublicationReader for StoreReader {
    async fn publications(&self, customer: Option<&str>) -> Result<Vec<(Text, Publication)>, RegisterFault> {
        let customer = customer.map(str::to_owned);
        self.ask(Vec::new(), |connection| {
            Box::pin(async move { listed(connection, customer.as_deref()).await })
        })
        .await
    }

    async fn target_statuses(&self) -> Result<Vec<TargetStatus>, RegisterFault> {
        self.ask(Vec::new(), |connection| Box::pin(statuses(connection))).await
    }
}

#[async_trait]
impl PublicationReader for Store {
    async fn publications(&self, customer: Option<&str>) -> Result<Vec<(Text, Publication)>, RegisterFault> {
        self.reader().publications(customer).await
    }

    async fn target_statuses(&self) -> Result<Vec<TargetStatus>, RegisterFault> {
        self.reader().target_statuses().await
    }
}

#[async_trait]
impl Publications for Store {
    async fn standing(
        &self,
        customer: &str,
        target: &str,
        accounts: &[AccountKey],
    ) -> Result<Standing, RegisterFault> {
        let (customer, target, keys) = (customer.to_owned(), target.to_owned(), accounts.to_vec());
        self.reader()
            .ask(Standing::default(), move |connection| {
                Box::pin(async move { standing(connection, &customer, &target, &keys).await })
            })
            .await
    }

    async fn taken(
        &self,
        customer: &str,
        target: &str,
        names: &[Text],
    ) -> Result<BTreeMap<Text, Text>, RegisterFault> {
        let (customer, target, names) = (customer.to_owned(), target.to_owned(), names.to_vec());
        self.reader()
            .ask(BTreeMap::new(), move |connection| {
                Box::pin(async move { taken(connection, &customer, &target, &names).await })
            })
            .await
    }

    async fn leavers(&self, target: &str, since: Timestamp) -> Result<Leavers, RegisterFault> {
        let target = target.to_owned();
        self.reader()
            .ask(Leavers::default(), move |connection| {
                Box::pin(async move { leavers(connection, &target, since).await })
            })
            .await
    }

    async fn customers_of(&self, target: &str) -> Result<Vec<Text>, RegisterFault> {
        let target = target.to_owned();
        self.reader()
            .ask(Vec::new(), move |connection| {
                Box::pin(async move { customers_of(connection, &target).await })
            })
            .await
    }

    async fn record(&self, record: PublicationRecord) -> Result<ChainHead, RegisterFault> {
        let customer = record.customer.clone();
        self.write_of(&customer, |connection| Box::pin(write(connection, record))).await
    }

    async fn record_answer(
        &self,
        target: &str,
        fault: Option<&str>,
        at: Timestamp,
    ) -> Result<(), RegisterFault> {
        note_of_target(self, WRITE_ANSWER, target, fault, at).await
    }

    async fn record_comparison(
        &self,
        target: &str,
        fault: Option<&str>,
        at: Timestamp,
    ) -> Result<(), RegisterFault> {
        note_of_target(self, WRITE_COMPARISON, target, fault, at).await
    }
}

/// Notes of a target what went wrong, if anything did, and when, by one of the two statements for that.
async fn note_of_target(
    store: &Store,
    statement: &'static str,
    target: &str,
    fault: Option<&str>,
    at: Timestamp,
) -> Result<(), RegisterFault> {
    let (target, fault) = (target.to_owned(), fault.map(str::to_owned));
    store
        .write(move |connection| {
            Box::pin(async move {
                let query = sql::query(statement).bind(target.as_str()).bind(fault.as_deref());
                query.bind(at.as_microsecond()).execute(connection).await?;
                Ok(())
            })
        })
        .await
}

/// Writes what is known of one customer, if what it was decided from is still so. The fence of the register is passed
/// with what is found inside the transaction: nothing that a plan is computed from is written.
async fn write(connection: &mut Connection<'_>, record: PublicationRecord) -> Result<ChainHead, Mishap> {
    let PublicationRecord {
        customer,
        run,
        tree_revision,
        at,
        read,
        counted,
        written,
        forgotten,
        events,
        deliveries,
    } = record;
    let row = customers::read_to_write(connection, &customer).await?;
    let touched = written.iter().map(|known| (&known.target, known.account));
    let touched = touched.chain(forgotten.iter().map(|(target, account)| (target, *account)));
    for (target, account) in touched {
        let before = read.iter().find(|known| known.target == *target && known.account == account);
        if known_of(connection, &customer, target, account).await?.as_ref() != before {
            return Err(Mishap::Overtaken { customer });
        }
    }
    if let Some(CountedRemovals { target, since, recent }) = counted {
        // Others who remove somebody there wait for this one, and count anew.
        audit::wait_for_others(connection).await?;
        if leavers(connection, &target, since).await?.recent != recent {
            return Err(Mishap::Overtaken { customer });
        }
    }
    let commit = Commit {
        expected_revision: row.revision,
        run,
        tree_revision,
        at,
        accounts: Vec::new(),
        events,
        readings: ReadingDigests::default(),
        deliveries,
        pins: row.pins,
        holds: customers::holds(connection, &customer).await?,
        measures: None,
        suspension: SuspensionChange::None,
        contacts: ContactChanges::default(),
        is_beside: true,
        room: None,
        customer: customer.clone(),
    };
    let committed = register::write(connection, commit).await?;
    let mut rows = WRITE.rows();
    for known in &written {
        rows.push(values(&customer, known), connection).await?;
    }
    rows.end(connection).await?;
    for (target, account) in &forgotten {
        sql::query(FORGET)
            .bind(customer.as_str())
            .bind(target.as_str())
            .bind_all(accounts::key_values(account))
            .execute(connection)
            .await?;
    }
    Ok(committed.head)
}

fn values<'q>(customer: &'q str, known: &'q Publication) -> [Value<'q>; 17] {
    let digest = |digest: &Option<Digest>| digest.map(|digest| digest.to_string());
    [
        customer.into(),
        known.target.as_str().into(),
        known.account.account_type.code().into(),
        known.account.source.code().into(),
        known.account.id.to_string().into(),
        known.subject.as_str().into(),
        known.status.code().into(),
        known.cause.as_str().into(),
        known.since.as_microsecond().into(),
        known.wanted.code().into(),
        known.user_name.as_deref().into(),
        known.remote_id.as_deref().into(),
        digest(&known.asked).into(),
        known.asked_at.map(|at| at.as_microsecond()).into(),
        digest(&known.confirmed).into(),
        known.removal_at.map(|at| at.as_microsecond()).into(),
        digest(&known.corrected).into(),
    ]
}

/// Returns what is known of the accounts of one customer or of all: by customer, target and account.
pub(super) async fn listed(
    connection: &mut Connection<'_>,
    customer: Option<&str>,
) -> Result<Vec<(Text, Publication)>, Mishap> {
    let mut all = customers::rows_of(connection, customer, OF_CUSTOMER, OF_ALL, publication).await?;
    all.sort_by(|(left_customer, left), (right_customer, right)| {
        (left_customer, &left.target, left.account).cmp(&(right_customer, &right.target, right.account))
    });
    Ok(all)
}

async fn standing(
    connection: &mut Connection<'_>,
    customer: &str,
    target: &str,
    keys: &[AccountKey],
) -> Result<Standing, Mishap> {
    let status = bookkeeping::status(connection, customer).await?;
    let is_suspended = status.is_some_and(|status| status.state == CustomerState::Suspended.code())
        || suspensions::read(connection, customer).await?.is_some();
    let mut standing = Standing { is_suspended, ..Standing::default() };
    for key in keys {
        let found = accounts::with_id(connection, customer, key.id).await?;
        standing.accounts.extend(found.into_iter().filter(|account| account.key == *key));
        standing.publications.extend(known_of(connection, customer, target, *key).await?);
    }
    Ok(standing)
}

async fn known_of(
    connection: &mut Connection<'_>,
    customer: &str,
    target: &str,
    key: AccountKey,
) -> Result<Option<Publication>, Mishap> {
    let row = sql::query(OF_ACCOUNT)
        .bind(customer)
        .bind(target)
        .bind_all(accounts::key_values(&key))
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(publication).transpose()
}

/// Returns how the accounts of one customer that have an id stand, by target.
pub(super) async fn with_id(
    connection: &mut Connection<'_>,
    customer: &str,
    id: Guid,
) -> Result<Vec<Publication>, Mishap> {
    let query = sql::query(WITH_ID).bind(customer).bind(id.to_string());
    query.fetch_all(connection).await?.iter().map(publication).collect()
}

async fn taken(
    connection: &mut Connection<'_>,
    customer: &str,
    target: &str,
    names: &[Text],
) -> Result<BTreeMap<Text, Text>, Mishap> {
    let mut taken = BTreeMap::new();
    for row in &sql::query(SHARED).bind(customer).bind(target).fetch_all(connection).await? {
        taken.insert(Text::from(row.get::<&str>(0)?), Text::from(row.get::<&str>(1)?));
    }
    for name in names {
        let query = sql::query(TAKEN).bind(target).bind(name.as_str()).bind(customer);
        if let Some(row) = query.fetch_optional(connection).await? {
            taken.insert(name.clone(), Text::from(row.get::<&str>(0)?));
        }
    }
    Ok(taken)
}

async fn leavers(connection: &mut Connection<'_>, target: &str, since: Timestamp) -> Result<Leavers, Mishap> {
    let base = sql::query(BASE).bind(target).bind(since.as_microsecond());
    let base = base.fetch_one(connection).await?.get(0)?;
    let recent = sql::query(RECENT).bind(target).bind(since.as_microsecond());
    let recent = recent.fetch_one(connection).await?.get(0)?;
    let natural =
        |count: i64| u64::try_from(count).map_err(|_| strange("a number of users", &count.to_string()));
    Ok(Leavers { base: natural(base)?, recent: natural(recent)? })
}

async fn customers_of(connection: &mut Connection<'_>, target: &str) -> Result<Vec<Text>, Mishap> {
    let rows = sql::query(CUSTOMERS).bind(target).fetch_all(connection).await?;
    let mut names = Vec::with_capacity(rows.len());
    for row in &rows {
        names.push(Text::from(row.get::<&str>(0)?));
    }
    names.sort_unstable();
    Ok(names)
}

/// Returns how targets were last spoken to, by name.
pub(super) async fn statuses(connection: &mut Connection<'_>) -> Result<Vec<TargetStatus>, Mishap> {
    let rows = sql::query(STATUSES).fetch_all(connection).await?;
    let mut statuses = Vec::with_capacity(rows.len());
    for row in &rows {
        let fault: Option<String> = row.get(1)?;
        statuses.push(TargetStatus {
            target: Text::from(row.get::<&str>(0)?),
            fault: fault.zip(time(row, 2)?),
            compared_at: time(row, 3)?,
            comparison_fault: row.get(4)?,
        });
    }
    statuses.sort_by(|left, right| left.target.cmp(&right.target));
    Ok(statuses)
}

fn publication(row: &Row) -> Result<Publication, Mishap> {
    let word = |column: usize| row.get::<&str>(column);
    let text = |column: usize| Ok::<_, Mishap>(row.get::<Option<&str>>(column)?.map(Text::from));
    let digest = |column: usize| {
        let written = row.get::<Option<&str>>(column)?;
        written.map(|text| text.parse().map_err(|_| strange("a digest", text))).transpose()
    };
    Ok(Publication {
        account: accounts::key(row, 2)?,
        target: Text::from(word(1)?),
        subject: Text::from(word(5)?),
        status: PublicationStatus::from_code(word(6)?)
            .ok_or_else(|| strange("a publication's status", word(6).unwrap_or_default()))?,
        cause: row.get(7)?,
        since: moment(row.get(8)?)?,
        wanted: Presence::from_code(word(9)?)
            .ok_or_else(|| strange("what is wanted", word(9).unwrap_or_default()))?,
        user_name: text(10)?,
        remote_id: text(11)?,
        asked: digest(12)?,
        asked_at: time(row, 13)?,
        confirmed: digest(14)?,
        removal_at: time(row, 15)?,
        corrected: digest(16)?,
    })
}
