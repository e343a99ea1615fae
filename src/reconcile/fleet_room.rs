//! Shares the room that the fleet has for removals out among customers that are planned together.

use jiff::Timestamp;

use crate::model::register::RegisterState;
use crate::plan::fleet_limit::keep;
use crate::plan::outcome::CustomerPlan;
use crate::policy::limits::FleetLimit;
use crate::ports::register::{RegisterFault, RegisterReader};

/// A customer's plan, what the register held for it, and when it was observed.
pub type Planned<'a> = (&'a mut CustomerPlan, &'a RegisterState, Timestamp);

/// Holds whole customers, in the order in which they come, whose removals the fleet has no room for.
///
/// # Errors
/// The register's.
pub async fn keep_in_order(
    plans: Vec<Planned<'_>>,
    register: &dyn RegisterReader,
    limit: FleetLimit,
) -> Result<(), RegisterFault> {
    let Some(at) = plans.iter().map(|(_, _, at)| *at).max() else { return Ok(()) };
    let mut recent = register.removals_since(limit.window.before(at)).await?;
    for (plan, known, at) in plans {
        recent += keep(plan, known, limit, recent, at);
    }
    Ok(())
}
