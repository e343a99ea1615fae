//! Finds which of many account patterns fits somebody, in a time that does not grow with the names.

use hashbrown::HashMap;

use crate::model::guid::Guid;
use crate::model::text::{Text, fold};
use crate::policy::fleet::AccountPattern;

/// Patterns by what they name. A list of a hundred thousand leavers against a hundred thousand
/// people must not be ten thousand million comparisons.
#[derive(Default)]
pub struct Patterns<'a> {
    by_guid: HashMap<Guid, usize>,
    by_name: HashMap<&'a Text, usize>,
    globs: Vec<(usize, &'a wildmatch::WildMatch)>,
}

impl<'a> Patterns<'a> {
    /// Makes patterns ready, each with its position in its list.
    pub fn new(patterns: impl Iterator<Item = (usize, &'a AccountPattern)>) -> Self {
        let mut ready = Self::default();
        for (position, pattern) in patterns {
            match pattern {
                AccountPattern::Guid(guid) => drop(ready.by_guid.entry(*guid).or_insert(position)),
                AccountPattern::Name(name) => drop(ready.by_name.entry(name).or_insert(position)),
                AccountPattern::Glob { pattern, .. } => ready.globs.push((position, pattern)),
            }
        }
        ready
    }

    /// Adds a person whom the pattern at a position names.
    pub fn add_person(&mut self, position: usize, guid: Guid) {
        let first = self.by_guid.entry(guid).or_insert(position);
        *first = position.min(*first);
    }

    /// Returns the position of the first pattern that fits.
    pub fn first(
        &self,
        guid: Guid,
        user_principal_name: Option<&str>,
        sam_account_name: &str,
    ) -> Option<usize> {
        let by_guid = self.by_guid.get(&guid).copied();
        if self.by_name.is_empty() && self.globs.is_empty() {
            return by_guid;
        }
        let names = user_principal_name.into_iter().chain([sam_account_name]).map(fold);
        let by_name = names.filter_map(|name| {
            let exact = self.by_name.get(&Text::from(name.as_ref())).copied();
            let glob = self.globs.iter().find(|(_, glob)| glob.matches(&name)).map(|(position, _)| *position);
            exact.into_iter().chain(glob).min()
        });
        by_name.chain(by_guid).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_fits_is_found_by_guid_name_and_glob() {
        let glob = |text: &str| AccountPattern::Glob {
            written: Text::from(text),
            pattern: wildmatch::WildMatch::new(text),
        };
        let patterns = [
            AccountPattern::Name(Text::from("jane@contoso.test")),
            AccountPattern::Guid(Guid::from_u128(7)),
            glob("svc-*"),
            glob("*@contoso.test"),
        ];
        let ready = Patterns::new(patterns.iter().enumerate());
        assert_eq!(ready.first(Guid::from_u128(1), Some("Jane@Contoso.test"), "jane"), Some(0));
        assert_eq!(ready.first(Guid::from_u128(7), Some("john@contoso.test"), "john"), Some(1));
        assert_eq!(ready.first(Guid::from_u128(1), None, "SVC-backup"), Some(2));
        assert_eq!(ready.first(Guid::from_u128(1), Some("x@contoso.test"), "x"), Some(3));
        assert_eq!(ready.first(Guid::from_u128(1), None, "x"), None);
    }
}
