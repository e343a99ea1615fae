//! `GET /live`: what happens, as it happens, for the script of a page that is open.

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use crate::model::text::Text;
use crate::ports::feed::Happening;
use crate::web::answer::Problem;
use crate::web::pages::query::Query;
use crate::web::pages::visitor::{Visitor, signed_in};
use crate::web::routes::Site;
use crate::web::stream::written;

/// How long nothing is said at the most: proxies end what is silent for longer.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A stream under way.
struct Watching {
    site: Site,
    headers: HeaderMap,
    is_signed_in: bool,
    happenings: BoxStream<'static, Happening>,
    customer: Option<Text>,
    /// When the heart beats next.
    beat: Instant,
    _place: OwnedSemaphorePermit,
}

/// Tells what happens to one customer, or to all.
pub async fn stream(
    State(site): State<Site>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let Some(place) = site.dashboard.stream() else {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open at once")
            .retry_after(Duration::from_secs(30))
            .into_response();
    };
    let customer = Query::of(&uri).get("customer").map(Text::from);
    let happenings = site.feed.watch();
    let watching = Watching {
        is_signed_in: visitor.session.is_some(),
        happenings,
        customer,
        headers,
        beat: Instant::now(),
        _place: place,
        site,
    };
    let stop = watching.site.dashboard.stop.clone();
    let said = unfold(watching, async |mut watching| watching.next().await.map(|said| (said, watching)));
    let said = said.take_until(stop.cancelled_owned()).map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(said));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that collect answers before they pass them on (nginx) leave this one alone.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Watching {
    /// Returns what is said next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            // Also where so much happens that nothing is waited for.
            let happening = if self.beat <= Instant::now() {
                None
            } else {
                timeout_at(self.beat, self.happenings.next()).await.ok()
            };
            match happening {
                None => {
                    self.beat = Instant::now() + HEARTBEAT;
                    let may_look = !self.is_signed_in
                        || signed_in(&self.site.dashboard, &self.headers, false).await.is_some();
                    // Whoever may look no more is told nothing more.
                    return may_look.then(|| Bytes::from_static(b": still here\n\n"));
                }
                Some(None) => return None,
                Some(Some(happening)) if happening.concerns(self.customer.as_ref()) => {
                    return Some(Bytes::from(written(&happening)));
                }
                Some(Some(_)) => {}
            }
        }
    }
}
