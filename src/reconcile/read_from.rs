//! Tells which sources a customer's readings are made of, and whether kept ones answer for a customer as
//! another tree describes it.

use std::collections::BTreeSet;

use crate::model::digest::{Digest, Digester};
use crate::model::read_from::{GroupsRead, ReadFrom};
use crate::model::text::{Text, fold};
use crate::policy::fleet::{
    Bind, Customer, DirectoryLocation, DirectorySource, GraphApplication, GraphLocation, Imports, Selection,
    TenantSource,
};

/// Returns what readings of a customer are made of. How a source is read (page sizes, time-outs, where a
/// secret is kept) is not part of it, but who reads it is: another reader may see others.
pub fn read_from(customer: &Customer) -> ReadFrom {
    ReadFrom {
        directories: customer
            .directories
            .iter()
            .map(|source| (source.name.clone(), directory(source)))
            .collect(),
        tenant: customer.tenant.as_ref().map(tenant),
        groups: match &customer.tenant {
            Some(TenantSource::Graph(_)) => GroupsRead::Named(groups(customer)),
            Some(TenantSource::Snapshot(_)) | None => GroupsRead::All,
        },
    }
}

/// Returns nothing if readings that were made of `kept` answer for a customer, else a sentence that says
/// why they do not. A source that the customer has no more is none that they would have to answer for.
pub fn difference(kept: Option<&ReadFrom>, customer: &Customer) -> Option<String> {
    let Some(kept) = kept else {
        return Some("the readings that were kept do not say of which sources they were made".to_owned());
    };
    let wanted = read_from(customer);
    for (name, digest) in &wanted.directories {
        match kept.directories.get(name) {
            Some(known) if known == digest => {}
            Some(_) => {
                return Some(format!("the directory `{name}` is another one than the one that was read"));
            }
            None => return Some(format!("the directory `{name}` was never read")),
        }
    }
    match (wanted.tenant, kept.tenant) {
        (Some(wanted), Some(known)) if wanted == known => {}
        (Some(_), Some(_)) => return Some("the tenant is another one than the one that was read".to_owned()),
        (Some(_), None) => return Some("the tenant was never read".to_owned()),
        (None, _) => {}
    }
    match (&wanted.groups, &kept.groups) {
        (GroupsRead::Named(wanted), GroupsRead::Named(known)) => {
            let unread = wanted.difference(known).next()?;
            Some(format!("the group `{unread}` of the tenant was never read"))
        }
        // Of the same tenant, so both are files, or there is none.
        (GroupsRead::All, _) | (_, GroupsRead::All) => None,
    }
}

fn directory(source: &DirectorySource) -> Digest {
    let mut digester = Digester::new("directory source");
    match &source.location {
        DirectoryLocation::Ldap(ldap) => {
            digester.field("ldap").field((ldap.urls.len() as u64).to_be_bytes());
            for url in &ldap.urls {
                digester.field(fold(url).as_bytes());
            }
            digester.optional(ldap.base_dn.as_ref().map(|base| fold(base.as_str()).into_owned()));
            match &ldap.bind {
                None => digester.field("anonymous"),
                Some(Bind::Password { dn, .. }) => digester.field("password").field(fold(dn).as_bytes()),
                Some(Bind::Kerberos(service)) => {
                    let host = service.host.as_ref().map(|host| fold(host).into_owned());
                    digester.field("kerberos").optional(host).optional(service.realm.as_deref())
                }
            };
        }
        DirectoryLocation::Ldif(path) => {
            digester.field("ldif").field(path.to_string_lossy().as_bytes());
        }
    }
    digester.finish()
}

