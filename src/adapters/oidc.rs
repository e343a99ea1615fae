//! Signing in by OpenID Connect: the authorization code flow with PKCE. By OpenID Connect Core 1.0 (3.1), Discovery
//! 1.0, RFC 7636, RFC 9207 and RFC 9700.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::byte_serialize;

use crate::adapters::http::{Answer, HttpClient, Request};
use crate::adapters::http_secret::ReadSecret;
use crate::adapters::oidc_token::{Expected, Keys, Unfit, read_token};
use crate::config::operator_document::is_loopback;
use crate::model::digest::Digest;
use crate::model::text::{Text, inert};
use crate::ports::access::Role;
use crate::ports::shared_question::SharedQuestion;
use crate::ports::sign_in::{Departure, Kept, NotSignedIn, Return, SignIn, SignedIn};

/// For how long what a provider says of itself is good.
const FRESH: Duration = Duration::from_secs(3_600);
/// How soon its keys are looked up again because of a key that is not known: anybody may make one up.
const KEYS_AGAIN: Duration = Duration::from_secs(60);
/// For how long it is good that it did not answer.
const FAILED: Duration = Duration::from_secs(5);
/// How long a provider may take for an answer: somebody waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// How large an answer may be, in bytes.
const LARGEST: usize = 1 << 20;
/// How long the name of a person may be, in characters.
const LONGEST_NAME: usize = 200;

/// What the operator says of a provider.
#[derive(Clone)]
pub struct Provider {
    /// What it is called, for people.
    pub label: String,
    /// Its issuer, as its tokens say it.
    pub issuer: String,
    /// Under which id it knows Intake.
    pub client_id: String,
    /// How Intake proves that; `None` for a public client, which PKCE alone protects.
    pub secret: Option<ReadSecret>,
    /// Where browsers come back to.
    pub redirect: String,
    /// What is asked for, besides `openid`.
    pub scopes: Vec<String>,
    /// The claim whose values are roles.
    pub claim: String,
    /// Its values that make an operator.
    pub operators: Vec<String>,
    /// Its values that make a viewer.
    pub viewers: Vec<String>,
}

/// Signs people in by one provider.
pub struct Oidc {
    provider: Provider,
    client: HttpClient,
    known: SharedQuestion<Known<Metadata>>,
    keys: SharedQuestion<Known<Keys>>,
    /// When its keys were last looked up because of a token that did not fit.
    looked_again: Mutex<Option<Instant>>,
}

/// What a provider said, or why not.
type Known<T> = Result<Arc<T>, String>;

/// What a provider says of itself.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct Granted {
    id_token: String,
}

/// What a token endpoint says when it refuses (RFC 6749, 5.2).
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// For how long what a provider says of itself is good; that it did not answer for a moment: whoever has it hang is not
/// to have everybody wait in turn.
fn fresh<T>(known: &Known<T>) -> Duration {
    match known {
        Ok(_) => FRESH,
        Err(_) => FAILED,
    }
}

impl Oidc {
    /// Makes what signs people in by a provider; asks it nothing yet.
    pub fn new(provider: Provider, client: HttpClient) -> Self {
        Self {
            provider,
            client,
            known: SharedQuestion::new(fresh, PATIENCE),
            keys: SharedQuestion::new(fresh, PATIENCE),
            looked_again: Mutex::default(),
        }
    }

    /// Returns what the provider says of itself.
    async fn metadata(&self) -> Result<Arc<Metadata>, NotSignedIn> {
        let (client, issuer) = (self.client.clone(), self.provider.issuer.clone());
        let ask = || async move { metadata_of(&client, &issuer).await.map(Arc::new) };
        self.known.ask(ask).await.unwrap_or_else(|none| Err(none.to_string())).map_err(away)
    }

