//! Opening a store, and the only two ways to it: a question, which writes nothing, and a
//! transaction in a task that nobody can cancel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio_util::task::TaskTracker;

use crate::adapters::store::address::Address;
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::leases::Held;
use crate::adapters::store::postgres::Server;
use crate::adapters::store::sql::Connection;
use crate::adapters::store::sqlite::Writer;
use crate::adapters::store::sqlite_file::DatabaseFile;
use crate::ports::register::RegisterFault;

/// A register in a database: may be asked and written.
///
/// Transactions run in a task of their own: a caller that goes away in the middle leaves either everything or
/// nothing. Other processes may use the same database.
#[derive(Debug, Clone)]
pub struct Store {
    home: Home,
    reader: StoreReader,
    tasks: Tasks,
    /// Leases without which nothing about a customer is written; none where one process does all turns.
    fence: Option<Arc<Held>>,
}

/// A register in a database that may only be asked; a file that is not there, or a database without a table, is an
/// empty register.
#[derive(Debug, Clone)]
pub struct StoreReader {
    origin: Origin,
    tasks: Tasks,
}

/// Where a store is written.
#[derive(Debug, Clone)]
enum Home {
    /// By the one connection that writes.
    Sqlite(Arc<Writer>),
    /// By as many as the address says.
    Postgres(Arc<Server>),
}

/// Where a reader gets its answers.
#[derive(Debug, Clone)]
enum Origin {
    /// Nowhere: an empty register.
    Nothing,
    /// From a file.
    File(Arc<DatabaseFile>),
    /// From the connection that writes: what is in memory has no other.
    Writer(Arc<Writer>),
    /// From a server.
    Server(Arc<Server>),
}

/// What runs within one transaction.
pub(super) type Work<'c, T> = BoxFuture<'c, Result<T, Mishap>>;

impl Store {
    /// Opens the store of an address, `sqlite:PATH`, `sqlite::memory:` or `postgres://…`; makes a file, readable
    /// for its owner alone, if it is missing, and brings its schema up to date. A database of a server must be
    /// there, and its schema is made in it if it holds no table.
    ///
    /// # Errors
    /// [`RegisterFault::Newer`] for a store of a later version, [`RegisterFault::Damaged`] for a file
    /// that somebody emptied, [`RegisterFault::Unavailable`] for what is no store, or cannot be opened or written.
    /// All of them are left as they are.
    pub async fn open(url: &str) -> Result<Self, RegisterFault> {
        let tasks = Tasks::default();
        let (home, origin) = match Address::parse(url)? {
            Address::Memory => {
                let writer = tasks.uncancelled(Writer::open(None)).await?;
                (Home::Sqlite(writer.clone()), Origin::Writer(writer))
            }
            Address::File(path) => {
                let file = Arc::new(DatabaseFile::kept_open(path));
                let writer = tasks.uncancelled(Writer::open(Some(file.clone()))).await?;
                (Home::Sqlite(writer), Origin::File(file))
            }
            Address::Server(address) => {
                let server = Arc::new(Server::new(*address));
                let opened = server.clone();
                let opening = async move {
                    opened.reach().await?;
                    opened.migrate().await
                };
                tasks.uncancelled(opening).await?;
                (Home::Postgres(server.clone()), Origin::Server(server))
            }
        };
        Ok(Self { home, reader: StoreReader { origin, tasks: tasks.clone() }, tasks, fence: None })
    }

    /// Opens the store of an address for reading: makes nothing and migrates nothing. A file that is missing or
    /// blank, and a database without a table, is an empty register; a folder or a database that is missing is a
    /// mistyped address.
    ///
    /// # Errors
    /// As [`Store::open`]; a store of an earlier version is [`RegisterFault::Unavailable`].
    pub async fn open_reading(url: &str) -> Result<StoreReader, RegisterFault> {
        let origin = match Address::parse(url)? {
            Address::Memory => Origin::Nothing,
            Address::File(path) => Origin::File(Arc::new(DatabaseFile::new(path))),
            Address::Server(address) => {
                let server = Server::new(*address);
                server.reach().await?;
                Origin::Server(Arc::new(server))
            }
        };
        let reader = StoreReader { origin, tasks: Tasks::default() };
        // Asks nothing: finds out whether the store can be read at all.
        reader.ask((), |_| Box::pin(async { Ok(()) })).await?;
        Ok(reader)
    }

    /// Waits for the work that is under way, also for what nobody waits for any more, and closes all connections,
    /// which folds SQLite's write-ahead log into the file. A later write to a file opens the store again.
    /// Dropping the last clone of a store closes them as well.
    pub async fn close(&self) {
        // The log stays for as long as a question is being answered from it.
        self.tasks.done().await;
        match &self.home {
            Home::Sqlite(writer) => writer.close().await,
            Home::Postgres(server) => server.close().await,
        }
    }

    /// Runs work in one transaction: all of it is written, or nothing.
    pub(super) async fn write<T, W>(&self, work: W) -> Result<T, RegisterFault>
    where
        T: Send + 'static,
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T> + Send + 'static,
    {
        match self.home.clone() {
            Home::Sqlite(writer) => self.tasks.uncancelled(async move { writer.write(work).await }).await,
            Home::Postgres(server) => self.tasks.uncancelled(async move { server.write(work).await }).await,
        }
    }

