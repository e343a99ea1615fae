//! Looks for the contacts of accounts in documentation systems, after their customer's turn: one sweep of a
//! system for everybody who waits for it. Nothing here delays or undoes an import.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::model::account::{Account, AccountKey, AccountState, AccountType};
use crate::model::contact::{Catalogue, Contact, Product, Shelf};
use crate::model::contact_match::{ContactChanges, ContactMatch, DocumentationStatus, MatchStatus};
use crate::model::event::{ChainHead, EventKind, NewEvent, ReadingDigests};
use crate::model::reading::{Fault, FaultKind, Reading};
use crate::model::register::{Commit, NewDelivery, Pins, RegisterState, SuspensionChange};
use crate::model::text::{Text, inert};
use crate::plan::choices::chosen;
use crate::plan::likeness::Likeness;
use crate::plan::match_contacts::{Matching, match_contacts};
use crate::policy::fleet::{Customer, Documentation};
use crate::ports::clock::Clock;
use crate::ports::documentation::DocumentationSystems;
use crate::ports::register::{Register, RegisterFault};
use crate::reconcile::make_contact::delivery_of;
use crate::reconcile::turn::APPLIED;

/// How often a customer's contacts are matched anew because somebody else wrote meanwhile.
const TRIES: u32 = 3;

/// A customer whose contacts are to be looked for, as its last turn saw its accounts.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The customer, as its document describes it.
    pub customer: Arc<Customer>,
    /// The tree's revision.
    pub tree_revision: Text,
    /// Its accounts, sorted.
    pub likenesses: Arc<[Likeness]>,
    /// What tells this visit from others of the customer.
    pub moment: Arc<()>,
}

/// Looks for contacts.
pub struct Documenter {
    systems: Arc<dyn DocumentationSystems>,
    register: Arc<dyn Register>,
    clock: Arc<dyn Clock>,
    new_run: fn() -> Text,
    /// Who waits for which connection: of each customer the last visit alone.
    waiting: Mutex<BTreeMap<Text, BTreeMap<Text, Arc<Visit>>>>,
    /// The moment of each customer's last visit: an older one does not wait again.
    latest: Mutex<BTreeMap<Text, Arc<()>>>,
    bell: Notify,
}

/// How looking into systems last went, by customer and connection.
type Statuses = BTreeMap<(Text, Text), DocumentationStatus>;

/// What came of looking into one system for everybody who waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looked {
    /// How many customers were matched.
    pub matched: usize,
    /// How many could not be: they keep what was known.
    pub failed: usize,
    /// How many customers' contacts changed.
    pub changed: usize,
}

impl Documenter {
    /// Makes one. `new_run` makes the id under which changes are recorded.
    pub fn new(
        systems: Arc<dyn DocumentationSystems>,
        register: Arc<dyn Register>,
        clock: Arc<dyn Clock>,
        new_run: fn() -> Text,
    ) -> Self {
        Self {
            systems,
            register,
            clock,
            new_run,
            waiting: Mutex::default(),
            latest: Mutex::default(),
            bell: Notify::new(),
        }
    }

    /// Has a customer wait for all its systems.
    pub fn expect(&self, visit: Visit, documented: &BTreeSet<Text>) {
        let visit = Arc::new(visit);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.insert(visit.customer.name.clone(), visit.moment.clone());
        drop(latest);
        let named = visit.customer.documentation.iter().map(|place| &place.connection);
        // One that the document does not name any more is visited to be forgotten.
        let connections: BTreeSet<Text> = named.chain(documented).cloned().collect();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for connection in connections {
            waiting.entry(connection).or_default().insert(visit.customer.name.clone(), visit.clone());
        }
        drop(waiting);
        self.bell.notify_one();
    }

    /// Has a customer wait once more, unless a newer visit of it does.
    fn again(&self, visit: &Arc<Visit>, connections: impl IntoIterator<Item = Text>) {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_latest =
            latest.get(&visit.customer.name).is_some_and(|moment| Arc::ptr_eq(moment, &visit.moment));
        drop(latest);
        if !is_latest {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for connection in connections {
            let visits = waiting.entry(connection).or_default();
            visits.entry(visit.customer.name.clone()).or_insert_with(|| visit.clone());
        }
        drop(waiting);
        self.bell.notify_one();
    }

    /// Waits until somebody new waits for a system.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Returns the connections that somebody waits for, ConnectWise first: others link to its contacts.
    pub fn wanted(&self) -> Vec<(Option<Product>, Text)> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted: Vec<_> =
            waiting.keys().map(|name| (self.systems.product(name), name.clone())).collect();
        wanted.sort();
        wanted
    }

