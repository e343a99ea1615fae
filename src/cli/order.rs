//! `sync`, `suspend` and `resume`: orders to a controller that runs elsewhere.

use serde_json::json;

use crate::cli::arguments::OrderArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::session::Session;
use crate::cli::wiring;
use crate::model::text::inert;
use crate::ports::control::{Order, Reply};

/// Gives an order, and tells what came of it.
///
/// # Errors
/// If the controller cannot be reached, or refuses.
pub async fn run(session: &mut Session, to: &OrderArguments, order: &Order) -> Result<Exit, Failure> {
    let controller = wiring::controller(&to.server, session.common.max_wait)?;
    let reply = controller.order(&to.customer, order).await?;
    if session.is_json() {
        let suspension =
            reply.by.as_ref().map(|(by, at, reason)| json!({"by": by, "at": at, "reason": reason}));
        session.out.json(&match order {
            Order::Sync => json!({"customer": to.customer}),
            Order::Suspend { .. } | Order::Resume => json!({
                "customer": to.customer,
                "changed": reply.changed,
                "suspended": reply.suspended,
                "suspendedInTree": reply.suspended_in_tree,
                "suspension": suspension,
            }),
        })?;
    } else {
        session.out.text(&format!("{}\n", inert(&told(&to.customer, order, &reply))))?;
    }
    Ok(Exit::Done)
}

fn told(customer: &str, order: &Order, reply: &Reply) -> String {
    let since = || match &reply.by {
        Some((by, at, reason)) => {
            format!(" by {by} since {} ({reason})", at.strftime("%Y-%m-%d %H:%M:%SZ"))
        }
        None => String::new(),
    };
    match (order, reply.changed) {
        (Order::Sync, _) => format!("{customer}: its turn begins now; `intake status` says how it went."),
        (Order::Suspend { .. }, true) => {
            format!("{customer} is suspended: nothing is written for it until `intake resume {customer}`.")
        }
        (Order::Suspend { .. }, false) => format!("{customer} was suspended already{}.", since()),
        (Order::Resume, _) if reply.suspended_in_tree => {
            format!("{customer} is resumed, but stays suspended: its document says `suspend: true`.")
        }
        (Order::Resume, true) => format!("{customer} is resumed."),
        (Order::Resume, false) => format!("{customer} was not suspended."),
    }
}
