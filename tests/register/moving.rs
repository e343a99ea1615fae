//! Moving and checking a store: what is copied is all of it and the same, what is cut off leaves nothing, and what is
//! damaged is told with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use intake::adapters::store::connection::Store;
use intake::adapters::store::moving;
use intake::adapters::store::tables::{Kind, TABLES};
use intake::model::account::{Account, Profile};
use intake::model::contact_match::{ContactChanges, DocumentationStatus, MatchStatus};
use intake::model::digest::Digest;
use intake::model::guid::Guid;
use intake::model::publication::PublicationStatus;
use intake::model::register::{
    Commit, CustomerStatus, Measures, PackedReadings, Sighting, Suspension, SuspensionChange,
};
use intake::model::tenant::SyncState;
use intake::model::tree_status::TreeStatus;
use intake::ports::publishing::Publications as _;
use intake::ports::register::{ChainCheck, Register as _, RegisterFault, RegisterReader as _};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::support::postgres::{Database, Postgres, PostgresOptions, wait_for_row, whoever_waits};

use super::contract::full;
use super::publications;
use super::sample::{
    Folder, OneByOne as _, account, at, commit, contact, delivery, event, raw, small, tamper, url, whole,
};

fn told(fault: &RegisterFault) -> String {
    let cause = fault.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{fault}{cause}")
}

/// A name that no database is fond of.
fn hostile() -> String {
    format!("a\0b\u{202e}\u{f5fe}0'\"$1?{}", "ü\u{1f600}".repeat(5_000))
}

/// Writes something into every table, with everything in it that may be missing and everything that may be there.
async fn furnish(store: &Store) {
    store.commit(full()).await.unwrap();
    let name = hostile();
    let strange = Account {
        profile: Profile { display_name: name.as_str().into(), ..account(70).profile },
        ..account(70)
    };
    let contacts = [MatchStatus::Matched, MatchStatus::Unmatched, MatchStatus::Ambiguous];
    let mut contacts: Vec<_> =
        (1..).zip(contacts).map(|(number, status)| contact("glue", number, status)).collect();
    contacts[2].unfollowed = BTreeSet::from(["72".into()]);
    store
        .commit(Commit {
            accounts: vec![strange],
            events: vec![event(&name), event("second")],
            deliveries: ["two", "three", "four"].map(|key| delivery("hr", key)).into(),
            holds: full().holds,
            pins: full().pins,
            contacts: ContactChanges { written: contacts, forgotten: Vec::new() },
            suspension: SuspensionChange::Suspend(Suspension {
                at: at(5),
                by: "ops".into(),
                reason: name.clone(),
            }),
            ..commit("contoso", 1)
        })
        .await
        .unwrap();
    store.commit(small("fabrikam", 0)).await.unwrap();
    // More rows than are written together, and than are read together.
    let many = Commit { accounts: (100..1_333).map(account).collect(), ..commit("fabrikam", 1) };
    store.commit(Commit { events: (0..777).map(|_| event("x")).collect(), ..many }).await.unwrap();
    let due = store.due(at(100), 10).await.unwrap();
    store.delivered(due[0].id, at(20)).await.unwrap();
    store.failed(due[1].id, Some(at(30)), &name).await.unwrap();
    store.failed(due[2].id, None, "given up").await.unwrap();
    let ready = CustomerStatus {
        customer: "contoso".into(),
        state: "ready".into(),
        last_attempt: at(1),
        last_success: Some(at(1)),
        failures: 0,
        next_attempt: None,
        tree_revision: "tree-1".into(),
        message: name.clone(),
        reports: None,
    };
    store.record_status(&ready, &[]).await.unwrap();
    // Of somebody who was never committed.
    let failing = CustomerStatus { customer: "adatum".into(), failures: 3, ..ready };
    store.record_status(&failing, &[delivery("hook", "adatum/1/failed")]).await.unwrap();
    let ids: Vec<Guid> = (1..1_000).map(Guid::from_u128).collect();
    let measures = Measures {
        directories: BTreeMap::from([("main".into(), ids.clone()), ("nul\0".into(), Vec::new())]),
        tenant: Some(ids.clone()),
        sightings: BTreeMap::from([("main".into(), Sighting { server: "dc1".into(), out: ids })]),
    };
    store.record_measures("contoso", &measures, 2).await.unwrap();
    for customer in ["contoso", "fabrikam", "adatum", "a", "b", "c"] {
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let digest = Digest::of(customer.as_bytes());
        let packed = PackedReadings { at: at(3), digest, read_from: None, content: Some(content.clone()) };
        store.record_readings(customer, packed).await.unwrap();
        let state = SyncState { generation: 0, position: vec![0, 255], content: Some(content) };
        store.record_sync_state(customer, state).await.unwrap();
    }
    let tree = TreeStatus {
        source: "git".into(),
        revision: "abc".into(),
        commit: None,
        since: at(1),
        looked_at: at(2),
        problems: 3,
        fault: None,
    };
    store.record_tree(&tree).await.unwrap();
    store.record_tree_fault(&name, at(3)).await.unwrap();
    let documented = DocumentationStatus {
        customer: "contoso".into(),
        connection: "glue".into(),
        organization: "12".into(),
        last_attempt: at(1),
        last_success: None,
        fault: Some(name),
        saw_organization: true,
    };
    store.record_documentation(&[documented]).await.unwrap();
    let published = publications::publication(1, PublicationStatus::Waiting);
    store.record(publications::record("contoso", &[], &[published])).await.unwrap();
    store.record_answer("hr", Some("it refused\0"), at(4)).await.unwrap();
    store.record_comparison("hr", None, at(5)).await.unwrap();
}

