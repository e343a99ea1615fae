//! Lets removals wait that one reading alone does not prove: nobody goes for what a server had not
//! heard of yet, or for what could not be read once more.

use std::collections::BTreeMap;

use crate::model::confirmation::Confirmation;
use crate::model::directory::{Directory, Origin};
use crate::model::reading::{FaultKind, Reading};
use crate::model::register::{Measures, Sighting};
use crate::model::text::{Text, inert};
use crate::plan::outcome::{Action, Finding, FindingCode, Operation, Severity};

/// Notes where each directory was read, and whom the plan would remove there.
pub fn sightings(directories: &[&Directory], removals: &[Operation]) -> BTreeMap<Text, Sighting> {
    let sighting = |directory: &&Directory| {
        let origin = directory.origin.as_ref()?;
        let counts = matches!(origin, Origin::Server(_));
        let is_there = |removal: &&Operation| counts && removal.directory.as_ref() == Some(&directory.name);
        let mut out: Vec<_> = removals.iter().filter(is_there).map(|removal| removal.key.id).collect();
        out.sort_unstable();
        out.dedup();
        Some((directory.name.clone(), Sighting { server: origin.name().clone(), out }))
    };
    directories.iter().filter_map(sighting).collect()
}

/// Keeps removals that were not seen before, from a server that is not the one that was read last: one
/// of the two is behind, and nobody knows which. The next complete reading decides, whoever it is of.
/// A file that cannot prove itself whole has to be read twice as it is.
pub fn miss_twice(
    directories: &[&Directory],
    before: &Measures,
    removals: Vec<Operation>,
    findings: &mut Vec<Finding>,
) -> Vec<Operation> {
    let moved: BTreeMap<&Text, (&Text, &Sighting)> = directories
        .iter()
        .filter_map(|directory| {
            let last = before.sightings.get(&directory.name)?;
            let server = directory.origin.as_ref()?.name();
            (*server != last.server).then_some(())?;
            Some((&directory.name, (server, last)))
        })
        .collect();
    let is_new = |removal: &Operation| {
        let moved = removal.directory.as_ref().and_then(|name| moved.get(name));
        moved.is_some_and(|(_, last)| last.out.binary_search(&removal.key.id).is_err())
    };
    let (waiting, proven): (Vec<_>, Vec<_>) = removals.into_iter().partition(is_new);
    for (name, (server, last)) in moved {
        let count = waiting.iter().filter(|removal| removal.directory.as_ref() == Some(name)).count();
        if count > 0 {
            findings.push(Finding {
                code: FindingCode::DirectoryIncomplete,
                severity: Severity::Warning,
                subject: format!("directory {}", inert(name)),
                message: format!(
                    "{} for the next complete reading: they are missed for the first time, by {}, and the reading \
                     before was of {}; one of the two may be behind or cut short",
                    wait(count),
                    inert(server),
                    inert(&last.server),
                ),
            });
        }
    }
    proven
}

/// Keeps all removals of the turn in which another source was let in: whoever approved it saw none.
pub fn wait_for_sight(removals: Vec<Operation>, findings: &mut Vec<Finding>) -> Vec<Operation> {
    if !removals.is_empty() {
        findings.push(Finding {
            code: FindingCode::SourceChanged,
            severity: Severity::Warning,
            subject: "removals".to_owned(),
            message: format!(
                "{} for the next turn: another source was approved, and nobody has seen yet whom it lacks",
                wait(removals.len())
            ),
        });
    }
    Vec::new()
}

/// Keeps removals back that were not confirmed. Returns whether a source did not answer.
pub fn confirmed(
    confirmation: Option<&Confirmation>,
    operations: &mut Vec<Operation>,
    findings: &mut Vec<Finding>,
) -> bool {
    let Some(confirmation) = confirmation else { return false };
    let before = operations.len();
    operations.retain(|operation| {
        !matches!(operation.action, Action::Pend | Action::Remove) || confirmation.proves(&operation.key)
    });
    let count = before - operations.len();
    if count == 0 {
        return false;
    }
    for (source, answer) in &confirmation.unanswered {
        findings.push(Finding {
            code: code_of(source, answer),
            severity: Severity::Error,
            subject: source.clone(),
            message: format!(
                "{}: before somebody goes, the source is asked for them once more, and it did not answer: {}",
                wait(count),
                why(answer)
            ),
        });
    }
    if confirmation.unanswered.is_empty() {
        findings.push(Finding {
            code: FindingCode::DirectoryIncomplete,
            severity: Severity::Warning,
            subject: "removals".to_owned(),
            message: format!(
                "{} for the next turn: they came up only when others had been read once more",
                wait(count)
            ),
        });
    }
    !confirmation.unanswered.is_empty()
}

fn wait(count: usize) -> String {
    if count == 1 { "1 removal waits".to_owned() } else { format!("{count} removals wait") }
}

fn code_of(source: &str, answer: &Reading<()>) -> FindingCode {
    match (source == "tenant", answer) {
        (true, Reading::Unavailable(fault)) if fault.kind == FaultKind::Unconsented => {
            FindingCode::TenantUnconsented
        }
        (true, Reading::Unavailable(_)) => FindingCode::TenantUnavailable,
        (true, _) => FindingCode::TenantIncomplete,
        (false, Reading::Unavailable(_)) => FindingCode::DirectoryUnavailable,
        (false, _) => FindingCode::DirectoryIncomplete,
    }
}

fn why(answer: &Reading<()>) -> String {
    match answer {
        Reading::Complete(()) => String::new(),
        Reading::Incomplete(shortfall) => shortfall.what.clone(),
        Reading::Unavailable(fault) => fault.with_hint(),
    }
}
