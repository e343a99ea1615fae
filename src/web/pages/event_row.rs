//! Events of the audit record as pages show them: what happened to whom, who did it, and everything else behind it.

use jiff::Timestamp;
use serde_json::Value;

use crate::model::account::Verdict;
use crate::model::event::{Event, EventKind};
use crate::model::text::inert;
use crate::web::pages::link::{of_account, of_customer};
use crate::web::pages::moment::Moment;
use crate::web::pages::word::{shown, verdict};

/// How many characters of an event's details are shown; what is longer is in `history`.
const LONGEST: usize = 20_000;
/// How many characters of one value are shown beside it.
const SHORT: usize = 500;

/// An event on a page.
pub struct EventRow {
    /// When.
    pub at: Moment,
    /// Whose.
    pub customer: String,
    /// Their page.
    pub customer_address: String,
    /// Its number in the customer's record.
    pub sequence: u64,
    /// What kind.
    pub code: String,
    /// What happened, in words.
    pub words: &'static str,
    /// How it is marked: good, bad, or neither.
    pub tone: &'static str,
    /// Whom it happened to.
    pub subject: String,
    /// Their page, if it is an account.
    pub address: Option<String>,
    /// Who decided: a person, or a policy.
    pub by: String,
    /// Why, and what else is short.
    pub facts: Vec<String>,
    /// What is otherwise than before: the field, before, after.
    pub changes: Vec<(String, String, String)>,
    /// Everything, for whoever wants to know exactly.
    pub details: String,
    /// The run and the revision.
    pub origin: String,
}

impl EventRow {
    /// Shows an event as of a time.
    pub fn of(event: &Event, now: Timestamp) -> Self {
        let kind = EventKind::from_code(&event.kind);
        let (words, tone) = kind.map_or(("Something that this version does not know", "plain"), words);
        let account = event.account.map(|(_, id)| of_account(&event.customer, &id.to_string()));
        Self {
            at: Moment::of(event.at, now),
            customer: inert(&event.customer).into_owned(),
            customer_address: of_customer(&event.customer, ""),
            sequence: event.sequence,
            code: inert(&event.kind).into_owned(),
            words,
            tone,
            subject: shown(&event.subject),
            address: account,
            by: by(&event.details),
            facts: facts(&event.details),
            changes: changes(&event.details),
            details: details(&event.details),
            origin: format!("run {}, revision {}", inert(&event.run), inert(&event.tree_revision)),
        }
    }
}

/// Says what happened, and whether that is good.
pub fn words(kind: EventKind) -> (&'static str, &'static str) {
    match kind {
        EventKind::AccountAdded => ("Account added", "good"),
        EventKind::AccountUpdated => ("Account updated", "plain"),
        EventKind::AccountPended => ("Removal pending", "warn"),
        EventKind::AccountReturned => ("Account returned", "good"),
        EventKind::AccountOrphaned => ("Account orphaned", "warn"),
        EventKind::AccountRemoved => ("Account removed", "bad"),
        EventKind::HoldRecorded => ("Removals held", "warn"),
        EventKind::HoldApproved => ("Removals approved", "good"),
        EventKind::SourcePinned => ("Source pinned", "plain"),
        EventKind::SyncRequested => ("Turn asked for", "plain"),
        EventKind::CustomerSuspended => ("Customer suspended", "warn"),
        EventKind::CustomerResumed => ("Customer resumed", "good"),
        EventKind::ContactMatched => ("Contact matched", "good"),
        EventKind::ContactUnmatched => ("Contact unmatched", "plain"),
        EventKind::ContactAmbiguous => ("Contact ambiguous", "warn"),
        EventKind::ContactFailed => ("Contact failed", "bad"),
        EventKind::ContactForgotten => ("Contact forgotten", "plain"),
        EventKind::PublicationCreated => ("Published", "good"),
        EventKind::PublicationUpdated => ("Publication updated", "plain"),
        EventKind::PublicationDeactivated => ("Deactivated at a target", "plain"),
        EventKind::PublicationDeleted => ("Deleted at a target", "bad"),
        EventKind::PublicationHeld => ("Removal held at a target", "warn"),
        EventKind::PublicationConflict => ("Publication in conflict", "bad"),
        EventKind::PublicationFailed => ("Publication failed", "bad"),
        EventKind::PublicationDrifted => ("Target drifted", "warn"),
        EventKind::PublicationOrphaned => ("Published no more", "warn"),
    }
}

fn by(details: &Value) -> String {
    let text = |value: &Value| value.as_str().map(|text| inert(text).into_owned());
    let by = details.get("by");
    if let Some(name) = by.and_then(text) {
        return name;
    }
    if let Some(name) = by.and_then(|by| by.get("command")).and_then(text) {
        return name;
    }
    if let Some(revision) = by.and_then(|by| by.get("tree")).and_then(text) {
        let bare = revision.trim_start_matches("sha256:");
        return format!("the tree at {}", bare.chars().take(12).collect::<String>());
    }
    match details.get("policy").and_then(text) {
        Some(policy) => format!("policy {policy}"),
        None => "Intake".to_owned(),
    }
}

