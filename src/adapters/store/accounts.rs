//! Accounts as rows.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use hashbrown::HashSet;
use jiff::Timestamp;

use crate::adapters::store::fault::Mishap;
use crate::adapters::store::sql::{self, Connection, Insert, LazyInsert, Row, Statement, Value, either};
use crate::model::account::{
    Account, AccountKey, AccountState, AccountType, Profile, Provenance, Source, Verdict,
};
use crate::model::guid::Guid;
use crate::model::listing::{AccountPage, AccountPlace, AccountQuery, MOST_WORDS, StateName, searched};
use crate::model::text::{Text, fold, inert};

static WRITE: LazyInsert = LazyInsert::new(|| {
    Insert::new(
        "accounts (
            customer, account_type, source, id, directory, sam_account_name, user_principal_name, display_name,
            email, mobile_phone, tenant_user_id, password_sync, state, since, until, reason, approved,
            policy, tree_revision, run, imported_at, removal_began_at, listed_as, searched)",
        "ON CONFLICT (customer, account_type, source, id) DO UPDATE SET
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
            removal_began_at = excluded.removal_began_at,
            listed_as = excluded.listed_as,
            searched = excluded.searched",
    )
});

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

/// Who is on a page: found by the index `accounts_listed` alone, which holds all that is asked for. A place or
/// word that is empty lets everybody through. SQLite is told which index, as it does not know how rarely a search
/// finds anybody.
macro_rules! page {
    ($hint:literal, $which:literal, $after:literal, $order:literal) => {
        concat!(
            "WITH found AS (
                SELECT customer, listed_as, id, account_type, source FROM accounts ",
            $hint,
            " WHERE ",
            $which,
            $after,
            "   AND ($7 = '' OR account_type = $7) AND ($8 = '' OR state = $8) AND ($9 = '' OR reason = $9)
                AND instr(searched, $10) > 0 AND instr(searched, $11) > 0
                AND instr(searched, $12) > 0 AND instr(searched, $13) > 0
                ORDER BY ",
            $order,
            "   LIMIT $1)
            SELECT account_type, source, id, directory, sam_account_name, user_principal_name, display_name,
                email, mobile_phone, tenant_user_id, password_sync, state, since, until, reason, approved,
                policy, tree_revision, run, imported_at, removal_began_at, customer
            FROM found JOIN accounts USING (customer, account_type, source, id)
            ORDER BY customer, found.listed_as, id, account_type, source"
        )
    };
}

macro_rules! page_of_customer {
    ($hint:literal) => {
        page!(
            $hint,
            "customer = $2 AND ",
            "(listed_as, id, account_type, source) > ($3, $4, $5, $6)",
            "listed_as, id, account_type, source"
        )
    };
}
macro_rules! page_of_all {
    ($hint:literal) => {
        page!(
            $hint,
            "",
            "(customer, listed_as, id, account_type, source) > ($2, $3, $4, $5, $6)",
            "customer, listed_as, id, account_type, source"
        )
    };
}

const PAGE_OF_CUSTOMER: Statement =
    either(page_of_customer!("INDEXED BY accounts_listed"), page_of_customer!(""));
const PAGE_OF_ALL: Statement = either(page_of_all!("INDEXED BY accounts_listed"), page_of_all!(""));

/// All columns of the key, so that no more than four rows are looked at, however many the customer has.
const WITH_ID: &str = select!(
    "WHERE customer = $1 AND account_type IN ('EndUser', 'Administrator')
        AND source IN ('directory', 'tenant') AND id = $2"
);

/// Whose names in lower case the database cannot write by itself.
const NOT_ASCII: &str = "
    SELECT customer, account_type, source, id, listed_as, searched FROM accounts
    WHERE searched GLOB '*[^ -~' || char(10) || ']*'";
const IN_LOWER_CASE: &str = "
    UPDATE accounts SET
        listed_as = lower(CASE WHEN sam_account_name <> '' THEN sam_account_name
            ELSE COALESCE(user_principal_name, display_name) END),
        searched = lower(
            CASE WHEN display_name <> '' THEN display_name || char(10) ELSE '' END
            || CASE WHEN user_principal_name <> '' THEN user_principal_name || char(10) ELSE '' END
            || CASE WHEN sam_account_name <> '' THEN sam_account_name || char(10) ELSE '' END
            || CASE WHEN email <> '' THEN email || char(10) ELSE '' END
            || CASE WHEN mobile_phone <> '' THEN mobile_phone || char(10) ELSE '' END
            || id || char(10)
            || CASE WHEN tenant_user_id <> '' THEN tenant_user_id || char(10) ELSE '' END)";
const SET_NAMES: &str = "
    UPDATE accounts SET listed_as = $5, searched = $6
    WHERE customer = $1 AND account_type = $2 AND source = $3 AND id = $4";

const FORGET: &str = "DELETE FROM accounts WHERE customer = $1 AND state = 'removed' AND since < $2";

