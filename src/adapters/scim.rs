//! Services that speak SCIM 2.0 (RFC 7643, 7644, 9865): users are found, made, changed and taken out, whatever of the
//! standard a service leaves out. Only whom Intake made, or was told to take over, is ever written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _};
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::adapters::http::{Failed, HttpClient, Verb};
use crate::adapters::http_pace::{Budget, Pace};
use crate::adapters::http_patience::Patience;
use crate::adapters::scim_bulk as bulk;
use crate::adapters::scim_line::{CONFLICT, FORBIDDEN, GONE, NOT_FOUND, OTHER_VERSION, ScimLine, Told};
use crate::adapters::scim_listing::{Everybody, list};
use crate::adapters::scim_object::{self as object, Features};
use crate::model::publication::{Adopt, Differences, PublishedUser, RemoteUser, refusal};
use crate::model::reading::{Fault, FaultKind, Reading};
use crate::model::text::{Text, inert, same};
use crate::ports::publishing::{Landing, Order, Seen, TargetPort, Want};

/// No limit is common to all services: each tells by 429 when it has enough.
pub const BUDGET: Budget =
    Budget { requests: 2_000, window: Duration::from_secs(1), rest: Duration::from_secs(10) };

/// How many users are worked on at once.
const AT_ONCE: usize = 4;

/// For how long what a service says of itself, and a listing that stands in for its filters, is good.
const FEATURES_HOLD: Duration = Duration::from_secs(3_600);
const LISTING_HOLDS: Duration = Duration::from_secs(60);

/// What is remembered of one service for the life of the process.
#[derive(Debug, Clone)]
pub struct ScimMemory {
    client: HttpClient,
    pace: Pace,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    features: Option<(Instant, Features)>,
    listing: Option<(Instant, Arc<Everybody>)>,
    /// It refused a change, and takes replacements alone.
    takes_no_patch: bool,
    /// It offered to take several operations together, and did not.
    takes_no_bulk: bool,
}

/// One service by one token.
pub struct Scim {
    pub(crate) line: ScimLine,
    memory: ScimMemory,
    /// Of several who need the listing at once one reads it.
    reading: tokio::sync::Mutex<()>,
}

/// A user as it was just shown.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    value: Value,
    pub(crate) user: RemoteUser,
    version: Option<String>,
}

/// What came of looking for a user.
#[derive(Debug)]
pub(crate) enum Found {
    User(Box<Shown>),
    Nobody,
    /// Somebody else's is in the way: what comes of it.
    Barred(Landing),
}

/// What a filter found.
enum Filtered {
    /// Those who fit, and nobody else was among them.
    Rows(Vec<Shown>),
    /// The service does not filter, or not by this.
    Blind,
}

