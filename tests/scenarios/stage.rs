//! A scenario that a test changes as it goes, plans, and writes turn by turn.

use std::sync::Arc;

use intake::model::account::{Account, AccountType, Provenance};
use intake::model::digest::Digest;
use intake::model::directory::Directory;
use intake::model::event::ReadingDigests;
use intake::model::observation::Observation;
use intake::model::reading::Reading;
use intake::model::register::Commit;
use intake::model::tenant::Tenant;
use intake::model::text::Text;
use intake::plan::outcome::{Action, CustomerPlan, FindingCode};
use intake::plan::planner::plan_customer;
use intake::policy::fleet::{Customer, DirectoryLocation, DirectorySource, Import, Imports};
use intake::reconcile::apply::commit_of;
use intake::reconcile::notice::Stamp;

use super::document::Scenario;
use super::{tree, world};

pub(super) struct Stage {
    pub(super) customer: Customer,
    pub(super) observation: Observation,
}

impl Stage {
    /// Sets up a scenario; its title and expectations are the test's.
    pub(super) fn of(yaml: &str) -> Self {
        let scenario = Scenario::parse(&format!("title: a test\nexpect: {{}}\n{yaml}"))
            .unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        Self { customer: tree::customer(&scenario), observation: world::observation(&scenario) }
    }

    pub(super) fn plan(&self) -> CustomerPlan {
        plan_customer(&self.customer, &self.observation)
    }

    /// What carrying out a plan would write.
    pub(super) fn commit(&self, plan: &CustomerPlan) -> Option<Commit> {
        let at = self.observation.at;
        let stamp = Stamp { run: Text::from("run"), tree_revision: Text::from("tree"), at };
        commit_of(plan, &self.observation.register, &ReadingDigests::default(), &stamp, &[])
    }

    /// Plans and writes, as a turn does.
    pub(super) fn turn(&mut self) -> CustomerPlan {
        let plan = self.plan();
        let commit = self.commit(&plan);
        let register = &mut self.observation.register;
        for account in commit.iter().flat_map(|commit| &commit.accounts) {
            match register.accounts.iter_mut().find(|known| known.key == account.key) {
                Some(known) => *known = account.clone(),
                None => register.accounts.push(account.clone()),
            }
        }
        if let Some(commit) = commit {
            register.pins = commit.pins;
            register.holds = commit.holds;
            register.revision += 1;
        }
        if let Some(measures) = &plan.consequences.measures {
            register.measures = measures.clone();
        }
        plan
    }

    /// Plans, and approves what is held.
    pub(super) fn approve(&mut self) -> Digest {
        let approval = self.plan().approval.expect("a hold to approve");
        self.customer.approve.insert(approval);
        approval
    }

    /// Goes on to a moment.
    pub(super) fn at(&mut self, moment: &str) {
        self.observation.at = moment.parse().expect("a moment");
    }

    /// The first directory's reading.
    pub(super) fn directory(&mut self) -> &mut Directory {
        match &mut self.observation.directories[0].1 {
            Reading::Complete(directory) => directory,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn tenant(&mut self) -> &mut Tenant {
        match &mut self.observation.tenant {
            Some(Reading::Complete(tenant)) => tenant,
            other => panic!("{other:?}"),
        }
    }

    /// The policies of an account type.
    pub(super) fn imports(&mut self, account_type: AccountType) -> &mut Vec<Import> {
        match self.customer.imports.get_mut(&account_type) {
            Some(Imports::Valid(imports)) => imports,
            other => panic!("{other:?}"),
        }
    }

    /// Breaks a document that applies to an account type.
    pub(super) fn invalidate(&mut self, account_type: AccountType) {
        self.customer.imports.insert(account_type, Imports::Invalid(vec!["broken".to_owned()]));
    }

    /// Adds a directory `other` that is a copy of the first one, and changes it.
    pub(super) fn second_directory(&mut self, change: impl FnOnce(&mut Directory)) {
        let mut directory = self.directory().clone();
        directory.name = Text::from("other");
        change(&mut directory);
        self.customer.directories.push(DirectorySource {
            name: Text::from("other"),
            location: DirectoryLocation::Ldif("other.ldif".into()),
        });
        self.observation.directories.push((Text::from("other"), Reading::Complete(directory)));
    }

    /// The register's account of a sAMAccountName.
    pub(super) fn account(&mut self, sam: &str) -> &mut Account {
        let mut accounts = self.observation.register.accounts.iter_mut();
        accounts.find(|account| account.profile.sam_account_name == sam).expect("an account")
    }

    /// Says that an account came from the directory `other`.
    pub(super) fn comes_from_other(&mut self, sam: &str) {
        let account = self.account(sam);
        let provenance = Provenance { directory: Some(Text::from("other")), ..(*account.provenance).clone() };
        account.provenance = Arc::new(provenance);
    }

    /// Takes people out of the first directory's reading, in the order of their numbers.
    pub(super) fn crowd_leaves(&mut self, numbers: std::ops::RangeInclusive<u32>) {
        let gone: Vec<String> = numbers.map(|number| format!("crowd{number}")).collect();
        let people = &mut self.directory().people;
        let before = people.len();
        people.retain(|person| !gone.iter().any(|name| person.sam_account_name == name.as_str()));
        assert_eq!(people.len(), before - gone.len());
    }
}

/// Accounts of the register, `gone1` and so on, that no reading holds: a line of YAML each.
pub(super) fn gone(count: u64, more: &str) -> String {
    (1..=count)
        .map(|number| format!("    - {{sam: gone{number}, guid: {0}, linked: {0}{more}}}\n", 900 + number))
        .collect()
}

/// Action and sAMAccountName of each operation.
pub(super) fn operations(plan: &CustomerPlan) -> Vec<String> {
    let shown = |one: &intake::plan::outcome::Operation| {
        format!("{} {}", one.action.code(), one.profile.sam_account_name)
    };
    plan.operations.iter().map(shown).collect()
}

/// sAMAccountName and verdict of each account that is kept.
pub(super) fn kept(plan: &CustomerPlan) -> Vec<String> {
    let kept = plan.kept.iter();
    kept.map(|one| format!("{} {}", one.account.sam_account_name, one.verdict.code())).collect()
}

/// sAMAccountName and verdict of each candidate that is not imported.
pub(super) fn not_imported(plan: &CustomerPlan) -> Vec<String> {
    let left_out = plan.not_imported.iter();
    left_out.map(|one| format!("{} {}", one.account.sam_account_name, one.verdict.code())).collect()
}

pub(super) fn codes(plan: &CustomerPlan) -> Vec<FindingCode> {
    plan.findings.iter().map(|finding| finding.code).collect()
}

pub(super) fn count(plan: &CustomerPlan, action: Action) -> usize {
    plan.operations.iter().filter(|operation| operation.action == action).count()
}
