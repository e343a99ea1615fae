//! Hudu: people, who are assets of a layout that the provider chose, over its REST API.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use crate::adapters::http::{Again, Answer, Failed, HttpClient, Request, quoted};
use crate::adapters::http_line::{Dialect, Line, said_plainly};
use crate::adapters::http_pace::{Budget, Pace};
use crate::adapters::http_pages::{Bounds, Course, Cut, Numbered, Page, TakeApart};
use crate::adapters::http_patience::Patience;
use crate::adapters::http_row::{Reference, id, reference};
use crate::adapters::http_shelf::{Found, another, chosen, is_another, mark, number, person, unsaid};
use crate::adapters::hudu_object as object;
use crate::model::contact::{
    Catalogue, Contact, ContactKind, NewContact, NewPerson, Organization, Product, Shelf,
};
use crate::model::reading::{Fault, FaultKind, Reading};
use crate::model::text::Text;
use crate::ports::documentation::DocumentationPort;
use crate::ports::meter::Asked;

/// 300 requests a minute are documented (the instance's own page on its API, "Rate Limiting"); a tenth is left
/// to others who have the key. A refusal says nothing of how long it holds: a minute later it is over, wherever
/// the instance lets its minutes begin.
pub const BUDGET: Budget =
    Budget { requests: 270, window: Duration::from_secs(60), rest: Duration::from_secs(60) };

/// The page that is asked for, and what is documented to come where nobody asks. The largest one is not
/// documented.
const PAGE: usize = 1_000;
const USUAL_PAGE: usize = 25;

const MEDIA_TYPE: &str = "application/json";

/// A Hudu instance by one key.
pub struct Hudu {
    client: HttpClient,
    pace: Pace,
    bounds: Bounds,
    patience: Duration,
    instance: Url,
    key: Key,
}

/// The key, and how Hudu speaks to whoever has one.
struct Key(SecretString);

