//! Which page is at which address.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::ports::sign_in::SIGNED_IN;
use crate::web::pages::fault::Fault;
use crate::web::pages::{
    account, accounts, assets, audit, customer, fleet, live, orders, provider, reports, sign_in, visitor,
};
use crate::web::routes::Site;

/// Returns the pages, for whoever may see them.
pub fn pages(site: &Site) -> Router<Site> {
    let pages = Router::new()
        .route("/", get(fleet::show).fallback(only_get))
        .route("/accounts", get(accounts::of_all).fallback(only_get))
        .route("/audit", get(audit::of_all).fallback(only_get))
        .route("/reports", get(reports::of_all).fallback(only_get))
        .route("/reports.csv", get(reports::of_all_as_csv).fallback(only_get))
        .route("/customers/{name}", get(customer::show).fallback(only_get))
        .route("/customers/{name}/accounts", get(accounts::of_customer).fallback(only_get))
        .route("/customers/{name}/accounts/{id}", get(account::show).fallback(only_get))
        .route("/customers/{name}/audit", get(audit::of_customer).fallback(only_get))
        .route("/customers/{name}/reports", get(reports::of_customer).fallback(only_get))
        .route(
            "/customers/{name}/reports/in-scope-without-license.csv",
            get(reports::without_licence_as_csv).fallback(only_get),
        )
        .route(
            "/customers/{name}/reports/licensed-outside-scope.csv",
            get(reports::outside_scope_as_csv).fallback(only_get),
        )
        .route(
            "/customers/{name}/reports/not-imported.csv",
            get(reports::candidates_as_csv).fallback(only_get),
        )
        .route("/customers/{name}/sync", post(orders::sync).fallback(only_post))
        .route("/customers/{name}/suspend", post(orders::suspend).fallback(only_post))
        .route("/customers/{name}/resume", post(orders::resume).fallback(only_post))
        .route("/logout", post(sign_in::leave).fallback(only_post))
        .route("/live", get(live::stream).fallback(only_get))
        .layer(from_fn_with_state(site.clone(), visitor::admit));
    let sign_in = Router::new()
        .route("/login", get(sign_in::ask).post(sign_in::enter).fallback(get_or_post))
        .route("/login/provider", get(provider::depart).fallback(only_get))
        .route(SIGNED_IN, get(provider::come_back).fallback(only_get))
        .layer(from_fn_with_state(site.clone(), visitor::receive));
    Router::new()
        .merge(pages)
        .merge(sign_in)
        .route("/assets/{version}/{name}", get(assets::asset).fallback(assets::only_get))
}

async fn only_get() -> Fault {
    Fault::wrong_method("GET, HEAD")
}

async fn only_post() -> Fault {
    Fault::wrong_method("POST")
}

async fn get_or_post() -> Fault {
    Fault::wrong_method("GET, HEAD, POST")
}
