//! From values as written to typed ones: every problem of a document, each with its place.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::model::text::Text;
use crate::policy::problem::Rule;
use crate::policy::source::{Ledger, Place};
use crate::policy::yaml::{Content, Meaning, Node, Scalar};

/// Longer words are not compared with anything: no valid word is so long.
const LONGEST_WORD: usize = 64;

/// What a document may hold.
pub trait Read: Sized {
    /// Reads a value. `None`: it is broken, and that has been reported.
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self>;

    /// Says what an absent key means. Reports that it is missing, unless overridden.
    fn absent(key: &str, holder: Place, ledger: &mut Ledger) -> Option<Self> {
        ledger.report(holder, format!("`{key}` is missing here")).rule(Rule::MissingKey);
        None
    }
}

/// A record: a mapping with a fixed set of keys.
pub trait Record: Sized {
    /// Returns the keys, in the order of the reference.
    fn keys() -> Vec<&'static str>;
    /// Reads the fields of a mapping whose keys were checked already.
    fn read_fields(node: &Node, ledger: &mut Ledger) -> Option<Self>;
}

/// A single value of text, a number or a truth value.
pub trait Value: Sized {
    /// Reads it.
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong>;
}

/// Why a single value is refused.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// What is wrong.
    pub what: String,
    /// What to try.
    pub help: Option<String>,
    /// From which byte of the text on.
    pub at: usize,
}

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: Place,
}

/// A value that is there, perhaps broken: what may stand only once asks for presence alone.
#[derive(Debug, Clone)]
pub struct Given<T> {
    /// The value; `None` if it was broken, which has been reported.
    pub value: Option<T>,
    /// Where it stands.
    pub at: Place,
}

/// A list that is not empty.
#[derive(Debug, Clone)]
pub struct Many<T>(pub Vec<T>);

/// A mapping with free keys.
#[derive(Debug, Clone)]
pub struct Map<T>(pub Vec<(Placed<String>, T)>);

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<const MIN: u32, const MAX: u32>(pub u32);

impl Wrong {
    /// Says what is wrong.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), help: None, at: 0 }
    }

    /// Says what to try.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Returns the valid word that somebody most likely meant: one a few letters away, or the only one
/// that begins with it.
pub fn nearest<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    let folded = word.to_lowercase();
    let reach = (word.chars().count() / 3).max(1);
    let mut closest: Option<(usize, &str)> = None;
    let mut begun: Vec<&str> = Vec::new();
    for candidate in valid.into_iter().filter(|candidate| candidate.len() <= LONGEST_WORD) {
        let lower = candidate.to_lowercase();
        let found = (strsim::damerau_levenshtein(&folded, &lower), candidate);
        if found.0 <= reach && closest.is_none_or(|closest| found < closest) {
            closest = Some(found);
        }
        if folded.len() > 2 && lower.starts_with(&folded) {
            begun.push(candidate);
        }
    }
    match (closest, begun.as_slice()) {
        (Some((_, candidate)), _) => Some(candidate),
        (None, [only]) => Some(only),
        _ => None,
    }
}

/// Names the first eight of many customers.
pub fn first_eight(customers: &[Text]) -> String {
    let shown = customers.iter().take(8).map(Text::as_str).collect::<Vec<_>>().join(", ");
    match customers.len().saturating_sub(8) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Returns what to try in place of a word that is not known: the nearest one, or all.
pub fn suggest<'a>(word: &str, valid: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(candidate) = nearest(word, valid.clone()) {
        return Some(format!("did you mean `{candidate}`?"));
    }
    let all: Vec<&str> = valid.into_iter().collect();
    match all.len() {
        0 => None,
        1..=24 => Some(format!("known here: {}", all.join(", "))),
        more => Some(format!("known here: {} and {} more", all[..12].join(", "), more - 12)),
    }
}

