//! What runs Intake for others: pipelines, a hook, a service and a container, judged by what reads them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use intake::cli::arguments::Arguments;
use serde_json::Value;

use crate::support::others::Others;
use crate::support::process::run;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn example(name: &str) -> PathBuf {
    root().join("examples").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(example(name)).expect("an example")
}

/// A program of Python's packages.
fn program(name: &str) -> Command {
    let mut program = Command::new(Others::get().python().with_file_name(name));
    program.env("PYTHONDONTWRITEBYTECODE", "1");
    program
}

#[test]
fn pipelines_are_what_their_services_take() {
    run(program("check-jsonschema")
        .args(["--builtin-schema", "vendor.github-workflows"])
        .arg(example("ci/github.yml")));
    let gitlab = ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"];
    run(program("check-jsonschema").args(gitlab).arg(example("ci/gitlab.yml")));
}

#[test]
fn an_auditor_of_workflows_has_nothing_to_say() {
    let mut audit = program("zizmor");
    let strict = ["--offline", "--no-progress", "--persona", "pedantic", "--format", "json", "--no-config"];
    let told = run(audit.args(strict).arg(example("ci/github.yml")));
    assert_eq!(serde_json::from_str::<Value>(&told).expect("JSON"), serde_json::json!([]), "{told}");
}

#[test]
fn everything_that_is_fetched_is_pinned_and_nothing_applies() {
    let mut pinned = 0;
    for name in ["ci/github.yml", "ci/gitlab.yml", "deploy/Containerfile"] {
        for line in text(name).lines().map(str::trim) {
            let action = line.strip_prefix("- uses: ").and_then(|action| action.split_once('@'));
            let image = line.strip_prefix("image: ").or(line.strip_prefix("FROM "));
            let digest = match (action, image) {
                (Some((_, rest)), _) => rest.split(' ').next().map(|digest| (digest, 40)),
                (_, Some(image)) => image.split_once("@sha256:").map(|(_, rest)| (&rest[..64], 64)),
                _ => continue,
            };
            let (digest, length) = digest.unwrap_or_else(|| panic!("{name}: not pinned: {line}"));
            assert_eq!(digest.len(), length, "{name}: {line}");
            assert!(digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}: {line}");
            pinned += 1;
        }
        assert!(!text(name).contains("intake apply"), "{name}");
    }
    assert_eq!(pinned, 5);
}

/// Every command of Intake in an example, as words; what follows the program's own arguments is left out.
fn commands(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().map(|line| line.trim().trim_start_matches("- "));
    let lines = lines.map(|line| line.trim_start_matches("run: ").trim_start_matches("entry: "));
    let lines = lines.map(|line| line.trim_start_matches("ExecStart=").trim_start_matches("/usr/local/bin/"));
    lines
        .map(|line| line.trim_start_matches(".intake/bin/"))
        .filter(|line| line.starts_with("intake "))
        .map(|line| line.split(" > ").next().unwrap_or(line).split(' ').map(str::to_owned).collect())
        .collect()
}

#[test]
fn what_examples_type_is_what_the_program_takes() {
    for (name, count) in [
        ("ci/github.yml", 2),
        ("ci/gitlab.yml", 2),
        ("ci/pre-commit-config.yaml", 1),
        ("deploy/intake.service", 1),
    ] {
        let commands = commands(&text(name));
        assert_eq!(commands.len(), count, "{name}: {commands:?}");
        for words in commands {
            let read = Arguments::read(words.iter().map(Into::into));
            assert!(read.is_ok(), "{name}: {words:?}: {}", read.expect_err("an error"));
        }
    }
}

/// The script of a step of a workflow.
fn step(workflow: &str, name: &str) -> String {
    let workflow: Value = serde_saphyr::from_str(&text(workflow)).expect("YAML");
    let steps = workflow["jobs"]["plan"]["steps"].as_array().expect("steps");
    let step = steps.iter().find(|step| step["name"] == name).expect("the step");
    step["run"].as_str().expect("a script").to_owned()
}

/// Puts a program of a few lines before all others.
fn stand_in(folder: &Path, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/bash\n{script}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permitted");
}

fn script(folder: &Path, script: &str) -> Command {
    let mut bash = Command::new("bash");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").expect("a path"));
    // As GitHub's runner starts scripts.
    bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("PATH", path);
    bash
}

#[test]
fn a_comment_that_is_there_is_replaced() {
    let comment = step("ci/github.yml", "Comment");
    for (known, expected) in
        [("", "repos/o/r/issues/7/comments"), ("41", "PATCH repos/o/r/issues/comments/41")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        stand_in(
            folder.path(),
            "gh",
            "case $* in *--jq*) printf '%s' \"$KNOWN\";; *) echo \"$*\" >> asked;; esac",
        );
        let mut comment = script(folder.path(), &comment);
        run(comment.env("KNOWN", known).env("REPOSITORY", "o/r").env("NUMBER", "7"));
        let asked = fs::read_to_string(folder.path().join("asked")).expect("asked");
        assert_eq!(asked.lines().count(), 1, "{asked}");
        assert!(asked.contains(expected) && asked.contains("body=@plan.md"), "{asked}");
    }
}

/// Answers as GitLab does: a page of somebody else's comments, then one that may be ours.
const GITLAB: &str = r#"
grep -q 'PRIVATE-TOKEN: secret' "$CI_PROJECT_DIR/.token" || exit 9
case $* in
    *secret*) exit 9;;
    *page=1) printf 'x-next-page: 2\r\n' > headers; echo '[{"id": 1, "author": {"id": 6}, "body": "<!-- intake plan -->"}]';;
    *page=2) printf 'x-next-page: \r\n' > headers; echo "[{\"id\": 42, \"author\": {\"id\": 5}, \"body\": \"$BODY\"}]";;
    */user) echo '{"id": 5}';;
    *) echo "$*" >> asked;;
