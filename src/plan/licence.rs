//! Which sets of licences count for a policy.

use std::collections::BTreeSet;

use crate::model::guid::Guid;
use crate::model::tenant::{Licence, Subscription, Tenant, TenantUser};
use crate::model::text::{Text, inert, same};
use crate::policy::fleet::{LicenceRule, SkuName};

/// A policy's licence rule, read against what one tenant owns.
pub struct LicenceTest {
    any_of: Option<BTreeSet<Guid>>,
    ignored: BTreeSet<Guid>,
    /// `None` for a plan that the tenant does not own: it is enabled for nobody.
    plans: Vec<(Option<Guid>, String)>,
    /// Per set of licences of the tenant.
    counts: Vec<bool>,
}

/// Why a licence rule cannot be read against a tenant, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LicenceProblem {
    /// The rule names SKUs or plans, and the reading does not say what they are called.
    NamesUnknown,
    /// The tenant does not own this one.
    NotOwned(Text),
    /// The tenant owns none of `anyOf`: nobody would be licensed, which nobody meant.
    NoneOwned,
}

impl LicenceTest {
    /// Reads a rule. With [`LicenceProblem::NamesUnknown`] or [`LicenceProblem::NoneOwned`] the
    /// test must not be relied upon.
    pub fn of(rule: &LicenceRule, tenant: &Tenant) -> (Self, Vec<LicenceProblem>) {
        let mut problems = Vec::new();
        let owned = Owned::of(tenant);
        let any_of: Option<BTreeSet<Guid>> = (!rule.any_of.is_empty())
            .then(|| owned.skus(&rule.any_of, &mut problems).into_iter().flatten().collect());
        let ignored = owned.skus(&rule.ignore, &mut Vec::new()).into_iter().flatten().collect();
        let plans = owned.plans(&rule.require_plan, &mut problems);
        let plans = plans.into_iter().zip(rule.require_plan.iter().map(SkuName::to_string)).collect();
        let mut names = rule.any_of.iter().chain(&rule.ignore).chain(&rule.require_plan);
        if tenant.subscriptions.is_none() && names.any(|name| matches!(name, SkuName::Name(_))) {
            problems = vec![LicenceProblem::NamesUnknown];
        } else if any_of.as_ref().is_some_and(BTreeSet::is_empty) {
            problems.push(LicenceProblem::NoneOwned);
        }
        let mut test = Self { any_of, ignored, plans, counts: Vec::new() };
        test.counts = tenant.licence_sets.iter().map(|set| test.suffices(tenant, &set.0)).collect();
        (test, problems)
    }

    /// Says why a licence does not count; `None` for one that does.
    fn objection(&self, tenant: &Tenant, licence: &Licence) -> Option<String> {
        let subscription = subscription_of(tenant, licence);
        if !licence.effective {
            return Some("its assignment is in error".to_owned());
        }
        if subscription.is_some_and(|subscription| !subscription.usable) {
            return Some("its subscription is suspended".to_owned());
        }
        if self.ignored.contains(&licence.sku) {
            return Some("ignored".to_owned());
        }
        if self.any_of.as_ref().is_some_and(|any_of| !any_of.contains(&licence.sku)) {
            return Some("not among `anyOf`".to_owned());
        }
        None
    }

    /// Whether a set of licences is enough: one counts, and each required plan is enabled in one
    /// that counts.
    fn suffices(&self, tenant: &Tenant, licences: &[Licence]) -> bool {
        let counts = || licences.iter().filter(|licence| self.objection(tenant, licence).is_none());
        counts().next().is_some()
            && self.plans.iter().all(|(plan, _)| counts().any(|licence| has_plan(tenant, licence, *plan)))
    }

    /// Says of each licence of a user why it does not count: `FLOW_FREE (ignored)`.
    pub fn objections(&self, tenant: &Tenant, user: &TenantUser) -> Vec<String> {
        let assessed = self.assess(tenant, user).into_iter();
        assessed.filter_map(|(name, objection)| Some(format!("{name} ({})", objection?))).collect()
    }

