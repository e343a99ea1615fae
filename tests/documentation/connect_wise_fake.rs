//! How the stand-in for ConnectWise PSA answers: forward-only pages, links, and members left out where they have
//! no value.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::fake::{
    Asked, CLIENT_ID, COMPANY, FakeCompany, FakePerson, Fault, PUBLIC_KEY, Place, Told, World, is_whole,
    spoiled, told,
};

const MEDIA: &str = "application/json";

/// What comes in a page where nobody asks, and at the most.
const USUAL: usize = 25;
const MOST: usize = 1_000;

/// The type of e-mail addresses.
const EMAIL_TYPE: u64 = 4;

pub(super) fn answer(world: &mut World, asked: &Asked<'_>, place: &mut Option<Place>) -> Told {
    let path = asked.seen.path.clone();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if let ["login", "companyinfo", company] = parts.as_slice() {
        *place = Some(Place::CodeBase);
        return code_base(world, company);
    }
    let (base, rest) = parts.split_first().unwrap_or((&"", &[]));
    let Some(rest) = rest.strip_prefix(&["apis", "3.0"]).filter(|_| *base == world_base(world)) else {
        return told(404, MEDIA, json!({"code": "NotFound", "message": "There is nothing at this path."}));
    };
    *place = match (asked.seen.method.as_str(), rest) {
        ("GET", ["company", "companies"]) => Some(Place::Companies),
        ("GET", ["company", "contacts"]) => Some(Place::Contacts),
        ("GET", ["company", "companies" | "contacts", "count"]) => Some(Place::Count),
        ("GET", ["company", "communicationTypes"]) => Some(Place::CommunicationTypes),
        ("POST", ["company", "contacts"]) => Some(Place::Create),
        _ => None,
    };
    let login = BASE64_STANDARD.encode(format!("{COMPANY}+{PUBLIC_KEY}:{}", world.key));
    if asked.header("authorization") != format!("Basic {login}") || asked.header("clientid") != CLIENT_ID {
        let status = world.wrong.unauthorised.unwrap_or(401);
        let code = "ConnectWiseApi/UserNotAuthenticated";
        return told(status, MEDIA, json!({"code": code, "message": "Who is there?", "errors": null}));
    }
    if !asked.header("accept").starts_with("application/vnd.connectwise.com+json; version=20") {
        return told(406, MEDIA, json!({"code": "NotAcceptable", "message": "Which version?"}));
    }
    match *place {
        Some(Place::Companies) => list(world, asked, Place::Companies),
        Some(Place::Contacts) => list(world, asked, Place::Contacts),
        Some(Place::Count) => {
            let place = if rest.contains(&"contacts") { Place::Contacts } else { Place::Companies };
            let count = match rows(world, asked, place) {
                Ok(rows) => rows.len(),
                Err(refused) => return refused,
            };
            match world.ordered(Place::Count, 1) {
                Some(fault) if is_whole(&fault) => Told::Broken(fault, 200, json!({"count": count})),
                _ => told(200, MEDIA, json!({"count": count})),
            }
        }
        Some(Place::CommunicationTypes) => {
            let mut types =
                vec![json!({"id": 2, "description": "Direct", "phoneFlag": true, "emailFlag": false,
                "defaultFlag": true})];
            if !world.wrong.has_no_email_type {
                types.push(json!({"id": EMAIL_TYPE, "description": "Email", "phoneFlag": false,
                    "emailFlag": true, "defaultFlag": true}));
            }
            match world.ordered(Place::CommunicationTypes, 1) {
                Some(fault) if is_whole(&fault) => Told::Broken(fault, 200, json!(types)),
                _ => told(200, MEDIA, json!(types)),
            }
        }
        Some(Place::Create) => create(world, asked),
        _ => told(404, MEDIA, json!({"code": "NotFound", "message": "There is nothing at this path."})),
    }
}

/// Returns the folder that everything lies in.
fn world_base(world: &World) -> String {
    let told = world.wrong.code_base.as_ref().map(|told| told["Codebase"].as_str().unwrap_or_default());
    let base = told.unwrap_or("v2025_1/").trim_end_matches('/');
    let is_sound = !base.is_empty() && !base.contains(['/', ':', '?']) && !base.starts_with('.');
    if is_sound { base.to_owned() } else { "v4_6_release".to_owned() }
}

