//! What came of a scenario, in the words in which scenarios expect it.

use std::collections::{BTreeMap, BTreeSet};

use intake::model::account::{AccountType, Verdict};
use intake::plan::outcome::{Action, CustomerPlan, Operation};

use super::document::Scenario;

/// Returns in what a plan differs from what was expected, a line each; none if in nothing.
pub(super) fn differences(scenario: &Scenario, plan: &CustomerPlan) -> Vec<String> {
    let expected = &scenario.expect;
    let known: BTreeSet<&String> = scenario.register.accounts.iter().map(|account| &account.sam).collect();
    let mut differences = Vec::new();
    let mut compare = |what: &str, expected: String, found: String| {
        if expected != found {
            differences.push(format!("{what}:\n      expected {expected}\n      found    {found}"));
        }
    };
    compare("state", expected.state.clone(), plan.state.code().to_owned());

    let found: Vec<String> = plan.operations.iter().map(line).collect();
    compare("operations", shown(&expected.operations), shown(&align(&expected.operations, found)));

    // A known account that a rule leaves out is told by its operation; whether it is listed among
    // those not imported, too, is nobody's promise.
    let not_imported: BTreeMap<String, Verdict> = plan
        .not_imported
        .iter()
        .map(|left_out| {
            let account = &left_out.account;
            let name = name_of(&account.sam_account_name, account.user_principal_name.as_deref());
            (name, left_out.verdict)
        })
        .filter(|(account, _)| expected.not_imported.contains_key(account) || !known.contains(account))
        .collect();
    compare("notImported", verdicts(&expected.not_imported), verdicts(&not_imported));

    let kept: BTreeMap<String, Verdict> =
        plan.kept.iter().map(|kept| (kept.account.sam_account_name.to_string(), kept.verdict)).collect();
    compare("kept", verdicts(&expected.kept), verdicts(&kept));

    let findings: Vec<String> = plan.findings.iter().map(|finding| finding.code.code().to_owned()).collect();
    match &expected.findings_include {
        Some(some) => {
            let missing: Vec<String> = some.iter().filter(|code| !findings.contains(code)).cloned().collect();
            compare("findings that are missing", shown(&[]), shown(&missing));
        }
        None => {
            compare("findings", shown(expected.findings.as_deref().unwrap_or_default()), shown(&findings));
        }
    }

    // However a scenario turns out, what is counted is what is listed.
    let count = |actions: &[Action]| {
        plan.operations.iter().filter(|operation| actions.contains(&operation.action)).count() as u64
    };
    let counted = format!(
        "{} add, {} update, {} remove, {} hold",
        plan.summary.add, plan.summary.update, plan.summary.remove, plan.summary.hold
    );
    let listed = format!(
        "{} add, {} update, {} remove, {} hold",
        count(&[Action::Add, Action::Return]),
        count(&[Action::Update]),
        count(&[Action::Pend, Action::Remove]),
        count(&[Action::Hold])
    );
    compare("summary", listed, counted);
    if plan.summary.hold > 0 && plan.approval.is_none() {
        differences.push("something is held, and there is no digest to approve".to_owned());
    }
    differences
}

/// Returns the sAMAccountName; of somebody of the tenant alone what stands before the `@`.
fn name_of(sam_account_name: &str, user_principal_name: Option<&str>) -> String {
    match user_principal_name.and_then(|name| name.split('@').next()) {
        Some(local) if sam_account_name.is_empty() => local.to_owned(),
        _ => sam_account_name.to_owned(),
    }
}

/// Writes an operation as `ACTION [Administrator] SAM [REASON] [FIELD, …] [until …] [(MORE)]`.
fn line(operation: &Operation) -> String {
    let mut line = operation.action.code().to_owned();
    if operation.key.account_type == AccountType::Administrator {
        line.push_str(" Administrator");
    }
    line.push(' ');
    let profile = &operation.profile;
    line.push_str(&name_of(&profile.sam_account_name, profile.user_principal_name.as_deref()));
    if let Some(reason) = operation.reason {
        line.push(' ');
        line.push_str(reason.code());
    }
    // That a return changes the state goes without saying.
    let fields: BTreeSet<&str> = operation
        .changes
        .iter()
        .map(|change| change.field)
        .filter(|field| operation.action == Action::Update || *field != "state")
        .collect();
    if !fields.is_empty() {
        line.push(' ');
        line.push_str(&fields.into_iter().collect::<Vec<&str>>().join(", "));
    }
    if let Some(until) = operation.until {
        line.push_str(&format!(" until {until}"));
    }
    let key = operation.matched_by.map(|key| serde_json::to_value(key).expect("a word"));
    let key = key.as_ref().and_then(|key| key.as_str()).map(str::to_owned);
    if let Some(more) = operation.held_by.map(|guard| guard.code().to_owned()).or(key) {
        line.push_str(&format!(" ({more})"));
    }
    line
}

/// Takes the brackets off those lines that are expected without.
fn align(expected: &[String], found: Vec<String>) -> Vec<String> {
    let align = |line: String| match line.split_once(" (") {
        Some((plain, _)) if expected.iter().any(|expected| expected == plain) => plain.to_owned(),
        _ => line,
    };
    found.into_iter().map(align).collect()
}

fn shown(lines: &[String]) -> String {
    let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    lines.sort_unstable();
    format!("[{}]", lines.join(" | "))
}

fn verdicts(verdicts: &BTreeMap<String, Verdict>) -> String {
    let lines: Vec<String> =
        verdicts.iter().map(|(account, verdict)| format!("{account} {verdict}")).collect();
    shown(&lines)
}
