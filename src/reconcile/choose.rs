//! Whom somebody means: customers by name, with the nearest name for one that is none.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::text::{Text, inert};
use crate::policy::fleet::Fleet;
use crate::reconcile::judge::Job;

/// A name that no customer has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no customer `{}`", inert(name))]
pub struct UnknownCustomer {
    /// What was written.
    pub name: String,
    /// The nearest name that there is, if one is near.
    pub nearest: Option<Text>,
    /// Whether there is no customer at all.
    pub nobody: bool,
}

/// Returns who is meant, sorted by name: customers of the tree, and those that the register knows
/// and the tree does not have. No names mean all.
///
/// # Errors
/// A name that neither knows.
pub fn choose(fleet: &Fleet, registered: &[Text], names: &[String]) -> Result<Vec<Job>, UnknownCustomer> {
    let all: BTreeSet<&Text> = fleet.customers.keys().chain(registered).collect();
    let chosen = named(&all, names)?;
    let jobs = chosen.into_iter().map(|name| match fleet.customers.get(name) {
        Some(customer) => Job::Listed(Arc::new(customer.clone())),
        None => Job::Absent { name: name.clone(), names_are_known: fleet.names_are_known },
    });
    Ok(jobs.collect())
}

/// Returns those of the names that are meant. No names mean all.
///
/// # Errors
/// As [`choose`].
pub fn named<'a>(all: &BTreeSet<&'a Text>, names: &[String]) -> Result<BTreeSet<&'a Text>, UnknownCustomer> {
    if names.is_empty() {
        return Ok(all.clone());
    }
    names.iter().map(|name| find(all, name)).collect()
}

fn find<'a>(all: &BTreeSet<&'a Text>, name: &str) -> Result<&'a Text, UnknownCustomer> {
    all.get(&Text::from(name)).copied().ok_or_else(|| UnknownCustomer {
        name: name.to_owned(),
        nearest: nearest(all.iter().copied(), name).cloned(),
        nobody: all.is_empty(),
    })
}

/// A longer name is nobody's: what it resembles is not worth the search. Names are DNS labels, of 63 characters.
const LONGEST: usize = 256;

/// Returns the name that is nearest to what somebody wrote, if one is near.
pub fn nearest<'a>(all: impl IntoIterator<Item = &'a Text>, name: &str) -> Option<&'a Text> {
    if name.len() > LONGEST {
        return None;
    }
    // How far apart they may be; names whose lengths are further apart are not worth a look.
    let limit = |known: &Text| (known.len().max(name.len()) / 3).max(1);
    let alike = all.into_iter().filter(|known| known.len().abs_diff(name.len()) <= limit(known));
    let distances = alike.map(|known| (strsim::damerau_levenshtein(known, name), known));
    distances.filter(|(distance, known)| *distance <= limit(known)).min().map(|(_, known)| known)
}
