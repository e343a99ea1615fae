//! What SCIM's JSON looks like (RFC 7643, 7644), as it is sent and as it really comes: members in any case, words in
//! place of booleans, numbers in place of text.

use serde_json::{Value, json};

use crate::adapters::http_row::id;
use crate::model::publication::{Differences, PublishedUser, RemoteUser};
use crate::model::text::Text;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// The parts of a name that Intake writes.
const NAME: [&str; 3] = ["givenName", "familyName", "formatted"];

/// Returns a member, in whatever case its name is: attribute names have none (RFC 7643, 2.1).
pub(crate) fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let members = value.as_object()?;
    members
        .get(name)
        .or_else(|| members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
        .filter(|value| !value.is_null())
}

/// Returns a text. Empty text is none: some services say nothing that way.
fn text(value: &Value, name: &str) -> Option<Text> {
    member(value, name)?.as_str().filter(|text| !text.is_empty()).map(Text::from)
}

/// Reads a boolean, also one that was written as a word.
pub(crate) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(is) => Some(*is),
        Value::String(word) if word.eq_ignore_ascii_case("true") => Some(true),
        Value::String(word) if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Reads a whole number, also one that was written as text.
pub(crate) fn number(value: &Value) -> Option<usize> {
    match value {
        Value::Number(number) => usize::try_from(number.as_u64()?).ok(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Reads a user; `None` for what has no id.
pub(crate) fn user(value: &Value) -> Option<RemoteUser> {
    let name = member(value, "name");
    Some(RemoteUser {
        id: id(member(value, "id")?)?,
        external_id: text(value, "externalId"),
        user_name: text(value, "userName"),
        display_name: text(value, "displayName"),
        given_name: name.and_then(|name| text(name, "givenName")),
        family_name: name.and_then(|name| text(name, "familyName")),
        active: member(value, "active").and_then(boolean),
    })
}

/// Whether it tells of a user more than its id: some services answer a write by little more.
pub(crate) fn is_told(user: &RemoteUser) -> bool {
    user.user_name.is_some()
}

/// Returns the version that a user carries inside.
pub(crate) fn version(value: &Value) -> Option<String> {
    member(member(value, "meta")?, "version")?.as_str().map(str::to_owned)
}

/// Returns a new user. What people correct in their tools is said here alone.
pub(crate) fn creation(user: &PublishedUser) -> Value {
    let mut body = json!({
        "schemas": [USER],
        "externalId": user.external_id,
        "userName": user.user_name,
        "displayName": user.display_name,
        "name": name(user, None),
        "active": true,
    });
    if let Some(email) = &user.email {
        body["emails"] = json!([{"value": email, "type": "work", "primary": true}]);
    }
    if let Some(phone) = &user.mobile_phone {
        body["phoneNumbers"] = json!([{"value": phone, "type": "mobile"}]);
    }
    body
}

/// Returns a name, with those parts of the one that was seen that are nothing of Intake's.
fn name(user: &PublishedUser, seen: Option<&Value>) -> Value {
    let mut name = seen.and_then(Value::as_object).cloned().unwrap_or_default();
    name.retain(|key, _| !NAME.iter().any(|own| key.eq_ignore_ascii_case(own)));
    let [given, family, formatted] = NAME;
    for (member, text) in [(given, &user.given_name), (family, &user.family_name)] {
        if !text.is_empty() {
            name.insert(member.to_owned(), json!(text));
        }
    }
    name.insert(formatted.to_owned(), json!(user.display_name));
    Value::Object(name)
}

/// Returns what changes a user in these fields: one simple path an operation, as not every service takes more.
pub(crate) fn change(user: &PublishedUser, differences: &Differences) -> Value {
    let operations: Vec<Value> = differences
        .iter()
        .map(|path| {
            let text = match *path {
                "active" => return json!({"op": "replace", "path": path, "value": true}),
                "externalId" => &user.external_id,
                "userName" => &user.user_name,
                "displayName" => &user.display_name,
                "name.givenName" => &user.given_name,
                _ => &user.family_name,
            };
            match text.is_empty() {
                true => json!({"op": "remove", "path": path}),
                false => json!({"op": "replace", "path": path, "value": text}),
            }
        })
        .collect();
    json!({"schemas": [PATCH], "Operations": operations})
}

/// Returns what deactivates a user.
pub(crate) fn deactivation() -> Value {
    json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": false}]})
}

/// Returns a user as it is, with what is wanted put in: for services that take no changes. `None` deactivates it.
pub(crate) fn replacement(seen: &Value, wanted: Option<&PublishedUser>) -> Value {
    let mut members = seen.as_object().cloned().unwrap_or_default();
    let mut set = |name: &str, value: Value| {
        let known = members.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
        members.insert(known.unwrap_or_else(|| name.to_owned()), value);
    };
    set("active", json!(wanted.is_some()));
    if let Some(user) = wanted {
        set("externalId", json!(user.external_id));
        set("userName", json!(user.user_name));
        set("displayName", json!(user.display_name));
        set("name", name(user, member(seen, "name")));
    }
    if member(seen, "schemas").is_none() {
        set("schemas", json!([USER]));
    }
    // The service's own.
    members.retain(|key, _| !key.eq_ignore_ascii_case("meta"));
    Value::Object(members)
}

/// Returns the text of a filter's literal.
pub(crate) fn literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One page of a listing.
pub(crate) struct Page<'a> {
    /// Its rows.
    pub(crate) rows: &'a [Value],
    /// How many there are on all pages, if that is told.
    pub(crate) total: Option<usize>,
    /// Where the next one is, where cursors are spoken.
    pub(crate) next: Option<&'a str>,
}

/// Takes a listing apart. Rows under no known name are none, if the service says that there are none.
///
/// # Errors
/// If it is no listing.
pub(crate) fn page(value: &Value) -> Result<Page<'_>, String> {
    let total = member(value, "totalResults").and_then(number);
    let rows = match (member(value, "Resources"), value) {
        (Some(Value::Array(rows)), _) | (None, Value::Array(rows)) => rows.as_slice(),
        (None, Value::Object(_)) if total.is_some() => &[],
        _ => return Err("it is no listing of SCIM: there are no `Resources`".to_owned()),
    };
    let next = member(value, "nextCursor").and_then(Value::as_str).filter(|next| !next.is_empty());
    Ok(Page { rows, total, next })
}

/// What a service says that it can. Hints: none of them is relied upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Features {
    /// Whether it turns pages by cursors.
    pub(crate) cursor: bool,
    /// The largest page.
    pub(crate) page: Option<usize>,
    /// Whether it keeps versions.
    pub(crate) etag: bool,
    /// How many operations go together, and in how many bytes, if any do.
    pub(crate) bulk: Option<(usize, usize)>,
}

