//! Secrets: read where a reference says, anew each time, and only for whom the operator allows it.

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use secrecy::SecretString;

use crate::model::text::{Text, inert};
use crate::policy::fleet::SecretRef;
use crate::policy::limits::Limits;
use crate::policy::source::shown;

/// Larger secrets are refused: a private key has a few kilobytes.
const MAX_SECRET: u64 = 64 * 1024;

/// On whose behalf a secret is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// The operator, who may name any.
    Operator,
    /// A customer's document, which may name what the operator allows.
    Customer(&'a str),
}

/// Looks an environment variable up.
type Environment = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// Reads secrets. Holds none.
pub struct Secrets {
    limits: Limits,
    environment: Box<Environment>,
}

/// Why a secret was not read. Never holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretFault {
    /// The operator does not let this customer name it.
    #[error("the operator does not let `{customer}` name the secret {reference}; allowed are: {allowed}")]
    NotAllowed {
        /// The customer.
        customer: Text,
        /// Which secret.
        reference: String,
        /// What would be allowed.
        allowed: String,
    },
    /// Its link leads to a file that this customer may not name.
    #[error("the secret {reference} is a link to a file that the operator does not let `{customer}` name")]
    LinkNotAllowed {
        /// The customer.
        customer: Text,
        /// Which secret.
        reference: String,
    },
    /// The environment has no such variable.
    #[error("the secret {reference} is not set; set the variable for the process that runs Intake")]
    NotSet {
        /// Which secret.
        reference: String,
    },
    /// The path is relative.
    #[error("the secret {reference} must be named by an absolute path")]
    Relative {
        /// Which secret.
        reference: String,
    },
    /// The file cannot be read.
    #[error("the secret {reference} cannot be read")]
    Unreadable {
        /// Which secret.
        reference: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no file.
    #[error("the secret {reference} is no regular file")]
    NoFile {
        /// Which secret.
        reference: String,
    },
    /// It is too large.
    #[error("the secret {reference} is larger than 64 KiB")]
    TooLarge {
        /// Which secret.
        reference: String,
    },
    /// It is no text.
    #[error("the secret {reference} is not UTF-8")]
    NoText {
        /// Which secret.
        reference: String,
    },
    /// There is nothing in it.
    #[error("the secret {reference} is empty")]
    Empty {
        /// Which secret.
        reference: String,
    },
}

impl Secrets {
    /// Makes a reader by the operator's limits, on the process's environment.
    pub fn new(limits: &Limits) -> Self {
        Self::with_environment(limits, |name| std::env::var_os(name))
    }

    /// Makes a reader on another environment.
    pub fn with_environment(
        limits: &Limits,
        environment: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static,
    ) -> Self {
        Self { limits: limits.clone(), environment: Box::new(environment) }
    }

    /// Reads a secret, without the line break at its end.
    ///
    /// # Errors
    /// If the owner may not name it, or if it is not there, no text, empty or larger than 64 KiB.
    pub fn resolve(&self, owner: Owner<'_>, reference: &SecretRef) -> Result<SecretString, SecretFault> {
        let name = named(reference);
        if let Owner::Customer(customer) = owner
            && !self.limits.allows_secret(customer, reference)
        {
            return Err(SecretFault::NotAllowed {
                customer: Text::from(inert(customer).as_ref()),
                reference: name,
                allowed: self.limits.allowed_secrets(customer),
            });
        }
        let text = match reference {
            SecretRef::Env(variable) => (self.environment)(variable)
                .ok_or_else(|| SecretFault::NotSet { reference: name.clone() })?
                .into_string()
                .map_err(|_| SecretFault::NoText { reference: name.clone() })?,
            SecretRef::File(path) => self.read_file(owner, path, &name)?,
        };
        let trimmed = text.trim_end_matches(['\n', '\r']);
        if trimmed.len() as u64 > MAX_SECRET {
            return Err(SecretFault::TooLarge { reference: name });
        }
        if trimmed.trim().is_empty() {
            return Err(SecretFault::Empty { reference: name });
        }
        Ok(SecretString::from(trimmed))
    }

