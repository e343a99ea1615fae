//! What a store in PostgreSQL must bear besides the laws: wrong databases, weak roles, full disks, servers that die,
//! stand still or are not who they say.

use std::error::Error as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use intake::adapters::store::connection::{Store, StoreReader};
use intake::model::event::EventKind;
use intake::model::listing::AccountQuery;
use intake::model::register::Commit;
use intake::ports::browse::Browse as _;
use intake::ports::register::{Register as _, RegisterFault, RegisterReader as _};
use serde_json::json;
use sqlx::{Connection as _, Row as _};

use crate::support::postgres::{ISOLATIONS, Postgres, PostgresOptions, wait_for_row, whoever_waits};

use super::sample::{account, at, commit, event, small, whole};

/// Both what was tried and why it failed.
fn told(fault: &RegisterFault) -> String {
    let cause = fault.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{fault}{cause}")
}

async fn refusal(url: &str) -> String {
    told(&Store::open(url).await.map(|_| ()).expect_err("refused"))
}

async fn reading(url: &str) -> Result<StoreReader, RegisterFault> {
    Store::open_reading(url).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_schema_is_made_once_however_many_replicas_start_at_once() {
    for isolation in ISOLATIONS {
        let database = Postgres::shared().isolated_database(isolation).await;
        let opening = (0..8).map(|_| {
            let url = database.url();
            tokio::spawn(async move { Store::open(&url).await.unwrap() })
        });
        for (revision, store) in (0..).zip(join_all(opening).await) {
            let store = store.unwrap();
            assert_eq!(store.commit(small("contoso", revision)).await.unwrap().revision, revision + 1);
            store.close().await;
        }
    }
}

/// Between two looks at a database that is new its tables may come to be there: they are nobody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_reads_while_the_schema_is_made_sees_an_empty_register() {
    for _ in 0..8 {
        let database = Postgres::shared().database().await;
        let made = Arc::new(AtomicBool::new(false));
        let reading = (0..8).map(|_| {
            let (url, made) = (database.url(), Arc::clone(&made));
            tokio::spawn(async move {
                let reader = reading(&url).await.unwrap();
                while !made.load(Ordering::Relaxed) {
                    assert_eq!(reader.events(None).await.map_err(|fault| told(&fault)), Ok(Vec::new()));
                }
            })
        });
        let reading: Vec<_> = reading.collect();
        Store::open(&database.url()).await.unwrap().close().await;
        made.store(true, Ordering::Relaxed);
        for reader in join_all(reading).await {
            reader.unwrap();
        }
    }
}

#[tokio::test]
async fn a_migration_may_take_longer_than_a_statement() {
    let database = Postgres::shared().database().await;
    let url = format!("{}&statementTimeout=1s", database.url());
    let mut writer = database.raw().await;
    sqlx::raw_sql("BEGIN; SELECT pg_advisory_xact_lock_shared(1229870155)")
        .execute(&mut writer)
        .await
        .unwrap();
    let opening = tokio::spawn(async move { Store::open(&url).await });
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(!opening.is_finished(), "it waits for who writes");
    sqlx::raw_sql("ROLLBACK").execute(&mut writer).await.unwrap();
    opening.await.unwrap().unwrap().close().await;
}

/// Whatever the database's owner decided about transactions: what a lock was waited for has to be seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_replicas_exactly_one_wins_each_revision() {
    for isolation in ISOLATIONS {
        let url = Postgres::shared().isolated_database(isolation).await.url();
        let (left, right) = (Store::open(&url).await.unwrap(), Store::open(&url).await.unwrap());
        for revision in 0..30 {
            let outcomes = tokio::join!(
                left.commit(small("contoso", revision)),
                right.commit(small("contoso", revision))
            );
            let lost = match outcomes {
                (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => {
                    assert_eq!(won.revision, revision + 1);
                    lost
                }
                both => panic!("{both:?}"),
            };
            assert!(matches!(lost, RegisterFault::Stale { .. }), "{isolation}: {lost:?}");
        }
        assert_eq!(whole(&left.verify("contoso").await.unwrap()), Some(30));
    }
}

