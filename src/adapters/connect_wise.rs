//! ConnectWise PSA (Manage): contacts and companies over its REST API.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::adapters::connect_wise_object as object;
use crate::adapters::http::{Answer, Failed, HttpClient, Request, quoted};
use crate::adapters::http_line::{Dialect, Line, astray, said_plainly};
use crate::adapters::http_links::Linked;
use crate::adapters::http_pace::{Budget, Pace};
use crate::adapters::http_pages::{Bounds, Course, Cut, Page, TakeApart};
use crate::adapters::http_patience::Patience;
use crate::adapters::http_row::{Reference, id};
use crate::adapters::http_shelf::{Found, another, chosen, is_another, mark, number, person, unsaid};
use crate::model::contact::{
    Catalogue, Contact, ContactKind, NewContact, NewPerson, Organization, Product, Shelf,
};
use crate::model::guid::Guid;
use crate::model::reading::{Fault, FaultKind, Reading};
use crate::model::text::Text;
use crate::ports::documentation::DocumentationPort;
use crate::ports::meter::Asked;

/// How fast it may be asked is not published; the developer guide calls more than 1,000 requests a minute
/// likely to be limited, and its example of a refusal lasts 30 seconds.
pub const BUDGET: Budget =
    Budget { requests: 600, window: Duration::from_secs(60), rest: Duration::from_secs(60) };

/// The largest page that is documented.
const PAGE: &str = "1000";

/// The code base where the system does not tell its own.
const USUAL_CODE_BASE: &str = "v4_6_release";

/// The version of the model whose members are read here.
const MEDIA_TYPE: &str = "application/vnd.connectwise.com+json; version=2025.1";

/// How often a listing is read that does not say itself that it is whole.
const PASSES: usize = 3;

/// The code base that a system told, kept for the life of a connection; a clone shares it.
#[derive(Debug, Clone, Default)]
pub struct CodeBase(Arc<Mutex<Option<String>>>);

/// What a connection's readings share; a clone shares it too.
#[derive(Debug, Clone)]
pub struct SharedConnectWise {
    client: HttpClient,
    pace: Pace,
    code_base: CodeBase,
}

/// An API member of ConnectWise PSA.
pub struct Member {
    /// The company that one logs in to.
    pub login_company: Text,
    /// The id of the integration.
    pub client_id: Guid,
    /// The public key.
    pub public_key: SecretString,
    /// The private key.
    pub private_key: SecretString,
}

/// ConnectWise PSA as one API member.
pub struct ConnectWise {
    shared: SharedConnectWise,
    bounds: Bounds,
    patience: Duration,
    root: Url,
    login_company: Text,
    login: Login,
}

/// The member's credentials, and how ConnectWise speaks to whoever has them.
struct Login {
    client_id: String,
    authorization: SecretString,
    /// What no message may show.
    secrets: [SecretString; 3],
}

/// How ConnectWise is spoken to before anybody logs in.
struct Stranger;

impl SharedConnectWise {
    /// Makes what a connection's readings share.
    pub fn new(client: HttpClient, pace: Pace) -> Self {
        Self { client, pace, code_base: CodeBase::default() }
    }
}

