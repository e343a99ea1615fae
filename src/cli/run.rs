//! `run`: the controller, or one round of it.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cli::arguments::RunArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::selection::choose;
use crate::cli::session::Session;
use crate::cli::trees::{self, FolderTree, Followed, GitTree, Unwatched};
use crate::cli::wiring::{self, Meters, Operator, Store, SystemClock};
use crate::daemon::control::ControllerControl;
use crate::daemon::controller::{Controller, Pace};
use crate::daemon::desk::Desk;
use crate::daemon::documentation::{Gaps, look_for_contacts};
use crate::daemon::inquiry::ControllerInquiry;
use crate::daemon::publishing::look_for_drift;
use crate::daemon::readiness::ControllerReadiness;
use crate::daemon::shared_turns::{LEFT, SharedTurns};
use crate::daemon::signals::listen;
use crate::daemon::turns::Turns;
use crate::model::text::{Text, inert};
use crate::plan::outcome::Summary;
use crate::plan::report::of_these;
use crate::policy::source::shown;
use crate::ports::access::TokenBook;
use crate::ports::clock::Clock;
use crate::ports::in_force::SuspendedInTree;
use crate::ports::register::RegisterReader;
use crate::ports::sign_in::SignIn;
use crate::ports::tree::TreeReading;
use crate::reconcile::candidate::FromKept;
use crate::reconcile::deliver::Courier;
use crate::reconcile::documentation::Documenter;
use crate::reconcile::judge::{Job, Judge, TurnFault};
use crate::reconcile::publish::Publisher;
use crate::reconcile::turn::{Reconciler, TurnOutcome, why};
use crate::web::access::Gate;
use crate::web::fleet::{FleetBoard, Sources};
use crate::web::pages::dashboard::Dashboard;
use crate::web::plans::Plans;
use crate::web::proxies::TrustedProxies;
use crate::web::routes::{Site, routes};
use crate::web::server::Entrance;
use crate::web::sessions::Sessions;
use crate::web::stream::Watchers;

/// Runs the command.
///
/// # Errors
/// If the operator's file, the tree or the register cannot be read at the start.
pub async fn run(session: &mut Session, arguments: &RunArguments) -> Result<Exit, Failure> {
    let stop = CancellationToken::new();
    let reload = Arc::new(Notify::new());
    listen(stop.clone(), reload.clone()).map_err(|error| Failure::of("cannot listen for signals", &error))?;
    let operator = session.operator()?;
    // A wrong path is an error before anything is made or watched.
    let followed = follow(session, arguments, &operator).await?;
    // So is an address that somebody else has.
    let entrance = match operator.listen.filter(|_| !arguments.once) {
        Some(address) => Some(wiring::open_entrance(address).await?),
        None => None,
    };
    let tokens = wiring::tokens(&operator)?;
    let sign_in = wiring::sign_in(&operator)?;
    let traces = wiring::traces(&operator)?;
    let store = wiring::open_store(session.state(&operator)).await?;
    let serving = Serving { entrance, tokens, sign_in };
    let ran = reconcile(session, arguments, followed, operator, &store, serving, (stop, reload)).await;
    store.close().await;
    if let Some(traces) = traces {
        let _ = tokio::task::spawn_blocking(move || traces.close()).await;
    }
    ran
}

