//! What turns the register into the desired set: adds, updates, returns, removals, orphans.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};
use jiff::Timestamp;

use crate::model::account::{Account, AccountKey, AccountState, AccountType, Profile, Source, Verdict};
use crate::model::directory::{Directory, Person};
use crate::model::duration::Seconds;
use crate::model::guid::Guid;
use crate::model::register::AccountList;
use crate::model::tenant::{Tenant, TenantUser};
use crate::model::text::{Text, fold};
use crate::plan::desire::{Decision, Desired};
use crate::plan::index::Index;
use crate::plan::outcome::{Action, FieldChange, Operation};
use crate::plan::patterns::Patterns;
use crate::plan::screen::{Candidate, Screened};
use crate::plan::select::Selected;
use crate::plan::tenant_verdict::{self, TenantCandidate};
use crate::policy::fleet::{Customer, Import, Imports, MatchKey};

/// For how long a removed account can come back as the same one.
pub const RESTORABLE: Seconds = Seconds(30 * 86_400);

/// What would change, before any guard has looked at it.
#[derive(Default)]
pub struct Changes {
    /// Adds, updates and returns: no guard keeps these back.
    pub others: Vec<Operation>,
    /// Removals, and graces that begin: guards judge these.
    pub removals: Vec<Operation>,
    /// Removals at the end of a grace: they were judged when it began.
    pub ended: Vec<Operation>,
    /// Known accounts that an unclear record or match leaves as they are: the account's position
    /// in the register, the candidate's if there is one, and why.
    pub kept: Vec<(usize, Option<usize>, Verdict)>,
    /// How many candidates are in the desired set, per account type.
    pub desired: BTreeMap<AccountType, u64>,
    /// Accounts that no policy answers for, those found out now included, by recorded policy.
    pub orphans: BTreeMap<(AccountType, Text), u64>,
    /// Candidates to tell of that are not in the desired set.
    pub left_out: Vec<usize>,
    /// The candidates that count, where one person may be a candidate several times; else all do.
    pub chosen: Option<HashSet<usize>>,
    /// Accounts that would go if nobody protected them, as positions in the register.
    pub protected: Vec<usize>,
    /// Likewise among the users, where the tenant alone is read.
    pub chosen_users: Option<HashSet<usize>>,
    /// Users to tell of likewise, where the tenant alone is read: positions among the candidates.
    pub users_left_out: Vec<usize>,
}

/// What the difference is computed from, besides the decisions.
pub struct Known<'a> {
    /// The customer.
    pub customer: &'a Customer,
    /// Its directories.
    pub directories: &'a [&'a Directory],
    /// Its tenant.
    pub tenant: Option<&'a Tenant>,
    /// The register's accounts.
    pub accounts: &'a [Account],
    /// The accounts by their key.
    pub by_key: &'a Index,
    /// Account types that nothing is planned for.
    pub blocked: &'a BTreeSet<AccountType>,
    /// When the observation was made.
    pub at: Timestamp,
}

/// Computes what would change.
pub fn diff(
    known: &Known<'_>,
    selected: &Selected<'_>,
    screened: &Screened<'_>,
    desired: &Desired,
    users: &[TenantCandidate],
) -> Changes {
    let mut differ = Differ {
        known,
        selected,
        changes: Changes::default(),
        seen: vec![false; known.accounts.len()],
        records: Unidentified::of(known.directories),
        protected: screened
            .identified
            .patterns(AccountList::Protect, known.customer.protect.iter().enumerate()),
    };
    // Only where one person can be a candidate twice is there something to choose.
    let may_repeat = known.directories.len() > 1
        || known
            .customer
            .imports
            .values()
            .any(|imports| matches!(imports, Imports::Valid(all) if all.len() > 1));
    let chosen = may_repeat.then(|| differ.choose(screened, desired));
    let is_chosen = |position: usize| chosen.as_ref().is_none_or(|chosen| chosen.contains(&position));
    for (position, (candidate, decision)) in screened.candidates.iter().zip(&desired.decisions).enumerate() {
        if is_chosen(position) {
            match decision.verdict {
                Verdict::Included => differ.include(candidate, decision),
                _ => differ.leave_out(position, candidate, decision),
            }
        }
    }
    differ.judge_users(users, may_repeat);
    differ.judge_unseen();
    differ.changes.chosen = chosen;
    differ.changes
}

