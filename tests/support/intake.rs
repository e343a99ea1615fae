//! The program itself, with a tree, an operator's file and a register of its own.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::contoso;
use crate::support::graph::{CLIENT_ID, GraphFake, SECRET, person};
use crate::support::ldif_text::{LdifText, guid};
use crate::support::process::run;
use crate::support::slapd::{PASSWORD, READER, Slapd};

/// Nothing that a test waits for takes longer, on the slowest machine and beside whatever else it does.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The number of the group whose members are imported.
const GROUP: u64 = 900;

/// A tree, an operator's file, a register, and the program to run over them.
pub struct Installation {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a run of the program came to.
#[derive(Debug)]
pub struct Run {
    /// None if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// The program while it runs. It is killed when this is dropped.
pub struct Running {
    child: Child,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    output: Arc<Mutex<Vec<u8>>>,
    started: Instant,
}

impl Installation {
    /// Makes one without customers. Trees may name endpoints of their own, as the fakes have some, and
    /// sign in by Kerberos.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("intake-tree-").tempdir().expect("a folder");
        fs::create_dir(folder.path().join("tree")).expect("a folder");
        let installation = Self { folder, environment: Vec::new() };
        installation.operator("");
        installation
    }

    /// Makes one over the same tree, operator's file and environment, with an empty register.
    pub fn elsewhere(&self) -> Self {
        let mut other = Self::new();
        copy(&self.tree(), &other.tree());
        other.environment.clone_from(&self.environment);
        other
    }

    /// The folder that the program is started in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The policy tree.
    pub fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// The register's file.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    /// Changes the register behind everybody's back.
    pub fn sql(&self, text: &str) {
        let program =
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()";
        run(Command::new("python3").arg("-c").arg(program).arg(self.state()).arg(text));
    }

    /// Writes the operator's file: the register, the permissions, and these lines.
    pub fn operator(&self, lines: &str) {
        self.operator_at(&format!("sqlite:{}", self.state().display()), lines);
    }

    /// The same, with the register somewhere else.
    pub fn operator_at(&self, state: &str, lines: &str) {
        let text = format!("state: \"{state}\"\npermit: [endpoints, kerberos]\n{lines}");
        fs::write(self.folder.path().join("operator.yaml"), text).expect("written");
    }

    /// Lets customers' documents refer to this variable.
    pub fn secret(&mut self, name: &str, value: &str) {
        self.environment(name, value);
    }

    /// Sets a variable of the program's environment.
    pub fn environment(&mut self, name: &str, value: impl Into<String>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Writes a file of the tree as editors do: another one, renamed over the old one.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.tree().join(name);
        let hidden = self.tree().join(format!(".{name}.tmp"));
        fs::write(&hidden, text).expect("written");
        fs::rename(&hidden, &path).expect("renamed");
    }

    /// Deletes a file of the tree.
    pub fn delete(&self, name: &str) {
        fs::remove_file(self.tree().join(name)).expect("deleted");
    }

    /// Writes the policy that imports the members of `Intake Users`, for these customers.
    pub fn policy(&self, customers: &[&str]) {
        let fields = format!(
            "customers: {{names: [{}]}}\nselection: {{securityGroups: [Intake Users]}}",
            customers.join(", ")
        );
        let options = "---
apiVersion: intake.dev/v1
kind: ImportOptions
metadata: {name: often}
spec: {accountType: EndUser, default: true, interval: 1m}
";
        self.write("staff.yaml", &(end_user_policy(&fields) + options));
    }

    /// Writes the default policy for end users, whose further fields are given as lines of YAML.
    pub fn default_policy(&self, fields: &str) {
        self.write("staff.yaml", &end_user_policy(&format!("default: true\n{fields}")));
    }

    /// Writes a customer's document, whose sources are given as YAML of one line each.
    pub fn customer(&self, name: &str, display_name: &str, directory: &str, tenant: &str) {
        self.write(
            &format!("{name}.yaml"),
            &format!(
                "apiVersion: intake.dev/v1
kind: Customer
metadata: {{name: {name}}}
spec:
  displayName: {display_name}
  directories: [{directory}]
  tenant: {tenant}
"
            ),
        );
    }

    /// Writes a customer whose directory and tenant are files with these people, all in the group.
    pub fn customer_of_files(&self, name: &str, people: &[u32]) {
        self.people(name, people);
        self.customer(name, name, &ldif_source(name), &snapshot_source(name));
    }

