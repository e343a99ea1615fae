//! Deliveries against a small receiver.

use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use intake::adapters::webhook::{Form, WebhookDestination};
use intake::adapters::webhook_signature::SigningKey;
use intake::model::register::Delivery;
use intake::ports::outbox::Destination as _;

use super::*;
use crate::support::others::Others;
use crate::support::process::run;

type Arrived = Arc<Mutex<Vec<(HeaderMap, Value, Bytes)>>>;

/// Takes events and answers with one status.
struct Receiver {
    address: String,
    arrived: Arrived,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    async fn start(status: u16, retry_after: Option<&'static str>) -> Self {
        let arrived = Arrived::default();
        let log = Arc::clone(&arrived);
        let app = Router::new().fallback(move |headers: HeaderMap, body: Bytes| async move {
            let event = serde_json::from_slice(&body).expect("JSON");
            log.lock().expect("a lock").push((headers, event, body));
            let mut headers = HeaderMap::new();
            if let Some(wait) = retry_after {
                headers.insert("retry-after", wait.parse().expect("a header"));
            }
            (StatusCode::from_u16(status).expect("a status"), headers)
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!(
            "http://{}/hooks/path-secret?key=query-secret",
            listener.local_addr().expect("an address")
        );
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("a server") });
        Self { address, arrived, task }
    }

    fn destination(&self, token: Option<&str>) -> WebhookDestination {
        let url = self.address.parse().expect("an address");
        WebhookDestination::new(client(Duration::from_secs(10)), url, token.map(SecretString::from))
    }

    async fn deliver(&self, token: Option<&str>) -> Result<(), SourceFault> {
        self.destination(token).deliver(&delivery()).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn delivery() -> Delivery {
    Delivery {
        id: 7,
        customer: "contoso".into(),
        destination: "ops".into(),
        key: "contoso/12/1".into(),
        body: json!({"specversion": "1.0", "type": "dev.intake.account.added"}),
        attempts: 0,
    }
}

#[tokio::test]
async fn an_event_arrives_as_it_is_with_its_key_and_the_token() {
    let receiver = Receiver::start(202, None).await;
    receiver.deliver(Some("hook-token")).await.expect("delivered");
    let arrived = receiver.arrived.lock().expect("a lock");
    let [(headers, event, _)] = arrived.as_slice() else { panic!("one event") };
    assert_eq!(*event, delivery().body);
    assert_eq!(headers["content-type"], "application/cloudevents+json");
    assert_eq!(headers["idempotency-key"], "contoso/12/1");
    assert_eq!(headers["authorization"], "Bearer hook-token");
}

#[tokio::test]
async fn without_a_token_there_is_no_authorization() {
    let receiver = Receiver::start(200, None).await;
    receiver.deliver(None).await.expect("delivered");
    assert!(!receiver.arrived.lock().expect("a lock")[0].0.contains_key("authorization"));
}

#[tokio::test]
async fn what_the_receiver_refuses_is_refused_and_the_rest_is_tried_again_later() {
    let expected = [
        (301, FaultKind::Refused),
        (400, FaultKind::Refused),
        (401, FaultKind::Refused),
        (403, FaultKind::Refused),
        (410, FaultKind::Refused),
        (408, FaultKind::Transient),
        (429, FaultKind::Transient),
        (500, FaultKind::Transient),
        (501, FaultKind::Transient),
        (503, FaultKind::Transient),
    ];
    for (status, kind) in expected {
        let receiver = Receiver::start(status, Some("17")).await;
        let fault = receiver.deliver(Some("hook-token")).await.expect_err("not delivered");
        assert_eq!(fault.kind, kind, "{status}");
        assert_eq!(fault.retry_after, Some(Duration::from_secs(17)));
        assert_eq!(receiver.arrived.lock().expect("a lock").len(), 1, "one attempt");
        assert!(!fault.what.contains("secret") && !fault.what.contains("hook-token"), "{fault}");
    }
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_tried_again_later() {
    let gone = Receiver {
        address: "http://127.0.0.1:1/path-secret".to_owned(),
        arrived: Arrived::default(),
        task: tokio::spawn(async {}),
    };
    let fault = gone.deliver(None).await.expect_err("not delivered");
    assert_eq!(fault.kind, FaultKind::Transient);
    assert!(!fault.what.contains("path-secret"), "{fault}");
}

const KEY: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Whether the library of the standard, which others made, takes what arrived for signed by a key.
fn is_verified(key: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let message = folder.path().join("message.json");
    std::fs::write(&message, body).expect("written");
    let header = |name: &str| headers[name].to_str().expect("text").to_owned();
    let others = Others::get();
    let verdict = run(Command::new(others.python())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(others.program("verify_webhook.py"))
        .args([key, &header("webhook-id"), &header("webhook-timestamp"), &header("webhook-signature")])
        .arg(message));
    match verdict.trim() {
        "good" => true,
        "bad" => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_standards_own_library_takes_the_signature_and_no_other() {
    let receiver = Receiver::start(200, None).await;
    for form in [Form::CloudEvents, Form::Slack] {
        let key = SigningKey::read(&SecretString::from(KEY)).expect("a key");
        receiver.destination(None).told_in(form).signed(key).deliver(&delivery()).await.expect("delivered");
    }
    let arrived = receiver.arrived.lock().expect("a lock").clone();
    for (headers, _, body) in &arrived {
        assert_eq!(headers["webhook-id"], "contoso/12/1");
        assert!(is_verified(KEY, headers, body));
        assert!(!is_verified(&KEY.replace("AAEC", "AAED"), headers, body), "another key");
        let changed = [&body[..body.len() - 1], b" }"].concat();
        assert!(!is_verified(KEY, headers, &changed), "another body");
        let mut later = headers.clone();
        let seconds: i64 = headers["webhook-timestamp"].to_str().expect("text").parse().expect("a number");
        later.insert("webhook-timestamp", (seconds + 1).into());
        assert!(!is_verified(KEY, &later, body), "another time");
    }
    assert_eq!(arrived[0].0["content-type"], "application/cloudevents+json");
    assert_eq!(arrived[1].0["content-type"], "application/json");
    assert!(arrived[1].1["text"].is_string() && arrived[1].1["blocks"].is_array(), "{:?}", arrived[1].1);
}
