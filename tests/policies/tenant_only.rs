//! Selections of the tenant, for customers without directories.

use intake::model::account::AccountType::{Administrator, EndUser};
use intake::policy::fleet::{EntraGroupName, Scope, Selection};

use super::{checked, customer, has, is_invalid, policy, problems, sound, valid};

/// A customer without directories; `more` are further lines of its spec.
fn tenant_only(name: &str, more: &str) -> String {
    format!(
        "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {{name: {name}, labels: {{tier: cloud}}}}\nspec:\n  tenant: {{snapshot: {{file: {name}.json}}}}\n{more}"
    )
}

fn for_cloud(selection: &str, more: &str) -> String {
    policy(
        "staff",
        "EndUser",
        &format!("  customers: {{matchLabels: {{tier: cloud}}}}\n  selection: {selection}\n{more}"),
    )
}

#[test]
fn people_are_selected_in_the_tenant_by_licence_and_by_group() {
    let selection = |selection: &str| {
        let all = checked(&[("a.yaml", &tenant_only("contoso", "")), ("p.yaml", &for_cloud(selection, ""))]);
        sound(&all);
        valid(&all, "contoso", EndUser)[0].selection.clone()
    };
    assert_eq!(selection("{licensed: true}"), Selection::Licensed);
    let id = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
    let scope = |name, optional| Scope { name, optional };
    assert_eq!(
        selection(&format!("{{entraGroups: [Intake Users, {id}], optional: [Office]}}")),
        Selection::EntraGroups(vec![
            scope(EntraGroupName::Name("Intake Users".into()), false),
            scope(EntraGroupName::Id(id.parse().expect("a GUID")), false),
            scope(EntraGroupName::Name("Office".into()), true),
        ])
    );
}

#[test]
fn a_selection_of_the_tenant_says_one_thing_and_means_it() {
    for (selection, at, words) in [
        ("{licensed: false}", "p.yaml:7:25", "can only be true"),
        ("{licensed: true, optional: [Office]}", "p.yaml:7:42", "`licensed` has none"),
        ("{licensed: true, entraGroups: [A]}", "p.yaml:7:31", "exactly one of"),
        ("{entraGroups: []}", "p.yaml:7:28", ""),
        ("{entraGroups: [\"Intake *\"]}", "p.yaml:7:29", "without wildcards"),
    ] {
        let all = checked(&[("a.yaml", &tenant_only("contoso", "")), ("p.yaml", &for_cloud(selection, ""))]);
        has(&all, at, words);
        assert!(is_invalid(&all, "contoso", EndUser), "{selection}");
    }
}

#[test]
fn what_excludes_by_a_directory_is_refused_with_its_place() {
    let exclude = "  exclude:\n    - {organizationalUnit: OU=Leavers}\n    - {securityGroup: No Intake}\n    - {account: fax}\n";
    let all = checked(&[
        ("a.yaml", &tenant_only("contoso", "")),
        ("p.yaml", &for_cloud("{licensed: true}", exclude)),
    ]);
    has(&all, "p.yaml:9:28", "`organizationalUnit` is about a directory");
    has(&all, "p.yaml:10:23", "`securityGroup` is about a directory");
    assert_eq!(problems(&all).len(), 2, "{:?}", problems(&all));
    assert!(is_invalid(&all, "contoso", EndUser));
}

#[test]
fn of_the_customers_of_a_shared_policy_only_those_with_a_directory_are_refused() {
    let all = checked(&[
        ("a.yaml", &tenant_only("contoso", "")),
        ("b.yaml", &customer("fabrikam", "tier: cloud", "  tenant: {snapshot: {file: f.json}}\n")),
        ("p.yaml", &for_cloud("{licensed: true}", "")),
    ]);
    has(&all, "p.yaml:7:25", "customers without directories");
    assert_eq!(problems(&all).len(), 1, "{:?}", problems(&all));
    let problem = &all.problems[0];
    let both = format!("{problem:?}");
    assert!(both.contains("fabrikam") && both.contains("b.yaml"), "{both}");
    assert!(is_invalid(&all, "fabrikam", EndUser));
    assert_eq!(valid(&all, "contoso", EndUser).len(), 1);
    assert!(all.fleet.customers["fabrikam"].invalid.is_empty(), "its document is sound");
}

#[test]
fn a_policy_of_a_directory_is_no_error_for_a_customer_without_one() {
    let all = checked(&[
        ("a.yaml", &tenant_only("contoso", "")),
        ("p.yaml", &for_cloud("{organizationalUnits: [\"OU=Staff\"]}", "")),
    ]);
    sound(&all);
    assert_eq!(valid(&all, "contoso", EndUser).len(), 1, "the plan says that it is not ready");
}

#[test]
fn the_same_people_of_a_tenant_under_both_account_types_are_an_error() {
    for selection in ["{licensed: true}", "{entraGroups: [Intake Users]}"] {
        let admins = policy(
            "admins",
            "Administrator",
            &format!(
                "  customers: {{names: [contoso]}}\n  selection: {}\n",
                selection.to_lowercase().replace("entrag", "entraG")
            ),
        );
        let all = checked(&[
            ("a.yaml", &tenant_only("contoso", "")),
            ("p.yaml", &for_cloud(selection, "")),
            ("q.yaml", &admins),
        ]);
        assert!(
            problems(&all).iter().any(|problem| problem.contains("both account types")),
            "{:?}",
            problems(&all)
        );
        assert!(is_invalid(&all, "contoso", EndUser) && is_invalid(&all, "contoso", Administrator));
    }
}
