//! A plan as a comment on a pull request, rendered by GitHub's own renderer: whatever a directory holds, no
//! tag, link, mention, reference or cell comes out of it.

use std::process::Command;

use intake::model::account::{AccountKey, AccountType, Profile, Source, Verdict};
use intake::model::digest::Digest;
use intake::model::guid::Guid;
use intake::model::text::{Text, inert};
use intake::plan::markdown::{LIMIT, MARKER, comment};
use intake::plan::outcome::{
    Action, Consequences, CustomerPlan, CustomerState, FieldChange, Finding, FindingCode, Kept, NotImported,
    Operation, Plan, Severity, Summary,
};
use intake::plan::planner::unite;
use serde_json::Value;

use crate::support::intake::Installation;
use crate::support::others::Others;
use crate::support::process::run_with_input;

/// What a plan's comment is made of, and nothing else.
const OURS: [&str; 17] = [
    "h3", "h4", "p", "strong", "em", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "ul", "li",
    "details", "summary",
];

fn operation(action: Action, name: &str, number: u128) -> Operation {
    Operation {
        action,
        key: AccountKey {
            account_type: AccountType::EndUser,
            source: Source::Directory,
            id: Guid::from_u128(number),
        },
        directory: Some(Text::from("main")),
        profile: Profile {
            sam_account_name: Text::from(name),
            user_principal_name: Some(Text::from(name)),
            display_name: Text::from(format!("{name} {name}")),
            email: None,
            mobile_phone: None,
            tenant_user_id: None,
            password_sync: true,
        },
        policy: Text::from(name),
        matched_by: None,
        changes: Vec::new(),
        reason: None,
        held_by: None,
        until: None,
        approved: false,
    }
}

fn customer(name: &str, operations: Vec<Operation>) -> CustomerPlan {
    let count = |action| operations.iter().filter(|one| one.action == action).count() as u64;
    CustomerPlan {
        name: Text::from(name),
        state: CustomerState::Ready,
        digest: Digest::of(name.as_bytes()),
        approval: None,
        register_revision: 1,
        summary: Summary {
            add: count(Action::Add) + count(Action::Return),
            update: count(Action::Update),
            remove: count(Action::Remove) + count(Action::Pend),
            hold: count(Action::Hold),
            unchanged: 120,
        },
        operations,
        no_longer: Vec::new(),
        missing_contacts: Vec::new(),
        kept: Vec::new(),
        licensed_outside_scope: Vec::new(),
        findings: Vec::new(),
        not_imported: Vec::new(),
        consequences: Consequences::default(),
    }
}

/// A plan in which a text stands wherever one from outside can stand.
fn full_of(text: &str) -> Plan {
    let of = |action, number| operation(action, text, number);
    let mut update = of(Action::Update, 2);
    let value = Some(Text::from(text));
    update.changes = vec![FieldChange { field: "displayName", before: value.clone(), after: value }];
    let mut pend = of(Action::Pend, 3);
    pend.reason = Some(Verdict::NotInScope);
    pend.until = Some("2026-12-01T00:00:00Z".parse().expect("a moment"));
    let mut remove = of(Action::Remove, 4);
    remove.reason = Some(Verdict::Unlicensed);
    let mut hold = of(Action::Hold, 5);
    hold.reason = Some(Verdict::NotInScope);
    hold.held_by = Some(FindingCode::RemovalLimit);
    let account = of(Action::Add, 6).account();
    let mut held =
        customer(text, vec![of(Action::Add, 1), update, pend, remove, hold, of(Action::Return, 7)]);
    held.no_longer = vec![of(Action::Add, 8)];
    held.state = CustomerState::Held;
    held.approval = Some(Digest::of(b"held"));
    let finding = |severity| Finding {
        code: FindingCode::RemovalLimit,
        severity,
        subject: text.to_owned(),
        message: text.to_owned(),
    };
    held.findings = vec![finding(Severity::Error), finding(Severity::Warning), finding(Severity::Info)];
    held.kept = vec![Kept {
        verdict: Verdict::AmbiguousMatch,
        account_type: AccountType::EndUser,
        account: account.clone(),
        candidates: vec![text.to_owned()],
    }];
    held.not_imported = vec![NotImported {
        verdict: Verdict::Guest,
        account_type: AccountType::EndUser,
        account,
        evidence: text.to_owned(),
        candidates: vec![text.to_owned()],
    }];
    // Folded, with the text on both sides of the fold.
    let many = (10..50).map(|number| of(Action::Add, number)).collect();
    let customers = vec![held, customer("zfolded", many), customer(text, Vec::new())];
    Plan { against: Some(Text::from(text)), ..unite(Text::from(text), customers) }
}

/// What GitHub's renderer makes of a text.
fn rendered(markdown: &str) -> Value {
    let others = Others::get();
    let mut renderer = Command::new(others.python());
    renderer.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONIOENCODING", "utf-8");
    let seen = run_with_input(renderer.arg(others.program("render_markdown.py")), markdown);
    serde_json::from_str(&seen).expect("JSON")
}

