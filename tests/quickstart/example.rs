//! A copy of the quickstart that a test may break, and the program run over it as a user would.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// A copy of `examples/quickstart` with a register of its own.
pub(super) struct Example {
    folder: TempDir,
}

/// What a run of the program came to.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// A person in the table of the example's README.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) customer: String,
    /// sAMAccountName, or userPrincipalName where there is none.
    pub(super) account: String,
    /// `-` for people who are not in scope.
    pub(super) account_type: String,
    pub(super) verdict: String,
    /// `-` where no key tied account and tenant user together.
    pub(super) tied_by: String,
}

impl Example {
    /// Copies the example.
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let example = Self { folder };
        copy(&original(), &example.tree());
        example
    }

    /// Copies the example and imports its people.
    pub(super) fn applied() -> Self {
        let example = Self::new();
        let run = example.run(&["apply", "--yes"]);
        assert_eq!(run.code, 0, "{run:?}");
        example
    }

    /// The folder that the program is given.
    pub(super) fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// Where a customer's file lies.
    pub(super) fn file(&self, customer: &str, name: &str) -> PathBuf {
        self.tree().join("customers").join(customer).join(name)
    }

    /// Runs the program over the tree: `intake ARGUMENTS TREE --state …`.
    pub(super) fn run(&self, arguments: &[&str]) -> Run {
        let state = format!("sqlite:{}", self.folder.path().join("state.db").display());
        let output = Command::new(env!("CARGO_BIN_EXE_intake"))
            .args(arguments)
            .arg(self.tree())
            .args(["--state", &state])
            .env_remove("INTAKE_STATE")
            .env("NO_COLOR", "1")
            .current_dir(self.folder.path())
            .output()
            .expect("the program starts");
        let run = Run {
            code: output.status.code().expect("an exit code, and no signal"),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
        };
        assert!(!run.stderr.contains("panicked at"), "{run:?}");
        run
    }

    /// Runs the program, expects an exit code and reads the JSON that it prints.
    pub(super) fn json(&self, arguments: &[&str], code: i32) -> Value {
        let run = self.run(&[arguments, &["--format", "json"]].concat());
        assert_eq!(run.code, code, "{arguments:?}: {run:?}");
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
    }

    /// Plans, expecting an exit code, and returns the plan of one customer.
    pub(super) fn plan_of(&self, customer: &str, code: i32) -> Value {
        customer_of(&self.json(&["plan"], code), customer)
    }

    /// Returns the register's accounts as JSON.
    pub(super) fn accounts(&self) -> Vec<Value> {
        array(&self.json(&["accounts"], 0), "accounts")
    }

    /// Returns the audit record as it is printed.
    pub(super) fn history(&self) -> String {
        let run = self.run(&["history", "--format", "json"]);
        assert_eq!(run.code, 0, "{run:?}");
        run.stdout
    }

    /// Changes the text of a customer's LDIF file.
    pub(super) fn edit_ldif(&self, customer: &str, edit: impl FnOnce(&mut Ldif)) {
        let path = self.file(customer, &format!("{customer}.ldif"));
        let mut ldif = Ldif::parse(&read(&path));
        edit(&mut ldif);
        write(&path, &ldif.to_text());
    }

    /// Changes the JSON of a customer's snapshot.
    pub(super) fn edit_snapshot(&self, customer: &str, edit: impl FnOnce(&mut Value)) {
        let path = self.file(customer, &format!("{customer}-users.json"));
        let mut snapshot: Value = serde_json::from_str(&read(&path)).expect("JSON");
        edit(&mut snapshot);
        write(&path, &serde_json::to_string_pretty(&snapshot).expect("JSON"));
    }
}

/// How the LDIF files end.
pub(super) const TAIL: &str = "\n\n# intake: end\n";

/// An LDIF file as a person sees it: a head, and paragraphs that hold one entry each.
pub(super) struct Ldif {
    head: String,
    pub(super) entries: Vec<String>,
}

