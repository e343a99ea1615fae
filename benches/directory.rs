//! `intake plan` over 100,000 users in slapd, by turns with `ldapsearch` for the same attributes.
//!
//! `cargo bench --bench directory` prints the ratio of the medians. Both are processes of their own:
//! their time is what a person waits, their memory nobody else's.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may fail loudly"
)]

use std::path::Path;
use std::process::Command;

use intake::adapters::directory_object::ATTRIBUTES;
use intake::adapters::ldap_search::filter;

#[path = "../tests/support/mod.rs"]
mod support;

use support::measure::{Measured, measure, median};
use support::slapd::{PASSWORD, READER, SUFFIX, Slapd, SlapdOptions};

const USERS: u32 = 100_000;
const ROUNDS: usize = 5;

fn main() {
    let slapd = Slapd::start(&support::contoso::many(USERS), &SlapdOptions::default());
    let tree = tempfile::tempdir().unwrap();
    write_tree(tree.path(), &slapd.url());
    let (mut ours, mut theirs, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (plan, search) = (plan(tree.path()), search(&slapd));
        println!(
            "round {round}: intake plan {:.3} s ({} kB), ldapsearch {:.3} s",
            plan.time.as_secs_f64(),
            plan.peak,
            search.time.as_secs_f64()
        );
        ours.push(plan.time);
        theirs.push(search.time);
        peaks.push(plan.peak);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("users: {USERS}");
    println!("intake plan, median: {:.3} s", ours.as_secs_f64());
    println!("ldapsearch -E pr=1000/noprompt, median: {:.3} s", theirs.as_secs_f64());
    println!("ratio: {:.2} (at most 1.30)", ours.as_secs_f64() / theirs.as_secs_f64());
    println!("peak memory: {} MB (at most 200)", peaks.iter().max().unwrap() / 1024);
}

/// A customer of a directory alone, whose policy selects a department of five thousand.
fn write_tree(folder: &Path, url: &str) {
    let customer = format!(
        "apiVersion: intake.dev/v1
kind: Customer
metadata: {{name: big}}
spec:
  directories:
    - ldap:
        urls: [\"{url}\"]
        bind: {{dn: \"{READER}\", passwordFrom: {{env: INTAKE_SECRET_BIG__LDAP}}}}
"
    );
    let policy = "apiVersion: intake.dev/v1
kind: ImportPolicy
metadata: {name: staff}
spec:
  accountType: EndUser
  customers: {names: [big]}
  selection: {organizationalUnits: [\"OU=Dept07,OU=Staff\"]}
  passwordSync: false
";
    std::fs::write(folder.join("customer.yaml"), customer).unwrap();
    std::fs::write(folder.join("policy.yaml"), policy).unwrap();
}

/// Runs `intake plan`.
fn plan(tree: &Path) -> Measured {
    measure(
        Command::new(env!("CARGO_BIN_EXE_intake"))
            .args(["plan", "--state", "sqlite:none.db"])
            .current_dir(tree)
            .env("INTAKE_SECRET_BIG__LDAP", PASSWORD),
    )
}

fn search(slapd: &Slapd) -> Measured {
    measure(
        Command::new("ldapsearch")
            .args(["-x", "-LLL", "-H", &slapd.url(), "-D", READER, "-w", PASSWORD, "-b", SUFFIX])
            .args(["-E", "pr=1000/noprompt", &filter()])
            .args(ATTRIBUTES),
    )
}
