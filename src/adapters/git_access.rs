//! How a git server is reached: as whom, and by which key the server is known.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

use crate::adapters::git_command::{GitFault, PrivateFile, Session};
use crate::config::operator::{GitSource, GitTransport};
use crate::model::reading::Fault;

/// Who is named with a token that came without a name: what GitHub and GitLab take with any token.
const TOKEN_USER: &str = "x-access-token";

/// Reads the credentials, anew each time: whoever renews them restarts nothing.
pub type Credentials = Box<dyn Fn() -> Result<SecretString, Fault> + Send + Sync>;

/// How a git server is reached.
pub struct Access {
    transport: GitTransport,
    url: String,
    known_hosts: Option<PathBuf>,
    credentials: Option<Credentials>,
}

impl Access {
    /// Makes one.
    pub fn new(source: &GitSource, credentials: Option<Credentials>) -> Self {
        let GitSource { transport, url, known_hosts, .. } = source;
        Self { transport: *transport, url: url.clone(), known_hosts: known_hosts.clone(), credentials }
    }

    /// Prepares one conversation. Files that it needs lie in `home` as long as it lasts.
    ///
    /// # Errors
    /// Credentials that cannot be read.
    pub fn session(&self, home: &Path) -> Result<Session, GitFault> {
        let secret = self.credentials.as_ref().map(|read| read()).transpose().map_err(|fault| GitFault {
            what: format!("the credentials for git cannot be read: {}", fault.what),
            hint: fault.hint,
        })?;
        let mut session = Session::default();
        match self.transport {
            GitTransport::Http => session.settings.extend(secret.as_ref().map(|secret| self.header(secret))),
            GitTransport::Ssh => {
                let key = secret.as_ref().map(|key| private_file(home, key)).transpose()?;
                session.variables.push(("GIT_SSH_COMMAND", self.ssh(key.as_ref())));
                session.variables.push(("GIT_SSH_VARIANT", "ssh".to_owned()));
                session.files.extend(key);
            }
            GitTransport::Git | GitTransport::File => {}
        }
        session.secrets.extend(secret);
        Ok(session)
    }

    /// Returns the setting by which a token goes to this server, and to no other.
    fn header(&self, secret: &SecretString) -> (&'static str, String) {
        let secret = secret.expose_secret();
        let pair = if secret.contains(':') { secret.to_owned() } else { format!("{TOKEN_USER}:{secret}") };
        // There is one server: redirects are not followed.
        ("http.extraHeader", format!("Authorization: Basic {}", STANDARD.encode(pair)))
    }

    /// Returns the command that speaks ssh: with this key alone, to a server that is known.
    fn ssh(&self, key: Option<&PrivateFile>) -> String {
        let mut words = vec!["ssh".to_owned(), "-F".to_owned(), "/dev/null".to_owned()];
        let mut option = |text: String| words.extend(["-o".to_owned(), quoted(&text)]);
        for fixed in [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=/dev/null",
            "UpdateHostKeys=no",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "ForwardAgent=no",
            "ClearAllForwardings=yes",
            "ConnectTimeout=15",
            "ServerAliveInterval=15",
        ] {
            option(fixed.to_owned());
        }
        if let Some(known) = &self.known_hosts {
            let known = std::path::absolute(known).unwrap_or_else(|_| known.clone());
            option(format!("UserKnownHostsFile={}", escaped(&known)));
        }
        match key {
            Some(PrivateFile(key)) => option(format!("IdentityFile={}", escaped(key))),
            None => option("IdentityFile=none".to_owned()),
        }
        words.join(" ")
    }

    /// Adds what to try to what a server said. The text is the same for the same fault, however long it took.
    pub fn explain(&self, fault: GitFault) -> GitFault {
        let what = without_times(&fault.what.replace(&self.url, "the repository"));
        let has = |parts: &[&str]| parts.iter().any(|part| what.contains(part));
        let hint = if has(&["Host key verification failed", "REMOTE HOST IDENTIFICATION"]) {
            "the server's key is not in `git.knownHosts`: compare the key with what its people publish, and \
             put it there"
        } else if has(&[
            "Permission denied (",
            "Authentication failed",
            "could not read Username",
            "error: 401",
            "error: 403",
            "Load key",
        ]) {
            match self.credentials {
                Some(_) => {
                    "`git.credentialsFrom`: the server does not take it, or it may not read this repository"
                }
                None => "`git.credentialsFrom` is missing: the server wants to know who asks",
            }
        } else if has(&["couldn't find remote ref"]) {
            "`git.branch` names the branch that is in force"
        } else if has(&["redirect", "error: 30"]) {
            "write the address to which it leads into `git.url`, mostly the same with `.git` at its end"
        } else if has(&["dubious ownership"]) {
            "the repository belongs to another user: run Intake as that one, or ask over ssh or https"
        } else if has(&["fsck error", "error in object"]) {
            "a commit that the server sent is malformed: git's own check of objects (git-fsck) refuses it"
        } else if has(&["not found", "does not appear to be a git repository", "not exported", "error: 404"])
        {
            "check `git.url`; a server also says so to whom it does not let in"
        } else {
            return GitFault { what, ..fault };
        };
        GitFault { what, ..fault }.hint(hint)
    }
}

/// Leaves out how long something took (` after 3 ms`), which makes the same fault another text each time.
fn without_times(text: &str) -> String {
    let mut parts = text.split(" after ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|one: char| one.is_ascii_digit());
        match rest.strip_prefix(" ms").filter(|_| rest.len() < part.len()) {
            Some(rest) => kept.push_str(rest),
            None => kept.push_str(&format!(" after {part}")),
        }
    }
    kept
}

/// Writes a key where ssh finds it.
fn private_file(home: &Path, key: &SecretString) -> Result<PrivateFile, GitFault> {
    let path = home.join("key");
    let _ = std::fs::remove_file(&path);
    let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let file = PrivateFile(path.clone());
    written
        // OpenSSH takes no key without a line break at its end.
        .and_then(|mut file| writeln!(file, "{}", key.expose_secret().trim_end()))
        .map_err(|error| GitFault::new(format!("cannot write {}: {error}", path.display())))?;
    Ok(file)
}

/// Quotes a word for the shell that git starts ssh with.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Writes a path as ssh reads it: in quotes, and with `%` as itself.
fn escaped(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_fault_is_the_same_text_however_long_it_took() {
        assert_eq!(
            without_times("Failed to connect to h port 1 after 12 ms: Could not connect; after all, ms"),
            "Failed to connect to h port 1: Could not connect; after all, ms"
        );
        assert_eq!(without_times("ended after a while"), "ended after a while");
    }
}