/// Writes accounts whole, by their key.
pub(super) async fn write(
    connection: &mut Connection<'_>,
    customer: &str,
    accounts: &[Account],
) -> Result<(), Mishap> {
    let mut rows = WRITE.rows();
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
        let values = [
            customer.into(),
            account.key.account_type.code().into(),
            account.key.source.code().into(),
            account.key.id.to_string().into(),
            account.provenance.directory.as_deref().into(),
            profile.sam_account_name.as_str().into(),
            profile.user_principal_name.as_deref().into(),
            profile.display_name.as_str().into(),
            profile.email.as_deref().into(),
            profile.mobile_phone.as_deref().into(),
            profile.tenant_user_id.map(|id| id.to_string()).into(),
            i64::from(profile.password_sync).into(),
            account.state.code().into(),
            since.map(|at| at.as_microsecond()).into(),
            until.map(|at| at.as_microsecond()).into(),
            reason.map(|reason| reason.code()).into(),
            approved.map(i64::from).into(),
            account.provenance.policy.as_str().into(),
            account.provenance.tree_revision.as_str().into(),
            account.provenance.run.as_str().into(),
            account.imported_at.as_microsecond().into(),
            account.removal_began_at.map(|at| at.as_microsecond()).into(),
            account.listed_name().into_owned().into(),
            searched(account).into(),
        ];
        rows.push(values, connection).await?;
    }
    Ok(rows.end(connection).await?)
}

/// Returns one customer's accounts in the order of their keys.
pub(super) async fn of_customer(
    connection: &mut Connection<'_>,
    customer: &str,
) -> Result<Vec<Account>, Mishap> {
    let mut rows = sql::query(OF_CUSTOMER).bind(customer).fetch(connection);
    let (mut accounts, mut provenances) = (Vec::new(), Provenances::default());
    while let Some(row) = rows.try_next().await? {
        accounts.push(account(&row, &mut provenances)?);
    }
    accounts.sort_unstable_by_key(|account| account.key);
    Ok(accounts)
}

/// Returns the accounts of one customer or of all: by customer, then name, then id.
pub(super) async fn listed(
    connection: &mut Connection<'_>,
    customer: Option<&str>,
) -> Result<Vec<(Text, Account)>, Mishap> {
    let query = match customer {
        Some(customer) => sql::query(OF_CUSTOMER).bind(customer),
        None => sql::query(OF_ALL),
    };
    let mut rows = query.fetch(connection);
    let (mut accounts, mut provenances) = (Vec::new(), Provenances::default());
    while let Some(row) = rows.try_next().await? {
        accounts.push((Text::from(row.get::<&str>(21)?), account(&row, &mut provenances)?));
    }
    // Here and not by the database, whose idea of an order depends on its collation.
    accounts.sort_by(|(left_customer, left), (right_customer, right)| {
        left_customer.cmp(right_customer).then_with(|| left.cmp_listed(right))
    });
    Ok(accounts)
}

/// Returns a page of accounts: by customer, then name.
pub(super) async fn page(
    connection: &mut Connection<'_>,
    query: &AccountQuery,
) -> Result<AccountPage, Mishap> {
    let text = if query.customer.is_some() { PAGE_OF_CUSTOMER } else { PAGE_OF_ALL };
    let after = query.after.as_ref();
    // Of a page one more is asked for: whether there is another page.
    let limit = query.limit.clamp(1, MOST) + 1;
    let mut asked = sql::query(text)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(match (&query.customer, after) {
            (Some(customer), _) => customer.as_str(),
            (None, Some(after)) => after.customer.as_str(),
            (None, None) => "",
        })
        .bind(after.map_or("", |after| after.name.as_str()))
        .bind(after.map(|after| after.key.id.to_string()).unwrap_or_default())
        .bind(after.map_or("", |after| after.key.account_type.code()))
        .bind(after.map_or("", |after| after.key.source.code()))
        .bind(query.account_type.map_or("", AccountType::code))
        .bind(query.state.map_or("", StateName::code))
        .bind(query.reason.map_or("", Verdict::code));
    for place in 0..MOST_WORDS {
        asked = asked.bind(query.words.get(place).map_or("", Text::as_str));
    }
    let mut rows = asked.fetch(connection);
    let (mut page, mut provenances) = (AccountPage::default(), Provenances::default());
    while let Some(row) = rows.try_next().await? {
        page.accounts.push((Text::from(row.get::<&str>(21)?), account(&row, &mut provenances)?));
    }
    if page.accounts.len() == limit {
        page.accounts.pop();
        page.next = page.accounts.last().map(|(customer, account)| AccountPlace {
            customer: customer.clone(),
            name: Text::from(account.listed_name()),
            key: account.key,
        });
    }
    Ok(page)
}

/// More accounts than these are on no page.
const MOST: usize = 1_000;

