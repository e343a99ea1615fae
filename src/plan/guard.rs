//! Keeps removals back that nobody can have meant. Each guard is a small rule of its own; adds
//! and updates pass, removals of an account type are held whole.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::account::{Account, AccountKey, AccountState, AccountType};
use crate::model::digest::{Digest, Digester};
use crate::model::duration::Seconds;
use crate::model::guid::Guid;
use crate::model::register::{Hold, Measures};
use crate::model::text::{Text, inert};
use crate::plan::diff::by_name;
use crate::plan::outcome::{Action, Finding, FindingCode, Operation, Severity};
use crate::policy::fleet::{Customer, Import, Imports, RemovalLimits};

/// How long an approval counts after the hold was first recorded.
pub const APPROVAL_LIFETIME: Seconds = Seconds(7 * 86_400);

/// What the guards look at, besides the removals.
pub struct Watch<'a> {
    /// The customer.
    pub customer: &'a Customer,
    /// The register's accounts.
    pub accounts: &'a [Account],
    /// Holds that were recorded.
    pub holds: &'a [Hold],
    /// The users of the last complete readings that led to no held removal.
    pub before: &'a Measures,
    /// The users of these readings.
    pub now: &'a Measures,
    /// How many candidates are in the desired set, per account type.
    pub desired: &'a BTreeMap<AccountType, u64>,
    /// An approval that let another source in, in this plan.
    pub source_approval: Option<Digest>,
    /// Account types with members of a selected group that nobody can read.
    pub hidden_members: &'a BTreeSet<AccountType>,
    /// When the observation was made.
    pub at: Timestamp,
}

/// The removals after the guards have judged them.
#[derive(Default)]
pub struct Guarded {
    /// Removals that go ahead, and those that are held.
    pub operations: Vec<Operation>,
    /// Why some are held.
    pub findings: Vec<Finding>,
    /// What approves the held ones.
    pub approval: Option<Digest>,
    /// The holds as they are from now on.
    pub holds: Vec<Hold>,
}

/// A guard's objection to the removals of one account type.
struct Objection {
    code: FindingCode,
    account_type: AccountType,
    why: String,
}

/// Judges the removals of a customer. Of those at the end of a grace, `ended`, the number is not judged
/// again; a reading that a guard mistrusts proves for nobody that they are still out.
pub fn guard(watch: &Watch<'_>, mut removals: Vec<Operation>, ended: Vec<Operation>) -> Guarded {
    let mut objections: BTreeMap<AccountType, Vec<Objection>> = BTreeMap::new();
    let counts = Counts::of(watch, &removals);
    for (account_type, count) in &counts {
        let Some(limits) = limits_of(watch.customer, *account_type) else { continue };
        let ends = ended.iter().any(|end| end.key.account_type == *account_type);
        let mut found = Vec::new();
        if count.planned > 0 || ends {
            found.extend(source_shrunk(watch, *account_type, &limits));
        }
        if count.planned > 0 {
            found.extend(empty_desired_set(watch, *account_type, &limits));
            found.extend(removal_limit(*account_type, &limits, count));
            found.extend(member_unreadable(watch, *account_type));
        }
        objections.insert(*account_type, found);
    }
    let mistrusts = |objection: &Objection| {
        matches!(objection.code, FindingCode::SourceShrunk | FindingCode::EmptyDesiredSet)
    };
    let (doubted, ended): (Vec<_>, Vec<_>) = ended.into_iter().partition(|end| {
        objections.get(&end.key.account_type).is_some_and(|objections| objections.iter().any(mistrusts))
    });
    removals.extend(doubted);
    let mut guarded = judge(watch, removals, &objections, &counts);
    guarded.operations.extend(ended);
    guarded
}

