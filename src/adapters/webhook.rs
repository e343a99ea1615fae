//! Deliveries to webhooks by POST, one attempt a call; the outbox tries again. CloudEvents, or messages
//! for people.

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use url::Url;

use crate::adapters::http::{HttpClient, Request};
use crate::adapters::webhook_signature::SigningKey;
use crate::adapters::webhook_slack::message;
use crate::model::reading::{Fault, FaultKind};
use crate::model::register::Delivery;
use crate::ports::outbox::Destination;

/// An address that takes events.
#[derive(Debug)]
pub struct WebhookDestination {
    client: HttpClient,
    url: Url,
    token: Option<SecretString>,
    signing_key: Option<SigningKey>,
    form: Form,
}

/// In which form a destination is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// The event itself, as CloudEvents in JSON.
    #[default]
    CloudEvents,
    /// A message for people, as Slack takes it.
    Slack,
}

impl WebhookDestination {
    /// Makes the destination. The address is never shown beyond its host: it may be a secret.
    pub fn new(client: HttpClient, url: Url, token: Option<SecretString>) -> Self {
        Self { client, url, token, signing_key: None, form: Form::default() }
    }

    /// Has every message signed.
    #[must_use]
    pub fn signed(self, key: SigningKey) -> Self {
        Self { signing_key: Some(key), ..self }
    }

    /// Tells in another form.
    #[must_use]
    pub fn told_in(self, form: Form) -> Self {
        Self { form, ..self }
    }
}

#[async_trait]
impl Destination for WebhookDestination {
    async fn deliver(&self, delivery: &Delivery) -> Result<(), Fault> {
        let written = match self.form {
            Form::CloudEvents => serde_json::to_vec(&delivery.body),
            Form::Slack => serde_json::to_vec(&message(&delivery.body)),
        };
        let body = written.map_err(|error| {
            Fault::new(FaultKind::Refused, format!("the event cannot be written: {error}"))
        })?;
        let content_type = match self.form {
            Form::CloudEvents => "application/cloudevents+json",
            Form::Slack => "application/json",
        };
        let mut request = Request::post(self.url.clone(), content_type, body.clone())
            .header("Idempotency-Key", delivery.key.as_str());
        if let Some(key) = &self.signing_key {
            request = key.sign(request, &delivery.key, &body, Timestamp::now());
        }
        if let Some(token) = &self.token {
            request = request.bearer(token);
        }
        // What the receiver writes into its answer is not read: its status is all that counts.
        let answer = self.client.send_only(&request).await.map_err(|failed| failed.fault)?;
        if answer.is_success() {
            return Ok(());
        }
        let mut fault = answer.refused(None).fault;
        fault.kind = match answer.status {
            408 | 429 => FaultKind::Transient,
            300..=499 => FaultKind::Refused,
            _ => FaultKind::Transient,
        };
        Err(fault)
    }
}
