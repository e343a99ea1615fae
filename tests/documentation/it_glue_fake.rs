//! How the stand-in for IT Glue answers: JSON:API, in the forms of the vendor's document.

use serde_json::{Value, json};

use super::fake::{
    Asked, FakeCompany, FakePassword, FakePerson, Fault, Place, Told, World, is_whole, spoiled, told,
};

pub(super) const MEDIA: &str = "application/vnd.api+json";

/// What comes in a page where nobody asks, and at the most.
const USUAL: usize = 50;
const MOST: usize = 1_000;

pub(super) fn answer(world: &mut World, asked: &Asked<'_>, place: &mut Option<Place>) -> Told {
    let path = asked.seen.path.clone();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    *place = match (asked.seen.method.as_str(), parts.as_slice()) {
        ("GET", ["organizations"]) => Some(Place::Companies),
        ("GET", ["contacts"]) => Some(Place::Contacts),
        ("GET", ["passwords"]) => Some(Place::Passwords),
        ("GET", ["password_categories"]) => Some(Place::Categories),
        ("POST", ["organizations", _, "relationships", "contacts" | "passwords"]) => Some(Place::Create),
        _ => None,
    };
    if asked.header("x-api-key") != world.key {
        let status = world.wrong.unauthorised.unwrap_or(403);
        return refused(status, "Forbidden", "The key is not known here.");
    }
    if asked.header("accept") != MEDIA {
        return refused(406, "Not Acceptable", "Only JSON:API is spoken here.");
    }
    let Some(place) = *place else { return refused(404, "Not Found", "No such route.") };
    let is_about_passwords =
        matches!(place, Place::Passwords | Place::Categories) || parts.last() == Some(&"passwords");
    if is_about_passwords && world.wrong.hides_passwords {
        return refused(403, "Forbidden", "The key may not see passwords.");
    }
    if place == Place::Create {
        return create(world, asked, parts[1], parts[3]);
    }
    list(world, asked, place)
}

fn list(world: &mut World, asked: &Asked<'_>, place: Place) -> Told {
    // Brackets have to be encoded, and are told apart by what stands between them.
    if asked.seen.query.contains(['[', ']']) {
        return refused(400, "Bad Request", "A bracket is not encoded.");
    }
    for (name, value) in &asked.parameters {
        let is_known = match name.as_str() {
            "page[number]" | "page[size]" => value.parse::<usize>().is_ok_and(|number| number > 0),
            "filter[organization_id]" => {
                !matches!(place, Place::Companies | Place::Categories) && value.parse::<u64>().is_ok()
            }
            "sort" => ["id", "name", "updated_at"].contains(&value.trim_start_matches('-')),
            "include" => {
                matches!(place, Place::Companies | Place::Contacts)
                    && value == "adapters_resources"
                    && !world.wrong.refuses_include
            }
            _ => false,
        };
        if !is_known {
            return refused(400, "Bad Request", &format!("{name} is not allowed."));
        }
    }
    let number = |name: &str| asked.parameter(world, name).and_then(|value| value.parse::<usize>().ok());
    let page = number("page[number]").unwrap_or(1);
    let size = number("page[size]").unwrap_or(USUAL).min(MOST);
    let filter = number("filter[organization_id]");
    let has_include = asked.parameter(world, "include").is_some();
    let asked_page = asked.parameters.iter().find(|(name, _)| name == "page[number]");
    let nth = asked_page.and_then(|(_, value)| value.parse().ok()).unwrap_or(1);
    let fault = world.ordered(place, nth);

    let is_filtered = |company: Option<u64>| {
        filter.is_none_or(|wanted| company.is_some_and(|company| usize::try_from(company) == Ok(wanted)))
    };
    let rows: Vec<Row<'_>> = match place {
        Place::Companies => world.companies.iter().map(Row::Company).collect(),
        Place::Categories => world.categories.iter().map(Row::Category).collect(),
        Place::Passwords => world
            .passwords
            .iter()
            .filter(|entry| is_filtered(Some(entry.company)))
            .map(Row::Password)
            .collect(),
        _ => world.people.iter().filter(|person| is_filtered(person.company)).map(Row::Person).collect(),
    };
    let total = rows.len() + world.wrong.hidden_rows;
    let Some((rows, more)) = world.cut(rows, page, size) else {
        return Told::Broken(Fault::Html(504), 504, Value::Null);
    };
    let included: Vec<Value> = rows.iter().filter_map(Row::included).collect();
    let mut rows: Vec<Value> = rows.into_iter().map(|row| row.shown(&world.root)).collect();
    spoiled(fault.as_ref(), &mut rows, Some("attributes"));
    let mut body = json!({"data": rows});
    if has_include {
        body["included"] = json!(included);
    } else {
        for row in body["data"].as_array_mut().expect("rows") {
            row.as_object_mut().map(|row| row.remove("relationships"));
        }
    }
    if !world.wrong.hides_meta {
        let next = if more { json!(page + 1) } else { Value::Null };
        let before = if page > 1 { json!(page - 1) } else { Value::Null };
        let pages = total.div_ceil(size.min(world.wrong.page_cap.unwrap_or(size)));
        body["meta"] = json!({"current-page": page, "next-page": next, "prev-page": before,
            "total-pages": pages, "total-count": total, "filters": {}});
        body["links"] = json!({});
    }
    match fault {
        Some(fault) if is_whole(&fault) => Told::Broken(fault, 200, body),
        _ => told(200, MEDIA, body),
    }
}

