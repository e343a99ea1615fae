//! A plan for people: text with or without colour.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Write};

use anstyle::{AnsiColor, Style as Ink};
use jiff::Timestamp;

use crate::model::account::Verdict;
use crate::model::text::inert;
use crate::plan::outcome::{
    AccountView, Action, CustomerPlan, CustomerState, FieldChange, Finding, Kept, NotImported, Operation,
    Plan, Severity, Summary, TenantUserView,
};

/// How many entries of a customer's lists of people left out are shown, unless all are asked for.
const SHORT: usize = 100;

/// How a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style<'a> {
    /// Whether with ANSI colours.
    pub colour: bool,
    /// Whether also customers without changes, and long lists whole.
    pub verbose: bool,
    /// What somebody types to apply this very tree, quoted for a shell; `intake apply` if empty.
    pub apply: &'a str,
}

pub(super) const GREEN: Ink = AnsiColor::Green.on_default();
pub(super) const YELLOW: Ink = AnsiColor::Yellow.on_default();
pub(super) const RED: Ink = AnsiColor::Red.on_default();
pub(super) const MAGENTA: Ink = AnsiColor::Magenta.on_default();
pub(super) const DIM: Ink = Ink::new().dimmed();
pub(super) const BOLD: Ink = Ink::new().bold();

/// Writes a plan: a block for every customer with changes or something to know, the totals and
/// the digest. Names from outside are inert in it.
///
/// # Errors
/// Only those of `out`.
pub fn write(out: &mut dyn Write, plan: &Plan, style: Style<'_>) -> fmt::Result {
    for customer in &plan.customers {
        write_customer(out, customer, style)?;
    }
    if let Some(against) = &plan.against {
        let nothing =
            if plan.customers.is_empty() { "Nothing differs." } else { "Only what differs is shown." };
        writeln!(out, "Compared with {}. {nothing}", inert(against))?;
    }
    write_summary(out, &plan.summary, style)?;
    let of_these = of_these(plan.customers.iter().flat_map(|customer| &customer.operations));
    if !of_these.is_empty() {
        writeln!(out, "{of_these}")?;
    }
    writeln!(out, "Digest: {}", plan.digest)
}

/// Writes the block of one customer; nothing for a customer with nothing to tell.
///
/// # Errors
/// Only those of `out`.
pub fn write_customer(out: &mut dyn Write, plan: &CustomerPlan, style: Style<'_>) -> fmt::Result {
    let report = Report { plan, style };
    if !style.verbose && !has_something_to_tell(plan) {
        return Ok(());
    }
    report.heading(out)?;
    report.operations(out)?;
    report.no_longer(out)?;
    report.hold(out)?;
    report.missing_contacts(out)?;
    report.findings(out)?;
    report.kept(out)?;
    report.not_imported(out)?;
    report.licensed_outside_scope(out)?;
    writeln!(out)
}

/// Writes the totals: `Plan: 3 to add, 1 to update, 2 to remove, 0 held; 120 unchanged.`
///
/// # Errors
/// Only those of `out`.
pub fn write_summary(out: &mut dyn Write, summary: &Summary, style: Style<'_>) -> fmt::Result {
    let Summary { add, update, remove, hold, unchanged } = summary;
    writeln!(
        out,
        "{} {add} to add, {update} to update, {remove} to remove, {hold} held; {unchanged} unchanged.",
        style.paint(BOLD, "Plan:")
    )
}