    /// Writes the files of people, all of them in the group.
    pub fn people(&self, name: &str, people: &[u32]) {
        self.write(
            &format!("{name}.ldif"),
            &format!("# intake: begin\nversion: 1\n\n{}# intake: end\n", directory(people, people)),
        );
        let users: Vec<Value> = people.iter().map(|number| person(*number, "contoso.test")).collect();
        self.write(&format!("{name}.json"), &json!({"value": users}).to_string());
    }

    /// Returns a tenant as the customer's document names it, and gives the customer its secret.
    pub fn graph_source(&mut self, name: &str, graph: &GraphFake) -> String {
        let variable = secret_name(name, "GRAPH");
        self.secret(&variable, SECRET);
        let url = graph.url();
        format!(
            "{{graph: {{tenantId: {name}.test, clientId: {CLIENT_ID}, clientSecretFrom: {{env: {variable}}}, \
             endpoints: {{login: \"{url}\", graph: \"{url}\"}}}}}}"
        )
    }

    /// Returns a directory as the customer's document names it, and gives the customer its secret.
    pub fn ldap_source(&mut self, name: &str, url: &str) -> String {
        let variable = secret_name(name, "LDAP");
        self.secret(&variable, PASSWORD);
        format!(
            "{{ldap: {{urls: [\"{url}\"], baseDn: \"DC=contoso,DC=test\", timeout: 20s, \
             bind: {{dn: \"{READER}\", passwordFrom: {{env: {variable}}}}}}}}}"
        )
    }

    /// Returns the program with arguments, the tree aside.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_intake"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.folder.path().join("operator.yaml"))
            .env_remove("INTAKE_STATE")
            .env_remove("NO_COLOR")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts the program over the tree.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::of(self.command(arguments).arg(self.tree()))
    }

    /// Runs the program over the tree to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.start(arguments).end()
    }

    /// Runs the program, expects an exit code and reads the JSON that it prints.
    pub fn json(&self, arguments: &[&str], code: i32) -> Value {
        let run = self.run(&[arguments, &["--format", "json"]].concat());
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
    }

    /// Returns the register's accounts.
    pub fn accounts(&self) -> Vec<Value> {
        self.json(&["accounts"], 0)["accounts"].as_array().expect("a list").clone()
    }

    /// Returns the logon names of a customer's accounts in a state.
    pub fn names(&self, customer: &str, state: &str) -> BTreeSet<String> {
        self.accounts()
            .iter()
            .filter(|account| account["customer"] == customer && account["state"] == state)
            .map(|account| account["samAccountName"].as_str().expect("a name").to_owned())
            .collect()
    }

    /// Returns the audit record.
    pub fn events(&self) -> Vec<Value> {
        self.json(&["history"], 0)["events"].as_array().expect("a list").clone()
    }

    /// Expects the audit record to be whole.
    pub fn expect_whole(&self) {
        let checked = self.json(&["history", "--verify"], 0);
        let customers = checked["customers"].as_array().expect("a list");
        assert!(customers.iter().all(|customer| customer["whole"] == true), "{checked:#}");
    }

    /// Returns what `status` says about a customer; null while it says nothing.
    pub fn status(&self, customer: &str) -> Value {
        let status = self.json(&["status"], 0);
        let customers = status["customers"].as_array().expect("a list");
        customers.iter().find(|found| found["name"] == customer).cloned().unwrap_or(Value::Null)
    }
}

impl Run {
    /// Expects an exit code, and no panic.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.stderr.contains("panicked at"), "{self:?}");
        self
    }
}

