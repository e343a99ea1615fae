//! The register as it was: the accounts of a customer rebuilt from the events that wrote them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

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
    /// Whether the register knew the account: one that it had forgotten it knew no more.
    before: Option<IgnoredAny>,
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
        let Some((account_type, id)) = event.account.filter(|_| kind.is_about_account()) else {
            return Ok(());
        };
        let details = Details::deserialize(&event.details)
            .map_err(|error| unfollowable(format!("its details are broken: {error}")))?;
        let key = details.after.key(account_type, id);
        let before = details.before.and_then(|_| self.accounts.get(&key));
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
            EventKind::HoldRecorded
            | EventKind::HoldApproved
            | EventKind::SourcePinned
            | EventKind::SyncRequested
            | EventKind::CustomerSuspended
            | EventKind::CustomerResumed
            | EventKind::ContactMatched
            | EventKind::ContactUnmatched
            | EventKind::ContactAmbiguous
            | EventKind::ContactFailed
            | EventKind::ContactForgotten
            | EventKind::PublicationCreated
            | EventKind::PublicationUpdated
            | EventKind::PublicationDeactivated
            | EventKind::PublicationDeleted
            | EventKind::PublicationHeld
            | EventKind::PublicationConflict
            | EventKind::PublicationFailed
            | EventKind::PublicationDrifted
            | EventKind::PublicationOrphaned => {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::digest::Digest;
    use crate::reconcile::fakes::{key, moment, profile};

    /// An account as an event of the first version shows it.
    fn shown(state: &str) -> Value {
        let profile = profile(1);
        json!({
            "directoryId": Guid::from_u128(1), "tenantUserId": profile.tenant_user_id,
            "samAccountName": "user1", "userPrincipalName": "user1@contoso.test", "displayName": "User 1",
            "email": "user1@contoso.test", "mobilePhone": null, "sources": ["activeDirectory", "microsoft365"],
            "passwordSync": true, "state": state,
        })
    }

    fn event(sequence: u64, kind: &str, details: Value) -> Event {
        Event {
            customer: Text::from("contoso"),
            sequence,
            at: moment(&format!("2026-11-0{sequence}T00:00:00Z")),
            run: Text::from(format!("run-{sequence}")),
            tree_revision: Text::from(format!("tree-{sequence}")),
            kind: Text::from(kind),
            account: Some((AccountType::EndUser, Guid::from_u128(1))),
            subject: Text::default(),
            details,
            readings: None,
            previous: None,
            hash: Digest::of(b""),
        }
    }

    fn added() -> Event {
        event(1, "account.added", json!({"policy": "staff", "before": null, "after": shown("active")}))
    }

    /// Follows events, and returns the one account as it is at the end of their day.
    fn account_after(events: &[Event]) -> Result<Option<Account>, String> {
        let mut replay = Replay::default();
        for event in events {
            replay.follow(event).map_err(|fault| fault.to_string())?;
        }
        let accounts = replay.accounts(events.last().map_or(Timestamp::UNIX_EPOCH, |event| event.at));
        assert!(accounts.len() < 2, "{accounts:?}");
        Ok(accounts.into_iter().next())
    }

    #[test]
    fn events_of_the_first_version_tell_all_but_the_directory() {
        let mut pending = shown("pendingRemoval");
        pending["until"] = json!("2026-11-09T00:00:00.123456789Z");
        let pended = json!({"policy": "staff", "reason": "unlicensed", "before": {}, "after": pending});
        let mut renamed = pending.clone();
        renamed["displayName"] = json!("User Z");
        let events = [
            added(),
            event(2, "account.pended", pended),
            event(3, "account.updated", json!({"policy": "other", "before": {}, "after": renamed})),
        ];
        let account = account_after(&events).expect("followed").expect("an account");
        let expected = Account {
            key: key(1),
            profile: Profile { display_name: Text::from("User Z"), ..profile(1) },
            state: AccountState::PendingRemoval {
                since: moment("2026-11-02T00:00:00Z"),
                until: moment("2026-11-09T00:00:00.123456Z"),
                reason: Verdict::Unlicensed,
            },
            provenance: Arc::new(Provenance {
                directory: None,
                policy: Text::from("other"),
                tree_revision: Text::from("tree-3"),
                run: Text::from("run-3"),
            }),
            imported_at: moment("2026-11-01T00:00:00Z"),
            removal_began_at: Some(moment("2026-11-02T00:00:00Z")),
        };
        assert_eq!(account, expected);
    }

    #[test]
    fn an_account_that_was_forgotten_begins_anew() {
        let removed = json!({"policy": "staff", "reason": "guest", "before": {}, "after": shown("removed")});
        let again = |before: Value| {
            let details = json!({"policy": "staff", "before": before, "after": shown("active")});
            let events =
                [added(), event(2, "account.removed", removed.clone()), event(3, "account.added", details)];
            account_after(&events).expect("followed").expect("an account")
        };
        let (forgotten, kept) = (again(Value::Null), again(shown("removed")));
        assert_eq!(forgotten.removal_began_at, None);
        assert_eq!(kept.removal_began_at, Some(moment("2026-11-02T00:00:00Z")));
        for account in [forgotten, kept] {
            assert_eq!(account.imported_at, moment("2026-11-03T00:00:00Z"));
        }
    }

    #[test]
    fn a_removed_account_is_told_of_for_30_days_and_not_a_moment_longer() {
        let removed =
            json!({"policy": "staff", "reason": "not-in-scope", "before": {}, "after": shown("removed")});
        let events = [added(), event(2, "account.removed", removed)];
        let count = |at: &str| {
            let mut replay = Replay::default();
            events.iter().for_each(|event| replay.follow(event).expect("followed"));
            replay.accounts(moment(at)).len()
        };
        assert_eq!(count("2026-12-02T00:00:00Z"), 1);
        assert_eq!(count("2026-12-02T00:00:00.000001Z"), 0);
    }

    #[test]
    fn an_event_that_cannot_follow_is_named_and_nothing_is_guessed() {
        let orphan = || json!({"policy": "staff", "before": {}, "after": shown("orphaned")});
        for (event, expected) in [
            (event(2, "account.vanished", orphan()), "`account.vanished` is no kind of event"),
            (event(2, "source.pinned", orphan()), "of a kind that is about no account"),
            (event(2, "account.orphaned", json!({"policy": "staff"})), "missing field `after`"),
            (event(2, "account.returned", orphan()), "none that follows"),
            (
                event(2, "account.removed", json!({"policy": "staff", "after": shown("removed")})),
                "does not say why",
            ),
            (
                event(
                    2,
                    "account.pended",
                    json!({"policy": "p", "reason": "guest", "after": shown("pendingRemoval")}),
                ),
                "does not say until when",
            ),
        ] {
            let fault = account_after(&[added(), event]).expect_err(expected);
            assert!(fault.starts_with("event 2 of `contoso` cannot be followed: "), "{fault}");
            assert!(fault.contains(expected), "{expected}: {fault}");
        }
        let fault = account_after(&[event(1, "account.orphaned", orphan())]).expect_err("nobody");
        assert!(fault.contains("never added"), "{fault}");
    }
}
