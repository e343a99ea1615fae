//! Problems of a tree for GitHub's workflows, read as its runner reads them, and as SARIF, judged by the
//! schema of its standard.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::others::Others;
use crate::support::process::run;

const BROKEN: &str = "apiVersion: intake.dev/v1
kind: Customer
metadata: {name: contoso}
spec:
  tenent: 1
  tenant: {snapshot: {file: \"ä|100%.json\"}}
---
apiVersion: intake.dev/v1
kind: Customer
metadata: {name: contoso}
spec: {tenant: {snapshot: {file: x.json}}}
";

/// A repository with a tree in a folder whose name means something to the runner and to an address.
fn repository() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    run(Command::new("git").args(["init", "--quiet"]).current_dir(folder.path()));
    let tree = folder.path().join("trees/a, b:c");
    fs::create_dir_all(&tree).expect("a folder");
    fs::write(tree.join("broken.yaml"), BROKEN).expect("written");
    folder
}

/// Validates a tree, which has errors.
fn validate(tree: &Path, format: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_intake"))
        .args(["validate", "--format", format])
        .arg(tree)
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A command as the runner takes it apart (actions/runner, `ActionCommand.TryParseV2`).
fn command(line: &str) -> Option<(String, BTreeMap<String, String>, String)> {
    let (head, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let data_of = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
    let properties = properties
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| {
            let value = value.replace("%3A", ":").replace("%2C", ",");
            (name.to_owned(), data_of(&value))
        })
        .collect();
    Some((name.to_owned(), properties, data_of(data)))
}

#[test]
fn a_workflow_marks_each_problem_in_its_line() {
    let repository = repository();
    let told = validate(&repository.path().join("trees/a, b:c"), "github");
    let commands: Vec<_> = told.lines().filter_map(command).collect();
    assert_eq!(commands.len(), 2, "{told}");
    let (name, properties, data) = &commands[0];
    assert_eq!(name, "error");
    let expected = [
        ("file", "trees/a, b:c/broken.yaml"),
        ("line", "5"),
        ("endLine", "5"),
        ("col", "3"),
        ("endColumn", "9"),
        ("title", "intake: unknown-key"),
    ];
    let expected: BTreeMap<String, String> =
        expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(*properties, expected);
    assert_eq!(data, "unknown key `tenent` in `spec` of a Customer\nhelp: did you mean `tenant`?");
    let (_, properties, data) = &commands[1];
    assert_eq!((properties["line"].as_str(), properties["title"].as_str()), ("10", "intake: duplicate"));
    assert!(data.contains("the first one: trees/a, b:c/broken.yaml:3:18"), "{data}");
    assert!(told.ends_with("errors.\n"), "people read the log, too: {told}");
}

#[test]
fn outside_of_a_repository_paths_are_those_of_the_tree() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("broken.yaml"), BROKEN).expect("written");
    let told = validate(folder.path(), "github");
    assert!(told.starts_with("::error file=broken.yaml,line=5,"), "{told}");
}

#[test]
fn a_tree_that_is_right_says_so_in_every_format() {
    let here = crate::support::intake::Installation::new();
    here.default_policy("selection: {securityGroups: [Intake Users]}");
    here.customer_of_files("contoso", &[1]);
    let told = here.run(&["validate", "--format", "github"]).expect(0).stdout;
    assert_eq!(told, "1 customer, no errors.\n");
    let log = here.run(&["validate", "--format", "sarif"]).expect(0).stdout;
    let log: Value = serde_json::from_str(&log).expect("JSON");
    assert_eq!(log["runs"][0]["results"], json!([]));
    expect_sarif(&log);
}

