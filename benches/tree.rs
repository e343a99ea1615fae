//! 10,000 customers in 10,000 files, checked on one core; and how soon after a commit was fetched the
//! customer whose file it changes has its new plan carried out.
//!
//! `cargo bench --bench tree` prints both.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may fail loudly"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[path = "../tests/support/mod.rs"]
mod support;

use support::git_server::Repository;
use support::intake::{Installation, Running, ldif_source, snapshot_source};
use support::measure::{Measured, measure, median};

const CUSTOMERS: u32 = 10_000;
const FOLLOWED: u32 = 1_000;
const ROUNDS: usize = 5;

fn main() {
    checked_on_one_core();
    planned_after_a_commit();
}

fn checked_on_one_core() {
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("customers")).unwrap();
    std::fs::write(tree.path().join("policies.yaml"), POLICIES).unwrap();
    for number in 0..CUSTOMERS {
        let path = tree.path().join(format!("customers/customer-{number}.yaml"));
        std::fs::write(path, customer(number)).unwrap();
    }
    let runs: Vec<Measured> = (0..ROUNDS).map(|_| validate(tree.path())).collect();
    let time = median(runs.iter().map(|run| run.time).collect());
    println!("customers: {CUSTOMERS}, a file each");
    println!("intake validate on one core, median: {:.2} s (at most 2)", time.as_secs_f64());
    println!("peak memory: {} MB (at most 300)", runs.iter().map(|run| run.peak).max().unwrap() / 1024);
}

fn validate(tree: &Path) -> Measured {
    measure(Command::new("taskset").args(["-c", "0", env!("CARGO_BIN_EXE_intake"), "validate"]).arg(tree))
}

/// A customer as providers have them: a domain, a tenant by the partner's application, exceptions.
fn customer(number: u32) -> String {
    let tier = if number.is_multiple_of(3) { "premium" } else { "standard" };
    format!(
        "# yaml-language-server: $schema=../schemas/intake.dev.json
apiVersion: intake.dev/v1
kind: Customer
metadata:
  name: customer-{number}
  labels: {{tier: {tier}}}
spec:
  displayName: Customer {number} Ltd
  directories:
    - ldap:
        urls: [\"ldaps://dc1.customer-{number}.test\", \"ldaps://dc2.customer-{number}.test\"]
        baseDn: DC=customer-{number},DC=test
        bind:
          dn: CN=svc-intake,OU=Service,DC=customer-{number},DC=test
          passwordFrom: {{env: INTAKE_SECRET_CUSTOMER_{number}__LDAP}}
  tenant:
    graph:
      tenantId: customer-{number}.test
      clientId: 00000000-0000-4000-8000-{number:012}
      clientSecretFrom: {{env: INTAKE_SECRET_CUSTOMER_{number}__GRAPH}}
  upnSuffixes: {{customer-{number}.local: customer-{number}.test}}
  protect: [ceo@customer-{number}.test]
  exclude:
    - {{account: fax@customer-{number}.test, reason: shared mailbox}}
    - {{account: \"svc-*\", reason: service accounts, until: 2027-01-31}}
"
    )
}

const POLICIES: &str = "apiVersion: intake.dev/v1
kind: ImportPolicy
metadata: {name: staff}
spec:
  accountType: EndUser
  customers: {matchLabels: {tier: standard}}
  selection: {organizationalUnits: [OU=Staff]}
  licenses: {anyOf: [SPE_E3, O365_BUSINESS_PREMIUM], ignore: [FLOW_FREE]}
---
apiVersion: intake.dev/v1
kind: ImportPolicy
metadata: {name: premium}
spec:
  accountType: EndUser
  customers: {matchLabels: {tier: premium}}
  selection: {securityGroups: [Intake Users]}
---
apiVersion: intake.dev/v1
kind: ImportPolicy
metadata: {name: administrators}
spec:
  accountType: Administrator
  default: true
  selection: {securityGroups: [Intake Administrators]}
---
apiVersion: intake.dev/v1
kind: ImportOptions
metadata: {name: standard}
spec: {accountType: EndUser, default: true, interval: 3h}
";

/// A controller over many customers follows a branch; commits change one customer's file.
fn planned_after_a_commit() {
    let (installation, repository) = (Installation::new(), Repository::new());
    let name = |number: u32| format!("c{number}");
    installation.default_policy("selection: {securityGroups: [Intake Users]}");
    for number in 0..FOLLOWED {
        let name = name(number);
        installation.people(&name, &[number * 10 + 1]);
        installation.customer(&name, &name, &ldif_source(&name), &snapshot_source(&name));
    }
    for entry in std::fs::read_dir(installation.tree()).unwrap() {
        let path = entry.unwrap().path();
        repository.write(&path.file_name().unwrap().to_string_lossy(), std::fs::read(&path).unwrap());
    }
    repository.publish();
    installation
        .operator(&format!("git: {{url: \"file://{}\", interval: 1s}}\n", repository.served().display()));
    let mut controller = Running::of(&mut installation.command(&["run", "-v", "--log-format", "json"]));
    let ended = |controller: &Running| controller.log().matches("\"turn ended\"").count();
    while ended(&controller) < FOLLOWED as usize {
        assert!(!controller.has_ended(), "{}", controller.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        let number = u32::try_from(round).unwrap() * 7;
        let customer = name(number);
        let people = [number * 10 + 1, number * 10 + 2];
        installation.people(&customer, &people);
        for suffix in ["ldif", "json"] {
            let file = format!("{customer}.{suffix}");
            repository.write(&file, std::fs::read(installation.tree().join(&file)).unwrap());
        }
        let commit = repository.publish();
        let applied = |line: &&str| line.contains("\"applied\"") && line.contains(&format!("\"{customer}\""));
        loop {
            let log = controller.log();
            let fetched = log.lines().find(|line| line.contains("\"fetched\"") && line.contains(&commit));
            let applied = log.lines().filter(applied).nth(1);
            if let (Some(fetched), Some(applied)) = (fetched, applied) {
                times.push(moment(applied) - moment(fetched));
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let times: Vec<Duration> = times.into_iter().map(|time| time.try_into().unwrap()).collect();
    println!("customers: {FOLLOWED}, their people in files");
    println!(
        "from a commit fetched to its customer's change applied, median of {ROUNDS}: {:.2} s (at most 1)",
        median(times).as_secs_f64()
    );
}

/// When a line of the log was written.
fn moment(line: &str) -> jiff::SignedDuration {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let moment: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
    moment.as_duration()
}
