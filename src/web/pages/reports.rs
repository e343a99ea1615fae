//! `/reports` and `/customers/{name}/reports`: who is not where a provider bills them, also as files.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use crate::model::account::{AccountType, Verdict};
use crate::model::guid::Guid;
use crate::model::text::{Text, fold, inert};
use crate::plan::outcome::{AccountView, CustomerPlan, NotImported, TenantUserView};
use crate::ports::inquiry::KeptPlan;
use crate::web::fleet::CustomerView;
use crate::web::pages::csv::Csv;
use crate::web::pages::customer::plan;
use crate::web::pages::fault::Fault;
use crate::web::pages::fleet::Pager;
use crate::web::pages::frame::{Frame, Section, page};
use crate::web::pages::link::{Link, of_account, of_customer as customer_address};
use crate::web::pages::moment::Moment;
use crate::web::pages::query::InPath;
use crate::web::pages::query::Query;
use crate::web::pages::standing::{Badge, Standing};
use crate::web::pages::visitor::Visitor;
use crate::web::pages::word::{self, names, number};
use crate::web::routes::Site;

/// How many customers, or people, are on a page. The files have all.
const ON_A_PAGE: usize = 100;
const LONG: usize = 1_000;

#[derive(Template)]
#[template(path = "fleet_reports.html")]
struct FleetReportsPage {
    frame: Frame,
    search: String,
    without: String,
    outside: String,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    name: String,
    address: String,
    badge: Badge,
    accounts: String,
    without: Option<String>,
    outside: Option<String>,
}

#[derive(Template)]
#[template(path = "reports.html")]
struct ReportsPage {
    frame: Frame,
    name: String,
    here: String,
    read_at: Option<Moment>,
    without: Vec<Person>,
    without_count: String,
    without_more: Option<String>,
    outside: Vec<Person>,
    outside_count: String,
    outside_more: Option<String>,
    /// Which verdicts there are, each with how many have it.
    verdicts: Vec<Choice>,
    candidates: Vec<Candidate>,
    candidates_count: String,
    candidates_more: Option<String>,
    is_filtered: bool,
}

/// A verdict that may be chosen.
struct Choice {
    code: &'static str,
    words: String,
    is_chosen: bool,
}

/// Who is a candidate of a policy and not imported, or whose account is kept as it is.
struct Candidate {
    person: Person,
    verdict: &'static str,
    words: &'static str,
    is_kept: bool,
}

struct Person {
    name: String,
    login: String,
    address: String,
    about: String,
    account_type: &'static str,
}

/// Shows the numbers of all customers.
pub async fn of_all(
    State(site): State<Site>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
) -> Result<Response, Fault> {
    let query = Query::of(&uri);
    let (search, number_of_page) = (query.search("q"), query.page()?);
    let view = site.fleet.view().await.map_err(|fault| Fault::inside("reports cannot be shown", &fault))?;
    let wanted = fold(&search.text).into_owned();
    let found: Vec<&CustomerView> =
        view.customers.values().filter(|customer| fold(&customer.name).contains(&*wanted)).collect();
    let address = |page: usize| {
        let page = if page > 1 { page.to_string() } else { String::new() };
        Link::to("/reports").with("q", &search.text).with("page", &page).done()
    };
    let (first, last, pager) = Pager::of(found.len(), number_of_page, ON_A_PAGE, address);
    let sum = |of: fn(&CustomerView) -> Option<u64>| number(found.iter().filter_map(|one| of(one)).sum());
    let row = |customer: &&CustomerView| Row {
        name: inert(&customer.name).into_owned(),
        address: customer_address(&customer.name, "/reports"),
        badge: Badge::from(Standing::of(customer)),
        accounts: number(customer.accounts.imported()),
        without: customer.in_scope_without_license.map(number),
        outside: customer.licensed_outside_scope.map(number),
    };
    let shown = FleetReportsPage {
        frame: Frame::new("Reports", Section::Reports, visitor, site.dashboard.gate.clock.now()),
        without: sum(|customer| customer.in_scope_without_license),
        outside: sum(|customer| customer.licensed_outside_scope),
        rows: found[first..last].iter().map(row).collect(),
        search: search.text,
        pager,
    };
    Ok(page(StatusCode::OK, &shown))
}

/// Answers with the numbers of all customers as a file.
pub async fn of_all_as_csv(State(site): State<Site>) -> Result<Response, Fault> {
    // Somebody bills from it, and nothing tells them that a file is some seconds old.
    let view =
        site.fleet.view_now().await.map_err(|fault| Fault::inside("reports cannot be shown", &fault))?;
    let mut csv =
        Csv::of(&["customer", "state", "accounts", "inScopeWithoutLicense", "licensedOutsideScope"]);
    for customer in view.customers.values() {
        let count = |count: Option<u64>| count.map(|count| count.to_string()).unwrap_or_default();
        csv.row([
            customer.name.as_str(),
            Standing::of(customer).code(),
            &customer.accounts.imported().to_string(),
            &count(customer.in_scope_without_license),
            &count(customer.licensed_outside_scope),
        ]);
    }
    Ok(csv.answer("intake-reports.csv"))
}

