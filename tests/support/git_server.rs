//! A repository on this machine, whoever commits to it, and real servers before it: git's own CGI program
//! behind HTTP, git's daemon, and sshd.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::support::intake::PATIENCE;
use crate::support::process::{Process, free_port, listens, run, wait_for};

/// A repository, and a working copy of somebody who pushes to it.
pub struct Repository {
    folder: TempDir,
}

/// By what a commit is signed.
pub enum Signed {
    /// By nothing.
    Not,
    /// By this ssh key.
    Ssh(PathBuf),
    /// By the only key of this GnuPG folder, which is named like its owner.
    OpenPgp(PathBuf),
}

impl Repository {
    /// Makes one with a branch `main` and nothing in it.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("intake-git-").tempdir().expect("a folder");
        let repository = Self { folder };
        let served = repository.served().display().to_string();
        run(repository
            .git_at(repository.folder.path())
            .args(["init", "-q", "--bare", "-b", "main", &served]));
        let work = repository.work().display().to_string();
        run(repository.git_at(repository.folder.path()).args(["init", "-q", "-b", "main", &work]));
        run(repository.git().args(["remote", "add", "origin", &served]));
        repository
    }

    /// The bare repository that servers serve.
    pub fn served(&self) -> PathBuf {
        self.folder.path().join("served.git")
    }

    /// The working copy.
    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Returns git in the working copy, with nothing of this machine's settings.
    pub fn git(&self) -> Command {
        self.git_at(&self.work())
    }

    fn git_at(&self, folder: &Path) -> Command {
        let mut git = Command::new("git");
        git.current_dir(folder)
            .env("HOME", self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@msp.test")
            .env("GIT_AUTHOR_DATE", "2026-11-20T10:30:00+01:00")
            .env("GIT_COMMITTER_DATE", "2026-11-20T10:30:00+01:00")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@msp.test");
        git
    }

    /// Writes a file of the working copy.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.work().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("written");
    }

    /// Commits everything in the working copy; returns the commit.
    pub fn commit(&self, signed: &Signed) -> String {
        run(self.git().args(["add", "--all"]));
        let mut commit = self.git();
        match signed {
            Signed::Not => {}
            Signed::Ssh(key) => {
                let key = format!("user.signingKey={}", key.display());
                commit.args(["-c", "gpg.format=ssh", "-c", &key, "-c", "commit.gpgSign=true"]);
            }
            Signed::OpenPgp(home) => {
                let name = home.file_name().expect("a name").to_string_lossy();
                let key = format!("user.signingKey={name}@msp.test");
                commit.env("GNUPGHOME", home).args(["-c", &key, "-c", "commit.gpgSign=true"]);
            }
        }
        run(commit.args(["commit", "-q", "--allow-empty", "-m", "change"]));
        self.head()
    }

    /// Returns the newest commit of the working copy.
    pub fn head(&self) -> String {
        run(self.git().args(["rev-parse", "HEAD"])).trim().to_owned()
    }

    /// Pushes, whatever stands there.
    pub fn push(&self) {
        run(self.git().args(["push", "-q", "--force", "origin", "main"]));
    }

    /// Commits everything, unsigned, and pushes it; returns the commit.
    pub fn publish(&self) -> String {
        let commit = self.commit(&Signed::Not);
        self.push();
        commit
    }
}

/// `git http-backend` behind an HTTP server, which asks for a password. Ends when dropped.
pub struct GitOverHttp {
    address: SocketAddr,
    /// What it does in place of serving, if anything.
    answer: Arc<Mutex<Option<(StatusCode, String)>>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl GitOverHttp {
    /// Serves a repository to whoever names this user and password.
    pub fn start(repository: &Repository, user: &str, password: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket for tokio");
        let address = listener.local_addr().expect("an address");
        let root = repository.served().parent().expect("a folder").to_owned();
        let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let answer = Arc::new(Mutex::new(None));
        let ordered = Arc::clone(&answer);
        let serve = move |request: Request| {
            let (root, expected) = (root.clone(), expected.clone());
            let ordered = ordered.lock().expect("a lock").clone();
            async move {
                if let Some((status, location)) = ordered {
                    return (status, [(header::LOCATION, location)]).into_response();
                }
                let given = request.headers().get(header::AUTHORIZATION);
                if given.is_none_or(|given| given.as_bytes() != expected.as_bytes()) {
                    let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"git\"")];
                    return (StatusCode::UNAUTHORIZED, ask).into_response();
                }
                backend(request, &root).await
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, Router::new().fallback(serve)).await.expect("serves");
        });
        Self { address, answer, runtime: Some(runtime) }
    }

    /// The repository's address.
    pub fn url(&self) -> String {
        format!("http://{}/served.git", self.address)
    }

    /// Answers everything with this status and `Location`; `None` serves again.
    pub fn answers(&self, answer: Option<(StatusCode, String)>) {
        *self.answer.lock().expect("a lock") = answer;
    }
}

