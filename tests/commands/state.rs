//! `state`: the store moved, checked, backed up and restored by the program itself.

use serde_json::Value;

use crate::commands::history::{edit_store, two_customers};
use crate::support::intake::{Installation, Run, Running};
use crate::support::postgres::{Postgres, PostgresOptions};

/// The tables of a result, whatever their order.
fn tables(result: &Value) -> Vec<&Value> {
    result["tables"].as_array().expect("a list").iter().collect()
}

/// Runs the program without the tree, which is nothing to `state`.
fn typed(here: &Installation, arguments: &[&str]) -> Run {
    Running::of(&mut here.command(arguments)).end()
}

fn json(here: &Installation, arguments: &[&str], code: i32) -> Value {
    let run = typed(here, &[arguments, &["--format", "json"]].concat()).expect(code);
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

/// Everything that the program says about a register, wherever it is.
fn all(here: &Installation, state: &str) -> Vec<Value> {
    let ask = |command: &[&str]| here.json(&[command, &["--state", state]].concat(), 0);
    vec![ask(&["accounts"]), ask(&["history"]), ask(&["history", "--verify"]), ask(&["status"])]
}

#[test]
fn a_store_moves_to_a_server_and_back_and_the_next_turn_goes_on() {
    let here = two_customers();
    let server = Postgres::start(&PostgresOptions { over_tcp: true, ..PostgresOptions::default() });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let there = runtime.block_on(server.database()).url_by(server.port());
    let first = format!("sqlite:{}", here.state().display());
    let before = all(&here, &first);

    let run = typed(&here, &["state", "copy", "--from", &first, "--to", &there]).expect(0);
    assert!(run.stdout.starts_with("10 accounts and "), "{run:?}");
    assert!(run.stdout.contains("of 2 customers are in postgres://postgres:PASSWORD@127.0.0.1"), "{run:?}");
    assert!(run.stderr.contains("if a controller still runs on it, stop it"), "{run:?}");
    assert!(!format!("{run:?}").contains("horse"), "{run:?}");
    assert_eq!(all(&here, &there), before);
    let checked = json(&here, &["state", "check", "--state", &there], 0);
    assert_eq!((&checked["whole"], &checked["rows"]["accounts"]), (&true.into(), &10.into()), "{checked:#}");

    let again = typed(&here, &["state", "copy", "--from", &first, "--to", &there]).expect(1);
    assert!(again.stderr.contains("it is not empty") && !again.stderr.contains("horse"), "{again:?}");

    let backup = here.folder().join("backup.db");
    let backup = backup.to_str().expect("a path");
    let backed = json(&here, &["state", "backup", "--to", backup, "--state", &there], 0);
    assert!(!backed.to_string().contains("horse"), "{backed:#}");
    typed(&here, &["state", "backup", "--to", backup, "--state", &there]).expect(1);
    let last = format!("sqlite:{}", here.folder().join("restored.db").display());
    let restored = json(&here, &["state", "restore", "--from", backup, "--state", &last], 0);
    assert_eq!(tables(&restored), tables(&backed));
    assert_eq!(all(&here, &last), before);

    for state in [&there, &last] {
        here.people("contoso", &[1, 2, 3, 4, 5, 6]);
        here.run(&["apply", "--yes", "--state", state]).expect(0);
        let checked = json(&here, &["state", "check", "--state", state], 0);
        assert_eq!(
            (&checked["whole"], &checked["rows"]["accounts"]),
            (&true.into(), &11.into()),
            "{checked:#}"
        );
    }
}

#[test]
fn a_damaged_store_is_an_error_of_check_and_no_backup_is_made_of_a_broken_record() {
    let here = two_customers();
    let run = typed(&here, &["state", "check"]).expect(0);
    assert!(
        run.stdout.contains("contoso: whole, ") && run.stdout.contains("The store is whole: "),
        "{run:?}"
    );
    edit_store(&here.state(), "UPDATE events SET subject = 'x' WHERE customer = 'contoso' AND sequence = 2");
    edit_store(
        &here.state(),
        "UPDATE accounts SET tree_revision = '', tenant_user_id = 'y' WHERE customer = 'fabrikam'",
    );
    let run = typed(&here, &["state", "check"]).expect(1);
    assert!(run.stdout.contains("contoso: broken at event 2: changed"), "{run:?}");
    assert!(run.stdout.contains("damaged: `fabrikam`: `y` is no value of"), "{run:?}");
    let checked = json(&here, &["state", "check"], 1);
    assert_eq!(checked["whole"], false, "{checked:#}");
    let backup = here.folder().join("backup.db");
    let run = typed(&here, &["state", "backup", "--to", backup.to_str().expect("a path")]).expect(1);
    assert!(run.stderr.contains("the audit record of `contoso` is broken at event 2"), "{run:?}");
    assert!(!backup.exists());
}

#[test]
fn what_is_not_there_is_neither_copied_nor_whole() {
    let here = Installation::new();
    for arguments in [
        &["state", "check"][..],
        &["state", "backup", "--to", "backup.db"],
        &["state", "restore", "--from", "nothing.db"],
        &["state", "copy", "--from", "sqlite:nothing.db", "--to", "sqlite:other.db"],
    ] {
        let run = typed(&here, arguments).expect(1);
        assert!(run.stderr.contains("there is no store at sqlite:"), "{run:?}");
    }
    let run = typed(&here, &["state", "check", "--customer", "contoso"]).expect(1);
    assert!(run.stderr.contains("`--customer` is not for it"), "{run:?}");
    for name in ["backup.db", "other.db", "state.db"] {
        assert!(!here.folder().join(name).exists(), "{name}");
    }
}
