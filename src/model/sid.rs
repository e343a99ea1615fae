//! Security identifiers, binary as a directory sends them and as text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many sub-authorities are kept. The format allows 15; accounts and groups have at most 5,
/// and a fixed small array is what keeps a million people small.
const MAX_SUB_AUTHORITIES: usize = 6;

/// A security identifier (\[MS-DTYP\] 2.4.2), for example `S-1-5-21-1-2-3-512`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sid {
    authority: [u8; 6],
    count: u8,
    sub_authorities: [u32; MAX_SUB_AUTHORITIES],
}

/// Why octets or text are no SID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a security identifier (SID)")]
pub struct InvalidSid;

impl Sid {
    /// Reads the binary form: revision, count, a big-endian authority, little-endian sub-authorities.
    pub fn from_octets(octets: &[u8]) -> Result<Self, InvalidSid> {
        let (&[revision, count], rest) = octets.split_first_chunk::<2>().ok_or(InvalidSid)?;
        let (authority, rest) = rest.split_first_chunk::<6>().ok_or(InvalidSid)?;
        let expected = usize::from(count) * 4;
        if revision != 1 || usize::from(count) > MAX_SUB_AUTHORITIES || rest.len() != expected {
            return Err(InvalidSid);
        }
        let mut sub_authorities = [0; MAX_SUB_AUTHORITIES];
        let (words, _) = rest.as_chunks::<4>();
        for (slot, word) in sub_authorities.iter_mut().zip(words) {
            *slot = u32::from_le_bytes(*word);
        }
        Ok(Self { authority: *authority, count, sub_authorities })
    }

    /// Returns the last sub-authority: the RID of an account or group.
    pub fn rid(&self) -> Option<u32> {
        self.parts().last().copied()
    }

    /// Returns the SID of the domain: all but the RID.
    pub fn domain(&self) -> Option<Self> {
        let count = self.count.checked_sub(1)?;
        let mut domain = *self;
        domain.count = count;
        domain.sub_authorities[usize::from(count)] = 0;
        Some(domain)
    }

    /// Returns this domain's SID with a RID added, for example the primary group of a person.
    pub fn with_rid(&self, rid: u32) -> Option<Self> {
        let mut sid = *self;
        *sid.sub_authorities.get_mut(usize::from(self.count))? = rid;
        sid.count += 1;
        Some(sid)
    }

    /// Whether this is an account or group of some domain, `S-1-5-21-…`.
    pub fn is_of_a_domain(&self) -> bool {
        self.authority == [0, 0, 0, 0, 0, 5] && self.parts().first() == Some(&21) && self.parts().len() == 5
    }

    /// Whether this is a built-in principal of every machine, `S-1-5-32-…`.
    pub fn is_builtin(&self) -> bool {
        self.authority == [0, 0, 0, 0, 0, 5] && self.parts().first() == Some(&32)
    }

    fn parts(&self) -> &[u32] {
        &self.sub_authorities[..usize::from(self.count)]
    }
}

impl FromStr for Sid {
    type Err = InvalidSid;

    fn from_str(text: &str) -> Result<Self, InvalidSid> {
        let mut parts = text.trim().split('-');
        if !parts.next().is_some_and(|prefix| prefix.eq_ignore_ascii_case("S")) || parts.next() != Some("1") {
            return Err(InvalidSid);
        }
        let authority: u64 = parts.next().and_then(|part| part.parse().ok()).ok_or(InvalidSid)?;
        let [0, 0, authority @ ..] = authority.to_be_bytes() else {
            return Err(InvalidSid);
        };
        let mut sid = Self { authority, count: 0, sub_authorities: [0; MAX_SUB_AUTHORITIES] };
        for part in parts {
            sid = sid.with_rid(part.parse().map_err(|_| InvalidSid)?).ok_or(InvalidSid)?;
        }
        if sid.count == 0 { Err(InvalidSid) } else { Ok(sid) }
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.authority;
        write!(formatter, "S-1-{}", u64::from_be_bytes([0, 0, a, b, c, d, e, f]))?;
        self.parts().iter().try_for_each(|part| write!(formatter, "-{part}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// \[MS-DTYP\] layout, worked out by hand: 1004336348 = 0x3bdcf4dc.
    const DOMAIN_ADMINS: [u8; 28] = [
        1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 0xdc, 0xf4, 0xdc, 0x3b, 0x83, 0x3d, 0x2b, 0x46, 0x82, 0x8b,
        0xa6, 0x28, 0, 2, 0, 0,
    ];

    #[test]
    fn binary_and_text_are_the_same_sid() {
        let sid = Sid::from_octets(&DOMAIN_ADMINS).expect("a SID");
        assert_eq!(sid.to_string(), "S-1-5-21-1004336348-1177238915-682003330-512");
        assert_eq!("s-1-5-21-1004336348-1177238915-682003330-512".parse(), Ok(sid));
        assert_eq!(sid.rid(), Some(512));
        assert_eq!(sid.domain().and_then(|domain| domain.with_rid(512)), Some(sid));
    }

    #[test]
    fn broken_sids_are_refused() {
        assert_eq!(Sid::from_octets(&DOMAIN_ADMINS[..27]), Err(InvalidSid));
        assert_eq!(Sid::from_octets(&[]), Err(InvalidSid));
        assert_eq!("S-1-5".parse::<Sid>(), Err(InvalidSid));
        assert_eq!("S-1-5-x".parse::<Sid>(), Err(InvalidSid));
    }

    #[test]
    fn built_in_principals_are_known() {
        assert!("S-1-5-32-544".parse::<Sid>().expect("a SID").is_builtin());
        assert!(!"S-1-5-21-1-2-3-544".parse::<Sid>().expect("a SID").is_builtin());
    }
}
