//! Publishing to SCIM services, with the program itself: against a stand-in that is as wrong as real ones are, and
//! against a server that other people wrote.

mod deviations;
pub(crate) mod fake;
mod guard;
mod paging;
mod reference;
mod story;

use serde_json::Value;

use crate::support::intake::{Installation, Run};

use fake::{ScimFake, TOKEN};

/// The program over a tree of one customer, `contoso`, that publishes to `hr-app`.
struct Site {
    here: Installation,
    fake: ScimFake,
    fields: String,
}

impl Site {
    /// Makes one with these people, and these further fields of the target, which begin with a comma.
    fn new(people: &[u32], fields: &str) -> Self {
        let mut here = Installation::new();
        here.environment("SCIM_TOKEN", TOKEN);
        let fake = ScimFake::start();
        here.operator(&fake.target(fields));
        policies(&here);
        here.customer_of_files("contoso", people);
        Self { here, fake, fields: fields.to_owned() }
    }

    /// Changes the further fields of the target.
    fn target(&mut self, fields: &str) {
        fields.clone_into(&mut self.fields);
        self.here.operator(&self.fake.target(fields));
    }

    /// Writes the people anew.
    fn people(&self, people: &[u32]) {
        self.here.people("contoso", people);
    }

    /// Writes the people anew, with this name for one of them.
    fn rename(&self, people: &[u32], from: &str, to: &str) {
        self.people(people);
        for name in ["contoso.ldif", "contoso.json"] {
            let path = self.here.tree().join(name);
            let text = std::fs::read_to_string(&path).expect("a file");
            self.here.write(name, &text.replace(from, to));
        }
    }

    /// Does a round.
    fn run(&self) -> Run {
        self.here.run(&["run", "--once", "--max-wait", "3s"]).expect(0)
    }

    /// Does a round, and returns the writes that arrived.
    fn writes(&self) -> Vec<String> {
        self.fake.take_seen();
        self.run();
        self.fake.take_writes()
    }

    /// Lets deliveries be due that wait, as if the time had passed.
    fn let_time_pass(&self) {
        self.here.sql("UPDATE outbox SET next_attempt = 0");
    }

    /// Lets the next round compare the target, and try again what was refused.
    fn let_a_day_pass(&self) {
        self.let_time_pass();
        self.here.sql("UPDATE targets SET compared_at = compared_at - 90000000000");
        self.here.sql("UPDATE publications SET asked_at = asked_at - 90000000000, removal_at = removal_at - 90000000000 WHERE status <> 'waiting'");
    }

    /// How many accounts stand so.
    fn count(&self, status: &str) -> u64 {
        let told = self.here.json(&["status"], 0);
        told["targets"][0][status].as_u64().unwrap_or_else(|| panic!("{told:#}"))
    }

    /// What somebody should know of.
    fn unclear(&self) -> Vec<Value> {
        let told = self.here.json(&["status", "--customer", "contoso"], 0);
        told["customers"][0]["publications"][0]["accounts"].as_array().cloned().unwrap_or_default()
    }

    /// The one cause that somebody should know of.
    fn cause(&self) -> String {
        let unclear = self.unclear();
        let [one] = unclear.as_slice() else { panic!("{unclear:#?}") };
        one["cause"].as_str().expect("a cause").to_owned()
    }

    /// The kinds of events about publications, in their order.
    fn events(&self) -> Vec<String> {
        self.here.expect_whole();
        let kinds =
            self.here.events().into_iter().map(|event| event["kind"].as_str().expect("a kind").to_owned());
        kinds.filter_map(|kind| kind.strip_prefix("publication.").map(str::to_owned)).collect()
    }

    /// The names of users that are active.
    fn active(&self) -> Vec<String> {
        let users = self.fake.users().into_iter().filter(|user| user["active"] == true);
        let mut names: Vec<String> =
            users.map(|user| user["userName"].as_str().expect("a name").to_owned()).collect();
        names.sort();
        names
    }
}

/// Writes the policies: everybody in the group, published, without a guard of the import's own.
fn policies(here: &Installation) {
    here.default_policy(
        "selection: {securityGroups: [Intake Users]}\nremoval: {maxPercent: 100, maxCount: 1000, minCount: 1000, maxShrinkPercent: 100, allowEmpty: true}",
    );
    publish(here, "[hr-app]");
}

/// Says where accounts are published.
fn publish(here: &Installation, targets: &str) {
    here.write(
        "options.yaml",
        &format!(
            "apiVersion: intake.dev/v1\nkind: ImportOptions\nmetadata: {{name: published}}\n\
             spec: {{accountType: EndUser, default: true, publish: {targets}}}\n"
        ),
    );
}

/// The name to sign in with of a numbered person.
fn name(number: u32) -> String {
    format!("person{number}@contoso.test")
}

/// What an address answers, if anybody is there.
fn get(url: &str) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        client.get(url).bearer_auth(TOKEN).send().await.ok()?.text().await.ok()
    })
}