/// The most operations that are sent together, whatever the service takes.
const MOST_OPERATIONS: usize = 100;

/// Reads what a service says that it can.
pub(crate) fn features(value: &Value) -> Features {
    let supported = |part: &Value, name: &str| member(part, name).and_then(boolean).unwrap_or_default();
    let pagination = member(value, "pagination");
    let bulk = member(value, "bulk").filter(|bulk| supported(bulk, "supported")).map(|bulk| {
        let limit = |name: &str, most: usize| {
            member(bulk, name).and_then(number).filter(|limit| *limit > 0).unwrap_or(most).min(most)
        };
        (limit("maxOperations", MOST_OPERATIONS), limit("maxPayloadSize", 1_048_576))
    });
    Features {
        cursor: pagination.is_some_and(|pagination| supported(pagination, "cursor")),
        page: pagination.and_then(|pagination| member(pagination, "maxPageSize")).and_then(number),
        etag: member(value, "etag").is_some_and(|etag| supported(etag, "supported")),
        bulk,
    }
}

/// Returns a request of several operations.
pub(crate) fn bulk(operations: &[Value]) -> Value {
    json!({"schemas": [BULK], "Operations": operations})
}

/// What came of one operation of several.
pub(crate) struct Done {
    /// Which one.
    pub(crate) bulk_id: String,
    /// Its status.
    pub(crate) status: usize,
    /// The id of what was made.
    pub(crate) id: Option<Text>,
}

