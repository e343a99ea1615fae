//! `/audit`: what was decided, the last first, and who decided it.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::model::event::EventKind;
use crate::model::listing::{EventFilter, FoundEvents};
use crate::model::text::{Text, inert};
use crate::web::pages::event_row::{EventRow, words};
use crate::web::pages::fault::Fault;
use crate::web::pages::frame::{Frame, Section, page};
use crate::web::pages::link::{self, Link};
use crate::web::pages::query::InPath;
use crate::web::pages::query::Query;
use crate::web::pages::visitor::Visitor;
use crate::web::routes::Site;

/// How many events are on a page.
const ON_A_PAGE: usize = 100;
/// How many pages of the store are looked through for one page, where few events fit.
const PATIENCE: usize = 20;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    here: String,
    of_one: bool,
    kinds: Vec<(&'static str, &'static str, bool)>,
    day: String,
    is_filtered: bool,
    rows: Vec<EventRow>,
    newest: Option<String>,
    older: Option<String>,
}

/// Shows the record of all customers.
pub async fn of_all(
    State(site): State<Site>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
) -> Result<Response, Fault> {
    let frame = Frame::new("Audit", Section::Audit, visitor, site.dashboard.gate.clock.now());
    show(&site, None, frame, &Query::of(&uri)).await
}

/// Shows the record of one customer.
pub async fn of_customer(
    State(site): State<Site>,
    Extension(visitor): Extension<Visitor>,
    InPath(name): InPath<String>,
    uri: Uri,
) -> Result<Response, Fault> {
    site.inquiry.document(&name)?;
    let frame = Frame::new(
        format!("Audit of {}", inert(&name)),
        Section::Audit,
        visitor,
        site.dashboard.gate.clock.now(),
    );
    show(&site, Some(&name), frame.below_customer(&name), &Query::of(&uri)).await
}

async fn show(site: &Site, customer: Option<&str>, frame: Frame, query: &Query) -> Result<Response, Fault> {
    let kind = query.one_of("kind", EventKind::ALL.into_iter().map(|kind| (kind.code(), kind)))?;
    let day = query.parsed("day", "it is a day, as 2027-01-31", |day| day.parse::<Date>().ok())?;
    let after = query.parsed("after", "it is a place in the record", |place| place.parse::<i64>().ok())?;
    let (since, until) = match day {
        Some(day) => bounds(day).ok_or_else(|| Fault::bad_filter("day", &day.to_string(), "it is a day"))?,
        None => (Timestamp::MIN, Timestamp::MAX),
    };
    let mut filter = EventFilter {
        kinds: kind.map(|kind| Text::from(kind.code())).into_iter().collect(),
        since,
        until,
        after,
        ..EventFilter::last(customer.map(Text::from), ON_A_PAGE)
    };
    let found = look(site, &mut filter).await?;
    let here = customer.map_or_else(|| "/audit".to_owned(), |name| link::of_customer(name, "/audit"));
    let day = day.map(|day| day.to_string()).unwrap_or_default();
    let code = kind.map_or("", EventKind::code);
    let address =
        |after: &str| Link::to(&*here).with("kind", code).with("day", &day).with("after", after).done();
    let shown = AuditPage {
        of_one: customer.is_some(),
        kinds: EventKind::ALL
            .into_iter()
            .map(|known| (known.code(), words(known).0, Some(known) == kind))
            .collect(),
        is_filtered: kind.is_some() || !day.is_empty(),
        rows: found.events.iter().map(|event| EventRow::of(event, frame.now)).collect(),
        newest: after.map(|_| address("")),
        older: found.next.map(|next| address(&next.to_string())),
        day,
        here,
        frame,
    };
    Ok(page(StatusCode::OK, &shown))
}

/// Looks until a page is full: where few events fit, the store answers with short pages.
async fn look(site: &Site, filter: &mut EventFilter) -> Result<FoundEvents, Fault> {
    let mut all = FoundEvents::default();
    for _ in 0..PATIENCE {
        filter.limit = ON_A_PAGE - all.events.len();
        let found = site.browse.found_events(filter).await;
        let found = found.map_err(|fault| Fault::inside("the audit record cannot be shown", &fault))?;
        all.events.extend(found.events);
        all.next = found.next;
        filter.after = found.next;
        if all.next.is_none() || all.events.len() >= ON_A_PAGE {
            break;
        }
    }
    Ok(all)
}

/// Returns the first and the last moment of a day in UTC.
fn bounds(day: Date) -> Option<(Timestamp, Timestamp)> {
    let begins = |day: Date| day.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let next = begins(day.checked_add(1.day()).ok()?)?;
    Some((begins(day)?, next.checked_sub(1.microsecond()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day_in_utc() {
        let (first, last) = bounds("2027-01-31".parse().expect("a day")).expect("its bounds");
        assert_eq!(first.to_string(), "2027-01-31T00:00:00Z");
        assert_eq!(last.to_string(), "2027-01-31T23:59:59.999999Z");
    }
}
