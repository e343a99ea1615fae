//! `POST customers/{name}/sync|suspend|resume`: orders of an operator about one customer.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use crate::model::text::inert;
use crate::ports::control::{Control, Refused, Standing};
use crate::web::access::Caller;
use crate::web::answer::{Problem, chain, json};
use crate::web::body;

/// The largest body of an order, in bytes.
const LARGEST: usize = 16 * 1024;
/// How long a reason may be, in characters.
const LONGEST_REASON: usize = 500;

type Name = Result<Path<String>, PathRejection>;
type Who = Extension<Caller>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: String,
}

/// Wakes a customer.
pub async fn sync(State(control): State<Arc<dyn Control>>, Extension(caller): Who, name: Name) -> Response {
    let answer = async {
        let by = caller.expect_operator()?;
        let name = name_of(name)?;
        control.sync(&name, by).await.map_err(refuse)?;
        Ok(json(StatusCode::ACCEPTED, &json!({"customer": name})))
    };
    answer.await.unwrap_or_else(|problem: Problem| problem.into_response())
}

/// Has nothing more written for a customer.
pub async fn suspend(
    State(control): State<Arc<dyn Control>>,
    Extension(caller): Who,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let answer = async {
        let by = caller.expect_operator()?;
        let name = name_of(name)?;
        let reason = reason_of(&body::read(&headers, body, LARGEST).await?)?;
        let standing = control.suspend(&name, by, reason).await.map_err(refuse)?;
        Ok(tell(&name, &standing))
    };
    answer.await.unwrap_or_else(|problem: Problem| problem.into_response())
}

/// Lets a customer be written again.
pub async fn resume(State(control): State<Arc<dyn Control>>, Extension(caller): Who, name: Name) -> Response {
    let answer = async {
        let by = caller.expect_operator()?;
        let name = name_of(name)?;
        let standing = control.resume(&name, by).await.map_err(refuse)?;
        Ok(tell(&name, &standing))
    };
    answer.await.unwrap_or_else(|problem: Problem| problem.into_response())
}

fn name_of(name: Name) -> Result<String, Problem> {
    let Path(name) =
        name.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the customer's name is not UTF-8"))?;
    Ok(name)
}

fn reason_of(content: &[u8]) -> Result<String, Problem> {
    let Why { reason } = serde_json::from_slice(content).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, format!("the body gives no reason: {error}"))
            .hint("send `{\"reason\": \"…\"}`")
    })?;
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the reason is empty")
            .hint("say why, for whoever finds the customer suspended"));
    }
    if reason.chars().count() > LONGEST_REASON {
        let detail = format!("the reason is longer than {LONGEST_REASON} characters");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(reason.to_owned())
}

fn tell(name: &str, standing: &Standing) -> Response {
    let Standing { changed, suspension, suspended_in_tree } = standing;
    let by_command = suspension
        .as_ref()
        .map(|suspension| json!({"by": suspension.by, "at": suspension.at, "reason": suspension.reason}));
    let answer = json!({
        "customer": name,
        "changed": changed,
        "suspended": *suspended_in_tree || suspension.is_some(),
        "suspendedInTree": suspended_in_tree,
        "suspension": by_command,
    });
    json(StatusCode::OK, &answer)
}

fn refuse(refused: Refused) -> Problem {
    match refused {
        Refused::Unknown { ref nearest, .. } => {
            let problem = Problem::new(StatusCode::NOT_FOUND, refused.to_string());
            match nearest {
                Some(nearest) => problem.hint(format!("did you mean `{nearest}`?")),
                None => problem,
            }
        }
        Refused::SuspendedInTree { ref customer } => {
            let hint = format!("remove `suspend: true` from the document of `{}`", inert(customer));
            Problem::new(StatusCode::CONFLICT, refused.to_string()).hint(hint)
        }
        Refused::NotYet => Problem::new(StatusCode::SERVICE_UNAVAILABLE, refused.to_string())
            .retry_after(std::time::Duration::from_secs(2)),
        Refused::Failed(_) => {
            tracing::error!("an order was not kept: {}", chain(&refused));
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the order could not be kept")
                .hint("the log of the controller says why")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_short_and_says_something() {
        let reason = |text: &str| reason_of(json!({"reason": text}).to_string().as_bytes());
        assert_eq!(reason(" moving \n").as_deref(), Ok("moving"));
        assert!(reason("").is_err() && reason(" \t").is_err());
        assert!(reason(&"x".repeat(500)).is_ok() && reason(&"x".repeat(501)).is_err());
        for wrong in ["", "{}", "\"moving\"", "{\"reason\": 1}", "{\"reason\": \"x\", \"by\": \"y\"}"] {
            assert!(reason_of(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
