//! One customer: its fields as written become its sources, or problems.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::model::contact::Product;
use crate::model::duration::Seconds;
use crate::model::text::{Text, fold};
use crate::policy::check_bind::bind;
use crate::policy::check_import::exclusions;
use crate::policy::document_customer::{CustomerSpec, DirectorySpec, DocumentationSpec, LdapSpec};
use crate::policy::document_part::Secret;
use crate::policy::document_tenant::{GraphSpec, RefreshWord, TenantSpec};
use crate::policy::fleet::{
    ChosenMatch, Customer, DirectoryLocation, DirectorySource, Documentation, Exclusion, GraphApplication,
    GraphCredential, GraphLocation, LdapLocation, SecretRef, TenantSource,
};
use crate::policy::limits::{ConnectionKind, Limits, Permit};
use crate::policy::problem::Rule;
use crate::policy::read::{Placed, Value, suggest};
use crate::policy::source::{Ledger, Place};
use crate::policy::value::{Domain, RelativePath};
use crate::policy::yaml::Scalar;

/// What a customer's check needs besides the customer.
pub struct Context<'a> {
    /// The customer's name.
    pub name: &'a Text,
    /// The folder of its document, relative to the tree.
    pub folder: PathBuf,
    /// The operator's limits.
    pub limits: &'a Limits,
    /// What is wrong.
    pub ledger: &'a mut Ledger,
}

/// A customer, and where its sources are written.
pub struct Built {
    /// The customer, without imports and options.
    pub customer: Customer,
    /// Its own exclusions, which every import of it gets.
    pub exclude: Vec<Exclusion>,
    /// What it reads, to be compared with what others read.
    pub claims: Vec<Claim>,
}

/// A source that a customer reads.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Where it is written.
    pub at: Place,
    /// What is read; equal keys mean that one source is read twice.
    pub keys: Vec<String>,
    /// For a server: the base DN's key, `None` for the server's own default.
    pub base: Option<Option<String>>,
    /// The other customers that may read it too.
    pub shared_with: Vec<Placed<Text>>,
}

/// Checks a customer's document.
pub fn customer(spec: &CustomerSpec, holder: Place, context: &mut Context<'_>) -> Built {
    let mut claims = Vec::new();
    let mut directories = Vec::new();
    let mut names: BTreeMap<Text, Place> = BTreeMap::new();
    for directory in spec.directories.iter().flatten() {
        let (name, at) = directory
            .value
            .name
            .as_ref()
            .map_or((Text::from("main"), directory.at), |name| (name.value.0.clone(), name.at));
        if let Some(first) = names.get(&name) {
            context
                .ledger
                .report(at, format!("two directories of one customer are called `{name}`"))
                .rule(Rule::Duplicate)
                .help("give each its own `name`")
                .label(*first, "the other one");
        } else {
            names.insert(name.clone(), at);
        }
        if let Some((location, claim)) = self::directory(&directory.value, context) {
            directories.push(DirectorySource { name, location });
            claims.push(claim);
        }
    }
    let tenant = spec.tenant.as_ref().and_then(|tenant| self::tenant(&tenant.value, context));
    let tenant = tenant.map(|(tenant, claim)| {
        claims.push(claim);
        tenant
    });
    // One that is documented somewhere was imported from there, and waits for its sources: it is not ready.
    let is_documented = spec.documentation.as_ref().is_some_and(|places| !places.is_empty());
    let has_source = spec.directories.as_ref().is_some_and(|list| !list.is_empty()) || spec.tenant.is_some();
    if !has_source && !is_documented {
        context
            .ledger
            .report(holder, "a customer needs `directories`, a `tenant`, or both")
            .rule(Rule::MissingKey)
            .help(
                "without a source nobody can be imported; only one that has `documentation` may wait for its",
            );
    }
    let documentation = documentation(spec.documentation.as_deref().unwrap_or_default(), context);
    let upn_suffixes = upn_suffixes(spec, context);
    let matches = matches(spec, context);
    let customer = Customer {
        name: context.name.clone(),
        display_name: spec.display_name.clone().unwrap_or_else(|| context.name.to_string()),
        suspend: spec.suspend.unwrap_or(false),
        directories,
        tenant,
        documentation,
        upn_suffixes,
        matches,
        approve: spec.approve.iter().flatten().map(|digest| digest.0).collect(),
        protect: spec.protect.iter().flatten().map(|account| account.0.clone()).collect(),
        ..Customer::named(context.name.clone())
    };
    Built { customer, exclude: exclusions(spec.exclude.as_deref()), claims }
}

