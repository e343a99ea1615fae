//! Who gets in, and what everybody may know.

use std::fs;
use std::net::{SocketAddr, TcpListener};

use super::{OPERATOR, VIEWER, started, with_tokens, without_tokens};
use crate::support::asking::ask;
use crate::support::intake::{Installation, until};

/// An address that nothing is at, and that everybody who got in is told so.
const NOWHERE: &str = "/api/v1/nowhere";

#[test]
fn without_tokens_this_machine_may_look() {
    let here = without_tokens();
    let served = started(&here, &[("a", &[1])]);
    assert_eq!(served.get("/healthz").expect(200).json()["status"], "alive");
    assert_eq!(served.get("/readyz").expect(200).json()["status"], "ready");
    let lost = served.get(NOWHERE).expect(404);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(lost.headers[name], value);
        assert_eq!(served.get("/healthz").headers[name], value);
    }
    // A page that has its own name lead here says that name.
    served.ask("GET", NOWHERE, &[("Host", "evil.example")], b"").expect(421);
    served.ask("GET", "/healthz", &[("Host", "evil.example")], b"").expect(200);
    served.get("/elsewhere").expect(404);
    let wrong = served.post("/healthz", "").expect(405);
    assert_eq!(wrong.headers["allow"], "GET, HEAD");
    served.end();
}

#[test]
fn with_tokens_nobody_gets_in_without_one() {
    let here = with_tokens();
    let served = started(&here, &[("a", &[1])]);
    served.get("/healthz").expect(200);
    served.get("/readyz").expect(200);
    let refused = served.get(NOWHERE).expect(401);
    assert_eq!(refused.headers["www-authenticate"], "Bearer realm=\"intake\"");
    let with = |value: &str| served.ask("GET", NOWHERE, &[("Authorization", value)], b"");
    for wrong in ["Bearer wrong", "Bearer a-token-that-only-look", "Bearer", &format!("Basic {VIEWER}")] {
        let refused = with(wrong).expect(401);
        assert!(refused.headers["www-authenticate"].starts_with("Bearer "), "{refused:?}");
    }
    with(&format!("Bearer {VIEWER}")).expect(404);
    with(&format!("bearer {OPERATOR}")).expect(404);
    // A name does not matter to whoever has a token.
    served
        .ask(
            "GET",
            NOWHERE,
            &[("Host", "intake.example"), ("Authorization", &format!("Bearer {VIEWER}"))],
            b"",
        )
        .expect(404);
    // A token that was replaced is worth nothing.
    fs::write(here.folder().join("viewer.token"), "another-token").expect("written");
    with(&format!("Bearer {VIEWER}")).expect(401);
    with("Bearer another-token").expect(404);
    fs::remove_file(here.folder().join("viewer.token")).expect("removed");
    with("Bearer another-token").expect(401);
    with(&format!("Bearer {OPERATOR}")).expect(404);
    let log = served.end();
    for secret in [VIEWER, OPERATOR, "another-token"] {
        assert!(!log.contains(secret), "{log}");
    }
    assert!(log.contains("the token `ci`"), "{log}");
}

#[test]
fn behind_a_trusted_proxy_whoever_guesses_waits_and_nobody_else() {
    let here = with_tokens();
    let operator = fs::read_to_string(here.folder().join("operator.yaml")).expect("the operator's file");
    let operator = operator.split_once("listen:").expect("where it listens").1.to_owned();
    let guess = |served: &crate::support::asking::Served, number: usize, forwarded_for: &str| {
        let bearer = format!("Bearer wrong-{number}");
        let headers = [("Authorization", bearer.as_str()), ("X-Forwarded-For", forwarded_for)];
        served.ask("GET", NOWHERE, &headers, b"").status
    };
    // Nobody is believed whom the operator does not name.
    let served = started(&here, &[("a", &[1])]);
    for number in 0..10 {
        assert_eq!(guess(&served, number, &format!("192.0.2.{number}")), 401);
    }
    assert_eq!(guess(&served, 10, "192.0.2.10"), 429, "all of it came from one address");
    served.end();

    here.operator(&format!("listen:{operator}trustedProxies: [127.0.0.1, 10.0.0.0/8]\n"));
    let served = started(&here, &[("a", &[1])]);
    for number in 0..10 {
        // What somebody writes before their own address changes nothing.
        let forwarded_for = format!("198.51.100.{number}, 192.0.2.1, 10.0.0.7");
        assert_eq!(guess(&served, number, &forwarded_for), 401);
    }
    assert_eq!(guess(&served, 10, "203.0.113.9, 192.0.2.1"), 429);
    assert_eq!(guess(&served, 11, "192.0.2.2"), 401, "others do not wait");
    let log = served.end();
    assert!(log.contains("peer=192.0.2.1") && !log.contains("198.51.100."), "{log}");

    // Without tokens it is this machine that may look, whatever a proxy says.
    here.operator("listen: 127.0.0.1:0\ntrustedProxies: [127.0.0.1]\n");
    let served = started(&here, &[("a", &[1])]);
    let headers = [("Host", "evil.example"), ("X-Forwarded-For", "127.0.0.1")];
    served.ask("GET", NOWHERE, &headers, b"").expect(421);
    served.end();
}

