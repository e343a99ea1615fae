//! What goes where: results to stdout, the rest to stderr; for programs, for people, for nobody.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::graph::{ALWAYS, At, Fault, GraphFake};
use crate::support::intake::{Installation, Running, ldif_source, persons, until};
use crate::support::terminal::Terminal;

const QUESTIONS: [&[&str]; 7] = [
    &["validate"],
    &["plan"],
    &["accounts"],
    &["status"],
    &["history"],
    &["history", "--verify"],
    &["run", "--once"],
];

/// A good customer, one that cannot be read and one whose document is broken.
fn troubled() -> Installation {
    let here = Installation::new();
    here.policy(&["contoso", "fabrikam"]);
    here.customer_of_files("contoso", &[1, 2, 3]);
    here.customer_of_files("fabrikam", &[1]);
    here.write("fabrikam.ldif", "# intake: begin\nversion: 1\n\ndn: DC=contoso,DC=test\nobjectClass:: ***\n");
    here.write(
        "broken.yaml",
        "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {name: broken}\nspec: {tenent: 1}\n",
    );
    here.run(&["apply", "--yes"]).expect(1);
    here
}

#[test]
fn stdout_holds_the_result_alone() {
    let here = troubled();
    for question in QUESTIONS {
        let run = here.run(&[question, &["--format", "json", "-vv"]].concat());
        let result: Result<Value, _> = serde_json::from_str(&run.stdout);
        assert!(result.is_ok_and(|result| result.is_object()), "{question:?}: {run:?}");
    }
    let run = here.run(&["apply", "--yes", "--format", "json"]).expect(1);
    let plan: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(plan["formatVersion"], 1);
}

#[test]
fn every_line_of_a_json_log_is_json() {
    let graph = GraphFake::spawn();
    graph.tenant("contoso.test").people(2);
    graph.fault(At::users(), Fault::Status(500), ALWAYS);
    let mut here = Installation::new();
    here.policy(&["contoso", "fabrikam"]);
    here.customer_of_files("fabrikam", &[1]);
    here.people("contoso", &[1, 2]);
    let tenant = here.graph_source("contoso", &graph);
    here.customer("contoso", "Contoso", &ldif_source("contoso"), &tenant);
    here.write(
        "broken.yaml",
        "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {name: broken}\nspec: {tenent: 1}\n",
    );
    let controller = here.start(&["run", "--log-format", "json", "-v", "--max-wait", "1s"]);
    until("one is applied and one failed", || {
        here.status("fabrikam")["state"] == "ready" && here.status("contoso")["state"] == "unreadable"
    });
    controller.signal("TERM");
    let run = controller.end().expect(0);
    let mut seen = Vec::new();
    for line in run.stderr.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
        seen.push(line["message"].as_str().unwrap_or_default().to_owned());
    }
    for message in ["tree read", "applied", "stopped"] {
        assert!(seen.iter().any(|seen| seen == message), "`{message}` is not in {seen:?}");
    }
    assert!(!run.stderr.contains("the-right-secret"), "{run:?}");
}

#[test]
fn there_is_no_colour_where_there_is_no_terminal() {
    let here = troubled();
    for question in QUESTIONS {
        let run = here.run(question);
        assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "{question:?}: {run:?}");
    }
    let asked = here.run(&["plan", "--color", "always", "-v"]).expect(1);
    assert!(asked.stdout.contains('\u{1b}'), "{asked:?}");
}

/// Runs the program on a terminal of its own, and types a line.
fn on_a_terminal(
    here: &Installation,
    arguments: &[&str],
    typed: &str,
    colour: bool,
) -> (Option<i32>, String) {
    let mut command = here.command(arguments);
    command.arg(here.tree()).env("TERM", "xterm-256color");
    if !colour {
        command.env("NO_COLOR", "1");
    }
    let mut terminal = Terminal::start(&command);
    terminal.types(typed);
    terminal.end()
}

#[test]
fn on_a_terminal_apply_asks_and_only_yes_is_a_yes() {
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1, 2]);
    for typed in ["no\n", "y\n", "\n", "Yes please\n"] {
        let (code, shown) = on_a_terminal(&here, &["apply"], typed, true);
        assert_eq!(code, Some(1), "{typed:?}: {shown}");
        assert!(shown.contains("Apply this plan?") && shown.contains("person1"), "{shown}");
        assert!(here.accounts().is_empty(), "{typed:?}");
    }
    let (code, shown) = on_a_terminal(&here, &["apply"], "yes\n", true);
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2]));
    // With nothing to do it does not ask.
    let (code, shown) = on_a_terminal(&here, &["apply"], "no\n", true);
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("Apply this plan?"), "{shown}");
}

#[test]
fn a_terminal_has_colour_unless_no_color_says_otherwise() {
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1, 2]);
    // SGR sequences end with m; those that move the progress line do not.
    let coloured = |shown: &str| {
        shown
            .split("\u{1b}[")
            .skip(1)
            .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
    };
    let (_, shown) = on_a_terminal(&here, &["plan"], "", true);
    assert!(coloured(&shown), "{shown:?}");
    let (_, shown) = on_a_terminal(&here, &["plan"], "", false);
    assert!(!coloured(&shown), "{shown:?}");
}

#[test]
fn a_reader_that_goes_away_ends_nothing() {
    let here = Installation::new();
    let people: Vec<u32> = (1..=3_000).collect();
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &people);
    let closed = |arguments: &[&str]| {
        let mut command = here.command(arguments);
        let mut child = command.arg(here.tree()).spawn().expect("the program starts");
        // Nobody reads its results: it finds that out in the middle of them.
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    };
    closed(&["plan", "-v"]);
    closed(&["apply", "--yes"]);
    assert_eq!(here.accounts().len(), 3_000, "what was asked for is done all the same");
    for question in
        [&["accounts"][..], &["accounts", "--format", "json"], &["history"], &["status"], &["--help"]]
    {
        closed(question);
    }
    let line = format!(
        "'{}' accounts --config operator.yaml tree | head -1; exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_intake")
    );
    let mut shell = Command::new("bash");
    shell.args(["-c", &line]).current_dir(here.folder()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = Running::of(&mut shell).end().expect(0);
    assert_eq!((run.stdout.lines().count(), run.stderr.as_str()), (1, ""));
}

#[test]
fn nobody_who_listens_to_its_complaints_ends_nothing() {
    let here = troubled();
    let mut child = here.command(&["apply", "--yes", "-vv"]).arg(here.tree()).spawn().expect("it starts");
    drop(child.stderr.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stdout.is_empty());
}

#[test]
fn a_result_that_cannot_be_written_is_an_error_and_nothing_is_applied() {
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1, 2]);
    for arguments in [&["plan"][..], &["apply", "--yes"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
        let run = Running::of(here.command(arguments).arg(here.tree()).stdout(full)).end().expect(1);
        assert!(run.stderr.contains("cannot write"), "{arguments:?}: {run:?}");
        assert!(here.accounts().is_empty(), "nobody saw what would be applied");
    }
}
