//! `history`: what it tells of an account, a kind and a time; where a record ends, and from what an event
//! was decided.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::register::sample::tamper;
use crate::support::intake::{Installation, Run, until};

/// Two customers; five people of each are imported.
pub(super) fn two_customers() -> Installation {
    let here = Installation::new();
    here.policy(&["contoso", "fabrikam"]);
    for name in ["contoso", "fabrikam"] {
        here.customer_of_files(name, &[1, 2, 3, 4, 5]);
    }
    here.run(&["apply", "--yes"]).expect(0);
    here
}

/// Gives a person of contoso another name in the directory. The LDIF stays complete.
pub(super) fn rename(here: &Installation, from: &str, to: &str) {
    let path = here.tree().join("contoso.ldif");
    let ldif = fs::read_to_string(&path).expect("a directory");
    assert!(ldif.contains(&format!("userPrincipalName: {from}@contoso.test\n")), "{ldif}");
    fs::write(&path, ldif.replace(&format!(": {from}"), &format!(": {to}"))).expect("written");
}

/// Runs SQL behind the store's back, which refuses some of it otherwise.
pub(super) fn edit_store(state: &Path, sql: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        tamper(
            state,
            "DROP TRIGGER IF EXISTS events_are_not_changed; DROP TRIGGER IF EXISTS events_are_not_deleted",
        )
        .await;
        tamper(state, sql).await;
    });
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("no {name}: {value:#}"))
}

/// What was found, each by its customer, number and kind.
fn told(here: &Installation, arguments: &[&str]) -> Vec<(String, u64, String)> {
    let text = |event: &Value, field: &str| event[field].as_str().expect("a text").to_owned();
    let found = here.json(&[&["history"], arguments].concat(), 0);
    let sequence = |event: &Value| event["sequence"].as_u64().expect("a number");
    list(&found, "events")
        .iter()
        .map(|event| (text(event, "customer"), sequence(event), text(event, "kind")))
        .collect()
}

fn kinds(found: &[(String, u64, String)]) -> Vec<&str> {
    found.iter().map(|(_, _, kind)| kind.as_str()).collect()
}

/// The head of a customer's chain as `--verify` prints it for programs.
fn head_of(here: &Installation, customer: &str) -> (u64, String) {
    let checked = here.json(&["history", "--verify"], 0);
    let found = list(&checked, "customers").iter().find(|found| found["customer"] == customer);
    let found = found.expect("the customer");
    (found["events"].as_u64().expect("a number"), found["head"].as_str().expect("a hash").to_owned())
}

#[test]
fn an_account_is_found_by_every_name_that_it_had_and_by_its_ids() {
    let here = two_customers();
    rename(&here, "person2", "renamed");
    here.run(&["apply", "--yes"]).expect(0);
    let all = here.events();
    let id = |field: &str| -> String {
        let known = here.accounts().into_iter().find(|account| account["samAccountName"] == "renamed");
        known.expect("the account")[field].as_str().expect("an id").to_owned()
    };
    let of_contoso = ["--customer", "contoso"];
    for name in ["renamed", "PERSON2", "person2@contoso.test", "renamed@contoso.test", &id("directoryId")] {
        let found = told(&here, &[&["--account", name][..], &of_contoso].concat());
        assert_eq!(kinds(&found), ["account.added", "account.updated"], "{name}");
        assert!(found.iter().all(|(customer, ..)| customer == "contoso"), "{name}");
    }
    // The other customer has a namesake, and both are told of where no customer is named.
    assert_eq!(told(&here, &["--account", "person2"]).len(), 3);
    assert_eq!(told(&here, &["--account", &id("tenantUserId")]).len(), 3, "the same id in both tenants");
    assert_eq!(told(&here, &["--account", "nobody"]), []);
    let nobody = here.run(&["history", "--account", "nobody"]).expect(0);
    assert_eq!(nobody.stdout, "No events.\n");
    assert!(nobody.stderr.contains("no account is or was called `nobody`"), "{nobody:?}");
    assert_eq!(told(&here, &[]).len(), all.len());
}

