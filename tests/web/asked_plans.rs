//! `plan --server`: the command that asks, against the real controller and against others.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use super::{VIEWER, started, with_tokens};
use crate::support::asking::Served;
use crate::support::intake::{Installation, Run, Running};
use crate::support::process::dead_port;

/// Runs the program in a folder of its own, with nothing but a token.
fn intake(token: Option<&str>, arguments: &[&str]) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_intake"));
    command.args(arguments).current_dir(folder.path()).env_remove("INTAKE_STATE").env_remove("INTAKE_TOKEN");
    command.env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(token) = token {
        command.env("INTAKE_TOKEN", token);
    }
    let run = Running::of(&mut command).end();
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is made");
    run
}

/// Runs the same command twice, asking the controller and the sources.
fn both(here: &Installation, there: &Installation, served: &Served, arguments: &[&str]) -> (Run, Run) {
    let tree = there.tree().display().to_string();
    let url = served.url();
    let state = format!("sqlite:{}", here.state().display());
    let direct = intake(None, &[&["plan", &tree, "--state", &state], arguments].concat());
    let asked =
        intake(Some(VIEWER), &[&["plan", &tree, "--state", &state, "--server", &url], arguments].concat());
    (asked, direct)
}

#[test]
fn a_plan_that_was_asked_for_is_shown_as_one_that_was_made_here() {
    let here = with_tokens();
    let served = started(&here, &[("a", &[1, 2, 3, 4, 5]), ("b", &[2, 4, 6])]);
    let there = here.elsewhere();
    there.default_policy(
        "selection: {securityGroups: [Intake Users]}\n\
         exclude: [{account: person2, reason: left}, {account: person3, reason: left}, {account: person4, reason: left}]",
    );
    for arguments in [
        &[][..],
        &["-v"],
        &["--format", "json"],
        &["--format", "markdown"],
        &["--redact"],
        &["--redact", "--format", "json"],
        &["--customer", "b"],
        &["--detailed-exitcode", "--customer", "b"],
        &["--color", "always"],
    ] {
        let (asked, direct) = both(&here, &there, &served, arguments);
        assert_eq!(asked.stdout, direct.stdout, "{arguments:?}");
        assert_eq!(asked.code, direct.code, "{arguments:?}: {asked:?}");
        assert!(asked.stderr.contains("Planned from the readings of the controller"), "{asked:?}");
    }
    let (asked, direct) = both(&here, &there, &served, &["--detailed-exitcode", "--customer", "b"]);
    assert_eq!((asked.code, direct.code), (Some(2), Some(2)));
    // Something of `a` is held.
    assert_eq!(both(&here, &there, &served, &[]).0.code, Some(3));

    // What is saved is what `apply --plan` takes.
    let plan = there.folder().join("plan.json").display().to_string();
    let (asked, _) = both(&here, &there, &served, &["--customer", "b", "--out", &plan]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    served.end();
    let state = format!("sqlite:{}", here.state().display());
    let tree = there.tree().display().to_string();
    let applied = intake(None, &["apply", &tree, "--state", &state, "--plan", &plan, "--yes"]);
    assert_eq!(applied.code, Some(0), "{applied:?}");
}

#[test]
fn an_invalid_tree_is_an_error_and_the_others_are_planned() {
    let here = with_tokens();
    let served = started(&here, &[("a", &[1])]);
    let there = here.elsewhere();
    there.write("broken.yaml", "kind: Customerr\n");
    let tree = there.tree().display().to_string();
    let url = served.url();
    let run = intake(Some(VIEWER), &["plan", &tree, "--server", &url]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("did you mean `Customer`?"), "{run:?}");
    assert!(run.stdout.contains("Plan: 0 to add"), "{run:?}");
    // Nobody has to be asked about a folder that is no tree.
    let empty = tempfile::tempdir().expect("a folder");
    let run = intake(Some(VIEWER), &["plan", &empty.path().display().to_string(), "--server", &url]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("no policy files"), "{run:?}");
    served.end();
}

/// A server that gives one answer to whatever it is asked, until the test program ends.
fn stranger(head: &str, body: &str) -> String {
    let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut some = [0; 65_536];
            let _ = stream.read(&mut some);
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            while stream.read(&mut some).is_ok_and(|read| read > 0) {}
        }
    });
    url
}

#[test]
fn whoever_does_not_answer_as_a_controller_does_is_told_of_with_what_to_try() {
    let here = with_tokens();
    let served = started(&here, &[("a", &[1])]);
    let tree = here.tree().display().to_string();
    let cases = [
        (served.url(), None, "the controller wants a token", "INTAKE_TOKEN"),
        (served.url(), Some("wrong-token"), "does not know the token in INTAKE_TOKEN", "auth"),
        (format!("{}/elsewhere", served.url()), Some(VIEWER), "there is nothing at this address", ""),
        (
            format!("http://127.0.0.1:{}", dead_port()),
            Some(VIEWER),
            "no connection",
            "is the controller running",
        ),
        ("http://intake.example".to_owned(), Some(VIEWER), "https", "write https://"),
        ("intake".to_owned(), Some(VIEWER), "is no URL", "https://intake.example"),
        (stranger("200 OK", "hello"), Some(VIEWER), "does not answer with a plan", "--server"),
        (
            stranger("404 Not Found", "\u{1b}[31mnone"),
            Some(VIEWER),
            "answers 404, and not as a controller of Intake does",
            "--server",
        ),
        (stranger("413 Payload Too Large", ""), Some(VIEWER), "does not take so much at once", "64 MiB"),
        (
            stranger("503 Service Unavailable\r\nRetry-After: 5", "{\"detail\": \"others are planned\"}"),
            Some(VIEWER),
            "others are planned",
            "--max-wait",
        ),
        (
            stranger("403 Forbidden", "{\"detail\": \"no\", \"hint\": \"\\u001b[2Jask\"}"),
            Some(VIEWER),
            "the controller refuses: no",
            "ask",
        ),
        (stranger("302 Found\r\nLocation: http://127.0.0.1:1/", ""), Some(VIEWER), "answers 302", "--server"),
    ];
    for (url, token, what, hint) in cases {
        let run = intake(token, &["plan", &tree, "--server", &url, "--max-wait", "1s"]);
        assert_eq!(run.code, Some(1), "{url}: {run:?}");
        assert_eq!(run.stdout, "", "{url}: {run:?}");
        assert!(run.stderr.contains(what) && run.stderr.contains(hint), "{url}: no `{what}`: {run:?}");
        assert!(!run.stderr.contains('\u{1b}'), "{url}: {run:?}");
        for secret in ["wrong-token", VIEWER] {
            assert!(!run.stderr.contains(secret), "{url}: {run:?}");
        }
    }
    served.end();
}
