//! Records of an LDIF file (RFC 2849), read one at a time, with the lines that they stand in.

use std::io::{self, BufRead, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::adapters::directory_object::{shown, wanted};

/// The longest line, its continuations included, in bytes: a photograph in base64 fits.
const MAX_LINE: usize = 16 << 20;
/// The largest record, in bytes of values that are kept: a group of half a million members fits.
const MAX_RECORD: usize = 64 << 20;

/// One record: a name, and the attributes that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The line of its name, from 1.
    pub line: usize,
    /// Its name.
    pub name: Vec<u8>,
    /// Its attributes, one value each, in the order of the file.
    pub attributes: Vec<Attribute>,
    /// Whether something separates it from what follows. The last record of a file that was cut
    /// between two lines is not closed, nor is that of a file that just lacks the empty line.
    pub closed: bool,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The attribute with its options, as written.
    pub description: String,
    /// The value's octets.
    pub value: Vec<u8>,
}

/// A comment, or a line of the footer that `ldapsearch` writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Its line, from 1.
    pub line: usize,
    /// How many records began before it.
    pub after: usize,
    /// What it says.
    pub text: String,
}

/// Why reading ended before the file did.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The file breaks the format.
    #[error("{what}")]
    Format {
        /// The line, from 1.
        line: usize,
        /// The column, from 1 and in bytes, where it is known.
        column: Option<usize>,
        /// What is wrong there, for a person.
        what: String,
    },
    /// The file ends in the middle of something.
    #[error("{what}")]
    Cut {
        /// The last line, from 1.
        line: usize,
        /// How that shows, for a person.
        what: &'static str,
    },
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
}

/// Reads records. Holds one line and one record at a time.
pub struct Records<R> {
    reader: R,
    /// The number of the line that was read last.
    line: usize,
    started: usize,
    /// The line of the last record's last attribute.
    content: usize,
    /// The remarks that were met so far and not yet taken.
    pub remarks: Vec<Remark>,
}

/// A line with its continuations.
struct Line {
    number: usize,
    octets: Vec<u8>,
    /// Whether the file goes on, or ends properly, after it.
    terminated: bool,
}

impl<R: BufRead> Records<R> {
    /// Starts reading a file.
    pub fn new(reader: R) -> Self {
        Self { reader, line: 0, started: 0, content: 0, remarks: Vec::new() }
    }

    /// Returns the number of the line that was read last.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns the line in which the content of the last record ends.
    pub fn content(&self) -> usize {
        self.content
    }

    /// Returns the next record, or `None` at the end of the file.
    pub fn next_record(&mut self) -> Result<Option<Record>, Broken> {
        let mut record: Option<Record> = None;
        let mut size = 0;
        let mut footer = false;
        while let Some(line) = self.next_line()? {
            if line.octets.is_empty() {
                footer = false;
                match record.take() {
                    Some(record) => return Ok(Some(Record { closed: true, ..record })),
                    None => continue,
                }
            }
            if line.octets.first() == Some(&b'#') {
                self.remark(line.number, &line.octets[1..]);
                continue;
            }
            if !line.terminated {
                return Err(Broken::Cut {
                    line: line.number,
                    what: "the file ends in the middle of a line (no line break at its end)",
                });
            }
            let (description, value) = parse_line(&line)?;
            match &mut record {
                Some(record) => {
                    self.content = line.number;
                    if let Some(value) = accept(&description, value, &line)? {
                        size += value.len() + description.len();
                        if size > MAX_RECORD {
                            return Err(format(&line, None, "the record is too large".to_owned()));
                        }
                        record.attributes.push(Attribute { description, value });
                    }
                }
                None if description.eq_ignore_ascii_case("dn") => {
                    let name = decode(value, &line)?;
                    self.started += 1;
                    self.content = line.number;
                    record = Some(Record { line: line.number, name, attributes: Vec::new(), closed: false });
                }
                None if description == "version" && self.started == 0 && !footer => {
                    if decode(value, &line)? != b"1" {
                        return Err(format(&line, None, "only version 1 of LDIF is known".to_owned()));
                    }
                }
                // What `ldapsearch` writes below the entries, without -L.
                None if footer || matches!(description.as_str(), "search" | "result") => {
                    footer = true;
                    self.remark(line.number, &line.octets);
                }
                None => {
                    let what =
                        format!("a record begins with `dn:`, and here stands `{}:`", shown(&description));
                    return Err(format(&line, Some(1), what));
                }
            }
        }
        Ok(record)
    }

    fn remark(&mut self, line: usize, octets: &[u8]) {
        // Nobody counts entries in a longer one.
        if octets.len() <= 200 {
            let text = String::from_utf8_lossy(octets).trim().to_owned();
            self.remarks.push(Remark { line, after: self.started, text });
        }
    }

