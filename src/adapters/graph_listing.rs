//! Listings of Microsoft Graph, page by page: tokens, patience, and what its refusals mean.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::adapters::graph_application::Application;
use crate::adapters::graph_limiter::Limiters;
use crate::adapters::graph_token::{Token, TokenCache};
use crate::adapters::http::{Again, Answer, Failed, HttpClient, Request, quoted};
use crate::adapters::http_patience::Patience;
use crate::adapters::tenant_object::{Listing, read_listing};
use crate::model::reading::{Fault, FaultKind};
use crate::ports::meter::Asked;

/// The largest page, in bytes: 999 users with long lists of licences stay far below.
const MAX_PAGE: usize = 64 * 1024 * 1024;

/// How many pages a listing may have. A tenant of five million users has 5,006.
const MAX_PAGES: usize = 20_000;

/// The codes that say that a link to the next page does not work any more.
const EXPIRED_PAGE: [&str; 2] = ["Directory_ExpiredPageToken", "DirectoryPageTokenNotFoundException"];

/// The code that says that the tenant does not know the application.
const UNKNOWN_APPLICATION: &str = "Authorization_IdentityNotFound";

/// One tenant's Graph, for one reading.
pub(crate) struct Graph<'a> {
    /// The client.
    pub(crate) client: &'a HttpClient,
    /// All tenants' tokens.
    pub(crate) tokens: &'a TokenCache,
    /// All tenants' limiters.
    pub(crate) limiters: &'a Limiters,
    /// With whose rights.
    pub(crate) application: &'a Application,
    /// What is left for faults.
    pub(crate) patience: &'a Patience,
}

/// Where a listing is.
pub(crate) struct Pages {
    next: Option<Url>,
    seen: HashSet<Url>,
    /// How many pages were read.
    pub(crate) read: usize,
    /// Where a listing of what changed since this one begins, from the last page of one that tells.
    pub(crate) delta: Option<Url>,
}

/// Why a reading of a tenant ended before its end.
pub(crate) struct Ended {
    /// What went wrong.
    pub(crate) failed: Box<Failed>,
    /// What was being read.
    pub(crate) reading: &'static str,
    /// Whether a page had arrived, so that the source did answer.
    pub(crate) pages: usize,
    /// How many users had arrived.
    pub(crate) users: usize,
}

impl Ended {
    /// Makes one.
    pub(crate) fn new(failed: Failed, reading: &'static str, pages: usize, users: usize) -> Self {
        Self { failed: Box::new(failed), reading, pages, users }
    }
}

impl Pages {
    /// Starts a listing.
    pub(crate) fn new(first: Url) -> Self {
        Self { seen: HashSet::from([first.clone()]), next: Some(first), read: 0, delta: None }
    }
}

/// Whether a listing has to be started anew: its link to the next page expired.
pub(crate) fn is_expired_page(failed: &Failed) -> bool {
    failed.code.as_deref().is_some_and(|code| EXPIRED_PAGE.contains(&code))
}

