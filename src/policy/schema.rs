//! JSON Schemas of the documents, for editors, from the types that read them.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::policy::document::{CustomerDocument, ImportOptionsDocument, ImportPolicyDocument, Kind};

/// Where the schemas are published; the addresses name them, nothing is fetched.
const ADDRESS: &str = "https://intake.dev/schemas";

/// Returns the schemas of all kinds, and one that chooses by `kind`, by file name.
pub fn schemas() -> BTreeMap<&'static str, String> {
    let kinds = [
        ("customer.schema.json", whole::<CustomerDocument>()),
        ("importpolicy.schema.json", whole::<ImportPolicyDocument>()),
        ("importoptions.schema.json", whole::<ImportOptionsDocument>()),
    ];
    let mut files = BTreeMap::new();
    let mut all = Map::new();
    for (name, schema) in kinds {
        let mut schema = schema;
        if let Some(Value::Object(definitions)) = schema.get("$defs") {
            all.extend(definitions.clone());
        }
        if let Some(title) = schema.get("title").and_then(Value::as_str).map(str::to_owned) {
            let mut alone = schema.clone();
            for key in ["$schema", "$defs"] {
                alone.remove(key);
            }
            all.insert(title, Value::Object(alone));
        }
        schema.insert("$id".to_owned(), json!(format!("{ADDRESS}/{name}")));
        files.insert(name, written(&Value::Object(schema)));
    }
    files.insert("intake.schema.json", written(&by_kind(all)));
    files
}

/// Returns the schema that chooses by `kind`: an editor then shows one kind's keys, and not three
/// reasons why a document is none of them.
fn by_kind(definitions: Map<String, Value>) -> Value {
    let choice = |kind: &str| {
        json!({
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"$ref": format!("#/$defs/{kind}Document")},
        })
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("{ADDRESS}/intake.schema.json"),
        "title": "Intake",
        "description": "A document of a policy tree: a Customer, an ImportPolicy or an ImportOptions.",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {
            "description": "What the document describes.",
            "enum": Kind::WORDS,
        }},
        "allOf": Kind::WORDS.iter().map(|kind| choice(kind)).collect::<Vec<_>>(),
        "$defs": definitions,
    })
}

fn whole<T: JsonSchema>() -> Map<String, Value> {
    let schema: Schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let mut value = schema.to_value();
    tidy(&mut value);
    match value {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// Makes a derived schema say what the reader does: an optional key has no null, and unknown keys
/// are refused in the way that every editor understands.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(schema) => {
            schema.values_mut().for_each(tidy);
            if let Some(Value::Array(types)) = schema.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    schema.insert("type".to_owned(), only);
                }
            }
            remove_null_choice(schema);
            if schema.contains_key("properties")
                && let Some(refused) = schema.remove("unevaluatedProperties")
            {
                schema.insert("additionalProperties".to_owned(), refused);
            }
        }
        _ => {}
    }
}

/// Replaces `anyOf: [X, null]` by X.
fn remove_null_choice(schema: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else { return };
    let before = choices.len();
    choices.retain(|choice| choice != &json!({"type": "null"}));
    if choices.len() == before {
        return;
    }
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        schema.remove("anyOf");
        for (key, value) in only {
            schema.entry(key).or_insert(value);
        }
    }
}

fn written(schema: &Value) -> String {
    let mut text = serde_json::to_string_pretty(schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schemas_are_those_of_the_types() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        for (name, schema) in schemas() {
            let committed = std::fs::read_to_string(folder.join(name))
                .unwrap_or_else(|error| panic!("schemas/{name}: {error}"));
            assert_eq!(committed, schema, "schemas/{name} differs: write it anew with `intake schema`");
        }
        let files = std::fs::read_dir(folder).expect("the folder").count();
        assert_eq!(files, schemas().len(), "a schema that no type has");
    }

    #[test]
    fn the_schemas_are_valid_themselves() {
        for (name, schema) in schemas() {
            let schema: Value = serde_json::from_str(&schema).expect("JSON");
            jsonschema::draft202012::meta::validate(&schema)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn no_key_may_be_null_and_none_is_unknown() {
        for (name, schema) in schemas() {
            assert!(!schema.contains("\"null\""), "{name} allows null");
            assert!(!schema.contains("unevaluated"), "{name} refuses keys in a way that editors do not know");
        }
    }
}
