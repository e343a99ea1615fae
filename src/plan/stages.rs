//! The stages that decide about candidates, as one value: a plan is made from it, and an explanation
//! of the plan.

use std::collections::BTreeSet;

use hashbrown::HashSet;
use jiff::tz::TimeZone;

use crate::model::account::{AccountKey, AccountType};
use crate::model::directory::Directory;
use crate::model::observation::Observation;
use crate::model::reading::{Fault, FaultKind, Reading, Shortfall};
use crate::model::register::Pins;
use crate::model::tenant::Tenant;
use crate::plan::correlate::{Roster, correlate};
use crate::plan::desire::{Desired, desire};
use crate::plan::diff::{Known, find_account};
use crate::plan::identify::{Everybody, Identified, identify};
use crate::plan::index::Index;
use crate::plan::licence::{LicenceProblem, LicenceTest};
use crate::plan::listings::Listings;
use crate::plan::outcome::{Finding, FindingCode, Operation, Severity};
use crate::plan::screen::{Screened, screen};
use crate::plan::select::{Resolver, Selected, select};
use crate::plan::tenant_scope::select_tenant;
use crate::plan::tenant_verdict::{Judging, TenantCandidate};
use crate::policy::fleet::{Customer, Imports};

/// The readings of one customer that are complete.
pub struct Readings<'a> {
    /// Its directories.
    pub directories: Vec<&'a Directory>,
    /// Its tenant.
    pub tenant: Option<&'a Tenant>,
}

/// What every stage before the register made of one customer.
pub struct Stages<'a> {
    /// The customer.
    pub customer: &'a Customer,
    /// What was seen of it.
    pub observation: &'a Observation,
    /// The directories that were read.
    pub directories: &'a [&'a Directory],
    /// The tenant, if it was read.
    pub tenant: Option<&'a Tenant>,
    /// What resolved OUs and groups.
    pub resolver: Resolver<'a>,
    /// What the policies select.
    pub selected: Selected<'a>,
    /// The candidates.
    pub screened: Screened<'a>,
    /// The licence rules.
    pub licences: LicenceRules,
    /// The register's accounts by their key.
    pub by_key: Index,
    /// The candidates' tenant users.
    pub roster: Roster,
    /// The verdicts.
    pub desired: Desired,
    /// The users of a tenant that is the only source, with their verdicts.
    pub users: Vec<TenantCandidate>,
    /// Account types whose policies have errors.
    pub invalid: BTreeSet<AccountType>,
    /// Account types that nothing is planned for, those among them.
    pub blocked: BTreeSet<AccountType>,
    /// Whether a scope, an exclusion or a licence rule is not clear.
    pub is_unclear: bool,
    /// What became of accounts that no operation is about.
    pub trail: Trail,
}

/// What became of accounts on the way to a plan that no operation says.
#[derive(Default)]
pub struct Trail {
    /// The candidates that count, where one person is a candidate several times; else all do.
    pub chosen: Option<HashSet<usize>>,
    /// Likewise among [`Stages::users`].
    pub chosen_users: Option<HashSet<usize>>,
    /// Accounts that would go if nobody protected them, as positions in the register.
    pub protected: Vec<usize>,
    /// Removals that wait.
    pub waiting: Vec<(AccountKey, Wait)>,
}

/// Why a removal waits that no guard holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Another source was approved just now, and nobody has seen yet whom it lacks.
    SourceApproved,
    /// Another server or file than last time misses the account for the first time.
    MissedOnce,
    /// Members of a selected group cannot be read.
    HiddenMembers,
    /// A source was asked once more and did not prove it.
    Unconfirmed,
}

impl Trail {
    /// Notes those that were there before, and are not any more.
    pub fn note(&mut self, before: &[AccountKey], after: &[Operation], wait: Wait) {
        if before.is_empty() {
            return;
        }
        let left: HashSet<AccountKey> = after.iter().map(|operation| operation.key).collect();
        self.waiting.extend(before.iter().filter(|key| !left.contains(*key)).map(|key| (*key, wait)));
    }
}