/// Reports a value of the wrong type.
pub fn wrong_type(node: &Node, expected: &str, ledger: &mut Ledger) {
    let help = match (&node.content, expected) {
        (Content::Nothing, _) => Some("give it a value, or remove the key".to_owned()),
        (Content::Scalar(scalar), "text") if scalar.meaning() != Meaning::Text => {
            Some(format!("put it in quotes: \"{}\"", scalar.text.chars().take(40).collect::<String>()))
        }
        (Content::Scalar(scalar), "a list") => {
            let text: String = scalar.text.chars().take(40).collect();
            Some(format!("write a list of one: [{text}]"))
        }
        (Content::Scalar(scalar), "true or false") => match scalar.text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "1" => Some("did you mean `true`?".to_owned()),
            "no" | "off" | "n" | "0" => Some("did you mean `false`?".to_owned()),
            _ => None,
        },
        _ => None,
    };
    ledger
        .report(node.at, format!("expected {expected}, found {}", node.described()))
        .rule(Rule::WrongType)
        .maybe_help(help);
}

/// Checks a mapping's keys against those known: all unknown and all duplicate ones are reported.
/// Returns false if the value is no mapping at all.
pub fn check_keys(node: &Node, keys: &[&'static str], what: &str, ledger: &mut Ledger) -> bool {
    let Content::Mapping(entries) = &node.content else {
        wrong_type(node, &format!("a mapping ({what})"), ledger);
        return false;
    };
    let mut seen = HashMap::with_capacity(entries.len());
    for (key, _) in entries {
        let Some(name) = key.text() else {
            ledger.report(key.at, "a key must be text").rule(Rule::UnknownKey);
            continue;
        };
        if !keys.contains(&name) {
            if name == "<<" {
                ledger
                    .report(key.at, "merge keys (`<<`) are not supported")
                    .rule(Rule::UnknownKey)
                    .help("write the keys out");
                continue;
            }
            let shown: String = name.chars().take(LONGEST_WORD).collect();
            let help = suggest(name, keys.iter().copied());
            ledger
                .report(key.at, format!("unknown key `{shown}` in {what}"))
                .rule(Rule::UnknownKey)
                .maybe_help(help);
        }
        match seen.entry(name) {
            Entry::Occupied(first) => report_duplicate(name, key.at, *first.get(), ledger),
            Entry::Vacant(free) => {
                free.insert(key.at);
            }
        }
    }
    true
}

fn report_duplicate(name: &str, at: Place, first: Place, ledger: &mut Ledger) {
    let shown: String = name.chars().take(LONGEST_WORD).collect();
    ledger
        .report(at, format!("the key `{shown}` is here twice"))
        .rule(Rule::Duplicate)
        .label(first, "first here");
}

/// Reads one field of a record.
pub fn field<T: Read>(node: &Node, key: &str, ledger: &mut Ledger) -> Option<T> {
    match node.get(key) {
        Some(value) => T::read(value, ledger),
        None => T::absent(key, node.at, ledger),
    }
}

/// Reports unless exactly one of some keys is there.
pub fn exactly_one(node: &Node, keys: &[&str], ledger: &mut Ledger) {
    let present: Vec<Place> = node
        .entries()
        .iter()
        .filter(|(key, _)| key.text().is_some_and(|text| keys.contains(&text)))
        .map(|(key, _)| key.at)
        .collect();
    let all = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    match present.as_slice() {
        [] => {
            ledger
                .report(node.at, format!("exactly one of {all} is needed here, and none is given"))
                .rule(Rule::MissingKey);
        }
        [_] => {}
        [first, second, ..] => {
            ledger
                .report(*second, format!("exactly one of {all} is needed here, and several are given"))
                .rule(Rule::Conflict)
                .label(*first, "another one");
        }
    }
}

impl<T: Read> Read for Option<T> {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        // A broken value has been reported; what depends on the others is checked all the same.
        Some(T::read(node, ledger))
    }

    fn absent(_key: &str, _holder: Place, _ledger: &mut Ledger) -> Option<Self> {
        Some(None)
    }
}

impl<T: Read> Read for Placed<T> {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        Some(Self { value: T::read(node, ledger)?, at: node.at })
    }
}

impl<T: Read> Read for Given<T> {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        Some(Self { value: T::read(node, ledger), at: node.at })
    }
}

impl<T: Read> Read for Box<T> {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        T::read(node, ledger).map(Self::new)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        let Content::List(items) = &node.content else {
            wrong_type(node, "a list", ledger);
            return None;
        };
        Some(items.iter().filter_map(|item| T::read(item, ledger)).collect())
    }
}

impl<T: Read> Read for Many<T> {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        let items = Vec::read(node, ledger)?;
        if matches!(&node.content, Content::List(items) if items.is_empty()) {
            ledger
                .report(node.at, "this list is empty, and needs one entry at least")
                .rule(Rule::MalformedValue);
            return None;
        }
        Some(Self(items))
    }
}

