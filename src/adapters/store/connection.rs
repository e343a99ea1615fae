//! Opening a store, and the only two ways to it: a question, which writes nothing, and a
//! transaction in a task that nobody can cancel.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use crate::adapters::store::address::Address;
use crate::adapters::store::fault::Mishap;
use crate::adapters::store::schema::{self, Standing};
use crate::model::text::inert;
use crate::ports::register::RegisterFault;

/// How long a writer waits for another process that writes: a transaction takes milliseconds, a
/// first import of a very large customer some seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A register in SQLite: may be asked and written.
///
/// One connection writes, in transactions that run in a task of their own: a caller that goes away
/// in the middle leaves either everything or nothing. Other processes may use the same file.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Arc<Writer>,
    reader: StoreReader,
    tasks: Tasks,
}

/// A register in SQLite that may only be asked; a file that is not there is an empty register.
#[derive(Debug, Clone)]
pub struct StoreReader {
    origin: Origin,
    tasks: Tasks,
}

/// Where a reader gets its answers.
#[derive(Debug, Clone)]
enum Origin {
    /// Nowhere: an empty register.
    Nothing,
    /// From a file, by a connection of its own for every question. It is closed after the answer,
    /// and SQLite takes its side files away: a plan leaves no trace.
    File(Arc<DatabaseFile>),
    /// From the connection that writes: what is in memory has no other.
    Writer(Arc<Writer>),
}

/// What runs within one transaction.
pub(super) type Work<'c, T> = BoxFuture<'c, Result<T, Mishap>>;

impl Store {
    /// Opens the store of an address, `sqlite:PATH` or `sqlite::memory:`; makes the file, readable
    /// for its owner alone, if it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// [`RegisterFault::Newer`] for a store of a later version, [`RegisterFault::Damaged`] for one
    /// that somebody emptied, [`RegisterFault::Unavailable`] for a file that is no store, or cannot
    /// be opened or written. All of them are left as they are.
    pub async fn open(url: &str) -> Result<Self, RegisterFault> {
        let place = match Address::parse(url)? {
            Address::Memory => Place::Memory,
            Address::File(path) => Place::File(Arc::new(DatabaseFile::new(path))),
        };
        let origin = match &place {
            Place::Memory => None,
            Place::File(file) => Some(Origin::File(Arc::clone(file))),
        };
        let writer = Arc::new(Writer { place, slot: Mutex::new(None) });
        let opened = Arc::clone(&writer);
        let tasks = Tasks::default();
        tasks
            .uncancelled(async move {
                let mut slot = opened.slot.lock().await;
                if let Place::File(file) = &opened.place {
                    file.make().await?;
                }
                *slot = Some(opened.connect(true).await?);
                Ok(())
            })
            .await?;
        let origin = origin.unwrap_or_else(|| Origin::Writer(Arc::clone(&writer)));
        Ok(Self { writer, reader: StoreReader { origin, tasks: tasks.clone() }, tasks })
    }

    /// Opens the store of an address for reading: makes no file and migrates nothing. A file that
    /// is missing or blank is an empty register; a folder that is missing is a mistyped address.
    ///
    /// # Errors
    /// As [`Store::open`]; a store of an earlier version is [`RegisterFault::Unavailable`].
    pub async fn open_reading(url: &str) -> Result<StoreReader, RegisterFault> {
        let origin = match Address::parse(url)? {
            Address::Memory => Origin::Nothing,
            Address::File(path) => Origin::File(Arc::new(DatabaseFile::new(path))),
        };
        let reader = StoreReader { origin, tasks: Tasks::default() };
        // Asks nothing: finds out whether the file can be read at all.
        reader.ask((), |_| Box::pin(async { Ok(()) })).await?;
        Ok(reader)
    }

    /// Waits for the work that is under way, also for what nobody waits for any more, and closes the
    /// connection that writes, which folds SQLite's write-ahead log into the file. A later write opens
    /// the store again. Dropping the last clone of a store closes the connection as well.
    pub async fn close(&self) {
        // The log stays for as long as a question is being answered from it.
        self.tasks.done().await;
        let live = self.writer.slot.lock().await.take();
        if let (Some(live), Place::File(_)) = (live, &self.writer.place) {
            // The log is complete on the disk already; what fails here is done by the next opener.
            let _ = live.connection.close().await;
        }
    }

