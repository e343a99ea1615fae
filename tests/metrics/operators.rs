//! What operators get with the metrics: rules for alerts, a dashboard and a page that explains them. None of
//! them names a metric that is not served, and none that is served is left unexplained.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use intake::cli::arguments::Arguments;
use serde_json::Value;

use super::*;
use crate::support::process::run;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn example(name: &str) -> PathBuf {
    root().join("examples/deploy").join(name)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("a file")
}

fn dashboard() -> Value {
    serde_json::from_str(&text(&example("grafana.json"))).expect("JSON")
}

fn rules() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&text(&example("alerts.yml"))).expect("YAML");
    let groups = file["groups"].as_array().expect("groups").clone();
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

/// Every name of a metric in a text; the series of a histogram go by its own name.
fn named(text: &str) -> BTreeSet<String> {
    let is_of_a_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    text.split(|character| !is_of_a_name(character))
        .filter(|word| word.starts_with("intake_"))
        .map(|word| {
            let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            histogram.unwrap_or(word).to_owned()
        })
        .collect()
}

/// Every metric that a controller serves.
fn served() -> BTreeSet<String> {
    let types = everything().lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

#[test]
fn rules_are_what_prometheus_takes_and_fire_when_they_should() {
    run(promtool().args(["check", "rules"]).arg(example("alerts.yml")));
    run(promtool().args(["test", "rules"]).arg(example("alerts-test.yml")));
    run(promtool().args(["check", "config", "--syntax-only"]).arg(example("prometheus.yml")));
}

#[test]
fn every_alert_is_tested_and_says_what_happened_and_what_to_do() {
    let tests = text(&example("alerts-test.yml"));
    let rules = rules();
    assert!(rules.len() > 10);
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} fires in no test");
        let severity = rule["labels"]["severity"].as_str().expect("a severity");
        assert!(["warning", "critical"].contains(&severity), "{name}: {severity}");
        let summary = rule["annotations"]["summary"].as_str().expect("a summary");
        let description = rule["annotations"]["description"].as_str().expect("a description");
        assert!(summary.len() < 100 && summary.ends_with('.'), "{name}: {summary}");
        assert!(description.contains('`') && description.ends_with('.'), "{name}: {description}");
        let is_about_a_customer = name.starts_with("IntakeCustomer");
        for text in [summary, description] {
            assert!(!is_about_a_customer || text.contains("{{ $labels.customer }}"), "{name}: {text}");
        }
    }
}

#[test]
fn what_alerts_tell_to_type_is_what_the_program_takes() {
    let mut typed = 0;
    for rule in rules() {
        let description = rule["annotations"]["description"].as_str().expect("a description");
        for command in description.split('`').skip(1).step_by(2).filter(|words| words.starts_with("intake "))
        {
            let command =
                command.replace("{{ $labels.customer }}", "contoso").replace("URL", "http://[::1]:1");
            let read = Arguments::read(command.split_whitespace().map(Into::into));
            assert!(read.is_ok(), "{command}: {}", read.expect_err("an error"));
            typed += 1;
        }
    }
    assert!(typed > 10, "{typed}");
}

#[test]
fn no_metric_is_named_that_is_not_served() {
    let served = served();
    for file in [example("alerts.yml"), example("alerts-test.yml"), example("grafana.json")] {
        let unknown: Vec<String> = named(&text(&file)).difference(&served).cloned().collect();
        assert!(unknown.is_empty(), "{}: {unknown:?} of {served:?}", file.display());
    }
}

#[test]
fn every_metric_that_is_served_is_explained_and_no_other() {
    let explained = named(&text(&root().join("docs/metrics.md")));
    assert_eq!(explained, served());
}

/// The panels of the dashboard that show something.
fn panels() -> Vec<Value> {
    let panels = dashboard()["panels"].as_array().expect("panels").clone();
    panels.into_iter().filter(|panel| panel["type"] != "row").collect()
}

#[test]
fn the_dashboard_asks_what_prometheus_understands() {
    let mut recorded = Vec::new();
    for panel in panels() {
        for target in panel["targets"].as_array().expect("targets") {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel:#}");
            let question = target["expr"].as_str().expect("a question");
            let question = question.replace("$__rate_interval", "5m").replace("$customer", ".*");
            assert!(!question.contains('$'), "{question}");
            recorded.push(json!({"record": format!("panel:{}", recorded.len()), "expr": question}));
        }
    }
    assert!(recorded.len() > 20, "{}", recorded.len());
    let rules = json!({"groups": [{"name": "dashboard", "rules": recorded}]});
    let file = tempfile::Builder::new().suffix(".yml").tempfile().expect("a file");
    fs::write(file.path(), rules.to_string()).expect("written");
    run(promtool().args(["check", "rules"]).arg(file.path()));
}

#[test]
fn the_dashboard_is_laid_out() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 39));
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    assert!(variables.iter().any(|variable| {
        variable["type"] == "datasource"
            && variable["query"] == "prometheus"
            && variable["name"] == "datasource"
    }));
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{panel:#}");
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel:#}");
        let at = |field: &str| panel["gridPos"][field].as_u64().expect("a number");
        assert!(at("x") + at("w") <= 24, "{panel:#}");
        for column in at("x")..at("x") + at("w") {
            for row in at("y")..at("y") + at("h") {
                assert!(places.insert((column, row)), "over another panel: {panel:#}");
            }
        }
    }
    for panel in panels() {
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{panel:#}");
    }
}
