//! `plan --against`: what a change of the tree makes different.

use serde_json::Value;

use crate::git::Followed;
use crate::support::graph::{GraphFake, Place};
use crate::support::intake::{Run, Running};
use crate::support::process::run;

impl Followed {
    /// Plans the working copy.
    fn plan(&self, arguments: &[&str]) -> Run {
        let mut command = self.installation.command(&[&["plan"], arguments].concat());
        Running::of(command.arg(self.repository.work().join("customers"))).end()
    }

    fn plan_json(&self, arguments: &[&str], code: i32) -> Value {
        let run = self.plan(&[arguments, &["--format", "json"]].concat()).expect(code);
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
    }
}

fn names(operations: &Value) -> Vec<&str> {
    let operations = operations.as_array().map(Vec::as_slice).unwrap_or_default();
    operations.iter().map(|one| one["account"]["samAccountName"].as_str().expect("a name")).collect()
}

#[test]
fn only_what_the_change_makes_different_is_shown() {
    let followed = Followed::new(&[1, 2, 3]);
    followed.installation.policy(&["contoso", "fabrikam"]);
    followed.people("fabrikam", &[11]);
    let main = followed.repository.publish();
    // Nobody is imported yet: all five come anyway, and that is not what this change does.
    let whole = followed.plan_json(&[], 0);
    assert_eq!(whole["summary"]["add"], 4);
    let same = followed.plan_json(&["--against", "HEAD", "--detailed-exitcode"], 0);
    assert_eq!(same["customers"], serde_json::json!([]));
    assert_eq!(same["against"], main.as_str());
    assert_eq!(same["digest"], whole["digest"], "the digest is that of the whole plan");
    assert!(followed.plan(&["--against", "HEAD"]).stdout.contains("Nothing differs."));

    let document = followed.repository.work().join("customers/contoso.yaml");
    let text = std::fs::read_to_string(document).expect("a document");
    let exclude = "  exclude: [{account: person2@contoso.test, reason: a shared mailbox}]\n";
    followed.repository.write("customers/contoso.yaml", text + exclude);
    let differs = followed.plan_json(&["--against", "main", "--detailed-exitcode"], 2);
    let customers = differs["customers"].as_array().expect("a list");
    assert_eq!(customers.len(), 1, "fabrikam is as before: {differs:#}");
    assert_eq!(names(&customers[0]["operations"]), [""; 0]);
    assert_eq!(names(&customers[0]["noLonger"]), ["person2"]);
    assert_eq!(names(&customers[0]["notImported"]), ["person2"]);
    let text = followed.plan(&["--against", "main"]).expect(0).stdout;
    assert!(text.contains("no longer:\n  + add    person2@contoso.test"), "{text}");
    assert!(!text.contains("person1@") && !text.contains("fabrikam"), "{text}");
    let comment = followed.plan(&["--against", "main", "--format", "markdown"]).expect(0).stdout;
    assert!(comment.contains("No longer:") && comment.contains("Only what differs is shown."), "{comment}");
    let redacted = followed.plan(&["--against", "main", "--redact", "--format", "json"]).expect(0).stdout;
    assert!(!redacted.contains("person2"), "{redacted}");
}

#[test]
fn people_who_changed_in_the_tree_are_a_difference_and_a_customer_who_left_it_too() {
    let followed = Followed::new(&[1, 2]);
    followed.repository.publish();
    followed.people("contoso", &[1, 3]);
    let differs = followed.plan_json(&["--against", "main"], 0);
    assert_eq!(names(&differs["customers"][0]["operations"]), ["person3"]);
    assert_eq!(names(&differs["customers"][0]["noLonger"]), ["person2"]);
    followed.repository.publish();
    followed.installation.policy(&["contoso", "fabrikam"]);
    followed.people("fabrikam", &[11]);
    run(followed.repository.git().args(["rm", "-q", "customers/contoso.yaml"]));
    let differs = followed.plan_json(&["--against", "main"], 1);
    let customers = differs["customers"].as_array().expect("a list");
    assert_eq!(customers[0]["name"], "contoso");
    assert_eq!(names(&customers[0]["noLonger"]), ["person1", "person3"]);
    assert_eq!(
        (customers[1]["name"].as_str(), names(&customers[1]["operations"])),
        (Some("fabrikam"), vec!["person11"])
    );
}

#[test]
fn sources_are_read_once_for_both() {
    let mut followed = Followed::new(&[1]);
    let graph = GraphFake::spawn();
    graph.tenant("contoso.test").people(3);
    let source = followed.installation.graph_source("contoso", &graph);
    followed.installation.customer("contoso", "contoso", "{ldif: {file: contoso.ldif}}", &source);
    followed.take_over();
    followed.repository.publish();
    followed.plan(&[]).expect(0);
    let once = graph.count(Place::Users);
    followed.plan(&["--against", "main"]).expect(0);
    assert_eq!(graph.count(Place::Users), 2 * once);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let followed = Followed::new(&[1]);
    followed.repository.publish();
    let refused = |reference: &str, because: &str| {
        let run = followed.plan(&[&format!("--against={reference}")]).expect(1);
        assert!(run.stderr.contains(because), "{reference}: {run:?}");
        assert_eq!(run.stdout, "");
    };
    refused("other", "there is no revision `other`");
    refused("--output=x", "is no revision");
    refused("HEAD:customers", "there is no revision");
    run(followed.repository.git().args(["checkout", "-q", "--orphan", "empty"]));
    run(followed.repository.git().args(["rm", "-rqf", "."]));
    followed.repository.write("README", "nothing");
    run(followed.repository.git().args(["add", "README"]));
    run(followed.repository.git().args(["commit", "-q", "-m", "empty"]));
    run(followed.repository.git().args(["checkout", "-q", "main"]));
    refused("empty", "has no folder");
    // Outside of every repository.
    let run = followed.installation.run(&["plan", "--against", "main"]).expect(1);
    assert!(run.stderr.contains("is in no git repository"), "{run:?}");
}

#[test]
fn nothing_is_left_behind() {
    let mut followed = Followed::new(&[1]);
    let scratch = followed.installation.folder().join("scratch");
    std::fs::create_dir(&scratch).expect("a folder");
    followed.installation.environment("TMPDIR", scratch.display().to_string());
    followed.repository.publish();
    followed.plan(&["--against", "main"]).expect(0);
    followed.plan(&["--against", "other"]).expect(1);
    assert_eq!(std::fs::read_dir(&scratch).expect("a folder").count(), 0);
}
