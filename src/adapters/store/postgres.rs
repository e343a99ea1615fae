//! Writing to and reading from a store in PostgreSQL: by several connections, each transaction bounded in time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Postgres};

use crate::adapters::store::address::ServerAddress;
use crate::adapters::store::connection::{Outcome, Pulse, Standing, Told, Work};
use crate::adapters::store::fault::{Mishap, Word};
use crate::adapters::store::postgres_schema as schema;
use crate::adapters::store::sql::Connection;
use crate::ports::register::RegisterFault;

/// How long somebody waits for a connection: until others are done, or the server is there again.
const FOR_A_CONNECTION: Duration = Duration::from_secs(30);

/// By what name replicas tell each other.
const CHANNEL: &str = "intake";

/// How long until the line to other replicas is tried anew.
const AGAIN: Duration = Duration::from_secs(1);

/// Connections are renewed, so that a server that moved is found.
const LIFE: Duration = Duration::from_secs(30 * 60);

/// Begins to write. The lock is shared by all who write and taken alone by who migrates, and it is taken before the
/// schema is looked at: nobody writes by an old schema into a new one. Whoever waited for a lock has to see what was
/// written meanwhile, however the server's owner has transactions isolated.
const WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock_shared(1229870155)";

/// Begins to read: all of it from one state.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The same for work that takes as long as there is much to do: it may wait within its transaction for somebody who works
/// on another one, as where a store is copied. Here its pulse tells whether it stands still, and the server ends it where
/// this machine went silent.
const WRITE_LONG: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '1h'; \
                          SELECT pg_advisory_xact_lock_shared(1229870155)";
const READ_LONG: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                         SET LOCAL idle_in_transaction_session_timeout = '1h'";

/// A database of a server.
pub(super) struct Server {
    pool: PgPool,
    name: String,
    /// How long one transaction may take as seen from here. The server ends a statement earlier by itself; this is for
    /// a server, or a network, that went silent.
    patience: Duration,
    lease_length: Duration,
}

impl std::fmt::Debug for Server {
    /// Without the pool, whose options hold a password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Server {
    /// Makes one. Connections are opened when they are needed.
    pub(super) fn new(address: ServerAddress) -> Self {
        let ServerAddress { options, connections, statement_timeout, lease, name } = address;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(FOR_A_CONNECTION)
            .max_lifetime(LIFE)
            .connect_lazy_with(options);
        Self { pool, name, patience: statement_timeout * 2, lease_length: lease }
    }

    /// Finds out whether the server can be reached. The pool would try for as long as somebody waits, and not tell why
    /// it fails.
    pub(super) async fn reach(&self) -> Result<(), RegisterFault> {
        let options = self.pool.connect_options();
        let connected = tokio::time::timeout(FOR_A_CONNECTION, options.connect()).await;
        let connection = self.named(connected.unwrap_or_else(|_| Err(timed_out())).map_err(Mishap::from))?;
        // It was made to be closed.
        let _ = connection.close().await;
        Ok(())
    }

    /// Brings the schema up to date, and finds out that the database can be written.
    pub(super) async fn migrate(&self) -> Result<(), RegisterFault> {
        let mut connection = self.connect().await?;
        let migrated = schema::migrate(&mut connection).await;
        self.named(settle(connection, migrated.map_or_else(Outcome::Unclear, Outcome::Done)))
    }

    /// Returns how long a lease lasts that is not renewed.
    pub(super) fn lease_length(&self) -> Duration {
        self.lease_length
    }

    /// Returns what processes on this database tell each other from now on. Its connection is its own; while there is
    /// none it is opened anew again and again, and what was told meanwhile is missed.
    pub(super) fn told(&self) -> BoxStream<'static, Told> {
        let line = Line { options: self.pool.connect_options(), listener: None, was_there: false };
        stream::unfold(line, Line::next).boxed()
    }

    /// Waits until all connections are closed.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Runs work in one transaction: all of it is written, or nothing.
    pub(super) async fn write<T, W>(&self, work: W) -> Result<T, RegisterFault>
    where
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T>,
    {
        self.write_by(WRITE, &Pulse::default(), work).await
    }

    /// Answers a question from one state; `nothing` is the answer of a database without a table.
    pub(super) async fn ask<T, W>(&self, nothing: T, work: W) -> Result<T, RegisterFault>
    where
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T>,
    {
        self.ask_by(READ, nothing, &Pulse::default(), work).await
    }

    /// As [`write`](Self::write), for as long as the work's pulse beats.
    pub(super) async fn write_long<T, W>(&self, pulse: &Pulse, work: W) -> Result<T, RegisterFault>
    where
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T>,
    {
        self.write_by(WRITE_LONG, pulse, work).await
    }

    /// As [`ask`](Self::ask), for as long as the work's pulse beats.
    pub(super) async fn ask_long<T, W>(&self, nothing: T, pulse: &Pulse, work: W) -> Result<T, RegisterFault>
    where
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T>,
    {
        self.ask_by(READ_LONG, nothing, pulse, work).await
    }

    async fn write_by<T, W>(&self, begin: &'static str, pulse: &Pulse, work: W) -> Result<T, RegisterFault>
    where
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T>,
    {
        let mut connection = self.connect().await?;
        let outcome = pulse.watch(self.patience, transact(&mut connection, begin, work)).await;
        self.named(settle(connection, outcome.unwrap_or_else(|| Outcome::Unclear(silent()))))
    }

    async fn ask_by<T, W>(
        &self,
        begin: &'static str,
        nothing: T,
        pulse: &Pulse,
        work: W,
    ) -> Result<T, RegisterFault>
    where
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T>,
    {
        let mut connection = self.connect().await?;
        let outcome = pulse.watch(self.patience, answer(&mut connection, begin, nothing, work)).await;
        self.named(settle(connection, outcome.unwrap_or_else(|| Outcome::Unclear(silent()))))
    }

    async fn connect(&self) -> Result<PoolConnection<Postgres>, RegisterFault> {
        // The pool bounds the wait by itself; where it loses count of what it lent, this still ends.
        let patience = FOR_A_CONNECTION + Duration::from_secs(5);
        let connected = tokio::time::timeout(patience, self.pool.acquire()).await;
        match connected.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(connection) => Ok(connection),
            Err(sqlx::Error::PoolTimedOut) => {
                self.reach().await?;
                Err(Mishap::from(sqlx::Error::PoolTimedOut).at(&self.name))
            }
            Err(error) => Err(Mishap::from(error).at(&self.name)),
        }
    }

    fn named<T>(&self, outcome: Result<T, Mishap>) -> Result<T, RegisterFault> {
        outcome.map_err(|mishap| mishap.at(&self.name))
    }
}

