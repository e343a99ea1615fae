//! Who sees pages, and who may do what there.

use std::fs;
use std::net::TcpStream;

use serde_json::Value;

use super::{
    OPERATOR, Reader, VIEWER, form_token, name_of, started, token_file, with_tokens, without_tokens,
};
use crate::support::asking::ask;
use crate::support::intake::{Installation, until};

fn orders(here: &Installation) -> Vec<Value> {
    let is_order = |event: &Value| event["kind"].as_str().is_some_and(|kind| kind.starts_with("customer."));
    here.events().into_iter().filter(is_order).collect()
}

#[test]
fn without_tokens_this_machine_looks_and_changes_nothing() {
    let here = without_tokens();
    let served = started(&here, &[("contoso", &[1])]);
    let reader = Reader::of(&served);
    let answer = reader.get("/customers/contoso");
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
    assert!(!answer.body.contains("<form method=\"post\""), "no button");
    for (header, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(answer.headers[header], value);
    }
    let policy = &answer.headers["content-security-policy"];
    for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(
        !answer.body.contains(" style=")
            && !answer.body.contains("<style")
            && !answer.body.contains(" onclick")
    );
    for action in ["sync", "suspend", "resume"] {
        let refused =
            reader.post(&format!("/customers/contoso/{action}"), &[("reason", "x"), ("session", "")]);
        assert_eq!(refused.status, 403, "{action}");
    }
    assert_eq!(orders(&here), Vec::<Value>::new());
    assert_eq!(reader.get("/login").status, 404);
    // A page that has its own name lead here says that name.
    let elsewhere = ask(served.address, "GET", "/", &[("Host", "evil.example")], b"");
    assert_eq!(elsewhere.status, 421);
    assert!(elsewhere.body.contains("<h1>"), "{elsewhere:?}");
    served.end();
}

#[test]
fn with_tokens_one_signs_in_and_out() {
    let here = with_tokens("");
    let served = started(&here, &[("contoso", &[1])]);
    let stranger = Reader::of(&served);
    let sent = stranger.get("/customers/contoso/accounts?q=person");
    assert_eq!(sent.status, 303);
    assert_eq!(sent.headers["location"], "/login?next=%2Fcustomers%2Fcontoso%2Faccounts%3Fq%3Dperson");
    assert_eq!(stranger.get("/live").status, 401);
    let page = stranger.page("/login?next=%2Faudit");
    assert!(page.contains("type=\"password\"") && page.contains("value=\"/audit\""), "{page}");
    // Whoever asks for pages with a token of the API is sent there as well.
    let bearer = format!("Bearer {OPERATOR}");
    assert_eq!(ask(served.address, "GET", "/", &[("Authorization", &bearer)], b"").status, 303);

    let wrong = stranger.post("/login", &[("token", "wrong"), ("next", "/audit")]);
    assert_eq!(wrong.status, 401);
    assert!(wrong.body.contains("The token is not known.") && !wrong.headers.contains_key("set-cookie"));
    for forged in [
        &[("Sec-Fetch-Site", "cross-site")][..],
        &[("Sec-Fetch-Site", "")],
        &[("Sec-Fetch-Site", ""), ("Origin", "http://evil.example")],
    ] {
        assert_eq!(stranger.post_with("/login", &[("token", VIEWER)], forged).status, 403, "{forged:?}");
    }
    let origin = served.url();
    let by_origin = [("Sec-Fetch-Site", ""), ("Origin", origin.as_str())];
    let elsewhere =
        stranger.post_with("/login", &[("token", VIEWER), ("next", "//evil.example")], &by_origin);
    assert_eq!((elsewhere.status, elsewhere.headers["location"].as_str()), (303, "/"));

    let reader = Reader::signed_in(&served, VIEWER);
    let page = reader.page("/customers/contoso");
    assert!(page.contains("john") && page.contains("viewer"), "{page}");
    assert!(!page.contains("Sync now") && !page.contains("Suspend"), "a viewer has no buttons");
    assert_eq!(reader.get("/login").headers["location"], "/");
    // Leaving takes the form of a page as well.
    assert_eq!(reader.post("/logout", &[]).status, 403);
    // Cookies of a machine are shared by all ports of it.
    let name = format!("intake-session-{}=", served.address.port());
    assert!(reader.cookie.as_ref().is_some_and(|cookie| cookie.starts_with(&name)), "{:?}", reader.cookie);
    let left = reader.press("/", "/logout", &[]);
    assert!(left.headers["set-cookie"].starts_with(&name), "{left:?}");
    assert_eq!((left.status, left.headers["location"].as_str()), (303, "/login"));
    assert!(left.headers["set-cookie"].contains("Max-Age=0"), "{left:?}");
    assert_eq!(reader.get("/").status, 303, "the session is over");
    let log = served.end();
    for secret in [VIEWER, OPERATOR] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn a_viewer_and_a_forged_form_do_nothing() {
    let here = with_tokens("");
    let served = started(&here, &[("contoso", &[1])]);
    let viewer = Reader::signed_in(&served, VIEWER);
    let operator = Reader::signed_in(&served, OPERATOR);
    let token = form_token(&operator.page("/customers/contoso"));
    for action in ["sync", "suspend", "resume"] {
        let path = format!("/customers/contoso/{action}");
        let refused = viewer.press("/", &path, &[("reason", "x")]);
        assert_eq!(refused.status, 403);
        assert!(refused.body.contains("You may look, and not change anything."), "{refused:?}");
        for (fields, headers) in [
            // Without what the form carries, or with that of another session.
            (&[("reason", "x")][..], &[][..]),
            (&[("reason", "x"), ("session", "0")], &[]),
            (&[("reason", "x"), ("session", &form_token(&viewer.page("/")))], &[]),
            // From another page, though it knew what the form carries.
            (&[("reason", "x"), ("session", &token)], &[("Sec-Fetch-Site", "cross-site")]),
            (&[("reason", "x"), ("session", &token)], &[("Sec-Fetch-Site", "same-site")]),
            (&[("reason", "x"), ("session", &token)], &[("Sec-Fetch-Site", ""), ("Origin", "null")]),
        ] {
            let refused = operator.post_with(&path, fields, headers);
            assert_eq!(refused.status, 403, "{action} {fields:?} {headers:?}");
            assert!(refused.body.contains("nothing was done"), "{refused:?}");
        }
        assert_eq!(operator.get(&path).status, 405);
    }
    assert_eq!(orders(&here), Vec::<Value>::new());
    for (reason, status) in [("", 422), (" ", 422), (&*"x".repeat(501), 422)] {
        let refused =
            operator.press("/customers/contoso", "/customers/contoso/suspend", &[("reason", reason)]);
        assert_eq!(refused.status, status);
    }
    let unknown = operator.press("/", "/customers/contosso/sync", &[]);
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("Did you mean <a href=\"/customers/contoso\">"), "{unknown:?}");
    served.end();
}