async fn furnished() -> Folder {
    let folder = Folder::new();
    let store = folder.open().await;
    furnish(&store).await;
    store.close().await;
    folder
}

/// All rows of all tables of a file, bit by bit, without a word of what is tested.
async fn dump(path: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut connection = raw(path).await;
    let tables =
        "SELECT m.name, group_concat('typeof(' || p.name || ') || hex(' || p.name || ')', ' || '','' || ')
        FROM sqlite_master m JOIN pragma_table_info(m.name) p
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' GROUP BY m.name";
    let mut dumped = BTreeMap::new();
    for table in sqlx::query(tables).fetch_all(&mut connection).await.unwrap() {
        let (name, columns): (String, String) = (table.get(0), table.get(1));
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT {columns} FROM {name}")))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        dumped.insert(name, rows.iter().map(|row| row.get(0)).collect());
    }
    connection.close().await.unwrap();
    dumped
}

async fn is_empty(database: &Database) -> bool {
    let mut connection = database.raw().await;
    for table in TABLES {
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT COUNT(*) FROM {}", table.name)));
        let rows: i64 = rows.fetch_one(&mut connection).await.unwrap().get(0);
        if rows > 0 {
            return false;
        }
    }
    true
}

/// One side waits for the other one within its transaction: that is no replica that stands still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_one_side_of_which_is_busy_for_longer_than_a_lease_is_whole_all_the_same() {
    for (busy, lock) in [(0, "ACCESS EXCLUSIVE"), (1, "ROW EXCLUSIVE")] {
        let databases = [Postgres::shared().database().await, Postgres::shared().database().await];
        let [from, to] = [0, 1].map(|which: usize| format!("{}&lease=2s", databases[which].url()));
        let source = Store::open(&from).await.unwrap();
        furnish(&source).await;
        source.close().await;
        Store::open(&to).await.unwrap().close().await;
        let mut other = databases[busy].raw().await;
        let lock = format!("BEGIN; LOCK TABLE events IN {lock} MODE");
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut other).await.unwrap();
        let copying = tokio::spawn(async move { moving::copy(&from, &to).await });
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert!(!copying.is_finished(), "it waits for who has the table");
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
        let copied = copying.await.unwrap().map_err(|fault| told(&fault)).unwrap();
        assert_eq!(copied.rows("events"), 782);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_to_a_server_and_comes_back_is_the_same_everywhere() {
    let here = furnished().await;
    let database = Postgres::shared().database().await;
    let there = moving::copy(&here.url(), &database.url()).await.unwrap();
    assert!(there.tables.iter().all(|table| table.rows > 0), "the sample has all: {there:?}");
    assert_eq!((there.rows("customers"), there.rows("accounts"), there.rows("events")), (2, 1_240, 782));
    assert!(there.damage.is_empty(), "{:?}", there.damage);

    let server = Store::open(&database.url()).await.unwrap();
    let file = here.open().await;
    for customer in ["contoso", "fabrikam", "adatum"] {
        let (left, right) = (server.load(customer).await.unwrap(), file.load(customer).await.unwrap());
        assert_eq!((left.revision, left.accounts), (right.revision, right.accounts));
        assert_eq!((left.pins, left.holds), (right.pins, right.holds));
        assert_eq!((left.measures, left.suspension), (right.measures, right.suspension));
        let readings = server.readings(customer).await.unwrap();
        assert_eq!(readings.unwrap().content.unwrap().len(), 400_000);
    }
    assert_eq!(server.accounts(None).await.unwrap(), file.accounts(None).await.unwrap());
    assert_eq!(server.events(None).await.unwrap(), file.events(None).await.unwrap());
    assert_eq!(server.statuses().await.unwrap(), file.statuses().await.unwrap());
    assert_eq!(server.contacts(None).await.unwrap(), file.contacts(None).await.unwrap());
    assert_eq!(server.late_deliveries("").await.unwrap(), file.late_deliveries("").await.unwrap());
    assert_eq!(server.due(at(500), 100).await.unwrap(), file.due(at(500), 100).await.unwrap());
    file.close().await;

    let back = Folder::new();
    let again = moving::copy(&database.url(), &back.url()).await.unwrap();
    assert_eq!(again, there);
    let (left, right) = (dump(&here.path()).await, dump(&back.path()).await);
    assert_eq!(left.len(), TABLES.len());
    for (table, rows) in &left {
        assert!(right[table] == *rows, "{table}");
    }

    // Both go on where the first one was.
    let home = back.open().await;
    for store in [&server, &home] {
        let before = store.events(Some("fabrikam")).await.unwrap().len();
        assert_eq!(store.commit(small("fabrikam", 2)).await.unwrap().revision, 3);
        assert_eq!(store.commit(small("new", 0)).await.unwrap().revision, 1);
        assert_eq!(whole(&store.verify("fabrikam").await.unwrap()), Some(before as u64 + 1));
        assert!(store.reader().check().await.unwrap().unwrap().is_whole());
    }
    server.close().await;
    home.close().await;
}

