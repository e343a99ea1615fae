//! Policy trees: what they mean, and everything that can be wrong with them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use intake::adapters::folder;
use intake::config::operator::{self, OperatorFault};
use intake::model::account::AccountType::{self, Administrator, EndUser};
use intake::model::contact::ContactKind;
use intake::model::duration::Seconds;
use intake::policy::check::{Checked, TreeFile, check};
use intake::policy::fleet::{Import, Imports, Selection};
use intake::policy::limits::{ConnectionKind, Limits, Permit};

mod tenant_only;

/// Limits with one connection.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.connections.insert("partner-app".into(), ConnectionKind::Graph);
    limits
}

fn tree(files: &[(&str, &str)]) -> Vec<TreeFile> {
    files
        .iter()
        .map(|(path, text)| TreeFile { path: PathBuf::from(path), content: Ok(text.as_bytes().to_vec()) })
        .collect()
}

fn checked(files: &[(&str, &str)]) -> Checked {
    check(&tree(files), &limits())
}

/// A customer with nothing special; `more` are further lines of its spec.
fn customer(name: &str, labels: &str, more: &str) -> String {
    format!(
        "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {{name: {name}, labels: {{{labels}}}}}\nspec:\n  directories: [{{ldif: {{file: {name}.ldif}}}}]\n{more}"
    )
}

/// A policy; `more` are further lines of its spec.
fn policy(name: &str, account_type: &str, more: &str) -> String {
    format!(
        "apiVersion: intake.dev/v1\nkind: ImportPolicy\nmetadata: {{name: {name}}}\nspec:\n  accountType: {account_type}\n{more}"
    )
}

const STAFF: &str = "  selection: {organizationalUnits: [\"OU=Staff\"]}\n";

fn problems(checked: &Checked) -> Vec<String> {
    checked.problems.iter().map(ToString::to_string).collect()
}

fn sound(checked: &Checked) {
    assert_eq!(problems(checked), Vec::<String>::new());
}

/// Asserts that there is a problem at `file:line:column` whose text holds some words.
fn has(checked: &Checked, at: &str, words: &str) {
    let all = problems(checked);
    let found = all.iter().any(|problem| problem.starts_with(&format!("{at}: ")) && problem.contains(words));
    assert!(found, "no `{words}` at {at} in:\n{}", all.join("\n"));
}

fn imports<'a>(checked: &'a Checked, name: &str, account_type: AccountType) -> Option<&'a Imports> {
    checked
        .fleet
        .customers
        .get(name)
        .unwrap_or_else(|| panic!("no customer {name}"))
        .imports
        .get(&account_type)
}

fn valid<'a>(checked: &'a Checked, name: &str, account_type: AccountType) -> &'a [Import] {
    match imports(checked, name, account_type) {
        Some(Imports::Valid(imports)) => imports,
        other => panic!("{name} {account_type}: {other:?}\n{}", problems(checked).join("\n")),
    }
}

fn policies_of(checked: &Checked, name: &str, account_type: AccountType) -> Vec<String> {
    valid(checked, name, account_type).iter().map(|import| import.policy.to_string()).collect()
}

fn is_invalid(checked: &Checked, name: &str, account_type: AccountType) -> bool {
    matches!(imports(checked, name, account_type), Some(Imports::Invalid(why)) if !why.is_empty())
}

