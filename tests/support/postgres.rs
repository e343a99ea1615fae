//! A real PostgreSQL server: one on a socket that all tests share, a database for each; and others that a test may
//! restart, cut off or fill up.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _};
use tempfile::TempDir;

use crate::support::certificates::Certificates;
use crate::support::intake::PATIENCE;
use crate::support::process::{Process, free_port, run, wait_for};

/// The role that may do everything.
pub const OWNER: &str = "postgres";
/// Its password, where one is asked for: over TCP.
pub const PASSWORD: &str = "correct horse";

/// How transactions may be isolated where nobody says otherwise, as a server's owner decides.
pub const ISOLATIONS: [&str; 3] = ["read committed", "repeatable read", "serializable"];

/// A running server. It ends when this is dropped, or when the test program ends.
pub struct Postgres {
    process: Option<Process>,
    /// Those that were killed: with the last one of them the folder goes.
    retired: Vec<Process>,
    folder: TempDir,
    port: u16,
    certificates: Option<Certificates>,
    settings: Vec<String>,
    small_disk: Option<&'static str>,
}

/// How a server is set up.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Whether it listens on a port of loopback besides its socket.
    pub over_tcp: bool,
    /// The names in its certificate; with none, it does not encrypt.
    pub certificate: Vec<&'static str>,
    /// Further settings, `name=value`.
    pub settings: Vec<&'static str>,
    /// The size of a small disk that it sees besides.
    pub small_disk: Option<&'static str>,
}

impl Postgres {
    /// Returns the server that all tests share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&PostgresOptions::default()))
    }

    /// Makes a cluster and starts a server with it.
    pub fn start(options: &PostgresOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("intake-postgres-").tempdir().expect("a folder");
        let path = folder.path();
        let certificates =
            (!options.certificate.is_empty()).then(|| Certificates::make(path, &options.certificate, false));
        let password = path.join("password");
        std::fs::write(&password, PASSWORD).expect("written");
        give_away(path);
        run(as_server(&program("initdb"))
            .args(["--username", OWNER, "--auth-local=trust", "--auth-host=scram-sha-256"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--pwfile"])
            .arg(&password)
            .arg("--pgdata")
            .arg(path.join("data")));
        let port = free_port();
        let mut settings = vec![
            format!("port={port}"),
            format!("unix_socket_directories={}", path.display()),
            format!("listen_addresses={}", if options.over_tcp { "127.0.0.1" } else { "" }),
            // A killed test program leaves nothing in the machine's shared memory.
            "dynamic_shared_memory_type=mmap".to_owned(),
            "max_connections=300".to_owned(),
            // What is killed here is the server and not the machine.
            "fsync=off".to_owned(),
        ];
        if let Some(certificates) = &certificates {
            settings.push("ssl=on".to_owned());
            settings.push(format!("ssl_cert_file={}", certificates.server.display()));
            settings.push(format!("ssl_key_file={}", certificates.key.display()));
        }
        settings.extend(options.settings.iter().map(|setting| (*setting).to_owned()));
        let mut server = Self {
            process: None,
            retired: Vec::new(),
            folder,
            port,
            certificates,
            settings,
            small_disk: options.small_disk,
        };
        server.begin();
        server
    }

    /// Starts a server that sees a small disk besides, in memory, of a size as `mount` takes it.
    pub fn start_with_small_disk(size: &'static str) -> Self {
        Self::start(&PostgresOptions { small_disk: Some(size), ..PostgresOptions::default() })
    }

    /// Starts the server again after it was stopped or killed.
    pub fn begin(&mut self) {
        let data = self.folder.path().join("data").display().to_string();
        let program = program("postgres").display().to_string();
        let settings: Vec<String> =
            self.settings.iter().flat_map(|setting| ["-c".to_owned(), setting.clone()]).collect();
        let mut arguments: Vec<&str> = Vec::new();
        let mut starter = as_server_words(&program);
        if let Some(size) = self.small_disk {
            // Mounted for this server alone, and gone with it.
            let disk = self.folder.path().join("disk");
            std::fs::create_dir_all(&disk).expect("a folder");
            let mount = format!(
                "mount -t tmpfs -o size={size},mode=700,uid=$(id -u postgres) tmpfs {} && exec \"$@\"",
                disk.display()
            );
            let words = ["unshare", "--mount", "sh", "-c", &mount, "small-disk"];
            starter.splice(0..0, words.map(str::to_owned));
        }
        arguments.extend(starter.iter().skip(1).map(String::as_str));
        arguments.extend(["-D", &data]);
        arguments.extend(settings.iter().map(String::as_str));
        let process = Process::start_ended_by("QUIT", &starter[0], &arguments, self.folder.path());
        wait_for(&process, self.folder.path(), PATIENCE, || self.answers());
        self.process = Some(process);
    }

    /// Kills the server as a power failure would, with everybody whom it serves.
    pub fn kill(&mut self) {
        let data = self.folder.path().join("data");
        run(as_server(&program("pg_ctl")).args(["stop", "--mode=immediate", "--pgdata"]).arg(data));
        self.retired.extend(self.process.take());
    }

    fn answers(&self) -> bool {
        let socket = self.folder.path().display().to_string();
        let mut command = Command::new(program("pg_isready"));
        command.args(["--quiet", "--host", &socket, "--port", &self.port.to_string()]);
        command.status().is_ok_and(|status| status.success())
    }

    /// Makes a database.
    pub async fn database(&self) -> Database {
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        let mut connection = self.options("postgres").connect().await.expect("a connection");
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await
            .expect("a database");
        connection.close().await.expect("closed");
        Database { socket: self.folder.path().to_owned(), port: self.port, name }
    }

    /// Makes a database whose owner has transactions isolated so.
    pub async fn isolated_database(&self, isolation: &str) -> Database {
        let database = self.database().await;
        let name = database.name();
        let sql = format!("ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'");
        database.tamper(&sql).await;
        database
    }

    /// Makes a database on the small disk.
    pub async fn small_database(&self) -> Database {
        let database = self.database().await;
        let disk = self.folder.path().join("disk");
        let mut connection = self.options("postgres").connect().await.expect("a connection");
        for sql in [
            format!("CREATE TABLESPACE small LOCATION '{}'", disk.display()),
            format!("ALTER DATABASE {} SET default_tablespace = small", database.name),
        ] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("a tablespace");
        }
        connection.close().await.expect("closed");
        database
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.folder.path())
            .port(self.port)
            .username(OWNER)
            .database(database)
    }

    /// Its port, on loopback if it listens there.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the authority that vouches for it.
    pub fn authority(&self) -> &Path {
        &self.certificates.as_ref().expect("it encrypts").authority
    }
}

