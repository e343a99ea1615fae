//! A tenant as written, and the application that reads it.

use crate::policy::document_part::{FileSpec, Secret};
use crate::policy::fleet::{GraphApplication, GraphCredential, GraphEndpoints, Refresh};
use crate::policy::problem::Rule;
use crate::policy::read::{Given, Placed, record, words};
use crate::policy::source::{Ledger, Place};
use crate::policy::value::{GuidValue, HttpUrl, Name, RelativePath, TenantId};

record! {
    /// A Microsoft 365 tenant.
    pub struct TenantSpec = "`tenant`" exactly_one &["graph", "snapshot"];
    /// Microsoft Graph.
    "graph" => graph: Option<Placed<GraphSpec>>,
    /// A file of Graph user objects.
    "snapshot" => snapshot: Option<FileSpec>,
    /// Other customers that read the same tenant; each must name the others.
    "sharedWith" => shared_with: Option<Vec<Placed<Name>>>,
}

record! {
    /// A tenant at Microsoft Graph: with an application of the operator's, or with its own.
    #[schemars(extend("oneOf" = [
        {"required": ["connection"], "properties": {
            "clientId": false, "cloud": false, "clientSecretFrom": false, "certificate": false,
            "federatedTokenFrom": false, "managedIdentity": false, "endpoints": false}},
        {"required": ["clientId"], "properties": {"connection": false}, "oneOf": [
            {"required": ["clientSecretFrom"]}, {"required": ["certificate"]},
            {"required": ["federatedTokenFrom"]}, {"required": ["managedIdentity"]}]}
    ], "not" = {"required": ["cloud", "endpoints"]}))]
    pub struct GraphSpec = "`graph`";
    /// A verified domain of the tenant, or its id.
    "tenantId" => tenant_id: Placed<TenantId>,
    /// The operator's connection: one application for many customers.
    "connection" => connection: Option<Placed<Name>>,
    /// How the users are read: all of them every time, or what changed since the last time and all of
    /// them twice a day. `delta` is for very large tenants.
    #[schemars(extend("default" = "full"))]
    "refresh" => refresh: Option<RefreshWord>,
    ..application: ApplicationSpec,
}

record! {
    /// An application; [`ApplicationSpec::check`] says which fields go together.
    pub struct ApplicationSpec = "`graph`";
    /// The application's id.
    "clientId" => client_id: Option<Given<GuidValue>>,
    /// The cloud that the tenant lives in.
    #[schemars(extend("default" = "global"))]
    "cloud" => cloud: Option<Given<Cloud>>,
    /// Where the application's secret is kept.
    "clientSecretFrom" => client_secret_from: Option<Given<Secret>>,
    /// The application's certificate.
    "certificate" => certificate: Option<Given<CertificateSpec>>,
    /// Another issuer's token, for example the one that Kubernetes writes for a workload.
    "federatedTokenFrom" => federated_token_from: Option<Given<Secret>>,
    /// The identity of the machine that Intake runs on. Needs the operator's permission.
    "managedIdentity" => managed_identity: Option<Given<ManagedIdentitySpec>>,
    /// Where its services are, in place of a cloud. Needs the operator's permission.
    "endpoints" => endpoints: Option<Given<EndpointsSpec>>,
}

words! {
    /// How the users of a tenant are read.
    pub enum RefreshWord = "refresh";
    /// All of them, every time.
    "full" => Full,
    /// What changed since the last time, and all of them twice a day.
    "delta" => Delta,
}

words! {
    /// A Microsoft cloud.
    pub enum Cloud = "cloud";
    /// The public cloud.
    "global" => Global,
    /// US Government, GCC High.
    "usGov" => UsGov,
    /// US Government, Department of Defense.
    "usGovDod" => UsGovDod,
    /// Operated by 21Vianet.
    "china" => China,
}

record! {
    /// An application's certificate.
    pub struct CertificateSpec = "`certificate`";
    /// The certificate, PEM, relative to this file.
    "certificateFile" => certificate_file: Placed<RelativePath>,
    /// Where its private key is kept.
    "privateKeyFrom" => private_key_from: Placed<Secret>,
}

record! {
    /// A managed identity.
    pub struct ManagedIdentitySpec = "`managedIdentity`";
    /// Its client id.
    "clientId" => client_id: GuidValue,
}

record! {
    /// Where a token service and Graph are: a pair, as tokens do not cross clouds.
    pub struct EndpointsSpec = "`endpoints`";
    /// The token service, for example `https://login.microsoftonline.com`.
    "login" => login: Placed<HttpUrl>,
    /// Graph, for example `https://graph.microsoft.com`.
    "graph" => graph: Placed<HttpUrl>,
}

impl RefreshWord {
    /// Returns what it means.
    pub fn refresh(self) -> Refresh {
        match self {
            Self::Full => Refresh::Full,
            Self::Delta => Refresh::Delta,
        }
    }
}

