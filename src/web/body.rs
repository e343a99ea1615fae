//! The body of a request: no larger and no slower than it may be.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use crate::web::answer::Problem;

/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(15);
/// How long all of it may take: a candidate of 64 MiB, and a form of a few KiB.
const WHOLE: Duration = Duration::from_secs(120);
const WHOLE_FORM: Duration = Duration::from_secs(10);

/// Reads a body of JSON, `limit` bytes at the most.
///
/// # Errors
/// What whoever sent something else is told.
pub async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    // It also keeps pages of others from asking: for this type a browser asks for permission first.
    if !is_of(headers, "application/json") {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "this address takes JSON")
            .hint("send `Content-Type: application/json`"));
    }
    read_whole(headers, body, limit, WHOLE).await
}

/// Reads a form as browsers send it, `limit` bytes at the most.
///
/// # Errors
/// What whoever sent something else is told.
pub async fn read_form(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    if !is_of(headers, "application/x-www-form-urlencoded") {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "this address takes a form"));
    }
    read_whole(headers, body, limit, WHOLE_FORM).await
}

fn is_of(headers: &HeaderMap, media_type: &str) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

async fn read_whole(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    whole: Duration,
) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let detail = match limit >> 20 {
            0 => format!("the body is larger than {} KiB", limit >> 10),
            large => format!("the body is larger than {large} MiB"),
        };
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let deadline = Instant::now() + whole;
    let mut content = Vec::new();
    let mut parts = body.into_data_stream();
    loop {
        let part = timeout_at(deadline.min(Instant::now() + SILENCE), parts.next()).await;
        match part {
            Ok(Some(Ok(part))) if content.len() + part.len() > limit => return Err(too_large()),
            Ok(Some(Ok(part))) => content.extend_from_slice(&part),
            Ok(Some(Err(_))) => return Err(Problem::new(StatusCode::BAD_REQUEST, "the body broke off")),
            Ok(None) => return Ok(content),
            Err(_) => {
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"));
            }
        }
    }
}