/// What holds a copy up at the server, until a test lets it go on.
async fn held_up(database: &Database) -> sqlx::PgConnection {
    Store::open(&database.url()).await.unwrap().close().await;
    // Its last table.
    database.hold_up("documentation_statuses").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_cut_off_leaves_nothing() {
    let here = furnished().await;
    let database = Postgres::shared().database().await;
    let mut holder = held_up(&database).await;
    let start = || {
        let (from, to) = (here.url(), database.url());
        tokio::spawn(async move { moving::copy(&from, &to).await })
    };

    // By the server.
    let copying = start();
    let writer = whoever_waits(&mut holder).await;
    sqlx::query("SELECT pg_terminate_backend($1::int)").bind(writer).execute(&mut holder).await.unwrap();
    let text = told(&copying.await.unwrap().unwrap_err());
    assert!(text.contains("stopping or starting") || text.contains("cannot be reached"), "{text}");
    assert!(is_empty(&database).await);

    // By whoever asked for it, who does not wait any more.
    let copying = start();
    whoever_waits(&mut holder).await;
    copying.abort();
    assert!(copying.await.unwrap_err().is_cancelled());
    sqlx::raw_sql("SELECT pg_advisory_unlock(42)").execute(&mut holder).await.unwrap();
    let nobody_writes = "SELECT WHERE NOT EXISTS (SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'intake' AND state <> 'idle')";
    wait_for_row(&mut holder, nobody_writes).await;
    assert!(is_empty(&database).await);

    // The next one finds nothing in its way.
    let copied = start().await.unwrap().unwrap();
    assert_eq!(copied.rows("events"), 782);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_dies_leaves_nothing() {
    let mut server = Postgres::start(&PostgresOptions::default());
    let database = server.database().await;
    let store = Store::open(&database.url()).await.unwrap();
    furnish(&store).await;
    let reader = Store::open_reading(&database.url()).await.unwrap();
    store.close().await;
    let folder = Folder::new();
    let target = folder.open().await;
    server.kill();
    let fault = target.fill_from(&reader).await.unwrap_err();
    assert!(told(&fault).contains("cannot be reached"), "{}", told(&fault));
    assert!(target.customers().await.unwrap().is_empty());
    server.begin();
    assert_eq!(target.fill_from(&reader).await.unwrap().rows("accounts"), 1_240);
    target.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_empty_is_refused_whatever_it_holds() {
    let (here, there) = (furnished().await, furnished().await);
    let before = dump(&there.path()).await;
    let text = told(&moving::copy(&here.url(), &there.url()).await.unwrap_err());
    assert!(text.contains("it is not empty: there are rows in its table `customers`"), "{text}");
    assert!(dump(&there.path()).await == before);

    let database = Postgres::shared().database().await;
    let store = Store::open(&database.url()).await.unwrap();
    store
        .record_sync_state("x", SyncState { generation: 0, position: vec![], content: Some(vec![]) })
        .await
        .unwrap();
    let text = told(&moving::copy(&here.url(), &database.url()).await.unwrap_err());
    assert!(text.contains("rows in its table `sync_states`"), "{text}");
    // Also by who looks only when it writes.
    let reader = Store::open_reading(&here.url()).await.unwrap();
    let text = told(&store.fill_from(&reader).await.unwrap_err());
    assert!(text.contains("nothing was copied into") && text.contains("`sync_states`"), "{text}");
    assert!(store.customers().await.unwrap().is_empty());
    store.close().await;
}

#[tokio::test]
async fn an_older_store_is_no_source_and_one_that_is_not_there_neither() {
    let here = furnished().await;
    tamper(&here.path(), "PRAGMA user_version = 3").await;
    let there = Folder::new();
    let text = told(&moving::copy(&here.url(), &there.url()).await.unwrap_err());
    assert!(text.ends_with("`intake apply` or `intake run` brings it up to date"), "{text}");
    assert!(there.files().is_empty(), "nothing is made for what cannot be copied");
    // Nor is an older one brought up to date that is written into.
    let text = told(&moving::copy(&there.url(), &here.url()).await.unwrap_err());
    assert!(text.ends_with("`intake apply` or `intake run` brings it up to date"), "{text}");

    let (nothing, folder) = (Folder::new(), Folder::new());
    let text = told(&moving::copy(&nothing.url(), &folder.url()).await.unwrap_err());
    assert!(text.contains("there is nothing to copy"), "{text}");
}

#[tokio::test]
async fn a_destination_that_changes_what_it_is_given_is_told_by_its_table() {
    let here = furnished().await;
    let database = Postgres::shared().database().await;
    Store::open(&database.url()).await.unwrap().close().await;
    database
        .tamper(
            "CREATE FUNCTION change() RETURNS TRIGGER LANGUAGE plpgsql AS $$
             BEGIN NEW.searched = upper(NEW.searched); RETURN NEW; END; $$;
             CREATE TRIGGER change BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION change()",
        )
        .await;
    let text = told(&moving::copy(&here.url(), &database.url()).await.unwrap_err());
    assert!(text.contains("its table `accounts` would differ from what was sent"), "{text}");
    assert!(is_empty(&database).await);
}

#[tokio::test]
async fn a_tampered_record_is_told_with_its_place_and_not_copied() {
    let here = furnished().await;
    tamper(
        &here.path(),
        "DROP TRIGGER events_are_not_changed;
         UPDATE events SET subject = 'somebody else' WHERE customer = 'contoso' AND sequence = 2",
    )
    .await;
    let reader = Store::open_reading(&here.url()).await.unwrap();
    let checked = reader.check().await.unwrap().unwrap();
    assert!(!checked.is_whole());
    let broken = ChainCheck::Broken { sequence: 2, what: "changed".to_owned() };
    assert_eq!(checked.chains["contoso"], broken);
    assert_eq!(whole(&checked.chains["fabrikam"]), Some(778));
    let database = Postgres::shared().database().await;
    let text = told(&moving::copy(&here.url(), &database.url()).await.unwrap_err());
    assert!(text.contains("the audit record of `contoso` is broken at event 2: changed"), "{text}");
    assert!(is_empty(&database).await);
    let backup = here.folder().join("backup.db");
    moving::back_up(&here.url(), &backup).await.unwrap_err();
    assert_eq!(here.files(), ["intake.db"]);
}

#[tokio::test]
async fn damaged_rows_are_all_told_with_their_places_and_copied_as_they_are() {
    let here = furnished().await;
    tamper(
        &here.path(),
        "PRAGMA foreign_keys = OFF;
         UPDATE accounts SET tenant_user_id = 'nobody' WHERE customer = 'fabrikam' AND display_name = 'User 101';
         UPDATE customers SET pins = '{}' WHERE name = 'contoso';
         UPDATE outbox SET body = 'half a bo' WHERE id = 1;
         UPDATE readings SET digest = 'sha256:0' WHERE customer = 'adatum';
         UPDATE contact_matches SET candidates = '[' WHERE status = 'ambiguous'",
    )
    .await;
    let reader = Store::open_reading(&here.url()).await.unwrap();
    let checked = reader.check().await.unwrap().unwrap();
    let damage = checked.damage.join("\n");
    for place in [
        "`fabrikam`: `nobody`",
        "`contoso`: `{}`",
        "delivery 1: `half a bo`",
        "`adatum`: `sha256:0`",
        "`contoso`: `[`",
    ] {
        assert!(damage.contains(place), "{place} in\n{damage}");
    }
    assert!(!checked.is_whole());
    let there = Folder::new();
    let copied = moving::copy(&here.url(), &there.url()).await.unwrap();
    assert_eq!(copied.damage, checked.damage);
    assert!(dump(&there.path()).await == dump(&here.path()).await);

    // What nobody answers for is no register, and the database of the copy takes no such rows.
    tamper(
        &here.path(),
        "PRAGMA foreign_keys = OFF;
         INSERT INTO suspensions VALUES ('nobody', 1, 'ops', '')",
    )
    .await;
    let damage = reader.check().await.unwrap().unwrap().damage.join("\n");
    assert!(
        damage.contains("`suspensions`: 1 rows of `nobody`, which is not among the customers"),
        "{damage}"
    );
    let other = Folder::new();
    let text = told(&moving::copy(&here.url(), &other.url()).await.unwrap_err());
    assert!(text.contains("refused the rows: nothing was written"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_store_that_is_written_is_one_state_and_restores_into_an_empty_one() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.commit(small("contoso", 0)).await.unwrap();
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for revision in 1..300 {
            writer.commit(small("contoso", revision)).await.unwrap();
        }
    });
    let mut revisions = BTreeSet::new();
    for number in 0..5 {
        let path = folder.folder().join(format!("backup-{number}.db"));
        let copied = moving::back_up(&folder.url(), &path).await.unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let reader = Store::open_reading(&url(&path)).await.unwrap();
        let state = reader.load("contoso").await.unwrap();
        assert_eq!(state.accounts.len() as u64, state.revision);
        assert_eq!(whole(&reader.verify("contoso").await.unwrap()), Some(state.revision));
        assert_eq!(copied.rows("outbox"), state.revision);
        revisions.insert(state.revision);
    }
    writing.await.unwrap();
    store.close().await;
    assert!(revisions.len() > 1, "nobody wrote meanwhile: {revisions:?}");
    let backups = (0..5).map(|number| format!("backup-{number}.db"));
    assert_eq!(folder.files(), backups.chain(["intake.db".to_owned()]).collect::<Vec<_>>());

    let first = folder.folder().join("backup-0.db");
    let text = told(&moving::back_up(&folder.url(), &first).await.unwrap_err());
    assert!(text.contains("no backup is overwritten"), "{text}");
    let nowhere = folder.folder().join("no/backup.db");
    let text = told(&moving::back_up(&folder.url(), &nowhere).await.unwrap_err());
    assert!(text.contains("make the folder first"), "{text}");

    let restored = Folder::new();
    moving::copy(&url(&first), &restored.url()).await.unwrap();
    let mode = fs::metadata(restored.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(dump(&restored.path()).await == dump(&first).await);
    assert_eq!(restored.files(), ["intake.db"]);
}

/// Of a table, whether the database counts its key itself, whether it belongs to customers, its key and its columns.
type Shape = (bool, bool, Vec<String>, BTreeMap<String, Kind>);

fn shapes() -> BTreeMap<String, Shape> {
    let shape = |table: &intake::adapters::store::tables::Table| {
        let columns = table.columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        let key = table.key.iter().map(|name| (*name).to_owned()).collect();
        (table.name.to_owned(), (table.is_numbered, table.is_of_customer, key, columns))
    };
    TABLES.iter().map(shape).collect()
}

/// Who makes a table, or a column, and forgets that stores are moved, learns it here.
#[tokio::test]
async fn every_table_and_every_column_is_moved() {
    let folder = Folder::new();
    folder.open().await.close().await;
    let mut connection = raw(&folder.path()).await;
    let mut found: BTreeMap<String, Shape> = BTreeMap::new();
    let columns = "SELECT m.name, p.name, p.type, p.pk,
            (SELECT COUNT(*) FROM pragma_foreign_key_list(m.name) f WHERE f.\"table\" = 'customers' AND f.\"from\" = 'customer')
        FROM sqlite_master m JOIN pragma_table_info(m.name) p
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, p.pk";
    for row in sqlx::query(columns).fetch_all(&mut connection).await.unwrap() {
        let (table, column, kind): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let shape = found.entry(table).or_default();
        let kind = match kind.as_str() {
            "TEXT" => Kind::Text,
            "INTEGER" => Kind::Number,
            "BLOB" => Kind::Bytes,
            other => panic!("{other}"),
        };
        if row.get::<i64, _>(3) > 0 {
            shape.2.push(column.clone());
            shape.0 = column == "id" && kind == Kind::Number;
        }
        shape.1 = row.get::<i64, _>(4) > 0;
        shape.3.insert(column, kind);
    }
    assert_eq!(found, shapes());

    let database = Postgres::shared().database().await;
    Store::open(&database.url()).await.unwrap().close().await;
    let mut connection = database.raw().await;
    let mut found: BTreeMap<String, Shape> = BTreeMap::new();
    let columns = "
        SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL), (a.attidentity <> '')::int::bigint,
            COALESCE(array_position(k.conkey, a.attnum), 0)::bigint,
            (SELECT COUNT(*) FROM pg_constraint f
             WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid = 'customers'::regclass)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
            AND c.relname NOT IN ('leases', 'intake_schema')
        ORDER BY c.relname, array_position(k.conkey, a.attnum)";
    for row in sqlx::query(columns).fetch_all(&mut connection).await.unwrap() {
        let (table, column, kind): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let shape = found.entry(table).or_default();
        let kind = match kind.as_str() {
            "text" => Kind::Text,
            "bigint" => Kind::Number,
            "bytea" => Kind::Bytes,
            other => panic!("{other}"),
        };
        shape.0 |= row.get::<i64, _>(3) > 0;
        shape.1 = row.get::<i64, _>(5) > 0;
        if row.get::<i64, _>(4) > 0 {
            shape.2.push(column.clone());
        }
        shape.3.insert(column, kind);
    }
    assert_eq!(found, shapes());
}
