//! What a machine has of Kerberos: its configuration, and tickets.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// The realm of the domains that tests make.
pub const REALM: &str = "CONTOSO.TEST";

/// Returns a `krb5.conf` that knows one realm and asks no name server. `kdc` is an address, perhaps
/// with a port.
pub fn configuration(kdc: &str) -> String {
    format!(
        "[libdefaults]
default_realm = {REALM}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
[realms]
{REALM} = {{
  kdc = {kdc}
}}
"
    )
}

/// Returns a ticket cache (MIT's file format, version 4) with one ticket, for getting others, which
/// expired long ago.
pub fn expired_ticket(account: &str) -> Vec<u8> {
    let mut cache = vec![5, 4, 0, 0];
    let user = principal(&[account]);
    cache.extend(&user);
    cache.extend(&user);
    cache.extend(principal(&["krbtgt", REALM]));
    // Its key: aes256-cts-hmac-sha1-96, 32 octets.
    cache.extend([0, 18, 0, 0, 0, 32]);
    cache.extend([0; 32]);
    // Authenticated, valid from, valid until, renewable until: in the year 2020.
    for time in [1_577_836_800_u32, 1_577_836_800, 1_577_872_800, 0] {
        cache.extend(time.to_be_bytes());
    }
    // Not for another session's key, no flags, no addresses, no authorisation data.
    cache.extend([0; 1 + 4 + 4 + 4]);
    cache.extend(counted(b"ticket"));
    cache.extend(counted(b""));
    cache
}

fn principal(parts: &[&str]) -> Vec<u8> {
    let count = u32::try_from(parts.len()).expect("few");
    let mut octets = [1_u32.to_be_bytes(), count.to_be_bytes()].concat();
    octets.extend(counted(REALM.as_bytes()));
    octets.extend(parts.iter().flat_map(|part| counted(part.as_bytes())));
    octets
}

fn counted(octets: &[u8]) -> Vec<u8> {
    let length = u32::try_from(octets.len()).expect("short").to_be_bytes();
    [&length, octets].concat()
}

/// A key distribution centre that takes every question and answers none.
pub struct SilentKdc {
    stream: TcpListener,
    _datagrams: UdpSocket,
}

impl SilentKdc {
    /// Listens.
    pub fn start() -> Self {
        loop {
            let stream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            // Both questions come to the same port.
            if let Ok(_datagrams) = UdpSocket::bind(stream.local_addr().expect("an address")) {
                return Self { stream, _datagrams };
            }
        }
    }

    /// Returns where it listens.
    pub fn address(&self) -> String {
        self.stream.local_addr().expect("an address").to_string()
    }
}
