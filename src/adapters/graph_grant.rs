//! A token as a token service grants it.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::adapters::http::{Answer, Failed};

/// The longest life that is believed: with continuous access evaluation 28 hours.
const LONGEST_LIFE: Duration = Duration::from_secs(28 * 60 * 60);
/// The largest answer of a token service, in bytes.
pub(crate) const MAX_ANSWER: usize = 256 * 1024;

/// A token as it was just issued.
pub(crate) struct Granted {
    /// The token.
    pub(crate) secret: SecretString,
    /// How long it lives.
    pub(crate) life: Duration,
    /// When it was asked for: its life began no earlier.
    pub(crate) asked_at: Instant,
}

/// What a token service answers.
#[derive(Deserialize)]
struct GrantedRow {
    access_token: String,
    /// Seconds; some issuers write them as text.
    #[serde(default)]
    expires_in: Value,
    /// Seconds since 1970: App Service says nothing else.
    #[serde(default)]
    expires_on: Value,
}

impl Granted {
    /// Reads the answer of a token service.
    ///
    /// # Errors
    /// What holds no token.
    pub(crate) fn read(answer: &Answer) -> Result<Self, Failed> {
        let row: GrantedRow =
            serde_json::from_slice(&answer.body).map_err(|_| answer.unusable("that is no token"))?;
        let text = row.access_token;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(answer.unusable("that is no token"));
        }
        let life = seconds(&row.expires_in).or_else(|| {
            let now = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
            seconds(&row.expires_on).map(|end| end.saturating_sub(now))
        });
        let life = Duration::from_secs(life.unwrap_or(0)).min(LONGEST_LIFE);
        Ok(Self { secret: SecretString::from(text), life, asked_at: answer.asked_at })
    }
}

/// Reads a number of seconds, as a number or as text.
pub(crate) fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    }
}
