//! What a running controller serves for Prometheus, judged by Prometheus' own program, and what its operators
//! get with it: rules for alerts and a dashboard.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;

use crate::documentation::fake::{DocumentationFake, KEY};
use crate::publishing::fake::{ScimFake, TOKEN as SCIM_TOKEN};
use crate::support::asking::Served;
use crate::support::graph::{At, Fault, GraphFake, person};
use crate::support::intake::{Installation, directory, ldif_source, snapshot_source, until};
use crate::support::process::run_with_input;
use crate::support::receiver::Receiver;

mod access;
mod operators;

const VIEWER: &str = "a-token-that-only-looks";

/// What stands on a page: every series with its value.
struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    fn read(page: &str) -> Self {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let series = lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no series: {line}"));
            (series.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        });
        let mut metrics = BTreeMap::new();
        for (series, value) in series {
            let before = metrics.insert(series.clone(), value);
            assert!(before.is_none(), "twice: {series}");
        }
        Self(metrics)
    }

    fn get(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    /// The sum of all series that begin so.
    fn sum(&self, beginning: &str) -> f64 {
        self.0.iter().filter(|(series, _)| series.starts_with(beginning)).map(|(_, value)| value).sum()
    }
}

fn page(served: &Served) -> String {
    let answer = served.get("/metrics").expect(200);
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    answer.body
}

fn promtool() -> Command {
    Command::new("promtool")
}

/// The operator's file of a controller that listens, with these lines besides.
fn operator(here: &mut Installation, lines: &str) {
    here.environment("VIEWER_TOKEN", VIEWER);
    let token = "{name: prometheus, role: viewer, tokenFrom: {env: VIEWER_TOKEN}}";
    here.operator(&format!("listen: 127.0.0.1:0\nauth: {{tokens: [{token}]}}\n{lines}"));
}

/// What names from outside must not do.
const FORGED: &str = "intake_forged";

/// Writes the files of a customer of three people: one is ordinary, one has names that would be metrics of
/// their own, and one is not in the tenant.
fn hostile_people(here: &Installation, name: &str) {
    let hostile = format!("x\"}} 1 {FORGED}@contoso.test");
    let ldif = directory(&[1, 2, 3], &[1, 2, 3]).replace("person2@contoso.test", &hostile);
    here.write(&format!("{name}.ldif"), &format!("# intake: begin\nversion: 1\n\n{ldif}# intake: end\n"));
    let mut other = person(2, "contoso.test");
    other["userPrincipalName"] = json!(hostile);
    other["displayName"] = json!(format!("\n{FORGED} 1\n"));
    other["mail"] = json!(hostile);
    here.write(&format!("{name}.json"), &json!({"value": [person(1, "contoso.test"), other]}).to_string());
    here.customer(name, name, &ldif_source(name), &snapshot_source(name));
}

