//! Orders of an operator about one customer, given by the buttons of its page.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::model::text::{Text, inert};
use crate::web::pages::fault::Fault;
use crate::web::pages::form::{Form, reason};
use crate::web::pages::link::of_customer;
use crate::web::pages::query::InPath;
use crate::web::pages::visitor::{Visitor, redirect};
use crate::web::routes::Site;
use crate::web::sessions::Notice;

type Who = Extension<Visitor>;

/// Has a turn begin now.
pub async fn sync(
    State(site): State<Site>,
    Extension(visitor): Who,
    InPath(name): InPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let form = Form::read(&headers, body).await?;
    let by = visitor.expect_operator(&form)?;
    site.control.sync(&name, by).await?;
    Ok(done(&site, &visitor, &name, true, "A turn begins now."))
}

/// Has nothing more written.
pub async fn suspend(
    State(site): State<Site>,
    Extension(visitor): Who,
    InPath(name): InPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let form = Form::read(&headers, body).await?;
    let by = visitor.expect_operator(&form)?;
    let standing = site.control.suspend(&name, by, reason(&form)?).await?;
    let text = match standing.suspension {
        Some(before) if !standing.changed => {
            format!("{} was suspended already by {}.", inert(&name), inert(&before.by))
        }
        _ => format!("{} is suspended: nothing is written for it until somebody resumes it.", inert(&name)),
    };
    Ok(done(&site, &visitor, &name, standing.changed, text))
}

/// Lifts that.
pub async fn resume(
    State(site): State<Site>,
    Extension(visitor): Who,
    InPath(name): InPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let form = Form::read(&headers, body).await?;
    let by: &Text = visitor.expect_operator(&form)?;
    let standing = site.control.resume(&name, by).await?;
    let name_shown = inert(&name);
    let text = match (standing.changed, standing.suspended_in_tree) {
        (true, true) => format!("{name_shown} stays suspended: its document says `suspend: true`."),
        (true, false) => format!("{name_shown} is resumed, and a turn begins now."),
        (false, _) => format!("{name_shown} was not suspended."),
    };
    Ok(done(&site, &visitor, &name, standing.changed && !standing.suspended_in_tree, text))
}

/// Leads back to the page, which tells what came of it.
fn done(
    site: &Site,
    visitor: &Visitor,
    name: &str,
    is_good: bool,
    text: impl Into<String> + Send,
) -> Response {
    if let Some((handle, _)) = visitor.session {
        site.dashboard.sessions.tell(handle, Notice { is_good, text: text.into() });
    }
    redirect(&of_customer(name, ""))
}
