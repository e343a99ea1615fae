//! What IT Glue's JSON:API looks like: contacts, password entries and organisations, and the records of other
//! systems that they are synchronised with.

use std::collections::HashMap;

use serde_json::Value;
use url::{Host, Url};

use crate::adapters::http_row::{
    Reference, each_once, full_name, id, is_true, joined, list, reference, text,
};
use crate::model::contact::{Contact, ContactKind, CrossLink, Organization, Product, address_key};
use crate::model::text::Text;

/// The type of the records that tell what something is synchronised with.
const ADAPTERS: &str = "adapters-resources";

/// Where such a record may say which system it is about. None of them is documented.
const ADAPTER_NAMES: [&str; 6] =
    ["adapter-type", "adapter-name", "integration-type", "psa-integration-type", "resource-type", "name"];

/// Words that name another system than ConnectWise PSA: a record with one of them is about contacts that
/// Intake does not know.
const OTHER_SYSTEMS: [&str; 16] = [
    "automate",
    "control",
    "rmm",
    "autotask",
    "tigerpaw",
    "kaseya",
    "pulseway",
    "vorex",
    "halo",
    "syncro",
    "datto",
    "ninja",
    "microsoft",
    "office",
    "azure",
    "google",
];

/// What a page says about other systems: for each such record the product, where it is told, and the id there.
pub(crate) type Adapters = HashMap<Text, CrossLink>;

/// Returns the rows of a page.
///
/// # Errors
/// If there are none, not even an empty list.
pub(crate) fn rows(page: &Value) -> Result<&[Value], String> {
    match page.get("data") {
        Some(Value::Array(rows)) => Ok(rows),
        _ => Err("there is no list `data`".to_owned()),
    }
}

/// Returns how many rows the whole listing has. The vendor's own examples leave it out.
pub(crate) fn total(page: &Value) -> Option<usize> {
    let count = page.get("meta")?.get("total-count")?;
    let count = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
    usize::try_from(count).ok()
}

/// Whether the system says that no page comes after this one.
pub(crate) fn is_last(page: &Value) -> bool {
    page.get("meta").and_then(|meta| meta.get("next-page")).is_some_and(Value::is_null)
}

/// Returns the id of a row.
pub(crate) fn row_id(row: &Value) -> Option<Text> {
    id(row.get("id")?)
}

/// Returns an attribute of a row; absent ones are `null`.
fn attribute<'a>(row: &'a Value, name: &str) -> &'a Value {
    &row["attributes"][name]
}

/// Returns the organisation that a row belongs to.
pub(crate) fn organization(row: &Value) -> Reference {
    row.get("attributes").map_or(Reference::Unclear, |attributes| reference(attributes, "organization-id"))
}

/// Returns what may hold a mark.
pub(crate) fn notes(row: &Value) -> &str {
    attribute(row, "notes").as_str().unwrap_or_default()
}

/// Reads what a page says about other systems.
pub(crate) fn adapters(page: &Value) -> Adapters {
    let records = page.get("included").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let known = records.iter().filter(|record| record["type"] == ADAPTERS);
    known
        .filter_map(|record| {
            let there = id(attribute(record, "remote-id"))?;
            let words: Vec<String> = ADAPTER_NAMES
                .iter()
                .filter_map(|name| attribute(record, name).as_str())
                .map(str::to_ascii_lowercase)
                .collect();
            if words.iter().any(|word| OTHER_SYSTEMS.iter().any(|other| word.contains(other))) {
                return None;
            }
            let is_connect_wise =
                words.iter().any(|word| word.contains("connectwise") || word.contains("manage"));
            let product = is_connect_wise.then_some(Product::ConnectWise);
            Some((row_id(record)?, CrossLink { product, id: there }))
        })
        .collect()
}

/// Returns what a row is synchronised with.
fn links(row: &Value, adapters: &Adapters) -> Vec<CrossLink> {
    let data = &row["relationships"][ADAPTERS]["data"];
    let one = std::slice::from_ref(data);
    let named = data.as_array().map_or(one, Vec::as_slice);
    let mut links: Vec<CrossLink> =
        named.iter().filter_map(|named| adapters.get(&row_id(named)?).cloned()).collect();
    links.sort_unstable();
    links.dedup();
    links
}

