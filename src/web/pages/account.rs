//! `/customers/{name}/accounts/{id}`: what is known of one person, why it is so, and how it came about.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;

use crate::model::account::{Account, AccountState};
use crate::model::contact_match::{ContactMatch, MatchCandidate};
use crate::model::guid::Guid;
use crate::model::listing::EventFilter;
use crate::model::publication::Publication;
use crate::model::text::{Text, inert};
use crate::plan::explanation::{Explanation, Outcome, Step};
use crate::plan::outcome::AccountView;
use crate::policy::choice_line::choice;
use crate::ports::inquiry::Unanswered;
use crate::ports::register::RegisterFault;
use crate::web::pages::event_row::EventRow;
use crate::web::pages::fault::{Fault, sentence};
use crate::web::pages::frame::{Frame, Section, page};
use crate::web::pages::link::{of_account, of_customer};
use crate::web::pages::moment::Moment;
use crate::web::pages::prose::Prose;
use crate::web::pages::query::InPath;
use crate::web::pages::standing::Badge;
use crate::web::pages::visitor::Visitor;
use crate::web::pages::word::{self, names, number};
use crate::web::routes::Site;

/// How many events are shown.
const EVENTS: usize = 50;
/// A name that is longer, in characters, is somebody's joke, and is found nowhere.
const LONGEST_NAME: usize = 400;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    customer: String,
    name: String,
    registered: Vec<Registered>,
    explanations: Vec<Explained>,
    read_at: Option<Moment>,
    unread: Vec<Prose>,
    unexplained: Option<(Prose, Prose)>,
    people: Vec<(String, String)>,
    contacts: Vec<ContactView>,
    publications: Vec<PublicationView>,
    events: Vec<EventRow>,
    all_events: String,
}

