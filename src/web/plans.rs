//! `POST plans`: a tree that somebody would like to merge, answered by what it would do.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::model::text::Text;
use crate::plan::outcome::Plan;
use crate::policy::check::TreeFile;
use crate::policy::problem::Problem as TreeProblem;
use crate::ports::candidate::{Candidate, CandidatePlanner, Forecast, ForecastFault};
use crate::web::answer::{Problem, aside, chain, failed_inside, json};
use crate::web::body;

/// The largest candidate, in bytes of JSON.
const LARGEST: usize = 64 << 20;
/// How many candidates are planned at once: each may take a core and much memory.
const AT_ONCE: usize = 2;
/// How many are taken in at once. More than are planned, so that whoever sends slowly keeps nobody out.
const ARRIVING: usize = 8;
/// When to come back where there are that many.
const COME_BACK: Duration = Duration::from_secs(5);
/// More files than these no tree holds, nor names any request.
const MOST: usize = 100_000;

/// What plans candidates, a few at once.
#[derive(Clone)]
pub struct Plans {
    planner: Arc<dyn CandidatePlanner>,
    arriving: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Plans {
    /// Makes it of what plans them.
    pub fn new(planner: Arc<dyn CandidatePlanner>) -> Self {
        let of = |places| Arc::new(Semaphore::new(places));
        Self { planner, arriving: of(ARRIVING), places: of(AT_ONCE) }
    }
}

/// A candidate as it is sent.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Candidate")]
pub struct Sent {
    /// The tree's policy files.
    #[serde(deserialize_with = "bounded")]
    #[schemars(with = "Vec<SentFile>", length(min = 1, max = 100_000))]
    files: Vec<SentFile>,
    /// Whom somebody wants to know about; none for all.
    #[serde(default, deserialize_with = "bounded")]
    #[schemars(with = "Vec<String>", length(max = 100_000))]
    customers: Vec<String>,
}

/// A file of a candidate. It has exactly one of `content` and `unreadable`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CandidateFile", extend("oneOf" = [{"required": ["content"]}, {"required": ["unreadable"]}]))]
struct SentFile {
    /// Below the tree's root, with `/` between folders.
    #[schemars(
        length(max = 4096),
        regex(pattern = r"^([^./\\\x00][^/\\\x00]*/)*[^./\\\x00][^/\\\x00]*\.ya?ml$")
    )]
    path: String,
    /// What stands in it.
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "String")]
    content: Option<String>,
    /// In place of `content`: why whoever sends it could not read it. It counts as a file that is broken,
    /// where leaving it out would make its customers look as if they had left the tree.
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "String")]
    unreadable: Option<String>,
}

/// What a candidate would do, as it is answered: a plan, and what is wrong in the candidate.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CandidateAnswer")]
pub struct Answer<'a> {
    #[serde(flatten)]
    #[schemars(with = "Plan")]
    plan: &'a Plan,
    /// Everything that is wrong in the candidate.
    #[schemars(with = "Vec<TreeProblem>")]
    problems: &'a [TreeProblem],
    /// When the readings were made, for each customer that was planned from any.
    #[schemars(with = "BTreeMap<String, Timestamp>")]
    read_at: &'a BTreeMap<Text, Timestamp>,
}

/// Plans a candidate.
pub async fn plan(State(plans): State<Plans>, headers: HeaderMap, body: Body) -> Response {
    match answer(plans, &headers, body).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn answer(plans: Plans, headers: &HeaderMap, body: Body) -> Result<Response, Problem> {
    let busy = |_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "other candidates are being planned")
            .retry_after(COME_BACK)
    };
    let arriving = plans.arriving.try_acquire().map_err(busy)?;
    let content = body::read(headers, body, LARGEST).await?;
    let place = plans.places.clone().try_acquire_owned().map_err(busy)?;
    drop(arriving);
    let planner = plans.planner.clone();
    // Whoever hangs up ends no work that is under way on another thread: its place is free when that is over.
    let work = async move {
        let _place = place;
        let candidate = aside(move || read(&content)).await??;
        let forecast = planner.forecast(candidate).await.map_err(refuse)?;
        aside(move || {
            let Forecast { plan, problems, read_at } = &forecast;
            json(StatusCode::OK, &Answer { plan, problems, read_at })
        })
        .await
    };
    let planned = tokio::spawn(work.in_current_span());
    planned.await.unwrap_or_else(|error| Err(failed_inside(&error)))
}

