//! Where notifications go, with the secrets as they are at each delivery: whoever renews one restarts nothing.

use std::sync::Arc;

use async_trait::async_trait;

use crate::adapters::http::HttpClient;
use crate::adapters::webhook::{Form, WebhookDestination};
use crate::adapters::webhook_signature::SigningKey;
use crate::cli::exit::Failure;
use crate::config::operator::Notification;
use crate::config::secrets::{Owner, Secrets};
use crate::model::reading::{Fault, FaultKind};
use crate::model::register::Delivery;
use crate::policy::fleet::SecretRef;
use crate::ports::outbox::Destination;

/// One webhook of the operator's file.
pub struct Webhook {
    notification: Notification,
    secrets: Arc<Secrets>,
    client: HttpClient,
}

impl Webhook {
    /// Makes one.
    pub fn new(notification: Notification, secrets: Arc<Secrets>) -> Self {
        Self { notification, secrets, client: HttpClient::new() }
    }

    /// Reads what it needs, as of now.
    ///
    /// # Errors
    /// A secret that is not there or of no use, or an address that is none. A delivery waits for it: a later
    /// attempt may find it mended.
    pub fn open(&self) -> Result<WebhookDestination, Fault> {
        let waits = |what: String| Fault::new(FaultKind::Transient, what);
        let Notification { url, token_from, signing_key_from, is_for_people, .. } = &self.notification;
        let url = url.parse().map_err(|error| waits(format!("its address is no URL: {error}")))?;
        let secret = |what: &str, from: Option<&SecretRef>| {
            let secret = from.map(|from| self.secrets.resolve(Owner::Operator, from)).transpose();
            secret.map_err(|fault| waits(Failure::of(what, &fault).what))
        };
        let token = secret("its token", token_from.as_ref())?;
        let form = if *is_for_people { Form::Slack } else { Form::CloudEvents };
        let webhook = WebhookDestination::new(self.client.clone(), url, token).told_in(form);
        match secret("its signing key", signing_key_from.as_ref())? {
            Some(key) => {
                let key = SigningKey::read(&key);
                Ok(webhook.signed(key.map_err(|fault| Fault { kind: FaultKind::Transient, ..fault })?))
            }
            None => Ok(webhook),
        }
    }
}

#[async_trait]
impl Destination for Webhook {
    async fn deliver(&self, delivery: &Delivery) -> Result<(), Fault> {
        self.open()?.deliver(delivery).await
    }
}
