//! Listings by numbered pages, read to an end that proves itself: rows move while they are read, servers
//! give smaller pages than asked for, and some do not turn pages at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::adapters::http::{Failed, Request};
use crate::adapters::http_line::{Line, Told, astray, overdue};
use crate::adapters::http_row::id;
use crate::model::reading::{FaultKind, Reading, Shortfall};
use crate::model::text::{Text, inert};

/// How many pages in a row may bring nothing new before it is taken for a circle.
pub(crate) const BARREN: usize = 3;

/// The status of a gateway that did not wait for a page which took too long to make.
const TOO_SLOW: u16 = 504;

/// How small a page gets for a system that is too slow for larger ones.
const SMALLEST_ASKED: usize = 50;

/// How often a listing with a total, and one without, is read before it is called unsteady.
const PASSES: (usize, usize) = (2, 3);

/// How far one reading may go.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many pages one listing may have.
    pub pages: usize,
    /// How long all of the reading may take, waiting for the pace included.
    pub time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { pages: 20_000, time: Duration::from_secs(30 * 60) }
    }
}

/// The bounds of a reading that began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    bounds: Bounds,
    ends: Instant,
}

/// Why a listing ended before its end.
#[derive(Debug)]
pub(crate) struct Cut {
    /// What went wrong.
    pub(crate) failed: Box<Failed>,
    /// How many rows had arrived.
    pub(crate) read: usize,
}

/// What one page brought.
pub(crate) struct Page<T> {
    /// All rows by id, with what is kept of each.
    pub(crate) rows: Vec<(Text, Option<T>)>,
    /// How many rows the whole listing has, where the system tells.
    pub(crate) total: Option<usize>,
    /// Whether the system says that this was the last one.
    pub(crate) is_last: bool,
}

/// Takes a page apart, or says why that cannot be done.
pub(crate) type TakeApart<'a, T> = &'a (dyn Fn(&Value) -> Result<Page<T>, String> + Sync);

/// A listing by numbered pages.
pub(crate) struct Numbered<'a> {
    /// Who is asked.
    pub(crate) line: &'a Line<'a>,
    /// How far it may go.
    pub(crate) course: &'a Course,
    /// What is listed: `contacts`.
    pub(crate) noun: &'a str,
    /// How many rows a page is asked for.
    pub(crate) size: usize,
    /// How many rows a page has where nobody asks: no server gives fewer, except at the end.
    pub(crate) usual_size: usize,
    /// Makes the request for a page, by its number and size.
    pub(crate) request: &'a (dyn Fn(usize, usize) -> Request + Sync),
}

/// One way from the first page to the last.
struct Pass<T> {
    seen: BTreeSet<Text>,
    kept: BTreeMap<Text, T>,
    totals: BTreeSet<usize>,
    /// The rows of the first page.
    first: usize,
    /// Whether a later page had other rows than the first.
    turned: bool,
}

impl Bounds {
    /// Begins a reading.
    pub(crate) fn begin(self) -> Course {
        Course { bounds: self, ends: Instant::now() + self.time }
    }
}

impl Course {
    /// Asks for a page, within the bounds. `read` pages came before.
    ///
    /// # Errors
    /// What went wrong, or that the listing has no end.
    pub(crate) async fn page(
        &self,
        line: &Line<'_>,
        noun: &str,
        read: usize,
        request: &Request,
        is_answered: &(dyn Fn(&Failed) -> bool + Sync),
    ) -> Result<Told, Failed> {
        if read >= self.bounds.pages {
            return Err(astray(format!("the listing of {noun} has more than {} pages", self.bounds.pages)));
        }
        match timeout_at(self.ends, line.ask_unless(request, is_answered)).await {
            Ok(result) => result,
            Err(_) => Err(overdue(&format!("reading {noun}"), self.bounds.time)),
        }
    }
}

impl Cut {
    /// Makes one.
    pub(crate) fn new(failed: Failed, read: usize) -> Self {
        Self { failed: Box::new(failed), read }
    }

