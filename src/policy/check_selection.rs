//! A selection of the tenant is for customers without directories: who is whom would be told twice.

use std::collections::BTreeMap;

use crate::model::account::AccountType;
use crate::model::text::Text;
use crate::policy::check_import::Built;
use crate::policy::problem::Rule;
use crate::policy::read::first_eight;
use crate::policy::source::{Ledger, Place};

/// Selections of the tenant that apply to customers with directories: for each its place, where the
/// first of these customers names its directory, and all of them.
#[derive(Default)]
pub struct Misplaced {
    found: BTreeMap<Place, (Place, Vec<Text>)>,
}

impl Misplaced {
    /// Looks for such a selection among the imports of one customer, whose first directory stands at
    /// `directory`. Returns why it cannot apply.
    pub fn find(
        &mut self,
        customer: &Text,
        directory: Option<Place>,
        imports: &BTreeMap<AccountType, Vec<Built>>,
    ) -> BTreeMap<AccountType, String> {
        let mut why = BTreeMap::new();
        let Some(directory) = directory else { return why };
        for (account_type, built) in
            imports.iter().flat_map(|(kind, all)| all.iter().map(move |one| (kind, one)))
        {
            if let (true, Some(at)) = (built.import.selection.is_of_tenant(), built.places.first()) {
                let found = self.found.entry(*at).or_insert_with(|| (directory, Vec::new()));
                found.1.push(customer.clone());
                let policy = &built.import.policy;
                why.insert(
                    *account_type,
                    format!("`{policy}` selects from the tenant, and the customer has a directory"),
                );
            }
        }
        why
    }

    /// Reports what was found, once per selection.
    pub fn report(&self, ledger: &mut Ledger) {
        ledger.own(None);
        for (selection, (directory, customers)) in &self.found {
            ledger
                .report(*selection, "a selection of the tenant is for customers without directories").rule(Rule::Conflict)
                .help(format!(
                    "where there is a directory, it says who somebody is, and the tenant only who is licensed: select \
                     OUs or groups of the directory for {}",
                    first_eight(customers)
                ))
                .label(*directory, "this customer has a directory");
        }
    }
}
