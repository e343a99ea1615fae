//! `POST plans`: what a candidate would do, told from what was read before.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

use super::{OPERATOR, VIEWER, candidate, started, with_tokens, without_tokens};
use crate::support::asking::{Answer, Served};
use crate::support::graph::{GraphFake, SECRET, e3};
use crate::support::intake::{Installation, PATIENCE, snapshot_source, until};

/// Sends a candidate.
fn plan(served: &Served, candidate: &Value) -> Answer {
    served.post("/api/v1/plans", &candidate.to_string())
}

/// Returns a customer of a plan.
fn customer<'a>(plan: &'a Value, name: &str) -> &'a Value {
    let customers = plan["customers"].as_array().expect("customers");
    customers
        .iter()
        .find(|customer| customer["name"] == name)
        .unwrap_or_else(|| panic!("no {name}: {plan:#}"))
}

/// Takes what only the interface says out of an answer.
fn without_extras(mut answer: Value) -> Value {
    let fields = answer.as_object_mut().expect("an object");
    fields.remove("problems").expect("problems");
    fields.remove("readAt").expect("times");
    answer
}

/// Returns all bytes of the store, those that wait beside its file included.
fn store(here: &Installation) -> Vec<Vec<u8>> {
    let beside = |suffix: &str| fs::read(format!("{}{suffix}", here.state().display())).unwrap_or_default();
    vec![beside(""), beside("-wal")]
}

/// A tree beside another one, with another policy.
fn narrower(here: &Installation) -> Installation {
    let there = here.elsewhere();
    there.default_policy(
        "selection: {securityGroups: [Intake Users]}\nexclude: [{account: person2, reason: left}]\n\
         removal: {grace: 0s}",
    );
    there
}

#[test]
fn a_candidate_is_answered_by_the_plan_that_its_sources_give_and_nothing_is_written() {
    let here = with_tokens();
    let served = started(&here, &[("a", &[1, 2, 3]), ("b", &[2, 4])]).with(VIEWER);
    let there = narrower(&here);
    // A watch begins with a change: the tree is read again some seconds after the start, which is written down.
    until("the tree is looked at again", || {
        let tree = here.json(&["status"], 0)["tree"].clone();
        tree["lookedAt"] != tree["since"]
    });
    let before = store(&here);
    let answer = plan(&served, &candidate(&there.tree())).expect(200).json();
    assert_eq!(store(&here), before, "a plan writes nothing");
    assert_eq!(answer["problems"], json!([]));
    assert_eq!(answer["readAt"].as_object().expect("times").len(), 2);
    assert_eq!(answer["summary"]["remove"], 2, "{answer:#}");
    let mut direct = here.command(&["plan", "--format", "json"]);
    let direct = crate::support::intake::Running::of(direct.arg(there.tree())).end().expect(0);
    let direct: Value = serde_json::from_str(&direct.stdout).expect("JSON");
    assert_eq!(without_extras(answer), direct);

    // The same tree changes nothing, and one customer of it is enough.
    let same = plan(&served, &candidate(&here.tree())).expect(200).json();
    assert_eq!(same["summary"], json!({"add": 0, "update": 0, "remove": 0, "hold": 0, "unchanged": 5}));
    let mut one = candidate(&there.tree());
    one["customers"] = json!(["b"]);
    let one = plan(&served, &one).expect(200).json();
    assert_eq!(one["customers"].as_array().expect("customers").len(), 1);
    assert_eq!(customer(&one, "b")["summary"]["remove"], 1);
    served.end();
}