/// Holds the removals of every account type that a guard objects to, unless exactly these are approved.
fn judge(
    watch: &Watch<'_>,
    removals: Vec<Operation>,
    objections: &BTreeMap<AccountType, Vec<Objection>>,
    counts: &BTreeMap<AccountType, Counts>,
) -> Guarded {
    let bases: BTreeMap<AccountType, u64> = counts.iter().map(|(kind, count)| (*kind, count.base)).collect();
    let flapping = flapping(watch, &removals);
    let held_by = |removal: &Operation| -> Option<FindingCode> {
        let of_type = objections.get(&removal.key.account_type).and_then(|objections| objections.first());
        let alone = flapping.contains(&removal.key).then_some(FindingCode::Flapping);
        of_type.map(|objection| objection.code).or(alone)
    };
    let held: Vec<&Operation> = removals.iter().filter(|removal| held_by(removal).is_some()).collect();
    if held.is_empty() {
        let guarded = Guarded { findings: unused_approvals(watch, None), ..Guarded::default() };
        return Guarded { operations: removals, ..guarded }.with_holds(watch, None, None, &bases);
    }
    let approval = approval_digest(&held);
    if is_approved(watch.customer, watch.holds, approval, watch.at) {
        let findings = unused_approvals(watch, Some(approval));
        let approve = |removal: Operation| Operation { approved: held_by(&removal).is_some(), ..removal };
        let operations = removals.into_iter().map(approve).collect();
        return Guarded { operations, findings, ..Guarded::default() }.with_holds(
            watch,
            None,
            Some(approval),
            &bases,
        );
    }
    let mut findings = unused_approvals(watch, None);
    findings
        .extend(objections.values().flatten().map(|objection| describe(objection, watch, &approval, &held)));
    findings.extend(describe_flapping(watch, &approval, &held, &held_by));
    let operations = removals
        .into_iter()
        .map(|removal| match held_by(&removal) {
            Some(code) => Operation { action: Action::Hold, held_by: Some(code), until: None, ..removal },
            None => removal,
        })
        .collect();
    Guarded { operations, findings, approval: Some(approval), ..Guarded::default() }.with_holds(
        watch,
        Some(approval),
        None,
        &bases,
    )
}

/// Finds accounts that went and came back within the window of their limit, and would go again: who
/// comes and goes is more likely a source in doubt than a person who left twice.
fn flapping(watch: &Watch<'_>, removals: &[Operation]) -> BTreeSet<AccountKey> {
    let returned: BTreeSet<AccountKey> = watch
        .accounts
        .iter()
        .filter(|account| {
            let window = limits_of(watch.customer, account.key.account_type).map(|limits| limits.window);
            let began = account.removal_began_at.zip(window);
            account.state == AccountState::Active
                && began.is_some_and(|(began, window)| began > window.before(watch.at))
        })
        .map(|account| account.key)
        .collect();
    removals.iter().map(|removal| removal.key).filter(|key| returned.contains(key)).collect()
}

fn describe_flapping(
    watch: &Watch<'_>,
    approval: &Digest,
    held: &[&Operation],
    held_by: &impl Fn(&Operation) -> Option<FindingCode>,
) -> Option<Finding> {
    let flapping = || held.iter().filter(|removal| held_by(removal) == Some(FindingCode::Flapping));
    let mut names: Vec<_> = flapping()
        .map(|removal| inert(by_name(&removal.profile, &removal.key).0.as_ref()).into_owned())
        .collect();
    if names.is_empty() {
        return None;
    }
    names.sort_unstable();
    let count = names.len();
    names.truncate(3);
    let more = if count > names.len() { format!(" and {} more", count - names.len()) } else { String::new() };
    let name = &watch.customer.name;
    Some(Finding {
        code: FindingCode::Flapping,
        severity: Severity::Error,
        subject: name.to_string(),
        message: format!(
            "{} went and came back a short while ago, and would go again ({}{more}): held until it is clear which \
             is true. Others go. If these people are really gone, write `approve: [\"{approval}\"]` into the \
             customer's file, or run `intake apply TREE --customer {name} --approve {approval}`",
            if count == 1 { "1 account".to_owned() } else { format!("{count} accounts") },
            names.join("; "),
        ),
    })
}