    /// Returns the provider's keys; `again` has them looked up anew, though not more often than once a minute:
    /// anybody may make up a token that does not fit.
    async fn keys(&self, metadata: &Metadata, again: bool) -> Result<Arc<Keys>, NotSignedIn> {
        let mut looked = self.looked_again.lock().await;
        if again && looked.is_none_or(|at| at.elapsed() >= KEYS_AGAIN) {
            *looked = Some(Instant::now());
            self.keys.forget();
        }
        drop(looked);
        let (client, address) = (self.client.clone(), metadata.jwks_uri.clone());
        let ask = || async move { ask(&client, Request::get(address)).await.map(Arc::new) };
        self.keys.ask(ask).await.unwrap_or_else(|none| Err(none.to_string())).map_err(away)
    }

    /// Exchanges a code for the provider's word.
    async fn exchange(
        &self,
        metadata: &Metadata,
        code: &SecretString,
        kept: &Kept,
    ) -> Result<SecretString, NotSignedIn> {
        let Provider { client_id, redirect, secret, .. } = &self.provider;
        let secret = match secret {
            // A disk may be slow.
            Some(read) => {
                let read = read.clone();
                let read = tokio::task::spawn_blocking(move || read()).await;
                Some(read.map_err(|error| away(error.to_string()))?.map_err(away)?)
            }
            None => None,
        };
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", redirect),
            ("code_verifier", kept.verifier.expose_secret()),
        ];
        // Basic is what a provider takes that says nothing (Discovery 1.0, 3).
        let methods = metadata.token_endpoint_auth_methods_supported.as_deref();
        let takes_basic =
            methods.is_none_or(|methods| methods.iter().any(|one| one == "client_secret_basic"));
        let basic = secret.as_ref().filter(|_| takes_basic);
        if basic.is_none() {
            fields.push(("client_id", client_id));
            if let Some(secret) = &secret {
                fields.push(("client_secret", secret.expose_secret()));
            }
        }
        let mut request = Request::form(metadata.token_endpoint.clone(), &fields).accept("application/json");
        if let Some(secret) = basic {
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose_secret()));
            request = request.secret_header(
                "authorization",
                SecretString::from(format!("Basic {}", STANDARD.encode(pair))),
            );
        }
        let answer = send(&self.client, &request).await.map_err(away)?;
        if !answer.is_success() {
            // Its description may quote what was sent.
            return Err(match serde_json::from_slice::<Refusal>(&answer.body) {
                Ok(refusal) if refusal.error == "invalid_grant" => {
                    refused("the provider does not know the code, or not any more")
                }
                Ok(refusal) => away(format!("it refuses the exchange: {}", shortened(&refusal.error))),
                Err(_) => away(answer.refused(None).fault.with_hint()),
            });
        }
        let granted: Granted = serde_json::from_slice(&answer.body)
            .map_err(|_| away("its answer to the exchange holds no `id_token`"))?;
        Ok(SecretString::from(granted.id_token))
    }

    fn role_of(&self, roles: &[String]) -> Option<Role> {
        let is_any = |wanted: &[String]| roles.iter().any(|role| wanted.contains(role));
        if is_any(&self.provider.operators) {
            return Some(Role::Operator);
        }
        is_any(&self.provider.viewers).then_some(Role::Viewer)
    }
}

#[async_trait]
impl SignIn for Oidc {
    fn provider(&self) -> &str {
        &self.provider.label
    }

    fn is_over_tls(&self) -> bool {
        self.provider.redirect.starts_with("https://")
    }

