//! `discover`: the OUs and groups of a customer that a policy may select.

use serde_json::{Value, json};

use crate::cli::arguments::{DiscoverArguments, Selectable};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::counted;
use crate::cli::session::Session;
use crate::model::directory::Directory;
use crate::model::reading::{Fault, FaultKind, Reading};
use crate::model::text::{Text, inert};
use crate::plan::discover::{
    Discovered, DiscoveredGroup, DiscoveredUnit, discover_groups, discover_units, users_in,
};
use crate::policy::fleet::Customer;

/// Runs the command. It asks the customer's directories alone: neither its tenant nor the register.
///
/// # Errors
/// If the operator's file or the tree cannot be read, or the customer is unknown or invalid.
pub async fn run(session: &mut Session, arguments: &DiscoverArguments) -> Result<Exit, Failure> {
    let operator = session.operator()?;
    let root = &arguments.tree.tree;
    let (_, customer) = session.customer(root, &operator)?;
    let readings = session.directories(root, &operator, &customer).await;
    let faults: Vec<Failure> = readings
        .iter()
        .filter_map(|(name, reading)| Some(unread(&customer, name, fault_of(reading)?)))
        .collect();
    let directories: Vec<&Directory> =
        readings.iter().filter_map(|(_, reading)| reading.complete()).collect();
    let are_all = faults.is_empty();
    let list = List { arguments, directories: readings.len(), read: directories.len() };
    match arguments.what {
        Selectable::Ous => list.write(session, discover_units(&directories, are_all))?,
        Selectable::Groups => list.write(session, discover_groups(&directories, are_all))?,
    }
    faults.iter().for_each(|fault| session.complain(fault));
    Ok(if are_all { Exit::Done } else { Exit::Held })
}

fn fault_of<T>(reading: &Reading<T>) -> Option<Fault> {
    match reading {
        Reading::Complete(_) => None,
        Reading::Incomplete(shortfall) => {
            let what = format!("{}; {} objects had been read", shortfall.what, shortfall.read);
            let fault = Fault::new(FaultKind::Transient, what);
            Some(fault.hint("nothing of a directory is listed until it is read whole"))
        }
        Reading::Unavailable(fault) => Some(fault.clone()),
    }
}

fn unread(customer: &Customer, directory: &Text, fault: Fault) -> Failure {
    let what = format!("the directory `{directory}` of `{}`: {}", customer.name, fault.what);
    Failure { what, ..fault.into() }
}

/// What of a customer's directories is listed, and how.
struct List<'a> {
    arguments: &'a DiscoverArguments,
    /// How many directories the customer has.
    directories: usize,
    /// How many of them were read.
    read: usize,
}

/// A row as people and programs see it.
trait Row: Discovered {
    /// What one of them is called.
    const WORD: &'static str;
    /// What is said if there is none that may be selected.
    const NONE: &'static str;
    /// Where programs find the rows.
    const KEY: &'static str;
    const TITLES: &'static [&'static str];

    fn directory(&self) -> &str;
    fn cells(&self) -> Vec<String>;
    fn form(&self) -> Value;
    /// What is worth adding to the number of rows.
    fn sum(rows: &[&Self]) -> Option<String>;
}

impl Row for DiscoveredUnit {
    const WORD: &'static str = "organizational unit";
    const NONE: &'static str = "No organizational unit holds user accounts.";
    const KEY: &'static str = "organizationalUnits";
    const TITLES: &'static [&'static str] = &["DIRECT", "SUBTREE", "ORGANIZATIONAL UNIT"];

    fn directory(&self) -> &str {
        &self.directory
    }

    fn cells(&self) -> Vec<String> {
        // What no entry means is not for copying: it stands without quotes.
        let name = self.entry.as_deref().map_or_else(|| self.dn.to_string(), quoted);
        vec![self.direct_users.to_string(), self.subtree_users.to_string(), name]
    }

    fn form(&self) -> Value {
        json!({
            "directory": self.directory,
            "dn": self.dn,
            "entry": self.entry,
            "objectGuid": self.guid,
            "directUsers": self.direct_users,
            "subtreeUsers": self.subtree_users,
            "selectable": self.reason.is_none(),
            "reason": self.reason,
        })
    }

    fn sum(rows: &[&Self]) -> Option<String> {
        Some(counted(users_in(rows.iter().copied()), "user account"))
    }
}

