//! A connection to one directory server: encrypted, signed in, and ended when it is dropped.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;

use lber::structure::{PL, StructureTag};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, StdStream};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use crate::adapters::directory_object::shown;
use crate::adapters::ldap_fault::{bind_fault, code, connection_fault, refused, transient};
use crate::model::dn::Dn;
use crate::model::reading::{Fault, FaultKind};

/// How long connecting may take, encryption included: a dead server must not cost a page's time.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection may be silent before the server is asked whether it is still there, and how
/// often. Firewalls forget connections over which nothing goes while a server works on a page.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long saying goodbye may take.
const UNBIND: Duration = Duration::from_secs(1);
/// The largest file of certificates that is read, in bytes.
const MAX_CERTIFICATES: u64 = 4 << 20;

/// A connection to a server.
pub struct Connection {
    /// The server's URL, for messages.
    pub url: String,
    /// How long the server may take for an answer.
    pub patience: Duration,
    /// Whether TLS protects everything that goes over it.
    pub is_encrypted: bool,
    ldap: Ldap,
    driver: Driver,
}

/// What moves bytes between the socket and the operations.
///
/// It is no task of its own: entries that are parsed by one thread and taken by another cost a
/// wake-up each and twice the time for their memory. ldap3 panics in it on messages that it does
/// not expect.
enum Driver {
    Running(Pin<Box<dyn Future<Output = String> + Send>>),
    /// The connection is no more, for this reason.
    Ended(String),
}

/// What a server says of itself.
#[derive(Debug, Default)]
pub struct RootDse {
    /// The naming context of the server's domain, which only Active Directory names.
    pub default_naming_context: Option<Dn>,
    /// All naming contexts.
    pub naming_contexts: Vec<Dn>,
    /// The controls that the server understands.
    pub controls: Vec<String>,
    /// The name of the server's own settings, which only Active Directory tells: which domain
    /// controller this is, whatever it is reached by.
    pub service: Option<String>,
    /// Who made the server. Active Directory does not say.
    pub vendor: String,
}

impl Connection {
    /// Connects to a server and encrypts, where `tls` is given and the URL or `start_tls` says so.
    ///
    /// # Errors
    /// A fault that says whether the server cannot be reached or whether its certificate is wrong.
    pub async fn open(
        url: &str,
        start_tls: bool,
        tls: Option<Arc<ClientConfig>>,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let url_shown = shown(url);
        let parsed =
            Url::parse(url).map_err(|error| refused(format!("{url_shown}: not an LDAP URL: {error}")))?;
        if !matches!(parsed.scheme(), "ldap" | "ldaps") || parsed.host_str().is_none_or(str::is_empty) {
            return Err(refused(format!("{url_shown}: not an LDAP URL"))
                .hint("write ldaps://host, or ldap://host with startTls"));
        }
        let stream = connect(&parsed, patience.min(CONNECT))
            .await
            .map_err(|error| connection_fault(&url_shown, &error))?;
        let mut settings = LdapConnSettings::new()
            .set_std_stream(StdStream::Tcp(stream))
            .set_conn_timeout(patience.min(CONNECT))
            .set_starttls(start_tls);
        if let Some(config) = tls {
            settings = settings.set_config(config);
        }
        let (connection, ldap) = LdapConnAsync::from_url_with_settings(settings, &parsed)
            .await
            .map_err(|error| connection_fault(&url_shown, &error))?;
        let driven = AssertUnwindSafe(connection.drive()).catch_unwind();
        let driver = driven.map(|end| match end {
            Ok(Ok(())) => "the server closed the connection".to_owned(),
            Ok(Err(error)) => connection_fault("", &error).what.trim_start_matches(": ").to_owned(),
            Err(_) => "the server sent something that breaks the protocol".to_owned(),
        });
        let is_encrypted = start_tls || parsed.scheme() == "ldaps";
        Ok(Self { url: url_shown, patience, is_encrypted, ldap, driver: Driver::Running(Box::pin(driver)) })
    }

    /// Returns a handle for an operation. What it starts goes on while [`Self::run`] waits.
    pub fn handle(&self) -> Ldap {
        self.ldap.clone()
    }