struct Differ<'a, 'b> {
    known: &'b Known<'a>,
    selected: &'b Selected<'a>,
    changes: Changes,
    /// Per account: whether a candidate was found for it.
    seen: Vec<bool>,
    records: Unidentified,
    protected: Patterns<'a>,
}

impl<'a> Differ<'a, '_> {
    fn person(&self, candidate: &Candidate) -> (&'a Directory, &'a Person) {
        let directory = self.known.directories[candidate.directory as usize];
        (directory, &directory.people[candidate.person as usize])
    }

    fn import(&self, candidate: &Candidate) -> &'a Import {
        self.selected.imports[candidate.import as usize].import
    }

    /// The register's account of a key, unless it was removed too long ago.
    fn account(&self, key: &AccountKey) -> Option<usize> {
        find_account(self.known.accounts, self.known.by_key, key).filter(|position| {
            !matches!(self.known.accounts[*position].state,
                AccountState::Removed { since, .. } if since < RESTORABLE.before(self.known.at))
        })
    }

    /// Chooses among the candidates of one person, where several policies or directories have it:
    /// one that is included before one that is unclear before one that is left out, and among those
    /// the one of the policy recorded at the account. Imports are in the order of their names.
    fn choose(&self, screened: &Screened<'_>, desired: &Desired) -> HashSet<usize> {
        self.choose_among(screened.candidates.iter().zip(&desired.decisions).map(|(candidate, decision)| {
            let import = self.import(candidate);
            (import, key_of(import, self.person(candidate).1), decision.verdict)
        }))
    }

    /// Chooses among candidates, each told by its import, who it is and its verdict.
    fn choose_among(
        &self,
        candidates: impl Iterator<Item = (&'a Import, AccountKey, Verdict)>,
    ) -> HashSet<usize> {
        let mut chosen: HashMap<AccountKey, ((u8, bool), usize)> = HashMap::new();
        for (position, (import, key, verdict)) in candidates.enumerate() {
            let recorded = self.account(&key).map(|account| &self.known.accounts[account].provenance.policy);
            let clarity = match verdict {
                Verdict::Included => 0,
                verdict if verdict.keeps() => 1,
                _ => 2,
            };
            let rank = (clarity, recorded != Some(&import.policy));
            let best = chosen.entry(key).or_insert((rank, position));
            if rank < best.0 {
                *best = (rank, position);
            }
        }
        chosen.into_values().map(|(_, position)| position).collect()
    }

    fn include(&mut self, candidate: &Candidate, decision: &Decision) {
        let import = self.import(candidate);
        if self.known.blocked.contains(&import.account_type) {
            return;
        }
        let (directory, person) = self.person(candidate);
        let key = key_of(import, person);
        *self.changes.desired.entry(import.account_type).or_default() += 1;
        let user = decision.user.zip(self.known.tenant).map(|(user, tenant)| &tenant.users[user as usize]);
        let account = self.account(&key);
        if let Some(position) = account {
            self.seen[position] = true;
            if is_current(&self.known.accounts[position], import, &directory.name, person, user) {
                return;
            }
        }
        let profile = profile_of(import, person, user);
        self.enter(import, key, Some(&directory.name), profile, decision.key);
    }

    /// Judges the users of a tenant that is the only source; `may_repeat` as in [`diff`].
    fn judge_users(&mut self, users: &[TenantCandidate], may_repeat: bool) {
        let Some(tenant) = self.known.tenant else { return };
        let selected = self.selected;
        let told = |candidate: &TenantCandidate| {
            let import = selected.imports[candidate.import as usize].import;
            let user = &tenant.users[candidate.user as usize];
            (import, user, tenant_verdict::key_of(import, user))
        };
        let chosen = may_repeat.then(|| {
            self.choose_among(users.iter().map(|candidate| {
                let (import, _, key) = told(candidate);
                (import, key, candidate.verdict)
            }))
        });
        let is_chosen = |position: &usize| chosen.as_ref().is_none_or(|chosen| chosen.contains(position));
        for (position, candidate) in users.iter().enumerate().filter(|(position, _)| is_chosen(position)) {
            let (import, user, key) = told(candidate);
            let is_included = candidate.verdict == Verdict::Included;
            if !is_included {
                self.changes.users_left_out.push(position);
            }
            if self.known.blocked.contains(&import.account_type) {
                continue;
            }
            let account = self.account(&key);
            if let Some(account) = account {
                self.seen[account] = true;
            }
            if is_included {
                *self.changes.desired.entry(import.account_type).or_default() += 1;
                let profile = tenant_verdict::profile_of(user);
                if !account.is_some_and(|found| is_same(&self.known.accounts[found], import, None, &profile))
                {
                    self.enter(import, key, None, profile, None);
                }
            } else if let Some(account) = account {
                self.judge_left_out(account, None, candidate.verdict);
            }
        }
        self.changes.chosen_users = chosen;
    }

    /// Plans to enter somebody into the register, or to bring an account up to date.
    fn enter(
        &mut self,
        import: &Import,
        key: AccountKey,
        directory: Option<&Text>,
        profile: Profile,
        matched_by: Option<MatchKey>,
    ) {
        let operation = |action, profile, changes| Operation {
            action,
            key,
            directory: directory.cloned(),
            profile,
            policy: import.policy.clone(),
            matched_by,
            changes,
            reason: None,
            held_by: None,
            until: None,
            approved: false,
        };
        let Some(account) = self.account(&key).map(|position| &self.known.accounts[position]) else {
            self.changes.others.push(operation(Action::Add, profile, Vec::new()));
            return;
        };
        // People correct these two in their tools; an import never takes that back.
        let profile = Profile {
            email: account.profile.email.clone(),
            mobile_phone: account.profile.mobile_phone.clone(),
            ..profile
        };
        let mut changes = field_changes(account, &profile, import, directory);
        if account.state != AccountState::Active {
            changes.push(state_change(account.state.code(), "active"));
        }
        let action = match account.state {
            AccountState::Active | AccountState::Orphaned { .. } => Action::Update,
            AccountState::PendingRemoval { .. } | AccountState::Removed { .. } => Action::Return,
        };
        self.changes.others.push(operation(action, profile, changes));
    }

    fn leave_out(&mut self, position: usize, candidate: &Candidate, decision: &Decision) {
        let import = self.import(candidate);
        let (_, person) = self.person(candidate);
        let key = key_of(import, person);
        self.changes.left_out.push(position);
        if self.known.blocked.contains(&import.account_type) {
            return;
        }
        if let Some(account) = self.account(&key).filter(|account| !self.seen[*account]) {
            self.seen[account] = true;
            self.judge_left_out(account, Some(position), decision.verdict);
        }
    }

    /// Accounts for which no scope holds anybody.
    fn judge_unseen(&mut self) {
        let unseen: Vec<usize> = (0..self.known.accounts.len())
            .filter(|position| !self.seen[*position] && self.is_open(*position))
            .collect();
        let ids: HashSet<Guid> =
            unseen.iter().map(|position| self.known.accounts[*position].key.id).collect();
        let people = || self.known.directories.iter().flat_map(|directory| &directory.people);
        let broken: HashSet<Guid> = people()
            .filter(|person| person.invalid.is_some() && ids.contains(&person.guid))
            .map(|person| person.guid)
            .collect();
        for position in unseen {
            let account = &self.known.accounts[position];
            let is_broken = broken.contains(&account.key.id) || self.records.may_be(account);
            let verdict = if is_broken { Verdict::InvalidRecord } else { Verdict::NotInScope };
            self.judge_left_out(position, None, verdict);
        }
    }

    fn is_open(&self, position: usize) -> bool {
        let account = &self.known.accounts[position];
        account.state.is_imported() && !self.known.blocked.contains(&account.key.account_type)
    }

    /// Decides what becomes of a known account that is not in the desired set.
    fn judge_left_out(&mut self, position: usize, candidate: Option<usize>, verdict: Verdict) {
        let account = &self.known.accounts[position];
        let Some(import) = self.answering_import(account) else {
            self.orphan(account);
            return;
        };
        if verdict.keeps() {
            if account.state.is_imported() {
                self.changes.kept.push((position, candidate, verdict));
            }
            return;
        }
        let operation = |action, reason, until| Operation {
            action,
            key: account.key,
            directory: account.provenance.directory.clone(),
            profile: account.profile.clone(),
            policy: account.provenance.policy.clone(),
            matched_by: None,
            changes: Vec::new(),
            reason,
            held_by: None,
            until,
            approved: false,
        };
        if self.is_protected(account) {
            self.changes.protected.push(position);
            // A grace that began before somebody protected the account ends there.
            if let AccountState::PendingRemoval { .. } = account.state {
                let changes = vec![state_change(account.state.code(), "active")];
                self.changes.others.push(Operation { changes, ..operation(Action::Return, None, None) });
            }
            return;
        }
        match account.state {
            AccountState::Active if import.removal.grace > Seconds(0) => {
                let until = import.removal.grace.after(self.known.at);
                self.changes.removals.push(operation(Action::Pend, Some(verdict), Some(until)));
            }
            AccountState::Active => {
                self.changes.removals.push(operation(Action::Remove, Some(verdict), None))
            }
            AccountState::PendingRemoval { until, .. } if until <= self.known.at => {
                self.changes.ended.push(operation(Action::Remove, Some(verdict), None));
            }
            AccountState::PendingRemoval { .. } | AccountState::Removed { .. } => {}
            AccountState::Orphaned { .. } => self.orphan(account),
        }
    }

    /// The policy recorded at an account, if it still applies to it: only that may remove it.
    fn answering_import(&self, account: &Account) -> Option<&'a Import> {
        let directory_is_read = account
            .provenance
            .directory
            .as_ref()
            .is_none_or(|name| self.known.directories.iter().any(|one| one.name == *name));
        let Some(Imports::Valid(imports)) = self.known.customer.imports.get(&account.key.account_type) else {
            return None;
        };
        // Of a policy that turned to another source nobody can be missing in the one before.
        let is_tenant = account.key.source == Source::Tenant;
        imports.iter().find(|import| {
            directory_is_read
                && import.selection.is_of_tenant() == is_tenant
                && import.policy == account.provenance.policy
        })
    }

    fn orphan(&mut self, account: &Account) {
        if !account.state.is_imported() {
            return;
        }
        *self
            .changes
            .orphans
            .entry((account.key.account_type, account.provenance.policy.clone()))
            .or_default() += 1;
        if !matches!(account.state, AccountState::Orphaned { .. }) {
            self.changes.others.push(orphan_operation(account));
        }
    }

    fn is_protected(&self, account: &Account) -> bool {
        let name = account.profile.user_principal_name.as_deref();
        self.protected.first(account.key.id, name, &account.profile.sam_account_name).is_some()
    }
}

