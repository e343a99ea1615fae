//! What went wrong between Intake and a directory server, in an administrator's words.

use std::io::{Error as IoError, ErrorKind};

use ldap3::{LdapError, LdapResult};
use rustls::{CertificateError, Error as TlsError};

use crate::adapters::directory_object::shown;
use crate::model::reading::{Fault, FaultKind, Shortfall};

/// Why one attempt at one server gave no reading.
#[derive(Debug)]
pub enum Failure {
    /// Nothing had arrived.
    Unavailable(Fault),
    /// Something had arrived, and it is not everything.
    Incomplete {
        /// What is missing.
        shortfall: Shortfall,
        /// Whether another server, or another attempt, may well do better.
        passing: bool,
    },
}

impl Failure {
    /// Makes a failure of what happened after `read` objects.
    pub fn after(read: usize, fault: Fault) -> Self {
        if read == 0 {
            return Self::Unavailable(fault);
        }
        let passing = fault.kind == FaultKind::Transient;
        Self::Incomplete { shortfall: Shortfall { what: fault.what, read }, passing }
    }
}

/// Result codes of RFC 4511 that mean something to Intake.
pub mod code {
    /// Done.
    pub const SUCCESS: u32 = 0;
    /// Samba and Active Directory answer so to a search before a bind.
    pub const OPERATIONS_ERROR: u32 = 1;
    /// A way to sign in that the server does not offer.
    pub const AUTH_METHOD_NOT_SUPPORTED: u32 = 7;
    /// The server's time was up.
    pub const TIME_LIMIT: u32 = 3;
    /// The server shows only so many entries.
    pub const SIZE_LIMIT: u32 = 4;
    /// The server wants encryption.
    pub const STRONGER_AUTH: u32 = 8;
    /// Another server knows.
    pub const REFERRAL: u32 = 10;
    /// A limit that the server's administrator set.
    pub const ADMIN_LIMIT: u32 = 11;
    /// The server wants encryption.
    pub const CONFIDENTIALITY: u32 = 13;
    /// There is no such entry.
    pub const NO_SUCH_OBJECT: u32 = 32;
    /// Text that is no DN.
    pub const INVALID_DN: u32 = 34;
    /// A bind without a password, among others.
    pub const INAPPROPRIATE_AUTH: u32 = 48;
    /// A bind with a wrong name or password.
    pub const INVALID_CREDENTIALS: u32 = 49;
    /// The reader may not.
    pub const INSUFFICIENT_ACCESS: u32 = 50;
    /// Later, perhaps.
    pub const BUSY: u32 = 51;
    /// Later, perhaps.
    pub const UNAVAILABLE: u32 = 52;
    /// The server would rather not.
    pub const UNWILLING: u32 = 53;
}

/// Says why a connection could not be made, or broke.
pub fn connection_fault(url: &str, error: &LdapError) -> Fault {
    match error {
        LdapError::Io { source } => io_fault(url, source),
        LdapError::Rustls { source } => tls_fault(url, source),
        LdapError::DNSName { .. } => refused(format!(
            "{url}: no certificate can be issued for this host name, so it cannot be checked"
        )),
        LdapError::Timeout { .. } => transient(format!("{url}: no answer in time")),
        LdapError::LdapResult { result } => {
            refused(format!("{url}: the server refused to encrypt (StartTLS): {}", answer(result)))
                .hint("use an ldaps:// URL, or install a certificate on the server")
        }
        LdapError::UrlParsing { source } => refused(format!("{url}: not an LDAP URL: {source}")),
        LdapError::EndOfStream | LdapError::ResultRecv { .. } | LdapError::OpSend { .. } => {
            transient(format!("{url}: the server closed the connection"))
        }
        other => transient(format!("{url}: {}", shown(&other.to_string()))),
    }
}

fn io_fault(url: &str, error: &IoError) -> Fault {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        return tls_fault(url, tls);
    }
    let what = match error.kind() {
        ErrorKind::ConnectionRefused => {
            "the connection was refused: no directory server listens there".to_owned()
        }
        ErrorKind::TimedOut => "no answer in time".to_owned(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            "the server closed the connection".to_owned()
        }
        _ => shown(&error.to_string()),
    };
    transient(format!("{url}: {what}"))
}

