//! What somebody found who used the program: each was so, and is not any more.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::graph::{ALWAYS, At, Fault, GraphFake, Place};
use crate::support::intake::{Installation, Run, Running, ldif_source, persons, snapshot_source, until};
use crate::support::terminal::Terminal;

/// An installation with one customer of files whose people are imported.
fn imported(people: &[u32]) -> Installation {
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", people);
    here.run(&["apply", "--yes"]).expect(0);
    here
}

/// Writes the policy with a grace of a week.
fn with_grace(here: &Installation) {
    here.policy(&["contoso"]);
    let policy = fs::read_to_string(here.tree().join("staff.yaml")).expect("a policy");
    let selection = "  selection: {securityGroups: [Intake Users]}\n";
    here.write("staff.yaml", &policy.replace(selection, &format!("{selection}  removal: {{grace: 7d}}\n")));
}

/// Runs a command line on a terminal of its own, types once it asks, and returns what the terminal
/// showed and the exit code.
fn on_a_terminal(here: &Installation, line: &str, wait_for: &str, keys: &str) -> (String, Option<i32>) {
    let mut terminal = at_the_question(here, line, wait_for);
    terminal.types(keys);
    let (code, shown) = terminal.end();
    (shown, code)
}

/// Runs a command line on a terminal of its own, up to where it asks.
fn at_the_question(here: &Installation, line: &str, wait_for: &str) -> Terminal {
    // In place of the shell: one that waits for the program ends by Ctrl-C as well.
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("exec {line}")])
        .env("PATH", path_with_intake())
        .env_remove("INTAKE_STATE")
        .env("TERM", "xterm")
        .current_dir(here.folder());
    let terminal = Terminal::start(&command);
    terminal.shows(wait_for);
    terminal
}

fn path_with_intake() -> std::ffi::OsString {
    let folder = Path::new(env!("CARGO_BIN_EXE_intake")).parent().expect("a folder").to_owned();
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&others))).expect("a PATH")
}

#[test]
fn a_file_that_is_half_saved_for_a_moment_orphans_nobody() {
    let (here, controller, before) = loop {
        let here = imported(&[1, 2, 3]);
        let mut controller = here.start(&["run"]);
        controller.logs("tree read");
        let policy = fs::read(here.tree().join("staff.yaml")).expect("a policy");
        let before = here.status("contoso")["revision"].clone();
        let begun = Instant::now();
        fs::write(here.tree().join("staff.yaml"), "").expect("cut");
        // A customer's file changes meanwhile, so that there is a turn to wait for.
        here.customer("contoso", "Renamed", &ldif_source("contoso"), &snapshot_source("contoso"));
        // Somebody's slow editor: the time is what is tested.
        std::thread::sleep(Duration::from_secs(1));
        fs::write(here.tree().join("staff.yaml"), policy).expect("saved");
        // An editor that stood still for as long as a tree is left alone is another story: the scene is set anew.
        if begun.elapsed() < Duration::from_secs(2) {
            break (here, controller, before);
        }
    };
    until("the change is acted on", || here.status("contoso")["revision"] != before);
    controller.signal("TERM");
    controller.end().expect(0);
    assert!(here.events().iter().all(|event| event["kind"] != "account.orphaned"));
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2, 3]));
}

#[test]
fn a_tree_without_a_document_is_an_error_and_orphans_nobody() {
    let here = imported(&[1, 2]);
    let empty = here.folder().join("empty");
    fs::create_dir(&empty).expect("a folder");
    fs::write(empty.join("notes.yaml"), "# nothing yet\n---\n").expect("written");
    for arguments in [&["validate"][..], &["plan"], &["apply", "--yes"], &["run", "--once"], &["run"]] {
        let run = Running::of(here.command(arguments).arg(&empty)).end().expect(1);
        assert!(run.stderr.contains("no policy files in"), "{arguments:?}: {run:?}");
    }
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2]));
}

#[test]
fn a_tree_that_is_emptied_under_the_controller_stays_in_force() {
    let here = imported(&[1, 2]);
    let mut controller = here.start(&["run"]);
    controller.logs("tree read");
    here.delete("staff.yaml");
    here.delete("contoso.yaml");
    controller.logs("the last good tree stays in force");
    controller.signal("TERM");
    let run = controller.end().expect(0);
    assert!(run.stderr.contains("no policy files in"), "{run:?}");
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2]));
}

