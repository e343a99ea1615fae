//! Access tokens for Microsoft Graph: client credentials, one cached token per tenant and
//! application, and what the token service's refusals mean for a person.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::adapters::http::{Again, Answer, Failed, HttpClient, Request, quoted};
use crate::adapters::http_patience::Patience;
use crate::model::digest::{Digest, Digester};
use crate::model::guid::Guid;
use crate::model::reading::{Fault, FaultKind};
use crate::model::text::{fold, inert};
use crate::policy::fleet::GraphEndpoints;

/// How long before its end a token is replaced.
const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);

/// The longest life that is believed: with continuous access evaluation 28 hours.
const LONGEST_LIFE: Duration = Duration::from_secs(28 * 60 * 60);

/// The largest answer of a token service, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// How an application proves itself to the token service.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A client secret.
    Secret(SecretString),
}

/// An application in one tenant, with checked addresses.
#[derive(Debug, Clone)]
pub struct Application {
    token_url: Url,
    /// The Graph root, without a slash at the end.
    graph: Url,
    tenant: String,
    client_id: Guid,
    consent_link: String,
    credential: Credential,
}

/// An access token. Opaque: it is for Graph alone to read.
#[derive(Clone)]
pub struct Token {
    secret: SecretString,
    refresh_at: Instant,
    number: u64,
}

/// The tokens of all tenants, shared by all readings; a clone shares them.
///
/// One request for a token is in flight per tenant and application. A credential is part of the
/// key: whoever does not hold it does not get the token that it bought.
#[derive(Debug, Clone, Default)]
pub struct TokenCache {
    slots: Arc<Mutex<HashMap<Digest, Slot>>>,
}

#[derive(Debug, Default, Clone)]
struct Slot(Arc<tokio::sync::Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    token: Option<Token>,
    /// How many tokens there were, so that a late complaint does not drop a newer one.
    issued: u64,
}

impl Application {
    /// Checks where an application's services are and which tenant is meant.
    ///
    /// # Errors
    /// Refused: an address that is none, a tenant that is neither a domain nor an id.
    pub fn new(
        tenant: &str,
        client_id: Guid,
        endpoints: &GraphEndpoints,
        credential: Credential,
    ) -> Result<Self, Fault> {
        // It goes into a path: nothing but names and ids may stand there.
        let is_name = !tenant.is_empty()
            && tenant.len() <= 253
            && tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
            && !tenant.starts_with('.')
            && !tenant.contains("..");
        if !is_name || ["common", "organizations", "consumers"].iter().any(|word| fold(tenant) == *word) {
            let what = format!("`{}` names no tenant", inert(tenant));
            let hint = "write one of the tenant's verified domains, or its id";
            return Err(Fault::new(FaultKind::Refused, what).hint(hint));
        }
        let login = root(&endpoints.login)?;
        let graph = root(&endpoints.graph)?;
        let login = login.as_str().trim_end_matches('/');
        let token_url = parse(&format!("{login}/{tenant}/oauth2/v2.0/token"))?;
        let consent_link = format!("{login}/{tenant}/adminconsent?client_id={client_id}");
        Ok(Self { token_url, graph, tenant: tenant.to_owned(), client_id, consent_link, credential })
    }

    /// Returns the tenant as it is configured.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Returns the address of something in Graph, given below its root, with a leading slash.
    ///
    /// # Errors
    /// Refused, if that makes no address.
    pub fn graph(&self, path: &str) -> Result<Url, Fault> {
        parse(&format!("{}{path}", self.graph.as_str().trim_end_matches('/')))
    }

    /// Whether an address is at the same Graph: only there may the token go.
    pub fn is_graph(&self, url: &Url) -> bool {
        url.origin() == self.graph.origin() && url.username().is_empty() && url.password().is_none()
    }

    fn scope(&self) -> String {
        format!("{}/.default", self.graph.as_str().trim_end_matches('/'))
    }

    fn key(&self) -> Digest {
        let mut digester = Digester::new("graph token");
        digester.field(self.token_url.as_str()).field(self.graph.as_str()).field(self.client_id.to_string());
        match &self.credential {
            Credential::Secret(secret) => digester.field("secret").field(secret.expose_secret()),
        };
        digester.finish()
    }

    /// Takes secrets out of what the other side said.
    fn quoted(&self, text: &str) -> String {
        match &self.credential {
            Credential::Secret(secret) => quoted(text, &[secret]),
        }
    }
}

