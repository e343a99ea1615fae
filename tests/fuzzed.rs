//! The stored corpus of the fuzz targets, through the very functions that are fuzzed (`fuzz/src/lib.rs`).

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "it is a library of its own where it is fuzzed")]
mod targets;

use std::fs;
use std::path::Path;

/// Replays the corpus of one target; returns how many files it has.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 10, "the corpus of {target} was not found");
    for path in files {
        let data = fs::read(&path).unwrap();
        let result = std::panic::catch_unwind(|| run(&data));
        assert!(result.is_ok(), "{}: see above", path.display());
    }
}

#[test]
fn trees() {
    replay("tree", targets::tree);
}

#[test]
fn directories_in_files() {
    replay("ldif", targets::ldif);
}

#[test]
fn distinguished_names() {
    replay("dn", targets::dn);
}

#[test]
fn pages_of_tenants() {
    replay("graph", targets::graph);
}

#[test]
fn saved_plans() {
    replay("plan", targets::plan);
}
