//! The users of a tenant by what changed since the last time (`users/delta`): what was kept of them,
//! with the changes put in, is as whole as a listing.
//!
//! Rules of the service (<https://learn.microsoft.com/graph/delta-query-overview>): a round ends with a
//! link for the next one, and only then may it count; what a change does not tell stays as it was, null
//! is no value, and a list is replaced whole; the same change may come several times, and of two in one
//! round the last counts; a link works for some days, and whoever is refused starts a round without one.
//! Such a first round lists everybody, and nobody who was deleted: whom it does not tell of is gone.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::adapters::graph_listing::{Ended, Graph, Pages, astray, is_expired_page};
use crate::adapters::http::Failed;
use crate::adapters::tenant_object::{Absent, USER_PROPERTIES, UserChange, UserRow, user};
use crate::model::digest::{Digest, Digester};
use crate::model::guid::Guid;
use crate::model::tenant::{SyncState, TenantBuilder};
use crate::model::text::inert;
use crate::ports::source::Progress;

/// When everybody is read again, whatever changed: an import runs twice within any day or reads everybody
/// each time, so that this happens once a day at least. Changes may get lost, and the service tracks
/// none of `licenseAssignmentStates`.
const FULL_AFTER: SignedDuration = SignedDuration::from_hours(12);

/// What unpacks to more was not packed by Intake.
const LARGEST_UNPACKED: u64 = 4 << 30;

/// What is said to be read.
const READING: &str = "the users";

/// Everybody, and where the next round begins.
struct Round {
    users: BTreeMap<Guid, UserRow>,
    start: Url,
    /// When everybody was read, if not now.
    full_at: Option<Timestamp>,
    /// Whether anybody is otherwise than what was kept.
    has_changed: bool,
}

/// [`SyncState::position`] of this adapter.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    /// For which tenant, application and properties it was kept.
    about: Digest,
    /// Of the content that goes with it, before compression.
    content: Digest,
    /// When everybody was read.
    full_at: Timestamp,
    /// Where the next round begins.
    link: String,
}

/// Reads the users of a tenant: what changed since they were kept, or everybody.
///
/// # Errors
/// As for a listing; what was kept is as good as before then.
pub(crate) async fn read_changes(
    graph: &Graph<'_>,
    tenant: &str,
    kept: Option<&SyncState>,
    now: Timestamp,
    progress: &dyn Progress,
) -> Result<TenantBuilder, Ended> {
    let about = about(graph, tenant);
    let known = kept.and_then(|kept| Round::kept(kept, about, graph));
    let round = match known {
        Some(known) if is_recent(known.full_at, now) => match known.go_on(graph, progress).await {
            Err(lost) if is_lost(&lost) => {
                tracing::info!(fault = %lost.failed.fault, "the changes are lost, and everybody is read");
                everybody(graph, kept.and_then(|kept| Round::kept(kept, about, graph)), progress).await?
            }
            round => round?,
        },
        known => everybody(graph, known, progress).await?,
    };
    let mut builder = TenantBuilder::new();
    for row in round.users.values() {
        let user = user(row.clone(), Absent::Hidden, &mut builder).map_err(|fault| {
            let what = format!("the user {} {fault}", inert(&row.name()));
            Ended::new(astray(what), READING, 1, builder.users())
        })?;
        builder.user(user);
    }
    let generation = kept.map_or(0, |kept| kept.generation);
    match round.to_keep(about, generation, kept, now) {
        Ok(state) => builder.sync_state(state),
        // The reading is as good without.
        Err(error) => tracing::warn!("the users are not kept for the next reading: {error}"),
    }
    Ok(builder)
}

/// What a state is about: another tenant, application, cloud or list of properties is another one.
fn about(graph: &Graph<'_>, tenant: &str) -> Digest {
    let mut digester = Digester::new("graph delta 1");
    digester.field(graph.application.key().as_bytes()).field(tenant);
    USER_PROPERTIES.iter().for_each(|property| {
        digester.field(property);
    });
    digester.finish()
}

/// Whether everybody was read not long ago; a time that has not come yet tells of a clock that jumped.
fn is_recent(full_at: Option<Timestamp>, now: Timestamp) -> bool {
    full_at.is_some_and(|full_at| full_at <= now && now.duration_since(full_at) < FULL_AFTER)
}

/// Whether the service does not know any more what it told: then everybody is read again.
fn is_lost(ended: &Ended) -> bool {
    // On the codes it does not agree with itself (`syncStateNotFound`, `resyncRequired`, `BadRequest`),
    // and to read everybody is always right.
    matches!(ended.failed.status, Some(400 | 404 | 410)) || ended.failed.code.as_deref() == Some(UNKNOWN_USER)
}

/// The code of a change that tells of half a user whom nobody has heard of: an earlier change is missing.
const UNKNOWN_USER: &str = "a change of an unknown user";

/// Reads everybody; once more if the links expire on the way.
async fn everybody(graph: &Graph<'_>, kept: Option<Round>, progress: &dyn Progress) -> Result<Round, Ended> {
    let path = format!("/v1.0/users/delta?$select={}", USER_PROPERTIES.join(","));
    let first = graph.address(&path).map_err(|failed| Ended::new(failed, READING, 0, 0))?;
    let fresh = || Round { users: BTreeMap::new(), start: first.clone(), full_at: None, has_changed: true };
    let mut round = match fresh().go_on(graph, progress).await {
        Err(ended) if ended.pages > 0 && is_expired_page(&ended.failed) => {
            tracing::info!(pages = ended.pages, "the listing of users expired and is read anew");
            fresh().go_on(graph, progress).await?
        }
        round => round?,
    };
    // A list that never had anything in it may be left out; one that nobody shows is hidden.
    if !round.users.is_empty() && !round.users.values().any(UserRow::shows_licences) {
        let what = "it does not show assignedLicenses of anybody".to_owned();
        return Err(Ended::new(astray(what), READING, 1, round.users.len()));
    }
    round.users.values_mut().for_each(UserRow::take_hidden_licences_for_none);
    if let Some(kept) = kept {
        kept.compare(&round);
    }
    Ok(round)
}

