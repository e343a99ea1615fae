//! What the token service's refusals mean for a person.

use std::time::Duration;

use serde::Deserialize;

use crate::adapters::graph_application::Application;
use crate::adapters::graph_credential::{Credential, Proof};
use crate::adapters::http::{Again, Answer, Failed};
use crate::model::reading::{Fault, FaultKind};

/// How long to wait before an assertion is tried again whose certificate the token service does not
/// know: after a certificate was added, not all of its machines know it at once.
const AFTER_ROTATION: Duration = Duration::from_secs(5);

/// What the token service answers when it refuses.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: Option<String>,
    error_description: Option<String>,
    error_codes: Option<Vec<u64>>,
    trace_id: Option<String>,
    correlation_id: Option<String>,
}

/// Reads a refusal of the token service.
///
/// Whether to try again goes by the status and `error`, as Microsoft asks; the AADSTS numbers
/// change without notice, and only choose the words (and which kind of final refusal it is).
pub(crate) fn refusal(answer: &Answer, application: &Application, proof: &Proof) -> Failed {
    let said: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    let Some(error) = said.error.as_deref() else {
        return answer.refused(Some("the token service gave no reason"));
    };
    let description = said.error_description.as_deref().unwrap_or_default();
    let number = said
        .error_codes
        .as_ref()
        .and_then(|codes| codes.first().copied())
        .or_else(|| number_in(description))
        .unwrap_or(0);
    let meaning = Meaning::of(number);
    let (kind, words, hint) = meaning.explain(error, application, proof);
    let mut evidence = proof.quoted(error);
    if number != 0 {
        evidence.push_str(&format!(", AADSTS{number}"));
    }
    for (name, value) in [("trace", &said.trace_id), ("correlation", &said.correlation_id)] {
        if let Some(value) = value {
            evidence.push_str(&format!(", {name} {}", proof.quoted(value)));
        }
    }
    let mut what = format!(
        "the token service refused access to tenant `{}`: {words} ({evidence})",
        application.tenant()
    );
    if meaning == Meaning::Unknown && !description.is_empty() {
        let first = description.split(['\r', '\n']).next().unwrap_or_default();
        let first = first.split(" Trace ID:").next().unwrap_or_default();
        what.push_str(": ");
        what.push_str(&proof.quoted(first));
    }
    let by_status = answer.refused(None);
    let passes = by_status.again != Again::Never
        || kind == FaultKind::Transient
        || matches!(error, "temporarily_unavailable" | "server_error");
    let mut fault = Fault::new(if passes { FaultKind::Transient } else { kind }, what);
    fault.hint = hint;
    let mut failed = Failed::new(
        fault.after(answer.retry_after),
        match (passes, by_status.again) {
            (true, Again::FewTimes) => Again::FewTimes,
            (true, _) => Again::WithinPatience,
            (false, _) => Again::Never,
        },
    );
    if !passes && meaning == Meaning::UnknownCertificate {
        failed.again = Again::FewTimes;
        failed.fault.retry_after = failed.fault.retry_after.or(Some(AFTER_ROTATION));
    }
    failed.status = Some(answer.status);
    failed
}

/// Finds the AADSTS number in the text, where the list of numbers is missing.
fn number_in(description: &str) -> Option<u64> {
    let (_, rest) = description.split_once("AADSTS")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// What an AADSTS number is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    WrongSecret,
    ExpiredSecret,
    UnknownCertificate,
    WrongTime,
    BadAssertion,
    NoFederation,
    NoCredential,
    NotConsented,
    NoTenant,
    NoApplication,
    Disabled,
    WrongScope,
    ConditionalAccess,
    WrongCloud,
    Throttled,
    Busy,
    Unknown,
}

impl Meaning {
    fn of(number: u64) -> Self {
        match number {
            7000215 => Self::WrongSecret,
            7000222 => Self::ExpiredSecret,
            700027 => Self::UnknownCertificate,
            700024 | 500133 => Self::WrongTime,
            50013 | 900384 => Self::BadAssertion,
            70021 | 700211..=700213 | 700229 => Self::NoFederation,
            7000218 => Self::NoCredential,
            700016 | 7000229 | 90099 | 65001 | 650052 | 650056 => Self::NotConsented,
            90002 => Self::NoTenant,
            70001 | 700038 => Self::NoApplication,
            7000112 => Self::Disabled,
            500011 | 70011 | 700022 => Self::WrongScope,
            53003 | 530032 => Self::ConditionalAccess,
            90038 | 900382 | 900432 => Self::WrongCloud,
            90055 => Self::Throttled,
            90033 | 90024 | 90006 | 90012 | 90090 | 50033 => Self::Busy,
            _ => Self::Unknown,
        }
    }

