//! `sync`, `suspend` and `resume`: who may, what they do, and that it lasts.

use serde_json::{Value, json};

use super::{OPERATOR, VIEWER, started, with_tokens, without_tokens};
use crate::support::asking::Served;
use crate::support::intake::{Installation, Run, Running, persons, until};

/// Runs an order, with a token or without.
fn order(here: &Installation, token: Option<&str>, arguments: &[&str]) -> Run {
    let mut command = here.command(arguments);
    command.env_remove("INTAKE_TOKEN");
    if let Some(token) = token {
        command.env("INTAKE_TOKEN", token);
    }
    Running::of(&mut command).end()
}

fn state(here: &Installation, name: &str) -> Value {
    here.status(name)["state"].clone()
}

/// Returns the events of a customer that are about itself.
fn orders(here: &Installation) -> Vec<Value> {
    here.events()
        .into_iter()
        .filter(|event| event["kind"].as_str().is_some_and(|kind| kind.starts_with("customer.")))
        .collect()
}

#[test]
fn a_plan_shows_an_order_at_once() {
    let here = with_tokens();
    let served = started(&here, &[("contoso", &[1])]).with(OPERATOR);
    let planned =
        || served.get("/api/v1/customers/contoso/plan").expect(200).json()["customers"][0]["state"].clone();
    for _ in 0..5 {
        assert_eq!(planned(), "ready");
        served.post("/api/v1/customers/contoso/suspend", "{\"reason\": \"x\"}").expect(200);
        // One that was made before, and kept for others who ask, is old now.
        assert_eq!(planned(), "suspended");
        served.post("/api/v1/customers/contoso/resume", "").expect(200);
    }
    assert_eq!(planned(), "ready");
    // So is an explanation.
    let person = &served.get("/api/v1/customers/contoso/accounts").expect(200).json()["accounts"][0];
    let explained =
        format!("/api/v1/customers/contoso/explain/{}", person["directoryId"].as_str().expect("an id"));
    let first = served.get(&explained).expect(200);
    assert_eq!(served.get(&explained).expect(200).body, first.body);
    served.end();
}

#[test]
fn only_operators_give_orders() {
    let here = with_tokens();
    let served = started(&here, &[("contoso", &[1])]);
    for word in ["sync", "suspend", "resume"] {
        let path = format!("/api/v1/customers/contoso/{word}");
        let reason = "{\"reason\": \"x\"}";
        let as_whom = |token: &str| {
            let bearer = format!("Bearer {token}");
            let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
            served.ask("POST", &path, &headers, reason.as_bytes())
        };
        let nobody = served.post(&path, reason).expect(401);
        assert!(nobody.headers["www-authenticate"].starts_with("Bearer"), "{nobody:?}");
        as_whom("wrong").expect(401);
        let viewer = as_whom(VIEWER).expect(403);
        assert!(viewer.detail().contains("`ci`"), "{viewer:?}");
        assert_eq!(
            served.ask("GET", &path, &[("Authorization", &format!("Bearer {OPERATOR}"))], b"").status,
            405
        );
        // Whoever may not does not learn who exists.
        let elsewhere = path.replace("contoso", "nobody");
        let headers = [("Authorization", format!("Bearer {VIEWER}"))];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        served.ask("POST", &elsewhere, &headers, b"").expect(403);
    }
    assert_eq!(orders(&here), Vec::<Value>::new());
    let served = served.with(OPERATOR);
    let unknown = served.post("/api/v1/customers/contosso/sync", "").expect(404);
    assert_eq!(unknown.json()["hint"], "did you mean `contoso`?");
    served.post("/api/v1/customers/..%2f..%1b/sync", "").expect(404);
    served.post("/api/v1/customers/%ff/sync", "").expect(400);
    for (content, status) in [
        ("", 400),
        ("{}", 400),
        ("{\"reason\": \" \"}", 422),
        (&json!({"reason": "x".repeat(501)}).to_string(), 422),
    ] {
        served.post("/api/v1/customers/contoso/suspend", content).expect(status);
    }
    served.post("/api/v1/customers/contoso/suspend", &"x".repeat(20_000)).expect(413);
    served.end();
}

#[test]
fn without_tokens_there_are_no_orders() {
    let here = without_tokens();
    let served = started(&here, &[("a", &[1])]);
    let refused = served.post("/api/v1/customers/a/sync", "").expect(403);
    assert!(refused.detail().contains("without tokens"), "{refused:?}");
    let run = order(&here, None, &["sync", "a", "--server", &served.url()]).expect(1);
    assert!(run.stderr.contains("looking alone") && run.stderr.contains("auth"), "{run:?}");
    served.end();
}

