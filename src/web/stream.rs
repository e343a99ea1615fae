//! `GET stream`, `GET customers/{name}/stream`: what happens, as it happens, as server-sent events (HTML, section
//! 9.2 of the living standard); and for pages that are open.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::model::text::Text;
use crate::plan::inert_json::json_line;
use crate::ports::feed::{Feed, Happening};
use crate::web::access::StillMay;
use crate::web::answer::Problem;
use crate::web::asked::Named;
use crate::web::customers::{away, known};
use crate::web::fleet::FleetBoard;

/// How many watch at once. Each holds a connection, and whoever asks briefly needs some as well.
const WATCHERS: usize = 100;
/// How often something is sent although nothing happened: proxies end connections that are silent.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a program is told. Whoever comes back says again who they are, and looks anew.
const LASTING: Duration = Duration::from_secs(10 * 60);
/// When to come back where there are too many.
const COME_BACK: Duration = Duration::from_secs(30);
/// How long a browser waits before it comes back, in milliseconds, and its first words.
const GREETING: &str = "retry: 5000\n\n: watching\n\n";

/// Whoever watches, as many as may.
#[derive(Clone)]
pub struct Watchers {
    feed: Arc<dyn Feed>,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Watchers {
    /// Makes places for watchers. Their streams end when `stop` is cancelled.
    pub fn new(feed: Arc<dyn Feed>, stop: CancellationToken) -> Self {
        Self { feed, places: Arc::new(Semaphore::new(WATCHERS)), stop }
    }

    /// Answers with what happens from now on: to one customer, or to all. Whoever may look no more is told nothing
    /// more; `lasting` says after how long it ends by itself.
    ///
    /// # Errors
    /// If too many watch.
    pub fn watch(
        &self,
        customer: Option<Text>,
        still_may: StillMay,
        lasting: Option<Duration>,
    ) -> Result<Response, Problem> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{WATCHERS} watch already"))
                .retry_after(COME_BACK)
        })?;
        let is_told = move |happening: &Happening| happening.concerns(customer.as_ref());
        let told = self.feed.watch().filter(move |happening| std::future::ready(is_told(happening)));
        let mut beat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ends = lasting.map(|lasting| Instant::now() + lasting);
        let watching =
            Watching { told: told.boxed(), beat, ends, still_may, stop: self.stop.clone(), _place: place };
        let words = stream::unfold(watching, next);
        let greeting = stream::once(std::future::ready(Ok(Bytes::from_static(GREETING.as_bytes()))));
        let mut response = Response::new(Body::from_stream(greeting.chain(words)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        // Proxies that collect answers before they pass them on (nginx) leave this one alone.
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        Ok(response)
    }
}

/// Somebody who watches.
struct Watching {
    told: BoxStream<'static, Happening>,
    beat: Interval,
    ends: Option<Instant>,
    still_may: StillMay,
    stop: CancellationToken,
    /// Given back when they are gone.
    _place: OwnedSemaphorePermit,
}

/// Returns the next words: what happened, or that nothing did.
async fn next(mut watching: Watching) -> Option<(Result<Bytes, Infallible>, Watching)> {
    let ends = watching.ends;
    let over = async move {
        match ends {
            Some(ends) => tokio::time::sleep_until(ends).await,
            None => std::future::pending().await,
        }
    };
    let words = tokio::select! {
        biased;
        () = watching.stop.cancelled() => return None,
        () = over => return None,
        // Before what happens: also where so much does that nothing is waited for.
        _ = watching.beat.tick() => {
            if !watching.still_may.ask().await {
                return None;
            }
            ": nothing new\n\n".to_owned()
        }
        happening = watching.told.next() => written(&happening?),
    };
    Some((Ok(Bytes::from(words)), watching))
}

/// Returns something that happened as an event of a stream.
pub fn written(happening: &Happening) -> String {
    let data = json_line(happening).unwrap_or_default();
    format!("event: {}\ndata: {}\n\n", happening.code(), data.trim_end())
}

/// Answers with what happens to anybody.
pub async fn fleet_stream(
    State(watchers): State<Watchers>,
    Extension(still_may): Extension<StillMay>,
) -> Result<Response, Problem> {
    watchers.watch(None, still_may, Some(LASTING))
}

/// Answers with what happens to one customer.
pub async fn customer_stream(
    State(watchers): State<Watchers>,
    State(board): State<FleetBoard>,
    Extension(still_may): Extension<StillMay>,
    Named(name): Named<String>,
) -> Result<Response, Problem> {
    let view = board.view().await.map_err(away)?;
    watchers.watch(Some(known(&view, &name)?.name.clone()), still_may, Some(LASTING))
}
