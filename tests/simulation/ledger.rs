//! The oracle: keeps its own account of every customer from the audit record, and judges each entry by
//! the contract's words and the truth.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use intake::model::account::{AccountState, AccountType};
use intake::model::event::Event;
use intake::model::guid::Guid;
use intake::model::register::RegisterState;

use super::tree::{Import, Says, Tree};
use super::truth::{Company, Fate, Kind, NAMES};
use super::weather::Tally;

/// Who an account is, within its customer.
pub(super) type Key = (AccountType, Guid);

/// An account, as the audit record tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) state: String,
    pub(super) until: Option<Timestamp>,
    pub(super) since: Timestamp,
    pub(super) policy: String,
    pub(super) link: Option<Guid>,
    pub(super) imported_at: Timestamp,
    /// The account as plans show it.
    pub(super) view: Value,
}

/// A removal that began.
#[derive(Debug, Clone)]
struct Begin {
    at: Timestamp,
    key: Key,
    approved: bool,
}

/// What is known of one customer.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    pub(super) accounts: BTreeMap<Key, Known>,
    begins: Vec<Begin>,
    pub(super) sequence: u64,
    pub(super) revision: u64,
    /// Keys that the register has, removed ones included.
    registered: BTreeSet<Key>,
    /// When each hold was recorded, by what approves it.
    holds: BTreeMap<String, Timestamp>,
    used: BTreeSet<String>,
    /// Whom the names of `protect` were pinned to.
    pub(super) pinned: BTreeMap<String, BTreeSet<Guid>>,
    /// Turns that wrote accounts, and turns that recorded a hold.
    pub(super) changed: BTreeSet<String>,
    pub(super) held: BTreeSet<String>,
}

/// All customers.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    pub(super) books: Vec<Book>,
    /// How many removals may begin within an hour, over all customers.
    pub(super) fleet_limit: u64,
}

/// The fleet's window, in seconds.
pub(super) const FLEET_WINDOW: i64 = 3_600;

/// What a turn was like.
pub(super) struct Turn<'a> {
    pub(super) customer: usize,
    pub(super) tree: &'a Tree,
    pub(super) at: Timestamp,
    pub(super) truths: &'a [Company],
    pub(super) told: &'a [Company],
    pub(super) failed: bool,
    pub(super) silent: bool,
    pub(super) lied: bool,
    pub(super) tenant_lied: bool,
}

impl Turn<'_> {
    /// Everything that was true together at some time of the turn, as two sources are read one after
    /// the other.
    fn possible(&self) -> Vec<Company> {
        mixes(self.truths.iter())
    }

    fn says(&self, account_type: AccountType) -> Says<'_> {
        self.tree.says(self.customer, account_type)
    }
}

fn mixes<'a>(companies: impl Iterator<Item = &'a Company> + Clone) -> Vec<Company> {
    let tenants = companies.clone();
    companies.flat_map(|one| tenants.clone().map(move |other| one.with_tenant_of(other))).collect()
}

fn ago(at: Timestamp, seconds: i64) -> Timestamp {
    at - SignedDuration::from_secs(seconds)
}

/// What an import leaves out, as far as the oracle must know.
pub(super) fn is_blocked(import: &Import, company: &Company) -> bool {
    let kind = Kind::of(company.index);
    let by_group = matches!(kind, Kind::Group | Kind::EntraGroup);
    (import.typo && kind != Kind::Licensed)
        || (by_group && company.group_gone)
        || (kind == Kind::EntraGroup && company.group_hidden)
}

impl Ledger {
    pub(super) fn new(fleet_limit: u64) -> Self {
        Self { books: vec![Book::default(); NAMES.len()], fleet_limit }
    }

    /// Judges what a turn wrote.
    pub(super) fn judge(
        &mut self,
        turn: &Turn<'_>,
        events: &[Event],
        tally: &mut Tally,
    ) -> Result<(), String> {
        let mut begin = 0;
        while begin < events.len() {
            let run = &events[begin].run;
            let count = events[begin..].iter().take_while(|event| event.run == *run).count();
            self.judge_run(turn, &events[begin..begin + count], tally)?;
            begin += count;
        }
        Ok(())
    }

