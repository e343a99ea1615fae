//! The line of a customer's document that chooses a contact for an account, as a person commits it.

use serde_json::Value;

use crate::model::account::Account;
use crate::model::contact_match::MatchCandidate;
use crate::model::text::is_plain;
use crate::policy::yaml::written;

/// Returns the line that chooses a contact, as it stands below `matches`; `None` for an id that no line holds.
pub fn choice(account: &Account, connection: &str, candidate: &MatchCandidate) -> Option<String> {
    let name = name_of(account);
    // Whoever has a name that cannot be typed is named by the id.
    let account = if !name.is_empty() && name.chars().all(is_plain) {
        written(name)
    } else {
        account.key.id.to_string()
    };
    let id = candidate.id.as_str();
    let holds = !id.is_empty() && id.chars().all(is_plain);
    holds.then(|| {
        format!("- {{account: {account}, system: {}, id: {}}}", written(connection), Value::from(id))
    })
}

/// Returns the name by which a document names an account.
pub fn name_of(account: &Account) -> &str {
    let profile = &account.profile;
    profile.user_principal_name.as_ref().unwrap_or(&profile.sam_account_name)
}
