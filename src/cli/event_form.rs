//! Events of the audit record as `history` shows them: a line for people, an object for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::model::event::Event;
use crate::model::text::inert;

/// Returns an event as JSON. With the hash before it, and `details` and `readings` as they were written,
/// it holds everything that its own hash covers.
pub fn form(event: &Event) -> Value {
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
        "readings": event.readings,
        "previous": event.previous,
        "hash": event.hash,
    })
}

/// Returns an event on a line, with names from outside inert.
pub fn line(event: &Event) -> String {
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
    for field in ["by", "reason", "policy", "approval"] {
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
