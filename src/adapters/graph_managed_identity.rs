//! Managed identities of Azure: asks the machine that Intake runs on for a token that proves its
//! identity to the token service.

use serde::Deserialize;
use url::Url;

use crate::adapters::graph_grant::{Granted, MAX_ANSWER};
use crate::adapters::http::{Again, Answer, Failed, HttpClient, Request, quoted};
use crate::adapters::http_patience::Patience;
use crate::config::managed_identity::IdentityEndpoint;
use crate::model::digest::Digester;
use crate::model::guid::Guid;
use crate::model::reading::{Fault, FaultKind};
use crate::ports::meter::Asked;

/// An identity that was assigned to the machine. Only one that the operator assigned by itself can
/// be trusted by an application, so there is no default.
#[derive(Debug, Clone)]
pub struct ManagedIdentity {
    endpoint: IdentityEndpoint,
    client_id: Guid,
}

impl ManagedIdentity {
    /// Makes one. `client_id` is the identity's own, not the application's.
    pub fn new(endpoint: IdentityEndpoint, client_id: Guid) -> Self {
        Self { endpoint, client_id }
    }

    pub(crate) fn client_id(&self) -> Guid {
        self.client_id
    }

    /// Adds what tells this identity's tokens for one audience from others.
    pub(crate) fn identify(&self, digester: &mut Digester, audience: &str) {
        let place = match &self.endpoint {
            IdentityEndpoint::Metadata { root } => root,
            IdentityEndpoint::AppService { url, .. } => url,
        };
        digester.field(place).field(self.client_id.to_string()).field(audience);
    }

    /// Asks the machine for a token for an audience, once.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn ask(
        &self,
        client: &HttpClient,
        patience: &Patience,
        audience: &str,
    ) -> Result<Granted, Failed> {
        let request = self.request(audience).map_err(|fault| Failed::new(fault, Again::Never))?;
        let answer = client.send(&request, patience.silence(), MAX_ANSWER).await.map_err(unreachable)?;
        if !answer.is_success() {
            return Err(self.refusal(&answer));
        }
        Granted::read(&answer)
    }

    fn request(&self, audience: &str) -> Result<Request, Fault> {
        let (address, version) = match &self.endpoint {
            IdentityEndpoint::Metadata { root } => {
                (format!("{root}/metadata/identity/oauth2/token"), "2018-02-01")
            }
            IdentityEndpoint::AppService { url, .. } => (url.clone(), "2019-08-01"),
        };
        let mut url = Url::parse(&address).map_err(|_| {
            let what = "the environment variable IDENTITY_ENDPOINT holds no address";
            Fault::new(FaultKind::Refused, what).hint("App Service sets it; unset it elsewhere")
        })?;
        url.query_pairs_mut()
            .append_pair("api-version", version)
            .append_pair("resource", audience)
            .append_pair("client_id", &self.client_id.to_string());
        let request = Request::get(url).asks(Asked::ManagedIdentity);
        Ok(match &self.endpoint {
            IdentityEndpoint::Metadata { .. } => request.header("metadata", "true"),
            IdentityEndpoint::AppService { header, .. } => {
                request.secret_header("x-identity-header", header.clone())
            }
        })
    }

    fn refusal(&self, answer: &Answer) -> Failed {
        let said: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        let said = said.error_description.or(said.message).or(said.error);
        let said = said.map(|said| quoted(&said, &[]));
        let mut failed = answer.refused(said.as_deref());
        match answer.status {
            // While the machine's own service starts or is updated, it knows nobody.
            404 | 410 => {
                failed.fault.kind = FaultKind::Transient;
                failed.again = Again::WithinPatience;
            }
            400..=403 => {
                failed.fault.hint = Some(format!(
                    "assign the user-assigned managed identity {} to the machine that Intake runs on",
                    self.client_id
                ));
            }
            _ => {}
        }
        failed
    }
}

fn unreachable(mut failed: Failed) -> Failed {
    failed.fault.what = format!("the machine's managed identity cannot be asked: {}", failed.fault.what);
    failed.fault.hint.get_or_insert_with(|| {
        "it is there on virtual machines, App Service and Container Apps of Azure alone".to_owned()
    });
    failed
}

/// What the machine answers when it refuses.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: Option<String>,
    error_description: Option<String>,
    message: Option<String>,
}
