//! IT Glue: contacts and, where the operator wants it, password entries by their usernames, over its JSON:API. No
//! password is ever read or written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::adapters::http::{Answer, Failed, HttpClient, Request, quoted};
use crate::adapters::http_line::{Dialect, Line, said_plainly};
use crate::adapters::http_pace::{Budget, Pace};
use crate::adapters::http_pages::{Bounds, Course, Cut, Numbered, Page, TakeApart};
use crate::adapters::http_patience::Patience;
use crate::adapters::http_row::Reference;
use crate::adapters::http_shelf::{
    Found, another, chosen, chosen_entry, has_username, is_another, mark, number, unsaid,
};
use crate::adapters::it_glue_object::{self as object, Adapters};
use crate::model::contact::{
    Catalogue, Contact, ContactKind, NewContact, NewPasswordEntry, NewPerson, Organization, Product, Shelf,
};
use crate::model::reading::{Fault, FaultKind, Reading};
use crate::model::text::{Text, inert, same};
use crate::ports::documentation::DocumentationPort;
use crate::ports::meter::Asked;

/// 3,000 requests in five minutes are documented (<https://api.itglue.com/developer>, "Rate limiting"); a tenth
/// is left to others who have the key. How long a refusal holds is not: its other clients wait a minute.
pub const BUDGET: Budget =
    Budget { requests: 2_700, window: Duration::from_secs(300), rest: Duration::from_secs(60) };

/// The largest page that is documented, and what comes where nobody asks.
const PAGE: usize = 1_000;
const USUAL_PAGE: usize = 50;

const MEDIA_TYPE: &str = "application/vnd.api+json";

/// What is sent along with a listing: what rows are synchronised with, in an order in which new rows come last.
/// Neither is needed, and a system that refuses one is asked without it.
const EXTRAS: [&[(&str, &str)]; 3] =
    [&[("include", "adapters_resources"), ("sort", "id")], &[("sort", "id")], &[]];

/// IT Glue by one key.
pub struct ItGlue {
    client: HttpClient,
    pace: Pace,
    bounds: Bounds,
    patience: Duration,
    root: Url,
    key: Key,
    password_categories: Vec<Text>,
}

/// The key, and how IT Glue speaks to whoever has one.
struct Key(SecretString);

impl ItGlue {
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
        password_categories: Vec<Text>,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let root = Url::parse(url)
            .map_err(|_| Fault::new(FaultKind::Refused, "the address of IT Glue is no address"))?;
        let bounds = Bounds::default();
        Ok(Self { client, pace, bounds, patience, root, key: Key(key), password_categories })
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
        let mut url = self.root.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Reads a listing, with what a system may refuse left out where it does.
    async fn listing<T>(
        &self,
        line: &Line<'_>,
        course: &Course,
        noun: &str,
        filter: Option<&str>,
        take_apart: TakeApart<'_, T>,
    ) -> Result<BTreeMap<Text, T>, Cut> {
        // Password entries and their categories are synchronised with nothing.
        let mut extras = EXTRAS.iter().skip(usize::from(matches!(noun, "passwords" | "password_categories")));
        let mut extra = extras.next();
        loop {
            let request = |number: usize, size: usize| {
                let mut url = self.address(&[noun]);
                let mut query = url.query_pairs_mut();
                // Filters do not work on the routes below an organisation.
                if let Some(organization) = filter {
                    query.append_pair("filter[organization_id]", organization);
                }
                query.append_pair("page[number]", &number.to_string());
                query.append_pair("page[size]", &size.to_string());
                query.extend_pairs(extra.copied().unwrap_or_default());
                drop(query);
                Request::get(url)
            };
            let numbered =
                Numbered { line, course, noun, size: PAGE, usual_size: USUAL_PAGE, request: &request };
            let is_refused = |cut: &Cut| cut.failed.status == Some(400) && cut.read == 0;
            match numbered.read(take_apart).await {
                Err(cut) if is_refused(&cut) => match extras.next() {
                    Some(next) => extra = Some(next),
                    None => return Err(cut),
                },
                result => return result,
            }
        }
    }

    async fn list_organizations(
        &self,
        line: &Line<'_>,
        course: &Course,
    ) -> Result<BTreeMap<Text, Organization>, Cut> {
        let take_apart = |page: &Value| {
            let adapters = object::adapters(page);
            page_of(page, |row, id| Ok(Some(object::organization_of(row, id, &adapters))))
        };
        self.listing(line, course, "organizations", None, &take_apart).await
    }