/// Whether a customer's document approves a digest, and the approval still counts: once, and within
/// 7 days after the hold was first recorded.
pub fn is_approved(customer: &Customer, holds: &[Hold], digest: Digest, at: Timestamp) -> bool {
    let hold = holds.iter().find(|hold| hold.approval == digest);
    let counts = hold.is_none_or(|hold| hold.used_at.is_none() && !has_expired(hold, at));
    (customer.approve.contains(&digest) || customer.approve_once.contains_key(&digest)) && counts
}

fn has_expired(hold: &Hold, at: Timestamp) -> bool {
    APPROVAL_LIFETIME.after(hold.recorded_at) <= at
}

/// Carries the recorded holds on: one whose set is no longer held is void; one that the customer's file
/// still approves is remembered, so that it counts once and not for ever; one that expired begins anew
/// when the file no longer approves it, so that it can be approved again.
pub fn carry_holds(
    customer: &Customer,
    holds: &[Hold],
    held: Option<Digest>,
    approved: &[Digest],
    bases: &BTreeMap<AccountType, u64>,
    at: Timestamp,
) -> Vec<Hold> {
    let is_listed = |hold: &Hold| customer.approve.contains(&hold.approval);
    let mut carried: BTreeMap<Digest, Hold> = BTreeMap::new();
    for hold in holds {
        let is_held = held == Some(hold.approval);
        let mut hold = hold.clone();
        if is_held && !is_listed(&hold) && (hold.used_at.is_some() || has_expired(&hold, at)) {
            hold = Hold { recorded_at: at, used_at: None, ..hold };
        }
        // As long as its approval stands in the file: forgotten, the old approval would count for the
        // same set as a new one, however late that comes back.
        if is_held || approved.contains(&hold.approval) || is_listed(&hold) {
            carried.insert(hold.approval, hold);
        }
    }
    for digest in held.iter().chain(approved) {
        let new = || Hold { approval: *digest, recorded_at: at, used_at: None, bases: bases.clone() };
        let hold = carried.entry(*digest).or_insert_with(new);
        if approved.contains(digest) {
            hold.used_at = Some(at);
        }
    }
    carried.into_values().collect()
}

impl Guarded {
    fn with_holds(
        mut self,
        watch: &Watch<'_>,
        held: Option<Digest>,
        approved: Option<Digest>,
        bases: &BTreeMap<AccountType, u64>,
    ) -> Self {
        let approved: Vec<Digest> = approved.into_iter().chain(watch.source_approval).collect();
        self.holds = carry_holds(watch.customer, watch.holds, held, &approved, bases, watch.at);
        self
    }
}

/// The limits of an account type: of several policies the strictest of each.
fn limits_of(customer: &Customer, account_type: AccountType) -> Option<RemovalLimits> {
    let Some(Imports::Valid(imports)) = customer.imports.get(&account_type) else { return None };
    imports.iter().map(|import: &Import| import.removal).reduce(|left, right| RemovalLimits {
        grace: left.grace.max(right.grace),
        window: left.window.max(right.window),
        max_percent: left.max_percent.min(right.max_percent),
        max_count: left.max_count.min(right.max_count),
        min_count: left.min_count.min(right.min_count),
        max_shrink_percent: left.max_shrink_percent.min(right.max_shrink_percent),
        allow_empty: left.allow_empty && right.allow_empty,
    })
}

fn empty_desired_set(
    watch: &Watch<'_>,
    account_type: AccountType,
    limits: &RemovalLimits,
) -> Option<Objection> {
    let desired = watch.desired.get(&account_type).copied().unwrap_or(0);
    (desired == 0 && !limits.allow_empty).then(|| Objection {
        code: FindingCode::EmptyDesiredSet,
        account_type,
        why: "nobody at all would be left; an empty answer is rarely the truth (`removal.allowEmpty` permits it)"
            .to_owned(),
    })
}

/// What the removal limit of one account type is computed from.
struct Counts {
    /// Removals that this plan would begin.
    planned: u64,
    /// Removals that earlier turns began within the window, whatever became of the people.
    recent: u64,
    /// Accounts that the limit is a share of.
    base: u64,
}

