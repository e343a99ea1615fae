//! Where the machine that Intake runs on hands out tokens of its managed identities.

use std::ffi::OsString;

use secrecy::SecretString;

/// The service of a virtual machine that tells it about itself; the address is the same in every
/// cloud.
const METADATA: &str = "http://169.254.169.254";

/// Where tokens of managed identities come from.
#[derive(Debug, Clone)]
pub enum IdentityEndpoint {
    /// The metadata service of a virtual machine.
    Metadata {
        /// Its root.
        root: String,
    },
    /// What App Service, Functions and Container Apps set for their programs.
    AppService {
        /// Its whole address.
        url: String,
        /// What proves that a request comes from the program itself.
        header: SecretString,
    },
}

impl IdentityEndpoint {
    /// Returns the one of this machine.
    pub fn of_this_machine() -> Self {
        Self::in_environment(|name| std::env::var_os(name))
    }

    /// Returns the one that an environment names; without both variables it is a virtual machine's.
    pub fn in_environment(environment: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| environment(name)?.into_string().ok().filter(|text: &String| !text.is_empty());
        match (text("IDENTITY_ENDPOINT"), text("IDENTITY_HEADER")) {
            (Some(url), Some(header)) => Self::AppService { url, header: SecretString::from(header) },
            _ => Self::Metadata { root: METADATA.to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_service_is_known_by_both_its_variables() {
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            IdentityEndpoint::in_environment(move |name| {
                names.iter().any(|known| known == name).then(|| OsString::from(format!("value of {name}")))
            })
        };
        let is_metadata =
            |endpoint| matches!(endpoint, IdentityEndpoint::Metadata { root } if root == METADATA);
        assert!(is_metadata(of(&[])));
        assert!(is_metadata(of(&["IDENTITY_ENDPOINT"])), "Azure Arc, which has no identities to choose");
        assert!(is_metadata(of(&["IDENTITY_HEADER"])));
        let IdentityEndpoint::AppService { url, .. } = of(&["IDENTITY_ENDPOINT", "IDENTITY_HEADER"]) else {
            panic!("App Service");
        };
        assert_eq!(url, "value of IDENTITY_ENDPOINT");
    }
}