#[test]
fn a_tree_with_thirty_mistakes_names_every_place() {
    let files = [
        (
            "customers/contoso.yaml",
            r#"# Größe: ä comment with multi-byte text
apiVersion: intake.dev/v1
kind: Customer
metadata: {name: contoso, labels: {tier: 1}}
spec:
  displayNme: Contoso
  suspend: yes
  directories:
    - ldap:
        urls: [ldap://dc1.contoso.test]
        baseDn: DC=contoso,test
        pageSize: many
        bind: {dn: "CN=svc,DC=contoso,DC=test", passwordFrom: {env: HOME}}
        timeout: 1x
        caFile: ../../ca.pem
      ldif: {file: a.ldif}
  tenant: {}
  documentation: [{connection: glue, organizationId: 1234}]
  approve: ["sha256:12"]
  protect: ["CN=x,DC=y"]
  exclude: [{account: fax, securityGroup: Fax}, {account: old, until: 2027-13-01}]
  matches: [{account: "j*", system: tenant, id: "x"}, {account: jane, system: gleu, id: "1"}]
"#,
        ),
        (
            "policies.yaml",
            r#"apiVersion: intake.dev/v1
kind: ImportPolicy
metadata: {name: "Staff_1"}
spec:
  accountType: EndUser
  customers: {names: [contoso, contosso]}
  selection: {securityGroups: [], organizationalUnits: ["Staff"]}
---
apiVersion: intake.dev/v2
kind: ImportPolcy
metadata: {name: admins}
spec:
  accountType: Admin
  description: "Ümläute"
  selection: {securityGroups: ["{12345678-1234-1234-1234-12345678901}"]}
  excludePrivileged: true
  licenses: {anyOf: ["Microsoft 365 E3"]}
  match: {keys: [mail, upn, mail]}
  removal: {maxPercent: 101, maxPercent: 5, grace: 3}
  removal: {}
---
apiVersion: intake.dev/v1
kind: ImportOptions
metadata: {name: standard}
spec: {accountType: EndUser, interval: 30s, publish: [hr-app]}
---
kind: [Customer]
specs: {}
"#,
        ),
    ];
    let checked = checked(&files);
    let expected = [
        ("customers/contoso.yaml:4:42", "expected text, found the number `1`"),
        ("customers/contoso.yaml:6:3", "did you mean `displayName`?"),
        ("customers/contoso.yaml:7:12", "did you mean `true`?"),
        ("customers/contoso.yaml:10:16", "in plain text"),
        ("customers/contoso.yaml:11:28", "malformed DN"),
        ("customers/contoso.yaml:12:19", "expected a whole number, found the text `many`"),
        ("customers/contoso.yaml:13:63", "does not let `contoso` name the secret env HOME"),
        ("customers/contoso.yaml:14:18", "malformed duration"),
        ("customers/contoso.yaml:15:17", "leaves the tree"),
        ("customers/contoso.yaml:16:7", "exactly one of `ldap`, `ldif`"),
        ("customers/contoso.yaml:17:11", "exactly one of `graph`, `snapshot`"),
        ("customers/contoso.yaml:18:54", "put it in quotes: \"1234\""),
        ("customers/contoso.yaml:19:13", "malformed digest"),
        ("customers/contoso.yaml:20:13", "not named by its DN"),
        ("customers/contoso.yaml:21:28", "exactly one of `account`"),
        ("customers/contoso.yaml:21:71", "malformed date"),
        ("customers/contoso.yaml:22:23", "takes no wildcards"),
        ("customers/contoso.yaml:22:79", "no system `gleu` (help: did you mean `glue`?)"),
        ("policies.yaml:3:18", "did you mean `staff-1`?"),
        ("policies.yaml:7:31", "this list is empty"),
        ("policies.yaml:7:35", "exactly one of `organizationalUnits`, `securityGroups`"),
        ("policies.yaml:7:57", "did you mean `OU=Staff`?"),
        ("policies.yaml:9:13", "did you mean `intake.dev/v1`?"),
        ("policies.yaml:10:7", "did you mean `ImportPolicy`?"),
        ("policies.yaml:13:16", "did you mean `Administrator`?"),
        ("policies.yaml:15:32", "malformed GUID"),
        ("policies.yaml:17:22", "malformed SKU"),
        ("policies.yaml:18:24", "`upn` is no match key"),
        ("policies.yaml:19:25", "101 is out of range: from 0 to 100"),
        ("policies.yaml:19:30", "`maxPercent` is here twice"),
        ("policies.yaml:19:52", "malformed duration"),
        ("policies.yaml:20:3", "`removal` is here twice"),
        ("policies.yaml:25:40", "`interval` is 30s, and must be 1m at least"),
        ("policies.yaml:25:55", "there is no target `hr-app`"),
        ("policies.yaml:27:7", "expected one of Customer"),
        ("policies.yaml:28:1", "did you mean `spec`?"),
    ];
    for (at, words) in expected {
        has(&checked, at, words);
    }
    assert!(!checked.fleet.names_are_known, "the last document told neither kind nor name");
    assert!(!checked.fleet.customers["contoso"].invalid.is_empty());
}

#[test]
fn places_are_exact_behind_line_breaks_of_windows_a_byte_order_mark_and_multi_byte_text() {
    let text = "\u{feff}apiVersion: intake.dev/v1\r\nkind: Customr\r\nmetadata: {name: ä}\r\nspec: {displayName: \"日本語\", suspnd: true}\r\n---\r\n# ü\r\nkind: Custmer\r\n";
    let checked = checked(&[("a.yaml", text)]);
    has(&checked, "a.yaml:2:7", "`Customr` is no kind");
    has(&checked, "a.yaml:3:18", "malformed name");
    has(&checked, "a.yaml:4:28", "unknown key `suspnd`");
    has(&checked, "a.yaml:7:7", "`Custmer` is no kind");
    let problem = checked.problems.iter().find(|problem| problem.what.contains("suspnd")).expect("it");
    assert_eq!(&text.as_bytes()[problem.span.clone()], b"suspnd", "the span counts the file's bytes");
    assert_eq!(problem.excerpt.text, "spec: {displayName: \"日本語\", suspnd: true}");
    assert_eq!(&problem.excerpt.text[problem.excerpt.mark.clone()], "suspnd");
    let drawn = problem.render(false);
    assert!(drawn.contains("--> a.yaml:4:28") && drawn.contains("help: did you mean `suspend`?"), "{drawn}");
}

#[test]
fn a_syntax_error_hides_no_other_document() {
    let broken = [
        ("a tab", "kind: Customer\nspec:\n\ta: 1\n"),
        ("an open quote", "kind: Customer\nspec: \"open\n"),
        ("an open list", "kind: Customer\nspec: [a, b\n"),
        ("an open mapping", "kind: Customer\nspec: {a: b\n"),
        ("a stray bracket", "kind: Customer\nspec: ]\n"),
        ("two values", "kind: Customer\nspec: a: b\n"),
        ("an unknown alias", "kind: Customer\nspec: *nobody\n"),
        ("a tag", "kind: Customer\nspec: !!python/object x\n"),
        ("a block text", "kind: Customer\nspec: |\n  text\n bad\n"),
    ];
    for (what, text) in broken {
        let text = format!("{text}---\n{}", customer("fine", "", ""));
        let checked = checked(&[("a.yaml", &text)]);
        assert!(!checked.problems.is_empty(), "{what}");
        assert!(checked.problems.iter().all(|problem| problem.line <= 5), "{what}: {:#?}", checked.problems);
        assert!(checked.fleet.customers.contains_key("fine"), "{what}");
        assert_eq!(checked.fleet.customers["fine"].invalid, Vec::<String>::new(), "{what}");
        assert!(!checked.fleet.names_are_known, "{what}");
    }
    let checked = checked(&[("a.yaml", "kind: Customer\nspec:\n\t- a\n")]);
    has(&checked, "a.yaml:3:1", "a tab indents this line");
}

#[test]
fn files_that_are_no_text_or_too_much_are_told_and_others_are_read() {
    let fine = customer("fine", "", "");
    let file = |path: &str, content: Result<Vec<u8>, String>| TreeFile { path: path.into(), content };
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in "bcdefghij".chars().zip("abcdefghi".chars()) {
        bomb.push_str(&format!("{name}: &{name} [{}]\n", format!("*{before}, ").repeat(9)));
    }
    let files = [
        file("fine.yaml", Ok(fine.into_bytes())),
        file("latin1.yaml", Ok(b"kind: Customer\nmetadata: {name: m\xfcller}\n".to_vec())),
        file("utf16.yaml", Ok(vec![0xff, 0xfe, b'k', 0, b'i', 0])),
        file("unreadable.yaml", Err("permission denied".to_owned())),
        file("large.yaml", Ok(vec![b'#'; 4 * 1024 * 1024 + 1])),
        file("bomb.yaml", Ok(bomb.into_bytes())),
        file("deep.yaml", Ok("[".repeat(100_000).into_bytes())),
        file("empty.yaml", Ok(Vec::new())),
        file("comment.yaml", Ok(b"# nothing\n".to_vec())),
        file("marker.yaml", Ok(b"---\n".to_vec())),
        file("list.yaml", Ok(b"- a\n- b\n".to_vec())),
        file("self.yaml", Ok(b"kind: &a [*a]\n".to_vec())),
        file("merge.yaml", Ok(b"a: &a {kind: Customer}\n<<: *a\n".to_vec())),
        file("nul.yaml", Ok(b"kind: \0\n".to_vec())),
    ];
    let checked = check(&files, &limits());
    has(&checked, "latin1.yaml:2:19", "this is not UTF-8");
    has(&checked, "utf16.yaml:1:1", "this file is UTF-16");
    has(&checked, "unreadable.yaml:1:1", "cannot be read: permission denied");
    has(&checked, "large.yaml:1:1", "larger than 4 MiB");
    has(&checked, "bomb.yaml:6:8", "more than 100000 values");
    has(&checked, "deep.yaml:1:49", "more than 48 levels deep");
    has(&checked, "list.yaml:1:1", "expected a mapping");
    has(&checked, "self.yaml:1:11", "inside of what it stands for");
    has(&checked, "merge.yaml:2:1", "merge keys");
    has(&checked, "nul.yaml:1:7", "this is no YAML");
    for path in ["fine.yaml", "empty.yaml", "comment.yaml", "marker.yaml"] {
        assert!(checked.problems.iter().all(|problem| problem.file != path), "{path}");
    }
    assert!(checked.fleet.customers.contains_key("fine"));
    assert!(!checked.fleet.names_are_known);
}

#[test]
fn aliases_within_bounds_are_what_they_stand_for() {
    let text = "apiVersion: intake.dev/v1\nkind: ImportPolicy\nmetadata: {name: staff}\nspec:\n  accountType: EndUser\n  customers: {names: &names [contoso]}\n  selection: {organizationalUnits: &units [\"OU=Staff\"], optional: *units}\n";
    let checked = checked(&[("p.yaml", text), ("c.yaml", &customer("contoso", "", ""))]);
    sound(&checked);
    let Selection::OrganizationalUnits(units) = &valid(&checked, "contoso", EndUser)[0].selection else {
        panic!("groups")
    };
    assert_eq!(units.iter().map(|unit| unit.optional).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_file_of_ten_thousand_lines_is_read_to_its_last() {
    let mut text = String::new();
    for number in 0..1_250 {
        text.push_str(&customer(&format!("c{number}"), "tier: a", "  suspend: true\n"));
        text.push_str("---\n");
    }
    let lines = text.lines().count();
    assert!(lines > 7_000);
    text.push_str("kind: Custome\n");
    let checked = checked(&[("a.yaml", &text)]);
    assert_eq!(checked.fleet.customers.len(), 1_250);
    has(&checked, &format!("a.yaml:{}:7", lines + 1), "`Custome` is no kind");
}

#[test]
fn problems_of_one_file_are_bounded() {
    let mut text = customer("contoso", "", "");
    for number in 0..5_000 {
        text.push_str(&format!("  key{number}: 1\n"));
    }
    let checked = checked(&[("a.yaml", &text)]);
    assert_eq!(checked.problems.len(), 1_001);
    assert!(problems(&checked)[1_000].contains("4000 more problems of this file are not shown"));
}

#[test]
fn a_document_is_broken_also_by_a_problem_that_is_not_shown() {
    let mut text = customer("contoso", "", "");
    for number in 0..1_500 {
        text.push_str(&format!("  key{number}: 1\n"));
    }
    text.push_str("---\n");
    text.push_str(&customer("fabrikam", "", "  tenan: {}\n"));
    let files = [("a.yaml", text.as_str()), ("p.yaml", &policy("staff", "EndUser", STAFF))];
    let checked = checked(&files);
    assert!(problems(&checked).iter().any(|problem| problem.contains("501 more problems")), "one besides");
    let fabrikam = &checked.fleet.customers["fabrikam"];
    assert!(!fabrikam.invalid.is_empty(), "{fabrikam:?}");
}

/// Each wrong name is compared with all right ones, and a tree may hold very many of both.
#[test]
fn names_that_are_none_are_all_told_and_what_was_meant_of_a_bounded_number() {
    let mut customers = String::new();
    for number in 0..1_200 {
        customers.push_str(&customer(&format!("c{number}"), "", ""));
        customers.push_str("---\n");
    }
    let unknown = |letter: &str| {
        let names: Vec<String> = (0..900).map(|number| format!("{letter}{number}")).collect();
        policy(letter, "EndUser", &format!("{STAFF}  customers: {{names: [{}]}}\n", names.join(", ")))
    };
    let files = [("c.yaml", customers.as_str()), ("x.yaml", &unknown("x")), ("y.yaml", &unknown("y"))];
    let checked = checked(&files);
    assert_eq!(checked.problems.len(), 1_800);
    let helped = checked.problems.iter().filter(|problem| problem.help.is_some()).count();
    assert_eq!(helped, 1_000_000 / 1_200);
}

#[test]
fn hostile_names_are_inert_in_every_form_of_a_problem() {
    let text = "kind: \"Customer\u{202e}\u{1b}[31m\"\n\"\\e[31mkey\": 1 # \u{1b}[0m\u{2066}\n";
    let checked = checked(&[("a\u{1b}[2J\n.yaml", text)]);
    assert!(!checked.problems.is_empty());
    for problem in &checked.problems {
        let json = serde_json::to_string(problem).expect("JSON");
        for form in [problem.to_string(), problem.render(false), json] {
            let active =
                |character: char| character == '\u{1b}' || ('\u{202a}'..='\u{2069}').contains(&character);
            assert!(!form.contains(active), "{form:?}");
        }
    }
}

#[test]
fn defaults_are_those_of_the_contract() {
    let files = [
        ("c.yaml", customer("contoso", "tier: standard", "  exclude: [{account: Fax@Contoso.test}]\n")),
        ("p.yaml", policy("staff", "EndUser", &format!("  customers: {{names: [contoso]}}\n{STAFF}"))),
        (
            "a.yaml",
            policy(
                "admins",
                "Administrator",
                "  customers: {matchLabels: {tier: standard}}\n  selection: {securityGroups: [Admins]}\n",
            ),
        ),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let checked = checked(&files);
    sound(&checked);
    let staff = &valid(&checked, "contoso", EndUser)[0];
    assert_eq!(staff.policy, "staff");
    assert!(staff.password_sync && staff.exclude_privileged && !staff.include_disabled);
    assert_eq!(staff.unsupported_containers.len(), 12);
    assert_eq!(staff.match_keys.len(), 4);
    assert_eq!(staff.exclude.len(), 1, "the customer's own exclusion");
    let removal = staff.removal;
    assert_eq!((removal.grace, removal.window), (Seconds(0), Seconds(86_400)));
    assert_eq!((removal.max_percent, removal.max_count, removal.min_count), (10, 25, 2));
    assert_eq!((removal.max_shrink_percent, removal.allow_empty), (30, false));
    let admins = &valid(&checked, "contoso", Administrator)[0];
    assert!(!admins.password_sync && !admins.exclude_privileged);
    let contoso = &checked.fleet.customers["contoso"];
    assert_eq!(contoso.display_name, "contoso");
    assert_eq!(contoso.options[&EndUser].interval, Seconds(3 * 3_600));
    assert_eq!(contoso.directories[0].name, "main");
    assert!(checked.fleet.names_are_known);
    assert!(checked.fleet.revision.starts_with("sha256:"));
}

#[test]
fn the_revision_depends_on_names_and_contents_and_not_on_order() {
    let (a, b) = (customer("a", "", ""), customer("b", "", ""));
    let revision = |files: &[(&str, &str)]| checked(files).fleet.revision;
    let one = revision(&[("a.yaml", &a), ("b.yaml", &b)]);
    assert_eq!(one, revision(&[("b.yaml", &b), ("a.yaml", &a)]));
    assert_ne!(one, revision(&[("a.yaml", &a), ("c.yaml", &b)]));
    assert_ne!(one, revision(&[("a.yaml", &a), ("b.yaml", &customer("b", "", "  suspend: true\n"))]));
}

#[test]
fn precedence_is_own_block_then_naming_policies_then_the_default() {
    let named = policy("named", "EndUser", &format!("  customers: {{names: [by-name]}}\n{STAFF}"));
    let labelled = policy(
        "labelled",
        "EndUser",
        &format!("  customers: {{matchLabels: {{tier: gold, eu: \"1\"}}}}\n{STAFF}"),
    );
    let empty =
        policy("empty", "EndUser", &format!("  customers: {{names: [], matchLabels: {{}}}}\n{STAFF}"));
    let default = policy("fallback", "EndUser", &format!("  default: true\n{STAFF}"));
    let block = "  endUsers: {selection: {securityGroups: [Own]}}\n";
    let based = "  endUsers: {policy: named, selection: {securityGroups: [Own]}, removal: {maxCount: 3}}\n";
    let files = [
        ("p1.yaml", named),
        ("p2.yaml", labelled),
        ("p3.yaml", empty),
        ("p4.yaml", default),
        ("c1.yaml", customer("by-name", "", "")),
        ("c2.yaml", customer("by-label", "tier: gold, eu: \"1\", more: x", "")),
        ("c3.yaml", customer("half-labelled", "tier: gold", "")),
        ("c4.yaml", customer("own", "", block)),
        ("c5.yaml", customer("based", "", based)),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let checked = checked(&files);
    sound(&checked);
    let of = |name| policies_of(&checked, name, EndUser);
    assert_eq!(of("by-name"), ["named"]);
    assert_eq!(of("by-label"), ["labelled"]);
    assert_eq!(of("half-labelled"), ["fallback"], "several labels must all match");
    assert_eq!(of("own"), ["customer/own"]);
    assert_eq!(of("based"), ["customer/based"]);
    let based = &valid(&checked, "based", EndUser)[0];
    assert!(matches!(based.selection, Selection::SecurityGroups(_)));
    assert_eq!((based.removal.max_count, based.removal.max_percent), (3, 10), "replaced as a whole");
    assert!(imports(&checked, "own", Administrator).is_none(), "no policy applies");
}

#[test]
fn several_administrator_policies_are_united_and_two_end_user_policies_collide() {
    let naming = |name: &str, account_type: &str, unit: &str| {
        policy(
            name,
            account_type,
            &format!(
                "  customers: {{names: [contoso]}}\n  selection: {{organizationalUnits: [\"OU={unit}\"]}}\n"
            ),
        )
    };
    let files = [
        ("c.yaml", customer("contoso", "", "")),
        (
            "p.yaml",
            [
                naming("a1", "Administrator", "A1"),
                naming("a2", "Administrator", "A2"),
                naming("u1", "EndUser", "U1"),
                naming("u2", "EndUser", "U2"),
            ]
            .join("---\n"),
        ),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let checked = checked(&files);
    assert_eq!(policies_of(&checked, "contoso", Administrator), ["a1", "a2"]);
    assert!(is_invalid(&checked, "contoso", EndUser));
    assert_eq!(checked.problems.len(), 1);
    has(&checked, "p.yaml:27:18", "two policies for EndUser name one customer");
    assert_eq!((checked.problems[0].labels[0].line, checked.problems[0].labels[0].column), (19, 18));
    assert!(checked.fleet.customers["contoso"].invalid.is_empty(), "its own document is sound");
}

#[test]
fn an_own_block_beside_a_policy_that_names_the_customer_is_an_error_with_both_places() {
    let block = "  endUsers: {selection: {securityGroups: [Own]}}\n";
    let naming = policy("staff", "EndUser", &format!("  customers: {{names: [contoso]}}\n{STAFF}"));
    let checked_with =
        |block: &str| checked(&[("c.yaml", &customer("contoso", "", block)), ("p.yaml", &naming)]);
    let both = checked_with(block);
    has(&both, "c.yaml:6:13", "has its own policy for EndUser, and the policy `staff` names it too");
    assert_eq!((both.problems[0].labels[0].file.as_str(), both.problems[0].labels[0].line), ("p.yaml", 3));
    assert!(is_invalid(&both, "contoso", EndUser));
    sound(&checked_with("  endUsers: {policy: staff, removal: {maxCount: 3}}\n"));
}

#[test]
fn a_second_default_leaves_nobody_to_either() {
    let default = |name: &str| policy(name, "EndUser", &format!("  default: true\n{STAFF}"));
    let files = [default("one"), default("two"), customer("contoso", "", "")].join("---\n");
    let checked = checked(&[("a.yaml", &files)]);
    has(&checked, "a.yaml:14:12", "a second default policy for EndUser");
    assert_eq!((checked.problems[0].labels[0].line, checked.problems[0].labels[0].column), (6, 12));
    assert!(is_invalid(&checked, "contoso", EndUser));
    assert!(imports(&checked, "contoso", Administrator).is_none());
}

#[test]
fn a_broken_policy_never_lets_the_default_take_over() {
    let default = policy("fallback", "EndUser", &format!("  default: true\n{STAFF}"));
    let head = "apiVersion: intake.dev/v1\nkind: ImportPolicy\nmetadata: {name: staff}\n";
    let customers = "  customers: {names: [contoso]}\n";
    let cases = [
        (
            "a broken selection",
            format!("{head}spec:\n  accountType: EndUser\n{customers}  selection: {{}}\n"),
        ),
        (
            "a mistyped key",
            format!("{head}spec:\n  accountType: EndUser\n{customers}{STAFF}  remval: {{}}\n"),
        ),
        (
            "mistyped customers",
            format!("{head}spec:\n  accountType: EndUser\n  custmers: {{names: [contoso]}}\n{STAFF}"),
        ),
        (
            "customers without their key",
            format!("{head}spec:\n  accountType: EndUser\n  names: [contoso]\n{STAFF}"),
        ),
        (
            "a mistyped name key",
            format!("{head}spec:\n  accountType: EndUser\n  customers: {{nmes: [contoso]}}\n{STAFF}"),
        ),
        (
            "customers at the top",
            format!("{head}customers: {{names: [contoso]}}\nspec:\n  accountType: EndUser\n{STAFF}"),
        ),
        (
            "customers in the selection",
            format!(
                "{head}spec:\n  accountType: EndUser\n  selection:\n    organizationalUnits: [\"OU=Staff\"]\n    customers: {{names: [contoso]}}\n"
            ),
        ),
        ("a mistyped account type", format!("{head}spec:\n  accountType: EndUsr\n{customers}{STAFF}")),
        ("no account type", format!("{head}spec:\n{customers}{STAFF}")),
        (
            "customers twice",
            format!("{head}spec:\n  accountType: EndUser\n  customers: {{}}\n{customers}{STAFF}"),
        ),
        (
            "a merge key",
            format!(
                "{head}spec:\n  accountType: EndUser\n  <<: {{customers: {{names: [contoso]}}}}\n{STAFF}"
            ),
        ),
        ("a mistyped spec", format!("{head}sepc:\n  accountType: EndUser\n{customers}{STAFF}")),
        (
            "a mistyped kind",
            format!("{head}spec:\n  accountType: EndUser\n{customers}{STAFF}")
                .replace("ImportPolicy", "ImportPolcy"),
        ),
        (
            "no kind",
            format!("{head}spec:\n  accountType: EndUser\n{customers}{STAFF}")
                .replace("kind: ImportPolicy\n", ""),
        ),
        (
            "a syntax error behind the customers",
            format!("{head}spec:\n  accountType: EndUser\n{customers}  selection: [\n"),
        ),
        (
            "a syntax error before the customers",
            format!("{head}spec:\n  accountType: EndUser\n\tx: 1\n{customers}{STAFF}"),
        ),
        (
            "a list of customers cut",
            format!("{head}spec:\n  accountType: EndUser\n  customers: {{names: [conto"),
        ),
        (
            "no name",
            format!("{head}spec:\n  accountType: EndUser\n{customers}{STAFF}").replace("{name: staff}", "{}"),
        ),
        (
            "no version",
            format!("{head}spec:\n  accountType: EndUser\n{customers}{STAFF}").replace("/v1", "/v9"),
        ),
        (
            "the same name twice",
            format!(
                "{head}spec:\n  accountType: EndUser\n{customers}{STAFF}---\n{head}spec:\n  accountType: EndUser\n{STAFF}"
            ),
        ),
    ];
    for (what, text) in &cases {
        let checked = checked(&[
            ("c.yaml", &customer("contoso", "", "")),
            ("default.yaml", &default),
            ("staff.yaml", text),
        ]);
        assert!(!checked.problems.is_empty(), "{what}");
        assert!(
            is_invalid(&checked, "contoso", EndUser),
            "{what}: {:?}",
            imports(&checked, "contoso", EndUser)
        );
        assert!(checked.fleet.customers["contoso"].invalid.is_empty(), "{what}: its own document is sound");
    }
    let unreadable = TreeFile { path: "staff.yaml".into(), content: Err("no permission".to_owned()) };
    let mut files = tree(&[("c.yaml", &customer("contoso", "", "")), ("default.yaml", &default)]);
    files.push(unreadable);
    assert!(is_invalid(&check(&files, &limits()), "contoso", EndUser), "an unreadable file");
}

#[test]
fn a_policy_file_cut_anywhere_never_lets_the_default_take_over() {
    let default = policy("fallback", "EndUser", &format!("  default: true\n{STAFF}"));
    let contoso = customer("contoso", "tier: standard", "");
    for customers in
        ["  customers: {names: [contoso]}\n", "  customers:\n    matchLabels:\n      tier: standard\n"]
    {
        let text =
            policy("staff", "EndUser", &format!("{customers}  selection: {{securityGroups: [Staff]}}\n"));
        for length in 1..=text.len() {
            let checked =
                checked(&[("c.yaml", &contoso), ("default.yaml", &default), ("staff.yaml", &text[..length])]);
            match imports(&checked, "contoso", EndUser) {
                Some(Imports::Invalid(_)) => {}
                Some(Imports::Valid(imports)) => {
                    assert_eq!(imports[0].policy, "staff", "cut after {length} bytes:\n{}", &text[..length]);
                }
                None => panic!("cut after {length} bytes nobody is imported:\n{}", &text[..length]),
            }
        }
    }
}

#[test]
fn a_broken_policy_stops_those_that_it_names_and_no_others() {
    let broken = policy("staff", "EndUser", "  customers: {names: [contoso]}\n  selection: {}\n");
    let default = policy("fallback", "EndUser", &format!("  default: true\n{STAFF}"));
    let admins =
        policy("admins", "Administrator", "  default: true\n  selection: {securityGroups: [Admins]}\n");
    let own = "  endUsers: {selection: {securityGroups: [Own]}}\n";
    let based = "  endUsers: {policy: staff}\n";
    let checked = checked(&[
        ("p1.yaml", &broken),
        ("p2.yaml", &default),
        ("p3.yaml", &admins),
        ("c1.yaml", &customer("contoso", "", "")),
        ("c2.yaml", &customer("fabrikam", "", "")),
        ("c3.yaml", &customer("own", "", own)),
        ("c4.yaml", &customer("based", "", based)),
    ]);
    assert!(is_invalid(&checked, "contoso", EndUser));
    assert_eq!(policies_of(&checked, "contoso", Administrator), ["admins"]);
    assert_eq!(policies_of(&checked, "fabrikam", EndUser), ["fallback"]);
    assert_eq!(policies_of(&checked, "own", EndUser), ["customer/own"]);
    assert!(is_invalid(&checked, "based", EndUser), "its base is broken");
    assert_eq!(checked.problems.len(), 1, "{:#?}", problems(&checked));
}

#[test]
fn an_unknown_customer_is_told_of_a_broken_policy_too() {
    let broken = "apiVersion: intake.dev/v1
kind: ImportPolicy
metadata: {name: staff}
spec:
  acountType: EndUser
  customers: {names: [kontoso]}
  selection: {organizationalUnits: [OU=Staff]}
";
    let checked = checked(&[("c.yaml", &customer("contoso", "", "")), ("p.yaml", broken)]);
    has(&checked, "p.yaml:5:3", "did you mean `accountType`");
    has(&checked, "p.yaml:6:23", "did you mean `contoso`");
}

#[test]
fn a_broken_default_leaves_its_customers_alone() {
    let broken = policy("fallback", "EndUser", "  default: true\n  selection: {}\n");
    let named = policy("staff", "EndUser", &format!("  customers: {{names: [contoso]}}\n{STAFF}"));
    let checked = checked(&[
        ("p1.yaml", &broken),
        ("p2.yaml", &named),
        ("c1.yaml", &customer("contoso", "", "")),
        ("c2.yaml", &customer("fabrikam", "", "")),
    ]);
    assert_eq!(policies_of(&checked, "contoso", EndUser), ["staff"]);
    assert!(is_invalid(&checked, "fabrikam", EndUser));
}

#[test]
fn a_document_of_unknown_kind_leaves_alone_everybody_without_an_own_block() {
    let default = policy("fallback", "EndUser", &format!("  default: true\n{STAFF}"));
    let own = "  endUsers: {selection: {securityGroups: [Own]}}\n";
    let checked = checked(&[
        ("broken.yaml", "what: is this\n"),
        ("p.yaml", &default),
        ("c1.yaml", &customer("contoso", "", "")),
        ("c2.yaml", &customer("own", "", own)),
    ]);
    assert!(is_invalid(&checked, "contoso", EndUser) && is_invalid(&checked, "contoso", Administrator));
    assert_eq!(policies_of(&checked, "own", EndUser), ["customer/own"]);
    assert!(!checked.fleet.names_are_known);
}

#[test]
fn a_broken_customer_stops_no_other() {
    let default = policy("fallback", "EndUser", &format!("  default: true\n{STAFF}"));
    let broken = [
        customer("contoso", "", "  suspnd: true\n"),
        customer("contoso", "", "  suspend: [\n"),
        customer("contoso", "", "\tsuspend: true\n"),
        customer("contoso", "", "").replace("kind: Customer", "kind: Custmer"),
        customer("contoso", "", "  endUsers: {policy: nobody}\n"),
        customer("contoso", "", "").replace("spec:", "spec: nothing\nspecs:"),
        format!(
            "{}---\n{}",
            customer("contoso", "", ""),
            customer("contoso", "", "").replace(".ldif", "2.ldif")
        ),
    ];
    for text in &broken {
        let checked =
            checked(&[("a.yaml", text), ("b.yaml", &customer("fine", "", "")), ("p.yaml", &default)]);
        assert!(!checked.fleet.customers["contoso"].invalid.is_empty(), "{text}");
        assert!(checked.fleet.customers["fine"].invalid.is_empty(), "{text}");
        assert_eq!(policies_of(&checked, "fine", EndUser), ["fallback"], "{text}");
        assert!(checked.fleet.names_are_known, "{text}");
    }
    // Whose name cannot be read may be anybody.
    for text in ["{name: Contoso}", "{nme: contoso}", "contoso", "[contoso"] {
        let text = customer("contoso", "", "").replace("{name: contoso, labels: {}}", text);
        let checked = checked(&[("a.yaml", &text), ("b.yaml", &customer("fine", "", ""))]);
        assert!(!checked.fleet.names_are_known, "{text}");
        assert!(checked.fleet.customers["fine"].invalid.is_empty(), "{text}");
    }
}

#[test]
fn two_objects_of_one_name_are_both_broken_and_both_places_are_told() {
    let checked = checked(&[
        ("a.yaml", &customer("contoso", "", "")),
        ("b.yaml", &customer("contoso", "", "").replace("contoso.ldif", "other.ldif")),
        ("p.yaml", &policy("contoso", "EndUser", STAFF)),
    ]);
    has(&checked, "b.yaml:3:18", "a second Customer is called `contoso`");
    assert_eq!(checked.problems.len(), 1, "names are unique per kind");
    assert_eq!(checked.problems[0].labels[0].file, "a.yaml");
    assert!(!checked.fleet.customers["contoso"].invalid.is_empty());
}

#[test]
fn an_unknown_customer_in_a_policy_is_an_error_that_stops_nobody() {
    let checked = checked(&[
        (
            "p.yaml",
            &policy("staff", "EndUser", &format!("  customers: {{names: [contoso, fabrikm]}}\n{STAFF}")),
        ),
        ("c1.yaml", &customer("contoso", "", "")),
        ("c2.yaml", &customer("fabrikam", "", "")),
    ]);
    has(&checked, "p.yaml:6:32", "there is no customer `fabrikm` (help: did you mean `fabrikam`?)");
    assert_eq!(policies_of(&checked, "contoso", EndUser), ["staff"]);
}

#[test]
fn one_scope_under_both_account_types_is_an_error() {
    let pairs = [
        ("organizationalUnits: [\"OU=Staff\"]", "organizationalUnits: [\"ou=staff\"]", true),
        ("organizationalUnits: [\"OU=Staff\"]", "organizationalUnits: [\"OU=IT,OU=Staff\"]", true),
        ("organizationalUnits: [\"OU=Staff,DC=c,DC=test\"]", "organizationalUnits: [\"OU=Staff\"]", true),
        ("organizationalUnits: [\"OU=A\"], optional: [\"OU=B\"]", "organizationalUnits: [\"OU=B\"]", true),
        ("organizationalUnits: [\"OU=Staff\"]", "organizationalUnits: [\"OU=Old Staff\"]", false),
        ("securityGroups: [Staff]", "securityGroups: [STAFF]", true),
        ("securityGroups: [\"CN=S,DC=c\"]", "securityGroups: [\"cn=s,dc=c\"]", true),
        ("securityGroups: [Staff]", "securityGroups: [Admins]", false),
        ("organizationalUnits: [\"OU=Staff\"]", "securityGroups: [Staff]", false),
    ];
    for (users, administrators, collide) in pairs {
        let naming = |name: &str, account_type: &str, selection: &str| {
            policy(name, account_type, &format!("  default: true\n  selection: {{{selection}}}\n"))
        };
        let checked = checked(&[
            ("c.yaml", &customer("contoso", "", "")),
            ("u.yaml", &naming("u", "EndUser", users)),
            ("a.yaml", &naming("a", "Administrator", administrators)),
        ]);
        assert_eq!(!checked.problems.is_empty(), collide, "{users} {administrators}");
        assert_eq!(is_invalid(&checked, "contoso", EndUser), collide);
        assert_eq!(is_invalid(&checked, "contoso", Administrator), collide);
        if collide {
            assert!(problems(&checked)[0].starts_with("a.yaml:7:"), "{:?}", problems(&checked));
            assert_eq!(checked.problems[0].labels[0].file, "u.yaml");
        }
    }
}

#[test]
fn one_source_for_two_customers_is_an_error_unless_both_say_so() {
    let document = |name: &str, spec: &str| {
        format!("apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {{name: {name}}}\nspec:\n{spec}")
    };
    let graph = |id: &str, shared: &str| {
        format!("  tenant: {{graph: {{tenantId: {id}, connection: partner-app}}{shared}}}\n")
    };
    let ldap = |host: &str, base: &str, shared: &str| {
        format!("  directories: [{{ldap: {{urls: [\"ldaps://{host}\"]{base}}}{shared}}}]\n")
    };
    let a = ", sharedWith: [a]";
    let b = ", sharedWith: [b]";
    let cases = [
        (graph("Contoso.com", ""), graph("contoso.com", ""), true),
        (graph("contoso.com", b), graph("contoso.com", ""), true),
        (graph("contoso.com", b), graph("contoso.com", a), false),
        (graph("contoso.com", ""), graph("fabrikam.com", ""), false),
        (ldap("dc.test", "", ""), ldap("DC.test", ", baseDn: \"OU=B,DC=test\"", ""), true),
        (
            ldap("dc.test", ", baseDn: \"DC=test\"", ""),
            ldap("dc.test", ", baseDn: \"OU=B,DC=test\"", ""),
            true,
        ),
        (
            ldap("dc.test", ", baseDn: \"OU=A,DC=test\"", ""),
            ldap("dc.test", ", baseDn: \"OU=B,DC=test\"", ""),
            false,
        ),
        (ldap("dc.test", "", b), ldap("dc.test", "", a), false),
        (ldap("dc.test", "", ""), ldap("dc2.test", "", ""), false),
        (
            "  tenant: {snapshot: {file: ./x.json}}\n".to_owned(),
            "  tenant: {snapshot: {file: x.json}}\n".to_owned(),
            true,
        ),
        (
            "  directories: [{ldif: {file: x.ldif}}]\n".to_owned(),
            "  directories: [{ldif: {file: x.ldif}}]\n".to_owned(),
            true,
        ),
    ];
    for (left, right, clash) in &cases {
        let checked = checked(&[("a.yaml", &document("a", left)), ("b.yaml", &document("b", right))]);
        assert_eq!(!checked.problems.is_empty(), *clash, "{left}{right}{:#?}", problems(&checked));
        for name in ["a", "b"] {
            assert_eq!(!checked.fleet.customers[name].invalid.is_empty(), *clash, "{name} {left}{right}");
        }
        if *clash {
            assert_eq!(
                (checked.problems[0].file.as_str(), checked.problems[0].labels[0].file.as_str()),
                ("b.yaml", "a.yaml")
            );
        }
    }
    let unknown = checked(&[("a.yaml", &document("a", &graph("contoso.com", ", sharedWith: [c]")))]);
    has(&unknown, "a.yaml:5:82", "there is no customer `c`");
}

#[test]
fn what_needs_the_operator_is_refused_without_and_taken_with_permission() {
    let document = |spec: &str| {
        format!("apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {{name: contoso}}\nspec:\n{spec}")
    };
    let id = "00000000-0000-0000-0000-000000000001";
    let secret = "clientSecretFrom: {file: /run/secrets/contoso/graph}";
    let endpoints = document(&format!(
        "  tenant: {{graph: {{tenantId: contoso.com, clientId: {id}, {secret}, endpoints: {{login: \"http://127.0.0.1:1\", graph: \"http://localhost:1\"}}}}}}\n"
    ));
    let remote = endpoints.replace("http://localhost:1", "http://graph.evil.test");
    let identity = document(&format!(
        "  tenant: {{graph: {{tenantId: contoso.com, clientId: {id}, managedIdentity: {{clientId: {id}}}}}}}\n"
    ));
    let plaintext = document("  directories: [{ldap: {urls: [\"ldap://dc.contoso.test\"]}}]\n");
    let kerberos =
        document("  directories: [{ldap: {urls: [\"ldaps://dc.contoso.test\"], bind: {kerberos: {}}}}]\n");
    let check_with = |text: &str, limits: &Limits| problems(&check(&tree(&[("a.yaml", text)]), limits));
    let all = [Permit::Endpoints, Permit::ManagedIdentity, Permit::Plaintext, Permit::Kerberos];
    let permitted = Limits { permit: all.into(), ..limits() };
    for (text, words) in [
        (&endpoints, "does not permit `endpoints`"),
        (&identity, "does not permit `managedIdentity`"),
        (&plaintext, "in plain text"),
        (&kerberos, "does not permit `kerberos`"),
    ] {
        let refused = check_with(text, &limits());
        assert!(refused.len() == 1 && refused[0].contains(words), "{refused:?}");
        assert_eq!(check_with(text, &permitted), Vec::<String>::new());
    }
    assert!(check_with(&remote, &permitted)[0].contains("http is for this machine alone"));
    // The machine's token is the operator's: a tree does not choose who gets it.
    let stolen = endpoints.replace(secret, &format!("managedIdentity: {{clientId: {id}}}"));
    assert_eq!(check_with(&stolen, &permitted), Vec::<String>::new(), "this machine may have it");
    let stolen = stolen.replace("http://127.0.0.1:1", "https://login.evil.test");
    let refused = check_with(&stolen, &permitted);
    assert!(
        refused.len() == 1 && refused[0].contains("does not go with `endpoints` of a tree's own"),
        "{refused:?}"
    );
    for loopback in ["ldap://127.0.0.1:3389", "ldap://localhost", "ldap://[::1]:389"] {
        let text = plaintext.replace("ldap://dc.contoso.test", loopback);
        assert_eq!(check_with(&text, &limits()), Vec::<String>::new(), "{loopback}");
    }
    let secured = plaintext.replace("test\"]", "test\"], startTls: true");
    assert_eq!(check_with(&secured, &limits()), Vec::<String>::new());
    let hosts = Limits { hosts: vec!["*.fabrikam.test".to_owned()], ..limits() };
    assert!(check_with(&secured, &hosts)[0].contains("name the host `dc.contoso.test`"));
}

#[test]
fn a_directory_is_read_with_a_password_or_by_kerberos_and_the_other_fields_fit_that() {
    let problems_of = |urls: &str, bind: &str| {
        let text = format!(
            "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {{name: contoso}}\nspec:\n  directories:\n  - ldap:\n      urls: {urls}\n      bind: {bind}\n"
        );
        let hosts = vec!["*.contoso.test".to_owned(), "127.0.0.1".to_owned()];
        let limits = Limits { permit: [Permit::Kerberos].into(), hosts, ..limits() };
        check(&tree(&[("a.yaml", &text)]), &limits)
    };
    let named = "[ldaps://dc1.contoso.test]";
    let address = "[ldaps://127.0.0.1]";
    let password = "passwordFrom: {env: INTAKE_SECRET_CONTOSO__LDAP}";
    for (urls, bind) in [
        (named, format!("{{dn: svc@contoso.test, {password}}}")),
        (named, "{kerberos: {}}".to_owned()),
        (named, "{kerberos: {realm: CONTOSO.TEST}}".to_owned()),
        (address, "{kerberos: {host: DC1.contoso.test}}".to_owned()),
        ("[ldaps://dc1.contoso.test, ldaps://dc2.contoso.test]", "{kerberos: {}}".to_owned()),
    ] {
        sound(&problems_of(urls, &bind));
    }
    // The value of `urls` begins in column 13 of line 7, that of `bind` in column 13 of line 8.
    for (urls, bind, at, words) in [
        (named, "{}", "8:13", "exactly one of `dn`, `kerberos` is needed here, and none is given"),
        (named, "{dn: svc@contoso.test}", "8:13", "`passwordFrom` is missing here"),
        (named, &format!("{{{password}}}"), "8:13", "exactly one of `dn`, `kerberos` is needed here"),
        (named, &format!("{{dn: svc, {password}, kerberos: {{}}}}"), "8:73", "and several are given"),
        (named, &format!("{{kerberos: {{}}, {password}}}"), "8:42", "`passwordFrom` does not go with"),
        (named, "{kerberos: true}", "8:24", "expected a mapping (`kerberos`)"),
        (named, "{kerberos: {hots: dc1.contoso.test}}", "8:25", "unknown key `hots`"),
        (named, "{kerberos: {host: dc1}}", "8:31", "malformed host name"),
        (named, "{kerberos: {host: 127.0.0.1}}", "8:31", "malformed host name"),
        (named, "{kerberos: {host: dc1.fabrikam.test}}", "8:31", "name the host `dc1.fabrikam.test`"),
        (named, "{kerberos: {realm: contoso.test}}", "8:32", "did you mean `CONTOSO.TEST`?"),
        (named, "{kerberos: {realm: CONTOSO@TEST}}", "8:32", "malformed realm"),
        (address, "{kerberos: {}}", "7:14", "knows servers by their names, and this is an address"),
        (
            "[ldap://127.0.0.1]",
            "{kerberos: {host: dc1.contoso.test}}",
            "7:14",
            "over encrypted connections alone",
        ),
        (
            "[ldaps://dc1.contoso.test, ldaps://dc2.contoso.test]",
            "{kerberos: {host: dc1.contoso.test}}",
            "8:31",
            "the name of one server, and `urls` has several",
        ),
    ] {
        let checked = problems_of(urls, bind);
        assert_eq!(checked.problems.len(), 1, "{urls} {bind}: {:?}", problems(&checked));
        has(&checked, &format!("a.yaml:{at}"), words);
    }
}

#[test]
fn a_policy_beyond_the_operators_ceilings_is_refused() {
    let ceilings = Limits {
        max_percent: 5,
        max_count: 10,
        allow_empty: false,
        include_privileged: false,
        min_interval: Seconds(3_600),
        ..limits()
    };
    let text = policy(
        "staff",
        "EndUser",
        &format!(
            "{STAFF}  excludePrivileged: false\n  removal: {{maxPercent: 6, maxCount: 11, minCount: 12, allowEmpty: true}}\n"
        ),
    );
    let options = "---\napiVersion: intake.dev/v1\nkind: ImportOptions\nmetadata: {name: o}\nspec: {accountType: EndUser, interval: 30m}\n";
    let checked = check(&tree(&[("p.yaml", &format!("{text}{options}"))]), &ceilings);
    has(&checked, "p.yaml:7:22", "privileged accounts");
    has(&checked, "p.yaml:8:25", "`removal.maxPercent` is 6, and the operator allows 5");
    has(&checked, "p.yaml:8:38", "`removal.maxCount` is 11");
    has(&checked, "p.yaml:8:52", "`removal.minCount` is 12");
    has(&checked, "p.yaml:8:68", "allowEmpty");
    has(&checked, "p.yaml:13:40", "must be 1h at least");
    assert_eq!(checked.problems.len(), 6);
}

#[test]
fn a_default_beyond_a_ceiling_is_told_as_well() {
    let ceilings = Limits { max_percent: 5, ..limits() };
    let checked = check(&tree(&[("p.yaml", &policy("staff", "EndUser", STAFF))]), &ceilings);
    has(&checked, "p.yaml:3:18", "`removal.maxPercent` is 10, and the operator allows 5");
}

#[test]
fn paths_are_joined_with_their_file_and_stay_inside_the_tree() {
    let text = customer("contoso", "", "  tenant: {snapshot: {file: ../shared/users.json}}\n");
    let checked = checked(&[("customers/a.yaml", &text)]);
    sound(&checked);
    let shown = format!("{:?}", checked.fleet.customers["contoso"]);
    assert!(
        shown.contains("\"customers/contoso.ldif\"") && shown.contains("\"shared/users.json\""),
        "{shown}"
    );
    for (path, words) in [
        ("../../x.json", "leaves the tree"),
        ("/etc/passwd", "absolute"),
        ("'a\\b.json'", "did you mean `a/b.json`?"),
    ] {
        let text = text.replace("../shared/users.json", path);
        let checked = check(&tree(&[("customers/a.yaml", &text)]), &limits());
        has(&checked, "customers/a.yaml:6:29", words);
    }
}

#[test]
fn options_are_the_own_block_the_naming_ones_or_the_default() {
    let options = |name: &str, more: &str| {
        format!(
            "apiVersion: intake.dev/v1\nkind: ImportOptions\nmetadata: {{name: {name}}}\nspec: {{accountType: EndUser, {more}}}\n---\n"
        )
    };
    let text = [
        options("named", "interval: 1h, customers: {names: [named]}"),
        options("default", "interval: 2h, default: true"),
    ]
    .concat();
    let checked = checked(&[
        ("o.yaml", &text),
        ("c1.yaml", &customer("named", "", "")),
        ("c2.yaml", &customer("other", "", "")),
        ("c3.yaml", &customer("own", "", "  options: {endUsers: {interval: 5m}}\n")),
    ]);
    sound(&checked);
    let interval = |name: &str, of| checked.fleet.customers[name].options[&of].interval;
    assert_eq!(interval("named", EndUser), Seconds(3_600));
    assert_eq!(interval("other", EndUser), Seconds(7_200));
    assert_eq!(interval("own", EndUser), Seconds(300));
    assert_eq!(interval("own", Administrator), Seconds(10_800));
}

fn production() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/production")
}

#[test]
fn the_production_example_is_sound() {
    let operator = operator::load(Some(&production().join("operator.yaml"))).expect("an operator's file");
    let root = production().join("tree");
    let files = folder::read_tree(&root).expect("a tree");
    let checked = check(&files, &operator.limits);
    sound(&checked);
    let names: Vec<&str> = checked.fleet.customers.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["adatum", "contoso", "fabrikam", "litware", "litware-labs", "northwind"]);
    assert_eq!(policies_of(&checked, "contoso", Administrator), ["admins", "tier-0"]);
    assert_eq!(policies_of(&checked, "northwind", EndUser), ["by-group"]);
    assert_eq!(policies_of(&checked, "adatum", EndUser), ["cloud"]);
    assert_eq!(policies_of(&checked, "adatum", Administrator), ["customer/adatum"]);
    let authority = folder::resolve(&root, Path::new("authorities/contoso-ca.pem")).expect("the authority");
    let pem = std::fs::read_to_string(authority).expect("PEM");
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----") && !pem.contains("PRIVATE"));
    for file in &files {
        let text = std::str::from_utf8(file.content.as_deref().expect("a file")).expect("text");
        let first = text.lines().next().expect("a line");
        let schema = first.strip_prefix("# yaml-language-server: $schema=").expect("a modeline");
        let schema = root.join(&file.path).parent().expect("a folder").join(schema);
        assert!(schema.is_file(), "{} leads to no schema", file.path.display());
    }
}

/// Returns the documents of YAML text as JSON.
fn documents(text: &str) -> Vec<serde_json::Value> {
    serde_saphyr::from_multiple(text).expect("YAML")
}

fn validator(name: &str) -> jsonschema::Validator {
    let schemas = intake::policy::schema::schemas();
    let schema: serde_json::Value = serde_json::from_str(&schemas[name]).expect("JSON");
    jsonschema::draft202012::new(&schema).expect("a schema")
}

#[test]
fn the_production_example_follows_the_schemas() {
    let intake = validator("intake.schema.json");
    let alone = [
        ("Customer", validator("customer.schema.json")),
        ("ImportPolicy", validator("importpolicy.schema.json")),
        ("ImportOptions", validator("importoptions.schema.json")),
    ];
    let mut seen = BTreeSet::new();
    for file in folder::read_tree(&production().join("tree")).expect("a tree") {
        let text = String::from_utf8(file.content.expect("a file")).expect("text");
        for document in documents(&text) {
            let errors: Vec<String> = intake.iter_errors(&document).map(|error| error.to_string()).collect();
            assert_eq!(errors, Vec::<String>::new(), "{}", file.path.display());
            let kind = document["kind"].as_str().expect("a kind").to_owned();
            for (name, validator) in &alone {
                assert_eq!(validator.is_valid(&document), *name == kind, "{}", file.path.display());
            }
            seen.insert(kind);
        }
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn wrong_documents_fail_the_schema_and_the_check_alike() {
    let validator = validator("intake.schema.json");
    let staff = policy("staff", "EndUser", STAFF);
    let contoso = customer("contoso", "", "");
    let id = "00000000-0000-0000-0000-000000000001";
    let graph = |fields: &str| {
        customer("contoso", "", &format!("  tenant: {{graph: {{tenantId: contoso.com, {fields}}}}}\n"))
    };
    let own = format!("clientId: {id}, clientSecretFrom: {{env: INTAKE_SECRET_CONTOSO__G}}");
    let right = [
        staff.clone(),
        contoso.clone(),
        graph("connection: partner-app"),
        graph(&own),
        customer("contoso", "", "  endUsers: {selection: {securityGroups: [A]}}\n"),
    ];
    for text in &right {
        assert!(validator.is_valid(&documents(text)[0]), "{text}");
        sound(&checked(&[("a.yaml", text)]));
    }
    let wrong = [
        staff.replace("kind: ImportPolicy", "kind: Policy"),
        staff.replace("intake.dev/v1", "intake.dev/v2"),
        staff.replace("metadata: {name: staff}\n", ""),
        staff.replace("name: staff", "name: Staff"),
        staff.replace("name: staff", "name: a--b"),
        staff.replace("EndUser", "User"),
        staff.replace("  accountType: EndUser\n", ""),
        staff.replace(STAFF, ""),
        staff.replace(STAFF, "  selection: {}\n"),
        staff.replace(STAFF, "  selection: {organizationalUnits: []}\n"),
        staff.replace(STAFF, "  selection: {organizationalUnits: [\"OU=A\"], securityGroups: [A]}\n"),
        staff.replace("OU=Staff", "Staff"),
        format!("{staff}  removal: {{maxPercent: 101}}\n"),
        format!("{staff}  removal: {{grace: soon}}\n"),
        format!("{staff}  removal: null\n"),
        format!("{staff}  includeDisabled: \"true\"\n"),
        format!("{staff}  unknown: 1\n"),
        format!("{staff}  exclude: [{{reason: nobody}}]\n"),
        format!("{staff}  exclude: [{{account: a, securityGroup: b}}]\n"),
        format!("{staff}  exclude: [{{account: a, until: tomorrow}}]\n"),
        format!("{staff}  match: {{keys: [upn]}}\n"),
        format!("{staff}  licenses: {{anyOf: [\"Microsoft 365 E3\"]}}\n"),
        contoso.replace("ldif: {file: contoso.ldif}", "name: main"),
        contoso.replace("contoso.ldif", "/etc/passwd"),
        customer("contoso", "", "  approve: [abc]\n"),
        customer("contoso", "", "  matches: [{account: \"j*\", system: tenant, id: \"1\"}]\n"),
        customer("contoso", "", "  tenant: {}\n"),
        customer("contoso", "", "  endUsers: {includeDisabled: true}\n"),
        customer("contoso", "", "  documentation: [{connection: glue}]\n"),
        customer("contoso", "", "  documentation: [{connection: glue, organizationId: 12}]\n"),
        graph("connection: partner-app, cloud: global"),
        graph("cloud: global"),
        graph(&format!("clientId: {id}")),
        graph(&format!("{own}, cloud: moon")),
        graph(&format!("{own}, federatedTokenFrom: {{file: /run/secrets/contoso/t}}")),
        graph(&own.replace("{env: INTAKE_SECRET_CONTOSO__G}", "{}")),
        graph(&own.replace("{env: INTAKE_SECRET_CONTOSO__G}", "secret")),
        graph(&own.replace(id, "12")),
    ];
    for text in &wrong {
        assert!(!validator.is_valid(&documents(text)[0]), "the schema takes:\n{text}");
        assert!(!checked(&[("a.yaml", text)]).problems.is_empty(), "the check takes:\n{text}");
    }
}

#[test]
fn the_operators_file_is_read_as_strictly() {
    let text = r#"state: mysql:x
concurency: 4
listen: somewhere
permit: [endpoint]
secrets: {files: ["run/secrets/*"]}
connections:
  Partner: {graph: {clientId: "12"}}
  glue: {itGlue: {region: uk}}
limits: {removal: {maxPercent: 200}, minInterval: 1}
notify: [{webhook: {url: "http://chat.example/x"}, on: [changd]}]
"#;
    let found = operator::check(Path::new("operator.yaml"), text.as_bytes().to_vec()).expect_err("problems");
    let all: Vec<String> = found.iter().map(ToString::to_string).collect();
    for (at, words) in [
        ("1:8", "malformed state"),
        ("2:1", "did you mean `concurrency`?"),
        ("3:9", "malformed address to listen on"),
        ("4:10", "did you mean `endpoints`?"),
        ("5:19", "must be absolute"),
        ("7:3", "did you mean `partner`?"),
        ("7:20", "exactly one of `clientSecretFrom`"),
        ("7:31", "malformed GUID"),
        ("8:18", "`apiKeyFrom` is missing"),
        ("8:27", "did you mean `us`?"),
        ("9:32", "out of range: from 0 to 100"),
        ("9:51", "malformed duration"),
        ("10:26", "https"),
        ("10:57", "did you mean `changed`?"),
    ] {
        let at = format!("operator.yaml:{at}: ");
        let found = all.iter().any(|problem| problem.starts_with(&at) && problem.contains(words));
        assert!(found, "no `{words}` at {at} in:\n{}", all.join("\n"));
    }
    let glue = |lines: &str| {
        let text = format!(
            "connections:\n  glue:\n    itGlue:\n      region: eu\n      apiKeyFrom: {{env: KEY}}\n{lines}"
        );
        operator::check(Path::new("o.yaml"), text.into_bytes())
    };
    let missing_as = |lines: &str| match &glue(lines).expect("no problem").connections["glue"] {
        operator::Connection::ItGlue(glue) => glue.missing_as,
        other => panic!("another connection: {other:?}"),
    };
    let categories = "      passwordCategories: [Active Directory]\n";
    let entries = "      missingAs: passwordEntry\n";
    assert_eq!(missing_as(""), ContactKind::Person);
    assert_eq!(missing_as(categories), ContactKind::Person, "whoever reads entries need not want more");
    assert_eq!(missing_as("      missingAs: contact\n"), ContactKind::Person);
    assert_eq!(missing_as(&format!("{categories}{entries}")), ContactKind::PasswordEntry);
    for without in [entries.to_owned(), format!("      passwordCategories: []\n{entries}")] {
        let [problem] = &glue(&without).expect_err("no category")[..] else { panic!("one problem") };
        let line = without.lines().count() + 5;
        assert!(problem.to_string().starts_with(&format!("o.yaml:{line}:18: ")), "{problem}");
        assert!(problem.to_string().contains("`passwordCategories` names none"), "{problem}");
        assert!(
            problem.help.as_deref().is_some_and(|help| help.contains("passwordCategories: [")),
            "{problem}"
        );
    }
    let [typo] = &glue("      missingAs: passwordentry\n").expect_err("no such word")[..] else {
        panic!("one problem")
    };
    assert!(typo.to_string().contains("did you mean `passwordEntry`?"), "{typo}");
    let missing = Path::new("/nonexistent/operator.yaml");
    assert!(matches!(operator::load(Some(missing)), Err(OperatorFault::Unreadable { .. })));
    let default = operator::load(None).expect("defaults");
    assert_eq!(default.concurrency, 16);
    assert_eq!(default.limits.hosts, ["*"]);
    let empty = operator::check(Path::new("o.yaml"), b"# nothing\n".to_vec()).expect("defaults");
    assert_eq!(empty.limits.max_percent, 100);
}

#[test]
fn whatever_stands_in_a_file_the_check_ends_and_never_takes_a_broken_tree_for_a_sound_one() {
    use proptest::prelude::*;
    let text = std::fs::read_to_string(production().join("tree/customers/contoso.yaml")).expect("a file");
    let characters: Vec<char> = text.chars().collect();
    let edit = (
        0..characters.len(),
        proptest::sample::select(vec![
            "", "\t", "\"", "{", "]", ":", "- ", "&a ", "*a", "!!x ", "\u{0}", "é", "\r", "---\n", "|",
        ]),
    );
    proptest!(ProptestConfig::with_cases(400), |(edits in proptest::collection::vec(edit, 1..4))| {
        let mut parts: Vec<String> = characters.iter().map(char::to_string).collect();
        for (at, with) in edits {
            parts[at] = with.to_owned();
        }
        let changed = parts.concat();
        let checked = checked(&[("a.yaml", &changed)]);
        for problem in &checked.problems {
            let lines = changed.split('\n').count();
            prop_assert!(problem.line >= 1 && problem.line <= lines);
            prop_assert!(problem.excerpt.text.get(problem.excerpt.mark.clone()).is_some());
            prop_assert!(changed.get(problem.span.clone()).is_some());
            problem.render(false);
        }
        let known = checked.fleet.customers.contains_key("contoso");
        // Where the name was edited it is another customer; a broken document is never lost in silence.
        prop_assert!(known || !checked.problems.is_empty() || !checked.fleet.customers.is_empty() || changed.lines().all(|line| line.starts_with('#')));
    });
}
