//! Accounts as rows.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use hashbrown::HashSet;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::adapters::store::fault::Mishap;
use crate::model::account::{
    Account, AccountKey, AccountState, AccountType, Profile, Provenance, Source, Verdict,
};
use crate::model::guid::Guid;
use crate::model::text::{Text, inert};

const WRITE: &str = "
    INSERT INTO accounts (
        customer, account_type, source, id, directory, sam_account_name, user_principal_name, display_name,
        email, mobile_phone, tenant_user_id, password_sync, state, since, until, reason, approved,
        policy, tree_revision, run, imported_at, removal_began_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
    ON CONFLICT (customer, account_type, source, id) DO UPDATE SET
        directory = excluded.directory,
        sam_account_name = excluded.sam_account_name,
        user_principal_name = excluded.user_principal_name,
        display_name = excluded.display_name,
        email = excluded.email,
        mobile_phone = excluded.mobile_phone,
        tenant_user_id = excluded.tenant_user_id,
        password_sync = excluded.password_sync,
        state = excluded.state,
        since = excluded.since,
        until = excluded.until,
        reason = excluded.reason,
        approved = excluded.approved,
        policy = excluded.policy,
        tree_revision = excluded.tree_revision,
        run = excluded.run,
        imported_at = excluded.imported_at,
        removal_began_at = excluded.removal_began_at";

/// The columns in the order in which [`account`] reads them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT account_type, source, id, directory, sam_account_name, user_principal_name, display_name,
                    email, mobile_phone, tenant_user_id, password_sync, state, since, until, reason, approved,
                    policy, tree_revision, run, imported_at, removal_began_at, customer
             FROM accounts ",
            $rest
        )
    };
}

const OF_CUSTOMER: &str = select!("WHERE customer = $1");
const OF_ALL: &str = select!("");

const FORGET: &str = "DELETE FROM accounts WHERE customer = $1 AND state = 'removed' AND since < $2";

