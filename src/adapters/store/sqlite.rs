//! Writing to a store in SQLite: by one connection, one transaction at a time.

use std::io;
use std::path::Path;
use std::sync::Arc;

use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::Mutex;

use crate::adapters::store::connection::{Outcome, Standing, Work};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::Connection;
use crate::adapters::store::sqlite_file::{DatabaseFile, Identity, Live, close_all, connect, options};
use crate::adapters::store::sqlite_schema as schema;
use crate::ports::register::RegisterFault;

/// The one connection that writes.
#[derive(Debug)]
pub(super) struct Writer {
    /// Its file; none for what is in memory.
    file: Option<Arc<DatabaseFile>>,
    slot: Mutex<Option<Live>>,
}

impl Drop for Writer {
    /// Waits until the write-ahead log is folded into the file: whoever copies the file after the
    /// program has ended copies all of it. Left to itself, the driver would close the database in a
    /// thread that ends with the program, folded or not.
    fn drop(&mut self) {
        let Some(file) = &self.file else { return };
        let mut open = file.stop_keeping();
        open.extend(self.slot.get_mut().take());
        // In a thread, as this one may be driving other work already, and that cannot be nested.
        let closing = std::thread::Builder::new().spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() {
                runtime.block_on(close_all(open));
            }
        });
        let _ = closing.map(std::thread::JoinHandle::join);
    }
}

impl Writer {
    /// Opens the store for writing; makes the file if it is missing.
    pub(super) async fn open(file: Option<Arc<DatabaseFile>>) -> Result<Arc<Self>, RegisterFault> {
        if let Some(file) = &file {
            file.make().await?;
        }
        let writer = Self { file, slot: Mutex::new(None) };
        let live = writer.connect(true).await?;
        *writer.slot.lock().await = Some(live);
        Ok(Arc::new(writer))
    }

    /// Closes all connections, which folds the write-ahead log into the file. A later write opens one again.
    pub(super) async fn close(&self) {
        let live = self.slot.lock().await.take();
        match &self.file {
            Some(file) => {
                let mut open = file.stop_keeping();
                open.extend(live);
                close_all(open).await;
            }
            // What is in memory lives as long as its connection.
            None => *self.slot.lock().await = live,
        }
    }

    /// What the store is called in messages.
    fn name(&self) -> String {
        self.file.as_ref().map_or_else(|| ":memory:".into(), |file| file.name())
    }

    pub(super) async fn write<T, W>(&self, work: W) -> Result<T, RegisterFault>
    where
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T>,
    {
        let mut slot = self.slot.lock().await;
        let mut live = match slot.take() {
            // Somebody may have moved another file to the path, or deleted it: what is written to
            // the old one would be lost.
            Some(live) if live.identity == self.identity() => live,
            stranger => {
                drop(stranger);
                self.connect(false).await?
            }
        };
        let outcome = self.transact(&mut live.connection, work).await;
        // Only a connection that certainly has no transaction open is used again: where SQLite
        // rolled back by itself (a full disk), the driver goes on believing in one.
        if !matches!(outcome, Outcome::Unclear(_)) {
            *slot = Some(live);
        }
        match outcome {
            Outcome::Done(value) => Ok(value),
            Outcome::Undone(mishap) | Outcome::Unclear(mishap) => Err(mishap.at(&self.name())),
        }
    }

    async fn transact<T, W>(&self, connection: &mut SqliteConnection, work: W) -> Outcome<T>
    where
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T>,
    {
        // Takes the write lock at once: a transaction that first reads and then finds that another
        // process wrote meanwhile could not go on.
        let mut transaction = match connection.begin_with("BEGIN IMMEDIATE").await {
            Ok(transaction) => transaction,
            Err(error) => return Outcome::Unclear(error.into()),
        };
        // A newer Intake may have migrated the file under a process that runs for weeks.
        let worked = match schema::examine(&mut transaction).await {
            Ok(Standing::Current) => work(&mut Connection::Sqlite(&mut transaction)).await,
            Ok(_) => Err(Mishap::Strange("its tables are gone".into())),
            Err(mishap) => Err(mishap),
        };
        match worked {
            Ok(value) => match transaction.commit().await {
                Ok(()) => Outcome::Done(value),
                Err(error) => Outcome::Unclear(error.into()),
            },
            Err(mishap) => match transaction.rollback().await {
                Ok(()) => Outcome::Undone(mishap),
                Err(_) => Outcome::Unclear(mishap),
            },
        }
    }

    /// Which file is at the path now.
    fn identity(&self) -> Option<Identity> {
        self.file.as_ref().and_then(|file| file.identity())
    }

    /// Opens the connection. A `fresh` one may find a blank database; later a store that has become
    /// blank was lost, and is not made anew behind the back of whoever relies on it.
    async fn connect(&self, fresh: bool) -> Result<Live, RegisterFault> {
        if let Some(file) = &self.file
            && !fresh
            && !file.exists()?
        {
            return Err(file.unavailable(io::ErrorKind::NotFound.into()));
        }
        let options = match &self.file {
            None => options(Path::new(":memory:")).in_memory(true),
            Some(file) => options(&file.path),
        };
        let identity = self.identity();
        let connection = connect(options, fresh).await.map_err(|mishap| mishap.at(&self.name()))?;
        Ok(Live { connection, identity })
    }
}