impl Token {
    /// Returns the token for a request's header.
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Token").field("number", &self.number).finish_non_exhaustive()
    }
}

impl TokenCache {
    /// Makes an empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a token that lives for some minutes more, from the cache or a new one.
    ///
    /// # Errors
    /// The token service did not answer within the patience, or refused.
    pub async fn token(
        &self,
        client: &HttpClient,
        patience: &Patience,
        application: &Application,
    ) -> Result<Token, Failed> {
        let slot = self.slot(application);
        let mut held = slot.0.lock().await;
        if let Some(token) = &held.token
            && token.refresh_at > Instant::now()
        {
            return Ok(token.clone());
        }
        held.token = None;
        let number = held.issued + 1;
        let requested = patience.persevere(|| request(client, patience, application, number)).await;
        // Graph was not even asked: no answer of the token service may be taken for one of Graph.
        let token = requested.map_err(|failed| Failed { answered: false, status: None, ..failed })?;
        held.issued = number;
        held.token = Some(token.clone());
        Ok(token)
    }

    /// Drops a token that Graph did not accept, unless a newer one took its place meanwhile.
    pub async fn forget(&self, application: &Application, stale: &Token) {
        let slot = self.slot(application);
        let mut held = slot.0.lock().await;
        if held.token.as_ref().is_some_and(|token| token.number == stale.number) {
            held.token = None;
        }
    }

    fn slot(&self, application: &Application) -> Slot {
        let key = application.key();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key) {
            return slot.clone();
        }
        // A changed secret leaves its slot behind; here the dead ones go.
        slots.retain(|_, slot| {
            Arc::strong_count(&slot.0) > 1
                || slot.0.try_lock().is_ok_and(|held| {
                    held.token.as_ref().is_some_and(|token| token.refresh_at > Instant::now())
                })
        });
        slots.entry(key).or_default().clone()
    }
}

/// What the token service answers.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Seconds; some issuers write them as text.
    #[serde(default)]
    expires_in: Value,
}

/// What the token service answers when it refuses.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: Option<String>,
    error_description: Option<String>,
    error_codes: Option<Vec<u64>>,
    trace_id: Option<String>,
    correlation_id: Option<String>,
}

async fn request(
    client: &HttpClient,
    patience: &Patience,
    application: &Application,
    number: u64,
) -> Result<Token, Failed> {
    let client_id = application.client_id.to_string();
    let scope = application.scope();
    let Credential::Secret(secret) = &application.credential;
    let request = Request::form(
        application.token_url.clone(),
        &[
            ("grant_type", "client_credentials"),
            ("client_id", &client_id),
            ("client_secret", secret.expose_secret()),
            ("scope", &scope),
        ],
    );
    let asked_at = Instant::now();
    let answer = client.send(&request, patience.silence(), MAX_ANSWER).await?;
    if !answer.is_success() {
        return Err(refusal(&answer, application));
    }
    let granted: Granted =
        serde_json::from_slice(&answer.body).map_err(|_| answer.unusable("that is no token"))?;
    let text = granted.access_token;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(answer.unusable("that is no token"));
    }
    let life = match &granted.expires_in {
        Value::String(text) => text.trim().parse().unwrap_or(0),
        other => other.as_u64().unwrap_or(0),
    };
    let life = Duration::from_secs(life).min(LONGEST_LIFE);
    let refresh_at = asked_at + life.saturating_sub(REFRESH_BEFORE);
    Ok(Token { secret: SecretString::from(text), refresh_at, number })
}

