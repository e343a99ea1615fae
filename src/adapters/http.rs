//! HTTP for all adapters: one client, bounded answers, faults in the program's words, redaction.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::Method;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue, LINK, LOCATION,
    RETRY_AFTER,
};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use url::{Host, Url};
use uuid::Uuid;

use crate::model::reading::{Fault, FaultKind};
use crate::model::text::inert;
use crate::ports::meter::{Answered, Asked, Meter, Unmeasured};

/// How long a server may ask to be left alone: what asks for more is asked again after this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How many bytes are set aside for an answer before it comes.
const MOST_RESERVED: usize = 4 * 1024 * 1024;

/// How many characters of what the other side said go into a message.
const QUOTED: usize = 300;

/// The program's HTTP client, shared by all adapters: a clone is cheap and shares connections.
///
/// Follows no redirect (a credential would go along), keeps no cookies, and uses the system's
/// proxy except for loopback.
#[derive(Debug, Clone)]
pub struct HttpClient {
    clients: Arc<Clients>,
    timeouts: Timeouts,
    meter: Arc<dyn Meter>,
}

/// One client for every way to connect.
#[derive(Debug, Default)]
struct Clients {
    /// Keep connections for the next request.
    pooled: Pair,
    /// For requests that need a connection of their own.
    single: Pair,
}

/// One client for the network, one for this machine alone.
#[derive(Debug, Default)]
struct Pair {
    outward: LazyClient,
    /// Uses no proxy.
    machine: LazyClient,
}

/// A client that is made when a request needs it: each reads all CA certificates of the system, which
/// takes longer than most commands take otherwise.
type LazyClient = OnceLock<Result<reqwest::Client, Fault>>;

/// How long a request may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until the answer begins, and between two parts of it.
    pub silence: Duration,
    /// From beginning to end.
    pub whole: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            whole: Duration::from_secs(180),
        }
    }
}

