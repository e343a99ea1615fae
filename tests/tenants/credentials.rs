//! How an application proves itself: by certificate, by another issuer's token, by the machine.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use intake::adapters::graph_certificate::Certificate;
use intake::adapters::graph_credential::FederatedToken;
use intake::adapters::graph_managed_identity::ManagedIdentity;
use intake::config::managed_identity::IdentityEndpoint;
use jiff::{Timestamp, ToSpan as _};

use super::*;
use crate::support::application_key::{ApplicationKey, private_key};
use crate::support::graph::{IDENTITY, IDENTITY_HEADER};
use crate::support::intake::Installation;

fn made(certificate: &str, key: &str, now: Timestamp) -> Result<Certificate, SourceFault> {
    Certificate::new(certificate.as_bytes(), "app.pem", &SecretString::from(key), now)
}

pub(super) fn certificate(certificate: &str, key: &str) -> Credential {
    Credential::Certificate(Arc::new(made(certificate, key, Timestamp::now()).expect("a certificate")))
}

/// A tenant whose application has the first key's certificate.
async fn fake_with_certificate() -> GraphFake {
    let fake = fake_of(8).await;
    fake.tenant(DOMAIN).certificate(&ApplicationKey::first().certificate);
    fake
}

// Certificates

#[tokio::test]
async fn a_certificate_reads_a_tenant_whichever_form_its_key_has() {
    let fake = fake_with_certificate().await;
    let key = ApplicationKey::first();
    for form in [&key.pkcs8, &key.pkcs1] {
        let reader = Reader::new(IMPATIENT).with(certificate(&key.certificate, form));
        assert_eq!(ids(&complete(reader.read(&fake).await)), people(8));
    }
}

#[tokio::test]
async fn every_request_for_a_token_has_an_assertion_of_its_own() {
    // The stand-in refuses one that it saw before.
    let fake = fake_with_certificate().await;
    fake.tenant(DOMAIN).token_life(299);
    let key = ApplicationKey::first();
    let reader = Reader::new(PATIENT).with(certificate(&key.certificate, &key.pkcs8));
    fake.fault(At::token(), Fault::Nothing, 1);
    fake.fault(At::token(), Fault::StatusAfter(503, 0), 1);
    assert_eq!(ids(&complete(reader.read(&fake).await)), people(8));
    assert_eq!(fake.count(Place::Token), 6, "one for each of five requests, and one that came to nothing");
}

#[tokio::test]
async fn a_certificate_that_the_application_lacks_is_named_as_the_portal_names_it() {
    let fake = fake_with_certificate().await;
    let key = ApplicationKey::second();
    let reader = Reader::new(IMPATIENT).with(certificate(&key.certificate, &key.pkcs8));
    let fault = unavailable(reader.read(&fake).await);
    assert_eq!(fault.kind, FaultKind::Unauthorised);
    assert!(fault.what.contains("AADSTS700027"), "{fault}");
    let hint = fault.hint.expect("a hint");
    assert!(hint.contains(&key.thumbprint), "{hint} lacks {}", key.thumbprint);
    assert_eq!(fault.retry_after, None, "nobody asked to come back");
}

#[tokio::test]
async fn a_certificate_that_was_just_added_is_waited_for() {
    let fake = fake_with_certificate().await;
    fake.fault(At::token(), Fault::Token(700027), 1);
    let key = ApplicationKey::first();
    let reader = Reader::new(PATIENT).with(certificate(&key.certificate, &key.pkcs8));
    assert_eq!(ids(&complete(reader.read(&fake).await)), people(8));
    assert_eq!(fake.count(Place::Token), 2);
}

