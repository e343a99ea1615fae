//! `/login/provider` and `/login/done`: signing in by somebody who knows people, there and back.

use std::net::Ipv4Addr;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};

use crate::model::digest::Digest;
use crate::ports::access::Role;
use crate::ports::sign_in::{Kept, NotSignedIn, Return, SIGNED_IN};
use crate::web::pages::fault::Fault;
use crate::web::pages::frame::{Frame, Section, page};
use crate::web::pages::query::Query;
use crate::web::pages::sign_in::{is_secure, own_address, set_cookie, show};
use crate::web::pages::visitor::{COOKIE_NAME, Visitor, cookie, redirect, signed_in};
use crate::web::routes::Site;
use crate::web::server::Peer;
use crate::web::sessions::{LIFETIME, Proof};

/// What a browser keeps while it is away: what its return has to fit. It is for that browser alone to know, and it
/// is the one that holds it, so that nobody else can fill a memory with sign-ins that never end.
const AWAY_NAME: &str = "intake-sign-in";
/// The same over TLS: under a name that browsers take from this very host alone, and over TLS alone (RFC 6265bis, 4.1.3.2).
/// Otherwise a neighbour of its domain could have somebody come back to a sign-in that is not theirs.
const AWAY_NAME_OVER_TLS: &str = "__Host-intake-sign-in";
/// How long it may be away, in seconds.
const AWAY: u64 = 600;

#[derive(Template)]
#[template(path = "signed_in.html")]
struct SignedInPage {
    frame: Frame,
    next: String,
}

/// Sends a browser to the provider.
pub async fn depart(State(site): State<Site>, headers: HeaderMap, uri: Uri) -> Response {
    let Some(sign_in) = &site.dashboard.sign_in else { return Fault::nothing_there().into_response() };
    let next = own_address(Query::of(&uri).get("next").unwrap_or_default());
    if let Err(fault) = is_secure(&site, &headers) {
        return fault.into_response();
    }
    // People come by the address that the provider sends them back to.
    let is_secure = sign_in.is_over_tls();
    match sign_in.begin().await {
        Ok(departure) => {
            let mut response = redirect(&departure.url);
            keep(&mut response, &written(&departure.kept, &next), AWAY, is_secure);
            response
        }
        Err(fault) => refused(&site, next, &fault),
    }
}

/// Takes a browser back, and begins a session of whoever the provider says that it is.
pub async fn come_back(
    State(site): State<Site>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let Some(sign_in) = &site.dashboard.sign_in else { return Fault::nothing_there().into_response() };
    let is_secure = sign_in.is_over_tls();
    let away = cookie(&headers, away_name(is_secure));
    let Some((kept, next)) = away.and_then(read) else {
        let wrong = "This sign-in took too long, or began in another browser. Begin anew.";
        return show(&site, StatusCode::BAD_REQUEST, "/".to_owned(), wrong);
    };
    let query = Query::of(&uri);
    let said = |name: &str| query.get(name).map(str::to_owned);
    let back = Return {
        state: said("state").unwrap_or_default(),
        code: said("code").map(SecretString::from),
        issuer: said("iss"),
        error: said("error"),
    };
    // The provider is asked for each: not for whoever makes returns up.
    let peer = peer.map_or(Ipv4Addr::LOCALHOST.into(), |Extension(peer)| peer.0);
    // All of what came is whoever made it up: each other code with the same cookie is another guess.
    let tried = [away.unwrap_or_default(), uri.query().unwrap_or_default()].join("?");
    let tried = Digest::of(tried.as_bytes());
    let attempts = &site.dashboard.gate.attempts;
    if let Err(wait) = attempts.begin(peer, tried, site.dashboard.gate.clock.now()) {
        let wrong =
            format!("Too many sign-ins from your address failed. Wait {} seconds.", wait.as_secs().max(1));
        return show(&site, StatusCode::TOO_MANY_REQUESTS, next, wrong);
    }
    let mut response = match sign_in.finish(&kept, &back).await {
        Ok(signed_in_as) => {
            attempts.succeeded(peer, tried);
            // Whoever was signed in before is not any more.
            if let Some((handle, _)) = signed_in(&site.dashboard, &headers, true).await {
                site.dashboard.sessions.end(handle);
            }
            let now = site.dashboard.gate.clock.now();
            let (name, called, role) = (signed_in_as.identity, signed_in_as.name, signed_in_as.role);
            let begun = site.dashboard.sessions.begin(name.clone(), called, role, Proof::Provider, now);
            let Some(id) = begun else { return Fault::no_session().into_response() };
            let word = if role == Role::Operator { "operator" } else { "viewer" };
            tracing::info!(%name, role = word, "somebody signed in by the provider");
            // No redirection: the browser came from elsewhere, and does not send a cookie that is for
            // this site alone until a page of this site leads on.
            let frame = Frame::new("Signed in", Section::None, Visitor::nobody(), now);
            let mut response = page(StatusCode::OK, &SignedInPage { frame, next });
            let cookie_name = site.dashboard.cookie_name(COOKIE_NAME, is_secure);
            set_cookie(&mut response, &cookie_name, &id, LIFETIME.as_secs(), is_secure);
            response
        }
        Err(fault) => refused(&site, next, &fault),
    };
    keep(&mut response, "", 0, is_secure);
    response
}

