//! What changed of a tenant's users since a link: the stand-in's `users/delta`.
//!
//! By the documented rules: query options in the first request alone, `$select` and no other; either a
//! link to the next page or one to the next round; what never had a value is left out, what lost it is
//! null; whoever is gone comes as `@removed`; changes of `licenseAssignmentStates` are not tracked.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::graph::{Fault, Place, World};
use super::graph_server::{
    GRAPH_JSON, Outcome, broken, expired_page, graph_error, response, selection, unknown_parameter,
};

/// What a round of changes is about. Both kinds of links lead to one.
#[derive(Clone)]
pub(super) struct DeltaRound {
    domain: String,
    select: Vec<String>,
    /// What is still to be told; of a link to a later round nothing yet.
    rows: Vec<Value>,
    page: usize,
    /// The users as they were when the rows were made.
    seen: Vec<Value>,
    pub(super) expired: bool,
}

/// What the service tells of a user without a change of it.
const UNTRACKED: &str = "licenseAssignmentStates";

impl World {
    pub(super) fn delta(&mut self, domain: &str, parameters: &[(String, String)]) -> Outcome {
        let users = self.tenants[domain].users.clone();
        let round = match parameters {
            [(name, value)] if name == "$select" => match selection(value) {
                Err(refused) => return refused,
                Ok(select) => {
                    let rows = users.iter().map(|user| told(&Map::new(), user, &select)).collect();
                    DeltaRound {
                        domain: domain.to_owned(),
                        select,
                        rows,
                        page: 1,
                        seen: users,
                        expired: false,
                    }
                }
            },
            [(name, token)] if name == "$skiptoken" || name == "$deltatoken" => {
                let known = self.rounds.get(token).filter(|round| round.domain == domain).cloned();
                let is_later = name == "$deltatoken";
                match known {
                    Some(round) if round.expired && is_later => return sync_state_not_found().into(),
                    Some(round) if round.expired => return expired_page().into(),
                    Some(round) if is_later => {
                        let rows = changes(&round.seen, &users, &round.select);
                        DeltaRound { rows, page: 1, seen: users, ..round }
                    }
                    Some(round) => round,
                    None => return sync_state_not_found().into(),
                }
            }
            _ => {
                let other = parameters.iter().find(|(name, _)| name != "$select");
                return unknown_parameter(other.map_or("", |(name, _)| name)).into();
            }
        };
        self.page_of_changes(round)
    }

    fn page_of_changes(&mut self, mut round: DeltaRound) -> Outcome {
        let domain = round.domain.clone();
        let ordered = self.ordered(Place::Delta, round.page, &domain);
        let size =
            if matches!(ordered, Some(Fault::EmptyPage)) { 0 } else { self.tenants[&domain].page_size };
        let rest = round.rows.split_off(size.min(round.rows.len()));
        let mut rows = std::mem::replace(&mut round.rows, rest);
        let is_last = round.rows.is_empty() && size > 0;
        match &ordered {
            Some(Fault::DuplicateRows) => rows.extend(rows.clone()),
            Some(Fault::Missing(id)) => rows.retain(|row| row["id"] != id.as_str()),
            Some(Fault::Hidden(name)) => rows.iter_mut().for_each(|row| {
                row.as_object_mut().expect("an object").remove(*name);
            }),
            Some(Fault::MoreRows(more)) => rows.extend(more.clone()),
            Some(Fault::BrokenRow(row)) => rows[0] = row.clone(),
            _ => {}
        }
        let mut page =
            json!({"@odata.context": format!("{}/v1.0/$metadata#users(delta)", self.root), "value": rows});
        let token = Uuid::new_v4().simple().to_string();
        let link = |kind: &str| json!(format!("{}/v1.0/users/delta?${kind}={token}", self.root));
        match (&ordered, is_last) {
            (Some(Fault::NoEnd), _) => {}
            (Some(Fault::ForeignLink(foreign)), _) => page["@odata.nextLink"] = json!(foreign),
            (Some(Fault::TwoEnds), _) => {
                page["@odata.nextLink"] = link("skiptoken");
                page["@odata.deltaLink"] = link("deltatoken");
            }
            (_, true) => page["@odata.deltaLink"] = link("deltatoken"),
            (_, false) => page["@odata.nextLink"] = link("skiptoken"),
        }
        round.page += 1;
        self.rounds.insert(token, round);
        ordered
            .and_then(|fault| broken(&fault, &page))
            .unwrap_or_else(|| response(200, GRAPH_JSON, page.to_string()).into())
    }
}

/// Returns what is told of a user: what has a value, what lost it as null, and the id always.
fn told(before: &Map<String, Value>, user: &Value, select: &[String]) -> Value {
    let mut row = Map::new();
    row.insert("id".to_owned(), user["id"].clone());
    for name in select {
        match (user.get(name), before.get(name)) {
            (Some(value), _) if !value.is_null() => drop(row.insert(name.clone(), value.clone())),
            (_, Some(was)) if !was.is_null() => drop(row.insert(name.clone(), Value::Null)),
            _ => {}
        }
    }
    Value::Object(row)
}

fn changes(before: &[Value], now: &[Value], select: &[String]) -> Vec<Value> {
    let of = |users: &[Value], id: &Value| users.iter().find(|user| user["id"] == *id).cloned();
    let mut rows = Vec::new();
    for user in now {
        let Some(was) = of(before, &user["id"]) else {
            rows.push(told(&Map::new(), user, select));
            continue;
        };
        let tracked = |name: &&String| name.as_str() != UNTRACKED;
        if select.iter().filter(tracked).any(|name| user.get(name) != was.get(name)) {
            rows.push(told(was.as_object().expect("an object"), user, select));
        }
    }
    for user in before.iter().filter(|user| of(now, &user["id"]).is_none()) {
        rows.push(json!({"id": user["id"], "@removed": {"reason": "changed"}}));
    }
    rows
}

/// What an old link gets: a status of its own, and where to begin anew.
fn sync_state_not_found() -> axum::http::Response<axum::body::Body> {
    let mut answer = graph_error(410, "SyncStateNotFound", "The sync state is not known any more.");
    answer.headers_mut().insert("location", "/v1.0/users/delta?$deltatoken=".parse().expect("a header"));
    answer
}
