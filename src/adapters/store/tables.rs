//! All tables of a store with their columns, and the statements that read and write whole rows of any of them.
//!
//! A test compares the list with what a new store has: a table that is missing here would be lost in a move.

use std::sync::LazyLock;

use crate::adapters::store::sql::{self, Connection, Query, Row, Value};
use crate::model::digest::{Digest, Digester};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// Bytes.
    Bytes,
}

/// A table.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// All its columns.
    pub columns: &'static [(&'static str, Kind)],
    /// Its primary key.
    pub key: &'static [&'static str],
    /// Whether the database counts the key itself.
    pub is_numbered: bool,
    /// Whether its `customer` must be one of `customers`.
    pub is_of_customer: bool,
}

const T: Kind = Kind::Text;
const N: Kind = Kind::Number;
const B: Kind = Kind::Bytes;

/// All of them, each behind those that it refers to. What is not here is not moved: PostgreSQL's `leases`, which say
/// what processes on that very database do, and `intake_schema`, which each database has of its own.
pub const TABLES: &[Table] = &[
    Table {
        name: "customers",
        columns: &[("name", T), ("revision", N), ("pins", T), ("events", N), ("last_hash", T)],
        key: &["name"],
        is_numbered: false,
        is_of_customer: false,
    },
    Table {
        name: "accounts",
        columns: &[
            ("customer", T),
            ("account_type", T),
            ("source", T),
            ("id", T),
            ("directory", T),
            ("sam_account_name", T),
            ("user_principal_name", T),
            ("display_name", T),
            ("email", T),
            ("mobile_phone", T),
            ("tenant_user_id", T),
            ("password_sync", N),
            ("state", T),
            ("since", N),
            ("until", N),
            ("reason", T),
            ("approved", N),
            ("policy", T),
            ("tree_revision", T),
            ("run", T),
            ("imported_at", N),
            ("removal_began_at", N),
            ("listed_as", T),
            ("searched", T),
        ],
        key: &["customer", "account_type", "source", "id"],
        is_numbered: false,
        is_of_customer: true,
    },
    Table {
        name: "events",
        columns: &[
            ("id", N),
            ("customer", T),
            ("sequence", N),
            ("at", N),
            ("run", T),
            ("tree_revision", T),
            ("kind", T),
            ("account_type", T),
            ("account_id", T),
            ("subject", T),
            ("details", T),
            ("hash", T),
            ("readings", T),
        ],
        key: &["id"],
        is_numbered: true,
        is_of_customer: true,
    },
    Table {
        name: "outbox",
        columns: &[
            ("id", N),
            ("customer", T),
            ("destination", T),
            ("key", T),
            ("body", T),
            ("attempts", N),
            ("next_attempt", N),
            ("delivered_at", N),
            ("given_up_at", N),
            ("last_error", T),
        ],
        key: &["id"],
        is_numbered: true,
        is_of_customer: false,
    },
    Table {
        name: "holds",
        columns: &[
            ("customer", T),
            ("approval", T),
            ("position", N),
            ("recorded_at", N),
            ("used_at", N),
            ("bases", T),
        ],
        key: &["customer", "approval"],
        is_numbered: false,
        is_of_customer: true,
    },
    Table {
        name: "statuses",
        columns: &[
            ("customer", T),
            ("state", T),
            ("last_attempt", N),
            ("last_success", N),
            ("failures", N),
            ("next_attempt", N),
            ("tree_revision", T),
            ("message", T),
            ("in_scope_without_license", N),
            ("licensed_outside_scope", N),
        ],
        key: &["customer"],
        is_numbered: false,
        is_of_customer: false,
    },
    Table {
        name: "measures",
        columns: &[("customer", T), ("source", T), ("name", T), ("ids", B)],
        key: &["customer", "source", "name"],
        is_numbered: false,
        is_of_customer: false,
    },
    Table {
        name: "sightings",
        columns: &[("customer", T), ("directory", T), ("server", T), ("seen_out", B)],
        key: &["customer", "directory"],
        is_numbered: false,
        is_of_customer: false,
    },
    Table {
        name: "readings",
        columns: &[("customer", T), ("at", N), ("digest", T), ("content", B), ("read_from", T)],
        key: &["customer"],
        is_numbered: false,
        is_of_customer: false,
    },
    Table {
        name: "sync_states",
        columns: &[("customer", T), ("generation", N), ("position", B), ("content", B)],
        key: &["customer"],
        is_numbered: false,
        is_of_customer: false,
    },
    Table {
        name: "tree",
        columns: &[
            ("one", N),
            ("source", T),
            ("revision", T),
            ("authored", T),
            ("author", T),
            ("since", N),
            ("looked_at", N),
            ("problems", N),
            ("fault", T),
            ("fault_since", N),
        ],
        key: &["one"],
        is_numbered: false,
        is_of_customer: false,
    },
    Table {
        name: "suspensions",
        columns: &[("customer", T), ("suspended_at", N), ("suspended_by", T), ("reason", T)],
        key: &["customer"],
        is_numbered: false,
        is_of_customer: true,
    },
    Table {
        name: "contact_matches",
        columns: &[
            ("customer", T),
            ("connection", T),
            ("organization", T),
            ("account_type", T),
            ("source", T),
            ("id", T),
            ("status", T),
            ("contact", T),
            ("matched_by", T),
            ("cause", T),
            ("candidates", T),
            ("candidate_count", N),
            ("since", N),
            ("asked_at", N),
            ("unfollowed", T),
        ],
        key: &["customer", "connection", "account_type", "source", "id"],
        is_numbered: false,
        is_of_customer: true,
    },
    Table {
        name: "documentation_statuses",
        columns: &[
            ("customer", T),
            ("connection", T),
            ("organization", T),
            ("last_attempt", N),
            ("last_success", N),
            ("fault", T),
            ("saw_organization", N),
        ],
        key: &["customer", "connection"],
        is_numbered: false,
        is_of_customer: false,
    },
    Table {
        name: "publications",
        columns: &[
            ("customer", T),
            ("target", T),
            ("account_type", T),
            ("source", T),
            ("id", T),
            ("subject", T),
            ("status", T),
            ("cause", T),
            ("since", N),
            ("wanted", T),
            ("user_name", T),
            ("remote_id", T),
            ("asked", T),
            ("asked_at", N),
            ("confirmed", T),
            ("removal_at", N),
            ("corrected", T),
        ],
        key: &["customer", "target", "account_type", "source", "id"],
        is_numbered: false,
        is_of_customer: true,
    },
    Table {
        name: "targets",
        columns: &[
            ("target", T),
            ("fault", T),
            ("fault_since", N),
            ("compared_at", N),
            ("comparison_fault", T),
        ],
        key: &["target"],
        is_numbered: false,
        is_of_customer: false,
    },
];

