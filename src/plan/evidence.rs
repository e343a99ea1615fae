//! What each rule looked at for one person, in words.

use std::cell::OnceCell;

use crate::model::account::{Account, Verdict};
use crate::model::directory::{Directory, Person};
use crate::model::register::Pins;
use crate::model::tenant::{Tenant, TenantUser};
use crate::model::tenant_group::TenantGroup;
use crate::model::text::inert;
use crate::plan::correlate::{Link, describe_tie};
use crate::plan::explanation::Rule;
use crate::plan::outcome::{Finding, FindingCode, Severity};
use crate::plan::screen::{Candidate, describe_state};
use crate::plan::select::Selector;
use crate::plan::stages::Stages;
use crate::plan::tenant_scope::selected_groups;
use crate::plan::tenant_verdict::TenantCandidate;
use crate::policy::fleet::{Import, Imports, Selection};

/// How many OUs, groups or findings are named; hundreds would hide the one that matters.
const TOLD: usize = 5;

/// One way in which a person is judged. Positions follow the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    /// The candidate.
    pub candidate: Option<usize>,
    /// The object in a directory: directory and person.
    pub place: Option<(u32, u32)>,
    /// A record without an objectGUID, likewise.
    pub record: Option<(u32, u32)>,
    /// The account in the register.
    pub account: Option<usize>,
    /// The import that answers.
    pub import: Option<usize>,
    /// The tenant user of somebody who is in no directory.
    pub user: Option<u32>,
    /// The candidate among the users of a tenant that is the only source.
    pub user_candidate: Option<usize>,
}

impl View {
    /// Whether no rule looked at the person as a candidate.
    pub fn is_no_candidate(&self) -> bool {
        self.candidate.is_none() && self.user_candidate.is_none()
    }
}

/// Collects the facts of one view.
pub struct Evidence<'e> {
    /// What decided.
    pub stages: &'e Stages<'e>,
    /// What its scopes were resolved to.
    pub pins: &'e Pins,
    /// What the plan tells of the customer.
    pub findings: &'e [Finding],
    /// The names of directories that were not read.
    pub unread_directories: &'e [String],
    /// Who is judged.
    pub view: View,
}

impl<'e> Evidence<'e> {
    /// Returns the facts that a rule was decided from, inert.
    pub fn of(&self, rule: Rule, verdict: Option<Verdict>) -> Vec<String> {
        let decides =
            verdict.is_some_and(|verdict| verdict != Verdict::Included && Rule::of(verdict) == rule);
        match rule {
            Rule::Policy => self.policy(),
            Rule::Scope => self.scope(),
            Rule::Record => self.record(),
            Rule::Container | Rule::Exclusion | Rule::Privilege | Rule::State if decides => self.decided(),
            Rule::Container => self.place().map_or_else(Vec::new, |(directory, person)| {
                vec![format!("lies in {}", inert(directory.container_of(person).dn.as_str()))]
            }),
            Rule::Exclusion => self.import().map_or_else(Vec::new, |import| {
                vec![match import.exclude.len() {
                    0 => "nobody is excluded".to_owned(),
                    1 => "the one exclusion does not fit".to_owned(),
                    count => format!("none of the {count} exclusions fits"),
                }]
            }),
            Rule::Privilege => self.import().map_or_else(Vec::new, |import| {
                vec![match import.exclude_privileged {
                    true => "in no privileged group, also not by nesting or primary group".to_owned(),
                    false => format!("`{}` imports privileged accounts too", inert(&import.policy)),
                }]
            }),
            Rule::State => self.state(),
            Rule::Match => self.tie(),
            Rule::TenantUser => self.tenant_user(decides),
            Rule::Licence => self.licence(),
            Rule::Register | Rule::Operation | Rule::Guard => Vec::new(),
        }
    }

    /// Returns the directory's object.
    pub fn place(&self) -> Option<(&'e Directory, &'e Person)> {
        let (directory, person) = self.view.place?;
        let directory = self.stages.directories[directory as usize];
        Some((directory, &directory.people[person as usize]))
    }

