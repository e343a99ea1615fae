//! Several stores, and several processes, on one file.

use std::fs;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use intake::adapters::store::connection::Store;
use intake::ports::register::{ChainCheck, Register as _, RegisterFault, RegisterReader as _};
use sqlx::Connection as _;

use super::sample::{Folder, raw, small, whole};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_store_is_made_once_however_many_open_it() {
    let folder = Folder::new();
    let stores = join_all((0..8).map(|_| {
        let url = folder.url();
        tokio::spawn(async move { Store::open(&url).await.unwrap() })
    }))
    .await;
    for (revision, store) in (0..).zip(stores) {
        assert_eq!(store.unwrap().commit(small("contoso", revision)).await.unwrap().revision, revision + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_stores_on_one_file_exactly_one_wins_each_revision() {
    let folder = Folder::new();
    let (left, right) = (folder.open().await, folder.open().await);
    for revision in 0..50 {
        let outcomes =
            tokio::join!(left.commit(small("contoso", revision)), right.commit(small("contoso", revision)));
        let lost = match outcomes {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => {
                assert_eq!(won.revision, revision + 1);
                lost
            }
            both => panic!("{both:?}"),
        };
        assert!(matches!(lost, RegisterFault::Stale { .. }), "{lost:?}");
    }
    assert_eq!(whole(&left.verify("contoso").await.unwrap()), Some(50));
    assert_eq!(right.load("contoso").await.unwrap().accounts.len(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_only_whole_commits() {
    let folder = Folder::new();
    let store = folder.open().await;
    let reader = Store::open_reading(&folder.url()).await.unwrap();
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for revision in 0..100 {
            writer.commit(small("contoso", revision)).await.unwrap();
        }
    });
    let mut seen = 0;
    while seen < 100 {
        let state = reader.load("contoso").await.unwrap();
        assert_eq!(state.accounts.len() as u64, state.revision);
        assert!(state.revision >= seen);
        seen = state.revision;
        assert!(matches!(reader.verify("contoso").await.unwrap(), ChainCheck::Whole { .. }));
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn a_commit_waits_for_another_process_that_is_writing() {
    let folder = Folder::new();
    let store = folder.open().await;
    let mut other = raw(&folder.path()).await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let waited = Duration::from_millis(300);
    let begun = Instant::now();
    let (committed, ()) = tokio::join!(store.commit(small("contoso", 0)), async {
        tokio::time::sleep(waited).await;
        lock.rollback().await.unwrap();
    });
    assert_eq!(committed.unwrap().revision, 1);
    assert!(begun.elapsed() >= waited);
}

#[tokio::test]
async fn a_file_that_is_put_in_the_place_of_the_store_is_the_store_from_then_on() {
    let (folder, backup) = (Folder::new(), Folder::new());
    let (store, restored) = (folder.open().await, backup.open().await);
    store.commit(small("contoso", 0)).await.unwrap();
    store.commit(small("contoso", 1)).await.unwrap();
    restored.commit(small("fabrikam", 0)).await.unwrap();
    restored.close().await;
    for name in folder.files() {
        fs::remove_file(folder.folder().join(name)).unwrap();
    }
    fs::rename(backup.path(), folder.path()).unwrap();

    let fault = store.commit(small("contoso", 2)).await.unwrap_err();
    assert!(matches!(fault, RegisterFault::Stale { found: 0, .. }), "{fault:?}");
    assert_eq!(store.commit(small("fabrikam", 1)).await.unwrap().revision, 2);
    assert_eq!(store.customers().await.unwrap(), ["fabrikam"]);
}

#[tokio::test]
async fn a_store_that_was_deleted_is_not_made_anew_behind_anybodys_back() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.commit(small("contoso", 0)).await.unwrap();
    for name in folder.files() {
        fs::remove_file(folder.folder().join(name)).unwrap();
    }
    let fault = store.commit(small("contoso", 1)).await.unwrap_err();
    assert!(fault.to_string().contains("cannot be opened"), "{fault}");
    fs::write(folder.path(), "").unwrap();
    let fault = store.commit(small("contoso", 1)).await.unwrap_err();
    assert!(fault.to_string().contains("its tables are gone"), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_waits_for_questions_that_nobody_waits_for_any_more() {
    let folder = Folder::new();
    let store = folder.open().await;
    let log = folder.folder().join("intake.db-wal");
    for revision in 0..200 {
        store.commit(small("contoso", revision)).await.unwrap();
    }
    for revision in 200..220 {
        assert!(fs::exists(&log).unwrap(), "there is something to fold in");
        for _ in 0..4 {
            // Asked, and given up at once.
            let _ = tokio::time::timeout(Duration::ZERO, store.load("contoso")).await;
        }
        store.close().await;
        assert!(!fs::exists(&log).unwrap(), "a question kept the log open");
        store.commit(small("contoso", revision)).await.unwrap();
    }
}