/// A row, as it goes from one store into another.
pub(super) type Cells = Vec<Value<'static>>;

/// How many rows are written by one statement: each costs a way to the server and back.
pub(super) const TOGETHER: usize = 50;

/// How many rows are read by one statement; of those that may hold megabytes each, fewer.
const PAGE: i64 = 500;
const PAGE_OF_BYTES: i64 = 4;

/// A table with its statements.
pub(super) struct Moved {
    pub(super) table: &'static Table,
    /// The places of the key among the columns.
    key: Vec<usize>,
    page: i64,
    first: String,
    next: String,
    insert: String,
    insert_together: String,
    any: String,
    count: String,
    /// Whose rows there are.
    customers: Option<String>,
    /// Rows of customers that are not there.
    strays: Option<String>,
    sequence: Option<String>,
}

/// All tables with their statements; they live as long as the program, as every text of SQL here does.
pub(super) static MOVED: LazyLock<Vec<Moved>> = LazyLock::new(|| TABLES.iter().map(Moved::of).collect());

/// Keeps everybody else from writing until the transaction ends; who reads may go on.
pub(super) static LOCK: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    format!("LOCK TABLE {} IN EXCLUSIVE MODE", names.join(", "))
});

impl Moved {
    fn of(table: &'static Table) -> Self {
        let name = table.name;
        let columns = table.columns.iter().map(|(column, _)| *column).collect::<Vec<_>>().join(", ");
        let key = table.key.join(", ");
        let select = format!("SELECT {columns} FROM {name}");
        let has_bytes = table.columns.iter().any(|(_, kind)| *kind == Kind::Bytes);
        let has_customer = table.columns.iter().any(|(column, _)| *column == "customer");
        let insert = |rows: usize| {
            let rows: Vec<String> = (0..rows)
                .map(|row| {
                    let first = row * table.columns.len() + 1;
                    format!("({})", places(first, table.columns.len()))
                })
                .collect();
            format!("INSERT INTO {name} ({columns}) VALUES {}", rows.join(", "))
        };
        Self {
            table,
            key: table
                .key
                .iter()
                .filter_map(|key| table.columns.iter().position(|(column, _)| column == key))
                .collect(),
            page: if has_bytes { PAGE_OF_BYTES } else { PAGE },
            first: format!("{select} ORDER BY {key} LIMIT $1"),
            next: format!(
                "{select} WHERE ({key}) > ({}) ORDER BY {key} LIMIT $1",
                places(2, table.key.len())
            ),
            insert: insert(1),
            insert_together: insert(TOGETHER),
            any: format!("SELECT 1 FROM {name} LIMIT 1"),
            count: format!("SELECT COUNT(*) FROM {name}"),
            customers: has_customer.then(|| format!("SELECT DISTINCT customer FROM {name}")),
            strays: table.is_of_customer.then(|| {
                format!(
                    "SELECT customer, COUNT(*) FROM {name}
                     WHERE NOT EXISTS (SELECT 1 FROM customers WHERE customers.name = {name}.customer)
                     GROUP BY customer ORDER BY customer"
                )
            }),
            sequence: table.is_numbered.then(|| {
                format!("SELECT setval(pg_get_serial_sequence('{name}', '{key}'), MAX({key})) FROM {name}")
            }),
        }
    }

