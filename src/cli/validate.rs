//! `validate`: every problem of a tree at once, without asking any system.

use std::path::Path;

use serde_json::json;

use crate::cli::annotations::annotation;
use crate::cli::arguments::{Format, TreeArgument};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::counted;
use crate::cli::sarif;
use crate::cli::session::Session;
use crate::cli::wiring::{self, CheckedTree};
use crate::policy::problem::Problem;
use crate::policy::source::shown;

/// Runs the command.
///
/// # Errors
/// If the tree itself cannot be read; problems in it are a result.
pub fn run(session: &mut Session, arguments: &TreeArgument) -> Result<Exit, Failure> {
    let operator = session.operator()?;
    let tree = wiring::check_tree(&arguments.tree, &operator, session.colours.out)?;
    let exit = if tree.problems.is_empty() { Exit::Done } else { Exit::Error };
    let problems: Vec<&Problem> = tree.problems.iter().map(|shown| &shown.problem).collect();
    match session.common.format {
        Format::Json => session.out.json(&json!({
            "valid": exit == Exit::Done,
            "revision": tree.fleet.revision,
            "customers": tree.fleet.customers.keys().collect::<Vec<_>>(),
            "problems": problems,
        }))?,
        Format::Sarif => session.out.json(&sarif::log(&problems, &folder_of(&arguments.tree)))?,
        Format::Github => {
            let folder = folder_of(&arguments.tree);
            let commands: String = problems.iter().map(|problem| annotation(problem, &folder)).collect();
            session.out.text(&commands)?;
            session.out.text(&summary(&tree))?;
        }
        _ => {
            for problem in &tree.problems {
                session.out.text(&problem.drawn)?;
                session.out.text("\n")?;
            }
            session.out.text(&summary(&tree))?;
        }
    }
    Ok(exit)
}

fn summary(tree: &CheckedTree) -> String {
    let customers = counted(tree.fleet.customers.len(), "customer");
    match tree.problems.len() {
        0 => format!("{customers}, no errors.\n"),
        errors => format!("{customers}, {}.\n", counted(errors, "error")),
    }
}

/// Returns where a tree lies in its repository, as what stands before the names of its files; nothing where
/// it is the root, or lies in no repository.
fn folder_of(root: &Path) -> String {
    let Ok(root) = root.canonicalize() else { return String::new() };
    // In a work tree of its own, `.git` is a file.
    let repository = root.ancestors().find(|folder| folder.join(".git").exists());
    let folder = repository.and_then(|repository| root.strip_prefix(repository).ok()).map(shown);
    folder.filter(|folder| !folder.is_empty()).map_or_else(String::new, |folder| folder + "/")
}