/// Says in words what the totals do not tell apart: returns among the adds, orphaned accounts among
/// the updates, and removals that only begin to wait. Empty if there is nothing of it.
pub fn of_these<'a>(operations: impl IntoIterator<Item = &'a Operation>) -> String {
    let (mut returns, mut orphaned, mut pends) = (0_u64, 0_u64, 0_u64);
    let mut ends: BTreeSet<Timestamp> = BTreeSet::new();
    for operation in operations {
        match operation.action {
            Action::Return => returns += 1,
            Action::Update if is_orphaned(operation) => orphaned += 1,
            Action::Pend => {
                pends += 1;
                ends.extend(operation.until);
            }
            _ => {}
        }
    }
    let until = match (ends.first(), ends.len()) {
        (Some(end), 1) => format!(" (until {})", moment(*end)),
        (Some(end), _) => format!(" (the first until {})", moment(*end)),
        (None, _) => String::new(),
    };
    let parts: Vec<String> = [
        (returns, "added again that was known before", "added again that were known before", ""),
        (orphaned, "orphaned", "orphaned", ""),
        (
            pends,
            "not removed yet but waiting for its grace",
            "not removed yet but waiting for their grace",
            &*until,
        ),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, one, many, until)| format!("{count} {}{until}", if count == 1 { one } else { many }))
    .collect();
    if parts.is_empty() { String::new() } else { format!("Of these: {}.", parts.join(", ")) }
}

fn is_orphaned(operation: &Operation) -> bool {
    let is = |change: &FieldChange| change.field == "state" && change.after.as_deref() == Some("orphaned");
    operation.changes.iter().any(is)
}

/// Shows a time to the second, as every text output does.
pub(super) fn moment(at: Timestamp) -> impl Display {
    at.strftime("%Y-%m-%d %H:%M:%SZ")
}

impl Style<'_> {
    /// Returns text in an ink, if there is colour.
    pub(super) fn paint<T: Display>(self, ink: Ink, text: T) -> Painted<T> {
        Painted { ink: if self.colour { ink } else { Ink::new() }, text }
    }
}

/// Text in an ink.
pub(super) struct Painted<T> {
    ink: Ink,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}{}", self.ink.render(), self.text, self.ink.render_reset())
    }
}

struct Report<'a> {
    plan: &'a CustomerPlan,
    style: Style<'a>,
}