/// Reads a refusal of the token service.
///
/// Whether to try again goes by the status and `error`, as Microsoft asks; the AADSTS numbers
/// change without notice, and only choose the words (and which kind of final refusal it is).
fn refusal(answer: &Answer, application: &Application) -> Failed {
    let said: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    let Some(error) = said.error.as_deref() else {
        return answer.refused(Some("the token service gave no reason"));
    };
    let number = said.error_codes.as_ref().and_then(|codes| codes.first().copied()).unwrap_or(0);
    let (kind, meaning, hint) = meaning(error, number, application);
    let mut evidence = application.quoted(error);
    if number != 0 {
        evidence.push_str(&format!(", AADSTS{number}"));
    }
    for (name, value) in [("trace", &said.trace_id), ("correlation", &said.correlation_id)] {
        if let Some(value) = value {
            evidence.push_str(&format!(", {name} {}", application.quoted(value)));
        }
    }
    let mut what = format!(
        "the token service refused access to tenant `{}`: {meaning} ({evidence})",
        application.tenant
    );
    if let (Meaning::Unknown, Some(description)) = (Meaning::of(number), &said.error_description) {
        let first = description.split(['\r', '\n']).next().unwrap_or_default();
        let first = first.split(" Trace ID:").next().unwrap_or_default();
        what.push_str(": ");
        what.push_str(&application.quoted(first));
    }
    let by_status = answer.refused(None);
    let passes = by_status.again != Again::Never
        || kind == FaultKind::Transient
        || matches!(error, "temporarily_unavailable" | "server_error");
    let mut fault = Fault::new(if passes { FaultKind::Transient } else { kind }, what);
    fault.hint = hint;
    let mut failed = Failed::new(
        fault.after(answer.retry_after),
        match (passes, by_status.again) {
            (false, _) => Again::Never,
            (true, Again::FewTimes) => Again::FewTimes,
            (true, _) => Again::WithinPatience,
        },
    );
    failed.status = Some(answer.status);
    failed
}

/// What an AADSTS number is about.
#[derive(Clone, Copy)]
enum Meaning {
    WrongSecret,
    ExpiredSecret,
    BadAssertion,
    NoCredential,
    NotConsented,
    NoTenant,
    NoApplication,
    Disabled,
    WrongScope,
    ConditionalAccess,
    WrongCloud,
    Throttled,
    Busy,
    Unknown,
}

impl Meaning {
    fn of(number: u64) -> Self {
        match number {
            7000215 => Self::WrongSecret,
            7000222 => Self::ExpiredSecret,
            700027 | 50013 | 500133 | 700024 => Self::BadAssertion,
            7000218 => Self::NoCredential,
            700016 | 7000229 | 90099 | 65001 | 650052 | 650056 => Self::NotConsented,
            90002 | 900384 => Self::NoTenant,
            70001 | 700038 => Self::NoApplication,
            7000112 => Self::Disabled,
            500011 | 70011 | 700022 => Self::WrongScope,
            53003 | 530032 => Self::ConditionalAccess,
            90038 | 900382 | 900432 => Self::WrongCloud,
            90055 => Self::Throttled,
            90033 | 90024 | 90006 | 90012 | 90090 | 50033 => Self::Busy,
            _ => Self::Unknown,
        }
    }
}

fn meaning(error: &str, number: u64, application: &Application) -> (FaultKind, &'static str, Option<String>) {
    let client_id = application.client_id;
    let (kind, meaning, hint) = match Meaning::of(number) {
        Meaning::WrongSecret => (
            FaultKind::Unauthorised,
            "the client secret is wrong",
            "give the secret's value, not its id, and the secret of this very application".to_owned(),
        ),
        Meaning::ExpiredSecret => (
            FaultKind::Unauthorised,
            "the client secret has expired",
            format!("make a new secret for application {client_id} and put it where the old one is kept"),
        ),
        Meaning::BadAssertion => (
            FaultKind::Unauthorised,
            "the application's signature is not accepted",
            "check that the certificate is registered with the application, and this machine's clock"
                .to_owned(),
        ),
        Meaning::NoCredential => (
            FaultKind::Unauthorised,
            "no credential arrived",
            "check that the secret is not empty".to_owned(),
        ),
        Meaning::NotConsented => (
            FaultKind::Unconsented,
            "the tenant has not consented to the application",
            format!(
                "an administrator of the tenant opens {}; consent may take some minutes to work",
                application.consent_link
            ),
        ),
        Meaning::NoTenant => (
            FaultKind::Refused,
            "there is no such tenant",
            "check `tenantId`, and that `cloud` is the one that the tenant lives in".to_owned(),
        ),
        Meaning::NoApplication => (
            FaultKind::Refused,
            "there is no such application",
            format!("check the client id {client_id}, and that the application is registered in this cloud"),
        ),
        Meaning::Disabled => (
            FaultKind::Unauthorised,
            "the application is disabled",
            "enable the enterprise application in the tenant".to_owned(),
        ),
        Meaning::WrongScope => (
            FaultKind::Refused,
            "the address of Graph does not belong to this token service",
            "set `cloud`, or endpoints that belong together".to_owned(),
        ),
        Meaning::ConditionalAccess => (
            FaultKind::Unauthorised,
            "a Conditional Access policy of the tenant blocks the application",
            "an administrator of the tenant excludes the application, or permits this machine's address"
                .to_owned(),
        ),
        Meaning::WrongCloud => (
            FaultKind::Refused,
            "the tenant lives in another cloud",
            "set `cloud` to the one that the tenant lives in".to_owned(),
        ),
        Meaning::Throttled => return (FaultKind::Transient, "the tenant is throttled", None),
        Meaning::Busy => return (FaultKind::Transient, "the token service is busy", None),
        Meaning::Unknown => {
            let kind = match error {
                "invalid_client" | "invalid_grant" | "access_denied" => FaultKind::Unauthorised,
                "consent_required" | "interaction_required" => FaultKind::Unconsented,
                "temporarily_unavailable" | "server_error" => FaultKind::Transient,
                _ => FaultKind::Refused,
            };
            return (kind, "it did not say more than this", None);
        }
    };
    (kind, meaning, Some(hint))
}

