//! Forms that pages send: which fields they have, and whether they come from a page of this program at all.

use axum::body::Body;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use url::form_urlencoded::parse;

use crate::web::body;
use crate::web::pages::fault::Fault;

/// The largest form, in bytes.
const LARGEST: usize = 16 * 1024;
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The fields of a form; of several by one name the first.
#[derive(Debug)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads one that a page of this program sent.
    ///
    /// # Errors
    /// If another page sent it, or it is none.
    pub async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Fault> {
        expect_own_page(headers)?;
        let content = body::read_form(headers, body, LARGEST).await.map_err(|problem| Fault::of(&problem))?;
        Ok(Self(parse(&content).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }

    /// Returns a field; empty if it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// Expects that a page of this program sent a form. Browsers say so where a page cannot: by `Sec-Fetch-Site`,
/// and those that do not by `Origin`. Whoever says neither is no browser that a person looks at pages with.
fn expect_own_page(headers: &HeaderMap) -> Result<(), Fault> {
    let is_own = match headers.get(FETCH_SITE) {
        Some(site) => site.as_bytes() == b"same-origin",
        None => origin(headers).is_some_and(|(_, host)| {
            headers.get(HOST).is_some_and(|own| own.as_bytes().eq_ignore_ascii_case(host.as_bytes()))
        }),
    };
    if is_own { Ok(()) } else { Err(Fault::forged()) }
}

/// Returns the scheme and the host, with its port, of the page that a form was sent from, where the browser
/// tells.
pub fn origin(headers: &HeaderMap) -> Option<(String, String)> {
    let origin: Uri = headers.get(ORIGIN)?.to_str().ok()?.parse().ok()?;
    Some((origin.scheme_str()?.to_owned(), origin.authority()?.to_string()))
}

/// Returns the reason that a form gives.
///
/// # Errors
/// If it is empty or too long.
pub fn reason(form: &Form) -> Result<String, Fault> {
    let reason = form.get("reason").trim();
    let length = reason.chars().count();
    if length == 0 || length > LONGEST_REASON {
        let what = if length == 0 {
            "Suspending needs a reason.".to_owned()
        } else {
            format!("The reason is longer than {LONGEST_REASON} characters.")
        };
        return Err(Fault::new(StatusCode::UNPROCESSABLE_ENTITY, what)
            .hint("Say in a sentence why, for whoever finds the customer suspended."));
    }
    Ok(reason.to_owned())
}

/// How long a reason may be, in characters.
pub const LONGEST_REASON: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own(headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            (HeaderName::from_static(name), axum::http::HeaderValue::from_static(value))
        });
        expect_own_page(&headers.collect()).is_ok()
    }

    #[test]
    fn only_pages_of_this_program_send_forms() {
        let host = ("host", "intake.example:8080");
        assert!(is_own(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(is_own(&[host, ("origin", "http://intake.example:8080")]));
        assert!(is_own(&[host, ("origin", "https://Intake.example:8080")]));
        for forged in [
            &[host][..],
            &[host, ("origin", "null")],
            &[host, ("origin", "http://intake.example")],
            &[host, ("origin", "http://evil.example")],
            &[host, ("origin", "http://intake.example:8080.evil.example")],
            &[host, ("sec-fetch-site", "cross-site"), ("origin", "http://intake.example:8080")],
            &[host, ("sec-fetch-site", "same-site"), ("origin", "http://intake.example:8080")],
            &[host, ("sec-fetch-site", "none")],
            &[("origin", "http://intake.example:8080")],
        ] {
            assert!(!is_own(forged), "{forged:?}");
        }
    }
}
