//! How an account stands in its directory, beside being enabled: told as evidence, and never a reason.

use std::num::NonZeroU64;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Windows counts in 100 nanoseconds (\[MS-DTYP\] 2.3.3) …
const TICKS_PER_SECOND: u64 = 10_000_000;
/// … since 1601. This is 1970.
const UNIX_EPOCH: i64 = 11_644_473_600;

/// What a directory says of an account, and no rule asks for. Small, as there are a million.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// When the account ends (accountExpires); most never do.
    pub expires: Option<Expiry>,
    /// Whether it was locked after wrong passwords, and nobody signed in since (lockoutTime).
    pub is_locked: bool,
    /// Whether it is or was in a protected group (adminCount): nothing takes the mark away again.
    pub has_admin_count: bool,
}

/// The end of an account, as accountExpires has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Expiry(NonZeroU64);

impl Expiry {
    /// Reads a value of accountExpires. `None` for an account without an end: 0, the largest number,
    /// and everything after the last year that a calendar has.
    pub fn from_file_time(ticks: i64) -> Option<Self> {
        let expiry = Self(NonZeroU64::new(u64::try_from(ticks).ok()?)?);
        expiry.instant().map(|_| expiry)
    }

    /// Whether the end has come.
    pub fn is_over(self, at: Timestamp) -> bool {
        self.instant().is_some_and(|instant| instant <= at)
    }

    /// Returns the end.
    pub fn instant(self) -> Option<Timestamp> {
        let seconds = i64::try_from(self.0.get() / TICKS_PER_SECOND).ok()?;
        Timestamp::from_second(seconds - UNIX_EPOCH).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_read_from_windows_ticks() {
        // 2026-02-01T00:00:00Z is 1_769_904_000 seconds after 1970.
        let expiry = Expiry::from_file_time((1_769_904_000 + UNIX_EPOCH) * 10_000_000).expect("an end");
        assert_eq!(expiry.instant().map(|at| at.to_string()).as_deref(), Some("2026-02-01T00:00:00Z"));
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        assert!(!expiry.is_over(at("2026-01-31T23:59:59Z")));
        assert!(expiry.is_over(at("2026-02-01T00:00:00Z")));
        let in_1601 = Expiry::from_file_time(1).expect("an end");
        assert_eq!(in_1601.instant().map(|at| at.to_string()).as_deref(), Some("1601-01-01T00:00:00Z"));
    }

    #[test]
    fn an_account_without_an_end_has_none() {
        for ticks in [0, i64::MAX, i64::MAX - 1, -1, i64::MIN] {
            assert_eq!(Expiry::from_file_time(ticks), None, "{ticks}");
        }
    }

    #[test]
    fn a_million_of_them_are_small() {
        assert!(size_of::<Standing>() <= 16);
    }
}
