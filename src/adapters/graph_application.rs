//! An application at Microsoft Graph: in which tenant, at which addresses, and with which credential.

use url::Url;

use crate::adapters::graph_credential::Credential;
use crate::model::digest::{Digest, Digester};
use crate::model::guid::Guid;
use crate::model::reading::{Fault, FaultKind};
use crate::model::text::{fold, inert};
use crate::policy::fleet::GraphEndpoints;

/// What a managed identity's token must be made for to be taken as an assertion, by the token
/// service's host; in every other place it is the first.
const EXCHANGES: [(&str, &str); 4] = [
    ("login.microsoftonline.com", "api://AzureADTokenExchange"),
    ("login.microsoftonline.us", "api://AzureADTokenExchangeUSGov"),
    ("login.chinacloudapi.cn", "api://AzureADTokenExchangeChina"),
    ("login.partner.microsoftonline.cn", "api://AzureADTokenExchangeChina"),
];

/// An application in one tenant, with checked addresses.
#[derive(Debug, Clone)]
pub struct Application {
    pub(crate) token_url: Url,
    /// The Graph root, without a slash at the end.
    graph: Url,
    tenant: String,
    pub(crate) client_id: Guid,
    pub(crate) consent_link: String,
    pub(crate) credential: Credential,
}

impl Application {
    /// Checks where an application's services are and which tenant is meant.
    ///
    /// # Errors
    /// Refused: an address that is none, a tenant that is neither a domain nor an id.
    pub fn new(
        tenant: &str,
        client_id: Guid,
        endpoints: &GraphEndpoints,
        credential: Credential,
    ) -> Result<Self, Fault> {
        // It goes into a path: nothing but names and ids may stand there.
        let is_name = !tenant.is_empty()
            && tenant.len() <= 253
            && tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
            && !tenant.starts_with('.')
            && !tenant.contains("..");
        if !is_name || ["common", "organizations", "consumers"].iter().any(|word| fold(tenant) == *word) {
            let what = format!("`{}` names no tenant", inert(tenant));
            let hint = "write one of the tenant's verified domains, or its id";
            return Err(Fault::new(FaultKind::Refused, what).hint(hint));
        }
        let login = root(&endpoints.login)?;
        let graph = root(&endpoints.graph)?;
        let login = login.as_str().trim_end_matches('/');
        let token_url = parse(&format!("{login}/{tenant}/oauth2/v2.0/token"))?;
        let consent_link = format!("{login}/{tenant}/adminconsent?client_id={client_id}");
        Ok(Self { token_url, graph, tenant: tenant.to_owned(), client_id, consent_link, credential })
    }

    /// Returns the tenant as it is configured.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Returns the address of something in Graph, given below its root, with a leading slash.
    ///
    /// # Errors
    /// Refused, if that makes no address.
    pub fn graph(&self, path: &str) -> Result<Url, Fault> {
        parse(&format!("{}{path}", self.graph.as_str().trim_end_matches('/')))
    }

    /// Whether an address is at the same Graph: only there may the token go.
    pub fn is_graph(&self, url: &Url) -> bool {
        url.origin() == self.graph.origin() && url.username().is_empty() && url.password().is_none()
    }

    pub(crate) fn scope(&self) -> String {
        format!("{}/.default", self.graph.as_str().trim_end_matches('/'))
    }

    /// Returns what a managed identity's token must be made for.
    pub(crate) fn exchange(&self) -> &'static str {
        let host = self.token_url.host_str().unwrap_or_default();
        let known = EXCHANGES.iter().find(|(login, _)| *login == host);
        known.unwrap_or(&EXCHANGES[0]).1
    }

    /// Returns what tells one tenant and application from others, whatever the credential.
    pub(crate) fn key(&self) -> Digest {
        self.identified("graph application").finish()
    }

    /// Returns what tells one token from others. The credential counts: whoever does not hold it
    /// does not get the token that it bought.
    pub(crate) fn token_key(&self) -> Digest {
        let mut digester = self.identified("graph token");
        self.credential.identify(&mut digester);
        digester.finish()
    }

    fn identified(&self, purpose: &str) -> Digester {
        let mut digester = Digester::new(purpose);
        digester.field(self.token_url.as_str()).field(self.graph.as_str()).field(self.client_id.to_string());
        digester
    }
}

fn root(text: &str) -> Result<Url, Fault> {
    let url = parse(text)?;
    let is_root = matches!(url.scheme(), "https" | "http")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if is_root { Ok(url) } else { Err(no_address(text)) }
}

fn parse(text: &str) -> Result<Url, Fault> {
    Url::parse(text).map_err(|_| no_address(text))
}

