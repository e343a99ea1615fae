//! `apply`: plans everybody, shows it, asks, and writes customer by customer.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::cli::arguments::ApplyArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::plan::show;
use crate::cli::round::{Round, exit_of, writes};
use crate::cli::saved_plan::{self, SavedPlan};
use crate::cli::selection::{approve, choose};
use crate::cli::session::Session;
use crate::cli::wiring::{self, CheckedTree, Operator, Store, SystemClock};
use crate::model::text::Text;
use crate::plan::outcome::{Plan, Summary};
use crate::ports::clock::Clock;
use crate::ports::register::{RegisterFault, RegisterReader};
use crate::reconcile::deliver::Courier;
use crate::reconcile::judge::{Job, Judge, Judged, TurnFault};
use crate::reconcile::turn::{Reconciler, TurnOutcome};

/// How often a customer's write is tried while others write.
const TRIES: u32 = 3;

/// Runs the command.
///
/// # Errors
/// If nothing can be planned, the plan is stale, or nobody said yes: nothing is written then.
pub async fn run(session: &mut Session, arguments: &ApplyArguments) -> Result<Exit, Failure> {
    if asks(arguments) && !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::new("there is no terminal to ask on whether to apply")
            .hint("`--yes` applies without asking; `--plan FILE` applies what `plan --out FILE` saved"));
    }
    let saved = arguments.plan.as_deref().map(saved_plan::load).transpose()?;
    let operator = session.operator()?;
    let tree = session.tree(&arguments.tree.tree, &operator)?;
    let store = wiring::open_store(session.state(&operator)).await?;
    let applied = apply(session, arguments, &operator, &tree, saved.as_ref(), &store).await;
    store.close().await;
    applied
}

async fn apply(
    session: &mut Session,
    arguments: &ApplyArguments,
    operator: &Operator,
    tree: &CheckedTree,
    saved: Option<&SavedPlan>,
    store: &Store,
) -> Result<Exit, Failure> {
    let revision = tree.fleet.revision.clone();
    let register: Arc<dyn RegisterReader> = store.register.clone();
    let registered = register.customers().await?;
    let names = whom(session, saved);
    let mut jobs = match choose(&tree.fleet, &registered, &names) {
        Err(failure) if saved.is_some() => return Err(stale(&failure.what)),
        jobs => jobs?,
    };
    approve(&mut jobs, &arguments.approve);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let judge = Judge::new(session.observer(&arguments.tree.tree, operator, register));
    let reconciler = Reconciler::open(
        judge,
        store.register.clone(),
        clock.clone(),
        operator.subscriptions.clone(),
        wiring::new_run,
    )
    .await?;

    // Everybody is judged and shown before the first write.
    let round = Round::judge(reconciler.judge(), jobs, operator.concurrency, &session.bar).await;
    let plan = round.plan(&revision);
    if let Some(saved) = saved {
        expect_same(saved, &plan)?;
    }
    show(session, &plan)?;
    if asks(arguments) && plan.customers.iter().any(writes) && !is_agreed(session) {
        return Err(Failure::new("not applied: nothing was written"));
    }
    let Round { judged, failed } = round;
    failed.iter().for_each(|failure| session.complain(failure));
    let mut exit = exit_of(&plan, !tree.problems.is_empty() || !failed.is_empty());
    let run = wiring::new_run();
    let mut applied = Summary::default();
    for (job, judged) in judged {
        match write(&reconciler, session, &job, judged, &run, &revision).await {
            Ok(outcome) if outcome.wrote.is_some() => applied.add(&outcome.plan.summary),
            Ok(_) => {}
            Err(failure) => {
                session.complain(&failure);
                exit = Exit::Error;
            }
        }
    }
    let courier = Courier { outbox: store.outbox.clone(), destinations: operator.destinations(), clock };
    session.deliver(&courier, &CancellationToken::new()).await;
    if !session.is_json() {
        let Summary { add, update, remove, hold, .. } = applied;
        session
            .out
            .text(&format!("Applied: {add} added, {update} updated, {remove} removed, {hold} held.\n"))?;
    }
    Ok(exit)
}

fn asks(arguments: &ApplyArguments) -> bool {
    !arguments.yes && arguments.plan.is_none()
}

/// Returns the customers that are meant: as typed, or those of the saved plan.
fn whom(session: &Session, saved: Option<&SavedPlan>) -> Vec<String> {
    match saved {
        Some(saved) if session.common.customers.is_empty() => saved.customers.clone(),
        _ => session.common.customers.clone(),
    }
}

fn stale(why: &str) -> Failure {
    Failure::new(format!(
        "stale: the saved plan is not what would be done now, and nothing was written: {why}"
    ))
    .hint("plan again, and look at what changed")
}

fn expect_same(saved: &SavedPlan, plan: &Plan) -> Result<(), Failure> {
    if saved.digest == plan.digest {
        return Ok(());
    }
    Err(stale("what changed since (- saved, + now):").details(saved.difference(plan)?))
}

/// Asks. Only `yes` is one.
fn is_agreed(session: &Session) -> bool {
    session.bar.write_err(b"Apply this plan? Only `yes` is taken: ");
    let mut answer = String::new();
    let answered = io::stdin().lock().read_line(&mut answer);
    answered.is_ok() && answer.trim() == "yes"
}

/// Writes one customer. Where somebody else wrote meanwhile it is read and planned once more, and
/// applied only if that gives what was shown.
async fn write(
    reconciler: &Reconciler,
    session: &Session,
    job: &Job,
    judged: Judged,
    run: &Text,
    revision: &Text,
) -> Result<TurnOutcome, Failure> {
    let (digest, approval) = (judged.plan.digest, judged.plan.approval);
    let mut judged = judged;
    for _ in 1..TRIES {
        match reconciler.apply(judged, run, revision).await {
            Err(TurnFault::Register(RegisterFault::Stale { .. })) => {}
            outcome => return outcome.map_err(Failure::from),
        }
        judged = reconciler.judge().judge(job, &session.bar.customer()).await?.without_readings();
        if (judged.plan.digest, judged.plan.approval) != (digest, approval) {
            return Err(Failure::new(format!(
                "stale: somebody else wrote `{}` meanwhile, and what would be done now was not shown",
                job.name()
            ))
            .hint("plan again"));
        }
    }
    Ok(reconciler.apply(judged, run, revision).await?)
}
