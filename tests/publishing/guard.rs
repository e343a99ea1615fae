//! The target's own guard, and what others change there.

use crate::support::intake::until;

use super::{Site, name};

#[test]
fn more_removals_than_the_target_allows_are_held_whole_and_go_when_it_allows_more() {
    let people: Vec<u32> = (1..=10).collect();
    let mut site = Site::new(&people, "");
    site.run();
    site.people(&[1, 2, 3, 4, 5]);
    assert_eq!(site.writes(), [""; 0], "all five are held");
    assert_eq!((site.active().len(), site.count("held")), (10, 5));
    let unclear = site.unclear();
    assert!(
        unclear.iter().all(|one| one["cause"].as_str().is_some_and(|cause| cause.contains("`removal`"))),
        "{unclear:#?}"
    );
    assert_eq!(site.events().iter().filter(|kind| *kind == "held").count(), 5);
    assert_eq!(site.writes(), [""; 0]);
    assert_eq!(site.events().iter().filter(|kind| *kind == "held").count(), 5, "told once");
    // Who comes back meanwhile is not written.
    site.people(&[1, 2, 3, 4, 5, 6]);
    assert_eq!(site.writes(), [""; 0]);
    assert_eq!(site.count("held"), 4);
    site.target(", removal: {maxPercent: 50, maxCount: 4}");
    assert_eq!(site.writes().len(), 4);
    assert_eq!(site.active().len(), 6);
    // Those count for a day.
    site.people(&[1, 2, 3, 6]);
    assert_eq!(site.writes(), [""; 0]);
    site.let_a_day_pass();
    assert_eq!(site.writes().len(), 2);
    assert_eq!(site.active(), [name(1), name(2), name(3), name(6)]);
}

#[test]
fn what_others_change_is_told_and_set_right_where_the_operator_wants_it() {
    let mut site = Site::new(&[1, 2, 3], "");
    site.run();
    site.people(&[1, 2]);
    site.run();
    site.fake.change(&name(1), |user| user["displayName"] = "Somebody".into());
    site.fake.change(&name(3), |user| user["active"] = true.into());
    assert_eq!(site.writes(), [""; 0], "not looked at before its time");
    site.let_a_day_pass();
    assert_eq!(site.writes(), [""; 0], "told, and not set right");
    assert_eq!(site.count("drifted"), 2);
    let kinds = site.events();
    site.let_a_day_pass();
    site.run();
    assert_eq!(site.events(), kinds, "told once");
    site.target(", drift: {correct: true}");
    site.let_a_day_pass();
    let mut writes = site.writes();
    writes.sort();
    assert_eq!(writes, ["PATCH /Users/u1", "PATCH /Users/u3"]);
    assert_eq!((site.count("drifted"), site.count("published"), site.count("deactivated")), (0, 2, 1));
    // Who was deleted there is made again.
    site.fake.remove(&name(2));
    site.let_a_day_pass();
    assert_eq!(site.writes(), ["POST /Users"]);
    // What is as it was is no drift any more.
    site.target("");
    site.fake.change(&name(1), |user| user["active"] = false.into());
    site.let_a_day_pass();
    site.run();
    assert_eq!(site.count("drifted"), 1);
    site.fake.change(&name(1), |user| user["active"] = true.into());
    site.let_a_day_pass();
    site.run();
    assert_eq!(site.count("drifted"), 0);
}

#[test]
fn what_was_set_right_once_is_set_right_again_if_it_comes_back() {
    let site = Site::new(&[1, 2], ", drift: {correct: true}");
    site.run();
    for _ in 0..2 {
        site.fake.change(&name(1), |user| user["displayName"] = "Somebody".into());
        site.let_a_day_pass();
        assert_eq!(site.writes(), ["PATCH /Users/u1"]);
        site.let_a_day_pass();
        assert_eq!(site.writes(), [""; 0], "as it was told");
    }
    // Where it is another again whenever it is looked at, it was not taken.
    for expected in [1, 0, 0] {
        site.fake.change(&name(1), |user| user["displayName"] = "Somebody".into());
        site.let_a_day_pass();
        assert_eq!(site.writes().len(), expected);
    }
    assert_eq!(site.count("drifted"), 1);
}

#[test]
fn what_changes_while_a_target_is_listed_is_no_drift() {
    let site = Site::new(&[1, 2, 3], ", drift: {correct: true}");
    site.run();
    let kinds = site.events();
    site.fake.set(|wrong| wrong.listing_waits = true);
    site.let_a_day_pass();
    site.fake.take_seen();
    let running = site.here.start(&["run", "--once", "--max-wait", "20s"]);
    until("it lists", || site.fake.take_seen().iter().any(|seen| seen.path == "/Users"));
    // As another replica that deactivates somebody meanwhile.
    site.fake.change(&name(3), |user| user["active"] = false.into());
    site.here.sql(
        "UPDATE publications SET status = 'deactivated', wanted = 'absent', user_name = NULL, asked = NULL, \
         confirmed = NULL, asked_at = asked_at + 1, since = since + 1 WHERE remote_id = 'u3'",
    );
    site.fake.set(|wrong| wrong.listing_waits = false);
    let run = running.end().expect(0);
    assert_eq!((site.count("drifted"), site.count("deactivated")), (0, 1), "{run:?}");
    assert_eq!(site.events(), kinds);
    assert_eq!(site.fake.take_writes(), [""; 0]);
}

#[test]
fn a_listing_without_most_of_them_is_not_believed() {
    let people: Vec<u32> = (1..=10).collect();
    let site = Site::new(&people, ", drift: {correct: true}");
    site.run();
    for number in 1..=5 {
        site.fake.remove(&name(number));
    }
    site.let_a_day_pass();
    assert_eq!(site.writes(), [""; 0]);
    let told = site.here.json(&["status"], 0)["targets"][0].clone();
    assert!(told["comparisonFault"].as_str().is_some_and(|fault| fault.contains("5 of 10")), "{told:#}");
    assert_eq!(site.count("published"), 10);
}
