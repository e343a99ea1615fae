//! What is wrong in a file: where, what, and what to try.

use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::text::inert;

/// What kind of thing is wrong: a word that stays, for programs that sort and dismiss problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "ProblemRule")]
pub enum Rule {
    /// Anything that no other word is for.
    Invalid,
    /// The file is no YAML, or YAML that is not taken.
    Syntax,
    /// A key is missing.
    MissingKey,
    /// A key is unknown.
    UnknownKey,
    /// A value is of another type.
    WrongType,
    /// A value is of the right type and malformed, or none of those allowed.
    MalformedValue,
    /// A key, a name or an entry is there twice.
    Duplicate,
    /// Something is named that does not exist.
    UnknownReference,
    /// Two things that are each right contradict each other.
    Conflict,
    /// The operator does not permit it.
    NotPermitted,
}

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TreeProblem")]
pub struct Problem {
    /// What kind of thing is wrong.
    pub rule: Rule,
    /// Relative to the tree, inert, with `/` between folders.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// Where what is marked ends, from 1.
    pub end_line: usize,
    /// The first character after it, from 1.
    pub end_column: usize,
    /// What is marked, in bytes of the file.
    pub span: Range<usize>,
    /// What is wrong, for people; inert.
    pub what: String,
    /// What to try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The offending line.
    pub excerpt: Excerpt,
    /// Other places that matter: the first of two that collide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
}

/// Another place of a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Label {
    /// Relative to the tree, inert, with `/` between folders.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// Where what is marked ends, from 1.
    pub end_line: usize,
    /// The first character after it, from 1.
    pub end_column: usize,
    /// What is marked, in bytes of the file.
    pub span: Range<usize>,
    /// What is there; inert.
    pub what: String,
    /// The line.
    pub excerpt: Excerpt,
}

/// A line of a file, inert, cut where it is long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excerpt {
    /// The line as it is shown.
    pub text: String,
    /// What is marked, in bytes of `text`.
    pub mark: Range<usize>,
}

impl Rule {
    /// All of them, in the order in which they are numbered.
    pub const ALL: [Self; 10] = [
        Self::Invalid,
        Self::Syntax,
        Self::MissingKey,
        Self::UnknownKey,
        Self::WrongType,
        Self::MalformedValue,
        Self::Duplicate,
        Self::UnknownReference,
        Self::Conflict,
        Self::NotPermitted,
    ];

    /// Returns the word.
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Syntax => "syntax",
            Self::MissingKey => "missing-key",
            Self::UnknownKey => "unknown-key",
            Self::WrongType => "wrong-type",
            Self::MalformedValue => "malformed-value",
            Self::Duplicate => "duplicate",
            Self::UnknownReference => "unknown-reference",
            Self::Conflict => "conflict",
            Self::NotPermitted => "not-permitted",
        }
    }

    /// Returns what it means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Invalid => "Something is wrong that no other rule is for.",
            Self::Syntax => "The file is no YAML, or YAML that is not taken.",
            Self::MissingKey => "A key is missing.",
            Self::UnknownKey => "A key is unknown.",
            Self::WrongType => "A value is of another type.",
            Self::MalformedValue => "A value is malformed, or none of those allowed.",
            Self::Duplicate => "A key, a name or an entry is there twice.",
            Self::UnknownReference => "Something is named that does not exist.",
            Self::Conflict => "Two things that are each right contradict each other.",
            Self::NotPermitted => "The operator does not permit it.",
        }
    }
}

impl Excerpt {
    /// Takes away what could not be drawn.
    fn expect_sound(&mut self) {
        let is_sound = self.text.get(self.mark.clone()).is_some() && inert(&self.text) == self.text;
        if !is_sound {
            *self = Self { text: String::new(), mark: 0..0 };
        }
    }
}

impl Label {
    /// Makes a label for something that is in no file.
    pub fn nowhere(what: String) -> Self {
        let excerpt = Excerpt { text: String::new(), mark: 0..0 };
        Self {
            file: String::new(),
            line: 1,
            column: 1,
            end_line: 1,
            end_column: 1,
            span: 0..0,
            what,
            excerpt,
        }
    }
}

impl Problem {
    /// Makes a problem of its place.
    pub fn new(label: Label) -> Self {
        let Label { file, line, column, end_line, end_column, span, what, excerpt } = label;
        let what = inert(&what).into_owned();
        Self {
            rule: Rule::Invalid,
            file,
            line,
            column,
            end_line,
            end_column,
            span,
            what,
            help: None,
            excerpt,
            labels: Vec::new(),
        }
    }

    /// Makes one that somebody else sent fit to be shown: inert, and with marks that lie in their lines.
    #[must_use]
    pub fn received(mut self) -> Self {
        let inert_again = |text: &mut String| *text = inert(text).into_owned();
        [&mut self.file, &mut self.what].into_iter().for_each(inert_again);
        self.help.iter_mut().for_each(inert_again);
        self.excerpt.expect_sound();
        for label in &mut self.labels {
            [&mut label.file, &mut label.what].into_iter().for_each(inert_again);
            label.excerpt.expect_sound();
        }
        self
    }

    /// Returns the key by which problems are ordered; two with one key are the same problem.
    pub fn sort_key(&self) -> (&str, usize, usize, &str) {
        (&self.file, self.line, self.column, &self.what)
    }

    /// Draws the problem for people: what, `file:line:column`, the line, and `help:`. Ends with a
    /// line break.
    pub fn render(&self, styled: bool) -> String {
        let title = Level::ERROR.primary_title(self.what.as_str());
        let at = At { file: &self.file, line: self.line, column: self.column, excerpt: &self.excerpt };
        let mut group = at.show(Group::with_title(title), AnnotationKind::Primary);
        for label in &self.labels {
            let at =
                At { file: &label.file, line: label.line, column: label.column, excerpt: &label.excerpt };
            group = at.show(group.element(Level::NOTE.message(label.what.as_str())), AnnotationKind::Context);
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let mut text = renderer.decor_style(DecorStyle::Ascii).render(&[group]);
        text.push('\n');
        text
    }
}

/// A place to be drawn.
struct At<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    excerpt: &'a Excerpt,
}

impl<'a> At<'a> {
    fn show(&self, group: Group<'a>, kind: AnnotationKind) -> Group<'a> {
        let Excerpt { text, mark } = self.excerpt;
        let origin = Origin::path(self.file).line(self.line).char_column(self.column);
        if text.is_empty() {
            return group.element(origin);
        }
        let snippet =
            Snippet::source(text.as_str()).line_start(self.line).annotation(kind.span(mark.clone()));
        // The drawing counts the column in the excerpt; where that was cut or made inert, it is
        // said apart.
        if text[..mark.start].chars().count() + 1 == self.column {
            group.element(snippet.path(self.file))
        } else {
            group.element(origin).element(snippet)
        }
    }
}

impl fmt::Display for Problem {
    /// Writes the problem in one line: `file:line:column: what; help`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}: {}", self.file, self.line, self.column, self.what)?;
        for label in &self.labels {
            write!(formatter, " ({}: {}:{}:{})", label.what, label.file, label.line, label.column)?;
        }
        self.help.as_ref().map_or(Ok(()), |help| write!(formatter, " (help: {help})"))
    }
}