impl Report<'_> {
    fn heading(&self, out: &mut dyn Write) -> fmt::Result {
        let name = self.style.paint(BOLD, inert(&self.plan.name));
        let Some(state) = state_in_words(self.plan) else { return writeln!(out, "{name}") };
        let ink = if self.plan.state == CustomerState::Suspended { YELLOW } else { RED };
        writeln!(out, "{name} ({})", self.style.paint(ink, state))
    }

    fn operations(&self, out: &mut dyn Write) -> fmt::Result {
        self.table(out, &self.plan.in_order())
    }

    /// Tells what would happen by the other revision alone.
    fn missing_contacts(&self, out: &mut dyn Write) -> fmt::Result {
        for contact in &self.plan.missing_contacts {
            let account = match &contact.account {
                Some(name) => inert(name).into_owned(),
                None => contact.id.to_string(),
            };
            write!(
                out,
                "  {} {} in {} for {account}",
                self.style.paint(GREEN, "+"),
                contact.kind.noun(),
                inert(&contact.system)
            )?;
            if let Some(found_by) = contact.address.as_ref().or(contact.username.as_ref()) {
                write!(out, ", {}", inert(found_by))?;
            }
            writeln!(out, ": none fits (createMissing)")?;
        }
        Ok(())
    }

    fn no_longer(&self, out: &mut dyn Write) -> fmt::Result {
        if self.plan.no_longer.is_empty() {
            return Ok(());
        }
        writeln!(out, "  {}", self.style.paint(DIM, "no longer:"))?;
        self.table(out, &self.plan.no_longer.iter().collect::<Vec<_>>())
    }

    fn table(&self, out: &mut dyn Write, operations: &[&Operation]) -> fmt::Result {
        let names: Vec<String> = operations.iter().map(|operation| name_of(&operation.account())).collect();
        let width = width_of(&names);
        for (operation, name) in operations.iter().zip(&names) {
            self.operation(out, operation, name, width)?;
        }
        Ok(())
    }

    fn operation(&self, out: &mut dyn Write, operation: &Operation, name: &str, width: usize) -> fmt::Result {
        let (sign, ink) = match operation.action {
            Action::Add => ("+ add   ", GREEN),
            Action::Return => ("+ return", GREEN),
            Action::Update => ("~ update", YELLOW),
            Action::Pend => ("~ pend  ", YELLOW),
            Action::Remove => ("- remove", RED),
            Action::Hold => ("! hold  ", MAGENTA),
        };
        let account_type = operation.key.account_type;
        let policy = inert(&operation.policy);
        let because = operation.reason.map_or("", |reason| reason.code());
        let about = match operation.action {
            Action::Add | Action::Return => {
                let matched =
                    operation.matched_by.map(|key| format!(", by {}", key.code())).unwrap_or_default();
                // Without names the id stands for both.
                let called = Some(inert(&operation.profile.display_name)).filter(|called| called != name);
                format!("{}  ({account_type}, {policy}{matched})", called.unwrap_or_default())
            }
            Action::Update => format!("({account_type}, {policy})"),
            Action::Pend => match operation.until {
                Some(until) => format!("{because}, until {}  ({account_type}, {policy})", moment(until)),
                None => format!("{because}  ({account_type}, {policy})"),
            },
            Action::Remove => format!("{because}  ({account_type}, {policy})"),
            Action::Hold => {
                let guard = operation.held_by.map_or("a guard", |guard| guard.code());
                format!("{because}, held by {guard}  ({account_type}, {policy})")
            }
        };
        let padding = width.saturating_sub(name.chars().count());
        writeln!(out, "  {} {name}{:padding$}  {}", self.style.paint(ink, sign), "", about.trim())?;
        operation.changes.iter().try_for_each(|change| self.change(out, change))
    }

    fn change(&self, out: &mut dyn Write, change: &FieldChange) -> fmt::Result {
        let shown = |value: &Option<crate::model::text::Text>| match value {
            Some(value) => format!("\"{}\"", inert(value)),
            None => "(none)".to_owned(),
        };
        writeln!(out, "             {}: {} → {}", change.field, shown(&change.before), shown(&change.after))
    }

    /// Says what is held, why, and exactly what lets it go.
    fn hold(&self, out: &mut dyn Write) -> fmt::Result {
        let Some(approval) = self.plan.approval else { return Ok(()) };
        let name = inert(&self.plan.name);
        let held = held_in_words(self.plan);
        writeln!(out)?;
        writeln!(out, "  {} {held}, until somebody approves exactly this.", self.style.paint(MAGENTA, "!"))?;
        for finding in self.plan.findings.iter().filter(|finding| finding.severity == Severity::Error) {
            let message = without_sentence(&finding.message, &approval.to_string());
            writeln!(out, "    Why: {}: {}", finding.code.code(), inert(&message))?;
        }
        writeln!(out, "    To let it go ahead, add to `spec` in the file of customer `{name}`:")?;
        writeln!(out, "      approve: [\"{approval}\"]")?;
        writeln!(out, "    or, for one run:")?;
        let apply = if self.style.apply.is_empty() { "intake apply" } else { self.style.apply };
        writeln!(out, "      {} --customer {name} --approve {approval}", inert(apply))
    }

    fn findings(&self, out: &mut dyn Write) -> fmt::Result {
        let mut shown = self.plan.findings.iter().filter(|finding| !self.was_told(finding)).peekable();
        if shown.peek().is_some() {
            writeln!(out, "\n  Findings")?;
        }
        shown.try_for_each(|finding| self.finding(out, finding))
    }

    /// What holds something back stands beside the hold already.
    fn was_told(&self, finding: &Finding) -> bool {
        self.plan.approval.is_some() && finding.severity == Severity::Error
    }

    fn finding(&self, out: &mut dyn Write, finding: &Finding) -> fmt::Result {
        let (word, ink) = match finding.severity {
            Severity::Error => ("error", RED),
            Severity::Warning => ("warning", YELLOW),
            Severity::Info => ("info", DIM),
        };
        write!(out, "    {} {}", self.style.paint(ink, word), finding.code.code())?;
        if !finding.subject.is_empty() {
            write!(out, " {}", inert(&finding.subject))?;
        }
        writeln!(out, ": {}", inert(&finding.message))
    }

    fn kept(&self, out: &mut dyn Write) -> fmt::Result {
        if self.plan.kept.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n  Kept as they are ({})", self.plan.kept.len())?;
        let names: Vec<String> = self.plan.kept.iter().map(|kept| name_of(&kept.account)).collect();
        let width = width_of(&names);
        for (Kept { verdict, candidates, .. }, name) in self.plan.kept.iter().zip(&names) {
            let padding = width.saturating_sub(name.chars().count());
            let why = if candidates.is_empty() { meaning(*verdict).to_owned() } else { either(candidates) };
            writeln!(out, "    {:21} {name}{:padding$}  {why}", verdict.code(), "")?;
        }
        Ok(())
    }

    fn not_imported(&self, out: &mut dyn Write) -> fmt::Result {
        let all = &self.plan.not_imported;
        if all.is_empty() {
            return Ok(());
        }
        if self.plan.operations.is_empty() && !self.style.verbose && !nobody_is_imported(self.plan) {
            return writeln!(out, "\n  Not imported: {} (-v lists them)", all.len());
        }
        writeln!(out, "\n  Not imported ({})", all.len())?;
        let mut by_verdict: Vec<&NotImported> = all.iter().collect();
        by_verdict.sort_by_key(|left_out| left_out.verdict);
        let shown = self.short(&by_verdict);
        let names: Vec<String> = shown.iter().map(|left_out| name_of(&left_out.account)).collect();
        let width = width_of(&names);
        for (NotImported { verdict, evidence, candidates, .. }, name) in shown.iter().zip(&names) {
            let padding = width.saturating_sub(name.chars().count());
            let mut about = inert(evidence).into_owned();
            if !candidates.is_empty() {
                let separator = if about.is_empty() { "" } else { "; " };
                about = format!("{about}{separator}{}", either(candidates));
            }
            let line = format!("    {:21} {name}{:padding$}  {about}", verdict.code(), "");
            writeln!(out, "{}", line.trim_end())?;
        }
        self.rest(out, all.len())
    }

    fn licensed_outside_scope(&self, out: &mut dyn Write) -> fmt::Result {
        let all = &self.plan.licensed_outside_scope;
        if all.is_empty() {
            return Ok(());
        }
        if self.plan.operations.is_empty() && !self.style.verbose && !nobody_is_imported(self.plan) {
            return writeln!(out, "  Licensed outside every scope: {} (-v lists them)", all.len());
        }
        writeln!(out, "\n  Licensed outside every scope ({})", all.len())?;
        let shown = self.short(all);
        let names: Vec<String> =
            shown.iter().map(|user| inert(&user.user_principal_name).into_owned()).collect();
        let width = width_of(&names);
        for (TenantUserView { licenses, .. }, name) in shown.iter().zip(&names) {
            let licenses: Vec<_> = licenses.iter().map(|licence| inert(licence)).collect();
            let padding = width.saturating_sub(name.chars().count());
            writeln!(out, "    {name}{:padding$}  {}", "", licenses.join(", "))?;
        }
        self.rest(out, all.len())
    }

    fn short<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        if self.style.verbose { all } else { &all[..all.len().min(SHORT)] }
    }

    fn rest(&self, out: &mut dyn Write, all: usize) -> fmt::Result {
        match all.saturating_sub(SHORT) {
            more if more > 0 && !self.style.verbose => {
                writeln!(out, "    {}", self.style.paint(DIM, format!("… and {more} more (-v shows all)")))
            }
            _ => Ok(()),
        }
    }
}

