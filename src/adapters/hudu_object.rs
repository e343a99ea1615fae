//! What Hudu's JSON looks like: companies, and the assets that are people, with what their fields and cards say.

use serde_json::{Value, json};
use url::Url;

use crate::adapters::http_row::{each_once, id, is_true, joined, list, text};
use crate::model::contact::{Contact, ContactKind, CrossLink, Organization, Product, address_key};
use crate::model::text::Text;

/// The labels of fields that hold the person's own address, without case. A field `Manager E-mail` holds
/// somebody else's, so that no label counts that only contains one of them.
const ADDRESS_LABELS: [&str; 14] = [
    "email",
    "e-mail",
    "mail",
    "email address",
    "e-mail address",
    "primary email",
    "primary e-mail",
    "work email",
    "work e-mail",
    "upn",
    "user principal name",
    "userprincipalname",
    "microsoft 365 email",
    "office 365 email",
];

/// The labels of fields that a person should know of before choosing somebody.
const TITLE_LABELS: [&str; 2] = ["title", "job title"];

/// The labels of fields that may hold a mark.
const NOTE_LABELS: [&str; 2] = ["notes", "note"];

/// The types of fields that take an address, and those that take a mark.
const ADDRESS_TYPES: [&str; 3] = ["text", "email", "copyabletext"];
const NOTE_TYPES: [&str; 3] = ["text", "richtext", "copyabletext"];

/// Hudu's name of the integration with ConnectWise PSA.
const CONNECT_WISE: &str = "cw_manage";

/// What a card is about, where it is about a contact.
const CONTACT: &str = "contact";

/// Returns the rows of a page.
///
/// # Errors
/// If there are none, not even an empty list.
pub(crate) fn rows<'a>(page: &'a Value, name: &str) -> Result<&'a [Value], String> {
    match page.get(name) {
        Some(Value::Array(rows)) => Ok(rows),
        _ => Err(format!("there is no list `{name}`")),
    }
}

/// Whether a label is one of a list.
fn is_one_of(label: &Value, labels: &[&str]) -> bool {
    label.as_str().is_some_and(|label| labels.iter().any(|known| known.eq_ignore_ascii_case(label.trim())))
}

/// Returns the texts of a field's value: one, several of a list, or those of a number or a flag none.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![without_tags(text)],
        Value::Array(values) => values.iter().filter_map(Value::as_str).map(without_tags).collect(),
        _ => Vec::new(),
    }
}

/// Takes HTML's tags out of a text. What is left is compared as a whole, so that nothing can be hidden in it.
fn without_tags(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut is_tag = false;
    for character in text.chars() {
        match character {
            '<' => is_tag = true,
            '>' if is_tag => is_tag = false,
            _ if is_tag => {}
            other => left.push(other),
        }
    }
    left
}

/// Whether one of an asset's fields holds a mark.
pub(crate) fn has_mark(row: &Value, mark: &str) -> bool {
    let fields = row["fields"].as_array().into_iter().flatten();
    fields.flat_map(|field| texts(&field["value"])).any(|text| text.contains(mark))
}

/// Reads an asset that is a person.
///
/// # Errors
/// If its addresses cannot be told: a contact without the one that it has would be no contact of its owner's.
pub(crate) fn contact(row: &Value, id: Text, organization: Text, instance: &Url) -> Result<Contact, String> {
    let fields = list(row, "fields")?;
    let mut addresses: Vec<Text> = row["primary_mail"].as_str().and_then(address_key).into_iter().collect();
    // Label and value of one and the same field: those of two fields may be about two people.
    for field in fields.iter().filter(|field| is_one_of(&field["label"], &ADDRESS_LABELS)) {
        addresses.extend(texts(&field["value"]).iter().filter_map(|text| address_key(text)));
    }
    let mut links = Vec::new();
    for card in list(row, "cards")?.iter().filter(|card| is_contact_card(card)) {
        addresses.extend(card_addresses(&card["data"]));
        links.extend(link(card));
    }
    links.sort_unstable();
    links.dedup();
    let title = fields.iter().find(|field| is_one_of(&field["label"], &TITLE_LABELS));
    Ok(Contact {
        id,
        kind: ContactKind::Person,
        organization,
        name: text(&row["name"]).unwrap_or_default(),
        first_name: None,
        last_name: None,
        addresses: each_once(addresses),
        username: None,
        category: None,
        links,
        is_archived: is_true(&row["archived"]),
        remark: joined([title.and_then(|title| text(&title["value"]))]),
        url: shown_at(row, instance),
    })
}