/// Writes accounts whole, by their key.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    customer: &str,
    accounts: &[Account],
) -> Result<(), Mishap> {
    for account in accounts {
        let (since, until, reason, approved) = match &account.state {
            AccountState::Active => (None, None, None, None),
            AccountState::PendingRemoval { since, until, reason } => {
                (Some(since), Some(until), Some(reason), None)
            }
            AccountState::Orphaned { since } => (Some(since), None, None, None),
            AccountState::Removed { since, reason, approved } => {
                (Some(since), None, Some(reason), Some(*approved))
            }
        };
        let profile = &account.profile;
        sqlx::query(WRITE)
            .bind(customer)
            .bind(account.key.account_type.code())
            .bind(account.key.source.code())
            .bind(account.key.id.to_string())
            .bind(account.provenance.directory.as_deref())
            .bind(profile.sam_account_name.as_str())
            .bind(profile.user_principal_name.as_deref())
            .bind(profile.display_name.as_str())
            .bind(profile.email.as_deref())
            .bind(profile.mobile_phone.as_deref())
            .bind(profile.tenant_user_id.map(|id| id.to_string()))
            .bind(i64::from(profile.password_sync))
            .bind(account.state.code())
            .bind(since.map(|at| at.as_microsecond()))
            .bind(until.map(|at| at.as_microsecond()))
            .bind(reason.map(|reason| reason.code()))
            .bind(approved.map(i64::from))
            .bind(account.provenance.policy.as_str())
            .bind(account.provenance.tree_revision.as_str())
            .bind(account.provenance.run.as_str())
            .bind(account.imported_at.as_microsecond())
            .bind(account.removal_began_at.map(|at| at.as_microsecond()))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Returns one customer's accounts in the order of their keys.
pub(super) async fn of_customer(
    connection: &mut SqliteConnection,
    customer: &str,
) -> Result<Vec<Account>, Mishap> {
    let mut rows = sqlx::query(OF_CUSTOMER).bind(customer).fetch(connection);
    let (mut accounts, mut provenances) = (Vec::new(), Provenances::default());
    while let Some(row) = rows.try_next().await? {
        accounts.push(account(&row, &mut provenances)?);
    }
    accounts.sort_unstable_by_key(|account| account.key);
    Ok(accounts)
}

/// Returns the accounts of one customer or of all: by customer, then name, then id.
pub(super) async fn listed(
    connection: &mut SqliteConnection,
    customer: Option<&str>,
) -> Result<Vec<(Text, Account)>, Mishap> {
    let query = match customer {
        Some(customer) => sqlx::query(OF_CUSTOMER).bind(customer),
        None => sqlx::query(OF_ALL),
    };
    let mut rows = query.fetch(connection);
    let (mut accounts, mut provenances) = (Vec::new(), Provenances::default());
    while let Some(row) = rows.try_next().await? {
        accounts.push((Text::from(row.try_get::<&str, _>(21)?), account(&row, &mut provenances)?));
    }
    // Here and not by the database, whose idea of an order depends on its collation.
    accounts.sort_by(|(left_customer, left), (right_customer, right)| {
        left_customer.cmp(right_customer).then_with(|| left.cmp_listed(right))
    });
    Ok(accounts)
}

/// Forgets accounts that were removed before a moment; returns how many.
pub(super) async fn forget_removed(
    connection: &mut SqliteConnection,
    customer: &str,
    before: Timestamp,
) -> Result<u64, Mishap> {
    let done = sqlx::query(FORGET).bind(customer).bind(before.as_microsecond()).execute(connection).await?;
    Ok(done.rows_affected())
}

/// Provenances read so far: thousands of accounts share one.
#[derive(Default)]
struct Provenances(HashSet<Arc<Provenance>>);

impl Provenances {
    fn shared(&mut self, provenance: Provenance) -> Arc<Provenance> {
        Arc::clone(self.0.get_or_insert_with(&provenance, |new| Arc::new(new.clone())))
    }
}

fn account(row: &SqliteRow, provenances: &mut Provenances) -> Result<Account, Mishap> {
    let key = AccountKey {
        account_type: account_type(row.try_get(0)?)?,
        source: source(row.try_get(1)?)?,
        id: guid(row.try_get(2)?)?,
    };
    let code: &str = row.try_get(11)?;
    let state = match (code, time(row, 12)?, time(row, 13)?, verdict(row, 14)?, boolean(row, 15)?) {
        ("active", None, None, None, None) => AccountState::Active,
        ("pendingRemoval", Some(since), Some(until), Some(reason), None) => {
            AccountState::PendingRemoval { since, until, reason }
        }
        ("orphaned", Some(since), None, None, None) => AccountState::Orphaned { since },
        ("removed", Some(since), None, Some(reason), Some(approved)) => {
            AccountState::Removed { since, reason, approved }
        }
        _ => return Err(strange("the state", code)),
    };
    Ok(Account {
        key,
        profile: Profile {
            sam_account_name: Text::from(row.try_get::<&str, _>(4)?),
            user_principal_name: text(row, 5)?,
            display_name: Text::from(row.try_get::<&str, _>(6)?),
            email: text(row, 7)?,
            mobile_phone: text(row, 8)?,
            tenant_user_id: row.try_get::<Option<&str>, _>(9)?.map(guid).transpose()?,
            password_sync: boolean(row, 10)?.unwrap_or(false),
        },
        state,
        provenance: provenances.shared(Provenance {
            directory: text(row, 3)?,
            policy: Text::from(row.try_get::<&str, _>(16)?),
            tree_revision: Text::from(row.try_get::<&str, _>(17)?),
            run: Text::from(row.try_get::<&str, _>(18)?),
        }),
        imported_at: moment(row.try_get(19)?)?,
        removal_began_at: time(row, 20)?,
    })
}

/// Returns the account type of a code.
pub(super) fn account_type(code: &str) -> Result<AccountType, Mishap> {
    AccountType::ALL
        .into_iter()
        .find(|account_type| account_type.code() == code)
        .ok_or_else(|| strange("the account type", code))
}

fn source(code: &str) -> Result<Source, Mishap> {
    [Source::Directory, Source::Tenant]
        .into_iter()
        .find(|source| source.code() == code)
        .ok_or_else(|| strange("the source", code))
}

/// Returns the GUID of a text.
pub(super) fn guid(text: &str) -> Result<Guid, Mishap> {
    text.parse().map_err(|_| strange("the id", text))
}

/// Returns the moment of a number of microseconds since 1970.
pub(super) fn moment(microseconds: i64) -> Result<Timestamp, Mishap> {
    Timestamp::from_microsecond(microseconds).map_err(|_| strange("the time", &microseconds.to_string()))
}

/// Returns a column with a time, where there is one.
pub(super) fn time(row: &SqliteRow, column: usize) -> Result<Option<Timestamp>, Mishap> {
    row.try_get::<Option<i64>, _>(column)?.map(moment).transpose()
}

fn verdict(row: &SqliteRow, column: usize) -> Result<Option<Verdict>, Mishap> {
    row.try_get::<Option<&str>, _>(column)?
        .map(|code| Verdict::from_code(code).ok_or_else(|| strange("the reason", code)))
        .transpose()
}

fn boolean(row: &SqliteRow, column: usize) -> Result<Option<bool>, Mishap> {
    row.try_get::<Option<i64>, _>(column)?
        .map(|number| match number {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(strange("yes or no", &number.to_string())),
        })
        .transpose()
}

fn text(row: &SqliteRow, column: usize) -> Result<Option<Text>, Mishap> {
    Ok(row.try_get::<Option<&str>, _>(column)?.map(Text::from))
}

/// Says which value is none that Intake writes.
pub(super) fn strange(what: &str, value: &str) -> Mishap {
    let shown: String = value.chars().take(80).collect();
    Mishap::Strange(format!("`{}` is no value of {what}", inert(&shown)))
}
