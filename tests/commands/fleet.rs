//! The limit of removals over all customers.

use std::collections::BTreeSet;

use crate::support::intake::{Installation, persons};

const CUSTOMERS: [&str; 3] = ["a", "b", "c"];

/// Three customers of thirty people, of each of whom two have left.
fn leavers(fleet: &str) -> Installation {
    let here = Installation::new();
    here.operator(fleet);
    here.policy(&CUSTOMERS);
    let all: Vec<u32> = (1..=30).collect();
    for name in CUSTOMERS {
        here.customer_of_files(name, &all);
    }
    here.run(&["apply", "--yes"]).expect(0);
    for name in CUSTOMERS {
        here.people(name, &all[..28]);
    }
    here
}

fn left(here: &Installation) -> Vec<&'static str> {
    let gone = |name: &&str| here.names(name, "active").len() == 28;
    CUSTOMERS.into_iter().filter(gone).collect()
}

#[test]
fn whole_customers_are_held_in_the_order_of_their_names_until_there_is_room() {
    let here = leavers("fleet: {maxRemovals: 5, window: 1h}\n");
    let plan = here.json(&["plan"], 3);
    let summary: Vec<(u64, u64)> = plan["customers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            (
                one["summary"]["remove"].as_u64().expect("a count"),
                one["summary"]["hold"].as_u64().expect("a count"),
            )
        })
        .collect();
    assert_eq!(summary, [(2, 0), (2, 0), (0, 2)]);
    let third = &plan["customers"][2];
    assert_eq!(third["operations"][0]["heldBy"], "fleet-removal-limit");
    assert_eq!(third["state"], "held");
    assert!(third.get("approval").is_none(), "nobody approves it away: {third:#}");

    let run = here.run(&["apply", "--yes"]).expect(3);
    assert!(run.stdout.contains("the operator's limit is 5"), "{run:?}");
    assert_eq!(left(&here), ["a", "b"]);
    // The window has no room for the third one, whichever command asks.
    here.run(&["run", "--once"]).expect(3);
    assert_eq!(left(&here), ["a", "b"]);
    here.operator("fleet: {maxRemovals: 6, window: 1h}\n");
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(left(&here), ["a", "b", "c"]);
    here.expect_whole();
}

#[test]
fn in_a_round_of_turns_as_many_customers_go_as_there_is_room_for() {
    let here = leavers("fleet: {maxRemovals: 3}\n");
    here.run(&["run", "--once"]).expect(3);
    assert_eq!(left(&here).len(), 1, "whoever arrived first");
}

#[test]
fn an_approval_lifts_a_customers_guards_and_not_the_limit_of_the_fleet() {
    let here = leavers("fleet: {maxRemovals: 5}\n");
    let few: Vec<u32> = (1..=20).collect();
    here.people("a", &few);
    let plan = here.json(&["plan", "--customer", "a"], 3);
    let approval = plan["customers"][0]["approval"].as_str().expect("a digest").to_owned();
    // Ten are more than the customer's own limit, and more than the fleet's.
    let run = here.run(&["apply", "--yes", "--customer", "a", "--approve", &approval]).expect(1);
    assert!(run.stderr.contains("approves nothing that is held now"), "{run:?}");
    here.operator("fleet: {maxRemovals: 10}\n");
    here.run(&["apply", "--yes", "--customer", "a", "--approve", &approval]).expect(0);
    let active: BTreeSet<String> = here.names("a", "active");
    assert_eq!(active, persons(&few));
}
