//! From what was typed to an exit code.

use std::ffi::OsString;
use std::time::Duration;

use crate::cli::arguments::{Arguments, Command, CustomersCommand};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Colours, Output};
use crate::cli::progress::Bar;
use crate::cli::session::Session;
use crate::cli::{
    accounts, apply, customers, discover, explain, history, init, logging, matches, order, plan, run, schema,
    state, status, validate,
};
use crate::ports::control::Order;

/// How long reads that nobody waits for any more may keep the program from ending.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// Runs the program with its arguments, its own name first, and returns its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let program =
        arguments.first().map_or_else(|| "intake".into(), |name| name.to_string_lossy().into_owned());
    let Arguments { common, command } = match Arguments::read(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are results; everything else is an error, and 2 would mean changes.
            let exit = if error.use_stderr() { Exit::Error } else { Exit::Done };
            let _ = error.print();
            return exit.code();
        }
    };
    let colours = Colours::decide(common.color);
    let bar = Bar::new(!common.quiet);
    logging::start(&common, &command, colours.err, &bar);
    let mut session = Session { common, out: Output::new(std::io::stdout()), bar, colours, program };
    let exit = match start(&mut session, &command) {
        Ok(exit) => exit,
        Err(failure) => {
            session.bar.end();
            session.complain(&failure);
            Exit::Error
        }
    };
    exit.code()
}

fn start(session: &mut Session, command: &Command) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of("cannot start", &error))?;
    let result = runtime.block_on(dispatch(session, command));
    runtime.shutdown_timeout(LAST_WAIT);
    result
}

async fn dispatch(session: &mut Session, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Validate(arguments) => validate::run(session, arguments),
        Command::Plan(arguments) => plan::run(session, arguments).await,
        Command::Apply(arguments) => apply::run(session, arguments).await,
        Command::Run(arguments) => run::run(session, arguments).await,
        Command::Explain(arguments) => explain::run(session, arguments).await,
        Command::Discover(arguments) => discover::run(session, arguments).await,
        Command::Accounts(_) => accounts::run(session).await,
        Command::Status(_) => status::run(session).await,
        Command::History(arguments) => history::run(session, arguments).await,
        Command::Matches(arguments) => matches::run(session, arguments).await,
        Command::Customers(CustomersCommand::Import(arguments)) => {
            customers::import(session, arguments).await
        }
        Command::Sync(to) => order::run(session, to, &Order::Sync).await,
        Command::Suspend(arguments) => {
            let order = Order::Suspend { reason: arguments.reason.clone() };
            order::run(session, &arguments.order, &order).await
        }
        Command::Resume(to) => order::run(session, to, &Order::Resume).await,
        Command::State(command) => state::run(session, command).await,
        Command::Init(arguments) => init::run(session, arguments),
        Command::Schema(arguments) => schema::run(session, arguments),
    }
}
