//! Files as they were read, places in them, and the list of everything that is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::text::inert;
use crate::policy::problem::{Excerpt, Label, Problem, Rule};
use crate::policy::read::suggest;

/// More problems of one file are counted and no longer kept: nobody reads them, and a hostile file
/// must not fill the memory.
const PROBLEMS_PER_FILE: usize = 1_000;
/// How many names of a tree are compared with wrong ones to say what was meant; beyond, nobody is told. A few seconds'
/// worth: a hostile tree may hold 100,000 wrong names and as many right ones.
const COMPARISONS: usize = 1_000_000;
/// How many characters of a line are kept around a place.
const EXCERPT: usize = 160;

/// A stretch of one file, in bytes of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// Which file, as the ledger numbers them.
    pub source: u32,
    /// Where it starts.
    pub start: u32,
    /// Where it ends; may equal the start.
    pub end: u32,
}

/// A file's text and where its lines start.
#[derive(Debug)]
pub struct Source {
    /// Relative to the tree.
    pub path: PathBuf,
    /// As people see it: inert, with `/` between folders.
    name: String,
    /// Without the byte order mark.
    pub text: String,
    /// Bytes before the text that count in byte offsets of the file: a byte order mark.
    skipped: usize,
    line_starts: Vec<usize>,
}

/// Everything that is wrong, and in which documents.
#[derive(Debug)]
pub struct Ledger {
    sources: Vec<Source>,
    problems: Vec<Problem>,
    /// How many problems each file has, those not kept included.
    counts: BTreeMap<u32, usize>,
    owner: Option<usize>,
    broken: BTreeMap<usize, Vec<String>>,
    /// How many comparisons are left.
    comparisons: usize,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            problems: Vec::new(),
            counts: BTreeMap::new(),
            owner: None,
            broken: BTreeMap::new(),
            comparisons: COMPARISONS,
        }
    }
}

/// A problem just reported, to be completed.
pub struct Report<'a> {
    ledger: &'a mut Ledger,
    index: Option<usize>,
}

impl Source {
    /// Takes a file's text; a byte order mark is no part of it.
    pub fn new(path: &Path, text: String) -> Self {
        let (text, skipped) = match text.strip_prefix('\u{feff}') {
            Some(rest) => (rest.to_owned(), '\u{feff}'.len_utf8()),
            None => (text, 0),
        };
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(breaks).collect();
        Self { path: path.to_owned(), name: shown(path), text, skipped, line_starts }
    }

    /// Returns the line (from 1) and the column (in characters, from 1) of a byte of the text.
    fn position(&self, at: usize) -> (usize, usize) {
        let at = self.boundary(at);
        let line = self.line_starts.partition_point(|start| *start <= at).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        (line, self.text[start..at].chars().count() + 1)
    }

    /// Returns the line that holds a byte, without its line break, and where it starts.
    fn line(&self, at: usize) -> (&str, usize) {
        let at = self.boundary(at);
        let line = self.line_starts.partition_point(|start| *start <= at).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let end = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        (self.text[start..end].trim_end_matches(['\n', '\r']), start)
    }

    /// Returns the nearest character boundary at or before a byte.
    fn boundary(&self, at: usize) -> usize {
        self.text.floor_char_boundary(at.min(self.text.len()))
    }

    /// Cuts out what a place marks in its first line, with something around it.
    fn excerpt(&self, place: Place) -> Excerpt {
        let (line, line_start) = self.line(place.start as usize);
        let start = (self.boundary(place.start as usize) - line_start).min(line.len());
        let end = self.boundary(place.end as usize).saturating_sub(line_start).clamp(start, line.len());
        let before = &line[..start];
        let from = before.char_indices().rev().nth(EXCERPT / 2).map_or(0, |(at, _)| at);
        let marked_end = line[start..end].char_indices().nth(EXCERPT).map_or(end, |(at, _)| start + at);
        let rest = &line[marked_end..];
        let to = rest.char_indices().nth(EXCERPT / 2).map_or(line.len(), |(at, _)| marked_end + at);
        let mut text = String::new();
        if from > 0 {
            text.push('…');
        }
        // A tab is one character wide, as the column counts it.
        text.push_str(&inert(&line[from..start].replace('\t', " ")));
        let mark_start = text.len();
        text.push_str(&inert(&line[start..marked_end].replace('\t', " ")));
        let mark_end = text.len();
        text.push_str(&inert(&line[marked_end..to].replace('\t', " ")));
        if to < line.len() {
            text.push('…');
        }
        Excerpt { text, mark: mark_start..mark_end }
    }

    fn label(&self, place: Place, what: String) -> Label {
        let (line, column) = self.position(place.start as usize);
        let (end_line, end_column) = self.position(place.end.max(place.start) as usize);
        Label {
            file: self.name.clone(),
            line,
            column,
            end_line,
            end_column,
            span: place.start as usize + self.skipped..place.end as usize + self.skipped,
            what,
            excerpt: self.excerpt(place),
        }
    }
}