/// A controller with one of everything: customers who are well, held, out of reach and hostile, one whose
/// tenant throttles and one that leaves the tree; a webhook that answers, and one that does not; a documentation
/// system.
fn story() -> String {
    let receiver = Receiver::start();
    let graph = GraphFake::spawn();
    let mut here = Installation::new();
    let answers = receiver.notify("changed, held");
    let both = answers.trim_end().strip_suffix(']').expect("a list");
    // Of one person there are two, of another one, and of all others nobody.
    let glue = DocumentationFake::it_glue();
    glue.company(2, "Contoso");
    for number in [1, 1, 2] {
        glue.person(2, "Person", "Of Glue", &[&format!("person{number}@contoso.test")]);
    }
    here.environment("DOCUMENTATION_KEY", KEY);
    let connection = glue.operator_connection("glue");
    let scim = ScimFake::start();
    here.environment("SCIM_TOKEN", SCIM_TOKEN);
    let target = scim.target("");
    // Nobody listens at port 1.
    operator(
        &mut here,
        &format!(
            "{both}, {{webhook: {{url: \"http://127.0.0.1:1/\"}}, on: [changed]}}]\n{target}connections:\n{connection}"
        ),
    );
    here.default_policy("selection: {securityGroups: [Intake Users]}");
    let thirty: Vec<u32> = (1..=30).collect();
    here.customer_of_files("contoso", &thirty);
    let document = std::fs::read_to_string(here.tree().join("contoso.yaml")).expect("a document");
    let place = "  documentation: [{connection: glue, organizationId: \"2\"}]\n";
    here.write("contoso.yaml", &format!("{document}{place}"));
    here.customer_of_files("leaver", &[1]);
    hostile_people(&here, "northwind");
    let tenant = graph.tenant("fabrikam.test");
    (1..=3).for_each(|number| {
        tenant.user(person(number, "contoso.test"));
    });
    graph.fault(At::users(), Fault::Throttled(Some(1)), 1);
    here.people("fabrikam", &[1, 2, 3]);
    let source = here.graph_source("fabrikam", &graph);
    here.customer("fabrikam", "Fabrikam", &ldif_source("fabrikam"), &source);
    here.write(
        "options.yaml",
        "apiVersion: intake.dev/v1\nkind: ImportOptions\nmetadata: {name: published}\n\
         spec: {accountType: EndUser, customers: {names: [fabrikam]}, publish: [hr-app]}\n",
    );
    let nowhere = here.ldap_source("adrift", "ldap://127.0.0.1:1");
    here.people("adrift", &[1]);
    here.customer("adrift", "Adrift", &nowhere, &snapshot_source("adrift"));

    let served = Served::of(here.start(&["run", "--max-wait", "5s"])).with(VIEWER);
    let is = |series: &str, value: f64| {
        until(series, || Metrics::read(&page(&served)).0.get(series).copied() == Some(value));
    };
    for name in ["contoso", "leaver", "northwind", "fabrikam"] {
        is(&format!("intake_customer_state{{customer=\"{name}\",state=\"ready\"}}"), 1.0);
    }
    is("intake_customer_state{customer=\"adrift\",state=\"unreadable\"}", 1.0);
    is("intake_contacts{customer=\"contoso\",system=\"glue\",status=\"ambiguous\"}", 1.0);
    here.people("contoso", &thirty[..10]);
    is("intake_customer_state{customer=\"contoso\",state=\"held\"}", 1.0);
    assert!(page(&served).contains("customer=\"leaver\""));
    ["leaver.yaml", "leaver.ldif", "leaver.json"].iter().for_each(|file| here.delete(file));
    until("it left", || !page(&served).contains("leaver"));
    until("it is orphaned", || here.names("leaver", "orphaned").len() == 1);
    // Of four first imports, a hold and an orphan.
    is("intake_publications{target=\"hr-app\",state=\"published\"}", 3.0);
    // And of three people who were published.
    is("intake_delivery_attempts_total{outcome=\"delivered\"}", 9.0);
    assert_eq!(receiver.told().len(), 6);
    // At the address where nobody listens: all but the hold.
    is("intake_outbox_deliveries{state=\"waiting\"}", 5.0);
    let page = page(&served);
    let log = served.end();
    assert!(!log.contains("ERROR intake::adapters::prometheus"), "{log}");
    page
}

/// Returns a page of a controller that has met everything.
fn everything() -> &'static str {
    static PAGE: OnceLock<String> = OnceLock::new();
    PAGE.get_or_init(story)
}

#[test]
fn what_is_served_is_what_prometheus_takes() {
    // It prints what breaks a rule or good practice, and then ends with an error.
    run_with_input(promtool().args(["check", "metrics"]), everything());
}

#[test]
fn names_from_outside_and_of_who_left_are_nowhere() {
    for word in [FORGED, "person", "@", "127.0.0.1", "leaver", "http"] {
        assert!(!everything().contains(word), "{word}: {}", everything());
    }
}