/// A row of a listing.
enum Row<'a> {
    Company(&'a FakeCompany),
    Person(&'a FakePerson),
    Password(&'a FakePassword),
    Category(&'a (u64, String)),
}

impl Row<'_> {
    fn shown(&self, root: &str) -> Value {
        match self {
            Self::Company(company) => company_row(company),
            Self::Person(person) => person_row(person, root),
            Self::Password(entry) => password_row(entry, root),
            Self::Category((id, name)) => {
                json!({"id": id.to_string(), "type": "password-categories", "attributes": {"name": name}})
            }
        }
    }

    /// The record of the other system that it is synchronised with.
    fn included(&self) -> Option<Value> {
        let (id, remote) = match self {
            Self::Company(company) => (company.id, company.psa_id?),
            Self::Person(person) => (person.id, person.psa_id?),
            Self::Password(_) | Self::Category(_) => return None,
        };
        Some(json!({"id": format!("9{id}"), "type": "adapters-resources",
            "attributes": {"remote-id": remote.to_string(), "adapter-type": "ConnectWise Manage"}}))
    }
}

fn company_row(company: &FakeCompany) -> Value {
    let id = company.id;
    json!({"id": id.to_string(), "type": "organizations", "attributes": {
        "name": company.name, "alert": null, "organization-type-id": 1,
        "organization-type-name": company.kind, "organization-status-id": 1,
        "organization-status-name": company.status, "primary": company.is_primary, "quick-notes": null,
        "short-name": company.name.to_lowercase(), "parent-id": null, "ancestor-ids": "[]"},
        "relationships": {"adapters-resources": {"data": linked(company.psa_id.map(|_| id))}}})
}

fn person_row(person: &FakePerson, root: &str) -> Value {
    let id = person.id;
    let emails: Vec<Value> = person
        .emails
        .iter()
        .enumerate()
        .map(|(place, email)| json!({"value": email, "primary": place == 0, "label-name": "Work"}))
        .collect();
    let url = person.company.map(|company| format!("{root}/{company}/contacts/{id}"));
    let mut row = json!({"id": id.to_string(), "type": "contacts", "attributes": {
        "organization-id": person.company, "organization-name": "of no use",
        "name": format!("{} {}", person.first_name, person.last_name).trim(),
        "first-name": person.first_name, "last-name": person.last_name, "title": person.title,
        "contact-type-id": null, "contact-type-name": person.kind, "location-id": null, "important": null,
        "notes": person.notes, "archived": person.is_archived, "contact-emails": emails, "contact-phones": [],
        "resource-url": url},
        "relationships": {"adapters-resources": {"data": linked(person.psa_id.map(|_| id))}}});
    for (name, value) in &person.members {
        row["attributes"][name] = value.clone();
    }
    row
}

/// A password entry, as it is listed and as the answer to making it has it: without its secret.
fn password_row(entry: &FakePassword, root: &str) -> Value {
    json!({"id": entry.id.to_string(), "type": "passwords", "attributes": {
        "organization-id": entry.company, "name": entry.name, "username": entry.username,
        "password-category-name": entry.category, "restricted": false, "notes": entry.notes,
        "archived": entry.is_archived,
        "resource-url": format!("{root}/{}/passwords/{}", entry.company, entry.id)}})
}

/// Names the record of another system.
fn linked(id: Option<u64>) -> Vec<Value> {
    id.map(|id| json!({"id": format!("9{id}"), "type": "adapters-resources"})).into_iter().collect()
}

/// Attributes that are taken of what is made. A password is refused by name: nobody here may send one.
const OF_CONTACTS: [&str; 4] = ["first-name", "last-name", "notes", "contact-emails"];
const OF_PASSWORDS: [&str; 4] = ["name", "username", "notes", "password-category-id"];

fn create(world: &mut World, asked: &Asked<'_>, company: &str, kind: &str) -> Told {
    let fault = world.ordered(Place::Create, 1);
    if let Some(fault) = fault.clone().filter(is_whole) {
        return Told::Broken(fault, 201, Value::Null);
    }
    let id = company.parse::<u64>().ok().filter(|id| world.company(*id).is_some());
    let Some(company) = id else { return refused(404, "Not Found", "No such organization.") };
    if asked.header("content-type") != MEDIA {
        return refused(415, "Unsupported Media Type", "Only JSON:API is spoken here.");
    }
    let data = &asked.seen.body["data"];
    let attributes = data["attributes"].as_object().cloned().unwrap_or_default();
    let known = if kind == "contacts" { OF_CONTACTS } else { OF_PASSWORDS };
    let is_known = |name: &String| known.contains(&name.as_str());
    if data["type"] != kind || !attributes.keys().all(is_known) {
        return refused(422, "Unprocessable Entity", "An attribute is not allowed.");
    }
    let attributes = &data["attributes"];
    let made = match kind {
        "contacts" => create_contact(world, attributes, company),
        _ => create_password(world, asked, attributes, company),
    };
    let mut body = match made {
        Ok(row) => json!({"data": row}),
        Err(refusal) => return refusal,
    };
    match fault {
        Some(Fault::LostAnswer) => return Told::Broken(Fault::LostAnswer, 201, Value::Null),
        Some(Fault::WithoutId) => drop(body["data"].as_object_mut().expect("a row").remove("id")),
        Some(Fault::Another) if kind == "contacts" => {
            body["data"]["attributes"]["contact-emails"] = json!([{"value": "somebody@else.test"}]);
        }
        Some(Fault::Another) => body["data"]["attributes"]["username"] = json!("somebody"),
        Some(Fault::Elsewhere(company)) => body["data"]["attributes"]["organization-id"] = json!(company),
        _ => {}
    }
    told(201, MEDIA, body)
}

fn create_contact(world: &mut World, attributes: &Value, company: u64) -> Result<Value, Told> {
    if attributes["first-name"].as_str().is_none_or(str::is_empty) {
        return Err(refused(422, "Unprocessable Entity", "A contact has a first name."));
    }
    let emails: Vec<String> = attributes["contact-emails"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|email| email["value"].as_str().map(str::to_owned))
        .collect();
    let (first, last) = (attributes["first-name"].as_str(), attributes["last-name"].as_str());
    let id = world.add(Some(company), first.unwrap_or_default(), last.unwrap_or_default(), emails);
    let made = world.people.last_mut().expect("the new one");
    assert_eq!(made.id, id);
    made.notes = attributes["notes"].as_str().map(str::to_owned);
    Ok(person_row(&world.people[world.people.len() - 1], &world.root))
}

fn create_password(
    world: &mut World,
    asked: &Asked<'_>,
    attributes: &Value,
    company: u64,
) -> Result<Value, Told> {
    // Who does not say so may be shown a secret.
    if asked.seen.query != "show_password=false" {
        return Err(refused(400, "Bad Request", "Only show_password=false is allowed."));
    }
    let text = |name: &str| attributes[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let Some(name) = text("name") else {
        return Err(refused(422, "Unprocessable Entity", "A password has a name."));
    };
    let wanted = &attributes["password-category-id"];
    let category = world.categories.iter().find(|(id, _)| *wanted == json!(id));
    if category.is_none() && !wanted.is_null() {
        return Err(refused(422, "Unprocessable Entity", "No such password category."));
    }
    let category = category.map(|(_, name)| name.clone());
    let (username, notes) = (text("username"), text("notes"));
    let id = world.new_id();
    let entry = FakePassword { id, company, name, username, category, notes, is_archived: false };
    let row = password_row(&entry, &world.root);
    world.passwords.push(entry);
    Ok(row)
}

fn refused(status: u16, title: &str, detail: &str) -> Told {
    told(status, MEDIA, json!({"errors": [{"title": title, "detail": detail, "status": status.to_string()}]}))
}
