//! Health: whether the process lives, and whether it can do its work. Neither needs a token, and neither
//! tells anything about a customer.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::ports::readiness::Readiness;
use crate::web::answer::{Problem, json};

/// Answers that the process lives, whatever its sources and its store do: starting it anew would not help
/// these.
pub async fn liveness() -> Response {
    json(StatusCode::OK, &json!({"status": "alive"}))
}

/// Answers whether the program can do its work, and if not, why.
pub async fn readiness(State(readiness): State<Arc<dyn Readiness>>) -> Response {
    match readiness.obstacle().await {
        None => json(StatusCode::OK, &json!({"status": "ready"})),
        Some(why) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}
