//! The quickstart as a user runs it: everybody in its table gets the verdict that the table says.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

mod example;
mod explain;

use example::{
    Example, Row, TAIL, array, customer_of, finding_codes, name_of, names_place, operations, read, table,
    text, write,
};

/// The customer whose files the tests change.
const CONTOSO: &str = "contoso";
const LDIF: &str = "contoso.ldif";
const SNAPSHOT: &str = "contoso-users.json";

fn set<const N: usize>(lines: [&str; N]) -> BTreeSet<String> {
    lines.into_iter().map(str::to_owned).collect()
}

/// Returns the accounts of the register, to compare before and after.
fn registered(example: &Example) -> BTreeSet<String> {
    example
        .accounts()
        .iter()
        .map(|account| {
            format!("{} {} {}", text(account, "customer"), name_of(account), text(account, "state"))
        })
        .collect()
}

/// Expects that contoso cannot be read, that the reason names a place in `file`, that nobody is
/// touched by plan or apply, and that fabrikam goes on.
fn expect_unreadable(example: &Example, file: &str) {
    let before = (registered(example), example.history());
    let plan = example.json(&["plan"], 3);
    let contoso = customer_of(&plan, CONTOSO);
    assert_eq!(contoso["state"], "unreadable", "{contoso:#}");
    assert_eq!(operations(&contoso), set([]));
    let messages: String =
        array(&contoso, "findings").iter().map(|finding| text(finding, "message") + "\n").collect();
    assert!(names_place(&messages, file), "a place in {file}: {messages}");
    assert_eq!(customer_of(&plan, "fabrikam")["state"], "ready");

    let shown = example.run(&["plan"]);
    assert_eq!(shown.code, 3, "{shown:?}");
    assert!(names_place(&shown.stdout, file), "{shown:?}");

    let applied = example.run(&["apply", "--yes"]);
    assert_eq!(applied.code, 3, "{applied:?}");
    assert_eq!((registered(example), example.history()), before);
}

/// Expects that nothing is removed or pended, by plan or apply, and that contoso is not `ready`.
fn expect_nobody_removed(example: &Example) {
    let before = registered(example);
    let contoso = example.plan_of(CONTOSO, 3);
    assert!(contoso["state"] == "held" || contoso["state"] == "unreadable", "{contoso:#}");
    let gone: Vec<String> = operations(&contoso)
        .into_iter()
        .filter(|line| line.starts_with("remove ") || line.starts_with("pend "))
        .collect();
    assert_eq!(gone, Vec::<String>::new());
    let applied = example.run(&["apply", "--yes"]);
    assert_eq!(applied.code, 3, "{applied:?}");
    assert_eq!(registered(example), before);
}

/// Expects a plan without operations and without anything held.
fn expect_nothing_to_do(example: &Example) {
    let run = example.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(run.code, 0, "{run:?}");
    for customer in [CONTOSO, "fabrikam"] {
        assert_eq!(operations(&example.plan_of(customer, 0)), set([]));
    }
}

#[test]
fn the_example_is_a_valid_tree() {
    let run = Example::new().run(&["validate"]);
    assert_eq!(run.code, 0, "{run:?}");
}

#[test]
fn a_plan_says_of_everybody_what_the_table_says() {
    let plan = Example::new().json(&["plan"], 0);
    let mut planned = Vec::new();
    for customer in [CONTOSO, "fabrikam"] {
        let of_customer = customer_of(&plan, customer);
        assert_eq!(of_customer["state"], "ready");
        assert_eq!(array(&of_customer, "kept"), Vec::<Value>::new());
        for operation in array(&of_customer, "operations") {
            assert_eq!(operation["action"], "add");
            let tied_by = text(&operation, "matchedBy");
            planned.push(Row {
                customer: customer.to_owned(),
                account: name_of(&operation["account"]),
                account_type: text(&operation, "accountType"),
                verdict: "included".to_owned(),
                tied_by: if tied_by.is_empty() { "-".to_owned() } else { tied_by },
            });
        }
        for left_out in array(&of_customer, "notImported") {
            planned.push(Row {
                customer: customer.to_owned(),
                account: name_of(&left_out["account"]),
                account_type: text(&left_out, "accountType"),
                verdict: text(&left_out, "verdict"),
                tied_by: "-".to_owned(),
            });
        }
    }
    // People who are not in scope are no candidates, and no plan lists them.
    let mut expected: Vec<Row> = table().into_iter().filter(|row| row.verdict != "not-in-scope").collect();
    expected.sort();
    planned.sort();
    assert_eq!(planned, expected);
}