    /// Adds what had arrived before this listing began.
    #[must_use]
    pub(crate) fn after(mut self, read: usize) -> Self {
        self.read += read;
        self
    }

    /// Returns what a reading is that ended so. A credential that is not accepted is no shortfall, whenever
    /// that is noticed: a person must do something.
    pub(crate) fn reading<T>(self) -> Reading<T> {
        let Self { failed, read } = self;
        let is_known = failed.fault.kind == FaultKind::Unauthorised;
        if !is_known && (failed.answered || read > 0) {
            Reading::Incomplete(Shortfall { what: failed.fault.with_hint(), read })
        } else {
            Reading::Unavailable(failed.fault)
        }
    }
}

impl<T> Page<T> {
    /// Takes the rows of a page apart, one by one. A row without an id makes the page unreadable: whose it is
    /// nobody knows.
    ///
    /// # Errors
    /// If a row has no id, or `keep` says why it cannot be read.
    pub(crate) fn of(
        rows: &[Value],
        mut keep: impl FnMut(&Value, Text) -> Result<Option<T>, String>,
    ) -> Result<Self, String> {
        let mut taken = Vec::with_capacity(rows.len());
        for (place, row) in rows.iter().enumerate() {
            let id = row.get("id").and_then(id).ok_or_else(|| format!("row {} has no id", place + 1))?;
            let kept =
                keep(row, id.clone()).map_err(|why| format!("the row with the id {}: {why}", inert(&id)))?;
            taken.push((id, kept));
        }
        Ok(Self { rows: taken, total: None, is_last: false })
    }
}

impl<T> Pass<T> {
    fn new() -> Self {
        Self {
            seen: BTreeSet::new(),
            kept: BTreeMap::new(),
            totals: BTreeSet::new(),
            first: 0,
            turned: false,
        }
    }

    /// Whether exactly so many rows arrived as the system said throughout that there are.
    fn is_counted(&self) -> bool {
        self.totals.len() == 1 && self.totals.contains(&self.seen.len())
    }
}

