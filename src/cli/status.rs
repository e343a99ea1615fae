//! `status`: how each customer's last turn went.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::exit::{Exit, Failure};
use crate::cli::selection::named;
use crate::cli::session::Session;
use crate::model::register::{CustomerStatus, Reports};
use crate::model::text::{Text, inert};

/// Runs the command.
///
/// # Errors
/// The register's.
pub async fn run(session: &mut Session) -> Result<Exit, Failure> {
    let operator = session.operator()?;
    let register = session.reader(&operator).await?;
    let mut statuses = register.statuses().await?;
    let known = register.customers().await?;
    let all: BTreeSet<&Text> = known.iter().chain(statuses.iter().map(|status| &status.customer)).collect();
    let chosen: BTreeSet<Text> = named(&all, &session.common.customers)?.into_iter().cloned().collect();
    statuses.retain(|status| chosen.contains(&status.customer));
    if session.is_json() {
        let customers: Vec<Value> = statuses.iter().map(form).collect();
        session.out.json(&json!({"customers": customers}))?;
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 6]> = statuses.iter().map(row).collect();
    let titles = ["CUSTOMER", "STATE", "LAST ATTEMPT", "LAST SUCCESS", "NEXT ATTEMPT", "MESSAGE"];
    session.out.table(titles, &rows, "No customer has had a turn yet.")?;
    // Of whom somebody asks for by name, also what is billed from.
    if !session.common.customers.is_empty() {
        for status in &statuses {
            let Some(Reports { in_scope_without_license, licensed_outside_scope }) = status.reports else {
                continue;
            };
            session.out.text(&format!(
                "{}: {in_scope_without_license} in the scope without a licence that counts, \
                 {licensed_outside_scope} licensed outside of every scope (`plan --format json` names them).\n",
                inert(&status.customer)
            ))?;
        }
    }
    Ok(Exit::Done)
}

fn form(status: &CustomerStatus) -> Value {
    json!({
        "name": status.customer,
        "state": status.state,
        "lastAttempt": status.last_attempt,
        "lastSuccess": status.last_success,
        "nextAttempt": status.next_attempt,
        "failures": status.failures,
        "revision": status.tree_revision,
        "message": status.message,
        "inScopeWithoutLicense": status.reports.map(|reports| reports.in_scope_without_license),
        "licensedOutsideScope": status.reports.map(|reports| reports.licensed_outside_scope),
    })
}

fn row(status: &CustomerStatus) -> [String; 6] {
    let moment = |moment: Option<Timestamp>| match moment {
        Some(moment) => moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        None => "-".to_owned(),
    };
    [
        status.customer.to_string(),
        status.state.to_string(),
        moment(Some(status.last_attempt)),
        moment(status.last_success),
        moment(status.next_attempt),
        status.message.clone(),
    ]
}
