//! `plan --server`: what a running controller says that a tree would do. Neither the register nor a source
//! is touched from here.

use std::path::Path;

use crate::adapters::git_revision::Revision;
use crate::cli::exit::Failure;
use crate::cli::session::Session;
use crate::cli::wiring;
use crate::model::text::{Text, inert};
use crate::plan::outcome::Plan;
use crate::ports::candidate::{Candidate, Forecast};

/// Asks the controller at `server` about the tree at `root`; returns the plan, and whether the tree has
/// errors.
///
/// What is wrong in the tree is told as the controller sees it, whose operator's file decides what a tree
/// may do. If it does not answer, what was found here is told.
///
/// # Errors
/// If the tree cannot be read, or the controller does not answer with a plan.
pub async fn asked(session: &Session, root: &Path, server: &str) -> Result<(Plan, bool), Failure> {
    let controller = wiring::controller(server, session.common.max_wait)?;
    let files = wiring::tree_files(root)?;
    let tree = wiring::check_files(&files, &session.operator()?, session.colours.err);
    let candidate = Candidate { files, customers: session.common.customers.clone() };
    let Forecast { plan, problems, read_at } = controller.plan(candidate).await.map_err(|fault| {
        session.tell_problems(&tree);
        Failure::from(fault)
    })?;
    for problem in &problems {
        session.bar.write_err(problem.render(session.colours.err).as_bytes());
    }
    if let Some((customer, oldest)) = read_at.iter().min_by_key(|(_, at)| **at) {
        let at = oldest.strftime("%Y-%m-%d %H:%M:%SZ");
        session.note(&inert(&format!(
            "Planned from the readings of the controller; the oldest, of {customer}, is of {at}."
        )));
    }
    Ok((plan, !problems.is_empty()))
}

/// Asks the controller at `server` about the same tree at another revision, to compare with. What is wrong in
/// it is nothing that this tree could help.
///
/// # Errors
/// If there is no tree, or the controller does not answer with a plan.
pub async fn asked_again(session: &Session, revision: &Revision, server: &str) -> Result<Plan, Failure> {
    let controller = wiring::controller(server, session.common.max_wait)?;
    let files = wiring::tree_files(&revision.root)?;
    // Whom this tree does not know, the other one need not know either: all are asked about.
    let mut plan = controller.plan(Candidate { files, customers: Vec::new() }).await?.plan;
    let wanted = &session.common.customers;
    plan.customers.retain(|customer| wanted.is_empty() || wanted.iter().any(|name| customer.name == name));
    plan.revision = Text::from(revision.commit.as_str());
    Ok(plan)
}
