//! `POST customers/{name}/sync|suspend|resume`: orders of an operator about one customer.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::text::inert;
use crate::ports::control::{Control, Refused, Standing};
use crate::web::access::Caller;
use crate::web::answer::{Problem, chain, json};
use crate::web::asked::Named;
use crate::web::body;
use crate::web::fleet::SuspensionView;

/// The largest body of an order, in bytes.
const LARGEST: usize = 16 * 1024;
/// How long a reason may be, in characters.
const LONGEST_REASON: usize = 500;

type Who = Extension<Caller>;

/// Why a customer is suspended.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Reason")]
pub struct Why {
    /// In words, for whoever finds the customer suspended.
    #[schemars(length(max = 500), regex(pattern = r"\S"))]
    reason: String,
}

/// That a turn was asked for.
#[derive(Serialize, JsonSchema)]
pub struct SyncAnswer {
    /// Whose.
    customer: String,
}

/// How a customer stands after an order.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderAnswer {
    /// Whose order it was about.
    customer: String,
    /// Whether the order made a difference: somebody else may have given it before.
    changed: bool,
    /// Whether the customer is suspended now, by command or in the tree.
    suspended: bool,
    /// Whether its document suspends it.
    suspended_in_tree: bool,
    /// Who suspended it by command; null if nobody did.
    suspension: Option<SuspensionView>,
}

/// Wakes a customer.
pub async fn sync(
    State(control): State<Arc<dyn Control>>,
    Extension(caller): Who,
    Named(name): Named<String>,
) -> Result<Response, Problem> {
    let by = caller.expect_operator()?;
    control.sync(&name, by).await.map_err(refuse)?;
    Ok(json(StatusCode::ACCEPTED, &SyncAnswer { customer: name }))
}

/// Has nothing more written for a customer.
pub async fn suspend(
    State(control): State<Arc<dyn Control>>,
    Extension(caller): Who,
    Named(name): Named<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let by = caller.expect_operator()?;
    let reason = reason_of(&body::read(&headers, body, LARGEST).await?)?;
    let standing = control.suspend(&name, by, reason).await.map_err(refuse)?;
    Ok(tell(&name, &standing))
}

/// Lets a customer be written again.
pub async fn resume(
    State(control): State<Arc<dyn Control>>,
    Extension(caller): Who,
    Named(name): Named<String>,
) -> Result<Response, Problem> {
    let by = caller.expect_operator()?;
    let standing = control.resume(&name, by).await.map_err(refuse)?;
    Ok(tell(&name, &standing))
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
    let answer = OrderAnswer {
        customer: name.to_owned(),
        changed: *changed,
        suspended: *suspended_in_tree || suspension.is_some(),
        suspended_in_tree: *suspended_in_tree,
        suspension: suspension.as_ref().map(SuspensionView::of),
    };
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
    use serde_json::json;

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
