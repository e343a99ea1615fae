//! `history --at`: the register as it was, told by the record.

use jiff::Timestamp;

use crate::commands::history::{edit_store, rename, two_customers};
use crate::support::intake::Installation;

/// What `accounts` told at a moment.
struct Copy {
    at: String,
    text: String,
    json: String,
}

fn copy(here: &Installation) -> Copy {
    let of = |format: &str| here.run(&["accounts", "--format", format]).expect(0).stdout;
    Copy { at: Timestamp::now().to_string(), text: of("text"), json: of("json") }
}

fn expect_equal(here: &Installation, copy: &Copy) {
    for (format, expected) in [("text", &copy.text), ("json", &copy.json)] {
        let told = here.run(&["history", "--at", &copy.at, "--format", format]).expect(0).stdout;
        assert_eq!(&told, expected, "at {}", copy.at);
    }
}

#[test]
fn the_register_as_it_was_is_what_accounts_told_then() {
    let before = Timestamp::now().to_string();
    let here = two_customers();
    let mut copies = vec![copy(&here)];
    let mut then = |what: &dyn Fn(), code: i32| {
        what();
        here.run(&["apply", "--yes"]).expect(code);
        copies.push(copy(&here));
    };
    then(&|| rename(&here, "person2", "renamed"), 0);
    // One goes, and comes back.
    then(&|| here.people("contoso", &[1, 2, 3, 4]), 0);
    then(&|| here.people("contoso", &[1, 2, 3, 4, 5, 6]), 0);
    // Four of six are held.
    then(&|| here.people("contoso", &[1, 2]), 3);
    then(&|| here.people("contoso", &[1, 2, 3, 4, 5, 6]), 0);
    // Another policy answers for nobody.
    then(
        &|| {
            here.delete("fabrikam.yaml");
            here.policy(&["contoso"]);
        },
        0,
    );
    // One goes after a grace.
    let fields = "selection: {securityGroups: [Intake Users]}\nremoval: {grace: 1d}";
    then(
        &|| {
            here.default_policy(fields);
            here.people("contoso", &[1, 2, 3, 4, 5]);
        },
        0,
    );
    for copy in &copies {
        expect_equal(&here, copy);
    }
    let last = &copies.last().expect("a copy").text;
    for state in ["active", "pendingRemoval until", "orphaned"] {
        assert!(last.contains(state), "no {state} in {last}");
    }
    assert!(copies[2].text.contains("removed"), "{}", copies[2].text);
    let different: std::collections::BTreeSet<&String> = copies.iter().map(|copy| &copy.json).collect();
    assert_eq!(different.len(), copies.len() - 2, "only what was held, and let go of, changed nothing");

    assert_eq!(here.run(&["history", "--at", &before]).expect(0).stdout, "No accounts.\n");
    let one = ["--customer", "contoso", "--format", "json"];
    let told = here.run(&[&["history", "--at", "2999-01-01"], &one[..]].concat()).expect(0).stdout;
    assert_eq!(told, here.run(&[&["accounts"], &one[..]].concat()).expect(0).stdout);
}

#[test]
fn a_customer_whose_record_is_broken_is_an_error_and_no_guess() {
    let here = two_customers();
    let told = |arguments: &[&str], code: i32| {
        here.run(&[&["history", "--at", "2999-01-01"], arguments].concat()).expect(code)
    };
    let fabrikam = told(&["--customer", "fabrikam"], 0).stdout;
    // Somebody else's name in an event, as if it had always been there.
    edit_store(
        &here.state(),
        "UPDATE events SET details = REPLACE(details, 'person3', 'person9')
             WHERE customer = 'contoso' AND subject = 'person3@contoso.test'",
    );
    let run = told(&[], 1);
    assert!(
        run.stderr.contains("error: contoso: the audit record is broken at event 3 (changed)"),
        "{run:?}"
    );
    assert_eq!(run.stdout.lines().count(), fabrikam.lines().count(), "the other customer is told: {run:?}");
    assert!(!run.stdout.contains("contoso "), "{run:?}");
    assert_eq!(told(&["--customer", "contoso"], 1).stdout, "", "nor is it said that there was nobody");
    assert_eq!(told(&["--customer", "fabrikam"], 0).stdout, fabrikam);

    // The order of rows in the table is nobody's word.
    edit_store(
        &here.state(),
        "UPDATE events SET id = id + 1000 WHERE customer = 'fabrikam' AND sequence < 3",
    );
    assert_eq!(told(&["--customer", "fabrikam"], 0).stdout, fabrikam);
}