impl ScimMemory {
    /// Remembers nothing yet.
    pub fn new(client: HttpClient) -> Self {
        Self { client, pace: Pace::new(BUDGET), known: Arc::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Scim {
    /// Makes one. `patience` is how long throttling and faults may delay a conversation.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(
        memory: ScimMemory,
        url: &str,
        token: SecretString,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let base = Url::parse(url)
            .map_err(|_| Fault::new(FaultKind::Refused, "the address of the target is no address"))?;
        let (client, pace) = (memory.client.clone(), memory.pace.clone());
        // Those who are worked on at once wait at the same time, and each pays for itself.
        let all = u32::try_from(AT_ONCE).unwrap_or(1);
        let patience = Patience::new(patience.saturating_mul(all)).measured_by(client.meter().clone());
        let line = ScimLine { client, pace, patience, base, token };
        Ok(Self { line, memory, reading: tokio::sync::Mutex::new(()) })
    }

    /// Returns what the service says that it can. One that says nothing can nothing besides.
    async fn features(&self) -> Result<Features, Fault> {
        let known = self.memory.with(|known| known.features);
        if let Some((since, features)) = known
            && since.elapsed() < FEATURES_HOLD
        {
            return Ok(features);
        }
        let features = match self.line.read(self.line.address(&["ServiceProviderConfig"])).await {
            Ok((value, _)) => object::features(&value),
            Err(failed) if failed.status.is_none() || failed.is_throttled() => return Err(failed.fault),
            Err(failed) => {
                tracing::debug!("a SCIM service says nothing of itself: {}", failed.fault);
                Features::default()
            }
        };
        self.memory.with(|known| known.features = Some((Instant::now(), features)));
        Ok(features)
    }

    /// Returns a whole listing, as new as it has to be to find somebody whom no filter finds.
    async fn everybody(&self) -> Result<Arc<Everybody>, Fault> {
        let _reading = self.reading.lock().await;
        let kept = self.memory.with(|known| known.listing.clone());
        if let Some((since, kept)) = kept
            && since.elapsed() < LISTING_HOLDS
        {
            return Ok(kept);
        }
        match list(&self.line, self.features().await?).await {
            Reading::Complete(everybody) => {
                let everybody = Arc::new(everybody);
                self.memory.with(|known| known.listing = Some((Instant::now(), everybody.clone())));
                Ok(everybody)
            }
            Reading::Incomplete(shortfall) => Err(Fault::new(
                FaultKind::Transient,
                format!("whether the user is there cannot be told: {}", shortfall.what),
            )),
            Reading::Unavailable(fault) => Err(fault),
        }
    }

    /// Brings one user to where it is wanted.
    pub(crate) async fn one(&self, order: &Order) -> Result<Landing, Fault> {
        match self.find(order).await? {
            Found::Barred(landing) => Ok(landing),
            Found::User(shown) => self.settle(order, *shown).await,
            Found::Nobody => match &order.want {
                Want::Present(user) => self.create(order, user).await,
                Want::Inactive | Want::Deleted => Ok(Landing::Gone),
            },
        }
    }

    /// Looks for a user: by its id, by whose it is, and, before one is made, by its name.
    pub(crate) async fn find(&self, order: &Order) -> Result<Found, Fault> {
        let Some(id) = &order.remote_id else { return self.find_unknown(order).await };
        if let Some(shown) = self.get(id).await? {
            return Ok(known(order, id, shown));
        }
        let found = self.find_unknown(order).await?;
        let Found::Nobody = found else { return Ok(found) };
        // It told of its users since, so it is there now: it may not have been when it was asked for this one.
        Ok(self.get(id).await?.map_or(Found::Nobody, |shown| known(order, id, shown)))
    }

    /// Looks for a user whose id is not known, or is nobody's. That nobody is found says the service itself, by a
    /// filter or a whole listing: where nothing at all is found, as at an address that is wrong for a while, nobody
    /// is gone.
    async fn find_unknown(&self, order: &Order) -> Result<Found, Fault> {
        let is_its_own = |user: &RemoteUser| user.external_id.as_deref() == Some(order.external_id.as_str());
        let mut is_blind = false;
        match self.filter("externalId", &order.external_id, &is_its_own).await? {
            Filtered::Rows(rows) => match <[Shown; 1]>::try_from(rows) {
                Ok([shown]) => return Ok(recognised(order, shown)),
                Err(rows) if rows.is_empty() => {}
                Err(rows) => return Ok(conflict(several(rows.len(), "its externalId"))),
            },
            Filtered::Blind => is_blind = true,
        }
        let user = match &order.want {
            Want::Present(user) => user,
            // By a name alone nobody is taken out.
            _ if is_blind => return self.find_in_listing(order, None).await,
            _ => return Ok(Found::Nobody),
        };
        match self.filter("userName", &user.user_name, &|seen| is_named(seen, user)).await? {
            Filtered::Rows(rows) => Ok(claimed(order, user, rows)),
            Filtered::Blind => self.find_in_listing(order, Some(user)).await,
        }
    }

    /// Looks for a user among all of them, for a service that does not filter.
    async fn find_in_listing(&self, order: &Order, user: Option<&PublishedUser>) -> Result<Found, Fault> {
        let everybody = self.everybody().await?;
        if let Some(id) = order.remote_id.as_ref().filter(|id| everybody.contains_key(*id)) {
            return Err(self.vanished(id));
        }
        let own: Vec<&RemoteUser> = everybody
            .values()
            .filter(|seen| seen.external_id.as_deref() == Some(order.external_id.as_str()))
            .collect();
        let candidate = match own.as_slice() {
            [] => None,
            [one] => Some(*one),
            several_of_it => return Ok(conflict(several(several_of_it.len(), "its externalId"))),
        };
        let candidate = match (candidate, user) {
            (None, Some(user)) => {
                let named: Vec<&RemoteUser> =
                    everybody.values().filter(|seen| is_named(seen, user)).collect();
                if named.len() > 1 {
                    return Ok(several_named(named.len(), user));
                }
                named.first().copied()
            }
            (candidate, _) => candidate,
        };
        // What was listed may be older than what is written next.
        let Some(candidate) = candidate else { return Ok(Found::Nobody) };
        let id = &candidate.id;
        let Some(shown) = self.get(id).await? else { return Err(self.vanished(id)) };
        if shown.user.id != *id {
            return Ok(conflict(mistaken(id, &shown)));
        }
        let is_its_own = shown.user.external_id.as_deref() == Some(order.external_id.as_str());
        match user {
            _ if is_its_own => Ok(recognised(order, shown)),
            Some(user) => Ok(claimed(order, user, vec![shown])),
            None => Ok(Found::Nobody),
        }
    }

    /// Makes the fault of a user that is listed and not shown: it went this very moment, or the service is not all
    /// there.
    fn vanished(&self, id: &str) -> Fault {
        self.memory.with(|known| known.listing = None);
        Fault::new(
            FaultKind::Transient,
            format!("the target lists the user {}, and does not show it", inert(id)),
        )
    }

    /// Returns a user by its id; `None` if the service says that there is none, which is no proof by itself.
    pub(crate) async fn get(&self, id: &str) -> Result<Option<Shown>, Fault> {
        match self.line.read(self.line.address(&["Users", id])).await {
            Ok((value, etag)) => shown(value, etag).map(Some).ok_or_else(|| {
                let what =
                    format!("asked for the user {}, the target answered with what is no user", inert(id));
                Fault::new(FaultKind::Transient, what)
            }),
            // Entra answers 400 for an id that it does not know.
            Err(failed) if matches!(failed.status, Some(NOT_FOUND | GONE | 400)) => Ok(None),
            Err(failed) => Err(failed.fault),
        }
    }

    /// Asks for those whose attribute has a value, and looks at each whether it has.
    async fn filter(
        &self,
        attribute: &str,
        value: &str,
        fits: &(dyn Fn(&RemoteUser) -> bool + Sync),
    ) -> Result<Filtered, Fault> {
        let mut url = self.line.address(&["Users"]);
        url.query_pairs_mut().append_pair("filter", &format!("{attribute} eq {}", object::literal(value)));
        let value = match self.line.read(url).await {
            Ok((value, _)) => value,
            Err(failed) => {
                return match failed.status {
                    // Also of 404: whether it found nobody, or is not there itself, a listing tells.
                    Some(400 | 403 | NOT_FOUND | 405 | 501) => Ok(Filtered::Blind),
                    _ => Err(failed.fault),
                };
            }
        };
        let Ok(page) = object::page(&value) else { return Ok(Filtered::Blind) };
        let rows: Vec<Option<Shown>> = page.rows.iter().map(|row| shown(row.clone(), None)).collect();
        let (told, arrived) = (page.total, page.rows.len());
        let fitting: Vec<Shown> = rows.into_iter().flatten().filter(|shown| fits(&shown.user)).collect();
        // Strangers in the answer: it was not filtered, and says nothing of whom it does not show. So does one that
        // shows fewer than it has.
        if fitting.len() < arrived || told.is_some_and(|told| told > arrived) {
            return Ok(match fitting.is_empty() {
                false => Filtered::Rows(fitting),
                true => Filtered::Blind,
            });
        }
        Ok(Filtered::Rows(fitting))
    }

    /// Brings a user that is there to where it is wanted.
    async fn settle(&self, order: &Order, shown: Shown) -> Result<Landing, Fault> {
        match &order.want {
            Want::Present(user) => {
                let differences = shown.user.differences(user);
                if differences.is_empty() {
                    return Ok(Landing::Unchanged(Seen { id: shown.user.id, differences }));
                }
                self.change(order, shown).await
            }
            Want::Inactive => self.deactivate(order, shown).await,
            Want::Deleted => self.delete(order, shown).await,
        }
    }

    async fn deactivate(&self, order: &Order, shown: Shown) -> Result<Landing, Fault> {
        if shown.user.active == Some(false) {
            return Ok(Landing::Inactive(shown.user.id));
        }
        self.change(order, shown).await
    }

    async fn delete(&self, order: &Order, shown: Shown) -> Result<Landing, Fault> {
        let mut shown = shown;
        let mut is_first = true;
        loop {
            let url = self.line.address(&["Users", &shown.user.id]);
            let written = self.line.write(Verb::Delete, url, None, self.version_of(&shown)).await;
            let Err(failed) = written else { return Ok(Landing::Deleted) };
            let is_overtaken = failed.status == Some(OTHER_VERSION);
            match failed.status {
                Some(NOT_FOUND | GONE) => {}
                // Somebody changed it meanwhile: whose it is, is looked at anew, once.
                Some(OTHER_VERSION) if is_first => is_first = false,
                Some(OTHER_VERSION) => return Err(for_now(failed)),
                // Whom a service does not delete it may deactivate.
                _ if is_about_one(&failed) || failed.status == Some(FORBIDDEN) => {
                    return self.deactivate(order, shown).await;
                }
                _ => return Err(failed.fault),
            }
            match self.find(order).await? {
                Found::Nobody => return Ok(Landing::Gone),
                Found::Barred(landing) => return Ok(landing),
                Found::User(now) if is_overtaken => shown = *now,
                Found::User(now) => return self.deactivate(order, *now).await,
            }
        }
    }

    /// Changes a user in what is otherwise than wanted, and looks at it again. One that is not wanted is deactivated.
    async fn change(&self, order: &Order, shown: Shown) -> Result<Landing, Fault> {
        let wanted = order.want.user();
        let mut shown = shown;
        let mut is_first = true;
        loop {
            let id = shown.user.id.clone();
            let differences = otherwise(&shown.user, wanted);
            let Err(failed) = self.write_change(&shown, wanted, &differences).await else {
                let after = self.get(&id).await?;
                let Some(after) = after.filter(|after| after.user.id == id) else {
                    let what = format!("the user {id} was changed, and is not shown any more");
                    return Err(Fault::new(FaultKind::Transient, what));
                };
                let left = otherwise(&after.user, wanted);
                return match wanted {
                    Some(_) => Ok(Landing::Updated(Seen { id, differences: left }, differences)),
                    None if left.is_empty() => Ok(Landing::Inactive(id)),
                    None => Ok(Landing::Refused(
                        "the target took the deactivation, and shows the user as active all the same"
                            .to_owned(),
                    )),
                };
            };
            match failed.status {
                // Somebody changed it meanwhile: whose it is, and what is otherwise, is looked at anew, once.
                Some(OTHER_VERSION) if is_first => {
                    is_first = false;
                    let by_id = Order { remote_id: Some(id.clone()), ..order.clone() };
                    let now = match self.find(&by_id).await? {
                        Found::User(now) => *now,
                        Found::Barred(landing) => return Ok(landing),
                        Found::Nobody => return Err(for_now(failed)),
                    };
                    let id = now.user.id.clone();
                    if otherwise(&now.user, wanted).is_empty() {
                        return Ok(match wanted {
                            Some(_) => Landing::Unchanged(Seen { id, differences: Differences::new() }),
                            None => Landing::Inactive(id),
                        });
                    }
                    shown = now;
                }
                // It was there a moment ago.
                Some(OTHER_VERSION | NOT_FOUND | GONE) => return Err(for_now(failed)),
                Some(CONFLICT) => {
                    return Ok(Landing::Conflict(format!(
                        "somebody else at the target has what it is to have ({})",
                        failed.fault
                    )));
                }
                _ if is_about_one(&failed) => return Ok(Landing::Refused(failed.fault.to_string())),
                _ => return Err(failed.fault),
            }
        }
    }

    /// Writes a change: by PATCH, or whole where the service takes none.
    async fn write_change(
        &self,
        shown: &Shown,
        wanted: Option<&PublishedUser>,
        differences: &Differences,
    ) -> Result<Told, Failed> {
        let url = self.line.address(&["Users", &shown.user.id]);
        let version = self.version_of(shown);
        if !self.memory.with(|known| known.takes_no_patch) {
            let body = match wanted {
                Some(user) => object::change(user, differences),
                None => object::deactivation(),
            };
            match self.line.write(Verb::Patch, url.clone(), Some(&body), version).await {
                Err(failed) if takes_no_patch(&failed) => {
                    if matches!(failed.status, Some(405 | 501)) {
                        self.memory.with(|known| known.takes_no_patch = true);
                    }
                }
                written => return written,
            }
        }
        let body = object::replacement(&shown.value, wanted);
        self.line.write(Verb::Put, url, Some(&body), version).await
    }

    /// Makes a user whom nothing stands for. Where it is not known what became of that, it is looked for.
    async fn create(&self, order: &Order, user: &PublishedUser) -> Result<Landing, Fault> {
        let made = self.line.make(self.line.address(&["Users"]), &object::creation(user)).await;
        self.memory.with(|known| known.listing = None);
        let failed = match made {
            Ok(told) => {
                let id = told.value.as_ref().and_then(object::user).map(|user| user.id);
                let id = id.or_else(|| told.location.as_deref().and_then(object::last_segment));
                let body = told.value.and_then(|value| shown(value, told.etag));
                return self.made(order, user, id, body).await;
            }
            Err(failed) => failed,
        };
        match failed.status {
            Some(CONFLICT) => match self.find_made(order).await? {
                Found::User(shown) => self.settle(order, *shown).await,
                Found::Barred(landing) => Ok(landing),
                Found::Nobody => Ok(Landing::Conflict(format!(
                    "the target says that such a user exists, and it cannot be found there ({})",
                    failed.fault
                ))),
            },
            // Also a service that says that it did not may have done it.
            None | Some(500..) => match self.find_made(order).await {
                Ok(Found::User(shown)) => {
                    let id = shown.user.id.clone();
                    self.made(order, user, Some(id), Some(*shown)).await
                }
                Ok(Found::Barred(landing)) => Ok(landing),
                _ => Err(failed.fault),
            },
            _ if failed.answered => match self.find_made(order).await {
                Ok(Found::User(shown)) => {
                    self.made(order, user, Some(shown.user.id.clone()), Some(*shown)).await
                }
                Ok(Found::Barred(landing)) => Ok(landing),
                _ => Err(failed.fault),
            },
            _ if is_about_one(&failed) => Ok(Landing::Refused(failed.fault.to_string())),
            _ => Err(failed.fault),
        }
    }

    async fn find_made(&self, order: &Order) -> Result<Found, Fault> {
        self.memory.with(|known| known.listing = None);
        self.find(&Order { remote_id: None, ..order.clone() }).await
    }

    /// Looks at a user that was made: whether it is the one that was asked for.
    pub(crate) async fn made(
        &self,
        order: &Order,
        user: &PublishedUser,
        id: Option<Text>,
        body: Option<Shown>,
    ) -> Result<Landing, Fault> {
        let Some(id) = id else {
            return match self.find_made(order).await? {
                Found::User(shown) => {
                    let differences = shown.user.differences(user);
                    Ok(Landing::Created(Seen { id: shown.user.id, differences }))
                }
                Found::Barred(landing) => Ok(landing),
                Found::Nobody => {
                    Ok(Landing::Refused("the target made a user and does not say which".to_owned()))
                }
            };
        };
        let body = body.filter(|body| body.user.id == id && object::is_told(&body.user));
        let body = match body {
            Some(body) => Some(body),
            None => self.get(&id).await?,
        };
        let Some(body) = body else {
            let what = format!("the target made the user {id}, and does not show it");
            return Err(Fault::new(FaultKind::Transient, what));
        };
        if body.user.is_of_another(&order.external_id) || !is_named(&body.user, user) {
            return Ok(stranger(&body.user));
        }
        // Made inactive, as some do until somebody signs in: once more, and no more.
        if body.user.active == Some(false) {
            return Ok(match self.change(order, body).await? {
                Landing::Updated(seen, _) | Landing::Unchanged(seen) => Landing::Created(seen),
                other => other,
            });
        }
        Ok(Landing::Created(Seen { differences: body.user.differences(user), id }))
    }

    /// Returns the version of a user that alone may be written over, where the service says that it keeps versions.
    pub(crate) fn version_of<'a>(&self, shown: &'a Shown) -> Option<&'a str> {
        let keeps_versions =
            self.memory.with(|known| known.features.is_some_and(|(_, features)| features.etag));
        shown.version.as_deref().filter(|_| keeps_versions)
    }