fn directory(spec: &DirectorySpec, context: &mut Context<'_>) -> Option<(DirectoryLocation, Claim)> {
    let shared_with = shared_with(spec.shared_with.as_deref());
    // Both are looked at where both are given, so that everything wrong is told at once.
    let ldap = spec.ldap.as_ref().map(|ldap| (ldap, self::ldap(&ldap.value, context)));
    if let Some(file) = &spec.ldif {
        let path = tree_path(&file.file, context)?;
        let claim = Claim {
            at: file.file.at,
            keys: vec![format!("the file {}", path.display())],
            base: None,
            shared_with,
        };
        return Some((DirectoryLocation::Ldif(path), claim));
    }
    let (ldap, location) = ldap?;
    let location = location?;
    let keys = ldap.value.urls.0.iter().map(|url| {
        // One server answers on both ports.
        let port = match url.value.0.port {
            389 | 636 => String::new(),
            port => format!(":{port}"),
        };
        format!("the directory server {}{port}", url.value.0.host)
    });
    let claim = Claim {
        at: ldap.value.urls.0.first()?.at,
        keys: keys.collect(),
        base: Some(location.base_dn.as_ref().map(|base| base.key().to_owned())),
        shared_with,
    };
    Some((DirectoryLocation::Ldap(location), claim))
}

fn ldap(spec: &LdapSpec, context: &mut Context<'_>) -> Option<LdapLocation> {
    let start_tls = spec.start_tls.as_ref().is_some_and(|start_tls| start_tls.value);
    let plaintext = context.limits.permit.contains(&Permit::Plaintext);
    for url in &spec.urls.0 {
        let address = &url.value.0;
        check_host(&address.host, url.at, context);
        if address.scheme == "ldap" && !address.is_loopback && !start_tls && !plaintext {
            context
                .ledger
                .report(url.at, "this directory would be read, and its password sent, in plain text")
                .rule(Rule::NotPermitted)
                .help("write ldaps://, or add `startTls: true`; the operator may permit `plaintext`");
        }
    }
    if start_tls
        && spec.urls.0.iter().all(|url| url.value.0.scheme == "ldaps")
        && let Some(start_tls) = &spec.start_tls
    {
        context
            .ledger
            .report(start_tls.at, "`startTls` is for ldap:// addresses, and there is none")
            .rule(Rule::Conflict)
            .help("remove it: ldaps:// is encrypted from the start");
    }
    let timeout = match &spec.timeout {
        Some(timeout) if timeout.value.0 == Seconds(0) => {
            context.ledger.report(timeout.at, "`timeout` must be 1s at least").rule(Rule::MalformedValue);
            Seconds(30)
        }
        Some(timeout) => timeout.value.0,
        None => Seconds(30),
    };
    let ca_file = spec.ca_file.as_ref().map(|path| tree_path(path, context));
    let bind = spec.bind.as_ref().map(|bind| self::bind(bind, spec, context));
    let ca_file = match ca_file {
        Some(path) => Some(path?),
        None => None,
    };
    let bind = match bind {
        Some(bind) => Some(bind?),
        None => None,
    };
    Some(LdapLocation {
        urls: spec.urls.0.iter().map(|url| url.value.0.written.clone()).collect(),
        start_tls,
        ca_file,
        base_dn: spec.base_dn.as_ref().map(|base| base.0.clone()),
        bind,
        page_size: spec.page_size.map_or(1_000, |size| size.0),
        timeout,
    })
}