/// A request, as often as it has to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    url: Url,
    /// How the address is shown: never with its query, which may hold a token.
    shown: String,
    headers: Vec<(&'static str, String)>,
    /// What no message and no log may show.
    secret_headers: Vec<(&'static str, SecretString)>,
    on_new_connection: bool,
    /// Who is asked, where that is counted.
    asks: Option<Asked>,
    verb: Verb,
    /// Content type and content.
    content: Option<(&'static str, Vec<u8>)>,
}

/// What is done to what an address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// It is read.
    Get,
    /// Something is made of what is sent.
    Post,
    /// It is replaced.
    Put,
    /// It is changed.
    Patch,
    /// It is deleted.
    Delete,
}

impl Verb {
    fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

/// An answer that was read to its end, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long the server asked to be left alone.
    pub retry_after: Option<Duration>,
    /// When the request was sent.
    pub asked_at: Instant,
    /// What the server calls this request, for its support.
    pub request_id: Option<String>,
    /// The header `Link`, as it came: one that is empty is another thing than none.
    pub link: Option<String>,
    /// The version of what was answered.
    pub etag: Option<String>,
    /// Where what was made is.
    pub location: Option<String>,
    /// The body, decompressed.
    pub body: Vec<u8>,
    shown: String,
}

/// A request that came to nothing.
#[derive(Debug, Clone)]
pub struct Failed {
    /// What happened, and what the caller of the adapter does next.
    pub fault: Fault,
    /// Whether to try again at once.
    pub again: Again,
    /// Whether an answer had begun, but could not be used.
    pub answered: bool,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// What the other side calls the failure, where the adapter branches on it.
    pub code: Option<String>,
}

/// Whether a request that failed is worth sending again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The same would happen.
    Never,
    /// It may have been an accident: a few times.
    FewTimes,
    /// It will pass: as long as patience lasts.
    WithinPatience,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient {
    /// Makes the client.
    pub fn new() -> Self {
        Self::with_timeouts(Timeouts::default())
    }

    /// Makes a client with other timeouts: for whoever is asked for long answers, and for tests.
    pub fn with_timeouts(timeouts: Timeouts) -> Self {
        Self { clients: Arc::default(), timeouts, meter: Arc::new(Unmeasured) }
    }

    /// Has requests counted that say who is asked.
    #[must_use]
    pub fn measured_by(self, meter: Arc<dyn Meter>) -> Self {
        Self { meter, ..self }
    }

    /// Returns who counts.
    pub fn meter(&self) -> &Arc<dyn Meter> {
        &self.meter
    }

    /// Returns the client for a request.
    fn client(&self, request: &Request) -> Result<&reqwest::Client, Failed> {
        let is_single = request.on_new_connection;
        let pair = if is_single { &self.clients.single } else { &self.clients.pooled };
        let is_machine = is_machine(&request.url);
        let client = if is_machine { &pair.machine } else { &pair.outward };
        client
            .get_or_init(|| build(self.timeouts, is_single, is_machine))
            .as_ref()
            .map_err(|fault| Failed::new(fault.clone(), Again::Never))
    }

    /// Sends a request once and reads the answer whole, whatever its status.
    ///
    /// `silence` shortens how long the server may say nothing; `max_body` is in bytes, after
    /// decompression.
    ///
    /// # Errors
    /// No connection, no answer in time, an answer that broke off or is too long.
    pub async fn send(
        &self,
        request: &Request,
        silence: Duration,
        max_body: usize,
    ) -> Result<Answer, Failed> {
        let Some(whom) = request.asks else {
            return self.send_uncounted(request, silence, max_body).await;
        };
        // Without the query, which may hold a token, and without the path, which may name people.
        let span = tracing::info_span!(
            "asked",
            otel.kind = "client",
            otel.name = whom.code(),
            server.address = request.url.host_str(),
            http.response.status_code = tracing::field::Empty
        );
        let sent = self.send_uncounted(request, silence, max_body).instrument(span.clone()).await;
        if let Ok(answer) = &sent {
            span.record("http.response.status_code", answer.status);
        }
        self.meter.asked(whom, sent.as_ref().map_or(Answered::Unanswered, Answer::outcome));
        sent
    }

    async fn send_uncounted(
        &self,
        request: &Request,
        silence: Duration,
        max_body: usize,
    ) -> Result<Answer, Failed> {
        let silence = silence.min(self.timeouts.silence);
        let deadline = Instant::now() + self.timeouts.whole;
        let patience = || deadline.min(Instant::now() + silence);
        let asked_at = Instant::now();
        let mut response = self.open(request, silence).await?;
        let mut answer = Answer::head(&response, request, asked_at);
        // What it says of its length is a hint and no more.
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        answer.body.reserve(announced.unwrap_or_default().min(max_body).min(MOST_RESERVED));
        loop {
            let chunk = match timeout_at(patience(), response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(answer),
                Ok(Err(error)) => {
                    return Err(answer.broke_off(&root_cause(&error)));
                }
                Err(_) => return Err(answer.broke_off("nothing more came in time")),
            };
            if answer.body.len() + chunk.len() > max_body {
                return Err(answer.too_long(max_body));
            }
            answer.body.extend_from_slice(&chunk);
        }
    }

    /// Sends a request once, and looks at nothing but the head of the answer.
    ///
    /// # Errors
    /// No connection, no answer in time.
    pub async fn send_only(&self, request: &Request) -> Result<Answer, Failed> {
        let asked_at = Instant::now();
        let response = self.open(request, self.timeouts.silence).await?;
        Ok(Answer::head(&response, request, asked_at))
    }

    async fn open(&self, request: &Request, silence: Duration) -> Result<reqwest::Response, Failed> {
        let client = self.client(request)?;
        let mut builder = client.request(request.verb.method(), request.url.clone());
        if let Some((content_type, content)) = &request.content {
            builder = builder.header(CONTENT_TYPE, *content_type).body(content.clone());
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        for (name, value) in &request.secret_headers {
            let unusable = |_| {
                let what = "the token holds characters that no token holds";
                Failed::new(Fault::new(FaultKind::Unauthorised, what), Again::Never)
            };
            let mut value = HeaderValue::try_from(value.expose_secret()).map_err(unusable)?;
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
        let id = Uuid::new_v4();
        tracing::debug!(target: "intake::http", request = %request.shown, client_request_id = %id, "sending");
        let sending = builder.header("client-request-id", id.to_string()).send();
        match tokio::time::timeout(silence, sending).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(no_answer(request, &error)),
            Err(_) => Err(Failed::new(
                Fault::new(
                    FaultKind::Transient,
                    format!("{}: no answer within {:.1} s", request.shown, silence.as_secs_f64()),
                ),
                Again::WithinPatience,
            )),
        }
    }
}

/// Makes a client.
fn build(timeouts: Timeouts, is_single: bool, is_machine: bool) -> Result<reqwest::Client, Fault> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("intake/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(timeouts.connect)
        // Names must be looked up again now and then.
        .pool_idle_timeout(Duration::from_secs(60));
    if is_single {
        builder = builder.pool_max_idle_per_host(0);
    }
    if is_machine {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| {
        Fault::new(FaultKind::Refused, format!("HTTPS cannot be set up: {}", chain(&error)))
            .hint("install the system's CA certificates (Debian: the package ca-certificates)")
    })
}

impl Request {
    /// Makes a GET for JSON.
    pub fn get(url: Url) -> Self {
        let shown = format!("GET {}", without_query(&url));
        Self {
            url,
            shown,
            headers: vec![(ACCEPT.as_str(), "application/json".to_owned())],
            secret_headers: Vec::new(),
            on_new_connection: false,
            asks: None,
            verb: Verb::Get,
            content: None,
        }
    }

    /// Makes a POST of a form, answered by JSON.
    pub fn form(url: Url, fields: &[(&str, &str)]) -> Self {
        let mut content = url::form_urlencoded::Serializer::new(String::new());
        content.extend_pairs(fields);
        let content = content.finish().into_bytes();
        let mut request = Self::post(url, "application/x-www-form-urlencoded", content);
        request.shown = format!("POST {}", without_query(&request.url));
        request.headers.push((ACCEPT.as_str(), "application/json".to_owned()));
        request
    }

    /// Makes a POST. Its path is not shown anywhere either: that of a webhook may be its secret.
    pub fn post(url: Url, content_type: &'static str, content: Vec<u8>) -> Self {
        let shown = format!("POST {}", url.origin().ascii_serialization());
        let (verb, content) = (Verb::Post, Some((content_type, content)));
        Self { shown, headers: Vec::new(), verb, content, ..Self::get(url) }
    }

    /// Makes a POST of JSON, answered by JSON, whose path is shown.
    pub fn json(url: Url, content_type: &'static str, content: &serde_json::Value) -> Self {
        let shown = format!("POST {}", without_query(&url));
        let content = content.to_string().into_bytes();
        Self { shown, verb: Verb::Post, content: Some((content_type, content)), ..Self::get(url) }
    }

    /// Makes a request of any kind, whose path is shown, and which asks for no media type.
    pub fn of(verb: Verb, url: Url, content: Option<(&'static str, &serde_json::Value)>) -> Self {
        let shown = format!("{} {}", verb.method(), without_query(&url));
        let content = content.map(|(media_type, value)| (media_type, value.to_string().into_bytes()));
        Self { shown, headers: Vec::new(), verb, content, ..Self::get(url) }
    }

    /// Asks for another media type than JSON's own.
    #[must_use]
    pub fn accept(mut self, media_type: impl Into<String>) -> Self {
        self.headers.retain(|(name, _)| *name != ACCEPT.as_str());
        self.header(ACCEPT.as_str(), media_type)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a header that no message and no log may show.
    #[must_use]
    pub fn secret_header(mut self, name: &'static str, value: SecretString) -> Self {
        self.secret_headers.push((name, value));
        self
    }

    /// Asks for a connection that nothing was sent on before, and nothing is sent on afterwards:
    /// behind one address stand many servers, and a connection stays with one of them.
    #[must_use]
    pub fn on_new_connection(mut self, asked: bool) -> Self {
        self.on_new_connection = asked;
        self
    }

    /// Says who is asked, so that it is counted.
    #[must_use]
    pub fn asks(mut self, whom: Asked) -> Self {
        self.asks = Some(whom);
        self
    }

    /// Adds a bearer token.
    #[must_use]
    pub fn bearer(self, token: &SecretString) -> Self {
        let value = format!("Bearer {}", token.expose_secret());
        self.secret_header(AUTHORIZATION.as_str(), SecretString::from(value))
    }
}

impl Answer {
    fn head(response: &reqwest::Response, request: &Request, asked_at: Instant) -> Self {
        Self {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers(), Timestamp::now()),
            request_id: response
                .headers()
                .get("request-id")
                .and_then(|value| value.to_str().ok())
                .map(|text| quoted(text, &[])),
            link: link(response.headers()),
            etag: text_of(response.headers(), &ETAG),
            location: text_of(response.headers(), &LOCATION),
            asked_at,
            body: Vec::new(),
            shown: request.shown.clone(),
        }
    }

    /// Returns what the status means, as it is counted.
    fn outcome(&self) -> Answered {
        match self.status {
            200..=299 => Answered::Ok,
            status if is_throttled(Some(status), self.retry_after) => Answered::Throttled,
            401 | 403 => Answered::Unauthorised,
            500.. => Answered::Failed,
            _ => Answered::Refused,
        }
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Makes the answer to one request of several that went together.
    #[must_use]
    pub fn inside(&self, status: u16, retry_after: Option<Duration>, body: Vec<u8>) -> Self {
        Self { status, retry_after, body, ..self.clone() }
    }

    /// Returns the failure that the status means; `said` is what the other side said about it.
    pub fn refused(&self, said: Option<&str>) -> Failed {
        let (kind, again) = match self.status {
            429 | 503 | 504 | 509 => (FaultKind::Transient, Again::WithinPatience),
            408 | 500 | 502 | 505..=599 => (FaultKind::Transient, Again::FewTimes),
            401 | 403 => (FaultKind::Unauthorised, Again::Never),
            _ => (FaultKind::Refused, Again::Never),
        };
        let meaning = match self.status {
            300..=399 => " (a redirect, which is not followed)",
            401 => " (not authenticated)",
            403 => " (not allowed)",
            404 => " (not found)",
            407 => " (the proxy wants a login)",
            429 => " (throttled)",
            500..=599 => " (an error of the server)",
            _ => "",
        };
        let mut what = format!("{}: answered {}{meaning}", self.shown, self.status);
        if let Some(said) = said {
            what.push_str(": ");
            what.push_str(said);
        }
        if let Some(id) = &self.request_id {
            what.push_str(&format!(" (request {id})"));
        }
        let mut failed = Failed::new(Fault::new(kind, what).after(self.retry_after), again);
        failed.status = Some(self.status);
        failed
    }

    /// Returns the failure of an answer whose status is fine and whose body is not.
    pub fn unusable(&self, why: &str) -> Failed {
        let what = format!("{}: answered {}, but {why}", self.shown, self.status);
        let mut failed = Failed::new(Fault::new(FaultKind::Transient, what), Again::WithinPatience);
        failed.answered = true;
        failed.status = Some(self.status);
        failed
    }

    fn broke_off(&self, why: &str) -> Failed {
        let length = self.body.len();
        self.unusable(&format!("the answer broke off after {length} bytes: {why}"))
    }

    fn too_long(&self, max_body: usize) -> Failed {
        let mut failed = self.unusable(&format!("the answer is longer than {max_body} bytes"));
        failed.fault.kind = FaultKind::Refused;
        failed.again = Again::Never;
        failed
    }
}

impl Failed {
    /// Makes a failure without an answer.
    pub fn new(fault: Fault, again: Again) -> Self {
        Self { fault, again, answered: false, status: None, code: None }
    }

    /// Whether the other side wants to be left alone for a while.
    pub fn is_throttled(&self) -> bool {
        is_throttled(self.status, self.fault.retry_after)
    }
}

/// Whether an answer means that its server wants to be left alone, whether or not it says for how long. What
/// is only overloaded (503) says for how long where it means to throttle.
fn is_throttled(status: Option<u16>, retry_after: Option<Duration>) -> bool {
    retry_after.is_some() || matches!(status, Some(429 | 509))
}

/// Makes what the other side said fit for a message: secrets taken out, nothing that acts on a
/// terminal, not too long.
pub fn quoted(text: &str, secrets: &[&SecretString]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().map(|secret| secret.expose_secret()).filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "[redacted]");
    }
    let mut characters = text.trim().chars();
    let mut short: String = characters.by_ref().take(QUOTED).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    inert(&short).into_owned()
}

/// Whether an address is on this machine or, as a virtual machine's metadata service, on its link
/// alone: no proxy may stand between.
fn is_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_link_local(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn without_query(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn text_of(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Returns the header `Link` (RFC 8288), all of it where it came in parts.
fn link(headers: &HeaderMap) -> Option<String> {
    let parts: Vec<_> =
        headers.get_all(LINK).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Reads `Retry-After` as seconds or as an HTTP date (RFC 9110, 10.2.3), at most a day. A date is
/// taken against the server's own `Date`, so that our clock does not matter.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
    let asked = text(RETRY_AFTER)?;
    let wait = if asked.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(asked.parse().ok()?)
    } else {
        let parse = |text| DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok();
        let now = text(DATE).and_then(parse).unwrap_or(now);
        Duration::try_from(parse(asked)?.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// Tells why there is no answer at all.
fn no_answer(request: &Request, error: &reqwest::Error) -> Failed {
    let cause = root_cause(error);
    let shown = &request.shown;
    if error.is_builder() {
        let what = format!("{shown}: the request cannot be made: {cause}");
        return Failed::new(Fault::new(FaultKind::Refused, what), Again::Never);
    }
    // rustls puts its own errors into the chain; the crate is not named here.
    if chain(error).contains("certificate") {
        let what = format!("{shown}: the server's certificate is not accepted: {cause}");
        let hint = "check the address, and that the system trusts the authority that signed it";
        return Failed::new(Fault::new(FaultKind::Refused, what).hint(hint), Again::Never);
    }
    let what = if error.is_timeout() {
        format!("{shown}: no connection in time")
    } else if error.is_dns() {
        format!("{shown}: the name cannot be resolved: {cause}")
    } else if error.is_connect() {
        format!("{shown}: no connection: {cause}")
    } else {
        format!("{shown}: the connection broke: {cause}")
    };
    Failed::new(Fault::new(FaultKind::Transient, what), Again::WithinPatience)
}

/// Returns the innermost cause. The outer ones repeat the address, with its query.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    quoted(&cause.to_string(), &[])
}

/// Returns all causes below the outermost, which repeats the address with its query.
fn chain(error: &dyn Error) -> String {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        causes.push(inner.to_string());
        cause = inner.source();
    }
    quoted(&causes.join(": "), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn answers_are_counted_by_what_they_mean() {
        let request = Request::get("http://127.0.0.1/".parse().expect("an address"));
        let wait = Some(Duration::from_secs(1));
        for (status, retry_after, meaning) in [
            (200, None, Answered::Ok),
            (204, None, Answered::Ok),
            (429, None, Answered::Throttled),
            (429, wait, Answered::Throttled),
            (503, wait, Answered::Throttled),
            (503, None, Answered::Failed),
            (500, None, Answered::Failed),
            (401, None, Answered::Unauthorised),
            (403, None, Answered::Unauthorised),
            (302, None, Answered::Refused),
            (400, None, Answered::Refused),
        ] {
            let answer = Answer {
                etag: None,
                location: None,
                status,
                retry_after,
                asked_at: Instant::now(),
                request_id: None,
                link: None,
                body: Vec::new(),
                shown: request.shown.clone(),
            };
            assert_eq!(answer.outcome(), meaning, "{status} {retry_after:?}");
        }
    }

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |pairs| retry_after(&headers(pairs), now());
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "120")]), Some(Duration::from_secs(120)));
        assert_eq!(wait(&[("retry-after", "0")]), Some(Duration::ZERO));
        assert_eq!(
            wait(&[("retry-after", "Sun, 22 Nov 2026 12:00:30 GMT")]),
            Some(Duration::from_secs(30)),
            "against our own clock"
        );
        assert_eq!(
            wait(&[
                ("retry-after", "Sun, 22 Nov 2026 12:00:30 GMT"),
                ("date", "Sun, 22 Nov 2026 12:00:20 GMT")
            ]),
            Some(Duration::from_secs(10)),
            "against the server's clock"
        );
        assert_eq!(wait(&[("retry-after", "Sun, 22 Nov 2020 12:00:30 GMT")]), Some(Duration::ZERO));
    }

    #[test]
    fn an_unreasonable_retry_after_is_capped_or_left_out() {
        let wait = |value| retry_after(&headers(&[("retry-after", value)]), now());
        assert_eq!(wait("9999999"), Some(LONGEST_RETRY_AFTER));
        assert_eq!(wait("99999999999999999999999999"), None);
        assert_eq!(wait("-5"), None);
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn what_the_other_side_said_is_shown_without_secrets_and_inert() {
        let secret = SecretString::from("hush");
        assert_eq!(
            quoted("bad secret hush\u{1b}[0m given", &[&secret]),
            "bad secret [redacted]\\u{1b}[0m given"
        );
        assert_eq!(quoted(&"x".repeat(1000), &[]).chars().count(), QUOTED + 1);
    }

    #[test]
    fn an_address_is_shown_without_its_query() {
        let url: Url = "https://graph.test/v1.0/users?$skiptoken=hush".parse().expect("an address");
        assert_eq!(Request::get(url.clone()).shown, "GET https://graph.test/v1.0/users");
        assert_eq!(Request::post(url, "text/plain", Vec::new()).shown, "POST https://graph.test");
    }

    #[test]
    fn no_proxy_stands_before_this_machine_and_its_metadata() {
        let machine = |text: &str| is_machine(&text.parse().expect("an address"));
        for text in [
            "http://127.0.0.1:4011",
            "http://127.9.9.9",
            "http://[::1]:1",
            "http://localhost",
            "http://169.254.169.254",
        ] {
            assert!(machine(text), "{text}");
        }
        for text in ["http://128.0.0.1", "https://localhost.example", "http://[2001:db8::1]"] {
            assert!(!machine(text), "{text}");
        }
    }
}
