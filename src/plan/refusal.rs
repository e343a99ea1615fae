//! Which groups and containers nobody is imported from, and why.

use crate::model::directory::{Directory, Group};
use crate::model::dn::Dn;
use crate::plan::outcome::FindingCode;

/// Why nobody is imported from a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The finding that says so.
    pub code: FindingCode,
    /// In words, without a full stop.
    pub why: String,
}

/// Refuses groups that hold everybody or the powerful, by what they are and not by their names.
pub fn refuse_group(directory: &Directory, group: &Group) -> Option<Refusal> {
    if directory.is_default(group) {
        return Some(Refusal {
            code: FindingCode::BuiltinGroupRefused,
            why: "built-in and default groups are never imported from".to_owned(),
        });
    }
    for (rdn, name) in [("cn=builtin", "Builtin"), ("cn=users", "Users")] {
        if group.dn.is_under(&container_dn(directory, rdn)) {
            return Some(Refusal {
                code: FindingCode::GroupInUnsupportedContainer,
                why: format!("groups in the {name} container are never imported from"),
            });
        }
    }
    (!group.is_security).then(|| Refusal {
        code: FindingCode::ScopeNotFound,
        why: "this is a distribution group, and no security group".to_owned(),
    })
}

/// Marks the containers of a directory that are, or lie in, one that nobody is imported from; `rdns`
/// are those containers' usual names.
pub fn unsupported_containers(directory: &Directory, rdns: &[Dn]) -> Vec<bool> {
    let roots: Vec<Dn> = rdns.iter().map(|rdn| container_dn(directory, rdn.key())).collect();
    directory.containers_under(&roots.iter().collect::<Vec<_>>())
}

/// Returns where a directory keeps a container that is usually called `rdn_key`.
fn container_dn(directory: &Directory, rdn_key: &str) -> Dn {
    directory.well_known.get(rdn_key).cloned().unwrap_or_else(|| {
        Dn::parse(rdn_key)
            .map_or_else(|_| directory.naming_context.clone(), |rdn| rdn.below(&directory.naming_context))
    })
}
