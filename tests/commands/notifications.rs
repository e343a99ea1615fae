//! Who is told of what, by webhooks of the operator's.

use std::fs;

use crate::support::intake::{Installation, persons, until};
use crate::support::receiver::Receiver;

/// A customer of thirty people whose leavers are too many, told to a webhook with these fields besides.
fn told_of_a_hold(webhook: &str) -> (Installation, Receiver) {
    let receiver = Receiver::start();
    let here = Installation::new();
    let line = receiver.notify("changed, held");
    here.operator(&line.replace("{url:", &format!("{{{webhook}url:")));
    here.policy(&["contoso"]);
    let all: Vec<u32> = (1..=30).collect();
    here.customer_of_files("contoso", &all);
    here.run(&["apply", "--yes"]).expect(0);
    here.people("contoso", &all[..10]);
    here.run(&["apply", "--yes"]).expect(3);
    (here, receiver)
}

#[test]
fn people_read_who_is_held_why_and_what_to_type() {
    let (here, receiver) = told_of_a_hold("form: slack, ");
    let plan = here.json(&["plan"], 3);
    let approval = plan["customers"][0]["approval"].as_str().expect("a digest");
    let told = receiver.told();
    let [added, held] = told.as_slice() else { panic!("{told:#?}") };
    let text = |message: &serde_json::Value| message["text"].as_str().expect("text").to_owned();
    assert!(text(added).starts_with("contoso: changed: 30 added, 0 updated, 0 removed\n"), "{}", text(added));
    assert!(text(added).contains("… and 10 more"), "{}", text(added));
    let words = held["blocks"][0]["text"]["text"].as_str().expect("words");
    assert!(words.starts_with("contoso: held: 20 removals"), "{words}");
    assert!(words.contains(&format!("--approve {approval}")), "{words}");
    assert!(words.contains("person30@contoso.test"), "{words}");
    assert_eq!(here.names("contoso", "active"), persons(&(1..=30).collect::<Vec<_>>()));
}

#[test]
fn a_key_that_signs_nothing_is_told_and_stops_nobody() {
    let here = Installation::new();
    let receiver = Receiver::start();
    let key = here.folder().join("key");
    fs::write(&key, "a password").expect("written");
    let line = receiver.notify("changed");
    let field = format!("{{signingKeyFrom: {{file: {}}}, url:", key.display());
    here.operator(&line.replace("{url:", &field));
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1, 2]);
    let run = here.run(&["apply", "--yes"]).expect(0);
    assert!(run.stderr.contains("no notifications: the key that signs is not `whsec_`"), "{run:?}");
    assert!(!run.stderr.contains("a password"), "{run:?}");
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2]));
    assert!(receiver.told().is_empty(), "and nothing is sent without a signature");
}

#[test]
fn a_secret_that_is_renewed_counts_from_the_next_delivery_on() {
    let here = Installation::new();
    let receiver = Receiver::start();
    let key = here.folder().join("key");
    let line = receiver.notify("changed");
    let field = format!("{{signingKeyFrom: {{file: {}}}, url:", key.display());
    here.operator(&line.replace("{url:", &field));
    here.policy(&["contoso", "fabrikam"]);
    here.customer_of_files("contoso", &[1, 2]);
    let mut controller = here.start(&["run"]);
    controller.logs("no notifications: its signing key");
    until("contoso is imported", || here.names("contoso", "active") == persons(&[1, 2]));
    assert!(receiver.told().is_empty());
    // Somebody puts the key there. What waits is sent when its time comes; what is new is sent at once.
    fs::write(&key, format!("whsec_{}", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NTY=")).expect("written");
    here.customer_of_files("fabrikam", &[11]);
    until("fabrikam is told of", || receiver.told().iter().any(|event| event["subject"] == "fabrikam"));
    controller.signal("TERM");
    controller.end().expect(0);
}