impl ConnectWise {
    /// Makes one. `patience` is how long throttling and faults may delay a reading.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(
        shared: SharedConnectWise,
        url: &str,
        member: &Member,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let root = Url::parse(url)
            .map_err(|_| Fault::new(FaultKind::Refused, "the address of ConnectWise PSA is no address"))?;
        let (public, private) = (member.public_key.expose_secret(), member.private_key.expose_secret());
        let joined = BASE64_STANDARD.encode(format!("{}+{public}:{private}", member.login_company));
        let login = Login {
            client_id: member.client_id.to_string(),
            authorization: SecretString::from(format!("Basic {joined}")),
            secrets: [member.private_key.clone(), member.public_key.clone(), SecretString::from(joined)],
        };
        let login_company = member.login_company.clone();
        Ok(Self { shared, bounds: Bounds::default(), patience, root, login_company, login })
    }

    /// Sets how far one reading may go.
    #[must_use]
    pub fn within(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Begins the patience of one reading.
    fn patience(&self) -> Patience {
        Patience::new(self.patience).measured_by(self.shared.client.meter().clone())
    }

    fn line<'a>(&'a self, patience: &'a Patience) -> Line<'a> {
        Line { client: &self.shared.client, pace: &self.shared.pace, patience, dialect: &self.login }
    }

    fn address(&self, path: &[&str]) -> Url {
        let mut url = self.root.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Returns the address of a route below the code base.
    fn route(&self, code_base: &str, path: &[&str]) -> Url {
        let base = [code_base, "apis", "3.0"];
        self.address(&[&base, path].concat())
    }

    /// Returns the code base: as the system told it once, or tells it now. Whoever does not tell one, or none
    /// that is one, has the usual one, and is asked again the next time.
    ///
    /// # Errors
    /// If the system cannot be reached: every other question would fail too.
    async fn code_base(&self, patience: &Patience) -> Result<String, Failed> {
        let known = || self.shared.code_base.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known().clone() {
            return Ok(known);
        }
        let url = self.address(&["login", "companyinfo", &self.login_company]);
        let line = Line { dialect: &Stranger, ..self.line(patience) };
        // No key goes along: whoever answers here has not proven anything.
        let told = line.ask_unless(&Request::get(url), &|failed| failed.status == Some(200)).await;
        match told {
            Ok(told) => match object::code_base(&told.value) {
                Some(told) => {
                    *known() = Some(told.clone());
                    Ok(told)
                }
                None => Ok(USUAL_CODE_BASE.to_owned()),
            },
            Err(failed) if failed.status.is_some_and(|status| status < 500 && status != 429) => {
                Ok(USUAL_CODE_BASE.to_owned())
            }
            Err(failed) => Err(failed),
        }
    }

    /// Reads a listing until it proves itself whole.
    ///
    /// Pages lead forward by the ids of their rows, so that nobody moves from one to another, and the last one
    /// says that it is the last by an empty `Link` header. A system that leaves the header out (a proxy may
    /// drop one that is empty), or counts its pages, says no such thing: its listing has to be the same twice,
    /// and as long as the system counts it.
    async fn listing<T>(
        &self,
        line: &Line<'_>,
        course: &Course,
        code_base: &str,
        noun: &str,
        conditions: Option<&str>,
        take_apart: TakeApart<'_, T>,
    ) -> Result<BTreeMap<Text, T>, Cut> {
        let mut first = self.route(code_base, &["company", noun]);
        let mut count = self.route(code_base, &["company", noun, "count"]);
        first.query_pairs_mut().append_pair("pageSize", PAGE);
        if let Some(conditions) = conditions {
            first.query_pairs_mut().append_pair("conditions", conditions);
            count.query_pairs_mut().append_pair("conditions", conditions);
        }
        let request = |url: Url| Request::get(url).header("pagination-type", "forward-only");
        let linked = Linked { line, course, noun, first, steady: "pageId", request: &request };
        let mut before: Option<BTreeSet<Text>> = None;
        for _ in 0..PASSES {
            let followed = linked.read(take_apart).await?;
            if followed.is_told {
                return Ok(followed.kept);
            }
            let rows = followed.seen.len();
            let told = course.page(line, noun, 0, &Request::get(count.clone()), &|_| false).await;
            let told = told.map_err(|failed| Cut::new(failed, rows))?;
            let is_counted = told.value["count"].as_u64().and_then(|count| usize::try_from(count).ok());
            if is_counted == Some(rows) && before.as_ref() == Some(&followed.seen) {
                return Ok(followed.kept);
            }
            before = Some(followed.seen);
        }
        let what = format!(
            "no page of the {noun} says that it is the last, and what arrived is not what the system counts, or \
             another list each time"
        );
        let mut failed = astray(what);
        // Later it may stand still.
        failed.fault.kind = FaultKind::Transient;
        Err(Cut::new(failed, before.map_or(0, |seen| seen.len())))
    }

    async fn list_companies(
        &self,
        line: &Line<'_>,
        course: &Course,
        code_base: &str,
    ) -> Result<BTreeMap<Text, Organization>, Cut> {
        let take_apart =
            |page: &Value| Page::of(object::rows(page)?, |row, id| Ok(Some(object::company_of(row, id))));
        self.listing(line, course, code_base, "companies", None, &take_apart).await
    }

    /// Reads contacts: those of one company, or all; keeps those of the companies that are wanted.
    async fn list_contacts(
        &self,
        line: &Line<'_>,
        course: &Course,
        code_base: &str,
        of: Option<&str>,
        is_wanted: &(dyn Fn(&Text) -> bool + Sync),
        mark: Option<&str>,
    ) -> Result<BTreeMap<Text, Found>, Cut> {
        let take_apart = |page: &Value| {
            Page::of(object::rows(page)?, |row, id| {
                let company = match object::company(row) {
                    Reference::To(company) if is_wanted(&company) => company,
                    // A contact of no company is on nobody's shelf.
                    Reference::To(_) | Reference::Nothing => return Ok(None),
                    Reference::Unclear => {
                        return Err("it does not say to which company it belongs".to_owned());
                    }
                };
                let has_mark = mark.is_some_and(|mark| object::has_mark(row, mark));
                Ok(Some((object::contact(row, id, company)?, has_mark)))
            })
        };
        self.listing(line, course, code_base, "contacts", of, &take_apart).await
    }

    async fn read(&self, shelves: &BTreeSet<Shelf>) -> Result<Catalogue, Cut> {
        let patience = self.patience();
        let (line, course) = (self.line(&patience), self.bounds.begin());
        let code_base = self.code_base(&patience).await.map_err(|failed| Cut::new(failed, 0))?;
        let organizations = self.list_companies(&line, &course, &code_base).await?.into_keys().collect();
        let mut catalogue = Catalogue { organizations, ..Catalogue::default() };
        if shelves.is_empty() {
            return Ok(catalogue);
        }
        let wanted: BTreeSet<&Text> = shelves.iter().map(|shelf| &shelf.organization).collect();
        let is_wanted = |company: &Text| wanted.contains(company);
        let contacts = self.list_contacts(&line, &course, &code_base, None, &is_wanted, None).await;
        let contacts = contacts.map_err(|cut| cut.after(catalogue.organizations.len()))?;
        let mut by_company: BTreeMap<Text, Vec<Contact>> = BTreeMap::new();
        for (contact, _) in contacts.into_values() {
            by_company.entry(contact.organization.clone()).or_default().push(contact);
        }
        for shelf in shelves {
            let contacts = by_company.get(&shelf.organization).cloned().unwrap_or_default();
            catalogue.shelves.insert(shelf.clone(), contacts);
        }
        Ok(catalogue)
    }

    async fn look_up(&self, shelf: &Shelf, contact: &NewPerson) -> Result<Option<Contact>, Fault> {
        let company = number(shelf, Product::ConnectWise)?;
        let patience = self.patience();
        let (line, course) = (self.line(&patience), self.bounds.begin());
        let code_base = self.code_base(&patience).await.map_err(|failed| failed.fault)?;
        // Of what somebody wrote nothing gets into a condition: all contacts of the company are compared here.
        let conditions = format!("company/id={company}");
        let is_wanted = |found: &Text| found == company;
        let mark = mark(&contact.mark);
        let found = self
            .list_contacts(&line, &course, &code_base, Some(&conditions), &is_wanted, mark)
            .await
            .map_err(|cut| cut.failed.fault)?;
        Ok(chosen(found, contact))
    }

    /// Returns the type that a new contact's address is of.
    async fn email_type(&self, line: &Line<'_>, code_base: &str) -> Result<Text, Fault> {
        let mut url = self.route(code_base, &["company", "communicationTypes"]);
        url.query_pairs_mut().append_pair("pageSize", PAGE);
        let told = line.ask(&Request::get(url)).await.map_err(|failed| failed.fault)?;
        object::email_type(&told.value).ok_or_else(|| {
            Fault::new(FaultKind::Refused, "ConnectWise PSA names no communication type for e-mail addresses")
                .hint("let the API member's security role see setup tables (communication types)")
        })
    }
}

#[async_trait]
impl DocumentationPort for ConnectWise {
    async fn sweep(&self, shelves: &BTreeSet<Shelf>) -> Reading<Catalogue> {
        self.read(shelves).await.map_or_else(Cut::reading, Reading::Complete)
    }

    async fn organizations(&self) -> Reading<Vec<Organization>> {
        let patience = self.patience();
        let (line, course) = (self.line(&patience), self.bounds.begin());
        let code_base = match self.code_base(&patience).await {
            Ok(code_base) => code_base,
            Err(failed) => return Cut::new(failed, 0).reading(),
        };
        let companies = self.list_companies(&line, &course, &code_base).await;
        companies.map_or_else(Cut::reading, |found| Reading::Complete(found.into_values().collect()))
    }

    async fn find(&self, shelf: &Shelf, contact: &NewContact) -> Result<Option<Contact>, Fault> {
        self.look_up(shelf, person(contact, Product::ConnectWise)?).await
    }

    async fn create(&self, shelf: &Shelf, contact: &NewContact) -> Result<Text, Fault> {
        let contact = person(contact, Product::ConnectWise)?;
        let company = number(shelf, Product::ConnectWise)?;
        let patience = self.patience();
        let line = self.line(&patience);
        let code_base = self.code_base(&patience).await.map_err(|failed| failed.fault)?;
        let email_type = self.email_type(&line, &code_base).await?;
        let number =
            |id: &Text| id.parse::<u64>().map_or_else(|_| json!(id.as_str()), |number| json!(number));
        let mut content = json!({
            "firstName": contact.first_name.as_str(),
            "company": {"id": number(company)},
            "communicationItems": [{
                "type": {"id": number(&email_type)},
                "value": contact.address.as_str(),
                "communicationType": "Email",
                "defaultFlag": true,
            }],
        });
        if !contact.last_name.is_empty() {
            content["lastName"] = json!(contact.last_name.as_str());
        }
        if contact.mark.chars().count() <= object::LONGEST_MARK {
            content[object::MARK_FIELD] = json!(contact.mark.as_str());
        }
        let url = self.route(&code_base, &["company", "contacts"]);
        let request = Request::json(url, "application/json", &content);
        let told = line.once(&request).await.map_err(|failed| failed.fault)?;
        let row = &told.value;
        let Some(id) = row.get("id").and_then(id) else {
            // It was made, or not: the system itself knows.
            let found = self.look_up(shelf, contact).await?;
            return found
                .map(|found| found.id)
                .ok_or_else(|| unsaid(Product::ConnectWise, ContactKind::Person));
        };
        let is_elsewhere = matches!(object::company(row), Reference::To(other) if other != *company);
        let made = object::contact(row, id.clone(), company.clone());
        if is_elsewhere || is_another(&made, contact) {
            return Err(another(Product::ConnectWise, ContactKind::Person, &id));
        }
        Ok(id)
    }
}

/// What ConnectWise answers when it refuses. The 429 has another form than all others.
#[derive(Deserialize)]
struct Refusal {
    code: Option<String>,
    error: Option<String>,
    message: Option<String>,
    errors: Option<Vec<ErrorObject>>,
}

#[derive(Deserialize)]
struct ErrorObject {
    message: Option<String>,
    field: Option<String>,
}

impl Refusal {
    fn said(&self) -> String {
        let mut said: Vec<String> =
            self.code.iter().chain(&self.error).chain(&self.message).cloned().collect();
        for error in self.errors.iter().flatten() {
            let parts = [error.field.clone(), error.message.clone()];
            said.push(parts.into_iter().flatten().collect::<Vec<_>>().join(": "));
        }
        said.retain(|part| !part.is_empty());
        said.join("; ")
    }
}

impl Dialect for Login {
    fn asked(&self) -> Asked {
        Asked::ConnectWise
    }

    fn signed(&self, request: Request) -> Request {
        request
            .accept(MEDIA_TYPE)
            .header("clientid", self.client_id.clone())
            .secret_header("authorization", self.authorization.clone())
    }

    fn refusal(&self, answer: &Answer) -> Failed {
        let [private, public, joined] = &self.secrets;
        let secrets = [private, public, joined];
        let refusal = serde_json::from_slice::<Refusal>(&answer.body).ok();
        let said = match &refusal {
            Some(refusal) => Some(quoted(&refusal.said(), &secrets)).filter(|said| !said.is_empty()),
            None => said_plainly(answer, &secrets),
        };
        let mut failed = answer.refused(said.as_deref());
        let needs_prefix = refusal.is_some_and(|refusal| {
            let message = refusal.message.unwrap_or_default();
            refusal.code.as_deref() == Some("Security") && message.to_ascii_lowercase().contains("ssl")
        });
        let hint = match answer.status {
            _ if needs_prefix => {
                failed.fault.kind = FaultKind::Refused;
                "the address of a ConnectWise cloud begins with `api-`, for example \
                 https://api-na.myconnectwise.net"
            }
            401 => {
                "check `loginCompany`, both keys and `clientId`, and that the API member is active and in this \
                 region"
            }
            403 => "let the API member's security role inquire all companies and all contacts",
            // The cloud does not know a company that one cannot log in to.
            404 => {
                failed.fault.kind = FaultKind::Unauthorised;
                "the cloud answers so to wrong keys and a wrong `loginCompany` as well: check them, and the region"
            }
            _ => return failed,
        };
        failed.fault.hint = Some(hint.to_owned());
        failed
    }
}

impl Dialect for Stranger {
    fn asked(&self) -> Asked {
        Asked::ConnectWise
    }

    fn signed(&self, request: Request) -> Request {
        request
    }

    fn refusal(&self, answer: &Answer) -> Failed {
        answer.refused(said_plainly(answer, &[]).as_deref())
    }
}
