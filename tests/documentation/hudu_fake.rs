//! How the stand-in for Hudu answers: parameters that it does not know do nothing, nothing tells how many rows
//! there are, and people are assets.

use serde_json::{Value, json};

use super::fake::{
    Asked, FakeCompany, FakePerson, Fault, LAYOUT, Place, Told, World, is_whole, spoiled, told,
};

const MEDIA: &str = "application/json";

/// What comes in a page where nobody asks.
const USUAL: usize = 25;

pub(super) fn answer(world: &mut World, asked: &Asked<'_>, place: &mut Option<Place>) -> Told {
    let path = asked.seen.path.clone();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let Some(rest) = parts.strip_prefix(&["api", "v1"]) else {
        return Told::Broken(Fault::Html(404), 404, Value::Null);
    };
    *place = match (asked.seen.method.as_str(), rest) {
        ("GET", ["companies"]) => Some(Place::Companies),
        ("GET", ["assets"]) => Some(Place::Contacts),
        ("GET", ["asset_layouts", _]) => Some(Place::Layout),
        ("POST", ["companies", _, "assets"]) => Some(Place::Create),
        _ => None,
    };
    if asked.header("x-api-key") != world.key {
        let status = world.wrong.unauthorised.unwrap_or(401);
        return told(status, MEDIA, json!({"error": "Who is there?"}));
    }
    match *place {
        Some(Place::Companies) => list(world, asked, Place::Companies),
        Some(Place::Contacts) => list(world, asked, Place::Contacts),
        Some(Place::Layout) => layout(world, rest[1]),
        Some(Place::Create) => create(world, asked, rest[1]),
        // A page for people, as for every address of the instance.
        _ => Told::Broken(Fault::Html(404), 404, Value::Null),
    }
}

fn list(world: &mut World, asked: &Asked<'_>, place: Place) -> Told {
    let number =
        |world: &World, name: &str| asked.parameter(world, name).and_then(|value| value.parse().ok());
    let page: usize = number(world, "page").unwrap_or(1).max(1);
    let size: usize = number(world, "page_size").unwrap_or(USUAL);
    let nth =
        asked.parameters.iter().find(|(name, _)| name == "page").and_then(|(_, page)| page.parse().ok());
    let fault = world.ordered(place, nth.unwrap_or(1));
    let (name, mut rows): (&str, Vec<Value>) = if place == Place::Companies {
        let Some((companies, _)) = world.cut(world.companies.iter().collect(), page, size) else {
            return Told::Broken(Fault::Html(504), 504, Value::Null);
        };
        ("companies", companies.into_iter().map(|company| company_row(company, &world.root)).collect())
    } else {
        let company = number(world, "company_id").and_then(|id: usize| u64::try_from(id).ok());
        let layout = number(world, "asset_layout_id").and_then(|id: usize| u64::try_from(id).ok());
        let shows_all = world.wrong.ignored.contains("archived");
        let is_archived = asked.parameter(world, "archived") == Some("true");
        let people: Vec<&FakePerson> = world
            .people
            .iter()
            .filter(|person| company.is_none() || person.company == company)
            .filter(|person| layout.is_none_or(|layout| person.layout == layout))
            .filter(|person| shows_all || person.is_archived == is_archived)
            .collect();
        let Some((people, _)) = world.cut(people, page, size) else {
            return Told::Broken(Fault::Html(504), 504, Value::Null);
        };
        ("assets", people.into_iter().map(person_row).collect())
    };
    spoiled(fault.as_ref(), &mut rows, None);
    let body = json!({name: rows});
    match fault {
        Some(fault) if is_whole(&fault) => Told::Broken(fault, 200, body),
        _ => told(200, MEDIA, body),
    }
}

fn company_row(company: &FakeCompany, root: &str) -> Value {
    let slug = format!("c-{}", company.id);
    let integrations: Vec<Value> = company
        .psa_id
        .iter()
        .map(|id| json!({"integrator_id": 3, "integrator_name": "cw_manage", "sync_id": id, "identifier": null}))
        .chain([json!({"integrator_id": 4, "integrator_name": "other", "sync_id": 99_999})])
        .collect();
    json!({"id": company.id, "slug": slug, "name": company.name, "nickname": null,
        "company_type": company.kind, "parent_company_id": null, "id_number": "", "archived": company.is_archived,
        "url": format!("/companies/{slug}"), "full_url": format!("{root}/companies/{slug}"),
        "integrations": integrations})
}

