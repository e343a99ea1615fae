//! The controller over a real directory and a tenant: the register follows the world.

use serde_json::Value;

use crate::support::graph::GraphFake;
use crate::support::intake::{Installation, change_membership, directory, persons, until};
use crate::support::slapd::{Slapd, SlapdOptions};

#[test]
fn the_register_follows_a_group_in_the_directory() {
    let slapd = Slapd::start(&directory(&[1, 2, 3, 4, 5], &[1, 2, 3]), &SlapdOptions::default());
    let graph = GraphFake::spawn();
    graph.tenant("contoso.test").people(5).page_size(2);
    let mut here = Installation::new();
    here.policy(&["contoso"]);
    let (main, tenant) = (here.ldap_source("contoso", &slapd.url()), here.graph_source("contoso", &graph));
    // What the directory says is looked at on the interval, a minute at least, or when the tree changes.
    let wake = |display_name: &str| here.customer("contoso", display_name, &main, &tenant);
    wake("Contoso");
    let jane = || -> Value {
        let accounts = here.accounts();
        let found = accounts.into_iter().find(|account| account["samAccountName"] == "person2");
        found.expect("person2 in the register")
    };

    let controller = here.start(&["run"]);
    until("three people are imported", || here.names("contoso", "active") == persons(&[1, 2, 3]));
    let imported = jane();

    change_membership(&slapd, "add", 4);
    change_membership(&slapd, "delete", 2);
    wake("Contoso 2");
    until("one more and one less", || here.names("contoso", "active") == persons(&[1, 3, 4]));
    assert_eq!(here.names("contoso", "removed"), persons(&[2]));

    change_membership(&slapd, "add", 2);
    wake("Contoso 3");
    until("the person is back", || here.names("contoso", "active") == persons(&[1, 2, 3, 4]));
    assert_eq!(jane(), imported, "the same account in all that it has");
    let of_jane: Vec<Value> = here
        .events()
        .into_iter()
        .filter(|event| event["subject"] == "person2@contoso.test")
        .map(|event| event["kind"].clone())
        .collect();
    assert_eq!(of_jane, ["account.added", "account.removed", "account.returned"]);

    // Nothing changed in the sources, and nothing is written.
    let before = here.events();
    let looked = here.status("contoso")["lastAttempt"].clone();
    wake("Contoso 4");
    until("it looked again", || here.status("contoso")["lastAttempt"] != looked);
    controller.signal("TERM");
    let run = controller.end().expect(0);
    assert_eq!(here.events(), before);
    assert_eq!(run.stdout, "");
    here.expect_whole();
}

#[test]
fn a_new_customer_is_imported_at_once_and_one_that_left_loses_nobody() {
    let here = Installation::new();
    here.policy(&["contoso", "fabrikam"]);
    here.customer_of_files("contoso", &[1, 2]);
    let mut controller = here.start(&["run"]);
    until("the first is imported", || here.names("contoso", "active") == persons(&[1, 2]));

    here.customer_of_files("fabrikam", &[3, 4]);
    until("the second is imported", || here.names("fabrikam", "active") == persons(&[3, 4]));

    here.people("contoso", &[1, 2, 5]);
    until("the file of people is followed", || here.names("contoso", "active") == persons(&[1, 2, 5]));

    here.delete("fabrikam.yaml");
    until("it is orphaned", || here.names("fabrikam", "orphaned") == persons(&[3, 4]));
    here.customer_of_files("fabrikam", &[3, 4]);
    until("it is back", || here.names("fabrikam", "active") == persons(&[3, 4]));
    let added = here.events().iter().filter(|event| event["kind"] == "account.added").count();
    assert_eq!(added, 5);

    // A tree that breaks stops nobody else, and nobody is lost.
    here.write(
        "fabrikam.yaml",
        "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {name: fabrikam}\nspec: {direktories: []}\n",
    );
    here.people("contoso", &[1, 2, 5, 6]);
    until("the good one goes on", || here.names("contoso", "active") == persons(&[1, 2, 5, 6]));
    until("the broken one is told of", || here.status("fabrikam")["state"] == "invalid");
    assert_eq!(here.names("fabrikam", "active"), persons(&[3, 4]));
    controller.logs("fabrikam.yaml:4");
    controller.signal("TERM");
    controller.end().expect(0);
    here.expect_whole();
}
