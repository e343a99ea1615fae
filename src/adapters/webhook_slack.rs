//! Events as messages for people, in the form that Slack's incoming webhooks take, and those of others
//! that are made like them.

use serde_json::{Value, json};

use crate::model::text::inert;

/// How many people a message names.
const NAMED: usize = 20;

/// The longest text of a block (Slack: 3,000 characters), with room for escapes.
const LONGEST: usize = 2_500;

/// Returns the message of an event.
///
/// The block is plain text, in which Slack looks for nothing; `text` is what others show and what Slack
/// notifies with, so whatever would act in either is taken apart there.
pub(crate) fn message(event: &Value) -> Value {
    let words = words(event);
    json!({
        "text": defused(&words),
        "blocks": [{"type": "section", "text": {"type": "plain_text", "emoji": false, "text": words}}],
    })
}

/// Says in words what happened to whom, and what to do.
fn words(event: &Value) -> String {
    let data = &event["data"];
    let text = |value: &Value| inert(value.as_str().unwrap_or_default()).into_owned();
    let kind = event["type"].as_str().unwrap_or_default();
    let kind = kind.rsplit('.').next().unwrap_or_default();
    let mut lines = vec![format!("{}: {kind}: {}", text(&event["subject"]), text(&data["message"]))];
    let operations = data["operations"].as_array().map(Vec::as_slice).unwrap_or_default();
    lines.extend(operations.iter().take(NAMED).map(operation));
    if operations.len() > NAMED {
        lines.push(format!("… and {} more", operations.len() - NAMED));
    }
    if let Some(next) = data["nextAttempt"].as_str() {
        lines.push(format!("Tried again at {}", inert(next)));
    }
    if let Some(revision) = data["revision"].as_str().filter(|revision| !revision.is_empty()) {
        lines.push(format!("Tree: {}", inert(revision)));
    }
    shortened(&lines.join("\n"))
}

fn operation(operation: &Value) -> String {
    let account = &operation["account"];
    let of = |value: &Value| inert(value.as_str().unwrap_or_default()).into_owned();
    let name = of(&account["displayName"]);
    let login = Some(of(&account["userPrincipalName"])).filter(|login| !login.is_empty());
    let login = login.unwrap_or_else(|| of(&account["samAccountName"]));
    let reason = Some(of(&operation["reason"])).filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| format!(", {reason}")).unwrap_or_default();
    format!("• {} {name} ({login}){reason}", of(&operation["action"]))
}

/// Cuts a text at a character, and says that it did.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Takes apart what Slack (<https://api.slack.com/reference/surfaces/formatting>) and those that are made
/// like it would act on: links, mentions, and what changes how text looks.
fn defused(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 64);
    let mut before = ' ';
    for character in text.chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            // Nothing that is seen, between a sign and what it would act on. An address keeps its own.
            '*' | '_' | '~' | '`' | '[' | ']' | '!' | '#' | '|' => shown.extend([character, INVISIBLE]),
            '@' if !before.is_alphanumeric() => shown.extend([character, INVISIBLE]),
            _ => shown.push(character),
        }
        before = character;
    }
    shown
}

/// A word joiner: has no width, and lets no line be broken.
const INVISIBLE: char = '\u{2060}';

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> Value {
        json!({"type": "dev.intake.customer.held", "subject": "contoso", "data": {
            "message": "30 removals are held", "revision": "sha256:1",
            "operations": [{"action": "hold", "reason": "unlicensed", "account":
                {"displayName": name, "userPrincipalName": "jane@contoso.test", "samAccountName": "jane"}}]}})
    }

    #[test]
    fn it_says_what_happened_to_whom() {
        let told = message(&event("Jane Doe"));
        let words = "contoso: held: 30 removals are held\n• hold Jane Doe (jane@contoso.test), unlicensed\n\
                     Tree: sha256:1";
        assert_eq!(told["blocks"][0]["text"]["text"], words);
        assert_eq!(told["text"], words);
        let failed = json!({"type": "dev.intake.customer.failed", "subject": "contoso", "data":
            {"message": "the directory is away", "nextAttempt": "2026-11-25T12:00:00Z", "revision": ""}});
        assert_eq!(
            message(&failed)["text"],
            "contoso: failed: the directory is away\nTried again at 2026-11-25T12:00:00Z"
        );
    }

    #[test]
    fn hostile_names_act_on_nothing() {
        let hostile = [
            "<!channel>",
            "<https://evil.test|click>",
            "@everyone",
            "*bold* _i_ ~s~ `c`",
            "[click](https://evil.test)",
            "a\nb",
            "\u{202e}txt",
            "\u{1b}[31m",
            "</details>",
        ];
        for name in hostile {
            let told = message(&event(name));
            let text = told["text"].as_str().expect("text");
            for acting in ["<", ">", "@everyone", "*bold*", "`c`", "](", "_i_", "\u{202e}", "\u{1b}"] {
                assert!(!text.contains(acting), "{acting} in {text:?}");
            }
            assert_eq!(text.lines().count(), 3, "{text:?}");
            let block = &told["blocks"][0]["text"];
            assert_eq!(block["type"], "plain_text");
            assert!(!block["text"].as_str().expect("text").contains(['\u{202e}', '\u{1b}']));
        }
        assert!(message(&event("x"))["text"].as_str().expect("text").contains("jane@contoso.test"));
    }

    #[test]
    fn a_message_has_an_end() {
        let mut many = event("Jane");
        let operations = vec![many["data"]["operations"][0].clone(); 300];
        many["data"]["operations"] = json!(operations);
        let told = message(&many);
        let text = told["text"].as_str().expect("text");
        assert_eq!(text.lines().count(), 1 + NAMED + 1 + 1);
        assert!(text.contains("… and 280 more"));
        let told = message(&event(&"x".repeat(10_000)));
        let block = told["blocks"][0]["text"]["text"].as_str().expect("text").to_owned();
        assert!(block.chars().count() <= LONGEST + 1 && block.ends_with('…'));
    }
}
