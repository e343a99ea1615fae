//! A plan in a file: what somebody saw and wants applied, exactly.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::cli::exit::Failure;
use crate::model::digest::{Digest, Digester};
use crate::plan::inert_json::json_text;
use crate::plan::outcome::{FORMAT_VERSION, Plan};
use crate::plan::redact::redact;

/// No plan is larger: a million accounts are about a third of it.
const LARGEST: u64 = 1 << 30;

/// The field that says what everything else in the file was when it was saved.
const SEAL: &str = "seal";

/// How many lines of what changed are shown.
const SHOWN: usize = 100;

/// A plan as it was saved.
#[derive(Debug)]
pub struct SavedPlan {
    /// Over what it does.
    pub digest: Digest,
    /// Whom it is about.
    pub customers: Vec<String>,
    /// Whether it has ids in place of names: then it is compared without names.
    redacted: bool,
    lines: String,
    operations: String,
}

/// Saves a plan: readable for its owner alone, as it holds names, and whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn save(path: &Path, plan: &Plan) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::of(&format!("cannot save the plan to `{}`", path.display()), error)
    };
    let mut value = serde_json::to_value(plan).map_err(|error| failed(&error))?;
    value[SEAL] = seal(&value).to_string().into();
    let json = json_text(&value).map_err(|error| failed(&error))?;
    // Through a link to what it leads to; and what is no file (a pipe, a terminal) is written as it is.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(path).is_ok_and(|about| !about.is_file()) {
        let written = OpenOptions::new().write(true).open(path);
        return written
            .and_then(|mut there| there.write_all(json.as_bytes()))
            .map_err(|error| failed(&error));
    }
    let temporary = beside(path).map_err(|error| failed(&error))?;
    let written = write_new(&temporary, json.as_bytes()).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failed(&error)
    })
}

/// Returns a name in the same folder: only there is renaming one step.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(hidden))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a crash left there is nobody's.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Reads a saved plan.
///
/// # Errors
/// If there is none, or it is none of this version.
pub fn load(path: &Path) -> Result<SavedPlan, Failure> {
    let shown = path.display();
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    read.map_err(|error| Failure::of(&format!("cannot read the plan `{shown}`"), &error))?;
    let broken = |why: &str| {
        Failure::new(format!("`{shown}` is no saved plan: {why}"))
            .hint("`intake plan --out FILE` saves a plan")
    };
    if text.len() as u64 > LARGEST {
        return Err(broken("larger than 1 GiB"));
    }
    let mut value: Value = serde_json::from_str(&text).map_err(|error| broken(&error.to_string()))?;
    drop(text);
    let version = value.get("formatVersion").and_then(Value::as_u64);
    if version != Some(u64::from(FORMAT_VERSION)) {
        return Err(broken("it has another `formatVersion`"));
    }
    let sealed = value.as_object_mut().and_then(|fields| fields.remove(SEAL));
    let Some(sealed) = sealed.as_ref().and_then(Value::as_str).and_then(|seal| seal.parse().ok()) else {
        return Err(broken("it has no `seal`"));
    };
    if seal(&value) != sealed {
        return Err(Failure::new(format!("`{shown}` was edited after it was saved: it is not applied"))
            .hint("save the plan again, and look at it before you apply it"));
    }
    let digest = value
        .get("digest")
        .and_then(Value::as_str)
        .and_then(|digest| digest.parse().ok())
        .ok_or_else(|| broken("it has no `digest`"))?;
    let customers: Option<Vec<String>> = value.get("customers").and_then(Value::as_array).and_then(|all| {
        all.iter().map(|customer| Some(customer.get("name")?.as_str()?.to_owned())).collect()
    });
    let customers = customers.ok_or_else(|| broken("it has no `customers` with names"))?;
    let redacted = value.get("redacted").and_then(Value::as_bool).unwrap_or(false);
    Ok(SavedPlan { digest, customers, redacted, lines: lines(&value), operations: operations(&value) })
}