    /// Looks into all systems that somebody waits for, once: ConnectWise first, the others at the same time.
    ///
    /// # Errors
    /// The register's. What a system does not answer is recorded, and no error.
    pub async fn look_everywhere(&self) -> Result<Looked, RegisterFault> {
        let mut all = Looked::default();
        for is_first in [true, false] {
            let wanted = self.wanted();
            let now =
                wanted.iter().filter(|(product, _)| (*product == Some(Product::ConnectWise)) == is_first);
            let looks = futures_util::future::join_all(now.map(|(_, name)| self.look(name))).await;
            for looked in looks {
                let looked = looked?;
                all.matched += looked.matched;
                all.failed += looked.failed;
                all.changed += looked.changed;
            }
        }
        Ok(all)
    }

    /// Sweeps one system, and matches everybody who waits for it.
    ///
    /// # Errors
    /// The register's.
    pub async fn look(&self, connection: &str) -> Result<Looked, RegisterFault> {
        let visits = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.remove(connection).unwrap_or_default()
        };
        if visits.is_empty() {
            return Ok(Looked::default());
        }
        let connection = Text::from(connection);
        let shelves: BTreeSet<Shelf> =
            visits.values().filter_map(|visit| Some(place(visit, &connection)?.shelf())).collect();
        let swept = match shelves.is_empty() {
            true => Ok(Arc::default()),
            false => self.sweep(&connection, &shelves).await,
        };
        if let Err(fault) = &swept {
            tracing::warn!(%connection, customers = visits.len(), "contacts were not looked for: {}",
                inert(&fault.with_hint()));
        }
        let known: Statuses = match self.register.documentation().await {
            Ok(known) => known
                .into_iter()
                .map(|status| ((status.customer.clone(), status.connection.clone()), status))
                .collect(),
            Err(fault) => {
                // They wait for the next look.
                visits.values().for_each(|visit| self.again(visit, [connection.clone()]));
                return Err(fault);
            }
        };
        let mut statuses = Vec::new();
        let mut looked = Looked::default();
        for visit in visits.values() {
            let Some(place) = place(visit, &connection) else {
                if let Err(fault) = self.forget(visit, &connection).await {
                    tell_failure(&visit.customer.name, &connection, &fault);
                }
                continue;
            };
            let before = known.get(&(visit.customer.name.clone(), connection.clone()));
            // Another organisation of the same system is another place.
            let before = before.filter(|status| status.organization == place.organization);
            let now = self.clock.now();
            let seen = swept.as_ref().map_err(Fault::with_hint).and_then(|catalogue| {
                let was_seen = before.is_some_and(|status| status.saw_organization);
                contacts_of(catalogue, place, was_seen).map(|_| catalogue)
            });
            // What fails for one customer stops none of the others.
            let settled = match seen {
                Ok(catalogue) => self.settle(visit, place, catalogue, &known, now).await,
                Err(fault) => Ok(Settled::Unknown(fault)),
            };
            let fault = match settled {
                Ok(Settled::Same) => None,
                Ok(Settled::Changed) => {
                    looked.changed += 1;
                    self.have_followers_wait(visit, &connection);
                    None
                }
                Ok(Settled::Unknown(fault)) => {
                    if swept.is_ok() {
                        tracing::warn!(customer = %inert(&visit.customer.name), %connection, "{}", inert(&fault));
                    }
                    Some(fault)
                }
                Err(fault) => {
                    tell_failure(&visit.customer.name, &connection, &fault);
                    Some(format!("what was found could not be recorded: {fault}"))
                }
            };
            match fault {
                None => looked.matched += 1,
                Some(_) => looked.failed += 1,
            }
            statuses.push(DocumentationStatus {
                customer: visit.customer.name.clone(),
                connection: connection.clone(),
                organization: place.organization.clone(),
                last_attempt: now,
                last_success: match fault {
                    None => Some(now),
                    Some(_) => before.and_then(|status| status.last_success),
                },
                saw_organization: fault.is_none() || before.is_some_and(|status| status.saw_organization),
                fault,
            });
        }
        self.register.record_documentation(&statuses).await?;
        Ok(looked)
    }

    /// Systems that link to contacts of this one have something new to go by.
    fn have_followers_wait(&self, visit: &Arc<Visit>, connection: &Text) {
        if self.systems.product(connection) != Some(Product::ConnectWise) {
            return;
        }
        let places = visit.customer.documentation.iter().map(|place| &place.connection);
        let followers = places
            .filter(|name| self.systems.product(name).is_some_and(|product| product != Product::ConnectWise));
        self.again(visit, followers.cloned().collect::<Vec<_>>());
    }

    async fn sweep(&self, connection: &Text, shelves: &BTreeSet<Shelf>) -> Result<Arc<Catalogue>, Fault> {
        match self.systems.open(connection)?.sweep(shelves).await {
            Reading::Complete(catalogue) => Ok(Arc::new(catalogue)),
            Reading::Incomplete(shortfall) => Err(Fault::new(FaultKind::Transient, shortfall.what)),
            Reading::Unavailable(fault) => Err(fault),
        }
    }

    /// Matches one customer's accounts, and writes what is otherwise than before.
    async fn settle(
        &self,
        visit: &Arc<Visit>,
        place: &Documentation,
        catalogue: &Arc<Catalogue>,
        statuses: &Statuses,
        now: Timestamp,
    ) -> Result<Settled, RegisterFault> {
        let connection = &place.connection;
        let psa_seen = self.psa_seen(visit, connection, statuses);
        let mut tries = 1;
        loop {
            let state = self.register.load(&visit.customer.name).await?;
            if state.revision == 0 || state.suspension.is_some() || visit.customer.suspend {
                return Ok(Settled::Same);
            }
            let known = self.register.contacts(Some(&visit.customer.name)).await?;
            let known: Vec<ContactMatch> = known.into_iter().map(|(_, found)| found).collect();
            // On a thread where a hundred thousand people hold nobody up.
            let (systems, visiting, catalogue, place) =
                (self.systems.clone(), visit.clone(), catalogue.clone(), place.clone());
            let matching = tokio::task::spawn_blocking(move || {
                let standing = Standing {
                    customer: &visiting.customer,
                    likenesses: &visiting.likenesses,
                    accounts: &state.accounts,
                    pins: &state.pins,
                    known: &known,
                    psa_seen,
                };
                let contacts = catalogue.shelves.get(&place.shelf()).map_or(&[][..], Vec::as_slice);
                let found = found(&*systems, &place, contacts, &standing, now);
                (found, state, known)
            });
            let (found, state, known) = match matching.await {
                Ok(found) => found,
                Err(error) => return Ok(Settled::Unknown(format!("matching failed inside Intake: {error}"))),
            };
            let found = match found {
                Ok(found) => found,
                Err(shrunk) => return Ok(Settled::Unknown(shrunk)),
            };
            let Some(commit) = self.commit_of(visit, connection, &state, &known, found, now) else {
                return Ok(Settled::Same);
            };
            let run = commit.run.clone();
            match self.register.commit(commit).await {
                Ok(committed) => {
                    log_recorded(visit, connection, &run, committed.head);
                    return Ok(Settled::Changed);
                }
                Err(RegisterFault::Stale { .. }) if tries < TRIES => tries += 1,
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Returns since when all other systems that this one links to have been looked into for a customer: whoever
    /// was imported later may still be found by such a link. `None` while one never was.
    fn psa_seen(&self, visit: &Visit, connection: &Text, statuses: &Statuses) -> Option<Timestamp> {
        if self.systems.product(connection) == Some(Product::ConnectWise) {
            return Some(Timestamp::MAX);
        }
        let others = visit.customer.documentation.iter().filter(|place| {
            place.connection != *connection
                && self.systems.product(&place.connection) == Some(Product::ConnectWise)
        });
        let mut seen = Timestamp::MAX;
        for other in others {
            let status = statuses.get(&(visit.customer.name.clone(), other.connection.clone()));
            seen = seen.min(status?.last_success?);
        }
        Some(seen)
    }

    /// Returns the one write that records how accounts stand; `None` where nothing is otherwise.
    fn commit_of(
        &self,
        visit: &Visit,
        connection: &Text,
        state: &RegisterState,
        known: &[ContactMatch],
        found: Vec<ContactMatch>,
        at: Timestamp,
    ) -> Option<Commit> {
        let before: BTreeMap<AccountKey, &ContactMatch> = known
            .iter()
            .filter(|known| known.connection == *connection)
            .map(|known| (known.account, known))
            .collect();
        let kind = self.systems.missing_as(connection);
        let mut changes = ContactChanges::default();
        let (mut events, mut deliveries) = (Vec::new(), Vec::new());
        for now in found {
            let before = before.get(&now.account).copied();
            if before == Some(&now) {
                continue;
            }
            let likeness = likeness_of(&visit.likenesses, now.account)?;
            if !before.is_some_and(|before| stands_as(before, &now)) {
                events.push(event(before, &now, &likeness.name));
            }
            if now.asked_at.is_some() && before.and_then(|before| before.asked_at) != now.asked_at {
                deliveries.extend(delivery_of(&visit.customer, connection, kind, likeness, at));
            }
            changes.written.push(now);
        }
        let unwanted = before
            .values()
            .filter(|known| !visit.customer.has_contacts_looked_for(known.account.account_type));
        for known in unwanted {
            events.push(forgetting(known));
            changes.forgotten.push((connection.clone(), known.account));
        }
        (changes != ContactChanges::default())
            .then(|| self.commit(visit, state, changes, events, deliveries, at))
    }

    /// Forgets what was known of a customer in a system that its document does not name any more.
    async fn forget(&self, visit: &Visit, connection: &Text) -> Result<(), RegisterFault> {
        let mut tries = 1;
        loop {
            let state = self.register.load(&visit.customer.name).await?;
            if state.revision == 0 || state.suspension.is_some() || visit.customer.suspend {
                return Ok(());
            }
            let known = self.register.contacts(Some(&visit.customer.name)).await?;
            let known: Vec<&ContactMatch> = known
                .iter()
                .map(|(_, found)| found)
                .filter(|found| found.connection == *connection)
                .collect();
            if known.is_empty() {
                return self.register.forget_documentation(&visit.customer.name, connection).await;
            }
            let events = known.iter().map(|found| forgetting(found)).collect();
            let forgotten = known.iter().map(|found| (connection.clone(), found.account)).collect();
            let changes = ContactChanges { forgotten, ..ContactChanges::default() };
            let commit = self.commit(visit, &state, changes, events, Vec::new(), self.clock.now());
            let run = commit.run.clone();
            match self.register.commit(commit).await {
                Ok(committed) => log_recorded(visit, connection, &run, committed.head),
                Err(RegisterFault::Stale { .. }) if tries < TRIES => tries += 1,
                Err(fault) => return Err(fault),
            }
        }
    }

    fn commit(
        &self,
        visit: &Visit,
        state: &RegisterState,
        contacts: ContactChanges,
        events: Vec<NewEvent>,
        deliveries: Vec<NewDelivery>,
        at: Timestamp,
    ) -> Commit {
        Commit {
            customer: visit.customer.name.clone(),
            expected_revision: state.revision,
            run: (self.new_run)(),
            tree_revision: visit.tree_revision.clone(),
            at,
            accounts: Vec::new(),
            events,
            readings: ReadingDigests::default(),
            deliveries,
            pins: state.pins.clone(),
            holds: state.holds.clone(),
            measures: None,
            suspension: SuspensionChange::None,
            contacts,
            is_beside: true,
            room: None,
        }
    }
}

/// What came of one customer's contacts.
enum Settled {
    /// They stand as before.
    Same,
    /// Something is otherwise, and was written.
    Changed,
    /// They are not known, and what was known stays.
    Unknown(String),
}

/// Logs where the customer's audit record ends now, as a turn does that wrote.
fn log_recorded(visit: &Visit, connection: &Text, run: &Text, head: ChainHead) {
    tracing::info!(target: APPLIED, customer = %inert(&visit.customer.name), %connection,
        revision = %visit.tree_revision, %run, events = head.events,
        head = head.hash.map(tracing::field::display), "contacts recorded");
}

fn tell_failure(customer: &Text, connection: &Text, fault: &RegisterFault) {
    tracing::error!(customer = %inert(customer), %connection, "contacts could not be recorded: {fault}");
}

/// How many linked contacts may vanish at once, and which part of them, in percent.
const MAY_VANISH: (usize, usize) = (2, 30);

/// Says that too many contacts vanished to be believed: a key that sees less, or another asset layout, is a whole
/// listing too. What was matched stays then. `known` are the accounts that are looked for.
fn shrunk<'a>(known: impl Iterator<Item = &'a ContactMatch>, contacts: &[Contact]) -> Option<String> {
    let linked: BTreeSet<&Text> = known
        .filter(|known| known.status == MatchStatus::Matched)
        .filter_map(|known| known.contact.as_ref())
        .collect();
    let there: BTreeSet<&Text> = contacts.iter().map(|contact| &contact.id).collect();
    let vanished = linked.difference(&there).count();
    let (count, percent) = MAY_VANISH;
    (vanished > count.max(linked.len() * percent / 100)).then(|| {
        format!(
            "source-shrunk: {vanished} of {} linked contacts are not listed any more; what was matched stays. Look at \
             what the key may see; if they were deleted, take the place out of the document for one turn",
            linked.len()
        )
    })
}

/// What one customer's accounts are matched by, besides the contacts of the system.
pub struct Standing<'a> {
    /// The customer, as its document describes it.
    pub customer: &'a Customer,
    /// By what its accounts are recognised, sorted.
    pub likenesses: &'a [Likeness],
    /// Its accounts.
    pub accounts: &'a [Account],
    /// Whom its entries name.
    pub pins: &'a Pins,
    /// How its accounts stood in all systems.
    pub known: &'a [ContactMatch],
    /// Since when the systems that this one links to were looked into; see [`Documenter`].
    pub psa_seen: Option<Timestamp>,
}

