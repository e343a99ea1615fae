//! Signing in by somebody who knows people: an identity provider.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::model::text::Text;
use crate::ports::access::Role;

/// Signs people in, by sending their browser there and back.
#[async_trait]
pub trait SignIn: Send + Sync {
    /// Returns what the provider is called, for people.
    fn provider(&self) -> &str;

    /// Whether browsers come back over TLS: then cookies travel no other way.
    fn is_over_tls(&self) -> bool;

    /// Begins: returns where the browser is sent, and what has to be kept until it comes back.
    ///
    /// # Errors
    /// [`NotSignedIn::Unavailable`].
    async fn begin(&self) -> Result<Departure, NotSignedIn>;

    /// Ends: returns who came back. What was kept is worth nothing from then on, whatever came of it.
    ///
    /// # Errors
    /// [`NotSignedIn`].
    async fn finish(&self, kept: &Kept, back: &Return) -> Result<SignedIn, NotSignedIn>;
}

/// Where a browser comes back to, below the address at which people reach the dashboard.
pub const SIGNED_IN: &str = "/login/done";

/// Where a browser is sent.
#[derive(Debug, Clone)]
pub struct Departure {
    /// The address.
    pub url: String,
    /// What has to be kept.
    pub kept: Kept,
}

/// What is kept of a departure, for the browser alone that departed.
#[derive(Debug, Clone)]
pub struct Kept {
    /// What the return has to say.
    pub state: SecretString,
    /// What the provider's word has to say.
    pub nonce: SecretString,
    /// What proves that whoever left is who asks for the word (RFC 7636).
    pub verifier: SecretString,
}

/// What a browser says that came back.
#[derive(Debug, Clone, Default)]
pub struct Return {
    /// The state.
    pub state: String,
    /// What the provider's word is got with.
    pub code: Option<SecretString>,
    /// Who says that it sent it (RFC 9207).
    pub issuer: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

/// Somebody whom a provider knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// What they are called, for people: they may have chosen it themselves.
    pub name: Text,
    /// Who they are, as the audit record will know them: by the id that the provider gave them, which is nobody
    /// else's (OpenID Connect Core 1.0, 5.7), with the name besides. No token has such a name.
    pub identity: Text,
    /// What they may do.
    pub role: Role,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum NotSignedIn {
    /// The provider does not answer, or not as one. Its words are for the log.
    #[error("the provider does not answer as it should")]
    Unavailable {
        /// What happened.
        what: String,
    },
    /// What came back is none of ours, or too late, or was changed. For whoever came no more than that.
    #[error("that sign-in cannot be used")]
    Refused {
        /// What is wrong with it, for the log.
        what: String,
    },
    /// The person did not agree, or the provider did not let them.
    #[error("the provider did not sign you in")]
    Declined {
        /// The provider's code for it.
        what: String,
    },
    /// The person has no role here.
    #[error("`{name}` has no role here")]
    NoRole {
        /// Who it is.
        name: Text,
    },
}
