//! Where people come from: directories and tenants.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::confirmation::PeopleNow;
use crate::model::directory::Directory;
use crate::model::guid::Guid;
use crate::model::reading::Reading;
use crate::model::tenant::{SyncState, Tenant};
use crate::model::tenant_group::{TenantGroup, WantedGroups};
use crate::policy::fleet::{Customer, DirectorySource, TenantSource};

/// One directory of one customer.
#[async_trait]
pub trait DirectoryPort: Send + Sync {
    /// Reads the whole directory. Never fails: what went wrong is in the reading.
    async fn read(&self, progress: &dyn Progress) -> Reading<Directory>;

    /// Reads single people once more, wherever in the domain they are by now. `None` from a source
    /// that says the same however often it is asked: a file.
    async fn confirm(&self, _people: &[Guid], _progress: &dyn Progress) -> Reading<Option<PeopleNow>> {
        Reading::Complete(None)
    }
}

/// One customer's tenant.
#[async_trait]
pub trait TenantPort: Send + Sync {
    /// Reads the whole tenant. Never fails: what went wrong is in the reading.
    async fn read(&self, progress: &dyn Progress) -> Reading<Tenant>;

    /// Reads the whole tenant, going on from what an earlier reading left to be kept, if anything was;
    /// `now` tells how old that is. What the next one goes on from is in [`Tenant::sync_state`].
    async fn read_on(
        &self,
        _kept: Option<SyncState>,
        _now: Timestamp,
        progress: &dyn Progress,
    ) -> Reading<Tenant> {
        self.read(progress).await
    }

    /// Reads single users once more, into a tenant that holds nobody else. `None` from a source that
    /// says the same however often it is asked: a file.
    async fn confirm(&self, _users: &[Guid], _progress: &dyn Progress) -> Reading<Option<Tenant>> {
        Reading::Complete(None)
    }

    /// Reads some groups with all their direct members; one that does not exist is not among them.
    /// `None` from a source whose reading holds its groups already: a file.
    async fn groups(
        &self,
        _wanted: &WantedGroups,
        _progress: &dyn Progress,
    ) -> Reading<Option<Vec<TenantGroup>>> {
        Reading::Complete(None)
    }
}

/// Opens the sources of customers. The one place that knows which adapter reads what.
///
/// What cannot even be opened (a secret that is missing or not allowed, a broken address) is a
/// source whose reading says so.
pub trait Sources: Send + Sync {
    /// Opens one directory of a customer.
    fn directory(&self, customer: &Customer, source: &DirectorySource) -> Box<dyn DirectoryPort>;
    /// Opens a customer's tenant.
    fn tenant(&self, customer: &Customer, source: &TenantSource) -> Box<dyn TenantPort>;
}

/// Whoever wants to know how far a reading is.
pub trait Progress: Send + Sync {
    /// Is told after each page how many objects have arrived in all.
    fn read(&self, objects: usize);
}

/// Nobody wants to know.
pub struct Unwatched;

impl Progress for Unwatched {
    fn read(&self, _objects: usize) {}
}
