//! The register's port over the store: what is asked, and the one transaction that a turn writes.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::adapters::store::connection::{Store, StoreReader};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::Connection;
use crate::adapters::store::{
    accounts, audit, bookkeeping, contacts, customers, outbox, readings, suspensions, sync_states, tree,
};
use crate::model::account::Account;
use crate::model::contact_match::{ContactMatch, DocumentationStatus};
use crate::model::digest::Digest;
use crate::model::event::{ChainHead, EventPage, EventQuery};
use crate::model::register::{
    Commit, Committed, CustomerStatus, LateDelivery, Measures, NewDelivery, PackedReadings, RegisterState,
};
use crate::model::tenant::SyncState;
use crate::model::text::Text;
use crate::model::tree_status::TreeStatus;
use crate::ports::register::{ChainCheck, Register, RegisterFault, RegisterReader};

#[async_trait]
impl RegisterReader for StoreReader {
    /// Returns the customers that were committed at least once; a status alone makes none known.
    async fn customers(&self) -> Result<Vec<Text>, RegisterFault> {
        self.ask(Vec::new(), |connection| Box::pin(customers::names(connection))).await
    }

    async fn load(&self, customer: &str) -> Result<RegisterState, RegisterFault> {
        let customer = customer.to_owned();
        self.ask(RegisterState::default(), |connection| {
            Box::pin(async move { load(connection, &customer).await })
        })
        .await
    }

    async fn accounts(&self, customer: Option<&str>) -> Result<Vec<(Text, Account)>, RegisterFault> {
        let customer = customer.map(str::to_owned);
        self.ask(Vec::new(), |connection| {
            Box::pin(async move { accounts::listed(connection, customer.as_deref()).await })
        })
        .await
    }

    async fn event_page(&self, query: &EventQuery, after: Option<i64>) -> Result<EventPage, RegisterFault> {
        let query = query.clone();
        self.ask(EventPage::default(), move |connection| {
            Box::pin(async move { audit::page(connection, &query, after).await })
        })
        .await
    }

    async fn verify(&self, customer: &str) -> Result<ChainCheck, RegisterFault> {
        let customer = customer.to_owned();
        let nothing = ChainCheck::Whole(ChainHead::default());
        self.ask(nothing, |connection| Box::pin(async move { audit::verify(connection, &customer).await }))
            .await
    }

    async fn sequence_of(&self, customer: &str, hash: Digest) -> Result<Option<u64>, RegisterFault> {
        let customer = customer.to_owned();
        self.ask(None, move |connection| {
            Box::pin(async move { audit::sequence_of(connection, &customer, hash).await })
        })
        .await
    }

    async fn removals_since(&self, since: Timestamp) -> Result<u64, RegisterFault> {
        self.ask(0, move |connection| Box::pin(audit::removals_since(connection, since))).await
    }

    async fn statuses(&self) -> Result<Vec<CustomerStatus>, RegisterFault> {
        self.ask(Vec::new(), |connection| Box::pin(bookkeeping::statuses(connection))).await
    }

    async fn status(&self, customer: &str) -> Result<Option<CustomerStatus>, RegisterFault> {
        let customer = customer.to_owned();
        self.ask(None, |connection| Box::pin(async move { bookkeeping::status(connection, &customer).await }))
            .await
    }

    async fn tree(&self) -> Result<Option<TreeStatus>, RegisterFault> {
        self.ask(None, |connection| Box::pin(tree::read(connection))).await
    }

    async fn readings(&self, customer: &str) -> Result<Option<PackedReadings>, RegisterFault> {
        let customer = customer.to_owned();
        self.ask(None, |connection| Box::pin(async move { readings::read(connection, &customer).await }))
            .await
    }

    async fn sync_state(&self, customer: &str) -> Result<Option<SyncState>, RegisterFault> {
        let customer = customer.to_owned();
        self.ask(None, |connection| Box::pin(async move { sync_states::read(connection, &customer).await }))
            .await
    }

