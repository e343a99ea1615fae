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
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use intake::adapters::directory_object::ATTRIBUTES;
use intake::adapters::ldap_search::filter;

#[path = "../tests/support/mod.rs"]
mod support;

use support::slapd::{PASSWORD, READER, SUFFIX, Slapd, SlapdOptions};

const USERS: u32 = 100_000;
const ROUNDS: usize = 5;

fn main() {
    let slapd = Slapd::start(&support::contoso::many(USERS), &SlapdOptions::default());
    let tree = tempfile::tempdir().unwrap();
    write_tree(tree.path(), &slapd.url());
    let (mut ours, mut theirs, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (time, peak) = time_plan(tree.path());
        let search = time_ldapsearch(&slapd);
        println!(
            "round {round}: intake plan {:.3} s ({peak} kB), ldapsearch {:.3} s",
            time.as_secs_f64(),
            search.as_secs_f64()
        );
        ours.push(time);
        theirs.push(search);
        peaks.push(peak);
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

/// Runs `intake plan` and returns how long it took and its peak memory in kB.
fn time_plan(tree: &Path) -> (Duration, u64) {
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_intake"))
        .args(["plan", "--state", "sqlite:none.db"])
        .current_dir(tree)
        .env("INTAKE_SECRET_BIG__LDAP", PASSWORD)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    // The mark only rises, and is gone with the process: the last look counts.
    loop {
        let status = std::fs::read_to_string(&status_file).unwrap_or_default();
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(mark) = mark {
            peak = mark.trim().trim_end_matches(" kB").parse().unwrap();
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "the plan failed");
            return (started.elapsed(), peak);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn time_ldapsearch(slapd: &Slapd) -> Duration {
    let started = Instant::now();
    let status = Command::new("ldapsearch")
        .args(["-x", "-LLL", "-H", &slapd.url(), "-D", READER, "-w", PASSWORD, "-b", SUFFIX])
        .args(["-E", "pr=1000/noprompt", &filter()])
        .args(ATTRIBUTES)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "ldapsearch failed");
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