fn person_row(person: &FakePerson) -> Value {
    // The first address is the asset's own, all others are fields.
    let (primary, others) = match person.emails.split_first() {
        Some((primary, others)) => (json!(primary), others),
        None => (Value::Null, &[][..]),
    };
    let field = |label: &str, value: Value| json!({"id": 1, "label": label, "value": value, "position": 1});
    let mut fields = vec![
        field("Manager E-mail", json!("boss@contoso.test")),
        field("VIP", json!(true)),
        field("Microsoft 365", json!("<div>nothing to see</div>")),
    ];
    fields.extend(others.iter().map(|email| field("Email Address", json!(email))));
    fields.extend(person.title.iter().map(|title| field("Job Title", json!(title))));
    fields.extend(person.notes.iter().map(|notes| field("Notes", json!(format!("<p>{notes}</p>")))));
    let cards: Vec<Value> = person
        .psa_id
        .iter()
        .map(|id| {
            json!({"id": 77, "integrator_id": 3, "integrator_name": "cw_manage", "sync_type": "contact",
                "sync_id": id, "sync_identifier": null, "data": {"id": id, "communicationItems": []}})
        })
        .collect();
    let mut row = json!({"id": person.id, "company_id": person.company, "asset_layout_id": person.layout,
        "slug": format!("a-{}", person.id), "primary_serial": null, "primary_mail": primary,
        "name": format!("{} {}", person.first_name, person.last_name).trim(), "archived": person.is_archived,
        "url": format!("/a/a-{}", person.id), "fields": fields, "cards": cards});
    for (name, value) in &person.members {
        row[name] = value.clone();
    }
    row
}

fn layout(world: &mut World, id: &str) -> Told {
    let field = |label: &str, kind: &str| json!({"label": label, "field_type": kind, "required": false});
    let mut fields = vec![field("Manager E-mail", "Text"), field("VIP", "CheckBox")];
    if world.wrong.has_fields {
        fields.push(field("Email Address", "Email"));
        fields.push(field("Notes", "RichText"));
    }
    // One that is not there is `null`, and fine.
    let body = if id.parse() == Ok(LAYOUT) {
        json!({"asset_layout": {"id": LAYOUT, "name": "People", "fields": fields}})
    } else {
        Value::Null
    };
    match world.ordered(Place::Layout, 1) {
        Some(fault) if is_whole(&fault) => Told::Broken(fault, 200, body),
        _ => told(200, MEDIA, body),
    }
}

fn create(world: &mut World, asked: &Asked<'_>, company: &str) -> Told {
    let fault = world.ordered(Place::Create, 1);
    if let Some(fault) = fault.clone().filter(is_whole) {
        return Told::Broken(fault, 201, Value::Null);
    }
    let id = company.parse::<u64>().ok().filter(|id| world.company(*id).is_some());
    let Some(company) = id else { return told(200, MEDIA, Value::Null) };
    let asset = &asked.seen.body["asset"];
    if !asset.is_object() {
        let details = "param is missing or the value is empty: asset";
        return told(400, MEDIA, json!({"error": "Parameter missing", "details": details}));
    }
    let Some(name) = asset["name"].as_str().filter(|name| !name.is_empty()) else {
        return told(422, MEDIA, json!({"errors": {"name": ["can't be blank"]}}));
    };
    if asset["asset_layout_id"] != LAYOUT {
        return told(500, MEDIA, json!({"status": 500, "error": "Internal Server Error"}));
    }
    let mut notes = None;
    let mut emails: Vec<String> = asset["primary_mail"].as_str().map(str::to_owned).into_iter().collect();
    if let Some(fields) = asset.get("custom_fields") {
        let Some(fields) = fields.as_array() else {
            return told(422, MEDIA, json!({"errors": "custom_fields must be an array of objects"}));
        };
        let known = |name: &str| world.wrong.has_fields && ["email_address", "notes"].contains(&name);
        for (name, value) in fields.iter().filter_map(Value::as_object).flatten() {
            match name.as_str() {
                name if !known(name) => {
                    return told(422, MEDIA, json!({"errors": format!("{name} is unknown")}));
                }
                "notes" => notes = value.as_str().map(str::to_owned),
                _ => emails.extend(value.as_str().map(str::to_owned)),
            }
        }
    }
    emails.dedup();
    let (first, last) = name.split_once(' ').unwrap_or((name, ""));
    world.add(Some(company), first, last, emails);
    let made = world.people.last_mut().expect("the new one");
    made.notes = notes;
    let mut body = json!({"asset": person_row(made)});
    match fault {
        Some(Fault::LostAnswer) => return Told::Broken(Fault::LostAnswer, 201, Value::Null),
        Some(Fault::WithoutId) => drop(body["asset"].as_object_mut().expect("a row").remove("id")),
        Some(Fault::Another) => body["asset"]["asset_layout_id"] = json!(LAYOUT + 1),
        _ => {}
    }
    told(201, MEDIA, body)
}