fn tenant(spec: &TenantSpec, context: &mut Context<'_>) -> Option<(TenantSource, Claim)> {
    let shared_with = shared_with(spec.shared_with.as_deref());
    let graph = spec.graph.as_ref().map(|graph| (graph, application(&graph.value, graph.at, context)));
    if let Some(file) = &spec.snapshot {
        let path = tree_path(&file.file, context)?;
        let keys = vec![format!("the file {}", path.display())];
        return Some((
            TenantSource::Snapshot(path),
            Claim { at: file.file.at, keys, base: None, shared_with },
        ));
    }
    let (graph, application) = graph?;
    let tenant_id = graph.value.tenant_id.value.0.clone();
    let claim = Claim {
        at: graph.value.tenant_id.at,
        keys: vec![format!("the tenant {tenant_id}")],
        base: None,
        shared_with,
    };
    let refresh = graph.value.refresh.map(RefreshWord::refresh).unwrap_or_default();
    Some((TenantSource::Graph(GraphLocation { tenant_id, application: application?, refresh }), claim))
}

fn application(spec: &GraphSpec, holder: Place, context: &mut Context<'_>) -> Option<GraphApplication> {
    let own = &spec.application;
    if let Some(connection) = &spec.connection {
        for (key, at) in own.given() {
            context
                .ledger
                .report(at, format!("`{key}` does not go with `connection`, which is an application already"))
                .rule(Rule::Conflict)
                .label(connection.at, "the connection");
        }
        let name = &connection.value.0;
        if context.limits.connections.get(name) != Some(&ConnectionKind::Graph) {
            let known = context.limits.connections.keys().map(Text::as_str);
            let help = suggest(name, known).unwrap_or_else(|| {
                "connections are in the operator's file (`--config`), which has none".to_owned()
            });
            context
                .ledger
                .report(connection.at, format!("there is no connection `{name}`"))
                .rule(Rule::UnknownReference)
                .help(help);
        }
        return Some(GraphApplication::Connection(name.clone()));
    }
    if own.given().is_empty() {
        context
            .ledger
            .report(holder, "exactly one of `connection` and `clientId` is needed here, and none is given")
            .rule(Rule::MissingKey);
        return None;
    }
    let permits = [
        (own.endpoints.as_ref().map(|field| field.at), Permit::Endpoints),
        (own.managed_identity.as_ref().map(|field| field.at), Permit::ManagedIdentity),
    ];
    for (at, permit) in permits {
        if let Some(at) = at {
            check_permit(permit, at, context);
        }
    }
    if let Some(endpoints) = own.endpoints.as_ref().and_then(|field| field.value.as_ref()) {
        for url in [&endpoints.login, &endpoints.graph] {
            check_host(&url.value.0.host, url.at, context);
        }
        // The machine's identity is the operator's, and its token would be sent there.
        if let Some(identity) = &own.managed_identity
            && !endpoints.login.value.0.is_loopback
        {
            context
                .ledger
                .report(identity.at, "`managedIdentity` does not go with `endpoints` of a tree's own")
                .rule(Rule::Conflict)
                .help("name the cloud, or use a connection of the operator's")
                .label(endpoints.login.at, "where the machine's token would be sent");
        }
    }
    for (reference, at) in own.secrets() {
        // The reference itself comes from `check`; here only whether it is allowed matters.
        let _ = secret(reference, at, context);
    }
    let application = own.check(holder, context.ledger)?;
    let certificate = own.certificate.as_ref().and_then(|field| field.value.as_ref());
    match (application, certificate) {
        (
            GraphApplication::Own {
                client_id,
                endpoints,
                credential: GraphCredential::Certificate { private_key_from, .. },
            },
            Some(spec),
        ) => {
            let certificate_file = tree_path(&spec.certificate_file, context)?;
            let credential = GraphCredential::Certificate { certificate_file, private_key_from };
            Some(GraphApplication::Own { client_id, endpoints, credential })
        }
        (application, _) => Some(application),
    }
}

/// Reports unless the operator permits it.
pub fn check_permit(permit: Permit, at: Place, context: &mut Context<'_>) {
    if !context.limits.permit.contains(&permit) {
        let code = permit.code();
        context
            .ledger
            .report(at, format!("the operator does not permit `{code}`"))
            .rule(Rule::NotPermitted)
            .help(format!("in the operator's file (`--config`): permit: [{code}]"));
    }
}

