//! The tree in git: fetched from real servers, followed commit by commit, and what is refused.

use std::fs;
use std::path::Path;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::git_server::{GitDaemon, GitOverHttp, Repository, Sshd};
use crate::support::intake::{Installation, Run, Running, persons, until};

mod against;
mod hostile;
mod signatures;
mod story;

/// A repository with a fleet in its folder `customers`, and an installation that follows it.
struct Followed {
    installation: Installation,
    repository: Repository,
}

impl Followed {
    /// Makes one whose customer `contoso` has these people; nothing is committed.
    fn new(people: &[u32]) -> Self {
        let followed = Self { installation: Installation::new(), repository: Repository::new() };
        followed.installation.policy(&["contoso"]);
        followed.people("contoso", people);
        followed
    }

    /// Writes a customer's files of people into the working copy, and whatever else the tree holds.
    fn people(&self, customer: &str, people: &[u32]) {
        self.installation.customer_of_files(customer, people);
        self.take_over();
    }

    /// Copies the installation's tree into the working copy.
    fn take_over(&self) {
        for entry in fs::read_dir(self.installation.tree()).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            self.repository.write(&format!("customers/{name}"), fs::read(&path).expect("a file"));
        }
    }

    /// Writes the operator's file with this `git`.
    fn git(&self, url: &str, lines: &str) {
        self.installation.operator(&format!(
            "git:\n  url: \"{url}\"\n  path: customers\n  interval: 1s\n{}",
            lines.lines().map(|line| format!("  {line}\n")).collect::<String>()
        ));
    }

    /// The repository as a path of this machine: no server, for what is not about servers.
    fn on_disk(&self, lines: &str) {
        self.git(&format!("file://{}", self.repository.served().display()), lines);
    }

    fn start(&self, arguments: &[&str]) -> Running {
        Running::of(&mut self.installation.command(&[&["run"], arguments].concat()))
    }

    fn once(&self, code: i32) -> Run {
        self.start(&["--once"]).end().expect(code)
    }

    fn active(&self) -> std::collections::BTreeSet<String> {
        self.query_accounts("contoso", "active")
    }

    fn query_accounts(&self, customer: &str, state: &str) -> std::collections::BTreeSet<String> {
        self.query(&["accounts"])["accounts"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|account| account["customer"] == customer && account["state"] == state)
            .map(|account| account["samAccountName"].as_str().expect("a name").to_owned())
            .collect()
    }

    fn query(&self, arguments: &[&str]) -> Value {
        let mut command = self.installation.command(&[arguments, &["--format", "json"]].concat());
        let run = Running::of(&mut command).end().expect(0);
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
    }

    /// What `status` says of the tree.
    fn tree(&self) -> Value {
        self.query(&["status"])["tree"].clone()
    }

    /// Waits until a commit is in force and nothing speaks against it.
    fn until_in_force(&self, commit: &str) {
        until(&format!("commit {commit} in force"), || {
            let tree = self.tree();
            tree["revision"] == commit && tree["fault"].is_null()
        });
    }
}

/// Every way to a server: the tree arrives, the commit is on record, a change arrives, and whoever is not
/// let in keeps what there was.
fn follows(followed: &Followed, refuse: impl FnOnce(&Followed) -> String, because: &str) {
    let first = followed.repository.publish();
    followed.once(0);
    assert_eq!(followed.active(), persons(&[1, 2]));
    let events = followed.query(&["history"]);
    let events = events["events"].as_array().expect("a list");
    assert!(events.iter().all(|event| event["revision"] == first.as_str()), "{events:#?}");

    followed.people("contoso", &[1, 2, 3]);
    let second = followed.repository.publish();
    followed.once(0);
    assert_eq!(followed.active(), persons(&[1, 2, 3]));
    assert_eq!(followed.tree()["revision"], second.as_str());
    assert_eq!(followed.tree()["author"], "Ada");
    assert_eq!(followed.tree()["authored"], "2026-11-20T10:30:00+01:00");

    let secret = refuse(followed);
    followed.people("contoso", &[1, 2, 3, 4]);
    followed.repository.publish();
    let run = followed.once(1);
    assert!(run.stderr.contains("the last good tree stays in force"), "{run:?}");
    assert!(run.stderr.contains(because), "{run:?}");
    assert_eq!(followed.active(), persons(&[1, 2, 3]), "by the last good tree");
    let tree = followed.tree();
    assert_eq!(tree["revision"], second.as_str());
    assert!(tree["fault"].as_str().expect("a fault").contains(because), "{tree:#}");
    let shown = format!("{run:?}{tree}");
    // Also as git is handed it.
    for secret in [&secret, &STANDARD.encode(format!("x-access-token:{secret}"))] {
        assert!(secret.is_empty() || !shown.contains(secret), "the secret {secret} is shown: {shown}");
    }
}