/// Shows who it is at one customer.
pub async fn of_customer(
    State(site): State<Site>,
    Extension(visitor): Extension<Visitor>,
    InPath(name): InPath<String>,
    uri: Uri,
) -> Result<Response, Fault> {
    let verdicts = Verdict::ALL.into_iter().filter(|verdict| *verdict != Verdict::Included);
    let verdict = Query::of(&uri).one_of("verdict", verdicts.map(|verdict| (verdict.code(), verdict)))?;
    let kept = planned(&site, &name).await?;
    let now = site.dashboard.gate.clock.now();
    let (without, outside): (Vec<&NotImported>, &[TenantUserView]) = match &kept {
        Some(kept) => (unlicensed(&kept.plan).collect(), &kept.plan.licensed_outside_scope),
        None => (Vec::new(), &[]),
    };
    let decided = kept.as_ref().map(|kept| decided(&kept.plan)).unwrap_or_default();
    let chosen: Vec<&Decided<'_>> =
        decided.iter().filter(|one| verdict.is_none_or(|verdict| one.verdict == verdict)).collect();
    let more =
        |count: usize| count.checked_sub(LONG).filter(|more| *more > 0).map(|more| number(more as u64));
    let shown = ReportsPage {
        frame: Frame::new(format!("Reports of {}", inert(&name)), Section::Reports, visitor, now)
            .below_customer(&name),
        here: customer_address(&name, "/reports"),
        read_at: kept.as_ref().and_then(|kept| kept.read_at).map(|at| Moment::of(at, now)),
        without_count: number(without.len() as u64),
        without_more: more(without.len()),
        without: without.iter().take(LONG).map(|person| Person::left_out(&name, person)).collect(),
        outside_count: number(outside.len() as u64),
        outside_more: more(outside.len()),
        outside: outside.iter().take(LONG).map(|user| Person::outside(&name, user)).collect(),
        verdicts: choices(&decided, verdict),
        candidates_count: number(chosen.len() as u64),
        candidates_more: more(chosen.len()),
        candidates: chosen.iter().take(LONG).map(|one| Candidate::of(&name, one)).collect(),
        is_filtered: verdict.is_some(),
        name: inert(&name).into_owned(),
    };
    Ok(page(StatusCode::OK, &shown))
}

/// Answers with those in scope without a licence as a file.
pub async fn without_licence_as_csv(
    State(site): State<Site>,
    InPath(name): InPath<String>,
) -> Result<Response, Fault> {
    let kept = expect_read(planned(&site, &name).await?)?;
    let mut csv = Csv::of(&PERSON);
    for NotImported { account_type, account, evidence, .. } in unlicensed(&kept.plan) {
        csv.row(person(*account_type, account, evidence).iter().map(|cell| &**cell));
    }
    Ok(csv.answer(&format!("{name}-in-scope-without-license.csv")))
}

/// Answers with the licensed people outside of every scope as a file.
pub async fn outside_scope_as_csv(
    State(site): State<Site>,
    InPath(name): InPath<String>,
) -> Result<Response, Fault> {
    let kept = expect_read(planned(&site, &name).await?)?;
    let mut csv = Csv::of(&["displayName", "userPrincipalName", "tenantUserId", "licenses"]);
    for user in &kept.plan.licensed_outside_scope {
        csv.row([
            user.display_name.as_deref().unwrap_or_default(),
            user.user_principal_name.as_str(),
            &user.tenant_user_id.to_string(),
            &licences(user),
        ]);
    }
    Ok(csv.answer(&format!("{name}-licensed-outside-scope.csv")))
}

/// Answers with everybody whom a policy looked at and did not import, or keeps as they are, as a file.
pub async fn candidates_as_csv(
    State(site): State<Site>,
    InPath(name): InPath<String>,
) -> Result<Response, Fault> {
    let kept = expect_read(planned(&site, &name).await?)?;
    let mut csv = Csv::of(&[&["verdict", "account"], &PERSON[..]].concat());
    for Decided { verdict, is_kept, account_type, account, evidence } in decided(&kept.plan) {
        let person = person(account_type, account, &evidence);
        let decision = [verdict.code(), if is_kept { "kept" } else { "notImported" }];
        csv.row(decision.into_iter().chain(person.iter().map(|cell| &**cell)));
    }
    Ok(csv.answer(&format!("{name}-not-imported.csv")))
}

/// What files say of a person, by their columns.
const PERSON: [&str; 7] = [
    "accountType",
    "displayName",
    "userPrincipalName",
    "samAccountName",
    "directoryId",
    "tenantUserId",
    "evidence",
];