impl Graph<'_> {
    /// Returns the address of a path of Graph.
    ///
    /// # Errors
    /// One that cannot be.
    pub(crate) fn address(&self, path: &str) -> Result<Url, Failed> {
        self.application.graph(path).map_err(|fault| Failed::new(fault, Again::Never))
    }

    /// Reads a listing to its end.
    ///
    /// # Errors
    /// As [`next_page`](Self::next_page).
    pub(crate) async fn rows<R: DeserializeOwned + Send>(&self, pages: &mut Pages) -> Result<Vec<R>, Failed> {
        let mut all = Vec::new();
        while let Some(mut rows) = self.next_page(pages).await? {
            all.append(&mut rows);
        }
        Ok(all)
    }

    /// Reads the rows of the next page; `None` after the last one, which is the one without a link.
    ///
    /// # Errors
    /// A page that did not come, cannot be read, or leads astray.
    pub(crate) async fn next_page<R: DeserializeOwned>(
        &self,
        pages: &mut Pages,
    ) -> Result<Option<Vec<R>>, Failed> {
        self.next(pages).await?.map(|page| page.rows()).transpose()
    }

    /// Reads a listing to its end, and hands over the rows of every page with its number. A page is taken
    /// apart and handed over while the next one is on its way: the service is never kept waiting for it.
    ///
    /// # Errors
    /// As [`next_page`](Self::next_page), and what `put` says.
    pub(crate) async fn each_page<R: DeserializeOwned + Send + 'static>(
        &self,
        pages: &mut Pages,
        mut put: impl FnMut(Vec<R>, usize) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let mut before: Option<TakenApart<R>> = None;
        loop {
            let hand_over = async {
                let Some(TakenApart { rows, number }) = before.take() else { return Ok(()) };
                let rows =
                    rows.await.map_err(|error| astray(format!("taking page {number} apart: {error}")))?;
                put(rows?, number)
            };
            // Also where the next page does not come: what arrived before it counts first.
            let next = async { Ok(self.next(pages).await) };
            let (page, ()) = tokio::try_join!(next, hand_over)?;
            let Some(page) = page? else { return Ok(()) };
            let rows = AbortOnDropHandle::new(tokio::task::spawn_blocking(move || page.rows()));
            before = Some(TakenApart { rows, number: pages.read });
        }
    }

    /// Reads the next page; `None` after the last one.
    async fn next(&self, pages: &mut Pages) -> Result<Option<Page>, Failed> {
        let Some(url) = pages.next.take() else {
            return Ok(None);
        };
        if pages.read == MAX_PAGES {
            return Err(astray(format!("the listing has more than {MAX_PAGES} pages")));
        }
        let (page, links) = self.page(&url).await?;
        pages.read += 1;
        if links.next.is_some() && links.delta.is_some() {
            return Err(astray(format!("page {} is the last one and leads to another", pages.read)));
        }
        pages.delta = links.delta.map(|link| self.followed(&link, pages.read)).transpose()?;
        if let Some(link) = links.next {
            let next = self.followed(&link, pages.read)?;
            if !pages.seen.insert(next.clone()) {
                return Err(astray(format!("page {} leads back to an earlier page", pages.read)));
            }
            pages.next = Some(next);
        }
        Ok(Some(page))
    }

    /// Returns the address that a page leads to, as it is: what it holds is the service's own affair.
    fn followed(&self, link: &str, page: usize) -> Result<Url, Failed> {
        let address = Url::parse(link).map_err(|_| astray(format!("page {page} leads to no address")))?;
        if !self.application.is_graph(&address) {
            let host = quoted(&address.origin().ascii_serialization(), &[]);
            return Err(astray(format!("page {page} leads to another server, {host}, which gets no token")));
        }
        Ok(address)
    }

    /// Reads one page. Its headers are sent with every one: a link to the next page carries none.
    async fn page(&self, url: &Url) -> Result<(Page, Links), Failed> {
        self.ask(&Request::get(url.clone()), &read_page).await
    }

    /// Asks with patience, and with one new token if the present one is not accepted; `request` needs
    /// none. `read` takes an answer of status 200 apart; a failure of its own may be worth another attempt as well.
    pub(crate) async fn ask<T: Send>(
        &self,
        request: &Request,
        read: &(dyn Fn(Answer, &Token) -> Result<T, Failed> + Sync),
    ) -> Result<T, Failed> {
        let mut renewed = false;
        loop {
            let token = self.tokens.token(self.client, self.patience, self.application).await?;
            let failed =
                match self.patience.persevere(Asked::Graph, || self.attempt(request, read, &token)).await {
                    Ok(answer) => return Ok(answer),
                    Err(failed) => failed,
                };
            // A token keeps the rights that it was issued with: after a consent only a new one helps.
            if matches!(failed.status, Some(401 | 403)) {
                self.tokens.forget(self.application, &token).await;
            }
            let is_stale = failed.status == Some(401) && failed.code.as_deref() != Some(UNKNOWN_APPLICATION);
            if !is_stale || renewed {
                return Err(failed);
            }
            renewed = true;
        }
    }

    async fn attempt<T>(
        &self,
        request: &Request,
        read: &(dyn Fn(Answer, &Token) -> Result<T, Failed> + Sync),
        token: &Token,
    ) -> Result<T, Failed> {
        self.limiters.pass(self.application.key())?;
        let request = request
            .clone()
            .asks(Asked::Graph)
            .bearer(token.secret())
            .header("x-ms-throttle-priority", "low")
            .on_new_connection(self.patience.avoids_used_connections());
        let answer = self.client.send(&request, self.patience.silence(), MAX_PAGE).await?;
        if answer.status != 200 {
            if let Some(wait) = answer.retry_after {
                self.hold(wait);
            }
            return Err(refusal(&answer, token, self.application));
        }
        read(answer, token)
    }

    /// Leaves the tenant alone for as long as it asked, whoever reads it next.
    pub(crate) fn hold(&self, wait: Duration) {
        self.limiters.hold(self.application.key(), wait);
    }
}

/// Where a page leads.
struct Links {
    next: Option<String>,
    delta: Option<String>,
}

/// A page that is being taken apart on another thread.
struct TakenApart<R> {
    rows: AbortOnDropHandle<Result<Vec<R>, Failed>>,
    number: usize,
}

/// A page that is whole, its rows not taken apart yet.
struct Page {
    body: Vec<u8>,
    token: Token,
}

/// Looks whether an answer is a whole page of a listing, and where it leads.
fn read_page(answer: Answer, token: &Token) -> Result<(Page, Links), Failed> {
    let mut listing = Listing::default();
    let mut deserializer = serde_json::Deserializer::from_slice(&answer.body);
    let result = read_listing(&mut deserializer, &mut listing, &mut |_: IgnoredAny| Ok(()))
        .and_then(|()| deserializer.end());
    match result {
        Ok(()) if !listing.has_value => Err(answer.unusable("there is no `value`")),
        Ok(()) => Ok((
            Page { body: answer.body, token: token.clone() },
            Links { next: listing.next_link, delta: listing.delta_link },
        )),
        // The page is whole, and what stands in it is none of ours: the same would come again.
        Err(error) if error.is_data() && listing.in_row => Err(broken_row(&listing, &error, token)),
        Err(error) => {
            let why = format!("that is no page of a listing: {error}");
            Err(answer.unusable(&quoted(&why, &[token.secret()])))
        }
    }
}

