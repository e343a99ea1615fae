//! How the stand-in's token service judges an assertion: as a certified one does, and by its own means.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use x509_parser::parse_x509_certificate;

/// The only type of assertion that there is.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion may be good for, in seconds.
const LONGEST: i64 = 600;

/// Returns the first certificate of a PEM file, DER.
pub(super) fn certificate(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate").to_vec()
}

/// Returns the AADSTS number that an assertion is refused with; none for a sound one.
pub(super) fn refused(
    assertion: &str,
    certificates: &[Vec<u8>],
    audience: &str,
    client_id: &str,
    seen: &mut BTreeSet<String>,
) -> Option<u64> {
    const MALFORMED: Option<u64> = Some(900384);
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { return MALFORMED };
    let (Some(header_json), Some(claims_json)) = (json(header), json(claims)) else { return MALFORMED };
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return MALFORMED };
    let Some(thumbprint) = header_json["x5t#S256"].as_str() else {
        // Signed by another issuer: only a federated credential can fit.
        return Some(700213);
    };
    if header_json["alg"] != "PS256" || header_json["typ"] != "JWT" {
        return MALFORMED;
    }
    let known = |der: &&Vec<u8>| URL_SAFE_NO_PAD.encode(Sha256::digest(der)) == thumbprint;
    let Some(certificate) = certificates.iter().find(known) else { return Some(700027) };
    let (_, parsed) = parse_x509_certificate(certificate).expect("a certificate");
    let key = UnparsedPublicKey::new(
        &RSA_PSS_2048_8192_SHA256,
        parsed.public_key().subject_public_key.data.to_vec(),
    );
    if key.verify(format!("{header}.{claims}").as_bytes(), &signature).is_err() {
        return Some(700027);
    }
    if claims_json["aud"] != audience || claims_json["iss"] != client_id || claims_json["sub"] != client_id {
        return Some(50013);
    }
    let time = |name: &str| claims_json[name].as_i64();
    let (Some(begins), Some(ends), Some(issued)) = (time("nbf"), time("exp"), time("iat")) else {
        return MALFORMED;
    };
    let now = jiff::Timestamp::now().as_second();
    if begins > now || issued > now || ends <= now || ends - begins > LONGEST {
        return Some(700024);
    }
    match claims_json["jti"].as_str() {
        Some(id) if seen.insert(id.to_owned()) => None,
        _ => Some(50013),
    }
}

fn json(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