    /// Judges what one transaction wrote.
    fn judge_run(&mut self, turn: &Turn<'_>, events: &[Event], tally: &mut Tally) -> Result<(), String> {
        let customer = &turn.tree.customers[turn.customer];
        if customer.suspended && matches!(turn.says(AccountType::EndUser), Says::Applies(..)) {
            return Err(format!("a suspended customer was written: {}", events[0].kind));
        }
        let approved = self.use_approvals(turn, events, tally)?;
        self.judge_number(turn, events, &approved)?;
        for event in events {
            let book = &mut self.books[turn.customer];
            if event.sequence != book.sequence + 1 {
                return Err(format!("event {} follows event {}", event.sequence, book.sequence));
            }
            book.sequence = event.sequence;
            if event.kind == "hold.recorded" {
                let approval = event.details["approval"].as_str().unwrap_or_default().to_owned();
                let is_listed = turn.tree.customers[turn.customer].approved.contains(&approval);
                if book.used.remove(&approval) && is_listed {
                    return Err(format!("{approval} counted, and is asked for again"));
                }
                book.holds.insert(approval, event.at);
                book.held.insert(event.run.to_string());
                tally.count("done: a hold");
            }
            if let Some(key) = event.account {
                book.changed.insert(event.run.to_string());
                self.judge_account(turn, event, key, &approved)
                    .map_err(|what| format!("{}: {what} ({} {key:?})", event.kind, event.subject))?;
                tally.count(format!("done: {}", event.kind));
                self.enter(turn.customer, event, key, approved.contains(&key));
            }
        }
        Ok(())
    }

    /// Returns whose removal an approval lets go in this transaction.
    fn use_approvals(
        &mut self,
        turn: &Turn<'_>,
        events: &[Event],
        tally: &mut Tally,
    ) -> Result<BTreeSet<Key>, String> {
        let mut let_go = BTreeSet::new();
        for event in events.iter().filter(|event| event.kind == "hold.approved") {
            let approval = event.details["approval"].as_str().unwrap_or_default().to_owned();
            let book = &mut self.books[turn.customer];
            if !turn.tree.customers[turn.customer].approved.contains(&approval) {
                return Err(format!("nobody approved {approval}"));
            }
            tally.count("done: removals that were approved");
            let recorded = book.holds.get(&approval).copied();
            if recorded.is_some_and(|recorded| ago(turn.at, 7 * 86_400) >= recorded) {
                return Err(format!("{approval} was approved too late"));
            }
            // Whoever approves what a plan showed, before a turn that writes held it, is heard at once.
            book.holds.entry(approval.clone()).or_insert(event.at);
            if !book.used.insert(approval.clone()) {
                return Err(format!("{approval} counted twice"));
            }
            if event.details["removals"].as_array().is_none_or(Vec::is_empty) {
                return Err(format!("{approval} was used up, and nobody went"));
            }
            for removal in event.details["removals"].as_array().into_iter().flatten() {
                let account_type = match removal["accountType"].as_str() {
                    Some("Administrator") => AccountType::Administrator,
                    _ => AccountType::EndUser,
                };
                let account = &removal["account"];
                let id = account["directoryId"].as_str().or(account["tenantUserId"].as_str());
                let id = id.and_then(|id| id.parse().ok()).ok_or("an approved removal of nobody")?;
                let_go.insert((account_type, id));
            }
        }
        Ok(let_go)
    }

    /// Counts the removals that begin, against the limits of policy and operator.
    fn judge_number(
        &self,
        turn: &Turn<'_>,
        events: &[Event],
        approved: &BTreeSet<Key>,
    ) -> Result<(), String> {
        let begins: Vec<Key> =
            events.iter().filter(|event| begins(event)).filter_map(|event| event.account).collect();
        let since = ago(turn.at, FLEET_WINDOW);
        let all = self.books.iter().flat_map(|book| &book.begins);
        let recent = all.filter(|begin| begin.at > since).count() as u64;
        if !begins.is_empty() && begins.len() as u64 + recent > self.fleet_limit {
            return Err(format!("{} removals after {recent} of the fleet", begins.len()));
        }
        for account_type in AccountType::ALL {
            let planned =
                begins.iter().filter(|key| key.0 == account_type && !approved.contains(key)).count() as u64;
            if planned == 0 {
                continue;
            }
            let Says::Applies(import, _) = turn.says(account_type) else {
                return Err("removals under no policy".to_owned());
            };
            let (recent, limit) = self.limit(turn.customer, account_type, import, turn.at);
            if planned + recent > limit {
                return Err(format!("{planned} removals after {recent} within the window, of {limit}"));
            }
            let is_left = |company: &Company| {
                company.people.iter().any(|person| {
                    let ids = [Some(company.object(person)), person.user.as_ref().map(|user| user.id)];
                    ids.into_iter().flatten().any(|id| {
                        !matches!(company.fate(account_type, id, import.narrow, None), Fate::Out(_))
                    })
                })
            };
            if !import.allow_empty && !turn.possible().iter().any(is_left) {
                return Err("nobody is left, and removals went all the same".to_owned());
            }
        }
        Ok(())
    }

