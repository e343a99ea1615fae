//! `explain` over the example: everybody is told why, whoever they are and however they are named.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::example::{Example, Run, array, table, text};
use super::{CONTOSO, LDIF, SNAPSHOT};

/// The rules in their order.
const RULES: [&str; 13] = [
    "policy",
    "scope",
    "record",
    "container",
    "exclusion",
    "privilege",
    "state",
    "match",
    "tenantUser",
    "licence",
    "register",
    "operation",
    "guard",
];
const ALICE: &str = "3219022d-9ebf-50af-8e25-6a26dba26d11";
const ALICE_IN_TENANT: &str = "6944a13f-98db-537d-b5d3-e71e0c21a766";

fn explained(example: &Example, account: &str, code: i32) -> Value {
    example.json(&["explain", account, "--customer", CONTOSO], code)
}

fn shown(example: &Example, account: &str) -> Run {
    example.run(&["explain", account, "--customer", CONTOSO])
}

fn step(explanation: &Value, name: &str) -> Value {
    let steps = array(explanation, "steps");
    let found = steps.iter().find(|step| step["step"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {explanation:#}")).clone()
}

/// Returns the one step that decided.
fn decider(explanation: &Value) -> String {
    let deciding: Vec<String> = array(explanation, "steps")
        .iter()
        .filter(|step| step["decides"] == json!(true))
        .map(|step| text(step, "step"))
        .collect();
    assert_eq!(deciding.len(), 1, "{explanation:#}");
    deciding[0].clone()
}

fn leave(example: &Example, accounts: &[&str]) {
    example.edit_ldif(CONTOSO, |ldif| accounts.iter().for_each(|account| ldif.delete(account)));
}

#[test]
fn everybody_gets_the_verdict_of_the_table_and_the_rule_that_decided() {
    let example = Example::new();
    for row in table() {
        let arguments = ["explain", &row.account, "--customer", &row.customer];
        let explanation = example.json(&arguments, 0);
        assert_eq!(explanation["verdict"], row.verdict, "{explanation:#}");
        let account_type = if row.account_type == "-" { Value::Null } else { json!(row.account_type) };
        assert_eq!(explanation["accountType"], account_type, "{explanation:#}");
        let (rule, outcome) = match row.verdict.as_str() {
            "included" if row.account_type == "Administrator" => ("state", "passed"),
            "included" => ("licence", "passed"),
            "invalid-record" => ("record", "failed"),
            "not-in-scope" => ("scope", "failed"),
            "unsupported-container" => ("container", "failed"),
            "excluded" => ("exclusion", "failed"),
            "privileged-account" => ("privilege", "failed"),
            "directory-disabled" => ("state", "failed"),
            "ambiguous-match" | "match-conflict" | "no-tenant-match" => ("match", "failed"),
            "guest" | "tenant-disabled" => ("tenantUser", "failed"),
            "unlicensed" => ("licence", "failed"),
            other => panic!("{other}"),
        };
        assert_eq!(decider(&explanation), rule, "{explanation:#}");
        let step = step(&explanation, rule);
        assert_eq!(step["outcome"], outcome, "{explanation:#}");
        assert!(!text(&step, "evidence").is_empty(), "{explanation:#}");
        let action = explanation["operation"]["action"].as_str();
        assert_eq!(action, (row.verdict == "included").then_some("add"), "{explanation:#}");
        if row.tied_by != "-" {
            assert_eq!(explanation["operation"]["matchedBy"], row.tied_by);
        }
    }
}

#[test]
fn the_evidence_names_the_group_the_path_the_licence_and_the_rivals() {
    let example = Example::new();
    let evidence =
        |account: &str, rule: &str| text(&step(&explained(&example, account, 0), rule), "evidence");
    assert_eq!(
        evidence("zzimmer", "privilege"),
        "member of CN=Helpdesk Tier 2,OU=Groups,DC=contoso,DC=test → CN=Domain Admins,CN=Users,DC=contoso,DC=test"
    );
    assert_eq!(evidence("mmoore", "licence"), "FLOW_FREE does not count (ignored)");
    assert_eq!(evidence("iirwin", "licence"), "FLOW_FREE does not count (ignored); SPE_E3 counts");
    assert_eq!(
        evidence("fax", "exclusion"),
        "excluded by account fax@contoso.test: a shared mailbox, nobody's account"
    );
    let rivals = evidence("tturner", "match");
    assert!(
        rivals.contains("tom.old@contoso.test") && rivals.contains("tom.turner@contoso.test"),
        "{rivals}"
    );
    let near = evidence("qreed", "match");
    assert!(near.contains("quinn.reed@contoso.test") && near.contains("has the same address"), "{near}");
    let tie = evidence("zmueller", "match");
    assert!(tie.contains("is the account's primary address"), "{tie}");
    let scope = example.json(&["explain", "eek", "--customer", "fabrikam"], 0);
    let scope = text(&step(&scope, "scope"), "evidence");
    assert!(scope.contains("by nesting alone") && scope.contains("CN=Temps"), "{scope}");
}

#[test]
fn the_json_is_the_contract_s_with_the_steps_in_their_order() {
    let explanation = explained(&Example::new(), "llewis", 0);
    let keys: BTreeSet<&String> = explanation.as_object().expect("an object").keys().collect();
    let expected = ["account", "accountType", "answer", "customer", "policy", "steps", "verdict"];
    assert_eq!(keys, expected.map(str::to_owned).iter().collect());
    assert_eq!(explanation["customer"], CONTOSO);
    assert_eq!(explanation["account"]["samAccountName"], "llewis");
    assert_eq!(explanation["policy"], "staff");
    let steps = array(&explanation, "steps");
    assert_eq!(steps.iter().map(|step| text(step, "step")).collect::<Vec<_>>(), RULES);
    for step in &steps {
        let keys: Vec<&String> = step.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["decides", "evidence", "outcome", "step"]);
        assert!(step["evidence"].is_string(), "{step}");
    }
    let outcomes: Vec<String> = steps.iter().map(|step| text(step, "outcome")).collect();
    let expected = [&["passed"; 9][..], &["failed", "info", "info", "notReached"]].concat();
    assert_eq!(outcomes, expected);
}

#[test]
fn people_read_the_answer_first_and_no_escape_reaches_them_uncoloured() {
    let example = Example::new();
    let run = shown(&example, "llewis");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let first = run.stdout.lines().next().expect("a line");
    assert_eq!(first, "Liam Lewis (liam.lewis@contoso.test) is not imported: unlicensed — tenant user");
    assert!(
        run.stdout.contains("\n  ✗ licence     tenant user liam.lewis@contoso.test holds no licence\n"),
        "{run:?}"
    );
    assert!(run.stdout.contains("\n  · guard       not reached\n"), "{run:?}");
    assert!(!run.stdout.contains('\u{1b}'), "{run:?}");
    let coloured = example.run(&["explain", "llewis", "--customer", CONTOSO, "--color", "always"]).stdout;
    assert!(
        coloured.contains("\u{1b}[1m\u{1b}[31mlicence") || coloured.contains("\u{1b}[31mlicence"),
        "{coloured:?}"
    );
}

#[test]
fn one_person_is_found_by_every_name_whatever_its_case() {
    let example = Example::applied();
    for name in ["AAdams", "ALICE.adams@contoso.test", ALICE, ALICE_IN_TENANT, " aadams "] {
        let explanation = explained(&example, name, 0);
        assert_eq!(explanation["account"]["directoryId"], ALICE, "{name}");
        assert_eq!(explanation["account"]["tenantUserId"], ALICE_IN_TENANT, "{name}");
        assert_eq!(explanation["operation"], Value::Null, "{name}");
        assert_eq!(
            explanation["answer"], "Alice Adams (alice.adams@contoso.test) is imported and stays as it is",
            "{name}"
        );
    }
    // Nobody else has the mail address of the tenant user whose logon name is another one.
    assert_eq!(explained(&example, "eva@contoso.test", 0)["account"]["samAccountName"], "enovak");
}

#[test]
fn a_name_of_nobody_or_of_several_is_an_error_that_helps() {
    let example = Example::new();
    let nobody = shown(&example, "alice.adam@contoso.test");
    assert_eq!((nobody.code, nobody.stdout.as_str()), (1, ""));
    assert!(nobody.stderr.contains("neither the directory, the tenant nor the register"), "{nobody:?}");
    assert!(nobody.stderr.contains("did you mean `alice.adams@contoso.test`?"), "{nobody:?}");
    let half = shown(&example, "quinn");
    assert!(half.code == 1 && half.stderr.contains("quinn.reed@contoso.test"), "{half:?}");
    let several = shown(&example, "reception@contoso.test");
    assert_eq!((several.code, several.stdout.as_str()), (1, ""));
    for id in ["358425e0-78bf-5ff0-95a6-960602b4100f", "a4ad7568-abc4-5b19-aad2-3ae1fa5606ee"] {
        assert!(several.stderr.contains(id), "{several:?}");
        assert_eq!(explained(&example, id, 0)["verdict"], "ambiguous-match");
    }
    let no_customer = example.run(&["explain", "aadams"]);
    assert!(no_customer.code == 1 && no_customer.stderr.contains("--customer NAME"), "{no_customer:?}");
}

#[test]
fn somebody_of_the_tenant_alone_is_in_nobody_s_scope() {
    let example = Example::new();
    example.edit_snapshot(CONTOSO, |snapshot| {
        snapshot["value"].as_array_mut().expect("users").push(json!({
            "id": "00000000-0000-4000-8000-000000000001",
            "userPrincipalName": "cloud.only@contoso.test",
            "displayName": "Cloud\u{202e} Only",
            "userType": "Member",
            "accountEnabled": true,
            "assignedLicenses": [],
        }));
    });
    let explanation = explained(&example, "cloud.only@contoso.test", 0);
    assert_eq!(explanation["verdict"], "not-in-scope");
    assert_eq!(explanation["account"]["sources"], json!(["microsoft365"]));
    let run = shown(&example, "00000000-0000-4000-8000-000000000001");
    assert!(
        run.stdout.starts_with("Cloud\\u{202e} Only (cloud.only@contoso.test) is not imported"),
        "{run:?}"
    );
}

#[test]
fn a_leaver_is_explained_from_the_register_before_and_after_the_removal() {
    let example = Example::applied();
    leave(&example, &["jjones"]);
    let leaving = explained(&example, "jack.jones@contoso.test", 0);
    assert_eq!(leaving["verdict"], "not-in-scope");
    assert_eq!(leaving["operation"]["action"], "remove");
    assert_eq!(step(&leaving, "guard")["outcome"], "passed");
    assert!(
        text(&leaving, "answer").contains("is imported and would be removed: not-in-scope"),
        "{leaving:#}"
    );
    assert!(
        text(&step(&leaving, "scope"), "evidence").contains("no object of the directories"),
        "{leaving:#}"
    );

    assert_eq!(example.run(&["apply", "--yes"]).code, 0);
    let gone = explained(&example, "jjones", 0);
    assert_eq!(gone["verdict"], "not-in-scope");
    assert_eq!(gone["operation"], Value::Null);
    assert!(text(&step(&gone, "register"), "evidence").starts_with("removed since "), "{gone:#}");
    assert!(text(&gone, "answer").contains("is not imported: not-in-scope"), "{gone:#}");
}

#[test]
fn a_held_removal_says_by_which_guard_and_what_lets_it_go() {
    let example = Example::applied();
    leave(&example, &["aadams", "iirwin", "jjones"]);
    let approval = text(&example.plan_of(CONTOSO, 3), "approval");
    let held = explained(&example, "iirwin", 0);
    assert_eq!(held["operation"]["action"], "hold");
    assert_eq!(decider(&held), "scope");
    let guard = step(&held, "guard");
    assert_eq!(guard["outcome"], "held");
    let evidence = text(&guard, "evidence");
    assert!(evidence.starts_with("held by removal-limit; "), "{evidence}");
    assert!(evidence.contains(&approval) && evidence.contains("--approve"), "{evidence}");
    assert!(text(&held, "answer").contains("its removal is held by removal-limit"), "{held:#}");
}

#[test]
fn the_protected_stay_and_that_is_said() {
    let example = Example::applied();
    leave(&example, &["hhall"]);
    let explanation = explained(&example, "hhall", 0);
    assert_eq!(explanation["verdict"], "not-in-scope");
    assert_eq!(explanation["operation"], Value::Null);
    let guard = step(&explanation, "guard");
    assert_eq!(guard["outcome"], "held");
    assert!(text(&guard, "evidence").contains("`protect`"), "{guard}");
}

#[test]
fn changed_fields_and_kept_accounts_are_told() {
    let example = Example::applied();
    example.edit_ldif(CONTOSO, |ldif| {
        ldif.replace("aadams", "displayName: Alice Adams", "displayName: Alice Archer");
        ldif.replace("ggreen", "\nsAMAccountName: ggreen", "\nsAMAccountName: \nx-was: ggreen");
    });
    let updated = explained(&example, "aadams", 0);
    let evidence = text(&step(&updated, "operation"), "evidence");
    assert_eq!(evidence, "update; displayName: \"Alice Adams\" → \"Alice Archer\"");
    let kept = explained(&example, "ggreen", 0);
    assert_eq!(kept["verdict"], "invalid-record", "{kept:#}");
    assert!(text(&kept, "answer").contains("is imported and stays as it is: invalid-record"), "{kept:#}");
}

#[test]
fn whoever_is_judged_under_both_account_types_is_explained_as_both() {
    let example = Example::new();
    let path = example.tree().join("policies/administrators.yaml");
    let policy = fs::read_to_string(&path).expect("a policy");
    let by_group = policy.replace("organizationalUnits: [OU=Admins]", "securityGroups: [Helpdesk Tier 2]");
    assert_ne!(policy, by_group);
    fs::write(&path, by_group).expect("written");
    let explanation = explained(&example, "zzimmer", 0);
    assert_eq!(explanation["accountType"], "Administrator");
    assert_eq!(explanation["verdict"], "included");
    let also = array(&explanation, "alsoAs");
    assert_eq!(also.len(), 1, "{explanation:#}");
    assert_eq!(also[0]["accountType"], "EndUser");
    assert_eq!(also[0]["verdict"], "privileged-account");
    let run = shown(&example, "zzimmer");
    assert!(run.stdout.contains("would be added by `administrators`"), "{run:?}");
    assert!(run.stdout.contains("is not imported: privileged-account"), "{run:?}");
}

#[test]
fn without_the_tenant_the_directory_still_explains_what_it_can() {
    let example = Example::applied();
    fs::remove_file(example.file(CONTOSO, SNAPSHOT)).expect("removed");
    let excluded = explained(&example, "fax", 3);
    assert_eq!((&excluded["verdict"], decider(&excluded).as_str()), (&json!("excluded"), "exclusion"));
    let alice = explained(&example, "aadams", 3);
    assert_eq!(alice["verdict"], Value::Null);
    assert_eq!(step(&alice, "match")["outcome"], "unknown");
    assert_eq!(step(&alice, "operation")["outcome"], "held");
    assert_eq!(array(&alice, "unread").len(), 1, "{alice:#}");
    let run = shown(&example, "aadams");
    assert_eq!(run.code, 3);
    assert!(run.stdout.contains("nobody can say now"), "{run:?}");
    assert!(run.stderr.contains("tenant-unavailable") && run.stderr.contains("--cached"), "{run:?}");
    // An administrator needs no tenant.
    assert_eq!(explained(&example, "adm-aadams", 3)["verdict"], "included");
}

#[test]
fn without_the_directory_nobody_is_said_to_be_out_of_scope() {
    let example = Example::applied();
    fs::remove_file(example.file(CONTOSO, LDIF)).expect("removed");
    let alice = explained(&example, "aadams", 3);
    assert_eq!(alice["verdict"], Value::Null, "{alice:#}");
    assert_eq!(step(&alice, "scope")["outcome"], "unknown");
    assert_eq!(decider(&alice), "scope");
    assert!(text(&step(&alice, "register"), "evidence").starts_with("active; "), "{alice:#}");
}

#[test]
fn a_scope_that_is_gone_leaves_the_verdict_open() {
    let example = Example::applied();
    let path = example.tree().join("policies/staff.yaml");
    let policy = fs::read_to_string(&path).expect("a policy");
    fs::write(&path, policy.replace("- OU=Staff\n", "- OU=Stuff\n")).expect("written");
    let alice = explained(&example, "aadams", 0);
    assert_eq!(alice["verdict"], Value::Null, "{alice:#}");
    let scope = step(&alice, "scope");
    assert_eq!(scope["outcome"], "unknown");
    assert!(text(&scope, "evidence").contains("scope-not-found OU=Stuff"), "{scope}");
    // Whoever lies in an OU that resolved has a verdict, and nothing is planned all the same.
    let jack = explained(&example, "jjones", 0);
    assert_eq!((&jack["verdict"], &jack["operation"]), (&json!("included"), &Value::Null));
    assert_eq!(decider(&jack), "operation");
}

#[test]
fn the_last_complete_readings_explain_what_the_sources_did() {
    let example = Example::new();
    let none = example.run(&["explain", "aadams", "--customer", CONTOSO, "--cached"]);
    assert_eq!((none.code, none.stdout.as_str()), (1, ""));
    assert!(none.stderr.contains("no complete readings of `contoso` were kept"), "{none:?}");

    assert_eq!(example.run(&["apply", "--yes"]).code, 0);
    let cached = |account: &str| example.json(&["explain", account, "--customer", CONTOSO, "--cached"], 0);
    for row in table().iter().filter(|row| row.customer == CONTOSO) {
        let mut remembered = cached(&row.account);
        let read_at = remembered.as_object_mut().expect("an object").remove("readAt");
        assert!(read_at.is_some_and(|at| at.is_string()), "{remembered:#}");
        assert_eq!(remembered, explained(&example, &row.account, 0));
    }

    // A turn that cannot read keeps what was read before, and asking it writes nothing.
    let before = cached("aadams");
    fs::remove_file(example.file(CONTOSO, LDIF)).expect("removed");
    assert_eq!(example.run(&["apply", "--yes"]).code, 3);
    assert_eq!(cached("aadams"), before);
    let run = example.run(&["explain", "aadams", "--customer", CONTOSO, "--cached"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("\nFrom the last complete readings, of 20"), "{run:?}");
}

#[test]
fn a_directory_that_was_not_there_when_readings_were_kept_is_said_to_be_missing() {
    let example = Example::applied();
    let path = example.file(CONTOSO, "customer.yaml");
    let document = fs::read_to_string(&path).expect("a document");
    let renamed = document.replacen("- name: main", "- name: other", 1);
    assert_ne!(renamed, document);
    fs::write(&path, renamed).expect("written");
    let alice = example.json(&["explain", "aadams", "--customer", CONTOSO, "--cached"], 3);
    assert_eq!(alice["verdict"], Value::Null);
    assert!(
        alice["unread"][0].as_str().is_some_and(|why| why.contains("not among the readings")),
        "{alice:#}"
    );
}
