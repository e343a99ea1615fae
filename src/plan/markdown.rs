//! A plan as a comment on a pull request: Markdown, with names from outside inert, and never longer than a
//! comment may be.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::model::account::Verdict;
use crate::model::contact::ContactKind;
use crate::model::text::Text;
use crate::plan::markdown_text::{Bounded, name, sentence};
use crate::plan::outcome::{
    AccountView, Action, CustomerPlan, FieldChange, Finding, Operation, Plan, Severity, Summary,
};
use crate::plan::report::{
    has_something_to_tell, held_in_words, moment, name_of, of_these, state_in_words, without_sentence,
};

/// The first line, by which a program finds the comment that it wrote before, and replaces it.
pub const MARKER: &str = "<!-- intake plan -->";

/// What GitHub takes in one comment. GitLab takes more.
pub const LIMIT: usize = 65_536;

/// Longer tables are folded.
const FOLD: usize = 20;

/// How many customers without changes are named.
const NAMED: usize = 50;

/// How much is shown of each customer, from everything to hardly anything. The first that fits is taken:
/// all customers are cut alike, so that none hides the others.
const ROOMS: [Room; 9] = [
    Room { rows: usize::MAX, findings: usize::MAX },
    Room { rows: 500, findings: 100 },
    Room { rows: 200, findings: 50 },
    Room { rows: 100, findings: 20 },
    Room { rows: 50, findings: 20 },
    Room { rows: 20, findings: 10 },
    Room { rows: 10, findings: 5 },
    Room { rows: 5, findings: 3 },
    Room { rows: 0, findings: 1 },
];

/// What is kept free for the last lines of a comment that even so is too long.
const LAST_LINES: usize = 6_000;

/// How much is shown of a customer.
#[derive(Debug, Clone, Copy)]
struct Room {
    rows: usize,
    findings: usize,
}

/// Returns a plan as a comment, of [`LIMIT`] characters at most. `tree` is what is typed to name the tree,
/// quoted for a shell; empty for the current folder.
pub fn comment(plan: &Plan, tree: &str) -> String {
    ROOMS
        .into_iter()
        .enumerate()
        .find_map(|(number, room)| {
            let mut out = Bounded::new(LIMIT);
            let comment = Comment { plan, tree, room, is_cut: number > 0 };
            comment.write(&mut out).ok().map(|()| out.text)
        })
        .unwrap_or_else(|| Comment { plan, tree, room: ROOMS[ROOMS.len() - 1], is_cut: true }.of_lines())
}

struct Comment<'a> {
    plan: &'a Plan,
    tree: &'a str,
    room: Room,
    is_cut: bool,
}

