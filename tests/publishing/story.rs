//! What publishing does where nothing is wrong: made, changed, taken out and brought back, each once.

use serde_json::json;

use crate::support::asking::Served;
use crate::support::intake::until;
use crate::support::receiver::Receiver;

use super::{Site, name, publish};

#[test]
fn accounts_are_made_once_changed_by_one_patch_and_a_second_run_asks_nothing() {
    let site = Site::new(&[1, 2, 3], "");
    site.run();
    assert_eq!(site.active(), [name(1), name(2), name(3)]);
    let user = site.fake.user(&name(1)).expect("a user");
    let id = user["externalId"].as_str().expect("an id");
    assert!(id.starts_with("intake:contoso:EndUser:directory:"), "{id}");
    assert_eq!(user["emails"], json!([{"value": name(1), "type": "work", "primary": true}]));
    assert_eq!(site.count("published"), 3);
    assert_eq!(site.events(), ["created", "created", "created"]);
    assert!(
        site.here
            .events()
            .iter()
            .all(|event| event["revision"].as_str().is_some_and(|text| !text.is_empty()))
    );

    site.fake.take_seen();
    site.run();
    assert!(site.fake.take_seen().is_empty(), "no request at all");
    assert_eq!(site.events().len(), 3);

    site.rename(&[1, 2, 3], &name(1), "janet@contoso.test");
    assert_eq!(site.writes(), ["PATCH /Users/u1"]);
    let janet = site.fake.user("janet@contoso.test").expect("the same user");
    assert_eq!((janet["id"].as_str(), janet["externalId"].as_str()), (Some("u1"), Some(id)));
    assert_eq!(site.writes(), [""; 0]);
    assert_eq!(site.events()[3..], ["updated"]);
}

#[test]
fn who_is_removed_is_deactivated_and_who_returns_is_the_same_user() {
    let site = Site::new(&[1, 2, 3], "");
    site.run();
    site.people(&[1, 2]);
    assert_eq!(site.writes(), ["PATCH /Users/u3"]);
    assert_eq!(site.active(), [name(1), name(2)]);
    assert_eq!((site.count("published"), site.count("deactivated")), (2, 1));
    assert_eq!(site.writes(), [""; 0]);
    site.people(&[1, 2, 3]);
    assert_eq!(site.writes(), ["PATCH /Users/u3"]);
    assert_eq!(site.fake.user(&name(3)).expect("the user")["active"], true);
    assert_eq!(site.events()[3..], ["deactivated", "updated"]);
}

#[test]
fn who_is_removed_is_deleted_where_the_operator_says_so() {
    let site = Site::new(&[1, 2, 3], ", onRemoval: delete");
    site.run();
    site.people(&[1, 2]);
    assert_eq!(site.writes(), ["DELETE /Users/u3"]);
    assert_eq!(site.fake.users().len(), 2);
    assert_eq!(site.writes(), [""; 0]);
    assert_eq!(site.count("deleted"), 1);
    site.people(&[1, 2, 3]);
    assert_eq!(site.writes(), ["POST /Users"]);
}

#[test]
fn a_file_that_goes_deactivates_nobody() {
    let site = Site::new(&[1, 2, 3], "");
    site.run();
    publish(&site.here, "[]");
    assert_eq!(site.writes(), [""; 0]);
    assert_eq!((site.active().len(), site.count("orphaned")), (3, 3));
    // Nor does one with an error, or a customer that leaves the tree, whoever is removed meanwhile.
    publish(&site.here, "[hr-ap]");
    site.people(&[1]);
    let run = site.here.run(&["run", "--once"]).expect(1);
    assert!(run.stderr.contains("there is no target `hr-ap`"), "{run:?}");
    assert!(run.stderr.contains("hr-app"), "the nearest: {run:?}");
    site.here.delete("contoso.yaml");
    site.here.write(
        "other.yaml",
        "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {name: other}\nspec: {suspend: true}\n",
    );
    let _ = site.here.run(&["run", "--once"]);
    assert_eq!((site.active().len(), site.count("orphaned")), (3, 3));
    assert_eq!(site.fake.take_writes(), [""; 0]);
    assert_eq!(site.events()[3..], ["orphaned", "orphaned", "orphaned"]);
}

/// Publishes three people, and has one go who is asked to be deactivated, which does not get there.
fn removal_that_waits(site: &Site) {
    site.run();
    site.people(&[1, 2]);
    site.fake.set_token("another");
    site.run();
    site.fake.set_token(super::TOKEN);
}

