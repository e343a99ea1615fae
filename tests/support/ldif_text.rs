//! Directory entries as LDIF, for servers to load and for files to read.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// LDIF that is written entry by entry.
#[derive(Default, Clone)]
pub struct LdifText(pub String);

impl LdifText {
    /// Adds an entry: its name, its attributes as text, and its octets.
    pub fn entry(&mut self, dn: &str, texts: &[(&str, &str)], octets: &[(&str, &[u8])]) -> &mut Self {
        self.line("dn", dn.as_bytes());
        texts.iter().for_each(|(name, value)| self.line(name, value.as_bytes()));
        octets.iter().for_each(|(name, value)| self.line(name, value));
        self.0.push('\n');
        self
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        let safe = value.iter().all(|octet| (32..127).contains(octet))
            && !matches!(value.first(), None | Some(b' ' | b':' | b'<'))
            && value.last() != Some(&b' ');
        let written = match std::str::from_utf8(value) {
            Ok(text) if safe => writeln!(self.0, "{name}: {text}"),
            _ => writeln!(self.0, "{name}:: {}", STANDARD.encode(value)),
        };
        written.expect("memory");
    }
}

/// Returns sixteen octets that no other number gets.
pub fn guid(number: u64) -> [u8; 16] {
    let mut octets = *b"intake..........";
    octets[8..].copy_from_slice(&number.to_le_bytes());
    octets
}

/// Returns the octets of the SID of an account of the test domain, `S-1-5-21-11-22-33-RID`; of the
/// domain itself without one.
pub fn sid(rid: Option<u32>) -> Vec<u8> {
    let mut octets = vec![1, if rid.is_some() { 5 } else { 4 }, 0, 0, 0, 0, 0, 5];
    [21, 11, 22, 33].into_iter().chain(rid).for_each(|part: u32| octets.extend(part.to_le_bytes()));
    octets
}
