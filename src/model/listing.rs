//! What people look for in the register, and the pages in which they get it.

use jiff::Timestamp;

use crate::model::account::{Account, AccountKey, AccountState, AccountType, Verdict};
use crate::model::event::Event;
use crate::model::guid::Guid;
use crate::model::text::{Text, fold};

/// Which accounts somebody looks for. What is not set lets everybody through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountQuery {
    /// Whose.
    pub customer: Option<Text>,
    /// In which role.
    pub account_type: Option<AccountType>,
    /// Where in their life.
    pub state: Option<StateName>,
    /// Why they go, or went.
    pub reason: Option<Verdict>,
    /// Words that all occur in what an account is called: names, addresses, numbers, ids. Case does not count.
    pub words: Vec<Text>,
    /// Where the page before ended.
    pub after: Option<AccountPlace>,
    /// How many at the most.
    pub limit: usize,
}

/// Where an account stands in the list: by customer, then name, then who it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountPlace {
    /// The customer's name.
    pub customer: Text,
    /// The account's name, as [`Account::listed_name`] gives it.
    pub name: Text,
    /// Who it is.
    pub key: AccountKey,
}

/// Some accounts, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountPage {
    /// The accounts, each with its customer's name.
    pub accounts: Vec<(Text, Account)>,
    /// What the next page is asked for with; `None` if this is the last one.
    pub next: Option<AccountPlace>,
}

/// Where an account is in its life, by name.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum StateName {
    /// Imported.
    Active,
    /// Within its grace.
    PendingRemoval,
    /// Without a policy that answers for it.
    Orphaned,
    /// Removed within the last 30 days.
    Removed,
}

/// Which events somebody looks for. What is not set lets all through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    /// Whose.
    pub customer: Option<Text>,
    /// About which account, by its id; needs a customer.
    pub account: Option<Guid>,
    /// Of which kinds, by their codes.
    pub kinds: Vec<Text>,
    /// Written at this moment or later.
    pub since: Timestamp,
    /// Written at this moment or earlier.
    pub until: Timestamp,
    /// In which order.
    pub order: EventOrder,
    /// Where the page before ended.
    pub after: Option<i64>,
    /// How many at the most.
    pub limit: usize,
}

/// In which order events come.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum EventOrder {
    /// The last one first.
    #[default]
    Newest,
    /// As they were written.
    Oldest,
}

/// Some events, and where to go on. A page may be short, or empty, and not the last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundEvents {
    /// The events.
    pub events: Vec<Event>,
    /// What the next page is asked for with; `None` if this is the last one.
    pub next: Option<i64>,
}

impl StateName {
    /// All of them, in the order in which an account lives through them.
    pub const ALL: [Self; 4] = [Self::Active, Self::PendingRemoval, Self::Orphaned, Self::Removed];

    /// Returns the word that the store and every output use.
    pub fn code(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::PendingRemoval => "pendingRemoval",
            Self::Orphaned => "orphaned",
            Self::Removed => "removed",
        }
    }

    /// Returns the name of a state.
    pub fn of(state: &AccountState) -> Self {
        match state {
            AccountState::Active => Self::Active,
            AccountState::PendingRemoval { .. } => Self::PendingRemoval,
            AccountState::Orphaned { .. } => Self::Orphaned,
            AccountState::Removed { .. } => Self::Removed,
        }
    }
}

impl EventFilter {
    /// Asks for the last events of one customer, or of all.
    pub fn last(customer: Option<Text>, limit: usize) -> Self {
        Self {
            customer,
            account: None,
            kinds: Vec::new(),
            since: Timestamp::MIN,
            until: Timestamp::MAX,
            order: EventOrder::Newest,
            after: None,
            limit,
        }
    }
}

/// Returns what is searched of an account: everything that somebody may call it, folded, a line each.
pub fn searched(account: &Account) -> String {
    let profile = &account.profile;
    let id = account.key.id.to_string();
    let tenant_user = profile.tenant_user_id.map(|id| id.to_string());
    let mut text = String::new();
    let parts = [
        Some(profile.display_name.as_str()),
        profile.user_principal_name.as_deref(),
        Some(profile.sam_account_name.as_str()),
        profile.email.as_deref(),
        profile.mobile_phone.as_deref(),
        Some(id.as_str()),
        tenant_user.as_deref(),
    ];
    for part in parts.into_iter().flatten().filter(|part| !part.is_empty()) {
        text.push_str(&fold(part));
        text.push('\n');
    }
    text
}

/// Returns the words that somebody typed, folded. More than [`MOST_WORDS`] are not looked for.
pub fn words(typed: &str) -> Vec<Text> {
    fold(typed).split_whitespace().map(Text::from).collect()
}

/// How many words are looked for at the most.
pub const MOST_WORDS: usize = 4;
