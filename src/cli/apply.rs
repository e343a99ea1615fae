//! `apply`: plans everybody, shows it, asks, and writes customer by customer.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::cli::arguments::ApplyArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::plan::{show, text};
use crate::cli::round::{Round, exit_of, writes};
use crate::cli::saved_plan::{self, SavedPlan};
use crate::cli::selection::{approve, choose};
use crate::cli::session::Session;
use crate::cli::wiring::{self, CheckedTree, Operator, Store, SystemClock};
use crate::config::person;
use crate::daemon::signals::listen_to_stop;
use crate::model::digest::Digest;
use crate::model::text::Text;
use crate::plan::outcome::{Plan, Summary};
use crate::plan::report::of_these;
use crate::ports::clock::Clock;
use crate::ports::in_force::SuspendedInTree;
use crate::ports::meter::Unmeasured;
use crate::ports::register::{RegisterFault, RegisterReader};
use crate::reconcile::deliver::Courier;
use crate::reconcile::documentation::Documenter;
use crate::reconcile::judge::{Job, Judge, Judged, TurnFault};
use crate::reconcile::turn::{Reconciler, TurnOutcome, why};

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
    let stop = CancellationToken::new();
    listen_to_stop(stop.clone()).map_err(|error| Failure::of("cannot listen for signals", &error))?;
    let revision = tree.fleet.revision.clone();
    let register: Arc<dyn RegisterReader> = store.register.clone();
    let registered = register.customers().await?;
    let names = whom(session, saved);
    let mut jobs = match choose(&tree.fleet, &registered, &names) {
        Err(failure) if saved.is_some() => return Err(stale(&failure.what)),
        jobs => jobs?,
    };
    approve(&mut jobs, &arguments.approve, &person::name());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let judge = Judge::new(session.observer(&arguments.tree.tree, operator, register));
    let reconciler = Reconciler::new(
        judge,
        store.register.clone(),
        clock.clone(),
        operator.subscriptions.clone(),
        operator.fleet(),
        wiring::new_run,
    );
    let systems = operator.documentation(session.common.max_wait, Arc::new(Unmeasured));
    let documenter =
        Arc::new(Documenter::new(systems.clone(), store.register.clone(), clock.clone(), wiring::new_run));
    let targets = operator.targets(session.common.max_wait, Arc::new(Unmeasured));
    let suspended: Arc<dyn SuspendedInTree> = Arc::new(tree.fleet.clone());
    let publisher = operator.publisher(&targets, store, store.publications.clone(), &suspended);
    let reconciler = reconciler.with_documenter(documenter.clone()).with_publisher(publisher.clone());

    // Everybody is judged and shown before the first write.
    let mut round = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(interrupted_before()),
        round = Round::judge(reconciler.judge(), jobs, operator.concurrency, &session.bar) => round,
    };
    round.keep_fleet_limit(&*store.register, operator.fleet()).await?;
    let plan = round.plan(&revision);
    if let Some(saved) = saved {
        expect_same(saved, &plan)?;
    }
    expect_used(&arguments.approve, &round)?;
    let root = &arguments.tree.tree;
    show(session, &plan, root)?;
    if asks(arguments) && plan.customers.iter().any(writes) {
        if !io::stdout().is_terminal() {
            // Nobody can agree to what went into a file.
            session.bar.write_err(text(session, &plan, root, session.colours.err)?.as_bytes());
        }
        if !is_agreed(session, &stop).await? {
            return Err(Failure::new("not applied: nothing was written"));
        }
    }
    let Round { judged, failed } = round;
    failed.iter().for_each(|failure| session.complain(failure));
    let mut exit = exit_of(&plan, !tree.problems.is_empty() || !failed.is_empty());
    let run = wiring::new_run();
    let mut applied = Summary::default();
    let mut operations = Vec::new();
    let customers = judged.len();
    let tried = until_stopped(judged, &stop, async |(job, judged)| {
        let shown = judged.plan.digest;
        match write(&reconciler, session, &job, judged, &run, &revision).await {
            Ok(outcome) => {
                if outcome.plan.digest != shown {
                    let why = why(&outcome.plan, &outcome.unread);
                    session.complain(&Failure::new(format!("{}: not as shown: {why}", job.name())));
                    exit = exit.max(Exit::of(&outcome.plan));
                }
                if outcome.wrote.is_some() {
                    applied.add(&outcome.plan.summary);
                    operations.extend(outcome.plan.operations);
                }
            }
            Err(failure) => {
                session.complain(&failure);
                exit = Exit::Error;
            }
        }
    })
    .await;
    let courier = Courier {
        outbox: store.outbox.clone(),
        destinations: operator.destinations(&systems, &targets, store, &suspended),
        clock,
        meter: Arc::new(Unmeasured),
        is_shared: store.shared.is_some(),
    };
    // Who is to be told of what was written does not wait for documentation systems.
    session.deliver(&courier, &stop).await;
    if session.look_for_contacts(&documenter, &stop).await {
        session.deliver(&courier, &stop).await;
    }
    if session.look_for_drift(&publisher, &stop).await {
        session.deliver(&courier, &stop).await;
    }
    if !session.is_json() {
        let Summary { add, update, remove, hold, .. } = applied;
        session
            .out
            .text(&format!("Applied: {add} added, {update} updated, {remove} removed, {hold} held.\n"))?;
        let of_these = of_these(&operations);
        if !of_these.is_empty() {
            session.out.text(&format!("{of_these}\n"))?;
        }
    }
    if tried < customers {
        return Err(Failure::new(format!("interrupted: {tried} of {customers} customers applied"))
            .hint("what was begun is whole; apply again for the others"));
    }
    Ok(exit)
}

