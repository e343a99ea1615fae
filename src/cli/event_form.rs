//! Events of the audit record as `history` shows them to people: a line each.

use std::fmt::Write as _;

use serde_json::Value;

use crate::model::event::Event;
use crate::model::text::inert;

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
    for field in ["by", "reason", "policy", "approval", "target"] {
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
