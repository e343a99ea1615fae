//! Finds whom the entries of `protect`, `matches` and `exclude` name, and pins them: a new name lifts
//! no entry.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};
use jiff::civil::Date;

use crate::model::account::Account;
use crate::model::directory::{Directory, Person};
use crate::model::guid::Guid;
use crate::model::register::{AccountEntry, AccountList, PinnedAccount, Pins};
use crate::model::tenant::Tenant;
use crate::model::text::{Text, fold, inert};
use crate::plan::outcome::{Finding, FindingCode, Severity};
use crate::plan::patterns::Patterns;
use crate::policy::fleet::{AccountPattern, Customer, Imports};

/// Whom entries name.
#[derive(Default)]
pub struct Identified {
    /// The people of each entry that is a name: what is pinned from now on.
    pub pins: BTreeMap<AccountEntry, Vec<PinnedAccount>>,
    /// Entries that fit nobody, or somebody of another name by now.
    pub findings: Vec<Finding>,
}

/// What entries are looked up in.
pub struct Everybody<'a> {
    /// The directories.
    pub directories: &'a [&'a Directory],
    /// The tenant.
    pub tenant: Option<&'a Tenant>,
    /// The register's accounts.
    pub accounts: &'a [Account],
    /// What was pinned before.
    pub pins: &'a Pins,
}

/// Resolves the entries of a customer: by objectGUID where they are pinned and that person exists, else
/// by name.
pub fn identify(customer: &Customer, everybody: &Everybody<'_>, today: Date) -> Identified {
    let entries = entries(customer, today);
    let mut identified = Identified::default();
    if entries.is_empty() {
        return identified;
    }
    let census = Census::of(everybody, &entries);
    for (list, pattern) in &entries {
        let fits_somebody = match pattern {
            AccountPattern::Guid(guid) => census.exists(*guid),
            AccountPattern::Glob { written, .. } => !census.unfit.contains(written),
            AccountPattern::Name(name) => identified.resolve(*list, name, &census, everybody.pins),
        };
        if !fits_somebody {
            identified.findings.push(fits_nobody(*list, pattern));
        }
    }
    identified.findings.extend(strange_choices(customer, everybody.tenant));
    identified
}

/// Lists the entries that apply today, without repetitions: several imports share exclusions.
fn entries(customer: &Customer, today: Date) -> Vec<(AccountList, &AccountPattern)> {
    let imports = customer.imports.values().filter_map(|imports| match imports {
        Imports::Valid(imports) => Some(imports),
        Imports::Invalid(_) => None,
    });
    let excluded = imports
        .flatten()
        .flat_map(|import| import.excluded_accounts(today))
        .map(|(_, pattern)| (AccountList::Exclude, pattern));
    let protected = customer.protect.iter().map(|pattern| (AccountList::Protect, pattern));
    let chosen = customer.matches.iter().map(|choice| (AccountList::Matches, &choice.account));
    let mut seen = BTreeSet::new();
    let all = protected.chain(chosen).chain(excluded);
    all.filter(|(list, pattern)| seen.insert((*list, written(pattern)))).collect()
}

/// Returns an entry as it is pinned and told of.
pub(crate) fn written(pattern: &AccountPattern) -> Text {
    match pattern {
        AccountPattern::Guid(guid) => Text::from(guid.to_string()),
        AccountPattern::Name(name) | AccountPattern::Glob { written: name, .. } => name.clone(),
    }
}

/// Who of all people has something to do with the entries, found in one pass.
struct Census {
    /// People by a name that an entry has.
    by_name: HashMap<Text, Vec<PinnedAccount>>,
    /// People of the directories whom an entry names, or is pinned to.
    by_guid: HashMap<Guid, Text>,
    /// Accounts of the register whom an entry names or is pinned to.
    registered: HashSet<Guid>,
    /// Names that an account of the register has.
    registered_names: HashSet<Text>,
    /// Globs that fit nobody.
    unfit: BTreeSet<Text>,
}

