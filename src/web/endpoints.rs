//! Everything that may be asked below `/api/v1`, in one list: the routes and their description are made from it.

use axum::http::StatusCode;
use axum::routing::{get, post};
use schemars::JsonSchema;

use crate::plan::explanation::Explanation;
use crate::ports::access::Role;
use crate::ports::feed::Happening;
use crate::web::accounts::{AccountsAnswer, AccountsAsked, accounts, all_accounts};
use crate::web::customers::{CustomersAnswer, CustomersAsked, OneCustomerAnswer, customer, customers};
use crate::web::decisions::{PlanAnswer, explain, plan};
use crate::web::events::{CustomerEventsAsked, EventsAnswer, EventsAsked, all_events, events};
use crate::web::matches::{MatchesAnswer, MatchesAsked, matches};
use crate::web::openapi::{Answer, Endpoint, Operation, openapi, parameters, shape};
use crate::web::orders::{OrderAnswer, SyncAnswer, Why, resume, suspend, sync};
use crate::web::plans::{self, Sent};
use crate::web::stream::{customer_stream, fleet_stream};

/// Returns everything that may be asked.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint {
            path: "/customers",
            operation: Operation {
                query: Some(parameters::<CustomersAsked>()),
                ..question::<CustomersAnswer>(
                    "listCustomers",
                    "How customers stand",
                    "Those of the tree in force and of the register, by name.",
                    "A page of customers.",
                )
            },
            route: get(customers),
        },
        Endpoint {
            path: "/customers/{name}",
            operation: question::<OneCustomerAnswer>(
                "getCustomer",
                "How a customer stands",
                "With how many accounts it had on each of the last 30 days.",
                "The customer.",
            ),
            route: get(customer),
        },
        Endpoint {
            path: "/customers/{name}/accounts",
            operation: Operation {
                query: Some(parameters::<AccountsAsked>()),
                ..question::<AccountsAnswer>(
                    "listAccountsOfCustomer",
                    "The register of a customer",
                    "By name. Accounts that were removed are there for 30 days.",
                    "A page of accounts.",
                )
            },
            route: get(accounts),
        },
        Endpoint {
            path: "/customers/{name}/matches",
            operation: Operation {
                query: Some(parameters::<MatchesAsked>()),
                ..question::<MatchesAnswer>(
                    "listMatchesOfCustomer",
                    "How the accounts of a customer stand in documentation systems",
                    "A page tells of so many accounts; it may be short, or empty, and not the last: what counts is `next`.",
                    "A page of matches.",
                )
            },
            route: get(matches),
        },
        Endpoint {
            path: "/customers/{name}/plan",
            operation: question::<PlanAnswer>(
                "getPlan",
                "What would be done for a customer",
                "By the tree in force, from the latest complete readings: no source is asked.",
                "A plan of one customer.",
            ),
            route: get(plan),
        },
        Endpoint {
            path: "/customers/{name}/events",
            operation: Operation {
                query: Some(parameters::<CustomerEventsAsked>()),
                ..question::<EventsAnswer>(
                    "listEventsOfCustomer",
                    "The audit record of a customer",
                    "A page may be short, or empty, and not the last: what counts is `next`.",
                    "A page of events.",
                )
            },
            route: get(events),
        },
        Endpoint {
            path: "/customers/{name}/explain/{account}",
            operation: question::<Explanation>(
                "explainAccount",
                "Why somebody is imported or not",
                "Rule by rule, by the tree in force, from the latest complete readings.",
                "An explanation.",
            ),
            route: get(explain),
        },
        Endpoint {
            path: "/customers/{name}/stream",
            operation: stream(
                "watchCustomer",
                "What happens to a customer, as it happens",
                "Server-sent events: the name of each is that of its `event` member.",
            ),
            route: get(customer_stream),
        },
        Endpoint {
            path: "/customers/{name}/sync",
            operation: Operation {
                answer: Answer {
                    status: StatusCode::ACCEPTED,
                    ..Answer::json::<SyncAnswer>("The turn will begin.")
                },
                ..order::<SyncAnswer>("syncCustomer", "Have a customer's turn begin now", "", "")
            },
            route: post(sync),
        },
        Endpoint {
            path: "/customers/{name}/suspend",
            operation: Operation {
                body: Some(shape::<Why>()),
                ..order::<OrderAnswer>(
                    "suspendCustomer",
                    "Have nothing more written for a customer",
                    "It is read and planned as before. Who did it, and why, is in the audit record.",
                    "How the customer stands.",
                )
            },
            route: post(suspend),
        },
        Endpoint {
            path: "/customers/{name}/resume",
            operation: order::<OrderAnswer>(
                "resumeCustomer",
                "Let a customer be written again",
                "Lifts what was suspended by command. What its document says is not lifted by a command.",
                "How the customer stands.",
            ),
            route: post(resume),
        },
        Endpoint {
            path: "/accounts",
            operation: Operation {
                query: Some(parameters::<AccountsAsked>()),
                ..question::<AccountsAnswer>(
                    "listAccounts",
                    "The register of all customers",
                    "By customer, then name.",
                    "A page of accounts.",
                )
            },
            route: get(all_accounts),
        },
        Endpoint {
            path: "/events",
            operation: Operation {
                query: Some(parameters::<EventsAsked>()),
                ..question::<EventsAnswer>(
                    "listEvents",
                    "The audit record of all customers",
                    "A page may be short, or empty, and not the last: what counts is `next`.",
                    "A page of events.",
                )
            },
            route: get(all_events),
        },
        Endpoint {
            path: "/stream",
            operation: stream(
                "watch",
                "What happens, as it happens",
                "Server-sent events: the name of each is that of its `event` member.",
            ),
            route: get(fleet_stream),
        },
        Endpoint {
            path: "/plans",
            operation: Operation {
                method: "post",
                body: Some(shape::<Sent>()),
                ..question::<plans::Answer<'static>>(
                    "planCandidate",
                    "What a tree would do that is in force nowhere",
                    "By the same planner, from the latest complete readings. Writes nothing.",
                    "A plan, and what is wrong in the candidate.",
                )
            },
            route: post(plans::plan),
        },
        Endpoint {
            path: "/openapi.json",
            operation: Operation {
                answer: Answer {
                    shape: Some(|_| schemars::json_schema!({"type": "object"})),
                    ..Answer::json::<()>("OpenAPI 3.1.")
                },
                ..question::<()>("getDescription", "This description", "", "")
            },
            route: get(openapi),
        },
    ]
}

fn question<T: JsonSchema>(
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    what: &'static str,
) -> Operation {
    Operation {
        method: "get",
        id,
        summary,
        description,
        role: Role::Viewer,
        query: None,
        body: None,
        answer: Answer::json::<T>(what),
    }
}

fn order<T: JsonSchema>(
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    what: &'static str,
) -> Operation {
    Operation { method: "post", role: Role::Operator, ..question::<T>(id, summary, description, what) }
}

fn stream(id: &'static str, summary: &'static str, description: &'static str) -> Operation {
    Operation {
        answer: Answer {
            status: StatusCode::OK,
            what: "Events without end.",
            content_type: "text/event-stream",
            // What the data of each event is.
            shape: Some(shape::<Happening>()),
        },
        ..question::<()>(id, summary, description, "")
    }
}