impl<T: Read> Read for Map<T> {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        let Content::Mapping(entries) = &node.content else {
            wrong_type(node, "a mapping", ledger);
            return None;
        };
        let mut read = Vec::with_capacity(entries.len());
        let mut seen = HashMap::with_capacity(entries.len());
        for (key, value) in entries {
            let Some(name) = key.text() else {
                ledger.report(key.at, "a key must be text").rule(Rule::UnknownKey);
                continue;
            };
            if name == "<<" {
                ledger
                    .report(key.at, "merge keys (`<<`) are not supported")
                    .rule(Rule::UnknownKey)
                    .help("write the keys out");
                continue;
            }
            match seen.entry(name) {
                Entry::Occupied(first) => report_duplicate(name, key.at, *first.get(), ledger),
                Entry::Vacant(free) => {
                    free.insert(key.at);
                }
            }
            if let Some(value) = T::read(value, ledger) {
                read.push((Placed { value: name.to_owned(), at: key.at }, value));
            }
        }
        Some(Self(read))
    }
}

/// Reads a single value by its [`Value`].
pub fn read_value<T: Value>(node: &Node, expected: &str, ledger: &mut Ledger) -> Option<T> {
    let Content::Scalar(scalar) = &node.content else {
        wrong_type(node, expected, ledger);
        return None;
    };
    match T::from_scalar(scalar) {
        Ok(value) => Some(value),
        Err(wrong) if wrong.what.is_empty() => {
            wrong_type(node, expected, ledger);
            None
        }
        Err(wrong) => {
            let at = narrow(node.at, scalar, wrong.at, ledger);
            ledger.report(at, wrong.what).rule(Rule::MalformedValue).maybe_help(wrong.help);
            None
        }
    }
}

/// Moves a place into its text, where the text stands in the file as it is.
fn narrow(at: Place, scalar: &Scalar, offset: usize, ledger: &Ledger) -> Place {
    if offset == 0 {
        return at;
    }
    let written = ledger
        .source(at.source)
        .and_then(|source| source.text.get(at.start as usize..at.end as usize))
        .unwrap_or("");
    match written.find(scalar.text.as_str()) {
        Some(quote) => {
            let start = at.start + u32::try_from(quote + offset).unwrap_or(0);
            Place { start: start.min(at.end), ..at }
        }
        None => at,
    }
}

impl Read for bool {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        match &node.content {
            Content::Scalar(scalar) if let Meaning::Truth(truth) = scalar.meaning() => Some(truth),
            _ => {
                wrong_type(node, "true or false", ledger);
                None
            }
        }
    }
}

impl Read for String {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        read_value::<FreeText>(node, "text", ledger).map(|text| text.0)
    }
}

/// Any text that is not blank.
struct FreeText(String);

impl Value for FreeText {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        if scalar.meaning() != Meaning::Text {
            return Err(Wrong::new(""));
        }
        if scalar.text.trim().is_empty() {
            return Err(Wrong::new("this text is empty"));
        }
        Ok(Self(scalar.text.clone()))
    }
}

impl<const MIN: u32, const MAX: u32> Read for Whole<MIN, MAX> {
    fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
        let expected = "a whole number";
        let number = match &node.content {
            Content::Scalar(scalar) if scalar.meaning() == Meaning::Number => scalar,
            _ => {
                wrong_type(node, expected, ledger);
                return None;
            }
        };
        match number.text.parse::<i128>() {
            Ok(value) if (i128::from(MIN)..=i128::from(MAX)).contains(&value) => {
                u32::try_from(value).ok().map(Self)
            }
            Ok(value) => {
                let what = if MAX == u32::MAX {
                    format!("{value} is out of range: {MIN} at least")
                } else {
                    format!("{value} is out of range: from {MIN} to {MAX}")
                };
                ledger.report(node.at, what).rule(Rule::MalformedValue);
                None
            }
            Err(_) => {
                wrong_type(node, expected, ledger);
                None
            }
        }
    }
}