impl Hudu {
    /// Makes one. `patience` is how long throttling and faults may delay a reading; client and pace belong to
    /// the connection.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(
        client: HttpClient,
        pace: Pace,
        url: &str,
        key: SecretString,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let instance = Url::parse(url)
            .map_err(|_| Fault::new(FaultKind::Refused, "the address of Hudu is no address"))?;
        Ok(Self { client, pace, bounds: Bounds::default(), patience, instance, key: Key(key) })
    }

    /// Sets how far one reading may go.
    #[must_use]
    pub fn within(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Begins the patience of one reading.
    fn patience(&self) -> Patience {
        Patience::new(self.patience).measured_by(self.client.meter().clone())
    }

    fn line<'a>(&'a self, patience: &'a Patience) -> Line<'a> {
        Line { client: &self.client, pace: &self.pace, patience, dialect: &self.key }
    }

    fn address(&self, path: &[&str]) -> Url {
        let mut url = self.instance.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        url
    }

    async fn listing<T>(
        &self,
        line: &Line<'_>,
        course: &Course,
        noun: &str,
        filter: &[(&str, &str)],
        take_apart: TakeApart<'_, T>,
    ) -> Result<BTreeMap<Text, T>, Cut> {
        let request = |number: usize, size: usize| {
            let mut url = self.address(&[noun]);
            url.query_pairs_mut()
                .extend_pairs(filter)
                .append_pair("page", &number.to_string())
                .append_pair("page_size", &size.to_string());
            Request::get(url)
        };
        let numbered = Numbered { line, course, noun, size: PAGE, usual_size: USUAL_PAGE, request: &request };
        numbered.read(take_apart).await
    }

    async fn list_companies(
        &self,
        line: &Line<'_>,
        course: &Course,
    ) -> Result<BTreeMap<Text, Organization>, Cut> {
        let take_apart = |page: &Value| {
            Page::of(object::rows(page, "companies")?, |row, id| Ok(Some(object::company_of(row, id))))
        };
        self.listing(line, course, "companies", &[], &take_apart).await
    }

    /// Reads the people of a layout, archived ones too: those of one company, or all; keeps those of the
    /// companies that are wanted.
    ///
    /// What an instance does not know of a query it leaves out without a word, so that every row is looked at
    /// again. Whether archived assets come unasked is not documented: they are asked for besides.
    async fn list_people(
        &self,
        line: &Line<'_>,
        course: &Course,
        layout: u64,
        of: Option<&str>,
        is_wanted: &(dyn Fn(&Text) -> bool + Sync),
        mark: Option<&str>,
    ) -> Result<BTreeMap<Text, Found>, Cut> {
        let layout = Text::from(layout.to_string());
        let take_apart = |page: &Value| {
            Page::of(object::rows(page, "assets")?, |row, id| {
                match reference(row, "asset_layout_id") {
                    Reference::To(found) if found == layout => {}
                    Reference::To(_) => return Ok(None),
                    _ => return Err("it does not say of which layout it is".to_owned()),
                }
                let company = match reference(row, "company_id") {
                    Reference::To(company) if is_wanted(&company) => company,
                    // An asset of no company is on nobody's shelf.
                    Reference::To(_) | Reference::Nothing => return Ok(None),
                    Reference::Unclear => {
                        return Err("it does not say to which company it belongs".to_owned());
                    }
                };
                let has_mark = mark.is_some_and(|mark| object::has_mark(row, mark));
                Ok(Some((object::contact(row, id, company, &self.instance)?, has_mark)))
            })
        };
        let mut filter: Vec<(&str, &str)> = of.map(|company| ("company_id", company)).into_iter().collect();
        filter.push(("asset_layout_id", &layout));
        let mut people = self.listing(line, course, "assets", &filter, &take_apart).await?;
        filter.push(("archived", "true"));
        let archived = self.listing(line, course, "assets", &filter, &take_apart).await;
        people.extend(archived.map_err(|cut| cut.after(people.len()))?);
        Ok(people)
    }

    async fn read(&self, shelves: &BTreeSet<Shelf>) -> Result<Catalogue, Cut> {
        let mut companies: BTreeMap<u64, BTreeSet<&Text>> = BTreeMap::new();
        for shelf in shelves {
            let layout = layout(shelf).map_err(|fault| Cut::new(Failed::new(fault, Again::Never), 0))?;
            companies.entry(layout).or_default().insert(&shelf.organization);
        }
        let patience = self.patience();
        let (line, course) = (self.line(&patience), self.bounds.begin());
        let organizations = self.list_companies(&line, &course).await?.into_keys().collect();
        let mut catalogue = Catalogue { organizations, ..Catalogue::default() };
        let mut read = catalogue.organizations.len();
        for (layout, wanted) in companies {
            let is_wanted = |company: &Text| wanted.contains(company);
            let people = self.list_people(&line, &course, layout, None, &is_wanted, None).await;
            let people = people.map_err(|cut| cut.after(read))?;
            read += people.len();
            for organization in wanted {
                let shelf = Shelf { organization: organization.clone(), asset_layout: Some(layout) };
                catalogue.shelves.insert(shelf, Vec::new());
            }
            for (contact, _) in people.into_values() {
                let organization = contact.organization.clone();
                let shelf = Shelf { organization, asset_layout: Some(layout) };
                catalogue.shelves.entry(shelf).or_default().push(contact);
            }
        }
        Ok(catalogue)
    }

    async fn look_up(&self, shelf: &Shelf, contact: &NewPerson) -> Result<Option<Contact>, Fault> {
        let (company, layout) = (number(shelf, Product::Hudu)?, layout(shelf)?);
        let patience = self.patience();
        let (line, course) = (self.line(&patience), self.bounds.begin());
        let is_wanted = |found: &Text| found == company;
        let mark = mark(&contact.mark);
        let found = self
            .list_people(&line, &course, layout, Some(company), &is_wanted, mark)
            .await
            .map_err(|cut| cut.failed.fault)?;
        Ok(chosen(found, contact))
    }

    /// Returns what a layout has a place for. One that cannot be looked at has none that is known.
    async fn custom_fields(
        &self,
        line: &Line<'_>,
        layout: u64,
        contact: &NewPerson,
    ) -> Result<Vec<Value>, Fault> {
        let url = self.address(&["asset_layouts", &layout.to_string()]);
        match line.ask(&Request::get(url)).await {
            Ok(told) => Ok(object::custom_fields(&told.value, &contact.address, &contact.mark)),
            Err(failed) if failed.fault.kind == FaultKind::Refused => Ok(Vec::new()),
            Err(failed) => Err(failed.fault),
        }
    }
}

