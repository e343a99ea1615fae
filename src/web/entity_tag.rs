//! Entity tags: whoever asks again for what did not change is told so, and gets nothing twice (RFC 9110, 13.1.2).

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::model::digest::Digest;
use crate::web::answer::{Problem, aside};

/// Answers are made whole before they are sent; a larger one is none of ours.
const LARGEST: usize = 1 << 30;
/// From how many bytes on it takes so long to digest an answer that others would wait for it.
const LARGE: usize = 1 << 18;

/// Tags every whole answer of JSON to a question, and leaves out the content that whoever asks has already. No cache
/// keeps it (`no-store` stands): programs do, with its tag.
pub async fn tag(request: Request, next: Next) -> Response {
    let is_question = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().get_all(IF_NONE_MATCH).iter().cloned().collect::<Vec<_>>();
    let response = next.run(request).await;
    if !is_question || response.status() != StatusCode::OK || !is_json(response.headers()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(content) = to_bytes(body, LARGEST).await else {
        tracing::error!("an answer broke off");
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer broke off").into_response();
    };
    let tag = if content.len() < LARGE {
        tag_of(&content)
    } else {
        let content = content.clone();
        match aside(move || tag_of(&content)).await {
            Ok(tag) => tag,
            Err(problem) => return problem.into_response(),
        }
    };
    let is_known = known.iter().any(|known| fits(known, &tag));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        parts.headers.insert(ETAG, tag);
    }
    if is_known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(CONTENT_TYPE);
        parts.headers.remove(CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(content))
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value == "application/json")
}

/// Returns the tag of some content: half of its digest is enough to tell it from any other.
fn tag_of(content: &Bytes) -> String {
    let digest = Digest::of(content);
    let hex: String = digest.as_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// Whether a tag is among those that somebody has; a weak one fits as well, and `*` fits all.
fn fits(known: &HeaderValue, tag: &str) -> bool {
    let Ok(known) = known.to_str() else { return false };
    known.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_fits_itself_alone_and_the_star_fits_all() {
        let tag = tag_of(&Bytes::from_static(b"{}"));
        // SHA-256 of `{}` begins so.
        assert_eq!(tag, "\"44136fa355b3678a1146ad16f7e8649e\"");
        let fits = |known: &str| fits(&HeaderValue::from_str(known).expect("a header"), &tag);
        assert!(fits(&tag) && fits(&format!("W/{tag}")) && fits(&format!("\"x\", {tag}")) && fits("*"));
        assert!(!fits("\"x\"") && !fits(tag.trim_matches('"')) && !fits(""));
    }
}
