//! `GET customers`, `GET customers/{name}`: how customers stand.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::model::text::{Text, fold, inert};
use crate::model::tree_status::TreeStatus;
use crate::ports::feed::{Feed, UnderWay};
use crate::ports::register::RegisterFault;
use crate::web::answer::{Problem, fault_text, json};
use crate::web::asked::{Asked, ListMark, Named, comma_separated, cursor, limit, place, searched, several};
use crate::web::fleet::{CustomerView, FleetBoard, FleetView, StoreAway};

/// When to come back where too many ask.
const COME_BACK: Duration = Duration::from_secs(2);
/// How many customers a page has.
const USUAL: usize = 100;
const MOST: usize = 1_000;

/// The states of the contract.
pub const STATES: [&str; 6] = ["ready", "suspended", "held", "unreadable", "invalid", "notReady"];

/// Which customers are asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomersAsked {
    /// In which states their last turn left them, separated by commas: `ready`, `suspended`, `held`,
    /// `unreadable`, `invalid`, `notReady`.
    #[schemars(transform = of_states)]
    state: Option<String>,
    /// A part of the name. Case does not count.
    #[schemars(length(max = 200))]
    q: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// How many at the most.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

fn of_states(schema: &mut Schema) {
    comma_separated(schema, &STATES);
}

/// A page of customers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomersAnswer {
    /// Which tree is in force; null until one was read.
    tree: Option<TreeAnswer>,
    /// Customers of the tree in force or of the register, by name.
    customers: Vec<CustomerAnswer>,
    /// What the next page is asked for with; null if this is the last one.
    next: Option<String>,
}

/// A customer, and its turn if one is under way.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerAnswer {
    #[serde(flatten)]
    customer: CustomerView,
    /// The turn that is under way; null if none is.
    under_way: Option<UnderWayAnswer>,
}

/// A customer, and how many accounts it had.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OneCustomerAnswer {
    #[serde(flatten)]
    customer: CustomerAnswer,
    /// How many accounts were imported at the end of each of the last 30 days (UTC), the oldest first; the last
    /// one is as of now.
    accounts_by_day: Vec<u64>,
}

/// A turn that is under way.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct UnderWayAnswer {
    /// For how many seconds.
    seconds: u64,
    /// How many objects were read so far, of all sources.
    objects: u64,
}

/// The policy tree that is in force.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TreeAnswer {
    /// Where it comes from: a folder, or a repository and its branch.
    source: String,
    /// A commit, or the digest of a folder's tree.
    revision: String,
    /// When its author wrote the commit; null for a folder.
    authored: Option<String>,
    /// Who that was; likewise.
    author: Option<String>,
    /// Since when it is in force.
    since: Timestamp,
    /// How many problems its documents have.
    problems: u64,
    /// Why there is nothing newer; null if this is the newest.
    fault: Option<String>,
    /// Since when; likewise.
    fault_since: Option<Timestamp>,
}

/// Answers with a page of customers.
pub async fn customers(
    State(board): State<FleetBoard>,
    State(feed): State<Arc<dyn Feed>>,
    Asked(asked): Asked<CustomersAsked>,
) -> Result<Response, Problem> {
    let limit = limit(asked.limit, USUAL, MOST)?;
    let states = several("state", asked.state.as_deref(), &STATES, |state| {
        STATES.contains(&state).then(|| Text::from(state))
    })?;
    let part = fold(searched(asked.q.as_deref())?).into_owned();
    let list = ListMark::of("customers", &(&states, &part));
    let after: Option<Text> = place(list, asked.cursor.as_deref())?;
    let view = board.view().await.map_err(away)?;
    let under_way = feed.under_way();
    let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut wanted = view
        .customers
        .range::<Text, _>((from, Bound::Unbounded))
        .map(|(_, customer)| customer)
        .filter(|customer| {
            let is_state = states.is_empty() || customer.state.as_ref().is_some_and(|is| states.contains(is));
            is_state && (part.is_empty() || fold(&customer.name).contains(&part))
        });
    let page: Vec<CustomerAnswer> =
        wanted.by_ref().take(limit).map(|customer| CustomerAnswer::of(customer, &under_way)).collect();
    let next = wanted.next().and(page.last()).and_then(|last| cursor(list, &last.customer.name));
    let tree = view.tree.as_ref().map(TreeAnswer::of);
    Ok(json(StatusCode::OK, &CustomersAnswer { tree, customers: page, next }))
}

/// Answers how one customer stands.
pub async fn customer(
    State(board): State<FleetBoard>,
    State(feed): State<Arc<dyn Feed>>,
    Named(name): Named<String>,
) -> Result<Response, Problem> {
    let view = board.view_of(&name).await.map_err(away)?;
    let customer = known(&view, &name)?;
    let past = board.past().await.map_err(away)?;
    let accounts_by_day = past.series(&customer.name, customer.accounts.imported());
    let customer = CustomerAnswer::of(customer, &feed.under_way());
    Ok(json(StatusCode::OK, &OneCustomerAnswer { customer, accounts_by_day }))
}

/// Returns a customer that the tree in force or the register knows.
///
/// # Errors
/// What whoever asks for another one is told.
pub fn known<'a>(view: &'a FleetView, name: &str) -> Result<&'a CustomerView, Problem> {
    view.customers.get(name).ok_or_else(|| {
        let shown: String = name.chars().take(100).collect();
        Problem::new(StatusCode::NOT_FOUND, format!("there is no customer `{}`", inert(&shown)))
            .hint("`GET /api/v1/customers` lists those that there are")
    })
}

/// Tells that a question failed; why is for the log.
pub fn failed(fault: &RegisterFault) -> Problem {
    if let RegisterFault::Busy = fault {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, fault.to_string()).retry_after(COME_BACK);
    }
    tracing::error!("a question was not answered: {}", fault_text(fault));
    away(StoreAway)
}

/// Tells that the store does not answer; the log says why.
pub fn away(away: StoreAway) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, away.to_string())
        .hint("the log of the controller says why")
}

impl CustomerAnswer {
    fn of(customer: &CustomerView, under_way: &BTreeMap<Text, UnderWay>) -> Self {
        let under_way = under_way.get(&customer.name).map(|under_way| UnderWayAnswer {
            seconds: under_way.lasting.as_secs(),
            objects: under_way.objects,
        });
        Self { customer: customer.clone(), under_way }
    }
}

impl TreeAnswer {
    fn of(tree: &TreeStatus) -> Self {
        let commit = tree.commit.as_ref();
        Self {
            source: tree.source.to_string(),
            revision: tree.revision.to_string(),
            authored: commit.map(|commit| commit.authored.to_string()),
            author: commit.map(|commit| commit.author.to_string()),
            since: tree.since,
            problems: tree.problems,
            fault: tree.fault.as_ref().map(|(fault, _)| fault.clone()),
            fault_since: tree.fault.as_ref().map(|(_, since)| *since),
        }
    }
}
