//! `plan --redact`: no name of anybody leaves in any form, and what was saved so can be applied.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Whatever names somebody in the quickstart: attributes of people and users.
const NAMING: [&str; 8] =
    ["dn", "cn", "displayName", "sAMAccountName", "userPrincipalName", "mail", "mobile", "proxyAddresses"];

fn quickstart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart")
}

/// Every name of a person in the quickstart's files, in lower case.
fn names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for customer in ["contoso", "fabrikam"] {
        let folder = quickstart().join("customers").join(customer);
        let ldif = fs::read_to_string(folder.join(format!("{customer}.ldif"))).expect("a directory");
        for record in ldif.replace("\n ", "").split("\n\n") {
            // Groups and OUs are no people.
            if record.contains("objectClass: user") {
                let fields = record.lines().filter_map(|line| line.split_once(": "));
                names.extend(fields.filter(|(name, _)| NAMING.contains(name)).map(|(_, value)| value.into()));
            }
        }
        let users = fs::read_to_string(folder.join(format!("{customer}-users.json"))).expect("a tenant");
        let users: Value = serde_json::from_str(&users).expect("JSON");
        for user in users["value"].as_array().expect("users") {
            let fields = ["displayName", "userPrincipalName", "mail"];
            names.extend(fields.iter().filter_map(|field| user[*field].as_str()).map(str::to_owned));
        }
    }
    assert!(names.len() > 100, "{names:?}");
    // Two built-in accounts are called like an account type and a verdict.
    let words = ["administrator", "guest"];
    names.into_iter().map(|name| name.to_lowercase()).filter(|name| !words.contains(&&**name)).collect()
}

/// Names among the values of a form, which may not be part of a longer word: people are called `sam`.
fn told<'n>(shown: &str, names: &'n BTreeSet<String>) -> Vec<&'n String> {
    let shown = shown.to_lowercase();
    let is_whole = |name: &str| {
        shown.match_indices(name).any(|(at, _)| {
            let beside = |character: Option<char>| {
                character.is_none_or(|character| !character.is_alphanumeric() && character != '-')
            };
            beside(shown[..at].chars().next_back()) && beside(shown[at + name.len()..].chars().next())
        })
    };
    names.iter().filter(|name| is_whole(name)).collect()
}

fn intake(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_intake"))
        .args(arguments)
        .arg(quickstart())
        .args(["--state", "sqlite:state.db"])
        .current_dir(folder)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn no_name_of_anybody_is_in_any_form_of_a_redacted_plan() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = names();
    let whole = intake(folder.path(), &["plan", "-v"]);
    assert!(told(&whole, &names).len() > 40, "the names are found where they are: {whole}");
    let json: Value =
        serde_json::from_str(&intake(folder.path(), &["plan", "--format", "json"])).expect("JSON");
    let account = json["customers"][0]["operations"][0]["account"]["directoryId"].as_str().expect("an id");
    for form in ["text", "json", "markdown"] {
        let shown = intake(folder.path(), &["plan", "-v", "--redact", "--format", form]);
        assert_eq!(told(&shown, &names), Vec::<&String>::new(), "{form}: {shown}");
        assert!(shown.contains(account), "{form}: {shown}");
        assert!(shown.contains(json["digest"].as_str().expect("a digest")), "{form}: {shown}");
    }
}

#[test]
fn a_plan_that_was_saved_without_names_is_applied() {
    let folder = tempfile::tempdir().expect("a folder");
    intake(folder.path(), &["plan", "--redact", "--out", "plan.json"]);
    let saved = fs::read_to_string(folder.path().join("plan.json")).expect("a plan");
    assert_eq!(told(&saved, &names()), Vec::<&String>::new());
    let applied = intake(folder.path(), &["apply", "--plan", "plan.json"]);
    assert!(applied.contains("Applied: 15 added"), "{applied}");
}