/// Reads and plans go on, and nothing is written: neither what waits nor what drifted.
#[test]
fn of_a_customer_that_its_document_suspends_nothing_is_written_until_it_is_resumed() {
    let site = Site::new(&[1, 2, 3], ", drift: {correct: true}");
    removal_that_waits(&site);
    site.fake.change(&name(1), |user| user["displayName"] = "Somebody".into());
    let resumed = std::fs::read_to_string(site.here.tree().join("contoso.yaml")).expect("a file");
    site.here.write("contoso.yaml", &resumed.replace("spec:", "spec:\n  suspend: true"));
    for _ in 0..2 {
        site.let_a_day_pass();
        assert_eq!(site.writes(), [""; 0]);
    }
    assert_eq!((site.active().len(), site.count("waiting"), site.count("drifted")), (3, 1, 0));
    site.here.write("contoso.yaml", &resumed);
    site.let_a_day_pass();
    let mut writes = site.writes();
    writes.sort();
    assert_eq!(writes, ["PATCH /Users/u1", "PATCH /Users/u3"]);
    assert_eq!(site.active(), [name(1), name(2)]);
}

/// What its last turn tells is then that it could not be read, and nothing of its document.
#[test]
fn a_customer_that_is_suspended_and_cannot_be_read_is_still_suspended() {
    let site = Site::new(&[1, 2, 3], "");
    removal_that_waits(&site);
    let resumed = std::fs::read_to_string(site.here.tree().join("contoso.yaml")).expect("a file");
    site.here.write("contoso.yaml", &resumed.replace("spec:", "spec:\n  suspend: true"));
    site.here.delete("contoso.ldif");
    site.let_time_pass();
    site.fake.take_seen();
    site.here.run(&["run", "--once", "--max-wait", "3s"]).expect(3);
    assert_eq!(site.fake.take_writes(), [""; 0]);
}

/// Nobody knows whether a document that cannot be read says so still.
#[test]
fn a_customer_that_is_suspended_by_a_document_that_is_broken_meanwhile_is_still_suspended() {
    let site = Site::new(&[1, 2, 3], "");
    removal_that_waits(&site);
    let resumed = std::fs::read_to_string(site.here.tree().join("contoso.yaml")).expect("a file");
    let suspended = resumed.replace("spec:", "spec:\n  suspend: true");
    // No YAML at all; nothing that says whose it is; and a field that is none.
    for broken in [
        suspended.replace("  suspend", "\tsuspend"),
        suspended.replace("name: contoso", "name: [contoso]"),
        suspended.replace("suspend: true", "suspend: yes please"),
    ] {
        assert_ne!(broken, suspended);
        site.here.write("contoso.yaml", &broken);
        site.let_time_pass();
        site.fake.take_seen();
        site.here.run(&["run", "--once", "--max-wait", "3s"]);
        assert_eq!(site.fake.take_writes(), [""; 0], "{broken}");
    }
    site.here.write("contoso.yaml", &resumed);
    site.let_time_pass();
    site.run();
    assert_eq!(site.count("deactivated"), 1, "and it goes on once it can be read");
}

#[test]
fn a_customer_that_comes_back_is_as_before_and_who_was_removed_meanwhile_goes() {
    let site = Site::new(&[1, 2, 3], "");
    site.run();
    publish(&site.here, "[]");
    site.run();
    site.people(&[1, 2]);
    site.run();
    publish(&site.here, "[hr-app]");
    assert_eq!(site.writes(), ["PATCH /Users/u3"], "and nobody else is written");
    assert_eq!((site.count("published"), site.count("deactivated")), (2, 1));
}

#[test]
fn apply_publishes_as_the_controller_does() {
    let site = Site::new(&[1, 2], "");
    site.here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(site.active(), [name(1), name(2)]);
    assert_eq!(site.count("published"), 2);
}

#[test]
fn two_customers_that_want_one_name_are_in_conflict_and_do_not_fight() {
    let site = Site::new(&[1, 2], "");
    site.run();
    // The same people, by another customer of its own register entry.
    site.here.people("fabrikam", &[2, 3]);
    let old = std::fs::read_to_string(site.here.tree().join("contoso.yaml")).expect("a file");
    site.here.write("contoso.yaml", &old.replace("spec:", "spec:\n  matches: []"));
    site.here.customer(
        "fabrikam",
        "Fabrikam",
        &crate::support::intake::ldif_source("fabrikam"),
        &crate::support::intake::snapshot_source("fabrikam"),
    );
    let _ = site.here.run(&["run", "--once"]);
    assert_eq!(site.active(), [name(1), name(2), name(3)], "nobody twice");
    let _ = site.here.run(&["run", "--once"]);
    site.fake.take_seen();
    let _ = site.here.run(&["run", "--once"]);
    assert_eq!(site.count("conflict"), 2, "for both");
    assert!(site.fake.take_seen().is_empty(), "and nobody is asked about it");
}

