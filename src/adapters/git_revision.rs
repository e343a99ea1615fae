//! A folder of somebody's own repository as it was at a revision.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::adapters::git_command::{Found, Git, GitFault};
use crate::adapters::git_files::{Entry, write_files};
use crate::model::text::inert;

/// The folder as it was. Gone with this.
pub struct Revision {
    /// The commit.
    pub commit: String,
    /// Where its files are.
    pub root: PathBuf,
    scratch: PathBuf,
}

impl Drop for Revision {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

impl Revision {
    /// Writes a folder's files as they were at a revision somewhere else.
    ///
    /// # Errors
    /// A folder outside of every repository, a revision that is not there, or one without the folder.
    pub async fn of(folder: &Path, reference: &str) -> Result<Self, GitFault> {
        let shown = inert(&folder.display().to_string()).into_owned();
        if reference.is_empty() || reference.starts_with('-') {
            return Err(GitFault::new(format!("`{}` is no revision", inert(reference))));
        }
        let scratch = std::env::temp_dir().join(format!("intake-{}", uuid::Uuid::new_v4()));
        let mut revision = Self { commit: String::new(), root: scratch.join("tree"), scratch };
        let home = revision.scratch.join("home");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&home)
            .map_err(|error| GitFault::new(format!("cannot write {}: {error}", home.display())))?;
        let Found { directory, prefix } = Git::find(folder, &home).await.map_err(|fault| GitFault {
            what: format!("{shown} is in no git repository: {}", fault.what),
            ..fault
        })?;
        let git = Git::offline(directory, home);
        let named = format!("{reference}^{{commit}}");
        let commit =
            git.text(&["rev-parse", "--verify", "--end-of-options", &named]).await.map_err(|_| {
                GitFault::new(format!(
                    "there is no revision `{}` in the repository of {shown}",
                    inert(reference)
                ))
                .hint("fetch it first: a pipeline often has nothing but the newest commit")
            })?;
        let tree =
            if prefix.is_empty() { format!("{commit}^{{tree}}") } else { format!("{commit}:{prefix}") };
        let listed = git.run(&["ls-tree", "-r", "-z", "-l", "--full-tree", &tree]).await;
        let listed =
            listed.map_err(|_| GitFault::new(format!("`{}` has no folder {shown}", inert(reference))))?;
        let written = write_files(&git, &Entry::read_all(&listed)?, &revision.root).await;
        written.map_err(|fault| fault.or_hint("a partial clone lacks contents: fetch without a filter"))?;
        revision.commit = commit;
        Ok(revision)
    }
}
