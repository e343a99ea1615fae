//! Who may ask over HTTP: the tokens of the operator's file, read anew for every request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::ExposeSecret as _;

use crate::cli::exit::Failure;
use crate::config::operator::AccessToken;
use crate::config::secrets::{Owner, Secrets};
use crate::model::text::Text;
use crate::ports::access::{Role, Token, TokenBook};

/// The tokens of the operator's file.
pub struct OperatorTokens {
    entries: Vec<AccessToken>,
    /// Whether people sign in besides: then nobody gets in without saying who they are.
    has_sign_in: bool,
    secrets: Arc<Secrets>,
    /// What was last told of those that cannot be read: once each is enough.
    told: Mutex<BTreeMap<Text, String>>,
}

impl OperatorTokens {
    /// Makes the book of these entries.
    pub fn new(entries: Vec<AccessToken>, has_sign_in: bool, secrets: Arc<Secrets>) -> Self {
        Self { entries, has_sign_in, secrets, told: Mutex::default() }
    }

    /// Reads every token once.
    ///
    /// # Errors
    /// If one cannot be read, or two are the same.
    pub fn expect_sound(&self) -> Result<(), Failure> {
        let mut known: Vec<Token> = Vec::new();
        for entry in &self.entries {
            let token = self.read(entry)?;
            let is_same = |other: &&Token| other.secret.expose_secret() == token.secret.expose_secret();
            if let Some(other) = known.iter().find(is_same) {
                let what = format!("the tokens `{}` and `{}` are the same", other.name, token.name);
                return Err(Failure::new(what).hint("nobody could say who asks: give each its own"));
            }
            known.push(token);
        }
        Ok(())
    }

    fn read(&self, entry: &AccessToken) -> Result<Token, Failure> {
        let secret = self.secrets.resolve(Owner::Operator, &entry.token_from);
        let secret = secret.map_err(|fault| Failure::of(&format!("the token `{}`", entry.name), &fault))?;
        let role = if entry.is_operator { Role::Operator } else { Role::Viewer };
        Ok(Token { name: entry.name.clone(), role, secret })
    }
}

impl TokenBook for OperatorTokens {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && !self.has_sign_in
    }

    fn has_tokens(&self) -> bool {
        !self.entries.is_empty()
    }

    fn tokens(&self) -> Vec<Token> {
        // Before anything is locked: one slow disk is enough for whoever asks.
        let read: Vec<_> = self.entries.iter().map(|entry| (entry, self.read(entry))).collect();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tokens = Vec::with_capacity(read.len());
        for (entry, token) in read {
            match token {
                Ok(token) => {
                    told.remove(&entry.name);
                    tokens.push(token);
                }
                Err(failure) => {
                    if told.get(&entry.name) != Some(&failure.what) {
                        tracing::error!("nobody gets in by it: {}", failure.what);
                        told.insert(entry.name.clone(), failure.what);
                    }
                }
            }
        }
        tokens
    }
}
