//! Signing in by OpenID Connect: against a certified provider of others, and against one that is not honest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use intake::adapters::http::HttpClient;
use intake::adapters::http_secret::ReadSecret;
use intake::adapters::oidc::{Oidc, Provider};
use intake::ports::access::Role;
use intake::ports::sign_in::{NotSignedIn, Return, SignIn as _, SignedIn};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::Url;

use crate::support::others::Others;
use crate::support::process::{Process, dead_port, free_port, listens, wait_for};

const REDIRECT: &str = "http://127.0.0.1:9/login/done";
const SECRET: &str = "a secret with % and : and + and &";

/// An identity provider of others, with one client.
pub(crate) struct Identity {
    pub(crate) issuer: String,
    process: Process,
}

impl Identity {
    /// Starts one; without a secret the client is public.
    pub(crate) fn start(redirect: &str, secret: Option<&str>) -> Self {
        let others = Others::get();
        let folder = tempfile::tempdir().expect("a folder").keep();
        let port = free_port();
        let (node, script) = (others.node(), others.program("sign_in_service.mjs"));
        let script = script.display().to_string();
        let number = port.to_string();
        let mut arguments = vec![script.as_str(), &number, "intake", redirect];
        arguments.extend(secret);
        let process = Process::start(&node.display().to_string(), &arguments, &folder);
        wait_for(&process, &folder, Duration::from_secs(60), || listens([127, 0, 0, 1], port));
        Self { issuer: format!("http://127.0.0.1:{port}"), process }
    }

    fn sign_in(&self, secret: Option<&'static str>) -> Oidc {
        assert!(self.process.runs());
        Oidc::new(provider(&self.issuer, secret), HttpClient::new())
    }
}

fn provider(issuer: &str, secret: Option<&'static str>) -> Provider {
    Provider {
        label: "Contoso".to_owned(),
        issuer: issuer.to_owned(),
        client_id: "intake".to_owned(),
        secret: secret.map(|secret| -> ReadSecret { Arc::new(move || Ok(SecretString::from(secret))) }),
        redirect: REDIRECT.to_owned(),
        scopes: vec!["profile".to_owned(), "email".to_owned()],
        claim: "roles".to_owned(),
        operators: vec!["intake-operators".to_owned()],
        viewers: vec!["intake-viewers".to_owned()],
    }
}

/// Somebody with a browser, as far as this takes one: cookies, forms and redirections.
pub(crate) struct Somebody {
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Somebody {
    pub(crate) fn new() -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        Self { client: client.build().expect("a client"), cookies: BTreeMap::new() }
    }

    async fn ask(&mut self, url: &Url, form: Option<&str>) -> (Option<Url>, String) {
        let request = match form {
            None => self.client.get(url.clone()),
            Some(form) => self
                .client
                .post(url.clone())
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form.to_owned()),
        };
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = request.header(COOKIE, cookies.join("; ")).send().await.expect("an answer");
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("a cookie").split(';').next().expect("a pair");
            let (name, value) = cookie.split_once('=').expect("a pair");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let next = answer.headers().get(LOCATION).map(|next| next.to_str().expect("an address").to_owned());
        let next = next.map(|next| url.join(&next).expect("an address"));
        (next, answer.text().await.expect("a page"))
    }

    /// Goes where somebody is sent, says who they are and agrees; returns where they are sent back to.
    pub(crate) async fn sign_in(&mut self, url: &str, name: &str) -> Url {
        let mut url = Url::parse(url).expect("an address");
        let mut form = None::<String>;
        for _ in 0..12 {
            let (next, page) = self.ask(&url, form.take().as_deref()).await;
            match next {
                Some(back) if back.path() == "/login/done" => return back,
                Some(next) => url = next,
                None => {
                    let action = page.split("action=\"").nth(1).and_then(|rest| rest.split('"').next());
                    url = url.join(action.unwrap_or_else(|| panic!("no form: {page}"))).expect("an address");
                    form = Some(if page.contains("name=\"login\"") {
                        format!("prompt=login&login={name}&password=any")
                    } else {
                        "prompt=consent".to_owned()
                    });
                }
            }
        }
        panic!("sent around without end");
    }
}

/// Reads what a browser says that came back.
fn back(url: &Url) -> Return {
    let pairs: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    Return {
        state: pairs.get("state").cloned().unwrap_or_default(),
        code: pairs.get("code").map(|code| SecretString::from(code.as_str())),
        issuer: pairs.get("iss").cloned(),
        error: pairs.get("error").cloned(),
    }
}

