//! Why a person is imported or not: every rule that looked at them, from the values that the plan was
//! made from.

use hashbrown::HashSet;

use crate::model::account::{Account, AccountState, AccountType, Source, Verdict};
use crate::model::dn::Dn;
use crate::model::observation::Observation;
use crate::model::text::{Text, inert};
use crate::plan::diff::{find_account, key_of};
use crate::plan::evidence::{Evidence, View, describe_finding};
use crate::plan::explanation::{Explanation, Outcome, Rule, Step};
use crate::plan::listings::{view_of, view_of_record};
use crate::plan::outcome::{
    AccountView, Action, CustomerPlan, FieldChange, Finding, Kept, Operation, Severity,
};
use crate::plan::planner::plan_and;
use crate::plan::report::{moment, name_of};
use crate::plan::seek::{Found, Unfound, seek};
use crate::plan::stages::{Readings, Stages, Wait, identify_in};
use crate::plan::tenant_verdict::{self, TenantCandidate};
use crate::policy::fleet::Customer;

/// How many errors are told where they keep a whole account type back.
const TOLD: usize = 5;

/// Explains what becomes of one person. Where a source was not read, whatever can be told without it.
///
/// # Errors
/// [`Unfound`], if the name is nobody's or several people's.
pub fn explain(customer: &Customer, observation: &Observation, wanted: &str) -> Result<Explanation, Unfound> {
    let (readings, unread) = Readings::of(observation);
    plan_and(customer, observation, |plan, stages| match stages {
        Some(stages) => Explainer::new(&plan, stages, &plan.findings, &unread, true).answer(wanted),
        None => {
            let pins = observation.register.pins.clone();
            let identified = identify_in(customer, observation, &readings);
            let mut stages = Stages::run(customer, observation, &readings, &identified, pins);
            let mut findings = stages.take_findings();
            findings.extend(plan.findings.iter().cloned());
            Explainer::new(&plan, &stages, &findings, &unread, false).answer(wanted)
        }
    })
}

struct Explainer<'e> {
    plan: &'e CustomerPlan,
    stages: &'e Stages<'e>,
    findings: &'e [Finding],
    /// What could not be read.
    unread: Vec<String>,
    unread_directories: Vec<String>,
    /// Whether the plan was made from these very stages; otherwise nothing is planned.
    is_planned: bool,
}

impl<'e> Explainer<'e> {
    fn new(
        plan: &'e CustomerPlan,
        stages: &'e Stages<'e>,
        findings: &'e [Finding],
        unread: &[Finding],
        is_planned: bool,
    ) -> Self {
        let subjects = unread.iter().map(|finding| inert(&finding.subject).into_owned());
        Self {
            plan,
            stages,
            findings,
            unread: unread.iter().map(describe_finding).collect(),
            unread_directories: subjects.filter(|subject| subject != "tenant").collect(),
            is_planned,
        }
    }

    fn answer(&self, wanted: &str) -> Result<Explanation, Unfound> {
        let found = seek(self.stages, wanted)?;
        let mut all: Vec<(View, Explanation)> =
            self.views(&found).into_iter().map(|view| (view, self.explanation(view))).collect();
        all.sort_by_key(|(view, explanation)| {
            let is_included = explanation.verdict == Some(Verdict::Included);
            let order = (explanation.account_type, explanation.policy.clone(), view.place);
            (!self.counts(*view), !is_included, order)
        });
        let mut all = all.into_iter().map(|(_, explanation)| explanation);
        let Some(first) = all.next() else { return Err(Unfound::Nobody { nearest: Vec::new() }) };
        Ok(Explanation { also_as: all.collect(), unread: self.unread.clone(), ..first })
    }

