//! What pages are dressed in: one style sheet, one script and an icon, compiled in, and under an address that
//! changes with them.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use crate::model::digest::Digester;
use crate::web::answer::{Problem, wrong_method};

const ASSETS: [(&str, &str, &str); 3] = [
    ("intake.css", "text/css; charset=utf-8", include_str!("../../../templates/intake.css")),
    ("intake.js", "text/javascript; charset=utf-8", include_str!("../../../templates/intake.js")),
    ("icon.svg", "image/svg+xml", include_str!("../../../templates/icon.svg")),
];

/// Changes with any of them.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digester = Digester::new("assets");
    for (name, _, content) in ASSETS {
        digester.field(name).field(content);
    }
    let digest = digester.finish().to_string();
    digest.trim_start_matches("sha256:").chars().take(16).collect()
});

/// Returns the address of one.
pub fn address(name: &str) -> String {
    format!("/assets/{}/{name}", *VERSION)
}

/// Answers with one. It is nobody's secret, and needs no session: the page that asks for one is dressed, too.
pub async fn asset(path: Result<Path<(String, String)>, PathRejection>) -> Response {
    let is_it =
        |known: &str| path.as_ref().is_ok_and(|Path((version, name))| known == name && *version == *VERSION);
    let Some((_, kind, content)) = ASSETS.into_iter().find(|(known, ..)| is_it(known)) else {
        return Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address").into_response();
    };
    let mut response = Response::new(Body::from(content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}

/// Answers that nothing is changed here.
pub async fn only_get() -> Response {
    wrong_method("GET, HEAD")
}