#[test]
fn held_and_approved_removals_are_told_of_with_the_account() {
    let here = two_customers();
    here.people("contoso", &[1, 2]);
    here.run(&["apply", "--yes"]).expect(3);
    let plan = here.json(&["plan", "--customer", "contoso"], 3);
    let approval = plan["customers"][0]["approval"].as_str().expect("a digest").to_owned();
    here.run(&["apply", "--yes", "--approve", &approval]).expect(0);
    let of = |name: &str| told(&here, &["--account", name, "--customer", "contoso"]);
    assert_eq!(kinds(&of("person3")), ["account.added", "hold.recorded", "account.removed", "hold.approved"]);
    assert_eq!(kinds(&of("person2")), ["account.added"]);
    let held = told(&here, &["--kind", "hold.recorded", "--kind", "hold.approved"]);
    assert_eq!(kinds(&held), ["hold.recorded", "hold.approved"]);
    let events = here.events();
    let approved = events.iter().find(|event| event["kind"] == "hold.approved").expect("an event");
    let who = approved["details"]["by"]["command"].as_str().expect("who");
    assert!(!who.is_empty(), "{approved}");
    assert_eq!(kinds(&told(&here, &["--kind", "hold.recorded", "--account", "person4"])), ["hold.recorded"]);
}

#[test]
fn a_period_includes_both_of_its_ends_as_they_are_written() {
    let here = two_customers();
    let first = here.events();
    // Another second: what is printed has whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    rename(&here, "person2", "renamed");
    here.run(&["apply", "--yes"]).expect(0);
    let at = |event: &Value| event["at"].as_str().expect("a time").to_owned();
    let (all, begun) = (here.events(), at(&first[0]));
    let changed = at(all.last().expect("an event"));
    assert_eq!(all.len(), first.len() + 1);
    assert_eq!(told(&here, &["--since", &changed]).len(), 1);
    assert_eq!(told(&here, &["--since", &begun, "--until", &changed]).len(), all.len());
    // As the text shows it, with a blank and without a fraction.
    let lines = here.run(&["history"]).expect(0).stdout;
    let printed = |line: Option<&str>| line.expect("a line")[..20].to_owned();
    let (first_printed, last_printed) = (printed(lines.lines().next()), printed(lines.lines().last()));
    assert_eq!(told(&here, &["--until", &first_printed, "--customer", "contoso"]).len(), first.len() / 2);
    assert_eq!(kinds(&told(&here, &["--since", &last_printed])), ["account.updated"]);
    // Whole days; a test may run over midnight.
    let (from, to) = (&begun[..10], &changed[..10]);
    assert_eq!(told(&here, &["--since", from, "--until", to]).len(), all.len());
    assert_eq!(told(&here, &["--until", "2020-02-29"]), []);
    assert_eq!(told(&here, &["--since", "2999-01-01T00:00:00+14:00"]), []);
}

#[test]
fn what_is_mistyped_is_an_error_that_says_what_is_wanted() {
    let here = two_customers();
    for (arguments, expected) in [
        (&["--kind", "account.remove"][..], "tip: a similar value exists: 'account.removed'"),
        (&["--kind", "zzz"], "possible values: account.added, account.updated"),
        (&["--since", "yesterday"], "not a time: write a date (2026-11-22, the whole day in UTC) or a time"),
        (&["--until", "2026-11-31"], "not a time: write a date"),
        (&["--at", "2026-11-22T09:30:00"], "whose time? add the zone: `Z` for UTC"),
        (
            &["--since", "2026-11-23", "--until", "2026-11-22"],
            "the time of `--until` is before that of `--since`",
        ),
        (&["--head", "sha256:12", "--verify"], "not a digest: write `sha256:` and 64 hex digits"),
        (&["--account", "x", "--verify"], "cannot be used with"),
        (&["--kind", "account.added", "--at", "2026-11-22"], "cannot be used with"),
        (&["--customer", "contosso"], "did you mean `contoso`?"),
        (&["--verify", "--format", "jsonl"], "`--format jsonl` is for events"),
        (&["--at", "2026-11-22", "--format", "jsonl"], "`--format jsonl` is for events"),
        (&["--at", "2026-11-22", "--state", "sqlite:typo.db"], "there is nothing to rebuild"),
    ] {
        let run = here.run(&[&["history"], arguments].concat()).expect(1);
        assert!(run.stderr.contains(expected), "{arguments:?}: {run:?}");
        assert_eq!(run.stdout, "", "{arguments:?}");
    }
    let lone = format!("sha256:{}", "0".repeat(64));
    let run = here.run(&["history", "--head", &lone]).expect(1);
    assert!(run.stderr.contains("--verify"), "{run:?}");
    for command in [&["plan"][..], &["accounts"], &["run", "--once"], &["apply", "--yes"]] {
        let run = here.run(&[command, &["--format", "jsonl"]].concat()).expect(1);
        assert!(run.stderr.contains("`--format jsonl` is for `history`; this command takes text"), "{run:?}");
    }
}