/// Reads a contact of an organisation.
///
/// # Errors
/// If its addresses cannot be told: a contact without the one that it has would be no contact of its owner's.
pub(crate) fn contact(
    row: &Value,
    id: Text,
    organization: Text,
    adapters: &Adapters,
    api: &Url,
) -> Result<Contact, String> {
    let attributes = row.get("attributes").unwrap_or(&Value::Null);
    // All of them: the primary one alone may be an older one than the account's.
    let emails = list(attributes, "contact-emails")?;
    let addresses = each_once(emails.iter().filter_map(|email| address_key(email["value"].as_str()?)));
    let (first_name, last_name) = (text(&attributes["first-name"]), text(&attributes["last-name"]));
    let name = text(&attributes["name"]).or_else(|| full_name(first_name.as_ref(), last_name.as_ref()));
    Ok(Contact {
        id,
        kind: ContactKind::Person,
        organization,
        name: name.unwrap_or_default(),
        first_name,
        last_name,
        addresses,
        username: None,
        category: None,
        links: links(row, adapters),
        is_archived: is_true(&attributes["archived"]),
        remark: joined([text(&attributes["contact-type-name"]), text(&attributes["title"])]),
        url: shown_at(attributes, api),
    })
}

/// Reads a password entry: whose it is, and nothing else. What stands there besides is none of Intake's business.
pub(crate) fn password(row: &Value, id: Text, organization: Text, api: &Url) -> Contact {
    let attributes = row.get("attributes").unwrap_or(&Value::Null);
    Contact {
        // Contacts are numbered apart: one of them may have the same number.
        id: Text::from(format!("password/{id}")),
        kind: ContactKind::PasswordEntry,
        organization,
        name: text(&attributes["name"]).unwrap_or_default(),
        first_name: None,
        last_name: None,
        addresses: Vec::new(),
        username: text(&attributes["username"]),
        category: text(&attributes["password-category-name"]),
        links: Vec::new(),
        is_archived: is_true(&attributes["archived"]),
        remark: None,
        url: shown_at(attributes, api),
    }
}

/// Returns the name of a row that has little else: a category of password entries.
pub(crate) fn name(row: &Value) -> Option<Text> {
    text(attribute(row, "name"))
}

/// Reads an organisation.
pub(crate) fn organization_of(row: &Value, id: Text, adapters: &Adapters) -> Organization {
    Organization {
        id,
        name: text(attribute(row, "name")).unwrap_or_default(),
        types: text(attribute(row, "organization-type-name")).into_iter().collect(),
        status: text(attribute(row, "organization-status-name")),
        is_archived: is_true(attribute(row, "archived")),
        is_primary: is_true(attribute(row, "primary")),
        links: links(row, adapters),
    }
}

/// Returns where a row can be looked at: what it says itself, if that is a page of the same provider.
fn shown_at(attributes: &Value, api: &Url) -> Option<Text> {
    let written = attributes["resource-url"].as_str()?;
    let url = Url::parse(written).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let is_provider = match (url.host()?, api.host()?) {
        (Host::Domain(one), Host::Domain(other)) => registered(one) == registered(other),
        (one, other) => one == other,
    };
    is_provider.then(|| Text::from(url.as_str()))
}

