//! One SQL text over two databases: statements, values and rows that look the same for both.
//!
//! `sqlx` can bind and read the same types with either driver, and has one type for each that cannot be named
//! together. Its own driver for any database knows only what both have, and so neither times out nor encrypts as a
//! connection to PostgreSQL has to.

use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{PgConnection, Postgres, Row as _, Sqlite, SqliteConnection};

/// The connection of one transaction.
pub(super) enum Connection<'t> {
    /// To a file.
    Sqlite(&'t mut SqliteConnection),
    /// To a server.
    Postgres(&'t mut PgConnection),
}

/// A statement: one text for both databases, or one for each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement {
    sqlite: &'static str,
    postgres: &'static str,
}

/// Makes a statement of two texts that mean the same.
pub(super) const fn either(sqlite: &'static str, postgres: &'static str) -> Statement {
    Statement { sqlite, postgres }
}

impl From<&'static str> for Statement {
    fn from(text: &'static str) -> Self {
        either(text, text)
    }
}

/// How many rows one statement writes. PostgreSQL takes 65,535 values a statement and SQLite 32,766; more rows are
/// hardly any faster.
const TOGETHER: usize = 64;

/// A statement that writes rows: one of them, or many at once.
pub(super) struct Insert {
    columns: usize,
    one: Statement,
    many: Statement,
}

/// An [`Insert`] that is made when it is first used.
pub(super) type LazyInsert = LazyLock<Insert>;

impl Insert {
    /// Makes it of the text before `VALUES`, whose columns are counted, and of the text after the values. If that
    /// updates rows that are there, all rows that are pushed have to be different ones: PostgreSQL changes none twice in
    /// one statement.
    pub(super) fn new(into: &str, rest: &str) -> Self {
        let columns = into.matches(',').count() + 1;
        let row = |number: usize| {
            let places: Vec<_> =
                (1..=columns).map(|place| format!("${}", number * columns + place)).collect();
            format!("({})", places.join(", "))
        };
        // Made once, and needed until the end: as good as a constant.
        let statement = |rows: usize| {
            let rows: Vec<_> = (0..rows).map(row).collect();
            Statement::from(&*format!("INSERT INTO {into} VALUES {} {rest}", rows.join(", ")).leak())
        };
        Self { columns, one: statement(1), many: statement(TOGETHER) }
    }

    /// Begins to write rows.
    pub(super) fn rows<'q>(&'static self) -> Rows<'q> {
        Rows { insert: self, waiting: Vec::new() }
    }
}

/// Rows that are written in their order: many by one statement, and the last ones each by its own, so that no connection
/// has to keep more than two statements prepared.
#[must_use = "the last rows are written at the end"]
pub(super) struct Rows<'q> {
    insert: &'static Insert,
    waiting: Vec<Value<'q>>,
}