impl Running {
    /// Starts a command with both outputs in pipes.
    pub fn of(command: &mut Command) -> Self {
        let started = Instant::now();
        let mut child = command.spawn().expect("the program starts");
        let log = Arc::new(Mutex::new(String::new()));
        let output = Arc::new(Mutex::new(Vec::new()));
        let mut readers = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            readers.push(std::thread::spawn(move || {
                let mut stderr = BufReader::new(stderr);
                let mut line = Vec::new();
                while stderr.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                    log.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push_str(&String::from_utf8_lossy(&line));
                    line.clear();
                }
            }));
        }
        if let Some(mut stdout) = child.stdout.take() {
            let output = Arc::clone(&output);
            readers.push(std::thread::spawn(move || {
                let mut all = Vec::new();
                let _ = stdout.read_to_end(&mut all);
                *output.lock().unwrap_or_else(PoisonError::into_inner) = all;
            }));
        }
        Self { child, log, readers, output, started }
    }

    /// Returns what it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until its log holds a text.
    pub fn logs(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(!self.has_ended(), "it ended without `{text}`: {}", self.log());
            assert!(Instant::now() < deadline, "no `{text}` in its log: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a turn of a customer is over, and whoever watches was told of it: its status is recorded before.
    /// Returns after how many seconds the first one is followed by the next.
    pub fn first_turn(&mut self, customer: &str) -> u64 {
        let customer = format!("customer={customer}");
        let pause = |line: &str| {
            let mut words = line.split_whitespace();
            let is_of_customer = words.clone().any(|word| word == customer);
            let pause = words.find_map(|word| word.strip_prefix("again_in_seconds="))?;
            is_of_customer.then(|| pause.parse().expect("a number"))
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if let Some(pause) = log.lines().find_map(pause) {
                return pause;
            }
            assert!(!self.has_ended(), "it ended without a turn of {customer}: {log}");
            assert!(Instant::now() < deadline, "no turn of {customer} is over: {log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it is gone.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Sends it a signal by name, `TERM` for example. It must still run.
    pub fn signal(&self, name: &str) {
        run(Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()));
    }

    /// Kills it as a power failure would, wherever it is; it may have ended already.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end, for no longer than `patience`.
    pub fn end_within(mut self, patience: Duration) -> Run {
        let deadline = Instant::now() + patience;
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < deadline, "it still runs after {patience:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = self.started.elapsed();
        self.readers.drain(..).for_each(|reader| reader.join().expect("a reader"));
        let stdout = std::mem::take(&mut *self.output.lock().unwrap_or_else(PoisonError::into_inner));
        let stdout = String::from_utf8(stdout).expect("UTF-8 on stdout");
        let run = Run { code: status.code(), stdout, stderr: self.log(), took };
        assert!(!run.stderr.contains("panicked at"), "{run:?}");
        run
    }

    /// Waits for its end.
    pub fn end(self) -> Run {
        self.end_within(PATIENCE * 2)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the source of a customer of files.
pub fn ldif_source(name: &str) -> String {
    format!("{{ldif: {{file: {name}.ldif}}}}")
}

/// Returns the tenant of a customer of files.
pub fn snapshot_source(name: &str) -> String {
    format!("{{snapshot: {{file: {name}.json}}}}")
}

fn secret_name(customer: &str, what: &str) -> String {
    format!("INTAKE_SECRET_{}__{what}", customer.to_uppercase().replace('-', "_"))
}

/// Returns a domain with people by number, some of them members of `Intake Users`.
pub fn directory(people: &[u32], members: &[u32]) -> String {
    let mut ldif = LdifText::default();
    contoso::domain(&mut ldif);
    contoso::unit(&mut ldif, "OU=Staff,DC=contoso,DC=test", "Staff", 11);
    for number in people {
        contoso::user(&mut ldif, &dn(*number), &format!("person{number}"), 1_000 + number);
    }
    let members: Vec<String> = members.iter().map(|number| dn(*number)).collect();
    let mut texts = vec![("objectClass", "group"), ("cn", "Intake Users"), ("groupType", "-2147483646")];
    texts.extend(members.iter().map(|member| ("member", member.as_str())));
    ldif.entry("CN=Intake Users,OU=Staff,DC=contoso,DC=test", &texts, &[("objectGUID", &guid(GROUP))]);
    ldif.0
}

/// Returns the name of a numbered person in the directory.
pub fn dn(number: u32) -> String {
    format!("CN=Person {number},OU=Staff,DC=contoso,DC=test")
}

/// Adds a person to the group, or takes one out of it.
pub fn change_membership(slapd: &Slapd, change: &str, number: u32) {
    slapd.modify(&format!(
        "dn: CN=Intake Users,OU=Staff,DC=contoso,DC=test\nchangetype: modify\n{change}: member\nmember: {}\n",
        dn(number)
    ));
}

/// Returns the logon names of people by number.
pub fn persons(numbers: &[u32]) -> BTreeSet<String> {
    numbers.iter().map(|number| format!("person{number}")).collect()
}

/// Waits until something is so.
pub fn until(what: &str, is_so: impl FnMut() -> bool) {
    until_within(PATIENCE, what, is_so);
}

/// Waits until something is so, which may take longer than other things.
pub fn until_within(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
    }
}

/// A policy for end users, whose further fields are given as lines of YAML.
fn end_user_policy(fields: &str) -> String {
    let fields: String = fields.lines().map(|line| format!("  {}\n", line.trim_start())).collect();
    format!(
        "apiVersion: intake.dev/v1
kind: ImportPolicy
metadata: {{name: staff}}
spec:
  accountType: EndUser
{fields}"
    )
}