impl Comment<'_> {
    fn write(&self, out: &mut dyn Write) -> fmt::Result {
        self.head(out)?;
        let (telling, silent): (Vec<_>, Vec<_>) =
            self.plan.customers.iter().partition(|customer| has_something_to_tell(customer));
        for plan in telling {
            Block { plan, comment: self }.write(out)?;
        }
        if !silent.is_empty() {
            let names: Vec<_> = silent.iter().map(|customer| &customer.name).collect();
            writeln!(out, "Without changes: {}.\n", listed(&names, NAMED))?;
        }
        self.foot(out)
    }

    /// A line for each customer, as many as there is room for: for more customers than a comment can tell
    /// anything else of.
    fn of_lines(&self) -> String {
        let mut out = Bounded::new(LIMIT - LAST_LINES);
        let telling: Vec<_> =
            self.plan.customers.iter().filter(|customer| has_something_to_tell(customer)).collect();
        let mut shown = 0;
        if self.head(&mut out).is_ok() {
            let mut lines = telling.iter().map(|plan| Block { plan, comment: self });
            while lines.next().is_some_and(|block| block.line(&mut out).is_ok()) {
                shown += 1;
            }
        }
        let mut last = String::new();
        let more = telling.len() - shown;
        // Memory takes all text.
        let _ = writeln!(last, "\n… and {more} more customers.\n").and_then(|()| self.foot(&mut last));
        out.text + &last
    }

    fn head(&self, out: &mut dyn Write) -> fmt::Result {
        writeln!(out, "{MARKER}\n\n### Intake plan\n")?;
        writeln!(out, "**Plan:** {}", totals(&self.plan.summary))?;
        let of_these = of_these(self.plan.customers.iter().flat_map(|customer| &customer.operations));
        if !of_these.is_empty() {
            writeln!(out, "{of_these}")?;
        }
        if let Some(against) = &self.plan.against {
            let nothing = if self.plan.customers.is_empty() {
                "Nothing differs."
            } else {
                "Only what differs is shown."
            };
            writeln!(out, "\nCompared with {}. {nothing}", name(against))?;
        }
        writeln!(out)
    }

    fn foot(&self, out: &mut dyn Write) -> fmt::Result {
        let space = if self.tree.is_empty() { "" } else { " " };
        if self.is_cut {
            let command = name(&format!("intake plan{space}{}", self.tree));
            writeln!(
                out,
                "**This is not the whole plan**: a comment holds {LIMIT} characters at most. {command} shows all \
                 of it, and `--out` saves it.\n"
            )?;
        }
        if self.plan.redacted {
            writeln!(out, "Ids stand in place of names.\n")?;
        }
        writeln!(out, "Digest: `{}`, of the tree {}", self.plan.digest, name(&self.plan.revision))
    }
}

/// What is told of one customer.
struct Block<'a> {
    plan: &'a CustomerPlan,
    comment: &'a Comment<'a>,
}

