//! `discover`: what may be selected, as somebody who writes a policy sees it.

use std::fs;

use serde_json::{Value, json};

use crate::support::contoso;
use crate::support::intake::{Installation, Running, ldif_source};
use crate::support::ldif_text::{LdifText, guid, sid};
use crate::support::process::dead_port;
use crate::support::samba::{self, Samba};
use crate::support::slapd::{Slapd, SlapdOptions};

const QUICKSTART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/quickstart");
const TENANT: &str = "{snapshot: {file: nowhere.json}}";

/// A customer with one directory in a file, whose text this is.
fn with_directory(ldif: &str) -> Installation {
    let here = Installation::new();
    here.write("contoso.ldif", ldif);
    here.customer("contoso", "Contoso", &ldif_source("contoso"), TENANT);
    here
}

fn rows(found: &Value, key: &str) -> Vec<Value> {
    found[key].as_array().unwrap_or_else(|| panic!("no {key} in {found:#}")).clone()
}

fn row<'a>(rows: &'a [Value], field: &str, value: &str) -> &'a Value {
    rows.iter().find(|row| row[field] == value).unwrap_or_else(|| panic!("no {value} in {rows:#?}"))
}

/// Returns what stands in quotes in the rows of a table, as somebody would copy it.
fn quoted(table: &str) -> Vec<String> {
    let in_quotes = |line: &str| {
        let quote = line.find(['"', '\''])?;
        let end = line.rfind(&line[quote..=quote])?;
        Some(line[quote..=end].to_owned())
    };
    table.lines().filter_map(in_quotes).collect()
}

#[test]
fn the_quickstart_shows_its_units_with_their_users_and_how_many_there_are() {
    let here = Installation::new();
    let run = |arguments: &[&str]| {
        let command = [arguments, &["--customer", "contoso"]].concat();
        Running::of(here.command(&command).arg(QUICKSTART)).end().expect(0)
    };
    // Nora North has no objectGUID, and is a user account all the same.
    let expected = "\
DIRECT  SUBTREE  ORGANIZATIONAL UNIT
     2        2  \"OU=Admins\"
     1        1  \"OU=External\"
     8       26  \"OU=Staff\"
     7        7  \"OU=Finance,OU=Staff\"
     1        1  \"OU=Leavers,OU=Staff\"
    10       10  \"OU=Sales,OU=Staff\"
     4        5  \"OU=Warehouse\"
     1        1  \"OU=Night Shift,OU=Warehouse\"

8 organizational units, 34 user accounts. 4 others may not be selected: `--all` shows which and why.
";
    let shown = run(&["discover", "ous"]);
    assert_eq!((shown.stdout.as_str(), shown.stderr.as_str()), (expected, ""));

    let all = run(&["discover", "ous", "--all"]).stdout;
    let others: Vec<String> = all
        .lines()
        .filter(|line| line.contains("nobody") || line.contains("no user"))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let expected = [
        "3 3 CN=Users,DC=contoso,DC=test nobody is imported from this container (`unsupportedContainers`)",
        "0 0 \"OU=Devices\" no user accounts lie in it or below",
        "0 0 \"OU=Domain Controllers\" nobody is imported from this container (`unsupportedContainers`)",
        "0 0 \"OU=Groups\" no user accounts lie in it or below",
    ];
    assert_eq!(others, expected, "{all}");
    assert!(
        all.ends_with("8 organizational units, 34 user accounts. 4 others may not be selected.\n"),
        "{all}"
    );

    let searched = run(&["discover", "ous", "--search", "WAREhouse"]).stdout;
    assert!(
        searched.ends_with("\n2 of 8 organizational units fit `WAREhouse`, 5 user accounts.\n"),
        "{searched}"
    );
    let none = run(&["discover", "ous", "--search", "Munich"]).stdout;
    assert_eq!(none, "None of the 8 organizational units fits `Munich`.\n");
    let hidden = run(&["discover", "groups", "--search", "domain a"]).stdout;
    assert_eq!(
        hidden,
        "None of the 2 groups fits `domain a`. 1 other may not be selected: `--all` shows which and why.\n"
    );
    assert!(!here.state().exists(), "it needs no register");
}

#[test]
fn neither_the_tenant_nor_the_register_is_asked() {
    let here = with_directory(&contoso::few());
    fs::write(here.state(), "no store at all").expect("written");
    let found = here.json(&["discover", "groups", "--customer", "contoso"], 0);
    assert_eq!(
        found,
        json!({"groups": [{
            "directory": "main",
            "dn": "CN=Team,OU=Staff,DC=contoso,DC=test",
            "name": "Team",
            "samAccountName": null,
            "objectGuid": "61746e69-656b-2e2e-c800-000000000000",
            "entry": "Team",
            "members": 2,
            "people": 2,
            "selectable": true,
            "reason": null,
        }]})
    );
    assert_eq!(fs::read(here.state()).expect("read"), b"no store at all");
}

