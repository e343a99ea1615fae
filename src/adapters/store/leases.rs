//! Leases as rows, with fencing numbers; PostgreSQL does the coordination.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt as _};

use crate::adapters::store::connection::{Store, Told};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection};
use crate::model::text::Text;
use crate::ports::leases::{Claim, Done, Due, Leases, Notice, OF_CUSTOMERS, Wish, of_customer};
use crate::ports::register::RegisterFault;

const MAKE: &str = "
    INSERT INTO leases (name, holder, fence, expires_at, due_at, done_for) VALUES ($1, '', 0, 0, 0, '')
    ON CONFLICT (name) DO NOTHING";

/// Of several replicas that want the same at once one gets the row, and the others do not wait for it: it is not free
/// any more. `$3`: for how long; `$4`: the fingerprint, empty for none; `$5`: whether somebody asked; `$6`: the tree,
/// empty for none.
const CLAIM: &str = "
    UPDATE leases SET holder = $2, fence = fence + 1, expires_at = intake_now() + $3
    WHERE name = (
        SELECT name FROM leases
        WHERE name = $1 AND (holder = '' OR expires_at <= intake_now())
            AND ($5 = 1 OR due_at <= intake_now() OR ($4 <> '' AND done_for <> $4))
            AND ($6 = '' OR NOT EXISTS (SELECT 1 FROM tree WHERE revision <> $6))
        FOR UPDATE SKIP LOCKED)
    RETURNING fence";

/// Why it was not to be had.
const LOOK: &str = "
    SELECT CASE WHEN holder = '' THEN 0 ELSE expires_at - intake_now() END,
        CASE WHEN $4 = 1 OR ($3 <> '' AND done_for <> $3) THEN 0 ELSE due_at - intake_now() END,
        (SELECT COUNT(*) FROM tree WHERE $2 <> '' AND revision <> $2)
    FROM leases WHERE name = $1";

const DUE: &str = "
    SELECT name, due_at - intake_now(), done_for FROM leases
    WHERE SUBSTR(name, 1, LENGTH($1)) = $1 AND done_for <> ''";

const RELEASE: &str = "
    UPDATE leases SET holder = '', expires_at = 0,
        due_at = CASE WHEN $4 < 0 THEN due_at ELSE intake_now() + $4 END,
        done_for = CASE WHEN $5 = '' THEN done_for ELSE $5 END
    WHERE name = $1 AND holder = $2 AND fence = $3";

/// Also one whose time is over, as long as nobody took it. A row that is locked, by a transaction that proves by it
/// that it may write, is not waited for: the others would end meanwhile.
const RENEW: &str = "
    UPDATE leases SET expires_at = intake_now() + $4
    WHERE name = (
        SELECT name FROM leases WHERE name = $1 AND holder = $2 AND fence = $3 FOR UPDATE SKIP LOCKED)";

/// Whether it is still this one's that could not be renewed.
const IS_MINE: &str = "SELECT fence FROM leases WHERE name = $1 AND holder = $2 AND fence = $3";

/// Until the transaction ends nobody takes it.
const IS_HELD: &str = "SELECT fence FROM leases WHERE name = $1 AND holder = $2 AND fence = $3 FOR SHARE";

const TELL: &str = "SELECT pg_notify('intake', $1)";

/// The leases that this process holds, by name, with their fencing numbers.
#[derive(Debug)]
pub(super) struct Held {
    holder: String,
    fences: Mutex<BTreeMap<Text, i64>>,
}

impl Held {
    fn fences(&self) -> std::sync::MutexGuard<'_, BTreeMap<Text, i64>> {
        self.fences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds out within a transaction that what it writes about a customer is this replica's to write.
    pub(super) async fn expect(&self, connection: &mut Connection<'_>, customer: &str) -> Result<(), Mishap> {
        let lost = || Mishap::LeaseLost { customer: Text::from(customer) };
        let name = of_customer(customer);
        let fence = self.fences().get(&name).copied().ok_or_else(lost)?;
        let query = sql::query(IS_HELD).bind(name.as_str()).bind(&self.holder).bind(fence);
        query.fetch_optional(connection).await?.map(|_| ()).ok_or_else(lost)
    }
}

/// The leases of replicas on one database.
#[derive(Debug, Clone)]
pub struct StoreLeases {
    store: Store,
    held: Arc<Held>,
    length: Duration,
}

impl Store {
    /// Returns the leases that replicas on this store share, as `holder`, a name that no other process has; `None`
    /// for a store in a file, which replicas do not share.
    pub fn leases(&self, holder: String) -> Option<StoreLeases> {
        let length = self.lease_length()?;
        let held = Arc::new(Held { holder, fences: Mutex::default() });
        Some(StoreLeases { store: self.clone(), held, length })
    }
}

impl StoreLeases {
    /// Returns the store as it may be written in turns: of a customer by who holds its lease, and by nobody else.
    pub fn fenced(&self) -> Store {
        self.store.fenced_by(self.held.clone())
    }
}

#[async_trait]
impl Leases for StoreLeases {
    async fn claim(&self, wish: &Wish) -> Result<Claim, RegisterFault> {
        let (wanted, holder) = (wish.clone(), self.held.holder.clone());
        let length = microseconds(self.length);
        let (claim, fence) = self
            .store
            .write(move |connection| {
                Box::pin(async move { claim(connection, &wanted, holder, length).await })
            })
            .await?;
        if let Some(fence) = fence {
            self.held.fences().insert(wish.name.clone(), fence);
        }
        Ok(claim)
    }