    /// Runs work in one transaction: all of it is written, or nothing.
    pub(super) async fn write<T, W>(&self, work: W) -> Result<T, RegisterFault>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    {
        let writer = Arc::clone(&self.writer);
        self.tasks.uncancelled(async move { writer.write(work).await }).await
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
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    {
        match self.origin.clone() {
            Origin::Nothing => Ok(nothing),
            Origin::Writer(writer) => self.tasks.uncancelled(async move { writer.write(work).await }).await,
            Origin::File(file) => self.tasks.uncancelled(async move { file.ask(nothing, work).await }).await,
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

/// Where a store is written.
#[derive(Debug)]
enum Place {
    Memory,
    File(Arc<DatabaseFile>),
}

/// The one connection that writes.
#[derive(Debug)]
struct Writer {
    place: Place,
    slot: Mutex<Option<Live>>,
}

/// A connection, and the file that it was opened on.
#[derive(Debug)]
struct Live {
    connection: SqliteConnection,
    identity: Option<Identity>,
}

impl Drop for Writer {
    /// Waits until the write-ahead log is folded into the file: whoever copies the file after the
    /// program has ended copies all of it. Left to itself, the driver would close the database in a
    /// thread that ends with the program, folded or not.
    fn drop(&mut self) {
        let (Place::File(_), Some(live)) = (&self.place, self.slot.get_mut().take()) else {
            return;
        };
        // In a thread, as this one may be driving other work already, and that cannot be nested.
        let closing = std::thread::Builder::new().spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() {
                // What fails is done by the next opener.
                let _ = runtime.block_on(live.connection.close());
            }
        });
        let _ = closing.map(std::thread::JoinHandle::join);
    }
}

impl Writer {
    /// What the store is called in messages.
    fn name(&self) -> String {
        match &self.place {
            Place::Memory => ":memory:".into(),
            Place::File(file) => file.name(),
        }
    }

    async fn write<T, W>(&self, work: W) -> Result<T, RegisterFault>
    where
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T>,
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
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T>,
    {
        // Takes the write lock at once: a transaction that first reads and then finds that another
        // process wrote meanwhile could not go on.
        let mut transaction = match connection.begin_with("BEGIN IMMEDIATE").await {
            Ok(transaction) => transaction,
            Err(error) => return Outcome::Unclear(error.into()),
        };
        // A newer Intake may have migrated the file under a process that runs for weeks.
        let worked = match schema::examine(&mut transaction).await {
            Ok(Standing::Current) => work(&mut transaction).await,
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
        match &self.place {
            Place::Memory => None,
            Place::File(file) => file.identity(),
        }
    }

    /// Opens the connection. A `fresh` one may find a blank database; later a store that has become
    /// blank was lost, and is not made anew behind the back of whoever relies on it.
    async fn connect(&self, fresh: bool) -> Result<Live, RegisterFault> {
        if let Place::File(file) = &self.place
            && !fresh
            && !file.exists()?
        {
            return Err(file.unavailable(io::ErrorKind::NotFound.into()));
        }
        let options = match &self.place {
            Place::Memory => options(Path::new(":memory:")).in_memory(true),
            Place::File(file) => options(&file.path),
        };
        let identity = self.identity();
        let connection = connect(options, fresh).await.map_err(|mishap| mishap.at(&self.name()))?;
        Ok(Live { connection, identity })
    }
}

/// How a transaction ended.
enum Outcome<T> {
    /// Written.
    Done(T),
    /// Rolled back.
    Undone(Mishap),
    /// Not written, and the connection is of no more use.
    Unclear(Mishap),
}

/// A file that holds a store, or will.
#[derive(Debug)]
struct DatabaseFile {
    path: PathBuf,
}

impl DatabaseFile {
    fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What the file is called in messages.
    fn name(&self) -> String {
        inert(&self.path.to_string_lossy()).into_owned()
    }

    /// Whether there is a file.
    fn exists(&self) -> Result<bool, RegisterFault> {
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
    async fn make(&self) -> Result<(), RegisterFault> {
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

    fn unavailable(&self, error: io::Error) -> RegisterFault {
        RegisterFault::Unavailable {
            what: format!("the store `{}` cannot be opened", self.name()),
            source: error.into(),
        }
    }

    fn identity(&self) -> Option<Identity> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            fs::metadata(&self.path).ok().map(|metadata| Identity(metadata.dev(), metadata.ino()))
        }
        #[cfg(not(unix))]
        None
    }

    async fn ask<T, W>(&self, nothing: T, work: W) -> Result<T, RegisterFault>
    where
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T>,
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
        let mut connection = self.connect_reading().await.map_err(|mishap| mishap.at(&self.name()))?;
        let answer = answer(&mut connection, nothing, work).await;
        // Closing after the answer: what fails now changes nothing about it.
        let _ = connection.close().await;
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
struct Identity(u64, u64);

/// Answers a question within one transaction, so that all of it is read from one state.
async fn answer<T, W>(connection: &mut SqliteConnection, nothing: T, work: W) -> Result<T, Mishap>
where
    W: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T>,
{
    let mut transaction = connection.begin().await?;
    let answer = match schema::examine(&mut transaction).await? {
        Standing::Blank => nothing,
        Standing::Older(_) => return Err(Mishap::Older),
        Standing::Current => work(&mut transaction).await?,
    };
    transaction.rollback().await?;
    Ok(answer)
}

/// How every connection is set. `synchronous=FULL`: what was committed survives a power failure.
fn options(path: &Path) -> SqliteConnectOptions {
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
async fn connect(options: SqliteConnectOptions, fresh: bool) -> Result<SqliteConnection, Mishap> {
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