    /// The removals that began within the window and were not approved, and how many may be.
    pub(super) fn limit(
        &self,
        customer: usize,
        account_type: AccountType,
        import: &Import,
        at: Timestamp,
    ) -> (u64, u64) {
        let book = &self.books[customer];
        let since = ago(at, import.window_hours * 3_600);
        let counts = |begin: &&Begin| begin.key.0 == account_type && !begin.approved && begin.at > since;
        let recent: BTreeSet<Key> = book.begins.iter().filter(counts).map(|begin| begin.key).collect();
        let active =
            book.accounts.iter().filter(|(key, known)| key.0 == account_type && known.state == "active");
        let base = active.filter(|(key, _)| !recent.contains(*key)).count() as u64 + recent.len() as u64;
        let began = book.begins.iter().filter(counts).count() as u64;
        (began, import.minimum.max(import.count.min(import.percent * base / 100)))
    }

    pub(super) fn is_protected(&self, tree: &Tree, customer: usize, id: Guid) -> bool {
        let book = &self.books[customer];
        // Who is gone from the directory still has the name that the register knows.
        let is_called = |name: &str| {
            let accounts = book.accounts.iter().filter(|(key, _)| key.1 == id);
            accounts.into_iter().any(|(_, known)| known.view["userPrincipalName"].as_str() == Some(name))
        };
        tree.customers[customer].protected.iter().any(|(guid, name)| match name {
            None => *guid == id,
            Some(name) => book.pinned.get(name).is_some_and(|people| people.contains(&id)) || is_called(name),
        })
    }

    fn judge_account(
        &self,
        turn: &Turn<'_>,
        event: &Event,
        key: Key,
        approved: &BTreeSet<Key>,
    ) -> Result<(), String> {
        let book = &self.books[turn.customer];
        let known = book.accounts.get(&key);
        let (before, after) = (&event.details["before"], &event.details["after"]);
        let is_fresh = event.kind == "account.added";
        match known {
            Some(known) if !is_fresh => {
                let Value::Object(mut shown) = before.clone() else { return Err("no before".to_owned()) };
                shown.remove("state");
                shown.remove("until");
                if known.view != Value::Object(shown) || before["state"].as_str() != Some(&known.state) {
                    return Err(format!("before is {before}, and was {}", known.view));
                }
                if ["email", "mobilePhone"].iter().any(|field| before[field] != after[field]) {
                    return Err("email or mobile phone changed".to_owned());
                }
            }
            None if !is_fresh => return Err("nobody added it".to_owned()),
            _ => {}
        }
        match event.kind.as_str() {
            "account.added" => self.judge_added(turn, key, known, after),
            "account.returned" => self.judge_returned(turn, key, known),
            "account.pended" | "account.removed" => self.judge_removed(turn, event, key, approved),
            "account.orphaned" => self.judge_orphaned(turn, key),
            "account.updated" => turn.is_readable(),
            other => Err(format!("an event that nobody knows: {other}")),
        }
    }

    fn judge_added(
        &self,
        turn: &Turn<'_>,
        key: Key,
        known: Option<&Known>,
        after: &Value,
    ) -> Result<(), String> {
        turn.is_readable()?;
        if let Some(known) = known {
            let is_forgotten = !self.books[turn.customer].registered.contains(&key);
            let is_long_ago = known.since < ago(turn.at, 30 * 86_400);
            if known.state != "removed" || !(is_forgotten || is_long_ago) {
                return Err(format!("it is there, {}", known.state));
            }
        }
        turn.is_in(key, None)?;
        let Some(company) = turn.truths.first().filter(|_| turn.truths.len() == 1 && !turn.lied) else {
            return Ok(());
        };
        let is_of_tenant = Kind::of(turn.customer).is_of_tenant();
        let email = company.person_of(key.1).map(|person| company.email(person));
        if !is_of_tenant && after["email"].as_str() != email.as_deref() {
            return Err(format!("its email is {}", after["email"]));
        }
        Ok(())
    }

