//! Distinguished names (RFC 4514): compared after unescaping and without case, never as text.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::text::{Text, fold, is_plain};

/// A distinguished name: as it was written, and in the one form in which it is compared.
///
/// The compared form (`key`) is the folded name with every special character of a value written
/// as a hex pair, so that a bare comma only ever stands between two RDNs. "Is below" is therefore
/// "ends with a comma and that key".
#[derive(Clone)]
pub struct Dn {
    written: Text,
    key: Text,
}

/// Why text is no distinguished name, and where (a byte offset into it).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidDn {
    /// Where in the text, in bytes.
    pub at: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

impl Dn {
    /// Parses a DN. The empty DN (the rootDSE) is refused, as no setting may mean it.
    pub fn parse(text: &str) -> Result<Self, InvalidDn> {
        if let Some(key) = plain_key(text) {
            return Ok(Self { written: Text::from(text), key });
        }
        let mut key = String::with_capacity(text.len());
        for (index, rdn) in parse_rdns(text)?.iter().enumerate() {
            if index > 0 {
                key.push(',');
            }
            push_rdn_key(&mut key, rdn);
        }
        Ok(Self { written: Text::from(without_blanks(text)), key: Text::from(key) })
    }

    /// Returns the name as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Returns the form in which names are compared; equal keys mean equal names.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether this is `base` or lies anywhere below it.
    pub fn is_under(&self, base: &Self) -> bool {
        key_is_under(&self.key, &base.key)
    }

    /// Returns the key of the parent, or `None` for a name of one RDN.
    pub fn parent_key(&self) -> Option<&str> {
        self.key.split_once(',').map(|(_, parent)| parent)
    }

    /// Returns the key of the first RDN, for example `ou=staff`.
    pub fn rdn_key(&self) -> &str {
        self.key.split_once(',').map_or(self.key.as_str(), |(rdn, _)| rdn)
    }

    /// Splits into the first RDN as written and the parent. `None` for a name of one RDN.
    pub fn split_parent(&self) -> Option<(&str, Self)> {
        let parent_key = self.parent_key()?;
        let comma = unescaped_commas(&self.written).next()?;
        let (rdn, rest) = self.written.split_at(comma);
        let parent = Self { written: Text::from(without_blanks(&rest[1..])), key: Text::from(parent_key) };
        Some((without_blanks(rdn), parent))
    }

    /// Returns the value of the first RDN, unescaped: the name a person would say.
    pub fn rdn_value(&self) -> String {
        parse_rdns(&self.written)
            .ok()
            .and_then(|rdns| rdns.into_iter().next())
            .and_then(|rdn| rdn.into_iter().next())
            .map(|(_, value)| value)
            .unwrap_or_default()
    }

    /// Whether a component is `DC`: such a name is absolute, others are relative to the base DN.
    pub fn has_domain_component(&self) -> bool {
        self.key.split(',').any(|rdn| rdn.starts_with("dc="))
    }

    /// Returns the DNS name that the `DC` components spell, for example `contoso.test`.
    pub fn dns_name(&self) -> String {
        let labels: Vec<&str> = self.key.split(',').filter_map(|rdn| rdn.strip_prefix("dc=")).collect();
        labels.join(".")
    }

    /// Returns this relative name below `base`.
    pub fn below(&self, base: &Self) -> Self {
        Self {
            written: Text::from(format!("{},{}", self.written, base.written)),
            key: Text::from(format!("{},{}", self.key, base.key)),
        }
    }

    /// Returns the name relative to `base`: what [`below`](Self::below) makes it of again. `None` if
    /// it does not lie below.
    pub fn relative_to(&self, base: &Self) -> Option<Self> {
        let key = self.key.strip_suffix(base.key.as_str())?.strip_suffix(',')?;
        // Each bare comma of a key stands between two RDNs.
        let comma = unescaped_commas(&self.written).nth(key.matches(',').count())?;
        Some(Self { written: Text::from(without_blanks(&self.written[..comma])), key: Text::from(key) })
    }

    /// Returns the name as it can be shown, copied and written anywhere: characters that act on what
    /// shows them, and blanks at the edge of a value, are hex pairs in it.
    pub fn in_plain_sight(&self) -> String {
        let rdns = parse_rdns(&self.written).unwrap_or_default();
        let pair = |(attribute, value): &(String, String)| {
            format!("{}={}", attribute.to_ascii_uppercase(), escaped(value))
        };
        let rdn = |rdn: &Rdn| rdn.iter().map(pair).collect::<Vec<_>>().join("+");
        rdns.iter().map(rdn).collect::<Vec<_>>().join(",")
    }
}