/// Reports unless the operator lets a tree name the host.
pub fn check_host(host: &str, at: Place, context: &mut Context<'_>) {
    if !context.limits.allows_host(host) {
        let help = format!("allowed are: {}", context.limits.hosts.join(", "));
        context
            .ledger
            .report(at, format!("the operator does not let a tree name the host `{host}`"))
            .rule(Rule::NotPermitted)
            .help(help);
    }
}

/// Checks a secret's reference against what the operator lets this customer name.
pub fn secret(reference: &Secret, at: Place, context: &mut Context<'_>) -> Option<SecretRef> {
    let reference = reference.reference()?;
    if !context.limits.allows_secret(context.name, &reference) {
        let shown = match &reference {
            SecretRef::Env(name) => format!("env {name}"),
            SecretRef::File(path) => format!("file {}", path.display()),
        };
        let help =
            format!("allowed for `{}` are: {}", context.name, context.limits.allowed_secrets(context.name));
        context
            .ledger
            .report(at, format!("the operator does not let `{}` name the secret {shown}", context.name))
            .rule(Rule::NotPermitted)
            .help(help);
    }
    Some(reference)
}

/// Joins a path of a document with the document's folder; it must stay inside the tree.
fn tree_path(path: &Placed<RelativePath>, context: &mut Context<'_>) -> Option<PathBuf> {
    match join(&context.folder, &path.value.0) {
        Some(joined) => Some(joined),
        None => {
            context
                .ledger
                .report(path.at, "this path leaves the tree")
                .rule(Rule::MalformedValue)
                .help("paths are relative to this file, and stay inside the tree");
            None
        }
    }
}

