//! Networks of addresses, as an operator names them: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use std::net::IpAddr;
use std::str::FromStr;

/// A network: the addresses that begin as one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits count.
    bits: u32,
}

/// It is written otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed network")]
pub struct NoNetwork;

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => {
                // `+8` and `08` are how nobody writes it.
                let is_plain = !bits.starts_with(['+', '0']) || bits == "0";
                (address, is_plain.then(|| bits.parse::<u32>().ok()).flatten().ok_or(NoNetwork).map(Some)?)
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        match bits.unwrap_or(most) {
            bits if bits <= most => Ok(Self { address, bits }),
            _ => Err(NoNetwork),
        }
    }
}

impl Network {
    /// Whether everybody is in it.
    pub fn is_everybody(self) -> bool {
        self.bits == 0
    }

    /// Whether an address is in it. An IPv4 address is the same when it is written as one of IPv6.
    pub fn holds(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(mine), IpAddr::V4(address)) => {
                let differ = mine.to_bits() ^ address.to_bits();
                differ.checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(mine), IpAddr::V6(address)) => {
                let differ = mine.to_bits() ^ address.to_bits();
                differ.checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_whoever_begins_as_it_does() {
        let holds = |network: &str, address: &str| {
            let network: Network = network.parse().expect("a network");
            network.holds(address.parse().expect("an address"))
        };
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("10.1.2.3/31", "::ffff:10.1.2.2", "10.1.2.4"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "127.0.0.1"),
        ] {
            assert!(holds(network, inside) && !holds(network, outside), "{network}");
        }
        assert!(holds("0.0.0.0/0", "1.2.3.4") && !holds("0.0.0.0/0", "::1"));
        assert!("::/0".parse::<Network>().expect("a network").is_everybody());
        for wrong in [
            "",
            "10",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/08",
            "host",
            "10.0.0.0/+8",
        ] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
