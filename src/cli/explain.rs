//! `explain`: why somebody is imported or not, rule by rule.

use std::path::Path;
use std::sync::Arc;

use crate::cli::arguments::ExplainArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::selection::one;
use crate::cli::session::Session;
use crate::cli::wiring;
use crate::model::observation::Observation;
use crate::model::text::inert;
use crate::plan::explain::explain;
use crate::plan::explain_report;
use crate::plan::explanation::Explanation;
use crate::plan::report::Style;
use crate::plan::seek::Unfound;
use crate::policy::fleet::{Customer, Imports};
use crate::reconcile::judge::{Job, Judge};

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
    let tree = wiring::check_tree(root, &operator, session.colours.err)?;
    // What is wrong elsewhere in the tree is nothing to who asks about one person.
    let customer = one(&tree.fleet, &session.common.customers)
        .and_then(sound)
        .inspect_err(|_| session.tell_problems(&tree))?;
    let has_errors = customer.imports.values().any(|imports| matches!(imports, Imports::Invalid(_)));
    if has_errors {
        session.tell_problems(&tree);
    }

    let register = session.reader(&operator).await?;
    let judge = Judge::new(session.observer(root, &operator, register));
    session.bar.begin(1);
    let judged = judge.judge(&Job::Listed(customer.clone()), &session.bar.customer()).await;
    session.bar.end();
    let observation = judged?.observation;
    let answer = ask(&customer, &observation, &arguments.account)?;
    write(session, root, &answer)?;
    for unread in &answer.unread {
        session.complain(&Failure::new(unread.clone()).hint(FROM_LAST));
    }
    Ok(match (has_errors, answer.unread.is_empty()) {
        (true, _) => Exit::Error,
        (false, true) => Exit::Done,
        (false, false) => Exit::Held,
    })
}

/// A broken document may name the wrong server: nobody is asked on its word.
fn sound(customer: &Customer) -> Result<Arc<Customer>, Failure> {
    if customer.invalid.is_empty() {
        return Ok(Arc::new(customer.clone()));
    }
    Err(Failure::new(format!("the document of `{}` has errors: nothing is read", customer.name))
        .hint("correct what is told above; `intake validate` tells it again without reading anything"))
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
