//! Policy trees in git: the branch that is followed, what of it may come into force, and a folder with
//! its files. Speaks to git through its own program: protocols, proxies and signatures work as everywhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tokio::sync::Mutex;

use crate::adapters::git_access::Access;
use crate::adapters::git_command::{Git, GitFault};
use crate::adapters::git_files::{Entry, write_files};
use crate::adapters::git_signature::Signers;
use crate::config::operator::GitSource;
use crate::model::text::inert;

/// What is fetched, before anybody looked at it.
const FETCHED: &str = "refs/intake/fetched";
/// What is in force, also over restarts.
const IN_FORCE: &str = "refs/intake/in-force";
/// The link to the files of what is in force.
const CURRENT: &str = "current";

/// A copy of a repository, in a folder that nobody else writes to.
pub struct GitCopy {
    git: Git,
    folder: PathBuf,
    source: GitSource,
    access: Access,
    signers: Option<Signers>,
    /// A commit that may come into force, once, although it does not follow on the one before.
    accept: std::sync::Mutex<Option<String>>,
    /// Two of these at once would fetch into each other's files.
    one: Mutex<()>,
    /// Held as long as this copy is: two controllers share no folder.
    _lock: fs::File,
}

/// A commit, and who made it when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitCommit {
    /// Its id.
    pub id: String,
    /// When it was written, as its author says: ISO 8601.
    pub authored: String,
    /// By whom, inert.
    pub author: String,
}

/// A commit's files in a folder.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// Which.
    pub commit: GitCommit,
    /// Where its tree is.
    pub root: PathBuf,
    /// For every file the id of its content, by path from `root`.
    pub contents: BTreeMap<PathBuf, String>,
}

/// What a look at the branch came to.
pub enum Fetched {
    /// It is what is in force; with it, why it would not be taken if it came now.
    Same(Option<GitFault>),
    /// It may come into force: [`GitCopy::accept`] says that it did.
    New(Checkout),
}

impl GitCopy {
    /// Opens the copy, or starts an empty one.
    ///
    /// # Errors
    /// A folder that cannot be written, that another process holds, or no git.
    pub async fn open(source: GitSource, access: Access, accept: Option<String>) -> Result<Self, GitFault> {
        let folder = source.folder.clone();
        let kept = |what: &str, path: &Path, error: std::io::Error| {
            GitFault::new(format!("{what} {}: {error}", inert(&path.display().to_string())))
                .hint("name another one with `git.folder`")
        };
        for inner in ["trees", "home"] {
            let path = folder.join(inner);
            fs::create_dir_all(&path).map_err(|error| kept("cannot make the folder", &path, error))?;
        }
        let folder = fs::canonicalize(&folder).map_err(|error| kept("cannot use", &folder, error))?;
        let path = folder.join("lock");
        let lock = fs::File::create(&path).map_err(|error| kept("cannot write", &path, error))?;
        lock.try_lock().map_err(|_| {
            GitFault::new(format!("another controller uses {}", inert(&folder.display().to_string())))
                .hint("stop it, or give this one a `git.folder` of its own")
        })?;
        let git = Git::new(folder.join("repository"), folder.join("home"), source.transport);
        if !folder.join("repository/HEAD").exists() {
            let path = folder.join("repository").display().to_string();
            git.run(&["init", "--quiet", "--bare", &path]).await?;
        }
        let signers = source.verify.clone().map(Signers::new);
        // What a process that was killed left of its conversation.
        let _ = fs::remove_file(folder.join("home/key"));
        let accept = std::sync::Mutex::new(accept);
        let copy = Self { git, folder, source, access, signers, accept, one: Mutex::new(()), _lock: lock };
        copy.forget_trees(&[]);
        Ok(copy)
    }

    /// Returns where the files of what is in force are: the same path for ever.
    pub fn current(&self) -> PathBuf {
        self.folder.join(CURRENT)
    }

