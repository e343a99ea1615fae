//! How the fleet stands: one view for everybody who asks within a second, so that many watchers cost the store
//! no more than one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::model::account::AccountType;
use crate::model::listing::DailyChanges;
use crate::model::register::{CustomerStatus, Suspension};
use crate::model::text::Text;
use crate::model::tree_status::TreeStatus;
use crate::ports::browse::Browse;
use crate::ports::census::{AccountCount, Census, OutboxCount};
use crate::ports::clock::Clock;
use crate::ports::in_force::InForce;
use crate::ports::register::{RegisterFault, RegisterReader};

/// For how long a view is good.
const FRESH: Duration = Duration::from_secs(1);
/// For how long the changes of days that are over are.
const FRESH_DAYS: Duration = Duration::from_secs(300);
/// Of how many days it is told how many accounts there were, today included.
pub const DAYS: i64 = 30;
const SECONDS_A_DAY: i64 = 86_400;

/// Makes views of the fleet.
pub struct FleetBoard {
    /// What is known.
    pub register: Arc<dyn RegisterReader>,
    /// What is counted.
    pub census: Arc<dyn Census>,
    /// Who is suspended, and what changed.
    pub browse: Arc<dyn Browse>,
    /// Which tree is in force.
    pub in_force: Arc<dyn InForce>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The last view.
    pub last: Mutex<Option<(Instant, Arc<FleetView>)>>,
    /// The changes of the last days.
    pub days: Mutex<Option<(Instant, Arc<DailyChanges>)>>,
}

/// How the fleet stands.
#[derive(Debug, Clone, Default)]
pub struct FleetView {
    /// When it was looked at.
    pub at: Timestamp,
    /// Which tree is in force.
    pub tree: Option<TreeStatus>,
    /// Every customer of the tree in force or of the register, by name.
    pub customers: BTreeMap<Text, CustomerView>,
    /// What is to be delivered.
    pub outbox: OutboxCount,
}

/// How a customer stands.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerView {
    /// The customer's name.
    #[schemars(with = "String")]
    pub name: Text,
    /// In which state its last turn left it; null before the first one.
    #[schemars(with = "Option<String>")]
    pub state: Option<Text>,
    /// Why it is not `ready`, or what somebody should know although it is; empty if nothing is.
    pub message: String,
    /// When a turn was last tried.
    pub last_attempt: Option<Timestamp>,
    /// When a turn last read everything and held nothing back.
    pub last_success: Option<Timestamp>,
    /// When the controller means to come back.
    pub next_attempt: Option<Timestamp>,
    /// How many turns in a row could not read it.
    pub failures: u32,
    /// The tree's revision of the last turn.
    #[schemars(with = "Option<String>")]
    pub revision: Option<Text>,
    /// How many seconds after a turn the next one is due; null for a customer that left the tree.
    pub interval_seconds: Option<u64>,
    /// Whether its document suspends it.
    pub suspended_in_tree: bool,
    /// Who suspended it by command, if anybody did.
    pub suspension: Option<SuspensionView>,
    /// Its accounts by type and state.
    pub accounts: AccountCounts,
    /// How many people are in a scope without a licence that counts; null where not everything was read yet.
    pub in_scope_without_license: Option<u64>,
    /// How many licensed people are outside of every scope; likewise.
    pub licensed_outside_scope: Option<u64>,
}

/// Who suspended a customer by command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SuspensionView {
    /// Since when.
    pub since: Timestamp,
    /// Who said so: the name of a token or of a person.
    #[schemars(with = "String")]
    pub by: Text,
    /// Why, in their words.
    pub reason: String,
}

/// Accounts by type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct AccountCounts {
    /// Everyday accounts.
    #[serde(rename = "EndUser")]
    pub end_users: StateCounts,
    /// Accounts with rights over systems.
    #[serde(rename = "Administrator")]
    pub administrators: StateCounts,
}

/// Accounts by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateCounts {
    /// Imported.
    pub active: u64,
    /// Within their grace.
    pub pending_removal: u64,
    /// Without a policy that answers for them.
    pub orphaned: u64,
    /// Removed within the last 30 days.
    pub removed: u64,
}

impl StateCounts {
    /// How many are imported: all but those that were removed.
    pub fn imported(self) -> u64 {
        self.active + self.pending_removal + self.orphaned
    }
}

impl AccountCounts {
    /// Returns those of one type.
    pub fn of(self, account_type: AccountType) -> StateCounts {
        match account_type {
            AccountType::EndUser => self.end_users,
            AccountType::Administrator => self.administrators,
        }
    }

    /// How many are imported, of both types.
    pub fn imported(self) -> u64 {
        self.end_users.imported() + self.administrators.imported()
    }
}

impl FleetBoard {
    /// Makes a board that has shown nothing yet.
    pub fn new(
        register: Arc<dyn RegisterReader>,
        census: Arc<dyn Census>,
        browse: Arc<dyn Browse>,
        in_force: Arc<dyn InForce>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { register, census, browse, in_force, clock, last: Mutex::default(), days: Mutex::default() }
    }

    /// Returns how the fleet stands, at most a second ago.
    ///
    /// # Errors
    /// The register's.
    pub async fn view(&self) -> Result<Arc<FleetView>, RegisterFault> {
        let mut last = self.last.lock().await;
        if let Some((at, view)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(view.clone());
        }
        let view = Arc::new(self.look().await?);
        *last = Some((Instant::now(), view.clone()));
        Ok(view)
    }

