//! Scenarios that a support technician can read: a policy, people, licences and a register, and
//! the plan that must come of them. `tests/scenarios/README.md` explains the form.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use intake::model::observation::Observation;
use intake::model::register::Hold;
use intake::plan::outcome::CustomerPlan;
use intake::plan::planner::plan_customer;
use intake::policy::fleet::Customer;

mod confirming;
mod document;
mod findings;
mod outcome;
mod stage;
mod tree;
mod world;

use document::Scenario;

#[test]
fn every_scenario_ends_as_it_says() {
    let mut failures = Vec::new();
    let files = files();
    assert!(files.len() >= 20, "scenarios found: {}", files.len());
    for path in files {
        let text = fs::read_to_string(&path).expect("a scenario");
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        for difference in differences(&scenario) {
            failures.push(format!("{file} ({}): {difference}", scenario.title));
        }
    }
    assert!(failures.is_empty(), "{} differences:\n\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn every_scenario_gives_the_same_plan_twice() {
    for path in files() {
        let text = fs::read_to_string(&path).expect("a scenario");
        let scenario = Scenario::parse(&text).expect("a scenario");
        let customer = tree::customer(&scenario);
        let plan = || {
            let plan = plan_customer(&customer, &world::observation(&scenario));
            serde_json::to_string(&plan).expect("JSON")
        };
        assert_eq!(plan(), plan(), "{}", path.display());
    }
}

fn differences(scenario: &Scenario) -> Vec<String> {
    let mut customer = tree::customer(scenario);
    let mut observation = world::observation(scenario);
    if let Some(recorded_at) = scenario.approve_hold_of {
        approve(&mut customer, &mut observation, recorded_at);
    }
    outcome::differences(scenario, &plan_customer(&customer, &observation))
}

/// Approves what a first plan holds, as if a turn had recorded the hold at that moment.
fn approve(customer: &mut Customer, observation: &mut Observation, recorded_at: jiff::Timestamp) {
    let first: CustomerPlan = plan_customer(customer, observation);
    let approval = first.approval.expect("a hold to approve");
    customer.approve.insert(approval);
    observation.register.holds.push(Hold { approval, recorded_at, used_at: None, bases: BTreeMap::new() });
}

/// Returns the scenario files in order of their names.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder of scenarios")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}
