//! What a page is asked for: parameters of an address, bounded, and understood or refused.

use std::fmt::Display;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use url::form_urlencoded::parse;

use crate::web::asked::Named;
use crate::web::pages::fault::Fault;

/// How long a search may be, in characters.
pub const LONGEST_SEARCH: usize = 200;
/// How long any other parameter may be, in bytes.
const LONGEST: usize = 4_096;

/// The parameters of an address; of several by one name the first.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

/// What somebody searches for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// What is searched for.
    pub text: String,
    /// Whether something was cut off.
    pub is_cut: bool,
}

/// What the path of an address names.
#[derive(Debug)]
pub struct InPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let named = Named::from_request_parts(parts, state).await;
        named.map(|Named(name)| Self(name)).map_err(|_| Fault::nothing_there())
    }
}

impl Query {
    /// Reads those of an address.
    pub fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default().as_bytes();
        Self(parse(query).map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// Returns a parameter; nothing for one that says nothing.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// Returns what is searched for.
    pub fn search(&self, name: &str) -> Search {
        let typed = self.get(name).unwrap_or_default();
        let mut characters = typed.chars();
        let text: String = characters.by_ref().take(LONGEST_SEARCH).collect();
        Search { text: text.trim().to_owned(), is_cut: characters.next().is_some() }
    }

    /// Returns what a parameter means, by what the words mean that it may say.
    ///
    /// # Errors
    /// For any other word.
    pub fn one_of<T, W: Display>(
        &self,
        name: &str,
        words: impl IntoIterator<Item = (W, T)>,
    ) -> Result<Option<T>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let mut known = Vec::new();
        for (word, meaning) in words {
            let word = word.to_string();
            if word == value {
                return Ok(Some(meaning));
            }
            known.push(word);
        }
        Err(Fault::bad_filter(name, value, &format!("it may be {}", known.join(", "))))
    }

    /// Returns what a parameter means.
    ///
    /// # Errors
    /// If it means nothing.
    pub fn parsed<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let meaning = if value.len() <= LONGEST { read(value) } else { None };
        meaning.map(Some).ok_or_else(|| Fault::bad_filter(name, value, expected))
    }

    /// Returns which page of a list is asked for, from 1.
    ///
    /// # Errors
    /// If it is no number, or too large.
    pub fn page(&self) -> Result<usize, Fault> {
        let read = |value: &str| value.parse().ok().filter(|page| (1..=1_000_000).contains(page));
        Ok(self.parsed("page", "it is a number from 1", read)?.unwrap_or(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&format!("/accounts?{text}").parse().expect("an address"))
    }

    #[test]
    fn parameters_are_bounded_and_mean_something() {
        let asked = query("q=+jane+d%C3%B6e+&state=held&page=3&empty=");
        assert_eq!(asked.search("q"), Search { text: "jane döe".to_owned(), is_cut: false });
        assert_eq!(asked.get("empty"), None);
        assert_eq!(asked.one_of("state", [("ready", 1), ("held", 2)]).ok().flatten(), Some(2));
        assert!(asked.one_of("state", [("ready", 1)]).is_err());
        assert_eq!(asked.page().ok(), Some(3));
        for wrong in ["page=0", "page=-1", "page=x", "page=99999999"] {
            assert!(query(wrong).page().is_err(), "{wrong}");
        }
        let long = query(&format!("q={}", "ä".repeat(201))).search("q");
        assert_eq!((long.text.chars().count(), long.is_cut), (200, true));
    }
}