    /// Reads contacts: those of one organisation, or all; keeps those of the organisations that are wanted.
    async fn list_contacts(
        &self,
        line: &Line<'_>,
        course: &Course,
        of: Option<&Text>,
        is_wanted: &(dyn Fn(&Text) -> bool + Sync),
        mark: Option<&str>,
    ) -> Result<BTreeMap<Text, Found>, Cut> {
        let take_apart = |page: &Value| {
            let adapters: Adapters = object::adapters(page);
            page_of(page, |row, id| {
                let Some(organization) = wanted(row, is_wanted)? else { return Ok(None) };
                let has_mark = mark.is_some_and(|mark| object::notes(row).contains(mark));
                let contact = object::contact(row, id, organization, &adapters, &self.root)?;
                Ok(Some((contact, has_mark)))
            })
        };
        self.listing(line, course, "contacts", of.map(Text::as_str), &take_apart).await
    }

    /// Reads password entries: those of one organisation, or all; keeps those of the organisations that are
    /// wanted, and of a category that is.
    async fn list_passwords(
        &self,
        line: &Line<'_>,
        course: &Course,
        of: Option<&Text>,
        is_wanted: &(dyn Fn(&Text) -> bool + Sync),
        is_category: &(dyn Fn(&str) -> bool + Sync),
        mark: Option<&str>,
    ) -> Result<BTreeMap<Text, Found>, Cut> {
        let take_apart = |page: &Value| {
            page_of(page, |row, id| {
                let Some(organization) = wanted(row, is_wanted)? else { return Ok(None) };
                let has_mark = mark.is_some_and(|mark| object::notes(row).contains(mark));
                let entry = object::password(row, id, organization, &self.root);
                let is_kept = |entry: &Contact| {
                    has_mark
                        || entry.username.is_some()
                            && is_category(entry.category.as_deref().unwrap_or_default())
                };
                Ok(Some(entry).filter(is_kept).map(|entry| (entry, has_mark)))
            })
        };
        let mut result = self.listing(line, course, "passwords", of.map(Text::as_str), &take_apart).await;
        if let Err(cut) = &mut result {
            let hint = "let the key see passwords, or take `passwordCategories` out of the operator's file";
            hint_at_passwords(&mut cut.failed.fault, hint);
        }
        result
    }

    /// Returns the id of the category that new password entries get.
    async fn category(&self, line: &Line<'_>) -> Result<Text, Fault> {
        let wanted = self.password_categories.first().ok_or_else(|| {
            Fault::new(FaultKind::Refused, "no category is named for password entries")
                .hint("name it in `passwordCategories` of the operator's file")
        })?;
        let take_apart = |page: &Value| page_of(page, |row, _| Ok(Some(object::name(row))));
        let course = self.bounds.begin();
        let mut listed = self.listing(line, &course, "password_categories", None, &take_apart).await;
        if let Err(cut) = &mut listed {
            hint_at_passwords(&mut cut.failed.fault, MAY_MAKE_PASSWORDS);
        }
        let categories = listed.map_err(|cut| cut.failed.fault)?;
        let found =
            categories.into_iter().find(|(_, name)| name.as_deref().is_some_and(|name| same(wanted, name)));
        found.map(|(id, _)| id).ok_or_else(|| {
            let what = format!("IT Glue has no password category `{}`", inert(wanted));
            Fault::new(FaultKind::Refused, what).hint(
                "make it there (Account, Settings, Password Categories), or put another one first in \
                 `passwordCategories` of the operator's file",
            )
        })
    }

    async fn read(&self, shelves: &BTreeSet<Shelf>) -> Result<Catalogue, Cut> {
        let patience = self.patience();
        let (line, course) = (self.line(&patience), self.bounds.begin());
        let organizations = self.list_organizations(&line, &course).await?.into_keys().collect();
        let mut catalogue = Catalogue { organizations, ..Catalogue::default() };
        let mut read = catalogue.organizations.len();
        if shelves.is_empty() {
            return Ok(catalogue);
        }
        let wanted: BTreeSet<&Text> = shelves.iter().map(|shelf| &shelf.organization).collect();
        let is_wanted = |organization: &Text| wanted.contains(organization);
        let contacts = self.list_contacts(&line, &course, None, &is_wanted, None);
        let contacts = contacts.await.map_err(|cut| cut.after(read))?;
        read += contacts.len();
        let passwords = if self.password_categories.is_empty() {
            BTreeMap::new()
        } else {
            let is_category = |name: &str| self.password_categories.iter().any(|wanted| same(wanted, name));
            let passwords = self.list_passwords(&line, &course, None, &is_wanted, &is_category, None);
            passwords.await.map_err(|cut| cut.after(read))?
        };
        let mut by_organization: BTreeMap<Text, Vec<Contact>> = BTreeMap::new();
        for (contact, _) in contacts.into_values().chain(passwords.into_values()) {
            by_organization.entry(contact.organization.clone()).or_default().push(contact);
        }
        for shelf in shelves {
            let mut contacts = by_organization.get(&shelf.organization).cloned().unwrap_or_default();
            contacts.sort_by(|one, other| (&one.id, one.kind).cmp(&(&other.id, other.kind)));
            catalogue.shelves.insert(shelf.clone(), contacts);
        }
        Ok(catalogue)
    }