/// The line by which replicas tell each other.
struct Line {
    options: Arc<PgConnectOptions>,
    listener: Option<PgListener>,
    was_there: bool,
}

impl Line {
    /// Waits for what is told next.
    async fn next(mut self) -> Option<(Told, Self)> {
        loop {
            let Some(listener) = &mut self.listener else {
                self.listener = self.open().await;
                if self.listener.is_none() {
                    tokio::time::sleep(AGAIN).await;
                } else if std::mem::replace(&mut self.was_there, true) {
                    return Some((Told::Gap, self));
                }
                continue;
            };
            match listener.try_recv().await {
                Ok(Some(told)) => return Some((Told::Word(told.payload().to_owned()), self)),
                Ok(None) | Err(_) => self.listener = None,
            }
        }
    }

    async fn open(&self) -> Option<PgListener> {
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with((*self.options).clone());
        let mut listener = PgListener::connect_with(&pool).await.ok()?;
        listener.listen(CHANNEL).await.ok()?;
        Some(listener)
    }
}

/// Gives a connection back, unless nobody knows in which state it is: then it is closed, and the server rolls back.
fn settle<T>(connection: PoolConnection<Postgres>, outcome: Outcome<T>) -> Result<T, Mishap> {
    match outcome {
        Outcome::Done(value) => Ok(value),
        Outcome::Undone(mishap) => Err(mishap),
        Outcome::Unclear(mishap) => {
            drop(connection.detach());
            Err(mishap)
        }
    }
}

fn timed_out() -> sqlx::Error {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

fn silent() -> Mishap {
    Mishap::Said(Word::Silent)
}

async fn transact<T, W>(connection: &mut PgConnection, begin: &'static str, work: W) -> Outcome<T>
where
    W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T>,
{
    let mut transaction = match connection.begin_with(begin).await {
        Ok(transaction) => transaction,
        Err(error) => return Outcome::Unclear(error.into()),
    };
    let worked = match schema::version(&mut transaction).await {
        Ok(Some(Standing::Current)) => work(&mut Connection::Postgres(&mut transaction)).await,
        Ok(Some(Standing::Older(_))) => Err(Mishap::Older),
        Ok(_) => Err(Mishap::Strange("its tables are gone".into())),
        Err(mishap) => Err(mishap),
    };
    match worked {
        Ok(value) => match transaction.commit().await {
            Ok(()) => Outcome::Done(value),
            // The server answered, and says no; or nobody knows what became of it.
            Err(error) if error.as_database_error().is_some() => Outcome::Unclear(error.into()),
            Err(_) => Outcome::Unclear(Mishap::Said(Word::CommitUnanswered)),
        },
        Err(mishap) => match transaction.rollback().await {
            Ok(()) => Outcome::Undone(mishap),
            Err(_) => Outcome::Unclear(mishap),
        },
    }
}

async fn answer<T, W>(connection: &mut PgConnection, begin: &'static str, nothing: T, work: W) -> Outcome<T>
where
    W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T>,
{
    let mut transaction = match connection.begin_with(begin).await {
        Ok(transaction) => transaction,
        Err(error) => return Outcome::Unclear(error.into()),
    };
    let answer = match schema::version(&mut transaction).await {
        Ok(Some(Standing::Current)) => work(&mut Connection::Postgres(&mut transaction)).await,
        Ok(Some(Standing::Older(_))) => Err(Mishap::Older),
        Ok(Some(Standing::Blank)) => Ok(nothing),
        Ok(None) => {
            // The transaction cannot go on after a table that is not there.
            if let Err(error) = transaction.rollback().await {
                return Outcome::Unclear(error.into());
            }
            return match schema::look(connection).await {
                Ok(_) => Outcome::Done(nothing),
                Err(mishap) => Outcome::Unclear(mishap),
            };
        }
        Err(mishap) => Err(mishap),
    };
    match (transaction.rollback().await, answer) {
        (Ok(()), Ok(answer)) => Outcome::Done(answer),
        (Ok(()), Err(mishap)) => Outcome::Undone(mishap),
        (Err(error), Ok(_)) => Outcome::Unclear(error.into()),
        (Err(_), Err(mishap)) => Outcome::Unclear(mishap),
    }
}