/// How many missing contacts are asked for in one look at the most: an asset layout that was mistyped is empty, and
/// so is a new customer's.
pub const MADE_AT_ONCE: usize = 25;

/// Returns how every account of a customer stands at one place.
///
/// # Errors
/// If too many contacts vanished to be believed, in words for people: then everybody stands as before.
pub fn found(
    systems: &dyn DocumentationSystems,
    place: &Documentation,
    contacts: &[Contact],
    standing: &Standing<'_>,
    at: Timestamp,
) -> Result<Vec<ContactMatch>, String> {
    let connection = &place.connection;
    let Standing { customer, likenesses, accounts, pins, known, psa_seen } = standing;
    let matched: Vec<&Likeness> = accounts
        .iter()
        .filter(|account| {
            // Nothing touches an orphaned account; who is removed keeps what they had.
            matches!(account.state, AccountState::Active | AccountState::PendingRemoval { .. })
                && customer.has_contacts_looked_for(account.key.account_type)
        })
        .filter_map(|account| likeness_of(likenesses, account.key))
        .collect();
    let mut elsewhere: BTreeMap<AccountKey, Vec<(Product, Text)>> = BTreeMap::new();
    let products: Vec<Product> =
        customer.documentation.iter().filter_map(|place| systems.product(&place.connection)).collect();
    let is_of_today = |known: &ContactMatch| {
        let mut places = customer.documentation.iter();
        places.any(|place| place.connection == known.connection && place.organization == known.organization)
    };
    for other in known.iter().filter(|other| other.connection != *connection && is_of_today(other)) {
        if let (MatchStatus::Matched, Some(contact), Some(product)) =
            (other.status, &other.contact, systems.product(&other.connection))
            // Of two places in one product nobody can tell which one a link means.
            && products.iter().filter(|known| **known == product).count() == 1
        {
            elsewhere.entry(other.account).or_default().push((product, contact.clone()));
        }
    }
    let wanted = creating(customer);
    let active: BTreeSet<AccountKey> = accounts
        .iter()
        .filter(|account| account.state == AccountState::Active)
        .map(|account| account.key)
        .collect();
    // What is known of another organisation says nothing of this one.
    let here: BTreeMap<AccountKey, ContactMatch> = known
        .iter()
        .filter(|found| found.connection == *connection && found.organization == place.organization)
        .map(|known| {
            // Whoever switches it off and on again, or comes back from pending, asks anew.
            let stays = wanted.contains(&known.account.account_type) && active.contains(&known.account);
            let asked_at = known.asked_at.filter(|_| stays);
            (known.account, ContactMatch { asked_at, ..known.clone() })
        })
        .collect();
    if let Some(shrunk) = shrunk(matched.iter().filter_map(|one| here.get(&one.account)), contacts) {
        return Err(shrunk);
    }
    let create: BTreeSet<AccountKey> = accounts
        .iter()
        .filter(|account| {
            active.contains(&account.key)
                && wanted.contains(&account.key.account_type)
                && psa_seen.is_some_and(|seen| seen > account.imported_at)
                // Who had a contact and lost it is for a person to look at.
                && here.get(&account.key).is_none_or(|known| known.contact.is_none())
        })
        .map(|account| account.key)
        .collect();
    let mut found = match_contacts(&Matching {
        connection,
        organization: &place.organization,
        accounts: &matched,
        contacts,
        known: &here,
        chosen: &chosen(customer, connection, accounts, pins),
        elsewhere: &elsewhere,
        categories: &systems.categories(connection),
        create: &create,
        create_as: systems.missing_as(connection),
        at,
    });
    let asked_before = |account: &AccountKey| here.get(account).is_some_and(|known| known.asked_at.is_some());
    let new = found.iter_mut().filter(|found| found.asked_at.is_some() && !asked_before(&found.account));
    for beyond in new.skip(MADE_AT_ONCE) {
        beyond.asked_at = None;
        let kind = systems.missing_as(connection).noun();
        beyond.cause = format!("no contact fits; a {kind} is made at a later look, {MADE_AT_ONCE} at once");
    }
    Ok(found)
}