impl<'a> Readings<'a> {
    /// Takes the values of complete readings, and tells of each that is not.
    pub fn of(observation: &'a Observation) -> (Self, Vec<Finding>) {
        let mut findings = Vec::new();
        let mut directories = Vec::new();
        for (name, reading) in &observation.directories {
            match reading {
                Reading::Complete(directory) => directories.push(directory),
                Reading::Incomplete(shortfall) => findings.push(incomplete(
                    FindingCode::DirectoryIncomplete,
                    format!("directory {name}"),
                    shortfall,
                )),
                Reading::Unavailable(fault) => {
                    findings.push(unavailable(
                        FindingCode::DirectoryUnavailable,
                        format!("directory {name}"),
                        fault,
                    ));
                }
            }
        }
        let mut tenant = None;
        match &observation.tenant {
            None => {}
            Some(Reading::Complete(read)) => tenant = Some(read),
            Some(Reading::Incomplete(shortfall)) => {
                findings.push(incomplete(FindingCode::TenantIncomplete, "tenant".to_owned(), shortfall));
            }
            Some(Reading::Unavailable(fault)) => {
                let code = match fault.kind {
                    FaultKind::Unconsented => FindingCode::TenantUnconsented,
                    _ => FindingCode::TenantUnavailable,
                };
                findings.push(unavailable(code, "tenant".to_owned(), fault));
            }
        }
        (Readings { directories, tenant }, findings)
    }
}

fn incomplete(code: FindingCode, subject: String, shortfall: &Shortfall) -> Finding {
    let Shortfall { what, read } = shortfall;
    let message =
        format!("{what}; {read} objects had been read; everything stays as it is until a reading is whole");
    Finding { code, severity: Severity::Error, subject, message }
}

fn unavailable(code: FindingCode, subject: String, fault: &Fault) -> Finding {
    let message = format!("{}; everything stays as it is until it can be read", fault.with_hint());
    Finding { code, severity: Severity::Error, subject, message }
}

/// Finds whom the entries of a customer's documents name.
pub fn identify_in(customer: &Customer, observation: &Observation, readings: &Readings<'_>) -> Identified {
    let everybody = Everybody {
        directories: &readings.directories,
        tenant: readings.tenant,
        accounts: &observation.register.accounts,
        pins: &observation.register.pins,
    };
    identify(customer, &everybody, observation.at.to_zoned(TimeZone::UTC).date())
}

impl<'a> Stages<'a> {
    /// Runs the stages. `pins` are those of the sources, with what is pinned so far.
    pub fn run(
        customer: &'a Customer,
        observation: &'a Observation,
        readings: &'a Readings<'a>,
        identified: &'a Identified,
        pins: Pins,
    ) -> Self {
        let (directories, tenant) = (readings.directories.as_slice(), readings.tenant);
        let register = &observation.register;
        let has_errors = |imports: &Imports| matches!(imports, Imports::Invalid(_));
        let broken = customer.imports.iter().filter(|(_, imports)| has_errors(imports));
        let invalid: BTreeSet<AccountType> = broken.map(|(account_type, _)| *account_type).collect();
        let mut resolver = Resolver::new(directories, pins);
        let mut selected = select(customer, &mut resolver);
        let scope = select_tenant(&mut selected, tenant, &mut resolver);
        let screened = screen(&selected, &mut resolver, identified, observation.at);
        let mut licences = read_licence_rules(&selected, tenant);
        licences.unreadable.extend(&scope.unreadable);

        let mut blocked = selected.blocked.clone();
        blocked.extend(screened.blocked.iter().chain(&licences.blocked).chain(&licences.unreadable));
        let is_unclear = !blocked.is_empty();
        blocked.extend(&invalid);

        let by_key = Index::by_key((0_u32..).zip(register.accounts.iter().map(|account| account.key)));
        let known_link = |key: &AccountKey| {
            find_account(&register.accounts, &by_key, key)
                .and_then(|found| register.accounts[found].profile.tenant_user_id)
        };
        let roster =
            correlate(customer, directories, tenant, known_link, &selected, &screened, &licences.tests);
        let desired = desire(&screened, &roster, tenant, &licences.tests);
        let judging = Judging {
            selected: &selected,
            scope: &scope,
            tenant,
            identified,
            licences: &licences.tests,
            at: observation.at,
        };
        let users = judging.candidates(|key| find_account(&register.accounts, &by_key, key).is_some());
        Self {
            customer,
            observation,
            directories,
            tenant,
            resolver,
            selected,
            screened,
            licences,
            by_key,
            roster,
            desired,
            users,
            invalid,
            blocked,
            is_unclear,
            trail: Trail::default(),
        }
    }

