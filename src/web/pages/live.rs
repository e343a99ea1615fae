//! `GET /live`: what happens, as it happens, for the script of a page that is open.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;

use crate::model::text::Text;
use crate::web::access::StillMay;
use crate::web::pages::query::Query;
use crate::web::pages::visitor::{Visitor, signed_in};
use crate::web::routes::Site;

/// Tells what happens to one customer, or to all.
pub async fn stream(
    State(site): State<Site>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let customer = Query::of(&uri).get("customer").map(Text::from);
    let is_signed_in = visitor.session.is_some();
    let dashboard = site.dashboard.clone();
    // A page that is open for hours outlasts its session, and shows nothing from then on.
    let still_may = StillMay::new(move || {
        let (dashboard, headers) = (dashboard.clone(), headers.clone());
        async move { !is_signed_in || signed_in(&dashboard, &headers, false).await.is_some() }.boxed()
    });
    match site.watchers.watch(customer, still_may, None) {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}
