//! Signing in to a domain controller by Kerberos, with the credentials of the machine.

use std::fs;
use std::sync::OnceLock;

use crate::support::intake::{Installation, Run, ldif_source, persons, snapshot_source};
use crate::support::kerberos::{REALM, SilentKdc, configuration, expired_ticket};
use crate::support::ldif_text::LdifText;
use crate::support::process::dead_port;
use crate::support::samba::{BASE, Samba};

/// The name of the domain controller, which no name server knows.
const HOST: &str = "dc1.contoso.test";

/// A domain with two people, accounts to read it with, and services that Kerberos knows.
fn domain() -> &'static Samba {
    static SHARED: OnceLock<Samba> = OnceLock::new();
    SHARED.get_or_init(|| {
        let samba = Samba::with_kerberos();
        let mut ldif = LdifText::default();
        ldif.entry(&format!("OU=Staff,{BASE}"), &[("objectClass", "organizationalUnit")], &[]);
        for name in persons(&[1, 2]) {
            let texts = [("objectClass", "user"), ("sAMAccountName", &name), ("userAccountControl", "544")];
            ldif.entry(&format!("CN={name},OU=Staff,{BASE}"), &texts, &[]);
        }
        samba.load(&ldif.0);
        let mut commands = vec![format!("service DC1$ ldap/{HOST}")];
        for account in ["reader", "stale", "leaver", "other"] {
            commands.push(format!("account {account} Correct-horse-2"));
            commands.push(format!("keytab {account} {}", keytab(&samba, account)));
        }
        // The leaver's keys come first.
        for account in ["leaver", "reader"] {
            commands.push(format!("keytab {account} {}", keytab(&samba, "several")));
        }
        commands.push("password stale Correct-horse-3".to_owned());
        commands.push("service other ldap/other.contoso.test".to_owned());
        samba.administer(&commands.join(" then ").split(' ').collect::<Vec<_>>());
        samba.modify(&format!(
            "dn: CN=leaver,CN=Users,{BASE}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n"
        ));
        samba
    })
}

fn keytab(samba: &Samba, name: &str) -> String {
    samba.folder().join(format!("{name}.keytab")).display().to_string()
}

/// A machine that knows the domain's realm and has no credentials. The customer's directory has these
/// fields besides its certificate authority.
fn machine(ldap: &str) -> Installation {
    let mut here = Installation::new();
    fs::copy(domain().authority(), here.tree().join("ca.pem")).expect("copied");
    customer(&here, "contoso", &format!("{{ldap: {{caFile: ca.pem, {ldap}}}}}"));
    here.default_policy(
        "selection: {organizationalUnits: [OU=Staff]}
         passwordSync: false",
    );
    realms(&here, &configuration(&domain().address().to_string()));
    let folder = here.folder().to_owned();
    here.environment("KRB5_CONFIG", folder.join("krb5.conf").display().to_string());
    here.environment("KRB5CCNAME", tickets(&here));
    here.environment("HOME", folder.display().to_string());
    here
}

/// Writes a customer without people in its tenant.
fn customer(here: &Installation, name: &str, directory: &str) {
    here.write(&format!("{name}.json"), r#"{"value": []}"#);
    here.customer(name, name, directory, &snapshot_source(name));
}

/// Such a machine with a keytab, whose customer signs in as `kerberos` says.
fn machine_with(account: &str, kerberos: &str) -> Installation {
    let mut here = machine(&format!("urls: [\"{}\"], bind: {{kerberos: {kerberos}}}", domain().tls_url()));
    here.environment("KRB5_CLIENT_KTNAME", keytab(domain(), account));
    here
}

fn realms(here: &Installation, configuration: &str) {
    fs::write(here.folder().join("krb5.conf"), configuration).expect("written");
}

fn tickets(here: &Installation) -> String {
    format!("FILE:{}", here.folder().join("tickets").display())
}

/// Expects a plan for both people.
fn expect_both(here: &Installation) {
    let plan = here.json(&["plan"], 0);
    assert_eq!(plan["summary"]["add"], 2, "{plan:#}");
}

/// Expects that the customer cannot be read, and returns why.
fn why_unreadable(here: &Installation) -> String {
    let plan = here.json(&["plan", "--max-wait", "1s"], 3);
    assert_eq!(plan["customers"][0]["operations"], serde_json::json!([]), "{plan:#}");
    let finding = &plan["customers"][0]["findings"][0];
    assert_eq!(finding["code"], "directory-unavailable", "{plan:#}");
    finding["message"].as_str().expect("a message").to_owned()
}

#[test]
fn a_domain_is_read_with_a_keytab_and_then_with_the_ticket_it_gave() {
    let here = machine_with("reader", &format!("{{host: {HOST}}}"));
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2]));

    // StartTLS, and a machine that belongs to no realm.
    let ldap = format!(
        "urls: [\"{}\"], startTls: true, bind: {{kerberos: {{host: {HOST}, realm: {REALM}}}}}",
        domain().url()
    );
    let mut heir = machine(&ldap);
    let without_default =
        configuration(&domain().address().to_string()).replace(&format!("default_realm = {REALM}\n"), "");
    realms(&heir, &without_default);
    assert!(why_unreadable(&heir).contains("has no Kerberos ticket"));
    heir.environment("KRB5CCNAME", tickets(&here));
    expect_both(&heir);

    // The first one again, without its ticket and keytab: nobody goes.
    let mut here = here;
    here.environment("KRB5CCNAME", "MEMORY:none");
    here.environment("KRB5_CLIENT_KTNAME", keytab(domain(), "nobody"));
    let Run { stdout, .. } = here.run(&["apply", "--yes", "--max-wait", "1s"]).expect(3);
    assert!(stdout.contains("has no Kerberos ticket"), "{stdout}");
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2]));
}