#[test]
fn what_is_wrong_in_a_candidate_is_told_as_validate_tells_it() {
    let here = without_tokens();
    let served = started(&here, &[("a", &[1]), ("b", &[2])]);
    let there = here.elsewhere();
    there.write(
        "b.yaml",
        "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {name: b}\nspec: {tennant: x}\n",
    );
    let answer = plan(&served, &candidate(&there.tree())).expect(200).json();
    let validated = there.json(&["validate"], 1);
    assert_eq!(answer["problems"], validated["problems"]);
    assert_eq!(answer["revision"], validated["revision"]);
    assert_eq!(customer(&answer, "b")["state"], "invalid");
    assert_eq!(customer(&answer, "a")["state"], "ready");
    // What cannot even be read may be a policy for everybody.
    there.write("broken.yaml", "kind: [\n");
    let answer = plan(&served, &candidate(&there.tree())).expect(200).json();
    assert_eq!(answer["problems"], there.json(&["validate"], 1)["problems"]);
    assert_eq!(customer(&answer, "a")["state"], "invalid");
    // A customer whose file is missing is planned as one that left the tree; no account goes.
    there.delete("broken.yaml");
    there.delete("b.yaml");
    let answer = plan(&served, &candidate(&there.tree())).expect(200).json();
    let gone = customer(&answer, "b");
    assert_eq!(gone["operations"][0]["changes"][0]["after"], "orphaned", "{gone:#}");
    // One that could not be read may be the one that is missing.
    let mut partial = candidate(&there.tree());
    let unreadable = json!({"path": "b.yaml", "unreadable": "permission denied"});
    partial["files"].as_array_mut().expect("files").push(unreadable);
    let answer = plan(&served, &partial).expect(200).json();
    assert_eq!(customer(&answer, "b")["state"], "invalid");
    assert!(answer["problems"][0]["what"].as_str().expect("words").contains("permission denied"));
    served.end();
}

#[test]
fn readings_of_one_source_never_answer_for_another_one() {
    let here = without_tokens();
    let served = started(&here, &[("a", &[1, 2]), ("b", &[3])]);
    let asked_of = |there: &Installation| plan(&served, &candidate(&there.tree())).expect(200).json();
    let expect_unreadable = |there: &Installation, name: &str, words: &str| {
        let answer = asked_of(there);
        let found = customer(&answer, name);
        assert_eq!(found["state"], "unreadable", "{found:#}");
        assert_eq!(found["operations"], json!([]), "{found:#}");
        let told = found["findings"].to_string();
        assert!(told.contains(words), "no `{words}`: {told}");
        assert!(answer["readAt"].get(name).is_none(), "{answer:#}");
        assert_eq!(customer(&answer, "b")["state"], "ready");
    };
    // The directory of somebody else, whose people would take the place of everybody here.
    let there = here.elsewhere();
    there.customer("a", "a", "{ldif: {file: other.ldif}}", &snapshot_source("a"));
    expect_unreadable(&there, "a", "the directory `main` is another one");
    there.customer("a", "a", "{ldif: {file: a.ldif}}", "{snapshot: {file: other.json}}");
    expect_unreadable(&there, "a", "the tenant is another one");
    there.customer("a", "a", "{name: head, ldif: {file: a.ldif}}", &snapshot_source("a"));
    expect_unreadable(&there, "a", "the directory `head` was never read");
    // A server, where there was a file: nobody calls it either.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a setting");
    let url = format!("ldap://{}", listener.local_addr().expect("an address"));
    there.customer("a", "a", &format!("{{ldap: {{urls: [\"{url}\"]}}}}"), &snapshot_source("a"));
    expect_unreadable(&there, "a", "the directory `main` is another one");
    assert!(listener.accept().is_err(), "the source of a candidate was called");
    // A customer whom nobody read yet.
    let there = here.elsewhere();
    there.customer_of_files("new", &[5]);
    let answer = asked_of(&there);
    assert_eq!(customer(&answer, "new")["state"], "unreadable");
    assert!(customer(&answer, "new")["findings"].to_string().contains("no complete reading of it yet"));
    assert_eq!(customer(&answer, "a")["state"], "ready");
    served.end();
}

#[test]
fn a_tree_whose_source_was_changed_is_not_answered_from_before_that() {
    let here = without_tokens();
    let served = started(&here, &[("a", &[1, 2])]);
    // In force, but not there to be read: what was kept is still of the old one.
    here.customer("a", "a", "{ldif: {file: missing.ldif}}", &snapshot_source("a"));
    until("it was tried", || here.status("a")["state"] == "unreadable");
    let answer = plan(&served, &candidate(&here.tree())).expect(200).json();
    assert_eq!(customer(&answer, "a")["state"], "unreadable", "{answer:#}");
    served.end();
}