#[test]
fn a_token_that_is_refused_is_told_of_and_a_new_one_needs_no_restart() {
    let site = Site::new(&[1, 2], "");
    site.fake.set_token("another");
    site.run();
    let told = site.here.json(&["status"], 0)["targets"][0].clone();
    assert!(told["fault"].as_str().is_some_and(|fault| fault.contains("401")), "{told:#}");
    assert_eq!(told["waiting"], 2);
    let text = site.here.run(&["status"]).expect(0).stdout;
    assert!(text.contains("Nothing more gets there since"), "{text}");
    assert!(!text.contains(super::TOKEN), "{text}");
    site.fake.set_token(super::TOKEN);
    site.let_time_pass();
    site.run();
    assert_eq!(site.active().len(), 2);
    assert!(site.here.json(&["status"], 0)["targets"][0]["fault"].is_null());
}

#[test]
fn a_crash_between_writing_and_recording_makes_nobody_twice() {
    let site = Site::new(&[1, 2, 3], "");
    // The user is kept, and the answer does not come before the program is killed.
    site.fake.set(|wrong| wrong.post_keeps_and_fails = vec![0; 3]);
    let mut running = site.here.start(&["run", "--once", "--max-wait", "20s"]);
    crate::support::intake::until("a user is kept", || !site.fake.users().is_empty());
    running.kill();
    site.fake.set(|wrong| wrong.post_keeps_and_fails.clear());
    let made = site.fake.users().len();
    site.let_time_pass();
    site.run();
    assert_eq!(site.active(), [name(1), name(2), name(3)]);
    let posts = site.fake.take_writes().iter().filter(|write| *write == "POST /Users").count();
    assert_eq!(posts, 3, "{made} were made before");
    assert_eq!(site.count("published"), 3);
}

#[test]
fn a_controller_publishes_and_shows_how_accounts_stand_in_its_metrics_and_on_their_pages() {
    let site = Site::new(&[1, 2], "");
    site.fake.stranger(&name(2), Some("<i>theirs</i>"));
    site.here.operator(&format!("listen: \"127.0.0.1:0\"\n{}", site.fake.target("")));
    let served = Served::start(&site.here);
    until("it publishes", || site.fake.user(&name(1)).is_some());
    until("it tells", || {
        let page = served.get("/metrics").expect(200).body;
        page.contains("intake_publications{target=\"hr-app\",state=\"published\"} 1")
            && page.contains("intake_publications{target=\"hr-app\",state=\"conflict\"} 1")
    });
    let page_of = |number: u32| {
        let page = served.get(&format!("/customers/contoso/accounts/{}", name(number))).expect(200).body;
        let (_, rest) = page.split_once("Published to").expect("a part about targets");
        rest.split_once("</section>").expect("its end").0.to_owned()
    };
    let (published, conflict) = (page_of(1), page_of(2));
    let id = site.fake.user(&name(1)).expect("a user")["id"].as_str().expect("an id").to_owned();
    for part in ["hr-app", "is-published", &format!(">{id}</code>")] {
        assert!(published.contains(part), "{part}: {published}");
    }
    for part in ["hr-app", "is-conflict", "is there already", "&#60;i&#62;theirs"] {
        assert!(conflict.contains(part), "{part}: {conflict}");
    }
    served.end();
    assert_eq!(site.fake.user(&name(2)).expect("the stranger")["displayName"], "A Stranger");
}

/// What is owed to a service that hangs holds up nobody who is to be told something else.
#[test]
fn a_service_that_answers_nothing_keeps_no_webhook_waiting() {
    // More than are asked for at once.
    let people: Vec<u32> = (1..=150).collect();
    let (receiver, site) = (Receiver::start(), Site::new(&people, ""));
    site.here.operator(&format!("{}{}", site.fake.target(""), receiver.notify("changed")));
    site.fake.set(|wrong| wrong.post_keeps_and_fails = vec![0; 1_000]);
    site.run();
    site.let_time_pass();
    site.rename(&people, &name(1), "janet@contoso.test");
    let before = receiver.told().len();
    site.run();
    assert_eq!(receiver.told().len(), before + 1);
}
