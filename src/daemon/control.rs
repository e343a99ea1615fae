//! Carries out orders about single customers: wakes them, and keeps in the store who may not be written.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use crate::daemon::desk::Desk;
use crate::model::contact_match::ContactChanges;
use crate::model::event::{EventKind, NewEvent, ReadingDigests};
use crate::model::register::{Commit, RegisterState, Suspension, SuspensionChange};
use crate::model::text::{Text, inert};
use crate::ports::clock::Clock;
use crate::ports::control::{Control, Refused, Standing};
use crate::ports::register::{Register, RegisterFault};
use crate::reconcile::choose::nearest;

/// How often an order is written anew because a turn wrote meanwhile.
const TRIES: u32 = 5;

/// Carries out orders.
pub struct ControllerControl {
    /// Where the controller is met.
    pub desk: Arc<Desk>,
    /// What orders are kept in.
    pub register: Arc<dyn Register>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Makes the id that the event of an order has in place of a turn's.
    pub new_run: fn() -> Text,
}

#[async_trait]
impl Control for ControllerControl {
    async fn sync(&self, customer: &str, by: &Text) -> Result<(), Refused> {
        let (customer, _) = self.known(customer)?;
        let (details, change) = (json!({"by": by}), SuspensionChange::None);
        self.keep(&customer, EventKind::SyncRequested, &details, change, &|_| true).await?;
        tracing::info!(customer = %inert(&customer), %by, "a turn was asked for");
        self.desk.ring(customer);
        Ok(())
    }

    async fn suspend(&self, customer: &str, by: &Text, reason: String) -> Result<Standing, Refused> {
        let (customer, suspended_in_tree) = self.known(customer)?;
        let suspension = Suspension { at: self.clock.now(), by: by.clone(), reason };
        let wanted = |state: &RegisterState| state.suspension.is_none();
        let change = SuspensionChange::Suspend(suspension.clone());
        let details = json!({"by": by, "reason": suspension.reason});
        let before = self.keep(&customer, EventKind::CustomerSuspended, &details, change, &wanted).await?;
        let changed = before.is_none();
        if changed {
            tracing::info!(customer = %inert(&customer), %by, "suspended by command");
            self.desk.ring(customer);
        }
        Ok(Standing { changed, suspension: before.or(Some(suspension)), suspended_in_tree })
    }

    async fn resume(&self, customer: &str, by: &Text) -> Result<Standing, Refused> {
        let (customer, suspended_in_tree) = self.known(customer)?;
        let wanted = |state: &RegisterState| state.suspension.is_some();
        let details = json!({"by": by});
        let lift = SuspensionChange::Lift;
        let before = self.keep(&customer, EventKind::CustomerResumed, &details, lift, &wanted).await?;
        let changed = before.is_some();
        if !changed && suspended_in_tree {
            return Err(Refused::SuspendedInTree { customer });
        }
        if changed {
            tracing::info!(customer = %inert(&customer), %by, "resumed by command");
            self.desk.ring(customer);
        }
        Ok(Standing { changed, suspension: None, suspended_in_tree })
    }
}

impl ControllerControl {
    /// Returns a customer that the controller knows, and whether its document suspends it.
    fn known(&self, name: &str) -> Result<(Text, bool), Refused> {
        let customers = self.desk.customers().ok_or(Refused::NotYet)?;
        match customers.get_key_value(&Text::from(name)) {
            Some((name, suspended)) => Ok((name.clone(), *suspended)),
            None => Err(Refused::Unknown {
                name: name.to_owned(),
                nearest: nearest(customers.keys(), name).cloned(),
            }),
        }
    }