    /// Returns every way in which a person is judged: as each candidate that they are, as each account
    /// that nobody is a candidate for, or as somebody whom nothing selects.
    fn views(&self, found: &Found) -> Vec<View> {
        let stages = self.stages;
        let accounts = &stages.observation.register.accounts;
        let mut views = self.views_of_user(found);
        for (position, candidate) in stages.screened.candidates.iter().enumerate() {
            let place = (candidate.directory, candidate.person);
            if found.places.contains(&place) {
                let import = stages.selected.imports[candidate.import as usize].import;
                let person = &stages.directories[place.0 as usize].people[place.1 as usize];
                let key = key_of(import, person);
                views.push(View {
                    candidate: Some(position),
                    place: Some(place),
                    account: find_account(accounts, &stages.by_key, &key),
                    import: Some(candidate.import as usize),
                    ..View::default()
                });
            }
        }
        let is_seen = |views: &[View], account| views.iter().any(|view| view.account == Some(account));
        for position in &found.accounts {
            if !is_seen(&views, *position) {
                let account = &accounts[*position];
                let import = stages.selected.imports.iter().position(|one| {
                    one.import.account_type == account.key.account_type
                        && one.import.policy == account.provenance.policy
                });
                views.push(View {
                    account: Some(*position),
                    place: found.places.first().copied(),
                    record: found.record,
                    user: found.user,
                    import,
                    ..View::default()
                });
            }
        }
        if let (Some(record), true) = (found.record, views.is_empty()) {
            views.extend(self.imports_of_record(record).map(|import| View {
                record: Some(record),
                import: Some(import),
                ..View::default()
            }));
        }
        if views.is_empty() {
            views.push(View {
                place: found.places.first().copied(),
                record: found.record,
                user: found.user,
                ..View::default()
            });
        }
        views
    }

    /// Returns every way in which a user is judged of a tenant that is the only source.
    fn views_of_user(&self, found: &Found) -> Vec<View> {
        let stages = self.stages;
        let Some((wanted, tenant)) = found.user.zip(stages.tenant) else { return Vec::new() };
        let candidates = stages.users.iter().enumerate().filter(|(_, one)| one.user == wanted);
        let view = |(position, candidate): (usize, &TenantCandidate)| {
            let import = stages.selected.imports[candidate.import as usize].import;
            let key = tenant_verdict::key_of(import, &tenant.users[wanted as usize]);
            View {
                user_candidate: Some(position),
                user: Some(wanted),
                account: find_account(&stages.observation.register.accounts, &stages.by_key, &key),
                import: Some(candidate.import as usize),
                ..View::default()
            }
        };
        candidates.map(view).collect()
    }

    fn imports_of_record(&self, (directory, record): (u32, u32)) -> impl Iterator<Item = usize> {
        let read = self.stages.directories[directory as usize];
        let dn = Dn::parse(&read.unidentified[record as usize].dn).ok();
        let imports = self.stages.selected.imports.iter().enumerate();
        imports
            .filter(move |(_, one)| {
                dn.as_ref().is_some_and(|dn| one.scopes[directory as usize].has_name(read, dn))
            })
            .map(|(position, _)| position)
    }

    /// Whether a view is the one that counts for its account type.
    fn counts(&self, view: View) -> bool {
        let trail = &self.stages.trail;
        let counts = |candidate: Option<usize>, chosen: Option<&HashSet<usize>>| {
            candidate.zip(chosen).is_none_or(|(candidate, chosen)| chosen.contains(&candidate))
        };
        counts(view.candidate, trail.chosen.as_ref())
            && counts(view.user_candidate, trail.chosen_users.as_ref())
    }

