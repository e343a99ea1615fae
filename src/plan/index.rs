//! Finds the members of a large list by a key that they carry, without copying the keys.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::model::text::{hash_folded, same};

/// Positions in a list by the hash of a key; several may share one key. Four bytes an entry: the
/// keys stay where they are, which is what keeps a million people in memory.
pub struct Index {
    state: DefaultHashBuilder,
    table: HashTable<u32>,
}

/// The positions that a key was found at, sorted, so that no hash order reaches a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Found {
    /// Nowhere.
    #[default]
    None,
    /// At one position.
    One(u32),
    /// At several positions, ascending.
    Many(Vec<u32>),
}

impl Index {
    /// Indexes positions by names that are compared without case. A position may come with
    /// several names, and then is found by each.
    pub fn by_name<'a>(names: impl Iterator<Item = (u32, &'a str)>) -> Self {
        let state = DefaultHashBuilder::default();
        let hash = |name: &str| hash_folded(&state, name);
        let entries: Vec<(u64, u32)> = names.map(|(position, name)| (hash(name), position)).collect();
        Self::of(state, &entries)
    }

    /// Indexes positions by octets or numbers.
    pub fn by_key<K: std::hash::Hash>(keys: impl Iterator<Item = (u32, K)>) -> Self {
        let state = DefaultHashBuilder::default();
        let entries: Vec<(u64, u32)> = keys.map(|(position, key)| (state.hash_one(key), position)).collect();
        Self::of(state, &entries)
    }

    /// Finds a name; `is_it` says whether the entry at a position really carries it.
    pub fn name(&self, name: &str, is_it: impl Fn(u32, &dyn Fn(&str) -> bool) -> bool) -> Found {
        let wanted = |candidate: &str| same(candidate, name);
        self.find(hash_folded(&self.state, name), |position| is_it(position, &wanted))
    }

    /// Finds a key; `is_it` says whether the entry at a position really carries it.
    pub fn key<K: std::hash::Hash>(&self, key: K, is_it: impl Fn(u32) -> bool) -> Found {
        self.find(self.state.hash_one(key), is_it)
    }

    fn of(state: DefaultHashBuilder, entries: &[(u64, u32)]) -> Self {
        // The table asks for the hash of an entry only when it grows, and it never does.
        let mut table = HashTable::with_capacity(entries.len());
        for (hash, position) in entries {
            table.insert_unique(*hash, *position, |_| *hash);
        }
        Self { state, table }
    }

    fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Found {
        let mut found = Found::None;
        for position in self.table.iter_hash(hash).copied().filter(|position| is_it(*position)) {
            found.push(position);
        }
        found.sorted()
    }
}

impl Found {
    /// Returns the positions.
    pub fn positions(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(position) => std::slice::from_ref(position),
            Self::Many(positions) => positions,
        }
    }

    /// Keeps the positions that fit.
    #[must_use]
    pub fn filter(self, fits: impl Fn(u32) -> bool) -> Self {
        match self {
            Self::One(position) if fits(position) => Self::One(position),
            Self::Many(positions) => {
                let mut left = Self::None;
                positions
                    .into_iter()
                    .filter(|position| fits(*position))
                    .for_each(|position| left.push(position));
                left
            }
            _ => Self::None,
        }
    }

    /// Returns the positions of both.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        if self == Self::None {
            return other;
        }
        other.positions().iter().for_each(|position| self.push(*position));
        self.sorted()
    }

    fn push(&mut self, position: u32) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(position),
            Self::One(first) => Self::Many(vec![first, position]),
            Self::Many(mut positions) => {
                positions.push(position);
                Self::Many(positions)
            }
        };
    }

    fn sorted(self) -> Self {
        match self {
            Self::Many(mut positions) => {
                positions.sort_unstable();
                positions.dedup();
                match positions[..] {
                    [position] => Self::One(position),
                    _ => Self::Many(positions),
                }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_without_case_and_all_of_them() {
        let names = ["jane", "JOHN", "Jane", "Ärger"];
        let index = Index::by_name((0_u32..).zip(names));
        let find = |name| index.name(name, |position, is| is(names[position as usize]));
        assert_eq!(find("JANE"), Found::Many(vec![0, 2]));
        assert_eq!(find("john"), Found::One(1));
        assert_eq!(find("äRGER"), Found::One(3));
        assert_eq!(find("nobody"), Found::None);
    }

    #[test]
    fn a_position_with_the_same_name_twice_is_found_once() {
        let names = [(0_u32, "a@x"), (0, "A@X")];
        let index = Index::by_name(names.into_iter());
        assert_eq!(index.name("a@x", |_, is| is("a@x")), Found::One(0));
    }
}
