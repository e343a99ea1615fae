//! What must have happened after a turn in which nothing went wrong, and after everything has settled:
//! a register that never does anything would break no other rule.

use jiff::Timestamp;

use intake::model::account::AccountType;
use intake::plan::outcome::FindingCode;
use intake::reconcile::turn::TurnOutcome;

use super::ledger::{Key, Ledger, is_blocked};
use super::tree::{Says, Tree};
use super::truth::{Company, Fate, Kind, NAMES, Person};
use super::weather::Tally;

impl Ledger {
    /// After a turn in which nothing went wrong whoever is in is there, as the sources have them, and
    /// whoever is protected is pinned.
    pub(super) fn expect_progress(
        &mut self,
        tree: &Tree,
        company: &Company,
        outcome: &TurnOutcome,
        at: Timestamp,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let customer = company.index;
        let file = &tree.customers[customer];
        if !file.present || file.broken.is_some() || file.suspended {
            return Ok(());
        }
        for account_type in AccountType::ALL {
            let Says::Applies(import, _) = tree.says(customer, account_type) else { continue };
            if is_blocked(import, company) || company.group_renamed {
                continue;
            }
            for person in &company.people {
                self.expect_imported(company, person, account_type, import.narrow)?;
            }
            self.expect_reason_to_hold(tree, company, account_type, outcome, at, tally)?;
        }
        if AccountType::ALL.into_iter().any(|one| matches!(tree.says(customer, one), Says::Applies(..))) {
            self.pin(tree, company);
        }
        Ok(())
    }

    fn expect_imported(
        &self,
        company: &Company,
        person: &Person,
        account_type: AccountType,
        narrow: bool,
    ) -> Result<(), String> {
        let is_of_tenant = Kind::of(company.index).is_of_tenant();
        let user = person.user.as_ref().map(|user| user.id);
        let Some(id) = (if is_of_tenant { user } else { Some(company.object(person)) }) else {
            return Ok(());
        };
        let known = self.books[company.index].accounts.get(&(account_type, id));
        let link = known.and_then(|known| known.link);
        if company.fate(account_type, id, narrow, link) != Fate::In {
            return Ok(());
        }
        let Some(known) = known.filter(|known| known.state == "active") else {
            let state = known.map(|known| known.state.as_str());
            return Err(format!("p{} ({account_type}) is in and not active: {state:?}", person.number));
        };
        let name = company.upn(person.number, person.name);
        if known.view["userPrincipalName"].as_str() != Some(&name) {
            return Err(format!("p{} is {name}, and the register has {}", person.number, known.view));
        }
        let needs_user = account_type == AccountType::EndUser;
        if needs_user && known.link != user {
            return Err(format!("p{} is linked to {:?} in place of {user:?}", person.number, known.link));
        }
        Ok(())
    }

    fn pin(&mut self, tree: &Tree, company: &Company) {
        let is_of_tenant = Kind::of(company.index).is_of_tenant();
        for (id, name) in &tree.customers[company.index].protected {
            let Some(name) = name else { continue };
            let bears = company.people.iter().any(|person| {
                let user = person.user.as_ref().map(|user| user.id);
                let own = if is_of_tenant { user } else { person.exists.then(|| company.object(person)) };
                own == Some(*id) && company.upn(person.number, person.name) == *name
            });
            if bears {
                self.books[company.index].pinned.entry(name.clone()).or_default().insert(*id);
            }
        }
    }

    /// A removal limit that is told is really passed.
    fn expect_reason_to_hold(
        &self,
        tree: &Tree,
        company: &Company,
        account_type: AccountType,
        outcome: &TurnOutcome,
        at: Timestamp,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let Says::Applies(import, policy) = tree.says(company.index, account_type) else { return Ok(()) };
        let subject = format!("{}: {account_type}", NAMES[company.index]);
        let told = |code| outcome.plan.findings.iter().any(|one| one.code == code && one.subject == subject);
        let book = &self.books[company.index];
        let known = |key: &&Key| key.0 == account_type;
        let out = book.accounts.iter().filter(|(key, _)| known(key)).filter(|(key, account)| {
            account.state == "active"
                && account.policy == policy
                && matches!(
                    company.fate(key.0, key.1, import.narrow, account.link),
                    Fate::Out(_) | Fate::Either
                )
        });
        let (stay, out): (Vec<_>, Vec<_>) =
            out.partition(|(key, _)| self.is_protected(tree, company.index, key.1));
        if !stay.is_empty() {
            tally.count("done: somebody protected is out and stays");
        }
        let out = out.len() as u64;
        let (recent, limit) = self.limit(company.index, account_type, import, at);
        if told(FindingCode::RemovalLimit) {
            tally.count("held: removal-limit");
            if out + recent <= limit && book.held.is_empty() {
                return Err(format!("{out} removals after {recent} are held by a limit of {limit}"));
            }
        }
        let is_left = |company: &Company| {
            company.people.iter().any(|person| {
                let ids = [Some(company.object(person)), person.user.as_ref().map(|user| user.id)];
                let fate = |id| company.fate(account_type, id, import.narrow, None);
                ids.into_iter().flatten().any(|id| fate(id) == Fate::In)
            })
        };
        if told(FindingCode::EmptyDesiredSet) {
            tally.count("held: empty-desired-set");
            if is_left(company) {
                return Err("somebody is left, and the desired set is said to be empty".to_owned());
            }
        }
        Ok(())
    }

    /// Everybody who is in is imported, and nobody else but whom somebody protects or no policy removes.
    pub(super) fn expect_settled(&self, tree: &Tree, company: &Company) -> Result<(), String> {
        let customer = company.index;
        for (key, known) in &self.books[customer].accounts {
            let Says::Applies(import, policy) = tree.says(customer, key.0) else {
                return Err("the tree is not in order".to_owned());
            };
            let fate = company.fate(key.0, key.1, import.narrow, known.link);
            let is_right = match (fate, known.state.as_str()) {
                (Fate::In, state) => state == "active",
                (_, "removed" | "orphaned") => true,
                (Fate::Out(_), "active") => {
                    self.is_protected(tree, customer, key.1) || known.policy != policy
                }
                _ => false,
            };
            if !is_right {
                return Err(format!(
                    "{}: {key:?} ended as {}, and is {fate:?}",
                    NAMES[customer], known.state
                ));
            }
        }
        for person in &company.people {
            for account_type in AccountType::ALL {
                if let Says::Applies(import, _) = tree.says(customer, account_type) {
                    self.expect_imported(company, person, account_type, import.narrow)?;
                }
            }
        }
        Ok(())
    }
}