#[test]
fn a_controller_on_a_missing_folder_says_so_and_nothing_else() {
    let here = Installation::new();
    let run = Running::of(here.command(&["run"]).arg("no-such-folder")).end().expect(1);
    assert!(run.stderr.starts_with("error: "), "{run:?}");
    assert!(!run.stderr.contains("WARN"), "{run:?}");
    assert!(!here.state().exists(), "no register is made for it");
}

#[test]
fn the_line_that_lets_a_hold_go_works_as_it_is_printed() {
    let here = imported(&[1, 2, 3, 4, 5, 6, 7, 8]);
    here.people("contoso", &[1, 2]);
    let tree = here.folder().join("it's a tree");
    fs::rename(here.tree(), &tree).expect("renamed");
    let run = Running::of(here.command(&["plan"]).arg("it's a tree")).end().expect(3);
    let mut lines = run.stdout.lines().skip_while(|line| !line.contains("or, for one run:"));
    let line = lines.nth(1).expect("a line to type").trim().to_owned();
    let output = Command::new("sh")
        .args(["-c", &format!("{line} --yes")])
        .env_remove("INTAKE_STATE")
        .current_dir(here.folder())
        .output()
        .expect("a shell");
    assert_eq!(output.status.code(), Some(0), "{line}\n{output:?}");
    assert_eq!(here.names("contoso", "removed"), persons(&[3, 4, 5, 6, 7, 8]));
}

#[test]
fn the_line_that_applies_a_saved_plan_works_as_it_is_printed() {
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1, 2]);
    let state = "sqlite:other register.db";
    let run = here.run(&["plan", "--state", state, "--out", "the plan.json"]).expect(0);
    let line = run.stderr.lines().find_map(|line| line.split_once("exactly this: ")).expect("a line").1;
    let output = Command::new("sh").args(["-c", line]).current_dir(here.folder()).output().expect("a shell");
    assert_eq!(output.status.code(), Some(0), "{line}\n{output:?}");
    assert!(here.folder().join("other register.db").exists());
}

#[test]
fn who_only_waits_is_not_told_as_removed_and_who_returns_not_as_new() {
    let here = imported(&[1, 2, 3]);
    with_grace(&here);
    here.people("contoso", &[1, 2]);
    let plan = here.run(&["plan"]).expect(0).stdout;
    assert!(plan.contains("Plan: 0 to add, 0 to update, 1 to remove, 0 held; 2 unchanged."), "{plan}");
    let waits = "Of these: 1 not removed yet but waiting for its grace (until ";
    assert!(plan.contains(waits), "{plan}");
    let applied = here.run(&["apply", "--yes"]).expect(0).stdout;
    let last = applied.split_once("Applied: ").expect("the last lines").1;
    assert!(last.contains(waits), "{applied}");
    let accounts = here.run(&["accounts"]).expect(0).stdout;
    let waiting = accounts.lines().find(|line| line.contains("person3")).expect("person3");
    assert!(waiting.contains("pendingRemoval until 20") && waiting.contains("(not-in-scope)"), "{waiting}");
    for text in [&plan, &applied, &accounts] {
        let times: Vec<&str> = text.split("until ").skip(1).collect();
        assert!(!times.is_empty() && times.iter().all(|time| time[19..].starts_with('Z')), "{text}");
    }
    here.people("contoso", &[1, 2, 3]);
    let returned = here.run(&["apply", "--yes"]).expect(0).stdout;
    assert!(returned.contains("Of these: 1 added again that was known before."), "{returned}");
}

#[test]
fn orphaned_accounts_are_told_by_the_log_and_by_status() {
    let here = imported(&[1, 2]);
    here.customer_of_files("fabrikam", &[3]);
    here.policy(&["fabrikam"]);
    let mut controller = here.start(&["run"]);
    until("they are orphaned", || here.names("contoso", "orphaned") == persons(&[1, 2]));
    until("its turn is recorded", || here.status("contoso")["message"] != "");
    let told = "2 accounts were imported by `staff`";
    controller.logs(told);
    controller.signal("TERM");
    let run = controller.end().expect(0);
    assert!(run.stderr.lines().any(|line| line.contains("WARN") && line.contains(told)), "{run:?}");
    let status = here.status("contoso");
    assert_eq!(status["state"], "ready");
    assert!(status["message"].as_str().expect("a message").contains(told), "{status}");
    assert!(here.run(&["status"]).expect(0).stdout.contains(told));
}