fn read(content: &[u8]) -> Result<Candidate, Problem> {
    let sent: Sent = serde_json::from_slice(content).map_err(|error| {
        let detail = format!("the body is no candidate: {error}");
        Problem::new(StatusCode::BAD_REQUEST, detail)
            .hint("send `{\"files\": [{\"path\": \"customers/contoso.yaml\", \"content\": \"…\"}]}`")
    })?;
    let files = sent.files.into_iter().map(|file| {
        let content = match (file.content, file.unreadable) {
            (Some(content), None) => Ok(content.into_bytes()),
            (None, Some(why)) => Err(why.chars().take(300).collect()),
            _ => {
                let detail = "a file has exactly one of `content` and `unreadable`";
                return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
            }
        };
        Ok(TreeFile { path: PathBuf::from(file.path), content })
    });
    Ok(Candidate { files: files.collect::<Result<_, _>>()?, customers: sent.customers })
}

fn refuse(fault: ForecastFault) -> Problem {
    match fault {
        ForecastFault::Unusable { what, hint } => {
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, what);
            match hint {
                Some(hint) => problem.hint(hint),
                None => problem,
            }
        }
        ForecastFault::Failed(_) => {
            tracing::error!("a candidate could not be planned: {}", chain(&fault));
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the candidate could not be planned")
                .hint("the log of the controller says why")
        }
    }
}

/// Reads a text that may be left out, and is no null where it is there.
fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// Reads a list, and gives it up as soon as it is too long.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Bounded<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "a list of at most {MOST}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(next) = sequence.next_element()? {
                if list.len() == MOST {
                    return Err(serde::de::Error::invalid_length(MOST + 1, &self));
                }
                list.push(next);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_seq(Bounded(std::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::CONTENT_TYPE;
    use tokio::sync::mpsc;
    use tokio::sync::oneshot;

    use super::*;

    /// Says that it began, and has no answer until it is told to.
    struct Slow {
        began: mpsc::UnboundedSender<oneshot::Sender<()>>,
    }

    #[async_trait::async_trait]
    impl CandidatePlanner for Slow {
        async fn forecast(&self, _: Candidate) -> Result<Forecast, ForecastFault> {
            let (go_on, told) = oneshot::channel();
            self.began.send(go_on).expect("the test listens");
            told.await.expect("the test tells");
            Err(ForecastFault::Unusable { what: "nothing to plan".to_owned(), hint: None })
        }
    }

    #[tokio::test]
    async fn whoever_hangs_up_leaves_a_place_only_when_the_work_is_over() {
        let (began, mut beginning) = mpsc::unbounded_channel();
        let plans = Plans::new(Arc::new(Slow { began }));
        let ask = || {
            let headers =
                [(CONTENT_TYPE, HeaderValue::from_static("application/json"))].into_iter().collect();
            plan(State(plans.clone()), headers, Body::from(r#"{"files": []}"#))
        };
        let mut under_way = Vec::new();
        for _ in 0..AT_ONCE {
            let asking = tokio::spawn(ask());
            under_way.push(beginning.recv().await.expect("it begins"));
            asking.abort();
            assert!(asking.await.expect_err("it hung up").is_cancelled());
        }
        assert_eq!(ask().await.status(), StatusCode::SERVICE_UNAVAILABLE);
        under_way.into_iter().for_each(|go_on| go_on.send(()).expect("it goes on"));
        // Their places are free a moment later.
        let answer = async {
            loop {
                let asking = tokio::spawn(ask());
                tokio::select! {
                    Some(go_on) = beginning.recv() => go_on.send(()).expect("it goes on"),
                    () = tokio::time::sleep(Duration::from_millis(50)) => {}
                }
                let status = asking.await.expect("an answer").status();
                if status != StatusCode::SERVICE_UNAVAILABLE {
                    return status;
                }
            }
        };
        assert_eq!(answer.await, StatusCode::UNPROCESSABLE_ENTITY);
    }

    #[test]
    fn a_file_is_whole_or_says_why_not() {
        let sent =
            r#"{"files": [{"path": "a.yaml", "content": "x"}, {"path": "b.yaml", "unreadable": "no"}]}"#;
        let candidate = read(sent.as_bytes()).expect("a candidate");
        let contents: Vec<_> = candidate.files.into_iter().map(|file| file.content).collect();
        assert_eq!(contents, [Ok(b"x".to_vec()), Err("no".to_owned())]);
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"files": {}}"#,
            r#"{"files": [{"path": "a.yaml"}]}"#,
            r#"{"files": [{"path": "a.yaml", "content": "x", "unreadable": "y"}]}"#,
            r#"{"files": [], "folder": "x"}"#,
            r#"{"files": [{"path": "a.yaml", "content": "x", "unreadable": null}]}"#,
            r#"{"files": [{"path": 1, "content": "x"}]}"#,
            r#"{"files": [], "customers": "contoso"}"#,
        ] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_without_end_is_not_taken_in() {
        let names = vec!["\"x\""; MOST + 1].join(",");
        let sent = format!("{{\"files\": [], \"customers\": [{names}]}}");
        assert!(read(sent.as_bytes()).is_err());
    }
}
