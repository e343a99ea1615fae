//! `history --format jsonl`: an export that somebody can check without Intake, by the program that
//! docs/reference.md has.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::commands::history::{edit_store, rename, two_customers};
use crate::support::intake::Installation;

/// The program as somebody copies it from the documentation.
fn documented() -> &'static str {
    let reference = include_str!("../../docs/reference.md");
    let (_, program) = reference.split_once("```python\n").expect("a program");
    program.split_once("```").expect("its end").0
}

/// Checks an export; returns the exit code and what was told.
fn check(export: &str, arguments: &[&str]) -> (i32, String) {
    let mut child = Command::new("python3")
        .args(["-c", documented()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3");
    child.stdin.take().expect("a pipe").write_all(export.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("the end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    assert_eq!(text(output.stderr), "");
    (output.status.code().expect("a code"), text(output.stdout))
}

fn export(here: &Installation, arguments: &[&str]) -> String {
    here.run(&[&["history", "--format", "jsonl"], arguments].concat()).expect(0).stdout
}

/// A record with names that JSON has to escape.
fn record() -> Installation {
    let here = two_customers();
    let ldif = std::fs::read_to_string(here.tree().join("contoso.ldif")).expect("a directory");
    // A quotation mark, a backslash, DEL, U+202E, U+2028, an emoji and `é`, in base64.
    let hostile = "cn: Person 1\ndisplayName:: Ilx/4oCu4oCo8J+YgMOp\n";
    here.write("contoso.ldif", &ldif.replace("cn: Person 1\n", hostile));
    here.run(&["apply", "--yes"]).expect(0);
    let known = here.accounts().into_iter().find(|account| account["samAccountName"] == "person1");
    let name = known.expect("the account")["displayName"].clone();
    assert_eq!(name, "\"\\\u{7f}\u{202e}\u{2028}\u{1f600}é");
    rename(&here, "person2", "renamed");
    here.run(&["apply", "--yes"]).expect(0);
    here
}

#[test]
fn an_export_holds_every_event_once_in_the_order_of_its_chain() {
    let here = record();
    let exported = export(&here, &[]);
    let lines: Vec<Value> =
        exported.lines().map(|line| serde_json::from_str(line).expect("JSON on every line")).collect();
    let place = |event: &Value| (event["customer"].to_string(), event["sequence"].as_u64());
    let mut listed = here.events();
    listed.sort_by_key(place);
    assert_eq!(lines, listed);
    let part = export(&here, &["--customer", "fabrikam", "--kind", "source.pinned"]);
    assert!(part.lines().count() > 1 && part.lines().all(|line| line.contains("source.pinned")), "{part}");
}

#[test]
fn an_export_is_checked_without_intake() {
    let here = record();
    let exported = export(&here, &[]);
    let (code, told) = check(&exported, &[]);
    assert_eq!((code, told.lines().last()), (0, Some("whole")), "{told}");
    for found in here.json(&["history", "--verify"], 0)["customers"].as_array().expect("customers") {
        let name = found["customer"].as_str().expect("a name");
        let head = found["head"].as_str().expect("a hash");
        assert!(
            told.contains(&format!("'{name}': up to event {}, head {head}\n", found["events"])),
            "{told}"
        );
        assert_eq!(check(&exported, &[head]).0, 0);
    }
    for arguments in [&["--kind", "account.added"][..], &["--account", "renamed"], &["--since", "2020-01-01"]]
    {
        let part = export(&here, arguments);
        assert_eq!(check(&part, &["--part"]).0, 0, "{arguments:?}");
    }
    assert_eq!(check(&export(&here, &["--account", "renamed"]), &[]).0, 1, "a part is not the whole");
    assert_eq!(check("", &[]), (1, "there is no event\n".to_owned()));
}

#[test]
fn whatever_is_changed_missing_or_reordered_in_an_export_is_found() {
    let here = record();
    let whole = export(&here, &["--customer", "contoso"]);
    let lines: Vec<&str> = whole.lines().collect();
    let check = |lines: &[&str], arguments: &[&str]| {
        check(&lines.iter().map(|line| format!("{line}\n")).collect::<String>(), arguments)
    };
    let expect = |lines: &[&str], expected: &str| {
        let (code, told) = check(lines, &[]);
        assert!(code == 1 && told.contains(expected), "{expected}: {told}");
    };
    for field in ["at", "run", "revision", "kind", "subject"] {
        let mut event: Value = serde_json::from_str(lines[2]).expect("JSON");
        event[field] = if field == "at" { "2026-11-22T09:30:00.5Z".into() } else { "x".into() };
        expect(&[&lines[..2], &[&event.to_string()], &lines[3..]].concat(), "event 3: changed");
    }
    for (pointer, value) in [
        ("/account", Value::Null),
        ("/account/accountType", "Administrator".into()),
        ("/details/after/email", Value::Null),
        ("/details/after/displayName", "".into()),
        ("/readings", Value::Null),
        ("/readings/tenant", Value::Null),
        ("/readings/directories", serde_json::json!({})),
    ] {
        let mut event: Value = serde_json::from_str(lines[2]).expect("JSON");
        let place = event.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}"));
        assert_ne!(*place, value, "{pointer}");
        *place = value;
        expect(&[&lines[..2], &[&event.to_string()], &lines[3..]].concat(), "event 3: changed");
        let part = [event.to_string()];
        assert_eq!(check(&[&part[0]], &["--part"]).0, 1, "{pointer}");
    }
    expect(&[&lines[..2], &lines[3..]].concat(), "event 4: events before it are missing");
    expect(&lines[1..], "event 2: events before it are missing");
    expect(&[&lines[..2], &[lines[3], lines[2]], &lines[4..]].concat(), "event 3: reordered");
    let last = lines.len() - 1;
    let end: Value = serde_json::from_str(lines[last]).expect("JSON");
    let head = end["hash"].as_str().expect("a hash");
    assert_eq!(check(&lines[..last], &[]).0, 0, "the chain alone does not show it");
    let (code, told) = check(&lines[..last], &[head]);
    assert_eq!((code, told.lines().last()), (1, Some(&*format!("{head}: missing"))), "{told}");

    // The same in the store: what it exports then does not hold.
    edit_store(
        &here.state(),
        "UPDATE events SET details = REPLACE(details, 'staff', 'other') WHERE customer = 'contoso' AND sequence = 2",
    );
    let (code, told) = self::check(&export(&here, &[]), &[]);
    assert!(code == 1 && told.contains("'contoso': event 2: changed"), "{told}");
}
