//! Whether a target still shows what was published: from a whole listing of it, and never from less.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::account::{Account, AccountKey};
use crate::model::digest::{Digest, Digester};
use crate::model::publication::{
    Differences, Presence, Publication, PublicationStatus, RemoteUser, TargetRules,
};
use crate::model::text::Text;
use crate::plan::publish::{external_id, user_of};

/// Returns what is known from now on of one customer's publications that stand otherwise than before. A difference is
/// set right once where the operator wants that: a target that drops what it is told shows it again, and is told of.
pub fn drift(
    customer: &str,
    accounts: &BTreeMap<AccountKey, &Account>,
    known: &[Publication],
    listed: &BTreeMap<Text, RemoteUser>,
    rules: &TargetRules,
    now: Timestamp,
) -> Vec<Publication> {
    let mut written = Vec::new();
    for before in known {
        let is_settled = matches!(
            before.status,
            PublicationStatus::Published | PublicationStatus::Drifted | PublicationStatus::Deactivated
        );
        let Some(id) = before.remote_id.as_ref().filter(|_| is_settled) else { continue };
        let seen = listed.get(id);
        let (cause, observed) = match (before.wanted, seen) {
            (Presence::Absent, Some(seen)) if seen.active != Some(false) => {
                ("it was deactivated, and is active there".to_owned(), Differences::from(["active"]))
            }
            (Presence::Absent, _) => (String::new(), Differences::new()),
            (Presence::Present, None) => ("it is not there any more".to_owned(), Differences::from(["id"])),
            (Presence::Present, Some(seen)) => {
                let Some(user) =
                    accounts.get(&before.account).and_then(|account| user_of(customer, account).ok())
                else {
                    continue;
                };
                // What is wanted is another by now, and was not asked for yet.
                if before.asked != Some(user.digest()) {
                    continue;
                }
                let differences = seen.differences(&user);
                (told(&differences), differences)
            }
        };
        let after = if observed.is_empty() {
            let at_rest = match before.wanted {
                Presence::Present => PublicationStatus::Published,
                Presence::Absent => PublicationStatus::Deactivated,
            };
            if before.status == at_rest && before.corrected.is_none() {
                continue;
            }
            let (cause, since) = match before.status == at_rest {
                true => (before.cause.clone(), before.since),
                false => (String::new(), now),
            };
            // What comes back after it was seen to be right is another difference.
            Publication { status: at_rest, cause, since, corrected: None, ..before.clone() }
        } else {
            let digest = digest(customer, before.account, &observed, seen);
            let is_to_correct = rules.is_corrected && before.corrected != Some(digest);
            let same = before.status == PublicationStatus::Drifted && before.cause == cause;
            let since = if same { before.since } else { now };
            let drifted = Publication { status: PublicationStatus::Drifted, cause, since, ..before.clone() };
            match is_to_correct {
                false => drifted,
                true => Publication {
                    status: PublicationStatus::Waiting,
                    asked_at: Some(now),
                    confirmed: None,
                    corrected: Some(digest),
                    ..drifted
                },
            }
        };
        if after != *before {
            written.push(after);
        }
    }
    written
}

/// Says what is otherwise; nothing where nothing is.
pub fn told(differences: &Differences) -> String {
    if differences.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = differences.iter().copied().collect();
    format!("the target shows another {} than it was told", names.join(", "))
}

fn digest(customer: &str, account: AccountKey, observed: &Differences, seen: Option<&RemoteUser>) -> Digest {
    let mut digester = Digester::new("intake.drift.1");
    digester.field(external_id(customer, account));
    for name in observed {
        digester.field(name);
    }
    let seen = seen.cloned().unwrap_or_default();
    digester
        .optional(seen.external_id)
        .optional(seen.user_name)
        .optional(seen.display_name)
        .optional(seen.given_name)
        .optional(seen.family_name)
        .field([u8::from(seen.active != Some(false))]);
    digester.finish()
}