#[test]
fn the_operators_limits_hold_for_a_candidate() {
    let here = without_tokens();
    here.operator(
        "listen: 127.0.0.1:0\nlimits: {removal: {maxCount: 30}}\nfleet: {maxRemovals: 1, window: 1h}\n",
    );
    let served = started(&here, &[("a", &[1, 2, 3]), ("b", &[2, 4])]);
    let there = narrower(&here);
    let answer = plan(&served, &candidate(&there.tree())).expect(200).json();
    assert_eq!(customer(&answer, "a")["summary"]["remove"], 1, "{answer:#}");
    assert_eq!(customer(&answer, "b")["operations"][0]["heldBy"], "fleet-removal-limit", "{answer:#}");
    there.default_policy("selection: {securityGroups: [Intake Users]}\nremoval: {maxCount: 50}");
    let answer = plan(&served, &candidate(&there.tree())).expect(200).json();
    assert_eq!(answer["problems"][0]["rule"], "not-permitted", "{answer:#}");
    assert_eq!(customer(&answer, "a")["state"], "invalid");
    served.end();
}

#[test]
fn no_secret_is_read_for_a_candidate_and_none_is_told() {
    const SECRET: &str = "the-secret-of-a";
    let mut here = with_tokens();
    here.secret("INTAKE_SECRET_A__LDAP", SECRET);
    let served = started(&here, &[("a", &[1])]).with(VIEWER);
    let there = here.elsewhere();
    for variable in ["INTAKE_SECRET_A__LDAP", "OPS_TOKEN"] {
        let bind = format!("bind: {{dn: \"CN=x\", passwordFrom: {{env: {variable}}}}}");
        let source = format!("{{ldap: {{urls: [\"ldaps://127.0.0.1:1\"], {bind}}}}}");
        there.customer("a", "a", &source, &snapshot_source("a"));
        let answer = plan(&served, &candidate(&there.tree())).expect(200);
        for secret in [SECRET, OPERATOR, VIEWER] {
            assert!(!answer.body.contains(secret), "{answer:?}");
        }
        let expected = if variable == "OPS_TOKEN" { "invalid" } else { "unreadable" };
        assert_eq!(customer(&answer.json(), "a")["state"], expected);
    }
    let log = served.end();
    assert!(!log.contains(SECRET) && !log.contains(OPERATOR), "{log}");
}

#[test]
fn what_is_no_candidate_is_refused_with_the_reason() {
    let here = without_tokens();
    let served = started(&here, &[("a", &[1])]);
    let path = "/api/v1/plans";
    for (content, status, words) in [
        ("", 400, "no candidate"),
        ("{", 400, "no candidate"),
        ("{\"files\": 3}", 400, "no candidate"),
        ("{\"files\": [{\"path\": \"a.yaml\"}]}", 400, "exactly one of"),
        ("{\"files\": []}", 422, "no file"),
        ("{\"files\": [{\"path\": \"../a.yaml\", \"content\": \"\"}]}", 422, "leads out of the tree"),
        ("{\"files\": [{\"path\": \"/a.yaml\", \"content\": \"\"}]}", 422, "no path"),
        ("{\"files\": [{\"path\": \"\\u001b[31m\\u202e.txt\", \"content\": \"\"}]}", 422, "\\u{1b}"),
        (
            "{\"files\": [{\"path\": \"a.yaml\", \"content\": \"\"}], \"customers\": [\"aa\"]}",
            422,
            "no customer `aa`",
        ),
    ] {
        let refused = served.post(path, content).expect(status);
        assert!(refused.detail().contains(words), "{content}: {refused:?}");
        assert!(!refused.body.contains('\u{1b}') && !refused.body.contains('\u{202e}'), "{refused:?}");
    }
    let near = candidate(&here.tree());
    let near = served.post(path, &json!({"files": near["files"], "customers": ["aa"]}).to_string());
    assert_eq!(near.expect(422).json()["hint"], "did you mean `a`?");
    served.ask("POST", path, &[], b"{}").expect(415);
    served.ask("POST", path, &[("Content-Type", "text/plain")], b"{}").expect(415);
    let wrong = served.get(path).expect(405);
    assert_eq!(wrong.headers["allow"], "POST");
    // What says that it is too large is refused before any of it is taken in.
    let json = ("Content-Type", "application/json");
    let large = (65 << 20).to_string();
    served.ask("POST", path, &[json, ("Content-Length", &large)], b"").expect(413);
    // Too many files, each as small as it can be.
    let many: Vec<String> =
        (0..100_001).map(|number| format!("{{\"path\":\"{number}.yaml\",\"content\":\"\"}}")).collect();
    served.post(path, &format!("{{\"files\":[{}]}}", many.join(","))).expect(400);
    served.end();
}