/// Writes one after the other until it is told to stop; what was begun is finished. Returns how many
/// had their turn.
async fn until_stopped<T>(all: Vec<T>, stop: &CancellationToken, mut write: impl AsyncFnMut(T)) -> usize {
    let mut tried = 0;
    for one in all {
        if stop.is_cancelled() {
            break;
        }
        write(one).await;
        tried += 1;
    }
    tried
}

fn interrupted_before() -> Failure {
    Failure::new("interrupted: nothing was applied")
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
        return saved.expect_honest(plan);
    }
    Err(stale("what changed since (- saved, + now):").details(saved.difference(plan)?))
}

/// Expects that each digest that was typed lets something go.
fn expect_used(approved: &[Digest], round: &Round) -> Result<(), Failure> {
    let counts = |digest: &Digest| {
        round.judged.iter().any(|(_, judged)| {
            let holds = &judged.plan.consequences.holds;
            holds.iter().any(|hold| hold.approval == *digest && hold.used_at == Some(judged.observation.at))
        })
    };
    match approved.iter().find(|digest| !counts(digest)) {
        None => Ok(()),
        Some(digest) => Err(Failure::new(format!(
            "`--approve {digest}` approves nothing that is held now, and nothing was written"
        ))
        .hint("the set of removals changed, was approved before, or is another customer's: plan again")),
    }
}

/// Asks. Only `yes` is one.
///
/// # Errors
/// If it is told to stop in place of an answer.
async fn is_agreed(session: &Session, stop: &CancellationToken) -> Result<bool, Failure> {
    session.bar.write_err(b"Apply this plan? Only `yes` is taken: ");
    // A terminal cannot be asked to stop waiting; the end of the program ends it.
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map(|_| answer)
    });
    tokio::select! {
        biased;
        () = stop.cancelled() => {
            session.bar.write_err(b"\n");
            Err(interrupted_before())
        }
        answer = answer => Ok(matches!(answer, Ok(Ok(answer)) if answer.trim() == "yes")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_in_hand_when_it_is_told_to_stop_is_finished_and_nothing_else_begun() {
        let stop = CancellationToken::new();
        let mut finished = Vec::new();
        let tried = until_stopped(vec![1, 2, 3, 4, 5], &stop, async |number| {
            if number == 3 {
                stop.cancel();
                tokio::task::yield_now().await;
            }
            finished.push(number);
        })
        .await;
        assert_eq!((tried, finished), (3, vec![1, 2, 3]));
    }
}