/// A page that ends before an event that becomes visible later would lose it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_reads_the_record_of_all_customers_as_it_grows_misses_no_event() {
    let database = Postgres::shared().database().await;
    let stores = join_all((0..4).map(|_| async { Store::open(&database.url()).await.unwrap() })).await;
    let reader = reading(&database.url()).await.unwrap();
    let writing = stores.iter().cloned().enumerate().map(|(number, store)| {
        tokio::spawn(async move {
            for revision in 0..40 {
                let customer = format!("customer-{number}");
                let events = (0..3).map(|_| event("x")).collect();
                store.commit(Commit { events, ..commit(&customer, revision) }).await.unwrap();
            }
        })
    });
    let writing: Vec<_> = writing.collect();
    let (mut seen, mut last) = (0, i64::MIN);
    let mut connection = database.raw().await;
    while seen < 480 {
        let rows = sqlx::query("SELECT id FROM events WHERE id > $1 ORDER BY id")
            .bind(last)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        for row in rows {
            last = row.get(0);
            seen += 1;
        }
        assert!(
            !writing.iter().all(tokio::task::JoinHandle::is_finished) || seen == 480 || {
                let all: i64 = sqlx::query("SELECT COUNT(*) FROM events WHERE id > $1")
                    .bind(last)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap()
                    .get(0);
                all > 0
            },
            "{seen} of 480 events were seen, and none is left"
        );
    }
    for task in writing {
        task.await.unwrap();
    }
    assert_eq!(reader.events(None).await.unwrap().len(), 480);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let database = Postgres::shared().database().await;
    database.tamper("CREATE TABLE customers (name TEXT); INSERT INTO customers VALUES ('theirs')").await;
    let text = refusal(&database.url()).await;
    assert!(text.contains("is no store of Intake: it holds tables of another program"), "{text}");
    let text = told(&reading(&database.url()).await.unwrap_err());
    assert!(text.contains("it holds tables of another program"), "{text}");
    let mut connection = database.raw().await;
    let names: Vec<String> = sqlx::query("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
        .fetch_all(&mut connection)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(names, ["customers"]);
    // In a schema of its own there is room beside the other program.
    let url = format!("{}&options=-csearch_path%3Dintake", database.url());
    let text = refusal(&url).await;
    assert!(text.contains("the schema that its search path names does not exist"), "{text}");
    database.tamper("CREATE SCHEMA intake").await;
    let store = Store::open(&url).await.unwrap();
    assert_eq!(store.commit(small("contoso", 0)).await.unwrap().revision, 1);
    store.close().await;
    let theirs: i64 =
        sqlx::query("SELECT COUNT(*) FROM public.customers").fetch_one(&mut connection).await.unwrap().get(0);
    assert_eq!(theirs, 1);
}

#[tokio::test]
async fn a_newer_schema_is_refused_also_by_who_runs_already() {
    let database = Postgres::shared().database().await;
    let store = Store::open(&database.url()).await.unwrap();
    store.commit(small("contoso", 0)).await.unwrap();
    database.tamper("UPDATE intake_schema SET version = version + 1").await;
    assert!(matches!(store.commit(small("contoso", 1)).await, Err(RegisterFault::Newer)));
    assert!(matches!(store.load("contoso").await, Err(RegisterFault::Newer)));
    assert!(matches!(Store::open(&database.url()).await, Err(RegisterFault::Newer)));
    assert!(matches!(reading(&database.url()).await, Err(RegisterFault::Newer)));
    database.tamper("UPDATE intake_schema SET version = version - 1").await;
    assert_eq!(store.load("contoso").await.unwrap().revision, 1, "nothing was written");
    store.close().await;
}

