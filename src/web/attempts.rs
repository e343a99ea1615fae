//! Who failed to prove who they are, and how often lately: guessing is slow, whoever guesses.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How often an address may fail within a window.
const FAILURES: u32 = 10;
/// How long a window is; it begins with the first failure.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// How many addresses are remembered. Of more than these, the one whose window ends first is forgotten.
const ADDRESSES: usize = 10_000;

/// Counts failures by the address that they came from.
#[derive(Debug, Default)]
pub struct Attempts {
    windows: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Timestamp,
    failures: u32,
}

impl Window {
    fn ends(self) -> Timestamp {
        self.began.saturating_add(WINDOW).unwrap_or(Timestamp::MAX)
    }
}

impl Attempts {
    /// Returns how long somebody at an address has to wait; nothing if they may try. A right token waits as
    /// well: otherwise the answer would tell whoever guesses that this was it.
    pub fn wait(&self, peer: IpAddr, now: Timestamp) -> Option<Duration> {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.get(&network(peer))?;
        if window.failures < FAILURES || window.ends() <= now {
            return None;
        }
        Duration::try_from(window.ends().duration_since(now)).ok()
    }

    /// Notes that somebody at an address failed.
    pub fn fail(&self, peer: IpAddr, now: Timestamp) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = network(peer);
        if !windows.contains_key(&peer) && windows.len() >= ADDRESSES {
            windows.retain(|_, window| window.ends() > now);
            if windows.len() >= ADDRESSES
                && let Some(oldest) =
                    windows.iter().min_by_key(|(_, window)| window.began).map(|(peer, _)| *peer)
            {
                windows.remove(&oldest);
            }
        }
        let window = windows.entry(peer).or_insert(Window { began: now, failures: 0 });
        if window.ends() <= now {
            *window = Window { began: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
    }
}

/// Returns what one guesser is taken for: an IPv6 network of 64 bits is one customer of a provider, who may
/// have a new address for every guess.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).expect("a time")
    }

    fn peer(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn ten_failures_within_a_minute_are_the_last_until_it_is_over() {
        let attempts = Attempts::default();
        let (guesser, other) = (peer("192.0.2.1"), peer("192.0.2.2"));
        for second in 0..10 {
            assert_eq!(attempts.wait(guesser, at(second)), None);
            attempts.fail(guesser, at(second));
        }
        assert_eq!(attempts.wait(guesser, at(10)), Some(Duration::from_secs(50)));
        assert_eq!(attempts.wait(other, at(10)), None);
        assert_eq!(attempts.wait(guesser, at(60)), None);
        attempts.fail(guesser, at(60));
        assert_eq!(attempts.wait(guesser, at(61)), None, "a new window began");
    }

    #[test]
    fn a_network_of_a_provider_is_one_guesser() {
        let attempts = Attempts::default();
        (0..10).for_each(|number| attempts.fail(peer(&format!("2001:db8::{number}")), at(0)));
        assert!(attempts.wait(peer("2001:db8::ffff"), at(1)).is_some());
        assert!(attempts.wait(peer("2001:db8:0:1::1"), at(1)).is_none());
        (0..10).for_each(|_| attempts.fail(peer("::ffff:192.0.2.7"), at(0)));
        assert!(attempts.wait(peer("192.0.2.7"), at(1)).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::default();
        let most = u32::try_from(ADDRESSES).expect("a number") + 100;
        for number in 0..most {
            attempts.fail(IpAddr::V4(number.into()), at(i64::from(number) / 1_000));
        }
        let windows = attempts.windows.lock().expect("a lock");
        assert!(windows.len() <= ADDRESSES);
        assert!(
            windows.contains_key(&IpAddr::V4((most - 1).into()))
                && !windows.contains_key(&IpAddr::V4(0.into()))
        );
    }
}
