//! Traces: what a collector gets, read by OpenTelemetry's own description of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::asking::Served;
use crate::support::intake::{Installation, until};
use crate::support::others::Others;
use crate::support::process::run;

type Requests = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Somebody who collects traces, or refuses to.
struct Collector {
    _runtime: Runtime,
    address: String,
    requests: Requests,
}

impl Collector {
    fn start(status: u16) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let requests = Requests::default();
        let taken = requests.clone();
        let take = async move |headers: HeaderMap, body: Bytes| {
            let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
            let head = format!("{} {}", header("content-type"), header("authorization"));
            taken.lock().expect("a lock").push((head, body.to_vec()));
            StatusCode::from_u16(status).expect("a status")
        };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let routes = Router::new().route("/v1/traces", post(take));
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Self { _runtime: runtime, address, requests }
    }

    /// Reads all spans that arrived so far.
    fn spans(&self, here: &Installation) -> Vec<Value> {
        let mut files = Vec::new();
        for (number, (head, body)) in self.requests.lock().expect("a lock").iter().enumerate() {
            assert_eq!(head, "application/x-protobuf Bearer a-token-of-the-collector");
            let file = here.folder().join(format!("traces-{number}"));
            fs::write(&file, body).expect("written");
            files.push(file);
        }
        let others = Others::get();
        let read = run(Command::new(others.python()).arg(others.program("read_traces.py")).args(files));
        let read: Value = serde_json::from_str(&read).expect("JSON");
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut spans = Vec::new();
        for resource in list(&read).iter().flat_map(|request| list(&request["resourceSpans"])) {
            assert_eq!(attributes(&resource["resource"])["service.name"], "intake");
            for scope in list(&resource["scopeSpans"]) {
                spans.extend(list(&scope["spans"]));
            }
        }
        spans
    }
}

fn attributes(of: &Value) -> BTreeMap<String, String> {
    let list = of["attributes"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| {
        value["stringValue"].as_str().or(value["intValue"].as_str()).unwrap_or_default().to_owned()
    };
    list.iter().map(|one| (one["key"].as_str().expect("a key").to_owned(), text(&one["value"]))).collect()
}

fn installation(collector: &Collector) -> Installation {
    let mut here = Installation::new();
    here.environment("COLLECTOR", "a-token-of-the-collector");
    here.operator(&format!(
        "listen: 127.0.0.1:0\ntraces: {{otlp: {{url: \"{}\", tokenFrom: {{env: COLLECTOR}}}}}}\n",
        collector.address
    ));
    here.default_policy("selection: {securityGroups: [Intake Users]}");
    here.customer_of_files("contoso", &[1, 2]);
    here.customer_of_files("fabrikam", &[3]);
    here
}

#[test]
fn a_turn_and_its_parts_are_traced_and_nobodys_name_is() {
    let collector = Collector::start(200);
    let here = installation(&collector);
    here.run(&["run", "--once"]).expect(0);
    let spans = collector.spans(&here);
    let turns: Vec<&Value> = spans.iter().filter(|span| span["name"] == "turn").collect();
    let customers: BTreeSet<String> = turns.iter().map(|turn| attributes(turn)["customer"].clone()).collect();
    assert_eq!(customers, BTreeSet::from(["contoso".to_owned(), "fabrikam".to_owned()]));
    for turn in turns {
        assert_eq!(attributes(turn)["state"], "ready");
        let parts: BTreeSet<&str> = spans
            .iter()
            .filter(|span| span["parentSpanId"] == turn["spanId"])
            .map(|span| span["name"].as_str().expect("a name"))
            .collect();
        assert_eq!(parts, BTreeSet::from(["observe", "plan", "pack", "write", "record"]));
        let observe =
            spans.iter().find(|span| span["name"] == "observe" && span["parentSpanId"] == turn["spanId"]);
        let observe = observe.expect("its reading");
        assert_eq!(observe["traceId"], turn["traceId"]);
        // In tasks of their own, and still a part of it.
        let read = spans.iter().filter(|span| span["parentSpanId"] == observe["spanId"]).count();
        assert_eq!(read, 2, "a directory and a tenant");
    }
    let all = Value::from(spans).to_string().to_lowercase();
    assert!(!all.contains("person1") && !all.contains("contoso.test"), "{all}");
}

#[test]
fn a_request_is_traced_by_its_pattern() {
    let collector = Collector::start(200);
    let here = installation(&collector);
    let served = Served::start(&here);
    until("its first turn is over", || here.status("contoso") != Value::Null);
    served.get("/api/v1/customers/contoso/explain/person1@contoso.test").expect(200);
    served.get("/api/v1/nowhere").expect(404);
    served.end();
    let spans = collector.spans(&here);
    let requests: BTreeMap<&str, String> = spans
        .iter()
        .filter(|span| span["kind"] == "SPAN_KIND_SERVER")
        .map(|span| {
            (span["name"].as_str().expect("a name"), attributes(span)["http.response.status_code"].clone())
        })
        .collect();
    assert_eq!(requests["GET /api/v1/customers/{name}/explain/{account}"], "200", "{requests:?}");
    assert!(requests.values().any(|status| status == "404"), "{requests:?}");
    assert!(!Value::from(spans.clone()).to_string().contains("person1"));
}

#[test]
fn a_collector_that_is_away_or_refuses_holds_nothing_up() {
    let refuses = Collector::start(503);
    let here = installation(&refuses);
    let ran = here.run(&["run", "--once"]).expect(0);
    assert!(!ran.stderr.contains("ERROR") && !ran.stderr.contains("traces"), "{ran:?}");
    assert!(!refuses.requests.lock().expect("a lock").is_empty());
    let away = Collector { address: "http://127.0.0.1:9".to_owned(), ..Collector::start(200) };
    let here = installation(&away);
    here.run(&["run", "--once"]).expect(0);
    here.expect_whole();
}

#[test]
fn a_collector_that_nobody_can_mean_is_an_error() {
    let here = Installation::new();
    here.policy(&["a"]);
    here.customer_of_files("a", &[1]);
    for (traces, words) in [
        ("{otlp: {url: \"http://collector.example:4318\"}}", "http is for this machine alone"),
        (
            "{otlp: {url: \"https://collector.example\", tokenFrom: {env: NO_SUCH}}}",
            "the token of `traces.otlp`",
        ),
        ("{otlp: {}}", "url"),
        ("{zipkin: {}}", "zipkin"),
    ] {
        here.operator(&format!("traces: {traces}\n"));
        let run = here.run(&["run", "--once"]).expect(1);
        assert!(run.stderr.contains(words), "{traces}: {run:?}");
    }
}
