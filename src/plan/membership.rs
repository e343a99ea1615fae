//! Who belongs to a group: directly, by nesting, or because it is the primary group.

use crate::model::directory::{Directory, Group, Member};

/// The people of one directory that belong to some groups, and through which group each does.
pub struct Membership {
    /// Per person: the group's position plus one; 0 for nobody's member.
    through: Vec<u32>,
    /// Per group: the group it is nested in, plus one; its own position plus one for a root.
    nested_in: Vec<u32>,
}

impl Membership {
    /// Finds the direct members of one group; whose primary group it is, is one too.
    pub fn direct(directory: &Directory, group: u32) -> Self {
        let mut membership = Self::nobody(directory);
        membership.root(group);
        membership.add_people(directory, group);
        membership
    }

    /// Finds everybody in some groups, also through groups within them.
    pub fn nested(directory: &Directory, roots: impl IntoIterator<Item = u32>) -> Self {
        let mut membership = Self::nobody(directory);
        let mut open: Vec<u32> = roots.into_iter().collect();
        open.sort_unstable();
        open.dedup();
        open.iter().for_each(|group| membership.root(*group));
        // Groups may be nested in a circle: each is opened once.
        while let Some(group) = open.pop() {
            membership.add_people(directory, group);
            for member in &directory.groups[group as usize].members {
                if let Member::Group(inner) = member
                    && membership.nested_in[*inner as usize] == 0
                {
                    membership.nested_in[*inner as usize] = group + 1;
                    open.push(*inner);
                }
            }
        }
        membership
    }

    /// Whether a person belongs.
    pub fn has(&self, person: u32) -> bool {
        self.through.get(person as usize).is_some_and(|group| *group != 0)
    }

    /// Returns how a person belongs, from the innermost group outwards: `CN=A → CN=B`.
    pub fn path(&self, directory: &Directory, person: u32) -> String {
        let mut names = Vec::new();
        let mut group = self.through.get(person as usize).copied().unwrap_or(0);
        while group != 0 && names.len() < self.nested_in.len() {
            names.push(directory.groups[group as usize - 1].dn.to_string());
            let outer = self.nested_in[group as usize - 1];
            if outer == group {
                break;
            }
            group = outer;
        }
        names.join(" → ")
    }

    fn nobody(directory: &Directory) -> Self {
        Self { through: vec![0; directory.people.len()], nested_in: vec![0; directory.groups.len()] }
    }

    fn root(&mut self, group: u32) {
        self.nested_in[group as usize] = group + 1;
    }

    fn add_people(&mut self, directory: &Directory, position: u32) {
        let group = &directory.groups[position as usize];
        for member in &group.members {
            if let Member::Person(person) = member {
                self.through[*person as usize] = position + 1;
            }
        }
        if let Some(rid) = primary_group_id(directory, group) {
            for (through, person) in self.through.iter_mut().zip(&directory.people) {
                if person.primary_group == Some(rid) {
                    *through = position + 1;
                }
            }
        }
    }
}

/// Returns the number by which people name this group as their primary one: no list holds them.
fn primary_group_id(directory: &Directory, group: &Group) -> Option<u32> {
    let sid = group.sid?;
    (sid.domain() == directory.domain_sid).then(|| sid.rid()).flatten()
}