impl<'q> Rows<'q> {
    /// Writes one with a value for each column, now or later.
    pub(super) async fn push<const COLUMNS: usize>(
        &mut self,
        values: [Value<'q>; COLUMNS],
        connection: &mut Connection<'_>,
    ) -> Result<(), sqlx::Error> {
        debug_assert_eq!(COLUMNS, self.insert.columns, "a value for each column");
        self.waiting.extend(values);
        if self.waiting.len() == TOGETHER * COLUMNS {
            let values = std::mem::take(&mut self.waiting);
            Query { statement: self.insert.many, values }.execute(connection).await?;
        }
        Ok(())
    }

    /// Writes those that wait.
    pub(super) async fn end(self, connection: &mut Connection<'_>) -> Result<(), sqlx::Error> {
        for row in self.waiting.chunks(self.insert.columns) {
            Query { statement: self.insert.one, values: row.to_vec() }.execute(connection).await?;
        }
        Ok(())
    }
}

/// A value for a place of a statement. There are no others: times are microseconds, truth is 0 or 1.
#[derive(Debug, Clone)]
pub(super) enum Value<'q> {
    /// A text.
    Text(Option<Cow<'q, str>>),
    /// A number.
    Integer(Option<i64>),
    /// Bytes.
    Bytes(Option<Cow<'q, [u8]>>),
}

macro_rules! value {
    ($($type:ty => $variant:ident),*) => {
        $(
            impl<'q> From<$type> for Value<'q> {
                fn from(value: $type) -> Self {
                    Self::$variant(Some(value.into()))
                }
            }

            impl<'q> From<Option<$type>> for Value<'q> {
                fn from(value: Option<$type>) -> Self {
                    Self::$variant(value.map(Into::into))
                }
            }
        )*
    };
}

value!(&'q str => Text, String => Text, &'q String => Text, i64 => Integer, &'q [u8] => Bytes, Vec<u8> => Bytes);

/// A statement with its values.
#[must_use]
pub(super) struct Query<'q> {
    statement: Statement,
    values: Vec<Value<'q>>,
}

/// Begins a query.
pub(super) fn query<'q>(statement: impl Into<Statement>) -> Query<'q> {
    Query { statement: statement.into(), values: Vec::new() }
}

type SqliteQuery<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;
type PostgresQuery<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

impl<'q> Query<'q> {
    /// Gives the next place its value.
    pub(super) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Gives the next places their values.
    pub(super) fn bind_all(mut self, values: impl IntoIterator<Item = Value<'q>>) -> Self {
        self.values.extend(values);
        self
    }

    /// Carries it out; returns how many rows it touched.
    pub(super) async fn execute(self, connection: &mut Connection<'_>) -> Result<u64, sqlx::Error> {
        Ok(match connection {
            Connection::Sqlite(connection) => {
                self.for_sqlite().execute(&mut **connection).await?.rows_affected()
            }
            Connection::Postgres(connection) => {
                self.for_postgres().execute(&mut **connection).await?.rows_affected()
            }
        })
    }

    /// Returns its rows, one after the other.
    pub(super) fn fetch<'c>(
        self,
        connection: &'c mut Connection<'_>,
    ) -> BoxStream<'c, Result<Row, sqlx::Error>>
    where
        'q: 'c,
    {
        match connection {
            Connection::Sqlite(connection) => {
                self.for_sqlite().fetch(&mut **connection).map(|row| row.map(Row::Sqlite)).boxed()
            }
            Connection::Postgres(connection) => {
                self.for_postgres().fetch(&mut **connection).map(|row| row.map(Row::of_postgres)).boxed()
            }
        }
    }

    /// Returns its rows, all at once.
    pub(super) async fn fetch_all(self, connection: &mut Connection<'_>) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match connection {
            Connection::Sqlite(connection) => {
                let rows = self.for_sqlite().fetch_all(&mut **connection).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Connection::Postgres(connection) => {
                let rows = self.for_postgres().fetch_all(&mut **connection).await?;
                rows.into_iter().map(Row::of_postgres).collect()
            }
        })
    }

    /// Returns its first row, if there is one.
    pub(super) async fn fetch_optional(
        self,
        connection: &mut Connection<'_>,
    ) -> Result<Option<Row>, sqlx::Error> {
        Ok(match connection {
            Connection::Sqlite(connection) => {
                self.for_sqlite().fetch_optional(&mut **connection).await?.map(Row::Sqlite)
            }
            Connection::Postgres(connection) => {
                self.for_postgres().fetch_optional(&mut **connection).await?.map(Row::of_postgres)
            }
        })
    }

    /// Returns its first row.
    pub(super) async fn fetch_one(self, connection: &mut Connection<'_>) -> Result<Row, sqlx::Error> {
        self.fetch_optional(connection).await?.ok_or(sqlx::Error::RowNotFound)
    }

    fn for_sqlite(self) -> SqliteQuery<'q> {
        self.values.into_iter().fold(sqlx::query(self.statement.sqlite), |query, value| match value {
            Value::Text(text) => query.bind(text.map(Cow::into_owned)),
            Value::Integer(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes.map(Cow::into_owned)),
        })
    }

    fn for_postgres(self) -> PostgresQuery<'q> {
        self.values.into_iter().fold(sqlx::query(self.statement.postgres), |query, value| match value {
            Value::Text(text) => query.bind(text.map(|text| escaped(text).into_owned())),
            Value::Integer(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes.map(Cow::into_owned)),
        })
    }
}

