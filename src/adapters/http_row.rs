//! Rows of JSON listings, read leniently where nothing depends on it, and strictly where something does.

use serde_json::Value;

use crate::model::text::Text;

/// How long an id may be, in bytes.
const LONGEST_ID: usize = 128;

/// How many characters of a text are kept: names and titles are shorter.
const LONGEST_TEXT: usize = 500;

/// What a row refers to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// Something with this id.
    To(Text),
    /// Nothing, and the system says so.
    Nothing,
    /// The row does not tell, or in a form that nobody knows.
    Unclear,
}

/// Reads an id: a whole number, or text without blanks. Both forms of one id give the same text.
pub(crate) fn id(value: &Value) -> Option<Text> {
    match value {
        Value::Number(number) if number.is_u64() => Some(Text::from(number.to_string())),
        Value::String(text) => {
            let is_sound = !text.is_empty()
                && text.len() <= LONGEST_ID
                && !text.chars().any(|character| character.is_whitespace() || character.is_control());
            is_sound.then(|| Text::from(text.as_str()))
        }
        _ => None,
    }
}

/// Reads what a member of a row refers to.
pub(crate) fn reference(row: &Value, name: &str) -> Reference {
    match row.get(name) {
        Some(Value::Null) => Reference::Nothing,
        Some(value) => id(value).map_or(Reference::Unclear, Reference::To),
        None => Reference::Unclear,
    }
}

/// Reads text for people: trimmed and not longer than such text is. `None` for nothing, and for what is no
/// text.
pub(crate) fn text(value: &Value) -> Option<Text> {
    let text = value.as_str()?.trim();
    (!text.is_empty()).then(|| text.chars().take(LONGEST_TEXT).collect())
}

/// Reads a yes or no; what is neither is a no.
pub(crate) fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_default()
}

/// Returns the rows of a list; absent and `null` are none.
///
/// # Errors
/// If it is something else: what it holds cannot be told.
pub(crate) fn list<'a>(row: &'a Value, name: &str) -> Result<&'a [Value], String> {
    match row.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(rows)) => Ok(rows),
        Some(_) => Err(format!("its `{name}` is no list")),
    }
}

/// Joins what a person should know, leaving out what there is not.
pub(crate) fn joined(parts: impl IntoIterator<Item = Option<Text>>) -> Option<Text> {
    let parts: Vec<Text> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| Text::from(parts.join(", ")))
}

/// Makes a name of a given and a family name.
pub(crate) fn full_name(first: Option<&Text>, last: Option<&Text>) -> Option<Text> {
    let parts: Vec<&str> = [first, last].into_iter().flatten().map(Text::as_str).collect();
    (!parts.is_empty()).then(|| Text::from(parts.join(" ")))
}

/// Sorts addresses, each once.
pub(crate) fn each_once(addresses: impl IntoIterator<Item = Text>) -> Vec<Text> {
    let mut addresses: Vec<Text> = addresses.into_iter().collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_an_id_are_the_same_and_others_are_none() {
        assert_eq!(id(&json!(72)), id(&json!("72")));
        for no_id in [json!(null), json!(""), json!(7.5), json!(-1), json!(true), json!("a b"), json!(["7"])]
        {
            assert_eq!(id(&no_id), None, "{no_id}");
        }
        assert_eq!(id(&json!("x".repeat(200))), None);
    }

    #[test]
    fn nothing_and_not_telling_are_told_apart() {
        let row = json!({"to": 2, "nothing": null, "odd": {}});
        assert_eq!(reference(&row, "to"), Reference::To(Text::from("2")));
        assert_eq!(reference(&row, "nothing"), Reference::Nothing);
        assert_eq!(reference(&row, "odd"), Reference::Unclear);
        assert_eq!(reference(&row, "absent"), Reference::Unclear);
    }

    #[test]
    fn text_is_trimmed_and_bounded() {
        assert_eq!(text(&json!("  Jane ")).as_deref(), Some("Jane"));
        assert_eq!(text(&json!(" ")), None);
        assert_eq!(text(&json!(7)), None);
        assert_eq!(text(&json!("ä".repeat(9999))).map(|text| text.chars().count()), Some(LONGEST_TEXT));
    }
}