#[test]
fn exactly_one_customer_is_named_and_it_is_a_sound_one_of_the_tree() {
    let here = with_directory(&contoso::few());
    here.write(
        "broken.yaml",
        "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {name: broken}\nspec: {directorys: []}\n",
    );
    let failed = |arguments: &[&str]| here.run(&[&["discover", "ous"], arguments].concat()).expect(1);
    for (arguments, what, hint) in [
        (&[][..], "exactly one customer", "the tree has broken, contoso"),
        (&["--customer", "contoso", "--customer", "broken"], "exactly one customer", "--customer NAME"),
        (&["--customer", "contosso"], "no customer `contosso`", "did you mean `contoso`?"),
        (&["--customer", "broken"], "`broken` has errors", "directorys"),
    ] {
        let run = failed(arguments);
        assert!(run.stderr.contains(what) && run.stderr.contains(hint), "{run:?}");
        assert_eq!(run.stdout, "");
    }
    let run = here.run(&["discover", "ous", "--customer", "contoso"]).expect(0);
    assert_eq!(run.stderr, "", "what is wrong elsewhere is for `validate`");
}

#[test]
fn a_directory_that_cannot_be_read_is_told_of_and_the_others_are_shown() {
    let mut here = Installation::new();
    here.write("main.ldif", &contoso::few());
    let whole = contoso::few();
    here.write("cut.ldif", &whole[..whole.len() / 2]);
    let dead = here.ldap_source("contoso", &format!("ldap://127.0.0.1:{}", dead_port()));
    let named = |name: &str, source: &str| source.replacen('{', &format!("{{name: {name}, "), 1);
    let sources =
        [named("main", &ldif_source("main")), named("cut", &ldif_source("cut")), named("dead", &dead)];
    here.customer("contoso", "Contoso", &sources.join(", "), TENANT);
    let run = here.run(&["discover", "ous", "--customer", "contoso", "--max-wait", "1s"]).expect(3);
    assert_eq!(
        run.stdout,
        "DIRECTORY  DIRECT  SUBTREE  ORGANIZATIONAL UNIT\n\
         main            2        2  \"OU=Staff,DC=contoso,DC=test\"\n\n\
         1 organizational unit, 2 user accounts.\n",
        "the others may have an OU of the same name: {run:?}"
    );
    for told in ["error: the directory `cut` of `contoso`: ", "error: the directory `dead` of `contoso`: "] {
        assert!(run.stderr.contains(told), "{told} in {run:?}");
    }
    assert!(run.stderr.contains("hint: nothing of a directory is listed until"), "{run:?}");

    let found = here.json(&["discover", "groups", "--customer", "contoso", "--max-wait", "1s"], 3);
    assert_eq!(found["groups"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&found["groups"][0]["directory"], &found["groups"][0]["entry"]),
        (&json!("main"), &json!("CN=Team,OU=Staff,DC=contoso,DC=test"))
    );
}

#[test]
fn nothing_is_said_of_a_customer_whose_only_directory_cannot_be_read() {
    let whole = contoso::few();
    let here = with_directory(&whole[..whole.len() / 2]);
    let run = here.run(&["discover", "groups", "--customer", "contoso", "--search", "team"]).expect(3);
    assert_eq!(run.stdout, "", "that none fits is not known");
    assert!(run.stderr.contains("contoso.ldif"), "{run:?}");
    assert_eq!(here.json(&["discover", "groups", "--customer", "contoso"], 3), json!({"groups": []}));
}

#[test]
fn a_customer_without_a_directory_has_nothing_to_select() {
    let here = Installation::new();
    here.customer("contoso", "Contoso", "", TENANT);
    let run = here.run(&["discover", "ous", "--customer", "contoso"]).expect(0);
    assert!(run.stdout.contains("no directory"), "{run:?}");
    assert_eq!(
        here.json(&["discover", "ous", "--customer", "contoso"], 0),
        json!({"organizationalUnits": []})
    );
}

/// Names that a shell, YAML, a DN or a terminal would read in another way.
const AWKWARD: [&str; 9] = [
    "Doe, Jane",
    "#1 # two: three",
    " leading and trailing ",
    "it's \"quoted\" \\ {x: [1]}",
    "a+b;c<d>e=f",
    "München 東京",
    "turned\u{202e}round\u{200b}",
    "line\nbreak\u{1b}[31m",
    "\u{a0}wide\u{a0}",
];

