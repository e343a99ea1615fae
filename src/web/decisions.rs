//! `GET customers/{name}/plan`, `GET customers/{name}/explain/{account}`: what becomes of a customer, and why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::text::Text;
use crate::plan::outcome::Plan;
use crate::plan::planner::unite;
use crate::ports::inquiry::{Inquiry, KeptPlan, Unanswered};
use crate::web::answer::{Problem, aside, chain, json};
use crate::web::asked::Named;

/// When to come back where nothing is known yet.
const COME_BACK: Duration = Duration::from_secs(2);

/// A plan of one customer.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanAnswer {
    #[serde(flatten)]
    plan: Plan,
    /// When the readings were made that the plan was computed from, by customer; none for one without any.
    #[schemars(with = "BTreeMap<String, Timestamp>")]
    read_at: BTreeMap<Text, Timestamp>,
}

/// Answers what would be done for a customer.
pub async fn plan(
    State(inquiry): State<Arc<dyn Inquiry>>,
    Named(name): Named<String>,
) -> Result<Response, Problem> {
    let kept = inquiry.plan(&name).await.map_err(refuse)?;
    aside(move || {
        let KeptPlan { plan, revision, read_at } = &*kept;
        let read_at = read_at.map(|at| (plan.name.clone(), at)).into_iter().collect();
        json(StatusCode::OK, &PlanAnswer { plan: unite(revision.clone(), vec![plan.clone()]), read_at })
    })
    .await
}

/// Answers what becomes of somebody.
pub async fn explain(
    State(inquiry): State<Arc<dyn Inquiry>>,
    Named((name, account)): Named<(String, String)>,
) -> Result<Response, Problem> {
    let explanation = inquiry.explain(&name, &account).await.map_err(refuse)?;
    Ok(json(StatusCode::OK, &*explanation))
}

/// Says why there is no answer.
pub fn refuse(unanswered: Unanswered) -> Problem {
    let told = unanswered.to_string();
    match unanswered {
        Unanswered::UnknownCustomer { nearest, .. } => hinted(
            Problem::new(StatusCode::NOT_FOUND, told),
            nearest.map(|nearest| format!("did you mean `{nearest}`?")),
        ),
        Unanswered::UnknownAccount { nearest, .. } => {
            let nearest: Vec<String> = nearest.iter().map(|name| format!("`{name}`")).collect();
            let hint = match nearest.split_first() {
                None => {
                    "name a userPrincipalName, sAMAccountName, mail address, objectGUID or tenant user id"
                        .to_owned()
                }
                Some((first, [])) => format!("did you mean {first}?"),
                Some((first, others)) => format!("did you mean {first}? Near, too: {}", others.join(", ")),
            };
            Problem::new(StatusCode::NOT_FOUND, told).hint(hint)
        }
        Unanswered::SeveralPeople { people, .. } => Problem::new(StatusCode::CONFLICT, told)
            .hint(format!("name the one you mean by the objectGUID: {}", people.join("; "))),
        Unanswered::NothingToExplainFrom { hint, .. } => Problem::new(StatusCode::CONFLICT, told).hint(hint),
        Unanswered::NotYet | Unanswered::Busy => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, told).retry_after(COME_BACK)
        }
        Unanswered::Failed(_) => {
            tracing::error!("{told}: {}", chain(&unanswered));
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, told).hint("the log of the controller says why")
        }
    }
}

fn hinted(problem: Problem, hint: Option<String>) -> Problem {
    match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}
