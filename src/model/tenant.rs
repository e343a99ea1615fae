//! A Microsoft 365 tenant as it was read: all users, licensed or not, and what licences it owns.

use std::fmt;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::guid::{Guid, Octets};
use crate::model::reading::Reading;
use crate::model::sid::Sid;
use crate::model::tenant_group::TenantGroup;
use crate::model::text::Text;

/// Everything that one tenant holds and the rules need, independent of policies.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tenant {
    /// The tenant's id, where the source tells.
    pub id: Option<Text>,
    /// All users, guests and unlicensed ones included: somebody unlicensed may hold an anchor.
    pub users: Vec<TenantUser>,
    /// The distinct sets of licences that users hold; a tenant has few.
    pub licence_sets: Vec<LicenceSet>,
    /// What the tenant owns (`subscribedSkus`), needed to read licences by name.
    pub subscriptions: Option<Vec<Subscription>>,
    /// The groups that policies select: a reading of its own, as it needs a permission of its own.
    /// `None` where nobody asked, or the source holds none.
    /// Kept apart from the rest of a reading that is kept.
    #[serde(skip)]
    pub groups: Option<Reading<Vec<TenantGroup>>>,
    /// What to keep so that the next reading can go on from this one; `None` from a source that is read
    /// wholly each time.
    #[serde(skip)]
    pub sync_state: Option<SyncState>,
}

/// What a source keeps so that its next reading asks only for what changed. Only the source itself
/// reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct SyncState {
    /// How often it was kept before this: of two that go on from one state, the first counts.
    pub generation: u64,
    /// Where the next reading goes on. Holds a token of the service.
    pub position: Vec<u8>,
    /// Everything as it was there, compressed; `None` if that is what was kept before.
    pub content: Option<Vec<u8>>,
}

impl fmt::Debug for SyncState {
    /// Without what it holds: people, and a token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SyncState")
            .field("generation", &self.generation)
            .field("content", &self.content.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

/// An index into [`Tenant::licence_sets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LicenceSetIndex(pub u32);

/// A user of a tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TenantUser {
    /// The id, which never changes.
    pub id: Guid,
    /// userPrincipalName.
    pub user_principal_name: Text,
    /// displayName: never a key.
    pub display_name: Option<Text>,
    /// mail.
    pub mail: Option<Text>,
    /// mobilePhone.
    pub mobile: Option<Text>,
    /// The addresses of proxyAddresses.
    pub addresses: Addresses,
    /// onPremisesImmutableId.
    pub anchor: Anchor,
    /// onPremisesSecurityIdentifier.
    pub on_premises_sid: Option<Sid>,
    /// Whether sign-in is allowed (accountEnabled).
    pub enabled: bool,
    /// Whether this is a guest (userType, or `#EXT#` in the name).
    pub is_guest: bool,
    /// The licences that are in effect.
    pub licences: LicenceSetIndex,
}

/// What a tenant user's onPremisesImmutableId says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Anchor {
    /// There is none.
    None,
    /// The octets of an objectGUID or mS-DS-ConsistencyGuid.
    Octets(Octets),
    /// Something else, as an administrator may choose: it names an account, but not by octets.
    Other,
}

/// The licences of a user, sorted by SKU.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct LicenceSet(pub Vec<Licence>);

/// One assigned SKU.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Licence {
    /// skuId.
    pub sku: Guid,
    /// Service plans switched off in every assignment of this SKU to the user, sorted.
    pub disabled_plans: Vec<Guid>,
    /// Whether the assignment took effect: one in state `Error` alone gave the user nothing.
    pub effective: bool,
}

/// A SKU that the tenant owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// skuId.
    pub sku: Guid,
    /// skuPartNumber, for example `SPE_E3`.
    pub part_number: Text,
    /// Whether its licences work (capabilityStatus `Enabled` or `Warning`, or not told).
    pub usable: bool,
    /// Its service plans: id and name.
    pub plans: Vec<(Guid, Text)>,
}

