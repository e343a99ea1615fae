//! The register as somebody looks around in it: in pages, whatever its size. No turn asks these questions.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::model::account::{Account, AccountKey};
use crate::model::contact_match::ContactMatch;
use crate::model::guid::Guid;
use crate::model::listing::{AccountPage, AccountQuery, EventFilter, FoundEvents};
use crate::model::publication::Publication;
use crate::model::register::Suspension;
use crate::model::text::Text;
use crate::ports::register::RegisterFault;

/// Answers whoever looks around, and writes nothing. Every answer is of one state of the store. A few questions are
/// answered at once, others wait some seconds: then it is [`RegisterFault::Busy`].
#[async_trait]
pub trait Browse: Send + Sync {
    /// Returns a page of accounts: by customer, then name.
    async fn account_page(&self, query: &AccountQuery) -> Result<AccountPage, RegisterFault>;
    /// Returns the accounts of one customer that have an id: several where a person is managed in both roles.
    async fn accounts_of(&self, customer: &str, id: Guid) -> Result<Vec<Account>, RegisterFault>;
    /// Returns what is known of the contacts of some accounts of one customer: by account, then connection.
    async fn contacts_of(
        &self,
        customer: &str,
        accounts: &[AccountKey],
    ) -> Result<Vec<ContactMatch>, RegisterFault>;
    /// Returns how the accounts of one customer that have an id stand at the targets that they are published to, by
    /// target: also accounts that the register has forgotten.
    async fn publications_of(&self, customer: &str, id: Guid) -> Result<Vec<Publication>, RegisterFault>;
    /// Returns a page of the audit record.
    async fn found_events(&self, filter: &EventFilter) -> Result<FoundEvents, RegisterFault>;
    /// Returns how many accounts of each customer were imported at the end of each of so many days before
    /// `today` (a number of days since 1970, UTC), the oldest first: told backwards from what there is.
    async fn past_days(&self, today: i64, days: i64) -> Result<BTreeMap<Text, Vec<u64>>, RegisterFault>;
    /// Returns who is suspended by command.
    async fn suspensions(&self) -> Result<BTreeMap<Text, Suspension>, RegisterFault>;
}