/// Records without an objectGUID: each may be a known account.
struct Unidentified {
    /// Their names, folded.
    names: HashSet<String>,
    /// Directories with a record that has no name either: it may be anybody of theirs.
    nameless: BTreeSet<Text>,
}

impl Unidentified {
    fn of(directories: &[&Directory]) -> Self {
        let records =
            || directories.iter().flat_map(|one| one.unidentified.iter().map(move |record| (one, record)));
        let names = records().flat_map(|(_, record)| [&record.sam_account_name, &record.user_principal_name]);
        let nameless = records()
            .filter(|(_, record)| record.sam_account_name.is_none() && record.user_principal_name.is_none());
        Self {
            names: names.flatten().map(|name| fold(name).into_owned()).collect(),
            nameless: nameless.map(|(directory, _)| directory.name.clone()).collect(),
        }
    }

    fn may_be(&self, account: &Account) -> bool {
        let names = [Some(&account.profile.sam_account_name), account.profile.user_principal_name.as_ref()];
        names.into_iter().flatten().any(|name| self.names.contains(fold(name).as_ref()))
            || account
                .provenance
                .directory
                .as_ref()
                .is_some_and(|directory| self.nameless.contains(directory))
    }
}

/// Says that no policy answers for an account any more.
pub fn orphan_operation(account: &Account) -> Operation {
    Operation {
        action: Action::Update,
        key: account.key,
        directory: account.provenance.directory.clone(),
        profile: account.profile.clone(),
        policy: account.provenance.policy.clone(),
        matched_by: None,
        changes: vec![state_change(account.state.code(), "orphaned")],
        reason: None,
        held_by: None,
        until: None,
        approved: false,
    }
}

