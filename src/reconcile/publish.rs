//! Publishing, the deciding half: after a turn, and now and then, what targets are to show is compared with what is
//! known of them, and what is otherwise is asked for through the outbox. Nothing here speaks to a target, except to
//! list it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::account::{Account, AccountKey, AccountType, Source};
use crate::model::event::{EventKind, NewEvent};
use crate::model::guid::Guid;
use crate::model::publication::{
    CountedRemovals, Leavers, Presence, Publication, PublicationRecord, PublicationStatus, RemoteUser,
    TargetRules,
};
use crate::model::reading::Reading;
use crate::model::register::{LANE, NewDelivery};
use crate::model::text::{Text, fold, inert};
use crate::plan::publish::{Publishing, Scene, publish};
use crate::plan::publish_drift::drift;
use crate::policy::fleet::Customer;
use crate::ports::clock::Clock;
use crate::ports::in_force::SuspendedInTree;
use crate::ports::publishing::{Publications, Targets};
use crate::ports::register::{RegisterFault, RegisterReader};

/// What destinations of publications begin with.
pub const PREFIX: &str = "scim/";

/// How many publications are written in one transaction: a customer with a hundred thousand people must not keep the
/// store from others.
const TOGETHER: usize = 2_000;

/// How many users may be missing from a listing at once, and which part of them, in percent: another tenant of the
/// same service lists itself whole, too.
const MAY_VANISH: (usize, usize) = (2, 30);

/// Which account types a customer publishes to which target.
pub type Published = BTreeMap<Text, BTreeSet<AccountType>>;

/// Decides what is published.
pub struct Publisher {
    /// The targets.
    pub targets: Arc<dyn Targets>,
    /// What is known of them.
    pub publications: Arc<dyn Publications>,
    /// The accounts.
    pub register: Arc<dyn RegisterReader>,
    /// Whom the tree suspends.
    pub tree: Arc<dyn SuspendedInTree>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Makes the id under which changes are recorded.
    pub new_run: fn() -> Text,
    /// One customer at a time looks how many removals a target has room for, and takes it.
    pub room: tokio::sync::Mutex<()>,
}

/// What the outbox holds of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Asked {
    account_type: AccountType,
    source: Source,
    account: Guid,
    /// When, in microseconds: another asking means another thing.
    pub(super) asked_at: i64,
    /// By which tree.
    pub(super) tree_revision: Text,
}

impl Asked {
    pub(super) fn key(&self) -> AccountKey {
        AccountKey { account_type: self.account_type, source: self.source, id: self.account }
    }
}

/// Returns the destination of publications to a target.
pub fn destination_of(target: &str) -> Text {
    Text::from(format!("{PREFIX}{target}"))
}

/// Returns what a customer publishes where.
pub fn published(customer: &Customer) -> Published {
    let mut published = Published::new();
    for (account_type, options) in &customer.options {
        for target in &options.publish {
            published.entry(target.clone()).or_default().insert(*account_type);
        }
    }
    published
}

/// How often it is compared anew because a delivery, or another process, wrote meanwhile.
const TRIES: u32 = 3;

/// What is to be written of one customer at one target.
#[derive(Default)]
struct Changes {
    written: Vec<Publication>,
    forgotten: Vec<(Text, AccountKey)>,
    counted: Option<CountedRemovals>,
}

impl Publisher {
    /// Compares one customer with all targets that it publishes to, or ever did, and asks for what is otherwise.
    /// Returns how much that is. A second time it is nothing.
    ///
    /// # Errors
    /// The register's.
    pub async fn compare(
        &self,
        customer: &Text,
        published: &Published,
        tree_revision: &Text,
    ) -> Result<usize, RegisterFault> {
        let mut tries = 1;
        loop {
            match self.compare_now(customer, published, tree_revision).await {
                Err(RegisterFault::Overtaken { .. }) if tries < TRIES => tries += 1,
                compared => return compared,
            }
        }
    }

    async fn compare_now(
        &self,
        customer: &Text,
        published: &Published,
        tree_revision: &Text,
    ) -> Result<usize, RegisterFault> {
        let known: Vec<Publication> = self
            .publications
            .publications(Some(customer))
            .await?
            .into_iter()
            .map(|(_, known)| known)
            .collect();
        let targets: BTreeSet<Text> =
            published.keys().chain(known.iter().map(|known| &known.target)).cloned().collect();
        if targets.is_empty() {
            return Ok(0);
        }
        let state = self.register.load(customer).await?;
        if state.revision == 0 || state.suspension.is_some() {
            return Ok(0);
        }
        let accounts: Arc<[Account]> = state.accounts.into();
        let rules = self.targets.rules();
        let mut asked = 0;
        for target in targets {
            // A target that the operator's file does not have any more is published to by nobody.
            let (rules, types) = match (rules.get(&target), published.get(&target)) {
                (Some(rules), Some(types)) => (*rules, types.clone()),
                (rules, _) => (rules.copied().unwrap_or_default(), BTreeSet::new()),
            };
            let known: Vec<Publication> =
                known.iter().filter(|known| known.target == target).cloned().collect();
            let whose = (customer, &target, tree_revision);
            asked += self.compare_one(whose, rules, types, &accounts, known).await?;
        }
        Ok(asked)
    }