/// Whether a DN's key is `base`'s or lies below it.
pub fn key_is_under(key: &str, base: &str) -> bool {
    match key.strip_suffix(base) {
        Some("") => true,
        Some(prefix) => prefix.ends_with(','),
        None => false,
    }
}

impl PartialEq for Dn {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Dn {}

impl PartialOrd for Dn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Dn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl std::hash::Hash for Dn {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}

impl fmt::Debug for Dn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.written.as_str(), formatter)
    }
}

impl Serialize for Dn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl<'de> Deserialize<'de> for Dn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Text::deserialize(deserializer)?;
        Self::parse(&written).map_err(serde::de::Error::custom)
    }
}

/// Returns the key of a name that has nothing to unescape, sort or trim. An optimisation only:
/// nearly all names of a directory are such, and a reading holds hundreds of thousands.
fn plain_key(text: &str) -> Option<Text> {
    let plain = text.split(',').all(|rdn| {
        rdn.split_once('=').is_some_and(|(attribute, value)| {
            matches!(attribute, "CN" | "OU" | "DC" | "cn" | "ou" | "dc")
                && !value.is_empty()
                && !value.starts_with(' ')
                && !value.ends_with(' ')
                && value
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'_' | b'.'))
        })
    });
    plain.then(|| Text::from(text.to_ascii_lowercase()))
}

/// One RDN: its attribute and value pairs, the values unescaped.
type Rdn = Vec<(String, String)>;

fn parse_rdns(text: &str) -> Result<Vec<Rdn>, InvalidDn> {
    let bytes = text.as_bytes();
    let mut rdns = Vec::with_capacity(6);
    let mut rdn = Vec::with_capacity(1);
    let mut at = 0;
    loop {
        let attribute_start = at;
        while bytes.get(at).is_some_and(|byte| !matches!(byte, b'=' | b',' | b'+' | b';')) {
            at += 1;
        }
        if bytes.get(at) != Some(&b'=') {
            let reason = "expected `attribute=value`, as in `OU=Staff`";
            return Err(InvalidDn { at: attribute_start, reason });
        }
        let attribute = attribute_type(text[attribute_start..at].trim()).ok_or(InvalidDn {
            at: attribute_start,
            reason: "not an attribute name, as `OU`, `CN` or `DC`",
        })?;
        at += 1;
        let (value, end) = parse_value(text, at)?;
        rdn.push((attribute, value));
        match bytes.get(end) {
            Some(b'+') => {}
            Some(_) => rdns.push(std::mem::take(&mut rdn)),
            None => {
                rdns.push(rdn);
                return Ok(rdns);
            }
        }
        at = end + 1;
    }
}

/// Reads a value up to the next separator; returns it unescaped, and where it ends.
fn parse_value(text: &str, start: usize) -> Result<(String, usize), InvalidDn> {
    let bytes = text.as_bytes();
    let mut value = Vec::new();
    // Blanks around a value do not count, unless they are escaped.
    let mut at = start + bytes[start..].iter().take_while(|byte| **byte == b' ').count();
    let mut significant = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b',' | b';' | b'+' => break,
            b'\\' => {
                let (octet, length) = unescape(&bytes[at + 1..]).ok_or(InvalidDn {
                    at,
                    reason: "a backslash must be followed by a special character or two hex digits",
                })?;
                value.push(octet);
                significant = value.len();
                at += 1 + length;
            }
            b'"' | b'<' | b'>' | b'\0' => {
                return Err(InvalidDn { at, reason: "this character must be escaped with a backslash" });
            }
            _ => {
                value.push(byte);
                if byte != b' ' {
                    significant = value.len();
                }
                at += 1;
            }
        }
    }
    value.truncate(significant);
    if value.is_empty() {
        return Err(InvalidDn { at: start, reason: "the value is empty" });
    }
    let value =
        String::from_utf8(value).map_err(|_| InvalidDn { at: start, reason: "the value is not UTF-8" })?;
    Ok((value, at))
}

