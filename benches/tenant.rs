//! `intake plan` over 100,000 licensed users of one tenant, by turns with `curl` for the same pages one
//! after the other; then one round over 2,000 tenants.
//!
//! `cargo bench --bench tenant` prints the ratios of the medians: of the reading, from the start of the
//! program until all users are taken apart, and of the whole command, which plans and prints them besides. The server is the tests' stand-in for
//! Graph, which makes every page when it is asked for; it runs on the other core.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may fail loudly"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use intake::adapters::tenant_object::USER_PROPERTIES;
use serde_json::Value;

#[path = "../tests/support/mod.rs"]
mod support;

use support::graph::{CLIENT_ID, GraphFake, Place, SECRET, e3, person};
use support::measure::{Measured, measure, measure_and, median};

const USERS: u32 = 100_000;
const ROUNDS: usize = 11;
const TENANTS: u32 = 2_000;
const PEOPLE: u32 = 50;
const AT_ONCE: usize = 16;

fn main() {
    // `cargo bench` asks for this one; with a word, only a part of it runs.
    let asked = std::env::args().nth(1).filter(|word| !word.starts_with('-'));
    if asked.as_deref() != Some("many") {
        one_large_tenant();
    }
    if asked.as_deref() != Some("one") {
        many_tenants();
    }
}

fn one_large_tenant() {
    let graph = GraphFake::spawn();
    let tenant = graph.tenant("big.test");
    tenant.sku(e3()).people_at_once((1..=USERS).map(|number| person(number, "big.test")).collect());
    let tree = tempfile::tempdir().unwrap();
    write_policy(tree.path());
    write_customer(tree.path(), "big", &graph);
    let (mut ours, mut theirs, mut readings) = (Vec::new(), Vec::new(), Vec::new());
    let (mut peak, mut shares) = (0, Vec::new());
    for round in 1..=ROUNDS {
        graph.forget_requests();
        let mut reading = None;
        let plan =
            measure_and(&mut command(tree.path(), &["plan", "--state", "sqlite:none.db"]), |_, now| {
                // What comes after the users is asked for once all of them were taken apart.
                if reading.is_none() && graph.count(Place::Skus) > 0 {
                    reading = Some(now);
                }
            });
        let reading = reading.expect("subscriptions were asked for");
        let share = reading.of_a_core();
        let curl = curl(&graph, tree.path());
        println!(
            "round {round}: reading {:.3} s ({share:.0} % of a core), intake plan {:.3} s ({:.0} % of a core, \
             {} MB), curl {:.3} s",
            reading.time.as_secs_f64(),
            plan.time.as_secs_f64(),
            plan.of_a_core(),
            plan.peak / 1024,
            curl.time.as_secs_f64()
        );
        ours.push(plan.time);
        readings.push(reading.time);
        theirs.push(curl.time);
        peak = peak.max(plan.peak);
        shares.push(share);
    }
    let (ours, readings, theirs) = (median(ours), median(readings), median(theirs));
    shares.sort_by(f64::total_cmp);
    println!("users: {USERS}, in pages of 999");
    println!("intake plan, median: {:.3} s", ours.as_secs_f64());
    println!("curl, median: {:.3} s", theirs.as_secs_f64());
    let ratio = |time: std::time::Duration| time.as_secs_f64() / theirs.as_secs_f64();
    println!("reading, median: {:.3} s", readings.as_secs_f64());
    println!(
        "ratio of the reading: {:.2} (at most 1.20); of the whole command: {:.2}",
        ratio(readings),
        ratio(ours)
    );
    println!("of one core while reading, median: {:.0} % (at most 40)", shares[ROUNDS / 2]);
    println!("peak memory: {} MB (at most 200)", peak / 1024);
}

