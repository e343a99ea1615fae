//! A controller that runs elsewhere, over its HTTP interface.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;
use url::{Host, Url};

use crate::adapters::http::{Answer, HttpClient, Request, Timeouts, quoted};
use crate::model::reading::{Fault, FaultKind};
use crate::model::text::Text;
use crate::plan::received::ReceivedPlan;
use crate::policy::problem::Problem;
use crate::ports::candidate::{Candidate, Forecast};
use crate::ports::control::{Order, Reply};
use crate::ports::controller::RunningController;

/// The largest candidate that a controller takes, in bytes of JSON.
const LARGEST: usize = 64 << 20;
/// The largest answer that is taken: the plan of a million accounts is about this.
const LARGEST_ANSWER: usize = 512 << 20;
/// How long a controller may think: it plans a fleet.
const THINKING: Duration = Duration::from_secs(15 * 60);
/// How soon to come back where a busy controller does not say.
const AGAIN: Duration = Duration::from_secs(5);

/// A controller that runs elsewhere.
#[derive(Debug)]
pub struct ControllerApi {
    client: HttpClient,
    /// Where its interface begins; ends with a slash.
    base: Url,
    token: Option<SecretString>,
    max_wait: Duration,
}

/// What a controller says of a request that it refuses (RFC 9457).
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    detail: Option<String>,
    hint: Option<String>,
}

#[derive(Serialize)]
struct SentFile<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<&'a str>,
}

#[derive(Serialize)]
struct Sent<'a> {
    files: Vec<SentFile<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    customers: &'a [String],
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(flatten)]
    plan: ReceivedPlan,
    problems: Vec<Problem>,
    read_at: BTreeMap<Text, Timestamp>,
}

