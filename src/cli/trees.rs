//! The policy tree as the controller reads it: from a folder, or from a branch in git.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::adapters::folder::resolve;
use crate::adapters::folder_watch::FolderWatch;
use crate::adapters::git::{Checkout, Fetched, GitCopy};
use crate::adapters::git_access::{Access, Credentials};
use crate::adapters::git_command::GitFault;
use crate::cli::exit::Failure;
use crate::cli::wiring::{Operator, check_tree};
use crate::config::operator::GitSource;
use crate::daemon::controller::Pace;
use crate::model::digest::{Digest, Digester};
use crate::model::reading::{Fault, FaultKind};
use crate::model::text::{Text, inert};
use crate::model::tree_status::TreeCommit;
use crate::policy::fleet::{Customer, DirectoryLocation, Imports, TenantSource};
use crate::policy::source::shown;
use crate::ports::tree::{Tree, TreeReading};
use crate::ports::watch::Watch;

/// A tree in a folder.
pub struct FolderTree {
    root: PathBuf,
    operator: Operator,
}

impl FolderTree {
    /// Makes one.
    pub fn new(root: PathBuf, operator: Operator) -> Self {
        Self { root, operator }
    }
}

#[async_trait]
impl Tree for FolderTree {
    async fn read(&self) -> Result<TreeReading, Fault> {
        let (root, operator) = (self.root.clone(), self.operator.clone());
        let source = Text::from(shown(&root));
        check(root.clone(), operator, source, move |path| changed(&root.join(path))).await
    }
}

/// A tree in a branch of a git repository: what is in force is the newest commit that may be.
pub struct GitTree {
    copy: GitCopy,
    operator: Operator,
    source: Text,
    in_force: Mutex<Option<InForce>>,
}

struct InForce {
    reading: TreeReading,
    /// Why it would not be taken if it came today.
    doubt: Option<Fault>,
}

impl GitTree {
    /// Opens the copy of the repository. `accept` is a commit that may come into force although the
    /// branch was rewritten.
    ///
    /// # Errors
    /// A copy that cannot be made or used.
    pub async fn open(
        source: &GitSource,
        operator: &Operator,
        accept: Option<String>,
    ) -> Result<Self, Failure> {
        let credentials = source.credentials_from.clone().map(|reference| {
            let secrets = operator.clone();
            Box::new(move || secrets.secret(&reference)) as Credentials
        });
        let access = Access::new(source, credentials);
        let copy = GitCopy::open(source.clone(), access, accept).await.map_err(failure)?;
        let source = Text::from(format!("{}, branch {}", inert(&source.url), source.branch));
        Ok(Self { copy, operator: operator.clone(), source, in_force: Mutex::new(None) })
    }

    /// Returns where the files of what is in force are.
    pub fn root(&self) -> PathBuf {
        self.copy.current()
    }

    /// Takes what was in force when the program last ran.
    async fn restore(&self) -> Result<Option<InForce>, Fault> {
        let Some((checkout, doubt)) = self.copy.restore().await? else { return Ok(None) };
        let reading = self.check(&checkout).await?;
        Ok(Some(InForce { reading, doubt: doubt.map(Fault::from) }))
    }

    /// Takes the branch's newest commit, if that may come into force.
    async fn follow(&self, in_force: &mut Option<InForce>) -> Result<(), Fault> {
        match self.copy.fetch().await? {
            Fetched::Same(doubt) => {
                if let Some(known) = in_force {
                    known.doubt = doubt.map(Fault::from);
                }
            }
            Fetched::New(checkout) => {
                let reading = self.check(&checkout).await?;
                self.copy.accept(&checkout).await?;
                *in_force = Some(InForce { reading, doubt: None });
            }
        }
        Ok(())
    }

    async fn check(&self, checkout: &Checkout) -> Result<TreeReading, Fault> {
        let (root, contents) = (checkout.root.clone(), checkout.contents.clone());
        let top = root.clone();
        let content = move |path: &Path| {
            let real = resolve(&top, path).ok()?;
            let top = std::fs::canonicalize(&top).ok()?;
            contents.get(real.strip_prefix(top).ok()?).cloned()
        };
        let commit = &checkout.commit;
        let about = format!("commit {} of {}", commit.short(), commit.authored);
        let checked = check(root, self.operator.clone(), self.source.clone(), content).await;
        let mut reading =
            checked.map_err(|fault| Fault { what: format!("{about}: {}", fault.what), ..fault })?;
        let mark = |problems: &mut Vec<String>| {
            problems.iter_mut().for_each(|problem| problem.push_str(&format!(" [{about}]")));
        };
        mark(&mut reading.problems);
        for customer in reading.fleet.customers.values_mut() {
            // Its people are those of this commit, whatever comes into force while they are being read.
            customer.files = Some(checkout.root.clone());
            mark(&mut customer.invalid);
            for imports in customer.imports.values_mut() {
                if let Imports::Invalid(problems) = imports {
                    mark(problems);
                }
            }
        }
        reading.fleet.revision = Text::from(commit.id.as_str());
        reading.commit = Some(TreeCommit {
            authored: Text::from(commit.authored.as_str()),
            author: Text::from(commit.author.as_str()),
        });
        Ok(reading)
    }
}