fn root(text: &str) -> Result<Url, Fault> {
    let url = parse(text)?;
    let is_root = matches!(url.scheme(), "https" | "http")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if is_root { Ok(url) } else { Err(no_address(text)) }
}

fn parse(text: &str) -> Result<Url, Fault> {
    Url::parse(text).map_err(|_| no_address(text))
}

fn no_address(text: &str) -> Fault {
    Fault::new(FaultKind::Refused, format!("`{}` is no address of a service", inert(text)))
        .hint("write it as in https://graph.microsoft.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(tenant: &str, secret: &str) -> Result<Application, Fault> {
        let endpoints = GraphEndpoints {
            login: "https://login.microsoftonline.com/".to_owned(),
            graph: "https://graph.microsoft.com".to_owned(),
        };
        Application::new(
            tenant,
            Guid::from_u128(1),
            &endpoints,
            Credential::Secret(SecretString::from(secret)),
        )
    }

    #[test]
    fn addresses_are_made_from_the_roots() {
        let application = application("contoso.com", "s").expect("an application");
        assert_eq!(
            application.token_url.as_str(),
            "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"
        );
        assert_eq!(application.scope(), "https://graph.microsoft.com/.default");
        assert_eq!(
            application.graph("/v1.0/users?$select=id,mail&$top=999").expect("an address").as_str(),
            "https://graph.microsoft.com/v1.0/users?$select=id,mail&$top=999",
            "names stay literal"
        );
    }

    #[test]
    fn only_the_same_scheme_host_and_port_get_the_token() {
        let application = application("contoso.com", "s").expect("an application");
        let same = |text: &str| application.is_graph(&text.parse().expect("an address"));
        assert!(same("https://graph.microsoft.com/v1.0/users?$skiptoken=x"));
        assert!(same("https://GRAPH.microsoft.com:443/v1.0/users"));
        for other in [
            "http://graph.microsoft.com/v1.0/users",
            "https://graph.microsoft.com:444/v1.0/users",
            "https://graph.microsoft.com.evil.test/v1.0/users",
            "https://graph.microsoft.com@evil.test/v1.0/users",
            "https://me@graph.microsoft.com/v1.0/users",
        ] {
            assert!(!same(other), "{other}");
        }
    }

    #[test]
    fn a_tenant_is_a_domain_or_an_id_and_nothing_that_changes_the_path() {
        for tenant in ["contoso.com", "00000000-0000-0000-0000-000000000001"] {
            assert!(application(tenant, "s").is_ok(), "{tenant}");
        }
        for tenant in
            ["", "common", "Organizations", "../x", "a/b", "a?b", "a#b", "a%2fb", "a..b", ".", "contoso com"]
        {
            assert_eq!(application(tenant, "s").expect_err("no tenant").kind, FaultKind::Refused, "{tenant}");
        }
    }

    #[test]
    fn a_token_is_kept_for_those_alone_who_hold_the_credential() {
        let key = |tenant, secret| application(tenant, secret).expect("an application").key();
        assert_eq!(key("contoso.com", "s"), key("contoso.com", "s"));
        assert_ne!(key("contoso.com", "s"), key("contoso.com", "guess"));
        assert_ne!(key("contoso.com", "s"), key("fabrikam.com", "s"));
    }

    #[test]
    fn a_credential_is_never_shown() {
        let application = application("contoso.com", "hush").expect("an application");
        assert!(!format!("{application:?}").contains("hush"));
    }
}
