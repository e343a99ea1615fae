//! Proxies that the operator trusts: whoever asks through one is who the proxy says that they are.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::model::network::Network;

/// How many proxies are looked through: each adds an address, and more of them nobody has in a row.
const MOST: usize = 32;
/// What proxies write whom they are asked by into, each after those before it.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Proxies that are trusted. By default none is.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// Trusts whoever is in these networks.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Returns who asks: the peer, or, where that is a trusted proxy, the last address of `X-Forwarded-For` that is
    /// none. What stands before that one was written by somebody whom nobody knows, and may be made up.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        // A line that is no text is one that no proxy of ours wrote.
        let lines = lines.map_while(|line| line.to_str().ok());
        let mut client = peer;
        for written in lines.flat_map(|line| line.rsplit(',')).take(MOST) {
            // So is this; whoever is nearest is then the one who asks.
            let Some(address) = address(written.trim()) else { break };
            client = address;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }
}

/// Reads an address, which some proxies write with its port.
fn address(written: &str) -> Option<IpAddr> {
    let address = written.parse().ok().or_else(|| written.parse::<SocketAddr>().ok().map(|there| there.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, lines: &[&str]) -> String {
        let networks = trusted.iter().map(|network| network.parse().expect("a network")).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().expect("a header"));
        }
        TrustedProxies::new(networks).client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn whoever_is_no_trusted_proxy_is_who_asks_whatever_they_write() {
        assert_eq!(client(&[], "127.0.0.1", &["192.0.2.1"]), "127.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.9", &["192.0.2.1"]), "192.0.2.9");
    }

    #[test]
    fn behind_trusted_proxies_the_last_stranger_asks_and_nobody_whom_a_stranger_names() {
        let trusted = &["127.0.0.1", "10.0.0.0/8"];
        for (lines, expected) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["198.51.100.7, 192.0.2.1, 10.0.0.3"], "192.0.2.1"),
            (&["198.51.100.7", "192.0.2.1", "10.0.0.3"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["10.0.0.4, 10.0.0.3"], "10.0.0.4"),
            (&[], "127.0.0.1"),
            (&["192.0.2.1, unknown, 10.0.0.3"], "10.0.0.3"),
            (&["192.0.2.1,"], "127.0.0.1"),
        ] {
            assert_eq!(client(trusted, "127.0.0.1", lines), expected, "{lines:?}");
        }
        let long = vec!["10.0.0.1"; 100_000].join(",");
        assert_eq!(client(trusted, "127.0.0.1", &[&format!("192.0.2.1,{long}")]), "10.0.0.1");
    }
}
