//! Text from outside in Markdown, inert: it is shown as code, in which no renderer looks for anything.
//!
//! Escapes are not enough: GitHub and GitLab look for mentions, references and addresses in what a renderer
//! made of them, and leave out nothing but code.

use std::fmt;

use crate::model::text::inert;

/// How many characters of a name are shown.
const NAME: usize = 200;
/// How many characters of a sentence are shown.
const SENTENCE: usize = 2_000;

/// Returns a name as code, for anywhere but raw HTML. Bars and backticks are written as escapes: renderers
/// differ in how they take them within a table.
pub(super) fn name(text: &str) -> String {
    let shown = cut(text, NAME);
    if shown.is_empty() {
        return "_(empty)_".to_owned();
    }
    format!("`{}`", shown.replace('|', "\\u{7c}").replace('`', "\\u{60}"))
}

/// Returns a sentence as code, for a line outside of tables. Its backticks, which Intake's own sentences
/// have, stay.
pub(super) fn sentence(text: &str) -> String {
    let shown = cut(text, SENTENCE);
    // A fence of backticks ends only at one of the same length (CommonMark 0.31, section 6.1).
    let longest = shown.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{fence}{space}{shown}{space}{fence}")
}

/// Cuts a text and makes it inert; in this order, so that no escape is cut.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", inert(&text[..end])),
        None => inert(text).into_owned(),
    }
}

/// Text that may not grow beyond what a comment takes.
#[derive(Debug)]
pub(super) struct Bounded {
    /// What was written.
    pub(super) text: String,
    left: usize,
}

impl Bounded {
    /// Takes so many characters at most, counted in the strictest of the ways in which services count:
    /// every byte of UTF-8 is one, and a line break is two.
    pub(super) fn new(most: usize) -> Self {
        Self { text: String::new(), left: most }
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let cost = text.len() + text.bytes().filter(|byte| *byte == b'\n').count();
        self.left = self.left.checked_sub(cost).ok_or(fmt::Error)?;
        self.text.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn names_are_code_whatever_is_in_them() {
        assert_eq!(name("Jane Doe"), "`Jane Doe`");
        assert_eq!(name("a`b|c"), "`a\\u{60}b\\u{7c}c`");
        assert_eq!(name("x\ny\u{202e}"), "`x\\u{a}y\\u{202e}`");
        assert_eq!(name(""), "_(empty)_");
        assert_eq!(name(&"é".repeat(201)), format!("`{}…`", "é".repeat(200)));
    }

    #[test]
    fn sentences_keep_their_backticks_within_a_longer_fence() {
        assert_eq!(sentence("all is well"), "`all is well`");
        assert_eq!(sentence("write `a`"), "`` write `a` ``");
        assert_eq!(sentence("``` x"), "```` ``` x ````");
    }

    #[test]
    fn a_bounded_text_takes_no_character_too_many() {
        let mut text = Bounded::new(6);
        assert!(text.write_str("é\n").is_ok(), "two bytes, and a line break that counts twice");
        assert!(text.write_str("abc").is_err());
        assert!(text.write_str("ab").is_ok());
        assert_eq!(text.text, "é\nab");
    }
}
