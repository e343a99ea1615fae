//! Which sets of licences count for a policy.

use std::collections::BTreeSet;

use crate::model::guid::Guid;
use crate::model::tenant::{Licence, Subscription, Tenant, TenantUser};
use crate::model::text::{Text, same};
use crate::policy::fleet::{LicenceRule, SkuName};

/// A policy's licence rule, read against what one tenant owns.
pub struct LicenceTest {
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
        let subscriptions = tenant.subscriptions.as_deref();
        let any_of = resolve(&rule.any_of, subscriptions, sku_ids, &mut problems);
        let ignored = resolve(&rule.ignore, subscriptions, sku_ids, &mut Vec::new());
        let plans = resolve(&rule.require_plan, subscriptions, plan_ids, &mut problems);
        let names = rule.any_of.iter().chain(&rule.ignore).chain(&rule.require_plan);
        if subscriptions.is_none() && names.clone().any(|name| matches!(name, SkuName::Name(_))) {
            problems = vec![LicenceProblem::NamesUnknown];
        } else if !rule.any_of.is_empty() && any_of.is_empty() {
            problems.push(LicenceProblem::NoneOwned);
        }
        // A plan that the tenant does not own is enabled for nobody.
        let wants_plan = !rule.require_plan.is_empty();
        let counts = |licence: &Licence| {
            let subscription =
                subscriptions.and_then(|owned| owned.iter().find(|owned| owned.sku == licence.sku));
            licence.effective
                && subscription.is_none_or(|subscription| subscription.usable)
                && (rule.any_of.is_empty() || any_of.contains(&licence.sku))
                && !ignored.contains(&licence.sku)
                && (!wants_plan || has_plans(licence, subscription, &plans, rule.require_plan.len()))
        };
        (Self { counts: tenant.licence_sets.iter().map(|set| set.0.iter().any(counts)).collect() }, problems)
    }

    /// Whether a user holds a licence that counts.
    pub fn is_licensed(&self, user: &TenantUser) -> bool {
        self.counts.get(user.licences.0 as usize).copied().unwrap_or(false)
    }
}

/// Whether all required plans are part of this licence's SKU and enabled.
fn has_plans(licence: &Licence, owned: Option<&Subscription>, plans: &BTreeSet<Guid>, wanted: usize) -> bool {
    plans.len() == wanted
        && plans.iter().all(|plan| {
            !licence.disabled_plans.contains(plan)
                && owned.is_none_or(|subscription| subscription.plans.iter().any(|(id, _)| id == plan))
        })
}

fn sku_ids(subscription: &Subscription) -> Vec<(Guid, &str)> {
    vec![(subscription.sku, subscription.part_number.as_str())]
}

fn plan_ids(subscription: &Subscription) -> Vec<(Guid, &str)> {
    subscription.plans.iter().map(|(id, name)| (*id, name.as_str())).collect()
}

fn resolve(
    names: &[SkuName],
    subscriptions: Option<&[Subscription]>,
    ids: fn(&Subscription) -> Vec<(Guid, &str)>,
    problems: &mut Vec<LicenceProblem>,
) -> BTreeSet<Guid> {
    let owned: Vec<(Guid, &str)> = subscriptions.unwrap_or_default().iter().flat_map(ids).collect();
    let mut resolved = BTreeSet::new();
    for name in names {
        let found = owned.iter().find(|(id, owned)| match name {
            SkuName::Id(wanted) => id == wanted,
            SkuName::Name(wanted) => same(owned, wanted),
        });
        match (found, name) {
            (Some((id, _)), _) => drop(resolved.insert(*id)),
            // Without subscribedSkus an id can still be compared; whether it is owned is unknown.
            (None, SkuName::Id(id)) if subscriptions.is_none() => drop(resolved.insert(*id)),
            (None, SkuName::Id(id)) => problems.push(LicenceProblem::NotOwned(Text::from(id.to_string()))),
            (None, SkuName::Name(name)) => problems.push(LicenceProblem::NotOwned(name.clone())),
        }
    }
    resolved
}

/// Returns what a user's licences are called: part numbers, or ids where names are not known.
pub fn licence_names(tenant: &Tenant, user: &TenantUser) -> Vec<Text> {
    let subscriptions = tenant.subscriptions.as_deref().unwrap_or_default();
    let name = |licence: &Licence| {
        let owned = subscriptions.iter().find(|owned| owned.sku == licence.sku);
        owned.map_or_else(|| Text::from(licence.sku.to_string()), |owned| owned.part_number.clone())
    };
    let mut names: Vec<Text> = tenant.licences_of(user).iter().map(name).collect();
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
