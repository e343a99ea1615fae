//! Whether a commit is signed by somebody who may: by ssh keys of allowed signers, or by OpenPGP keys.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::adapters::git_command::{Git, GitFault, Session};
use crate::adapters::http::quoted;
use crate::config::operator::GitVerify;
use crate::model::text::inert;

/// Whose commits are taken.
pub struct Signers {
    files: GitVerify,
}

impl Signers {
    /// Makes one. The files are read anew for every commit.
    pub fn new(files: GitVerify) -> Self {
        Self { files }
    }

    /// Takes a commit that somebody signed who may. Everything in it is what was signed: a commit names its
    /// tree by its digest.
    ///
    /// # Errors
    /// One that is not signed, not soundly, not any more, or by somebody else.
    pub async fn verify(&self, git: &Git, commit: &str) -> Result<(), GitFault> {
        let session = self.session(git.home()).await?;
        // G: good, and by a key that is known to belong to somebody (git-log(1)).
        let format = "--format=%G?%n%GS%n%GF%n%GG";
        let printed = git.run_with(&["log", "-1", format, commit], &session).await?;
        let printed = String::from_utf8_lossy(&printed);
        let mut lines = printed.lines();
        let (verdict, signer, key) = (lines.next(), lines.next(), lines.next());
        let whom = || {
            let named = [signer, key].into_iter().flatten().map(str::trim).filter(|text| !text.is_empty());
            quoted(&named.collect::<Vec<_>>().join(", key "), &[])
        };
        let id = commit.get(..12).unwrap_or(commit);
        let what = match verdict {
            Some("G") => return Ok(()),
            Some("N") | None => format!("commit {id} is not signed"),
            Some("U" | "E") => format!("commit {id} is signed by nobody who may: {}", whom()),
            Some("B") => format!("the signature of commit {id} is not that of its content"),
            Some("X" | "Y") => format!("the signature of commit {id} has expired: {}", whom()),
            Some("R") => format!("commit {id} is signed by a key that was revoked: {}", whom()),
            Some(other) => format!("the signature of commit {id} cannot be judged: {}", inert(other)),
        };
        let said = quoted(lines.next().unwrap_or_default(), &[]);
        let what = if said.is_empty() { what } else { format!("{what} ({said})") };
        Err(GitFault::new(what)
            .hint("`git.verify` names whose commits are taken: sign it, or add its signer there"))
    }

    /// Prepares what git needs to know.
    async fn session(&self, home: &Path) -> Result<Session, GitFault> {
        let mut session = Session::default();
        let signers = match &self.files.allowed_signers {
            Some(path) => readable(path)?,
            None => "/dev/null".to_owned(),
        };
        session.settings.push(("gpg.ssh.allowedSignersFile", signers));
        session.settings.push(("gpg.minTrustLevel", "fully".to_owned()));
        let ring = home.join("gnupg");
        self.fill(&ring).await?;
        session.variables.push(("GNUPGHOME", ring.display().to_string()));
        Ok(session)
    }

    /// Makes a key ring of the keys that count, and of no others.
    async fn fill(&self, ring: &Path) -> Result<(), GitFault> {
        use std::os::unix::fs::DirBuilderExt as _;
        let failed = |error: std::io::Error| {
            GitFault::new(format!("cannot write {}: {error}", inert(&ring.display().to_string())))
        };
        match fs::remove_dir_all(ring) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(ring).map_err(failed)?;
        fs::write(ring.join("gpg.conf"), "no-autostart\nno-auto-key-retrieve\n").map_err(failed)?;
        let Some(keys) = &self.files.open_pgp_keys else { return Ok(()) };
        let keys = readable(keys)?;
        let unusable = |fault: GitFault| {
            let what = format!("the keys in {} cannot be used: {}", inert(&keys), fault.what);
            GitFault { what, ..fault }
        };
        gpg(ring, &["--import", "--", &keys], "").await.map_err(unusable)?;
        // The operator's file is the trust: whoever is in it counts, and nobody vouches for anybody.
        let listed = gpg(ring, &["--list-keys", "--with-colons"], "").await.map_err(unusable)?;
        let trust: String = primary_fingerprints(&listed).map(|key| format!("{key}:{ULTIMATE}:\n")).collect();
        gpg(ring, &["--import-ownertrust"], &trust).await.map_err(unusable)?;
        Ok(())
    }
}

/// How far gpg trusts somebody's own key.
const ULTIMATE: u8 = 6;

/// Returns the fingerprints of keys as `gpg --with-colons` lists them: each stands after its key.
fn primary_fingerprints(listed: &str) -> impl Iterator<Item = &str> {
    let mut is_primary = false;
    listed.lines().filter_map(move |line| {
        let mut fields = line.split(':');
        match fields.next() {
            Some("pub") => is_primary = true,
            Some("sub") => is_primary = false,
            Some("fpr") if is_primary => return fields.nth(8),
            _ => {}
        }
        None
    })
}

/// Runs gpg over a key ring; returns what it prints.
async fn gpg(ring: &Path, arguments: &[&str], input: &str) -> Result<String, GitFault> {
    let mut child = Command::new("gpg")
        .env("GNUPGHOME", ring)
        .env("LC_ALL", "C.UTF-8")
        .args(["--batch", "--quiet", "--no-tty"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            GitFault::new(format!("gpg cannot be started: {error}"))
                .hint("install GnuPG where Intake runs (Debian: the package gnupg)")
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A few lines, which fit into the pipe; whoever does not read them says why.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output =
        child.wait_with_output().await.map_err(|error| GitFault::new(format!("gpg failed: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(GitFault::new(quoted(&String::from_utf8_lossy(&output.stderr), &[])))
}

/// Returns the absolute path of a file that can be read.
fn readable(path: &Path) -> Result<String, GitFault> {
    let shown = path.display().to_string();
    fs::File::open(path)
        .and_then(|_| std::path::absolute(path))
        .map(|path| path.display().to_string())
        .map_err(|error| GitFault::new(format!("{} cannot be read: {error}", inert(&shown))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprints_of_keys_are_found_and_those_of_subkeys_are_not() {
        let listed = "tru::1:1:0:3:1:5\n\
            pub:u:255:22:20707586390BAB69:1:::u:::scSC:::::ed25519:::0:\n\
            fpr:::::::::6ABD3AF7CC13356B242A8FE620707586390BAB69:\n\
            uid:u::::1::AA::ada <ada@msp.test>::::::::::0:\n\
            sub:u:255:18:1111111111111111:1::::::e:::::cv25519::\n\
            fpr:::::::::1111111111111111111111111111111111111111:\n\
            pub:u:255:22:2222222222222222:1:::u:::scSC:::::ed25519:::0:\n\
            fpr:::::::::2222222222222222222222222222222222222222:\n";
        let found: Vec<&str> = primary_fingerprints(listed).collect();
        assert_eq!(
            found,
            ["6ABD3AF7CC13356B242A8FE620707586390BAB69", "2222222222222222222222222222222222222222"]
        );
    }
}