#[test]
fn a_customer_that_was_suspended_is_read_and_planned_and_not_written_until_it_is_resumed() {
    let here = with_tokens();
    let served = started(&here, &[("a", &[1, 2]), ("b", &[3])]);
    let url = served.url();
    let suspend = ["suspend", "a", "--server", &url, "--reason", "they move \u{202e}\u{1b}[31mto the cloud"];
    let run = order(&here, Some(OPERATOR), &suspend).expect(0);
    assert_eq!(run.stdout, "a is suspended: nothing is written for it until `intake resume a`.\n");
    until("its status says so", || state(&here, "a") == "suspended");
    let status = here.run(&["status"]).expect(0);
    assert!(
        status.stdout.contains("suspended by ops at") && status.stdout.contains("to the cloud"),
        "{status:?}"
    );
    assert!(!status.stdout.contains('\u{1b}') && !status.stdout.contains('\u{202e}'), "{status:?}");

    // Somebody comes and somebody goes: planned, and not written.
    here.people("a", &[1, 5]);
    let last = here.status("a")["lastAttempt"].clone();
    order(&here, Some(OPERATOR), &["sync", "a", "--server", &url]).expect(0);
    until("it had a turn", || here.status("a")["lastAttempt"] != last);
    let plan = here.json(&["plan", "--customer", "a"], 0);
    assert_eq!(plan["customers"][0]["state"], "suspended");
    assert_eq!(plan["summary"]["add"], 1, "{plan:#}");
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(here.names("a", "active"), persons(&[1, 2]));
    assert_eq!(state(&here, "b"), "ready");

    // Twice is once, and a new process knows it, too.
    let run = order(&here, Some(OPERATOR), &suspend).expect(0);
    assert!(run.stdout.starts_with("a was suspended already by ops since "), "{run:?}");
    served.end();
    let began = here.status("a")["lastAttempt"].clone();
    let served = Served::start(&here);
    let url = served.url();
    until("it had a turn", || here.status("a")["lastAttempt"] != began);
    assert_eq!(state(&here, "a"), "suspended");
    assert_eq!(here.names("a", "active"), persons(&[1, 2]));

    let resume = ["resume", "a", "--server", &url, "--format", "json"];
    let run = order(&here, Some(OPERATOR), &resume).expect(0);
    let told: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let expected = json!({"customer": "a", "changed": true, "suspended": false, "suspendedInTree": false, "suspension": null});
    assert_eq!(told, expected);
    until("it is written again", || here.names("a", "active") == persons(&[1, 5]));
    until("its status says so", || state(&here, "a") == "ready");
    let run = order(&here, Some(OPERATOR), &["resume", "a", "--server", &url]).expect(0);
    assert_eq!(run.stdout, "a was not suspended.\n");
    let log = served.end();
    assert!(!log.contains(OPERATOR), "{log}");

    let orders = orders(&here);
    let kinds: Vec<&Value> = orders.iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["customer.suspended", "customer.syncRequested", "customer.resumed"]);
    assert!(
        orders.iter().all(|event| event["details"]["by"] == "ops" && event["customer"] == "a"),
        "{orders:#?}"
    );
    assert!(orders[0]["details"]["reason"].as_str().expect("a reason").starts_with("they move "));
    here.expect_whole();
    let history = here.run(&["history", "--kind", "customer.suspended"]).expect(0);
    assert!(history.stdout.contains("customer.suspended a by=ops reason=they move"), "{history:?}");
    assert!(!history.stdout.contains('\u{1b}'), "{history:?}");
    // The register can still be told as it was.
    here.run(&["history", "--at", "2999-01-01"]).expect(0);
}

#[test]
fn what_the_tree_suspends_the_tree_resumes() {
    let here = with_tokens();
    here.customer_of_files("a", &[1]);
    let document = std::fs::read_to_string(here.tree().join("a.yaml")).expect("a file");
    let served = started(&here, &[("a", &[1])]);
    here.write("a.yaml", &document.replace("spec:\n", "spec:\n  suspend: true\n"));
    until("its status says so", || state(&here, "a") == "suspended");
    let url = served.url();
    let run = order(&here, Some(OPERATOR), &["resume", "a", "--server", &url]).expect(1);
    assert!(run.stderr.contains("suspended in the tree") && run.stderr.contains("suspend: true"), "{run:?}");
    order(&here, Some(OPERATOR), &["suspend", "a", "--server", &url, "--reason", "both"]).expect(0);
    let run = order(&here, Some(OPERATOR), &["resume", "a", "--server", &url]).expect(0);
    assert!(run.stdout.contains("stays suspended: its document says"), "{run:?}");
    assert_eq!(state(&here, "a"), "suspended");
    served.end();
}

#[test]
fn a_customer_that_left_the_tree_suspended_is_not_orphaned_until_it_is_resumed() {
    let here = with_tokens();
    let served = started(&here, &[("a", &[1]), ("b", &[2])]);
    let url = served.url();
    order(&here, Some(OPERATOR), &["suspend", "a", "--server", &url, "--reason", "moving"]).expect(0);
    here.delete("a.yaml");
    let mut served = served;
    served.running.logs("not in the tree any more");
    until("its status says so", || state(&here, "a") == "suspended");
    let last = here.status("a")["lastAttempt"].clone();
    order(&here, Some(OPERATOR), &["sync", "a", "--server", &url]).expect(0);
    until("it had a turn", || here.status("a")["lastAttempt"] != last);
    assert_eq!(here.names("a", "active"), persons(&[1]));
    order(&here, Some(OPERATOR), &["resume", "a", "--server", &url]).expect(0);
    until("it is orphaned", || here.names("a", "orphaned") == persons(&[1]));
    served.end();
}

#[test]
fn an_order_to_nobody_is_an_error_that_says_what_to_try() {
    let here = with_tokens();
    let served = started(&here, &[("contoso", &[1])]);
    let url = served.url();
    for (token, arguments, words) in [
        (Some(OPERATOR), &["sync", "contosso", "--server", &url][..], "did you mean `contoso`?"),
        (Some(VIEWER), &["sync", "contoso", "--server", &url], "may look, and not change anything"),
        (None, &["sync", "contoso", "--server", &url], "wants a token"),
        (Some(OPERATOR), &["suspend", "contoso", "--server", &url, "--reason", " "], "the reason is empty"),
        (Some(OPERATOR), &["sync", "contoso", "--server", "http://127.0.0.1:9"], "no connection"),
        (Some(OPERATOR), &["sync", "contoso"], "--server"),
        (Some(OPERATOR), &["suspend", "contoso", "--server", &url], "--reason"),
    ] {
        let run = order(&here, token, arguments).expect(1);
        assert!(run.stderr.contains(words), "{arguments:?}: {run:?}");
        assert_eq!(run.stdout, "", "{arguments:?}");
    }
    served.end();
}
