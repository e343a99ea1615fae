//! As whom a directory is read: a name and a password, or Kerberos, as written and as it applies.

use std::net::IpAddr;

use crate::policy::check_customer::{Context, check_host, check_permit, secret};
use crate::policy::document_customer::{BindSpec, KerberosSpec, LdapSpec};
use crate::policy::fleet::{Bind, KerberosService};
use crate::policy::limits::Permit;
use crate::policy::problem::Rule;
use crate::policy::read::{Given, Placed};

/// Checks as whom a server is read. `None` if that is broken, which has been reported.
pub fn bind(spec: &Placed<BindSpec>, server: &LdapSpec, context: &mut Context<'_>) -> Option<Bind> {
    match &spec.value.kerberos {
        None => password(spec, context),
        Some(kerberos) => {
            if let (None, Some(password)) = (&spec.value.dn, &spec.value.password_from) {
                context
                    .ledger
                    .report(password.at, "`passwordFrom` does not go with `kerberos`, which asks for none")
                    .rule(Rule::Conflict)
                    .label(kerberos.at, "Kerberos");
            }
            self::kerberos(kerberos, server, context).map(Bind::Kerberos)
        }
    }
}

fn password(spec: &Placed<BindSpec>, context: &mut Context<'_>) -> Option<Bind> {
    let Placed { value: spec, at } = spec;
    let Some(password) = &spec.password_from else {
        // Where `dn` is missing too, that was reported.
        if spec.dn.is_some() {
            context.ledger.report(*at, "`passwordFrom` is missing here").rule(Rule::MissingKey);
        }
        return None;
    };
    let password_from = secret(password.value.as_ref()?, password.at, context);
    let dn = spec.dn.as_ref()?.value.as_ref()?.0.to_string();
    Some(Bind::Password { dn, password_from: password_from? })
}

fn kerberos(
    given: &Given<KerberosSpec>,
    server: &LdapSpec,
    context: &mut Context<'_>,
) -> Option<KerberosService> {
    check_permit(Permit::Kerberos, given.at, context);
    let spec = given.value.as_ref()?;
    let start_tls = server.start_tls.as_ref().is_some_and(|start_tls| start_tls.value);
    let plaintext = context.limits.permit.contains(&Permit::Plaintext);
    for url in &server.urls.0 {
        let address = &url.value.0;
        // Elsewhere plain text was refused already.
        let may_be_plain = address.is_loopback || plaintext;
        if address.scheme == "ldap" && !start_tls && may_be_plain {
            context
                .ledger
                .report(url.at, "Kerberos signs in over encrypted connections alone")
                .rule(Rule::Conflict)
                .help("write ldaps://, or add `startTls: true`");
        }
        let bare = address.host.trim_start_matches('[').trim_end_matches(']');
        if spec.host.is_none() && bare.parse::<IpAddr>().is_ok() {
            context
                .ledger
                .report(url.at, "Kerberos knows servers by their names, and this is an address")
                .rule(Rule::MalformedValue)
                .help("write the server's name, or add it: `kerberos: {host: dc1.contoso.test}`");
        }
    }
    if let Some(host) = &spec.host {
        check_host(&host.value.0, host.at, context);
        if let [_, second, ..] = server.urls.0.as_slice() {
            context
                .ledger
                .report(host.at, "`host` is the name of one server, and `urls` has several")
                .rule(Rule::Conflict)
                .help("write the servers' names into `urls`, and remove `host`")
                .label(second.at, "another one");
        }
    }
    Some(KerberosService {
        host: spec.host.as_ref().map(|host| host.value.0.clone()),
        realm: spec.realm.as_ref().map(|realm| realm.value.0.clone()),
    })
}
