//! YAML as a tree in which every value knows its place. The one place that knows the YAML parser.
//!
//! The parser's events are read instead of a typed form, so that one document's problems are all
//! found, also behind the first, and so that what stands before a syntax error is still known.

use std::collections::HashMap;
use std::rc::Rc;

use serde_saphyr::granit_parser::{
    ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle, Tag,
};

use crate::policy::problem::Rule;
use crate::policy::source::{Ledger, Place};

/// More values than these, with aliases written out, and a document is refused: a real one has a
/// few hundred.
const MAX_VALUES: u32 = 100_000;
/// Deeper nesting is refused: the deepest document has nine levels.
const MAX_DEPTH: u16 = 48;

/// A value, and where it stands.
#[derive(Debug)]
pub struct Node {
    /// For a block mapping or list the key that holds it, as that is what people look for.
    pub at: Place,
    /// The value.
    pub content: Content,
    /// Whether all of it was read: false for what a syntax error cut.
    pub whole: bool,
    /// How many values it holds, itself and aliases counted.
    values: u32,
    depth: u16,
}

/// What a value is.
#[derive(Debug)]
pub enum Content {
    /// Nothing, `~` or `null`.
    Nothing,
    /// Text, a number, a truth value.
    Scalar(Scalar),
    /// A list.
    List(Vec<Rc<Node>>),
    /// A mapping, duplicate keys included.
    Mapping(Vec<(Rc<Node>, Rc<Node>)>),
}

/// A single value as it was written.
#[derive(Debug, Clone)]
pub struct Scalar {
    /// The text, unescaped.
    pub text: String,
    /// Whether it stands without quotes, so that it may be a number or a truth value.
    pub plain: bool,
}

/// What a plain scalar means (YAML 1.2 core schema).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A truth value.
    Truth(bool),
    /// A number.
    Number,
    /// Text.
    Text,
}

/// One document of a file.
pub struct Parsed {
    /// Its value; `None` if a syntax error left nothing.
    pub root: Option<Rc<Node>>,
    /// Whether it was read to its end without a problem.
    pub whole: bool,
    /// Where it starts.
    pub at: Place,
}

impl Scalar {
    /// Returns what the scalar means.
    pub fn meaning(&self) -> Meaning {
        if !self.plain {
            return Meaning::Text;
        }
        match self.text.as_str() {
            "true" | "True" | "TRUE" => Meaning::Truth(true),
            "false" | "False" | "FALSE" => Meaning::Truth(false),
            text if is_number(text) => Meaning::Number,
            _ => Meaning::Text,
        }
    }
}

