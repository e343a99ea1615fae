//! `/customers/{name}`: how one customer stands, why, and what to do.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;

use crate::model::account::AccountType;
use crate::model::listing::{EventFilter, StateName};
use crate::model::register::{Pins, ScopeKind};
use crate::model::text::{Text, fold, inert};
use crate::plan::guard::APPROVAL_LIFETIME;
use crate::plan::outcome::{Action, CustomerPlan, Finding, FindingCode, Operation, Severity};
use crate::plan::report::without_sentence;
use crate::policy::fleet::{
    Customer, DirectoryLocation, Excluded, Import, Imports, Scope, Selection, TenantSource,
};
use crate::ports::inquiry::{KeptPlan, Unanswered};
use crate::web::fleet::{CustomerView, StoreAway};
use crate::web::pages::event_row::EventRow;
use crate::web::pages::fault::{Fault, sentence};
use crate::web::pages::fleet::progress;
use crate::web::pages::form::LONGEST_REASON;
use crate::web::pages::frame::{Frame, Section, page};
use crate::web::pages::link::{Link, of_account, of_customer};
use crate::web::pages::moment::{Moment, span};
use crate::web::pages::plot::Plot;
use crate::web::pages::prose::Prose;
use crate::web::pages::query::InPath;
use crate::web::pages::standing::{Badge, Standing};
use crate::web::pages::visitor::Visitor;
use crate::web::pages::word::{self, counted, names, number};
use crate::web::routes::Site;

/// How many events are shown.
const EVENTS: usize = 10;
/// How many findings are shown, and how many held removals.
const MOST: usize = 200;

