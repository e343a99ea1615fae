//! What ConnectWise PSA's JSON looks like: contacts with the ways to reach them, and companies.
//!
//! It leaves members out that have no value: a contact without a member `company` belongs to none.

use serde_json::Value;

use crate::adapters::http_row::{
    Reference, each_once, full_name, id, is_true, joined, list, reference, text,
};
use crate::model::contact::{Contact, ContactKind, Organization, address_key};
use crate::model::text::Text;

/// The text fields that a provider may use as it likes.
const USER_DEFINED: [&str; 10] = [
    "userDefinedField1",
    "userDefinedField2",
    "userDefinedField3",
    "userDefinedField4",
    "userDefinedField5",
    "userDefinedField6",
    "userDefinedField7",
    "userDefinedField8",
    "userDefinedField9",
    "userDefinedField10",
];

/// The field that the mark of a new contact is written to, and how many characters it takes.
pub(crate) const MARK_FIELD: &str = USER_DEFINED[9];
pub(crate) const LONGEST_MARK: usize = 50;

/// Returns the rows of a page.
///
/// # Errors
/// If it is no list, not even an empty one.
pub(crate) fn rows(page: &Value) -> Result<&[Value], String> {
    page.as_array().map(Vec::as_slice).ok_or_else(|| "that is no list".to_owned())
}

/// Returns the company of a contact.
pub(crate) fn company(row: &Value) -> Reference {
    match row.get("company") {
        None | Some(Value::Null) => Reference::Nothing,
        Some(company) => match reference(company, "id") {
            Reference::Nothing => Reference::Unclear,
            told => told,
        },
    }
}

/// Whether one of the fields that are free to use holds a mark.
pub(crate) fn has_mark(row: &Value, mark: &str) -> bool {
    USER_DEFINED.iter().any(|name| row[name].as_str().is_some_and(|text| text.contains(mark)))
}

/// Reads a contact of a company.
///
/// # Errors
/// If its addresses cannot be told: a contact without the one that it has would be no contact of its owner's.
pub(crate) fn contact(row: &Value, id: Text, organization: Text) -> Result<Contact, String> {
    // By its kind, and never by its type: types are numbered by each provider as it likes.
    let is_email = |item: &&Value| {
        item["communicationType"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("Email"))
    };
    let items = list(row, "communicationItems")?;
    let addresses =
        each_once(items.iter().filter(is_email).filter_map(|item| address_key(item["value"].as_str()?)));
    let (first_name, last_name) = (text(&row["firstName"]), text(&row["lastName"]));
    Ok(Contact {
        id,
        kind: ContactKind::Person,
        organization,
        name: full_name(first_name.as_ref(), last_name.as_ref()).unwrap_or_default(),
        first_name,
        last_name,
        addresses,
        username: None,
        category: None,
        links: Vec::new(),
        is_archived: is_true(&row["inactiveFlag"]),
        remark: joined(names(&row["types"]).into_iter().map(Some).chain([text(&row["title"])])),
        url: None,
    })
}

/// Reads a company.
pub(crate) fn company_of(row: &Value, id: Text) -> Organization {
    Organization {
        id,
        name: text(&row["name"]).unwrap_or_default(),
        types: names(&row["types"]),
        status: text(&row["status"]["name"]),
        is_archived: is_true(&row["deletedFlag"]),
        is_primary: false,
        links: Vec::new(),
    }
}

/// Returns the names of a list of references.
fn names(list: &Value) -> Vec<Text> {
    list.as_array().into_iter().flatten().filter_map(|one| text(&one["name"])).collect()
}

/// Returns the type that a new contact's e-mail address is of: the provider's usual one, or the first.
pub(crate) fn email_type(types: &Value) -> Option<Text> {
    let of_email = || types.as_array().into_iter().flatten().filter(|one| is_true(&one["emailFlag"]));
    let usual = of_email().find(|one| is_true(&one["defaultFlag"]));
    id(usual.or_else(|| of_email().next())?.get("id")?)
}

/// Returns the code base that a system names, if it is one: the name of a folder, with the slash after it.
pub(crate) fn code_base(told: &Value) -> Option<String> {
    let written = told.get("Codebase")?.as_str()?;
    let name = written.strip_suffix('/').unwrap_or(written);
    let is_sound = (1..=64).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    is_sound.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_those_of_its_e_mail_items_alone() {
        let row = json!({"id": 7, "firstName": "Ada", "types": [{"id": 1, "name": "No Longer Employed"}],
            "title": "CFO", "inactiveFlag": false, "communicationItems": [
                {"type": {"id": 1, "name": "Email"}, "value": "phone@contoso.test", "communicationType": "Phone"},
                {"type": {"id": 2, "name": "Direct"}, "value": "Ada@Contoso.test", "communicationType": "Email"},
                {"value": "a@contoso.test"}, {"value": 7, "communicationType": "Email"}, null]});
        let contact = contact(&row, Text::from("7"), Text::from("2")).expect("a contact");
        assert_eq!(contact.addresses, ["ada@contoso.test"]);
        assert_eq!(contact.remark.as_deref(), Some("No Longer Employed, CFO"));
        assert_eq!((contact.name.as_str(), contact.is_archived), ("Ada", false));
    }

    #[test]
    fn items_that_are_absent_are_none_and_others_are_not_guessed() {
        let read = |row: &Value| contact(row, Text::from("7"), Text::from("2"));
        assert!(read(&json!({"id": 7})).expect("a contact").addresses.is_empty());
        read(&json!({"id": 7, "communicationItems": {"value": "a@b.test"}})).expect_err("no list");
    }

    #[test]
    fn whoever_has_no_company_is_told_apart_from_whoever_has_an_unclear_one() {
        assert_eq!(company(&json!({"id": 7})), Reference::Nothing);
        assert_eq!(company(&json!({"company": {"id": 2}})), Reference::To(Text::from("2")));
        for unclear in [json!({"company": 2}), json!({"company": {}}), json!({"company": {"id": null}})] {
            assert_eq!(company(&unclear), Reference::Unclear, "{unclear}");
        }
    }

    #[test]
    fn a_code_base_is_the_name_of_a_folder_and_nothing_else() {
        let found = |text: &str| code_base(&json!({"Codebase": text}));
        assert_eq!(found("v2025_1/").as_deref(), Some("v2025_1"));
        assert_eq!(found("v4_6_release").as_deref(), Some("v4_6_release"));
        for odd in ["", "/", "//evil.test/", "../", ".", "a/b/", "https://evil.test/", "v1/?x=", "v1/#"] {
            assert_eq!(found(odd), None, "{odd}");
        }
        assert_eq!(code_base(&json!({"Codebase": 7})), None);
    }

    #[test]
    fn the_type_of_an_address_is_the_usual_one_for_e_mail() {
        let types = json!([{"id": 2, "description": "Direct", "phoneFlag": true, "defaultFlag": true},
            {"id": 4, "emailFlag": true, "defaultFlag": false}, {"id": 9, "emailFlag": true, "defaultFlag": true}]);
        assert_eq!(email_type(&types).as_deref(), Some("9"));
        assert_eq!(email_type(&json!([{"id": 4, "emailFlag": true}])).as_deref(), Some("4"));
        assert_eq!(email_type(&json!([{"id": 2, "phoneFlag": true}])), None);
    }
}
