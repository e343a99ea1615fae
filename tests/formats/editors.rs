//! The schemas in an editor: Red Hat's language server for YAML completes, explains and finds mistakes in an
//! example, led there by the first line of the file alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::others::Others;
use crate::support::process::run;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/production/tree/policies/staff.yaml")
}

/// Opens the example as if somebody had typed into it, and asks. A question is a word of `text` and how far
/// behind its beginning the cursor stands.
fn ask(text: &str, questions: &[(&str, &str, usize)]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let typed = folder.path().join("typed.yaml");
    fs::write(&typed, text).expect("written");
    let questions: Vec<Value> = questions
        .iter()
        .map(|(method, word, offset)| {
            let at = text.find(word).expect("the word") + offset;
            let line = text[..at].matches('\n').count();
            let column = text[..at].rsplit('\n').next().map_or(0, str::len);
            json!({*method: [line, column]})
        })
        .collect();
    let others = Others::get();
    let mut server = Command::new(others.node());
    server.arg(others.program("ask_language_server.mjs")).arg(example()).arg(&typed);
    let answers = run(server.arg(Value::from(questions).to_string()));
    serde_json::from_str(&answers).expect("JSON")
}

fn labels(answer: &Value) -> Vec<&str> {
    let items = answer["items"].as_array().or(answer.as_array()).expect("a list");
    items.iter().filter_map(|item| item["label"].as_str()).collect()
}

#[test]
fn an_example_has_no_mistakes_and_its_keys_explain_themselves() {
    let text = fs::read_to_string(example()).expect("an example");
    let told = ask(&text, &[("hover", "accountType:", 3), ("hover", "maxPercent:", 3)]);
    assert_eq!(told["diagnostics"], json!([]), "{told:#}");
    for (answer, word) in [(0, "everyday account"), (1, "accounts")] {
        let hover = told["answers"][answer]["contents"]["value"].as_str().expect("a text");
        let hover = hover.replace('\\', "");
        let schema = fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/importpolicy.schema.json"),
        )
        .expect("a schema");
        assert!(hover.to_lowercase().contains(word), "{hover}");
        let first = hover.lines().map(str::trim).find(|line| schema.contains(line) && line.len() > 20);
        assert!(first.is_some(), "it is our own description: {hover}");
    }
}

#[test]
fn what_may_be_typed_is_offered() {
    let text = fs::read_to_string(example()).expect("an example");
    let text = text.replacen("accountType: EndUser", "accountType: ", 1).replacen(
        "  passwordSync: true\n",
        "  \n",
        1,
    );
    let told =
        ask(&text, &[("completion", "accountType: ", 13), ("completion", "(true is the default).\n  ", 25)]);
    let values = labels(&told["answers"][0]);
    assert!(values.contains(&"EndUser") && values.contains(&"Administrator"), "{values:?}");
    let keys = labels(&told["answers"][1]);
    assert!(keys.contains(&"passwordSync") && keys.contains(&"includeDisabled"), "{keys:?}");
    assert!(!keys.contains(&"selection"), "what is there already is not offered: {keys:?}");
}

#[test]
fn a_typo_is_marked_where_it_is() {
    let text = fs::read_to_string(example()).expect("an example");
    let text = text.replacen("passwordSync: true", "paswordSync: true", 1);
    let line = text[..text.find("pasword").expect("the typo")].matches('\n').count();
    let told = ask(&text, &[]);
    let problems = told["diagnostics"].as_array().expect("a list");
    assert_eq!(problems.len(), 1, "{told:#}");
    assert_eq!(problems[0]["range"]["start"]["line"], line, "{told:#}");
    let message = problems[0]["message"].as_str().expect("a message");
    assert!(message.contains("paswordSync"), "{message}");
}