impl Numbered<'_> {
    /// Reads the listing until it proves itself whole, and returns what was kept of it by id.
    ///
    /// A page that is shorter than asked for proves nothing: a server may give smaller ones. The end is a page
    /// without rows, or the count of rows that the system gave itself. Where it gives one, exactly so many
    /// rows must have arrived, and the count must have stayed the same: a row that moved to an earlier page
    /// while that was being read is noticed by it. Where it gives none, a listing of more than one page is
    /// read again until it is the same twice: a row that moved forward did so because another one went, and
    /// that one is not in the second list.
    ///
    /// # Errors
    /// If a page does not come or cannot be read, and if the listing does not prove itself whole.
    pub(crate) async fn read<T>(&self, take_apart: TakeApart<'_, T>) -> Result<BTreeMap<Text, T>, Cut> {
        let mut before: Option<BTreeSet<Text>> = None;
        let mut passes = 0;
        loop {
            let pass = self.pass(take_apart).await?;
            passes += 1;
            let is_whole = if pass.totals.is_empty() {
                let is_one_page = !pass.turned && pass.first < self.usual_size;
                is_one_page || before.as_ref() == Some(&pass.seen)
            } else {
                pass.is_counted()
            };
            if is_whole {
                return Ok(pass.kept);
            }
            let has_total = !pass.totals.is_empty();
            let enough = if has_total { PASSES.0 } else { PASSES.1 };
            if passes >= enough {
                let mut failed = astray(self.unsteady(&pass, passes));
                // Later it may stand still.
                failed.fault.kind = FaultKind::Transient;
                return Err(Cut::new(failed, pass.seen.len()));
            }
            before = Some(pass.seen);
        }
    }

    /// Says why a listing that was read to its end is not believed.
    fn unsteady<T>(&self, pass: &Pass<T>, passes: usize) -> String {
        let noun = self.noun;
        let arrived = pass.seen.len();
        match (pass.totals.first(), pass.totals.last()) {
            (Some(one), Some(other)) if one == other => format!(
                "the listing of {noun} says that there are {one}, and {arrived} arrived; read {passes} times"
            ),
            (Some(_), _) => {
                format!("the listing of {noun} changed while it was being read, {passes} times in a row")
            }
            (None, _) => {
                format!("the listing of {noun} was another one each of the {passes} times that it was read")
            }
        }
    }

    async fn pass<T>(&self, take_apart: TakeApart<'_, T>) -> Result<Pass<T>, Cut> {
        let mut pass = Pass::new();
        let (mut size, mut number, mut read, mut barren) = (self.size, 1, 0, 0);
        let mut last: Vec<Text> = Vec::new();
        loop {
            // A server may give smaller pages than asked for, by which it counts them.
            let effective = if pass.first == 0 { size } else { size.min(pass.first) };
            let can_shrink = effective > SMALLEST_ASKED;
            let told = match self.page(number, size, read, can_shrink).await {
                Ok(told) => told,
                Err(failed) if failed.status == Some(TOO_SLOW) && can_shrink => {
                    // The page on which the next row stands; those before it on the same page are known.
                    let offset = (number - 1) * effective;
                    size = (effective / 2).max(SMALLEST_ASKED);
                    number = offset / size + 1;
                    last.clear();
                    continue;
                }
                Err(failed) => return Err(Cut::new(failed, pass.seen.len())),
            };
            read += 1;
            let page = take_apart(&told.value).map_err(|why| {
                Cut::new(astray(format!("page {read} of the {}: {why}", self.noun)), pass.seen.len())
            })?;
            let ids: Vec<Text> = page.rows.iter().map(|(id, _)| id.clone()).collect();
            let known = pass.seen.len();
            if read == 1 {
                pass.first = ids.len();
            }
            for (id, kept) in page.rows {
                if let Some(kept) = kept {
                    pass.kept.insert(id.clone(), kept);
                }
                pass.seen.insert(id);
            }
            pass.totals.extend(page.total);
            if ids.is_empty() || (page.is_last && pass.is_counted()) {
                return Ok(pass);
            }
            if pass.seen.len() > known {
                pass.turned |= read > 1;
                barren = 0;
            } else {
                barren += 1;
                // Whoever asks for a page beyond the last one gets the last one from some servers; from one
                // that does not turn pages at all everybody gets the first.
                if ids == last {
                    if pass.turned || pass.is_counted() || self.turns(&ids, read, take_apart).await? {
                        return Ok(pass);
                    }
                    let what =
                        format!("page 2 of the {} is page 1 again: the system turns no pages", self.noun);
                    return Err(Cut::new(astray(what), pass.seen.len()));
                }
                if barren >= BARREN {
                    let what = format!("{BARREN} pages of the {} in a row brought nothing new", self.noun);
                    return Err(Cut::new(astray(what), pass.seen.len()));
                }
            }
            last = ids;
            number += 1;
        }
    }

    /// Asks for a page. One that is too slow to be made is not asked for again where a smaller one can be.
    async fn page(&self, number: usize, size: usize, read: usize, can_shrink: bool) -> Result<Told, Failed> {
        let shrinks = move |failed: &Failed| failed.status == Some(TOO_SLOW) && can_shrink;
        self.course.page(self.line, self.noun, read, &(self.request)(number, size), &shrinks).await
    }

    /// Whether the system turns pages: the second page of one row is one row, and another one than the first.
    /// Of a listing with one row nobody can tell; no server makes its pages that small.
    async fn turns<T>(&self, first: &[Text], read: usize, take_apart: TakeApart<'_, T>) -> Result<bool, Cut> {
        if first.len() == 1 {
            return Ok(true);
        }
        let told = self.page(2, 1, read, false).await.map_err(|failed| Cut::new(failed, first.len()))?;
        let page = take_apart(&told.value);
        Ok(page.is_ok_and(|page| match page.rows.as_slice() {
            [(id, _)] => first.first() != Some(id) && first.contains(id),
            _ => false,
        }))
    }
}