macro_rules! transparent_schema {
    ($($type:ty => $inner:ty),*) => {$(
        impl<T: JsonSchema> JsonSchema for $type {
            fn inline_schema() -> bool {
                <$inner>::inline_schema()
            }
            fn schema_name() -> Cow<'static, str> {
                <$inner>::schema_name()
            }
            fn schema_id() -> Cow<'static, str> {
                <$inner>::schema_id()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                <$inner>::json_schema(generator)
            }
        }
    )*};
}

transparent_schema!(Placed<T> => T, Given<T> => T, Map<T> => std::collections::BTreeMap<String, T>);

impl<T: JsonSchema> JsonSchema for Many<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Many{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<T>();
        json_schema!({"type": "array", "items": items, "minItems": 1})
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Whole<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Whole{MIN}To{MAX}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

/// Returns the part of a schema that says "exactly one of these keys".
pub fn one_of(keys: &[&str]) -> serde_json::Value {
    keys.iter().map(|key| serde_json::json!({"required": [key]})).collect()
}

/// Defines a mapping with fixed keys: its type, its JSON Schema (doc comments become hover texts)
/// and how it is read. A key is optional if its type is an `Option`.
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $name:ident = $what:literal $(exactly_one $choice:expr)? ;
        $(
            $(#[$field_meta:meta])*
            $key:literal => $field:ident: $type:ty,
        )*
        $(..$flat:ident: $flat_type:ty,)?
    ) => {
        #[derive(Debug, Clone, schemars::JsonSchema)]
        $(#[$meta])*
        #[schemars(deny_unknown_fields $(, extend("oneOf" = crate::policy::read::one_of($choice)))?)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[schemars(rename = $key)]
                pub $field: $type,
            )*
            $(
                /// The fields that it shares with others.
                #[schemars(flatten)]
                pub $flat: $flat_type,
            )?
        }

        impl crate::policy::read::Record for $name {
            fn keys() -> Vec<&'static str> {
                #[allow(unused_mut, reason = "only records with shared fields add to it")]
                let mut keys = vec![$($key),*];
                $(keys.extend(<$flat_type as crate::policy::read::Record>::keys());)?
                keys
            }

            fn read_fields(
                node: &crate::policy::yaml::Node,
                ledger: &mut crate::policy::source::Ledger,
            ) -> Option<Self> {
                $(crate::policy::read::exactly_one(node, $choice, ledger);)?
                $(let $field = crate::policy::read::field(node, $key, ledger);)*
                $(let $flat = <$flat_type as crate::policy::read::Record>::read_fields(node, ledger);)?
                Some(Self { $($field: $field?,)* $($flat: $flat?,)? })
            }
        }

        impl crate::policy::read::Read for $name {
            fn read(
                node: &crate::policy::yaml::Node,
                ledger: &mut crate::policy::source::Ledger,
            ) -> Option<Self> {
                let keys = <Self as crate::policy::read::Record>::keys();
                if !crate::policy::read::check_keys(node, &keys, $what, ledger) {
                    return None;
                }
                <Self as crate::policy::read::Record>::read_fields(node, ledger)
            }
        }
    };
}

/// Defines a choice among words.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident = $what:literal;
        $($(#[$word_meta:meta])* $word:literal => $variant:ident,)*
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, schemars::JsonSchema)]
        pub enum $name {
            $($(#[$word_meta])* #[schemars(rename = $word)] $variant,)*
        }

        impl $name {
            /// All words.
            pub const WORDS: &'static [&'static str] = &[$($word),*];
        }

        impl crate::policy::read::Read for $name {
            fn read(
                node: &crate::policy::yaml::Node,
                ledger: &mut crate::policy::source::Ledger,
            ) -> Option<Self> {
                match node.text() {
                    $(Some($word) => Some(Self::$variant),)*
                    _ => {
                        crate::policy::read::wrong_word(node, $what, Self::WORDS, ledger);
                        None
                    }
                }
            }
        }
    };
}

/// Reports a value that is none of some words.
pub fn wrong_word(node: &Node, what: &str, words: &[&str], ledger: &mut Ledger) {
    match node.text() {
        Some(text) => {
            let shown: String = text.chars().take(LONGEST_WORD).collect();
            let help = suggest(text, words.iter().copied());
            ledger
                .report(node.at, format!("`{shown}` is no {what}"))
                .rule(Rule::MalformedValue)
                .maybe_help(help);
        }
        None => wrong_type(node, &format!("one of {}", words.join(", ")), ledger),
    }
}

pub(crate) use {record, words};