/// Returns the accounts of one customer that have an id.
pub(super) async fn with_id(
    connection: &mut Connection<'_>,
    customer: &str,
    id: Guid,
) -> Result<Vec<Account>, Mishap> {
    let mut rows = sql::query(WITH_ID).bind(customer).bind(id.to_string()).fetch(connection);
    let (mut accounts, mut provenances) = (Vec::new(), Provenances::default());
    while let Some(row) = rows.try_next().await? {
        accounts.push(account(&row, &mut provenances)?);
    }
    accounts.sort_unstable_by_key(|account| account.key);
    Ok(accounts)
}

/// Writes by which names the accounts of a store are listed and searched that was made before there were any. From
/// the texts as they stand: a row that is damaged elsewhere is its customer's trouble, and nobody else's.
pub(super) async fn write_names(connection: &mut Connection<'_>) -> Result<(), Mishap> {
    sql::query(IN_LOWER_CASE).execute(connection).await?;
    let mut others = Vec::new();
    {
        let mut rows = sql::query(NOT_ASCII).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let mut texts = Vec::new();
            for column in 0..6 {
                texts.push(row.get::<String>(column).unwrap_or_default());
            }
            others.push(texts);
        }
    }
    for texts in others {
        let [customer, account_type, source, id, listed_as, searched] = texts.as_slice() else { continue };
        let set = sql::query(SET_NAMES).bind(customer).bind(account_type).bind(source).bind(id);
        set.bind(fold(listed_as).as_ref()).bind(fold(searched).as_ref()).execute(connection).await?;
    }
    Ok(())
}

/// Forgets accounts that were removed before a moment; returns how many.
pub(super) async fn forget_removed(
    connection: &mut Connection<'_>,
    customer: &str,
    before: Timestamp,
) -> Result<u64, Mishap> {
    Ok(sql::query(FORGET).bind(customer).bind(before.as_microsecond()).execute(connection).await?)
}

/// Provenances read so far: thousands of accounts share one.
#[derive(Default)]
struct Provenances(HashSet<Arc<Provenance>>);

impl Provenances {
    fn shared(&mut self, provenance: Provenance) -> Arc<Provenance> {
        Arc::clone(self.0.get_or_insert_with(&provenance, |new| Arc::new(new.clone())))
    }
}

fn account(row: &Row, provenances: &mut Provenances) -> Result<Account, Mishap> {
    let key = key(row, 0)?;
    let code: &str = row.get(11)?;
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
            sam_account_name: Text::from(row.get::<&str>(4)?),
            user_principal_name: text(row, 5)?,
            display_name: Text::from(row.get::<&str>(6)?),
            email: text(row, 7)?,
            mobile_phone: text(row, 8)?,
            tenant_user_id: row.get::<Option<&str>>(9)?.map(guid).transpose()?,
            password_sync: boolean(row, 10)?.unwrap_or(false),
        },
        state,
        provenance: provenances.shared(Provenance {
            directory: text(row, 3)?,
            policy: Text::from(row.get::<&str>(16)?),
            tree_revision: Text::from(row.get::<&str>(17)?),
            run: Text::from(row.get::<&str>(18)?),
        }),
        imported_at: moment(row.get(19)?)?,
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

/// Returns the key in three columns, the first of which is given.
pub(super) fn key(row: &Row, column: usize) -> Result<AccountKey, Mishap> {
    Ok(AccountKey {
        account_type: account_type(row.get(column)?)?,
        source: source(row.get(column + 1)?)?,
        id: guid(row.get(column + 2)?)?,
    })
}

/// Returns a key as the values of three places.
pub(super) fn key_values(key: &AccountKey) -> [Value<'static>; 3] {
    [key.account_type.code().into(), key.source.code().into(), key.id.to_string().into()]
}

/// Returns the source of a word.
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
pub(super) fn time(row: &Row, column: usize) -> Result<Option<Timestamp>, Mishap> {
    row.get::<Option<i64>>(column)?.map(moment).transpose()
}

fn verdict(row: &Row, column: usize) -> Result<Option<Verdict>, Mishap> {
    row.get::<Option<&str>>(column)?
        .map(|code| Verdict::from_code(code).ok_or_else(|| strange("the reason", code)))
        .transpose()
}

fn boolean(row: &Row, column: usize) -> Result<Option<bool>, Mishap> {
    row.get::<Option<i64>>(column)?
        .map(|number| match number {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(strange("yes or no", &number.to_string())),
        })
        .transpose()
}

fn text(row: &Row, column: usize) -> Result<Option<Text>, Mishap> {
    Ok(row.get::<Option<&str>>(column)?.map(Text::from))
}

/// Says which value is none that Intake writes.
pub(super) fn strange(what: &str, value: &str) -> Mishap {
    let shown: String = value.chars().take(80).collect();
    Mishap::Strange(format!("`{}` is no value of {what}", inert(&shown)))
}
