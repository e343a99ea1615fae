//! Everything that a plan is computed from: the planner sees this and nothing else.

use jiff::Timestamp;

use crate::model::confirmation::Confirmation;
use crate::model::directory::Directory;
use crate::model::reading::Reading;
use crate::model::register::RegisterState;
use crate::model::tenant::Tenant;
use crate::model::text::Text;

/// What was seen of one customer in one turn.
#[derive(Debug, Clone)]
pub struct Observation {
    /// When it was seen: the only clock the planner has.
    pub at: Timestamp,
    /// Each directory of the customer, by its name.
    pub directories: Vec<(Text, Reading<Directory>)>,
    /// The tenant, where the customer has one.
    pub tenant: Option<Reading<Tenant>>,
    /// What the register holds.
    pub register: RegisterState,
    /// Who was asked for once more; `None` as long as nobody was.
    pub confirmation: Option<Confirmation>,
}
