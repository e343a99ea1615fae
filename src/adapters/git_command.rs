//! Runs git so that nothing but what it is told counts: no configuration of the machine or the user, no
//! hooks, no prompts, one protocol, and an end to all waiting.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::adapters::http::quoted;
use crate::config::operator::GitTransport;
use crate::model::reading::{Fault, FaultKind};

/// How long one command may take: a first copy of a large repository over a slow line.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// What holds whatever a repository or the machine says.
const SETTINGS: [&str; 21] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "transfer.fsckObjects=true",
    // Flaws of old commits that mean nothing to a tree, and that a server sends with a merge of an old branch.
    "fetch.fsck.missingSpaceBeforeEmail=warn",
    "fetch.fsck.missingSpaceBeforeDate=warn",
    "fetch.fsck.missingEmail=warn",
    "fetch.fsck.badTimezone=warn",
    "fetch.fsck.zeroPaddedFilemode=warn",
    // A machine that loses power has everything that was accepted, or nothing of it.
    "core.fsync=all",
    // Signatures of certificates would be judged by what the machine trusts, and not by the operator's file.
    "gpg.x509.program=/bin/false",
    "fetch.recurseSubmodules=false",
    // Credentials are for the address that the operator named, and no other.
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
    "gc.autoDetach=false",
    "maintenance.autoDetach=false",
    "log.showSignature=false",
    "advice.fetchShowForcedUpdates=false",
];

/// What git and the programs that it starts may see of the environment: how to find programs, and how the
/// network and its certificates are set up on this machine.
const ENVIRONMENT: [&str; 12] = [
    "PATH",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
];

/// The most that a command may print, in bytes, unless it says otherwise: a list of 100,000 files.
const MOST_PRINTED: usize = 64 << 20;
/// The most of its complaints that are read, in bytes.
const MOST_SAID: usize = 1 << 20;

/// Why git did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct GitFault {
    /// What happened; inert.
    pub what: String,
    /// What to try.
    pub hint: Option<String>,
}

/// git, for one repository.
pub struct Git {
    /// Where it is; `None` has git look for it.
    repository: Option<PathBuf>,
    home: PathBuf,
    /// How others are spoken to, in git's own words.
    protocols: &'static str,
}

/// A repository, and where in it a folder lies.
pub struct Found {
    /// The repository's own folder.
    pub directory: PathBuf,
    /// The path from its top; empty for the top itself.
    pub prefix: String,
}

/// What one command has besides: variables, and secrets that no message may hold.
#[derive(Default)]
pub struct Session {
    /// Variables of the environment.
    pub variables: Vec<(&'static str, String)>,
    /// Settings that nobody may see in the list of processes.
    pub settings: Vec<(&'static str, String)>,
    /// What must not be told.
    pub secrets: Vec<SecretString>,
    /// Files that are gone with this.
    pub files: Vec<PrivateFile>,
}

/// A file that only this user may read, and that is removed in the end.
pub struct PrivateFile(pub PathBuf);

impl Drop for PrivateFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl GitFault {
    /// Makes one.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    /// Adds what to try where nothing else is said.
    #[must_use]
    pub fn or_hint(self, hint: &str) -> Self {
        Self { hint: self.hint.or_else(|| Some(hint.to_owned())), ..self }
    }

    /// Adds what to try.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<GitFault> for Fault {
    fn from(fault: GitFault) -> Self {
        Self { hint: fault.hint, ..Self::new(FaultKind::Transient, fault.what) }
    }
}

impl Git {
    /// Makes one for a bare repository. `home` is a folder for what programs want to keep.
    pub fn new(repository: PathBuf, home: PathBuf, transport: GitTransport) -> Self {
        let protocols = match transport {
            GitTransport::Http => "https:http",
            GitTransport::Ssh => "ssh",
            GitTransport::Git => "git",
            GitTransport::File => "file",
        };
        Self { repository: Some(repository), home, protocols }
    }

    /// Makes one that speaks to nobody, whatever the repository's own settings say.
    pub fn offline(repository: PathBuf, home: PathBuf) -> Self {
        Self { repository: Some(repository), home, protocols: "" }
    }

    /// Finds the repository that a folder lies in, whoever it belongs to: nothing of its settings is used.
    ///
    /// # Errors
    /// A folder that lies in none.
    pub async fn find(folder: &Path, home: &Path) -> Result<Found, GitFault> {
        let git = Self { repository: None, home: home.to_owned(), protocols: "" };
        let folder = folder.display().to_string();
        let found = git
            .text(&[
                "-c",
                "safe.directory=*",
                "-C",
                &folder,
                "rev-parse",
                "--absolute-git-dir",
                "--show-prefix",
            ])
            .await?;
        let (directory, prefix) = found.split_once('\n').unwrap_or((&found, ""));
        Ok(Found { directory: PathBuf::from(directory), prefix: prefix.trim_end_matches('/').to_owned() })
    }

    /// Returns the folder for what programs want to keep.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Runs a command and returns what it prints.
    ///
    /// # Errors
    /// What it says on stderr, if it does not end well or in time.
    pub async fn run(&self, arguments: &[&str]) -> Result<Vec<u8>, GitFault> {
        self.run_with(arguments, &Session::default()).await
    }

    /// The same, with what a session has.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_with(&self, arguments: &[&str], session: &Session) -> Result<Vec<u8>, GitFault> {
        self.feed(arguments, session, Vec::new(), MOST_PRINTED).await
    }

    /// The same, and the command reads `input`. Of what it prints no more than `limit` bytes are held.
    ///
    /// # Errors
    /// As [`run`](Self::run), and if it prints more.
    pub async fn feed(
        &self,
        arguments: &[&str],
        session: &Session,
        input: Vec<u8>,
        limit: usize,
    ) -> Result<Vec<u8>, GitFault> {
        let mut child = self.command(arguments, session).spawn().map_err(|error| {
            GitFault::new(format!("git cannot be started: {error}"))
                .hint("install git where Intake runs (Debian: the package git)")
        })?;
        let mut group = Group(child.id());
        let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // On its own: whoever prints much while nobody reads would wait for ever.
        let fed = async move {
            if let Some(stdin) = &mut stdin {
                // A command that ends early says why itself.
                let _ = stdin.write_all(&input).await;
            }
        };
        let ran = async {
            let (read, said, ()) = tokio::join!(bounded(stdout, limit), bounded(stderr, MOST_SAID), fed);
            // What it has not said by then nobody hears; it does not end as long as it is not read.
            if read.as_ref().is_ok_and(|read| read.len() > limit) {
                return Ok(None);
            }
            let status = child.wait().await?;
            std::io::Result::Ok(Some((status, read?, said?)))
        };
        let what = named(arguments);
        let ended = tokio::time::timeout(LONGEST, ran)
            .await
            .map_err(|_| GitFault::new(format!("`git {what}` did not end within {} s", LONGEST.as_secs())))?
            .map_err(|error| GitFault::new(format!("`git {what}` failed: {error}")))?;
        let Some((status, read, said)) = ended else {
            return Err(GitFault::new(format!("`git {what}` printed more than {} MiB", limit >> 20))
                .hint("a tree has at most 100,000 files: `git.path` names the folder that holds it"));
        };
        group.0 = None;
        if status.success() {
            return Ok(read);
        }
        let secrets: Vec<&SecretString> = session.secrets.iter().collect();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        // The reason stands at the end; before it a server may say hello.
        let last = lines.len().saturating_sub(4);
        let said = quoted(&lines[last..].join("; "), &secrets);
        let said = if said.is_empty() { status.to_string() } else { said };
        Err(GitFault::new(format!("`git {what}` failed: {said}")))
    }

    /// Runs a command that prints a line or a few of text.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn text(&self, arguments: &[&str]) -> Result<String, GitFault> {
        let printed = self.run(arguments).await?;
        Ok(String::from_utf8_lossy(&printed).trim_end().to_owned())
    }