#[test]
fn an_operator_suspends_and_resumes_and_the_record_knows_who() {
    let here = with_tokens("");
    let served = started(&here, &[("contoso", &[1])]);
    let operator = Reader::signed_in(&served, OPERATOR);
    let page = "/customers/contoso";
    let done = operator.press(page, "/customers/contoso/suspend", &[("reason", "they <move>")]);
    assert_eq!((done.status, done.headers["location"].as_str()), (303, page));
    let shown = operator.page(page);
    assert!(shown.contains("contoso is suspended: nothing is written"), "{shown}");
    assert!(shown.contains("Suspended by <strong>jane</strong>: they &#60;move&#62;"), "{shown}");
    assert!(!operator.page(page).contains("contoso is suspended: nothing"), "told once");
    assert!(operator.page("/?state=suspended").contains("they &#60;move&#62;"));
    operator.press(page, "/customers/contoso/resume", &[]);
    assert!(operator.page(page).contains("contoso is resumed"));
    operator.press(page, "/customers/contoso/sync", &[]);
    assert!(operator.page(page).contains("A turn begins now."));
    let orders = orders(&here);
    let kinds: Vec<_> = orders.iter().map(|event| event["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["customer.suspended", "customer.resumed", "customer.syncRequested"]);
    assert!(orders.iter().all(|event| event["details"]["by"] == name_of("operator")), "{orders:#?}");
    let audit = operator.page("/audit?kind=customer.suspended");
    assert!(audit.contains("Customer suspended") && audit.contains("jane"), "{audit}");
    served.end();
}

#[test]
fn a_session_ends_with_its_token() {
    let here = with_tokens("");
    let served = started(&here, &[("contoso", &[1])]);
    let (viewer, operator) = (Reader::signed_in(&served, VIEWER), Reader::signed_in(&served, OPERATOR));
    fs::write(token_file(&here, "viewer"), "another token").expect("written");
    assert_eq!(viewer.get("/").status, 303);
    assert_eq!(operator.get("/").status, 200);
    // It does not begin again with the token.
    fs::write(token_file(&here, "viewer"), VIEWER).expect("written");
    assert_eq!(viewer.get("/").status, 303);
    fs::remove_file(token_file(&here, "operator")).expect("removed");
    assert_eq!(operator.get("/").status, 303);
    assert!(served.end().contains("a session ended with its token"));
}

#[test]
fn whoever_guesses_has_to_wait() {
    let here = with_tokens("");
    let served = started(&here, &[("contoso", &[1])]);
    let reader = Reader::signed_in(&served, VIEWER);
    for number in 0..10 {
        // At both doors together.
        let guess = format!("wrong-{number}");
        let bearer = format!("Bearer {guess}");
        let ask = || served.ask("GET", "/metrics", &[("Authorization", &bearer)], b"").status;
        let status = if number % 2 == 0 { reader.post("/login", &[("token", &guess)]).status } else { ask() };
        assert_eq!(status, 401, "{number}");
        // A program that has an old token says it again and again, and guesses nothing.
        assert_eq!(if number < 9 { ask() } else { 401 }, 401);
    }
    let refused = reader.post("/login", &[("token", OPERATOR)]);
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.headers["retry-after"].parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(refused.body.contains("Wait"), "{refused:?}");
    let bearer = format!("Bearer {OPERATOR}");
    let refused = served.ask("GET", "/metrics", &[("Authorization", &bearer)], b"").expect(429);
    assert!(refused.headers.contains_key("retry-after"));
    // Whoever is in stays in.
    assert_eq!(reader.get("/").status, 200);
    served.end();
}

#[test]
fn a_hundred_pages_may_be_open_and_a_stream_ends_with_the_program() {
    use std::io::{Read as _, Write as _};
    let here = without_tokens();
    let served = started(&here, &[("contoso", &[1])]);
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(served.address).expect("a connection");
        let request = format!("GET /live?customer=contoso HTTP/1.1\r\nHost: {}\r\n\r\n", served.address);
        stream.write_all(request.as_bytes()).expect("sent");
        let mut begin = [0; 512];
        let count = stream.read(&mut begin).expect("an answer");
        let begin = String::from_utf8_lossy(&begin[..count]).into_owned();
        assert!(begin.starts_with("HTTP/1.1 200") && begin.contains("text/event-stream"), "{begin}");
        open.push(stream);
    }
    let refused = ask(served.address, "GET", "/live", &[], b"");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.headers["retry-after"], "30");
    drop(open.pop());
    until("a place is free", || {
        let mut stream = TcpStream::connect(served.address).expect("a connection");
        let request = format!("GET /live HTTP/1.1\r\nHost: {}\r\n\r\n", served.address);
        stream.write_all(request.as_bytes()).expect("sent");
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).expect("an answer");
        &begin == b"HTTP/1.1 200"
    });
    served.end();
}