/// Finds an account of the register by its key.
pub fn find_account(accounts: &[Account], by_key: &Index, key: &AccountKey) -> Option<usize> {
    let found = by_key.key(key, |position| accounts[position as usize].key == *key);
    found.positions().first().map(|position| *position as usize)
}

/// Returns who a person is as an account of an import.
pub fn key_of(import: &Import, person: &Person) -> AccountKey {
    AccountKey { account_type: import.account_type, source: Source::Directory, id: person.guid }
}

fn profile_of(import: &Import, person: &Person, user: Option<&TenantUser>) -> Profile {
    let from_user = |field: fn(&TenantUser) -> &Option<Text>| user.and_then(|user| field(user).clone());
    Profile {
        sam_account_name: person.sam_account_name.clone(),
        user_principal_name: person.user_principal_name.clone(),
        display_name: person.display_name.clone(),
        email: person
            .mail
            .clone()
            .or_else(|| person.addresses.primary().cloned())
            .or_else(|| from_user(|user| &user.mail)),
        mobile_phone: person.mobile.clone().or_else(|| from_user(|user| &user.mobile)),
        tenant_user_id: user.map(|user| user.id),
        password_sync: import.password_sync,
    }
}

/// Whether an included account needs no change. The same comparison as [`field_changes`], without
/// making anything: nearly all accounts of nearly all turns end here.
fn is_current(
    account: &Account,
    import: &Import,
    directory: &Text,
    person: &Person,
    user: Option<&TenantUser>,
) -> bool {
    let profile = &account.profile;
    account.state == AccountState::Active
        && account.provenance.policy == import.policy
        && account.provenance.directory.as_ref() == Some(directory)
        && profile.sam_account_name == person.sam_account_name
        && profile.user_principal_name == person.user_principal_name
        && profile.display_name == person.display_name
        && profile.tenant_user_id == user.map(|user| user.id)
        && profile.password_sync == import.password_sync
}

