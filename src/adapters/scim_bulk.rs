//! Several writes to a SCIM service in one request (RFC 7644, 3.7), where it offers that. Whatever of it does not work
//! is done singly.

use std::collections::BTreeMap;

use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};

use crate::adapters::scim::{Found, Scim, Shown, bring_singly};
use crate::adapters::scim_line::TOO_LARGE;
use crate::adapters::scim_object::{self as object, Done};
use crate::model::publication::{Differences, PublishedUser};
use crate::model::reading::Fault;
use crate::model::text::Text;
use crate::ports::publishing::{Landing, Order, Seen, Want};

/// How many users are looked for at once.
const AT_ONCE: usize = 4;

/// What is to be written of one order.
struct Write<'a> {
    place: usize,
    order: &'a Order,
    kind: Kind<'a>,
    operation: Value,
}

enum Kind<'a> {
    Make(&'a PublishedUser),
    Change(&'a PublishedUser, Text, Differences),
    Deactivate(Text),
    Delete,
}

/// Brings users: each is looked for, and what is to be written goes together.
pub(crate) async fn bring(
    scim: &Scim,
    orders: &[Order],
    (operations, bytes): (usize, usize),
) -> Vec<Result<Landing, Fault>> {
    let mut landings: BTreeMap<usize, Result<Landing, Fault>> = BTreeMap::new();
    let mut writes = Vec::new();
    let looks: Vec<_> = orders.iter().map(|order| scim.find(order).boxed()).collect();
    let looked: Vec<_> = futures_util::stream::iter(looks).buffered(AT_ONCE).collect().await;
    for ((place, order), found) in orders.iter().enumerate().zip(looked) {
        match found.map(|found| decide(scim, place, order, found)) {
            Err(fault) => {
                landings.insert(place, Err(fault));
            }
            Ok(Ok(write)) => writes.push(write),
            Ok(Err(Some(landing))) => {
                landings.insert(place, Ok(landing));
            }
            // What goes together with nothing.
            Ok(Err(None)) => {}
        }
    }
    let mut most = operations;
    let mut left = writes.as_slice();
    while !left.is_empty() && most > 0 {
        let chunk = chunk(left, most, bytes);
        match send(scim, &left[..chunk]).await {
            Sent::Done(done) => {
                for write in &left[..chunk] {
                    if let Some(landing) = look(scim, write, &done).await {
                        landings.insert(write.place, landing);
                    }
                }
                left = &left[chunk..];
            }
            // What is left is done singly once not even two go together.
            Sent::TooLarge => most = chunk / 2,
            Sent::Never => {
                scim.takes_no_bulk();
                break;
            }
            Sent::Unknown => break,
        }
    }
    // What was not written, or of which nobody knows: looked for again before anything is done.
    let singly: Vec<usize> = (0..orders.len()).filter(|place| !landings.contains_key(place)).collect();
    let rest: Vec<Order> = singly.iter().filter_map(|place| orders.get(*place)).cloned().collect();
    landings.extend(singly.into_iter().zip(bring_singly(scim, &rest).await));
    landings.into_values().collect()
}

/// Decides what is written of one order; an error is what came of it without, or `None` for what is done singly.
fn decide<'a>(
    scim: &Scim,
    place: usize,
    order: &'a Order,
    found: Found,
) -> Result<Write<'a>, Option<Landing>> {
    let write = |kind, method: &str, shown: Option<&Shown>, data: Option<Value>| {
        let path = shown.map_or_else(|| "/Users".to_owned(), |shown| format!("/Users/{}", shown.user.id));
        let mut operation = json!({"method": method, "path": path, "bulkId": place.to_string()});
        // Of another version the service refuses it, and it is looked at anew.
        if let Some(version) = shown.and_then(|shown| scim.version_of(shown)) {
            operation["version"] = json!(version);
        }
        if let Some(data) = data {
            operation["data"] = data;
        }
        Ok(Write { place, order, kind, operation })
    };
    let shown = match found {
        Found::Barred(landing) => return Err(Some(landing)),
        Found::User(shown) => shown,
        Found::Nobody => {
            return match &order.want {
                Want::Present(user) => write(Kind::Make(user), "POST", None, Some(object::creation(user))),
                Want::Inactive | Want::Deleted => Err(Some(Landing::Gone)),
            };
        }
    };
    let id = shown.user.id.clone();
    match &order.want {
        Want::Deleted => write(Kind::Delete, "DELETE", Some(&shown), None),
        Want::Inactive if shown.user.active == Some(false) => Err(Some(Landing::Inactive(id))),
        Want::Present(user) if shown.user.differences(user).is_empty() => {
            Err(Some(Landing::Unchanged(Seen { id, differences: Differences::new() })))
        }
        _ if !scim.takes_patch() => Err(None),
        Want::Inactive => write(Kind::Deactivate(id), "PATCH", Some(&shown), Some(object::deactivation())),
        Want::Present(user) => {
            let differences = shown.user.differences(user);
            let data = object::change(user, &differences);
            write(Kind::Change(user, id, differences), "PATCH", Some(&shown), Some(data))
        }
    }
}

/// Returns how many go together.
fn chunk(writes: &[Write<'_>], most: usize, bytes: usize) -> usize {
    let mut size = 256;
    let fits = |write: &&Write<'_>| {
        size += write.operation.to_string().len() + 1;
        size <= bytes
    };
    writes.iter().take(most).take_while(fits).count().max(1)
}

enum Sent {
    /// What was done of it.
    Done(BTreeMap<String, Done>),
    /// Fewer may go.
    TooLarge,
    /// None go at all.
    Never,
    /// What became of it nobody knows.
    Unknown,
}

async fn send(scim: &Scim, writes: &[Write<'_>]) -> Sent {
    let operations: Vec<Value> = writes.iter().map(|write| write.operation.clone()).collect();
    match scim.line.make(scim.line.address(&["Bulk"]), &object::bulk(&operations)).await {
        Ok(told) => {
            let done = told.value.as_ref().map(object::done).unwrap_or_default();
            Sent::Done(done.into_iter().map(|done| (done.bulk_id.clone(), done)).collect())
        }
        Err(failed) => {
            tracing::debug!("several writes together failed: {}", failed.fault);
            match failed.status {
                Some(TOO_LARGE) => Sent::TooLarge,
                Some(400 | 403 | 404 | 405 | 501) => Sent::Never,
                _ => Sent::Unknown,
            }
        }
    }
}

/// Looks at what came of one write; `None` for one that is to be done singly.
async fn look(
    scim: &Scim,
    write: &Write<'_>,
    done: &BTreeMap<String, Done>,
) -> Option<Result<Landing, Fault>> {
    let done = done.get(&write.place.to_string()).filter(|done| (200..300).contains(&done.status))?;
    Some(match &write.kind {
        Kind::Delete => Ok(Landing::Deleted),
        Kind::Make(user) => scim.made(write.order, user, done.id.clone(), None).await,
        Kind::Deactivate(id) => {
            let shown = scim.get(id).await.ok()??;
            // Not as it was told: singly there is another way.
            (shown.user.active == Some(false)).then(|| Ok(Landing::Inactive(id.clone())))?
        }
        Kind::Change(user, id, differences) => {
            let shown = scim.get(id).await.ok()??;
            let seen = Seen { id: id.clone(), differences: shown.user.differences(user) };
            Ok(Landing::Updated(seen, differences.clone()))
        }
    })
}
