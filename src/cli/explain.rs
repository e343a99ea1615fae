//! `explain`: why somebody is imported or not, rule by rule.

use std::path::Path;

use jiff::Timestamp;

use crate::cli::arguments::ExplainArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::session::Session;
use crate::cli::wiring::SystemClock;
use crate::model::observation::Observation;
use crate::model::text::inert;
use crate::plan::explain::explain;
use crate::plan::explain_report;
use crate::plan::explanation::Explanation;
use crate::plan::report::Style;
use crate::plan::seek::Unfound;
use crate::policy::fleet::{Customer, Imports};
use crate::ports::clock::Clock as _;
use crate::ports::register::RegisterReader;
use crate::reconcile::judge::{Job, Judge};
use crate::reconcile::readings::unpack;

/// What helps while a source cannot be read.
const FROM_LAST: &str = "`--cached` explains from the last complete readings";

/// Runs the command. It writes nothing.
///
/// # Errors
/// If the operator's file, the tree or the register cannot be read, the customer is unknown or invalid,
/// or the name is nobody's or several people's.
pub async fn run(session: &mut Session, arguments: &ExplainArguments) -> Result<Exit, Failure> {
    let operator = session.operator()?;
    let root = &arguments.tree.tree;
    let (tree, customer) = session.customer(root, &operator)?;
    let has_errors = customer.imports.values().any(|imports| matches!(imports, Imports::Invalid(_)));
    if has_errors {
        session.tell_problems(&tree);
    }

    let register = session.reader(&operator).await?;
    let (observation, read_at) = if arguments.cached {
        let (observation, read_at) = remember(&*register, &customer).await?;
        (observation, Some(read_at))
    } else {
        let judge = Judge::new(session.observer(root, &operator, register));
        session.bar.begin(1);
        let judged = judge.judge(&Job::Listed(customer.clone()), &session.bar.customer()).await;
        session.bar.end();
        (judged?.observation, None)
    };
    let answer = ask(&customer, &observation, &arguments.account)?;
    let answer = Explanation { read_at, ..answer };
    write(session, root, &answer)?;
    for unread in &answer.unread {
        let failure = Failure::new(unread.clone());
        session.complain(&if arguments.cached { failure } else { failure.hint(FROM_LAST) });
    }
    Ok(match (has_errors, answer.unread.is_empty()) {
        (true, _) => Exit::Error,
        (false, true) => Exit::Done,
        (false, false) => Exit::Held,
    })
}

/// Returns the last complete readings, with the register as it is now, and when they were made.
async fn remember(
    register: &dyn RegisterReader,
    customer: &Customer,
) -> Result<(Observation, Timestamp), Failure> {
    let Some(packed) = register.readings(&customer.name).await? else {
        return Err(Failure::new(format!("no complete readings of `{}` were kept", customer.name))
            .hint("`apply` and `run` keep them; without `--cached` the sources are asked"));
    };
    let state = register.load(&customer.name).await?;
    Ok((unpack(&packed, customer, state, SystemClock.now())?, packed.at))
}

fn ask(customer: &Customer, observation: &Observation, account: &str) -> Result<Explanation, Failure> {
    explain(customer, observation, account).map_err(|unfound| match unfound {
        Unfound::Nobody { nearest } => {
            let what = format!(
                "neither the directory, the tenant nor the register of `{}` knows `{}`",
                customer.name,
                inert(account)
            );
            let hint = match nearest.split_first() {
                None => {
                    "name a userPrincipalName, sAMAccountName, mail address, objectGUID or tenant user id"
                        .to_owned()
                }
                Some((first, [])) => format!("did you mean `{first}`?"),
                Some((first, others)) => {
                    let others: Vec<String> = others.iter().map(|name| format!("`{name}`")).collect();
                    format!("did you mean `{first}`? Near, too: {}", others.join(", "))
                }
            };
            Failure::new(what).hint(hint)
        }
        Unfound::Several(people) => {
            let account = inert(account).into_owned();
            Failure::new(format!("several people of `{}` are `{account}`", customer.name))
                .details(people)
                .hint("name the one you mean by the objectGUID")
        }
    })
}

fn write(session: &mut Session, root: &Path, answer: &Explanation) -> Result<(), Failure> {
    if session.is_json() {
        return session.out.json(answer);
    }
    let apply = session.apply_command(root);
    let style = Style { colour: session.colours.out, verbose: session.common.verbose > 0, apply: &apply };
    let mut text = String::new();
    explain_report::write(&mut text, answer, style)
        .map_err(|error| Failure::of("cannot write the explanation", &error))?;
    session.out.text(&text)
}