/// Opens the tree: a folder that was named, the branch that the operator names, or this folder.
async fn follow(
    session: &Session,
    arguments: &RunArguments,
    operator: &Operator,
) -> Result<Followed, Failure> {
    let Some(source) = operator.git() else {
        if arguments.accept_rewrite.is_some() {
            return Err(Failure::new(
                "--accept-rewrite is for a tree in git, and the operator's file has no `git`",
            ));
        }
        let root = arguments.tree.clone().unwrap_or_else(|| PathBuf::from("."));
        let checked = wiring::check_tree(&root, operator, session.colours.err)?;
        if arguments.once {
            session.tell_problems(&checked);
        }
        let pace = Pace::default();
        let watch = trees::watch(&root);
        return Ok(Followed {
            tree: Arc::new(FolderTree::new(root.clone(), operator.clone())),
            root,
            watch,
            pace,
        });
    };
    if let Some(folder) = &arguments.tree {
        return Err(Failure::new(format!(
            "the operator's file has `git`, and the folder {} was named",
            shown(folder)
        ))
        .hint("name no folder, or take `git` out of the operator's file"));
    }
    let tree = GitTree::open(source, operator, arguments.accept_rewrite.clone()).await?;
    let pace = Pace {
        // Nobody sees half of a commit.
        confirm: None,
        rescan: source.interval.to_std(),
        ..Pace::default()
    };
    Ok(Followed { root: tree.root(), tree: Arc::new(tree), watch: Box::new(Unwatched), pace })
}

/// What others may ask the controller by.
struct Serving {
    entrance: Option<Entrance>,
    tokens: Arc<dyn TokenBook>,
    sign_in: Option<Arc<dyn SignIn>>,
}