/// A row of an answer.
pub(super) enum Row {
    /// Of a file.
    Sqlite(SqliteRow),
    /// Of a server, with those of its texts that are not written there as they are.
    Postgres(PgRow, OnceLock<Box<[OnceLock<String>]>>),
}

impl Row {
    fn of_postgres(row: PgRow) -> Self {
        Self::Postgres(row, OnceLock::new())
    }

    /// Returns the value of a column, counted from 0.
    ///
    /// # Errors
    /// If it is of another kind.
    pub(super) fn get<'r, T: Column<'r>>(&'r self, column: usize) -> Result<T, sqlx::Error> {
        T::of(self, column)
    }

    fn text(&self, column: usize) -> Result<Option<&str>, sqlx::Error> {
        let (row, texts) = match self {
            Self::Sqlite(row) => return row.try_get(column),
            Self::Postgres(row, texts) => (row, texts),
        };
        let Some(text) = row.try_get::<Option<&str>, _>(column)? else { return Ok(None) };
        if !text.contains(ESCAPE) {
            return Ok(Some(text));
        }
        let texts = texts.get_or_init(|| (0..row.len()).map(|_| OnceLock::new()).collect());
        Ok(Some(texts.get(column).map_or(text, |place| place.get_or_init(|| unescaped(text)))))
    }
}

/// What a column may be read as.
pub(super) trait Column<'r>: Sized {
    /// Reads it.
    fn of(row: &'r Row, column: usize) -> Result<Self, sqlx::Error>;
}

impl<'r> Column<'r> for Option<&'r str> {
    fn of(row: &'r Row, column: usize) -> Result<Self, sqlx::Error> {
        row.text(column)
    }
}

impl<'r> Column<'r> for &'r str {
    fn of(row: &'r Row, column: usize) -> Result<Self, sqlx::Error> {
        row.text(column)?.ok_or_else(|| missing(column))
    }
}

impl<'r> Column<'r> for String {
    fn of(row: &'r Row, column: usize) -> Result<Self, sqlx::Error> {
        <&str>::of(row, column).map(str::to_owned)
    }
}

impl<'r> Column<'r> for Option<String> {
    fn of(row: &'r Row, column: usize) -> Result<Self, sqlx::Error> {
        Ok(row.text(column)?.map(str::to_owned))
    }
}

macro_rules! column {
    ($($type:ty),*) => {
        $(
            impl<'r> Column<'r> for $type {
                fn of(row: &'r Row, column: usize) -> Result<Self, sqlx::Error> {
                    match row {
                        Row::Sqlite(row) => row.try_get(column),
                        Row::Postgres(row, _) => row.try_get(column),
                    }
                }
            }
        )*
    };
}

column!(i64, Option<i64>, Vec<u8>, Option<Vec<u8>>, &'r [u8]);

fn missing(column: usize) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_string(), source: "it has no value".into() }
}

/// What stands before the sign for a character that PostgreSQL's texts cannot hold: a private one, so that hardly any
/// text has to be rewritten.
const ESCAPE: char = '\u{f5fe}';

/// Writes a text so that PostgreSQL can hold it: without NUL, which a hostile display name may have.
fn escaped(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return text;
    }
    let mut written = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => written.extend([ESCAPE, '0']),
            ESCAPE => written.extend([ESCAPE, '1']),
            other => written.push(other),
        }
    }
    Cow::Owned(written)
}

/// Reads a text that was [`escaped`].
fn unescaped(text: &str) -> String {
    let mut read = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        read.push(match (character, character == ESCAPE) {
            (_, true) if characters.next() == Some('0') => '\0',
            (other, _) => other,
        });
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_can_be_held_and_comes_back() {
        for text in ["", "Jane", "Ja\0ne", "\0\0", "\u{f5fe}", "\u{f5fe}0", "\u{f5fe}\0\u{f5fe}1x"] {
            let written = escaped(Cow::Borrowed(text));
            assert!(!written.contains('\0'), "{text:?}");
            assert_eq!(unescaped(&written), text);
        }
        assert!(matches!(escaped(Cow::Borrowed("Jane \u{202e}")), Cow::Borrowed(_)));
    }
}