/// Returns the last two names of a host, which one provider has: `itglue.com`.
fn registered(host: &str) -> (Option<&str>, Option<&str>) {
    let mut names = host.trim_end_matches('.').rsplit('.');
    (names.next(), names.next())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn api() -> Url {
        Url::parse("https://api.eu.itglue.com").expect("an address")
    }

    fn contact_of(row: &Value, adapters: &Adapters) -> Contact {
        contact(row, Text::from("7"), Text::from("2"), adapters, &api()).expect("a contact")
    }

    #[test]
    fn a_contact_has_all_its_addresses_and_what_a_person_should_know() {
        let row = json!({"id": "7", "attributes": {
            "organization-id": 2, "first-name": "Ada", "last-name": "O'Hara", "title": "CFO",
            "contact-type-name": "Approver", "resource-url": "https://acme.itglue.com/2/contacts/7",
            "contact-emails": [
                {"value": "Ada@Contoso.test", "primary": true, "label-name": "Work"},
                {"value": "ada@home.test", "primary": false}, {"value": "ada@home.test"},
                {"value": null}, {"value": "no address"}, "odd"]}});
        let contact = contact_of(&row, &Adapters::new());
        assert_eq!(contact.addresses, ["ada@contoso.test", "ada@home.test"]);
        assert_eq!(contact.name, "Ada O'Hara");
        assert_eq!(contact.remark.as_deref(), Some("Approver, CFO"));
        assert_eq!(contact.url.as_deref(), Some("https://acme.itglue.com/2/contacts/7"));
    }

    #[test]
    fn a_contact_whose_addresses_cannot_be_told_is_none() {
        for emails in [json!("ada@contoso.test"), json!({"value": "ada@contoso.test"}), json!(7)] {
            let row = json!({"id": "7", "attributes": {"contact-emails": emails}});
            contact(&row, Text::from("7"), Text::from("2"), &Adapters::new(), &api()).expect_err("no list");
        }
        for none in [json!({}), json!({"contact-emails": null}), json!({"contact-emails": []})] {
            assert!(contact_of(&json!({"attributes": none}), &Adapters::new()).addresses.is_empty());
        }
    }

    #[test]
    fn a_place_elsewhere_is_not_shown() {
        for elsewhere in ["https://itglue.com.evil.test/7", "javascript:alert(1)", "/2/contacts/7", ""] {
            let row = json!({"attributes": {"resource-url": elsewhere}});
            assert_eq!(contact_of(&row, &Adapters::new()).url, None, "{elsewhere}");
        }
    }

    #[test]
    fn records_of_other_systems_tell_an_id_and_perhaps_whose() {
        let record =
            |id: &str, attributes: Value| json!({"id": id, "type": ADAPTERS, "attributes": attributes});
        let page = json!({"included": [
            record("1", json!({"remote-id": 132})),
            record("2", json!({"remote-id": "133", "adapter-type": "ConnectWise Manage"})),
            record("3", json!({"remote-id": "134", "adapter-name": "Autotask"})),
            record("4", json!({"remote-id": "135", "adapter-type": "connectwise-automate"})),
            record("5", json!({"remote-id": null})),
            {"id": "6", "type": "attachments", "attributes": {"remote-id": "136"}}]});
        let adapters = adapters(&page);
        let named = |ids: &[&str]| {
            let data: Vec<Value> = ids.iter().map(|id| json!({"id": id, "type": ADAPTERS})).collect();
            links(&json!({"relationships": {ADAPTERS: {"data": data}}}), &adapters)
        };
        let link = |product, id: &str| CrossLink { product, id: Text::from(id) };
        assert_eq!(
            named(&["2", "1", "3", "4", "5", "6", "9"]),
            [link(None, "132"), link(Some(Product::ConnectWise), "133")]
        );
        assert_eq!(
            links(&json!({"relationships": {ADAPTERS: {"data": {"id": "1"}}}}), &adapters),
            [link(None, "132")]
        );
        assert!(links(&json!({}), &adapters).is_empty());
    }

    #[test]
    fn of_a_password_entry_nothing_is_kept_but_whose_it_is() {
        let row = json!({"id": "54", "attributes": {"name": "Domain admin", "username": "CONTOSO\\ada",
            "password-category-name": "active directory", "password": "hush", "notes": "hush"}});
        let entry = password(&row, Text::from("54"), Text::from("2"), &api());
        assert_eq!(entry.id, "password/54");
        assert_eq!(entry.username.as_deref(), Some("CONTOSO\\ada"));
        assert_eq!(entry.category.as_deref(), Some("active directory"));
        assert!(!format!("{entry:?}").contains("hush"));
    }
}