/// Returns by what name people know an account, inert.
pub(super) fn name_of(account: &AccountView) -> String {
    let name = account
        .user_principal_name
        .as_deref()
        .into_iter()
        .chain([account.sam_account_name.as_str(), account.display_name.as_str()])
        .find(|name| !name.is_empty());
    name.map_or_else(|| "(without a name)".to_owned(), |name| inert(name).into_owned())
}

/// Whether there is something in a customer's plan that somebody should see.
pub(super) fn has_something_to_tell(plan: &CustomerPlan) -> bool {
    !plan.operations.is_empty()
        || !plan.no_longer.is_empty()
        || !plan.missing_contacts.is_empty()
        || !matches!(plan.state, CustomerState::Ready | CustomerState::Suspended)
        || !plan.kept.is_empty()
        || plan.findings.iter().any(|finding| finding.severity != Severity::Info)
        || nobody_is_imported(plan)
}

/// Somebody whose first plan is empty wants to know why before anything else.
fn nobody_is_imported(plan: &CustomerPlan) -> bool {
    plan.summary.unchanged == 0 && !plan.not_imported.is_empty()
}

/// Says what a customer's state means for its plan; nothing where that is as it should be.
pub(super) fn state_in_words(plan: &CustomerPlan) -> Option<String> {
    // A customer may be so for one account type only; then the operations are the other one's.
    let still = if plan.operations.is_empty() {
        "nothing is planned, everything stays as it is"
    } else {
        "for one account type, whose accounts all stay as they are"
    };
    Some(match plan.state {
        CustomerState::Ready => return None,
        CustomerState::Suspended => "suspended: nothing of this would be written".to_owned(),
        CustomerState::Held => "held".to_owned(),
        CustomerState::NotReady => "notReady: nothing is planned until both sides are connected".to_owned(),
        state => format!("{}: {still}", state.code()),
    })
}