    /// Whether the table has a row.
    pub(super) async fn has_rows(
        &'static self,
        connection: &mut Connection<'_>,
    ) -> Result<bool, sqlx::Error> {
        Ok(sql::query(self.any.as_str()).fetch_optional(connection).await?.is_some())
    }

    /// Counts its rows.
    pub(super) async fn count(&'static self, connection: &mut Connection<'_>) -> Result<u64, sqlx::Error> {
        let count: i64 = sql::query(self.count.as_str()).fetch_one(connection).await?.get(0)?;
        Ok(count.unsigned_abs())
    }

    /// Returns the next rows behind one, in the order of the key; none at the end. A page and not all at once: a
    /// server bounds how long one statement may take.
    pub(super) async fn page(
        &'static self,
        connection: &mut Connection<'_>,
        after: Option<&Cells>,
    ) -> Result<Vec<Cells>, sqlx::Error> {
        let query = match after {
            None => sql::query(self.first.as_str()).bind(self.page),
            Some(last) => {
                let begun = sql::query(self.next.as_str()).bind(self.page);
                self.key.iter().filter_map(|place| last.get(*place)).cloned().fold(begun, Query::bind)
            }
        };
        let rows = query.fetch_all(connection).await?;
        rows.iter().map(|row| self.cells(row)).collect()
    }

    fn cells(&self, row: &Row) -> Result<Cells, sqlx::Error> {
        let columns = self.table.columns.iter().enumerate();
        columns
            .map(|(place, (_, kind))| {
                Ok(match kind {
                    Kind::Text => row.get::<Option<String>>(place)?.into(),
                    Kind::Number => row.get::<Option<i64>>(place)?.into(),
                    Kind::Bytes => row.get::<Option<Vec<u8>>>(place)?.into(),
                })
            })
            .collect()
    }

