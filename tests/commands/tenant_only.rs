//! A customer without a directory, whose people are selected in its tenant.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::graph::{ALWAYS, At, E3, FakeTenant, Fault, GraphFake, Place, e3, person, person_id};
use crate::support::intake::Installation;

const ROLES: [&str; 3] = ["User.Read.All", "LicenseAssignment.Read.All", "GroupMember.Read.All"];
const BY_GROUP: &str = "{entraGroups: [Intake Users]}";

struct Scene {
    here: Installation,
    graph: GraphFake,
    tenant: FakeTenant,
}

/// A tenant of twenty licensed people, all of them in the group 1, and a policy that selects by it.
fn scene(selection: &str) -> Scene {
    let graph = GraphFake::spawn();
    let tenant = graph.tenant("contoso.test");
    let everybody: Vec<u32> = (1..=20).collect();
    tenant.people(20).sku(e3()).roles(&ROLES).group(1, "Intake Users").members(1, &everybody);
    let mut here = Installation::new();
    let source = here.graph_source("contoso", &graph);
    here.write(
        "contoso.yaml",
        &format!(
            "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {{name: contoso}}\nspec:\n  tenant: {source}\n"
        ),
    );
    let scene = Scene { here, graph, tenant };
    scene.policy(selection, "");
    scene
}

impl Scene {
    fn policy(&self, selection: &str, more: &str) {
        self.here.write(
            "staff.yaml",
            &format!(
                "apiVersion: intake.dev/v1\nkind: ImportPolicy\nmetadata: {{name: staff}}\nspec:\n  accountType: \
                 EndUser\n  default: true\n  selection: {selection}\n{more}"
            ),
        );
    }

    fn apply(&self, code: i32) -> String {
        let run = self.here.run(&["apply", "--yes", "--max-wait", "1s"]).expect(code);
        format!("{}{}", run.stdout, run.stderr)
    }

    fn plan(&self, code: i32) -> Value {
        let plan = self.here.json(&["plan", "--max-wait", "1s"], code);
        plan["customers"][0].clone()
    }

    /// The numbers of the people whose account is in a state.
    fn people(&self, state: &str) -> BTreeSet<u32> {
        let accounts = self.here.accounts();
        let of_state = accounts.iter().filter(|account| account["state"] == state);
        of_state.map(number).collect()
    }
}

fn number(account: &Value) -> u32 {
    let name = account["userPrincipalName"].as_str().expect("a name");
    name.trim_start_matches("person").split('@').next().and_then(|text| text.parse().ok()).expect("a number")
}

fn all_but(numbers: &[u32]) -> BTreeSet<u32> {
    (1..=20).filter(|number| !numbers.contains(number)).collect()
}

fn codes(plan: &Value) -> BTreeSet<String> {
    let findings = plan["findings"].as_array().expect("a list").iter();
    findings.map(|finding| finding["code"].as_str().expect("a code").to_owned()).collect()
}

#[test]
fn members_of_a_group_come_go_and_return_without_any_directory() {
    let Scene { here, graph, tenant } = scene(BY_GROUP);
    here.run(&["apply", "--yes"]).expect(0);
    let accounts = here.accounts();
    assert_eq!(accounts.len(), 20);
    let first = accounts.iter().find(|account| number(account) == 3).expect("person 3");
    assert_eq!(first["directoryId"], Value::Null);
    assert_eq!(first["tenantUserId"], person_id(3));
    assert_eq!((&first["samAccountName"], &first["passwordSync"]), (&json!(""), &json!(false)));
    assert_eq!(first["sources"], json!(["microsoft365"]));
    assert_eq!(first["email"], "person3@contoso.test");

    let events = here.events().len();
    here.run(&["plan", "--detailed-exitcode"]).expect(0);
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(here.events().len(), events, "a second run writes nothing");

    // A name follows; the address stays as people corrected it.
    tenant.change(&person_id(3), json!({"displayName": "Person Three", "mail": "other@contoso.test"}));
    here.run(&["apply", "--yes"]).expect(0);
    let third = here.accounts().into_iter().find(|account| number(account) == 3).expect("person 3");
    assert_eq!(
        (&third["displayName"], &third["email"]),
        (&json!("Person Three"), &json!("person3@contoso.test"))
    );

    tenant.leave(1, 3);
    graph.forget_requests();
    let run = here.run(&["apply", "--yes"]).expect(0);
    assert!(run.stdout.contains("not-in-scope"), "{run:?}");
    assert_eq!(graph.count(Place::Batch), 1, "the one who goes is asked for by id");
    assert_eq!(graph.count(Place::Members), 2, "and the group is read once more");
    let removed = here.accounts().into_iter().find(|account| number(account) == 3).expect("person 3");
    assert_eq!(removed["state"], "removed");

    tenant.members(1, &[3]);
    here.run(&["apply", "--yes"]).expect(0);
    let back = here.accounts().into_iter().find(|account| number(account) == 3).expect("person 3");
    assert_eq!((&back["state"], &back["importedAt"]), (&json!("active"), &third["importedAt"]));
    here.expect_whole();
}

