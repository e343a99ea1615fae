//! The stages in their order: select, screen, correlate, desire, diff, guard.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::account::{AccountKey, AccountState, AccountType, Verdict};
use crate::model::digest::{Digest, Digester};
use crate::model::directory::Directory;
use crate::model::observation::Observation;
use crate::model::reading::{Fault, FaultKind, Reading, Shortfall};
use crate::model::register::{Measures, Pins, RegisterState, Reports};
use crate::model::tenant::Tenant;
use crate::model::text::Text;
use crate::plan::correlate::correlate;
use crate::plan::desire::desire;
use crate::plan::diff::{Changes, Known, by_name, diff, find_account, orphan_operation};
use crate::plan::guard::{Guarded, Watch, carry_holds, guard, is_approved, source_changed, unused_approval};
use crate::plan::identify::{Everybody, identify};
use crate::plan::index::Index;
use crate::plan::licence::{LicenceProblem, LicenceTest};
use crate::plan::listings::Listings;
use crate::plan::outcome::{
    Action, Consequences, CustomerPlan, CustomerState, FORMAT_VERSION, Finding, FindingCode, Operation, Plan,
    Severity, Summary,
};
use crate::plan::prove::{confirmed, miss_twice, sightings, wait_for_sight};
use crate::plan::screen::screen;
use crate::plan::select::{Resolver, Selected, select};
use crate::plan::tenant_scope::select_tenant;
use crate::plan::tenant_verdict::Judging;
use crate::policy::fleet::{Customer, Imports};

/// Plans one customer of the tree.
pub fn plan_customer(customer: &Customer, observation: &Observation) -> CustomerPlan {
    let mut draft = Draft::new(customer.name.clone(), &observation.register);
    draft.plan.consequences.suspended = customer.suspend;
    let is_invalid = !customer.invalid.is_empty()
        || customer.imports.values().any(|imports| matches!(imports, Imports::Invalid(_)));
    if !customer.invalid.is_empty() {
        return draft.finish(CustomerState::Invalid);
    }
    let stopped_as = if is_invalid { Some(CustomerState::Invalid) } else { None };
    if !is_ready(customer) {
        return draft.finish(stopped_as.unwrap_or(CustomerState::NotReady));
    }
    let readings = match complete_readings(observation) {
        Ok(readings) => readings,
        Err(findings) => {
            draft.plan.findings = findings;
            return draft.finish(stopped_as.unwrap_or(CustomerState::Unreadable));
        }
    };
    let (pins, source_approval) =
        match pin_sources(customer, &readings, &observation.register, observation.at) {
            Pinned::Same(pins) => (pins, None),
            Pinned::Approved(pins, approval) => (pins, Some(approval)),
            Pinned::Changed(approval, findings) => {
                let register = &observation.register;
                let held = Some(approval);
                draft.plan.consequences.holds =
                    carry_holds(customer, &register.holds, held, &[], &BTreeMap::new(), observation.at);
                draft.plan.findings = findings;
                draft.plan.approval = Some(approval);
                return draft.finish(stopped_as.unwrap_or(CustomerState::Held));
            }
            Pinned::Unknown(findings) => {
                draft.plan.findings = findings;
                return draft.finish(stopped_as.unwrap_or(CustomerState::Unreadable));
            }
        };
    if let Some(findings) = same_domain_twice(&readings.directories) {
        draft.plan.findings = findings;
        return draft.finish(stopped_as.unwrap_or(CustomerState::Held));
    }
    let judged = judge(customer, observation, &readings, pins, source_approval, &mut draft);
    draft.finish(match stopped_as {
        Some(state) => state,
        None if judged.unreadable => CustomerState::Unreadable,
        None if customer.suspend => CustomerState::Suspended,
        None if judged.held => CustomerState::Held,
        None => CustomerState::Ready,
    })
}

/// Plans a customer that the register knows and the tree no longer has: its accounts are orphaned
/// and nothing else happens to them. With `names_are_known` false nothing happens at all: the
/// document that cannot be read may be the customer's.
pub fn plan_absent(name: &Text, register: &RegisterState, names_are_known: bool) -> CustomerPlan {
    let mut draft = Draft::new(name.clone(), register);
    if !names_are_known {
        return draft.finish(CustomerState::Invalid);
    }
    let imported = || register.accounts.iter().filter(|account| account.state.is_imported());
    let mut orphans: BTreeMap<(AccountType, Text), u64> = BTreeMap::new();
    for account in imported() {
        *orphans.entry((account.key.account_type, account.provenance.policy.clone())).or_default() += 1;
    }
    draft.plan.operations = imported()
        .filter(|account| !matches!(account.state, AccountState::Orphaned { .. }))
        .map(orphan_operation)
        .collect();
    draft.plan.findings = describe_orphans(&orphans, true);
    draft.finish(CustomerState::Ready)
}