impl Cloud {
    /// Returns where the cloud's services are
    /// (<https://learn.microsoft.com/graph/deployments>).
    pub fn endpoints(self) -> GraphEndpoints {
        let (login, graph) = match self {
            Self::Global => ("https://login.microsoftonline.com", "https://graph.microsoft.com"),
            Self::UsGov => ("https://login.microsoftonline.us", "https://graph.microsoft.us"),
            Self::UsGovDod => ("https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
            Self::China => ("https://login.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn"),
        };
        GraphEndpoints { login: login.to_owned(), graph: graph.to_owned() }
    }
}

impl ApplicationSpec {
    /// Returns the fields that are there, with their places.
    pub fn given(&self) -> Vec<(&'static str, Place)> {
        let mut given = Vec::new();
        given.extend(self.client_id.as_ref().map(|field| ("clientId", field.at)));
        given.extend(self.cloud.as_ref().map(|field| ("cloud", field.at)));
        given.extend(self.credentials());
        given.extend(self.endpoints.as_ref().map(|field| ("endpoints", field.at)));
        given
    }

    fn credentials(&self) -> Vec<(&'static str, Place)> {
        let mut given = Vec::new();
        given.extend(self.client_secret_from.as_ref().map(|field| ("clientSecretFrom", field.at)));
        given.extend(self.certificate.as_ref().map(|field| ("certificate", field.at)));
        given.extend(self.federated_token_from.as_ref().map(|field| ("federatedTokenFrom", field.at)));
        given.extend(self.managed_identity.as_ref().map(|field| ("managedIdentity", field.at)));
        given
    }

    /// Returns the secrets that it names, with their places.
    pub fn secrets(&self) -> Vec<(&Secret, Place)> {
        let mut secrets = Vec::new();
        for field in [&self.client_secret_from, &self.federated_token_from].into_iter().flatten() {
            secrets.extend(field.value.as_ref().map(|secret| (secret, field.at)));
        }
        let certificate = self.certificate.as_ref().and_then(|field| field.value.as_ref());
        secrets.extend(certificate.map(|spec| (&spec.private_key_from.value, spec.private_key_from.at)));
        secrets
    }

    /// Checks the application and returns it, its paths still relative to the document.
    pub fn check(&self, holder: Place, ledger: &mut Ledger) -> Option<GraphApplication> {
        if self.client_id.is_none() {
            ledger.report(holder, "`clientId` is missing here").rule(Rule::MissingKey);
        }
        let credentials = self.credentials();
        match credentials.as_slice() {
            [] => {
                let what = "exactly one of `clientSecretFrom`, `certificate`, `federatedTokenFrom`, `managedIdentity` is needed here, and none is given";
                ledger.report(holder, what).rule(Rule::MissingKey);
            }
            [_] => {}
            [(first_key, first), (key, second), ..] => {
                ledger
                    .report(
                        *second,
                        format!(
                            "`{key}` does not go with `{first_key}`: an application proves itself in one way"
                        ),
                    )
                    .rule(Rule::Conflict)
                    .label(*first, "the other one");
            }
        }
        if let (Some(cloud), Some(endpoints)) = (&self.cloud, &self.endpoints) {
            ledger
                .report(endpoints.at, "`endpoints` does not go with `cloud`: it stands in its place")
                .rule(Rule::Conflict)
                .label(cloud.at, "the cloud");
        }
        let spec = self.endpoints.as_ref().and_then(|field| field.value.as_ref());
        for url in spec.iter().flat_map(|spec| [&spec.login, &spec.graph]) {
            if url.value.0.scheme == "http" && !url.value.0.is_loopback {
                ledger
                    .report(url.at, "tokens go over https; http is for this machine alone")
                    .rule(Rule::NotPermitted)
                    .help("write https://");
            }
        }
        let endpoints = match (&self.endpoints, &self.cloud) {
            (Some(_), _) => {
                let spec = spec?;
                GraphEndpoints {
                    login: spec.login.value.0.written.clone(),
                    graph: spec.graph.value.0.written.clone(),
                }
            }
            (None, Some(cloud)) => cloud.value?.endpoints(),
            (None, None) => Cloud::Global.endpoints(),
        };
        let client_id = self.client_id.as_ref()?.value?.0;
        let credential = self.credential()?;
        Some(GraphApplication::Own { client_id, endpoints, credential })
    }

    fn credential(&self) -> Option<GraphCredential> {
        if let Some(secret) = &self.client_secret_from {
            return Some(GraphCredential::Secret(secret.value.as_ref()?.reference()?));
        }
        if let Some(certificate) = &self.certificate {
            let spec = certificate.value.as_ref()?;
            return Some(GraphCredential::Certificate {
                certificate_file: spec.certificate_file.value.0.clone(),
                private_key_from: spec.private_key_from.value.reference()?,
            });
        }
        if let Some(token) = &self.federated_token_from {
            return Some(GraphCredential::FederatedToken(token.value.as_ref()?.reference()?));
        }
        let identity = self.managed_identity.as_ref()?.value.as_ref()?;
        Some(GraphCredential::ManagedIdentity { client_id: identity.client_id.0 })
    }
}
