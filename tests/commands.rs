//! The program as somebody types it: arguments, exit codes, and what goes where.

use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

mod discover;
mod domains;
mod exit_codes;
mod findings;
mod fleet;
mod history;
mod history_at;
mod history_export;
mod init;
mod isolation;
mod notifications;
mod refresh;
mod state;
mod streams;
mod tenant_only;

fn intake(folder: &TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_intake"))
        .args(arguments)
        .env_remove("INTAKE_STATE")
        .env("NO_COLOR", "1")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn what_was_mistyped_is_an_error_and_never_means_changes() {
    for arguments in [
        &["plam"][..],
        &["plan", "--nonsense"],
        &["plan", "--max-wait", "soon"],
        &["plan", "--format", "yaml"],
        &["apply", "--approve", "sha256:12"],
        &["plan", "-v", "-q"],
        &[],
    ] {
        let output = intake(&folder(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_results() {
    for arguments in [&["--help"][..], &["--version"], &["plan", "--help"]] {
        let output = intake(&folder(), arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(text(&output.stdout).to_lowercase().contains("intake"), "{arguments:?}");
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn an_error_is_one_line_with_its_causes_and_no_backtrace() {
    let folder = folder();
    let output = Command::new(env!("CARGO_BIN_EXE_intake"))
        .args(["validate", "no-such-folder"])
        .env("RUST_BACKTRACE", "1")
        .current_dir(folder.path())
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stderr);
    assert!(shown.starts_with("error: ") && shown.contains("no-such-folder"), "{shown}");
    assert!(shown.lines().all(|line| line.starts_with("error: ") || line.starts_with("hint: ")), "{shown}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn apply_without_a_terminal_and_without_yes_refuses_before_anything_is_made() {
    let folder = folder();
    let output = intake(&folder, &["apply"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stderr);
    assert!(shown.contains("--yes") && shown.contains("no terminal"), "{shown}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn apply_refuses_what_is_no_saved_plan() {
    let folder = folder();
    std::fs::write(folder.path().join("plan.json"), "{\"formatVersion\": 99}").expect("written");
    let output = intake(&folder, &["apply", "--plan", "plan.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("formatVersion"), "{}", text(&output.stderr));
}
