//! Listings whose pages lead to the next one by a `Link` header (RFC 8288), followed on the same server alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use url::Url;

use crate::adapters::http::{Request, quoted};
use crate::adapters::http_line::{Line, astray};
use crate::adapters::http_pages::{BARREN, Course, Cut, TakeApart};
use crate::model::text::Text;

/// A listing by links.
pub(crate) struct Linked<'a> {
    /// Who is asked.
    pub(crate) line: &'a Line<'a>,
    /// How far it may go.
    pub(crate) course: &'a Course,
    /// What is listed: `contacts`.
    pub(crate) noun: &'a str,
    /// The first page.
    pub(crate) first: Url,
    /// The parameter by which links name a place that stays where it is while rows come and go.
    pub(crate) steady: &'a str,
    /// Makes the request for a page.
    pub(crate) request: &'a (dyn Fn(Url) -> Request + Sync),
}

/// How a listing ended.
pub(crate) struct Followed<T> {
    /// What was kept, by id.
    pub(crate) kept: BTreeMap<Text, T>,
    /// All rows that arrived.
    pub(crate) seen: BTreeSet<Text>,
    /// Whether the system said that this was all, and led there by steady links. Where not, the caller has to
    /// find out.
    pub(crate) is_told: bool,
}

impl Linked<'_> {
    /// Follows the listing to its end.
    ///
    /// # Errors
    /// If a page does not come, cannot be read, or leads astray.
    pub(crate) async fn read<T>(&self, take_apart: TakeApart<'_, T>) -> Result<Followed<T>, Cut> {
        let mut seen: BTreeSet<Text> = BTreeSet::new();
        let mut kept = BTreeMap::new();
        let mut asked = HashSet::from([self.first.clone()]);
        let (mut url, mut read, mut barren, mut is_steady) = (self.first.clone(), 0, 0, true);
        loop {
            let cut = |what: String, rows: usize| Cut::new(astray(what), rows);
            let told = self
                .course
                .page(self.line, self.noun, read, &(self.request)(url.clone()), &|_| false)
                .await
                .map_err(|failed| Cut::new(failed, seen.len()))?;
            read += 1;
            let at = format!("page {read} of the {}", self.noun);
            // Where it leads to comes first: what comes with a link that leads astray is not taken either.
            let next = match told.link.as_deref().map(next) {
                None => None,
                Some(Ok(link)) => Some(link),
                Some(Err(())) => return Err(cut(format!("{at} leads to no address"), seen.len())),
            };
            if let Some(Some(next)) = &next {
                if next.origin() != self.first.origin() {
                    let host = quoted(&next.origin().ascii_serialization(), &[]);
                    let what = format!("{at} leads to another server, {host}, which is sent nothing");
                    return Err(cut(what, seen.len()));
                }
                if !asked.insert(next.clone()) {
                    return Err(cut(format!("{at} leads back to an earlier page"), seen.len()));
                }
                is_steady &= next.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case(self.steady));
            }
            let page = take_apart(&told.value).map_err(|why| cut(format!("{at}: {why}"), seen.len()))?;
            let known = seen.len();
            for (id, row) in page.rows {
                if let Some(row) = row {
                    kept.insert(id.clone(), row);
                }
                seen.insert(id);
            }
            barren = if seen.len() > known { 0 } else { barren + 1 };
            url = match next {
                Some(Some(next)) => next,
                Some(None) => return Ok(Followed { kept, seen, is_told: is_steady }),
                None => return Ok(Followed { kept, seen, is_told: false }),
            };
            if barren >= BARREN {
                let what = format!("{BARREN} pages of the {} in a row brought nothing new", self.noun);
                return Err(cut(what, seen.len()));
            }
        }
    }
}

/// Reads where a `Link` header says that the next page is; `None` if it says that there is none.
fn next(header: &str) -> Result<Option<Url>, ()> {
    let mut rest = header.trim();
    while !rest.is_empty() {
        let (target, after) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).ok_or(())?;
        // Parameters end at the comma before the next target.
        let end = after.find(',').unwrap_or(after.len());
        let (parameters, others) = after.split_at(end);
        let is_next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.trim().eq_ignore_ascii_case("rel")
                && value
                    .trim()
                    .trim_matches('"')
                    .split_ascii_whitespace()
                    .any(|word| word.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Url::parse(target).map(Some).map_err(|_| ());
        }
        rest = others.trim_start_matches(',').trim_start();
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_others_and_none_is_not_nonsense() {
        let found = |header: &str| next(header).map(|url| url.map(String::from));
        let one = "<https://a.test/x?pageId=7&pageSize=2>; rel=\"next\"";
        assert_eq!(found(one), Ok(Some("https://a.test/x?pageId=7&pageSize=2".to_owned())));
        let two = "<https://a.test/x?a=1,2>; rel=\"last\", <https://a.test/y>; title=\"t\"; REL=next";
        assert_eq!(found(two), Ok(Some("https://a.test/y".to_owned())));
        for finished in ["", "  ", "<https://a.test/x>; rel=\"first\""] {
            assert_eq!(found(finished), Ok(None), "{finished}");
        }
        for nonsense in ["next", "https://a.test/x; rel=next", "</x?pageId=7>; rel=\"next\"", "<; rel=next"] {
            assert_eq!(found(nonsense), Err(()), "{nonsense}");
        }
    }
}
