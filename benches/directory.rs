//! Reads 100,000 users from slapd, by turns with Intake and with `ldapsearch`, and compares.
//!
//! Each reading is a process of its own, so that its time is a person's and its memory nobody else's.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may fail loudly"
)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use intake::adapters::directory_object::ATTRIBUTES;
use intake::adapters::ldap::LdapDirectory;
use intake::adapters::ldap_search::filter;
use intake::model::duration::Seconds;
use intake::model::reading::Reading;
use intake::model::text::Text;
use intake::policy::fleet::{Bind, LdapLocation, SecretRef};
use intake::ports::source::{DirectoryPort as _, Unwatched};
use secrecy::SecretString;

#[path = "../tests/support/mod.rs"]
mod support;

use support::slapd::{PASSWORD, READER, SUFFIX, Slapd, SlapdOptions};

const USERS: u32 = 100_000;
const ROUNDS: usize = 5;
/// Set for a process that is to read once: the server's URL.
const READ_FROM: &str = "INTAKE_BENCH_READ_FROM";

fn main() {
    if let Ok(url) = std::env::var(READ_FROM) {
        return read_once(&url);
    }
    let slapd = Slapd::start(&support::contoso::many(USERS), &SlapdOptions::default());
    let (mut ours, mut theirs, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (time, peak) = time_reading(&slapd);
        let search = time_ldapsearch(&slapd);
        println!(
            "round {round}: intake {:.3} s ({peak} kB), ldapsearch {:.3} s",
            time.as_secs_f64(),
            search.as_secs_f64()
        );
        ours.push(time);
        theirs.push(search);
        peaks.push(peak);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("users: {USERS}");
    println!("intake, median: {:.3} s", ours.as_secs_f64());
    println!("ldapsearch -E pr=1000/noprompt, median: {:.3} s", theirs.as_secs_f64());
    println!("ratio: {:.2} (at most 1.30)", ours.as_secs_f64() / theirs.as_secs_f64());
    println!("peak memory: {} MB (at most 200)", peaks.iter().max().unwrap() / 1024);
}

fn time_reading(slapd: &Slapd) -> (Duration, u64) {
    let started = Instant::now();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.env(READ_FROM, slapd.url()).stderr(Stdio::inherit()).output().unwrap();
    let time = started.elapsed();
    assert!(output.status.success(), "the reading failed");
    (time, String::from_utf8_lossy(&output.stdout).trim().parse().unwrap())
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

/// Reads the directory and prints the peak of this process's memory in kB.
fn read_once(url: &str) {
    let location = LdapLocation {
        urls: vec![url.to_owned()],
        start_tls: false,
        ca_file: None,
        base_dn: None,
        bind: Some(Bind { dn: READER.to_owned(), password_from: SecretRef::Env(String::new()) }),
        page_size: 1000,
        timeout: Seconds(30),
    };
    let password = SecretString::from(PASSWORD.to_owned());
    let directory = LdapDirectory::new(Text::from("main"), location, Some(password), Duration::ZERO);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match runtime.block_on(directory.read(&Unwatched)) {
        Reading::Complete(directory) => assert_eq!(directory.people.len(), USERS as usize),
        other => panic!("{other:?}"),
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{}", peak.trim().trim_end_matches(" kB"));
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