#[test]
fn the_table_holds_every_verdict() {
    let shown: BTreeSet<String> = table().into_iter().map(|row| row.verdict).collect();
    let all = intake::model::account::Verdict::ALL.map(|verdict| verdict.code().to_owned());
    assert_eq!(shown, BTreeSet::from(all));
}

#[test]
fn accounts_are_linked_as_their_policy_says() {
    let plan = Example::new().json(&["plan"], 0);
    for operation in array(&customer_of(&plan, CONTOSO), "operations") {
        let account = &operation["account"];
        if operation["accountType"] == "Administrator" {
            assert_eq!(account["sources"], json!(["activeDirectory"]), "{account:#}");
            assert_eq!(account["passwordSync"], json!(false), "{account:#}");
            assert_eq!(account["tenantUserId"], Value::Null, "{account:#}");
            assert_eq!(operation["policy"], "administrators");
        } else {
            assert_eq!(account["sources"], json!(["activeDirectory", "microsoft365"]), "{account:#}");
            assert_eq!(account["passwordSync"], json!(true), "{account:#}");
            assert!(account["tenantUserId"].is_string(), "{account:#}");
            assert_eq!(operation["policy"], "staff");
        }
    }
}

#[test]
fn the_nested_group_is_the_only_finding() {
    let plan = Example::new().json(&["plan"], 0);
    assert_eq!(finding_codes(&customer_of(&plan, CONTOSO)), Vec::<String>::new());
    let findings = array(&customer_of(&plan, "fabrikam"), "findings");
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0]["code"], "nested-group-ignored");
    assert_eq!(findings[0]["severity"], "warning");
    assert!(text(&findings[0], "subject").contains("Temps"), "{findings:#?}");
    assert!(text(&findings[0], "message").contains('2'), "Temps has two members: {findings:#?}");
}

#[test]
fn licensed_people_outside_of_the_scope_are_listed() {
    let plan = Example::new().json(&["plan"], 0);
    let outside = |customer: &str| -> BTreeSet<String> {
        array(&customer_of(&plan, customer), "licensedOutsideScope")
            .iter()
            .map(|user| text(user, "userPrincipalName"))
            .collect()
    };
    // Two whose directory accounts fit nobody by any key, and one whom no OU holds; whoever is in a
    // scope and left out for another reason is not outside of it.
    let contoso = ["bill.byte@contoso.test", "quinn.reed@contoso.test", "rosa.ruiz@contoso.test"];
    assert_eq!(outside(CONTOSO), set(contoso));
    assert_eq!(outside("fabrikam"), set(["emil.ek@fabrikam.test", "hugo.hart@fabrikam.test"]));
}

#[test]
fn status_counts_what_a_provider_bills_from() {
    let example = Example::applied();
    let unlicensed =
        table().into_iter().filter(|row| row.customer == CONTOSO && row.verdict == "unlicensed").count();
    assert!(unlicensed > 0, "the table has some");
    let status = example.run(&["status", "--customer", CONTOSO]);
    let line = format!(
        "{CONTOSO}: {unlicensed} in the scope without a licence that counts, 3 licensed outside of every scope"
    );
    assert!(status.stdout.contains(&line), "{line}: {status:?}");
    // Names and counts stay what they were while nobody can read.
    example.edit_snapshot(CONTOSO, |snapshot| snapshot["@odata.nextLink"] = "more".into());
    example.run(&["apply", "--yes"]);
    let counts = example.json(&["status"], 0);
    let of = |name: &str| {
        array(&counts, "customers").iter().find(|one| one["name"] == name).cloned().expect("one")
    };
    assert_eq!(of(CONTOSO)["state"], "unreadable");
    assert_eq!(of(CONTOSO)["inScopeWithoutLicense"], unlicensed);
    assert_eq!(of(CONTOSO)["licensedOutsideScope"], 3);
    assert_eq!(of("fabrikam")["licensedOutsideScope"], 2);
}

