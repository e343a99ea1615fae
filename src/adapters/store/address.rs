//! Where a store is, as somebody wrote it with `--state`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::model::text::inert;
use crate::ports::register::RegisterFault;

/// Where a store is.
#[derive(Clone)]
pub enum Address {
    /// In memory, gone with the process: for tests.
    Memory,
    /// In a file, by its absolute path: a later change of the working folder changes nothing.
    File(PathBuf),
    /// In a database of a PostgreSQL server.
    Server(Box<ServerAddress>),
}

/// A database of a PostgreSQL server.
#[derive(Clone)]
pub struct ServerAddress {
    /// How to reach it. May hold a password, and is never shown.
    pub(super) options: PgConnectOptions,
    /// How many connections at once.
    pub(super) connections: u32,
    /// How long one statement may take.
    pub(super) statement_timeout: Duration,
    /// How long a replica's lease lasts that is not renewed.
    pub(super) lease: Duration,
    /// What it is called in messages: without a password.
    pub(super) name: String,
}

/// How many connections a process has at the most, unless its address says.
const CONNECTIONS: u32 = 10;

/// How long one statement may take, unless the address says. The longest reads a large customer's accounts.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a replica's lease lasts that is not renewed: who stands still for longer is done without.
const LEASE: Duration = Duration::from_secs(30);

/// What the driver understands of an address behind its `?`. Others are a mistake that would not be seen.
const KNOWN: [&str; 10] = [
    "application_name",
    "dbname",
    "host",
    "options",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

impl Address {
    /// Reads `sqlite:PATH`, `sqlite::memory:` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE?…`. The path of a file
    /// is taken as it is: `?` and `%` are ordinary characters of it. What a `postgres://` address leaves open comes
    /// from the environment (`PGHOST`, `PGPASSWORD`, …) and the password file, as for PostgreSQL's own programs.
    ///
    /// # Errors
    /// [`RegisterFault::Unavailable`] for any other text. The text itself is not repeated: it may hold a password.
    pub fn parse(url: &str) -> Result<Self, RegisterFault> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Server(Box::new(ServerAddress::parse(url)?)));
        }
        let Some(path) = url.strip_prefix("sqlite:") else {
            let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
            return Err(refused(format!(
                "`{}` is no kind of store; write `sqlite:PATH` or `postgres://HOST/DATABASE`",
                inert(scheme)
            )));
        };
        if path == ":memory:" {
            return Ok(Self::Memory);
        }
        // `sqlite:///var/lib/x` is how other tools write `sqlite:/var/lib/x`.
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(refused("it names no file; write `sqlite:PATH`".into()));
        }
        if path.contains('\0') {
            return Err(refused("a path holds no NUL character".into()));
        }
        // Absolute also because SQLite takes a relative name that begins with `file:` for a URI.
        std::path::absolute(path).map(Self::File).map_err(|error| RegisterFault::Unavailable {
            what: format!("the store `{}` cannot be found", inert(path)),
            source: error.into(),
        })
    }
}

impl ServerAddress {
    fn parse(text: &str) -> Result<Self, RegisterFault> {
        // `postgres://role@/database?host=/run/postgresql` is how PostgreSQL's own programs name a socket.
        let text = text.replacen("@/", "@localhost/", 1);
        let mut url: Url = text.parse().map_err(|error| refused(format!("it is no URL: {error}")))?;
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let mut lease = LEASE;
        let (mut connections, mut timeout, mut names_mode) = (CONNECTIONS, STATEMENT_TIMEOUT, false);
        let mut left = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in &pairs {
            match key.as_str() {
                "maxConnections" => {
                    connections = value
                        .parse()
                        .ok()
                        .filter(|count| (1..=1000).contains(count))
                        .ok_or_else(|| refused("`maxConnections` is a number from 1 to 1000".into()))?;
                }
                "statementTimeout" => timeout = seconds(key, value, 1..=3600)?,
                "lease" => lease = seconds(key, value, 2..=600)?,
                "password" => {
                    return Err(refused("the password stands before the host, or in a password file".into()));
                }
                known if KNOWN.contains(&known) => {
                    names_mode |= known == "sslmode";
                    left.append_pair(key, value);
                }
                other => {
                    let known = KNOWN.join("`, `");
                    return Err(refused(format!(
                        "`{}` is nothing that may stand behind its `?`; known are `maxConnections`, \
                         `statementTimeout`, `lease`, `{known}`",
                        inert(other)
                    )));
                }
            }
        }
        let left = left.finish();
        url.set_query(Some(left.as_str()).filter(|left| !left.is_empty()));
        let mut options: PgConnectOptions =
            url.as_str().parse().map_err(|error: sqlx::Error| refused(without(error)))?;
        if options.get_database().is_none() {
            return Err(refused("it names no database; write `postgres://HOST/DATABASE`".into()));
        }
        let is_near = options.get_socket().is_some() || is_loopback(options.get_host());
        if !names_mode && std::env::var_os("PGSSLMODE").is_none() && !is_near {
            // The register is personal data and so is the password: a network sees neither, unless somebody says so.
            options = options.ssl_mode(PgSslMode::VerifyFull);
        }
        if options.get_application_name().is_none() {
            options = options.application_name("intake");
        }
        let place = match options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let database = options.get_database().unwrap_or_default();
        let name = inert(&format!("postgres://{place}/{database}")).into_owned();
        let options = options.options([
            ("statement_timeout", format!("{}s", timeout.as_secs()).as_str()),
            // A replica that stands still holds nobody up for longer.
            ("lock_timeout", "30s"),
            // A replica that cannot be reached holds its rows no longer than its leases: others take over.
            ("idle_in_transaction_session_timeout", format!("{}ms", lease.as_millis() / 2).as_str()),
            ("client_min_messages", "warning"),
        ]);
        Ok(Self { options, connections, statement_timeout: timeout, lease, name })
    }
}

