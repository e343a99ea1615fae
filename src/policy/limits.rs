//! What the operator lets a tree do: permits, hosts, secrets, ceilings, connections.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::model::contact::Product;
use crate::model::duration::Seconds;
use crate::model::text::{Text, fold};
use crate::policy::fleet::SecretRef;

/// The operator's limits. The default is what holds without an operator's file.
#[derive(Debug, Clone)]
pub struct Limits {
    /// What a tree may use besides.
    pub permit: BTreeSet<Permit>,
    /// Hosts that a tree may name; `*` stands for any characters.
    pub hosts: Vec<String>,
    /// Environment variables that a customer's document may name, as patterns with `{customer}`.
    pub secret_env: Vec<String>,
    /// Files that a customer's document may name, as patterns with `{customer}`.
    pub secret_files: Vec<String>,
    /// The highest `removal.maxPercent`.
    pub max_percent: u32,
    /// The highest `removal.maxCount` and `removal.minCount`.
    pub max_count: u32,
    /// Whether a policy may say `allowEmpty: true`.
    pub allow_empty: bool,
    /// Whether an end-user policy may say `excludePrivileged: false`.
    pub include_privileged: bool,
    /// The shortest interval.
    pub min_interval: Seconds,
    /// The operator's connections, by name.
    pub connections: BTreeMap<Text, ConnectionKind>,
    /// The operator's targets.
    pub targets: BTreeSet<Text>,
}

/// What needs the operator's permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permit {
    /// Endpoints of a tree's own in place of a cloud's.
    Endpoints,
    /// A directory that is read without TLS over a network.
    Plaintext,
    /// The identity that the cloud gives the machine that Intake runs on.
    ManagedIdentity,
    /// The Kerberos credentials of the machine that Intake runs on.
    Kerberos,
}

/// What a connection leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionKind {
    /// Microsoft Graph.
    Graph,
    /// A documentation system.
    Documentation(Product),
}

/// How many removals may begin over all customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetLimit {
    /// At most so many …
    pub max_removals: u64,
    /// … within this time.
    pub window: Seconds,
}

impl Default for FleetLimit {
    fn default() -> Self {
        Self { max_removals: 200, window: Seconds(3_600) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            permit: BTreeSet::new(),
            hosts: vec!["*".to_owned()],
            secret_env: vec!["INTAKE_SECRET_{customer}__*".to_owned()],
            secret_files: vec!["/run/secrets/{customer}/*".to_owned()],
            max_percent: 100,
            max_count: 1_000_000,
            allow_empty: true,
            include_privileged: true,
            min_interval: Seconds(60),
            connections: BTreeMap::new(),
            targets: BTreeSet::new(),
        }
    }
}

impl Permit {
    /// Returns the word of the operator's file.
    pub fn code(self) -> &'static str {
        match self {
            Self::Endpoints => "endpoints",
            Self::Plaintext => "plaintext",
            Self::ManagedIdentity => "managedIdentity",
            Self::Kerberos => "kerberos",
        }
    }
}

impl Limits {
    /// Whether a tree may name a host.
    pub fn allows_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|pattern| wildmatch::WildMatch::new(&fold(pattern)).matches(&fold(host)))
    }

    /// Whether a customer's document may name a secret. Textual: links are the reader's matter.
    pub fn allows_secret(&self, customer: &str, reference: &SecretRef) -> bool {
        match reference {
            SecretRef::Env(name) => self.allows_env(customer, name),
            SecretRef::File(path) => self.allows_file(customer, path),
        }
    }

    /// Whether a customer's document may name an environment variable.
    pub fn allows_env(&self, customer: &str, name: &str) -> bool {
        let customer = customer.to_uppercase().replace('-', "_");
        self.secret_env.iter().any(|pattern| fits(&pattern.replace("{customer}", &customer), name))
    }

    /// Whether a customer's document may name a file: absolute, without `.` and `..`, and `*`
    /// never crosses a `/`.
    pub fn allows_file(&self, customer: &str, path: &Path) -> bool {
        let Some(path) = path.to_str() else { return false };
        let parts: Vec<&str> = path.split('/').collect();
        if !path.starts_with('/') || parts[1..].iter().any(|part| matches!(*part, "" | "." | "..")) {
            return false;
        }
        self.secret_files.iter().any(|pattern| {
            let pattern = pattern.replace("{customer}", customer);
            let wanted: Vec<&str> = pattern.split('/').collect();
            wanted.len() == parts.len()
                && wanted.iter().zip(&parts).all(|(pattern, part)| fits(pattern, part))
        })
    }

    /// Says which secrets a customer's document may name, for people.
    pub fn allowed_secrets(&self, customer: &str) -> String {
        let folded = customer.to_uppercase().replace('-', "_");
        let env =
            self.secret_env.iter().map(|pattern| format!("env {}", pattern.replace("{customer}", &folded)));
        let files = self
            .secret_files
            .iter()
            .map(|pattern| format!("file {}", pattern.replace("{customer}", customer)));
        let all: Vec<String> = env.chain(files).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    }
}

/// Whether text fits a pattern in which only `*` is special, with case.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    // What `*` stands for is not empty at the end: `/run/secrets/contoso/` names no file.
    rest.len() >= last.len() && rest.ends_with(last) && !(last.is_empty() && rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_reaches_its_own_secrets_alone() {
        let limits = Limits::default();
        assert!(limits.allows_env("contoso", "INTAKE_SECRET_CONTOSO__LDAP"));
        assert!(limits.allows_env("contoso-eu", "INTAKE_SECRET_CONTOSO_EU__LDAP"));
        assert!(!limits.allows_env("contoso", "INTAKE_SECRET_CONTOSO_EU__LDAP"), "another customer's");
        assert!(!limits.allows_env("contoso", "INTAKE_SECRET_CONTOSO__"), "the pattern asks for a name");
        assert!(!limits.allows_env("contoso", "PATH"));
    }

    #[test]
    fn a_star_never_crosses_a_folder() {
        let limits = Limits::default();
        let allows = |path: &str| limits.allows_file("contoso", Path::new(path));
        assert!(allows("/run/secrets/contoso/graph"));
        assert!(!allows("/run/secrets/contoso/deep/graph"));
        assert!(!allows("/run/secrets/contoso-eu/graph"));
        assert!(!allows("/run/secrets/contoso/../other/graph"));
        assert!(!allows("/run/secrets/contoso/.."));
        assert!(!allows("/run/secrets/contoso/"));
        assert!(!allows("run/secrets/contoso/graph"));
    }

    #[test]
    fn hosts_are_compared_without_case() {
        let limits = Limits { hosts: vec!["*.contoso.test".to_owned()], ..Limits::default() };
        assert!(limits.allows_host("DC1.Contoso.test"));
        assert!(!limits.allows_host("contoso.test.evil.example"));
    }
}
