//! Signing in by an identity provider of others, in a real browser: there, back, and on to where one wanted to go.

use serde_json::Value;

use super::{Reader, started};
use crate::sign_in::Identity;
use crate::support::asking::Served;
use crate::support::browser::Browser;
use crate::support::intake::Installation;
use crate::support::process::free_port;

/// Makes an installation where people sign in by a provider, and programs do not.
fn with_provider() -> (Installation, Identity, String) {
    let here = Installation::new();
    let address = format!("http://127.0.0.1:{}", free_port());
    let identity = Identity::start(&format!("{address}/login/done"), None);
    here.operator(&format!(
        "listen: {}\nauth:\n  oidc:\n    issuer: {}\n    label: Contoso\n    clientId: intake\n    \
         publicUrl: {address}\n    roles: {{viewer: [intake-viewers], operator: [intake-operators]}}\n",
        address.trim_start_matches("http://"),
        identity.issuer
    ));
    (here, identity, address)
}

fn prepared() -> (Installation, Identity, String, Served) {
    tokio::task::block_in_place(|| {
        let (here, identity, address) = with_provider();
        let served = started(&here, &[("contoso", &[1])]);
        (here, identity, address, served)
    })
}

/// Says at the provider who one is, and agrees.
async fn say(browser: &Browser, name: &str) {
    browser.until("document.querySelector('input[name=login]') !== null").await;
    browser.fill("input[name=login]", name).await;
    browser.fill("input[name=password]", "any").await;
    browser.click("button[type=submit]").await;
    browser.until("document.querySelector('input[name=login]') === null").await;
    browser.until("document.querySelector('button[type=submit]') !== null").await;
    browser.click("button[type=submit]").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_the_provider_knows_signs_in_and_is_known_by_its_id() {
    let (here, _identity, address, served) = prepared();
    let browser = &Browser::open().await;
    browser.goto(&format!("{address}/customers/contoso")).await;
    assert_eq!(browser.path().await, "/login?next=%2Fcustomers%2Fcontoso");
    assert!(!browser.has("input[type=password]").await, "there are no tokens");
    assert_eq!(browser.text(".sign-in a.button").await, "Sign in with Contoso");
    browser.click(".sign-in a.button").await;
    say(browser, "ops-jane").await;
    // Back, and on: the cookie that is for this site alone came along.
    browser.until("location.pathname === '/customers/contoso'").await;
    assert_eq!(browser.text(".who-name").await, "ops-jane@contoso.test");
    assert_eq!(browser.text(".role").await, "operator");
    browser.click(".actions summary").await;
    browser.fill("input[name=reason]", "moving").await;
    browser.press("Enter").await;
    browser.until("document.querySelector('form[action$=\"/resume\"]') !== null").await;
    browser.click("form[action='/logout'] button").await;
    browser.until("location.pathname === '/login'").await;
    browser.goto(&format!("{address}/")).await;
    assert_eq!(browser.path().await, "/login");
    let events = tokio::task::block_in_place(|| here.events());
    let order = events.iter().find(|event| event["kind"] == "customer.suspended").expect("an order");
    assert_eq!(order["details"]["by"], "Contoso/ops-jane (ops-jane@contoso.test)");
    let log = served.end();
    assert!(log.contains("somebody signed in by the provider"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_no_role_is_told_so_and_does_not_get_in() {
    let (_here, _identity, address, served) = prepared();
    let browser = &Browser::open().await;
    browser.goto(&format!("{address}/login")).await;
    browser.click(".sign-in a.button").await;
    say(browser, "nobody").await;
    browser.until("document.querySelector('#wrong') !== null").await;
    let wrong = browser.text("#wrong").await;
    assert!(wrong.contains("nobody@contoso.test has no role here"), "{wrong}");
    assert!(browser.barriers().await.is_empty());
    browser.goto(&format!("{address}/")).await;
    assert_eq!(browser.path().await, "/login");
    served.end();
}

#[test]
fn a_return_that_is_nobodys_signs_nobody_in() {
    let (here, identity, address) = with_provider();
    let served = started(&here, &[("contoso", &[1])]);
    let reader = Reader::of(&served);
    let page = reader.page("/login?next=%2Faudit");
    assert!(page.contains("/login/provider?next=%2Faudit"), "{page}");
    let sent = reader.get("/login/provider?next=%2Faudit");
    assert_eq!(sent.status, 303);
    let location = &sent.headers["location"];
    assert!(
        location.starts_with(&identity.issuer) && location.contains("code_challenge_method=S256"),
        "{location}"
    );
    let cookie = &sent.headers["set-cookie"];
    for part in ["intake-sign-in=", "Path=/login/done", "HttpOnly", "SameSite=Lax", "Max-Age=600"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!location.contains("code_verifier"), "{location}");
    let kept = cookie.split(';').next().expect("a pair").to_owned();
    let come_back = |query: &str, cookie: &str| {
        let headers = [("Cookie", cookie), ("Host", address.trim_start_matches("http://"))];
        crate::support::asking::ask(served.address, "GET", &format!("/login/done?{query}"), &headers, b"")
    };
    let issuer = identity.issuer.replace(':', "%3A").replace('/', "%2F");
    for (query, cookie, status) in [
        ("code=x&state=y".to_owned(), "", 400),
        (format!("code=x&state=y&iss={issuer}"), kept.as_str(), 403),
        (String::new(), kept.as_str(), 403),
        ("code=x&state=y".to_owned(), "intake-sign-in=a.b.c.Lw", 403),
        ("code=x&state=y".to_owned(), "intake-sign-in=", 400),
    ] {
        let answer = come_back(&query, cookie);
        assert_eq!(answer.status, status, "{query} {cookie}: {answer:?}");
        assert!(answer.body.contains("<h1>Sign in</h1>"), "{answer:?}");
        let set = answer.headers.get("set-cookie").cloned().unwrap_or_default();
        assert!(!set.contains("intake-session"), "{set}");
    }
    // Whoever has a cookie of their own making has no more guesses by it than without.
    let made_up: Vec<u16> = (0..12)
        .map(|code| come_back(&format!("state=a&code={code}&iss={issuer}"), "intake-sign-in=a.b.c.Lw").status)
        .collect();
    assert!(made_up.ends_with(&[429, 429, 429, 429]), "{made_up:?}");
    // Programs have nothing to say who they are with.
    served.get("/api/v1/customers").expect(401);
    assert_eq!(here.status("contoso")["state"], Value::from("ready"));
    served.end();
}