/// Collects the users of a reading, page by page. A listing has no snapshot, so a user may come
/// twice: the last one counts.
#[derive(Default)]
pub struct TenantBuilder {
    tenant: Tenant,
    users: HashMap<Guid, usize>,
    licence_sets: HashMap<LicenceSet, LicenceSetIndex>,
}

impl TenantBuilder {
    /// Starts a reading.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on with a tenant that was read.
    pub fn of(tenant: Tenant) -> Self {
        let users = tenant.users.iter().zip(0..).map(|(user, position)| (user.id, position)).collect();
        let licence_sets = tenant
            .licence_sets
            .iter()
            .zip(0..)
            .map(|(set, position)| (set.clone(), LicenceSetIndex(position)))
            .collect();
        Self { tenant, users, licence_sets }
    }

    /// Returns how many users arrived so far.
    pub fn users(&self) -> usize {
        self.tenant.users.len()
    }

    /// Sets the tenant's id.
    pub fn id(&mut self, id: Text) {
        self.tenant.id = Some(id);
    }

    /// Sets what the tenant owns.
    pub fn subscriptions(&mut self, subscriptions: Vec<Subscription>) {
        self.tenant.subscriptions = Some(subscriptions);
    }

    /// Sets the groups.
    pub fn groups(&mut self, groups: Reading<Vec<TenantGroup>>) {
        self.tenant.groups = Some(groups);
    }

    /// Sets what is to be kept for the next reading.
    pub fn sync_state(&mut self, state: SyncState) {
        self.tenant.sync_state = Some(state);
    }

    /// Returns the index of a set of licences, in any order.
    pub fn licence_set(&mut self, mut licences: Vec<Licence>) -> LicenceSetIndex {
        for licence in &mut licences {
            licence.disabled_plans.sort_unstable();
        }
        licences.sort_unstable_by_key(|licence| licence.sku);
        let set = LicenceSet(licences);
        if let Some(index) = self.licence_sets.get(&set) {
            return *index;
        }
        let index = LicenceSetIndex(u32::try_from(self.tenant.licence_sets.len()).unwrap_or(u32::MAX));
        self.tenant.licence_sets.push(set.clone());
        self.licence_sets.insert(set, index);
        index
    }

    /// Adds a user, or replaces the one of the same id. Returns whether it was new.
    pub fn user(&mut self, user: TenantUser) -> bool {
        match self.users.get(&user.id) {
            Some(index) => {
                self.tenant.users[*index] = user;
                false
            }
            None => {
                self.users.insert(user.id, self.tenant.users.len());
                self.tenant.users.push(user);
                true
            }
        }
    }

    /// Returns the tenant.
    pub fn finish(self) -> Tenant {
        self.tenant
    }
}

impl Tenant {
    /// Returns the licences of a user.
    pub fn licences_of(&self, user: &TenantUser) -> &[Licence] {
        self.licence_sets.get(user.licences.0 as usize).map_or(&[], |set| &set.0)
    }

    /// Returns the members of the groups whom the listing of users does not have, sorted: they joined
    /// meanwhile, are gone meanwhile, or one of the two listings is behind.
    pub fn unlisted_members(&self) -> Vec<Guid> {
        let Some(Reading::Complete(groups)) = &self.groups else { return Vec::new() };
        let mut members: Vec<Guid> = groups.iter().flat_map(|group| group.users.iter().copied()).collect();
        members.sort_unstable();
        members.dedup();
        if !members.is_empty() {
            let listed = self.user_ids();
            members.retain(|member| !listed.contains(member));
        }
        members
    }

    /// Takes out of the groups whomever the listing of users does not have: they do not exist any more.
    pub fn forget_unlisted_members(&mut self) {
        let listed = self.user_ids();
        if let Some(Reading::Complete(groups)) = &mut self.groups {
            groups.iter_mut().for_each(|group| group.users.retain(|user| listed.contains(user)));
        }
    }

    /// Returns the ids of all users.
    pub fn user_ids(&self) -> HashSet<Guid> {
        self.users.iter().map(|user| user.id).collect()
    }
}