#[test]
fn a_tree_comes_over_http_with_a_token() {
    let mut followed = Followed::new(&[1, 2]);
    let server = GitOverHttp::start(&followed.repository, "x-access-token", "t0p-s3cret-token");
    followed.installation.environment("GIT_TOKEN", "t0p-s3cret-token");
    followed.git(&server.url(), "credentialsFrom: {env: GIT_TOKEN}\n");
    follows(
        &followed,
        |followed| {
            let file = followed.installation.folder().join("token");
            fs::write(&file, "0ther-s3cret").expect("written");
            followed.git(&server.url(), &format!("credentialsFrom: {{file: \"{}\"}}\n", file.display()));
            "0ther-s3cret".to_owned()
        },
        "`git.credentialsFrom`: the server does not take it",
    );
    // Whoever renews a token restarts nothing, and may name its user.
    let file = followed.installation.folder().join("token");
    fs::write(&file, "x-access-token:t0p-s3cret-token\n").expect("written");
    followed.once(0);
    assert_eq!(followed.active(), persons(&[1, 2, 3, 4]));

    // A token goes to no other server.
    let elsewhere = GitOverHttp::start(&followed.repository, "x-access-token", "t0p-s3cret-token");
    server.answers(Some((StatusCode::FOUND, elsewhere.url() + "/info/refs?service=git-upload-pack")));
    followed.people("contoso", &[1, 2, 3, 4, 5]);
    followed.repository.publish();
    let run = followed.once(1);
    assert!(run.stderr.contains("write the address to which it leads into `git.url`"), "{run:?}");
    assert_eq!(followed.active(), persons(&[1, 2, 3, 4]));
    server.answers(Some((StatusCode::INTERNAL_SERVER_ERROR, String::new())));
    assert!(followed.once(1).stderr.contains("500"));
    server.answers(None);
    followed.once(0);
    assert_eq!(followed.active(), persons(&[1, 2, 3, 4, 5]));
}

#[test]
fn a_tree_comes_over_ssh_from_a_server_that_is_known() {
    let followed = Followed::new(&[1, 2]);
    let sshd = Sshd::start();
    let known = followed.installation.folder().join("known_hosts");
    sshd.known_hosts(&known, true);
    let access = |key: &Path| {
        format!("credentialsFrom: {{file: \"{}\"}}\nknownHosts: \"{}\"\n", key.display(), known.display())
    };
    let url = sshd.url(&followed.repository);
    followed.git(&url, &access(&sshd.key()));
    follows(
        &followed,
        |followed| {
            followed.git(&url, &access(&sshd.strange_key()));
            String::new()
        },
        "`git.credentialsFrom`: the server does not take it",
    );
    followed.git(&url, &access(&sshd.key()));
    sshd.known_hosts(&known, false);
    let run = followed.once(1);
    assert!(run.stderr.contains("the server's key is not in `git.knownHosts`"), "{run:?}");
    assert_eq!(followed.active(), persons(&[1, 2, 3]));
    sshd.known_hosts(&known, true);
    followed.once(0);
    assert_eq!(followed.active(), persons(&[1, 2, 3, 4]));
    let home = followed.installation.folder().join("intake-git/home");
    let left: Vec<_> =
        fs::read_dir(home).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    assert!(!left.iter().any(|path| path.ends_with("key")), "the private key is gone again: {left:?}");
}

#[test]
fn a_tree_comes_from_the_daemon_of_git_on_this_machine() {
    let followed = Followed::new(&[1, 2]);
    let daemon = GitDaemon::start(&followed.repository);
    followed.git(&daemon.url(), "");
    follows(
        &followed,
        |followed| {
            followed.git(&daemon.url().replace("served", "other"), "");
            String::new()
        },
        "check `git.url`",
    );
}