    /// Returns each licence of a user by name, with why it does not count; `None` for one that does.
    pub fn assess(&self, tenant: &Tenant, user: &TenantUser) -> Vec<(String, Option<String>)> {
        let assess = |licence: &Licence| {
            let missing = || {
                let missing = self.plans.iter().find(|(plan, _)| !has_plan(tenant, licence, *plan));
                missing.map(|(_, name)| format!("without the plan {}", inert(name)))
            };
            let objection = self.objection(tenant, licence).or_else(missing);
            (inert(&name_of(tenant, licence)).into_owned(), objection)
        };
        let mut assessed: Vec<_> = tenant.licences_of(user).iter().map(assess).collect();
        assessed.sort_unstable();
        assessed
    }

    /// Whether a user holds a licence that counts.
    pub fn is_licensed(&self, user: &TenantUser) -> bool {
        self.counts.get(user.licences.0 as usize).copied().unwrap_or(false)
    }
}

/// What a tenant owns, as far as it tells.
struct Owned<'a> {
    skus: Vec<(Guid, &'a str)>,
    plans: Vec<(Guid, &'a str)>,
    /// Whether it tells: without subscribedSkus an id can still be compared.
    is_known: bool,
}

impl<'a> Owned<'a> {
    fn of(tenant: &'a Tenant) -> Self {
        let subscriptions = tenant.subscriptions.as_deref().unwrap_or_default();
        let plans = subscriptions.iter().flat_map(|owned| &owned.plans);
        Self {
            skus: subscriptions.iter().map(|owned| (owned.sku, owned.part_number.as_str())).collect(),
            plans: plans.map(|(id, name)| (*id, name.as_str())).collect(),
            is_known: tenant.subscriptions.is_some(),
        }
    }

    fn skus(&self, names: &[SkuName], problems: &mut Vec<LicenceProblem>) -> Vec<Option<Guid>> {
        names.iter().map(|name| self.find(name, &self.skus, problems)).collect()
    }

    fn plans(&self, names: &[SkuName], problems: &mut Vec<LicenceProblem>) -> Vec<Option<Guid>> {
        names.iter().map(|name| self.find(name, &self.plans, problems)).collect()
    }

    fn find(
        &self,
        name: &SkuName,
        owned: &[(Guid, &str)],
        problems: &mut Vec<LicenceProblem>,
    ) -> Option<Guid> {
        let found = owned.iter().find(|(id, owned)| match name {
            SkuName::Id(wanted) => id == wanted,
            SkuName::Name(wanted) => same(owned, wanted),
        });
        match (found, name) {
            (Some((id, _)), _) => Some(*id),
            (None, SkuName::Id(id)) if !self.is_known => Some(*id),
            (None, name) => {
                problems.push(LicenceProblem::NotOwned(Text::from(name.to_string())));
                None
            }
        }
    }
}

/// Whether a service plan is part of a licence and switched on.
fn has_plan(tenant: &Tenant, licence: &Licence, plan: Option<Guid>) -> bool {
    plan.is_some_and(|plan| {
        let is_part = |owned: &Subscription| owned.plans.iter().any(|(id, _)| *id == plan);
        !licence.disabled_plans.contains(&plan) && subscription_of(tenant, licence).is_none_or(is_part)
    })
}

fn subscription_of<'a>(tenant: &'a Tenant, licence: &Licence) -> Option<&'a Subscription> {
    tenant.subscriptions.as_deref()?.iter().find(|owned| owned.sku == licence.sku)
}

/// Returns a licence's part number, or its id where names are not known.
fn name_of(tenant: &Tenant, licence: &Licence) -> Text {
    let owned = subscription_of(tenant, licence);
    owned.map_or_else(|| Text::from(licence.sku.to_string()), |owned| owned.part_number.clone())
}