/// Expects what the standard wants of a log, by its own schema.
fn expect_sarif(log: &Value) {
    let schema =
        Others::get().program("node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json");
    let schema = fs::read_to_string(schema).expect("a schema");
    // A bracket that this edition of the schema closes twice makes no regular expression.
    let schema = schema.replace("-[a-zA-Z]{2}]?$", "-[a-zA-Z]{2}$");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> =
        validator.iter_errors(log).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn sarif_is_what_the_standard_wants() {
    let repository = repository();
    let told = validate(&repository.path().join("trees/a, b:c"), "sarif");
    assert_eq!(told, validate(&repository.path().join("trees/a, b:c"), "sarif"), "every time the same");
    let log: Value = serde_json::from_str(&told).expect("JSON");
    expect_sarif(&log);
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let results = run["results"].as_array().expect("a list");
    assert_eq!(results.len(), 2, "{log:#}");
    let rules = run["tool"]["driver"]["rules"].as_array().expect("a list");
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().expect("a number")).expect("a place");
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let fingerprint = result["partialFingerprints"]["intakeProblem/v1"].as_str().expect("a fingerprint");
        assert_eq!(fingerprint.len(), 64 + ":0".len(), "{fingerprint}");
    }
    let first = &results[0];
    assert_eq!(first["ruleId"], "unknown-key");
    assert_eq!(first["level"], "error");
    assert_eq!(
        first["locations"],
        json!([{"physicalLocation": {
            "artifactLocation": {"uri": "trees/a,%20b:c/broken.yaml", "uriBaseId": "SRCROOT"},
            "region": {"startLine": 5, "startColumn": 3, "endLine": 5, "endColumn": 9},
        }}])
    );
    let related = &results[1]["relatedLocations"][0];
    assert_eq!(related["message"]["text"], "the first one");
    assert_eq!(related["physicalLocation"]["region"]["startLine"], 3);
}

/// A tree for each rule, with one thing wrong in it; the operator's file has no connections.
const WRONG: [(&str, &str); 9] = [
    ("syntax", "spec: [\n"),
    ("missing-key", "spec: {}\n"),
    ("unknown-key", "spec: {tenant: {snapshot: {file: x.json}}, tenent: 1}\n"),
    ("wrong-type", "spec: {tenant: {snapshot: {file: x.json}}, suspend: [1]}\n"),
    ("malformed-value", "spec: {tenant: {snapshot: {file: ../x.json}}}\n"),
    ("duplicate", "spec: {tenant: {snapshot: {file: x.json}}, suspend: true, suspend: true}\n"),
    ("unknown-reference", "spec: {tenant: {graph: {tenantId: contoso.com, connection: partner}}}\n"),
    ("conflict", "spec: {tenant: {graph: {tenantId: contoso.com, connection: partner, cloud: global}}}\n"),
    (
        "not-permitted",
        "spec: {directories: [{ldap: {urls: [\"ldap://dc1.contoso.test\"], bind: {dn: \"CN=x,DC=contoso,DC=test\", \
         passwordFrom: {env: INTAKE_SECRET_CONTOSO__LDAP}}}}]}\n",
    ),
];

#[test]
fn every_rule_is_told_by_a_tree_that_breaks_it() {
    let many: String = (0..1_005).map(|number| format!("key{number}: 1, ")).collect();
    let many = format!("spec: {{{many}tenant: {{snapshot: {{file: x.json}}}}}}\n");
    // What nobody counts any more is none of the others.
    for (rule, spec) in WRONG.into_iter().chain([("invalid", many.as_str())]) {
        let folder = tempfile::tempdir().expect("a folder");
        let head = "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {name: contoso}\n";
        fs::write(folder.path().join("a.yaml"), format!("{head}{spec}")).expect("written");
        let log: Value = serde_json::from_str(&validate(folder.path(), "sarif")).expect("JSON");
        let results = log["runs"][0]["results"].as_array().expect("a list");
        let rules: Vec<&str> = results.iter().filter_map(|result| result["ruleId"].as_str()).collect();
        assert!(rules.contains(&rule), "{rule}: {results:#?}");
    }
}