    fn read_file(&self, owner: Owner<'_>, path: &Path, name: &str) -> Result<String, SecretFault> {
        let reference = || name.to_owned();
        let unreadable = |source| SecretFault::Unreadable { reference: name.to_owned(), source };
        if !path.is_absolute() {
            return Err(SecretFault::Relative { reference: reference() });
        }
        let real = fs::canonicalize(path).map_err(unreadable)?;
        if let Owner::Customer(customer) = owner
            && !self.allows_real(customer, &real)
        {
            let customer = Text::from(inert(customer).as_ref());
            return Err(SecretFault::LinkNotAllowed { customer, reference: reference() });
        }
        // A pipe would block for ever, so the kind is looked at before the file is opened.
        if !fs::metadata(&real).map_err(unreadable)?.is_file() {
            return Err(SecretFault::NoFile { reference: reference() });
        }
        let mut content = Vec::new();
        fs::File::open(&real)
            .and_then(|file| file.take(MAX_SECRET + 3).read_to_end(&mut content))
            .map_err(unreadable)?;
        String::from_utf8(content).map_err(|_| SecretFault::NoText { reference: reference() })
    }

    /// Whether a customer may name a file by where it really is. The folders that the operator's
    /// patterns name are resolved as well (`/var/run` is a link to `/run` nearly everywhere), and
    /// the hidden folders into which Kubernetes mounts versions of a Secret (`..2026_11_22`) are
    /// passed over.
    fn allows_real(&self, customer: &str, real: &Path) -> bool {
        let visible: PathBuf = real
            .components()
            .filter(|part| match part {
                Component::Normal(name) => !name.to_string_lossy().starts_with(".."),
                _ => true,
            })
            .collect();
        let patterns = self.limits.secret_files.iter().map(|pattern| resolved(pattern)).collect();
        let limits = Limits { secret_files: patterns, ..Limits::default() };
        limits.allows_file(customer, &visible)
    }
}

/// Returns the token that whoever typed a command has for a controller.
pub fn token_of_environment() -> Option<SecretString> {
    let token = std::env::var("INTAKE_TOKEN").ok()?;
    Some(token.trim()).filter(|token| !token.is_empty()).map(SecretString::from)
}

/// Resolves the links in the part of a pattern that stands before its first variable part.
fn resolved(pattern: &str) -> String {
    let parts: Vec<&str> = pattern.split('/').collect();
    let fixed = parts.iter().take_while(|part| !part.contains(['*', '{'])).count();
    // The last part names the file itself, whose link is what is being judged.
    let fixed = fixed.min(parts.len().saturating_sub(1));
    let folder = parts[..fixed].join("/");
    match fs::canonicalize(&folder).ok().as_deref().and_then(Path::to_str) {
        Some(real) => format!("{}/{}", real.trim_end_matches('/'), parts[fixed..].join("/")),
        None => pattern.to_owned(),
    }
}