#[tokio::test]
async fn whoever_a_certified_provider_knows_signs_in_with_their_role() {
    for secret in [None, Some(SECRET)] {
        let identity = Identity::start(REDIRECT, secret);
        let sign_in = identity.sign_in(secret);
        assert_eq!(sign_in.provider(), "Contoso");
        for (name, role) in [("ops-jane", Role::Operator), ("look-joe", Role::Viewer)] {
            let departure = sign_in.begin().await.expect("begun");
            let came = Somebody::new().sign_in(&departure.url, name).await;
            let signed_in = sign_in.finish(&departure.kept, &back(&came)).await.expect("signed in");
            let address = format!("{name}@contoso.test");
            let identity = format!("Contoso/{name} ({address})").into();
            assert_eq!(signed_in, SignedIn { name: address.into(), identity, role });
        }
        let departure = sign_in.begin().await.expect("begun");
        let came = Somebody::new().sign_in(&departure.url, "nobody").await;
        let refused = sign_in.finish(&departure.kept, &back(&came)).await.expect_err("no role");
        assert!(
            matches!(&refused, NotSignedIn::NoRole { name } if name == "nobody@contoso.test"),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn what_was_changed_on_the_way_or_used_before_signs_nobody_in() {
    let identity = Identity::start(REDIRECT, None);
    let sign_in = identity.sign_in(None);
    let departure = sign_in.begin().await.expect("begun");
    let other = sign_in.begin().await.expect("begun");
    assert_ne!(departure.kept.state.expose_secret(), other.kept.state.expose_secret());
    let came = back(&Somebody::new().sign_in(&departure.url, "ops-jane").await);
    let refused = async |kept, back: Return| match sign_in.finish(kept, &back).await {
        Err(NotSignedIn::Refused { what }) => what,
        other => panic!("{other:?}"),
    };
    // Before anything is asked of the provider: the code stays good.
    let kept = &departure.kept;
    assert!(refused(kept, Return { state: String::new(), ..came.clone() }).await.contains("state"));
    assert!(refused(&other.kept, came.clone()).await.contains("state"));
    let elsewhere = Some("https://evil.test".to_owned());
    assert!(refused(kept, Return { issuer: elsewhere, ..came.clone() }).await.contains("evil.test"));
    assert!(refused(kept, Return { issuer: None, ..came.clone() }).await.contains("who sent it"));
    assert!(refused(kept, Return { code: None, ..came.clone() }).await.contains("no code"));
    let declined = Return { error: Some("access_denied".to_owned()), code: None, ..came.clone() };
    let declined = sign_in.finish(kept, &declined).await.expect_err("declined");
    assert!(matches!(&declined, NotSignedIn::Declined { what } if what == "access_denied"), "{declined:?}");
    sign_in.finish(kept, &came).await.expect("signed in");
    assert!(refused(kept, came).await.contains("code"), "a code is good once");

    // Somebody else's browser, which did not depart: the code is worth nothing without what was kept.
    let departure = sign_in.begin().await.expect("begun");
    let came = back(&Somebody::new().sign_in(&departure.url, "ops-jane").await);
    let mut forged = other.kept.clone();
    forged.state = departure.kept.state.clone();
    assert!(refused(&forged, came).await.contains("code"));
}

#[tokio::test]
async fn a_client_whose_secret_is_wrong_says_so_in_the_log() {
    let identity = Identity::start(REDIRECT, Some(SECRET));
    let sign_in = identity.sign_in(Some("another"));
    let departure = sign_in.begin().await.expect("begun");
    let came = back(&Somebody::new().sign_in(&departure.url, "ops-jane").await);
    match sign_in.finish(&departure.kept, &came).await {
        Err(NotSignedIn::Unavailable { what }) => assert!(what.contains("invalid_client"), "{what}"),
        other => panic!("{other:?}"),
    }
}

/// A provider that says of itself what a test has it say.
async fn dishonest(change: Value) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let issuer = format!("http://{}", listener.local_addr().expect("an address"));
    let mut metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/auth"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
    });
    for (name, value) in change["metadata"].as_object().into_iter().flatten() {
        metadata[name] = value.clone();
    }
    let said = change["token"].clone();
    let routes = Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(|State(metadata): State<Value>| async { Json(metadata) }),
        )
        .route("/keys", get(async || Json(json!({"keys": []}))))
        .route("/token", post(async move || said.as_str().map_or_else(|| said.to_string(), str::to_owned)))
        .with_state(metadata);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    issuer
}

#[tokio::test]
async fn a_provider_that_is_another_one_or_leads_elsewhere_is_not_asked() {
    for (change, why) in [
        (json!({"metadata": {"issuer": "https://evil.test"}}), "says that it is"),
        (json!({"metadata": {"authorization_endpoint": "http://evil.test/auth"}}), "not reached over https"),
        (json!({"metadata": {"token_endpoint": "http://10.0.0.1/token"}}), "not reached over https"),
        (json!({"metadata": {"jwks_uri": "file:///etc/passwd"}}), "not reached over https"),
        (json!({"metadata": {"token_endpoint": 1}}), "not what it should be"),
    ] {
        let issuer = dishonest(change.clone()).await;
        match Oidc::new(provider(&issuer, None), HttpClient::new()).begin().await {
            Err(NotSignedIn::Unavailable { what }) => assert!(what.contains(why), "{change}: {what}"),
            other => panic!("{change}: {other:?}"),
        }
    }
    let nowhere = format!("http://127.0.0.1:{}", dead_port());
    let away = Oidc::new(provider(&nowhere, None), HttpClient::new()).begin().await;
    assert!(matches!(away, Err(NotSignedIn::Unavailable { .. })), "{away:?}");
}

#[tokio::test]
async fn a_word_that_is_none_signs_nobody_in() {
    for token in [
        json!({}),
        json!("no JSON"),
        json!({"id_token": 1}),
        json!({"id_token": "a.b.c"}),
        json!({"id_token": ""}),
    ] {
        let issuer = dishonest(json!({"token": token})).await;
        let sign_in = Oidc::new(provider(&issuer, None), HttpClient::new());
        let departure = sign_in.begin().await.expect("begun");
        let came = Return {
            state: departure.kept.state.expose_secret().to_owned(),
            code: Some(SecretString::from("any")),
            issuer: None,
            error: None,
        };
        let refused = sign_in.finish(&departure.kept, &came).await;
        assert!(
            matches!(refused, Err(NotSignedIn::Refused { .. } | NotSignedIn::Unavailable { .. })),
            "{token}: {refused:?}"
        );
    }
}
