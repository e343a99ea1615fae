//! What goes wrong in a store, sorted by what a person can do about it.

use std::io::ErrorKind;

use sqlx::postgres::PgDatabaseError;

use crate::model::text::Text;
use crate::ports::register::RegisterFault;

/// What went wrong inside one question or one transaction, before it is known which store it was.
#[derive(Debug)]
pub(super) enum Mishap {
    /// The database said so.
    Database(sqlx::Error),
    /// The database is none of Intake's, for this reason.
    Foreign(&'static str),
    /// A row holds what Intake never writes.
    Strange(String),
    /// What is known without the database's word.
    Said(Word),
    /// A copy into the database was given up, for this reason.
    NotCopied(String),
    /// The database's schema is of a later version.
    Newer,
    /// The database's schema is of an earlier version, and this connection may only read.
    Older,
    /// Another replica does the customer's turns.
    LeaseLost {
        /// The customer.
        customer: Text,
    },
    /// What was decided from was another thing by the time it was to be written.
    Overtaken {
        /// The customer.
        customer: Text,
    },
    /// More removals began over all customers than the operator allows.
    NoRoom {
        /// Whose were the last.
        customer: Text,
    },
    /// The customer's revision is another one.
    Stale {
        /// The customer.
        customer: Text,
        /// The revision that the plan was computed from.
        expected: u64,
        /// The revision found.
        found: u64,
    },
}

/// What is known without the database's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// A server does not answer any more.
    Silent,
    /// A server did not say whether it wrote.
    CommitUnanswered,
}

impl From<sqlx::Error> for Mishap {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl Mishap {
    /// Tells what happened to a store that is called `store`.
    pub(super) fn at(self, store: &str) -> RegisterFault {
        match self {
            Self::Foreign(why) => foreign(store, why),
            Self::Strange(what) => RegisterFault::Damaged { what: format!("`{store}`: {what}") },
            Self::Newer => RegisterFault::Newer,
            Self::NotCopied(why) => RegisterFault::Unavailable {
                what: format!("nothing was copied into the store `{store}`"),
                source: why.into(),
            },
            Self::Said(Word::Silent) => RegisterFault::Unavailable {
                what: format!("the store `{store}` did not answer in time"),
                source: "the connection was given up; nothing was written".into(),
            },
            Self::Said(Word::CommitUnanswered) => RegisterFault::Unavailable {
                what: format!("the connection to the store `{store}` was lost at the end of a transaction"),
                source: "either all of it was written or nothing; the next turn finds out".into(),
            },
            Self::Older => RegisterFault::Unavailable {
                what: format!("the store `{store}` was written by an older version of Intake"),
                source: "`intake apply` or `intake run` brings it up to date".into(),
            },
            Self::LeaseLost { customer } => RegisterFault::LeaseLost { customer },
            Self::NoRoom { customer } => RegisterFault::NoRoom { customer },
            Self::Overtaken { customer } => RegisterFault::Overtaken { customer },
            Self::Stale { customer, expected, found } => RegisterFault::Stale { customer, expected, found },
            Self::Database(error) => of_database(error, store),
        }
    }

    /// Whether a database that may be read cannot be, because the files beside it cannot be
    /// written.
    pub(super) fn needs_writing(&self) -> bool {
        matches!(self, Self::Database(error) if matches!(result_code(error), Some(CANTOPEN | READONLY)))
    }

    /// Returns what is wrong with a row, if that is it: everything else may be read all the same.
    pub(super) fn of_row(self) -> Result<String, Self> {
        match self {
            Self::Strange(what) => Ok(what),
            Self::Database(error @ (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))) => {
                Ok(error.to_string())
            }
            other => Err(other),
        }
    }

    /// Whether somebody else holds the database.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Database(error) if matches!(result_code(error), Some(BUSY | LOCKED)))
    }
}

// Result codes of SQLite: https://www.sqlite.org/rescode.html
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const CONSTRAINT: u32 = 19;
const NOTADB: u32 = 26;

/// PostgreSQL's state of a question about a table that is not there.
pub(super) const UNDEFINED_TABLE: &str = "42P01";

/// Returns PostgreSQL's state, if the error is a word of such a server.
pub(super) fn state_of(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    Some(error.code().to_owned())
}