    /// Reads a line and unfolds it. Comments are folded as well.
    fn next_line(&mut self) -> Result<Option<Line>, Broken> {
        let mut octets = Vec::new();
        if !self.read_physical(&mut octets)? {
            return Ok(None);
        }
        let number = self.line;
        if number == 1 {
            if octets.starts_with(b"\xEF\xBB\xBF") {
                octets.drain(..3);
            }
            if octets.starts_with(b"\xFF\xFE") || octets.starts_with(b"\xFE\xFF") {
                let what = "the file is UTF-16: save it as UTF-8 (ldifde: without -u)".to_owned();
                return Err(Broken::Format { line: 1, column: Some(1), what });
            }
        }
        let mut terminated = strip_line_break(&mut octets);
        if octets.first() == Some(&b' ') {
            let what = "a line that begins with a space continues another, and there is none".to_owned();
            return Err(Broken::Format { line: number, column: Some(1), what });
        }
        if octets.is_empty() {
            return Ok(Some(Line { number, octets, terminated }));
        }
        while self.reader.fill_buf().map_err(Broken::Unreadable)?.first() == Some(&b' ') {
            let end = octets.len();
            self.read_physical(&mut octets)?;
            terminated = strip_line_break(&mut octets);
            octets.remove(end);
        }
        Ok(Some(Line { number, octets, terminated }))
    }

    /// Appends one line as it stands in the file. Returns whether there was one.
    fn read_physical(&mut self, octets: &mut Vec<u8>) -> Result<bool, Broken> {
        let room = MAX_LINE.saturating_sub(octets.len());
        let limit = u64::try_from(room).unwrap_or(u64::MAX);
        let read = (&mut self.reader).take(limit).read_until(b'\n', octets).map_err(Broken::Unreadable)?;
        if read == 0 && room > 0 {
            return Ok(false);
        }
        self.line += 1;
        if read == room && octets.last() != Some(&b'\n') {
            let what = format!("the line is longer than {} MiB", MAX_LINE >> 20);
            return Err(Broken::Format { line: self.line, column: None, what });
        }
        Ok(true)
    }
}

/// A value as it is written.
struct Written<'a> {
    octets: &'a [u8],
    is_base64: bool,
    column: usize,
}

/// Splits `attribute: value` and `attribute:: base64`.
fn parse_line(line: &Line) -> Result<(String, Written<'_>), Broken> {
    let octets = &line.octets;
    if let Some(at) = octets.iter().position(|octet| *octet == 0) {
        return Err(format(line, Some(at + 1), "the line holds a NUL character".to_owned()));
    }
    let Some(colon) = octets.iter().position(|octet| *octet == b':') else {
        return Err(format(line, Some(1), "expected `attribute: value`".to_owned()));
    };
    let valid = |octet: &u8| {
        octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b';' | b'=' | b'*' | b'_')
    };
    let description = match std::str::from_utf8(&octets[..colon]) {
        Ok(text) if !text.is_empty() && text.bytes().all(|octet| valid(&octet)) => text.to_owned(),
        _ => return Err(format(line, Some(1), "expected `attribute: value`".to_owned())),
    };
    let (is_base64, mut start) = match octets.get(colon + 1) {
        Some(b':') => (true, colon + 2),
        Some(b'<') => {
            let what = "values in other files (`:<`) are not read".to_owned();
            return Err(format(line, Some(colon + 2), what));
        }
        _ => (false, colon + 1),
    };
    start += octets[start..].iter().take_while(|octet| **octet == b' ').count();
    Ok((description, Written { octets: &octets[start..], is_base64, column: start + 1 }))
}

/// Returns the value of an attribute that is kept, after a look at those that say what the record is.
fn accept(description: &str, value: Written<'_>, line: &Line) -> Result<Option<Vec<u8>>, Broken> {
    let is = |name: &str| description.eq_ignore_ascii_case(name);
    if is("changetype") {
        // `ldifde` exports entries as additions.
        return match decode(value, line)?.as_slice() {
            b"add" => Ok(None),
            _ => Err(format(line, Some(1), "the file holds changes, not entries (`changetype`)".to_owned())),
        };
    }
    if is("dn") {
        let what = "a second `dn:` in one record: an empty line is missing before it".to_owned();
        return Err(format(line, Some(1), what));
    }
    if is("control") {
        return Err(format(line, Some(1), "the file holds changes, not entries (`control`)".to_owned()));
    }
    let value = decode(value, line)?;
    Ok(wanted(description).map(|_| value))
}

fn decode(value: Written<'_>, line: &Line) -> Result<Vec<u8>, Broken> {
    if !value.is_base64 {
        return Ok(value.octets.to_vec());
    }
    STANDARD
        .decode(value.octets.trim_ascii_end())
        .map_err(|error| format(line, Some(value.column), format!("the base64 is broken: {error}")))
}

