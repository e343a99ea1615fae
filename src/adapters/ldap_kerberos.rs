//! Signs in to a directory server by Kerberos, as whoever the machine's own credentials are for.

use url::Url;

use crate::adapters::ldap_connection::Connection;
use crate::model::reading::Fault;
use crate::policy::fleet::KerberosService;

#[cfg(feature = "kerberos")]
pub use with_kerberos::sign_in;

/// Returns the name by which Kerberos knows the server behind a URL, without the `ldap/` before it.
pub fn service_host(url: &str, service: &KerberosService) -> String {
    let of_url = || Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let host = service.host.as_ref().map(ToString::to_string).or_else(of_url).unwrap_or_default();
    match &service.realm {
        Some(realm) => format!("{host}@{realm}"),
        None => host,
    }
}

/// Says that this build leaves Kerberos out.
///
/// # Errors
/// Always.
#[cfg(not(feature = "kerberos"))]
pub async fn sign_in(_connection: Connection, _host: String) -> Result<Connection, Fault> {
    use crate::model::reading::FaultKind;

    // No other server can help: as if nobody had a credential.
    Err(Fault::new(FaultKind::Unauthorised, "this build of Intake cannot speak Kerberos").hint(
        "build it with `--features kerberos` (README, Install), or let bind name an account and its password",
    ))
}

#[cfg(feature = "kerberos")]
mod with_kerberos {
    use ldap3::LdapError;
    use tokio::runtime::Handle;
    use tokio::task::spawn_blocking;
    use tokio::time::timeout;

    use super::{Connection, Fault};
    use crate::adapters::ldap_fault::{code, connection_fault, refused, transient};
    use crate::adapters::ldap_kerberos_fault::{kerberos_fault, refusal_fault};

    /// Signs in over an encrypted connection. `host` is the server as [`super::service_host`] names
    /// it.
    ///
    /// The Kerberos library waits for files and for key distribution centres without giving its thread
    /// back, and nothing can stop it. So the connection moves to a thread that nobody else needs, and
    /// is given up with it when the server's time is over.
    ///
    /// # Errors
    /// A fault that says what Kerberos lacks, or why the server refused.
    pub async fn sign_in(mut connection: Connection, host: String) -> Result<Connection, Fault> {
        let url = connection.url.clone();
        // In the clear, ldap3 would encrypt by Kerberos itself, and then lose whatever follows in a
        // package that arrives together with the next one: entries would be missing unnoticed.
        if !connection.is_encrypted {
            return Err(refused(format!("{url}: Kerberos signs in over encrypted connections alone"))
                .hint("use an ldaps:// URL, or startTls: true"));
        }
        let patience = connection.patience;
        let runtime = Handle::current();
        let service = host.clone();
        let work = spawn_blocking(move || {
            runtime.block_on(async move {
                let mut ldap = connection.handle();
                let outcome = connection.run(ldap.sasl_gssapi_bind(&service)).await;
                (connection, outcome)
            })
        });
        let late = || transient(format!("{url}: no answer to the Kerberos sign-in in time"));
        let Ok(finished) = timeout(patience, work).await else { return Err(late()) };
        let Ok((connection, outcome)) = finished else {
            return Err(transient(format!("{url}: the server sent something that breaks the protocol")));
        };
        match outcome {
            Ok(Ok(result)) if result.rc == code::SUCCESS => Ok(connection),
            Ok(Ok(result)) => Err(refusal_fault(&url, &host, &result)),
            Ok(Err(LdapError::GssapiOperationError(said))) => Err(kerberos_fault(&url, &host, &said)),
            Ok(Err(error)) => Err(connection_fault(&url, &error)),
            Err(_) => Err(late()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_by_its_url_unless_the_document_says_otherwise() {
        let service = |host: Option<&str>, realm: Option<&str>| KerberosService {
            host: host.map(Into::into),
            realm: realm.map(Into::into),
        };
        let url = "ldaps://dc1.contoso.test:1636";
        assert_eq!(service_host(url, &service(None, None)), "dc1.contoso.test");
        assert_eq!(service_host(url, &service(None, Some("CONTOSO.TEST"))), "dc1.contoso.test@CONTOSO.TEST");
        assert_eq!(
            service_host("ldaps://192.0.2.1", &service(Some("dc2.contoso.test"), None)),
            "dc2.contoso.test"
        );
    }
}