impl Block<'_> {
    fn write(&self, out: &mut dyn Write) -> fmt::Result {
        let state = state_in_words(self.plan).map(|state| format!(" ({state})")).unwrap_or_default();
        writeln!(out, "#### {}{state}\n", name(&self.plan.name))?;
        writeln!(out, "{}.\n", what_there_is(&self.plan.summary))?;
        self.hold(out)?;
        self.findings(out)?;
        self.operations(out)?;
        self.missing_contacts(out)?;
        self.others(out)
    }

    fn line(&self, out: &mut Bounded) -> fmt::Result {
        // One write: a line is whole or not there.
        let state = state_in_words(self.plan).map(|state| format!(" ({state})")).unwrap_or_default();
        let summary = what_there_is(&self.plan.summary);
        out.write_str(&format!("- {}{state}: {summary}\n", name(&self.plan.name)))
    }

    /// Says what is held, why, and exactly what lets it go.
    fn hold(&self, out: &mut dyn Write) -> fmt::Result {
        let Some(approval) = self.plan.approval else { return Ok(()) };
        writeln!(out, "**{}, until somebody approves exactly this.**\n", held_in_words(self.plan))?;
        for finding in self.findings_of(true).take(self.comment.room.findings) {
            let message = without_sentence(&finding.message, &approval.to_string());
            writeln!(out, "- {}: {}", finding.code.code(), sentence(&message))?;
        }
        let customer = name(&self.plan.name);
        writeln!(out, "\nTo let it go ahead, add to `spec` in the file of customer {customer}:\n")?;
        writeln!(out, "```yaml\napprove: [\"{approval}\"]\n```\n")
    }

    /// Returns the findings that stand beside a hold, or those that do not; what is worse goes first.
    fn findings_of(&self, beside_the_hold: bool) -> impl Iterator<Item = &Finding> {
        let is_held = self.plan.approval.is_some();
        let mut findings: Vec<&Finding> = self
            .plan
            .findings
            .iter()
            .filter(|finding| (is_held && finding.severity == Severity::Error) == beside_the_hold)
            .collect();
        findings.sort_by_key(|finding| finding.severity);
        findings.into_iter()
    }

    fn findings(&self, out: &mut dyn Write) -> fmt::Result {
        let count = self.findings_of(false).count();
        if count == 0 {
            return Ok(());
        }
        writeln!(out, "Findings:\n")?;
        for finding in self.findings_of(false).take(self.comment.room.findings) {
            let word = match finding.severity {
                Severity::Error => "**error**",
                Severity::Warning => "**warning**",
                Severity::Info => "info",
            };
            let subject = match finding.subject.as_str() {
                "" => String::new(),
                subject => format!(" {}", name(subject)),
            };
            writeln!(out, "- {word} {}{subject}: {}", finding.code.code(), sentence(&finding.message))?;
        }
        more(out, count, self.comment.room.findings, "- … and", "more findings")?;
        writeln!(out)
    }

    fn operations(&self, out: &mut dyn Write) -> fmt::Result {
        self.table(out, &in_order_of_interest(&self.plan.operations), "changes")?;
        if self.plan.no_longer.is_empty() {
            return Ok(());
        }
        writeln!(out, "No longer:\n")?;
        self.table(out, &in_order_of_interest(&self.plan.no_longer), "changes that are made no longer")
    }

    fn missing_contacts(&self, out: &mut dyn Write) -> fmt::Result {
        let mut counts: BTreeMap<(&str, ContactKind), u64> = BTreeMap::new();
        for contact in &self.plan.missing_contacts {
            *counts.entry((contact.system.as_str(), contact.kind)).or_default() += 1;
        }
        for ((system, kind), count) in counts {
            let contacts = match (kind, count) {
                (ContactKind::Person, 1) => "contact",
                (ContactKind::Person, _) => "contacts",
                (ContactKind::PasswordEntry, 1) => "password entry",
                (ContactKind::PasswordEntry, _) => "password entries",
            };
            writeln!(out, "{count} missing {contacts} would be made in {}.\n", name(system))?;
        }
        Ok(())
    }

    fn table(&self, out: &mut dyn Write, operations: &[&Operation], what: &str) -> fmt::Result {
        let rows = operations.len().min(self.comment.room.rows);
        if operations.is_empty() {
            return Ok(());
        }
        let is_folded = rows > FOLD;
        if is_folded {
            writeln!(out, "<details><summary>{} {what}</summary>\n", operations.len())?;
        }
        if rows > 0 {
            writeln!(out, "| Change | Account | What | Type | Policy |\n| --- | --- | --- | --- | --- |")?;
            operations.iter().take(rows).try_for_each(|operation| row(out, operation))?;
            writeln!(out)?;
        }
        more(out, operations.len(), rows, "… and", "more changes of this customer\n")?;
        if is_folded {
            writeln!(out, "</details>\n")?;
        }
        Ok(())
    }

    /// Tells of those to whom nothing happens: known accounts that are kept by name, the others by number.
    fn others(&self, out: &mut dyn Write) -> fmt::Result {
        let CustomerPlan { kept, not_imported, licensed_outside_scope, .. } = self.plan;
        if !kept.is_empty() {
            let names: Vec<Text> = kept.iter().map(|kept| Text::from(name_of(&kept.account))).collect();
            let verdicts = counted(kept.iter().map(|kept| kept.verdict));
            let names = listed(&names.iter().collect::<Vec<_>>(), self.comment.room.rows.min(NAMED));
            writeln!(out, "Kept as they are ({verdicts}): {names}.\n")?;
        }
        if !not_imported.is_empty() {
            let verdicts = counted(not_imported.iter().map(|one| one.verdict));
            writeln!(out, "Not imported: {} ({verdicts}).\n", not_imported.len())?;
        }
        if !licensed_outside_scope.is_empty() {
            writeln!(out, "Licensed outside every scope: {}.\n", licensed_outside_scope.len())?;
        }
        Ok(())
    }
}

