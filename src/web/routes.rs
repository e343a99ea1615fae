//! Which address is answered by what.

use std::sync::Arc;

use axum::extract::{FromRef, MatchedPath, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tracing::Instrument as _;

use crate::ports::browse::Browse;
use crate::ports::control::Control;
use crate::ports::feed::Feed;
use crate::ports::inquiry::Inquiry;
use crate::ports::meter::Readout;
use crate::ports::readiness::Readiness;
use crate::web::access;
use crate::web::answer::{Problem, wrong_method};
use crate::web::endpoints::endpoints;
use crate::web::entity_tag;
use crate::web::fleet::FleetBoard;
use crate::web::health::{liveness, readiness};
use crate::web::metrics::metrics;
use crate::web::openapi::{Document, Endpoint, document};
use crate::web::pages::dashboard::Dashboard;
use crate::web::pages::{addresses, fault};
use crate::web::plans::Plans;
use crate::web::stream::Watchers;

/// What everything here is answered from.
#[derive(Clone)]
pub struct Site {
    /// Whether the program can do its work.
    pub readiness: Arc<dyn Readiness>,
    /// Plans candidates.
    pub plans: Plans,
    /// Takes orders.
    pub control: Arc<dyn Control>,
    /// What was counted.
    pub readout: Arc<dyn Readout>,
    /// What is known of accounts and events, in pages.
    pub browse: Arc<dyn Browse>,
    /// How the fleet stands.
    pub fleet: FleetBoard,
    /// Plans and explains customers of the tree in force.
    pub inquiry: Arc<dyn Inquiry>,
    /// What happens.
    pub feed: Arc<dyn Feed>,
    /// Who is told.
    pub watchers: Watchers,
    /// What the dashboard needs besides.
    pub dashboard: Arc<Dashboard>,
}

/// Lets an answer ask for the one part of the site that it is made from.
macro_rules! parts {
    ($($part:ident: $kind:ty),* $(,)?) => {
        $(impl FromRef<Site> for $kind {
            fn from_ref(site: &Site) -> Self {
                site.$part.clone()
            }
        })*
    };
}

parts! {
    readiness: Arc<dyn Readiness>,
    plans: Plans,
    control: Arc<dyn Control>,
    readout: Arc<dyn Readout>,
    browse: Arc<dyn Browse>,
    fleet: FleetBoard,
    inquiry: Arc<dyn Inquiry>,
    feed: Arc<dyn Feed>,
    watchers: Watchers,
}

/// What goes with every answer. Nothing here is for a browser to run, to frame, to keep or to guess at.
const HEADERS: [(HeaderName, &str); 6] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Returns what answers.
pub fn routes(site: Site) -> Router {
    let for_viewers = from_fn_with_state(site.dashboard.gate.clone(), access::check);
    let mut api = Router::new();
    for Endpoint { path, operation, route } in endpoints() {
        let route = match operation.method {
            "post" => route.fallback(only_post),
            _ => route.fallback(only_get),
        };
        api = api.route(path, route);
    }
    let api = api
        .fallback(nothing_there)
        .layer(Extension(Document::new(|| document(&endpoints()))))
        .layer(from_fn(entity_tag::tag))
        .layer(for_viewers.clone());
    Router::new()
        .route("/healthz", get(liveness).fallback(only_get))
        .route("/readyz", get(readiness).fallback(only_get))
        .route("/metrics", get(metrics).fallback(only_get).layer(for_viewers))
        .nest("/api/v1", api)
        .merge(addresses::pages(&site))
        .fallback(nowhere)
        .with_state(site)
        .layer(from_fn(with_headers))
        .layer(from_fn(traced))
}

async fn nothing_there() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address")
}

async fn nowhere(headers: HeaderMap) -> Response {
    if fault::is_for_browser(&headers) { fault::nowhere() } else { nothing_there().await.into_response() }
}

async fn only_get() -> Response {
    wrong_method("GET, HEAD")
}

async fn only_post() -> Response {
    wrong_method("POST")
}

/// Traces a request by the pattern of its address: the address itself may name people.
async fn traced(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("(nothing)", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.name = format!("{method} {route}"),
        http.route = route,
        http.response.status_code = tracing::field::Empty
    );
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    response
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        // A page says for itself what it takes to be shown.
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