    async fn compare_one(
        &self,
        (customer, target, tree_revision): (&Text, &Text, &Text),
        rules: TargetRules,
        published: BTreeSet<AccountType>,
        accounts: &Arc<[Account]>,
        known: Vec<Publication>,
    ) -> Result<usize, RegisterFault> {
        let names = new_names(accounts, &published, &known);
        let taken = self.publications.taken(customer, target, &names).await?;
        let now = self.clock.now();
        let _room = self.room.lock().await;
        // Counted only where somebody may leave: it takes a while where many are published.
        let since = rules.removal.window.before(now);
        let (leavers, counted) = match may_leave(accounts, &known) {
            true => {
                let leavers = self.publications.leavers(target, since).await?;
                (leavers, Some(CountedRemovals { target: target.clone(), since, recent: leavers.recent }))
            }
            false => (Leavers::default(), None),
        };
        let (name, at, all) = (customer.clone(), target.clone(), accounts.clone());
        // On a thread where a hundred thousand people hold nobody up.
        let deciding = tokio::task::spawn_blocking(move || {
            let publishing = publish(&Scene {
                customer: &name,
                target: &at,
                rules: &rules,
                accounts: &all,
                published: &published,
                known: &known,
                taken: &taken,
                leavers,
                now,
            });
            (publishing, known)
        });
        let (publishing, known) = deciding.await.map_err(|error| RegisterFault::Unavailable {
            what: format!("deciding what is published to `{target}` failed inside Intake"),
            source: Box::new(error),
        })?;
        let Publishing { written, forgotten } = publishing;
        let forgotten = forgotten.into_iter().map(|account| (target.clone(), account)).collect();
        let changes = Changes { written, forgotten, counted };
        self.record((customer, tree_revision), &known, changes, now).await
    }

    /// Writes what is otherwise, with the events and the deliveries that follow from it. Returns how much is asked for.
    async fn record(
        &self,
        (customer, tree_revision): (&Text, &Text),
        before: &[Publication],
        changes: Changes,
        at: Timestamp,
    ) -> Result<usize, RegisterFault> {
        let Changes { written, forgotten, mut counted } = changes;
        if written.is_empty() && forgotten.is_empty() {
            return Ok(0);
        }
        let before: BTreeMap<AccountKey, &Publication> =
            before.iter().map(|known| (known.account, known)).collect();
        let mut forgotten = Some(forgotten);
        let mut asked = 0;
        // At least one, for what is forgotten.
        let mut chunks: Vec<&[Publication]> = written.chunks(TOGETHER).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        for chunk in chunks {
            let events =
                chunk.iter().filter_map(|now| event(customer, before.get(&now.account).copied(), now));
            let waits = |known: &&Publication| {
                known.status == PublicationStatus::Waiting && known.asked_at == Some(at)
            };
            let deliveries: Vec<NewDelivery> = chunk
                .iter()
                .filter(waits)
                .filter_map(|known| delivery_of(customer, tree_revision, known))
                .collect();
            asked += deliveries.len();
            let gone = forgotten.take().unwrap_or_default();
            let touched = chunk.iter().map(|known| known.account);
            let touched = touched.chain(gone.iter().map(|(_, account)| *account));
            let read = touched.filter_map(|account| before.get(&account).copied().cloned()).collect();
            let leaving: Vec<&Publication> =
                chunk.iter().filter(|known| known.removal_at == Some(at)).collect();
            let record = PublicationRecord {
                customer: customer.clone(),
                run: (self.new_run)(),
                tree_revision: tree_revision.clone(),
                at,
                read,
                // Of several parts each: another process may let others go between two of them.
                counted: counted.clone().filter(|_| !leaving.is_empty()),
                written: chunk.to_vec(),
                forgotten: gone,
                events: events.collect(),
                deliveries,
            };
            self.publications.record(record).await?;
            if let Some(counted) = &mut counted {
                // Who left before within the window, and came back, was counted.
                let is_new = |known: &&&Publication| {
                    let before = before.get(&known.account).and_then(|before| before.removal_at);
                    before.is_none_or(|before| before <= counted.since)
                };
                counted.recent += leaving.iter().filter(is_new).count() as u64;
            }
        }
        Ok(asked)
    }