    async fn look_up_person(&self, shelf: &Shelf, new: &NewPerson) -> Result<Option<Contact>, Fault> {
        let organization = number(shelf, Product::ItGlue)?;
        let patience = self.patience();
        let (line, course) = (self.line(&patience), self.bounds.begin());
        // A filter that was ignored gives others as well.
        let is_wanted = |found: &Text| found == organization;
        let found = self
            .list_contacts(&line, &course, Some(organization), &is_wanted, mark(&new.mark))
            .await
            .map_err(|cut| cut.failed.fault)?;
        Ok(chosen(found, new))
    }

    /// Looks for a password entry. One of any category counts: whoever moved it there made no other person of it.
    async fn look_up_entry(&self, shelf: &Shelf, new: &NewPasswordEntry) -> Result<Option<Contact>, Fault> {
        let organization = number(shelf, Product::ItGlue)?;
        let patience = self.patience();
        let (line, course) = (self.line(&patience), self.bounds.begin());
        let is_wanted = |found: &Text| found == organization;
        let found = self
            .list_passwords(&line, &course, Some(organization), &is_wanted, &|_| true, mark(&new.mark))
            .await
            .map_err(|cut| cut.failed.fault)?;
        Ok(chosen_entry(found, &new.username))
    }

    async fn make_person(&self, shelf: &Shelf, new: &NewPerson) -> Result<Text, Fault> {
        let organization = number(shelf, Product::ItGlue)?;
        let url = self.address(&["organizations", organization, "relationships", "contacts"]);
        let mut attributes = json!({
            "first-name": new.first_name.as_str(),
            "notes": new.mark.as_str(),
            "contact-emails": [{"value": new.address.as_str(), "primary": true, "label-name": "Work"}],
        });
        if !new.last_name.is_empty() {
            attributes["last-name"] = json!(new.last_name.as_str());
        }
        let content = json!({"data": {"type": "contacts", "attributes": attributes}});
        let patience = self.patience();
        let request = Request::json(url, MEDIA_TYPE, &content);
        let told = self.line(&patience).once(&request).await.map_err(|failed| failed.fault)?;
        let row = &told.value["data"];
        let Some(id) = object::row_id(row) else {
            // It was made, or not: the system itself knows.
            let found = self.look_up_person(shelf, new).await?;
            return found.map(|found| found.id).ok_or_else(|| unsaid(Product::ItGlue, ContactKind::Person));
        };
        let made = object::contact(row, id.clone(), organization.clone(), &Adapters::new(), &self.root);
        if is_elsewhere(row, organization) || is_another(&made, new) {
            return Err(another(Product::ItGlue, ContactKind::Person, &id));
        }
        Ok(id)
    }

    /// Makes a password entry without a password: who has one writes it there.
    async fn make_entry(&self, shelf: &Shelf, new: &NewPasswordEntry) -> Result<Text, Fault> {
        let organization = number(shelf, Product::ItGlue)?;
        let patience = self.patience();
        let line = self.line(&patience);
        let category = self.category(&line).await?;
        let mut url = self.address(&["organizations", organization, "relationships", "passwords"]);
        // Also the default, which nobody should have to rely on.
        url.query_pairs_mut().append_pair("show_password", "false");
        let category =
            category.parse::<u64>().map_or_else(|_| json!(category.as_str()), |number| json!(number));
        let content = json!({"data": {"type": "passwords", "attributes": {
            "name": new.name.as_str(),
            "username": new.username.as_str(),
            "notes": new.mark.as_str(),
            "password-category-id": category,
        }}});
        let request = Request::json(url, MEDIA_TYPE, &content);
        let told = line.once(&request).await.map_err(|failed| {
            let mut fault = failed.fault;
            hint_at_passwords(&mut fault, MAY_MAKE_PASSWORDS);
            fault
        })?;
        let row = &told.value["data"];
        let Some(id) = object::row_id(row) else {
            // It was made, or not: the system itself knows.
            let found = self.look_up_entry(shelf, new).await?;
            let unsaid = || unsaid(Product::ItGlue, ContactKind::PasswordEntry);
            return found.map(|found| found.id).ok_or_else(unsaid);
        };
        let made = object::password(row, id, organization.clone(), &self.root);
        let is_another = made.username.is_some() && !has_username(&made, &new.username);
        if is_elsewhere(row, organization) || is_another {
            return Err(another(Product::ItGlue, ContactKind::PasswordEntry, &made.id));
        }
        Ok(made.id)
    }
}