/// Reads what follows a backslash: the octet it stands for, and how many bytes it took.
fn unescape(rest: &[u8]) -> Option<(u8, usize)> {
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match rest {
        [high, low, ..] if let (Some(high), Some(low)) = (hex(*high), hex(*low)) => {
            Some((high << 4 | low, 2))
        }
        [special @ (b' ' | b'"' | b'#' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\'), ..] => {
            Some((*special, 1))
        }
        _ => None,
    }
}

/// Returns the folded attribute type, with the object identifiers of the usual ones as names.
fn attribute_type(written: &str) -> Option<String> {
    let valid = written.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    if written.is_empty() || !valid {
        return None;
    }
    let folded = written.to_ascii_lowercase();
    let bare = match folded.strip_prefix("oid.") {
        // Only a number may stand behind it: else what remains is no name, or one with such a mark again.
        Some(number) if number.split('.').all(is_digits) => number,
        Some(_) => return None,
        None => &folded,
    };
    let name = match bare {
        "2.5.4.3" | "commonname" => "cn",
        "2.5.4.11" | "organizationalunitname" => "ou",
        "0.9.2342.19200300.100.1.25" | "domaincomponent" => "dc",
        "2.5.4.10" | "organizationname" => "o",
        other => other,
    };
    Some(name.to_owned())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn push_rdn_key(key: &mut String, rdn: &Rdn) {
    let mut pairs: Vec<String> = rdn
        .iter()
        .map(|(attribute, value)| {
            let mut pair = format!("{attribute}=");
            for character in fold(value).chars() {
                if character.is_control() || ",+;=\\\"<>#".contains(character) {
                    push_hex(&mut pair, character);
                } else {
                    pair.push(character);
                }
            }
            pair
        })
        .collect();
    // The order within a multi-valued RDN means nothing.
    pairs.sort_unstable();
    key.push_str(&pairs.join("+"));
}

/// Escapes a value (RFC 4514, section 2.4) so that it can be shown, too.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 8);
    let last = value.char_indices().next_back().map_or(0, |(last, _)| last);
    for (at, character) in value.char_indices() {
        let is_edge = at == 0 || at == last;
        if !is_plain(character) || (is_edge && character.is_whitespace()) {
            push_hex(&mut text, character);
            continue;
        }
        if ",+\"\\<>;".contains(character) || (at == 0 && character == '#') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// Writes a character as the hex pairs of its octets.
fn push_hex(text: &mut String, character: char) {
    let mut octets = [0; 4];
    for octet in character.encode_utf8(&mut octets).bytes() {
        text.push_str(&format!("\\{octet:02x}"));
    }
}

/// Takes away the blanks around a name, and leaves an escaped one at its end.
fn without_blanks(written: &str) -> &str {
    let written = written.trim_start();
    let bare = written.trim_end_matches(' ');
    let backslashes = bare.len() - bare.trim_end_matches('\\').len();
    if backslashes % 2 == 1 && bare.len() < written.len() { &written[..=bare.len()] } else { bare }
}

/// Returns where the separators between RDNs stand.
fn unescaped_commas(written: &str) -> impl Iterator<Item = usize> {
    let mut escaped = false;
    written.bytes().enumerate().filter_map(move |(at, byte)| match byte {
        _ if escaped => {
            escaped = false;
            None
        }
        b'\\' => {
            escaped = true;
            None
        }
        b',' | b';' => Some(at),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn an_oid_is_a_number() {
        assert_eq!(dn("OID.2.5.4.3=x,DC=test"), dn("CN=x,DC=test"));
        assert_eq!(dn("oid.1.2.3=x").in_plain_sight(), "1.2.3=x");
        for text in ["OID.=x,DC=test", "oid.oid.cn=x", "OID.cn=x", "OID.2..3=x"] {
            assert!(Dn::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spelling_does_not_matter() {
        assert_eq!(dn("OU=Staff,DC=contoso,DC=test"), dn("ou = staff , dc=CONTOSO;dc=Test"));
        assert_eq!(dn("CN=Doe\\, Jane,DC=test"), dn("cn=doe\\2C jane,dc=test"));
        assert_eq!(dn("OU=M\\C3\\BCnchen,DC=test"), dn("ou=MÜNCHEN,dc=test"));
        assert_eq!(dn("CN=a+OU=b,DC=test"), dn("ou=b+cn=a,dc=test"));
        assert_eq!(dn("2.5.4.11=x,DC=test"), dn("OU=x,DC=test"));
        assert_eq!(dn("OU=a\\ ,DC=test").rdn_value(), "a ");
        assert_ne!(dn("OU=a\\ ,DC=test"), dn("OU=a,DC=test"));
    }

    #[test]
    fn below_is_a_matter_of_components_not_of_text() {
        let staff = dn("OU=Staff,DC=test");
        assert!(dn("CN=Jane,OU=Berlin,ou=staff,dc=test").is_under(&staff));
        assert!(staff.is_under(&staff));
        assert!(!dn("OU=Old Staff,DC=test").is_under(&staff));
        assert!(!dn("CN=x\\,OU=Staff,DC=test").is_under(&staff), "an escaped comma separates nothing");
    }

    #[test]
    fn parents_and_relative_names() {
        let jane = dn("CN=Doe\\, Jane,OU=Staff,DC=test");
        let (rdn, parent) = jane.split_parent().expect("a parent");
        assert_eq!((rdn, parent.as_str()), ("CN=Doe\\, Jane", "OU=Staff,DC=test"));
        assert_eq!(jane.rdn_value(), "Doe, Jane");
        assert_eq!(dn("OU=Berlin").below(&dn("OU=Staff,DC=test")), dn("ou=berlin,ou=staff,dc=test"));
        assert!(parent.has_domain_component() && !dn("OU=Staff").has_domain_component());
        assert_eq!(dn("OU=x,DC=Contoso,DC=test").dns_name(), "contoso.test");
    }

    #[test]
    fn an_escaped_blank_at_the_end_of_a_name_belongs_to_it() {
        let (rdn, parent) = ("CN=a\\ ", "OU=b\\ ");
        for name in [format!("{rdn},{parent}"), format!(" {rdn} , {parent}  ")] {
            let name = dn(&name);
            let (first, rest) = name.split_parent().expect("a parent");
            assert_eq!((first, rest.as_str()), (rdn, parent));
            assert_eq!((rest.rdn_value(), dn(rest.as_str())), ("b ".to_owned(), rest));
        }
        assert_eq!(dn("OU=a\\\\ ").as_str(), "OU=a\\\\", "an escaped backslash escapes nothing");
        assert_eq!(dn("OU=a\u{a0}").rdn_value(), "a\u{a0}", "this is no blank of RFC 4514");
    }

    #[test]
    fn a_relative_name_is_what_stands_before_the_base() {
        let base = dn("OU=a\\,b,DC=test");
        let relative = dn("OU=x\\;y; CN=\\ z\\ , ou=A\\2Cb,dc=TEST").relative_to(&base).expect("below");
        assert_eq!(relative.as_str(), "OU=x\\;y; CN=\\ z\\ ");
        assert_eq!(relative, dn("OU=x\\;y,CN=\\ z\\ "));
        assert_eq!(relative.below(&base), dn("OU=x\\;y,CN=\\ z\\ ,OU=a\\,b,DC=test"));
        assert!(base.relative_to(&base).is_none() && base.relative_to(&dn("OU=b,DC=test")).is_none());
    }

    #[test]
    fn a_name_in_plain_sight_is_the_same_name_and_acts_on_nothing() {
        for (written, shown) in [
            ("ou=Doe\\, Jane;dc=Test", "OU=Doe\\, Jane,DC=Test"),
            ("OU=\\#1 #2\\\"\\\\\\+\\<\\>\\;,DC=x", "OU=\\#1 #2\\\"\\\\\\+\\<\\>\\;,DC=x"),
            ("OU=\\ a b\\ ", "OU=\\20a b\\20"),
            ("OU=\\ ", "OU=\\20"),
            ("OU=a\u{a0}", "OU=a\\c2\\a0"),
            ("OU=x\u{202e}y\\0a\u{1b}[1m", "OU=x\\e2\\80\\aey\\0a\\1b[1m"),
            ("OU=\u{ffff}", "OU=\\ef\\bf\\bf"),
            ("2.5.4.11=a=b+CN=Ä😀", "OU=a=b+CN=Ä😀"),
        ] {
            assert_eq!(dn(written).in_plain_sight(), shown);
            assert_eq!(dn(shown), dn(written));
        }
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(Dn::parse("OU=Staff,contoso").expect_err("no value").at, 9);
        assert_eq!(Dn::parse("OU=").expect_err("empty").at, 3);
        assert_eq!(Dn::parse("OU=a\\zb,DC=x").expect_err("bad escape").at, 4);
        assert!(Dn::parse("").is_err());
        assert!(Dn::parse("OU=a,").is_err());
    }
}