/// The head in a log line that says `applied` for a customer.
fn logged(run: &Run, customer: &str) -> Option<(u64, String)> {
    let lines = run.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut applied = lines.filter(|line| line["message"] == "applied" && line["customer"] == customer);
    let line = applied.next_back()?;
    Some((line["events"].as_u64()?, line["head"].as_str()?.to_owned()))
}

#[test]
fn the_log_of_whoever_writes_says_where_each_record_ends() {
    let here = two_customers();
    let json_log = ["--log-format", "json"];
    here.people("contoso", &[1, 2, 3, 4, 5, 6]);
    let applied = here.run(&[&["apply", "--yes"][..], &json_log].concat()).expect(0);
    assert_eq!(logged(&applied, "contoso"), Some(head_of(&here, "contoso")));
    assert_eq!(logged(&applied, "fabrikam"), None, "nothing was written there");

    here.people("contoso", &[1, 2, 3, 4, 5, 6, 7]);
    let round = here.run(&[&["run", "--once", "--format", "json"][..], &json_log].concat()).expect(0);
    let head = head_of(&here, "contoso");
    assert_eq!(logged(&round, "contoso"), Some(head.clone()));
    let result: Value = serde_json::from_str(&round.stdout).expect("JSON");
    let customers = list(&result, "customers");
    assert_eq!(customers[0]["head"], serde_json::json!({"events": head.0, "hash": head.1}));
    assert_eq!(customers[1]["head"], Value::Null);

    here.people("contoso", &[1, 2, 3, 4, 5, 6, 7, 8]);
    let controller = here.start(&[&["run"][..], &json_log].concat());
    until("one more is imported", || here.names("contoso", "active").len() == 8);
    controller.signal("TERM");
    let ran = controller.end().expect(0);
    assert_eq!(logged(&ran, "contoso"), Some(head_of(&here, "contoso")));

    // As text, and for nobody who wants to hear of errors alone.
    here.people("contoso", &[1, 2, 3, 4, 5, 6, 7]);
    let run = here.run(&["apply", "--yes"]).expect(0);
    let (events, hash) = head_of(&here, "contoso");
    assert!(run.stderr.contains(&format!("events={events} head={hash}")), "{run:?}");
    here.people("contoso", &[1, 2, 3, 4, 5, 6]);
    assert_eq!(here.run(&["apply", "--yes", "-q"]).expect(0).stderr, "");
}

#[test]
fn a_record_that_was_cut_off_is_found_out_by_a_head_that_was_noted() {
    let here = two_customers();
    let (events, hash) = head_of(&here, "contoso");
    rename(&here, "person2", "renamed");
    here.run(&["apply", "--yes"]).expect(0);
    let (_, later) = head_of(&here, "contoso");
    let checked = here.json(&["history", "--verify", "--head", &hash, "--head", &later], 0);
    let places: Vec<&Value> = list(&checked, "heads").iter().map(|head| &head["sequence"]).collect();
    assert_eq!(places, [events, events + 1]);
    let text = here.run(&["history", "--verify", "--head", &later]).expect(0).stdout;
    assert!(text.contains(&format!("contoso: whole, {} events, head {later}\n", events + 1)), "{text}");
    assert!(text.contains(&format!("{later}: event {} of contoso\n", events + 1)), "{text}");
    here.run(&["history", "--verify", "--head", &hash, "--customer", "fabrikam"]).expect(1);

    // The end is cut off, and the store is made to agree.
    edit_store(
        &here.state(),
        "DELETE FROM events WHERE customer = 'contoso'
             AND sequence = (SELECT MAX(sequence) FROM events WHERE customer = 'contoso');
         UPDATE customers SET events = events - 1, last_hash =
             (SELECT hash FROM events WHERE customer = 'contoso' ORDER BY sequence DESC LIMIT 1)
             WHERE name = 'contoso'",
    );
    assert_eq!(head_of(&here, "contoso"), (events, hash.clone()), "the chain alone does not show it");
    here.run(&["history", "--verify", "--head", &hash]).expect(0);
    let run = here.run(&["history", "--verify", "--head", &later]).expect(1);
    assert!(run.stdout.contains(&format!("{later}: missing: ")), "{run:?}");
    let checked = here.json(&["history", "--verify", "--head", &later], 1);
    assert_eq!(list(&checked, "heads")[0]["customer"], Value::Null);
}