#[test]
fn beyond_this_machine_a_session_needs_tls() {
    let here = with_tokens("");
    let operator = fs::read_to_string(here.folder().join("operator.yaml")).expect("a file");
    let lines = operator.split_once("listen: 127.0.0.1:0\n").expect("where it listens").1;
    here.operator(&format!("listen: 0.0.0.0:0\n{lines}"));
    let served = started(&here, &[("contoso", &[1])]);
    let reader = Reader::of(&served);
    let named = |scheme: &str| {
        let origin = format!("{scheme}://intake.example");
        let headers = [("Host", "intake.example"), ("Origin", origin.as_str())];
        reader.post_with("/login", &[("token", VIEWER)], &headers)
    };
    let refused = named("http");
    assert_eq!(refused.status, 400);
    assert!(
        refused.body.contains("without TLS") && !refused.headers.contains_key("set-cookie"),
        "{refused:?}"
    );
    let signed_in = named("https");
    assert_eq!(signed_in.status, 303);
    let cookie = &signed_in.headers["set-cookie"];
    assert!(cookie.starts_with("__Host-intake-session=") && cookie.contains("; Secure"), "{cookie}");
    let signed_in = cookie.split(';').next().expect("a pair");
    let shown = |cookie: &str| {
        let headers = [("Accept", "text/html"), ("Sec-Fetch-Site", "same-origin"), ("Cookie", cookie)];
        ask(served.address, "GET", "/", &headers, b"").status
    };
    assert_eq!(shown(signed_in), 200);
    // Another program of this host may have set it, or a page without TLS.
    assert_eq!(shown(&signed_in.replace("__Host-intake-session", "intake-session")), 303);
    let with_port = format!("intake-session-{}", served.address.port());
    assert_eq!(shown(&signed_in.replace("__Host-intake-session", &with_port)), 303);
    served.end();
}