    /// Remembers that the service offered to take several operations together, and did not.
    pub(crate) fn takes_no_bulk(&self) {
        self.memory.with(|known| known.takes_no_bulk = true);
    }

    /// Whether it never refused a change.
    pub(crate) fn takes_patch(&self) -> bool {
        !self.memory.with(|known| known.takes_no_patch)
    }
}

#[async_trait]
impl TargetPort for Scim {
    async fn bring(&self, orders: &[Order]) -> Vec<Result<Landing, Fault>> {
        let features = match self.features().await {
            Ok(features) => features,
            Err(fault) => return orders.iter().map(|_| Err(fault.clone())).collect(),
        };
        let takes_bulk = !self.memory.with(|known| known.takes_no_bulk);
        if let Some(limits) = features.bulk.filter(|_| orders.len() > 1 && takes_bulk) {
            return bulk::bring(self, orders, limits).await;
        }
        bring_singly(self, orders).await
    }

    async fn list(&self) -> Reading<BTreeMap<Text, RemoteUser>> {
        match self.features().await {
            Ok(features) => list(&self.line, features).await,
            Err(fault) => Reading::Unavailable(fault),
        }
    }
}

/// Brings users one by one, some at a time. Once the service is silent or lets nobody in, the others are not tried:
/// what goes wrong with a few may be about those, and holds up nobody.
pub(crate) async fn bring_singly(scim: &Scim, orders: &[Order]) -> Vec<Result<Landing, Fault>> {
    let faults: Mutex<Vec<Fault>> = Mutex::default();
    let all: Vec<_> = orders.iter().map(|order| unless_over(scim, order, &faults).boxed()).collect();
    futures_util::stream::iter(all).buffered(AT_ONCE).collect().await
}