/// The different readings that the events of a customer were decided from.
fn readings(here: &Installation, customer: &str) -> BTreeSet<String> {
    let events = here.events();
    let of_customer = events.iter().filter(|event| event["customer"] == customer);
    of_customer.map(|event| event["readings"].to_string()).collect()
}

#[test]
fn events_say_what_the_sources_held_whatever_the_order() {
    let here = two_customers();
    let first = here.events()[0]["readings"].clone();
    for digest in [&first["directories"]["main"], &first["tenant"]] {
        assert!(digest.as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{first}");
    }
    // Both customers have the same people, in files of their own.
    assert_eq!(readings(&here, "contoso"), BTreeSet::from([first.to_string()]));
    assert_eq!(readings(&here, "fabrikam"), BTreeSet::from([first.to_string()]));

    // The same people in another order, read by another register.
    let elsewhere = here.elsewhere();
    elsewhere.people("contoso", &[4, 2, 5, 1, 3]);
    elsewhere.run(&["apply", "--yes"]).expect(0);
    assert_eq!(readings(&elsewhere, "contoso"), BTreeSet::from([first.to_string()]));

    // One name of one person, in the directory alone.
    rename(&here, "person2", "renamed");
    here.run(&["apply", "--yes"]).expect(0);
    let last = here.events().last().expect("an event")["readings"].clone();
    assert_ne!(last["directories"], first["directories"]);
    assert_eq!(last["tenant"], first["tenant"]);

    // A customer that left the tree is decided about without reading anything.
    here.delete("fabrikam.yaml");
    here.policy(&["contoso"]);
    here.run(&["apply", "--yes"]).expect(0);
    let last = here.events().last().expect("an event").clone();
    assert_eq!((&last["customer"], &last["kind"]), (&"fabrikam".into(), &"account.orphaned".into()));
    assert_eq!(last["readings"], serde_json::json!({"directories": {}, "tenant": null}));
    here.expect_whole();
}

#[test]
fn names_are_inert_in_every_form() {
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1]);
    let ldif = fs::read_to_string(here.tree().join("contoso.ldif")).expect("a directory");
    // `a`, U+202E, ESC, `[31mb@contoso.test` in base64, as the UPN.
    let hostile = "userPrincipalName:: YeKArhtbMzFtYkBjb250b3NvLnRlc3Q=\n";
    here.write("contoso.ldif", &ldif.replace("userPrincipalName: person1@contoso.test\n", hostile));
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(here.accounts()[0]["userPrincipalName"], "a\u{202e}\u{1b}[31mb@contoso.test");
    for arguments in [
        &["history"][..],
        &["history", "--format", "json"],
        &["history", "--format", "jsonl"],
        &["history", "--account", "person1"],
        &["history", "--at", "2999-01-01"],
        &["history", "--at", "2999-01-01", "--format", "json"],
    ] {
        let out = here.run(arguments).expect(0).stdout;
        assert!(out.contains("202e"), "{arguments:?}: {out}");
        assert!(!out.contains('\u{202e}') && !out.contains('\u{1b}'), "{arguments:?}: {out:?}");
    }
    edit_store(&here.state(), "UPDATE events SET kind = CHAR(27) || 'x'");
    let broken = here.run(&["history", "--verify"]).expect(1);
    assert!(broken.stdout.contains("broken at event 1: changed"), "{broken:?}");
    let run = here.run(&["history"]).expect(0);
    assert!(!run.stdout.contains('\u{1b}'), "{run:?}");
}
