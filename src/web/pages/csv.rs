//! Tables as files for spreadsheets (RFC 4180), in which no cell is a formula.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::Response;

use crate::model::text::inert;

/// A table under way.
#[derive(Debug)]
pub struct Csv(String);

impl Csv {
    /// Begins with the names of the columns.
    pub fn of(columns: &[&str]) -> Self {
        // Without the mark spreadsheets take it for a text of some other encoding.
        let mut csv = Self("\u{feff}".to_owned());
        csv.row(columns.iter().copied());
        csv
    }

    /// Adds a row.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        for (number, value) in cells.into_iter().enumerate() {
            if number > 0 {
                self.0.push(',');
            }
            self.0.push_str(&cell(value));
        }
        self.0.push_str("\r\n");
    }

    /// Answers with it, as a file of this name.
    pub fn answer(self, name: &str) -> Response {
        let mut response = Response::new(Body::from(self.0));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
        let safe = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        let name: String =
            name.chars().map(|character| if safe(character) { character } else { '_' }).collect();
        if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
            headers.insert(CONTENT_DISPOSITION, value);
        }
        response
    }
}

/// Returns text as a cell. What a spreadsheet would take for a formula begins with an apostrophe, which it
/// takes for the mark of text; names come from whoever may edit a directory.
fn cell(text: &str) -> String {
    let is_formula = text
        .trim_start_matches([' ', '\u{a0}', '\u{3000}'])
        .starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text = parted(&inert(text));
    let text = if is_formula { format!("'{text}") } else { text };
    if text.contains([',', '"', '\r', '\n', '\'', ' ', ';', '\t']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// Marks what would be a formula where a spreadsheet takes a semicolon for the end of a cell, as it does in many
/// countries.
fn parted(text: &str) -> String {
    let mut parts = text.split(';');
    let mut marked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mark = if part.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
            "'"
        } else {
            ""
        };
        marked.push_str(&format!(";{mark}{part}"));
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_every_one_is_read_back() {
        for (text, expected) in [
            ("jane", "jane"),
            ("Doe, Jane", "\"Doe, Jane\""),
            ("x;=cmd|' /C calc'!A0;y; -1", "\"x;'=cmd|' /C calc'!A0;y;' -1\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("+1 555", "\"'+1 555\""),
            ("-2+3", "\"'-2+3\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\\u{9}=1\""),
            ("\r=1", "\"'\\u{d}=1\""),
            ("  =1", "\"'  =1\""),
            ("＝1", "\"'＝1\""),
            ("a\nb", "a\\u{a}b"),
            ("x\u{202e}y", "x\\u{202e}y"),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
        let mut csv = Csv::of(&["a", "b"]);
        csv.row(["1", ""]);
        assert_eq!(csv.0, "\u{feff}a,b\r\n1,\r\n");
    }
}