#[async_trait]
impl Tree for GitTree {
    async fn read(&self) -> Result<TreeReading, Fault> {
        let mut in_force = self.in_force.lock().await;
        // What cannot be restored, perhaps by another `git.path` than it was taken by, may be followed by
        // something that can.
        let mut lost = None;
        if in_force.is_none() {
            match self.restore().await {
                Ok(restored) => *in_force = restored,
                Err(fault) => lost = Some(fault),
            }
        }
        let followed = self.follow(&mut in_force).await;
        match (&*in_force, followed) {
            (Some(known), Ok(())) => Ok(TreeReading { behind: known.doubt.clone(), ..known.reading.clone() }),
            (Some(known), Err(fault)) => Ok(TreeReading { behind: Some(fault), ..known.reading.clone() }),
            (None, followed) if lost.is_some() => {
                let why = followed.err().map(|fault| format!("; {}", fault.with_hint())).unwrap_or_default();
                let lost = lost.unwrap_or_else(|| Fault::new(FaultKind::Refused, ""));
                let what = format!("what was in force cannot be used: {}{why}", lost.what);
                Err(Fault { what, ..lost })
            }
            (None, Err(fault)) => Err(fault),
            (None, Ok(())) => Err(Fault::new(FaultKind::Transient, "git has nothing that could be in force")),
        }
    }
}

/// Reads and checks the tree in a folder. `content` returns something that changes with what a file holds.
async fn check(
    root: PathBuf,
    operator: Operator,
    source: Text,
    content: impl Fn(&Path) -> Option<String> + Send + 'static,
) -> Result<TreeReading, Fault> {
    let reading = tokio::task::spawn_blocking(move || {
        let tree = check_tree(&root, &operator, false).map_err(|failure| Fault {
            hint: failure.hint,
            ..Fault::new(FaultKind::Refused, failure.what)
        })?;
        let customers = tree.fleet.customers.iter();
        let fingerprints =
            customers.map(|(name, customer)| (name.clone(), fingerprint(customer, &content))).collect();
        let problems = tree.problems.into_iter().map(|problem| problem.line).collect();
        let (fleet, commit, behind) = (tree.fleet, None, None);
        Ok(TreeReading { fleet, problems, fingerprints, source, commit, behind })
    });
    reading.await.unwrap_or_else(|error| {
        Err(Fault::new(FaultKind::Transient, format!("reading the tree failed inside Intake: {error}")))
    })
}

/// Returns a digest over all that a tree says about a customer, the files of people that it names included.
fn fingerprint(customer: &Customer, content: &dyn Fn(&Path) -> Option<String>) -> Digest {
    let mut digester = Digester::new("customer");
    // References to secrets are in it, secrets are not.
    digester.field(format!("{customer:?}"));
    let directories = customer.directories.iter().filter_map(|directory| match &directory.location {
        DirectoryLocation::Ldif(path) => Some(path),
        DirectoryLocation::Ldap(_) => None,
    });
    let tenant = match &customer.tenant {
        Some(TenantSource::Snapshot(path)) => Some(path),
        _ => None,
    };
    for path in directories.chain(tenant) {
        digester.optional(content(path));
    }
    digester.finish()
}

/// Says how long a file is and when it changed, so that a folder with a gigabyte of people is looked
/// through in an instant.
fn changed(path: &Path) -> Option<String> {
    let found = std::fs::metadata(path).ok()?;
    Some(format!("{} {:?}", found.len(), found.modified().ok()?))
}

/// Returns who notices changes below a folder.
pub fn watch(root: &Path) -> Box<dyn Watch> {
    Box::new(FolderWatch::open(root))
}

/// Nobody notices anything: a server is asked now and then.
pub struct Unwatched;

#[async_trait]
impl Watch for Unwatched {
    async fn changed(&mut self) {
        std::future::pending::<()>().await;
    }

    fn rearm(&mut self) {}
}

/// Makes the failure of a command of what git says.
pub fn failure(fault: GitFault) -> Failure {
    let GitFault { what, hint } = fault;
    Failure { hint, ..Failure::new(what) }
}

/// The tree that a controller works by, and where its files are.
pub struct Followed {
    /// The tree.
    pub tree: Arc<dyn Tree>,
    /// Where the files are that its documents name.
    pub root: PathBuf,
    /// Who notices its changes.
    pub watch: Box<dyn Watch>,
    /// How often it is looked at.
    pub pace: Pace,
}