/// A database of a running server.
#[derive(Debug, Clone)]
pub struct Database {
    socket: PathBuf,
    port: u16,
    name: String,
}

impl Database {
    /// Its address by the server's socket, as `--state` takes it.
    pub fn url(&self) -> String {
        self.url_as(OWNER)
    }

    /// Its address for a role.
    pub fn url_as(&self, role: &str) -> String {
        format!("postgres://{role}@/{}?host={}&port={}", self.name, self.socket.display(), self.port)
    }

    /// Its address over TCP, by some port: the server's own, or that of who stands before it.
    pub fn url_by(&self, port: u16) -> String {
        format!("postgres://{OWNER}:correct%20horse@127.0.0.1:{port}/{}", self.name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens it behind the store's back.
    pub async fn raw(&self) -> PgConnection {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket)
            .port(self.port)
            .username(OWNER)
            .database(&self.name)
            .connect()
            .await
            .expect("a connection")
    }

    /// Has whoever writes a row into a table wait until the connection that is returned is told to let it go on, or
    /// is gone.
    pub async fn hold_up(&self, table: &str) -> PgConnection {
        self.tamper(&format!(
            "CREATE FUNCTION wait() RETURNS TRIGGER LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END; $$;
             CREATE TRIGGER wait BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION wait()"
        ))
        .await;
        let mut holder = self.raw().await;
        sqlx::raw_sql("SELECT pg_advisory_lock(42)").execute(&mut holder).await.expect("a lock");
        holder
    }

    /// Runs SQL behind the store's back.
    pub async fn tamper(&self, sql: &str) {
        let mut connection = self.raw().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect(sql);
        connection.close().await.expect("closed");
    }
}

/// Waits until somebody waits for who holds them up; returns their process at the server.
pub async fn whoever_waits(holder: &mut PgConnection) -> i64 {
    let waiting = "
        SELECT pid::bigint FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'intake' AND wait_event = 'advisory'";
    wait_for_row(holder, waiting).await.get(0)
}

/// Asks again and again until the answer has a row.
pub async fn wait_for_row(connection: &mut PgConnection, question: &'static str) -> PgRow {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(row) = sqlx::query(question).fetch_optional(&mut *connection).await.expect("an answer") {
            return row;
        }
        assert!(Instant::now() < deadline, "no row: {question}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Where Debian keeps a program of the newest version that is installed.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let version = |entry: &std::fs::DirEntry| -> u32 {
        entry.file_name().to_str().and_then(|name| name.parse().ok()).unwrap_or(0)
    };
    let newest = versions.map(|entry| entry.expect("a folder")).max_by_key(version).expect("a version");
    newest.path().join("bin").join(name)
}

/// The server serves nobody who is root; who is not serves as themself.
fn as_server_words(program: &str) -> Vec<String> {
    let words: &[&str] = if rustix::process::getuid().is_root() {
        &["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", program]
    } else {
        &[program]
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn as_server(program: &Path) -> Command {
    let words = as_server_words(&program.display().to_string());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env("LC_ALL", "C");
    command
}

fn give_away(folder: &Path) {
    if rustix::process::getuid().is_root() {
        run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(folder));
    }
}
