//! `/accounts` and `/customers/{name}/accounts`: the register, in pages, to be searched.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::model::account::{Account, AccountKey, AccountState, AccountType, Source, Verdict};
use crate::model::contact_match::{ContactMatch, MatchStatus};
use crate::model::listing::{AccountPlace, AccountQuery, MOST_WORDS, StateName, words};
use crate::model::text::{Text, fold, inert};
use crate::plan::outcome::AccountView;
use crate::web::pages::fault::Fault;
use crate::web::pages::frame::{Frame, Section, page};
use crate::web::pages::link::{self, Link, of_account, of_customer as customer_address};
use crate::web::pages::moment::Moment;
use crate::web::pages::query::InPath;
use crate::web::pages::query::Query;
use crate::web::pages::standing::Badge;
use crate::web::pages::visitor::Visitor;
use crate::web::pages::word::{self, names};
use crate::web::routes::Site;

/// How many accounts are on a page.
const ON_A_PAGE: usize = 100;

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    frame: Frame,
    here: String,
    of_one: bool,
    search: String,
    types: Vec<Choice>,
    states: Vec<Choice>,
    reasons: Vec<Choice>,
    is_filtered: bool,
    explain: Option<String>,
    has_documentation: bool,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

/// A value of a filter.
struct Choice {
    code: &'static str,
    word: &'static str,
    is_chosen: bool,
}

/// An account of the list.
struct Row {
    customer: String,
    customer_address: String,
    name: String,
    login: String,
    address: String,
    account_type: &'static str,
    in_directory: bool,
    in_tenant: bool,
    state: Badge,
    reason: Option<(&'static str, &'static str)>,
    until: Option<Moment>,
    contacts: Vec<ContactBadge>,
}

/// How an account stands in a documentation system, in short.
struct ContactBadge {
    system: String,
    badge: Badge,
    cause: String,
}

/// Shows accounts of all customers.
pub async fn of_all(
    State(site): State<Site>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
) -> Result<Response, Fault> {
    let frame = Frame::new("Accounts", Section::Accounts, visitor, site.dashboard.gate.clock.now());
    show(&site, None, frame, &Query::of(&uri)).await
}

/// Shows accounts of one customer.
pub async fn of_customer(
    State(site): State<Site>,
    Extension(visitor): Extension<Visitor>,
    InPath(name): InPath<String>,
    uri: Uri,
) -> Result<Response, Fault> {
    site.inquiry.document(&name)?;
    let frame = Frame::new(
        format!("Accounts of {}", inert(&name)),
        Section::Accounts,
        visitor,
        site.dashboard.gate.clock.now(),
    );
    show(&site, Some(&name), frame.below_customer(&name), &Query::of(&uri)).await
}

async fn show(
    site: &Site,
    customer: Option<&str>,
    mut frame: Frame,
    query: &Query,
) -> Result<Response, Fault> {
    let search = query.search("q");
    let account_type = query.one_of("type", AccountType::ALL.into_iter().map(|kind| (kind.code(), kind)))?;
    let state = query.one_of("state", StateName::ALL.into_iter().map(|state| (state.code(), state)))?;
    // The others are no reason to go: who has one stays, and is in the customer's reports.
    let verdicts =
        || Verdict::ALL.into_iter().filter(|verdict| *verdict != Verdict::Included && !verdict.keeps());
    let reason = query.one_of("reason", verdicts().map(|verdict| (verdict.code(), verdict)))?;
    let after = query.parsed("after", "it is a place in this list", place)?;
    if search.is_cut {
        frame = frame.tell("The search was cut off after 200 characters.");
    }
    if fold(&search.text).split_whitespace().count() > MOST_WORDS {
        frame = frame.tell(format!("Only the first {MOST_WORDS} words were looked for."));
    }
    let asked = AccountQuery {
        customer: customer.map(Text::from),
        account_type,
        state,
        reason,
        words: words(&search.text),
        after,
        limit: ON_A_PAGE,
    };
    let found = site.browse.account_page(&asked).await;
    let found = found.map_err(|fault| Fault::inside("accounts cannot be shown", &fault))?;
    let mut contacts = contacts(site, &found.accounts).await?;
    let rows: Vec<Row> = found
        .accounts
        .iter()
        .map(|(customer, account)| {
            let contacts = contacts.remove(&(customer.clone(), account.key)).unwrap_or_default();
            Row::of(customer, account, &contacts, frame.now)
        })
        .collect();
    let here = customer.map_or_else(|| "/accounts".to_owned(), |name| customer_address(name, "/accounts"));
    let address = |after: &str| {
        Link::to(&*here)
            .with("q", &search.text)
            .with("type", account_type.map_or("", AccountType::code))
            .with("state", state.map_or("", StateName::code))
            .with("reason", reason.map_or("", Verdict::code))
            .with("after", after)
            .done()
    };
    let choices = |all: Vec<(&'static str, &'static str)>, chosen: &str| {
        all.into_iter().map(|(code, word)| Choice { code, word, is_chosen: code == chosen }).collect()
    };
    let shown = AccountsPage {
        of_one: customer.is_some(),
        types: choices(
            AccountType::ALL.into_iter().map(|kind| (kind.code(), word::account_type(kind))).collect(),
            account_type.map_or("", AccountType::code),
        ),
        states: choices(
            StateName::ALL.into_iter().map(|state| (state.code(), word::state_name(state).word)).collect(),
            state.map_or("", StateName::code),
        ),
        reasons: choices(
            verdicts().map(|verdict| (verdict.code(), verdict.code())).collect(),
            reason.map_or("", Verdict::code),
        ),
        is_filtered: !search.text.is_empty() || account_type.is_some() || state.is_some() || reason.is_some(),
        explain: customer
            .filter(|_| rows.is_empty() && !search.text.is_empty())
            .map(|name| of_account(name, &search.text)),
        has_documentation: rows.iter().any(|row| !row.contacts.is_empty()),
        first: query.get("after").map(|_| address("")),
        next: found.next.as_ref().map(|next| address(&written(next))),
        search: search.text.clone(),
        here: here.clone(),
        rows,
        frame,
    };
    Ok(page(StatusCode::OK, &shown))
}

