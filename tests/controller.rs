//! The controller over a real folder: who wakes up when files change.

use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use intake::adapters::folder_watch::FolderWatch;
use intake::daemon::controller::{Controller, Pace};
use intake::daemon::desk::Desk;
use intake::daemon::turns::{Next, TurnResult, Turns, Went};
use intake::model::digest::Digest;
use intake::model::reading::{Fault, FaultKind};
use intake::model::text::Text;
use intake::plan::outcome::{CustomerState, Summary};
use intake::policy::fleet::{Customer, Fleet};
use intake::ports::meter::Unmeasured;
use intake::ports::register::RegisterFault;
use intake::ports::source::Progress;
use intake::ports::tree::{Tree, TreeReading};
use intake::reconcile::judge::Job;

use crate::support::intake::PATIENCE;

mod company;
mod crashes;
mod stopping;
mod story;

/// A tree of one file for each customer; what the file says does not matter here.
struct Files(PathBuf);

#[async_trait]
impl Tree for Files {
    async fn read(&self) -> Result<TreeReading, Fault> {
        let unreadable = |error: std::io::Error| Fault::new(FaultKind::Refused, error.to_string());
        let mut customers = BTreeMap::new();
        let mut fingerprints = BTreeMap::new();
        for entry in fs::read_dir(&self.0).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if let Some(name) = name.strip_suffix(".yaml") {
                let content = fs::read(&path).map_err(unreadable)?;
                customers.insert(Text::from(name), customer(name));
                fingerprints.insert(Text::from(name), Digest::of(&content));
            }
        }
        let revision = Text::from(format!("{fingerprints:?}"));
        let fleet = Fleet { revision, customers, names_are_known: true };
        let (source, commit, behind) = (Text::const_new("a folder"), None, None);
        Ok(TreeReading { fleet, problems: Vec::new(), fingerprints, source, commit, behind })
    }
}

fn customer(name: &str) -> Customer {
    Customer::named(Text::from(name))
}

/// Counts turns by customer.
#[derive(Default)]
struct Counted(Mutex<BTreeMap<String, usize>>);

impl Counted {
    fn turns(&self, name: &str) -> usize {
        self.0.lock().expect("a lock").get(name).copied().unwrap_or(0)
    }

    async fn reaches(&self, name: &str, turns: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.turns(name) < turns {
            assert!(Instant::now() < deadline, "{name} had {} turns in place of {turns}", self.turns(name));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[async_trait]
impl Turns for Counted {
    async fn known(&self) -> Result<Vec<Text>, RegisterFault> {
        Ok(Vec::new())
    }

    async fn tree(&self, _read: &Result<TreeReading, Fault>) -> Result<(), RegisterFault> {
        Ok(())
    }

    async fn turn(
        &self,
        job: Job,
        _tree: Text,
        _progress: Arc<dyn Progress>,
        _next: Next,
        _stop: CancellationToken,
    ) -> TurnResult {
        *self.0.lock().expect("a lock").entry(job.name().to_string()).or_default() += 1;
        Ok(Went {
            state: CustomerState::Ready,
            summary: Summary::default(),
            wrote: false,
            failures: 0,
            retry_after: None,
            message: String::new(),
        })
    }
}

struct Running {
    folder: TempDir,
    turns: Arc<Counted>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), Fault>>,
}

impl Running {
    fn start(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in names {
            fs::write(folder.path().join(format!("{name}.yaml")), "1").expect("written");
        }
        let turns = Arc::new(Counted::default());
        let controller = Controller {
            notices: futures_util::stream::pending().boxed(),
            tree: Arc::new(Files(folder.path().to_owned())),
            watch: Box::new(FolderWatch::open(folder.path())),
            turns: turns.clone(),
            courier: None,
            pace: Pace::default(),
            random: || 0.5,
            meter: Arc::new(Unmeasured),
            desk: Arc::new(Desk::new()),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(controller.run(stop.clone(), Arc::new(Notify::new())));
        Self { folder, turns, stop, task }
    }

    /// Writes as editors do: another file, renamed over the old one.
    fn write(&self, name: &str, content: &str) {
        let hidden = self.folder.path().join(format!(".{name}.tmp"));
        fs::write(&hidden, content).expect("written");
        fs::rename(&hidden, self.folder.path().join(format!("{name}.yaml"))).expect("renamed");
    }

    async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended.expect("it ends in time").expect("without a panic").expect("without a fault");
    }
}

#[tokio::test]
async fn a_changed_file_is_reconciled_at_once_and_nobody_else_is() {
    let running = Running::start(&["contoso", "fabrikam"]);
    running.turns.reaches("contoso", 1).await;
    running.turns.reaches("fabrikam", 1).await;
    running.write("fabrikam", "2");
    running.turns.reaches("fabrikam", 2).await;
    running.write("northwind", "1");
    running.turns.reaches("northwind", 1).await;
    assert_eq!((running.turns.turns("contoso"), running.turns.turns("fabrikam")), (1, 2));
    running.end().await;
}

#[tokio::test]
async fn many_writes_in_a_row_are_one_turn() {
    let running = Running::start(&["contoso"]);
    running.turns.reaches("contoso", 1).await;
    for content in 0..20 {
        running.write("contoso", &content.to_string());
    }
    running.turns.reaches("contoso", 2).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    // The tree is read when it is quiet; a slow machine may pause between some of the writes.
    assert!(running.turns.turns("contoso") < 10, "{}", running.turns.turns("contoso"));
    running.end().await;
}
