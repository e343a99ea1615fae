//! What is answered: JSON, and problem documents (RFC 9457) for everything that went wrong.

use std::error::Error;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::text::inert;
use crate::plan::inert_json::json_line;

/// Something that went wrong, as whoever asked is told of it. What may be told to nobody else is in the
/// log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// By RFC 9457: of no other kind than its status.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// What happened, for people.
    detail: String,
    /// What to try.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip)]
    retry_after: Option<Duration>,
    #[serde(skip)]
    challenge: Option<&'static str>,
}

impl Problem {
    /// Makes one.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            hint: None,
            retry_after: None,
            challenge: None,
        }
    }

    /// Returns its status, what happened, and what to try.
    pub fn parts(&self) -> (StatusCode, &str, Option<&str>) {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, &self.detail, self.hint.as_deref())
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

    /// Adds how to say who one is.
    #[must_use]
    pub fn challenge(self, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content = json_line(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(content));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// Answers with JSON.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match json_line(value) {
        Ok(content) => {
            let mut response = Response::new(Body::from(content));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => {
            tracing::error!("an answer has no JSON form: {error}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written").into_response()
        }
    }
}

/// Works on a thread where something large holds nobody up.
///
/// # Errors
/// If the work failed inside Intake.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| failed_inside(&error))
}

/// Returns what is told of work that failed inside Intake; why is in the log.
pub fn failed_inside(error: &tokio::task::JoinError) -> Problem {
    tracing::error!("an answer could not be made: {error}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made")
        .hint("the log of the controller says why")
}

/// Answers that an address is known, and not for this method.
pub fn wrong_method(allowed: &'static str) -> Response {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this address takes {allowed}"));
    let mut response = problem.into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Returns an error with its causes, for the log alone.
pub fn fault_text(error: &dyn Error) -> String {
    let causes = chain(error);
    let separator = if causes.is_empty() { "" } else { ": " };
    format!("{}{separator}{causes}", inert(&error.to_string()))
}

/// Returns the causes of an error, for the log alone.
pub fn chain(error: &dyn Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    inert(&causes.join(": ")).into_owned()
}