    /// Waits for an operation while the connection moves its bytes, for as long as the server may
    /// take.
    ///
    /// # Errors
    /// [`LdapError::Timeout`] after that.
    pub async fn run<T>(&mut self, operation: impl Future<Output = T>) -> Result<T, LdapError> {
        let mut operation = pin!(operation);
        let driven = poll_fn(|context| {
            if let Driver::Running(driver) = &mut self.driver
                && let Poll::Ready(why) = driver.as_mut().poll(context)
            {
                self.driver = Driver::Ended(why);
            }
            operation.as_mut().poll(context)
        });
        Ok(timeout(self.patience, driven).await?)
    }

    /// Says why the connection ended.
    pub fn cause(&self) -> &str {
        match &self.driver {
            Driver::Running(_) => "the connection ended",
            Driver::Ended(why) => why,
        }
    }

    /// Signs in with a name and a password.
    ///
    /// # Errors
    /// An unauthorised fault that says why, as far as the server does. An empty password is refused
    /// here: a server takes it for an anonymous visitor, and shows less instead of complaining.
    pub async fn bind(&mut self, dn: &str, password: Option<&SecretString>) -> Result<(), Fault> {
        let url = self.url.clone();
        let password = password.map(SecretString::expose_secret).unwrap_or_default();
        if password.is_empty() || dn.trim().is_empty() {
            let what = format!("{url}: the password of `{}` is empty", shown(dn));
            return Err(Fault::new(FaultKind::Unauthorised, what).hint("look at bind.passwordFrom"));
        }
        let mut ldap = self.handle();
        match self.run(ldap.simple_bind(dn, password)).await {
            Ok(Ok(result)) if result.rc == code::SUCCESS => Ok(()),
            Ok(Ok(result)) => Err(bind_fault(&url, dn, &result)),
            Ok(Err(error)) => Err(connection_fault(&url, &error)),
            Err(_) => Err(transient(format!("{url}: no answer to the sign-in in time"))),
        }
    }

    /// Reads what the server says of itself. A server that says nothing is no error.
    pub async fn root_dse(&mut self) -> Result<RootDse, Fault> {
        let url = self.url.clone();
        let attributes =
            vec!["defaultNamingContext", "namingContexts", "supportedControl", "dsServiceName", "vendorName"];
        let mut ldap = self.handle();
        let search = ldap.search("", Scope::Base, "(objectClass=*)", attributes);
        let entries = match self.run(search).await {
            Ok(Ok(found)) => found.0,
            Ok(Err(error)) => return Err(connection_fault(&url, &error)),
            Err(_) => return Err(transient(format!("{url}: no answer in time"))),
        };
        let mut root = RootDse::default();
        for entry in &entries {
            let Some((_, attributes)) = entry_parts(&entry.0) else {
                continue;
            };
            for (name, values) in attributes {
                let mut texts = values.filter_map(|value| std::str::from_utf8(value).ok());
                if name.eq_ignore_ascii_case(b"defaultNamingContext") {
                    root.default_naming_context = texts.filter_map(|text| Dn::parse(text).ok()).next();
                } else if name.eq_ignore_ascii_case(b"namingContexts") {
                    root.naming_contexts = texts.filter_map(|text| Dn::parse(text).ok()).collect();
                } else if name.eq_ignore_ascii_case(b"supportedControl") {
                    root.controls = texts.map(str::to_owned).collect();
                } else if name.eq_ignore_ascii_case(b"dsServiceName") {
                    root.service = texts.map(str::to_owned).next();
                } else if name.eq_ignore_ascii_case(b"vendorName") {
                    root.vendor = texts.next().unwrap_or_default().to_owned();
                }
            }
        }
        Ok(root)
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        let mut ldap = self.handle();
        self.patience = UNBIND;
        // A server that does not take the farewell is left without.
        let _ = self.run(ldap.unbind()).await;
    }
}

impl RootDse {
    /// Whether the server understands a control. Sending a critical one that it does not know makes
    /// some servers answer in a way that no client expects.
    pub fn supports(&self, control: &str) -> bool {
        self.controls.iter().any(|known| known == control)
    }

