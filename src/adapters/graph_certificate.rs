//! An application's certificate with its private key, and the assertions that the key signs
//! (RFC 7523, PS256).

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::model::digest::Digest;
use crate::model::guid::Guid;
use crate::model::reading::{Fault, FaultKind};

/// How many seconds an assertion is good for.
const LIFE: i64 = 5 * 60;

/// The largest file of certificates, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// A certificate of an application, and its private key.
pub struct Certificate {
    key: KeyPair,
    /// The SHA-256 of the certificate, by which the token service finds it.
    thumbprint: Digest,
    /// The SHA-1, by which the portal shows it to people.
    shown: String,
}

impl Certificate {
    /// Reads a certificate from a file, which messages call `name`.
    ///
    /// # Errors
    /// If the file cannot be read; and as [`Certificate::new`].
    pub fn read(path: &Path, name: &str, key: &SecretString, now: Timestamp) -> Result<Self, Fault> {
        let mut pem = Vec::new();
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut pem)).map_err(
            |error| Fault::new(FaultKind::Refused, format!("the certificate {name} cannot be read: {error}")),
        )?;
        if pem.len() as u64 > MAX_FILE {
            let what = format!("the certificate {name} is larger than 256 KiB");
            return Err(Fault::new(FaultKind::Refused, what));
        }
        Self::new(&pem, name, key, now)
    }

    /// Takes a certificate and its private key, both PEM. Of several certificates, as in a chain, it
    /// is the one that the key belongs to.
    ///
    /// # Errors
    /// What is no certificate, no RSA key, does not belong together or is not valid now: told before
    /// anybody is asked, as the token service's words for it are fewer.
    pub fn new(pem: &[u8], name: &str, key: &SecretString, now: Timestamp) -> Result<Self, Fault> {
        let refused = |what: String| Fault::new(FaultKind::Refused, what);
        let mut certificates = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let broken = |why: String| refused(format!("the certificate {name} is no sound PEM: {why}"));
            certificates.push(certificate.map_err(|error| broken(error.to_string()))?);
        }
        if certificates.is_empty() {
            return Err(refused(format!("there is no certificate in {name}"))
                .hint("it is a PEM file with a line `-----BEGIN CERTIFICATE-----`"));
        }
        let key = private_key(key)?;
        let public: PublicKeyX509Der<'_> = key
            .public_key()
            .as_der()
            .map_err(|_| refused("the private key has no usable public part".to_owned()))?;
        for der in &certificates {
            let (_, parsed) = X509Certificate::from_der(der)
                .map_err(|error| refused(format!("the certificate {name} cannot be read: {error}")))?;
            if parsed.public_key().raw != public.as_ref() {
                continue;
            }
            let time = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
            let begins = time(parsed.validity().not_before.timestamp());
            let ends = time(parsed.validity().not_after.timestamp());
            if now > ends {
                let what = format!("the certificate {name} expired on {ends}");
                let hint = "make a new one, upload it to the application, and put it and its key in place";
                return Err(Fault::new(FaultKind::Unauthorised, what).hint(hint));
            }
            if now < begins {
                let what = format!("the certificate {name} is not valid before {begins}");
                return Err(Fault::new(FaultKind::Unauthorised, what).hint("check this machine's clock"));
            }
            let thumbprint = digest(&SHA1_FOR_LEGACY_USE_ONLY, der);
            let shown = thumbprint.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
            return Ok(Self { key, thumbprint: Digest::of(der), shown });
        }
        Err(Fault::new(FaultKind::Unauthorised, format!("the private key does not belong to {name}"))
            .hint("give the key that the certificate was made with"))
    }

    /// Returns the SHA-256 of the certificate.
    pub(crate) fn thumbprint(&self) -> &[u8; 32] {
        self.thumbprint.as_bytes()
    }

    /// Returns the thumbprint as the portal shows it.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Signs a new assertion that the application is who it says. Every request needs its own: the
    /// token service may refuse one that it saw before.
    ///
    /// # Errors
    /// If the key cannot sign.
    pub(crate) fn assertion(
        &self,
        audience: &str,
        client_id: Guid,
        now: Timestamp,
    ) -> Result<SecretString, Fault> {
        let thumbprint = URL_SAFE_NO_PAD.encode(self.thumbprint());
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint});
        let now = now.as_second();
        let claims = json!({
            "aud": audience,
            "iss": client_id.to_string(),
            "sub": client_id.to_string(),
            "jti": Uuid::new_v4().to_string(),
            "nbf": now,
            "iat": now,
            "exp": now + LIFE,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| Fault::new(FaultKind::Refused, "the private key cannot sign"))?;
        Ok(SecretString::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificate").field("thumbprint", &self.shown).finish_non_exhaustive()
    }
}

fn private_key(pem: &SecretString) -> Result<KeyPair, Fault> {
    let pem = pem.expose_secret();
    let refused = |what: &str| Fault::new(FaultKind::Refused, what);
    let encrypted = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];
    if encrypted.iter().any(|mark| pem.contains(mark)) {
        return Err(refused("the private key is protected by a password")
            .hint("keep it without one, as in `openssl pkey -in key.pem -out plain.pem`, and as a secret"));
    }
    let rejected = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs8(key)) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Pkcs1(key)) => KeyPair::from_der(key.secret_pkcs1_der()),
        Ok(_) => return Err(refused("the private key is no RSA key").hint("Microsoft asks for RSA here")),
        Err(_) => {
            return Err(refused("the private key is no sound PEM")
                .hint("it is text with a line `-----BEGIN PRIVATE KEY-----`, line breaks included"));
        }
    };
    rejected.map_err(|error| {
        Fault::new(FaultKind::Refused, format!("the private key cannot be used: {error}"))
            .hint("it must be an RSA key of 2048 to 8192 bits, in PKCS#8 or PKCS#1")
    })
}
