//! `/`: how the fleet stands, with whoever needs somebody first.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use jiff::Timestamp;

use crate::model::text::{Text, fold, inert};
use crate::model::tree_status::TreeStatus;
use crate::plan::report::without_sentence;
use crate::ports::feed::UnderWay;
use crate::web::fleet::{CustomerView, FleetView, StateCounts, StoreAway};
use crate::web::pages::fault::Fault;
use crate::web::pages::frame::{Frame, Section, page};
use crate::web::pages::link::{Link, of_customer};
use crate::web::pages::moment::{Moment, span};
use crate::web::pages::plot::Spark;
use crate::web::pages::prose::Prose;
use crate::web::pages::query::Query;
use crate::web::pages::standing::{Badge, Standing};
use crate::web::pages::visitor::{REFRESH, Visitor};
use crate::web::pages::word::{counted, number};
use crate::web::routes::Site;

/// How many customers are on a page.
const ON_A_PAGE: usize = 100;
/// The word for customers whose turn is under way, among those of standings.
const SYNCING: &str = "syncing";

#[derive(Template)]
#[template(path = "fleet.html")]
struct FleetPage {
    frame: Frame,
    tree: Option<Tree>,
    total: String,
    accounts: String,
    deliveries: Option<String>,
    chips: Vec<Chip>,
    search: String,
    state: String,
    is_filtered: bool,
    found: String,
    rows: Vec<Row>,
    pager: Pager,
}

/// Which tree is in force.
pub struct Tree {
    source: String,
    revision: String,
    short: String,
    author: String,
    authored: Option<Moment>,
    since: Moment,
    looked_at: Moment,
    problems: Option<String>,
    fault: Option<(String, Moment)>,
}

/// How many customers stand so, and where they are.
struct Chip {
    badge: Badge,
    count: String,
    is_none: bool,
    is_chosen: bool,
    address: String,
}