#[test]
fn a_suspended_customer_with_held_removals_counts_as_held() {
    let here = imported(&[1, 2, 3, 4, 5, 6, 7, 8]);
    here.people("contoso", &[1]);
    let file = fs::read_to_string(here.tree().join("contoso.yaml")).expect("a customer");
    here.write("contoso.yaml", &file.replace("spec:\n", "spec:\n  suspend: true\n"));
    for arguments in [&["plan"][..], &["apply", "--yes"], &["run", "--once"]] {
        here.run(arguments).expect(3);
    }
    assert_eq!(here.names("contoso", "active").len(), 8);
}

#[test]
fn json_holds_hostile_names_exactly_and_inert() {
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1]);
    let ldif = fs::read_to_string(here.tree().join("contoso.ldif")).expect("a directory");
    // `a`, U+202E, `b` in base64.
    here.write("contoso.ldif", &ldif.replace("cn: Person 1\n", "cn: Person 1\ndisplayName:: YeKArmI=\n"));
    let plan = here.run(&["plan", "--format", "json", "--out", "plan.json"]).expect(0).stdout;
    here.run(&["apply", "--yes"]).expect(0);
    let accounts = here.run(&["accounts", "--format", "json"]).expect(0).stdout;
    let history = here.run(&["history", "--format", "json"]).expect(0).stdout;
    let saved = fs::read_to_string(here.folder().join("plan.json")).expect("a plan");
    for text in [&plan, &accounts, &saved] {
        assert!(text.contains("a\\u202eb"), "{text}");
    }
    for text in [&plan, &accounts, &saved, &history] {
        assert!(!text.contains('\u{202e}'), "{text:?}");
    }
    assert_eq!(here.accounts()[0]["displayName"], "a\u{202e}b");
}

#[test]
fn an_apply_that_is_interrupted_while_it_reads_says_that_nothing_was_applied() {
    let graph = GraphFake::spawn();
    graph.tenant("contoso.test").people(3);
    let mut here = Installation::new();
    here.policy(&["contoso"]);
    here.people("contoso", &[1, 2, 3]);
    let tenant = here.graph_source("contoso", &graph);
    here.customer("contoso", "Contoso", &ldif_source("contoso"), &tenant);
    graph.fault(At::users(), Fault::Hang, ALWAYS);
    for signal in ["INT", "TERM"] {
        let before = graph.count(Place::Users);
        let apply = here.start(&["apply", "--yes"]);
        until("it asks the tenant", || graph.count(Place::Users) > before);
        apply.signal(signal);
        let run = apply.end().expect(1);
        assert!(run.stderr.contains("interrupted: nothing was applied"), "{run:?}");
    }
    assert!(here.accounts().is_empty());
}

#[test]
fn an_apply_that_is_interrupted_before_it_writes_says_how_far_it_got() {
    let here = Installation::new();
    let people: Vec<u32> = (1..=900).collect();
    here.policy(&["a", "b"]);
    here.customer_of_files("a", &people);
    here.customer_of_files("b", &people);
    // More than a pipe holds, so that it stands still until somebody reads the plan.
    let mut child = here.command(&["apply", "--yes"]).arg(here.tree()).spawn().expect("the program starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut first = [0; 1];
    std::io::Read::read_exact(&mut stdout, &mut first).expect("it shows the plan");
    let killed = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
    assert!(killed.expect("kill").success());
    let caught = Path::new("/proc").join(child.id().to_string()).join("status");
    until("the signal is taken", || {
        let status = fs::read_to_string(&caught).expect("a process");
        status
            .lines()
            .any(|line| line.starts_with("ShdPnd:") && line.trim_end().ends_with("0000000000000000"))
    });
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).expect("the plan");
    let output = child.wait_with_output().expect("an end");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("interrupted: ") && told.contains(" of 2 customers applied"), "{told}");
}

#[test]
fn an_interrupt_at_the_question_says_that_nothing_was_applied() {
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1, 2]);
    let line = "intake apply --config operator.yaml tree";
    let (shown, code) = on_a_terminal(&here, line, "Only `yes` is taken", "\u{3}");
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("interrupted: nothing was applied"), "{shown}");
    assert!(here.accounts().is_empty());
}

