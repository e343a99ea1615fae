//! A customer whose tenant is read by what changed (`refresh: delta`), through the program.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::graph::{ALWAYS, At, FakeTenant, Fault, GraphFake, Place, e3, person, person_id};
use crate::support::intake::Installation;

struct Scene {
    here: Installation,
    graph: GraphFake,
    tenant: FakeTenant,
}

/// Forty licensed people, ten a page, all of whom are selected.
fn scene() -> Scene {
    let graph = GraphFake::spawn();
    let tenant = graph.tenant("contoso.test");
    tenant.people(40).page_size(10).sku(e3());
    let mut here = Installation::new();
    let source = here.graph_source("contoso", &graph).replace("{tenantId", "{refresh: delta, tenantId");
    let customer = "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {name: contoso}\nspec:\n  tenant: ";
    here.write("contoso.yaml", &format!("{customer}{source}\n"));
    let policy = "apiVersion: intake.dev/v1\nkind: ImportPolicy\nmetadata: {name: staff}\nspec:\n  accountType: \
                  EndUser\n  default: true\n  selection: {licensed: true}\n";
    here.write("staff.yaml", policy);
    Scene { here, graph, tenant }
}

impl Scene {
    fn run(&self, arguments: &[&str], code: i32) -> String {
        let run = self.here.run(&[arguments, &["--max-wait", "1s"]].concat()).expect(code);
        format!("{}{}", run.stdout, run.stderr)
    }

    /// The numbers of the active people.
    fn people(&self) -> BTreeSet<u32> {
        let accounts = self.here.accounts();
        let active = accounts.iter().filter(|account| account["state"] == "active");
        let name = active.map(|account| account["userPrincipalName"].as_str().expect("a name").to_owned());
        name.map(|name| {
            let digits: String = name.chars().filter(char::is_ascii_digit).collect();
            digits.parse().expect("a number")
        })
        .collect()
    }

    /// How many pages of changes were asked for since the last time, and whether from the start.
    fn pages(&self) -> (usize, bool) {
        let anew = self
            .graph
            .requests()
            .iter()
            .any(|seen| seen.place() == Some(Place::Delta) && seen.query.starts_with("$select="));
        let pages = self.graph.count(Place::Delta);
        self.graph.forget_requests();
        (pages, anew)
    }
}

fn all_but(numbers: &[u32]) -> BTreeSet<u32> {
    (1..=40).filter(|number| !numbers.contains(number)).collect()
}

#[test]
fn people_come_and_go_by_what_changed_and_a_plan_keeps_nothing() {
    let scene = scene();
    scene.run(&["apply", "--yes"], 0);
    assert_eq!(scene.pages(), (4, true));
    assert_eq!(scene.people(), all_but(&[]));
    scene.run(&["plan", "--detailed-exitcode"], 0);
    assert_eq!(scene.pages(), (1, false));

    scene.tenant.remove(&person_id(7)).user(person(41, "contoso.test"));
    // Twice, as the first one keeps nothing.
    for _ in 0..2 {
        let shown = scene.run(&["plan", "--detailed-exitcode"], 2);
        assert!(shown.contains("1 to add") && shown.contains("1 to remove"), "{shown}");
    }
    scene.run(&["run", "--once"], 0);
    assert_eq!(scene.people(), all_but(&[7]).into_iter().chain([41]).collect());
    assert_eq!(scene.graph.count(Place::Users), 0, "nobody lists the users");
    let events = scene.here.events().len();
    scene.pages();
    scene.run(&["run", "--once"], 0);
    assert_eq!((scene.pages(), scene.here.events().len()), ((1, false), events));
    scene.here.expect_whole();
}

#[test]
fn changes_that_are_lost_cut_or_refused_remove_nobody_and_the_next_run_catches_up() {
    let scene = scene();
    scene.run(&["apply", "--yes"], 0);
    scene.tenant.remove(&person_id(7)).change(&person_id(8), json!({"displayName": "Person Eight"}));
    let faults = [Fault::CutBody, Fault::NoEnd, Fault::Status(503), Fault::Hidden("id"), Fault::Html];
    for fault in faults {
        scene.graph.fault(At::delta(), fault.clone(), ALWAYS);
        scene.run(&["apply", "--yes"], 3);
        assert_eq!(scene.people(), all_but(&[]), "{fault:?}");
        scene.graph.clear_faults();
    }
    scene.pages();
    scene.run(&["apply", "--yes"], 0);
    assert_eq!(scene.people(), all_but(&[7]));
    assert_eq!(scene.pages(), (1, false));

    // The service forgets what it told.
    scene.tenant.remove(&person_id(9));
    scene.graph.expire_delta_links();
    scene.run(&["apply", "--yes"], 0);
    assert_eq!((scene.people(), scene.pages()), (all_but(&[7, 9]), (1 + 4, true)));
    scene.here.expect_whole();
}

#[test]
fn whom_the_changes_say_is_gone_is_asked_for_first() {
    let scene = scene();
    scene.run(&["apply", "--yes"], 0);
    // Told as removed, and there all the same; and told as unlicensed, which the user is not.
    let removed = json!({"id": person_id(5), "@removed": {"reason": "deleted"}});
    let unlicensed = json!({"id": person_id(6), "assignedLicenses": []});
    scene.graph.fault(At::delta(), Fault::MoreRows(vec![removed, unlicensed]), 1);
    scene.run(&["apply", "--yes"], 0);
    assert_eq!(scene.people(), all_but(&[]));
    assert!(scene.graph.count(Place::Batch) > 0);
}