    /// Lists every target whose time has come, and compares it with what was published to it. Returns how much is to
    /// be set right.
    ///
    /// # Errors
    /// The register's. What a target does not tell is recorded, and no error.
    pub async fn look_for_drift(&self) -> Result<usize, RegisterFault> {
        let mut asked = 0;
        for target in self.due_targets().await? {
            asked += self.look_at(&target).await?;
        }
        Ok(asked)
    }

    /// Returns what is known of some customers at a target.
    async fn known_at<'a>(
        &self,
        target: &Text,
        customers: &'a [Text],
    ) -> Result<BTreeMap<&'a Text, Vec<Publication>>, RegisterFault> {
        let mut known = BTreeMap::new();
        for customer in customers {
            let of_it = self.publications.publications(Some(customer)).await?.into_iter();
            let there = of_it.map(|(_, known)| known).filter(|known| known.target == *target).collect();
            known.insert(customer, there);
        }
        Ok(known)
    }

    /// Returns the targets whose time to be compared has come.
    ///
    /// # Errors
    /// The register's.
    pub async fn due_targets(&self) -> Result<Vec<Text>, RegisterFault> {
        let (statuses, now) = (self.publications.target_statuses().await?, self.clock.now());
        let is_due = |target: &Text, rules: &TargetRules| {
            // One to which nothing was ever published has no status.
            let status = statuses.iter().find(|status| status.target == *target);
            let compared_at = status.and_then(|status| status.compared_at);
            compared_at.is_some_and(|at| rules.check.after(at) <= now)
        };
        let rules = self.targets.rules().into_iter();
        Ok(rules.filter(|(target, rules)| is_due(target, rules)).map(|(target, _)| target).collect())
    }

    /// Lists one target and compares it with what was published to it, unless somebody did meanwhile. Returns how much
    /// is to be set right.
    ///
    /// # Errors
    /// As [`look_for_drift`](Self::look_for_drift).
    pub async fn look_at(&self, target: &Text) -> Result<usize, RegisterFault> {
        let rules = self.targets.rules();
        let Some(rules) = rules.get(target) else { return Ok(0) };
        if !self.due_targets().await?.contains(target) {
            return Ok(0);
        }
        let now = self.clock.now();
        let customers = self.publications.customers_of(target).await?;
        let (asked, fault) = match customers.is_empty() {
            true => (0, None),
            false => match self.compare_listing(target, rules, &customers).await? {
                Ok(asked) => (asked, None),
                Err(fault) => {
                    tracing::warn!(%target, "the target was not compared: {}", inert(&fault));
                    (0, Some(fault))
                }
            },
        };
        self.publications.record_comparison(target, fault.as_deref(), now).await?;
        Ok(asked)
    }

    async fn compare_listing(
        &self,
        target: &Text,
        rules: &TargetRules,
        customers: &[Text],
    ) -> Result<Result<usize, String>, RegisterFault> {
        let before = self.known_at(target, customers).await?;
        let listed = match self.targets.open(target) {
            Err(fault) => return Ok(Err(fault.with_hint())),
            Ok(port) => match port.list().await {
                Reading::Complete(listed) => listed,
                Reading::Incomplete(shortfall) => return Ok(Err(shortfall.what)),
                Reading::Unavailable(fault) => return Ok(Err(fault.with_hint())),
            },
        };
        // Who changed meanwhile was listed as before, or as after: the listing tells nothing of it.
        let mut known = self.known_at(target, customers).await?;
        for (customer, known) in &mut known {
            let before: BTreeMap<AccountKey, &Publication> =
                before.get(customer).into_iter().flatten().map(|before| (before.account, before)).collect();
            known.retain(|known| before.get(&known.account) == Some(&known));
        }
        if let Some(shrunk) = shrunk(known.values().flatten(), &listed) {
            return Ok(Err(shrunk));
        }
        let mut asked = 0;
        for (customer, known) in known {
            let standing = self.publications.standing(customer, target, &[]).await?;
            if standing.is_suspended || self.tree.suspends(customer) {
                continue;
            }
            let state = self.register.load(customer).await?;
            let accounts: BTreeMap<AccountKey, &Account> =
                state.accounts.iter().map(|account| (account.key, account)).collect();
            let now = self.clock.now();
            let written = drift(customer, &accounts, &known, &listed, rules, now);
            let changes = Changes { written, ..Changes::default() };
            match self.record((customer, &Text::default()), &known, changes, now).await {
                // A delivery came between: the next comparison sees what it led to.
                Err(RegisterFault::Overtaken { .. }) => {}
                recorded => asked += recorded?,
            }
        }
        Ok(Ok(asked))
    }
}

