//! What goes wrong with Kerberos, in an administrator's words.

use ldap3::LdapResult;

use crate::adapters::directory_object::shown;
use crate::adapters::ldap_fault::{answer, code};
use crate::model::reading::{Fault, FaultKind};

/// What the Kerberos library says, in the order in which it is looked for: in its words, what they
/// mean, and what to do. They are compared as they are: the library translates nothing unless the
/// program asks for it.
const SAYINGS: &[(&[&str], FaultKind, &str, &str)] = &[
    (
        &["Clock skew too great", "Ticket not yet valid"],
        FaultKind::Refused,
        "the clocks of this machine and of the domain differ too much",
        "let both follow the same time servers: Kerberos bears five minutes",
    ),
    (
        &["Ticket expired"],
        FaultKind::Unauthorised,
        "this machine's Kerberos ticket has expired",
        "get a new one with kinit, or let Intake get its own from a keytab (KRB5_CLIENT_KTNAME)",
    ),
    (
        &["No Kerberos credentials available", "No credentials cache found", "Matching credential not found"],
        FaultKind::Unauthorised,
        "this machine has no Kerberos ticket that Intake may use",
        "name a keytab with KRB5_CLIENT_KTNAME, or a ticket cache with KRB5CCNAME",
    ),
    (
        &["Preauthentication failed", "Generic preauthentication failure", "Decrypt integrity check failed"],
        FaultKind::Unauthorised,
        "the keytab's key is not the account's",
        "export the keytab anew: every change of the password makes the old one useless",
    ),
    (
        &["credentials have been revoked"],
        FaultKind::Unauthorised,
        "the account of this machine's credentials is locked, disabled or expired",
        "look at the account in the directory",
    ),
    (
        &["Password has expired", "Password expired"],
        FaultKind::Unauthorised,
        "the password of the account of this machine's credentials has expired",
        "set a new password, and one that does not expire",
    ),
    (
        &["Client not found", "Client '"],
        FaultKind::Unauthorised,
        "the domain does not know the account of this machine's credentials",
        "compare the keytab (klist -k) with the account",
    ),
    (
        &["not found in Kerberos database"],
        FaultKind::Refused,
        "the domain knows no such service",
        "bind.kerberos.host is the server's name as the domain knows it, `setspn -L COMPUTER` lists them",
    ),
    (
        &["Cannot contact any KDC", "Cannot find KDC", "Cannot resolve"],
        FaultKind::Transient,
        "no domain controller of the realm answers Kerberos",
        "look at port 88 of the domain controllers, and at the realm in krb5.conf or DNS",
    ),
    (
        &["does not specify default realm", "Cannot determine realm"],
        FaultKind::Refused,
        "this machine has no Kerberos realm",
        "set default_realm in krb5.conf, or bind.kerberos.realm",
    ),
];

/// Says why this machine got no ticket for the server. `said` is what the Kerberos library says.
pub fn kerberos_fault(url: &str, host: &str, said: &str) -> Fault {
    let service = format!("ldap/{}", shown(host));
    // The general part says that there are details, which follow in brackets.
    let details = said.split_once(" (").and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(said);
    let said = shown(details);
    let known = SAYINGS.iter().find(|(words, ..)| words.iter().any(|words| details.contains(words)));
    match known {
        Some((_, kind, what, hint)) => {
            Fault::new(*kind, format!("{url}: no Kerberos ticket for {service}: {what}: {said}")).hint(*hint)
        }
        None => Fault::new(FaultKind::Refused, format!("{url}: no Kerberos ticket for {service}: {said}")),
    }
}

/// Says why the server did not accept the ticket.
pub fn refusal_fault(url: &str, host: &str, result: &LdapResult) -> Fault {
    let service = format!("ldap/{}", shown(host));
    let answer = answer(result);
    match result.rc {
        code::INVALID_CREDENTIALS => Fault::new(
            FaultKind::Unauthorised,
            format!("{url}: the server did not accept the Kerberos ticket for {service}: {answer}"),
        )
        .hint("compare bind.kerberos.host with the server's own name, and both clocks"),
        code::AUTH_METHOD_NOT_SUPPORTED => {
            Fault::new(FaultKind::Refused, format!("{url}: the server does not take Kerberos: {answer}"))
        }
        code::BUSY | code::UNAVAILABLE => {
            Fault::new(FaultKind::Transient, format!("{url}: the server is busy: {answer}"))
        }
        _ => Fault::new(FaultKind::Refused, format!("{url}: the Kerberos sign-in failed: {answer}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(said: &str) -> Fault {
        kerberos_fault("ldaps://dc1", "dc1.contoso.test", said)
    }

    fn detail(said: &str) -> Fault {
        fault(&format!("Unspecified GSS failure.  Minor code may provide more information ({said})"))
    }

    #[test]
    fn what_the_library_says_is_told_in_words_and_with_its_own() {
        for (said, kind, words) in [
            ("Clock skew too great", FaultKind::Refused, "the clocks of this machine"),
            ("Ticket not yet valid", FaultKind::Refused, "the clocks of this machine"),
            ("Ticket expired", FaultKind::Unauthorised, "has expired"),
            (
                "No Kerberos credentials available (default cache: FILE:/x)",
                FaultKind::Unauthorised,
                "no Kerberos ticket that",
            ),
            ("Preauthentication failed", FaultKind::Unauthorised, "the keytab's key"),
            ("Client's credentials have been revoked", FaultKind::Unauthorised, "locked"),
            (
                "Client 'svc@CONTOSO.TEST' not found in Kerberos database",
                FaultKind::Unauthorised,
                "does not know the account",
            ),
            (
                "Server ldap/dc9@CONTOSO.TEST not found in Kerberos database",
                FaultKind::Refused,
                "knows no such service",
            ),
            (
                "Cannot contact any KDC for realm 'CONTOSO.TEST'",
                FaultKind::Transient,
                "no domain controller of the realm",
            ),
        ] {
            let fault = detail(said);
            assert_eq!(fault.kind, kind, "{said}");
            assert!(fault.what.contains(words) && fault.what.ends_with(said), "{}", fault.what);
            assert!(fault.what.starts_with("ldaps://dc1: no Kerberos ticket for ldap/dc1.contoso.test: "));
            assert!(fault.hint.is_some(), "{said}");
        }
    }

    #[test]
    fn what_nobody_foresaw_is_told_as_it_is() {
        let fault = detail("The stars are wrong");
        assert_eq!(fault.kind, FaultKind::Refused);
        assert!(fault.what.ends_with(": The stars are wrong"), "{}", fault.what);
        assert!(self::fault("without brackets").what.ends_with(": without brackets"));
    }

    #[test]
    fn a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
        let refusal = |rc: u32| {
            let text = "8009030C: LdapErr".to_owned();
            let result = LdapResult { rc, matched: String::new(), text, refs: Vec::new(), ctrls: Vec::new() };
            refusal_fault("ldaps://dc1", "dc1.contoso.test", &result)
        };
        assert_eq!(refusal(code::INVALID_CREDENTIALS).kind, FaultKind::Unauthorised);
        assert_eq!(refusal(code::AUTH_METHOD_NOT_SUPPORTED).kind, FaultKind::Refused);
        assert_eq!(refusal(code::BUSY).kind, FaultKind::Transient);
        assert!(refusal(80).what.ends_with("8009030C: LdapErr (result code 80)"));
    }
}
