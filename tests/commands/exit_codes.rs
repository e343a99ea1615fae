//! What programs and people learn from how the program ends, on real trees.

use std::fs;

use serde_json::Value;

use crate::support::intake::{Installation, persons};

fn of_contoso(people: &[u32]) -> Installation {
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", people);
    here
}

fn cut(here: &Installation, name: &str) {
    let path = here.tree().join(name);
    let whole = fs::read(&path).expect("read");
    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
}

#[test]
fn an_error_counts_before_a_hold_and_a_hold_before_changes() {
    let here = of_contoso(&[1, 2, 3, 4, 5]);
    let changes = ["plan", "--detailed-exitcode"];
    here.run(&["plan"]).expect(0);
    here.run(&changes).expect(2);
    here.run(&["apply", "--yes"]).expect(0);
    here.run(&changes).expect(0);

    // Held: three of five are more than may go at once.
    here.people("contoso", &[1, 2]);
    here.run(&["plan"]).expect(3);
    here.run(&changes).expect(3);
    here.run(&["apply", "--yes"]).expect(3);
    here.run(&["run", "--once"]).expect(3);
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2, 3, 4, 5]));

    // Another customer that cannot be read, beside changes.
    here.people("contoso", &[1, 2, 3, 4, 5, 6]);
    here.policy(&["contoso", "fabrikam"]);
    here.customer_of_files("fabrikam", &[1]);
    cut(&here, "fabrikam.ldif");
    here.run(&changes).expect(3);
    here.run(&["plan", "--detailed-exitcode", "--customer", "contoso"]).expect(2);

    // A broken document beside both.
    here.write(
        "broken.yaml",
        "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {name: broken}\nspec: {tenent: 1}\n",
    );
    here.run(&["validate"]).expect(1);
    here.run(&["plan"]).expect(1);
    here.run(&changes).expect(1);
    let run = here.run(&["apply", "--yes"]).expect(1);
    assert!(run.stderr.contains("broken.yaml:4") && run.stderr.contains("tenant"), "{run:?}");
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2, 3, 4, 5, 6]));
}

#[test]
fn a_broken_policy_stops_its_customers_alone() {
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.write(
        "other.yaml",
        "apiVersion: intake.dev/v1\nkind: ImportPolicy\nmetadata: {name: other}\nspec:\n  accountType: EndUser\n  \
         customers: {names: [fabrikam]}\n  selection: {securityGroups: [Intake Users]}\n",
    );
    here.customer_of_files("contoso", &[1, 2]);
    here.customer_of_files("fabrikam", &[1, 2]);
    here.run(&["apply", "--yes"]).expect(0);

    here.write(
        "other.yaml",
        "apiVersion: intake.dev/v1\nkind: ImportPolicy\nmetadata: {name: other}\nspec:\n  accountType: EndUser\n  \
         customers: {names: [fabrikam]}\n  selection: {securityGroup: [Intake Users]}\n",
    );
    here.people("contoso", &[1, 3]);
    here.people("fabrikam", &[1, 3]);
    let plan = here.json(&["plan"], 1);
    let states: Vec<(&Value, &Value)> = plan["customers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|customer| (&customer["name"], &customer["state"]))
        .collect();
    assert_eq!(states, [(&"contoso".into(), &"ready".into()), (&"fabrikam".into(), &"invalid".into())]);
    let run = here.run(&["apply", "--yes"]).expect(1);
    assert!(run.stderr.contains("other.yaml:7:") && run.stderr.contains("securityGroups"), "{run:?}");
    assert_eq!(here.names("contoso", "active"), persons(&[1, 3]));
    assert_eq!(here.names("fabrikam", "active"), persons(&[1, 2]));
}

#[test]
fn a_plan_that_is_stale_writes_nothing_and_says_what_changed() {
    let here = of_contoso(&[1, 2]);
    here.run(&["plan", "--out", "plan.json"]).expect(0);
    here.people("contoso", &[1, 3]);
    let run = here.run(&["apply", "--plan", "plan.json"]).expect(1);
    for said in ["stale", "- contoso: add EndUser person2@", "+ contoso: add EndUser person3@"] {
        assert!(run.stderr.contains(said), "`{said}` is not in {run:?}");
    }
    assert_eq!(run.stdout, "");
    assert!(here.accounts().is_empty() && here.events().is_empty());

    // As it was planned again: applied, once.
    here.people("contoso", &[1, 2]);
    here.run(&["apply", "--plan", "plan.json"]).expect(0);
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2]));
    let before = here.events();
    let run = here.run(&["apply", "--plan", "plan.json"]).expect(1);
    assert!(run.stderr.contains("stale"), "{run:?}");
    assert_eq!(here.events(), before);
}