fn person<'p>(account_type: AccountType, account: &'p AccountView, evidence: &'p str) -> [Cow<'p, str>; 7] {
    let id = |id: Option<Guid>| id.map(|id| id.to_string()).unwrap_or_default().into();
    [
        account_type.code().into(),
        account.display_name.as_str().into(),
        account.user_principal_name.as_deref().unwrap_or_default().into(),
        account.sam_account_name.as_str().into(),
        id(account.directory_id),
        id(account.tenant_user_id),
        evidence.into(),
    ]
}

/// What was decided of a candidate that adds and changes nobody.
struct Decided<'p> {
    verdict: Verdict,
    /// Whether they have an account, which stays as it is.
    is_kept: bool,
    account_type: AccountType,
    account: &'p AccountView,
    evidence: Cow<'p, str>,
}

/// Returns what was decided of those who are not imported, or kept as they are, by verdict.
fn decided(plan: &CustomerPlan) -> Vec<Decided<'_>> {
    let kept = plan.kept.iter().map(|kept| Decided {
        verdict: kept.verdict,
        is_kept: true,
        account_type: kept.account_type,
        account: &kept.account,
        evidence: kept.candidates.join("; ").into(),
    });
    let left_out = plan.not_imported.iter().map(|left_out| Decided {
        verdict: left_out.verdict,
        is_kept: false,
        account_type: left_out.account_type,
        account: &left_out.account,
        evidence: left_out.evidence.as_str().into(),
    });
    let mut decided: Vec<_> = kept.chain(left_out).collect();
    // Whoever is kept first: they are known, and nobody may tell what becomes of them.
    decided.sort_by_key(|one| (!one.is_kept, one.verdict));
    decided
}

/// Returns the verdicts that somebody has, each with how many.
fn choices(decided: &[Decided<'_>], chosen: Option<Verdict>) -> Vec<Choice> {
    let mut counts: BTreeMap<Verdict, u64> = BTreeMap::new();
    decided.iter().for_each(|one| *counts.entry(one.verdict).or_default() += 1);
    // One that is asked for is there, though nobody has it.
    counts.extend(chosen.filter(|chosen| !counts.contains_key(chosen)).map(|chosen| (chosen, 0)));
    let choice = |(verdict, count): (Verdict, u64)| Choice {
        code: verdict.code(),
        words: format!("{} ({})", verdict.code(), number(count)),
        is_chosen: chosen == Some(verdict),
    };
    counts.into_iter().map(choice).collect()
}

async fn planned(site: &Site, name: &str) -> Result<Option<Arc<KeptPlan>>, Fault> {
    site.inquiry.document(name)?;
    plan(site, name).await
}

/// An empty file would look as if there were nobody.
fn expect_read(kept: Option<Arc<KeptPlan>>) -> Result<Arc<KeptPlan>, Fault> {
    kept.filter(|kept| kept.read_at.is_some()).ok_or_else(|| {
        Fault::new(StatusCode::NOT_FOUND, "No complete reading of this customer was kept yet.")
            .hint("The next turn that reads everything keeps one.")
    })
}

fn unlicensed(plan: &CustomerPlan) -> impl Iterator<Item = &NotImported> {
    plan.not_imported.iter().filter(|left_out| left_out.verdict == Verdict::Unlicensed)
}

fn licences(user: &TenantUserView) -> String {
    let names: Vec<&str> = user.licenses.iter().map(Text::as_str).collect();
    names.join(", ")
}

impl Candidate {
    fn of(customer: &str, decided: &Decided<'_>) -> Self {
        Self {
            person: Person::of(customer, decided.account, decided.account_type, &decided.evidence),
            verdict: decided.verdict.code(),
            words: word::verdict(decided.verdict),
            is_kept: decided.is_kept,
        }
    }
}

impl Person {
    fn of(customer: &str, account: &AccountView, account_type: AccountType, evidence: &str) -> Self {
        let (name, login) = names(account);
        let id = account.directory_id.or(account.tenant_user_id);
        Self {
            name,
            address: of_account(customer, &id.map_or_else(|| login.clone(), |id| id.to_string())),
            login,
            about: inert(evidence).into_owned(),
            account_type: word::account_type(account_type),
        }
    }

    fn left_out(customer: &str, left_out: &NotImported) -> Self {
        Self::of(customer, &left_out.account, left_out.account_type, &left_out.evidence)
    }

    fn outside(customer: &str, user: &TenantUserView) -> Self {
        Self {
            name: word::shown(user.display_name.as_deref().unwrap_or(&user.user_principal_name)),
            login: inert(&user.user_principal_name).into_owned(),
            address: of_account(customer, &user.user_principal_name),
            about: inert(&licences(user)).into_owned(),
            account_type: "",
        }
    }
}