#[derive(Template)]
#[template(path = "customer.html")]
struct CustomerPage {
    frame: Frame,
    name: String,
    display_name: String,
    address: String,
    badge: Badge,
    syncing: Option<String>,
    cause: Prose,
    advice: Prose,
    suspension: Option<(String, Moment, String)>,
    suspended_in_tree: bool,
    left_tree: bool,
    facts: Facts,
    types: Vec<TypeCounts>,
    reports: Option<(String, String)>,
    outlook: Outlook,
    hold: Option<HoldView>,
    invalid: Vec<Prose>,
    findings: Vec<FindingView>,
    more_findings: Option<String>,
    imports: Vec<ImportView>,
    sources: Vec<(&'static str, String)>,
    plot: Plot,
    events: Vec<EventRow>,
    longest_reason: usize,
}

/// When turns were, and what they were made from.
struct Facts {
    success: Option<Moment>,
    attempt: Option<Moment>,
    next: Option<Moment>,
    interval: Option<String>,
    failures: u32,
    revision: Option<String>,
}

/// Accounts of one type, each number with its list.
struct TypeCounts {
    name: &'static str,
    all: String,
    /// By state: how many, and where they are listed.
    states: [(String, String); 4],
}

/// What the next turn would do, as far as the latest complete readings tell.
struct Outlook {
    heading: &'static str,
    is_suspended: bool,
    /// Why there is none.
    absent: Option<(String, String)>,
    words: String,
    read_at: Option<Moment>,
}

/// What a guard keeps back, and how to let it go.
struct HoldView {
    words: String,
    /// What lets go of what an approval can let go of, as it stands below `spec`.
    line: Option<String>,
    recorded: Option<(Moment, Moment)>,
    /// Whether the document has the line already: then it is worth nothing any more.
    is_spent: bool,
    /// Whether the fleet's limit holds some, which no approval lifts.
    has_fleets: bool,
    removals: Vec<HeldView>,
    more: Option<String>,
}

/// Whom a guard keeps.
struct HeldView {
    name: String,
    login: String,
    account_type: &'static str,
    address: String,
    reason: &'static str,
    reason_words: &'static str,
    held_by: &'static str,
}

struct FindingView {
    badge: Badge,
    code: &'static str,
    subject: String,
    message: Prose,
}

/// A policy as it applies.
struct ImportView {
    account_type: &'static str,
    policy: String,
    problems: Vec<Prose>,
    what: &'static str,
    entries: Vec<EntryView>,
    rules: Vec<String>,
}

/// An entry of a selection, and what it was resolved to.
struct EntryView {
    written: String,
    resolved: Vec<String>,
    is_optional: bool,
}

/// Shows a customer.
pub async fn show(
    State(site): State<Site>,
    Extension(visitor): Extension<Visitor>,
    InPath(name): InPath<String>,
) -> Result<Response, Fault> {
    let failed = |fault: StoreAway| Fault::inside("a customer cannot be shown", &fault);
    let view = site.fleet.view_of(&name).await.map_err(failed)?;
    // The line of thirty days is worth no page that says what to do.
    let past = site.fleet.past().await.ok();
    let now = site.dashboard.gate.clock.now();
    let known = view.customers.get(name.as_str());
    let document = match (site.inquiry.document(&name), known) {
        (Ok(document), _) => document,
        // Nothing but the record of its last turn is left of it.
        (Err(Unanswered::UnknownCustomer { .. }), Some(_)) => None,
        (Err(unanswered), _) => return Err(unanswered.into()),
    };
    let fresh;
    let customer = match known {
        Some(customer) => customer,
        // It came into force within the last second.
        None => {
            fresh = unseen(&name);
            &fresh
        }
    };
    let kept = plan(&site, &name).await?;
    let filter = EventFilter::last(Some(Text::from(name.as_str())), EVENTS);
    let events = site.browse.found_events(&filter).await;
    let events = events.map_err(|fault| Fault::inside("a customer cannot be shown", &fault))?;
    let standing = Standing::of(customer);
    let under_way = site.feed.under_way();
    let display_name = document.as_ref().map_or(name.as_str(), |document| document.display_name.as_str());
    let frame = Frame::new(inert(display_name), Section::Fleet, visitor, now).below("Fleet", "/").live(&name);
    let imported = customer.accounts.imported();
    let (findings, more_findings) = findings(kept.as_deref());
    let shown = CustomerPage {
        name: inert(&name).into_owned(),
        display_name: word::shown(display_name),
        address: of_customer(&name, ""),
        badge: Badge::from(standing),
        syncing: under_way.get(name.as_str()).map(|turn| progress(*turn)),
        // Who suspended it stands there already.
        // What the last turn said of a suspension is said apart, or over.
        cause: if standing == Standing::Resumed
            || (standing == Standing::Suspended && customer.suspension.is_some())
        {
            Prose::default()
        } else {
            cause(customer, kept.as_deref())
        },
        advice: Prose::of(standing.advice()),
        suspension: customer.suspension.as_ref().map(|suspension| {
            let by = inert(&suspension.by).into_owned();
            (by, Moment::of(suspension.at, now), inert(&suspension.reason).into_owned())
        }),
        suspended_in_tree: customer.suspended_in_tree,
        left_tree: document.is_none(),
        facts: Facts::of(customer, now),
        types: AccountType::ALL
            .into_iter()
            .map(|account_type| TypeCounts::of(customer, account_type))
            .collect(),
        reports: match (customer.in_scope_without_license, customer.licensed_outside_scope) {
            (Some(without), Some(outside)) => Some((number(without), number(outside))),
            _ => None,
        },
        outlook: Outlook::of(
            kept.as_deref(),
            customer.suspended_in_tree || customer.suspension.is_some(),
            now,
        ),
        hold: kept.as_deref().and_then(|kept| HoldView::of(&kept.plan, document.as_deref(), now)),
        invalid: kept
            .iter()
            .flat_map(|kept| &kept.plan.consequences.invalid)
            .map(|text| Prose::of(text))
            .collect(),
        findings,
        more_findings,
        imports: imports(document.as_ref(), kept.as_deref().map(|kept| &kept.plan.consequences.pins)),
        sources: document.as_ref().map(|document| sources(document)).unwrap_or_default(),
        plot: Plot::of(&past.map(|past| past.series(&customer.name, imported)).unwrap_or_default(), now),
        events: events.events.iter().map(|event| EventRow::of(event, now)).collect(),
        longest_reason: LONGEST_REASON,
        frame,
    };
    Ok(page(StatusCode::OK, &shown))
}

/// Plans a customer from what was kept; nothing for one of which nothing is left to plan.
pub async fn plan(site: &Site, name: &str) -> Result<Option<Arc<KeptPlan>>, Fault> {
    match site.inquiry.plan(name).await {
        Ok(kept) => Ok(Some(kept)),
        Err(Unanswered::UnknownCustomer { .. }) => Ok(None),
        Err(unanswered) => Err(unanswered.into()),
    }
}

/// Says why a customer stands as it does. What it takes to approve stands below, as lines; so do problems of
/// its documents.
fn cause(customer: &CustomerView, kept: Option<&KeptPlan>) -> Prose {
    let message = match kept {
        Some(kept) if !kept.plan.consequences.invalid.is_empty() => return Prose::default(),
        Some(kept) => without_approval(&customer.message, &kept.plan),
        None => customer.message.clone(),
    };
    Prose::of(&sentence(&message))
}

fn without_approval(message: &str, plan: &CustomerPlan) -> String {
    match plan.approval {
        Some(approval) => without_sentence(message, &approval.to_string()),
        None => message.to_owned(),
    }
}

/// Shows a customer of which nothing is known but that it is there.
pub(super) fn unseen(name: &str) -> CustomerView {
    CustomerView {
        name: Text::from(name),
        state: None,
        message: String::new(),
        last_attempt: None,
        last_success: None,
        next_attempt: None,
        failures: 0,
        revision: None,
        interval_seconds: None,
        suspended_in_tree: false,
        suspension: None,
        accounts: crate::web::fleet::AccountCounts::default(),
        in_scope_without_license: None,
        licensed_outside_scope: None,
    }
}

impl Facts {
    fn of(customer: &CustomerView, now: Timestamp) -> Self {
        let moment = |at: Option<Timestamp>| at.map(|at| Moment::of(at, now));
        Self {
            success: moment(customer.last_success),
            attempt: moment(customer.last_attempt),
            next: moment(customer.next_attempt),
            interval: customer.interval_seconds.map(span),
            failures: customer.failures,
            revision: customer
                .revision
                .as_ref()
                .map(|revision| inert(revision).trim_start_matches("sha256:").chars().take(12).collect()),
        }
    }
}

impl TypeCounts {
    fn of(customer: &CustomerView, account_type: AccountType) -> Self {
        let counts = customer.accounts.of(account_type);
        let list = |state: &str| {
            let path = of_customer(&customer.name, "/accounts");
            Link::to(path).with("type", account_type.code()).with("state", state).done()
        };
        let of = |state: StateName, count: u64| (number(count), list(state.code()));
        Self {
            name: match account_type {
                AccountType::EndUser => "End users",
                AccountType::Administrator => "Administrators",
            },
            all: list(""),
            states: [
                of(StateName::Active, counts.active),
                of(StateName::PendingRemoval, counts.pending_removal),
                of(StateName::Orphaned, counts.orphaned),
                of(StateName::Removed, counts.removed),
            ],
        }
    }
}

impl Outlook {
    fn of(kept: Option<&KeptPlan>, is_suspended: bool, now: Timestamp) -> Self {
        let heading = if is_suspended {
            "What a turn would do if it were not suspended"
        } else {
            "What the next turn would do"
        };
        let absent = |what: &str, hint: &str| Self {
            heading,
            is_suspended,
            absent: Some((what.to_owned(), hint.to_owned())),
            words: String::new(),
            read_at: None,
        };
        let Some(kept) = kept else {
            return absent(
                "There is nothing to plan.",
                "The customer is not in the tree, and no account of it is left in the register.",
            );
        };
        let Some(read_at) = kept.read_at else {
            return absent(
                "No complete reading of this customer was kept yet.",
                "Findings, names and reports are told from the latest complete readings. The next turn that reads \
                 everything keeps them.",
            );
        };
        let summary = kept.plan.summary;
        let words = if summary.has_changes() {
            format!(
                "{} to add, {} to update, {} to remove, {} held; {} unchanged",
                number(summary.add),
                number(summary.update),
                number(summary.remove),
                number(summary.hold),
                number(summary.unchanged)
            )
        } else {
            format!("Nothing to do: {} unchanged", counted(summary.unchanged, "account", "accounts"))
        };
        Self { heading, is_suspended, absent: None, words, read_at: Some(Moment::of(read_at, now)) }
    }
}

impl HoldView {
    fn of(plan: &CustomerPlan, document: Option<&Customer>, now: Timestamp) -> Option<Self> {
        let held: Vec<&Operation> =
            plan.operations.iter().filter(|operation| operation.action == Action::Hold).collect();
        if held.is_empty() && plan.approval.is_none() {
            return None;
        }
        let is_of_fleet = |operation: &&Operation| operation.held_by == Some(FindingCode::FleetRemovalLimit);
        let recorded = plan
            .approval
            .and_then(|approval| plan.consequences.holds.iter().find(|hold| hold.approval == approval));
        Some(Self {
            words: if held.is_empty() {
                "Nothing is written for this customer".to_owned()
            } else {
                format!("{} held back", counted(held.len() as u64, "removal is", "removals are"))
            },
            line: plan.approval.map(|approval| format!("  approve: [\"{approval}\"]")),
            recorded: recorded.map(|hold| {
                let until = APPROVAL_LIFETIME.after(hold.recorded_at);
                (Moment::of(hold.recorded_at, now), Moment::of(until, now))
            }),
            // One that works lets them go, and then there is nothing to approve.
            is_spent: document
                .zip(plan.approval)
                .is_some_and(|(document, approval)| document.approve.contains(&approval)),
            has_fleets: held.iter().any(is_of_fleet),
            more: held.len().checked_sub(MOST).filter(|more| *more > 0).map(|more| number(more as u64)),
            removals: held
                .into_iter()
                .take(MOST)
                .map(|operation| HeldView::of(&plan.name, operation))
                .collect(),
        })
    }
}

impl HeldView {
    fn of(customer: &str, operation: &Operation) -> Self {
        let (name, login) = names(&operation.account());
        Self {
            name,
            login,
            account_type: word::account_type(operation.key.account_type),
            address: of_account(customer, &operation.key.id.to_string()),
            reason: operation.reason.map_or("", |reason| reason.code()),
            reason_words: operation.reason.map_or("", word::verdict),
            held_by: operation.held_by.map_or("", |guard| guard.code()),
        }
    }
}

/// Returns what somebody should know, the worst first, and how much more there is of it.
fn findings(kept: Option<&KeptPlan>) -> (Vec<FindingView>, Option<String>) {
    // Without readings every source says no more than that.
    let Some(kept) = kept.filter(|kept| kept.read_at.is_some()) else { return (Vec::new(), None) };
    let mut all: Vec<&Finding> = kept.plan.findings.iter().collect();
    all.sort_by_key(|finding| match finding.severity {
        Severity::Error => 0,
        Severity::Warning => 1,
        Severity::Info => 2,
    });
    let more = all.len().checked_sub(MOST).filter(|more| *more > 0).map(|more| number(more as u64));
    let view = |finding: &&Finding| FindingView {
        badge: word::severity(finding.severity),
        code: finding.code.code(),
        subject: inert(&finding.subject).into_owned(),
        message: Prose::of(&sentence(&without_approval(&finding.message, &kept.plan))),
    };
    (all.iter().take(MOST).map(view).collect(), more)
}

fn imports(document: Option<&Arc<Customer>>, pins: Option<&Pins>) -> Vec<ImportView> {
    let mut views = Vec::new();
    for (account_type, imports) in document.into_iter().flat_map(|document| &document.imports) {
        let account_type = word::account_type(*account_type);
        match imports {
            Imports::Valid(imports) => {
                views.extend(imports.iter().map(|import| ImportView::of(account_type, import, pins)));
            }
            Imports::Invalid(problems) => views.push(ImportView {
                account_type,
                policy: String::new(),
                problems: problems.iter().map(|problem| Prose::of(problem)).collect(),
                what: "",
                entries: Vec::new(),
                rules: Vec::new(),
            }),
        }
    }
    views
}

impl ImportView {
    fn of(account_type: &'static str, import: &Import, pins: Option<&Pins>) -> Self {
        let resolved = |kind: ScopeKind, written: &str| -> Vec<String> {
            let written = fold(written);
            let scopes = pins.into_iter().flat_map(|pins| &pins.scopes);
            let mine = scopes.filter(|(name, _)| name.kind == kind && name.written == written.as_ref());
            mine.map(|(_, scope)| inert(&scope.dn).into_owned()).collect()
        };
        let entry = |kind, written: Text, is_optional| EntryView {
            resolved: resolved(kind, &written),
            written: inert(&written).into_owned(),
            is_optional,
        };
        let (what, entries) = match &import.selection {
            Selection::OrganizationalUnits(units) => (
                "Everybody below these OUs",
                units
                    .iter()
                    .map(|Scope { name, optional }| {
                        entry(ScopeKind::OrganizationalUnit, name.written.clone(), *optional)
                    })
                    .collect(),
            ),
            Selection::SecurityGroups(groups) => (
                "The direct members of these groups",
                groups
                    .iter()
                    .map(|Scope { name, optional }| {
                        entry(ScopeKind::SecurityGroup, name.written(), *optional)
                    })
                    .collect(),
            ),
            Selection::EntraGroups(groups) => (
                "The direct members of these groups of the tenant",
                groups
                    .iter()
                    .map(|Scope { name, optional }| entry(ScopeKind::EntraGroup, name.written(), *optional))
                    .collect(),
            ),
            Selection::Licensed => ("Everybody of the tenant who holds a licence that counts", Vec::new()),
        };
        Self {
            account_type,
            policy: inert(&import.policy).into_owned(),
            problems: Vec::new(),
            what,
            entries,
            rules: rules(import),
        }
    }
}

/// Says what else a policy decides by.
fn rules(import: &Import) -> Vec<String> {
    let mut rules = Vec::new();
    if import.password_sync {
        rules.push("must match a licensed tenant user".to_owned());
    } else {
        rules.push("the directory alone decides".to_owned());
    }
    let licences = &import.licences.any_of;
    if !licences.is_empty() {
        let names: Vec<String> = licences.iter().map(|name| inert(&name.to_string()).into_owned()).collect();
        rules.push(format!("licences: {}", names.join(", ")));
    }
    if import.include_disabled {
        rules.push("disabled accounts too".to_owned());
    }
    if import.exclude_privileged {
        rules.push("no members of privileged groups".to_owned());
    }
    let count =
        |is: fn(&Excluded) -> bool| import.exclude.iter().filter(|entry| is(&entry.who)).count() as u64;
    for (count, one, many) in [
        (
            count(|who| matches!(who, Excluded::Account(_))),
            "account entry left out",
            "account entries left out",
        ),
        (count(|who| matches!(who, Excluded::OrganizationalUnit(_))), "OU left out", "OUs left out"),
        (count(|who| matches!(who, Excluded::SecurityGroup(_))), "group left out", "groups left out"),
    ] {
        if count > 0 {
            rules.push(counted(count, one, many));
        }
    }
    let limits = &import.removal;
    rules.push(format!(
        "at most {}% or {} removed in {}",
        limits.max_percent,
        counted(u64::from(limits.max_count), "account", "accounts"),
        span(limits.window.0)
    ));
    if limits.grace.0 > 0 {
        rules.push(format!("{} of grace", span(limits.grace.0)));
    }
    rules
}

/// Says where a customer's people come from, and where they are documented.
fn sources(document: &Customer) -> Vec<(&'static str, String)> {
    let mut sources = Vec::new();
    for directory in &document.directories {
        let place = match &directory.location {
            DirectoryLocation::Ldap(ldap) => ldap.urls.join(", "),
            DirectoryLocation::Ldif(file) => file.display().to_string(),
        };
        sources.push(("Active Directory", format!("{}: {}", inert(&directory.name), inert(&place))));
    }
    match &document.tenant {
        Some(TenantSource::Graph(graph)) => {
            sources.push(("Microsoft 365", inert(&graph.tenant_id).into_owned()))
        }
        Some(TenantSource::Snapshot(file)) => {
            sources.push(("Microsoft 365", inert(&file.display().to_string()).into_owned()));
        }
        None => {}
    }
    for system in &document.documentation {
        let place = format!("{}: organisation {}", inert(&system.connection), inert(&system.organization));
        sources.push(("Documentation", place));
    }
    sources
}
