//! Repositories that mean no good, copies that were left in the middle, and what git reads of a machine.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::git::Followed;
use crate::support::intake::{persons, until};
use crate::support::process::{run, run_with_input};

#[test]
fn files_arrive_as_they_are_and_links_lead_nowhere_else() {
    let followed = Followed::new(&[1]);
    followed.on_disk("");
    let secret = followed.installation.folder().join("secret.yaml");
    fs::write(&secret, "kind: Secret\n").expect("written");
    let customers = followed.repository.work().join("customers");
    symlink(&secret, customers.join("leaves.yaml")).expect("a link");
    symlink("contoso.json", customers.join("people.json")).expect("a link");
    // Filters, other line ends and marks change what stands in a checkout. Not here.
    followed.repository.write("customers/.gitattributes", "* filter=evil\n*.yaml text eol=crlf ident\n");
    let document = followed.repository.work().join("customers/contoso.yaml");
    let text = fs::read_to_string(&document).expect("a document");
    let text = text.replace("contoso.json", "people.json") + "# $Id$\n";
    followed.repository.write("customers/contoso.yaml", &text);
    let commit = followed.repository.publish();
    let run = followed.once(1);
    assert!(run.stderr.contains("leaves.yaml") && run.stderr.contains("its link leaves the tree"), "{run:?}");
    let copy = followed.installation.folder().join("intake-git/trees").join(&commit);
    assert_eq!(fs::read_to_string(copy.join("contoso.yaml")).expect("a file"), text);
    assert!(!run.stderr.contains("kind: Secret"));
    // What cannot be read may be anybody's document, so that nobody comes and nobody goes.
    assert_eq!(followed.active(), persons(&[]));
    fs::remove_file(customers.join("leaves.yaml")).expect("removed");
    followed.repository.publish();
    followed.once(0);
    assert_eq!(followed.active(), persons(&[1]), "by a link inside of the tree");
}

#[test]
fn no_setting_of_the_machine_and_no_hook_is_heard() {
    let mut followed = Followed::new(&[1]);
    let folder = followed.installation.folder().to_owned();
    let marker = folder.join("marker");
    let hook = format!("#!/bin/sh\ntouch {}\n", marker.display());
    fs::create_dir(folder.join("hooks")).expect("a folder");
    for name in ["reference-transaction", "post-checkout", "pre-auto-gc"] {
        let path = folder.join("hooks").join(name);
        fs::write(&path, &hook).expect("written");
        run(Command::new("chmod").arg("+x").arg(&path));
    }
    let other = folder.join("other.git");
    let settings = format!(
        "[core]\n\thooksPath = {0}/hooks\n\tsshCommand = {0}/hooks/post-checkout\n\
         [url \"file://{1}\"]\n\tinsteadOf = file://{2}\n",
        folder.display(),
        other.display(),
        followed.repository.served().display()
    );
    fs::write(folder.join(".gitconfig"), &settings).expect("written");
    followed.installation.environment("HOME", folder.display().to_string());
    followed.installation.environment("GIT_CONFIG_GLOBAL", folder.join(".gitconfig").display().to_string());
    followed.installation.environment("GIT_DIR", folder.join("elsewhere").display().to_string());
    followed.installation.environment("GIT_ALLOW_PROTOCOL", "none");
    followed.on_disk("");
    followed.repository.publish();
    followed.once(0);
    assert_eq!(followed.active(), persons(&[1]));
    assert!(!marker.exists(), "a hook ran");
}

