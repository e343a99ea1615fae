//! What is asked in an address: parameters, each of a known name and form, and where the page before ended.

use std::fmt;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use schemars::Schema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::account::{AccountKey, AccountType, Source};
use crate::model::digest::Digester;
use crate::model::guid::Guid;
use crate::model::listing::AccountPlace;
use crate::model::text::{Text, inert};
use crate::web::answer::Problem;

/// The parameters of an address, read strictly: whoever mistypes a filter is told, and not given everything.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(asked) = Query::try_from_uri(&parts.uri).map_err(|rejection| {
            wrong(format!("the parameters cannot be read: {}", rejection.body_text()))
        })?;
        Ok(Self(asked))
    }
}

/// A part of the path that names something.
#[derive(Debug)]
pub struct Named<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let named: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        let Path(name) = named.map_err(|_| wrong("a name in the path is not UTF-8"))?;
        Ok(Self(name))
    }
}

/// Returns how many are wanted.
///
/// # Errors
/// None, or more than there are on a page.
pub fn limit(asked: Option<usize>, usual: usize, most: usize) -> Result<usize, Problem> {
    match asked.unwrap_or(usual) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        limit => Err(wrong(format!("`limit` is {limit}, and a page has 1 to {most}"))),
    }
}

/// Returns the values of a parameter that takes several, separated by commas.
///
/// # Errors
/// One that `read` does not know.
pub fn several<T>(
    name: &str,
    asked: Option<&str>,
    known: &[&str],
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Problem> {
    let values = asked.into_iter().flat_map(|asked| asked.split(','));
    values
        .map(|value| {
            read(value).ok_or_else(|| {
                let shown: String = value.chars().take(100).collect();
                wrong(format!("`{name}` knows no `{}`", inert(&shown)))
                    .hint(format!("one or more of {}, separated by commas", known.join(", ")))
            })
        })
        .collect()
}

/// Has a schema say which words a parameter takes, separated by commas.
pub fn comma_separated(schema: &mut Schema, known: &[&str]) {
    let words: Vec<String> = known.iter().map(|word| word.replace('.', "\\.")).collect();
    let word = words.join("|");
    schema.insert("pattern".to_owned(), Value::from(format!("^({word})(,({word}))*$")));
}

/// Returns what somebody searches for.
///
/// # Errors
/// Text that is too long to be a name.
pub fn searched(asked: Option<&str>) -> Result<&str, Problem> {
    let text = asked.unwrap_or_default();
    if text.chars().count() > LONGEST_SEARCH {
        return Err(wrong(format!("`q` is longer than {LONGEST_SEARCH} characters")));
    }
    Ok(text)
}

/// A longer text is nobody's name.
pub const LONGEST_SEARCH: usize = 200;

/// Writes where a page of a list ended, for the address of the next one. What is in it is nobody's business and
/// may change.
pub fn cursor<T: Serialize>(list: ListMark, place: &T) -> Option<String> {
    serde_json::to_vec(&(list.0, place)).ok().map(|json| URL_SAFE_NO_PAD.encode(json))
}

/// Reads where a page of a list ended.
///
/// # Errors
/// Text that is none, or of another list: its place would mean something else here.
pub fn place<T: DeserializeOwned>(list: ListMark, cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let json = URL_SAFE_NO_PAD.decode(cursor).ok();
    let place = json.and_then(|json| serde_json::from_slice::<(u32, T)>(&json).ok());
    match place {
        Some((mark, place)) if mark == list.0 => Ok(Some(place)),
        _ => Err(Problem::new(StatusCode::NOT_FOUND, "there is no page with this `cursor`")
            .hint("take it from `next` of the page before, and leave the other parameters as they were")),
    }
}

/// What tells lists apart: a place in one says nothing of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListMark(u32);

impl ListMark {
    /// Marks a list by what decides who is in it, and in which order.
    pub fn of(list: &str, filters: &impl fmt::Debug) -> Self {
        let mut digester = Digester::new("intake list");
        digester.field(list).field(format!("{filters:?}"));
        let [a, b, c, d, ..] = *digester.finish().as_bytes();
        Self(u32::from_be_bytes([a, b, c, d]))
    }
}

/// Where a page of accounts ended, as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub struct WrittenPlace(Text, Text, AccountType, Source, Guid);

impl From<AccountPlace> for WrittenPlace {
    fn from(place: AccountPlace) -> Self {
        let AccountKey { account_type, source, id } = place.key;
        Self(place.customer, place.name, account_type, source, id)
    }
}

impl From<WrittenPlace> for AccountPlace {
    fn from(written: WrittenPlace) -> Self {
        let WrittenPlace(customer, name, account_type, source, id) = written;
        Self { customer, name, key: AccountKey { account_type, source, id } }
    }
}

/// Reads a moment.
///
/// # Errors
/// Text that is none.
pub fn moment(name: &str, asked: Option<&str>, usual: Timestamp) -> Result<Timestamp, Problem> {
    let Some(text) = asked else { return Ok(usual) };
    text.parse().map_err(|_| {
        wrong(format!("`{name}` is no time")).hint("write it as RFC 3339 does: 2026-01-31T08:00:00Z")
    })
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let place_of = AccountPlace {
            customer: Text::from("contoso"),
            name: Text::from("ång\n\u{202e}"),
            key: AccountKey {
                account_type: AccountType::EndUser,
                source: Source::Tenant,
                id: Guid::from_u128(7),
            },
        };
        let list = ListMark::of("accounts", &"contoso");
        let written = cursor(list, &WrittenPlace::from(place_of.clone())).expect("a cursor");
        assert!(written.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        let read: Option<WrittenPlace> = place(list, Some(&written)).expect("a place");
        assert_eq!(read.map(AccountPlace::from), Some(place_of));
        assert!(place::<WrittenPlace>(list, None).expect("none").is_none());
        for wrong in ["", "x", "e30", "W10", "ⓧ", &written[1..]] {
            assert!(place::<WrittenPlace>(list, Some(wrong)).is_err(), "{wrong}");
        }
        let another = ListMark::of("accounts", &"adatum");
        assert!(place::<WrittenPlace>(another, Some(&written)).is_err());
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        assert_eq!(limit(None, 100, 500).ok(), Some(100));
        assert_eq!(limit(Some(500), 100, 500).ok(), Some(500));
        assert!(limit(Some(0), 100, 500).is_err() && limit(Some(501), 100, 500).is_err());
        assert!(searched(Some(&"ä".repeat(200))).is_ok() && searched(Some(&"ä".repeat(201))).is_err());
        let read = |value: &str| (value == "a").then_some(1);
        assert_eq!(several("x", Some("a,a"), &["a"], read).ok(), Some(vec![1, 1]));
        assert_eq!(several("x", None, &["a"], read).ok(), Some(vec![]));
        assert!(["a,b", "a,", ""].iter().all(|wrong| several("x", Some(wrong), &["a"], read).is_err()));
        assert!(moment("since", Some("yesterday"), Timestamp::MIN).is_err());
    }
}
