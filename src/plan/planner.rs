//! The stages in their order: select, correlate, desire, diff, guard.

use crate::model::observation::Observation;
use crate::model::register::RegisterState;
use crate::model::text::Text;
use crate::plan::outcome::{CustomerPlan, Plan};
use crate::policy::fleet::Customer;
use jiff::Timestamp;

/// Plans one customer of the tree.
pub fn plan_customer(customer: &Customer, observation: &Observation) -> CustomerPlan {
    let _ = (customer, observation);
    todo!("being written")
}

/// Plans a customer that the register knows and the tree no longer has: its accounts are orphaned
/// and nothing else happens to them. With `names_are_known` false nothing happens at all.
pub fn plan_absent(
    name: &Text,
    register: &RegisterState,
    at: Timestamp,
    names_are_known: bool,
) -> CustomerPlan {
    let _ = (name, register, at, names_are_known);
    todo!("being written")
}

/// Unites the plans of customers, sorted by name.
pub fn unite(revision: Text, customers: Vec<CustomerPlan>) -> Plan {
    let _ = (revision, customers);
    todo!("being written")
}