impl Counts {
    fn of(watch: &Watch<'_>, removals: &[Operation]) -> BTreeMap<AccountType, Self> {
        let all: Vec<&Operation> = removals.iter().collect();
        let count = |account_type| {
            let limits = limits_of(watch.customer, account_type);
            let since = limits.map_or(watch.at, |limits| limits.window.before(watch.at));
            let is_recent = |account: &Account| account.removal_began_at.is_some_and(|began| began > since);
            let of_type =
                || watch.accounts.iter().filter(move |account| account.key.account_type == account_type);
            let recent = of_type().filter(|account| is_recent(account)).count() as u64;
            let counts = |account: &&Account| account.state == AccountState::Active || is_recent(account);
            let now = of_type().filter(counts).count() as u64;
            let planned: Vec<&Operation> =
                all.iter().copied().filter(|removal| removal.key.account_type == account_type).collect();
            let digests = [approval_digest(&planned), approval_digest(&all)];
            let held =
                watch.holds.iter().filter(|hold| hold.used_at.is_none() && digests.contains(&hold.approval));
            let before = held.filter_map(|hold| hold.bases.get(&account_type)).min();
            let base = before.map_or(now, |before| now.min(*before));
            (account_type, Self { planned: planned.len() as u64, recent, base })
        };
        AccountType::ALL.into_iter().map(count).collect()
    }
}

fn removal_limit(account_type: AccountType, limits: &RemovalLimits, counts: &Counts) -> Option<Objection> {
    let Counts { planned, recent, base } = *counts;
    let share = base.saturating_mul(u64::from(limits.max_percent)) / 100;
    let limit = u64::from(limits.min_count).max(share.min(u64::from(limits.max_count)));
    (planned + recent > limit).then(|| {
        let already = if recent == 0 {
            String::new()
        } else {
            format!(" and {recent} went within the last {}", limits.window)
        };
        Objection {
            code: FindingCode::RemovalLimit,
            account_type,
            why: format!(
                "{planned} of {base} accounts would go{already}; the limit is {limit} within {} \
                 (maxPercent {}, maxCount {}, minCount {})",
                limits.window, limits.max_percent, limits.max_count, limits.min_count
            ),
        }
    })
}

fn source_shrunk(watch: &Watch<'_>, account_type: AccountType, limits: &RemovalLimits) -> Option<Objection> {
    // A source that the customer no longer has did not shrink: its accounts are orphaned.
    let directories = watch.before.directories.iter().filter_map(|(name, before)| {
        Some((format!("the directory `{name}`"), before, watch.now.directories.get(name)?))
    });
    let tenants = watch.before.tenant.iter().zip(&watch.now.tenant);
    let tenant = tenants.map(|(before, now)| ("the tenant".to_owned(), before, now));
    directories.chain(tenant).find_map(|(source, before, now)| {
        let vanished = count_missing(before, now);
        let share = (before.len() as u64).saturating_mul(u64::from(limits.max_shrink_percent)) / 100;
        let limit = share.max(u64::from(limits.min_count));
        (vanished > limit).then(|| Objection {
            code: FindingCode::SourceShrunk,
            account_type,
            why: format!(
                "{vanished} of the {} users that {source} held at its last complete reading are gone from it; the \
                 limit is {limit} (maxShrinkPercent {})",
                before.len(),
                limits.max_shrink_percent
            ),
        })
    })
}

/// Counts the ids of one sorted list that another does not have.
fn count_missing(before: &[Guid], now: &[Guid]) -> u64 {
    let mut now = now.iter().peekable();
    let mut missing = 0;
    for id in before {
        while now.next_if(|other| *other < id).is_some() {}
        if now.peek() != Some(&id) {
            missing += 1;
        }
    }
    missing
}

fn member_unreadable(watch: &Watch<'_>, account_type: AccountType) -> Option<Objection> {
    watch.hidden_members.contains(&account_type).then(|| Objection {
        code: FindingCode::MemberUnreadable,
        account_type,
        why: "members of a selected group cannot be read, so nobody can tell who left it".to_owned(),
    })
}

