//! Whether a commit is signed by somebody who may: by ssh keys of allowed signers, or by OpenPGP keys.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::adapters::git_command::{Git, GitFault, PrivateFile, Session};
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
        let (payload, signature) = split(&git.run(&["cat-file", "commit", commit]).await?);
        if let Some(why) = self.objection(&signature) {
            let id = commit.get(..12).unwrap_or(commit);
            return Err(GitFault::new(format!("commit {id} is signed by nobody who may: {why}")).hint(TO_TRY));
        }
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
            Some("G") if signature.starts_with(SSH) => {
                let signer = signer.unwrap_or_default();
                return self.verify_now(git, commit, signer, &payload, &signature).await;
            }
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
        Err(GitFault::new(what).hint(TO_TRY))
    }

    /// Says why a signature cannot count, whoever it is of: nobody was named who may sign like that.
    fn objection(&self, signature: &[u8]) -> Option<&'static str> {
        let GitVerify { allowed_signers, open_pgp_keys } = &self.files;
        match signature {
            b"" => None,
            _ if signature.starts_with(SSH) => {
                allowed_signers.is_none().then_some("it is signed by an ssh key")
            }
            _ if signature.starts_with(OPEN_PGP) => {
                open_pgp_keys.is_none().then_some("it is signed by OpenPGP")
            }
            _ => Some("it is signed in a way that nobody may sign in"),
        }
    }

    /// Judges an ssh signature by today's date as well. git judges by the commit's own date, which whoever
    /// signs writes as they like: somebody whose time is over could sign on.
    async fn verify_now(
        &self,
        git: &Git,
        commit: &str,
        signer: &str,
        payload: &[u8],
        signature: &[u8],
    ) -> Result<(), GitFault> {
        let Some(signers) = &self.files.allowed_signers else {
            return Err(GitFault::new("an ssh signature counts, and nobody may sign by ssh"));
        };
        let signers = readable(signers)?;
        let path = git.home().join("signature");
        let failed =
            |error: std::io::Error| GitFault::new(format!("cannot write {}: {error}", path.display()));
        fs::write(&path, signature).map_err(failed)?;
        let file = PrivateFile(path.clone());
        let shown = path.display().to_string();
        let arguments = ["-Y", "verify", "-f", &signers, "-I", signer, "-n", "git", "-s", &shown];
        let verified = run("ssh-keygen", "openssh-client", &[], &arguments, payload).await;
        drop(file);
        verified.map(drop).map_err(|fault| {
            let id = commit.get(..12).unwrap_or(commit);
            let what = format!("commit {id} is signed by nobody who may today: {}", fault.what);
            GitFault { what, ..fault }.or_hint(TO_TRY)
        })
    }

    /// Prepares what git needs to know.
    async fn session(&self, home: &Path) -> Result<Session, GitFault> {
        let mut session = Session::default();
        let signers = match &self.files.allowed_signers {
            Some(path) => readable(path)?,
            None => "/dev/null".to_owned(),
        };
        session.settings.push(("gpg.ssh.allowedSignersFile", signers));
        // A kind of signature that nobody configured is judged by nobody.
        if self.files.allowed_signers.is_none() {
            session.settings.push(("gpg.ssh.program", "/bin/false".to_owned()));
        }
        if self.files.open_pgp_keys.is_none() {
            session.settings.push(("gpg.openpgp.program", "/bin/false".to_owned()));
        }
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

/// How an ssh signature begins.
const SSH: &[u8] = b"-----BEGIN SSH SIGNATURE-----";
/// How an OpenPGP signature begins (RFC 9580, section 6.2).
const OPEN_PGP: &[u8] = b"-----BEGIN PGP SIGNATURE-----";

/// What to try where a signature does not count.
const TO_TRY: &str = "`git.verify` names whose commits are taken: sign it, or add its signer there";
/// How long a program may look at a signature or at keys.
const LONGEST: Duration = Duration::from_secs(60);

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
    let ring = ring.display().to_string();
    let fixed = ["--batch", "--quiet", "--no-tty"];
    let arguments: Vec<&str> = fixed.into_iter().chain(arguments.iter().copied()).collect();
    run("gpg", "gnupg", &[("GNUPGHOME", &ring)], &arguments, input.as_bytes()).await
}

/// Runs a program of somebody else's package; returns what it prints.
async fn run(
    program: &str,
    package: &str,
    variables: &[(&str, &str)],
    arguments: &[&str],
    input: &[u8],
) -> Result<String, GitFault> {
    let mut child = Command::new(program)
        .envs(variables.iter().copied())
        .env("LC_ALL", "C.UTF-8")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            GitFault::new(format!("{program} cannot be started: {error}"))
                .hint(format!("install it where Intake runs (Debian: the package {package})"))
        })?;
    let stdin = child.stdin.take();
    let fed = async move {
        if let Some(mut stdin) = stdin {
            // Whoever does not read it says why.
            let _ = stdin.write_all(input).await;
        }
    };
    let ran = async { tokio::join!(fed, child.wait_with_output()).1 };
    let output = tokio::time::timeout(LONGEST, ran)
        .await
        .map_err(|_| GitFault::new(format!("{program} did not end within {} s", LONGEST.as_secs())))?
        .map_err(|error| GitFault::new(format!("{program} failed: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    // ssh-keygen complains on stdout.
    let said = [output.stderr, output.stdout].concat();
    Err(GitFault::new(quoted(&String::from_utf8_lossy(&said), &[])))
}

/// Splits a commit into what was signed and the signature, which stands in its head (gitformat-signature(5)).
fn split(object: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut payload, mut signature) = (Vec::new(), Vec::new());
    let (mut in_head, mut in_signature) = (true, false);
    for line in object.split_inclusive(|byte| *byte == b'\n') {
        in_signature = in_head && (line.starts_with(b"gpgsig ") || in_signature && line.starts_with(b" "));
        match line {
            _ if !in_signature => payload.extend_from_slice(line),
            _ if line.starts_with(b" ") => signature.extend_from_slice(&line[1..]),
            _ => signature.extend_from_slice(&line[b"gpgsig ".len()..]),
        }
        in_head &= line != b"\n";
    }
    (payload, signature)
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
    fn a_commit_is_split_into_what_was_signed_and_the_signature() {
        let object =
            b"tree 1\nauthor a\ngpgsig -----BEGIN SSH SIGNATURE-----\n abc\n -----END SSH SIGNATURE-----\n\
            committer b\n\nmessage\ngpgsig none\n kept\n";
        let (payload, signature) = split(object);
        assert_eq!(signature, b"-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n");
        assert_eq!(payload, b"tree 1\nauthor a\ncommitter b\n\nmessage\ngpgsig none\n kept\n");
    }

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
