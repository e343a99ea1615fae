//! `plan`: what `apply` would do. Holds nothing that writes to the register.

use std::path::Path;
use std::sync::Arc;

use crate::adapters::git_revision::Revision;
use crate::cli::against::Against;
use crate::cli::arguments::{Format, PlanArguments};
use crate::cli::asked_plan::{asked, asked_again};
use crate::cli::exit::{Exit, Failure};
use crate::cli::round::{Round, exit_of};
use crate::cli::saved_plan::save;
use crate::cli::selection::choose;
use crate::cli::session::{Session, quoted};
use crate::cli::trees::failure;
use crate::model::text::inert;
use crate::plan::difference::difference;
use crate::plan::markdown;
use crate::plan::outcome::Plan;
use crate::plan::redact::redact;
use crate::plan::report::{self, Style};
use crate::ports::meter::Unmeasured;
use crate::reconcile::judge::{Judge, Judged};
use crate::reconcile::missing_contacts::show_missing_contacts;

/// Runs the command.
///
/// # Errors
/// If the operator's file, the tree or the register cannot be read, or the controller that is asked in
/// place of the sources does not answer.
pub async fn run(session: &mut Session, arguments: &PlanArguments) -> Result<Exit, Failure> {
    if let Some(server) = &arguments.server {
        let root = &arguments.tree.tree;
        let (mut plan, has_problems) = asked(session, root, server).await?;
        if let Some(reference) = &arguments.against {
            let revision = Revision::of(root, reference).await.map_err(failure)?;
            plan = difference(plan, asked_again(session, &revision, server).await?);
        }
        return finish(session, arguments, plan, has_problems, &[]);
    }
    let operator = session.operator()?;
    let tree = session.tree(&arguments.tree.tree, &operator)?;
    let register = session.reader(&operator).await?;
    let jobs = choose(&tree.fleet, &register.customers().await?, &session.common.customers)?;
    let root = &arguments.tree.tree;
    let (mut round, compared) = match &arguments.against {
        None => {
            let judge = Judge::new(session.observer(root, &operator, register.clone()));
            (Round::judge(&judge, jobs, operator.concurrency, &session.bar).await, None)
        }
        Some(reference) => {
            let against = Against::open(session, &operator, &register, root, reference).await?;
            let (round, compared, revision) = against.judge(session, jobs, operator.concurrency).await;
            (round, Some((compared, revision)))
        }
    };
    round.keep_fleet_limit(&*register, operator.fleet()).await?;
    if compared.is_none() {
        let systems = operator.documentation(session.common.max_wait, Arc::new(Unmeasured));
        let mut judged: Vec<&mut Judged> = round.judged.iter_mut().map(|(_, judged)| judged).collect();
        show_missing_contacts(&systems, &*register, &mut judged).await?;
    }
    let mut failed = std::mem::take(&mut round.failed);
    let mut plan = round.into_plan(&tree.fleet.revision);
    if let Some((mut compared, revision)) = compared {
        compared.keep_fleet_limit(&*register, operator.fleet()).await?;
        failed.append(&mut compared.failed);
        plan = difference(plan, compared.into_plan(&revision));
    }
    finish(session, arguments, plan, !tree.problems.is_empty(), &failed)
}

/// Shows a plan, saves it if that was asked for, and says how the command ends.
fn finish(
    session: &mut Session,
    arguments: &PlanArguments,
    plan: Plan,
    has_problems: bool,
    failed: &[Failure],
) -> Result<Exit, Failure> {
    let plan = if arguments.redact { redact(plan) } else { plan };
    show(session, &plan, &arguments.tree.tree)?;
    if let Some(path) = &arguments.out {
        save(path, &plan)?;
        let apply = session.apply_command(&arguments.tree.tree);
        let path = quoted(&path.display().to_string());
        session.note(&inert(&format!("The plan is saved. To apply exactly this: {apply} --plan {path}")));
    }
    failed.iter().for_each(|failure| session.complain(failure));
    let mut exit = exit_of(&plan, has_problems || !failed.is_empty());
    let differs = plan.customers.iter().any(|customer| !customer.no_longer.is_empty());
    if arguments.detailed_exitcode && (plan.summary.has_changes() || differs) {
        exit = exit.max(Exit::Changes);
    }
    Ok(exit)
}

/// Writes a plan of the tree at `root` as it was asked for.
///
/// # Errors
/// If stdout cannot be written.
pub fn show(session: &mut Session, plan: &Plan, root: &Path) -> Result<(), Failure> {
    match session.common.format {
        Format::Json => session.out.json(plan),
        Format::Markdown => session.out.text(&markdown::comment(plan, &tree_as_typed(root))),
        _ => {
            let text = text(session, plan, root, session.colours.out)?;
            session.out.text(&text)
        }
    }
}

/// Returns what is typed to name a tree; nothing for the current folder.
fn tree_as_typed(root: &Path) -> String {
    if root == Path::new(".") { String::new() } else { quoted(&root.display().to_string()) }
}

/// Returns a plan of the tree at `root` for people.
///
/// # Errors
/// None that can be met: memory takes all text.
pub fn text(session: &Session, plan: &Plan, root: &Path, colour: bool) -> Result<String, Failure> {
    let apply = session.apply_command(root);
    let style = Style { colour, verbose: session.common.verbose > 0, apply: &apply };
    let mut text = String::new();
    report::write(&mut text, plan, style).map_err(|error| Failure::of("cannot write the plan", &error))?;
    Ok(text)
}
