//! Checking a store: reads everything in it as whoever needs it would, from one state, and goes on after what is
//! damaged.

use std::collections::BTreeSet;

use crate::adapters::store::accounts::{self, moment, strange};
use crate::adapters::store::connection::{Pulse, StoreReader};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection, Row, Statement, either};
use crate::adapters::store::tables::MOVED;
use crate::adapters::store::{
    audit, bookkeeping, contacts, customers, publications, readings, register, suspensions, sync_states, tree,
};
use crate::model::event::EventQuery;
use crate::model::text::Text;
use crate::ports::moving::Checked;
use crate::ports::register::RegisterFault;

/// Whether the file is one that SQLite can rely on: pages, indexes and conditions of tables. A server looks after its
/// own.
const FILE: Statement = either("PRAGMA integrity_check(20)", "SELECT 'ok'");

const OUTBOX: &str = "
    SELECT id, body, attempts, next_attempt, delivered_at, given_up_at FROM outbox WHERE id > $1
    ORDER BY id LIMIT 500";

impl StoreReader {
    /// Reads everything in the store, verifies every audit record, and that nothing refers to a customer that is not
    /// there; `None` if there is no store. What is damaged is told, and the rest is read all the same.
    ///
    /// # Errors
    /// As [`Store::open_reading`](crate::adapters::store::connection::Store::open_reading).
    pub async fn check(&self) -> Result<Option<Checked>, RegisterFault> {
        let pulse = Pulse::default();
        let beating = pulse.clone();
        self.ask_long(None, &pulse, |connection| {
            Box::pin(async move { check(connection, &beating).await.map(Some) })
        })
        .await
    }
}

/// Checks within one question, or within the transaction that wrote it all.
pub(super) async fn check(connection: &mut Connection<'_>, pulse: &Pulse) -> Result<Checked, Mishap> {
    let mut checked = Checked::default();
    let mut found = Damage::default();
    for row in &sql::query(FILE).fetch_all(connection).await? {
        let said: String = row.get(0)?;
        if said != "ok" {
            found.0.push(format!("the file: {said}"));
        }
    }
    let mut all = BTreeSet::new();
    for moved in MOVED.iter() {
        let name = moved.table.name;
        checked.rows.insert(name, moved.count(connection).await?);
        pulse.beat();
        for (customer, rows) in moved.strays(connection).await? {
            found.0.push(format!("`{name}`: {rows} rows of `{customer}`, which is not among the customers"));
        }
        all.extend(moved.customers(connection).await?.into_iter().map(Text::from));
        pulse.beat();
    }
    let known = customers::names(connection).await?;
    all.extend(known.iter().cloned());
    for customer in &all {
        of_customer(connection, customer, &mut found, pulse).await?;
    }
    for customer in known {
        if let Some(check) = found.note(&customer, audit::verify(connection, &customer).await)? {
            checked.chains.insert(customer, check);
        }
        pulse.beat();
    }
    found.note("the statuses", bookkeeping::statuses(connection).await)?;
    found.note("the statuses of documentation", contacts::statuses(connection).await)?;
    found.note("the targets", publications::statuses(connection).await)?;
    found.note("the tree", tree::read(connection).await)?;
    outbox(connection, &mut found, pulse).await?;
    checked.damage = found.0;
    Ok(checked)
}

/// What was found.
#[derive(Default)]
struct Damage(Vec<String>);

impl Damage {
    /// Notes what is wrong with a row.
    fn note<T>(&mut self, place: &str, read: Result<T, Mishap>) -> Result<Option<T>, Mishap> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(mishap) => {
                let what = format!("{place}: {}", mishap.of_row()?);
                // Two readers come by the same row.
                if !self.0.contains(&what) {
                    self.0.push(what);
                }
                Ok(None)
            }
        }
    }
}

/// Reads all that there is about a customer.
async fn of_customer(
    connection: &mut Connection<'_>,
    customer: &Text,
    found: &mut Damage,
    pulse: &Pulse,
) -> Result<(), Mishap> {
    let place = format!("`{customer}`");
    found.note(&place, register::load(connection, customer).await)?;
    // Each by itself besides: the first that is damaged hides the others.
    found.note(&place, customers::read(connection, customer).await)?;
    found.note(&place, customers::holds(connection, customer).await)?;
    found.note(&place, bookkeeping::measures(connection, customer).await)?;
    found.note(&place, suspensions::read(connection, customer).await)?;
    found.note(&place, accounts::of_customer(connection, customer).await)?;
    pulse.beat();
    found.note(&place, contacts::listed(connection, Some(customer)).await)?;
    found.note(&place, readings::read(connection, customer).await)?;
    found.note(&place, sync_states::read(connection, customer).await)?;
    found.note(&place, publications::listed(connection, Some(customer)).await)?;
    pulse.beat();
    let (query, mut after) = (EventQuery::all(Some(customer)), None);
    loop {
        let page = found.note(&place, audit::page(connection, &query, after).await)?;
        pulse.beat();
        match page.and_then(|page| page.next) {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

async fn outbox(connection: &mut Connection<'_>, found: &mut Damage, pulse: &Pulse) -> Result<(), Mishap> {
    let mut after = i64::MIN;
    loop {
        let rows = sql::query(OUTBOX).bind(after).fetch_all(connection).await?;
        pulse.beat();
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.get(0)?;
        for row in &rows {
            let id: i64 = row.get(0)?;
            found.note(&format!("delivery {id}"), delivery(row))?;
        }
    }
}

fn delivery(row: &Row) -> Result<(), Mishap> {
    let body: &str = row.get(1)?;
    serde_json::from_str::<serde::de::IgnoredAny>(body).map_err(|_| strange("a delivery's body", body))?;
    let attempts: i64 = row.get(2)?;
    u32::try_from(attempts).map_err(|_| strange("a number of attempts", &attempts.to_string()))?;
    moment(row.get(3)?)?;
    for column in [4, 5] {
        accounts::time(row, column)?;
    }
    Ok(())
}
