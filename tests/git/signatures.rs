//! Commits are taken from whoever may sign them, by ssh or OpenPGP, and from nobody else.

use std::fs;

use crate::git::Followed;
use crate::support::git_server::{Signed, end_agent, open_pgp_key, ssh_key};
use crate::support::intake::persons;

/// Commits of these, one after the other: those that are taken bring their people.
fn takes_only(followed: &Followed, allowed: &Signed, refused: &[(&Signed, &str)]) {
    followed.repository.commit(allowed);
    followed.repository.push();
    followed.once(0);
    assert_eq!(followed.active(), persons(&[1]));
    let good = followed.repository.head();
    for (signed, because) in refused {
        followed.people("contoso", &[1, 2]);
        let commit = followed.repository.commit(signed);
        followed.repository.push();
        let run = followed.once(1);
        assert!(run.stderr.contains(because), "{because}: {run:?}");
        assert!(run.stderr.contains(&commit[..12]), "{run:?}");
        assert!(run.stderr.contains("`git.verify` names whose commits are taken"), "{run:?}");
        assert_eq!(followed.active(), persons(&[1]), "{because}");
        assert_eq!(followed.tree()["revision"], good.as_str());
        assert!(followed.tree()["fault"].as_str().expect("a fault").contains(because));
    }
    // A commit on top by somebody who may vouches for the tree as it is then.
    followed.repository.commit(allowed);
    followed.repository.push();
    followed.once(0);
    assert_eq!(followed.active(), persons(&[1, 2]));
}

#[test]
fn commits_are_taken_from_allowed_signers_by_ssh() {
    let followed = Followed::new(&[1]);
    let folder = followed.installation.folder().to_owned();
    for name in ["ada", "eve", "old", "gone"] {
        ssh_key(&folder.join(name));
    }
    let public = |name: &str| fs::read_to_string(folder.join(format!("{name}.pub"))).expect("a key");
    // `gone` could still sign on the day that every commit here says it is of, and cannot today.
    let signers = format!(
        "ada@msp.test namespaces=\"git\" {}old@msp.test valid-before=\"20200101\" {}\
         gone@msp.test valid-before=\"20261121\" {}",
        public("ada"),
        public("old"),
        public("gone")
    );
    fs::write(folder.join("signers"), signers).expect("written");
    followed.on_disk("verify: {allowedSigners: signers}\n");
    let key = |name: &str| Signed::Ssh(folder.join(name));
    takes_only(
        &followed,
        &key("ada"),
        &[
            (&Signed::Not, "is not signed"),
            (&key("eve"), "is signed by nobody who may"),
            (&key("old"), "is signed by nobody who may"),
            (&key("gone"), "is signed by nobody who may today"),
        ],
    );
}

#[test]
fn commits_are_taken_from_keys_of_open_pgp() {
    let followed = Followed::new(&[1]);
    let folder = followed.installation.folder().to_owned();
    // Paths of sockets are short, and these are GnuPG's.
    let homes = tempfile::Builder::new().prefix("gpg").tempdir().expect("a folder");
    for name in ["ada", "eve"] {
        open_pgp_key(&homes.path().join(name), name, &folder.join(format!("{name}.asc")));
    }
    ssh_key(&folder.join("ssh"));
    followed.on_disk("verify: {openPgpKeys: ada.asc}\n");
    let key = |name: &str| Signed::OpenPgp(homes.path().join(name));
    takes_only(
        &followed,
        &key("ada"),
        &[
            (&Signed::Not, "is not signed"),
            (&key("eve"), "is signed by nobody who may"),
            (&Signed::Ssh(folder.join("ssh")), "is signed by nobody who may"),
        ],
    );
    for name in ["ada", "eve"] {
        end_agent(&homes.path().join(name));
    }
}

#[test]
fn what_was_in_force_stays_when_signatures_are_asked_for_and_says_so() {
    let followed = Followed::new(&[1]);
    let folder = followed.installation.folder().to_owned();
    ssh_key(&folder.join("ada"));
    let public = fs::read_to_string(folder.join("ada.pub")).expect("a key");
    fs::write(folder.join("signers"), format!("ada@msp.test {public}")).expect("written");
    followed.on_disk("");
    let unsigned = followed.repository.publish();
    followed.once(0);
    followed.on_disk("verify: {allowedSigners: signers}\n");
    let run = followed.once(1);
    assert!(run.stderr.contains("is not signed"), "{run:?}");
    assert_eq!(followed.tree()["revision"], unsigned.as_str());
    assert_eq!(followed.active(), persons(&[1]));

    // A file of signers that cannot be read lets nobody in.
    followed.people("contoso", &[1, 2]);
    followed.repository.commit(&Signed::Ssh(folder.join("ada")));
    followed.repository.push();
    followed.on_disk("verify: {allowedSigners: missing}\n");
    let run = followed.once(1);
    assert!(run.stderr.contains("missing cannot be read"), "{run:?}");
    assert_eq!(followed.active(), persons(&[1]));
    followed.on_disk("verify: {allowedSigners: signers}\n");
    followed.once(0);
    assert_eq!(followed.active(), persons(&[1, 2]));
}
