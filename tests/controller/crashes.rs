//! The program is killed at any moment: nothing is lost, and nothing happens twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::intake::{Installation, persons};
use crate::support::receiver::Receiver;

const CUSTOMERS: [&str; 3] = ["contoso", "fabrikam", "northwind"];

/// Tells the seed when the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "the same moments again: INTAKE_SEED={}", self.0);
        }
    }
}

/// Kills the program while it does what the arguments say, again and again, with two more people to
/// import in each customer each time; then lets it run once.
fn killed_at_random(arguments: &[&str], kills: u32) {
    let seed = std::env::var("INTAKE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let _told = Seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);

    let receiver = Receiver::start();
    let here = Installation::new();
    here.operator(&receiver.notify("changed"));
    here.policy(&CUSTOMERS);
    let grow = |people: u32| {
        let people: Vec<u32> = (1..=people).collect();
        CUSTOMERS.iter().for_each(|name| here.customer_of_files(name, &people));
    };
    // How long a run takes, with a store to be made and with one that is there.
    grow(20);
    let elsewhere = here.elsewhere();
    let mut longest = elsewhere.run(&["apply", "--yes"]).expect(0).took;

    let mut interrupted = 0;
    for kill in 0..kills {
        grow(20 + 2 * kill);
        // Spread over the whole run, each in its own part of it.
        let share = (f64::from(kill) + random.f64()) / f64::from(kills);
        let delay = longest.mul_f64(1.1 * share);
        let begun = Instant::now();
        let mut program = here.start(arguments);
        while !program.has_ended() && begun.elapsed() < delay {
            std::thread::sleep(Duration::from_millis(1).min(delay.saturating_sub(begun.elapsed())));
        }
        if program.has_ended() {
            // The first run may have been slow by accident: no later one is to end before its kill for that.
            longest = longest.min(begun.elapsed());
        } else {
            interrupted += 1;
        }
        program.kill();
        if kill % 5 == 0 && here.state().exists() {
            here.expect_whole();
        }
    }
    assert!(interrupted > kills / 2, "only {interrupted} of {kills} kills met a running program");

    here.run(&["apply", "--yes"]).expect(0);
    here.expect_whole();
    let undisturbed = here.elsewhere();
    undisturbed.run(&["apply", "--yes"]).expect(0);
    assert_eq!(without_times(&here), without_times(&undisturbed));
    let everybody: Vec<u32> = (1..=20 + 2 * (kills - 1)).collect();
    for name in CUSTOMERS {
        assert_eq!(here.names(name, "active"), persons(&everybody));
    }
    expect_added_once(&here);
    expect_told(&here, &receiver);
    // And there is nothing left to do.
    let (events, told) = (here.events(), receiver.told().len());
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!((here.events(), receiver.told().len()), (events, told));
}

/// Returns the accounts as they are whenever they were imported.
fn without_times(installation: &Installation) -> Vec<Value> {
    let mut accounts = installation.accounts();
    for account in &mut accounts {
        account.as_object_mut().expect("an account").remove("importedAt").expect("a time");
    }
    accounts
}

fn expect_added_once(here: &Installation) {
    let mut added: BTreeMap<(String, String), u32> = BTreeMap::new();
    for event in here.events() {
        assert_eq!(event["kind"] == "account.added", !event["account"].is_null(), "{event:#}");
        if event["kind"] == "account.added" {
            *added.entry((event["customer"].to_string(), event["account"].to_string())).or_default() += 1;
        }
    }
    assert_eq!(added.len(), here.accounts().len());
    let twice: Vec<_> = added.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "added more than once: {twice:?}");
}

/// Expects that the receiver was told of every write at least once, and always the same.
fn expect_told(here: &Installation, receiver: &Receiver) {
    let mut bodies: BTreeMap<String, Value> = BTreeMap::new();
    for event in receiver.told() {
        let id = event["id"].as_str().expect("an id").to_owned();
        let first = bodies.entry(id).or_insert_with(|| event.clone());
        assert_eq!(*first, event, "two bodies of one id");
    }
    let told: BTreeSet<(String, String)> = bodies
        .values()
        .map(|event| (event["subject"].to_string(), event["data"]["run"].to_string()))
        .collect();
    assert_eq!(told.len(), bodies.len(), "two ids of one write");
    let written: BTreeSet<(String, String)> = here
        .events()
        .iter()
        .filter(|event| event["kind"] == "account.added")
        .map(|event| (event["customer"].to_string(), event["run"].to_string()))
        .collect();
    assert_eq!(told, written);
}

#[test]
fn apply_may_be_killed_at_any_moment() {
    killed_at_random(&["apply", "--yes"], 25);
}

#[test]
fn the_controller_may_be_killed_at_any_moment() {
    killed_at_random(&["run"], 25);
}

#[test]
fn a_first_run_that_is_killed_leaves_a_store_that_works() {
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1, 2, 3]);
    let longest = here.elsewhere().run(&["apply", "--yes"]).expect(0).took;
    for part in 0..12_u32 {
        let fresh = here.elsewhere();
        let mut program = fresh.start(&["apply", "--yes"]);
        std::thread::sleep(longest * part / 12 + Duration::from_millis(1));
        program.kill();
        fresh.run(&["apply", "--yes"]).expect(0);
        assert_eq!(fresh.names("contoso", "active"), persons(&[1, 2, 3]), "killed in part {part}");
        expect_added_once(&fresh);
        fresh.expect_whole();
    }
}
