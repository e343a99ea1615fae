//! Makes contacts and password entries that are missing, through the outbox: once each, and looked for before every
//! attempt.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::account::{AccountKey, AccountState, AccountType, Source};
use crate::model::contact::{ContactKind, NewContact, NewPasswordEntry, NewPerson, Shelf};
use crate::model::contact_match::MatchStatus;
use crate::model::guid::Guid;
use crate::model::reading::{Fault, FaultKind};
use crate::model::register::{Delivery, LANE, NewDelivery};
use crate::model::text::Text;
use crate::plan::likeness::{Likeness, given_and_family};
use crate::plan::outcome::CustomerState;
use crate::policy::fleet::Customer;
use crate::ports::documentation::DocumentationSystems;
use crate::ports::in_force::SuspendedInTree;
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
    /// Whom the tree suspends.
    pub tree: Arc<dyn SuspendedInTree>,
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

/// Returns the delivery that has an account's contact or password entry made; `None` for an account that lacks
/// what it is made with. Each has a lane of its own: one that a system refuses holds up no other.
pub fn delivery_of(
    customer: &Customer,
    connection: &Text,
    kind: ContactKind,
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
        contact: contact_of(likeness, kind)?,
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

/// Returns what is made for an account; `None` for a contact without an address, and for an entry without a
/// username.
pub fn contact_of(likeness: &Likeness, kind: ContactKind) -> Option<NewContact> {
    // At most 50 characters: ConnectWise has no longer field for it.
    let mark = Text::from(format!("By Intake: {}", likeness.account.id));
    Some(match kind {
        ContactKind::Person => {
            let address = likeness.primary_address.clone()?;
            let (first_name, last_name) = given_and_family(&likeness.display_name, &address);
            NewContact::Person(NewPerson { first_name, last_name, address, mark })
        }
        ContactKind::PasswordEntry => {
            let username = likeness.primary_username.clone()?;
            let words: Vec<&str> = likeness.display_name.split_whitespace().collect();
            let name = if words.is_empty() { username.clone() } else { Text::from(words.join(" ")) };
            NewContact::PasswordEntry(NewPasswordEntry { name, username, mark })
        }
    })
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
        let status = self.register.status(customer).await.map_err(unknown)?;
        let was_suspended = status.is_some_and(|status| status.state == CustomerState::Suspended.code());
        if state.suspension.is_some() || was_suspended || self.tree.suspends(customer) {
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
                // Made all the same, found, and deleted since: that was somebody's choice.
                && known.contact.is_none()
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
                "a {} is not wanted any more, and not made", wanted.contact.kind().noun());
            return Ok(());
        }
        let Wanted { organization, asset_layout, contact, .. } = wanted;
        let shelf = Shelf { organization, asset_layout };
        let kind = contact.kind().noun();
        let system = self.systems.open(&self.connection)?;
        // Somebody may have made it meanwhile, and so may an attempt whose answer was lost.
        if let Some(there) = system.find(&shelf, &contact).await? {
            tracing::info!(customer = %delivery.customer, connection = %self.connection, contact = %there.id,
                "the {kind} is there already");
            return Ok(());
        }
        let id = system.create(&shelf, &contact).await?;
        tracing::info!(customer = %delivery.customer, connection = %self.connection, contact = %id,
            "{kind} made");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeness(display_name: &str, address: Option<&str>, username: Option<&str>) -> Likeness {
        let account = AccountKey {
            account_type: AccountType::EndUser,
            source: Source::Directory,
            id: Guid::from_u128(7),
        };
        Likeness {
            account,
            name: Text::from("jane"),
            display_name: Text::from(display_name),
            addresses: Vec::new(),
            primary_address: address.map(Text::from),
            usernames: Vec::new(),
            primary_username: username.map(Text::from),
        }
    }

    #[test]
    fn an_entry_has_the_display_name_or_else_the_username_and_a_contact_needs_an_address() {
        let jane = likeness(" Doe,  Jane ", None, Some("Jane@contoso.test"));
        assert_eq!(contact_of(&jane, ContactKind::Person), None);
        let entry = NewPasswordEntry {
            name: Text::from("Doe, Jane"),
            username: Text::from("Jane@contoso.test"),
            mark: Text::from(format!("By Intake: {}", Guid::from_u128(7))),
        };
        assert_eq!(
            contact_of(&jane, ContactKind::PasswordEntry),
            Some(NewContact::PasswordEntry(entry.clone()))
        );
        let nameless = contact_of(&likeness("", None, Some("svc")), ContactKind::PasswordEntry);
        let named = NewPasswordEntry { name: Text::from("svc"), username: Text::from("svc"), ..entry };
        assert_eq!(nameless, Some(NewContact::PasswordEntry(named)));
        let without = likeness("Jane", Some("jane@contoso.test"), None);
        assert_eq!(contact_of(&without, ContactKind::PasswordEntry), None);
    }
}