#[test]
fn what_the_fleet_has_no_room_for_any_more_when_somebody_says_yes_is_held() {
    let here = Installation::new();
    here.operator("fleet: {maxRemovals: 3}\n");
    here.policy(&["a", "b"]);
    let all: Vec<u32> = (1..=30).collect();
    for name in ["a", "b"] {
        here.customer_of_files(name, &all);
    }
    here.run(&["apply", "--yes"]).expect(0);
    for name in ["a", "b"] {
        here.people(name, &[&all[..28], &[31]].concat());
    }
    let line = "intake apply --config operator.yaml --customer a tree";
    let mut terminal = at_the_question(&here, line, "Only `yes` is taken");
    here.run(&["run", "--once", "--customer", "b"]).expect(0);
    terminal.types("yes\r");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(3), "{shown}");
    assert!(shown.contains("a: not as shown: ") && shown.contains("Applied: 1 added"), "{shown}");
    let everybody: Vec<u32> = (1..=31).collect();
    assert_eq!(here.names("a", "active"), persons(&everybody));
    here.expect_whole();
}

#[test]
fn whoever_is_asked_sees_the_plan_also_where_stdout_is_a_file() {
    let here = Installation::new();
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1, 2]);
    let line = "intake apply --config operator.yaml tree >out.txt";
    let (shown, code) = on_a_terminal(&here, line, "Only `yes` is taken", "yes\r");
    assert_eq!(code, Some(0), "{shown}");
    let (plan, _) = shown.split_once("Apply this plan?").expect("the question");
    assert!(plan.contains("2 to add"), "{shown}");
    assert!(!shown.contains("0/0 customers"), "{shown}");
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2]));
}

#[test]
fn one_problem_of_the_operators_file_is_one() {
    let here = Installation::new();
    here.operator("concurency: 3\n");
    let run = here.run(&["plan"]).expect(1);
    assert!(run.stderr.contains("has 1 problem\n"), "{run:?}");
}

/// Returns the commands of the tutorial, a text for each block.
fn tutorial() -> Vec<String> {
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("a README");
    let (_, tutorial) = readme.split_once("## Tutorial").expect("a tutorial");
    let (tutorial, _) = tutorial.split_once("### Exit codes").expect("its end");
    let blocks = tutorial.split("```sh\n").skip(1);
    blocks.map(|block| block.split_once("```").expect("a block's end").0.to_owned()).collect()
}

#[test]
fn a_saved_plan_that_was_edited_is_refused() {
    let here = imported(&[1, 2, 3]);
    here.people("contoso", &[1, 2]);
    here.run(&["plan", "--out", "plan.json"]).expect(0);
    let file = here.folder().join("plan.json");
    let saved = fs::read_to_string(&file).expect("a plan");
    // Any word that somebody reads before saying yes, and those that decide what is compared.
    let digest =
        saved.split("\"digest\": \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a digest");
    let other = format!("sha256:{}", "0".repeat(64));
    for (from, to) in [
        ("\"remove\": 1", "\"remove\": 0"),
        ("person3", "person4"),
        ("not-in-scope", "unlicensed"),
        ("\"name\": \"contoso\"", "\"name\": \"fabrikam\""),
        (digest, &other),
    ] {
        let edited = saved.replace(from, to);
        assert_ne!(edited, saved, "{from}");
        fs::write(&file, edited).expect("edited");
        let run = here.run(&["apply", "--plan", "plan.json"]).expect(1);
        assert!(run.stderr.contains("was edited after it was saved"), "{run:?}");
    }
    let mut unsealed: serde_json::Value = serde_json::from_str(&saved).expect("JSON");
    unsealed.as_object_mut().expect("an object").remove("seal");
    fs::write(&file, unsealed.to_string()).expect("edited");
    assert!(here.run(&["apply", "--plan", "plan.json"]).expect(1).stderr.contains("has no `seal`"));
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2, 3]));
    fs::write(&file, saved).expect("as it was");
    here.run(&["apply", "--plan", "plan.json"]).expect(0);
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2]));
}

#[test]
fn a_plan_is_saved_through_a_link_and_into_what_is_no_file() {
    let here = imported(&[1, 2, 3]);
    let real = here.folder().join("real.json");
    fs::write(&real, "old").expect("written");
    std::os::unix::fs::symlink(&real, here.folder().join("link.json")).expect("a link");
    here.run(&["plan", "--out", "link.json"]).expect(0);
    assert!(fs::read_to_string(&real).expect("a plan").contains("formatVersion"));
    assert!(fs::symlink_metadata(here.folder().join("link.json")).expect("a link").is_symlink());
    let pipe = here.folder().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).expect("a plan")
    });
    here.run(&["plan", "--out", "pipe"]).expect(0);
    assert!(reader.join().expect("a reader").contains("formatVersion"));
    assert!(!fs::metadata(&pipe).expect("a pipe").is_file());
}