/// The same of an account that comes from the tenant alone, whose profile is made soon.
fn is_same(account: &Account, import: &Import, directory: Option<&Text>, after: &Profile) -> bool {
    account.state == AccountState::Active && field_changes(account, after, import, directory).is_empty()
}

fn field_changes(
    account: &Account,
    after: &Profile,
    import: &Import,
    directory: Option<&Text>,
) -> Vec<FieldChange> {
    let before = &account.profile;
    let id = |id: Option<Guid>| id.map(|id| Text::from(id.to_string()));
    let flag = |flag: bool| Some(Text::from(if flag { "true" } else { "false" }));
    let fields = [
        ("samAccountName", Some(before.sam_account_name.clone()), Some(after.sam_account_name.clone())),
        ("userPrincipalName", before.user_principal_name.clone(), after.user_principal_name.clone()),
        ("displayName", Some(before.display_name.clone()), Some(after.display_name.clone())),
        ("tenantUserId", id(before.tenant_user_id), id(after.tenant_user_id)),
        ("passwordSync", flag(before.password_sync), flag(after.password_sync)),
        ("policy", Some(account.provenance.policy.clone()), Some(import.policy.clone())),
        ("directory", account.provenance.directory.clone(), directory.cloned()),
    ];
    let changed = fields.into_iter().filter(|(_, before, after)| before != after);
    changed.map(|(field, before, after)| FieldChange { field, before, after }).collect()
}

fn state_change(before: &'static str, after: &'static str) -> FieldChange {
    FieldChange { field: "state", before: Some(Text::const_new(before)), after: Some(Text::const_new(after)) }
}

/// Orders accounts in every output: by name, then id.
pub fn by_name<'o>(profile: &'o Profile, key: &AccountKey) -> (std::borrow::Cow<'o, str>, Guid, AccountType) {
    (fold(&profile.display_name), key.id, key.account_type)
}