/// What a key has to be allowed that makes password entries.
const MAY_MAKE_PASSWORDS: &str =
    "let the key have access to passwords, or take `missingAs` out of the operator's file";

/// Says what to do where a key is refused at passwords alone: others it may be asked for.
fn hint_at_passwords(fault: &mut Fault, hint: &str) {
    if fault.kind == FaultKind::Unauthorised {
        fault.hint = Some(hint.to_owned());
    }
}

/// Whether what was made says that it belongs to another organisation.
fn is_elsewhere(row: &Value, organization: &Text) -> bool {
    matches!(object::organization(row), Reference::To(other) if other != *organization)
}

#[async_trait]
impl DocumentationPort for ItGlue {
    async fn sweep(&self, shelves: &BTreeSet<Shelf>) -> Reading<Catalogue> {
        self.read(shelves).await.map_or_else(Cut::reading, Reading::Complete)
    }

    async fn organizations(&self) -> Reading<Vec<Organization>> {
        let patience = self.patience();
        let (line, course) = (self.line(&patience), self.bounds.begin());
        let organizations = self.list_organizations(&line, &course).await;
        organizations.map_or_else(Cut::reading, |found| Reading::Complete(found.into_values().collect()))
    }

    async fn find(&self, shelf: &Shelf, contact: &NewContact) -> Result<Option<Contact>, Fault> {
        match contact {
            NewContact::Person(new) => self.look_up_person(shelf, new).await,
            NewContact::PasswordEntry(new) => self.look_up_entry(shelf, new).await,
        }
    }

    async fn create(&self, shelf: &Shelf, contact: &NewContact) -> Result<Text, Fault> {
        match contact {
            NewContact::Person(new) => self.make_person(shelf, new).await,
            NewContact::PasswordEntry(new) => self.make_entry(shelf, new).await,
        }
    }
}

/// Takes a page apart, with what it says of the whole listing.
fn page_of<T>(
    page: &Value,
    keep: impl FnMut(&Value, Text) -> Result<Option<T>, String>,
) -> Result<Page<T>, String> {
    let taken = Page::of(object::rows(page)?, keep)?;
    Ok(Page { total: object::total(page), is_last: object::is_last(page), ..taken })
}

/// Returns the organisation of a row, if it is wanted. What belongs to none is on nobody's shelf; what does not
/// tell may be on anybody's.
fn wanted(row: &Value, is_wanted: &(dyn Fn(&Text) -> bool + Sync)) -> Result<Option<Text>, String> {
    match object::organization(row) {
        Reference::To(organization) => Ok(Some(organization).filter(|found| is_wanted(found))),
        Reference::Nothing => Ok(None),
        Reference::Unclear => Err("it does not say to which organisation it belongs".to_owned()),
    }
}

/// What IT Glue answers when it refuses. Every member may be missing.
#[derive(Deserialize)]
struct Refusal {
    errors: Vec<ErrorObject>,
}

#[derive(Deserialize)]
struct ErrorObject {
    title: Option<String>,
    detail: Option<String>,
}

impl Dialect for Key {
    fn asked(&self) -> Asked {
        Asked::ItGlue
    }

    fn signed(&self, request: Request) -> Request {
        request.accept(MEDIA_TYPE).secret_header("x-api-key", self.0.clone())
    }

    fn refusal(&self, answer: &Answer) -> Failed {
        let errors = serde_json::from_slice::<Refusal>(&answer.body).map(|refusal| refusal.errors);
        let said = match errors {
            Ok(errors) => {
                let said: Vec<String> = errors
                    .into_iter()
                    .map(|error| [error.title, error.detail].into_iter().flatten().collect::<Vec<_>>())
                    .map(|parts| parts.join(": "))
                    .filter(|said| !said.is_empty())
                    .collect();
                Some(quoted(&said.join("; "), &[&self.0])).filter(|said| !said.is_empty())
            }
            Err(_) => said_plainly(answer, &[&self.0]),
        };
        let mut failed = answer.refused(said.as_deref());
        // Both are documented for a wrong key.
        if matches!(answer.status, 401 | 403) {
            failed.fault.hint = Some(
                "check the key and the region: a key of another region is refused like a wrong one, and a key \
                 that nobody used for 90 days is revoked"
                    .to_owned(),
            );
        }
        failed
    }
}