#[test]
fn the_controller_follows_the_branch_and_stays_where_it_was_while_it_cannot() {
    let followed = Followed::new(&[1, 2]);
    followed.on_disk("");
    let first = followed.repository.publish();
    let mut controller = followed.start(&[]);
    followed.until_in_force(&first);
    until("both imported", || followed.active() == persons(&[1, 2]));

    followed.people("contoso", &[1, 2, 3]);
    let second = followed.repository.publish();
    until("a third one", || followed.active() == persons(&[1, 2, 3]));
    followed.until_in_force(&second);

    // Another history: nothing of it counts, whatever it says.
    crate::support::process::run(followed.repository.git().args(["reset", "-q", "--hard", &first]));
    followed.people("contoso", &[1, 2, 4]);
    let rewritten = followed.repository.publish();
    controller.logs("the branch main was rewritten");
    let tree = followed.tree();
    assert_eq!(tree["revision"], second.as_str());
    assert!(tree["fault"].as_str().expect("a fault").contains(&format!("--accept-rewrite {rewritten}")));
    assert_eq!(followed.active(), persons(&[1, 2, 3]));

    // The server is away, also while the controller starts.
    let away = followed.repository.served().with_extension("away");
    fs::rename(followed.repository.served(), &away).expect("renamed");
    controller.signal("TERM");
    controller.end().expect(0);
    let mut controller = followed.start(&[]);
    controller.logs("the last good tree stays in force");
    until("a fault of the server", || {
        followed.tree()["fault"].as_str().is_some_and(|fault| fault.contains("check `git.url`"))
    });
    assert_eq!(followed.tree()["revision"], second.as_str());
    assert_eq!(followed.active(), persons(&[1, 2, 3]));
    fs::rename(&away, followed.repository.served()).expect("renamed");

    // Somebody says that the new history is right.
    controller.signal("TERM");
    controller.end().expect(0);
    let controller = followed.start(&["--accept-rewrite", &rewritten]);
    followed.until_in_force(&rewritten);
    until("the new history's people", || {
        followed.active() == persons(&[1, 2, 4]) && !followed.query_accounts("contoso", "removed").is_empty()
    });
    controller.signal("TERM");
    controller.end().expect(0);
    followed.installation.expect_whole();
}

#[test]
fn a_branch_or_a_folder_that_is_not_there_leaves_what_was_in_force() {
    let followed = Followed::new(&[1, 2]);
    followed.on_disk("branch: release\n");
    followed.repository.publish();
    let run = followed.once(1);
    assert!(run.stderr.contains("`git.branch` names the branch that is in force"), "{run:?}");
    followed.on_disk("");
    let first = followed.repository.head();
    followed.once(0);
    assert_eq!(followed.active(), persons(&[1, 2]));

    crate::support::process::run(followed.repository.git().args(["mv", "customers", "clients"]));
    let moved = followed.repository.publish();
    let run = followed.once(1);
    assert!(
        run.stderr.contains(&format!("there is no folder `customers` in commit {}", &moved[..12])),
        "{run:?}"
    );
    assert_eq!(followed.tree()["revision"], first.as_str());
    assert_eq!(followed.active(), persons(&[1, 2]), "and nobody is orphaned");

    // A folder that holds no documents is no tree either.
    crate::support::process::run(followed.repository.git().args(["rm", "-rq", "clients"]));
    followed.repository.write("customers/README", "moved");
    followed.repository.publish();
    let run = followed.once(1);
    assert!(run.stderr.contains("no policy files"), "{run:?}");
    assert_eq!(followed.active(), persons(&[1, 2]));
}

#[test]
fn a_folder_that_moved_is_followed_once_the_operator_names_it() {
    let followed = Followed::new(&[1, 2]);
    followed.on_disk("");
    followed.repository.publish();
    followed.once(0);
    crate::support::process::run(followed.repository.git().args(["mv", "customers", "clients"]));
    let moved = followed.repository.publish();
    followed.once(1);
    // What was in force has no such folder: that is no reason to look no further.
    followed.installation.operator(&format!(
        "git: {{url: \"file://{}\", path: clients, interval: 1s}}\n",
        followed.repository.served().display()
    ));
    followed.once(0);
    assert_eq!(followed.tree()["revision"], moved.as_str());
    assert_eq!(followed.active(), persons(&[1, 2]));
    for (interval, code) in [("0s", 1), ("2d", 1), ("1d", 0)] {
        let url = followed.repository.served().display().to_string();
        followed
            .installation
            .operator(&format!("git: {{url: \"file://{url}\", path: clients, interval: {interval}}}\n"));
        followed.once(code);
    }
}