fn texts<'v>(value: &'v Value, field: &str) -> Vec<&'v str> {
    value[field].as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

/// Expects that nothing of a text acts where a comment is read, and that it can be read there.
fn expect_inert(text: &str) {
    let markdown = comment(&full_of(text), text);
    assert!(markdown.chars().all(|character| character == '\n' || inert(&character.to_string()).len() < 5));
    let seen = rendered(&markdown);
    expect_our_tags(&seen, &markdown);
    for row in seen["rows"].as_array().expect("rows") {
        assert_eq!(row.as_array().map(Vec::len), Some(5), "a row has five cells: {row} in {markdown}");
    }
    // Seven changes, forty adds, and the heads of three tables.
    assert_eq!(seen["rows"].as_array().map(Vec::len), Some(50), "{markdown}");
    let outside = seen["outside"].as_str().expect("text");
    for acts in ["@", "#", "http", "www.", "GH-", "sha", text] {
        assert!(!outside.contains(acts), "{acts} stands outside of code: {outside}");
    }
    let shown = inert(text).replace('|', "\\u{7c}").replace('`', "\\u{60}");
    assert!(texts(&seen, "code").contains(&shown.as_str()), "{shown} can be read: {seen:#}");
}

fn expect_our_tags(seen: &Value, markdown: &str) {
    for tag in seen["tags"].as_array().expect("tags") {
        let name = tag[0].as_str().expect("a name");
        assert!(OURS.contains(&name), "<{name}> in {markdown}");
        let attributes = tag[1].as_array().expect("a list");
        // What language a block is of, which is the only thing that we say.
        assert!(attributes.is_empty() || name == "pre" && attributes[0] == "lang", "{tag} in {markdown}");
    }
    assert_eq!(seen["comments"], serde_json::json!([" intake plan "]), "{markdown}");
    assert_eq!(seen["unbalanced"], serde_json::json!([]), "{markdown}");
}

/// One test for each kind of text that acts somewhere.
macro_rules! inert {
    ($($name:ident: $text:expr,)*) => {
        $(#[test]
        fn $name() {
            expect_inert($text);
        })*
    };
}

inert! {
    escapes_of_terminals_are_inert: "a\u{1b}[31mred\u{1b}]8;;https://evil.example\u{7}b",
    line_breaks_are_inert: "a\n\n# heading\r\n| cell |\u{85}b\u{2028}- item",
    bidi_marks_are_inert: "jane\u{202e}tset.osotnoc@\u{2066}x",
    mentions_of_everybody_are_inert: "@everyone and @all",
    mentions_of_teams_are_inert: "@contoso/admins",
    ends_of_folds_are_inert: "</summary></details></td></tr></table>x",
    bars_of_tables_are_inert: "a|b \\| c \\\\| d |",
    backticks_are_inert: "`a` ``b`` ```\ncode ~~~",
    a_backslash_at_the_end_is_inert: "a\\",
    images_are_inert: "![x](https://evil.example/pixel.png)",
    links_are_inert: "[x](https://evil.example) [y]: https://evil.example <https://evil.example>",
    tags_are_inert: "<script>alert(1)</script><img src=x onerror=alert(1)><b>x</b>",
    comments_are_inert: "<!-- intake plan --> --> <!-- <![CDATA[ ]]> <?php ?>",
    references_to_issues_are_inert: "#123 GH-123 owner/repo#1 !7 &4 ~label",
    addresses_are_inert: "https://evil.example www.evil.example jane@contoso.test xmpp:a@b.example",
    commits_are_inert: "0123456789abcdef0123456789abcdef01234567",
    emphasis_and_strikes_are_inert: "**a** _b_ ~~c~~ __d__ *e*",
    entities_are_inert: "&lt;b&gt; &#64;everyone &commat;all",
    formulas_and_emoji_are_inert: "$x$ $$y$$ $`z`$ :tada:",
    lists_and_quotes_are_inert: "- [x] a > b 1. c + d === ---",
    footnotes_and_alerts_are_inert: "[^1] [!CAUTION] [^1]: x",
}

