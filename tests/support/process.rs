//! A server process that ends with whoever started it, whatever happens to them.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// Starts the server, tells its process id and waits for the end of the standard input: the guard is
/// dropped, or the test program is gone, however it went. Then the server is killed and its folder
/// removed, and so is whatever it started, if it leads a session of its own. A server that ended by itself
/// stays a zombie until then, so that its id is nobody else's.
const GUARD: &str = r#"
exec 3<&0
"$@" </dev/null >>"$LOG" 2>&1 3<&- &
server=$!
echo $server
cat <&3 >/dev/null
kill -$SIGNAL $server 2>/dev/null
kill -9 $(sed -n "s/^\([0-9]*\) (.*) . [0-9]* [0-9]* $server .*/\1/p" /proc/[0-9]*/stat 2>/dev/null) 2>/dev/null
wait $server
rm -rf "$FOLDER"
"#;

/// A running server.
pub struct Process {
    shell: Child,
    pid: u32,
}

impl Process {
    /// Starts a server that stays in the foreground. What it prints goes to `log` in `folder`, which
    /// is removed when the server ends.
    pub fn start(program: &str, arguments: &[&str], folder: &Path) -> Self {
        Self::start_ended_by("KILL", program, arguments, folder)
    }

    /// The same, for a server that is to be ended by a signal that lets it clean up.
    pub fn start_ended_by(signal: &str, program: &str, arguments: &[&str], folder: &Path) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", GUARD, "guard", program])
            .args(arguments)
            .env("LOG", folder.join("log"))
            .env("SIGNAL", signal)
            .env("FOLDER", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The shell's farewell to a killed process.
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("sh: {error}"));
        let mut line = String::new();
        let output = shell.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("the server's process id");
        let pid = line.trim().parse().unwrap_or_else(|_| panic!("{program} did not start: {line:?}"));
        Self { shell, pid }
    }

    /// Whether the server still runs.
    pub fn runs(&self) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        state.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    /// Kills the server at once, as a power failure would.
    pub fn kill(&self) {
        run(Command::new("kill").args(["-9", &self.pid.to_string()]));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Closing the pipe is what ends the server; waiting makes sure that it did.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Runs a command to its end and returns what it printed. Panics with all of its output if it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error} (is it installed?)"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Runs a command with text as its input.
pub fn run_with_input(command: &mut Command, input: &str) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), input).expect("written");
    run(command.stdin(std::fs::File::open(file.path()).expect("opened")))
}

/// Ports that the system gives to nobody who asks for any: below the range that it takes those from.
const PORTS: Range<u16> = 20_000..32_000;

/// Finds a port on loopback that nobody listens on, for a server that is started with its number. No two tests are
/// given the same one, and no connection or listener that takes any port can take it before the server does.
pub fn free_port() -> u16 {
    // Several test programs may run at once: each begins somewhere else.
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(fastrand::u32(..u32::from(u16::MAX))));
    let count = u32::from(PORTS.end - PORTS.start);
    for _ in 0..count {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) % count;
        let port = PORTS.start + u16::try_from(offset).expect("below the count");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
}

/// Takes a port on loopback on which nobody listens, and keeps it so until the test program ends: whoever connects is
/// refused.
pub fn dead_port() -> u16 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port");
    let address = socket.local_addr().expect("an address").as_socket().expect("one of TCP");
    std::mem::forget(socket);
    address.port()
}

/// Finds a loopback address on which nobody listens on these ports, for servers whose ports are fixed.
pub fn free_address(ports: &[u16]) -> Ipv4Addr {
    for _ in 0..100 {
        let address = Ipv4Addr::new(127, fastrand::u8(64..=126), fastrand::u8(..), fastrand::u8(1..=254));
        if ports.iter().all(|port| TcpListener::bind((address, *port)).is_ok()) {
            return address;
        }
    }
    panic!("no loopback address has the ports {ports:?} free (ports below 1024 need root)");
}

/// Waits until something answers, or the server is gone.
pub fn wait_for(process: &Process, folder: &Path, patience: Duration, mut answers: impl FnMut() -> bool) {
    let started = Instant::now();
    while !answers() {
        let said = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(process.runs(), "the server ended: {}", said());
        assert!(started.elapsed() < patience, "the server does not answer: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether something listens.
pub fn listens(address: impl Into<IpAddr>, port: u16) -> bool {
    TcpStream::connect_timeout(&(address.into(), port).into(), Duration::from_millis(200)).is_ok()
}
