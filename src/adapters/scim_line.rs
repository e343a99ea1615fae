//! A line to one SCIM service: requests at its pace, answers as they really come, and refusals in words.

use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use crate::adapters::http::{Again, Answer, Failed, HttpClient, Request, Verb, quoted};
use crate::adapters::http_line::said_plainly;
use crate::adapters::http_pace::Pace;
use crate::adapters::http_patience::Patience;
use crate::adapters::scim_object as object;
use crate::ports::meter::Asked;

/// The longest answer, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// The media type of what is sent (RFC 7644, 3.1).
const MEDIA_TYPE: &str = "application/scim+json";

/// The statuses that the adapter has an answer to.
pub(crate) const CONFLICT: u16 = 409;
pub(crate) const FORBIDDEN: u16 = 403;
pub(crate) const GONE: u16 = 410;
pub(crate) const NOT_FOUND: u16 = 404;
pub(crate) const OTHER_VERSION: u16 = 412;
pub(crate) const TOO_LARGE: u16 = 413;
const TOO_FAST: u16 = 429;

/// A line to one service, for one conversation.
pub(crate) struct ScimLine {
    pub(crate) client: HttpClient,
    pub(crate) pace: Pace,
    pub(crate) patience: Patience,
    pub(crate) base: Url,
    pub(crate) token: SecretString,
}

/// What was answered.
pub(crate) struct Told {
    /// The body, where it is JSON: a write may be answered by nothing, and by a page for people.
    pub(crate) value: Option<Value>,
    /// The version of what was answered.
    pub(crate) etag: Option<String>,
    /// Where what was made is.
    pub(crate) location: Option<String>,
}

impl ScimLine {
    /// Returns an address below the service's own.
    pub(crate) fn address(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Asks, again and again while that is worth it and patience lasts.
    ///
    /// # Errors
    /// The last attempt's failure; an answer that is no JSON is one.
    pub(crate) async fn read(&self, url: Url) -> Result<(Value, Option<String>), Failed> {
        let request = Request::of(Verb::Get, url, None).accept("application/scim+json, application/json");
        let told = self.patience.persevere(Asked::Scim, || self.send(&request, true)).await?;
        Ok((told.value.unwrap_or_default(), told.etag))
    }

    /// Writes something that may be written twice: again and again while that is worth it and patience lasts.
    ///
    /// # Errors
    /// The last attempt's failure.
    pub(crate) async fn write(
        &self,
        verb: Verb,
        url: Url,
        content: Option<&Value>,
        version: Option<&str>,
    ) -> Result<Told, Failed> {
        let request = written(verb, url, content, version);
        self.patience.persevere(Asked::Scim, || self.send(&request, false)).await
    }

    /// Makes something: again only where the service said that it did not even look at it.
    ///
    /// # Errors
    /// What went wrong. Whether it was made all the same is for the caller to find out.
    pub(crate) async fn make(&self, url: Url, content: &Value) -> Result<Told, Failed> {
        let request = written(Verb::Post, url, Some(content), None);
        let once = || async {
            // What was not sent may be sent later.
            self.pace.pass().await?;
            self.send_now(&request, false).await.map_err(|mut failed| {
                if failed.status != Some(TOO_FAST) && failed.again != Again::Never {
                    failed.again = Again::Never;
                }
                failed
            })
        };
        self.patience.persevere(Asked::Scim, once).await
    }

    async fn send(&self, request: &Request, is_read: bool) -> Result<Told, Failed> {
        self.pace.pass().await?;
        self.send_now(request, is_read).await
    }

    async fn send_now(&self, request: &Request, is_read: bool) -> Result<Told, Failed> {
        let request = request
            .clone()
            .bearer(&self.token)
            .asks(Asked::Scim)
            .on_new_connection(self.patience.avoids_used_connections());
        let answer = self.client.send(&request, self.patience.silence(), LONGEST_ANSWER).await?;
        let value: Option<Value> = serde_json::from_slice(&answer.body).ok();
        if !answer.is_success() {
            return Err(self.refused(&answer, value.as_ref()));
        }
        if is_read && value.as_ref().is_none_or(|value| !(value.is_object() || value.is_array())) {
            let what = said_plainly(&answer, &[&self.token]).unwrap_or_else(|| "empty".to_owned());
            let mut failed = answer.unusable(&format!("that is no JSON of SCIM: {what}"));
            failed.again = Again::FewTimes;
            return Err(failed);
        }
        Ok(Told { value, etag: answer.etag, location: answer.location })
    }

    fn refused(&self, answer: &Answer, value: Option<&Value>) -> Failed {
        let (code, said) = value.map(object::refusal).unwrap_or_default();
        let said = match said {
            Some(said) => Some(quoted(&said, &[&self.token])),
            None => said_plainly(answer, &[&self.token]),
        };
        let mut failed = answer.refused(said.as_deref().filter(|said| !said.is_empty()));
        failed.code = code;
        if answer.status == TOO_FAST || answer.retry_after.is_some() {
            failed.fault.retry_after = Some(self.pace.hold(answer.retry_after));
        }
        if matches!(answer.status, 401 | FORBIDDEN) {
            failed.fault.hint = Some("check the target's token, and what it may do there".to_owned());
        }
        failed
    }
}

fn written(verb: Verb, url: Url, content: Option<&Value>, version: Option<&str>) -> Request {
    // No media type is asked for: Entra refuses to delete for who names one, and all answer by JSON anyway.
    let request = Request::of(verb, url, content.map(|content| (MEDIA_TYPE, content)));
    match version {
        Some(version) => request.header("if-match", version),
        None => request,
    }
}