    /// Returns the naming context that a name lies in: the server's domain, else the nearest one it
    /// names, else what the name's own `DC` components spell.
    pub fn naming_context_of(&self, base: &Dn) -> Dn {
        let nearest = self
            .default_naming_context
            .iter()
            .chain(&self.naming_contexts)
            .filter(|context| base.is_under(context))
            .max_by_key(|context| context.key().len());
        if let Some(context) = nearest {
            return context.clone();
        }
        let mut domain = base.clone();
        while !domain.rdn_key().starts_with("dc=") {
            match domain.split_parent() {
                Some((_, parent)) => domain = parent,
                None => return base.clone(),
            }
        }
        domain
    }

    /// Returns the name below which to read where nobody said: the server's domain, or the only
    /// naming context.
    pub fn default_base(&self) -> Option<Dn> {
        match (&self.default_naming_context, self.naming_contexts.as_slice()) {
            (Some(context), _) => Some(context.clone()),
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
        }
    }
}

/// Connects to the host and port of a URL, with keep-alive, which ldap3 has no setting for.
async fn connect(url: &Url, patience: Duration) -> Result<std::net::TcpStream, LdapError> {
    let port = url.port().unwrap_or(if url.scheme() == "ldaps" { 636 } else { 389 });
    let address = format!("{}:{port}", url.host_str().unwrap_or_default());
    let stream = timeout(patience, TcpStream::connect(address)).await??;
    let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
    SockRef::from(&stream).set_tcp_keepalive(&keep_alive)?;
    Ok(stream.into_std()?)
}

/// An attribute as the protocol carries it: its description, and its values.
type RawAttribute<'a, V> = (&'a [u8], V);

/// Takes a search result entry apart (RFC 4511, 4.5.2): its name, and its attributes. `None` for
/// what is no entry.
pub fn entry_parts(
    tag: &StructureTag,
) -> Option<(&[u8], impl Iterator<Item = RawAttribute<'_, impl Iterator<Item = &[u8]>>>)> {
    let PL::C(parts) = &tag.payload else {
        return None;
    };
    let [name, attributes] = parts.as_slice() else {
        return None;
    };
    let PL::C(attributes) = &attributes.payload else {
        return None;
    };
    let attributes = attributes.iter().filter_map(|attribute| {
        let PL::C(parts) = &attribute.payload else {
            return None;
        };
        let [description, values] = parts.as_slice() else {
            return None;
        };
        let PL::C(values) = &values.payload else {
            return None;
        };
        Some((octets(description)?, values.iter().filter_map(octets)))
    });
    Some((octets(name)?, attributes))
}

fn octets(tag: &StructureTag) -> Option<&[u8]> {
    match &tag.payload {
        PL::P(octets) => Some(octets),
        PL::C(_) => None,
    }
}

/// Makes the settings for encryption: the authorities in a file, or the system's. Blocks.
///
/// ldap3's own default is not used: if one file of the system's store cannot be read, it trusts nobody.
///
/// # Errors
/// A fault if the file cannot be read, or holds no certificate.
pub fn tls_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, Fault> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(format!("encryption cannot be set up: {error}")))?;
    let config = match ca_file {
        Some(path) => builder.with_root_certificates(roots(path)?),
        None => builder.with_platform_verifier().map_err(|error| {
            refused(format!("the system's certificate authorities cannot be read: {error}"))
                .hint("install ca-certificates, or name an authority with caFile")
        })?,
    };
    Ok(Arc::new(config.with_no_client_auth()))
}

fn roots(path: &Path) -> Result<RootCertStore, Fault> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let name = shown(&name);
    let unreadable = |error: std::io::Error| refused(format!("caFile {name} cannot be read: {error}"));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > MAX_CERTIFICATES {
        return Err(refused(format!("caFile {name} is no file of certificates")));
    }
    let octets = std::fs::read(path).map_err(unreadable)?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&octets) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| store.add(certificate).map_err(|error| error.to_string()));
        if let Err(error) = added {
            return Err(refused(format!("caFile {name} holds a broken certificate: {error}")));
        }
    }
    if store.is_empty() {
        return Err(refused(format!("caFile {name} holds no certificate"))
            .hint("it must be PEM: -----BEGIN CERTIFICATE-----"));
    }
    Ok(store)
}
