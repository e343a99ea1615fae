//! The file of a store in SQLite: made whole or not at all, known by what it is and not by its path, and read from one
//! state.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use crate::adapters::store::connection::{Standing, Work};
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::Connection;
use crate::adapters::store::sqlite_schema as schema;
use crate::model::text::inert;
use crate::ports::register::RegisterFault;

/// How long a writer waits for another process that writes: a transaction takes milliseconds, a
/// first import of a very large customer some seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many connections wait for the next question: each is a thread.
const KEPT: usize = 8;

/// A connection, and the file that it was opened on.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) connection: SqliteConnection,
    pub(super) identity: Option<Identity>,
}

/// Closes connections. What fails is done by the next opener: the log is complete on the disk already.
pub(super) async fn close_all(open: impl IntoIterator<Item = Live>) {
    for live in open {
        let _ = live.connection.close().await;
    }
}

/// A file that holds a store, or will.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    pub(super) path: PathBuf,
    /// Connections that answered and wait for the next question; none where each is closed after its answer.
    kept: Mutex<Option<Vec<Live>>>,
}

impl DatabaseFile {
    /// A file that is opened for every question and closed after the answer: SQLite takes its side files away, and
    /// a plan leaves no trace.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, kept: Mutex::new(None) }
    }

    /// A file that somebody writes anyway: connections are kept for the next question.
    pub(super) fn kept_open(path: PathBuf) -> Self {
        Self { path, kept: Mutex::new(Some(Vec::new())) }
    }

    /// Keeps no connection from now on; returns those that were kept.
    pub(super) fn stop_keeping(&self) -> Vec<Live> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// Takes a connection that was kept, if the file is still the one that it was opened on.
    fn take_kept(&self, identity: Option<Identity>) -> Option<SqliteConnection> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_mut()?;
        // What was opened on another file answers from what nobody sees any more.
        kept.retain(|live| live.identity == identity);
        kept.pop().map(|live| live.connection)
    }

    /// Keeps a connection; gives it back where enough are, or none is to be kept.
    fn keep(&self, live: Live) -> Option<Live> {
        match &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(kept) if kept.len() < KEPT => {
                kept.push(live);
                None
            }
            _ => Some(live),
        }
    }

    /// What the file is called in messages.
    pub(super) fn name(&self) -> String {
        inert(&self.path.to_string_lossy()).into_owned()
    }

    /// Whether there is a file.
    pub(super) fn exists(&self) -> Result<bool, RegisterFault> {
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => Err(self.unavailable(io::ErrorKind::IsADirectory.into())),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.unavailable(error)),
        }
    }

    /// Makes the store if there is no file: whole, beside its place, and put there in one step. So
    /// whoever is killed in the middle leaves no store instead of half of one, and a file without a
    /// byte is one that somebody emptied: an empty register in its place would lose everybody who
    /// was imported.
    pub(super) async fn make(&self) -> Result<(), RegisterFault> {
        if self.exists()? {
            if self.is_empty() {
                let what = format!("`{}` is empty: delete it if a new store is meant", self.name());
                return Err(RegisterFault::Damaged { what });
            }
            return Ok(());
        }
        let draft = self.create_draft()?;
        let filled = async {
            let connection =
                connect(options(&draft), true).await.map_err(|mishap| mishap.at(&self.name()))?;
            // Folds the write-ahead log in: what is linked below is all of it.
            connection.close().await.map_err(|error| Mishap::from(error).at(&self.name()))?;
            match fs::hard_link(&draft, &self.path) {
                // Another process was faster, and its store is as good.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked.map_err(|error| self.unavailable(error)),
            }
        };
        let filled = filled.await;
        let _ = fs::remove_file(&draft);
        filled
    }

    /// Whether there is a file without a byte in it.
    fn is_empty(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == 0)
    }

    /// Whether the folder is there that the file is in, or would be.
    fn has_folder(&self) -> bool {
        self.path.parent().is_none_or(Path::is_dir)
    }

    /// Makes the file that becomes the store. It will hold personal data: before the first byte is
    /// written it is closed to everybody but its owner, and SQLite gives its side files the same mode.
    fn create_draft(&self) -> Result<PathBuf, RegisterFault> {
        if !self.has_folder() {
            return Err(RegisterFault::Unavailable {
                what: format!("the store `{}` cannot be made", self.name()),
                source: "its folder does not exist; make the folder first".into(),
            });
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let draft = self.path.with_file_name(format!(".{name}.{}.new", uuid::Uuid::new_v4()));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&draft).map_err(|error| self.unavailable(error))?;
        Ok(draft)
    }

    pub(super) fn unavailable(&self, error: io::Error) -> RegisterFault {
        RegisterFault::Unavailable {
            what: format!("the store `{}` cannot be opened", self.name()),
            source: error.into(),
        }
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            fs::metadata(&self.path).ok().map(|metadata| Identity(metadata.dev(), metadata.ino()))
        }
        #[cfg(not(unix))]
        None
    }

    pub(super) async fn ask<T, W>(&self, nothing: T, work: W) -> Result<T, RegisterFault>
    where
        W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T>,
    {
        if !self.exists()? {
            if !self.has_folder() {
                return Err(RegisterFault::Unavailable {
                    what: format!("the store `{}` cannot be opened", self.name()),
                    source: "its folder does not exist".into(),
                });
            }
            return Ok(nothing);
        }
        let identity = self.identity();
        let mut connection = match self.take_kept(identity) {
            Some(connection) => connection,
            None => self.connect_reading().await.map_err(|mishap| mishap.at(&self.name()))?,
        };
        let answer = answer(&mut connection, nothing, work).await;
        let live = Live { connection, identity };
        let done_with = if answer.is_ok() { self.keep(live) } else { Some(live) };
        // Closing after the answer: what fails now changes nothing about it.
        close_all(done_with).await;
        answer.map_err(|mishap| mishap.at(&self.name()))
    }

    /// Opens a connection that cannot write. Beside a write-ahead log also a reader needs files
    /// that it writes; where it may not (a backup on a read-only disk) and no log is left, nobody
    /// writes, and the file is read as it lies.
    async fn connect_reading(&self) -> Result<SqliteConnection, Mishap> {
        let reading = options(&self.path).pragma("query_only", "ON");
        match connect_looking(&reading).await {
            Err(mishap) if mishap.needs_writing() && !self.has_log() => {
                connect_looking(&reading.read_only(true).immutable(true)).await
            }
            connected => connected,
        }
    }

    /// Whether a write-ahead log with something in it lies beside the file.
    fn has_log(&self) -> bool {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        fs::metadata(log).is_ok_and(|metadata| metadata.len() > 0)
    }
}

