//! Who looks at a page: somebody signed in, or whoever sits at this machine where there are no tokens.

use axum::extract::{Request, State};
use axum::http::header::{COOKIE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::model::text::Text;
use crate::ports::access::Role;
use crate::web::access::{Caller, names_this_machine};
use crate::web::pages::dashboard::Dashboard;
use crate::web::pages::fault::Fault;
use crate::web::pages::form::Form;
use crate::web::pages::link::Link;
use crate::web::routes::Site;
use crate::web::sessions::{Handle, Notice, Proof, Session};

/// What the cookie is called that holds a session's id.
pub const COOKIE_NAME: &str = "intake-session";
/// Said by a page that looks by itself, without a person.
pub const REFRESH: HeaderName = HeaderName::from_static("intake-refresh");

/// Whoever looks.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Who it is, and what they may do.
    pub caller: Caller,
    /// Their session; `None` where there are no tokens.
    pub session: Option<(Handle, Session)>,
    /// What they are told once.
    pub notice: Option<Notice>,
}

impl Visitor {
    /// Somebody of whom nothing is known.
    pub fn nobody() -> Self {
        Self { caller: Caller { name: None, role: Role::Viewer }, session: None, notice: None }
    }

    /// Expects that an operator sent a form from a page of their session; returns who it is.
    ///
    /// # Errors
    /// What everybody else is told.
    pub fn expect_operator(&self, form: &Form) -> Result<&Text, Fault> {
        let Some((_, session)) = &self.session else { return Err(Fault::only_operators()) };
        if !session.owns(form.get("session")) {
            return Err(Fault::forged());
        }
        self.caller.expect_operator().map_err(|_| Fault::only_operators())
    }
}

/// Lets in who may look, or sends them to sign in; what goes wrong becomes a page of theirs.
pub async fn admit(State(site): State<Site>, mut request: Request, next: Next) -> Response {
    let dashboard = &site.dashboard;
    let now = dashboard.gate.clock.now();
    if dashboard.gate.tokens.is_empty() {
        if !names_this_machine(request.headers()) {
            return elsewhere().show(Visitor::nobody(), now);
        }
        request.extensions_mut().insert(Visitor::nobody());
        return with_fault(next.run(request).await, Visitor::nobody(), now);
    }
    let by_person = !request.headers().contains_key(REFRESH) && request.uri().path() != "/live";
    let Some((handle, session)) = signed_in(dashboard, request.headers(), by_person).await else {
        return to_sign_in(&request, by_person);
    };
    let caller = Caller { name: Some(session.name.clone()), role: session.role };
    // What is told once is told by a page that a person sees.
    let is_page = by_person && request.method() == Method::GET;
    let notice = if is_page { dashboard.sessions.take_notice(handle) } else { None };
    let visitor = Visitor { caller, session: Some((handle, session)), notice };
    request.extensions_mut().insert(visitor.clone());
    with_fault(next.run(request).await, visitor, now)
}

/// Lets everybody to the page where one signs in, if there is anything to sign in with.
pub async fn receive(State(site): State<Site>, request: Request, next: Next) -> Response {
    let gate = &site.dashboard.gate;
    if gate.tokens.is_empty() {
        let fault = if names_this_machine(request.headers()) { Fault::nothing_there() } else { elsewhere() };
        return fault.show(Visitor::nobody(), gate.clock.now());
    }
    with_fault(next.run(request).await, Visitor::nobody(), gate.clock.now())
}

/// Returns the session of whoever asks, if what proved it is still true.
pub async fn signed_in(
    dashboard: &Dashboard,
    headers: &HeaderMap,
    by_person: bool,
) -> Option<(Handle, Session)> {
    let names = dashboard.cookie_names(COOKIE_NAME);
    let mut ids = names.iter().filter_map(|(name, _)| cookie(headers, name));
    let now = dashboard.gate.clock.now();
    let (handle, session) = ids.find_map(|id| dashboard.sessions.find(id, now, by_person))?;
    let is_still = match session.proof {
        Proof::Token(digest) => dashboard.gate.is_still(digest, &session.name, session.role).await,
        Proof::Provider => true,
    };
    if is_still {
        return Some((handle, session));
    }
    tracing::info!(name = %session.name, "a session ended with its token");
    dashboard.sessions.end(handle);
    None
}

/// Returns what a browser kept.
pub fn cookie<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

fn elsewhere() -> Fault {
    Fault::new(
        StatusCode::MISDIRECTED_REQUEST,
        "Without tokens, only requests to an address of this machine are answered.",
    )
    .hint("Open 127.0.0.1 or localhost; for a name, add `auth: {tokens: …}` to the operator's file.")
}

fn to_sign_in(request: &Request, by_person: bool) -> Response {
    if !by_person {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    // Whoever's session ended while they filled a form in is not sent back to what takes forms alone.
    let is_page = matches!(*request.method(), Method::GET | Method::HEAD);
    let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
    let wanted = if is_page && wanted != "/" && wanted.len() <= 2_000 { wanted } else { "" };
    redirect(&Link::to("/login").with("next", wanted).done())
}

/// Answers that what was asked for is elsewhere.
pub fn redirect(address: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let location = HeaderValue::from_str(address).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, location);
    response
}

fn with_fault(response: Response, visitor: Visitor, now: jiff::Timestamp) -> Response {
    match response.extensions().get::<Fault>() {
        Some(fault) => fault.clone().show(visitor, now),
        None => response,
    }
}