/// Returns the contacts of a customer; why they are not known, in words for people, where the key does not see
/// its organisation: then nothing says that anybody is gone.
pub(crate) fn contacts_of<'a>(
    catalogue: &'a Catalogue,
    place: &Documentation,
    was_seen: bool,
) -> Result<&'a [Contact], String> {
    if !catalogue.organizations.contains(&place.organization) {
        let organization = inert(&place.organization);
        return Err(match was_seen {
            true => format!(
                "source-shrunk: the key of `{}` does not see organisation {organization} any more; what was matched stays. \
                 Widen what the key may see, or correct the document if the organisation was deleted",
                place.connection
            ),
            false => format!(
                "organization-not-found: the key of `{}` sees no organisation {organization}; correct the id, or widen \
                 what the key may see",
                place.connection
            ),
        });
    }
    Ok(catalogue.shelves.get(&place.shelf()).map_or(&[], Vec::as_slice))
}

fn place<'a>(visit: &'a Visit, connection: &Text) -> Option<&'a Documentation> {
    visit.customer.documentation.iter().find(|place| place.connection == *connection)
}

fn likeness_of(likenesses: &[Likeness], account: AccountKey) -> Option<&Likeness> {
    let found = likenesses.binary_search_by_key(&account, |likeness| likeness.account).ok()?;
    likenesses.get(found)
}