async fn reconcile(
    session: &mut Session,
    arguments: &RunArguments,
    followed: Followed,
    operator: Operator,
    store: &Store,
    serving: Serving,
    (stop, reload): (CancellationToken, Arc<Notify>),
) -> Result<Exit, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Followed { tree, root, watch, pace } = followed;
    let meters = Meters::new();
    let meter = meters.meter();
    let observer = session.measured_observer(&root, &operator, store.register.clone(), meter.clone());
    // In one round nobody waits for others; what they write meanwhile the register's revision tells.
    let shared = store.shared.as_ref().filter(|_| !arguments.once);
    let register = shared.map_or_else(|| store.register.clone(), |shared| shared.register.clone());
    let reconciler = Reconciler::new(
        Judge::new(observer).measured_by(meter.clone()),
        register,
        clock.clone(),
        operator.subscriptions.clone(),
        operator.fleet(),
        wiring::new_run,
    );
    let systems = operator.documentation(session.common.max_wait, meter.clone());
    let documenter =
        Arc::new(Documenter::new(systems.clone(), store.register.clone(), clock.clone(), wiring::new_run));
    let targets = operator.targets(session.common.max_wait, meter.clone());
    // The controller notes at its desk which tree is in force; a round has one.
    let desk = Arc::new(Desk::new());
    let read = if arguments.once { Some(tree.read().await) } else { None };
    let suspended: Arc<dyn SuspendedInTree> = match &read {
        Some(Ok(read)) => Arc::new(read.fleet.clone()),
        _ => desk.clone(),
    };
    // What a turn decides it writes while it has the customer; who compares targets has none.
    let in_turns = shared.map_or_else(|| store.publications.clone(), |shared| shared.publications.clone());
    let in_turns = operator.publisher(&targets, store, in_turns, &suspended);
    let publisher = operator.publisher(&targets, store, store.publications.clone(), &suspended);
    let reconciler = reconciler.with_documenter(documenter.clone()).with_publisher(in_turns);
    let courier = Arc::new(Courier {
        outbox: store.outbox.clone(),
        destinations: operator.destinations(&systems, &targets, store, &suspended),
        clock: clock.clone(),
        meter: meter.clone(),
        is_shared: store.shared.is_some(),
    });
    if let Some(read) = read {
        if store.shared.is_none() || !others_follow_a_tree(store).await? {
            reconciler.tree(&read).await?;
        }
        let after = After { documenter: &documenter, publisher: &publisher, courier: &courier };
        return once(session, read?, &operator, store, &reconciler, after, &stop).await;
    }
    if !session.common.customers.is_empty() {
        // A mistyped name must not become a controller that does nothing for ever.
        let fleet = tree.read().await?.fleet;
        choose(&fleet, &store.register.customers().await?, &session.common.customers)?;
    }
    let pace = Pace {
        concurrency: operator.concurrency,
        only: session.common.customers.iter().map(|name| Text::from(name.as_str())).collect(),
        ..pace
    };
    let reader: Arc<dyn RegisterReader> = store.register.clone();
    let kept = Arc::new(FromKept {
        register: reader.clone(),
        clock: clock.clone(),
        limits: operator.limits().clone(),
        fleet: operator.fleet(),
    });
    let board = FleetBoard::new(Sources {
        register: reader,
        census: store.census.clone(),
        browse: store.browse.clone(),
        in_force: desk.clone(),
        feed: desk.clone(),
        clock: clock.clone(),
    });
    // Where nobody can ask, nothing is kept at hand.
    let _keeping = serving
        .entrance
        .is_some()
        .then(|| AbortOnDropHandle::new(tokio::spawn(board.clone().keep(stop.clone()))));
    let site = Site {
        plans: Plans::new(kept.clone()),
        browse: store.browse.clone(),
        fleet: board,
        inquiry: Arc::new(ControllerInquiry::new(desk.clone(), kept, store.browse.clone())),
        watchers: Watchers::new(desk.clone(), stop.clone()),
        feed: desk.clone(),
        control: Arc::new(ControllerControl {
            desk: desk.clone(),
            register: store.register.clone(),
            clock: clock.clone(),
            new_run: wiring::new_run,
        }),
        dashboard: Arc::new(Dashboard::new(
            Gate { tokens: serving.tokens, attempts: Arc::default(), clock: clock.clone() },
            Sessions::new(wiring::unguessable),
            serving.sign_in,
            serving.entrance.as_ref().map(Entrance::address),
        )),
        readout: meters.readout(store, desk.clone(), clock.clone()),
        readiness: Arc::new(ControllerReadiness::new(desk.clone(), store.register.clone(), clock)),
    };
    let proxies = TrustedProxies::new(operator.trusted_proxies.clone());
    let answering = serving.entrance.map(|entrance| {
        tracing::info!(address = %entrance.address(), "listening");
        tokio::spawn(entrance.serve(routes(site), proxies, stop.clone()))
    });
    // Ends with the controller; what is under way then is done again another time.
    let leases = shared.map(|shared| shared.leases.clone());
    let looking = look_for_contacts(documenter, leases.clone(), desk.clone(), Gaps::default(), stop.clone());
    let _looking = AbortOnDropHandle::new(tokio::spawn(looking));
    let comparing = look_for_drift(publisher, leases.clone(), stop.clone());
    let _comparing = AbortOnDropHandle::new(tokio::spawn(comparing));
    let reconciler: Arc<dyn Turns> = Arc::new(reconciler);
    let (turns, notices, _keeping) = match leases {
        None => (reconciler, stream::pending().boxed(), None),
        Some(leases) => {
            let shared = Arc::new(SharedTurns::new(
                reconciler,
                leases.clone(),
                store.register.clone(),
                Arc::new(SystemClock),
                wiring::random,
            ));
            let (keeper, stop) = (shared.clone(), stop.clone());
            let keeping = tokio::spawn(async move { keeper.keep_leases(stop).await });
            (shared as Arc<dyn Turns>, leases.notices(), Some(AbortOnDropHandle::new(keeping)))
        }
    };
    let controller = Controller {
        watch,
        tree,
        turns,
        notices,
        courier: Some(courier),
        meter,
        pace,
        random: wiring::random,
        desk,
    };
    let ran = controller.run(stop.clone(), reload).await;
    // A controller that could not begin takes the interface with it.
    stop.cancel();
    if let Some(answering) = answering {
        let _ = answering.await;
    }
    ran?;
    Ok(Exit::Done)
}

/// Whether controllers on a shared store follow a tree: which one is in force is theirs to say.
async fn others_follow_a_tree(store: &Store) -> Result<bool, Failure> {
    let tree = store.register.tree().await?;
    Ok(tree.is_some_and(|tree| tree.looked_at > LEFT.before(SystemClock.now())))
}

/// What comes after the turns of a round.
struct After<'a> {
    documenter: &'a Documenter,
    publisher: &'a Publisher,
    courier: &'a Courier,
}