/// Whether a card is that of a contact of ConnectWise PSA.
fn is_contact_card(card: &Value) -> bool {
    is_one_of(&card["integrator_name"], &[CONNECT_WISE]) && is_one_of(&card["sync_type"], &[CONTACT])
}

/// Returns the addresses that ConnectWise PSA knows of the contact of a card: kind and value of the same item.
fn card_addresses(data: &Value) -> impl Iterator<Item = Text> {
    let items = data["communicationItems"].as_array().into_iter().flatten();
    items
        .filter(|item| is_one_of(&item["communicationType"], &["email"]))
        .filter_map(|item| address_key(item["value"].as_str()?))
}

/// Returns what a card or an integration leads to at ConnectWise PSA.
fn link(card: &Value) -> Option<CrossLink> {
    is_one_of(&card["integrator_name"], &[CONNECT_WISE])
        .then(|| id(&card["sync_id"]))
        .flatten()
        .map(|id| CrossLink { product: Some(Product::ConnectWise), id })
}

/// Returns where a row can be looked at: at this instance and nowhere else.
fn shown_at(row: &Value, instance: &Url) -> Option<Text> {
    let written = ["full_url", "url"].into_iter().filter_map(|name| row[name].as_str());
    let mut found = written
        .filter(|written| !written.is_empty())
        .filter_map(|written| instance.join(written).ok().filter(|url| url.origin() == instance.origin()));
    found.next().map(|url| Text::from(url.as_str()))
}

/// Reads a company.
pub(crate) fn company_of(row: &Value, id: Text) -> Organization {
    let mut links: Vec<CrossLink> =
        row["integrations"].as_array().into_iter().flatten().filter_map(link).collect();
    links.sort_unstable();
    links.dedup();
    Organization {
        id,
        name: text(&row["name"]).unwrap_or_default(),
        types: text(&row["company_type"]).into_iter().collect(),
        status: None,
        is_archived: is_true(&row["archived"]),
        is_primary: false,
        links,
    }
}

/// Returns the custom fields of a new asset that its layout has a place for: the address and the mark. What
/// the layout looks like is not relied on: without a field that is known to be for them there are none.
pub(crate) fn custom_fields(layout: &Value, address: &str, mark: &str) -> Vec<Value> {
    let layout = layout.get("asset_layout").unwrap_or(layout);
    let fields = || layout["fields"].as_array().into_iter().flatten();
    let of = |labels: &[&str], types: &[&str]| {
        fields()
            .find(|field| is_one_of(&field["label"], labels) && is_one_of(&field["field_type"], types))
            .and_then(|field| field["label"].as_str())
            .map(snake_case)
    };
    let address = of(&ADDRESS_LABELS, &ADDRESS_TYPES).map(|label| json!({label: address}));
    let mark = of(&NOTE_LABELS, &NOTE_TYPES).map(|label| json!({label: mark}));
    address.into_iter().chain(mark).collect()
}

