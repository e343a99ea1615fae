//! `validate`: every problem of a tree at once, without asking any system.

use serde_json::{Value, json};

use crate::cli::arguments::TreeArgument;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::counted;
use crate::cli::session::Session;
use crate::cli::wiring;

/// Runs the command.
///
/// # Errors
/// If the tree itself cannot be read; problems in it are a result.
pub fn run(session: &mut Session, arguments: &TreeArgument) -> Result<Exit, Failure> {
    let operator = session.operator()?;
    let tree = wiring::check_tree(&arguments.tree, &operator, session.colours.out)?;
    let exit = if tree.problems.is_empty() { Exit::Done } else { Exit::Error };
    let customers = tree.fleet.customers.len();
    if session.is_json() {
        let problems: Vec<&Value> = tree.problems.iter().map(|problem| &problem.json).collect();
        session.out.json(&json!({
            "valid": exit == Exit::Done,
            "revision": tree.fleet.revision,
            "customers": tree.fleet.customers.keys().collect::<Vec<_>>(),
            "problems": problems,
        }))?;
        return Ok(exit);
    }
    for problem in &tree.problems {
        session.out.text(&problem.drawn)?;
        session.out.text("\n")?;
    }
    let customers = counted(customers, "customer");
    session.out.text(&match tree.problems.len() {
        0 => format!("{customers}, no errors.\n"),
        errors => format!("{customers}, {}.\n", counted(errors, "error")),
    })?;
    Ok(exit)
}