/// An account of the register.
struct Registered {
    account_type: &'static str,
    state: Badge,
    state_words: Option<(String, Option<Moment>)>,
    in_directory: bool,
    in_tenant: bool,
    fields: Vec<(&'static str, String)>,
    imported: Moment,
}

/// An explanation in one role.
struct Explained {
    answer: Prose,
    /// Whether somebody's name makes it long.
    is_long: bool,
    about: String,
    verdict: Option<(&'static str, &'static str)>,
    steps: Vec<StepView>,
}

struct StepView {
    rule: &'static str,
    badge: Badge,
    decides: bool,
    is_reached: bool,
    evidence: Vec<Prose>,
}

/// How an account stands in a documentation system.
struct ContactView {
    system: String,
    account_type: &'static str,
    badge: Badge,
    since: Moment,
    cause: Prose,
    matched_by: &'static str,
    candidates: Vec<CandidateView>,
    more: Option<String>,
}

struct CandidateView {
    id: String,
    name: String,
    by: String,
    remark: String,
    /// Where it can be looked at, if that is an address of the web.
    url: Option<String>,
    is_archived: bool,
    line: Option<String>,
}

/// How an account stands at a target.
struct PublicationView {
    target: String,
    account_type: &'static str,
    badge: Badge,
    since: Moment,
    cause: Prose,
    /// The id that the target gave it.
    user: Option<String>,
}

/// Shows an account, or somebody who is none.
pub async fn show(
    State(site): State<Site>,
    Extension(visitor): Extension<Visitor>,
    InPath((customer, wanted)): InPath<(String, String)>,
) -> Result<Response, Fault> {
    let failed = |fault: RegisterFault| Fault::inside("an account cannot be shown", &fault);
    site.inquiry.document(&customer)?;
    let wanted = wanted.trim();
    if wanted.is_empty() || wanted.chars().count() > LONGEST_NAME {
        return Err(Fault::new(StatusCode::BAD_REQUEST, "Nobody has a name that is empty or so long."));
    }
    let now = site.dashboard.gate.clock.now();
    let explained = explain(&site, &customer, wanted).await?;
    // It is the person whom the explanation found: the id that was asked for may be the tenant user's.
    let found = explained
        .as_deref()
        .ok()
        .and_then(|found| found.account.directory_id.or(found.account.tenant_user_id));
    let id = found.or_else(|| wanted.parse::<Guid>().ok());
    let accounts = match id {
        Some(id) => site.browse.accounts_of(&customer, id).await.map_err(failed)?,
        None => Vec::new(),
    };
    let events = match id {
        Some(id) => {
            let filter = EventFilter {
                account: Some(id),
                ..EventFilter::last(Some(Text::from(customer.as_str())), EVENTS)
            };
            site.browse.found_events(&filter).await.map_err(failed)?.events
        }
        None => Vec::new(),
    };
    let publications = match id {
        Some(id) => site.browse.publications_of(&customer, id).await.map_err(failed)?,
        None => Vec::new(),
    };
    let is_known = !(accounts.is_empty() && events.is_empty() && publications.is_empty());
    if let (Err(Unexplained::Unknown(fault)), false) = (&explained, is_known) {
        return Err(fault.clone());
    }
    let named: Vec<(Text, Account)> =
        accounts.iter().map(|account| (Text::from(customer.as_str()), account.clone())).collect();
    let contacts = site.inquiry.contacts(&named).await?;
    let name = name(
        &accounts,
        explained.as_deref().ok(),
        events.first().map(|event| event.subject.as_str()),
        wanted,
    );
    let frame = Frame::new(name.clone(), Section::Accounts, visitor, now)
        .below_customer(&customer)
        .below("Accounts", of_customer(&customer, "/accounts"));
    let (mut explanations, mut read_at, mut unread) = (Vec::new(), None, Vec::new());
    let (mut unexplained, mut people) = (None, Vec::new());
    match explained {
        Ok(explanation) => {
            read_at = explanation.read_at.map(|at| Moment::of(at, now));
            unread = explanation.unread.iter().map(|what| Prose::of(&sentence(what))).collect();
            explanations.push(Explained::of(&explanation));
            explanations.extend(explanation.also_as.iter().map(Explained::of));
        }
        Err(Unexplained::Unknown(_)) => {
            let hint = "Its last complete readings do not hold it any more.";
            unexplained = Some((
                Prose::of("Neither the directory nor the tenant knows this account."),
                Prose::of(hint),
            ));
        }
        Err(Unexplained::Several(found)) => {
            let address = |person: &String| {
                // Some have no id to be asked for by.
                let id = person.split(':').next().and_then(|id| id.parse::<Guid>().ok());
                let address = id.map_or_else(String::new, |id| of_account(&customer, &id.to_string()));
                (inert(person).into_owned(), address)
            };
            people = found.iter().map(address).collect();
        }
        Err(Unexplained::Nothing(what, hint)) => unexplained = Some((Prose::of(&what), Prose::of(&hint))),
    }
    let shown = AccountPage {
        customer: inert(&customer).into_owned(),
        registered: accounts.iter().map(|account| Registered::of(account, now)).collect(),
        contacts: contacts
            .iter()
            .filter_map(|(_, found)| {
                let account = accounts.iter().find(|account| account.key == found.account)?;
                Some(ContactView::of(account, found, now))
            })
            .collect(),
        publications: publications.iter().map(|known| PublicationView::of(known, now)).collect(),
        events: events.iter().map(|event| EventRow::of(event, now)).collect(),
        all_events: of_customer(&customer, "/audit"),
        name,
        explanations,
        read_at,
        unread,
        unexplained,
        people,
        frame,
    };
    Ok(page(StatusCode::OK, &shown))
}

enum Unexplained {
    /// Nobody is called so.
    Unknown(Fault),
    /// Several people are.
    Several(Vec<String>),
    /// There is nothing to explain from, and what helps.
    Nothing(String, String),
}

async fn explain(
    site: &Site,
    customer: &str,
    wanted: &str,
) -> Result<Result<Arc<Explanation>, Unexplained>, Fault> {
    match site.inquiry.explain(customer, wanted).await {
        Ok(explanation) => Ok(Ok(explanation)),
        Err(Unanswered::UnknownAccount { name, nearest, .. }) => {
            let name: String = name.chars().take(100).collect();
            let what = format!("Nobody of {} is “{}”.", inert(customer), inert(&name));
            let hint = if nearest.is_empty() {
                "Neither the directory, the tenant nor the register knows them.".to_owned()
            } else {
                let near: Vec<String> = nearest.iter().map(|name| inert(name).into_owned()).collect();
                format!("Did you mean {}?", near.join(", "))
            };
            Ok(Err(Unexplained::Unknown(Fault::new(StatusCode::NOT_FOUND, what).hint(hint))))
        }
        Err(Unanswered::SeveralPeople { people, .. }) => Ok(Err(Unexplained::Several(people))),
        Err(Unanswered::NothingToExplainFrom { what, hint }) => {
            Ok(Err(Unexplained::Nothing(sentence(&what), sentence(&hint))))
        }
        Err(unanswered) => Err(unanswered.into()),
    }
}

/// Returns what somebody is called: by the register, by whoever explained them, or by the record.
fn name(
    accounts: &[Account],
    explanation: Option<&Explanation>,
    recorded: Option<&str>,
    wanted: &str,
) -> String {
    let view = accounts.first().map(|account| AccountView::of(&account.key, &account.profile));
    match view.as_ref().or(explanation.map(|explanation| &explanation.account)) {
        Some(view) => names(view).0,
        None => word::shown(recorded.unwrap_or(wanted)),
    }
}

impl Registered {
    fn of(account: &Account, now: Timestamp) -> Self {
        let profile = &account.profile;
        let sources = account.sources();
        let text = |value: &Option<Text>| value.as_ref().map(|value| inert(value).into_owned());
        let fields = [
            ("Display name", Some(inert(&profile.display_name).into_owned())),
            ("User principal name", text(&profile.user_principal_name)),
            ("sAMAccountName", Some(inert(&profile.sam_account_name).into_owned())),
            ("E-mail", text(&profile.email)),
            ("Mobile phone", text(&profile.mobile_phone)),
            (
                if sources.contains(&"activeDirectory") { "objectGUID" } else { "Id" },
                Some(account.key.id.to_string()),
            ),
            ("Tenant user", profile.tenant_user_id.map(|id| id.to_string())),
            ("Password sync", Some(if profile.password_sync { "yes" } else { "no" }.to_owned())),
            ("Directory", text(&account.provenance.directory)),
            ("Policy", Some(inert(&account.provenance.policy).into_owned())),
            ("Revision", Some(inert(&account.provenance.tree_revision).into_owned())),
            ("Run", Some(inert(&account.provenance.run).into_owned())),
        ];
        let moment = |at: Timestamp| Some(Moment::of(at, now));
        Self {
            account_type: word::account_type(account.key.account_type),
            state: word::state(&account.state),
            state_words: match &account.state {
                AccountState::Active => None,
                AccountState::PendingRemoval { until, reason, .. } => {
                    Some((format!("{}: {}. Removed", reason.code(), word::verdict(*reason)), moment(*until)))
                }
                AccountState::Orphaned { since } => Some((
                    "No policy answers for it. Nothing touches it until one does. Since".to_owned(),
                    moment(*since),
                )),
                AccountState::Removed { since, reason, approved } => {
                    let approved = if *approved { ", approved by a person" } else { "" };
                    Some((
                        format!("{}: {}{approved}. Since", reason.code(), word::verdict(*reason)),
                        moment(*since),
                    ))
                }
            },
            in_directory: sources.contains(&"activeDirectory"),
            in_tenant: sources.contains(&"microsoft365"),
            fields: fields
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
                .collect(),
            imported: Moment::of(account.imported_at, now),
        }
    }
}

impl Explained {
    fn of(explanation: &Explanation) -> Self {
        let mut about = Vec::new();
        about
            .extend(explanation.account_type.map(|account_type| word::account_type(account_type).to_owned()));
        about.extend(explanation.policy.as_ref().map(|policy| format!("policy {}", inert(policy))));
        Self {
            answer: Prose::of(&explanation.answer),
            is_long: explanation.answer.len() > 300,
            about: about.join(" · "),
            verdict: explanation.verdict.map(|verdict| (verdict.code(), word::verdict(verdict))),
            steps: explanation.steps.iter().map(StepView::of).collect(),
        }
    }
}

impl StepView {
    fn of(step: &Step) -> Self {
        Self {
            rule: word::rule(step.step),
            badge: word::outcome(step.outcome),
            decides: step.decides,
            is_reached: step.outcome != Outcome::NotReached,
            evidence: step.evidence.iter().map(|fact| Prose::of(fact)).collect(),
        }
    }
}

impl ContactView {
    fn of(account: &Account, found: &ContactMatch, now: Timestamp) -> Self {
        let listed = found.candidates.len() as u64;
        Self {
            system: inert(&found.connection).into_owned(),
            account_type: word::account_type(account.key.account_type),
            badge: word::contact(found.status),
            since: Moment::of(found.since, now),
            cause: Prose::of(&sentence(&found.cause)),
            matched_by: found.matched_by.map_or("", |key| key.code()),
            candidates: found
                .candidates
                .iter()
                .map(|candidate| {
                    CandidateView::of(account, &found.connection, candidate, found.matched_by.is_some())
                })
                .collect(),
            more: found.candidate_count.checked_sub(listed).filter(|more| *more > 0).map(number),
        }
    }
}

impl PublicationView {
    fn of(known: &Publication, now: Timestamp) -> Self {
        Self {
            target: inert(&known.target).into_owned(),
            account_type: word::account_type(known.account.account_type),
            badge: word::publication(known.status),
            since: Moment::of(known.since, now),
            cause: Prose::of(&sentence(&known.cause)),
            user: known.remote_id.as_ref().map(|id| word::shown(id)),
        }
    }
}

impl CandidateView {
    fn of(account: &Account, connection: &str, candidate: &MatchCandidate, is_chosen: bool) -> Self {
        let by = match &candidate.value {
            Some(value) => format!("{} {}", candidate.matched_by.code(), inert(value)),
            None => candidate.matched_by.code().to_owned(),
        };
        let is_of_web = |url: &&Text| url.starts_with("https://") || url.starts_with("http://");
        Self {
            id: inert(&candidate.id).into_owned(),
            name: word::shown(&candidate.name),
            by,
            remark: candidate.remark.as_ref().map(|remark| inert(remark).into_owned()).unwrap_or_default(),
            url: candidate.url.as_ref().filter(is_of_web).map(|url| url.to_string()),
            is_archived: candidate.is_archived,
            line: if is_chosen || candidate.is_archived {
                None
            } else {
                choice(account, connection, candidate)
            },
        }
    }
}
