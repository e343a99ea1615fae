//! Moving a store: all of its rows as they are at one moment, by one transaction, into a store that has none. Copies,
//! backups and what is restored from them are the same with other addresses.
//!
//! What is written is read back and compared before it counts: a copy that is there is a copy that was verified.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_util::sync::CancellationToken;

use crate::adapters::store::checking;
use crate::adapters::store::connection::{Pulse, Store, StoreReader};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection};
use crate::adapters::store::tables::{Cells, LOCK, MOVED, Moved, TOGETHER, Tally};
use crate::model::text::inert;
use crate::ports::moving::{Checked, Copied, CopiedTable};
use crate::ports::register::{ChainCheck, RegisterFault};

/// How many parcels are on their way: who reads and who writes work at the same time, and memory stays bounded.
const ON_THE_WAY: usize = 8;

/// What goes from one store into the other.
enum Parcel {
    /// Rows of a table.
    Rows(&'static Moved, Vec<Cells>),
    /// That was all of a table, which had these.
    Table(&'static Moved, Tally),
    /// That was all.
    End,
}

/// Copies the store of one address into that of another, which must be empty; a file that is missing is made.
///
/// # Errors
/// As [`Store::open`] for both, and [`Store::fill_from`]. A store that holds something is left as it is, also one of an
/// older version.
pub async fn copy(from: &str, to: &str) -> Result<Copied, RegisterFault> {
    let source = Store::open_reading(from).await?;
    // Before it is opened for writing, which would bring an older one up to date.
    Store::open_reading(to).await?.expect_empty().await?;
    let target = Store::open(to).await?;
    let copied = target.fill_from(&source).await;
    target.close().await;
    copied
}

/// Copies the store of an address into a new file, readable for its owner alone: beside its place, and put there in one
/// step once it is whole. So whoever is killed in the middle leaves nothing that looks like a backup.
///
/// # Errors
/// As [`copy`]; if there is anything at the path already.
pub async fn back_up(from: &str, path: &Path) -> Result<Copied, RegisterFault> {
    let refused = |why: String| RegisterFault::Unavailable {
        what: format!("the backup `{}` cannot be written", inert(&path.to_string_lossy())),
        source: why.into(),
    };
    if path.symlink_metadata().is_ok() {
        return Err(refused("it is there already, and no backup is overwritten; name another file".into()));
    }
    let path = std::path::absolute(path).map_err(|error| refused(error.to_string()))?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(refused("it names no file".into()));
    };
    if !folder.is_dir() {
        return Err(refused("its folder does not exist; make the folder first".into()));
    }
    let hidden = format!(".{}.{}.part", name.to_string_lossy(), uuid::Uuid::new_v4());
    let draft = Draft(folder.join(hidden));
    let Some(text) = draft.0.to_str() else { return Err(refused("its path is no text".into())) };
    let copied = copy(from, &format!("sqlite:{text}")).await?;
    fs::hard_link(&draft.0, &path).map_err(|error| refused(error.to_string()))?;
    // The file is on the disk already, and so is its name from now on; where folders cannot be told so, it comes by itself.
    let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
    Ok(copied)
}

/// A file that is not yet in its place. It goes, with what SQLite puts beside it, whatever happens.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        for beside in ["", "-wal", "-shm"] {
            let mut name = self.0.clone().into_os_string();
            name.push(beside);
            // Most are not there.
            let _ = fs::remove_file(name);
        }
    }
}

impl StoreReader {
    /// Finds out that the store holds no row.
    ///
    /// # Errors
    /// [`RegisterFault::Unavailable`] if it does.
    async fn expect_empty(&self) -> Result<(), RegisterFault> {
        self.ask((), |connection| Box::pin(expect_empty(connection))).await
    }
}

impl Store {
    /// Copies all that another store holds into this one, as it is at one moment: others may write it meanwhile. It
    /// is compared with what it was made of and the audit record of every customer is verified before any of it
    /// counts; whoever goes away or is cut off in the middle leaves nothing.
    ///
    /// # Errors
    /// [`RegisterFault::Unavailable`] if this store holds a row already, if the other has no tables, or if they
    /// differ in the end; the faults of both. Nothing was written then.
    pub async fn fill_from(&self, source: &StoreReader) -> Result<Copied, RegisterFault> {
        let pulse = Pulse::default();
        let wanted = CancellationToken::new();
        let (sender, receiver) = mpsc::channel(ON_THE_WAY);
        // Both tasks would go on, and write, for a caller that went away.
        let guard = wanted.clone().drop_guard();
        let (read, written) = (pulse.clone(), pulse.clone());
        let reading = source.ask_long(None, &pulse, |connection| {
            Box::pin(async move { send(connection, &sender, &read).await.map(Some) })
        });
        let writing =
            self.write_long(&pulse, |connection| Box::pin(receive(connection, receiver, written, wanted)));
        let outcome = tokio::join!(reading, writing);
        drop(guard);
        match outcome {
            // Everything came, and is the same.
            (_, Ok(copied)) => Ok(copied),
            (Ok(None), Err(_)) => Err(RegisterFault::Unavailable {
                what: "there is nothing to copy".into(),
                source: "what is copied has no tables of Intake yet".into(),
            }),
            (Err(fault), Err(_)) | (Ok(Some(())), Err(fault)) => Err(fault),
        }
    }
}