    fn explanation(&self, view: View) -> Explanation {
        let evidence = Evidence {
            stages: self.stages,
            // A plan takes them over.
            pins: if self.is_planned { &self.plan.consequences.pins } else { &self.stages.resolver.pins },
            findings: self.findings,
            unread_directories: &self.unread_directories,
            view,
        };
        let account = evidence.account();
        let import = evidence.import();
        let account_type =
            import.map(|import| import.account_type).or(account.map(|account| account.key.account_type));
        let case = Case {
            explainer: self,
            account,
            account_type,
            operation: self.operation(&evidence, account_type),
            verdict: self.verdict(&evidence, account_type),
            evidence,
        };
        let steps = case.steps();
        let shown = case.shown();
        Explanation {
            customer: self.stages.customer.name.clone(),
            answer: case.answer(&shown, &steps),
            account: shown,
            account_type,
            policy: import
                .map(|import| import.policy.clone())
                .or(account.map(|account| account.provenance.policy.clone())),
            verdict: case.verdict,
            operation: case.operation.cloned(),
            steps,
            also_as: Vec::new(),
            read_at: None,
            unread: Vec::new(),
        }
    }

    /// The operation of the plan, if this view is the one that it is about.
    fn operation(&self, evidence: &Evidence<'e>, account_type: Option<AccountType>) -> Option<&'e Operation> {
        let account_type = account_type.filter(|_| self.counts(evidence.view))?;
        let key_of_user = || evidence.user_alone().map(|(import, user)| tenant_verdict::key_of(import, user));
        let key = evidence.account().map(|account| account.key).or_else(key_of_user);
        let is_it = |operation: &&Operation| match (key, evidence.place()) {
            (Some(key), _) => operation.key == key,
            (None, Some((_, person))) => {
                operation.key.account_type == account_type && operation.key.id == person.guid
            }
            (None, None) => false,
        };
        self.plan.operations.iter().find(is_it)
    }

    /// What the rules decided: as the plan says; nothing where they lack what would decide.
    fn verdict(&self, evidence: &Evidence<'_>, account_type: Option<AccountType>) -> Option<Verdict> {
        let view = evidence.view;
        if let Some(candidate) = evidence.user_candidate() {
            return Some(candidate.verdict);
        }
        if let (Some(position), Some(import)) = (view.candidate, evidence.import()) {
            let verdict = self.stages.desired.decisions[position].verdict;
            let lacks_tenant = import.password_sync && self.stages.tenant.is_none();
            return (verdict != Verdict::Included || !lacks_tenant).then_some(verdict);
        }
        let account = evidence.account();
        let source = if self.is_tenant_alone() { Source::Tenant } else { Source::Directory };
        if account.is_some_and(|account| account.key.source != source) {
            return None;
        }
        let operation = self.operation_of(account);
        let kept = || {
            let account = account?;
            let id = Some(account.key.id);
            let is_it = |kept: &&Kept| {
                kept.account_type == account.key.account_type && kept.account.directory_id == id
            };
            self.plan.kept.iter().find(is_it).map(|kept| kept.verdict)
        };
        if let Some(verdict) = operation.and_then(|operation| operation.reason).or_else(kept) {
            return Some(verdict);
        }
        let is_broken = evidence.place().is_some_and(|(_, person)| person.invalid.is_some());
        let is_selected_record = view.record.is_some() && (view.import.is_some() || account.is_some());
        if (is_broken && account.is_some()) || is_selected_record {
            return Some(Verdict::InvalidRecord);
        }
        (!self.is_scope_unclear(account_type)).then_some(Verdict::NotInScope)
    }

    fn operation_of(&self, account: Option<&Account>) -> Option<&'e Operation> {
        let key = account?.key;
        self.plan.operations.iter().find(|operation| operation.key == key)
    }

    /// Whether a scope that might hold somebody is not known.
    fn is_scope_unclear(&self, account_type: Option<AccountType>) -> bool {
        let stages = self.stages;
        let unclear =
            stages.selected.blocked.iter().chain(&stages.invalid).chain(&stages.licences.unreadable);
        let mut unclear = unclear.filter(|kind| account_type.is_none_or(|wanted| wanted == **kind));
        let is_unread = self.is_tenant_alone() && stages.tenant.is_none();
        is_unread || !self.unread_directories.is_empty() || unclear.next().is_some()
    }

