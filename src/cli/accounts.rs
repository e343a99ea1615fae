//! `accounts`: the register, for people and programs.

use serde_json::json;

use crate::cli::exit::{Exit, Failure};
use crate::cli::selection::registered;
use crate::cli::session::Session;
use crate::model::account::{Account, AccountState};
use crate::model::text::Text;
use crate::plan::register_view::ListedAccount;

/// Runs the command.
///
/// # Errors
/// The register's.
pub async fn run(session: &mut Session) -> Result<Exit, Failure> {
    let operator = session.operator()?;
    let register = session.reader(&operator).await?;
    let chosen = registered(&*register, &session.common.customers).await?;
    let mut accounts = register.accounts(None).await?;
    accounts.retain(|(customer, _)| chosen.contains(customer) || session.common.customers.is_empty());
    show(session, &accounts)?;
    Ok(Exit::Done)
}

/// Shows accounts, each with its customer's name.
///
/// # Errors
/// If they cannot be written.
pub fn show(session: &mut Session, accounts: &[(Text, Account)]) -> Result<(), Failure> {
    if session.is_json() {
        let accounts: Vec<ListedAccount> =
            accounts.iter().map(|(customer, account)| ListedAccount::of(customer, account)).collect();
        return session.out.json(&json!({"accounts": accounts}));
    }
    let rows: Vec<[String; 7]> = accounts.iter().map(|(customer, account)| row(customer, account)).collect();
    let titles = ["CUSTOMER", "TYPE", "STATE", "NAME", "DISPLAY NAME", "EMAIL", "POLICY"];
    session.out.table(titles, &rows, "No accounts.")
}

fn row(customer: &Text, account: &Account) -> [String; 7] {
    let profile = &account.profile;
    let state = match &account.state {
        AccountState::PendingRemoval { until, reason, .. } => {
            let until = until.strftime("%Y-%m-%d %H:%M:%SZ");
            format!("{} until {until} ({})", account.state.code(), reason.code())
        }
        state => state.code().to_owned(),
    };
    let name = profile.user_principal_name.as_ref().unwrap_or(&profile.sam_account_name);
    [
        customer.to_string(),
        account.key.account_type.to_string(),
        state,
        name.to_string(),
        profile.display_name.to_string(),
        profile.email.as_deref().unwrap_or("-").to_owned(),
        account.provenance.policy.to_string(),
    ]
}