#[test]
fn a_rewritten_branch_is_accepted_once_and_not_for_ever() {
    let followed = Followed::new(&[1]);
    followed.on_disk("");
    followed.repository.publish();
    followed.once(0);
    let git = |arguments: &[&str]| crate::support::process::run(followed.repository.git().args(arguments));
    git(&["commit", "-q", "--amend", "-m", "another history"]);
    followed.repository.push();
    let rewritten = followed.repository.head();
    let controller = followed.start(&["--accept-rewrite", &rewritten]);
    followed.until_in_force(&rewritten);
    followed.people("contoso", &[1, 2]);
    let next = followed.repository.publish();
    followed.until_in_force(&next);
    // Back to the one that was accepted then: that is another rewriting.
    git(&["reset", "-q", "--hard", &rewritten]);
    followed.repository.push();
    until("the branch was rewritten", || {
        followed.tree()["fault"].as_str().is_some_and(|fault| fault.contains("was rewritten"))
    });
    assert_eq!(followed.tree()["revision"], next.as_str());
    drop(controller);
    let run = followed.start(&["--once", "--accept-rewrite", &rewritten[..12]]).end().expect(1);
    assert!(run.stderr.contains("write the whole id of the commit"), "{run:?}");
}

#[test]
fn a_bad_commit_stops_nobody_else_and_is_named_with_its_date_and_line() {
    let followed = Followed::new(&[1, 2]);
    followed.installation.policy(&["contoso", "fabrikam"]);
    followed.people("fabrikam", &[11]);
    followed.on_disk("");
    followed.repository.publish();
    followed.once(0);
    assert_eq!(followed.query_accounts("fabrikam", "active"), persons(&[11]));

    let document = followed.repository.work().join("customers/contoso.yaml");
    let text = fs::read_to_string(&document).expect("a document");
    followed.people("fabrikam", &[11, 12]);
    followed.people("contoso", &[1, 2, 3]);
    followed.repository.write("customers/contoso.yaml", text.replace("displayName", "dispalyName"));
    let bad = followed.repository.publish();
    let run = followed.once(1);
    let named = format!("[commit {} of 2026-11-20T10:30:00+01:00]", &bad[..12]);
    let place = "contoso.yaml:5:3: ";
    let finding = run.stderr.lines().find(|line| line.contains(place)).expect("the finding");
    assert!(finding.contains(&named) && finding.contains("displayName"), "{finding}");
    assert_eq!(followed.query_accounts("fabrikam", "active"), persons(&[11, 12]), "the other went on");
    assert_eq!(followed.active(), persons(&[1, 2]), "and nothing became of it");
    let status = followed.query(&["status"]);
    let customers = status["customers"].as_array().expect("a list");
    let contoso = customers.iter().find(|customer| customer["name"] == "contoso").expect("contoso");
    assert_eq!(contoso["state"], "invalid");
    let message = contoso["message"].as_str().expect("a message");
    assert!(message.contains(place) && message.contains(&named), "{message}");
    assert_eq!(status["tree"]["problems"], 1);
    assert_eq!(status["tree"]["revision"], bad.as_str());
}

#[test]
fn two_controllers_do_not_share_a_copy_and_a_folder_is_not_named_besides() {
    let followed = Followed::new(&[1]);
    followed.on_disk("");
    let first = followed.repository.publish();
    let controller = followed.start(&[]);
    followed.until_in_force(&first);
    let run = followed.once(1);
    assert!(run.stderr.contains("another controller uses"), "{run:?}");
    drop(controller);
    let run = followed.installation.run(&["run", "--once"]).expect(1);
    assert!(run.stderr.contains("the operator's file has `git`, and the folder"), "{run:?}");
    followed.installation.operator("");
    let run = followed.start(&["--once", "--accept-rewrite", &first]).end().expect(1);
    assert!(run.stderr.contains("the operator's file has no `git`"), "{run:?}");
}