impl ControllerApi {
    /// Makes it of the address that somebody typed. `max_wait` is for how long it is asked again while it
    /// is busy.
    ///
    /// # Errors
    /// If that is none to which a token and names may be sent: https, or http on this machine.
    pub fn new(typed: &str, token: Option<SecretString>, max_wait: Duration) -> Result<Self, Fault> {
        let refused = |what: String| Fault::new(FaultKind::Refused, what);
        let hint = "write where the controller is reached, as `https://intake.example`";
        let mut base: Url = typed
            .trim()
            .parse()
            .map_err(|error| refused(format!("`{}` is no URL: {error}", quoted(typed, &[]))).hint(hint))?;
        let loopback = match base.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        match base.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => {
                let what = "names of people and a token go over https; http is for this machine alone";
                return Err(refused(what.to_owned()).hint("write https://"));
            }
            _ => {
                return Err(refused("the address of a controller begins with https://".to_owned()).hint(hint));
            }
        }
        if !base.username().is_empty() || base.password().is_some() {
            let what = "the address of a controller holds no user and no password";
            return Err(refused(what.to_owned()).hint("the token goes into the variable INTAKE_TOKEN"));
        }
        base.set_query(None);
        base.set_fragment(None);
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        let timeouts = Timeouts { silence: THINKING, whole: THINKING, ..Timeouts::default() };
        Ok(Self { client: HttpClient::with_timeouts(timeouts), base, token, max_wait })
    }

    /// Asks, and asks again while the controller is busy.
    async fn ask(&self, path: &[&str], content: Vec<u8>) -> Result<Answer, Fault> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        let mut request =
            Request::post(url, "application/json", content).header("accept", "application/json");
        if let Some(token) = &self.token {
            request = request.bearer(token);
        }
        let deadline = Instant::now() + self.max_wait;
        loop {
            let answer = self.client.send(&request, THINKING, LARGEST_ANSWER).await.map_err(|failed| {
                let hint = "is the controller running, and does `listen` of its operator's file lead here?";
                match failed.fault.hint {
                    Some(_) => failed.fault,
                    None => failed.fault.hint(hint),
                }
            })?;
            let wait = answer.retry_after.unwrap_or(AGAIN);
            if answer.status != 503 || Instant::now() + wait > deadline {
                return Ok(answer);
            }
            tracing::debug!("the controller is busy; asking again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Returns what an answer means that is not what was asked for.
    fn refusal(&self, answer: &Answer) -> Fault {
        let secrets: Vec<&SecretString> = self.token.iter().collect();
        let said: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        let detail = said.detail.map(|detail| quoted(&detail, &secrets));
        let hint = said.hint.map(|hint| quoted(&hint, &secrets));
        let (kind, what, usual) = match (answer.status, &detail) {
            (401, _) if self.token.is_none() => (
                FaultKind::Unauthorised,
                "the controller wants a token".to_owned(),
                Some("put one that its operator's file names into the variable INTAKE_TOKEN"),
            ),
            (401, _) => (
                FaultKind::Unauthorised,
                "the controller does not know the token in INTAKE_TOKEN".to_owned(),
                Some("it must be one that `auth: {tokens: …}` of its operator's file names, as it is now"),
            ),
            (403, Some(detail)) => {
                (FaultKind::Unauthorised, format!("the controller refuses: {detail}"), None)
            }
            (413, _) => (
                FaultKind::Refused,
                "the controller, or a proxy before it, does not take so much at once".to_owned(),
                Some("it takes 64 MiB; a proxy may have a limit of its own"),
            ),
            (503, Some(detail)) => (
                FaultKind::Transient,
                format!("the controller is busy: {detail}"),
                Some("`--max-wait` says how long to try; or ask again later"),
            ),
            (_, Some(detail)) => (FaultKind::Refused, format!("the controller says: {detail}"), None),
            (status, None) => (
                FaultKind::Refused,
                format!("{} answers {status}, and not as a controller of Intake does", self.base),
                Some("`--server` is where `listen` of the controller's operator's file leads, and no more"),
            ),
        };
        let fault = Fault::new(kind, what).after(answer.retry_after);
        match usual.map(str::to_owned).or(hint) {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }

    fn no_plan(&self, why: &str) -> Fault {
        let what = format!("{} does not answer with a plan: {why}", self.base);
        Fault::new(FaultKind::Refused, what)
            .hint("`--server` must lead to a controller of Intake, of the same version as this program")
    }
}

#[async_trait]
impl RunningController for ControllerApi {
    async fn plan(&self, candidate: Candidate) -> Result<Forecast, Fault> {
        let answer = self.ask(&["plans"], write(&candidate)?).await?;
        if answer.status != 200 {
            return Err(self.refusal(&answer));
        }
        let told: Told = serde_json::from_slice(&answer.body)
            .map_err(|error| self.no_plan(&quoted(&error.to_string(), &[])))?;
        Ok(Forecast {
            plan: told.plan.plan().map_err(|why| self.no_plan(&why))?,
            problems: told.problems.into_iter().map(Problem::received).collect(),
            read_at: told.read_at,
        })
    }

    async fn order(&self, customer: &str, order: &Order) -> Result<Reply, Fault> {
        let (word, content) = match order {
            Order::Sync => ("sync", json!({})),
            Order::Suspend { reason } => ("suspend", json!({"reason": reason})),
            Order::Resume => ("resume", json!({})),
        };
        let answer = self.ask(&["customers", customer, word], content.to_string().into_bytes()).await?;
        match (order, answer.status) {
            (Order::Sync, 202) => Ok(Reply { changed: true, ..Reply::default() }),
            (Order::Suspend { .. } | Order::Resume, 200) => {
                let told: ToldStanding = serde_json::from_slice(&answer.body).map_err(|error| {
                    let what = format!("{} does not answer as a controller does: {error}", self.base);
                    Fault::new(FaultKind::Refused, what)
                })?;
                Ok(Reply {
                    changed: told.changed,
                    suspended: told.suspended,
                    suspended_in_tree: told.suspended_in_tree,
                    by: told.suspension.map(|by| (by.by, by.at, by.reason)),
                })
            }
            _ => Err(self.refusal(&answer)),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldStanding {
    changed: bool,
    suspended: bool,
    suspended_in_tree: bool,
    suspension: Option<ToldSuspension>,
}

#[derive(Deserialize)]
struct ToldSuspension {
    by: String,
    at: Timestamp,
    reason: String,
}

/// Writes a candidate as it is sent. A file that is no text is one that nobody could read.
fn write(candidate: &Candidate) -> Result<Vec<u8>, Fault> {
    let mut files = Vec::with_capacity(candidate.files.len());
    for file in &candidate.files {
        let Some(path) = file.path.to_str() else {
            let shown = quoted(&file.path.to_string_lossy(), &[]);
            let what = format!("the name of the file `{shown}` is not UTF-8: it cannot be sent");
            return Err(Fault::new(FaultKind::Refused, what).hint("rename it"));
        };
        let (content, unreadable) = match &file.content {
            Ok(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => (Some(text), None),
                Err(_) => (None, Some("it is not UTF-8")),
            },
            Err(why) => (None, Some(why.as_str())),
        };
        files.push(SentFile { path, content, unreadable });
    }
    let sent = Sent { files, customers: &candidate.customers };
    let content = serde_json::to_vec(&sent)
        .map_err(|error| Fault::new(FaultKind::Refused, format!("the tree cannot be sent: {error}")))?;
    if content.len() > LARGEST {
        return Err(Fault::new(
            FaultKind::Refused,
            "the tree is larger than the 64 MiB that a controller takes",
        )
        .hint("name the folder that holds the policy files alone"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tokens_go_over_https_or_stay_on_this_machine() {
        let takes = |typed: &str| ControllerApi::new(typed, None, Duration::ZERO);
        for fine in
            ["https://intake.example", "http://127.0.0.1:8080", "http://localhost:1/", "http://[::1]:9"]
        {
            assert!(takes(fine).is_ok(), "{fine}");
        }
        for wrong in ["http://intake.example", "ftp://intake.example", "intake.example", "", "https://a:b@c"]
        {
            assert!(takes(wrong).is_err(), "{wrong}");
        }
        let base = takes("https://intake.example/behind?x=1").expect("an address").base;
        assert_eq!(base.as_str(), "https://intake.example/behind/");
    }
}
