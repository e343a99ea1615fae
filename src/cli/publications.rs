//! How accounts stand at targets, as `status` shows it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::exit::Failure;
use crate::model::publication::{Publication, PublicationStatus, TargetStatus};
use crate::model::text::{Text, inert};
use crate::ports::publishing::PublicationReader;

/// How accounts stand at targets.
pub struct Publications {
    statuses: Vec<TargetStatus>,
    /// How many accounts stand how, by target.
    counts: BTreeMap<Text, BTreeMap<PublicationStatus, usize>>,
    /// The same, by customer.
    of_customers: BTreeMap<Text, BTreeMap<Text, BTreeMap<PublicationStatus, usize>>>,
    /// What a person should know of, by customer.
    unclear: BTreeMap<Text, Vec<Publication>>,
}

/// Reads how accounts stand; `asked` are the customers that somebody asks about by name.
///
/// # Errors
/// The store's.
pub async fn publications(
    reader: &dyn PublicationReader,
    asked: Option<&BTreeSet<Text>>,
) -> Result<Publications, Failure> {
    let mut read = Publications {
        statuses: reader.target_statuses().await?,
        counts: BTreeMap::new(),
        of_customers: BTreeMap::new(),
        unclear: BTreeMap::new(),
    };
    for (customer, known) in reader.publications(None).await? {
        *read.counts.entry(known.target.clone()).or_default().entry(known.status).or_default() += 1;
        if asked.is_some_and(|asked| !asked.contains(&customer)) {
            continue;
        }
        let of_it = read.of_customers.entry(customer.clone()).or_default();
        *of_it.entry(known.target.clone()).or_default().entry(known.status).or_default() += 1;
        if asked.is_some() && known.status.concerns_somebody() {
            read.unclear.entry(customer).or_default().push(known);
        }
    }
    Ok(read)
}

impl Publications {
    /// Returns targets for programs.
    pub fn targets_form(&self) -> Value {
        let names: BTreeSet<&Text> =
            self.counts.keys().chain(self.statuses.iter().map(|status| &status.target)).collect();
        names
            .into_iter()
            .map(|target| {
                let status = self.statuses.iter().find(|status| status.target == *target);
                let fault = status.and_then(|status| status.fault.as_ref());
                let mut form = json!({
                    "target": target,
                    "fault": fault.map(|(fault, _)| fault),
                    "faultSince": fault.map(|(_, since)| since),
                    "comparedAt": status.and_then(|status| status.compared_at),
                    "comparisonFault": status.and_then(|status| status.comparison_fault.as_ref()),
                });
                count_into(&mut form, self.counts.get(target));
                form
            })
            .collect()
    }

    /// Returns how a customer's accounts stand, for programs.
    pub fn customer_form(&self, customer: &str) -> Value {
        let targets = self.of_customers.get(customer).into_iter().flatten();
        targets
            .map(|(target, counts)| {
                let mut form = json!({"target": target});
                count_into(&mut form, Some(counts));
                if let Some(unclear) = self.unclear.get(customer) {
                    let unclear = unclear.iter().filter(|known| known.target == *target).map(account_form);
                    form["accounts"] = unclear.collect();
                }
                form
            })
            .collect()
    }

    /// Says in a line for each target how accounts stand there, and in one for each account of the customers that
    /// somebody asks about what a person should know.
    pub fn told(&self) -> String {
        let mut text = String::new();
        for (target, counts) in &self.counts {
            let counts: Vec<String> = PublicationStatus::ALL
                .into_iter()
                .filter_map(|status| counts.get(&status).map(|count| format!("{count} {status}")))
                .collect();
            text.push_str(&format!("Target {}: {}.\n", inert(target), counts.join(", ")));
            let Some(status) = self.statuses.iter().find(|status| status.target == *target) else { continue };
            if let Some((fault, since)) = &status.fault {
                text.push_str(&format!(
                    "  Nothing more gets there since {}: {}.\n",
                    moment(*since),
                    inert(fault.trim_end_matches('.'))
                ));
            }
            if let Some(fault) = &status.comparison_fault {
                text.push_str(&format!(
                    "  It could not be compared with what was published: {}.\n",
                    inert(fault.trim_end_matches('.'))
                ));
            }
        }
        let needs_somebody = self.of_customers.iter().flat_map(|(customer, targets)| {
            targets.iter().filter_map(move |(target, counts)| {
                let count: usize = counts
                    .iter()
                    .filter(|(status, _)| status.concerns_somebody())
                    .map(|(_, count)| count)
                    .sum();
                (count > 0).then_some((customer, target, count))
            })
        });
        for (customer, target, count) in needs_somebody {
            let (customer, target) = (inert(customer), inert(target));
            match self.unclear.get(customer.as_ref()) {
                None => text.push_str(&format!(
                    "{customer} at {target}: {count} that somebody should know of; \
                     `intake status --customer {customer}` lists them.\n"
                )),
                Some(unclear) => {
                    for known in unclear.iter().filter(|known| known.target == *target) {
                        text.push_str(&format!(
                            "{customer} at {target}: {} {} ({}) since {}: {}.\n",
                            known.status,
                            inert(&known.subject),
                            known.account.account_type,
                            moment(known.since),
                            inert(known.cause.trim_end_matches('.'))
                        ));
                    }
                }
            }
        }
        text
    }
}

fn count_into(form: &mut Value, counts: Option<&BTreeMap<PublicationStatus, usize>>) {
    for status in PublicationStatus::ALL {
        let count = counts.and_then(|counts| counts.get(&status)).copied().unwrap_or_default();
        form[status.code()] = json!(count);
    }
}

fn account_form(known: &Publication) -> Value {
    json!({
        "account": known.subject,
        "accountType": known.account.account_type,
        "id": known.account.id,
        "user": known.remote_id,
        "status": known.status,
        "cause": known.cause,
        "since": known.since,
    })
}

fn moment(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