impl Census {
    fn of(everybody: &Everybody<'_>, entries: &[(AccountList, &AccountPattern)]) -> Self {
        let mut names: HashSet<&str> = HashSet::new();
        let mut guids: HashSet<Guid> =
            everybody.pins.accounts.values().flatten().map(|pinned| pinned.guid).collect();
        let mut globs: Vec<(&Text, &wildmatch::WildMatch)> = Vec::new();
        for (_, pattern) in entries {
            match pattern {
                AccountPattern::Guid(guid) => drop(guids.insert(*guid)),
                AccountPattern::Name(name) => drop(names.insert(name.as_str())),
                AccountPattern::Glob { written, pattern } => globs.push((written, pattern)),
            }
        }
        let mut census = Self {
            by_name: HashMap::new(),
            by_guid: HashMap::new(),
            registered: HashSet::new(),
            registered_names: HashSet::new(),
            unfit: BTreeSet::new(),
        };
        let mut count = |guid: Guid, name: &Text, own: [Option<&str>; 2]| {
            if guids.contains(&guid) {
                census.by_guid.insert(guid, name.clone());
            }
            if names.is_empty() && globs.is_empty() {
                return;
            }
            let mut own = own.map(|name| name.map(fold));
            if own[0] == own[1] {
                own[1] = None;
            }
            for own_name in own.iter().flatten().filter(|name| names.contains(name.as_ref())) {
                let pinned = PinnedAccount { guid, name: name.clone() };
                census.by_name.entry(Text::from(own_name.as_ref())).or_default().push(pinned);
            }
            globs.retain(|(_, glob)| !own.iter().flatten().any(|name| glob.matches(name)));
        };
        for person in everybody.directories.iter().flat_map(|directory| &directory.people) {
            let own = [person.user_principal_name.as_deref(), Some(person.sam_account_name.as_str())];
            count(person.guid, name_of(person), own);
        }
        // Without a directory the tenant alone says who somebody is.
        for user in everybody
            .tenant
            .iter()
            .filter(|_| everybody.directories.is_empty())
            .flat_map(|tenant| &tenant.users)
        {
            count(user.id, &user.user_principal_name, [Some(user.user_principal_name.as_str()), None]);
        }
        for account in everybody.accounts.iter().filter(|account| account.state.is_imported()) {
            if guids.contains(&account.key.id) {
                census.registered.insert(account.key.id);
            }
            let profile = &account.profile;
            let own = profile.user_principal_name.iter().chain([&profile.sam_account_name]);
            let own = own.map(|name| Text::from(fold(name)));
            census.registered_names.extend(own.filter(|name| names.contains(name.as_str())));
        }
        // The order of pages shows in no plan.
        census.by_name.values_mut().for_each(|people| people.sort_unstable_by_key(|person| person.guid));
        census.unfit = globs.into_iter().map(|(written, _)| written.clone()).collect();
        census
    }

    fn exists(&self, guid: Guid) -> bool {
        self.by_guid.contains_key(&guid) || self.registered.contains(&guid)
    }
}

fn name_of(person: &Person) -> &Text {
    person.user_principal_name.as_ref().unwrap_or(&person.sam_account_name)
}

