//! Answers whoever looks around in the store: pages of accounts and of the audit record.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use sqlx::{Row as _, SqliteConnection};

use crate::adapters::store::connection::{Store, StoreReader};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::{accounts, audit, contacts, suspensions};
use crate::model::account::{Account, AccountKey};
use crate::model::contact_match::ContactMatch;
use crate::model::guid::Guid;
use crate::model::listing::{AccountPage, AccountQuery, DailyChanges, EventFilter, FoundEvents};
use crate::model::register::Suspension;
use crate::model::text::Text;
use crate::ports::browse::Browse;
use crate::ports::register::RegisterFault;

/// A return from a grace changes no number, one from the removed does.
macro_rules! changes {
    ($which:literal) => {
        concat!(
            "SELECT customer, at / 86400000000 AS day, SUM(CASE kind WHEN 'account.removed' THEN -1 ELSE 1 END)
             FROM events
             WHERE at >= $1 AND ",
            $which,
            "(kind IN ('account.added', 'account.removed')
                OR (kind = 'account.returned' AND json_extract(details, '$.before.state') = 'removed'))
             GROUP BY customer, day"
        )
    };
}
const CHANGES: &str = changes!("");
const CHANGES_OF: &str = changes!("customer = $2 AND ");

#[async_trait]
impl Browse for StoreReader {
    async fn account_page(&self, query: &AccountQuery) -> Result<AccountPage, RegisterFault> {
        let query = query.clone();
        self.ask(AccountPage::default(), |connection| {
            Box::pin(async move { accounts::page(connection, &query).await })
        })
        .await
    }

    async fn accounts_of(&self, customer: &str, id: Guid) -> Result<Vec<Account>, RegisterFault> {
        let customer = customer.to_owned();
        self.ask(Vec::new(), move |connection| {
            Box::pin(async move { accounts::with_id(connection, &customer, id).await })
        })
        .await
    }

    async fn contacts_of(
        &self,
        customer: &str,
        keys: &[AccountKey],
    ) -> Result<Vec<ContactMatch>, RegisterFault> {
        let (customer, keys) = (customer.to_owned(), keys.to_vec());
        self.ask(Vec::new(), move |connection| {
            Box::pin(async move { contacts::of_accounts(connection, &customer, &keys).await })
        })
        .await
    }

    async fn found_events(&self, filter: &EventFilter) -> Result<FoundEvents, RegisterFault> {
        let filter = filter.clone();
        self.ask(FoundEvents::default(), |connection| {
            Box::pin(async move { audit::found(connection, &filter).await })
        })
        .await
    }

    async fn daily_changes(
        &self,
        customer: Option<&str>,
        since: Timestamp,
    ) -> Result<DailyChanges, RegisterFault> {
        let customer = customer.map(str::to_owned);
        self.ask(DailyChanges::new(), move |connection| {
            Box::pin(async move { changes(connection, customer.as_deref(), since).await })
        })
        .await
    }

    async fn suspensions(&self) -> Result<BTreeMap<Text, Suspension>, RegisterFault> {
        self.ask(BTreeMap::new(), |connection| Box::pin(suspensions::all(connection))).await
    }
}

#[async_trait]
impl Browse for Store {
    async fn account_page(&self, query: &AccountQuery) -> Result<AccountPage, RegisterFault> {
        self.reader().account_page(query).await
    }

    async fn accounts_of(&self, customer: &str, id: Guid) -> Result<Vec<Account>, RegisterFault> {
        self.reader().accounts_of(customer, id).await
    }

    async fn contacts_of(
        &self,
        customer: &str,
        accounts: &[AccountKey],
    ) -> Result<Vec<ContactMatch>, RegisterFault> {
        self.reader().contacts_of(customer, accounts).await
    }

    async fn found_events(&self, filter: &EventFilter) -> Result<FoundEvents, RegisterFault> {
        self.reader().found_events(filter).await
    }

    async fn daily_changes(
        &self,
        customer: Option<&str>,
        since: Timestamp,
    ) -> Result<DailyChanges, RegisterFault> {
        self.reader().daily_changes(customer, since).await
    }

    async fn suspensions(&self) -> Result<BTreeMap<Text, Suspension>, RegisterFault> {
        self.reader().suspensions().await
    }
}

async fn changes(
    connection: &mut SqliteConnection,
    customer: Option<&str>,
    since: Timestamp,
) -> Result<DailyChanges, Mishap> {
    let text = if customer.is_some() { CHANGES_OF } else { CHANGES };
    let mut query = sqlx::query(text).bind(since.as_microsecond());
    if let Some(customer) = customer {
        query = query.bind(customer);
    }
    let mut rows = query.fetch(connection);
    let mut changes = DailyChanges::new();
    while let Some(row) = rows.try_next().await? {
        let days = changes.entry(Text::from(row.try_get::<&str, _>(0)?)).or_default();
        days.insert(row.try_get(1)?, row.try_get(2)?);
    }
    Ok(changes)
}
