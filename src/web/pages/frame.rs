//! What every page has around it: where one is, who one is, and what happened last.

use askama::Template;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, VARY,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;

use crate::model::text::inert;
use crate::ports::access::Role;
use crate::web::answer::Problem;
use crate::web::pages::assets;
use crate::web::pages::link::{Link, of_customer};
use crate::web::pages::visitor::Visitor;
use crate::web::sessions::Notice;

/// What a page may do in a browser: show itself, dressed by this program alone, and ask this program alone.
/// Nothing written into a page runs, also nothing that somebody's name brought.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Which part of the dashboard a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Customers.
    Fleet,
    /// Accounts.
    Accounts,
    /// Reports.
    Reports,
    /// The audit record.
    Audit,
    /// Nothing of these.
    None,
}

/// A step on the way to a page.
#[derive(Debug, Clone)]
pub struct Crumb {
    /// What is read.
    pub name: String,
    /// Where it leads.
    pub address: String,
}

/// What is around a page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The page's name.
    pub title: String,
    /// Which part it belongs to.
    pub section: Section,
    /// The way to it, itself left out.
    pub crumbs: Vec<Crumb>,
    /// Whether it is kept fresh, and for whom: a customer, or everybody if empty.
    pub live: Option<String>,
    /// Who looks.
    pub visitor: Visitor,
    /// What is told once.
    pub notices: Vec<Notice>,
    /// When it was made.
    pub now: Timestamp,
}

impl Frame {
    /// Makes one.
    pub fn new(title: impl Into<String>, section: Section, visitor: Visitor, now: Timestamp) -> Self {
        let notices = visitor.notice.clone().into_iter().collect();
        Self { title: title.into(), section, crumbs: Vec::new(), live: None, visitor, notices, now }
    }

    /// Adds a step on the way to the page.
    #[must_use]
    pub fn below(mut self, name: impl Into<String>, address: impl Into<String>) -> Self {
        self.crumbs.push(Crumb { name: name.into(), address: address.into() });
        self
    }

    /// Adds the steps to the page of a customer, which is above this one.
    #[must_use]
    pub fn below_customer(self, customer: &str) -> Self {
        self.below("Fleet", "/").below(inert(customer), of_customer(customer, ""))
    }

    /// Keeps the page fresh with what happens to a customer, or to everybody.
    #[must_use]
    pub fn live(self, customer: &str) -> Self {
        Self { live: Some(customer.to_owned()), ..self }
    }

    /// Tells something on the page.
    #[must_use]
    pub fn tell(mut self, text: impl Into<String>) -> Self {
        self.notices.push(Notice { is_good: false, text: text.into() });
        self
    }

    /// Where the style sheet is.
    pub fn style(&self) -> String {
        assets::address("intake.css")
    }

    /// Where the script is.
    pub fn script(&self) -> String {
        assets::address("intake.js")
    }

    /// Where the icon is.
    pub fn icon(&self) -> String {
        assets::address("icon.svg")
    }

    /// Where the stream is that keeps the page fresh; empty if it is not.
    pub fn stream(&self) -> String {
        self.live.as_ref().map_or_else(String::new, |live| Link::to("/live").with("customer", live).done())
    }

    /// Which part of the dashboard it belongs to, as the navigation calls it.
    pub fn part(&self) -> &'static str {
        match self.section {
            Section::Fleet => "fleet",
            Section::Accounts => "accounts",
            Section::Reports => "reports",
            Section::Audit => "audit",
            Section::None => "",
        }
    }

    /// Whether who looks may give orders.
    pub fn may_order(&self) -> bool {
        self.visitor.session.is_some() && self.visitor.caller.role == Role::Operator
    }

    /// Who looks, inert; empty where nobody signs in.
    pub fn who(&self) -> String {
        self.visitor
            .session
            .as_ref()
            .map_or_else(String::new, |(_, session)| inert(&session.called).into_owned())
    }

    /// What who looks may do.
    pub fn role(&self) -> &'static str {
        match self.visitor.caller.role {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
        }
    }

    /// What every form carries.
    pub fn form_token(&self) -> &str {
        self.visitor.session.as_ref().map_or("", |(_, session)| session.form_token.as_str())
    }
}

/// Answers with a page.
pub fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(content) => {
            let mut response = Response::new(Body::from(content));
            *response.status_mut() = status;
            let headers = response.headers_mut();
            for (name, value) in [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (CACHE_CONTROL, "no-store"),
                (CONTENT_SECURITY_POLICY, POLICY),
                // With `no-referrer` browsers do not say either that a form comes from this program's own page.
                (REFERRER_POLICY, "same-origin"),
                (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
                (VARY, "cookie"),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
            response
        }
        Err(error) => {
            tracing::error!("a page could not be written: {error}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be written").into_response()
        }
    }
}