#[test]
fn what_is_wrong_with_a_certificate_or_key_is_told_before_anybody_is_asked() {
    let (key, other) = (ApplicationKey::first(), ApplicationKey::second());
    let now = Timestamp::now();
    let in_a_year = now + 8784.hours();
    let a_year_ago = now - 8784.hours();
    let cut = &key.certificate[..key.certificate.len() / 2];
    let small = private_key("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024");
    let elliptic = private_key("ecparam -name prime256v1 -genkey -noout");
    let elliptic_pkcs8 = private_key("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    let cases = [
        (key.certificate.as_str(), other.pkcs8.as_str(), now, "does not belong to app.pem"),
        (&key.certificate, &key.pkcs8, in_a_year, "app.pem expired on 20"),
        (&key.certificate, &key.pkcs8, a_year_ago, "app.pem is not valid before 20"),
        ("", &key.pkcs8, now, "no certificate in app.pem"),
        (&key.pkcs8, &key.pkcs8, now, "no certificate in app.pem"),
        (cut, &key.pkcs8, now, "app.pem is no sound PEM"),
        (&key.certificate, "the-right-secret", now, "private key is no sound PEM"),
        (&key.certificate, &key.certificate, now, "private key is no sound PEM"),
        (&key.certificate, &key.encrypted, now, "protected by a password"),
        (&key.certificate, &elliptic, now, "no RSA key"),
        (&key.certificate, &elliptic_pkcs8, now, "private key cannot be used"),
        (&key.certificate, &small, now, "private key cannot be used"),
    ];
    for (certificate, private, now, expected) in cases {
        let fault = made(certificate, private, now).expect_err(expected);
        assert!(fault.what.contains(expected), "{fault} lacks {expected}");
        assert!(matches!(fault.kind, FaultKind::Refused | FaultKind::Unauthorised));
        let shown = format!("{fault:?}");
        let secret = private.lines().nth(1).filter(|line| line.len() > 40);
        assert!(secret.is_none_or(|line| !shown.contains(line)), "{shown}");
    }
    let block = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let fault = made(block, &key.pkcs8, now).expect_err("an empty certificate");
    assert!(fault.what.contains("app.pem cannot be read"), "{fault}");
}

#[test]
fn of_a_chain_the_certificate_counts_that_the_key_belongs_to() {
    let (key, other) = (ApplicationKey::first(), ApplicationKey::second());
    let chain = format!("{}{}", other.certificate, key.certificate);
    let found = made(&chain, &key.pkcs1, Timestamp::now()).expect("the second one");
    assert!(format!("{found:?}").contains(&key.thumbprint), "{found:?}");
}

// Another issuer's token

fn token_of(subject: &str) -> String {
    let claims = json!({"iss": "https://issuer.test", "sub": subject, "aud": "api://AzureADTokenExchange"});
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2lnbmVk", part(json!({"alg": "RS256", "kid": "1"})), part(claims))
}

fn federated(kept: &Arc<Mutex<String>>) -> Credential {
    let kept = Arc::clone(kept);
    let read = move || Ok(SecretString::from(kept.lock().expect("a lock").as_str()));
    Credential::Federated(FederatedToken::new("contoso's".to_owned(), read))
}

#[tokio::test]
async fn another_issuers_token_is_read_anew_for_every_exchange() {
    let fake = fake_of(8).await;
    let (old, new) = (token_of("old"), token_of("new"));
    fake.tenant(DOMAIN).federated(&[&old]);
    let kept = Arc::new(Mutex::new(old));
    let reader = Reader::new(PATIENT).with(federated(&kept));
    complete(reader.read(&fake).await);

    // Both change, and the access token ends: the old one would be refused.
    fake.tenant(DOMAIN).federated(&[&new]);
    kept.lock().expect("a lock").clone_from(&new);
    fake.expire_access_tokens();
    assert_eq!(ids(&complete(reader.read(&fake).await)), people(8));
}

#[tokio::test]
async fn a_federated_credential_that_does_not_fit_is_told_letter_by_letter() {
    let fake = fake_of(1).await;
    let kept = Arc::new(Mutex::new(token_of("system:serviceaccount:intake:controller")));
    let fault = unavailable(Reader::new(PATIENT).with(federated(&kept)).read(&fake).await);
    assert_eq!(fault.kind, FaultKind::Unauthorised);
    assert!(fault.what.contains("AADSTS700213"), "{fault}");
    let hint = fault.hint.expect("a hint");
    for wanted in
        ["`https://issuer.test`", "`system:serviceaccount:intake:controller`", "`api://AzureADTokenExchange`"]
    {
        assert!(hint.contains(wanted), "{hint} lacks {wanted}");
    }
}

#[tokio::test]
async fn what_is_no_token_is_sent_to_nobody() {
    let fake = fake_of(1).await;
    let kept = Arc::new(Mutex::new("a password, perhaps".to_owned()));
    let fault = unavailable(Reader::new(PATIENT).with(federated(&kept)).read(&fake).await);
    assert!(fault.what.contains("no signed JWT"), "{fault}");
    assert!(!fault.what.contains("password"), "{fault}");
    assert!(fake.requests().is_empty());
}

// The machine

fn machine(fake: &GraphFake) -> Credential {
    let endpoint = IdentityEndpoint::Metadata { root: fake.url() };
    identity(endpoint, IDENTITY)
}

