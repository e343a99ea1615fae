//! ID tokens: a provider's word for who somebody is, believed only if all of it fits (OpenID Connect Core 1.0,
//! 3.1.3.7).

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::model::digest::Digest;

/// The signatures that are taken. None by a secret that both sides know: whoever holds the client's could sign in
/// as anybody.
const TAKEN: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// A provider's keys. One of a kind that nobody here knows hides no other.
#[derive(Debug, Deserialize)]
pub struct Keys {
    #[serde(deserialize_with = "known")]
    keys: Vec<Jwk>,
}

/// What a token has to say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Who wrote it.
    pub issuer: &'a str,
    /// For whom.
    pub client_id: &'a str,
    /// For which sign-in.
    pub nonce: &'a SecretString,
    /// Which claim's values are roles.
    pub claim: &'a str,
}

/// What a token says of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// By which id the provider knows them, and nobody else ever.
    pub subject: String,
    /// What they are called: the name that they sign in with, else an address, else the id.
    pub name: String,
    /// The values of the claim that are texts.
    pub roles: Vec<String>,
}

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// None of the keys has the id that it names.
    #[error("the token is signed by a key that the provider does not have")]
    UnknownKey,
    /// The key did not make its signature.
    #[error("the token's signature is none of the provider's key")]
    BadSignature,
    /// Anything else.
    #[error("the token does not fit: {0}")]
    Other(String),
}

/// What is read of a token besides what the library checks.
#[derive(Deserialize)]
struct Content {
    sub: String,
    iss: String,
    /// Looked at by nobody, and required.
    #[serde(rename = "iat")]
    _issued_at: f64,
    nonce: Option<String>,
    azp: Option<String>,
    aud: Value,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Reads a token, if its signature and all of its claims fit.
///
/// # Errors
/// [`Unfit`].
pub fn read_token(token: &SecretString, keys: &Keys, expected: &Expected<'_>) -> Result<Claims, Unfit> {
    let other = |what: &str| Unfit::Other(what.to_owned());
    let header = decode_header(token.expose_secret()).map_err(|error| Unfit::Other(error.to_string()))?;
    if !TAKEN.contains(&header.alg) {
        return Err(other("its signature is of a kind that is not taken"));
    }
    let is_for_signatures = |key: &&Jwk| {
        key.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
    };
    // A token may leave out which key it is where there is but one.
    let key = match &header.kid {
        Some(id) => {
            keys.keys.iter().filter(is_for_signatures).find(|key| key.common.key_id.as_ref() == Some(id))
        }
        None => match keys.keys.iter().filter(is_for_signatures).collect::<Vec<_>>()[..] {
            [only] => Some(only),
            _ => return Err(other("it names no key, and there are several")),
        },
    };
    let key = key.ok_or(Unfit::UnknownKey)?;
    // Where a key is for one kind of signature, it is good for no other.
    let is_same = |purpose| serde_json::to_value(purpose).ok() == serde_json::to_value(header.alg).ok();
    if key.common.key_algorithm.is_some_and(|purpose| !is_same(purpose)) {
        return Err(other("its key is for another kind of signature"));
    }
    let key = DecodingKey::from_jwk(key).map_err(|error| Unfit::Other(error.to_string()))?;
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[expected.client_id]);
    validation.set_issuer(&[expected.issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    let read = decode::<Content>(token.expose_secret(), &key, &validation);
    let read = read.map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => Unfit::BadSignature,
        _ => Unfit::Other(error.to_string()),
    });
    let Content { sub, iss, nonce, azp, aud, others, .. } = read?.claims;
    // The library takes lists of issuers as well, and other audiences besides: nobody here trusts those.
    if iss != expected.issuer {
        return Err(other("it is of another issuer"));
    }
    let is_for_us = match &aud {
        Value::String(only) => only == expected.client_id,
        Value::Array(all) => *all == [Value::from(expected.client_id)],
        _ => false,
    };
    if !is_for_us {
        return Err(other("it is for others as well"));
    }
    if azp.is_some_and(|azp| azp != expected.client_id) {
        return Err(other("it was given to another client"));
    }
    let nonce = nonce.unwrap_or_default();
    if Digest::of(nonce.as_bytes()) != Digest::of(expected.nonce.expose_secret().as_bytes()) {
        return Err(other("it is of another sign-in"));
    }
    let text = |claim: &str| others.get(claim).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let name = text("preferred_username").or_else(|| text("email")).unwrap_or(&sub).to_owned();
    let roles = match others.get(expected.claim) {
        Some(Value::String(role)) => vec![role.clone()],
        Some(Value::Array(roles)) => roles.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    Ok(Claims { subject: sub, name, roles })
}

fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Jwk>, D::Error> {
    let keys = Vec::<Value>::deserialize(deserializer)?;
    Ok(keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use rcgen::{KeyPair, PublicKeyData as _};
    use serde_json::json;

    use super::*;

    /// A provider's key, by its id.
    struct Signer {
        id: &'static str,
        pair: KeyPair,
    }

    impl Signer {
        fn new(id: &'static str) -> Self {
            Self { id, pair: KeyPair::generate().expect("a key") }
        }

        /// Its public part: a P-256 point is a 4 and two numbers of 32 octets.
        fn jwk(&self) -> Value {
            let point = self.pair.der_bytes();
            let number = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
            json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "alg": "ES256",
                "x": number(1..33), "y": number(33..65)})
        }

        fn sign(&self, claims: &Value) -> SecretString {
            let header = Header { kid: Some(self.id.to_owned()), ..Header::new(Algorithm::ES256) };
            let key = EncodingKey::from_ec_der(&self.pair.serialize_der());
            SecretString::from(encode(&header, claims, &key).expect("signed"))
        }
    }