    fn judge_returned(&self, turn: &Turn<'_>, key: Key, known: Option<&Known>) -> Result<(), String> {
        turn.is_readable()?;
        let known = known.ok_or("nobody added it")?;
        if !["removed", "pendingRemoval"].contains(&known.state.as_str()) {
            return Err(format!("it was not away, but {}", known.state));
        }
        // A grace also ends because somebody is protected.
        if known.state == "pendingRemoval"
            && turn.tree.customers[turn.customer]
                .protected
                .iter()
                .any(|(guid, name)| *guid == key.1 || name.is_some())
        {
            return Ok(());
        }
        turn.is_in(key, known.link)
    }

    fn judge_removed(
        &self,
        turn: &Turn<'_>,
        event: &Event,
        key: Key,
        approved: &BTreeSet<Key>,
    ) -> Result<(), String> {
        turn.is_readable()?;
        if turn.silent {
            return Err("a source did not answer when it was asked once more".to_owned());
        }
        let known = self.books[turn.customer].accounts.get(&key).ok_or("nobody added it")?;
        let Says::Applies(import, policy) = turn.says(key.0) else {
            return Err("no policy that can be read applies".to_owned());
        };
        if known.policy != policy || known.state == "orphaned" {
            return Err(format!("it is {} by `{}`", known.state, known.policy));
        }
        if turn.truths.iter().all(|company| is_blocked(import, company)) {
            return Err("the scope did not resolve".to_owned());
        }
        let hides = |company: &Company| Kind::of(turn.customer) == Kind::Group && company.group_hidden;
        if turn.truths.iter().all(hides) && !approved.contains(&key) {
            return Err("the group hides its members".to_owned());
        }
        if self.is_protected(turn.tree, turn.customer, key.1) {
            return Err("it is protected".to_owned());
        }
        if event.details["policy"].as_str() != Some(policy) {
            return Err("the event names another policy".to_owned());
        }
        match (event.kind.as_str(), known.state.as_str()) {
            ("account.removed", "pendingRemoval") if known.until.is_none_or(|until| until > turn.at) => {
                return Err(format!("the grace lasts until {:?}", known.until));
            }
            ("account.removed", "active") if import.grace_hours > 0 => {
                return Err("it has a grace".to_owned());
            }
            ("account.pended", "active") | ("account.removed", "active" | "pendingRemoval") => {}
            _ => return Err(format!("it was {}", known.state)),
        }
        turn.is_out(key, import, known.link, event.details["reason"].as_str())
    }

    fn judge_orphaned(&self, turn: &Turn<'_>, key: Key) -> Result<(), String> {
        match turn.says(key.0) {
            Says::Nothing => Ok(()),
            Says::Applies(..) => Err("its policy applies".to_owned()),
            Says::Unclear => Err("nobody can tell whether its policy applies".to_owned()),
        }
    }

    fn enter(&mut self, customer: usize, event: &Event, key: Key, approved: bool) {
        let book = &mut self.books[customer];
        if begins(event) {
            book.begins.push(Begin { at: event.at, key, approved });
        }
        let after = &event.details["after"];
        let mut view = after.clone();
        if let Value::Object(fields) = &mut view {
            fields.remove("state");
            fields.remove("until");
        }
        let imported_at = match book.accounts.get(&key) {
            Some(known) if event.kind != "account.added" => known.imported_at,
            _ => event.at,
        };
        let known = Known {
            state: after["state"].as_str().unwrap_or_default().to_owned(),
            until: after["until"].as_str().and_then(|until| until.parse().ok()),
            since: event.at,
            policy: event.details["policy"].as_str().unwrap_or_default().to_owned(),
            link: after["tenantUserId"].as_str().and_then(|id| id.parse().ok()),
            imported_at,
            view,
        };
        book.accounts.insert(key, known);
    }

    /// A hold whose approval counted, or came too late, begins anew once the file approves it no more.
    fn compare_holds(
        &mut self,
        customer: usize,
        tree: &Tree,
        register: &RegisterState,
    ) -> Result<(), String> {
        let book = &mut self.books[customer];
        for hold in &register.holds {
            let approval = hold.approval.to_string();
            let is_listed = tree.customers[customer].approved.contains(&approval);
            let Some(recorded) = book.holds.get(&approval).copied() else {
                return Err(format!("no event tells of the hold {approval}"));
            };
            if recorded == hold.recorded_at {
                continue;
            }
            let had_expired = recorded <= ago(hold.recorded_at, 7 * 86_400);
            if is_listed || !(had_expired || book.used.contains(&approval)) {
                return Err(format!(
                    "the hold {approval} of {recorded} is said to be of {}",
                    hold.recorded_at
                ));
            }
            book.used.remove(&approval);
            book.holds.insert(approval, hold.recorded_at);
        }
        Ok(())
    }