#[test]
fn a_copy_that_was_left_in_the_middle_is_used_again() {
    let followed = Followed::new(&[1]);
    followed.on_disk("");
    let first = followed.repository.publish();
    followed.once(0);
    let copy = followed.installation.folder().join("intake-git");
    // What git leaves when it is killed, and half a checkout, and a machine that lost power.
    let remains = [
        "shallow.lock",
        "refs/intake/fetched.lock",
        "refs/intake/in-force.lock",
        "packed-refs.lock",
        "objects/maintenance.lock",
        "objects/pack/tmp_pack_x1",
    ];
    for left in remains {
        fs::write(copy.join("repository").join(left), "").expect("written");
    }
    fs::create_dir(copy.join("trees/half.new")).expect("a folder");
    fs::write(copy.join("trees").join(&first).join("contoso.yaml"), "").expect("written");
    followed.people("contoso", &[1, 2]);
    let second = followed.repository.publish();
    followed.once(0);
    assert_eq!(followed.active(), persons(&[1, 2]));
    assert!(!remains.iter().any(|left| copy.join("repository").join(left).exists()), "it is tidied up");
    let trees: Vec<_> = fs::read_dir(copy.join("trees"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    assert!(trees.contains(&second) && trees.len() <= 2, "{trees:?}");
    // Where all files are gone and the server is away, the copy still has them.
    fs::remove_dir_all(copy.join("trees")).expect("removed");
    fs::rename(followed.repository.served(), followed.repository.served().with_extension("away"))
        .expect("renamed");
    let run = followed.once(1);
    assert!(run.stdout.contains("contoso: ready"), "{run:?}");
    assert_eq!(followed.active(), persons(&[1, 2]));
    // A copy that is damaged is no tree at all, and nobody goes by it.
    fs::remove_dir_all(copy.join("repository/objects")).expect("removed");
    let run = followed.once(1);
    assert!(run.stderr.contains("what was in force cannot be used"), "{run:?}");
    assert_eq!(followed.active(), persons(&[1, 2]));
}

#[test]
fn a_record_that_was_lost_lets_no_other_history_in() {
    let followed = Followed::new(&[1]);
    followed.on_disk("");
    followed.repository.publish();
    followed.once(0);
    // As a file system leaves it that lost power.
    let record = followed.installation.folder().join("intake-git/repository/refs/intake/in-force");
    fs::write(record, "").expect("written");
    let run = followed.once(1);
    assert!(run.stderr.contains("the record of the commit in force is damaged"), "{run:?}");
    assert_eq!(followed.active(), persons(&[1]));
}

#[test]
fn a_tree_of_a_billion_files_is_refused_before_it_fills_the_memory() {
    let followed = Followed::new(&[1]);
    followed.on_disk("");
    let good = followed.repository.publish();
    followed.once(0);
    // Each folder holds the one before it ten times, under a long name: nine objects, a billion files.
    let git = |arguments: &[&str]| run(followed.repository.git().args(arguments)).trim().to_owned();
    let mut object = git(&["hash-object", "-w", "customers/contoso.yaml"]);
    let long = "x".repeat(200);
    for level in 0..9 {
        let (mode, kind) = if level == 0 { ("100644", "blob") } else { ("040000", "tree") };
        let lines: String = (0..10).map(|one| format!("{mode} {kind} {object}\t{one}{long}\n")).collect();
        let made = run_with_input(followed.repository.git().arg("mktree"), &lines);
        object = made.trim().to_owned();
    }
    let top = run_with_input(
        followed.repository.git().arg("mktree"),
        &format!("040000 tree {object}\tcustomers\n"),
    );
    let commit = git(&["commit-tree", "-m", "bomb", "-p", &good, top.trim()]);
    git(&["push", "-q", "origin", &format!("{commit}:main")]);
    let run = followed.once(1);
    assert!(run.stderr.contains("printed more than 64 MiB"), "{run:?}");
    assert_eq!(followed.tree()["revision"], good.as_str());
    assert_eq!(followed.active(), persons(&[1]));
}

#[test]
fn a_controller_that_is_killed_at_any_moment_goes_on_where_it_was() {
    let followed = Followed::new(&[1]);
    followed.on_disk("");
    followed.repository.publish();
    for round in 0..12_u64 {
        let last = u32::try_from(round).expect("a number") + 2;
        followed.people("contoso", &(1..=last).collect::<Vec<_>>());
        followed.repository.publish();
        let mut controller = followed.start(&[]);
        std::thread::sleep(std::time::Duration::from_millis(round * 37));
        controller.kill();
    }
    let head = followed.repository.head();
    let controller = followed.start(&[]);
    followed.until_in_force(&head);
    until("all of them", || followed.active() == persons(&(1..=13).collect::<Vec<_>>()));
    drop(controller);
    followed.installation.expect_whole();
}
