//! `plan`: what `apply` would do. Holds nothing that writes to the register.

use crate::cli::arguments::PlanArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::round::{Round, exit_of};
use crate::cli::saved_plan::save;
use crate::cli::selection::choose;
use crate::cli::session::Session;
use crate::plan::outcome::Plan;
use crate::plan::report::{self, Style};
use crate::reconcile::judge::Judge;

/// Runs the command.
///
/// # Errors
/// If the operator's file, the tree or the register cannot be read.
pub async fn run(session: &mut Session, arguments: &PlanArguments) -> Result<Exit, Failure> {
    let operator = session.operator()?;
    let tree = session.tree(&arguments.tree.tree, &operator)?;
    let register = session.reader(&operator).await?;
    let jobs = choose(&tree.fleet, &register.customers().await?, &session.common.customers)?;
    let judge = Judge::new(session.observer(&arguments.tree.tree, &operator, register));
    let mut round = Round::judge(&judge, jobs, operator.concurrency, &session.bar).await;
    let failed = std::mem::take(&mut round.failed);
    let plan = round.into_plan(&tree.fleet.revision);

    show(session, &plan)?;
    if let Some(path) = &arguments.out {
        save(path, &plan)?;
        session.note(&format!(
            "The plan is saved. To apply exactly this: intake apply --plan {}",
            path.display()
        ));
    }
    failed.iter().for_each(|failure| session.complain(failure));
    let mut exit = exit_of(&plan, !tree.problems.is_empty() || !failed.is_empty());
    if arguments.detailed_exitcode && plan.summary.has_changes() {
        exit = exit.max(Exit::Changes);
    }
    Ok(exit)
}

/// Writes a plan as it was asked for.
///
/// # Errors
/// If stdout cannot be written.
pub fn show(session: &mut Session, plan: &Plan) -> Result<(), Failure> {
    if session.is_json() {
        return session.out.json(plan);
    }
    let style = Style { colour: session.colours.out, verbose: session.common.verbose > 0 };
    let mut text = String::new();
    report::write(&mut text, plan, style).map_err(|error| Failure::of("cannot write the plan", &error))?;
    session.out.text(&text)
}