#[test]
fn whom_a_stale_listing_of_the_group_missed_stays_and_who_cannot_be_confirmed_waits() {
    let scene = scene(BY_GROUP);
    scene.apply(0);
    scene.graph.fault(At::members(), Fault::Missing(person_id(3)), 1);
    let shown = scene.apply(0);
    assert!(shown.contains("0 removed"), "{shown}");
    // A member whom the listing of users lacks is asked for: here it is behind, there the person is gone.
    scene.graph.fault(At::users(), Fault::Missing(person_id(4)), 1);
    let shown = scene.apply(0);
    assert!(shown.contains("0 removed"), "{shown}");
    scene.tenant.remove(&person_id(20));
    let shown = scene.apply(0);
    assert!(shown.contains("1 removed"), "{shown}");
    assert_eq!(scene.people("active"), all_but(&[20]));

    scene.tenant.leave(1, 3);
    scene.graph.fault(At::members(), Fault::Nothing, 1);
    scene.graph.fault(At::members(), Fault::Status(500), ALWAYS);
    let shown = scene.apply(3);
    assert!(shown.contains("1 removal waits"), "{shown}");
    assert_eq!(scene.people("active"), all_but(&[20]));

    scene.graph.clear_faults();
    scene.apply(0);
    assert_eq!(scene.people("active"), all_but(&[3, 20]));
}

#[test]
fn a_grace_runs_and_too_many_leavers_are_held_until_somebody_approves() {
    let scene = scene(BY_GROUP);
    scene.policy(BY_GROUP, "  removal: {grace: 7d}\n");
    scene.apply(0);
    scene.tenant.leave(1, 4);
    scene.apply(0);
    assert_eq!((scene.people("active"), scene.people("pendingRemoval")), (all_but(&[4]), [4].into()));

    scene.tenant.leave(1, 5).leave(1, 6).leave(1, 7);
    scene.apply(3);
    assert_eq!(scene.people("active"), all_but(&[4]));
    let plan = scene.plan(3);
    assert_eq!((&plan["state"], codes(&plan)), (&json!("held"), ["removal-limit".to_owned()].into()));
    let approval = plan["approval"].as_str().expect("a digest");
    scene.here.run(&["apply", "--yes", "--approve", approval]).expect(0);
    assert_eq!(scene.people("pendingRemoval"), [4, 5, 6, 7].into());
}