/// A domain with a user, and a group of that user, in an OU of each awkward name.
fn awkward() -> String {
    let mut ldif = LdifText::default();
    contoso::domain(&mut ldif);
    for (number, name) in (1_u32..).zip(AWKWARD) {
        let spelled: String = name.bytes().map(|byte| format!("\\{byte:02X}")).collect();
        let unit = format!("OU={spelled},DC=contoso,DC=test");
        contoso::unit(&mut ldif, &unit, name, 1_000 + u64::from(number));
        let user = format!("CN=User {number},{unit}");
        contoso::user(&mut ldif, &user, &format!("user{number}"), 2_000 + number);
        let texts = [("objectClass", "group"), ("cn", name), ("groupType", "-2147483646"), ("member", &user)];
        let octets =
            [("objectGUID", &guid(3_000 + u64::from(number))[..]), ("objectSid", &sid(Some(3_000 + number)))];
        ldif.entry(&format!("CN={spelled},{unit}"), &texts, &octets);
    }
    ldif.0
}

#[test]
fn what_is_printed_can_be_pasted_into_a_policy_and_selects_the_same_people() {
    let here = with_directory(&awkward());
    here.write("contoso.json", &json!({"value": []}).to_string());
    here.customer("contoso", "Contoso", &ldif_source("contoso"), "{snapshot: {file: contoso.json}}");
    for (what, field) in [("ous", "organizationalUnits"), ("groups", "securityGroups")] {
        let run = here.run(&["discover", what, "--customer", "contoso"]).expect(0);
        assert!(!run.stdout.contains(['\u{1b}', '\u{202e}', '\u{200b}']), "{run:?}");
        let entries = quoted(&run.stdout);
        assert_eq!(entries.len(), AWKWARD.len(), "{run:?}");
        let forms = [
            format!("[{}]", entries.join(", ")),
            entries.iter().map(|entry| format!("\n      - {entry}")).collect(),
        ];
        for list in forms {
            here.write(
                "policy.yaml",
                &format!(
                    "apiVersion: intake.dev/v1\nkind: ImportPolicy\nmetadata: {{name: all}}\nspec:\n  accountType: Administrator\n  \
                     default: true\n  selection:\n    {field}: {list}\n"
                ),
            );
            let plan = here.json(&["plan"], 0);
            let mut added: Vec<&str> = rows_of_plan(&plan).iter().filter_map(|name| name.as_str()).collect();
            added.sort_unstable();
            let everybody: Vec<String> = (1..=AWKWARD.len()).map(|number| format!("user{number}")).collect();
            assert_eq!(added, everybody, "{list}");
        }
    }
}

fn rows_of_plan(plan: &Value) -> Vec<&Value> {
    let operations = plan["customers"][0]["operations"].as_array().expect("a list");
    operations.iter().map(|operation| &operation["account"]["samAccountName"]).collect()
}

#[test]
fn hostile_names_are_inert_in_every_output() {
    let here = with_directory(&awkward());
    for arguments in [
        &["discover", "ous", "--all"][..],
        &["discover", "groups", "--all", "--search", "\u{202e}round"],
        &["discover", "groups", "--search", "\u{1b}[32mnobody"],
        &["discover", "ous", "--format", "json"],
    ] {
        let run = here.run(&[arguments, &["--customer", "contoso"]].concat()).expect(0);
        let is_active = |character: char| {
            character != '\n' && (character.is_control() || "\u{202e}\u{200b}".contains(character))
        };
        assert!(!run.stdout.contains(is_active), "{arguments:?}: {:?}", run.stdout);
    }
    let found = here.json(&["discover", "groups", "--customer", "contoso", "--search", "ROUND\u{200b}"], 0);
    assert_eq!(found["groups"][0]["name"], "turned\u{202e}round\u{200b}", "the data are exact");
}