/// Unites the plans of customers.
pub fn unite(revision: Text, mut customers: Vec<CustomerPlan>) -> Plan {
    customers.sort_by(|left, right| left.name.cmp(&right.name));
    let mut summary = Summary::default();
    let mut digester = Digester::new("intake plan 1");
    for customer in &customers {
        summary.add(&customer.summary);
        digester.field(&customer.name).field(customer.digest.as_bytes());
    }
    Plan { format_version: FORMAT_VERSION, digest: digester.finish(), revision, summary, customers }
}

/// The complete readings of one customer.
struct Readings<'a> {
    directories: Vec<&'a Directory>,
    tenant: Option<&'a Tenant>,
}

/// What came of judging a customer whose readings are complete.
struct Judged {
    held: bool,
    unreadable: bool,
}

/// Runs the stages.
fn judge(
    customer: &Customer,
    observation: &Observation,
    readings: &Readings<'_>,
    pins: Pins,
    source_approval: Option<Digest>,
    draft: &mut Draft,
) -> Judged {
    let register = &observation.register;
    let invalid_types: BTreeSet<AccountType> = customer
        .imports
        .iter()
        .filter(|(_, imports)| matches!(imports, Imports::Invalid(_)))
        .map(|(account_type, _)| *account_type)
        .collect();
    let mut resolver = Resolver::new(&readings.directories, pins);
    let mut selected = select(customer, &mut resolver);
    let scope = select_tenant(&mut selected, readings.tenant, &mut resolver);
    let today = observation.at.to_zoned(TimeZone::UTC).date();
    let everybody = Everybody {
        directories: &readings.directories,
        tenant: readings.tenant,
        accounts: &register.accounts,
        pins: &register.pins,
    };
    let identified = identify(customer, &everybody, today);
    let mut screened = screen(&selected, &mut resolver, &identified, observation.at);
    let mut licences = read_licence_rules(&selected, readings.tenant);
    licences.unreadable.extend(&scope.unreadable);

    let findings = &mut draft.plan.findings;
    findings.append(&mut selected.findings);
    findings.append(&mut screened.findings);
    findings.append(&mut resolver.findings);
    findings.extend_from_slice(&identified.findings);
    findings.append(&mut licences.findings);
    let mut blocked = selected.blocked.clone();
    blocked.extend(screened.blocked.iter().chain(&licences.blocked).chain(&licences.unreadable));
    let unclear = !blocked.is_empty();
    blocked.extend(&invalid_types);

    let by_key = Index::by_key((0_u32..).zip(register.accounts.iter().map(|account| account.key)));
    let known_link = |key: &AccountKey| {
        find_account(&register.accounts, &by_key, key)
            .and_then(|found| register.accounts[found].profile.tenant_user_id)
    };
    let roster = correlate(
        customer,
        &readings.directories,
        readings.tenant,
        known_link,
        &selected,
        &screened,
        &licences.tests,
    );
    let desired = desire(&screened, &roster, readings.tenant, &licences.tests);
    let judging = Judging {
        selected: &selected,
        scope: &scope,
        tenant: readings.tenant,
        identified: &identified,
        licences: &licences.tests,
        at: observation.at,
    };
    let users = judging.candidates(|key| find_account(&register.accounts, &by_key, key).is_some());
    let known = Known {
        customer,
        directories: &readings.directories,
        tenant: readings.tenant,
        accounts: &register.accounts,
        by_key: &by_key,
        blocked: &blocked,
        at: observation.at,
    };
    let Changes { others, removals, ended, kept, desired: counts, orphans, left_out, users_left_out } =
        diff(&known, &selected, &screened, &desired, &users);

    let mut measures = measure(readings);
    measures.sightings = sightings(&readings.directories, &removals);
    let told = &mut draft.plan.findings;
    let removals = match source_approval {
        // Whoever approved another source has seen no removal of it yet.
        Some(_) => wait_for_sight(removals, told),
        None => miss_twice(&readings.directories, &register.measures, removals, told),
    };
    let watch = Watch {
        customer,
        accounts: &register.accounts,
        holds: &register.holds,
        before: &register.measures,
        now: &measures,
        desired: &counts,
        source_approval,
        hidden_members: &selected.hidden_members,
        at: observation.at,
    };
    // The end of a grace needs proof that the account is still out.
    let is_proven = |operation: &Operation| !selected.hidden_members.contains(&operation.key.account_type);
    let ended = ended.into_iter().filter(is_proven).collect();
    let Guarded { operations, findings, approval, holds } = guard(&watch, removals, ended);
    draft.plan.findings.extend(findings);
    draft.plan.findings.extend(describe_orphans(&orphans, false));
    draft.plan.operations.extend(others);
    draft.plan.operations.extend(operations);
    let unanswered =
        confirmed(observation.confirmation.as_ref(), &mut draft.plan.operations, &mut draft.plan.findings);
    draft.plan.approval = approval;
    let listings = Listings {
        known: &known,
        selected: &selected,
        screened: &screened,
        roster: &roster,
        desired: &desired,
        licences: &licences.tests,
        users: &users,
    };
    draft.plan.kept = listings.kept(&kept);
    draft.plan.not_imported = listings.not_imported(&left_out, &users_left_out);
    draft.plan.licensed_outside_scope = listings.licensed_outside_scope();
    draft.plan.consequences.reports = readings.tenant.map(|_| reports(&draft.plan));
    let held = unclear || approval.is_some();
    let consequences = &mut draft.plan.consequences;
    consequences.pins = resolver.into_pins(invalid_types.is_empty());
    if invalid_types.is_empty() {
        consequences.pins.accounts = identified.pins.clone();
    } else {
        // The entries of an import that cannot be read are not here, and keep their people.
        consequences.pins.accounts.extend(identified.pins.clone());
    }
    consequences.holds = holds;
    // A turn that judges only one account type does not move what the other is measured by.
    let judges_all = !held && invalid_types.is_empty();
    if !judges_all {
        measures = Measures { sightings: measures.sightings, ..register.measures.clone() };
    }
    consequences.measures = (measures != register.measures).then_some(measures);
    Judged { held, unreadable: unanswered || !licences.unreadable.is_empty() }
}