/// Says how much waits for an approval.
pub(super) fn held_in_words(plan: &CustomerPlan) -> String {
    match plan.summary.hold {
        0 => "Nothing goes ahead".to_owned(),
        1 => "1 removal is kept back".to_owned(),
        count => format!("{count} removals are kept back"),
    }
}

/// Leaves out the sentence that names a digest: what to do with it stands below in lines to copy.
pub fn without_sentence(message: &str, digest: &str) -> String {
    let sentences: Vec<&str> = message.split(". ").filter(|sentence| !sentence.contains(digest)).collect();
    if sentences.is_empty() { message.to_owned() } else { sentences.join(". ") }
}

fn width_of(names: &[String]) -> usize {
    // One name of monstrous length does not push everything else off the screen.
    names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(48)
}

fn either(candidates: &[String]) -> String {
    let candidates: Vec<_> = candidates.iter().map(|candidate| inert(candidate)).collect();
    candidates.join(" or ")
}

/// Says why an account is kept where no candidates say it.
fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::InvalidRecord => {
            "the directory's record is broken: no objectGUID, no logon name, or values that are no text"
        }
        Verdict::AmbiguousMatch => "several tenant users fit, or several accounts claim one",
        Verdict::MatchConflict => {
            "a stronger key points elsewhere than a weaker one, or the tenant user belongs to another account"
        }
        // Nobody is kept for another reason.
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::{AccountKey, AccountType, Profile, Source};
    use crate::model::digest::Digest;
    use crate::model::guid::Guid;
    use crate::model::text::Text;
    use crate::plan::outcome::{Consequences, FORMAT_VERSION, FindingCode};
    use crate::policy::fleet::MatchKey;

    fn operation(action: Action, name: &str) -> Operation {
        Operation {
            action,
            key: AccountKey {
                account_type: AccountType::EndUser,
                source: Source::Directory,
                id: Guid::from_u128(1),
            },
            directory: None,
            profile: Profile {
                sam_account_name: Text::from(name),
                user_principal_name: Some(Text::from(format!("{name}@contoso.test"))),
                display_name: Text::from("Somebody"),
                email: None,
                mobile_phone: None,
                tenant_user_id: None,
                password_sync: true,
            },
            policy: Text::from("staff"),
            matched_by: None,
            changes: Vec::new(),
            reason: None,
            held_by: None,
            until: None,
            approved: false,
        }
    }

    fn customer(operations: Vec<Operation>) -> CustomerPlan {
        CustomerPlan {
            name: Text::from("contoso"),
            state: CustomerState::Ready,
            digest: Digest::of(b"customer"),
            approval: None,
            register_revision: 1,
            summary: Summary { add: 1, update: 1, remove: 2, hold: 0, unchanged: 120 },
            operations,
            no_longer: Vec::new(),
            missing_contacts: Vec::new(),
            kept: Vec::new(),
            licensed_outside_scope: Vec::new(),
            findings: Vec::new(),
            not_imported: Vec::new(),
            consequences: Consequences::default(),
        }
    }

    fn text(customer: CustomerPlan, style: Style<'_>) -> String {
        let plan = Plan {
            format_version: FORMAT_VERSION,
            digest: Digest::of(b"plan"),
            revision: Text::from("tree"),
            redacted: false,
            against: None,
            summary: customer.summary,
            customers: vec![customer],
        };
        let mut text = String::new();
        write(&mut text, &plan, style).expect("a String takes everything");
        text
    }

    fn left_out(number: usize) -> NotImported {
        NotImported {
            verdict: Verdict::Unlicensed,
            account_type: AccountType::EndUser,
            account: operation(Action::Add, &format!("user{number:02}")).account(),
            evidence: "no licence that counts".to_owned(),
            candidates: Vec::new(),
        }
    }

    #[test]
    fn every_action_has_its_line() {
        let mut add = operation(Action::Add, "jane");
        add.matched_by = Some(MatchKey::ImmutableId);
        let mut update = operation(Action::Update, "bob");
        update.changes =
            vec![FieldChange { field: "displayName", before: Some(Text::from("B")), after: None }];
        let mut pend = operation(Action::Pend, "carl");
        pend.reason = Some(Verdict::NotInScope);
        pend.until = Some("2026-12-01T00:00:00.123456789Z".parse().expect("a moment"));
        let mut remove = operation(Action::Remove, "eve");
        remove.reason = Some(Verdict::Unlicensed);
        let shown = text(customer(vec![add, update, pend, remove]), Style::default());
        let expected = "\
contoso
  + add    jane@contoso.test  Somebody  (EndUser, staff, by immutableId)
  ~ update bob@contoso.test   (EndUser, staff)
             displayName: \"B\" → (none)
  ~ pend   carl@contoso.test  not-in-scope, until 2026-12-01 00:00:00Z  (EndUser, staff)
  - remove eve@contoso.test   unlicensed  (EndUser, staff)

Plan: 1 to add, 1 to update, 2 to remove, 0 held; 120 unchanged.
Of these: 1 not removed yet but waiting for its grace (until 2026-12-01 00:00:00Z).
";
        assert_eq!(shown, format!("{expected}Digest: {}\n", Digest::of(b"plan")));
    }

    #[test]
    fn a_hold_says_what_why_and_what_to_type() {
        let mut hold = operation(Action::Hold, "fay");
        hold.reason = Some(Verdict::Unlicensed);
        hold.held_by = Some(FindingCode::RemovalLimit);
        let mut held = customer(vec![hold]);
        held.state = CustomerState::Held;
        held.summary.hold = 1;
        held.approval = Some(Digest::of(b"held"));
        held.findings = vec![Finding {
            code: FindingCode::RemovalLimit,
            severity: Severity::Error,
            subject: "EndUser".to_owned(),
            message: format!("30 removals, and 12 are allowed in 24h. Write {} there", Digest::of(b"held")),
        }];
        let shown = text(held, Style::default());
        let approval = Digest::of(b"held");
        for line in [
            "contoso (held)",
            "  ! hold   fay@contoso.test  unlicensed, held by removal-limit  (EndUser, staff)",
            "    Why: removal-limit: 30 removals, and 12 are allowed in 24h",
            &format!("      approve: [\"{approval}\"]"),
            &format!("      intake apply --customer contoso --approve {approval}"),
        ] {
            assert!(shown.lines().any(|found| found == line), "{line}\nin\n{shown}");
        }
        assert_eq!(shown.matches("30 removals").count(), 1, "{shown}");
    }

    #[test]
    fn what_to_type_for_a_hold_is_what_was_typed_for_the_plan() {
        let mut held = customer(vec![operation(Action::Hold, "fay")]);
        held.approval = Some(Digest::of(b"held"));
        let shown =
            text(held, Style { apply: "./intake apply 'my tree' --config o.yaml", ..Style::default() });
        let line = format!(
            "      ./intake apply 'my tree' --config o.yaml --customer contoso --approve {}",
            Digest::of(b"held")
        );
        assert!(shown.lines().any(|found| found == line), "{shown}");
    }

    #[test]
    fn totals_are_told_apart_in_words() {
        let mut first = operation(Action::Pend, "a");
        first.until = Some("2026-12-01T00:00:00Z".parse().expect("a moment"));
        let mut second = operation(Action::Pend, "b");
        second.until = Some("2026-12-02T00:00:00Z".parse().expect("a moment"));
        let mut orphan = operation(Action::Update, "c");
        orphan.changes =
            vec![FieldChange { field: "state", before: None, after: Some(Text::from("orphaned")) }];
        let operations = [first, second, orphan, operation(Action::Return, "d"), operation(Action::Add, "e")];
        assert_eq!(
            of_these(&operations),
            "Of these: 1 added again that was known before, 1 orphaned, 2 not removed yet but waiting for their \
             grace (the first until 2026-12-01 00:00:00Z)."
        );
        assert_eq!(of_these(&operations[4..]), "");
    }

    #[test]
    fn who_is_kept_is_told_why() {
        let mut kept = customer(Vec::new());
        kept.kept = vec![Kept {
            verdict: Verdict::InvalidRecord,
            account_type: AccountType::EndUser,
            account: operation(Action::Add, "gil").account(),
            candidates: Vec::new(),
        }];
        let shown = text(kept, Style::default());
        assert!(shown.contains("gil@contoso.test  the directory's record is broken"), "{shown}");
    }

    #[test]
    fn hostile_names_are_inert_and_colour_is_only_ours() {
        let mut add = operation(Action::Add, "x\u{1b}[2J\u{202e}");
        add.profile.display_name = Text::from("a\nPlan: 0 to add");
        let plain = text(customer(vec![add.clone()]), Style::default());
        assert!(!plain.contains('\u{1b}') && !plain.contains('\u{202e}'), "{plain:?}");
        assert_eq!(plain.lines().filter(|line| line.starts_with("Plan:")).count(), 1);
        let coloured = text(customer(vec![add]), Style { colour: true, ..Style::default() });
        assert!(coloured.contains("\u{1b}[32m+ add"), "{coloured:?}");
        assert!(!coloured.contains("\u{1b}[2J"), "{coloured:?}");
    }

    #[test]
    fn long_lists_of_people_left_out_are_cut_with_a_count() {
        let mut many = customer(vec![operation(Action::Add, "jane")]);
        many.not_imported = (0..105).map(left_out).collect();
        let short = text(many.clone(), Style::default());
        assert_eq!(short.matches("unlicensed").count(), 100);
        assert!(short.contains("… and 5 more (-v shows all)"), "{short}");
        let whole = text(many, Style { verbose: true, ..Style::default() });
        assert_eq!(whole.matches("unlicensed").count(), 105);
        assert!(!whole.contains("more (-v"), "{whole}");
    }

    #[test]
    fn customers_with_nothing_to_tell_are_left_out() {
        let quiet = text(customer(Vec::new()), Style::default());
        assert!(!quiet.contains("contoso"), "{quiet}");
        let mut steady = customer(Vec::new());
        steady.not_imported = vec![left_out(1)];
        assert!(!text(steady.clone(), Style::default()).contains("contoso"));
        // Nobody imported at all: then everybody left out is told with the reason.
        steady.summary = Summary::default();
        assert!(text(steady, Style::default()).contains("unlicensed"));
        let mut broken = customer(Vec::new());
        broken.state = CustomerState::Unreadable;
        assert!(text(broken, Style::default()).contains("contoso (unreadable"));
    }
}