#[test]
fn hostile_names_in_a_candidate_come_back_as_data() {
    let here = without_tokens();
    let served = started(&here, &[("a", &[1])]);
    let there = here.elsewhere();
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &(0..8)
            .map(|level| {
                let (from, to) = ((b'a' + level) as char, (b'b' + level) as char);
                format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 9].join(", "))
            })
            .collect::<String>();
    let mut hostile = candidate(&there.tree());
    let files = hostile["files"].as_array_mut().expect("files");
    files.push(json!({"path": "bomb.yaml", "content": bomb}));
    files
        .push(json!({"path": "</script>\u{202e}\u{1b}[2J.yaml", "content": "kind: \u{1b}[31m<img src=x>\n"}));
    let answer = plan(&served, &hostile).expect(200);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    let problems = answer.json()["problems"].clone();
    assert!(problems.as_array().expect("problems").len() >= 2, "{problems:#}");
    let told = answer.json()["problems"].to_string();
    assert!(!told.contains('\u{202e}') && !told.contains("\\u001b"), "{told}");
    served.end();
}

#[test]
fn groups_of_a_tenant_answer_for_whom_they_were_read_for() {
    let graph = GraphFake::spawn();
    let tenant = graph.tenant("contoso.test");
    let roles = ["User.Read.All", "LicenseAssignment.Read.All", "GroupMember.Read.All"];
    tenant.people(5).sku(e3()).roles(&roles);
    tenant.group(1, "Intake Users").members(1, &[1, 2]).group(2, "Office").members(2, &[3]);
    let mut here = without_tokens();
    let source = here.graph_source("contoso", &graph);
    let document = format!(
        "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {{name: contoso}}\nspec:\n  tenant: {source}\n"
    );
    here.write("contoso.yaml", &document);
    here.default_policy("selection: {entraGroups: [Intake Users]}");
    let served = Served::start(&here);
    until("its first turn is over", || here.status("contoso")["state"] == "ready");
    assert_eq!(here.accounts().len(), 2);
    graph.forget_requests();
    let there = here.elsewhere();
    let asked = |selection: &str| {
        there.default_policy(&format!("selection: {selection}"));
        let answer = plan(&served, &candidate(&there.tree())).expect(200);
        assert!(!answer.body.contains(SECRET), "{answer:?}");
        answer.json()
    };
    let same = asked("{entraGroups: [intake users]}");
    assert_eq!(customer(&same, "contoso")["state"], "ready", "{same:#}");
    assert_eq!(same["summary"]["unchanged"], 2);
    // Everybody of the tenant was read, whoever selects them.
    let all = asked("{licensed: true}");
    assert_eq!(all["summary"]["add"], 3, "{all:#}");
    // Whether there is another group, and who is in it, nobody asked.
    let other = asked("{entraGroups: [Intake Users, Office]}");
    assert_eq!(customer(&other, "contoso")["state"], "unreadable", "{other:#}");
    let told = customer(&other, "contoso")["findings"].to_string();
    assert!(told.contains("the group `office` of the tenant was never read"), "{told}");
    assert!(graph.requests().is_empty(), "the tenant was asked for a candidate");
    served.end();
}

#[test]
fn whoever_comes_while_others_are_planned_is_told_to_come_back() {
    let here = without_tokens();
    let served = started(&here, &[("a", &[1])]);
    // As many as are taken in at once, who begin to send and go on for ever.
    let begin = || {
        let mut stream = TcpStream::connect(served.address).expect("a connection");
        let head = format!(
            "POST /api/v1/plans HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\
             Expect: 100-continue\r\n\r\n",
            served.address
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        // Who is told to go on has a place.
        let mut told = [0_u8; 25];
        stream.read_exact(&mut told).expect("an answer");
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream
    };
    let slow: Vec<TcpStream> = (0..8).map(|_| begin()).collect();
    let asked = || served.post("/api/v1/plans", "{");
    let refused = asked().expect(503);
    assert_eq!(refused.headers["retry-after"], "5");
    // Everything else is answered all the same.
    served.get("/readyz").expect(200);
    drop(slow);
    until("there is a place", || asked().status == 400);
    served.end();
}
