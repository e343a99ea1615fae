//! `matches`: how accounts stand in documentation systems, and what to commit where a person has to choose.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::arguments::MatchesArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::selection::registered;
use crate::cli::session::Session;
use crate::model::contact_match::{DocumentationStatus, MatchCandidate, MatchStatus};
use crate::model::text::{Text, inert};
use crate::plan::register_view::ListedMatch;
use crate::policy::choice_line::{choice, name_of};
use crate::reconcile::contact_list::{ContactList, ListedContact, contact_list};

/// Runs the command.
///
/// # Errors
/// The register's.
pub async fn run(session: &mut Session, arguments: &MatchesArguments) -> Result<Exit, Failure> {
    let operator = session.operator()?;
    let register = session.reader(&operator).await?;
    let chosen = registered(&*register, &session.common.customers).await?;
    let asked = (!session.common.customers.is_empty()).then_some(&chosen);
    let ContactList { mut contacts, mut systems } = contact_list(&*register, asked).await?;
    let is_system =
        |name: &str| arguments.systems.is_empty() || arguments.systems.iter().any(|asked| asked == name);
    systems.retain(|system| is_system(&system.connection));
    contacts.retain(|listed| {
        is_system(&listed.found.connection)
            && (arguments.statuses.is_empty() || arguments.statuses.contains(&listed.found.status))
    });
    if session.is_json() {
        let matches: Vec<Value> = contacts.iter().map(form).collect();
        let systems: Vec<Value> = systems.iter().map(system_form).collect();
        session.out.json(&json!({"matches": matches, "systems": systems}))?;
        return Ok(Exit::Done);
    }
    session.out.text(&text(&contacts, &systems, !arguments.statuses.is_empty()))?;
    Ok(Exit::Done)
}

fn form(listed: &ListedContact) -> Value {
    let ListedContact { customer, account, found } = listed;
    json!(ListedMatch::of(customer, account, found))
}

fn system_form(system: &DocumentationStatus) -> Value {
    json!({
        "customer": system.customer,
        "system": system.connection,
        "lastAttempt": system.last_attempt,
        "lastSuccess": system.last_success,
        "fault": system.fault,
    })
}

/// Shows a block for each customer and system. `is_part`: whether only some statuses were asked for.
fn text(contacts: &[ListedContact], systems: &[DocumentationStatus], is_part: bool) -> String {
    let mut text = String::new();
    let mut by_system: BTreeMap<(&Text, &Text), Vec<&ListedContact>> = BTreeMap::new();
    for listed in contacts {
        by_system.entry((&listed.customer, &listed.found.connection)).or_default().push(listed);
    }
    for system in systems {
        let mine = by_system.remove(&(&system.customer, &system.connection)).unwrap_or_default();
        if mine.is_empty() && is_part && system.fault.is_none() {
            continue;
        }
        text.push_str(&format!("{} in {}: ", inert(&system.customer), inert(&system.connection)));
        let counts = MatchStatus::ALL.map(|status| {
            (mine.iter().filter(|listed| listed.found.status == status).count(), status.code())
        });
        let counts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        text.push_str(&if counts.is_empty() { "nobody".to_owned() } else { counts.join(", ") });
        text.push('\n');
        if let Some(fault) = &system.fault {
            text.push_str(&format!("  ! {}: {}\n", last_look(system), inert(fault)));
        }
        for listed in mine {
            text.push_str(&entry(listed));
        }
    }
    if text.is_empty() {
        text.push_str(if is_part && !systems.is_empty() {
            "No account stands so.\n"
        } else {
            "No customer's accounts were looked for in a documentation system yet.\n"
        });
    }
    text
}

/// Says when a system was last read for a customer.
pub(crate) fn last_look(system: &DocumentationStatus) -> String {
    match system.last_success {
        Some(at) => format!("last looked into at {}", at.strftime("%Y-%m-%d %H:%M:%SZ")),
        None => "never looked into yet".to_owned(),
    }
}

fn entry(listed: &ListedContact) -> String {
    let ListedContact { account, found, .. } = listed;
    let mut text = format!("  {} {} ({})", found.status, inert(name_of(account)), account.key.account_type);
    if found.status == MatchStatus::Matched {
        if let Some(candidate) = found.candidates.first() {
            text.push_str(&format!(" = {}", described(candidate)));
        }
        text.push('\n');
        return text;
    }
    text.push_str(&format!(": {}\n", inert(&found.cause)));
    for candidate in &found.candidates {
        text.push_str(&format!("      {}\n", described(candidate)));
        if candidate.is_archived {
            continue;
        }
        if let Some(choice) = choice(account, &found.connection, candidate) {
            text.push_str(&format!("        to choose it: {choice}\n"));
        }
    }
    let shown = u64::try_from(found.candidates.len()).unwrap_or(u64::MAX);
    if found.candidate_count > shown {
        text.push_str(&format!("      and {} more\n", found.candidate_count - shown));
    }
    text
}

fn described(candidate: &MatchCandidate) -> String {
    let mut text = inert(&candidate.id).into_owned();
    if !candidate.name.is_empty() {
        text.push_str(&format!(" {}", inert(&candidate.name)));
    }
    text.push_str(&format!(", by {}", candidate.matched_by.code()));
    if let Some(value) = &candidate.value {
        text.push_str(&format!(" {}", inert(value)));
    }
    for more in [&candidate.remark, &candidate.url].into_iter().flatten() {
        text.push_str(&format!(", {}", inert(more)));
    }
    if candidate.is_archived {
        text.push_str(", archived");
    }
    text
}