    fn keys(keys: &[Value]) -> Keys {
        serde_json::from_value(json!({"keys": keys})).expect("keys")
    }

    fn now() -> i64 {
        jiff::Timestamp::now().as_second()
    }

    fn claims() -> Value {
        json!({"iss": "https://id.test", "aud": "intake", "sub": "7", "exp": now() + 300, "iat": now(),
            "nonce": "n-1", "preferred_username": "jane@contoso.test", "roles": ["ops", 7, "look"]})
    }

    fn read(token: &SecretString, keys: &Keys) -> Result<Claims, Unfit> {
        let nonce = SecretString::from("n-1");
        let expected =
            Expected { issuer: "https://id.test", client_id: "intake", nonce: &nonce, claim: "roles" };
        read_token(token, keys, &expected)
    }

    #[test]
    fn a_token_that_fits_says_who_it_is_and_which_roles_they_have() {
        let signer = Signer::new("a");
        let known = keys(&[json!({"kty": "future", "kid": "b"}), Signer::new("c").jwk(), signer.jwk()]);
        let jane = Claims {
            subject: "7".to_owned(),
            name: "jane@contoso.test".to_owned(),
            roles: vec!["ops".to_owned(), "look".to_owned()],
        };
        assert_eq!(read(&signer.sign(&claims()), &known), Ok(jane.clone()));
        for (change, name, roles) in [
            (json!({"preferred_username": null, "email": "j@x.test"}), "j@x.test", vec!["ops", "look"]),
            (json!({"preferred_username": " "}), "7", vec!["ops", "look"]),
            (json!({"roles": "one"}), "jane@contoso.test", vec!["one"]),
            (json!({"roles": null}), "jane@contoso.test", vec![]),
            (json!({"aud": ["intake"]}), "jane@contoso.test", vec!["ops", "look"]),
        ] {
            let token = signer.sign(&changed(&change));
            let roles = roles.into_iter().map(str::to_owned).collect();
            let expected = Claims { subject: "7".to_owned(), name: name.to_owned(), roles };
            assert_eq!(read(&token, &known), Ok(expected), "{change}");
        }
    }

    fn changed(change: &Value) -> Value {
        let mut claims = claims();
        for (name, value) in change.as_object().expect("changes") {
            claims[name] = value.clone();
        }
        claims
    }

    #[test]
    fn a_token_that_does_not_fit_in_one_thing_is_not_believed() {
        let signer = Signer::new("a");
        let known = keys(&[signer.jwk()]);
        for (change, why) in [
            (json!({"iss": "https://evil.test"}), "InvalidIssuer"),
            (json!({"iss": "https://id.test/"}), "InvalidIssuer"),
            (json!({"aud": "other"}), "InvalidAudience"),
            (json!({"aud": ["other", "intake"]}), "for others"),
            (json!({"aud": ["other", "intake"], "azp": "intake"}), "for others"),
            (json!({"aud": ["intake", "intake"]}), "for others"),
            (json!({"iss": ["https://id.test"]}), ""),
            (json!({"iat": null}), ""),
            (json!({"azp": "other"}), "another client"),
            (json!({"exp": now() - 120}), "ExpiredSignature"),
            (json!({"nbf": now() + 600}), "ImmatureSignature"),
            (json!({"nonce": "n-2"}), "another sign-in"),
            (json!({"nonce": null}), "another sign-in"),
            (json!({"exp": null}), "exp"),
            (json!({"sub": null}), ""),
        ] {
            let refused = read(&signer.sign(&changed(&change)), &known).expect_err(&change.to_string());
            assert!(refused.to_string().contains(why), "{change}: {refused}");
        }
    }

    #[test]
    fn a_signature_by_anything_else_than_the_providers_key_is_none() {
        let signer = Signer::new("a");
        let known = keys(&[signer.jwk()]);
        // Somebody else's key of the same name, and of another.
        assert_eq!(read(&Signer::new("a").sign(&claims()), &known), Err(Unfit::BadSignature));
        assert_eq!(read(&Signer::new("z").sign(&claims()), &known), Err(Unfit::UnknownKey));
        // Signed by what everybody knows: the public key, as a shared secret.
        let header = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::HS256) };
        let shared = EncodingKey::from_secret(signer.pair.der_bytes());
        let token = SecretString::from(encode(&header, &claims(), &shared).expect("signed"));
        assert!(read(&token, &known).expect_err("a secret").to_string().contains("kind that is not taken"));
        // Not signed at all, or not whole.
        let good = signer.sign(&claims());
        let parts: Vec<&str> = good.expose_secret().split('.').collect();
        let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","kid":"a"}"#);
        let other = URL_SAFE_NO_PAD.encode(claims().to_string().replace("ops", "all"));
        for token in [
            format!("{none}.{}.", parts[1]),
            format!("{}.{other}.{}", parts[0], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            parts[1].to_owned(),
            String::new(),
        ] {
            assert!(read(&SecretString::from(token.clone()), &known).is_err(), "{token}");
        }
        // A key that is for something else.
        let mut for_encryption = signer.jwk();
        for_encryption["use"] = json!("enc");
        assert_eq!(read(&good, &keys(&[for_encryption])), Err(Unfit::UnknownKey));
        let mut for_others = signer.jwk();
        for_others["alg"] = json!("ES384");
        assert!(matches!(read(&good, &keys(&[for_others])), Err(Unfit::Other(_))));
    }
}