    /// Returns the commit that a reference names; `None` if there is no such reference.
    ///
    /// # Errors
    /// A repository that cannot be read.
    pub async fn resolve(&self, reference: &str) -> Result<Option<String>, GitFault> {
        let found = self.text(&["for-each-ref", "--format=%(objectname)", reference]).await?;
        Ok(Some(found).filter(|id| !id.is_empty()))
    }

    /// Whether a commit follows on another one.
    ///
    /// # Errors
    /// A repository that cannot be read.
    pub async fn is_ancestor(&self, before: &str, after: &str) -> Result<bool, GitFault> {
        // A count in place of merge-base's exit code, which an error shares with "no".
        let missing =
            self.text(&["rev-list", "--count", "--max-count=1", before, &format!("^{after}")]).await?;
        Ok(missing == "0")
    }

    /// Prepares a command.
    fn command(&self, arguments: &[&str], session: &Session) -> Command {
        let mut command = Command::new("git");
        command.env_clear();
        command.envs(ENVIRONMENT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
            .envs(self.repository.as_ref().map(|path| ("GIT_DIR", path)))
            .env("HOME", &self.home)
            .env("XDG_CONFIG_HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "false")
            .env("SSH_ASKPASS", "false")
            .env("GIT_ALLOW_PROTOCOL", self.protocols)
            // What a partial clone lacks is not fetched: by whom, its own settings would say.
            .env("GIT_NO_LAZY_FETCH", "1")
            // Messages are read for what they say.
            .env("LC_ALL", "C.UTF-8");
        command.envs(session.variables.iter().map(|(name, value)| (name, value)));
        if !session.settings.is_empty() {
            command.env("GIT_CONFIG_COUNT", session.settings.len().to_string());
            for (number, (name, value)) in session.settings.iter().enumerate() {
                command.env(format!("GIT_CONFIG_KEY_{number}"), name);
                command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
            }
        }
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting])).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // With whatever it starts, so that all of it can be ended.
        command.process_group(0);
        command
    }
}

/// The processes of a command, by the id of their group. Those that are left are killed with this: ssh goes
/// on when git is gone, as long as the server keeps it talking.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            let _ = std::process::Command::new("kill")
                .args(["-KILL", "--", &format!("-{id}")])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// Reads a pipe to its end, or a byte more than `limit`.
async fn bounded(pipe: Option<impl AsyncRead + Unpin>, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    if let Some(pipe) = pipe {
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        pipe.take(most).read_to_end(&mut read).await?;
    }
    Ok(read)
}

/// Names a command, which stands behind its settings.
fn named<'a>(arguments: &[&'a str]) -> &'a str {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "-c" | "-C" => drop(words.next()),
            word => return word,
        }
    }
    ""
}