fn format(line: &Line, column: Option<usize>, what: String) -> Broken {
    Broken::Format { line: line.number, column, what }
}

/// Strips the line break; returns whether there was one.
fn strip_line_break(octets: &mut Vec<u8>) -> bool {
    if octets.last() != Some(&b'\n') {
        return false;
    }
    octets.pop();
    if octets.last() == Some(&b'\r') {
        octets.pop();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<Record>, Broken> {
        let mut records = Records::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(record) = records.next_record()? {
            found.push(record);
        }
        Ok(found)
    }

    fn place(text: &str) -> (usize, Option<usize>, String) {
        match all(text).expect_err("broken") {
            Broken::Format { line, column, what } => (line, column, what),
            Broken::Cut { line, what } => (line, None, what.to_owned()),
            Broken::Unreadable(error) => panic!("{error}"),
        }
    }

    #[test]
    fn folding_base64_comments_and_carriage_returns_are_read() {
        let text = "version: 1\r\n\r\n# a comment\r\n  that goes on\r\ndn: CN=Ja\r\n ne,DC=test\r\n\
                    cn:: SmFuZQ==\r\nmail:jane@test\r\njpegPhoto:: AAAA\r\nmember;range=0-*: a\r\n\r\n";
        let records = all(text).expect("readable");
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].line, 5);
        assert_eq!(records[0].name, b"CN=Jane,DC=test");
        assert!(records[0].closed);
        let attributes: Vec<(&str, &[u8])> = records[0]
            .attributes
            .iter()
            .map(|attribute| (attribute.description.as_str(), attribute.value.as_slice()))
            .collect();
        assert_eq!(
            attributes,
            [("cn", b"Jane".as_slice()), ("mail", b"jane@test"), ("member;range=0-*", b"a")],
            "the photograph is not kept"
        );
    }

    #[test]
    fn errors_say_the_line_and_the_column() {
        assert_eq!(place("dn: DC=x\ncn:: SmF!ZQ==\n\n").0, 2);
        assert_eq!(place("dn: DC=x\ncn:: SmF!ZQ==\n\n").1, Some(6));
        assert_eq!(place("dn: DC=x\ncn:< file:///etc/passwd\n\n").1, Some(4));
        assert_eq!(place("\n\ncn: x\n\n").0, 3);
        assert_eq!(place(" x\n").0, 1);
        assert_eq!(place("dn: DC=x\ndn: DC=y\n\n").0, 2);
        assert_eq!(place("dn: DC=x\nno colon\n\n").0, 2);
        assert_eq!(place("dn: DC=x\ncn: a\0b\n\n").1, Some(6));
        assert_eq!(place("version: 2\n\n").0, 1);
        assert!(place("dn: DC=x\nchangetype: delete\n\n").2.contains("changes"));
        assert!(place("\u{feff}dn: DC=x\nx").2.contains("middle of a line"));
    }

    #[test]
    fn what_ldifde_writes_is_content() {
        let records = all("dn: DC=x\nchangetype: add\ncn: x\n\n").expect("readable");
        assert_eq!(records[0].attributes.len(), 1);
    }

    #[test]
    fn the_footer_of_ldapsearch_is_a_remark_and_no_record() {
        let mut records =
            Records::new("dn: DC=x\ncn: x\n\n# search result\nsearch: 2\nresult: 0 Success\n".as_bytes());
        assert!(records.next_record().expect("readable").is_some());
        assert!(records.next_record().expect("readable").is_none());
        let said: Vec<&str> = records.remarks.iter().map(|remark| remark.text.as_str()).collect();
        assert_eq!(said, ["search result", "search: 2", "result: 0 Success"]);
        assert_eq!(records.remarks[0].after, 1);
    }

    proptest::proptest! {
        #[test]
        fn no_octets_make_reading_panic_or_go_on_for_ever(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let mut records = Records::new(octets.as_slice());
            let mut found = 0;
            while let Ok(Some(_)) = records.next_record() {
                found += 1;
            }
            proptest::prop_assert!(found <= octets.len());
        }

        #[test]
        fn lines_in_any_order_never_make_reading_panic(
            lines in proptest::collection::vec("(dn|cn|member;range=0-1|version|result|#|| )(:|::|:<)? ?[a-zA-Z=,0-9]{0,8}", 0..30)
        ) {
            let text = lines.join("\n");
            let mut records = Records::new(text.as_bytes());
            let mut found = 0;
            while let Ok(Some(record)) = records.next_record() {
                found += 1;
                proptest::prop_assert!(record.line <= lines.len());
            }
            proptest::prop_assert!(found <= lines.len());
        }
    }

    #[test]
    fn a_line_without_end_is_refused_and_not_kept() {
        let text = format!("dn: DC=x\ncn: {}\n\n", "x".repeat(MAX_LINE + 1));
        assert_eq!(place(&text).0, 2);
    }
}
