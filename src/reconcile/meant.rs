//! Which events are about an account that somebody names: by its id, or by any name that it ever had.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::account::AccountType;
use crate::model::event::Event;
use crate::model::guid::Guid;
use crate::model::text::{Text, same};

/// The accounts that somebody means by a UPN, sAMAccountName, mail address or id.
///
/// First every event is [noted](Self::note): one of them may tell the name that is asked for, and others
/// that of the same account before or after. Then it is known which events are [about](Self::is_about)
/// an account that is meant.
#[derive(Debug, Clone)]
pub struct Meant {
    word: String,
    id: Option<Guid>,
    accounts: BTreeSet<(Text, AccountType, Guid)>,
}

/// The fields of an account in an event that it is known by.
const NAMES: [&str; 3] = ["userPrincipalName", "samAccountName", "email"];
/// The fields of an account in an event that hold its ids.
const IDS: [&str; 2] = ["directoryId", "tenantUserId"];

impl Meant {
    /// Means whoever is, or was, called `word`.
    pub fn new(word: &str) -> Self {
        Self { word: word.to_owned(), id: word.parse().ok(), accounts: BTreeSet::new() }
    }

    /// Notes the account of an event, if it is one that is meant.
    pub fn note(&mut self, event: &Event) {
        let Some((account_type, id)) = event.account else { return };
        let shown = ["before", "after"].map(|side| &event.details[side]);
        if self.id == Some(id) || shown.iter().any(|account| self.is_called(account)) {
            self.accounts.insert((event.customer.clone(), account_type, id));
        }
    }

    /// Whether no account that was noted is meant.
    pub fn is_nobody(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Whether an event is about an account that is meant: what happened to it, removals of it that were
    /// held or approved, and entries of policies that were pinned to it.
    pub fn is_about(&self, event: &Event) -> bool {
        let is_noted = |account_type, id| self.accounts.contains(&(event.customer.clone(), account_type, id));
        if let Some((account_type, id)) = event.account {
            return is_noted(account_type, id);
        }
        let removals = listed(&event.details["removals"]);
        let pinned = listed(&event.details["before"]).chain(listed(&event.details["after"]));
        removals.filter_map(held).any(|(account_type, id)| is_noted(account_type, id))
            || pinned.filter_map(|person| guid(&person["id"])).any(|id| {
                self.id == Some(id)
                    || AccountType::ALL.into_iter().any(|account_type| is_noted(account_type, id))
            })
    }

    fn is_called(&self, account: &Value) -> bool {
        let is_word = |field: &&str| account[*field].as_str().is_some_and(|name| same(name, &self.word));
        let is_id = |field: &&str| self.id.is_some() && guid(&account[*field]) == self.id;
        NAMES.iter().any(is_word) || IDS.iter().any(is_id)
    }
}

fn listed(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn guid(value: &Value) -> Option<Guid> {
    value.as_str()?.parse().ok()
}

/// Returns whom a removal in an event of a hold is about.
fn held(removal: &Value) -> Option<(AccountType, Guid)> {
    let account_type =
        AccountType::ALL.into_iter().find(|account_type| removal["accountType"] == account_type.code())?;
    // The id of an account of the tenant alone is the user's.
    let id = IDS.iter().find_map(|field| guid(&removal["account"][*field]))?;
    Some((account_type, id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::digest::Digest;
    use crate::reconcile::fakes::{NOW, moment};

    fn event(customer: &str, account: Option<u128>, details: Value) -> Event {
        Event {
            customer: Text::from(customer),
            sequence: 1,
            at: moment(NOW),
            run: Text::default(),
            tree_revision: Text::default(),
            kind: Text::default(),
            account: account.map(|number| (AccountType::EndUser, Guid::from_u128(number))),
            subject: Text::default(),
            details,
            readings: None,
            previous: None,
            hash: Digest::of(b""),
        }
    }

    /// Jane Doe becomes Jane Roe; somebody else is called Jane Doe afterwards, elsewhere.
    fn record() -> Vec<Event> {
        let view = |name: &str, number: u128| {
            json!({"userPrincipalName": format!("{name}@contoso.test"), "samAccountName": name,
                "email": "first@contoso.test", "directoryId": Guid::from_u128(number), "tenantUserId": null})
        };
        let removal = json!({"accountType": "EndUser", "account": view("roe", 1)});
        vec![
            event("contoso", Some(1), json!({"before": null, "after": view("doe", 1)})),
            event("contoso", Some(1), json!({"before": view("doe", 1), "after": view("roe", 1)})),
            event("contoso", Some(2), json!({"before": null, "after": view("other", 2)})),
            event("fabrikam", Some(1), json!({"before": null, "after": view("third", 1)})),
            event("contoso", None, json!({"removals": [removal]})),
            event(
                "contoso",
                None,
                json!({"pin": "protect", "after": [{"id": Guid::from_u128(1), "name": "x"}]}),
            ),
            event("contoso", None, json!({"pin": "tenant", "before": null, "after": "a-tenant"})),
        ]
    }

    fn about(word: &str) -> Vec<usize> {
        let record = record();
        let mut meant = Meant::new(word);
        record.iter().for_each(|event| meant.note(event));
        (0..record.len()).filter(|position| meant.is_about(&record[*position])).collect()
    }

    #[test]
    fn an_account_is_found_by_every_name_that_it_ever_had_with_all_that_happened_to_it() {
        for name in ["doe", "DOE@Contoso.test", "roe@contoso.test", "Roe"] {
            assert_eq!(about(name), [0, 1, 4, 5], "{name}");
        }
        assert_eq!(about("first@contoso.test"), [0, 1, 2, 3, 4, 5], "an address of several");
        assert_eq!(about("other"), [2]);
        assert_eq!(about("third"), [3]);
        assert_eq!(about("tenant"), Vec::<usize>::new());
        assert_eq!(about(&Guid::from_u128(1).to_string()), [0, 1, 3, 4, 5]);
    }
}