/// Reads a number of seconds, `60s`.
fn seconds(key: &str, value: &str, allowed: RangeInclusive<u64>) -> Result<Duration, RegisterFault> {
    let read = value.strip_suffix('s').and_then(|digits| digits.parse().ok());
    read.filter(|seconds| allowed.contains(seconds)).map(Duration::from_secs).ok_or_else(|| {
        let (least, most) = (allowed.start(), allowed.end());
        refused(format!("`{key}` is a number of seconds from `{least}s` to `{most}s`"))
    })
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// Returns the cause of an error of the driver, which repeats no part of the address.
fn without(error: sqlx::Error) -> String {
    match error {
        sqlx::Error::Configuration(cause) => cause.to_string(),
        _ => "the driver does not understand it".to_owned(),
    }
}

/// Says why an address is none.
fn refused(why: String) -> RegisterFault {
    RegisterFault::Unavailable { what: "the address of the store is wrong".into(), source: why.into() }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn path(url: &str) -> PathBuf {
        match Address::parse(url) {
            Ok(Address::File(path)) => path,
            _ => panic!("no file"),
        }
    }

    fn server(url: &str) -> ServerAddress {
        match Address::parse(url) {
            Ok(Address::Server(server)) => *server,
            _ => panic!("no server"),
        }
    }

    fn refusal(url: &str) -> String {
        let Err(fault) = Address::parse(url) else { panic!("an address: {url}") };
        format!("{fault}: {}", fault.source().expect("a cause"))
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        assert!(matches!(Address::parse("sqlite::memory:"), Ok(Address::Memory)));
        assert_eq!(path("sqlite:/a/b?c%20d"), PathBuf::from("/a/b?c%20d"));
        assert_eq!(path("sqlite:///a/b"), PathBuf::from("/a/b"));
        assert_eq!(path("sqlite:intake.db"), std::env::current_dir().unwrap().join("intake.db"));
    }

    #[test]
    fn a_server_that_is_far_is_encrypted_and_is_who_it_says() {
        for (url, mode) in [
            ("postgres://u:secret@db.example/intake", PgSslMode::VerifyFull),
            ("postgresql://db.example:5433/intake", PgSslMode::VerifyFull),
            ("postgres://db.example/intake?sslmode=require", PgSslMode::Require),
            ("postgres://127.0.0.1/intake", PgSslMode::Prefer),
            ("postgres://[::1]/intake", PgSslMode::Prefer),
            ("postgres:///intake?host=/run/postgresql", PgSslMode::Prefer),
            ("postgres://intake@/intake?host=/run/postgresql", PgSslMode::Prefer),
        ] {
            let server = server(url);
            assert_eq!(
                std::mem::discriminant(&server.options.get_ssl_mode()),
                std::mem::discriminant(&mode),
                "{url}"
            );
            assert!(!server.name.contains("secret"), "{}", server.name);
        }
        assert_eq!(server("postgres://u:p@db.example/intake").name, "postgres://db.example:5432/intake");
        assert_eq!(server("postgres:///i?host=/run/pg").name, "postgres:///run/pg/i");
        assert_eq!(server("postgres://h/i?maxConnections=3").connections, 3);
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_a_password() {
        for wrong in [
            "",
            "intake.db",
            "sqlite:",
            "sqlite://",
            "sqlite:a\0b",
            "mysql://u:secret@h/d",
            "postgres://u:secret@h:port/d",
            "postgres://u:secret@h/d?sslmode=secret",
            "postgres://h/d?password=secret",
            "postgres://u:secret@h/d?sslmod=disable",
            "postgres://u:secret@h/d?maxConnections=0",
            "postgres://u:secret@h/d?statementTimeout=0s",
            "postgres://u:secret@h/d?statementTimeout=5",
        ] {
            let text = refusal(wrong);
            assert!(text.starts_with("the address of the store is wrong: "), "{text}");
            assert!(!text.contains("u:secret") && !text.contains("=secret"), "{text}");
        }
    }
}