    async fn due_turns(&self) -> Result<BTreeMap<Text, Due>, RegisterFault> {
        let reader = self.store.reader();
        reader.ask(BTreeMap::new(), |connection| Box::pin(due_turns(connection))).await
    }

    async fn release(&self, name: &str, done: Option<Done>) -> Result<(), RegisterFault> {
        let name = Text::from(name);
        let Some(fence) = self.held.fences().remove(&name) else { return Ok(()) };
        let holder = self.held.holder.clone();
        let told_by = holder.clone();
        self.store
            .write(move |connection| {
                Box::pin(async move {
                    let fingerprint = done.and_then(|done| done.fingerprint).map(|digest| digest.to_string());
                    sql::query(RELEASE)
                        .bind(name.as_str())
                        .bind(holder)
                        .bind(fence)
                        .bind(done.map_or(-1, |done| microseconds(done.due_after)))
                        .bind(fingerprint.unwrap_or_default())
                        .execute(connection)
                        .await?;
                    tell(connection, &format!("{told_by} released {name}")).await
                })
            })
            .await
    }

    async fn renew(&self) -> Result<Vec<Text>, RegisterFault> {
        let before = self.held.fences().clone();
        if before.is_empty() {
            return Ok(Vec::new());
        }
        let (holder, length) = (self.held.holder.clone(), microseconds(self.length));
        let lost = self
            .store
            .write(move |connection| {
                Box::pin(async move {
                    let mut lost = Vec::new();
                    for (name, fence) in before {
                        let renew =
                            sql::query(RENEW).bind(name.as_str()).bind(&holder).bind(fence).bind(length);
                        if renew.execute(connection).await? == 0 {
                            let look = sql::query(IS_MINE).bind(name.as_str()).bind(&holder).bind(fence);
                            if look.fetch_optional(connection).await?.is_none() {
                                lost.push((name, fence));
                            }
                        }
                    }
                    Ok(lost)
                })
            })
            .await?;
        // What was given back meanwhile, and perhaps taken again, is not lost.
        let fences = self.held.fences();
        let is_lost = |(name, fence): &(Text, i64)| fences.get(name) == Some(fence);
        Ok(lost.into_iter().filter(is_lost).map(|(name, _)| name).collect())
    }

    fn abandon(&self, name: &str) {
        self.held.fences().remove(name);
    }

    async fn tell_of_tree(&self) -> Result<(), RegisterFault> {
        let told = format!("{} tree", self.held.holder);
        self.store.write(move |connection| Box::pin(async move { tell(connection, &told).await })).await
    }

    fn notices(&self) -> BoxStream<'static, Notice> {
        let holder = self.held.holder.clone();
        let of_others = move |told| std::future::ready(notice_of(&told, &holder));
        self.store.told().filter_map(of_others).boxed()
    }

    fn length(&self) -> Duration {
        self.length
    }
}

async fn claim(
    connection: &mut Connection<'_>,
    wish: &Wish,
    holder: String,
    length: i64,
) -> Result<(Claim, Option<i64>), Mishap> {
    let fingerprint = wish.fingerprint.map(|digest| digest.to_string()).unwrap_or_default();
    let tree = wish.tree_revision.as_deref().unwrap_or_default();
    sql::query(MAKE).bind(wish.name.as_str()).execute(connection).await?;
    let taken = sql::query(CLAIM)
        .bind(wish.name.as_str())
        .bind(holder)
        .bind(length)
        .bind(fingerprint.as_str())
        .bind(i64::from(wish.is_asked))
        .bind(tree)
        .fetch_optional(connection)
        .await?;
    if let Some(row) = taken {
        return Ok((Claim::Held, Some(row.get(0)?)));
    }
    let look = sql::query(LOOK).bind(wish.name.as_str()).bind(tree).bind(fingerprint.as_str());
    let row = look.bind(i64::from(wish.is_asked)).fetch_one(connection).await?;
    let (held, due, other_trees): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let claim = match (held, due) {
        _ if other_trees > 0 => Claim::OtherTree,
        (held, _) if held > 0 => Claim::Elsewhere(duration(held)),
        // Somebody else has its row at this moment.
        (_, due) if due <= 0 => Claim::Elsewhere(Duration::from_secs(1)),
        (_, due) => Claim::NotDue(duration(due)),
    };
    Ok((claim, None))
}

async fn due_turns(connection: &mut Connection<'_>) -> Result<BTreeMap<Text, Due>, Mishap> {
    let mut turns = BTreeMap::new();
    for row in &sql::query(DUE).bind(OF_CUSTOMERS).fetch_all(connection).await? {
        let (name, done_for): (&str, &str) = (row.get(0)?, row.get(2)?);
        let customer = name.strip_prefix(OF_CUSTOMERS).unwrap_or(name);
        // What a later version writes there is none that this one would do it by.
        let due = Due { wait: duration(row.get(1)?), fingerprint: done_for.parse().ok() };
        turns.insert(Text::from(customer), due);
    }
    Ok(turns)
}

async fn tell(connection: &mut Connection<'_>, what: &str) -> Result<(), Mishap> {
    sql::query(TELL).bind(what).execute(connection).await?;
    Ok(())
}

/// Reads what another replica told; `None` for what this one did itself, and for what a later version tells.
fn notice_of(told: &Told, holder: &str) -> Option<Notice> {
    let Told::Word(word) = told else { return Some(Notice::Missed) };
    let (by, what) = word.split_once(' ')?;
    if by == holder {
        return None;
    }
    match what.split_once(' ') {
        Some(("released", name)) => Some(Notice::Released(Text::from(name))),
        None if what == "tree" => Some(Notice::Tree),
        _ => None,
    }
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn duration(microseconds: i64) -> Duration {
    Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))
}
