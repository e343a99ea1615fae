//! A customer with more than one domain.

use std::collections::BTreeSet;

use crate::support::intake::{Installation, snapshot_source};
use crate::support::ldif_text::{LdifText, guid};

/// A domain with people in `OU=Staff` and a group of them; `more` are further members of the group.
fn domain(name: &str, number: u64, people: &[&str], more: &[&str]) -> String {
    let base = format!("DC={name},DC=test");
    let domain_sid = |rid: Option<u32>| -> Vec<u8> {
        let mut octets = vec![1, if rid.is_some() { 5 } else { 4 }, 0, 0, 0, 0, 0, 5];
        let last = u32::try_from(number).expect("a number");
        [21, 7, 7, last].into_iter().chain(rid).for_each(|part: u32| octets.extend(part.to_le_bytes()));
        octets
    };
    let mut ldif = LdifText::default();
    ldif.entry(
        &base,
        &[("objectClass", "domainDNS"), ("dc", name)],
        &[("objectGUID", &guid(number)), ("objectSid", &domain_sid(None))],
    );
    let unit = format!("OU=Staff,{base}");
    ldif.entry(
        &unit,
        &[("objectClass", "organizationalUnit"), ("ou", "Staff")],
        &[("objectGUID", &guid(number + 1))],
    );
    let mut members: Vec<String> = more.iter().map(|dn| (*dn).to_owned()).collect();
    for (rid, person) in (1_100..).zip(people) {
        let dn = format!("CN={person},{unit}");
        let principal = format!("{person}@{name}.test");
        let texts = [
            ("objectClass", "user"),
            ("sAMAccountName", *person),
            ("userPrincipalName", principal.as_str()),
            ("userAccountControl", "512"),
        ];
        let octets =
            [("objectGUID", guid(number + u64::from(rid)).to_vec()), ("objectSid", domain_sid(Some(rid)))];
        let octets: Vec<(&str, &[u8])> =
            octets.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        ldif.entry(&dn, &texts, &octets);
        members.push(dn);
    }
    let mut texts = vec![("objectClass", "group"), ("cn", "Crew"), ("sAMAccountName", "crew")];
    texts.extend(members.iter().map(|member| ("member", member.as_str())));
    ldif.entry(&format!("CN=Crew,{unit}"), &texts, &[("objectGUID", &guid(number + 2))]);
    format!("# intake: begin\nversion: 1\n\n{}# intake: end\n", ldif.0)
}

fn installation(selection: &str) -> Installation {
    let here = Installation::new();
    here.write("main.ldif", &domain("contoso", 10_000, &["anna", "bert", "carl"], &[]));
    here.write("branch.ldif", &domain("branch", 20_000, &["anna", "dora"], &[]));
    here.write("contoso.json", r#"{"value": []}"#);
    let directories = "{name: main, ldif: {file: main.ldif}}, {name: branch, ldif: {file: branch.ldif}}";
    here.customer("contoso", "Contoso", directories, &snapshot_source("contoso"));
    here.default_policy(&format!("passwordSync: false\nselection: {selection}"));
    here
}

/// The user principal names of the active accounts.
fn active(here: &Installation) -> BTreeSet<String> {
    let accounts = here.accounts();
    let active = accounts.iter().filter(|account| account["state"] == "active");
    active.map(|account| account["userPrincipalName"].as_str().expect("a name").to_owned()).collect()
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_relative_ou_means_that_of_every_domain_and_an_absolute_one_its_own() {
    let all = [
        "anna@contoso.test",
        "bert@contoso.test",
        "carl@contoso.test",
        "anna@branch.test",
        "dora@branch.test",
    ];
    let here = installation("{organizationalUnits: [OU=Staff]}");
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(active(&here), names(&all), "two of one logon name are two people");
    let here = installation("{organizationalUnits: [\"OU=Staff,DC=branch,DC=test\"]}");
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(active(&here), names(&["anna@branch.test", "dora@branch.test"]));
}

#[test]
fn while_one_domain_cannot_be_read_nobody_of_either_goes() {
    let here = installation("{organizationalUnits: [OU=Staff]}");
    here.run(&["apply", "--yes"]).expect(0);
    let all = active(&here);
    here.write("main.ldif", &domain("contoso", 10_000, &["anna", "bert"], &[]));
    let branch = domain("branch", 20_000, &["anna", "dora"], &[]);
    here.write("branch.ldif", &branch[..branch.len() / 2]);
    here.run(&["apply", "--yes"]).expect(3);
    assert_eq!(active(&here), all);
    here.write("branch.ldif", &branch);
    here.run(&["apply", "--yes"]).expect(0);
    assert!(!active(&here).contains("carl@contoso.test"));
}

#[test]
fn a_member_of_another_domain_is_told_of_and_removals_wait() {
    let here = installation("{securityGroups: [\"CN=Crew,OU=Staff,DC=contoso,DC=test\"]}");
    here.run(&["apply", "--yes"]).expect(0);
    let all = active(&here);
    assert_eq!(all.len(), 3);
    let stranger = ["CN=dora,OU=Staff,DC=branch,DC=test"];
    here.write("main.ldif", &domain("contoso", 10_000, &["anna", "bert"], &stranger));
    let run = here.run(&["apply", "--yes"]).expect(3);
    assert!(run.stdout.contains("member-unreadable") && run.stdout.contains("CN=dora"), "{run:?}");
    assert_eq!(active(&here), all);
}

#[test]
fn one_domain_under_two_names_is_refused() {
    let here = installation("{organizationalUnits: [OU=Staff]}");
    here.write("branch.ldif", &domain("contoso", 10_000, &["anna"], &[]));
    let run = here.run(&["plan"]).expect(3);
    assert!(run.stdout.contains("they are the same domain"), "{run:?}");
}
