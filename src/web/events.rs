//! `GET events`, `GET customers/{name}/events`: the audit record, in pages.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::model::event::EventKind;
use crate::model::guid::Guid;
use crate::model::listing::{EventFilter, EventOrder};
use crate::model::text::Text;
use crate::plan::register_view::ListedEvent;
use crate::ports::browse::Browse;
use crate::web::answer::{Problem, json};
use crate::web::asked::{Asked, ListMark, Named, comma_separated, cursor, limit, moment, place, several};
use crate::web::customers::{away, failed, known};
use crate::web::fleet::FleetBoard;

/// How many events a page has.
const USUAL: usize = 100;
const MOST: usize = 1_000;

/// Which events are asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsAsked {
    /// Of which kinds, separated by commas: `account.added`, `hold.recorded`, …
    #[schemars(transform = of_kinds)]
    kind: Option<String>,
    /// Written at this moment or later (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    since: Option<String>,
    /// Written at this moment or earlier (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    until: Option<String>,
    /// `newest` first, which is usual, or `oldest` first.
    order: Option<EventOrder>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// How many at the most.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// Which events of one customer are asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerEventsAsked {
    /// About which account, by its id.
    account: Option<Guid>,
    /// Of which kinds, separated by commas: `account.added`, `hold.recorded`, …
    #[schemars(transform = of_kinds)]
    kind: Option<String>,
    /// Written at this moment or later (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    since: Option<String>,
    /// Written at this moment or earlier (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    until: Option<String>,
    /// `newest` first, which is usual, or `oldest` first.
    order: Option<EventOrder>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// How many at the most.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

fn of_kinds(schema: &mut Schema) {
    comma_separated(schema, &EventKind::ALL.map(EventKind::code));
}

/// A page of events. It may be short, or empty, and not the last: what counts is `next`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventsAnswer {
    /// The events.
    events: Vec<ListedEvent>,
    /// What the next page is asked for with; null if this is the last one.
    next: Option<String>,
}

/// Answers with a page of the whole record.
pub async fn all_events(
    State(browse): State<Arc<dyn Browse>>,
    Asked(asked): Asked<EventsAsked>,
) -> Result<Response, Problem> {
    page(&*browse, None, None, asked).await
}

/// Answers with a page of one customer's record.
pub async fn events(
    State(browse): State<Arc<dyn Browse>>,
    State(board): State<FleetBoard>,
    Named(name): Named<String>,
    Asked(asked): Asked<CustomerEventsAsked>,
) -> Result<Response, Problem> {
    let view = board.view().await.map_err(away)?;
    let customer = known(&view, &name)?.name.clone();
    let CustomerEventsAsked { account, kind, since, until, order, cursor, limit } = asked;
    page(&*browse, Some(customer), account, EventsAsked { kind, since, until, order, cursor, limit }).await
}

async fn page(
    browse: &dyn Browse,
    customer: Option<Text>,
    account: Option<Guid>,
    asked: EventsAsked,
) -> Result<Response, Problem> {
    let known = EventKind::ALL.map(EventKind::code);
    let kinds = several("kind", asked.kind.as_deref(), &known, EventKind::from_code)?;
    let mut filter = EventFilter {
        customer,
        account,
        kinds: kinds.into_iter().map(|kind| Text::from(kind.code())).collect(),
        since: moment("since", asked.since.as_deref(), Timestamp::MIN)?,
        until: moment("until", asked.until.as_deref(), Timestamp::MAX)?,
        order: asked.order.unwrap_or_default(),
        after: None,
        limit: 0,
    };
    let list = ListMark::of("events", &filter);
    filter.after = place(list, asked.cursor.as_deref())?;
    filter.limit = limit(asked.limit, USUAL, MOST)?;
    let found = browse.found_events(&filter).await.map_err(|fault| failed(&fault))?;
    let next = found.next.and_then(|place| cursor(list, &place));
    let events = found.events.iter().map(ListedEvent::of).collect();
    Ok(json(StatusCode::OK, &EventsAnswer { events, next }))
}
