//! `state`: moves the store to another place, writes and restores backups, and checks it.

use serde_json::{Map, Value, json};

use crate::cli::arguments::StateCommand;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::counted;
use crate::cli::session::Session;
use crate::cli::wiring::{self, store_is_there, without_password};
use crate::model::text::inert;
use crate::ports::moving::{Checked, Copied};
use crate::ports::register::ChainCheck;

/// Runs the command.
///
/// # Errors
/// The stores'; one that is copied from and is not there; one that is copied into and holds something. A damaged
/// store that is checked is an exit code.
pub async fn run(session: &mut Session, command: &StateCommand) -> Result<Exit, Failure> {
    if !session.common.customers.is_empty() {
        return Err(Failure::new("`state` is about the whole store: `--customer` is not for it")
            .hint("`intake history --verify --customer NAME` verifies the record of one customer"));
    }
    let operator = session.operator()?;
    let state = session.state(&operator).to_owned();
    match command {
        StateCommand::Copy(arguments) => {
            expect_store(&arguments.from, "copy")?;
            let copied = wiring::copy_store(&arguments.from, &arguments.to).await?;
            let exit = tell(session, &copied, &arguments.from, &arguments.to)?;
            session.note(
                "What is written to the first one from now on is not in the copy: if a controller still runs on it, \
                 stop it, and copy again into an empty store.",
            );
            Ok(exit)
        }
        StateCommand::Backup(arguments) => {
            expect_store(&state, "back up")?;
            let copied = wiring::back_up_store(&state, &arguments.to).await?;
            tell(session, &copied, &state, &address(&arguments.to)?)
        }
        StateCommand::Restore(arguments) => {
            let from = address(&arguments.from)?;
            expect_store(&from, "restore")?;
            let copied = wiring::copy_store(&from, &state).await?;
            tell(session, &copied, &from, &state)
        }
        StateCommand::Check => {
            expect_store(&state, "check")?;
            let checked = wiring::check_store(&state).await?;
            let checked = checked.ok_or_else(|| nothing(&state, "check"))?;
            report(session, &checked)
        }
    }
}

/// Returns a file as the address of a store.
fn address(path: &std::path::Path) -> Result<String, Failure> {
    let text = path.to_str().ok_or_else(|| {
        Failure::new(format!("the path `{}` is no text", path.display())).hint("name another file")
    })?;
    Ok(format!("sqlite:{text}"))
}

/// A store that nobody made yet reads as an empty one, and a copy of it would be taken for a backup.
fn expect_store(state: &str, what_for: &str) -> Result<(), Failure> {
    if store_is_there(state) { Ok(()) } else { Err(nothing(state, what_for)) }
}

fn nothing(state: &str, what_for: &str) -> Failure {
    let state = without_password(state);
    Failure::new(format!("there is nothing to {what_for}: there is no store at {}", inert(&state)))
        .hint("look at the address, and at `state` of the operator's file")
}

/// Tells what was copied. What was damaged before is an exit code.
fn tell(session: &mut Session, copied: &Copied, from: &str, to: &str) -> Result<Exit, Failure> {
    let exit = if copied.damage.is_empty() { Exit::Done } else { Exit::Error };
    let (from, to) = (without_password(from), without_password(to));
    if session.is_json() {
        let tables: Vec<Value> = copied
            .tables
            .iter()
            .map(|table| json!({"name": table.name, "rows": table.rows, "digest": table.digest}))
            .collect();
        let heads: Vec<Value> = copied
            .heads
            .iter()
            .map(|(customer, head)| json!({"customer": customer, "events": head.events, "head": head.hash}))
            .collect();
        session.out.json(&json!({
            "from": from, "to": to, "tables": tables, "customers": heads, "damage": copied.damage,
        }))?;
        return Ok(exit);
    }
    let of =
        |table: &str, word: &str| counted(usize::try_from(copied.rows(table)).unwrap_or(usize::MAX), word);
    let mut text = format!(
        "{} and {} of {} are in {}: compared row by row, every record whole.\n",
        of("accounts", "account"),
        of("events", "event"),
        of("customers", "customer"),
        inert(&to),
    );
    for (customer, head) in &copied.heads {
        let hash = head.hash.map_or_else(String::new, |hash| format!(", head {hash}"));
        text.push_str(&format!("{}: up to event {}{hash}\n", inert(customer), head.events));
    }
    for damage in &copied.damage {
        text.push_str(&format!("damaged, here and there: {}\n", inert(damage)));
    }
    session.out.text(&text)?;
    Ok(exit)
}

fn report(session: &mut Session, checked: &Checked) -> Result<Exit, Failure> {
    let exit = if checked.is_whole() { Exit::Done } else { Exit::Error };
    if session.is_json() {
        let rows: Map<String, Value> =
            checked.rows.iter().map(|(table, rows)| ((*table).to_owned(), json!(rows))).collect();
        let customers: Vec<Value> = checked
            .chains
            .iter()
            .map(|(customer, check)| match check {
                ChainCheck::Whole(head) => {
                    json!({"customer": customer, "whole": true, "events": head.events, "head": head.hash})
                }
                ChainCheck::Broken { sequence, what } => {
                    json!({"customer": customer, "whole": false, "sequence": sequence, "what": what})
                }
            })
            .collect();
        session.out.json(&json!({
            "whole": checked.is_whole(), "rows": rows, "customers": customers, "damage": checked.damage,
        }))?;
        return Ok(exit);
    }
    let mut text = String::new();
    for (customer, check) in &checked.chains {
        let name = inert(customer);
        match check {
            ChainCheck::Whole(head) => {
                let hash = head.hash.map_or_else(String::new, |hash| format!(", head {hash}"));
                text.push_str(&format!("{name}: whole, {} events{hash}\n", head.events));
            }
            ChainCheck::Broken { sequence, what } => {
                text.push_str(&format!("{name}: broken at event {sequence}: {}\n", inert(what)));
            }
        }
    }
    for damage in &checked.damage {
        text.push_str(&format!("damaged: {}\n", inert(damage)));
    }
    let rows: u64 = checked.rows.values().sum();
    text.push_str(&match exit {
        Exit::Done => format!("The store is whole: {rows} rows were read.\n"),
        _ => format!("The store is damaged: {rows} rows were read, and what is wrong stands above.\n"),
    });
    session.out.text(&text)?;
    Ok(exit)
}