esac
"#;

#[test]
fn a_comment_on_a_merge_request_is_replaced() {
    let pipeline: Value = serde_saphyr::from_str(&text("ci/gitlab.yml")).expect("YAML");
    let comment = pipeline["plan"]["script"][1].as_str().expect("a script");
    for (body, expected) in
        [("hello", "api/projects/3/merge_requests/8/notes"), ("<!-- intake plan -->", "notes/42")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        stand_in(folder.path(), "curl", GITLAB);
        let mut comment = script(folder.path(), comment);
        comment.env("CI_API_V4_URL", "api").env("CI_PROJECT_ID", "3").env("CI_MERGE_REQUEST_IID", "8");
        comment.env("CI_PROJECT_DIR", folder.path()).env("INTAKE_COMMENT_TOKEN", "secret");
        run(comment.env("BODY", body));
        let asked = fs::read_to_string(folder.path().join("asked")).expect("asked");
        assert_eq!(asked.lines().count(), 1, "{asked}");
        assert!(asked.trim().ends_with(expected) && asked.contains("body@plan.md"), "{asked}");
        assert_eq!(asked.contains("--request PUT"), body != "hello", "{asked}");
        assert!(!folder.path().join(".token").exists(), "the token stays nowhere");
    }
}

#[test]
fn a_plan_with_something_held_is_shown_and_an_error_ends_the_job() {
    let plan = step("ci/github.yml", "Plan");
    for (code, passes) in [(0, true), (3, true), (1, false)] {
        let folder = tempfile::tempdir().expect("a folder");
        stand_in(folder.path(), "intake", &format!("echo '<!-- intake plan -->'; exit {code}"));
        let mut plan = script(folder.path(), &plan);
        let ended =
            plan.env("GITHUB_STEP_SUMMARY", folder.path().join("summary")).output().expect("bash starts");
        assert_eq!(ended.status.success(), passes, "{code}: {ended:?}");
        for file in ["plan.md", "summary"] {
            let text = fs::read_to_string(folder.path().join(file)).expect("a file");
            assert_eq!(text, "<!-- intake plan -->\n", "{code}");
        }
    }
}

#[test]
fn the_hook_refuses_a_commit_that_breaks_the_tree() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let intake =
        |arguments: &[&str]| run(Command::new(env!("CARGO_BIN_EXE_intake")).args(arguments).current_dir(at));
    intake(&["init", "--customer", "contoso", "--tenant", "contoso.com"]);
    fs::copy(example("ci/pre-commit-config.yaml"), at.join(".pre-commit-config.yaml")).expect("copied");
    let git = |arguments: &[&str]| run(Command::new("git").args(arguments).current_dir(at));
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    let hook = || {
        let programs =
            Path::new(env!("CARGO_BIN_EXE_intake")).parent().expect("a folder").display().to_string();
        let mut hook = program("pre-commit");
        hook.args(["run", "--all-files"]).current_dir(at).env("PRE_COMMIT_HOME", at.join(".git/hooks-cache"));
        hook.env("PATH", format!("{programs}:{}", std::env::var("PATH").expect("a path")));
        hook.output().expect("pre-commit starts")
    };
    let passed = hook();
    assert!(passed.status.success(), "{passed:?}");
    fs::write(at.join("tree/policies/staff.yaml"), "kind: ImportPolice\n").expect("written");
    let refused = hook();
    assert!(!refused.status.success(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("ImportPolicy"), "{refused:?}");
}

#[test]
fn the_service_is_hardened_and_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("intake.service");
    // Where the program is installed it need not be here.
    let text = text("deploy/intake.service").replace("/usr/local/bin/intake", env!("CARGO_BIN_EXE_intake"));
    fs::write(&unit, text).expect("written");
    let analyze = |arguments: &[&str]| {
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(arguments).arg(&unit).env("SYSTEMD_LOG_LEVEL", "warning");
        analyze.output().expect("systemd-analyze starts (is systemd installed?)")
    };
    let verified = analyze(&["verify", "--man=no", "--recursive-errors=no"]);
    assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
    // Exposure from 0 to 100; a service without any of it has 96.
    let judged = analyze(&["security", "--offline=yes", "--no-pager", "--threshold=15"]);
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}

/// Every file that is built into the program, and every target that Cargo.toml names, from the root.
fn compiled_in() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = fs::read_to_string(&path).expect("a source");
            let named = source.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next());
            let folder = path.parent().expect("a folder");
            found.extend(named.map(|named| {
                let file = folder.join(named).canonicalize().expect("a file");
                file.strip_prefix(root()).expect("of the repository").display().to_string()
            }));
        }
    }
    assert!(found.len() > 5, "{found:?}");
    found
}

#[test]
fn the_container_is_built_from_all_that_is_compiled_in() {
    let containerfile = text("deploy/Containerfile");
    let copied: Vec<&str> = containerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--from"))
        .flat_map(|line| line.split(' '))
        .collect();
    for file in compiled_in() {
        assert!(copied.iter().any(|folder| file.starts_with(folder)), "{file} is not in {copied:?}");
    }
    // Cargo wants a file for each target that is named, whether or not it is built.
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    for (kind, folder) in [("[[test]]", "tests"), ("[[bench]]", "benches")] {
        for target in manifest.split(kind).skip(1) {
            let name = target.split('"').nth(1).expect("a name");
            let stub = format!("{folder}/{name}.rs");
            assert!(containerfile.contains(&stub), "{stub} is not made");
        }
    }
}