    async fn contacts(&self, customer: Option<&str>) -> Result<Vec<(Text, ContactMatch)>, RegisterFault> {
        let customer = customer.map(str::to_owned);
        self.ask(Vec::new(), |connection| {
            Box::pin(async move { contacts::listed(connection, customer.as_deref()).await })
        })
        .await
    }

    async fn documentation(&self) -> Result<Vec<DocumentationStatus>, RegisterFault> {
        self.ask(Vec::new(), |connection| Box::pin(contacts::statuses(connection))).await
    }

    async fn late_deliveries(&self, prefix: &str) -> Result<Vec<LateDelivery>, RegisterFault> {
        let prefix = prefix.to_owned();
        self.ask(Vec::new(), |connection| Box::pin(async move { outbox::late(connection, &prefix).await }))
            .await
    }
}

#[async_trait]
impl RegisterReader for Store {
    async fn customers(&self) -> Result<Vec<Text>, RegisterFault> {
        self.reader().customers().await
    }

    async fn load(&self, customer: &str) -> Result<RegisterState, RegisterFault> {
        self.reader().load(customer).await
    }

    async fn accounts(&self, customer: Option<&str>) -> Result<Vec<(Text, Account)>, RegisterFault> {
        self.reader().accounts(customer).await
    }

    async fn event_page(&self, query: &EventQuery, after: Option<i64>) -> Result<EventPage, RegisterFault> {
        self.reader().event_page(query, after).await
    }

    async fn verify(&self, customer: &str) -> Result<ChainCheck, RegisterFault> {
        self.reader().verify(customer).await
    }

    async fn sequence_of(&self, customer: &str, hash: Digest) -> Result<Option<u64>, RegisterFault> {
        self.reader().sequence_of(customer, hash).await
    }

    async fn removals_since(&self, since: Timestamp) -> Result<u64, RegisterFault> {
        self.reader().removals_since(since).await
    }

    async fn statuses(&self) -> Result<Vec<CustomerStatus>, RegisterFault> {
        self.reader().statuses().await
    }

    async fn status(&self, customer: &str) -> Result<Option<CustomerStatus>, RegisterFault> {
        self.reader().status(customer).await
    }

    async fn tree(&self) -> Result<Option<TreeStatus>, RegisterFault> {
        self.reader().tree().await
    }

    async fn readings(&self, customer: &str) -> Result<Option<PackedReadings>, RegisterFault> {
        self.reader().readings(customer).await
    }

    async fn sync_state(&self, customer: &str) -> Result<Option<SyncState>, RegisterFault> {
        self.reader().sync_state(customer).await
    }

    async fn contacts(&self, customer: Option<&str>) -> Result<Vec<(Text, ContactMatch)>, RegisterFault> {
        self.reader().contacts(customer).await
    }

    async fn documentation(&self) -> Result<Vec<DocumentationStatus>, RegisterFault> {
        self.reader().documentation().await
    }

    async fn late_deliveries(&self, prefix: &str) -> Result<Vec<LateDelivery>, RegisterFault> {
        self.reader().late_deliveries(prefix).await
    }
}

#[async_trait]
impl Register for Store {
    async fn commit(&self, commit: Commit) -> Result<Committed, RegisterFault> {
        let customer = commit.customer.clone();
        self.write_of(&customer, |connection| Box::pin(write(connection, commit))).await
    }

    async fn record_status(
        &self,
        status: &CustomerStatus,
        deliveries: &[NewDelivery],
    ) -> Result<(), RegisterFault> {
        let (status, deliveries) = (status.clone(), deliveries.to_vec());
        self.write_of(&status.customer.clone(), |connection| {
            Box::pin(async move {
                bookkeeping::write_status(connection, &status).await?;
                outbox::write(connection, &status.customer, &deliveries, status.last_attempt).await
            })
        })
        .await
    }

    /// A source that is not among the measures keeps the one it had.
    async fn record_measures(
        &self,
        customer: &str,
        measures: &Measures,
        revision: u64,
    ) -> Result<(), RegisterFault> {
        let (customer, measures) = (customer.to_owned(), measures.clone());
        self.write_of(&customer.clone(), move |connection| {
            Box::pin(async move {
                if customers::read_to_write(connection, &customer).await?.revision != revision {
                    return Ok(());
                }
                bookkeeping::write_measures(connection, &customer, &measures).await
            })
        })
        .await
    }

