//! A wire to a server that somebody may hold: nothing goes through any more, and nobody is told.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A wire. It is there until the test program ends.
pub struct Wire {
    port: u16,
    held: Arc<AtomicBool>,
}

impl Wire {
    /// Lays a wire to a port on loopback.
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let held = Arc::new(AtomicBool::new(false));
        let shared = held.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let held = shared.clone();
                std::thread::spawn(move || carry(&client, server, &held));
            }
        });
        Self { port, held }
    }

    /// The port of its near end, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Holds everything that goes over it, or lets it go on.
    pub fn hold(&self, is_held: bool) {
        self.held.store(is_held, Ordering::SeqCst);
    }
}

fn wait(held: &AtomicBool) {
    while held.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn carry(client: &TcpStream, server: u16, held: &AtomicBool) {
    wait(held);
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { return };
    let one_way = |mut from: &TcpStream, mut to: &TcpStream| {
        let mut octets = [0; 16_384];
        while let Ok(length @ 1..) = from.read(&mut octets) {
            wait(held);
            if to.write_all(&octets[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| one_way(client, &server));
        one_way(&server, client);
    });
}