/// Which file it is, whatever its path: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

/// Answers a question within one transaction, so that all of it is read from one state.
async fn answer<T, W>(connection: &mut SqliteConnection, nothing: T, work: W) -> Result<T, Mishap>
where
    W: for<'c, 't> FnOnce(&'c mut Connection<'t>) -> Work<'c, T>,
{
    let mut transaction = connection.begin().await?;
    let answer = match schema::examine(&mut transaction).await? {
        Standing::Blank => nothing,
        Standing::Older(_) => return Err(Mishap::Older),
        Standing::Current => work(&mut Connection::Sqlite(&mut transaction)).await?,
    };
    transaction.rollback().await?;
    Ok(answer)
}

/// How every connection is set. `synchronous=FULL`: what was committed survives a power failure.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
        .synchronous(SqliteSynchronous::Full)
        .row_buffer_size(1024)
        .disable_statement_logging()
}

/// Opens a connection, and looks whether anything can be read by it.
async fn connect_looking(options: &SqliteConnectOptions) -> Result<SqliteConnection, Mishap> {
    let mut connection = options.connect().await?;
    match schema::look(&mut connection).await {
        Ok(_) => Ok(connection),
        Err(mishap) => {
            // Says nothing more than what was found out already.
            let _ = connection.close().await;
            Err(mishap)
        }
    }
}

/// Opens a connection that writes, on a database that is ours or still blank.
pub(super) async fn connect(options: SqliteConnectOptions, fresh: bool) -> Result<SqliteConnection, Mishap> {
    let mut connection = options.connect().await?;
    // Before anything is set: another program's database stays as it is.
    if schema::look(&mut connection).await? == Standing::Blank && !fresh {
        return Err(Mishap::Strange("its tables are gone".into()));
    }
    let mut tries = 0;
    loop {
        // SQLite does not wait here while another process does the same.
        match sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut connection).await.map_err(Mishap::from)
        {
            Err(mishap) if mishap.is_busy() && tries < 100 => tries += 1,
            Err(mishap) => return Err(mishap),
            Ok(_) => break,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    schema::migrate(&mut connection).await?;
    Ok(connection)
}