    /// Whether the tenant is the customer's only source.
    fn is_tenant_alone(&self) -> bool {
        self.stages.customer.directories.is_empty()
    }
}

/// One view with what the plan says about it.
struct Case<'e> {
    explainer: &'e Explainer<'e>,
    evidence: Evidence<'e>,
    account: Option<&'e Account>,
    account_type: Option<AccountType>,
    operation: Option<&'e Operation>,
    verdict: Option<Verdict>,
}

impl Case<'_> {
    /// The rule at which the way ends, and what comes of it there.
    fn end(&self) -> (Rule, Outcome) {
        match self.verdict {
            Some(Verdict::Included)
                if self.evidence.view.candidate.is_some()
                    && self.evidence.import().is_some_and(|import| !import.password_sync) =>
            {
                (Rule::State, Outcome::Passed)
            }
            Some(Verdict::Included) => (Rule::Licence, Outcome::Passed),
            Some(verdict) => (Rule::of(verdict), Outcome::Failed),
            None if self.evidence.view.candidate.is_some() => (Rule::Match, Outcome::Unknown),
            None => (Rule::Scope, Outcome::Unknown),
        }
    }

    fn steps(&self) -> Vec<Step> {
        let (end, end_outcome) = self.end();
        let last_asked = if self.verdict == Some(Verdict::Included) { Rule::Licence } else { end };
        let (operation, guard) = (self.operation_step(), self.guard_step());
        let is_kept_back = self.verdict == Some(Verdict::Included) && operation.outcome == Outcome::Held;
        let decider = if is_kept_back { Rule::Operation } else { end };
        let rules = Rule::ALL.into_iter().filter(|rule| *rule < Rule::Register);
        let mut steps: Vec<Step> = rules
            .map(|rule| {
                let outcome = match rule {
                    _ if rule == end => end_outcome,
                    _ if self.explainer.is_tenant_alone() && is_of_directories(rule) => Outcome::NotReached,
                    _ if rule > last_asked => Outcome::NotReached,
                    // A broken record is no proof that somebody left a scope.
                    Rule::Scope if self.evidence.view.is_no_candidate() => match self.evidence.view.record {
                        Some(_) => Outcome::Passed,
                        None => Outcome::Info,
                    },
                    Rule::Policy if self.account_type.is_none() => Outcome::Info,
                    _ => Outcome::Passed,
                };
                let evidence = match outcome {
                    Outcome::NotReached => Vec::new(),
                    _ => self.evidence.of(rule, self.verdict),
                };
                Step { step: rule, outcome, decides: false, evidence }
            })
            .collect();
        steps.extend([self.register_step(), operation, guard]);
        for step in &mut steps {
            step.decides = step.step == decider;
        }
        steps
    }

    fn register_step(&self) -> Step {
        let mut evidence = Vec::new();
        match self.account {
            None => evidence.push("not in the register".to_owned()),
            Some(account) => {
                evidence.push(describe_state(account));
                let policy = inert(&account.provenance.policy);
                evidence.push(format!("imported {} by `{policy}`", moment(account.imported_at)));
                match account.profile.tenant_user_id {
                    Some(id) => evidence.push(format!("linked to tenant user {id}")),
                    None => evidence.push("linked to no tenant user".to_owned()),
                }
            }
        }
        let person = self.evidence.place().map(|(_, person)| person.guid);
        let id = person.or(self.account.map(|account| account.key.id));
        for (entry, people) in &self.explainer.plan.consequences.pins.accounts {
            if people.iter().any(|pinned| Some(pinned.guid) == id) {
                evidence.push(format!("`{}` under `{}` names it", inert(&entry.written), entry.list.code()));
            }
        }
        Step { step: Rule::Register, outcome: Outcome::Info, decides: false, evidence }
    }

    fn operation_step(&self) -> Step {
        let plan = self.explainer.plan;
        let (outcome, mut evidence) = match self.operation {
            Some(operation) => (Outcome::Info, describe_operation(operation)),
            None => self.why_nothing(),
        };
        if plan.consequences.suspended && self.operation.is_some() {
            evidence.push("the customer is suspended: nothing of it is written".to_owned());
        }
        Step { step: Rule::Operation, outcome, decides: false, evidence }
    }

    /// Why the plan does nothing about this person.
    fn why_nothing(&self) -> (Outcome, Vec<String>) {
        let fact = |text: String| (Outcome::Info, vec![text]);
        if let Some(what) = self.what_is_kept_back() {
            let errors = self.explainer.findings.iter();
            let errors = errors.filter(|finding| finding.severity == Severity::Error).take(TOLD);
            return (Outcome::Held, std::iter::once(what).chain(errors.map(describe_finding)).collect());
        }
        if !self.explainer.counts(self.evidence.view) {
            return fact("another policy or directory counts for this person".to_owned());
        }
        match (self.account.map(|account| &account.state), self.verdict) {
            (Some(AccountState::Orphaned { .. }), _) => {
                fact("no policy answers for it: nothing happens to it until one does".to_owned())
            }
            (Some(AccountState::Active), Some(Verdict::Included)) => {
                fact("there is nothing to change".to_owned())
            }
            (Some(state), Some(verdict)) if state.is_imported() && verdict.keeps() => {
                fact(format!("it stays as it is, as long as it is unclear ({verdict})"))
            }
            (Some(AccountState::PendingRemoval { until, .. }), Some(_)) => {
                fact(format!("it stays until {}, and then goes", moment(*until)))
            }
            (Some(AccountState::Active), _) => fact("it stays".to_owned()),
            _ => fact("nothing: it is not imported".to_owned()),
        }
    }

    /// Says why nothing at all is planned for the account type, or the customer.
    fn what_is_kept_back(&self) -> Option<String> {
        if !self.explainer.is_planned {
            return Some("nothing is planned for this customer".to_owned());
        }
        let account_type = self.account_type?;
        let is_blocked = self.explainer.stages.blocked.contains(&account_type);
        is_blocked.then(|| format!("nothing is planned for accounts of type {account_type}"))
    }

    fn guard_step(&self) -> Step {
        let (outcome, evidence) = match (self.operation, self.held_without_operation()) {
            (Some(operation), _) => match operation.action {
                Action::Hold => (Outcome::Held, self.describe_hold(operation)),
                Action::Pend | Action::Remove if operation.approved => {
                    (Outcome::Passed, vec!["somebody approved exactly these removals".to_owned()])
                }
                Action::Pend | Action::Remove => (Outcome::Passed, vec!["no guard objects".to_owned()]),
                Action::Add | Action::Return | Action::Update => (Outcome::NotReached, Vec::new()),
            },
            (None, Some(why)) => (Outcome::Held, vec![why]),
            (None, None) => (Outcome::NotReached, Vec::new()),
        };
        Step { step: Rule::Guard, outcome, decides: false, evidence }
    }

    fn describe_hold(&self, operation: &Operation) -> Vec<String> {
        let Some(code) = operation.held_by else { return Vec::new() };
        let subject = format!(": {}", operation.key.account_type);
        let is_it = |finding: &&Finding| finding.code == code && finding.subject.ends_with(&subject);
        let mut facts = vec![format!("held by {}", code.code())];
        facts.extend(
            self.explainer.findings.iter().filter(is_it).map(|finding| inert(&finding.message).into_owned()),
        );
        if let Some(approval) = self.explainer.plan.approval
            && !facts.iter().any(|fact| fact.contains(&approval.to_string()))
        {
            facts.push(format!("to let exactly these go, approve {approval}"));
        }
        facts
    }

    /// What keeps a removal back that no operation tells of.
    fn held_without_operation(&self) -> Option<String> {
        let position = self.evidence.view.account?;
        let account = self.account?;
        let trail = &self.explainer.stages.trail;
        if trail.protected.contains(&position) {
            return Some("the customer's `protect` names it: it is never removed".to_owned());
        }
        let (_, wait) = trail.waiting.iter().find(|(key, _)| *key == account.key)?;
        let why = match wait {
            Wait::SourceApproved => {
                "another source was approved just now: its removals wait for the next turn"
            }
            Wait::MissedOnce => {
                "it is missed for the first time, by another server or file than last time: its removal waits \
                 for the next complete reading"
            }
            Wait::HiddenMembers => {
                "members of a selected group cannot be read: its removal waits until they can"
            }
            Wait::Unconfirmed => {
                "a source was asked for it once more and did not prove it: its removal waits"
            }
        };
        Some(why.to_owned())
    }

    fn shown(&self) -> AccountView {
        let stages = self.explainer.stages;
        if let Some(operation) = self.operation {
            return operation.account();
        }
        if let Some(account) = self.account.filter(|account| account.state.is_imported()) {
            return AccountView::of(&account.key, &account.profile);
        }
        let view = self.evidence.view;
        if let Some((import, user)) = self.evidence.user_alone() {
            return AccountView::of(&tenant_verdict::key_of(import, user), &tenant_verdict::profile_of(user));
        }
        let user = |position: u32| stages.tenant.map(|tenant| &tenant.users[position as usize]);
        if let Some((_, person)) = self.evidence.place() {
            let tied = view.candidate.and_then(|candidate| stages.desired.decisions[candidate].user);
            return view_of(person, tied.and_then(user), self.evidence.import());
        }
        if let Some(account) = self.account {
            return AccountView::of(&account.key, &account.profile);
        }
        if let Some((directory, record)) = view.record {
            let record = &stages.directories[directory as usize].unidentified[record as usize];
            return view_of_record(record, self.evidence.import().is_some_and(|import| import.password_sync));
        }
        let user = view.user.and_then(user);
        AccountView {
            directory_id: None,
            tenant_user_id: user.map(|user| user.id),
            sam_account_name: Default::default(),
            user_principal_name: user.map(|user| user.user_principal_name.clone()),
            display_name: user.and_then(|user| user.display_name.clone()).unwrap_or_default(),
            email: user.and_then(|user| user.mail.clone()),
            mobile_phone: user.and_then(|user| user.mobile.clone()),
            sources: vec!["microsoft365"],
            password_sync: false,
        }
    }

    fn answer(&self, shown: &AccountView, steps: &[Step]) -> String {
        let name = name_of(shown);
        let who = match inert(&shown.display_name) {
            display if display.is_empty() || display == name => name,
            display => format!("{display} ({name})"),
        };
        format!("{who} {}", self.predicate(steps))
    }

    fn predicate(&self, steps: &[Step]) -> String {
        let fact =
            |rule: Rule| steps.iter().find(|step| step.step == rule).map(|step| step.evidence.join("; "));
        let because = || match self.verdict {
            Some(verdict) => {
                let evidence = fact(Rule::of(verdict)).unwrap_or_default();
                if evidence.is_empty() { verdict.to_string() } else { format!("{verdict} — {evidence}") }
            }
            None => fact(self.end().0).unwrap_or_default(),
        };
        if let Some(operation) = self.operation {
            return self.future(operation, &because());
        }
        let is_imported = self.account.is_some_and(|account| account.state.is_imported());
        let kept_back = self.what_is_kept_back();
        if let (Some(Account { state: AccountState::Orphaned { .. }, .. }), None) =
            (self.account, self.verdict)
        {
            return "is orphaned: no policy answers for it".to_owned();
        }
        match (self.verdict, is_imported) {
            (None, true) => {
                format!("is imported, and nobody can say now whether that is right: {}", because())
            }
            (None, false) => {
                format!("is not imported, and nobody can say now whether that is right: {}", because())
            }
            (Some(Verdict::Included), true) => match kept_back {
                Some(what) => format!("is imported and stays as it is: {what}"),
                None => "is imported and stays as it is".to_owned(),
            },
            (Some(Verdict::Included), false) => match kept_back {
                Some(what) => format!("is not imported yet, though every rule lets it through: {what}"),
                None => "is not imported as this: another policy or directory counts".to_owned(),
            },
            (Some(_), false) => format!("is not imported: {}", because()),
            (Some(_), true) => {
                let state = self.account.map(|account| &account.state);
                match (state, kept_back, self.held_without_operation()) {
                    (Some(AccountState::Orphaned { .. }), ..) => {
                        format!("is orphaned: no policy answers for it ({})", because())
                    }
                    (_, Some(what), _) => format!("is imported and stays as it is: {what} ({})", because()),
                    (_, _, Some(why)) => format!("is imported and stays: {why} ({})", because()),
                    (Some(AccountState::PendingRemoval { until, .. }), ..) => {
                        format!("is imported until {}: {}", moment(*until), because())
                    }
                    _ => format!("is imported and stays as it is: {}", because()),
                }
            }
        }
    }

    fn future(&self, operation: &Operation, because: &str) -> String {
        let policy = inert(&operation.policy);
        let becomes = |state: &str| {
            let is_it =
                |change: &FieldChange| change.field == "state" && change.after.as_deref() == Some(state);
            operation.changes.iter().any(is_it)
        };
        match operation.action {
            Action::Add => format!("is not imported yet and would be added by `{policy}`"),
            Action::Return if self.verdict != Some(Verdict::Included) => {
                format!("is protected and would stay: {because}")
            }
            Action::Return => format!("would come back as the same account, by `{policy}`"),
            Action::Update if becomes("orphaned") => {
                format!("is imported and would be orphaned: `{policy}` does not apply any more")
            }
            Action::Update => format!("is imported and would be updated by `{policy}`"),
            Action::Pend => {
                let until =
                    operation.until.map(|until| format!(", until {}", moment(until))).unwrap_or_default();
                format!("is imported and would begin to wait for its removal{until}: {because}")
            }
            Action::Remove => format!("is imported and would be removed: {because}"),
            Action::Hold => {
                let guard = operation.held_by.map_or("a guard", |code| code.code());
                format!("is imported, and its removal is held by {guard}: {because}")
            }
        }
    }
}