/// Says why nobody was signed in; what the provider said is for the log.
fn refused(site: &Site, next: String, fault: &NotSignedIn) -> Response {
    let (status, wrong) = match fault {
        NotSignedIn::Unavailable { what } => {
            tracing::error!("nobody can sign in by the provider: {what}");
            let wrong = "The provider does not answer as it should. The log of the controller says why.";
            (StatusCode::BAD_GATEWAY, wrong.to_owned())
        }
        NotSignedIn::Refused { what } => {
            tracing::warn!("a sign-in was refused: {what}");
            let wrong = "That sign-in cannot be used. Begin anew; the log of the controller says why.";
            (StatusCode::FORBIDDEN, wrong.to_owned())
        }
        NotSignedIn::Declined { what } => {
            tracing::info!("the provider did not sign somebody in: {what}");
            (StatusCode::FORBIDDEN, "The provider did not sign you in.".to_owned())
        }
        NotSignedIn::NoRole { name } => {
            tracing::warn!(%name, "somebody without a role wanted to sign in");
            let wrong = format!(
                "{name} has no role here. Whoever runs this controller gives one, at the provider or in `auth.oidc.roles`."
            );
            (StatusCode::FORBIDDEN, wrong)
        }
    };
    show(site, status, next, wrong)
}

fn away_name(is_secure: bool) -> &'static str {
    if is_secure { AWAY_NAME_OVER_TLS } else { AWAY_NAME }
}

/// Has a browser keep what it needs when it comes back: from another site, which `Lax` lets through.
fn keep(response: &mut Response, value: &str, seconds: u64, is_secure: bool) {
    let name = away_name(is_secure);
    // The prefix of the name asks for the whole host.
    let (path, secure) = if is_secure { ("/", "; Secure") } else { (SIGNED_IN, "") };
    let cookie = format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

fn written(kept: &Kept, next: &str) -> String {
    let secrets = [&kept.state, &kept.nonce, &kept.verifier].map(|secret| secret.expose_secret());
    format!("{}.{}", secrets.join("."), URL_SAFE_NO_PAD.encode(next))
}

fn read(written: &str) -> Option<(Kept, String)> {
    let parts: Vec<&str> = written.split('.').collect();
    let [state, nonce, verifier, next] = parts[..] else { return None };
    if [state, nonce, verifier].iter().any(|secret| secret.is_empty()) {
        return None;
    }
    let next = String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?;
    let [state, nonce, verifier] = [state, nonce, verifier].map(SecretString::from);
    Some((Kept { state, nonce, verifier }, own_address(&next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_keeps_reads_back_and_leads_nowhere_else() {
        let [state, nonce, verifier] = ["s-1", "n_2", "v3"].map(SecretString::from);
        let kept = Kept { state, nonce, verifier };
        let text = written(&kept, "/customers/a?x=1");
        let (read_back, next) = read(&text).expect("it reads back");
        assert_eq!(next, "/customers/a?x=1");
        assert_eq!(read_back.verifier.expose_secret(), "v3");
        assert_eq!(read_back.nonce.expose_secret(), "n_2");
        assert_eq!(read_back.state.expose_secret(), "s-1");
        assert_eq!(read(&written(&kept, "//evil.example")).expect("it reads back").1, "/");
        for wrong in ["", "a.b.c", "a.b.c.*", "..a.", &format!("{text}.x")] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }
}
