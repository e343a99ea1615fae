//! `/login` and `/logout`: a session for whoever has a token, and its end.

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use crate::model::text::inert;
use crate::ports::access::Role;
use crate::web::access::{Unproved, names_this_machine};
use crate::web::pages::fault::Fault;
use crate::web::pages::form::{Form, origin};
use crate::web::pages::frame::{Frame, Section, page};
use crate::web::pages::link::Link;
use crate::web::pages::query::Query;
use crate::web::pages::visitor::{COOKIE_NAME, Visitor, cookie, redirect, signed_in};
use crate::web::routes::Site;
use crate::web::server::Peer;
use crate::web::sessions::{LIFETIME, Proof};

/// No token is longer, in bytes.
const LONGEST_TOKEN: usize = 4_096;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    next: String,
    wrong: String,
    /// Who else signs people in, and where one goes for it.
    provider: Option<(String, String)>,
    has_tokens: bool,
}

/// Asks who somebody is.
pub async fn ask(State(site): State<Site>, headers: HeaderMap, uri: Uri) -> Response {
    let next = own_address(Query::of(&uri).get("next").unwrap_or_default());
    if signed_in(&site.dashboard, &headers, true).await.is_some() {
        return redirect(&next);
    }
    show(&site, StatusCode::OK, next, "")
}

/// Shows where one signs in, and what went wrong the last time.
pub fn show(site: &Site, status: StatusCode, next: String, wrong: impl Into<String>) -> Response {
    let frame = Frame::new("Sign in", Section::None, Visitor::nobody(), site.dashboard.gate.clock.now());
    let leave = || Link::to("/login/provider").with("next", if next == "/" { "" } else { &next }).done();
    let provider = site.dashboard.sign_in.as_ref();
    let provider = provider.map(|sign_in| (inert(sign_in.provider()).into_owned(), leave()));
    let has_tokens = site.dashboard.gate.tokens.has_tokens();
    page(status, &SignInPage { frame, next, wrong: wrong.into(), provider, has_tokens })
}

/// Whether cookies travel over TLS alone: a browser keeps no secure cookie of a page without it, and would ask again
/// for ever.
///
/// # Errors
/// What whoever comes over the network without TLS is told.
pub fn is_secure(site: &Site, headers: &HeaderMap) -> Result<bool, Fault> {
    match origin(headers) {
        Some((scheme, _)) if scheme == "https" => Ok(true),
        Some(_) if !site.dashboard.is_loopback && !names_this_machine(headers) => {
            Err(Fault::new(StatusCode::BAD_REQUEST, "Nobody signs in over a connection without TLS.")
                .hint("Open this address with https, through a proxy that has a certificate."))
        }
        _ => Ok(!site.dashboard.is_loopback),
    }
}

/// Begins a session.
pub async fn enter(
    State(site): State<Site>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let form = match Form::read(&headers, body).await {
        Ok(form) => form,
        Err(fault) => return fault.into_response(),
    };
    let next = own_address(form.get("next"));
    let is_secure = match is_secure(&site, &headers) {
        Ok(is_secure) => is_secure,
        Err(fault) => return fault.into_response(),
    };
    let token = form.get("token").trim();
    if token.is_empty() || token.len() > LONGEST_TOKEN {
        return show(&site, StatusCode::UNPROCESSABLE_ENTITY, next, "Type a token.");
    }
    let gate = &site.dashboard.gate;
    let peer = peer.map_or(std::net::Ipv4Addr::LOCALHOST.into(), |Extension(peer)| peer.0);
    let (caller, digest) = match gate.try_token(token.as_bytes(), peer).await {
        Ok(proved) => proved,
        Err(Unproved::Unknown) => {
            return show(&site, StatusCode::UNAUTHORIZED, next, "The token is not known.");
        }
        Err(Unproved::Wait(wait)) => {
            let seconds = wait.as_secs().max(1);
            let wrong = format!(
                "There were too many tokens from your address that are none. Wait {seconds} seconds, then try again."
            );
            let mut response = show(&site, StatusCode::TOO_MANY_REQUESTS, next, wrong);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            return response;
        }
    };
    // Whoever was signed in before is not any more.
    if let Some((handle, _)) = signed_in(&site.dashboard, &headers, true).await {
        site.dashboard.sessions.end(handle);
    }
    let name = caller.name.unwrap_or_default();
    let begun = {
        let (proof, now) = (Proof::Token(digest), gate.clock.now());
        site.dashboard.sessions.begin(name.clone(), name.clone(), caller.role, proof, now)
    };
    let Some(id) = begun else { return Fault::no_session().into_response() };
    let role = if caller.role == Role::Operator { "operator" } else { "viewer" };
    tracing::info!(%name, role, %peer, "somebody signed in");
    let mut response = redirect(&next);
    let cookie_name = site.dashboard.cookie_name(COOKIE_NAME, is_secure);
    set_cookie(&mut response, &cookie_name, &id, LIFETIME.as_secs(), is_secure);
    response
}

/// Ends a session.
pub async fn leave(
    State(site): State<Site>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let form = match Form::read(&headers, body).await {
        Ok(form) => form,
        Err(fault) => return fault.into_response(),
    };
    let Some((handle, session)) = &visitor.session else { return Fault::nothing_there().into_response() };
    if !session.owns(form.get("session")) {
        return Fault::forged().into_response();
    }
    site.dashboard.sessions.end(*handle);
    tracing::info!(name = %session.name, "somebody signed out");
    let mut response = redirect("/login");
    for (name, is_secure) in site.dashboard.cookie_names(COOKIE_NAME) {
        if cookie(&headers, &name).is_some() {
            set_cookie(&mut response, &name, "", 0, is_secure);
        }
    }
    response
}

/// Has a browser keep something, for requests from pages of this program alone.
pub fn set_cookie(response: &mut Response, name: &str, value: &str, seconds: i64, is_secure: bool) {
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// Returns an address of this program's own: nobody is sent elsewhere for having signed in here.
pub fn own_address(wanted: &str) -> String {
    let is_own = wanted.starts_with('/')
        && !wanted.starts_with("//")
        && wanted.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !wanted.starts_with("/login");
    if is_own { wanted.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(own_address("/customers/a?x=1"), "/customers/a?x=1");
        for wrong in
            ["", "//evil.example", "https://evil.example", "/\\evil.example", "/\r\nx", "/login?next=/", "x"]
        {
            assert_eq!(own_address(wrong), "/", "{wrong:?}");
        }
    }
}