/// Returns for which account types missing contacts are made.
pub fn creating(customer: &Customer) -> BTreeSet<AccountType> {
    let wanted = customer.options.iter().filter(|(_, options)| options.create_missing_documentation);
    wanted.map(|(account_type, _)| *account_type).collect()
}

/// Whether an account stands as before. What a contact is called, or says of itself, decides nothing: that is
/// kept, and no event.
fn stands_as(before: &ContactMatch, now: &ContactMatch) -> bool {
    let essence = |found: &ContactMatch| {
        let candidates: Vec<_> = found
            .candidates
            .iter()
            .map(|candidate| (candidate.id.clone(), candidate.matched_by, candidate.is_archived))
            .collect();
        (
            found.organization.clone(),
            found.status,
            found.contact.clone(),
            found.matched_by,
            found.asked_at,
            found.candidate_count,
            candidates,
        )
    };
    essence(before) == essence(now)
}

fn event(before: Option<&ContactMatch>, after: &ContactMatch, name: &Text) -> NewEvent {
    let kind = match after.status {
        MatchStatus::Matched => EventKind::ContactMatched,
        MatchStatus::Unmatched => EventKind::ContactUnmatched,
        MatchStatus::Ambiguous => EventKind::ContactAmbiguous,
        MatchStatus::Failed => EventKind::ContactFailed,
    };
    NewEvent {
        kind,
        account: Some((after.account.account_type, after.account.id)),
        subject: name.clone(),
        details: json!({
            "connection": after.connection,
            "before": before.map(shown),
            "after": shown(after),
        }),
    }
}

fn forgetting(known: &ContactMatch) -> NewEvent {
    NewEvent {
        kind: EventKind::ContactForgotten,
        account: Some((known.account.account_type, known.account.id)),
        subject: Text::from(known.account.id.to_string()),
        details: json!({"connection": known.connection, "before": shown(known), "after": null}),
    }
}

/// Shows in an event how an account stands.
fn shown(found: &ContactMatch) -> Value {
    let candidates: Vec<&Text> = found.candidates.iter().map(|candidate| &candidate.id).collect();
    json!({
        "status": found.status,
        "contact": found.contact,
        "matchedBy": found.matched_by,
        "cause": found.cause,
        "candidates": candidates,
        "askedAt": found.asked_at,
    })
}