async fn expect_empty(connection: &mut Connection<'_>) -> Result<(), Mishap> {
    for moved in MOVED.iter() {
        if moved.has_rows(connection).await? {
            return Err(Mishap::NotCopied(format!(
                "it is not empty: there are rows in its table `{}`; name a new file or an empty database",
                moved.table.name
            )));
        }
    }
    Ok(())
}

/// Sends all rows of a store. Where nobody receives them any more it ends: who received knows why.
async fn send(connection: &mut Connection<'_>, to: &Sender<Parcel>, pulse: &Pulse) -> Result<(), Mishap> {
    for moved in MOVED.iter() {
        let mut tally = Tally::default();
        let mut last = None;
        loop {
            let rows = moved.page(connection, last.as_ref()).await?;
            pulse.beat();
            let Some(end) = rows.last() else { break };
            last = Some(end.clone());
            rows.iter().for_each(|row| tally.add(row));
            let mut rows = rows.into_iter().peekable();
            while rows.peek().is_some() {
                let parcel = Parcel::Rows(moved, rows.by_ref().take(TOGETHER).collect());
                if to.send(parcel).await.is_err() {
                    return Ok(());
                }
                pulse.beat();
            }
        }
        if to.send(Parcel::Table(moved, tally)).await.is_err() {
            return Ok(());
        }
    }
    // Who received it may be gone: who wrote knows.
    let _ = to.send(Parcel::End).await;
    Ok(())
}

/// Writes what comes until the end of it, and compares.
async fn receive(
    connection: &mut Connection<'_>,
    mut from: Receiver<Parcel>,
    pulse: Pulse,
    wanted: CancellationToken,
) -> Result<Copied, Mishap> {
    if matches!(connection, Connection::Postgres(_)) {
        // Somebody who wrote at the same time would mix two registers. In SQLite nobody else can.
        sql::query(LOCK.as_str()).execute(connection).await?;
    }
    expect_empty(connection).await?;
    let mut copied = Copied::default();
    loop {
        let parcel = tokio::select! {
            biased;
            () = wanted.cancelled() => return Err(given_up()),
            parcel = from.recv() => parcel,
        };
        match parcel {
            Some(Parcel::Rows(moved, rows)) => moved.write(connection, rows).await?,
            Some(Parcel::Table(moved, sent)) => {
                copied.tables.push(compare(connection, moved, &sent, &pulse).await?);
            }
            Some(Parcel::End) => break,
            None => return Err(Mishap::NotCopied("what is copied was cut off before its end".into())),
        }
        pulse.beat();
    }
    let Checked { chains, damage, .. } = checking::check(connection, &pulse).await?;
    for (customer, check) in chains {
        match check {
            ChainCheck::Whole(head) => copied.heads.insert(customer, head),
            ChainCheck::Broken { sequence, what } => {
                return Err(Mishap::NotCopied(format!(
                    "the audit record of `{customer}` is broken at event {sequence}: {what}"
                )));
            }
        };
    }
    // Came as it was: whoever lost one row moves the others.
    copied.damage = damage;
    for moved in MOVED.iter() {
        moved.count_on(connection).await?;
    }
    if wanted.is_cancelled() { Err(given_up()) } else { Ok(copied) }
}

fn given_up() -> Mishap {
    Mishap::NotCopied("whoever asked for the copy went away".into())
}

/// Reads a table back, and compares it with what was sent.
async fn compare(
    connection: &mut Connection<'_>,
    moved: &'static Moved,
    sent: &Tally,
    pulse: &Pulse,
) -> Result<CopiedTable, Mishap> {
    let name = moved.table.name;
    let mut found = Tally::default();
    let mut last = None;
    loop {
        let mut rows = moved.page(connection, last.as_ref()).await?;
        rows.iter().for_each(|row| found.add(row));
        pulse.beat();
        last = rows.pop();
        if last.is_none() {
            break;
        }
    }
    if found != *sent {
        return Err(Mishap::NotCopied(format!(
            "its table `{name}` would differ from what was sent: {} rows in place of {}, or other ones",
            found.rows, sent.rows
        )));
    }
    Ok(CopiedTable { name, rows: found.rows, digest: found.digest(name) })
}