impl Row for DiscoveredGroup {
    const WORD: &'static str = "group";
    const NONE: &'static str = "No group may be selected.";
    const KEY: &'static str = "groups";
    const TITLES: &'static [&'static str] = &["MEMBERS", "PEOPLE", "GROUP", "DN"];

    fn directory(&self) -> &str {
        &self.directory
    }

    fn cells(&self) -> Vec<String> {
        vec![self.members.to_string(), self.people.to_string(), quoted(&self.entry), self.dn.to_string()]
    }

    fn form(&self) -> Value {
        json!({
            "directory": self.directory,
            "dn": self.dn,
            "name": self.name,
            "samAccountName": self.sam_account_name,
            "objectGuid": self.guid,
            "entry": self.entry,
            "members": self.members,
            "people": self.people,
            "selectable": self.reason.is_none(),
            "reason": self.reason,
        })
    }

    fn sum(_rows: &[&Self]) -> Option<String> {
        None
    }
}

impl List<'_> {
    fn write<T: Row>(&self, session: &mut Session, rows: Vec<T>) -> Result<(), Failure> {
        let fits = |row: &T| self.arguments.search.as_ref().is_none_or(|search| row.fits(search));
        let selectable = rows.iter().filter(|row| row.reason().is_none()).count();
        let fitting: Vec<&T> = rows.iter().filter(|row| fits(row)).collect();
        let shown: Vec<&T> =
            fitting.iter().copied().filter(|row| self.arguments.all || row.reason().is_none()).collect();
        if session.is_json() {
            let forms: Vec<Value> = shown.iter().map(|row| row.form()).collect();
            return session.out.json(&json!({T::KEY: forms}));
        }
        if self.directories == 0 {
            return session.out.text("This customer has no directory: its accounts come from the tenant.\n");
        }
        if self.read == 0 {
            return Ok(());
        }
        if !shown.is_empty() {
            self.write_table(session, &shown)?;
        }
        let summary = self.summary(&fitting, selectable);
        session.out.text(&summary)
    }

    fn write_table<T: Row>(&self, session: &mut Session, rows: &[&T]) -> Result<(), Failure> {
        let names_directories = self.directories > 1;
        let gives_reasons = rows.iter().any(|row| row.reason().is_some());
        let mut titles: Vec<&'static str> = T::TITLES.to_vec();
        let mut table: Vec<Vec<String>> = rows.iter().map(|row| row.cells()).collect();
        if names_directories {
            titles.insert(0, "DIRECTORY");
            table.iter_mut().zip(rows).for_each(|(cells, row)| cells.insert(0, row.directory().to_owned()));
        }
        if gives_reasons {
            titles.push("WHY NOT");
            let reason = |row: &T| row.reason().unwrap_or_default().to_owned();
            table.iter_mut().zip(rows).for_each(|(cells, row)| cells.push(reason(row)));
        }
        session.out.table(titles, &table, "")?;
        session.out.text("\n")
    }

    /// Says in a line how many there are; `fitting` are those that fit the search, `selectable` is how
    /// many may be selected in all.
    fn summary<T: Row>(&self, fitting: &[&T], selectable: usize) -> String {
        let found: Vec<&T> = fitting.iter().copied().filter(|row| row.reason().is_none()).collect();
        let others = fitting.len() - found.len();
        let sum =
            T::sum(&found).filter(|_| !found.is_empty()).map(|sum| format!(", {sum}")).unwrap_or_default();
        let all = counted(selectable, T::WORD);
        let mut line = match self.arguments.search.as_deref().map(inert) {
            _ if selectable == 0 => T::NONE.to_owned(),
            None => format!("{all}{sum}."),
            Some(search) if found.is_empty() => format!("None of the {all} fits `{search}`."),
            Some(search) => format!("{} of {all} fit `{search}`{sum}.", found.len()),
        };
        if others > 0 {
            let others = match others {
                1 => "1 other".to_owned(),
                others => format!("{others} others"),
            };
            let hint = if self.arguments.all { "" } else { ": `--all` shows which and why" };
            line.push_str(&format!(" {others} may not be selected{hint}."));
        }
        line.push('\n');
        line
    }
}

/// Quotes an entry for YAML. Entries hold no character that would have to be escaped in double quotes,
/// but for backslashes and quotes themselves; in single quotes these are what they are.
fn quoted(entry: &str) -> String {
    if entry.contains(['"', '\\']) {
        format!("'{}'", entry.replace('\'', "''"))
    } else {
        format!("\"{entry}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_quoted_as_a_policy_may_hold_them() {
        assert_eq!(quoted("OU=Staff"), "\"OU=Staff\"");
        assert_eq!(quoted("O'Brien #1: x"), "\"O'Brien #1: x\"");
        assert_eq!(quoted("OU=Doe\\, Jane's"), "'OU=Doe\\, Jane''s'");
        assert_eq!(quoted("a\"b"), "'a\"b'");
    }
}
