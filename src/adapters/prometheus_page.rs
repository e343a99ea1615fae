//! The page that Prometheus reads: what the process counted, what the store holds, and which tree is in force.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_text::{CONTENT_TYPE, encode};
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, EncodeMetric as _, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::adapters::prometheus::{FAILED, PrometheusMeter, Tallies};
use crate::adapters::prometheus_census::SharedCensus;
use crate::model::account::AccountType;
use crate::model::contact_match::MatchStatus;
use crate::model::publication::PublicationStatus;
use crate::model::text::Text;
use crate::plan::outcome::{Action, CustomerState};
use crate::ports::census::{Census, Counts, OutboxCount};
use crate::ports::clock::Clock;
use crate::ports::in_force::{InForce, TreeInForce};
use crate::ports::meter::{Answered, Asked, Attempt, Page, Readout};

/// The states of a customer.
const STATES: [CustomerState; 6] = [
    CustomerState::Ready,
    CustomerState::Suspended,
    CustomerState::Held,
    CustomerState::Unreadable,
    CustomerState::Invalid,
    CustomerState::NotReady,
];

/// What is done to accounts.
const ACTIONS: [Action; 5] = [Action::Add, Action::Return, Action::Update, Action::Pend, Action::Remove];

/// Makes the page.
pub struct PrometheusPage {
    meter: Arc<PrometheusMeter>,
    census: SharedCensus,
    in_force: Arc<dyn InForce>,
    clock: Arc<dyn Clock>,
    /// A page of a large fleet takes some milliseconds: pages are written one after the other.
    writing: tokio::sync::Mutex<()>,
}

impl PrometheusPage {
    /// Makes one.
    pub fn new(
        meter: Arc<PrometheusMeter>,
        census: Arc<dyn Census>,
        in_force: Arc<dyn InForce>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let writing = tokio::sync::Mutex::new(());
        Self { meter, census: SharedCensus::new(census), in_force, clock, writing }
    }
}

#[async_trait]
impl Readout for PrometheusPage {
    async fn read(&self) -> Page {
        let snapshot = Snapshot {
            counts: self.census.count().await,
            tree: self.in_force.in_force(),
            now: self.clock.now(),
            meter: self.meter.clone(),
        };
        let _writing = self.writing.lock().await;
        let mut registry = Registry::with_prefix("intake");
        registry.register_collector(Box::new(snapshot));
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &registry) {
            tracing::error!("the metrics cannot be written: {error}");
        }
        Page { content_type: CONTENT_TYPE, text }
    }
}

/// Everything at one moment.
#[derive(Debug)]
struct Snapshot {
    counts: Option<Arc<Counts>>,
    tree: Option<TreeInForce>,
    now: Timestamp,
    meter: Arc<PrometheusMeter>,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut families = Families(encoder);
        let version = [([("version", env!("CARGO_PKG_VERSION"))], 1)];
        families.gauges("build_info", "The version that runs.", version)?;
        let is_up = u64::from(self.counts.is_some());
        families.gauge("store_up", "Whether the store answered for this page.", is_up)?;
        if let Some(tree) = &self.tree {
            self.tree(&mut families, tree)?;
        }
        if let Some(counts) = &self.counts {
            let names: Vec<&Text> = self.customers().collect();
            customers(&mut families, counts, &names)?;
            accounts(&mut families, counts, self.tree.as_ref())?;
            contacts(&mut families, counts, self.tree.as_ref())?;
            publications(&mut families, counts)?;
            outbox(&mut families, counts.outbox, self.now)?;
        }
        self.plans(&mut families)?;
        self.work(&mut families)
    }
}

impl Snapshot {
    /// Whose numbers are shown: those whom the tree lists.
    fn customers(&self) -> impl Iterator<Item = &Text> + Clone {
        self.tree.iter().flat_map(|tree| tree.customers.keys())
    }

