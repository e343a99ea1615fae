//! A line to one system: questions that are answered by JSON, at the pace of the connection and with the
//! patience of one reading.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tokio::time::Instant;

use crate::adapters::http::{Again, Answer, Failed, HttpClient, Request, quoted};
use crate::adapters::http_pace::Pace;
use crate::adapters::http_patience::Patience;
use crate::model::reading::{Fault, FaultKind};
use crate::ports::meter::Asked;

/// The longest answer, in bytes: a thousand rows with long notes stay far below.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// What is different between products that answer by JSON.
pub(crate) trait Dialect: Send + Sync {
    /// Returns who is asked, for whoever counts.
    fn asked(&self) -> Asked;

    /// Adds what every request carries: credentials and media types.
    fn signed(&self, request: Request) -> Request;

    /// Returns what a refusal means.
    fn refusal(&self, answer: &Answer) -> Failed;
}

/// A line to one system, for one reading.
pub(crate) struct Line<'a> {
    /// The client.
    pub(crate) client: &'a HttpClient,
    /// The pace of the connection, shared by all its readings.
    pub(crate) pace: &'a Pace,
    /// What is left for faults.
    pub(crate) patience: &'a Patience,
    /// How the product speaks.
    pub(crate) dialect: &'a dyn Dialect,
}

/// What was answered.
pub(crate) struct Told {
    /// The body. Never `null`: that is an answer about something that is not there.
    pub(crate) value: Value,
    /// The header `Link`.
    pub(crate) link: Option<String>,
}

impl Line<'_> {
    /// Asks, again and again while that is worth it and patience lasts.
    ///
    /// # Errors
    /// The last attempt's failure.
    pub(crate) async fn ask(&self, request: &Request) -> Result<Told, Failed> {
        self.ask_unless(request, &|_| false).await
    }

    /// Asks as [`ask`](Self::ask) does, and not again after a failure to which the caller has another answer.
    ///
    /// # Errors
    /// The last attempt's failure.
    pub(crate) async fn ask_unless(
        &self,
        request: &Request,
        is_answered: &(dyn Fn(&Failed) -> bool + Sync),
    ) -> Result<Told, Failed> {
        self.patience
            .persevere(self.dialect.asked(), || async {
                self.once(request).await.map_err(|mut failed| {
                    if is_answered(&failed) {
                        failed.again = Again::Never;
                    }
                    failed
                })
            })
            .await
    }

    /// Asks once, and never again: for what must not happen twice.
    ///
    /// # Errors
    /// What went wrong.
    pub(crate) async fn once(&self, request: &Request) -> Result<Told, Failed> {
        let began = Instant::now();
        let passed = self.pace.pass().await;
        let paced = began.elapsed();
        let result = match passed {
            Ok(()) => self.send(request).await,
            Err(failed) => Err(failed),
        };
        if result.is_err() {
            self.patience.excuse(paced);
        }
        result
    }

    async fn send(&self, request: &Request) -> Result<Told, Failed> {
        let request = self
            .dialect
            .signed(request.clone())
            .asks(self.dialect.asked())
            .on_new_connection(self.patience.avoids_used_connections());
        let answer = self.client.send(&request, self.patience.silence(), LONGEST_ANSWER).await?;
        if !answer.is_success() {
            let mut failed = self.dialect.refusal(&answer);
            if answer.status == TOO_FAST || answer.retry_after.is_some() {
                let wait = self.pace.hold(answer.retry_after);
                failed.fault.retry_after = Some(wait);
            }
            return Err(failed);
        }
        let value = json(&answer)?;
        Ok(Told { value, link: answer.link })
    }
}

/// The status of a refusal for being too fast.
const TOO_FAST: u16 = 429;

/// Reads the body of an answer whose status is fine.
fn json(answer: &Answer) -> Result<Value, Failed> {
    if answer.body.trim_ascii().is_empty() {
        return Err(answer.unusable("the answer is empty"));
    }
    if is_page(&answer.body) {
        return Err(answer.unusable("the answer is a page for people (HTML)"));
    }
    match serde_json::from_slice(&answer.body) {
        Ok(Value::Null) => {
            let mut failed = answer.unusable("what was asked for is not there (`null`)");
            failed.fault.kind = FaultKind::Refused;
            failed.again = Again::Never;
            Err(failed)
        }
        Ok(value) => Ok(value),
        Err(error) => Err(answer.unusable(&format!("that is no JSON: {error}"))),
    }
}

/// Whether a body is HTML, whatever its media type says.
fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

/// Returns what a refusal says in no form of the product's own: a short quote of its text, or that it is a
/// page. `None` for nothing.
pub(crate) fn said_plainly(answer: &Answer, secrets: &[&SecretString]) -> Option<String> {
    if is_page(&answer.body) {
        return Some("a page for people (HTML)".to_owned());
    }
    let text = String::from_utf8_lossy(&answer.body);
    let said = quoted(&text, secrets);
    (!said.is_empty()).then_some(said)
}

/// Makes the failure of what was answered well, and cannot be taken for whole.
pub(crate) fn astray(what: impl Into<String>) -> Failed {
    let mut failed = Failed::new(Fault::new(FaultKind::Refused, what), Again::Never);
    failed.answered = true;
    failed
}

/// Makes the failure of something that did not end in time.
pub(crate) fn overdue(what: &str, time: Duration) -> Failed {
    let minutes = time.as_secs().div_ceil(60);
    let mut failed = astray(format!("{what} did not end within {minutes} min"));
    failed.fault.kind = FaultKind::Transient;
    failed
}
