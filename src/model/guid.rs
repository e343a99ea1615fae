//! GUIDs as directories and tenants hold them: the same identity in two byte orders.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A GUID: an objectGUID, a tenant user's id, a SKU's or a service plan's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Guid(Uuid);

impl Guid {
    /// Reads the 16 octets of an objectGUID, whose first three fields are little-endian
    /// (\[MS-DTYP\] 2.3.4.2).
    pub fn from_octets(octets: [u8; 16]) -> Self {
        Self(Uuid::from_bytes_le(octets))
    }

    /// Reads octets of any length, and takes only exactly 16 of them.
    pub fn from_octet_slice(octets: &[u8]) -> Option<Self> {
        Some(Self::from_octets(octets.try_into().ok()?))
    }

    /// Makes a GUID from a number, for tests and benchmarks that need many.
    pub const fn from_u128(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }

    /// Returns the raw octets as a directory holds them.
    pub fn octets(self) -> Octets {
        self.0.to_bytes_le()
    }

    /// Returns the `onPremisesImmutableId` that Entra Connect writes for these octets: standard
    /// base64, padded, no byte swapped.
    pub fn immutable_id(self) -> String {
        STANDARD.encode(self.octets())
    }
}

/// The 16 raw octets that tie a directory account to a tenant user: an objectGUID, a
/// mS-DS-ConsistencyGuid, or a decoded `onPremisesImmutableId`.
pub type Octets = [u8; 16];

/// Decodes an `onPremisesImmutableId`. `None` unless exactly 16 octets come out: an administrator
/// may have chosen a plain string as the anchor, and some plain strings decode by chance.
pub fn decode_immutable_id(text: &str) -> Option<Octets> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

impl schemars::JsonSchema for Guid {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Guid".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "uuid"})
    }
}

impl FromStr for Guid {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text.trim()).map(Self)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(formatter)
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_little_endian_in_the_first_three_fields() {
        let guid: Guid = "00112233-4455-6677-8899-aabbccddeeff".parse().expect("a GUID");
        assert_eq!(guid.immutable_id(), "MyIRAFVEd2aImaq7zN3u/w==");
        assert_eq!(decode_immutable_id("MyIRAFVEd2aImaq7zN3u/w=="), Some(guid.octets()));
        assert_eq!(Guid::from_octets(guid.octets()), guid);
    }

    #[test]
    fn only_sixteen_octets_are_an_anchor() {
        assert_eq!(decode_immutable_id("E012345"), None);
        assert_eq!(decode_immutable_id("MTIzNDU2Nzg="), None);
        assert!(Guid::from_octet_slice(&[0; 15]).is_none());
    }
}