fn tenant(source: &TenantSource) -> Digest {
    let mut digester = Digester::new("tenant source");
    match source {
        TenantSource::Graph(GraphLocation { tenant_id, application, .. }) => {
            digester.field("graph").field(fold(tenant_id).as_bytes());
            match application {
                GraphApplication::Connection(name) => digester.field("connection").field(name),
                GraphApplication::Own { client_id, endpoints, credential: _ } => digester
                    .field("own")
                    .field(client_id.to_string())
                    .field(fold(&endpoints.login).as_bytes())
                    .field(fold(&endpoints.graph).as_bytes()),
            };
        }
        TenantSource::Snapshot(path) => {
            digester.field("snapshot").field(path.to_string_lossy().as_bytes());
        }
    }
    digester.finish()
}

/// Returns the groups of the tenant that a customer's policies select, folded.
fn groups(customer: &Customer) -> BTreeSet<Text> {
    let valid = customer.imports.values().filter_map(|imports| match imports {
        Imports::Valid(imports) => Some(imports),
        Imports::Invalid(_) => None,
    });
    let entries = valid.flatten().filter_map(|import| match &import.selection {
        Selection::EntraGroups(entries) => Some(entries),
        _ => None,
    });
    entries.flatten().map(|scope| Text::from(fold(&scope.name.written()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::duration::Seconds;
    use crate::policy::fleet::{LdapLocation, SecretRef};
    use crate::reconcile::fakes::customer;

    fn ldap(change: impl FnOnce(&mut LdapLocation)) -> Customer {
        let mut location = LdapLocation {
            urls: vec!["ldaps://dc1.contoso.test".to_owned()],
            start_tls: false,
            ca_file: None,
            base_dn: None,
            bind: Some(Bind::Password {
                dn: "CN=R".to_owned(),
                password_from: SecretRef::Env("A".to_owned()),
            }),
            page_size: 1_000,
            timeout: Seconds(30),
        };
        change(&mut location);
        let source =
            DirectorySource { name: Text::from("main"), location: DirectoryLocation::Ldap(location) };
        Customer {
            directories: vec![source],
            tenant: Some(TenantSource::Snapshot("users.json".into())),
            ..customer("contoso")
        }
    }

    fn fits(change: impl FnOnce(&mut LdapLocation)) -> bool {
        difference(Some(&read_from(&ldap(|_| {}))), &ldap(change)).is_none()
    }

    #[test]
    fn how_a_source_is_read_makes_it_no_other_one() {
        assert!(fits(|ldap| ldap.page_size = 10));
        assert!(fits(|ldap| ldap.timeout = Seconds(1)));
        assert!(fits(|ldap| ldap.urls = vec!["LDAPS://DC1.contoso.test".to_owned()]));
        let password_from = SecretRef::Env("B".to_owned());
        assert!(fits(|ldap| ldap.bind = Some(Bind::Password { dn: "cn=r".to_owned(), password_from })));
    }

    #[test]
    fn another_server_base_or_reader_is_another_source() {
        assert!(!fits(|ldap| ldap.urls = vec!["ldaps://dc1.fabrikam.test".to_owned()]));
        assert!(!fits(|ldap| ldap.urls.push("ldaps://dc2.contoso.test".to_owned())));
        assert!(!fits(|ldap| ldap.base_dn = crate::model::dn::Dn::parse("DC=x").ok()));
        assert!(!fits(|ldap| ldap.bind = None));
    }

    #[test]
    fn a_source_that_is_gone_needs_no_reading_and_a_new_one_does() {
        let kept = read_from(&ldap(|_| {}));
        let mut less = ldap(|_| {});
        less.tenant = None;
        assert_eq!(difference(Some(&kept), &less), None);
        let why = difference(Some(&read_from(&less)), &ldap(|_| {})).expect("a difference");
        assert_eq!(why, "the tenant was never read");
        let mut renamed = ldap(|_| {});
        renamed.directories[0].name = Text::from("head");
        let why = difference(Some(&kept), &renamed).expect("a difference");
        assert_eq!(why, "the directory `head` was never read");
        assert!(difference(None, &less).is_some());
    }
}
