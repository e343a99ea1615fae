//! `GET customers/{name}/matches`: how the accounts of a customer stand in documentation systems, in pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::account::{Account, AccountKey};
use crate::model::contact_match::MatchStatus;
use crate::model::listing::{AccountPlace, AccountQuery};
use crate::plan::register_view::ListedMatch;
use crate::ports::browse::Browse;
use crate::ports::inquiry::Inquiry;
use crate::web::answer::{Problem, json};
use crate::web::asked::{Asked, ListMark, Named, WrittenPlace, cursor, limit, place};
use crate::web::customers::{away, failed, known};
use crate::web::decisions::refuse;
use crate::web::fleet::FleetBoard;

/// Of how many accounts a page tells.
const USUAL: usize = 100;
const MOST: usize = 1_000;

/// Whose matches are asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchesAsked {
    /// How they stand.
    status: Option<MatchStatus>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Of how many accounts at the most.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// A page of matches.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MatchesAnswer {
    /// How accounts stand: by the account's name, then system.
    matches: Vec<ListedMatch>,
    /// What the next page is asked for with; null if this is the last one.
    next: Option<String>,
}

/// Answers with how a page of accounts stand.
pub async fn matches(
    State(browse): State<Arc<dyn Browse>>,
    State(inquiry): State<Arc<dyn Inquiry>>,
    State(board): State<FleetBoard>,
    Named(name): Named<String>,
    Asked(asked): Asked<MatchesAsked>,
) -> Result<Response, Problem> {
    let view = board.view().await.map_err(away)?;
    let customer = known(&view, &name)?.name.clone();
    let list = ListMark::of("matches", &(&customer, asked.status));
    let query = AccountQuery {
        customer: Some(customer.clone()),
        account_type: None,
        state: None,
        reason: None,
        words: Vec::new(),
        after: place::<WrittenPlace>(list, asked.cursor.as_deref())?.map(AccountPlace::from),
        limit: limit(asked.limit, USUAL, MOST)?,
    };
    let page = browse.account_page(&query).await.map_err(|fault| failed(&fault))?;
    let mut found: BTreeMap<AccountKey, Vec<_>> = BTreeMap::new();
    for (_, one) in inquiry.contacts(&page.accounts).await.map_err(refuse)? {
        if asked.status.is_none_or(|status| status == one.status) {
            found.entry(one.account).or_default().push(one);
        }
    }
    let of = |account: &Account| found.get(&account.key).into_iter().flatten();
    let accounts = page.accounts.iter().map(|(_, account)| account);
    let matches: Vec<ListedMatch> = accounts
        .flat_map(|account| of(account).map(|one| ListedMatch::of(&customer, account, one)))
        .collect();
    let next = page.next.and_then(|place| cursor(list, &WrittenPlace::from(place)));
    Ok(json(StatusCode::OK, &MatchesAnswer { matches, next }))
}