fn identity(endpoint: IdentityEndpoint, client_id: &str) -> Credential {
    Credential::ManagedIdentity(ManagedIdentity::new(endpoint, client_id.parse().expect("a GUID")))
}

fn app_service(fake: &GraphFake, header: &str) -> Credential {
    let url = format!("{}/msi/token", fake.url());
    identity(IdentityEndpoint::AppService { url, header: SecretString::from(header) }, IDENTITY)
}

#[tokio::test]
async fn the_machines_identity_proves_the_application_wherever_the_machine_is() {
    let fake = fake_of(8).await;
    fake.tenant(DOMAIN).trusts_machine(true);
    for credential in [machine(&fake), app_service(&fake, IDENTITY_HEADER)] {
        let tenant = complete(Reader::new(PATIENT).with(credential).read(&fake).await);
        assert_eq!(ids(&tenant), people(8));
    }
}

#[tokio::test]
async fn the_machine_is_asked_once_for_all_tenants() {
    let fake = GraphFake::start().await;
    let reader = Reader::new(PATIENT).with(machine(&fake));
    let tenants: Vec<String> = (1..=20).map(|number| format!("customer{number}.test")).collect();
    for tenant in &tenants {
        fake.tenant(tenant).trusts_machine(true).people(2);
    }
    let readings = tenants.iter().map(|tenant| {
        let reader = reader.of(tenant);
        let fake = &fake;
        async move { complete(reader.read(fake).await).users.len() }
    });
    assert_eq!(futures_util::future::join_all(readings).await, [2; 20]);
    assert_eq!((fake.count(Place::Machine), fake.count(Place::Token)), (1, 20));
}

#[tokio::test]
async fn a_machine_that_is_busy_or_starting_is_asked_again() {
    for status in [404, 410, 429, 500, 503] {
        let fake = fake_of(3).await;
        fake.tenant(DOMAIN).trusts_machine(true);
        fake.fault(At::machine(), Fault::Status(status), 2);
        let reader = Reader::new(PATIENT).with(machine(&fake));
        assert_eq!(ids(&complete(reader.read(&fake).await)), people(3), "{status}");
    }
}

#[tokio::test]
async fn a_machine_that_never_answers_well_leaves_the_tenant_unavailable() {
    for fault in [Fault::Status(404), Fault::Status(410), Fault::Html, Fault::Reset] {
        let fake = fake_of(3).await;
        fake.fault(At::machine(), fault, ALWAYS);
        let found = unavailable(Reader::new(IMPATIENT).with(machine(&fake)).read(&fake).await);
        assert_eq!(found.kind, FaultKind::Transient);
        assert_eq!(fake.count(Place::Token), 0);
    }
}

#[tokio::test]
async fn an_identity_that_the_machine_lacks_is_named() {
    let fake = fake_of(1).await;
    let endpoint = IdentityEndpoint::Metadata { root: fake.url() };
    let reader = Reader::new(PATIENT).with(identity(endpoint, CLIENT_ID));
    let fault = unavailable(reader.read(&fake).await);
    assert_eq!(fault.kind, FaultKind::Refused);
    assert!(fault.what.contains("Identity not found"), "{fault}");
    assert!(fault.hint.expect("a hint").contains(CLIENT_ID));
    assert_eq!((fake.count(Place::Machine), fake.count(Place::Token)), (1, 0), "asking again does not help");

    let fault = unavailable(Reader::new(PATIENT).with(app_service(&fake, "wrong-header")).read(&fake).await);
    assert!(!format!("{fault:?}").contains("wrong-header"), "{fault:?}");
}

#[tokio::test]
async fn a_machines_token_that_is_not_accepted_is_not_kept() {
    let fake = fake_of(1).await;
    let reader = Reader::new(PATIENT).with(machine(&fake));
    assert_eq!(unavailable(reader.read(&fake).await).kind, FaultKind::Unauthorised);
    fake.tenant(DOMAIN).trusts_machine(true);
    complete(reader.read(&fake).await);
    assert_eq!(fake.count(Place::Machine), 2);
}

// As they are written

/// Returns a tenant as a customer's document names it.
fn written(fake: &GraphFake, credential: &str) -> String {
    let url = fake.url();
    format!(
        "{{graph: {{tenantId: contoso.test, clientId: {CLIENT_ID}, {credential}, \
         endpoints: {{login: \"{url}\", graph: \"{url}\"}}}}}}"
    )
}