    /// Takes what the stages found out that somebody should know.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        let mut findings = std::mem::take(&mut self.selected.findings);
        findings.append(&mut self.screened.findings);
        findings.append(&mut self.resolver.findings);
        findings.extend_from_slice(&self.screened.identified.findings);
        findings.append(&mut self.licences.findings);
        findings
    }

    /// Returns what the register is compared by.
    pub fn known(&self) -> Known<'_> {
        Known {
            customer: self.customer,
            directories: self.directories,
            tenant: self.tenant,
            accounts: &self.observation.register.accounts,
            by_key: &self.by_key,
            blocked: &self.blocked,
            at: self.observation.at,
        }
    }

    /// Returns what makes the lists beside the operations.
    pub fn listings<'s>(&'s self, known: &'s Known<'s>) -> Listings<'s> {
        Listings {
            known,
            selected: &self.selected,
            screened: &self.screened,
            roster: &self.roster,
            desired: &self.desired,
            licences: &self.licences.tests,
            users: &self.users,
        }
    }
}

/// The licence rules of all imports, read against the tenant.
pub struct LicenceRules {
    /// Per import; `None` for one that does not link.
    pub tests: Vec<Option<LicenceTest>>,
    /// What somebody should know.
    pub findings: Vec<Finding>,
    /// Account types whose rule fits nothing that the tenant owns.
    pub blocked: BTreeSet<AccountType>,
    /// Account types whose rule cannot be read against this reading.
    pub unreadable: BTreeSet<AccountType>,
}

fn read_licence_rules(selected: &Selected<'_>, tenant: Option<&Tenant>) -> LicenceRules {
    let mut rules = LicenceRules {
        tests: Vec::new(),
        findings: Vec::new(),
        blocked: BTreeSet::new(),
        unreadable: BTreeSet::new(),
    };
    for one in &selected.imports {
        let import = one.import;
        let Some(tenant) = tenant.filter(|_| import.needs_licence()) else {
            rules.tests.push(None);
            continue;
        };
        let (test, problems) = LicenceTest::of(&import.licences, tenant);
        rules.tests.push(Some(test));
        for problem in problems {
            let subject = format!("policy {}", import.policy);
            rules.findings.push(match problem {
                LicenceProblem::NamesUnknown => {
                    rules.unreadable.insert(import.account_type);
                    Finding {
                        code: FindingCode::TenantIncomplete,
                        severity: Severity::Error,
                        subject,
                        message: "it names licences, and the tenant's subscribedSkus, which tell the names, could not \
                                  be read: nobody is added or removed; grant LicenseAssignment.Read.All, or write \
                                  SKU ids"
                            .to_owned(),
                    }
                }
                LicenceProblem::NotOwned(name) => Finding {
                    code: FindingCode::SkuNotOwned,
                    severity: Severity::Warning,
                    subject,
                    message: format!("the tenant does not own `{name}`"),
                },
                LicenceProblem::NoneOwned => {
                    rules.blocked.insert(import.account_type);
                    Finding {
                        code: FindingCode::SkuNotOwned,
                        severity: Severity::Error,
                        subject,
                        message: "the tenant owns none of `licenses.anyOf`: nobody is added or removed".to_owned(),
                    }
                }
            });
        }
    }
    rules
}