    fn tree(&self, families: &mut Families<'_>, tree: &TreeInForce) -> fmt::Result {
        let revision = [([("revision", tree.revision.as_str())], 1)];
        families.gauges("tree_info", "The revision of the policy tree in force.", revision)?;
        let help =
            "Whether there may be a newer tree: the last one could not be had, or may not come into force.";
        families.gauge("tree_stale", help, u64::from(tree.is_stale))?;
        families.gauge("tree_problems", "Problems in the documents of the tree in force.", tree.problems)?;
        let intervals = tree.customers.iter().map(|(name, interval)| (of(name), interval.as_secs_f64()));
        let help = "How long after a turn that went well the customer's next one is due.";
        families.gauges("customer_interval_seconds", help, intervals)
    }

    /// What the last plans said, and what was written since the start.
    fn plans(&self, families: &mut Families<'_>) -> fmt::Result {
        let tallies = &*self.meter.tallies();
        let plans = self.customers().filter_map(|name| Some((name, tallies.plans.get(name)?)));
        let held = plans.clone().map(|(name, plan)| (of(name), plan.held));
        families.gauges(
            "held_removals",
            "Removals that guards keep back, by the customer's last plan.",
            held,
        )?;
        let candidates = plans.flat_map(|(name, plan)| {
            plan.candidates.iter().map(move |((account_type, verdict), count)| {
                let labels = [
                    ("customer", name.as_str()),
                    ("account_type", word(*account_type)),
                    ("verdict", verdict.code()),
                ];
                (labels, *count)
            })
        });
        let help =
            "Candidates that are not imported or kept as they are, and why, by the customer's last plan.";
        families.gauges("candidates", help, candidates)?;
        // Also those that did not happen yet: who sees a counter appear cannot tell what it counted before.
        let operations = self.customers().flat_map(|name| {
            ACTIONS.into_iter().map(move |action| {
                let count = tallies.operations.get(&(name.clone(), action)).copied().unwrap_or(0);
                ([("customer", name.as_str()), ("action", action.code())], count)
            })
        });
        families.counters("operations", "What was written to accounts since the start.", operations)
    }

    /// What the process did since its start.
    fn work(&self, families: &mut Families<'_>) -> fmt::Result {
        turns(families, &self.meter.tallies())?;
        families.durations(
            "turn_stage_duration_seconds",
            "How long the parts of turns took, and single attempts at deliveries.",
            &self.meter,
        )?;
        let tallies = &*self.meter.tallies();
        let asked = Asked::ALL.into_iter().flat_map(|whom| {
            Answered::ALL.into_iter().map(move |answered| {
                let count = tallies.asked.get(&(whom, answered)).copied().unwrap_or(0);
                ([("source", whom.code()), ("outcome", answered.code())], count)
            })
        });
        families.counters("source_requests", "How often sources were asked.", asked)?;
        let waited = Asked::ALL.into_iter().map(|whom| {
            let waited = tallies.waited.get(&whom).copied().unwrap_or_default();
            ([("source", whom.code())], waited.as_secs_f64())
        });
        let help = "How long sources made readings wait by throttling, summed over readings.";
        families.counters("source_throttled_seconds", help, waited)?;
        let attempts = Attempt::ALL.into_iter().map(|attempt| {
            ([("outcome", attempt.code())], tallies.deliveries.get(&attempt).copied().unwrap_or(0))
        });
        families.counters("delivery_attempts", "Attempts at deliveries.", attempts)
    }
}

fn customers(families: &mut Families<'_>, counts: &Counts, names: &[&Text]) -> fmt::Result {
    let last = names.iter().map(|name| {
        let success = counts.customers.get(*name).and_then(|turn| turn.last_success);
        (of(name), success.map_or(0.0, seconds))
    });
    let help = "When a turn last left the customer ready; 0 if none did yet.";
    families.gauges("customer_last_success_timestamp_seconds", help, last)?;
    let states = names.iter().flat_map(|name| {
        let now = counts.customers.get(*name).map(|turn| turn.state.as_str());
        STATES.into_iter().map(move |state| {
            let is_it = now == Some(state.code());
            ([("customer", name.as_str()), ("state", state.code())], u64::from(is_it))
        })
    });
    families.gauges("customer_state", "The state in which its last turn left the customer.", states)
}

