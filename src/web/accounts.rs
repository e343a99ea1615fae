//! `GET accounts`, `GET customers/{name}/accounts`: the register, in pages.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::account::{AccountType, Verdict};
use crate::model::listing::{AccountPlace, AccountQuery, MOST_WORDS, StateName, words};
use crate::model::text::Text;
use crate::plan::register_view::{Life, ListedAccount};
use crate::ports::browse::Browse;
use crate::web::answer::{Problem, json};
use crate::web::asked::{Asked, ListMark, Named, WrittenPlace, cursor, limit, place, searched};
use crate::web::customers::{away, failed, known};
use crate::web::fleet::FleetBoard;

/// How many accounts a page has.
const USUAL: usize = 100;
const MOST: usize = 1_000;

/// Which accounts are asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountsAsked {
    /// In which role.
    account_type: Option<AccountType>,
    /// Where in their life.
    state: Option<StateName>,
    /// Why they go, or went.
    reason: Option<Verdict>,
    /// Up to four words that all occur in names, addresses, numbers or ids of an account. Case does not count.
    #[schemars(length(max = 200), regex(pattern = r"^\s*(\S+\s+){0,3}\S*$"))]
    q: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// How many at the most.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// A page of accounts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AccountsAnswer {
    /// The accounts: by customer, then name.
    accounts: Vec<AccountAnswer>,
    /// What the next page is asked for with; null if this is the last one.
    next: Option<String>,
}

/// An account, and where it is in its life.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AccountAnswer {
    #[serde(flatten)]
    account: ListedAccount,
    #[serde(flatten)]
    life: Life,
}

/// Answers with a page of accounts of all customers.
pub async fn all_accounts(
    State(browse): State<Arc<dyn Browse>>,
    Asked(asked): Asked<AccountsAsked>,
) -> Result<Response, Problem> {
    page(&*browse, None, asked).await
}

/// Answers with a page of accounts of one customer.
pub async fn accounts(
    State(browse): State<Arc<dyn Browse>>,
    State(board): State<FleetBoard>,
    Named(name): Named<String>,
    Asked(asked): Asked<AccountsAsked>,
) -> Result<Response, Problem> {
    let view = board.view().await.map_err(away)?;
    let customer = known(&view, &name)?.name.clone();
    page(&*browse, Some(customer), asked).await
}

/// Expects as many words as are looked for: whoever types more would get more than they asked for.
fn few(words: Vec<Text>) -> Result<Vec<Text>, Problem> {
    if words.len() > MOST_WORDS {
        let detail = format!("`q` has {} words, and {MOST_WORDS} are looked for at the most", words.len());
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    Ok(words)
}

async fn page(
    browse: &dyn Browse,
    customer: Option<Text>,
    asked: AccountsAsked,
) -> Result<Response, Problem> {
    let mut query = AccountQuery {
        customer,
        account_type: asked.account_type,
        state: asked.state,
        reason: asked.reason,
        words: few(words(searched(asked.q.as_deref())?))?,
        after: None,
        limit: 0,
    };
    let list = ListMark::of("accounts", &query);
    query.after = place::<WrittenPlace>(list, asked.cursor.as_deref())?.map(AccountPlace::from);
    query.limit = limit(asked.limit, USUAL, MOST)?;
    let page = browse.account_page(&query).await.map_err(|fault| failed(&fault))?;
    let accounts = page.accounts.iter().map(|(customer, account)| AccountAnswer {
        account: ListedAccount::of(customer, account),
        life: Life::of(&account.state),
    });
    let next = page.next.and_then(|place| cursor(list, &WrittenPlace::from(place)));
    Ok(json(StatusCode::OK, &AccountsAnswer { accounts: accounts.collect(), next }))
}
