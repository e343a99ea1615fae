//! A terminal of its own for a program: what it shows is read here, and keys are typed into it.
//!
//! The reader ends when nobody holds the other side any more, so that the last words of a program
//! that ends are never lost.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::intake::until;

/// A program on a terminal. It is killed when this is dropped.
pub struct Terminal {
    child: Child,
    keyboard: File,
    shown: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts a command on a terminal: its three streams, and where its signals come from.
    pub fn start(command: &Command) -> Self {
        let (ours, theirs) = pair();
        let stream = || theirs.try_clone().expect("a descriptor");
        // A terminal is one's own only in a session of one's own.
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            session.current_dir(folder);
        }
        let child = session.stdin(stream()).stdout(stream()).stderr(stream()).spawn().expect("setsid starts");
        drop((session, theirs));
        let mut screen = ours.try_clone().expect("a descriptor");
        let shown = Arc::new(Mutex::new(String::new()));
        let reader = std::thread::spawn({
            let shown = Arc::clone(&shown);
            move || {
                let mut octets = [0; 4096];
                // It ends with EIO once the last one has closed the other side.
                while let Ok(read @ 1..) = screen.read(&mut octets) {
                    let text = String::from_utf8_lossy(&octets[..read]);
                    shown.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
                }
            }
        });
        Self { child, keyboard: ours, shown, reader: Some(reader) }
    }

    /// Returns what was shown so far.
    pub fn shown(&self) -> String {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a text was shown.
    pub fn shows(&self, text: &str) {
        until(text, || {
            let ended = self.reader.as_ref().is_none_or(JoinHandle::is_finished);
            let shown = self.shown();
            assert!(!ended || shown.contains(text), "it ended without `{text}`: {shown}");
            shown.contains(text)
        });
    }

    /// Types keys: `\r` is the enter key, `\u{3}` is Ctrl-C.
    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("typed");
    }

    /// Waits for the program's end. Returns its exit code, and everything that was shown.
    pub fn end(mut self) -> (Option<i32>, String) {
        let mut code = None;
        until("the program's end", || {
            code = self.child.try_wait().expect("a child");
            code.is_some()
        });
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader");
        }
        (code.and_then(|status| status.code()), self.shown())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens a pair of connected terminal ends: ours, and the program's.
fn pair() -> (File, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&ours).expect("a terminal");
    unlockpt(&ours).expect("a terminal");
    let name = ptsname(&ours, Vec::new()).expect("its name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name, flags, Mode::empty()).expect("its other end");
    (File::from(ours), theirs)
}
