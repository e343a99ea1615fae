//! A technician's day: a change on a branch, its plan on the pull request, the merge, what becomes of it,
//! and back again.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::git::Followed;
use crate::support::asking::Served;
use crate::support::git_server::{GitOverHttp, Signed, ssh_key};
use crate::support::intake::{Running, persons, until};
use crate::support::process::run;
use crate::support::receiver::Receiver;

const TOKEN: &str = "a-token-of-the-git-server";
const VIEWER: &str = "a-token-that-only-looks";

/// What the receiver was told of changes, in words.
fn changes(receiver: &Receiver) -> Vec<String> {
    let told = receiver.told();
    let changed = told.iter().filter(|event| event["type"] == "dev.intake.customer.changed");
    changed.map(|event| event["data"].to_string()).collect()
}

fn account(followed: &Followed, name: &str) -> Value {
    let accounts = followed.query(&["accounts"])["accounts"].clone();
    let found =
        accounts.as_array().expect("a list").iter().find(|one| one["samAccountName"] == name).cloned();
    found.unwrap_or_else(|| panic!("no {name} in {accounts:#}"))
}

/// The revisions by which something happened to somebody.
fn revisions(followed: &Followed, name: &str, kind: &str) -> Vec<String> {
    let events = followed.query(&["history", "--kind", kind])["events"].clone();
    let events = events.as_array().expect("a list").iter();
    let of_person = events.filter(|event| event["subject"].as_str().is_some_and(|who| who.starts_with(name)));
    of_person.map(|event| event["revision"].as_str().expect("a revision").to_owned()).collect()
}

#[test]
fn from_a_pull_request_to_its_revert() {
    let everybody = [1, 2, 3, 4, 5, 6];
    let mut followed = Followed::new(&everybody);
    let folder = followed.installation.folder().to_owned();
    ssh_key(&folder.join("ada"));
    let ada = Signed::Ssh(folder.join("ada"));
    let public = fs::read_to_string(folder.join("ada.pub")).expect("a key");
    fs::write(folder.join("signers"), format!("ada@msp.test {public}")).expect("written");
    let server = GitOverHttp::start(&followed.repository, "x-access-token", TOKEN);
    let receiver = Receiver::start();
    followed.installation.environment("GIT_TOKEN", TOKEN);
    followed.installation.environment("VIEWER_TOKEN", VIEWER);
    followed.installation.operator(&format!(
        "listen: 127.0.0.1:0
auth: {{tokens: [{{name: ci, role: viewer, tokenFrom: {{env: VIEWER_TOKEN}}}}]}}
git:
  url: \"{}\"
  path: customers
  interval: 1s
  credentialsFrom: {{env: GIT_TOKEN}}
  verify: {{allowedSigners: signers}}
{}",
        server.url(),
        receiver.notify("changed, held, failed, recovered")
    ));
    let begin = followed.repository.commit(&ada);
    followed.repository.push();
    let mut controller = Served::of(followed.start(&[]));
    until("everybody is imported", || followed.active() == persons(&everybody));
    until("somebody was told", || changes(&receiver).len() == 1);
    let before = account(&followed, "person6");

    // A branch, and the plan of what it would change, by a job that has nothing but a token.
    let git = |arguments: &[&str]| run(followed.repository.git().args(arguments));
    git(&["checkout", "-q", "-b", "leave"]);
    let document = followed.repository.work().join("customers/contoso.yaml");
    let text = fs::read_to_string(&document).expect("a document");
    let exclude = "  exclude: [{account: person6@contoso.test, reason: left}]\n";
    fs::write(&document, text.clone() + exclude).expect("written");
    followed.repository.commit(&Signed::Not);
    let ask = |token: Option<&str>| {
        let elsewhere = tempfile::tempdir().expect("a folder");
        let mut plan = std::process::Command::new(env!("CARGO_BIN_EXE_intake"));
        plan.args(["plan", "--against", "main", "--format", "markdown", "--server", &controller.url()])
            .arg(followed.repository.work().join("customers"))
            .current_dir(elsewhere.path())
            .env_remove("INTAKE_STATE")
            .env_remove("INTAKE_TOKEN")
            .envs(token.map(|token| ("INTAKE_TOKEN", token)))
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        Running::of(&mut plan).end()
    };
    let comment = ask(Some(VIEWER)).expect(0).stdout;
    assert!(comment.starts_with("<!-- intake plan -->"), "{comment}");
    assert!(comment.contains("| \\- remove | `person6@contoso.test` | excluded |"), "{comment}");
    assert!(!comment.contains("person5"), "{comment}");
    ask(None).expect(1);
    assert_eq!(account(&followed, "person6"), before, "a plan is a plan");

    // Merged by somebody who does not sign: it stays where it was, and says so.
    git(&["checkout", "-q", "main"]);
    git(&["merge", "-q", "--no-ff", "--no-gpg-sign", "-m", "Merge leave", "leave"]);
    followed.repository.push();
    controller.running.logs("is not signed");
    assert_eq!(followed.tree()["revision"], begin.as_str());
    assert_eq!(followed.active(), persons(&everybody));

    // Signed by whom it should be: it happens, and is told.
    let merged = followed.repository.commit(&ada);
    followed.repository.push();
    until("one has left", || followed.active() == persons(&[1, 2, 3, 4, 5]));
    assert_eq!(followed.query_accounts("contoso", "removed"), persons(&[6]));
    until("somebody was told", || changes(&receiver).len() == 2);
    assert!(changes(&receiver)[1].contains("person6@contoso.test"), "{:?}", changes(&receiver));
    assert_eq!(revisions(&followed, "person6", "account.removed"), [merged]);

    // Reverted: the register is as it was.
    fs::write(&document, text).expect("written");
    let reverted = followed.repository.commit(&ada);
    followed.repository.push();
    until("everybody is back", || followed.active() == persons(&everybody));
    assert_eq!(followed.query_accounts("contoso", "removed"), BTreeSet::new());
    assert_eq!(account(&followed, "person6"), before, "the same account, with its day of import");
    until("somebody was told", || changes(&receiver).len() == 3);
    assert_eq!(revisions(&followed, "person6", "account.added"), [begin]);
    assert_eq!(revisions(&followed, "person6", "account.returned"), [reverted]);
    let log = controller.end();
    for secret in [TOKEN, VIEWER] {
        assert!(!log.contains(secret), "{log}");
    }
    followed.installation.expect_whole();
}