/// Returns text as a scalar that means this text: as it is where that is how YAML takes it, else in quotes as JSON
/// has them.
pub fn written(text: &str) -> String {
    let is_bare = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || "@._-".contains(character))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if is_bare { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

impl Node {
    /// Returns the entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[(Rc<Node>, Rc<Node>)] {
        match &self.content {
            Content::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the first value of a key.
    pub fn get(&self, key: &str) -> Option<&Rc<Node>> {
        self.entries().iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// Returns the text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// Says what the value is, for a message.
    pub fn described(&self) -> String {
        match &self.content {
            Content::Nothing => "nothing".to_owned(),
            Content::Scalar(scalar) => {
                let shown: String = scalar.text.chars().take(60).collect();
                match scalar.meaning() {
                    Meaning::Truth(_) => format!("the truth value `{shown}`"),
                    Meaning::Number => format!("the number `{shown}`"),
                    Meaning::Text => format!("the text `{shown}`"),
                }
            }
            Content::List(_) => "a list".to_owned(),
            Content::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// Whether plain text is a number by the YAML 1.2 core schema.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return !octal.is_empty() && octal.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// Reads all documents of a file, numbered from `first`. What is no YAML is reported, and the
/// documents behind it are read all the same.
pub fn parse(source: u32, first: usize, ledger: &mut Ledger) -> Vec<Parsed> {
    let Some(text) = ledger.source(source).map(|source| source.text.clone()) else {
        return Vec::new();
    };
    let mut documents = Vec::new();
    for (start, end) in slices(&text) {
        let slice = Slice { text: &text[start..end], base: start, source, first };
        parse_slice(&slice, ledger, &mut documents);
    }
    documents
}

/// Cuts a file where documents start. A line that starts with `---` or `...` ends a document
/// wherever it stands, also inside quotes and block text (YAML 1.2 rule 206, c-forbidden), so one
/// broken document hides no other.
fn slices(text: &str) -> Vec<(usize, usize)> {
    let mut slices = Vec::new();
    let mut start = 0;
    let mut at = 0;
    let mut has_content = false;
    for line in text.split_inclusive('\n') {
        let marker = ["---", "..."].into_iter().find(|marker| {
            line.strip_prefix(marker)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        });
        match marker {
            Some("---") if has_content => {
                slices.push((start, at));
                (start, has_content) = (at, true);
            }
            Some("---") => has_content = true,
            Some(_) => {
                slices.push((start, at + line.len()));
                (start, has_content) = (at + line.len(), false);
            }
            None => {
                let blank = line.trim().is_empty() || line.starts_with(['#', '%']);
                has_content = has_content || !blank;
            }
        }
        at += line.len();
    }
    if start < text.len() {
        slices.push((start, text.len()));
    }
    slices
}

/// A collection that is not closed yet.
struct Open {
    at: Place,
    block: bool,
    anchor: usize,
    /// A mapping's key that waits for its value.
    key: Option<Rc<Node>>,
    content: Content,
}

struct Builder<'a> {
    source: u32,
    base: usize,
    ledger: &'a mut Ledger,
    open: Vec<Open>,
    anchors: HashMap<usize, Option<Rc<Node>>>,
    root: Option<Rc<Node>>,
    values: u32,
    /// Whether something of the document was reported already.
    faulty: bool,
}

/// Why reading a document ends early; reported already.
struct Cut;

/// The part of a file that one document stands in.
struct Slice<'a> {
    text: &'a str,
    base: usize,
    source: u32,
    first: usize,
}

fn parse_slice(slice: &Slice<'_>, ledger: &mut Ledger, documents: &mut Vec<Parsed>) {
    let Slice { text, base, source, first } = *slice;
    let mut options = Options::default();
    options.emit_comments = false;
    options.flow_nesting_limit = usize::from(MAX_DEPTH);
    options.block_nesting_limit = usize::from(MAX_DEPTH);
    let mut parser = Parser::<StrInput<'_>>::new_from_str_with_options(text, options);
    let mut builder = Builder {
        source,
        base,
        ledger,
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        values: 0,
        faulty: false,
    };
    let mut at = builder.place_at(text.len() - text.trim_start().len());
    while let Some(next) = parser.next_event() {
        builder.ledger.own(Some(first + documents.len()));
        let step = match next {
            Ok((Event::DocumentStart(..), span)) => {
                at = builder.place(&span);
                Ok(())
            }
            Ok((Event::DocumentEnd, _)) => {
                let root = builder.root.take();
                builder.values = 0;
                let whole = !std::mem::take(&mut builder.faulty);
                // `---` alone is no document: there is nothing in it.
                let nothing = root.as_ref().is_none_or(|root| matches!(root.content, Content::Nothing));
                if !(whole && nothing) {
                    documents.push(Parsed { root, whole, at });
                }
                Ok(())
            }
            Ok((event, span)) => builder.take(event, &span),
            Err(error) => Err(builder.syntax(&error, text)),
        };
        if let Err(Cut) = step {
            builder.close_all();
            let root = builder.root.take();
            documents.push(Parsed { root, whole: false, at });
            return;
        }
    }
}

impl Builder<'_> {
    fn place_at(&self, offset: usize) -> Place {
        let start = u32::try_from(self.base + offset).unwrap_or(u32::MAX);
        Place { source: self.source, start, end: start }
    }

    fn place(&self, span: &Span) -> Place {
        let start = self.place_at(span.start.byte_offset().unwrap_or(0));
        let end = self.place_at(span.end.byte_offset().unwrap_or(0));
        Place { end: end.start.max(start.start), ..start }
    }

    /// Reports what is no YAML, in words that say what to do.
    fn syntax(&mut self, error: &ScanError, text: &str) -> Cut {
        let offset = error.marker().byte_offset().unwrap_or(0).min(text.len());
        let place = self.place_at(offset);
        if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
            return self.too_deep(place);
        }
        let line_start = text[..text.floor_char_boundary(offset)].rfind('\n').map_or(0, |at| at + 1);
        let line = text[line_start..].lines().next().unwrap_or("");
        let indent = &line[..line.len() - line.trim_start().len()];
        if indent.contains('\t') {
            let tab = line_start + indent.find('\t').unwrap_or(0);
            let place = Place { end: self.place_at(tab).start + 1, ..self.place_at(tab) };
            self.ledger
                .report(place, "a tab indents this line")
                .rule(Rule::Syntax)
                .help("YAML is indented with spaces alone");
            return Cut;
        }
        let help = if line.contains(": ") && line.matches(": ").count() > 1 {
            Some("put text that holds `: ` in quotes".to_owned())
        } else {
            None
        };
        self.ledger
            .report(place, format!("this is no YAML: {}", error.info()))
            .rule(Rule::Syntax)
            .maybe_help(help);
        Cut
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, at: Place) {
        if let Some(tag) = tag {
            self.faulty = true;
            let what = format!("the tag `{}` is not supported", tag.original());
            self.ledger
                .report(at, what)
                .rule(Rule::Syntax)
                .help("remove it; text that looks like a number is put in quotes");
        }
    }

    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Cut> {
        let at = self.place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                let plain = style == ScalarStyle::Plain;
                let nothing = plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let content = if nothing {
                    Content::Nothing
                } else {
                    Content::Scalar(Scalar { text: text.into_owned(), plain })
                };
                // What is not there is shown where it is missed.
                let at = if at.start == at.end && nothing { self.holder().unwrap_or(at) } else { at };
                self.count(1, at)?;
                let node = Rc::new(Node { at, content, whole: true, values: 1, depth: 1 });
                if anchor != 0 {
                    self.anchors.insert(anchor, Some(Rc::clone(&node)));
                }
                self.attach(node);
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                self.open(at, style, anchor, Content::List(Vec::new()))?;
            }
            Event::MappingStart(style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                self.open(at, style, anchor, Content::Mapping(Vec::new()))?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(true, Some(at)),
            Event::Alias(anchor) => {
                let Some(Some(node)) = self.anchors.get(&anchor).map(Option::as_ref) else {
                    self.ledger
                        .report(at, "this alias stands inside of what it stands for")
                        .rule(Rule::Syntax);
                    return Err(Cut);
                };
                let node = Rc::clone(node);
                self.count(node.values, at)?;
                if usize::from(node.depth) + self.open.len() > usize::from(MAX_DEPTH) {
                    return Err(self.too_deep(at));
                }
                self.attach(node);
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, values: u32, at: Place) -> Result<(), Cut> {
        self.values = self.values.saturating_add(values);
        if self.values > MAX_VALUES {
            let what = format!("this document holds more than {MAX_VALUES} values, with aliases written out");
            self.ledger.report(at, what).rule(Rule::Syntax).help("split it, and use fewer aliases");
            return Err(Cut);
        }
        Ok(())
    }

    fn too_deep(&mut self, at: Place) -> Cut {
        self.ledger
            .report(at, format!("this is nested more than {MAX_DEPTH} levels deep"))
            .rule(Rule::Syntax);
        Cut
    }

    /// Returns the place of the key whose value comes next.
    fn holder(&self) -> Option<Place> {
        self.open.last().and_then(|open| open.key.as_ref()).map(|key| key.at)
    }

    fn open(&mut self, at: Place, style: StructureStyle, anchor: usize, content: Content) -> Result<(), Cut> {
        self.count(1, at)?;
        if self.open.len() >= usize::from(MAX_DEPTH) {
            return Err(self.too_deep(at));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, None);
        }
        let block = style == StructureStyle::Block;
        let at = if block { self.holder().unwrap_or(at) } else { at };
        self.open.push(Open { at, block, anchor, key: None, content });
        Ok(())
    }

    fn close(&mut self, whole: bool, end: Option<Place>) {
        let Some(open) = self.open.pop() else { return };
        let mut at = open.at;
        let children: Vec<&Rc<Node>> = match &open.content {
            Content::List(items) => items.iter().collect(),
            Content::Mapping(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            _ => Vec::new(),
        };
        let values = children.iter().fold(1_u32, |sum, child| sum.saturating_add(child.values));
        let depth = children.iter().map(|child| child.depth).max().unwrap_or(0).saturating_add(1);
        if open.block
            && at.start == at.end
            && let Some(first) = children.first()
        {
            at.end = first.at.end.max(at.end);
        } else if !open.block
            && let Some(end) = end
        {
            at.end = at.end.max(end.end);
        }
        let node = Rc::new(Node { at, content: open.content, whole, values, depth });
        if open.anchor != 0 {
            self.anchors.insert(open.anchor, Some(Rc::clone(&node)));
        }
        self.attach(node);
    }

    /// Closes what a syntax error left open; a key without its value is lost.
    fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.close(false, None);
        }
    }

    fn attach(&mut self, node: Rc<Node>) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(open) => match &mut open.content {
                Content::List(items) => items.push(node),
                Content::Mapping(entries) => match open.key.take() {
                    None => open.key = Some(node),
                    Some(key) => entries.push((key, node)),
                },
                _ => {}
            },
        }
    }
}
