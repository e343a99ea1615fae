//! Words of accounts, verdicts and contacts, for people, and the signs that go with them.

use crate::model::account::{AccountState, AccountType, Verdict};
use crate::model::contact_match::MatchStatus;
use crate::model::listing::StateName;
use crate::model::publication::PublicationStatus;
use crate::model::text::inert;
use crate::plan::explanation::{Outcome, Rule};
use crate::plan::outcome::{AccountView, Severity};
use crate::web::pages::standing::Badge;

/// Returns text from outside as pages show it: inert, and never empty.
pub fn shown(text: &str) -> String {
    if text.trim().is_empty() { "(no name)".to_owned() } else { inert(text).into_owned() }
}

/// Returns a number with its thousands apart.
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a number with a word in the right form.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// Returns an account type for people.
pub fn account_type(account_type: AccountType) -> &'static str {
    match account_type {
        AccountType::EndUser => "End user",
        AccountType::Administrator => "Administrator",
    }
}

/// Returns where an account is in its life.
pub fn state(state: &AccountState) -> Badge {
    state_name(StateName::of(state))
}

/// Returns where accounts are in their life.
pub fn state_name(state: StateName) -> Badge {
    let word = match state {
        StateName::Active => "Active",
        StateName::PendingRemoval => "Pending removal",
        StateName::Orphaned => "Orphaned",
        StateName::Removed => "Removed",
    };
    Badge { kind: state.code(), word }
}

/// Returns how an account stands in a documentation system.
pub fn contact(status: MatchStatus) -> Badge {
    let word = match status {
        MatchStatus::Matched => "Matched",
        MatchStatus::Unmatched => "Unmatched",
        MatchStatus::Ambiguous => "Ambiguous",
        MatchStatus::Failed => "Failed",
    };
    Badge { kind: status.code(), word }
}

/// Returns how an account stands at a target.
pub fn publication(status: PublicationStatus) -> Badge {
    let word = match status {
        PublicationStatus::Waiting => "Waiting",
        PublicationStatus::Published => "Published",
        PublicationStatus::Drifted => "Drifted",
        PublicationStatus::Conflict => "Conflict",
        PublicationStatus::Failed => "Failed",
        PublicationStatus::Held => "Removal held",
        PublicationStatus::Orphaned => "Published no more",
        PublicationStatus::Deactivated => "Deactivated",
        PublicationStatus::Deleted => "Deleted",
    };
    Badge { kind: status.code(), word }
}

/// Returns how bad a finding is.
pub fn severity(severity: Severity) -> Badge {
    match severity {
        Severity::Error => Badge { kind: "error", word: "Error" },
        Severity::Warning => Badge { kind: "warning", word: "Warning" },
        Severity::Info => Badge { kind: "info", word: "Info" },
    }
}

/// Returns what came of a rule.
pub fn outcome(outcome: Outcome) -> Badge {
    match outcome {
        Outcome::Passed => Badge { kind: "passed", word: "Passed" },
        Outcome::Failed => Badge { kind: "failed", word: "Ruled out" },
        Outcome::NotReached => Badge { kind: "notReached", word: "Not reached" },
        Outcome::Info => Badge { kind: "info", word: "Info" },
        Outcome::Unknown => Badge { kind: "unknown", word: "Unknown" },
        Outcome::Held => Badge { kind: "held", word: "Held" },
    }
}

/// Returns a rule for people.
pub fn rule(rule: Rule) -> &'static str {
    match rule {
        Rule::Policy => "Policy",
        Rule::Scope => "Scope",
        Rule::Record => "Record",
        Rule::Container => "Container",
        Rule::Exclusion => "Exclusion",
        Rule::Privilege => "Privilege",
        Rule::State => "Directory account",
        Rule::Match => "Match",
        Rule::TenantUser => "Tenant user",
        Rule::Licence => "Licence",
        Rule::Register => "Register",
        Rule::Operation => "Operation",
        Rule::Guard => "Guard",
    }
}

/// Says what a verdict means.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::InvalidRecord => "The source's record is broken",
        Verdict::NotInScope => "No selected OU or group holds the person",
        Verdict::UnsupportedContainer => "In a container that is never imported from",
        Verdict::Excluded => "Excluded by the policy or the customer",
        Verdict::PrivilegedAccount => "In a privileged group",
        Verdict::DirectoryDisabled => "Disabled in the directory",
        Verdict::AmbiguousMatch => "Several tenant users or accounts fit",
        Verdict::MatchConflict => "A stronger key points elsewhere than a weaker one",
        Verdict::NoTenantMatch => "No tenant user fits",
        Verdict::Guest => "A guest of the tenant",
        Verdict::TenantDisabled => "Sign-in to the tenant is blocked",
        Verdict::Unlicensed => "No licence that counts",
        Verdict::Included => "In the desired set",
    }
}

/// Returns by what people know an account, inert: its display name, and the name it signs in with.
pub fn names(account: &AccountView) -> (String, String) {
    let login = account.user_principal_name.as_deref().unwrap_or(&account.sam_account_name);
    let name = if account.display_name.trim().is_empty() { login } else { account.display_name.as_str() };
    (shown(name), inert(login).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0, 999, 1_000, 1_234_567].map(number));
        assert_eq!(counted(1, "account", "accounts"), "1 account");
        assert_eq!(shown(" "), "(no name)");
    }
}