/// A customer on the page.
struct Row {
    name: String,
    display_name: String,
    address: String,
    badge: Badge,
    syncing: Option<String>,
    message: Prose,
    success: Option<Moment>,
    types: Vec<(&'static str, Counts)>,
    spark: Spark,
}

/// Accounts of one type.
pub struct Counts {
    /// All that are imported.
    pub imported: String,
    /// Whether there are none.
    pub is_none: bool,
    /// Of them within their grace.
    pub pending: Option<String>,
    /// Of them without a policy.
    pub orphaned: Option<String>,
}

/// Where the pages before and after are.
pub struct Pager {
    /// The page before.
    pub previous: Option<String>,
    /// The page after.
    pub next: Option<String>,
    /// Which part this is.
    pub words: String,
}

impl Counts {
    /// Shows numbers of accounts.
    pub fn of(counts: StateCounts) -> Self {
        let some = |count: u64| (count > 0).then(|| number(count));
        Self {
            imported: number(counts.imported()),
            is_none: counts.imported() == 0,
            pending: some(counts.pending_removal),
            orphaned: some(counts.orphaned),
        }
    }
}

impl Pager {
    /// Divides a list of so many; returns which of them are on a page, and the way to the others.
    pub fn of(
        count: usize,
        page: usize,
        size: usize,
        address: impl Fn(usize) -> String,
    ) -> (usize, usize, Self) {
        let first = (page - 1).saturating_mul(size).min(count);
        let last = first.saturating_add(size).min(count);
        let pager = Self {
            previous: (page > 1).then(|| address((page - 1).min(count.div_ceil(size).max(1)))),
            next: (last < count).then(|| address(page + 1)),
            words: if count == 0 {
                String::new()
            } else {
                let whole = number(u64::try_from(count).unwrap_or(u64::MAX));
                format!("{}–{} of {whole}", first + 1, last)
            },
        };
        (first, last, pager)
    }
}

impl Tree {
    fn of(tree: &TreeStatus, now: Timestamp) -> Self {
        let revision = inert(&tree.revision).into_owned();
        let bare = revision.trim_start_matches("sha256:");
        Self {
            source: inert(&tree.source).into_owned(),
            short: bare.chars().take(12).collect(),
            author: tree.commit.as_ref().map(|commit| inert(&commit.author).into_owned()).unwrap_or_default(),
            authored: tree
                .commit
                .as_ref()
                .and_then(|commit| commit.authored.parse().ok())
                .map(|at| Moment::of(at, now)),
            since: Moment::of(tree.since, now),
            looked_at: Moment::of(tree.looked_at, now),
            problems: (tree.problems > 0).then(|| counted(tree.problems, "problem", "problems")),
            fault: tree
                .fault
                .as_ref()
                .map(|(what, since)| (inert(what).into_owned(), Moment::of(*since, now))),
            revision,
        }
    }
}

/// Says how far a turn is.
pub fn progress(turn: UnderWay) -> String {
    let lasting = span(turn.lasting.as_secs());
    if turn.objects == 0 {
        format!("Syncing for {lasting}")
    } else {
        format!("Syncing: {} read in {lasting}", counted(turn.objects, "object", "objects"))
    }
}

/// Shows the fleet.
pub async fn show(
    State(site): State<Site>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Fault> {
    let query = Query::of(&uri);
    let search = query.search("q");
    let words = Standing::ALL.into_iter().map(|standing| (standing.code(), Some(standing)));
    let state = query.one_of("state", words.chain([(SYNCING, None)]))?;
    let number_of_page = query.page()?;
    let failed = |fault: StoreAway| Fault::inside("the fleet cannot be shown", &fault);
    // A page that looks by itself was told that something happened, and wants to see it.
    let is_told = headers.contains_key(REFRESH);
    let view = if is_told { site.fleet.view_now().await } else { site.fleet.view().await };
    let view = view.map_err(failed)?;
    let past = site.fleet.past().await.ok();
    let under_way = site.feed.under_way();
    let now = site.dashboard.gate.clock.now();

    let wanted = fold(&search.text).into_owned();
    let display_name = |name: &Text| -> String {
        let document = site.inquiry.document(name).ok().flatten();
        document.map(|document| document.display_name.clone()).unwrap_or_default()
    };
    let is_called = |customer: &CustomerView| {
        wanted.is_empty()
            || fold(&customer.name).contains(&*wanted)
            || fold(&display_name(&customer.name)).contains(&*wanted)
    };
    let mut stand: Vec<(Standing, &CustomerView)> =
        view.customers.values().map(|customer| (Standing::of(customer), customer)).collect();
    let chips = chips(&stand, &under_way, state, &search.text);
    stand.retain(|(standing, customer)| {
        let is_in_state = match state {
            None => true,
            Some(None) => under_way.contains_key(&customer.name),
            Some(Some(wanted)) => *standing == wanted,
        };
        is_in_state && is_called(customer)
    });
    // Whoever needs nobody is sorted by name alone, whether they had a turn yet or not.
    stand.sort_by_key(|(standing, _)| (*standing).min(Standing::Ready));
    let code = query.get("state").unwrap_or_default().to_owned();
    let address = |page: usize| {
        let page = if page > 1 { page.to_string() } else { String::new() };
        Link::to("/").with("q", &search.text).with("state", &code).with("page", &page).done()
    };
    let (first, last, pager) = Pager::of(stand.len(), number_of_page, ON_A_PAGE, address);
    let rows = stand[first..last].iter().map(|(standing, customer)| {
        let display_name = display_name(&customer.name);
        let imported = customer.accounts.imported();
        Row {
            name: inert(&customer.name).into_owned(),
            display_name: if display_name == customer.name.as_str() {
                String::new()
            } else {
                inert(&display_name).into_owned()
            },
            address: of_customer(&customer.name, ""),
            badge: Badge::from(*standing),
            syncing: under_way.get(&customer.name).map(|turn| progress(*turn)),
            message: Prose::of(&message(customer, *standing)),
            success: customer.last_success.map(|at| Moment::of(at, now)),
            types: types(customer),
            spark: Spark::of(
                &past.as_ref().map(|past| past.series(&customer.name, imported)).unwrap_or_default(),
            ),
        }
    });
    let rows = rows.collect();
    let mut frame = Frame::new("Fleet", Section::Fleet, visitor, now).live("");
    if search.is_cut {
        frame = frame.tell("The search was cut off after 200 characters.");
    }
    let shown = FleetPage {
        tree: view.tree.as_ref().map(|tree| Tree::of(tree, now)),
        total: counted(view.customers.len() as u64, "customer", "customers"),
        accounts: counted(imported(&view), "account", "accounts"),
        deliveries: deliveries(&view, now),
        chips,
        is_filtered: !search.text.is_empty() || state.is_some(),
        found: counted(stand.len() as u64, "customer", "customers"),
        search: search.text,
        state: code,
        rows,
        pager,
        frame,
    };
    Ok(page(StatusCode::OK, &shown))
}

/// Shows the types of which there are accounts; of nobody's the first.
fn types(customer: &CustomerView) -> Vec<(&'static str, Counts)> {
    let (users, administrators) = (customer.accounts.end_users, customer.accounts.administrators);
    let mut types = Vec::new();
    if users.imported() > 0 || administrators.imported() == 0 {
        types.push(("End users", Counts::of(users)));
    }
    if administrators.imported() > 0 {
        types.push(("Administrators", Counts::of(administrators)));
    }
    types
}

fn imported(view: &FleetView) -> u64 {
    view.customers.values().map(|customer| customer.accounts.imported()).sum()
}

fn deliveries(view: &FleetView, now: Timestamp) -> Option<String> {
    let outbox = view.outbox;
    let mut parts = Vec::new();
    if outbox.given_up > 0 {
        parts.push(format!("{} given up", counted(outbox.given_up, "delivery", "deliveries")));
    }
    // What was written a moment ago is no news.
    if let Some(oldest) = outbox.oldest
        && now.duration_since(oldest).as_secs() > 60
    {
        let waiting = counted(outbox.waiting, "delivery waits", "deliveries wait");
        parts.push(format!(
            "{waiting}, the oldest for {}",
            span(now.duration_since(oldest).as_secs().unsigned_abs())
        ));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Says why a customer does not stand as it should.
pub fn message(customer: &CustomerView, standing: Standing) -> String {
    match (&customer.suspension, standing) {
        (Some(suspension), Standing::Suspended) => {
            format!("by {}: {}", inert(&suspension.by), inert(&suspension.reason))
        }
        (None, Standing::Suspended) if customer.suspended_in_tree => {
            "its document says `suspend: true`".to_owned()
        }
        // What approves stands on the customer's page, as lines.
        // What the last turn said of its suspension is over.
        (_, Standing::Resumed) => String::new(),
        (_, Standing::Held) => without_sentence(&customer.message, "sha256:"),
        _ => customer.message.clone(),
    }
}

fn chips(
    stand: &[(Standing, &CustomerView)],
    under_way: &BTreeMap<Text, UnderWay>,
    chosen: Option<Option<Standing>>,
    search: &str,
) -> Vec<Chip> {
    let chip = |badge: Badge, count: u64, is_chosen: bool| Chip {
        address: Link::to("/")
            .with("q", search)
            .with("state", if is_chosen { "" } else { badge.kind })
            .done(),
        count: number(count),
        is_none: count == 0,
        is_chosen,
        badge,
    };
    let counts = Standing::ALL.into_iter().map(|standing| {
        let count = stand.iter().filter(|(known, _)| *known == standing).count() as u64;
        chip(Badge::from(standing), count, chosen == Some(Some(standing)))
    });
    let syncing = Badge { kind: SYNCING, word: "Syncing" };
    counts.chain([chip(syncing, under_way.len() as u64, chosen == Some(None))]).collect()
}
