//! One Samba domain over time: what is renamed, moved, deleted, made again and restored, and the
//! register that follows who people are.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::below_the_domain::installation;
use crate::support::intake::Installation;
use crate::support::ldif_text::LdifText;
use crate::support::process::run_with_input;
use crate::support::samba::{self, Samba};

const BASE: &str = samba::BASE;

/// A domain with twelve people in `OU=Staff` and one in `OU=Lab`.
fn domain() -> Samba {
    let samba = Samba::start();
    let mut ldif = LdifText::default();
    for unit in ["Staff", "Lab", "Elsewhere", "Groups", "More"] {
        ldif.entry(&format!("OU={unit},{BASE}"), &[("objectClass", "organizationalUnit")], &[]);
    }
    let names =
        ["anna", "bert", "carl", "dora", "emil", "fax", "gina", "hugo", "ines", "jona", "kurt", "lena"];
    for name in names {
        user(&mut ldif, name, "Staff");
    }
    user(&mut ldif, "mona", "Lab");
    user(&mut ldif, "nora", "Elsewhere");
    let crew: Vec<String> = names.iter().map(|name| format!("CN={name},OU=Staff,{BASE}")).collect();
    group(&mut ldif, "Crew", "OU=Groups", "crew", "-2147483646", &crew);
    group(&mut ldif, "News", "OU=Groups", "news", "2", &crew[..1]);
    group(&mut ldif, "In Users", "CN=Users", "inusers", "-2147483646", &crew[..1]);
    group(&mut ldif, "Twin", "OU=Groups", "twin1", "-2147483646", &crew[..1]);
    group(&mut ldif, "Twin", "OU=More", "twin2", "-2147483646", &crew[..1]);
    samba.load(&ldif.0);
    samba
}

fn user(ldif: &mut LdifText, name: &str, unit: &str) {
    let principal = format!("{name}@contoso.test");
    let texts = [
        ("objectClass", "user"),
        ("sAMAccountName", name),
        ("userPrincipalName", &principal),
        ("userAccountControl", "544"),
    ];
    ldif.entry(&format!("CN={name},OU={unit},{BASE}"), &texts, &[]);
}

fn group(ldif: &mut LdifText, name: &str, place: &str, account: &str, kind: &str, members: &[String]) {
    let mut texts = vec![("objectClass", "group"), ("sAMAccountName", account), ("groupType", kind)];
    texts.extend(members.iter().map(|member| ("member", member.as_str())));
    ldif.entry(&format!("CN={name},{place},{BASE}"), &texts, &[]);
}

fn rename(samba: &Samba, dn: &str, name: &str, place: &str) {
    samba.modify(&format!(
        "dn: {dn},{BASE}\nchangetype: modrdn\nnewrdn: {name}\ndeleteoldrdn: 1\nnewsuperior: {place}\n"
    ));
}

fn policy(here: &Installation, selection: &str, exclude: &str) {
    here.default_policy(&format!("selection: {selection}\nexclude: [{exclude}]\npasswordSync: false"));
}

fn over(samba: &Samba, selection: &str) -> Installation {
    let here = installation(BASE, &samba.url(), samba::ADMINISTRATOR, samba::PASSWORD);
    policy(&here, selection, "");
    here
}

/// What a plan would do (`remove anna`), and the codes of its findings.
fn planned(here: &Installation, code: i32) -> (BTreeSet<String>, BTreeSet<String>) {
    let plan = here.json(&["plan"], code);
    let customer = &plan["customers"][0];
    let texts = |list: &str, form: &dyn Fn(&Value) -> String| -> BTreeSet<String> {
        customer[list].as_array().expect("a list").iter().map(form).collect()
    };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let done = texts("operations", &|one| {
        format!("{} {}", text(&one["action"]), text(&one["account"]["samAccountName"]))
    });
    (done, texts("findings", &|one| text(&one["code"])))
}