/// Reads what came of several operations.
pub(crate) fn done(value: &Value) -> Vec<Done> {
    let rows = member(value, "Operations").and_then(Value::as_array);
    let one = |row: &Value| {
        let status = member(row, "status")?;
        // 1.1 had an object here, and some still do.
        let status = number(status).or_else(|| number(member(status, "code")?))?;
        let location = member(row, "location").and_then(Value::as_str).and_then(last_segment);
        let told = member(row, "response").and_then(|response| id(member(response, "id")?));
        Some(Done { bulk_id: member(row, "bulkId")?.as_str()?.to_owned(), status, id: location.or(told) })
    };
    rows.into_iter().flatten().filter_map(one).collect()
}

/// Returns the id at the end of an address, absolute or not.
pub(crate) fn last_segment(address: &str) -> Option<Text> {
    let path = address.split(['?', '#']).next()?.trim_end_matches('/');
    let last = path.rsplit('/').next().filter(|last| !last.is_empty())?;
    id(&Value::String(last.to_owned()))
}

/// Returns what a refusal says: its `scimType`, and its words for people.
pub(crate) fn refusal(value: &Value) -> (Option<String>, Option<String>) {
    // Some put the error into an array, or into an object of its own.
    let value = value.as_array().and_then(|errors| errors.first()).unwrap_or(value);
    let words = |name: &str| member(value, name).and_then(Value::as_str).map(str::to_owned);
    let said = ["detail", "message", "error_description", "error", "title"].into_iter().find_map(words);
    (words("scimType"), said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_any_case_and_booleans_as_words() {
        let seen = json!({"ID": 7, "UserName": "jane", "Active": "False", "name": {"givenname": "Jane"}, "externalId": ""});
        let seen = user(&seen).expect("a user");
        assert_eq!((seen.id.as_str(), seen.active, seen.external_id), ("7", Some(false), None));
        assert_eq!((seen.user_name.as_deref(), seen.given_name.as_deref()), (Some("jane"), Some("Jane")));
        assert!(user(&json!({"userName": "jane"})).is_none());
    }

    #[test]
    fn listings_come_in_several_forms_and_what_is_none_is_an_error() {
        assert_eq!(page(&json!({"resources": [{}], "totalResults": "1"})).expect("a page").rows.len(), 1);
        assert_eq!(page(&json!({"totalResults": 0})).expect("a page").rows.len(), 0);
        assert_eq!(page(&json!([{}, {}])).expect("a page").rows.len(), 2);
        assert!(page(&json!({"message": "hello"})).is_err());
        assert!(page(&json!("text")).is_err());
    }

    #[test]
    fn a_replacement_keeps_what_nobody_asked_to_change() {
        let seen = json!({"id": "7", "UserName": "jane", "title": "Dr", "meta": {"version": "1"}});
        let replaced = replacement(&seen, None);
        assert_eq!(
            replaced,
            json!({"id": "7", "UserName": "jane", "title": "Dr", "active": false, "schemas": [USER]})
        );
    }

    #[test]
    fn quotes_in_a_name_end_no_literal() {
        assert_eq!(literal(r#"a"b\c"#), r#""a\"b\\c""#);
    }

    #[test]
    fn an_address_ends_in_an_id() {
        assert_eq!(last_segment("https://app/scim/v2/Users/7?x=y").as_deref(), Some("7"));
        assert_eq!(last_segment("/Users/8/").as_deref(), Some("8"));
        assert_eq!(last_segment(""), None);
    }
}
