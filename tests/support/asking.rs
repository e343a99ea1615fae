//! Somebody who asks a controller over HTTP, and says each byte of it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::support::intake::{Installation, PATIENCE, Running};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    /// Reads the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Expects a status; of an error also that it is a problem document about it.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        if status >= 400 {
            assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
            let problem = self.json();
            assert_eq!(problem["status"], status, "{self:?}");
            assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{self:?}");
        }
        self
    }

    /// Returns what a problem document says happened.
    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().expect("a detail").to_owned()
    }
}

/// A controller that runs, and where it listens.
pub struct Served {
    pub running: Running,
    pub address: SocketAddr,
    pub token: Option<String>,
}

impl Served {
    /// Starts the controller of an installation whose operator's file says `listen: 127.0.0.1:0`.
    pub fn start(here: &Installation) -> Self {
        Self::of(here.start(&["run"]))
    }

    /// Waits until a controller listens.
    pub fn of(mut running: Running) -> Self {
        running.logs("listening");
        let log = running.log();
        let address = log.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = address.and_then(|address| address.parse().ok());
        Self { running, address: address.unwrap_or_else(|| panic!("no address: {log}")), token: None }
    }

    /// Says this token from now on.
    pub fn with(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Returns how the address is typed.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, content: &str) -> Answer {
        self.ask("POST", path, &[("Content-Type", "application/json")], content.as_bytes())
    }

    /// Asks with these headers besides.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], content: &[u8]) -> Answer {
        let token = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut all: Vec<(&str, &str)> =
            token.iter().map(|token| ("Authorization", token.as_str())).collect();
        all.extend(headers);
        ask(self.address, method, path, &all, content)
    }

    /// Ends it as a service manager does.
    pub fn end(self) -> String {
        self.running.signal("TERM");
        self.running.end().expect(0).stderr
    }
}

/// Asks once, on a connection of its own. A `Host` or a `Content-Length` that is given is said in place of
/// the right one.
pub fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    content: &[u8],
) -> Answer {
    let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !given("host") {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    if !given("content-length") && method == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", content.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    // An answer may come, and the connection be over, before all of it was sent.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(content));
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    read(&String::from_utf8(bytes).expect("UTF-8"))
}

fn read(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.expect("a status"),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
        body: body.to_owned(),
    }
}