fn describe(objection: &Objection, watch: &Watch<'_>, approval: &Digest, held: &[&Operation]) -> Finding {
    let count = held.iter().filter(|removal| removal.key.account_type == objection.account_type).count();
    let name = &watch.customer.name;
    Finding {
        code: objection.code,
        severity: Severity::Error,
        subject: format!("{name}: {}", objection.account_type),
        message: format!(
            "{count} {} held: {}. Adds and updates go on. If these people are really gone, write \
             `approve: [\"{approval}\"]` into the customer's file, or run `intake apply TREE --customer {name} --approve \
             {approval}`",
            if count == 1 { "removal is" } else { "removals are" },
            objection.why,
        ),
    }
}

/// Tells of approvals that let nothing go in this plan.
fn unused_approvals(watch: &Watch<'_>, current: Option<Digest>) -> Vec<Finding> {
    let counts_now = |digest: Digest| current == Some(digest) || watch.source_approval == Some(digest);
    let others = watch.customer.approve.iter().filter(|approval| !counts_now(**approval));
    others.map(|approval| unused_approval(watch.holds, *approval, watch.at)).collect()
}

/// Tells why an approval lets nothing go.
pub fn unused_approval(holds: &[Hold], approval: Digest, at: Timestamp) -> Finding {
    let hold = holds.iter().find(|hold| hold.approval == approval);
    let (code, severity, message) = match hold.map(|hold| (hold.used_at, has_expired(hold, at))) {
        Some((Some(used), _)) => (
            FindingCode::ApprovalUsed,
            Severity::Info,
            format!("it counted at {used:.0} and counts no more: delete it from the customer's file"),
        ),
        Some((None, true)) => (
            FindingCode::ApprovalUnknown,
            Severity::Warning,
            "it came more than 7 days after the hold and counts no more: delete it from the customer's file, and \
             approve what the next plan holds"
                .to_owned(),
        ),
        _ => (
            FindingCode::ApprovalUnknown,
            Severity::Warning,
            "it approves nothing that is held: the set of removals changed, or the digest is another customer's; \
             look at the plan again"
                .to_owned(),
        ),
    };
    Finding { code, severity, subject: approval.to_string(), message }
}

/// The digest that approves exactly these removals: who and why, and nothing else, so that an
/// unrelated rename does not void it.
fn approval_digest(held: &[&Operation]) -> Digest {
    let mut removals: Vec<(AccountType, Guid, &str)> = held
        .iter()
        .map(|removal| {
            (removal.key.account_type, removal.key.id, removal.reason.map_or("", |reason| reason.code()))
        })
        .collect();
    removals.sort_unstable();
    let mut digester = Digester::new("intake approval 1");
    for (account_type, id, reason) in removals {
        digester.field(account_type.code()).field(id.to_string()).field(reason);
    }
    digester.finish()
}

/// Tells that a domain or a tenant is another one than before, and computes what approves it.
pub fn source_changed(customer: &Text, changes: &[(String, Text, Text)]) -> (Digest, Vec<Finding>) {
    let mut digester = Digester::new("intake source 1");
    digester.field(customer);
    for (source, before, after) in changes {
        digester.field(source).field(before).field(after);
    }
    let digest = digester.finish();
    let findings = changes
        .iter()
        .map(|(source, before, after)| Finding {
            code: FindingCode::SourceChanged,
            severity: Severity::Error,
            subject: source.clone(),
            message: format!(
                "the {source} was {before} and is {after} now: nobody is added, updated or removed. If that is right, write \
                 `approve: [\"{digest}\"]` into the customer's file"
            ),
        })
        .collect();
    (digest, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_ids_are_counted_over_sorted_lists() {
        let ids =
            |numbers: &[u128]| numbers.iter().map(|number| Guid::from_u128(*number)).collect::<Vec<_>>();
        assert_eq!(count_missing(&ids(&[1, 2, 3]), &ids(&[1, 2, 3])), 0);
        assert_eq!(count_missing(&ids(&[1, 2, 3]), &ids(&[2, 9])), 2);
        assert_eq!(count_missing(&ids(&[1, 2, 3]), &[]), 3);
        assert_eq!(count_missing(&[], &ids(&[1])), 0);
    }
}
