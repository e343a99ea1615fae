//! A scenario's documents as a policy tree, and the customer that the policy check makes of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use intake::policy::check::{TreeFile, check};
use intake::policy::fleet::Customer;
use intake::policy::limits::Limits;

use super::document::{Read, Scenario};

/// The one customer of every scenario.
pub(super) const CUSTOMER: &str = "contoso";

/// Returns the customer of a scenario. Its documents must be without error.
pub(super) fn customer(scenario: &Scenario) -> Customer {
    // JSON is YAML, so documents go through the same reader as a user's files.
    let files = documents(scenario).into_iter().map(|(path, document)| (path, document.to_string()));
    checked(files.collect())
}

/// Checks a tree: the one place that calls the policy check.
fn checked(files: BTreeMap<String, String>) -> Customer {
    let files: Vec<TreeFile> = files
        .into_iter()
        .map(|(path, text)| TreeFile { path: path.into(), content: Ok(text.into_bytes()) })
        .collect();
    let checked = check(&files, &Limits::default());
    assert!(checked.problems.is_empty(), "the scenario's documents are broken: {:#?}", checked.problems);
    checked.fleet.customers.get(CUSTOMER).expect("the customer").clone()
}

fn documents(scenario: &Scenario) -> BTreeMap<String, Value> {
    let mut spec = scenario.customer.clone();
    if scenario.directory.reading != Read::Absent {
        spec.insert("directories".to_owned(), json!([{"name": "main", "ldif": {"file": "people.ldif"}}]));
    }
    if scenario.tenant.reading != Read::Absent {
        spec.insert("tenant".to_owned(), json!({"snapshot": {"file": "users.json"}}));
    }
    let mut documents = BTreeMap::from([(
        "customer.yaml".to_owned(),
        json!({
            "apiVersion": "intake.dev/v1",
            "kind": "Customer",
            "metadata": {"name": CUSTOMER},
            "spec": spec,
        }),
    )]);
    for (name, given) in policies(scenario) {
        let mut spec = BTreeMap::from([
            ("accountType".to_owned(), json!("EndUser")),
            ("customers".to_owned(), json!({"names": [CUSTOMER]})),
        ]);
        spec.extend(given);
        documents.insert(
            format!("{name}.yaml"),
            json!({
                "apiVersion": "intake.dev/v1",
                "kind": "ImportPolicy",
                "metadata": {"name": name},
                "spec": spec,
            }),
        );
    }
    documents
}

/// Returns the scenario's policies; without any, everybody below `OU=Staff`.
fn policies(scenario: &Scenario) -> BTreeMap<String, BTreeMap<String, Value>> {
    if !scenario.policies.is_empty() {
        return scenario.policies.clone();
    }
    let selection = json!({"organizationalUnits": ["OU=Staff"]});
    BTreeMap::from([("staff".to_owned(), BTreeMap::from([("selection".to_owned(), selection)]))])
}