fn code_base(world: &mut World, company: &str) -> Told {
    let info = world.wrong.code_base.clone().unwrap_or_else(|| {
        json!({"CompanyName": "Provider", "Codebase": "v2025_1/", "VersionCode": "v2025.1",
            "CompanyID": COMPANY, "IsCloud": true})
    });
    match world.ordered(Place::CodeBase, 1) {
        Some(fault) if is_whole(&fault) => Told::Broken(fault, 200, info),
        _ if company != COMPANY => told(200, MEDIA, Value::Null),
        _ => told(200, MEDIA, info),
    }
}

/// Returns which rows a request is about, by their ids.
fn rows(world: &World, asked: &Asked<'_>, place: Place) -> Result<Vec<u64>, Told> {
    let known = ["pageSize", "pageId", "page", "conditions"];
    if let Some((name, _)) = asked.parameters.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(told(400, MEDIA, json!({"code": "InvalidParameter", "message": name})));
    }
    let company = match asked.parameter(world, "conditions") {
        None => None,
        Some(conditions) => match conditions.strip_prefix("company/id=").map(str::parse::<u64>) {
            Some(Ok(company)) => Some(company),
            _ => return Err(told(400, MEDIA, json!({"code": "InvalidCondition", "message": conditions}))),
        },
    };
    let mut ids: Vec<u64> = match place {
        Place::Companies => world.companies.iter().map(|company| company.id).collect(),
        _ => world
            .people
            .iter()
            .filter(|person| company.is_none() || person.company == company)
            .map(|person| person.id)
            .collect(),
    };
    ids.sort_unstable();
    Ok(ids)
}

fn list(world: &mut World, asked: &Asked<'_>, place: Place) -> Told {
    let is_forward = asked.header("pagination-type") == "forward-only" && !world.wrong.counts_pages;
    let number = |name: &str| asked.parameters.iter().find(|(known, _)| known == name)?.1.parse::<u64>().ok();
    let asked_size = number("pageSize").and_then(|size| usize::try_from(size).ok()).unwrap_or(USUAL);
    let size = asked_size.min(MOST).min(world.wrong.page_cap.unwrap_or(MOST));
    let after = number("pageId").unwrap_or_default();
    let page = number("page").and_then(|page| usize::try_from(page).ok()).unwrap_or(1);
    let before = match rows(world, asked, place) {
        Ok(ids) => ids,
        Err(refused) => return refused,
    };
    let nth = if is_forward { before.iter().filter(|id| **id <= after).count() / size + 1 } else { page };
    let fault = world.ordered(place, nth);
    let ids = rows(world, asked, place).unwrap_or_default();
    let rest: Vec<u64> = if is_forward {
        ids.into_iter().filter(|id| *id > after).collect()
    } else {
        ids.into_iter().skip((page - 1) * size).collect()
    };
    let more = rest.len() > size;
    let page_ids = &rest[..size.min(rest.len())];
    let mut rows: Vec<Value> = match place {
        Place::Companies => {
            world.companies.iter().filter(|company| page_ids.contains(&company.id)).map(company_row).collect()
        }
        _ => {
            let wanted: std::collections::BTreeSet<u64> = page_ids.iter().copied().collect();
            let hides = world.wrong.hides_communication;
            world
                .people
                .iter()
                .filter(|person| wanted.contains(&person.id))
                .map(|person| person_row(person, hides))
                .collect()
        }
    };
    rows.sort_by_key(|row| row["id"].as_u64());
    spoiled(fault.as_ref(), &mut rows, None);
    let mut link = String::new();
    if more {
        let mut next = url::Url::parse(&format!("{}{}", world.root, asked.seen.path)).expect("an address");
        for (name, value) in asked.parameters.iter().filter(|(name, _)| name != "pageId" && name != "page") {
            next.query_pairs_mut().append_pair(name, value);
        }
        let (name, value) = match page_ids.last() {
            Some(last) if is_forward => ("pageId", last.to_string()),
            _ => ("page", (page + 1).to_string()),
        };
        next.query_pairs_mut().append_pair(name, &value);
        link = format!("<{next}>; rel=\"next\"");
    }
    let headers = match &fault {
        Some(Fault::NoLink) => Vec::new(),
        Some(Fault::Link(link)) => vec![("link", link.clone())],
        _ => vec![("link", link)],
    };
    match fault {
        Some(fault) if is_whole(&fault) => Told::Broken(fault, 200, json!(rows)),
        _ => Told::Answer { status: 200, media: MEDIA, body: json!(rows), headers },
    }
}