async fn unless_over(scim: &Scim, order: &Order, faults: &Mutex<Vec<Fault>>) -> Result<Landing, Fault> {
    let with = || faults.lock().unwrap_or_else(PoisonError::into_inner);
    // One after the other and nothing between them: it is about no single user.
    let over = with().get(AT_ONCE).cloned();
    if let Some(fault) = over {
        return Err(fault);
    }
    let landed = scim.one(order).await;
    match &landed {
        Ok(_) => with().clear(),
        Err(fault) => with().push(fault.clone()),
    }
    landed
}

/// Says whose a user is that has the id which is known.
fn known(order: &Order, id: &str, shown: Shown) -> Found {
    if shown.user.id != id {
        return conflict(mistaken(id, &shown));
    }
    match shown.user.is_of_another(&order.external_id) {
        true => conflict(format!(
            "somebody else's externalId (`{}`) is written on its user {id} by now",
            inert(shown.user.external_id.as_deref().unwrap_or_default())
        )),
        false => Found::User(Box::new(shown)),
    }
}

fn mistaken(id: &str, shown: &Shown) -> String {
    format!("the target answers for the user {} with another one, {}", inert(id), inert(&shown.user.id))
}

/// Says whose a user is that has the externalId, and not the id which is known, if any is. Some services write the
/// externalId on whom they have already when they are asked to make somebody: such a one has another name.
fn recognised(order: &Order, shown: Shown) -> Found {
    let is_other = match &order.want {
        Want::Present(user) => !is_named(&shown.user, user),
        Want::Inactive | Want::Deleted => false,
    };
    match is_other || is_refused(order, &shown.user) {
        true => Found::Barred(stranger(&shown.user)),
        false => Found::User(Box::new(shown)),
    }
}