    /// Writes rows, [`TOGETHER`] or one.
    pub(super) async fn write(
        &'static self,
        connection: &mut Connection<'_>,
        rows: Vec<Cells>,
    ) -> Result<(), sqlx::Error> {
        if rows.len() == TOGETHER {
            let values = rows.into_iter().flatten();
            values.fold(sql::query(self.insert_together.as_str()), Query::bind).execute(connection).await?;
            return Ok(());
        }
        for row in rows {
            let query = sql::query(self.insert.as_str());
            row.into_iter().fold(query, Query::bind).execute(connection).await?;
        }
        Ok(())
    }

    /// Has the database count on behind the largest number that was written. SQLite does by itself.
    pub(super) async fn count_on(&'static self, connection: &mut Connection<'_>) -> Result<(), sqlx::Error> {
        if let (Some(sequence), Connection::Postgres(_)) = (&self.sequence, &*connection) {
            sql::query(sequence.as_str()).execute(connection).await?;
        }
        Ok(())
    }

    /// Returns whose rows there are.
    pub(super) async fn customers(
        &'static self,
        connection: &mut Connection<'_>,
    ) -> Result<Vec<String>, sqlx::Error> {
        let Some(customers) = &self.customers else { return Ok(Vec::new()) };
        let rows = sql::query(customers.as_str()).fetch_all(connection).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Returns the customers that are not there and whose rows are, and how many.
    pub(super) async fn strays(
        &'static self,
        connection: &mut Connection<'_>,
    ) -> Result<Vec<(String, i64)>, sqlx::Error> {
        let Some(strays) = &self.strays else { return Ok(Vec::new()) };
        let rows = sql::query(strays.as_str()).fetch_all(connection).await?;
        rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
    }
}

fn places(first: usize, count: usize) -> String {
    let places: Vec<String> = (first..first + count).map(|place| format!("${place}")).collect();
    places.join(", ")
}

/// Rows of one table, counted and added up: the sum is the same in whatever order they come. The two databases do not
/// agree on it: a key with a NUL in it is another text in PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) rows: u64,
    sum: [u8; 32],
}

impl Tally {
    /// Adds a row.
    pub(super) fn add(&mut self, row: &Cells) {
        let mut digester = Digester::new("intake.row.1");
        for value in row {
            match value {
                Value::Text(text) => digester.optional(text.as_deref()),
                Value::Integer(number) => digester.optional(number.map(i64::to_be_bytes)),
                Value::Bytes(bytes) => digester.optional(bytes.as_deref()),
            };
        }
        self.rows = self.rows.saturating_add(1);
        let mut carried = 0;
        for (sum, byte) in self.sum.iter_mut().zip(digester.finish().as_bytes()).rev() {
            let added = u16::from(*sum) + u16::from(*byte) + carried;
            let [high, low] = added.to_be_bytes();
            (*sum, carried) = (low, u16::from(high));
        }
    }

    /// Returns the digest over all rows of a table.
    pub(super) fn digest(&self, table: &str) -> Digest {
        let mut digester = Digester::new("intake.table.1");
        digester.field(table).field(self.rows.to_be_bytes()).field(self.sum);
        digester.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str, number: Option<i64>) -> Cells {
        vec![text.to_owned().into(), number.into(), Vec::<u8>::from([1, 2]).into()]
    }

    #[test]
    fn a_tally_knows_no_order_and_every_change() {
        let tally = |rows: &[Cells]| {
            let mut tally = Tally::default();
            rows.iter().for_each(|row| tally.add(row));
            tally.digest("accounts")
        };
        let (one, two) = (row("a", None), row("b", Some(-1)));
        assert_eq!(tally(&[one.clone(), two.clone()]), tally(&[two.clone(), one.clone()]));
        for other in [
            vec![one.clone()],
            vec![one.clone(), one.clone()],
            vec![one.clone(), row("b", Some(0))],
            vec![one.clone(), row("b", None)],
            vec![one.clone(), two.clone(), two.clone()],
        ] {
            assert_ne!(tally(&other), tally(&[one.clone(), two.clone()]));
        }
    }

    #[test]
    fn a_key_is_made_of_columns() {
        for moved in MOVED.iter() {
            assert_eq!(moved.key.len(), moved.table.key.len(), "{}", moved.table.name);
        }
    }
}