#[tokio::test]
async fn tables_that_are_gone_are_not_made_anew_behind_anybodys_back() {
    let database = Postgres::shared().database().await;
    let store = Store::open(&database.url()).await.unwrap();
    store.commit(small("contoso", 0)).await.unwrap();
    database.tamper("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    let fault = store.commit(small("contoso", 1)).await.unwrap_err();
    assert!(told(&fault).contains("its tables are gone"), "{fault}");
    store.close().await;
}

#[tokio::test]
async fn the_record_is_append_only_for_everybody() {
    let database = Postgres::shared().database().await;
    let store = Store::open(&database.url()).await.unwrap();
    store.commit(small("contoso", 0)).await.unwrap();
    let mut connection = database.raw().await;
    for sql in ["UPDATE events SET subject = 'x'", "DELETE FROM events", "TRUNCATE events"] {
        let error = sqlx::raw_sql(sql).execute(&mut connection).await.expect_err(sql);
        assert!(error.to_string().contains("the audit record is append-only"), "{error}");
    }
    assert_eq!(whole(&store.verify("contoso").await.unwrap()), Some(1));
    store.close().await;
}

#[tokio::test]
async fn a_role_that_may_only_read_reads_and_is_told_when_it_would_write() {
    let database = Postgres::shared().database().await;
    let store = Store::open(&database.url()).await.unwrap();
    store.commit(small("contoso", 0)).await.unwrap();
    store.close().await;
    let role = format!("reader_{}", database.name());
    database
        .tamper(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"))
        .await;
    let url = database.url_as(&role);
    let reader = reading(&url).await.unwrap();
    assert_eq!(reader.load("contoso").await.unwrap().accounts.len(), 1);
    let text = refusal(&url).await;
    assert!(text.contains("the role has no permission in the store"), "{text}");

    database.tamper(&format!("ALTER ROLE {role} SET default_transaction_read_only = on")).await;
    database.tamper(&format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")).await;
    let text = refusal(&url).await;
    assert!(text.contains("is read-only: nothing was written"), "{text}");
    database.tamper(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn an_empty_database_reads_as_an_empty_register_and_stays_empty() {
    let database = Postgres::shared().database().await;
    let reader = reading(&database.url()).await.unwrap();
    assert!(reader.customers().await.unwrap().is_empty());
    assert_eq!(reader.load("contoso").await.unwrap().revision, 0);
    let mut connection = database.raw().await;
    let tables: i64 = sqlx::query("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'")
        .fetch_one(&mut connection)
        .await
        .unwrap()
        .get(0);
    assert_eq!(tables, 0);
}

#[tokio::test]
async fn what_is_wrong_with_an_address_is_told_without_its_password() {
    let server = Postgres::start(&PostgresOptions { over_tcp: true, ..PostgresOptions::default() });
    let database = server.database().await;
    let right = database.url_by(server.port());
    Store::open(&right).await.unwrap().close().await;
    // A way to the server whose other end is gone, and a server of another kind.
    let [gone, other] = ["", "HTTP/1.1 400 Bad Request\r\n\r\n"].map(|answer| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            connection.read_exact(&mut [0; 8]).unwrap();
            connection.write_all(answer.as_bytes()).unwrap();
        });
        right.replace(&format!(":{}/", server.port()), &format!(":{port}/"))
    });
    for (wrong, expected) in [
        (gone, "whoever answers for the store"),
        (other, "does not speak as PostgreSQL does"),
        (right.replace("correct%20horse", "wrong%20horse"), "refused the role or its password"),
        (right.replace(database.name(), "nowhere"), "does not exist; make the database first"),
        (right.replace(&format!(":{}/", server.port()), ":1/"), "cannot be reached"),
        (format!("{right}?sslmode=require"), "no encrypted connection to the store"),
    ] {
        let text = refusal(&wrong).await;
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("horse"), "{text}");
    }
}

#[tokio::test]
async fn an_encrypted_server_must_be_who_it_says() {
    let server = Postgres::start(&PostgresOptions {
        over_tcp: true,
        certificate: vec!["db.contoso.test", "127.0.0.1"],
        ..PostgresOptions::default()
    });
    let database = server.database().await;
    let url = database.url_by(server.port());
    let authority = server.authority().display();
    let store = Store::open(&format!("{url}?sslmode=verify-full&sslrootcert={authority}")).await.unwrap();
    assert_eq!(store.commit(small("contoso", 0)).await.unwrap().revision, 1);
    let mut connection = database.raw().await;
    let encrypted: i64 = sqlx::query(
        "SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE application_name = 'intake' AND ssl",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap()
    .get(0);
    assert!(encrypted > 0);
    store.close().await;
    // Nobody vouches for it, as far as is known everywhere.
    let text = refusal(&format!("{url}?sslmode=verify-full")).await;
    assert!(text.contains("no encrypted connection to the store"), "{text}");
    // Its certificate is of another name.
    let by_name = url.replace("127.0.0.1", "localhost");
    let text = refusal(&format!("{by_name}?sslmode=verify-full&sslrootcert={authority}")).await;
    assert!(text.contains("no encrypted connection to the store"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_and_comes_back_is_found_again_and_nothing_is_half_written() {
    let mut server = Postgres::start(&PostgresOptions::default());
    let database = server.database().await;
    let store = Store::open(&database.url()).await.unwrap();
    let huge = |revision| Commit {
        accounts: (0..20_000).map(account).collect(),
        events: (0..20_000).map(|_| event("x")).collect(),
        ..commit("contoso", revision)
    };
    assert_eq!(store.commit(small("contoso", 0)).await.unwrap().revision, 1);
    // In the middle of it, for as long as it takes to kill the server.
    let mut holder = database.hold_up("accounts").await;
    let writing = tokio::spawn({
        let store = store.clone();
        let commit = huge(1);
        async move { store.commit(commit).await }
    });
    whoever_waits(&mut holder).await;
    server.kill();
    drop(holder);
    let fault = writing.await.unwrap().unwrap_err();
    assert!(matches!(fault, RegisterFault::Unavailable { .. }), "{fault:?}");
    let text = told(&store.load("contoso").await.unwrap_err());
    assert!(text.contains("cannot be reached"), "{text}");
    server.begin();
    let state = store.load("contoso").await.unwrap();
    assert_eq!((state.revision, state.accounts.len()), (1, 1));
    assert_eq!(store.commit(small("contoso", 1)).await.unwrap().revision, 2);
    assert_eq!(whole(&store.verify("contoso").await.unwrap()), Some(2));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_given_up_and_what_it_did_meanwhile_is_whole() {
    let server = Postgres::start(&PostgresOptions::default());
    let database = server.database().await;
    let store =
        Store::open(&format!("{}&statementTimeout=5s&maxConnections=1", database.url())).await.unwrap();
    store.commit(small("contoso", 0)).await.unwrap();
    let mut connection = database.raw().await;
    // The connection that prepared the store is closed, and may not be gone yet.
    let the_last_one = "SELECT MIN(pid)::bigint FROM pg_stat_activity WHERE application_name = 'intake'
        HAVING COUNT(*) = 1";
    let worker: i64 = wait_for_row(&mut connection, the_last_one).await.get(0);
    let send = |signal: &str| {
        assert!(
            std::process::Command::new("kill")
                .args([signal, &worker.to_string()])
                .status()
                .unwrap()
                .success()
        );
    };
    send("-STOP");
    let begun = Instant::now();
    let text = told(&store.load("contoso").await.unwrap_err());
    assert!(text.contains("did not answer in time") || text.contains("came free in time"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    send("-CONT");
    assert_eq!(store.commit(small("contoso", 1)).await.unwrap().revision, 2);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_leaves_the_store_usable() {
    let server = Postgres::start_with_small_disk("12m");
    let database = server.small_database().await;
    let store = Store::open(&database.url()).await.unwrap();
    let huge = |revision| Commit {
        accounts: (0..20_000).map(account).collect(),
        events: (0..20_000).map(|_| event("x")).collect(),
        ..commit("contoso", revision)
    };
    assert_eq!(store.commit(small("contoso", 0)).await.unwrap().revision, 1);
    let text = told(&store.commit(huge(1)).await.unwrap_err());
    assert!(text.contains("no space is left for the store"), "{text}");
    assert!(text.contains("nothing was written"), "{text}");
    let state = store.load("contoso").await.unwrap();
    assert_eq!((state.revision, state.accounts.len()), (1, 1));
    assert_eq!(whole(&store.verify("contoso").await.unwrap()), Some(1));
    store.close().await;
}

/// Dropped in the middle of its beginning a transaction can be left open by the driver, and the next write on that
/// connection be lost: nobody may be able to do so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_at_any_moment_cost_no_write() {
    let database = Postgres::shared().database().await;
    let store = Store::open(&format!("{}&maxConnections=2", database.url())).await.unwrap();
    let mut revision = 0;
    for round in 0..60_u64 {
        let gone =
            tokio::time::timeout(Duration::from_micros(50 * round), store.commit(small("contoso", revision)));
        let _ = gone.await;
        // What was begun ends by itself, written or not.
        revision = loop {
            let found = store.load("contoso").await.unwrap().revision;
            match store.commit(small("contoso", found)).await {
                Ok(written) => break written.revision,
                Err(RegisterFault::Stale { .. }) => {}
                Err(fault) => panic!("{fault}"),
            }
        };
        let mut connection = database.raw().await;
        let seen: i64 =
            sqlx::query("SELECT revision FROM customers").fetch_one(&mut connection).await.unwrap().get(0);
        assert!(u64::try_from(seen).unwrap() >= revision, "a commit that was told is not there");
        connection.close().await.unwrap();
    }
    assert_eq!(
        store.load("contoso").await.unwrap().revision,
        whole(&store.verify("contoso").await.unwrap()).unwrap()
    );
    store.close().await;
}

/// Its JSON holds the NUL as an escape, which PostgreSQL cannot turn back into a character.
#[tokio::test]
async fn removals_are_counted_also_of_people_whose_names_hold_a_nul() {
    let database = Postgres::shared().database().await;
    let store = Store::open(&database.url()).await.unwrap();
    let mut removed = event("Ja\0ne");
    removed.kind = EventKind::AccountRemoved;
    removed.details = json!({"before": {"displayName": "Ja\0ne \\u0000", "state": "active"}});
    let mut ended = removed.clone();
    ended.details = json!({"before": {"displayName": "\0", "state": "pendingRemoval"}});
    store.commit(Commit { events: vec![removed, ended], ..commit("contoso", 0) }).await.unwrap();
    assert_eq!(store.removals_since(at(0)).await.unwrap(), 1);
    store.close().await;
}

/// A name is as long as somebody makes it; a page of an index is not.
#[tokio::test]
async fn names_of_any_length_are_held_and_listed() {
    let database = Postgres::shared().database().await;
    let store = Store::open(&database.url()).await.unwrap();
    let mut accounts: Vec<_> = (1..4).map(account).collect();
    for (account, letter) in accounts.iter_mut().zip(["z", "\u{1f980}", "a"]) {
        account.profile.sam_account_name = letter.repeat(10_000).into();
        account.profile.display_name = letter.repeat(10_000).into();
    }
    store.commit(Commit { accounts: accounts.clone(), ..commit("contoso", 0) }).await.unwrap();
    let query = AccountQuery { limit: 2, ..AccountQuery::default() };
    let first = store.browse().account_page(&query).await.unwrap();
    let second =
        store.browse().account_page(&AccountQuery { after: first.next.clone(), ..query }).await.unwrap();
    let listed: Vec<_> =
        first.accounts.into_iter().chain(second.accounts).map(|(_, account)| account).collect();
    assert_eq!(listed, [accounts[2].clone(), accounts[0].clone(), accounts[1].clone()]);
    store.close().await;
}
