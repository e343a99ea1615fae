//! Makes contacts that are missing, through the outbox: once each, and looked for before every attempt.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::account::{AccountKey, AccountState, AccountType, Source};
use crate::model::contact::{NewContact, Shelf};
use crate::model::contact_match::MatchStatus;
use crate::model::guid::Guid;
use crate::model::reading::{Fault, FaultKind};
use crate::model::register::{Delivery, LANE, NewDelivery};
use crate::model::text::Text;
use crate::plan::likeness::Likeness;
use crate::policy::fleet::Customer;
use crate::ports::documentation::DocumentationSystems;
use crate::ports::outbox::Destination;
use crate::ports::register::{Register, RegisterFault};

/// What destinations of missing contacts begin with.
pub const PREFIX: &str = "documentation/";

/// Takes contacts that are to be made to one documentation system. One at a time, as all deliveries to a destination
/// with lanes: two accounts of one person, or of one address, are to find each other's contact.
pub struct ContactMaker {
    /// The connection of the operator's file.
    pub connection: Text,
    /// What opens it.
    pub systems: Arc<dyn DocumentationSystems>,
    /// What says whether the contact is still wanted.
    pub register: Arc<dyn Register>,
}

/// What the outbox holds of a contact that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    organization: Text,
    asset_layout: Option<u64>,
    account_type: AccountType,
    source: Source,
    account: Guid,
    asked_at: Timestamp,
    contact: NewContact,
}

/// Returns the destination of contacts that are to be made in a connection.
pub fn destination_of(connection: &str) -> Text {
    Text::from(format!("{PREFIX}{connection}"))
}

/// Returns the delivery that has an account's contact made; `None` for an account without an address. Each
/// has a lane of its own: one that a system refuses holds up no other.
pub fn delivery_of(
    customer: &Customer,
    connection: &Text,
    likeness: &Likeness,
    asked_at: Timestamp,
) -> Option<NewDelivery> {
    let place = customer.documentation.iter().find(|place| place.connection == *connection)?;
    let account = likeness.account;
    let wanted = Wanted {
        organization: place.organization.clone(),
        asset_layout: place.asset_layout,
        account_type: account.account_type,
        source: account.source,
        account: account.id,
        asked_at,
        contact: contact_of(likeness)?,
    };
    let key = key_of(&customer.name, connection, account, asked_at);
    Some(NewDelivery {
        destination: Text::from(format!("{PREFIX}{connection}{LANE}{key}")),
        key,
        body: serde_json::to_value(&wanted).ok()?,
    })
}

/// Returns the key of the delivery that was asked for at a moment: whoever asks anew does not mean the old one.
pub fn key_of(customer: &str, connection: &str, account: AccountKey, asked_at: Timestamp) -> Text {
    Text::from(format!("{customer}/{connection}/{}/{}", whose(account), asked_at.as_microsecond()))
}

fn whose(account: AccountKey) -> String {
    format!("{}/{}/{}", account.account_type, account.source.code(), account.id)
}

/// Returns the contact that is made for an account; `None` for an account without an address.
pub fn contact_of(likeness: &Likeness) -> Option<NewContact> {
    let address = likeness.primary_address.clone()?;
    let (first_name, last_name) = names(&likeness.display_name, &address);
    Some(NewContact {
        first_name,
        last_name,
        address,
        // At most 50 characters: ConnectWise has no longer field for it.
        mark: Text::from(format!("By Intake: {}", likeness.account.id)),
    })
}

/// Splits a display name: `Doe, Jane` at its comma, else before its last word. Whoever has no display name is
/// called by the address.
fn names(display_name: &str, address: &str) -> (Text, Text) {
    let words: Vec<&str> = display_name.split_whitespace().collect();
    let name = words.join(" ");
    if let Some((last, first)) = name.split_once(", ").filter(|(_, first)| !first.contains(',')) {
        return (Text::from(first), Text::from(last));
    }
    match name.rsplit_once(' ') {
        Some((first, last)) => (Text::from(first), Text::from(last)),
        None if name.is_empty() => {
            (Text::from(address.split('@').next().unwrap_or(address)), Text::default())
        }
        None => (Text::from(name), Text::default()),
    }
}

impl ContactMaker {
    /// Whether a contact is still to be made: much may have happened since it was asked for.
    ///
    /// # Errors
    /// If the register does not tell, or the customer is suspended: then nothing is written.
    async fn is_wanted(&self, customer: &str, wanted: &Wanted) -> Result<bool, Fault> {
        // No fault of the system: others go on being taken there.
        let unknown = |fault: RegisterFault| Fault::new(FaultKind::Refused, fault.to_string());
        let state = self.register.load(customer).await.map_err(unknown)?;
        if state.suspension.is_some() {
            return Err(Fault::new(FaultKind::Refused, "the customer is suspended: nothing is written"));
        }
        let key = AccountKey { account_type: wanted.account_type, source: wanted.source, id: wanted.account };
        let is_active =
            state.accounts.iter().any(|account| account.key == key && account.state == AccountState::Active);
        let known = self.register.contacts(Some(customer)).await.map_err(unknown)?;
        let is_missing = known.iter().any(|(_, known)| {
            known.account == key
                && known.connection == self.connection
                && known.organization == wanted.organization
                && known.asked_at.is_some_and(|at| at.as_microsecond() == wanted.asked_at.as_microsecond())
                && known.status == MatchStatus::Unmatched
                && known.candidates.is_empty()
        });
        Ok(is_active && is_missing)
    }
}

#[async_trait]
impl Destination for ContactMaker {
    async fn deliver(&self, delivery: &Delivery) -> Result<(), Fault> {
        let wanted = Wanted::deserialize(&delivery.body).map_err(|error| {
            Fault::new(FaultKind::Refused, format!("the outbox holds what Intake never writes: {error}"))
        })?;
        if !self.is_wanted(&delivery.customer, &wanted).await? {
            tracing::info!(customer = %delivery.customer, connection = %self.connection,
                "a contact is not wanted any more, and not made");
            return Ok(());
        }
        let Wanted { organization, asset_layout, contact, .. } = wanted;
        let shelf = Shelf { organization, asset_layout };
        let system = self.systems.open(&self.connection)?;
        // Somebody may have made it meanwhile, and so may an attempt whose answer was lost.
        if let Some(there) = system.find(&shelf, &contact).await? {
            tracing::info!(customer = %delivery.customer, connection = %self.connection, contact = %there.id,
                "the contact is there already");
            return Ok(());
        }
        let id = system.create(&shelf, &contact).await?;
        tracing::info!(customer = %delivery.customer, connection = %self.connection, contact = %id,
            "contact made");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_are_split_where_people_split_them() {
        let split = |name: &str| {
            let (first, last) = names(name, "jane@contoso.test");
            (first.to_string(), last.to_string())
        };
        let pair = |first: &str, last: &str| (first.to_owned(), last.to_owned());
        assert_eq!(split("Jane Doe"), pair("Jane", "Doe"));
        assert_eq!(split("  Jane   van  Doe "), pair("Jane van", "Doe"));
        assert_eq!(split("van Doe, Jane"), pair("Jane", "van Doe"));
        assert_eq!(split("Doe, Jane, PhD"), pair("Doe, Jane,", "PhD"));
        assert_eq!(split("Jane"), pair("Jane", ""));
        assert_eq!(split(" "), pair("jane", ""));
    }
}