/// Does one round: every customer has its turn, and none waits for another one's.
async fn once(
    session: &mut Session,
    tree: TreeReading,
    operator: &Operator,
    store: &Store,
    reconciler: &Reconciler,
    after: After<'_>,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    // Those of a folder were told with their lines.
    for problem in tree.problems.iter().filter(|_| tree.commit.is_some()) {
        session.complain(&Failure::new(problem.clone()));
    }
    if let Some(fault) = &tree.behind {
        let what = format!("the last good tree stays in force: {}", fault.what);
        session.complain(&Failure { hint: fault.hint.clone(), ..Failure::new(what) });
    }
    let registered = store.register.customers().await?;
    let jobs = choose(&tree.fleet, &registered, &session.common.customers)?;
    let bar = session.bar.clone();
    bar.begin(jobs.len());
    let turn = async |job: Job| {
        let progress = bar.customer();
        let outcome = reconciler.turn(&job, &tree.fleet.revision, &progress, &|_| None, stop).await;
        bar.customer_done();
        (job.name().clone(), outcome)
    };
    let mut turns: Vec<(Text, Result<TurnOutcome, TurnFault>)> = futures_util::stream::iter(jobs)
        .map(turn)
        .buffer_unordered(operator.concurrency.max(1))
        .collect()
        .await;
    bar.end();
    turns.sort_by(|(left, _), (right, _)| left.cmp(right));
    // Who is to be told of what was written does not wait for documentation systems.
    session.deliver(after.courier, stop).await;
    if session.look_for_contacts(after.documenter, stop).await {
        session.deliver(after.courier, stop).await;
    }
    if session.look_for_drift(after.publisher, stop).await {
        session.deliver(after.courier, stop).await;
    }

    let is_sound = tree.problems.is_empty() && tree.behind.is_none();
    let mut exit = if is_sound { Exit::Done } else { Exit::Error };
    let mut outcomes = Vec::new();
    for (name, turn) in turns {
        match turn {
            Ok(outcome) => {
                exit = exit.max(Exit::of(&outcome.plan));
                outcomes.push(outcome);
            }
            Err(fault) => {
                let failure = Failure::from(fault);
                session.complain(&Failure { what: format!("{name}: {}", failure.what), ..failure });
                exit = Exit::Error;
            }
        }
    }
    tell(session, &outcomes)?;
    Ok(exit)
}

fn tell(session: &mut Session, outcomes: &[TurnOutcome]) -> Result<(), Failure> {
    if session.is_json() {
        let customers: Vec<_> = outcomes
            .iter()
            .map(|outcome| {
                json!({
                    "name": outcome.plan.name,
                    "state": outcome.plan.state,
                    "summary": outcome.plan.summary,
                    "wrote": outcome.wrote.is_some(),
                    "head": outcome.wrote.map(|wrote| json!({"events": wrote.head.events, "hash": wrote.head.hash})),
                    "message": why(&outcome.plan, &outcome.unread),
                })
            })
            .collect();
        return session.out.json(&json!({"customers": customers}));
    }
    for outcome in outcomes {
        let Summary { add, update, remove, hold, unchanged } = outcome.plan.summary;
        let name = inert(&outcome.plan.name);
        let state = outcome.plan.state.code();
        let done = match outcome.wrote {
            Some(_) => {
                format!("{add} added, {update} updated, {remove} removed, {hold} held; {unchanged} unchanged")
            }
            None => "nothing written".to_owned(),
        };
        let why = why(&outcome.plan, &outcome.unread);
        let separator = if why.is_empty() { "" } else { ": " };
        session.out.text(&format!("{name}: {state}: {done}{separator}{}\n", inert(&why)))?;
        let of_these = of_these(&outcome.plan.operations);
        if outcome.wrote.is_some() && !of_these.is_empty() {
            session.out.text(&format!("  {of_these}\n"))?;
        }
    }
    Ok(())
}