fn facts(details: &Value) -> Vec<String> {
    let text = |field: &str| details.get(field).and_then(Value::as_str);
    let mut facts = Vec::new();
    if let Some(reason) = text("reason") {
        facts.push(match Verdict::from_code(reason) {
            Some(known) => format!("{reason}: {}", verdict(known)),
            None => short(reason),
        });
    }
    let after = |field: &str| details.get("after")?.get(field)?.as_str();
    for (words, value) in [
        ("matched by", text("matchedBy")),
        ("in", text("connection")),
        ("contact", text("connection").and_then(|_| after("contact"))),
        ("by", text("connection").and_then(|_| after("matchedBy"))),
        ("", text("connection").and_then(|_| after("cause"))),
        ("at", text("target")),
        ("", text("target").and_then(|_| after("cause"))),
        ("pin:", text("pin")),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.push(format!("{words} {}", short(value)).trim_start().to_owned());
        }
    }
    if let Some(approval) = text("approval") {
        let bare = inert(approval).trim_start_matches("sha256:").chars().take(12).collect::<String>();
        facts.push(format!("approval {bare}…"));
    }
    if details.get("approved").and_then(Value::as_bool) == Some(true) {
        facts.push("approved".to_owned());
    }
    if let Some(removals) = details.get("removals").and_then(Value::as_array) {
        let name = |removal: &Value| {
            let account = removal.get("account").unwrap_or(removal);
            let names = ["userPrincipalName", "samAccountName", "displayName"];
            names.into_iter().find_map(|name| account.get(name)?.as_str().map(short))
        };
        let mut names: Vec<String> = removals.iter().filter_map(name).take(5).collect();
        if removals.len() > names.len() {
            names.push(format!("{} more", removals.len() - names.len()));
        }
        facts.push(format!("removals of {}", names.join(", ")));
    }
    facts
}

/// Returns what somebody may have made as long as they like, short: all of it is in the details.
fn short(text: &str) -> String {
    let shown = inert(text);
    match shown.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown.into_owned(),
    }
}

fn changes(details: &Value) -> Vec<(String, String, String)> {
    let changes = details.get("changes").and_then(Value::as_array);
    let text = |change: &Value, field: &str| match change.get(field).and_then(Value::as_str) {
        Some(text) => short(text),
        None => "(none)".to_owned(),
    };
    let change = |change: &Value| (text(change, "field"), text(change, "before"), text(change, "after"));
    changes.into_iter().flatten().map(change).collect()
}

fn details(details: &Value) -> String {
    let text = serde_json::to_string_pretty(details).unwrap_or_default();
    // Lines are this program's; what acts within them was escaped with the JSON, or is now.
    let mut shown: String = text.lines().map(|line| inert(line).into_owned() + "\n").collect();
    if let Some((end, _)) = shown.char_indices().nth(LONGEST) {
        shown.truncate(end);
        shown.push_str("\n… the rest is in `intake history`");
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_decided_is_named() {
        assert_eq!(by(&json!({"by": "ops\u{202e}"})), "ops\\u{202e}");
        assert_eq!(by(&json!({"by": {"command": "jane"}})), "jane");
        assert_eq!(by(&json!({"by": {"tree": "sha256:0123456789abcdef"}})), "the tree at 0123456789ab");
        assert_eq!(by(&json!({"policy": "staff"})), "policy staff");
        assert_eq!(by(&json!({})), "Intake");
    }

    #[test]
    fn what_is_behind_an_event_is_told_inert() {
        let told = json!({
            "reason": "unlicensed",
            "changes": [{"field": "displayName", "before": "A", "after": null}],
            "removals": (0..7).map(|number| json!({"account": {"samAccountName": format!("p{number}")}}))
                .collect::<Vec<_>>(),
        });
        assert_eq!(
            facts(&told),
            ["unlicensed: No licence that counts", "removals of p0, p1, p2, p3, p4, 2 more"]
        );
        let contact = json!({"connection": "glue", "before": null, "after": {"contact": "72", "matchedBy": "address",
            "cause": ""}});
        assert_eq!(facts(&contact), ["in glue", "contact 72", "by address"]);
        assert_eq!(changes(&told), [("displayName".to_owned(), "A".to_owned(), "(none)".to_owned())]);
        assert_eq!(short(&"ä".repeat(600)).chars().count(), 501);
        let hostile = details(&json!({"reason": "a\u{202e}b"}));
        assert!(hostile.contains("a\\u{202e}b"), "{hostile}");
        assert!(details(&json!({"x": "y".repeat(30_000)})).ends_with("`intake history`"));
    }
}