    /// Looks anew the next time: whoever changed something wants to see that they did.
    pub async fn forget(&self) {
        *self.last.lock().await = None;
    }

    async fn look(&self) -> Result<FleetView, RegisterFault> {
        let at = self.clock.now();
        let statuses = self.register.statuses().await?;
        let tree = self.register.tree().await?;
        let suspensions = self.browse.suspensions().await?;
        let counts = self.census.count().await?;
        let in_force = self.in_force.in_force();
        let listed = in_force.as_ref().map(|tree| &tree.customers);
        let mut names: BTreeSet<&Text> = statuses.iter().map(|status| &status.customer).collect();
        names.extend(listed.into_iter().flat_map(BTreeMap::keys));
        names.extend(counts.accounts.keys().map(|(name, _)| name));
        let statuses: BTreeMap<&Text, &CustomerStatus> =
            statuses.iter().map(|status| (&status.customer, status)).collect();
        let customer = |name: &Text| {
            let status = statuses.get(name);
            let count = |account_type| {
                StateCounts::from(
                    counts.accounts.get(&(name.clone(), account_type)).copied().unwrap_or_default(),
                )
            };
            CustomerView {
                name: name.clone(),
                state: status.map(|status| status.state.clone()),
                message: status.map(|status| status.message.clone()).unwrap_or_default(),
                last_attempt: status.map(|status| status.last_attempt),
                last_success: status.and_then(|status| status.last_success),
                next_attempt: status.and_then(|status| status.next_attempt),
                failures: status.map_or(0, |status| status.failures),
                revision: status.map(|status| status.tree_revision.clone()),
                interval_seconds: listed.and_then(|listed| listed.get(name)).map(Duration::as_secs),
                suspended_in_tree: in_force.as_ref().is_some_and(|tree| tree.suspended.contains(name)),
                suspension: suspensions.get(name).map(SuspensionView::of),
                accounts: AccountCounts {
                    end_users: count(AccountType::EndUser),
                    administrators: count(AccountType::Administrator),
                },
                in_scope_without_license: status
                    .and_then(|status| status.reports)
                    .map(|reports| reports.in_scope_without_license),
                licensed_outside_scope: status
                    .and_then(|status| status.reports)
                    .map(|reports| reports.licensed_outside_scope),
            }
        };
        let customers = names.iter().map(|name| ((*name).clone(), customer(name))).collect();
        Ok(FleetView { at, tree, customers, outbox: counts.outbox })
    }

    /// Returns how many accounts of a customer were imported at the end of each of the last [`DAYS`] days,
    /// today's as of now: told backwards from what there is, by what the audit record says was added and
    /// removed.
    ///
    /// # Errors
    /// The register's.
    pub async fn days(&self) -> Result<Arc<DailyChanges>, RegisterFault> {
        let mut last = self.days.lock().await;
        if let Some((at, changes)) = &*last
            && at.elapsed() < FRESH_DAYS
        {
            return Ok(changes.clone());
        }
        let changes = Arc::new(self.browse.daily_changes(None, first_day(self.clock.now())).await?);
        *last = Some((Instant::now(), changes.clone()));
        Ok(changes)
    }
}

/// Returns the number of a day since 1970, in UTC.
pub fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(SECONDS_A_DAY)
}

/// Returns when the first of the last [`DAYS`] days began.
pub fn first_day(now: Timestamp) -> Timestamp {
    Timestamp::from_second((day_of(now) - DAYS + 1) * SECONDS_A_DAY).unwrap_or(Timestamp::MIN)
}

/// Returns how many accounts there were at the end of each of the last [`DAYS`] days, the oldest first, from how
/// many there are and by how much each day changed it.
pub fn series(now: Timestamp, imported: u64, changes: Option<&BTreeMap<i64, i64>>) -> Vec<u64> {
    let today = day_of(now);
    let mut count = i64::try_from(imported).unwrap_or(i64::MAX);
    let mut series = Vec::new();
    for day in (today - DAYS + 1..=today).rev() {
        series.push(u64::try_from(count).unwrap_or(0));
        count = count.saturating_sub(changes.and_then(|changes| changes.get(&day)).copied().unwrap_or(0));
    }
    series.reverse();
    series
}

impl SuspensionView {
    fn of(suspension: &Suspension) -> Self {
        let Suspension { at, by, reason } = suspension;
        Self { since: *at, by: by.clone(), reason: reason.clone() }
    }
}

impl From<AccountCount> for StateCounts {
    fn from(count: AccountCount) -> Self {
        let AccountCount { active, pending_removal, orphaned, removed } = count;
        Self { active, pending_removal, orphaned, removed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_told_backwards_from_what_there_is() {
        // Noon of 1970-02-10, the 40th day after the first.
        let now = Timestamp::from_second(40 * SECONDS_A_DAY + 43_200).expect("a time");
        let changes = BTreeMap::from([(40, 5), (39, -2), (12, 7), (3, 100)]);
        let series = series(now, 20, Some(&changes));
        assert_eq!(series.len(), 30);
        assert_eq!(first_day(now), Timestamp::from_second(11 * SECONDS_A_DAY).expect("a time"));
        // Day 40 ends with 20, day 39 with 15, day 38 with 17; before day 12 there were 10.
        assert_eq!(series[27..], [17, 15, 20]);
        assert_eq!(series[..3], [10, 17, 17]);
    }
}