/// Puts the seal on a plan that belongs to it as it stands: for tests, that look behind the seal.
#[doc(hidden)]
pub fn seal_anew(plan: &mut Value) {
    if let Some(fields) = plan.as_object_mut() {
        fields.remove(SEAL);
        let sealed = seal(plan).to_string();
        plan[SEAL] = sealed.into();
    }
}

/// Computes the seal of a plan: over all of its values, in the order of their names.
fn seal(value: &Value) -> Digest {
    let mut digester = Digester::new("intake saved plan 1");
    digest_value(value, &mut digester);
    digester.finish()
}

fn digest_value(value: &Value, digester: &mut Digester) {
    match value {
        Value::Object(fields) => {
            digester.field("object").field((fields.len() as u64).to_be_bytes());
            for (name, value) in fields.iter().collect::<BTreeMap<_, _>>() {
                digester.field(name);
                digest_value(value, digester);
            }
        }
        Value::Array(values) => {
            digester.field("array").field((values.len() as u64).to_be_bytes());
            values.iter().for_each(|value| digest_value(value, digester));
        }
        Value::String(text) => drop(digester.field("text").field(text)),
        other => drop(digester.field("other").field(other.to_string())),
    }
}

impl SavedPlan {
    /// Returns a plan in the form in which this one was saved.
    fn comparable(&self, plan: &Plan) -> Result<Value, Failure> {
        let value = if self.redacted {
            serde_json::to_value(redact(plan.clone()))
        } else {
            serde_json::to_value(plan)
        };
        value.map_err(|error| Failure::of("cannot compare the plans", &error))
    }

    /// Expects that the file shows the operations of a plan with its digest: whoever looked at it saw
    /// what is applied.
    ///
    /// # Errors
    /// If it shows others.
    pub fn expect_honest(&self, plan: &Plan) -> Result<(), Failure> {
        let now = self.comparable(plan)?;
        if operations(&now) == self.operations {
            return Ok(());
        }
        Err(Failure::new(
            "the saved plan shows other operations than its digest stands for: nothing was written",
        )
        .hint("save the plan again, and look at it before you apply it"))
    }

    /// Returns what a new plan does otherwise, for people: `-` before, `+` now.
    ///
    /// # Errors
    /// If the new plan cannot be written as JSON.
    pub fn difference(&self, plan: &Plan) -> Result<Vec<String>, Failure> {
        let now = self.comparable(plan)?;
        let now = lines(&now);
        let diff = TextDiff::from_lines(self.lines.as_str(), now.as_str());
        let mut changed = diff.iter_all_changes().filter_map(|change| match change.tag() {
            ChangeTag::Delete => Some(format!("- {}", change.value().trim_end())),
            ChangeTag::Insert => Some(format!("+ {}", change.value().trim_end())),
            ChangeTag::Equal => None,
        });
        let mut shown: Vec<String> = changed.by_ref().take(SHOWN).collect();
        let more = changed.count();
        if more > 0 {
            shown.push(format!("… and {more} more lines"));
        }
        if shown.is_empty() {
            shown.push("the same operations, with other details: `intake plan` shows them".to_owned());
        }
        Ok(shown)
    }
}

/// Writes what a plan does, a line for each operation, in the plan's order.
fn lines(plan: &Value) -> String {
    let mut lines = String::new();
    for customer in array(plan, "customers") {
        let name = text(&customer["name"]);
        lines.push_str(&format!("{name}: {}\n", text(&customer["state"])));
        lines.push_str(&operations_of(customer, &name));
    }
    lines
}

/// Writes the operations of a plan alone.
fn operations(plan: &Value) -> String {
    array(plan, "customers")
        .iter()
        .map(|customer| operations_of(customer, &text(&customer["name"])))
        .collect()
}

