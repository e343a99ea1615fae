//! Problems of a tree as SARIF 2.1.0, for code scanning and editors.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::digest::Digester;
use crate::policy::problem::{Label, Problem, Rule};

/// Where the form is described.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Characters of a path that stand for themselves in an address (RFC 3986, section 3.3).
const PATH: &str = "-._~!$&'()*+,;=:@/";

/// Returns the log of one run. `folder` is the tree, from the repository's root.
pub fn log(problems: &[&Problem], folder: &str) -> Value {
    let rules: Vec<Value> = Rule::ALL
        .iter()
        .map(|rule| {
            json!({
                "id": rule.code(),
                "shortDescription": {"text": rule.meaning()},
                "defaultConfiguration": {"level": "error"},
            })
        })
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "Intake",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            }},
            "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root of the repository."}}},
            // As columns are counted: what is one character to a person may be two in UTF-16.
            "columnKind": "unicodeCodePoints",
            "results": results(problems, folder),
        }],
    })
}

fn results(problems: &[&Problem], folder: &str) -> Vec<Value> {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    problems
        .iter()
        .map(|problem| {
            let place = At {
                file: &problem.file,
                start: (problem.line, problem.column),
                end: (problem.end_line, problem.end_column),
            };
            let likeness = likeness(problem);
            let before = seen.entry(likeness.clone()).or_default();
            let fingerprint = format!("{likeness}:{before}");
            *before += 1;
            let help = problem.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
            let mut result = json!({
                "ruleId": problem.rule.code(),
                "ruleIndex": problem.rule as usize,
                "level": "error",
                "message": {"text": message(&format!("{}{help}", problem.what))},
                "locations": [],
                "partialFingerprints": {"intakeProblem/v1": fingerprint},
            });
            if !problem.file.is_empty() {
                result["locations"] = json!([{"physicalLocation": place.physical(folder)}]);
            }
            let related: Vec<Value> = problem.labels.iter().map(|label| related(label, folder)).collect();
            if !related.is_empty() {
                result["relatedLocations"] = related.into();
            }
            result
        })
        .collect()
}

fn related(label: &Label, folder: &str) -> Value {
    let place =
        At { file: &label.file, start: (label.line, label.column), end: (label.end_line, label.end_column) };
    json!({"message": {"text": message(&label.what)}, "physicalLocation": place.physical(folder)})
}

/// Returns what makes a problem the same one in a later version of the file: what is wrong in which line,
/// wherever that line is by then.
fn likeness(problem: &Problem) -> String {
    let mut digester = Digester::new("intake problem 1");
    digester.field(problem.rule.code()).field(&problem.file).field(&problem.what);
    digester.field(problem.excerpt.text.trim());
    digester.finish().to_string()["sha256:".len()..].to_owned()
}

/// Keeps readers from seeing a link where a file holds what looks like one (section 3.11.6).
fn message(text: &str) -> String {
    text.replace("](", "] (")
}

/// A stretch of a file.
struct At<'a> {
    file: &'a str,
    start: (usize, usize),
    end: (usize, usize),
}

impl At<'_> {
    fn physical(&self, folder: &str) -> Value {
        json!({
            "artifactLocation": {"uri": address(&format!("{folder}{}", self.file)), "uriBaseId": "SRCROOT"},
            "region": {
                "startLine": self.start.0,
                "startColumn": self.start.1,
                "endLine": self.end.0,
                "endColumn": self.end.1,
            },
        })
    }
}

/// Writes a path as a relative address.
fn address(path: &str) -> String {
    let mut address = String::new();
    for byte in path.bytes() {
        let character = char::from(byte);
        if character.is_ascii_alphanumeric() || PATH.contains(character) {
            address.push(character);
        } else {
            address.push_str(&format!("%{byte:02X}"));
        }
    }
    // Without this, `a:b.yaml` would be of the scheme `a` (section 4.2).
    let first = address.split('/').next().unwrap_or_default();
    if first.contains(':') { format!("./{address}") } else { address }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_relative_addresses() {
        assert_eq!(address("tree/a b/é.yaml"), "tree/a%20b/%C3%A9.yaml");
        assert_eq!(address("a:b.yaml"), "./a:b.yaml");
        assert_eq!(address("x/#1?%.yaml"), "x/%231%3F%25.yaml");
    }

    #[test]
    fn rules_stand_where_results_point_to() {
        for (index, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, index, "{}", rule.code());
        }
    }

    #[test]
    fn the_same_problem_keeps_its_fingerprint_wherever_its_line_goes() {
        let problem = |line: usize| {
            let mut problem = Problem::new(Label::nowhere("x".to_owned()));
            problem.file = "a.yaml".to_owned();
            (problem.line, problem.end_line) = (line, line);
            problem
        };
        let (first, second, moved) = (problem(3), problem(4), problem(9));
        let prints = |problems: &[&Problem]| -> Vec<Value> {
            results(problems, "").iter().map(|result| result["partialFingerprints"].clone()).collect()
        };
        assert_eq!(prints(&[&first]), prints(&[&moved]));
        let both = prints(&[&first, &second]);
        assert_ne!(both[0], both[1], "two alike are two");
    }

    #[test]
    fn what_looks_like_a_link_is_none() {
        assert_eq!(message("[x](https://evil.example)"), "[x] (https://evil.example)");
    }
}
