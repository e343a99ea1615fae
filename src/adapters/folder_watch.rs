//! Notices changes below a folder, through the operating system's own notifications.

use std::path::{Path, PathBuf};

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
    watcher: Option<RecommendedWatcher>,
    told: bool,
}

impl FolderWatch {
    /// Starts to watch. A folder that cannot be watched is logged once and never reported as
    /// changed: whoever listens reads it once in a while anyway.
    pub fn open(root: &Path) -> Self {
        // One waiting change is as good as many.
        let (sender, changes) = channel(1);
        let mut watch = Self { root: root.to_owned(), sender, changes, watcher: None, told: false };
        watch.rearm();
        watch
    }

    fn arm(&self) -> notify::Result<RecommendedWatcher> {
        let sender = self.sender.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.as_ref().map_or(true, matters) {
                // A full channel already says that something changed.
                let _ = sender.try_send(());
            }
        })?;
        watcher.watch(&self.root, RecursiveMode::Recursive)?;
        Ok(watcher)
    }
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
        // The old one goes first: the operating system counts watches.
        self.watcher = None;
        match self.arm() {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                self.told = false;
            }
            Err(error) if !self.told => {
                self.told = true;
                tracing::warn!(folder = %self.root.display(),
                    "changes are not noticed at once, only once a minute: {error}");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    async fn notices(watch: &mut FolderWatch) -> bool {
        tokio::time::timeout(Duration::from_secs(5), watch.changed()).await.is_ok()
    }

    /// Waits until nothing more is reported.
    async fn quiet(watch: &mut FolderWatch) {
        while tokio::time::timeout(Duration::from_millis(200), watch.changed()).await.is_ok() {}
    }

    #[tokio::test]
    async fn a_new_file_a_renamed_one_and_one_in_a_new_folder_are_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut watch = FolderWatch::open(folder.path());
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
        fs::read(folder.path().join("a.yaml")).expect("read");
        let noticed = tokio::time::timeout(Duration::from_millis(300), watch.changed()).await;
        assert!(noticed.is_err());
    }

    #[tokio::test]
    async fn a_folder_that_was_replaced_is_watched_again() {
        let parent = tempfile::tempdir().expect("a folder");
        let root = parent.path().join("tree");
        let mut watch = FolderWatch::open(&root);
        fs::create_dir(&root).expect("a folder");
        watch.rearm();
        quiet(&mut watch).await;
        fs::write(root.join("a.yaml"), "1").expect("written");
        assert!(notices(&mut watch).await);
    }
}
