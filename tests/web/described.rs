//! The API against its own description: by schemathesis, a program of others that makes up requests from it, those
//! that the description allows and those that it forbids.

use std::fs;
use std::process::Command;

use super::{OPERATOR, VIEWER, started, with_tokens};
use crate::support::others::Others;
use crate::support::process::run;

/// That a path is in a candidate twice is refused, and no schema can say so.
const SETTINGS: &str = r#"
[[operations]]
include-name = "POST /plans"
checks.positive_data_acceptance.expected-statuses = [200, 422]
"#;

const KNOWN: &str = r#"
[parameters]
"path.name" = "contoso"
"path.account" = "person1@contoso.test"
"#;

#[test]
fn the_api_keeps_to_its_description_whoever_asks() {
    let here = with_tokens();
    let served = started(&here, &[("adatum", &[1, 2]), ("contoso", &[1, 2, 3])]).with(VIEWER);
    let document = served.get("/api/v1/openapi.json").expect(200).json();
    assert_eq!(document["openapi"], "3.1.1");
    let operations: usize = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .map(|path| path.as_object().expect("methods").len())
        .sum();
    // A viewer asks for whatever comes to mind; an operator for a customer and an account that there are.
    for (token, known) in [(VIEWER, ""), (OPERATOR, KNOWN)] {
        fs::write(here.folder().join("schemathesis.toml"), format!("{known}{SETTINGS}")).expect("written");
        let url = format!("{}/api/v1/openapi.json", served.url());
        let output = run(Command::new(Others::get().python())
            .args(["-m", "schemathesis.cli", "run", &url])
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .args(["--exclude-path-regex", "stream$"])
            .args(["--phases", "coverage,fuzzing", "--checks", "all", "--max-examples", "20"])
            // Wrong tokens have everybody at the same address wait: `access` tries them.
            .args(["--exclude-checks", "ignored_auth"])
            .args(["--seed", "1", "--generation-database", "none", "--no-color"])
            .current_dir(here.folder()));
        // It leaves out the description itself. Two are streams, which have no end that it could wait for.
        let counted = format!("{} selected / {} total", operations - 3, operations - 1);
        assert!(output.contains(&counted), "{output}");
        assert!(!output.contains("FAILURES") && !output.contains("ERRORS"), "{output}");
    }
    served.get("/healthz").expect(200);
    let log = served.end();
    assert!(!log.contains("ERROR"), "{log}");
}
