//! Notices changes below a folder, through the operating system's own notifications.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::ports::watch::Watch;

/// Watches one folder and everything below it.
///
/// Says only that something changed, never what: an editor writes a file by renaming another one
/// over it, and a mounted ConfigMap changes by one link that no visible name points at.
pub struct FolderWatch {
    root: PathBuf,
    sender: Sender<()>,
    changes: Receiver<()>,
    armed: Arc<Mutex<Armed>>,
}

#[derive(Default)]
struct Armed {
    watcher: Option<RecommendedWatcher>,
    /// Which folder it watches: a name may stand for another one tomorrow.
    folder: Option<(u64, u64)>,
    told: bool,
}

impl FolderWatch {
    /// Starts to watch. A folder that cannot be watched is logged once and never reported as
    /// changed: whoever listens reads it once in a while anyway.
    pub fn open(root: &Path) -> Self {
        // One waiting change is as good as many.
        let (sender, changes) = channel(1);
        let armed = Arc::<Mutex<Armed>>::default();
        arm(root, &sender, &armed);
        Self { root: root.to_owned(), sender, changes, armed }
    }
}

/// Watches the folder that the name stands for now, unless it is watched already.
fn arm(root: &Path, sender: &Sender<()>, armed: &Mutex<Armed>) {
    // Somebody is at it already, perhaps stuck in a file system that does not answer.
    let Ok(mut armed) = armed.try_lock() else { return };
    let folder = identity(root);
    if armed.watcher.is_some() && armed.folder == folder {
        return;
    }
    // The old one goes first: the operating system counts watches.
    armed.watcher = None;
    match watcher(root, sender.clone()) {
        Ok(watcher) => {
            *armed = Armed { watcher: Some(watcher), folder, told: false };
            // What happened before it was watched is a change too.
            let _ = sender.try_send(());
        }
        Err(error) if !armed.told => {
            armed.told = true;
            tracing::warn!(folder = %root.display(),
                "changes are not noticed at once, only once a minute: {error}");
        }
        Err(_) => {}
    }
}

fn watcher(root: &Path, sender: Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.as_ref().map_or(true, matters) {
            // A full channel already says that something changed.
            let _ = sender.try_send(());
        }
    })?;
    watcher.watch(root, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Returns what tells one folder from another of the same name.
#[cfg(unix)]
fn identity(root: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(root).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn identity(_root: &Path) -> Option<(u64, u64)> {
    None
}

/// Whether an event may mean another content. Opening and reading does not; otherwise our own
/// reading would wake us for ever.
fn matters(event: &Event) -> bool {
    !matches!(event.kind, EventKind::Access(_))
}

#[async_trait]
impl Watch for FolderWatch {
    async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    fn rearm(&mut self) {
        let (root, sender, armed) = (self.root.clone(), self.sender.clone(), self.armed.clone());
        // A large tree is walked for it, and a file system may not answer: nobody waits for that.
        tokio::task::spawn_blocking(move || arm(&root, &sender, &armed));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    async fn notices(watch: &mut FolderWatch) -> bool {
        tokio::time::timeout(Duration::from_secs(60), watch.changed()).await.is_ok()
    }

    /// Waits until nothing more is reported.
    async fn quiet(watch: &mut FolderWatch) {
        while tokio::time::timeout(Duration::from_millis(200), watch.changed()).await.is_ok() {}
    }

    #[tokio::test]
    async fn a_new_file_a_renamed_one_and_one_in_a_new_folder_are_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut watch = FolderWatch::open(folder.path());
        quiet(&mut watch).await;
        fs::write(folder.path().join("a.yaml"), "1").expect("written");
        assert!(notices(&mut watch).await);
        quiet(&mut watch).await;
        fs::write(folder.path().join(".a.tmp"), "2").expect("written");
        fs::rename(folder.path().join(".a.tmp"), folder.path().join("a.yaml")).expect("renamed");
        assert!(notices(&mut watch).await);
        quiet(&mut watch).await;
        fs::create_dir(folder.path().join("new")).expect("a folder");
        quiet(&mut watch).await;
        fs::write(folder.path().join("new/b.yaml"), "3").expect("written");
        assert!(notices(&mut watch).await);
    }

    #[tokio::test]
    async fn reading_is_no_change() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("a.yaml"), "1").expect("written");
        let mut watch = FolderWatch::open(folder.path());
        quiet(&mut watch).await;
        fs::read(folder.path().join("a.yaml")).expect("read");
        let noticed = tokio::time::timeout(Duration::from_millis(300), watch.changed()).await;
        assert!(noticed.is_err());
    }

    #[tokio::test]
    async fn a_folder_that_was_replaced_is_watched_again() {
        let parent = tempfile::tempdir().expect("a folder");
        let root = parent.path().join("tree");
        let mut watch = FolderWatch::open(&root);
        for round in 0..2 {
            fs::create_dir(&root).expect("a folder");
            watch.rearm();
            assert!(notices(&mut watch).await, "a folder that is watched anew counts as changed");
            quiet(&mut watch).await;
            fs::write(root.join("a.yaml"), "1").expect("written");
            assert!(notices(&mut watch).await, "round {round}");
            // Another folder takes the name, and the old one stays: numbers are not used again.
            fs::rename(&root, parent.path().join(format!("old-{round}"))).expect("renamed");
            quiet(&mut watch).await;
        }
    }
}
