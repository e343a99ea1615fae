//! Groups of the stand-in for Microsoft Graph and their members: strict about filters, properties,
//! pages and permissions.

use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use super::graph::{Cursor, FakeTenant, Fault, Place, Seen, World};
use super::graph_server::{
    GRAPH_JSON, Outcome, broken, expired_page, graph_error, response, selected, unknown_parameter,
};

/// What may be selected of a group here.
const GROUP_PROPERTIES: [&str; 9] = [
    "description",
    "displayName",
    "groupTypes",
    "id",
    "isAssignableToRole",
    "mailEnabled",
    "mailNickname",
    "securityEnabled",
    "visibility",
];

/// What may be selected of a member, whatever it is.
const MEMBER_PROPERTIES: [&str; 2] = ["displayName", "id"];

/// A group of a tenant, with its direct members in their order.
pub(super) struct FakeGroup {
    pub(super) object: Value,
    /// Each with its kind.
    pub(super) members: Vec<Value>,
}

impl FakeTenant {
    /// Adds a security group without members.
    pub(crate) fn group(&self, number: u32, name: &str) -> &Self {
        let object = json!({"id": group_id(number), "displayName": name, "securityEnabled": true,
            "mailEnabled": false, "groupTypes": [], "isAssignableToRole": null, "visibility": null});
        self.with(|tenant| tenant.groups.push(FakeGroup { object, members: Vec::new() }));
        self
    }

    /// Changes properties of a group.
    pub(crate) fn change_group(&self, number: u32, changes: Value) -> &Self {
        self.with_group(number, |group| {
            for (name, value) in changes.as_object().expect("an object of properties") {
                group.object[name] = value.clone();
            }
        })
    }

    /// Adds people to a group by their numbers.
    pub(crate) fn members(&self, number: u32, people: &[u32]) -> &Self {
        people.iter().for_each(|person| {
            self.member(number, "user", &super::graph::person_id(*person));
        });
        self
    }

    /// Adds something to a group: a user, a group, a device.
    pub(crate) fn member(&self, number: u32, kind: &str, id: &str) -> &Self {
        let member = json!({"@odata.type": format!("#microsoft.graph.{kind}"), "id": id, "displayName": format!("{kind} {id}")});
        self.with_group(number, |group| group.members.push(member))
    }

    /// Takes somebody out of a group.
    pub(crate) fn leave(&self, number: u32, person: u32) -> &Self {
        let id = super::graph::person_id(person);
        self.with_group(number, |group| group.members.retain(|member| member["id"] != id.as_str()))
    }

    /// Deletes a group.
    pub(crate) fn delete_group(&self, number: u32) -> &Self {
        self.with(|tenant| tenant.groups.retain(|group| group.object["id"] != group_id(number).as_str()));
        self
    }

    fn with_group(&self, number: u32, change: impl FnOnce(&mut FakeGroup)) -> &Self {
        self.with(|tenant| {
            let id = group_id(number);
            let group = tenant.groups.iter_mut().find(|group| group.object["id"] == id.as_str());
            change(group.expect("a group of this number"));
        });
        self
    }
}

/// Returns the id of a numbered group.
pub(crate) fn group_id(number: u32) -> String {
    format!("00000000-0000-4000-9000-{number:012}")
}

/// What a request for a listing asks for.
struct Asked {
    top: usize,
    select: Vec<String>,
    filter: Option<String>,
    offset: usize,
    page: usize,
    /// The query of the first page.
    query: String,
}

impl World {
    /// The listing of groups: here only by one name, or one id, as nobody should read them all.
    pub(super) fn groups(&mut self, domain: &str, seen: &Seen, parameters: &[(String, String)]) -> Outcome {
        let asked = match self.asked(domain, seen, parameters, &GROUP_PROPERTIES) {
            Ok(asked) => asked,
            Err(refusal) => return (*refusal).into(),
        };
        let Some((property, value)) = asked.filter.as_deref().and_then(equals) else {
            return graph_error(400, "BadRequest", "Invalid filter clause.").into();
        };
        let fits = |group: &&FakeGroup| {
            let own = group.object[&property].as_str().unwrap_or_default();
            own.to_lowercase() == value.to_lowercase()
        };
        let found = self.tenants[domain].groups.iter().filter(fits);
        let rows = found.map(|group| selected(&group.object, &asked.select)).collect();
        self.page_of(Place::Groups, domain, seen, &asked, rows)
    }

    /// The direct members of one group.
    pub(super) fn members(&mut self, domain: &str, seen: &Seen, parameters: &[(String, String)]) -> Outcome {
        let asked = match self.asked(domain, seen, parameters, &MEMBER_PROPERTIES) {
            Ok(asked) => asked,
            Err(refusal) => return (*refusal).into(),
        };
        if asked.filter.is_some() {
            return graph_error(400, "Request_UnsupportedQuery", "Unsupported query.").into();
        }
        let id = seen.path.split('/').nth(3).unwrap_or_default();
        let Some(group) = self.tenants[domain].groups.iter().find(|group| group.object["id"] == id) else {
            let message = format!(
                "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
            );
            return graph_error(404, "Request_ResourceNotFound", &message).into();
        };
        let row = |member: &Value| {
            let mut row = selected(member, &asked.select);
            row["@odata.type"] = member["@odata.type"].clone();
            row
        };
        let rows = group.members.iter().map(row).collect();
        self.page_of(Place::Members, domain, seen, &asked, rows)
    }

