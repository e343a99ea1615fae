//! `scim2-server`, which other people wrote, by exact version (`tests/others`).

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::fake::TOKEN;
use super::{get, name, policies};
use crate::support::intake::Installation;
use crate::support::others::Others;

/// The server; ends when dropped.
struct Reference {
    child: Child,
    url: String,
}

impl Reference {
    /// Starts one on a free port, which announces this, or what it announces by itself.
    fn start(configuration: Option<&Value>) -> Self {
        let others = Others::get();
        let folder = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let mut command = Command::new(others.python().with_file_name("scim2-server"));
        command.args(["--hostname", "127.0.0.1", "--bearer-token", TOKEN, "--port", &port.to_string()]);
        if let Some(configuration) = configuration {
            let path = folder.path().join("configuration.json");
            std::fs::write(&path, configuration.to_string()).expect("written");
            command.arg("--service-provider-config").arg(path);
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("scim2-server starts");
        let stderr = child.stderr.take().expect("a pipe");
        std::thread::spawn(move || BufReader::new(stderr).lines().for_each(drop));
        let url = format!("http://127.0.0.1:{port}/v2");
        let reference = Self { child, url };
        let deadline = Instant::now() + Duration::from_secs(60);
        while reference.try_get("/ServiceProviderConfig").is_none() {
            assert!(Instant::now() < deadline, "scim2-server does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        reference
    }

    fn try_get(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&get(&format!("{}{path}", self.url))?).ok()
    }

    fn users(&self) -> Vec<Value> {
        let listing = self.try_get("/Users?count=1000").expect("a listing");
        listing["Resources"].as_array().cloned().unwrap_or_default()
    }

    fn active(&self) -> Vec<String> {
        let users = self.users().into_iter().filter(|user| user["active"] == true);
        let mut names: Vec<String> =
            users.map(|user| user["userName"].as_str().expect("a name").to_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn story(configuration: Option<&Value>) {
    let reference = Reference::start(configuration);
    let mut here = Installation::new();
    here.environment("SCIM_TOKEN", TOKEN);
    let target = format!(
        "targets: {{hr-app: {{scim: {{url: \"{}\", tokenFrom: {{env: SCIM_TOKEN}}, removal: {{maxPercent: 100, maxCount: 100}}}}}}}}\n",
        reference.url
    );
    here.operator(&target);
    policies(&here);
    let people: Vec<u32> = (1..=20).collect();
    here.customer_of_files("contoso", &people);
    here.run(&["run", "--once"]).expect(0);
    assert_eq!(reference.active().len(), 20);
    let before = reference.users();
    here.run(&["run", "--once"]).expect(0);
    assert_eq!(reference.users(), before, "nothing was written, not even a version");

    here.people("contoso", &people[..15]);
    here.run(&["run", "--once"]).expect(0);
    assert_eq!((reference.active().len(), reference.users().len()), (15, 20));
    here.people("contoso", &people);
    for file in ["contoso.ldif", "contoso.json"] {
        let text = std::fs::read_to_string(here.tree().join(file)).expect("a file");
        here.write(file, &text.replace(&name(20), "janet@contoso.test"));
    }
    here.run(&["run", "--once"]).expect(0);
    assert_eq!((reference.active().len(), reference.users().len()), (20, 20));
    assert!(reference.active().contains(&"janet@contoso.test".to_owned()));
    let status = here.json(&["status"], 0);
    assert_eq!(status["targets"][0]["published"], 20, "{status:#}");
    here.expect_whole();
    let before = reference.users();
    here.run(&["run", "--once"]).expect(0);
    assert_eq!(reference.users(), before);
}

#[test]
fn a_real_server_shows_what_is_wanted_and_a_second_run_writes_nothing() {
    story(None);
}

#[test]
fn a_real_server_without_bulk_and_versions_as_well() {
    let reference = Reference::start(None);
    let mut configuration = reference.try_get("/ServiceProviderConfig").expect("a configuration");
    drop(reference);
    configuration["bulk"]["supported"] = json!(false);
    configuration["etag"]["supported"] = json!(false);
    configuration.as_object_mut().expect("members").remove("meta");
    story(Some(&configuration));
}