impl Round {
    /// Takes what was kept, if it is about the same and undamaged.
    fn kept(state: &SyncState, about: Digest, graph: &Graph<'_>) -> Option<Self> {
        let position: Position = serde_json::from_slice(&state.position).ok()?;
        if position.about != about {
            return None;
        }
        // The token goes nowhere else, whatever lies in the store.
        let start = Url::parse(&position.link).ok().filter(|link| graph.application.is_graph(link))?;
        let users = unpack(state.content.as_deref()?, position.content)
            .inspect_err(|error| tracing::warn!("what was kept of the users cannot be used: {error}"))
            .ok()?;
        Some(Self { users, start, full_at: Some(position.full_at), has_changed: false })
    }

    /// Reads a round to its end.
    async fn go_on(mut self, graph: &Graph<'_>, progress: &dyn Progress) -> Result<Self, Ended> {
        let mut pages = Pages::new(self.start.clone());
        match self.read(graph, &mut pages, progress).await {
            Ok(start) => Ok(Self { start, ..self }),
            Err(failed) => Err(Ended::new(failed, READING, pages.read, self.users.len())),
        }
    }

    /// Reads the pages of a round; returns where the next one begins.
    async fn read(
        &mut self,
        graph: &Graph<'_>,
        pages: &mut Pages,
        progress: &dyn Progress,
    ) -> Result<Url, Failed> {
        let put = |changes: Vec<UserChange>, page| {
            for (index, change) in changes.into_iter().enumerate() {
                self.put(change, page, index + 1)?;
            }
            progress.read(self.users.len());
            Ok(())
        };
        graph.each_page(pages, put).await?;
        pages.delta.take().ok_or_else(|| {
            astray(format!("page {} leads nowhere, and nothing says that it is the last one", pages.read))
        })
    }

    /// Puts a change in.
    fn put(&mut self, change: UserChange, page: usize, number: usize) -> Result<(), Failed> {
        let id = change.id().map_err(|fault| astray(format!("change {number} of page {page} {fault}")))?;
        if change.is_removal() {
            self.has_changed |= self.users.remove(&id).is_some();
            return Ok(());
        }
        match self.users.entry(id) {
            Entry::Occupied(mut known) => {
                let before = known.get().clone();
                known.get_mut().apply(change);
                self.has_changed |= *known.get() != before;
            }
            Entry::Vacant(place) => {
                if self.full_at.is_some() && !change.is_whole() {
                    let what = format!("change {number} of page {page} is of half a user who is not known");
                    let mut failed = astray(what);
                    failed.code = Some(UNKNOWN_USER.to_owned());
                    return Err(failed);
                }
                let row = place.insert(UserRow::default());
                row.apply(change);
                if self.full_at.is_some() {
                    row.take_hidden_licences_for_none();
                }
                self.has_changed = true;
            }
        }
        Ok(())
    }

    /// Tells how everybody as read now differs from what was kept: of changes that came in time, little.
    fn compare(&self, now: &Self) {
        let is_new = |id: &&Guid| !self.users.contains_key(id);
        let new = now.users.keys().filter(is_new).count();
        let changed = now.users.iter().filter(|(id, row)| self.users.get(id).is_some_and(|was| was != *row));
        let changed = changed.count();
        let gone = self.users.len() + new - now.users.len();
        tracing::info!(users = now.users.len(), new, changed, gone, "everybody was read, and compared");
    }

    /// Returns what to keep.
    fn to_keep(
        &self,
        about: Digest,
        generation: u64,
        kept: Option<&SyncState>,
        now: Timestamp,
    ) -> io::Result<SyncState> {
        let position = |content| -> io::Result<Vec<u8>> {
            let full_at = self.full_at.unwrap_or(now);
            let link = self.start.to_string();
            Ok(serde_json::to_vec(&Position { about, content, full_at, link })?)
        };
        let before = kept.and_then(|kept| serde_json::from_slice::<Position>(&kept.position).ok());
        if let (false, Some(before)) = (self.has_changed, before) {
            return Ok(SyncState { generation, position: position(before.content)?, content: None });
        }
        let bytes = serde_json::to_vec(&self.users.values().collect::<Vec<_>>())?;
        let digest = Digest::of(&bytes);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        io::Write::write_all(&mut encoder, &bytes)?;
        Ok(SyncState { generation, position: position(digest)?, content: Some(encoder.finish()?) })
    }
}

fn unpack(content: &[u8], digest: Digest) -> io::Result<BTreeMap<Guid, UserRow>> {
    let mut bytes = Vec::new();
    DeflateDecoder::new(content).take(LARGEST_UNPACKED).read_to_end(&mut bytes)?;
    if Digest::of(&bytes) != digest {
        return Err(io::Error::other("it is not what was written"));
    }
    let rows: Vec<UserRow> = serde_json::from_slice(&bytes)?;
    rows.into_iter().map(|row| row.id().map(|id| (id, row)).map_err(io::Error::other)).collect()
}
