//! Holds the source tree to the rules that the compiler does not know: who may name whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Rooms, each with the rooms that it may name besides itself.
const ROOMS: [(&str, &[&str]); 10] = [
    ("model", &[]),
    ("policy", &["model"]),
    ("plan", &["model", "policy"]),
    ("ports", &["model", "policy", "plan"]),
    ("config", &["model", "policy"]),
    ("adapters", &["model", "policy", "plan", "ports", "config"]),
    ("reconcile", &["model", "policy", "plan", "ports"]),
    ("daemon", &["model", "policy", "plan", "ports", "reconcile"]),
    ("web", &["model", "policy", "plan", "ports"]),
    ("cli", &["model", "policy", "plan", "ports", "config", "adapters", "reconcile", "daemon", "web"]),
];

/// Files that adapters share; all others serve one product.
const SHARED_ADAPTERS: [&str; 4] = ["http", "directory_object", "tenant_object", "tenant_group_object"];

/// Outside crates that live in one place for each purpose, so that replacing one is one place's work.
const CRATES: [(&str, &[&str]); 24] = [
    (
        "aws_lc_rs",
        &[
            "src/adapters/graph_certificate",
            "src/adapters/oidc",
            "src/adapters/webhook_signature",
            "src/cli/wiring",
        ],
    ),
    ("jsonwebtoken", &["src/adapters/oidc_token"]),
    ("opentelemetry_otlp", &["src/adapters/otlp"]),
    ("opentelemetry_http", &["src/adapters/otlp"]),
    ("opentelemetry_sdk", &["src/adapters/otlp", "src/cli/logging"]),
    ("tracing_opentelemetry", &["src/cli/logging"]),
    ("x509_parser", &["src/adapters/graph_certificate"]),
    ("ldap3", &["src/adapters/ldap"]),
    ("lber", &["src/adapters/ldap"]),
    ("socket2", &["src/adapters/ldap"]),
    ("reqwest", &["src/adapters/http"]),
    ("backon", &["src/adapters/http"]),
    ("sqlx", &["src/adapters/store"]),
    ("notify", &["src/adapters/folder_watch"]),
    ("prometheus_client", &["src/adapters/prometheus"]),
    ("askama", &["src/web"]),
    ("axum", &["src/web"]),
    ("hyper", &["src/web"]),
    ("hyper_util", &["src/web"]),
    ("subtle", &["src/web"]),
    ("clap", &["src/cli"]),
    ("indicatif", &["src/cli"]),
    ("serde_saphyr", &["src/policy/"]),
    ("annotate_snippets", &["src/policy/"]),
];

/// What code without input and output does not name.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::env",
    "TcpStream",
    "ToSocketAddrs",
    "std::process",
    "tokio",
    "tracing",
    "SystemTime",
    "Timestamp::now",
    "println!",
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "manager", "service"];

struct Source {
    /// From the repository's root, with slashes.
    path: String,
    /// Without its tests and comments.
    code: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(read(&path));
            }
        }
    }
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    assert!(sources.len() > 30, "the sources were not found");
    sources
}

fn read(path: &PathBuf) -> Source {
    let text = std::fs::read_to_string(path).unwrap();
    let before_tests = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code = before_tests
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    Source { path, code, text }
}

fn room_of(path: &str) -> Option<&str> {
    path.strip_prefix("src/")?.split_once('/').map(|(room, _)| room)
}

fn assert_none(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// Returns the words that follow `prefix` in the code, for example rooms after `crate::`.
fn named_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let word =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    code.match_indices(prefix).map(|(at, _)| word(&code[at + prefix.len()..])).collect()
}

#[test]
fn a_room_names_only_rooms_below_it() {
    let rooms: BTreeMap<_, _> = ROOMS.into_iter().collect();
    let mut problems = Vec::new();
    for source in sources() {
        let Some(room) = room_of(&source.path) else { continue };
        let Some(allowed) = rooms.get(room) else {
            problems.push(format!("{}: the room `{room}` is not known", source.path));
            continue;
        };
        for named in named_after(&source.code, "crate::") {
            if named != room && rooms.contains_key(named.as_str()) && !allowed.contains(&named.as_str()) {
                problems.push(format!("{}: names `{named}`, which `{room}` may not", source.path));
            }
        }
    }
    assert_none(problems);
}

#[test]
fn adapters_do_not_name_their_neighbours() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| room_of(&source.path) == Some("adapters")) {
        let file = source.path.trim_start_matches("src/adapters/").trim_end_matches(".rs");
        let product = |name: &str| name.split(['_', '/']).next().unwrap_or_default().to_owned();
        for named in named_after(&source.code, "adapters::") {
            let is_shared =
                SHARED_ADAPTERS.iter().any(|shared| named == *shared || product(&named) == "http");
            if !is_shared && product(&named) != product(file) {
                problems.push(format!("{}: names its neighbour `{named}`", source.path));
            }
        }
    }
    assert_none(problems);
}

#[test]
fn an_outside_crate_lives_in_one_place() {
    let mut problems = Vec::new();
    for source in sources() {
        for (name, places) in CRATES {
            let uses = format!("{name}::");
            let mentions = source.code.match_indices(&uses).any(|(at, _)| {
                !source.code[..at].ends_with(|before: char| {
                    before.is_ascii_alphanumeric() || before == '_' || before == ':'
                })
            });
            if mentions && !places.iter().any(|place| source.path.starts_with(place)) {
                problems.push(format!(
                    "{}: uses {name}, which belongs to {}",
                    source.path,
                    places.join(" and ")
                ));
            }
        }
    }
    assert_none(problems);
}

#[test]
fn nouns_policies_and_plans_do_no_input_or_output() {
    let mut problems = Vec::new();
    for source in sources() {
        if room_of(&source.path).is_some_and(|room| ["model", "policy", "plan"].contains(&room)) {
            let named = OUTSIDE.iter().filter(|outside| source.code.contains(**outside));
            problems.extend(named.map(|outside| format!("{}: names {outside}", source.path)));
        }
    }
    assert_none(problems);
}

#[test]
fn a_mod_file_only_lists_its_children() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.path.ends_with("/mod.rs")) {
        let lines = source.code.lines().filter(|line| !line.trim().is_empty());
        let others = lines.filter(|line| {
            !(line.starts_with("pub mod ") || line.starts_with("mod ")) || !line.ends_with(';')
        });
        problems.extend(others.map(|line| format!("{}: {line}", source.path)));
    }
    assert_none(problems);
}

#[test]
fn every_file_says_in_one_sentence_what_it_is() {
    let opens = |source: &Source| source.text.starts_with("//! ");
    assert_none(sources().iter().filter(|source| !opens(source)).map(|source| source.path.clone()).collect());
}

#[test]
fn file_names_are_nouns_of_the_field() {
    let name = |source: &Source| {
        source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
    };
    let is_empty = |source: &&Source| name(source).split('_').any(|word| EMPTY_NAMES.contains(&word));
    assert_none(sources().iter().filter(is_empty).map(|source| source.path.clone()).collect());
}

#[test]
fn the_architecture_names_every_file_and_no_other() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let named: BTreeSet<String> = text
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|word| word.starts_with("src/") && word.ends_with(".rs"))
        .map(str::to_owned)
        .collect();
    let there: BTreeSet<String> = sources().into_iter().map(|source| source.path).collect();
    let missing = there.difference(&named).map(|path| format!("ARCHITECTURE.md does not name {path}"));
    let gone =
        named.difference(&there).map(|path| format!("ARCHITECTURE.md names {path}, which does not exist"));
    assert_none(missing.chain(gone).collect());
}
