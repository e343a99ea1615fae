//! Access tokens for Microsoft Graph: client credentials, and one cached token per tenant and
//! application.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::time::Instant;

use crate::adapters::graph_application::Application;
use crate::adapters::graph_credential::{Credential, Proof};
use crate::adapters::graph_grant::{Granted, MAX_ANSWER};
use crate::adapters::graph_managed_identity::ManagedIdentity;
use crate::adapters::graph_refusal::refusal;
use crate::adapters::http::{Again, Failed, HttpClient, Request};
use crate::adapters::http_patience::Patience;
use crate::model::digest::{Digest, Digester};
use crate::model::reading::FaultKind;
use crate::ports::meter::Asked;

/// How long before its end a token is replaced.
const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);

/// An access token. Opaque: it is for the service that it was issued for alone to read.
#[derive(Clone)]
pub struct Token {
    secret: SecretString,
    refresh_at: Instant,
    number: u64,
}

/// The tokens of all tenants, shared by all readings; a clone shares them.
///
/// One request for a token is in flight per tenant, application and credential, and whoever waited
/// for it gets what came of it, be it a failure: a token service that is down is not asked once more
/// by everybody in turn.
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
    /// What came of the last request, if it came to nothing, and when.
    failed: Option<(Instant, Failed)>,
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
        let exchange = || self.exchange(client, patience, application);
        self.held(application.token_key(), exchange).await.map_err(|failed| {
            // Graph was not even asked: no answer on the way there may be taken for one of Graph.
            let mut failed = Failed { answered: false, status: None, ..failed };
            if failed.fault.kind != FaultKind::Transient {
                failed.fault.retry_after = None;
            }
            failed
        })
    }

    /// Drops a token that Graph did not accept, unless a newer one took its place meanwhile.
    pub async fn forget(&self, application: &Application, stale: &Token) {
        self.drop_token(application.token_key(), stale).await;
    }

    /// Proves who the application is, and gets a token for it.
    async fn exchange(
        &self,
        client: &HttpClient,
        patience: &Patience,
        application: &Application,
    ) -> Result<Granted, Failed> {
        let machine = match &application.credential {
            Credential::ManagedIdentity(identity) => {
                let token = self.machine_token(client, patience, identity, application.exchange()).await?;
                Some((identity, token))
            }
            _ => None,
        };
        // Made anew for every attempt: a token service may refuse an assertion that it saw before.
        let proof = || match &application.credential {
            Credential::Secret(secret) => Ok(Proof::secret(secret.clone())),
            Credential::Certificate(certificate) => certificate
                .assertion(application.token_url.as_str(), application.client_id, Timestamp::now())
                .map(Proof::assertion),
            Credential::Federated(token) => token.proof(),
            Credential::ManagedIdentity(_) => {
                let token = machine.as_ref().map(|(_, token)| token.secret().clone());
                Ok(Proof::assertion(token.unwrap_or_default()))
            }
        };
        let asked = patience
            .persevere(Asked::TokenService, || async {
                let proof = proof().map_err(|fault| Failed::new(fault, Again::Never))?;
                request(client, patience, application, &proof).await
            })
            .await;
        if let (Err(failed), Some((identity, token))) = (&asked, &machine)
            && failed.fault.kind == FaultKind::Unauthorised
        {
            self.drop_token(machine_key(identity, application.exchange()), token).await;
        }
        asked
    }

    /// Returns the token of the machine's identity: one for all tenants, as the machine answers few
    /// requests a second.
    async fn machine_token(
        &self,
        client: &HttpClient,
        patience: &Patience,
        identity: &ManagedIdentity,
        audience: &str,
    ) -> Result<Token, Failed> {
        let ask = || patience.persevere(Asked::ManagedIdentity, || identity.ask(client, patience, audience));
        self.held(machine_key(identity, audience), ask).await
    }

    async fn held<Obtain, Running>(&self, key: Digest, obtain: Obtain) -> Result<Token, Failed>
    where
        Obtain: FnOnce() -> Running,
        Running: Future<Output = Result<Granted, Failed>>,
    {
        let asked_at = Instant::now();
        let slot = self.slot(key);
        let mut held = slot.0.lock().await;
        if let Some(token) = &held.token
            && token.refresh_at > Instant::now()
        {
            return Ok(token.clone());
        }
        if let Some((at, failed)) = &held.failed
            && *at > asked_at
        {
            return Err(failed.clone());
        }
        held.token = None;
        held.failed = None;
        let granted =
            obtain().await.inspect_err(|failed| held.failed = Some((Instant::now(), failed.clone())))?;
        held.issued += 1;
        let token = Token {
            secret: granted.secret,
            refresh_at: granted.asked_at + granted.life.saturating_sub(REFRESH_BEFORE),
            number: held.issued,
        };
        held.token = Some(token.clone());
        Ok(token)
    }

    async fn drop_token(&self, key: Digest, stale: &Token) {
        let slot = self.slot(key);
        let mut held = slot.0.lock().await;
        if held.token.as_ref().is_some_and(|token| token.number == stale.number) {
            held.token = None;
        }
    }

    fn slot(&self, key: Digest) -> Slot {
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

fn machine_key(identity: &ManagedIdentity, audience: &str) -> Digest {
    let mut digester = Digester::new("machine token");
    identity.identify(&mut digester, audience);
    digester.finish()
}

async fn request(
    client: &HttpClient,
    patience: &Patience,
    application: &Application,
    proof: &Proof,
) -> Result<Granted, Failed> {
    let client_id = application.client_id.to_string();
    let scope = application.scope();
    let mut fields =
        vec![("grant_type", "client_credentials"), ("client_id", client_id.as_str()), ("scope", &scope)];
    fields.extend(proof.fields());
    let request = Request::form(application.token_url.clone(), &fields)
        .asks(Asked::TokenService)
        .on_new_connection(patience.avoids_used_connections());
    let answer = client.send(&request, patience.silence(), MAX_ANSWER).await?;
    if answer.is_success() { Granted::read(&answer) } else { Err(refusal(&answer, application, proof)) }
}
