//! Deliveries to webhooks: CloudEvents by POST, one attempt a call; the outbox tries again.

use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

use crate::adapters::http::{HttpClient, Request};
use crate::model::reading::{Fault, FaultKind};
use crate::model::register::Delivery;
use crate::ports::outbox::Destination;

/// An address that takes events.
#[derive(Debug)]
pub struct WebhookDestination {
    client: HttpClient,
    url: Url,
    token: Option<SecretString>,
}

impl WebhookDestination {
    /// Makes the destination. The address is never shown beyond its host: it may be a secret.
    pub fn new(client: HttpClient, url: Url, token: Option<SecretString>) -> Self {
        Self { client, url, token }
    }
}

#[async_trait]
impl Destination for WebhookDestination {
    async fn deliver(&self, delivery: &Delivery) -> Result<(), Fault> {
        let body = serde_json::to_vec(&delivery.body).map_err(|error| {
            Fault::new(FaultKind::Refused, format!("the event cannot be written: {error}"))
        })?;
        let mut request = Request::post(self.url.clone(), "application/cloudevents+json", body)
            .header("Idempotency-Key", delivery.key.as_str());
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
