//! `history --at`: the register as it was, rebuilt from the audit record.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::cli::accounts;
use crate::cli::exit::{Exit, Failure};
use crate::cli::session::Session;
use crate::model::account::Account;
use crate::model::event::EventQuery;
use crate::model::text::Text;
use crate::ports::register::{ChainCheck, RegisterReader};
use crate::reconcile::replay::Replay;

/// Shows the accounts of these customers as they were at a moment. A customer whose record is broken is
/// told of in place of its accounts: what they were could only be guessed then.
///
/// # Errors
/// If the accounts cannot be written. What is wrong with one customer is an exit code, and stops no other.
pub async fn run(
    session: &mut Session,
    register: &dyn RegisterReader,
    chosen: &BTreeSet<Text>,
    at: Timestamp,
) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    let mut all = Vec::new();
    for customer in chosen {
        match accounts_at(register, customer, at).await {
            Ok(accounts) => all.extend(accounts.into_iter().map(|account| (customer.clone(), account))),
            Err(failure) => {
                session.complain(&failure);
                exit = Exit::Error;
            }
        }
    }
    // That nobody was there is not known of whom nothing could be told.
    if exit == Exit::Done || !all.is_empty() || session.is_json() {
        accounts::show(session, &all)?;
    }
    Ok(exit)
}

/// Rebuilds the accounts of one customer, in the order in which accounts are listed.
async fn accounts_at(
    register: &dyn RegisterReader,
    customer: &Text,
    at: Timestamp,
) -> Result<Vec<Account>, Failure> {
    if let ChainCheck::Broken { sequence, what } = register.verify(customer).await? {
        return Err(Failure::new(format!(
            "{customer}: the audit record is broken at event {sequence} ({what}), and what its register was \
             cannot be told"
        ))
        .hint("`intake history --verify` checks every record; a backup may hold this one whole"));
    }
    let mut accounts = replayed(register, customer, at).await?.accounts(at);
    accounts.sort_by(Account::cmp_listed);
    Ok(accounts)
}

/// Follows the record up to the first event after a moment: a clock that was set back leaves no holes.
async fn replayed(register: &dyn RegisterReader, customer: &Text, at: Timestamp) -> Result<Replay, Failure> {
    let query = EventQuery::all(Some(customer));
    let (mut replay, mut after) = (Replay::default(), None);
    loop {
        let page = register.event_page(&query, after).await?;
        for event in &page.events {
            if event.at > at {
                return Ok(replay);
            }
            replay.follow(event).map_err(|fault| Failure::of("", &fault))?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(replay);
        }
    }
}
