//! The register as it was: the accounts of a customer rebuilt from the events that wrote them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use crate::model::account::{
    Account, AccountKey, AccountState, AccountType, Profile, Provenance, Source, Verdict,
};
use crate::model::event::{Event, EventKind};
use crate::model::guid::Guid;
use crate::model::text::Text;
use crate::plan::diff::RESTORABLE;

/// Rebuilds the accounts of one customer, event by event in the order of its chain.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    accounts: BTreeMap<AccountKey, Account>,
}

/// Why the register cannot be rebuilt: an event says what Intake never writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {sequence} of `{customer}` cannot be followed: {what}")]
pub struct Unfollowable {
    /// Whose event it is.
    pub customer: Text,
    /// Its number.
    pub sequence: u64,
    /// What is wrong with it.
    pub what: String,
}

/// What an event about an account says, as [`apply`](crate::reconcile::apply) writes it.
#[derive(Deserialize)]
struct Details {
    policy: Text,
    /// Not in events of earlier versions: an account stays in its directory.
    #[serde(default)]
    directory: Option<Text>,
    #[serde(default)]
    reason: Option<Verdict>,
    #[serde(default)]
    approved: bool,
    after: Shown,
}

/// An account as an event shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    directory_id: Option<Guid>,
    tenant_user_id: Option<Guid>,
    sam_account_name: Text,
    user_principal_name: Option<Text>,
    display_name: Text,
    email: Option<Text>,
    mobile_phone: Option<Text>,
    password_sync: bool,
    state: Text,
    #[serde(default)]
    until: Option<Timestamp>,
}

impl Replay {
    /// Follows the next event of the customer's chain. One that is about no account changes none.
    ///
    /// # Errors
    /// [`Unfollowable`] for an event that Intake cannot have written after those before it.
    pub fn follow(&mut self, event: &Event) -> Result<(), Unfollowable> {
        let unfollowable =
            |what: String| Unfollowable { customer: event.customer.clone(), sequence: event.sequence, what };
        let kind = EventKind::from_code(&event.kind)
            .ok_or_else(|| unfollowable(format!("`{}` is no kind of event", event.kind)))?;
        let Some((account_type, id)) = event.account else { return Ok(()) };
        let details = Details::deserialize(&event.details)
            .map_err(|error| unfollowable(format!("its details are broken: {error}")))?;
        let key = details.after.key(account_type, id);
        let before = self.accounts.get(&key);
        let account =
            details.account(key, kind, before, event).map_err(|what| unfollowable(what.to_owned()))?;
        self.accounts.insert(key, account);
        Ok(())
    }

    /// Returns the accounts as they were at a moment, in the order of their keys. One that was removed
    /// is among them for 30 days, whenever the register got round to forgetting it.
    pub fn accounts(self, at: Timestamp) -> Vec<Account> {
        let before = RESTORABLE.before(at);
        let is_kept = |account: &Account| !matches!(account.state, AccountState::Removed { since, .. } if since < before);
        self.accounts.into_values().filter(is_kept).collect()
    }
}

impl Details {
    /// Returns the account as it is after an event of this kind.
    fn account(
        self,
        key: AccountKey,
        kind: EventKind,
        before: Option<&Account>,
        event: &Event,
    ) -> Result<Account, &'static str> {
        let state = self.state(kind, before, event.at)?;
        let known = || before.ok_or("it is about an account that was never added");
        // An add is a new account, also in place of one that was removed long ago.
        let is_new = kind == EventKind::AccountAdded;
        let begins = matches!(kind, EventKind::AccountPended | EventKind::AccountRemoved)
            && !self.approved
            && matches!(before, Some(Account { state: AccountState::Active, .. }));
        let removal_began_at =
            if begins { Some(event.at) } else { before.and_then(|account| account.removal_began_at) };
        let directory = self.directory.or_else(|| before?.provenance.directory.clone());
        Ok(Account {
            key,
            state,
            imported_at: if is_new { event.at } else { known()?.imported_at },
            removal_began_at,
            provenance: Arc::new(Provenance {
                directory,
                policy: self.policy,
                tree_revision: event.tree_revision.clone(),
                run: event.run.clone(),
            }),
            profile: Profile {
                sam_account_name: self.after.sam_account_name,
                user_principal_name: self.after.user_principal_name,
                display_name: self.after.display_name,
                email: self.after.email,
                mobile_phone: self.after.mobile_phone,
                tenant_user_id: self.after.tenant_user_id,
                password_sync: self.after.password_sync,
            },
        })
    }

    fn state(
        &self,
        kind: EventKind,
        before: Option<&Account>,
        at: Timestamp,
    ) -> Result<AccountState, &'static str> {
        let reason = self.reason.ok_or("it does not say why");
        let state = match kind {
            EventKind::AccountAdded | EventKind::AccountReturned => AccountState::Active,
            EventKind::AccountPended => AccountState::PendingRemoval {
                since: at,
                until: as_stored(self.after.until.ok_or("it does not say until when")?),
                reason: reason?,
            },
            EventKind::AccountOrphaned => AccountState::Orphaned { since: at },
            EventKind::AccountRemoved => {
                AccountState::Removed { since: at, reason: reason?, approved: self.approved }
            }
            // An update leaves the state alone, or takes an orphaned account back.
            EventKind::AccountUpdated => match before {
                Some(account) if account.state.code() == self.after.state => account.state.clone(),
                _ => AccountState::Active,
            },
            EventKind::HoldRecorded | EventKind::HoldApproved | EventKind::SourcePinned => {
                return Err("it is of a kind that is about no account");
            }
        };
        if state.code() == self.after.state {
            Ok(state)
        } else {
            Err("the state that it leaves the account in is none that follows")
        }
    }
}

impl Shown {
    fn key(&self, account_type: AccountType, id: Guid) -> AccountKey {
        let source = if self.directory_id.is_some() { Source::Directory } else { Source::Tenant };
        AccountKey { account_type, source, id }
    }
}

/// The register keeps microseconds; an event has the moment as it was computed.
fn as_stored(moment: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(moment.as_microsecond()).unwrap_or(moment)
}