    fn asked(
        &self,
        domain: &str,
        seen: &Seen,
        parameters: &[(String, String)],
        properties: &[&str],
    ) -> Result<Asked, Box<Response<Body>>> {
        let query = seen.query.clone();
        let mut asked = Asked { top: 100, select: Vec::new(), filter: None, offset: 0, page: 1, query };
        for (name, value) in parameters {
            match name.as_str() {
                "$top" => match value.parse() {
                    Ok(number) if (1..=999).contains(&number) => asked.top = number,
                    _ => {
                        return Err(Box::new(graph_error(
                            400,
                            "Request_BadRequest",
                            "Invalid page size specified.",
                        )));
                    }
                },
                "$select" => {
                    asked.select = value.split(',').map(str::to_owned).collect();
                    if let Some(unknown) =
                        asked.select.iter().find(|name| !properties.contains(&name.as_str()))
                    {
                        let message = format!("Could not find a property named '{unknown}'.");
                        return Err(Box::new(graph_error(400, "BadRequest", &message)));
                    }
                }
                "$filter" => asked.filter = Some(value.clone()),
                "$skiptoken" => match self.cursors.get(value) {
                    Some(known) if known.domain == format!("{domain}{}", seen.path) => {
                        if !self.is_as_given(&seen.query, &format!("{}&$skiptoken={value}", known.query)) {
                            let message = "The link was not followed as it was given.";
                            return Err(Box::new(graph_error(400, "Request_BadRequest", message)));
                        }
                        if known.expired {
                            return Err(Box::new(expired_page()));
                        }
                        (asked.offset, asked.page, asked.query) =
                            (known.offset, known.page, known.query.clone());
                    }
                    _ => {
                        let code = "DirectoryPageTokenNotFoundException";
                        return Err(Box::new(graph_error(400, code, "Unknown token.")));
                    }
                },
                _ => return Err(Box::new(unknown_parameter(name))),
            }
        }
        Ok(asked)
    }

    /// One page of rows, with a link while there are more.
    fn page_of(
        &mut self,
        place: Place,
        domain: &str,
        seen: &Seen,
        asked: &Asked,
        mut rows: Vec<Value>,
    ) -> Outcome {
        let ordered = self.ordered(place, asked.page, domain);
        let limit = asked.top.min(self.tenants[domain].page_size);
        let size = if matches!(ordered, Some(Fault::EmptyPage)) { 0 } else { limit };
        let end = (asked.offset + size).min(rows.len());
        let is_last = end == rows.len() && size > 0;
        rows = rows.get(asked.offset..end).unwrap_or_default().to_vec();
        let mut page = json!({"@odata.context": format!("{}/v1.0/$metadata#x", self.root), "value": rows});
        if !is_last {
            let token = format!("RFNwdA{}", Uuid::new_v4().simple());
            let query = asked.query.clone();
            page["@odata.nextLink"] = json!(format!("{}{}?{query}&$skiptoken={token}", self.root, seen.path));
            let domain = format!("{domain}{}", seen.path);
            let cursor = Cursor { domain, offset: end, page: asked.page + 1, query, expired: false };
            self.cursors.insert(token, cursor);
        }
        match &ordered {
            Some(Fault::Missing(id)) => {
                page["value"].as_array_mut().expect("a list").retain(|row| row["id"] != id.as_str());
            }
            Some(Fault::DuplicateRows) => {
                let rows = page["value"].as_array_mut().expect("a list");
                rows.extend(rows.clone());
            }
            Some(Fault::RepeatedLink) => {
                page["@odata.nextLink"] = json!(format!("{}{}?{}", self.root, seen.path, seen.query));
            }
            Some(Fault::ForeignLink(foreign)) => page["@odata.nextLink"] = json!(foreign),
            Some(Fault::BrokenRow(row)) => page["value"][0] = row.clone(),
            Some(Fault::Hidden(name)) => {
                for row in page["value"].as_array_mut().expect("a list") {
                    row.as_object_mut().expect("an object").remove(*name);
                }
            }
            _ => {}
        }
        ordered
            .and_then(|fault| broken(&fault, &page))
            .unwrap_or_else(|| response(200, GRAPH_JSON, page.to_string()).into())
    }
}

/// Reads `displayName eq 'text'` or `id eq 'text'`; a quote within the text is written twice.
fn equals(filter: &str) -> Option<(String, String)> {
    let (property, rest) = filter.split_once(" eq '")?;
    let text = rest.strip_suffix('\'')?;
    let is_one_text = !text.replace("''", "").contains('\'');
    let is_known = ["displayName", "id"].contains(&property);
    (is_known && is_one_text).then(|| (property.to_owned(), text.replace("''", "'")))
}