/// Returns the operations as a reviewer wants them: who goes before who comes. Where a table is cut, it is
/// cut at its end.
fn in_order_of_interest(operations: &[Operation]) -> Vec<&Operation> {
    let mut operations: Vec<&Operation> = operations.iter().collect();
    operations.sort_by_key(|operation| match operation.action {
        Action::Hold => 0,
        Action::Remove => 1,
        Action::Pend => 2,
        Action::Update => 3,
        Action::Return => 4,
        Action::Add => 5,
    });
    operations
}

fn row(out: &mut dyn Write, operation: &Operation) -> fmt::Result {
    let account: AccountView = operation.account();
    let account_name = name_of(&account);
    let reason = operation.reason.map_or("", Verdict::code);
    let changes = || operation.changes.iter().map(changed).collect::<Vec<_>>().join("; ");
    let (change, what) = match operation.action {
        Action::Add | Action::Return => {
            let called = (account_name != account.display_name).then(|| name(&account.display_name));
            let matched = operation.matched_by.map(|key| format!("by {}", key.code()));
            let change = if operation.action == Action::Add { "\\+ add" } else { "\\+ return" };
            let changes = Some(changes()).filter(|changes| !changes.is_empty());
            (change, [called, matched, changes].into_iter().flatten().collect::<Vec<_>>().join(", "))
        }
        Action::Update => ("\\~ update", changes()),
        Action::Pend => {
            let until = operation.until.map(|until| format!(", until {}", moment(until)));
            ("\\~ pend", format!("{reason}{}", until.unwrap_or_default()))
        }
        Action::Remove => ("\\- remove", reason.to_owned()),
        Action::Hold => {
            let guard = operation.held_by.map_or("a guard", |guard| guard.code());
            ("\\! hold", format!("{reason}, held by {guard}"))
        }
    };
    let (account, policy) = (name(&account_name), name(&operation.policy));
    writeln!(out, "| {change} | {account} | {what} | {} | {policy} |", operation.key.account_type)
}

fn changed(change: &FieldChange) -> String {
    let shown = |value: &Option<Text>| value.as_deref().map_or("_(none)_".to_owned(), name);
    format!("{}: {} → {}", change.field, shown(&change.before), shown(&change.after))
}

fn totals(summary: &Summary) -> String {
    let Summary { add, update, remove, hold, unchanged } = summary;
    format!("{add} to add, {update} to update, {remove} to remove, {hold} held; {unchanged} unchanged.")
}

/// Says the same of one customer, without what there is none of.
fn what_there_is(summary: &Summary) -> String {
    let Summary { add, update, remove, hold, unchanged } = summary;
    let counts = [(add, "to add"), (update, "to update"), (remove, "to remove"), (hold, "held")];
    let counts =
        counts.iter().filter(|(count, _)| **count > 0).map(|(count, what)| format!("{count} {what}"));
    let counts: Vec<String> = counts.collect();
    let counts = if counts.is_empty() { "Nothing to do".to_owned() } else { counts.join(", ") };
    format!("{counts}; {unchanged} unchanged")
}

fn counted(verdicts: impl Iterator<Item = Verdict>) -> String {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    verdicts.for_each(|verdict| *counts.entry(verdict).or_default() += 1);
    let counts: Vec<String> =
        counts.iter().map(|(verdict, count)| format!("{} {count}", verdict.code())).collect();
    counts.join(", ")
}

/// Lists the first names, and says how many more there are.
fn listed(names: &[&Text], most: usize) -> String {
    let shown: Vec<String> = names.iter().take(most).map(|text| name(text)).collect();
    match (names.len().saturating_sub(most), shown.is_empty()) {
        (0, _) => shown.join(", "),
        (more, true) => format!("{more} in all"),
        (more, false) => format!("{} and {more} more", shown.join(", ")),
    }
}

fn more(out: &mut dyn Write, all: usize, shown: usize, before: &str, after: &str) -> fmt::Result {
    match all.saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(out, "{before} {more} {after}"),
    }
}