fn operations_of(customer: &Value, name: &str) -> String {
    let mut lines = String::new();
    for operation in array(customer, "operations") {
        let account = &operation["account"];
        let who = ["userPrincipalName", "samAccountName", "displayName", "directoryId"]
            .iter()
            .filter_map(|field| account[*field].as_str())
            .find(|who| !who.is_empty())
            .unwrap_or("(without a name)");
        let mut line =
            format!("{name}: {} {} {who}", text(&operation["action"]), text(&operation["accountType"]));
        for field in ["reason", "heldBy", "policy"] {
            if let Some(value) = operation[field].as_str() {
                line.push_str(&format!(" {field}={value}"));
            }
        }
        for change in array(operation, "changes") {
            let (before, after) = (text(&change["before"]), text(&change["after"]));
            line.push_str(&format!(" {}: {before} → {after}", text(&change["field"])));
        }
        // One operation is one line, whatever its names hold.
        lines.push_str(&crate::model::text::inert(&line));
        lines.push('\n');
    }
    lines
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "(none)".to_owned(),
        other => other.to_string(),
    }
}

fn array<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::text::Text;
    use crate::plan::outcome::Action;
    use crate::plan::planner::unite;
    use crate::reconcile::fakes::{operation, plan};

    fn united(operations: Vec<crate::plan::outcome::Operation>) -> Plan {
        unite(Text::from("tree"), vec![plan("contoso", 1, operations)])
    }

    #[test]
    fn a_plan_is_saved_for_its_owner_alone_and_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.json");
        fs::write(&path, "older").expect("written");
        let plan = united(vec![operation(Action::Add, 1)]);
        save(&path, &plan).expect("saved");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        let saved = load(&path).expect("loaded");
        assert_eq!(saved.digest, plan.digest);
        assert_eq!(saved.customers, ["contoso"]);
    }

    #[test]
    fn what_changed_since_is_told_by_operation() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.json");
        save(&path, &united(vec![operation(Action::Add, 1), operation(Action::Add, 2)])).expect("saved");
        let now = united(vec![operation(Action::Add, 1), operation(Action::Remove, 3)]);
        let difference = load(&path).expect("loaded").difference(&now).expect("compared");
        assert_eq!(
            difference,
            [
                "- contoso: add EndUser user2@contoso.test policy=staff",
                "+ contoso: remove EndUser user3@contoso.test policy=staff"
            ]
        );
    }

    #[test]
    fn a_plan_that_shows_other_operations_than_its_digest_is_refused_whoever_sealed_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.json");
        let plan = united(vec![operation(Action::Add, 1), operation(Action::Remove, 2)]);
        let mut shown = serde_json::to_value(&plan).expect("JSON");
        shown["customers"][0]["operations"].as_array_mut().expect("a list").pop();
        shown[SEAL] = seal(&shown).to_string().into();
        fs::write(&path, shown.to_string()).expect("written");
        let saved = load(&path).expect("it is sealed");
        assert_eq!(saved.digest, plan.digest);
        let failure = saved.expect_honest(&plan).expect_err("one operation is not shown");
        assert!(failure.what.contains("other operations"), "{}", failure.what);
        save(&path, &plan).expect("saved");
        load(&path).expect("loaded").expect_honest(&plan).expect("as it is");
    }

    #[test]
    fn a_plan_saved_without_names_is_compared_without_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.json");
        let plan = united(vec![operation(Action::Add, 2), operation(Action::Remove, 1)]);
        save(&path, &redact(plan.clone())).expect("saved");
        assert!(!fs::read_to_string(&path).expect("a file").to_lowercase().contains("user2"));
        let saved = load(&path).expect("loaded");
        saved.expect_honest(&plan).expect("the same plan");
        let other = united(vec![operation(Action::Add, 2)]);
        assert!(saved.expect_honest(&other).is_err());
        let difference = saved.difference(&other).expect("compared");
        let gone = crate::reconcile::fakes::key(1).id;
        assert_eq!(difference, [format!("- contoso: remove EndUser {gone} policy=staff")]);
    }

    #[test]
    fn what_is_no_plan_is_an_error_that_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.json");
        for (content, why) in [
            ("{", "line 1"),
            ("[]", "formatVersion"),
            ("{\"formatVersion\": 2}", "formatVersion"),
            ("{\"formatVersion\": 1, \"digest\": \"sha256:12\"}", "seal"),
        ] {
            fs::write(&path, content).expect("written");
            let failure = load(&path).expect_err(content);
            assert!(failure.what.contains(why), "{content}: {}", failure.what);
        }
        assert!(load(&folder.path().join("none")).is_err());
    }
}
