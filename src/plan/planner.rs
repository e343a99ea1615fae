//! The stages in their order: select, screen, correlate, desire, diff, guard.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::account::{AccountKey, AccountState, AccountType, Verdict};
use crate::model::digest::{Digest, Digester};
use crate::model::directory::Directory;
use crate::model::observation::Observation;
use crate::model::register::{Hold, Measures, Pins, RegisterState, Reports};
use crate::model::tenant::Tenant;
use crate::model::text::Text;
use crate::plan::choices::unfollowed;
use crate::plan::diff::{Changes, by_name, diff, orphan_operation};
use crate::plan::guard::{Guarded, Watch, carry_holds, guard, is_approved, source_changed, unused_approval};
use crate::plan::outcome::{
    Action, Consequences, CustomerPlan, CustomerState, FORMAT_VERSION, Finding, FindingCode, Operation, Plan,
    Severity, Summary,
};
use crate::plan::prove::{confirmed, miss_twice, sightings, wait_for_sight};
use crate::plan::stages::{Readings, Stages, Trail, Wait, identify_in};
use crate::policy::fleet::{Customer, Imports};

/// Plans one customer of the tree.
pub fn plan_customer(customer: &Customer, observation: &Observation) -> CustomerPlan {
    plan_and(customer, observation, |plan, _| plan)
}

/// Plans one customer of the tree, and hands the plan on with the stages that it was made from;
/// without them where nothing was decided about anybody.
pub fn plan_and<T>(
    customer: &Customer,
    observation: &Observation,
    then: impl FnOnce(CustomerPlan, Option<&Stages<'_>>) -> T,
) -> T {
    let mut draft = Draft::new(customer.name.clone(), &observation.register);
    draft.plan.consequences.suspended |= customer.suspend;
    let by_command = customer.approve_once.iter().filter(|(digest, _)| !customer.approve.contains(*digest));
    draft.plan.consequences.approved_by = by_command.map(|(digest, who)| (*digest, who.clone())).collect();
    let broken = customer.imports.values().filter_map(|imports| match imports {
        Imports::Invalid(problems) => Some(problems),
        Imports::Valid(_) => None,
    });
    draft.plan.consequences.invalid =
        std::iter::once(&customer.invalid).chain(broken).flatten().cloned().collect();
    let is_invalid = !customer.invalid.is_empty()
        || customer.imports.values().any(|imports| matches!(imports, Imports::Invalid(_)));
    if !customer.invalid.is_empty() {
        return then(draft.finish(CustomerState::Invalid), None);
    }
    let stopped_as = if is_invalid { Some(CustomerState::Invalid) } else { None };
    if !is_ready(customer) {
        return then(draft.finish(stopped_as.unwrap_or(CustomerState::NotReady)), None);
    }
    let (readings, unread) = Readings::of(observation);
    if !unread.is_empty() {
        draft.plan.findings = unread;
        return then(draft.finish(stopped_as.unwrap_or(CustomerState::Unreadable)), None);
    }
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
                return then(draft.finish(stopped_as.unwrap_or(CustomerState::Held)), None);
            }
            Pinned::Unknown(findings) => {
                draft.plan.findings = findings;
                return then(draft.finish(stopped_as.unwrap_or(CustomerState::Unreadable)), None);
            }
        };
    if let Some(findings) = same_domain_twice(&readings.directories) {
        draft.plan.findings = findings;
        return then(draft.finish(stopped_as.unwrap_or(CustomerState::Held)), None);
    }
    let identified = identify_in(customer, observation, &readings);
    let mut stages = Stages::run(customer, observation, &readings, &identified, pins);
    let judged = judge(&mut stages, source_approval, &mut draft);
    let not_followed = unfollowed(customer, &observation.register, &draft.plan.consequences.pins);
    draft.plan.findings.extend(not_followed);
    let plan = draft.finish(match stopped_as {
        Some(state) => state,
        None if judged.unreadable => CustomerState::Unreadable,
        None if customer.suspend || observation.register.suspension.is_some() => CustomerState::Suspended,
        None if judged.held => CustomerState::Held,
        None => CustomerState::Ready,
    });
    then(plan, Some(&stages))
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
    let is_suspended = register.suspension.is_some();
    draft.finish(if is_suspended { CustomerState::Suspended } else { CustomerState::Ready })
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
    Plan {
        format_version: FORMAT_VERSION,
        digest: digester.finish(),
        revision,
        redacted: false,
        against: None,
        summary,
        customers,
    }
}

/// What came of judging a customer whose readings are complete.
struct Judged {
    held: bool,
    unreadable: bool,
}