fn set(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

/// objectGUIDs of the active accounts, and since when each is imported, by logon name.
fn active(here: &Installation) -> BTreeMap<String, (String, String)> {
    let accounts = here.accounts();
    let active = accounts.iter().filter(|account| account["state"] == "active");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    active
        .map(|one| (text(&one["samAccountName"]), (text(&one["directoryId"]), text(&one["importedAt"]))))
        .collect()
}

#[test]
fn names_and_places_change_and_people_stay_who_they_are() {
    let samba = domain();
    let here = over(&samba, "{organizationalUnits: [OU=Staff, OU=Lab]}");
    policy(&here, "{organizationalUnits: [OU=Staff, OU=Lab]}", "{account: fax, reason: a machine}");
    here.run(&["apply", "--yes"]).expect(0);
    let first = active(&here);
    assert_eq!(first.len(), 12, "all but the fax: {first:?}");

    // OUs: one is renamed, one moves.
    rename(&samba, "OU=Staff", "OU=Personnel", BASE);
    rename(&samba, "OU=Lab", "OU=Lab", &format!("OU=Elsewhere,{BASE}"));
    assert_eq!(planned(&here, 0), (set(&[]), set(&["scope-renamed"])));

    // People: one marries, one moves between selected OUs, the excluded one gets another name.
    rename(&samba, "CN=anna,OU=Personnel", "CN=Anna Smith", &format!("OU=Personnel,{BASE}"));
    samba.modify(&format!(
        "dn: CN=Anna Smith,OU=Personnel,{BASE}\nchangetype: modify\nreplace: sAMAccountName\nsAMAccountName: asmith\n-\n\
         replace: userPrincipalName\nuserPrincipalName: anna.smith@contoso.test\n"
    ));
    rename(&samba, "CN=bert,OU=Personnel", "CN=bert", &format!("OU=Lab,OU=Elsewhere,{BASE}"));
    rename(&samba, "CN=fax,OU=Personnel", "CN=fax2", &format!("OU=Personnel,{BASE}"));
    samba.modify(&format!(
        "dn: CN=fax2,OU=Personnel,{BASE}\nchangetype: modify\nreplace: sAMAccountName\nsAMAccountName: fax2\n-\n\
         replace: userPrincipalName\nuserPrincipalName: fax2@contoso.test\n"
    ));
    assert_eq!(planned(&here, 0), (set(&["update asmith"]), set(&["scope-renamed"])));
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(active(&here)["asmith"], first["anna"], "the same account, imported when it was");

    // One leaves and comes back; one is deleted and made again; one is deleted and restored.
    rename(&samba, "CN=carl,OU=Personnel", "CN=carl", &format!("OU=Elsewhere,{BASE}"));
    assert_eq!(planned(&here, 0).0, set(&["remove carl"]));
    here.run(&["apply", "--yes"]).expect(0);
    rename(&samba, "CN=carl,OU=Elsewhere", "CN=carl", &format!("OU=Personnel,{BASE}"));
    assert_eq!(planned(&here, 0).0, set(&["return carl"]));
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(active(&here)["carl"], first["carl"]);

    samba.modify(&format!("dn: CN=dora,OU=Personnel,{BASE}\nchangetype: delete\n"));
    let mut again = LdifText::default();
    user(&mut again, "dora", "Personnel");
    samba.load(&again.0);
    assert_eq!(planned(&here, 0).0, set(&["add dora", "remove dora"]), "somebody of the same name");

    let emil = samba.search(&["-b", &format!("CN=emil,OU=Personnel,{BASE}"), "-s", "base", "objectGUID"]);
    assert!(emil.contains("objectGUID:: "), "{emil}");
    samba.modify(&format!("dn: CN=emil,OU=Personnel,{BASE}\nchangetype: delete\n"));
    // Two are gone by now, and the limit of removals counts the one who came back.
    let (done, codes) = planned(&here, 3);
    assert_eq!(done, set(&["add dora", "hold dora", "hold emil"]));
    assert!(codes.contains("removal-limit"), "{codes:?}");
    let plan = here.json(&["plan"], 3);
    let approval = plan["customers"][0]["approval"].as_str().expect("a digest").to_owned();
    here.run(&["apply", "--yes", "--approve", &approval]).expect(0);
    assert_ne!(active(&here)["dora"], first["dora"]);
    restore(&samba, "emil");
    assert_eq!(planned(&here, 0).0, set(&["return emil"]), "who is restored is the same person");
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(active(&here)["emil"], first["emil"]);
    here.expect_whole();

    // Another domain with the same names is another source: nothing happens until somebody says so.
    let other = here.tree().join("contoso.yaml");
    let document = std::fs::read_to_string(&other).expect("a document");
    std::fs::write(&other, document.replace(&samba.url(), &Samba::shared().url())).expect("written");
    assert_eq!(planned(&here, 3), (set(&[]), set(&["source-changed"])));
}

/// Brings a deleted object back to where it was. The names that a deletion takes away come back with it.
fn restore(samba: &Samba, name: &str) {
    let url = samba.url();
    let mut command = Command::new("ldapmodify");
    let as_whom = ["-D", samba::ADMINISTRATOR, "-w", samba::PASSWORD];
    // The deleted object is addressed by its SID-less name: by a filter there is no way to modify.
    command.args(["-x", "-H", &url]).args(as_whom).args(["-e", "!1.2.840.113556.1.4.417"]);
    let deleted = samba.search(&[
        "-E",
        "!1.2.840.113556.1.4.417",
        "-b",
        &format!("CN=Deleted Objects,{BASE}"),
        &format!("(sAMAccountName={name})"),
        "dn",
    ]);
    let dn = deleted.lines().find(|line| line.starts_with("dn:")).expect("a deleted object");
    run_with_input(
        &mut command,
        &format!(
            "{dn}\nchangetype: modify\ndelete: isDeleted\n-\nreplace: distinguishedName\n\
             distinguishedName: CN={name},OU=Personnel,{BASE}\n"
        ),
    );
    samba.modify(&format!(
        "dn: CN={name},OU=Personnel,{BASE}\nchangetype: modify\nreplace: userPrincipalName\n\
         userPrincipalName: {name}@contoso.test\n-\nreplace: userAccountControl\nuserAccountControl: 544\n"
    ));
}

#[test]
fn groups_are_who_they_are_and_those_that_nobody_may_select_are_refused() {
    let samba = domain();
    let here = over(&samba, "{securityGroups: [Crew]}");
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(active(&here).len(), 12);

    // Selected by what nobody may select, each by what it is.
    for (selection, code) in [
        ("Domain Users", "builtin-group-refused"),
        ("Domain Admins", "builtin-group-refused"),
        ("Administrators", "builtin-group-refused"),
        ("In Users", "group-in-unsupported-container"),
        ("news", "scope-not-found"),
        ("No Such Group", "scope-not-found"),
        ("Twin", "scope-ambiguous"),
    ] {
        policy(&here, &format!("{{securityGroups: [\"{selection}\"]}}"), "");
        let (done, codes) = planned(&here, 3);
        assert_eq!((done, codes), (set(&[]), set(&[code])), "{selection}");
    }
    let twin = samba.search(&["-b", &format!("CN=Twin,OU=More,{BASE}"), "-s", "base", "cn"]);
    assert!(twin.contains("Twin"));
    // By its logon name or its DN, one of the twins is meant; nobody may go by it, as it has one member.
    policy(&here, &format!("{{securityGroups: [\"CN=Twin,OU=More,{BASE}\"]}}"), "");
    assert!(planned(&here, 3).1.contains("removal-limit"));

    // Renamed, the group stays the scope; a member of another forest is told of, and holds nothing.
    policy(&here, "{securityGroups: [Crew]}", "");
    rename(&samba, "CN=Crew,OU=Groups", "CN=Ship", &format!("OU=Groups,{BASE}"));
    samba.modify(&format!(
        "dn: CN=Ship,OU=Groups,{BASE}\nchangetype: modify\nreplace: sAMAccountName\nsAMAccountName: ship\n-\n\
         add: member\nmember: <SID=S-1-5-21-1-2-3-1104>\n-\n\
         delete: member\nmember: CN=anna,OU=Staff,{BASE}\n"
    ));
    let (done, codes) = planned(&here, 0);
    assert_eq!(done, set(&["remove anna"]));
    assert_eq!(codes, set(&["member-unreadable", "scope-renamed"]));
    here.run(&["apply", "--yes"]).expect(0);

    // Deleted, nobody goes, also not when another one has its old name.
    samba.modify(&format!("dn: CN=Ship,OU=Groups,{BASE}\nchangetype: delete\n"));
    assert_eq!(planned(&here, 3), (set(&[]), set(&["scope-not-found"])));
    let mut again = LdifText::default();
    group(&mut again, "Crew", "OU=Groups", "crew", "-2147483646", &[format!("CN=bert,OU=Staff,{BASE}")]);
    samba.load(&again.0);
    assert_eq!(planned(&here, 3), (set(&[]), set(&["scope-not-found"])));
    assert_eq!(active(&here).len(), 11);
}
