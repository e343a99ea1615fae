//! Accounts, events and commits to try a register with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use intake::adapters::store::connection::Store;
use intake::model::account::{Account, AccountKey, AccountState, AccountType, Profile, Provenance, Source};
use intake::model::contact::ContactKind;
use intake::model::contact_match::{ContactChanges, ContactMatch, MatchCandidate, MatchKey, MatchStatus};
use intake::model::digest::Digest;
use intake::model::event::{EventKind, NewEvent, ReadingDigests};
use intake::model::guid::Guid;
use intake::model::register::{
    Attempted, Commit, Delivery, Hold, NewDelivery, Outcome, Pins, SuspensionChange,
};
use intake::ports::outbox::Outbox;
use intake::ports::register::{ChainCheck, RegisterFault};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

/// A store in a folder of its own.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("intake.db")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self) -> String {
        url(&self.path())
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url()).await.unwrap()
    }

    /// The names of all files, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

pub(crate) fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Opens the database behind the store's back.
pub(crate) async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

/// Runs SQL behind the store's back.
pub(crate) async fn tamper(path: &Path, sql: &'static str) {
    let mut connection = raw(path).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// 2026-11-01 plus some seconds.
pub(crate) fn at(seconds: i64) -> Timestamp {
    "2026-11-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

pub(crate) fn days(days: i64) -> i64 {
    days * 24 * 60 * 60
}

pub(crate) fn account(number: u128) -> Account {
    Account {
        key: AccountKey {
            account_type: AccountType::EndUser,
            source: Source::Directory,
            id: Guid::from_u128(number),
        },
        profile: Profile {
            sam_account_name: format!("user{number:06}").into(),
            user_principal_name: Some(format!("user{number:06}@contoso.test").into()),
            display_name: format!("User {number}").into(),
            email: Some(format!("user{number:06}@contoso.com").into()),
            mobile_phone: None,
            tenant_user_id: Some(Guid::from_u128(number << 64)),
            password_sync: true,
        },
        state: AccountState::Active,
        provenance: Arc::new(Provenance {
            directory: Some("main".into()),
            policy: "staff".into(),
            tree_revision: "tree-1".into(),
            run: "run-1".into(),
        }),
        imported_at: at(0),
        removal_began_at: None,
    }
}

pub(crate) fn event(subject: &str) -> NewEvent {
    NewEvent {
        kind: EventKind::AccountAdded,
        account: Some((AccountType::EndUser, Guid::from_u128(7))),
        subject: subject.into(),
        details: json!({"reason": null, "after": {"displayName": subject}}),
    }
}

pub(crate) fn delivery(destination: &str, key: &str) -> NewDelivery {
    NewDelivery { destination: destination.into(), key: key.into(), body: json!({"key": key}) }
}

/// Of deliveries one at a time, and of all destinations.
#[async_trait]
pub(crate) trait OneByOne: Outbox {
    /// Returns those that are due, oldest first.
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<Delivery>, RegisterFault> {
        let mut due = Vec::new();
        for address in self.addresses().await? {
            due.extend(self.due_at(&address, now, limit).await?);
        }
        due.sort_by_key(|delivery| delivery.id);
        due.truncate(limit as usize);
        Ok(due)
    }

    /// Takes it; whether nobody else did.
    async fn claim_one(&self, id: i64, now: Timestamp, until: Timestamp) -> Result<bool, RegisterFault> {
        Ok(self.claim(&[id], now, until).await?.contains(&id))
    }

    async fn delivered(&self, id: i64, at: Timestamp) -> Result<(), RegisterFault> {
        self.settle(&[Attempted { id, outcome: Outcome::Arrived }], at).await
    }

    async fn failed(&self, id: i64, again_at: Option<Timestamp>, error: &str) -> Result<(), RegisterFault> {
        let outcome = Outcome::Failed { error: error.to_owned(), again_at };
        self.settle(&[Attempted { id, outcome }], again_at.unwrap_or(at(1))).await
    }
}

impl<T: Outbox + ?Sized> OneByOne for T {}

pub(crate) fn hold(seed: &str) -> Hold {
    Hold {
        approval: Digest::of(seed.as_bytes()),
        recorded_at: at(5),
        used_at: None,
        bases: BTreeMap::from([(AccountType::EndUser, 12)]),
    }
}

/// What every commit was decided from.
pub(crate) fn readings() -> ReadingDigests {
    ReadingDigests {
        directories: BTreeMap::from([("main".into(), Digest::of(b"main"))]),
        tenant: Some(Digest::of(b"tenant")),
    }
}

/// How many events a chain has that is whole.
pub(crate) fn whole(check: &ChainCheck) -> Option<u64> {
    match check {
        ChainCheck::Whole(head) => Some(head.events),
        ChainCheck::Broken { .. } => None,
    }
}

/// A commit of nothing.
pub(crate) fn commit(customer: &str, expected_revision: u64) -> Commit {
    Commit {
        customer: customer.into(),
        expected_revision,
        run: "run-1".into(),
        tree_revision: "tree-1".into(),
        at: at(10),
        accounts: Vec::new(),
        events: Vec::new(),
        readings: readings(),
        deliveries: Vec::new(),
        pins: Pins::default(),
        holds: Vec::new(),
        measures: None,
        suspension: SuspensionChange::None,
        contacts: ContactChanges::default(),
        is_beside: false,
        room: None,
    }
}

/// What is known of the contact of account `number`.
pub(crate) fn contact(connection: &str, number: u128, status: MatchStatus) -> ContactMatch {
    let is_matched = status == MatchStatus::Matched;
    let candidate = |id: &str| MatchCandidate {
        id: id.into(),
        kind: ContactKind::Person,
        name: "Jane \u{202e} Doe".into(),
        matched_by: MatchKey::Address,
        value: Some("jane@contoso.test".into()),
        url: None,
        remark: Some("Approver".into()),
        is_archived: false,
    };
    ContactMatch {
        account: account(number).key,
        connection: connection.into(),
        organization: "12".into(),
        status,
        contact: is_matched.then(|| "72".into()),
        matched_by: is_matched.then_some(MatchKey::Address),
        cause: if is_matched { String::new() } else { "2 contacts have the address".to_owned() },
        candidates: if is_matched { vec![candidate("72")] } else { vec![candidate("72"), candidate("73")] },
        candidate_count: if is_matched { 1 } else { 2 },
        since: at(12),
        asked_at: (status == MatchStatus::Unmatched).then(|| at(11)),
        unfollowed: BTreeSet::new(),
    }
}

/// A commit of one account, one event and one delivery.
pub(crate) fn small(customer: &str, expected_revision: u64) -> Commit {
    let name = format!("{customer}-{expected_revision}");
    Commit {
        accounts: vec![account(u128::from(expected_revision) + 1)],
        events: vec![event(&name)],
        deliveries: vec![delivery("hr", &name)],
        ..commit(customer, expected_revision)
    }
}
