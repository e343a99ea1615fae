//! Sentences of this program on a page: what they have in backticks is shown as what somebody types.

use askama::Template;

use crate::model::text::inert;

/// A sentence.
#[derive(Debug, Clone, PartialEq, Eq, Default, Template)]
#[template(path = "parts/prose.html")]
pub struct Prose {
    /// In order; each with whether it is typed.
    parts: Vec<(bool, String)>,
}

impl askama::filters::HtmlSafe for Prose {}

impl Prose {
    /// Takes a sentence apart. What is in it from outside becomes inert.
    pub fn of(text: &str) -> Self {
        let text = inert(text);
        let count = text.matches('`').count();
        let mut parts = Vec::new();
        for (place, part) in text.split('`').enumerate() {
            // The last one of an odd number opens nothing: it stays as it is.
            let is_stray = !count.is_multiple_of(2) && place == count;
            if is_stray {
                parts.push((false, format!("`{part}")));
            } else if !part.is_empty() {
                parts.push((!place.is_multiple_of(2), part.to_owned()));
            }
        }
        Self { parts }
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_backticks_is_typed_and_nothing_else_changes() {
        let shown = |text: &str| Prose::of(text).to_string();
        assert_eq!(shown("write `a <b>` there"), "write <code>a &#60;b&#62;</code> there");
        assert_eq!(shown("`a` and `b"), "<code>a</code> and `b");
        assert_eq!(shown("it`s"), "it`s");
        assert_eq!(shown("x\u{202e}y"), "x\\u{202e}y");
        assert!(Prose::of("").is_empty() && !Prose::of("x").is_empty());
    }
}