    /// Returns what comes next, what it means, and what somebody may try.
    fn explain(
        self,
        error: &str,
        application: &Application,
        proof: &Proof,
    ) -> (FaultKind, &'static str, Option<String>) {
        let client_id = application.client_id;
        let (kind, meaning, hint) = match self {
            Self::WrongSecret => (
                FaultKind::Unauthorised,
                "the client secret is wrong",
                "give the secret's value, not its id, and the secret of this very application".to_owned(),
            ),
            Self::ExpiredSecret => (
                FaultKind::Unauthorised,
                "the client secret has expired",
                format!("make a new secret for application {client_id} and put it where the old one is kept"),
            ),
            Self::UnknownCertificate => (
                FaultKind::Unauthorised,
                "the certificate is none of the application's",
                match &application.credential {
                    Credential::Certificate(certificate) => format!(
                        "upload the certificate with the thumbprint {} to application {client_id}",
                        certificate.shown()
                    ),
                    _ => "check that the issuer's keys are the ones that it publishes".to_owned(),
                },
            ),
            Self::WrongTime => (
                FaultKind::Unauthorised,
                "the assertion is not valid at this time",
                match &application.credential {
                    Credential::Federated(_) => {
                        "check that the token in the file is still being renewed, and this machine's clock"
                    }
                    _ => "check this machine's clock",
                }
                .to_owned(),
            ),
            Self::BadAssertion => (
                FaultKind::Unauthorised,
                "the assertion is not accepted",
                match &application.credential {
                    Credential::Certificate(certificate) => format!(
                        "check this machine's clock, and that application {client_id} has the certificate with \
                         the thumbprint {}",
                        certificate.shown()
                    ),
                    _ => format!(
                        "check the federated credentials of application {client_id}, and this machine's clock"
                    ),
                },
            ),
            Self::NoFederation => (
                FaultKind::Unauthorised,
                "no federated credential of the application fits the token",
                match proof.wanted() {
                    Some(wanted) => format!(
                        "application {client_id} needs a federated credential with {wanted}, letter by letter"
                    ),
                    None => format!("check the federated credentials of application {client_id}"),
                },
            ),
            Self::NoCredential => (
                FaultKind::Unauthorised,
                "no credential arrived",
                "check that the secret is not empty".to_owned(),
            ),
            Self::NotConsented => (
                FaultKind::Unconsented,
                "the tenant has not consented to the application",
                format!(
                    "an administrator of the tenant opens {}; consent may take some minutes to work",
                    application.consent_link
                ),
            ),
            Self::NoTenant => (
                FaultKind::Refused,
                "there is no such tenant",
                "check `tenantId`, and that `cloud` is the one that the tenant lives in".to_owned(),
            ),
            Self::NoApplication => (
                FaultKind::Refused,
                "there is no such application",
                format!(
                    "check the client id {client_id}, and that the application is registered in this cloud"
                ),
            ),
            Self::Disabled => (
                FaultKind::Unauthorised,
                "the application is disabled",
                "enable the enterprise application in the tenant".to_owned(),
            ),
            Self::WrongScope => (
                FaultKind::Refused,
                "the address of Graph does not belong to this token service",
                "set `cloud`, or endpoints that belong together".to_owned(),
            ),
            Self::ConditionalAccess => (
                FaultKind::Unauthorised,
                "a Conditional Access policy of the tenant blocks the application",
                "an administrator of the tenant excludes the application, or permits this machine's address"
                    .to_owned(),
            ),
            Self::WrongCloud => (
                FaultKind::Refused,
                "the tenant lives in another cloud",
                "set `cloud` to the one that the tenant lives in".to_owned(),
            ),
            Self::Throttled => return (FaultKind::Transient, "the tenant is throttled", None),
            Self::Busy => return (FaultKind::Transient, "the token service is busy", None),
            Self::Unknown => {
                let kind = match error {
                    "invalid_client" | "invalid_grant" | "access_denied" => FaultKind::Unauthorised,
                    "consent_required" | "interaction_required" => FaultKind::Unconsented,
                    "temporarily_unavailable" | "server_error" => FaultKind::Transient,
                    _ => FaultKind::Refused,
                };
                return (kind, "it did not say more than this", None);
            }
        };
        (kind, meaning, Some(hint))
    }
}