/// Whether it was found out before that a user is somebody else's. That it has the right name by now makes it nobody
/// else's only where such users are to be taken over.
fn is_refused(order: &Order, seen: &RemoteUser) -> bool {
    let takes_over = order.adopt == Adopt::UserName && order.want.user().is_some();
    !takes_over && order.refused == Some(refusal(&order.external_id, &seen.id))
}

fn is_named(seen: &RemoteUser, user: &PublishedUser) -> bool {
    seen.user_name.as_deref().is_some_and(|name| same(name, &user.user_name))
}

fn stranger(seen: &RemoteUser) -> Landing {
    let name = inert(seen.user_name.as_deref().unwrap_or_default());
    let cause = format!(
        "asked to make a user, the target answered with one that is there already (`{name}`, {}): it is somebody \
         else's, and is not touched again",
        inert(&seen.id)
    );
    Landing::Stranger(seen.id.clone(), cause)
}

fn conflict(cause: String) -> Found {
    Found::Barred(Landing::Conflict(cause))
}

/// Says whose a user is that has the name which somebody is to have.
fn claimed(order: &Order, user: &PublishedUser, mut rows: Vec<Shown>) -> Found {
    if rows.len() > 1 {
        return several_named(rows.len(), user);
    }
    let Some(shown) = rows.pop() else { return Found::Nobody };
    let name = inert(&user.user_name).into_owned();
    match shown.user.external_id.as_deref() {
        Some(theirs) if theirs == order.external_id.as_str() => recognised(order, shown),
        Some(theirs) => conflict(format!(
            "the userName `{name}` is there already, with another externalId (`{}`): it is somebody else's",
            inert(theirs)
        )),
        None if order.adopt == Adopt::UserName || order.remote_id.as_ref() == Some(&shown.user.id) => {
            Found::User(Box::new(shown))
        }
        None => conflict(format!(
            "the userName `{name}` is there already, and nobody says whose it is; `adopt: userName` at the target \
             takes such users over"
        )),
    }
}

