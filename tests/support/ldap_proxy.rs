//! A proxy before a directory server, which counts the server's messages, and cuts or changes them.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use lber::parse::parse_tag;
use lber::structure::PL;

/// Where every connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// After so many messages of the server.
    After(usize),
    /// In the middle of the message after so many.
    Within(usize),
}

/// A running proxy. It runs until the test program ends.
pub struct LdapProxy {
    url: String,
    orders: Arc<Mutex<Orders>>,
}

#[derive(Default)]
struct Orders {
    cut: Option<Cut>,
    replace: Option<(&'static [u8], &'static [u8])>,
    /// The kinds of the messages that the last connection got from the server.
    kinds: Vec<u64>,
}

impl LdapProxy {
    /// Starts a proxy before the server behind a plain URL with a port.
    pub fn start(url: &str) -> Self {
        let target = url.trim_start_matches("ldap://").to_owned();
        let target = if target.contains(':') { target } else { format!("{target}:389") };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let url = format!("ldap://{}", listener.local_addr().expect("an address"));
        let orders = Arc::new(Mutex::new(Orders::default()));
        let shared = Arc::clone(&orders);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&target).expect("the server");
                let orders = Arc::clone(&shared);
                std::thread::spawn(move || serve(&client, &server, &orders));
            }
        });
        Self { url, orders }
    }

    /// Returns the plain URL.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Cuts every connection from now on, or none.
    pub fn cut(&self, cut: Option<Cut>) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).cut = cut;
    }

    /// Replaces octets by as many others in every message of the server.
    pub fn replace(&self, octets: &'static [u8], others: &'static [u8]) {
        assert_eq!(octets.len(), others.len());
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).replace = Some((octets, others));
    }

    /// Returns the kinds of the messages that the last connection got: 4 for an entry of a search, 5
    /// for its end (RFC 4511, 4.2 to 4.5).
    pub fn kinds(&self) -> Vec<u64> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).kinds.clone()
    }
}

fn serve(client: &TcpStream, server: &TcpStream, orders: &Mutex<Orders>) {
    orders.lock().unwrap_or_else(PoisonError::into_inner).kinds.clear();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::copy(&mut &*client, &mut &*server);
            let _ = server.shutdown(Shutdown::Both);
        });
        let _ = forward(server, client, orders);
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    });
}

/// Forwards the server's messages one by one, until one of the two is gone or the cut has come.
fn forward(mut server: &TcpStream, mut client: &TcpStream, orders: &Mutex<Orders>) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let length = server.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        buffer.extend_from_slice(&chunk[..length]);
        while let Ok((rest, message)) = parse_tag(&buffer) {
            let rest = rest.len();
            let mut octets: Vec<u8> = buffer.drain(..buffer.len() - rest).collect();
            let kind = match message.payload {
                PL::C(parts) => parts.get(1).map_or(u64::MAX, |operation| operation.id),
                PL::P(_) => u64::MAX,
            };
            let (cut, replace, sent) = {
                let mut orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
                orders.kinds.push(kind);
                (orders.cut, orders.replace, orders.kinds.len() - 1)
            };
            if let Some((from, to)) = replace {
                let places: Vec<usize> = octets
                    .windows(from.len())
                    .enumerate()
                    .filter(|(_, part)| *part == from)
                    .map(|(at, _)| at)
                    .collect();
                places.into_iter().for_each(|at| octets[at..at + to.len()].copy_from_slice(to));
            }
            match cut {
                Some(Cut::After(messages)) if messages == sent => return Ok(()),
                Some(Cut::Within(messages)) if messages == sent => {
                    return client.write_all(&octets[..octets.len() / 2]);
                }
                _ => client.write_all(&octets)?,
            }
        }
    }
}