#[test]
fn a_plan_of_one_customer_applies_to_that_one() {
    let here = Installation::new();
    here.policy(&["contoso", "fabrikam"]);
    here.customer_of_files("contoso", &[1]);
    here.customer_of_files("fabrikam", &[2]);
    here.run(&["plan", "--customer", "fabrikam", "--out", "plan.json"]).expect(0);
    here.run(&["apply", "--plan", "plan.json"]).expect(0);
    assert_eq!(here.names("fabrikam", "active"), persons(&[2]));
    assert!(here.names("contoso", "active").is_empty());
}

#[test]
fn a_mistyped_customer_is_an_error_with_the_nearest_one() {
    let here = of_contoso(&[1]);
    for command in [&["plan"][..], &["apply", "--yes"], &["run", "--once"], &["run"]] {
        let run = here.run(&[command, &["--customer", "contosso"]].concat()).expect(1);
        assert!(run.stderr.contains("did you mean `contoso`?"), "{command:?}: {run:?}");
        assert_eq!(run.stdout, "", "{command:?}");
    }
    here.run(&["apply", "--yes"]).expect(0);
    for command in ["accounts", "status", "history"] {
        let run = here.run(&[command, "--customer", "contosso"]).expect(1);
        assert!(run.stderr.contains("did you mean `contoso`?"), "{command}: {run:?}");
    }
}

#[test]
fn plan_makes_no_store_and_leaves_one_as_it_is() {
    let here = of_contoso(&[1]);
    here.run(&["plan", "--detailed-exitcode"]).expect(2);
    let files = || -> Vec<_> {
        let mut files: Vec<_> = fs::read_dir(here.folder())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        files.sort();
        files
    };
    assert_eq!(files(), ["operator.yaml", "tree"]);

    here.run(&["apply", "--yes"]).expect(0);
    let (before, bytes) = (files(), fs::read(here.state()).expect("read"));
    // Where tests do not run as root, the operating system forbids it too.
    let writable = fs::metadata(here.state()).expect("a file").permissions();
    let mut readonly = writable.clone();
    readonly.set_readonly(true);
    fs::set_permissions(here.state(), readonly).expect("set");
    here.people("contoso", &[1, 2]);
    here.run(&["plan", "--detailed-exitcode"]).expect(2);
    here.run(&["accounts"]).expect(0);
    assert_eq!((files(), fs::read(here.state()).expect("read")), (before, bytes));
    fs::set_permissions(here.state(), writable).expect("set");
}

#[test]
fn whoever_copies_the_store_after_a_command_has_all_of_it() {
    for command in [&["apply", "--yes"][..], &["run", "--once"]] {
        for _ in 0..10 {
            let here = of_contoso(&[1, 2, 3]);
            here.run(command).expect(0);
            let log = format!("{}-wal", here.state().display());
            assert!(!fs::exists(&log).expect("a folder"), "{command:?} left {log}");
            let copy = of_contoso(&[1, 2, 3]);
            fs::copy(here.state(), copy.state()).expect("copied");
            assert_eq!(copy.names("contoso", "active"), persons(&[1, 2, 3]), "{command:?}");
        }
    }
    for _ in 0..10 {
        let here = of_contoso(&[1]);
        let mut controller = here.start(&["run"]);
        controller.logs("applied");
        controller.signal("TERM");
        controller.end().expect(0);
        assert!(!fs::exists(format!("{}-wal", here.state().display())).expect("a folder"));
    }
}

#[test]
fn a_store_that_is_none_is_an_error_and_left_as_it_is() {
    let here = of_contoso(&[1]);
    fs::write(here.state(), "these are notes, and no database at all\n".repeat(40)).expect("written");
    let before = fs::read(here.state()).expect("read");
    for command in [&["plan"][..], &["apply", "--yes"], &["run"], &["accounts"], &["status"], &["history"]] {
        let run = here.run(command).expect(1);
        assert!(run.stderr.starts_with("error: ") && run.stderr.contains("hint: "), "{command:?}: {run:?}");
        assert_eq!(run.stdout, "", "{command:?}");
    }
    assert_eq!(fs::read(here.state()).expect("read"), before);
}
