//! What went wrong with a page, as a page: what happened and what to try. The cause is for the log alone.

use std::error::Error;
use std::time::Duration;

use askama::Template;
use axum::http::header::{ACCEPT, ALLOW, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use crate::model::text::{Text, inert};
use crate::ports::control::Refused;
use crate::ports::inquiry::Unanswered;
use crate::ports::register::RegisterFault;
use crate::web::answer::{Problem, chain};
use crate::web::pages::frame::{Frame, Section, page};
use crate::web::pages::link::of_customer;
use crate::web::pages::prose::Prose;
use crate::web::pages::visitor::Visitor;

/// When to come back where too many look.
const COME_BACK: Duration = Duration::from_secs(2);

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    status: StatusCode,
    what: String,
    hint: Option<String>,
    /// Which customer was meant, perhaps.
    nearest: Option<Text>,
    retry_after: Option<Duration>,
    allowed: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "fault.html")]
struct FaultPage {
    frame: Frame,
    status: u16,
    what: Prose,
    hint: Prose,
    nearest: Option<(String, String)>,
}

impl Fault {
    /// Makes one.
    pub fn new(status: StatusCode, what: impl Into<String>) -> Self {
        Self { status, what: what.into(), hint: None, nearest: None, retry_after: None, allowed: None }
    }

    /// Adds what to try.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds when to come back.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Shows a problem.
    pub fn of(problem: &Problem) -> Self {
        let (status, detail, hint) = problem.parts();
        let fault = Self::new(status, sentence(detail));
        match hint {
            Some(hint) => fault.hint(sentence(hint)),
            None => fault,
        }
    }

    /// Somebody asks for what there is not, in a filter.
    pub fn bad_filter(name: &str, value: &str, expected: &str) -> Self {
        let value: String = value.chars().take(100).collect();
        let what = format!("The filter “{}” does not know “{}”.", inert(name), inert(&value));
        Self::new(StatusCode::BAD_REQUEST, what).hint(sentence(expected))
    }

    /// A form that no page of this program sent for this session.
    pub fn forged() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "This form was not sent from a page of this session, so nothing was done.",
        )
        .hint("Go back, load the page anew, and try again.")
    }

    /// Somebody who may look wants to change something.
    pub fn only_operators() -> Self {
        Self::new(StatusCode::FORBIDDEN, "You may look, and not change anything.")
            .hint("Sign in as an operator: the operator's file of the controller says who is one.")
    }

    /// There is no such address.
    pub fn nothing_there() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing at this address.")
    }

    /// There is no such customer.
    pub fn unknown_customer(name: &str, nearest: Option<&str>) -> Self {
        let name: String = name.chars().take(100).collect();
        let fault = Self::new(StatusCode::NOT_FOUND, format!("There is no customer “{}”.", inert(&name)));
        match nearest {
            Some(nearest) => Self { nearest: Some(Text::from(nearest)), ..fault },
            None => fault.hint("The fleet lists every customer of the tree in force and of the register."),
        }
    }

    /// An address that is not for this method.
    pub fn wrong_method(allowed: &'static str) -> Self {
        let fault = Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("This address takes {allowed}."));
        Self { allowed: Some(allowed), ..fault }
    }

    /// Something failed inside; why is for the log.
    pub fn inside(what: &str, error: &(dyn Error + 'static)) -> Self {
        if matches!(error.downcast_ref(), Some(RegisterFault::Busy)) {
            return busy();
        }
        tracing::error!("{what}: {error}: {}", chain(error));
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made.")
            .hint("The log of the controller says why. What is imported is not touched by it.")
    }

    /// Tells that the machine gives no random bytes.
    pub fn no_session() -> Self {
        tracing::error!("the machine gives no random bytes: nobody can sign in");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The session could not begin.")
            .hint("The log of the controller says why.")
    }

    /// Shows it to whoever looks.
    pub fn show(self, visitor: Visitor, now: Timestamp) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let frame = Frame::new(title, Section::None, visitor, now).below("Fleet", "/");
        let shown = FaultPage {
            frame,
            status: self.status.as_u16(),
            what: Prose::of(&self.what),
            hint: Prose::of(&self.hint.unwrap_or_default()),
            nearest: self.nearest.map(|name| (inert(&name).into_owned(), of_customer(&name, ""))),
        };
        let mut response = page(self.status, &shown);
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if let Some(allowed) = self.allowed {
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}

impl IntoResponse for Fault {
    /// Becomes a page once it is known who looks.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Unanswered> for Fault {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::UnknownCustomer { name, nearest } => {
                Self::unknown_customer(&name, nearest.as_deref())
            }
            Unanswered::NotYet => not_yet(),
            Unanswered::Busy => busy(),
            Unanswered::UnknownAccount { .. } | Unanswered::SeveralPeople { .. } => {
                Self::new(StatusCode::NOT_FOUND, sentence(&unanswered.to_string()))
            }
            Unanswered::NothingToExplainFrom { what, hint } => {
                Self::new(StatusCode::NOT_FOUND, sentence(&what)).hint(sentence(&hint))
            }
            Unanswered::Failed(_) => Self::inside("a question was not answered", &unanswered),
        }
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown { name, nearest } => Self::unknown_customer(&name, nearest.as_deref()),
            Refused::SuspendedInTree { ref customer } => Self::new(
                StatusCode::CONFLICT,
                sentence(&refused.to_string()),
            )
            .hint(format!("Remove `suspend: true` from the document of {}, and commit.", inert(customer))),
            Refused::NotYet => not_yet(),
            Refused::Failed(_) => Self::inside("an order was not kept", &refused),
        }
    }
}

fn busy() -> Fault {
    Fault::new(StatusCode::SERVICE_UNAVAILABLE, "Too many look at once.")
        .hint("Load the page again in a moment.")
        .retry_after(COME_BACK)
}

fn not_yet() -> Fault {
    Fault::new(StatusCode::SERVICE_UNAVAILABLE, "The policy tree has not been read yet.")
        .hint("The controller has just started. Load the page anew in a moment.")
        .retry_after(Duration::from_secs(2))
}

/// Returns words as a sentence.
pub fn sentence(words: &str) -> String {
    let words = inert(words.trim());
    let first = words.split(' ').next().unwrap_or_default();
    let end = if words.is_empty() || words.ends_with(['.', '!', '?', ':']) { "" } else { "." };
    // A name of a file or of a customer stays as it is written.
    let is_word = first.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b',');
    match words.chars().next().filter(|_| is_word) {
        Some(letter) => format!("{}{}{end}", letter.to_ascii_uppercase(), &words[letter.len_utf8()..]),
        None => format!("{words}{end}"),
    }
}

/// Whether an answer is looked at by a person.
pub fn is_for_browser(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accepted.contains("text/html")
}

/// Answers a person at an address that there is not. Who they are does not matter.
pub fn nowhere() -> Response {
    Fault::nothing_there().show(Visitor::nobody(), Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_a_sentence_and_names_stay() {
        for (words, expected) in [
            ("it failed", "It failed."),
            ("its file, too", "Its file, too."),
            ("a.yaml:1:2: odd", "a.yaml:1:2: odd."),
            ("`a` is odd.", "`a` is odd."),
            ("20 removals", "20 removals."),
            ("did you mean it?", "Did you mean it?"),
            ("", ""),
        ] {
            assert_eq!(sentence(words), expected);
        }
    }
}
