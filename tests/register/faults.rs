//! Processes that are killed, disks that are full, files that may not be written.
//!
//! Each test runs itself once more in a process of its own, where the fault can be made.

use std::env;
use std::error::Error as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use intake::adapters::store::connection::Store;
use intake::model::account::{Account, Profile};
use intake::model::register::Commit;
use intake::ports::register::{Register as _, RegisterFault, RegisterReader as _};
use sqlx::{Connection as _, Row as _};

use super::sample::{Folder, account, commit, delivery, event, raw, small, url, whole};

/// Tells a test that it is the second process, and where its store is.
const STORE: &str = "INTAKE_TEST_REGISTER";

/// The store of the second process; `None` in the first.
fn second() -> Option<PathBuf> {
    env::var_os(STORE).map(PathBuf::from)
}

/// Adds what runs one test of this file alone in a second process.
fn again(mut command: Command, test: &str, store: &Path) -> Command {
    command
        .args(["--exact", &format!("register::faults::{test}"), "--nocapture", "--test-threads=1"])
        .env(STORE, store);
    command
}

fn this_program() -> PathBuf {
    env::current_exe().unwrap()
}

/// Runs the second process to its end.
fn passes(mut command: Command) {
    let output = command.output().unwrap();
    let told =
        format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

/// Is killed when the test ends, however it ends.
struct Victim(Child);

impl Victim {
    fn kill(&mut self) {
        // SIGKILL on Unix: no destructor, no flush, nothing.
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const ACCOUNTS: u128 = 40;
const EVENTS: u64 = 5;

/// A commit that writes its revision everywhere.
fn telling(revision: u64) -> Commit {
    let name = format!("r{}", revision + 1);
    Commit {
        accounts: (0..ACCOUNTS)
            .map(|number| Account {
                profile: Profile { display_name: name.as_str().into(), ..account(number).profile },
                ..account(number)
            })
            .collect(),
        events: (0..EVENTS).map(|_| event(&name)).collect(),
        deliveries: vec![delivery("hr", &name), delivery("glue", &name)],
        ..commit("contoso", revision)
    }
}

/// Asserts that accounts, events, deliveries and revision tell the same story; returns the revision.
async fn agrees(path: &Path) -> u64 {
    let reader = Store::open_reading(&url(path)).await.unwrap();
    let state = reader.load("contoso").await.unwrap();
    let name = format!("r{}", state.revision);
    assert_eq!(state.accounts.len() as u128, if state.revision == 0 { 0 } else { ACCOUNTS });
    assert!(state.accounts.iter().all(|account| account.profile.display_name == name));
    let events = state.revision * EVENTS;
    assert_eq!(whole(&reader.verify("contoso").await.unwrap()), Some(events));
    if state.revision > 0 {
        assert_eq!(reader.events(Some("contoso")).await.unwrap().last().unwrap().subject, name);
        let mut connection = raw(path).await;
        let row = sqlx::query("SELECT COUNT(*) FROM outbox").fetch_one(&mut connection).await.unwrap();
        assert_eq!(row.get::<i64, _>(0), 2 * i64::try_from(state.revision).unwrap());
        let row = sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
        assert_eq!(row.get::<&str, _>(0), "ok");
        connection.close().await.unwrap();
    }
    state.revision
}

#[test]
fn a_process_that_is_killed_in_the_middle_of_commits_leaves_a_store_that_agrees_with_itself() {
    if let Some(path) = second() {
        run(async {
            let store = Store::open(&url(&path)).await.unwrap();
            let mut revision = store.load("contoso").await.unwrap().revision;
            loop {
                revision = store.commit(telling(revision)).await.unwrap().revision;
            }
        })
    }
    let folder = Folder::new();
    let mut reached = 0;
    for round in 0..8_u64 {
        let mut command = again(
            Command::new(this_program()),
            "a_process_that_is_killed_in_the_middle_of_commits_leaves_a_store_that_agrees_with_itself",
            &folder.path(),
        );
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut victim = Victim(child);
        let deadline = Instant::now() + Duration::from_secs(60);
        // Reads beside it until it has written something, then kills it at some moment.
        run(async {
            loop {
                let reader = Store::open_reading(&folder.url()).await.unwrap();
                if reader.load("contoso").await.unwrap().revision > reached {
                    break;
                }
                assert!(Instant::now() < deadline, "the second process wrote nothing");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_micros(round * 3_700)).await;
        });
        victim.kill();
        let found = run(agrees(&folder.path()));
        assert!(found > reached, "round {round}");
        reached = found;
    }
    run(async {
        let store = folder.open().await;
        assert_eq!(store.commit(telling(reached)).await.unwrap().revision, reached + 1);
        store.close().await;
    });
    assert_eq!(run(agrees(&folder.path())), reached + 1);
}

#[test]
fn a_full_disk_is_told_and_leaves_the_store_usable() {
    let huge = |revision| Commit {
        accounts: (0..5_000).map(account).collect(),
        events: (0..5_000).map(|_| event("x")).collect(),
        ..commit("contoso", revision)
    };
    if let Some(path) = second() {
        return run(async {
            let store = Store::open(&url(&path)).await.unwrap();
            assert_eq!(store.commit(small("contoso", 0)).await.unwrap().revision, 1);
            for _ in 0..3 {
                let fault = store.commit(huge(1)).await.unwrap_err();
                assert!(matches!(fault, RegisterFault::Unavailable { .. }), "{fault:?}");
                assert!(fault.to_string().contains("nothing was written"), "{fault}");
                assert!(fault.to_string().contains("disk"), "{fault}");
                let state = store.load("contoso").await.unwrap();
                assert_eq!((state.revision, state.accounts.len()), (1, 1));
            }
            // The very same store goes on as soon as there is room for what it writes.
            assert_eq!(store.commit(small("contoso", 1)).await.unwrap().revision, 2);
            assert_eq!(whole(&store.verify("contoso").await.unwrap()), Some(2));
        });
    }
    let folder = Folder::new();
    // 600 blocks of 512 bytes (1024 in some shells) for any one file. Without the trap the kernel
    // would kill the process in place of failing the write.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 600; exec \"$0\" \"$@\""]).arg(this_program());
    passes(again(command, "a_full_disk_is_told_and_leaves_the_store_usable", &folder.path()));
    run(async {
        let store = folder.open().await;
        assert_eq!(store.commit(huge(2)).await.unwrap().revision, 3);
        assert_eq!(whole(&store.verify("contoso").await.unwrap()), Some(5_002));
    });
}

/// A command in a process that permissions bind, as they do not bind root.
fn bound() -> Command {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Command::new(this_program());
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-dac_override,-dac_read_search"]).arg(this_program());
    command
}

/// A store of one commit that nobody may write, in a folder that nobody may write.
fn read_only() -> Folder {
    let folder = Folder::new();
    run(async {
        let store = folder.open().await;
        store.commit(small("contoso", 0)).await.unwrap();
        store.close().await;
    });
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o400)).unwrap();
    folder
}

#[test]
fn a_store_that_may_not_be_written_is_refused_before_anybody_plans_on_it() {
    if let Some(path) = second() {
        return run(async {
            assert!(fs::OpenOptions::new().append(true).open(&path).is_err(), "permissions bind");
            let fault = Store::open(&url(&path)).await.unwrap_err();
            assert!(fault.to_string().contains("is read-only: nothing was written"), "{fault}");
            // SQLite's own words come once, after ours.
            let cause = fault.source().expect("a cause");
            assert!(cause.to_string().starts_with("(code: 8) "), "{cause}");
            assert!(cause.source().is_none(), "{:?}", cause.source());
        });
    }
    let folder = read_only();
    let before = fs::read(folder.path()).unwrap();
    let test = "a_store_that_may_not_be_written_is_refused_before_anybody_plans_on_it";
    passes(again(bound(), test, &folder.path()));
    assert!(fs::read(folder.path()).unwrap() == before);
}

#[test]
fn a_backup_on_a_read_only_disk_can_be_read() {
    if let Some(path) = second() {
        return run(async {
            assert!(fs::write(path.with_extension("x"), "").is_err(), "permissions bind");
            let reader = Store::open_reading(&url(&path)).await.unwrap();
            assert_eq!(reader.load("contoso").await.unwrap().accounts, [account(1)]);
            assert_eq!(whole(&reader.verify("contoso").await.unwrap()), Some(1));
        });
    }
    let folder = read_only();
    fs::set_permissions(folder.folder(), fs::Permissions::from_mode(0o500)).unwrap();
    passes(again(bound(), "a_backup_on_a_read_only_disk_can_be_read", &folder.path()));
    // So that the folder can be taken away.
    fs::set_permissions(folder.folder(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(folder.files(), ["intake.db"]);
}

/// Starts the program over the quickstart's tree.
fn intake(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_intake"));
    command
        .args(arguments)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/quickstart"))
        .args(["--state", &folder.url()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[test]
fn whoever_copies_the_store_while_nothing_runs_copies_all_of_it() {
    let folder = Folder::new();
    for round in 0..5 {
        for arguments in [&["apply", "--yes"][..], &["run", "--once"], &["plan"]] {
            let status = intake(&folder, arguments).status().unwrap();
            assert_eq!(status.code(), Some(0), "{arguments:?}");
            assert_eq!(folder.files(), ["intake.db"], "round {round}: {arguments:?}");
        }
    }
}

#[test]
fn a_controller_that_is_asked_to_end_leaves_one_file() {
    let folder = Folder::new();
    let mut controller = Victim(intake(&folder, &["run"]).spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    while !folder.files().contains(&"intake.db-wal".to_owned()) {
        assert!(Instant::now() < deadline, "the controller opened no store");
        std::thread::sleep(Duration::from_millis(10));
    }
    let asked = Command::new("kill").arg(controller.0.id().to_string()).status().unwrap();
    assert!(asked.success());
    assert_eq!(controller.0.wait().unwrap().code(), Some(0));
    assert_eq!(folder.files(), ["intake.db"]);
}
