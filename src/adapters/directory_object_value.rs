//! Values of a person's record: used where they are sound, and named where they are not.

use std::fmt::Write as _;

use crate::model::sid::Sid;
use crate::model::text::Text;

/// The longest value of a person that is taken. The directory's own limits are far below.
const MAX_VALUE: usize = 64 * 1024;

/// What an attribute holds: one of its values, and how many there are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slot<'a> {
    /// The smallest value, so that the order in which a server sends them means nothing.
    pub value: Option<&'a [u8]>,
    /// How many values there are.
    pub count: usize,
}

/// Why a value of a person cannot be used.
pub enum Flaw {
    /// There are this many.
    Several(usize),
    /// It has this many bytes.
    Long(usize),
    /// It is not UTF-8.
    NotText,
    /// It holds nothing but blanks.
    Blank,
}

impl<'a> Slot<'a> {
    /// Takes another value.
    pub fn add(&mut self, value: &'a [u8]) {
        self.count += 1;
        self.value = Some(self.value.map_or(value, |other| other.min(value)));
    }

    /// Returns the SID, if the value is one.
    pub fn sid(self) -> Option<Sid> {
        self.value.and_then(|octets| Sid::from_octets(octets).ok())
    }

    /// Forgets that there are several values, for attributes in which they mean nothing.
    pub fn first(self) -> Self {
        Self { count: self.count.min(1), ..self }
    }

    /// Returns the value if it is one usable text.
    pub fn text(self) -> Option<&'a str> {
        read_text(self).ok().flatten()
    }

    /// Returns the number, if the value is one.
    pub fn integer(self) -> Option<i64> {
        self.text()?.trim().parse().ok()
    }
}

/// Reads the only value of an attribute as text. `None` if there is none.
pub fn read_text(slot: Slot<'_>) -> Result<Option<&str>, Flaw> {
    let Some(value) = slot.value else {
        return Ok(None);
    };
    if slot.count > 1 {
        return Err(Flaw::Several(slot.count));
    }
    if value.len() > MAX_VALUE {
        return Err(Flaw::Long(value.len()));
    }
    let text = std::str::from_utf8(value).map_err(|_| Flaw::NotText)?;
    if text.trim().is_empty() { Err(Flaw::Blank) } else { Ok(Some(text)) }
}

/// What is wrong with a person's record, in words.
#[derive(Default)]
pub struct Flaws(String);

impl Flaws {
    /// Adds a flaw.
    pub fn add(&mut self, flaw: &str) {
        if !self.0.is_empty() {
            self.0.push_str("; ");
        }
        self.0.push_str(flaw);
    }

    fn note(&mut self, attribute: &str, flaw: &Flaw) {
        let separator = if self.0.is_empty() { "" } else { "; " };
        // Writing to a String cannot fail.
        let _ = match flaw {
            Flaw::Several(count) => write!(self.0, "{separator}{attribute} has {count} values"),
            Flaw::Long(length) => write!(self.0, "{separator}{attribute} is {length} bytes long"),
            Flaw::NotText => write!(self.0, "{separator}{attribute} is not UTF-8"),
            Flaw::Blank => write!(self.0, "{separator}{attribute} is blank"),
        };
    }

    /// Reads text that must be there.
    pub fn required<'a>(&mut self, attribute: &str, slot: Slot<'a>) -> Option<&'a str> {
        if slot.count == 0 {
            self.add(&format!("it has no {attribute}"));
        }
        self.optional(attribute, slot, true)
    }

    /// Reads text that need not be there. A blank one counts as none where a `name` is not meant.
    pub fn optional<'a>(&mut self, attribute: &str, slot: Slot<'a>, name: bool) -> Option<&'a str> {
        match read_text(slot) {
            Ok(text) => text,
            Err(Flaw::Blank) if !name => None,
            Err(flaw) => {
                self.note(attribute, &flaw);
                None
            }
        }
    }

    /// Reads a number.
    pub fn integer(&mut self, attribute: &str, slot: Slot<'_>) -> Option<i64> {
        let text = self.optional(attribute, slot, true)?;
        let number = text.trim().parse().ok();
        if number.is_none() {
            self.add(&format!("{attribute} is no number"));
        }
        number
    }

    /// Reads a SID.
    pub fn sid(&mut self, slot: Slot<'_>) -> Option<Sid> {
        let octets = slot.value?;
        let sid = if slot.count == 1 { Sid::from_octets(octets).ok() } else { None };
        if sid.is_none() {
            self.add("objectSid is not one SID");
        }
        sid
    }

    /// Returns the primary address and the others, sorted. `SMTP:` in capitals marks the primary one.
    pub fn addresses(&mut self, values: &[&[u8]]) -> (Option<Text>, Box<[Text]>) {
        let mut primary = None;
        let mut aliases = Vec::new();
        for value in values {
            let slot = Slot { value: Some(value), count: 1 };
            let Some(text) = self.optional("proxyAddresses", slot, false) else {
                continue;
            };
            let Some((kind, address)) = text.split_once(':') else {
                continue;
            };
            if address.trim().is_empty() || !kind.eq_ignore_ascii_case("smtp") {
                continue;
            }
            if kind != "SMTP" {
                aliases.push(Text::from(address));
            } else if primary.replace(Text::from(address)).is_some() {
                self.add("proxyAddresses has several primary (SMTP:) addresses");
            }
        }
        aliases.sort_unstable();
        aliases.dedup();
        (primary, aliases.into_boxed_slice())
    }

    /// Returns all flaws in one sentence; `None` for a sound record.
    pub fn into_reason(self) -> Option<Box<str>> {
        (!self.0.is_empty()).then(|| self.0.into_boxed_str())
    }
}
