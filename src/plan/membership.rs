//! Who belongs to a group: directly, by nesting, or because it is the primary group.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::model::directory::{Directory, Group, Member};

/// The people of one directory that belong to some groups, and through which group each does.
pub struct Membership {
    /// Per person: the group's position plus one; 0 for nobody's member.
    through: Vec<u32>,
    /// Per group: the group it is nested in, plus one; its own position plus one for a root.
    nested_in: Vec<u32>,
}

/// The people that are direct members of a directory's groups: those that a group lists, and those
/// whose primary group it is.
pub struct DirectMembers<'a> {
    directory: &'a Directory,
    /// Positions of people by the number of their primary group: no list holds them.
    by_primary_group: HashMap<u32, Vec<u32>>,
}

impl<'a> DirectMembers<'a> {
    /// Looks through a directory.
    pub fn of(directory: &'a Directory) -> Self {
        let mut by_primary_group: HashMap<u32, Vec<u32>> = HashMap::new();
        for (position, person) in (0..).zip(&directory.people) {
            if let Some(rid) = person.primary_group {
                by_primary_group.entry(rid).or_default().push(position);
            }
        }
        Self { directory, by_primary_group }
    }

    /// Returns the positions of a group's people, some perhaps twice.
    pub fn people(&self, group: &'a Group) -> impl Iterator<Item = u32> + '_ {
        let listed = group.members.iter().filter_map(Member::person);
        let primary = primary_group_id(self.directory, group).and_then(|rid| self.by_primary_group.get(&rid));
        listed.chain(primary.into_iter().flatten().copied())
    }
}

impl Membership {
    /// Finds the direct members of some groups; whose primary group one is, is its member too.
    pub fn direct(directory: &Directory, groups: &[u32]) -> Self {
        Self::find(directory, groups, false)
    }

    /// Finds everybody in some groups, also through groups within them.
    pub fn nested(directory: &Directory, groups: &[u32]) -> Self {
        Self::find(directory, groups, true)
    }

    /// Whether a person belongs.
    pub fn has(&self, person: u32) -> bool {
        self.through.get(person as usize).is_some_and(|group| *group != 0)
    }

    /// Returns the groups that were opened: the given ones, and those nested in them.
    pub fn groups(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.nested_in).filter(|(_, outer)| **outer != 0).map(|(group, _)| group)
    }

    /// Returns the groups through which a person belongs, from the innermost outwards.
    pub fn path(&self, person: u32) -> Vec<u32> {
        let mut path = Vec::new();
        let mut group = self.through.get(person as usize).copied().unwrap_or(0);
        while group != 0 && path.len() < self.nested_in.len() {
            path.push(group - 1);
            let outer = self.nested_in[group as usize - 1];
            if outer == group {
                break;
            }
            group = outer;
        }
        path
    }

    /// Groups are opened in the order of their names, and whoever is found first counts: the order
    /// in which a directory sent them shows in no plan.
    fn find(directory: &Directory, roots: &[u32], with_nested: bool) -> Self {
        let mut membership =
            Self { through: vec![0; directory.people.len()], nested_in: vec![0; directory.groups.len()] };
        let in_order = |mut groups: Vec<u32>| {
            groups.sort_unstable_by_key(|group| &directory.groups[*group as usize].dn);
            groups.dedup();
            groups
        };
        if roots.is_empty() {
            return membership;
        }
        let direct = DirectMembers::of(directory);
        let mut open: VecDeque<u32> = in_order(roots.to_vec()).into();
        for root in &open {
            membership.nested_in[*root as usize] = root + 1;
        }
        // Groups may be nested in a circle: each is opened once.
        while let Some(position) = open.pop_front() {
            let group = &directory.groups[position as usize];
            for person in direct.people(group) {
                let through = &mut membership.through[person as usize];
                if *through == 0 {
                    *through = position + 1;
                }
            }
            if with_nested {
                let inner = group.members.iter().filter_map(|member| match member {
                    Member::Group(inner) if membership.nested_in[*inner as usize] == 0 => Some(*inner),
                    _ => None,
                });
                for inner in in_order(inner.collect()) {
                    membership.nested_in[inner as usize] = position + 1;
                    open.push_back(inner);
                }
            }
        }
        membership
    }
}

/// Returns the number by which people name this group as their primary one: no list holds them.
fn primary_group_id(directory: &Directory, group: &Group) -> Option<u32> {
    let sid = group.sid?;
    directory.is_of_domain(&sid).then(|| sid.rid()).flatten()
}
