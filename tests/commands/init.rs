//! `init`: a newcomer's first tree, typed or asked for, and never over something that is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::terminal::Terminal;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_intake"));
    command.args(arguments).current_dir(folder).env_remove("INTAKE_STATE").stdin(Stdio::null());
    command
}

fn intake(folder: &TempDir, arguments: &[&str]) -> Output {
    command(folder.path(), arguments).output().expect("the program starts")
}

const CONTOSO: [&str; 7] =
    ["init", "--customer", "contoso", "--domain", "contoso.test", "--tenant", "contoso.com"];

/// Every file below a folder, by its path from there.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inner)).expect("a folder") {
            let path = inner.join(entry.expect("an entry").file_name());
            if folder.join(&path).is_dir() {
                folders.push(path)
            } else {
                found.push(path.display().to_string())
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_it_makes_is_valid_and_is_told() {
    for (ci, pipeline) in [("github", ".github/workflows/intake.yml"), ("gitlab", ".gitlab-ci.yml")] {
        let folder = tempfile::tempdir().expect("a folder");
        let made = intake(&folder, &[&CONTOSO[..], &["--ci", ci, "new"]].concat());
        assert_eq!(made.status.code(), Some(0), "{made:?}");
        let new = folder.path().join("new");
        let mut expected = vec![
            pipeline,
            ".gitignore",
            "operator.yaml",
            "schemas/customer.schema.json",
            "schemas/importoptions.schema.json",
            "schemas/importpolicy.schema.json",
            "schemas/intake.schema.json",
            "tree/customers/contoso.yaml",
            "tree/policies/staff.yaml",
        ];
        expected.sort_unstable();
        assert_eq!(files(&new), expected);
        let told = String::from_utf8(made.stdout).expect("UTF-8");
        let mut told: Vec<&str> = told.lines().collect();
        told.sort_unstable();
        assert_eq!(told, expected);
        let example = format!("examples/ci/{ci}.yml");
        let example = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(example)).expect("an example");
        assert!(fs::read(new.join(pipeline)).expect("a pipeline") == example);
        for arguments in [&["validate", "tree"][..], &["validate", "tree", "--config", "operator.yaml"]] {
            let checked = command(&new, arguments).output().expect("the program starts");
            assert_eq!(checked.status.code(), Some(0), "{checked:?}");
            assert_eq!(checked.stdout, b"1 customer, no errors.\n");
        }
        // The modeline of each document leads to a schema that is there.
        for document in ["tree/customers/contoso.yaml", "tree/policies/staff.yaml"] {
            let text = fs::read_to_string(new.join(document)).expect("a document");
            let schema =
                text.lines().next().and_then(|line| line.split_once("$schema=")).expect("a modeline").1;
            assert!(new.join(document).parent().expect("a folder").join(schema).is_file(), "{schema}");
        }
    }
}

#[test]
fn a_plan_of_it_asks_the_sources_that_were_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--customer", "contoso", "--domain", "contoso.test", "--url", "ldaps://127.0.0.1:1"];
    let made = intake(&folder, &[&["init", "--format", "json"][..], &arguments].concat());
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    assert_eq!(made["created"][0], json!("tree/customers/contoso.yaml"));
    let mut plan = command(folder.path(), &["plan", "tree", "--config", "operator.yaml", "--max-wait", "1s"]);
    let plan = plan.env("INTAKE_SECRET_CONTOSO__LDAP", "secret").output().expect("the program starts");
    let told = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert_eq!(plan.status.code(), Some(3), "{plan:?}");
    assert!(told.contains("directory-unavailable") && told.contains("127.0.0.1"), "{told}");
}

#[test]
fn a_file_that_is_there_stays_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(".gitignore"), "mine").expect("written");
    let refused = intake(&folder, &CONTOSO);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("./.gitignore") && told.contains("nothing was written"), "{told}");
    assert!(!told.contains("operator.yaml"), "it names what is there: {told}");
    assert_eq!(files(folder.path()), [".gitignore"]);
    assert_eq!(fs::read_to_string(folder.path().join(".gitignore")).expect("a file"), "mine");
}

#[test]
fn what_is_missing_or_wrong_is_told_where_nobody_can_be_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, told) in [
        (&["init", "--tenant", "contoso.com"][..], "`--customer` is missing"),
        (&["init", "--customer", "contoso"], "nobody to import"),
        (&["init", "--customer", "contoso", "--url", "ldaps://dc1.contoso.test"], "give `--domain`"),
        (&["init", "--customer", "Contoso Ltd", "--tenant", "contoso.com"], "no valid tree"),
        (&["init", "--customer", "a", "--customer", "b", "--tenant", "contoso.com"], "one customer"),
    ] {
        let refused = intake(&folder, arguments);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(stderr.contains(told), "{told}: {stderr}");
        assert_eq!(files(folder.path()), [""; 0], "{arguments:?}");
    }
}

#[test]
fn on_a_terminal_it_asks_for_what_was_not_typed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut terminal = Terminal::start(&command(folder.path(), &["init"]));
    for (question, answer) in [
        ("called?", "fabrikam"),
        ("Active Directory domain", "fabrikam.test"),
        ("365 tenant?", ""),
        ("domain controller?", ""),
        ("pipeline", "none"),
    ] {
        terminal.shows(question);
        terminal.types(&format!("{answer}\r"));
    }
    terminal.shows("Next:");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("export INTAKE_SECRET_FABRIKAM__LDAP="), "{shown}");
    let customer =
        fs::read_to_string(folder.path().join("tree/customers/fabrikam.yaml")).expect("a customer");
    assert!(customer.contains("ldaps://dc1.fabrikam.test") && !customer.contains("tenantId"), "{customer}");
}
