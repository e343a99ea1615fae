//! JSON whose bytes are inert, and whose data are exact: names from outside act on nothing that shows them.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use crate::model::text::inert;

/// Returns a value as JSON for people's terminals too: characters that act on what shows them are
/// escaped, so that the bytes are inert and the data are exact. Ends with a line break.
///
/// # Errors
/// If the value has no JSON form.
pub fn json_text(value: &impl Serialize) -> serde_json::Result<String> {
    formatted(value, PrettyFormatter::new())
}

/// Returns a value as JSON on one line, likewise.
///
/// # Errors
/// As [`json_text`].
pub fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    formatted(value, CompactFormatter)
}

fn formatted(value: &impl Serialize, layout: impl Formatter) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, InertJson(layout)))?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

/// Writes JSON in some layout, with escapes in place of active characters.
struct InertJson<F>(F);

impl<F: Formatter> Formatter for InertJson<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Nearly every text has nothing to escape.
        if let Cow::Borrowed(_) = inert(fragment) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut buffer = [0; 4];
        for character in fragment.chars() {
            let character = character.encode_utf8(&mut buffer);
            match inert(character) {
                Cow::Borrowed(_) => writer.write_all(character.as_bytes())?,
                // JSON's escapes are of UTF-16 (RFC 8259, section 7).
                Cow::Owned(_) => {
                    character.encode_utf16().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
                }
            }
        }
        Ok(())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_the_data_exactly_and_no_active_character() {
        let hostile = "a\u{202e}b\u{7f}\u{9b}\u{e0041}\"\n\u{1b}é";
        let value = serde_json::json!({"name": [hostile, {"x": [], "y": 1}], "\u{200f}": {}});
        let text = json_text(&value).expect("JSON");
        assert!(text.lines().all(|line| matches!(inert(line), Cow::Borrowed(_))), "{text:?}");
        assert!(text.contains("\\u202e") && text.contains("\\udb40\\udc41") && text.contains('é'), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
        let plain = serde_json::json!({"name": ["é", {"x": [], "y": 1}]});
        assert_eq!(
            json_text(&plain).expect("JSON"),
            serde_json::to_string_pretty(&plain).expect("JSON") + "\n"
        );
    }
}