fn tls_fault(url: &str, error: &TlsError) -> Fault {
    let TlsError::InvalidCertificate(certificate) = error else {
        return refused(format!("{url}: encryption failed: {}", shown(&error.to_string())));
    };
    let (what, hint) = match certificate {
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = presented.iter().take(5).map(|name| shown(name)).collect::<Vec<_>>().join(", ");
            let what = format!(
                "the server's certificate is for another host: it names {names}, and the URL {}",
                shown(&expected.to_str())
            );
            (what, "put a name of the certificate into the URL")
        }
        CertificateError::NotValidForName => (
            "the server's certificate is for another host".to_owned(),
            "put a name of the certificate into the URL",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("the server's certificate has expired".to_owned(), "renew it on the server")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("the server's certificate is not valid yet".to_owned(), "compare the clocks of both machines")
        }
        CertificateError::UnknownIssuer => (
            "the server's certificate was signed by an authority that is not trusted here".to_owned(),
            "name the authority's certificate with caFile",
        ),
        CertificateError::Revoked => {
            ("the server's certificate was revoked".to_owned(), "renew it on the server")
        }
        other => (
            format!("the server's certificate is not valid: {}", shown(&other.to_string())),
            "look at the certificate on the server",
        ),
    };
    refused(format!("{url}: {what}")).hint(hint)
}

/// Says why a server did not accept a name and a password.
pub fn bind_fault(url: &str, who: &str, result: &LdapResult) -> Fault {
    let who = shown(who);
    let (kind, what, hint) = match result.rc {
        code::INVALID_CREDENTIALS => {
            let (what, hint) = logon_failure(sub_code(&result.text));
            (FaultKind::Unauthorised, format!("`{who}` may not sign in: {what}"), hint)
        }
        code::STRONGER_AUTH | code::CONFIDENTIALITY => (
            FaultKind::Refused,
            "the server takes passwords over encrypted connections alone".to_owned(),
            "use an ldaps:// URL, or startTls: true",
        ),
        code::INVALID_DN => (
            FaultKind::Refused,
            format!("`{who}` is no name that the server understands"),
            "bind.dn is a DN, or in Active Directory a user principal name",
        ),
        code::INAPPROPRIATE_AUTH => (
            FaultKind::Unauthorised,
            format!("`{who}` may not sign in with a password"),
            "look at the account in the directory",
        ),
        code::BUSY | code::UNAVAILABLE => {
            (FaultKind::Transient, format!("the server is busy: {}", answer(result)), "")
        }
        _ => (FaultKind::Refused, format!("`{who}` could not sign in: {}", answer(result)), ""),
    };
    let fault = Fault::new(kind, format!("{url}: {what}"));
    if hint.is_empty() { fault } else { fault.hint(hint) }
}

/// Active Directory hides why a logon failed in the text: `…, data 52e, v1db1`. The numbers are
/// Windows error codes in hexadecimal.
fn sub_code(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("data ")?;
    let digits = rest.split(|character: char| !character.is_ascii_hexdigit()).next()?;
    u32::from_str_radix(digits, 16).ok()
}

fn logon_failure(code: Option<u32>) -> (&'static str, &'static str) {
    match code {
        Some(0x525) => ("the directory knows no such account", "compare bind.dn with the account"),
        Some(0x530) => ("the account may not sign in at this hour", "lift the account's logon hours"),
        Some(0x531) => (
            "the account may not sign in from this machine",
            "let the account sign in to the domain controllers",
        ),
        Some(0x532) => ("its password has expired", "set a new password, and one that does not expire"),
        Some(0x533) => ("the account is disabled", "enable the account"),
        Some(0x701) => ("the account has expired", "give the account a later end"),
        Some(0x773) => ("its password must be changed first", "set a password that need not be changed"),
        Some(0x775) => ("the account is locked", "unlock it, and see who tries wrong passwords"),
        _ => ("the name or the password is wrong", "compare bind.dn and the password with the account"),
    }
}

