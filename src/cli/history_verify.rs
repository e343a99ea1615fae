//! `history --verify`: whether the audit record is whole, where it ends, and whether noted heads are in it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cli::exit::{Exit, Failure};
use crate::cli::session::Session;
use crate::model::digest::Digest;
use crate::model::text::{Text, inert};
use crate::ports::register::{ChainCheck, RegisterReader};

/// Checks the records of these customers, and that each of `heads` is the hash of an event in one of
/// them: a record whose end was cut off, and whose store was made to agree, is otherwise whole.
///
/// # Errors
/// The register's. A record that is broken, or lacks a head, is an exit code.
pub async fn run(
    session: &mut Session,
    register: &dyn RegisterReader,
    chosen: &BTreeSet<Text>,
    heads: &[Digest],
) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    let (mut customers, mut noted_heads) = (Vec::new(), Vec::new());
    for customer in chosen {
        let check = register.verify(customer).await?;
        if let ChainCheck::Broken { .. } = check {
            exit = Exit::Error;
        }
        let (form, line) = told(customer, &check);
        customers.push(form);
        tell(session, &line)?;
    }
    for head in heads {
        let place = find(register, chosen, *head).await?;
        if place.is_none() {
            exit = Exit::Error;
        }
        let (form, line) = noted(*head, place);
        noted_heads.push(form);
        tell(session, &line)?;
    }
    if session.is_json() {
        let mut result = json!({"customers": customers});
        if !heads.is_empty() {
            result["heads"] = Value::Array(noted_heads);
        }
        session.out.json(&result)?;
    }
    Ok(exit)
}

fn tell(session: &mut Session, line: &str) -> Result<(), Failure> {
    if session.is_json() { Ok(()) } else { session.out.text(line) }
}

fn told(customer: &Text, check: &ChainCheck) -> (Value, String) {
    let name = inert(customer);
    match check {
        ChainCheck::Whole(head) => {
            let hash = head.hash.map_or_else(String::new, |hash| format!(", head {hash}"));
            (
                json!({"customer": customer, "whole": true, "events": head.events, "head": head.hash}),
                format!("{name}: whole, {} events{hash}\n", head.events),
            )
        }
        ChainCheck::Broken { sequence, what } => (
            json!({"customer": customer, "whole": false, "sequence": sequence, "what": what}),
            format!("{name}: broken at event {sequence}: {}\n", inert(what)),
        ),
    }
}

/// Finds the event whose hash a head is.
async fn find<'a>(
    register: &dyn RegisterReader,
    chosen: &'a BTreeSet<Text>,
    head: Digest,
) -> Result<Option<(&'a Text, u64)>, Failure> {
    for customer in chosen {
        if let Some(sequence) = register.sequence_of(customer, head).await? {
            return Ok(Some((customer, sequence)));
        }
    }
    Ok(None)
}

fn noted(head: Digest, place: Option<(&Text, u64)>) -> (Value, String) {
    match place {
        Some((customer, sequence)) => (
            json!({"head": head, "customer": customer, "sequence": sequence}),
            format!("{head}: event {sequence} of {}\n", inert(customer)),
        ),
        None => (
            json!({"head": head, "customer": null, "sequence": null}),
            format!("{head}: missing: the record was cut off or rewritten, or it is another one\n"),
        ),
    }
}
