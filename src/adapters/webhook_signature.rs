//! Signatures of webhooks: the receiver knows who sent a message, that nobody changed it, and when.
//!
//! As "Standard Webhooks" has it (<https://www.standardwebhooks.com>, version 1.0): HMAC-SHA-256 over
//! `ID.TIMESTAMP.BODY`, and a key in base64 behind `whsec_`. Libraries of that name check it.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use crate::adapters::http::Request;
use crate::model::reading::{Fault, FaultKind};

/// How many octets a key has at least, and at most.
const OCTETS: std::ops::RangeInclusive<usize> = 24..=64;

/// What signs messages. Its `Debug` shows no key.
#[derive(Debug)]
pub struct SigningKey(Key);

impl SigningKey {
    /// Reads a key: `whsec_` and base64 of 24 to 64 octets.
    ///
    /// # Errors
    /// Refused, if it is something else. What it is is not told.
    pub fn read(written: &SecretString) -> Result<Self, Fault> {
        let text = written.expose_secret().trim();
        let octets = text.strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
        match octets {
            Some(octets) if OCTETS.contains(&octets.len()) => Ok(Self(Key::new(HMAC_SHA256, &octets))),
            _ => Err(Fault::new(
                FaultKind::Refused,
                "the key that signs is not `whsec_` and base64 of 24 to 64 octets",
            )
            .hint("make one with: echo whsec_$(openssl rand -base64 32)")),
        }
    }

    /// Returns a request with the signature of its body. `id` is the same for every attempt, the time
    /// is that of this one.
    pub(crate) fn sign(&self, request: Request, id: &str, body: &[u8], at: Timestamp) -> Request {
        let seconds = at.as_second();
        let signed = [format!("{id}.{seconds}.").as_bytes(), body].concat();
        let signature = STANDARD.encode(sign(&self.0, &signed));
        request
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds.to_string())
            .header("webhook-signature", format!("v1,{signature}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_whsec_and_base64_of_enough_octets() {
        let read = |text: &str| SigningKey::read(&SecretString::from(text));
        let octets = |count: usize| format!("whsec_{}", STANDARD.encode(vec![7; count]));
        assert!(read(&octets(24)).is_ok() && read(&format!("{}\n", octets(64))).is_ok());
        for wrong in
            [&octets(23)[..], &octets(65), "whsec_", "whsec_!!!!", "a-password", "", &octets(32)[6..]]
        {
            let fault = read(wrong).expect_err(wrong);
            assert!(wrong.len() < 7 || !format!("{fault:?}").contains(&wrong[6..]), "{fault:?}");
        }
        assert!(!format!("{:?}", read(&octets(32))).contains("Bw"), "no key in it");
    }
}