#[async_trait]
impl DocumentationPort for Hudu {
    async fn sweep(&self, shelves: &BTreeSet<Shelf>) -> Reading<Catalogue> {
        self.read(shelves).await.map_or_else(Cut::reading, Reading::Complete)
    }

    async fn organizations(&self) -> Reading<Vec<Organization>> {
        let patience = self.patience();
        let (line, course) = (self.line(&patience), self.bounds.begin());
        let companies = self.list_companies(&line, &course).await;
        companies.map_or_else(Cut::reading, |found| Reading::Complete(found.into_values().collect()))
    }

    async fn find(&self, shelf: &Shelf, contact: &NewContact) -> Result<Option<Contact>, Fault> {
        self.look_up(shelf, person(contact, Product::Hudu)?).await
    }

    async fn create(&self, shelf: &Shelf, contact: &NewContact) -> Result<Text, Fault> {
        let contact = person(contact, Product::Hudu)?;
        let (company, layout) = (number(shelf, Product::Hudu)?, layout(shelf)?);
        let patience = self.patience();
        let line = self.line(&patience);
        let name = format!("{} {}", contact.first_name, contact.last_name);
        let mut asset = json!({
            "name": name.trim(),
            "asset_layout_id": layout,
            "primary_mail": contact.address.as_str(),
        });
        let fields = self.custom_fields(&line, layout, contact).await?;
        if !fields.is_empty() {
            asset["custom_fields"] = json!(fields);
        }
        let url = self.address(&["companies", company, "assets"]);
        let request = Request::json(url, MEDIA_TYPE, &json!({"asset": asset}));
        let told = line.once(&request).await.map_err(|failed| failed.fault)?;
        let row = told.value.get("asset").unwrap_or(&told.value);
        let Some(id) = row.get("id").and_then(id) else {
            // It was made, or not: the system itself knows.
            let found = self.look_up(shelf, contact).await?;
            return found.map(|found| found.id).ok_or_else(|| unsaid(Product::Hudu, ContactKind::Person));
        };
        let is_elsewhere = matches!(reference(row, "company_id"), Reference::To(other) if other != *company)
            || matches!(reference(row, "asset_layout_id"), Reference::To(other) if other != layout.to_string());
        let made = object::contact(row, id.clone(), company.clone(), &self.instance);
        if is_elsewhere || is_another(&made, contact) {
            return Err(another(Product::Hudu, ContactKind::Person, &id));
        }
        Ok(id)
    }
}

/// Returns the layout that a shelf's people have.
fn layout(shelf: &Shelf) -> Result<u64, Fault> {
    shelf.asset_layout.ok_or_else(|| {
        Fault::new(FaultKind::Refused, "people are assets in Hudu, and no asset layout is named for them")
            .hint("write the layout's id as `assetLayoutId`")
    })
}

impl Dialect for Key {
    fn asked(&self) -> Asked {
        Asked::Hudu
    }

    fn signed(&self, request: Request) -> Request {
        request.secret_header("x-api-key", self.0.clone())
    }

    fn refusal(&self, answer: &Answer) -> Failed {
        // `error` with `details`, `errors` as text or by field, or text that is no JSON at all.
        let said = match serde_json::from_slice::<Value>(&answer.body) {
            Ok(Value::Object(members)) => {
                let said: Vec<String> = ["error", "details", "errors"]
                    .into_iter()
                    .filter_map(|name| members.get(name))
                    .filter(|value| !value.is_null())
                    .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                    .collect();
                Some(quoted(&said.join("; "), &[&self.0])).filter(|said| !said.is_empty())
            }
            _ => said_plainly(answer, &[&self.0]),
        };
        let mut failed = answer.refused(said.as_deref());
        if matches!(answer.status, 401 | 403) {
            let hint =
                "check the key, the addresses that it is allowed from, and that it is one of this instance";
            failed.fault.hint = Some(hint.to_owned());
        }
        failed
    }
}
