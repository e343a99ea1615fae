//! `history`: the audit record, or a part of it.

use std::collections::BTreeSet;

use serde_json::json;

use crate::cli::arguments::{Format, HistoryArguments};
use crate::cli::event_form::line;
use crate::cli::exit::{Exit, Failure};
use crate::cli::selection::registered;
use crate::cli::session::Session;
use crate::cli::wiring::{Operator, store_is_there};
use crate::cli::{history_at, history_verify};
use crate::model::event::{Event, EventQuery};
use crate::model::text::{Text, inert};
use crate::plan::inert_json::json_line;
use crate::plan::register_view::ListedEvent;
use crate::ports::register::RegisterReader;
use crate::reconcile::meant::Meant;

/// Runs the command.
///
/// # Errors
/// The register's; a period that ends before it begins; with `--verify` and `--at` also a store that is
/// not there.
pub async fn run(session: &mut Session, arguments: &HistoryArguments) -> Result<Exit, Failure> {
    let operator = session.operator()?;
    let register = session.reader(&operator).await?;
    let chosen = registered(&*register, &session.common.customers).await?;
    if arguments.verify || arguments.at.is_some() {
        if session.common.format == Format::Jsonl {
            return Err(Failure::new("`--format jsonl` is for events: `--verify` and `--at` show none")
                .hint("`--format json` gives their result for programs"));
        }
        expect_store(session, &operator, if arguments.verify { "verify" } else { "rebuild" })?;
    }
    if arguments.verify {
        return history_verify::run(session, &*register, &chosen, &arguments.heads).await;
    }
    if let Some(at) = arguments.at {
        return history_at::run(session, &*register, &chosen, at.last).await;
    }
    let wanted = Wanted::of(session, arguments, &*register, chosen).await?;
    match session.common.format {
        Format::Json => {
            let mut forms: Vec<ListedEvent> = Vec::new();
            each_page(&*register, &wanted.listing(), |events| {
                forms.extend(wanted.kept(events).iter().map(ListedEvent::of));
                Ok(())
            })
            .await?;
            session.out.json(&json!({"events": forms}))?;
        }
        Format::Jsonl => export(session, &*register, &wanted).await?,
        // What does not fit was refused when it was typed.
        Format::Text | Format::Markdown | Format::Github | Format::Sarif => {
            list(session, &*register, &wanted).await?;
        }
    }
    Ok(Exit::Done)
}

/// A record that nobody looked at is neither whole nor empty.
fn expect_store(session: &Session, operator: &Operator, what_for: &str) -> Result<(), Failure> {
    let state = session.state(operator);
    if store_is_there(state) {
        return Ok(());
    }
    Err(Failure::new(format!("there is nothing to {what_for}: there is no store at {}", inert(state)))
        .hint("look at `--state`, and at `state` of the operator's file"))
}

/// Which events are asked for.
struct Wanted {
    customers: BTreeSet<Text>,
    /// Whether customers were named.
    named: bool,
    period: EventQuery,
    kinds: BTreeSet<&'static str>,
    account: Option<Meant>,
}

impl Wanted {
    async fn of(
        session: &Session,
        arguments: &HistoryArguments,
        register: &dyn RegisterReader,
        customers: BTreeSet<Text>,
    ) -> Result<Self, Failure> {
        let mut period = EventQuery::all(None);
        period.since = arguments.since.map_or(period.since, |when| when.first);
        period.until = arguments.until.map_or(period.until, |when| when.last);
        if period.since > period.until {
            return Err(Failure::new("the time of `--until` is before that of `--since`")
                .hint("nothing can have been written between them: exchange the two"));
        }
        let mut wanted = Self {
            customers,
            named: !session.common.customers.is_empty(),
            period,
            kinds: arguments.kinds.iter().map(|kind| kind.code()).collect(),
            account: None,
        };
        if let Some(word) = &arguments.account {
            wanted.account = Some(wanted.find(session, register, word).await?);
        }
        Ok(wanted)
    }

    /// Looks through all events of all kinds and times for an account: it may have had the name for a
    /// day only.
    async fn find(
        &self,
        session: &Session,
        register: &dyn RegisterReader,
        word: &str,
    ) -> Result<Meant, Failure> {
        let mut meant = Meant::new(word);
        let everything = EventQuery::all(self.only());
        each_page(register, &everything, |events| {
            events.iter().for_each(|event| meant.note(event));
            Ok(())
        })
        .await?;
        if meant.is_nobody() {
            let word = inert(word);
            session.note(&format!(
                "no account is or was called `{word}`: give the whole userPrincipalName, sAMAccountName or mail \
                 address, or an id"
            ));
        }
        Ok(meant)
    }

    /// The one customer that was named.
    fn only(&self) -> Option<&str> {
        match (self.named, self.customers.first()) {
            (true, Some(only)) if self.customers.len() == 1 => Some(only),
            _ => None,
        }
    }

    /// For people: all customers in the order in which things happened.
    fn listing(&self) -> EventQuery {
        EventQuery { customer: self.only().map(Text::from), ..self.period.clone() }
    }

    fn includes(&self, event: &Event) -> bool {
        (!self.named || self.customers.contains(&event.customer))
            && (self.kinds.is_empty() || self.kinds.contains(event.kind.as_str()))
            && self.account.as_ref().is_none_or(|meant| meant.is_about(event))
    }

    fn kept(&self, mut events: Vec<Event>) -> Vec<Event> {
        events.retain(|event| self.includes(event));
        events
    }
}

/// Reads page by page, so that a record of many years needs no more memory than a short one.
async fn each_page(
    register: &dyn RegisterReader,
    query: &EventQuery,
    mut each: impl FnMut(Vec<Event>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let page = register.event_page(query, after).await?;
        each(page.events)?;
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

async fn list(session: &mut Session, register: &dyn RegisterReader, wanted: &Wanted) -> Result<(), Failure> {
    let mut is_empty = true;
    each_page(register, &wanted.listing(), |events| {
        let events = wanted.kept(events);
        is_empty &= events.is_empty();
        session.out.text(&events.iter().map(line).collect::<String>())
    })
    .await?;
    if is_empty {
        session.out.text("No events.\n")?;
    }
    Ok(())
}

/// Writes one event a line, customer by customer in the order of each one's chain: whoever checks the
/// chain needs no more than the line before.
async fn export(
    session: &mut Session,
    register: &dyn RegisterReader,
    wanted: &Wanted,
) -> Result<(), Failure> {
    for customer in &wanted.customers {
        let query = EventQuery { customer: Some(customer.clone()), ..wanted.period.clone() };
        each_page(register, &query, |events| {
            let events = wanted.kept(events);
            let lines: Result<String, _> =
                events.iter().map(|event| json_line(&ListedEvent::of(event))).collect();
            session.out.text(&lines.map_err(|error| Failure::of("cannot write an event as JSON", &error))?)
        })
        .await?;
    }
    Ok(())
}