    async fn begin(&self) -> Result<Departure, NotSignedIn> {
        let metadata = self.metadata().await?;
        let kept = Kept { state: random()?, nonce: random()?, verifier: random()? };
        let challenge =
            URL_SAFE_NO_PAD.encode(Digest::of(kept.verifier.expose_secret().as_bytes()).as_bytes());
        let scopes: Vec<&str> =
            std::iter::once("openid").chain(self.provider.scopes.iter().map(String::as_str)).collect();
        let mut url = metadata.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.provider.client_id)
            .append_pair("redirect_uri", &self.provider.redirect)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", kept.state.expose_secret())
            .append_pair("nonce", kept.nonce.expose_secret())
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(Departure { url: url.into(), kept })
    }

    async fn finish(&self, kept: &Kept, back: &Return) -> Result<SignedIn, NotSignedIn> {
        // Digests, so that the time tells nothing of where they differ.
        if Digest::of(back.state.as_bytes()) != Digest::of(kept.state.expose_secret().as_bytes()) {
            return Err(refused("its state is another one"));
        }
        let metadata = self.metadata().await?;
        match &back.issuer {
            Some(issuer) if *issuer != self.provider.issuer => {
                return Err(refused(format!("it comes from `{}`", shortened(issuer))));
            }
            None if metadata.authorization_response_iss_parameter_supported => {
                return Err(refused("it does not say who sent it, and the provider always does"));
            }
            _ => {}
        }
        if let Some(error) = &back.error {
            return Err(NotSignedIn::Declined { what: shortened(error) });
        }
        let code = back.code.as_ref().ok_or_else(|| refused("it holds no code"))?;
        let token = self.exchange(&metadata, code, kept).await?;
        let expected = Expected {
            issuer: &self.provider.issuer,
            client_id: &self.provider.client_id,
            nonce: &kept.nonce,
            claim: &self.provider.claim,
        };
        let keys = self.keys(&metadata, false).await?;
        let claims = match read_token(&token, &keys, &expected) {
            // Providers change their keys, and not always their names.
            Err(Unfit::UnknownKey | Unfit::BadSignature) => {
                let keys = self.keys(&metadata, true).await?;
                read_token(&token, &keys, &expected)
            }
            read => read,
        };
        let claims = claims.map_err(|unfit| refused(unfit.to_string()))?;
        let name: String = claims.name.chars().take(LONGEST_NAME).collect();
        let name = Text::from(inert(&name));
        match self.role_of(&claims.roles) {
            Some(role) => {
                let identity = format!("{}/{} ({name})", self.provider.label, inert(&claims.subject));
                Ok(SignedIn { name, identity: Text::from(identity), role })
            }
            None => Err(NotSignedIn::NoRole { name }),
        }
    }
}

/// Asks a provider what it says of itself.
async fn metadata_of(client: &HttpClient, issuer: &str) -> Result<Metadata, String> {
    let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let address = Url::parse(&address).map_err(|error| format!("its issuer is no address: {error}"))?;
    let metadata: Metadata = ask(client, Request::get(address)).await?;
    // Discovery 1.0, 4.3: whoever answers for another issuer could have others sign in as anybody.
    if metadata.issuer != issuer {
        return Err(format!("it says that it is `{}`", inert(&metadata.issuer)));
    }
    let endpoints = [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri];
    if let Some(endpoint) = endpoints.into_iter().find(|endpoint| !is_safe(endpoint)) {
        return Err(format!("its endpoint `{}` is not reached over https", inert(endpoint.as_str())));
    }
    Ok(metadata)
}

async fn ask<T: DeserializeOwned>(client: &HttpClient, request: Request) -> Result<T, String> {
    let answer = send(client, &request.accept("application/json")).await?;
    if !answer.is_success() {
        return Err(answer.refused(None).fault.with_hint());
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| answer.unusable(&format!("it is not what it should be: {error}")).fault.what)
}

/// Sends a request, and waits no longer than somebody at a browser does, whatever trickles in.
async fn send(client: &HttpClient, request: &Request) -> Result<Answer, String> {
    let answer = tokio::time::timeout(PATIENCE, client.send(request, PATIENCE, LARGEST)).await;
    let answer = answer.map_err(|_| "it does not answer in time".to_owned())?;
    answer.map_err(|failed| failed.fault.with_hint())
}

/// Whether what is sent there is seen by nobody else: over https, or to this machine.
fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// Returns 256 bits that nobody can guess, in 43 characters of an address.
fn random() -> Result<SecretString, NotSignedIn> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::SecureRandom::fill(&SystemRandom::new(), &mut bytes)
        .map_err(|_| away("this machine has no random numbers"))?;
    Ok(SecretString::from(URL_SAFE_NO_PAD.encode(bytes)))
}

fn away(what: impl Into<String>) -> NotSignedIn {
    NotSignedIn::Unavailable { what: what.into() }
}

fn refused(what: impl Into<String>) -> NotSignedIn {
    NotSignedIn::Refused { what: what.into() }
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().take(100).collect();
    inert(&short).into_owned()
}