#[test]
fn readiness_says_why_not() {
    let here = without_tokens();
    let served = started(&here, &[("a", &[1])]);
    served.get("/readyz").expect(200);
    let (state, aside) = (here.state(), here.folder().join("aside.db"));
    fs::rename(&state, &aside).expect("renamed");
    fs::create_dir(&state).expect("a folder in its place");
    until("it says so", || served.get("/readyz").status == 503);
    let refused = served.get("/readyz").expect(503);
    assert!(refused.detail().contains("store"), "{refused:?}");
    served.get("/healthz").expect(200);
    fs::remove_dir(&state).expect("removed");
    fs::rename(&aside, &state).expect("renamed");
    until("it says so", || served.get("/readyz").status == 200);
    served.end();
}

#[test]
fn what_cannot_be_served_is_an_error_at_the_start() {
    let here = Installation::new();
    here.policy(&["a"]);
    here.customer_of_files("a", &[1]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let tokens = "auth: {tokens: [{name: ci, role: viewer, tokenFrom: {env: NO_SUCH_TOKEN}}]}";
    let oidc = |issuer: &str, public_url: &str, roles: &str| {
        format!(
            "listen: 127.0.0.1:0\nauth: {{oidc: {{issuer: \"{issuer}\", clientId: intake, \
             publicUrl: \"{public_url}\", roles: {roles}}}}}\n"
        )
    };
    for (operator, words) in [
        (format!("listen: 127.0.0.1:{port}\n"), "cannot listen on 127.0.0.1:"),
        ("listen: 0.0.0.0:0\n".to_owned(), "without tokens only this machine may ask"),
        (format!("listen: 127.0.0.1:0\n{tokens}\n"), "the token `ci`"),
        ("listen: 8080\n".to_owned(), "expected text, found the number"),
        ("trustedProxies: [proxy.example]\n".to_owned(), "malformed network"),
        ("trustedProxies: [10.0.0.0/8, 0.0.0.0/0]\n".to_owned(), "everybody is in this network"),
        ("listen: 127.0.0.1:0\nauth: {tokens: [{name: ci, role: admin}]}\n".to_owned(), "role"),
        (oidc("https://id.test", "https://intake.test", "{}"), "nobody could sign in"),
        (oidc("http://id.test", "https://intake.test", "{viewer: [x]}"), "http is for this machine alone"),
        (
            oidc("https://id.test?x=1", "https://intake.test", "{viewer: [x]}"),
            "neither a query nor a fragment",
        ),
        (oidc("https://id.test", "https://intake.test/x", "{viewer: [x]}"), "this address has a path"),
        (oidc("https://id.test", "https://intake.test/#x", "{viewer: [x]}"), "this address has a path"),
        (
            oidc("https://id.test", "https://intake.test", "{viewer: [x]}, clientSecretFrom: {env: NO_SUCH}"),
            "the secret of `auth.oidc`",
        ),
    ] {
        here.operator(&operator);
        let run = here.run(&["run"]).expect(1);
        assert!(run.stderr.contains(words), "{operator}: {run:?}");
        assert!(!here.state().exists(), "nothing was made: {operator}");
    }
    here.operator(&format!("listen: 127.0.0.1:{port}\n"));
    // One round serves nobody.
    here.run(&["run", "--once"]).expect(0);
}

#[test]
fn a_head_without_end_is_not_taken_in() {
    let here = without_tokens();
    let served = started(&here, &[("a", &[1])]);
    let address: SocketAddr = served.address;
    let long = "x".repeat(200_000);
    let refused = ask(address, "GET", "/healthz", &[("X-Long", &long)], b"");
    assert_eq!(refused.status, 431, "{refused:?}");
    served.get("/healthz").expect(200);
    served.end();
}

#[test]
fn a_controller_that_is_told_to_stop_lets_go_of_who_waits() {
    let here = without_tokens();
    let served = started(&here, &[("a", &[1])]);
    let silent = std::net::TcpStream::connect(served.address).expect("a connection");
    served.get("/healthz").expect(200);
    served.end();
    drop(silent);
}

#[test]
fn two_tokens_that_are_the_same_are_an_error() {
    let mut here = Installation::new();
    here.policy(&["a"]);
    here.customer_of_files("a", &[1]);
    here.environment("ONE", OPERATOR);
    here.environment("TWO", OPERATOR);
    here.operator(
        "listen: 127.0.0.1:0\nauth: {tokens: [{name: ci, role: viewer, tokenFrom: {env: ONE}}, \
         {name: ops, role: operator, tokenFrom: {env: TWO}}]}\n",
    );
    let run = here.run(&["run"]).expect(1);
    assert!(run.stderr.contains("the tokens `ci` and `ops` are the same"), "{run:?}");
    assert!(!run.stderr.contains(OPERATOR));
}