/// Returns SQLite's primary result code: the low byte of the extended one.
fn result_code(error: &sqlx::Error) -> Option<u32> {
    if state_of(error).is_some() {
        return None;
    }
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Says what a state of PostgreSQL means: <https://www.postgresql.org/docs/current/errcodes-appendix.html>. `None` for
/// one that says that the store is damaged.
fn meaning(state: &str, store: &str) -> Option<String> {
    let untouched = "nothing was written";
    Some(match state {
        "25006" => format!("the store `{store}` is read-only: {untouched}"),
        "42501" => format!("the role has no permission in the store `{store}`: {untouched}"),
        "28000" | "28P01" => format!("the store `{store}` refused the role or its password"),
        "3D000" => format!("the store `{store}` does not exist; make the database first"),
        "53100" => format!("no space is left for the store `{store}`: {untouched}; free some and try again"),
        "53200" => format!("the server of the store `{store}` has no memory left: {untouched}; try again"),
        "53300" => format!(
            "the server of the store `{store}` takes no more connections; allow it more, or each replica fewer \
             (`maxConnections` in the address)"
        ),
        "40001" | "40P01" | "55P03" => {
            format!("others write to the store `{store}` at the same time: {untouched}; try again")
        }
        "57014" => format!("the store `{store}` took too long over a statement: {untouched}"),
        "25P03" => format!("the store `{store}` waited too long for this process: {untouched}; try again"),
        "57P01" | "57P02" | "57P03" => {
            format!("the server of the store `{store}` is stopping or starting: {untouched}; try again")
        }
        UNDEFINED_TABLE | "42703" | "42883" | "XX001" | "XX002" => return None,
        state if state.starts_with("23") => format!("the store `{store}` refused the rows: {untouched}"),
        state if state.starts_with("58") => {
            format!("the disk refused to read or write the store `{store}`: {untouched}; check the disk")
        }
        _ => format!("the store `{store}` failed"),
    })
}

/// Sorts an error that is no word of a database: of the way to a server.
fn on_the_way(error: &sqlx::Error, store: &str) -> Option<String> {
    Some(match error {
        // So the driver tells of a certificate that nobody vouches for.
        sqlx::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            format!("no encrypted connection to the store `{store}` can be made")
        }
        sqlx::Error::Io(_) => format!("the store `{store}` cannot be reached"),
        sqlx::Error::Tls(_) => format!("no encrypted connection to the store `{store}` can be made"),
        sqlx::Error::Configuration(_) => format!("the address of the store `{store}` is wrong"),
        sqlx::Error::Protocol(_) => {
            format!("whoever answers for the store `{store}` does not speak as PostgreSQL does")
        }
        sqlx::Error::PoolTimedOut => format!("no connection to the store `{store}` came free in time"),
        sqlx::Error::PoolClosed => format!("the store `{store}` was closed already"),
        _ => return None,
    })
}

/// Sorts an error of the database.
fn of_database(error: sqlx::Error, store: &str) -> RegisterFault {
    if let Some(state) = state_of(&error) {
        return match meaning(&state, store) {
            Some(what) => RegisterFault::Unavailable { what, source: in_its_words(error) },
            None => RegisterFault::Damaged { what: format!("`{store}`: {error}") },
        };
    }
    if let Some(what) = on_the_way(&error, store) {
        return RegisterFault::Unavailable { what, source: in_its_words(error) };
    }
    let what = match result_code(&error) {
        Some(BUSY | LOCKED) => {
            format!("the store `{store}` is locked by another process: nothing was written; try again")
        }
        Some(READONLY) => format!("the store `{store}` is read-only: nothing was written"),
        Some(FULL) => {
            format!("no space is left for the store `{store}`: nothing was written; free some and try again")
        }
        Some(IOERR) => {
            format!(
                "the disk refused to read or write the store `{store}`: nothing was written; check the disk"
            )
        }
        Some(CANTOPEN) => {
            format!("the store `{store}` cannot be opened: its folder must be readable and writable")
        }
        Some(CONSTRAINT) => format!("the store `{store}` refused the rows: nothing was written"),
        Some(NOTADB) => {
            return foreign(store, "it is no SQLite database, or its beginning was overwritten");
        }
        Some(CORRUPT) => return RegisterFault::Damaged { what: format!("`{store}`: {error}") },
        _ => match &error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                return RegisterFault::Damaged { what: format!("`{store}`: {error}") };
            }
            _ => format!("the store `{store}` failed"),
        },
    };
    RegisterFault::Unavailable { what, source: in_its_words(error) }
}

/// Returns what lies beneath: around it the driver puts other words, and the same once more.
fn in_its_words(error: sqlx::Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        sqlx::Error::Database(error) => error.into_error(),
        sqlx::Error::Io(error) => error.into(),
        sqlx::Error::Tls(error) | sqlx::Error::Configuration(error) => error,
        other => other.into(),
    }
}

/// Says that a file is no store. It is not taken for a damaged one: more likely the address is wrong,
/// and a backup put in this place would destroy what somebody else needs.
fn foreign(store: &str, why: &'static str) -> RegisterFault {
    RegisterFault::Unavailable { what: format!("`{store}` is no store of Intake"), source: why.into() }
}
