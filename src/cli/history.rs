//! `history`: the audit record, and whether it is whole.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::arguments::HistoryArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::selection::named;
use crate::cli::session::Session;
use crate::cli::wiring::store_is_there;
use crate::model::register::Event;
use crate::model::text::{Text, inert};
use crate::ports::register::{ChainCheck, RegisterReader};

/// Runs the command.
///
/// # Errors
/// The register's.
pub async fn run(session: &mut Session, arguments: &HistoryArguments) -> Result<Exit, Failure> {
    let operator = session.operator()?;
    let register = session.reader(&operator).await?;
    let known = register.customers().await?;
    let chosen = named(&known.iter().collect::<BTreeSet<_>>(), &session.common.customers)?;
    if arguments.verify {
        let state = session.state(&operator);
        if !store_is_there(state) {
            // Nothing that was checked is not a record that is whole.
            return Err(Failure::new(format!(
                "there is nothing to verify: there is no store at {}",
                inert(state)
            ))
            .hint("look at `--state`, and at `state` of the operator's file"));
        }
        return verify(session, &*register, &chosen).await;
    }
    let mut events = match &session.common.customers[..] {
        [one] => register.events(Some(one)).await?,
        _ => register.events(None).await?,
    };
    events.retain(|event| session.common.customers.is_empty() || chosen.contains(&event.customer));
    if session.is_json() {
        let events: Vec<Value> = events.iter().map(form).collect();
        session.out.json(&json!({"events": events}))?;
        return Ok(Exit::Done);
    }
    if events.is_empty() {
        session.out.text("No events.\n")?;
    }
    for event in &events {
        session.out.text(&line(event))?;
    }
    Ok(Exit::Done)
}

fn form(event: &Event) -> Value {
    let account = event.account.map(|(account_type, id)| json!({"accountType": account_type, "id": id}));
    json!({
        "customer": event.customer,
        "sequence": event.sequence,
        "at": event.at,
        "kind": event.kind,
        "account": account,
        "subject": event.subject,
        "run": event.run,
        "revision": event.tree_revision,
        "details": event.details,
        "hash": event.hash,
    })
}

fn line(event: &Event) -> String {
    let mut line = format!(
        "{} {} #{} {} {}",
        event.at.strftime("%Y-%m-%d %H:%M:%SZ"),
        inert(&event.customer),
        event.sequence,
        inert(&event.kind),
        inert(&event.subject)
    );
    if let Some((account_type, _)) = event.account {
        let _ = write!(line, " {account_type}");
    }
    for field in ["reason", "policy", "approval"] {
        if let Some(value) = event.details.get(field).and_then(Value::as_str) {
            let _ = write!(line, " {field}={}", inert(value));
        }
    }
    for change in event.details.get("changes").and_then(Value::as_array).into_iter().flatten() {
        let text = |field: &str| change.get(field).and_then(Value::as_str).unwrap_or("(none)").to_owned();
        let _ = write!(
            line,
            " {}: {} → {}",
            inert(&text("field")),
            inert(&text("before")),
            inert(&text("after"))
        );
    }
    line.push('\n');
    line
}

async fn verify(
    session: &mut Session,
    register: &dyn RegisterReader,
    chosen: &BTreeSet<&Text>,
) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    let mut forms = Vec::new();
    for customer in chosen {
        let name = inert(customer);
        let check = register.verify(customer).await?;
        let (form, line) = match check {
            ChainCheck::Whole { events } => (
                json!({"customer": customer, "whole": true, "events": events}),
                format!("{name}: whole, {events} events\n"),
            ),
            ChainCheck::Broken { sequence, what } => {
                exit = Exit::Error;
                (
                    json!({"customer": customer, "whole": false, "sequence": sequence, "what": what}),
                    format!("{name}: broken at event {sequence}: {}\n", inert(&what)),
                )
            }
        };
        forms.push(form);
        if !session.is_json() {
            session.out.text(&line)?;
        }
    }
    if session.is_json() {
        session.out.json(&json!({"customers": forms}))?;
    }
    Ok(exit)
}
