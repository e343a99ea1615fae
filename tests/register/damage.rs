//! Files that are no store, or no longer: told apart, and left as they are.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::PermissionsExt as _;

use intake::adapters::store::connection::Store;
use intake::model::contact_match::{ContactChanges, ContactMatch, MatchStatus};
use intake::model::guid::Guid;
use intake::model::register::{Commit, Measures, Sighting};
use intake::ports::register::{ChainCheck, Register as _, RegisterFault, RegisterReader as _};

use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::sample::{
    Folder, OneByOne as _, account, at, commit, contact, event, raw, small, tamper, url, whole,
};

/// A fault with its causes, as a person sees it.
fn told(fault: &RegisterFault) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A store of one commit, closed.
async fn closed() -> Folder {
    let folder = Folder::new();
    let store = folder.open().await;
    store.commit(small("contoso", 0)).await.unwrap();
    store.close().await;
    folder
}

#[tokio::test]
async fn a_store_is_readable_for_its_owner_alone() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.commit(small("contoso", 0)).await.unwrap();
    assert_eq!(folder.files(), ["intake.db", "intake.db-shm", "intake.db-wal"]);
    for name in folder.files() {
        let mode = fs::metadata(folder.folder().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    store.close().await;
    assert_eq!(folder.files(), ["intake.db"]);
}

#[tokio::test]
async fn a_store_in_a_folder_that_is_not_there_is_refused_with_advice() {
    let folder = Folder::new();
    let fault = Store::open(&url(&folder.folder().join("no/intake.db"))).await.unwrap_err();
    assert!(told(&fault).contains("its folder does not exist; make the folder first"), "{}", told(&fault));
    let fault = Store::open(&url(folder.folder())).await.unwrap_err();
    assert!(told(&fault).contains("cannot be opened: is a directory"), "{}", told(&fault));
    assert!(folder.files().is_empty());
}

#[tokio::test]
async fn reading_makes_no_file_and_leaves_none_behind() {
    let folder = Folder::new();
    let reader = Store::open_reading(&folder.url()).await.unwrap();
    assert_eq!(reader.load("contoso").await.unwrap().revision, 0);
    assert_eq!(whole(&reader.verify("contoso").await.unwrap()), Some(0));
    assert!(folder.files().is_empty());

    // The very same reader sees what is written later, also while the writer is there.
    let store = folder.open().await;
    store.commit(small("contoso", 0)).await.unwrap();
    assert_eq!(reader.load("contoso").await.unwrap().accounts, [account(1)]);
    store.close().await;

    let before = fs::read(folder.path()).unwrap();
    let reader = Store::open_reading(&folder.url()).await.unwrap();
    assert_eq!(reader.customers().await.unwrap(), ["contoso"]);
    assert_eq!(reader.events(None).await.unwrap().len(), 1);
    assert_eq!(folder.files(), ["intake.db"]);
    assert!(fs::read(folder.path()).unwrap() == before);
}

#[tokio::test]
async fn a_store_that_somebody_emptied_is_not_taken_for_a_new_one() {
    let folder = closed().await;
    fs::write(folder.path(), "").unwrap();
    let fault = Store::open(&folder.url()).await.unwrap_err();
    assert!(matches!(fault, RegisterFault::Damaged { .. }), "{fault:?}");
    assert!(fault.to_string().ends_with("delete it if a new store is meant"), "{fault}");
    assert_eq!(fs::metadata(folder.path()).unwrap().len(), 0);
    assert_eq!(folder.files(), ["intake.db"]);
    fs::remove_file(folder.path()).unwrap();
    assert_eq!(folder.open().await.commit(small("contoso", 0)).await.unwrap().revision, 1);
}

#[tokio::test]
async fn reading_where_no_folder_is_is_an_error_and_no_empty_register() {
    let folder = Folder::new();
    let fault = Store::open_reading(&url(&folder.folder().join("no/intake.db"))).await.unwrap_err();
    assert!(
        told(&fault).ends_with("no/intake.db` cannot be opened: its folder does not exist"),
        "{}",
        told(&fault)
    );
    // A folder that goes away later does not empty the register either.
    let nested = folder.folder().join("state");
    fs::create_dir(&nested).unwrap();
    let reader = Store::open_reading(&url(&nested.join("intake.db"))).await.unwrap();
    assert!(reader.customers().await.unwrap().is_empty());
    fs::remove_dir(&nested).unwrap();
    assert!(matches!(reader.customers().await.unwrap_err(), RegisterFault::Unavailable { .. }));
}

#[tokio::test]
async fn a_store_that_is_dropped_is_one_file_afterwards() {
    let folder = Folder::new();
    let store = folder.open().await;
    let again = store.clone();
    store.commit(small("contoso", 0)).await.unwrap();
    drop(store);
    again.commit(small("contoso", 1)).await.unwrap();
    assert_eq!(folder.files(), ["intake.db", "intake.db-shm", "intake.db-wal"]);
    drop(again);
    assert_eq!(folder.files(), ["intake.db"]);
    assert_eq!(folder.open().await.load("contoso").await.unwrap().revision, 2);
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_as_it_is() {
    let text = b"kind: Customer\n".to_vec();
    let noise: Vec<u8> =
        (0..20_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut header = closed_bytes().await;
    header[..16].copy_from_slice(b"SQLite format 4\0");
    let foreign = {
        let folder = Folder::new();
        tamper(&folder.path(), "CREATE TABLE accounts (id INTEGER); INSERT INTO accounts VALUES (1)").await;
        fs::read(folder.path()).unwrap()
    };
    let foreign_mark = {
        let folder = Folder::new();
        tamper(&folder.path(), "PRAGMA application_id = 7").await;
        fs::read(folder.path()).unwrap()
    };
    for (name, bytes) in [
        ("text", text),
        ("noise", noise),
        ("another format", header),
        ("another program's tables", foreign),
        ("another program's mark", foreign_mark),
    ] {
        let folder = Folder::new();
        fs::write(folder.path(), &bytes).unwrap();
        for fault in [
            Store::open(&folder.url()).await.expect_err(name),
            Store::open_reading(&folder.url()).await.expect_err(name),
        ] {
            // It is not the store that is broken: another file is meant.
            assert!(matches!(fault, RegisterFault::Unavailable { .. }), "{name}: {fault:?}");
            assert!(told(&fault).contains("intake.db` is no store of Intake: it is "), "{}", told(&fault));
        }
        assert!(fs::read(folder.path()).unwrap() == bytes, "{name} was changed");
        assert_eq!(folder.files(), ["intake.db"], "{name}");
    }
}

async fn closed_bytes() -> Vec<u8> {
    fs::read(closed().await.path()).unwrap()
}

#[tokio::test]
async fn a_file_that_was_cut_or_overwritten_in_the_middle_is_damaged() {
    let folder = Folder::new();
    let store = folder.open().await;
    let all = |revision| Commit { accounts: (0..2000).map(account).collect(), ..small("contoso", revision) };
    store.commit(all(0)).await.unwrap();
    store.close().await;
    let whole = fs::read(folder.path()).unwrap();

    fs::write(folder.path(), &whole[..whole.len() / 2]).unwrap();
    let cut = match Store::open_reading(&folder.url()).await {
        Ok(reader) => reader.load("contoso").await.expect_err("half of a file is no whole one"),
        Err(fault) => fault,
    };
    assert!(matches!(cut, RegisterFault::Damaged { .. }), "{cut:?}");

    fs::write(folder.path(), &whole).unwrap();
    let file = fs::OpenOptions::new().write(true).open(folder.path()).unwrap();
    // The first pages hold the schema and the tables' roots; all behind them is struck.
    let kept = 48 * 4096;
    file.write_all_at(&vec![0xa5; whole.len() - kept], kept as u64).unwrap();
    drop(file);
    let struck = fs::read(folder.path()).unwrap();
    let store = folder.open().await;
    let fault = store.load("contoso").await.unwrap_err();
    assert!(matches!(fault, RegisterFault::Damaged { .. }), "{fault:?}");
    let fault = store.commit(all(1)).await.unwrap_err();
    assert!(matches!(fault, RegisterFault::Damaged { .. }), "{fault:?}");
    store.close().await;
    assert!(fs::read(folder.path()).unwrap() == struck, "nothing is written into a damaged file");
}

#[tokio::test]
async fn a_store_of_a_later_version_is_refused_and_left_as_it_is() {
    let folder = closed().await;
    tamper(&folder.path(), "PRAGMA user_version = 99").await;
    let before = fs::read(folder.path()).unwrap();
    let fault = Store::open(&folder.url()).await.unwrap_err();
    assert!(matches!(fault, RegisterFault::Newer), "{fault:?}");
    let fault = Store::open_reading(&folder.url()).await.unwrap_err();
    assert!(matches!(fault, RegisterFault::Newer), "{fault:?}");
    assert!(fs::read(folder.path()).unwrap() == before);
}

#[tokio::test]
async fn a_store_that_a_later_version_migrates_meanwhile_is_written_no_more() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.commit(small("contoso", 0)).await.unwrap();
    tamper(&folder.path(), "PRAGMA user_version = 99").await;
    let fault = store.commit(small("contoso", 1)).await.unwrap_err();
    assert!(matches!(fault, RegisterFault::Newer), "{fault:?}");
    let fault = store.load("contoso").await.unwrap_err();
    assert!(matches!(fault, RegisterFault::Newer), "{fault:?}");
}

#[tokio::test]
async fn a_store_of_an_earlier_version_is_not_migrated_by_reading() {
    let folder = closed().await;
    tamper(&folder.path(), "PRAGMA user_version = 0").await;
    let before = fs::read(folder.path()).unwrap();
    let fault = Store::open_reading(&folder.url()).await.unwrap_err();
    assert!(told(&fault).contains("`intake apply` or `intake run` brings it up to date"), "{}", told(&fault));
    assert!(fs::read(folder.path()).unwrap() == before);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_store_as_it_was() {
    let folder = closed().await;
    let mut connection = raw(&folder.path()).await;
    let version = sqlx::query("PRAGMA user_version").fetch_one(&mut connection).await.unwrap();
    let version: i64 = version.get(0);
    connection.close().await.unwrap();
    // Says that no step was taken; the first one then finds its tables there already.
    tamper(&folder.path(), "PRAGMA user_version = 0").await;
    let fault = Store::open(&folder.url()).await.unwrap_err();
    assert!(told(&fault).contains("already exists"), "{}", told(&fault));
    let mut connection = raw(&folder.path()).await;
    let restored = AssertSqlSafe(format!("PRAGMA user_version = {version}"));
    sqlx::raw_sql(restored).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let store = folder.open().await;
    assert_eq!(store.load("contoso").await.unwrap().accounts, [account(1)]);
    assert_eq!(store.commit(small("contoso", 1)).await.unwrap().revision, 2);
}

#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up_to_date_with_all_that_it_holds() {
    let folder = closed().await;
    // What the later steps added.
    tamper(
        &folder.path(),
        "DROP INDEX outbox_due; DROP TABLE publications; DROP TABLE targets; \
         DROP INDEX accounts_listed; DROP INDEX events_by_account; DROP INDEX events_by_customer_time; ALTER TABLE accounts DROP COLUMN listed_as; \
         ALTER TABLE accounts DROP COLUMN searched; DROP TABLE contact_matches; \
         DROP TABLE documentation_statuses; DROP TABLE suspensions; DROP TABLE tree; DROP TABLE sync_states; ALTER TABLE events DROP COLUMN readings; DROP TABLE readings; \
         ALTER TABLE statuses DROP COLUMN licensed_outside_scope; \
         ALTER TABLE statuses DROP COLUMN in_scope_without_license; \
         DROP INDEX events_by_time; DROP TABLE sightings; PRAGMA user_version = 1",
    )
    .await;
    let store = folder.open().await;
    assert_eq!(store.load("contoso").await.unwrap().accounts, [account(1)]);
    // The outbox is another table since, with all that waits in it.
    let due = store.due(at(99), 10).await.unwrap();
    assert_eq!(due.iter().map(|one| (one.id, one.key.as_str())).collect::<Vec<_>>(), [(1, "contoso-0")]);
    let seen = Sighting { server: "CN=DC1".into(), out: vec![Guid::from_u128(7)] };
    let measures = Measures { sightings: BTreeMap::from([("main".into(), seen)]), ..Measures::default() };
    store.record_measures("contoso", &measures, 1).await.unwrap();
    assert_eq!(store.load("contoso").await.unwrap().measures, measures);
}

#[tokio::test]
async fn contacts_of_a_version_that_recorded_no_choices_stay_and_have_none() {
    let folder = Folder::new();
    let store = folder.open().await;
    let failed = contact("glue", 1, MatchStatus::Failed);
    let chosen = ContactMatch { unfollowed: ["7".into()].into(), ..failed.clone() };
    let contacts = ContactChanges { written: vec![chosen], ..ContactChanges::default() };
    store.commit(Commit { accounts: vec![account(1)], contacts, ..commit("contoso", 0) }).await.unwrap();
    assert_eq!(store.load("contoso").await.unwrap().unfollowed.len(), 1);
    store.close().await;
    tamper(
        &folder.path(),
        "DROP INDEX outbox_due; DROP TABLE publications; DROP TABLE targets; \
         DROP INDEX contact_matches_by_status; DROP INDEX contact_matches_unfollowed; \
         ALTER TABLE contact_matches DROP COLUMN unfollowed; \
         DROP INDEX accounts_listed; DROP INDEX events_by_account; DROP INDEX events_by_customer_time; \
         ALTER TABLE accounts DROP COLUMN listed_as; ALTER TABLE accounts DROP COLUMN searched; PRAGMA user_version = 11",
    )
    .await;
    let store = folder.open().await;
    assert_eq!(store.contacts(None).await.unwrap(), [("contoso".into(), failed)]);
    assert!(store.load("contoso").await.unwrap().unfollowed.is_empty());
    store.close().await;
    // What is no list of ids is damage, and no choice.
    tamper(&folder.path(), "UPDATE contact_matches SET unfollowed = '{}'").await;
    let reader = Store::open_reading(&folder.url()).await.unwrap();
    match reader.load("contoso").await {
        Err(RegisterFault::Damaged { what }) => {
            assert!(what.contains("`{}` is no value of choices"), "{what}")
        }
        other => panic!("{other:?}"),
    }
}

/// The hashes were computed by hand, by the formula of the versions that recorded no readings.
const OLD_EVENTS: &str = r#"
    DELETE FROM events;
    INSERT INTO events (id, customer, sequence, at, run, tree_revision, kind, account_type, account_id, subject,
        details, hash)
    VALUES
        (1, 'contoso', 1, 1793491210000000, 'run-1', 'tree-1', 'account.added', 'EndUser',
         '00000000-0000-0000-0000-000000000007', 'Jane', '{"after":{"displayName":"Jane"},"before":null}',
         'sha256:a2aaea56406b5e3fe5c597f0f6787589d330e989f52dde408da207d3b740c185'),
        (2, 'contoso', 2, 1793491210000001, 'run-1', 'tree-1', 'source.pinned', NULL, NULL, 'tenant',
         '{"after":"t","before":null,"pin":"tenant"}',
         'sha256:c123a8bd65750a6d29c9e5f14b75f5729ecfa88f1ee2faaa2856382fcbf63867');
    UPDATE customers SET events = 2,
        last_hash = 'sha256:c123a8bd65750a6d29c9e5f14b75f5729ecfa88f1ee2faaa2856382fcbf63867';
    DROP INDEX outbox_due; DROP TABLE publications;
    DROP TABLE targets;
    ALTER TABLE events DROP COLUMN readings;
    DROP TABLE sync_states;
    ALTER TABLE readings DROP COLUMN read_from;
    DROP TABLE suspensions;
    DROP TABLE contact_matches;
    DROP TABLE documentation_statuses;
    DROP TABLE tree;
    DROP INDEX accounts_listed;
    DROP INDEX events_by_account; DROP INDEX events_by_customer_time;
    ALTER TABLE accounts DROP COLUMN listed_as;
    ALTER TABLE accounts DROP COLUMN searched;
    PRAGMA user_version = 5"#;

#[tokio::test]
async fn events_of_a_version_that_recorded_no_readings_stay_whole_and_new_ones_follow_them() {
    let folder = closed().await;
    tamper(&folder.path(), "DROP TRIGGER events_are_not_deleted").await;
    tamper(&folder.path(), OLD_EVENTS).await;
    let store = folder.open().await;
    assert_eq!(whole(&store.verify("contoso").await.unwrap()), Some(2));
    store.commit(small("contoso", 1)).await.unwrap();
    assert_eq!(whole(&store.verify("contoso").await.unwrap()), Some(3));
    let events = store.events(Some("contoso")).await.unwrap();
    let from: Vec<bool> = events.iter().map(|event| event.readings.is_some()).collect();
    assert_eq!(from, [false, false, true]);
    store.close().await;
    // An old event is no place for readings that nobody recorded.
    tamper(&folder.path(), "DROP TRIGGER events_are_not_changed").await;
    tamper(
        &folder.path(),
        "UPDATE events SET readings = '{\"directories\":{},\"tenant\":null}' WHERE id = 1",
    )
    .await;
    let broken = ChainCheck::Broken { sequence: 1, what: "changed".into() };
    assert_eq!(store.verify("contoso").await.unwrap(), broken);
}

#[tokio::test]
async fn a_value_that_intake_never_writes_is_named() {
    for (sql, expected) in [
        ("UPDATE accounts SET state = 'odd' || CHAR(27)", "`odd\\u{1b}` is no value of the state"),
        ("UPDATE accounts SET id = 'x'", "`x` is no value of the id"),
        ("UPDATE accounts SET password_sync = 2", "`2` is no value of yes or no"),
        ("UPDATE accounts SET imported_at = 9223372036854775807", "is no value of the time"),
        ("UPDATE accounts SET state = 'removed', since = 1, reason = 'why', approved = 0", "of the reason"),
        ("UPDATE customers SET pins = '{}'", "`{}` is no value of pins"),
        ("UPDATE customers SET revision = -1", "`-1` is no value of a revision"),
        ("INSERT INTO measures VALUES ('contoso', 'tenant', '', x'00')", "middle of an id"),
        ("INSERT INTO sightings VALUES ('contoso', 'main', 'dc1', x'00')", "middle of an id"),
        ("UPDATE accounts SET display_name = CAST(x'ff' AS TEXT)", "utf-8"),
    ] {
        let folder = closed().await;
        let mut connection = raw(&folder.path()).await;
        sqlx::raw_sql("PRAGMA ignore_check_constraints = ON").execute(&mut connection).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        sqlx::Connection::close(connection).await.unwrap();
        let reader = Store::open_reading(&folder.url()).await.unwrap();
        match reader.load("contoso").await {
            Err(RegisterFault::Damaged { what }) => assert!(what.contains(expected), "{sql}: {what}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_audit_record_refuses_to_be_changed() {
    let folder = closed().await;
    let mut connection = raw(&folder.path()).await;
    for sql in ["UPDATE events SET subject = 'x'", "DELETE FROM events"] {
        let error = sqlx::raw_sql(sql).execute(&mut connection).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}

#[tokio::test]
async fn whoever_changes_the_audit_record_behind_its_back_breaks_the_chain() {
    let broken = |sequence: u64, what: &str| Err((sequence, what.to_owned()));
    for (sql, expected) in [
        ("SELECT 1", Ok(5)),
        ("UPDATE events SET subject = 'x' WHERE sequence = 3 AND customer = 'contoso'", broken(3, "changed")),
        ("UPDATE events SET details = details || ' ' WHERE sequence = 1", broken(1, "changed")),
        ("UPDATE events SET at = at + 1 WHERE sequence = 5", broken(5, "changed")),
        ("UPDATE events SET account_type = NULL, account_id = NULL WHERE sequence = 2", broken(2, "changed")),
        ("UPDATE events SET hash = 'sha256:00' WHERE sequence = 4", broken(4, "changed")),
        ("UPDATE events SET readings = NULL WHERE sequence = 2", broken(2, "changed")),
        (
            "UPDATE events SET readings = '{\"directories\":{},\"tenant\":null}' WHERE sequence = 3",
            broken(3, "changed"),
        ),
        ("DELETE FROM events WHERE sequence = 2", broken(2, "missing")),
        ("DELETE FROM events WHERE sequence = 1", broken(1, "missing")),
        ("DELETE FROM events WHERE sequence = 5", broken(5, "missing: the register counts 5 events")),
        ("DELETE FROM events", broken(1, "missing: the register counts 5 events")),
        (
            "UPDATE events SET sequence = 99 WHERE sequence = 2; UPDATE events SET sequence = 2 WHERE sequence = 3;
             UPDATE events SET sequence = 3 WHERE sequence = 99",
            broken(2, "reordered: the event that belongs here is number 3"),
        ),
        (
            "DELETE FROM events WHERE sequence = 2;
             UPDATE events SET sequence = sequence - 1 WHERE sequence > 2 AND customer = 'contoso'",
            broken(2, "changed"),
        ),
        (
            "INSERT INTO events SELECT NULL, customer, 6, at, run, tree_revision, kind, account_type, account_id,
             subject, details, hash, readings FROM events WHERE sequence = 5",
            broken(6, "added: the register counts 5 events"),
        ),
        (
            "UPDATE customers SET last_hash = 'sha256:00' WHERE name = 'contoso'",
            broken(5, "changed, with its hash"),
        ),
    ] {
        let folder = Folder::new();
        let store = folder.open().await;
        let events = |from: u64, to: u64| (from..=to).map(|number| event(&format!("{number}"))).collect();
        store.commit(Commit { events: events(1, 3), ..commit("contoso", 0) }).await.unwrap();
        store.commit(Commit { events: events(4, 5), ..commit("contoso", 1) }).await.unwrap();
        store.close().await;
        tamper(&folder.path(), "DROP TRIGGER events_are_not_changed; DROP TRIGGER events_are_not_deleted").await;
        tamper(&folder.path(), sql).await;
        let found = match store.verify("contoso").await.unwrap() {
            ChainCheck::Whole(head) => Ok(head.events),
            ChainCheck::Broken { sequence, what } => Err((sequence, what)),
        };
        assert_eq!(found, expected, "{sql}");
    }
}