/// Returns an application as the operator's file connects it.
fn connected(fake: &GraphFake, credential: &str) -> String {
    let url = fake.url();
    format!(
        "connections: {{partner: {{graph: {{clientId: {CLIENT_ID}, {credential}, \
         endpoints: {{login: \"{url}\", graph: \"{url}\"}}}}}}}}\n"
    )
}

/// Plans a customer whose tenant is written like this, and expects its three people to be added.
fn plans(here: &Installation, tenant: &str) {
    let main = "{ldif: {file: contoso.ldif}}";
    here.customer("contoso", "Contoso", main, tenant);
    let plan = here.json(&["plan", "--max-wait", "5s"], 0);
    assert_eq!(plan["summary"]["add"], 3, "{tenant}: {plan:#}");
}

fn company() -> (GraphFake, Installation) {
    let fake = GraphFake::spawn();
    let tenant = fake.tenant("contoso.test");
    for number in 1..=3 {
        tenant.user(person(number, "contoso.test"));
    }
    tenant.secret("nobody-knows-it").certificate(&ApplicationKey::first().certificate).trusts_machine(true);
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.people("contoso", &[1, 2, 3]);
    (fake, here)
}

#[test]
fn a_certificate_works_from_a_customers_document_and_from_a_connection() {
    let (fake, mut here) = company();
    let key = ApplicationKey::first();
    here.write("app.pem", &key.certificate);
    here.secret("INTAKE_SECRET_CONTOSO__KEY", &key.pkcs8);
    plans(
        &here,
        &written(
            &fake,
            "certificate: {certificateFile: app.pem, privateKeyFrom: {env: INTAKE_SECRET_CONTOSO__KEY}}",
        ),
    );

    let folder = here.folder().to_owned();
    std::fs::write(folder.join("partner.pem"), &key.certificate).expect("written");
    std::fs::write(folder.join("partner.key"), &key.pkcs1).expect("written");
    let key_file = folder.join("partner.key").display().to_string();
    here.operator(&connected(
        &fake,
        &format!("certificate: {{certificateFile: partner.pem, privateKeyFrom: {{file: \"{key_file}\"}}}}"),
    ));
    plans(&here, "{graph: {tenantId: contoso.test, connection: partner}}");

    // What is wrong is told about the customer, and nothing is added.
    std::fs::write(folder.join("partner.key"), &ApplicationKey::second().pkcs1).expect("written");
    let plan = here.json(&["plan", "--max-wait", "5s"], 3);
    let finding = &plan["customers"][0]["findings"][0];
    assert_eq!(finding["code"], "tenant-unavailable", "{plan:#}");
    let message = finding["message"].as_str().expect("a message");
    assert!(message.contains("private key does not belong to"), "{message}");
    assert_eq!(plan["summary"]["add"], 0);
}

#[test]
fn another_issuers_token_works_from_a_customers_document_and_from_a_connection() {
    let (fake, mut here) = company();
    let token = token_of("system:serviceaccount:intake:controller");
    fake.tenant("contoso.test").federated(&[&token]);
    here.secret("INTAKE_SECRET_CONTOSO__TOKEN", &token);
    plans(&here, &written(&fake, "federatedTokenFrom: {env: INTAKE_SECRET_CONTOSO__TOKEN}"));

    let file = here.folder().join("token");
    std::fs::write(&file, format!("{token}\n")).expect("written");
    here.operator(&connected(&fake, &format!("federatedTokenFrom: {{file: \"{}\"}}", file.display())));
    plans(&here, "{graph: {tenantId: contoso.test, connection: partner}}");
}

#[test]
fn the_machines_identity_works_from_a_customers_document_and_from_a_connection() {
    let (fake, mut here) = company();
    here.secret("IDENTITY_ENDPOINT", &format!("{}/msi/token", fake.url()));
    here.secret("IDENTITY_HEADER", IDENTITY_HEADER);
    let credential = format!("managedIdentity: {{clientId: {IDENTITY}}}");
    here.operator(&connected(&fake, &credential));
    plans(&here, "{graph: {tenantId: contoso.test, connection: partner}}");

    // A tree may use it with the operator's permission alone.
    let main = "{ldif: {file: contoso.ldif}}";
    here.customer("contoso", "Contoso", main, &written(&fake, &credential));
    let refused = here.run(&["validate"]).expect(1);
    assert!(refused.stdout.contains("does not permit `managedIdentity`"), "{refused:?}");
    let file = here.folder().join("operator.yaml");
    let text = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, text.replace("permit: [", "permit: [managedIdentity, ")).expect("written");
    plans(&here, &written(&fake, &credential));
}