fn many_tenants() {
    let graph = GraphFake::spawn();
    let tree = tempfile::tempdir().unwrap();
    write_policy(tree.path());
    std::fs::create_dir(tree.path().join("customers")).unwrap();
    for number in 1..=TENANTS {
        let name = format!("c{number}");
        graph.tenant(&format!("{name}.test")).people(PEOPLE).sku(e3());
        write_customer(&tree.path().join("customers"), &name, &graph);
    }
    let port = graph.url().rsplit_once(':').unwrap().1.parse().unwrap();
    let (mut connections, mut looks) = (0, 0_u32);
    let mut command = command(tree.path(), &["run", "--once", "--state", "sqlite:fleet.db"]);
    let run = measure_and(&mut command, |_, _| {
        looks += 1;
        if looks % 10 == 0 {
            connections = connections.max(connections_to(port));
        }
    });
    println!("tenants: {TENANTS} of {PEOPLE} users, {AT_ONCE} at once, in one `run --once`");
    println!("time: {:.1} s, {:.0} % of a core", run.time.as_secs_f64(), run.of_a_core());
    println!("connections at once: {connections} (as many as customers at once: {AT_ONCE})");
    println!("peak memory: {} MB (at most 300)", run.peak / 1024);
    let log = tree.path().join("fleet.db");
    println!("the register: {} MB", std::fs::metadata(log).unwrap().len() >> 20);
}

/// Established connections to a port of this machine, as the operating system lists them (proc(5)).
fn connections_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let wanted = format!("0100007F:{port:04X}");
    let is_one = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(2) == Some(&wanted.as_str()) && fields.get(3) == Some(&"01")
    };
    table.lines().filter(is_one).count()
}

/// Everybody who is licensed.
fn write_policy(folder: &Path) {
    let policy = "apiVersion: intake.dev/v1
kind: ImportPolicy
metadata: {name: staff}
spec:
  accountType: EndUser
  default: true
  selection: {licensed: true}
";
    std::fs::write(folder.join("policy.yaml"), policy).unwrap();
}

fn write_customer(folder: &Path, name: &str, graph: &GraphFake) {
    let url = graph.url();
    let variable = format!("INTAKE_SECRET_{}__GRAPH", name.to_uppercase());
    let customer = format!(
        "apiVersion: intake.dev/v1
kind: Customer
metadata: {{name: {name}}}
spec:
  tenant:
    graph:
      tenantId: {name}.test
      clientId: {CLIENT_ID}
      clientSecretFrom: {{env: {variable}}}
      endpoints: {{login: \"{url}\", graph: \"{url}\"}}
"
    );
    std::fs::write(folder.join(format!("{name}.yaml")), customer).unwrap();
}

fn command(tree: &Path, arguments: &[&str]) -> Command {
    let operator = tree.join(".operator.yaml");
    std::fs::write(&operator, format!("permit: [endpoints]\nconcurrency: {AT_ONCE}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_intake"));
    command.args(arguments).arg("--config").arg(operator).arg("-q").current_dir(tree);
    command.env("INTAKE_SECRET_BIG__GRAPH", SECRET);
    for number in 1..=TENANTS {
        command.env(format!("INTAKE_SECRET_C{number}__GRAPH"), SECRET);
    }
    command
}

/// Fetches the same pages over one connection. Their links are found beforehand, by walking once.
fn curl(graph: &GraphFake, folder: &Path) -> Measured {
    let root = graph.url();
    let token = curl_json(&[
        &format!("{root}/big.test/oauth2/v2.0/token"),
        "--data",
        &format!(
            "grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={SECRET}&scope={root}/.default"
        ),
    ]);
    let bearer = format!("Authorization: Bearer {}", token["access_token"].as_str().unwrap());
    let first = format!("{root}/v1.0/users?$select={}&$top=999", USER_PROPERTIES.join(","));
    let (mut pages, mut next) = (String::new(), Some(first));
    while let Some(url) = next {
        writeln!(pages, "url = \"{url}\"\noutput = \"/dev/null\"").unwrap();
        let page = curl_json(&[&url, "--header", &bearer]);
        next = page["@odata.nextLink"].as_str().map(str::to_owned);
    }
    let config = folder.join(".pages");
    std::fs::write(&config, pages).unwrap();
    measure(Command::new("curl").args(["--silent", "--globoff", "--header", &bearer, "--config"]).arg(config))
}

fn curl_json(arguments: &[&str]) -> Value {
    let output =
        Command::new("curl").args(["--silent", "--globoff", "--fail"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}
