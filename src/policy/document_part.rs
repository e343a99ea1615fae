//! Parts that documents of several kinds have: customers, secrets, files, words.

use crate::model::account::AccountType;
use crate::policy::fleet::{MatchKey, SecretRef};
use crate::policy::read::{Map, Placed, Read, record, wrong_word};
use crate::policy::source::Ledger;
use crate::policy::value::{AbsolutePath, EnvName, Name, RelativePath, Word};
use crate::policy::yaml::Node;

record! {
    /// The customers that a policy is for. Either way suffices; without any it is for nobody.
    pub struct Customers = "`customers`";
    /// By name.
    "names" => names: Option<Vec<Placed<Name>>>,
    /// By labels: all of those given must be there.
    "matchLabels" => match_labels: Option<Map<Word>>,
}

record! {
    /// Where a secret is kept. A tree never holds the secret itself.
    pub struct Secret = "a secret" exactly_one &["env", "file"];
    /// The environment variable that holds it, for example `INTAKE_SECRET_CONTOSO__LDAP`.
    "env" => env: Option<EnvName>,
    /// The file that holds it, for example `/run/secrets/contoso/graph`. The only path that is absolute.
    "file" => file: Option<AbsolutePath>,
}

impl Secret {
    /// Returns the reference. `None` if it was broken, which has been reported.
    pub fn reference(&self) -> Option<SecretRef> {
        match (&self.env, &self.file) {
            (Some(name), None) => Some(SecretRef::Env(name.0.clone())),
            (None, Some(path)) => Some(SecretRef::File(path.0.clone())),
            _ => None,
        }
    }
}

impl Read for AccountType {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        match node.text() {
            Some("EndUser") => Some(Self::EndUser),
            Some("Administrator") => Some(Self::Administrator),
            _ => {
                wrong_word(node, "account type", &["EndUser", "Administrator"], ledger);
                None
            }
        }
    }
}

impl Read for MatchKey {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        const WORDS: &[&str] = &["immutableId", "securityIdentifier", "userPrincipalName", "mail"];
        match node.text() {
            Some("immutableId") => Some(Self::ImmutableId),
            Some("securityIdentifier") => Some(Self::SecurityIdentifier),
            Some("userPrincipalName") => Some(Self::UserPrincipalName),
            Some("mail") => Some(Self::Mail),
            _ => {
                wrong_word(node, "match key", WORDS, ledger);
                None
            }
        }
    }
}

record! {
    /// A file inside the tree.
    pub struct FileSpec = "a file";
    /// Its path, relative to this file.
    "file" => file: Placed<RelativePath>,
}