/// Whether a rule looks at objects of directories alone: where there are none it has nothing to judge.
fn is_of_directories(rule: Rule) -> bool {
    matches!(rule, Rule::Record | Rule::Container | Rule::Privilege | Rule::State | Rule::Match)
}

fn describe_state(account: &Account) -> String {
    let code = account.state.code();
    match &account.state {
        AccountState::Active => code.to_owned(),
        AccountState::PendingRemoval { since, until, reason } => {
            format!("{code} since {}, until {} ({reason})", moment(*since), moment(*until))
        }
        AccountState::Orphaned { since } => format!("{code} since {}", moment(*since)),
        AccountState::Removed { since, reason, .. } => {
            format!("{code} since {} ({reason})", moment(*since))
        }
    }
}

fn describe_operation(operation: &Operation) -> Vec<String> {
    let mut first = operation.action.code().to_owned();
    if let Some(reason) = operation.reason {
        first.push_str(&format!(" ({reason})"));
    }
    if let Some(until) = operation.until {
        first.push_str(&format!(", until {}", moment(until)));
    }
    let shown = |value: &Option<Text>| match value {
        Some(value) => format!("\"{}\"", inert(value)),
        None => "(none)".to_owned(),
    };
    let changes = operation.changes.iter();
    let changes = changes
        .map(|change| format!("{}: {} → {}", change.field, shown(&change.before), shown(&change.after)));
    std::iter::once(first).chain(changes).collect()
}