    /// Returns what was in force when the program last ran, if anything was. Its files are written anew:
    /// a machine may have lost power while they were. With it comes why it would not be taken today.
    ///
    /// # Errors
    /// A copy that is damaged.
    pub async fn restore(&self) -> Result<Option<(Checkout, Option<GitFault>)>, GitFault> {
        let _one = self.one.lock().await;
        let Some(id) = self.in_force().await? else { return Ok(None) };
        let checkout = self.check_out(&id).await?;
        self.link(&checkout.root)?;
        let doubt = self.doubt(&id).await;
        Ok(Some((checkout, doubt)))
    }

    /// Says why a commit would not be taken now, if its signature does not count any more.
    async fn doubt(&self, id: &str) -> Option<GitFault> {
        let fault = self.signers.as_ref()?.verify(&self.git, id).await.err()?;
        Some(GitFault { what: format!("{}; it stays in force", fault.what), ..fault })
    }

    /// Fetches the branch, and returns its commit if it may come into force.
    ///
    /// # Errors
    /// A server that does not answer, a branch or folder that is not there, a branch that was rewritten,
    /// or a commit that nobody signed who may.
    pub async fn fetch(&self) -> Result<Fetched, GitFault> {
        let _one = self.one.lock().await;
        let in_force = self.in_force().await?;
        self.download(in_force.is_some()).await?;
        let Some(id) = self.git.resolve(FETCHED).await? else {
            return Err(GitFault::new("git fetched nothing"));
        };
        if in_force.as_ref() == Some(&id) {
            return Ok(Fetched::Same(self.doubt(&id).await));
        }
        tracing::debug!(commit = %id, "fetched");
        if let Some(before) = &in_force
            && !self.is_accepted(&id)
            && !self.git.is_ancestor(before, &id).await?
        {
            return Err(self.rewritten(before, &id));
        }
        if let Some(signers) = &self.signers {
            signers.verify(&self.git, &id).await?;
        }
        Ok(Fetched::New(self.check_out(&id).await?))
    }

    /// Puts a commit into force.
    ///
    /// # Errors
    /// A folder that cannot be written: then what was in force stays.
    pub async fn accept(&self, checkout: &Checkout) -> Result<(), GitFault> {
        let _one = self.one.lock().await;
        // First the record, then the link: after a restart the link follows the record.
        self.git.run(&["update-ref", IN_FORCE, &checkout.commit.id]).await?;
        self.accepted().take_if(|accept| *accept == checkout.commit.id);
        // Turns that are under way read the files of the one before.
        let before = fs::read_link(self.current()).unwrap_or_default();
        self.link(&checkout.root)?;
        self.forget_trees(&[&before]);
        Ok(())
    }

    /// Makes a checkout the one that [`current`](Self::current) leads to.
    fn link(&self, root: &Path) -> Result<(), GitFault> {
        let (new, link) = (self.folder.join(".current"), self.current());
        let _ = fs::remove_file(&new);
        // Renamed over the old one, so that there is one at every moment.
        std::os::unix::fs::symlink(root, &new)
            .and_then(|()| fs::rename(&new, &link))
            .map_err(|error| GitFault::new(format!("cannot write {}: {error}", link.display())))
    }

    async fn download(&self, has_one: bool) -> Result<(), GitFault> {
        let refspec = format!("+refs/heads/{}:{FETCHED}", self.source.branch);
        let mut arguments = vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
        // The first time the commit alone; later what came since, so that it is seen to follow on.
        if !has_one {
            arguments.push("--depth=1");
        }
        arguments.extend(["--", &self.source.url, &refspec]);
        self.remove_remains();
        let session = self.access.session(self.git.home())?;
        self.git.run_with(&arguments, &session).await.map(drop).map_err(|fault| self.access.explain(fault))
    }

    /// Returns the commit in force.
    async fn in_force(&self) -> Result<Option<String>, GitFault> {
        let found = self.git.resolve(IN_FORCE).await?;
        // To git it is as if nothing had ever been in force, and any branch would do.
        if found.is_none() && self.folder.join("repository").join(IN_FORCE).exists() {
            let folder = inert(&self.folder.display().to_string()).into_owned();
            return Err(GitFault::new("the record of the commit in force is damaged").hint(format!(
                "look which commit was (`intake status`), delete the folder {folder}, and start again: the newest \
                 commit of the branch comes into force then"
            )));
        }
        Ok(found)
    }