#[test]
fn a_plan_for_people_ends_with_the_counts_and_writes_nothing() {
    let example = Example::new();
    let run = example.run(&["plan"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.stdout.contains("Plan: 15 to add, 0 to update, 0 to remove, 0 held; 0 unchanged."),
        "{run:?}"
    );
    assert_eq!(example.run(&["plan", "--detailed-exitcode"]).code, 2);
    assert_eq!(registered(&example), set([]));
}

#[test]
fn the_same_inputs_give_the_same_plan_whatever_their_order() {
    let example = Example::new();
    let first = example.run(&["plan", "--format", "json"]);
    let second = example.run(&["plan", "--format", "json"]);
    assert_eq!(first.stdout, second.stdout);

    for customer in [CONTOSO, "fabrikam"] {
        example.edit_ldif(customer, |ldif| ldif.entries.reverse());
        example.edit_snapshot(customer, |snapshot| {
            snapshot["value"].as_array_mut().expect("users").reverse();
        });
    }
    let plan: Value = serde_json::from_str(&first.stdout).expect("JSON");
    let reversed = example.json(&["plan"], 0);
    assert_eq!(reversed["digest"], plan["digest"]);
    assert_eq!(reversed["customers"], plan["customers"]);
}

#[test]
fn applying_imports_the_people_and_a_second_time_does_nothing() {
    let example = Example::applied();
    let expected: BTreeSet<String> = table()
        .into_iter()
        .filter(|row| row.verdict == "included")
        .map(|row| format!("{} {} active", row.customer, row.account))
        .collect();
    assert_eq!(registered(&example), expected);
    expect_nothing_to_do(&example);
    assert_eq!(example.json(&["plan"], 0)["summary"]["unchanged"], 15);

    let history = example.history();
    assert!(history.contains("account.added"), "{history}");
    let again = example.run(&["apply", "--yes"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(example.history(), history);
}

#[test]
fn a_leaver_is_the_one_removal() {
    let example = Example::applied();
    example.edit_ldif(CONTOSO, |ldif| ldif.delete("jjones"));
    assert_eq!(example.run(&["plan", "--detailed-exitcode"]).code, 2);
    let plan = example.json(&["plan"], 0);
    assert_eq!(operations(&customer_of(&plan, CONTOSO)), set(["remove jjones not-in-scope"]));
    assert_eq!(operations(&customer_of(&plan, "fabrikam")), set([]));

    let applied = example.run(&["apply", "--yes"]);
    assert_eq!(applied.code, 0, "{applied:?}");
    expect_nothing_to_do(&example);
    let history = example.history();
    assert!(history.contains("account.removed"), "{history}");
}

#[test]
fn too_many_leavers_are_held_until_somebody_approves_exactly_them() {
    let example = Example::applied();
    let before = registered(&example);
    example.edit_ldif(CONTOSO, |ldif| {
        for account in ["aadams", "iirwin", "jjones"] {
            ldif.delete(account);
        }
    });
    let contoso = example.plan_of(CONTOSO, 3);
    assert_eq!(contoso["state"], "held");
    assert_eq!(
        operations(&contoso),
        set(["hold aadams not-in-scope", "hold iirwin not-in-scope", "hold jjones not-in-scope"])
    );
    for operation in array(&contoso, "operations") {
        assert_eq!(operation["heldBy"], "removal-limit");
    }
    assert_eq!(contoso["summary"]["hold"], 3);
    assert!(finding_codes(&contoso).contains(&"removal-limit".to_owned()), "{contoso:#}");

    let held = example.run(&["apply", "--yes"]);
    assert_eq!(held.code, 3, "{held:?}");
    assert_eq!(registered(&example), before);

    let approval = text(&contoso, "approval");
    assert!(approval.starts_with("sha256:"), "{contoso:#}");
    let approved = example.run(&["apply", "--yes", "--approve", &approval]);
    assert_eq!(approved.code, 0, "{approved:?}");
    let active = registered(&example).iter().filter(|line| line.ends_with(" active")).count();
    assert_eq!(active, 15 - 3);
}

#[test]
fn a_marriage_is_an_update() {
    let example = Example::applied();
    example.edit_ldif(CONTOSO, |ldif| {
        ldif.replace("aadams", "CN=Alice Adams,", "CN=Alice Archer,");
        ldif.replace("aadams", "cn: Alice Adams", "cn: Alice Archer");
        ldif.replace("aadams", "sn: Adams", "sn: Archer");
        ldif.replace("aadams", "displayName: Alice Adams", "displayName: Alice Archer");
        ldif.replace("aadams", "userPrincipalName: alice.adams@", "userPrincipalName: alice.archer@");
        ldif.replace("aadams", "sAMAccountName: aadams\n", "sAMAccountName: aarcher2\n");
    });
    let contoso = example.plan_of(CONTOSO, 0);
    assert_eq!(operations(&contoso), set(["update aarcher2"]));
    let changes: BTreeSet<String> = array(&contoso["operations"][0], "changes")
        .iter()
        .map(|change| {
            format!("{}: {} -> {}", text(change, "field"), text(change, "before"), text(change, "after"))
        })
        .collect();
    assert_eq!(
        changes,
        set([
            "displayName: Alice Adams -> Alice Archer",
            "samAccountName: aadams -> aarcher2",
            "userPrincipalName: alice.adams@contoso.test -> alice.archer@contoso.test",
        ])
    );
}

#[test]
fn a_move_to_another_selected_ou_is_nothing() {
    let example = Example::applied();
    example.edit_ldif(CONTOSO, |ldif| {
        ldif.replace("jjones", "CN=Jack Jones,OU=Warehouse,", "CN=Jack Jones,OU=Sales,OU=Staff,");
    });
    expect_nothing_to_do(&example);
}

#[test]
fn a_move_out_of_the_selected_ous_is_a_removal() {
    let example = Example::applied();
    example.edit_ldif(CONTOSO, |ldif| {
        ldif.replace("jjones", "CN=Jack Jones,OU=Warehouse,", "CN=Jack Jones,OU=External,");
    });
    assert_eq!(operations(&example.plan_of(CONTOSO, 0)), set(["remove jjones not-in-scope"]));
}

#[test]
fn somebody_disabled_is_removed_as_disabled() {
    let example = Example::applied();
    example.edit_ldif(CONTOSO, |ldif| {
        ldif.replace("aadams", "userAccountControl: 512", "userAccountControl: 514");
    });
    assert_eq!(operations(&example.plan_of(CONTOSO, 0)), set(["remove aadams directory-disabled"]));
}

#[test]
fn somebody_without_a_licence_is_removed_as_unlicensed() {
    let example = Example::applied();
    example.edit_snapshot(CONTOSO, |snapshot| {
        let user = user(snapshot, "alice.adams@contoso.test");
        user["assignedLicenses"] = json!([]);
        user["licenseAssignmentStates"] = json!([]);
    });
    assert_eq!(operations(&example.plan_of(CONTOSO, 0)), set(["remove aadams unlicensed"]));
}

#[test]
fn the_protected_chief_executive_is_never_removed() {
    let example = Example::applied();
    example.edit_ldif(CONTOSO, |ldif| {
        ldif.replace("hhall", "userAccountControl: 512", "userAccountControl: 514");
    });
    let contoso = customer_of(&example.json(&["plan"], 0), CONTOSO);
    assert_eq!(operations(&contoso), set([]));
    let applied = example.run(&["apply", "--yes"]);
    assert_eq!(applied.code, 0, "{applied:?}");
    assert!(registered(&example).contains("contoso hhall active"));
}

#[test]
fn another_mail_address_or_mobile_in_the_directory_changes_nothing() {
    let example = Example::applied();
    example.edit_ldif(CONTOSO, |ldif| {
        ldif.replace("aadams", "\nmail: alice.adams@contoso.test", "\nmail: alice@new.test");
        ldif.replace("aadams", "\nmobile: +1 555 0101", "\nmobile: +1 555 9999");
    });
    expect_nothing_to_do(&example);
    let accounts = example.accounts();
    let alice = accounts.iter().find(|account| name_of(account) == "aadams").expect("Alice");
    assert_eq!(alice["email"], "alice.adams@contoso.test");
    assert_eq!(alice["mobilePhone"], "+1 555 0101");
}

#[test]
fn a_known_account_whose_record_breaks_is_kept() {
    let example = Example::applied();
    example.edit_ldif(CONTOSO, |ldif| ldif.replace("aadams", "sAMAccountName: aadams\n", ""));
    let contoso = example.plan_of(CONTOSO, 0);
    assert_eq!(operations(&contoso), set([]));
    let kept = array(&contoso, "kept");
    assert_eq!(kept.len(), 1, "{contoso:#}");
    assert_eq!(kept[0]["verdict"], "invalid-record");
    assert_eq!(contoso["state"], "ready");
}

#[test]
fn a_known_account_whose_tenant_user_is_tied_to_somebody_else_is_kept() {
    let example = Example::applied();
    example.edit_snapshot(CONTOSO, |snapshot| {
        let victor = user(snapshot, "uma.underwood@contoso.test")["onPremisesImmutableId"].clone();
        user(snapshot, "uma.underwood@contoso.test")["onPremisesImmutableId"] = Value::Null;
        user(snapshot, "eva@contoso.test")["onPremisesImmutableId"] = victor;
    });
    let contoso = example.plan_of(CONTOSO, 0);
    let of_eva: Vec<Value> =
        array(&contoso, "kept").into_iter().filter(|kept| name_of(&kept["account"]) == "enovak").collect();
    assert_eq!(of_eva.len(), 1, "{contoso:#}");
    assert_eq!(of_eva[0]["verdict"], "match-conflict");
    assert!(!operations(&contoso).iter().any(|line| line.contains("enovak")), "{contoso:#}");
}

#[test]
fn a_customer_whose_folder_is_deleted_loses_nobody() {
    let example = Example::applied();
    let accounts = example.accounts().len();
    fs::remove_dir_all(example.tree().join("customers/contoso")).expect("deleted");
    let applied = example.run(&["apply", "--yes"]);
    assert_eq!(applied.code, 0, "{applied:?}");
    let after = registered(&example);
    assert_eq!(after.len(), accounts);
    for line in after.iter().filter(|line| line.starts_with("contoso ")) {
        assert!(line.ends_with(" orphaned"), "{line}");
    }
}

#[test]
fn half_an_ldif_file_is_unreadable_and_removes_nobody() {
    let example = Example::applied();
    let path = example.file(CONTOSO, LDIF);
    let whole = read(&path);
    write(&path, &whole[..whole.len() / 2]);
    expect_unreadable(&example, LDIF);
}

#[test]
fn an_ldif_file_cut_anywhere_is_unreadable() {
    let example = Example::applied();
    let path = example.file(CONTOSO, LDIF);
    let whole = read(&path);
    let end = whole.strip_suffix(TAIL).expect("a mark at the end").len();
    let after_header = whole.find("\n\n").expect("a head") + 2;
    let below_the_last_but_one = whole[..end].rfind("\n\n").expect("entries") + 2;
    let above_the_last_line = whole[..end].rfind('\n').expect("lines") + 1;
    let chosen = [0, after_header, below_the_last_but_one, above_the_last_line, end - 3, end, end + 1];
    for cut in (1..8).map(|eighth| whole.len() * eighth / 8).chain(chosen) {
        write(&path, &whole[..cut]);
        let contoso = example.plan_of(CONTOSO, 3);
        assert_eq!(contoso["state"], "unreadable", "cut at {cut}: {contoso:#}");
        assert_eq!(operations(&contoso), set([]), "cut at {cut}");
    }
}

#[test]
fn two_objects_with_one_guid_are_unreadable() {
    let example = Example::applied();
    example.edit_ldif(CONTOSO, |ldif| {
        let guid = |entry: &String| {
            let line = entry.lines().find(|line| line.starts_with("objectGUID::"));
            line.expect("an objectGUID").to_owned()
        };
        let alice = ldif.entries.iter().find(|entry| entry.contains(": aadams\n")).map(guid);
        let jack = ldif.entries.iter().find(|entry| entry.contains(": jjones\n")).map(guid);
        ldif.replace("jjones", &jack.expect("Jack"), &alice.expect("Alice"));
    });
    expect_unreadable(&example, LDIF);
}

#[test]
fn wrong_base64_is_unreadable() {
    let example = Example::applied();
    example.edit_ldif(CONTOSO, |ldif| ldif.replace("jjones", "objectGUID:: ", "objectGUID:: ***"));
    expect_unreadable(&example, LDIF);
}

#[test]
fn half_a_snapshot_is_unreadable_and_removes_nobody() {
    let example = Example::applied();
    let path = example.file(CONTOSO, SNAPSHOT);
    let whole = read(&path);
    let mut half = whole.len() / 2;
    while !whole.is_char_boundary(half) {
        half += 1;
    }
    write(&path, &whole[..half]);
    expect_unreadable(&example, SNAPSHOT);
}

#[test]
fn a_snapshot_with_a_wrong_type_is_unreadable() {
    let example = Example::applied();
    example.edit_snapshot(CONTOSO, |snapshot| {
        user(snapshot, "alice.adams@contoso.test")["accountEnabled"] = json!("yes");
    });
    expect_unreadable(&example, SNAPSHOT);
}

#[test]
fn a_snapshot_that_promises_more_pages_removes_nobody() {
    let example = Example::applied();
    example.edit_snapshot(CONTOSO, |snapshot| {
        snapshot["@odata.nextLink"] = json!("https://graph.microsoft.com/v1.0/users?$skiptoken=x");
        snapshot["value"].as_array_mut().expect("users").truncate(3);
    });
    expect_nobody_removed(&example);
}

#[test]
fn a_missing_file_removes_nobody() {
    for name in [LDIF, SNAPSHOT] {
        let example = Example::applied();
        fs::remove_file(example.file(CONTOSO, name)).expect("deleted");
        let before = registered(&example);
        let run = example.run(&["apply", "--yes"]);
        assert!(run.code == 1 || run.code == 3, "{run:?}");
        assert_eq!(registered(&example), before);
    }
}

#[test]
fn empty_sources_remove_nobody() {
    for (no_people, no_users) in [(true, false), (false, true), (true, true)] {
        let example = Example::applied();
        if no_people {
            example.edit_ldif(CONTOSO, |ldif| {
                ldif.entries.retain(|entry| {
                    !entry.contains("\nobjectClass: user\n") || entry.contains("\nobjectClass: computer\n")
                });
                for entry in &mut ldif.entries {
                    *entry = entry
                        .lines()
                        .filter(|line| !line.starts_with("member: "))
                        .collect::<Vec<&str>>()
                        .join("\n");
                }
            });
        }
        if no_users {
            example.edit_snapshot(CONTOSO, |snapshot| snapshot["value"] = json!([]));
        }
        expect_nobody_removed(&example);
    }
}

#[test]
fn files_of_no_bytes_remove_nobody() {
    let example = Example::applied();
    write(&example.file(CONTOSO, LDIF), "");
    write(&example.file(CONTOSO, SNAPSHOT), "");
    expect_nobody_removed(&example);
}

/// Returns a user of a snapshot by its logon name.
fn user<'a>(snapshot: &'a mut Value, name: &str) -> &'a mut Value {
    let users = snapshot["value"].as_array_mut().expect("users");
    let found = users.iter_mut().find(|user| user["userPrincipalName"] == name);
    found.unwrap_or_else(|| panic!("no tenant user {name}"))
}