/// Whether every import has the sides that it needs.
fn is_ready(customer: &Customer) -> bool {
    let imports = customer.imports.values().filter_map(|imports| match imports {
        Imports::Valid(imports) => Some(imports),
        Imports::Invalid(_) => None,
    });
    imports.flatten().all(|import| match import.selection.is_of_tenant() {
        true => customer.tenant.is_some(),
        false => !customer.directories.is_empty() && (!import.password_sync || customer.tenant.is_some()),
    })
}

/// Takes the values of complete readings, or tells of each that is not.
fn complete_readings(observation: &Observation) -> Result<Readings<'_>, Vec<Finding>> {
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
    if findings.is_empty() { Ok(Readings { directories, tenant }) } else { Err(findings) }
}

fn incomplete(code: FindingCode, subject: String, shortfall: &Shortfall) -> Finding {
    let Shortfall { what, read } = shortfall;
    let message =
        format!("{what}; {read} objects had been read; everything stays as it is until a reading is whole");
    Finding { code, severity: Severity::Error, subject, message }
}

fn unavailable(code: FindingCode, subject: String, fault: &Fault) -> Finding {
    let hint = fault.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
    let message = format!("{}{hint}; everything stays as it is until it can be read", fault.what);
    Finding { code, severity: Severity::Error, subject, message }
}

/// What came of comparing the sources with the ones that were pinned.
enum Pinned {
    Same(Pins),
    Approved(Pins, Digest),
    Changed(Digest, Vec<Finding>),
    /// A pinned source no longer tells who it is.
    Unknown(Vec<Finding>),
}