impl Ldif {
    fn parse(text: &str) -> Self {
        let (head, entries) = text.split_once("\nversion: 1\n\n").expect("a head and a version");
        let (count, head) = head.split_once('\n').expect("more than one line of head");
        let entries = entries.strip_suffix(TAIL).expect("a mark at the end");
        let entries: Vec<String> = entries.split("\n\n").map(str::to_owned).collect();
        assert_eq!(count, format!("# intake: entries {}", entries.len()), "the file counts its entries");
        Self { head: head.to_owned(), entries }
    }

    fn to_text(&self) -> String {
        let entries = self.entries.join("\n\n");
        format!("# intake: entries {}\n{}\nversion: 1\n\n{entries}{TAIL}", self.entries.len(), self.head)
    }

    fn index(&self, account: &str) -> usize {
        let line = format!("\nsAMAccountName: {account}\n");
        let found: Vec<usize> =
            (0..self.entries.len()).filter(|index| self.entries[*index].contains(&line)).collect();
        assert_eq!(found.len(), 1, "entries of {account}");
        found[0]
    }

    /// Deletes an account's entry.
    pub(super) fn delete(&mut self, account: &str) {
        let index = self.index(account);
        self.entries.remove(index);
    }

    /// Replaces text in an account's entry; the text must be there.
    pub(super) fn replace(&mut self, account: &str, from: &str, to: &str) {
        let index = self.index(account);
        assert!(self.entries[index].contains(from), "{account} holds `{from}`");
        self.entries[index] = self.entries[index].replace(from, to);
    }
}

/// Returns the table of the example's README.
pub(super) fn table() -> Vec<Row> {
    let rows: Vec<Row> = read(&original().join("README.md"))
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            let [customer @ ("contoso" | "fabrikam"), _name, account, account_type, verdict, tied_by, _why] =
                cells[..]
            else {
                return None;
            };
            Some(Row {
                customer: customer.to_owned(),
                account: account.trim_matches('`').to_owned(),
                account_type: account_type.to_owned(),
                verdict: verdict.to_owned(),
                tied_by: tied_by.to_owned(),
            })
        })
        .collect();
    assert_eq!(rows.len(), 49, "rows of the table");
    rows
}

/// Returns the plan of one customer out of a plan of all.
pub(super) fn customer_of(plan: &Value, name: &str) -> Value {
    let customers = array(plan, "customers");
    let customer = customers.iter().find(|customer| customer["name"] == name);
    customer.unwrap_or_else(|| panic!("no {name} in {plan:#}")).clone()
}

/// Returns what a field of a JSON object lists.
pub(super) fn array(value: &Value, field: &str) -> Vec<Value> {
    value[field].as_array().unwrap_or_else(|| panic!("`{field}` is a list in {value:#}")).clone()
}

/// Returns a field of a JSON object as text; null is empty.
pub(super) fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => panic!("`{field}` is text and no {other}"),
    }
}

/// Returns what the README's table calls an account.
pub(super) fn name_of(account: &Value) -> String {
    let sam = text(account, "samAccountName");
    if sam.is_empty() { text(account, "userPrincipalName") } else { sam }
}

/// Returns the operations of a customer's plan in a form that is easy to compare:
/// `ACTION ACCOUNT REASON`, the reason only where there is one.
pub(super) fn operations(customer: &Value) -> BTreeSet<String> {
    let operations = array(customer, "operations");
    let lines: BTreeSet<String> = operations
        .iter()
        .map(|operation| {
            let reason = text(operation, "reason");
            format!("{} {} {reason}", text(operation, "action"), name_of(&operation["account"]))
                .trim_end()
                .to_owned()
        })
        .collect();
    assert_eq!(lines.len(), operations.len(), "one operation an account");
    lines
}

/// Returns the codes of a customer's findings, in their order.
pub(super) fn finding_codes(customer: &Value) -> Vec<String> {
    array(customer, "findings").iter().map(|finding| text(finding, "code")).collect()
}

/// Whether some text names a place in a file: the file's name, a colon and a line number.
pub(super) fn names_place(message: &str, file: &str) -> bool {
    message.match_indices(file).any(|(at, _)| {
        let rest = &message[at + file.len()..];
        rest.strip_prefix(':').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    })
}

pub(super) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(super) fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn original() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder to copy") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
