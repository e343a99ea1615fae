//! `status`: how each customer's last turn went, and whose contacts wait for a person.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::exit::{Exit, Failure};
use crate::cli::matches::last_look;
use crate::cli::publications::{Publications, publications};
use crate::cli::selection::named;
use crate::cli::session::Session;
use crate::cli::wiring;
use crate::model::account::AccountState;
use crate::model::contact_match::{DocumentationStatus, MatchStatus};
use crate::model::register::{CustomerStatus, Reports};
use crate::model::text::{Text, inert};
use crate::model::tree_status::{TreeCommit, TreeStatus};
use crate::reconcile::contact_list::{ContactList, ListedContact, contact_list};

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
    let asked = (!session.common.customers.is_empty()).then_some(&chosen);
    let documentation = documentation(contact_list(&*register, asked).await?);
    let reader = wiring::open_publications(session.state(&operator)).await?;
    let published = publications(&*reader, asked).await?;
    if session.is_json() {
        let customers: Vec<Value> =
            statuses.iter().map(|status| form(status, &documentation, &published)).collect();
        let tree = tree.as_ref().map(tree_form);
        let targets = published.targets_form();
        session.out.json(&json!({"tree": tree, "targets": targets, "customers": customers}))?;
        return Ok(Exit::Done);
    }
    if let Some(tree) = &tree {
        session.out.text(&describe(tree))?;
    }
    let rows: Vec<[String; 6]> = statuses.iter().map(row).collect();
    let titles = ["CUSTOMER", "STATE", "LAST ATTEMPT", "LAST SUCCESS", "NEXT ATTEMPT", "MESSAGE"];
    session.out.table(titles, &rows, "No customer has had a turn yet.")?;
    session.out.text(&unclear(&documentation))?;
    session.out.text(&published.told())?;
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

/// How a customer's accounts stand in one documentation system.
struct Documented {
    system: DocumentationStatus,
    /// How many accounts stand how; a status of nobody is missing.
    counts: BTreeMap<MatchStatus, usize>,
}

/// Counts how accounts stand, by customer and system: as `matches` lists them.
fn documentation(list: ContactList) -> BTreeMap<Text, Vec<Documented>> {
    let mut counts: BTreeMap<(Text, Text), BTreeMap<MatchStatus, usize>> = BTreeMap::new();
    for ListedContact { customer, account, found } in list.contacts {
        // Nobody looks for those of orphaned accounts, so nothing would become of what is done about them.
        if matches!(account.state, AccountState::Orphaned { .. }) {
            continue;
        }
        *counts.entry((customer, found.connection)).or_default().entry(found.status).or_default() += 1;
    }
    let mut documentation: BTreeMap<Text, Vec<Documented>> = BTreeMap::new();
    for system in list.systems {
        let key = (system.customer.clone(), system.connection.clone());
        let counts = counts.remove(&key).unwrap_or_default();
        documentation.entry(key.0).or_default().push(Documented { system, counts });
    }
    documentation
}

impl Documented {
    fn count(&self, status: MatchStatus) -> usize {
        self.counts.get(&status).copied().unwrap_or_default()
    }

    fn form(&self) -> Value {
        let mut form = json!({
            "system": self.system.connection,
            "lastSuccess": self.system.last_success,
            "fault": self.system.fault,
        });
        for status in MatchStatus::ALL {
            form[status.code()] = json!(self.count(status));
        }
        form
    }
}

/// Says in a line for each customer and system that somebody has to look at what is wrong there; nothing where
/// nothing is.
fn unclear(documentation: &BTreeMap<Text, Vec<Documented>>) -> String {
    let mut text = String::new();
    for documented in documentation.values().flatten() {
        let system = &documented.system;
        let waiting =
            [MatchStatus::Ambiguous, MatchStatus::Failed].map(|status| (documented.count(status), status));
        let waiting = waiting.iter().filter(|(count, _)| *count > 0);
        let waiting: Vec<String> = waiting.map(|(count, status)| format!("{count} {status}")).collect();
        let fault = system
            .fault
            .as_ref()
            .map(|fault| format!("{} ({})", last_look(system), inert(fault.trim_end_matches('.'))));
        let told: Vec<String> =
            (!waiting.is_empty()).then(|| waiting.join(", ")).into_iter().chain(fault).collect();
        if told.is_empty() {
            continue;
        }
        let customer = inert(&system.customer);
        text.push_str(&format!(
            "{customer} in {}: {}; `intake matches --customer {customer}` lists them.\n",
            inert(&system.connection),
            told.join("; ")
        ));
    }
    text
}

fn form(
    status: &CustomerStatus,
    documentation: &BTreeMap<Text, Vec<Documented>>,
    published: &Publications,
) -> Value {
    let mine = documentation.get(&status.customer).into_iter().flatten();
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
        "documentation": mine.map(Documented::form).collect::<Vec<Value>>(),
        "publications": published.customer_form(&status.customer),
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
