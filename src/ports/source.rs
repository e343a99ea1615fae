//! Where people come from: directories and tenants.

use async_trait::async_trait;

use crate::model::directory::Directory;
use crate::model::reading::Reading;
use crate::model::tenant::Tenant;

/// One directory of one customer.
#[async_trait]
pub trait DirectoryPort: Send + Sync {
    /// Reads the whole directory. Never fails: what went wrong is in the reading.
    async fn read(&self, progress: &dyn Progress) -> Reading<Directory>;
}

/// One customer's tenant.
#[async_trait]
pub trait TenantPort: Send + Sync {
    /// Reads the whole tenant. Never fails: what went wrong is in the reading.
    async fn read(&self, progress: &dyn Progress) -> Reading<Tenant>;
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