/// Whether somebody is published who is not imported any more.
fn may_leave(accounts: &[Account], known: &[Publication]) -> bool {
    let imported: BTreeSet<AccountKey> =
        accounts.iter().filter(|account| account.state.is_imported()).map(|account| account.key).collect();
    known.iter().any(|known| known.wanted == Presence::Present && !imported.contains(&known.account))
}

/// Returns the names of accounts that are not known to have them yet, folded.
fn new_names(accounts: &[Account], published: &BTreeSet<AccountType>, known: &[Publication]) -> Vec<Text> {
    let known: BTreeMap<AccountKey, Option<&Text>> =
        known.iter().map(|known| (known.account, known.user_name.as_ref())).collect();
    accounts
        .iter()
        .filter(|account| account.state.is_imported() && published.contains(&account.key.account_type))
        .filter_map(|account| {
            let name = Text::from(fold(account.profile.user_principal_name.as_ref()?).as_ref());
            (known.get(&account.key).copied().flatten() != Some(&name)).then_some(name)
        })
        .collect()
}

/// Says that too many users are missing from a listing to be believed.
fn shrunk<'a>(
    known: impl Iterator<Item = &'a Publication>,
    listed: &BTreeMap<Text, RemoteUser>,
) -> Option<String> {
    let ids: Vec<&Text> = known
        .filter(|known| {
            known.wanted == Presence::Present
                && matches!(known.status, PublicationStatus::Published | PublicationStatus::Drifted)
        })
        .filter_map(|known| known.remote_id.as_ref())
        .collect();
    let missing = ids.iter().filter(|id| !listed.contains_key(**id)).count();
    let (count, percent) = MAY_VANISH;
    (missing > count && missing * 100 > ids.len() * percent).then(|| {
        format!(
            "{missing} of {} users that were published are missing from the listing: it may be another tenant's",
            ids.len()
        )
    })
}

fn delivery_of(customer: &Text, tree_revision: &Text, known: &Publication) -> Option<NewDelivery> {
    let asked = Asked {
        account_type: known.account.account_type,
        source: known.account.source,
        account: known.account.id,
        asked_at: known.asked_at?.as_microsecond(),
        tree_revision: tree_revision.clone(),
    };
    let whose = format!("{customer}/{}/{}/{}", asked.account_type, asked.source.code(), asked.account);
    Some(NewDelivery {
        destination: Text::from(format!("{PREFIX}{}{LANE}{whose}", known.target)),
        key: Text::from(format!("{whose}/{}", asked.asked_at)),
        body: serde_json::to_value(&asked).ok()?,
    })
}

/// Returns what the audit record tells of a change that was decided here; nothing of what is only asked for.
fn event(customer: &Text, before: Option<&Publication>, now: &Publication) -> Option<NewEvent> {
    let kind = match now.status {
        PublicationStatus::Conflict => EventKind::PublicationConflict,
        PublicationStatus::Failed => EventKind::PublicationFailed,
        PublicationStatus::Held => EventKind::PublicationHeld,
        PublicationStatus::Orphaned => EventKind::PublicationOrphaned,
        PublicationStatus::Drifted => EventKind::PublicationDrifted,
        // What is set right drifted before.
        PublicationStatus::Waiting if before.is_some_and(|before| before.corrected != now.corrected) => {
            EventKind::PublicationDrifted
        }
        PublicationStatus::Waiting
        | PublicationStatus::Published
        | PublicationStatus::Deactivated
        | PublicationStatus::Deleted => return None,
    };
    let is_told = before.is_some_and(|before| before.status == now.status && before.cause == now.cause);
    (!is_told).then(|| telling(customer, kind, before, now, json!({})))
}

/// Makes an event of a publication.
pub(super) fn telling(
    customer: &Text,
    kind: EventKind,
    before: Option<&Publication>,
    now: &Publication,
    besides: Value,
) -> NewEvent {
    let form =
        |known: &Publication| json!({"status": known.status, "user": known.remote_id, "cause": known.cause});
    let mut details = json!({
        "target": now.target,
        "externalId": crate::plan::publish::external_id(customer, now.account),
        "before": before.map(form),
        "after": form(now),
    });
    if let (Some(details), Value::Object(besides)) = (details.as_object_mut(), besides) {
        details.extend(besides);
    }
    let account = Some((now.account.account_type, now.account.id));
    NewEvent { kind, account, subject: now.subject.clone(), details }
}
