//! One customer's failure never stops another; what failed is told, kept as it was, and tried again.

use std::time::Duration;

use serde_json::Value;

use crate::support::graph::{ALWAYS, At, Fault, GraphFake, person, person_id};
use crate::support::intake::{Installation, change_membership, directory, ldif_source, persons, until};
use crate::support::process::dead_port;
use crate::support::slapd::{Slapd, SlapdOptions};

/// Each failing customer, and the finding that says so.
const FAILING: [(&str, &str); 6] = [
    ("cut", "directory-incomplete"),
    ("dead", "directory-unavailable"),
    ("forbidden", "tenant-unavailable"),
    ("hanging", "tenant-unavailable"),
    ("stranger", "tenant-unconsented"),
    ("wrongkey", "tenant-unavailable"),
];

fn codes(plan: &Value, customer: &str) -> Vec<String> {
    let found = plan["customers"].as_array().expect("a list").iter().find(|found| found["name"] == customer);
    let findings = found.unwrap_or_else(|| panic!("no {customer} in {plan:#}"))["findings"].as_array();
    let code = |finding: &Value| finding["code"].as_str().expect("a code").to_owned();
    findings.expect("a list").iter().map(code).collect()
}

/// A good customer beside one of each that fails.
fn among_failures(graph: &GraphFake) -> Installation {
    let mut here = Installation::new();
    here.policy(&["cut", "dead", "forbidden", "good", "hanging", "stranger", "wrongkey"]);
    here.customer_of_files("good", &[1, 2, 3]);
    for (name, _) in FAILING {
        let users = graph.tenant(&format!("{name}.test"));
        for number in 1..=3 {
            users.user(person(number, "contoso.test"));
        }
        here.people(name, &[1, 2, 3]);
        let tenant = here.graph_source(name, graph);
        let main = match name {
            "dead" => here.ldap_source(name, &format!("ldap://127.0.0.1:{}", dead_port())),
            _ => ldif_source(name),
        };
        here.customer(name, name, &main, &tenant);
    }
    let whole = std::fs::read(here.tree().join("cut.ldif")).expect("read");
    std::fs::write(here.tree().join("cut.ldif"), &whole[..whole.len() * 2 / 3]).expect("written");
    graph.fault(At::users().of("forbidden.test"), Fault::Refused(403, "Authorization_RequestDenied"), ALWAYS);
    graph.fault(At::users().of("hanging.test"), Fault::Hang, ALWAYS);
    graph.tenant("stranger.test").consented(false);
    graph.tenant("wrongkey.test").secret("another");
    here
}

#[test]
fn the_good_one_is_applied_beside_every_kind_of_failure() {
    let graph = GraphFake::spawn();
    let here = among_failures(&graph);
    let plan = here.json(&["plan", "--max-wait", "1s"], 3);
    for (name, code) in FAILING {
        assert!(codes(&plan, name).contains(&code.to_owned()), "{name}: {:?}", codes(&plan, name));
    }
    assert_eq!(plan["summary"]["add"], 3);

    here.run(&["apply", "--yes", "--max-wait", "1s"]).expect(3);
    assert_eq!(here.accounts().len(), 3);
    assert_eq!(here.names("good", "active"), persons(&[1, 2, 3]));
    assert_eq!(here.status("good")["state"], "ready");
    for (name, hint) in [
        ("cut", "cut.ldif"),
        ("dead", "127.0.0.1"),
        ("forbidden", "403"),
        ("hanging", "no answer"),
        ("stranger", "consented"),
        ("wrongkey", "secret"),
    ] {
        let status = here.status(name);
        assert_eq!(status["state"], "unreadable", "{status:#}");
        assert_eq!((&status["failures"], &status["lastSuccess"]), (&Value::from(1), &Value::Null));
        let message = status["message"].as_str().expect("a message");
        assert!(message.contains(hint), "{name}: {message}");
    }
}

#[test]
fn a_customer_that_fails_is_tried_again_with_growing_pauses_and_recovers() {
    let graph = GraphFake::spawn();
    let here = among_failures(&graph);
    let mut controller = here.start(&["run", "--max-wait", "1s"]);
    for (name, _) in FAILING {
        until("it was tried", || here.status(name)["state"] == "unreadable");
        // The first pause is 15 s, a tenth more or less.
        let told = controller.first_turn(name);
        assert!((13..=17).contains(&told), "{name} waits {told} s: {}", controller.log());
        let status = here.status(name);
        let pause = seconds(&status["nextAttempt"]) - seconds(&status["lastAttempt"]);
        // A reading takes a while itself, above all one that hangs.
        assert!(pause >= 13, "{name} waits {pause} s: {status:#}");
    }
    let shown = here.run(&["status"]).expect(0).stdout;
    assert!(shown.contains("NEXT ATTEMPT"), "{shown}");
    let told = controller.first_turn("good");
    assert!((54..=66).contains(&told), "the good one has its interval, and not {told} s");
    let good = here.status("good");
    let pause = seconds(&good["nextAttempt"]) - seconds(&good["lastAttempt"]);
    assert!(pause >= 54, "the good one has its interval: {good:#}");

    here.people("cut", &[1, 2, 3]);
    until("the mended file is read at once", || here.names("cut", "active") == persons(&[1, 2, 3]));
    until("the failure is forgotten", || here.status("cut")["failures"] == 0);
    controller.logs("recovered");
    controller.signal("TERM");
    controller.end().expect(0);
}