    /// Writes an order with its event, where it is `wanted`; returns the suspension that was there before.
    ///
    /// One that changes who may be written raises the revision, as a turn does: a turn that planned before the order
    /// and would write after it is stale, plans anew, and finds the order.
    async fn keep(
        &self,
        customer: &Text,
        kind: EventKind,
        details: &serde_json::Value,
        change: SuspensionChange,
        wanted: &(dyn Fn(&RegisterState) -> bool + Sync),
    ) -> Result<Option<Suspension>, Refused> {
        let mut tries = 1;
        loop {
            let state = self.register.load(customer).await.map_err(failed)?;
            if !wanted(&state) {
                return Ok(state.suspension);
            }
            let event = NewEvent { kind, account: None, subject: customer.clone(), details: details.clone() };
            let commit = Commit {
                customer: customer.clone(),
                expected_revision: state.revision,
                run: (self.new_run)(),
                tree_revision: self.desk.revision().unwrap_or_default(),
                at: self.clock.now(),
                accounts: Vec::new(),
                events: vec![event],
                readings: ReadingDigests::default(),
                deliveries: Vec::new(),
                pins: state.pins,
                holds: state.holds,
                measures: None,
                suspension: change.clone(),
                contacts: ContactChanges::default(),
                is_beside: matches!(change, SuspensionChange::None),
                room: None,
            };
            match self.register.commit(commit).await {
                Ok(_) => {
                    self.desk.bulletin().changed(Some(customer));
                    return Ok(state.suspension);
                }
                Err(RegisterFault::Stale { .. }) if tries < TRIES => tries += 1,
                Err(fault) => return Err(failed(fault)),
            }
        }
    }
}

fn failed(fault: RegisterFault) -> Refused {
    Refused::Failed(Box::new(fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::desk::Known;
    use crate::reconcile::fakes::{FakeRegister, FixedClock, NOW, moment};

    fn control(register: &Arc<FakeRegister>, customers: &[(&str, bool)]) -> ControllerControl {
        let desk = Arc::new(Desk::new());
        let known = customers.iter().map(|(name, suspended)| (Text::from(*name), *suspended));
        desk.take_over(Known { customers: known.collect(), ..Known::default() });
        ControllerControl {
            desk,
            register: register.clone(),
            clock: Arc::new(FixedClock),
            new_run: || Text::from("run"),
        }
    }

    const OPS: Text = Text::const_new("ops");

    #[tokio::test]
    async fn an_order_is_kept_once_also_while_turns_write() {
        let register = Arc::new(FakeRegister::default());
        let control = control(&register, &[("contoso", false)]);
        register.interfere(2);
        let first = control.suspend("contoso", &OPS, "moving".to_owned()).await.expect("suspended");
        let suspension = Suspension { at: moment(NOW), by: OPS, reason: "moving".to_owned() };
        assert_eq!((first.changed, first.suspension), (true, Some(suspension.clone())));
        assert_eq!(control.desk.take_rung().len(), 1);
        let revision = register.state("contoso").revision;
        let again = control.suspend("contoso", &Text::from("b"), "other".to_owned()).await.expect("is");
        assert_eq!((again.changed, again.suspension), (false, Some(suspension)));
        assert_eq!(register.state("contoso").revision, revision, "nothing was written");
        let resumed = control.resume("contoso", &OPS).await.expect("resumed");
        assert_eq!((resumed.changed, resumed.suspension), (true, None));
        assert!(!control.resume("contoso", &OPS).await.expect("resumed").changed);
        assert_eq!(register.state("contoso").suspension, None);
    }

    #[tokio::test]
    async fn what_the_tree_says_is_not_lifted_by_a_command() {
        let register = Arc::new(FakeRegister::default());
        let control = control(&register, &[("contoso", true)]);
        let refused = control.resume("contoso", &OPS).await.expect_err("in the tree");
        assert!(matches!(refused, Refused::SuspendedInTree { .. }), "{refused:?}");
        control.suspend("contoso", &OPS, "x".to_owned()).await.expect("suspended");
        let resumed = control.resume("contoso", &OPS).await.expect("resumed");
        assert!(resumed.changed && resumed.suspended_in_tree);
    }

    #[tokio::test]
    async fn nobody_is_told_about_customers_that_do_not_exist() {
        let register = Arc::new(FakeRegister::default());
        let known = control(&register, &[("contoso", false)]);
        let Err(Refused::Unknown { nearest, .. }) = known.sync("contosso", &OPS).await else {
            panic!("known")
        };
        assert_eq!(nearest.as_deref(), Some("contoso"));
        assert!(register.state("contosso").suspension.is_none());
        let none = ControllerControl { desk: Arc::new(Desk::new()), ..known };
        assert!(matches!(none.sync("contoso", &OPS).await, Err(Refused::NotYet)));
    }
}