    /// As [`write`](Self::write), of work that takes as long as there is much to do: it is given up when its pulse
    /// stands still.
    pub(super) async fn write_long<T, W>(&self, pulse: &Pulse, work: W) -> Result<T, RegisterFault>
    where
        T: Send + 'static,
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T> + Send + 'static,
    {
        match self.home.clone() {
            Home::Sqlite(writer) => self.tasks.uncancelled(async move { writer.write(work).await }).await,
            Home::Postgres(server) => {
                let pulse = pulse.clone();
                self.tasks.uncancelled(async move { server.write_long(&pulse, work).await }).await
            }
        }
    }

    /// As [`write`](Self::write), of one customer: where there are leases, nothing is written without this one.
    pub(super) async fn write_of<T, W>(&self, customer: &str, work: W) -> Result<T, RegisterFault>
    where
        T: Send + 'static,
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T> + Send + 'static,
    {
        let Some(held) = self.fence.clone() else { return self.write(work).await };
        let customer = customer.to_owned();
        self.write(move |connection| {
            Box::pin(async move {
                held.expect(connection, &customer).await?;
                work(connection).await
            })
        })
        .await
    }

    /// The same store, which writes of a customer only while its lease is held.
    pub(super) fn fenced_by(&self, held: Arc<Held>) -> Self {
        Self { fence: Some(held), ..self.clone() }
    }

    /// Returns how long leases last, where replicas share the store.
    pub(super) fn lease_length(&self) -> Option<Duration> {
        match &self.home {
            Home::Sqlite(_) => None,
            Home::Postgres(server) => Some(server.lease_length()),
        }
    }

    /// Returns what processes on this store tell each other from now on.
    pub(super) fn told(&self) -> BoxStream<'static, Told> {
        match &self.home {
            Home::Sqlite(_) => stream::pending().boxed(),
            Home::Postgres(server) => server.told(),
        }
    }

    /// Returns the side that may only be asked.
    pub fn reader(&self) -> &StoreReader {
        &self.reader
    }
}

impl StoreReader {
    /// Answers a question from one state of the store; `nothing` is the answer of an empty one.
    pub(super) async fn ask<T, W>(&self, nothing: T, work: W) -> Result<T, RegisterFault>
    where
        T: Send + 'static,
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T> + Send + 'static,
    {
        match self.origin.clone() {
            Origin::Nothing => Ok(nothing),
            Origin::Writer(writer) => self.tasks.uncancelled(async move { writer.write(work).await }).await,
            Origin::File(file) => self.tasks.uncancelled(async move { file.ask(nothing, work).await }).await,
            Origin::Server(server) => {
                self.tasks.uncancelled(async move { server.ask(nothing, work).await }).await
            }
        }
    }
}

impl StoreReader {
    /// As [`ask`](Self::ask), for a question that takes as long as there is much to tell: it is given up when its
    /// pulse stands still.
    pub(super) async fn ask_long<T, W>(&self, nothing: T, pulse: &Pulse, work: W) -> Result<T, RegisterFault>
    where
        T: Send + 'static,
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T> + Send + 'static,
    {
        let Origin::Server(server) = self.origin.clone() else { return self.ask(nothing, work).await };
        let pulse = pulse.clone();
        self.tasks.uncancelled(async move { server.ask_long(nothing, &pulse, work).await }).await
    }
}

/// Tells work that takes long from work that stands still.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// Says that something was done.
    pub(super) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for work; `None` if nothing was done for so long.
    pub(super) async fn watch<T>(&self, patience: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let before = self.0.load(Ordering::Relaxed);
            match tokio::time::timeout(patience, work.as_mut()).await {
                Ok(done) => return Some(done),
                Err(_) if self.0.load(Ordering::Relaxed) != before => {}
                Err(_) => return None,
            }
        }
    }
}

/// The work on a store that is under way.
#[derive(Debug, Clone, Default)]
struct Tasks(TaskTracker);

impl Tasks {
    /// Runs work in a task of its own. A transaction whose future is dropped half-way can be left open
    /// by the database's driver, and the next one on its connection be lost with it.
    async fn uncancelled<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, RegisterFault>> + Send + 'static,
    ) -> Result<T, RegisterFault> {
        match self.0.spawn(work).await {
            Ok(outcome) => outcome,
            Err(error) => Err(RegisterFault::Unavailable {
                what: "the work on the store was cut off: either all of it was written or nothing".into(),
                source: error.into(),
            }),
        }
    }

    /// Waits until nothing is under way.
    async fn done(&self) {
        self.0.close();
        self.0.wait().await;
        self.0.reopen();
    }
}

/// What a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing yet.
    Blank,
    /// A store whose first so many steps were taken, and not all.
    Older(usize),
    /// A store of this version.
    Current,
}

/// What comes over the line by which processes on one store tell each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// What somebody said.
    Word(String),
    /// The line was broken: something may have been missed.
    Gap,
}

/// How a transaction ended.
pub(super) enum Outcome<T> {
    /// Written.
    Done(T),
    /// Rolled back.
    Undone(Mishap),
    /// Perhaps not written, and the connection is of no more use.
    Unclear(Mishap),
}