#[test]
fn everything_is_counted() {
    let page = everything();
    let metrics = Metrics::read(page);
    let version = env!("CARGO_PKG_VERSION");
    for (series, value) in [
        (&*format!("intake_build_info{{version=\"{version}\"}}"), 1.0),
        ("intake_store_up", 1.0),
        ("intake_tree_stale", 0.0),
        ("intake_tree_problems", 0.0),
        ("intake_customer_interval_seconds{customer=\"contoso\"}", 10_800.0),
        ("intake_customer_last_success_timestamp_seconds{customer=\"adrift\"}", 0.0),
        ("intake_customer_state{customer=\"contoso\",state=\"held\"}", 1.0),
        ("intake_customer_state{customer=\"contoso\",state=\"ready\"}", 0.0),
        ("intake_customer_state{customer=\"adrift\",state=\"unreadable\"}", 1.0),
        ("intake_held_removals{customer=\"contoso\"}", 20.0),
        ("intake_held_removals{customer=\"fabrikam\"}", 0.0),
        ("intake_accounts{customer=\"contoso\",account_type=\"EndUser\",state=\"active\"}", 30.0),
        ("intake_accounts{customer=\"contoso\",account_type=\"EndUser\",state=\"removed\"}", 0.0),
        ("intake_accounts{customer=\"northwind\",account_type=\"EndUser\",state=\"active\"}", 2.0),
        (
            "intake_candidates{customer=\"northwind\",account_type=\"EndUser\",verdict=\"no-tenant-match\"}",
            1.0,
        ),
        ("intake_contacts{customer=\"contoso\",system=\"glue\",status=\"matched\"}", 1.0),
        ("intake_contacts{customer=\"contoso\",system=\"glue\",status=\"ambiguous\"}", 1.0),
        ("intake_contacts{customer=\"contoso\",system=\"glue\",status=\"unmatched\"}", 28.0),
        ("intake_contacts{customer=\"contoso\",system=\"glue\",status=\"failed\"}", 0.0),
        ("intake_operations_total{customer=\"contoso\",action=\"add\"}", 30.0),
        ("intake_operations_total{customer=\"contoso\",action=\"remove\"}", 0.0),
        ("intake_turns_total{outcome=\"failed\"}", 0.0),
        ("intake_source_requests_total{source=\"graph\",outcome=\"throttled\"}", 1.0),
        ("intake_source_requests_total{source=\"tokenService\",outcome=\"ok\"}", 1.0),
        ("intake_source_requests_total{source=\"managedIdentity\",outcome=\"ok\"}", 0.0),
        ("intake_source_throttled_seconds_total{source=\"ldap\"}", 0.0),
        ("intake_outbox_deliveries{state=\"waiting\"}", 5.0),
        ("intake_outbox_deliveries{state=\"givenUp\"}", 0.0),
    ] {
        assert_eq!(metrics.get(series), value, "{series}: {page}");
    }
    for series in [
        "intake_customer_last_success_timestamp_seconds{customer=\"contoso\"}",
        "intake_turns_total{outcome=\"ready\"}",
        "intake_turns_total{outcome=\"held\"}",
        "intake_turns_total{outcome=\"unreadable\"}",
        "intake_source_requests_total{source=\"ldap\",outcome=\"unanswered\"}",
        "intake_source_requests_total{source=\"graph\",outcome=\"ok\"}",
        "intake_delivery_attempts_total{outcome=\"putOff\"}",
        "intake_outbox_oldest_age_seconds",
    ] {
        assert!(metrics.get(series) > 0.0, "{series}: {page}");
    }
    assert!(metrics.get("intake_source_throttled_seconds_total{source=\"graph\"}") >= 1.0, "{page}");
    for stage in ["observe", "plan", "pack", "write", "record", "deliver"] {
        let count = format!("intake_turn_stage_duration_seconds_count{{stage=\"{stage}\"}}");
        assert!(metrics.get(&count) > 0.0, "{count}: {page}");
    }
    assert_eq!(metrics.sum("intake_tree_info{revision="), 1.0, "{page}");
    assert_eq!(metrics.0.keys().filter(|series| series.starts_with("intake_tree_info")).count(), 1);
    let contacts = metrics.0.keys().filter(|series| series.starts_with("intake_contacts{"));
    assert_eq!(contacts.count(), 4, "of whom nobody is documented there is nothing: {page}");
    for customer in ["adrift", "contoso", "fabrikam", "northwind"] {
        assert_eq!(metrics.sum(&format!("intake_customer_state{{customer=\"{customer}\"")), 1.0, "{page}");
    }
}
