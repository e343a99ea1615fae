//! Keys and certificates of applications, made by OpenSSL as an administrator makes them.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::support::process::run;

/// A certificate and its private key in all their forms, PEM.
#[derive(Debug)]
pub struct ApplicationKey {
    pub certificate: String,
    /// As the portal shows the certificate.
    pub thumbprint: String,
    pub pkcs8: String,
    pub pkcs1: String,
    pub encrypted: String,
}

impl ApplicationKey {
    /// The key that most tests use.
    pub fn first() -> &'static Self {
        static FIRST: OnceLock<ApplicationKey> = OnceLock::new();
        FIRST.get_or_init(Self::make)
    }

    /// Another key.
    pub fn second() -> &'static Self {
        static SECOND: OnceLock<ApplicationKey> = OnceLock::new();
        SECOND.get_or_init(Self::make)
    }

    fn make() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let openssl = |words: &str| openssl(folder.path(), words);
        openssl(
            "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=intake -keyout key.pem -out certificate.pem",
        );
        openssl("rsa -in key.pem -traditional -out pkcs1.pem");
        openssl("pkcs8 -topk8 -v2 aes256 -passout pass:x -in key.pem -out encrypted.pem");
        openssl("x509 -in certificate.pem -noout -fingerprint -sha1 -out thumbprint");
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("a file");
        let fingerprint = read("thumbprint");
        let (_, thumbprint) = fingerprint.trim().split_once('=').expect("a fingerprint");
        Self {
            certificate: read("certificate.pem"),
            thumbprint: thumbprint.replace(':', ""),
            pkcs8: read("key.pem"),
            pkcs1: read("pkcs1.pem"),
            encrypted: read("encrypted.pem"),
        }
    }
}

/// Makes a private key by OpenSSL's words for it.
pub fn private_key(words: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    openssl(folder.path(), &format!("{words} -out key.pem"));
    std::fs::read_to_string(folder.path().join("key.pem")).expect("a file")
}

fn openssl(folder: &Path, words: &str) {
    run(Command::new("openssl").args(words.split(' ')).current_dir(folder));
}