/// Joins a relative path with a folder of the tree. `None` if it leaves the tree or names nothing.
pub fn join(folder: &Path, path: &Path) -> Option<PathBuf> {
    let mut joined = folder.to_owned();
    for part in path.components() {
        match part {
            Component::Normal(name) => joined.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !joined.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!joined.as_os_str().is_empty()).then_some(joined)
}

fn shared_with(names: Option<&[Placed<crate::policy::value::Name>]>) -> Vec<Placed<Text>> {
    names.into_iter().flatten().map(|name| Placed { value: name.value.0.clone(), at: name.at }).collect()
}

fn documentation(specs: &[Placed<DocumentationSpec>], context: &mut Context<'_>) -> Vec<Documentation> {
    let mut documentation: Vec<Documentation> = Vec::new();
    let mut places: BTreeMap<Text, Place> = BTreeMap::new();
    for Placed { value: spec, .. } in specs {
        let connection = spec.connection.value.0.clone();
        let at = spec.connection.at;
        if let Some(first) = places.insert(connection.clone(), at) {
            context
                .ledger
                .report(at, format!("the connection `{connection}` is here twice"))
                .rule(Rule::Duplicate)
                .label(first, "first here");
        }
        let Some(product) = product_of(&connection, at, context) else { continue };
        let wants_organization = product == Product::ItGlue;
        if wants_organization != spec.organization_id.is_some() {
            let key = if wants_organization { "organizationId" } else { "companyId" };
            let what = format!("`{connection}` leads to {}, which takes `{key}`", product.name());
            context.ledger.report(at, what).rule(Rule::Conflict);
        }
        match (&spec.asset_layout_id, product) {
            (None, Product::Hudu) => {
                context
                    .ledger
                    .report(at, "`assetLayoutId` is missing here")
                    .rule(Rule::MissingKey)
                    .help("people are assets in Hudu: write the id of the asset layout that they have there");
            }
            (Some(layout), Product::ItGlue | Product::ConnectWise) => {
                let what =
                    format!("`assetLayoutId` is for Hudu, and `{connection}` leads to {}", product.name());
                context.ledger.report(layout.at, what).rule(Rule::Conflict);
            }
            _ => {}
        }
        let organization = match (&spec.organization_id, &spec.company_id) {
            (Some(id), None) => id.0.clone(),
            (None, Some(id)) => Text::from(id.0.to_string()),
            _ => continue,
        };
        let asset_layout = spec.asset_layout_id.as_ref().map(|layout| u64::from(layout.value.0));
        documentation.push(Documentation { connection, organization, asset_layout });
    }
    documentation
}

/// Returns which product a connection leads to; reports one that leads to none.
fn product_of(connection: &Text, at: Place, context: &mut Context<'_>) -> Option<Product> {
    match context.limits.connections.get(connection) {
        Some(ConnectionKind::Documentation(product)) => Some(*product),
        Some(ConnectionKind::Graph) => {
            let what =
                format!("the connection `{connection}` leads to a tenant, and not to a documentation system");
            context.ledger.report(at, what);
            None
        }
        None => {
            let is_documentation = |(name, kind): (&'_ Text, &ConnectionKind)| {
                (*kind != ConnectionKind::Graph).then(|| name.clone())
            };
            let known: Vec<Text> = context.limits.connections.iter().filter_map(is_documentation).collect();
            let help = suggest(connection, known.iter().map(Text::as_str));
            let what = format!("the operator's file has no connection `{connection}`");
            context.ledger.report(at, what).rule(Rule::UnknownReference).maybe_help(help);
            None
        }
    }
}

fn upn_suffixes(spec: &CustomerSpec, context: &mut Context<'_>) -> BTreeMap<Text, Text> {
    let mut suffixes: BTreeMap<Text, Text> = BTreeMap::new();
    for (from, to) in spec.upn_suffixes.iter().flat_map(|map| &map.0) {
        match Domain::from_scalar(&Scalar { text: from.value.clone(), plain: false }) {
            Ok(from_suffix) => {
                if suffixes.insert(from_suffix.0, to.0.clone()).is_some() {
                    context
                        .ledger
                        .report(from.at, "this suffix is here twice, as case does not count")
                        .rule(Rule::Duplicate);
                }
            }
            Err(wrong) => {
                context.ledger.report(from.at, wrong.what).rule(Rule::MalformedValue).maybe_help(wrong.help);
            }
        }
    }
    suffixes
}

fn matches(spec: &CustomerSpec, context: &mut Context<'_>) -> Vec<ChosenMatch> {
    let systems: Vec<&str> = std::iter::once("tenant")
        .chain(spec.documentation.iter().flatten().map(|entry| entry.value.connection.value.0.as_str()))
        .collect();
    let mut chosen: Vec<ChosenMatch> = Vec::new();
    for entry in spec.matches.iter().flatten() {
        let system = &entry.system.value.0;
        if !systems.contains(&system.as_str()) {
            let help = suggest(system, systems.iter().copied());
            context
                .ledger
                .report(entry.system.at, format!("this customer has no system `{system}`"))
                .rule(Rule::UnknownReference)
                .maybe_help(help);
        }
        let id = &entry.id.value.0;
        if system == "tenant" && id.parse::<crate::model::guid::Guid>().is_err() {
            context
                .ledger
                .report(entry.id.at, "malformed GUID: the id of a tenant user is one")
                .rule(Rule::MalformedValue)
                .help("write 8-4-4-4-12 hex digits, as in `00000000-0000-0000-0000-000000000000`");
        }
        chosen.push(ChosenMatch {
            account: entry.account.0.clone(),
            system: system.clone(),
            id: if system == "tenant" { Text::from(fold(id).as_ref()) } else { id.clone() },
        });
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_inside_the_tree() {
        let join = |folder: &str, path: &str| join(Path::new(folder), Path::new(path));
        assert_eq!(join("customers", "ca.pem"), Some(PathBuf::from("customers/ca.pem")));
        assert_eq!(join("customers", "../shared/ca.pem"), Some(PathBuf::from("shared/ca.pem")));
        assert_eq!(join("", "./a.ldif"), Some(PathBuf::from("a.ldif")));
        assert_eq!(join("customers", "../../etc/passwd"), None);
        assert_eq!(join("", ".."), None);
        assert_eq!(join("customers", "/etc/passwd"), None);
        assert_eq!(join("customers", ".."), None, "the tree itself is no file");
    }
}
