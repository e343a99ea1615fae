//! The HTTP interface of a running controller: real requests to the real program.

use std::fs;

use crate::support::asking::Served;
use crate::support::intake::Installation;

mod access;

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
fn without_tokens() -> Installation {
    let here = Installation::new();
    here.operator("listen: 127.0.0.1:0\n");
    here
}

/// Starts the controller over customers of files, and waits until it imported everybody.
fn started(here: &Installation, people: &[(&str, &[u32])]) -> Served {
    let names: Vec<&str> = people.iter().map(|(name, _)| *name).collect();
    here.policy(&names);
    people.iter().for_each(|(name, people)| here.customer_of_files(name, people));
    let mut served = Served::start(here);
    for name in names {
        served.running.logs(&format!("customer={name} state=\"ready\" added="));
    }
    served
}
