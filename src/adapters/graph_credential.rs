//! How an application proves itself to the token service: by a secret, its certificate's signature,
//! or another issuer's token.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::adapters::graph_certificate::Certificate;
use crate::adapters::graph_managed_identity::ManagedIdentity;
use crate::adapters::http::quoted;
use crate::model::digest::Digester;
use crate::model::reading::{Fault, FaultKind};

/// The type of every assertion here (RFC 7523, 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How an application proves itself to the token service.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A client secret.
    Secret(SecretString),
    /// A certificate, whose key signs an assertion for every request.
    Certificate(Arc<Certificate>),
    /// The token of another issuer, which the application trusts.
    Federated(FederatedToken),
    /// The identity of the machine, which the application trusts.
    ManagedIdentity(ManagedIdentity),
}

/// Reads a token where it is kept.
type ReadToken = dyn Fn() -> Result<SecretString, Fault> + Send + Sync;

/// Where another issuer's token is kept. It is read anew for every exchange, as its issuer replaces
/// it long before Intake ends.
#[derive(Clone)]
pub struct FederatedToken {
    name: String,
    read: Arc<ReadToken>,
}

/// What one request for a token is sent with.
#[derive(Debug)]
pub(crate) struct Proof {
    secret: SecretString,
    is_assertion: bool,
}

/// What an issuer says in a token about whom it is for. Nothing here is trusted: it is shown to
/// whoever has to write the same into the application's federated credential.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Claims {
    iss: String,
    sub: String,
    aud: serde_json::Value,
}

impl Credential {
    /// Adds what tells this credential from others. Whoever does not hold it makes another key.
    pub(crate) fn identify(&self, digester: &mut Digester) {
        match self {
            Self::Secret(secret) => digester.field("secret").field(secret.expose_secret()),
            Self::Certificate(certificate) => digester.field("certificate").field(certificate.thumbprint()),
            Self::Federated(token) => digester.field("federated token").field(&token.name),
            Self::ManagedIdentity(identity) => {
                digester.field("managed identity").field(identity.client_id().to_string())
            }
        };
    }
}

impl FederatedToken {
    /// Makes one. `name` tells it from those of others: who may read it, and where it is kept.
    pub fn new(name: String, read: impl Fn() -> Result<SecretString, Fault> + Send + Sync + 'static) -> Self {
        Self { name, read: Arc::new(read) }
    }

    /// Reads the token as it is now.
    ///
    /// # Errors
    /// If it cannot be read, or is no token that could be handed on.
    pub(crate) fn proof(&self) -> Result<Proof, Fault> {
        let token = (self.read)()?;
        let parts: Vec<&str> = token.expose_secret().split('.').collect();
        let is_part = |part: &&str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if parts.len() != 3 || !parts.iter().all(is_part) {
            let hint = "it is what another issuer signed for this workload: three parts with dots between";
            return Err(
                Fault::new(FaultKind::Unauthorised, "the federated token is no signed JWT").hint(hint)
            );
        }
        Ok(Proof::assertion(token))
    }
}

impl fmt::Debug for FederatedToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FederatedToken").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Proof {
    /// A client secret.
    pub(crate) fn secret(secret: SecretString) -> Self {
        Self { secret, is_assertion: false }
    }

    /// A signed assertion.
    pub(crate) fn assertion(token: SecretString) -> Self {
        Self { secret: token, is_assertion: true }
    }

    /// Returns the fields of the form that carry it.
    pub(crate) fn fields(&self) -> Vec<(&'static str, &str)> {
        let text = self.secret.expose_secret();
        if self.is_assertion {
            vec![("client_assertion_type", ASSERTION_TYPE), ("client_assertion", text)]
        } else {
            vec![("client_secret", text)]
        }
    }

    /// Makes what the token service said fit for a message.
    pub(crate) fn quoted(&self, text: &str) -> String {
        quoted(text, &[&self.secret])
    }

    /// Says what a federated credential must hold for this assertion to fit, for people.
    pub(crate) fn wanted(&self) -> Option<String> {
        let payload = self.secret.expose_secret().split('.').nth(1)?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let audience = match &claims.aud {
            serde_json::Value::String(audience) => audience.clone(),
            several => several.as_array()?.first()?.as_str()?.to_owned(),
        };
        Some(format!(
            "issuer `{}`, subject `{}` and audience `{}`",
            self.quoted(&claims.iss),
            self.quoted(&claims.sub),
            self.quoted(&audience)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn federated(text: &str) -> Result<Proof, Fault> {
        let text = text.to_owned();
        FederatedToken::new("a file".to_owned(), move || Ok(SecretString::from(text.as_str()))).proof()
    }

    #[test]
    fn what_is_no_token_is_not_handed_on() {
        for text in ["secret", "a.b", "a.b.c.d", "a..c", "a.b.c d", "a.b.c="] {
            let fault = federated(text).expect_err("no token");
            assert_eq!(fault.kind, FaultKind::Unauthorised, "{text}");
            assert!(!fault.what.contains(text), "{fault}");
        }
    }

    #[test]
    fn a_token_tells_what_the_federated_credential_must_hold() {
        let payload =
            r#"{"iss": "https://issuer.test/", "sub": "system:serviceaccount:a:b", "aud": ["api://x"]}"#;
        let proof = federated(&format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))).expect("a token");
        assert_eq!(
            proof.wanted().as_deref(),
            Some("issuer `https://issuer.test/`, subject `system:serviceaccount:a:b` and audience `api://x`")
        );
        assert_eq!(federated("a.b.c").expect("what looks like a token").wanted(), None);
    }

    #[test]
    fn a_credential_is_never_shown() {
        let token = FederatedToken::new("a file".to_owned(), || Ok(SecretString::from("hush")));
        let shown = format!("{:?} {:?}", Credential::Federated(token), Proof::secret("hush".into()));
        assert!(!shown.contains("hush"), "{shown}");
    }
}