fn broken_row(listing: &Listing, error: &serde_json::Error, token: &Token) -> Failed {
    let what = format!("object {} of a page cannot be read: {error}", listing.rows);
    astray(quoted(&what, &[token.secret()]))
}

impl Page {
    /// Takes the page apart.
    fn rows<R: DeserializeOwned>(&self) -> Result<Vec<R>, Failed> {
        let mut listing = Listing::default();
        let mut rows = Vec::new();
        let mut deserializer = serde_json::Deserializer::from_slice(&self.body);
        read_listing(&mut deserializer, &mut listing, &mut |row| {
            rows.push(row);
            Ok(())
        })
        .map_err(|error| broken_row(&listing, &error, &self.token))?;
        Ok(rows)
    }
}

/// Makes the failure of a listing that was answered well, and cannot be taken for whole.
pub(crate) fn astray(what: String) -> Failed {
    let mut failed = Failed::new(Fault::new(FaultKind::Refused, what), Again::Never);
    failed.answered = true;
    failed
}

/// What Graph answers when it refuses.
#[derive(Deserialize)]
struct Refusal {
    error: ErrorObject,
}

/// The reason, with more exact ones inside. The wire writes `innerError`, the documentation
/// `innererror`.
#[derive(Deserialize)]
struct ErrorObject {
    code: Option<String>,
    message: Option<String>,
    #[serde(alias = "innererror", rename = "innerError")]
    inner: Option<Box<ErrorObject>>,
}

/// Reads a refusal of Graph. Branches on codes, never on the message.
pub(crate) fn refusal(answer: &Answer, token: &Token, application: &Application) -> Failed {
    let said = serde_json::from_slice::<Refusal>(&answer.body).ok().map(|refusal| refusal.error);
    let mut codes = Vec::new();
    let mut inner = said.as_ref();
    while let Some(error) = inner {
        codes.extend(error.code.as_deref().filter(|code| !code.is_empty()));
        inner = error.inner.as_deref();
    }
    let shown = said.as_ref().map(|error| {
        let message = error.message.as_deref().unwrap_or_default();
        quoted(&format!("{} {message}", codes.join("/")), &[token.secret()])
    });
    let mut failed = answer.refused(shown.as_deref());
    let has = |code: &str| codes.iter().any(|said| said.eq_ignore_ascii_case(code));
    if answer.status == 409 && has("Directory_ConcurrencyViolation") {
        failed.fault.kind = FaultKind::Transient;
        failed.again = Again::WithinPatience;
    }
    let hint = if has(UNKNOWN_APPLICATION) {
        failed.fault.kind = FaultKind::Unconsented;
        failed.code = Some(UNKNOWN_APPLICATION.to_owned());
        Some(format!(
            "an administrator of tenant `{}` consents to the application; it may take some minutes to work",
            application.tenant()
        ))
    } else if has("Authorization_RequestDenied") {
        Some(
            "grant the application the permission User.Read.All (application, not delegated) and let an \
             administrator of the tenant consent to it; for licences by name LicenseAssignment.Read.All as well"
                .to_owned(),
        )
    } else if answer.status == 401 {
        Some("check the clock of this machine, and that the application is enabled in the tenant".to_owned())
    } else {
        None
    };
    failed.fault.hint = hint;
    if let Some(code) = EXPIRED_PAGE.into_iter().find(|code| has(code)) {
        failed.code = Some(code.to_owned());
    }
    failed
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::adapters::graph_credential::Credential;
    use crate::adapters::tenant_object::OrganizationRow;
    use crate::model::guid::Guid;
    use crate::policy::fleet::GraphEndpoints;

    #[tokio::test]
    async fn a_listing_without_an_end_is_ended() {
        let root = "http://127.0.0.1:1".to_owned();
        let application = Application::new(
            "contoso.com",
            Guid::from_u128(1),
            &GraphEndpoints { login: root.clone(), graph: root.clone() },
            Credential::Secret(SecretString::from("s")),
        )
        .expect("an application");
        let graph = Graph {
            client: &HttpClient::new(),
            tokens: &TokenCache::new(),
            limiters: &Limiters::new(),
            application: &application,
            patience: &Patience::new(Duration::ZERO),
        };
        let mut pages = Pages::new(application.graph("/v1.0/users").expect("an address"));
        pages.read = MAX_PAGES;
        let failed = graph.next_page::<OrganizationRow>(&mut pages).await.expect_err("too many pages");
        assert!(failed.fault.what.contains("20000 pages"), "{}", failed.fault);
        assert!(failed.answered, "which makes the reading incomplete");
    }
}