fn company_row(company: &FakeCompany) -> Value {
    json!({"id": company.id, "identifier": company.name.replace(' ', ""), "name": company.name,
        "status": {"id": 1, "name": company.status}, "types": [{"id": 1, "name": company.kind}],
        "deletedFlag": company.is_archived, "_info": {"lastUpdated": "2026-11-22T12:00:00Z"}})
}

fn person_row(person: &FakePerson, hides_communication: bool) -> Value {
    let mut row = json!({"id": person.id, "firstName": person.first_name, "inactiveFlag": person.is_archived,
        "types": [], "unsubscribeFlag": false, "_info": {"lastUpdated": "2026-11-22T12:00:00Z"}});
    if let Some(company) = person.company {
        row["company"] = json!({"id": company, "identifier": format!("C{company}"), "name": "of no use"});
    }
    if !person.last_name.is_empty() {
        row["lastName"] = json!(person.last_name);
    }
    if let Some(title) = &person.title {
        row["title"] = json!(title);
    }
    if let Some(kind) = &person.kind {
        row["types"] = json!([{"id": 11, "name": kind}]);
    }
    if let Some(notes) = &person.notes {
        row["userDefinedField10"] = json!(notes);
    }
    if !person.emails.is_empty() && !hides_communication {
        let mut items = vec![json!({"id": 1, "type": {"id": 2, "name": "Direct"}, "value": "555 0100",
            "communicationType": "Phone"})];
        items.extend(person.emails.iter().map(|email| {
            json!({"id": 2, "contactId": person.id, "type": {"id": EMAIL_TYPE, "name": "Email"}, "value": email,
                "communicationType": "Email"})
        }));
        row["communicationItems"] = json!(items);
    }
    for (name, value) in &person.members {
        row[name] = value.clone();
    }
    row
}

fn create(world: &mut World, asked: &Asked<'_>) -> Told {
    let fault = world.ordered(Place::Create, 1);
    if let Some(fault) = fault.clone().filter(is_whole) {
        return Told::Broken(fault, 201, Value::Null);
    }
    let body = &asked.seen.body;
    let invalid = |field: &str| {
        told(
            400,
            MEDIA,
            json!({"code": "InvalidObject", "message": "contact object is invalid", "errors": [
            {"code": "MissingRequiredField", "message": "is not as it has to be", "resource": "contact",
                "field": field}]}),
        )
    };
    if !asked.header("content-type").starts_with("application/json") {
        return told(415, MEDIA, json!({"code": "UnsupportedMediaType", "message": "Only JSON."}));
    }
    let Some(first) = body["firstName"].as_str().filter(|name| !name.is_empty()) else {
        return invalid("firstName");
    };
    let Some(company) = body["company"]["id"].as_u64().filter(|id| world.company(*id).is_some()) else {
        return invalid("company/id");
    };
    let items = body["communicationItems"].as_array().cloned().unwrap_or_default();
    if items.iter().any(|item| item["type"]["id"] != EMAIL_TYPE || item["communicationType"] != "Email") {
        return invalid("communicationItems/type");
    }
    let notes = body["userDefinedField10"].as_str().map(str::to_owned);
    if notes.as_ref().is_some_and(|notes| notes.chars().count() > 50) {
        return invalid("userDefinedField10");
    }
    let emails = items.iter().filter_map(|item| item["value"].as_str().map(str::to_owned)).collect();
    let last = body["lastName"].as_str().unwrap_or_default();
    world.add(Some(company), first, last, emails);
    let made = world.people.last_mut().expect("the new one");
    made.notes = notes;
    let mut row = person_row(made, world.wrong.hides_communication);
    match fault {
        Some(Fault::LostAnswer) => return Told::Broken(Fault::LostAnswer, 201, Value::Null),
        Some(Fault::WithoutId) => drop(row.as_object_mut().expect("a row").remove("id")),
        Some(Fault::Another) => row["company"]["id"] = json!(999),
        _ => {}
    }
    told(201, MEDIA, row)
}