    async fn record_readings(&self, customer: &str, packed: PackedReadings) -> Result<(), RegisterFault> {
        let customer = customer.to_owned();
        self.write_of(&customer.clone(), |connection| {
            Box::pin(async move { readings::write(connection, &customer, packed).await })
        })
        .await
    }

    async fn record_sync_state(&self, customer: &str, state: SyncState) -> Result<(), RegisterFault> {
        let customer = customer.to_owned();
        self.write_of(&customer.clone(), |connection| {
            Box::pin(async move { sync_states::write(connection, &customer, state).await })
        })
        .await
    }

    async fn record_tree(&self, status: &TreeStatus) -> Result<(), RegisterFault> {
        let status = status.clone();
        self.write(|connection| Box::pin(async move { tree::write(connection, &status).await })).await
    }

    async fn record_tree_fault(&self, fault: &str, at: Timestamp) -> Result<(), RegisterFault> {
        let fault = fault.to_owned();
        self.write(move |connection| Box::pin(async move { tree::fail(connection, &fault, at).await })).await
    }

    async fn record_documentation(&self, statuses: &[DocumentationStatus]) -> Result<(), RegisterFault> {
        let statuses = statuses.to_vec();
        self.write(|connection| {
            Box::pin(async move { contacts::write_statuses(connection, &statuses).await })
        })
        .await
    }

    async fn forget_documentation(&self, customer: &str, system: &str) -> Result<(), RegisterFault> {
        let (customer, system) = (customer.to_owned(), system.to_owned());
        self.write(move |connection| {
            Box::pin(async move { contacts::forget_status(connection, &customer, &system).await })
        })
        .await
    }

    async fn forget_removed(&self, customer: &str, before: Timestamp) -> Result<u64, RegisterFault> {
        let customer = customer.to_owned();
        self.write_of(&customer.clone(), move |connection| {
            Box::pin(async move {
                contacts::forget_removed(connection, &customer, before).await?;
                accounts::forget_removed(connection, &customer, before).await
            })
        })
        .await
    }
}

/// Returns everything about one customer.
pub(super) async fn load(connection: &mut Connection<'_>, customer: &str) -> Result<RegisterState, Mishap> {
    let row = customers::read(connection, customer).await?;
    Ok(RegisterState {
        revision: row.revision,
        accounts: accounts::of_customer(connection, customer).await?,
        pins: row.pins,
        measures: bookkeeping::measures(connection, customer).await?,
        holds: customers::holds(connection, customer).await?,
        readings: readings::digest(connection, customer).await?,
        suspension: suspensions::read(connection, customer).await?,
        documented: contacts::connections(connection, customer).await?,
        unfollowed: contacts::unfollowed(connection, customer).await?,
    })
}

/// Writes a commit, within the transaction of the caller.
pub(super) async fn write(connection: &mut Connection<'_>, commit: Commit) -> Result<Committed, Mishap> {
    let row = customers::read_to_write(connection, &commit.customer).await?;
    let (links, head) = audit::chain(row.head, &commit)?;
    let revision = customers::pass(connection, &commit, row.revision, &head).await?;
    accounts::write(connection, &commit.customer, &commit.accounts).await?;
    outbox::write(connection, &commit.customer, &commit.deliveries, commit.at).await?;
    customers::write_holds(connection, &commit.customer, &commit.holds).await?;
    suspensions::write(connection, &commit.customer, &commit.suspension).await?;
    contacts::write(connection, &commit.customer, &commit.contacts).await?;
    if let Some(measures) = &commit.measures {
        bookkeeping::write_measures(connection, &commit.customer, measures).await?;
    }
    // Last: nobody else appends until the transaction ends.
    audit::append(connection, links).await?;
    if let Some(room) = commit.room
        && audit::removals_since(connection, room.since).await? > room.most
    {
        return Err(Mishap::NoRoom { customer: commit.customer });
    }
    Ok(Committed { revision, head: head.told()? })
}