#[test]
fn a_directory_over_ldap_shows_what_it_holds() {
    let slapd = Slapd::start(&contoso::everything(), &SlapdOptions::default());
    let mut here = Installation::new();
    let source = here.ldap_source("contoso", &slapd.url());
    here.customer("contoso", "Contoso", &source, TENANT);
    let found = here.json(&["discover", "ous", "--customer", "contoso", "--all"], 0);
    let units: Vec<Value> = rows(&found, "organizationalUnits")
        .iter()
        .map(|unit| json!([unit["entry"], unit["directUsers"], unit["subtreeUsers"], unit["selectable"]]))
        .collect();
    // Jane, John, four flawed records and two without a usable objectGUID; the trust account is no person.
    let expected = [
        json!(["OU=People", 0, 0, false]),
        json!(["OU=Staff", 8, 9, true]),
        json!(["OU=München,OU=Staff", 1, 1, true]),
    ];
    assert_eq!(units, expected, "{found:#}");

    let found = here.json(&["discover", "groups", "--customer", "contoso", "--all"], 0);
    let groups: Vec<Value> = rows(&found, "groups")
        .iter()
        .map(|group| json!([group["entry"], group["members"], group["people"], group["reason"]]))
        .collect();
    let builtin = "built-in and default groups are never imported from";
    let expected = [
        // Not by its SID, which it has none of: it was made by the system, as its groupType says.
        json!(["Administrators", 0, 0, builtin]),
        // Zoe and John say so by their primaryGroupID, and Jane too; no list holds them.
        json!(["Domain Users", 3, 3, builtin]),
        json!(["News", 0, 0, "this is a distribution group, and no security group"]),
        json!(["TeamSam", 9, 3, null]),
        json!(["Temps", 1, 1, null]),
    ];
    assert_eq!(groups, expected, "{found:#}");
}

#[test]
fn a_domain_controller_offers_none_of_its_own_groups() {
    let samba = Samba::shared();
    let base = samba::BASE;
    // No user is made: other tests count them.
    samba.modify(&format!(
        "dn: OU=Discover,{base}\nchangetype: add\nobjectClass: organizationalUnit\n\n\
         dn: OU=Doe\\, Jane \\#1,OU=Discover,{base}\nchangetype: add\nobjectClass: organizationalUnit\n\n\
         dn: CN=Discovered,OU=Discover,{base}\nchangetype: add\nobjectClass: group\nsAMAccountName: discovered\n\
         member: CN=Administrator,CN=Users,{base}\nmember: CN=Guest,CN=Users,{base}\n\n\
         dn: CN=Bulletin,OU=Discover,{base}\nchangetype: add\nobjectClass: group\nsAMAccountName: bulletin\ngroupType: 2\n\n"
    ));
    let mut here = Installation::new();
    here.secret("INTAKE_SECRET_CONTOSO__LDAP", samba::PASSWORD);
    let source = format!(
        "{{ldap: {{urls: [\"{}\"], bind: {{dn: {}, passwordFrom: {{env: INTAKE_SECRET_CONTOSO__LDAP}}}}}}}}",
        samba.url(),
        samba::ADMINISTRATOR
    );
    here.customer("contoso", "Contoso", &source, TENANT);

    let found = here.json(&["discover", "groups", "--customer", "contoso", "--all"], 0);
    let groups = rows(&found, "groups");
    for name in ["Domain Users", "Domain Admins", "Administrators", "Users", "Account Operators"] {
        let group = row(&groups, "name", name);
        assert_eq!((&group["selectable"], group["reason"].is_string()), (&json!(false), true), "{group:#}");
    }
    assert!(row(&groups, "name", "Domain Users")["people"].as_u64() >= Some(3), "its primary members");
    let discovered = row(&groups, "name", "Discovered");
    assert_eq!(
        (&discovered["entry"], &discovered["members"], &discovered["people"], &discovered["selectable"]),
        (&json!("discovered"), &json!(2), &json!(2), &json!(true))
    );
    let bulletin = row(&groups, "name", "Bulletin");
    assert!(
        bulletin["reason"].as_str().is_some_and(|why| why.contains("distribution group")),
        "{bulletin:#}"
    );

    let run = here.run(&["discover", "groups", "--customer", "contoso"]).expect(0);
    assert!(run.stdout.contains("\"discovered\"") && !run.stdout.contains("Domain"), "{run:?}");

    let found = here.json(&["discover", "ous", "--customer", "contoso", "--all"], 0);
    let units = rows(&found, "organizationalUnits");
    let users = row(&units, "dn", &format!("CN=Users,{base}"));
    assert_eq!((&users["selectable"], &users["entry"]), (&json!(false), &Value::Null), "{users:#}");
    assert!(users["directUsers"].as_u64() >= Some(3), "Administrator, Guest and krbtgt: {users:#}");
    let doe =
        units.iter().find(|unit| unit["dn"].as_str().is_some_and(|dn| dn.contains("Jane"))).expect("an OU");
    assert_eq!(doe["entry"], "OU=Doe\\, Jane #1,OU=Discover");
    assert_eq!(doe["reason"], "no user accounts lie in it or below");
}
