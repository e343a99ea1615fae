//! Who failed to prove who they are, and how often lately: guessing is slow, whoever guesses.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::digest::Digest;

/// How many wrong guesses may come from an address within a window.
const GUESSES: usize = 10;
/// How long a window is; it begins with the first guess.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// How many addresses are remembered. Of more than these, the one whose window ends first is forgotten.
const ADDRESSES: usize = 10_000;

/// Counts wrong guesses by the address that they came from.
#[derive(Debug, Default)]
pub struct Attempts {
    windows: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Debug, Clone)]
struct Window {
    began: Timestamp,
    /// What was tried and was not right, or is being tried: the same twice is no second guess.
    tried: BTreeSet<Digest>,
}

impl Window {
    fn new(began: Timestamp) -> Self {
        Self { began, tried: BTreeSet::new() }
    }

    fn ends(&self) -> Timestamp {
        self.began.saturating_add(WINDOW).unwrap_or(Timestamp::MAX)
    }
}

impl Attempts {
    /// Notes that somebody at an address tries something, before it is known whether it is right: of many who try at
    /// once no more are looked at than may be wrong. Returns whether it is tried for the first time within a window.
    ///
    /// # Errors
    /// How long they have to wait. A right one waits as well: otherwise the answer would tell whoever guesses that
    /// this was it.
    pub fn begin(&self, peer: IpAddr, tried: Digest, now: Timestamp) -> Result<bool, Duration> {
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
        let window = windows.entry(peer).or_insert_with(|| Window::new(now));
        if window.ends() <= now {
            *window = Window::new(now);
        }
        if window.tried.len() >= GUESSES {
            return Err(Duration::try_from(window.ends().duration_since(now)).unwrap_or_default());
        }
        Ok(window.tried.insert(tried))
    }

    /// Notes that what somebody tried was right.
    pub fn succeeded(&self, peer: IpAddr, tried: Digest) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = network(peer);
        if let Some(window) = windows.get_mut(&peer) {
            window.tried.remove(&tried);
            if window.tried.is_empty() {
                windows.remove(&peer);
            }
        }
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

    fn guess(number: u32) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    #[test]
    fn ten_wrong_guesses_within_a_minute_are_the_last_until_it_is_over() {
        let attempts = Attempts::default();
        let (guesser, other) = (peer("192.0.2.1"), peer("192.0.2.2"));
        for number in 0..10 {
            assert!(attempts.begin(guesser, guess(number), at(number.into())).is_ok());
        }
        assert_eq!(attempts.begin(guesser, guess(10), at(10)), Err(Duration::from_secs(50)));
        assert_eq!(
            attempts.begin(guesser, guess(3), at(10)),
            Err(Duration::from_secs(50)),
            "also a known one"
        );
        assert!(attempts.begin(other, guess(10), at(10)).is_ok());
        assert!(attempts.begin(guesser, guess(11), at(60)).is_ok(), "a new window began");
        assert!(attempts.begin(guesser, guess(12), at(61)).is_ok());
    }

    #[test]
    fn the_same_twice_is_no_second_guess_and_a_right_one_is_none() {
        let attempts = Attempts::default();
        let peer = peer("192.0.2.1");
        for second in 0..50 {
            assert!(attempts.begin(peer, guess(1), at(second)).is_ok(), "a program with an old token");
            assert!(attempts.begin(peer, guess(2), at(second)).is_ok());
            attempts.succeeded(peer, guess(2));
        }
        (3..12).for_each(|number| assert!(attempts.begin(peer, guess(number), at(51)).is_ok()));
        assert!(attempts.begin(peer, guess(2), at(52)).is_err());
    }

    #[test]
    fn what_is_wrong_again_and_again_is_new_once_in_a_window() {
        let attempts = Attempts::default();
        let peer = peer("192.0.2.1");
        let tries = [(1, 0), (1, 1), (2, 2), (1, 59), (1, 60), (1, 61)];
        let told = tries.map(|(number, second)| attempts.begin(peer, guess(number), at(second)));
        assert_eq!(told, [Ok(true), Ok(false), Ok(true), Ok(false), Ok(true), Ok(false)]);
    }

    #[test]
    fn a_network_of_a_provider_is_one_guesser() {
        let attempts = Attempts::default();
        for number in 0..10 {
            assert!(attempts.begin(peer(&format!("2001:db8::{number}")), guess(number), at(0)).is_ok());
            assert!(attempts.begin(peer("::ffff:192.0.2.7"), guess(number), at(0)).is_ok());
        }
        assert!(attempts.begin(peer("2001:db8::ffff"), guess(99), at(1)).is_err());
        assert!(attempts.begin(peer("2001:db8:0:1::1"), guess(99), at(1)).is_ok());
        assert!(attempts.begin(peer("192.0.2.7"), guess(99), at(1)).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::default();
        let most = u32::try_from(ADDRESSES).expect("a number") + 100;
        for number in 0..most {
            let peer = IpAddr::V4(number.into());
            let now = Timestamp::from_millisecond(1_000_000_000 + i64::from(number)).expect("a time");
            assert!(attempts.begin(peer, guess(number), now).is_ok());
        }
        let windows = attempts.windows.lock().expect("a lock");
        assert!(windows.len() <= ADDRESSES);
        assert!(
            windows.contains_key(&IpAddr::V4((most - 1).into()))
                && !windows.contains_key(&IpAddr::V4(0.into()))
        );
    }
}
