//! All users of a SCIM service, page by page: a listing that does not prove itself whole is none.

use std::collections::BTreeMap;

use url::Url;

use crate::adapters::http::Failed;
use crate::adapters::http_line::astray;
use crate::adapters::scim_line::ScimLine;
use crate::adapters::scim_object::{self as object, Features};
use crate::model::publication::RemoteUser;
use crate::model::reading::{FaultKind, Reading, Shortfall};
use crate::model::text::Text;

/// How many users a page is asked for.
const PAGE: usize = 100;

/// How many pages a listing may have: a service that never ends is not read for ever.
const MOST_PAGES: usize = 20_000;

/// How often a listing is begun anew that changed while it was read, or whose cursor is too old.
const PASSES: usize = 2;

/// How many pages in a row may bring nobody new before it is taken for a circle.
const BARREN: usize = 3;

/// Everybody, by id.
pub(crate) type Everybody = BTreeMap<Text, RemoteUser>;

/// How one way from the first page to the last ended.
enum Pass {
    Whole(Everybody),
    /// Why it proves nothing, and how many had arrived.
    Short(String, usize),
    Failed(Failed, usize),
}

/// Lists all users: by cursors where they are offered, else by numbers.
pub(crate) async fn list(line: &ScimLine, features: Features) -> Reading<Everybody> {
    let mut last = None;
    for by_cursor in [true, false] {
        if by_cursor && !features.cursor {
            continue;
        }
        for _ in 0..PASSES {
            match pass(line, features, by_cursor).await {
                Pass::Whole(everybody) => return Reading::Complete(everybody),
                Pass::Failed(failed, read) => {
                    // What a service offers and then refuses is tried the other way, an old cursor from the start.
                    let is_cursor = by_cursor && matches!(failed.status, Some(400 | 404 | 501));
                    if !is_cursor {
                        return match read > 0 && failed.fault.kind != FaultKind::Unauthorised {
                            true => Reading::Incomplete(Shortfall { what: failed.fault.with_hint(), read }),
                            false => Reading::Unavailable(failed.fault),
                        };
                    }
                    last = Some(Shortfall { what: failed.fault.with_hint(), read });
                }
                Pass::Short(what, read) => last = Some(Shortfall { what, read }),
            }
        }
    }
    let nothing = || Shortfall { what: "nothing was listed".to_owned(), read: 0 };
    Reading::Incomplete(last.unwrap_or_else(nothing))
}

async fn pass(line: &ScimLine, features: Features, by_cursor: bool) -> Pass {
    let size = features.page.map_or(PAGE, |most| most.clamp(1, PAGE));
    let mut everybody = Everybody::new();
    let (mut cursor, mut place, mut total) = (String::new(), 1_usize, None);
    let mut barren = 0;
    for _ in 0..MOST_PAGES {
        let url = address(line, by_cursor, &cursor, place, size);
        let value = match line.read(url).await {
            Ok((value, _)) => value,
            Err(failed) => return Pass::Failed(failed, everybody.len()),
        };
        let page = match object::page(&value) {
            Ok(page) => page,
            Err(why) => return Pass::Failed(astray(format!("the listing of users: {why}")), everybody.len()),
        };
        let known = everybody.len();
        for row in page.rows {
            let Some(user) = object::user(row) else {
                return Pass::Short("a user of the listing has no id".to_owned(), everybody.len());
            };
            everybody.insert(user.id.clone(), user);
        }
        total = page.total.or(total);
        if by_cursor {
            match page.next {
                None => return ended(everybody, total),
                Some(next) if next == cursor => {
                    return Pass::Short("the cursor leads to itself".to_owned(), everybody.len());
                }
                Some(next) => cursor = next.to_owned(),
            }
            // An empty page may come on the way; several of them are a circle.
            barren = if everybody.len() == known { barren + 1 } else { 0 };
            if barren >= BARREN {
                return Pass::Short("pages of the listing brought nobody new".to_owned(), everybody.len());
            }
            continue;
        }
        if page.rows.is_empty() || total.is_some_and(|total| everybody.len() >= total) {
            return ended(everybody, total);
        }
        if everybody.len() == known {
            return Pass::Short("a page of the listing brought nobody new".to_owned(), everybody.len());
        }
        // A service may give fewer than it was asked for.
        place = place.saturating_add(page.rows.len());
    }
    Pass::Short(format!("the listing of users has more than {MOST_PAGES} pages"), everybody.len())
}

fn ended(everybody: Everybody, total: Option<usize>) -> Pass {
    match total {
        Some(total) if total != everybody.len() => Pass::Short(
            format!("the listing says that there are {total} users, and {} arrived", everybody.len()),
            everybody.len(),
        ),
        _ => Pass::Whole(everybody),
    }
}

fn address(line: &ScimLine, by_cursor: bool, cursor: &str, place: usize, size: usize) -> Url {
    let mut url = line.address(&["Users"]);
    let mut query = url.query_pairs_mut();
    match by_cursor {
        true => query.append_pair("cursor", cursor),
        false => query.append_pair("startIndex", &place.to_string()),
    };
    query.append_pair("count", &size.to_string());
    drop(query);
    url
}