impl Identified {
    /// Makes the patterns of a list ready, each with its position: names stand for the people whom they
    /// are pinned to.
    pub fn patterns<'a>(
        &self,
        list: AccountList,
        patterns: impl Iterator<Item = (usize, &'a AccountPattern)>,
    ) -> Patterns<'a> {
        let mut people = Vec::new();
        let by_name = patterns.filter(|(position, pattern)| {
            let AccountPattern::Name(name) = pattern else { return true };
            let pinned = self.pins.get(&AccountEntry { list, written: name.clone() });
            people.extend(pinned.into_iter().flatten().map(|pinned| (*position, pinned.guid)));
            // Whoever has a protected name is protected too, and so is an account whose person is gone.
            pinned.is_none() || list == AccountList::Protect
        });
        let mut ready = Patterns::new(by_name);
        people.into_iter().for_each(|(position, guid)| ready.add_person(position, guid));
        ready
    }

    /// Resolves one name. Returns whether it fits somebody.
    fn resolve(&mut self, list: AccountList, name: &Text, census: &Census, pins: &Pins) -> bool {
        let entry = AccountEntry { list, written: name.clone() };
        let pinned = pins.accounts.get(&entry).map(Vec::as_slice).unwrap_or_default();
        let named = census.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        let present: Vec<PinnedAccount> = pinned
            .iter()
            .filter_map(|before| {
                let name = census.by_guid.get(&before.guid)?.clone();
                Some(PinnedAccount { guid: before.guid, name })
            })
            .collect();
        if present.is_empty() {
            // Nobody it was pinned to is left: whoever has the name now is meant. Without anybody the pin
            // stays, as somebody who was deleted may be restored.
            let people = if named.is_empty() { pinned } else { named };
            if !people.is_empty() {
                self.pins.insert(entry, people.to_vec());
            }
            let is_registered = census.registered_names.contains(name)
                || people.iter().any(|person| census.registered.contains(&person.guid));
            return !named.is_empty() || is_registered;
        }
        let bears_name = |person: &PinnedAccount| named.iter().any(|named| named.guid == person.guid);
        // Whoever is not in this reading is still meant, and so is another bearer of a name that nobody
        // has given up: only a successor is not.
        let refreshed = |before: &PinnedAccount| {
            let now = present.iter().find(|person| person.guid == before.guid);
            now.unwrap_or(before).clone()
        };
        let mut people: Vec<PinnedAccount> = pinned.iter().map(refreshed).collect();
        if present.iter().any(bears_name) {
            let new = named.iter().filter(|one| pinned.iter().all(|known| known.guid != one.guid));
            people.extend(new.cloned());
        } else {
            self.findings.push(renamed(list, name, &present, !named.is_empty()));
        }
        self.pins.insert(entry, people);
        true
    }
}

fn renamed(list: AccountList, name: &Text, people: &[PinnedAccount], is_taken: bool) -> Finding {
    let names: Vec<_> = people.iter().map(|person| inert(&person.name).into_owned()).collect();
    let taken = match (is_taken, list) {
        (false, _) => "",
        (true, AccountList::Protect) => " (somebody else has its name now, and is protected as well)",
        (true, _) => " (somebody else has its name now, and is not meant)",
    };
    Finding {
        code: FindingCode::ScopeRenamed,
        severity: Severity::Warning,
        subject: format!("{}: {}", list.code(), inert(name)),
        message: format!(
            "it names {} by now, and still applies{taken}: write the new name",
            names.join(" and ")
        ),
    }
}

fn fits_nobody(list: AccountList, pattern: &AccountPattern) -> Finding {
    let code = match list {
        AccountList::Exclude => FindingCode::ExcludeNotFound,
        AccountList::Protect | AccountList::Matches => FindingCode::AccountNotFound,
    };
    // A pattern names nobody in particular, and a policy's is for many customers.
    let severity = match pattern {
        AccountPattern::Glob { .. } => Severity::Info,
        AccountPattern::Guid(_) | AccountPattern::Name(_) => Severity::Warning,
    };
    Finding {
        code,
        severity,
        subject: format!("{}: {}", list.code(), inert(&written(pattern))),
        message: "nobody in this customer's directory, or in its tenant where it has no directory, has this name, so it has no \
                  effect"
            .to_owned(),
    }
}

/// Tells of choices whose tenant user does not exist.
fn strange_choices(customer: &Customer, tenant: Option<&Tenant>) -> Vec<Finding> {
    let Some(tenant) = tenant else { return Vec::new() };
    let mut chosen: Vec<_> = customer.matches.iter().filter(|choice| choice.system == "tenant").collect();
    if chosen.is_empty() {
        return Vec::new();
    }
    let users = tenant.user_ids();
    chosen.retain(|choice| choice.id.parse::<Guid>().map_or(true, |id| !users.contains(&id)));
    let describe = |choice: &crate::policy::fleet::ChosenMatch| Finding {
        code: FindingCode::AccountNotFound,
        severity: Severity::Warning,
        subject: format!("matches: {}", inert(&written(&choice.account))),
        message: format!(
            "the tenant has no user with the id {}, so the choice has no effect",
            inert(&choice.id)
        ),
    };
    chosen.into_iter().map(describe).collect()
}