fn several_named(count: usize, user: &PublishedUser) -> Found {
    conflict(several(count, &format!("the userName `{}`", inert(&user.user_name))))
}

fn several(count: usize, what: &str) -> String {
    format!("{count} users at the target have {what}: delete all but one there")
}

/// Returns what is otherwise than wanted; `None` wants it inactive.
fn otherwise(seen: &RemoteUser, wanted: Option<&PublishedUser>) -> Differences {
    match wanted {
        Some(user) => seen.differences(user),
        None if seen.active == Some(false) => Differences::new(),
        None => Differences::from(["active"]),
    }
}

fn shown(value: Value, etag: Option<String>) -> Option<Shown> {
    let user = object::user(&value)?;
    let version = etag.or_else(|| object::version(&value));
    Some(Shown { value, user, version })
}

/// Whether a service takes no change of this form, and perhaps a replacement.
fn takes_no_patch(failed: &Failed) -> bool {
    match failed.status {
        Some(405 | 501) => true,
        Some(400) => failed.code.as_deref().is_none_or(|code| {
            ["invalidPath", "noTarget", "invalidSyntax"].iter().any(|known| code.eq_ignore_ascii_case(known))
        }),
        _ => false,
    }
}

/// Whether a refusal is about this very user, whenever it is asked. Who may not write, and whoever asks at an address
/// where nothing is, is refused everybody.
fn is_about_one(failed: &Failed) -> bool {
    matches!(failed.status, Some(400..=499 | 501))
        && !matches!(failed.status, Some(401 | FORBIDDEN | NOT_FOUND | 408 | GONE | 429))
}

/// Makes the fault of what may go better another time.
fn for_now(failed: Failed) -> Fault {
    Fault { kind: FaultKind::Transient, ..failed.fault }
}