    /// Returns the register's account.
    pub fn account(&self) -> Option<&'e Account> {
        Some(&self.stages.observation.register.accounts[self.view.account?])
    }

    /// Returns the import that answers.
    pub fn import(&self) -> Option<&'e Import> {
        Some(self.stages.selected.imports[self.view.import?].import)
    }

    /// Returns the candidate among the users of a tenant that is the only source.
    pub fn user_candidate(&self) -> Option<&'e TenantCandidate> {
        Some(&self.stages.users[self.view.user_candidate?])
    }

    /// Returns the user whom an import judges that has the tenant as its only source.
    pub fn user_alone(&self) -> Option<(&'e Import, &'e TenantUser)> {
        let candidate = self.user_candidate()?;
        Some((self.import()?, &self.stages.tenant?.users[candidate.user as usize]))
    }

    /// Returns the tenant user by whom the person is judged.
    fn judged_user(&self) -> Option<(&'e Tenant, &'e TenantUser)> {
        let tenant = self.stages.tenant?;
        let user = match (self.view.candidate, self.user_candidate()) {
            (Some(position), _) => self.stages.desired.decisions[position].user?,
            (None, candidate) => candidate?.user,
        };
        Some((tenant, &tenant.users[user as usize]))
    }

    fn candidate(&self) -> Option<&'e Candidate> {
        Some(&self.stages.screened.candidates[self.view.candidate?])
    }

    fn policy(&self) -> Vec<String> {
        let answering = self.import().map(|import| (&import.policy, import.account_type));
        let describe = |import: &Import| {
            let name = match import.policy.strip_prefix("customer/") {
                Some(_) => "the customer's own block".to_owned(),
                None => format!("`{}`", inert(&import.policy)),
            };
            format!("{name} ({})", import.account_type)
        };
        let mut facts = Vec::new();
        let mut others = Vec::new();
        for (account_type, imports) in &self.stages.customer.imports {
            match imports {
                Imports::Valid(imports) => {
                    for import in imports {
                        if answering == Some((&import.policy, import.account_type)) {
                            facts.insert(0, format!("{} answers", describe(import)));
                        } else {
                            others.push(describe(import));
                        }
                    }
                }
                Imports::Invalid(problems) => {
                    let problems: Vec<_> = problems.iter().take(TOLD).map(|problem| inert(problem)).collect();
                    facts.push(format!("a document for {account_type} has errors: {}", problems.join("; ")));
                }
            }
        }
        others.sort_unstable();
        if let (Some(account), None) = (self.account(), answering) {
            let policy = inert(&account.provenance.policy);
            facts.push(format!("`{policy}`, which imported it, does not apply any more"));
        }
        match (facts.is_empty(), others.is_empty()) {
            (true, true) => facts.push("no policy applies to this customer".to_owned()),
            (true, false) => facts.push(format!("what applies: {}", listed(others, ", "))),
            (false, false) => facts.push(format!("what applies besides: {}", listed(others, ", "))),
            (false, true) => {}
        }
        facts
    }

    fn scope(&self) -> Vec<String> {
        if self.stages.customer.directories.is_empty() {
            return self.scope_in_tenant();
        }
        let mut facts = Vec::new();
        if let (Some(candidate), Some((directory, person))) = (self.candidate(), self.place()) {
            let scope =
                &self.stages.selected.imports[candidate.import as usize].scopes[candidate.directory as usize];
            let dn = directory.dn_of(person);
            if let Some(selector) = scope.selector(directory, candidate.person) {
                let selected = inert(selector.dn(directory).as_str());
                facts.push(match selector {
                    Selector::Unit(_) => format!("{} lies below the selected OU {selected}", inert(&dn)),
                    Selector::Group(_) => {
                        format!("{} is a direct member of the selected group {selected}", inert(&dn))
                    }
                });
            }
            return facts;
        }
        if let Some((directory, record)) = self.view.record {
            let directory = self.stages.directories[directory as usize];
            let dn = inert(&directory.unidentified[record as usize].dn).into_owned();
            return vec![match self.view.import {
                Some(_) => format!("{dn} lies below a selected OU"),
                None => format!("{dn} lies below no selected OU"),
            }];
        }
        match (self.place(), self.view.user.zip(self.stages.tenant)) {
            (Some((directory, person)), _) => {
                let dn = directory.dn_of(person);
                facts.push(format!("no selected OU or group holds {}", inert(&dn)));
            }
            (None, Some((user, tenant))) => facts.push(format!(
                "tenant user {} ({}) is tied to nobody of the directories",
                inert(&tenant.users[user as usize].user_principal_name),
                tenant.users[user as usize].id
            )),
            (None, None) => facts.push("no object of the directories has this objectGUID".to_owned()),
        }
        facts.extend(self.unread_directories.iter().map(|name| format!("{name} could not be read")));
        let unclear = self.scope_findings();
        facts.extend(unclear);
        if self.view.user.is_none() {
            facts.extend(self.selections());
        }
        facts
    }

    /// Says what selects somebody in a tenant that is the only source, or what would.
    fn scope_in_tenant(&self) -> Vec<String> {
        let Some(tenant) = self.stages.tenant else {
            return vec!["the tenant could not be read".to_owned()];
        };
        let user = self.view.user.map(|user| &tenant.users[user as usize]);
        let shown = user.map(|user| inert(&user.user_principal_name));
        if let (Some(import), Some(user), Some(shown), Some(_)) =
            (self.import(), user, &shown, self.view.user_candidate)
        {
            return match &import.selection {
                Selection::EntraGroups(entries) => {
                    let groups = selected_groups(entries, tenant, self.pins);
                    let holding = groups.into_iter().filter(|group| group.users.contains(&user.id));
                    let names: Vec<String> = holding.map(described_group).collect();
                    vec![format!("{shown} is a direct member of {}", listed(names, " and "))]
                }
                _ if user.is_guest => vec![format!("{shown} was imported, and is a guest")],
                _ => vec![format!("{shown} is of the tenant, and all of it is selected but guests")],
            };
        }
        let mut facts = vec![match &shown {
            Some(shown) => format!("nothing that is selected holds tenant user {shown}"),
            None => "no user of the tenant has this id".to_owned(),
        }];
        facts.extend(self.scope_findings());
        for one in &self.stages.selected.imports {
            let policy = inert(&one.import.policy);
            match &one.import.selection {
                Selection::EntraGroups(entries) => {
                    let groups = selected_groups(entries, tenant, self.pins);
                    let names: Vec<String> = groups.into_iter().map(described_group).collect();
                    if !names.is_empty() {
                        facts.push(format!("`{policy}` selects {}", listed(names, " or ")));
                    }
                }
                Selection::Licensed => facts.push(format!("`{policy}` selects everybody but guests")),
                _ => {}
            }
        }
        facts
    }

    /// Says what is selected where the person is not.
    fn selections(&self) -> Vec<String> {
        let stages = self.stages;
        let concerns = |import: &Import| {
            self.account().is_none_or(|account| account.key.account_type == import.account_type)
        };
        let mut facts = Vec::new();
        for one in stages.selected.imports.iter().filter(|one| concerns(one.import)) {
            let scopes = || one.scopes.iter().zip(stages.directories);
            let names = scopes().flat_map(|(scope, directory)| {
                scope.selectors().map(|selector| inert(selector.dn(directory).as_str()).into_owned())
            });
            let names: Vec<String> = names.collect();
            if names.is_empty() {
                continue;
            }
            facts.push(format!("`{}` selects {}", inert(&one.import.policy), listed(names, " or ")));
            let Some((position, person)) = self.view.place else { continue };
            let (scope, directory) = (&one.scopes[position as usize], stages.directories[position as usize]);
            let path = scope.nested_path(directory, person);
            if path.len() > 1 {
                let path: Vec<_> = path
                    .iter()
                    .map(|group| inert(directory.groups[*group as usize].dn.as_str()).into_owned())
                    .collect();
                facts.push(format!("a member by nesting alone, which is not followed: {}", path.join(" → ")));
            }
        }
        facts
    }

    /// Says which scopes are not clear.
    fn scope_findings(&self) -> Vec<String> {
        let is_about_scopes = |finding: &&Finding| {
            finding.severity == Severity::Error
                && matches!(
                    finding.code,
                    FindingCode::ScopeNotFound
                        | FindingCode::ScopeAmbiguous
                        | FindingCode::ScopeOverlap
                        | FindingCode::BuiltinGroupRefused
                        | FindingCode::GroupInUnsupportedContainer
                )
        };
        self.findings.iter().filter(is_about_scopes).take(TOLD).map(describe_finding).collect()
    }

    fn record(&self) -> Vec<String> {
        if let Some((directory, record)) = self.view.record {
            let record = &self.stages.directories[directory as usize].unidentified[record as usize];
            return vec![inert(&record.reason).into_owned()];
        }
        match self.place().map(|(_, person)| person.invalid.as_deref()) {
            Some(Some(reason)) => vec![inert(reason).into_owned()],
            Some(None) => vec!["the directory's record is whole".to_owned()],
            None => {
                vec!["a record that cannot be identified may be this account's".to_owned()]
            }
        }
    }

    /// Says what the screen decided from.
    fn decided(&self) -> Vec<String> {
        if let Some((candidate, import)) = self.user_candidate().zip(self.import()) {
            return candidate.exclusion(import).map(|text| inert(&text).into_owned()).into_iter().collect();
        }
        let Some(candidate) = self.candidate() else { return Vec::new() };
        let screen = &self.stages.screened.screens[candidate.import as usize][candidate.directory as usize];
        candidate.verdict.map(|verdict| screen.evidence(candidate.person, verdict)).into_iter().collect()
    }

    fn state(&self) -> Vec<String> {
        let Some((_, person)) = self.place() else { return Vec::new() };
        let mut said = vec![match (person.enabled, self.import()) {
            (true, _) => "enabled in the directory".to_owned(),
            (false, Some(import)) => {
                format!(
                    "disabled in the directory, and `{}` imports disabled ones too",
                    inert(&import.policy)
                )
            }
            (false, None) => "disabled in the directory".to_owned(),
        }];
        let standing = Person { enabled: true, ..person.clone() };
        let standing = describe_state(&standing, self.stages.observation.at);
        if !standing.is_empty() {
            said.push(format!("{standing}, which decides nothing"));
        }
        said
    }

    /// Says which tenant user it is, or who it could be.
    fn tie(&self) -> Vec<String> {
        let Some(position) = self.view.candidate else { return Vec::new() };
        let Some(import) = self.import() else { return Vec::new() };
        if !import.password_sync {
            let policy = inert(&import.policy);
            return vec![format!("`{policy}` imports from the directory alone (passwordSync: false)")];
        }
        let Some(tenant) = self.stages.tenant else {
            return vec!["the tenant could not be read".to_owned()];
        };
        if let Link::One { user, key } = &self.stages.roster.links[position] {
            let user = &tenant.users[*user as usize];
            let name = inert(&user.user_principal_name);
            let mut facts = vec![format!("tenant user {name} ({})", user.id)];
            let linked = self.account().and_then(|account| account.profile.tenant_user_id);
            facts.push(match (key, self.place()) {
                (Some(key), Some((_, person))) => describe_tie(person, user, *key),
                _ if linked == Some(user.id) => "by the link it has had".to_owned(),
                _ => "by the choice in the customer's `matches`".to_owned(),
            });
            return facts;
        }
        let known = self.stages.known();
        let left_out = self.stages.listings(&known).left_out(position, &OnceCell::new());
        let could_be = match left_out.verdict {
            Verdict::NoTenantMatch => "near, and no match: ",
            _ => "could be ",
        };
        let candidates = left_out.candidates.into_iter().map(|one| format!("{could_be}{one}"));
        let mut facts = vec![left_out.evidence];
        if left_out.verdict == Verdict::NoTenantMatch {
            let keys: Vec<_> = import.match_keys.iter().map(|key| key.code()).collect();
            facts[0] = format!("{} ({})", facts[0], keys.join(", "));
        }
        facts.extend(candidates);
        facts
    }

    fn tenant_user(&self, decides: bool) -> Vec<String> {
        let Some((_, user)) = self.judged_user() else { return Vec::new() };
        if decides {
            let known = self.stages.known();
            let listings = self.stages.listings(&known);
            let left_out = match (self.view.candidate, self.user_candidate()) {
                (Some(position), _) => Some(listings.left_out(position, &OnceCell::new())),
                (None, candidate) => candidate.and_then(|candidate| listings.user_left_out(candidate)),
            };
            return left_out.map(|left_out| left_out.evidence).into_iter().collect();
        }
        let kind = if user.is_guest { "a guest" } else { "no guest" };
        let sign_in = if user.enabled { "may sign in" } else { "may not sign in" };
        vec![format!("{kind}, and {sign_in}")]
    }

    fn licence(&self) -> Vec<String> {
        let Some((tenant, user)) = self.judged_user() else { return Vec::new() };
        let test = self.view.import.and_then(|import| self.stages.licences.tests[import].as_ref());
        if let (None, Some(import), Some(_)) = (test, self.import(), self.view.user_candidate) {
            return vec![format!("`{}` asks for no licence", inert(&import.policy))];
        }
        let assessed = test.map(|test| test.assess(tenant, user)).unwrap_or_default();
        if assessed.is_empty() {
            return vec![format!("tenant user {} holds no licence", inert(&user.user_principal_name))];
        }
        let describe = |(name, objection): (String, Option<String>)| match objection {
            Some(objection) => format!("{name} does not count ({objection})"),
            None => format!("{name} counts"),
        };
        assessed.into_iter().map(describe).collect()
    }
}

fn described_group(group: &TenantGroup) -> String {
    format!("{} ({})", inert(&group.display_name), group.id)
}

/// Describes a finding in one line.
pub fn describe_finding(finding: &Finding) -> String {
    format!("{} {}: {}", finding.code.code(), inert(&finding.subject), inert(&finding.message))
}

fn listed(mut names: Vec<String>, between: &str) -> String {
    let more = names.len().saturating_sub(TOLD);
    names.truncate(TOLD);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{rest}", names.join(between))
}
