//! What other people wrote keeps both sides honest: Microsoft's own client walks the stand-in, and a
//! certified token service takes what Intake sends.

use std::process::Command;

use intake::adapters::graph_application::Application;
use intake::adapters::graph_token::TokenCache;
use intake::adapters::http_patience::Patience;
use intake::model::sid::Sid;
use intake::policy::fleet::GraphEndpoints;
use secrecy::ExposeSecret as _;

use super::*;
use crate::support::application_key::ApplicationKey;
use crate::support::others::Others;
use crate::support::process::{Process, free_port, listens, run, wait_for};

/// Starting Node, on the slowest machine.
const START: Duration = Duration::from_secs(60);

#[tokio::test]
async fn microsofts_own_client_sees_the_tenant_that_intake_sees() {
    let fake = fake_of(8).await;
    let tenant = fake.tenant(DOMAIN);
    tenant.change(&person_id(2), json!({"assignedLicenses": [], "licenseAssignmentStates": []}));
    tenant.change(&person_id(3), json!({"userType": "Guest", "mail": null}));
    tenant.change(
        &person_id(4),
        json!({"accountEnabled": false, "onPremisesImmutableId": "MyIRAFVEd2aImaq7zN3u/w==",
            "onPremisesSecurityIdentifier": "S-1-5-21-1-2-3-1104"}),
    );
    fake.fault(At::users().page(2), Fault::EmptyPage, 2);
    let read = complete(Reader::new(PATIENT).read(&fake).await);

    let others = Others::get();
    let mut walk = Command::new(others.python());
    // What it compiles would belong to root, as whom the tests may run.
    walk.env("PYTHONDONTWRITEBYTECODE", "1");
    walk.arg(others.program("walk_tenant.py")).args([&fake.url(), DOMAIN, CLIENT_ID, SECRET]);
    let walked: Value = serde_json::from_str(&run(&mut walk)).expect("JSON");

    let rows = walked["people"].as_array().expect("a list");
    assert_eq!(rows.len(), read.users.len());
    for row in rows {
        let id = row["id"].as_str().expect("an id");
        let user = read.users.iter().find(|user| user.id.to_string() == id).expect("the same user");
        assert_eq!(row["userPrincipalName"], user.user_principal_name.as_str());
        assert_eq!(row["accountEnabled"], user.enabled, "{id}");
        assert_eq!(row["userType"] == "Guest", user.is_guest, "{id}");
        assert_eq!(row["sid"].as_str(), user.on_premises_sid.map(|sid: Sid| sid.to_string()).as_deref());
        let skus: Vec<String> =
            read.licences_of(user).iter().map(|licence| licence.sku.to_string()).collect();
        assert_eq!(row["skus"], json!(skus), "{id}");
    }
    let mut followed: Vec<&str> =
        walked["followed"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    followed.sort_unstable();
    assert_eq!(followed, people(8), "by the changes it sees them, too");
    assert_eq!(walked["changedSince"], json!([]));
    assert_eq!(walked["organizations"], json!([read.id.as_deref().expect("the tenant's id")]));
    let subscriptions = read.subscriptions.expect("subscriptions");
    assert_eq!(subscriptions.len(), 1);
    assert_eq!(walked["skus"][0]["partNumber"], subscriptions[0].part_number.as_str());
    assert_eq!(walked["skus"][0]["id"], subscriptions[0].sku.to_string());
}

/// A certified token service with one application.
struct TokenService {
    url: String,
    process: Process,
}

impl TokenService {
    /// Starts one whose application has this certificate and, if there is one, this secret.
    fn start(key: &ApplicationKey, secret: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let certificate = folder.join("certificate.pem");
        std::fs::write(&certificate, &key.certificate).expect("written");
        let others = Others::get();
        let (node, script, port) = (others.node(), others.program("token_service.mjs"), free_port());
        let process = Process::start(
            &node.display().to_string(),
            &[
                &script.display().to_string(),
                &port.to_string(),
                DOMAIN,
                CLIENT_ID,
                &certificate.display().to_string(),
                secret,
            ],
            &folder,
        );
        wait_for(&process, &folder, START, || listens([127, 0, 0, 1], port));
        Self { url: format!("http://127.0.0.1:{port}"), process }
    }

    /// Asks for a token twice, each time with a new request.
    async fn ask_twice(&self, credential: Credential) -> Result<[String; 2], SourceFault> {
        assert!(self.process.runs());
        let endpoints = GraphEndpoints { login: self.url.clone(), graph: self.url.clone() };
        let application =
            Application::new(DOMAIN, CLIENT_ID.parse().expect("a GUID"), &endpoints, credential)?;
        let (client, tokens, patience) = (client(PATIENT), TokenCache::new(), Patience::new(PATIENT));
        let mut asked = Vec::new();
        for _ in 0..2 {
            let token =
                tokens.token(&client, &patience, &application).await.map_err(|failed| failed.fault)?;
            tokens.forget(&application, &token).await;
            asked.push(token.secret().expose_secret().to_owned());
        }
        Ok(asked.try_into().expect("two"))
    }
}

#[tokio::test]
async fn a_certified_token_service_takes_every_assertion_and_refuses_that_of_another_key() {
    let (key, other) = (ApplicationKey::first(), ApplicationKey::second());
    let service = TokenService::start(key, "");
    // It refuses an assertion that it saw before, another audience, another algorithm.
    let certificate = credentials::certificate(&key.certificate, &key.pkcs8);
    let [first, second] = service.ask_twice(certificate).await.expect("tokens");
    assert!(!first.is_empty() && first != second);

    let certificate = credentials::certificate(&other.certificate, &other.pkcs8);
    let fault = service.ask_twice(certificate).await.expect_err("another key");
    assert_eq!(fault.kind, FaultKind::Unauthorised);
    assert!(fault.what.contains("invalid_client"), "{fault}");
}

#[tokio::test]
async fn a_certified_token_service_takes_the_secret_and_refuses_another() {
    // What a form must escape is in it.
    let right = "p+l us&=%/~";
    let service = TokenService::start(ApplicationKey::first(), right);
    service.ask_twice(secret(right)).await.expect("tokens");
    let fault = service.ask_twice(secret("a-guess")).await.expect_err("another secret");
    assert_eq!(fault.kind, FaultKind::Unauthorised);
    assert!(!fault.what.contains("a-guess"), "{fault}");
}