    fn is_accepted(&self, id: &str) -> bool {
        self.accepted().as_deref() == Some(id)
    }

    fn accepted(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.accept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn rewritten(&self, before: &str, id: &str) -> GitFault {
        let branch = &self.source.branch;
        GitFault::new(format!(
            "the branch {branch} was rewritten: {} does not follow on {}, which is in force",
            short(id),
            short(before)
        ))
        .hint(format!(
            "push a commit that follows on it; or, if the new history is right, start `intake run` once with \
             --accept-rewrite {id}"
        ))
    }

    async fn check_out(&self, id: &str) -> Result<Checkout, GitFault> {
        let commit = self.describe(id).await?;
        let entries = self.entries(id).await?;
        let root = self.folder.join("trees").join(id);
        write_files(&self.git, &entries, &root).await?;
        let contents = entries.into_iter().map(|entry| (entry.path, entry.content)).collect();
        Ok(Checkout { commit, root, contents })
    }

    async fn describe(&self, id: &str) -> Result<GitCommit, GitFault> {
        let text = self.git.text(&["log", "-1", "--no-show-signature", "--format=%aI%n%an", id]).await?;
        let (authored, author) = text.split_once('\n').unwrap_or((&text, ""));
        Ok(GitCommit {
            id: id.to_owned(),
            authored: authored.to_owned(),
            author: inert(author.trim()).chars().take(100).collect(),
        })
    }

    /// Lists the files of a commit's tree.
    async fn entries(&self, id: &str) -> Result<Vec<Entry>, GitFault> {
        let path = &self.source.path;
        let tree = if path.is_empty() { format!("{id}^{{tree}}") } else { format!("{id}:{path}") };
        let is_tree = self.git.text(&["cat-file", "-t", &tree]).await.is_ok_and(|kind| kind == "tree");
        if !is_tree {
            return Err(GitFault::new(format!("there is no folder `{path}` in commit {}", short(id)))
                .hint("`git.path` names the folder of the repository that holds the tree"));
        }
        let listed = self.git.run(&["ls-tree", "-r", "-z", "-l", "--full-tree", &tree]).await?;
        Entry::read_all(&listed)
    }

    /// Removes what git leaves behind when it is killed, or refuses what was sent: nobody else writes here,
    /// with a lock left it would never fetch or tidy up again, and what it refused would fill the disk.
    fn remove_remains(&self) {
        let repository = self.folder.join("repository");
        let flat = |folder: &Path| *folder == repository || folder.starts_with(repository.join("objects"));
        let mut folders = vec![repository.clone()];
        folders.extend(["refs", "objects", "objects/info", "objects/pack"].map(|part| repository.join(part)));
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let (path, name) = (entry.path(), entry.file_name());
                let name = name.to_string_lossy();
                if name.ends_with(".lock") || (name.starts_with("tmp_") && flat(&folder)) {
                    let _ = fs::remove_file(&path);
                } else if !flat(&folder) && path.is_dir() {
                    folders.push(path);
                }
            }
        }
        // What a fetch that was cut short says it fetched.
        let _ = fs::remove_file(repository.join(FETCHED));
    }

    /// Removes all checkouts but some, and but the one in force: a turn may be reading it.
    fn forget_trees(&self, keep: &[&Path]) {
        let current = fs::read_link(self.current()).ok();
        let Ok(found) = fs::read_dir(self.folder.join("trees")) else { return };
        for path in found.flatten().map(|entry| entry.path()) {
            if Some(&path) != current.as_ref() && !keep.contains(&path.as_path()) {
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}

impl GitCommit {
    /// Returns the id as people read it.
    pub fn short(&self) -> &str {
        short(&self.id)
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