impl Drop for GitOverHttp {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

/// Runs the CGI program (RFC 3875) for one request.
async fn backend(request: Request, root: &Path) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.expect("a body");
    let text = |name: header::HeaderName| {
        head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let protocol = head.headers.get("git-protocol").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", protocol)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text(header::CONTENT_ENCODING))
        .env("REMOTE_USER", "reader")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("git http-backend");
    let mut stdin = child.stdin.take().expect("a pipe");
    let fed = async move {
        let _ = stdin.write_all(&body).await;
    };
    let ((), output) = tokio::join!(fed, child.wait_with_output());
    let output = output.expect("its output").stdout;
    let split = output.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..split]).lines() {
        let (name, value) = line.split_once(": ").expect("a header");
        if name.eq_ignore_ascii_case("status") {
            let code: u16 = value.split(' ').next().and_then(|code| code.parse().ok()).expect("a status");
            response = response.status(code);
        } else {
            response = response.header(name, value);
        }
    }
    response.body(Bytes::copy_from_slice(&output[split + 4..]).into()).expect("a response")
}

/// `git daemon`.
pub struct GitDaemon {
    port: u16,
    _process: Process,
}

impl GitDaemon {
    /// Serves a repository.
    pub fn start(repository: &Repository) -> Self {
        let port = free_port();
        let log = tempfile::tempdir().expect("a folder").keep();
        let root = repository.served().parent().expect("a folder").display().to_string();
        let (port_option, base) = (format!("--port={port}"), format!("--base-path={root}"));
        let arguments =
            ["daemon", "--listen=127.0.0.1", "--reuseaddr", "--export-all", &port_option, &base, &root];
        // It refuses repositories of other users; the tests may run as root over a user's folders.
        let process = Process::start("git", &arguments, &log);
        wait_for(&process, &log, PATIENCE, || listens(Ipv4Addr::LOCALHOST, port));
        Self { port, _process: process }
    }

    /// The repository's address.
    pub fn url(&self) -> String {
        format!("git://127.0.0.1:{}/served.git", self.port)
    }
}

/// sshd, which lets one key in.
pub struct Sshd {
    folder: PathBuf,
    port: u16,
    _process: Process,
}

impl Sshd {
    /// Starts one with keys of its own.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("intake-sshd-").tempdir().expect("a folder").keep();
        for key in ["host", "client", "stranger"] {
            ssh_key(&folder.join(key));
        }
        fs::copy(folder.join("client.pub"), folder.join("authorized")).expect("copied");
        let port = free_port();
        let shown = folder.display();
        let configuration = format!(
            "Port {port}
ListenAddress 127.0.0.1
HostKey {shown}/host
AuthorizedKeysFile {shown}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding no
"
        );
        fs::write(folder.join("configuration"), configuration).expect("written");
        // Where sshd of Debian goes when it gives up its rights; its service makes it.
        fs::create_dir_all("/run/sshd").expect("a folder: the tests run as root");
        let configuration = folder.join("configuration").display().to_string();
        let process = Process::start("/usr/sbin/sshd", &["-D", "-e", "-f", &configuration], &folder);
        wait_for(&process, &folder, PATIENCE, || listens(Ipv4Addr::LOCALHOST, port));
        Self { folder, port, _process: process }
    }

    /// The address of a repository.
    pub fn url(&self, repository: &Repository) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", whoami(), self.port, repository.served().display())
    }

    /// The private key that is let in.
    pub fn key(&self) -> PathBuf {
        self.folder.join("client")
    }

    /// A private key that is not.
    pub fn strange_key(&self) -> PathBuf {
        self.folder.join("stranger")
    }

    /// Writes the file of servers' keys: with its own, or with another one's.
    pub fn known_hosts(&self, path: &Path, is_right: bool) {
        let key = if is_right { "host.pub" } else { "stranger.pub" };
        let key = fs::read_to_string(self.folder.join(key)).expect("a key");
        fs::write(path, format!("[127.0.0.1]:{} {key}", self.port)).expect("written");
    }
}

fn whoami() -> String {
    run(Command::new("id").arg("-un")).trim().to_owned()
}

/// Makes an ssh key without a passphrase; its public half is beside it.
pub fn ssh_key(path: &Path) {
    let path = path.display().to_string();
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", &path]));
}

/// Makes a GnuPG folder with a key of its own, and writes its public key into a file.
pub fn open_pgp_key(home: &Path, name: &str, public: &Path) {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(0o700).create(home).expect("a folder");
    let gpg = || {
        let mut gpg = Command::new("gpg");
        gpg.env("GNUPGHOME", home).args(["--batch", "--quiet"]);
        gpg
    };
    let whom = format!("{name} <{name}@msp.test>");
    run(gpg().args(["--passphrase", "", "--quick-generate-key", &whom, "ed25519", "sign", "never"]));
    let exported = run(gpg().args(["--armor", "--export"]));
    fs::write(public, exported).expect("written");
}

/// Ends the agent that signing with GnuPG starts.
pub fn end_agent(home: &Path) {
    run(Command::new("gpgconf").env("GNUPGHOME", home).args(["--kill", "all"]));
}