    /// Compares the register with what the audit record tells.
    pub(super) fn compare(
        &mut self,
        customer: usize,
        tree: &Tree,
        register: &RegisterState,
    ) -> Result<(), String> {
        self.compare_holds(customer, tree, register)?;
        let book = &mut self.books[customer];
        book.revision = register.revision;
        book.registered.clear();
        for account in &register.accounts {
            let key = (account.key.account_type, account.key.id);
            if !book.registered.insert(key) {
                return Err(format!("{key:?} is in the register twice"));
            }
            let known = book.accounts.get(&key).ok_or_else(|| format!("no event tells of {key:?}"))?;
            let until = match account.state {
                AccountState::PendingRemoval { until, .. } => Some(until),
                _ => None,
            };
            let profile = &account.profile;
            let is_same = known.state == account.state.code()
                && known.until == until
                && known.policy == account.provenance.policy.as_str()
                && known.link == profile.tenant_user_id
                && known.view["displayName"].as_str() == Some(profile.display_name.as_str())
                && known.view["email"].as_str() == profile.email.as_deref();
            if !is_same {
                return Err(format!("the register has {account:?}, and the events tell {known:?}"));
            }
            if known.imported_at != account.imported_at {
                return Err(format!(
                    "{key:?} was imported at {} and says {}",
                    known.imported_at, account.imported_at
                ));
            }
        }
        let missing = book
            .accounts
            .iter()
            .find(|(key, known)| known.state != "removed" && !book.registered.contains(*key));
        missing.map_or(Ok(()), |(key, known)| Err(format!("the register lost {key:?}, {}", known.state)))
    }
}

/// Whether an event tells of a removal that begins.
fn begins(event: &Event) -> bool {
    match event.kind.as_str() {
        "account.pended" => true,
        "account.removed" => event.details["before"]["state"] != "pendingRemoval",
        _ => false,
    }
}

impl Turn<'_> {
    fn is_readable(&self) -> Result<(), String> {
        if self.failed { Err("a source could not be read".to_owned()) } else { Ok(()) }
    }

    /// Whether an account belongs to the desired set, as far as anybody could know.
    fn is_in(&self, key: Key, link: Option<Guid>) -> Result<(), String> {
        let Says::Applies(import, _) = self.says(key.0) else {
            return Err("no policy that can be read applies".to_owned());
        };
        let companies = mixes(self.truths.iter().chain(self.told));
        let is_out =
            |company: &Company| matches!(company.fate(key.0, key.1, import.narrow, link), Fate::Out(_));
        if companies.iter().all(is_out) {
            return Err("it belongs to nobody who is in".to_owned());
        }
        Ok(())
    }

    /// Whether an account was really out at some time of the turn, and for the reason that is told.
    fn is_out(
        &self,
        key: Key,
        import: &Import,
        link: Option<Guid>,
        reason: Option<&str>,
    ) -> Result<(), String> {
        let companies = self.possible();
        let fates: Vec<Fate> =
            companies.iter().map(|company| company.fate(key.0, key.1, import.narrow, link)).collect();
        let out = |fate: &Fate| matches!(fate, Fate::Out(_) | Fate::Either);
        if !fates.iter().any(out) {
            // A user made anew has an id that nobody can ask for: whoever lists the tenant as it was
            // cannot know it, and the user before is really gone.
            let exists = |link: Guid| {
                let users =
                    companies.iter().flat_map(|company| &company.people).filter_map(|one| one.user.as_ref());
                users.into_iter().any(|user| user.id == link)
            };
            let is_remade = self.tenant_lied && link.is_some_and(|link| !exists(link));
            return if is_remade { Ok(()) } else { Err(format!("it is really {fates:?}")) };
        }
        let is_told = |fate: &Fate| match fate {
            Fate::Out(why) => reason == Some(why),
            _ => true,
        };
        if !self.lied && !fates.iter().filter(|fate| out(fate)).any(is_told) {
            return Err(format!("the reason is {reason:?}, and really {fates:?}"));
        }
        Ok(())
    }
}
