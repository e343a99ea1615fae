//! Asks a tenant once more for single users, twenty at a time, before somebody is removed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::adapters::graph_grant::seconds;
use crate::adapters::graph_listing::{Graph, astray, refusal};
use crate::adapters::graph_token::Token;
use crate::adapters::http::{Answer, Failed, Request, quoted};
use crate::adapters::tenant_object::{Absent, USER_PROPERTIES, UserRow, user};
use crate::model::guid::Guid;
use crate::model::tenant::{Tenant, TenantBuilder};
use crate::model::text::inert;

/// The most requests that Graph takes in one batch.
const AT_ONCE: usize = 20;
/// The code of an object that does not exist.
const NOT_FOUND: &str = "Request_ResourceNotFound";

/// The answers of a batch, in any order.
#[derive(Deserialize)]
struct Batch {
    responses: Vec<Inner>,
}

/// One of them.
#[derive(Deserialize)]
struct Inner {
    id: String,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    body: Value,
}

/// Reads some users by their ids, into a tenant that holds nobody else. Whoever does not exist is not
/// in it.
///
/// # Errors
/// A batch that did not come, or in which one answer says neither who somebody is nor that nobody is
/// there.
pub(crate) async fn confirm(graph: &Graph<'_>, users: &[Guid]) -> Result<Tenant, Failed> {
    let address = graph.address("/v1.0/$batch")?;
    let mut builder = TenantBuilder::new();
    for some in users.chunks(AT_ONCE) {
        let request = Request::post(address.clone(), "application/json", body(some));
        let rows = graph.ask(&request, &|answer, token| read(graph, some, &answer, token)).await?;
        for (id, row) in rows {
            let name = row.name();
            let user = user(row, Absent::Hidden, &mut builder)
                .map_err(|fault| astray(format!("the user {} {fault}", inert(&name))))?;
            if user.id != id {
                return Err(astray(format!("the answer about the user {id} is about somebody else")));
            }
            builder.user(user);
        }
    }
    Ok(builder.finish())
}

fn body(users: &[Guid]) -> Vec<u8> {
    let select = USER_PROPERTIES.join(",");
    let requests: Vec<Value> = users
        .iter()
        .enumerate()
        .map(|(position, id)| {
            let url = format!("/users/{id}?$select={select}");
            json!({"id": position.to_string(), "method": "GET", "url": url})
        })
        .collect();
    json!({"requests": requests}).to_string().into_bytes()
}

/// Takes a batch apart. One answer that asks to wait makes the whole batch wait: it reads alone, so
/// nothing is done twice.
fn read(
    graph: &Graph<'_>,
    asked: &[Guid],
    answer: &Answer,
    token: &Token,
) -> Result<Vec<(Guid, UserRow)>, Failed> {
    let secret = [token.secret()];
    let batch: Batch = serde_json::from_slice(&answer.body).map_err(|error| {
        answer.unusable(&quoted(&format!("that is no batch of answers: {error}"), &secret))
    })?;
    let mut missing: BTreeMap<String, &Guid> =
        asked.iter().enumerate().map(|(position, id)| (position.to_string(), id)).collect();
    let mut rows = Vec::new();
    for inner in batch.responses {
        let Some(id) = missing.remove(&inner.id) else {
            return Err(answer.unusable("it answers what was not asked"));
        };
        match inner.status {
            200 => {
                let row: UserRow = serde_json::from_value(inner.body).map_err(|error| {
                    astray(quoted(&format!("the user {id} cannot be read: {error}"), &secret))
                })?;
                rows.push((*id, row));
            }
            404 if inner.body["error"]["code"].as_str() == Some(NOT_FOUND) => {}
            status => {
                let wait = inner.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
                let wait = wait.and_then(|(_, value)| seconds(value)).map(Duration::from_secs);
                let inner = answer.inside(status, wait, inner.body.to_string().into_bytes());
                if let Some(wait) = inner.retry_after {
                    graph.hold(wait);
                }
                return Err(refusal(&inner, token, graph.application));
            }
        }
    }
    if missing.is_empty() { Ok(rows) } else { Err(answer.unusable("it does not answer everything")) }
}
