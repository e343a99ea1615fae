//! What goes wrong in a store, sorted by what a person can do about it.

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
    /// The database's schema is of a later version.
    Newer,
    /// The database's schema is of an earlier version, and this connection may only read.
    Older,
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
            Self::Older => RegisterFault::Unavailable {
                what: format!("the store `{store}` was written by an older version of Intake"),
                source: "`intake apply` or `intake run` brings it up to date".into(),
            },
            Self::Stale { customer, expected, found } => RegisterFault::Stale { customer, expected, found },
            Self::Database(error) => of_database(error, store),
        }
    }

    /// Whether a database that may be read cannot be, because the files beside it cannot be
    /// written.
    pub(super) fn needs_writing(&self) -> bool {
        matches!(self, Self::Database(error) if matches!(result_code(error), Some(CANTOPEN | READONLY)))
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

/// Returns SQLite's primary result code: the low byte of the extended one.
fn result_code(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Sorts an error of the database.
fn of_database(error: sqlx::Error, store: &str) -> RegisterFault {
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
    let source = match error {
        // The database's own words: around them the driver puts others, and the same once more.
        sqlx::Error::Database(error) => error.into_error(),
        other => other.into(),
    };
    RegisterFault::Unavailable { what, source }
}

/// Says that a file is no store. It is not taken for a damaged one: more likely the address is wrong,
/// and a backup put in this place would destroy what somebody else needs.
fn foreign(store: &str, why: &'static str) -> RegisterFault {
    RegisterFault::Unavailable { what: format!("`{store}` is no store of Intake"), source: why.into() }
}