fn accounts(families: &mut Families<'_>, counts: &Counts, tree: Option<&TreeInForce>) -> fmt::Result {
    let is_listed = |name: &Text| tree.is_some_and(|tree| tree.customers.contains_key(name));
    let known = counts.accounts.iter().filter(|((name, _), _)| is_listed(name));
    let series = known.flat_map(|((name, account_type), count)| {
        let states = [
            ("active", count.active),
            ("pendingRemoval", count.pending_removal),
            ("orphaned", count.orphaned),
            ("removed", count.removed),
        ];
        states.map(|(state, count)| {
            let labels =
                [("customer", name.as_str()), ("account_type", word(*account_type)), ("state", state)];
            (labels, count)
        })
    });
    families.gauges("accounts", "Accounts of the register.", series)
}

fn contacts(families: &mut Families<'_>, counts: &Counts, tree: Option<&TreeInForce>) -> fmt::Result {
    let is_listed = |name: &Text| tree.is_some_and(|tree| tree.customers.contains_key(name));
    let known = counts.contacts.iter().filter(|((name, _), _)| is_listed(name));
    let series = known.flat_map(|((name, system), count)| {
        MatchStatus::ALL.map(|status| {
            let count = match status {
                MatchStatus::Matched => count.matched,
                MatchStatus::Unmatched => count.unmatched,
                MatchStatus::Ambiguous => count.ambiguous,
                MatchStatus::Failed => count.failed,
            };
            let labels =
                [("customer", name.as_str()), ("system", system.as_str()), ("status", status.code())];
            (labels, count)
        })
    });
    families.gauges("contacts", "How accounts stand in documentation systems, by the last look.", series)
}

fn publications(families: &mut Families<'_>, counts: &Counts) -> fmt::Result {
    let targets: BTreeSet<&Text> = counts.publications.keys().map(|(target, _)| target).collect();
    let series = targets.into_iter().flat_map(|target| {
        PublicationStatus::ALL.map(|status| {
            let count = counts.publications.get(&(target.clone(), status)).copied().unwrap_or_default();
            ([("target", target.as_str()), ("state", status.code())], count)
        })
    });
    families.gauges("publications", "How accounts stand at the targets that they are published to.", series)
}

fn outbox(families: &mut Families<'_>, outbox: OutboxCount, now: Timestamp) -> fmt::Result {
    let states = [([("state", "waiting")], outbox.waiting), ([("state", "givenUp")], outbox.given_up)];
    families.gauges("outbox_deliveries", "Deliveries that wait, and those that were given up.", states)?;
    let age = outbox.oldest.map_or(0.0, |oldest| (seconds(now) - seconds(oldest)).max(0.0));
    families.gauge(
        "outbox_oldest_age_seconds",
        "For how long the oldest delivery waits; 0 if none does.",
        age,
    )
}

fn turns(families: &mut Families<'_>, tallies: &Tallies) -> fmt::Result {
    let outcomes = STATES.into_iter().map(CustomerState::code).chain([FAILED]);
    let turns =
        outcomes.map(|outcome| ([("outcome", outcome)], tallies.turns.get(outcome).copied().unwrap_or(0)));
    families.counters("turns", "Turns by how they ended.", turns)
}

/// Returns the label of a customer.
fn of(name: &Text) -> [(&'static str, &str); 1] {
    [("customer", name.as_str())]
}

/// Returns an account type's word of the contract.
fn word(account_type: AccountType) -> &'static str {
    match account_type {
        AccountType::EndUser => "EndUser",
        AccountType::Administrator => "Administrator",
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

/// Families of metrics, one after the other: a name, a line of help, and its series. One without any is left
/// out.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        series.try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    /// `name` is without `_total`.
    fn counters<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        series.try_for_each(|(labels, value)| {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    fn durations(&mut self, name: &str, help: &str, meter: &PrometheusMeter) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        meter.stages().iter().try_for_each(|(stage, histogram)| {
            histogram.encode(family.encode_family(&[("stage", stage.code())])?)
        })
    }
}