/// Returns what a user's licences are called: part numbers, or ids where names are not known.
pub fn licence_names(tenant: &Tenant, user: &TenantUser) -> Vec<Text> {
    let mut names: Vec<Text> =
        tenant.licences_of(user).iter().map(|licence| name_of(tenant, licence)).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tenant::{LicenceSet, LicenceSetIndex};

    const E3: Guid = Guid::from_u128(3);
    const FREE: Guid = Guid::from_u128(4);
    const EXCHANGE: Guid = Guid::from_u128(5);

    fn licence(sku: Guid, disabled_plans: &[Guid]) -> Licence {
        Licence { sku, disabled_plans: disabled_plans.to_vec(), effective: true }
    }

    fn tenant(licences: &[Licence]) -> Tenant {
        let subscription = |sku, name: &str, usable| Subscription {
            sku,
            part_number: Text::from(name),
            usable,
            plans: vec![(EXCHANGE, Text::from("EXCHANGE_S_ENTERPRISE"))],
        };
        Tenant {
            licence_sets: vec![LicenceSet(licences.to_vec())],
            subscriptions: Some(vec![
                subscription(E3, "SPE_E3", true),
                subscription(FREE, "FLOW_FREE", true),
            ]),
            ..Tenant::default()
        }
    }

    fn rule(any_of: &[&str], ignore: &[&str], plans: &[&str]) -> LicenceRule {
        let names = |names: &[&str]| names.iter().map(|name| SkuName::Name(Text::from(*name))).collect();
        LicenceRule { any_of: names(any_of), ignore: names(ignore), require_plan: names(plans) }
    }

    fn check(rule: &LicenceRule, tenant: &Tenant) -> (bool, Vec<LicenceProblem>) {
        let (test, problems) = LicenceTest::of(rule, tenant);
        (test.counts[LicenceSetIndex(0).0 as usize], problems)
    }

    #[test]
    fn any_licence_counts_unless_it_is_ignored() {
        assert!(check(&rule(&[], &[], &[]), &tenant(&[licence(FREE, &[])])).0);
        assert!(!check(&rule(&[], &["flow_free"], &[]), &tenant(&[licence(FREE, &[])])).0);
        assert!(!check(&rule(&[], &[], &[]), &tenant(&[])).0);
    }

    #[test]
    fn a_required_plan_must_be_enabled_in_one_that_counts() {
        let rule = rule(&[], &["FLOW_FREE"], &["EXCHANGE_S_ENTERPRISE"]);
        assert!(check(&rule, &tenant(&[licence(E3, &[])])).0);
        assert!(!check(&rule, &tenant(&[licence(E3, &[EXCHANGE]), licence(FREE, &[])])).0);
    }

    #[test]
    fn required_plans_may_come_from_several_licences() {
        const TEAMS: Guid = Guid::from_u128(6);
        let mut tenant = tenant(&[licence(E3, &[]), licence(FREE, &[])]);
        if let Some([e3, free]) = tenant.subscriptions.as_deref_mut() {
            e3.plans = vec![(EXCHANGE, Text::from("EXCHANGE_S_ENTERPRISE"))];
            free.plans = vec![(TEAMS, Text::from("TEAMS1"))];
        }
        assert!(check(&rule(&[], &[], &["EXCHANGE_S_ENTERPRISE", "TEAMS1"]), &tenant).0);
        assert!(!check(&rule(&[], &["FLOW_FREE"], &["EXCHANGE_S_ENTERPRISE", "TEAMS1"]), &tenant).0);
    }

    #[test]
    fn what_is_not_owned_is_told() {
        let one = rule(&["SPE_E3", "SPE_E5"], &[], &[]);
        let not_owned = LicenceProblem::NotOwned(Text::from("SPE_E5"));
        assert_eq!(check(&one, &tenant(&[licence(E3, &[])])), (true, vec![not_owned.clone()]));
        let none = rule(&["SPE_E5"], &[], &[]);
        assert_eq!(check(&none, &tenant(&[])).1, [not_owned, LicenceProblem::NoneOwned]);
    }

    #[test]
    fn names_need_subscriptions_and_ids_do_not() {
        let mut tenant = tenant(&[licence(E3, &[])]);
        tenant.subscriptions = None;
        assert_eq!(check(&rule(&["SPE_E3"], &[], &[]), &tenant).1, [LicenceProblem::NamesUnknown]);
        let by_id = LicenceRule { any_of: vec![SkuName::Id(E3)], ..LicenceRule::default() };
        assert_eq!(check(&by_id, &tenant), (true, vec![]));
    }

    #[test]
    fn an_assignment_in_error_or_a_suspended_subscription_gives_nothing() {
        let mut failed = licence(E3, &[]);
        failed.effective = false;
        assert!(!check(&rule(&[], &[], &[]), &tenant(&[failed])).0);
        let mut tenant = tenant(&[licence(E3, &[])]);
        tenant.subscriptions.iter_mut().flatten().for_each(|owned| owned.usable = false);
        assert!(!check(&rule(&[], &[], &[]), &tenant).0);
    }
}
