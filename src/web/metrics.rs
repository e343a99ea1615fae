//! `GET /metrics`: what the program counted, for Prometheus. Customers' names are in it, so it is for those
//! who may look.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use crate::ports::meter::Readout;

/// Answers with all metrics.
pub async fn metrics(State(readout): State<Arc<dyn Readout>>) -> Response {
    let page = readout.read().await;
    let mut response = page.text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    response
}