#[test]
fn pauses_grow_from_failure_to_failure_and_are_those_that_a_tenant_asks_for() {
    let graph = GraphFake::spawn();
    let mut here = Installation::new();
    here.policy(&["contoso"]);
    here.people("contoso", &[1]);
    let tenant = here.graph_source("contoso", &graph);
    graph.tenant("contoso.test").people(1);
    graph.fault(At::users(), Fault::Throttled(Some(300)), ALWAYS);
    let mut looked = Value::Null;
    for name in ["once", "twice", "thrice"] {
        // Another name wakes the customer, whatever it waits for.
        here.customer("contoso", name, &ldif_source("contoso"), &tenant);
        let controller = here.start(&["run", "--max-wait", "1s"]);
        until("it was tried", || {
            let status = here.status("contoso");
            status["state"] == "unreadable" && status["lastAttempt"] != looked
        });
        controller.signal("TERM");
        controller.end().expect(0);
        looked = here.status("contoso")["lastAttempt"].clone();
    }
    let status = here.status("contoso");
    assert_eq!(status["failures"], 3, "failures are counted over restarts");
    let pause = seconds(&status["nextAttempt"]) - seconds(&status["lastAttempt"]);
    assert!((299..=335).contains(&pause), "{status:#}");
}

#[test]
fn a_short_throttling_is_survived_within_a_run() {
    let graph = GraphFake::spawn();
    graph.tenant("contoso.test").people(6).page_size(2);
    let mut here = Installation::new();
    here.policy(&["contoso"]);
    here.people("contoso", &[1, 2, 3, 4, 5, 6]);
    let tenant = here.graph_source("contoso", &graph);
    here.customer("contoso", "Contoso", &ldif_source("contoso"), &tenant);
    graph.fault(At::users().page(2), Fault::Throttled(Some(1)), 1);
    graph.fault(At::users().page(3), Fault::CutConnection, 1);
    graph.fault(At::token(), Fault::Status(503), 1);
    let run = here.run(&["apply", "--yes"]).expect(0);
    assert!(run.took >= Duration::from_secs(1), "it waits as long as it is asked to: {run:?}");
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2, 3, 4, 5, 6]));
}

#[test]
fn a_page_that_fails_for_ever_removes_nobody_and_the_next_run_catches_up() {
    let slapd = Slapd::start(&directory(&[1, 2, 3, 4, 5, 6], &[1, 2, 3, 4, 5]), &SlapdOptions::default());
    let graph = GraphFake::spawn();
    let tenant = graph.tenant("contoso.test");
    tenant.people(6).page_size(2);
    let mut here = Installation::new();
    here.policy(&["contoso"]);
    let (main, source) = (here.ldap_source("contoso", &slapd.url()), here.graph_source("contoso", &graph));
    here.customer("contoso", "Contoso", &main, &source);
    here.run(&["apply", "--yes"]).expect(0);
    let before = (here.accounts(), here.events());

    // The world goes on: one leaves the group, one comes, one loses the licence.
    change_membership(&slapd, "delete", 1);
    change_membership(&slapd, "add", 6);
    tenant.change(&person_id(2), serde_json::json!({"assignedLicenses": [], "licenseAssignmentStates": []}));
    for fault in [Fault::Status(500), Fault::CutBody, Fault::Html, Fault::NoValue] {
        graph.fault(At::users().page(3), fault.clone(), ALWAYS);
        let plan = here.json(&["plan", "--max-wait", "1s"], 3);
        let codes = codes(&plan, "contoso");
        assert!(codes.iter().any(|code| code.starts_with("tenant-")), "{fault:?}: {codes:?}");
        here.run(&["apply", "--yes", "--max-wait", "1s"]).expect(3);
        assert_eq!((here.accounts(), here.events()), before, "{fault:?}");
        graph.clear_faults();
    }
    assert_eq!(here.status("contoso")["failures"], 4);

    here.run(&["run", "--once"]).expect(0);
    assert_eq!(here.names("contoso", "active"), persons(&[3, 4, 5, 6]));
    assert_eq!(here.names("contoso", "removed"), persons(&[1, 2]));
    assert_eq!(here.status("contoso")["failures"], 0);
}

#[test]
fn a_directory_that_dies_removes_nobody() {
    let slapd = Slapd::start(&directory(&[1, 2, 3], &[1, 2, 3]), &SlapdOptions::default());
    let graph = GraphFake::spawn();
    graph.tenant("contoso.test").people(3);
    let mut here = Installation::new();
    here.policy(&["contoso"]);
    let (main, source) = (here.ldap_source("contoso", &slapd.url()), here.graph_source("contoso", &graph));
    here.customer("contoso", "Contoso", &main, &source);
    here.run(&["apply", "--yes"]).expect(0);
    let before = here.accounts();
    slapd.kill();
    let run = here.run(&["run", "--once", "--max-wait", "1s"]).expect(3);
    assert!(run.stdout.contains("contoso: unreadable: nothing written"), "{run:?}");
    assert_eq!(here.accounts(), before);
}

/// Returns the seconds of a time of today or tomorrow, as only their difference counts.
fn seconds(time: &Value) -> i64 {
    let time: jiff::Timestamp = time.as_str().expect("a time").parse().expect("a time");
    time.as_second()
}