/// Names a reference for people.
fn named(reference: &SecretRef) -> String {
    match reference {
        SecretRef::Env(name) => format!("env {}", inert(name)),
        SecretRef::File(path) => format!("file {}", shown(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    struct Folder {
        folder: tempfile::TempDir,
        limits: Limits,
    }

    impl Folder {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let root = folder.path().display();
            let limits = Limits { secret_files: vec![format!("{root}/{{customer}}/*")], ..Limits::default() };
            for customer in ["contoso", "fabrikam"] {
                fs::create_dir(folder.path().join(customer)).expect("a folder");
            }
            Self { folder, limits }
        }

        fn write(&self, path: &str, content: &[u8]) -> SecretRef {
            fs::write(self.folder.path().join(path), content).expect("a file");
            self.at(path)
        }

        fn at(&self, path: &str) -> SecretRef {
            SecretRef::File(self.folder.path().join(path))
        }

        fn read(&self, owner: Owner<'_>, reference: &SecretRef) -> Result<String, SecretFault> {
            let secrets = Secrets::with_environment(&self.limits, |name| {
                (name == "INTAKE_SECRET_CONTOSO__LDAP").then(|| OsString::from("from the environment\n"))
            });
            secrets.resolve(owner, reference).map(|secret| secret.expose_secret().to_owned())
        }
    }

    const CONTOSO: Owner<'static> = Owner::Customer("contoso");

    #[test]
    fn a_secret_is_read_without_its_last_line_break_and_anew_each_time() {
        let folder = Folder::new();
        let reference = folder.write("contoso/graph", b"one two\r\n");
        assert_eq!(folder.read(CONTOSO, &reference).expect("a secret"), "one two");
        folder.write("contoso/graph", b"three");
        assert_eq!(folder.read(CONTOSO, &reference).expect("a secret"), "three");
        let reference = SecretRef::Env("INTAKE_SECRET_CONTOSO__LDAP".to_owned());
        assert_eq!(folder.read(CONTOSO, &reference).expect("a secret"), "from the environment");
    }

    #[test]
    fn a_customer_reads_no_other_customers_secret() {
        let folder = Folder::new();
        let reference = folder.write("fabrikam/graph", b"theirs");
        assert!(matches!(folder.read(CONTOSO, &reference), Err(SecretFault::NotAllowed { .. })));
        assert_eq!(folder.read(Owner::Operator, &reference).expect("a secret"), "theirs");
        let around = folder.at("contoso/../fabrikam/graph");
        assert!(matches!(folder.read(CONTOSO, &around), Err(SecretFault::NotAllowed { .. })));
        let reference = SecretRef::Env("HOME".to_owned());
        assert!(matches!(folder.read(CONTOSO, &reference), Err(SecretFault::NotAllowed { .. })));
    }

    #[test]
    #[cfg(unix)]
    fn links_are_resolved_before_the_check() {
        use std::os::unix::fs::symlink;
        let folder = Folder::new();
        folder.write("fabrikam/graph", b"theirs");
        let root = folder.folder.path();
        symlink(root.join("fabrikam/graph"), root.join("contoso/link")).expect("a link");
        let link = folder.at("contoso/link");
        assert!(matches!(folder.read(CONTOSO, &link), Err(SecretFault::LinkNotAllowed { .. })));
        // As Kubernetes mounts a Secret.
        fs::create_dir(root.join("contoso/..2026_11_22")).expect("a folder");
        folder.write("contoso/..2026_11_22/ldap", b"mounted");
        symlink("..2026_11_22", root.join("contoso/..data")).expect("a link");
        symlink("..data/ldap", root.join("contoso/ldap")).expect("a link");
        assert_eq!(folder.read(CONTOSO, &folder.at("contoso/ldap")).expect("a secret"), "mounted");
        // The whole folder of another customer.
        symlink(root.join("fabrikam"), root.join("litware")).expect("a link");
        let link = folder.at("litware/graph");
        let owner = Owner::Customer("litware");
        assert!(matches!(folder.read(owner, &link), Err(SecretFault::LinkNotAllowed { .. })));
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let folder = Folder::new();
        let read = |content: &[u8]| folder.read(CONTOSO, &folder.write("contoso/x", content));
        assert!(matches!(read(b""), Err(SecretFault::Empty { .. })));
        assert!(matches!(read(b"\n"), Err(SecretFault::Empty { .. })));
        assert!(matches!(read(&[0xff, 0xfe]), Err(SecretFault::NoText { .. })));
        assert!(matches!(read(&vec![b'x'; 64 * 1024 + 1]), Err(SecretFault::TooLarge { .. })));
        assert_eq!(read(&vec![b'x'; 64 * 1024]).expect("a secret").len(), 64 * 1024);
        let missing = folder.at("contoso/missing");
        assert!(matches!(folder.read(CONTOSO, &missing), Err(SecretFault::Unreadable { .. })));
        let relative = SecretRef::File("contoso/x".into());
        assert!(matches!(folder.read(Owner::Operator, &relative), Err(SecretFault::Relative { .. })));
        let unset = SecretRef::Env("INTAKE_SECRET_CONTOSO__NO".to_owned());
        assert!(matches!(folder.read(CONTOSO, &unset), Err(SecretFault::NotSet { .. })));
    }

    #[test]
    fn a_fault_tells_nothing_of_the_secret() {
        let folder = Folder::new();
        let reference = folder.write("fabrikam/graph", b"very secret");
        let fault = folder.read(CONTOSO, &reference).expect_err("not allowed");
        assert!(!format!("{fault} {fault:?}").contains("very secret"));
    }
}