/// Returns a path as every message shows it: inert, with `/` between folders.
pub fn shown(path: &Path) -> String {
    let parts: Vec<String> =
        path.components().map(|part| inert(&part.as_os_str().to_string_lossy()).into_owned()).collect();
    parts.join("/").replacen("//", "/", 1)
}

impl Ledger {
    /// Takes a file; its places carry the number returned.
    pub fn add(&mut self, source: Source) -> u32 {
        self.sources.push(source);
        u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX)
    }

    /// Returns a file.
    pub fn source(&self, number: u32) -> Option<&Source> {
        self.sources.get(number as usize)
    }

    /// Returns `file:line:column` of a place.
    pub fn at(&self, place: Place) -> String {
        self.source(place.source).map_or_else(String::new, |source| {
            let (line, column) = source.position(place.start as usize);
            format!("{}:{line}:{column}", source.name)
        })
    }

    /// Says whose problems the next ones are. `None`: nobody's, they stop nobody.
    pub fn own(&mut self, document: Option<usize>) {
        self.owner = document;
    }

    /// Reports a problem.
    pub fn report(&mut self, place: Place, what: impl Into<String>) -> Report<'_> {
        let what = what.into();
        let count = self.counts.entry(place.source).or_default();
        *count += 1;
        if *count > PROBLEMS_PER_FILE {
            // Finding its line and its column costs as much as the file is long. A document is broken all the same.
            if let Some(owner) = self.owner {
                let told = self.broken.entry(owner).or_default();
                if told.is_empty() {
                    told.push(what);
                }
            }
            return Report { ledger: self, index: None };
        }
        let label = match self.source(place.source) {
            Some(source) => source.label(place, what),
            None => Label::nowhere(what),
        };
        let problem = Problem::new(label);
        if let Some(owner) = self.owner {
            self.broken.entry(owner).or_default().push(problem.to_string());
        }
        self.problems.push(problem);
        let index = Some(self.problems.len() - 1);
        Report { ledger: self, index }
    }

    /// Marks another document as broken by a problem reported elsewhere.
    pub fn taint(&mut self, document: usize, what: String) {
        self.broken.entry(document).or_default().push(what);
    }

    /// Returns what is wrong with a document, in the order in which it was found; empty if nothing.
    pub fn broken(&self, document: usize) -> &[String] {
        self.broken.get(&document).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing was reported.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Returns all problems by file, line and column, each once.
    pub fn finish(mut self) -> Vec<Problem> {
        for (source, count) in std::mem::take(&mut self.counts) {
            let Some(file) = self.source(source).filter(|_| count > PROBLEMS_PER_FILE) else { continue };
            let end = u32::try_from(file.text.len()).unwrap_or(u32::MAX);
            let what = format!("{} more problems of this file are not shown", count - PROBLEMS_PER_FILE);
            let problem = Problem::new(file.label(Place { source, start: end, end }, what));
            self.problems.push(problem);
        }
        let mut problems = self.problems;
        problems.sort_by(|left, right| left.sort_key().cmp(&right.sort_key()));
        problems.dedup_by(|right, left| left.sort_key() == right.sort_key());
        problems
    }
}

impl Report<'_> {
    fn problem(&mut self) -> Option<&mut Problem> {
        self.index.and_then(|index| self.ledger.problems.get_mut(index))
    }

    /// Says what kind of thing is wrong.
    pub fn rule(mut self, rule: Rule) -> Self {
        if let Some(problem) = self.problem() {
            problem.rule = rule;
        }
        self
    }

    /// Says what to try.
    pub fn help(self, help: impl Into<String>) -> Self {
        self.maybe_help(Some(help.into()))
    }

    /// Says which one of the tree's own names may be meant in place of one that is not among them.
    pub fn suggest<'k>(self, word: &str, known: impl ExactSizeIterator<Item = &'k str> + Clone) -> Self {
        let left = self.ledger.comparisons.checked_sub(known.len());
        let (Some(_), Some(left)) = (self.index, left) else { return self };
        self.ledger.comparisons = left;
        self.maybe_help(suggest(word, known))
    }

    /// Says what to try, if anything is known.
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        if let (Some(problem), Some(help)) = (self.problem(), help) {
            problem.help = Some(inert(&help).into_owned());
        }
        self
    }

    /// Points at a second place.
    pub fn label(mut self, place: Place, what: impl Into<String>) -> Self {
        if self.index.is_none() {
            return self;
        }
        let what = inert(&what.into()).into_owned();
        let label = self.ledger.source(place.source).map(|source| source.label(place, what));
        if let (Some(problem), Some(label)) = (self.problem(), label) {
            problem.labels.push(label);
        }
        self
    }
}