#[test]
fn a_group_that_is_renamed_deleted_emptied_or_not_readable_removes_nobody() {
    let scene = scene(BY_GROUP);
    scene.apply(0);
    // The old name goes to another group, which is empty.
    scene.tenant.change_group(1, json!({"displayName": "Staff"})).group(2, "Intake Users");
    scene.apply(0);
    assert_eq!(codes(&scene.plan(0)), ["scope-renamed".to_owned()].into());

    scene.tenant.roles(&ROLES[..2]);
    let plan = scene.plan(3);
    assert_eq!(
        (&plan["state"], codes(&plan)),
        (&json!("unreadable"), ["tenant-incomplete".to_owned()].into())
    );
    let message = plan["findings"][0]["message"].as_str().expect("a message");
    assert!(message.contains("GroupMember.Read.All"), "{message}");
    scene.apply(3);
    let status = scene.here.status("contoso");
    assert!(
        status["message"].as_str().is_some_and(|said| said.contains("GroupMember.Read.All")),
        "{status:#}"
    );

    scene.tenant.roles(&ROLES);
    (1..=20).for_each(|number| drop(scene.tenant.leave(1, number).clone()));
    assert_eq!(
        codes(&scene.plan(3)),
        ["empty-desired-set", "removal-limit", "scope-renamed"].map(str::to_owned).into()
    );
    scene.apply(3);
    scene.tenant.delete_group(1);
    assert_eq!(codes(&scene.plan(3)), ["scope-not-found".to_owned()].into());
    scene.apply(3);
    assert_eq!(scene.people("active"), all_but(&[]));
}

#[test]
fn everybody_licensed_is_imported_and_the_rest_is_told_with_its_reason() {
    let scene = scene("{licensed: true}");
    scene.tenant.roles(&ROLES[..2]);
    scene.tenant.user(person(21, "contoso.test"));
    scene.tenant.change(&person_id(21), json!({"userType": "Guest"}));
    scene.tenant.change(&person_id(1), json!({"assignedLicenses": [], "licenseAssignmentStates": []}));
    scene.tenant.change(&person_id(2), json!({"accountEnabled": false}));
    let plan = scene.plan(0);
    let left_out: BTreeSet<(u32, &str)> = plan["notImported"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (number(&one["account"]), one["verdict"].as_str().expect("a verdict")))
        .collect();
    assert_eq!(left_out, [(1, "unlicensed"), (2, "tenant-disabled")].into());
    scene.apply(0);
    assert_eq!(scene.people("active"), all_but(&[1, 2]));
    assert_eq!(scene.graph.count(Place::Groups), 0, "no group is asked for");

    // A licence that one listing does not show is asked for once more, and one that is gone removes.
    let licence = json!([{"skuId": E3, "disabledPlans": []}]);
    scene.tenant.change(&person_id(1), json!({"assignedLicenses": licence}));
    scene.tenant.change(&person_id(3), json!({"assignedLicenses": [], "licenseAssignmentStates": []}));
    scene.apply(0);
    assert_eq!(scene.people("active"), all_but(&[2, 3]));
}

/// The rules of somebody, each with what came of it, as far as they say something; and the one that decides.
fn explained(scene: &Scene, who: &str) -> (Value, BTreeMap<String, String>, String) {
    let told = scene.here.json(&["explain", who, "--customer", "contoso", "--max-wait", "1s"], 0);
    let steps = told["steps"].as_array().expect("a list").clone();
    let text = |step: &Value, field: &str| step[field].as_str().expect("a text").to_owned();
    let decides = steps.iter().find(|step| step["decides"] == true).expect("one decides");
    let decides = text(decides, "step");
    let said = steps.iter().filter(|step| step["outcome"] != "notReached");
    let said = said
        .map(|step| (text(step, "step"), format!("{}: {}", text(step, "outcome"), text(step, "evidence"))));
    let said = said.collect();
    (told, said, decides)
}