type Contacts = BTreeMap<(Text, AccountKey), Vec<ContactMatch>>;

async fn contacts(site: &Site, accounts: &[(Text, Account)]) -> Result<Contacts, Fault> {
    let mut contacts = Contacts::new();
    for (customer, found) in site.inquiry.contacts(accounts).await? {
        contacts.entry((customer, found.account)).or_default().push(found);
    }
    Ok(contacts)
}

impl Row {
    fn of(customer: &str, account: &Account, contacts: &[ContactMatch], now: Timestamp) -> Self {
        let (name, login) = names(&AccountView::of(&account.key, &account.profile));
        let (reason, until) = match &account.state {
            AccountState::PendingRemoval { reason, until, .. } => (Some(*reason), Some(*until)),
            AccountState::Removed { reason, .. } => (Some(*reason), None),
            AccountState::Active | AccountState::Orphaned { .. } => (None, None),
        };
        let sources = account.sources();
        Self {
            customer: inert(customer).into_owned(),
            customer_address: link::of_customer(customer, ""),
            name,
            login,
            address: of_account(customer, &account.key.id.to_string()),
            account_type: word::account_type(account.key.account_type),
            in_directory: sources.contains(&"activeDirectory"),
            in_tenant: sources.contains(&"microsoft365"),
            state: word::state(&account.state),
            reason: reason.map(|reason| (reason.code(), word::verdict(reason))),
            until: until.map(|until| Moment::of(until, now)),
            contacts: contacts.iter().map(ContactBadge::of).collect(),
        }
    }
}

impl ContactBadge {
    fn of(found: &ContactMatch) -> Self {
        Self {
            system: inert(&found.connection).into_owned(),
            badge: word::contact(found.status),
            cause: if found.status == MatchStatus::Matched {
                String::new()
            } else {
                inert(&found.cause).into_owned()
            },
        }
    }
}

/// Writes a place of the list into an address.
fn written(place: &AccountPlace) -> String {
    let AccountPlace { customer, name, key } = place;
    let fields = (customer, name, key.account_type.code(), key.source.code(), key.id.to_string());
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&fields).unwrap_or_default())
}

fn place(written: &str) -> Option<AccountPlace> {
    let bytes = URL_SAFE_NO_PAD.decode(written).ok()?;
    let (customer, name, account_type, source, id): (Text, Text, AccountType, Source, String) =
        serde_json::from_slice(&bytes).ok()?;
    Some(AccountPlace { customer, name, key: AccountKey { account_type, source, id: id.parse().ok()? } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::guid::Guid;

    #[test]
    fn a_place_in_the_list_is_read_back() {
        let there = AccountPlace {
            customer: Text::from("contoso"),
            name: Text::from("jane\u{202e}\n\"doe"),
            key: AccountKey {
                account_type: AccountType::Administrator,
                source: Source::Tenant,
                id: Guid::from_u128(7),
            },
        };
        assert_eq!(place(&written(&there)), Some(there));
        for wrong in ["", "x", "W10", "bm90aGluZw"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