fn no_address(text: &str) -> Fault {
    Fault::new(FaultKind::Refused, format!("`{}` is no address of a service", inert(text)))
        .hint("write it as in https://graph.microsoft.com")
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::policy::document_tenant::Cloud;

    fn application(tenant: &str, secret: &str) -> Result<Application, Fault> {
        let endpoints = GraphEndpoints {
            login: "https://login.microsoftonline.com/".to_owned(),
            graph: "https://graph.microsoft.com".to_owned(),
        };
        Application::new(
            tenant,
            Guid::from_u128(1),
            &endpoints,
            Credential::Secret(SecretString::from(secret)),
        )
    }

    #[test]
    fn addresses_are_made_from_the_roots() {
        let application = application("contoso.com", "s").expect("an application");
        assert_eq!(
            application.token_url.as_str(),
            "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"
        );
        assert_eq!(application.scope(), "https://graph.microsoft.com/.default");
        assert_eq!(
            application.graph("/v1.0/users?$select=id,mail&$top=999").expect("an address").as_str(),
            "https://graph.microsoft.com/v1.0/users?$select=id,mail&$top=999",
            "names stay literal"
        );
    }

    #[test]
    fn only_the_same_scheme_host_and_port_get_the_token() {
        let application = application("contoso.com", "s").expect("an application");
        let same = |text: &str| application.is_graph(&text.parse().expect("an address"));
        assert!(same("https://graph.microsoft.com/v1.0/users?$skiptoken=x"));
        assert!(same("https://GRAPH.microsoft.com:443/v1.0/users"));
        for other in [
            "http://graph.microsoft.com/v1.0/users",
            "https://graph.microsoft.com:444/v1.0/users",
            "https://graph.microsoft.com.evil.test/v1.0/users",
            "https://graph.microsoft.com@evil.test/v1.0/users",
            "https://me@graph.microsoft.com/v1.0/users",
        ] {
            assert!(!same(other), "{other}");
        }
    }

    #[test]
    fn a_tenant_is_a_domain_or_an_id_and_nothing_that_changes_the_path() {
        for tenant in ["contoso.com", "00000000-0000-0000-0000-000000000001"] {
            assert!(application(tenant, "s").is_ok(), "{tenant}");
        }
        for tenant in
            ["", "common", "Organizations", "../x", "a/b", "a?b", "a#b", "a%2fb", "a..b", ".", "contoso com"]
        {
            assert_eq!(application(tenant, "s").expect_err("no tenant").kind, FaultKind::Refused, "{tenant}");
        }
    }

    #[test]
    fn a_token_is_kept_for_those_alone_who_hold_the_credential() {
        let key = |tenant, secret| application(tenant, secret).expect("an application").token_key();
        assert_eq!(key("contoso.com", "s"), key("contoso.com", "s"));
        assert_ne!(key("contoso.com", "s"), key("contoso.com", "guess"));
        assert_ne!(key("contoso.com", "s"), key("fabrikam.com", "s"));
    }

    #[test]
    fn one_limiter_serves_all_credentials_of_an_application_in_a_tenant() {
        let key = |tenant, secret| application(tenant, secret).expect("an application").key();
        assert_eq!(key("contoso.com", "s"), key("contoso.com", "t"));
        assert_ne!(key("contoso.com", "s"), key("fabrikam.com", "s"));
    }

    #[test]
    fn every_cloud_has_its_own_addresses_scope_and_exchange() {
        let expected = [
            (Cloud::Global, "login.microsoftonline.com", "graph.microsoft.com", ""),
            (Cloud::UsGov, "login.microsoftonline.us", "graph.microsoft.us", "USGov"),
            (Cloud::UsGovDod, "login.microsoftonline.us", "dod-graph.microsoft.us", "USGov"),
            (Cloud::China, "login.chinacloudapi.cn", "microsoftgraph.chinacloudapi.cn", "China"),
        ];
        for (cloud, login, graph, exchange) in expected {
            let credential = Credential::Secret(SecretString::from("s"));
            let application =
                Application::new("contoso.com", Guid::from_u128(1), &cloud.endpoints(), credential)
                    .expect("an application");
            assert_eq!(
                application.token_url.as_str(),
                format!("https://{login}/contoso.com/oauth2/v2.0/token")
            );
            assert_eq!(application.scope(), format!("https://{graph}/.default"));
            assert_eq!(application.exchange(), format!("api://AzureADTokenExchange{exchange}"));
        }
    }

    #[test]
    fn a_credential_is_never_shown() {
        let application = application("contoso.com", "hush").expect("an application");
        assert!(!format!("{application:?}").contains("hush"));
    }
}