#[test]
fn everybody_is_explained_by_the_rules_that_a_tenant_alone_has() {
    let scene = scene(BY_GROUP);
    scene.policy(BY_GROUP, "  exclude: [{account: person2@contoso.test, reason: a machine}]\n");
    scene.tenant.change(&person_id(3), json!({"accountEnabled": false}));
    scene.tenant.leave(1, 4);
    scene.apply(0);

    let (told, said, decides) = explained(&scene, "person1@contoso.test");
    assert_eq!((&told["verdict"], &told["policy"]), (&json!("included"), &json!("staff")));
    assert!(told["answer"].as_str().expect("a text").ends_with("is imported and stays as it is"), "{told:#}");
    assert_eq!(decides, "licence");
    assert_eq!(
        said.keys().map(String::as_str).collect::<Vec<_>>(),
        ["exclusion", "licence", "operation", "policy", "register", "scope", "tenantUser"]
    );
    assert!(said["scope"].starts_with("passed: person1@contoso.test is a direct member of Intake Users ("));
    assert_eq!(said["tenantUser"], "passed: no guest, and may sign in");
    assert!(said["register"].contains("active"), "{said:?}");

    let (told, said, decides) = explained(&scene, &person_id(2));
    assert_eq!((&told["verdict"], decides.as_str()), (&json!("excluded"), "exclusion"));
    assert!(said["exclusion"].starts_with("failed: ") && said["exclusion"].contains("a machine"), "{said:?}");

    let (told, said, decides) = explained(&scene, "PERSON3@contoso.test");
    assert_eq!((&told["verdict"], decides.as_str()), (&json!("tenant-disabled"), "tenantUser"));
    assert_eq!(said["tenantUser"], "failed: sign-in of tenant user person3@contoso.test is blocked");

    let (told, said, decides) = explained(&scene, "person4@contoso.test");
    assert_eq!((&told["verdict"], decides.as_str()), (&json!("not-in-scope"), "scope"));
    assert!(
        said["scope"].contains("nothing that is selected holds tenant user person4@contoso.test"),
        "{said:?}"
    );
    assert!(said["scope"].contains("`staff` selects Intake Users ("), "{said:?}");

    // Whoever has an account and left the group goes, and that is what is said.
    scene.tenant.leave(1, 5);
    let (told, _, decides) = explained(&scene, "person5@contoso.test");
    assert_eq!((&told["verdict"], decides.as_str()), (&json!("not-in-scope"), "scope"));
    assert_eq!(told["operation"]["action"], "remove");

    // Nobody can say so while the tenant cannot be read.
    scene.graph.fault(At::users(), Fault::Status(503), ALWAYS);
    let told =
        scene.here.json(&["explain", "person1@contoso.test", "--customer", "contoso", "--max-wait", "1s"], 3);
    assert_eq!(told["verdict"], Value::Null);
    let nobody =
        scene.here.run(&["explain", "nobody@contoso.test", "--customer", "contoso", "--max-wait", "1s"]);
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
}

/// An account of the directory that the customer had before is the same person's.
#[test]
fn who_was_imported_from_a_directory_before_is_one_person_still() {
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1, 2]);
    here.run(&["apply", "--yes"]).expect(0);
    let scene = Scene { here, ..scene("{licensed: true}") };
    let before = scene.here.accounts()[0]["tenantUserId"].clone();
    scene.policy("{licensed: true}", "");
    scene.here.write(
        "contoso.yaml",
        "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {name: contoso}\nspec:\n  tenant: {snapshot: {file: contoso.json}}\n",
    );
    for who in ["person1@contoso.test", before.as_str().expect("an id")] {
        let (told, ..) = explained(&scene, who);
        assert_eq!(told["verdict"], "included", "{told:#}");
        let old = &told["alsoAs"][0];
        assert!(old["account"]["directoryId"].is_string(), "{told:#}");
        assert_eq!(told["alsoAs"].as_array().expect("a list").len(), 1);
    }
    scene.here.run(&["apply", "--yes"]).expect(0);
    let (told, ..) = explained(&scene, "person1@contoso.test");
    let old = told["alsoAs"][0]["answer"].as_str().expect("a text");
    assert!(old.ends_with("is orphaned: no policy answers for it"), "{told:#}");
}

#[test]
fn of_everybody_licensed_each_is_explained_by_their_licence() {
    let scene = scene("{licensed: true}");
    scene.tenant.change(&person_id(2), json!({"assignedLicenses": []}));
    let (told, said, decides) = explained(&scene, "person2@contoso.test");
    assert_eq!((&told["verdict"], decides.as_str()), (&json!("unlicensed"), "licence"));
    assert_eq!(said["licence"], "failed: tenant user person2@contoso.test holds no licence");
    let (told, said, _) = explained(&scene, "person1@contoso.test");
    assert_eq!(told["operation"]["action"], "add");
    assert!(said["scope"].contains("all of it is selected but guests"), "{said:?}");
}
