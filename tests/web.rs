//! The HTTP interface of a running controller: real requests to the real program.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::asking::Served;
use crate::support::intake::{Installation, until};

mod access;
mod asked_plans;
mod candidates;
mod described;
mod looking;
mod orders;

const VIEWER: &str = "a-token-that-only-looks";
const OPERATOR: &str = "a-token-that-may-do-things";

/// Makes an installation whose controller listens, for these two tokens.
fn with_tokens() -> Installation {
    let mut here = Installation::new();
    let viewer = here.folder().join("viewer.token");
    fs::write(&viewer, format!("{VIEWER}\n")).expect("written");
    here.operator(&format!(
        "listen: 127.0.0.1:0
auth:
  tokens:
    - {{name: ci, role: viewer, tokenFrom: {{file: {}}}}}
    - {{name: ops, role: operator, tokenFrom: {{env: OPS_TOKEN}}}}
",
        viewer.display()
    ));
    here.environment("OPS_TOKEN", OPERATOR);
    here
}

/// Makes an installation whose controller listens without tokens.
pub(crate) fn without_tokens() -> Installation {
    let here = Installation::new();
    here.operator("listen: 127.0.0.1:0\n");
    here
}

/// Starts the controller over customers of files, and waits until the first turn of each is over. The next one
/// is hours later.
pub(crate) fn started(here: &Installation, people: &[(&str, &[u32])]) -> Served {
    here.default_policy("selection: {securityGroups: [Intake Users]}");
    people.iter().for_each(|(name, people)| here.customer_of_files(name, people));
    let mut served = Served::start(here);
    for (name, _) in people {
        until("its first turn is recorded", || here.status(name) != Value::Null);
        // And told: more is done after it was recorded.
        served.running.first_turn(name);
    }
    served
}

/// Returns a tree's policy files as a candidate.
fn candidate(tree: &Path) -> Value {
    let entries = fs::read_dir(tree).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<Value> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_str().expect("UTF-8");
            json!({"path": name, "content": fs::read_to_string(&path).expect("a file")})
        })
        .collect();
    files.sort_by_key(|file| file["path"].to_string());
    json!({"files": files})
}