#[test]
fn an_approval_that_lets_nothing_go_is_an_error_and_one_that_does_is_told_of_nobody_else() {
    let here = imported(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    here.policy(&["contoso", "fabrikam"]);
    here.customer_of_files("fabrikam", &[1, 2]);
    here.run(&["apply", "--yes"]).expect(0);
    here.people("contoso", &[1, 2, 3]);
    let wrong = format!("sha256:{}", "0".repeat(64));
    let run = here.run(&["apply", "--yes", "--approve", &wrong]).expect(1);
    assert!(
        run.stderr.contains(&format!("`--approve {wrong}` approves nothing that is held now")),
        "{run:?}"
    );
    let plan = here.json(&["plan"], 3);
    let approval = plan["customers"][0]["approval"].as_str().expect("a digest").to_owned();
    let run = here.run(&["apply", "--yes", "--approve", &approval]).expect(0);
    assert!(!run.stdout.contains("approval-unknown"), "{run:?}");
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2, 3]));
    let run = here.run(&["apply", "--yes", "--approve", &approval]).expect(1);
    assert!(run.stderr.contains("approves nothing that is held now"), "{run:?}");
}

#[test]
fn a_record_of_nobody_is_not_verified() {
    let here = imported(&[1]);
    here.run(&["history", "--verify"]).expect(0);
    let run = here.run(&["history", "--verify", "--state", "sqlite:typo.db"]).expect(1);
    assert!(run.stderr.contains("there is nothing to verify"), "{run:?}");
}

#[test]
fn an_unmarked_file_that_is_written_slowly_removes_nobody() {
    let here = Installation::new();
    let unmarked = |people: &[u32]| {
        here.write(
            "contoso.ldif",
            &format!("version: 1\n\n{}", crate::support::intake::directory(people, people)),
        );
    };
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1, 2, 3]);
    unmarked(&[1, 2, 3]);
    here.run(&["apply", "--yes"]).expect(0);
    // As far as it was written, twice: each time another file.
    for people in [&[1][..], &[1, 2]] {
        unmarked(people);
        let run = here.run(&["apply", "--yes"]).expect(0);
        assert!(run.stdout.contains("for the next complete reading"), "{run:?}");
        assert_eq!(here.names("contoso", "active"), persons(&[1, 2, 3]));
    }
    // At rest, it is believed.
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2]));
}

#[test]
fn the_tutorial_works_as_it_is_typed() {
    let clone = tempfile::tempdir().expect("a folder");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    std::os::unix::fs::symlink(examples, clone.path().join("examples")).expect("a link");
    let blocks = tutorial();
    assert!(blocks[0].contains("cargo install"), "{blocks:?}");
    let mut shown = Vec::new();
    let mut approval = String::new();
    for block in &blocks[1..] {
        // There is no terminal to ask on, and nobody to copy the digest.
        let script = block
            .replace("intake apply tree  ", "intake apply tree --yes  ")
            .replace("--approve sha256:…", &format!("--approve {approval} --yes"))
            // In place of the shell: it is what Ctrl-C ends.
            .replace("intake run ", "exec intake run ");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script])
            .env("PATH", path_with_intake())
            .env_remove("INTAKE_STATE")
            .current_dir(clone.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut shell = Running::of(&mut command);
        if script.contains("exec intake run ") {
            shell.logs("tree read");
            shell.signal("INT");
        }
        let Run { stdout, stderr, .. } = shell.end();
        assert!(!stderr.contains("error") && !stderr.contains("not found"), "{script}\n{stdout}\n{stderr}");
        if let Some((_, digest)) = stdout.split_once("--approve ") {
            approval = digest.lines().next().expect("a digest").trim().to_owned();
        }
        shown.push(stdout + &stderr);
    }
    let find = |text: &str| shown.iter().any(|shown| shown.contains(text));
    assert!(find("1 customer, no errors."), "{shown:#?}");
    assert!(find("Plan: 0 to add, 0 to update, 0 to remove, 0 held;"), "{shown:#?}");
    assert!(approval.starts_with("sha256:"), "{shown:#?}");
    assert!(
        shown
            .iter()
            .any(|shown| shown.contains("Applied: 0 added, 0 updated, ") && !shown.contains(" 0 removed")),
        "{shown:#?}"
    );
    assert!(find("tree read") && find("stopped"), "{shown:#?}");
    assert!(find("contoso: whole, "), "{shown:#?}");
}