/// Says how a search ended that did not end well. `read` objects had arrived.
pub fn search_failure(url: &str, base: &str, result: &LdapResult, read: usize) -> Failure {
    let base = shown(base);
    let incomplete = |what: String, passing: bool| Failure::Incomplete {
        shortfall: Shortfall { what: format!("{url}: {what}"), read },
        passing,
    };
    match result.rc {
        code::SIZE_LIMIT => incomplete(
            format!(
                "the server stopped at its size limit; it lets this reader see only so many entries: {}",
                answer(result)
            ),
            false,
        ),
        code::REFERRAL => {
            incomplete(format!("the server says that another one holds {base}: {}", answer(result)), false)
        }
        code::ADMIN_LIMIT if read > 0 => {
            incomplete(format!("the server stopped at an administrative limit: {}", answer(result)), false)
        }
        code::ADMIN_LIMIT => Failure::Unavailable(
            refused(format!("{url}: the server refuses pages of this size: {}", answer(result)))
                .hint("make pageSize smaller"),
        ),
        code::TIME_LIMIT if read > 0 => {
            incomplete(format!("the server's time limit was reached: {}", answer(result)), true)
        }
        code::TIME_LIMIT | code::BUSY | code::UNAVAILABLE => {
            Failure::after(read, transient(format!("{url}: the server is busy: {}", answer(result))))
        }
        code::NO_SUCH_OBJECT => Failure::after(
            read,
            refused(format!("{url}: there is no {base} that the reader may see"))
                .hint("compare baseDn with the directory, and the reader's permissions"),
        ),
        code::OPERATIONS_ERROR | code::INSUFFICIENT_ACCESS => Failure::after(
            read,
            Fault::new(
                FaultKind::Unauthorised,
                format!("{url}: the reader may not read {base}: {}", answer(result)),
            )
            .hint("sign in with bind, as an account that may read the directory"),
        ),
        // Also what a server answers that no longer knows the page it gave: try from the start.
        code::UNWILLING if read > 0 => {
            incomplete(format!("the server gave up between two pages: {}", answer(result)), true)
        }
        _ => Failure::after(read, refused(format!("{url}: the search failed: {}", answer(result)))),
    }
}

/// Says that a connection broke in the middle of a search.
pub fn lost(url: &str, read: usize, why: &str) -> Failure {
    let what =
        if read == 0 { format!("{url}: {why}") } else { format!("{url}: {why}, after {read} objects") };
    Failure::after(read, transient(what))
}

/// Makes a fault that goes away by itself, perhaps.
pub fn transient(what: String) -> Fault {
    Fault::new(FaultKind::Transient, what)
}

/// Makes a fault that somebody must mend.
pub fn refused(what: String) -> Fault {
    Fault::new(FaultKind::Refused, what)
}

/// Returns a server's answer: its code, and its own words.
pub fn answer(result: &LdapResult) -> String {
    let text = result.text.trim_matches(|character: char| character.is_whitespace() || character == '\0');
    if text.is_empty() {
        format!("result code {}", result.rc)
    } else {
        format!("{} (result code {})", shown(text), result.rc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(rc: u32, text: &str) -> LdapResult {
        LdapResult { rc, matched: String::new(), text: text.to_owned(), refs: Vec::new(), ctrls: Vec::new() }
    }

    #[test]
    fn a_failed_logon_is_told_in_words() {
        let said = |data: &str| {
            let text = format!(
                "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {data}, v1db1"
            );
            let fault = bind_fault("ldaps://dc1", "CN=svc,DC=x", &result(49, &text));
            assert_eq!(fault.kind, FaultKind::Unauthorised);
            fault.what
        };
        assert_eq!(
            said("52e"),
            "ldaps://dc1: `CN=svc,DC=x` may not sign in: the name or the password is wrong"
        );
        assert!(said("532").ends_with("its password has expired"));
        assert!(said("533").ends_with("the account is disabled"));
        assert!(said("773").ends_with("its password must be changed first"));
        assert!(said("775").ends_with("the account is locked"));
        assert!(said("530").contains("hour") && said("531").contains("machine"));
        assert!(bind_fault("u", "x", &result(49, "")).what.contains("password is wrong"));
    }

    #[test]
    fn a_size_limit_is_never_the_whole_directory_not_even_of_nobody() {
        for read in [0, 500] {
            let failure = search_failure("u", "DC=x", &result(code::SIZE_LIMIT, "size limit exceeded"), read);
            assert!(matches!(failure, Failure::Incomplete { passing: false, .. }));
        }
    }

    #[test]
    fn what_ends_a_search_before_the_first_object_is_no_reading_at_all() {
        let failure = search_failure("u", "DC=x", &result(code::UNAVAILABLE, ""), 0);
        assert!(matches!(failure, Failure::Unavailable(Fault { kind: FaultKind::Transient, .. })));
        let failure = search_failure("u", "DC=x", &result(code::UNWILLING, ""), 7);
        assert!(matches!(
            failure,
            Failure::Incomplete { passing: true, shortfall: Shortfall { read: 7, .. } }
        ));
    }
}