#[test]
fn what_kerberos_lacks_is_told_in_words() {
    let by_name = format!("{{host: {HOST}}}");
    for (account, kerberos, words) in [
        ("nobody", by_name.as_str(), "this machine has no Kerberos ticket"),
        ("stale", &by_name, "the keytab's key is not the account's"),
        ("leaver", &by_name, "is locked, disabled or expired"),
        ("reader", "{host: dc9.contoso.test}", "ldap/dc9.contoso.test: the domain knows no such service"),
        (
            "reader",
            "{host: dc1.contoso.test, realm: FABRIKAM.TEST}",
            "dc1.contoso.test@FABRIKAM.TEST: the domain knows no such",
        ),
        (
            "reader",
            "{host: other.contoso.test}",
            "did not accept the Kerberos ticket for ldap/other.contoso.test",
        ),
    ] {
        let told = why_unreadable(&machine_with(account, kerberos));
        assert!(told.contains(words), "{account} {kerberos}: {told}");
    }

    let expired = machine_with("nobody", &by_name);
    fs::write(expired.folder().join("tickets"), expired_ticket("reader")).expect("written");
    let told = why_unreadable(&expired);
    assert!(told.contains("ticket has expired") && told.contains("kinit"), "{told}");

    let here = machine_with("reader", &by_name);
    for (krb5_conf, words) in [
        (
            configuration(&format!("127.0.0.1:{}", dead_port())),
            "no domain controller of the realm answers Kerberos",
        ),
        ("[libdefaults]\ndns_lookup_kdc = false\n".to_owned(), "this machine has no Kerberos realm"),
    ] {
        realms(&here, &krb5_conf);
        let told = why_unreadable(&here);
        assert!(told.contains(words), "{krb5_conf}: {told}");
    }
}

#[test]
fn among_several_keys_the_realm_of_the_server_chooses() {
    let here = machine_with("several", &format!("{{host: {HOST}}}"));
    assert!(why_unreadable(&here).contains("disabled"), "the first key is the leaver's");
    fs::write(here.folder().join(".k5identity"), format!("reader@{REALM} realm={REALM}\n")).expect("written");
    expect_both(&here);
}

#[test]
fn a_key_distribution_centre_that_says_nothing_costs_its_customer_the_time_out_and_nobody_anything() {
    let ldap =
        format!("urls: [\"{}\"], timeout: 10s, bind: {{kerberos: {{host: {HOST}}}}}", domain().tls_url());
    let mut here = machine(&ldap);
    let centre = SilentKdc::start();
    realms(&here, &configuration(&centre.address()));
    here.environment("KRB5_CLIENT_KTNAME", keytab(domain(), "reader"));
    // All customers share one thread.
    here.environment("TOKIO_WORKER_THREADS", "1");
    here.people("good", &[1, 2]);
    customer(&here, "good", &ldif_source("good"));
    let plan = here.json(&["plan", "--max-wait", "1s"], 3);
    assert_eq!(plan["summary"]["add"], 2, "{plan:#}");
    // The library would have given up later, and with other words.
    let told = plan["customers"][0]["findings"][0]["message"].as_str().map(str::to_owned);
    let told = told.unwrap_or_else(|| panic!("{plan:#}"));
    assert!(told.contains("no answer to the Kerberos sign-in in time"), "{told}");
}
