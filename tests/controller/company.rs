//! Several programs over one register.

use serde_json::Value;

use crate::support::intake::{Installation, Run, persons, until};

const CUSTOMERS: [&str; 4] = ["a", "b", "c", "d"];

fn expect_done_or_stale(run: &Run) {
    match run.code {
        Some(0) => {}
        Some(1) => assert!(run.stderr.contains("stale") && run.stderr.contains("plan again"), "{run:?}"),
        _ => panic!("{run:?}"),
    }
}

fn expect_each_added_once(here: &Installation, accounts: usize) {
    let added: Vec<Value> =
        here.events().into_iter().filter(|event| event["kind"] == "account.added").collect();
    assert_eq!((added.len(), here.accounts().len()), (accounts, accounts));
    here.expect_whole();
}

#[test]
fn two_that_apply_at_once_do_it_once() {
    let people: Vec<u32> = (1..=50).collect();
    for _ in 0..4 {
        let here = Installation::new();
        here.policy(&CUSTOMERS);
        CUSTOMERS.iter().for_each(|name| here.customer_of_files(name, &people));
        let (first, second) = (here.start(&["apply", "--yes"]), here.start(&["apply", "--yes"]));
        let runs = [first.end(), second.end()];
        runs.iter().for_each(expect_done_or_stale);
        // Each may have lost a customer to the other; between them they did everything.
        expect_each_added_once(&here, 200);
        here.run(&["plan", "--detailed-exitcode"]).expect(0);
    }
}

#[test]
fn apply_and_the_controller_at_once_do_it_once() {
    let here = Installation::new();
    here.policy(&CUSTOMERS);
    CUSTOMERS.iter().for_each(|name| here.customer_of_files(name, &[1, 2]));
    let mut controller = here.start(&["run"]);
    controller.logs("applied");
    for round in 3..8 {
        let people: Vec<u32> = (1..=round).collect();
        CUSTOMERS.iter().for_each(|name| here.customer_of_files(name, &people));
        expect_done_or_stale(&here.run(&["apply", "--yes"]));
        for name in CUSTOMERS {
            until("everybody is imported", || here.names(name, "active") == persons(&people));
        }
    }
    assert!(!controller.has_ended());
    controller.signal("TERM");
    controller.end().expect(0);
    expect_each_added_once(&here, 28);
}

#[test]
fn questions_are_answered_while_the_controller_runs() {
    let here = Installation::new();
    here.policy(&["a"]);
    here.customer_of_files("a", &[1, 2]);
    let mut controller = here.start(&["run"]);
    controller.logs("applied");
    for question in [&["accounts"][..], &["status"], &["history"], &["history", "--verify"], &["plan"]] {
        let run = here.run(question).expect(0);
        assert!(!run.stdout.is_empty(), "{question:?}");
    }
    controller.signal("TERM");
    controller.end().expect(0);
}