/// Returns a label as custom fields are named: in lower case, with underscores for blanks.
fn snake_case(label: &str) -> String {
    label.trim().to_lowercase().replace(' ', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact_of(row: &Value) -> Contact {
        let instance = Url::parse("https://docs.provider.test").expect("an address");
        contact(row, Text::from("7"), Text::from("2"), &instance).expect("a contact")
    }

    #[test]
    fn label_and_value_are_those_of_one_field() {
        let field = |label: &str, value: Value| json!({"label": label, "value": value});
        let row = json!({"name": "Ada", "primary_mail": " Ada@Contoso.test", "fields": [
            field("Manager E-mail", json!("boss@contoso.test")),
            field("Email Address", json!("a.lovelace@contoso.test")),
            field("Favourite", json!("other@contoso.test")),
            field("upn", json!("<p>ada@contoso.onmicrosoft.test</p>")),
            field("Work Email", json!(["one@contoso.test", 7, "no address"])),
            field("E-Mail", json!(7)), field("Mail", json!(null)), field("Email", json!({"odd": true})),
            field("Job Title", json!("CFO"))]});
        let contact = contact_of(&row);
        assert_eq!(
            contact.addresses,
            [
                "a.lovelace@contoso.test",
                "ada@contoso.onmicrosoft.test",
                "ada@contoso.test",
                "one@contoso.test"
            ]
        );
        assert_eq!(contact.remark.as_deref(), Some("CFO"));
    }

    #[test]
    fn cards_of_contacts_tell_addresses_and_whose_they_are() {
        let card = |name: &str, kind: &str, id: u64, address: &str| {
            json!({"integrator_name": name, "sync_type": kind, "sync_id": id, "data": {"communicationItems": [
                {"communicationType": "Email", "value": address},
                {"communicationType": "Phone", "value": "phone@contoso.test"}]}})
        };
        let row = json!({"cards": [
            card("cw_manage", "contact", 177, "ada@contoso.test"),
            card("cw_manage", "configuration", 178, "laptop@contoso.test"),
            card("autotask", "contact", 179, "else@contoso.test")]});
        let contact = contact_of(&row);
        assert_eq!(contact.addresses, ["ada@contoso.test"]);
        assert_eq!(contact.links.len(), 1);
        assert_eq!(contact.links[0].id, "177");
    }

    #[test]
    fn a_place_elsewhere_is_not_shown() {
        let at = |row: Value| contact_of(&row).url;
        assert_eq!(at(json!({"url": "/a/ada-1"})).as_deref(), Some("https://docs.provider.test/a/ada-1"));
        assert_eq!(
            at(json!({"full_url": "https://docs.provider.test/a/x", "url": "/a/ada-1"})).as_deref(),
            Some("https://docs.provider.test/a/x")
        );
        assert_eq!(
            at(json!({"full_url": "https://evil.test/a", "url": "/a/ada-1"})).as_deref(),
            Some("https://docs.provider.test/a/ada-1")
        );
        for elsewhere in ["//evil.test/a", "javascript:alert(1)", "https://evil.test", "\\\\evil.test"] {
            assert_eq!(at(json!({"url": elsewhere})), None, "{elsewhere}");
        }
    }

    #[test]
    fn lists_that_are_none_are_not_guessed() {
        let instance = Url::parse("https://docs.provider.test").expect("an address");
        for row in [json!({"fields": "odd"}), json!({"cards": {}})] {
            contact(&row, Text::from("7"), Text::from("2"), &instance).expect_err("no list");
        }
        assert!(contact_of(&json!({"fields": null})).addresses.is_empty());
    }

    #[test]
    fn custom_fields_are_those_that_the_layout_is_known_to_have() {
        let field = |label: &str, kind: &str| json!({"label": label, "field_type": kind});
        let fields = |fields: Vec<Value>| {
            custom_fields(&json!({"asset_layout": {"fields": fields}}), "ada@contoso.test", "mark")
        };
        assert_eq!(
            fields(vec![field("Phone", "Phone"), field("Email Address", "Text"), field("Notes", "RichText")]),
            [json!({"email_address": "ada@contoso.test"}), json!({"notes": "mark"})]
        );
        assert!(fields(vec![field("Manager E-mail", "Text"), field("Email", "CheckBox")]).is_empty());
        assert!(custom_fields(&json!([]), "a", "m").is_empty());
    }

    #[test]
    fn a_mark_is_found_in_any_field_with_or_without_tags() {
        let row = json!({"fields": [{"value": 7}, {"value": "<div>by <b>intake:1</b></div>"}]});
        assert!(has_mark(&row, "intake:1") && !has_mark(&row, "intake:2"));
    }
}