/// Compares each domain's SID and the tenant's id with the pinned ones; pins those seen first.
fn pin_sources(
    customer: &Customer,
    readings: &Readings<'_>,
    register: &RegisterState,
    at: Timestamp,
) -> Pinned {
    let mut pinned = register.pins.clone();
    let mut changes = Vec::new();
    let mut unknown = Vec::new();
    for directory in &readings.directories {
        let before = pinned.domains.get(&directory.name).cloned();
        match (before, directory.domain_sid.map(|sid| Text::from(sid.to_string()))) {
            (Some(before), Some(now)) if before != now => {
                changes.push((format!("directory {}", directory.name), before, now.clone()));
                pinned.domains.insert(directory.name.clone(), now);
            }
            (None, Some(now)) => {
                // A directory that took the place of another one is no new one beside it.
                if let Some((name, before)) = replaced(&register.pins, readings, &now) {
                    changes.push((format!("directory {}", directory.name), before, now.clone()));
                    pinned.domains.remove(&name);
                }
                pinned.domains.insert(directory.name.clone(), now);
            }
            (Some(before), None) => unknown.push(no_identity(
                FindingCode::DirectoryIncomplete,
                format!("directory {}", directory.name),
                &before,
            )),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    if let Some(tenant) = readings.tenant {
        match (pinned.tenant.clone(), tenant.id.clone()) {
            (Some(before), Some(now)) if before != now => {
                changes.push(("tenant".to_owned(), before, now.clone()));
                pinned.tenant = Some(now);
            }
            (None, now) => pinned.tenant = now,
            (Some(before), None) => {
                unknown.push(no_identity(FindingCode::TenantIncomplete, "tenant".to_owned(), &before));
            }
            (Some(_), Some(_)) => {}
        }
    }
    if !unknown.is_empty() {
        return Pinned::Unknown(unknown);
    }
    if changes.is_empty() {
        return Pinned::Same(pinned);
    }
    let (digest, mut findings) = source_changed(&customer.name, &changes);
    if is_approved(customer, &register.holds, digest, at) {
        return Pinned::Approved(pinned, digest);
    }
    if customer.approve.contains(&digest) {
        findings.push(unused_approval(&register.holds, digest, at));
    }
    Pinned::Changed(digest, findings)
}

/// Finds a domain that was pinned under a name that no directory has any more, where a directory of a
/// new name holds a domain that was never pinned.
fn replaced(pins: &Pins, readings: &Readings<'_>, now: &Text) -> Option<(Text, Text)> {
    if pins.domains.values().any(|known| known == now) {
        return None;
    }
    let is_read = |name: &Text| readings.directories.iter().any(|directory| directory.name == *name);
    let gone = pins.domains.iter().find(|(name, _)| !is_read(name));
    gone.map(|(name, sid)| (name.clone(), sid.clone()))
}

fn no_identity(code: FindingCode, subject: String, before: &str) -> Finding {
    let message = format!(
        "it was {before}, and this reading does not tell what it is, so nobody can say whether it is the same one; \
         everything stays as it is"
    );
    Finding { code, severity: Severity::Error, subject, message }
}

/// One domain read as two directories would be two people for each of its people.
fn same_domain_twice(directories: &[&Directory]) -> Option<Vec<Finding>> {
    let pairs = directories
        .iter()
        .enumerate()
        .flat_map(|(position, left)| directories[position + 1..].iter().map(move |right| (left, right)));
    let overlaps = pairs.filter(|(left, right)| {
        let same_domain = left.domain_sid.is_some() && left.domain_sid == right.domain_sid;
        same_domain && (left.base.is_under(&right.base) || right.base.is_under(&left.base))
    });
    let findings: Vec<Finding> = overlaps
        .map(|(left, right)| Finding {
            code: FindingCode::ScopeOverlap,
            severity: Severity::Error,
            subject: format!("directories {} and {}", left.name, right.name),
            message:
                "they are the same domain: nobody is added or removed; write its servers into `urls` of one \
                      directory"
                    .to_owned(),
        })
        .collect();
    (!findings.is_empty()).then_some(findings)
}

/// The licence rules of all imports, read against the tenant.
struct LicenceRules {
    /// Per import; `None` for one that does not link.
    tests: Vec<Option<LicenceTest>>,
    findings: Vec<Finding>,
    blocked: BTreeSet<AccountType>,
    unreadable: BTreeSet<AccountType>,
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

fn reports(plan: &CustomerPlan) -> Reports {
    let unlicensed = plan.not_imported.iter().filter(|one| one.verdict == Verdict::Unlicensed);
    Reports {
        in_scope_without_license: unlicensed.count() as u64,
        licensed_outside_scope: plan.licensed_outside_scope.len() as u64,
    }
}

fn measure(readings: &Readings<'_>) -> Measures {
    let mut measures = Measures::default();
    for directory in &readings.directories {
        let mut ids: Vec<_> = directory.people.iter().map(|person| person.guid).collect();
        ids.sort_unstable();
        measures.directories.insert(directory.name.clone(), ids);
    }
    measures.tenant = readings.tenant.map(|tenant| {
        let mut ids: Vec<_> = tenant.users.iter().map(|user| user.id).collect();
        ids.sort_unstable();
        ids
    });
    measures
}

fn describe_orphans(orphans: &BTreeMap<(AccountType, Text), u64>, customer_is_gone: bool) -> Vec<Finding> {
    let describe = |((account_type, policy), count): (&(AccountType, Text), &u64)| Finding {
        code: FindingCode::Orphaned,
        severity: Severity::Warning,
        subject: format!("{account_type}: {policy}"),
        message: format!(
            "{count} {} imported by `{policy}`, which {}: nothing happens to {} until a policy includes {} again",
            if *count == 1 { "account was" } else { "accounts were" },
            if customer_is_gone { "went with the customer's document" } else { "no longer applies" },
            if *count == 1 { "it" } else { "them" },
            if *count == 1 { "it" } else { "them" },
        ),
    };
    orphans.iter().map(describe).collect()
}

/// A customer's plan while it is being made.
struct Draft {
    plan: CustomerPlan,
    imported: u64,
}

impl Draft {
    fn new(name: Text, register: &RegisterState) -> Self {
        let consequences = Consequences {
            pins: register.pins.clone(),
            holds: register.holds.clone(),
            ..Consequences::default()
        };
        let plan = CustomerPlan {
            name,
            state: CustomerState::Ready,
            digest: Digest::of(&[]),
            approval: None,
            register_revision: register.revision,
            summary: Summary::default(),
            operations: Vec::new(),
            kept: Vec::new(),
            licensed_outside_scope: Vec::new(),
            findings: Vec::new(),
            not_imported: Vec::new(),
            consequences,
        };
        Self {
            plan,
            imported: register.accounts.iter().filter(|account| account.state.is_imported()).count() as u64,
        }
    }

    /// Orders everything, counts it and computes the digest.
    fn finish(self, state: CustomerState) -> CustomerPlan {
        let Self { mut plan, imported } = self;
        plan.state = state;
        plan.operations.sort_by_cached_key(|operation| {
            let (name, id, account_type) = by_name(&operation.profile, &operation.key);
            (name.into_owned(), id, account_type)
        });
        plan.findings.sort();
        plan.findings.dedup();
        let mut touched = 0;
        for operation in &plan.operations {
            let counter = match operation.action {
                Action::Add | Action::Return => &mut plan.summary.add,
                Action::Update => &mut plan.summary.update,
                Action::Pend | Action::Remove => &mut plan.summary.remove,
                Action::Hold => &mut plan.summary.hold,
            };
            *counter += 1;
            touched += u64::from(is_about_imported(operation));
        }
        plan.summary.unchanged = imported.saturating_sub(touched);
        plan.digest = digest_of(&plan.operations);
        plan
    }
}

/// Whether an operation is about an account that is imported already.
fn is_about_imported(operation: &Operation) -> bool {
    match operation.action {
        Action::Add => false,
        Action::Return => operation.changes.iter().all(|change| change.before.as_deref() != Some("removed")),
        Action::Update | Action::Pend | Action::Remove | Action::Hold => true,
    }
}

/// Computes the digest of a customer's plan: over what it does, without times.
pub fn digest_of(operations: &[Operation]) -> Digest {
    let mut digester = Digester::new("intake customer plan 1");
    for operation in operations {
        let profile = &operation.profile;
        digester
            .field(operation.action.code())
            .field(operation.key.account_type.code())
            .field(operation.key.source.code())
            .field(operation.key.id.to_string())
            .optional(operation.directory.as_deref())
            .field(&profile.sam_account_name)
            .optional(profile.user_principal_name.as_deref())
            .field(&profile.display_name)
            .optional(profile.email.as_deref())
            .optional(profile.mobile_phone.as_deref())
            .optional(profile.tenant_user_id.map(|id| id.to_string()))
            .field([u8::from(profile.password_sync)])
            .field(&operation.policy)
            .optional(operation.matched_by.map(|key| format!("{key:?}")))
            .optional(operation.reason.map(|reason| reason.code()))
            .optional(operation.held_by.map(|code| code.code()));
        digester.field((operation.changes.len() as u64).to_be_bytes());
        for change in &operation.changes {
            digester.field(change.field).optional(change.before.as_deref()).optional(change.after.as_deref());
        }
    }
    digester.finish()
}