/// Compares what the stages decided with the register, and asks the guards.
fn judge(stages: &mut Stages<'_>, source_approval: Option<Digest>, draft: &mut Draft) -> Judged {
    draft.plan.findings.append(&mut stages.take_findings());
    let register = &stages.observation.register;
    let at = stages.observation.at;
    let known = stages.known();
    let Changes {
        others,
        removals,
        ended,
        kept,
        desired: counts,
        orphans,
        left_out,
        users_left_out,
        chosen,
        chosen_users,
        protected,
    } = diff(&known, &stages.selected, &stages.screened, &stages.desired, &stages.users);
    let mut trail = Trail { chosen, chosen_users, protected, waiting: Vec::new() };

    let mut measures = measure(stages.directories, stages.tenant);
    measures.sightings = sightings(stages.directories, &removals);
    let told = &mut draft.plan.findings;
    let before = keys(&removals);
    let removals = match source_approval {
        // Whoever approved another source has seen no removal of it yet.
        Some(_) => wait_for_sight(removals, told),
        None => miss_twice(stages.directories, &register.measures, removals, told),
    };
    trail.note(&before, &removals, source_approval.map_or(Wait::MissedOnce, |_| Wait::SourceApproved));
    let hidden_members = &stages.selected.hidden_members;
    let watch = Watch {
        customer: stages.customer,
        accounts: &register.accounts,
        holds: &register.holds,
        before: &register.measures,
        now: &measures,
        desired: &counts,
        source_approval,
        hidden_members,
        at,
    };
    // The end of a grace needs proof that the account is still out.
    let is_proven = |operation: &Operation| !hidden_members.contains(&operation.key.account_type);
    let before = keys(&ended);
    let ended: Vec<Operation> = ended.into_iter().filter(is_proven).collect();
    trail.note(&before, &ended, Wait::HiddenMembers);
    let Guarded { operations, findings, approval, mut holds } = guard(&watch, removals, ended);
    draft.plan.findings.extend(findings);
    draft.plan.findings.extend(describe_orphans(&orphans, false));
    draft.plan.operations.extend(others);
    let before = keys(&operations);
    draft.plan.operations.extend(operations);
    let confirmation = stages.observation.confirmation.as_ref();
    let unanswered = confirmed(confirmation, &mut draft.plan.operations, &mut draft.plan.findings);
    if confirmation.is_some() {
        trail.note(&before, &draft.plan.operations, Wait::Unconfirmed);
        if !draft.plan.operations.iter().any(|operation| operation.approved) {
            take_back_use(&mut holds, &register.holds, source_approval, at);
        }
    }
    draft.plan.approval = approval;
    let listings = stages.listings(&known);
    draft.plan.kept = listings.kept(&kept);
    draft.plan.not_imported = listings.not_imported(&left_out, &users_left_out);
    draft.plan.licensed_outside_scope = listings.licensed_outside_scope();
    draft.plan.consequences.reports = stages.tenant.map(|_| reports(&draft.plan));
    let held = stages.is_unclear || approval.is_some();
    let judges_all_types = stages.invalid.is_empty();
    // A turn that judges only one account type does not move what the other is measured by.
    // Nor does one whose removals wait: what another server or a file lacks must not become the measure.
    let waits = |wait: &Wait| matches!(wait, Wait::MissedOnce | Wait::Unconfirmed);
    let some_wait = trail.waiting.iter().any(|(_, wait)| waits(wait));
    if held || !judges_all_types || some_wait {
        measures = Measures { sightings: measures.sightings, ..register.measures.clone() };
    }
    let consequences = &mut draft.plan.consequences;
    consequences.holds = holds;
    consequences.measures = (measures != register.measures).then_some(measures);
    consequences.pins = stages.resolver.take_pins(judges_all_types);
    let account_pins = stages.screened.identified.pins.clone();
    if judges_all_types {
        consequences.pins.accounts = account_pins;
    } else {
        // The entries of an import that cannot be read are not here, and keep their people.
        consequences.pins.accounts.extend(account_pins);
    }
    stages.trail = trail;
    Judged { held, unreadable: unanswered || !stages.licences.unreadable.is_empty() }
}

/// An approval whose removals all wait to be confirmed let nobody go: it still counts next time.
fn take_back_use(holds: &mut Vec<Hold>, recorded: &[Hold], source_approval: Option<Digest>, at: Timestamp) {
    let lets_nobody_go = |hold: &Hold| hold.used_at == Some(at) && Some(hold.approval) != source_approval;
    holds.retain(|hold| {
        !lets_nobody_go(hold) || recorded.iter().any(|before| before.approval == hold.approval)
    });
    for hold in holds.iter_mut().filter(|hold| lets_nobody_go(hold)) {
        hold.used_at = None;
    }
}

fn keys(operations: &[Operation]) -> Vec<AccountKey> {
    operations.iter().map(|operation| operation.key).collect()
}

/// Whether every import has the sides that it needs. A customer without any source is not ready, whatever
/// applies to it: there is nobody to be read, which is not the same as nobody being there.
fn is_ready(customer: &Customer) -> bool {
    if customer.directories.is_empty() && customer.tenant.is_none() {
        return false;
    }
    let imports = customer.imports.values().filter_map(|imports| match imports {
        Imports::Valid(imports) => Some(imports),
        Imports::Invalid(_) => None,
    });
    imports.flatten().all(|import| match import.selection.is_of_tenant() {
        true => customer.tenant.is_some(),
        false => !customer.directories.is_empty() && (!import.password_sync || customer.tenant.is_some()),
    })
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

fn reports(plan: &CustomerPlan) -> Reports {
    let unlicensed = plan.not_imported.iter().filter(|one| one.verdict == Verdict::Unlicensed);
    Reports {
        in_scope_without_license: unlicensed.count() as u64,
        licensed_outside_scope: plan.licensed_outside_scope.len() as u64,
    }
}

fn measure(directories: &[&Directory], tenant: Option<&Tenant>) -> Measures {
    let mut measures = Measures::default();
    for directory in directories {
        let mut ids: Vec<_> = directory.people.iter().map(|person| person.guid).collect();
        ids.sort_unstable();
        measures.directories.insert(directory.name.clone(), ids);
    }
    measures.tenant = tenant.map(|tenant| {
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
            suspended: register.suspension.is_some(),
            suspension: register.suspension.clone(),
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
            no_longer: Vec::new(),
            missing_contacts: Vec::new(),
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
            plan.summary.count(operation.action);
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