#[test]
fn a_comment_says_what_would_be_done_and_what_lets_it_go() {
    let mut plan = full_of("jane");
    let shrunk = "3 of 20 accounts would go. Write `approve: …`";
    plan.customers[0].findings[0].message = shrunk.to_owned();
    let markdown = comment(&plan, "customers");
    let seen = rendered(&markdown);
    expect_our_tags(&seen, &markdown);
    assert_eq!(markdown.lines().next(), Some(MARKER));
    let outside = seen["outside"].as_str().expect("text");
    for told in [
        "Plan: 42 to add, 1 to update, 2 to remove, 1 held; 360 unchanged.",
        "Of these: 1 added again that was known before, 1 not removed yet but waiting for its grace",
        " (held)",
        "1 removal is kept back, until somebody approves exactly this.",
        "40 changes",
        "Kept as they are (ambiguous-match 1)",
        "Not imported: 1 (guest 1).",
        "1 held; 120 unchanged",
        "40 to add; 120 unchanged",
        "Without changes: .",
    ] {
        assert!(outside.contains(told), "{told}: {outside}");
    }
    let code = texts(&seen, "code");
    let approve = format!("approve: [\"{}\"]\n", Digest::of(b"held"));
    for told in [approve.as_str(), shrunk, &plan.digest.to_string()] {
        assert!(code.contains(&told), "{told}: {code:?}");
    }
    let rows: Vec<Vec<&str>> = seen["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row.as_array().expect("cells").iter().filter_map(Value::as_str).collect())
        .collect();
    assert_eq!(
        rows[..7],
        [
            ["Change", "Account", "What", "Type", "Policy"],
            ["! hold", "jane", "not-in-scope, held by removal-limit", "EndUser", "jane"],
            ["- remove", "jane", "unlicensed", "EndUser", "jane"],
            ["~ pend", "jane", "not-in-scope, until 2026-12-01 00:00:00Z", "EndUser", "jane"],
            ["~ update", "jane", "displayName: jane → jane", "EndUser", "jane"],
            ["+ return", "jane", "jane jane", "EndUser", "jane"],
            ["+ add", "jane", "jane jane", "EndUser", "jane"],
        ]
    );
}

/// Counts as GitHub might: characters, bytes, or with line breaks of two.
fn length(text: &str) -> usize {
    text.replace('\n', "\r\n").len()
}

#[test]
fn a_comment_is_never_longer_than_github_takes_and_shows_who_goes_first() {
    let mut operations: Vec<Operation> =
        (0..2_000).map(|number| operation(Action::Add, &format!("person{number}"), number)).collect();
    let mut removal = operation(Action::Remove, "zoë", 5_000);
    removal.reason = Some(Verdict::Unlicensed);
    operations.push(removal);
    let large = |name: &str| customer(name, operations.clone());
    let plan = unite(Text::from("tree"), vec![large("contoso"), large("fabrikam")]);
    let markdown = comment(&plan, "my/tree");
    assert!(length(&markdown) <= LIMIT, "{}", length(&markdown));
    assert!(length(&markdown) > LIMIT / 4, "there was room for more: {}", length(&markdown));
    let seen = rendered(&markdown);
    expect_our_tags(&seen, &markdown);
    let outside = seen["outside"].as_str().expect("text");
    assert!(outside.contains("4000 to add, 0 to update, 2 to remove"), "{outside}");
    assert!(outside.contains("more changes of this customer"), "{outside}");
    assert!(outside.contains("This is not the whole plan"), "{outside}");
    assert!(texts(&seen, "code").contains(&"intake plan my/tree"), "it says where the whole plan is");
    let removals = seen["rows"].as_array().expect("rows").iter().filter(|row| row[0] == "- remove");
    assert_eq!(removals.count(), 2, "who goes is shown for both");
}

#[test]
fn of_thousands_of_customers_as_many_are_named_as_fit() {
    let one = |number: u32| {
        customer(&format!("customer-{number:04}"), vec![operation(Action::Add, &"é".repeat(300), 1)])
    };
    let plan = unite(Text::from("tree"), (0..3_000).map(one).collect());
    let markdown = comment(&plan, "");
    assert!(length(&markdown) <= LIMIT, "{}", length(&markdown));
    let seen = rendered(&markdown);
    expect_our_tags(&seen, &markdown);
    let shown = texts(&seen, "code").iter().filter(|code| code.starts_with("customer-")).count();
    assert!((300..3_000).contains(&shown), "{shown}");
    let outside = seen["outside"].as_str().expect("text");
    assert!(outside.contains(&format!("… and {} more customers.", 3_000 - shown)), "{outside}");
    assert!(texts(&seen, "code").contains(&"intake plan"), "it says where the whole plan is");
}

#[test]
fn the_program_writes_the_same_comment_every_time() {
    let here = Installation::new();
    here.default_policy("selection: {securityGroups: [Intake Users]}");
    here.customer_of_files("contoso", &[1, 2, 3]);
    here.customer_of_files("fabrikam", &[4]);
    let first = here.run(&["plan", "--format", "markdown"]).expect(0);
    let second = here.run(&["plan", "--format", "markdown"]).expect(0);
    assert_eq!(first.stdout, second.stdout);
    assert!(first.stdout.starts_with(MARKER), "{}", first.stdout);
    let seen = rendered(&first.stdout);
    expect_our_tags(&seen, &first.stdout);
    assert!(texts(&seen, "code").contains(&"person4@contoso.test"), "{seen:#}");
    here.run(&["apply", "--yes"]).expect(0);
    let nothing = rendered(&here.run(&["plan", "--format", "markdown"]).expect(0).stdout);
    assert!(nothing["outside"].as_str().expect("text").contains("Without changes: , ."), "{nothing:#}");
    assert_eq!(nothing["rows"], serde_json::json!([]));
}
