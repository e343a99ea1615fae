//! `status`: how each customer's last turn went.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::exit::{Exit, Failure};
use crate::cli::selection::named;
use crate::cli::session::Session;
use crate::model::register::{CustomerStatus, Reports};
use crate::model::text::{Text, inert};
use crate::model::tree_status::{TreeCommit, TreeStatus};

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
    let tree = register.tree().await?;
    if session.is_json() {
        let customers: Vec<Value> = statuses.iter().map(form).collect();
        session.out.json(&json!({"tree": tree.as_ref().map(tree_form), "customers": customers}))?;
        return Ok(Exit::Done);
    }
    if let Some(tree) = &tree {
        session.out.text(&describe(tree))?;
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

fn tree_form(tree: &TreeStatus) -> Value {
    json!({
        "source": tree.source,
        "revision": tree.revision,
        "authored": tree.commit.as_ref().map(|commit| &commit.authored),
        "author": tree.commit.as_ref().map(|commit| &commit.author),
        "since": tree.since,
        "lookedAt": tree.looked_at,
        "problems": tree.problems,
        "fault": tree.fault.as_ref().map(|(fault, _)| fault),
        "faultSince": tree.fault.as_ref().map(|(_, since)| since),
    })
}

/// Says in a paragraph which tree is in force.
fn describe(tree: &TreeStatus) -> String {
    let mut text = match &tree.commit {
        Some(TreeCommit { authored, author }) => format!(
            "Tree: commit {} of {} by {} ({}), in force since {}.\n",
            inert(tree.revision.get(..12).unwrap_or(&tree.revision)),
            inert(authored),
            inert(author),
            inert(&tree.source),
            moment(tree.since),
        ),
        None => format!("Tree: {}, in force since {}.\n", inert(&tree.source), moment(tree.since)),
    };
    if tree.problems > 0 {
        let problems =
            if tree.problems == 1 { "1 problem".to_owned() } else { format!("{} problems", tree.problems) };
        text.push_str(&format!("It has {problems}: customers whose documents have errors are invalid.\n"));
    }
    if let Some((fault, since)) = &tree.fault {
        let since = moment(*since);
        text.push_str(&format!(
            "It may not be the newest, since {since}: {}.\n",
            inert(fault.trim_end_matches('.'))
        ));
    }
    text.push('\n');
    text
}

fn moment(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn row(status: &CustomerStatus) -> [String; 6] {
    let moment = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), moment);
    [
        status.customer.to_string(),
        status.state.to_string(),
        moment(Some(status.last_attempt)),
        moment(status.last_success),
        moment(status.next_attempt),
        status.message.clone(),
    ]
}
